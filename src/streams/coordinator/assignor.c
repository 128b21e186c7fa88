#include "streams/coordinator/assignor.h"

#include <stdlib.h>

#include "base/heap.h"

enum { NOBODY = -1 };

struct work {
	const struct assignor_input *input;
	size_t *first;		/* of each topic: where its partitions begin in `owners` */
	int32_t *owners;	/* of all partitions: a member, or NOBODY */
	size_t *first_reader;	/* of each topic: where its subscribers begin in `readers` */
	uint32_t *readers;	/* members, ascending for each topic */
	struct heap_node *load; /* of each member: its number of partitions is the key */
	struct heap loads;	/* of the members that read the topic at hand */
	size_t in_heap;		/* that topic + 1; 0: none */
};

/* --- setting up --------------------------------------------------------------------------------
 */

static void find_readers(struct arena *a, struct work *w)
{
	const struct assignor_input *in = w->input;
	size_t *next = arena_take_array(a, in->topic_count + 1, sizeof(*next));
	size_t sum = 0;

	w->first_reader = arena_take_array(a, in->topic_count + 1, sizeof(*w->first_reader));
	for (size_t m = 0; m < in->member_count; m++)
		for (size_t i = 0; i < in->members[m].topic_count; i++)
			next[in->members[m].topics[i]]++;
	for (size_t t = 0; t <= in->topic_count; t++) {
		size_t count = next[t];
		next[t] = w->first_reader[t] = sum;
		sum += count;
	}
	w->readers = arena_take_array(a, sum + 1, sizeof(*w->readers));
	for (size_t m = 0; m < in->member_count; m++)
		for (size_t i = 0; i < in->members[m].topic_count; i++)
			w->readers[next[in->members[m].topics[i]]++] = (uint32_t)m;
}

static void begin(struct arena *a, struct work *w, const struct assignor_input *in)
{
	size_t sum = 0;

	*w = (struct work) { .input = in };
	w->first = arena_take_array(a, in->topic_count + 1, sizeof(*w->first));
	for (size_t t = 0; t < in->topic_count; t++) {
		w->first[t] = sum;
		sum += (size_t)in->topics[t].partition_count;
	}
	w->first[in->topic_count] = sum;
	w->owners = arena_take_array(a, sum + 1, sizeof(*w->owners));
	for (size_t i = 0; i < sum; i++)
		w->owners[i] = NOBODY;
	w->load = arena_take_array(a, in->member_count + 1, sizeof(*w->load));
	heap_init(&w->loads);
	find_readers(a, w);
}

static void finish(struct work *w)
{
	const struct assignor_input *in = w->input;

	for (size_t t = 0; t < in->topic_count; t++)
		for (size_t i = w->first[t]; i < w->first[t + 1]; i++) {
			struct topic_partition item = { in->topics[t].topic_id,
							(int32_t)(i - w->first[t]) };
			if (w->owners[i] != NOBODY)
				partition_set_add(in->members[w->owners[i]].ret, &item);
		}
	for (size_t m = 0; m < in->member_count; m++)
		partition_set_sort(in->members[m].ret);
	heap_done(&w->loads);
}

/* --- uniform -----------------------------------------------------------------------------------
 */

/* Both the topics a member reads and what it had are in the order of ids. */
static void keep_before(struct work *w, size_t m)
{
	const struct assignor_member *member = &w->input->members[m];
	const struct partition_set *before = member->before;
	size_t i = 0;

	for (size_t k = 0; k < member->topic_count; k++) {
		size_t t = member->topics[k];
		const struct assignor_topic *topic = &w->input->topics[t];
		struct topic_partition begin_of_topic = { topic->topic_id, 0 };
		while (i < before->count &&
		       topic_partition_compare(&before->items[i], &begin_of_topic) < 0)
			i++;
		for (; i < before->count && uuid_equal(before->items[i].topic_id, topic->topic_id);
		     i++) {
			int32_t *owner = &w->owners[w->first[t]];
			if (before->items[i].partition >= topic->partition_count)
				continue;
			owner += before->items[i].partition;
			if (*owner != NOBODY)
				continue;
			*owner = (int32_t)m;
			w->load[m].key++;
		}
	}
}

static bool have_same_readers(const struct work *w, size_t t, size_t other)
{
	size_t count = w->first_reader[t + 1] - w->first_reader[t];

	return count == w->first_reader[other + 1] - w->first_reader[other] &&
	       (count == 0 ||
		memcmp(&w->readers[w->first_reader[t]], &w->readers[w->first_reader[other]],
		       count * sizeof(*w->readers)) == 0);
}

/* The readers of this topic into the heap; often they are those of the topic before. */
static void gather_readers(struct work *w, size_t t)
{
	struct heap_node *node;

	if (w->in_heap > 0 && have_same_readers(w, t, w->in_heap - 1))
		return;
	while ((node = heap_first(&w->loads)))
		heap_remove(&w->loads, node);
	for (size_t i = w->first_reader[t]; i < w->first_reader[t + 1]; i++) {
		node = &w->load[w->readers[i]];
		heap_add(&w->loads, node, node->key);
	}
	w->in_heap = t + 1;
}

static void change_load(struct work *w, size_t m, int by)
{
	struct heap_node *node = &w->load[m];
	uint64_t key = node->key + (uint64_t)(int64_t)by;
	bool is_reader = node->index > 0;

	heap_remove(&w->loads, node);
	node->key = key;
	if (is_reader)
		heap_add(&w->loads, node, key);
}

static void give(struct work *w, size_t partition, const struct heap_node *to)
{
	size_t m = (size_t)(to - w->load);

	if (w->owners[partition] != NOBODY)
		change_load(w, (size_t)w->owners[partition], -1);
	w->owners[partition] = (int32_t)m;
	change_load(w, m, 1);
}

static void give_rest(struct work *w)
{
	for (size_t t = 0; t < w->input->topic_count; t++) {
		gather_readers(w, t);
		for (size_t i = w->first[t]; i < w->first[t + 1]; i++)
			if (w->owners[i] == NOBODY && heap_first(&w->loads))
				give(w, i, heap_first(&w->loads));
	}
}

/* What each reader of the topic at hand would have if they all had the same, rounded up. */
static uint64_t fair_share(const struct work *w, size_t t)
{
	size_t count = w->first_reader[t + 1] - w->first_reader[t];
	uint64_t sum = 0;

	for (size_t i = w->first_reader[t]; i < w->first_reader[t + 1]; i++)
		sum += w->load[w->readers[i]].key;
	return count ? (sum + count - 1) / count : 0;
}

/* One pass over all partitions; each move makes two loads more alike, so this ends.  At first only
 * who has more than a fair share gives, so that nobody gives what it would get back.  As in Kafka
 * members keep the first of their partitions and give the last. */
static bool level(struct work *w, bool is_fair)
{
	bool has_moved = false;

	for (size_t t = w->input->topic_count; t-- > 0;) {
		gather_readers(w, t);
		const struct heap_node *least = heap_first(&w->loads);
		uint64_t share = is_fair ? fair_share(w, t) : 0;
		for (size_t i = w->first[t + 1]; least && i-- > w->first[t];) {
			uint64_t load = w->load[w->owners[i]].key;
			if (load <= least->key + 1 || load <= share)
				continue;
			give(w, i, least);
			least = heap_first(&w->loads);
			has_moved = true;
		}
	}
	return has_moved;
}

static void assign_uniform(struct arena *scratch, const struct assignor_input *input)
{
	struct work w;
	int passes = 0;

	begin(scratch, &w, input);
	for (size_t m = 0; m < input->member_count; m++)
		keep_before(&w, m);
	give_rest(&w);
	(void)level(&w, true);
	while (level(&w, false) && ++passes < ASSIGNOR_PASSES_MAX)
		continue;
	finish(&w);
}

/* --- range -------------------------------------------------------------------------------------
 */

struct place {
	struct slice order;
	uint32_t member;
};

static int compare_places(const void *a, const void *b)
{
	return slice_compare(((const struct place *)a)->order, ((const struct place *)b)->order);
}

static void assign_range(struct arena *scratch, const struct assignor_input *input)
{
	struct place *places = arena_take_array(scratch, input->member_count + 1, sizeof(*places));
	struct work w;

	begin(scratch, &w, input);
	for (size_t t = 0; t < input->topic_count; t++) {
		size_t readers = w.first_reader[t + 1] - w.first_reader[t];
		size_t partitions = w.first[t + 1] - w.first[t], next = w.first[t];
		for (size_t i = 0; i < readers; i++) {
			uint32_t m = w.readers[w.first_reader[t] + i];
			places[i] = (struct place) { input->members[m].order, m };
		}
		qsort(places, readers, sizeof(*places), compare_places);
		for (size_t i = 0; i < readers; i++) {
			size_t count = partitions / readers + (i < partitions % readers);
			for (size_t end = next + count; next < end; next++)
				w.owners[next] = (int32_t)places[i].member;
		}
	}
	finish(&w);
}

/* --- the table ---------------------------------------------------------------------------------
 */

const struct assignor assignors[] = {
	{ "uniform", assign_uniform },
	{ "range", assign_range },
};

const size_t assignors_count = sizeof(assignors) / sizeof(assignors[0]);

const struct assignor *assignor_find(struct slice name)
{
	for (size_t i = 0; i < assignors_count; i++)
		if (slice_equal(slice_from(assignors[i].name), name))
			return &assignors[i];
	return NULL;
}
