/* Asks the processes of `hanse up` on this machine: mesh.sock and realm.sock in --run-dir. */
#ifndef CLI_LOCAL_CLIENT_H
#define CLI_LOCAL_CLIENT_H

#include <jansson.h>

#include "base/arena.h"
#include "cli/command.h"

/* `socket` is "mesh.sock" or "realm.sock"; `body` is JSON that is released, or NULL; timeout_ms 0:
 * the default.  COMMAND_DONE: *ret is an answer with status 200, the caller's to release.  Anything
 * else was said: the "error" of the answer (404 is COMMAND_NOT_FOUND, 503 COMMAND_UNREACHABLE, all
 * others COMMAND_REFUSED), or that nobody is there. */
enum command_status local_request(const struct command_line *l, const char *socket,
				  const char *method, const char *path, json_t *body,
				  uint64_t timeout_ms, json_t **ret);

#endif
