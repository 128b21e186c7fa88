#include <assert.h>

#include "streams/coordinator/group_consumer_private.h"

/* --- the protocol ------------------------------------------------------------------------------
 */

bool group_all_have(const struct group *g, struct slice protocol)
{
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!group_protocol_find(m->protocols, protocol, NULL))
			return false;
	return true;
}

/* Every member votes for the first of the candidates in its list. */
static size_t count_votes(const struct group *g, const struct slice *candidates, size_t count,
			  struct slice candidate)
{
	size_t votes = 0;

	LIST_EACH (&g->members, struct group_member, link, m) {
		struct slice rest = m->protocols;
		struct group_protocol protocol;
		bool has_voted = false;
		while (!has_voted && group_protocol_next(&rest, &protocol))
			for (size_t i = 0; i < count && !has_voted; i++)
				if (slice_equal(protocol.name, candidates[i])) {
					has_voted = true;
					votes += slice_equal(protocol.name, candidate);
				}
	}
	return votes;
}

struct slice group_select_protocol(const struct group *g)
{
	const struct group_member *first = CONTAINER(g->members.next, struct group_member, link);
	struct slice candidates[GROUP_PROTOCOLS_MAX];
	struct slice rest = first->protocols, best = { 0 };
	struct group_protocol protocol;
	size_t count = 0, best_votes = 0;

	while (count < GROUP_PROTOCOLS_MAX && group_protocol_next(&rest, &protocol))
		if (group_all_have(g, protocol.name))
			candidates[count++] = protocol.name;
	if (count == 1)
		return candidates[0];
	for (size_t i = 0; i < count; i++) {
		size_t votes = count_votes(g, candidates, count, candidates[i]);
		if (votes > best_votes) {
			best_votes = votes;
			best = candidates[i];
		}
	}
	return best;
}

/* --- collecting joins --------------------------------------------------------------------------
 */

static bool all_have_joined(const struct group *g)
{
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!m->join_call)
			return false;
	return g->pending.count == 0;
}

/* Who did not come in time is out; static members may be away until their session ends. */
static void remove_absent(struct group *g)
{
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!m->join_call && !m->instance_id.data)
			group_remove_member(g, m, KAFKA_UNKNOWN_MEMBER_ID);
}

/* The leader must be somebody who is there to assign. */
static bool elect_leader(struct group *g)
{
	if (g->leader->join_call)
		return true;
	LIST_EACH (&g->members, struct group_member, link, m) {
		if (!m->join_call)
			continue;
		g->leader = m;
		return true;
	}
	return false;
}

static void begin_generation(struct group *g)
{
	struct slice protocol = group_select_protocol(g);

	assert(protocol.size > 0);
	group_own(&g->protocol, protocol);
	g->state = GROUP_COMPLETING;
	g->sync_deadline_ms = g->now_ms + group_rebalance_timeout_ms(g);
	group_touch(g);
	LIST_EACH (&g->members, struct group_member, link, m) {
		if (m->is_new)
			m->version = g->version; /* only now it is stored */
		m->is_new = false;
		m->owes_sync = true;
		if (m->join_call)
			group_answer_join(g, m, KAFKA_NONE);
		else
			group_renew_session(g, m);
	}
}

static void complete_join(struct group *g)
{
	g->join_deadline_ms = 0;
	remove_absent(g);
	if (g->member_count > 0 && !elect_leader(g)) {
		/* only static members, none of which is back */
		uint64_t timeout_ms = group_rebalance_timeout_ms(g);
		g->join_deadline_ms =
			g->now_ms + (timeout_ms ? timeout_ms : GROUP_SESSION_TIMEOUT_MS_MIN);
		return;
	}
	g->generation = group_next_generation(g);
	if (g->member_count > 0) {
		begin_generation(g);
		return;
	}
	group_disown(&g->protocol);
	g->state = GROUP_EMPTY;
	group_touch(g);
}

void group_maybe_complete_join(struct group *g)
{
	if (g->state == GROUP_PREPARING && !g->is_initial && all_have_joined(g))
		complete_join(g);
}

void group_prepare_rebalance(struct group *g)
{
	assert(g->state != GROUP_PREPARING);
	LIST_EACH (&g->members, struct group_member, link, m)
		if (m->sync_call)
			group_answer_sync(g, m, KAFKA_REBALANCE_IN_PROGRESS);

	uint64_t delay_ms = g->config.initial_delay_ms;
	uint64_t timeout_ms = group_rebalance_timeout_ms(g);
	g->is_initial = g->state == GROUP_EMPTY && delay_ms > 0;
	g->has_joined_since = false;
	g->sync_deadline_ms = 0;
	g->state = GROUP_PREPARING;
	if (g->is_initial) {
		g->initial_remaining_ms = timeout_ms > delay_ms ? timeout_ms - delay_ms : 0;
		g->join_deadline_ms = g->now_ms + delay_ms;
		return;
	}
	g->join_deadline_ms = g->now_ms + timeout_ms;
	group_maybe_complete_join(g);
}

void group_rebalance(struct group *g)
{
	if (g->state == GROUP_PREPARING)
		group_maybe_complete_join(g);
	else
		group_prepare_rebalance(g);
}

/* --- assignments -------------------------------------------------------------------------------
 */

static void answer_sync_error(struct group *g, void *call, int16_t error)
{
	struct group_answer answer = { .call = call, .error = error, .assignment = SLICE("") };

	g->effects->answer(g->effects, g, &answer);
}

void group_answer_sync(struct group *g, struct group_member *m, int16_t error)
{
	struct group_answer answer = {
		.call = m->sync_call,
		.error = error,
		.generation = g->generation,
		.member_id = m->member_id,
		.protocol_type = g->protocol_type,
		.protocol = g->protocol,
		.assignment = m->assignment,
	};

	m->sync_call = NULL;
	if (error)
		answer_sync_error(g, answer.call, error);
	else
		g->effects->answer(g->effects, g, &answer);
	group_renew_session(g, m);
}

static bool assignments_fit(const struct group_sync *sync)
{
	size_t bytes = 0;

	for (size_t i = 0; i < sync->assignment_count; i++) {
		if (sync->assignments[i].assignment.size > GROUP_MEMBER_ASSIGNMENT_BYTES_MAX)
			return false;
		bytes += sync->assignments[i].assignment.size;
	}
	return bytes <= GROUP_ASSIGNMENTS_BYTES_MAX;
}

static void assign(struct group *g, struct group_member *m, struct slice assignment)
{
	if (slice_equal(m->assignment, assignment))
		return;
	group_own(&m->assignment, assignment);
	group_touch_member(g, m);
}

/* The leader has spoken; members it did not name get nothing. */
static void take_assignments(struct group *g, const struct group_sync *sync)
{
	LIST_EACH (&g->members, struct group_member, link, m) {
		struct slice assignment = SLICE("");
		for (size_t i = 0; i < sync->assignment_count; i++)
			if (slice_equal(sync->assignments[i].member_id, m->member_id))
				assignment = sync->assignments[i].assignment;
		assign(g, m, assignment);
	}
	g->state = GROUP_STABLE;
	group_touch(g);
	LIST_EACH (&g->members, struct group_member, link, m)
		if (m->sync_call)
			group_answer_sync(g, m, KAFKA_NONE);
}

static int16_t check_sync(const struct group *g, const struct group_event *e,
			  struct group_member **ret)
{
	int16_t error = group_check_member(g, e->member_id, e->instance_id, ret);

	if (error)
		return error;
	if (e->generation != g->generation)
		return KAFKA_ILLEGAL_GENERATION;
	if (e->sync.protocol_type.data && !slice_equal(e->sync.protocol_type, g->protocol_type))
		return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	if (e->sync.protocol.data && !slice_equal(e->sync.protocol, g->protocol))
		return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	return g->state == GROUP_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

static void settle_sync(struct group *g)
{
	LIST_EACH (&g->members, struct group_member, link, m)
		if (m->owes_sync)
			return;
	g->sync_deadline_ms = 0;
}

void group_sync(struct group *g, const struct group_event *e)
{
	struct group_member *m;

	if (g->type == GROUP_CONSUMER) {
		group_consumer_sync(g, e);
		return;
	}
	int16_t error = check_sync(g, e, &m);

	if (!error && g->leader == m && g->state == GROUP_COMPLETING && !assignments_fit(&e->sync))
		error = KAFKA_UNKNOWN_SERVER_ERROR; /* Kafka's word for a record too large */
	if (error) {
		answer_sync_error(g, e->call, error);
		return;
	}
	if (m->sync_call) /* its client has given that one up */
		group_answer_sync(g, m, KAFKA_REBALANCE_IN_PROGRESS);
	m->sync_call = e->call;
	m->owes_sync = false;
	group_renew_session(g, m);
	settle_sync(g);
	if (g->state == GROUP_STABLE)
		group_answer_sync(g, m, KAFKA_NONE);
	else if (g->leader == m)
		take_assignments(g, &e->sync);
}

/* --- time --------------------------------------------------------------------------------------
 */

static void pass_join_deadline(struct group *g)
{
	uint64_t delay_ms = g->config.initial_delay_ms;

	if (g->is_initial && g->has_joined_since && g->initial_remaining_ms > 0) {
		if (delay_ms > g->initial_remaining_ms)
			delay_ms = g->initial_remaining_ms;
		g->initial_remaining_ms -= delay_ms;
		g->has_joined_since = false;
		g->join_deadline_ms = g->now_ms + delay_ms;
		return;
	}
	g->is_initial = false;
	complete_join(g);
}

static void pass_sync_deadline(struct group *g)
{
	size_t before = g->member_count;

	g->sync_deadline_ms = 0;
	LIST_EACH (&g->members, struct group_member, link, m)
		if (m->owes_sync)
			group_remove_member(g, m, KAFKA_UNKNOWN_MEMBER_ID);
	if (g->member_count != before)
		group_prepare_rebalance(g);
}

void group_pass_deadlines(struct group *g)
{
	if (g->join_deadline_ms && g->join_deadline_ms <= g->now_ms)
		pass_join_deadline(g);
	if (g->sync_deadline_ms && g->sync_deadline_ms <= g->now_ms)
		pass_sync_deadline(g);
}
