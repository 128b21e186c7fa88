/* From the classic protocol to the consumer protocol and back, while members go on. */
#include <stdlib.h>

#include "streams/coordinator/group_consumer_private.h"
#include "streams/coordinator/topic_pattern.h"

/* --- names and ids -----------------------------------------------------------------------------
 */

static int compare_words(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

void group_sort_words(const struct slice *words, size_t count, struct buf *out)
{
	struct slice *sorted = memory_take_array(count + 1, sizeof(*sorted));

	if (count > 0)
		memcpy(sorted, words, count * sizeof(*sorted));
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare_words);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || !slice_equal(sorted[i - 1], sorted[i]))
			group_word_add(out, sorted[i]);
	memory_free(sorted);
}

void group_partitions_by_name(const struct group *g, const struct consumer_topic *topics,
			      size_t count, struct partition_set *ret)
{
	struct group_topic found;
	struct arena a;

	arena_init(&a);
	for (size_t i = 0; i < count; i++) {
		if (!g->config.topics->by_name(g->config.topics, &a, topics[i].name, &found))
			continue;
		for (size_t k = 0; k < topics[i].partition_count; k++) {
			struct topic_partition item = { found.topic_id, topics[i].partitions[k] };
			if (item.partition >= 0 && item.partition < found.partition_count)
				partition_set_add(ret, &item);
		}
	}
	partition_set_sort(ret);
	arena_done(&a);
}

/* In the version of the member's own subscription. */
void group_encode_assignment(const struct group *g, const struct group_member *m, struct buf *out)
{
	const struct partition_set *s = &m->assigned;
	struct consumer_subscription subscription = { 0 };
	struct consumer_assignment assignment = { 0 };
	struct slice rest = m->protocols;
	struct group_protocol protocol;
	struct arena a;

	arena_init(&a);
	if (group_protocol_next(&rest, &protocol) &&
	    consumer_subscription_decode(&a, protocol.metadata, &subscription))
		subscription.version = 0;
	assignment.topics = arena_take_array(&a, s->count, sizeof(*assignment.topics));
	for (size_t at = 0, end; at < s->count; at = end) {
		struct consumer_topic *topic = &assignment.topics[assignment.topic_count];
		struct group_topic found;
		end = partition_set_topic_end(s, at);
		if (!g->config.topics->by_id(g->config.topics, &a, &s->items[at].topic_id, &found))
			continue;
		topic->name = found.name;
		topic->partitions = arena_take_array(&a, end - at, sizeof(*topic->partitions));
		for (size_t i = at; i < end; i++)
			topic->partitions[topic->partition_count++] = s->items[i].partition;
		assignment.topic_count++;
	}
	consumer_assignment_encode(subscription.version, &assignment, out);
	arena_done(&a);
}

/* --- upgrade -----------------------------------------------------------------------------------
 */

static bool decode_first(struct arena *a, const struct group_member *m,
			 struct consumer_subscription *ret)
{
	struct slice rest = m->protocols;
	struct group_protocol protocol;

	return group_protocol_next(&rest, &protocol) &&
	       consumer_subscription_decode(a, protocol.metadata, ret) == OK;
}

bool group_can_upgrade(const struct group *g)
{
	bool can = slice_equal(g->protocol_type, SLICE("consumer"));

	LIST_EACH (&g->members, struct group_member, link, m) {
		struct consumer_subscription subscription;
		struct consumer_assignment assignment;
		struct arena a;
		arena_init(&a);
		can = can && decode_first(&a, m, &subscription);
		can = can && (m->assignment.size == 0 ||
			      consumer_assignment_decode(&a, m->assignment, &assignment) == OK);
		arena_done(&a);
	}
	return can;
}

/* A leader may have given a partition twice; here it has one owner. */
static void take_assignment(struct group *g, struct group_member *m, struct arena *a)
{
	struct consumer_assignment assignment = { 0 };

	if (m->assignment.size > 0 && consumer_assignment_decode(a, m->assignment, &assignment))
		return;
	group_partitions_by_name(g, assignment.topics, assignment.topic_count, &m->assigned);
	LIST_EACH (&g->members, struct group_member, link, before) {
		if (before == m)
			break;
		partition_set_remove(&m->assigned, &before->assigned);
	}
	partition_set_copy(&m->target, &m->assigned);
	group_own(&m->assignment, SLICE(""));
}

static void upgrade_member(struct group *g, struct group_member *m)
{
	struct consumer_subscription subscription = { 0 };
	struct buf words;
	struct arena a;

	if (m->join_call)
		group_answer_join(g, m, KAFKA_REBALANCE_IN_PROGRESS);
	if (m->sync_call)
		group_answer_sync(g, m, KAFKA_REBALANCE_IN_PROGRESS);
	arena_init(&a);
	buf_init(&words);
	if (decode_first(&a, m, &subscription))
		group_sort_words(subscription.topics, subscription.topic_count, &words);
	group_own(&m->topics, words.size ? buf_slice(&words) : SLICE(""));
	group_own(&m->pattern, SLICE(""));
	group_own(&m->rack_id, subscription.rack);
	take_assignment(g, m, &a);
	m->member_epoch = g->generation;
	m->previous_epoch = -1;
	m->member_state = GROUP_MEMBER_STABLE;
	m->owes_sync = false;
	group_renew_session(g, m);
	group_consumer_touch(g, m);
	buf_done(&words);
	arena_done(&a);
}

void group_upgrade(struct group *g)
{
	group_drop_pending(g);
	LIST_EACH (&g->members, struct group_member, link, m)
		if (m->is_new) /* nobody may know its id: it comes again */
			group_remove_member(g, m, KAFKA_REBALANCE_IN_PROGRESS);
	g->type = GROUP_CONSUMER;
	LIST_EACH (&g->members, struct group_member, link, m)
		upgrade_member(g, m);
	group_own(&g->protocol_type, SLICE("consumer"));
	group_disown(&g->protocol);
	g->assignment_epoch = g->generation;
	g->topics_version = g->topics_hash = 0;
	g->join_deadline_ms = g->sync_deadline_ms = 0;
	g->is_initial = false;
	g->state = g->member_count > 0 ? GROUP_STABLE : GROUP_EMPTY;
	g->is_changed = true;
}

/* --- downgrade ---------------------------------------------------------------------------------
 */

static void downgrade_member(struct group *g, struct group_member *m)
{
	struct buf assignment;

	buf_init(&assignment);
	group_encode_assignment(g, m, &assignment);
	group_own(&m->assignment, buf_slice(&assignment));
	buf_done(&assignment);
	partition_set_done(&m->assigned);
	partition_set_done(&m->revoking);
	partition_set_done(&m->target);
	group_disown(&m->topics);
	group_disown(&m->pattern);
	group_disown(&m->rack_id);
	heap_remove(&g->patience, &m->patience);
	group_renew_session(g, m);
	group_consumer_touch(g, m);
}

void group_downgrade(struct group *g)
{
	struct slice protocol = group_select_protocol(g);

	if (protocol.size == 0) /* who joins has one in common with the others */
		return;
	group_own(&g->protocol, protocol);
	g->type = GROUP_CLASSIC;
	LIST_EACH (&g->members, struct group_member, link, m)
		downgrade_member(g, m);
	g->state = GROUP_STABLE;
	g->is_changed = true;
	group_touch(g);
	group_prepare_rebalance(g);
}

/* --- who subscribes to a topic -----------------------------------------------------------------
 */

static bool words_have(struct slice words, struct slice word)
{
	struct slice it;

	while (group_word_next(&words, &it))
		if (slice_equal(it, word))
			return true;
	return false;
}

static bool consumer_subscribes(const struct group_member *m, struct slice topic)
{
	struct topic_pattern *pattern;

	if (words_have(m->topics, topic))
		return true;
	if (m->pattern.size == 0 || topic_pattern_new(m->pattern, &pattern))
		return false;
	bool matches = topic_pattern_matches(pattern, topic);
	topic_pattern_free(pattern);
	return matches;
}

static bool classic_subscribes(const struct group_member *m, struct slice topic)
{
	struct consumer_subscription subscription;
	bool subscribes = false;
	struct arena a;

	arena_init(&a);
	if (decode_first(&a, m, &subscription))
		for (size_t i = 0; i < subscription.topic_count; i++)
			subscribes |= slice_equal(subscription.topics[i], topic);
	arena_done(&a);
	return subscribes;
}

bool group_says_what_it_reads(const struct group *g)
{
	bool says = true;

	if (g->type == GROUP_CONSUMER)
		return true;
	LIST_EACH (&g->members, struct group_member, link, m) {
		struct consumer_subscription subscription;
		struct arena a;
		arena_init(&a);
		says = says && decode_first(&a, m, &subscription);
		arena_done(&a);
	}
	return says && slice_equal(g->protocol_type, SLICE("consumer"));
}

bool group_subscribes(const struct group *g, struct slice topic)
{
	LIST_EACH (&g->members, struct group_member, link, m)
		if (g->type == GROUP_CONSUMER ? consumer_subscribes(m, topic)
					      : classic_subscribes(m, topic))
			return true;
	return false;
}
