/* JSON by hand: what is absent, null or empty means something of its own in this protocol, so each
 * member is written by whoever knows. */
#ifndef WIRE_CONTROL_JSON_WRITER_H
#define WIRE_CONTROL_JSON_WRITER_H

#include "wire/control/node.h"

struct json_writer {
	struct buf *b; /* appended to */
	bool needs_comma;
};

void json_begin(struct json_writer *w, char bracket); /* '{' or '[' */
void json_end(struct json_writer *w, char bracket);   /* '}' or ']' */
void json_name(struct json_writer *w, const char *name);

/* Values, as members of an array; UTF-8. */
void json_text(struct json_writer *w, struct slice text);
void json_int(struct json_writer *w, int64_t value);
void json_bool(struct json_writer *w, bool value);
void json_raw(struct json_writer *w, struct slice json);

/* Members. */
void json_put_text(struct json_writer *w, const char *name, struct slice text);
void json_put_int(struct json_writer *w, const char *name, int64_t value);
void json_put_bool(struct json_writer *w, const char *name, bool value);
void json_put_key(struct json_writer *w, const char *name, enum mesh_key_kind kind,
		  const struct mesh_key *key);
void json_put_time(struct json_writer *w, const char *name, int64_t time_s);
void json_put_texts(struct json_writer *w, const char *name, const struct slice *texts,
		    size_t count);
void json_put_prefixes(struct json_writer *w, const char *name, const struct ip_prefix *prefixes,
		       size_t count);
void json_put_endpoints(struct json_writer *w, const char *name, const struct endpoint *endpoints,
			size_t count);
void json_put_caps(struct json_writer *w, const char *name, const struct control_cap *caps,
		   size_t count);

#endif
