#include <openssl/evp.h>
#include <stdlib.h>

#include "wire/control/filter_read.h"
#include "wire/control/map_response.h"
#include "wire/control/node_read.h"

static const int64_t id_max = ((int64_t)1 << 53) - 1;

/* For each member of an object: jansson's iterators take what is not const. */
#define MEMBERS(object, name, value) json_object_foreach((json_t *)(uintptr_t)(object), name, value)

/* --- relays ------------------------------------------------------------------------------------
 */

static void read_relay(struct json_reader *r, const json_t *object, struct control_relay *ret)
{
	if (!json_is_object(object))
		json_reader_fail(r, ERR_INVALID);
	*ret = (struct control_relay) {
		.name = json_get_text(r, object, "Name", CONTROL_NAME_BYTES_MAX),
		.region = (int32_t)json_get_int(r, object, "RegionID", 0, UINT16_MAX),
		.host = json_get_text(r, object, "HostName", CONTROL_NAME_BYTES_MAX),
		.cert_name = json_get_text(r, object, "CertName", CONTROL_NAME_BYTES_MAX),
		.ipv4 = json_get_text(r, object, "IPv4", CONTROL_NAME_BYTES_MAX),
		.ipv6 = json_get_text(r, object, "IPv6", CONTROL_NAME_BYTES_MAX),
		.stun_test_ip = json_get_text(r, object, "STUNTestIP", CONTROL_NAME_BYTES_MAX),
		.stun_port = (int32_t)json_get_int(r, object, "STUNPort", -1, UINT16_MAX),
		.relay_port = (int32_t)json_get_int(r, object, "DERPPort", 0, UINT16_MAX),
		.is_stun_only = json_get_bool(r, object, "STUNOnly"),
		.is_insecure = json_get_bool(r, object, "InsecureForTests"),
		.can_port80 = json_get_bool(r, object, "CanPort80"),
	};
}

static void read_region(struct json_reader *r, const json_t *object, struct control_region *ret)
{
	const json_t *nodes = json_get_array(r, object, "Nodes", CONTROL_RELAYS_MAX);
	size_t count = json_array_size(nodes);
	struct control_relay *relays =
		count ? arena_take_array(r->a, count, sizeof(*relays)) : NULL;

	for (size_t i = 0; i < count; i++)
		read_relay(r, json_array_get(nodes, i), &relays[i]);
	*ret = (struct control_region) {
		.id = (int32_t)json_get_int(r, object, "RegionID", 0, UINT16_MAX),
		.code = json_get_text(r, object, "RegionCode", CONTROL_NAME_BYTES_MAX),
		.title = json_get_text(r, object, "RegionName", CONTROL_NAME_BYTES_MAX),
		.is_avoided = json_get_bool(r, object, "Avoid"),
		.is_never_home = json_get_bool(r, object, "NoMeasureNoHome"),
		.relays = relays,
		.relay_count = count,
	};
	if (ret->id == 0)
		json_reader_fail(r, ERR_INVALID);
}

static int by_region(const void *a, const void *b)
{
	int32_t x = ((const struct control_region *)a)->id;
	int32_t y = ((const struct control_region *)b)->id;

	return (x > y) - (x < y);
}

/* Without regions it says nothing of them; a region that is null is none. */
static void read_relay_map(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *map = json_get_object(r, r->root, "DERPMap", CONTROL_MEMBERS_MAX);
	const json_t *regions = json_get_object(r, map, "Regions", CONTROL_REGIONS_MAX);
	struct control_relay_map *relays;
	struct control_region *list;
	const char *name;
	json_t *value;
	size_t count = 0;

	if (!regions)
		return;
	relays = arena_take(r->a, sizeof(*relays));
	list = arena_take_array(r->a, json_object_size(regions) + 1, sizeof(*list));
	MEMBERS(regions, name, value)
	{
		if (!json_is_null(value))
			read_region(r, value, &list[count++]);
	}
	if (count)
		qsort(list, count, sizeof(*list), by_region);
	*relays = (struct control_relay_map) { list, count };
	ret->relays = relays;
}

/* --- DNS ---------------------------------------------------------------------------------------
 */

static struct control_resolver *read_resolvers(struct json_reader *r, const json_t *array,
					       size_t *ret_count)
{
	size_t count = json_array_size(array);

	if (count > CONTROL_RESOLVERS_MAX) {
		json_reader_fail(r, ERR_TOO_BIG);
		count = 0;
	}
	struct control_resolver *resolvers =
		count ? arena_take_array(r->a, count, sizeof(*resolvers)) : NULL;
	for (size_t i = 0; i < count; i++)
		resolvers[i].address =
			json_get_text(r, json_array_get(array, i), "Addr", CONTROL_NAME_BYTES_MAX);
	*ret_count = count;
	return resolvers;
}

static void read_routes(struct json_reader *r, const json_t *object, struct control_dns *dns)
{
	const json_t *map = json_get_object(r, object, "Routes", CONTROL_DNS_ITEMS_MAX);
	size_t count = json_object_size(map), i = 0;
	struct control_dns_route *routes =
		count ? arena_take_array(r->a, count, sizeof(*routes)) : NULL;
	const char *name;
	json_t *value;

	MEMBERS(map, name, value)
	{
		if (strlen(name) > CONTROL_NAME_BYTES_MAX)
			json_reader_fail(r, ERR_TOO_BIG);
		if (!json_is_array(value) && !json_is_null(value))
			json_reader_fail(r, ERR_INVALID);
		routes[i].suffix = arena_copy(r->a, slice_from(name));
		routes[i].resolvers = read_resolvers(r, value, &routes[i].resolver_count);
		i++;
	}
	dns->routes = routes;
	dns->route_count = count;
}

static void read_records(struct json_reader *r, const json_t *object, struct control_dns *dns)
{
	const json_t *array = json_get_array(r, object, "ExtraRecords", CONTROL_DNS_ITEMS_MAX);
	size_t count = json_array_size(array);
	struct control_dns_record *records =
		count ? arena_take_array(r->a, count, sizeof(*records)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);

		records[i].name = json_get_text(r, it, "Name", CONTROL_NAME_BYTES_MAX + 1);
		records[i].type = json_get_text(r, it, "Type", CONTROL_NAME_BYTES_MAX);
		records[i].value = json_get_text(r, it, "Value", CONTROL_TEXT_BYTES_MAX);
	}
	dns->records = records;
	dns->record_count = count;
}

static void read_dns(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *object = json_get_object(r, r->root, "DNSConfig", CONTROL_MEMBERS_MAX);
	struct control_dns *dns;

	if (!object)
		return;
	dns = arena_take(r->a, sizeof(*dns));
	dns->resolvers =
		read_resolvers(r, json_get_array(r, object, "Resolvers", CONTROL_RESOLVERS_MAX),
			       &dns->resolver_count);
	dns->fallback_resolvers = read_resolvers(r,
						 json_get_array(r, object, "FallbackResolvers",
								CONTROL_RESOLVERS_MAX),
						 &dns->fallback_resolver_count);
	read_routes(r, object, dns);
	read_records(r, object, dns);
	dns->domains =
		json_get_texts(r, object, "Domains", CONTROL_DNS_ITEMS_MAX, &dns->domain_count);
	dns->cert_domains = json_get_texts(r, object, "CertDomains", CONTROL_DNS_ITEMS_MAX,
					   &dns->cert_domain_count);
	dns->is_proxied = json_get_bool(r, object, "Proxied");
	ret->dns = dns;
}

/* --- peers -------------------------------------------------------------------------------------
 */

static const struct control_node *const *read_nodes(struct json_reader *r, const char *name,
						    size_t *ret_count)
{
	const json_t *array = json_get_array(r, r->root, name, CONTROL_NODES_MAX);
	size_t count = json_array_size(array);
	const struct control_node **pointers =
		count ? arena_take_array(r->a, count, sizeof(struct control_node *)) : NULL;
	struct control_node *nodes = count ? arena_take_array(r->a, count, sizeof(*nodes)) : NULL;

	for (size_t i = 0; i < count; i++) {
		node_read(r, json_array_get(array, i), &nodes[i]);
		pointers[i] = &nodes[i];
	}
	*ret_count = count;
	return pointers;
}

static bool has(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return value && !json_is_null(value);
}

static void read_patch(struct json_reader *r, const json_t *it, struct control_peer_patch *ret)
{
	*ret = (struct control_peer_patch) {
		.id = json_get_int(r, it, "NodeID", 1, id_max),
		.home_relay = (int32_t)json_get_int(r, it, "DERPRegion", 0, UINT16_MAX),
		.version = (uint32_t)json_get_int(r, it, "Cap", 0, UINT16_MAX),
		.key = json_get_key(r, it, "Key", MESH_KEY_NODE),
		.has_key = has(it, "Key"),
		.disco = json_get_key(r, it, "DiscoKey", MESH_KEY_DISCO),
		.has_disco = has(it, "DiscoKey"),
		.online = json_get_maybe(r, it, "Online"),
		.last_seen_s = json_get_time(r, it, "LastSeen"),
		.has_last_seen = has(it, "LastSeen"),
		.key_expiry_s = json_get_time(r, it, "KeyExpiry"),
		.has_key_expiry = has(it, "KeyExpiry"),
		.has_caps = has(it, "CapMap"),
		.has_endpoints = has(it, "Endpoints"),
	};
	ret->endpoints = json_get_endpoints(r, it, "Endpoints", &ret->endpoint_count);
	ret->caps = json_get_caps(r, it, "CapMap", &ret->cap_count);
	if (ret->id == 0)
		json_reader_fail(r, ERR_INVALID);
}

static struct control_peer_flag *read_flags(struct json_reader *r, const char *name,
					    size_t *ret_count)
{
	const json_t *map = json_get_object(r, r->root, name, CONTROL_NODES_MAX);
	size_t count = json_object_size(map), i = 0;
	struct control_peer_flag *flags =
		count ? arena_take_array(r->a, count, sizeof(*flags)) : NULL;
	const char *id;
	json_t *value;

	MEMBERS(map, id, value)
	{
		flags[i].id = json_name_int(r, id, id_max);
		flags[i].value = json_is_true(value);
		if (!json_is_boolean(value))
			json_reader_fail(r, ERR_INVALID);
		i++;
	}
	*ret_count = count;
	return flags;
}

static void read_peers(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *removed = json_get_array(r, r->root, "PeersRemoved", CONTROL_NODES_MAX);
	const json_t *patches = json_get_array(r, r->root, "PeersChangedPatch", CONTROL_NODES_MAX);
	int64_t *ids = NULL;
	struct control_peer_patch *patch = NULL;

	ret->peers = read_nodes(r, "Peers", &ret->peer_count);
	ret->changed = read_nodes(r, "PeersChanged", &ret->changed_count);
	ret->removed_count = json_array_size(removed);
	if (ret->removed_count)
		ids = arena_take_array(r->a, ret->removed_count, sizeof(*ids));
	for (size_t i = 0; i < ret->removed_count; i++) {
		const json_t *id = json_array_get(removed, i);

		if (!json_is_integer(id))
			json_reader_fail(r, ERR_INVALID);
		ids[i] = json_integer_value(id);
	}
	ret->removed = ids;
	ret->patch_count = json_array_size(patches);
	if (ret->patch_count)
		patch = arena_take_array(r->a, ret->patch_count, sizeof(*patch));
	for (size_t i = 0; i < ret->patch_count; i++)
		read_patch(r, json_array_get(patches, i), &patch[i]);
	ret->patches = patch;
	ret->online = read_flags(r, "OnlineChange", &ret->online_count);
	ret->seen = read_flags(r, "PeerSeenChange", &ret->seen_count);
}

/* --- filters -----------------------------------------------------------------------------------
 */

static void read_chunk(struct json_reader *r, const char *name, const json_t *value,
		       struct control_filter *ret)
{
	if (strlen(name) > CONTROL_NAME_BYTES_MAX)
		json_reader_fail(r, ERR_TOO_BIG);
	ret->name = arena_copy(r->a, slice_from(name));
	ret->is_deleted = json_is_null(value);
	if (!ret->is_deleted && !json_is_array(value))
		json_reader_fail(r, ERR_INVALID);
	ret->rules = rules_read(r, value, &ret->rule_count);
}

/* "*" first, because it deletes what was there before; the old form is a chunk called "base". */
static void read_filters(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *map = json_get_object(r, r->root, "PacketFilters", CONTROL_FILTERS_MAX);
	const json_t *old_form = json_get_array(r, r->root, "PacketFilter", CONTROL_RULES_MAX);
	const json_t *all = json_object_get(map, "*");
	size_t count = json_object_size(map) + (old_form ? 1 : 0), i = 0;
	struct control_filter *filters =
		count ? arena_take_array(r->a, count, sizeof(*filters)) : NULL;
	const char *name;
	json_t *value;

	if (all)
		read_chunk(r, "*", all, &filters[i++]);
	if (old_form)
		read_chunk(r, "base", old_form, &filters[i++]);
	MEMBERS(map, name, value)
	{
		if (value != all)
			read_chunk(r, name, value, &filters[i++]);
	}
	ret->filters = filters;
	ret->filter_count = count;
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static void read_users(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *array = json_get_array(r, r->root, "UserProfiles", CONTROL_USERS_MAX);
	size_t count = json_array_size(array);
	struct control_user *users = count ? arena_take_array(r->a, count, sizeof(*users)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);

		users[i].id = json_get_int(r, it, "ID", 0, id_max);
		users[i].login_name = json_get_text(r, it, "LoginName", CONTROL_TEXT_BYTES_MAX);
		users[i].display_name = json_get_text(r, it, "DisplayName", CONTROL_TEXT_BYTES_MAX);
	}
	ret->users = users;
	ret->user_count = count;
}

static void read_dial_plan(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *plan = json_get_object(r, r->root, "ControlDialPlan", CONTROL_MEMBERS_MAX);
	const json_t *array = json_get_array(r, plan, "Candidates", CONTROL_URLS_MAX);
	size_t count = json_array_size(array);
	struct control_dial *dials = count ? arena_take_array(r->a, count, sizeof(*dials)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);
		struct slice ip = json_get_text(r, it, "IP", CONTROL_NAME_BYTES_MAX);

		if (ip.size && ip_parse(ip, &dials[i].ip))
			json_reader_fail(r, ERR_INVALID);
		dials[i].start_delay_s = json_get_real(r, it, "DialStartDelaySec");
		dials[i].timeout_s = json_get_real(r, it, "DialTimeoutSec");
		dials[i].priority = (int32_t)json_get_int(r, it, "Priority", INT32_MIN, INT32_MAX);
	}
	ret->dial_plan = dials;
	ret->dial_count = count;
}

/* Standard base64 with padding. */
static struct slice read_base64(struct json_reader *r, const json_t *object, const char *name)
{
	struct slice text = json_get_text(r, object, name, CONTROL_REQUEST_BYTES_MAX);
	size_t padding = 0;

	if (text.size % 4 != 0)
		json_reader_fail(r, ERR_INVALID);
	if (text.size == 0 || text.size % 4 != 0)
		return (struct slice) { 0 };
	uint8_t *bytes = arena_take(r->a, text.size);
	int size = EVP_DecodeBlock(bytes, text.data, (int)text.size);
	while (padding < 2 && text.data[text.size - 1 - padding] == '=')
		padding++;
	if (size < (int)padding) {
		json_reader_fail(r, ERR_INVALID);
		return (struct slice) { 0 };
	}
	return (struct slice) { bytes, (size_t)size - padding };
}

static void read_ping(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *object = json_get_object(r, r->root, "PingRequest", CONTROL_MEMBERS_MAX);
	struct control_ping *ping;

	if (!object)
		return;
	ping = arena_take(r->a, sizeof(*ping));
	ping->url = json_get_text(r, object, "URL", CONTROL_TEXT_BYTES_MAX);
	ping->types = json_get_text(r, object, "Types", CONTROL_NAME_BYTES_MAX);
	ping->is_noise = json_get_bool(r, object, "URLIsNoise");
	ping->payload = read_base64(r, object, "Payload");
	struct slice ip = json_get_text(r, object, "IP", CONTROL_NAME_BYTES_MAX);
	if (ip.size && ip_parse(ip, &ping->ip))
		json_reader_fail(r, ERR_INVALID);
	ret->ping = ping;
}

static void read_response(struct json_reader *r, struct control_map_response *ret)
{
	const json_t *self = json_get_object(r, r->root, "Node", CONTROL_MEMBERS_MAX);
	const json_t *debug = json_get_object(r, r->root, "Debug", CONTROL_MEMBERS_MAX);
	struct control_node *node;

	*ret = (struct control_map_response) {
		.is_keepalive = json_get_bool(r, r->root, "KeepAlive"),
		.time_s = json_get_time(r, r->root, "ControlTime"),
		.domain = json_get_text(r, r->root, "Domain", CONTROL_NAME_BYTES_MAX),
		.has_health = has(r->root, "Health"),
		.disables_log = json_get_bool(r, debug, "DisableLogTail"),
	};
	if (self) {
		node = arena_take(r->a, sizeof(*node));
		node_read(r, self, node);
		ret->node = node;
	}
	read_relay_map(r, ret);
	read_peers(r, ret);
	read_dns(r, ret);
	read_filters(r, ret);
	read_users(r, ret);
	read_dial_plan(r, ret);
	read_ping(r, ret);
	ret->health = json_get_texts(r, r->root, "Health", CONTROL_HEALTH_MAX, &ret->health_count);
	ret->control_urls = json_get_texts(r, r->root, "HanseControl", CONTROL_URLS_MAX,
					   &ret->control_url_count);
}

enum err control_map_response_decode(struct arena *a, struct slice json,
				     struct control_map_response *ret)
{
	struct control_map_response response;
	struct json_reader r;

	if (json.size > CONTROL_RESPONSE_BYTES_MAX)
		return ERR_TOO_BIG;
	json_reader_init(&r, a, json);
	read_response(&r, &response);
	json_reader_done(&r);
	if (!r.err)
		*ret = response;
	return r.err;
}
