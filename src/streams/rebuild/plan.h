/* What a rebuild found and what it will write, in a scratch database on disk, so that memory does
 * not grow with the files.
 *
 *	plan_list() each data file -> plan_read() or plan_cannot_read() each ->
 *	plan_place(), which decides -> plan_report(), and write.h
 *
 * The database (plan.c draws it) is private to this directory. */
#ifndef STREAMS_REBUILD_PLAN_H
#define STREAMS_REBUILD_PLAN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/uuid.h"
#include "streams/rebuild/place.h"
#include "wire/streams/data_file.h"

enum {
	PLAN_PARTITION_BATCHES_MAX = 16 << 20, /* in memory at once: 128 bytes each */
	PLAN_RUN_BYTES_MAX = 4 << 20,	       /* or one larger batch */
	PLAN_WHY_BYTES = 160,
	PLAN_PRODUCER_MS = 24 * 60 * 60 * 1000, /* remembered: who wrote so long before the end */
};

/* Offsets behind it are no offsets: nobody writes so much. */
#define PLAN_OFFSET_MAX (INT64_C(1) << 60)

/* What is to become of transactions of which no file says how they ended. */
enum plan_undecided { PLAN_UNDECIDED_UNSAID, PLAN_UNDECIDED_COMMIT, PLAN_UNDECIDED_ABORT };

struct plan;

/* NULL: there is no room for the scratch database. */
struct plan *plan_new(void);
void plan_free(struct plan *p);

/* --- what is there; ERR_IO: the scratch database could not be written --------------------------
 */

MUST_CHECK enum err plan_list(struct plan *p, int64_t incarnation, int64_t sequence, int64_t size);

struct plan_file {
	int64_t row, incarnation, sequence;
	int64_t size; /* -1: the list did not tell */
};

/* The first file behind row `after` that was neither read nor given up; false: none. */
bool plan_next_file(struct plan *p, int64_t after, struct plan_file *ret);

/* What the footer of a file says.  `is_damaged` and `controls`, for each entry, may be NULL: the
 * body was not looked at. */
struct plan_content {
	const struct data_file_footer *footer;
	bool is_final;
	int64_t size;
	int64_t created_ms; /* as its writer had it; 0: not known */
	const bool *is_damaged;
	const uint8_t *controls; /* enum place_control */
};
MUST_CHECK enum err plan_read(struct plan *p, const struct plan_file *file,
			      const struct plan_content *content);
MUST_CHECK enum err plan_cannot_read(struct plan *p, const struct plan_file *file, const char *why);

/* --- what it comes to --------------------------------------------------------------------------
 */

/* ERR_TOO_BIG: a partition has more than PLAN_PARTITION_BATCHES_MAX batches. */
MUST_CHECK enum err plan_place(struct plan *p, enum plan_undecided undecided, int64_t now_ms);

struct plan_topic {
	struct slice name;
	struct uuid topic_id;
	int32_t partition_count;
	int64_t records[PLACE_OUTCOMES];
	int64_t bytes; /* of what is placed */
	int64_t undecided_records;
	int64_t hole_offsets;	  /* between the first and the last, that nothing holds */
	int64_t doubtful_offsets; /* the same, but compaction by key may have left them out */
	bool is_unnamed;	  /* no file says how it was called */
	bool is_renamed;	  /* a newer topic has its name */
};

struct plan_bad_file {
	int64_t incarnation, sequence;
	struct slice why;
};

struct plan_report {
	struct plan_topic *topics; /* by name */
	size_t topic_count;
	struct plan_bad_file *bad_files;
	size_t bad_count;
	int64_t file_count; /* in the bucket */
	int64_t used_count; /* with a run */
	int64_t partition_count, run_count, producer_count, transaction_count;
	int64_t next_incarnation, next_producer_id;
};
MUST_CHECK enum err plan_report(struct arena *a, struct plan *p, struct plan_report *ret);

#endif
