/* Who makes which pass of compaction by key, and what comes of it.
 *
 * A job is a pass over one partition (key_compaction.h), leased in this process's memory to the
 * agent that asked for one: an agent has one, a partition has one, and it is gone when another
 * control leads, when the agent does not speak of it for KEY_JOB_LEASE_MS, or asks for a new one.
 * An incarnation is granted with it, which nothing else ever has: it names the files it writes.
 *
 * The agent replaces stretches of the partition, one command each, the oldest first.  Records of a
 * stretch do not change but by such a command, so it is enough that the job is still leased, and
 * that runs begin and end where the stretch does: who merged them meanwhile did no harm. */
#ifndef STREAMS_COORDINATOR_KEY_JOB_H
#define STREAMS_COORDINATOR_KEY_JOB_H

#include "peer_messages.h"
#include "streams/coordinator/private.h"

enum {
	KEY_JOB_LEASE_MS = 60 * 1000,
	KEY_JOB_AGAIN_MS = 200,	      /* until an agent asks again while topics are looked at */
	KEY_JOB_SWAP_RUNS_MAX = 4096, /* replaced in one command */
	KEY_JOB_LEVEL = 4,	      /* of its files and runs: nobody else compacts them again */
};

struct key_jobs;

struct key_jobs *key_jobs_new(void);
void key_jobs_free(struct key_jobs *jobs);

/* Another one leads: all leases are over. */
void key_jobs_forget(struct key_jobs *jobs);

/* Is there a job whose files have this incarnation? */
bool key_jobs_has(const struct key_jobs *jobs, int64_t incarnation);

/* Passes that agents make now; `loop_ms`: the loop's. */
size_t key_jobs_count(const struct key_jobs *jobs, uint64_t loop_ms);

/* Rows are used again: a partition is what it was by its topic's id and its number. */
struct key_job_place {
	struct uuid topic_id;
	int32_t number;
};

/* An agent asks for a job.  OK: one is due, key_job_run() and key_job_granted() grant it.
 * ERR_NOT_FOUND: there is none, `response` says when to ask again. */
struct key_job_call {
	struct coordinator *coordinator;
	struct key_jobs *jobs;
	int64_t agent;	   /* its incarnation */
	int64_t partition; /* found */
	struct peer_key_job_response *response;
	struct key_job_place place; /* what it is */
};
MUST_CHECK enum err key_job_look(struct key_job_call *call);
MUST_CHECK enum err key_job_run(struct cell *cell, void *argument); /* for leader_run() */
bool key_job_granted(struct key_job_call *call); /* when durable; false: another was faster */

/* For leader_run(): the swap.  ERR_DENIED: the job is not leased any more; ERR_CONFLICT: the runs
 * changed; ERR_INVALID. */
struct key_swap {
	struct coordinator *coordinator;
	struct key_jobs *jobs;
	int64_t agent;
	const struct peer_key_swap_request *request;
};
MUST_CHECK enum err key_swap_run(struct cell *cell, void *argument);

#endif
