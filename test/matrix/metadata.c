/* Metadata. */
#include "fault.h"
#include "fixture.h"
#include "matrix.h"

enum { IDS_FIRST = 10, CLUSTER_OPERATIONS_LAST = 10, CREATING_FLAG_FIRST = 4 };

static const struct kafka_metadata_response *ask_topics(struct test *t,
							struct kafka_metadata_request_topic *topics,
							size_t count, bool create)
{
	const struct kafka_metadata_request request = {
		.topics = topics,
		.topics_count = count,
		.allow_auto_topic_creation = create,
	};

	return test_call(t, KAFKA_API_METADATA, t->version, &request);
}

static const struct kafka_metadata_response *ask_name(struct test *t, struct slice name,
						      bool create)
{
	struct kafka_metadata_request_topic topic = { .name = name };

	return ask_topics(t, &topic, 1, create);
}

/* --- success -----------------------------------------------------------------------------------
 */

static void check_cluster(struct test *t, const struct kafka_metadata_response *response)
{
	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->brokers_count, 1);
	CHECK_TEXT(t, response->brokers[0].host, test_host);
	CHECK_INT(t, response->brokers[0].port, test_port);
	CHECK(t, response->brokers[0].node_id >= 0);
	if (t->version >= 1) {
		CHECK_TEXT(t, response->brokers[0].rack, "home");
		CHECK_INT(t, response->controller_id, response->brokers[0].node_id);
	}
	if (t->version >= 2)
		CHECK_INT(t, response->cluster_id.size, 22);
	CHECK_INT(t, response->cluster_authorized_operations, INT32_MIN);
	CHECK_ERROR(t, response->error_code, KAFKA_NONE);
}

static void check_partition(struct test *t, const struct kafka_metadata_response *response,
			    const struct kafka_metadata_response_partition *partition, int index)
{
	int32_t node_id = response->brokers[0].node_id;

	CHECK_ERROR(t, partition->error_code, KAFKA_NONE);
	CHECK_INT(t, partition->partition_index, index);
	CHECK_INT(t, partition->leader_id, node_id);
	CHECK_SINCE(t, 7, partition->leader_epoch, 0, -1);
	CHECK_INT(t, partition->replica_nodes_count, 1);
	CHECK_INT(t, partition->replica_nodes[0], node_id);
	CHECK_INT(t, partition->isr_nodes_count, 1);
	CHECK_INT(t, partition->isr_nodes[0], node_id);
	CHECK_INT(t, partition->offline_replicas_count, 0);
}

static void check_topic(struct test *t, const struct kafka_metadata_response *response,
			const struct kafka_metadata_response_topic *found,
			const struct topic *topic, size_t partitions)
{
	CHECK_ERROR(t, found->error_code, KAFKA_NONE);
	CHECK_SLICE(t, found->name, topic->name);
	CHECK_UUID(t, found->topic_id, t->version >= IDS_FIRST ? topic->id : (struct uuid) { 0 });
	CHECK(t, !found->is_internal);
	CHECK_INT(t, found->topic_authorized_operations, INT32_MIN);
	CHECK_INT(t, found->partitions_count, (int64_t)partitions);
	for (size_t i = 0; i < partitions; i++)
		check_partition(t, response, &found->partitions[i], (int)i);
}

static void describes_a_topic(struct test *t)
{
	struct topic topic = topic_make(t, 3);
	const struct kafka_metadata_response *response = ask_name(t, topic.name, false);

	check_cluster(t, response);
	CHECK_INT(t, response->topics_count, 1);
	check_topic(t, response, &response->topics[0], &topic, 3);
}

static void describes_by_id(struct test *t)
{
	struct topic topic = topic_make(t, 2);
	struct kafka_metadata_request_topic asked = { .topic_id = topic.id };
	const struct kafka_metadata_response *response = ask_topics(t, &asked, 1, false);

	CHECK_INT(t, response->topics_count, 1);
	check_topic(t, response, &response->topics[0], &topic, 2);
}

static const struct kafka_metadata_response_topic *find_topic(
	const struct kafka_metadata_response *response, struct slice name)
{
	for (size_t i = 0; i < response->topics_count; i++)
		if (slice_equal(response->topics[i].name, name))
			return &response->topics[i];
	return NULL;
}

/* Null asks for all; in version 0 there is no null and an empty list does. */
static void lists_all_topics(struct test *t)
{
	struct topic first = topic_make(t, 1), second = topic_make(t, 2);
	const struct kafka_metadata_response *response = ask_topics(t, NULL, 0, false);

	check_cluster(t, response);
	CHECK(t, response->topics_count >= 2);
	CHECK(t, find_topic(response, first.name) && find_topic(response, second.name));
	check_topic(t, response, find_topic(response, first.name), &first, 1);
	check_topic(t, response, find_topic(response, second.name), &second, 2);
}

static void empty_list_is_no_topic(struct test *t)
{
	struct kafka_metadata_request_topic none;

	(void)topic_make(t, 1);
	const struct kafka_metadata_response *response = ask_topics(t, &none, 0, false);
	check_cluster(t, response);
	CHECK_INT(t, response->topics_count, 0);
}

static void creates_a_topic(struct test *t)
{
	struct slice name = test_name(t, "created");
	const struct kafka_metadata_response *response = ask_name(t, name, true);

	CHECK_INT(t, response->topics_count, 1);
	/* Kafka may say LEADER_NOT_AVAILABLE first; here the topic is there at once. */
	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_NONE);
	CHECK_SLICE(t, response->topics[0].name, name);
	CHECK(t, response->topics[0].partitions_count >= 1);
	check_partition(t, response, &response->topics[0].partitions[0], 0);
	CHECK(t, t->version < IDS_FIRST || !uuid_is_zero(response->topics[0].topic_id));
}

/* As Kafka counts operations; nothing is forbidden here. */
static void tells_what_is_allowed(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_metadata_request_topic asked = { .name = topic.name };
	const struct kafka_metadata_request request = {
		.topics = &asked,
		.topics_count = 1,
		.include_cluster_authorized_operations = true,
		.include_topic_authorized_operations = true,
	};
	const struct kafka_metadata_response *response =
		test_call(t, KAFKA_API_METADATA, t->version, &request);

	CHECK_INT(t, response->topics[0].topic_authorized_operations, 3576);
	CHECK_INT(t, response->cluster_authorized_operations,
		  t->version <= CLUSTER_OPERATIONS_LAST ? 8096 : INT32_MIN);
}

static void answers_in_the_order_asked(struct test *t)
{
	struct topic topics[] = { topic_make(t, 1), topic_make(t, 2), topic_missing(t) };
	struct kafka_metadata_request_topic asked[] = { { .name = topics[1].name },
							{ .name = topics[2].name },
							{ .name = topics[0].name } };
	bool create = t->version < CREATING_FLAG_FIRST;
	const struct kafka_metadata_response *response = ask_topics(t, asked, 3, create);

	CHECK_INT(t, response->topics_count, 3);
	for (size_t i = 0; i < 3; i++)
		CHECK_SLICE(t, response->topics[i].name, asked[i].name);
	CHECK_INT(t, response->topics[0].partitions_count, 2);
	CHECK_INT(t, response->topics[2].partitions_count, 1);
	CHECK_ERROR(t, response->topics[1].error_code,
		    create ? KAFKA_NONE : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

/* --- errors ------------------------------------------------------------------------------------
 */

static void check_error_topic(struct test *t, const struct kafka_metadata_response *response,
			      int16_t error, struct slice name)
{
	CHECK_INT(t, response->topics_count, 1);
	CHECK_ERROR(t, response->topics[0].error_code, error);
	CHECK_SLICE(t, response->topics[0].name, name);
	CHECK_INT(t, response->topics[0].partitions_count, 0);
	CHECK_INT(t, response->topics[0].topic_authorized_operations, INT32_MIN);
	check_cluster(t, response);
}

static void unknown_topic(struct test *t)
{
	struct slice name = test_name(t, "missing");

	check_error_topic(t, ask_name(t, name, false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, name);
	check_error_topic(t, ask_name(t, name, false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, name);
}

static void deleted_topic(struct test *t)
{
	struct topic topic = topic_make(t, 1);

	topic_delete(t, &topic);
	check_error_topic(t, ask_name(t, topic.name, false), KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
			  topic.name);
}

static void invalid_name(struct test *t)
{
	char long_name[251];

	memset(long_name, 'x', 250);
	long_name[250] = '\0';
	const char *bad[] = { "", ".", "..", "a b", "a/b", long_name };
	for (size_t i = 0; i < MATRIX_COUNT(bad); i++)
		check_error_topic(t, ask_name(t, slice_from(bad[i]), true),
				  KAFKA_INVALID_TOPIC_EXCEPTION, slice_from(bad[i]));
}

static void check_unknown_id(struct test *t, struct uuid id)
{
	struct kafka_metadata_request_topic asked = { .topic_id = id };
	const struct kafka_metadata_response *response = ask_topics(t, &asked, 1, false);

	CHECK_INT(t, response->topics_count, 1);
	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_UNKNOWN_TOPIC_ID);
	CHECK_UUID(t, response->topics[0].topic_id, id);
	CHECK_NULL(t, response->topics[0].name);
	CHECK_INT(t, response->topics[0].partitions_count, 0);
}

static void unknown_id(struct test *t)
{
	check_unknown_id(t, topic_missing(t).id);
}

/* The name may come back, the id must not. */
static void id_of_a_deleted_topic(struct test *t)
{
	struct topic topic = topic_make(t, 1);

	topic_delete(t, &topic);
	const struct kafka_metadata_response *response = ask_name(t, topic.name, true);
	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_NONE);
	CHECK(t, !uuid_equal(response->topics[0].topic_id, topic.id));
	check_unknown_id(t, topic.id);
}

/* Versions 10 and 11 have the field, but only 12 gives it a meaning. */
static void id_too_early(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_metadata_request_topic asked = { .topic_id = topic.id };
	const struct kafka_metadata_response *response = ask_topics(t, &asked, 1, false);

	CHECK_INT(t, response->topics_count, 1);
	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_INVALID_REQUEST);
}

/* --- faults ------------------------------------------------------------------------------------
 */

static const void *ask_about(struct test *t, const struct topic *topic)
{
	struct kafka_metadata_request *request = arena_take(&t->arena, sizeof(*request));
	struct kafka_metadata_request_topic *asked = arena_take(&t->arena, sizeof(*asked));

	*asked = (struct kafka_metadata_request_topic) { .name = topic->name };
	*request = (struct kafka_metadata_request) { .topics = asked, .topics_count = 1 };
	return request;
}

static void names_no_leader(struct test *t)
{
	static struct fault_round round = { .kind = FAULT_JOURNAL_BLOCKED, .ask = ask_about };
	const struct kafka_metadata_response *response = fault_answer(t, &round);

	CHECK_INT(t, response->brokers_count, 1); /* to be asked again */
	CHECK_INT(t, response->topics_count, 1);
	const struct kafka_metadata_response_topic *topic = &response->topics[0];
	CHECK_ERROR(t, topic->error_code, KAFKA_NONE);
	CHECK_SLICE(t, topic->name, round.topic.name);
	CHECK_INT(t, topic->partitions_count, 1);
	CHECK_ERROR(t, topic->partitions[0].error_code, KAFKA_LEADER_NOT_AVAILABLE);
	CHECK_INT(t, topic->partitions[0].leader_id, -1);
}

static const struct matrix_row rows[] = {
	/* W13 */
	{ OUTCOME_SUCCESS, 0, 13, "a topic is described with brokers, partitions and ids",
	  describes_a_topic },
	{ OUTCOME_SUCCESS, 0, 13, "all topics are listed", lists_all_topics },
	{ OUTCOME_SUCCESS, 1, 13, "an empty list asks for no topic", empty_list_is_no_topic },
	/* W19 */
	{ OUTCOME_SUCCESS, 0, 13, "a missing topic is created when the client allows it",
	  creates_a_topic },
	{ OUTCOME_SUCCESS, 0, 13, "topics come in the order in which they were asked for",
	  answers_in_the_order_asked },
	{ OUTCOME_SUCCESS, 8, 13, "what the client may do is told when it is asked for",
	  tells_what_is_allowed },
	{ OUTCOME_SUCCESS, 12, 13, "a topic is found by its id", describes_by_id },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 4, 13,
	  "an unknown topic gives UNKNOWN_TOPIC_OR_PARTITION and is not created", unknown_topic },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 4, 13,
	  "a deleted topic gives UNKNOWN_TOPIC_OR_PARTITION", deleted_topic },
	/* W19 */
	{ KAFKA_INVALID_TOPIC_EXCEPTION, 0, 13,
	  "a name that no topic can have gives INVALID_TOPIC_EXCEPTION", invalid_name },
	{ KAFKA_UNKNOWN_TOPIC_ID, 12, 13, "an unknown id gives UNKNOWN_TOPIC_ID", unknown_id },
	/* W4 */
	{ KAFKA_UNKNOWN_TOPIC_ID, 12, 13,
	  "the id of a deleted topic stays unknown when its name comes back",
	  id_of_a_deleted_topic },
	{ KAFKA_INVALID_REQUEST, 10, 11,
	  "an id, before ids could be asked for, gives INVALID_REQUEST", id_too_early },
	{ KAFKA_LEADER_NOT_AVAILABLE, 0, 13,
	  "while nothing becomes durable, partitions are LEADER_NOT_AVAILABLE", names_no_leader },
};

static const int16_t documented[] = {
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_LEADER_NOT_AVAILABLE,
	KAFKA_REPLICA_NOT_AVAILABLE,	  KAFKA_INVALID_TOPIC_EXCEPTION,
	KAFKA_TOPIC_AUTHORIZATION_FAILED, KAFKA_LISTENER_NOT_FOUND,
	KAFKA_UNKNOWN_TOPIC_ID,		  KAFKA_INVALID_REQUEST,
	KAFKA_REBOOTSTRAP_REQUIRED,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0, 3,
	  "before version 4 asking for a topic always creates it", NULL },
	{ KAFKA_REPLICA_NOT_AVAILABLE, ALL_VERSIONS, NO_REPLICAS, NULL },
	{ KAFKA_LISTENER_NOT_FOUND, ALL_VERSIONS, "an agent has one listener", NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_UNKNOWN_TOPIC_ID, 0, 11, "topics are asked for by name only", NULL },
	{ KAFKA_INVALID_REQUEST, 0, 9, "the request has no ids", NULL },
	{ KAFKA_INVALID_REQUEST, 12, 13, "when there is an id the name is not looked at", NULL },
	{ KAFKA_REBOOTSTRAP_REQUIRED, ALL_VERSIONS, "clients are never moved to another cluster",
	  NULL },
};

const struct matrix_api matrix_metadata = MATRIX_API(KAFKA_API_METADATA, 0, 13);
