/* Any bytes as a packet, and as what stands inside one.  What can be read is the same after it was
 * written and read again.
 * seeds: test/corpus/disco */
#include <assert.h>

#include "base/memory.h"
#include "wire/corpus_fuzz.h"
#include "wire/crypto/x25519.h"
#include "wire/disco/disco.h"

static void read_again(const struct disco_message *m)
{
	struct disco_message again;
	struct buf first, second;

	if (m->padding > DISCO_PADDING_BYTES_MAX || disco_endpoint_count(m) > DISCO_ENDPOINTS_MAX)
		return;
	buf_init(&first);
	buf_init(&second);
	disco_put(&first, m);
	assert(disco_get(buf_slice(&first), &again) == OK);
	disco_put(&second, &again);
	assert(slice_equal(buf_slice(&first), buf_slice(&second)));
	buf_done(&first);
	buf_done(&second);
}

/* The receiver of the packets in the corpus. */
static const uint8_t *corpus_key(void)
{
	static uint8_t shared[BOX_KEY_BYTES];
	static bool is_there;
	uint8_t a[32], b[32], a_public[32];

	if (is_there)
		return shared;
	for (int i = 0; i < 32; i++) {
		a[i] = (uint8_t)i;
		b[i] = (uint8_t)(100 + i);
	}
	x25519_public(a, a_public);
	is_there = box_shared(b, a_public, shared);
	assert(is_there);
	return shared;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { data, size };
	struct disco_message m;
	uint8_t *room = memory_take(size + 1);

	if (disco_is_packet(in) && disco_open(corpus_key(), in, room, &m) == OK)
		read_again(&m);
	if (disco_get(in, &m) == OK)
		read_again(&m);
	memory_free(room);
	return 0;
}
