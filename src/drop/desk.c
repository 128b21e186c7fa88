#include "drop/desk.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "wire/taildrop.h"

#define PUT_PREFIX "/v0/put/"
#define PLAIN "Content-Type: text/plain; charset=utf-8\r\n"

/* The context of a server: which way it was come in by. */
struct door {
	struct desk *desk;
	enum desk_kind kind;
};

struct desk {
	struct loop *loop;
	struct desk_config config;
	struct door doors[2];
	struct list puts;
	size_t put_count;
	bool is_closing;
};

/* One request that takes time: a file that comes, or blocks of a part that are told. */
struct put {
	struct task task; /* makes the file durable */
	struct list link;
	struct desk *desk;
	struct http_request *request; /* NULL: the sender is gone */
	enum desk_kind kind;
	struct upload *upload;
	struct upload_finish finish;
	uint64_t expected; /* bytes of the file when this request is over; or unknown */
	uint64_t total;
	bool has_more; /* comes with other requests */
	char *sender, *name, *from;
	int part; /* blocks: the file they are of */
	uint8_t *block;
};

/* --- answers ---------------------------------------------------------------------------------- */

static void say(struct http_request *r, int status, const char *format, ...) PRINTF_LIKE(3, 4);

static void say(struct http_request *r, int status, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	http_request_answer(r, status, PLAIN, slice_from(text));
}

static int status_of(enum err err)
{
	switch ((int)err) {
	case ERR_BUSY:
		return 409;
	case ERR_CONFLICT:
		return 416;
	case ERR_FULL:
		return 507;
	case ERR_INVALID:
		return 400;
	case ERR_TOO_BIG:
		return 414;
	default:
		return 500;
	}
}

static void put_free(struct put *p)
{
	struct desk *d = p->desk;

	assert(!p->upload);
	if (p->request)
		p->request->handler_state = NULL;
	if (p->part >= 0)
		close(p->part);
	list_remove(&p->link);
	d->put_count--;
	memory_free(p->sender);
	memory_free(p->name);
	memory_free(p->from);
	memory_free(p->block);
	memory_free(p);
	if (d->is_closing && d->put_count == 0)
		memory_free(d);
}

/* --- who asks --------------------------------------------------------------------------------- */

static const struct mesh_view_machine *self_of(const struct mesh_view *v)
{
	return v && v->has_self ? &v->machines[0] : NULL;
}

static const struct mesh_view_machine *find_caller(const struct mesh_view *v, const char *peer)
{
	struct ip_port from;

	if (!v || ip_port_parse(slice_from(peer), &from))
		return NULL;
	return mesh_view_find_address(v, ip_unmapped(from.ip));
}

static bool may_send(const struct mesh_view *v, const struct mesh_view_machine *caller)
{
	const struct mesh_view_machine *self = self_of(v);

	if (!self)
		return false;
	return caller == self || caller->may_send_files ||
	       (caller->user.size > 0 && slice_equal(caller->user, self->user) &&
		!caller->is_tagged && !self->is_tagged);
}

/* Our address, with or without a port, or our name; "peer" is what the official client says. */
static bool is_our_host(const struct mesh_view *v, struct slice host)
{
	struct ip_port with_port;
	struct ip ip;

	if (slice_equal(host, SLICE("peer")))
		return true;
	if (ip_port_parse(host, &with_port) == OK)
		return mesh_view_find_address(v, with_port.ip) == self_of(v);
	if (ip_parse(host, &ip) == OK)
		return mesh_view_find_address(v, ip) == self_of(v);
	if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
		return ip_parse(slice_part(host, 1, host.size - 2), &ip) == OK &&
		       mesh_view_find_address(v, ip) == self_of(v);
	struct slice name = slice_cut(&host, ':');
	return mesh_view_find_name(v, name) == self_of(v);
}

/* NULL: it was refused. */
static const struct mesh_view_machine *admit(struct desk *d, struct http_request *r)
{
	const struct mesh_view *v = d->config.view(d->config.context);
	const struct mesh_view_machine *caller = find_caller(v, r->peer);

	if (!caller || !self_of(v)) {
		say(r, 403, "no machine of this mesh has the address you come from\n");
		return NULL;
	}
	if (http_request_header(r, "Origin").data || http_request_header(r, "Referer").data) {
		say(r, 403, "web pages of others may not ask here\n");
		return NULL;
	}
	if (!is_our_host(v, http_request_header(r, "Host"))) {
		say(r, 421, "that is not this machine\n");
		return NULL;
	}
	return caller;
}

/* --- a file that comes ------------------------------------------------------------------------ */

static bool is_unknown(uint64_t size)
{
	return size == STORE_SIZE_UNKNOWN;
}

/* From the headers; false: they make no sense. */
static bool read_range(const struct http_request *r, struct put *p, uint64_t *ret_offset)
{
	struct slice content = http_request_header(r, "Content-Range");
	struct slice range = http_request_header(r, "Range");
	struct drop_range found = { 0 };
	uint64_t body = r->body_bytes == HTTP_BODY_UNKNOWN ? STORE_SIZE_UNKNOWN : r->body_bytes;

	if (content.data && drop_content_range_parse(content, &found))
		return false;
	if (!content.data && range.data && drop_range_parse(range, &found))
		return false;
	if (!is_unknown(body) && body > (uint64_t)INT64_MAX - found.offset)
		return false;
	p->expected = is_unknown(body) ? STORE_SIZE_UNKNOWN : found.offset + body;
	if (found.end && !is_unknown(p->expected) && found.end != p->expected)
		return false;
	if (found.end)
		p->expected = found.end;
	p->total = found.total ? found.total : content.data ? STORE_SIZE_UNKNOWN : p->expected;
	p->has_more = content.data && found.end != found.total;
	*ret_offset = found.offset;
	return true;
}

static size_t count_puts(const struct desk *d, struct slice sender)
{
	size_t count = 0;

	LIST_EACH (&d->puts, struct put, link, p)
		count += slice_equal(slice_from(p->sender), sender);
	return count;
}

static struct put *put_new(struct desk *d, enum desk_kind kind, struct http_request *r,
			   const struct mesh_view_machine *caller, struct slice name)
{
	struct put *p = NEW(struct put);

	p->desk = d;
	p->kind = kind;
	p->request = r;
	p->part = -1;
	item_set(&p->sender, caller->id.size ? caller->id : caller->name);
	item_set(&p->from, caller->name);
	item_set(&p->name, name);
	list_add(&d->puts, &p->link);
	d->put_count++;
	r->handler_state = p;
	return p;
}

/* Ends the request; the part stays where there is some. */
static void put_fail(struct put *p, int status, const char *why)
{
	struct http_request *r = p->request;

	if (p->upload)
		upload_suspend(p->upload);
	p->upload = NULL;
	log_debug("%s from %s: %s", p->name, p->from, why);
	put_free(p);
	if (r)
		say(r, status, "%s\n", why);
}

static void put_end(struct put *p);

static struct slice token_of(const struct http_request *r)
{
	struct slice token = http_request_header(r, DROP_TOKEN_HEADER);
	char text[ITEM_ID_BYTES];

	if (token.size != ITEM_ID_BYTES - 1)
		return (struct slice) { 0 };
	memcpy(text, token.data, token.size);
	text[token.size] = '\0';
	return item_is_id(text) ? token : (struct slice) { 0 };
}

/* It came already, and its sender did not hear of it. */
static void answer_there(struct http_request *r, enum desk_kind kind)
{
	if (kind == DESK_PEERAPI)
		http_request_answer(r, 200, "Content-Type: application/json\r\n", SLICE("{}\n"));
	else
		say(r, 200, "it is in the inbox already\n");
}

static void begin_put(struct desk *d, enum desk_kind kind, struct http_request *r,
		      const struct mesh_view_machine *caller, struct slice name)
{
	struct slice id = caller->id.size ? caller->id : caller->name;
	struct store_sender who = { id, caller->name, caller->user, token_of(r) };
	char why[STORE_WHY_BYTES];
	uint64_t offset;

	if (store_find_token(d->config.store, id, who.token)) {
		answer_there(r, kind);
		return;
	}

	if (d->put_count >= DESK_PUTS_MAX || count_puts(d, id) >= DESK_SENDER_PUTS_MAX) {
		http_request_answer(r, 503, PLAIN "Retry-After: 5\r\n",
				    SLICE("too many files at once\n"));
		return;
	}
	struct put *p = put_new(d, kind, r, caller, name);
	if (!read_range(r, p, &offset)) {
		put_fail(p, 400, "the range makes no sense");
		return;
	}
	enum err err = store_begin(d->config.store, &who, name, offset, p->total, clock_wall_ms(),
				   &p->upload, why);
	if (err) {
		put_fail(p, status_of(err), why);
		return;
	}
	if (r->has_body)
		http_request_accept_body(r);
	else
		put_end(p);
}

static void answer_put(struct put *p)
{
	struct http_request *r = p->request;
	char head[128];

	if (!r)
		return;
	p->request = NULL;
	r->handler_state = NULL; /* the next request may begin in here */
	if (p->kind == DESK_PEERAPI) {
		http_request_answer(r, 200, "Content-Type: application/json\r\n", SLICE("{}\n"));
		return;
	}
	snprintf(head, sizeof(head), PLAIN "Upload-Offset: %llu\r\n",
		 (unsigned long long)p->finish.ret->item.size);
	http_request_answer(r, 201, head, SLICE("it is in the inbox\n"));
}

static enum step put_step(struct task *t)
{
	struct put *p = CONTAINER(t, struct put, task);

	switch (t->at) {
	case 0:
		upload_finish(&p->finish, t, p->upload, clock_wall_ms());
		return task_wait(t, 1);
	case 1:
		return task_done(t, upload_finished(&p->finish));
	}
	abort();
}

static void on_put_end(struct task *t)
{
	struct put *p = CONTAINER(t, struct put, task);
	struct desk *d = p->desk;

	p->upload = NULL;
	if (t->err) {
		log_warn("%s from %s could not be kept: %s", p->name, p->from, err_name(t->err));
		put_fail(p, status_of(t->err), "the file cannot be kept");
		return;
	}
	log_info("%s from %s is in the inbox, %llu bytes", p->name, p->from,
		 (unsigned long long)p->finish.ret->item.size);
	if (!d->is_closing)
		d->config.on_item(d->config.context, p->finish.ret);
	answer_put(p);
	put_free(p);
}

static const char *const put_places[] = { "start", "durable" };
static const struct task_kind put_kind = {
	.name = "put",
	.places = put_places,
	.place_count = 2,
	.step = put_step,
	.on_end = on_put_end,
};

/* The body of this request is over. */
static void put_end(struct put *p)
{
	uint64_t bytes = upload_bytes(p->upload);
	struct http_request *r = p->request;
	char head[128];

	if (!is_unknown(p->expected) && bytes != p->expected) {
		put_fail(p, 400, "the body is not as long as was said");
		return;
	}
	if (!p->has_more) {
		task_start_root(&p->task, &put_kind, p->desk->loop);
		return;
	}
	upload_suspend(p->upload); /* the next part comes with another request */
	p->upload = NULL;
	put_free(p);
	snprintf(head, sizeof(head), PLAIN "Upload-Offset: %llu\r\n", (unsigned long long)bytes);
	http_request_answer(r, 202, head, SLICE("more is to come\n"));
}

static void on_body(void *context, struct http_request *r, struct slice part)
{
	struct put *p = r->handler_state;
	char why[STORE_WHY_BYTES];

	(void)context;
	if (!p)
		return;
	enum err err = upload_write(p->upload, part, why);
	if (err)
		put_fail(p, status_of(err), why);
}

static void on_end(void *context, struct http_request *r)
{
	(void)context;
	if (r->handler_state)
		put_end(r->handler_state);
}

static void on_lost(void *context, struct http_request *r)
{
	struct put *p = r->handler_state;

	(void)context;
	if (!p)
		return;
	p->request = NULL;
	if (task_is_running(&p->task))
		return; /* all of it is here: it is kept */
	if (p->upload) {
		log_debug("%s went away in the middle of %s", p->from, p->name);
		upload_suspend(p->upload);
	}
	p->upload = NULL;
	put_free(p);
}

/* --- what is there of a file ------------------------------------------------------------------ */

static void tell_blocks(struct put *p)
{
	struct http_request *r = p->request;
	struct drop_block block;
	struct buf text;
	ssize_t size = DROP_BLOCK_BYTES;

	buf_init(&text);
	for (int i = 0; i < DESK_HASHED_BLOCKS && size == DROP_BLOCK_BYTES; i++) {
		size = read(p->part, p->block, DROP_BLOCK_BYTES);
		if (size <= 0)
			break;
		block.size = (uint64_t)size;
		sha256((struct slice) { p->block, (size_t)size }, block.sha256);
		drop_block_encode(&block, &text);
	}
	http_request_write(r, buf_slice(&text));
	buf_done(&text);
	if (size == DROP_BLOCK_BYTES)
		return; /* more when this has left */
	put_free(p);
	http_request_finish(r);
}

static void on_drained(void *context, struct http_request *r)
{
	struct put *p = r->handler_state;

	(void)context;
	if (p && p->part >= 0)
		tell_blocks(p);
}

static void begin_blocks(struct desk *d, struct http_request *r,
			 const struct mesh_view_machine *caller, struct slice name)
{
	struct slice id = caller->id.size ? caller->id : caller->name;
	static const char type[] = "Content-Type: application/json\r\n";
	int part;

	if (store_part_open(d->config.store, id, name, &part)) {
		http_request_answer(r, 200, type, (struct slice) { 0 });
		return;
	}
	if (d->put_count >= DESK_PUTS_MAX || count_puts(d, id) >= DESK_SENDER_PUTS_MAX) {
		close(part);
		http_request_answer(r, 503, PLAIN "Retry-After: 5\r\n",
				    SLICE("too many files at once\n"));
		return;
	}
	struct put *p = put_new(d, DESK_PEERAPI, r, caller, name);
	p->part = part;
	p->block = memory_take(DROP_BLOCK_BYTES);
	http_request_begin(r, 200, type, HTTP_BODY_UNKNOWN);
	tell_blocks(p);
}

static void add_part_name(void *context, struct slice name)
{
	struct buf *text = context;

	buf_add_text(text, text->size > 1 ? "," : "");
	drop_json_text(name, text);
}

static void answer_part_names(struct desk *d, struct http_request *r,
			      const struct mesh_view_machine *caller)
{
	struct buf text;

	buf_init(&text);
	buf_add_text(&text, "[");
	store_each_part(d->config.store, caller->id.size ? caller->id : caller->name, add_part_name,
			&text);
	buf_add_text(&text, "]\n");
	http_request_answer(r, 200, "Content-Type: application/json\r\n", buf_slice(&text));
	buf_done(&text);
}

static void answer_head(struct desk *d, struct http_request *r,
			const struct mesh_view_machine *caller, struct slice name)
{
	char head[64];
	bool is_sure;
	uint64_t bytes =
		store_part_bytes(d->config.store, caller->id.size ? caller->id : caller->name, name,
				 &is_sure);

	snprintf(head, sizeof(head), "Upload-Offset: %llu\r\n",
		 (unsigned long long)(is_sure ? bytes : 0));
	http_request_answer(r, bytes && is_sure ? 200 : 404, head, (struct slice) { 0 });
}

static void answer_help(struct desk *d, struct http_request *r)
{
	const struct mesh_view *v = d->config.view(d->config.context);
	struct slice name = self_of(v)->name;

	say(r, 200,
	    "This is the inbox of %.*s, a machine of %.*s.\n\n"
	    "  curl -T FILE http://%.*s/          puts a file in\n"
	    "  curl -T FILE http://%.*s/DIR/      into a folder\n"
	    "  hanse send FILE|DIR... %.*s:       the same, and goes on after interruptions\n",
	    SLICE_ARG(name), SLICE_ARG(v->domain), SLICE_ARG(name), SLICE_ARG(name),
	    SLICE_ARG(name));
}

/* --- requests --------------------------------------------------------------------------------- */

static bool is_method(const struct http_request *r, const char *method)
{
	return strcmp(r->method, method) == 0;
}

static void route(struct desk *d, enum desk_kind kind, struct http_request *r,
		  const struct mesh_view_machine *caller, struct slice name)
{
	if (is_method(r, "PUT"))
		begin_put(d, kind, r, caller, name);
	else if (kind == DESK_PEERAPI && is_method(r, "GET"))
		begin_blocks(d, r, caller, name);
	else if (kind == DESK_HTTP && is_method(r, "HEAD"))
		answer_head(d, r, caller, name);
	else if (kind == DESK_HTTP && is_method(r, "GET"))
		say(r, 404, "files are put here, not fetched\n");
	else
		http_request_answer(r, 405, PLAIN "Allow: PUT\r\n", SLICE("PUT it\n"));
}

static void on_head(void *context, struct http_request *r)
{
	struct door *door = context;
	struct desk *d = door->desk;
	const struct mesh_view_machine *caller = admit(d, r);
	struct slice path = r->path, name;
	const char *why;
	struct arena a;

	if (!caller)
		return;
	if (door->kind == DESK_PEERAPI) {
		if (!slice_starts_with(path, SLICE(PUT_PREFIX))) {
			say(r, 404, "only " PUT_PREFIX " is here\n");
			return;
		}
		path = slice_part(path, sizeof(PUT_PREFIX) - 1, path.size);
	} else if (slice_equal(path, SLICE("/")) && (is_method(r, "GET") || is_method(r, "HEAD"))) {
		answer_help(d, r);
		return;
	}
	if (!may_send(d->config.view(d->config.context), caller)) {
		say(r, 403,
		    "this machine belongs to somebody else: policy has to grant you file-send\n");
		return;
	}
	if (door->kind == DESK_PEERAPI && path.size == 0 && is_method(r, "GET")) {
		answer_part_names(d, r, caller);
		return;
	}
	arena_init(&a);
	enum err err = drop_name_decode(&a, path, &name, &why);
	if (err)
		say(r, status_of(err), "the name %s\n", why);
	else
		route(d, door->kind, r, caller, name);
	arena_done(&a);
}

/* --- life ------------------------------------------------------------------------------------- */

static const struct http_stream_handler handler = {
	.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
	.on_lost = on_lost,
	.on_drained = on_drained,
};

struct desk *desk_new(struct loop *loop, const struct desk_config *config)
{
	struct desk *d = NEW(struct desk);

	d->loop = loop;
	d->config = *config;
	d->doors[DESK_HTTP] = (struct door) { d, DESK_HTTP };
	d->doors[DESK_PEERAPI] = (struct door) { d, DESK_PEERAPI };
	list_init(&d->puts);
	return d;
}

void desk_close(struct desk *d)
{
	d->is_closing = true;
	if (d->put_count == 0)
		memory_free(d);
}

enum err desk_listen(struct desk *d, enum desk_kind kind, struct ip_port at,
		     struct http_stream_server **ret, char why[TASK_WHY_BYTES])
{
	char host[IP_TEXT_BYTES];

	ip_text(at.ip, host);
	return http_stream_open_tcp(d->loop, host, at.port, &handler, &d->doors[kind], ret, why);
}
