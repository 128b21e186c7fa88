/* Finds out, when control asks, what became of files that somebody announced and nobody confirmed
 * (doc/decisions/0046-a-file-is-announced-while-it-is-put.md).
 *
 *	put a tombstone, create-if-absent --> burnt: the file can never come to be
 *	       |  something is there
 *	       v
 *	read its first bytes --> a data file: there; a tombstone of before: burnt
 *
 * What is neither, or a file of another name or size, is no verdict: people have to look at it, and
 * control asks again.  An outcome that is not known is tried again.  It makes no difference whose
 * file it is, nor whether it is being put at this moment: whoever creates first has decided.
 *
 * All of it is forgotten when the link is lost: whoever leads then asks for what it needs. */
#ifndef STREAMS_AGENT_SETTLER_H
#define STREAMS_AGENT_SETTLER_H

#include "peer_messages.h"

enum {
	SETTLER_FILES_MAX = 4096,  /* more are not taken: control asks again */
	SETTLER_OPS_MAX = 16,	   /* at the same time */
	SETTLER_OP_MS = 10 * 1000, /* deadline of one */
	SETTLER_RETRY_MS = 100,	   /* then twice that, three times ... */
	SETTLER_RETRY_MS_MAX = 2000,
	SETTLER_VERDICTS_MAX = 1000,  /* in one message */
	SETTLER_QUIET_MS = 60 * 1000, /* between log lines about what is no data file */
};

struct agent;
struct settler;

struct settler *settler_new(struct agent *agent);
void settler_free(struct settler *s); /* it is not busy */

void settler_take(struct settler *s, const struct peer_settle_push *what);

/* The bucket is known to be the cluster's: nothing is put before. */
void settler_go_on(struct settler *s);

/* The link was lost: what is under way ends, and nobody is told. */
void settler_forget(struct settler *s);

/* Takes nothing any more.  As it ends agent->stop is woken. */
void settler_stop(struct settler *s);
bool settler_is_busy(const struct settler *s);

#endif
