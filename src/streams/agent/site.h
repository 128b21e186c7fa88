/* The agents of one site have one cache together (doc/decisions/0043): a block that is not in
 * memory here is asked of the agent that wrote the file, then of the one that owns the block, and
 * only then of the bucket.  Whom there is to ask the replica says. */
#ifndef STREAMS_AGENT_SITE_H
#define STREAMS_AGENT_SITE_H

#include "streams/agent/site_peer.h"

struct agent;
struct exposition;
struct site;

/* What was asked of others, and of this one. */
struct site_numbers {
	uint64_t from_memory, from_bucket; /* blocks that others had, or read for us */
	uint64_t fallbacks;		   /* blocks that somebody was asked for in vain */
	uint64_t gave_memory, gave_bucket; /* blocks that others got here */
	uint64_t gave_none, gave_busy;	   /* and did not get */
};

/* Opens a door for the other agents, if the configuration says where, and has keys, and the bucket
 * is far away.  `place` is what they are to be told: "HOST:PORT" while the door is open, else "";
 * it is the same memory as long as the site lives. */
struct site *site_new(struct agent *agent);
const char *site_place(const struct site *site);

/* Is anybody asked?  Not where nobody could ask back. */
bool site_is_open(const struct site *site);

/* No more questions are answered; wakes agent->stop when it is no longer busy. */
void site_stop(struct site *site);
bool site_is_busy(const struct site *site);
void site_free(struct site *site);

/* The agent that owns the block, of `count` node ids, at least one; every agent says the same. */
int32_t site_find_owner(const struct site_block *block, const int32_t *node_ids, size_t count);

/* One block, as a child task.  OK: ret_block is one reference for the caller, and its bytes are to
 * be believed as little as those of a bucket.  Otherwise: read the bucket. */
struct site_ask {
	struct task task;
	struct site *site;
	struct site_block block;
	struct site_call call;
	uint64_t until_ms; /* all questions together */
	bool has_asked;
	int64_t ret_giver; /* incarnation of the agent that gave it */
	struct blob *ret_block;
};
void site_ask(struct site_ask *ask, struct task *parent, struct site *site,
	      const struct site_block *block);

/* What this agent (by its incarnation) gave for a block was wrong.  True: so often that it is not
 * asked any more for a while. */
bool site_note_wrong(struct site *site, int64_t giver);

const struct site_numbers *site_get_numbers(const struct site *site);

#endif
