/* Who leads a journal, as a state machine that the roles with a journal share: it finds out who
 * leads, stands by while that node answers heartbeats, leads when it does not, and stands by again
 * when the journal was lost.
 *
 *	find -> found -> stand by -> (the leader is gone) -> campaign -> leading
 *	  ^                 |                                  |            |
 *	  '-----------------+------------- a pause ------------+------------'
 *
 * What it leads, and what it answers to whom, is its owner's. */
#ifndef SERVER_LEADERSHIP_H
#define SERVER_LEADERSHIP_H

#include "cells/holder.h"
#include "cells/leader.h"
#include "cells/standby.h"
#include "loop/timer.h"
#include "server/heartbeat.h"
#include "server/older.h"
#include "server/rival.h"

enum {
	LEADERSHIP_RETRY_MS_MIN = 50,
	LEADERSHIP_RETRY_MS_MAX = 3000,
	LEADERSHIP_JITTER_MS = 100, /* so that standbys do not run at the same moment */
	LEADERSHIP_FINDS_MAX = 5,   /* times in a row that nobody could be read to lead */
};

struct leadership_config {
	struct bucket *const *buckets; /* outlive it, as all that is pointed to */
	int bucket_count;
	const char *buckets_text; /* as people wrote them */
	const char *journal;
	const char *cell_name;
	const struct cell_schema *schema;
	size_t schema_count;
	const char *address;	   /* of the peer port, and the name of this node among nodes */
	const char *host;	   /* name of the machine, for people */
	struct tls_identity *asks; /* for heartbeats; NULL: in the clear */
	int appends_per_s;	   /* see leader_config */
	void *context;
	void (*on_leading)(void *context);
	void (*on_lost)(void *context, const char *why);
	void (*on_committed)(void *context, uint64_t index, struct slice record);
	/* Another node leads and answers, at this address; "": nobody that is known. */
	void (*on_leader)(void *context, const char *address);
};

/* Zeroed before leadership_init(); what is not private here is for reading. */
struct leadership {
	struct task task;
	struct loop *loop;
	struct leadership_config config;
	struct leader *leader;			    /* NULL after leadership_stop() */
	struct standby *standby;		    /* the cell of whoever leads, while we do not */
	char holder[JOURNAL_ADDRESS_BYTES_MAX + 1]; /* who leads, as far as we know */

	struct holder_find find; /* private from here on */
	struct heartbeat heartbeat;
	struct sleep sleep;
	struct leader_call fence; /* after this process was stopped for a while */
	uint64_t tick_ms;
	struct rival rival;
	struct older older;
	char lost_why[TASK_WHY_BYTES];
	uint64_t retry_ms;
	int find_failures;
	bool is_lost; /* the campaign failed or the journal was lost; set by the watcher */
	bool is_quitting;
	struct leader_stop leader_stop;
	struct standby_stop standby_stop;
};

/* Makes the leader and the standby; nothing happens yet. */
void leadership_init(struct leadership *l, struct loop *loop,
		     const struct leadership_config *config);

/* A child task, which runs until leadership_quit(). */
void leadership_start(struct leadership *l, struct task *parent);

/* The task ends soon, and no more elections begin.  A node that leads still does: what is under
 * way can end, until leadership_stop(). */
void leadership_quit(struct leadership *l);

/* A child task: stops leading in order, then nothing is left.  After leadership_quit() and the end
 * of that task. */
struct leadership_stop {
	struct task task;
	struct leadership *leadership;
};
void leadership_stop(struct leadership_stop *stop, struct task *parent, struct leadership *l);

bool leadership_is_leading(const struct leadership *l);

/* Can the node do its part: it leads, or knows who does?  Otherwise `why` says what is missing. */
bool leadership_is_settled(const struct leadership *l, const char **ret_why);

/* What heartbeats of others are answered with. */
struct heartbeat_answer leadership_answer(const struct leadership *l);

/* The agent `node` has seen what this journal does not have: stop leading it, for good. */
void leadership_refuse(struct leadership *l, const struct leader_position *seen, struct slice node);

/* The next pause of a series that grows, with jitter; *retry_ms begins with the minimum. */
uint64_t leadership_pause_ms(uint64_t *retry_ms);

#endif
