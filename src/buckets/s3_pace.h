/* One rate for all requests of a bucket while its store asks to slow down (503 SlowDown, 429).
 *
 * Without trouble there is no limit.  When the store complains, what was sent in the last second is
 * halved and becomes the limit; again when it complains once more, though complaints about requests
 * of the same moment count as one.  While it does not, the limit grows, and above twice of what was
 * too much it is gone.  Requests have their turns one after the other, evenly spaced: nobody sleeps
 * on his own, and no crowd comes back at once.  Pure: the time comes in. */
#ifndef BUCKETS_S3_PACE_H
#define BUCKETS_S3_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	S3_PACE_MIN = 1,	 /* requests a second, at the least */
	S3_PACE_FIRST_MIN = 4,	 /* the same of the first limit: little was asked before */
	S3_PACE_MOMENT_MS = 500, /* complaints of so long are one */
	S3_PACE_GROWTH_MS =
		1000, /* after so long without one the limit grows by an eighth, and 4 */
};

struct s3_pace {
	uint64_t limit;	     /* requests a second; 0: none */
	uint64_t free_above; /* then there is none again */
	uint64_t slowed_at_ms, grown_at_ms;
	uint64_t turn_at_us;			  /* of the next request */
	uint64_t second_at_ms, sent, sent_before; /* in this second, and in the one before */
};

/* Take the next turn: how long to wait for it. */
uint64_t s3_pace_take_ms(struct s3_pace *p, uint64_t now_ms);

/* The store complained.  True when the limit changed. */
bool s3_pace_slow_down(struct s3_pace *p, uint64_t now_ms);

#endif
