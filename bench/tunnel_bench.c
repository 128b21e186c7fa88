/* What the engine of the tunnel costs for each packet, sealing and opening, without any device or
 * socket. */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mesh/tunnel/tunnel.h"

enum { ROUNDS = 7, BATCH = 46, BATCHES = 400, ROOM_BYTES = 2048, NAME_WIDTH = 40 };

static struct tunnel_now now = { 1000, 1700000000000 };

struct side {
	struct tunnel *tunnel;
	struct tunnel_peer *peer;
};

static struct side sides[2];
static uint8_t room[BATCH][ROOM_BYTES];

static void print(const char *what, size_t size, double ns)
{
	printf("%-*s %6zu bytes %8.0f ns %8.2f Gbit/s\n", NAME_WIDTH, what, size, ns,
	       (double)size * 8 / ns);
}

/* Handshakes go over, packets that waited are dropped. */
static void drain(void)
{
	struct tunnel_effect e;

	for (int i = 0; i < 4; i++)
		while (tunnel_next(sides[i % 2].tunnel, &e)) {
			uint8_t copy[ROOM_BYTES];
			struct tunnel_datagram d = { .data = copy, .size = e.size };
			if (e.kind != TUNNEL_SEND)
				continue;
			memcpy(copy, e.data, e.size);
			tunnel_open(sides[1 - i % 2].tunnel, now, &d, 1);
		}
}

static void connect(void)
{
	uint8_t secret[TUNNEL_KEY_BYTES] = { 1 };
	struct ip_prefix any = { .ip = ip_v4(0) };

	for (int i = 0; i < 2; i++) {
		sides[i].tunnel = tunnel_new(&(struct tunnel_options) { .mtu = 1420 });
		secret[1] = (uint8_t)i;
		tunnel_set_secret(sides[i].tunnel, secret);
	}
	for (int i = 0; i < 2; i++)
		if (tunnel_add_peer(sides[i].tunnel, tunnel_public(sides[1 - i].tunnel), NULL,
				    &sides[i].peer) ||
		    tunnel_allow(sides[i].tunnel, sides[i].peer, any))
			return;
	tunnel_greet(sides[0].tunnel, now, sides[0].peer);
	drain();
}

static void fill(struct tunnel_packet *packets, size_t size)
{
	for (size_t i = 0; i < BATCH; i++) {
		uint8_t *p = room[i] + TUNNEL_HEAD_BYTES;
		packets[i] = (struct tunnel_packet) { p, size };
		memset(p, 0, 20);
		p[0] = 0x45;
		p[2] = (uint8_t)(size >> 8);
		p[3] = (uint8_t)size;
	}
}

static bool measure(size_t size)
{
	struct tunnel_packet packets[BATCH];
	struct tunnel_datagram datagrams[BATCH];
	double best_seal = 1e9, best_open = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t seal_us = 0, open_us = 0;
		for (int k = 0; k < BATCHES; k++) {
			fill(packets, size);
			uint64_t start = clock_now_us();
			if (!tunnel_seal(sides[0].tunnel, now, sides[0].peer, packets, BATCH))
				return false;
			uint64_t middle = clock_now_us();
			for (size_t i = 0; i < BATCH; i++)
				datagrams[i] = (struct tunnel_datagram) { .data = packets[i].data,
									  .size = packets[i].size };
			tunnel_open(sides[1].tunnel, now, datagrams, BATCH);
			open_us += clock_now_us() - middle;
			seal_us += middle - start;
			if (datagrams[BATCH - 1].verdict != TUNNEL_PACKET)
				return false;
		}
		double seal_ns = (double)seal_us * 1000 / BATCHES / BATCH;
		double open_ns = (double)open_us * 1000 / BATCHES / BATCH;
		best_seal = seal_ns < best_seal ? seal_ns : best_seal;
		best_open = open_ns < best_open ? open_ns : best_open;
	}
	print("seal", size, best_seal);
	print("open", size, best_open);
	return true;
}

int main(void)
{
	static const size_t sizes[] = { 64, 576, 1280, 1420 };

	connect();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (!measure(sizes[i])) {
			fprintf(stderr, "there is no session\n");
			return 1;
		}
	for (int i = 0; i < 2; i++)
		tunnel_free(sides[i].tunnel);
	return 0;
}
