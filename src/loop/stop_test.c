#include "loop/stop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/timer.h"

struct stopping {
	struct loop *loop;
	struct timer timer;
	int stops;
	bool never_ends;
};

static void on_stop(void *context)
{
	struct stopping *s = context;

	s->stops++;
	if (s->never_ends)
		kill(getpid(), SIGINT);
	else
		loop_stop(s->loop);
}

static void on_timer(struct timer *t)
{
	kill(getpid(), SIGTERM);
	timer_set(t, t->loop, loop_now_ms(t->loop) + 5000, on_timer);
}

static void test_the_first_signal_drains(void **state)
{
	struct stopping s = { .loop = loop_new(0) };

	(void)state;
	stop_install(s.loop, on_stop, &s);
	timer_set(&s.timer, s.loop, loop_now_ms(s.loop) + 1, on_timer);
	loop_run(s.loop);
	assert_int_equal(s.stops, 1);
	timer_clear(&s.timer);
	loop_free(s.loop);
}

static void test_the_second_signal_exits_at_once(void **state)
{
	int status = 0;

	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct stopping s = { .loop = loop_new(0), .never_ends = true };

		stop_install(s.loop, on_stop, &s);
		timer_set(&s.timer, s.loop, loop_now_ms(s.loop) + 1, on_timer);
		loop_run(s.loop);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STOP_EXIT_STATUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_signal_drains),
		cmocka_unit_test(test_the_second_signal_exits_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
