/* mesh.sock: HTTP and JSON for the other processes of this machine and for people's commands.
 *
 *	GET  /v1/status              this machine and its peers, with how each is reached
 *	GET  /v1/netmap?after=N      the mesh (wire/mesh_view.h); waits while it is the N-th
 *	GET  /v1/whois?address=IP    whose address that is
 *	GET  /v1/netcheck            what the network below is like
 *	POST /v1/ping {"to": NAME}   one round trip, and by which way
 *	PUT  /v1/services            what this machine serves, for others to know
 *	POST /v1/down, /v1/logout    stop `hanse up`; leave the mesh and stop */
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "server/mesh_role.h"

static const char json_text_type[] = "application/json";

static int add_text(const char *text, size_t size, void *context)
{
	buf_add(context, text, size);
	return 0;
}

static void answer(struct http_exchange *e, int status, json_t *document)
{
	struct buf text;

	buf_init(&text);
	if (document && !json_dump_callback(document, add_text, &text, JSON_INDENT(2))) {
		buf_add_text(&text, "\n");
		http_answer(e, status, json_text_type, buf_slice(&text));
	} else {
		http_answer(e, 500, json_text_type, SLICE("{\"error\":\"not text\"}\n"));
	}
	json_decref(document);
	buf_done(&text);
}

static void refuse(struct http_exchange *e, int status, const char *why)
{
	answer(e, status, json_pack("{s:s}", "error", why));
}

/* --- machines --------------------------------------------------------------------------------- */
static json_t *text_json(struct slice s)
{
	json_t *ret = json_stringn(s.size ? (const char *)s.data : "", s.size);

	return ret ? ret : json_string("?"); /* not UTF-8 */
}

static json_t *texts_json(const struct slice *texts, size_t count)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(ret, text_json(texts[i]));
	return ret;
}

static json_t *addresses_json(const struct control_node *c)
{
	json_t *ret = json_array();
	char text[IP_TEXT_BYTES];

	for (size_t i = 0; i < c->address_count; i++) {
		ip_text(c->addresses[i].ip, text);
		json_array_append_new(ret, json_string(text));
	}
	return ret;
}

static json_t *caps_json(const struct control_node *c)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < c->cap_count; i++)
		json_array_append_new(ret, text_json(c->caps[i].name));
	return ret;
}

static json_t *services_json(const struct control_node *c)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < c->hostinfo.service_count; i++)
		json_array_append_new(ret, json_pack("{s:o, s:i}", "proto",
						     text_json(c->hostinfo.services[i].proto),
						     "port", (int)c->hostinfo.services[i].port));
	return ret;
}

/* Its own services it knows before control tells them back. */
static json_t *own_services_json(const struct node *n)
{
	const struct node_service *services;
	json_t *ret = json_array();
	size_t count = node_services(n, &services);

	for (size_t i = 0; i < count; i++)
		json_array_append_new(ret, json_pack("{s:s, s:i}", "proto", services[i].proto,
						     "port", (int)services[i].port));
	return ret;
}

static json_t *user_json(const struct netmap *m, const struct control_node *c)
{
	const struct control_user *user = c->tag_count ? NULL : netmap_user(m, c->user);

	return user ? text_json(user->login_name) : json_null();
}

static json_t *machine_json(const struct mesh *m, const struct control_node *c)
{
	const struct netmap *map = node_netmap(m->node);
	bool is_self = c == map->self;
	struct slice name = c->name;

	if (name.size > 0 && name.data[name.size - 1] == '.')
		name.size--;
	json_t *ret = json_object();
	json_object_set_new(ret, "id", text_json(c->stable_id));
	json_object_set_new(ret, "name", text_json(name));
	json_object_set_new(ret, "addresses", addresses_json(c));
	if (is_self || c->online != CONTROL_UNSAID)
		json_object_set_new(ret, "online",
				    json_boolean(is_self || c->online == CONTROL_YES));
	json_object_set_new(ret, "user", user_json(map, c));
	json_object_set_new(ret, "tags", texts_json(c->tags, c->tag_count));
	json_object_set_new(ret, "os", text_json(is_self ? SLICE("linux") : c->hostinfo.os));
	json_object_set_new(ret, "services",
			    is_self ? own_services_json(m->node) : services_json(c));
	json_object_set_new(ret, "capabilities", caps_json(c));
	return ret;
}

/* --- the netmap, and who waits for it --------------------------------------------------------- */
static json_t *resolvers_json(const struct control_resolver *resolvers, size_t count)
{
	json_t *ret = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(ret, text_json(resolvers[i].address));
	return ret;
}

static void add_dns(json_t *ret, const struct control_dns *dns)
{
	json_t *records = json_array(), *routes = json_object();

	for (size_t i = 0; dns && i < dns->record_count; i++) {
		const struct control_dns_record *r = &dns->records[i];
		json_array_append_new(records,
				      json_pack("{s:o, s:o, s:o}", "name", text_json(r->name),
						"type", text_json(r->type), "value",
						text_json(r->value)));
	}
	for (size_t i = 0; dns && i < dns->route_count; i++) {
		const struct control_dns_route *r = &dns->routes[i];
		char suffix[CONTROL_NAME_BYTES_MAX + 1];
		if (r->suffix.size > CONTROL_NAME_BYTES_MAX)
			continue;
		memcpy(suffix, r->suffix.data, r->suffix.size);
		suffix[r->suffix.size] = '\0';
		json_object_set_new(routes, suffix,
				    resolvers_json(r->resolvers, r->resolver_count));
	}
	json_object_set_new(ret, "records", records);
	json_object_set_new(ret, "routes", routes);
	json_object_set_new(ret, "resolvers",
			    dns ? resolvers_json(dns->resolvers, dns->resolver_count)
				: json_array());
}

static json_t *netmap_json(const struct mesh *m)
{
	const struct netmap *map = node_netmap(m->node);
	json_t *ret = json_object(), *peers = json_array();

	json_object_set_new(ret, "sequence", json_integer((json_int_t)node_sequence(m->node)));
	json_object_set_new(ret, "domain", json_string(map->domain));
	if (map->self)
		json_object_set_new(ret, "self", machine_json(m, map->self));
	for (size_t i = 0; i < map->peer_count; i++)
		json_array_append_new(peers, machine_json(m, map->peers[i]));
	json_object_set_new(ret, "peers", peers);
	add_dns(ret, map->dns);
	return ret;
}

static void on_poll_timer(struct timer *t);

static void set_poll_timer(struct mesh *m)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < MESH_WAITERS_MAX; i++)
		if (m->waiters[i].exchange && m->waiters[i].until_ms < first)
			first = m->waiters[i].until_ms;
	if (first == UINT64_MAX)
		timer_clear(&m->poll_timer);
	else
		timer_set(&m->poll_timer, m->loop, first, on_poll_timer);
}

static void answer_waiters(struct mesh *m, bool all)
{
	uint64_t now = loop_now_ms(m->loop);

	for (size_t i = 0; i < MESH_WAITERS_MAX; i++) {
		struct mesh_waiter *w = &m->waiters[i];
		if (!w->exchange ||
		    (!all && w->after == node_sequence(m->node) && w->until_ms > now))
			continue;
		struct http_exchange *e = w->exchange;
		w->exchange = NULL;
		answer(e, 200, netmap_json(m));
	}
}

static void on_poll_timer(struct timer *t)
{
	struct mesh *m = CONTAINER(t, struct mesh, poll_timer);

	answer_waiters(m, false);
	set_poll_timer(m);
}

void mesh_api_tell(struct mesh *m)
{
	answer_waiters(m, false);
	set_poll_timer(m);
}

void mesh_api_close(struct mesh *m)
{
	if (m->node)
		answer_waiters(m, true);
	timer_clear(&m->poll_timer);
}

/* The value of a name in "a=1&b=2", not decoded. */
static struct slice query_value(struct slice query, struct slice name)
{
	while (query.size > 0) {
		struct slice value = slice_cut(&query, '&');
		if (slice_equal(slice_cut(&value, '='), name))
			return value;
	}
	return (struct slice) { 0 };
}

static void get_netmap(struct mesh *m, struct http_exchange *e)
{
	uint64_t after;

	if (text_to_u64(query_value(e->query, SLICE("after")), UINT64_MAX, &after) == OK &&
	    after == node_sequence(m->node)) {
		for (size_t i = 0; i < MESH_WAITERS_MAX; i++) {
			struct mesh_waiter *w = &m->waiters[i];
			if (w->exchange)
				continue;
			*w = (struct mesh_waiter) { e, after, loop_now_ms(m->loop) + MESH_POLL_MS };
			set_poll_timer(m);
			return;
		}
	}
	answer(e, 200, netmap_json(m));
}

/* --- questions -------------------------------------------------------------------------------- */
static void get_whois(struct mesh *m, struct http_exchange *e)
{
	struct slice text = query_value(e->query, SLICE("address"));
	struct endpoint with_port;
	char alone[ENDPOINT_TEXT_BYTES];
	struct ip ip;

	if (ip_parse(text, &ip) && endpoint_parse(text, &with_port) == OK) {
		endpoint_ip_text(&with_port, alone);
		text = slice_from(alone);
	}
	if (ip_parse(text, &ip)) {
		refuse(e, 400, "address=IP is missing, or not an address");
		return;
	}
	const struct control_node *c = node_whois(m->node, ip);
	if (!c)
		refuse(e, 404, "no machine of the mesh has this address");
	else
		answer(e, 200, json_pack("{s:o}", "machine", machine_json(m, c)));
}

static const char *const place_names[] = {
	[MEMBER_CONNECTING] = "connecting", [MEMBER_REGISTERING] = "registering",
	[MEMBER_WAITING] = "waiting",	    [MEMBER_UP] = "up",
	[MEMBER_REFUSED] = "refused",	    [MEMBER_EXPIRED] = "expired",
	[MEMBER_LOGGED_OUT] = "logged out",
};

static void add_path(json_t *ret, struct mesh *m, const struct control_node *c)
{
	struct paths_peer *peer = node_paths_peer(m->node, c);
	struct node_traffic traffic = node_traffic(m->node, c);
	struct paths_peer_state state;
	char why[PATHS_WHY_BYTES];

	if (!peer)
		return;
	paths_peer_state(node_paths(m->node), peer, clock_now_us(), &state);
	paths_peer_why(node_paths(m->node), peer, clock_now_us(), why);
	json_object_set_new(ret, "path",
			    json_string(state.kind == PATHS_DIRECT	 ? "direct"
					: state.kind == PATHS_PEER_RELAY ? "peer relay"
					: state.kind == PATHS_RELAY	 ? "relay"
									 : "none"));
	json_object_set_new(ret, "why", json_string(why));
	json_object_set_new(ret, "active", json_boolean(state.is_active));
	json_object_set_new(ret, "received_bytes",
			    json_integer((json_int_t)traffic.received_bytes));
	json_object_set_new(ret, "sent_bytes", json_integer((json_int_t)traffic.sent_bytes));
	json_object_set_new(ret, "handshake_ms", json_integer(traffic.handshake_wall_ms));
}

static json_t *endpoints_json(struct mesh *m)
{
	struct paths_endpoint all[PATHS_ENDPOINTS_MAX];
	char text[ENDPOINT_TEXT_BYTES];
	json_t *ret = json_array();
	int count = paths_endpoints(node_paths(m->node), all);

	for (int i = 0; i < count; i++) {
		endpoint_text(&all[i].address, text);
		json_array_append_new(ret, json_string(text));
	}
	return ret;
}

static void get_status(struct mesh *m, struct http_exchange *e)
{
	const struct netmap *map = node_netmap(m->node);
	struct member_state state = member_get_state(node_member(m->node));
	struct paths_netinfo info;
	json_t *peers = json_array(), *ret = json_object();

	paths_netinfo(node_paths(m->node), &info);
	json_object_set_new(ret, "state", json_string(place_names[state.place]));
	json_object_set_new(ret, "control", json_string(state.url ? state.url : ""));
	json_object_set_new(ret, "why", json_string(state.why ? state.why : ""));
	json_object_set_new(ret, "link", json_string(state.auth_url ? state.auth_url : ""));
	json_object_set_new(ret, "approved", json_boolean(state.is_authorized));
	json_object_set_new(ret, "interface", json_string(m->options->values[OPTION_TUN]));
	json_object_set_new(ret, "port", json_integer(node_port(m->node)));
	json_object_set_new(ret, "relay", json_integer((json_int_t)info.home));
	json_object_set_new(ret, "relay_connected",
			    json_boolean(info.home && node_relay_is_connected(m->node, info.home)));
	json_object_set_new(ret, "endpoints", endpoints_json(m));
	json_object_set_new(ret, "domain", json_string(map->domain));
	if (map->self)
		json_object_set_new(ret, "self", machine_json(m, map->self));
	for (size_t i = 0; i < map->peer_count; i++) {
		json_t *peer = machine_json(m, map->peers[i]);
		add_path(peer, m, map->peers[i]);
		json_array_append_new(peers, peer);
	}
	json_object_set_new(ret, "peers", peers);
	answer(e, 200, ret);
}

static json_t *answer_json(enum paths_answer a)
{
	return a == PATHS_UNKNOWN ? json_null() : json_boolean(a == PATHS_YES);
}

static json_t *public_json(const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_BYTES];

	if (endpoint_is_none(e))
		return json_null();
	endpoint_text(e, text);
	return json_string(text);
}

static void get_netcheck(struct mesh *m, struct http_exchange *e)
{
	const struct netmap *map = node_netmap(m->node);
	struct paths_netinfo info;
	json_t *ret = json_object(), *relays = json_array();

	paths_netinfo(node_paths(m->node), &info);
	json_object_set_new(ret, "udp", answer_json(info.has_udp));
	json_object_set_new(ret, "ipv6", answer_json(info.has_ipv6));
	json_object_set_new(ret, "public4", public_json(&info.public4));
	json_object_set_new(ret, "public6", public_json(&info.public6));
	json_object_set_new(ret, "mapping_varies", answer_json(info.mapping_varies));
	json_object_set_new(ret, "port_mapping", answer_json(info.has_mapping));
	json_object_set_new(ret, "endpoints", endpoints_json(m));
	json_object_set_new(ret, "relay", json_integer((json_int_t)info.home));
	for (size_t i = 0; map->relays && i < map->relays->region_count; i++) {
		const struct control_region *region = &map->relays->regions[i];
		if (region->is_avoided)
			continue; /* only to measure with */
		json_t *latency = json_null();
		for (int j = 0; j < info.latency_count; j++)
			if (info.latencies[j].region == (uint32_t)region->id)
				latency = json_real((double)info.latencies[j].latency_us / 1000.0);
		json_array_append_new(
			relays, json_pack("{s:i, s:o, s:o, s:b}", "region", (int)region->id, "name",
					  text_json(region->title), "ms", latency, "connected",
					  node_relay_is_connected(m->node, (uint32_t)region->id)));
	}
	json_object_set_new(ret, "relays", relays);
	answer(e, 200, ret);
}

/* --- ping ------------------------------------------------------------------------------------- */
struct ping {
	struct mesh *mesh;
	struct http_exchange *exchange;
	int64_t id;
};

static void on_pong(void *context, const struct node_pong *pong)
{
	struct ping *p = context;
	struct mesh *m = p->mesh;
	const struct control_node *c = netmap_peer(node_netmap(m->node), p->id);
	struct paths_peer *peer = c ? node_paths_peer(m->node, c) : NULL;
	char why[PATHS_WHY_BYTES] = "", address[ENDPOINT_TEXT_BYTES] = "";

	if (peer)
		paths_peer_why(node_paths(m->node), peer, clock_now_us(), why);
	if (!pong->region)
		endpoint_text(&pong->address, address);
	json_t *ret = c ? machine_json(m, c) : json_object();
	json_object_set_new(ret, "answered", json_boolean(!pong->is_lost));
	json_object_set_new(ret, "why", json_string(why));
	if (!pong->is_lost) {
		json_object_set_new(ret, "via",
				    json_string(pong->region		 ? "relay"
						: pong->is_by_peer_relay ? "peer relay"
									 : "direct"));
		json_object_set_new(ret, "ms", json_real((double)pong->latency_us / 1000.0));
		if (pong->region)
			json_object_set_new(ret, "relay", json_integer((json_int_t)pong->region));
		else
			json_object_set_new(ret, pong->is_by_peer_relay ? "peer_relay" : "endpoint",
					    json_string(address));
	}
	answer(p->exchange, 200, ret);
	memory_free(p);
}

static void post_ping(struct mesh *m, struct http_exchange *e)
{
	json_t *body = json_loadb((const char *)e->body.data, e->body.size, 0, NULL);
	const char *to = json_string_value(json_object_get(body, "to"));
	const struct control_node *c = to ? node_find(m->node, slice_from(to)) : NULL;
	enum err err = ERR_NOT_FOUND;

	if (member_get_state(node_member(m->node)).place == MEMBER_EXPIRED) {
		refuse(e, 503, "the key of this machine has expired: `hanse up --join KEY`");
	} else if (c && c == node_netmap(m->node)->self) {
		refuse(e, 400, "that is this machine itself");
	} else if (!c) {
		refuse(e, to ? 404 : 400,
		       to ? "no machine of the mesh has this name" : "\"to\" is missing");
	} else {
		struct ping *p = NEW(struct ping);
		*p = (struct ping) { m, e, c->id };
		err = node_ping(m->node, c, on_pong, p);
		if (err) {
			memory_free(p);
			refuse(e, 503,
			       err == ERR_BUSY ? "too many pings at once"
					       : "the machine has no key now: it has expired");
		}
	}
	json_decref(body);
}

/* --- what is told here ------------------------------------------------------------------------ */
static void put_services(struct mesh *m, struct http_exchange *e)
{
	struct node_service services[NODE_SERVICES_MAX];
	json_t *body = json_loadb((const char *)e->body.data, e->body.size, 0, NULL);
	json_t *list = json_object_get(body, "services");
	size_t count = 0;

	memset(services, 0, sizeof(services));
	for (size_t i = 0; i < json_array_size(list) && count < NODE_SERVICES_MAX; i++) {
		json_t *service = json_array_get(list, i);
		const char *proto = json_string_value(json_object_get(service, "proto"));
		json_int_t port = json_integer_value(json_object_get(service, "port"));
		if (!proto || strlen(proto) >= NODE_NAME_BYTES || port <= 0 || port > UINT16_MAX)
			continue;
		memcpy(services[count].proto, proto, strlen(proto));
		services[count++].port = (uint16_t)port;
	}
	if (!json_is_array(list)) {
		refuse(e, 400, "\"services\" is missing");
	} else {
		node_set_services(m->node, services, count);
		answer(e, 200, json_object());
	}
	json_decref(body);
}

static void post_down(struct mesh *m, struct http_exchange *e)
{
	(void)m;
	answer(e, 200, json_pack("{s:I}", "supervisor", (json_int_t)getppid()));
	kill(getppid(), SIGTERM); /* all of `hanse up` */
}

static const struct {
	const char *method, *path;
	void (*run)(struct mesh *m, struct http_exchange *e);
} operations[] = {
	{ "GET", "/v1/status", get_status }, { "GET", "/v1/netmap", get_netmap },
	{ "GET", "/v1/whois", get_whois },   { "GET", "/v1/netcheck", get_netcheck },
	{ "POST", "/v1/ping", post_ping },   { "PUT", "/v1/services", put_services },
	{ "POST", "/v1/down", post_down },   { "POST", "/v1/logout", mesh_log_out },
};

void mesh_api_on_request(void *context, struct http_exchange *e)
{
	struct mesh *m = context;
	bool is_path = false;

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		if (!slice_equal(e->path, slice_from(operations[i].path)))
			continue;
		is_path = true;
		if (strcmp(e->method, operations[i].method) == 0 && m->node) {
			operations[i].run(m, e);
			return;
		}
	}
	refuse(e, is_path ? 405 : 404, is_path ? "another method" : "no such path");
}
