#include "wire/control/node.h"

#include <stdio.h>

#include "wire/control/json_writer.h"
#include "wire/control/pack.h"

const struct control_cap *control_node_cap(const struct control_node *n, struct slice name)
{
	for (size_t i = 0; i < n->cap_count; i++)
		if (slice_equal(n->caps[i].name, name))
			return &n->caps[i];
	return NULL;
}

struct slice control_node_label(const struct control_node *n)
{
	struct slice rest = n->name;

	return slice_cut(&rest, '.');
}

static void node_inside(struct pack *p, void *copy)
{
	pack_node(p, copy);
}

struct control_node *control_node_copy(const struct control_node *n)
{
	return pack_copy(n, sizeof(*n), node_inside);
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void put_services(struct json_writer *w, const struct control_hostinfo *h)
{
	json_name(w, "Services");
	json_begin(w, '[');
	for (size_t i = 0; i < h->service_count; i++) {
		json_begin(w, '{');
		json_put_text(w, "Proto", h->services[i].proto);
		json_put_int(w, "Port", h->services[i].port);
		if (h->services[i].description.size)
			json_put_text(w, "Description", h->services[i].description);
		json_end(w, '}');
	}
	json_end(w, ']');
}

static void put_text_if(struct json_writer *w, const char *name, struct slice text)
{
	if (text.size)
		json_put_text(w, name, text);
}

void control_hostinfo_encode(struct buf *b, const struct control_hostinfo *h)
{
	struct json_writer w = { .b = b };

	json_begin(&w, '{');
	put_text_if(&w, "IPNVersion", h->version);
	put_text_if(&w, "OS", h->os);
	put_text_if(&w, "Hostname", h->hostname);
	if (h->route_count)
		json_put_prefixes(&w, "RoutableIPs", h->routes, h->route_count);
	if (h->request_tag_count)
		json_put_texts(&w, "RequestTags", h->request_tags, h->request_tag_count);
	if (h->service_count)
		put_services(&w, h);
	if (h->home_relay) {
		json_name(&w, "NetInfo");
		json_begin(&w, '{');
		json_put_int(&w, "PreferredDERP", h->home_relay);
		json_end(&w, '}');
	}
	json_end(&w, '}');
}

static void put_hostinfo(struct json_writer *w, const struct control_hostinfo *h)
{
	json_name(w, "Hostinfo");
	if (h->json.size) {
		json_raw(w, h->json);
	} else {
		control_hostinfo_encode(w->b, h);
		w->needs_comma = true;
	}
}

static void put_key_if(struct json_writer *w, const char *name, enum mesh_key_kind kind,
		       const struct mesh_key *key)
{
	if (!mesh_key_is_zero(key))
		json_put_key(w, name, kind, key);
}

static void put_time_if(struct json_writer *w, const char *name, int64_t time_s)
{
	if (time_s)
		json_put_time(w, name, time_s);
}

/* Where it is: what changes often, and what the patches of a map response have too. */
static void put_place(struct json_writer *w, const struct control_node *n)
{
	char old_form[32];

	if (n->endpoint_count)
		json_put_endpoints(w, "Endpoints", n->endpoints, n->endpoint_count);
	if (n->home_relay) {
		snprintf(old_form, sizeof(old_form), "127.3.3.40:%d", n->home_relay);
		json_put_text(w, "DERP", slice_from(old_form));
		json_put_int(w, "HomeDERP", n->home_relay);
	}
	if (n->online)
		json_put_bool(w, "Online", n->online == CONTROL_YES);
	put_time_if(w, "LastSeen", n->last_seen_s);
}

void control_node_encode(struct buf *b, const struct control_node *n)
{
	struct json_writer w = { .b = b };

	json_begin(&w, '{');
	json_put_int(&w, "ID", n->id);
	json_put_text(&w, "StableID", n->stable_id);
	json_put_text(&w, "Name", n->name);
	json_put_int(&w, "User", n->user);
	json_put_key(&w, "Key", MESH_KEY_NODE, &n->key);
	put_time_if(&w, "KeyExpiry", n->key_expiry_s);
	put_key_if(&w, "Machine", MESH_KEY_MACHINE, &n->machine);
	put_key_if(&w, "DiscoKey", MESH_KEY_DISCO, &n->disco);
	json_put_prefixes(&w, "Addresses", n->addresses, n->address_count);
	json_put_prefixes(&w, "AllowedIPs", n->allowed, n->allowed_count);
	put_place(&w, n);
	put_hostinfo(&w, &n->hostinfo);
	put_time_if(&w, "Created", n->created_s);
	if (n->version)
		json_put_int(&w, "Cap", n->version);
	if (n->tag_count)
		json_put_texts(&w, "Tags", n->tags, n->tag_count);
	if (n->primary_route_count)
		json_put_prefixes(&w, "PrimaryRoutes", n->primary_routes, n->primary_route_count);
	if (n->is_authorized)
		json_put_bool(&w, "MachineAuthorized", true);
	if (n->is_expired)
		json_put_bool(&w, "Expired", true);
	if (n->cap_count)
		json_put_caps(&w, "CapMap", n->caps, n->cap_count);
	json_end(&w, '}');
}
