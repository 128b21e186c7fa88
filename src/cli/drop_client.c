#include "cli/drop_client.h"

#include <errno.h>
#include <http_parser.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/scope.h"
#include "cli/output.h"
#include "cli/socket.h"
#include "server/up_options.h"

enum { CHUNK_BYTES = 256 * 1024, ERROR_BYTES_MAX = 4096 };

struct answer {
	const struct drop_request *request;
	http_parser parser;
	struct buf error; /* the body of another status */
	bool is_complete, is_enough;
};

/* --- the answer ------------------------------------------------------------------------------- */
static bool is_good(const http_parser *parser)
{
	return parser->status_code == 200 || parser->status_code == 201;
}

static int on_body(http_parser *parser, const char *data, size_t size)
{
	struct answer *a = parser->data;
	struct slice part = { (const uint8_t *)data, size };

	if (is_good(parser)) {
		a->is_enough |=
			a->request->on_body && !a->request->on_body(a->request->context, part);
		return a->is_enough;
	}
	if (a->error.size < ERROR_BYTES_MAX)
		buf_add_slice(&a->error, slice_part(part, 0, ERROR_BYTES_MAX - a->error.size));
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct answer *a = parser->data;

	a->is_complete = true;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings settings = {
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static enum err receive(int fd, struct answer *a, char why[SOCKET_WHY_BYTES])
{
	uint8_t *bytes = memory_take(CHUNK_BYTES);
	enum err err = OK;

	while (!a->is_complete && !a->is_enough && !err) {
		size_t size;
		err = socket_receive(fd, bytes, CHUNK_BYTES, clock_now_ms() + DROP_SILENCE_MS,
				     &size, why);
		if (err)
			break;
		http_parser_execute(&a->parser, &settings, (const char *)bytes, size);
		enum http_errno failed = HTTP_PARSER_ERRNO(&a->parser);
		bool is_broken = failed != HPE_OK && failed != HPE_PAUSED && failed != HPE_CB_body;
		if (is_broken || (size == 0 && !a->is_complete)) {
			snprintf(why, SOCKET_WHY_BYTES, "the connection was cut");
			err = ERR_IO;
		}
	}
	memory_free(bytes);
	return err;
}

/* --- the request ------------------------------------------------------------------------------ */
static enum err send_body(int fd, const struct drop_request *r, char why[SOCKET_WHY_BYTES])
{
	uint8_t *bytes = memory_take(CHUNK_BYTES);
	uint64_t left = r->body_bytes;
	enum err err = OK;

	while (left > 0 && !err) {
		size_t want = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		ssize_t got = pread(r->body_fd, bytes, want, (off_t)(r->body_bytes - left));
		if (got <= 0) {
			snprintf(why, SOCKET_WHY_BYTES, "the file cannot be read: %s",
				 got < 0 ? strerror(errno) : "it became shorter");
			err = ERR_IO;
			break;
		}
		err = socket_send(fd, (struct slice) { bytes, (size_t)got },
				  clock_now_ms() + DROP_SILENCE_MS, why);
		left -= (uint64_t)got;
	}
	memory_free(bytes);
	return err;
}

static enum command_status unreachable(enum err err, const char *path, const char *why)
{
	if (err == ERR_NOT_FOUND || err == ERR_UNAVAILABLE)
		say("no process for files runs here (%s): `hanse up` starts it", path);
	else if (err == ERR_DENIED)
		say("%s is another user's: use `sudo`", path);
	else
		say("no answer from %s: %s", path, why);
	return err == ERR_DENIED ? COMMAND_REFUSED : COMMAND_UNREACHABLE;
}

static enum command_status refused(const struct answer *a)
{
	unsigned code = a->parser.status_code;
	json_t *o = json_loadb((const char *)a->error.data, a->error.size, 0, NULL);
	const char *error = json_string_value(json_object_get(o, "error"));

	say("%s", error ? error : "it was refused");
	json_decref(o);
	return code == 404 ? COMMAND_NOT_FOUND : COMMAND_REFUSED;
}

static enum err exchange(int fd, const struct drop_request *r, struct answer *a,
			 char why[SOCKET_WHY_BYTES])
{
	struct buf head;

	buf_init(&head);
	buf_add_format(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
		       r->method, r->path);
	if (r->body_fd >= 0)
		buf_add_format(&head, "Content-Length: %llu\r\n",
			       (unsigned long long)r->body_bytes);
	buf_add_text(&head, "\r\n");
	enum err err = socket_send(fd, buf_slice(&head), clock_now_ms() + DROP_SILENCE_MS, why);
	buf_done(&head);
	if (!err && r->body_fd >= 0 && send_body(fd, r, why))
		err = OK; /* the answer may say why it was not taken */
	return err ? err : receive(fd, a, why);
}

enum command_status drop_ask(const struct command_line *l, const struct drop_request *r)
{
	char run_dir[OPTION_VALUE_BYTES_MAX], path[OPTION_VALUE_BYTES_MAX + 32];
	char why[SOCKET_WHY_BYTES];
	struct answer a = { .request = r };
	AUTO_FD fd = -1;

	up_options_find_run_dir("drop.sock", run_dir);
	snprintf(path, sizeof(path), "%s/drop.sock", command_line_value(l, FLAG_RUN_DIR, run_dir));
	enum err err = socket_connect_unix(path, clock_now_ms() + DROP_SILENCE_MS, &fd, why);
	if (err)
		return unreachable(err, path, why);
	http_parser_init(&a.parser, HTTP_RESPONSE);
	a.parser.data = &a;
	buf_init(&a.error);
	err = exchange(fd, r, &a, why);
	enum command_status status = err		  ? unreachable(err, path, why)
				     : is_good(&a.parser) ? COMMAND_DONE
							  : refused(&a);
	buf_done(&a.error);
	return status;
}

/* --- documents -------------------------------------------------------------------------------- */
static bool add_text(void *context, struct slice part)
{
	struct buf *text = context;

	if (part.size > DROP_TEXT_BYTES_MAX - text->size)
		return false;
	buf_add_slice(text, part);
	return true;
}

enum command_status drop_get_json(const struct command_line *l, const char *path, json_t **ret)
{
	struct buf text;

	buf_init(&text);
	enum command_status status = drop_ask(l, &(struct drop_request) { .method = "GET",
									  .path = path,
									  .body_fd = -1,
									  .on_body = add_text,
									  .context = &text });
	if (!status) {
		*ret = json_loadb((const char *)text.data, text.size, 0, NULL);
		if (!*ret) {
			say("the answer is not the JSON that was expected");
			status = COMMAND_UNREACHABLE;
		}
	}
	buf_done(&text);
	return status;
}

void drop_size_text(uint64_t bytes, char ret[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	snprintf(ret, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
