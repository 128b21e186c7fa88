/* Any bytes as what a router says: to the search, of itself, and to requests. */
#include <stdlib.h>

#include "wire/port_mapping/upnp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands in the first line of a request to it. */
static void check_path(const char *path)
{
	if (path[0] != '/')
		abort();
	for (; *path; path++)
		if (*path <= ' ' || *path >= 127)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upnp_place at = { endpoint_ip4(192, 168, 1, 1, 5000), "/rootDesc.xml" }, found;
	struct slice all = { data, size };
	struct upnp_service service;
	struct endpoint address;

	if (upnp_read_found(all, &found) == OK) {
		check_path(found.path);
		if (!endpoint_is_ip4(&found.address) || found.address.port == 0)
			abort();
	}
	if (upnp_read_description(all, &at, &service) == OK) {
		check_path(service.at.path);
		if (!endpoint_same_ip(&service.at.address, &at.address))
			abort();
	}
	if (upnp_read_address(all, &address) == OK && !endpoint_is_ip4(&address))
		abort();
	if (upnp_read_error(all) > 999)
		abort();
	return 0;
}
