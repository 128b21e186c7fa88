#include "server/stream_pipe.h"

#include <stdlib.h>

#include "base/memory.h"

enum { PIPE_CONNECT, PIPE_CONNECTED, PIPE_OPEN };

struct stream_pipe {
	struct task task;
	struct list link;
	struct stream_pipes *pipes;
	struct connect connect;
	struct stream *sides[2]; /* client, leader */
	char host[256];
	uint16_t port;
	bool is_over;
};

static void end_pipe(struct stream_pipe *p)
{
	p->is_over = true;
	for (int i = 0; i < 2; i++) {
		if (p->sides[i])
			stream_close(p->sides[i]);
		p->sides[i] = NULL;
	}
	if (task_is_running(&p->connect.task))
		task_cancel(&p->connect.task);
	task_wake(&p->task);
}

static int side_of(const struct stream_pipe *p, const struct stream *s)
{
	return p->sides[1] == s;
}

/* What came from `from` goes to the other one, unless too much waits there. */
static void pass_on(struct stream_pipe *p, int from)
{
	struct stream *in = p->sides[from], *out = p->sides[!from];
	struct slice bytes = stream_inbox(in);

	if (stream_pending_bytes(out) > STREAM_PIPE_BYTES_MAX) {
		stream_pause(in);
		return;
	}
	if (bytes.size) {
		stream_write(out, bytes);
		stream_consume(in, bytes.size);
	}
}

static void on_readable(void *context, struct stream *s)
{
	struct stream_pipe *p = context;

	if (p->sides[1])
		pass_on(p, side_of(p, s));
}

static void on_drained(void *context, struct stream *s)
{
	struct stream_pipe *p = context;

	if (p->sides[1])
		stream_resume(p->sides[!side_of(p, s)]);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	(void)s;
	(void)err;
	end_pipe(context);
}

static const struct stream_owner owner = {
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_end = on_end,
};

static enum step pipe_step(struct task *t)
{
	struct stream_pipe *p = CONTAINER(t, struct stream_pipe, task);

	switch (t->at) {
	case PIPE_CONNECT:
		connect_tcp(&p->connect, t, p->host, p->port);
		task_set_deadline(&p->connect.task, loop_now_ms(t->loop) + STREAM_PIPE_CONNECT_MS);
		return task_wait(t, PIPE_CONNECTED);
	case PIPE_CONNECTED:
		if (t->children > 0)
			return task_wait(t, PIPE_CONNECTED);
		if (!p->connect.task.err && p->is_over)
			stream_close(p->connect.ret);
		if (p->connect.task.err && !p->is_over)
			end_pipe(p);
		if (p->is_over)
			return task_done(t, OK);
		p->sides[1] = p->connect.ret;
		stream_set_owner(p->sides[1], &owner, p);
		pass_on(p, 0);
		return task_wait(t, PIPE_OPEN);
	case PIPE_OPEN:
		return p->is_over ? task_done(t, OK) : task_wait(t, PIPE_OPEN);
	}
	abort();
}

static void on_task_end(struct task *t)
{
	struct stream_pipe *p = CONTAINER(t, struct stream_pipe, task);

	list_remove(&p->link);
	p->pipes->count--;
	memory_free(p);
}

static const char *const places[] = { "connect", "connected", "open" };
static const struct task_kind pipe_kind = {
	.name = "stream pipe",
	.places = places,
	.place_count = 3,
	.step = pipe_step,
	.on_end = on_task_end,
};

void stream_pipes_init(struct stream_pipes *p, struct loop *loop)
{
	p->loop = loop;
	list_init(&p->all);
}

void stream_pipe_start(struct stream_pipes *pipes, struct stream *client, const char *host,
		       uint16_t port)
{
	if (pipes->count >= STREAM_PIPES_MAX) {
		stream_close(client);
		return;
	}
	struct stream_pipe *p = NEW(struct stream_pipe);
	p->pipes = pipes;
	p->sides[0] = client;
	snprintf(p->host, sizeof(p->host), "%s", host);
	p->port = port;
	list_add(&pipes->all, &p->link);
	pipes->count++;
	stream_set_patience(client, STREAM_PIPE_PATIENCE_MS, 0);
	stream_set_owner(client, &owner, p);
	task_start_root(&p->task, &pipe_kind, pipes->loop);
}

void stream_pipes_close(struct stream_pipes *pipes)
{
	LIST_EACH (&pipes->all, struct stream_pipe, link, p)
		if (!p->is_over)
			end_pipe(p);
}
