#include "streams/agent/brokers.h"

#include "base/text.h"

static struct catalog_agent own_entry(const struct agent *agent)
{
	return (struct catalog_agent) {
		.node_id = agent->node_id,
		.host = slice_from(agent->config.advertise_host),
		.port = agent->config.advertise_port,
		.site = slice_from(agent->config.site),
		.is_live = true,
	};
}

enum err brokers_live(struct arena *a, struct agent *agent, struct catalog_agent **ret,
		      size_t *ret_count)
{
	struct catalog_agent *all;
	size_t all_count, count = 0;
	bool has_own = false;

	enum err err = catalog_agents(a, replica_cell(agent->replica), &all, &all_count);
	if (err)
		return err;
	struct catalog_agent *live = arena_take_array(a, all_count + 1, sizeof(*live));
	for (size_t i = 0; i < all_count; i++) {
		bool is_own = all[i].node_id == agent->node_id;
		if (!all[i].is_live && !is_own)
			continue;
		live[count++] = is_own ? own_entry(agent) : all[i];
		has_own |= is_own;
	}
	if (!has_own)
		live[count++] = own_entry(agent);
	*ret = live;
	*ret_count = count;
	return OK;
}

struct slice brokers_cluster_id(struct arena *a, const struct agent *agent)
{
	char *text = arena_take(a, 23);

	uuid_text(text, agent->cluster_id.bytes);
	return slice_from(text);
}
