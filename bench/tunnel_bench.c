/* What the engine of the tunnel costs for each packet, sealing and opening, without any device or
 * socket: on one thread, and on several with the work handed out as a host does it. */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mesh/lanes/lanes.h"

enum {
	ROUNDS = 7,
	BATCH = 46, /* what becomes of 64 KiB of a flow */
	BATCHES = 400,
	BURST = 16, /* batches that come together */
	BEHIND = 3, /* and are sealed while the next one is read */
	ROOM_BYTES = 2048,
	NAME_WIDTH = 40
};

static struct tunnel_now now = { 1000, 1700000000000 };

struct side {
	struct tunnel *tunnel;
	struct tunnel_peer *peer;
};

static struct side sides[2];
static uint8_t rooms[BURST][BATCH][ROOM_BYTES];
static struct tunnel_packet sealed[BURST][BATCH];
static size_t sealed_count, opened_count;

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

static void fill(int batch, struct tunnel_packet *packets, size_t size)
{
	for (size_t i = 0; i < BATCH; i++) {
		uint8_t *p = rooms[batch][i] + TUNNEL_HEAD_BYTES;
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
			fill(k % BURST, packets, size);
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

/* --- several threads ------------------------------------------------------------------------- */
static void on_sealed(void *context, struct tunnel_peer *peer, struct tunnel_packet *packets,
		      size_t count)
{
	(void)context;
	(void)peer;
	memcpy(sealed[sealed_count++], packets, count * sizeof(packets[0]));
}

static void on_opened(void *context, struct lanes_incoming *batch)
{
	(void)context;
	for (size_t i = 0; i < batch->count; i++)
		opened_count += batch->datagrams[i].verdict == TUNNEL_PACKET;
}

static uint64_t seal_burst(struct lanes *l, size_t size)
{
	struct tunnel_packet packets[BATCH];
	uint64_t marks[BURST], start = clock_now_us();

	sealed_count = 0;
	for (int k = 0; k < BURST; k++) {
		if (k >= BEHIND)
			lanes_finish_sealing(l, marks[k - BEHIND]);
		fill(k, packets, size);
		lanes_seal(l, now, sides[0].peer, packets, BATCH);
		marks[k] = lanes_mark(l);
	}
	lanes_finish_sealing(l, lanes_mark(l));
	return clock_now_us() - start;
}

static uint64_t open_burst(struct lanes *l)
{
	uint64_t start = clock_now_us();

	opened_count = 0;
	for (int k = 0; k < BURST; k++) {
		struct lanes_incoming *in = lanes_incoming(l);
		for (size_t i = 0; i < BATCH; i++)
			in->datagrams[in->count++] =
				(struct tunnel_datagram) { .data = sealed[k][i].data,
							   .size = sealed[k][i].size };
		lanes_open(l, now);
	}
	lanes_finish_opening(l, now);
	return clock_now_us() - start;
}

static bool measure_threads(unsigned threads, size_t size)
{
	struct lanes_options o = { .threads = threads,
				   .on_sealed = on_sealed,
				   .on_opened = on_opened };
	struct lanes *lanes[2];
	double best[2] = { 1e9, 1e9 };
	bool is_right = true;
	char name[NAME_WIDTH];

	for (int i = 0; i < 2; i++) {
		o.tunnel = sides[i].tunnel;
		lanes[i] = lanes_new(&o);
	}
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t us[2] = { 0, 0 };
		for (int k = 0; k < BATCHES / BURST; k++) {
			us[0] += seal_burst(lanes[0], size);
			us[1] += open_burst(lanes[1]);
			is_right = is_right && sealed_count == BURST &&
				   opened_count == (size_t)BURST * BATCH;
		}
		for (int i = 0; i < 2; i++) {
			double ns = (double)us[i] * 1000 / (BATCHES / BURST * BURST * BATCH);
			best[i] = ns < best[i] ? ns : best[i];
		}
	}
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s on %u thread%s", i ? "open" : "seal", threads + 1,
			 threads ? "s" : "");
		print(name, size, best[i]);
		lanes_free(lanes[i]);
	}
	return is_right;
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
	for (unsigned threads = 0; threads <= LANES_THREADS_MAX; threads++)
		if (!measure_threads(threads, 1420)) {
			fprintf(stderr, "not everything came through\n");
			return 1;
		}
	for (int i = 0; i < 2; i++)
		tunnel_free(sides[i].tunnel);
	return 0;
}
