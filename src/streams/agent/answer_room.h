/* The room that one fetch, of a consumer or of a member of a share group, has among all answers:
 * for the records it will tell, and for the blocks it holds meanwhile (doc/decisions/0032). */
#ifndef STREAMS_AGENT_ANSWER_ROOM_H
#define STREAMS_AGENT_ANSWER_ROOM_H

#include "streams/agent/partition_read.h"
#include "streams/agent/request.h"

enum { ANSWER_ROOM_WAIT_MS = 10000 }; /* a client without room is told that there is nothing */

/* Zero it first. */
struct answer_room {
	struct room_wait wait;
	uint64_t waits_since_ms; /* or 0 */
	size_t large_bytes;	 /* needed, for a first batch that is larger than usual; or 0 */
	size_t free_bytes;	 /* for the records of the answer */
	size_t held_bytes;	 /* counted besides */
};

/* At least for a usual batch, which may come alone and be larger than what is wanted; or for the
 * large one that was found.  False: wait, the task is woken, or `timer` rings.  True, and nothing
 * is free: it was waited for too long. */
bool answer_room_take(struct answer_room *a, struct request *r, size_t wanted, struct timer *timer,
		      void (*on_timer)(struct timer *));

/* Of blocks, besides. */
void answer_room_hold(struct answer_room *a, struct request *r, size_t bytes);

enum answer_room_found {
	ANSWER_ROOM_READY,
	ANSWER_ROOM_READS,    /* wait for the rest of the batch */
	ANSWER_ROOM_IS_SHORT, /* let go of everything and take room again */
};

/* The first batch of an answer comes whole, however large: hold all of it. */
enum answer_room_found answer_room_extend(struct answer_room *a, struct request *r,
					  struct partition_read *read);

/* It failed: what was taken for it is for the next one. */
void answer_room_fail(struct answer_room *a, struct partition_read *read);

/* All of it; harmless when there is none. */
void answer_room_give_back(struct answer_room *a, struct request *r);

/* There is nothing to tell any more: give back all of it, and be first in the queue for nothing. */
void answer_room_stand_back(struct answer_room *a, struct request *r);

/* In place of all that: exactly as much as these records have, from now on as a part of the answer.
 * NULL: none. */
void answer_room_keep(struct answer_room *a, struct request *r, const struct blob *records);

#endif
