/* Two engines, each with lanes of its own.  What one seals is copied and opened by the other; every
 * packet carries its number, every datagram its counter. */
#include <unistd.h>

#include "base/endian.h"
#include "mesh/lanes/lanes.h"
#include "mesh/tunnel/testing.h"

enum {
	PACKETS = 6000,
	ROOMS = 8192, /* packets under way, by number */
	SIZE_MIN = 64,
	SIZES = 300,
	ROOM_BYTES = 512,
	INDEXES_MAX = 64,
};

/* The counters of one key of the receiver, which are counted up without a gap. */
struct counted {
	uint32_t index;
	uint64_t next;
};

static struct {
	struct lanes *sealing, *opening;
	struct prng prng;
	uint8_t rooms[ROOMS][ROOM_BYTES]; /* packets, where they are sealed */
	uint8_t wire[ROOMS][ROOM_BYTES];  /* datagrams, where they are opened */
	uint64_t given, sealed, arrived;
	struct counted counted[INDEXES_MAX];
	size_t index_count;
	uint64_t verdicts[TUNNEL_VERDICTS];
	bool is_lost;	       /* what is sealed goes nowhere */
	unsigned repeats;      /* one in so many datagrams comes twice; 0: none */
	unsigned breaks;       /* one in so many is not what was sent */
	size_t opened_batches; /* for tests that look when */
} run;

static void assert_counted(const uint8_t *datagram)
{
	uint32_t index = wireguard_receiver(WIREGUARD_TRANSPORT, datagram);
	uint64_t counter = wireguard_counter(datagram);

	for (size_t i = 0; i < run.index_count; i++)
		if (run.counted[i].index == index) {
			assert_int_equal(counter, run.counted[i].next);
			run.counted[i].next++;
			return;
		}
	assert_true(run.index_count < INDEXES_MAX);
	run.counted[run.index_count++] = (struct counted) { index, counter + 1 };
}

static void arrive(const uint8_t *datagram, size_t size, bool is_broken)
{
	struct lanes_incoming *in = lanes_incoming(run.opening);
	static size_t at;
	uint8_t *copy = run.wire[at++ % ROOMS];

	memcpy(copy, datagram, size);
	if (is_broken)
		copy[size - 1] ^= 1;
	((uint64_t *)in->notes)[in->count] = size;
	in->datagrams[in->count++] =
		(struct tunnel_datagram) { .data = copy, .size = size, .from = world.sides[0].at };
	if (in->count == LANES_DATAGRAMS_MAX || prng_below(&run.prng, 50) == 0)
		lanes_open(run.opening, world.now);
}

static void on_sealed(void *context, struct tunnel_peer *peer, struct tunnel_packet *packets,
		      size_t count)
{
	assert_ptr_equal(context, &run);
	assert_ptr_equal(peer, world.sides[0].peer);
	for (size_t i = 0; i < count; i++) {
		assert_counted(packets[i].data);
		run.sealed++;
		if (run.is_lost)
			continue;
		if (run.breaks && prng_below(&run.prng, run.breaks) == 0)
			arrive(packets[i].data, packets[i].size, true);
		arrive(packets[i].data, packets[i].size, false);
		if (run.repeats && prng_below(&run.prng, run.repeats) == 0)
			arrive(packets[i].data, packets[i].size, false);
	}
}

static void on_opened(void *context, struct lanes_incoming *batch)
{
	(void)context;
	run.opened_batches++;
	for (size_t i = 0; i < batch->count; i++) {
		struct tunnel_datagram *d = &batch->datagrams[i];

		assert_int_equal(d->size, ((uint64_t *)batch->notes)[i]);
		run.verdicts[d->verdict]++;
		if (d->verdict != TUNNEL_PACKET)
			continue;
		assert_ptr_equal(d->peer, world.sides[1].peer);
		assert_int_equal(get_u64(d->packet.data + 24), run.arrived); /* in order, once */
		assert_int_equal(d->packet.data[d->packet.size - 1], (uint8_t)run.arrived);
		run.arrived++;
	}
}

static void begin(unsigned threads)
{
	struct lanes_options o = { .threads = threads,
				   .note_bytes = sizeof(uint64_t),
				   .context = &run,
				   .on_sealed = on_sealed,
				   .on_opened = on_opened };

	memset(&run, 0, sizeof(run));
	world_set_up(NULL);
	world_connect();
	run.prng.state = threads + 1;
	o.tunnel = world.sides[0].tunnel;
	run.sealing = lanes_new(&o);
	o.tunnel = world.sides[1].tunnel;
	run.opening = lanes_new(&o);
}

static void end(void)
{
	lanes_free(run.sealing);
	lanes_free(run.opening);
	world_tear_down(NULL);
}

static void seal_some(size_t count)
{
	static const uint8_t from[4] = { 10, 0, 0, 1 }, to[4] = { 10, 0, 0, 2 };
	struct tunnel_packet packets[LANES_PACKETS_MAX];

	for (size_t i = 0; i < count; i++) {
		size_t size = SIZE_MIN + prng_below(&run.prng, SIZES);
		uint64_t number = run.given++;
		uint8_t *p = run.rooms[number % ROOMS] + TUNNEL_HEAD_BYTES;

		world_packet(p, size, from, to, (uint8_t)number);
		put_u64(p + 24, number);
		packets[i] = (struct tunnel_packet) { p, size };
	}
	lanes_seal(run.sealing, world.now, world.sides[0].peer, packets, count);
}

static void finish(void)
{
	lanes_finish_sealing(run.sealing, lanes_mark(run.sealing));
	lanes_finish_opening(run.opening, world.now);
	assert_false(lanes_is_sealing(run.sealing));
}

/* Batches of every size, finished now and then. */
static void send_many(size_t packets)
{
	uint64_t until = run.given + packets;

	while (run.given < until) {
		bool is_small = prng_below(&run.prng, 3) == 0;
		seal_some(1 + prng_below(&run.prng, is_small ? LANES_PIECE : LANES_PACKETS_MAX));
		if (prng_below(&run.prng, 8) == 0)
			lanes_finish_sealing(run.sealing,
					     prng_below(&run.prng, lanes_mark(run.sealing) + 1));
		if (prng_below(&run.prng, 12) == 0)
			finish();
		if (prng_below(&run.prng, 20) == 0)
			usleep(300); /* the others fall asleep */
	}
}

static void test_order_is_kept_and_no_counter_comes_twice(void **state)
{
	(void)state;
	for (unsigned threads = 0; threads <= LANES_THREADS_MAX; threads++) {
		begin(threads);
		send_many(PACKETS);
		finish();
		assert_int_equal(run.sealed, run.given);
		assert_int_equal(run.arrived, run.given);
		assert_int_equal(run.verdicts[TUNNEL_PACKET], run.given);
		assert_int_equal(run.index_count, 1);
		end();
	}
}

static void test_what_is_repeated_or_broken_is_found_on_any_thread(void **state)
{
	(void)state;
	for (unsigned threads = 0; threads <= LANES_THREADS_MAX; threads++) {
		begin(threads);
		run.repeats = 3;
		run.breaks = 5;
		send_many(PACKETS);
		finish();
		assert_int_equal(run.arrived, run.given);
		assert_true(run.verdicts[TUNNEL_REPLAYED] > PACKETS / 6);
		assert_true(run.verdicts[TUNNEL_FORGED] > PACKETS / 10);
		assert_int_equal(run.verdicts[TUNNEL_REPLAYED] + run.verdicts[TUNNEL_FORGED] +
					 run.verdicts[TUNNEL_PACKET],
				 tunnel_count(world.sides[1].tunnel, TUNNEL_REPLAYED) +
					 tunnel_count(world.sides[1].tunnel, TUNNEL_FORGED) +
					 run.given);
		end();
	}
}

/* Handshakes go by while batches with the old keys are under way; and every key counts anew. */
static void test_keys_change_while_threads_are_at_work(void **state)
{
	(void)state;
	for (unsigned threads = 0; threads <= LANES_THREADS_MAX; threads++) {
		begin(threads);
		world.is_quiet = true;
		for (int i = 0; i < 12; i++) {
			world.now.ms += 6000;
			world.now.wall_ms += 6000;
			seal_some(200);
			seal_some(200);
			/* An initiation, its answer, and the first packet with the new key. */
			tunnel_greet_anew(world.sides[0].tunnel, world.now, world.sides[0].peer);
			world_drain(0);
			seal_some(200);
			seal_some(3);
			finish();
		}
		assert_int_equal(run.sealed, run.given);
		assert_int_equal(run.arrived, run.given);
		assert_int_equal(run.index_count, 13);
		end();
	}
}

/* The pair that datagrams were begun with goes twice over before they are looked at. */
static void test_keys_that_are_gone_open_nothing(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= LANES_THREADS_MAX; threads++) {
		begin(threads);
		world.is_quiet = true;
		seal_some(60);
		lanes_finish_sealing(run.sealing, lanes_mark(run.sealing));
		lanes_open(run.opening, world.now);
		size_t before = run.opened_batches;
		for (int i = 0; i < 3; i++) {
			world.now.ms += 6000;
			world.now.wall_ms += 6000;
			tunnel_greet_anew(world.sides[0].tunnel, world.now, world.sides[0].peer);
			world_drain(0);
			world_say_to(0, 40, 1);
		}
		uint64_t packets = run.verdicts[TUNNEL_PACKET];
		finish();
		assert_true(run.opened_batches > before);
		assert_int_equal(packets + run.verdicts[TUNNEL_UNKNOWN], 60);
		assert_true(run.verdicts[TUNNEL_UNKNOWN] > 0);
		end();
	}
}

/* The answer to a handshake, and behind it what was sealed with the pair it makes. */
static void test_a_batch_may_begin_with_the_handshake_of_its_key(void **state)
{
	struct kept answer;

	(void)state;
	begin(2);
	world.is_quiet = true;
	world.now.ms += 6000;
	world.now.wall_ms += 6000;
	/* 1 begins, 0 answers, and sends with the new key once 1 has used it. */
	tunnel_greet_anew(world.sides[1].tunnel, world.now, world.sides[1].peer);
	struct tunnel_effect e;
	assert_true(tunnel_next(world.sides[1].tunnel, &e));
	struct tunnel_datagram d = { .data = e.data, .size = e.size, .from = world.sides[1].at };
	tunnel_open(world.sides[0].tunnel, world.now, &d, 1);
	assert_int_equal(d.verdict, TUNNEL_HANDSHAKE);
	assert_true(tunnel_next(world.sides[0].tunnel, &e));
	memcpy(answer.data, e.data, e.size);
	answer.size = e.size;
	arrive(answer.data, answer.size, false);
	seal_some(50); /* with the old one */
	lanes_finish_sealing(run.sealing, lanes_mark(run.sealing));
	finish();
	assert_int_equal(run.verdicts[TUNNEL_HANDSHAKE], 1);
	assert_int_equal(run.arrived, 50);
	world_drain(1); /* a keepalive with the new key, so 0 uses it, too */
	seal_some(50);
	finish();
	assert_int_equal(run.arrived, 100);
	assert_int_equal(run.index_count, 2);
	end();
}

static void test_a_peer_may_go_while_threads_are_at_work(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= LANES_THREADS_MAX; threads++) {
		for (int after = 0; after < 6; after++) {
			begin(threads);
			run.is_lost = after % 2;
			for (int i = 0; i < 3; i++)
				seal_some(200);
			if (after >= 4)
				usleep(200);
			if (!run.is_lost)
				lanes_finish_sealing(run.sealing, lanes_mark(run.sealing) - 1);
			uint64_t sealed = run.sealed;
			lanes_forget_peer(run.sealing, world.sides[0].peer);
			tunnel_remove_peer(world.sides[0].tunnel, world.sides[0].peer);
			tunnel_remove_peer(world.sides[1].tunnel, world.sides[1].peer);
			uint64_t arrived = run.arrived;
			finish();
			assert_int_equal(run.sealed, sealed);
			assert_int_equal(run.arrived, arrived); /* of nobody any more */
			end();
		}
	}
}

static void test_lanes_may_end_while_threads_are_at_work(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= LANES_THREADS_MAX; threads++) {
		begin(threads);
		for (int i = 0; i < 4; i++)
			seal_some(200);
		lanes_finish_sealing(run.sealing, lanes_mark(run.sealing) - 1);
		end();
	}
}

static void test_a_lone_packet_waits_for_nobody(void **state)
{
	(void)state;
	begin(LANES_THREADS_MAX);
	for (unsigned i = 1; i <= 10; i++) {
		seal_some(1);
		assert_int_equal(run.sealed, i);
		lanes_open(run.opening, world.now);
		assert_int_equal(run.arrived, i);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_is_kept_and_no_counter_comes_twice),
		cmocka_unit_test(test_what_is_repeated_or_broken_is_found_on_any_thread),
		cmocka_unit_test(test_keys_change_while_threads_are_at_work),
		cmocka_unit_test(test_keys_that_are_gone_open_nothing),
		cmocka_unit_test(test_a_batch_may_begin_with_the_handshake_of_its_key),
		cmocka_unit_test(test_a_peer_may_go_while_threads_are_at_work),
		cmocka_unit_test(test_lanes_may_end_while_threads_are_at_work),
		cmocka_unit_test(test_a_lone_packet_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
