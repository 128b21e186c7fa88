/* The realm process: control of the mesh.  It leads the journal of the realm, or stands by and
 * passes clients on to who does. */
#ifndef SERVER_REALM_ROLE_H
#define SERVER_REALM_ROLE_H

#include "cells/cluster.h"
#include "loop/http_server.h"
#include "mesh/realm/realm.h"
#include "server/journal_buckets.h"
#include "server/leadership.h"
#include "server/options.h"
#include "server/peer_port.h"
#include "server/realm_forward.h"
#include "server/stream_pipe.h"

#define REALM_JOURNAL "realm"

enum {
	REALM_DOOR_BUSY_MS = 3000,	  /* a process just killed may still hold a socket */
	REALM_FIRST_KEY_S = 24 * 60 * 60, /* the key that a new realm prints is good for */
	REALM_URL_BYTES = OPTION_HOST_BYTES + 32,
};

struct realm_role {
	struct task task;
	struct loop *loop;
	const struct options *options;
	char address[OPTION_HOST_BYTES + 16];  /* among nodes: HOST:PORT of the peer port */
	struct tls_identity *tls;	       /* of clients; NULL: in the clear only */
	char url[REALM_URL_BYTES];	       /* for clients */
	char host[JOURNAL_NODE_BYTES_MAX + 1]; /* the machine's name, for people */
	struct journal_buckets buckets;
	struct cluster_open cluster;
	struct keyring keys;
	struct peer_identity identity;
	struct leadership leadership;
	struct realm *realm;
	struct listener *clients;
	struct peer_port *peers;
	struct http_server *admin;
	struct role_page *page;	   /* its numbers */
	struct stream_pipes pipes; /* clients that are passed on to the leader */
	char leader[JOURNAL_ADDRESS_BYTES_MAX + 1];
	struct realm_forwards forwards;

	struct sleep sleep;
	struct realm_stop realm_stop;
	struct leadership_stop leadership_stop;
	uint64_t retry_ms;
	uint64_t busy_since_ms;
	uint64_t lingers_until_ms; /* streams of clients, after the realm */
	bool has_started;
	bool is_told; /* the supervisor, that it serves */
	bool is_stopping;
};

/* The host and port at which the leader serves clients; false: nobody else is known to lead. */
bool realm_role_leader(const struct realm_role *role, char host[OPTION_HOST_BYTES], uint16_t *port);

/* HTTP and JSON on RUNDIR/realm.sock. */
void realm_admin_on_request(void *context, struct http_exchange *e);

/* What a person carries to the next machine, from a key's secret; false: not while standing by. */
bool realm_role_join_key(const struct realm_role *role, const char *secret, char *ret, size_t size);

#endif
