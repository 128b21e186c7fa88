/* Which topics a regular expression of a consumer means.
 *
 * Kafka's broker uses RE2; this is PCRE2 kept to what both understand in the same way: what RE2
 * does not know (backward references, looking around, atomic groups, possessive repeats,
 * conditions, calls, verbs) is refused, and an expression must match the whole name.  PCRE2 goes
 * back and tries again, so the work is limited: where the limit ends a match, there is none
 * (doc/decisions/0027). */
#ifndef STREAMS_COORDINATOR_TOPIC_PATTERN_H
#define STREAMS_COORDINATOR_TOPIC_PATTERN_H

#include "base/err.h"
#include "base/slice.h"

enum {
	TOPIC_PATTERN_BYTES_MAX = 4096,
	TOPIC_PATTERN_NESTING_MAX = 100,
	TOPIC_PATTERN_STEPS_MAX = 10000, /* of one name */
	TOPIC_PATTERN_HEAP_KIB_MAX = 1024,
};

struct topic_pattern;

/* ERR_INVALID: not a regular expression that is understood here. */
MUST_CHECK enum err topic_pattern_new(struct slice expression, struct topic_pattern **ret);
void topic_pattern_free(struct topic_pattern *p); /* may be NULL */

bool topic_pattern_matches(const struct topic_pattern *p, struct slice name);

#endif
