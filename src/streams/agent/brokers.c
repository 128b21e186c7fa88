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
		.node = slice_from(agent->config.advertise_host),
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
	ret->known = all;
	ret->known_count = all_count;
	ret->agents = arena_take_array(&r->arena, all_count + 1, sizeof(*ret->agents));
	for (size_t i = 0; i < all_count; i++)
		if (all[i].is_live)
			ret->agents[ret->count++] = all[i];
	if (ret->count == 0)
		ret->agents[ret->count++] = own_entry(r->agent);
	return OK;
}

/* --- several agents of one node ----------------------------------------------------------------
 */

/* What its agents are called without their numbers; a number of its own, less one. */
static struct slice node_of(const struct catalog_agent *agent, size_t *ret_place)
{
	struct slice number = agent->node, node = slice_cut(&number, CATALOG_AGENT_NUMBER[0]);
	uint64_t value = 1;

	*ret_place = 0;
	if (number.size == 0)
		return agent->node;
	if (text_to_u64(number, CATALOG_AGENT_NUMBER_MAX, &value) || value == 0)
		return agent->node; /* of a release that calls them otherwise */
	*ret_place = (size_t)value - 1;
	return node;
}

/* The agents of the node of `of`. */
static void find_mates(const struct brokers *b, const struct catalog_agent *of,
		       struct broker_mates *ret)
{
	size_t place;
	struct slice node = node_of(of, &place);

	*ret = (struct broker_mates) { .size = place + 1, .live_count = 1 };
	ret->at[place] = of;
	for (size_t i = 0; i < b->known_count; i++) {
		const struct catalog_agent *agent = &b->known[i];
		if (!slice_equal(node_of(agent, &place), node))
			continue;
		if (place >= ret->size)
			ret->size = place + 1;
		if (!agent->is_live || ret->at[place])
			continue;
		ret->at[place] = agent;
		ret->live_count++;
	}
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t words[] = { a, b };

	return hash_content((struct slice) { (const uint8_t *)words, sizeof(words) }).low;
}

/* In turn; what is a dead one's the others share, and keep their own. */
static const struct catalog_agent *pick(const struct broker_mates *mates, uint64_t number)
{
	const struct catalog_agent *best = NULL;
	uint64_t best_weight = 0;

	if (mates->at[number % mates->size])
		return mates->at[number % mates->size];
	for (size_t i = 0; i < mates->size; i++) {
		uint64_t weight = mix(number, i);
		if (!mates->at[i] || (best && weight <= best_weight))
			continue;
		best = mates->at[i];
		best_weight = weight;
	}
	return best;
}

bool brokers_are_alike(const struct brokers *b)
{
	return b->mates.live_count == 1;
}

const struct catalog_agent *brokers_leader(const struct brokers *b, const struct uuid *topic_id,
					   int32_t partition)
{
	struct slice topic = { topic_id->bytes, sizeof(topic_id->bytes) };

	return brokers_are_alike(b)
		       ? b->chosen
		       : pick(&b->mates, hash_content(topic).low + (uint64_t)partition);
}

int32_t *brokers_replicas(struct request *r, struct brokers *b, const struct catalog_agent *leader)
{
	size_t place;

	node_of(leader, &place);
	if (b->replica_ids[place])
		return b->replica_ids[place];
	int32_t *ret = arena_take_array(&r->arena, b->replica_count, sizeof(*ret));
	ret[0] = leader->node_id;
	for (size_t i = 1; i < b->replica_count; i++)
		ret[i] = b->replicas[i]->node_id;
	return b->replica_ids[place] = ret;
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

/* The id of the node's first agent stands for all of them, also while it is dead. */
static int32_t first_id(const struct brokers *b, const struct catalog_agent *agent)
{
	size_t place;
	struct slice node = node_of(agent, &place);

	for (size_t i = 0; i < b->known_count && place > 0; i++)
		if (slice_equal(b->known[i].node, node))
			return b->known[i].node_id;
	return agent->node_id;
}

/* The node with the greatest weight is a client's: without it, the others share its clients. */
static uint64_t weight(const struct request *r, const struct brokers *b,
		       const struct catalog_agent *agent)
{
	struct hash128 client = identity(r);
	uint64_t words[] = { client.high, client.low, (uint64_t)first_id(b, agent) };

	return hash_content((struct slice) { (const uint8_t *)words, sizeof(words) }).low;
}

/* NULL `site`: any.  NULL when there is none. */
static const struct catalog_agent *choose(const struct request *r, const struct brokers *b,
					  const struct slice *site)
{
	const struct catalog_agent *best = NULL;
	struct broker_mates mates;
	uint64_t best_weight = 0;

	for (size_t i = 0; i < b->count; i++) {
		const struct catalog_agent *agent = &b->agents[i];
		if (site && !slice_equal(agent->site, *site))
			continue;
		uint64_t its_weight = weight(r, b, agent);
		if (best && its_weight <= best_weight)
			continue;
		best = agent;
		best_weight = its_weight;
	}
	if (!best)
		return NULL;
	find_mates(b, best, &mates);
	return pick(&mates, identity(r).low);
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
	find_mates(&found, found.chosen, &found.mates);
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
