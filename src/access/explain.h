/* Answers about a policy in sentences: may this reach that, by which rule; who can; and what a new
 * policy changes.  Plain text, one fact a line. */
#ifndef ACCESS_EXPLAIN_H
#define ACCESS_EXPLAIN_H

#include "access/policy.h"

enum { EXPLAIN_WHY_BYTES = 160, EXPLAIN_LINES_MAX = 2000 };

/* `policy` may be NULL: there is none yet, and everybody reaches everything. */
struct explain {
	const struct policy *policy;
	const struct access_world *world;
};

/* `from`: a machine, an address, a user (with @ or user:NAME) or a tag.  `to`: a machine or an
 * address, :PORT behind it asks for that port alone.  `protocol`: empty is tcp.  Appends to `ret`;
 * *ret_allowed: the port, or anything.  ERR_INVALID, ERR_NOT_FOUND: ret_why says of what. */
MUST_CHECK enum err explain_pair(const struct explain *e, struct slice from, struct slice to,
				 struct slice protocol, struct buf *ret, bool *ret_allowed,
				 char ret_why[EXPLAIN_WHY_BYTES]);

/* All machines that may reach `to`, which is as above. */
MUST_CHECK enum err explain_who(const struct explain *e, struct slice to, struct slice protocol,
				struct buf *ret, char ret_why[EXPLAIN_WHY_BYTES]);

/* "+ laptop -> db tcp 22" is gained, "- ..." lost by `after`.  Returns how many lines. */
size_t explain_difference(const struct explain *before, const struct policy *after,
			  struct buf *ret);

/* "12:5: error: ..." each on a line. */
void explain_problems(const struct policy_problems *problems, struct buf *ret);

#endif
