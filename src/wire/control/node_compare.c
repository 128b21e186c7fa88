#include "wire/control/node_compare.h"

#include "wire/control/netmap.h"

static bool texts_equal(const struct slice *a, size_t a_count, const struct slice *b,
			size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!slice_equal(a[i], b[i]))
			return false;
	return true;
}

static bool caps_equal(const struct control_node *a, const struct control_node *b)
{
	if (a->cap_count != b->cap_count)
		return false;
	for (size_t i = 0; i < a->cap_count; i++)
		if (!slice_equal(a->caps[i].name, b->caps[i].name) ||
		    !slice_equal(a->caps[i].values, b->caps[i].values))
			return false;
	return true;
}

static bool hostinfo_equal(const struct control_hostinfo *a, const struct control_hostinfo *b)
{
	if (!slice_equal(a->json, b->json) || !slice_equal(a->hostname, b->hostname) ||
	    !slice_equal(a->os, b->os) || !slice_equal(a->version, b->version) ||
	    a->home_relay != b->home_relay || a->service_count != b->service_count ||
	    !ip_prefixes_equal(a->routes, a->route_count, b->routes, b->route_count) ||
	    !texts_equal(a->request_tags, a->request_tag_count, b->request_tags,
			 b->request_tag_count))
		return false;
	for (size_t i = 0; i < a->service_count; i++)
		if (!slice_equal(a->services[i].proto, b->services[i].proto) ||
		    a->services[i].port != b->services[i].port ||
		    !slice_equal(a->services[i].description, b->services[i].description))
			return false;
	return true;
}

static bool rest_equal(const struct control_node *a, const struct control_node *b)
{
	return slice_equal(a->stable_id, b->stable_id) && slice_equal(a->name, b->name) &&
	       a->user == b->user && mesh_key_equal(&a->machine, &b->machine) &&
	       a->key_expiry_s == b->key_expiry_s && a->created_s == b->created_s &&
	       a->last_seen_s == b->last_seen_s && a->version == b->version &&
	       a->is_authorized == b->is_authorized && a->is_expired == b->is_expired &&
	       texts_equal(a->tags, a->tag_count, b->tags, b->tag_count) && caps_equal(a, b) &&
	       ip_prefixes_equal(a->primary_routes, a->primary_route_count, b->primary_routes,
				 b->primary_route_count) &&
	       hostinfo_equal(&a->hostinfo, &b->hostinfo);
}

static bool endpoints_equal(const struct control_node *a, const struct control_node *b)
{
	if (a->endpoint_count != b->endpoint_count)
		return false;
	for (size_t i = 0; i < a->endpoint_count; i++)
		if (!endpoint_equal(&a->endpoints[i], &b->endpoints[i]))
			return false;
	return true;
}

unsigned node_compare(const struct control_node *a, const struct control_node *b)
{
	unsigned what = 0;

	if (!mesh_key_equal(&a->key, &b->key))
		what |= NETMAP_PEER_KEY;
	if (!mesh_key_equal(&a->disco, &b->disco))
		what |= NETMAP_PEER_DISCO;
	if (!endpoints_equal(a, b))
		what |= NETMAP_PEER_ENDPOINTS;
	if (a->home_relay != b->home_relay)
		what |= NETMAP_PEER_RELAY;
	if (!ip_prefixes_equal(a->addresses, a->address_count, b->addresses, b->address_count) ||
	    !ip_prefixes_equal(a->allowed, a->allowed_count, b->allowed, b->allowed_count))
		what |= NETMAP_PEER_ADDRESSES;
	if (a->online != b->online)
		what |= NETMAP_PEER_ONLINE;
	if (!rest_equal(a, b))
		what |= NETMAP_PEER_OTHER;
	return what;
}
