/* The two halves of the rows of Produce: what is stored (produce.c) and what is refused
 * (produce_refused.c). */
#ifndef MATRIX_PRODUCE_H
#define MATRIX_PRODUCE_H

#include "matrix.h"

struct topic;

enum { ZSTD_FIRST = 7 }; /* zstd is known from this version on */

/* The answer about the one partition of a request; the topic must be the one that was asked for. */
const struct kafka_produce_response_partition *produce_answer_of(
	struct test *t, const struct kafka_produce_response *response, const struct topic *topic);

/* Ask in the version of the test. */
const struct kafka_produce_response_partition *produce_send(
	struct test *t, const struct topic *topic, const struct kafka_produce_request *request);

/* Every field of the answer. */
void produce_check(struct test *t, const struct kafka_produce_response_partition *answer,
		   int16_t error, int64_t base_offset);

/* The partition has the offsets 0 to `end` - 1. */
void check_log(struct test *t, const struct topic *topic, int32_t partition, int64_t end);

/* At `offset` of partition 0 is this batch, byte for byte but for its place. */
void check_stored(struct test *t, const struct topic *topic, int64_t offset, struct slice batch);

void produce_damaged(struct test *t);
void produce_unknown_topic(struct test *t);
void produce_unknown_partition(struct test *t);
void produce_unknown_id(struct test *t);
void produce_too_large(struct test *t);
void produce_bad_acks(struct test *t);
void produce_bad_records(struct test *t);
void produce_bad_timestamp(struct test *t);
void produce_zstd(struct test *t);
void produce_unknown_codec(struct test *t);
void produce_transaction(struct test *t);
void produce_not_added(struct test *t);
void produce_other_producer(struct test *t);
void produce_silent_error(struct test *t);

#endif
