/* What was denied, as records of the topic __hanse_audit: who asked for what, from where, and who
 * could not sign in.  JSON, one object a record.
 *
 * Only where there are users, since without them nobody is denied by default.  What is the same
 * within AUDIT_PAUSE_MS is one record with a count; of what differs AUDIT_EVENTS_MAX are kept in
 * that time, and of the rest only how many.  Nobody waits for it, and when records cannot be stored
 * they are dropped: denying goes on. */
#ifndef STREAMS_AGENT_AUDIT_H
#define STREAMS_AGENT_AUDIT_H

#include "streams/catalog/guard.h"

#define AUDIT_TOPIC SLICE("__hanse_audit")

enum {
	AUDIT_PAUSE_MS = 1000,
	AUDIT_EVENTS_MAX = 200,
	AUDIT_NAME_BYTES_MAX = 255, /* of what is kept of a name */
};

struct agent;
struct audit;

struct audit *audit_new(struct agent *agent);

/* Not while audit_is_busy(); agent->stop is woken when that ends. */
void audit_free(struct audit *a);
bool audit_is_busy(const struct audit *a);

/* No more; what is under way ends soon. */
void audit_stop(struct audit *a);

/* Borrows nothing. */
void audit_denied(struct audit *a, const struct guard_caller *who, enum grant_operation operation,
		  enum grant_resource resource, struct slice name);
void audit_refused_sign_in(struct audit *a, struct slice host, const char *mechanism);

#endif
