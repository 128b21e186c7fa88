/* What was heard once is not heard again: the nonces of sealed questions, as long as their time
 * would let them pass. */
#ifndef SERVER_HEARD_H
#define SERVER_HEARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HEARD_NONCE_BYTES = 24,
	HEARD_AGE_MS = 60 * 1000, /* of a question, by the clocks of the two nodes */
	HEARD_NONCES_MAX = 4096,  /* kept for twice that; more questions are refused */
};

struct heard_nonce {
	uint8_t bytes[HEARD_NONCE_BYTES];
	int64_t at_ms;
};

struct heard {
	struct heard_nonce *nonces; /* a ring, the oldest first */
	size_t first, count;
	int64_t since_ms;
};

/* Times are Unix ms, `now_ms` by the own clock. */
void heard_init(struct heard *h, int64_t now_ms);
void heard_done(struct heard *h); /* again is fine */

/* Whoever listened before has heard things that are not known here: what was said before `now_ms`
 * is refused. */
void heard_begin(struct heard *h, int64_t now_ms);

/* False: it is too old, from the future, known, or there are too many.  Else it is known now. */
bool heard_is_new(struct heard *h, const uint8_t nonce[HEARD_NONCE_BYTES], int64_t at_ms,
		  int64_t now_ms);

#endif
