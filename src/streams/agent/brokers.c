#include "streams/agent/brokers.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/text.h"
#include "streams/agent/racks.h"
#include "wire/kafka/client_id.h"

/* --- who is live -------------------------------------------------------------------------------
 */

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

/* What control says; but there is always somebody, and clients are connected to this one. */
static enum err find_live(struct request *r, struct brokers *ret)
{
	struct catalog_agent *all;
	size_t all_count;
	enum err err = catalog_agents(&r->arena, replica_cell(r->agent->replica), &all, &all_count);

	if (err)
		return err;
	ret->agents = arena_take_array(&r->arena, all_count + 1, sizeof(*ret->agents));
	for (size_t i = 0; i < all_count; i++)
		if (all[i].is_live)
			ret->agents[ret->count++] = all[i];
	if (ret->count == 0)
		ret->agents[ret->count++] = own_entry(r->agent);
	return OK;
}

/* --- the client's ------------------------------------------------------------------------------
 */

/* What a client is known by, wherever it asks. */
static struct hash128 identity(const struct request *r)
{
	struct buf text;

	buf_init(&text);
	buf_add_slice(&text, r->header.client_id);
	buf_add_u8(&text, 0);
	buf_add_text(&text, request_client_host(r));
	struct hash128 ret = hash_content(buf_slice(&text));
	buf_done(&text);
	return ret;
}

/* The agent with the greatest weight is a client's: without it, the others share its clients. */
static uint64_t weight(const struct request *r, int32_t node_id)
{
	struct hash128 client = identity(r);
	uint64_t words[] = { client.high, client.low, (uint64_t)node_id };

	return hash_content((struct slice) { (const uint8_t *)words, sizeof(words) }).low;
}

/* NULL `site`: any.  NULL when there is none. */
static const struct catalog_agent *choose(const struct request *r, const struct brokers *b,
					  const struct slice *site)
{
	const struct catalog_agent *best = NULL;
	uint64_t best_weight = 0;

	for (size_t i = 0; i < b->count; i++) {
		const struct catalog_agent *agent = &b->agents[i];
		if (site && !slice_equal(agent->site, *site))
			continue;
		uint64_t its_weight = weight(r, agent->node_id);
		if (best && its_weight <= best_weight)
			continue;
		best = agent;
		best_weight = its_weight;
	}
	return best;
}

/* In its site; without one, in that of the agent it came to; far away rather than nowhere. */
static const struct catalog_agent *choose_near(const struct request *r, const struct brokers *b)
{
	struct slice site = client_id_site(r->header.client_id);

	if (site.size == 0)
		site = racks_find(r->agent->racks, identity(r));
	if (site.size == 0)
		site = slice_from(r->agent->config.site);
	const struct catalog_agent *near = choose(r, b, &site);
	return near ? near : choose(r, b, NULL);
}

static bool has_site(const struct brokers *b, struct slice site)
{
	for (size_t i = 0; i < b->replica_count; i++)
		if (slice_equal(b->replicas[i]->site, site))
			return true;
	return false;
}

static void choose_replicas(const struct request *r, struct brokers *b)
{
	b->replicas[b->replica_count++] = b->chosen;
	for (size_t i = 0; i < b->count && b->replica_count < BROKERS_SITES_MAX; i++)
		if (!has_site(b, b->agents[i].site))
			b->replicas[b->replica_count++] = choose(r, b, &b->agents[i].site);
}

enum err brokers_find(struct request *r, struct brokers *ret)
{
	struct brokers found = { 0 };
	enum err err = find_live(r, &found);

	if (err)
		return err;
	found.chosen = choose_near(r, &found);
	choose_replicas(r, &found);
	*ret = found;
	return OK;
}

int32_t brokers_preferred(struct request *r, struct slice site)
{
	struct brokers b;

	racks_remember(r->agent->racks, identity(r), site);
	if (site.size == 0 || slice_equal(site, slice_from(r->agent->config.site)) ||
	    brokers_find(r, &b))
		return -1;
	for (size_t i = 0; i < b.replica_count; i++)
		if (slice_equal(b.replicas[i]->site, site))
			return b.replicas[i]->node_id;
	return -1;
}

const struct catalog_agent *brokers_elsewhere(struct request *r)
{
	struct brokers b;

	if (brokers_find(r, &b) || b.chosen->node_id == r->agent->node_id)
		return NULL;
	return b.chosen;
}

struct slice brokers_cluster_id(struct arena *a, const struct agent *agent)
{
	char *text = arena_take(a, 23);

	uuid_text(text, agent->cluster_id.bytes);
	return slice_from(text);
}
