/* The region where peers find us.  It changes rarely: everybody has to hear of it. */
#include <assert.h>

#include "mesh/paths/private.h"

#define BETTER_US (10 * MS)

enum { FAILURES_MAX = 3 };

struct region *region_find(const struct paths *p, uint32_t id)
{
	for (int i = 0; i < p->region_count; i++)
		if (p->regions[i].facts.id == id)
			return &p->regions[i];
	return NULL;
}

uint64_t region_latency_us(const struct region *r, uint64_t now_us)
{
	uint64_t least = 0;

	for (int i = 0; i < SAMPLES; i++) {
		const struct sample *s = &r->samples[i];

		if (s->latency_us && now_us <= s->at_us + MEASURE_ALL_US &&
		    (!least || s->latency_us < least))
			least = s->latency_us;
	}
	return least ? least : r->relay_us;
}

static bool may_be_home(const struct region *r)
{
	return !r->facts.is_never_home && r->relay_failures < FAILURES_MAX;
}

/* When nobody answered: always the same one for a machine, another one for another machine. */
static struct region *any_region(const struct paths *p)
{
	const uint8_t *key = p->disco_public.bytes;
	int count = 0, wanted;

	for (int i = 0; i < p->region_count; i++)
		count += may_be_home(&p->regions[i]);
	if (!count)
		return NULL;
	wanted = key[0] % count;
	for (int i = 0; i < p->region_count; i++)
		if (may_be_home(&p->regions[i]) && wanted-- == 0)
			return &p->regions[i];
	return NULL;
}

static struct region *fastest_region(const struct paths *p, uint64_t now_us)
{
	struct region *best = NULL;
	uint64_t best_us = 0;

	for (int i = 0; i < p->region_count; i++) {
		struct region *r = &p->regions[i];
		uint64_t latency_us = region_latency_us(r, now_us);

		if (!may_be_home(r) || !latency_us || (best && latency_us >= best_us))
			continue;
		best = r;
		best_us = latency_us;
	}
	return best;
}

static bool is_worth_moving(const struct region *old, const struct region *best, uint64_t now_us)
{
	uint64_t old_us = region_latency_us(old, now_us);
	uint64_t best_us = region_latency_us(best, now_us);

	if (!may_be_home(old))
		return true;
	if (!old_us) /* it answers no STUN, but may well relay */
		return !old->is_relay_up || now_us > old->relay_heard_us + HOME_KEEP_US;
	return best_us + BETTER_US <= old_us && best_us < old_us - old_us / 3;
}

void home_choose(struct paths *p, uint64_t now_us)
{
	struct region *old = region_find(p, p->home);
	struct region *best = fastest_region(p, now_us);
	uint32_t home;

	if (old && best && old != best && !is_worth_moving(old, best, now_us))
		best = old;
	if (!best && old && may_be_home(old))
		best = old;
	if (!best)
		best = any_region(p);
	if (!best)
		best = old;
	home = best ? best->facts.id : 0;
	if (home == p->home)
		return;
	p->home = home;
	paths_push(p, PATHS_HOME_CHANGED)->region = home;
}

static bool region_is_equal(const struct paths_region *a, const struct paths_region *b)
{
	if (a->id != b->id || a->stun_count != b->stun_count ||
	    a->is_never_home != b->is_never_home)
		return false;
	for (int i = 0; i < a->stun_count; i++)
		if (!endpoint_equal(&a->stun[i], &b->stun[i]))
			return false;
	return true;
}

void paths_set_regions(struct paths *p, const struct paths_region *regions, int count,
		       uint64_t now_us)
{
	bool is_same = count == p->region_count;

	assert(count >= 0 && count <= PATHS_REGIONS_MAX);
	for (int i = 0; i < count; i++) {
		assert(regions[i].stun_count >= 0 &&
		       regions[i].stun_count <= PATHS_STUN_SERVERS_MAX);
		is_same = is_same && region_is_equal(&regions[i], &p->regions[i].facts);
	}
	if (is_same)
		return;
	for (int i = 0; i < count; i++) {
		struct region *r = &p->regions[i];

		/* What was measured of another one that stood here is of no use. */
		if (r->facts.id != regions[i].id)
			*r = (struct region) { 0 };
		r->facts = regions[i];
	}
	p->region_count = count;
	if (p->home && !region_find(p, p->home))
		home_choose(p, now_us);
	measure_start(p, true, now_us);
}

void paths_relay_up(struct paths *p, uint32_t region, uint64_t latency_us, uint64_t now_us)
{
	struct region *r = region_find(p, region);

	if (!r)
		return;
	r->is_relay_up = true;
	r->relay_failures = 0;
	r->relay_heard_us = now_us;
	if (latency_us)
		r->relay_us = latency_us;
	peers_call_again(p, region, now_us);
}

void paths_relay_down(struct paths *p, uint32_t region, uint64_t now_us)
{
	struct region *r = region_find(p, region);

	if (!r)
		return;
	r->is_relay_up = false;
	if (r->relay_failures < FAILURES_MAX)
		r->relay_failures++;
	if (r->relay_failures == FAILURES_MAX && region == p->home)
		home_choose(p, now_us);
}

void paths_relay_peer_gone(struct paths *p, uint32_t region, const struct mesh_key *node)
{
	struct paths_peer *peer = paths_find_peer(p, node);

	if (peer && peer->reverse == region)
		peer->reverse = 0;
}
