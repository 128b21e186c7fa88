/* Messages as tables: one decoder and one encoder for every message of Kafka's protocol and of our
 * own peer protocol.
 *
 * `kafka.schema` and `peer.schema` are turned by tools/schema.c into plain structs
 * (kafka_messages.h, peer_messages.h) and into const rows of the structs below, one row a field.
 *
 * What a struct holds:
 *   string, bytes, records   struct slice; null is data NULL, empty is size 0 with data not NULL
 *   arrays                   a pointer and `<name>_count`; null is pointer NULL, empty is count 0
 *                            with a pointer that is not NULL
 *   a struct, or null        a pointer, NULL for null; a struct that is never null is itself
 * Where a message version knows no null, null is written as empty.  A field that a version does not
 * have is skipped by the encoder and gets its default from the decoder. */
#ifndef WIRE_KAFKA_SCHEMA_H
#define WIRE_KAFKA_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum {
	SCHEMA_VERSION_NEVER = INT16_MAX, /* "no version": not flexible, not nullable */
	SCHEMA_TAG_NONE = -1,
	SCHEMA_DEPTH_MAX = 6,		     /* nested structs; the generator keeps to it */
	SCHEMA_ARRAY_COUNT_MAX = 1 << 20,    /* elements of one array */
	SCHEMA_STRING_BYTES_MAX = INT16_MAX, /* as the protocol says */
	SCHEMA_TAG_COUNT_MAX = 1024,	     /* tagged fields of one struct, known or not */
	SCHEMA_ARENA_BYTES_MAX = 64 << 20,   /* all that one schema_decode() may allocate */
};

enum schema_kind {
	SCHEMA_BOOL,
	SCHEMA_INT8, /* from here to FLOAT64: copied with the bytes turned round */
	SCHEMA_INT16,
	SCHEMA_UINT16,
	SCHEMA_INT32,
	SCHEMA_UINT32,
	SCHEMA_INT64,
	SCHEMA_FLOAT64,
	SCHEMA_UUID,
	SCHEMA_STRING,
	SCHEMA_BYTES, /* also `records`: length and bytes, never looked into */
	SCHEMA_STRUCT,
};

struct schema;

struct schema_field {
	const char *name;
	const struct schema *child; /* of SCHEMA_STRUCT */
	int64_t value_default;	    /* of numbers and bool */
	uint16_t offset;	    /* in the C struct */
	uint16_t count_offset;	    /* of arrays */
	int16_t version_first;
	int16_t version_last;
	int16_t null_first; /* first version that knows null */
	int16_t tag;	    /* SCHEMA_TAG_NONE: an ordinary field */
	enum schema_kind kind;
	bool is_array;
};

/* A message, or a struct nested in one (then key is -1). */
struct schema {
	const char *name;
	const struct schema_field *fields;
	uint16_t field_count;
	uint16_t struct_bytes;
	int16_t key;
	int16_t version_first;
	int16_t version_last;
	int16_t flexible_first; /* compact forms and tagged fields from this version on */
};

static inline bool schema_has_version(const struct schema *s, int version)
{
	return version >= s->version_first && version <= s->version_last;
}

/* Read one message from the front of `in` into the struct of `s`.  Slices point into the input,
 * arrays live in the arena.  ERR_INVALID: not of this form; ERR_TOO_BIG: over a limit above.  What
 * follows the message stays in `in`; on failure `in` and `ret` are untouched. */
MUST_CHECK enum err schema_decode(struct arena *a, const struct schema *s, int version,
				  struct slice *in, void *ret);

/* schema_decode() that also refuses bytes after the message. */
MUST_CHECK enum err schema_decode_all(struct arena *a, const struct schema *s, int version,
				      struct slice in, void *ret);

/* Append the message in a version it has.  Lengths over the protocol's limits are the caller's
 * bug. */
void schema_encode(const struct schema *s, int version, const void *value, struct buf *out);

/* Bytes that schema_encode_around() left out: they belong before out->data[position]. */
struct schema_gap {
	size_t position;
	struct slice bytes;
};

/* schema_encode() without the larger `bytes` and `records`, so that they can be sent from where
 * they are: of those of at least `gap_bytes_min` only the length is appended, and a gap is written.
 * Returns the number of gaps; what does not fit into `gap_count_max` of them is appended. */
size_t schema_encode_around(const struct schema *s, int version, const void *value,
			    size_t gap_bytes_min, struct schema_gap *gaps, size_t gap_count_max,
			    struct buf *out);

/* Clear the struct and give each field its declared default. */
void schema_defaults(const struct schema *s, void *value);

/* Unsigned base-128 integers of at most 32 bits, low bits first. */
MUST_CHECK enum err schema_varint_decode(struct slice *in, uint32_t *ret);
void schema_varint_encode(struct buf *out, uint32_t value);

/* Step over a section of tagged fields none of which is known. */
MUST_CHECK enum err schema_tags_skip(struct slice *in);

#endif
