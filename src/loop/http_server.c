/* A connection parses until a request is whole, stops reading, hands it to the handler and goes on
 * with the answer:
 *
 *	reading --(whole request)--> handling --(http_answer)--> reading, or leaving
 *	                                      '-(http_upgrade)-> somebody else's
 *
 * The server is freed with its last connection. */
#include "loop/http_server.h"

#include <assert.h>
#include <http_parser.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/memory.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum {
	HTTP_MAGIC = 0x48747470,
	HTTP_LEAVE_MS = 5000,
	HTTP_PENDING_BYTES_MAX = 1024 * 1024, /* of answers the peer does not read */
};

struct http_server {
	uint32_t magic;
	struct loop *loop;
	struct http_server_config config;
	struct listener *listener; /* may be NULL */
	bool is_open;
	struct list connections;
	int connection_count;
};

enum http_place { HTTP_READING, HTTP_HANDLING };

struct http_connection {
	uint32_t magic;
	struct http_server *server;
	struct list link;
	struct stream *stream; /* NULL: the peer is gone */
	struct timer idle;
	http_parser parser;
	struct http_exchange exchange;
	enum http_place at;
	int refuse_status; /* 0, or why the request is refused */
	bool is_parsing;
	size_t header_bytes;
	struct buf url;
	struct buf body;
	struct buf field; /* the name of the header being read */
	struct buf value;
	struct buf headers; /* name, NUL, value, NUL, ... */
	bool is_value_last;
	bool is_continue_wanted;
	bool is_last; /* the peer will send no more */
};

/* --- life ------------------------------------------------------------------------------------- */
static void free_server_if_unused(struct http_server *server)
{
	if (server->is_open || server->connection_count > 0)
		return;
	server->magic = 0;
	memory_free(server);
}

/* The stream is closed or leaving by now. */
static void connection_free(struct http_connection *c)
{
	struct http_server *server = c->server;

	assert(c->at != HTTP_HANDLING && !c->stream && !c->is_parsing);
	timer_clear(&c->idle);
	list_remove(&c->link);
	buf_done(&c->url);
	buf_done(&c->body);
	buf_done(&c->field);
	buf_done(&c->value);
	buf_done(&c->headers);
	c->magic = 0;
	memory_free(c);
	server->connection_count--;
	free_server_if_unused(server);
}

static void leave(struct http_connection *c)
{
	stream_close_gracefully(c->stream, c->server->config.leave_ms);
	c->stream = NULL;
	if (!c->is_parsing)
		connection_free(c);
}

static void on_idle(struct timer *t)
{
	leave(CONTAINER(t, struct http_connection, idle));
}

static void wait_for_request(struct http_connection *c)
{
	c->at = HTTP_READING;
	list_remove(&c->link);
	list_add(&c->server->connections, &c->link);
	timer_set(&c->idle, c->server->loop, loop_now_ms(c->server->loop) + HTTP_IDLE_MS, on_idle);
}

/* --- answers ---------------------------------------------------------------------------------- */
static void write_answer(struct http_connection *c, int status, const char *content_type,
			 const char *headers, struct slice body, bool stays_open)
{
	struct buf head;

	buf_init(&head);
	buf_add_format(&head, "HTTP/1.1 %d %s\r\n", status,
		       http_status_str((enum http_status)status));
	if (status != HTTP_STATUS_NO_CONTENT)
		buf_add_format(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type,
			       body.size);
	buf_add_format(&head, "%s%s\r\n", headers, stays_open ? "" : "Connection: close\r\n");
	stream_write(c->stream, buf_slice(&head));
	buf_done(&head);
	if (c->parser.method != HTTP_HEAD || c->refuse_status)
		stream_write(c->stream, body);
}

static void go_on(struct http_connection *c);

void http_answer(struct http_exchange *e, int status, const char *content_type, struct slice body)
{
	http_answer_with(e, status, content_type, "", body);
}

void http_answer_with(struct http_exchange *e, int status, const char *content_type,
		      const char *headers, struct slice body)
{
	struct http_connection *c = CONTAINER(e, struct http_connection, exchange);

	assert(c->magic == HTTP_MAGIC);
	assert(c->at == HTTP_HANDLING);
	if (!c->stream) {
		c->at = HTTP_READING;
		if (!c->is_parsing)
			connection_free(c);
		return;
	}
	bool stays_open = http_should_keep_alive(&c->parser) && c->server->is_open && !c->is_last &&
			  !c->parser.upgrade;
	write_answer(c, status, content_type, headers, body, stays_open);
	wait_for_request(c);
	if (!stays_open)
		leave(c);
	else if (!c->is_parsing)
		go_on(c);
}

struct slice http_header(const struct http_exchange *e, const char *name)
{
	const struct http_connection *c =
		CONTAINER((struct http_exchange *)(uintptr_t)e, struct http_connection, exchange);
	struct slice rest = buf_slice(&c->headers);

	while (rest.size > 0) {
		struct slice field = slice_cut(&rest, 0);
		struct slice value = slice_cut(&rest, 0);
		if (strcasecmp((const char *)field.data, name) == 0)
			return value;
	}
	return (struct slice) { 0 };
}

struct stream *http_upgrade(struct http_exchange *e, const char *protocol, const char *headers)
{
	struct http_connection *c = CONTAINER(e, struct http_connection, exchange);
	struct stream *s = c->stream;
	struct buf head;

	assert(c->magic == HTTP_MAGIC);
	assert(c->at == HTTP_HANDLING && c->parser.upgrade);
	c->at = HTTP_READING;
	c->stream = NULL;
	if (s && protocol) {
		buf_init(&head);
		buf_add_format(&head,
			       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\n"
			       "Connection: upgrade\r\n%s\r\n",
			       protocol, headers);
		stream_write(s, buf_slice(&head));
		buf_done(&head);
	}
	if (!c->is_parsing)
		connection_free(c);
	return s;
}

static void refuse(struct http_connection *c)
{
	char text[64];

	snprintf(text, sizeof(text), "%s\n", http_status_str((enum http_status)c->refuse_status));
	write_answer(c, c->refuse_status, "text/plain", "", slice_from(text), false);
	leave(c);
}

/* --- requests --------------------------------------------------------------------------------- */
static struct http_connection *connection_of(http_parser *parser)
{
	struct http_connection *c = parser->data;

	assert(c->magic == HTTP_MAGIC);
	return c;
}

/* A parser callback that returns this stops the parser. */
static int stop_with(struct http_connection *c, int status)
{
	c->refuse_status = status;
	return -1;
}

static int add_header_bytes(struct http_connection *c, struct buf *b, const char *at, size_t size)
{
	c->header_bytes += size;
	if (c->header_bytes > HTTP_HEADER_BYTES_MAX)
		return stop_with(c, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
	buf_add(b, at, size);
	return 0;
}

static int on_begin(http_parser *parser)
{
	struct http_connection *c = connection_of(parser);

	c->header_bytes = 0;
	c->is_value_last = c->is_continue_wanted = false;
	buf_clear(&c->url);
	buf_clear(&c->body);
	buf_clear(&c->field);
	buf_clear(&c->value);
	buf_clear(&c->headers);
	return 0;
}

static int on_url(http_parser *parser, const char *at, size_t size)
{
	struct http_connection *c = connection_of(parser);

	return add_header_bytes(c, &c->url, at, size);
}

static void end_header(struct http_connection *c)
{
	buf_add(&c->field, "", 1);
	buf_add(&c->value, "", 1);
	buf_add_slice(&c->headers, buf_slice(&c->field));
	buf_add_slice(&c->headers, buf_slice(&c->value));
	/* the only header the server itself looks at */
	if (strcasecmp((char *)c->field.data, "expect") == 0 &&
	    strcasecmp((char *)c->value.data, "100-continue") == 0)
		c->is_continue_wanted = true;
	buf_clear(&c->field);
	buf_clear(&c->value);
	c->is_value_last = false;
}

static int on_header_field(http_parser *parser, const char *at, size_t size)
{
	struct http_connection *c = connection_of(parser);

	if (c->is_value_last)
		end_header(c);
	return add_header_bytes(c, &c->field, at, size);
}

static int on_header_value(http_parser *parser, const char *at, size_t size)
{
	struct http_connection *c = connection_of(parser);

	c->is_value_last = true;
	return add_header_bytes(c, &c->value, at, size);
}

static int on_headers_complete(http_parser *parser)
{
	struct http_connection *c = connection_of(parser);
	bool has_length = parser->flags & F_CONTENTLENGTH;

	if (c->is_value_last)
		end_header(c);
	if (parser->http_major != 1)
		return stop_with(c, HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED);
	if (parser->upgrade && !c->server->config.allows_upgrade)
		return stop_with(c, HTTP_STATUS_NOT_IMPLEMENTED);
	if (has_length && parser->content_length > HTTP_BODY_BYTES_MAX)
		return stop_with(c, HTTP_STATUS_PAYLOAD_TOO_LARGE);
	if (c->is_continue_wanted)
		stream_write(c->stream, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t size)
{
	struct http_connection *c = connection_of(parser);

	if (size > HTTP_BODY_BYTES_MAX - c->body.size)
		return stop_with(c, HTTP_STATUS_PAYLOAD_TOO_LARGE);
	buf_add(&c->body, at, size);
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct http_connection *c = connection_of(parser);

	c->at = HTTP_HANDLING;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings parser_settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

static struct slice url_part(const struct http_connection *c, const struct http_parser_url *url,
			     enum http_parser_url_fields field)
{
	if (!(url->field_set & (1u << field)))
		return (struct slice) { 0 };
	return slice_part(buf_slice(&c->url), url->field_data[field].off,
			  url->field_data[field].len);
}

static void handle_request(struct http_connection *c)
{
	struct http_parser_url url;

	timer_clear(&c->idle);
	http_parser_url_init(&url);
	if (http_parser_parse_url((const char *)c->url.data, c->url.size, false, &url) != 0) {
		c->at = HTTP_READING;
		c->refuse_status = HTTP_STATUS_BAD_REQUEST;
		return;
	}
	c->exchange = (struct http_exchange) {
		.method = http_method_str((enum http_method)c->parser.method),
		.path = url_part(c, &url, UF_PATH),
		.query = url_part(c, &url, UF_QUERY),
		.body = buf_slice(&c->body),
		.peer = stream_peer_name(c->stream),
		.uid = stream_peer_uid(c->stream),
	};
	if (c->parser.upgrade)
		c->exchange.upgrade = http_header(&c->exchange, "upgrade");
	c->server->config.on_request(c->server->config.context, &c->exchange);
}

/* Parse and handle what the inbox holds, until a request waits for its answer. */
static void go_on(struct http_connection *c)
{
	assert(!c->is_parsing);
	c->is_parsing = true;
	while (c->stream && c->at == HTTP_READING && !c->refuse_status) {
		struct slice inbox = stream_inbox(c->stream);
		if (inbox.size == 0 || stream_pending_bytes(c->stream) > HTTP_PENDING_BYTES_MAX)
			break;
		size_t size = http_parser_execute(&c->parser, &parser_settings,
						  (const char *)inbox.data, inbox.size);
		stream_consume(c->stream, size);
		if (c->at == HTTP_HANDLING) {
			http_parser_pause(&c->parser, 0);
			handle_request(c);
		} else if (HTTP_PARSER_ERRNO(&c->parser) != HPE_OK && !c->refuse_status) {
			c->refuse_status = HTTP_STATUS_BAD_REQUEST;
		}
	}
	if (c->stream && c->refuse_status)
		refuse(c);
	c->is_parsing = false;
	if (!c->stream && c->at == HTTP_READING)
		connection_free(c);
}

/* --- the stream ------------------------------------------------------------------------------- */
static void on_progress(void *context, struct stream *s)
{
	struct http_connection *c = context;

	(void)s;
	if (c->at == HTTP_READING)
		go_on(c);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct http_connection *c = context;

	if (err == OK && c->at == HTTP_HANDLING) { /* half closed; it may wait for the answer */
		c->is_last = true;
		return;
	}
	if (stream_pending_bytes(s) > 0)
		stream_close_gracefully(s, c->server->config.leave_ms);
	else
		stream_close(s);
	c->stream = NULL;
	if (c->at == HTTP_READING)
		connection_free(c);
}

static const struct stream_owner connection_owner = {
	.on_readable = on_progress,
	.on_drained = on_progress,
	.on_end = on_end,
};

/* Those that wait for a request stand in the list in the order in which they began to. */
static bool make_room(struct http_server *server)
{
	if (server->connection_count < server->config.connections_max)
		return true;
	LIST_EACH (&server->connections, struct http_connection, link, c) {
		if (c->at == HTTP_READING && c->stream && !c->is_parsing) {
			leave(c);
			return true;
		}
	}
	return false;
}

static void on_accept(void *context, struct stream *s)
{
	struct http_server *server = context;

	if (!make_room(server)) {
		stream_close(s);
		return;
	}
	struct http_connection *c = NEW(struct http_connection);
	c->magic = HTTP_MAGIC;
	c->server = server;
	c->stream = s;
	server->connection_count++;
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->parser.data = c;
	wait_for_request(c);
	stream_set_owner(s, &connection_owner, c);
}

/* --- the server ------------------------------------------------------------------------------- */
struct http_server *http_server_new(struct loop *loop, const struct http_server_config *config)
{
	struct http_server *server = NEW(struct http_server);

	assert(config->on_request);
	server->magic = HTTP_MAGIC;
	server->loop = loop;
	server->config = *config;
	if (!config->leave_ms)
		server->config.leave_ms = HTTP_LEAVE_MS;
	if (server->config.connections_max == 0)
		server->config.connections_max = HTTP_CONNECTIONS_MAX;
	server->is_open = true;
	list_init(&server->connections);
	return server;
}

void http_server_accept(struct http_server *server, struct stream *s)
{
	assert(server->magic == HTTP_MAGIC && server->is_open);
	on_accept(server, s);
}

static enum err finish_open(struct http_server *server, enum err err, struct http_server **ret)
{
	if (err)
		memory_free(server);
	else
		*ret = server;
	return err;
}

enum err http_server_open_unix(struct loop *loop, const char *path,
			       const struct http_server_config *config, struct http_server **ret,
			       char why[TASK_WHY_BYTES])
{
	struct http_server *server = http_server_new(loop, config);

	return finish_open(server,
			   listener_open_unix(loop, path, on_accept, server, &server->listener,
					      why),
			   ret);
}

enum err http_server_open_tcp(struct loop *loop, const char *host, uint16_t port,
			      const struct http_server_config *config, struct http_server **ret,
			      char why[TASK_WHY_BYTES])
{
	struct http_server *server = http_server_new(loop, config);

	return finish_open(server,
			   listener_open_tcp(loop, host, port, on_accept, server, &server->listener,
					     why),
			   ret);
}

uint16_t http_server_port(const struct http_server *server)
{
	assert(server->magic == HTTP_MAGIC && server->listener);
	return listener_port(server->listener);
}

void http_server_close(struct http_server *server)
{
	assert(server->magic == HTTP_MAGIC && server->is_open);
	server->connection_count++; /* keeps it while its connections go */
	if (server->listener)
		listener_close(server->listener);
	server->listener = NULL;
	server->is_open = false;
	LIST_EACH (&server->connections, struct http_connection, link, c)
		if (c->at == HTTP_READING && c->stream)
			leave(c);
	server->connection_count--;
	free_server_if_unused(server);
}
