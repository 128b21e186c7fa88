/* Which addresses machines of a realm have: 100.64.0.0/10, and one of fd7a:115c:a1e0::/48 that
 * follows from it, as clients of this protocol expect. */
#ifndef MESH_REALM_ADDRESSES_H
#define MESH_REALM_ADDRESSES_H

#include "base/ip.h"

enum { ADDRESSES_FIRST = 0x64400001, ADDRESSES_COUNT = (1 << 22) - 2 };

/* May a machine have it?  Not what others use: 100.100.0.0/16 (services of the protocol itself are
 * at 100.100.100.100) and 100.115.92.0/23 (virtual machines of Chromebooks). */
bool address_is_free_for_machines(uint32_t v4);

/* Its address of version 6. */
struct ip address_v6(uint32_t v4);

#endif
