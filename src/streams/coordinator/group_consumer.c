#include "streams/coordinator/group_consumer_private.h"

#include <assert.h>

#include "streams/coordinator/assignor.h"

const char *group_type_name(enum group_type type)
{
	static const char *const names[GROUP_TYPE_COUNT] = {
		[GROUP_CLASSIC] = "classic",
		[GROUP_CONSUMER] = "consumer",
		[GROUP_SHARE] = "share",
	};

	return names[type];
}

const char *group_consumer_state_name(const struct group *g)
{
	if (g->member_count == 0)
		return "Empty";
	if (g->generation != g->assignment_epoch)
		return "Assigning";
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!group_is_reconciled(g, m))
			return "Reconciling";
	return "Stable";
}

/* --- changes -----------------------------------------------------------------------------------
 */

void group_consumer_touch(struct group *g, struct group_member *m)
{
	group_touch_member(g, m);
	g->is_changed = true;
}

bool group_consumer_change(struct slice *owned, struct slice value)
{
	if (!value.data || (owned->data && slice_equal(*owned, value)))
		return false;
	group_own(owned, value);
	return true;
}

void group_consumer_left(struct group *g)
{
	g->generation = group_next_generation(g);
	if (g->member_count == 0)
		g->state = GROUP_EMPTY;
	g->is_changed = true;
}

void group_consumer_wait_for(struct group *g, struct group_member *m)
{
	heap_remove(&g->patience, &m->patience);
	heap_add(&g->patience, &m->patience, g->now_ms + (uint64_t)m->rebalance_timeout_ms);
}

void group_consumer_pass_deadlines(struct group *g)
{
	struct heap_node *node;
	bool has_left = false;

	while ((node = heap_first(&g->patience)) && node->key <= g->now_ms) {
		group_remove_member(g, CONTAINER(node, struct group_member, patience),
				    KAFKA_UNKNOWN_MEMBER_ID);
		has_left = true;
	}
	if (has_left)
		group_consumer_left(g);
}

static bool all_are_classic(const struct group *g)
{
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!group_member_is_classic(m))
			return false;
	return true;
}

void group_consumer_settle(struct group *g)
{
	if (g->member_count > 0 && all_are_classic(g))
		group_downgrade(g);
	if (g->is_changed)
		group_touch(g);
}

enum err group_consumer_restored(struct group *g, uint64_t now_ms)
{
	g->now_ms = now_ms;
	g->state = g->member_count > 0 ? GROUP_STABLE : GROUP_EMPTY;
	LIST_EACH (&g->members, struct group_member, link, m) {
		if (m->member_epoch < GROUP_EPOCH_LEAVE_STATIC)
			return ERR_CORRUPT;
		group_renew_session(g, m);
		if (m->member_state == GROUP_MEMBER_UNREVOKED)
			group_consumer_wait_for(g, m);
	}
	return OK;
}

/* --- members -----------------------------------------------------------------------------------
 */

struct group_member *group_consumer_add(struct group *g, struct slice member_id,
					struct slice instance_id)
{
	struct group_member *m = group_member_new(member_id, instance_id);

	group_own(&m->protocols, SLICE(""));
	group_own(&m->assignment, SLICE(""));
	group_own(&m->topics, SLICE(""));
	group_own(&m->pattern, SLICE(""));
	group_own(&m->client_id, SLICE(""));
	group_own(&m->client_host, SLICE(""));
	m->previous_epoch = -1;
	group_add_member(g, m);
	g->state = GROUP_STABLE;
	group_consumer_touch(g, m);
	return m;
}

void group_consumer_replace(struct group *g, struct group_member *m, struct slice member_id)
{
	group_rename_member(g, m, member_id);
	m->member_epoch = 0;
	m->previous_epoch = -1;
	m->member_state = GROUP_MEMBER_STABLE;
	partition_set_clear(&m->revoking);
	heap_remove(&g->patience, &m->patience);
	group_consumer_touch(g, m);
}

/* --- a heartbeat: who is it? -------------------------------------------------------------------
 */

static int16_t refuse(struct group_event *e, int16_t error, const char *message)
{
	e->beat->message = message;
	return error;
}

static int16_t check_epoch(const struct group_member *m, struct group_event *e)
{
	const struct partition_set *owned = e->beat->owned;

	if (e->generation == m->member_epoch)
		return KAFKA_NONE;
	if (e->generation > m->member_epoch)
		return refuse(e, KAFKA_FENCED_MEMBER_EPOCH,
			      "The member epoch is larger than the coordinator's: the member must"
			      " abandon all its partitions and rejoin.");
	/* The answer that would have told it of its new epoch was lost. */
	if (e->generation == m->previous_epoch && owned &&
	    partition_set_is_within(owned, &m->assigned))
		return KAFKA_NONE;
	return refuse(e, KAFKA_FENCED_MEMBER_EPOCH,
		      "The member epoch is smaller than the coordinator's: the member must abandon"
		      " all its partitions and rejoin.");
}

/* The group as one of this protocol, with room for one more. */
static int16_t open_group(struct group *g, struct group_event *e)
{
	bool is_joining = e->generation == 0;
	bool is_member = group_find(g, e->member_id) ||
			 (e->instance_id.data && map_get(&g->by_instance_id, e->instance_id));

	if (g->type == GROUP_CLASSIC &&
	    (!is_joining || (g->member_count > 0 && !group_can_upgrade(g))))
		return refuse(e, KAFKA_GROUP_ID_NOT_FOUND, "The group is not a consumer group.");
	if (g->type == GROUP_CONSUMER && g->member_count == 0 && !is_joining)
		return refuse(e, KAFKA_UNKNOWN_MEMBER_ID, "There is no such member.");
	if (g->member_count >= g->config.members_max && !is_member)
		return refuse(e, KAFKA_GROUP_MAX_SIZE_REACHED,
			      "The consumer group has reached its maximum capacity.");
	if (g->type == GROUP_CLASSIC)
		group_upgrade(g);
	return KAFKA_NONE;
}

static int16_t find_static(struct group *g, struct group_event *e, struct group_member **ret,
			   bool *ret_is_new)
{
	struct group_member *m = map_get(&g->by_instance_id, e->instance_id);

	if (!m && e->generation != 0)
		return refuse(e, KAFKA_UNKNOWN_MEMBER_ID, "There is no such instance.");
	if (!m) {
		if (group_find(g, e->member_id))
			return refuse(e, KAFKA_INVALID_REQUEST,
				      "Another instance has this member id.");
		*ret = group_consumer_add(g, e->member_id, e->instance_id);
		*ret_is_new = true;
		return KAFKA_NONE;
	}
	*ret = m;
	bool is_same = slice_equal(m->member_id, e->member_id);
	if (e->generation != 0)
		return is_same ? check_epoch(m, e)
			       : refuse(e, KAFKA_FENCED_INSTANCE_ID,
					"The instance is in use under another member id.");
	if (!is_same && !group_member_is_classic(m) && m->member_epoch != GROUP_EPOCH_LEAVE_STATIC)
		return refuse(e, KAFKA_UNRELEASED_INSTANCE_ID,
			      "The instance is in use by a member that has not left.");
	if (!is_same && group_find(g, e->member_id))
		return refuse(e, KAFKA_INVALID_REQUEST, "Another member has this id.");
	if (!is_same || m->member_epoch == GROUP_EPOCH_LEAVE_STATIC)
		group_consumer_replace(g, m, e->member_id);
	return KAFKA_NONE;
}

static int16_t find_dynamic(struct group *g, struct group_event *e, struct group_member **ret,
			    bool *ret_is_new)
{
	struct group_member *m = group_find(g, e->member_id);

	if (!m && e->generation != 0)
		return refuse(e, KAFKA_UNKNOWN_MEMBER_ID, "There is no such member.");
	*ret_is_new = !m;
	*ret = m ? m : group_consumer_add(g, e->member_id, (struct slice) { 0 });
	return e->generation == 0 ? KAFKA_NONE : check_epoch(*ret, e);
}

/* --- a heartbeat: what is new? -----------------------------------------------------------------
 */

/* True: what the members want has changed. */
static bool update_member(struct group *g, struct group_member *m, const struct group_beat *beat)
{
	struct slice favourite = group_consumer_assignor(g);
	bool is_other = false, wants_other = group_member_is_classic(m);

	if (wants_other)
		group_own(&m->protocols, SLICE(""));
	is_other |= group_consumer_change(&m->client_id, beat->client_id);
	is_other |= group_consumer_change(&m->client_host, beat->client_host);
	is_other |= group_consumer_change(&m->rack_id, beat->rack_id);
	is_other |= group_consumer_change(&m->assignor, beat->assignor);
	wants_other |= group_consumer_change(&m->topics, beat->topics);
	wants_other |= m->pattern_waits;
	m->pattern_waits = false;
	if (group_consumer_change(&m->pattern, beat->pattern)) {
		/* As with Kafka, which takes its time for these: clients wait for the two parts
		 * of what they get, one after the other. */
		m->pattern_waits = m->pattern.size > 0 && m->topics.size > 0;
		wants_other = true;
	}
	wants_other |= !slice_equal(favourite, group_consumer_assignor(g));
	if (beat->rebalance_timeout_ms >= 0 &&
	    m->rebalance_timeout_ms != beat->rebalance_timeout_ms) {
		m->rebalance_timeout_ms = beat->rebalance_timeout_ms;
		is_other = true;
	}
	if (m->session_timeout_ms != beat->session_timeout_ms) {
		m->session_timeout_ms = beat->session_timeout_ms;
		is_other = true;
	}
	if (is_other || wants_other)
		group_consumer_touch(g, m);
	return wants_other;
}

static bool words_fit(const struct group *g, const struct group_member *m,
		      const struct group_beat *beat)
{
	size_t bytes = beat->topics.size + beat->pattern.size;

	LIST_EACH (&g->members, struct group_member, link, other)
		if (other != m)
			bytes += other->topics.size + other->pattern.size + other->protocols.size;
	return bytes <= GROUP_PROTOCOLS_BYTES_MAX;
}

static int16_t stay(struct group *g, struct group_event *e)
{
	struct group_beat *beat = e->beat;
	struct partition_set before = { 0 };
	struct group_member *m = NULL;
	bool is_new = false;

	if (!words_fit(g, group_find(g, e->member_id), beat))
		return refuse(e, KAFKA_GROUP_MAX_SIZE_REACHED,
			      "The members' subscriptions are too large together.");
	int16_t error = open_group(g, e);
	if (!error)
		error = e->instance_id.data ? find_static(g, e, &m, &is_new)
					    : find_dynamic(g, e, &m, &is_new);
	if (error)
		return error;
	bool wants_other = update_member(g, m, beat);
	group_target_update(g, is_new || wants_other);
	partition_set_copy(&before, &m->assigned);
	group_reconcile(g, m, beat->owned);
	group_renew_session(g, m);

	beat->member_epoch = m->member_epoch;
	beat->has_assignment =
		e->generation == 0 || beat->is_full || !partition_set_equal(&before, &m->assigned);
	if (beat->has_assignment)
		partition_set_copy(&beat->assignment, &m->assigned);
	partition_set_done(&before);
	return KAFKA_NONE;
}

/* --- a heartbeat: leaving ----------------------------------------------------------------------
 */

static int16_t leave(struct group *g, struct group_event *e)
{
	struct group_member *m = e->instance_id.data ? map_get(&g->by_instance_id, e->instance_id)
						     : group_find(g, e->member_id);

	e->beat->member_epoch = e->generation;
	if (g->type == GROUP_CLASSIC)
		return refuse(e, KAFKA_GROUP_ID_NOT_FOUND, "The group is not a consumer group.");
	if (!m)
		return refuse(e, KAFKA_UNKNOWN_MEMBER_ID, "There is no such member.");
	if (!slice_equal(m->member_id, e->member_id))
		return refuse(e, KAFKA_FENCED_INSTANCE_ID,
			      "The instance is in use under another member id.");
	if (e->generation == GROUP_EPOCH_LEAVE_STATIC) {
		/* it keeps its partitions until its session ends */
		m->previous_epoch = m->member_epoch;
		m->member_epoch = GROUP_EPOCH_LEAVE_STATIC;
		partition_set_clear(&m->revoking);
		heap_remove(&g->patience, &m->patience);
		group_consumer_touch(g, m);
		return KAFKA_NONE;
	}
	group_remove_member(g, m, KAFKA_UNKNOWN_MEMBER_ID);
	group_consumer_left(g);
	return KAFKA_NONE;
}

void group_beat(struct group *g, struct group_event *e)
{
	assert(g->config.topics);
	e->error = e->generation < 0 ? leave(g, e) : stay(g, e);
}

/* --- offsets -----------------------------------------------------------------------------------
 */

static int16_t check_member_epoch(const struct group_member *m, int32_t epoch)
{
	if (epoch == m->member_epoch)
		return KAFKA_NONE;
	return group_member_is_classic(m) ? KAFKA_ILLEGAL_GENERATION : KAFKA_STALE_MEMBER_EPOCH;
}

int16_t group_consumer_check_commit(const struct group *g, const struct group_event *e)
{
	const struct group_member *m = group_find(g, e->member_id);

	if (e->generation < 0 && g->member_count == 0)
		return KAFKA_NONE;
	if (e->commit.is_transaction && e->generation < 0 && e->member_id.size == 0 &&
	    !e->instance_id.data)
		return KAFKA_NONE;
	if (!m)
		return KAFKA_UNKNOWN_MEMBER_ID;
	if (e->commit.is_old && !group_member_is_classic(m))
		return KAFKA_UNSUPPORTED_VERSION;
	int16_t error = check_member_epoch(m, e->generation);
	/* the only word for it that TxnOffsetCommit has */
	return error && e->commit.is_transaction ? (int16_t)KAFKA_ILLEGAL_GENERATION : error;
}

int16_t group_check_fetch(const struct group *g, struct slice member_id, int32_t epoch)
{
	const struct group_member *m = group_find(g, member_id);

	if (g->type == GROUP_CLASSIC || (!member_id.data && epoch < 0))
		return KAFKA_NONE;
	return m ? check_member_epoch(m, epoch) : (int16_t)KAFKA_UNKNOWN_MEMBER_ID;
}
