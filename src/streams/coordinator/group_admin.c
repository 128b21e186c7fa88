/* ListGroups, DescribeGroups, DeleteGroups: what administrators ask.
 *
 * Groups in memory come from there, all others are empty and come from the cell. */
#include <ctype.h>

#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"
#include "streams/coordinator/roll.h"
#include "streams/coordinator/share_group.h"
#include "wire/kafka/authorized.h"

static int64_t now_of(const struct group_call *call)
{
	return (int64_t)leader_now_ms(call->kafka->coordinator->config.leader);
}

/* --- ListGroups --------------------------------------------------------------------------------
 */

static bool is_same_word(struct slice a, struct slice b)
{
	if (a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++)
		if (tolower(a.data[i]) != tolower(b.data[i]))
			return false;
	return true;
}

/* No filter lets everything through. */
static bool passes(const struct slice *filter, size_t count, struct slice word)
{
	for (size_t i = 0; i < count; i++)
		if (is_same_word(filter[i], word))
			return true;
	return count == 0;
}

static void list_one(struct group_call *call, struct slice name, struct slice protocol_type,
		     enum group_type type, const char *state)
{
	const struct kafka_list_groups_request *request = call->request;
	struct kafka_list_groups_response *response = call->response;
	struct slice word = slice_from(state), type_word = slice_from(group_type_name(type));

	if (!group_call_sees(call, GRANT_DESCRIBE, GRANT_CLUSTER, GRANT_CLUSTER_NAME) &&
	    !group_call_sees(call, GRANT_DESCRIBE, GRANT_GROUP, name))
		return;
	if (!passes(request->states_filter, request->states_filter_count, word) ||
	    !passes(request->types_filter, request->types_filter_count, type_word))
		return;
	response->groups[response->groups_count++] = (struct kafka_list_groups_response_group) {
		.group_id = arena_copy(call->kafka->arena, name),
		.protocol_type = arena_copy(call->kafka->arena, protocol_type),
		.group_state = word,
		.group_type = type_word,
	};
}

/* What other agents list is not listed here. */
static void keep_share(struct cell *cell, const struct group_call *call)
{
	struct kafka_list_groups_response *response = call->response;
	struct roll_share share;
	size_t kept = 0;

	roll_find_share(cell, call->kafka->incarnation, &share);
	for (size_t i = 0; i < response->groups_count; i++)
		if (roll_share_has(&share, response->groups[i].group_id))
			response->groups[kept++] = response->groups[i];
	response->groups_count = kept;
}

/* Of a group that is not in memory. */
static const char *row_state(const struct group_row *row)
{
	return group_state_name(row->type == GROUP_SHARE ? row->state : GROUP_EMPTY);
}

static enum err list_groups(struct cell *cell, struct group_call *call)
{
	struct groups *groups = call->kafka->coordinator->groups;
	struct kafka_list_groups_response *response = call->response;
	struct group_entry *entry;
	struct group_row *rows;
	size_t count, cursor = 0;
	enum err err = group_rows(call->kafka->arena, cell, false, &rows, &count);

	if (err)
		return err;
	response->groups = arena_take_array(call->kafka->arena, count + groups_count(groups),
					    sizeof(*response->groups));
	for (size_t i = 0; i < count; i++)
		if (!groups_find(groups, rows[i].name))
			list_one(call, rows[i].name, rows[i].protocol_type, rows[i].type,
				 row_state(&rows[i]));
	while ((entry = map_next(&groups->by_name, &cursor)))
		list_one(call, entry->group.name, entry->group.protocol_type, entry->group.type,
			 entry->group.type == GROUP_CONSUMER
				 ? group_consumer_state_name(&entry->group)
				 : group_state_name(entry->group.state));
	keep_share(cell, call);
	return OK;
}

static void list_groups_fail(struct group_call *call, int16_t error)
{
	struct kafka_list_groups_response *response = call->response;

	/* There is no coordinator of all groups that clients could look for; this they repeat. */
	if (error == KAFKA_NOT_COORDINATOR)
		error = KAFKA_COORDINATOR_NOT_AVAILABLE;
	response->error_code = error;
}

const struct group_api list_groups_api = {
	.key = KAFKA_API_LIST_GROUPS,
	.needs_fence = true,
	.run = list_groups,
	.fail = list_groups_fail,
};

/* --- DescribeGroups ----------------------------------------------------------------------------
 */

static void describe_groups_name(struct group_call *call)
{
	const struct kafka_describe_groups_request *request = call->request;

	call->names = request->groups;
	call->name_count = request->groups_count;
}

/* Only a stable group has assignments, and metadata that means anything. */
static void describe_member(struct arena *a, const struct group *g, const struct group_member *m,
			    struct kafka_describe_groups_response_member *ret)
{
	bool is_stable = g->state == GROUP_STABLE;

	*ret = (struct kafka_describe_groups_response_member) {
		.member_id = arena_copy(a, m->member_id),
		.client_id = arena_copy(a, m->client_id),
		.client_host = arena_copy(a, m->client_host),
		.member_metadata =
			is_stable ? arena_copy(a, group_member_metadata(g, m)) : SLICE(""),
		.member_assignment = is_stable ? arena_copy(a, m->assignment) : SLICE(""),
	};
	if (m->instance_id.data)
		ret->group_instance_id = arena_copy(a, m->instance_id);
}

static void describe_entry(struct arena *a, const struct group *g,
			   struct kafka_describe_groups_response_group *ret)
{
	ret->group_state = slice_from(group_state_name(g->state));
	ret->protocol_type = arena_copy(a, g->protocol_type);
	if (g->state == GROUP_STABLE)
		ret->protocol_data = arena_copy(a, g->protocol);
	ret->members = arena_take_array(a, g->member_count, sizeof(*ret->members));
	LIST_EACH (&g->members, struct group_member, link, m)
		describe_member(a, g, m, &ret->members[ret->members_count++]);
}

static enum err describe_one(struct cell *cell, struct group_call *call, struct slice name,
			     struct kafka_describe_groups_response_group *ret)
{
	struct group_entry *entry = groups_find(call->kafka->coordinator->groups, name);
	struct arena *a = call->kafka->arena;
	struct group_row row;

	ret->group_state = SLICE("Dead");
	if (!group_call_may(call, GRANT_DESCRIBE, GRANT_GROUP, name)) {
		ret->error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
		return OK;
	}
	if (!group_name_is_valid(name)) {
		ret->error_code = KAFKA_INVALID_GROUP_ID;
		return OK;
	}
	if (entry && entry->group.type == GROUP_CLASSIC) {
		describe_entry(a, &entry->group, ret);
		return OK;
	}
	enum err err = group_row_find(a, cell, name, &row);
	if (entry || (err == OK && row.type != GROUP_CLASSIC)) {
		if (call->kafka->version >= 6) {
			ret->error_code = KAFKA_GROUP_ID_NOT_FOUND;
			ret->error_message =
				slice_from(arena_format(a, "Group %.*s is not a classic group.",
							SLICE_ARG(name)));
		}
	} else if (err == OK) {
		ret->group_state = slice_from(group_state_name(GROUP_EMPTY));
		ret->protocol_type = row.protocol_type;
	} else if (err == ERR_NOT_FOUND && call->kafka->version >= 6) {
		ret->error_code = KAFKA_GROUP_ID_NOT_FOUND;
		ret->error_message =
			slice_from(arena_format(a, "Group %.*s not found.", SLICE_ARG(name)));
	}
	return err == ERR_NOT_FOUND ? OK : err;
}

static struct kafka_describe_groups_response_group *begin_descriptions(struct group_call *call)
{
	const struct kafka_describe_groups_request *request = call->request;
	struct kafka_describe_groups_response *response = call->response;

	response->groups_count = request->groups_count;
	response->groups = arena_take_array(call->kafka->arena, request->groups_count,
					    sizeof(*response->groups));
	for (size_t i = 0; i < request->groups_count; i++) {
		response->groups[i].group_id = request->groups[i];
		response->groups[i].authorized_operations = INT32_MIN; /* not asked for */
	}
	return response->groups;
}

int32_t group_call_allowed(const struct group_call *call, struct slice name)
{
	const struct kafka_call *kafka = call->kafka;

	return (int32_t)guard_operations(coordinator_guard(kafka->coordinator),
					 &(struct guard_caller) { kafka->principal,
								  kafka->client_host },
					 KAFKA_MAY_WITH_GROUP, GRANT_GROUP, name);
}

static enum err describe_groups(struct cell *cell, struct group_call *call)
{
	const struct kafka_describe_groups_request *request = call->request;
	enum err err = request->groups_count > GROUPS_PER_CALL_MAX ? ERR_INVALID : OK;
	struct kafka_describe_groups_response_group *groups = begin_descriptions(call);

	for (size_t i = 0; i < request->groups_count && !err; i++) {
		err = describe_one(cell, call, request->groups[i], &groups[i]);
		if (!err && group_call_is_too_large(call))
			err = ERR_INVALID;
		if (request->include_authorized_operations && !groups[i].error_code)
			groups[i].authorized_operations =
				group_call_allowed(call, request->groups[i]);
	}
	return err;
}

static void describe_groups_fail(struct group_call *call, int16_t error)
{
	const struct kafka_describe_groups_request *request = call->request;
	struct kafka_describe_groups_response_group *groups = begin_descriptions(call);

	for (size_t i = 0; i < request->groups_count; i++)
		groups[i].error_code = error;
}

const struct group_api describe_groups_api = {
	.key = KAFKA_API_DESCRIBE_GROUPS,
	.needs_fence = true,
	.name = describe_groups_name,
	.run = describe_groups,
	.fail = describe_groups_fail,
};

/* --- DeleteGroups ------------------------------------------------------------------------------
 */

static void delete_groups_name(struct group_call *call)
{
	const struct kafka_delete_groups_request *request = call->request;

	call->names = request->groups_names;
	call->name_count = request->groups_names_count;
}

static bool has_share_members(struct cell *cell, const struct group_call *call, struct slice name)
{
	struct share_group g;

	return !share_group_load(call->kafka->arena, cell, name, now_of(call), &g) &&
	       g.member_count > 0;
}

static enum err delete_one(struct cell *cell, struct group_call *call, struct slice name,
			   int16_t *ret_error)
{
	struct group_entry *entry = groups_find(call->kafka->coordinator->groups, name);
	struct group_row row;

	*ret_error = KAFKA_NONE;
	if (!group_call_may(call, GRANT_DELETE, GRANT_GROUP, name)) {
		*ret_error = KAFKA_GROUP_AUTHORIZATION_FAILED;
		return OK;
	}
	if (!group_name_is_valid(name)) {
		*ret_error = KAFKA_INVALID_GROUP_ID;
		return OK;
	}
	if (entry && entry->group.state != GROUP_EMPTY) {
		*ret_error = KAFKA_NON_EMPTY_GROUP;
		return OK;
	}
	enum err err = group_row_find(call->kafka->arena, cell, name, &row);
	if (err == ERR_NOT_FOUND) {
		*ret_error = KAFKA_GROUP_ID_NOT_FOUND;
		return OK;
	}
	if (!err && row.type == GROUP_SHARE && has_share_members(cell, call, name)) {
		*ret_error = KAFKA_NON_EMPTY_GROUP;
		return OK;
	}
	return err ? err : group_row_delete(cell, row.id, now_of(call));
}

static struct kafka_delete_groups_response_result *begin_deletions(struct group_call *call)
{
	struct kafka_delete_groups_response *response = call->response;

	response->results_count = call->name_count;
	response->results =
		arena_take_array(call->kafka->arena, call->name_count, sizeof(*response->results));
	for (size_t i = 0; i < call->name_count; i++)
		response->results[i].group_id = call->names[i];
	return response->results;
}

static enum err delete_groups(struct cell *cell, struct group_call *call)
{
	enum err err = call->name_count > GROUPS_PER_CALL_MAX ? ERR_INVALID : OK;
	struct kafka_delete_groups_response_result *results = begin_deletions(call);

	for (size_t i = 0; i < call->name_count && !err; i++)
		err = delete_one(cell, call, call->names[i], &results[i].error_code);
	return err;
}

static void delete_groups_fail(struct group_call *call, int16_t error)
{
	struct kafka_delete_groups_response_result *results = begin_deletions(call);

	for (size_t i = 0; i < call->name_count; i++)
		results[i].error_code = error;
}

const struct group_api delete_groups_api = {
	.key = KAFKA_API_DELETE_GROUPS,
	.settles_first = true,
	.name = delete_groups_name,
	.run = delete_groups,
	.fail = delete_groups_fail,
};
