/* The control process: finds out who leads the journal, stands by while that node answers, leads
 * when it does not. */
#ifndef SERVER_CONTROL_ROLE_H
#define SERVER_CONTROL_ROLE_H

#include "cells/cluster.h"
#include "cells/holder.h"
#include "cells/leader.h"
#include "cells/standby.h"
#include "loop/http_server.h"
#include "loop/timer.h"
#include "server/older.h"
#include "server/options.h"
#include "server/peer_port.h"
#include "server/rival.h"
#include "streams/coordinator/coordinator.h"
#include "wire/keys/keyring.h"

enum {
	CONTROL_BUCKETS_MAX = JOURNAL_BUCKETS_MAX,
	CONTROL_RETRY_MS_MIN = 50,
	CONTROL_RETRY_MS_MAX = 3000,
	CONTROL_JITTER_MS = 100,     /* so that standbys do not run at the same moment */
	CONTROL_DOOR_BUSY_MS = 3000, /* a process that was just killed may still hold a socket */
	CONTROL_DOUBTS_MAX = 3,	     /* times a holder may say that it does not lead */
	CONTROL_FINDS_MAX = 5,	     /* times in a row that nobody could be read to lead */
};

#define CONTROL_JOURNAL "main"
#define CONTROL_CELL "streams"

struct control {
	struct task task;
	struct loop *loop;
	const struct options *options;
	const char *node;		       /* what it is called among nodes: its peer address */
	char host[JOURNAL_NODE_BYTES_MAX + 1]; /* the machine's name, for people */
	struct bucket *buckets[CONTROL_BUCKETS_MAX];
	int bucket_count;
	struct cluster_open cluster;
	struct keyring keys; /* of control; nothing where nothing is sealed */
	struct leader *leader;
	struct standby *standby; /* the cell of whoever leads, while we do not */
	struct coordinator *coordinator;
	struct listener *agents;
	struct peer_port *peers;
	struct peer_identity identity; /* empty: no keys */
	struct http_server *admin;

	struct holder_find find;
	struct heartbeat heartbeat;
	struct sleep sleep;
	struct leader_call fence; /* after this process was stopped for a while */
	uint64_t tick_ms;
	struct coordinator_stop coordinator_stop;
	struct leader_stop leader_stop;
	struct standby_stop standby_stop;

	struct rival rival;
	struct older older;
	char holder[JOURNAL_ADDRESS_BYTES_MAX + 1]; /* who leads, as far as we know */
	char lost_why[TASK_WHY_BYTES];
	uint64_t started_ms;
	uint64_t retry_ms;
	uint64_t busy_since_ms; /* when a door was first seen held by another process */
	int doubts;
	int find_failures;
	bool is_lost; /* the campaign failed or the journal was lost; set by the watcher */
	bool is_stopping;
};

/* The admin API: GET /v1/status, GET /v1/usage. */
void admin_on_request(void *context, struct http_exchange *e);

#endif
