/* OffsetFetch: the committed offsets of groups.  Up to version 7 a request is about one group; it
 * is turned into the later form, which knows several, and the answer back. */
#include "streams/catalog/catalog.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"
#include "streams/coordinator/transaction.h"

enum {
	ONE_GROUP_VERSION_LAST = 7,
	MEMBER_EPOCH_VERSION_FIRST = 9,
	TOPIC_ID_VERSION_FIRST = 10,
};

/* --- offsets -----------------------------------------------------------------------------------
 */

static void read_offset(struct arena *a, sqlite3_stmt *st,
			struct kafka_offset_fetch_response_group_partition *ret)
{
	ret->partition_index = sqlite3_column_int(st, 0);
	ret->committed_offset = sqlite3_column_int64(st, 1);
	ret->committed_leader_epoch = sqlite3_column_int(st, 2);
	ret->metadata = arena_copy(a, cell_column_text(st, 3));
}

#define OFFSET_COLUMNS                                                                             \
	"SELECT partition, committed_offset, leader_epoch, metadata FROM group_offset"             \
	" WHERE consumer_group = ?1 AND topic = ?2 "

static void fetch_partition(struct arena *a, struct cell *cell, int64_t group, int64_t topic,
			    struct kafka_offset_fetch_response_group_partition *ret)
{
	sqlite3_stmt *st = cell_statement(cell, OFFSET_COLUMNS "AND partition = ?3");

	cell_bind_int(st, 1, group);
	cell_bind_int(st, 2, topic);
	cell_bind_int(st, 3, ret->partition_index);
	if (cell_next(cell, st))
		read_offset(a, st, ret);
	sqlite3_reset(st);
}

/* A transaction that has not ended may be about to replace what is committed here. */
static void mark_unstable(struct group_call *call, struct cell *cell, struct slice group,
			  int64_t topic, struct kafka_offset_fetch_response_group_partition *ret)
{
	const struct kafka_offset_fetch_request *request = call->request;

	if (!request->require_stable ||
	    !transaction_has_offset(cell, group, topic, ret->partition_index))
		return;
	ret->committed_offset = -1;
	ret->committed_leader_epoch = -1;
	ret->metadata = SLICE("");
	ret->error_code = KAFKA_UNSTABLE_OFFSET_COMMIT;
}

/* Every partition asked for, with the offset "none". */
static void begin_topic(struct arena *a, const struct kafka_offset_fetch_request_group_topic *topic,
			struct kafka_offset_fetch_response_group_topic *ret, int16_t error)
{
	size_t count = topic->partition_indexes_count;

	*ret = (struct kafka_offset_fetch_response_group_topic) {
		.name = topic->name,
		.topic_id = topic->topic_id,
		.partitions_count = count,
		.partitions = arena_take_array(a, count, sizeof(*ret->partitions)),
	};
	for (size_t i = 0; i < count; i++)
		ret->partitions[i] = (struct kafka_offset_fetch_response_group_partition) {
			.partition_index = topic->partition_indexes[i],
			.committed_offset = -1,
			.committed_leader_epoch = -1,
			.metadata = SLICE(""),
			.error_code = error,
		};
}

static enum err fetch_topic(struct group_call *call, struct cell *cell,
			    const struct group_row *group,
			    const struct kafka_offset_fetch_request_group_topic *topic,
			    struct kafka_offset_fetch_response_group_topic *ret)
{
	struct arena *a = call->kafka->arena;
	bool by_id = call->kafka->version >= TOPIC_ID_VERSION_FIRST;
	struct catalog_topic found;

	if (topic->partition_indexes_count > CATALOG_PARTITIONS_MAX)
		return ERR_INVALID;
	enum err err = by_id ? catalog_topic_by_id(a, cell, &topic->topic_id, &found)
			     : catalog_topic_by_name(a, cell, topic->name, &found);
	bool is_unknown = err == ERR_NOT_FOUND;

	if (!(is_unknown && by_id) && !group_call_may(call, GRANT_DESCRIBE, GRANT_TOPIC,
						      is_unknown ? topic->name : found.name)) {
		begin_topic(a, topic, ret, KAFKA_TOPIC_AUTHORIZATION_FAILED);
		return OK;
	}
	begin_topic(a, topic, ret, is_unknown && by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_NONE);
	if (err)
		return is_unknown ? OK : err;
	for (size_t i = 0; i < ret->partitions_count; i++) {
		fetch_partition(a, cell, group->id, found.id, &ret->partitions[i]);
		mark_unstable(call, cell, group->name, found.id, &ret->partitions[i]);
		if (group_call_is_too_large(call))
			return ERR_INVALID;
	}
	return OK;
}

/* --- all topics of a group ---------------------------------------------------------------------
 */

static size_t count_offsets(struct cell *cell, int64_t group, int64_t topic)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT count(*) FROM group_offset"
						" WHERE consumer_group = ?1 AND topic = ?2");

	cell_bind_int(st, 1, group);
	cell_bind_int(st, 2, topic);
	size_t count = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return count;
}

static enum err fetch_all_of_topic(struct group_call *call, struct cell *cell,
				   const struct group_row *group, int64_t topic,
				   struct kafka_offset_fetch_response_group_topic *ret)
{
	struct arena *a = call->kafka->arena;
	size_t count = count_offsets(cell, group->id, topic);
	sqlite3_stmt *st = cell_statement(cell, OFFSET_COLUMNS "ORDER BY partition");

	ret->partitions = arena_take_array(a, count, sizeof(*ret->partitions));
	cell_bind_int(st, 1, group->id);
	cell_bind_int(st, 2, topic);
	while (ret->partitions_count < count && !group_call_is_too_large(call) &&
	       cell_next(cell, st))
		read_offset(a, st, &ret->partitions[ret->partitions_count++]);
	sqlite3_reset(st);
	for (size_t i = 0; i < ret->partitions_count; i++)
		mark_unstable(call, cell, group->name, topic, &ret->partitions[i]);
	return group_call_is_too_large(call) ? ERR_INVALID : OK;
}

static size_t count_topics(struct cell *cell, int64_t group)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT count(DISTINCT topic) FROM group_offset WHERE consumer_group = ?1");

	cell_bind_int(st, 1, group);
	size_t count = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return count;
}

static enum err fetch_all(struct group_call *call, struct cell *cell, const struct group_row *group,
			  struct kafka_offset_fetch_response_group *ret)
{
	struct arena *a = call->kafka->arena;
	size_t count = count_topics(cell, group->id), kept = 0;
	int64_t *topics = arena_take_array(a, count, sizeof(*topics));
	sqlite3_stmt *st = cell_statement(cell, "SELECT DISTINCT topic FROM group_offset"
						" WHERE consumer_group = ?1 ORDER BY topic");

	cell_bind_int(st, 1, group->id);
	while (kept < count && cell_next(cell, st))
		topics[kept++] = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);

	ret->topics = arena_take_array(a, count, sizeof(*ret->topics));
	for (size_t i = 0; i < kept; i++) {
		struct catalog_topic topic;
		enum err err = catalog_topic_by_row(a, cell, topics[i], &topic);
		if (err == ERR_NOT_FOUND) /* being deleted */
			continue;
		if (err)
			return err;
		if (!group_call_sees(call, GRANT_DESCRIBE, GRANT_TOPIC, topic.name))
			continue;
		struct kafka_offset_fetch_response_group_topic *next =
			&ret->topics[ret->topics_count++];
		next->name = topic.name;
		next->topic_id = topic.topic_id;
		err = fetch_all_of_topic(call, cell, group, topic.id, next);
		if (err)
			return err;
	}
	return OK;
}

/* --- groups ------------------------------------------------------------------------------------
 */

/* Since version 9 a member may say who it is, and then it must be. */
static int16_t check_member(const struct group_call *call, const struct group_row *row,
			    const struct kafka_offset_fetch_request_group *group)
{
	struct group_entry *entry = groups_find(call->kafka->coordinator->groups, group->group_id);

	if (call->kafka->version < MEMBER_EPOCH_VERSION_FIRST)
		return KAFKA_NONE;
	if (entry)
		return group_check_fetch(&entry->group, group->member_id, group->member_epoch);
	if (row->type == GROUP_CONSUMER && (group->member_id.data || group->member_epoch >= 0))
		return KAFKA_UNKNOWN_MEMBER_ID;
	return KAFKA_NONE;
}

static enum err fetch_group(struct group_call *call, struct cell *cell,
			    const struct kafka_offset_fetch_request_group *group,
			    struct kafka_offset_fetch_response_group *ret)
{
	struct arena *a = call->kafka->arena;
	struct group_row row = { 0 };

	ret->group_id = group->group_id;
	if (!group_call_may(call, GRANT_DESCRIBE, GRANT_GROUP, group->group_id)) {
		ret->error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
		return OK;
	}
	if (!group_name_is_valid(group->group_id)) {
		ret->error_code = KAFKA_INVALID_GROUP_ID;
		return OK;
	}
	enum err err = group_row_find(a, cell, group->group_id, &row);
	if (err == ERR_NOT_FOUND) { /* a group that never committed; its row stays 0 */
		err = OK;
		row.name = group->group_id;
	}
	if (!err)
		ret->error_code = check_member(call, &row, group);
	if (ret->error_code)
		return OK;
	if (err || !group->topics)
		return err || row.id == 0 ? err : fetch_all(call, cell, &row, ret);

	ret->topics_count = group->topics_count;
	ret->topics = arena_take_array(a, group->topics_count, sizeof(*ret->topics));
	for (size_t i = 0; i < group->topics_count && !err; i++)
		err = fetch_topic(call, cell, &row, &group->topics[i], &ret->topics[i]);
	return err;
}

/* The one group of an old request. */
static struct kafka_offset_fetch_request_group old_group(const struct group_call *call)
{
	const struct kafka_offset_fetch_request *request = call->request;
	struct kafka_offset_fetch_request_group group = { .group_id = request->group_id };

	if (!request->topics)
		return group;
	group.topics_count = request->topics_count;
	group.topics =
		arena_take_array(call->kafka->arena, request->topics_count, sizeof(*group.topics));
	for (size_t i = 0; i < request->topics_count; i++) {
		group.topics[i].name = request->topics[i].name;
		group.topics[i].partition_indexes = request->topics[i].partition_indexes;
		group.topics[i].partition_indexes_count =
			request->topics[i].partition_indexes_count;
	}
	return group;
}

static void answer_old_topic(struct arena *a,
			     const struct kafka_offset_fetch_response_group_topic *topic,
			     struct kafka_offset_fetch_response_topic *ret)
{
	ret->name = topic->name;
	ret->partitions_count = topic->partitions_count;
	ret->partitions = arena_take_array(a, topic->partitions_count, sizeof(*ret->partitions));
	for (size_t i = 0; i < topic->partitions_count; i++)
		ret->partitions[i] = (struct kafka_offset_fetch_response_partition) {
			.partition_index = topic->partitions[i].partition_index,
			.committed_offset = topic->partitions[i].committed_offset,
			.committed_leader_epoch = topic->partitions[i].committed_leader_epoch,
			.metadata = topic->partitions[i].metadata,
			.error_code = topic->partitions[i].error_code,
		};
}

static void answer_old(struct group_call *call,
		       const struct kafka_offset_fetch_response_group *group)
{
	struct kafka_offset_fetch_response *response = call->response;
	struct arena *a = call->kafka->arena;

	response->error_code = group->error_code;
	response->topics_count = group->topics_count;
	response->topics = arena_take_array(a, group->topics_count, sizeof(*response->topics));
	for (size_t i = 0; i < group->topics_count; i++)
		answer_old_topic(a, &group->topics[i], &response->topics[i]);
}

/* Version 1 has no place for it but the partitions. */
static void fail_old(struct group_call *call, int16_t error)
{
	struct kafka_offset_fetch_request_group group = old_group(call);
	struct kafka_offset_fetch_response_group answer = { .error_code = error };

	if (call->kafka->version == 1) {
		answer.topics_count = group.topics_count;
		answer.topics = arena_take_array(call->kafka->arena, group.topics_count,
						 sizeof(*answer.topics));
		for (size_t i = 0; i < group.topics_count; i++)
			begin_topic(call->kafka->arena, &group.topics[i], &answer.topics[i], error);
	}
	answer_old(call, &answer);
}

/* --- the operation -----------------------------------------------------------------------------
 */

static struct kafka_offset_fetch_response *begin_groups(struct group_call *call, size_t count)
{
	struct kafka_offset_fetch_response *response = call->response;

	response->groups_count = count;
	response->groups = arena_take_array(call->kafka->arena, count, sizeof(*response->groups));
	return response;
}

static enum err offset_fetch(struct cell *cell, struct group_call *call)
{
	const struct kafka_offset_fetch_request *request = call->request;
	enum err err = OK;

	if (call->kafka->version <= ONE_GROUP_VERSION_LAST) {
		struct kafka_offset_fetch_request_group group = old_group(call);
		struct kafka_offset_fetch_response_group answer = { 0 };
		err = fetch_group(call, cell, &group, &answer);
		if (!err && answer.error_code)
			fail_old(call, answer.error_code);
		else if (!err)
			answer_old(call, &answer);
		return err;
	}
	if (request->groups_count > GROUPS_PER_CALL_MAX)
		return ERR_INVALID;
	struct kafka_offset_fetch_response *response = begin_groups(call, request->groups_count);
	for (size_t i = 0; i < request->groups_count && !err; i++)
		err = fetch_group(call, cell, &request->groups[i], &response->groups[i]);
	return err;
}

static void offset_fetch_fail(struct group_call *call, int16_t error)
{
	const struct kafka_offset_fetch_request *request = call->request;

	if (call->kafka->version <= ONE_GROUP_VERSION_LAST) {
		fail_old(call, error);
		return;
	}
	struct kafka_offset_fetch_response *response = begin_groups(call, request->groups_count);
	for (size_t i = 0; i < request->groups_count; i++) {
		response->groups[i].group_id = request->groups[i].group_id;
		response->groups[i].error_code = error;
	}
}

const struct group_api offset_fetch_api = {
	.key = KAFKA_API_OFFSET_FETCH,
	.needs_fence = true,
	.run = offset_fetch,
	.fail = offset_fetch_fail,
};
