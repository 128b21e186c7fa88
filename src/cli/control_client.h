/* Asks control of `hanse serve` on this machine, through its socket for administration. */
#ifndef CLI_CONTROL_CLIENT_H
#define CLI_CONTROL_CLIENT_H

#include <jansson.h>

#include "cli/command.h"

/* `name` is "/v1/users" ...; `body` is JSON that is released, or NULL.  COMMAND_DONE: *ret is an
 * answer with status 200, the caller's to release.  Anything else was said. */
enum command_status control_request(const struct command_line *l, const char *method,
				    const char *name, json_t *body, json_t **ret);

/* Where an answer's "leads" is false, it is from a node that stands by: say so. */
void control_say_who_answered(const json_t *answer);

#endif
