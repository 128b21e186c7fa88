/* What keeps handshakes from eating the machine (WireGuard's paper, section 5.3).  While few come,
 * all are answered.  Under load only those are looked at that bring a cookie, which proves that
 * they can hear at their address, and of these only so many from one address. */
#ifndef MESH_TUNNEL_FLOOD_H
#define MESH_TUNNEL_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/endpoint.h"
#include "wire/wireguard/message.h"

enum {
	FLOOD_WINDOW_MS = 100,
	FLOOD_CALM_MAX = 50,	  /* handshakes in a window that are no load */
	FLOOD_LOADED_MS = 1000,	  /* how long it is a load after that */
	FLOOD_SECRET_MS = 120000, /* the life of a cookie */
	FLOOD_SOURCE_PER_S = 20,  /* from one address, under load */
	FLOOD_SOURCE_BURST = 5,
	FLOOD_SOURCES = 1024, /* remembered; the one heard longest ago is forgotten */
	FLOOD_SOURCES_LOOKED_AT = 8,
};

struct flood_source {
	uint8_t ip[16];
	uint64_t heard_ms; /* 0: free */
	uint32_t tokens;   /* thousandths of a handshake */
};

struct flood {
	uint64_t window_ms, loaded_until_ms, secret_ms;
	uint32_t count;
	bool has_secret;
	uint8_t secret[WIREGUARD_KEY_BYTES];
	struct flood_source *sources; /* FLOOD_SOURCES, from the first load on */
};

void flood_done(struct flood *f);

/* A handshake that knows our key came; true: we are under load. */
bool flood_is_loaded(struct flood *f, uint64_t now_ms);

/* The secret of cookies is too old, or there is none: draw another one and set it. */
bool flood_needs_secret(const struct flood *f, uint64_t now_ms);
void flood_set_secret(struct flood *f, uint64_t now_ms, const uint8_t secret[WIREGUARD_KEY_BYTES]);
void flood_cookie(const struct flood *f, const struct endpoint *from,
		  uint8_t ret[WIREGUARD_MAC_BYTES]);

/* May this address have another handshake?  IPv6 counts by /64. */
bool flood_admit(struct flood *f, uint64_t now_ms, const struct endpoint *from);

#endif
