/* The control process: what leads the journal of streams, or stands by (server/leadership.h). */
#ifndef SERVER_CONTROL_ROLE_H
#define SERVER_CONTROL_ROLE_H

#include "cells/cluster.h"
#include "loop/http_server.h"
#include "server/journal_buckets.h"
#include "server/leadership.h"
#include "server/options.h"
#include "server/peer_port.h"
#include "streams/coordinator/coordinator.h"
#include "wire/keys/keyring.h"
#include "wire/metrics/exposition.h"

enum {
	CONTROL_BUCKETS_MAX = JOURNAL_BUCKETS_MAX,
	CONTROL_DOOR_BUSY_MS = 3000, /* a process that was just killed may still hold a socket */
};

#define CONTROL_JOURNAL "main"
#define CONTROL_CELL "streams"

struct control {
	struct task task;
	struct loop *loop;
	const struct options *options;
	const char *node;		       /* what it is called among nodes: its peer address */
	char host[JOURNAL_NODE_BYTES_MAX + 1]; /* the machine's name, for people */
	struct journal_buckets buckets;
	struct cluster_open cluster;
	struct keyring keys; /* of control; nothing where nothing is sealed */
	struct leadership leadership;
	struct coordinator *coordinator;
	struct listener *agents;
	struct peer_port *peers;
	struct peer_identity identity; /* empty: no keys */
	struct http_server *admin;
	struct role_page *page;	   /* its numbers, */
	struct buf numbers;	   /* those of the catalog as they were counted last */
	uint64_t numbers_again_us; /* not counted before */

	struct sleep sleep;
	struct coordinator_stop coordinator_stop;
	struct leadership_stop leadership_stop;

	uint64_t retry_ms;
	uint64_t busy_since_ms; /* when a door was first seen held by another process */
	size_t admin_requests;	/* that are answered later */
	bool has_started;	/* there is a leader */
	bool is_stopping;
	bool is_unfinished; /* the journal is one that a rebuild left so */
};

/* The admin API: GET /v1/status, /v1/usage, /v1/users, /v1/topics/deleted; POST /v1/users
 * (admin_users.c), /v1/topics/deleted (admin_topics.c), /v1/access/explain (admin_access.c),
 * /v1/orphans/settle (admin_orphans.c). */
void admin_on_request(void *context, struct http_exchange *e);
void admin_change_user(struct control *c, struct http_exchange *e);
void admin_change_deleted_topic(struct control *c, struct http_exchange *e);
void admin_settle_orphans(struct control *c, struct http_exchange *e);

/* It is done: who asked for it goes into the audit topic.  Before the exchange is answered. */
void admin_audit(struct control *c, const struct http_exchange *e, const char *action,
		 struct slice name);
void admin_explain_access(struct control *c, struct http_exchange *e);

/* For answers that only read: the cell this node leads, or the one with which it follows who leads,
 * which is behind by what was committed a moment ago; NULL: it has none yet. */
struct cell *control_cell(const struct control *c);
bool control_leads(const struct control *c);

struct json_t *admin_users_json(struct control *c);
struct json_t *admin_deleted_topics_json(struct control *c);

#endif
