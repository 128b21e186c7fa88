/* A journal whose buckets gave back an older state of themselves: what this process knows of it.
 *
 * A term that was seen to lead has its start record in most buckets, so a look at most of them that
 * finds only earlier terms is proof, before anything is written; an agent that has seen a committed
 * record the journal does not have is proof, too.  Who has proof no longer leads: it says so until
 * it is started anew, or until the newest term is there again. */
#ifndef SERVER_OLDER_H
#define SERVER_OLDER_H

#include "base/slice.h"
#include "cells/holder.h"
#include "cells/leader.h"

enum {
	OLDER_TEXT_BYTES = 700,
	OLDER_RETRY_MS = 15000, /* between two looks at buckets that are too old */
};

struct older {
	struct epoch newest;	     /* that was seen to lead */
	char text[OLDER_TEXT_BYTES]; /* what is wrong; "": nothing */
	bool is_proven;		     /* by an agent: nothing that is found takes it back */
};

/* That term led, or somebody answered for it. */
void older_led(struct older *o, struct epoch epoch);

/* What the buckets, as people wrote them, say now.  False: they are older than that. */
bool older_found(struct older *o, const struct holder_find *find, int bucket_count,
		 const char *buckets);

/* The agent `node` has seen this, and the journal, committed up to `committed`, has not. */
void older_proven(struct older *o, const struct leader_position *seen, struct slice node,
		  uint64_t committed, const char *buckets);

/* The leader refused a journal of these buckets, and said why. */
void older_refused(struct older *o, const char *why, const char *buckets);

#endif
