/* Any bytes as datagrams of anybody: to the sockets, through the relay, from the router, and inside
 * boxes that a peer of the netmap sealed, which is a peer relay too.  Two bytes say what, and how
 * long it is. */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "mesh/paths/private.h"
#include "wire/crypto/x25519.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mesh_key secret = { { 8, 1 } }, other_secret = { { 16, 2 } },
			     other_node = { { 3 } };

static void seeded(void *context, void *ret, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)ret)[i] = (uint8_t)prng_next(context);
}

static void start_via(struct paths_peer *peer)
{
	uint8_t address[ENDPOINT_WIRE_BYTES] = { [0] = 0x20, [17] = 1 };
	struct disco_message m = {
		.type = DISCO_CALL_ME_MAYBE_VIA,
		.endpoints = { address, sizeof(address) },
		.relay = { .server = peer->disco,
			   .clients = { peer->disco, peer->paths->disco_public },
			   .vni = 1 },
	};

	via_called(peer, &m, SECOND);
	assert(via_find(peer, 1));
}

static struct paths *engine(struct prng *prng)
{
	struct paths_config config = {
		.disco_secret = secret,
		.random = seeded,
		.random_context = prng,
	};
	struct paths_region region = {
		.id = 1,
		.stun = { endpoint_ip4(192, 0, 2, 1, 3478), endpoint_ip4(192, 0, 2, 2, 3478) },
		.stun_count = 2,
	};
	struct paths_local local = {
		.addresses = { endpoint_ip4(10, 0, 0, 2, 41641) },
		.count = 1,
		.gateway = endpoint_ip4(10, 0, 0, 1, 0),
		.to_gateway = endpoint_ip4(10, 0, 0, 2, 0),
	};
	struct paths_peer_facts facts = {
		.node = other_node, .home = 1, .is_peer_relay = true, .is_relay_client = true
	};
	struct paths *p = paths_new(&config, SECOND);

	x25519_public(other_secret.bytes, facts.disco.bytes);
	paths_set_regions(p, &region, 1, SECOND);
	paths_network_changed(p, &local, SECOND);
	assert(paths_put_peer(p, &facts, SECOND));
	start_via(paths_find_peer(p, &other_node));
	return p;
}

/* The plain text of a disco message, as the peer would seal it. */
static void seal_plain(struct paths *p, struct slice plain, struct buf *packet)
{
	uint8_t shared[BOX_KEY_BYTES], nonce[BOX_NONCE_BYTES] = { 0 };
	struct disco_message ping = { .type = DISCO_PING };
	struct mesh_key sender;
	size_t before = packet->size;
	uint8_t *sealed;

	x25519_public(other_secret.bytes, sender.bytes);
	if (!box_shared(other_secret.bytes, paths_disco_public(p)->bytes, shared))
		abort();
	disco_seal(packet, shared, &sender, nonce, &ping);
	packet->size = before + DISCO_HEADER_BYTES;
	sealed = buf_reserve(packet, plain.size + BOX_TAG_BYTES);
	box_seal(shared, nonce, plain, sealed);
	packet->size += plain.size + BOX_TAG_BYTES;
}

static void step(struct paths *p, uint8_t what, struct slice bytes, uint64_t now_us)
{
	struct endpoint from = endpoint_ip4(192, 0, 2, (uint8_t)(what >> 4), 3478);
	struct paths_peer *peer = paths_find_peer(p, &other_node);
	struct paths_route route;
	struct paths_from way;
	uint8_t header[GENEVE_BYTES];
	struct buf packet;

	buf_init(&packet);
	if (what >= 0xe0) {
		geneve_put(header, &(struct geneve) { GENEVE_DISCO, 1, what >= 0xf0 });
		buf_add(&packet, header, sizeof(header));
	}
	if (what & 1)
		seal_plain(p, bytes, &packet);
	else
		buf_add_slice(&packet, bytes);
	bytes = buf_slice(&packet);
	if (what & 2)
		from = endpoint_ip4(10, 0, 0, 1, 5351);
	if (what & 4)
		paths_relay_received(p, 1, &other_node, bytes, now_us, &way, &peer);
	else
		paths_received(p, 0, &from, &bytes, now_us, &way, &peer);
	if (what & 8)
		paths_route(p, paths_find_peer(p, &other_node), now_us, &route);
	buf_done(&packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prng prng = { 1 };
	struct paths *p = engine(&prng);
	struct slice in = { data, size };
	uint64_t now_us = SECOND, deadline_us;
	struct paths_effect effect;

	for (int i = 0; in.size >= 2 && i < 64; i++) {
		uint8_t what = in.data[0], length = in.data[1];

		in = slice_part(in, 2, in.size);
		step(p, what, slice_part(in, 0, length), now_us);
		in = slice_part(in, length, in.size);
		now_us += 300 * MS;
		deadline_us = paths_deadline_us(p);
		if (deadline_us <= now_us)
			paths_tick(p, now_us);
		assert(paths_deadline_us(p) > now_us);
		while (paths_next(p, &effect))
			assert(effect.kind <= PATHS_ALLOCATE);
	}
	paths_free(p);
	return 0;
}
