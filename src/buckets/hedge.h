/* A bucket around another that asks a second time when an answer is late, and takes the first one.
 *
 * Stores far away answer most requests in 100 ms and one in a hundred in a second; a second,
 * identical request is then answered sooner than the first.  It is sent when the first has taken
 * longer than 95 of 100 of its kind did lately (hedge_delay.h), and there are few of them
 * (HEDGE_PER_THOUSAND): a store that is slow as a whole is not asked twice as often.
 *
 * Which operations:
 * - put: an identical retry is harmless by contract.
 * - put_new: one of two may find what the other created.  Then the object is read and compared: our
 *   bytes are OK, others ERR_EXISTS, no answer ERR_UNKNOWN.  So bodies must be the caller's alone
 *   (an epoch or a nonce is in them), as every journal's are.
 * - get and head: OK and ERR_NOT_FOUND are answers, errors are not while the other is under way.
 * - list and delete pass through.
 *
 * The request that lost belongs to the bucket: it is canceled, and may still be under way when the
 * operation is over, so bodies of puts are copied; above HEDGE_COPIED_BYTES_MAX at the same time
 * they pass through, too. */
#ifndef BUCKETS_HEDGE_H
#define BUCKETS_HEDGE_H

#include "buckets/bucket.h"

enum {
	HEDGE_PER_THOUSAND = 50, /* second requests, of all */
	HEDGE_BURST = 10,	 /* saved while none was needed */
	HEDGE_RESERVE = 5,	 /* of these, for requests that are late for the second time */
	HEDGE_COPIED_BYTES_MAX = 64 << 20,
};

/* Takes `inner` over: it is closed with the bucket returned. */
struct bucket *hedge_bucket_new(struct bucket *inner);

/* The same if `b` is far (bucket_is_far), otherwise `b` itself. */
struct bucket *hedge_bucket_if_far(struct bucket *b);

/* Cut off requests that lost and run the loop until they have ended: before bucket_close(), which
 * asserts that there are none, and before loop_free().  Harmless on buckets that do not hedge. */
void hedge_finish(struct bucket *b, struct loop *loop);

struct hedge_counts {
	uint64_t first, second; /* requests */
	uint64_t won;		/* by the second */
	size_t racing;		/* operations that are not over, or whose loser is not */
	size_t copied_bytes;
};
struct hedge_counts hedge_get_counts(const struct bucket *b);

#endif
