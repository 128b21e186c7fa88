#include "wire/control/pack.h"

/* --- relays ------------------------------------------------------------------------------------
 */

static const struct control_relay *pack_relays(struct pack *p, const struct control_relay *relays,
					       size_t count)
{
	struct control_relay *copies = pack_bytes(p, relays, count * sizeof(*relays));

	for (size_t i = 0; i < count; i++) {
		struct control_relay copy = relays[i];

		copy.name = pack_slice(p, copy.name);
		copy.host = pack_slice(p, copy.host);
		copy.cert_name = pack_slice(p, copy.cert_name);
		copy.ipv4 = pack_slice(p, copy.ipv4);
		copy.ipv6 = pack_slice(p, copy.ipv6);
		copy.stun_test_ip = pack_slice(p, copy.stun_test_ip);
		if (copies)
			copies[i] = copy;
	}
	return copies;
}

static void relay_map_inside(struct pack *p, void *struct_copy)
{
	struct control_relay_map *map = struct_copy;
	const struct control_region *regions = map->regions;
	struct control_region *copies =
		pack_bytes(p, regions, map->region_count * sizeof(*regions));

	for (size_t i = 0; i < map->region_count; i++) {
		struct control_region copy = regions[i];

		copy.code = pack_slice(p, copy.code);
		copy.title = pack_slice(p, copy.title);
		copy.relays = pack_relays(p, copy.relays, copy.relay_count);
		if (copies)
			copies[i] = copy;
	}
	map->regions = copies;
}

struct control_relay_map *control_relay_map_copy(const struct control_relay_map *map)
{
	return pack_copy(map, sizeof(*map), relay_map_inside);
}

/* --- DNS ---------------------------------------------------------------------------------------
 */

static void pack_resolvers(struct pack *p, const struct control_resolver **resolvers, size_t count)
{
	const struct control_resolver *from = *resolvers;
	struct control_resolver *copies = pack_bytes(p, from, count * sizeof(*from));

	for (size_t i = 0; i < count; i++) {
		struct control_resolver copy = { pack_slice(p, from[i].address) };

		if (copies)
			copies[i] = copy;
	}
	*resolvers = copies;
}

static void dns_inside(struct pack *p, void *struct_copy)
{
	struct control_dns *dns = struct_copy;
	const struct control_dns_route *routes = dns->routes;
	const struct control_dns_record *records = dns->records;

	pack_resolvers(p, &dns->resolvers, dns->resolver_count);
	pack_resolvers(p, &dns->fallback_resolvers, dns->fallback_resolver_count);
	dns->domains = pack_slices(p, dns->domains, dns->domain_count);
	dns->cert_domains = pack_slices(p, dns->cert_domains, dns->cert_domain_count);
	struct control_dns_route *route_copies =
		pack_bytes(p, routes, dns->route_count * sizeof(*routes));
	for (size_t i = 0; i < dns->route_count; i++) {
		struct control_dns_route copy = routes[i];

		copy.suffix = pack_slice(p, copy.suffix);
		pack_resolvers(p, &copy.resolvers, copy.resolver_count);
		if (route_copies)
			route_copies[i] = copy;
	}
	dns->routes = route_copies;
	struct control_dns_record *record_copies =
		pack_bytes(p, records, dns->record_count * sizeof(*records));
	for (size_t i = 0; i < dns->record_count; i++) {
		struct control_dns_record copy = { pack_slice(p, records[i].name),
						   pack_slice(p, records[i].type),
						   pack_slice(p, records[i].value) };

		if (record_copies)
			record_copies[i] = copy;
	}
	dns->records = record_copies;
}

struct control_dns *control_dns_copy(const struct control_dns *dns)
{
	return pack_copy(dns, sizeof(*dns), dns_inside);
}

/* --- filters -----------------------------------------------------------------------------------
 */

static void pack_rule(struct pack *p, struct control_rule *rule)
{
	const struct control_ip_set *sources = rule->sources;
	const struct control_grant *grants = rule->grants;
	struct control_ip_set *ips = pack_bytes(p, sources, rule->source_count * sizeof(*sources));

	for (size_t i = 0; i < rule->source_count; i++) {
		struct slice cap = pack_slice(p, sources[i].cap);

		if (ips)
			ips[i].cap = cap;
	}
	rule->sources = ips;
	rule->protocols = pack_bytes(p, rule->protocols, rule->protocol_count);
	rule->destinations = pack_bytes(p, rule->destinations,
					rule->destination_count * sizeof(*rule->destinations));
	struct control_grant *copies = pack_bytes(p, grants, rule->grant_count * sizeof(*grants));
	for (size_t i = 0; i < rule->grant_count; i++) {
		struct control_grant copy = grants[i];

		copy.destinations = pack_bytes(p, copy.destinations,
					       copy.destination_count * sizeof(*copy.destinations));
		pack_caps(p, &copy.caps, copy.cap_count);
		if (copies)
			copies[i] = copy;
	}
	rule->grants = copies;
}

static void filter_inside(struct pack *p, void *struct_copy)
{
	struct control_filter *filter = struct_copy;
	const struct control_rule *rules = filter->rules;

	filter->name = pack_slice(p, filter->name);
	struct control_rule *copies = pack_bytes(p, rules, filter->rule_count * sizeof(*rules));
	for (size_t i = 0; i < filter->rule_count; i++) {
		struct control_rule copy = rules[i];

		pack_rule(p, &copy);
		if (copies)
			copies[i] = copy;
	}
	filter->rules = copies;
}

struct control_filter *control_filter_copy(const struct control_filter *filter)
{
	return pack_copy(filter, sizeof(*filter), filter_inside);
}

/* --- users -------------------------------------------------------------------------------------
 */

static void user_inside(struct pack *p, void *struct_copy)
{
	struct control_user *user = struct_copy;

	user->login_name = pack_slice(p, user->login_name);
	user->display_name = pack_slice(p, user->display_name);
}

struct control_user *control_user_copy(const struct control_user *user)
{
	return pack_copy(user, sizeof(*user), user_inside);
}
