/* Peer relays: which machines forward for us, for which we do, and the socket where we do it.
 *
 * Both follow from the filter.  A peer that has cap/relay towards us may use us; one that has
 * cap/relay-target may be used. */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "mesh/node/private.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

enum { CLIENT_VERSION_MIN = 121 /* older ones know nothing of it */ };

/* --- who -------------------------------------------------------------------------------------- */
static bool is_about(const struct control_rule *rule, struct slice capability)
{
	for (size_t i = 0; i < rule->grant_count; i++)
		for (size_t j = 0; j < rule->grants[i].cap_count; j++)
			if (slice_equal(rule->grants[i].caps[j].name, capability))
				return true;
	return false;
}

static bool is_source(const struct control_rule *rule, const struct control_node *c)
{
	for (size_t i = 0; i < rule->source_count; i++) {
		const struct control_ip_set *set = &rule->sources[i];

		if (set->kind == CONTROL_IPS_ANY)
			return true;
		for (size_t j = 0; set->kind == CONTROL_IPS_RANGE && j < c->address_count; j++)
			if (ip_compare(set->first, c->addresses[j].ip) <= 0 &&
			    ip_compare(c->addresses[j].ip, set->last) <= 0)
				return true;
	}
	return false;
}

/* Towards us: rules are about our own addresses. */
static bool has(const struct netmap *m, const struct control_node *c, struct slice capability)
{
	for (size_t i = 0; i < m->filter_count; i++)
		for (size_t j = 0; j < m->filters[i]->rule_count; j++)
			if (is_about(&m->filters[i]->rules[j], capability) &&
			    is_source(&m->filters[i]->rules[j], c))
				return true;
	return false;
}

bool node_update_relaying(struct node *n, struct node_peer *p, const struct control_node *c)
{
	const struct netmap *m = node_netmap(n);
	bool can = c->version == 0 || c->version >= CLIENT_VERSION_MIN;
	bool is_peer_relay = can && has(m, c, SLICE("tailscale.com/cap/relay-target"));
	bool is_client = can && n->relay && has(m, c, SLICE("tailscale.com/cap/relay"));
	bool is_same = is_peer_relay == p->is_peer_relay && is_client == p->is_relay_client;

	if (p->is_relay_client && !is_client)
		node_forget_relaying(n, p);
	p->is_peer_relay = is_peer_relay;
	p->is_relay_client = is_client;
	return !is_same;
}

void node_forget_relaying(struct node *n, struct node_peer *p)
{
	if (n->relay && !mesh_key_is_zero(&p->relay_disco))
		peer_relay_forget(n->relay, &p->relay_disco);
	p->relay_disco = (struct mesh_key) { { 0 } };
}

/* --- the socket ------------------------------------------------------------------------------- */
/* What a full socket does not take is lost, as on any network. */
static void flush(struct node *n, struct datagram_run *out)
{
	if (out->size > 0)
		(void)datagram_send(n->relay_socket, out, 1);
	out->size = 0;
}

/* Datagrams for one end that came as a run go on as one. */
static bool goes_on(const struct datagram_run *out, const struct endpoint *to, struct slice bytes)
{
	return out->size > 0 && out->data + out->size == bytes.data &&
	       endpoint_equal(&out->peer, to) && bytes.size <= out->segment_size &&
	       out->size % out->segment_size == 0;
}

static void forward(struct node *n, const struct datagram_run *run, uint64_t now_us)
{
	struct slice all = { run->data, run->size }, bytes;
	struct datagram_run out = { .size = 0 };
	struct endpoint to;

	for (size_t at = 0; at < run->size; at += run->segment_size) {
		struct slice part = slice_part(all, at, run->segment_size);

		if (!peer_relay_received(n->relay, &run->peer, part, now_us, &to, &bytes))
			continue;
		if (bytes.data != part.data) {
			(void)datagram_send_one(n->relay_socket, &to, bytes);
			continue;
		}
		if (goes_on(&out, &to, bytes)) {
			out.size += bytes.size;
			continue;
		}
		flush(n, &out);
		out = (struct datagram_run) { .peer = to,
					      .data = run->data + at,
					      .size = bytes.size,
					      .segment_size = bytes.size };
	}
	flush(n, &out);
}

static void on_runs(void *context, struct datagram_run *runs, size_t count)
{
	struct node *n = context;
	uint64_t now_us = clock_now_us();

	for (size_t i = 0; i < count; i++)
		forward(n, &runs[i], now_us);
}

static void on_timer(struct timer *t)
{
	struct node *n = CONTAINER(t, struct node, relay_timer);
	uint64_t now_us = clock_now_us(), at_us;

	peer_relay_tick(n->relay, now_us);
	at_us = peer_relay_deadline_us(n->relay);
	if (at_us != UINT64_MAX)
		timer_set(t, n->loop, loop_now_ms(n->loop) + (at_us - now_us) / 1000 + 1, on_timer);
}

enum err node_open_peer_relay(struct node *n, uint16_t port, char why[NODE_WHY_BYTES])
{
	struct peer_relay_config config = { .random = NULL };
	enum err err = datagram_open(n->loop,
				     &(struct datagram_options) {
					     .port = port,
					     .mark = NODE_MARK,
					     .on_runs = on_runs,
					     .context = n,
				     },
				     &n->relay_socket);

	if (err) {
		snprintf(why, NODE_WHY_BYTES, "--peer-relay: UDP port %u: %s", port, err_name(err));
		return err;
	}
	random_bytes(config.disco_secret.bytes, sizeof(config.disco_secret.bytes));
	x25519_clamp(config.disco_secret.bytes);
	n->relay = peer_relay_new(&config);
	crypto_wipe(&config, sizeof(config));
	return OK;
}

void node_close_peer_relay(struct node *n)
{
	timer_clear(&n->relay_timer);
	datagram_close(n->relay_socket);
	peer_relay_free(n->relay);
	n->relay_socket = NULL;
	n->relay = NULL;
}

/* Our addresses with its port; a router in between has to let that through as it is. */
static size_t relay_endpoints(struct node *n, struct endpoint ret[PATHS_ENDPOINTS_MAX])
{
	struct paths_endpoint ours[PATHS_ENDPOINTS_MAX];
	int found = paths_endpoints(n->paths, ours);
	size_t count = 0;

	for (int i = 0; i < found; i++) {
		bool is_there = false;

		for (size_t j = 0; j < count; j++)
			is_there |= endpoint_same_ip(&ret[j], &ours[i].address);
		if (is_there)
			continue;
		ret[count] = ours[i].address;
		ret[count++].port = datagram_port(n->relay_socket);
	}
	return count;
}

void node_allocate(struct node *n, const struct paths_effect *e)
{
	struct node_peer *p = paths_peer_context(e->peer);
	struct endpoint endpoints[PATHS_ENDPOINTS_MAX];
	const struct mesh_key *asker = paths_peer_disco_key(e->peer);
	uint64_t now_us = clock_now_us();
	struct disco_relay session;
	enum err err;

	if (!n->relay || !p->is_relay_client)
		return;
	if (!mesh_key_equal(asker, &p->relay_disco))
		node_forget_relaying(n, p);
	p->relay_disco = *asker;
	err = peer_relay_allocate(n->relay, asker, e->clients, now_us, &session);
	if (err) {
		log_debug("peer %lld gets no session of the peer relay: %s", (long long)p->id,
			  err_name(err));
		return;
	}
	paths_allocated(n->paths, e->peer, e->generation, &session, endpoints,
			relay_endpoints(n, endpoints), now_us);
	on_timer(&n->relay_timer);
}
