/* Grants: who may do what with things that have names (topics, groups, ...), from where.
 *
 * The same rules as in a policy (policy.h): order means nothing, what any grant forbids is
 * forbidden, what remains and any grant allows is allowed, and everything else is denied.  The
 * words and numbers are those of Kafka's access lists, in which clients read and write grants:
 * DENY is a grant that forbids.
 *
 *	literal    name equals; "*" means every name
 *	prefixed   name begins with it
 *	implied    who may READ, WRITE, DELETE or ALTER may DESCRIBE, who may ALTER_CONFIGS may
 *	           DESCRIBE_CONFIGS; forbidding implies nothing
 *
 * Nothing is implied between resources. */
#ifndef ACCESS_GRANTS_H
#define ACCESS_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum grant_resource {
	GRANT_RESOURCE_ANY = 1, /* in filters */
	GRANT_TOPIC = 2,
	GRANT_GROUP = 3,
	GRANT_CLUSTER = 4, /* its one name is GRANT_CLUSTER_NAME */
	GRANT_TRANSACTIONAL_ID = 5,
	GRANT_DELEGATION_TOKEN = 6,
	GRANT_USER = 7,
};

enum grant_pattern {
	GRANT_PATTERN_ANY = 1,	 /* in filters */
	GRANT_PATTERN_MATCH = 2, /* in filters: whatever means the name */
	GRANT_LITERAL = 3,
	GRANT_PREFIXED = 4,
};

enum grant_operation {
	GRANT_OPERATION_ANY = 1, /* in filters */
	GRANT_ALL = 2,
	GRANT_READ = 3,
	GRANT_WRITE = 4,
	GRANT_CREATE = 5,
	GRANT_DELETE = 6,
	GRANT_ALTER = 7,
	GRANT_DESCRIBE = 8,
	GRANT_CLUSTER_ACTION = 9,
	GRANT_DESCRIBE_CONFIGS = 10,
	GRANT_ALTER_CONFIGS = 11,
	GRANT_IDEMPOTENT_WRITE = 12,
	GRANT_CREATE_TOKENS = 13,
	GRANT_DESCRIBE_TOKENS = 14,
	GRANT_TWO_PHASE_COMMIT = 15,
};

enum grant_permission {
	GRANT_PERMISSION_ANY = 1, /* in filters */
	GRANT_FORBID = 2,
	GRANT_ALLOW = 3,
};

enum {
	GRANTS_MAX = 10000,
	GRANT_NAME_BYTES_MAX = 1000,
	GRANT_PRINCIPAL_BYTES_MAX = 512,
	GRANT_HOST_BYTES_MAX = 64,
};

#define GRANT_CLUSTER_NAME SLICE("kafka-cluster")
#define GRANT_EVERYBODY SLICE("User:*")
#define GRANT_ANY_NAME SLICE("*") /* of a literal name, and of a host */

struct grant {
	enum grant_resource resource;
	enum grant_pattern pattern;
	struct slice name;
	struct slice principal; /* "User:alice" */
	struct slice host;	/* "192.0.2.1", or "*" */
	enum grant_operation operation;
	enum grant_permission permission;
};

struct grants;

/* Copies all of it. */
struct grants *grants_new(const struct grant *all, size_t count);
void grants_free(struct grants *g);
size_t grants_count(const struct grants *g);

struct grant_question {
	struct slice principal, host;
	enum grant_operation operation;
	enum grant_resource resource;
	struct slice name;
};

struct grant_decision {
	bool is_allowed;
	const struct grant *grant; /* that decided, lives in `g`; NULL: none does, so it is denied
				    */
};

struct grant_decision grants_decide(const struct grants *g, const struct grant_question *q);

/* Does any grant mean this name, whoever and whatever else it means? */
bool grants_speak_of(const struct grants *g, enum grant_resource resource, struct slice name);

/* May it do that with some name of this resource?  `name` of the question means nothing. */
bool grants_allow_any(const struct grants *g, const struct grant_question *q);

/* Does it mean this principal, host and name, as far as the filter says?  In a filter ANY, and a
 * slice without data, mean everything. */
bool grant_fits(const struct grant *it, const struct grant *filter);

/* Can clients store it?  ERR_INVALID: a word that is none, or one that only filters have, or an
 * operation the resource does not know; ERR_TOO_BIG. */
MUST_CHECK enum err grant_check(const struct grant *it);

/* Bit n is operation n: all that can be done with a resource of this kind. */
uint32_t grant_operations_of(enum grant_resource resource);

/* "TOPIC", "READ", ...; "?" for a number that is none. */
const char *grant_resource_name(enum grant_resource resource);
const char *grant_operation_name(enum grant_operation operation);

/* The same words in any case, with _ or -.  ERR_NOT_FOUND: it is none, or one of filters. */
MUST_CHECK enum err grant_resource_find(struct slice word, enum grant_resource *ret);
MUST_CHECK enum err grant_operation_find(struct slice word, enum grant_operation *ret);

/* DENY WRITE of TOPIC "orders" (PREFIXED) to User:bob from *; what is no printable ASCII in names
 * is a question mark. */
char *grant_text(struct arena *a, const struct grant *it);

#endif
