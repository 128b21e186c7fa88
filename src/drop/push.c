#include "drop/push.h"

#include <assert.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "wire/taildrop.h"

enum { PUSH_BEGIN, PUSH_CONNECTED, PUSH_TALKED, PUSH_PLACES };
static const char *const push_places[] = { "begin", "connected", "talked" };

enum err push_find_target(const struct mesh_view_machine *m, struct push_target *ret)
{
	for (size_t i = 0; i < m->address_count; i++) {
		struct ip ip = m->addresses[i];
		uint16_t port = ip.family == IP_V4 ? m->peerapi4 : m->peerapi6;
		if (!port)
			continue;
		*ret = (struct push_target) { .at = { ip, port },
					      .takes_folders = m->has_hanse_inbox };
		return OK;
	}
	return ERR_UNSUPPORTED;
}

/* --- the answers ------------------------------------------------------------------------------ */

static void touch(struct push *p, uint64_t ms)
{
	task_set_deadline(&p->task, loop_now_ms(p->task.loop) + ms);
}

/* The block is the same here: true, and the offset moved on. */
static bool compare_block(struct push *p, const struct drop_block *block)
{
	uint8_t found[SHA256_BYTES];

	if (block->size > DROP_BLOCK_BYTES || block->size > p->size - p->offset)
		return false;
	uint8_t *bytes = memory_take(DROP_BLOCK_BYTES);
	ssize_t size = pread(p->fd, bytes, block->size, (off_t)p->offset);
	bool is_same = size == (ssize_t)block->size;
	if (is_same) {
		sha256((struct slice) { bytes, block->size }, found);
		is_same = memcmp(found, block->sha256, SHA256_BYTES) == 0;
	}
	memory_free(bytes);
	if (is_same)
		p->offset += block->size;
	return is_same;
}

/* Stops at the first block that is another. */
static void compare(struct push *p)
{
	struct slice text = buf_slice(&p->answer);
	struct drop_block block;
	enum err err = OK;

	while (!p->is_compared && drop_block_take(&text, &block, &err))
		p->is_compared = !compare_block(p, &block);
	p->is_compared |= err != OK;
	buf_drop_front(&p->answer, p->answer.size - text.size);
}

static int on_body(http_parser *parser, const char *data, size_t size)
{
	struct push *p = parser->data;
	bool is_blocks = p->is_asking && parser->status_code == 200;

	if (!is_blocks && size > PUSH_ANSWER_BYTES_MAX - p->answer.size)
		size = PUSH_ANSWER_BYTES_MAX - p->answer.size;
	if (p->is_compared)
		return 0;
	buf_add(&p->answer, data, size);
	if (is_blocks)
		compare(p);
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct push *p = parser->data;

	if (parser->status_code < 200)
		return 0; /* 100: go on */
	p->is_complete = true;
	http_parser_pause(parser, 1);
	return 0;
}

static int on_headers(http_parser *parser)
{
	return parser->status_code < 200; /* it has no body */
}

static const http_parser_settings settings = {
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* --- the body --------------------------------------------------------------------------------- */

static void send_more(struct push *p)
{
	while (p->read < p->size && !p->end && !p->is_complete &&
	       stream_pending_bytes(p->stream) < PUSH_PENDING_BYTES_MAX) {
		uint64_t left = p->size - p->read;
		size_t want = left < PUSH_CHUNK_BYTES ? (size_t)left : PUSH_CHUNK_BYTES;
		struct blob *b = blob_new(want);
		ssize_t got = pread(p->fd, b->data, want, (off_t)p->read);
		if (got <= 0) {
			blob_unref(&b);
			p->end = got < 0 ? ERR_IO : ERR_CONFLICT;
			task_wake(&p->task);
			return;
		}
		b->size = (size_t)got;
		p->read += (uint64_t)got;
		stream_write_blob(p->stream, b);
	}
}

static void note_progress(struct push *p)
{
	uint64_t pending = stream_pending_bytes(p->stream);
	uint64_t sent = p->read > pending ? p->read - pending : 0;

	if (!p->is_asking && sent > p->sent)
		p->sent = sent;
	touch(p, p->read < p->size || p->is_asking ? (uint64_t)PUSH_STALL_MS
						   : (uint64_t)PUSH_ANSWER_MS);
}

static void on_readable(void *context, struct stream *s)
{
	struct push *p = context;
	struct slice bytes = stream_inbox(s);

	if (!p->is_complete && !p->end) {
		http_parser_execute(p->parser, &settings, (const char *)bytes.data, bytes.size);
		enum http_errno failed = HTTP_PARSER_ERRNO(p->parser);
		if (failed != HPE_OK && failed != HPE_PAUSED)
			p->end = ERR_UNAVAILABLE;
	}
	stream_consume(s, bytes.size);
	note_progress(p);
	if (p->is_complete || p->end || (p->is_asking && p->is_compared))
		task_wake(&p->task);
}

static void on_drained(void *context, struct stream *s)
{
	struct push *p = context;

	(void)s;
	if (!p->is_asking)
		send_more(p);
	note_progress(p);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct push *p = context;

	(void)s;
	http_parser_execute(p->parser, &settings, "", 0);
	if (!p->is_complete && !p->end)
		p->end = err ? err : ERR_UNAVAILABLE;
	p->is_over = true;
	task_wake(&p->task);
}

static const struct stream_owner push_owner = {
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_end = on_end,
};

/* --- the steps -------------------------------------------------------------------------------- */

static void close_stream(struct push *p)
{
	if (p->stream)
		stream_close(p->stream);
	p->stream = NULL;
}

static enum step finish(struct push *p, enum err err)
{
	close_stream(p);
	memory_free(p->parser);
	p->parser = NULL;
	buf_done(&p->name);
	buf_done(&p->answer);
	return task_done(&p->task, err);
}

static enum step connect_again(struct push *p)
{
	char host[IP_TEXT_BYTES];

	close_stream(p);
	buf_clear(&p->answer);
	p->is_complete = p->is_over = false;
	p->end = OK;
	http_parser_init(p->parser, HTTP_RESPONSE);
	p->parser->data = p;
	ip_text(p->target.at.ip, host);
	touch(p, PUSH_CONNECT_MS);
	connect_tcp(&p->connect, &p->task, host, p->target.at.port);
	return task_wait(&p->task, PUSH_CONNECTED);
}

static void write_request(struct push *p)
{
	struct buf head;
	char name[IP_PORT_TEXT_BYTES];

	ip_port_text(p->target.at, name);
	buf_init(&head);
	buf_add_format(&head, "%s /v0/put/%.*s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n",
		       p->is_asking ? "GET" : "PUT", SLICE_ARG(buf_slice(&p->name)), name);
	if (!p->is_asking && p->offset > 0)
		buf_add_format(&head, "Range: bytes=%llu-\r\n", (unsigned long long)p->offset);
	if (!p->is_asking)
		buf_add_format(&head, DROP_TOKEN_HEADER ": %s\r\nContent-Length: %llu\r\n",
			       p->token, (unsigned long long)(p->size - p->offset));
	buf_add_text(&head, "\r\n");
	stream_write(p->stream, buf_slice(&head));
	buf_done(&head);
}

static enum step connected(struct push *p)
{
	if (p->connect.task.err) {
		snprintf(p->task.why, TASK_WHY_BYTES, "%s", p->connect.task.why);
		return finish(p,
			      p->connect.task.err == ERR_CANCELED ? ERR_CANCELED : ERR_UNAVAILABLE);
	}
	p->stream = p->connect.ret;
	stream_set_owner(p->stream, &push_owner, p);
	write_request(p);
	if (!p->is_asking) {
		p->read = p->sent = p->offset;
		send_more(p);
	}
	note_progress(p);
	return task_wait(&p->task, PUSH_TALKED);
}

static enum err err_of(unsigned status)
{
	switch (status) {
	case 200:
	case 201:
		return OK;
	case 403:
	case 421:
		return ERR_DENIED;
	case 409:
	case 503:
		return ERR_BUSY;
	case 507:
		return ERR_FULL;
	case 416:
		return ERR_IO;
	default:
		return status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
	}
}

static enum step answered(struct push *p)
{
	struct slice text = buf_slice(&p->answer);
	struct slice line = slice_cut(&text, '\n');
	enum err err = p->is_complete ? err_of(p->parser->status_code) : p->end;

	if (!err) {
		p->sent = p->size;
		return finish(p, OK);
	}
	if (p->is_complete)
		snprintf(p->task.why, TASK_WHY_BYTES, "%.*s", SLICE_ARG(line));
	else if (err == ERR_CONFLICT)
		snprintf(p->task.why, TASK_WHY_BYTES, "the file became shorter meanwhile");
	else
		snprintf(p->task.why, TASK_WHY_BYTES, "the connection was cut");
	return finish(p, err);
}

static enum step push_step(struct task *t)
{
	struct push *p = CONTAINER(t, struct push, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		if (t->at == PUSH_CONNECTED && !p->connect.task.err && p->connect.ret)
			p->stream = p->connect.ret;
		snprintf(t->why, TASK_WHY_BYTES, "no answer");
		return finish(p, ERR_CANCELED);
	}
	switch (t->at) {
	case PUSH_BEGIN:
		return connect_again(p);
	case PUSH_CONNECTED:
		return connected(p);
	case PUSH_TALKED:
		if (p->is_asking && (p->is_complete || p->is_compared || p->end)) {
			/* Whoever does not know what there is gets all of it. */
			p->is_asking = false;
			return connect_again(p);
		}
		if (!p->is_complete && !p->end)
			return task_wait(t, PUSH_TALKED);
		return answered(p);
	}
	abort();
}

static const struct task_kind push_kind = {
	.name = "push",
	.places = push_places,
	.place_count = PUSH_PLACES,
	.step = push_step,
};

void push_start(struct push *p, struct task *parent, const struct push_target *target,
		struct slice name, const char token[ITEM_ID_BYTES], int fd, uint64_t size)
{
	assert(!p->stream && !p->parser);
	p->target = *target;
	p->fd = fd;
	memcpy(p->token, token, ITEM_ID_BYTES);
	p->size = size;
	p->offset = p->sent = p->read = 0;
	p->is_asking = size >= PUSH_ASK_BYTES_MIN;
	p->is_compared = false;
	buf_init(&p->name);
	buf_init(&p->answer);
	drop_name_encode(name, false, &p->name);
	p->parser = NEW(http_parser);
	p->connect.ret = NULL;
	task_start(&p->task, &push_kind, parent);
}
