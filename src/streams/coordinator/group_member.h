/* A member of a consumer group, and the list of protocols it can speak.
 *
 * The protocols are kept as the bytes of the column `member.protocols` (doc/formats/group.md):
 * per protocol, in the order the member prefers, u16 size of the name, name, u32 size of the
 * metadata, metadata. */
#ifndef STREAMS_COORDINATOR_GROUP_MEMBER_H
#define STREAMS_COORDINATOR_GROUP_MEMBER_H

#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/slice.h"
#include "streams/coordinator/partition_set.h"

/* How far a member of the consumer protocol is on the way to its target (group_consumer.h). */
enum group_member_state {
	GROUP_MEMBER_STABLE,
	GROUP_MEMBER_UNREVOKED,	 /* it has to give up `revoking` before it goes on */
	GROUP_MEMBER_UNRELEASED, /* somebody else still has what it is to get */
	GROUP_MEMBER_STATE_COUNT
};

enum { GROUP_EPOCH_LEAVE = -1, GROUP_EPOCH_LEAVE_STATIC = -2 };

struct group_member {
	struct list link;	   /* in the group, in the order of joining */
	struct heap_node deadline; /* of its session; in no heap while it waits for an answer */
	struct slice member_id;
	struct slice instance_id; /* null: a dynamic member */
	struct slice client_id;
	struct slice client_host;
	struct slice protocols;
	struct slice assignment; /* of the current generation once the group is stable */
	int32_t session_timeout_ms;
	int32_t rebalance_timeout_ms;
	void *join_call;  /* a JoinGroup that waits for the rebalance; NULL: none */
	void *sync_call;  /* a SyncGroup that waits for the leader; NULL: none */
	bool is_new;	  /* its first JoinGroup is not answered, so nobody knows its id */
	bool owes_sync;	  /* it got this generation and has not asked for its assignment */
	uint64_t version; /* of the group, at its last change that is worth storing */

	/* in a group of the consumer protocol */
	int32_t member_epoch;	/* GROUP_EPOCH_LEAVE_STATIC: away, and expected back */
	int32_t previous_epoch; /* -1: none */
	enum group_member_state member_state;
	struct heap_node
		patience;      /* until when it has to revoke, join or sync; in no heap: nothing */
	struct slice rack_id;  /* null: not said */
	struct slice topics;   /* a list of words: names it subscribed to, sorted */
	struct slice pattern;  /* a regular expression; "": none */
	bool pattern_waits;    /* new beside topics: it counts from the next heartbeat on */
	struct slice assignor; /* null: the group's choice */
	struct partition_set assigned;
	struct partition_set revoking;
	struct partition_set target; /* of the group's assignment epoch */
};

struct group_member *group_member_new(struct slice member_id, struct slice instance_id);
void group_member_free(struct group_member *m);

/* Replace an owned slice by a copy of `value`; null stays null. */
void group_own(struct slice *owned, struct slice value);
void group_disown(struct slice *owned);

/* A list of words: per word u16 size, bytes. */
void group_word_add(struct buf *out, struct slice word);
bool group_word_next(struct slice *in, struct slice *ret);
bool group_words_are_sound(struct slice words);

/* Does it speak the classic protocol, in a group of either kind? */
static inline bool group_member_is_classic(const struct group_member *m)
{
	return m->protocols.size > 0;
}

struct group_protocol {
	struct slice name;
	struct slice metadata;
};

void group_protocol_add(struct buf *out, struct slice name, struct slice metadata);

/* The next protocol at the front of `in`; false at the end, or where the bytes are not of this
 * form. */
bool group_protocol_next(struct slice *in, struct group_protocol *ret);

/* For bytes that come from outside this process. */
bool group_protocols_are_sound(struct slice protocols);

/* Does the list have this name?  *ret may be NULL. */
bool group_protocol_find(struct slice protocols, struct slice name, struct group_protocol *ret);

#endif
