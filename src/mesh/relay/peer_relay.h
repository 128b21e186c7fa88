/* A peer relay: forwards UDP between two machines that do not reach each other, so that they need
 * no DERP.  The engine does no I/O: datagrams and the time go in, where they go comes out.
 *
 *	either end, by DERP	-> peer_relay_allocate()  a session, with a number (VNI)
 *	each end, by UDP	-> bind		challenge <-
 *				-> answer	now the relay knows where the end is
 *	both bound		-> anything	from one end to the other, unchanged
 *
 * All of it stands behind a Geneve header.  The challenge is a MAC over the address that asked,
 * under a secret that changes, so nobody is bound to an address at which he does not receive; and
 * a bind is as long as its challenge, so nobody is flooded with them.  What the ends say to each
 * other is sealed between them: the relay cannot read it. */
#ifndef MESH_RELAY_PEER_RELAY_H
#define MESH_RELAY_PEER_RELAY_H

#include "wire/disco/disco.h"
#include "wire/disco/geneve.h"

enum {
	PEER_RELAY_SESSIONS_MAX = 4096,
	PEER_RELAY_SESSIONS_OF_ONE_MAX = 256, /* that one machine asked for */
	PEER_RELAY_BIND_S = 30,		      /* until both ends are bound */
	PEER_RELAY_STEADY_S = 300,	      /* without a packet of either end */
	PEER_RELAY_SECRET_S = 120,	      /* of challenges; the one before is good as long */
};

struct peer_relay;

struct peer_relay_config {
	struct mesh_key disco_secret; /* of the relay, not of the machine it runs on */
	/* Random bytes; NULL: the kernel's. */
	void (*random)(void *context, void *ret, size_t size);
	void *random_context;
};

struct peer_relay_counts {
	uint64_t forwarded_packets, forwarded_bytes, dropped, challenges, bound;
};

struct peer_relay *peer_relay_new(const struct peer_relay_config *config);
void peer_relay_free(struct peer_relay *r);

/* `asker` (its disco key), which the policy allows it, wants a session between `clients`.  The same
 * two get the same session while it lives, whoever asks.
 * ERR_INVALID: no two good keys, or ours; ERR_BUSY: too many sessions. */
MUST_CHECK enum err peer_relay_allocate(struct peer_relay *r, const struct mesh_key *asker,
					const struct mesh_key clients[2], uint64_t now_us,
					struct disco_relay *ret);

/* A machine may no longer, or has another key: what it asked for, and where it is an end, goes. */
void peer_relay_forget(struct peer_relay *r, const struct mesh_key *disco);

/* false: nothing is to be sent.  `*ret` is `packet`, or ours until the next call. */
bool peer_relay_received(struct peer_relay *r, const struct endpoint *from, struct slice packet,
			 uint64_t now_us, struct endpoint *ret_to, struct slice *ret);

/* When peer_relay_tick() is wanted; UINT64_MAX: there are no sessions. */
uint64_t peer_relay_deadline_us(const struct peer_relay *r);
void peer_relay_tick(struct peer_relay *r, uint64_t now_us);

size_t peer_relay_sessions(const struct peer_relay *r);
struct peer_relay_counts peer_relay_count(const struct peer_relay *r);

#endif
