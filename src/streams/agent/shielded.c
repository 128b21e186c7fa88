#include "streams/agent/shielded.h"

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "access/world.h"

static bool is_loopback(struct ip ip)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return ip.family == IP_V4 ? ip_v4_number(ip) >> 24 == 127 : ip_equal(ip, ip_v6(v6));
}

bool address_is_shielded(const char *host)
{
	struct ip ip;

	if (ip_parse(slice_from(host), &ip))
		return false;
	ip = ip_unmapped(ip);
	struct ip_range mesh = access_mesh_addresses(ip.family);
	return is_loopback(ip) || ip_range_contains(&mesh, ip);
}

bool host_is_shielded(const char *host)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found = NULL;
	char text[NI_MAXHOST];
	bool is_shielded = true;
	struct ip ip;

	if (ip_parse(slice_from(host), &ip) == OK)
		return address_is_shielded(host);
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return false;
	for (const struct addrinfo *it = found; it; it = it->ai_next)
		is_shielded &= getnameinfo(it->ai_addr, it->ai_addrlen, text, sizeof(text), NULL, 0,
					   NI_NUMERICHOST) == 0 &&
			       address_is_shielded(text);
	freeaddrinfo(found);
	return is_shielded;
}
