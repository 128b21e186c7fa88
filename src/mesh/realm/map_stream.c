/* Streams of map responses: the first one is whole, the others are what changed.
 *
 * A round of changes is written once for all streams that may have the same: only those that are
 * among the changed themselves, or that begin anew, get one of their own. */
#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "mesh/realm/policy.h"
#include "mesh/realm/private.h"
#include "mesh/realm/view.h"

static const char json_type[] = "application/json";

/* --- life --------------------------------------------------------------------------------------
 */

static void on_keepalive(struct timer *t);

static void set_keepalive(struct map_stream *s)
{
	struct prng jitter = { random_u64() };
	uint64_t wait_ms = REALM_KEEPALIVE_MS + prng_below(&jitter, REALM_KEEPALIVE_JITTER_MS);

	timer_set(&s->keepalive, s->realm->loop, loop_now_ms(s->realm->loop) + wait_ms,
		  on_keepalive);
}

static void write_message(struct map_stream *s, struct blob *message)
{
	s->realm->status.messages++;
	s->realm->status.message_bytes += message->size;
	door_write(s->owner.request, message);
}

static void on_keepalive(struct timer *t)
{
	struct map_stream *s = CONTAINER(t, struct map_stream, keepalive);
	struct realm *r = s->realm;

	if (!r->keepalive) {
		struct buf frame;

		buf_init(&frame);
		control_frame_encode(&frame, SLICE("{\"KeepAlive\":true}"));
		r->keepalive = blob_from(buf_slice(&frame));
		buf_done(&frame);
	}
	set_keepalive(s);
	write_message(s, blob_ref(r->keepalive));
}

void map_stream_end(struct map_stream *s)
{
	struct realm *r = s->realm;
	struct machine *m = s->machine;

	timer_clear(&s->keepalive);
	list_remove(&s->link);
	list_remove(&s->machine_link);
	r->session_count--;
	m->session_count--;
	if (m->session_count == 0)
		m->gone_ms = loop_now_ms(r->loop);
	view_done(&s->view);
	memory_free(s);
}

static void on_session_gone(struct request_owner *owner)
{
	map_stream_end(CONTAINER(owner, struct map_stream, owner));
}

void map_streams_void(struct realm *r)
{
	LIST_EACH (&r->sessions, struct map_stream, link, s)
		map_stream_end(s);
}

/* Whether its radio sleeps, and what asks it costs its battery. */
static bool is_phone(const struct machine *m)
{
	struct slice os = m->node->hostinfo.os;

	return slice_equal(os, SLICE("iOS")) || slice_equal(os, SLICE("android")) || os.size == 0;
}

void map_stream_start(struct realm *r, struct machine *m, struct door_request *request)
{
	struct map_stream *s = NEW(struct map_stream);

	/* An older stream of the machine is one that its client has forgotten. */
	while (m->session_count >= 1) {
		struct map_stream *old =
			CONTAINER(m->sessions.next, struct map_stream, machine_link);

		door_cut(old->owner.request);
		map_stream_end(old);
	}
	s->owner = (struct request_owner) { request, on_session_gone };
	request->owner_state = &s->owner;
	s->realm = r;
	s->machine = m;
	list_add(&r->sessions, &s->link);
	list_add(&m->sessions, &s->machine_link);
	r->session_count++;
	m->session_count++;
	m->gone_ms = 0;
	machine_set_online(r, m, true);
	if (!is_phone(m))
		door_set_patience(request, REALM_PATIENCE_SHORT_MS, REALM_SILENT_S);
	door_begin(request, 200, json_type);
	write_message(s, whole_message(r, m, &s->view));
	set_keepalive(s);
}

/* --- what a machine is told of itself ----------------------------------------------------------
 */

/* What every client may use. */
static const struct control_cap self_caps[] = {
	{ { (const uint8_t *)"https://tailscale.com/cap/file-sharing", 38 }, { 0 } },
};

static struct control_node self_node(const struct machine *m)
{
	struct control_node n = *m->node;

	n.caps = self_caps;
	n.cap_count = sizeof(self_caps) / sizeof(self_caps[0]);
	n.online = CONTROL_UNSAID;
	n.last_seen_s = 0;
	return n;
}

/* Without a policy everybody may reach everybody. */
static const struct control_ip_set any = { .kind = CONTROL_IPS_ANY };
static const struct control_ports any_ports = { .ips = { .kind = CONTROL_IPS_ANY }, .last = 65535 };
static const struct control_rule open_rule = {
	.sources = &any,
	.source_count = 1,
	.destinations = &any_ports,
	.destination_count = 1,
};
static const struct control_filter open_filter = {
	.name = { (const uint8_t *)"base", 4 },
	.rules = &open_rule,
	.rule_count = 1,
};

static void fill_dns(struct arena *a, const struct realm *r, struct control_map_response *ret)
{
	struct control_dns *dns = arena_take(a, sizeof(*dns));
	struct control_dns_route *route = arena_take(a, sizeof(*route));
	struct slice *domain = arena_take(a, sizeof(*domain));

	*domain = slice_from(r->domain);
	route->suffix = *domain;
	*dns = (struct control_dns) {
		.routes = route,
		.route_count = 1,
		.domains = domain,
		.domain_count = 1,
		.is_proxied = true,
	};
	ret->dns = dns;
}

static void fill_users(struct arena *a, const struct realm *r, struct control_map_response *ret)
{
	struct control_user *users = arena_take_array(a, r->user_count + 1, sizeof(*users));

	for (size_t i = 0; i < r->user_count; i++)
		users[i] = (struct control_user) { r->users[i].id, r->users[i].login,
						   r->users[i].display };
	ret->users = users;
	ret->user_count = r->user_count;
}

/* A client keeps only the users of machines it sees, so those of changed ones are told again. */
void fill_users_of(struct arena *a, const struct realm *r, struct machine *const *machines,
		   size_t count, struct control_map_response *ret)
{
	struct control_user *users = arena_take_array(a, r->user_count + 1, sizeof(*users));

	for (size_t i = 0; i < r->user_count; i++) {
		size_t k = 0;
		while (k < count && machines[k]->node->user != r->users[i].id)
			k++;
		if (k < count)
			users[ret->user_count++] =
				(struct control_user) { r->users[i].id, r->users[i].login,
							r->users[i].display };
	}
	ret->users = users;
}

/* The number in "http://NUMBER:PORT"; false: a name. */
static bool url_ip(const char *url, struct ip *ret)
{
	struct slice host = slice_from(url);
	struct ip_port p;

	(void)slice_cut(&host, '/');
	(void)slice_cut(&host, '/');
	if (ip_port_parse(host, &p))
		return false;
	*ret = p.ip;
	return true;
}

/* Where the official client finds control when the host of its URL is gone: at the same port of
 * another node's address. */
static void fill_dial_plan(struct arena *a, const struct realm *r, struct control_map_response *ret)
{
	struct control_dial *plan = arena_take_array(a, r->url_count + 1, sizeof(*plan));
	size_t count = 0;

	for (size_t i = 0; i < r->url_count && r->url_count > 1; i++) {
		if (!url_ip(r->urls[i], &plan[count].ip))
			continue;
		plan[count].start_delay_s = count ? REALM_DIAL_DELAY_S : 0;
		plan[count].timeout_s = REALM_DIAL_TIMEOUT_S;
		plan[count].priority = count ? 0 : 1;
		count++;
	}
	ret->dial_plan = plan;
	ret->dial_count = count;
}

static void fill_urls(struct arena *a, const struct realm *r, struct control_map_response *ret)
{
	struct slice *urls = arena_take_array(a, r->url_count + 1, sizeof(*urls));

	for (size_t i = 0; i < r->url_count; i++)
		urls[i] = slice_from(r->urls[i]);
	ret->control_urls = urls;
	ret->control_url_count = r->url_count;
	fill_dial_plan(a, r, ret);
}

/* Members after what is there already: the closing brace is taken off, and put back. */
static void add_peers(struct buf *json, const char *name, struct machine *const *peers,
		      size_t count, const struct machine *except)
{
	bool is_first = true;
	size_t left_out = 0;

	json->size--;
	buf_add_format(json, ",\"%s\":", name);
	for (size_t i = 0; i < count; i++) {
		if (peers[i] == except)
			continue;
		if (json->size + machine_json(peers[i]).size > REALM_NETMAP_BYTES_MAX) {
			left_out++;
			continue;
		}
		buf_add_u8(json, is_first ? '[' : ',');
		buf_add_slice(json, machine_json(peers[i]));
		is_first = false;
	}
	buf_add_text(json, is_first ? "[]}" : "]}");
	if (left_out)
		log_error("%zu machines do not fit into a netmap and are left out", left_out);
}

static struct blob *framed(struct buf *json)
{
	struct buf frame;

	buf_init(&frame);
	control_frame_encode(&frame, buf_slice(json));
	struct blob *message = blob_from(buf_slice(&frame));
	buf_done(&frame);
	buf_done(json);
	return message;
}

/* An empty list of peers says nothing in this protocol: whoever may be known is taken away. */
static void forget_all(struct arena *a, const struct realm *r, const struct machine *m,
		       struct control_map_response *ret)
{
	int64_t *removed = arena_take_array(a, r->machine_count + 1, sizeof(*removed));

	for (size_t i = 0; i < r->machine_count; i++)
		if (r->machines[i] != m)
			removed[ret->removed_count++] = r->machines[i]->id;
	ret->removed = removed;
}

/* The same with all peers as its last member, of which most is compressed already. */
static struct blob *framed_in_blocks(struct realm *r, struct buf *json, const struct machine *m)
{
	struct buf frame;

	buf_init(&frame);
	json->size--;
	buf_add_text(json, ",\"Peers\":[");
	control_frame_begin(&frame);
	control_chunk_encode(&frame, buf_slice(json));
	peer_blocks_add(r, &frame, m);
	control_chunk_encode(&frame, SLICE("]}"));
	control_frame_end(&frame, 0);
	struct blob *message = blob_from(buf_slice(&frame));
	buf_done(&frame);
	buf_done(json);
	return message;
}

struct blob *whole_message(struct realm *r, struct machine *m, struct view *view)
{
	struct control_node self = self_node(m);
	struct control_map_response response = {
		.time_s = realm_now_s(r),
		.node = &self,
		.relays = relays_for(r, m),
		.domain = slice_from(r->domain),
		.filters = &open_filter,
		.filter_count = 1,
		.disables_log = true,
	};
	struct machine **peers = NULL;
	struct control_filter filter;
	bool is_in_blocks = false;
	size_t count = 0;
	struct arena a;
	struct buf json;
	uint64_t begin_us = clock_now_us();

	arena_init(&a);
	buf_init(&json);
	fill_dns(&a, r, &response);
	fill_urls(&a, r, &response);
	if (r->policy->read) {
		filter = realm_policy_filter(&a, r, m);
		response.filters = &filter;
		peers = view_all(&a, r, m, view, &count);
		if (count == 0)
			forget_all(&a, r, m, &response);
		peers[count] = m; /* there is room */
		fill_users_of(&a, r, peers, count + 1, &response);
	} else {
		fill_users(&a, r, &response);
	}
	control_map_response_encode(&json, &response);
	if (r->policy->read) {
		if (count > 0)
			add_peers(&json, "Peers", peers, count, m);
	} else if (m->is_shown && r->machine_count > PEER_BLOCK_MACHINES) {
		is_in_blocks = true;
	} else if (m->is_shown) {
		peers = arena_take_array(&a, r->machine_count + 1, sizeof(struct machine *));
		for (size_t i = 0; i < r->machine_count; i++)
			if (r->machines[i]->is_shown)
				peers[count++] = r->machines[i];
		add_peers(&json, "Peers", peers, count, m);
	}
	arena_done(&a);
	struct blob *message = is_in_blocks ? framed_in_blocks(r, &json, m) : framed(&json);
	uint64_t took_us = clock_now_us() - begin_us;
	if (took_us > r->status.whole_us)
		r->status.whole_us = took_us;
	return message;
}

/* --- fan-out -----------------------------------------------------------------------------------
 */

static struct control_peer_patch patch_of(const struct machine *m)
{
	const struct control_node *n = m->node;
	struct control_peer_patch patch = { .id = m->id };

	if (m->dirty & DIRTY_ENDPOINTS) {
		patch.has_endpoints = true;
		patch.endpoints = n->endpoints;
		patch.endpoint_count = n->endpoint_count;
	}
	if (m->dirty & DIRTY_DISCO) {
		patch.has_disco = true;
		patch.disco = n->disco;
	}
	if (m->dirty & DIRTY_HOME)
		patch.home_relay = n->home_relay;
	if (m->dirty & DIRTY_ONLINE) {
		patch.online = n->online;
		patch.has_last_seen = n->online == CONTROL_NO;
		patch.last_seen_s = n->last_seen_s;
	}
	return patch;
}

/* "None any more" cannot be said by a patch. */
static bool fits_a_patch(const struct machine *m)
{
	return !(m->dirty & DIRTY_ALL) &&
	       !((m->dirty & DIRTY_ENDPOINTS) && m->node->endpoint_count == 0) &&
	       !((m->dirty & DIRTY_HOME) && m->node->home_relay == 0);
}

static void collect(struct realm *r, struct round *round)
{
	size_t count = 0;

	for (struct list *it = r->dirty.next; it != &r->dirty; it = it->next)
		count++;
	round->all = arena_take_array(&round->arena, count + 1, sizeof(struct machine *));
	round->patches = arena_take_array(&round->arena, count + 1, sizeof(*round->patches));
	LIST_EACH (&r->dirty, struct machine, dirty_link, m) {
		if (fits_a_patch(m))
			round->patches[round->patch_count++] = patch_of(m);
		else
			round->all[round->all_count++] = m;
		m->dirty = 0;
		list_remove(&m->dirty_link);
	}
}

struct control_map_response round_response(struct realm *r, struct round *round,
					   const struct machine *to, bool has_self)
{
	struct control_map_response response = {
		.time_s = realm_now_s(r),
		.relays = !r->relays_changed ? NULL
			  : to		     ? relays_for(r, to)
					     : r->relays,
	};

	if (has_self) {
		struct control_node *self = arena_take(&round->arena, sizeof(*self));

		*self = self_node(to);
		response.node = self;
	}
	if (r->urls_changed)
		fill_urls(&round->arena, r, &response);
	return response;
}

struct blob *round_message(const struct control_map_response *response,
			   struct machine *const *changed, size_t count)
{
	struct buf json;

	buf_init(&json);
	control_map_response_encode(&json, response);
	if (count)
		add_peers(&json, "PeersChanged", changed, count, NULL);
	return framed(&json);
}

static struct blob *delta_message(struct realm *r, struct round *round, const struct machine *to,
				  bool has_self)
{
	struct control_map_response response = round_response(r, round, to, has_self);
	struct buf json;

	if (r->users_changed)
		fill_users(&round->arena, r, &response);
	else if (round->all_count)
		fill_users_of(&round->arena, r, round->all, round->all_count, &response);
	response.removed = r->removed;
	response.removed_count = r->removed_count;
	response.patches = round->patches;
	response.patch_count = round->patch_count;
	buf_init(&json);
	control_map_response_encode(&json, &response);
	if (round->all_count)
		add_peers(&json, "PeersChanged", round->all, round->all_count, to);
	return framed(&json);
}

static bool is_among(const struct round *round, const struct machine *m)
{
	for (size_t i = 0; i < round->all_count; i++)
		if (round->all[i] == m)
			return true;
	return false;
}

static void tell(struct realm *r, struct round *round, struct map_stream *s)
{
	struct machine *m = s->machine;
	struct control_node self = self_node(m);

	if (s->needs_whole && door_is_busy(r->door))
		return; /* everything anew in a later round, instead of this one's news */
	if (s->needs_whole) {
		write_message(s, whole_message(r, m, &s->view));
	} else if (r->policy->read && m->is_shown) {
		struct blob *message = view_delta(r, round, m, &s->view, s->needs_self);

		if (message)
			write_message(s, message);
	} else if (!m->is_shown) {
		if (s->needs_self)
			write_message(s, round_message(
						 &(struct control_map_response) {
							 .time_s = realm_now_s(r),
							 .node = &self,
						 },
						 NULL, 0));
	} else if (s->needs_self || is_among(round, m) ||
		   (r->relays_changed && relays_for(r, m) != r->relays)) {
		write_message(s, delta_message(r, round, m, s->needs_self));
	} else {
		if (!round->shared)
			round->shared = delta_message(r, round, NULL, false);
		write_message(s, blob_ref(round->shared));
	}
	s->needs_whole = s->needs_self = false;
}

static bool has_news(const struct realm *r, const struct round *round)
{
	return round->all_count || round->patch_count || r->removed_count || r->relays_changed ||
	       r->users_changed || r->urls_changed || r->policy->read;
}

static void on_fanout(struct timer *t)
{
	struct realm *r = CONTAINER(t, struct realm, fanout);
	struct round round = { .all_count = 0 };
	uint64_t begin_us = clock_now_us();

	r->has_fanout = false;
	arena_init(&round.arena);
	collect(r, &round);
	bool is_for_all = has_news(r, &round), has_late = false;
	LIST_EACH (&r->sessions, struct map_stream, link, s) {
		if (!is_for_all && !s->needs_whole && !s->needs_self)
			continue;
		tell(r, &round, s);
		has_late |= s->needs_whole;
	}
	r->removed_count = 0;
	r->relays_changed = r->users_changed = r->urls_changed = false;
	r->fanout_ms = loop_now_ms(r->loop);
	blob_unref(&round.shared);
	arena_done(&round.arena);
	uint64_t took_us = clock_now_us() - begin_us;
	r->status.fanouts++;
	if (took_us > r->status.fanout_us)
		r->status.fanout_us = took_us;
	if (has_late)
		fanout_set(r);
}

/* Soon after a quiet time, else when the last round is long enough ago. */
void fanout_set(struct realm *r)
{
	uint64_t now_ms = loop_now_ms(r->loop);
	uint64_t at_ms = now_ms + REALM_FANOUT_MS_MIN;

	if (!r->door || r->has_fanout)
		return;
	r->has_fanout = true;
	if (at_ms < r->fanout_ms + REALM_FANOUT_MS)
		at_ms = r->fanout_ms + REALM_FANOUT_MS;
	timer_set(&r->fanout, r->loop, at_ms, on_fanout);
}
