/* Any bytes as messages of SASL, of a client to a server and back.  The first byte says which. */
#include <stdlib.h>

#include "wire/sasl/base64.h"
#include "wire/sasl/plain.h"
#include "wire/sasl/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_base64(struct arena *a, struct slice bytes)
{
	struct slice decoded;
	struct buf again;

	if (base64_decode(a, bytes, &decoded))
		return;
	buf_init(&again);
	base64_add(&again, decoded);
	if (!slice_equal(buf_slice(&again), bytes))
		abort();
	buf_done(&again);
}

static void finish(struct arena *a, struct slice message)
{
	static const uint8_t secret[32] = "secret";
	struct scram_verifier v;
	struct scram_first first;
	struct buf out;

	scram_fake(SCRAM_SHA_256, (struct slice) { secret, sizeof(secret) }, SLICE("user"), &v);
	if (scram_read_first(a, SLICE("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), &first))
		abort();
	buf_init(&out);
	if (scram_finish(a, &first, SLICE("r=rOprNGfwEbeRWgbNEkqOxyz,s=QUJD,i=4096"), &v, message,
			 &out) == OK)
		abort(); /* nobody knows the password */
	buf_done(&out);
}

static void respond(struct arena *a, struct slice challenge)
{
	uint8_t signature[SCRAM_BYTES_MAX];
	struct slice rest = challenge;
	struct buf out;

	(void)slice_cut(&rest, ',');
	(void)slice_cut(&rest, ',');
	if (rest.size > 6) /* iterations take time */
		return;
	buf_init(&out);
	(void)!scram_respond(a, SCRAM_SHA_256, SLICE("p"), SLICE("n,,n=user,r=a"), challenge, &out,
			     signature);
	buf_done(&out);
}

/* What can be read can be written so that it is read again. */
static void read_plain(struct slice bytes)
{
	struct slice user, password, user_again, password_again;
	struct buf again;

	if (plain_read(bytes, &user, &password))
		return;
	buf_init(&again);
	if (plain_write(user, password, &again) ||
	    plain_read(buf_slice(&again), &user_again, &password_again) ||
	    !slice_equal(user, user_again) || !slice_equal(password, password_again))
		abort();
	buf_done(&again);
}

static void read_bearer(struct slice bytes)
{
	struct slice token, token_again;
	struct buf again;

	if (bearer_read(bytes, &token))
		return;
	buf_init(&again);
	if (bearer_write(token, &again) == OK &&
	    (bearer_read(buf_slice(&again), &token_again) || !slice_equal(token, token_again)))
		abort();
	buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = { data + 1, size - 1 };
	struct scram_first first;
	struct arena a;

	if (size == 0)
		return 0;
	arena_init(&a);
	switch (data[0] % 6) {
	case 0:
		if (scram_read_first(&a, bytes, &first) == OK &&
		    (first.user.size == 0 || first.nonce.size == 0))
			abort();
		break;
	case 1:
		finish(&a, bytes);
		break;
	case 2:
		respond(&a, bytes);
		break;
	case 3:
		read_plain(bytes);
		break;
	case 4:
		read_bearer(bytes);
		break;
	default:
		read_base64(&a, bytes);
		break;
	}
	arena_done(&a);
	return 0;
}
