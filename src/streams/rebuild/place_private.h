/* What the files of placing share. */
#ifndef STREAMS_REBUILD_PLACE_PRIVATE_H
#define STREAMS_REBUILD_PLACE_PRIVATE_H

#include "streams/rebuild/place.h"

/* What is known of all batches that are the same one. */
struct group {
	uint32_t left;	 /* without offset, and not yet looked at */
	bool is_placed;	 /* idempotent only */
	uint32_t next;	 /* of `finals`: the first of the group that nobody is a copy of */
	uint32_t finals; /* first in w->by_group */
	uint32_t behind; /* the last one of those */
	struct place_batch *damaged; /* it has a place, and waits for a whole repetition */
	struct place_batch *refused; /* whole, if the repetition it was left for is damaged */
};

struct place_producer {
	int64_t producer_id;
	int16_t epoch;
	int32_t last_sequence;
	int32_t final_sequence; /* the same, of batches that compaction wrote */
	int16_t final_epoch;
	bool is_known, has_final;
};

struct place {
	struct place_batch *finals, *others; /* halves of one array */
	size_t final_count, other_count;
	struct place_batch **by_group;	/* finals that stand, by group and offset */
	struct place_batch **originals; /* of each of `others`; NULL: none */
	struct group *groups;
	struct place_producer *producers; /* by id */
	size_t producer_count;
	int64_t pass_end; /* behind the last batch of compaction by key; 0: none */
	int64_t next;	  /* the first offset that is free */
	const struct place_batch *standing; /* that knew its offset, the last before it */
};

/* Is what lies free between two neighbours that know their offsets more than what compaction left
 * out?  `before` may be NULL. */
bool place_is_room(const struct place *p, const struct place_batch *before,
		   const struct place_batch *final);

/* Of batches that compaction by key may have left out: PLACE_LEFT; or PLACE_DOUBTFUL, and their
 * `offset` is where the one room that they may take ends.  `standing` by offset. */
void place_settle_passes(struct place *p, struct place_batch *const *standing, size_t count);

void place_leave(struct place *p, struct place_batch *b);

#endif
