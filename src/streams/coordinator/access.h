/* The tables of users and grants, changed: inside a transaction. */
#ifndef STREAMS_COORDINATOR_ACCESS_H
#define STREAMS_COORDINATOR_ACCESS_H

#include "streams/catalog/guard.h"

struct coordinator;

/* Is it a name for a user?  1 to GUARD_USER_BYTES_MAX bytes of UTF-8 without control characters. */
bool access_user_name_is_valid(struct slice name);

/* The row of the user, made if there is none.  ERR_FULL. */
MUST_CHECK enum err access_user_insert(struct cell *cell, struct slice name, bool is_admin,
				       int64_t now_ms, int64_t *ret);
MUST_CHECK enum err access_user_set_admin(struct cell *cell, int64_t user, bool is_admin);
MUST_CHECK enum err access_user_remove(struct cell *cell, int64_t user);

/* Insert or replace. */
MUST_CHECK enum err access_verifier_set(struct cell *cell, int64_t user,
					const struct guard_verifier *v);

/* ERR_NOT_FOUND: it has none of that kind. */
MUST_CHECK enum err access_verifier_remove(struct cell *cell, int64_t user, enum scram_kind kind);
size_t access_verifier_count(struct cell *cell, int64_t user);

/* Nothing happens if it is there already.  ERR_FULL. */
MUST_CHECK enum err access_grant_insert(struct cell *cell, const struct grant *g);
MUST_CHECK enum err access_grant_remove(struct cell *cell, const struct grant *g);

/* Random bytes from which the answers about users that do not exist are made, everywhere the same:
 * made with the first user. */
MUST_CHECK enum err access_secret_keep(struct cell *cell);

#endif
