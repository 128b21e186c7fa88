/* What the netmap says becomes peers of tunnel and paths, rules of the filter, and routes. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "mesh/node/private.h"

/* --- one peer --------------------------------------------------------------------------------- */
static struct slice id_key(const int64_t *id)
{
	return (struct slice) { (const uint8_t *)id, sizeof(*id) };
}

struct node_peer *node_peer_by_id(const struct node *n, int64_t id)
{
	return map_get(&n->peers, id_key(&id));
}

static void drop_peer(struct node *n, struct node_peer *p)
{
	map_remove(&n->peers, id_key(&p->id));
	node_forget_relaying(n, p);
	for (size_t i = 0; i < NODE_PINGS_MAX; i++)
		if (n->pings[i].peer == p->paths)
			n->pings[i].peer = NULL;
	paths_remove_peer(n->paths, &p->key);
	lanes_forget_peer(n->lanes, p->tunnel);
	tunnel_remove_peer(n->tunnel, p->tunnel);
	memory_free(p->allowed);
	memory_free(p);
}

void node_drop_peers(struct node *n)
{
	size_t cursor = 0;

	for (struct node_peer *p = map_next(&n->peers, &cursor); p;
	     p = map_next(&n->peers, &cursor))
		drop_peer(n, p);
}

static struct node_peer *add_peer(struct node *n, const struct control_node *c)
{
	struct node_peer *p = NEW(struct node_peer);

	p->id = c->id;
	p->key = c->key;
	if (tunnel_add_peer(n->tunnel, c->key.bytes, p, &p->tunnel)) {
		log_warn("machine %.*s cannot be a peer: its key is another one's, or there are "
			 "too many",
			 SLICE_ARG(c->name));
		memory_free(p);
		return NULL;
	}
	map_put(&n->peers, id_key(&p->id), p);
	return p;
}

/* An exit node is one only for who chose it, networks are for who wants them. */
static bool is_wanted(const struct node *n, const struct control_node *c, struct ip_prefix prefix)
{
	if (prefix.bits == ip_bits(prefix.ip)) {
		for (size_t i = 0; i < c->address_count; i++)
			if (ip_prefix_equal(c->addresses[i], prefix))
				return true;
	}
	if (prefix.bits == 0)
		return n->exit_node[0] && node_find(n, slice_from(n->exit_node)) == c;
	return n->accepts_routes;
}

/* Who believes to be behind an exit node and is not has to hear of it. */
static void check_exit(struct node *n)
{
	const struct control_node *c = node_find(n, slice_from(n->exit_node));
	const char *why = c ? "it does not offer that (--advertise-exit-node), or nobody has "
			      "approved it (`hanse machine routes`)"
			    : "no machine of the mesh has this name";

	for (size_t i = 0; c && i < c->allowed_count; i++)
		if (c->allowed[i].bits == 0)
			why = NULL;
	if (n->exit_node[0] && why && why != n->exit_told)
		log_warn("--exit-node %s is not used, and what goes to the Internet leaves here: "
			 "%s",
			 n->exit_node, why);
	else if (!why && n->exit_told)
		log_info("what goes to the Internet leaves at %s", n->exit_node);
	n->exit_told = why;
}

static void allow(struct node *n, struct node_peer *p, const struct control_node *c)
{
	struct ip_prefix *wanted = memory_take_array(c->allowed_count, sizeof(*wanted));
	size_t count = 0;

	for (size_t i = 0; i < c->allowed_count; i++)
		if (is_wanted(n, c, c->allowed[i]))
			wanted[count++] = c->allowed[i];
	for (size_t i = 0; i < p->allowed_count; i++) {
		bool stays = false;
		for (size_t j = 0; j < count; j++)
			stays |= ip_prefix_equal(p->allowed[i], wanted[j]);
		if (!stays)
			tunnel_disallow(n->tunnel, p->tunnel, p->allowed[i]);
	}
	for (size_t i = 0; i < count; i++)
		if (tunnel_allow(n->tunnel, p->tunnel, wanted[i]))
			log_warn("too many routes: one to %.*s is left out", SLICE_ARG(c->name));
	memory_free(p->allowed);
	p->allowed = wanted;
	p->allowed_count = count;
}

static void put_path(struct node *n, struct node_peer *p, const struct control_node *c)
{
	if (c->home_relay > 0)
		p->home = (uint32_t)c->home_relay;
	p->paths = paths_put_peer(n->paths,
				  &(struct paths_peer_facts) {
					  .node = c->key,
					  .disco = c->disco,
					  .endpoints = c->endpoints,
					  .endpoint_count = (int)c->endpoint_count,
					  .home = p->home,
					  .is_peer_relay = p->is_peer_relay,
					  .is_relay_client = p->is_relay_client,
					  .context = p,
				  },
				  clock_now_us());
}

/* One that has expired is none any more. */
static bool is_peer(const struct control_node *c)
{
	bool is_over =
		c->is_expired || (c->key_expiry_s > 0 && c->key_expiry_s * 1000 < clock_wall_ms());

	return !mesh_key_is_zero(&c->key) && c->address_count > 0 && !is_over;
}

/* Said once: who runs control has to know it, and cannot be helped here. */
static void check_addresses(struct node *n, const struct control_node *c)
{
	if (!c->has_foreign_address || n->has_told_foreign)
		return;
	n->has_told_foreign = true;
	log_warn("control gives %.*s an address outside of 100.64.0.0/10 and "
		 "fd7a:115c:a1e0::/48: such addresses are not used",
		 SLICE_ARG(c->name));
}

static void apply_peer(struct node *n, const struct netmap *m, int64_t id)
{
	const struct control_node *c = netmap_peer(m, id);
	struct node_peer *p = node_peer_by_id(n, id);

	if (c)
		check_addresses(n, c);
	if (p && (!c || !is_peer(c) || !mesh_key_equal(&p->key, &c->key))) {
		drop_peer(n, p);
		p = NULL;
	}
	if (!c || !is_peer(c))
		return;
	if (!p)
		p = add_peer(n, c);
	if (!p)
		return;
	(void)node_update_relaying(n, p, c);
	put_path(n, p, c);
	if (!p->paths) {
		log_warn("machine %.*s cannot be a peer: there are too many", SLICE_ARG(c->name));
		p->paths = NULL;
		drop_peer(n, p);
		return;
	}
	allow(n, p, c);
}

/* --- routes ----------------------------------------------------------------------------------- */
static int compare_routes(const void *left, const void *right)
{
	const struct node_route *a = left, *b = right;
	int order = ip_compare(a->prefix.ip, b->prefix.ip);

	if (order == 0)
		order = (a->prefix.bits > b->prefix.bits) - (a->prefix.bits < b->prefix.bits);
	return order;
}

size_t node_keep_routes(struct node_route *routes, size_t count, size_t *ret_left_out)
{
	size_t kept = 0, networks = 0;

	qsort(routes, count, sizeof(*routes), compare_routes);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && compare_routes(&routes[i - 1], &routes[i]) == 0)
			continue;
		if (routes[i].table == NODE_TABLE_MACHINES || networks++ < NODE_NETWORKS_MAX)
			routes[kept++] = routes[i];
	}
	*ret_left_out = networks > NODE_NETWORKS_MAX ? networks - NODE_NETWORKS_MAX : 0;
	return kept;
}

/* Where machines are that we do not know yet, or no more: beside us, as addresses are given one
 * after the other.  What is sent to one of them enters the mesh, where nobody takes it, and not the
 * Internet; and a connection that was begun before control told of the machine has the right
 * address of ours, so that it is made a moment later.  A carrier's network that this machine is in,
 * or another mesh, comes first. */
static size_t add_neighbours(const struct node *n, struct node_route *ret)
{
	size_t count = 0;

	if (n->is_among_others)
		return 0;
	if (n->self4.family != IP_NONE)
		ret[count++].prefix = (struct ip_prefix) { n->self4, NODE_NEIGHBOURS_BITS4 };
	if (n->self6.family != IP_NONE)
		ret[count++].prefix = (struct ip_prefix) { n->self6, NODE_NEIGHBOURS_BITS6 };
	for (size_t i = 0; i < count; i++)
		ret[i] = (struct node_route) { ip_prefix_masked(ret[i].prefix),
					       NODE_TABLE_MACHINES };
	return count;
}

/* Addresses of machines are machines; everything else stands behind the networks this machine is
 * in. */
void node_apply_routes(struct node *n)
{
	struct node_peer *p;
	size_t cursor = 0, count = 0, used = 0, left_out;

	while ((p = map_next(&n->peers, &cursor)))
		count += p->allowed_count;
	struct node_route *routes = memory_take_array(count + NODE_NEIGHBOURS, sizeof(*routes));
	used = add_neighbours(n, routes);
	cursor = 0;
	while ((p = map_next(&n->peers, &cursor)))
		for (size_t i = 0; i < p->allowed_count; i++) {
			struct ip_prefix prefix = p->allowed[i];
			bool is_machine = control_is_machine_address(prefix);
			routes[used++] =
				(struct node_route) { prefix, is_machine ? NODE_TABLE_MACHINES
									 : NODE_TABLE_NETWORKS };
		}
	count = node_keep_routes(routes, used, &left_out);
	if (left_out && !n->has_told_networks)
		log_warn("there are too many networks behind machines: %zu are left out", left_out);
	n->has_told_networks = left_out > 0;
	node_set_routes(n, routes, count);
	check_exit(n);
	memory_free(routes);
}

/* --- filter ----------------------------------------------------------------------------------- */
static struct slice set_text(struct arena *a, const struct control_ip_set *set)
{
	char first[IP_TEXT_BYTES], last[IP_TEXT_BYTES];

	switch (set->kind) {
	case CONTROL_IPS_ANY:
		return SLICE("*");
	case CONTROL_IPS_CAP:
		return slice_from(arena_format(a, "cap:%.*s", SLICE_ARG(set->cap)));
	case CONTROL_IPS_RANGE:
		break;
	}
	ip_text(set->first, first);
	ip_text(set->last, last);
	return slice_from(ip_equal(set->first, set->last) ? arena_format(a, "%s", first)
							  : arena_format(a, "%s-%s", first, last));
}

static struct filter_rule convert_rule(struct arena *a, const struct control_rule *rule)
{
	struct slice *sources = arena_take_array(a, rule->source_count, sizeof(*sources));
	struct filter_destination *to = arena_take_array(a, rule->destination_count, sizeof(*to));

	for (size_t i = 0; i < rule->source_count; i++)
		sources[i] = set_text(a, &rule->sources[i]);
	for (size_t i = 0; i < rule->destination_count; i++)
		to[i] = (struct filter_destination) { set_text(a, &rule->destinations[i].ips),
						      rule->destinations[i].first,
						      rule->destinations[i].last };
	return (struct filter_rule) { .sources = sources,
				      .source_count = rule->source_count,
				      .protocols = rule->protocols,
				      .protocol_count = rule->protocol_count,
				      .destinations = to,
				      .destination_count = rule->destination_count };
}

static void add_rules(struct arena *a, const struct netmap *m, struct filter_config *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < m->filter_count; i++)
		count += m->filters[i]->rule_count;
	struct filter_rule *rules = arena_take_array(a, count, sizeof(*rules));
	for (size_t i = 0; i < m->filter_count; i++)
		for (size_t j = 0; j < m->filters[i]->rule_count; j++)
			if (m->filters[i]->rules[j].destination_count > 0)
				rules[ret->rule_count++] =
					convert_rule(a, &m->filters[i]->rules[j]);
	ret->rules = rules;
}

static void add_holders(struct arena *a, const struct netmap *m, struct filter_config *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < m->peer_count; i++)
		count += m->peers[i]->cap_count * m->peers[i]->address_count;
	struct filter_holder *holders = arena_take_array(a, count, sizeof(*holders));
	for (size_t i = 0; i < m->peer_count; i++) {
		const struct control_node *peer = m->peers[i];
		for (size_t j = 0; j < peer->cap_count; j++)
			for (size_t k = 0; k < peer->address_count; k++)
				holders[ret->holder_count++] =
					(struct filter_holder) { peer->caps[j].name,
								 ip_range_of(peer->addresses[k]) };
	}
	ret->holders = holders;
}

void node_configure_filter(struct node *n)
{
	const struct netmap *m = node_netmap(n);
	struct ip_range local[2 + NODE_ROUTES_MAX];
	struct ip own[2];
	uint16_t ports[FILTER_OPEN_PORTS_MAX];
	struct filter_config config = { .local = local,
					.open_addresses = own,
					.open_ports = ports };
	char why[FILTER_WHY_BYTES];
	struct arena a;

	arena_init(&a);
	add_rules(&a, m, &config);
	add_holders(&a, m, &config);
	if (n->self4.family != IP_NONE)
		own[config.open_address_count++] = n->self4;
	if (n->self6.family != IP_NONE)
		own[config.open_address_count++] = n->self6;
	for (size_t i = 0; i < config.open_address_count; i++)
		local[config.local_count++] = ip_range_one(own[i]);
	for (size_t i = 0; i < n->offered_count; i++)
		local[config.local_count++] = ip_range_of(n->offered[i]);
	for (size_t i = 0; i < n->service_count && config.open_port_count < FILTER_OPEN_PORTS_MAX;
	     i++)
		ports[config.open_port_count++] = n->services[i].port;
	if (filter_configure(n->filter, &config, why))
		log_error("the filter of control is not understood, the one before stays: %s", why);
	arena_done(&a);
}

/* Another filter: who is not mentioned in the change may relay now, or no more. */
static void update_relaying(struct node *n, const struct netmap *m)
{
	for (size_t i = 0; i < m->peer_count; i++) {
		struct node_peer *p = node_peer_by_id(n, m->peers[i]->id);

		if (p && node_update_relaying(n, p, m->peers[i]))
			put_path(n, p, m->peers[i]);
	}
}

/* Another disco key is another life of the peer: it has forgotten our session, and would not hear
 * us until WireGuard notices.  A new peer may have called a moment ago, when we did not know it:
 * it would call again only after 5 s. */
static void greet(struct node *n, const struct netmap_peer_change *change)
{
	struct node_peer *p = node_peer_by_id(n, change->id);
	bool is_new = change->what & NETMAP_PEER_ADDED, is_other = change->what & NETMAP_PEER_DISCO;
	bool has_called = n->stranger_ms > 0 && n->stranger_ms + NODE_STRANGER_MS > clock_now_ms();

	if (!p || (!is_new && !is_other))
		return;
	if ((is_new && has_called) || tunnel_peer_state(p->tunnel, node_now()).has_session)
		tunnel_greet_anew(n->tunnel, node_now(), p->tunnel);
}

/* --- all of it -------------------------------------------------------------------------------- */
static bool has_changed(const struct netmap_change *change, unsigned what)
{
	for (size_t i = 0; i < change->peer_count; i++)
		if (change->peers[i].what & what)
			return true;
	return false;
}

void node_apply(struct node *n, const struct netmap *m, const struct netmap_change *change)
{
	if (change->what & NETMAP_RELAYS)
		node_set_relay_map(n, m->relays);
	if (change->what & NETMAP_SELF) {
		check_addresses(n, m->self);
		node_set_addresses(n, m->self);
	}
	for (size_t i = 0; i < change->peer_count; i++) {
		apply_peer(n, m, change->peers[i].id);
		greet(n, &change->peers[i]);
	}
	if (change->what & NETMAP_FILTERS)
		update_relaying(n, m);
	if ((change->what & NETMAP_SELF) ||
	    has_changed(change, NETMAP_PEER_ADDED | NETMAP_PEER_REMOVED | NETMAP_PEER_KEY |
					NETMAP_PEER_ADDRESSES | NETMAP_PEER_OTHER))
		node_apply_routes(n);
	if ((change->what & (NETMAP_SELF | NETMAP_FILTERS)) ||
	    has_changed(change, NETMAP_PEER_ADDED | NETMAP_PEER_REMOVED | NETMAP_PEER_ADDRESSES |
					NETMAP_PEER_OTHER))
		node_configure_filter(n);
	node_run_effects(n);
}

void node_apply_all(struct node *n)
{
	const struct netmap *m = node_netmap(n);

	if (!m->self)
		return;
	node_set_relay_map(n, m->relays);
	check_addresses(n, m->self);
	node_set_addresses(n, m->self);
	for (size_t i = 0; i < m->peer_count; i++)
		apply_peer(n, m, m->peers[i]->id);
	node_apply_routes(n);
	node_configure_filter(n);
	node_run_effects(n);
}
