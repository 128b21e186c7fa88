#include "server/admin_answer.h"

#include <stdio.h>

enum { ANSWER_BYTES_MAX = 300 };

json_t *admin_body(const struct http_exchange *e)
{
	return json_loadb(e->body.size ? (const char *)e->body.data : "", e->body.size, 0, NULL);
}

struct slice admin_text(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) ? (struct slice) { (const uint8_t *)json_string_value(value),
							json_string_length(value) }
				     : (struct slice) { 0 };
}

void admin_answer(struct http_exchange *e, int status, const char *why)
{
	char text[ANSWER_BYTES_MAX];

	snprintf(text, sizeof(text), why ? "{\"error\":\"%s\"}\n" : "{}\n", why);
	http_answer(e, status, "application/json", slice_from(text));
}

const char *admin_why_not_led(enum err err)
{
	return err == ERR_UNKNOWN
		       ? "it is not known whether that was done: look again"
		       : "this node does not lead now: ask the one that `hanse status` names";
}
