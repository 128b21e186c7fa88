/* What clients can make large: answers that would be, and calls whose answer fits into no frame. */
#include "peer_messages.h"
#include "streams/coordinator/call.h"
#include "streams/coordinator/groups_testing.h"

/* A group with one member that says much; its name is "large". */
static void begin_large_group(struct town *town)
{
	static uint8_t bytes[380 * 1024];
	struct kafka_join_group_request_protocol protocol = {
		.name = SLICE("range"),
		.metadata = { bytes, sizeof(bytes) },
	};
	struct kafka_join_group_request join = {
		.group_id = SLICE("large"),
		.session_timeout_ms = 10000,
		.rebalance_timeout_ms = 10000,
		.member_id = SLICE(""),
		.protocol_type = SLICE("consumer"),
		.protocols = &protocol,
		.protocols_count = 1,
	};
	const struct kafka_join_group_response *joined = ask(town, KAFKA_API_JOIN_GROUP, 3, &join);

	assert_int_equal(joined->error_code, KAFKA_NONE);
	struct kafka_sync_group_request_assignment assignment = { joined->member_id,
								  protocol.metadata };
	struct kafka_sync_group_request sync = {
		.group_id = SLICE("large"),
		.generation_id = joined->generation_id,
		.member_id = joined->member_id,
		.assignments = &assignment,
		.assignments_count = 1,
	};
	const struct kafka_sync_group_response *synced = ask(town, KAFKA_API_SYNC_GROUP, 3, &sync);
	assert_int_equal(synced->error_code, KAFKA_NONE);
}

static struct slice *many_names(size_t count)
{
	static struct slice names[1000];

	for (size_t i = 0; i < count; i++)
		names[i] = SLICE("large");
	return names;
}

static void test_a_group_described_many_times_is_too_much(void **state)
{
	struct town town;

	(void)state;
	town_open(&town, 1);
	begin_large_group(&town);
	const struct kafka_describe_groups_response *response =
		ask(&town, KAFKA_API_DESCRIBE_GROUPS, 4,
		    &(struct kafka_describe_groups_request) { .groups = many_names(1000),
							      .groups_count = 1000 });
	assert_int_equal(response->groups_count, 1000);
	assert_int_equal(response->groups[0].error_code, KAFKA_INVALID_REQUEST);
	assert_int_equal(response->groups[999].error_code, KAFKA_INVALID_REQUEST);
	assert_int_equal(response->groups[0].members_count, 0);
	town_close(&town);
}

static int16_t fetch_many(struct town *town, size_t count)
{
	static int32_t indexes[100000];
	struct kafka_offset_fetch_request_group_topic topic = {
		.name = SLICE("t"),
		.partition_indexes = indexes,
		.partition_indexes_count = count,
	};
	struct kafka_offset_fetch_request_group_topic topics[20];
	struct kafka_offset_fetch_request_group group = {
		.group_id = SLICE("g"),
		.topics = topics,
		.topics_count = 20,
		.member_epoch = -1,
	};

	for (size_t i = 0; i < 20; i++)
		topics[i] = topic;
	const struct kafka_offset_fetch_response *response =
		ask(town, KAFKA_API_OFFSET_FETCH, 8,
		    &(struct kafka_offset_fetch_request) { .groups = &group, .groups_count = 1 });
	assert_int_equal(response->groups_count, 1);
	return response->groups[0].error_code;
}

static void test_an_offset_fetched_many_times_is_too_much(void **state)
{
	static char metadata[4097];
	struct town town;

	(void)state;
	memset(metadata, 'm', sizeof(metadata) - 1);
	town_open(&town, 2);
	town_topic(&town, "t", 1);
	assert_int_equal(
		commit(&town, (struct commit) { .topic = "t", .offset = 5, .metadata = metadata }),
		KAFKA_NONE);
	assert_int_equal(fetch_many(&town, 100), KAFKA_NONE);
	assert_int_equal(fetch_many(&town, 1000), KAFKA_INVALID_REQUEST);
	assert_int_equal(fetch_many(&town, 100000), KAFKA_INVALID_REQUEST);
	town_close(&town);
}

/* --- calls -------------------------------------------------------------------------------------
 */

struct asking {
	struct task task;
	struct town *town;
	struct frame frame;
	struct list ended;
	struct call *call;
	bool is_done;
};

static enum step asking_step(struct task *t)
{
	struct asking *a = CONTAINER(t, struct asking, task);

	if (t->at == 0) {
		list_init(&a->ended);
		a->call = call_start(a->town->coordinator, t, &a->ended, &a->frame);
		return task_wait(t, 1);
	}
	a->is_done = a->ended.next == &a->call->link;
	loop_stop(t->loop);
	return task_done(t, OK);
}

static void test_an_answer_larger_than_a_frame_is_an_error(void **state)
{
	static const struct task_kind kind = { .name = "asking", .step = asking_step };
	struct kafka_describe_groups_request describe = { .groups = many_names(30),
							  .groups_count = 30 };
	struct peer_kafka_request request = {
		.api_key = KAFKA_API_DESCRIBE_GROUPS,
		.api_version = 4,
		.client_id = SLICE("client"),
		.client_host = SLICE("192.0.2.1"),
	};
	struct peer_kafka_response response;
	struct buf body, message;
	struct frame answer;
	struct town town;
	struct arena arena;

	(void)state;
	town_open(&town, 3);
	begin_large_group(&town);
	buf_init(&body);
	buf_init(&message);
	schema_encode(kafka_api_find(KAFKA_API_DESCRIBE_GROUPS)->request, 4, &describe, &body);
	request.body = buf_slice(&body);
	schema_encode(&peer_kafka_request_schema, 0, &request, &message);
	struct asking asking = {
		.town = &town,
		.frame = { .message = PEER_KAFKA_REQUEST,
			   .correlation_id = 7,
			   .body = buf_slice(&message) },
	};
	task_start_root(&asking.task, &kind, town.loop);
	town_wait(&town, &asking.is_done, "the call");

	struct slice in = buf_slice(&asking.call->response);
	arena_init(&arena);
	assert_int_equal(frame_decode(&in, &answer), OK);
	assert_int_equal(answer.correlation_id, 7);
	assert_int_equal(frame_decode_body(&arena, &answer, &peer_kafka_response_schema, &response),
			 OK);
	assert_int_equal(peer_error_decode(response.error), ERR_TOO_BIG);
	arena_done(&arena);
	buf_done(&body);
	buf_done(&message);
	call_free(asking.call);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_group_described_many_times_is_too_much),
		cmocka_unit_test(test_an_offset_fetched_many_times_is_too_much),
		cmocka_unit_test(test_an_answer_larger_than_a_frame_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
