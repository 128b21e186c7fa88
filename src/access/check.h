/* What reading a policy does not find: tests in it that fail (errors), and what in it does nothing
 * (warnings): groups and hosts nobody names, machines that do not exist, rules that another one
 * makes superfluous or never lets take effect. */
#ifndef ACCESS_CHECK_H
#define ACCESS_CHECK_H

#include "access/policy.h"

/* Adds to `problems`; their error_count says whether the policy may be used.  `world` may be
 * NULL. */
void policy_check(const struct policy *policy, const struct access_world *world,
		  struct policy_problems *problems);

#endif
