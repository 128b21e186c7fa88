/* `hanse tunnel`: a plain WireGuard device in a process of its own, configured by wg(8).  It is the
 * host of mesh/tunnel: a TUN device on one side, a UDP socket on the other, and the socket
 * /var/run/wireguard/NAME.sock. */
#ifndef SERVER_TUNNEL_H
#define SERVER_TUNNEL_H

#include <stdbool.h>

#include "base/err.h"

enum { TUNNEL_WHY_BYTES = 256, TUNNEL_THREADS_MAX = 4 };

struct tunnel_settings {
	const char *name;	   /* of the device */
	bool without_tun_offloads; /* the kernel hands over and takes packets one by one */
	bool without_udp_offloads; /* and datagrams */
	unsigned threads;	   /* that seal and open; 0: as many as are good here */
};

/* In the foreground, until a signal, the device's or the socket's end.  An error with a sentence in
 * `why` when it cannot begin. */
MUST_CHECK enum err tunnel_run(const struct tunnel_settings *settings, char why[TUNNEL_WHY_BYTES]);

#endif
