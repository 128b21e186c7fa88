#include "wire/control/netmap.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "wire/control/node_compare.h"

/* --- life --------------------------------------------------------------------------------------
 */

void netmap_init(struct netmap *m)
{
	*m = (struct netmap) { 0 };
}

static void free_all(void *pointers, size_t count)
{
	void **list = pointers;

	for (size_t i = 0; i < count; i++)
		memory_free(list[i]);
	memory_free(list);
}

void netmap_done(struct netmap *m)
{
	memory_free(m->self);
	free_all(m->peers, m->peer_count);
	memory_free(m->relays);
	memory_free(m->dns);
	free_all(m->filters, m->filter_count);
	free_all(m->users, m->user_count);
	free_all(m->health, m->health_count);
	free_all(m->control_urls, m->control_url_count);
	netmap_init(m);
}

/* --- looking -----------------------------------------------------------------------------------
 */

/* Where the peer is or would be. */
static size_t peer_place(const struct netmap *m, int64_t id)
{
	size_t low = 0, high = m->peer_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->peers[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool peer_is_at(const struct netmap *m, size_t place, int64_t id)
{
	return place < m->peer_count && m->peers[place]->id == id;
}

const struct control_node *netmap_peer(const struct netmap *m, int64_t id)
{
	size_t place = peer_place(m, id);

	return peer_is_at(m, place, id) ? m->peers[place] : NULL;
}

const struct control_node *netmap_peer_by_key(const struct netmap *m, const struct mesh_key *key)
{
	for (size_t i = 0; i < m->peer_count; i++)
		if (mesh_key_equal(&m->peers[i]->key, key))
			return m->peers[i];
	return NULL;
}

const struct control_user *netmap_user(const struct netmap *m, int64_t id)
{
	for (size_t i = 0; i < m->user_count; i++)
		if (m->users[i]->id == id)
			return m->users[i];
	return NULL;
}

/* --- changes of peers --------------------------------------------------------------------------
 */

/* What one response does to peers; each has its place in the list once. */
struct changes {
	struct netmap_peer_change *list;
	size_t count;
	size_t max;
	struct map by_id;
};

static void note(struct changes *c, int64_t id, unsigned what, const struct mesh_key *before,
		 const struct mesh_key *now)
{
	struct netmap_peer_change *change;

	if (what == 0)
		return;
	change = map_get(&c->by_id, (struct slice) { (uint8_t *)&id, sizeof(id) });
	if (!change) {
		assert(c->count < c->max);
		change = &c->list[c->count++];
		*change = (struct netmap_peer_change) { .id = id, .key_before = *before };
		map_put(&c->by_id, (struct slice) { (uint8_t *)&change->id, sizeof(id) }, change);
	}
	change->what |= what;
	change->key = *now;
}

/* Replace, add or (NULL) remove.  The copy of `n` is the map's. */
static void set_peer(struct netmap *m, struct changes *c, int64_t id, const struct control_node *n)
{
	size_t place = peer_place(m, id);
	bool is_there = peer_is_at(m, place, id);
	struct control_node *old = is_there ? m->peers[place] : NULL;

	if (!n && !is_there)
		return;
	if (!n) {
		note(c, id, NETMAP_PEER_REMOVED, &old->key, &old->key);
		m->peer_count--;
		memmove(m->peers + place, m->peers + place + 1,
			(m->peer_count - place) * sizeof(*m->peers));
	} else if (is_there) {
		note(c, id, node_compare(old, n), &old->key, &n->key);
		m->peers[place] = control_node_copy(n);
	} else {
		note(c, id, NETMAP_PEER_ADDED, &n->key, &n->key);
		if (m->peer_count == m->peer_capacity) {
			m->peer_capacity = m->peer_capacity * 2 + 8;
			m->peers = memory_grow(m->peers, m->peer_capacity * sizeof(*m->peers));
		}
		memmove(m->peers + place + 1, m->peers + place,
			(m->peer_count - place) * sizeof(*m->peers));
		m->peers[place] = control_node_copy(n);
		m->peer_count++;
	}
	memory_free(old);
}

/* A disco key that control remembers of an offline peer is older than one learned from the peer
 * itself, unless the peer was seen since. */
static bool takes_disco(const struct control_node *n, const struct control_peer_patch *patch)
{
	return patch->online != CONTROL_NO ||
	       (patch->has_last_seen && patch->last_seen_s > n->last_seen_s);
}

static void apply_patch(struct netmap *m, struct changes *c, const struct control_peer_patch *patch)
{
	const struct control_node *old = netmap_peer(m, patch->id);
	struct control_node n;

	if (!old)
		return;
	n = *old;
	if (patch->has_disco && takes_disco(old, patch))
		n.disco = patch->disco;
	if (patch->home_relay)
		n.home_relay = patch->home_relay;
	if (patch->version)
		n.version = patch->version;
	if (patch->has_endpoints) {
		n.endpoints = patch->endpoints;
		n.endpoint_count = patch->endpoint_count;
	}
	if (patch->has_caps) {
		n.caps = patch->caps;
		n.cap_count = patch->cap_count;
	}
	if (patch->has_key)
		n.key = patch->key;
	if (patch->online)
		n.online = patch->online;
	if (patch->has_last_seen)
		n.last_seen_s = patch->last_seen_s;
	if (patch->has_key_expiry)
		n.key_expiry_s = patch->key_expiry_s;
	set_peer(m, c, patch->id, &n);
}

static void apply_flags(struct netmap *m, struct changes *c, const struct control_map_response *r)
{
	for (size_t i = 0; i < r->seen_count; i++) {
		const struct control_node *old = netmap_peer(m, r->seen[i].id);

		if (!old)
			continue;
		struct control_node n = *old;
		n.last_seen_s = r->seen[i].value ? r->time_s : 0;
		set_peer(m, c, n.id, &n);
	}
	for (size_t i = 0; i < r->online_count; i++) {
		const struct control_node *old = netmap_peer(m, r->online[i].id);

		if (!old)
			continue;
		struct control_node n = *old;
		n.online = r->online[i].value ? CONTROL_YES : CONTROL_NO;
		set_peer(m, c, n.id, &n);
	}
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* All there are: who is not in the list is gone. */
static void replace_peers(struct netmap *m, struct changes *c, struct arena *a,
			  const struct control_map_response *r)
{
	int64_t *ids = arena_take_array(a, r->peer_count, sizeof(*ids));

	for (size_t i = 0; i < r->peer_count; i++)
		ids[i] = r->peers[i]->id;
	qsort(ids, r->peer_count, sizeof(*ids), by_id);
	for (size_t i = m->peer_count; i-- > 0;) {
		int64_t id = m->peers[i]->id;

		if (!bsearch(&id, ids, r->peer_count, sizeof(*ids), by_id))
			set_peer(m, c, id, NULL);
	}
	for (size_t i = 0; i < r->peer_count; i++)
		set_peer(m, c, r->peers[i]->id, r->peers[i]);
}

static void apply_peers(struct netmap *m, struct arena *a, const struct control_map_response *r,
			struct netmap_change *ret)
{
	struct changes c = { .max = m->peer_count + r->peer_count + r->changed_count };

	c.list = arena_take_array(a, c.max + 1, sizeof(*c.list));
	map_init(&c.by_id);
	if (r->peer_count) {
		replace_peers(m, &c, a, r);
	} else {
		for (size_t i = 0; i < r->removed_count; i++)
			set_peer(m, &c, r->removed[i], NULL);
		for (size_t i = 0; i < r->changed_count; i++)
			set_peer(m, &c, r->changed[i]->id, r->changed[i]);
		apply_flags(m, &c, r);
		for (size_t i = 0; i < r->patch_count; i++)
			apply_patch(m, &c, &r->patches[i]);
	}
	map_done(&c.by_id);
	ret->peers = c.list;
	ret->peer_count = c.count;
	if (c.count)
		ret->what |= NETMAP_PEERS;
}

/* --- everything else ---------------------------------------------------------------------------
 */

static void set_filter(struct netmap *m, const struct control_filter *filter)
{
	size_t place = 0;

	while (place < m->filter_count && slice_compare(m->filters[place]->name, filter->name) < 0)
		place++;
	bool is_there =
		place < m->filter_count && slice_equal(m->filters[place]->name, filter->name);
	if (is_there)
		memory_free(m->filters[place]);
	if (is_there && filter->is_deleted) {
		m->filter_count--;
		memmove(m->filters + place, m->filters + place + 1,
			(m->filter_count - place) * sizeof(*m->filters));
	}
	if (filter->is_deleted)
		return;
	if (!is_there) {
		m->filters = memory_grow(m->filters, (m->filter_count + 1) * sizeof(*m->filters));
		memmove(m->filters + place + 1, m->filters + place,
			(m->filter_count - place) * sizeof(*m->filters));
		m->filter_count++;
	}
	m->filters[place] = control_filter_copy(filter);
}

static void apply_filters(struct netmap *m, const struct control_map_response *r)
{
	for (size_t i = 0; i < r->filter_count; i++) {
		if (r->filters[i].is_deleted && slice_equal(r->filters[i].name, SLICE("*"))) {
			free_all(m->filters, m->filter_count);
			m->filters = NULL;
			m->filter_count = 0;
		} else {
			set_filter(m, &r->filters[i]);
		}
	}
}

static void apply_users(struct netmap *m, const struct control_map_response *r)
{
	for (size_t i = 0; i < r->user_count; i++) {
		size_t place = 0;

		while (place < m->user_count && m->users[place]->id < r->users[i].id)
			place++;
		if (place < m->user_count && m->users[place]->id == r->users[i].id) {
			memory_free(m->users[place]);
		} else {
			m->users = memory_grow(m->users, (m->user_count + 1) * sizeof(*m->users));
			memmove(m->users + place + 1, m->users + place,
				(m->user_count - place) * sizeof(*m->users));
			m->user_count++;
		}
		m->users[place] = control_user_copy(&r->users[i]);
	}
}

static void set_texts(char ***texts, size_t *count, const struct slice *from, size_t from_count)
{
	free_all(*texts, *count);
	*texts = memory_take_array(from_count + 1, sizeof(char *));
	*count = from_count;
	for (size_t i = 0; i < from_count; i++) {
		(*texts)[i] = memory_take(from[i].size + 1);
		if (from[i].size)
			memcpy((*texts)[i], from[i].data, from[i].size);
	}
}

/* The parts of which there is one, replaced as a whole. */
static unsigned apply_parts(struct netmap *m, const struct control_map_response *r)
{
	unsigned what = 0;

	if (r->node) {
		memory_free(m->self);
		m->self = control_node_copy(r->node);
		what |= NETMAP_SELF;
	}
	if (r->relays) {
		memory_free(m->relays);
		m->relays = control_relay_map_copy(r->relays);
		what |= NETMAP_RELAYS;
	}
	if (r->dns) {
		memory_free(m->dns);
		m->dns = control_dns_copy(r->dns);
		what |= NETMAP_DNS;
	}
	if (r->domain.size) {
		snprintf(m->domain, sizeof(m->domain), "%.*s", SLICE_ARG(r->domain));
		what |= NETMAP_DOMAIN;
	}
	if (r->has_health) {
		set_texts(&m->health, &m->health_count, r->health, r->health_count);
		what |= NETMAP_HEALTH;
	}
	if (r->control_url_count) {
		set_texts(&m->control_urls, &m->control_url_count, r->control_urls,
			  r->control_url_count);
		what |= NETMAP_URLS;
	}
	return what;
}

enum err netmap_apply(struct netmap *m, struct arena *a, const struct control_map_response *r,
		      struct netmap_change *ret)
{
	struct netmap_change change = { 0 };

	if (r->is_keepalive) {
		*ret = change;
		return OK;
	}
	if (!m->self && !r->node)
		return ERR_INVALID;
	if (r->peer_count > CONTROL_NODES_MAX ||
	    m->peer_count + r->changed_count > 2 * CONTROL_NODES_MAX)
		return ERR_TOO_BIG;
	if (m->filter_count + r->filter_count > 2 * CONTROL_FILTERS_MAX ||
	    m->user_count + r->user_count > 2 * CONTROL_USERS_MAX)
		return ERR_TOO_BIG;
	change.what = apply_parts(m, r);
	apply_peers(m, a, r, &change);
	apply_filters(m, r);
	apply_users(m, r);
	if (r->filter_count)
		change.what |= NETMAP_FILTERS;
	if (r->user_count)
		change.what |= NETMAP_USERS;
	if (change.what)
		m->sequence++;
	*ret = change;
	return OK;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static const struct slice *texts_of(struct arena *a, char *const *texts, size_t count)
{
	struct slice *slices = arena_take_array(a, count + 1, sizeof(*slices));

	for (size_t i = 0; i < count; i++)
		slices[i] = slice_from(texts[i]);
	return slices;
}

void netmap_response(struct arena *a, const struct netmap *m, struct control_map_response *ret)
{
	struct control_filter *filters = arena_take_array(a, m->filter_count + 1, sizeof(*filters));
	struct control_user *users = arena_take_array(a, m->user_count + 1, sizeof(*users));

	for (size_t i = 0; i < m->filter_count; i++)
		filters[i] = *m->filters[i];
	for (size_t i = 0; i < m->user_count; i++)
		users[i] = *m->users[i];
	*ret = (struct control_map_response) {
		.node = m->self,
		.relays = m->relays,
		.dns = m->dns,
		.domain = slice_from(m->domain),
		.peers = (const struct control_node *const *)m->peers,
		.peer_count = m->peer_count,
		.filters = filters,
		.filter_count = m->filter_count,
		.users = users,
		.user_count = m->user_count,
		.health = texts_of(a, m->health, m->health_count),
		.health_count = m->health_count,
		.has_health = m->health_count > 0,
		.control_urls = texts_of(a, m->control_urls, m->control_url_count),
		.control_url_count = m->control_url_count,
	};
}
