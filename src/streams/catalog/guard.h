/* Who may do what with streams: users and grants of the cell, kept in memory for fast answers.
 *
 * The coordinator keeps one of its cell, each agent one of its replica.
 *
 *	no users	nobody has to sign in; everybody may do everything with what no grant
 *			speaks of (Kafka's allow.everyone.if.no.acl.found)
 *	users		what no grant allows is denied, but to admins */
#ifndef STREAMS_CATALOG_GUARD_H
#define STREAMS_CATALOG_GUARD_H

#include "access/grants.h"
#include "base/arena.h"
#include "cells/cell.h"

enum {
	GUARD_USERS_MAX = 10000,
	GUARD_USER_BYTES_MAX = GRANT_PRINCIPAL_BYTES_MAX - 5, /* of its name, without "User:" */
	GUARD_SALT_BYTES_MAX = 128,
	GUARD_KEY_BYTES_MAX = 64,
	GUARD_SECRET_BYTES = 32,
	GUARD_HOST_BYTES = GRANT_HOST_BYTES_MAX + 1,
};

/* What an agent asks for itself.  No client can have it: theirs begin with "User:". */
#define GUARD_AGENT SLICE("Agent:hanse")
#define GUARD_ANONYMOUS SLICE("User:ANONYMOUS")

/* What decides where no grant does, and it is denied. */
#define GUARD_NO_RULE SLICE("no rule")

/* The tables that matter begin with it. */
#define GUARD_TABLE_PREFIX SLICE("access_")

/* Whoever asks.  Borrowed. */
struct guard_caller {
	struct slice principal; /* "User:alice"; no data: nobody said who */
	struct slice host;	/* "192.0.2.1" */
};

struct guard_admins;

struct guard {
	struct grants *grants;
	struct guard_admins *admins;
	bool has_users;
	bool is_stale; /* to be read again before the next answer */
};

/* Nothing is read yet. */
void guard_init(struct guard *g);
void guard_done(struct guard *g);

/* Read what the tables say now, if it is stale; NULL: there is no cell, all is denied. */
void guard_read(struct guard *g, struct cell *cell);

bool guard_may(const struct guard *g, const struct guard_caller *who,
	       enum grant_operation operation, enum grant_resource resource, struct slice name);

/* With some name of the resource. */
bool guard_may_any(const struct guard *g, const struct guard_caller *who,
		   enum grant_operation operation, enum grant_resource resource);

/* All of `mask` that may be done: bit n is operation n. */
uint32_t guard_operations(const struct guard *g, const struct guard_caller *who, uint32_t mask,
			  enum grant_resource resource, struct slice name);

/* Why: the grant that decides, or NULL. */
struct grant_decision guard_explain(const struct guard *g, const struct guard_caller *who,
				    enum grant_operation operation, enum grant_resource resource,
				    struct slice name);
bool guard_is_admin(const struct guard *g, struct slice principal);

/* --- the tables ------------------------------------------------------------------------------- */
struct guard_user {
	int64_t id; /* row: another one when it was removed and added again */
	struct slice name;
	bool is_admin;
};

/* Numbers are Kafka's. */
enum scram_kind { SCRAM_KIND_SHA_256 = 1, SCRAM_KIND_SHA_512 = 2 };

/* Never the password, and nothing one could sign in with. */
struct guard_verifier {
	struct guard_user user;
	enum scram_kind kind;
	int32_t iterations;
	struct slice salt, stored_key, server_key;
};

MUST_CHECK enum err guard_find_user(struct arena *a, struct cell *cell, struct slice name,
				    struct guard_user *ret);

/* ERR_NOT_FOUND: no such user, or it has none of this kind. */
MUST_CHECK enum err guard_find_verifier(struct arena *a, struct cell *cell, struct slice user,
					enum scram_kind kind, struct guard_verifier *ret);

/* What answers about users that do not exist are made of; ERR_NOT_FOUND: there never was one. */
MUST_CHECK enum err guard_secret(struct cell *cell, uint8_t ret[GUARD_SECRET_BYTES]);

/* All of them, by name. */
void guard_users(struct arena *a, struct cell *cell, struct guard_user **ret, size_t *ret_count);
void guard_grants(struct arena *a, struct cell *cell, struct grant **ret, size_t *ret_count);

#endif
