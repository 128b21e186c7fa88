#include "streams/agent/site.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "streams/agent/agent.h"
#include "streams/agent/site_door.h"
#include "streams/catalog/catalog.h"

struct site {
	struct agent *agent;
	struct list peers;	/* struct member */
	struct site_door *door; /* NULL: nobody asks us, and we ask nobody */
	struct site_numbers numbers;
};

struct member {
	struct list link;
	struct site_peer *peer;
};

/* --- who is there ------------------------------------------------------------------------------
 */

static void remove_member(struct member *m)
{
	list_remove(&m->link);
	site_peer_free(m->peer);
	memory_free(m);
}

static struct member *find_member(const struct site *site, int32_t node_id)
{
	LIST_EACH (&site->peers, struct member, link, m)
		if (site_peer_place(m->peer)->node_id == node_id)
			return m;
	return NULL;
}

static bool place_read(const struct catalog_block_agent *from, struct site_place *ret)
{
	char text[SITE_HOST_BYTES + 16];

	*ret = (struct site_place) { .node_id = from->node_id, .incarnation = from->incarnation };
	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(from->blocks));
	return !text_host_port(text, ret->host, sizeof(ret->host), &ret->port) && ret->port != 0;
}

static bool is_at(const struct member *m, const struct site_place *place)
{
	const struct site_place *known = site_peer_place(m->peer);

	return known->incarnation == place->incarnation && known->port == place->port &&
	       strcmp(known->host, place->host) == 0;
}

/* Another life, or another address, is another peer: what was known of it does not count. */
static void note_member(struct site *site, const struct catalog_block_agent *agent)
{
	struct site_place place;

	if (agent->node_id == site->agent->node_id)
		return;
	struct member *m = find_member(site, agent->node_id);
	bool is_sound = place_read(agent, &place);
	if (m && (!is_sound || !is_at(m, &place)))
		remove_member(m);
	else if (m)
		return;
	if (!is_sound)
		return;
	m = NEW(struct member);
	m->peer = site_peer_new(site->agent->loop, &place, site->agent->config.site_identity);
	list_add(&site->peers, &m->link);
}

static bool is_named(const struct member *m, const struct catalog_block_agent *agents, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (agents[i].node_id == site_peer_place(m->peer)->node_id)
			return true;
	return false;
}

/* As the replica says now: it is asked before every question, so nothing here is ever old. */
static void look_around(struct site *site)
{
	struct cell *cell = replica_cell(site->agent->replica);
	struct catalog_block_agent *agents = NULL;
	size_t count = 0;
	struct arena a;

	arena_init(&a);
	if (!cell ||
	    catalog_block_agents(&a, cell, slice_from(site->agent->config.site), &agents, &count))
		count = 0;
	LIST_EACH (&site->peers, struct member, link, m)
		if (!is_named(m, agents, count))
			remove_member(m);
	for (size_t i = 0; i < count; i++)
		note_member(site, &agents[i]);
	arena_done(&a);
}

/* --- whom to ask -------------------------------------------------------------------------------
 */

static uint64_t weight(const struct site_block *block, int32_t node_id)
{
	int64_t words[] = { block->incarnation, block->sequence, block->number, node_id };

	return hash_content((struct slice) { (const uint8_t *)words, sizeof(words) }).low;
}

int32_t site_find_owner(const struct site_block *block, const int32_t *node_ids, size_t count)
{
	int32_t owner = node_ids[0];

	assert(count > 0);
	for (size_t i = 1; i < count; i++)
		if (weight(block, node_ids[i]) > weight(block, owner))
			owner = node_ids[i];
	return owner;
}

/* NULL: it is this agent. */
static struct site_peer *find_owner(const struct site *site, const struct site_block *block)
{
	int32_t node_ids[CATALOG_BLOCK_AGENTS_MAX + 1] = { site->agent->node_id };
	size_t count = 1;

	LIST_EACH (&site->peers, struct member, link, m)
		if (!site_peer_is_avoided(m->peer))
			node_ids[count++] = site_peer_place(m->peer)->node_id;
	const struct member *owner = find_member(site, site_find_owner(block, node_ids, count));
	return owner ? owner->peer : NULL;
}

/* NULL: it is not there, or not of this site, or it is this agent. */
static struct site_peer *find_writer(const struct site *site, const struct site_block *block)
{
	LIST_EACH (&site->peers, struct member, link, m)
		if (site_peer_place(m->peer)->incarnation == block->incarnation &&
		    !site_peer_is_avoided(m->peer))
			return m->peer;
	return NULL;
}

/* --- asking ------------------------------------------------------------------------------------
 */

enum { ASK_WRITER, ASK_OWNER, ASK_ANSWERED };

static enum step ask_peer(struct site_ask *ask, struct site_peer *peer, bool reads, int at)
{
	ask->has_asked = true;
	ask->ret_giver = site_peer_place(peer)->incarnation;
	site_call(&ask->call, &ask->task, peer, &ask->block, reads, ask->until_ms);
	return task_wait(&ask->task, at);
}

static enum step give_up(struct site_ask *ask, enum err err)
{
	if (ask->has_asked)
		ask->site->numbers.fallbacks++;
	return task_done(&ask->task, err);
}

static enum step take_block(struct site_ask *ask)
{
	struct site_numbers *n = &ask->site->numbers;

	n->from_bucket += ask->call.is_promised;
	n->from_memory += !ask->call.is_promised;
	ask->ret_block = ask->call.ret_block;
	return task_done(&ask->task, OK);
}

static enum step ask_owner(struct site_ask *ask)
{
	struct site_peer *owner = find_owner(ask->site, &ask->block);

	return owner ? ask_peer(ask, owner, true, ASK_ANSWERED) : give_up(ask, ERR_NOT_FOUND);
}

static enum step ask_writer(struct site_ask *ask)
{
	look_around(ask->site);
	struct site_peer *writer = find_writer(ask->site, &ask->block);
	if (!writer || writer == find_owner(ask->site, &ask->block))
		return ask_owner(ask);
	return ask_peer(ask, writer, false, ASK_OWNER);
}

static enum step ask_step(struct task *t)
{
	struct site_ask *ask = CONTAINER(t, struct site_ask, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		if (t->at != ASK_WRITER && !ask->call.task.err)
			blob_unref(&ask->call.ret_block);
		return task_done(t, t->err);
	}
	switch (t->at) {
	case ASK_WRITER:
		return ask_writer(ask);
	case ASK_OWNER:
		return ask->call.task.err ? ask_owner(ask) : take_block(ask);
	case ASK_ANSWERED:
		return ask->call.task.err ? give_up(ask, ask->call.task.err) : take_block(ask);
	}
	abort();
}

static const char *const ask_places[] = { "writer", "owner", "answered" };
static const struct task_kind ask_kind = {
	.name = "site_ask",
	.places = ask_places,
	.place_count = 3,
	.step = ask_step,
};

void site_ask(struct site_ask *ask, struct task *parent, struct site *site,
	      const struct site_block *block)
{
	*ask = (struct site_ask) {
		.site = site,
		.block = *block,
		.until_ms = loop_now_ms(site->agent->loop) + SITE_ANSWER_MS,
	};
	task_start(&ask->task, &ask_kind, parent);
}

bool site_note_wrong(struct site *site, int64_t giver)
{
	LIST_EACH (&site->peers, struct member, link, m)
		if (site_peer_place(m->peer)->incarnation == giver)
			return site_peer_note_wrong(m->peer);
	return false;
}

/* --- life --------------------------------------------------------------------------------------
 */

static void open_door(struct site *site)
{
	const struct agent_config *c = &site->agent->config;

	if (c->site_identity && c->blocks_host && bucket_is_far(c->bucket))
		site->door = site_door_open(site->agent, &site->numbers);
}

struct site *site_new(struct agent *agent)
{
	struct site *site = NEW(struct site);

	site->agent = agent;
	list_init(&site->peers);
	open_door(site);
	return site;
}

const char *site_place(const struct site *site)
{
	return site->door ? site_door_place(site->door) : "";
}

bool site_is_open(const struct site *site)
{
	return site_place(site)[0] != '\0';
}

void site_stop(struct site *site)
{
	if (site->door)
		site_door_stop(site->door);
}

bool site_is_busy(const struct site *site)
{
	return site->door && site_door_is_busy(site->door);
}

void site_free(struct site *site)
{
	LIST_EACH (&site->peers, struct member, link, m)
		remove_member(m);
	if (site->door)
		site_door_free(site->door);
	memory_free(site);
}

const struct site_numbers *site_get_numbers(const struct site *site)
{
	return &site->numbers;
}
