/* Rivals: nodes that share a journal and do not reach each other.
 *
 * Who does not answer is taken for dead and fenced.  When it is alive behind an address that leads
 * elsewhere from here, say 127.0.0.1 of another machine, it fences back, and so on: safe, but
 * nobody is served for long.  Nothing in a name or an address tells such a leader from a dead one;
 * what does is that it leads again after it was given up, in an epoch that is not ours, and that
 * nobody ever answers for such an epoch (their random nonces say who is meant).  After
 * RIVAL_RETURNS_MAX such returns this node says so and lets the other lead for growing pauses.
 *
 * Decides only when to try; who may write is the journal's business. */
#ifndef SERVER_RIVAL_H
#define SERVER_RIVAL_H

#include "cells/journal.h"

enum {
	RIVAL_RETURNS_MAX = 2,
	RIVAL_DENIALS_MAX = 3,	   /* times a leader may say that it does not lead in its epoch */
	RIVAL_PAUSE_MS_MIN = 5000, /* doubles with each further return, up to the next */
	RIVAL_PAUSE_MS_MAX = 5 * 60 * 1000,
	RIVAL_OWN_MAX = 16, /* our last candidacies; older ones are not read as start records */
	RIVAL_TEXT_BYTES = 1000,
};

/* Begins zeroed. */
struct rival {
	char address[JOURNAL_ADDRESS_BYTES_MAX + 1]; /* "": nobody was given up */
	char node[JOURNAL_NODE_BYTES_MAX + 1];
	struct epoch epoch; /* in which it led when it was given up, or last came back */
	unsigned returns;
	unsigned paused; /* number of returns that was answered with a pause */
	struct epoch own[RIVAL_OWN_MAX];
	unsigned own_count;
	struct epoch denied; /* in which who was found said that it does not lead */
	unsigned denials;
};

/* A candidacy of this node ended, whatever came of it. */
void rival_own(struct rival *r, struct epoch epoch);

/* The newest start record says this. */
void rival_found(struct rival *r, const char *address, const char *node, struct epoch epoch);

/* Who was found says that it does not lead in this epoch: it may be about to, or have lost it. */
void rival_denied(struct rival *r, struct epoch epoch);

/* It said so too often to be asked again.  Only of that epoch: whoever leads in a later one is
 * asked first, or a leader that is well would be fenced without a question. */
bool rival_is_denied(const struct rival *r, struct epoch epoch);

/* The leader answered at its address for the epoch that was found. */
void rival_reached(struct rival *r);

/* This node is about to campaign against the leader that was found last, which did not answer.
 * Returns 0 to go on, or how many ms to let it lead first, once for each return. */
uint64_t rival_challenge(struct rival *r, const char *address, const char *node,
			 struct epoch epoch);

/* What is wrong and what to do about it; `own` is this node's peer address. */
void rival_describe(const struct rival *r, const char *own, char ret[RIVAL_TEXT_BYTES]);

#endif
