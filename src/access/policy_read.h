/* Private to the readers of a policy: policy.c and policy_rules.c. */
#ifndef ACCESS_POLICY_READ_H
#define ACCESS_POLICY_READ_H

#include "access/policy.h"

struct policy_reader {
	struct arena *a;
	struct policy *policy;
	struct policy_problems *problems;
};

enum principal_role { ROLE_SOURCE, ROLE_TARGET, ROLE_OWNER };

#define COMPLAIN(reader, value, ...)                                                               \
	policy_complain((reader)->problems, false, (value)->line, (value)->column, __VA_ARGS__)
#define WARN(reader, value, ...)                                                                   \
	policy_complain((reader)->problems, true, (value)->line, (value)->column, __VA_ARGS__)
#define TEXT_ARG(s) ((s).size > 60 ? 60 : (int)(s).size), (const char *)(s).data

/* False, and a complaint: it is of another kind, or holds more than `max`. */
bool reader_wants(struct policy_reader *r, const struct hujson *v, enum hujson_kind kind,
		  const char *what, size_t max);

/* One entry; `text` is the part of `v` that names it.  False, and a complaint. */
bool read_principal(struct policy_reader *r, const struct hujson *v, struct slice text,
		    enum principal_role role, struct principal *ret);

/* A list of entries; NULL and a complaint.  `allows_none`: an empty one is fine. */
const struct principal *read_principals(struct policy_reader *r, const struct hujson *list,
					enum principal_role role, size_t *ret_count);

void read_rules(struct policy_reader *r, const struct hujson *root);
void read_tests(struct policy_reader *r, const struct hujson *list);

#endif
