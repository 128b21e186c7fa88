/* Heartbeats between nodes: how a standby sees that the leader is gone.
 *
 * A standby keeps one connection to the leader's peer address and asks every HEARTBEAT_MS.  A
 * refused connection means that the process is gone: told at once.  No answer for
 * HEARTBEAT_SILENCE_MS means that it is stopped or cut off; time in which the standby itself stood
 * still, or was busy with its cell, does not count.  Nothing here is about safety: a leader
 * that was wrongly given up is fenced by the journal before its successor writes. */
#ifndef SERVER_HEARTBEAT_H
#define SERVER_HEARTBEAT_H

#include "cells/journal.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum {
	HEARTBEAT_MS = 250,
	HEARTBEAT_SILENCE_MS = 1500,
	HEARTBEAT_STARTING_MS = 30000, /* a node that has won may take to load what it won */
	HEARTBEAT_PEERS_MAX = 1000,    /* connections of others; the most silent one makes room */
};

/* --- the side that asks ------------------------------------------------------------------------
 */

/* A child task: ends when the node at `host`:`port` should no longer be waited for as the leader of
 * `epoch`.  ERR_UNAVAILABLE: nobody is there, or it closed; ERR_TIMEOUT: it is silent;
 * ERR_DENIED, ERR_CORRUPT: who answers has other keys, or none; ERR_CONFLICT: whoever answers does
 * not lead (one that is about to may take HEARTBEAT_STARTING_MS), or in another epoch: a later one
 * of the same node, or it is a node of another journal, or the wrong one; what the journal says now
 * tells; ERR_CANCELED. */
struct heartbeat {
	struct task task;
	struct connect connect;
	struct sleep sleep;
	struct stream *stream;
	const char *node; /* our name, borrowed */
	struct epoch epoch;
	bool is_reached; /* out: the leader of the epoch has answered */
	bool has_led;	 /* out: and it led, so that most buckets have its start */
	/* May be set once it was started: records of the epoch's leader are committed up to this
	 * index; 0: none that others may follow yet. */
	void (*on_committed)(void *context, uint64_t index);
	void *context;
	uint64_t begun_ms;
	uint64_t heard_ms;
	uint64_t asked_ms;
	enum err outcome; /* OK: go on */
};
/* `identity`: whom we believe, and who believes us; NULL: in the clear. */
void heartbeat_start(struct heartbeat *h, struct task *parent, const char *host, uint16_t port,
		     struct tls_identity *identity, const char *node, struct epoch epoch);

/* --- the side that answers ----------------------------------------------------------------------
 */

struct heartbeat_server;

struct heartbeat_answer {
	bool is_leading;
	bool is_starting; /* in the epoch: it campaigns, or has won and is not ready */
	struct epoch epoch;
	uint64_t committed_index; /* 0: nobody is to follow yet */
};

struct heartbeat_server *heartbeat_server_new(const char *node, /* our name, borrowed */
					      struct heartbeat_answer (*ask)(void *context),
					      void *context);

/* Takes over the stream.  An agent that comes in the clear is told that it needs keys. */
void heartbeat_server_accept(struct heartbeat_server *server, struct stream *s);
void heartbeat_server_free(struct heartbeat_server *server); /* closes its streams */

#endif
