#include <assert.h>

#include "streams/coordinator/group_consumer_private.h"

/* --- answers -----------------------------------------------------------------------------------
 */

void group_answer_join_error(struct group *g, void *call, struct slice member_id, int16_t error)
{
	struct group_answer answer = {
		.call = call,
		.is_join = true,
		.error = error,
		.generation = -1,
		.member_id = member_id,
	};

	g->effects->answer(g->effects, g, &answer);
}

/* The current generation, as `m` is to see it. */
static void answer_generation(struct group *g, struct group_member *m, struct slice leader,
			      bool has_members, bool skip_assignment)
{
	struct group_answer answer = {
		.call = m->join_call,
		.is_join = true,
		.generation = g->generation,
		.member_id = m->member_id,
		.protocol_type = g->protocol_type,
		.protocol = g->protocol,
		.leader = leader,
		.has_members = has_members,
		.skip_assignment = skip_assignment,
	};

	m->join_call = NULL;
	g->effects->answer(g->effects, g, &answer);
	group_renew_session(g, m);
}

void group_answer_join(struct group *g, struct group_member *m, int16_t error)
{
	void *call = m->join_call;

	if (!error) {
		answer_generation(g, m, g->leader->member_id, g->leader == m, false);
		return;
	}
	m->join_call = NULL;
	group_answer_join_error(g, call,
				error == KAFKA_UNKNOWN_MEMBER_ID ? SLICE("") : m->member_id, error);
}

/* --- admission ---------------------------------------------------------------------------------
 */

static size_t count_joined(const struct group *g)
{
	size_t count = 0;

	LIST_EACH (&g->members, struct group_member, link, m)
		count += m->join_call != NULL;
	return count;
}

static bool has_room(const struct group *g, struct slice member_id)
{
	const struct group_member *m = group_find(g, member_id);

	/* Kafka counts who has joined; static members that are away do not add up for ever here */
	if (g->pending.count > g->config.members_max ||
	    (!m && g->member_count >= 2 * g->config.members_max))
		return false;
	if (g->state == GROUP_EMPTY)
		return true;
	if (g->state == GROUP_PREPARING)
		return (m && m->join_call) || count_joined(g) < g->config.members_max;
	return m || g->member_count < g->config.members_max;
}

static bool has_room_for_protocols(const struct group *g, const struct group_event *e)
{
	size_t bytes = e->join.protocols.size;

	LIST_EACH (&g->members, struct group_member, link, m)
		if (!slice_equal(m->member_id, e->member_id))
			bytes += m->protocols.size;
	return bytes <= GROUP_PROTOCOLS_BYTES_MAX;
}

/* At least one of the protocols offered is spoken by all members. */
static bool is_consistent(const struct group *g, const struct group_join *join)
{
	struct slice rest = join->protocols;
	struct group_protocol protocol;

	if (g->state == GROUP_EMPTY)
		return join->protocol_type.size > 0 && join->protocols.size > 0;
	if (!slice_equal(join->protocol_type, g->protocol_type))
		return false;
	while (group_protocol_next(&rest, &protocol))
		if (group_all_have(g, protocol.name))
			return true;
	return false;
}

/* --- members -----------------------------------------------------------------------------------
 */

static void update_member(struct group *g, struct group_member *m, const struct group_event *e)
{
	const struct group_join *join = &e->join;

	if (m->join_call) /* its client has given that one up */
		group_answer_join(g, m, KAFKA_REBALANCE_IN_PROGRESS);
	group_own(&m->client_id, join->client_id);
	group_own(&m->client_host, join->client_host);
	if (!slice_equal(m->protocols, join->protocols))
		group_own(&m->protocols, join->protocols);
	m->session_timeout_ms = join->session_timeout_ms;
	m->rebalance_timeout_ms = join->rebalance_timeout_ms;
	m->join_call = e->call;
	group_touch_member(g, m);
	group_renew_session(g, m);
}

static void add_member(struct group *g, const struct group_event *e, struct slice member_id)
{
	struct group_member *m = group_member_new(member_id, e->instance_id);

	(void)group_remove_pending(g, member_id);
	m->is_new = true;
	group_own(&m->assignment, SLICE(""));
	if (g->member_count == 0)
		group_own(&g->protocol_type, e->join.protocol_type);
	if (g->state == GROUP_PREPARING && g->is_initial)
		g->has_joined_since = true;
	group_add_member(g, m);
	update_member(g, m, e);
	group_rebalance(g);
}

/* --- static members ----------------------------------------------------------------------------
 */

/* The same instance under a new id; whoever still uses the old one is fenced. */
static void replace_id(struct group *g, struct group_member *m, struct slice member_id)
{
	if (m->join_call)
		group_answer_join(g, m, KAFKA_FENCED_INSTANCE_ID);
	if (m->sync_call)
		group_answer_sync(g, m, KAFKA_FENCED_INSTANCE_ID);
	group_rename_member(g, m, member_id);
	group_touch(g);
}

/* A static member comes back.  As long as the group's protocol stays the same nobody else needs to
 * know.  A leader that cannot skip the assignment is shown its old id as the leader's, so that it
 * does not assign anew. */
static void rejoin_static(struct group *g, struct group_member *m, const struct group_event *e)
{
	const struct group_member *leader = g->leader;
	struct slice old_leader = { 0 };

	group_own(&old_leader, leader->member_id);
	replace_id(g, m, e->join.new_member_id);
	update_member(g, m, e);
	if (g->state == GROUP_STABLE && slice_equal(group_select_protocol(g), g->protocol)) {
		bool skips = e->join.can_skip_assignment && leader == m;
		struct slice shown = e->join.can_skip_assignment ? leader->member_id : old_leader;
		answer_generation(g, m, shown, skips, skips);
	} else if (g->state == GROUP_COMPLETING) {
		/* the leader may be assigning to the old id this moment */
		group_prepare_rebalance(g);
	} else {
		group_rebalance(g);
	}
	group_disown(&old_leader);
}

/* --- who asks ----------------------------------------------------------------------------------
 */

static void join_as_stranger(struct group *g, const struct group_event *e)
{
	struct slice member_id = e->join.new_member_id;
	struct group_member *m = NULL;

	assert(!group_find(g, member_id));
	if (e->instance_id.data)
		m = map_get(&g->by_instance_id, e->instance_id);
	if (m) {
		rejoin_static(g, m, e);
	} else if (e->join.needs_known_id && !e->instance_id.data) {
		group_add_pending(g, member_id, e->join.session_timeout_ms);
		group_answer_join_error(g, e->call, member_id, KAFKA_MEMBER_ID_REQUIRED);
	} else {
		add_member(g, e, member_id);
	}
}

/* Nothing is new, so the generation it asks for is the one there is. */
static bool needs_no_rebalance(const struct group *g, const struct group_member *m,
			       const struct group_event *e)
{
	bool is_same = slice_equal(m->protocols, e->join.protocols);

	if (g->state == GROUP_COMPLETING)
		return is_same;
	return g->state == GROUP_STABLE && is_same && g->leader != m;
}

static void join_as_member(struct group *g, const struct group_event *e)
{
	struct group_member *m;
	int16_t error = group_check_member(g, e->member_id, e->instance_id, &m);

	if (error) {
		group_answer_join_error(g, e->call, e->member_id, error);
	} else if (needs_no_rebalance(g, m, e)) {
		if (m->sync_call)
			group_answer_sync(g, m, KAFKA_REBALANCE_IN_PROGRESS);
		m->owes_sync = g->state == GROUP_COMPLETING;
		m->join_call = e->call;
		group_answer_join(g, m, KAFKA_NONE);
	} else {
		update_member(g, m, e);
		group_rebalance(g);
	}
}

static void turn_away(struct group *g, const struct group_event *e)
{
	struct group_member *m = group_find(g, e->member_id);

	(void)group_remove_pending(g, e->member_id);
	if (m)
		group_remove_member(g, m, KAFKA_GROUP_MAX_SIZE_REACHED);
	group_answer_join_error(g, e->call, SLICE(""), KAFKA_GROUP_MAX_SIZE_REACHED);
	if (g->state == GROUP_PREPARING)
		group_rebalance(g);
}

void group_join(struct group *g, const struct group_event *e)
{
	bool is_stranger = e->member_id.size == 0;
	bool is_pending = !is_stranger && map_get(&g->pending, e->member_id);

	if (g->type == GROUP_CONSUMER && g->member_count > 0) {
		if (has_room_for_protocols(g, e))
			group_consumer_join(g, e);
		else
			group_answer_join_error(g, e->call, e->member_id,
						KAFKA_GROUP_MAX_SIZE_REACHED);
		return;
	}
	g->type = GROUP_CLASSIC; /* an empty group is what the first member makes of it */
	if (!has_room(g, e->member_id)) {
		turn_away(g, e);
	} else if (!has_room_for_protocols(g, e)) {
		group_answer_join_error(g, e->call, e->member_id, KAFKA_GROUP_MAX_SIZE_REACHED);
	} else if (!is_consistent(g, &e->join)) {
		group_answer_join_error(g, e->call, e->member_id,
					KAFKA_INCONSISTENT_GROUP_PROTOCOL);
	} else if (is_stranger) {
		join_as_stranger(g, e);
	} else if (is_pending) {
		add_member(g, e, e->member_id);
	} else {
		join_as_member(g, e);
	}
}
