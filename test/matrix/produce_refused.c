/* Produce: what is refused, and how answers are read. */
#include <string.h>

#include "base/endian.h"
#include "fixture.h"
#include "produce.h"
#include "transactions.h"

enum {
	MAX_MESSAGE_BYTES = 1048588,
	MAGIC_AT = 16,
	ATTRIBUTES_AT = 21,
	LAST_OFFSET_DELTA_AT = 23,
	BASE_TIMESTAMP_AT = 27,
	LOG_START_FIRST = 5,
	MESSAGE_FIRST = 8,
	FETCH_VERSION = 18,
	LIST_OFFSETS_VERSION = 7,
};

/* --- answers -----------------------------------------------------------------------------------
 */

const struct kafka_produce_response_partition *produce_answer_of(
	struct test *t, const struct kafka_produce_response *response, const struct topic *topic)
{
	CHECK_INT(t, response->responses_count, 1);
	if (t->version >= 13)
		CHECK_UUID(t, response->responses[0].topic_id, topic->id);
	else
		CHECK_SLICE(t, response->responses[0].name, topic->name);
	CHECK_INT(t, response->responses[0].partition_responses_count, 1);
	return &response->responses[0].partition_responses[0];
}

const struct kafka_produce_response_partition *produce_send(
	struct test *t, const struct topic *topic, const struct kafka_produce_request *request)
{
	const struct kafka_produce_response *response =
		test_call(t, KAFKA_API_PRODUCE, t->version, request);
	const struct kafka_produce_response_partition *answer =
		produce_answer_of(t, response, topic);

	CHECK_INT(t, answer->index, request->topic_data[0].partition_data[0].index);
	return answer;
}

void produce_check(struct test *t, const struct kafka_produce_response_partition *answer,
		   int16_t error, int64_t base_offset)
{
	CHECK_ERROR(t, answer->error_code, error);
	CHECK_INT(t, answer->base_offset, base_offset);
	CHECK_INT(t, answer->log_append_time_ms, -1);
	if (!error)
		CHECK_SINCE(t, LOG_START_FIRST, answer->log_start_offset, 0, -1);
	CHECK_INT(t, answer->record_errors_count, 0);
	if (error && t->version >= MESSAGE_FIRST)
		CHECK(t, answer->error_message.size > 0);
	else
		CHECK_NULL(t, answer->error_message);
	CHECK_INT(t, answer->current_leader.leader_id, -1);
	CHECK_INT(t, answer->current_leader.leader_epoch, -1);
}

void check_log(struct test *t, const struct topic *topic, int32_t partition, int64_t end)
{
	struct kafka_list_offsets_request_partition one = { partition, -1, -1 };
	struct kafka_list_offsets_request_topic asked = { topic->name, &one, 1 };
	const struct kafka_list_offsets_request request = { -1, 0, &asked, 1, TEST_PATIENCE_MS };
	const struct kafka_list_offsets_response *response =
		test_call(t, KAFKA_API_LIST_OFFSETS, LIST_OFFSETS_VERSION, &request);

	CHECK_ERROR(t, response->topics[0].partitions[0].error_code, KAFKA_NONE);
	CHECK_INT(t, response->topics[0].partitions[0].offset, end);
}

void check_stored(struct test *t, const struct topic *topic, int64_t offset, struct slice batch)
{
	const struct kafka_fetch_response *response =
		test_call(t, KAFKA_API_FETCH, FETCH_VERSION, fetch_one(t, topic, 0, offset));
	uint8_t *placed = batch_copy(t, batch);

	record_batch_patch(placed, offset, 0);
	CHECK_ERROR(t, response->responses[0].partitions[0].error_code, KAFKA_NONE);
	CHECK_SLICE(t, response->responses[0].partitions[0].records,
		    ((struct slice) { placed, batch.size }));
}

static void refuse(struct test *t, struct slice records, int16_t error)
{
	struct topic topic = topic_make(t, 1);

	produce_check(t, produce_send(t, &topic, produce_one(t, &topic, 0, records)), error, -1);
	check_log(t, &topic, 0, 0);
}

/* --- names -------------------------------------------------------------------------------------
 */

void produce_unknown_topic(struct test *t)
{
	struct topic topic = topic_missing(t);

	produce_check(t, produce_send(t, &topic, produce_one(t, &topic, 0, batch_make(t, 1))),
		      KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
}

void produce_unknown_partition(struct test *t)
{
	static const int32_t bad[] = { 1, -1, INT32_MAX };
	struct topic topic = topic_make(t, 1);

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++)
		produce_check(t,
			      produce_send(t, &topic,
					   produce_one(t, &topic, bad[i], batch_make(t, 1))),
			      KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
}

void produce_unknown_id(struct test *t)
{
	struct topic missing = topic_missing(t), deleted = topic_make(t, 1);

	produce_check(t, produce_send(t, &missing, produce_one(t, &missing, 0, batch_make(t, 1))),
		      KAFKA_UNKNOWN_TOPIC_ID, -1);
	topic_delete(t, &deleted);
	produce_check(t, produce_send(t, &deleted, produce_one(t, &deleted, 0, batch_make(t, 1))),
		      KAFKA_UNKNOWN_TOPIC_ID, -1);
}

/* --- batches -----------------------------------------------------------------------------------
 */

void produce_damaged(struct test *t)
{
	struct slice batch = batch_make(t, 3);
	uint8_t *damaged = batch_copy(t, batch);

	damaged[batch.size - 1] ^= 1;
	refuse(t, (struct slice) { damaged, batch.size }, KAFKA_CORRUPT_MESSAGE);
	refuse(t, slice_part(batch, 0, batch.size - 1), KAFKA_CORRUPT_MESSAGE);
	refuse(t, slice_part(batch, 0, 20), KAFKA_CORRUPT_MESSAGE);
}

void produce_too_large(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct record record = { .timestamp_ms = BATCH_TIME_MS };
	struct buf out;

	uint8_t *value = arena_take(&t->arena, MAX_MESSAGE_BYTES);
	memset(value, 'x', MAX_MESSAGE_BYTES);
	for (size_t missing = 0; missing <= 100; missing += 100) {
		record.value = (struct slice) { value, MAX_MESSAGE_BYTES - missing };
		buf_init(&out);
		record_batch_build(&out, &RECORD_BATCH_PLAIN, &record, 1);
		struct slice batch = arena_copy(&t->arena, buf_slice(&out));
		buf_done(&out);
		int16_t error = missing ? KAFKA_NONE : KAFKA_MESSAGE_TOO_LARGE;
		produce_check(t, produce_send(t, &topic, produce_one(t, &topic, 0, batch)), error,
			      error ? -1 : 0);
	}
}

/* A batch whose header was changed and then sealed again. */
static struct slice changed(struct test *t, size_t at, uint16_t value)
{
	struct slice batch = batch_make(t, 2);
	uint8_t *copy = batch_copy(t, batch);

	put_u16(copy + at, value);
	record_batch_set_crc(copy, batch.size);
	return (struct slice) { copy, batch.size };
}

void produce_bad_records(struct test *t)
{
	struct slice one = batch_make(t, 1);
	uint8_t *two = arena_take(&t->arena, 2 * one.size);

	memcpy(two, one.data, one.size);
	memcpy(two + one.size, one.data, one.size);
	refuse(t, (struct slice) { two, 2 * one.size }, KAFKA_INVALID_RECORD);
	refuse(t, (struct slice) { 0 }, KAFKA_INVALID_RECORD);
	refuse(t, SLICE(""), KAFKA_INVALID_RECORD);
	uint8_t *old_format = batch_copy(t, one);
	old_format[MAGIC_AT] = 1;
	refuse(t, (struct slice) { old_format, one.size }, KAFKA_INVALID_RECORD);
	refuse(t, changed(t, LAST_OFFSET_DELTA_AT + 2, 7), KAFKA_INVALID_RECORD);
	refuse(t, changed(t, ATTRIBUTES_AT, RECORD_BATCH_CONTROL), KAFKA_INVALID_RECORD);
}

void produce_bad_timestamp(struct test *t)
{
	refuse(t, changed(t, ATTRIBUTES_AT, RECORD_BATCH_LOG_APPEND_TIME), KAFKA_INVALID_TIMESTAMP);
	refuse(t, changed(t, BASE_TIMESTAMP_AT, 0x8000), KAFKA_INVALID_TIMESTAMP);
}

void produce_zstd(struct test *t)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	plan.codec = COMPRESSION_ZSTD;
	refuse(t, batch_plan(t, &plan, 3), KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
}

void produce_unknown_codec(struct test *t)
{
	for (uint16_t codec = COMPRESSION_COUNT; codec <= RECORD_BATCH_CODEC_MASK; codec++)
		refuse(t, changed(t, ATTRIBUTES_AT, codec), KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
}

/* --- requests ----------------------------------------------------------------------------------
 */

void produce_bad_acks(struct test *t)
{
	static const int16_t bad[] = { 2, -2, INT16_MAX };
	struct topic topic = topic_make(t, 1);

	for (size_t i = 0; i < MATRIX_COUNT(bad); i++) {
		struct kafka_produce_request *request = produce_one(t, &topic, 0, batch_make(t, 1));
		request->acks = bad[i];
		produce_check(t, produce_send(t, &topic, request), KAFKA_INVALID_REQUIRED_ACKS, -1);
	}
	check_log(t, &topic, 0, 0);
}

void produce_transaction(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");
	struct kafka_produce_request *request = writer_produce(t, &w, &topic, 1);

	request->transactional_id = (struct slice) { 0 };
	produce_check(t, produce_send(t, &topic, request),
		      KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1);
	check_log(t, &topic, 0, 0);
}

void produce_not_added(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	produce_check(t, produce_send(t, &topic, writer_produce(t, &w, &topic, 1)),
		      t->version < 11 ? KAFKA_INVALID_TXN_STATE : KAFKA_TRANSACTION_ABORTABLE, -1);
	check_log(t, &topic, 0, 0);
}

void produce_other_producer(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w"), other = writer_make(t, "other");

	CHECK_ERROR(t, writer_add(t, &w, &topic), KAFKA_NONE);
	w.producer_id = other.producer_id;
	produce_check(t, produce_send(t, &topic, writer_produce(t, &w, &topic, 1)),
		      KAFKA_INVALID_PRODUCER_ID_MAPPING, -1);
	check_log(t, &topic, 0, 0);
}

void produce_silent_error(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_produce_request *request = produce_one(t, &topic, 9, batch_make(t, 1));
	struct client *c = client_open(t);

	request->acks = 0;
	client_send(t, c, KAFKA_API_PRODUCE, t->version, request);
	client_expect_close(t, c);
}
