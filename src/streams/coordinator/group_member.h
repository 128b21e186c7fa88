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
};

struct group_member *group_member_new(struct slice member_id, struct slice instance_id);
void group_member_free(struct group_member *m);

/* Replace an owned slice by a copy of `value`; null stays null. */
void group_own(struct slice *owned, struct slice value);
void group_disown(struct slice *owned);

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
