#include "wire/control/pack.h"

#include <assert.h>

enum { PACK_ALIGN = 8, PACK_FLAT_BYTES_MAX = 1024 };

void *pack_bytes(struct pack *p, const void *data, size_t size)
{
	void *copy = NULL;

	if (size == 0)
		return NULL;
	if (p->block) {
		copy = p->block + p->used;
		memcpy(copy, data, size);
	}
	p->used += (size + PACK_ALIGN - 1) & ~(size_t)(PACK_ALIGN - 1);
	return copy;
}

struct slice pack_slice(struct pack *p, struct slice s)
{
	return (struct slice) { pack_bytes(p, s.data, s.size), s.size };
}

const struct slice *pack_slices(struct pack *p, const struct slice *slices, size_t count)
{
	struct slice *copies = pack_bytes(p, slices, count * sizeof(*slices));

	for (size_t i = 0; i < count; i++) {
		struct slice copy = pack_slice(p, slices[i]);

		if (copies)
			copies[i] = copy;
	}
	return copies;
}

void pack_caps(struct pack *p, const struct control_cap **caps, size_t count)
{
	const struct control_cap *from = *caps;
	struct control_cap *copies = pack_bytes(p, from, count * sizeof(*from));

	for (size_t i = 0; i < count; i++) {
		struct control_cap copy = { pack_slice(p, from[i].name),
					    pack_slice(p, from[i].values) };

		if (copies)
			copies[i] = copy;
	}
	*caps = copies;
}

static void pack_hostinfo(struct pack *p, struct control_hostinfo *h)
{
	const struct control_service *services = h->services;

	h->json = pack_slice(p, h->json);
	h->hostname = pack_slice(p, h->hostname);
	h->os = pack_slice(p, h->os);
	h->version = pack_slice(p, h->version);
	h->routes = pack_bytes(p, h->routes, h->route_count * sizeof(*h->routes));
	h->request_tags = pack_slices(p, h->request_tags, h->request_tag_count);
	struct control_service *copies =
		pack_bytes(p, services, h->service_count * sizeof(*services));
	for (size_t i = 0; i < h->service_count; i++) {
		struct control_service copy = services[i];

		copy.proto = pack_slice(p, copy.proto);
		copy.description = pack_slice(p, copy.description);
		if (copies)
			copies[i] = copy;
	}
	h->services = copies;
}

void pack_node(struct pack *p, struct control_node *copy)
{
	copy->stable_id = pack_slice(p, copy->stable_id);
	copy->name = pack_slice(p, copy->name);
	copy->addresses =
		pack_bytes(p, copy->addresses, copy->address_count * sizeof(*copy->addresses));
	copy->allowed = pack_bytes(p, copy->allowed, copy->allowed_count * sizeof(*copy->allowed));
	copy->primary_routes =
		pack_bytes(p, copy->primary_routes,
			   copy->primary_route_count * sizeof(*copy->primary_routes));
	copy->endpoints =
		pack_bytes(p, copy->endpoints, copy->endpoint_count * sizeof(*copy->endpoints));
	copy->tags = pack_slices(p, copy->tags, copy->tag_count);
	pack_caps(p, &copy->caps, copy->cap_count);
	pack_hostinfo(p, &copy->hostinfo);
}

void *pack_copy(const void *flat, size_t size, void (*inside)(struct pack *p, void *copy))
{
	_Alignas(16) uint8_t scratch[PACK_FLAT_BYTES_MAX];
	struct pack measured = { 0 };

	assert(size <= sizeof(scratch));
	memcpy(scratch, flat, size);
	(void)pack_bytes(&measured, flat, size);
	inside(&measured, scratch);

	struct pack p = { .block = memory_take(measured.used) };
	void *copy = pack_bytes(&p, flat, size);
	inside(&p, copy);
	assert(p.used == measured.used);
	return copy;
}
