#include "drop/counter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "wire/taildrop.h"

#define JSON "Content-Type: application/json\r\n"

struct counter {
	struct loop *loop;
	struct counter_config config;
	struct http_stream_server *server;
	struct list talks;
	size_t talk_count, listener_count;
	struct timer alive;
	bool is_closing;
};

enum talk_kind { TALK_EVENTS, TALK_DATA, TALK_QUEUE };

/* A request that takes time. */
struct talk {
	struct task task; /* makes a file of the queue durable */
	struct list link;
	enum talk_kind kind;
	struct counter *counter;
	struct http_request *request; /* NULL: gone */
	struct store_item *item;      /* data */
	int fd;
	struct upload *upload; /* queue */
	struct upload_finish finish;
};

/* --- documents -------------------------------------------------------------------------------- */

static void add_text(struct buf *b, const char *key, const char *value)
{
	buf_add_format(b, "\"%s\":", key);
	drop_json_text(slice_from(value), b);
	buf_add_text(b, ",");
}

static void add_number(struct buf *b, const char *key, int64_t value)
{
	buf_add_format(b, "\"%s\":%lld,", key, (long long)value);
}

static void end_object(struct buf *b)
{
	if (b->data[b->size - 1] == ',')
		b->size--;
	buf_add_text(b, "}");
}

static void add_item(struct counter *c, const struct store_item *i, struct buf *b)
{
	struct store_usage usage = store_usage(c->config.inbox);

	buf_add_text(b, "{");
	add_text(b, "id", i->item.id);
	add_text(b, "name", i->item.name);
	add_text(b, "from", i->item.from);
	add_text(b, "user", i->item.user);
	add_number(b, "size", (int64_t)i->item.size);
	add_number(b, "received_ms", i->item.time_ms);
	add_number(b, "expires_ms", i->item.time_ms + usage.limits.keep_ms);
	end_object(b);
}

static void add_queued(struct counter *c, const struct store_item *i, struct buf *b)
{
	struct courier_state state = courier_state(c->config.courier, i);

	buf_add_text(b, "{");
	add_text(b, "id", i->item.id);
	add_text(b, "name", i->item.name);
	add_text(b, "to", i->item.sender);
	add_number(b, "size", (int64_t)i->item.size);
	add_number(b, "queued_ms", i->item.time_ms);
	add_number(b, "sent", (int64_t)state.sent);
	buf_add_format(b, "\"sending\":%s,", state.is_sending ? "true" : "false");
	add_text(b, "why", state.why);
	end_object(b);
}

static void add_items(struct counter *c, struct store *s, struct buf *b,
		      void (*add)(struct counter *c, const struct store_item *i, struct buf *b))
{
	bool is_first = true;

	buf_add_text(b, "\"items\":[");
	LIST_EACH (store_items(s), struct store_item, link, i) {
		buf_add_text(b, is_first ? "\n" : ",\n");
		add(c, i, b);
		is_first = false;
	}
	buf_add_text(b, "],");
}

static void add_usage(const struct store *s, struct buf *b)
{
	struct store_usage u = store_usage(s);

	buf_add_text(b, "\"usage\":{");
	add_number(b, "files", (int64_t)u.files);
	add_number(b, "bytes", (int64_t)u.bytes);
	add_number(b, "incomplete_files", (int64_t)u.parts);
	add_number(b, "incomplete_bytes", (int64_t)u.part_bytes);
	add_number(b, "quota_bytes", (int64_t)u.limits.inbox_bytes);
	add_number(b, "sender_quota_bytes", (int64_t)u.limits.sender_bytes);
	add_number(b, "free_bytes", (int64_t)u.free_bytes);
	add_number(b, "reserve_bytes", (int64_t)u.limits.reserve_bytes);
	add_number(b, "keep_ms", u.limits.keep_ms);
	end_object(b);
}

static void answer_list(struct counter *c, struct http_request *r, struct store *s,
			void (*add)(struct counter *c, const struct store_item *i, struct buf *b))
{
	struct buf b;

	buf_init(&b);
	buf_add_text(&b, "{");
	add_items(c, s, &b, add);
	add_usage(s, &b);
	buf_add_text(&b, "}\n");
	http_request_answer(r, 200, JSON, buf_slice(&b));
	buf_done(&b);
}

static void refuse(struct http_request *r, int status, const char *why)
{
	struct buf b;

	buf_init(&b);
	buf_add_text(&b, "{");
	add_text(&b, "error", why);
	end_object(&b);
	buf_add_text(&b, "\n");
	http_request_answer(r, status, JSON, buf_slice(&b));
	buf_done(&b);
}

/* --- talks ------------------------------------------------------------------------------------ */

static struct talk *talk_new(struct counter *c, enum talk_kind kind, struct http_request *r)
{
	struct talk *t = NEW(struct talk);

	t->kind = kind;
	t->counter = c;
	t->request = r;
	t->fd = -1;
	r->handler_state = t;
	list_add(&c->talks, &t->link);
	c->talk_count++;
	c->listener_count += kind == TALK_EVENTS;
	return t;
}

static void talk_free(struct talk *t)
{
	struct counter *c = t->counter;

	assert(!t->upload);
	if (t->request)
		t->request->handler_state = NULL;
	if (t->item)
		t->item->readers--;
	if (t->fd >= 0)
		close(t->fd);
	c->talk_count--;
	c->listener_count -= t->kind == TALK_EVENTS;
	list_remove(&t->link);
	memory_free(t);
	if (c->is_closing && c->talk_count == 0)
		memory_free(c);
}

/* --- events ----------------------------------------------------------------------------------- */

static void tell(struct counter *c, struct slice text)
{
	LIST_EACH (&c->talks, struct talk, link, t) {
		struct http_request *r = t->request;
		if (t->kind != TALK_EVENTS)
			continue;
		if (http_request_pending_bytes(r) <= COUNTER_PENDING_BYTES_MAX) {
			http_request_write(r, text);
			continue;
		}
		talk_free(t);
		http_request_abort(r);
	}
}

static void on_alive(struct timer *timer)
{
	struct counter *c = CONTAINER(timer, struct counter, alive);

	tell(c, SLICE(": still here\n\n"));
	if (c->listener_count > 0)
		timer_set(timer, c->loop, loop_now_ms(c->loop) + COUNTER_ALIVE_MS, on_alive);
}

void counter_tell_file(struct counter *c, const struct store_item *i)
{
	struct buf b;

	buf_init(&b);
	buf_add_text(&b, "event: file\ndata: ");
	add_item(c, i, &b);
	buf_add_text(&b, "\n\n");
	tell(c, buf_slice(&b));
	buf_done(&b);
}

void counter_tell_outcome(struct counter *c, const struct store_item *i, enum err err,
			  const char *why)
{
	struct buf b;

	buf_init(&b);
	buf_add_format(&b, "event: %s\ndata: {", err ? "refused" : "sent");
	add_text(&b, "id", i->item.id);
	add_text(&b, "name", i->item.name);
	add_text(&b, "to", i->item.sender);
	add_text(&b, "why", err ? why : "");
	end_object(&b);
	buf_add_text(&b, "\n\n");
	tell(c, buf_slice(&b));
	buf_done(&b);
}

static void begin_events(struct counter *c, struct http_request *r)
{
	if (c->listener_count >= COUNTER_LISTENERS_MAX) {
		refuse(r, 503, "too many listen already");
		return;
	}
	talk_new(c, TALK_EVENTS, r);
	timer_set(&c->alive, c->loop, loop_now_ms(c->loop) + COUNTER_ALIVE_MS, on_alive);
	http_request_begin(r, 200, "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n",
			   HTTP_BODY_UNKNOWN);
	http_request_write(r, SLICE(": listening\n\n"));
}

/* --- the bytes of a file ---------------------------------------------------------------------- */

static void send_data(struct talk *t)
{
	struct http_request *r = t->request;
	uint8_t *bytes = memory_take(COUNTER_CHUNK_BYTES);
	ssize_t got = 1;

	while (got > 0 && http_request_pending_bytes(r) < COUNTER_PENDING_BYTES_MAX) {
		got = read(t->fd, bytes, COUNTER_CHUNK_BYTES);
		if (got > 0)
			http_request_write(r, (struct slice) { bytes, (size_t)got });
	}
	memory_free(bytes);
	if (got > 0)
		return;
	talk_free(t);
	if (got < 0)
		http_request_abort(r);
	else
		http_request_finish(r);
}

static void begin_data(struct counter *c, struct http_request *r, struct store_item *i)
{
	int fd;

	if (store_open_data(c->config.inbox, i, &fd)) {
		refuse(r, 500, "the file cannot be read");
		return;
	}
	struct talk *t = talk_new(c, TALK_DATA, r);
	t->fd = fd;
	t->item = i;
	i->readers++;
	http_request_begin(r, 200, "Content-Type: application/octet-stream\r\n", i->item.size);
	send_data(t);
}

/* --- a file for the queue --------------------------------------------------------------------- */

static void queue_fail(struct talk *t, int status, const char *why)
{
	struct http_request *r = t->request;

	if (t->upload)
		upload_discard(t->upload);
	t->upload = NULL;
	talk_free(t);
	if (r)
		refuse(r, status, why);
}

static enum step queue_step(struct task *task)
{
	struct talk *t = CONTAINER(task, struct talk, task);

	switch (task->at) {
	case 0:
		upload_finish(&t->finish, task, t->upload, clock_wall_ms());
		return task_wait(task, 1);
	case 1:
		return task_done(task, upload_finished(&t->finish));
	}
	abort();
}

static void on_queued(struct task *task)
{
	struct talk *t = CONTAINER(task, struct talk, task);
	struct counter *c = t->counter;
	struct http_request *r = t->request;
	struct buf b;

	t->upload = NULL;
	if (task->err) {
		queue_fail(t, 500, "the file cannot be kept");
		return;
	}
	buf_init(&b);
	buf_add_text(&b, "{");
	add_text(&b, "id", t->finish.ret->item.id);
	end_object(&b);
	buf_add_text(&b, "\n");
	if (!c->is_closing)
		courier_poke(c->config.courier);
	talk_free(t);
	if (r)
		http_request_answer(r, 201, JSON, buf_slice(&b));
	buf_done(&b);
}

static const char *const queue_places[] = { "start", "durable" };
static const struct task_kind queue_kind = {
	.name = "queue",
	.places = queue_places,
	.place_count = 2,
	.step = queue_step,
	.on_end = on_queued,
};

/* `rest` is TO/NAME. */
static void begin_queue(struct counter *c, struct http_request *r, struct slice rest)
{
	struct slice to, name, path = slice_cut(&rest, '/');
	char why[STORE_WHY_BYTES];
	const char *fault;
	struct arena a;

	arena_init(&a);
	if (drop_name_decode(&a, path, &to, &fault) || drop_name_decode(&a, rest, &name, &fault)) {
		snprintf(why, sizeof(why), "the name %s", fault);
		refuse(r, 400, why);
	} else {
		struct talk *t = talk_new(c, TALK_QUEUE, r);
		struct store_sender who = { .id = to, .name = to };
		uint64_t total =
			r->body_bytes == HTTP_BODY_UNKNOWN ? STORE_SIZE_UNKNOWN : r->body_bytes;
		enum err err = store_begin(c->config.queue, &who, name, 0, total, clock_wall_ms(),
					   &t->upload, why);
		if (err)
			queue_fail(t, err == ERR_FULL ? 507 : err == ERR_BUSY ? 409 : 500, why);
		else if (r->has_body)
			http_request_accept_body(r);
		else
			task_start_root(&t->task, &queue_kind, c->loop);
	}
	arena_done(&a);
}

/* --- requests --------------------------------------------------------------------------------- */

static bool take_prefix(struct slice *s, const char *prefix)
{
	if (!slice_starts_with(*s, slice_from(prefix)))
		return false;
	*s = slice_part(*s, strlen(prefix), s->size);
	return true;
}

static struct store_item *find_item(struct store *s, struct slice id)
{
	char text[ITEM_ID_BYTES];

	if (id.size != ITEM_ID_BYTES - 1)
		return NULL;
	memcpy(text, id.data, id.size);
	text[id.size] = '\0';
	return store_find(s, text);
}

static void handle_item(struct counter *c, struct http_request *r, struct slice id, bool is_queue)
{
	struct store_item *i = find_item(is_queue ? c->config.queue : c->config.inbox, id);
	bool is_delete = strcmp(r->method, "DELETE") == 0;

	if (!i) {
		refuse(r, 404, "no such file");
	} else if (is_delete && !is_queue && i->readers > 0) {
		refuse(r, 409, "somebody reads it");
	} else if (is_delete) {
		enum err err = is_queue ? courier_cancel(c->config.courier, i)
					: store_remove(c->config.inbox, i);
		if (err)
			refuse(r, 500, err_name(err));
		else
			http_request_answer(r, 200, JSON, SLICE("{}\n"));
	} else if (!is_queue && strcmp(r->method, "GET") == 0) {
		begin_data(c, r, i);
	} else {
		refuse(r, 405, "another method");
	}
}

static void on_head(void *context, struct http_request *r)
{
	struct counter *c = context;
	struct slice path = r->path;
	bool is_get = strcmp(r->method, "GET") == 0;

	if (slice_equal(path, SLICE("/v1/inbox")) && is_get)
		answer_list(c, r, c->config.inbox, add_item);
	else if (slice_equal(path, SLICE("/v1/queue")) && is_get)
		answer_list(c, r, c->config.queue, add_queued);
	else if (slice_equal(path, SLICE("/events")) && is_get)
		begin_events(c, r);
	else if (take_prefix(&path, "/v1/inbox/"))
		handle_item(c, r, path, false);
	else if (take_prefix(&path, "/v1/queue/"))
		strcmp(r->method, "POST") == 0 ? begin_queue(c, r, path)
					       : handle_item(c, r, path, true);
	else
		refuse(r, 404, "no such path");
}

static void on_body(void *context, struct http_request *r, struct slice part)
{
	struct talk *t = r->handler_state;
	char why[STORE_WHY_BYTES];

	(void)context;
	if (!t)
		return;
	enum err err = upload_write(t->upload, part, why);
	if (err)
		queue_fail(t, err == ERR_FULL ? 507 : 500, why);
}

static void on_end(void *context, struct http_request *r)
{
	struct counter *c = context;
	struct talk *t = r->handler_state;

	if (t)
		task_start_root(&t->task, &queue_kind, c->loop);
}

static void on_lost(void *context, struct http_request *r)
{
	struct talk *t = r->handler_state;

	(void)context;
	if (!t)
		return;
	t->request = NULL;
	if (task_is_running(&t->task))
		return; /* all of it is here */
	if (t->upload)
		queue_fail(t, 0, "");
	else
		talk_free(t);
}

static void on_drained(void *context, struct http_request *r)
{
	struct talk *t = r->handler_state;

	(void)context;
	if (t && t->kind == TALK_DATA)
		send_data(t);
}

static const struct http_stream_handler handler = {
	.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_lost = on_lost,
	.on_drained = on_drained,
};

enum err counter_open(struct loop *loop, const char *path, const struct counter_config *config,
		      struct counter **ret, char why[TASK_WHY_BYTES])
{
	struct counter *c = NEW(struct counter);

	c->loop = loop;
	c->config = *config;
	list_init(&c->talks);
	enum err err = http_stream_open_unix(loop, path, &handler, c, &c->server, why);
	if (err) {
		memory_free(c);
		return err;
	}
	*ret = c;
	return OK;
}

void counter_close(struct counter *c)
{
	timer_clear(&c->alive);
	http_stream_close(c->server); /* every request is lost */
	c->is_closing = true;
	if (c->talk_count == 0)
		memory_free(c);
}
