/* JSON with comments (// and slash-star) and trailing commas, as a tree that knows where in the
 * text each value stands.  UTF-8 only; a name occurs once in an object. */
#ifndef ACCESS_HUJSON_H
#define ACCESS_HUJSON_H

#include "base/arena.h"
#include "base/buf.h"

enum {
	HUJSON_BYTES_MAX = 1 << 20,
	HUJSON_DEPTH_MAX = 16,
	HUJSON_VALUES_MAX = 200000,
	HUJSON_WHY_BYTES = 160,
};

enum hujson_kind {
	HUJSON_NULL,
	HUJSON_FALSE,
	HUJSON_TRUE,
	HUJSON_NUMBER,
	HUJSON_TEXT,
	HUJSON_ARRAY,
	HUJSON_OBJECT,
};

struct hujson {
	enum hujson_kind kind;
	unsigned line, column;		 /* of the value, counted from 1 */
	unsigned name_line, name_column; /* of its name, in an object */
	struct slice name;		 /* in an object */
	struct slice text;		 /* decoded; a number as it is written */
	const struct hujson *first;	 /* in an array or object */
	const struct hujson *next;	 /* behind this one, in the same */
	size_t count;			 /* of what it holds */
};

struct hujson_error {
	unsigned line, column;
	char why[HUJSON_WHY_BYTES];
};

/* OK: *ret lives in the arena, and borrows nothing from `text`. */
MUST_CHECK enum err hujson_parse(struct arena *a, struct slice text, const struct hujson **ret,
				 struct hujson_error *ret_error);

/* The member of this name, or NULL. */
const struct hujson *hujson_member(const struct hujson *object, const char *name);

/* "a list", "text", ... for sentences about it. */
const char *hujson_kind_name(enum hujson_kind kind);

/* Append as JSON without comments or spaces. */
void hujson_write(struct buf *b, const struct hujson *value);

/* Append as JSON text, with its quotes. */
void hujson_write_text(struct buf *b, struct slice text);

#endif
