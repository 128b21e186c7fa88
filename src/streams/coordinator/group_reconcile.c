#include "streams/coordinator/group_consumer_private.h"

bool group_is_reconciled(const struct group *g, const struct group_member *m)
{
	return m->member_state == GROUP_MEMBER_STABLE && m->member_epoch == g->assignment_epoch;
}

/* Not only what others are assigned: what they have not given back yet is theirs too. */
static bool is_with_others(const struct group *g, const struct group_member *m,
			   const struct topic_partition *item)
{
	LIST_EACH (&g->members, struct group_member, link, other)
		if (other != m && (partition_set_has(&other->assigned, item) ||
				   partition_set_has(&other->revoking, item)))
			return true;
	return false;
}

bool group_waits_for_others(const struct group *g, const struct group_member *m)
{
	for (size_t i = 0; i < m->target.count; i++)
		if (!partition_set_has(&m->assigned, &m->target.items[i]) &&
		    is_with_others(g, m, &m->target.items[i]))
			return true;
	return false;
}

/* To the assigned partitions, what is free of the target; true: something is not. */
static bool add_free(const struct group *g, struct group_member *m)
{
	struct partition_set free = { 0 };
	bool is_waiting = false;

	for (size_t i = 0; i < m->target.count; i++) {
		const struct topic_partition *item = &m->target.items[i];
		if (partition_set_has(&m->assigned, item))
			continue;
		if (is_with_others(g, m, item))
			is_waiting = true;
		else
			partition_set_add(&free, item);
	}
	partition_set_unite(&m->assigned, &free);
	partition_set_done(&free);
	return is_waiting;
}

static void set_epoch(struct group_member *m, int32_t epoch)
{
	if (m->member_epoch == epoch)
		return;
	m->previous_epoch = m->member_epoch;
	m->member_epoch = epoch;
}

static void advance(struct group *g, struct group_member *m, int32_t epoch,
		    const struct partition_set *owned)
{
	struct partition_set extra = { 0 };

	partition_set_copy(&extra, &m->assigned);
	partition_set_remove(&extra, &m->target);
	partition_set_keep(&m->assigned, &m->target);
	partition_set_clear(&m->revoking);
	if (extra.count > 0 && (!owned || partition_set_overlaps(owned, &extra))) {
		partition_set_swap(&m->revoking, &extra);
		m->member_state = GROUP_MEMBER_UNREVOKED;
		set_epoch(m, epoch);
		group_consumer_wait_for(g, m);
	} else {
		bool is_waiting = add_free(g, m);
		m->member_state = is_waiting ? GROUP_MEMBER_UNRELEASED : GROUP_MEMBER_STABLE;
		set_epoch(m, g->assignment_epoch);
		heap_remove(&g->patience, &m->patience);
	}
	partition_set_done(&extra);
}

void group_reconcile(struct group *g, struct group_member *m, const struct partition_set *owned)
{
	int32_t epoch = m->member_epoch;

	switch (m->member_state) {
	case GROUP_MEMBER_STABLE:
		if (epoch == g->assignment_epoch)
			return;
		break;
	case GROUP_MEMBER_UNREVOKED:
		if (!owned || partition_set_overlaps(owned, &m->revoking))
			return;
		epoch++; /* below the target's: that is why there was something to revoke */
		break;
	case GROUP_MEMBER_UNRELEASED:
		break;
	case GROUP_MEMBER_STATE_COUNT:
		return;
	}

	struct partition_set before = { 0 };
	enum group_member_state state = m->member_state;
	int32_t old_epoch = m->member_epoch;
	partition_set_copy(&before, &m->assigned);
	advance(g, m, epoch, owned);
	if (state != m->member_state || old_epoch != m->member_epoch ||
	    !partition_set_equal(&before, &m->assigned))
		group_consumer_touch(g, m);
	partition_set_done(&before);
}
