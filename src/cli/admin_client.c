#include "cli/admin_client.h"

#include <http_parser.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/scope.h"

struct answer {
	http_parser parser;
	struct buf body;
	bool is_complete;
};

static int on_body(http_parser *parser, const char *data, size_t size)
{
	struct answer *answer = parser->data;

	if (answer->body.size + size > ADMIN_ANSWER_BYTES_MAX)
		return 1;
	buf_add(&answer->body, data, size);
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct answer *answer = parser->data;

	answer->is_complete = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static enum err parse(struct answer *answer, const char *data, size_t size,
		      char why[SOCKET_WHY_BYTES])
{
	http_parser_execute(&answer->parser, &settings, data, size);
	enum http_errno failed = HTTP_PARSER_ERRNO(&answer->parser);
	if (failed == HPE_CB_body) {
		snprintf(why, SOCKET_WHY_BYTES, "the answer is too long");
		return ERR_TOO_BIG;
	}
	if (failed != HPE_OK && failed != HPE_PAUSED) {
		snprintf(why, SOCKET_WHY_BYTES, "the answer is not HTTP");
		return ERR_INVALID;
	}
	if (size == 0 && !answer->is_complete) {
		snprintf(why, SOCKET_WHY_BYTES, "the connection was closed");
		return ERR_IO;
	}
	return OK;
}

static enum err receive(int fd, struct answer *answer, uint64_t deadline_ms,
			char why[SOCKET_WHY_BYTES])
{
	char data[16384];

	while (!answer->is_complete) {
		size_t size;
		enum err err = socket_receive(fd, data, sizeof(data), deadline_ms, &size, why);
		if (!err)
			err = parse(answer, data, size, why);
		if (err)
			return err;
	}
	return OK;
}

static enum err send_request(struct arena *a, int fd, const char *method, const char *path,
			     struct slice body, uint64_t deadline_ms, char why[SOCKET_WHY_BYTES])
{
	const char *head =
		arena_format(a, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
			     method, path);

	if (body.size > 0)
		head = arena_format(a,
				    "%sContent-Type: application/json\r\nContent-Length: %zu\r\n",
				    head, body.size);
	enum err err =
		socket_send(fd, slice_from(arena_format(a, "%s\r\n", head)), deadline_ms, why);
	return err || body.size == 0 ? err : socket_send(fd, body, deadline_ms, why);
}

static enum err ask(struct arena *a, int fd, const char *method, const char *path,
		    struct slice body, uint64_t deadline_ms, unsigned *ret_status,
		    struct slice *ret_body, char why[SOCKET_WHY_BYTES])
{
	struct answer answer = { .is_complete = false };

	enum err err = send_request(a, fd, method, path, body, deadline_ms, why);
	if (err)
		return err;
	http_parser_init(&answer.parser, HTTP_RESPONSE);
	answer.parser.data = &answer;
	buf_init(&answer.body);
	err = receive(fd, &answer, deadline_ms, why);
	if (!err) {
		*ret_status = answer.parser.status_code;
		*ret_body = arena_copy(a, buf_slice(&answer.body));
	}
	buf_done(&answer.body);
	return err;
}

enum err admin_request(struct arena *a, const char *socket_path, const char *method,
		       const char *path, struct slice body, uint64_t timeout_ms,
		       unsigned *ret_status, struct slice *ret_body, char why[SOCKET_WHY_BYTES])
{
	uint64_t deadline_ms = clock_now_ms() + (timeout_ms ? timeout_ms : ADMIN_TIMEOUT_MS);
	AUTO_FD fd = -1;

	enum err err = socket_connect_unix(socket_path, deadline_ms, &fd, why);
	if (err)
		return err;
	return ask(a, fd, method, path, body, deadline_ms, ret_status, ret_body, why);
}

enum err admin_get_tcp(struct arena *a, const char *host, uint16_t port, const char *path,
		       uint64_t timeout_ms, unsigned *ret_status, struct slice *ret_body,
		       char why[SOCKET_WHY_BYTES])
{
	uint64_t deadline_ms = clock_now_ms() + (timeout_ms ? timeout_ms : ADMIN_TIMEOUT_MS);
	AUTO_FD fd = -1;

	enum err err = socket_connect_tcp(host, port, deadline_ms, &fd, why);
	if (err)
		return err;
	return ask(a, fd, "GET", path, (struct slice) { 0 }, deadline_ms, ret_status, ret_body,
		   why);
}

enum err admin_get(struct arena *a, const char *socket_path, const char *path, uint64_t timeout_ms,
		   unsigned *ret_status, struct slice *ret_body, char why[SOCKET_WHY_BYTES])
{
	return admin_request(a, socket_path, "GET", path, (struct slice) { 0 }, timeout_ms,
			     ret_status, ret_body, why);
}
