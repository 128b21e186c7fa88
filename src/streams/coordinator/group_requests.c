/* JoinGroup, SyncGroup, Heartbeat, LeaveGroup: requests that a group answers. */
#include "base/random.h"
#include "base/text.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/group_call.h"

static struct slice at_most(struct slice text, size_t size)
{
	return slice_part(text, 0, size);
}

/* --- JoinGroup ---------------------------------------------------------------------------------
 */

void group_uuid_write(char ret[GROUP_UUID_TEXT_BYTES + 1])
{
	static const size_t part_bytes[] = { 4, 2, 2, 2, 6 };
	uint8_t bytes[16];
	size_t at = 0;

	random_bytes(bytes, sizeof(bytes));
	bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(part_bytes) / sizeof(part_bytes[0]); i++) {
		hex_encode(ret, (struct slice) { bytes + at, part_bytes[i] });
		ret += 2 * part_bytes[i];
		at += part_bytes[i];
		if (i + 1 < sizeof(part_bytes) / sizeof(part_bytes[0]))
			*ret++ = '-';
	}
}

static struct slice new_member_id(struct group_call *call, struct slice instance_id)
{
	struct slice prefix = instance_id.data ? instance_id : call->kafka->client_id;
	char uuid[GROUP_UUID_TEXT_BYTES + 1];

	group_uuid_write(uuid);
	return slice_from(arena_format(call->kafka->arena, "%.*s-%s",
				       SLICE_ARG(at_most(prefix, GROUP_WORD_BYTES_MAX)), uuid));
}

static bool session_is_allowed(const struct group_call *call, int32_t session_timeout_ms)
{
	struct cell *cell = leader_cell(call->kafka->coordinator->config.leader);

	return cell &&
	       session_timeout_ms >= config_broker_number(cell, "group.min.session.timeout.ms",
							  GROUP_SESSION_TIMEOUT_MS_MIN) &&
	       session_timeout_ms <= config_broker_number(cell, "group.max.session.timeout.ms",
							  GROUP_SESSION_TIMEOUT_MS_MAX);
}

static int16_t check_join(const struct group_call *call)
{
	const struct kafka_join_group_request *r = call->request;
	int16_t error = group_call_error(call, r->group_id);
	size_t bytes = 0;

	if (error)
		return error;
	if (!session_is_allowed(call, r->session_timeout_ms))
		return KAFKA_INVALID_SESSION_TIMEOUT;
	if (r->group_instance_id.size > GROUP_WORD_BYTES_MAX ||
	    (r->group_instance_id.data && r->group_instance_id.size == 0) ||
	    r->protocol_type.size > GROUP_WORD_BYTES_MAX ||
	    r->protocols_count > GROUP_PROTOCOLS_MAX)
		return KAFKA_INVALID_REQUEST;
	for (size_t i = 0; i < r->protocols_count; i++) {
		if (r->protocols[i].name.size == 0 ||
		    r->protocols[i].name.size > GROUP_WORD_BYTES_MAX)
			return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
		bytes += r->protocols[i].name.size + r->protocols[i].metadata.size;
	}
	return bytes > GROUP_MEMBER_PROTOCOLS_BYTES_MAX ? KAFKA_GROUP_MAX_SIZE_REACHED : KAFKA_NONE;
}

static void refuse_join(struct group_call *call, int16_t error)
{
	const struct kafka_join_group_request *r = call->request;
	struct kafka_join_group_response *response = call->response;

	response->error_code = error;
	response->member_id = r->member_id;
	group_call_answer(call);
}

static void step_join(struct group_call *call, struct group_entry *entry)
{
	const struct kafka_join_group_request *r = call->request;
	struct kafka_call *kafka = call->kafka;
	struct buf protocols;

	buf_init(&protocols);
	for (size_t i = 0; i < r->protocols_count; i++)
		group_protocol_add(&protocols, r->protocols[i].name, r->protocols[i].metadata);
	struct group_event event = {
		.kind = GROUP_JOIN,
		.member_id = r->member_id,
		.instance_id = r->group_instance_id,
		.join = {
			.needs_known_id = kafka->version >= 4,
			.can_skip_assignment = kafka->version >= 9,
			.new_member_id = new_member_id(call, r->group_instance_id),
			.client_id = at_most(kafka->client_id, GROUP_WORD_BYTES_MAX),
			.client_host = at_most(kafka->client_host, GROUP_WORD_BYTES_MAX),
			.session_timeout_ms = r->session_timeout_ms,
			/* kafkajs says 0 for none: its sync would never be in time */
			.rebalance_timeout_ms = r->rebalance_timeout_ms <= 0
							? r->session_timeout_ms
							: r->rebalance_timeout_ms,
			.protocol_type = r->protocol_type,
			.protocols = buf_slice(&protocols),
		},
	};
	groups_step(kafka->coordinator->groups, entry, &event, call);
	buf_done(&protocols);
}

static void feed_join(struct group_call *call)
{
	const struct kafka_join_group_request *r = call->request;
	struct groups *groups = call->kafka->coordinator->groups;
	struct group_entry *entry = groups_find(groups, r->group_id);
	int16_t error = check_join(call);

	if (!error && !entry) {
		if (groups_is_share(groups, r->group_id))
			error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
		else if (r->member_id.size > 0)
			error = KAFKA_UNKNOWN_MEMBER_ID;
		else if (!(entry = groups_create(groups, r->group_id)))
			error = KAFKA_GROUP_MAX_SIZE_REACHED;
	}
	if (error)
		refuse_join(call, error);
	else
		step_join(call, entry);
}

static void list_members(struct kafka_join_group_response *response, struct arena *a,
			 const struct group *g)
{
	response->members = arena_take_array(a, g->member_count, sizeof(*response->members));
	LIST_EACH (&g->members, struct group_member, link, m)
		response->members[response->members_count++] =
			(struct kafka_join_group_response_member) {
				.member_id = m->member_id,
				.group_instance_id = m->instance_id,
				.metadata = group_member_metadata(g, m),
			};
}

static void answer_join(struct group_call *call, const struct group *g,
			const struct group_answer *answer)
{
	struct kafka_join_group_response *response = call->response;

	response->error_code = answer->error;
	response->generation_id = answer->generation;
	response->protocol_type = answer->protocol_type;
	response->protocol_name = answer->protocol;
	response->leader = answer->leader;
	response->skip_assignment = answer->skip_assignment;
	response->member_id = answer->member_id;
	if (answer->has_members)
		list_members(response, call->kafka->arena, g);
}

/* --- SyncGroup ---------------------------------------------------------------------------------
 */

static void refuse_sync(struct group_call *call, int16_t error)
{
	struct kafka_sync_group_response *response = call->response;

	response->error_code = error;
	group_call_answer(call);
}

static void feed_sync(struct group_call *call)
{
	const struct kafka_sync_group_request *r = call->request;
	struct kafka_call *kafka = call->kafka;
	struct group_entry *entry = groups_find(kafka->coordinator->groups, r->group_id);
	int16_t error = group_call_error(call, r->group_id);

	if (error || !entry) {
		refuse_sync(call, error ? error : (int16_t)KAFKA_UNKNOWN_MEMBER_ID);
		return;
	}
	struct group_assignment *assignments =
		arena_take_array(kafka->arena, r->assignments_count, sizeof(*assignments));
	for (size_t i = 0; i < r->assignments_count; i++) {
		assignments[i].member_id = r->assignments[i].member_id;
		assignments[i].assignment = r->assignments[i].assignment;
	}
	struct group_event event = {
		.kind = GROUP_SYNC,
		.member_id = r->member_id,
		.instance_id = r->group_instance_id,
		.generation = r->generation_id,
		.sync = {
			.protocol_type = r->protocol_type,
			.protocol = r->protocol_name,
			.assignments = assignments,
			.assignment_count = r->assignments_count,
		},
	};
	groups_step(kafka->coordinator->groups, entry, &event, call);
}

static void answer_sync(struct group_call *call, const struct group_answer *answer)
{
	struct kafka_sync_group_response *response = call->response;

	response->error_code = answer->error;
	response->protocol_type = answer->protocol_type;
	response->protocol_name = answer->protocol;
	response->assignment = answer->assignment;
}

void group_request_answer(struct group_effects *effects, const struct group *g,
			  const struct group_answer *answer)
{
	struct group_call *call = answer->call;

	(void)effects;
	if (answer->is_join)
		answer_join(call, g, answer);
	else
		answer_sync(call, answer);
	group_call_answer(call);
}

/* --- Heartbeat ---------------------------------------------------------------------------------
 */

static void answer_heartbeat(struct group_call *call, int16_t error)
{
	struct kafka_heartbeat_response *response = call->response;

	response->error_code = error;
	group_call_answer(call);
}

static void feed_heartbeat(struct group_call *call)
{
	const struct kafka_heartbeat_request *r = call->request;
	struct groups *groups = call->kafka->coordinator->groups;
	struct group_entry *entry = groups_find(groups, r->group_id);
	struct group_event event = {
		.kind = GROUP_HEARTBEAT,
		.member_id = r->member_id,
		.instance_id = r->group_instance_id,
		.generation = r->generation_id,
		.error = group_call_error(call, r->group_id),
	};

	if (!event.error && entry)
		groups_step(groups, entry, &event, call);
	else if (!event.error)
		event.error = KAFKA_UNKNOWN_MEMBER_ID;
	answer_heartbeat(call, event.error);
}

/* --- LeaveGroup --------------------------------------------------------------------------------
 */

/* Up to version 2 the request is about one member. */
static struct group_leaver *list_leavers(struct group_call *call, size_t *ret_count)
{
	const struct kafka_leave_group_request *r = call->request;
	size_t count = call->kafka->version >= 3 ? r->members_count : 1;
	struct group_leaver *leavers =
		arena_take_array(call->kafka->arena, count, sizeof(*leavers));

	if (call->kafka->version < 3)
		leavers[0].member_id = r->member_id;
	for (size_t i = 0; i < r->members_count; i++) {
		leavers[i].member_id = r->members[i].member_id;
		leavers[i].instance_id = r->members[i].group_instance_id;
	}
	for (size_t i = 0; i < count; i++)
		leavers[i].error = KAFKA_UNKNOWN_MEMBER_ID;
	*ret_count = count;
	return leavers;
}

static void answer_leave(struct group_call *call, const struct group_leaver *leavers, size_t count)
{
	struct kafka_leave_group_response *response = call->response;

	if (call->kafka->version < 3)
		response->error_code = leavers[0].error;
	response->members = arena_take_array(call->kafka->arena, count, sizeof(*response->members));
	response->members_count = count;
	for (size_t i = 0; i < count; i++)
		response->members[i] = (struct kafka_leave_group_response_member) {
			.member_id = leavers[i].member_id,
			.group_instance_id = leavers[i].instance_id,
			.error_code = leavers[i].error,
		};
	group_call_answer(call);
}

static void refuse_leave(struct group_call *call, int16_t error)
{
	struct kafka_leave_group_response *response = call->response;

	response->error_code = error;
	group_call_answer(call);
}

static void feed_leave(struct group_call *call)
{
	const struct kafka_leave_group_request *r = call->request;
	struct groups *groups = call->kafka->coordinator->groups;
	struct group_entry *entry = groups_find(groups, r->group_id);
	int16_t error = group_call_error(call, r->group_id);

	if (error) {
		refuse_leave(call, error);
		return;
	}
	struct group_event event = { .kind = GROUP_LEAVE };
	event.leave.leavers = list_leavers(call, &event.leave.count);
	if (entry)
		groups_step(groups, entry, &event, call);
	answer_leave(call, event.leave.leavers, event.leave.count);
}

/* --- the rows ----------------------------------------------------------------------------------
 */

const struct group_api join_group_api = { .key = KAFKA_API_JOIN_GROUP, .feed = feed_join };
const struct group_api sync_group_api = { .key = KAFKA_API_SYNC_GROUP, .feed = feed_sync };
const struct group_api heartbeat_api = { .key = KAFKA_API_HEARTBEAT, .feed = feed_heartbeat };
const struct group_api leave_group_api = { .key = KAFKA_API_LEAVE_GROUP, .feed = feed_leave };
