/* Asks the drop process of `hanse up`: HTTP on drop.sock in --run-dir, with bodies of any size. */
#ifndef CLI_DROP_CLIENT_H
#define CLI_DROP_CLIENT_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cli/command.h"

enum { DROP_SILENCE_MS = 60 * 1000, DROP_TEXT_BYTES_MAX = 32 << 20 };

struct drop_request {
	const char *method, *path;
	int body_fd; /* -1: no body */
	uint64_t body_bytes;
	/* Part of a 200; false ends the request, which is then COMMAND_DONE. */
	bool (*on_body)(void *context, struct slice part);
	void *context;
};

/* COMMAND_DONE: an answer with status 200 or 201 came in full.  Anything else was said. */
enum command_status drop_ask(const struct command_line *l, const struct drop_request *r);

/* GET of a JSON document, the caller's to release. */
enum command_status drop_get_json(const struct command_line *l, const char *path, json_t **ret);

/* The items of GET /v1/queue as a table. */
void drop_print_queue(struct arena *a, const json_t *items);

/* "12.3 MB" */
void drop_size_text(uint64_t bytes, char ret[32]);

#endif
