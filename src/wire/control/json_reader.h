/* JSON of a peer, read with limits.  A mistake is kept: the functions go on with defaults, and the
 * caller looks at `err` once.  Absent and null are the same: the default. */
#ifndef WIRE_CONTROL_JSON_READER_H
#define WIRE_CONTROL_JSON_READER_H

#include <jansson.h>

#include "wire/control/node.h"

struct json_reader {
	struct arena *a; /* what is returned lives there */
	enum err err;	 /* the first one */
	json_t *root;
};

/* Parse; an object, or err is ERR_INVALID and the root NULL.  End with json_reader_done(). */
void json_reader_init(struct json_reader *r, struct arena *a, struct slice text);
void json_reader_done(struct json_reader *r);
void json_reader_fail(struct json_reader *r, enum err err);

/* The member, or NULL when it is absent or null, or when it is not of that type (a mistake).
 * `max`: items, or members. */
const json_t *json_get_object(struct json_reader *r, const json_t *object, const char *name,
			      size_t max);
const json_t *json_get_array(struct json_reader *r, const json_t *object, const char *name,
			     size_t max);

struct slice json_get_text(struct json_reader *r, const json_t *object, const char *name,
			   size_t bytes_max);
int64_t json_get_int(struct json_reader *r, const json_t *object, const char *name, int64_t min,
		     int64_t max);
double json_get_real(struct json_reader *r, const json_t *object, const char *name);
bool json_get_bool(struct json_reader *r, const json_t *object, const char *name);
enum control_maybe json_get_maybe(struct json_reader *r, const json_t *object, const char *name);
struct mesh_key json_get_key(struct json_reader *r, const json_t *object, const char *name,
			     enum mesh_key_kind kind);
int64_t json_get_time(struct json_reader *r, const json_t *object, const char *name);
struct slice *json_get_texts(struct json_reader *r, const json_t *object, const char *name,
			     size_t max, size_t *ret_count);
struct ip_prefix *json_get_prefixes(struct json_reader *r, const json_t *object, const char *name,
				    size_t max, size_t *ret_count);
struct endpoint *json_get_endpoints(struct json_reader *r, const json_t *object, const char *name,
				    size_t *ret_count);
struct control_cap *json_get_caps(struct json_reader *r, const json_t *object, const char *name,
				  size_t *ret_count);

/* A text value itself. */
struct slice json_text_value(struct json_reader *r, const json_t *value, size_t bytes_max);
/* The value as text, in the arena. */
struct slice json_value_text(struct json_reader *r, const json_t *value, size_t bytes_max);
/* The name of a member that is an integer: "12". */
int64_t json_name_int(struct json_reader *r, const char *name, int64_t max);

#endif
