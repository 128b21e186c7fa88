/* What the tests of announced files share: an agent that announces, confirms, withdraws and
 * settles. */
#ifndef STREAMS_COORDINATOR_ANNOUNCED_TESTING_H
#define STREAMS_COORDINATOR_ANNOUNCED_TESTING_H

#include "streams/coordinator/settling.h"
#include "streams/coordinator/visitor_testing.h"
#include "wire/kafka/record_batch.h"
#include "wire/peer/transaction_support.h"

/* One batch of 5 records. */
struct batch_spec {
	struct uuid topic;
	int32_t partition;
	int64_t producer_id; /* -1: none */
	int32_t base_sequence;
	int16_t epoch;
	const char *transactional_id; /* NULL: none */
};

/* A batch of nobody in particular. */
static inline struct batch_spec plain_batch(struct uuid topic, int32_t partition)
{
	return (struct batch_spec) { .topic = topic, .partition = partition, .producer_id = -1 };
}

static inline uint32_t send_file(struct visitor *v, int64_t sequence,
				 const struct batch_spec *specs, size_t count, bool is_announcement)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	struct peer_commit_file_request_batch batches[8];
	struct peer_commit_file_request_run runs[8];

	assert_in_range(count, 1, 8);
	data_file_key(key, (uint64_t)v->incarnation, (uint64_t)sequence);
	for (size_t i = 0; i < count; i++) {
		batches[i] = (struct peer_commit_file_request_batch) {
			.size = 100,
			.record_count = 5,
			.last_offset_delta = 4,
			.producer_id = specs[i].producer_id,
			.producer_epoch = specs[i].producer_id < 0 ? -1 : specs[i].epoch,
			.base_sequence = specs[i].producer_id < 0 ? -1 : specs[i].base_sequence,
		};
		if (specs[i].transactional_id) {
			batches[i].attributes = RECORD_BATCH_TRANSACTIONAL;
			batches[i].transactional_id = slice_from(specs[i].transactional_id);
			batches[i].transaction_support = TRANSACTION_SUPPORT_SECOND;
		}
		runs[i] = (struct peer_commit_file_request_run) {
			.topic_id = specs[i].topic,
			.partition = specs[i].partition,
			.file_offset = 64 + 100 * (int64_t)i,
			.batches = &batches[i],
			.batches_count = 1,
		};
	}
	return say(v, &peer_commit_file_request_schema,
		   &(struct peer_commit_file_request) { .incarnation = v->incarnation,
							.sequence = sequence,
							.key = slice_from(key),
							.size = 1000,
							.runs = runs,
							.runs_count = count,
							.is_announcement = is_announcement });
}

static inline const struct peer_commit_file_response *hear_file(struct visitor *v, uint32_t id)
{
	return hear(v, id, &peer_commit_file_response_schema);
}

static inline int16_t announce(struct visitor *v, struct uuid topic, int64_t sequence)
{
	const struct batch_spec spec = plain_batch(topic, 0);

	return hear_file(v, send_file(v, sequence, &spec, 1, true))->error;
}

static inline uint32_t ask_confirm(struct visitor *v, int64_t sequence)
{
	return say(v, &peer_confirm_file_request_schema,
		   &(struct peer_confirm_file_request) { .incarnation = v->incarnation,
							 .sequence = sequence });
}

static inline const struct peer_commit_file_response *confirm(struct visitor *v, int64_t sequence)
{
	return hear_file(v, ask_confirm(v, sequence));
}

static inline uint32_t ask_withdraw(struct visitor *v, int64_t sequence)
{
	return say(v, &peer_withdraw_file_request_schema,
		   &(struct peer_withdraw_file_request) { .incarnation = v->incarnation,
							  .sequence = sequence });
}

static inline int16_t withdraw(struct visitor *v, int64_t sequence)
{
	const struct peer_withdraw_file_response *response =
		hear(v, ask_withdraw(v, sequence), &peer_withdraw_file_response_schema);

	return response->error;
}

/* The next push that asks for files; after `seen` of them. */
static inline const struct peer_settle_push *hear_settle(struct visitor *v, size_t seen)
{
	struct peer_settle_push *push = arena_take(&v->arena, sizeof(*push));

	for (;;) {
		size_t count = 0;
		for (size_t i = 0; i < v->answer_count; i++) {
			if (v->answers[i].message != PEER_SETTLE_PUSH || count++ < seen)
				continue;
			assert_int_equal(frame_decode_body(&v->arena, &v->answers[i],
							   &peer_settle_push_schema, push),
					 OK);
			return push;
		}
		v->has_news = false;
		town_wait(v->town, &v->has_news, "a question");
	}
}

static inline int16_t say_settled(struct visitor *v, const struct peer_settle_push *push,
				  bool (*is_there)(void *context, int64_t sequence), void *context)
{
	struct peer_settle_request request = { .files_count = push->files_count };

	request.files = arena_take_array(&v->arena, push->files_count + 1, sizeof(*request.files));
	for (size_t i = 0; i < push->files_count; i++)
		request.files[i] = (struct peer_settle_request_file) {
			push->files[i].incarnation, push->files[i].sequence,
			is_there(context, push->files[i].sequence)
		};
	uint32_t id = say(v, &peer_settle_request_schema, &request);
	const struct peer_settle_response *response = hear(v, id, &peer_settle_response_schema);

	assert_non_null(response);
	return response->error;
}

static inline bool all_are_there(void *context, int64_t sequence)
{
	(void)context;
	(void)sequence;
	return true;
}

static inline bool none_is_there(void *context, int64_t sequence)
{
	(void)context;
	(void)sequence;
	return false;
}

/* From now on no record becomes durable. */
static inline void hold_journal(struct town *town)
{
	fault_add(town->bucket,
		  &(struct fault) { .effect = FAULT_HOLD,
				    .verbs = FAULT_VERB(BUCKET_PUT) | FAULT_VERB(BUCKET_PUT_NEW),
				    .prefix = "v1/j/" });
}

static inline void release_journal(struct town *town)
{
	fault_clear(town->bucket);
	fault_release(town->bucket, "");
}

/* Nothing was said for so long, with everything else done. */
static inline bool is_silent(struct visitor *v, uint32_t id, int ms)
{
	for (int i = 0; i < ms / 5 && !find_answer(v, id); i++)
		town_wait_ms(v->town, &(bool) { false }, 5);
	return !find_answer(v, id);
}

#endif
