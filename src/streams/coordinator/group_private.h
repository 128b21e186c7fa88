/* What the files of the group engine share. */
#ifndef STREAMS_COORDINATOR_GROUP_PRIVATE_H
#define STREAMS_COORDINATOR_GROUP_PRIVATE_H

#include "streams/coordinator/group.h"
#include "wire/kafka/errors.h"

/* An id that was given with MEMBER_ID_REQUIRED. */
struct group_pending {
	struct heap_node deadline;
	struct slice member_id; /* owned */
};

/* --- group.c: members ----------------------------------------------------------------------------
 */

/* Something changed that is to be stored; a member's change goes with the group's next one. */
void group_touch(struct group *g);
void group_touch_member(struct group *g, struct group_member *m);

void group_add_member(struct group *g, struct group_member *m);

/* Out of every table; calls that wait are answered with `error`.  Frees it. */
void group_remove_member(struct group *g, struct group_member *m, int16_t error);

void group_add_pending(struct group *g, struct slice member_id, int32_t timeout_ms);
bool group_remove_pending(struct group *g, struct slice member_id);
void group_drop_pending(struct group *g);

/* A static member comes back under a new id, which nobody else has. */
void group_rename_member(struct group *g, struct group_member *m, struct slice member_id);

int32_t group_next_generation(const struct group *g);

/* Is this a member, under this id?  KAFKA_NONE and *ret (which may be NULL). */
int16_t group_check_member(const struct group *g, struct slice member_id, struct slice instance_id,
			   struct group_member **ret);

/* The session's time begins anew, unless a call of the member waits. */
void group_renew_session(struct group *g, struct group_member *m);

/* The longest any member may take to join again. */
uint64_t group_rebalance_timeout_ms(const struct group *g);

/* --- group_join.c ------------------------------------------------------------------------------
 */
void group_join(struct group *g, const struct group_event *e);

void group_answer_join(struct group *g, struct group_member *m, int16_t error);
void group_answer_join_error(struct group *g, void *call, struct slice member_id, int16_t error);

/* --- group_rebalance.c -------------------------------------------------------------------------
 */

/* Does every member speak this protocol? */
bool group_all_have(const struct group *g, struct slice protocol);

/* The protocol that most members prefer of those that all of them have. */
struct slice group_select_protocol(const struct group *g);

/* Somebody came, went or changed. */
void group_rebalance(struct group *g);

/* Begin to collect joins, whatever the state but PREPARING. */
void group_prepare_rebalance(struct group *g);

/* End PREPARING if everybody has joined. */
void group_maybe_complete_join(struct group *g);

void group_sync(struct group *g, const struct group_event *e);
void group_answer_sync(struct group *g, struct group_member *m, int16_t error);

/* Of PREPARING and of members that owe a sync. */
void group_pass_deadlines(struct group *g);

#endif
