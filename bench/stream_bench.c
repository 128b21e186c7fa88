/* What a stream costs: large blobs one way, and small requests with their answers, between two
 * processes over loopback; beside them the same bytes through bare system calls.  And what one step
 * of a task costs. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "loop/stream.h"
#include "loop/task.h"

enum {
	BULK_BYTES = 1 << 30,
	BLOB_BYTES = 1 << 20,
	BULK_WINDOW_BYTES = 4 << 20,
	SMALL_BYTES = 100,
	SMALL_COUNT = 400000,
	SMALL_IN_FLIGHT = 64,
	CONNECTIONS = 16,
	STEPS = 5000000,
	NAME_WIDTH = 66,
};

static void print_result(const char *name, double value, const char *unit)
{
	printf("%-*s %10.2f %s\n", NAME_WIDTH, name, value, unit);
}

static double own_cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* --- both sides: what is read is counted, or answered ------------------------------------------
 */
struct peer {
	struct loop *loop;
	struct stream *stream;
	size_t received, to_send;
	size_t in_flight;
	struct blob *blob;
};

static void close_stream(void *context, struct stream *s, enum err err)
{
	struct peer *p = context;

	(void)err;
	stream_close(s);
	p->stream = NULL;
}

static void count(void *context, struct stream *s)
{
	struct peer *p = context;

	p->received += stream_inbox(s).size;
	stream_consume(s, stream_inbox(s).size);
}

static void take(void *context, struct stream *s)
{
	struct peer *p = context;

	if (stream_inbox(s).size < BLOB_BYTES)
		return;
	struct blob *b = stream_take(s, BLOB_BYTES);
	p->received += b->size;
	blob_unref(&b);
	stream_set_inbox_limit(s, BLOB_BYTES);
}

static void answer(void *context, struct stream *s)
{
	(void)context;
	while (stream_inbox(s).size >= SMALL_BYTES) {
		stream_write(s, slice_part(stream_inbox(s), 0, SMALL_BYTES));
		stream_consume(s, SMALL_BYTES);
	}
}

static void send_bulk(void *context, struct stream *s)
{
	struct peer *p = context;

	while (p->to_send > 0 && stream_pending_bytes(s) < BULK_WINDOW_BYTES) {
		stream_write_blob(s, blob_ref(p->blob));
		p->to_send -= p->blob->size;
	}
	if (p->to_send == 0 && stream_pending_bytes(s) == 0) {
		stream_close_gracefully(s, 1000);
		p->stream = NULL;
	}
}

static void send_small(void *context, struct stream *s)
{
	static const uint8_t bytes[SMALL_BYTES];
	struct peer *p = context;

	while (stream_inbox(s).size >= SMALL_BYTES) {
		stream_consume(s, SMALL_BYTES);
		p->in_flight--;
	}
	for (; p->to_send > 0 && p->in_flight < SMALL_IN_FLIGHT; p->in_flight++, p->to_send--)
		stream_write(s, (struct slice) { bytes, sizeof(bytes) });
	if (p->to_send == 0 && p->in_flight == 0)
		close_stream(p, s, OK);
}

/* --- two processes ------------------------------------------------------------------------------
 */
static void run_side(int *fds, int count_of, const struct stream_owner *owner, size_t to_send)
{
	struct peer peers[CONNECTIONS] = { 0 };
	struct loop *loop = loop_new(0);
	struct blob *blob = blob_new(BLOB_BYTES);

	blob->size = BLOB_BYTES;
	memset(blob->data, 7, BLOB_BYTES);
	for (int i = 0; i < count_of; i++) {
		struct peer *p = &peers[i];
		p->loop = loop;
		p->blob = blob;
		p->to_send = to_send;
		p->stream = stream_open_fd(loop, fds[i], "loopback");
		stream_set_owner(p->stream, owner, p);
		if (owner->on_readable == take)
			stream_set_inbox_limit(p->stream, BLOB_BYTES);
		if (to_send && owner->on_drained)
			owner->on_drained(p, p->stream);
		else if (to_send)
			owner->on_readable(p, p->stream);
	}
	loop_run(loop);
	blob_unref(&blob);
	loop_free(loop);
}

static void connect_pair(int fds[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&a, &size) ||
	    connect(fds[0], (struct sockaddr *)&a, size))
		exit(1);
	fds[1] = accept(listener, NULL, NULL);
	close(listener);
}

static void measure(const char *name, int connections, const struct stream_owner *sender,
		    const struct stream_owner *receiver, size_t to_send, double amount,
		    const char *unit)
{
	int out[CONNECTIONS], in[CONNECTIONS], fds[2], status;
	char text[64];

	for (int i = 0; i < connections; i++) {
		connect_pair(fds);
		out[i] = fds[0];
		in[i] = fds[1];
	}
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < connections; i++)
			close(in[i]);
		run_side(out, connections, sender, to_send);
		_exit(0);
	}
	for (int i = 0; i < connections; i++)
		close(out[i]);
	double cpu_s = own_cpu_s();
	uint64_t begin_us = clock_now_us();
	run_side(in, connections, receiver, 0);
	double s = (double)(clock_now_us() - begin_us) / 1e6;
	waitpid(child, &status, 0);
	print_result(name, amount / s, unit);
	snprintf(text, sizeof(text), "%s, per core of the receiver", name);
	print_result(text, amount / (own_cpu_s() - cpu_s), unit);
}

static void measure_bare(void)
{
	uint8_t *bytes = memory_take(BLOB_BYTES);
	size_t left = BULK_BYTES;
	int fds[2], status;

	connect_pair(fds);
	pid_t child = fork();
	if (child == 0) {
		for (close(fds[1]); left > 0; left -= BLOB_BYTES)
			if (send(fds[0], bytes, BLOB_BYTES, 0) != BLOB_BYTES)
				_exit(1);
		_exit(0);
	}
	close(fds[0]);
	uint64_t begin_us = clock_now_us();
	while (recv(fds[1], bytes, BLOB_BYTES, 0) > 0)
		;
	print_result("bulk, bare send and recv",
		     BULK_BYTES / 1e3 / (double)(clock_now_us() - begin_us), "GB/s");
	close(fds[1]);
	memory_free(bytes);
	waitpid(child, &status, 0);
}

/* --- tasks --------------------------------------------------------------------------------------
 */
struct busy {
	struct task task;
	int left;
};

static enum step busy_step(struct task *t)
{
	struct busy *b = CONTAINER(t, struct busy, task);

	if (b->left-- == 0)
		return task_done(t, OK);
	task_wake(t);
	return task_wait(t, 0);
}

static void measure_steps(void)
{
	static const struct task_kind kind = { .name = "busy", .step = busy_step };
	struct loop *loop = loop_new(0);
	struct busy b = { .left = STEPS };

	task_start_root(&b.task, &kind, loop);
	uint64_t begin_us = clock_now_us();
	loop_run(loop);
	print_result("one step through the run queue",
		     (double)(clock_now_us() - begin_us) * 1e3 / STEPS, "ns");
	loop_free(loop);
}

int main(void)
{
	static const struct stream_owner bulk_out = { count, send_bulk, close_stream };
	static const struct stream_owner bulk_in = { count, NULL, close_stream };
	static const struct stream_owner bulk_take = { take, NULL, close_stream };
	static const struct stream_owner small_out = { send_small, NULL, close_stream };
	static const struct stream_owner small_in = { answer, NULL, close_stream };

	measure_bare();
	measure("bulk, consumed", 1, &bulk_out, &bulk_in, BULK_BYTES, BULK_BYTES / 1e9, "GB/s");
	measure("bulk, taken as 1 MiB blobs", 1, &bulk_out, &bulk_take, BULK_BYTES,
		BULK_BYTES / 1e9, "GB/s");
	measure("100 B and back, 16 connections x 64", CONNECTIONS, &small_out, &small_in,
		SMALL_COUNT, (double)CONNECTIONS * SMALL_COUNT / 1e3, "k/s");
	measure("100 B and back, 1 connection x 64", 1, &small_out, &small_in, SMALL_COUNT,
		SMALL_COUNT / 1e3, "k/s");
	measure_steps();
	return 0;
}
