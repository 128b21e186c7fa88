#include "loop/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
	struct watch *watch;
	int readable, writable, fd;
};

static void on_ready(void *context, int fd, bool is_readable, bool is_writable)
{
	struct seen *s = context;

	s->fd = fd;
	s->readable += is_readable;
	s->writable += is_writable;
}

static void on_ready_close(void *context, int fd, bool is_readable, bool is_writable)
{
	struct seen *s = context;

	on_ready(context, fd, is_readable, is_writable);
	watch_close(s->watch);
}

static void turns(struct loop *loop)
{
	for (int i = 0; i < 5; i++)
		loop_turn(loop);
}

static void test_a_watch_tells_what_it_was_asked_for_and_nothing_else(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);
	struct seen seen = { 0 };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	seen.watch = watch_open(loop, pair[0], on_ready, &seen);
	assert_non_null(seen.watch);
	turns(loop);
	assert_int_equal(seen.readable + seen.writable, 0);

	watch_set(seen.watch, true, false);
	turns(loop);
	assert_int_equal(seen.readable + seen.writable, 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	turns(loop);
	assert_true(seen.readable > 0);
	assert_int_equal(seen.writable, 0);
	assert_int_equal(seen.fd, pair[0]);

	seen.readable = 0;
	watch_set(seen.watch, false, true);
	turns(loop);
	assert_true(seen.writable > 0);
	assert_int_equal(seen.readable, 0);

	seen.writable = 0;
	watch_set(seen.watch, false, false);
	turns(loop);
	assert_int_equal(seen.readable + seen.writable, 0);
	watch_close(seen.watch);
	close(pair[0]);
	close(pair[1]);
	loop_free(loop);
}

static void test_a_watch_may_be_closed_from_its_own_callback(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);
	struct seen seen = { 0 };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	seen.watch = watch_open(loop, pair[0], on_ready_close, &seen);
	watch_set(seen.watch, true, true);
	loop_run(loop); /* ends, because nothing is watched any more */
	assert_int_equal(seen.writable, 1);
	close(pair[0]);
	close(pair[1]);
	loop_free(loop);
}

static void test_what_cannot_be_watched_is_refused(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);

	assert_null(watch_open(loop, -1, on_ready, NULL));
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_watch_tells_what_it_was_asked_for_and_nothing_else),
		cmocka_unit_test(test_a_watch_may_be_closed_from_its_own_callback),
		cmocka_unit_test(test_what_cannot_be_watched_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
