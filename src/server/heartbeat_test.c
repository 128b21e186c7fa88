#include "server/peer_port.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/open_files.h"

enum { TOLD_COUNT = 2 };

struct rig {
	struct loop *loop;
	struct task task;
	struct heartbeat heartbeat;
	struct peer_port *server;
	struct listener *deaf; /* accepts and says nothing */
	struct stream *accepted;
	struct timer timer;
	int told_count; /* of the committed index */
	int busy_count;
	bool is_leading, is_starting;
	struct epoch leads;
	uint16_t port;
	enum err ended;
};

static void on_committed(void *context, uint64_t index)
{
	struct rig *r = context;

	assert_int_equal(index, 41);
	r->told_count++;
}

static void leave(struct rig *r)
{
	if (r->server)
		peer_port_close(r->server);
	r->server = NULL;
}

enum { RIG_START, RIG_ENDED };

static enum step rig_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);

	if (t->at == RIG_START) {
		heartbeat_start(&r->heartbeat, t, "127.0.0.1", r->port, NULL, "test",
				(struct epoch) { 7, 9 });
		r->heartbeat.on_committed = on_committed;
		r->heartbeat.context = r;
		return task_wait(t, RIG_ENDED);
	}
	r->ended = r->heartbeat.task.err;
	timer_clear(&r->timer);
	leave(r);
	if (r->accepted)
		stream_close(r->accepted);
	if (r->deaf)
		listener_close(r->deaf);
	return task_done(t, OK);
}

static const struct task_kind rig_kind = { .name = "rig", .step = rig_step };

static struct heartbeat_answer on_ask(void *context)
{
	struct rig *r = context;

	return (struct heartbeat_answer) { .is_leading = r->is_leading,
					   .is_starting = r->is_starting,
					   .epoch = r->leads,
					   .committed_index = 41 };
}

static void on_nobody(void *context, struct stream *s)
{
	(void)context;
	stream_close(s);
}

static uint16_t free_port(struct loop *loop)
{
	struct listener *l;
	char why[TASK_WHY_BYTES];

	assert_int_equal(listener_open_tcp(loop, "127.0.0.1", 0, on_nobody, NULL, &l, why), OK);
	uint16_t port = listener_port(l);
	listener_close(l);
	return port;
}

static void rig_run(struct rig *r, uint64_t wait_ms, void (*on_timer)(struct timer *t))
{
	if (on_timer)
		timer_set(&r->timer, r->loop, loop_now_ms(r->loop) + wait_ms, on_timer);
	task_start_root(&r->task, &rig_kind, r->loop);
	loop_run(r->loop);
	loop_free(r->loop);
}

static void test_a_refused_connection_ends_at_once(void **state)
{
	struct rig r = { .loop = loop_new(0) };

	(void)state;
	r.port = free_port(r.loop);
	rig_run(&r, 0, NULL);
	assert_int_equal(r.ended, ERR_UNAVAILABLE);
}

static void serve(struct rig *r)
{
	char why[TASK_WHY_BYTES];

	if (r->leads.counter == 0)
		r->leads = (struct epoch) { 7, 9 };
	assert_int_equal(peer_port_open(r->loop,
					&(struct peer_port_config) { .host = "127.0.0.1",
								     .node = "leader",
								     .ask = on_ask,
								     .on_agent = on_nobody,
								     .context = r },
					&r->server, why),
			 OK);
	r->port = peer_port_number(r->server);
}

static void test_a_node_that_does_not_lead_is_told_apart(void **state)
{
	struct rig r = { .loop = loop_new(0) };

	(void)state;
	serve(&r);
	rig_run(&r, 0, NULL);
	assert_int_equal(r.ended, ERR_CONFLICT);
}

static void leader_leaves(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, timer);

	assert_true(task_is_running(&r->heartbeat.task));
	leave(r);
}

/* Once it was asked some times: that may take any time. */
static void leader_leaves_later(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, timer);

	if (r->told_count >= TOLD_COUNT)
		leader_leaves(t);
	else
		timer_set(t, r->loop, loop_now_ms(r->loop) + HEARTBEAT_MS / 5, leader_leaves_later);
}

/* Every HEARTBEAT_MS and no more often. */
static void assert_told_in_time(const struct rig *r, uint64_t since_ms)
{
	uint64_t elapsed_ms = clock_now_ms() - since_ms;

	assert_in_range(r->told_count, TOLD_COUNT, elapsed_ms / HEARTBEAT_MS + 2);
}

static void test_a_leader_is_waited_for_until_it_leaves(void **state)
{
	struct rig r = { .loop = loop_new(0), .is_leading = true };

	(void)state;
	serve(&r);
	uint64_t begin_ms = clock_now_ms();
	rig_run(&r, 3 * HEARTBEAT_MS, leader_leaves_later);
	assert_int_equal(r.ended, ERR_UNAVAILABLE);
	assert_true(r.heartbeat.is_reached && r.heartbeat.has_led);
	assert_told_in_time(&r, begin_ms);
}

static void test_a_leader_of_another_epoch_is_not_the_one_that_is_waited_for(void **state)
{
	static const struct epoch others[] = { { 7, 8 }, { 6, 9 }, { 8, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct rig r = { .loop = loop_new(0), .is_leading = true, .leads = others[i] };

		serve(&r);
		rig_run(&r, 0, NULL);
		assert_int_equal(r.ended, ERR_CONFLICT);
		assert_false(r.heartbeat.is_reached);
	}
}

enum { SILENT = 1100, SILENT_AT_ONCE = 100 };
_Static_assert((int)SILENT > (int)HEARTBEAT_PEERS_MAX, "more than there is room for");

static void stop_loop(struct timer *t)
{
	loop_stop(t->loop);
}

static void connect_silent(struct rig *r, int fds[SILENT])
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(r->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	for (int i = 0; i < SILENT; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fds[i], (const struct sockaddr *)&to, sizeof(to)), 0);
		if (i % SILENT_AT_ONCE)
			continue; /* what waits to be accepted has a limit, too */
		timer_set(&r->timer, r->loop, loop_now_ms(r->loop) + 10, stop_loop);
		loop_run(r->loop);
	}
}

static void test_many_who_say_nothing_keep_no_standby_away(void **state)
{
	struct rig r = { .loop = loop_new(0), .is_leading = true };
	int fds[SILENT];

	(void)state;
	open_files_raise();
	if (open_files_max() < 2 * SILENT + 100)
		skip();
	serve(&r);
	connect_silent(&r, fds);
	uint64_t begin_ms = clock_now_ms();
	rig_run(&r, 3 * HEARTBEAT_MS, leader_leaves_later);
	assert_true(r.heartbeat.is_reached);
	assert_told_in_time(&r, begin_ms);
	for (int i = 0; i < SILENT; i++)
		close(fds[i]);
}

static void on_ignored(void *context, struct stream *s)
{
	(void)context;
	(void)s;
}

static void on_ignored_end(void *context, struct stream *s, enum err err)
{
	struct rig *r = context;

	(void)s;
	(void)err;
	stream_close(r->accepted);
	r->accepted = NULL;
}

static const struct stream_owner ignorer = { .on_readable = on_ignored, .on_end = on_ignored_end };

static void on_accept(void *context, struct stream *s)
{
	struct rig *r = context;

	r->accepted = s;
	stream_set_owner(s, &ignorer, r);
}

static void lose_patience(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, timer);

	assert_true(task_is_running(&r->heartbeat.task));
	r->heartbeat.begun_ms -= HEARTBEAT_STARTING_MS;
}

static void test_a_node_that_has_won_is_given_time_to_begin(void **state)
{
	struct rig r = { .loop = loop_new(0), .is_starting = true };

	(void)state;
	serve(&r);
	rig_run(&r, 4 * HEARTBEAT_MS, lose_patience);
	assert_int_equal(r.ended, ERR_CONFLICT);
	assert_int_equal(r.told_count, 0);
	assert_true(r.heartbeat.is_reached);
	assert_false(r.heartbeat.has_led); /* perhaps only one bucket has its start */

	r = (struct rig) { .loop = loop_new(0), .is_starting = true, .leads = { 8, 9 } };
	serve(&r);
	rig_run(&r, 0, NULL); /* not the one that was found */
	assert_int_equal(r.ended, ERR_CONFLICT);
	assert_false(r.heartbeat.is_reached);
}

static void test_silence_ends_the_wait(void **state)
{
	struct rig r = { .loop = loop_new(0) };
	char why[TASK_WHY_BYTES];

	(void)state;
	assert_int_equal(listener_open_tcp(r.loop, "127.0.0.1", 0, on_accept, &r, &r.deaf, why),
			 OK);
	r.port = listener_port(r.deaf);
	rig_run(&r, 0, NULL);
	assert_int_equal(r.ended, ERR_TIMEOUT);
}

static void stand_still(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, timer);

	usleep(2 * HEARTBEAT_SILENCE_MS * 1000);
	timer_set(&r->timer, r->loop, clock_now_ms() + 2 * HEARTBEAT_MS, leader_leaves);
}

/* The leader said nothing because nobody listened; both are in one loop here. */
static void test_who_stood_still_does_not_blame_the_leader(void **state)
{
	struct rig r = { .loop = loop_new(0), .is_leading = true };

	(void)state;
	serve(&r);
	rig_run(&r, HEARTBEAT_MS, stand_still);
	assert_int_equal(r.ended, ERR_UNAVAILABLE); /* it left */
}

/* Busy in every turn: answers are read in the turn in which the next question is late. */
static void be_busy(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, timer);

	usleep((HEARTBEAT_MS + 50) * 1000);
	if (++r->busy_count < 12)
		timer_set(&r->timer, r->loop, clock_now_ms(), be_busy);
	else
		leader_leaves(t);
}

static void test_who_is_busy_all_the_time_hears_the_answers(void **state)
{
	struct rig r = { .loop = loop_new(0), .is_leading = true };

	(void)state;
	serve(&r);
	rig_run(&r, 1, be_busy);
	assert_int_equal(r.ended, ERR_UNAVAILABLE); /* it left */
	assert_int_equal(r.busy_count, 12);
}

static void give_up(struct timer *t)
{
	struct rig *r = CONTAINER(t, struct rig, timer);

	task_cancel(&r->heartbeat.task);
}

static void test_it_can_be_canceled(void **state)
{
	struct rig r = { .loop = loop_new(0), .is_leading = true };

	(void)state;
	serve(&r);
	rig_run(&r, HEARTBEAT_MS / 2, give_up);
	assert_int_equal(r.ended, ERR_CANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_refused_connection_ends_at_once),
		cmocka_unit_test(test_a_node_that_does_not_lead_is_told_apart),
		cmocka_unit_test(test_a_leader_is_waited_for_until_it_leaves),
		cmocka_unit_test(test_a_leader_of_another_epoch_is_not_the_one_that_is_waited_for),
		cmocka_unit_test(test_a_node_that_has_won_is_given_time_to_begin),
		cmocka_unit_test(test_many_who_say_nothing_keep_no_standby_away),
		cmocka_unit_test(test_silence_ends_the_wait),
		cmocka_unit_test(test_who_stood_still_does_not_blame_the_leader),
		cmocka_unit_test(test_who_is_busy_all_the_time_hears_the_answers),
		cmocka_unit_test(test_it_can_be_canceled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
