/* Compaction by key: a task of the agent that asks control for passes (coordinator/key_job.h) and
 * makes them, one at a time.
 *
 *	rest -> take a job -> sync -> note keys, a stretch at a time
 *		-> filter a stretch -> put its file -> swap -> the next stretch
 *
 * A stretch has KEY_COMPACTOR_STRETCH_BYTES, or one run that is larger; what is left of it is held
 * in memory until it is put.  One of which everything stays is left alone.  Whatever fails ends the
 * pass, which begins anew some time; files that were put and not swapped are orphans. */
#ifndef STREAMS_AGENT_KEY_COMPACTOR_H
#define STREAMS_AGENT_KEY_COMPACTOR_H

#include "loop/task.h"

enum {
	KEY_COMPACTOR_STRETCH_BYTES = 16 << 20,
	KEY_COMPACTOR_STRETCH_BYTES_MIN = 64
					  << 10, /* where a file has no room for so many batches */
	KEY_COMPACTOR_RUN_BYTES = 4 << 20,	 /* of what it writes, unless one batch is larger */
	KEY_COMPACTOR_IDLE_MS = 1000,		 /* between questions: control says more */
	KEY_COMPACTOR_FAILED_MS = 5000,
	KEY_COMPACTOR_TRIES_MAX = 5, /* of a stretch whose runs changed meanwhile */
};

struct agent;
struct key_compactor;

/* Works until key_compactor_stop(). */
struct key_compactor *key_compactor_start(struct agent *agent);

/* Ends soon, frees itself, sets agent->key_compactor to NULL and wakes agent->stop. */
void key_compactor_stop(struct key_compactor *c);

#endif
