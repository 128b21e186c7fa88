/* What a role tells of itself: its numbers, and whether it is ready.  HTTP on a Unix socket of each
 * process, RUNDIR/metrics-PROCESS-PORT.sock (of `hanse up`: metrics-PROCESS.sock), which the
 * process `metrics` asks, for people and for Prometheus.
 *
 *	GET /metrics               the families of this process, without an end (wire/metrics/)
 *	GET /metrics?openmetrics   the same as OpenMetrics has it
 *	GET /ready                 readiness.h
 *
 * A role serves without it, too: what goes wrong here is logged and tried again. */
#ifndef SERVER_ROLE_PAGE_H
#define SERVER_ROLE_PAGE_H

#include "loop/loop.h"
#include "server/process.h"
#include "server/readiness.h"
#include "wire/metrics/exposition.h"

enum {
	ROLE_PAGE_CONNECTIONS_MAX = 16,
	ROLE_PAGE_LEAVE_MS = 500, /* so long a role that stops waits for who asks */
	ROLE_PAGE_AGAIN_MS = 500, /* a process just killed may still hold the socket */
};

struct role_page;

struct role_page_config {
	struct loop *loop;
	const struct options *options; /* outlive it */
	int process;		       /* process.h */
	/* The role's own families; NULL: only those that every process has. */
	void (*write)(void *context, struct exposition *e);
	/* The role's own checks; NULL: ready while it answers. */
	void (*check)(void *context, struct readiness *r);
	void *context;
};

/* NULL with --metrics none. */
struct role_page *role_page_open(const struct role_page_config *config);
void role_page_close(struct role_page **page); /* and sets it to NULL */

/* Where a process of this node has it. */
void role_page_path(const struct options *o, int process, char ret[OPTION_VALUE_BYTES_MAX + 32]);

/* What every process has: CPU, memory, files, since when, which version. */
void process_numbers_write(struct exposition *e, const char *process);

#endif
