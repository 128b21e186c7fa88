/* The parser is run over what has arrived and stops (pauses) at the end of a head and of a message,
 * so that the handler is never called from inside of it, except with parts of a body. */
#include "loop/http_stream.h"

#include <assert.h>
#include <http_parser.h>
#include <stdio.h>
#include <strings.h>

#include "base/buf.h"
#include "base/memory.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum {
	CONNECTION_MAGIC = 0x68737472,
	LEAVE_MS = 5000,
	HEADERS_MAX = 64,
};

struct http_stream_server {
	struct loop *loop;
	const struct http_stream_handler *handler;
	void *context;
	struct listener *listener;
	struct list connections; /* the one heard last is the last */
	size_t connection_count;
};

enum place {
	READING_HEAD,
	DECIDING,     /* on_head was called, the body not accepted */
	READING_BODY, /* accepted */
	ANSWERING,    /* the body is over; the answer is not */
	SKIPPING,     /* answered; the rest of the body goes nowhere */
};

struct header {
	size_t name, value; /* offsets of texts with their NUL */
};

struct connection {
	uint32_t magic;
	struct http_stream_server *server;
	struct list link;
	struct stream *stream;
	struct timer idle;
	http_parser parser;
	struct http_request request;
	enum place at;
	struct buf url, texts;
	struct header headers[HEADERS_MAX];
	size_t header_count, head_bytes;
	uint64_t skipped;
	int refusal; /* a status, of a head that is none */
	bool is_value_last, is_head_over, is_message_over, is_last;
	bool is_continue_wanted, is_begun, is_chunked, is_answered, is_paused;
	bool is_parsing, is_gone, is_keeping;
};

/* --- life of a connection --------------------------------------------------------------------- */

static void connection_free(struct connection *c)
{
	timer_clear(&c->idle);
	list_remove(&c->link);
	c->server->connection_count--;
	buf_done(&c->url);
	buf_done(&c->texts);
	c->magic = 0;
	memory_free(c);
}

static bool has_open_request(const struct connection *c)
{
	return c->at == DECIDING || c->at == READING_BODY || c->at == ANSWERING;
}

static void touch(struct connection *c);

/* The stream is closed or leaving by now.  While its bytes are parsed the caller frees it. */
static void connection_gone(struct connection *c)
{
	bool was_open = has_open_request(c) && !c->is_answered;

	c->stream = NULL;
	c->is_gone = true;
	c->is_answered = true;
	if (was_open)
		c->server->handler->on_lost(c->server->context, &c->request);
	if (!c->is_parsing)
		connection_free(c);
}

static void leave(struct connection *c)
{
	stream_close_gracefully(c->stream, LEAVE_MS);
	c->is_answered = true;
	connection_gone(c);
}

static void on_idle(struct timer *t)
{
	struct connection *c = CONTAINER(t, struct connection, idle);
	bool is_our_turn = c->at == DECIDING || c->at == ANSWERING || c->is_paused;

	if (is_our_turn && !c->is_answered && stream_pending_bytes(c->stream) == 0) {
		touch(c);
		return;
	}
	stream_close(c->stream);
	connection_gone(c);
}

/* Bytes came or left. */
static void touch(struct connection *c)
{
	struct http_stream_server *s = c->server;

	list_remove(&c->link);
	list_add(&s->connections, &c->link);
	timer_set(&c->idle, s->loop, loop_now_ms(s->loop) + HTTP_STREAM_IDLE_MS, on_idle);
}

/* --- the head --------------------------------------------------------------------------------- */

static struct connection *connection_of(http_parser *parser)
{
	struct connection *c = parser->data;

	assert(c->magic == CONNECTION_MAGIC);
	return c;
}

static int refuse_with(struct connection *c, int status)
{
	c->refusal = status;
	return -1;
}

static int add_head_bytes(struct connection *c, struct buf *b, const char *at, size_t size)
{
	c->head_bytes += size;
	if (c->head_bytes > HTTP_STREAM_HEAD_BYTES_MAX)
		return refuse_with(c, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
	buf_add(b, at, size);
	return 0;
}

static int on_begin(http_parser *parser)
{
	struct connection *c = connection_of(parser);

	c->header_count = c->head_bytes = 0;
	c->is_value_last = true;
	c->is_begun = c->is_answered = c->is_paused = c->is_continue_wanted = false;
	c->is_message_over = false;
	c->skipped = 0;
	buf_clear(&c->url);
	buf_clear(&c->texts);
	return 0;
}

static int on_url(http_parser *parser, const char *at, size_t size)
{
	struct connection *c = connection_of(parser);

	return add_head_bytes(c, &c->url, at, size);
}

static int on_field(http_parser *parser, const char *at, size_t size)
{
	struct connection *c = connection_of(parser);

	if (c->is_head_over)
		return 0; /* a trailer */
	if (c->is_value_last) {
		if (c->header_count == HEADERS_MAX)
			return refuse_with(c, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
		buf_add(&c->texts, "", c->header_count ? 1 : 0);
		c->headers[c->header_count++] = (struct header) { .name = c->texts.size };
	}
	c->is_value_last = false;
	return add_head_bytes(c, &c->texts, at, size);
}

static int on_value(http_parser *parser, const char *at, size_t size)
{
	struct connection *c = connection_of(parser);

	if (c->is_head_over)
		return 0;
	if (!c->is_value_last) {
		buf_add(&c->texts, "", 1);
		c->headers[c->header_count - 1].value = c->texts.size;
	}
	c->is_value_last = true;
	return add_head_bytes(c, &c->texts, at, size);
}

static int on_head_complete(http_parser *parser)
{
	struct connection *c = connection_of(parser);

	buf_add(&c->texts, "", 1);
	if (parser->http_major != 1)
		return refuse_with(c, HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED);
	if (parser->upgrade)
		return refuse_with(c, HTTP_STATUS_NOT_IMPLEMENTED);
	c->is_head_over = true;
	http_parser_pause(parser, 1);
	return 0;
}

static int on_body_part(http_parser *parser, const char *at, size_t size)
{
	struct connection *c = connection_of(parser);
	struct slice part = { (const uint8_t *)at, size };

	if (c->is_gone)
		return 0;
	if (c->at == READING_BODY)
		c->server->handler->on_body(c->server->context, &c->request, part);
	else
		c->skipped += size;
	if (c->is_paused && !c->is_gone)
		http_parser_pause(parser, 1);
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct connection *c = connection_of(parser);

	c->is_message_over = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head_complete,
	.on_body = on_body_part,
	.on_message_complete = on_message_complete,
};

struct slice http_request_header(const struct http_request *r, const char *name)
{
	const struct connection *c = CONTAINER(r, struct connection, request);

	for (size_t i = 0; i < c->header_count; i++) {
		const char *texts = (const char *)c->texts.data;
		if (c->headers[i].value && strcasecmp(texts + c->headers[i].name, name) == 0)
			return slice_from(texts + c->headers[i].value);
	}
	return (struct slice) { 0 };
}

static bool fill_request(struct connection *c)
{
	struct http_parser_url url;
	struct slice text = buf_slice(&c->url);
	bool has_length = c->parser.flags & F_CONTENTLENGTH;
	bool is_chunked = c->parser.flags & F_CHUNKED;

	http_parser_url_init(&url);
	if (http_parser_parse_url((const char *)text.data, text.size, false, &url) != 0 ||
	    !(url.field_set & (1u << UF_PATH)))
		return false;
	c->request = (struct http_request) {
		.method = http_method_str((enum http_method)c->parser.method),
		.path = slice_part(text, url.field_data[UF_PATH].off, url.field_data[UF_PATH].len),
		.body_bytes = is_chunked   ? HTTP_BODY_UNKNOWN
			      : has_length ? c->parser.content_length
					   : 0,
		.has_body = is_chunked || (has_length && c->parser.content_length > 0),
		.peer = stream_peer_name(c->stream),
	};
	if (url.field_set & (1u << UF_QUERY))
		c->request.query = slice_part(text, url.field_data[UF_QUERY].off,
					      url.field_data[UF_QUERY].len);
	struct slice expect = http_request_header(&c->request, "expect");
	c->is_continue_wanted = expect.size == 12 &&
				strncasecmp((const char *)expect.data, "100-continue", 12) == 0;
	return true;
}

/* --- parsing ---------------------------------------------------------------------------------- */

static void write_status(struct connection *c, int status, const char *headers)
{
	struct buf head;

	buf_init(&head);
	buf_add_format(&head, "HTTP/1.1 %d %s\r\n%s", status,
		       http_status_str((enum http_status)status), headers);
	stream_write(c->stream, buf_slice(&head));
	buf_done(&head);
}

static void refuse(struct connection *c)
{
	if (has_open_request(c)) { /* what it sends is no body */
		stream_close(c->stream);
		connection_gone(c);
		return;
	}
	write_status(c, c->refusal, "Content-Length: 0\r\nConnection: close\r\n\r\n");
	leave(c);
}

static void next_request(struct connection *c)
{
	c->at = READING_HEAD;
	c->is_head_over = c->is_message_over = false;
	touch(c);
}

/* What follows from where the parser stopped. */
static void step(struct connection *c)
{
	const struct http_stream_handler *h = c->server->handler;

	if (c->at == READING_HEAD && c->is_head_over) {
		if (!fill_request(c)) {
			c->refusal = HTTP_STATUS_BAD_REQUEST;
			return;
		}
		c->at = DECIDING;
		h->on_head(c->server->context, &c->request);
	} else if (c->is_message_over && c->at == READING_BODY) {
		c->at = ANSWERING;
		h->on_end(c->server->context, &c->request);
	} else if (c->is_message_over && c->at == SKIPPING) {
		next_request(c);
	}
}

/* May the parser go on? */
static bool is_hungry(const struct connection *c)
{
	if (c->is_gone || c->refusal)
		return false;
	return c->at == READING_HEAD || c->at == SKIPPING ||
	       (c->at == READING_BODY && !c->is_paused && !c->is_message_over);
}

static void run_parser(struct connection *c, struct slice bytes)
{
	http_parser_pause(&c->parser, 0);
	size_t size =
		http_parser_execute(&c->parser, &settings, (const char *)bytes.data, bytes.size);
	if (c->is_gone)
		return;
	stream_consume(c->stream, size);
	enum http_errno code = HTTP_PARSER_ERRNO(&c->parser);
	if (code != HPE_OK && code != HPE_PAUSED && !c->refusal)
		c->refusal = HTTP_STATUS_BAD_REQUEST;
}

static void go_on(struct connection *c)
{
	if (c->is_parsing)
		return;
	c->is_parsing = true;
	while (is_hungry(c) && stream_inbox(c->stream).size > 0) {
		run_parser(c, stream_inbox(c->stream));
		if (!c->is_gone && !c->refusal)
			step(c);
		if (!c->is_gone && c->at == SKIPPING && c->skipped > HTTP_STREAM_SKIP_BYTES_MAX)
			leave(c);
	}
	if (!c->is_gone && c->refusal)
		refuse(c);
	c->is_parsing = false;
	if (c->is_gone)
		connection_free(c);
}

/* --- what handlers do ------------------------------------------------------------------------- */

static struct connection *of(const struct http_request *r)
{
	struct connection *c = CONTAINER(r, struct connection, request);

	assert(c->magic == CONNECTION_MAGIC && c->stream && has_open_request(c));
	return c;
}

void http_request_accept_body(struct http_request *r)
{
	struct connection *c = of(r);

	assert(c->at == DECIDING && !c->is_begun);
	c->at = READING_BODY;
	if (c->is_continue_wanted)
		stream_write(c->stream, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
	touch(c);
	go_on(c);
}

void http_request_pause(struct http_request *r)
{
	of(r)->is_paused = true;
}

void http_request_resume(struct http_request *r)
{
	struct connection *c = of(r);

	c->is_paused = false;
	touch(c);
	go_on(c);
}

/* What is left of the body is skipped, and then comes the next request. */
static void answered(struct connection *c, bool stays)
{
	c->is_answered = true;
	c->is_paused = false;
	if (!stays || c->is_last) {
		leave(c);
		return;
	}
	c->at = SKIPPING;
	if (c->is_message_over)
		next_request(c);
	go_on(c);
}

/* Of a large body that nobody reads the peer would have to send the rest. */
static bool may_stay(const struct connection *c)
{
	bool is_read = c->is_message_over || !c->request.has_body;

	return http_should_keep_alive(&c->parser) && c->server->listener && !c->is_last &&
	       (is_read ||
		(!c->is_continue_wanted && c->request.body_bytes <= HTTP_STREAM_SKIP_BYTES_MAX));
}

void http_request_answer(struct http_request *r, int status, const char *headers, struct slice body)
{
	http_request_begin(r, status, headers, body.size);
	http_request_write(r, body);
	http_request_finish(r);
}

void http_request_begin(struct http_request *r, int status, const char *headers,
			uint64_t body_bytes)
{
	struct connection *c = of(r);
	char length[64] = "Transfer-Encoding: chunked\r\n";
	struct buf lines;

	assert(!c->is_begun);
	c->is_begun = true;
	c->is_chunked = body_bytes == HTTP_BODY_UNKNOWN;
	c->is_keeping = may_stay(c);
	if (!c->is_chunked)
		snprintf(length, sizeof(length), "Content-Length: %llu\r\n",
			 (unsigned long long)body_bytes);
	buf_init(&lines);
	buf_add_format(&lines, "%s%s%s\r\n", headers, length,
		       c->is_keeping ? "" : "Connection: close\r\n");
	buf_add(&lines, "", 1);
	write_status(c, status, (char *)lines.data);
	buf_done(&lines);
	touch(c);
}

void http_request_write(struct http_request *r, struct slice part)
{
	struct connection *c = of(r);
	char size[32];

	assert(c->is_begun);
	if (part.size == 0 || c->parser.method == HTTP_HEAD)
		return;
	if (c->is_chunked) {
		snprintf(size, sizeof(size), "%zx\r\n", part.size);
		stream_write(c->stream, slice_from(size));
	}
	stream_write(c->stream, part);
	if (c->is_chunked)
		stream_write(c->stream, SLICE("\r\n"));
	touch(c);
}

size_t http_request_pending_bytes(const struct http_request *r)
{
	return stream_pending_bytes(of(r)->stream);
}

void http_request_finish(struct http_request *r)
{
	struct connection *c = of(r);

	assert(c->is_begun);
	if (c->is_chunked && c->parser.method != HTTP_HEAD)
		stream_write(c->stream, SLICE("0\r\n\r\n"));
	answered(c, c->is_keeping);
}

void http_request_abort(struct http_request *r)
{
	struct connection *c = of(r);

	c->is_answered = true;
	stream_close(c->stream);
	connection_gone(c);
}

/* --- the stream ------------------------------------------------------------------------------- */

static void on_readable(void *context, struct stream *s)
{
	struct connection *c = context;

	(void)s;
	if (c->at != READING_HEAD)
		touch(c); /* a head has to be whole in time */
	go_on(c);
}

static void on_drained(void *context, struct stream *s)
{
	struct connection *c = context;
	const struct http_stream_handler *h = c->server->handler;

	(void)s;
	touch(c);
	if (has_open_request(c) && c->is_begun && h->on_drained)
		h->on_drained(c->server->context, &c->request);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct connection *c = context;

	if (err == OK && c->at == ANSWERING) { /* it waits for its answer */
		c->is_last = true;
		return;
	}
	if (stream_pending_bytes(s) > 0)
		stream_close_gracefully(s, LEAVE_MS);
	else
		stream_close(s);
	connection_gone(c);
}

static const struct stream_owner connection_owner = {
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_end = on_end,
};

/* Of those that wait for a request. */
static void make_room(struct http_stream_server *server)
{
	LIST_EACH (&server->connections, struct connection, link, c) {
		if (has_open_request(c))
			continue;
		stream_close(c->stream);
		connection_gone(c);
		return;
	}
}

static void on_accept(void *context, struct stream *s)
{
	struct http_stream_server *server = context;

	if (server->connection_count >= HTTP_STREAM_CONNECTIONS_MAX)
		make_room(server);
	if (server->connection_count >= HTTP_STREAM_CONNECTIONS_MAX) {
		stream_close(s);
		return;
	}
	struct connection *c = NEW(struct connection);
	c->magic = CONNECTION_MAGIC;
	c->server = server;
	c->stream = s;
	list_add(&server->connections, &c->link);
	server->connection_count++;
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->parser.data = c;
	touch(c);
	stream_set_owner(s, &connection_owner, c);
}

/* --- the server ------------------------------------------------------------------------------- */

static struct http_stream_server *server_new(struct loop *loop,
					     const struct http_stream_handler *handler,
					     void *context)
{
	struct http_stream_server *server = NEW(struct http_stream_server);

	server->loop = loop;
	server->handler = handler;
	server->context = context;
	list_init(&server->connections);
	return server;
}

static enum err finish_open(struct http_stream_server *server, enum err err,
			    struct http_stream_server **ret)
{
	if (err)
		memory_free(server);
	else
		*ret = server;
	return err;
}

enum err http_stream_open_tcp(struct loop *loop, const char *host, uint16_t port,
			      const struct http_stream_handler *handler, void *context,
			      struct http_stream_server **ret, char why[TASK_WHY_BYTES])
{
	struct http_stream_server *server = server_new(loop, handler, context);

	return finish_open(server,
			   listener_open_tcp(loop, host, port, on_accept, server, &server->listener,
					     why),
			   ret);
}

enum err http_stream_open_unix(struct loop *loop, const char *path,
			       const struct http_stream_handler *handler, void *context,
			       struct http_stream_server **ret, char why[TASK_WHY_BYTES])
{
	struct http_stream_server *server = server_new(loop, handler, context);

	return finish_open(server,
			   listener_open_unix(loop, path, on_accept, server, &server->listener,
					      why),
			   ret);
}

uint16_t http_stream_port(const struct http_stream_server *server)
{
	return listener_port(server->listener);
}

void http_stream_close(struct http_stream_server *server)
{
	listener_close(server->listener);
	server->listener = NULL;
	LIST_EACH (&server->connections, struct connection, link, c) {
		assert(!c->is_parsing);
		stream_close(c->stream);
		connection_gone(c);
	}
	memory_free(server);
}
