/* DeleteTopics, by name, or from version 6 by id. */
#include "kafka_messages.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/topic.h"
#include "wire/kafka/errors.h"

/* The version from which on clients know THROTTLING_QUOTA_EXCEEDED. */
enum { QUOTA_ERROR_FIRST = 5 };

/* The versions name their topics in two ways; here is the one list. */
static size_t topic_total(const struct kafka_delete_topics_request *request)
{
	return request->topics_count + request->topic_names_count;
}

static void begin_result(const struct kafka_delete_topics_request *request, size_t i,
			 struct kafka_delete_topics_response_topic *ret)
{
	*ret = (struct kafka_delete_topics_response_topic) { 0 };
	if (i < request->topics_count) {
		ret->name = request->topics[i].name;
		ret->topic_id = request->topics[i].topic_id;
	} else {
		ret->name = request->topic_names[i - request->topics_count];
	}
}

static bool is_repeated(const struct kafka_delete_topics_request *request, size_t i)
{
	for (size_t k = 0; k < request->topics_count; k++) {
		const struct kafka_delete_topics_request_topic *a = &request->topics[k];
		const struct kafka_delete_topics_request_topic *b = &request->topics[i];
		if (k != i && i < request->topics_count && slice_equal(a->name, b->name) &&
		    uuid_equal(a->topic_id, b->topic_id))
			return true;
	}
	for (size_t k = 0; k < request->topic_names_count; k++)
		if (k != i && i < request->topic_names_count &&
		    slice_equal(request->topic_names[k], request->topic_names[i]))
			return true;
	return false;
}

static int16_t refuse(struct kafka_delete_topics_response_topic *result, int16_t error,
		      const char *message)
{
	result->error_message = slice_from(message);
	return error;
}

static int16_t find_topic(struct cell *cell, struct operation_call *call,
			  struct kafka_delete_topics_response_topic *result,
			  struct catalog_topic *ret)
{
	bool by_id = !uuid_is_zero(result->topic_id);
	enum err err;

	if (by_id == (result->name.data != NULL))
		return refuse(result, KAFKA_INVALID_REQUEST,
			      "a topic has either a name or an id here");
	if (!by_id && !operation_may(call, GRANT_DELETE, GRANT_TOPIC, result->name))
		return refuse(result, KAFKA_TOPIC_AUTHORIZATION_FAILED, "it needs DELETE");
	if (by_id)
		err = catalog_topic_by_id(call->arena, cell, &result->topic_id, ret);
	else
		err = catalog_topic_by_name(call->arena, cell, result->name, ret);
	if (err)
		return refuse(result,
			      by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
			      "there is no such topic");
	if (by_id && !operation_may(call, GRANT_DELETE, GRANT_TOPIC, ret->name))
		return refuse(result, KAFKA_TOPIC_AUTHORIZATION_FAILED, "it needs DELETE");
	result->name = ret->name;
	result->topic_id = ret->topic_id;
	return KAFKA_NONE;
}

static enum err delete_topics(struct cell *cell, struct operation_call *call)
{
	const struct kafka_delete_topics_request *request = call->request;
	struct kafka_delete_topics_response *response = call->response;
	size_t count = topic_total(request);
	enum err err = OK;

	if (count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	response->responses_count = count;
	response->responses = arena_take_array(call->arena, count, sizeof(*response->responses));
	for (size_t i = 0; i < count && !err; i++) {
		struct kafka_delete_topics_response_topic *result = &response->responses[i];
		struct catalog_topic topic;
		begin_result(request, i, result);
		if (is_repeated(request, i)) {
			result->error_code = refuse(result, KAFKA_INVALID_REQUEST,
						    "the request names this topic twice");
			continue;
		}
		result->error_code = find_topic(cell, call, result, &topic);
		if (!result->error_code)
			result->error_code = operation_mutate(cell, call, QUOTA_ERROR_FIRST,
							      topic.partition_count);
		if (!result->error_code)
			err = topic_mark_deleted(cell, topic.id, call->caller.principal,
						 call->now_ms, expiry_is_full(call->coordinator));
	}
	response->throttle_time_ms = (int32_t)call->throttle_ms;
	return err;
}

static void delete_topics_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_delete_topics_request *request = call->request;
	struct kafka_delete_topics_response *response = call->response;

	response->responses_count = topic_total(request);
	response->responses = arena_take_array(call->arena, response->responses_count,
					       sizeof(*response->responses));
	for (size_t i = 0; i < response->responses_count; i++) {
		begin_result(request, i, &response->responses[i]);
		response->responses[i].error_code = error;
	}
}

const struct coordinator_operation delete_topics_operation = {
	.api_key = 20,
	.changes_topics = true,
	.is_controllers = true,
	.run = delete_topics,
	.fail = delete_topics_fail,
};
