#include "streams/coordinator/group.h"

#include <assert.h>

#include "base/memory.h"
#include "streams/coordinator/group_consumer_private.h"

const char *group_state_name(enum group_state state)
{
	static const char *const names[GROUP_STATE_COUNT] = {
		[GROUP_EMPTY] = "Empty",
		[GROUP_PREPARING] = "PreparingRebalance",
		[GROUP_COMPLETING] = "CompletingRebalance",
		[GROUP_STABLE] = "Stable",
	};

	return names[state];
}

/* --- life --------------------------------------------------------------------------------------
 */

void group_init(struct group *g, struct slice name, const struct group_config *config)
{
	*g = (struct group) { .config = *config };
	group_own(&g->name, name);
	group_own(&g->protocol_type, SLICE(""));
	list_init(&g->members);
	map_init(&g->by_member_id);
	map_init(&g->by_instance_id);
	map_init(&g->pending);
	heap_init(&g->pending_deadlines);
	heap_init(&g->session_deadlines);
	heap_init(&g->patience);
}

static void free_pending(struct group *g, struct group_pending *p)
{
	heap_remove(&g->pending_deadlines, &p->deadline);
	map_remove(&g->pending, p->member_id);
	group_disown(&p->member_id);
	memory_free(p);
}

void group_drop_pending(struct group *g)
{
	struct heap_node *node;

	while ((node = heap_first(&g->pending_deadlines)))
		free_pending(g, CONTAINER(node, struct group_pending, deadline));
}

void group_done(struct group *g)
{
	group_drop_pending(g);
	LIST_EACH (&g->members, struct group_member, link, m)
		group_member_free(m);
	map_done(&g->by_member_id);
	map_done(&g->by_instance_id);
	map_done(&g->pending);
	heap_done(&g->pending_deadlines);
	heap_done(&g->session_deadlines);
	heap_done(&g->patience);
	group_disown(&g->name);
	group_disown(&g->protocol_type);
	group_disown(&g->protocol);
}

void group_restore_member(struct group *g, struct group_member *m)
{
	group_add_member(g, m);
	m->version = 0;
}

enum err group_restored(struct group *g, struct slice leader, uint64_t now_ms)
{
	if (g->member_count == 0) {
		g->state = GROUP_EMPTY;
		return OK;
	}
	if (g->state == GROUP_EMPTY)
		return ERR_CORRUPT;
	if (group_select_protocol(g).size == 0)
		return ERR_CORRUPT;
	struct group_member *m = group_find(g, leader);
	if (m) /* it may have been a new member, which is not stored; then it is the first */
		g->leader = m;

	g->now_ms = now_ms;
	if (g->state == GROUP_PREPARING)
		g->join_deadline_ms = now_ms + group_rebalance_timeout_ms(g);
	if (g->state == GROUP_COMPLETING)
		g->sync_deadline_ms = now_ms + group_rebalance_timeout_ms(g);
	LIST_EACH (&g->members, struct group_member, link, member) {
		member->owes_sync = g->state == GROUP_COMPLETING;
		group_renew_session(g, member);
	}
	return OK;
}

bool group_is_idle(const struct group *g)
{
	return g->state == GROUP_EMPTY && g->pending.count == 0;
}

/* --- members -----------------------------------------------------------------------------------
 */

void group_touch(struct group *g)
{
	g->version++;
}

void group_touch_member(struct group *g, struct group_member *m)
{
	m->version = g->version + 1;
}

struct group_member *group_find(const struct group *g, struct slice member_id)
{
	return map_get(&g->by_member_id, member_id);
}

void group_add_member(struct group *g, struct group_member *m)
{
	list_add(&g->members, &m->link);
	g->member_count++;
	map_put(&g->by_member_id, m->member_id, m);
	if (m->instance_id.data)
		map_put(&g->by_instance_id, m->instance_id, m);
	if (!g->leader)
		g->leader = m;
	group_touch_member(g, m);
}

void group_remove_member(struct group *g, struct group_member *m, int16_t error)
{
	if (m->join_call)
		group_answer_join(g, m, error);
	if (m->sync_call)
		group_answer_sync(g, m, error);
	if (!m->is_new) {
		g->removed_version = g->version + 1;
		group_touch(g);
	}
	heap_remove(&g->session_deadlines, &m->deadline);
	heap_remove(&g->patience, &m->patience);
	map_remove(&g->by_member_id, m->member_id);
	if (m->instance_id.data)
		map_remove(&g->by_instance_id, m->instance_id);
	list_remove(&m->link);
	g->member_count--;
	if (g->leader == m)
		g->leader = list_is_empty(&g->members)
				    ? NULL
				    : CONTAINER(g->members.next, struct group_member, link);
	group_member_free(m);
}

void group_rename_member(struct group *g, struct group_member *m, struct slice member_id)
{
	if (!m->is_new)
		g->removed_version = g->version + 1;
	map_remove(&g->by_member_id, m->member_id);
	group_own(&m->member_id, member_id);
	map_put(&g->by_member_id, m->member_id, m);
	group_touch_member(g, m);
}

int32_t group_next_generation(const struct group *g)
{
	return g->generation == INT32_MAX ? 1 : g->generation + 1;
}

void group_add_pending(struct group *g, struct slice member_id, int32_t timeout_ms)
{
	struct group_pending *p = NEW(struct group_pending);

	group_own(&p->member_id, member_id);
	map_put(&g->pending, p->member_id, p);
	heap_add(&g->pending_deadlines, &p->deadline, g->now_ms + (uint64_t)timeout_ms);
}

bool group_remove_pending(struct group *g, struct slice member_id)
{
	struct group_pending *p = map_get(&g->pending, member_id);

	if (p)
		free_pending(g, p);
	return p != NULL;
}

int16_t group_check_member(const struct group *g, struct slice member_id, struct slice instance_id,
			   struct group_member **ret)
{
	struct group_member *m = instance_id.data ? map_get(&g->by_instance_id, instance_id)
						  : group_find(g, member_id);

	if (!m)
		return KAFKA_UNKNOWN_MEMBER_ID;
	if (!slice_equal(m->member_id, member_id))
		return KAFKA_FENCED_INSTANCE_ID;
	if (ret)
		*ret = m;
	return KAFKA_NONE;
}

struct slice group_member_metadata(const struct group *g, const struct group_member *m)
{
	struct group_protocol protocol = { .metadata = SLICE("") };

	(void)group_protocol_find(m->protocols, g->protocol, &protocol);
	return protocol.metadata;
}

uint64_t group_rebalance_timeout_ms(const struct group *g)
{
	int32_t longest_ms = 0;

	LIST_EACH (&g->members, struct group_member, link, m)
		if (m->rebalance_timeout_ms > longest_ms)
			longest_ms = m->rebalance_timeout_ms;
	return (uint64_t)longest_ms;
}

/* Who waits for us does not send heartbeats.  Only a new member has a deadline then: nobody would
 * notice that it is gone. */
void group_renew_session(struct group *g, struct group_member *m)
{
	uint64_t timeout_ms = (uint64_t)m->session_timeout_ms;
	bool waits = m->join_call || m->sync_call;

	heap_remove(&g->session_deadlines, &m->deadline);
	if (m->join_call && m->is_new)
		timeout_ms = GROUP_NEW_MEMBER_JOIN_MS;
	else if (waits)
		return;
	heap_add(&g->session_deadlines, &m->deadline, g->now_ms + timeout_ms);
}

/* --- heartbeats and commits --------------------------------------------------------------------
 */

static int16_t heartbeat(struct group *g, const struct group_event *e)
{
	struct group_member *m;

	if (g->type == GROUP_CONSUMER)
		return group_consumer_heartbeat(g, e);
	int16_t error = group_check_member(g, e->member_id, e->instance_id, &m);
	if (error)
		return error;
	if (e->generation != g->generation)
		return KAFKA_ILLEGAL_GENERATION;
	group_renew_session(g, m);
	return g->state == GROUP_PREPARING ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

static int16_t check_commit(struct group *g, const struct group_event *e)
{
	struct group_member *m;

	if (g->type == GROUP_CONSUMER)
		return group_consumer_check_commit(g, e);
	/* Administrators, and consumers that choose their partitions themselves. */
	if (e->generation < 0 && g->state == GROUP_EMPTY)
		return KAFKA_NONE;
	if (e->generation < 0 && e->member_id.size == 0 && !e->instance_id.data)
		return KAFKA_UNKNOWN_MEMBER_ID;

	int16_t error = group_check_member(g, e->member_id, e->instance_id, &m);
	if (error)
		return error;
	if (e->generation != g->generation)
		return KAFKA_ILLEGAL_GENERATION;
	if (g->state == GROUP_COMPLETING && !e->commit.is_transaction)
		return KAFKA_REBALANCE_IN_PROGRESS;
	group_renew_session(g, m);
	return KAFKA_NONE;
}

/* --- leaving -----------------------------------------------------------------------------------
 */

static int16_t leave_one(struct group *g, const struct group_leaver *leaver)
{
	struct group_member *m = NULL;

	if (leaver->member_id.size == 0) {
		if (leaver->instance_id.data)
			m = map_get(&g->by_instance_id, leaver->instance_id);
		if (!m)
			return KAFKA_UNKNOWN_MEMBER_ID;
	} else if (group_remove_pending(g, leaver->member_id)) {
		return KAFKA_NONE;
	} else {
		int16_t error = group_check_member(g, leaver->member_id, leaver->instance_id, &m);
		if (error)
			return error;
		if (g->type == GROUP_CONSUMER && !group_member_is_classic(m))
			return KAFKA_UNKNOWN_MEMBER_ID;
	}
	group_remove_member(g, m, KAFKA_UNKNOWN_MEMBER_ID);
	return KAFKA_NONE;
}

static void leave(struct group *g, struct group_event *e)
{
	size_t before = g->member_count;

	for (size_t i = 0; i < e->leave.count; i++)
		e->leave.leavers[i].error = leave_one(g, &e->leave.leavers[i]);
	if (g->type == GROUP_CLASSIC && (g->member_count != before || g->state == GROUP_PREPARING))
		group_rebalance(g);
	else if (g->member_count != before)
		group_consumer_left(g);
}

/* --- time --------------------------------------------------------------------------------------
 */

static bool is_due(struct heap *h, uint64_t now_ms, struct heap_node **ret)
{
	*ret = heap_first(h);
	return *ret && (*ret)->key <= now_ms;
}

static void tick(struct group *g)
{
	struct heap_node *node;
	bool has_left = false;

	while (is_due(&g->pending_deadlines, g->now_ms, &node)) {
		free_pending(g, CONTAINER(node, struct group_pending, deadline));
		has_left = g->state == GROUP_PREPARING;
	}
	while (is_due(&g->session_deadlines, g->now_ms, &node)) {
		group_remove_member(g, CONTAINER(node, struct group_member, deadline),
				    KAFKA_UNKNOWN_MEMBER_ID);
		has_left = true;
	}
	if (has_left && g->type == GROUP_CONSUMER)
		group_consumer_left(g);
	else if (has_left)
		group_rebalance(g);
	group_pass_deadlines(g);
	group_consumer_pass_deadlines(g);
}

static uint64_t earlier(uint64_t at_ms, uint64_t deadline_ms)
{
	return deadline_ms && deadline_ms < at_ms ? deadline_ms : at_ms;
}

uint64_t group_deadline_ms(const struct group *g)
{
	const struct heap_node *pending = heap_first(&g->pending_deadlines);
	const struct heap_node *session = heap_first(&g->session_deadlines);
	const struct heap_node *patience = heap_first(&g->patience);
	uint64_t at_ms = UINT64_MAX;

	if (patience)
		at_ms = earlier(at_ms, patience->key);
	if (pending)
		at_ms = earlier(at_ms, pending->key);
	if (session)
		at_ms = earlier(at_ms, session->key);
	return earlier(earlier(at_ms, g->join_deadline_ms), g->sync_deadline_ms);
}

static void postpone(struct heap *h, struct heap_node *node, uint64_t late_ms)
{
	uint64_t key = node->key;

	if (node->index == 0)
		return;
	heap_remove(h, node);
	heap_add(h, node, key + late_ms);
}

void group_postpone(struct group *g, uint64_t late_ms)
{
	struct group_pending *p;
	size_t cursor = 0;

	LIST_EACH (&g->members, struct group_member, link, m) {
		postpone(&g->session_deadlines, &m->deadline, late_ms);
		postpone(&g->patience, &m->patience, late_ms);
	}
	while ((p = map_next(&g->pending, &cursor)))
		postpone(&g->pending_deadlines, &p->deadline, late_ms);
	if (g->join_deadline_ms)
		g->join_deadline_ms += late_ms;
	if (g->sync_deadline_ms)
		g->sync_deadline_ms += late_ms;
}

/* --- events ------------------------------------------------------------------------------------
 */

/* Its client comes back with the same request, or its session runs out. */
static void forget(struct group *g, const void *call)
{
	LIST_EACH (&g->members, struct group_member, link, m) {
		if (m->join_call != call && m->sync_call != call)
			continue;
		if (m->sync_call == call) {
			m->sync_call = NULL;
			m->owes_sync = true;
		} else {
			m->join_call = NULL;
		}
		group_renew_session(g, m);
		return;
	}
}

void group_step(struct group *g, struct group_event *event, struct group_effects *effects)
{
	g->now_ms = event->now_ms;
	g->effects = effects;
	g->is_changed = false;
	switch (event->kind) {
	case GROUP_JOIN:
		group_join(g, event);
		break;
	case GROUP_SYNC:
		group_sync(g, event);
		break;
	case GROUP_HEARTBEAT:
		event->error = heartbeat(g, event);
		break;
	case GROUP_LEAVE:
		leave(g, event);
		break;
	case GROUP_COMMIT:
		event->error = check_commit(g, event);
		break;
	case GROUP_FORGET:
		forget(g, event->call);
		break;
	case GROUP_TICK:
		tick(g);
		break;
	case GROUP_BEAT:
		group_beat(g, event);
		break;
	}
	if (g->type == GROUP_CONSUMER)
		group_consumer_settle(g);
	g->effects = NULL;
	assert((g->member_count == 0) == (g->leader == NULL));
	assert(g->state != GROUP_EMPTY || g->member_count == 0);
}
