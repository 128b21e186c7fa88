/* What the roles of a node say of themselves, and how that is told at /readyz and /livez, in the
 * words Kubernetes has for it:
 *
 *	[+]control ok
 *	[-]streams/kafka failed: no answer from control
 *	readyz check failed
 *
 * Between the processes it is a line for each check, "+NAME" or "-NAME WHY". */
#ifndef SERVER_READINESS_H
#define SERVER_READINESS_H

#include "base/buf.h"

enum {
	READINESS_CHECKS_MAX = 64, /* of all roles */
	READINESS_NAME_BYTES = 48, /* "streams/kafka" */
	READINESS_WHY_BYTES = 200,
	READINESS_PAGE_BYTES_MAX = 16 << 10,
};

struct readiness_check {
	char name[READINESS_NAME_BYTES];
	char why[READINESS_WHY_BYTES]; /* without control characters */
	bool is_ready;
};

struct readiness {
	struct readiness_check checks[READINESS_CHECKS_MAX];
	size_t count;
};

/* `part` "" is the role itself.  Those above READINESS_CHECKS_MAX make the last one fail. */
void readiness_add(struct readiness *r, const char *role, const char *part, bool is_ready,
		   const char *why);

/* The same between two processes. */
void readiness_write(const struct readiness *r, struct buf *out);
MUST_CHECK enum err readiness_read(struct readiness *r, struct slice text);

/* How a question is answered: with `is_verbose`, or when it fails, a line for each check.  `only`
 * names one role or check, "": all; those named in `query` as exclude=NAME do not count.  False:
 * not ready.  ERR_NOT_FOUND: nothing is called `only`. */
struct readiness_question {
	const char *word; /* "readyz" */
	struct slice only;
	struct slice query; /* "verbose&exclude=streams" */
};
MUST_CHECK enum err readiness_answer(const struct readiness *r, const struct readiness_question *q,
				     struct buf *out, bool *ret_is_ready);

#endif
