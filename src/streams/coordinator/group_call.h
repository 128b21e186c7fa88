/* What the files of the groups' host share: the table of groups, and the task of a call.
 *
 * Groups with members, or with ids given out, are in memory (struct group_entry); of the others the
 * cell knows everything.  Memory is ahead of the cell, and the cell of durability: one writer at a
 * time stores the groups that changed, and a call whose answer was made at some version of a group
 * waits until that version is durable. */
#ifndef STREAMS_COORDINATOR_GROUP_CALL_H
#define STREAMS_COORDINATOR_GROUP_CALL_H

#include "kafka_messages.h"
#include "loop/timer.h"
#include "streams/coordinator/group_consumer.h"
#include "streams/coordinator/groups.h"
#include "streams/coordinator/private.h"
#include "wire/kafka/errors.h"

enum {
	GROUPS_TICK_MS = 1000, /* the longest time between ticks while there is a deadline */
	GROUPS_LATE_MS = 1000, /* a tick later than this: this process stood still */
	GROUPS_WRITE_RETRY_MS = 50,
	GROUPS_WRITE_BYTES = 256 * 1024,  /* no further group in this transaction */
	GROUPS_PER_CALL_MAX = 10000,	  /* Java's tools ask for all groups at once */
	GROUP_CALL_BYTES_MAX = 64 << 20,  /* that one request and its answer may take */
	OFFSET_METADATA_BYTES_MAX = 4096, /* Kafka's default */
};

struct group_writer;

struct groups {
	struct coordinator *coordinator;
	struct map by_name; /* struct group_entry */
	struct heap deadlines;
	struct timer timer;
	uint64_t timer_at_ms; /* 0: not set */
	struct list dirty;    /* entries to be stored */
	struct list parked;   /* calls that the engine has not answered */
	struct group_writer *writer;
	struct group_topics topics;
	const struct group_call *asking; /* in a step: patterns mean topics it may know of */
};

struct group_entry {
	struct group group;
	struct heap_node deadline;
	struct list dirty_link;
	struct list fresh;    /* calls answered in this step */
	struct list answered; /* calls whose answer waits to be stored */
	uint64_t stored_version;
	uint64_t writing_version; /* 0: not in the transaction under way */
};

struct group_call;

/* One API.  Either the engine answers it (`feed`), or one transaction does (`run`). */
struct group_api {
	int16_t key;
	/* Give it to a group, or answer it with group_call_answer(). */
	void (*feed)(struct group_call *call);

	bool needs_fence;
	bool settles_first; /* `run` begins when the groups in `names` are stored */
	/* Fill `names` with the groups the answer depends on, before anything else. */
	void (*name)(struct group_call *call);
	/* Fill `response`; an error of this function is given to `fail`. */
	enum err (*run)(struct cell *cell, struct group_call *call);
	bool is_neutral; /* it changes groups and their offsets, and no transaction */

	/* Fill `response` for a request that failed as a whole; of APIs that `run`. */
	void (*fail)(struct group_call *call, int16_t error);
};

struct group_call {
	struct kafka_call *kafka;
	const struct group_api *api;
	struct group_entry *entry; /* in whose lists it is; NULL: in none */
	const void *request;
	void *response;
	uint64_t version; /* of the group, to be stored before the answer leaves */
	const struct slice *names;
	size_t name_count;
	bool is_parked;	   /* its task waits to be woken */
	bool is_ready;	   /* the answer may leave */
	bool is_outdated;  /* the client speaks on a newer connection: this one is to end */
	bool is_abandoned; /* the groups are gone: this node does not lead any more */
};

/* --- groups.c ----------------------------------------------------------------------------------
 */
struct group_entry *groups_find(const struct groups *g, struct slice name);

/* A group that is not in memory; NULL: too many. */
struct group_entry *groups_create(struct groups *g, struct slice name);

/* Is there a share group of this name?  Its requests are others. */
bool groups_is_share(const struct groups *g, struct slice name);

/* Step the group, then store what changed, let answers go, set the timer.  `call`, which may be
 * NULL, is answered by this step unless the event is a join or a sync.  May free the entry. */
void groups_step(struct groups *g, struct group_entry *entry, struct group_event *event,
		 struct group_call *call);

/* Wait until the group is stored as it is now; false: it is. */
bool groups_settle(struct groups *g, struct group_call *call, struct slice name);

/* The call is canceled; its member stays until its session ends. */
void groups_forget(struct group_call *call);

uint64_t groups_now_ms(const struct groups *g);

/* Clients may ask for the same large thing many times: no more than this, then ERR_INVALID. */
static inline bool group_call_is_too_large(const struct group_call *call)
{
	return call->kafka->arena->used > GROUP_CALL_BYTES_MAX;
}

/* --- groups_topics.c -----------------------------------------------------------------------------
 */
void groups_topics_init(struct group_topics *topics);

/* --- group_call.c ------------------------------------------------------------------------------
 */

/* Encode `response`. */
void group_call_answer(struct group_call *call);

bool group_name_is_valid(struct slice name);

/* May the client do that?  As operation_may() and operation_sees(). */
bool group_call_may(const struct group_call *call, enum grant_operation operation,
		    enum grant_resource resource, struct slice name);
bool group_call_sees(const struct group_call *call, enum grant_operation operation,
		     enum grant_resource resource, struct slice name);

/* The bits of what the client may do with the group. */
int32_t group_call_allowed(const struct group_call *call, struct slice name);

/* KAFKA_NONE, KAFKA_GROUP_AUTHORIZATION_FAILED, or what group_name_error() says. */
int16_t group_call_error(const struct group_call *call, struct slice name);

/* KAFKA_NONE, or what to say of the name of a group that is to have members. */
int16_t group_name_error(struct slice name);

/* --- the rows ----------------------------------------------------------------------------------
 */
extern const struct group_api join_group_api;
extern const struct group_api sync_group_api;
extern const struct group_api heartbeat_api;
extern const struct group_api leave_group_api;
extern const struct group_api list_groups_api;
extern const struct group_api describe_groups_api;
extern const struct group_api delete_groups_api;
extern const struct group_api offset_commit_api;
extern const struct group_api offset_fetch_api;
extern const struct group_api txn_offset_commit_api;
extern const struct group_api offset_delete_api;
extern const struct group_api consumer_group_heartbeat_api;
extern const struct group_api consumer_group_describe_api;

/* Random, in the usual form: 8-4-4-4-12 digits. */
void group_uuid_write(char ret[GROUP_UUID_TEXT_BYTES + 1]);

/* Give the engine's answer to its call. */
void group_request_answer(struct group_effects *effects, const struct group *g,
			  const struct group_answer *answer);

#endif
