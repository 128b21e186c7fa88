/* One consumer group as an engine without I/O, in either of two protocols.  The classic one:
 *
 *	EMPTY -- join --> PREPARING -- all joined, or time is up --> COMPLETING -- leader syncs -.
 *	  ^                 ^    ^                                        |                       v
 *	  '-- none is left -'    '-- a join, a leave, an expiry ----------'------------------ STABLE
 *
 * PREPARING collects a JoinGroup from every member.  Then a new generation begins: all of them are
 * answered, and COMPLETING waits for the assignments that the leader sends with its SyncGroup.
 *
 * The consumer protocol, in which the server assigns, is described in group_consumer.h.  A group
 * changes from one to the other while its members go on.
 *
 * Events carry the time.  JoinGroup and SyncGroup are answered through the effects, during this
 * step or a later one; every call that is given to the engine is answered exactly once unless it is
 * forgotten.  `version` grows with each change that must be stored before an answer that was given
 * in the same step or later may leave. */
#ifndef STREAMS_COORDINATOR_GROUP_H
#define STREAMS_COORDINATOR_GROUP_H

#include "base/map.h"
#include "streams/coordinator/group_member.h"

enum {
	GROUP_NAME_BYTES_MAX = 255,
	GROUP_WORD_BYTES_MAX = 255, /* instance ids, client ids, names of protocols */
	GROUP_MEMBER_ID_BYTES_MAX = GROUP_WORD_BYTES_MAX + 1 + 36,
	GROUP_MEMBERS_MAX = 1000,
	GROUP_PROTOCOLS_MAX = 100,		       /* that one member may offer */
	GROUP_MEMBER_PROTOCOLS_BYTES_MAX = 512 * 1024, /* of one member */
	GROUP_MEMBER_ASSIGNMENT_BYTES_MAX = 384 * 1024,
	GROUP_PROTOCOLS_BYTES_MAX = 1536 * 1024, /* of all members */
	GROUP_ASSIGNMENTS_BYTES_MAX = 1024 * 1024,
	GROUP_SESSION_TIMEOUT_MS_MIN = 6 * 1000, /* unless these two are set */
	GROUP_SESSION_TIMEOUT_MS_MAX = 30 * 60 * 1000,
	GROUP_NEW_MEMBER_JOIN_MS = 5 * 60 * 1000, /* a first JoinGroup waits no longer than this */
	GROUP_UUID_TEXT_BYTES = 36,
	GROUP_PLACES_BYTES_MAX = 160 * 1024, /* of the partitions that a group of the consumer
					      * protocol shares out, as one set: 40,000 of them */
	GROUP_MEMBER_TOPICS_BYTES_MAX = 256 * 1024, /* names and pattern that a member subscribes */
};

/* A share group is none of this engine's: share_group.h. */
enum group_type { GROUP_CLASSIC, GROUP_CONSUMER, GROUP_SHARE, GROUP_TYPE_COUNT };

/* "classic", "consumer", "share" */
const char *group_type_name(enum group_type type);

enum group_state {
	GROUP_EMPTY,
	GROUP_PREPARING,
	GROUP_COMPLETING,
	GROUP_STABLE,
	GROUP_STATE_COUNT
};

/* Kafka's word: "PreparingRebalance". */
const char *group_state_name(enum group_state state);

struct group_topics;

struct group_config {
	uint64_t initial_delay_ms; /* how long an empty group waits for more members */
	size_t members_max;
	struct group_topics *topics; /* group_consumer.h; NULL: there are none */
};

struct group_effects;

struct group {
	struct group_config config;
	struct slice name; /* owned */
	enum group_type type;
	enum group_state state;	    /* of the consumer protocol: EMPTY or STABLE */
	int32_t generation;	    /* of the consumer protocol: the group epoch */
	struct slice protocol_type; /* owned; "" while no member has ever been here */
	struct slice protocol;	    /* owned; null before the first generation and while empty */
	struct group_member *leader;
	struct list members;
	size_t member_count;
	struct map by_member_id;   /* of members */
	struct map by_instance_id; /* of static members */
	struct map pending; /* struct group_pending: ids that were given and not yet come back */
	struct heap pending_deadlines;
	struct heap session_deadlines;
	uint64_t join_deadline_ms;     /* the end of PREPARING; 0: none */
	uint64_t sync_deadline_ms;     /* for members that owe a SyncGroup; 0: none */
	uint64_t initial_remaining_ms; /* by how much the initial delay may still be prolonged */
	bool is_initial;	       /* this PREPARING came from EMPTY */
	bool has_joined_since;	       /* somebody came while the initial delay ran */

	/* of the consumer protocol */
	int32_t assignment_epoch; /* of the members' targets; behind `generation`: they are old */
	uint64_t topics_hash;	  /* of the subscribed topics, when they were last looked at */
	uint64_t topics_version;  /* of config.topics then */
	struct heap patience;	  /* struct group_member.patience */
	bool is_changed;	  /* in this step */

	uint64_t version;	  /* of what must be stored */
	uint64_t removed_version; /* when a member that may be stored was removed */

	/* during a step */
	uint64_t now_ms;
	struct group_effects *effects;
};

enum group_event_kind {
	GROUP_JOIN,
	GROUP_SYNC,
	GROUP_HEARTBEAT,
	GROUP_LEAVE,
	GROUP_COMMIT, /* may this member commit offsets? */
	GROUP_FORGET, /* nobody waits for this call any more */
	GROUP_TICK,   /* time went by; at group_deadline_ms() */
	GROUP_BEAT,   /* ConsumerGroupHeartbeat: joining, going on and leaving */
};

struct group_beat;

struct group_join {
	bool needs_known_id;	    /* from JoinGroup 4 on: a new member first gets an id */
	bool can_skip_assignment;   /* from JoinGroup 9 on */
	struct slice new_member_id; /* never given before; used when a member gets one */
	struct slice client_id;
	struct slice client_host;
	int32_t session_timeout_ms;
	int32_t rebalance_timeout_ms;
	struct slice protocol_type;
	struct slice protocols; /* group_member.h */
};

struct group_assignment {
	struct slice member_id;
	struct slice assignment;
};

struct group_sync {
	struct slice protocol_type; /* null: not checked */
	struct slice protocol;	    /* null: not checked */
	const struct group_assignment *assignments;
	size_t assignment_count;
};

struct group_leaver {
	struct slice member_id; /* "": whoever has the instance id */
	struct slice instance_id;
	int16_t error; /* out */
};

struct group_event {
	enum group_event_kind kind;
	uint64_t now_ms;
	void *call; /* of joins, syncs and forgets */
	struct slice member_id;
	struct slice instance_id; /* null: none */
	int32_t generation;	  /* or the epoch of the member */
	int16_t error;		  /* out, of heartbeats, beats and commits: a Kafka error */
	union {
		struct group_join join;
		struct group_beat *beat;
		struct {
			bool is_old;	     /* a version that does not know epochs of members */
			bool is_transaction; /* who commits need not be named */
		} commit;
		struct group_sync sync;
		struct {
			struct group_leaver *leavers;
			size_t count;
		} leave;
	};
};

/* The answer to a JoinGroup or a SyncGroup.  Everything is borrowed until the callback returns. */
struct group_answer {
	void *call;
	bool is_join;
	int16_t error;
	int32_t generation;
	struct slice member_id;
	struct slice protocol_type; /* null when there is an error */
	struct slice protocol;
	/* of a join */
	struct slice leader;
	bool has_members; /* the leader gets all members of the group */
	bool skip_assignment;
	/* of a sync */
	struct slice assignment;
};

struct group_effects {
	void (*answer)(struct group_effects *effects, const struct group *g,
		       const struct group_answer *answer);
};

void group_init(struct group *g, struct slice name, const struct group_config *config);

/* Nobody is answered. */
void group_done(struct group *g);

/* From storage, after group_init() and setting state, generation, protocol_type and protocol: the
 * members one by one (taken), then begin.  Every deadline starts in full. */
void group_restore_member(struct group *g, struct group_member *m);
MUST_CHECK enum err group_restored(struct group *g, struct slice leader, uint64_t now_ms);

void group_step(struct group *g, struct group_event *event, struct group_effects *effects);

/* When GROUP_TICK is due; UINT64_MAX: never. */
uint64_t group_deadline_ms(const struct group *g);

/* This process stood still for `late_ms`: that is not the members' fault. */
void group_postpone(struct group *g, uint64_t late_ms);

/* Nothing that must be kept in memory: no members, no ids given out. */
bool group_is_idle(const struct group *g);

struct group_member *group_find(const struct group *g, struct slice member_id);

/* What the member said for the group's protocol. */
struct slice group_member_metadata(const struct group *g, const struct group_member *m);

#endif
