/* What many clients may take of an agent's memory together: testing_world.h has the stage. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "streams/testing_world.h"

enum {
	ROOM_BYTES = 8 << 20,
	BATCH_BYTES = 1000 * 1000,
	BATCHES = 8,
	IDLERS = 8,
	FETCHES = 6, /* of each: the kernel takes some MiB for those who do not */
	SLOW_MS = 300,
	SMALL_WINDOW_BYTES = 4096,
};

static struct testing_world w;
static struct testing_client c;

static void set_up(void)
{
	testing_world_open(&w, 0);
	testing_client_open(&c, &w);
	w.agent->answers.max = w.agent->requests.max = ROOM_BYTES;
}

/* Nothing is kept of anybody. */
static void tear_down(void)
{
	testing_client_close(&c);
	WAIT_FOR(&w, w.agent->connection_count == 0);
	assert_int_equal(w.agent->answers.used, 0);
	assert_int_equal(w.agent->requests.used, 0);
	testing_world_close(&w);
}

/* A client that takes nothing until its stream is resumed. */
static void idler_open(struct testing_client *idler)
{
	static const struct stream_owner owner = {
		.on_readable = testing_client_readable,
		.on_end = testing_client_end,
	};
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(w.port) };
	int bytes = SMALL_WINDOW_BYTES;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	*idler = (struct testing_client) { .world = &w };
	buf_init(&idler->in);
	arena_init(&idler->arena);
	idler->stream = stream_open_fd(w.loop, fd, "idler");
	stream_pause(idler->stream);
	stream_set_owner(idler->stream, &owner, idler);
}

static void produce_much(void)
{
	for (int i = 0; i < BATCHES; i++)
		testing_produce(&c, "alpha", 0,
				testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "much", i, 1,
						 BATCH_BYTES),
				i);
}

static const struct testing_fetch everything = { .topic = "alpha",
						 .max_wait_ms = 100,
						 .partition_max_bytes = 50 << 20 };

static void idlers_fetch(struct testing_client idlers[IDLERS])
{
	for (int i = 0; i < IDLERS; i++) {
		idler_open(&idlers[i]);
		for (int k = 0; k < FETCHES; k++)
			testing_send_fetch(&idlers[i], everything);
	}
	testing_run_ms(&w, 300);
}

static void test_answers_nobody_takes_are_bounded(void **state)
{
	struct testing_client idlers[IDLERS];

	(void)state;
	set_up();
	produce_much();
	idlers_fetch(idlers);
	assert_true(room_is_wanted(&w.agent->answers));
	assert_true(w.agent->answers.used <= ROOM_BYTES + 64 * 1024);
	assert_true(w.agent->answers.used > ROOM_BYTES / 2);
	/* Who does not want any of it is served at once. */
	struct testing_fetch end = everything;
	end.offset = BATCHES;
	assert_int_equal(testing_fetch(&c, end)->records.size, 0);
	for (int i = 0; i < IDLERS; i++)
		testing_client_close(&idlers[i]);
	tear_down();
}

static void test_who_takes_its_answers_makes_room_for_the_next(void **state)
{
	struct testing_client idlers[IDLERS];

	(void)state;
	set_up();
	produce_much();
	idlers_fetch(idlers);
	for (int i = 0; i < IDLERS; i++)
		stream_resume(idlers[i].stream);
	for (int i = 0; i < IDLERS * FETCHES; i++)
		assert_true(testing_receive_fetch(&idlers[i % IDLERS])->records.size >=
			    BATCH_BYTES);
	for (int i = 0; i < IDLERS; i++)
		testing_client_close(&idlers[i]);
	tear_down();
}

static void test_who_takes_nothing_for_long_makes_room_too(void **state)
{
	struct testing_client idlers[IDLERS];

	(void)state;
	set_up();
	w.agent->slow_ms = SLOW_MS;
	produce_much();
	idlers_fetch(idlers);
	struct slice records = testing_fetch(&c, everything)->records;
	assert_true(records.size >= BATCH_BYTES);
	assert_true(w.agent->connection_count < IDLERS + 1);
	for (int i = 0; i < IDLERS; i++)
		testing_client_close(&idlers[i]);
	tear_down();
}

/* --- requests -------------------------------------------------------------------------------- */

/* The beginning of a request of so many bytes. */
static void announce(struct testing_client *client, uint32_t length)
{
	uint8_t bytes[6];

	put_u32(bytes, length);
	put_u16(bytes + 4, KAFKA_API_PRODUCE);
	stream_write(client->stream, (struct slice) { bytes, sizeof(bytes) });
}

static void test_a_request_that_has_begun_is_read_and_others_wait(void **state)
{
	enum { LARGE_BYTES = 900 * 1000 };
	struct testing_client others[2];
	struct slice batch;

	(void)state;
	set_up();
	w.agent->requests.max = 1 << 20;
	for (int i = 0; i < 2; i++)
		testing_client_open(&others[i], &w);
	announce(&others[0], LARGE_BYTES);
	testing_run_ms(&w, 20);
	batch = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "large", 0, 1, LARGE_BYTES);
	testing_send_produce(&others[1], "beta", 0, batch, -1);
	testing_run_ms(&w, 50);
	assert_false(testing_has_answer(&others[1]));
	assert_int_equal(w.agent->requests.used, LARGE_BYTES);
	/* Small ones need no room that is waited for. */
	testing_produce(&c, "beta", 0, testing_batch(&c.arena, "small", 0, 1), 0);
	/* Somebody gives up: the next one is read. */
	testing_client_close(&others[0]);
	assert_int_equal(testing_receive_produce(&others[1])->base_offset, 1);
	testing_client_close(&others[1]);
	tear_down();
}

static void test_a_request_that_does_not_arrive_makes_room(void **state)
{
	enum { LARGE_BYTES = 900 * 1000 };
	struct testing_client silent;

	(void)state;
	set_up();
	w.agent->requests.max = 1 << 20;
	w.agent->slow_ms = SLOW_MS;
	testing_client_open(&silent, &w);
	announce(&silent, LARGE_BYTES);
	testing_run_ms(&w, 2 * SLOW_MS);
	assert_false(silent.is_ended); /* nobody wants its room */
	testing_produce(&c, "beta", 0,
			testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "large", 0, 1, LARGE_BYTES),
			0);
	WAIT_FOR(&w, silent.is_ended);
	testing_client_close(&silent);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_nobody_takes_are_bounded),
		cmocka_unit_test(test_who_takes_its_answers_makes_room_for_the_next),
		cmocka_unit_test(test_who_takes_nothing_for_long_makes_room_too),
		cmocka_unit_test(test_a_request_that_has_begun_is_read_and_others_wait),
		cmocka_unit_test(test_a_request_that_does_not_arrive_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
