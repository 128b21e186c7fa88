/* The supervisor runs each role in a process of its own and restarts alone what crashed.
 *
 * It opens nothing but sockets to its roles: each finds one under the number in HANSE_STATUS_FD and
 * writes lines there (STATUS_LINE_BYTES_MAX each, see supervisor_tell_*):
 *
 *	READY text	serves now
 *	STATUS text	something for the person who started it
 *	FATAL text	cannot serve and a restart would not help; the role exits next
 *	DENIED text	the same, because the keys it was given are not the right ones
 *
 * A role's secret comes out of a pipe, whose number is in HANSE_SECRET_FD: arguments, environment
 * and files are seen by others.
 *
 * A role that crashes or exits is started again after a back-off that doubles and begins anew after
 * a while of health.  FATAL, or the exit statuses EX_USAGE (64) and EX_CONFIG (78), stop everything
 * with that status.  SIGTERM or SIGINT is passed on as SIGTERM, to one role after the other, the
 * last first, since it may need the others to finish; those that stop with the previous one are
 * asked together with it.  Roles that are still there after `stop_timeout_ms`, or at a second
 * signal, are killed.  Roles do not outlive the supervisor, even when it is killed. */
#ifndef SERVER_SUPERVISOR_H
#define SERVER_SUPERVISOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
	SUPERVISOR_ROLES_MAX = 20,
	STATUS_LINE_BYTES_MAX = 1024,
	SUPERVISOR_SECRET_BYTES_MAX = 4096, /* what a pipe takes at once */
	SUPERVISOR_BACKOFF_MIN_MS = 50,
	SUPERVISOR_BACKOFF_MAX_MS = 5000,
	SUPERVISOR_HEALTHY_MS = 30000,
	SUPERVISOR_STOP_TIMEOUT_MS = 10000,
};

struct supervisor_role {
	const char *name;
	const char *const *argv;  /* ends with NULL */
	struct slice secret;	  /* empty: it gets none */
	bool stops_with_previous; /* and not before it */
};

struct supervisor_config {
	const struct supervisor_role *roles; /* borrowed, as all of it, until the end */
	size_t role_count;
	const char *program; /* NULL: this program again */
	/* May be NULL.  `text` is without control characters.  on_ready comes again after a
	 * restart. */
	void (*on_ready)(void *context, const char *role, const char *text);
	void (*on_status)(void *context, const char *role, const char *text);
	void (*on_fatal)(void *context, const char *role, const char *text); /* default: log it */
	void (*on_denied)(void *context, const char *role,
			  const char *text); /* and then on_fatal */
	void (*on_asking)(void *context, const char *role, const char *text);
	void *context;
	/* 0: the constants above. */
	uint64_t backoff_min_ms, backoff_max_ms, healthy_ms, stop_timeout_ms;
};

/* Returns the status to exit with: 0 after an orderly stop, 1 when a role did not stop in order,
 * 130 after a second signal, or that of the role that cannot serve. */
int supervisor_run(const struct supervisor_config *config);

/* The role's side; nothing happens where there is no supervisor. */
void supervisor_tell_ready(const char *text);
void supervisor_tell_status(const char *text);
void supervisor_tell_fatal(const char *text);
void supervisor_tell_denied(const char *text);
void supervisor_tell_asking(const char *text); /* from now on buckets may have been changed */

/* An earlier life of the role was: whoever started it has gone on to other things. */
bool supervisor_was_ready(void);

/* Take the role's secret, which is there once; false: it was given none. */
bool supervisor_take_secret(struct buf *ret);

#endif
