/* What a partition remembers of an idempotent producer: its epoch, the last sequence, and the last
 * five batches, so that a retry gets the offset of the original. */
#ifndef STREAMS_COORDINATOR_PRODUCER_STATE_H
#define STREAMS_COORDINATOR_PRODUCER_STATE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum { PRODUCER_RECENT_MAX = 5 };

struct producer_batch {
	int32_t base_sequence, last_sequence;
	int64_t base_offset;
};

struct producer_state {
	int16_t epoch;
	int32_t last_sequence;
	int recent_count;
	struct producer_batch recent[PRODUCER_RECENT_MAX]; /* oldest first */
};

enum producer_verdict {
	PRODUCER_ACCEPTED,
	PRODUCER_DUPLICATE, /* *ret_offset is the original's */
	PRODUCER_FORGOTTEN, /* a duplicate older than what is remembered */
	PRODUCER_OUT_OF_ORDER,
	PRODUCER_UNKNOWN, /* never seen here, and this is not its first batch */
	PRODUCER_FENCED,  /* a newer epoch was here */
};

/* May a batch of `record_count` with this epoch and base sequence be appended? `state` is NULL for
 * a producer that is not known here: it begins with sequence 0 (or goes on: former_producer.h).
 * Were any sequence right, then a second batch whose first one failed would be stored, and the
 * first one sent again would be called a duplicate: lost, and acknowledged. */
enum producer_verdict producer_check(const struct producer_state *state, int16_t epoch,
				     int32_t base_sequence, int32_t record_count,
				     int64_t *ret_offset);

/* Remember an accepted batch; a new epoch starts an empty memory. */
void producer_remember(struct producer_state *state, int16_t epoch, int32_t base_sequence,
		       int32_t record_count, int64_t base_offset);

/* The column `recent`: per batch two int32 and one int64. */
void producer_recent_encode(const struct producer_state *state, struct buf *out);
MUST_CHECK enum err producer_recent_decode(struct slice bytes, struct producer_state *ret);

#endif
