/* Agents that come to a node that does not lead. */
#include "streams/coordinator/redirect.h"

#include <sys/socket.h>
#include <unistd.h>

#include "peer_messages.h"
#include "streams/coordinator/coordinator_testing.h"
#include "streams/coordinator/unsure.h"
#include "wire/peer/frame.h"

/* An agent's end of a session. */
struct caller {
	struct town *town;
	struct stream *stream;
	struct arena arena;
	struct peer_hello_response answer;
	bool is_answered, has_ended;
};

static void on_readable(void *context, struct stream *s)
{
	struct caller *c = context;
	struct slice in = stream_inbox(s);
	struct frame frame;

	if (frame_decode(&in, &frame))
		return;
	frame.body = arena_copy(&c->arena, frame.body);
	assert_int_equal(frame_decode_body(&c->arena, &frame, &peer_hello_response_schema,
					   &c->answer),
			 OK);
	stream_consume(s, stream_inbox(s).size - in.size);
	c->is_answered = true;
	loop_stop(c->town->loop);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct caller *c = context;

	(void)err;
	stream_close(s);
	c->stream = NULL;
	c->has_ended = true;
	loop_stop(c->town->loop);
}

static const struct stream_owner owner = { .on_readable = on_readable, .on_end = on_end };

static void write_hello(struct stream *s, bool follows)
{
	struct peer_hello_request hello = { .node = SLICE("agent"),
					    .kafka_host = SLICE("127.0.0.1"),
					    .kafka_port = 9092,
					    .site = SLICE("here"),
					    .follows = follows };
	struct buf frame;

	buf_init(&frame);
	assert_int_equal(frame_encode(&frame, &peer_hello_request_schema, 0, 7, &hello), OK);
	stream_write_buf(s, &frame);
	buf_done(&frame);
}

static void caller_open(struct caller *c, struct town *town, bool follows)
{
	int fds[2];

	*c = (struct caller) { .town = town };
	arena_init(&c->arena);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	c->stream = stream_open_fd(town->loop, fds[0], "control");
	stream_set_owner(c->stream, &owner, c);
	coordinator_accept(town->coordinator, stream_open_fd(town->loop, fds[1], "agent"));
	write_hello(c->stream, follows);
}

static void caller_close(struct caller *c)
{
	if (c->stream)
		stream_close(c->stream);
	arena_done(&c->arena);
}

static bool is_quiet(struct caller *c)
{
	return !town_wait_ms(c->town, &c->is_answered, 50) && !c->has_ended;
}

static void test_who_can_follow_is_told_where_and_the_session_ends(void **state)
{
	struct town town;
	struct caller c;

	(void)state;
	town_open(&town, 3);
	coordinator_on_lost(town.coordinator, "another leads");
	coordinator_set_leader(town.coordinator, "192.0.2.7:9192");
	caller_open(&c, &town, true);
	town_wait(&town, &c.is_answered, "the answer");
	assert_int_equal(c.answer.error, ERR_UNAVAILABLE);
	assert_true(slice_equal(c.answer.leader, SLICE("192.0.2.7:9192")));
	town_wait(&town, &c.has_ended, "the session");
	caller_close(&c);
	town_close(&town);
}

static void test_who_came_before_the_leader_was_known_is_told_then(void **state)
{
	struct town town;
	struct caller c;

	(void)state;
	town_open(&town, 4);
	coordinator_on_lost(town.coordinator, "who knows");
	caller_open(&c, &town, true);
	assert_true(is_quiet(&c));
	coordinator_set_leader(town.coordinator, "192.0.2.7:9192");
	town_wait(&town, &c.is_answered, "the answer");
	assert_true(slice_equal(c.answer.leader, SLICE("192.0.2.7:9192")));
	caller_close(&c);
	town_close(&town);
}

static void test_who_cannot_follow_waits_until_this_node_leads(void **state)
{
	struct town town;
	struct caller c;

	(void)state;
	town_open(&town, 5);
	coordinator_on_lost(town.coordinator, "another leads");
	coordinator_set_leader(town.coordinator, "192.0.2.7:9192");
	caller_open(&c, &town, false);
	assert_true(is_quiet(&c));
	coordinator_on_leading(town.coordinator);
	town_wait(&town, &c.is_answered, "the answer");
	assert_int_equal(c.answer.error, OK);
	assert_int_equal(c.answer.leader.size, 0);
	assert_true(c.answer.incarnation > 0);
	caller_close(&c);
	town_close(&town);
}

/* The next leader would believe to remember what this one does not. */
static void test_nobody_is_to_follow_before_forgotten_lives_are_noted(void **state)
{
	struct town town;
	struct caller c;
	bool never = false;

	(void)state;
	town_open(&town, 6);
	caller_open(&c, &town, false);
	town_wait(&town, &c.is_answered, "the answer");
	int64_t next = unsure_next_incarnation(leader_cell(town.leader));
	assert_true(coordinator_has_noted_lives(town.coordinator));
	caller_close(&c);
	coordinator_on_lost(town.coordinator, "as if somebody else had led");
	fault_add(town.bucket, &(struct fault) { .effect = FAULT_HOLD, .verbs = FAULT_WRITES });
	coordinator_on_leading(town.coordinator); /* the leader's term is a cold one */
	assert_false(town_wait_ms(&town, &never, 30));
	assert_false(coordinator_has_noted_lives(town.coordinator));
	fault_clear(town.bucket);
	fault_release(town.bucket, "");
	for (int i = 0; i < 1000 && !coordinator_has_noted_lives(town.coordinator); i++)
		(void)town_wait_ms(&town, &never, 10);
	assert_true(coordinator_has_noted_lives(town.coordinator));
	assert_int_equal(unsure_next_incarnation(leader_cell(town.leader)),
			 next + INCARNATION_SKIP);
	town_close(&town);
}

static void test_what_is_no_whole_hello_is_left_alone(void **state)
{
	struct loop *loop = loop_new(0);
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct stream *s = stream_open_fd(loop, fds[0], "agent");
	assert_false(redirect_hello(s, "192.0.2.7:9192"));
	stream_close(s);
	loop_run(loop);
	close(fds[1]);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_can_follow_is_told_where_and_the_session_ends),
		cmocka_unit_test(test_who_came_before_the_leader_was_known_is_told_then),
		cmocka_unit_test(test_who_cannot_follow_waits_until_this_node_leads),
		cmocka_unit_test(test_nobody_is_to_follow_before_forgotten_lives_are_noted),
		cmocka_unit_test(test_what_is_no_whole_hello_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
