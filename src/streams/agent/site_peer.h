/* Another agent of the site, and what it is asked for: blocks of data files.
 *
 * One connection, opened by the first question.  Whoever sends not one byte for SITE_SILENCE_MS
 * while it is asked is left: all questions fail at once, and there are none for SITE_AVOID_MS.  Who
 * reads from the bucket says so meanwhile, and has what is left of SITE_ANSWER_MS.  Who gave
 * SITE_WRONG_MAX blocks with wrong bytes is not asked for SITE_WRONG_MS.  While connecting takes
 * longer than SITE_SILENCE_MS questions fail, the later ones without waiting, and it goes on. */
#ifndef STREAMS_AGENT_SITE_PEER_H
#define STREAMS_AGENT_SITE_PEER_H

#include "base/blob.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum {
	SITE_SILENCE_MS = 250,
	SITE_SIGN_MS = 60,    /* between two signs of life of who reads from the bucket */
	SITE_ANSWER_MS = 600, /* for a block, of all who are asked for it */
	SITE_AVOID_MS = 10000,
	SITE_WRONG_MAX = 3,		/* blocks with wrong bytes within SITE_WRONG_MS, which */
	SITE_WRONG_MS = 10 * 60 * 1000, /* it is not asked for then */
	SITE_CALLS_MAX = 32,		/* at the same time, of one agent */
	SITE_PATIENCE_MS = 10000,	/* of TCP, for bytes that were sent */
	SITE_HOST_BYTES = 256,
};

/* The name of a block: without padding, it is hashed. */
struct site_block {
	int64_t incarnation, sequence, number;
};

/* Which agent, in which of its lives, and where. */
struct site_place {
	int32_t node_id;
	int64_t incarnation;
	char host[SITE_HOST_BYTES];
	uint16_t port;
};

struct site_peer;

struct site_peer *site_peer_new(struct loop *loop, const struct site_place *place,
				struct tls_identity *identity);

/* Ends its calls with ERR_CANCELED; frees it, from the loop if need be. */
void site_peer_free(struct site_peer *p);

const struct site_place *site_peer_place(const struct site_peer *p);

/* It was silent, or is not there, or was wrong too often. */
bool site_peer_is_avoided(const struct site_peer *p);

/* What it gave for a block was wrong.  True: it is avoided for SITE_WRONG_MS. */
bool site_peer_note_wrong(struct site_peer *p);

/* As a child task.  OK: ret_block is one reference for the caller.  ERR_NOT_FOUND: it does not have
 * it; ERR_BUSY: it, or the call, has too much to do; others: it is avoided now, or what it says
 * makes no sense. */
struct site_call {
	struct task task;
	struct site_peer *peer; /* NULL: over */
	struct list link;
	struct timer silence;
	uint64_t heard_bytes; /* of its peer, when the timer was set */
	uint32_t correlation_id;
	struct site_block block;
	bool reads;	  /* from the bucket, if it has to */
	bool is_promised; /* it does */
	struct blob *ret_block;
};
void site_call(struct site_call *call, struct task *parent, struct site_peer *p,
	       const struct site_block *block, bool reads, uint64_t until_ms);

#endif
