/* What administrators ask a node that stands by, passed on to the one that leads: sealed with a key
 * that all nodes of the realm know from its cell, and nobody else (doc/formats/realm.md).
 *
 *	realm.sock of the standby -> POST /hanse/admin of the leader -> its realm.sock
 *
 * A node that stands by also tells the leader of itself, so that clients hear of it. */
#ifndef SERVER_REALM_FORWARD_H
#define SERVER_REALM_FORWARD_H

#include "loop/http_server.h"
#include "loop/timer.h"
#include "server/heard.h"

enum {
	FORWARD_MS = 10 * 1000,	     /* for an answer */
	FORWARDS_MAX = 64,	     /* at the same time */
	FORWARD_TELL_MS = 1000,	     /* before the leader is told of this node, and again */
	FORWARD_TELL_MS_MAX = 30000, /* after failures */
};

struct realm_role;

struct realm_forwards {
	struct realm_role *role;
	struct list all;
	size_t count;
	struct heard heard;
	struct timer tell;
	uint64_t tell_ms;
	bool has_leader, is_closed;
};

void realm_forwards_init(struct realm_forwards *f, struct realm_role *role);

/* How many are still there: call it again until it is none. */
size_t realm_forwards_close(struct realm_forwards *f);

/* This node leads from now on. */
void realm_forward_lead(struct realm_forwards *f);

/* Another node leads, or nobody that is known. */
void realm_forward_set_leader(struct realm_forwards *f, bool is_known);

/* Pass it on, and answer it. */
void realm_forward_ask(struct realm_forwards *f, struct http_exchange *e);

/* The leader's side. */
void realm_forward_answer(struct realm_forwards *f, struct http_exchange *e);

#endif
