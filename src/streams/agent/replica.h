/* The agent's replica of the cell: durable state only, a little behind, never ahead (what is ahead
 * of it is in early_runs.h).
 *
 * It is rebuilt from an image whenever the control process changes, and then follows record by
 * record.  An image is loaded on another thread, because that takes seconds for the largest cell:
 * until it has caught up with the records that came meanwhile, the old contents answer.  Whoever
 * waits for a partition to grow leaves a watch. */
#ifndef STREAMS_AGENT_REPLICA_H
#define STREAMS_AGENT_REPLICA_H

#include "base/list.h"
#include "cells/cell.h"
#include "loop/worker.h"

enum {
	REPLICA_GATHERED_BYTES_MAX = 256 << 20, /* records that wait for an image: begin again */
	REPLICA_STEP_BYTES = 1 << 20,		/* of them applied in one turn of the loop */
};

struct replica;

/* Told when an image is in place and current, or of no use: then the link must start over. */
struct replica_owner {
	void (*on_loaded)(void *context, enum err err, const char *why);
	/* Tables of catalog/guard.h may have changed; may be NULL. */
	void (*on_access)(void *context);
	void *context;
};

struct replica *replica_new(struct loop *loop, const struct replica_owner *owner);

/* Not while replica_is_loading(); `idle` is woken when that ends. */
void replica_free(struct replica *r);
bool replica_is_loading(const struct replica *r);
void replica_set_idle(struct replica *r, struct task *idle);

/* NULL until the first image is loaded. */
struct cell *replica_cell(struct replica *r);

/* The last record applied; reads see everything up to it. */
int64_t replica_index(const struct replica *r);

/* From the link.  An error means that the replica is useless and the link must start over. */
MUST_CHECK enum err replica_add_snapshot(struct replica *r, int64_t index, int64_t total_bytes,
					 int64_t offset, struct slice bytes,
					 char why[TASK_WHY_BYTES]);
MUST_CHECK enum err replica_apply(struct replica *r, int64_t index, struct slice record,
				  char why[TASK_WHY_BYTES]);

/* Wake `task` when the row of this partition changes, or the row of share_partition whose negative
 * number it is, or when the replica is replaced; without a task `note` is called instead, which
 * only takes a note and leaves all watches where they are.  Zero the struct first; removing twice
 * is harmless. */
struct replica_watch {
	struct list link;
	int64_t partition; /* row id */
	struct task *task;
	void (*note)(struct replica_watch *w);
};
void replica_watch_add(struct replica *r, struct replica_watch *w, int64_t partition,
		       struct task *task);
void replica_watch_add_note(struct replica *r, struct replica_watch *w, int64_t partition,
			    void (*note)(struct replica_watch *w));
void replica_watch_remove(struct replica_watch *w);
void replica_wake(struct replica *r, int64_t partition); /* as if its row had changed */
void replica_wake_all(struct replica *r);

/* Wait, as a child task, until replica_index() >= index. */
struct replica_wait {
	struct task task;
	struct list link;
	struct replica *replica;
	int64_t index;
};
void replica_wait(struct replica_wait *w, struct task *parent, struct replica *r, int64_t index);

#endif
