/* The control of a mesh, while this node leads the realm's journal: who belongs to it, which
 * addresses and names they have, and what each of them knows of the others.
 *
 *	door --> register --> operation on the root cell --> durable --> machines in memory
 *	  '----> map ------> session (a long poll) <-- fan-out of what changed <----'
 *
 * What must survive is in the cell, and no machine is told of it before it is durable.  Where
 * machines are (endpoints, disco keys, home relays, who is connected) is in memory only: they say
 * it again to whoever leads.  Changes gather for REALM_FANOUT_MS, are written once, compressed
 * once, and go to everyone who may know of them as one block.
 *
 * Everything happens on one loop. */
#ifndef MESH_REALM_REALM_H
#define MESH_REALM_REALM_H

#include "cells/leader.h"
#include "loop/http_server.h"
#include "loop/stream.h"
#include "mesh/realm/store.h"
#include "wire/control/map_response.h"

enum {
	REALM_FANOUT_MS = 150,		/* between two rounds of changes */
	REALM_FANOUT_MS_MIN = 10,	/* after a change in a quiet time */
	REALM_KEEPALIVE_MS = 50 * 1000, /* and up to REALM_KEEPALIVE_JITTER_MS more */
	REALM_KEEPALIVE_JITTER_MS = 9 * 1000,
	REALM_PATIENCE_MS = 60 * 1000, /* with a client that acknowledges nothing, as phones do */
	REALM_PATIENCE_SHORT_MS = 25 * 1000, /* with one that has power */
	REALM_SILENT_S = 15,		     /* before its system is asked whether it is there */
	REALM_OFFLINE_MS = 5 * 1000,	     /* a machine may take to connect again */
	REALM_EPHEMERAL_MS = 10 * 60 * 1000, /* an ephemeral one may be away */
	REALM_SEEN_MS = 60 * 1000,	     /* between two writes of when machines were seen */
	REALM_ONLINE_MS = 10 * 60 * 1000,    /* and of those that are still there */
	REALM_SWEEP_MS = 1000,
	REALM_LINGER_MS = 1100,
	REALM_DIAL_DELAY_S = 1, /* before a client tries the second node */
	REALM_DIAL_TIMEOUT_S = 5,
	REALM_MACHINE_JSON_BYTES_MAX = 8 * 1024, /* more: without most of what it says of itself */
	REALM_NETMAP_BYTES_MAX = 28 << 20, /* JSON of one message; machines beyond are left out */
	REALM_OPERATIONS_MAX = 1024,	   /* for clients under way; half of it for registrations */
	REALM_MACHINE_OPERATIONS_MAX = 16, /* of one machine key */
	REALM_WHOLES_PER_S = 2,		   /* netmaps that one machine may ask for */
	REALM_WHOLES_BURST = 20,
	REALM_UPDATES_PER_MINUTE = 10, /* writes of what one machine says of itself */
	REALM_UPDATES_BURST = 20,
	REALM_UPDATE_COST = 60,	  /* so that a minute's are counted by the second */
	REALM_PENDING_MAX = 1000, /* registrations that wait for a person */
	REALM_PENDING_MS = 60 * 60 * 1000,
	REALM_PENDING_ID_BYTES = 25, /* 24 characters and a NUL */
	REALM_VERSION_MIN = 113,     /* capability version of clients */
	REALM_VERSION_HASHES = 115,  /* from here on they know the hash of a certificate */
	REALM_REGION_MIN = 900,	     /* of relays of users, as clients count them */
	REALM_REGION_MAX = 999,
	REALM_REGION_MIRROR = 1000, /* added to the number of the only one */
	REALM_WHY_BYTES = 160,
	REALM_URL_BYTES_MAX = 300,
};

struct realm;

struct realm_config {
	struct leader *leader;
	const char *address; /* of this node among nodes */
	const char *url;     /* of this node for clients: "http://192.0.2.7:8641" */
	const char *domain;  /* for a new realm: what names end with */
	void *context;
	/* POST /hanse/admin in the clear: another node of the realm; to be answered. */
	void (*on_server)(void *context, struct http_exchange *e);
	/* It serves; `is_new`: for the first time ever. */
	void (*on_ready)(void *context, bool is_new);
};

struct realm *realm_new(struct loop *loop, const struct realm_config *config);

/* Nothing of it is under way: after realm_stop(). */
void realm_free(struct realm *r);

/* From the leader's watcher. */
void realm_on_leading(struct realm *r);
void realm_on_lost(struct realm *r);

/* A client's connection; closed at once unless it serves. */
void realm_accept(struct realm *r, struct stream *s);
bool realm_is_serving(const struct realm *r);

/* A child task: clients are let go, and operations end.  Their streams may take REALM_LINGER_MS
 * more to close. */
struct realm_stop {
	struct task task;
	struct realm *realm;
};
void realm_stop(struct realm_stop *stop, struct task *parent, struct realm *r);

/* --- operations of administrators --------------------------------------------------------------
 *
 * Each is a struct whose first member is the operation; made with NEW, filled (texts may live in
 * its arena), started, and freed by itself after `done`.  `done` gets OK when it is durable;
 * `why` is a sentence for people. */

struct operation {
	struct task task;
	struct list link;
	struct realm *realm;
	struct leader_call call;
	struct arena arena;
	int64_t now_s; /* of the journal */
	char why[REALM_WHY_BYTES];
	enum err (*run)(struct cell *cell, struct operation *o);
	void (*done)(struct operation *o, enum err err);
	void *context;
	void (*on_void)(struct operation *o); /* private from here on: its client has gone */
	struct mesh_key machine;	      /* of that client; zero: not asked for by one */
	struct operation_change *changes;     /* what became durable, in the arena */
	struct operation_parts *parts;
	bool has_users, has_relays, has_servers, has_policy;
	bool is_first;
};

void operation_init(struct operation *o, struct realm *r);
void operation_start(struct operation *o, enum err (*run)(struct cell *, struct operation *),
		     void (*done)(struct operation *o, enum err err), void *context);

struct key_create {
	struct operation operation;
	struct slice user; /* login; empty: the owner of the realm */
	struct slice description;
	struct slice tags;  /* one a line */
	int64_t lifetime_s; /* 0: for ever */
	int64_t uses_max;   /* 0: any number */
	bool is_ephemeral;
	bool needs_approval;
	char secret[64];    /* out: given once, and not kept */
	struct key_row key; /* out */
};
void key_create_start(struct key_create *k, void (*done)(struct operation *, enum err), void *);

struct key_revoke {
	struct operation operation;
	int64_t id;
};
void key_revoke_start(struct key_revoke *k, void (*done)(struct operation *, enum err), void *);

enum machine_edit_kind {
	MACHINE_RENAME,	 /* `text`; empty: what the machine calls itself */
	MACHINE_TAG,	 /* `text`: one a line; empty: none, `user` gets it */
	MACHINE_EXPIRE,	 /* `number`: in how many seconds; -1: never */
	MACHINE_APPROVE, /* one that waits, by link or name, or one that is there */
	MACHINE_ROUTES,	 /* `text`: all that are approved, one a line */
	MACHINE_REMOVE,
};

struct machine_edit {
	struct operation operation;
	enum machine_edit_kind kind;
	struct slice machine; /* name, id, address */
	struct slice text;
	int64_t number;
	char pending[REALM_PENDING_ID_BYTES]; /* private, and the next one */
	void (*then)(struct operation *o, enum err err);
	struct machine_row row; /* out; as it is now, or was */
};
void machine_edit_start(struct machine_edit *m, void (*done)(struct operation *, enum err), void *);

struct relay_edit {
	struct operation operation;
	struct relay_row relay; /* by name */
	bool is_removed;
	bool is_said;	/* by the relay: one that was removed stays so */
	bool is_back;	/* one that was removed is as it was; only the name is looked at */
	bool is_shared; /* its region may have other relays: they know of each other */
};
void relay_edit_start(struct relay_edit *e, void (*done)(struct operation *, enum err), void *);

/* A node of the realm: where clients reach it. */
struct server_edit {
	struct operation operation;
	struct server_row server; /* by address */
	bool is_removed;
};
void server_edit_start(struct server_edit *e, void (*done)(struct operation *, enum err), void *);

/* What the nodes of a realm have in common and nobody else: to pass questions of administrators on
 * to the one that leads.  `cell` is a root cell; false: it has no key yet. */
enum { REALM_SERVER_KEY_BYTES = 32 };
MUST_CHECK bool realm_server_key(struct cell *cell, uint8_t ret[REALM_SERVER_KEY_BYTES]);

/* --- the policy: who may reach what (access/policy.h) ------------------------------------------
 */

struct policy_edit {
	struct operation operation;
	bool is_rollback;
	int64_t version;   /* of a rollback: to which one, 0 is to none; out: the new one */
	struct slice text; /* else; empty: no policy any more */
	struct slice note;
	struct slice problems; /* out, in the arena: warnings, or why it is refused */
};
void policy_edit_start(struct policy_edit *e, void (*done)(struct operation *, enum err), void *);

/* The version in force and its text, which is borrowed; 0: there was never one. */
int64_t realm_policy_get(const struct realm *r, struct slice *ret_text);
void realm_policy_history(struct arena *a, struct realm *r, struct policy_row **ret,
			  size_t *ret_count);
MUST_CHECK enum err realm_policy_text(struct arena *a, struct realm *r, int64_t version,
				      struct slice *ret);

/* These append sentences (access/explain.h).  ERR_INVALID: the text may not be used. */
MUST_CHECK enum err realm_policy_examine(struct realm *r, struct slice text, struct buf *ret);
MUST_CHECK enum err realm_policy_explain(struct realm *r, struct slice from, struct slice to,
					 struct slice protocol, struct buf *ret, bool *ret_allowed,
					 char ret_why[REALM_WHY_BYTES]);
MUST_CHECK enum err realm_policy_who(struct realm *r, struct slice to, struct slice protocol,
				     struct buf *ret, char ret_why[REALM_WHY_BYTES]);
MUST_CHECK enum err realm_policy_difference(struct realm *r, struct slice text, struct buf *ret,
					    size_t *ret_lines);

/* --- looking -----------------------------------------------------------------------------------
 *
 * What is returned is borrowed until the loop turns. */

struct realm_machine {
	const struct control_node *node;
	struct slice user;
	struct slice id;		  /* of a link that waits for approval; else empty */
	const struct ip_prefix *approved; /* routes */
	size_t approved_count;
	bool is_online, is_ephemeral, is_named;
	bool is_waiting; /* for a person: has no address yet */
};

void realm_machines(struct arena *a, struct realm *r, struct realm_machine **ret,
		    size_t *ret_count);
void realm_keys(struct arena *a, struct realm *r, struct key_row **ret, size_t *ret_count);
const struct control_relay_map *realm_relays(const struct realm *r);
const char *realm_domain(const struct realm *r);
struct mesh_key realm_public_key(const struct realm *r);
/* URLs of all servers of the realm, this one first. */
const char *const *realm_urls(const struct realm *r, size_t *ret_count);
/* A relay asks whether this key belongs here. */
struct http_exchange;
void realm_verify(struct realm *r, struct http_exchange *e);

/* The same from the root cell of a node that stands by.  False, and not answered: it does not
 * know the machine, or not as one that may. */
MUST_CHECK bool realm_verify_known(struct cell *cell, struct http_exchange *e);
/* POST /verify, in its words */
bool realm_has_node(const struct realm *r, const struct mesh_key *node);

struct realm_status {
	size_t machines, online, sessions, pending, clients;
	uint64_t fanouts;		  /* rounds of changes */
	uint64_t fanout_us;		  /* the longest one */
	uint64_t whole_us;		  /* the longest first response */
	uint64_t messages, message_bytes; /* to clients */
};
void realm_get_status(const struct realm *r, struct realm_status *ret);

#endif
