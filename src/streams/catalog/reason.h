/* Why a client may do something, or not: as the brokers decide it, in a sentence for people. */
#ifndef STREAMS_CATALOG_REASON_H
#define STREAMS_CATALOG_REASON_H

#include "streams/catalog/guard.h"

struct guard_reason {
	bool is_allowed;
	const char *rule; /* grant_text() of the access list that decides; NULL: none does */
	const char *text; /* the whole sentence */
};

/* Besides guard_explain() it knows what requests ask when the answer is no: whoever may CREATE the
 * cluster creates any topic, and whoever may WRITE some topic may do it with idempotence. */
struct guard_reason guard_reason(struct arena *a, const struct guard *g,
				 const struct guard_caller *who, enum grant_operation operation,
				 enum grant_resource resource, struct slice name);

#endif
