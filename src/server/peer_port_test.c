/* Who comes in by the peer port, and as what. */
#include "server/peer_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "peer_messages.h"
#include "wire/peer/frame.h"

enum { WAIT_MS = 60000 };

struct rig {
	struct loop *loop;
	struct keyring whole, other;
	struct peer_identity control, agent, stranger;
	struct peer_port *port;
	struct timer tick;
	int agent_count;

	struct task task;
	struct connect connect;
	struct tls_identity *as; /* NULL: in the clear */
	struct heartbeat heartbeat;
	bool beats;
	struct stream *stream;
	bool has_ended;
	struct buf heard;
};

static void on_agent(void *context, struct stream *s)
{
	struct rig *r = context;

	r->agent_count++;
	stream_close(s);
}

static struct heartbeat_answer ask_leader(void *context)
{
	(void)context;
	return (struct heartbeat_answer) { .is_leading = true, .epoch = { 7, 9 } };
}

/* --- the stage ------------------------------------------------------------------------------- */

static void make_keys(struct rig *r)
{
	static const uint8_t root[KEY_BYTES] = { 1 }, other_root[KEY_BYTES] = { 2 };
	struct keyring part;

	keyring_from_root(&r->whole, root);
	keyring_from_root(&r->other, other_root);
	assert_int_equal(keyring_for_role(&r->whole, KEY_ROLE_CONTROL, &part), OK);
	peer_identity_init(&r->control, &part);
	assert_int_equal(keyring_for_role(&r->whole, KEY_ROLE_STREAMS, &part), OK);
	peer_identity_init(&r->agent, &part);
	assert_int_equal(keyring_for_role(&r->other, KEY_ROLE_CONTROL, &part), OK);
	peer_identity_init(&r->stranger, &part);
	keyring_done(&part);
}

static void open_rig(struct rig *r, bool has_keys)
{
	char why[TASK_WHY_BYTES];

	*r = (struct rig) { .loop = loop_new(0) };
	buf_init(&r->heard);
	make_keys(r);
	assert_int_equal(peer_port_open(r->loop,
					&(struct peer_port_config) {
						.host = "127.0.0.1",
						.identity = has_keys ? &r->control : NULL,
						.node = "leader",
						.ask = ask_leader,
						.on_agent = on_agent,
						.context = r,
					},
					&r->port, why),
			 OK);
}

static void close_rig(struct rig *r)
{
	if (r->stream)
		stream_close(r->stream);
	if (r->port)
		peer_port_close(r->port);
	timer_clear(&r->tick);
	loop_run(r->loop);
	loop_free(r->loop);
	peer_identity_done(&r->control);
	peer_identity_done(&r->agent);
	peer_identity_done(&r->stranger);
	buf_done(&r->heard);
}

static void on_tick(struct timer *t)
{
	loop_stop(t->loop);
}

#define WAIT_FOR(r, condition)                                                                     \
	do {                                                                                       \
		uint64_t until_ms_ = clock_now_ms() + WAIT_MS;                                     \
		while (!(condition)) {                                                             \
			if (clock_now_ms() > until_ms_)                                            \
				fail_msg("never came true: %s", #condition);                       \
			timer_set(&(r)->tick, (r)->loop, loop_now_ms((r)->loop) + 1, on_tick);     \
			loop_run((r)->loop);                                                       \
		}                                                                                  \
	} while (0)

/* --- heartbeats ------------------------------------------------------------------------------ */

static enum step beat_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);

	if (t->at == 0) {
		heartbeat_start(&r->heartbeat, t, "127.0.0.1", peer_port_number(r->port), r->as,
				"test", (struct epoch) { 7, 9 });
		return task_wait(t, 1);
	}
	return task_done(t, r->heartbeat.task.err);
}

static const struct task_kind beat_kind = { .name = "beat", .step = beat_step };

static enum err beat(struct rig *r, struct tls_identity *as)
{
	r->as = as;
	task_start_root(&r->task, &beat_kind, r->loop);
	WAIT_FOR(r, r->heartbeat.is_reached || !task_is_running(&r->task));
	bool is_reached = r->heartbeat.is_reached;
	if (task_is_running(&r->task))
		task_cancel(&r->heartbeat.task);
	WAIT_FOR(r, !task_is_running(&r->task));
	return is_reached ? OK : r->task.err;
}

static void test_control_hears_heartbeats_of_control(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, true);
	assert_int_equal(beat(&r, r.control.asks), OK);
	close_rig(&r);
	open_rig(&r, false);
	assert_int_equal(beat(&r, NULL), OK);
	close_rig(&r);
}

static void test_who_has_other_keys_or_none_hears_nothing(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, true);
	assert_int_equal(beat(&r, r.stranger.asks), ERR_DENIED);
	assert_non_null(strstr(r.heartbeat.task.why, "other keys"));
	assert_int_equal(beat(&r, NULL), ERR_UNAVAILABLE);
	assert_int_equal(beat(&r, r.agent.asks), ERR_UNAVAILABLE); /* it is an agent */
	assert_int_equal(r.agent_count, 1);
	close_rig(&r);
	open_rig(&r, false);
	assert_int_equal(beat(&r, r.control.asks), ERR_UNAVAILABLE);
	close_rig(&r);
}

/* --- hello ----------------------------------------------------------------------------------- */

static void on_readable(void *context, struct stream *s)
{
	struct rig *r = context;

	buf_add_slice(&r->heard, stream_inbox(s));
	stream_consume(s, stream_inbox(s).size);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct rig *r = context;

	(void)err;
	stream_close(s);
	r->stream = NULL;
	r->has_ended = true;
}

static void write_hello(struct stream *s)
{
	struct peer_hello_request hello = { .node = SLICE("a"), .kafka_host = SLICE("b") };
	struct buf frame;

	buf_init(&frame);
	assert_int_equal(frame_encode(&frame, &peer_hello_request_schema, 0, 5, &hello), OK);
	stream_write_buf(s, &frame);
	buf_done(&frame);
}

static enum step hello_step(struct task *t)
{
	static const struct stream_owner owner = { .on_readable = on_readable, .on_end = on_end };
	struct rig *r = CONTAINER(t, struct rig, task);
	uint16_t port = peer_port_number(r->port);

	if (t->at == 0) {
		if (r->as)
			connect_tls(&r->connect, t, "127.0.0.1", port, r->as);
		else
			connect_tcp(&r->connect, t, "127.0.0.1", port);
		return task_wait(t, 1);
	}
	if (r->connect.task.err)
		return task_done(t, r->connect.task.err);
	r->stream = r->connect.ret;
	stream_set_owner(r->stream, &owner, r);
	write_hello(r->stream);
	return task_done(t, OK);
}

static const struct task_kind hello_kind = { .name = "hello", .step = hello_step };

static void say_hello(struct rig *r, struct tls_identity *as)
{
	r->as = as;
	r->has_ended = false;
	task_start_root(&r->task, &hello_kind, r->loop);
	WAIT_FOR(r, r->has_ended);
}

static void test_an_agent_is_handed_on(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, true);
	say_hello(&r, r.agent.asks);
	assert_int_equal(r.agent_count, 1);
	close_rig(&r);
}

static void test_control_is_no_agent(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, true);
	say_hello(&r, r.control.asks);
	assert_int_equal(r.agent_count, 0);
	assert_int_equal(r.heard.size, 0);
	close_rig(&r);
}

static void test_without_keys_an_agent_is_told_that_it_takes_some(void **state)
{
	struct peer_hello_response answer;
	struct frame frame;
	struct arena a;
	struct rig r;

	(void)state;
	open_rig(&r, false);
	say_hello(&r, NULL);
	assert_int_equal(r.agent_count, 0);
	arena_init(&a);
	struct slice in = buf_slice(&r.heard);
	assert_int_equal(frame_decode(&in, &frame), OK);
	assert_int_equal(frame_decode_body(&a, &frame, &peer_hello_response_schema, &answer), OK);
	assert_int_equal(answer.error, ERR_DENIED);
	assert_non_null(memmem(answer.message.data, answer.message.size, "--key-file", 10));
	arena_done(&a);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_control_hears_heartbeats_of_control),
		cmocka_unit_test(test_who_has_other_keys_or_none_hears_nothing),
		cmocka_unit_test(test_an_agent_is_handed_on),
		cmocka_unit_test(test_control_is_no_agent),
		cmocka_unit_test(test_without_keys_an_agent_is_told_that_it_takes_some),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
