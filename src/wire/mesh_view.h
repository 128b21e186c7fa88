/* What the mesh process tells the other processes of its machine: the answers of mesh.sock to
 * GET /v1/netmap?after=SEQUENCE and GET /v1/whois?address=IP, and what PUT /v1/services tells it.
 *
 *	netmap  {"sequence": 7, "domain": "home.example",
 *		 "self": MACHINE, "peers": [MACHINE, ...],
 *		 "records": [{"name": "db.home.example", "type": "A", "value": "100.64.0.9"}],
 *		 "routes": {"corp.example": ["192.0.2.53"], "lab.example": []},
 *		 "resolvers": ["192.0.2.53"]}
 *	MACHINE {"id": "n12", "name": "laptop", "addresses": ["100.64.0.1", "fd7a:115c:a1e0::1"],
 *		 "online": true, "user": "me@home", "tags": ["tag:server"], "os": "linux",
 *		 "services": [{"proto": "peerapi4", "port": 40000}, {"proto": "http", "port": 80}],
 *		 "capabilities": ["https://tailscale.com/cap/file-send"]}
 *	whois	{"machine": MACHINE}; 404 where nobody has the address
 *	services {"services": [{"proto": "peerapi4", "port": 40000}]}
 *
 * `after` waits until the sequence differs (a long poll).  "name" is one label, or the whole name
 * with or without a full stop at its end.  What is absent is empty; what is not known is skipped,
 * and so is a machine without a name or an address. */
#ifndef WIRE_MESH_VIEW_H
#define WIRE_MESH_VIEW_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ip.h"

enum {
	MESH_VIEW_MACHINES_MAX = 20000,
	MESH_VIEW_ADDRESSES_MAX = 8, /* of one machine */
	MESH_VIEW_RECORDS_MAX = 10000,
	MESH_VIEW_ROUTES_MAX = 256,
	MESH_VIEW_RESOLVERS_MAX = 8, /* of one route */
};

struct mesh_view_machine {
	struct slice id;   /* does not change while the machine is a member */
	struct slice name; /* one label, lower case */
	struct slice user; /* empty: of nobody, as tagged ones */
	struct slice os;
	struct ip addresses[MESH_VIEW_ADDRESSES_MAX];
	size_t address_count;
	uint16_t peerapi4, peerapi6; /* ports; 0: none */
	bool is_online, is_tagged;
	bool may_send_files;  /* policy says that it may, whoever it belongs to */
	bool has_hanse_inbox; /* serves "http" on port 80: it is one of ours */
};

struct mesh_view_record {
	struct slice name, type, value;
};

struct mesh_view_route {
	struct slice suffix; /* empty: everything */
	struct ip resolvers[MESH_VIEW_RESOLVERS_MAX];
	size_t resolver_count; /* 0: answered here */
};

struct mesh_view {
	uint64_t sequence;
	struct slice domain;		    /* lower case, without a full stop at its end */
	struct mesh_view_machine *machines; /* the first one is this machine, if has_self */
	size_t machine_count;
	bool has_self;
	struct mesh_view_record *records;
	size_t record_count;
	struct mesh_view_route *routes;
	size_t route_count;
};

/* Borrows nothing of `json`.  ERR_INVALID, or ERR_TOO_BIG beyond a limit of above. */
MUST_CHECK enum err mesh_view_parse(struct arena *a, struct slice json, struct mesh_view *ret);
MUST_CHECK enum err mesh_view_parse_whois(struct arena *a, struct slice json,
					  struct mesh_view_machine *ret);

/* The mesh process's side: the same documents.  False: something in it is not UTF-8. */
MUST_CHECK bool mesh_view_encode(const struct mesh_view *view, struct buf *ret);
MUST_CHECK bool mesh_view_encode_whois(const struct mesh_view_machine *m, struct buf *ret);

/* The body of PUT /v1/services. */
struct mesh_view_service {
	const char *proto;
	uint16_t port;
};
void mesh_view_encode_services(const struct mesh_view_service *services, size_t count,
			       struct buf *ret);

/* The machine that has this address, or NULL. */
const struct mesh_view_machine *mesh_view_find_address(const struct mesh_view *view, struct ip ip);

/* By its name, "laptop" or "laptop.DOMAIN", whatever the case, or one of its addresses. */
const struct mesh_view_machine *mesh_view_find_name(const struct mesh_view *view,
						    struct slice name);

#endif
