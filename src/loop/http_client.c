#include "loop/http_client.h"

#include <assert.h>
#include <http_parser.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "loop/tls_certificate.h"

enum { HTTP_CALL_CONNECTED, HTTP_CALL_ANSWERED, HTTP_CALL_PLACES };
static const char *const call_places[] = { "connected", "answered" };

/* --- the answer ------------------------------------------------------------------------------- */
static int on_body(http_parser *parser, const char *data, size_t size)
{
	struct http_call *call = parser->data;

	if (size > call->answer_bytes_max - call->body.size)
		return -1;
	buf_add(&call->body, data, size);
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct http_call *call = parser->data;

	call->is_complete = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static void parse(struct http_call *call, struct slice bytes)
{
	http_parser_execute(call->parser, &settings, (const char *)bytes.data, bytes.size);
	enum http_errno failed = HTTP_PARSER_ERRNO(call->parser);
	if (failed == HPE_CB_body)
		call->end = ERR_TOO_BIG;
	else if (failed != HPE_OK && failed != HPE_PAUSED)
		call->end = ERR_INVALID;
	else if (bytes.size == 0 && !call->is_complete && !call->end)
		call->end = ERR_UNAVAILABLE;
}

/* --- the stream ------------------------------------------------------------------------------- */
static void on_readable(void *context, struct stream *s)
{
	struct http_call *call = context;
	struct slice bytes = stream_inbox(s);

	if (!call->is_complete && !call->end)
		parse(call, bytes);
	stream_consume(s, bytes.size);
	if (call->is_complete || call->end)
		task_wake(&call->task);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct http_call *call = context;

	(void)s;
	call->is_ended = true;
	if (err)
		call->end = err;
	else if (!call->is_complete && !call->end)
		parse(call, (struct slice) { 0 });
	task_wake(&call->task);
}

static const struct stream_owner call_owner = {
	.on_readable = on_readable,
	.on_end = on_end,
};

/* --- the task --------------------------------------------------------------------------------- */
static enum step finish(struct http_call *call, enum err err)
{
	if (call->stream)
		stream_close(call->stream);
	call->stream = NULL;
	if (call->identity)
		tls_identity_free(call->identity);
	call->identity = NULL;
	memory_free(call->parser);
	call->parser = NULL;
	buf_done(&call->request);
	return task_done(&call->task, err);
}

static enum step call_step(struct task *t)
{
	struct http_call *call = CONTAINER(t, struct http_call, task);

	switch (t->at) {
	case HTTP_CALL_CONNECTED:
		if (task_is_running(&call->connect.task))
			return task_wait(t, HTTP_CALL_CONNECTED);
		if (!call->connect.task.err) {
			call->stream = call->connect.ret;
			stream_set_owner(call->stream, &call_owner, call);
			stream_write(call->stream, buf_slice(&call->request));
		}
		if (call->connect.task.err || task_is_canceled(t))
			return finish(call, call->connect.task.err ? call->connect.task.err
								   : ERR_CANCELED);
		return task_wait(t, HTTP_CALL_ANSWERED);
	case HTTP_CALL_ANSWERED:
		if (task_is_canceled(t))
			return finish(call, ERR_CANCELED);
		if (!call->is_complete && !call->end)
			return task_wait(t, HTTP_CALL_ANSWERED);
		call->status = (int)call->parser->status_code;
		return finish(call, call->is_complete ? OK : call->end);
	}
	abort();
}

static const struct task_kind call_kind = {
	.name = "http call",
	.places = call_places,
	.place_count = HTTP_CALL_PLACES,
	.step = call_step,
};

/* All but where it goes. */
static void begin_asking(struct http_call *call, struct task *parent, const struct http_ask *ask)
{
	assert(!call->stream && !call->parser);
	call->status = 0;
	call->end = OK;
	call->is_complete = call->is_ended = false;
	call->identity = NULL;
	buf_init(&call->body);
	buf_init(&call->request);
	call->parser = NEW(http_parser);
	http_parser_init(call->parser, HTTP_RESPONSE);
	call->parser->data = call;
	call->answer_bytes_max = ask->answer_bytes_max;
	buf_add_format(&call->request, "%s %s HTTP/1.1\r\nHost: %s", ask->method, ask->target,
		       ask->host);
	if (ask->port)
		buf_add_format(&call->request, ":%u", ask->port);
	buf_add_text(&call->request, "\r\nConnection: close\r\n");
	if (ask->body.size > 0)
		buf_add_format(&call->request, "Content-Type: %s\r\nContent-Length: %zu\r\n",
			       ask->content_type, ask->body.size);
	if (ask->header)
		buf_add_text(&call->request, ask->header);
	buf_add_text(&call->request, "\r\n");
	buf_add_slice(&call->request, ask->body);
	task_start(&call->task, &call_kind, parent);
}

static void begin(struct http_call *call, struct task *parent, const char *host, const char *method,
		  const char *target, struct slice body)
{
	begin_asking(call, parent,
		     &(struct http_ask) { .host = host,
					  .method = method,
					  .target = target,
					  .content_type = "application/json",
					  .body = body,
					  .answer_bytes_max = HTTP_CALL_ANSWER_BYTES_MAX });
}

void http_call_start_asking(struct http_call *call, struct task *parent, const struct http_ask *ask)
{
	begin_asking(call, parent, ask);
	connect_tcp(&call->connect, &call->task, ask->host, ask->port);
}

void http_call_start(struct http_call *call, struct task *parent, const char *socket_path,
		     const char *method, const char *target, struct slice body)
{
	begin(call, parent, "localhost", method, target, body);
	connect_unix(&call->connect, &call->task, socket_path);
}

void http_call_start_tcp(struct http_call *call, struct task *parent, const char *host,
			 uint16_t port, const char *method, const char *target, struct slice body)
{
	begin(call, parent, "localhost", method, target, body);
	connect_tcp(&call->connect, &call->task, host, port);
}

/* --- elsewhere -------------------------------------------------------------------------------- */
enum err http_place_parse(const char *url, struct http_place *ret)
{
	struct http_place place = { .is_tls = strncmp(url, "https://", 8) == 0 };
	char text[HTTP_HOST_BYTES + 8];

	if (!place.is_tls && strncmp(url, "http://", 7) != 0)
		return ERR_INVALID;
	const char *host = url + (place.is_tls ? 8 : 7);
	size_t size = strlen(host);
	if (size > 0 && host[size - 1] == '/')
		size--;
	if (size == 0 || size >= HTTP_HOST_BYTES || memchr(host, '/', size))
		return ERR_INVALID;
	memcpy(text, host, size);
	text[size] = '\0';
	bool is_bare = text[0] == '[' ? text[size - 1] == ']' : !strchr(text, ':');
	if (is_bare)
		memcpy(text + size, place.is_tls ? ":443" : ":80", place.is_tls ? 5 : 4);
	if (text_host_port(text, place.host, sizeof(place.host), &place.port) || place.port == 0)
		return ERR_INVALID;
	*ret = place;
	return OK;
}

void http_call_start_at(struct http_call *call, struct task *parent, const struct http_place *place,
			const char *method, const char *target, struct slice body)
{
	begin(call, parent, place->host, method, target, body);
	if (!place->is_tls) {
		connect_tcp(&call->connect, &call->task, place->host, place->port);
		return;
	}
	call->identity = tls_identity_new_client(TLS_TRUST_AUTHORITIES, place->host, NULL);
	connect_tls(&call->connect, &call->task, place->host, place->port, call->identity);
}
