/* May this reach that?  The plain answer, rule by rule, and which rule gave it.  What a policy
 * means is what this says; compile.h must agree with it. */
#ifndef ACCESS_DECIDE_H
#define ACCESS_DECIDE_H

#include "access/policy.h"

struct question {
	struct subject from, to;
	bool to_is_exit; /* the machine asked offers the Internet */
	uint8_t protocol;
	uint16_t port;		 /* where the protocol has some */
	struct slice capability; /* not empty: about this one, not about packets */
};

struct decision {
	bool is_allowed;
	const struct policy_rule *rule;		 /* NULL: none means this, so it is denied */
	const struct principal *source, *target; /* which entries of the rule did */
};

/* `policy` may be NULL: there is none, and all is allowed.  `world` may be NULL: no routes. */
struct decision decide(const struct policy *policy, const struct access_world *world,
		       const struct question *q);

/* Does this rule mean it, whatever others say?  The entries go into *ret. */
bool rule_means(const struct policy_rule *rule, const struct access_world *world,
		const struct question *q, struct decision *ret);

/* The entries of a rule that mean these two, whatever the port; `ret` as above. */
bool rule_means_pair(const struct policy_rule *rule, const struct access_world *world,
		     const struct question *q, struct decision *ret);

#endif
