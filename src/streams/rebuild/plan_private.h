/* The scratch database, for the files of this directory only.  All functions keep the first failure
 * of SQLite in p->err. */
#ifndef STREAMS_REBUILD_PLAN_PRIVATE_H
#define STREAMS_REBUILD_PLAN_PRIVATE_H

#include <sqlite3.h>

#include "streams/rebuild/plan.h"

enum { PLAN_STATEMENTS_MAX = 64 };

struct plan_statement {
	const char *sql; /* compared by address */
	sqlite3_stmt *statement;
};

struct plan {
	sqlite3 *db;
	enum err err;
	struct plan_statement statements[PLAN_STATEMENTS_MAX];
};

/* Prepared once, reset and cleared. */
sqlite3_stmt *plan_statement(struct plan *p, const char *sql);

/* Step: is there a row? */
bool plan_next(struct plan *p, sqlite3_stmt *st);

/* Step to the end. */
void plan_execute(struct plan *p, sqlite3_stmt *st);

/* The first number that a statement without parameters gives. */
int64_t plan_number(struct plan *p, const char *sql);

/* What one topic comes to. */
struct plan_sum {
	int64_t records[PLACE_OUTCOMES];
	int64_t bytes, undecided_records, hole_offsets, doubtful_offsets;
};

struct plan_walk {
	struct plan *plan;
	int64_t partition; /* row of out_partition */
	const struct place_batch *batches;
	size_t count;
	struct place_end end;
	enum plan_undecided undecided;
	int64_t filler_producer_id; /* nobody's */
	int64_t producers_since_ms; /* who wrote last before is not remembered */
	int64_t now_ms;
};

/* From batches that have their places: rows of runs, producers and ends of transactions, and the
 * high watermark behind them. */
void plan_walk(struct plan_walk *w, int64_t *ret_high_watermark, int64_t *ret_bytes,
	       struct plan_sum *sum);

#endif
