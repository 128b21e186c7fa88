/* The topics of the catalog as the engine of groups asks for them. */
#include "streams/catalog/catalog.h"
#include "streams/coordinator/group_call.h"

static struct cell *cell_of(struct group_topics *topics)
{
	struct groups *groups = CONTAINER(topics, struct groups, topics);

	return leader_cell(groups->coordinator->config.leader);
}

static void take(const struct catalog_topic *topic, struct group_topic *ret)
{
	*ret = (struct group_topic) {
		.topic_id = topic->topic_id,
		.name = topic->name,
		.partition_count = topic->partition_count,
	};
}

static bool find_by_name(struct group_topics *topics, struct arena *a, struct slice name,
			 struct group_topic *ret)
{
	struct cell *cell = cell_of(topics);
	struct catalog_topic topic;

	if (!cell || catalog_topic_by_name(a, cell, name, &topic))
		return false;
	take(&topic, ret);
	return true;
}

static bool find_by_id(struct group_topics *topics, struct arena *a, const struct uuid *id,
		       struct group_topic *ret)
{
	struct cell *cell = cell_of(topics);
	struct catalog_topic topic;

	if (!cell || catalog_topic_by_id(a, cell, id, &topic))
		return false;
	take(&topic, ret);
	return true;
}

static size_t list_all(struct group_topics *topics, struct arena *a, struct group_topic **ret)
{
	const struct group_call *asking = CONTAINER(topics, struct groups, topics)->asking;
	struct cell *cell = cell_of(topics);
	struct catalog_topic *found;
	size_t count = 0, kept = 0;

	if (!cell || catalog_topics(a, cell, &found, &count))
		return 0;
	*ret = arena_take_array(a, count, sizeof(**ret));
	for (size_t i = 0; i < count; i++)
		if (!asking || group_call_sees(asking, GRANT_DESCRIBE, GRANT_TOPIC, found[i].name))
			take(&found[i], &(*ret)[kept++]);
	return kept;
}

void groups_topics_init(struct group_topics *topics)
{
	*topics = (struct group_topics) {
		.version = 1,
		.by_name = find_by_name,
		.by_id = find_by_id,
		.all = list_all,
	};
}

void groups_topics_changed(struct coordinator *c)
{
	if (c->groups)
		c->groups->topics.version++;
}
