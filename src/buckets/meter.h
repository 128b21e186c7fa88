/* What a bucket was asked, counted the way stores send bills: every request that left us, whether
 * it was a retry, a part of a large object or one of two that raced, and the bytes of bodies.
 *
 * Each bucket has one (bucket_meter() finds the one that counts), written only by what talks to the
 * storage, on the loop's thread: no locks, a few additions a request. */
#ifndef BUCKETS_METER_H
#define BUCKETS_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/histogram.h"
#include "base/slice.h"

enum meter_request {
	METER_PUT,
	METER_PUT_NEW, /* with the condition that nothing is there */
	METER_PART,    /* of an object put in parts: begin, each part, end */
	METER_GET,
	METER_HEAD,
	METER_LIST, /* one a page */
	METER_DELETE,
	METER_REQUESTS
};

enum { METER_NAME_BYTES_MAX = 512 };

struct meter {
	uint64_t requests[METER_REQUESTS];
	uint64_t errors; /* of those: no answer, or one that says it did not work */
	uint64_t sent_bytes, received_bytes;
};

/* How long they took and what became of them, of this process only: for people who watch it. */
struct meter_times {
	struct histogram took[METER_REQUESTS]; /* microseconds; histogram_times */
	uint64_t errors[METER_REQUESTS];
};

void meter_times_add(struct meter_times *t, enum meter_request request, uint64_t took_us,
		     bool has_failed);

struct bucket;
struct bucket_op;

/* For kinds that need one request an operation: `op` is over and was not refused before it began.
 */
void meter_add_op(struct meter *m, const struct bucket_op *op, enum err err);

/* The same for its times; `since_us` is clock_now_us() of when it began. */
void meter_times_add_op(struct meter_times *t, const struct bucket_op *op, uint64_t since_us,
			enum err err);

/* What a store counts this request as: "GET", "http://host/name?list-type=2". */
enum meter_request meter_request_of(const char *method, const char *url, bool is_conditional);

bool meter_is_zero(const struct meter *m);
void meter_add(struct meter *m, const struct meter *more);

/* What came since `before`, of the same bucket. */
struct meter meter_since(const struct meter *now, const struct meter *before);

/* The meter of the storage below all wrappers. */
const struct meter *bucket_meter(const struct bucket *b);
const struct meter_times *bucket_meter_times(const struct bucket *b);

/* "put_new", as labels and documents have it. */
const char *meter_request_name(enum meter_request request);

/* The URL of that storage as people may see it, with what tells it from others (endpoint, region)
 * and nothing else, never a name or word for signing in. */
void bucket_meter_name(const struct bucket *b, char ret[METER_NAME_BYTES_MAX]);

/* The same of any URL. */
void meter_name_of_url(const char *url, char ret[METER_NAME_BYTES_MAX]);

#endif
