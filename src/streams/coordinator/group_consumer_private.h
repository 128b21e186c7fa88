/* What the files of the consumer protocol's engine share. */
#ifndef STREAMS_COORDINATOR_GROUP_CONSUMER_PRIVATE_H
#define STREAMS_COORDINATOR_GROUP_CONSUMER_PRIVATE_H

#include "streams/coordinator/group_consumer.h"
#include "streams/coordinator/group_private.h"
#include "wire/kafka/consumer_protocol.h"

/* --- group_consumer.c --------------------------------------------------------------------------
 */
void group_beat(struct group *g, struct group_event *e);

/* The member is to be stored. */
void group_consumer_touch(struct group *g, struct group_member *m);

/* Members have gone: a new group epoch; their targets are shared out at the next heartbeat. */
void group_consumer_left(struct group *g);

/* Who had too long to revoke, to join or to sync is out. */
void group_consumer_pass_deadlines(struct group *g);

/* What changed in this step is to be stored; without members of the consumer protocol the group
 * goes back to the classic one. */
void group_consumer_settle(struct group *g);

int16_t group_consumer_check_commit(const struct group *g, const struct group_event *e);

struct group_member *group_consumer_add(struct group *g, struct slice member_id,
					struct slice instance_id);

/* The same instance under a new id, with what is assigned to it, and an epoch of 0. */
void group_consumer_replace(struct group *g, struct group_member *m, struct slice member_id);

/* Replace unless null or the same; true: it was replaced. */
bool group_consumer_change(struct slice *owned, struct slice value);

/* Until when the member has to do what it was told. */
void group_consumer_wait_for(struct group *g, struct group_member *m);

/* --- group_target.c ----------------------------------------------------------------------------
 */

/* Look at the topics if they or the subscriptions may have changed; a new group epoch where they
 * have, or where the caller says so; then targets for that epoch. */
void group_target_update(struct group *g, bool has_changed);

/* --- group_reconcile.c -------------------------------------------------------------------------
 */

/* One step of the member towards its target.  `owned` may be NULL: nothing said. */
void group_reconcile(struct group *g, struct group_member *m, const struct partition_set *owned);

bool group_is_reconciled(const struct group *g, const struct group_member *m);

/* Does somebody else still have what the member is to get? */
bool group_waits_for_others(const struct group *g, const struct group_member *m);

/* --- group_migrate.c ---------------------------------------------------------------------------
 */
bool group_can_upgrade(const struct group *g);
void group_upgrade(struct group *g);
void group_downgrade(struct group *g);

/* Between topics' names, which clients of the classic protocol use, and ids. */
void group_partitions_by_name(const struct group *g, const struct consumer_topic *topics,
			      size_t count, struct partition_set *ret);
void group_encode_assignment(const struct group *g, const struct group_member *m, struct buf *out);

/* --- group_mixed.c: members of the classic protocol ----------------------------------------------
 */
void group_consumer_join(struct group *g, const struct group_event *e);
void group_consumer_sync(struct group *g, const struct group_event *e);
int16_t group_consumer_heartbeat(struct group *g, const struct group_event *e);

#endif
