/* Any bytes at either side of a handshake: none of them may lead to its end, and what the other
 * side is answered stays small.  And a true handshake of which some bytes are changed on their
 * way. */
#include "loop/tls.h"

#include <stdlib.h>

#include "base/buf.h"

enum { FLIGHTS = 4, ANSWER_BYTES_MAX = 64 * 1024, CHUNK_BYTES_MAX = 4096 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

static struct tls_identity *identity(void)
{
	static struct tls_identity *made;
	static const uint8_t seed[TLS_KEY_BYTES] = { 7 };
	uint8_t key[TLS_KEY_BYTES];

	if (!made) {
		tls_public_key(seed, key);
		made = tls_identity_new(seed, (const uint8_t *[]) { key }, 1);
	}
	return made;
}

/* The first byte says how large the chunks are. */
static void shake(struct slice in, bool is_server)
{
	struct tls *t = tls_new(identity(), is_server);
	size_t chunk = in.size ? 1 + in.data[0] * (CHUNK_BYTES_MAX / 256) : 1;
	enum err err = tls_shake(t);

	for (size_t at = 1; at < in.size && err == ERR_BUSY; at += chunk) {
		tls_feed(t, slice_part(in, at, chunk < in.size - at ? chunk : in.size - at));
		err = tls_shake(t);
		require(err != OK);
		require(tls_output(t).size < ANSWER_BYTES_MAX);
	}
	tls_free(t);
}

/* Three bytes a change: where (two, of all that passes), and how. */
static void pass(struct tls *from, struct tls *to, struct slice changes, size_t *at)
{
	struct slice out = tls_output(from);
	struct buf bytes;

	buf_init(&bytes);
	buf_add_slice(&bytes, out);
	for (size_t i = 0; i + 3 <= changes.size; i += 3) {
		size_t where = (size_t)(changes.data[i] << 8 | changes.data[i + 1]);
		if (where >= *at && where < *at + bytes.size)
			bytes.data[where - *at] ^= changes.data[i + 2];
	}
	*at += bytes.size;
	tls_drop_output(from, out.size);
	if (bytes.size > 0)
		tls_feed(to, buf_slice(&bytes));
	buf_done(&bytes);
}

static void change(struct slice changes)
{
	struct tls *client = tls_new(identity(), false), *server = tls_new(identity(), true);
	enum err client_err = ERR_BUSY, server_err = ERR_BUSY;
	size_t at = 0;

	for (int i = 0; i < FLIGHTS; i++) {
		if (client_err == ERR_BUSY)
			client_err = tls_shake(client);
		pass(client, server, changes, &at);
		if (server_err == ERR_BUSY)
			server_err = tls_shake(server);
		pass(server, client, changes, &at);
	}
	require(changes.size >= 3 || (client_err == OK && server_err == OK));
	tls_free(client);
	tls_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	shake((struct slice) { data, size }, true);
	shake((struct slice) { data, size }, false);
	change((struct slice) { data, size });
	return 0;
}
