/* One port for clients that speak TLS and for those that do not. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "loop/stream.h"
#include "loop/tls_certificate.h"

enum { TURNS_MAX = 20000, TURN_US = 100, STREAMS_MAX = 64 };

static struct {
	struct loop *loop;
	struct tls_identity *server, *client;
	struct listener *listener;
	struct stream *streams[STREAMS_MAX];
	int stream_count;
	struct buf heard;
	struct task task;
	struct connect connect;
	bool is_connected;
} rig;

static void on_readable(void *context, struct stream *s)
{
	(void)context;
	buf_add_slice(&rig.heard, stream_inbox(s));
	stream_consume(s, stream_inbox(s).size);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	(void)context;
	(void)err;
	for (int i = 0; i < rig.stream_count; i++)
		if (rig.streams[i] == s)
			rig.streams[i] = NULL;
	stream_close(s);
}

static const struct stream_owner owner = { .on_readable = on_readable, .on_end = on_end };

static void on_accept(void *context, struct stream *s)
{
	(void)context;
	assert_true(rig.stream_count < STREAMS_MAX);
	rig.streams[rig.stream_count++] = s;
	stream_set_owner(s, &owner, NULL);
}

static int set_up(void **state)
{
	static const char *const hosts[] = { "127.0.0.1" };
	char why[TASK_WHY_BYTES];
	struct buf certificate, key;

	(void)state;
	memset(&rig, 0, sizeof(rig));
	buf_init(&certificate);
	buf_init(&key);
	assert_int_equal(tls_certificate_make(hosts, 1, &certificate, &key), OK);
	assert_int_equal(tls_identity_new_server(buf_slice(&certificate), buf_slice(&key),
						 &rig.server, why),
			 OK);
	buf_done(&certificate);
	buf_done(&key);
	rig.client = tls_identity_new_client(TLS_TRUST_ANYBODY, "127.0.0.1", NULL);
	rig.loop = loop_new(5);
	assert_int_equal(listener_open_both(rig.loop, "127.0.0.1", 0, rig.server, on_accept, NULL,
					    &rig.listener, why),
			 OK);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (rig.listener)
		listener_close(rig.listener);
	for (int i = 0; i < rig.stream_count; i++)
		if (rig.streams[i])
			stream_close(rig.streams[i]);
	if (rig.connect.ret)
		stream_close(rig.connect.ret);
	loop_run(rig.loop);
	loop_free(rig.loop);
	tls_identity_free(rig.server);
	tls_identity_free(rig.client);
	buf_done(&rig.heard);
	return 0;
}

#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		int turns = 0;                                                                     \
		while (!(condition)) {                                                             \
			assert_true(turns++ < TURNS_MAX);                                          \
			loop_turn(rig.loop);                                                       \
			usleep(TURN_US);                                                           \
		}                                                                                  \
	} while (0)

static int connect_plain(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons(listener_port(rig.listener));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static enum step connect_step(struct task *t)
{
	if (t->at == 0) {
		connect_tls(&rig.connect, t, "127.0.0.1", listener_port(rig.listener), rig.client);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	rig.is_connected = true;
	return task_done(t, rig.connect.task.err);
}

static const char *const places[] = { "start", "connecting" };
static const struct task_kind connect_kind = { "test", places, 2, connect_step, NULL, NULL };

static void test_a_client_in_the_clear_is_heard(void **state)
{
	int fd = connect_plain();

	(void)state;
	for (int i = 0; i < 50; i++)
		loop_turn(rig.loop);
	assert_int_equal(rig.stream_count, 0); /* it has not said anything */
	assert_int_equal(send(fd, "GET /", 5, 0), 5);
	TURN_UNTIL(rig.heard.size == 5);
	assert_memory_equal(rig.heard.data, "GET /", 5);
	close(fd);
	TURN_UNTIL(!rig.streams[0]);
}

static void test_a_client_that_speaks_tls_is_heard(void **state)
{
	(void)state;
	task_start_root(&rig.task, &connect_kind, rig.loop);
	TURN_UNTIL(rig.is_connected);
	assert_int_equal(rig.connect.task.err, OK);
	stream_write(rig.connect.ret, SLICE("GET / with TLS"));
	TURN_UNTIL(rig.heard.size == 14);
	assert_memory_equal(rig.heard.data, "GET / with TLS", 14);
}

static void test_who_leaves_without_a_word_is_forgotten(void **state)
{
	int fd = connect_plain();

	(void)state;
	for (int i = 0; i < 50; i++)
		loop_turn(rig.loop);
	close(fd);
	for (int i = 0; i < 50; i++)
		loop_turn(rig.loop);
	assert_int_equal(rig.stream_count, 0);
}

static void test_the_silent_go_with_the_listener(void **state)
{
	int fds[20];
	char byte;

	(void)state;
	for (int i = 0; i < 20; i++)
		fds[i] = connect_plain();
	for (int i = 0; i < 50; i++)
		loop_turn(rig.loop);
	listener_close(rig.listener);
	rig.listener = NULL;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
		close(fds[i]);
	}
}

static void test_garbage_that_looks_like_tls_is_closed(void **state)
{
	int fd = connect_plain();
	char bytes[100];

	(void)state;
	memset(bytes, 0x16, sizeof(bytes));
	assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (int i = 0; i < 200; i++)
		loop_turn(rig.loop);
	assert_int_equal(rig.stream_count, 0);
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) { /* an alert */
	}
	assert_true(recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_client_in_the_clear_is_heard),
		TEST(test_a_client_that_speaks_tls_is_heard),
		TEST(test_who_leaves_without_a_word_is_forgotten),
		TEST(test_the_silent_go_with_the_listener),
		TEST(test_garbage_that_looks_like_tls_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
