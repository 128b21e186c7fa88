/* What was denied in the course of one request, each thing once however often it was asked, until
 * it is in the audit topic: the agent notes what it denies itself, and what control denied comes
 * back with control's answer (kafka_response).
 *
 * A check whose "no" leads to another question, or leaves a row out of a list, denies nothing and
 * is not noted: guard_may() is for those. */
#ifndef STREAMS_CATALOG_DENIALS_H
#define STREAMS_CATALOG_DENIALS_H

#include "streams/catalog/guard.h"

enum {
	DENIALS_MAX = 200,	      /* of one request; what is more is counted */
	DENIAL_NAME_BYTES_MAX = 255,  /* what is kept of a name */
	DENIAL_RULE_BYTES_MAX = 1000, /* and of a rule */
};

struct denial {
	const struct denial *next; /* that was noted before this one */
	enum grant_operation operation;
	enum grant_resource resource;
	struct slice name;
	struct slice rule; /* grant_text() of what forbids it, or GUARD_NO_RULE */
};

/* Begins as zero. */
struct denials {
	const struct denial *last;
	size_t count;
	uint32_t dropped; /* for which there was no room */
};

/* guard_may(); what is denied is noted in the arena.  `ret` (may be NULL) is what this call noted,
 * or NULL: it is allowed, was noted already, or there was no room. */
bool denials_ask(struct denials *d, struct arena *a, const struct guard *g,
		 const struct guard_caller *who, enum grant_operation operation,
		 enum grant_resource resource, struct slice name, const struct denial **ret);

/* Note what somebody else denied, a copy of it.  NULL: known already, or no room. */
const struct denial *denials_note(struct denials *d, struct arena *a, const struct denial *it);

#endif
