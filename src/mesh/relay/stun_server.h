/* STUN at a UDP port: tells everybody which address and port they are seen with. */
#ifndef MESH_RELAY_STUN_SERVER_H
#define MESH_RELAY_STUN_SERVER_H

#include "loop/loop.h"
#include "wire/endpoint.h"
#include "wire/stun/stun.h"

enum {
	STUN_SOURCES_MAX = 4096,       /* rates that are kept; sources beyond share them */
	STUN_ANSWERS_PER_SECOND = 100, /* to one address (of IPv6: one network of 64 bits) */
	STUN_ANSWERS_BURST = 400,
};

struct stun_server;

struct stun_server_counts {
	uint64_t requests, answers, limited, garbage;
};

/* At every address of this machine, or at `local` only (16 bytes, NULL: every).  Answers leave from
 * the address that was asked.  ERR_BUSY: the port is taken. */
MUST_CHECK enum err stun_server_open(struct loop *loop, uint16_t port, const uint8_t *local,
				     struct stun_server **ret);
void stun_server_close(struct stun_server *server);

uint16_t stun_server_port(const struct stun_server *server);
struct stun_server_counts stun_server_count(const struct stun_server *server);

#endif
