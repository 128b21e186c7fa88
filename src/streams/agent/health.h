/* Whether the bucket works for this agent.
 *
 * It is sick when a bucket it asks has not done what it was asked for a while: what ended has
 * failed, or nothing ends.  Writing and reading are watched apart, since one may work without the
 * other.  A sick agent is not told to clients (condition.h), so nobody asks the bucket any more:
 * now and then it puts and gets an object of its own, always the same, and is well when that
 * works. */
#ifndef STREAMS_AGENT_HEALTH_H
#define STREAMS_AGENT_HEALTH_H

#include "buckets/bucket.h"
#include "loop/timer.h"

enum {
	HEALTH_SICK_MS = 5000,
	HEALTH_LOOKS = 5, /* in that time; as often a sick bucket is tried */
};

struct agent;

enum health_lane { HEALTH_PUT, HEALTH_GET, HEALTH_LANES };

struct health {
	struct agent *agent;
	uint64_t sick_ms; /* HEALTH_SICK_MS, less in tests */
	struct {
		size_t asked;		   /* operations under way */
		uint64_t waiting_since_ms; /* when the last one ended, or the first one began */
		uint64_t failing_since_ms; /* 0: the last one that ended went well */
		uint64_t last_failure_ms;
		bool is_sick;
	} lanes[HEALTH_LANES];
	struct timer timer;
	bool is_looking; /* it is set */
	struct task probe;
	struct bucket_op op;
	char key[64];
};

struct health *health_new(struct agent *agent);
void health_free(struct health *h);

/* An operation of the bucket begins; it has ended with `err`. */
void health_begin(struct health *h, enum health_lane lane);
void health_end(struct health *h, enum health_lane lane, enum err err);

bool health_is_sick(const struct agent *agent);

bool health_is_busy(const struct health *h);

/* Ends soon and wakes agent->stop; nothing is tried any more. */
void health_stop(struct health *h);

#endif
