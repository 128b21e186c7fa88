/* Deletes the object of a data file that certainly never is committed, at once, so that it need not
 * be found in a scan for orphans.  What cannot be deleted is found there.  It waits for no budget
 * of requests, but uses that of the janitor up (janitor.h). */
#ifndef STREAMS_AGENT_DISCARD_H
#define STREAMS_AGENT_DISCARD_H

enum {
	DISCARDS_MAX = 16, /* at the same time; more are left to the scan */
	DISCARD_MS = 10 * 1000,
};

struct agent;

/* `key` is copied.  Counted in agent->discard_count until it has ended. */
void discard_file(struct agent *agent, const char *key);

#endif
