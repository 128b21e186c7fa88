/* The coordinator's own parts, shared by its files only. */
#ifndef STREAMS_COORDINATOR_PRIVATE_H
#define STREAMS_COORDINATOR_PRIVATE_H

#include "streams/coordinator/coordinator.h"
#include "streams/coordinator/kafka_call.h"

struct groups;
struct session;

struct coordinator {
	struct loop *loop;
	struct coordinator_config config;
	struct groups *groups; /* NULL unless leading */
	struct list sessions;
	size_t session_count;
	size_t call_count;
	size_t errand_count; /* tasks that belong to nobody else */
	bool is_leading;
	bool is_stopping;
	struct task *stop;	     /* woken as sessions end */
	struct sweep *sweep;	     /* deletion of topics in bounded steps */
	struct usage *usage;	     /* what the journal costs goes into the catalog */
	struct usage_own *usage_own; /* NULL before this process led */
};

/* Tell the catalog, some time, that the agent of this incarnation is gone. */
void coordinator_forget_agent(struct coordinator *c, int64_t incarnation);

/* It is here, whatever was told about an earlier connection of it. */
void coordinator_keep_agent(struct coordinator *c, int64_t incarnation);

/* --- sessions: one agent's connection ----------------------------------------------------------
 */
void session_open(struct coordinator *c, struct stream *s);
void session_end(struct session *session);  /* soon, from its task */
void session_wake(struct session *session); /* this node leads now */
void session_push_record(struct session *session, uint64_t index, struct slice record);
struct session *session_from_link(struct list *link);
int64_t session_incarnation(const struct session *session); /* 0: no agent said hello */

#endif
