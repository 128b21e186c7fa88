/* Address translation by the kernel (nftables): packets from the mesh that this machine passes on
 * to another network leave with its own address, so that answers find the way back.
 *
 * One table of our own in each family; removing it leaves everything else as it was. */
#ifndef LOOP_NAT_H
#define LOOP_NAT_H

#include "base/ip.h"

/* What comes from `sources` (one prefix of each family at most) and does not leave by `interface`
 * is translated from now on; an older table of ours is replaced.  ERR_DENIED without CAP_NET_ADMIN;
 * ERR_UNSUPPORTED: the kernel has no nftables. */
MUST_CHECK enum err nat_open(const char *interface, const struct ip_prefix *sources, size_t count);

/* Harmless where there is none. */
void nat_close(void);

#endif
