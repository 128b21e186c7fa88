/* The root cell of a realm: what must survive, as rows.  Everything else (endpoints, who is
 * connected) is in memory and told again by the machines (doc/formats/realm.md).
 *
 * All functions here run inside a transaction, or read outside of one.  Times are Unix seconds, 0
 * where there is none. */
#ifndef MESH_REALM_STORE_H
#define MESH_REALM_STORE_H

#include "base/arena.h"
#include "cells/cell.h"
#include "wire/mesh_key.h"

#define REALM_CELL "root"

enum {
	STORE_MACHINES_MAX = 20000,
	STORE_KEYS_MAX = 10000,
	STORE_RELAYS_MAX = 256,
	STORE_SERVERS_MAX = 16,
	STORE_USERS_MAX = 20000,
	STORE_LABEL_BYTES_MAX = 63,
	STORE_NAMES_MAX = 10000, /* machines that want the same name */
	STORE_USER_OWNER = 1,	 /* whom machines belong to unless a key says otherwise */
	STORE_USER_TAGGED = 2,	 /* machines with tags belong to nobody */
	STORE_HASH_BYTES = 32,
	STORE_POLICY_BYTES_MAX = 512 * 1024,
	STORE_POLICIES_MAX = 100, /* the history */
};

extern const struct cell_schema realm_schema[];
extern const size_t realm_schema_count;

/* --- settings ----------------------------------------------------------------------------------
 */

/* ERR_NOT_FOUND: it was never set. */
MUST_CHECK enum err store_get(struct arena *a, struct cell *cell, const char *name,
			      struct slice *ret);
MUST_CHECK enum err store_set(struct cell *cell, const char *name, struct slice value);

/* The next number of a series that begins with 1. */
MUST_CHECK enum err store_count(struct cell *cell, const char *name, int64_t *ret);

/* --- users -------------------------------------------------------------------------------------
 */

struct user_row {
	int64_t id;
	struct slice login;
	struct slice display;
};

MUST_CHECK enum err store_user(struct arena *a, struct cell *cell, int64_t id,
			       struct user_row *ret);
/* The user of this login, made if there is none; ERR_FULL. */
MUST_CHECK enum err store_user_of(struct cell *cell, struct slice login, int64_t now_s,
				  int64_t *ret);
void store_users(struct arena *a, struct cell *cell, struct user_row **ret, size_t *ret_count);

/* --- machines ----------------------------------------------------------------------------------
 */

struct machine_row {
	int64_t id; /* never used again */
	int64_t user;
	struct slice name; /* one label of DNS, unique */
	struct mesh_key machine, node;
	uint32_t v4;	  /* its address; unique.  That of version 6 follows from it */
	uint32_t version; /* capability version of its client */
	int64_t created_s;
	int64_t expiry_s; /* of the node key */
	int64_t seen_s;
	bool is_named; /* by a person: what the machine calls itself no longer counts */
	bool is_authorized;
	bool is_ephemeral;
	struct slice tags;     /* one a line */
	struct slice hostinfo; /* JSON, without what changes often */
	struct slice routes;   /* approved prefixes, one a line */
};

/* ERR_NOT_FOUND; what is returned lives in the arena. */
MUST_CHECK enum err store_machine(struct arena *a, struct cell *cell, int64_t id,
				  struct machine_row *ret);
MUST_CHECK enum err store_machine_by_node(struct arena *a, struct cell *cell,
					  const struct mesh_key *node, struct machine_row *ret);
/* A machine may be there once for each user. */
MUST_CHECK enum err store_machine_by_machine(struct arena *a, struct cell *cell,
					     const struct mesh_key *machine, int64_t user,
					     struct machine_row *ret);
/* By "n12", "12", its name or its address. */
MUST_CHECK enum err store_machine_by_text(struct arena *a, struct cell *cell, struct slice text,
					  struct machine_row *ret);
void store_machines(struct arena *a, struct cell *cell, struct machine_row **ret,
		    size_t *ret_count);

/* Insert or replace by id. */
MUST_CHECK enum err store_machine_put(struct cell *cell, const struct machine_row *m);
MUST_CHECK enum err store_machine_remove(struct cell *cell, int64_t id);

/* A new row's id and address; ERR_FULL. */
MUST_CHECK enum err store_machine_begin(struct cell *cell, struct machine_row *ret);

/* What `wish` becomes as a label that no other machine has: "laptop", else "laptop-1", ... */
MUST_CHECK enum err store_machine_name(struct arena *a, struct cell *cell, struct slice wish,
				       int64_t id, struct slice *ret);

/* --- join keys ---------------------------------------------------------------------------------
 */

struct key_row {
	int64_t id;
	uint8_t hash[STORE_HASH_BYTES]; /* of the secret, which is not kept */
	struct slice hint;		/* its first characters, for people */
	struct slice description;
	int64_t user;
	struct slice tags; /* one a line */
	int64_t uses_max;  /* 0: any number */
	int64_t uses;
	int64_t created_s, expiry_s, revoked_s;
	bool is_ephemeral;
	bool is_preapproved;
};

void store_key_hash(struct slice secret, uint8_t ret[STORE_HASH_BYTES]);
MUST_CHECK enum err store_key_by_secret(struct arena *a, struct cell *cell, struct slice secret,
					struct key_row *ret);
MUST_CHECK enum err store_key(struct arena *a, struct cell *cell, int64_t id, struct key_row *ret);
void store_keys(struct arena *a, struct cell *cell, struct key_row **ret, size_t *ret_count);
/* Insert (id 0: gets one) or replace; ERR_FULL: old ones that are over are forgotten first. */
MUST_CHECK enum err store_key_put(struct cell *cell, struct key_row *key, int64_t now_s);

/* --- relays and servers ------------------------------------------------------------------------
 */

struct relay_row {
	struct slice name; /* unique */
	int32_t region;
	struct slice code, title, host, ipv4, ipv6, cert_name;
	int32_t relay_port, stun_port;
	int32_t second_stun_port; /* 0: none */
	bool is_insecure;
};

void store_relays(struct arena *a, struct cell *cell, struct relay_row **ret, size_t *ret_count);
MUST_CHECK enum err store_relay_put(struct cell *cell, const struct relay_row *relay);
/* A relay that was removed is no row of store_relays(), and remembered until it is put again, or
 * others need its place.  ERR_NOT_FOUND: there is none with this name. */
MUST_CHECK enum err store_relay_remove(struct cell *cell, struct slice name);
MUST_CHECK enum err store_removed_relay(struct arena *a, struct cell *cell, struct slice name,
					struct relay_row *ret);

/* A server of the realm, by its address among servers. */
struct server_row {
	struct slice address;
	struct slice url; /* for clients */
};

void store_servers(struct arena *a, struct cell *cell, struct server_row **ret, size_t *ret_count);
MUST_CHECK enum err store_server_put(struct cell *cell, const struct server_row *server);
MUST_CHECK enum err store_server_remove(struct cell *cell, struct slice address);

/* --- policies ----------------------------------------------------------------------------------
 */

struct policy_row {
	int64_t version;   /* 1, 2, ...; the newest is in force */
	struct slice text; /* HuJSON; empty: there is no policy */
	size_t bytes;	   /* of the text */
	int64_t created_s;
	struct slice note; /* what its author says of it */
};

MUST_CHECK enum err store_policy(struct arena *a, struct cell *cell, int64_t version,
				 struct policy_row *ret);
/* ERR_NOT_FOUND: there was never one. */
MUST_CHECK enum err store_policy_newest(struct arena *a, struct cell *cell, struct policy_row *ret);
/* The newest first, without their texts. */
void store_policies(struct arena *a, struct cell *cell, struct policy_row **ret, size_t *ret_count);
/* It gets its version; beyond STORE_POLICIES_MAX the oldest is forgotten. */
MUST_CHECK enum err store_policy_add(struct cell *cell, struct policy_row *row);

/* --- texts -------------------------------------------------------------------------------------
 */

/* The lines of a list, and the other way round. */
struct slice *store_lines(struct arena *a, struct slice text, size_t *ret_count);
struct slice store_join(struct arena *a, const struct slice *lines, size_t count);
bool store_has_line(struct slice text, struct slice line);

#endif
