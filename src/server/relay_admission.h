/* Who may use the relay: asked of the realm, and remembered for the time when nobody answers. */
#ifndef SERVER_RELAY_ADMISSION_H
#define SERVER_RELAY_ADMISSION_H

#include "loop/http_client.h"
#include "mesh/relay/relay_port.h"
#include "server/state.h"

enum {
	ADMISSION_CALLS_MAX = 16,	/* at the same time; others wait */
	ADMISSION_STRANGERS_MAX = 8,	/* of them, for keys that were never here */
	ADMISSION_QUESTIONS_MAX = 4096, /* that wait; more are refused */
	ADMISSION_CALL_MS = 3000,	/* for an answer */
	ADMISSION_AGAIN_MS = 500,	/* a key nobody knows is asked for again, */
	ADMISSION_UNKNOWN_MS = 3000,	/* so long: the realm may only be starting */
	ADMISSION_KNOWN_MAX = 65536,	/* keys; who was here longest ago is forgotten */
	ADMISSION_SAVE_MS = 10 * 1000,
};

struct relay_admissions;

/* The realm is at a Unix socket of this machine, or elsewhere: `place`, NULL if not.  `state`
 * outlives it.  What was known before is read at once. */
struct relay_admissions *relay_admissions_new(struct loop *loop, const struct state *state,
					      const char *realm_socket,
					      const struct http_place *place);

/* For struct relay_port_config. */
void relay_admissions_ask(void *admissions, struct relay_admission *a);
void relay_admissions_void(void *admissions, struct relay_admission *a);

/* Once the port is closed: what is known is saved.  It is freed when the last call ended. */
void relay_admissions_close(struct relay_admissions *admissions);

size_t relay_admissions_known(const struct relay_admissions *admissions);

#endif
