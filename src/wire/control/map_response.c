#include "wire/control/map_response.h"

#include <stdio.h>

#include "wire/control/json_writer.h"

enum { SCORE_AVOIDED = 1000 };

static void put_text_if(struct json_writer *w, const char *name, struct slice text)
{
	if (text.size)
		json_put_text(w, name, text);
}

static void put_int_if(struct json_writer *w, const char *name, int64_t value)
{
	if (value)
		json_put_int(w, name, value);
}

static void put_true_if(struct json_writer *w, const char *name, bool value)
{
	if (value)
		json_put_bool(w, name, true);
}

static void put_node(struct json_writer *w, const struct control_node *n)
{
	json_raw(w, (struct slice) { 0 }); /* the comma */
	control_node_encode(w->b, n);
}

/* --- relays ------------------------------------------------------------------------------------
 */

static void put_relay(struct json_writer *w, const struct control_relay *relay)
{
	json_begin(w, '{');
	json_put_text(w, "Name", relay->name);
	json_put_int(w, "RegionID", relay->region);
	json_put_text(w, "HostName", relay->host);
	put_text_if(w, "CertName", relay->cert_name);
	put_text_if(w, "IPv4", relay->ipv4);
	put_text_if(w, "IPv6", relay->ipv6);
	put_int_if(w, "STUNPort", relay->stun_port);
	put_true_if(w, "STUNOnly", relay->is_stun_only);
	put_int_if(w, "DERPPort", relay->relay_port);
	put_true_if(w, "InsecureForTests", relay->is_insecure);
	put_text_if(w, "STUNTestIP", relay->stun_test_ip);
	put_true_if(w, "CanPort80", relay->can_port80);
	json_end(w, '}');
}

/* "Avoid" alone is not heeded by the official client: latencies of such regions count more.  That
 * there are none has to be said too, or those before would count on. */
static void put_scores(struct json_writer *w, const struct control_relay_map *map)
{
	char id[16];

	json_name(w, "HomeParams");
	json_begin(w, '{');
	json_name(w, "RegionScore");
	json_begin(w, '{');
	for (size_t i = 0; i < map->region_count; i++) {
		if (!map->regions[i].is_avoided)
			continue;
		snprintf(id, sizeof(id), "%d", map->regions[i].id);
		json_put_int(w, id, SCORE_AVOIDED);
	}
	json_end(w, '}');
	json_end(w, '}');
}

static void put_relay_map(struct json_writer *w, const struct control_relay_map *map)
{
	char id[16];

	json_name(w, "DERPMap");
	json_begin(w, '{');
	put_scores(w, map);
	json_put_bool(w, "omitDefaultRegions", true);
	json_name(w, "Regions");
	json_begin(w, '{');
	for (size_t i = 0; i < map->region_count; i++) {
		const struct control_region *region = &map->regions[i];

		snprintf(id, sizeof(id), "%d", region->id);
		json_name(w, id);
		json_begin(w, '{');
		json_put_int(w, "RegionID", region->id);
		json_put_text(w, "RegionCode", region->code);
		json_put_text(w, "RegionName", region->title);
		put_true_if(w, "Avoid", region->is_avoided);
		put_true_if(w, "NoMeasureNoHome", region->is_never_home);
		json_name(w, "Nodes");
		json_begin(w, '[');
		for (size_t k = 0; k < region->relay_count; k++)
			put_relay(w, &region->relays[k]);
		json_end(w, ']');
		json_end(w, '}');
	}
	json_end(w, '}');
	json_end(w, '}');
}

/* --- DNS ---------------------------------------------------------------------------------------
 */

static void put_resolvers(struct json_writer *w, const char *name,
			  const struct control_resolver *resolvers, size_t count)
{
	json_name(w, name);
	json_begin(w, '[');
	for (size_t i = 0; i < count; i++) {
		json_begin(w, '{');
		json_put_text(w, "Addr", resolvers[i].address);
		json_end(w, '}');
	}
	json_end(w, ']');
}

static void put_routes(struct json_writer *w, const struct control_dns *dns)
{
	struct arena a;

	arena_init(&a);
	json_name(w, "Routes");
	json_begin(w, '{');
	for (size_t i = 0; i < dns->route_count; i++) {
		const struct control_dns_route *route = &dns->routes[i];
		const char *suffix = arena_text(&a, route->suffix);

		if (route->resolver_count) {
			put_resolvers(w, suffix, route->resolvers, route->resolver_count);
		} else {
			json_name(w, suffix);
			json_raw(w, SLICE("null"));
		}
	}
	json_end(w, '}');
	arena_done(&a);
}

static void put_dns(struct json_writer *w, const struct control_dns *dns)
{
	json_name(w, "DNSConfig");
	json_begin(w, '{');
	if (dns->resolver_count)
		put_resolvers(w, "Resolvers", dns->resolvers, dns->resolver_count);
	if (dns->route_count)
		put_routes(w, dns);
	if (dns->fallback_resolver_count)
		put_resolvers(w, "FallbackResolvers", dns->fallback_resolvers,
			      dns->fallback_resolver_count);
	if (dns->domain_count)
		json_put_texts(w, "Domains", dns->domains, dns->domain_count);
	put_true_if(w, "Proxied", dns->is_proxied);
	if (dns->cert_domain_count)
		json_put_texts(w, "CertDomains", dns->cert_domains, dns->cert_domain_count);
	if (dns->record_count) {
		json_name(w, "ExtraRecords");
		json_begin(w, '[');
		for (size_t i = 0; i < dns->record_count; i++) {
			json_begin(w, '{');
			json_put_text(w, "Name", dns->records[i].name);
			put_text_if(w, "Type", dns->records[i].type);
			json_put_text(w, "Value", dns->records[i].value);
			json_end(w, '}');
		}
		json_end(w, ']');
	}
	json_end(w, '}');
}

/* --- peers -------------------------------------------------------------------------------------
 */

static void put_nodes(struct json_writer *w, const char *name,
		      const struct control_node *const *nodes, size_t count)
{
	if (count == 0)
		return;
	json_name(w, name);
	json_begin(w, '[');
	for (size_t i = 0; i < count; i++)
		put_node(w, nodes[i]);
	json_end(w, ']');
}

static void put_patch(struct json_writer *w, const struct control_peer_patch *patch)
{
	json_begin(w, '{');
	json_put_int(w, "NodeID", patch->id);
	put_int_if(w, "DERPRegion", patch->home_relay);
	put_int_if(w, "Cap", patch->version);
	if (patch->has_caps)
		json_put_caps(w, "CapMap", patch->caps, patch->cap_count);
	if (patch->has_endpoints)
		json_put_endpoints(w, "Endpoints", patch->endpoints, patch->endpoint_count);
	if (patch->has_key)
		json_put_key(w, "Key", MESH_KEY_NODE, &patch->key);
	if (patch->has_disco)
		json_put_key(w, "DiscoKey", MESH_KEY_DISCO, &patch->disco);
	if (patch->online)
		json_put_bool(w, "Online", patch->online == CONTROL_YES);
	if (patch->has_last_seen)
		json_put_time(w, "LastSeen", patch->last_seen_s);
	if (patch->has_key_expiry)
		json_put_time(w, "KeyExpiry", patch->key_expiry_s);
	json_end(w, '}');
}

static void put_flags(struct json_writer *w, const char *name,
		      const struct control_peer_flag *flags, size_t count)
{
	char id[24];

	if (count == 0)
		return;
	json_name(w, name);
	json_begin(w, '{');
	for (size_t i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "%lld", (long long)flags[i].id);
		json_put_bool(w, id, flags[i].value);
	}
	json_end(w, '}');
}

static void put_peers(struct json_writer *w, const struct control_map_response *r)
{
	put_nodes(w, "Peers", r->peers, r->peer_count);
	put_nodes(w, "PeersChanged", r->changed, r->changed_count);
	if (r->removed_count) {
		json_name(w, "PeersRemoved");
		json_begin(w, '[');
		for (size_t i = 0; i < r->removed_count; i++)
			json_int(w, r->removed[i]);
		json_end(w, ']');
	}
	if (r->patch_count) {
		json_name(w, "PeersChangedPatch");
		json_begin(w, '[');
		for (size_t i = 0; i < r->patch_count; i++)
			put_patch(w, &r->patches[i]);
		json_end(w, ']');
	}
	put_flags(w, "PeerSeenChange", r->seen, r->seen_count);
	put_flags(w, "OnlineChange", r->online, r->online_count);
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static void put_filters(struct json_writer *w, const struct control_filter *filters, size_t count)
{
	struct arena a;

	if (count == 0)
		return;
	arena_init(&a);
	json_name(w, "PacketFilters");
	json_begin(w, '{');
	for (size_t i = 0; i < count; i++) {
		json_name(w, arena_text(&a, filters[i].name));
		json_raw(w, filters[i].is_deleted ? SLICE("null") : (struct slice) { 0 });
		if (!filters[i].is_deleted)
			control_rules_encode(w->b, filters[i].rules, filters[i].rule_count);
	}
	json_end(w, '}');
	arena_done(&a);
}

static void put_users(struct json_writer *w, const struct control_user *users, size_t count)
{
	if (count == 0)
		return;
	json_name(w, "UserProfiles");
	json_begin(w, '[');
	for (size_t i = 0; i < count; i++) {
		json_begin(w, '{');
		json_put_int(w, "ID", users[i].id);
		json_put_text(w, "LoginName", users[i].login_name);
		json_put_text(w, "DisplayName", users[i].display_name);
		json_end(w, '}');
	}
	json_end(w, ']');
}

static void put_dial_plan(struct json_writer *w, const struct control_map_response *r)
{
	char number[48], ip[IP_TEXT_BYTES];

	if (r->dial_count == 0)
		return;
	json_name(w, "ControlDialPlan");
	json_begin(w, '{');
	json_name(w, "Candidates");
	json_begin(w, '[');
	for (size_t i = 0; i < r->dial_count; i++) {
		json_begin(w, '{');
		ip_text(r->dial_plan[i].ip, ip);
		json_put_text(w, "IP", slice_from(ip));
		snprintf(number, sizeof(number), "%.3f", r->dial_plan[i].start_delay_s);
		json_name(w, "DialStartDelaySec");
		json_raw(w, slice_from(number));
		snprintf(number, sizeof(number), "%.3f", r->dial_plan[i].timeout_s);
		json_name(w, "DialTimeoutSec");
		json_raw(w, slice_from(number));
		put_int_if(w, "Priority", r->dial_plan[i].priority);
		json_end(w, '}');
	}
	json_end(w, ']');
	json_end(w, '}');
}

static void put_ping(struct json_writer *w, const struct control_ping *ping)
{
	char ip[IP_TEXT_BYTES];

	json_name(w, "PingRequest");
	json_begin(w, '{');
	json_put_text(w, "URL", ping->url);
	put_true_if(w, "URLIsNoise", ping->is_noise);
	put_text_if(w, "Types", ping->types);
	ip_text(ping->ip, ip);
	put_text_if(w, "IP", slice_from(ip));
	json_end(w, '}');
}

void control_map_response_encode(struct buf *b, const struct control_map_response *r)
{
	struct json_writer w = { .b = b };

	json_begin(&w, '{');
	put_true_if(&w, "KeepAlive", r->is_keepalive);
	if (r->ping)
		put_ping(&w, r->ping);
	if (r->time_s)
		json_put_time(&w, "ControlTime", r->time_s);
	if (r->node) {
		json_name(&w, "Node");
		put_node(&w, r->node);
	}
	if (r->relays)
		put_relay_map(&w, r->relays);
	put_peers(&w, r);
	if (r->dns)
		put_dns(&w, r->dns);
	put_text_if(&w, "Domain", r->domain);
	put_filters(&w, r->filters, r->filter_count);
	put_users(&w, r->users, r->user_count);
	if (r->has_health)
		json_put_texts(&w, "Health", r->health, r->health_count);
	put_dial_plan(&w, r);
	if (r->control_url_count)
		json_put_texts(&w, "HanseControl", r->control_urls, r->control_url_count);
	if (r->disables_log) {
		json_name(&w, "Debug");
		json_begin(&w, '{');
		json_put_bool(&w, "DisableLogTail", true);
		json_end(&w, '}');
	}
	json_end(&w, '}');
}
