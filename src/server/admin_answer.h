/* What the parts of the admin API have in common: its requests are JSON, and so are the answers. */
#ifndef SERVER_ADMIN_ANSWER_H
#define SERVER_ADMIN_ANSWER_H

#include <jansson.h>

#include "base/err.h"
#include "base/slice.h"
#include "loop/http_server.h"

/* The body of a request; NULL if it is no JSON. */
json_t *admin_body(const struct http_exchange *e);

/* A member that is text, which lies in the object; the null slice if it is none. */
struct slice admin_text(const json_t *object, const char *name);

/* {"error": why}, where `why` needs no escapes, or with NULL {}. */
void admin_answer(struct http_exchange *e, int status, const char *why);

/* Why a change is not known to have been made, for errors that are not about what it asked for; the
 * status is 503. */
const char *admin_why_not_led(enum err err);

#endif
