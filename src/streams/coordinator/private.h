/* The coordinator's own parts, shared by its files only. */
#ifndef STREAMS_COORDINATOR_PRIVATE_H
#define STREAMS_COORDINATOR_PRIVATE_H

#include "loop/timer.h"
#include "streams/catalog/guard.h"
#include "streams/catalog/quota.h"
#include "streams/coordinator/announced.h"
#include "streams/coordinator/coordinator.h"
#include "streams/coordinator/kafka_call.h"
#include "streams/coordinator/orphans.h"
#include "wire/peer/condition.h"

struct compaction;
struct groups;
struct key_jobs;
struct session;
struct settling;
struct transactions;
struct expiry;

struct coordinator {
	struct loop *loop;
	struct coordinator_config config;
	struct groups *groups;	       /* NULL unless leading */
	struct compaction *compaction; /* the same: jobs that agents have */
	struct guard guard;	       /* of the leader's cell */
	struct list sessions;
	size_t session_count;
	size_t call_count;
	size_t errand_count; /* tasks that belong to nobody else */
	bool is_leading;
	char leader[COORDINATOR_ADDRESS_BYTES]; /* another node's; "": none that we know */
	bool is_stopping;
	struct task *stop;		   /* woken as sessions end */
	struct key_jobs *key_jobs;	   /* compaction by key: who has which partition */
	struct sweep *sweep;		   /* deletion of topics in bounded steps */
	struct transactions *transactions; /* aborts those that take too long */
	struct expiry *expiry;		   /* what is old goes */
	struct usage *usage;		   /* what the journal costs goes into the catalog */
	struct usage_own *usage_own;	   /* NULL before this process led */
	struct announced announced;	   /* files that are being put */
	struct settling *settling;	   /* finds out about those that nobody speaks for */
	struct timer tick; /* of COORDINATOR_SILENT_TICKS_MAX in the silence of an agent */
	struct timer back; /* agents of the leader before this one had time to come back */
	bool keeps_others; /* until then those that did not are live all the same */
	struct orphan_turns orphans; /* who lists the bucket, and when */
	bool is_cold;	    /* a term began without memory, and unsure_begin() is not durable */
	int64_t lives_from; /* the next incarnation once it is done; 0: it was not tried */
	struct quotas mutations; /* what clients have changed of topics */
};

/* Requests ask with operation_may() or group_call_may(), so that denials are audited. */
const struct guard *coordinator_guard(struct coordinator *c);

/* In a transaction, the first of the term: notes lives that nobody remembers, once. */
MUST_CHECK enum err coordinator_begin_lives(struct coordinator *c, struct cell *cell);

/* That is durable. */
void coordinator_lives_begun(struct coordinator *c);

/* The term is settled (settling.h): what changes the catalog by itself starts. */
void coordinator_begin_work(struct coordinator *c);

/* Inside a transaction that changes users or grants, before it does. */
void coordinator_forget_guard(struct coordinator *c);

/* Sessions or conditions of agents changed, one of incarnation `gone` (0: none) has ended: the
 * catalog is told, some time. */
void coordinator_update_roll(struct coordinator *c, int64_t gone);

/* The same at once, inside a transaction. */
MUST_CHECK enum err coordinator_write_roll(struct coordinator *c, struct cell *cell, int64_t gone);

/* To all agents that follow: it was answered before its record is durable, and can be read. */
void coordinator_push_early(struct coordinator *c, const struct peer_early_push *message);

/* What sessions know of lives; `context` of the functions is the coordinator. */
struct orphan_lives coordinator_lives(struct coordinator *c);

/* --- sessions: one agent's connection ----------------------------------------------------------
 */
void session_open(struct coordinator *c, struct stream *s);
void session_end(struct session *session);  /* soon, from its task */
void session_wake(struct session *session); /* this node leads now */
void session_push_record(struct session *session, uint64_t index, struct slice record);
void session_push_settle(struct session *session, const struct peer_settle_push *message);
void session_push_early(struct session *session, const struct peer_early_push *message);
bool session_push_audit(struct session *session, const struct peer_audit_push *message);
/* false: nobody hears it */
struct session *session_from_link(struct list *link);
struct session *session_from_task(struct task *task);
void session_set_condition(struct session *session, enum agent_condition condition);
enum agent_condition session_condition(const struct session *session);

/* A tick of the coordinator: ends the session of an agent that was silent for too many of them. */
void session_tick(struct session *session);
void session_forget_ticks(struct session *session);
int64_t session_incarnation(const struct session *session); /* 0: no agent said hello */

/* Its agent has said that everything below this sequence of its incarnation is decided. */
void session_set_low_sequence(struct session *session, int64_t low_sequence);
int64_t session_low_sequence(const struct session *session); /* 0: it said nothing */

#endif
