#include "wire/control/node_read.h"

#include "base/text.h"

enum { NODE_ID_BITS = 53 };

static const int64_t id_max = ((int64_t)1 << NODE_ID_BITS) - 1;

/* --- hostinfo ----------------------------------------------------------------------------------
 */

static void read_services(struct json_reader *r, const json_t *object, struct control_hostinfo *ret)
{
	const json_t *array = json_get_array(r, object, "Services", CONTROL_SERVICES_MAX);
	size_t count = json_array_size(array);
	struct control_service *services =
		count ? arena_take_array(r->a, count, sizeof(*services)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);

		services[i].proto = json_get_text(r, it, "Proto", CONTROL_NAME_BYTES_MAX);
		services[i].port = (uint16_t)json_get_int(r, it, "Port", 0, UINT16_MAX);
		services[i].description =
			json_get_text(r, it, "Description", CONTROL_TEXT_BYTES_MAX);
	}
	ret->services = services;
	ret->service_count = count;
}

void hostinfo_read(struct json_reader *r, const json_t *object, bool keeps_json,
		   struct control_hostinfo *ret)
{
	const json_t *net;

	*ret = (struct control_hostinfo) { 0 };
	if (!object)
		return;
	if (keeps_json)
		ret->json = json_value_text(r, object, CONTROL_HOSTINFO_BYTES_MAX);
	ret->hostname = json_get_text(r, object, "Hostname", CONTROL_TEXT_BYTES_MAX);
	ret->os = json_get_text(r, object, "OS", CONTROL_TEXT_BYTES_MAX);
	ret->version = json_get_text(r, object, "IPNVersion", CONTROL_TEXT_BYTES_MAX);
	ret->routes =
		json_get_prefixes(r, object, "RoutableIPs", CONTROL_ROUTES_MAX, &ret->route_count);
	ret->request_tags =
		json_get_texts(r, object, "RequestTags", CONTROL_TAGS_MAX, &ret->request_tag_count);
	read_services(r, object, ret);
	net = json_get_object(r, object, "NetInfo", CONTROL_MEMBERS_MAX);
	ret->home_relay = (int32_t)json_get_int(r, net, "PreferredDERP", 0, UINT16_MAX);
}

enum err control_hostinfo_decode(struct arena *a, struct slice text, struct control_hostinfo *ret)
{
	struct control_hostinfo h;
	struct json_reader r;

	if (text.size > CONTROL_HOSTINFO_BYTES_MAX)
		return ERR_TOO_BIG;
	json_reader_init(&r, a, text);
	hostinfo_read(&r, r.root, true, &h);
	json_reader_done(&r);
	if (!r.err)
		*ret = h;
	return r.err;
}

/* --- the node ----------------------------------------------------------------------------------
 */

/* "127.3.3.40:900": the region as the port of an address that does not exist. */
static int32_t read_home(struct json_reader *r, const json_t *object)
{
	int32_t region = (int32_t)json_get_int(r, object, "HomeDERP", 0, UINT16_MAX);
	struct slice old_form = json_get_text(r, object, "DERP", CONTROL_NAME_BYTES_MAX);
	struct slice port = old_form;
	uint64_t value;

	if (region || old_form.size == 0)
		return region;
	(void)slice_cut(&port, ':');
	if (text_to_u64(port, UINT16_MAX, &value))
		json_reader_fail(r, ERR_INVALID);
	else
		region = (int32_t)value;
	return region;
}

static void read_names(struct json_reader *r, const json_t *object, struct control_node *n)
{
	n->id = json_get_int(r, object, "ID", 1, id_max);
	if (n->id == 0)
		json_reader_fail(r, ERR_INVALID);
	n->stable_id = json_get_text(r, object, "StableID", CONTROL_NAME_BYTES_MAX);
	n->name = json_get_text(r, object, "Name", CONTROL_NAME_BYTES_MAX + 1);
	n->user = json_get_int(r, object, "User", 0, id_max);
	n->key = json_get_key(r, object, "Key", MESH_KEY_NODE);
	n->machine = json_get_key(r, object, "Machine", MESH_KEY_MACHINE);
	n->disco = json_get_key(r, object, "DiscoKey", MESH_KEY_DISCO);
	n->key_expiry_s = json_get_time(r, object, "KeyExpiry");
	n->created_s = json_get_time(r, object, "Created");
	n->last_seen_s = json_get_time(r, object, "LastSeen");
	n->tags = json_get_texts(r, object, "Tags", CONTROL_TAGS_MAX, &n->tag_count);
}

bool control_is_machine_address(struct ip_prefix p)
{
	static const uint8_t v6[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 0x53 };

	if (p.bits != ip_bits(p.ip))
		return false;
	if (p.ip.family == IP_V4)
		return p.ip.bytes[0] == 100 && (p.ip.bytes[1] & 0xc0) == 64 &&
		       !ip_equal(p.ip, ip_v4(0x64646464));
	return memcmp(p.ip.bytes, v6, 6) == 0 && !ip_equal(p.ip, ip_v6(v6));
}

/* Whoever sends a node may not make it the machine at somebody else's address. */
static size_t keep_machine_addresses(struct ip_prefix *addresses, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (control_is_machine_address(addresses[i]))
			addresses[kept++] = addresses[i];
	return kept;
}

static void read_addresses(struct json_reader *r, const json_t *object, struct control_node *n)
{
	size_t count;
	struct ip_prefix *addresses =
		json_get_prefixes(r, object, "Addresses", CONTROL_ADDRESSES_MAX, &count);

	n->addresses = addresses;
	n->address_count = keep_machine_addresses(addresses, count);
	n->has_foreign_address = n->address_count < count;
	n->allowed =
		json_get_prefixes(r, object, "AllowedIPs", CONTROL_ROUTES_MAX, &n->allowed_count);
	if (!json_is_array(json_object_get(object, "AllowedIPs"))) {
		n->allowed = n->addresses;
		n->allowed_count = n->address_count;
	}
	n->primary_routes = json_get_prefixes(r, object, "PrimaryRoutes", CONTROL_ROUTES_MAX,
					      &n->primary_route_count);
	n->endpoints = json_get_endpoints(r, object, "Endpoints", &n->endpoint_count);
}

/* The old list of names, when the map is not there. */
static void read_caps(struct json_reader *r, const json_t *object, struct control_node *n)
{
	size_t count;

	n->caps = json_get_caps(r, object, "CapMap", &n->cap_count);
	struct slice *names = json_get_texts(r, object, "Capabilities", CONTROL_CAPS_MAX, &count);
	if (n->cap_count || !count)
		return;
	struct control_cap *caps = arena_take_array(r->a, count, sizeof(*caps));
	for (size_t i = 0; i < count; i++)
		caps[i] = (struct control_cap) { names[i], SLICE("[]") };
	n->caps = caps;
	n->cap_count = count;
}

void node_read(struct json_reader *r, const json_t *object, struct control_node *ret)
{
	*ret = (struct control_node) { 0 };
	if (!json_is_object(object)) {
		json_reader_fail(r, ERR_INVALID);
		return;
	}
	read_names(r, object, ret);
	read_addresses(r, object, ret);
	read_caps(r, object, ret);
	ret->home_relay = read_home(r, object);
	ret->version = (uint32_t)json_get_int(r, object, "Cap", 0, UINT16_MAX);
	ret->online = json_get_maybe(r, object, "Online");
	ret->is_authorized = json_get_bool(r, object, "MachineAuthorized");
	ret->is_expired = json_get_bool(r, object, "Expired");
	hostinfo_read(r, json_get_object(r, object, "Hostinfo", CONTROL_MEMBERS_MAX), false,
		      &ret->hostinfo);
}

enum err control_node_decode(struct arena *a, struct slice text, struct control_node *ret)
{
	struct control_node n;
	struct json_reader r;

	json_reader_init(&r, a, text);
	node_read(&r, r.root, &n);
	json_reader_done(&r);
	if (!r.err)
		*ret = n;
	return r.err;
}
