/* Names and bytes of the journal's objects: pure, hostile bytes in.  Every byte is in
 * doc/formats/journal.md. */
#ifndef CELLS_JOURNAL_FORMAT_H
#define CELLS_JOURNAL_FORMAT_H

#include "cells/journal.h"

enum {
	JOURNAL_FORMAT_VERSION = 1,
	JOURNAL_HEADER_BYTES = 40, /* what all kinds begin with */
};

#define JOURNAL_SEQUENCE_MAX ((UINT64_C(1) << 48) - 1) /* 12 hex digits */

enum journal_object_kind {
	JOURNAL_OBJECT_RECORD = 1,
	JOURNAL_OBJECT_START = 2,
	JOURNAL_OBJECT_MARK = 3,
	JOURNAL_OBJECT_FENCE = 4,
	JOURNAL_OBJECT_FLOOR = 5, /* records of the epoch up to this sequence need no listing */
	JOURNAL_OBJECT_SEAL = 6,  /* in the place of a record: the epoch ends before it here */
};

/* Any of them.  What a kind does not have is zero. */
struct journal_object {
	enum journal_object_kind kind;
	struct epoch epoch;
	uint64_t time_ms;
	uint32_t checksum; /* of the whole object; not given when encoding */

	/* record and start: the object before this one in the log; checksum 0: not known */
	uint32_t previous_checksum;
	struct journal_snapshot snapshot;

	uint64_t sequence; /* record, floor and seal: within the epoch, from 1 */

	/* record */
	uint64_t index;	    /* within the journal, from 1 */
	uint64_t committed; /* known to be on a quorum when this one was made */
	struct slice payload;

	/* start */
	struct epoch previous_epoch; /* {0, 0}: the journal begins here */
	uint64_t previous_sequence;  /* last adopted record of it */
	uint64_t base_index;	     /* index of that record */
	unsigned bucket_count;
	enum journal_class classes[JOURNAL_BUCKETS_MAX];

	/* start and mark */
	struct slice address, node;
};

/* One reference for the caller. */
struct blob *journal_object_encode(const struct journal_object *object);

/* Computes size and checksum anew; for tests that damage an object and want to get past them. */
void journal_object_seal(struct blob *body);

/* The checksum inside an encoded object. */
uint32_t journal_object_checksum(const struct blob *body);

/* The slices of *ret point into `bytes`.  ERR_CORRUPT, or ERR_UNSUPPORTED for a newer version. */
MUST_CHECK enum err journal_object_decode(struct slice bytes, enum journal_object_kind kind,
					  struct journal_object *ret);

/* Names.  ret has JOURNAL_KEY_BYTES. */
void journal_key_marks(char *ret, const char *journal);	 /* the prefix of all marks */
void journal_key_epochs(char *ret, const char *journal); /* the prefix of all epochs */
void journal_key_epoch(char *ret, const char *journal, struct epoch e); /* of one epoch */
void journal_key_mark(char *ret, const char *journal, struct epoch e, enum journal_class class);
void journal_key_fence(char *ret, const char *journal, struct epoch e);
void journal_key_start(char *ret, const char *journal, struct epoch e);
void journal_key_record(char *ret, const char *journal, struct epoch e, uint64_t sequence);
void journal_key_copy(char *ret, const char *journal, struct epoch e, uint64_t sequence);
void journal_key_floors(char *ret, const char *journal, struct epoch e); /* their prefix */
void journal_key_floor(char *ret, const char *journal, struct epoch e, uint64_t sequence);

/* What a listed key is.  False: none of ours, to be ignored. */
struct journal_name {
	enum journal_object_kind kind;
	struct epoch epoch;
	uint64_t sequence;	  /* records and floors */
	enum journal_class class; /* marks: how the epoch drives this bucket */
	bool is_copy;		  /* records: written by a later leader, never a seal */
};
bool journal_key_parse(struct slice key, const char *journal, struct journal_name *ret);

#endif
