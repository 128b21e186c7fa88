/* Reads a stretch of a partition from its oldest batch on and gives every batch to a pass of
 * compaction by key (key_pass.h): to be noted, or to be filtered.
 *
 * The stretch is read like a consumer reads, a little at a time, but leaves the blocks of the cache
 * to those.  Records are unpacked on a worker
 * thread, and each look is followed by as long a rest, so that clients do not notice. */
#ifndef STREAMS_AGENT_KEY_SCAN_H
#define STREAMS_AGENT_KEY_SCAN_H

#include "loop/timer.h"
#include "loop/worker.h"
#include "streams/agent/key_pass.h"
#include "streams/agent/partition_read.h"

enum {
	KEY_SCAN_BYTES = 1 << 20,   /* read at a time, unless one batch is larger */
	KEY_SCAN_REST_MS_MAX = 200, /* between two looks */
};

struct key_scan {
	struct task task;
	struct agent *agent;
	struct key_pass *pass;
	int64_t partition;   /* row */
	int64_t offset, end; /* what is left */
	bool is_filter;
	/* Filtering: what is left, of which the owner disposes whenever on_output is called, on the
	 * loop; false ends the scan with ERR_FULL. */
	struct buf output;
	bool is_changed; /* something that was there is not */
	bool (*on_output)(struct key_scan *s);

	/* private */
	struct partition_read read;
	struct worker_job job;
	struct sleep sleep;
	struct arena arena;
	uint64_t looked_ms;
};

/* Child task; scans from `offset` to `end`, where runs begin and end.  Notes; filters if there is
 * an `on_output`.  ERR_NOT_FOUND: the partition is gone; ERR_CORRUPT, or what the bucket says. */
void key_scan_start(struct key_scan *s, struct task *parent, struct agent *agent,
		    struct key_pass *pass, int64_t partition, int64_t offset, int64_t end,
		    bool (*on_output)(struct key_scan *s));

/* Once it has ended. */
void key_scan_done(struct key_scan *s);

#endif
