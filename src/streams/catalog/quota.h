/* Quotas of clients: what a user or a client id may do in a second, and who has used up how much.
 *
 * A quota belongs to a user, to a client id, or to both; each may be a default, for those that have
 * none of their own.  Of the quotas that fit a client the first one in the order of quota_find()
 * holds, which is Kafka's.  All clients a quota names share it; of a default each has its own.
 *
 * An address has a quota too, of new connections, which has nothing to do with the others.
 *
 * Use is counted where it happens, by each agent for itself and by control for changes of topics,
 * in memory: a bucket that fills at the rate of the quota and may be a second full. */
#ifndef STREAMS_CATALOG_QUOTA_H
#define STREAMS_CATALOG_QUOTA_H

#include "base/list.h"
#include "base/map.h"
#include "streams/catalog/catalog.h"

enum {
	QUOTA_NAME_BYTES_MAX = 1000,   /* of a user or a client id */
	QUOTA_CLIENTS_MAX = 10000,     /* whose use is known; who did nothing for longest goes */
	QUOTA_THROTTLE_MS_MAX = 10000, /* what is owed beyond is waited for next time */
	QUOTA_ROWS_MAX = 100000,
};

enum quota_kind {
	QUOTA_PRODUCER_BYTES,
	QUOTA_CONSUMER_BYTES,
	QUOTA_REQUEST_PERCENTAGE, /* of the one thread that serves them */
	QUOTA_MUTATIONS,	  /* partitions created and deleted */
	QUOTA_CONNECTIONS,	  /* accepted: of addresses, and of nothing else */
	QUOTA_KINDS
};

/* "producer_byte_rate"; -1 for a name that is none. */
const char *quota_name(enum quota_kind kind);
int quota_kind_find(struct slice name);

/* --- what is set ---------------------------------------------------------------------------- */

/* The user of a principal, "alice" of "User:alice"; of nobody Kafka's word, ANONYMOUS. */
struct slice quota_user(struct slice principal);

/* One part of an entity as it is stored: "" not part of it, "*" the default, "=NAME" that one. */
struct slice quota_part(struct arena *a, bool is_default, struct slice name);

/* An address, as quota_part() has it, in the place of the user. */
struct slice quota_address_part(struct arena *a, struct slice part);

struct quota_row {
	struct slice user, client_id, address; /* as quota_part() has them */
	struct slice name;
	double value;
};

/* By entity. */
MUST_CHECK enum err quota_rows(struct arena *a, struct cell *c, struct quota_row **ret,
			       size_t *ret_count);

/* Is anything limited at all? */
bool quota_is_any(struct cell *c);

struct quota_limit {
	double per_second; /* of percentages: percent */
	bool by_user, by_client;
};

/* The quota of this kind that holds for a client; false: it has none. */
bool quota_find(struct cell *c, struct slice user, struct slice client_id, enum quota_kind kind,
		struct quota_limit *ret);

/* How many connections a second of an address are accepted; counted as those of a user of its name.
 */
bool quota_find_address(struct cell *c, struct slice host, struct quota_limit *ret);

/* --- what is used --------------------------------------------------------------------------- */

struct quotas {
	struct map all;
	struct list order; /* used longest ago first */
};

void quotas_init(struct quotas *q);
void quotas_done(struct quotas *q);

/* Count `amount` against `limit`; returns how many milliseconds the client is to wait until it has
 * paid, 0: it need not. */
uint64_t quotas_take(struct quotas *q, const struct quota_limit *limit, enum quota_kind kind,
		     struct slice user, struct slice client_id, double amount, uint64_t now_ms);

/* The same without taking: 0 if something may be taken now. */
uint64_t quotas_wait(struct quotas *q, const struct quota_limit *limit, enum quota_kind kind,
		     struct slice user, struct slice client_id, uint64_t now_ms);

#endif
