/* A plan becomes rows of a catalog that is empty, a bounded step at a time, so that each fits into
 * a record of the journal.
 *
 * From the first step to the last a row says that a rebuild is under way: nobody serves from such a
 * catalog, and a rebuild that finds one begins anew. */
#ifndef STREAMS_REBUILD_WRITE_H
#define STREAMS_REBUILD_WRITE_H

#include "cells/cell.h"
#include "streams/rebuild/plan.h"

enum {
	WRITE_ROWS_MAX = 4000,		   /* in a step */
	WRITE_PRODUCER_IDS_SKIP = 1 << 20, /* that may have been given to who never wrote */
};

/* A rebuild began to write this catalog and did not end. */
bool write_is_unfinished(struct cell *cell);

/* For leader_run(), before the first step: ERR_EXISTS, the catalog is not empty, and no rebuild
 * left it so. */
MUST_CHECK enum err write_begin_run(struct cell *cell, void *argument);

struct write {
	struct plan *plan;
	int64_t now_ms;
	int stage;	/* the rest is private; zero it first */
	int64_t after;	/* row */
	int next_stage; /* of the step that was run last */
	int64_t next_after;
	int64_t rows, next_rows; /* written so far */
};

/* For leader_run(); `argument` is a struct write.  Once it is known to be durable: write_advance(),
 * which says whether there is more to do. */
MUST_CHECK enum err write_step_run(struct cell *cell, void *argument);
bool write_advance(struct write *w);

/* Below them is nothing that was ever given. */
int64_t write_next_incarnation(struct plan *p);
int64_t write_next_producer_id(struct plan *p);

#endif
