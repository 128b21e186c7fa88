/* ConsumerGroupHeartbeat: joining, going on and leaving in the consumer protocol. */
#include "base/random.h"
#include "base/text.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/assignor.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"
#include "streams/coordinator/topic_pattern.h"

enum { CLIENT_GIVES_MEMBER_ID_VERSION_FIRST = 1 };

/* --- is it a request? --------------------------------------------------------------------------
 */

struct complaint {
	int16_t error;
	const char *message;
};

static struct complaint complain(int16_t error, const char *message)
{
	return (struct complaint) { error, message };
}

static bool is_empty(struct slice s)
{
	return s.data && s.size == 0;
}

static struct complaint check_words(const struct kafka_consumer_group_heartbeat_request *r,
				    int version)
{
	bool needs_member_id = version >= CLIENT_GIVES_MEMBER_ID_VERSION_FIRST ||
			       r->member_epoch > 0 || r->member_epoch == GROUP_EPOCH_LEAVE;

	if (r->group_id.size == 0)
		return complain(KAFKA_INVALID_REQUEST, "GroupId can't be empty.");
	if (!group_name_is_valid(r->group_id))
		return complain(KAFKA_INVALID_GROUP_ID, "GroupId is too long.");
	if (needs_member_id && r->member_id.size == 0)
		return complain(KAFKA_INVALID_REQUEST, "MemberId can't be empty.");
	if (is_empty(r->instance_id))
		return complain(KAFKA_INVALID_REQUEST, "InstanceId can't be empty.");
	if (is_empty(r->rack_id))
		return complain(KAFKA_INVALID_REQUEST, "RackId can't be empty.");
	if (r->member_id.size > GROUP_MEMBER_ID_BYTES_MAX ||
	    r->instance_id.size > GROUP_WORD_BYTES_MAX || r->rack_id.size > GROUP_WORD_BYTES_MAX)
		return complain(KAFKA_INVALID_REQUEST, "A word is too long.");
	if (r->server_assignor.data && !assignor_find(r->server_assignor))
		return complain(
			KAFKA_UNSUPPORTED_ASSIGNOR,
			"The server assignor is not supported. Supported are: " ASSIGNOR_NAMES ".");
	return complain(KAFKA_NONE, NULL);
}

static struct complaint check_epoch(const struct kafka_consumer_group_heartbeat_request *r)
{
	if (r->member_epoch < GROUP_EPOCH_LEAVE_STATIC)
		return complain(KAFKA_INVALID_REQUEST, "MemberEpoch is invalid.");
	if (r->member_epoch == GROUP_EPOCH_LEAVE_STATIC && !r->instance_id.data)
		return complain(KAFKA_INVALID_REQUEST, "InstanceId can't be null.");
	if (r->member_epoch != 0)
		return complain(KAFKA_NONE, NULL);
	if (r->rebalance_timeout_ms < 0)
		return complain(KAFKA_INVALID_REQUEST,
				"RebalanceTimeoutMs must be provided in first request.");
	if (!r->topic_partitions || r->topic_partitions_count > 0)
		return complain(KAFKA_INVALID_REQUEST,
				"TopicPartitions must be empty when (re-)joining.");
	if (!r->subscribed_topic_names && !r->subscribed_topic_regex.data)
		return complain(KAFKA_INVALID_REQUEST,
				"Either SubscribedTopicNames or SubscribedTopicRegex must be"
				" non-null when (re-)joining.");
	return complain(KAFKA_NONE, NULL);
}

static struct complaint check_topics(const struct kafka_consumer_group_heartbeat_request *r)
{
	struct slice expression = r->subscribed_topic_regex;
	struct topic_pattern *pattern;
	size_t bytes = 0, partitions = 0;

	for (size_t i = 0; i < r->subscribed_topic_names_count; i++) {
		if (r->subscribed_topic_names[i].size > GROUP_WORD_BYTES_MAX)
			return complain(KAFKA_INVALID_REQUEST, "The name of a topic is too long.");
		bytes += r->subscribed_topic_names[i].size + 2;
	}
	for (size_t i = 0; i < r->topic_partitions_count; i++)
		partitions += r->topic_partitions[i].partitions_count;
	if (bytes + expression.size > GROUP_MEMBER_TOPICS_BYTES_MAX ||
	    partitions > GROUP_PLACES_BYTES_MAX)
		return complain(KAFKA_INVALID_REQUEST, "There are too many topics.");
	if (expression.size > 0) {
		if (topic_pattern_new(expression, &pattern))
			return complain(KAFKA_INVALID_REGULAR_EXPRESSION,
					"SubscribedTopicRegex is not a valid expression.");
		topic_pattern_free(pattern);
	}
	return complain(KAFKA_NONE, NULL);
}

static struct complaint check_access(const struct group_call *call)
{
	const struct kafka_consumer_group_heartbeat_request *r = call->request;

	if (!group_call_may(call, GRANT_READ, GRANT_GROUP, r->group_id))
		return complain(KAFKA_GROUP_AUTHORIZATION_FAILED, "Not allowed to read the group.");
	for (size_t i = 0; i < r->subscribed_topic_names_count; i++)
		if (!group_call_may(call, GRANT_DESCRIBE, GRANT_TOPIC,
				    r->subscribed_topic_names[i]))
			return complain(KAFKA_TOPIC_AUTHORIZATION_FAILED,
					"Not allowed to describe a topic.");
	return complain(KAFKA_NONE, NULL);
}

static struct complaint check(const struct group_call *call)
{
	struct complaint it = check_access(call);

	if (!it.error)
		it = check_words(call->request, call->kafka->version);
	if (!it.error)
		it = check_epoch(call->request);
	return it.error ? it : check_topics(call->request);
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void answer_error(struct group_call *call, struct complaint it)
{
	struct kafka_consumer_group_heartbeat_response *response = call->response;

	response->error_code = it.error;
	if (it.message)
		response->error_message = slice_from(it.message);
	group_call_answer(call);
}

static struct kafka_consumer_group_heartbeat_response_assignment *give_assignment(
	struct arena *a, const struct partition_set *s)
{
	struct kafka_consumer_group_heartbeat_response_assignment *ret =
		arena_take(a, sizeof(*ret));

	ret->topic_partitions = arena_take_array(a, s->count, sizeof(*ret->topic_partitions));
	for (size_t at = 0, end; at < s->count; at = end) {
		struct kafka_consumer_group_heartbeat_response_topic *topic =
			&ret->topic_partitions[ret->topic_partitions_count++];
		end = partition_set_topic_end(s, at);
		topic->topic_id = s->items[at].topic_id;
		topic->partitions = arena_take_array(a, end - at, sizeof(*topic->partitions));
		for (size_t i = at; i < end; i++)
			topic->partitions[topic->partitions_count++] = s->items[i].partition;
	}
	return ret;
}

/* --- a step of the group -----------------------------------------------------------------------
 */

static void fill_owned(const struct kafka_consumer_group_heartbeat_request *r,
		       struct partition_set *ret)
{
	for (size_t i = 0; i < r->topic_partitions_count; i++)
		for (size_t k = 0; k < r->topic_partitions[i].partitions_count; k++)
			partition_set_add(ret, &(struct topic_partition) {
						       r->topic_partitions[i].topic_id,
						       r->topic_partitions[i].partitions[k] });
	partition_set_sort(ret);
}

static struct slice member_id_of(struct group_call *call)
{
	const struct kafka_consumer_group_heartbeat_request *r = call->request;
	char uuid[GROUP_UUID_TEXT_BYTES + 1];

	if (r->member_id.size > 0)
		return r->member_id;
	group_uuid_write(uuid);
	return slice_from(arena_format(call->kafka->arena, "%s", uuid));
}

static int32_t setting(const struct group_call *call, const char *name)
{
	const struct kafka_consumer_group_heartbeat_request *r = call->request;
	struct cell *cell = leader_cell(call->kafka->coordinator->config.leader);

	return cell ? (int32_t)config_group_number(cell, r->group_id, name) : 0;
}

static void step(struct group_call *call, struct group_entry *entry)
{
	const struct kafka_consumer_group_heartbeat_request *r = call->request;
	struct kafka_consumer_group_heartbeat_response *response = call->response;
	struct kafka_call *kafka = call->kafka;
	struct partition_set owned = { 0 };
	struct buf topics;

	buf_init(&topics);
	group_sort_words(r->subscribed_topic_names, r->subscribed_topic_names_count, &topics);
	fill_owned(r, &owned);
	struct group_beat beat = {
		.client_id = slice_part(kafka->client_id, 0, GROUP_WORD_BYTES_MAX),
		.client_host = slice_part(kafka->client_host, 0, GROUP_WORD_BYTES_MAX),
		.rack_id = r->rack_id,
		.pattern = r->subscribed_topic_regex,
		.assignor = r->server_assignor,
		.session_timeout_ms = setting(call, "consumer.session.timeout.ms"),
		.rebalance_timeout_ms = r->rebalance_timeout_ms,
		.owned = r->topic_partitions ? &owned : NULL,
		.is_full = r->rebalance_timeout_ms >= 0 && r->topic_partitions &&
			   (r->subscribed_topic_names || r->subscribed_topic_regex.data),
	};
	if (r->subscribed_topic_names)
		beat.topics = topics.size ? buf_slice(&topics) : SLICE("");
	struct group_event event = {
		.kind = GROUP_BEAT,
		.member_id = member_id_of(call),
		.instance_id = r->instance_id,
		.generation = r->member_epoch,
		.beat = &beat,
	};
	groups_step(kafka->coordinator->groups, entry, &event, call);
	if (event.error) {
		answer_error(call, complain(event.error, beat.message));
	} else {
		response->member_id = event.member_id;
		response->member_epoch = beat.member_epoch;
		response->heartbeat_interval_ms = setting(call, "consumer.heartbeat.interval.ms");
		if (beat.has_assignment)
			response->assignment = give_assignment(kafka->arena, &beat.assignment);
		group_call_answer(call);
	}
	partition_set_done(&beat.assignment);
	partition_set_done(&owned);
	buf_done(&topics);
}

/* A group that is not in memory has no members. */
static struct complaint miss(struct group_call *call, struct slice name)
{
	struct cell *cell = leader_cell(call->kafka->coordinator->config.leader);
	struct group_row row;

	if (cell && group_row_find(call->kafka->arena, cell, name, &row) == OK &&
	    row.type == GROUP_CONSUMER)
		return complain(KAFKA_UNKNOWN_MEMBER_ID, "There is no such member.");
	return complain(KAFKA_GROUP_ID_NOT_FOUND, "There is no such consumer group.");
}

static void feed_beat(struct group_call *call)
{
	const struct kafka_consumer_group_heartbeat_request *r = call->request;
	struct groups *groups = call->kafka->coordinator->groups;
	struct group_entry *entry = groups_find(groups, r->group_id);
	struct complaint it = check(call);

	if (!it.error && !entry && (r->member_epoch != 0 || groups_is_share(groups, r->group_id)))
		it = miss(call, r->group_id);
	else if (!it.error && !entry && !(entry = groups_create(groups, r->group_id)))
		it = complain(KAFKA_GROUP_MAX_SIZE_REACHED, "There are too many groups.");
	if (it.error)
		answer_error(call, it);
	else
		step(call, entry);
}

const struct group_api consumer_group_heartbeat_api = {
	.key = KAFKA_API_CONSUMER_GROUP_HEARTBEAT,
	.feed = feed_beat,
};
