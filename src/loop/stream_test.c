#include "loop/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "loop/timer.h"

enum transport { OVER_TCP, OVER_UNIX, OVER_TLS, TRANSPORTS };

enum {
	LARGE_BYTES = 64 * 1024 * 1024,
	WINDOW_BYTES = 1024 * 1024,
	WAIT_MS = 60000,
	FIRST_CONNECTS = 2000,
	TLS_BYTES = 8192,
	/* around 1.25 MiB */
};

/* One side of a connection and what a test wants to know about it. */
struct side {
	struct stream *stream;
	struct rig *rig;
	size_t received;
	size_t pending_max;
	int readables, drains, ends;
	enum err err;
	struct prng prng; /* checks or makes content */
	size_t to_send;
	struct timer slow;
};

struct rig {
	struct task task;
	struct loop *loop;
	struct listener *listener;
	struct connect connect;
	struct side server, client;
	const struct stream_owner *server_owner, *client_owner;
	struct timer guard;
	char path[64];
	int accepts;
	enum transport transport;
	struct tls_identity *identity; /* of both sides */
};

static uint8_t byte_at(size_t offset)
{
	return (uint8_t)((offset * 2654435761u) >> 13);
}

static void check_bytes(struct side *side, struct slice s)
{
	for (size_t i = 0; i < s.size; i++)
		if (s.data[i] != byte_at(side->received + i))
			fail_msg("byte %zu differs", side->received + i);
	side->received += s.size;
}

/* --- rig: a server and a client in one loop ----------------------------------------------------
 */
static void close_rig(struct rig *r)
{
	timer_clear(&r->guard);
	timer_clear(&r->server.slow);
	if (r->listener)
		listener_close(r->listener);
	if (r->server.stream)
		stream_close(r->server.stream);
	if (r->client.stream)
		stream_close(r->client.stream);
	r->listener = NULL;
	r->server.stream = r->client.stream = NULL;
}

static void on_guard(struct timer *t)
{
	(void)t;
	fail_msg("nothing happened for %d ms", WAIT_MS);
}

static void on_accept(void *context, struct stream *s)
{
	struct rig *r = context;

	r->accepts++;
	r->server.stream = s;
	stream_set_owner(s, r->server_owner, &r->server);
}

static enum step rig_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);

	if (t->at == 0) {
		if (r->transport == OVER_UNIX)
			connect_unix(&r->connect, t, r->path);
		else if (r->transport == OVER_TCP)
			connect_tcp(&r->connect, t, "127.0.0.1", listener_port(r->listener));
		else
			connect_tls(&r->connect, t, "127.0.0.1", listener_port(r->listener),
				    r->identity);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	assert_int_equal(r->connect.task.err, OK);
	r->client.stream = r->connect.ret;
	stream_set_owner(r->client.stream, r->client_owner, &r->client);
	if (r->client_owner->on_drained)
		r->client_owner->on_drained(&r->client, r->client.stream);
	return task_done(t, OK);
}

static const struct task_kind rig_kind = { .name = "rig", .step = rig_step };

static void open_rig(struct rig *r, enum transport transport, const struct stream_owner *server,
		     const struct stream_owner *client, uint64_t seed)
{
	static const uint8_t seed_of_both[TLS_KEY_BYTES] = { 1 };
	uint8_t key[TLS_KEY_BYTES];
	char why[TASK_WHY_BYTES] = "";
	enum err err;

	*r = (struct rig) { .loop = loop_new(seed), .transport = transport };
	tls_public_key(seed_of_both, key);
	r->identity = tls_identity_new(seed_of_both, (const uint8_t *[]) { key }, 1);
	r->server.rig = r->client.rig = r;
	r->server_owner = server;
	r->client_owner = client;
	snprintf(r->path, sizeof(r->path), "/tmp/hanse-stream-test-%d", (int)getpid());
	if (transport == OVER_UNIX)
		err = listener_open_unix(r->loop, r->path, on_accept, r, &r->listener, why);
	else if (transport == OVER_TLS)
		err = listener_open_tls(r->loop, "127.0.0.1", 0, r->identity, on_accept, r,
					&r->listener, why);
	else
		err = listener_open_tcp(r->loop, "127.0.0.1", 0, on_accept, r, &r->listener, why);
	assert_int_equal(err, OK);
	timer_set(&r->guard, r->loop, loop_now_ms(r->loop) + WAIT_MS, on_guard);
	task_start_root(&r->task, &rig_kind, r->loop);
}

static void free_rig(struct rig *r)
{
	close_rig(r);
	loop_free(r->loop);
	tls_identity_free(r->identity);
}

static void run_rig(struct rig *r)
{
	loop_run(r->loop);
	free_rig(r);
}

static void note_end(void *context, struct stream *s, enum err err)
{
	struct side *side = context;

	assert_ptr_equal(side->stream, s);
	side->ends++;
	side->err = err;
	loop_stop(side->rig->loop);
}

/* --- echo with back-pressure -------------------------------------------------------------------
 */
static void echo(void *context, struct stream *s)
{
	struct side *side = context;

	side->readables++;
	side->pending_max = side->pending_max > stream_pending_bytes(s) ? side->pending_max
									: stream_pending_bytes(s);
	if (stream_pending_bytes(s) > WINDOW_BYTES) {
		stream_pause(s);
		return;
	}
	struct slice inbox = stream_inbox(s);
	if (side->readables % 3 == 0 && inbox.size < 5000)
		stream_write(s, inbox), stream_consume(s, inbox.size);
	else
		stream_write_blob(s, stream_take(s, inbox.size));
}

static void echo_drained(void *context, struct stream *s)
{
	struct side *side = context;

	side->drains++;
	stream_resume(s);
}

static void send_some(void *context, struct stream *s)
{
	struct side *side = context;

	while (side->to_send > 0 && stream_pending_bytes(s) < WINDOW_BYTES) {
		size_t size = 1 + (size_t)prng_below(&side->prng, 200000);
		size = size < side->to_send ? size : side->to_send;
		struct blob *b = blob_new(size);
		b->size = size;
		for (size_t i = 0; i < size; i++)
			b->data[i] = byte_at(LARGE_BYTES - side->to_send + i);
		side->to_send -= size;
		if (size % 2) {
			stream_write_blob(s, b);
			continue;
		}
		stream_write(s, (struct slice) { b->data, size / 2 });
		stream_write_part(s, b, size / 2, size - size / 2);
	}
}

static void read_some_slowly(struct timer *t)
{
	struct side *side = CONTAINER(t, struct side, slow);
	const struct side *server = &side->rig->server;

	if (server->pending_max <= WINDOW_BYTES / 2 && side->to_send > 0) {
		timer_set(t, side->rig->loop, loop_now_ms(side->rig->loop) + 3, read_some_slowly);
		return; /* however busy the machine is: once what is not read has to wait */
	}
	stream_resume(side->stream);
}

static void receive(void *context, struct stream *s)
{
	struct side *side = context;

	assert_true(stream_inbox(s).size <= STREAM_INBOX_BYTES_DEFAULT);
	check_bytes(side, stream_inbox(s));
	stream_consume(s, stream_inbox(s).size);
	if (side->received == LARGE_BYTES) {
		loop_stop(side->rig->loop);
	} else if (++side->readables % 8 == 0) {
		stream_pause(s);
		timer_set(&side->slow, side->rig->loop, loop_now_ms(side->rig->loop) + 3,
			  read_some_slowly);
	}
}

static const struct stream_owner echo_owner = { echo, echo_drained, note_end };
static const struct stream_owner sender = { receive, send_some, note_end };

static void check_echo(enum transport transport, uint64_t seed)
{
	struct rig r;

	open_rig(&r, transport, &echo_owner, &sender, seed);
	r.client.to_send = LARGE_BYTES;
	r.client.prng.state = seed;
	loop_run(r.loop);
	assert_int_equal(r.client.received, LARGE_BYTES);
	assert_true(r.server.pending_max > WINDOW_BYTES / 2); /* back-pressure was at work */
	assert_true(r.server.pending_max <= WINDOW_BYTES + STREAM_INBOX_BYTES_DEFAULT + TLS_BYTES);
	assert_int_equal(r.server.ends + r.client.ends, 0);
	free_rig(&r);
}

static void test_64_mib_come_back_over_tcp_through_a_slow_reader(void **state)
{
	(void)state;
	check_echo(OVER_TCP, 0);
}

static void test_64_mib_come_back_over_a_unix_socket_in_shuffled_order(void **state)
{
	(void)state;
	check_echo(OVER_UNIX, 5);
}

static void test_64_mib_come_back_over_tls(void **state)
{
	(void)state;
	check_echo(OVER_TLS, 0);
	check_echo(OVER_TLS, 6);
}

/* --- one large request read in place ------------------------------------------------------------
 */
static void send_request(void *context, struct stream *s)
{
	struct side *side = context;

	if (side->drains++)
		return;
	struct blob *b = blob_new(LARGE_BYTES);
	b->size = LARGE_BYTES;
	for (size_t i = 0; i < b->size; i++)
		b->data[i] = byte_at(i);
	uint32_t size = LARGE_BYTES;
	stream_write(s, (struct slice) { (uint8_t *)&size, sizeof(size) });
	stream_write_blob(s, b);
	stream_write(s, SLICE("next"));
}

static void receive_request(void *context, struct stream *s)
{
	struct side *side = context;
	uint32_t size = 0;

	side->readables++;
	if (side->to_send == 0) {
		if (stream_inbox(s).size < sizeof(size))
			return;
		memcpy(&size, stream_inbox(s).data, sizeof(size));
		side->to_send = size;
		stream_consume(s, sizeof(size));
		stream_set_inbox_limit(s, size);
	}
	if (stream_inbox(s).size >= side->to_send && side->received == 0) {
		assert_int_equal(stream_inbox(s).size, side->to_send); /* and no byte further */
		const uint8_t *was = stream_inbox(s).data;
		struct blob *b = stream_take(s, side->to_send);
		assert_ptr_equal(b->data, was); /* not copied */
		stream_set_inbox_limit(s, STREAM_INBOX_BYTES_DEFAULT);
		check_bytes(side, blob_slice(b));
		blob_unref(&b);
	} else if (side->received && stream_inbox(s).size == 4) {
		assert_true(slice_equal(stream_inbox(s), SLICE("next")));
		loop_stop(side->rig->loop);
	}
}

static void ignore_bytes(void *context, struct stream *s)
{
	(void)context;
	(void)s;
}

static const struct stream_owner request_server = { receive_request, NULL, note_end };
static const struct stream_owner request_client = { ignore_bytes, send_request, note_end };

static void test_a_large_request_is_read_in_place_and_handed_over(void **state)
{
	(void)state;
	for (enum transport over = OVER_TCP; over < TRANSPORTS; over += 2) {
		struct rig r;

		open_rig(&r, over, &request_server, &request_client, 0);
		run_rig(&r);
		assert_int_equal(r.server.received, LARGE_BYTES);
	}
}

/* --- many small messages ------------------------------------------------------------------------
 */
enum { SMALL_COUNT = 20000 };

static void send_numbers(void *context, struct stream *s)
{
	struct side *side = context;

	for (uint32_t i = 0; side->drains == 0 && i < SMALL_COUNT; i++)
		stream_write(s, (struct slice) { (uint8_t *)&i, sizeof(i) });
	side->drains++;
}

static void receive_numbers(void *context, struct stream *s)
{
	struct side *side = context;

	while (stream_inbox(s).size >= 4 && side->received < SMALL_COUNT) {
		uint32_t number;
		memcpy(&number, stream_inbox(s).data, 4);
		assert_int_equal(number, side->received++);
		if (side->received % 7 == 0) {
			struct blob *b = stream_take(s, 4);
			assert_int_equal(b->size, 4);
			blob_unref(&b);
		} else {
			stream_consume(s, 4);
		}
		if (side->received % 100 == 0)
			break; /* leave the rest: a pipelining limit */
	}
	if (side->received == SMALL_COUNT) {
		loop_stop(side->rig->loop);
		return;
	}
	stream_pause(s);
	stream_resume(s);
}

static const struct stream_owner number_server = { receive_numbers, NULL, note_end };
static const struct stream_owner number_client = { ignore_bytes, send_numbers, note_end };

static void test_small_messages_arrive_in_order(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		struct rig r;

		open_rig(&r, seed % TRANSPORTS, &number_server, &number_client, seed);
		run_rig(&r);
		assert_int_equal(r.server.received, SMALL_COUNT);
	}
}

/* --- ends ---------------------------------------------------------------------------------------
 */
static void answer_and_leave(void *context, struct stream *s)
{
	struct side *side = context;

	stream_write(s, SLICE("bye"));
	stream_close_gracefully(s, 5000);
	side->stream = NULL;
}

static void send_hello(void *context, struct stream *s)
{
	struct side *side = context;

	if (side->drains++ == 0)
		stream_write(s, SLICE("hello"));
}

static void count_bytes(void *context, struct stream *s)
{
	struct side *side = context;

	side->received += stream_inbox(s).size;
	stream_consume(s, stream_inbox(s).size);
}

static void close_all(void *context, struct stream *s, enum err err)
{
	struct side *side = context;

	side->ends++;
	side->err = err;
	stream_close(s);
	side->stream = NULL;
	close_rig(side->rig); /* and the loop ends when the other side has left */
}

static const struct stream_owner leaving_server = { answer_and_leave, NULL, note_end };
static const struct stream_owner hello_client = { count_bytes, send_hello, close_all };

static void test_a_graceful_close_delivers_the_last_answer(void **state)
{
	(void)state;
	for (enum transport over = OVER_TCP; over < TRANSPORTS; over++) {
		struct rig r;

		open_rig(&r, over, &leaving_server, &hello_client, 0);
		run_rig(&r);
		assert_int_equal(r.client.received, 3);
		assert_int_equal(r.client.ends, 1);
		assert_int_equal(r.client.err, OK);
	}
}

static void close_hard(void *context, struct stream *s)
{
	struct side *side = context;

	stream_close(s); /* with unread bytes: a reset */
	side->stream = NULL;
}

static void flood(void *context, struct stream *s)
{
	(void)context;
	while (stream_pending_bytes(s) < WINDOW_BYTES) {
		struct blob *b = blob_new(65536);
		b->size = 65536;
		memset(b->data, 0, b->size);
		stream_write_blob(s, b);
	}
}

static void test_a_reset_is_told_once_and_drops_what_was_queued(void **state)
{
	static const struct stream_owner server = { close_hard, NULL, note_end };
	static const struct stream_owner client = { count_bytes, flood, note_end };

	(void)state;
	for (enum transport over = OVER_TCP; over < TRANSPORTS; over++) {
		struct rig r;

		open_rig(&r, over, &server, &client, 0);
		loop_run(r.loop);
		assert_int_equal(r.client.ends, 1);
		assert_int_equal(r.client.err, ERR_UNAVAILABLE);
		assert_int_equal(stream_pending_bytes(r.client.stream), 0);
		stream_write(r.client.stream, SLICE("dropped"));
		assert_int_equal(stream_pending_bytes(r.client.stream), 0);
		free_rig(&r);
	}
}

static void test_a_leaving_stream_gives_up_after_its_time(void **state)
{
	struct loop *loop = loop_new(0);
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct stream *s = stream_open_fd(loop, fds[0], "pair");
	struct blob *b = blob_new(LARGE_BYTES);
	b->size = LARGE_BYTES;
	stream_write_blob(s, b); /* nobody reads it */
	stream_close_gracefully(s, 30);
	uint64_t begin_ms = loop_now_ms(loop);
	loop_run(loop);
	assert_in_range(loop_now_ms(loop) - begin_ms, 25, 3000);
	close(fds[1]);
	loop_free(loop);
}

/* --- listeners and connects ---------------------------------------------------------------------
 */
struct lonely {
	struct task task;
	struct connect connect;
	const char *host;
	uint16_t port;
};

static enum step lonely_step(struct task *t)
{
	struct lonely *l = CONTAINER(t, struct lonely, task);

	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	if (t->at == 0) {
		if (l->port)
			connect_tcp(&l->connect, t, l->host, l->port);
		else
			connect_unix(&l->connect, t, l->host);
		return task_wait(t, 1);
	}
	return t->children ? task_wait(t, 1) : task_done(t, l->connect.task.err);
}

static const struct task_kind lonely_kind = { .name = "lonely", .step = lonely_step };

static enum err connect_alone(const char *host, uint16_t port, int cancel_after_turns)
{
	struct loop *loop = loop_new(0);
	struct lonely l = { .host = host, .port = port };

	task_start_root(&l.task, &lonely_kind, loop);
	for (int i = 0; i < cancel_after_turns; i++) {
		loop_turn(loop);
	}
	if (cancel_after_turns)
		task_cancel(&l.task);
	loop_run(loop);
	assert_false(task_is_running(&l.task));
	if (l.connect.ret)
		stream_close(l.connect.ret);
	loop_free(loop);
	return l.task.err;
}

/* A port nobody listens on. */
static uint16_t free_port(void)
{
	struct loop *loop = loop_new(0);
	struct listener *l = NULL;
	char why[TASK_WHY_BYTES];

	assert_int_equal(listener_open_tcp(loop, "127.0.0.1", 0, on_accept, NULL, &l, why), OK);
	uint16_t port = listener_port(l);
	listener_close(l);
	loop_free(loop);
	return port;
}

static void test_nobody_there_is_unavailable(void **state)
{
	(void)state;
	assert_int_equal(connect_alone("127.0.0.1", free_port(), 0), ERR_UNAVAILABLE);
	assert_int_equal(connect_alone("localhost", free_port(), 0), ERR_UNAVAILABLE);
	assert_int_equal(connect_alone("/tmp/hanse-no-such-socket", 0, 0), ERR_UNAVAILABLE);
	assert_int_equal(connect_alone("no such host", 1, 0), ERR_UNAVAILABLE);
}

static void test_a_connect_may_be_canceled_at_each_of_its_places(void **state)
{
	(void)state;
	uint16_t port = free_port();
	for (int turns = 1; turns < 6; turns++) {
		connect_alone("127.0.0.1", port, turns);
		connect_alone("localhost", port, turns);
		connect_alone("/tmp/hanse-no-such-socket", 0, turns);
	}
}

static void test_an_address_in_use_is_refused_and_a_stale_socket_is_not(void **state)
{
	struct loop *loop = loop_new(0);
	struct listener *tcp = NULL, *second = NULL;
	char why[TASK_WHY_BYTES] = "";
	char path[64];
	struct stat st;

	(void)state;
	assert_int_equal(listener_open_tcp(loop, "127.0.0.1", 0, on_accept, NULL, &tcp, why), OK);
	assert_int_equal(listener_open_tcp(loop, "127.0.0.1", listener_port(tcp), on_accept, NULL,
					   &second, why),
			 ERR_BUSY);
	assert_non_null(strstr(why, "in use"));
	listener_close(tcp);

	snprintf(path, sizeof(path), "/tmp/hanse-listener-test-%d", (int)getpid());
	assert_int_equal(listener_open_unix(loop, path, on_accept, NULL, &tcp, why), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(listener_open_unix(loop, path, on_accept, NULL, &second, why), ERR_BUSY);
	char old[80];
	snprintf(old, sizeof(old), "%s.old", path);
	assert_int_equal(rename(path, old), 0); /* it stays behind when its listener closes */
	listener_close(tcp);
	assert_int_equal(rename(old, path), 0);
	assert_int_equal(listener_open_unix(loop, path, on_accept, NULL, &tcp, why), OK);
	listener_close(tcp);
	assert_int_equal(stat(path, &st), -1);

	FILE *file = fopen(path, "w");
	fclose(file);
	assert_int_equal(listener_open_unix(loop, path, on_accept, NULL, &tcp, why), ERR_EXISTS);
	unlink(path);
	loop_free(loop);
}

/* What is met at a path that was empty: 0, or why not. */
static void *first_connect(void *argument)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	intptr_t code = ENOENT;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", (const char *)argument);
	while (code == ENOENT) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		code = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
		close(fd);
	}
	return (void *)code;
}

/* wg(8) removes a socket that refuses. */
static void test_a_socket_that_is_there_is_listened_to_at_once(void **state)
{
	char path[64], why[TASK_WHY_BYTES] = "";
	struct loop *loop = loop_new(0);
	struct listener *l = NULL;
	pthread_t thread;
	void *met;

	(void)state;
	for (int i = 0; i < FIRST_CONNECTS; i++) {
		snprintf(path, sizeof(path), "/tmp/hanse-first-%d-%d", (int)getpid(), i);
		assert_int_equal(pthread_create(&thread, NULL, first_connect, path), 0);
		assert_int_equal(listener_open_unix(loop, path, on_accept, NULL, &l, why), OK);
		pthread_join(thread, &met);
		listener_close(l);
		assert_int_equal((intptr_t)met, 0);
	}
	loop_free(loop);
}

/* --- out of descriptors -------------------------------------------------------------------------
 */
static void restore_limit(struct timer *t)
{
	struct rlimit limit;

	(void)t;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void stop_on_accept(void *context, struct stream *s)
{
	struct rig *r = context;

	r->accepts++;
	stream_close(s);
	loop_stop(r->loop);
}

static void test_a_listener_without_descriptors_waits_for_some(void **state)
{
	struct rig r = { .loop = loop_new(0) };
	struct rlimit limit;
	struct timer restore = { 0 };
	char why[TASK_WHY_BYTES];

	(void)state;
	assert_int_equal(listener_open_tcp(r.loop, "127.0.0.1", 0, stop_on_accept, &r, &r.listener,
					   why),
			 OK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = { .sin_family = AF_INET };
	to.sin_port = htons(listener_port(r.listener));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)fd + 1;
	setrlimit(RLIMIT_NOFILE, &limit);
	uint64_t begin_ms = loop_now_ms(r.loop);
	timer_set(&restore, r.loop, begin_ms + 20, restore_limit);
	loop_run(r.loop);
	assert_int_equal(r.accepts, 1);
	assert_in_range(loop_now_ms(r.loop) - begin_ms, 90, 3000);
	close(fd);
	listener_close(r.listener);
	loop_free(r.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_64_mib_come_back_over_tcp_through_a_slow_reader),
		cmocka_unit_test(test_64_mib_come_back_over_a_unix_socket_in_shuffled_order),
		cmocka_unit_test(test_64_mib_come_back_over_tls),
		cmocka_unit_test(test_a_large_request_is_read_in_place_and_handed_over),
		cmocka_unit_test(test_small_messages_arrive_in_order),
		cmocka_unit_test(test_a_graceful_close_delivers_the_last_answer),
		cmocka_unit_test(test_a_reset_is_told_once_and_drops_what_was_queued),
		cmocka_unit_test(test_a_leaving_stream_gives_up_after_its_time),
		cmocka_unit_test(test_nobody_there_is_unavailable),
		cmocka_unit_test(test_a_connect_may_be_canceled_at_each_of_its_places),
		cmocka_unit_test(test_an_address_in_use_is_refused_and_a_stale_socket_is_not),
		cmocka_unit_test(test_a_socket_that_is_there_is_listened_to_at_once),
		cmocka_unit_test(test_a_listener_without_descriptors_waits_for_some),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
