/* What a peer's system is told, and when. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum {
	DELAYED_MS = 40, /* what the system waits for an answer to send along */
	WAIT_MS = 60000,
};

struct echo {
	struct stream *stream;
	struct timer timer;
	bool answers;
};

static void on_asked(void *context, struct stream *s)
{
	struct echo *e = context;

	stream_consume(s, stream_inbox(s).size);
	if (e->answers)
		stream_write(s, SLICE("yes"));
	else
		stream_acknowledge(s);
}

static void on_gone(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)s;
	(void)err;
}

static void on_pause(struct timer *t)
{
	loop_stop(t->loop);
}

static void run_a_while(struct echo *e, struct loop *loop)
{
	timer_set(&e->timer, loop, loop_now_ms(loop) + 1, on_pause);
	loop_run(loop);
}

/* Connected through TCP: [0] is blocking and the system's, [1] for a stream. */
static void open_pair(int ret[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ret[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(ret[0], (struct sockaddr *)&address, size), 0);
	ret[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(ret[1] >= 0);
	close(listener);
}

/* A conversation, so that the system expects an answer to each question; then one without. */
static uint64_t silence_ms(struct echo *e, struct loop *loop, int fd)
{
	enum { QUESTIONS = 20 };
	int unknown_bytes = 1;
	char answer[8];

	e->answers = true;
	for (int i = 0; i < QUESTIONS; i++) {
		assert_int_equal(send(fd, "?", 1, 0), 1);
		while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) < 0)
			run_a_while(e, loop);
	}
	e->answers = false;
	uint64_t before_ms = clock_now_ms();
	assert_int_equal(send(fd, "?", 1, 0), 1);
	while (unknown_bytes > 0 && clock_now_ms() - before_ms < WAIT_MS) {
		run_a_while(e, loop);
		assert_int_equal(ioctl(fd, SIOCOUTQ, &unknown_bytes), 0);
	}
	return clock_now_ms() - before_ms;
}

static void test_what_arrived_is_acknowledged_before_its_answer(void **state)
{
	static const struct stream_owner owner = { .on_readable = on_asked, .on_end = on_gone };
	struct loop *loop = loop_new(0);
	struct echo e = { 0 };
	uint64_t best_ms = UINT64_MAX;
	int fds[2];

	(void)state;
	open_pair(fds);
	e.stream = stream_open_fd(loop, fds[1], "test");
	stream_set_owner(e.stream, &owner, &e);
	for (int i = 0; i < 5; i++) { /* the machine may be busy */
		uint64_t ms = silence_ms(&e, loop, fds[0]);

		best_ms = ms < best_ms ? ms : best_ms;
	}
	assert_true(best_ms < DELAYED_MS / 2);
	stream_close(e.stream);
	close(fds[0]);
	loop_run(loop);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_arrived_is_acknowledged_before_its_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
