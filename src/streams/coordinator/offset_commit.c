/* OffsetCommit: one transaction that asks the group whether this member may commit, and stores the
 * offsets of those partitions that exist. */
#include "streams/catalog/catalog.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"

enum { MEMBER_EPOCH_VERSION_FIRST = 9 };

struct commit {
	struct cell *cell;
	struct group_call *call;
	const struct kafka_offset_commit_request *request;
	int64_t now_ms;
	int64_t group; /* row; 0: not looked up yet */
	int16_t group_error;
	bool is_checked;
};

static void offset_commit_name(struct group_call *call)
{
	const struct kafka_offset_commit_request *request = call->request;

	call->names = &request->group_id;
	call->name_count = 1;
}

/* --- may it? -----------------------------------------------------------------------------------
 */

static int16_t ask_group(struct commit *c, struct group_entry *entry)
{
	struct group_event event = {
		.kind = GROUP_COMMIT,
		.member_id = c->request->member_id,
		.instance_id = c->request->group_instance_id,
		.generation = c->request->generation_id_or_member_epoch,
		.commit = { .is_old = c->call->kafka->version < MEMBER_EPOCH_VERSION_FIRST },
	};

	groups_step(c->call->kafka->coordinator->groups, entry, &event, NULL);
	return event.error;
}

/* A group without members: only those may commit that are none. */
static int16_t ask_empty_group(const struct commit *c, bool exists)
{
	if (c->request->generation_id_or_member_epoch < 0)
		return KAFKA_NONE;
	if (exists)
		return KAFKA_UNKNOWN_MEMBER_ID;
	return c->call->kafka->version >= 9 ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_ILLEGAL_GENERATION;
}

/* Once per request, and only if there is something to commit. */
static enum err check_group(struct commit *c)
{
	struct slice name = c->request->group_id;
	struct group_entry *entry = groups_find(c->call->kafka->coordinator->groups, name);
	struct group_row row;

	if (c->is_checked)
		return OK;
	c->is_checked = true;
	if (!group_name_is_valid(name)) {
		c->group_error = KAFKA_INVALID_GROUP_ID;
		return OK;
	}
	enum err err = group_row_find(c->call->kafka->arena, c->cell, name, &row);
	if (err && err != ERR_NOT_FOUND)
		return err;
	if (!err && row.type == GROUP_SHARE) {
		c->group_error = KAFKA_GROUP_ID_NOT_FOUND;
		return OK;
	}
	c->group_error = entry ? ask_group(c, entry) : ask_empty_group(c, err == OK);
	if (c->group_error)
		return OK;
	if (err == OK)
		c->group = row.id;
	else
		err = group_row_insert(c->cell, name, c->now_ms, &c->group);
	if (err == ERR_FULL) {
		c->group_error = KAFKA_GROUP_MAX_SIZE_REACHED;
		return OK;
	}
	return err;
}

/* --- the offsets -------------------------------------------------------------------------------
 */

static enum err store_offset(struct commit *c, int64_t topic,
			     const struct kafka_offset_commit_request_partition *p)
{
	struct group_offset offset = {
		.topic = topic,
		.partition = p->partition_index,
		.committed_offset = p->committed_offset,
		.leader_epoch = p->committed_leader_epoch,
		.metadata = p->committed_metadata,
		.commit_ms = c->now_ms,
	};

	return group_row_write_offset(c->cell, c->group, &offset);
}

static enum err commit_partition(struct commit *c, const struct catalog_topic *topic,
				 const struct kafka_offset_commit_request_partition *p,
				 int16_t *ret_error)
{
	if (p->partition_index < 0 || p->partition_index >= topic->partition_count) {
		*ret_error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
		return OK;
	}
	enum err err = check_group(c);
	*ret_error = c->group_error;
	if (err || c->group_error)
		return err;
	if (p->committed_metadata.size > OFFSET_METADATA_BYTES_MAX) {
		*ret_error = KAFKA_OFFSET_METADATA_TOO_LARGE;
		return OK;
	}
	return store_offset(c, topic->id, p);
}

static void begin_topic(struct arena *a, const struct kafka_offset_commit_request_topic *topic,
			struct kafka_offset_commit_response_topic *ret, int16_t error)
{
	*ret = (struct kafka_offset_commit_response_topic) {
		.name = topic->name,
		.topic_id = topic->topic_id,
		.partitions_count = topic->partitions_count,
		.partitions =
			arena_take_array(a, topic->partitions_count, sizeof(*ret->partitions)),
	};
	for (size_t i = 0; i < topic->partitions_count; i++)
		ret->partitions[i] = (struct kafka_offset_commit_response_partition) {
			.partition_index = topic->partitions[i].partition_index,
			.error_code = error,
		};
}

static int16_t denial(const struct group_call *call, struct slice group, struct slice topic)
{
	if (!group_call_may(call, GRANT_READ, GRANT_GROUP, group))
		return KAFKA_GROUP_AUTHORIZATION_FAILED;
	if (!group_call_may(call, GRANT_READ, GRANT_TOPIC, topic))
		return KAFKA_TOPIC_AUTHORIZATION_FAILED;
	return KAFKA_NONE;
}

static enum err commit_topic(struct commit *c,
			     const struct kafka_offset_commit_request_topic *topic,
			     struct kafka_offset_commit_response_topic *ret)
{
	struct arena *a = c->call->kafka->arena;
	bool by_id = c->call->kafka->version >= 10;
	struct catalog_topic found;
	enum err err = by_id ? catalog_topic_by_id(a, c->cell, &topic->topic_id, &found)
			     : catalog_topic_by_name(a, c->cell, topic->name, &found);

	int16_t denied = denial(c->call, c->request->group_id, err ? topic->name : found.name);
	if (denied && !(by_id && err)) {
		begin_topic(a, topic, ret, denied);
		return OK;
	}
	begin_topic(a, topic, ret,
		    by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	for (size_t i = 0; i < topic->partitions_count && !err; i++)
		err = commit_partition(c, &found, &topic->partitions[i],
				       &ret->partitions[i].error_code);
	return err;
}

/* --- the operation -----------------------------------------------------------------------------
 */

static struct kafka_offset_commit_response *begin_response(struct group_call *call)
{
	const struct kafka_offset_commit_request *request = call->request;
	struct kafka_offset_commit_response *response = call->response;

	response->topics_count = request->topics_count;
	response->topics = arena_take_array(call->kafka->arena, request->topics_count,
					    sizeof(*response->topics));
	return response;
}

static enum err offset_commit(struct cell *cell, struct group_call *call)
{
	struct kafka_offset_commit_response *response = begin_response(call);
	struct commit c = {
		.cell = cell,
		.call = call,
		.request = call->request,
		.now_ms = (int64_t)leader_now_ms(call->kafka->coordinator->config.leader),
	};
	enum err err = OK;

	for (size_t i = 0; i < c.request->topics_count && !err; i++)
		err = commit_topic(&c, &c.request->topics[i], &response->topics[i]);
	return err;
}

static void offset_commit_fail(struct group_call *call, int16_t error)
{
	const struct kafka_offset_commit_request *request = call->request;
	struct kafka_offset_commit_response *response = begin_response(call);

	for (size_t i = 0; i < request->topics_count; i++)
		begin_topic(call->kafka->arena, &request->topics[i], &response->topics[i], error);
}

const struct group_api offset_commit_api = {
	.key = KAFKA_API_OFFSET_COMMIT,
	.name = offset_commit_name,
	.run = offset_commit,
	.is_neutral = true,
	.fail = offset_commit_fail,
};
