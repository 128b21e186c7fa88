/* The coordinator: the half of streams that decides, in the control process.
 *
 * It owns the sessions of agents (frames of wire/peer), runs their commands on the cell through the
 * leader, feeds them its records, and coordinates consumer groups.  It never sees a record byte.
 * Everything it answers is durable. */
#ifndef STREAMS_COORDINATOR_COORDINATOR_H
#define STREAMS_COORDINATOR_COORDINATOR_H

#include "base/uuid.h"
#include "cells/leader.h"
#include "loop/stream.h"
#include "streams/coordinator/announced.h"
#include "streams/coordinator/orphans.h"
#include "wire/peer/condition.h"

enum {
	COORDINATOR_SESSIONS_MAX = 1000,
	COORDINATOR_CALLS_PER_SESSION_MAX = 10000,
	COORDINATOR_FEED_BYTES_MAX = 256 << 20, /* records not yet taken by an agent, besides its
						 * image: it is cut off */
	COORDINATOR_SILENCE_MS = 5000, /* of an agent, which pings when it has nothing to say: then
					* its session ends, and clients are not sent to it */
	COORDINATOR_SILENT_TICKS_MAX = 5, /* in that time: ticks are counted, so that time in which
					   * this process stood still is not held against agents */
	COORDINATOR_RETURN_MS = 1000, /* for agents to come to a new leader; they try every second
				       * at the least */
	COORDINATOR_TOPICS_MAX = 100000,
	COORDINATOR_GROUPS_MAX = 100000,
	COORDINATOR_ADDRESS_BYTES = 300, /* HOST:PORT */
};

struct coordinator;

struct coordinator_config {
	struct leader *leader; /* outlives the coordinator */
	struct uuid cluster_id;
	int32_t default_partitions;
	uint64_t rebalance_delay_ms; /* group.initial.rebalance.delay.ms */
	size_t feed_bytes_max;	     /* 0: COORDINATOR_FEED_BYTES_MAX */
	/* An agent, whose name is `node`, has seen a record that the journal does not have: its
	 * bucket is older than it was.  The owner stops leading it.  May be NULL. */
	void (*on_older)(void *context, const struct leader_position *seen, struct slice node);
	void *context;
	/* Whose requests are counted into the catalog; outlive the coordinator. */
	struct bucket *const *journal_buckets;
	int journal_bucket_count;
	uint64_t silence_ms; /* 0: COORDINATOR_SILENCE_MS */
};

struct coordinator *coordinator_new(struct loop *loop, const struct coordinator_config *config);

/* From the leader's watcher, passed on by the owner. */
void coordinator_on_leading(struct coordinator *c);
void coordinator_on_lost(struct coordinator *c, const char *why);
void coordinator_on_committed(struct coordinator *c, uint64_t index, struct slice record);

/* While another node leads: its peer address, for agents that can follow it there; "": not known.
 * Their hello is answered with it; that of others waits until this node leads. */
void coordinator_set_leader(struct coordinator *c, const char *address);

/* A connection on the peer socket; takes over the stream. */
void coordinator_accept(struct coordinator *c, struct stream *s);

/* End every session and call; child task, then coordinator_free(). */
struct coordinator_stop {
	struct task task;
	struct coordinator *coordinator;
	struct leader_call usage; /* private */
};
void coordinator_stop(struct coordinator_stop *s, struct task *parent, struct coordinator *c);
void coordinator_free(struct coordinator *c);

/* For `hanse status`. */
struct coordinator_status {
	size_t sessions;
	size_t groups;
	size_t calls;
	size_t merge_jobs, key_jobs; /* of compaction, that agents have now */
	struct orphan_pass orphans;
	struct announced_numbers announced;
};
void coordinator_get_status(const struct coordinator *c, struct coordinator_status *ret);

/* Has the term noted the lives that nobody remembers (unsure.h)?  Who follows before that would
 * take over without them, and believe to know everything. */
bool coordinator_has_noted_lives(const struct coordinator *c);

/* What an administrator did at the socket of this node, which is done: one agent writes it into the
 * audit topic.  It says no word back: what it cannot write is in control's log only.  `action` is
 * "topic purge", `name` of what it was done to, or nothing; all borrowed. */
struct admin_action {
	struct slice action, name;
	int64_t uid; /* who asked; -1: not known */
	const char *node;
};
void coordinator_audit(struct coordinator *c, const struct admin_action *what);

/* The bucket is to be scanned for orphans when it is time, also if nothing is written any more. */
void coordinator_scan_soon(struct coordinator *c);

/* What the agent of this incarnation says of itself; false when it has no session. */
bool coordinator_find_agent(const struct coordinator *c, int64_t incarnation,
			    enum agent_condition *ret);

#endif
