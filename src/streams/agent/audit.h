/* What was denied, as records of the topic __hanse_audit: who asked for what, from where, and which
 * rule decided; who could not sign in, and who did not.  JSON, one object a record.
 *
 * Each agent writes what its clients were denied, by itself or by control (forward.c), once a
 * request.  What is the same within AUDIT_PAUSE_MS is one record with a count; of what differs
 * AUDIT_EVENTS_MAX are kept in that time, and of the rest only how many.  Nobody waits for it, and
 * what cannot be stored is dropped and counted too: denying goes on.
 *
 * Of strangers, who are nobody before they have signed in, there are AUDIT_STRANGERS_MAX records
 * at once and one more each AUDIT_STRANGER_MS, however many they are and from wherever they come:
 * whoever reaches the port could fill the topic otherwise.  The rest is counted, and told of at
 * that pace. */
#ifndef STREAMS_AGENT_AUDIT_H
#define STREAMS_AGENT_AUDIT_H

#include "peer_messages.h"
#include "streams/catalog/denials.h"

#define AUDIT_TOPIC SLICE("__hanse_audit")

enum {
	AUDIT_PAUSE_MS = 1000,
	AUDIT_EVENTS_MAX = 200,
	AUDIT_TEXT_BYTES_MAX = 1000, /* of what is kept of a text */
	AUDIT_ADMIN_MAX = 50,	     /* beside AUDIT_EVENTS_MAX, of what administrators did */
	AUDIT_STRANGERS_MAX = 60,
	AUDIT_STRANGER_MS = 2000,
};

struct agent;
struct audit;

struct audit *audit_new(struct agent *agent);

/* Not while audit_is_busy(); agent->stop is woken when that ends. */
void audit_free(struct audit *a);
bool audit_is_busy(const struct audit *a);

/* No more; what is under way ends soon. */
void audit_stop(struct audit *a);

/* `api`: "Produce".  Borrows nothing, as the others. */
void audit_denied(struct audit *a, const struct guard_caller *who, const char *api,
		  const struct denial *denial);
void audit_refused_sign_in(struct audit *a, struct slice host, const char *mechanism);

/* The certificate it showed is not believed, in the words of OpenSSL. */
void audit_refused_certificate(struct audit *a, struct slice host, const char *why);

/* It asked for something without having signed in, or when its session was over. */
void audit_refused_request(struct audit *a, const struct guard_caller *who, const char *api,
			   const char *why);

/* Control says what an administrator did.  Whoever is denied much takes no room from it. */
void audit_admin(struct audit *a, const struct peer_audit_push *what);

/* So many more that nobody noted. */
void audit_dropped(struct audit *a, uint64_t count);

#endif
