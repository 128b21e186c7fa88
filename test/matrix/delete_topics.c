/* DeleteTopics. */
#include "fixture.h"
#include "matrix.h"

enum { IDS_FIRST = 6, MESSAGE_FIRST = 5, METADATA_VERSION = 13 };

/* The versions name topics in two ways; the encoder takes the one it needs. */
static const struct kafka_delete_topics_response *delete_topics(
	struct test *t, struct kafka_delete_topics_request_topic *topics, size_t count)
{
	struct slice names[8];

	for (size_t i = 0; i < count; i++)
		names[i] = topics[i].name;
	const struct kafka_delete_topics_request request = {
		.topics = topics,
		.topics_count = count,
		.topic_names = names,
		.topic_names_count = count,
		.timeout_ms = TEST_PATIENCE_MS,
	};
	const struct kafka_delete_topics_response *response =
		test_call(t, KAFKA_API_DELETE_TOPICS, t->version, &request);
	CHECK_INT(t, response->throttle_time_ms, 0);
	return response;
}

static void check_gone(struct test *t, struct slice name)
{
	struct kafka_metadata_request_topic asked = { .name = name };
	const struct kafka_metadata_request request = { .topics = &asked, .topics_count = 1 };
	const struct kafka_metadata_response *response =
		test_call(t, KAFKA_API_METADATA, METADATA_VERSION, &request);

	CHECK_ERROR(t, response->topics[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void check_deleted(struct test *t, const struct kafka_delete_topics_response *response,
			  const struct topic *topic)
{
	for (size_t i = 0; i < response->responses_count; i++) {
		const struct kafka_delete_topics_response_topic *one = &response->responses[i];
		if (!slice_equal(one->name, topic->name))
			continue;
		CHECK_ERROR(t, one->error_code, KAFKA_NONE);
		CHECK_NULL(t, one->error_message);
		if (t->version >= IDS_FIRST)
			CHECK_UUID(t, one->topic_id, topic->id);
		check_gone(t, topic->name);
		return;
	}
	FAIL(t, "the answer does not name the topic");
}

static void deletes_by_name(struct test *t)
{
	struct topic first = topic_make(t, 1), second = topic_make(t, 3);
	struct kafka_delete_topics_request_topic asked[] = { { .name = first.name },
							     { .name = second.name } };
	const struct kafka_delete_topics_response *response = delete_topics(t, asked, 2);

	CHECK_INT(t, response->responses_count, 2);
	check_deleted(t, response, &first);
	check_deleted(t, response, &second);
}

static void deletes_by_id(struct test *t)
{
	struct topic topic = topic_make(t, 2);
	struct kafka_delete_topics_request_topic asked = { .topic_id = topic.id };

	check_deleted(t, delete_topics(t, &asked, 1), &topic);
}

static void name_is_free_again(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_delete_topics_request_topic asked = { .name = topic.name };
	struct kafka_create_topics_request_topic again = { topic.name, 4, 1, NULL, 0, NULL, 0 };
	const struct kafka_create_topics_request request = { .topics = &again, .topics_count = 1 };

	(void)topic_append(t, &topic, 0, batch_make(t, 3));
	check_deleted(t, delete_topics(t, &asked, 1), &topic);
	const struct kafka_create_topics_response *created =
		test_call(t, KAFKA_API_CREATE_TOPICS, 7, &request);
	CHECK_ERROR(t, created->topics[0].error_code, KAFKA_NONE);
	CHECK(t, !uuid_equal(created->topics[0].topic_id, topic.id));
	struct topic fresh = { topic.name, created->topics[0].topic_id };
	CHECK_INT(t, topic_append(t, &fresh, 0, batch_make(t, 1)), 0);
}

static void check_one_error(struct test *t, struct kafka_delete_topics_request_topic *asked,
			    int16_t error)
{
	const struct kafka_delete_topics_response *response = delete_topics(t, asked, 1);

	CHECK_INT(t, response->responses_count, 1);
	CHECK_ERROR(t, response->responses[0].error_code, error);
	CHECK(t, t->version < MESSAGE_FIRST || response->responses[0].error_message.size > 0);
	if (asked->name.data)
		CHECK_SLICE(t, response->responses[0].name, asked->name);
	else
		CHECK_NULL(t, response->responses[0].name);
	CHECK_UUID(t, response->responses[0].topic_id, asked->topic_id);
}

static void unknown_name(struct test *t)
{
	struct kafka_delete_topics_request_topic asked = { .name = topic_missing(t).name };

	check_one_error(t, &asked, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void unknown_id(struct test *t)
{
	struct kafka_delete_topics_request_topic asked = { .topic_id = topic_missing(t).id };

	check_one_error(t, &asked, KAFKA_UNKNOWN_TOPIC_ID);
}

static void name_and_id(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_delete_topics_request_topic both = { topic.name, topic.id }, none = { 0 };

	check_one_error(t, &both, KAFKA_INVALID_REQUEST);
	check_one_error(t, &none, KAFKA_INVALID_REQUEST);
	CHECK_INT(t, topic_append(t, &topic, 0, batch_make(t, 1)), 0);
}

static void named_twice(struct test *t)
{
	struct topic topic = topic_make(t, 1);
	struct kafka_delete_topics_request_topic asked[] = { { .name = topic.name },
							     { .name = topic.name } };
	const struct kafka_delete_topics_response *response = delete_topics(t, asked, 2);

	CHECK(t, response->responses_count >= 1);
	for (size_t i = 0; i < response->responses_count; i++)
		CHECK_ERROR(t, response->responses[i].error_code, KAFKA_INVALID_REQUEST);
	CHECK_INT(t, topic_append(t, &topic, 0, batch_make(t, 1)), 0);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 6, "topics are deleted by name, and Metadata has forgotten them",
	  deletes_by_name },
	{ OUTCOME_SUCCESS, 0, 6, "the name is free again, with another id and no records",
	  name_is_free_again },
	{ OUTCOME_SUCCESS, 6, 6, "a topic is deleted by id", deletes_by_id },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0, 6,
	  "an unknown name gives UNKNOWN_TOPIC_OR_PARTITION", unknown_name },
	{ KAFKA_UNKNOWN_TOPIC_ID, 6, 6, "an unknown id gives UNKNOWN_TOPIC_ID", unknown_id },
	{ KAFKA_INVALID_REQUEST, 0, 6, "a topic that is named twice gives INVALID_REQUEST",
	  named_twice },
	{ KAFKA_INVALID_REQUEST, 6, 6, "both name and id, or neither, give INVALID_REQUEST",
	  name_and_id },
};

static const int16_t documented[] = {
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_REQUEST_TIMED_OUT, KAFKA_INVALID_TOPIC_EXCEPTION,
	KAFKA_TOPIC_AUTHORIZATION_FAILED, KAFKA_NOT_CONTROLLER,	   KAFKA_INVALID_REQUEST,
	KAFKA_TOPIC_DELETION_DISABLED,	  KAFKA_UNKNOWN_TOPIC_ID,  KAFKA_UNSUPPORTED_VERSION,
	KAFKA_THROTTLING_QUOTA_EXCEEDED,
};

static const struct matrix_absent absent[] = {
	{ KAFKA_REQUEST_TIMED_OUT, ALL_VERSIONS, OUTCOME_LOST },
	{ KAFKA_INVALID_TOPIC_EXCEPTION, ALL_VERSIONS,
	  "a name that no topic can have is an unknown one", NULL },
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_NOT_CONTROLLER, ALL_VERSIONS, NOT_LED },
	{ KAFKA_TOPIC_DELETION_DISABLED, ALL_VERSIONS, "deleting cannot be switched off", NULL },
	{ KAFKA_UNKNOWN_TOPIC_ID, 0, 5, "the request has no ids", NULL },
	{ KAFKA_UNSUPPORTED_VERSION, ALL_VERSIONS, "every topic has an id", NULL },
	{ KAFKA_THROTTLING_QUOTA_EXCEEDED, 0, 4, QUOTA_UNKNOWN },
	{ KAFKA_THROTTLING_QUOTA_EXCEEDED, 5, 7, QUOTA_USED },
};

const struct matrix_api matrix_delete_topics = MATRIX_API(KAFKA_API_DELETE_TOPICS, 0, 6);
