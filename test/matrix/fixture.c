#include "fixture.h"

#include <string.h>

#include "base/clock.h"
#include "base/random.h"

enum {
	CREATE_TOPICS_VERSION = 7,
	DELETE_TOPICS_VERSION = 6,
	PRODUCE_VERSION = 13,
	JOIN_VERSION = 9,
	SYNC_VERSION = 5,
	LEAVE_VERSION = 5,
	HEARTBEAT_VERSION = 4,
	COMMIT_VERSION = 9,
	SESSION_MS = 30000,
	REBALANCE_MS = 20000,
	RECORDS_MAX = 100,
};

/* --- topics ------------------------------------------------------------------------------------
 */

struct topic topic_make(struct test *t, int32_t partitions)
{
	struct kafka_create_topics_request_topic asked = {
		.name = test_name(t, "topic"),
		.num_partitions = partitions,
		.replication_factor = 1,
	};
	const struct kafka_create_topics_request request = {
		.topics = &asked,
		.topics_count = 1,
		.timeout_ms = TEST_PATIENCE_MS,
	};
	const struct kafka_create_topics_response *response =
		test_call(t, KAFKA_API_CREATE_TOPICS, CREATE_TOPICS_VERSION, &request);

	CHECK_INT(t, response->topics_count, 1);
	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_NONE);
	return (struct topic) { asked.name, response->topics[0].topic_id };
}

void topic_delete(struct test *t, const struct topic *topic)
{
	struct kafka_delete_topics_request_topic asked = { .topic_id = topic->id };
	const struct kafka_delete_topics_request request = {
		.topics = &asked,
		.topics_count = 1,
		.timeout_ms = TEST_PATIENCE_MS,
	};
	const struct kafka_delete_topics_response *response =
		test_call(t, KAFKA_API_DELETE_TOPICS, DELETE_TOPICS_VERSION, &request);

	CHECK_INT(t, response->responses_count, 1);
	CHECK_ERROR(t, response->responses[0].error_code, KAFKA_NONE);
}

struct topic topic_missing(struct test *t)
{
	struct topic missing = { .name = test_name(t, "missing") };

	random_bytes(missing.id.bytes, sizeof(missing.id.bytes));
	return missing;
}

/* --- records -----------------------------------------------------------------------------------
 */

struct slice batch_plan(struct test *t, const struct record_batch_plan *plan, int count)
{
	struct record records[RECORDS_MAX] = { 0 };
	struct buf out;

	CHECK(t, count <= RECORDS_MAX);
	for (int i = 0; i < count; i++)
		records[i] = (struct record) {
			.timestamp_ms = BATCH_TIME_MS + i,
			.key = i % 2 ? (struct slice) { 0 } : test_format(t, "key %d", i),
			.value = test_format(t, "value %d", i),
		};
	buf_init(&out);
	record_batch_build(&out, plan, records, (size_t)count);
	struct slice batch = arena_copy(&t->arena, buf_slice(&out));
	buf_done(&out);
	return batch;
}

struct slice batch_make(struct test *t, int count)
{
	return batch_plan(t, &RECORD_BATCH_PLAIN, count);
}

uint8_t *batch_copy(struct test *t, struct slice batch)
{
	uint8_t *copy = arena_take(&t->arena, batch.size);

	memcpy(copy, batch.data, batch.size);
	return copy;
}

struct kafka_produce_request *produce_one(struct test *t, const struct topic *topic,
					  int32_t partition, struct slice batch)
{
	struct kafka_produce_request *request = arena_take(&t->arena, sizeof(*request));
	struct kafka_produce_request_topic *topics = arena_take(&t->arena, sizeof(*topics));
	struct kafka_produce_request_partition *partitions =
		arena_take(&t->arena, sizeof(*partitions));

	*partitions = (struct kafka_produce_request_partition) { partition, batch };
	*topics = (struct kafka_produce_request_topic) {
		.name = topic->name,
		.topic_id = topic->id,
		.partition_data = partitions,
		.partition_data_count = 1,
	};
	*request = (struct kafka_produce_request) {
		.acks = -1,
		.timeout_ms = TEST_PATIENCE_MS,
		.topic_data = topics,
		.topic_data_count = 1,
	};
	return request;
}

int64_t topic_append(struct test *t, const struct topic *topic, int32_t partition,
		     struct slice batch)
{
	const struct kafka_produce_response *response =
		test_call(t, KAFKA_API_PRODUCE, PRODUCE_VERSION,
			  produce_one(t, topic, partition, batch));

	CHECK_INT(t, response->responses_count, 1);
	CHECK_INT(t, response->responses[0].partition_responses_count, 1);
	CHECK_ERROR(t, response->responses[0].partition_responses[0].error_code, KAFKA_NONE);
	return response->responses[0].partition_responses[0].base_offset;
}

struct kafka_fetch_request *fetch_one(struct test *t, const struct topic *topic, int32_t partition,
				      int64_t offset)
{
	const struct kafka_api *api = kafka_api_find(KAFKA_API_FETCH);
	struct kafka_fetch_request *request = arena_take(&t->arena, sizeof(*request));
	struct kafka_fetch_request_topic *topics = arena_take(&t->arena, sizeof(*topics));
	struct kafka_fetch_request_partition *partitions =
		arena_take(&t->arena, sizeof(*partitions));

	*partitions = (struct kafka_fetch_request_partition) {
		.partition = partition,
		.current_leader_epoch = -1,
		.fetch_offset = offset,
		.last_fetched_epoch = -1,
		.log_start_offset = -1,
		.partition_max_bytes = 1 << 20,
		.high_watermark = INT64_MAX,
	};
	*topics = (struct kafka_fetch_request_topic) {
		.topic = topic->name,
		.topic_id = topic->id,
		.partitions = partitions,
		.partitions_count = 1,
	};
	schema_defaults(api->request, request);
	request->max_wait_ms = 100;
	request->min_bytes = 1;
	request->max_bytes = 1 << 20;
	request->topics = topics;
	request->topics_count = 1;
	request->rack_id = SLICE("");
	return request;
}

/* --- groups ------------------------------------------------------------------------------------
 */

struct kafka_join_group_request *join_request(struct test *t, const struct member *m)
{
	struct kafka_join_group_request *request = arena_take(&t->arena, sizeof(*request));
	struct kafka_join_group_request_protocol *protocol =
		arena_take(&t->arena, sizeof(*protocol));

	*protocol = (struct kafka_join_group_request_protocol) { GROUP_PROTOCOL, MEMBER_METADATA };
	*request = (struct kafka_join_group_request) {
		.group_id = m->group,
		.session_timeout_ms = SESSION_MS,
		.rebalance_timeout_ms = REBALANCE_MS,
		.member_id = m->member_id.data ? m->member_id : SLICE(""),
		.group_instance_id = m->instance_id,
		.protocol_type = GROUP_PROTOCOL_TYPE,
		.protocols = protocol,
		.protocols_count = 1,
	};
	return request;
}

/* Dynamic members first get an id; static ones join at once. */
static void take_member_id(struct test *t, struct member *m)
{
	const struct kafka_join_group_response *response =
		client_call(t, m->client, KAFKA_API_JOIN_GROUP, JOIN_VERSION, join_request(t, m));

	CHECK_ERROR(t, response->error_code, KAFKA_MEMBER_ID_REQUIRED);
	CHECK(t, response->member_id.size > 0);
	m->member_id = response->member_id;
}

struct member member_join(struct test *t, struct slice group, struct slice instance_id)
{
	struct member m = {
		.client = client_open(t),
		.group = group,
		.instance_id = instance_id,
	};

	if (!instance_id.data)
		take_member_id(t, &m);
	const struct kafka_join_group_response *response =
		client_call(t, m.client, KAFKA_API_JOIN_GROUP, JOIN_VERSION, join_request(t, &m));
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	m.member_id = response->member_id;
	m.generation = response->generation_id;
	m.leads = slice_equal(response->leader, m.member_id);
	CHECK(t, m.leads);
	return m;
}

struct kafka_sync_group_request *sync_request(struct test *t, const struct member *m,
					      struct slice assignment)
{
	struct kafka_sync_group_request *request = arena_take(&t->arena, sizeof(*request));
	struct kafka_sync_group_request_assignment *own = arena_take(&t->arena, sizeof(*own));

	*own = (struct kafka_sync_group_request_assignment) { m->member_id, assignment };
	*request = (struct kafka_sync_group_request) {
		.group_id = m->group,
		.generation_id = m->generation,
		.member_id = m->member_id,
		.group_instance_id = m->instance_id,
		.protocol_type = GROUP_PROTOCOL_TYPE,
		.protocol_name = GROUP_PROTOCOL,
		.assignments = own,
		.assignments_count = 1,
	};
	return request;
}

struct member member_stable(struct test *t, struct slice group, struct slice instance_id)
{
	struct member m = member_join(t, group, instance_id);
	const struct kafka_sync_group_response *response =
		client_call(t, m.client, KAFKA_API_SYNC_GROUP, SYNC_VERSION,
			    sync_request(t, &m, SLICE("all of it")));

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	return m;
}

/* Requests of different connections overtake each other. */
void member_await_rebalance(struct test *t, const struct member *m)
{
	const struct kafka_heartbeat_request request = {
		.group_id = m->group,
		.generation_id = m->generation,
		.member_id = m->member_id,
		.group_instance_id = m->instance_id,
	};

	for (uint64_t begin_ms = clock_now_ms(); clock_now_ms() < begin_ms + TEST_PATIENCE_MS;) {
		const struct kafka_heartbeat_response *response =
			client_call(t, m->client, KAFKA_API_HEARTBEAT, HEARTBEAT_VERSION, &request);
		if (response->error_code == KAFKA_REBALANCE_IN_PROGRESS)
			return;
		CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	}
	FAIL(t, "no rebalance although somebody asked for one");
}

struct member member_disturb(struct test *t, const struct member *first)
{
	struct member m = { .client = client_open(t), .group = first->group };

	take_member_id(t, &m);
	client_send(t, m.client, KAFKA_API_JOIN_GROUP, JOIN_VERSION, join_request(t, &m));
	member_await_rebalance(t, first);
	return m;
}

void member_leave(struct test *t, const struct member *m)
{
	struct kafka_leave_group_request_member leaver = {
		.member_id = m->member_id,
		.group_instance_id = m->instance_id,
	};
	const struct kafka_leave_group_request request = {
		.group_id = m->group,
		.members = &leaver,
		.members_count = 1,
	};
	const struct kafka_leave_group_response *response =
		test_call(t, KAFKA_API_LEAVE_GROUP, LEAVE_VERSION, &request);

	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
	CHECK_INT(t, response->members_count, 1);
	CHECK_ERROR(t, response->members[0].error_code, KAFKA_NONE);
}

void offset_store(struct test *t, struct slice group, const struct topic *topic, int32_t partition,
		  int64_t offset, int32_t leader_epoch, struct slice metadata)
{
	struct kafka_offset_commit_request_partition one = {
		.partition_index = partition,
		.committed_offset = offset,
		.committed_leader_epoch = leader_epoch,
		.committed_metadata = metadata,
	};
	struct kafka_offset_commit_request_topic topics = {
		.name = topic->name,
		.partitions = &one,
		.partitions_count = 1,
	};
	const struct kafka_offset_commit_request request = {
		.group_id = group,
		.generation_id_or_member_epoch = -1,
		.member_id = SLICE(""),
		.topics = &topics,
		.topics_count = 1,
	};
	const struct kafka_offset_commit_response *response =
		test_call(t, KAFKA_API_OFFSET_COMMIT, COMMIT_VERSION, &request);

	CHECK_INT(t, response->topics_count, 1);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	CHECK_ERROR(t, response->topics[0].partitions[0].error_code, KAFKA_NONE);
}
