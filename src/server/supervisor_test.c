#include "server/supervisor.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

/* Roles are shells here; the supervisor's socket is their descriptor 3. */
#define SHELL_WITH(script, secret, is_together)                                                    \
	((const char *const[]) { "sh", "-c", script, NULL }), secret, is_together
#define SHELL(script) SHELL_WITH(script, SLICE(""), false)
#define SHELL_WITH_PREVIOUS(script) SHELL_WITH(script, SLICE(""), true)

enum { PATIENCE_MS = 30 * 1000 }; /* with a machine that has other things to do */

struct watcher {
	int readies, statuses, fatals, denials;
	int stop_at_readies, stop_at_statuses, signals;
	uint64_t last_ms;
	char texts[512];
	int fd;
	uint64_t stop_timeout_ms;
};

static void signal_self(const struct watcher *w)
{
	for (int i = 0; i < w->signals; i++) {
		kill(getpid(), SIGTERM);
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	}
}

static void note(struct watcher *w, const char *role, const char *text)
{
	size_t used = strlen(w->texts);

	w->last_ms = clock_now_ms();
	snprintf(w->texts + used, sizeof(w->texts) - used, "%s:%s\n", role, text);
}

static void on_ready(void *context, const char *role, const char *text)
{
	struct watcher *w = context;

	note(w, role, text);
	if (++w->readies == w->stop_at_readies)
		signal_self(w);
}

static void on_status(void *context, const char *role, const char *text)
{
	struct watcher *w = context;

	note(w, role, text);
	if (w->fd > 0)
		assert_true(write(w->fd, text, strlen(text)) > 0);
	if (++w->statuses == w->stop_at_statuses)
		signal_self(w);
}

static void on_fatal(void *context, const char *role, const char *text)
{
	struct watcher *w = context;

	w->fatals++;
	note(w, role, text);
}

static void on_denied(void *context, const char *role, const char *text)
{
	struct watcher *w = context;

	(void)role;
	(void)text;
	w->denials++;
}

static int run(struct watcher *w, const struct supervisor_role *roles, size_t count)
{
	struct supervisor_config config = {
		.roles = roles,
		.role_count = count,
		.program = "/bin/sh",
		.on_ready = on_ready,
		.on_status = on_status,
		.on_fatal = on_fatal,
		.on_denied = on_denied,
		.context = w,
		.backoff_min_ms = 20,
		.backoff_max_ms = 40,
		.stop_timeout_ms = w->stop_timeout_ms ? w->stop_timeout_ms : PATIENCE_MS,
	};

	return supervisor_run(&config);
}

static void test_a_crashed_role_is_restarted_alone_with_back_off(void **state)
{
	struct watcher w = { .stop_at_statuses = 4, .signals = 1 };
	const struct supervisor_role roles[] = {
		{ "steady", SHELL("trap 'exit 0' TERM; echo READY here >&3;"
				  "while :; do sleep 0.02; done") },
		{ "shaky", SHELL("echo STATUS started >&3; kill -SEGV $$") },
	};

	(void)state;
	uint64_t begin_ms = clock_now_ms();
	assert_in_range(run(&w, roles, 2), 0, 1); /* the last crash may come as it stops */
	assert_int_equal(w.readies, 1);
	assert_int_equal(w.statuses, 4);
	assert_true(w.last_ms - begin_ms >= 20 + 40 + 40);
	assert_non_null(strstr(w.texts, "steady:here\n"));
	assert_non_null(strstr(w.texts, "shaky:started\n"));
}

static void test_a_role_is_told_that_an_earlier_life_was_ready(void **state)
{
	struct watcher w = { .stop_at_statuses = 3, .signals = 1 };
	const struct supervisor_role never[] = {
		{ "never", SHELL("echo \"STATUS [$HANSE_WAS_READY]\" >&3; exit 1") },
	};
	const struct supervisor_role ready[] = {
		{ "ready",
		  SHELL("echo READY >&3; echo \"STATUS [$HANSE_WAS_READY]\" >&3; exit 1") },
	};

	(void)state;
	setenv("HANSE_WAS_READY", "of another", 1);
	assert_true(supervisor_was_ready());
	run(&w, never, 1);
	assert_non_null(strstr(w.texts, "never:[]\nnever:[]\n"));
	assert_null(strstr(w.texts, "[yes]"));
	w = (struct watcher) { .stop_at_statuses = 2, .signals = 1 };
	run(&w, ready, 1);
	assert_ptr_equal(strstr(w.texts, "ready:\nready:[]\nready:\nready:[yes]\n"), w.texts);
	unsetenv("HANSE_WAS_READY");
	assert_false(supervisor_was_ready());
}

static void test_a_stop_lets_the_roles_drain(void **state)
{
	static const char script[] = "trap 'sleep 0.05; echo STATUS drained >&3; exit 0' TERM;"
				     "echo READY >&3; while :; do sleep 0.02; done";
	struct watcher w = { .stop_at_readies = 2, .signals = 1 };
	const struct supervisor_role roles[] = { { "a", SHELL(script) }, { "b", SHELL(script) } };

	(void)state;
	assert_int_equal(run(&w, roles, 2), 0);
	assert_non_null(strstr(w.texts, "a:drained"));
	assert_non_null(strstr(w.texts, "b:drained"));
}

static void test_the_last_role_stops_before_the_ones_it_needs(void **state)
{
	static const char first[] = "trap 'echo STATUS first >&3; exit 0' TERM;"
				    "echo READY >&3; while :; do sleep 0.01; done";
	static const char last[] = "trap 'sleep 0.1; echo STATUS last >&3; exit 0' TERM;"
				   "echo READY >&3; while :; do sleep 0.01; done";
	struct watcher w = { .stop_at_readies = 2, .signals = 1 };
	const struct supervisor_role roles[] = { { "a", SHELL(first) }, { "b", SHELL(last) } };

	(void)state;
	assert_int_equal(run(&w, roles, 2), 0);
	assert_non_null(strstr(w.texts, "b:last\na:first\n"));
}

/* And the one they need when both are over, whichever was first. */
static void test_roles_that_stop_together_are_asked_at_once(void **state)
{
	struct watcher w = { .stop_at_readies = 3, .signals = 1 };
	const struct supervisor_role roles[] = {
		{ "needed", SHELL("trap 'echo STATUS gone >&3; exit 0' TERM; echo READY c >&3;"
				  "while :; do sleep 0.02; done") },
		{ "one",
		  SHELL("trap 'echo STATUS asked >&3; sleep 0.4; echo STATUS over >&3; exit 0' "
			"TERM; echo READY a >&3; while :; do sleep 0.02; done") },
		{ "two",
		  SHELL_WITH_PREVIOUS(
			  "trap 'echo STATUS asked >&3; sleep 0.2; echo STATUS over >&3; exit 0' "
			  "TERM; echo READY b >&3; while :; do sleep 0.02; done") },
	};

	(void)state;
	assert_int_equal(run(&w, roles, 3), 0);
	const char *one_asked = strstr(w.texts, "one:asked"),
		   *two_over = strstr(w.texts, "two:over");
	assert_non_null(one_asked);
	assert_non_null(two_over);
	assert_true(one_asked < two_over);
	const char *gone = strstr(w.texts, "needed:gone"), *one_over = strstr(w.texts, "one:over");
	assert_non_null(gone);
	assert_non_null(one_over);
	assert_true(two_over < gone && one_over < gone);
}

static void test_a_role_that_crashes_as_it_stops_is_not_passed_over(void **state)
{
	struct watcher w = { .stop_at_readies = 1, .signals = 1 };
	const struct supervisor_role roles[] = {
		{ "shaky", SHELL("trap 'kill -ABRT $$' TERM; echo READY >&3;"
				 "while :; do sleep 0.01; done") },
	};

	(void)state;
	assert_int_equal(run(&w, roles, 1), 1);
}

static void test_a_role_that_does_not_stop_is_killed(void **state)
{
	struct watcher w = { .stop_at_readies = 1, .signals = 1, .stop_timeout_ms = 300 };
	const struct supervisor_role roles[] = {
		{ "deaf", SHELL("trap '' TERM; echo READY >&3; while :; do sleep 0.1; done") },
	};

	(void)state;
	uint64_t begin_ms = clock_now_ms();
	assert_int_equal(run(&w, roles, 1), 1);
	assert_true(clock_now_ms() - begin_ms >= 290);
}

static void test_a_second_signal_kills_at_once(void **state)
{
	struct watcher w = { .stop_at_readies = 1,
			     .signals = 2,
			     .stop_timeout_ms = 4 * PATIENCE_MS };
	const struct supervisor_role roles[] = {
		{ "deaf", SHELL("trap '' TERM; echo READY >&3; while :; do sleep 0.1; done") },
	};

	(void)state;
	uint64_t begin_ms = clock_now_ms();
	assert_int_equal(run(&w, roles, 1), 130);
	assert_true(clock_now_ms() - begin_ms < 2 * PATIENCE_MS);
}

static void test_a_role_that_cannot_serve_stops_everything(void **state)
{
	const struct supervisor_role steady = {
		"steady",
		SHELL("echo READY >&3; exec sleep 60"),
	};
	const struct {
		const char *script;
		int status, fatals;
	} cases[] = {
		{ "echo 'FATAL port in use' >&3; exit 3", 3, 1 },
		{ "echo 'FATAL port in use' >&3; kill -KILL $$", EX_CONFIG, 1 },
		{ "exit 78", EX_CONFIG, 0 },
		{ "exit 64", EX_USAGE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct watcher w = { 0 };
		const struct supervisor_role roles[] = {
			steady,
			{ "wrong", SHELL(cases[i].script) },
		};
		assert_int_equal(run(&w, roles, 2), cases[i].status);
		assert_int_equal(w.fatals, cases[i].fatals);
		if (w.fatals)
			assert_non_null(strstr(w.texts, "wrong:port in use"));
	}
}

static void test_a_program_that_is_not_there_stops_everything(void **state)
{
	struct watcher w = { 0 };
	const struct supervisor_role role = { "absent", SHELL("") };
	struct supervisor_config config = {
		.roles = &role,
		.role_count = 1,
		.program = "/no/such/program",
		.on_fatal = on_fatal,
		.context = &w,
	};

	(void)state;
	assert_int_equal(supervisor_run(&config), EX_CONFIG);
	assert_int_equal(w.fatals, 1);
}

static void test_lines_that_break_the_rules_do_no_harm(void **state)
{
	struct watcher w = { .stop_at_statuses = 1, .signals = 1 };
	const struct supervisor_role roles[] = {
		{ "odd",
		  SHELL("trap 'exit 0' TERM; echo >&3; echo WHAT is this >&3;"
			"head -c 100000 /dev/zero | tr '\\0' x >&3; echo >&3;"
			"printf 'STATUS a\\033[31mb\\n' >&3; while :; do sleep 0.02; done") },
	};

	(void)state;
	assert_int_equal(run(&w, roles, 1), 0);
	assert_non_null(strstr(w.texts, "odd:a?[31mb\n"));
}

static void test_no_role_outlives_a_killed_supervisor(void **state)
{
	const struct supervisor_role roles[] = {
		{ "orphan", SHELL("echo STATUS $$ >&3; exec sleep 60") },
	};
	char text[32] = "";
	int fds[2], status;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* to hear of the orphan's end */
	assert_int_equal(pipe(fds), 0);
	pid_t supervisor = fork();
	if (supervisor == 0) {
		struct watcher w = { .fd = fds[1] };
		_exit(run(&w, roles, 1));
	}
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	pid_t orphan = (pid_t)strtol(text, NULL, 10);
	kill(supervisor, SIGKILL);
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(waitpid(orphan, &status, 0), orphan);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	close(fds[0]);
	close(fds[1]);
}

static void test_a_role_tells_only_where_somebody_listens(void **state)
{
	char line[STATUS_LINE_BYTES_MAX + 1] = "";
	char number[16];
	int fds[2];

	(void)state;
	unsetenv("HANSE_STATUS_FD");
	supervisor_tell_ready("nobody listens");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	snprintf(number, sizeof(number), "%d", fds[1]);
	setenv("HANSE_STATUS_FD", number, 1);
	supervisor_tell_ready("two\nlines");
	supervisor_tell_status("s");
	supervisor_tell_fatal("f");
	assert_true(read(fds[0], line, sizeof(line) - 1) > 0);
	assert_string_equal(line, "READY two lines\nSTATUS s\nFATAL f\n");
	unsetenv("HANSE_STATUS_FD");
	close(fds[0]);
	close(fds[1]);
}

static void test_a_secret_comes_through_a_pipe_again_after_a_restart(void **state)
{
	struct watcher w = { .stop_at_statuses = 2, .signals = 1 };
	const struct supervisor_role roles[] = {
		{ "keeper", SHELL_WITH("read -r secret <&4; echo STATUS $HANSE_SECRET_FD $secret "
				       ">&3; kill -9 $$",
				       SLICE("open sesame\n"), false) },
		{ "other", SHELL("trap 'exit 0' TERM; (read -r x <&4) 2>/dev/null &&"
				 "echo READY $x $HANSE_SECRET_FD >&3; echo READY none >&3;"
				 "while :; do sleep 0.02; done") },
	};

	(void)state;
	assert_in_range(run(&w, roles, 2), 0, 1);
	assert_int_equal(w.statuses, 2);
	assert_non_null(strstr(w.texts, "keeper:4 open sesame\n"));
	assert_int_equal(w.readies, 1);
	assert_non_null(strstr(w.texts, "other:none\n"));
}

static void test_a_role_with_the_wrong_keys_stops_everything_and_says_so(void **state)
{
	struct watcher w = { .fd = 0 };
	const struct supervisor_role roles[] = {
		{ "denied", SHELL("echo DENIED another key >&3; exit 78") },
	};

	(void)state;
	assert_int_equal(run(&w, roles, 1), EX_CONFIG);
	assert_int_equal(w.fatals, 1);
	assert_int_equal(w.denials, 1);
	assert_non_null(strstr(w.texts, "denied:another key\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_secret_comes_through_a_pipe_again_after_a_restart),
		cmocka_unit_test(test_a_role_with_the_wrong_keys_stops_everything_and_says_so),
		cmocka_unit_test(test_a_crashed_role_is_restarted_alone_with_back_off),
		cmocka_unit_test(test_a_role_is_told_that_an_earlier_life_was_ready),
		cmocka_unit_test(test_a_stop_lets_the_roles_drain),
		cmocka_unit_test(test_the_last_role_stops_before_the_ones_it_needs),
		cmocka_unit_test(test_roles_that_stop_together_are_asked_at_once),
		cmocka_unit_test(test_a_role_that_crashes_as_it_stops_is_not_passed_over),
		cmocka_unit_test(test_a_role_that_does_not_stop_is_killed),
		cmocka_unit_test(test_a_second_signal_kills_at_once),
		cmocka_unit_test(test_a_role_that_cannot_serve_stops_everything),
		cmocka_unit_test(test_a_program_that_is_not_there_stops_everything),
		cmocka_unit_test(test_lines_that_break_the_rules_do_no_harm),
		cmocka_unit_test(test_no_role_outlives_a_killed_supervisor),
		cmocka_unit_test(test_a_role_tells_only_where_somebody_listens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
