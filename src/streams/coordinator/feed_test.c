/* What control feeds an agent, and how patient it is with one that does not take it. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer_messages.h"
#include "streams/coordinator/coordinator_testing.h"
#include "wire/peer/frame.h"

enum { FEED_BYTES = 64 * 1024, SOME_MS = 30 };

struct visitor {
	struct town *town;
	struct arena arena;
	struct buf in;
	int fd;
	int64_t image_index, image_bytes, image_total;
	int64_t last_index; /* of the records */
	int64_t hello_count;
	bool is_ended;
};

static void visitor_open(struct visitor *v, struct town *town)
{
	int fds[2];

	*v = (struct visitor) { .town = town };
	arena_init(&v->arena);
	buf_init(&v->in);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	v->fd = fds[1];
	coordinator_accept(town->coordinator, stream_open_fd(town->loop, fds[0], "unix"));
}

static void visitor_close(struct visitor *v)
{
	close(v->fd);
	buf_done(&v->in);
	arena_done(&v->arena);
}

static void wait_some(struct town *town)
{
	bool never = false;

	town_wait_ms(town, &never, SOME_MS);
}

static void say(struct visitor *v, const struct schema *schema, uint32_t id, const void *value)
{
	struct buf frame;

	buf_init(&frame);
	assert_int_equal(frame_encode(&frame, schema, 0, id, value), OK);
	assert_int_equal(write(v->fd, frame.data, frame.size), frame.size);
	buf_done(&frame);
	wait_some(v->town);
}

static void say_hello(struct visitor *v, int64_t incarnation)
{
	say(v, &peer_hello_request_schema, 1,
	    &(struct peer_hello_request) { .node = SLICE("n"),
					   .kafka_host = SLICE("127.0.0.1"),
					   .kafka_port = 9092,
					   .site = SLICE("here"),
					   .incarnation = incarnation });
}

static void follow(struct visitor *v)
{
	say(v, &peer_follow_request_schema, 2, &(struct peer_follow_request) { 0 });
}

static void take_snapshot(struct visitor *v, const struct frame *frame)
{
	struct peer_snapshot_push part;

	assert_int_equal(frame_decode_body(&v->arena, frame, &peer_snapshot_push_schema, &part),
			 OK);
	assert_int_equal(part.offset, v->image_bytes);
	v->image_index = v->last_index = part.index;
	v->image_bytes += (int64_t)part.bytes.size;
	v->image_total = part.total_bytes;
}

static void take_record(struct visitor *v, const struct frame *frame)
{
	struct peer_record_push record;

	assert_int_equal(frame_decode_body(&v->arena, frame, &peer_record_push_schema, &record),
			 OK);
	assert_int_equal(v->image_bytes, v->image_total);
	assert_int_equal(record.index, ++v->last_index);
}

static void take_frames(struct visitor *v)
{
	struct slice in = buf_slice(&v->in);
	struct frame frame;

	while (frame_decode(&in, &frame) == OK) {
		if (frame.message == PEER_SNAPSHOT_PUSH)
			take_snapshot(v, &frame);
		else if (frame.message == PEER_RECORD_PUSH)
			take_record(v, &frame);
		else if (frame.message == PEER_HELLO_RESPONSE)
			v->hello_count++;
	}
	buf_drop_front(&v->in, v->in.size - in.size);
}

/* All that is there, until nothing more comes. */
static void listen_to(struct visitor *v)
{
	static uint8_t bytes[256 * 1024];
	int quiet = 0;

	while (quiet < 3 && !v->is_ended) {
		ssize_t n = read(v->fd, bytes, sizeof(bytes));
		v->is_ended = n == 0;
		if (n > 0)
			buf_add(&v->in, bytes, (size_t)n);
		quiet = n > 0 ? 0 : quiet + 1;
		if (n < 0)
			wait_some(v->town);
	}
	take_frames(v);
}

static enum err fill(struct cell *cell, void *argument)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
			       " WHERE i < 8000) INSERT INTO group_offset (consumer_group, topic,"
			       " partition, committed_offset, leader_epoch, metadata, commit_ms)"
			       " SELECT ?1, i, 0, 0, 0, hex(zeroblob(100)), 0 FROM n");

	cell_bind_int(st, 1, *(int64_t *)argument);
	return cell_execute(cell, st);
}

static enum err touch(struct cell *cell, void *argument)
{
	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE group_offset SET committed_offset = ?1 WHERE id = 1");

	cell_bind_int(st, 1, 1000 + *(int64_t *)argument);
	return cell_execute(cell, st);
}

static void fill_cell(struct town *town, int64_t group)
{
	assert_int_equal(town_run(town, fill, &group), OK);
}

static void open_town(struct town *town, struct visitor *v)
{
	memset(town, 0, sizeof(*town));
	town->feed_bytes_max = FEED_BYTES;
	town_begin(town, 1);
	visitor_open(v, town);
	say_hello(v, 0);
}

/* A large cell must not be the end of an agent. */
static void test_an_image_may_be_larger_than_what_an_agent_may_owe(void **state)
{
	struct visitor v;
	struct town town;

	(void)state;
	open_town(&town, &v);
	fill_cell(&town, 1);
	follow(&v);
	listen_to(&v);
	assert_false(v.is_ended);
	assert_true(v.image_total > 10 * FEED_BYTES);
	assert_int_equal(v.image_bytes, v.image_total);
	fill_cell(&town, 2);
	listen_to(&v);
	assert_int_equal(v.last_index, v.image_index + 1);
	visitor_close(&v);
	town_close(&town);
}

/* The loop makes a part of an image when the part before is taken, so others are served meanwhile.
 */
static void test_records_come_after_an_image_that_is_taken_slowly(void **state)
{
	struct visitor slow, quick;
	struct town town;

	(void)state;
	open_town(&town, &slow);
	for (int64_t i = 1; i <= 12; i++)
		fill_cell(&town, i);
	follow(&slow);
	visitor_open(&quick, &town);
	say_hello(&quick, 0);
	listen_to(&quick);
	assert_int_equal(quick.hello_count, 1);
	for (int64_t i = 0; i < 3; i++)
		assert_int_equal(town_run(&town, touch, &i), OK);
	listen_to(&slow);
	assert_false(slow.is_ended);
	assert_true(slow.image_total > 16 << 20);
	assert_int_equal(slow.image_bytes, slow.image_total);
	assert_true(slow.last_index >= slow.image_index + 3);
	visitor_close(&quick);
	visitor_close(&slow);
	town_close(&town);
}

static void test_an_agent_that_takes_nothing_is_cut_off(void **state)
{
	struct visitor v;
	struct town town;

	(void)state;
	open_town(&town, &v);
	follow(&v);
	for (int64_t i = 1; i < 10; i++)
		fill_cell(&town, i);
	listen_to(&v);
	assert_true(v.is_ended);
	visitor_close(&v);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_image_may_be_larger_than_what_an_agent_may_owe),
		cmocka_unit_test(test_records_come_after_an_image_that_is_taken_slowly),
		cmocka_unit_test(test_an_agent_that_takes_nothing_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
