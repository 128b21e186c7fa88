/* A WireGuard device as wg(8) knows it: the engine, where each peer is, and what is configured and
 * shown by the text of a user space implementation's socket:
 *
 *     set=1               replace_peers  private_key=HEX  listen_port=N  fwmark=N
 *                         public_key=HEX  remove  update_only  preshared_key  endpoint
 *                         persistent_keepalive_interval  replace_allowed_ips  allowed_ip
 *     get=1               the same, with last_handshake_time_sec, _nsec, rx_bytes, tx_bytes
 *
 * one `key=value` a line, an empty line at the end; the answer ends with errno=N, 0 for success.
 * No I/O: what concerns the socket is asked of the host. */
#ifndef MESH_TUNNEL_DEVICE_H
#define MESH_TUNNEL_DEVICE_H

#include "base/buf.h"
#include "mesh/tunnel/tunnel.h"

enum { DEVICE_REQUEST_BYTES_MAX = 8 << 20 }; /* 65,536 allowed addresses and the peers */

struct device_host {
	/* Listen there from now on; 0: anywhere.  The port it is, in *ret. */
	enum err (*listen)(void *context, uint16_t port, uint16_t *ret);
	enum err (*mark)(void *context, uint32_t mark);
};

struct device {
	struct tunnel *tunnel; /* the owner's; the context of its peers is the device's */
	const struct device_host *host;
	void *context;
	uint16_t port;
	uint32_t mark;
};

/* Where a peer is: the context of each peer. */
struct device_place {
	struct endpoint at;
	uint8_t local[16]; /* our address it speaks with; zeros: any */
	bool is_known;
};

static inline struct device_place *device_place(const struct tunnel_peer *p)
{
	return tunnel_peer_context(p);
}

/* Is `request` whole: does an empty line end it? */
bool device_has_request(struct slice request);

/* Do what the first whole request says, or as much as could be done before the first mistake, and
 * append the answer.  Returns its bytes.  Handshakes that it begins are effects of the tunnel. */
size_t device_answer(struct device *d, struct tunnel_now now, struct slice request,
		     struct buf *answer);

/* Before tunnel_free(). */
void device_done(struct device *d);

#endif
