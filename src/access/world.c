#include "access/world.h"

#include <assert.h>

struct subject subject_of(const struct access_machine *m, struct ip ip)
{
	struct subject s = { .name = m->name,
			     .user = m->tag_count ? SLICE("") : m->user,
			     .tags = m->tags,
			     .tag_count = m->tag_count,
			     .has_ip = true,
			     .ip = ip };

	for (size_t i = 0; i < m->address_count; i++)
		s.is_own_ip |= ip_equal(m->addresses[i], ip);
	return s;
}

bool subject_has_tag(const struct subject *s, struct slice tag)
{
	for (size_t i = 0; i < s->tag_count; i++)
		if (slice_equal(s->tags[i], tag))
			return true;
	return false;
}

struct ip_range access_mesh_addresses(enum ip_family family)
{
	static const uint8_t v6[16] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };

	assert(family == IP_V4 || family == IP_V6);
	return ip_range_of(family == IP_V4 ? (struct ip_prefix) { ip_v4(0x64400000), 10 }
					   : (struct ip_prefix) { ip_v6(v6), 48 });
}

size_t access_internet(struct ip_range ret[INTERNET_RANGES_MAX])
{
	/* What stands between the networks that are not the Internet's. */
	static const uint32_t between[][2] = {
		{ 0x01000000, 0x09ffffff }, /* behind 0/8, before 10/8 */
		{ 0x0b000000, 0x643fffff }, /* before 100.64/10 */
		{ 0x64800000, 0x7effffff }, /* before 127/8 */
		{ 0x80000000, 0xa9fdffff }, /* before 169.254/16 */
		{ 0xa9ff0000, 0xac0fffff }, /* before 172.16/12 */
		{ 0xac200000, 0xc0a7ffff }, /* before 192.168/16 */
		{ 0xc0a90000, 0xdfffffff }, /* before multicast */
	};
	static const uint8_t global_v6[16] = { 0x20 };
	size_t n = 0;

	for (; n < sizeof(between) / sizeof(between[0]); n++)
		ret[n] = (struct ip_range) { ip_v4(between[n][0]), ip_v4(between[n][1]) };
	ret[n++] = ip_range_of((struct ip_prefix) { ip_v6(global_v6), 3 });
	return n;
}

bool access_is_exit(const struct access_machine *m)
{
	for (size_t i = 0; i < m->route_count; i++)
		if (m->routes[i].bits == 0)
			return true;
	return false;
}

const struct access_machine *access_find_machine(const struct access_world *world,
						 struct slice name_or_address)
{
	struct slice rest = name_or_address, label = slice_cut(&rest, '.');
	struct ip ip = { 0 };
	bool is_address = ip_parse(name_or_address, &ip) == OK;

	for (size_t i = 0; i < world->machine_count; i++) {
		const struct access_machine *m = &world->machines[i];

		if (!is_address && slice_equal(m->name, label))
			return m;
		for (size_t j = 0; is_address && j < m->address_count; j++)
			if (ip_equal(m->addresses[j], ip))
				return m;
	}
	return NULL;
}
