/* Members of the classic protocol in a group of the consumer protocol. */
#include "streams/coordinator/group_consumer_private.h"

static struct slice first_protocol(const struct group_member *m)
{
	struct slice rest = m->protocols;
	struct group_protocol protocol = { .name = SLICE("") };

	(void)group_protocol_next(&rest, &protocol);
	return protocol.name;
}

/* --- JoinGroup ---------------------------------------------------------------------------------
 */

/* The others of the classic protocol must have one of the protocols in common: they may be left
 * alone with each other. */
static bool is_compatible(const struct group *g, const struct group_event *e)
{
	struct slice rest = e->join.protocols;
	struct group_protocol protocol;

	if (!slice_equal(e->join.protocol_type, SLICE("consumer")))
		return false;
	while (group_protocol_next(&rest, &protocol)) {
		bool have_all = true;
		LIST_EACH (&g->members, struct group_member, link, m)
			if (group_member_is_classic(m) &&
			    !slice_equal(m->member_id, e->member_id) &&
			    !group_protocol_find(m->protocols, protocol.name, NULL))
				have_all = false;
		if (have_all)
			return true;
	}
	return false;
}

static int16_t find_static(struct group *g, const struct group_event *e, struct group_member **ret,
			   bool *ret_is_new)
{
	struct group_member *m = map_get(&g->by_instance_id, e->instance_id);
	bool is_stranger = e->member_id.size == 0;

	if (!m && !is_stranger)
		return KAFKA_UNKNOWN_MEMBER_ID;
	if (m && !is_stranger && !slice_equal(m->member_id, e->member_id))
		return KAFKA_FENCED_INSTANCE_ID;
	if (m && is_stranger)
		group_consumer_replace(g, m, e->join.new_member_id);
	*ret_is_new = !m;
	*ret = m ? m : group_consumer_add(g, e->join.new_member_id, e->instance_id);
	return KAFKA_NONE;
}

static int16_t find_dynamic(struct group *g, const struct group_event *e, struct group_member **ret,
			    bool *ret_is_new)
{
	bool is_stranger = e->member_id.size == 0;
	struct slice member_id = is_stranger ? e->join.new_member_id : e->member_id;
	struct group_member *m = group_find(g, member_id);

	if (is_stranger && e->join.needs_known_id)
		return KAFKA_MEMBER_ID_REQUIRED;
	if (m && m->instance_id.data)
		return KAFKA_UNKNOWN_MEMBER_ID;
	*ret_is_new = !m;
	*ret = m ? m : group_consumer_add(g, member_id, (struct slice) { 0 });
	return KAFKA_NONE;
}

static bool update_member(struct group *g, struct group_member *m, const struct group_event *e,
			  const struct consumer_subscription *subscription)
{
	const struct group_join *join = &e->join;
	bool wants_other = !group_member_is_classic(m);
	struct buf words;

	buf_init(&words);
	group_sort_words(subscription->topics, subscription->topic_count, &words);
	wants_other |=
		group_consumer_change(&m->topics, words.size ? buf_slice(&words) : SLICE(""));
	wants_other |= group_consumer_change(&m->pattern, SLICE(""));
	buf_done(&words);
	group_disown(&m->assignor);
	group_own(&m->rack_id, subscription->rack);
	group_own(&m->client_id, join->client_id);
	group_own(&m->client_host, join->client_host);
	(void)group_consumer_change(&m->protocols, join->protocols);
	m->session_timeout_ms = join->session_timeout_ms;
	m->rebalance_timeout_ms = join->rebalance_timeout_ms;
	group_consumer_touch(g, m);
	return wants_other;
}

static void answer_join(struct group *g, struct group_member *m, void *call)
{
	struct group_answer answer = {
		.call = call,
		.is_join = true,
		.generation = m->member_epoch,
		.member_id = m->member_id,
		.protocol_type = g->protocol_type,
		.protocol = first_protocol(m),
		.leader = SLICE(""), /* the server assigns */
	};

	g->effects->answer(g->effects, g, &answer);
}

static int16_t admit(struct group *g, const struct group_event *e,
		     const struct consumer_subscription *subscription)
{
	struct group_member *m = NULL;
	struct partition_set owned = { 0 };
	bool is_new = false;

	if (g->member_count >= g->config.members_max && !group_find(g, e->member_id) &&
	    !(e->instance_id.data && map_get(&g->by_instance_id, e->instance_id)))
		return KAFKA_GROUP_MAX_SIZE_REACHED;
	if (!is_compatible(g, e))
		return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	int16_t error = e->instance_id.data ? find_static(g, e, &m, &is_new)
					    : find_dynamic(g, e, &m, &is_new);
	if (error)
		return error;
	bool wants_other = update_member(g, m, e, subscription);
	group_target_update(g, is_new || wants_other);
	group_partitions_by_name(g, subscription->owned, subscription->owned_count, &owned);
	group_reconcile(g, m, &owned);
	partition_set_done(&owned);
	group_renew_session(g, m);
	group_consumer_wait_for(g, m); /* its SyncGroup */
	answer_join(g, m, e->call);
	return KAFKA_NONE;
}

void group_consumer_join(struct group *g, const struct group_event *e)
{
	struct slice rest = e->join.protocols;
	struct consumer_subscription subscription;
	struct group_protocol protocol;
	struct arena a;

	arena_init(&a);
	int16_t error = group_protocol_next(&rest, &protocol) &&
					consumer_subscription_decode(&a, protocol.metadata,
								     &subscription) == OK
				? admit(g, e, &subscription)
				: (int16_t)KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	if (error == KAFKA_MEMBER_ID_REQUIRED)
		group_answer_join_error(g, e->call, e->join.new_member_id, error);
	else if (error)
		group_answer_join_error(g, e->call, e->member_id, error);
	arena_done(&a);
}

/* --- SyncGroup and Heartbeat -------------------------------------------------------------------
 */

static int16_t check_member(const struct group *g, const struct group_event *e,
			    struct group_member **ret)
{
	int16_t error = group_check_member(g, e->member_id, e->instance_id, ret);

	if (error)
		return error;
	if (!group_member_is_classic(*ret))
		return KAFKA_UNKNOWN_MEMBER_ID;
	return e->generation == (*ret)->member_epoch ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
}

/* It has to join again, in time. */
static void expect_join(struct group *g, struct group_member *m)
{
	if (m->patience.index == 0)
		group_consumer_wait_for(g, m);
}

static int16_t check_sync(struct group *g, const struct group_event *e, struct group_member **ret)
{
	int16_t error = check_member(g, e, ret);

	if (error)
		return error;
	if (e->sync.protocol_type.data && !slice_equal(e->sync.protocol_type, g->protocol_type))
		return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	if (e->sync.protocol.data && !slice_equal(e->sync.protocol, first_protocol(*ret)))
		return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
	/* who has something to revoke gets its assignment first */
	if (g->generation == (*ret)->member_epoch || (*ret)->member_state == GROUP_MEMBER_UNREVOKED)
		return KAFKA_NONE;
	expect_join(g, *ret);
	return KAFKA_REBALANCE_IN_PROGRESS;
}

void group_consumer_sync(struct group *g, const struct group_event *e)
{
	struct group_answer answer = { .call = e->call, .assignment = SLICE("") };
	struct group_member *m;
	struct buf assignment;

	answer.error = check_sync(g, e, &m);
	buf_init(&assignment);
	if (!answer.error) {
		group_encode_assignment(g, m, &assignment);
		answer.generation = m->member_epoch;
		answer.member_id = m->member_id;
		answer.protocol_type = g->protocol_type;
		answer.protocol = first_protocol(m);
		answer.assignment = buf_slice(&assignment);
		heap_remove(&g->patience, &m->patience);
		if (m->member_state == GROUP_MEMBER_UNREVOKED)
			group_consumer_wait_for(g, m);
		group_renew_session(g, m);
	}
	g->effects->answer(g->effects, g, &answer);
	buf_done(&assignment);
}

/* Whoever could move on by joining again is told to. */
int16_t group_consumer_heartbeat(struct group *g, const struct group_event *e)
{
	struct group_member *m;
	int16_t error = check_member(g, e, &m);

	if (error)
		return error;
	group_renew_session(g, m);
	if (m->member_epoch == g->generation && m->member_state == GROUP_MEMBER_STABLE)
		return KAFKA_NONE;
	if (m->member_epoch == g->generation && m->member_state == GROUP_MEMBER_UNRELEASED &&
	    group_waits_for_others(g, m))
		return KAFKA_NONE;
	expect_join(g, m);
	return KAFKA_REBALANCE_IN_PROGRESS;
}
