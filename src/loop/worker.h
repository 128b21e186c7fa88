/* Blocking work (fsync, large hashing) on a small thread pool, seen as a child task.
 * `work` runs on another thread: it touches only what the owner set aside for it.  A job that has
 * begun cannot be canceled; cancel only removes jobs that still wait for a thread. */
#ifndef LOOP_WORKER_H
#define LOOP_WORKER_H

#include "loop/task.h"

struct worker_job {
	struct task task; /* ends with what `work` returned, or ERR_CANCELED before it began */
	enum err (*work)(struct worker_job *job);
	enum err result;
	void *handle; /* private */
};

void worker_start(struct worker_job *job, struct task *parent,
		  enum err (*work)(struct worker_job *job));

#endif
