/* Any bytes from anywhere, and inside boxes that an end sealed.  Two bytes say which, and how long
 * it is. */
#include <assert.h>
#include <stdlib.h>

#include "base/random.h"
#include "mesh/relay/peer_relay.h"
#include "wire/crypto/x25519.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECOND UINT64_C(1000000)

static void seeded(void *context, void *ret, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)ret)[i] = (uint8_t)prng_next(context);
}

static void seal(struct buf *packet, const struct disco_relay *session, const uint8_t secret[32],
		 struct slice plain)
{
	uint8_t shared[BOX_KEY_BYTES], nonce[BOX_NONCE_BYTES] = { 0 };
	struct disco_message ping = { .type = DISCO_PING };
	struct mesh_key sender;

	x25519_public(secret, sender.bytes);
	if (!box_shared(secret, session->server.bytes, shared))
		abort();
	disco_seal(packet, shared, &sender, nonce, &ping);
	packet->size = GENEVE_BYTES + DISCO_HEADER_BYTES;
	box_seal(shared, nonce, plain, buf_reserve(packet, plain.size + BOX_TAG_BYTES));
	packet->size += plain.size + BOX_TAG_BYTES;
}

static void step(struct peer_relay *r, const struct disco_relay *session, uint8_t what,
		 struct slice in, uint64_t now_us)
{
	static const uint8_t secrets[2][32] = { { 8, 1 }, { 16, 2 } };
	struct endpoint from = endpoint_ip4(192, 0, 2, what >> 4, 41641), to;
	uint8_t header[GENEVE_BYTES];
	struct buf packet;
	struct slice out;

	buf_init(&packet);
	geneve_put(header, &(struct geneve) { GENEVE_DISCO, session->vni, what & 2 });
	if (what & 4)
		buf_add(&packet, header, sizeof(header));
	if ((what & 6) == 6)
		seal(&packet, session, secrets[what & 1], in);
	else
		buf_add_slice(&packet, in);
	if (peer_relay_received(r, &from, buf_slice(&packet), now_us, &to, &out))
		assert(out.size <= packet.size || what & 2);
	buf_done(&packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prng prng = { 1 };
	struct peer_relay_config config = { .disco_secret = { { 24, 3 } },
					    .random = seeded,
					    .random_context = &prng };
	struct peer_relay *r = peer_relay_new(&config);
	struct slice in = { data, size };
	struct mesh_key clients[2];
	struct disco_relay session;
	uint64_t now_us = SECOND;

	x25519_public((const uint8_t[32]) { 8, 1 }, clients[0].bytes);
	x25519_public((const uint8_t[32]) { 16, 2 }, clients[1].bytes);
	for (int i = 0; in.size >= 2 && i < 64; i++) {
		uint8_t what = in.data[0], length = in.data[1];

		if (peer_relay_allocate(r, &clients[0], clients, now_us, &session))
			abort();
		in = slice_part(in, 2, in.size);
		step(r, &session, what, slice_part(in, 0, length), now_us);
		in = slice_part(in, length, in.size);
		now_us += SECOND;
		peer_relay_tick(r, now_us);
		assert(peer_relay_deadline_us(r) > now_us);
	}
	peer_relay_free(r);
	return 0;
}
