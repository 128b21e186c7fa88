/* The agent: serves the Kafka protocol of this node and keeps nothing that cannot be rebuilt.
 *
 * It holds a replica of the cell, fed by the control process; writes data files into the bucket;
 * asks control for decisions.  See README.md for the life of a request. */
#ifndef STREAMS_AGENT_AGENT_H
#define STREAMS_AGENT_AGENT_H

#include "base/uuid.h"
#include "cells/cluster_join.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "streams/agent/control_link.h"
#include "streams/agent/flush_budget.h"
#include "streams/agent/replica.h"
#include "streams/agent/reporter.h"
#include "streams/agent/room.h"
#include "streams/agent/slow_lane.h"
#include "streams/catalog/guard.h"
#include "streams/catalog/quota.h"

enum {
	AGENT_CONNECTIONS_MAX = 10000,
	AGENT_FILES_KEPT = 100,		     /* descriptors that connections do not get: the
					      * bucket and control come first */
	AGENT_REQUEST_BYTES_MAX = 100 << 20, /* Kafka's socket.request.max.bytes */
	AGENT_QUESTION_BYTES_MAX = 16 << 20, /* of a request that is no Produce: decoded, it takes
					      * many times as much */
	/* All connections together, besides STREAM_INBOX_BYTES_DEFAULT of each, in which small
	 * requests arrive: requests not yet answered, from when a large one begins to arrive; and
	 * answers not yet taken, from when a fetch begins to read.  One request and one batch
	 * always fit; one above AGENT_BATCH_BYTES_USUAL waits until there is room for it twice, in
	 * blocks and in the answer. */
	AGENT_BUFFERED_BYTES_MAX = 256 << 20,
	AGENT_ANSWER_BYTES_MAX = 256 << 20,
	AGENT_SLOW_MS = 30000, /* for a client to send a request or to take an answer while others
				* wait for the room; as long as Kafka's clients wait */
	AGENT_CACHE_BYTES_DEFAULT = 64 << 20, /* blocks of data files */
	AGENT_FILE_BYTES_DEFAULT = 8 << 20,   /* a data file is flushed at this size */
	AGENT_BATCH_BYTES_USUAL = 1048588,    /* what Kafka's topics take; larger ones cost a
					       * second look, up to RECORD_BATCH_BYTES_MAX */
	AGENT_PORT_BUSY_MS = 3000, /* a process that was just killed may still hold the port */
	AGENT_PORT_RETRY_MS = 50,
	AGENT_JOIN_RETRY_MS = 1000, /* a bucket that did not answer when it was looked at first */
	AGENT_ORPHAN_MS = 3000,	    /* without control: then clients had better go elsewhere */
	AGENT_SEARCH_MS = 1000,	    /* when control was silent for long and may be elsewhere too */
	AGENT_LEAVE_MS = 1500,	    /* at a stop, for control to take the agent off the roll */
	AGENT_MOVE_MS = 1500,	    /* then, for clients to go to others, which they are told to */
};

struct agent_config {
	const char *kafka_host; /* listen here */
	const char *kafka_also; /* and here, on the same port; "" or NULL: nowhere else */
	uint16_t kafka_port;
	const char *advertise_host; /* what clients are told */
	uint16_t advertise_port;
	int number; /* among the agents of its node, whose ports follow each other; 0: as 1 */
	const char *site;
	const struct control_place *controls; /* borrowed; see control_link.h */
	size_t control_count;
	struct tls_identity
		*identity; /* for control elsewhere; NULL: no keys.  Outlives the agent */
	/* For other agents of the site, which are asked too: who they are, where to listen, and
	 * what they are told (site.h); NULL: do not. */
	struct tls_identity *site_identity;
	const char *blocks_host, *blocks_advertise;
	uint16_t blocks_port;
	uint64_t control_silence_ms; /* 0: CONTROL_LINK_SILENCE_MS */
	struct bucket *bucket;	     /* data files; outlives the agent */
	int puts_per_s;		     /* where requests cost, see flush_budget.h; 0: its default */
	const struct keyring *keys;  /* of streams, borrowed; NULL: nothing is sealed */
	int32_t default_partitions;
	bool no_auto_create; /* Metadata never creates a topic, whatever the client allows */
	uint64_t session_ms; /* clients sign in again before that; 0: need not */
	bool needs_sign_in;  /* also while there are no users */
	/* Kafka is served over TLS too, at the same port: NULL, or until another is set.  In the
	 * clear only who is shielded is served then (shielded.h). */
	struct tls_identity *kafka_identity;
	/* OAUTHBEARER: who signs tokens, NULL if nobody does, or until others are set; their "iss"
	 * and "aud". */
	const struct jwt_keys *token_keys;
	const char *token_issuer, *token_audience;
	bool no_group_lag; /* is not told in /metrics */
	bool is_open;	   /* without users too Kafka is served to whoever reaches it */
	/* Told when Kafka is served (listening, and the local control leads) and when it is not. */
	void (*on_serving)(void *context, bool is_serving, const char *why);
	/* The agent cannot go on: what and what to do. */
	void (*on_fatal)(void *context, enum err err, const char *why);
	void *context;
};

struct agent_numbers;
struct file_writer;
struct held_batches;
struct block_cache;
struct site;
struct read_places;
struct racks;
struct audit;
struct doubt;
struct condition;
struct health;
struct janitor;
struct orphan_scan;
struct settler;
struct key_compactor;
struct compactor;
struct listener;
struct fetch_sessions;
struct share_release;
struct early_runs;

struct agent {
	struct loop *loop;
	struct agent_config config;
	struct control_link *link;
	struct replica *replica;
	struct early_runs *early; /* what lies over it */
	struct file_writer *writer;
	struct held_batches *held;
	struct block_cache *cache;
	struct site *site; /* the other agents of it */
	struct read_places *places;
	struct fetch_sessions *fetch_sessions;
	struct share_release *shares;	 /* sessions of share groups */
	struct quotas quotas;		 /* what clients have used */
	struct quotas connection_quotas; /* addresses, of which anybody has many: apart */
	struct racks *racks;
	struct guard guard; /* see agent_guard() */
	struct audit *audit;
	struct doubt *doubt;
	struct condition *condition;
	struct health *health;
	struct janitor *janitor;
	struct orphan_scan *orphan_scan;
	struct settler *settler;     /* of files that were announced */
	size_t discard_count;	     /* refused files whose objects are being deleted */
	struct flush_budget deletes; /* of a bucket that is far, see janitor.h */
	struct key_compactor *key_compactor;
	struct compactor *compactor;
	struct reporter *reporter;
	struct agent_numbers *numbers;
	struct usage_traffic traffic; /* since the process began */
	struct listener *listener;    /* NULL while not serving */
	struct listener *listener_also;
	struct list connections;
	size_t connection_count;
	size_t connection_count_max;
	uint64_t full_quiet_until_ms; /* no log line about too many connections before */
	struct room requests, answers;
	struct slow_lane slow_lane; /* large answers take turns */
	struct timer slow;	    /* looks for connections that keep room others wait for */
	bool is_watching_slow;
	uint64_t slow_ms; /* AGENT_SLOW_MS, less in tests */
	uint64_t next_connection_id;
	struct uuid cluster_id;
	int32_t node_id;
	int64_t incarnation;
	bool is_leaving; /* at a stop: control is to send nobody here any more, */
	bool has_left;	 /* it has agreed, and there are others: clients are told to go there */
	bool is_stopping;
	struct task *stop;     /* woken as connections, files and reads end */
	struct task open_task; /* looks at the bucket before Kafka is opened */
	struct cluster_join join;
	bool is_joined;
	bool is_waiting_for_users;   /* Kafka is not open for that reason, which was said */
	struct timer reopen;	     /* the port was held by another process */
	uint64_t port_busy_since_ms; /* 0: it was not */
	struct timer orphan;
	void (*on_orphan)(struct timer *t);
	uint64_t quiet_until_ms; /* no log line about unreadable data files before */
	bool is_orphan;		 /* the link was lost and is not back */
};

/* Somebody waits for room: from now on who keeps it for too long is sent away. */
void agent_watch_slow(struct agent *agent);

/* A new certificate and keys, where there were some; those before are not needed any more. */
void agent_set_identity(struct agent *agent, struct tls_identity *identity,
			const struct jwt_keys *token_keys);

/* Who may do what, as the replica has it. */
const struct guard *agent_guard(struct agent *agent);

struct agent *agent_new(struct loop *loop, const struct agent_config *config);

/* Drain: where there are other agents, let control take this one off the roll and its clients go
 * to them (AGENT_LEAVE_MS, AGENT_MOVE_MS); stop accepting, answer what is under way, flush; child
 * task.  Then agent_free(). */
struct agent_stop {
	struct task task;
	struct agent *agent;
	struct timer timer;
	bool is_over; /* the time of this place */
};
void agent_stop(struct agent_stop *s, struct task *parent, struct agent *agent);
void agent_free(struct agent *agent);

#endif
