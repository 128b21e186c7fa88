/* Topics with the same subscribers are shared out together, partition after partition. */
#include "streams/coordinator/share_assignor.h"

struct shared {
	uint64_t mark; /* the same for topics that have the same subscribers */
	size_t subscribers;
	bool is_done;
};

static bool subscribes(const struct assignor_member *m, size_t topic)
{
	for (size_t i = 0; i < m->topic_count; i++)
		if (m->topics[i] == topic)
			return true;
	return false;
}

static struct shared *find_subscribers(struct arena *scratch, const struct assignor_input *input)
{
	enum { MIX = 1099511627 };
	struct shared *shared = arena_take_array(scratch, input->topic_count, sizeof(*shared));

	for (size_t i = 0; i < input->member_count; i++)
		for (size_t k = 0; k < input->members[i].topic_count; k++) {
			struct shared *it = &shared[input->members[i].topics[k]];
			it->mark = (it->mark ^ (i + 1)) * MIX;
			it->subscribers++;
		}
	return shared;
}

/* The partitions of all topics with the subscribers of `topic`, in order. */
static struct topic_partition *gather(struct arena *scratch, const struct assignor_input *input,
				      struct shared *shared, size_t topic, size_t *ret_count)
{
	uint64_t mark = shared[topic].mark;
	size_t subscribers = shared[topic].subscribers, count = 0;

	for (size_t i = topic; i < input->topic_count; i++)
		if (shared[i].mark == mark && shared[i].subscribers == subscribers)
			count += (size_t)input->topics[i].partition_count;
	struct topic_partition *all = arena_take_array(scratch, count, sizeof(*all));
	*ret_count = 0;
	for (size_t i = topic; i < input->topic_count; i++) {
		if (shared[i].mark != mark || shared[i].subscribers != subscribers)
			continue;
		shared[i].is_done = true;
		for (int32_t k = 0; k < input->topics[i].partition_count; k++)
			all[(*ret_count)++] =
				(struct topic_partition) { input->topics[i].topic_id, k };
	}
	return all;
}

static void share_out(const struct assignor_input *input, size_t topic,
		      const struct topic_partition *all, size_t count, size_t subscribers)
{
	size_t rank = 0;

	for (size_t i = 0; i < input->member_count && count > 0; i++) {
		struct assignor_member *m = &input->members[i];
		if (!subscribes(m, topic))
			continue;
		if (subscribers > count)
			partition_set_add(m->ret, &all[rank % count]);
		for (size_t k = rank; subscribers <= count && k < count; k += subscribers)
			partition_set_add(m->ret, &all[k]);
		rank++;
	}
}

void share_assign(struct arena *scratch, const struct assignor_input *input)
{
	struct shared *shared = find_subscribers(scratch, input);
	size_t count;

	for (size_t i = 0; i < input->topic_count; i++) {
		if (shared[i].is_done || shared[i].subscribers == 0)
			continue;
		size_t subscribers = shared[i].subscribers;
		const struct topic_partition *all = gather(scratch, input, shared, i, &count);
		share_out(input, i, all, count, subscribers);
	}
	for (size_t i = 0; i < input->member_count; i++)
		partition_set_sort(input->members[i].ret);
}
