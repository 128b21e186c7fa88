/* An engine gets any datagrams, any packets and any pauses, from a peer that is real and from
 * whoever; what it says is given to that peer.  The input is a script: operation, length, bytes.
 * seeds: test/corpus/wireguard */
#include <assert.h>

#include "base/memory.h"
#include "base/random.h"
#include "mesh/tunnel/tunnel.h"
#include "wire/corpus_fuzz.h"

enum { ROOM = 4096, STEPS_MAX = 200 };

static struct tunnel *tunnels[2];
static struct tunnel_peer *peers[2];
static struct tunnel_now now;

static void draw(void *context, void *ret, size_t size)
{
	uint8_t *bytes = ret;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)prng_next(context);
}

static void set_up(struct prng prngs[2])
{
	uint8_t secret[TUNNEL_KEY_BYTES];

	for (int i = 0; i < 2; i++) {
		struct tunnel_options o = {
			.mtu = 1280, .has_control = i, .random = draw, .context = &prngs[i]
		};
		prngs[i].state = (uint64_t)i + 1;
		tunnels[i] = tunnel_new(&o);
		memset(secret, 0x40 + i, sizeof(secret));
		tunnel_set_secret(tunnels[i], secret);
	}
	for (int i = 0; i < 2; i++) {
		struct ip_prefix all = { .ip = { .family = i ? IP_V4 : IP_V6 } };
		enum err err =
			tunnel_add_peer(tunnels[i], tunnel_public(tunnels[1 - i]), NULL, &peers[i]);
		assert(!err);
		err = tunnel_allow(tunnels[i], peers[i], all);
		assert(!err);
	}
}

static void pass(int from, int depth);

static void give(int to, struct slice datagram, int depth)
{
	uint8_t *copy = memory_take(datagram.size + 1);
	struct tunnel_datagram d = { .data = copy,
				     .size = datagram.size,
				     .from = endpoint_ip4(192, 0, 2, 1, 1) };

	if (datagram.size > 0)
		memcpy(copy, datagram.data, datagram.size);
	tunnel_open(tunnels[to], now, &d, 1);
	assert((d.packet.data != NULL) ==
	       (d.verdict == TUNNEL_PACKET || d.verdict == TUNNEL_CONTROL));
	assert(!d.peer || d.peer == peers[to]);
	if (d.packet.data)
		assert(d.packet.data >= d.data && d.packet.size <= d.size - 32);
	memory_free(copy);
	pass(to, depth);
}

static void pass(int from, int depth)
{
	struct tunnel_effect e;

	while (tunnel_next(tunnels[from], &e))
		if (e.kind == TUNNEL_SEND && depth > 0)
			give(1 - from, (struct slice) { e.data, e.size }, depth - 1);
}

static void say(int from, struct slice bytes, bool is_delivered)
{
	uint8_t room[ROOM + TUNNEL_HEAD_BYTES + TUNNEL_TAIL_BYTES];
	struct tunnel_packet p = { room + TUNNEL_HEAD_BYTES, bytes.size };

	if (bytes.size > 0)
		memcpy(p.data, bytes.data, bytes.size);
	if (tunnel_seal(tunnels[from], now, peers[from], &p, 1) && is_delivered)
		give(1 - from, (struct slice) { p.data, p.size }, 4);
	pass(from, is_delivered ? 4 : 0);
}

static void step(const uint8_t **data, size_t *size)
{
	uint8_t operation = (*data)[0];
	size_t bytes = (*data)[1];
	int side = operation >> 4 & 1;

	*data += 2;
	*size -= 2;
	if (bytes > *size)
		bytes = *size;
	struct slice s = { *data, bytes };
	switch (operation & 7) {
	case 0:
		give(side, s, 4);
		break;
	case 1:
	case 2:
		say(side, s, operation & 1);
		break;
	case 3:
		now.ms += bytes * 1000;
		now.wall_ms += (int64_t)bytes * 1000;
		tunnel_tick(tunnels[side], now);
		pass(side, 4);
		break;
	case 4:
		tunnel_greet(tunnels[side], now, peers[side]);
		pass(side, 4);
		break;
	case 5:
		tunnel_set_keepalive(tunnels[side], now, peers[side], (uint16_t)bytes);
		pass(side, 4);
		break;
	default:
		now.ms += bytes;
		break;
	}
	*data += bytes;
	*size -= bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prng prngs[2];

	now = (struct tunnel_now) { 1000, 1700000000000 };
	set_up(prngs);
	if (size <= ROOM)
		give(0, (struct slice) { data, size }, 4);
	for (int i = 0; size >= 2 && i < STEPS_MAX; i++)
		step(&data, &size);
	for (int i = 0; i < 2; i++) {
		assert(tunnel_deadline(tunnels[i]) > 0);
		tunnel_free(tunnels[i]);
	}
	return 0;
}
