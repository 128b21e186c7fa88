/* ShareGroupHeartbeat: joining a share group, going on and leaving. */
#include "kafka_messages.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/share_group.h"

enum { SHARE_EPOCH_JOIN = 0, SHARE_EPOCH_LEAVE = -1 };

/* --- is it a request? --------------------------------------------------------------------------
 */

static bool refuse(struct operation_call *call, int16_t error, const char *message)
{
	struct kafka_share_group_heartbeat_response *response = call->response;

	response->error_code = error;
	response->error_message = slice_from(message);
	return false;
}

static bool is_empty(struct slice s)
{
	return s.data && s.size == 0;
}

static const char *word_fault(const struct kafka_share_group_heartbeat_request *r)
{
	size_t bytes = 0;

	if (r->member_id.size == 0)
		return "MemberId can't be empty.";
	if (r->group_id.size == 0)
		return "GroupId can't be empty.";
	if (is_empty(r->rack_id))
		return "RackId can't be empty.";
	if (r->member_epoch == SHARE_EPOCH_JOIN && r->subscribed_topic_names_count == 0)
		return "SubscribedTopicNames must be set in first request.";
	if (r->member_epoch < SHARE_EPOCH_LEAVE)
		return "MemberEpoch is invalid.";
	if (r->member_id.size > GROUP_MEMBER_ID_BYTES_MAX || r->rack_id.size > GROUP_WORD_BYTES_MAX)
		return "A word is too long.";
	for (size_t i = 0; i < r->subscribed_topic_names_count; i++) {
		if (r->subscribed_topic_names[i].size > GROUP_WORD_BYTES_MAX)
			return "The name of a topic is too long.";
		bytes += r->subscribed_topic_names[i].size + 2;
	}
	if (bytes > GROUP_MEMBER_TOPICS_BYTES_MAX ||
	    r->subscribed_topic_names_count > SHARE_GROUP_TOPICS_MAX)
		return "There are too many topics.";
	return NULL;
}

static bool check(struct operation_call *call)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	const char *fault = word_fault(r);

	if (!operation_may(call, GRANT_READ, GRANT_GROUP, r->group_id))
		return refuse(call, KAFKA_GROUP_AUTHORIZATION_FAILED,
			      "Not allowed to read the group.");
	if (fault)
		return refuse(call, KAFKA_INVALID_REQUEST, fault);
	for (size_t i = 0; i < r->subscribed_topic_names_count; i++)
		if (!operation_may(call, GRANT_DESCRIBE, GRANT_TOPIC, r->subscribed_topic_names[i]))
			return refuse(call, KAFKA_TOPIC_AUTHORIZATION_FAILED,
				      "Not allowed to describe a topic.");
	if (!group_name_is_valid(r->group_id))
		return refuse(call, KAFKA_INVALID_GROUP_ID, "GroupId is too long.");
	return true;
}

/* --- the group ---------------------------------------------------------------------------------
 */

/* A group of another kind may be in memory and not yet in the cell. */
static bool is_of_others(const struct operation_call *call, struct slice name)
{
	const struct groups *groups = call->coordinator->groups;

	return groups && groups_find(groups, name);
}

static enum err open_group(struct cell *cell, struct operation_call *call, struct share_group *g)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	enum err err = share_group_load(call->arena, cell, r->group_id, call->now_ms, g);

	if (err == ERR_NOT_FOUND && is_of_others(call, r->group_id))
		return ERR_EXISTS;
	if (err == ERR_NOT_FOUND && r->member_epoch == SHARE_EPOCH_JOIN)
		err = share_group_create(call->arena, cell, r->group_id, call->now_ms, g);
	return err ? err : share_group_expire(cell, g, call->now_ms);
}

/* What clients are told when that failed; other errors stay. */
static enum err answer_missing(struct operation_call *call, enum err err)
{
	if (err == ERR_EXISTS)
		refuse(call, KAFKA_GROUP_ID_NOT_FOUND, "The group is not a share group.");
	else if (err == ERR_NOT_FOUND)
		refuse(call, KAFKA_GROUP_ID_NOT_FOUND, "There is no such group.");
	else if (err == ERR_FULL)
		refuse(call, KAFKA_GROUP_MAX_SIZE_REACHED, "There are too many groups.");
	else
		return err;
	return OK;
}

static enum err leave(struct cell *cell, struct operation_call *call, struct share_group *g)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	struct kafka_share_group_heartbeat_response *response = call->response;
	struct share_member *m = share_group_find(g, r->member_id);

	if (!m) {
		refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "There is no such member.");
		return OK;
	}
	enum err err = share_group_remove(cell, g, m);
	g->epoch++;
	g->topics_hash = share_group_hash_topics(g, cell);
	response->member_id = r->member_id;
	response->member_epoch = SHARE_EPOCH_LEAVE;
	return err ? err : share_group_write(cell, g, call->now_ms);
}

/* The member that goes on, or a new one; NULL: the request is answered. */
static struct share_member *find_member(struct operation_call *call, struct share_group *g)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	struct share_member *m = share_group_find(g, r->member_id);

	if (!m && r->member_epoch != SHARE_EPOCH_JOIN) {
		refuse(call, KAFKA_UNKNOWN_MEMBER_ID, "There is no such member.");
		return NULL;
	}
	if (m && r->member_epoch != SHARE_EPOCH_JOIN && r->member_epoch != m->epoch &&
	    r->member_epoch != m->previous_epoch) {
		refuse(call, KAFKA_FENCED_MEMBER_EPOCH,
		       "The member is at another epoch: it has to join again.");
		return NULL;
	}
	if (!m && g->member_count == SHARE_GROUP_MEMBERS_MAX) {
		refuse(call, KAFKA_GROUP_MAX_SIZE_REACHED, "The group is full.");
		return NULL;
	}
	if (!m) {
		m = &g->members[g->member_count++];
		*m = (struct share_member) { .member_id = r->member_id, .previous_epoch = -1 };
	}
	return m;
}

/* True: the group is another one than before. */
static bool update_member(struct operation_call *call, struct share_member *m)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	bool has_changed = m->id == 0;
	struct buf topics;

	m->client_id = slice_part(call->client_id, 0, GROUP_WORD_BYTES_MAX);
	m->client_host = slice_part(call->client_host, 0, GROUP_WORD_BYTES_MAX);
	if (r->rack_id.data)
		m->rack_id = r->rack_id;
	if (!r->subscribed_topic_names)
		return has_changed;
	buf_init(&topics);
	group_sort_words(r->subscribed_topic_names, r->subscribed_topic_names_count, &topics);
	if (!slice_equal(m->topics, buf_slice(&topics))) {
		m->topics = arena_copy(call->arena, buf_slice(&topics));
		has_changed = true;
	}
	buf_done(&topics);
	return has_changed;
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void give_assignment(struct arena *a, const struct partition_set *s,
			    struct kafka_share_group_heartbeat_response *response)
{
	struct kafka_share_group_heartbeat_response_assignment *ret = arena_take(a, sizeof(*ret));

	ret->topic_partitions = arena_take_array(a, s->count + 1, sizeof(*ret->topic_partitions));
	for (size_t at = 0, end; at < s->count; at = end) {
		struct kafka_share_group_heartbeat_response_topic *topic =
			&ret->topic_partitions[ret->topic_partitions_count++];
		end = partition_set_topic_end(s, at);
		topic->topic_id = s->items[at].topic_id;
		topic->partitions = arena_take_array(a, end - at, sizeof(*topic->partitions));
		for (size_t i = at; i < end; i++)
			topic->partitions[topic->partitions_count++] = s->items[i].partition;
	}
	response->assignment = ret;
}

/* Who is silent for the session's time is gone; a third more, so that not every heartbeat is
 * written. */
static bool renew(struct cell *cell, struct operation_call *call, struct share_member *m)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	int64_t session_ms = config_group_number(cell, r->group_id, "share.session.timeout.ms");

	if (m->deadline_ms >= call->now_ms + session_ms)
		return false;
	m->deadline_ms = call->now_ms + session_ms + session_ms / 3;
	return true;
}

static enum err stay(struct cell *cell, struct operation_call *call, struct share_group *g)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	struct kafka_share_group_heartbeat_response *response = call->response;
	struct share_member *m = find_member(call, g);
	enum err err = OK;

	if (!m)
		return OK;
	bool has_changed = update_member(call, m);
	uint64_t hash = share_group_hash_topics(g, cell);
	if (has_changed || hash != g->topics_hash) {
		g->epoch++;
		g->topics_hash = hash;
		err = share_group_write(cell, g, call->now_ms);
	}
	bool is_behind = r->member_epoch != g->epoch;
	if (m->epoch != g->epoch) {
		m->previous_epoch = m->epoch;
		m->epoch = g->epoch;
		has_changed = true;
	}
	if (!err && (renew(cell, call, m) || has_changed))
		err = share_group_write_member(cell, g, m);
	response->member_id = m->member_id;
	response->member_epoch = m->epoch;
	response->heartbeat_interval_ms =
		(int32_t)config_group_number(cell, r->group_id, "share.heartbeat.interval.ms");
	if (is_behind || r->subscribed_topic_names) {
		share_group_assign(g, cell);
		give_assignment(call->arena, &m->assigned, response);
	}
	return err;
}

static enum err heartbeat(struct cell *cell, struct operation_call *call)
{
	const struct kafka_share_group_heartbeat_request *r = call->request;
	struct share_group g = { 0 };

	if (!check(call))
		return OK;
	enum err err = open_group(cell, call, &g);
	if (err)
		return answer_missing(call, err);
	err = r->member_epoch == SHARE_EPOCH_LEAVE ? leave(cell, call, &g) : stay(cell, call, &g);
	share_group_done(&g);
	return err;
}

static void heartbeat_fail(struct operation_call *call, int16_t error)
{
	struct kafka_share_group_heartbeat_response *response = call->response;

	response->error_code = error;
}

const struct coordinator_operation share_group_heartbeat_operation = {
	.api_key = KAFKA_API_SHARE_GROUP_HEARTBEAT,
	.run = heartbeat,
	.fail = heartbeat_fail,
};
