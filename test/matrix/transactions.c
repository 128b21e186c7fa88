#include "transactions.h"

static void init(struct test *t, struct writer *w)
{
	const struct kafka_init_producer_id_request request = {
		.transactional_id = w->name,
		.transaction_timeout_ms = 60000,
		.producer_id = -1,
		.producer_epoch = -1,
	};
	const struct kafka_init_producer_id_response *response =
		test_call(t, KAFKA_API_INIT_PRODUCER_ID, 5, &request);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	w->producer_id = response->producer_id;
	w->epoch = response->producer_epoch;
	w->sequence = 0;
}

struct writer writer_make(struct test *t, const char *name)
{
	struct writer w = { .name = test_name(t, name) };

	init(t, &w);
	return w;
}

struct writer writer_again(struct test *t, const struct writer *w)
{
	struct writer again = *w;

	init(t, &again);
	return again;
}

int16_t writer_add(struct test *t, const struct writer *w, const struct topic *topic)
{
	int32_t zero = 0;
	struct kafka_add_partitions_to_txn_request_old_topic one = { topic->name, &zero, 1 };
	const struct kafka_add_partitions_to_txn_request request = {
		.v3_and_below_transactional_id = w->name,
		.v3_and_below_producer_id = w->producer_id,
		.v3_and_below_producer_epoch = w->epoch,
		.v3_and_below_topics = &one,
		.v3_and_below_topics_count = 1,
	};
	const struct kafka_add_partitions_to_txn_response *response =
		test_call(t, KAFKA_API_ADD_PARTITIONS_TO_TXN, 3, &request);

	CHECK_INT(t, response->results_by_topic_v3_and_below_count, 1);
	CHECK_INT(t, response->results_by_topic_v3_and_below[0].results_by_partition_count, 1);
	return response->results_by_topic_v3_and_below[0]
		.results_by_partition[0]
		.partition_error_code;
}

struct kafka_produce_request *writer_produce(struct test *t, const struct writer *w,
					     const struct topic *topic, int count)
{
	struct record_batch_plan plan = {
		.leader_epoch = -1,
		.flags = RECORD_BATCH_TRANSACTIONAL,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.base_sequence = w->sequence,
	};
	struct kafka_produce_request *request =
		produce_one(t, topic, 0, batch_plan(t, &plan, count));

	request->transactional_id = w->name;
	return request;
}

int64_t writer_write(struct test *t, struct writer *w, const struct topic *topic, int count)
{
	CHECK_ERROR(t, writer_add(t, w, topic), KAFKA_NONE);
	const struct kafka_produce_response *response =
		test_call(t, KAFKA_API_PRODUCE, 11, writer_produce(t, w, topic, count));
	CHECK_ERROR(t, response->responses[0].partition_responses[0].error_code, KAFKA_NONE);
	w->sequence += count;
	return response->responses[0].partition_responses[0].base_offset;
}

int16_t writer_end(struct test *t, const struct writer *w, bool commits)
{
	const struct kafka_end_txn_request request = {
		.transactional_id = w->name,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.committed = commits,
	};
	const struct kafka_end_txn_response *response =
		test_call(t, KAFKA_API_END_TXN, 4, &request);

	return response->error_code;
}

int16_t writer_commit_offset(struct test *t, const struct writer *w, struct slice group,
			     const struct topic *topic, int64_t offset)
{
	const struct kafka_add_offsets_to_txn_request add = {
		.transactional_id = w->name,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.group_id = group,
	};
	const struct kafka_add_offsets_to_txn_response *added =
		test_call(t, KAFKA_API_ADD_OFFSETS_TO_TXN, 4, &add);
	struct kafka_txn_offset_commit_request_partition partition = {
		.committed_offset = offset,
		.committed_leader_epoch = -1,
	};
	struct kafka_txn_offset_commit_request_topic one = { topic->name, &partition, 1 };
	const struct kafka_txn_offset_commit_request request = {
		.transactional_id = w->name,
		.group_id = group,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.generation_id = -1,
		.member_id = SLICE(""),
		.topics = &one,
		.topics_count = 1,
	};

	CHECK_ERROR(t, added->error_code, KAFKA_NONE);
	const struct kafka_txn_offset_commit_response *response =
		test_call(t, KAFKA_API_TXN_OFFSET_COMMIT, 4, &request);
	return response->topics[0].partitions[0].error_code;
}
