/* Which topics the members mean, and what each of them shall have. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "streams/coordinator/assignor.h"
#include "streams/coordinator/group_consumer_private.h"
#include "streams/coordinator/topic_pattern.h"

/* A topic somebody subscribes to. */
struct subject {
	struct group_topic topic;
	uint32_t index;	    /* in the order of ids */
	size_t last_reader; /* the last member seen to subscribe to it, from 1 */
};

struct subjects {
	struct subject **items;
	size_t count;
};

struct matched {
	struct matched *next;
	struct slice pattern;
	struct subjects subjects;
};

struct reading {
	const struct group *group;
	struct arena arena;
	struct map by_name; /* struct subject */
	struct group_topic *all;
	size_t all_count;
	bool has_all;
	struct matched *matched;
	struct subjects sorted;
	struct subjects *of_members; /* in the order of the group's list */
};

/* --- topics ------------------------------------------------------------------------------------
 */

static struct subject *add_subject(struct reading *r, const struct group_topic *topic)
{
	struct subject *subject = map_get(&r->by_name, topic->name);

	if (subject)
		return subject;
	subject = arena_take(&r->arena, sizeof(*subject));
	subject->topic = *topic;
	map_put(&r->by_name, subject->topic.name, subject);
	return subject;
}

static struct subject *find_subject(struct reading *r, struct slice name)
{
	struct group_topics *topics = r->group->config.topics;
	struct subject *subject = map_get(&r->by_name, name);
	struct group_topic topic;

	if (subject || !topics->by_name(topics, &r->arena, name, &topic))
		return subject;
	return add_subject(r, &topic);
}

static void match_all(struct reading *r, struct matched *m)
{
	struct group_topics *topics = r->group->config.topics;
	struct topic_pattern *pattern;

	if (!r->has_all)
		r->all_count = topics->all(topics, &r->arena, &r->all);
	r->has_all = true;
	if (topic_pattern_new(m->pattern, &pattern))
		return;
	m->subjects.items = arena_take_array(&r->arena, r->all_count, sizeof(struct subject *));
	for (size_t i = 0; i < r->all_count; i++)
		if (topic_pattern_matches(pattern, r->all[i].name))
			m->subjects.items[m->subjects.count++] = add_subject(r, &r->all[i]);
	topic_pattern_free(pattern);
}

/* Members of a group mostly have the same pattern. */
static const struct subjects *find_matched(struct reading *r, struct slice pattern)
{
	struct matched *m = r->matched;

	while (m && !slice_equal(m->pattern, pattern))
		m = m->next;
	if (!m) {
		m = arena_take(&r->arena, sizeof(*m));
		m->pattern = pattern;
		m->next = r->matched;
		r->matched = m;
		match_all(r, m);
	}
	return &m->subjects;
}

/* --- members -----------------------------------------------------------------------------------
 */

static void add_reader(struct subjects *list, struct subject *subject, size_t number)
{
	if (!subject || subject->last_reader == number)
		return;
	subject->last_reader = number;
	list->items[list->count++] = subject;
}

static void read_member(struct reading *r, const struct group_member *m, size_t number)
{
	struct subjects *list = &r->of_members[number - 1];
	const struct subjects *matched = m->pattern.size > 0 && !m->pattern_waits
						 ? find_matched(r, m->pattern)
						 : &(struct subjects) { 0 };
	struct slice rest = m->topics, name;
	size_t count = matched->count;

	while (group_word_next(&rest, &name))
		count++;
	list->items = arena_take_array(&r->arena, count, sizeof(struct subject *));
	for (size_t i = 0; i < matched->count; i++)
		add_reader(list, matched->items[i], number);
	rest = m->topics;
	while (group_word_next(&rest, &name))
		add_reader(list, find_subject(r, name), number);
}

static int compare_subjects(const void *a, const void *b)
{
	const struct subject *const *left = a, *const *right = b;

	return memcmp((*left)->topic.topic_id.bytes, (*right)->topic.topic_id.bytes,
		      sizeof((*left)->topic.topic_id.bytes));
}

/* What is more than a group may share out is nobody's. */
static void limit_partitions(struct reading *r)
{
	int32_t left = GROUP_PLACES_BYTES_MAX;
	bool is_over = false;

	for (size_t i = 0; i < r->sorted.count; i++) {
		struct group_topic *topic = &r->sorted.items[i]->topic;
		left -= PARTITION_SET_TOPIC_BYTES;
		int32_t room = left > 0 ? left / PARTITION_SET_PARTITION_BYTES : 0;
		is_over |= topic->partition_count > room;
		if (topic->partition_count > room)
			topic->partition_count = room;
		left -= PARTITION_SET_PARTITION_BYTES * topic->partition_count;
	}
	if (is_over)
		log_warn(
			"group %.*s subscribes to more than it can share out: the rest is not read",
			SLICE_ARG(r->group->name));
}

static void sort_subjects(struct reading *r)
{
	struct subject *subject;
	size_t cursor = 0;

	r->sorted.items = arena_take_array(&r->arena, r->by_name.count, sizeof(subject));
	while ((subject = map_next(&r->by_name, &cursor)))
		if (subject->last_reader > 0)
			r->sorted.items[r->sorted.count++] = subject;
	if (r->sorted.count > 1)
		qsort(r->sorted.items, r->sorted.count, sizeof(subject), compare_subjects);
	for (size_t i = 0; i < r->sorted.count; i++)
		r->sorted.items[i]->index = (uint32_t)i;
	limit_partitions(r);
}

static void begin_reading(struct reading *r, const struct group *g)
{
	size_t number = 0;

	*r = (struct reading) { .group = g };
	arena_init(&r->arena);
	map_init(&r->by_name);
	r->of_members = arena_take_array(&r->arena, g->member_count, sizeof(*r->of_members));
	LIST_EACH (&g->members, struct group_member, link, m)
		read_member(r, m, ++number);
	sort_subjects(r);
}

static void end_reading(struct reading *r)
{
	map_done(&r->by_name);
	arena_done(&r->arena);
}

static uint64_t hash_topics(const struct reading *r)
{
	struct buf bytes;

	buf_init(&bytes);
	for (size_t i = 0; i < r->sorted.count; i++) {
		const struct group_topic *topic = &r->sorted.items[i]->topic;
		buf_add(&bytes, topic->topic_id.bytes, sizeof(topic->topic_id.bytes));
		buf_add_u32(&bytes, (uint32_t)topic->partition_count);
	}
	uint64_t hash = hash_content(buf_slice(&bytes)).low;
	buf_done(&bytes);
	return hash;
}

/* --- targets -----------------------------------------------------------------------------------
 */

static const struct assignor *find_favourite(const struct group *g)
{
	const struct assignor *best = &assignors[0];
	size_t best_votes = 0;

	for (size_t i = 0; i < assignors_count; i++) {
		struct slice name = slice_from(assignors[i].name);
		size_t votes = 0;
		LIST_EACH (&g->members, struct group_member, link, m)
			votes += m->assignor.data && slice_equal(m->assignor, name);
		if (votes > best_votes) {
			best_votes = votes;
			best = &assignors[i];
		}
	}
	return best;
}

struct slice group_consumer_assignor(const struct group *g)
{
	return slice_from(find_favourite(g)->name);
}

static int compare_indexes(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static const uint32_t *index_topics(struct reading *r, const struct subjects *subjects)
{
	uint32_t *indexes = arena_take_array(&r->arena, subjects->count, sizeof(*indexes));

	for (size_t i = 0; i < subjects->count; i++)
		indexes[i] = subjects->items[i]->index;
	if (subjects->count > 1)
		qsort(indexes, subjects->count, sizeof(*indexes), compare_indexes);
	return indexes;
}

static void fill_input(struct group *g, struct reading *r, struct partition_set *targets,
		       struct assignor_input *in)
{
	struct assignor_topic *topics =
		arena_take_array(&r->arena, r->sorted.count, sizeof(*topics));
	size_t count = 0;

	for (size_t i = 0; i < r->sorted.count; i++)
		topics[i] = (struct assignor_topic) { r->sorted.items[i]->topic.topic_id,
						      r->sorted.items[i]->topic.partition_count };
	*in = (struct assignor_input) { .topics = topics, .topic_count = r->sorted.count };
	in->members = arena_take_array(&r->arena, g->member_count, sizeof(*in->members));
	LIST_EACH (&g->members, struct group_member, link, m) {
		in->members[count] = (struct assignor_member) {
			.order = m->instance_id.data ? m->instance_id : m->member_id,
			.topics = index_topics(r, &r->of_members[count]),
			.topic_count = r->of_members[count].count,
			.before = &m->target,
			.ret = &targets[count],
		};
		count++;
	}
	in->member_count = count;
}

static void assign_targets(struct group *g, struct reading *r)
{
	struct partition_set *targets =
		arena_take_array(&r->arena, g->member_count, sizeof(*targets));
	struct assignor_input input;
	size_t at = 0;

	fill_input(g, r, targets, &input);
	find_favourite(g)->assign(&r->arena, &input);
	LIST_EACH (&g->members, struct group_member, link, m) {
		if (!partition_set_equal(&m->target, &targets[at])) {
			partition_set_swap(&m->target, &targets[at]);
			group_consumer_touch(g, m);
		}
		partition_set_done(&targets[at++]);
	}
	g->assignment_epoch = g->generation;
	g->is_changed = true;
}

void group_target_update(struct group *g, bool has_changed)
{
	struct reading r;

	if (!has_changed && g->generation == g->assignment_epoch &&
	    g->topics_version == g->config.topics->version)
		return;
	g->topics_version = g->config.topics->version;
	begin_reading(&r, g);
	uint64_t hash = hash_topics(&r);
	if (has_changed || (hash != g->topics_hash && g->generation == g->assignment_epoch))
		g->generation = group_next_generation(g);
	g->topics_hash = hash;
	if (g->generation != g->assignment_epoch)
		assign_targets(g, &r);
	end_reading(&r);
}
