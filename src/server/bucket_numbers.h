/* What a role asked its buckets, for /metrics: requests as stores bill them, errors, bytes and
 * times. */
#ifndef SERVER_BUCKET_NUMBERS_H
#define SERVER_BUCKET_NUMBERS_H

#include "buckets/bucket.h"
#include "wire/metrics/exposition.h"

enum { BUCKET_NUMBERS_MAX = 8 }; /* buckets of one role */

void bucket_numbers_write(struct exposition *e, const char *role, struct bucket *const *buckets,
			  int count);

#endif
