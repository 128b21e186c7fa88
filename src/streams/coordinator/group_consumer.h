/* The consumer protocol (KIP-848), the part of a group's engine in which the server assigns.
 *
 * Three numbers count: the group epoch (`generation`) grows with every change of members,
 * subscriptions and topics; the assignment epoch is that of the targets, what each member shall
 * have; the member epoch is that of the target a member has come to.  A member is led to its target
 * by the answers to its heartbeats, and in this order, so that no partition is owned twice:
 *
 *	STABLE -- the target is new --> gives back what is not in it (UNREVOKED, epoch as before)
 *	       -- it says it has --> gets the target's epoch, and what nobody else owns (STABLE, or
 *	       UNRELEASED while somebody else does)
 *
 * Members of the classic protocol may be among them: JoinGroup is their way to move on, SyncGroup
 * gives what is assigned, and a Heartbeat says when to join again.  A classic group becomes one of
 * these when a member of the consumer protocol joins it, and goes back when the last one leaves. */
#ifndef STREAMS_COORDINATOR_GROUP_CONSUMER_H
#define STREAMS_COORDINATOR_GROUP_CONSUMER_H

#include "base/arena.h"
#include "streams/coordinator/group.h"

struct group_topic {
	struct uuid topic_id;
	struct slice name;
	int32_t partition_count;
};

/* The topics there are, given by the host.  Names live in the arena. */
struct group_topics {
	uint64_t version; /* grows when topics come, go or grow; never 0 */
	bool (*by_name)(struct group_topics *topics, struct arena *a, struct slice name,
			struct group_topic *ret);
	bool (*by_id)(struct group_topics *topics, struct arena *a, const struct uuid *id,
		      struct group_topic *ret);
	size_t (*all)(struct group_topics *topics, struct arena *a, struct group_topic **ret);
};

/* Of GROUP_BEAT; the event has member id, instance id, and as generation the member's epoch: 0
 * joins, GROUP_EPOCH_LEAVE and GROUP_EPOCH_LEAVE_STATIC leave.  What is null has not changed. */
struct group_beat {
	struct slice client_id;
	struct slice client_host;
	struct slice rack_id;
	struct slice topics; /* a list of words, sorted */
	struct slice pattern;
	struct slice assignor;
	int32_t session_timeout_ms;	   /* the group's */
	int32_t rebalance_timeout_ms;	   /* -1: has not changed */
	const struct partition_set *owned; /* NULL: as the last time */
	bool is_full;			   /* everything was given: the answer has the assignment */

	/* out */
	int32_t member_epoch;
	bool has_assignment;
	struct partition_set assignment; /* a copy that the caller frees */
	const char *message;		 /* about the error; NULL: none */
};

/* "Stable", "Assigning", "Reconciling", "Empty" */
const char *group_consumer_state_name(const struct group *g);

/* "uniform", "range": what most members want */
struct slice group_consumer_assignor(const struct group *g);

/* Into a list of words, sorted, each once. */
void group_sort_words(const struct slice *words, size_t count, struct buf *out);

/* False: some member says in words of its own what it reads, which only its like understand. */
bool group_says_what_it_reads(const struct group *g);

/* Does any member subscribe to it, by name or by pattern, in a group of either protocol? */
bool group_subscribes(const struct group *g, struct slice topic);

/* May this member, whose id may be null, read the offsets?  KAFKA_NONE, or an error. */
int16_t group_check_fetch(const struct group *g, struct slice member_id, int32_t epoch);

/* After group_restore_member() for all members. */
MUST_CHECK enum err group_consumer_restored(struct group *g, uint64_t now_ms);

#endif
