/* What tests need before they can ask their question: topics, records, members of groups.  All of
 * it is made through the protocol, in its newest versions; a test fails where that fails. */
#ifndef MATRIX_FIXTURE_H
#define MATRIX_FIXTURE_H

#include "test.h"
#include "wire/kafka/record_batch_build.h"

/* --- topics ------------------------------------------------------------------------------------
 */

struct topic {
	struct slice name;
	struct uuid id;
};

/* A new topic. */
struct topic topic_make(struct test *t, int32_t partitions);
void topic_delete(struct test *t, const struct topic *topic);

/* A name and an id that no topic has. */
struct topic topic_missing(struct test *t);

/* --- records -----------------------------------------------------------------------------------
 */

#define BATCH_TIME_MS INT64_C(1700000000000)

/* A batch of `count` records; the i-th has the time BATCH_TIME_MS + i. */
struct slice batch_make(struct test *t, int count);
struct slice batch_plan(struct test *t, const struct record_batch_plan *plan, int count);

/* A copy to be damaged. */
uint8_t *batch_copy(struct test *t, struct slice batch);

/* Store a batch; returns its base offset. */
int64_t topic_append(struct test *t, const struct topic *topic, int32_t partition,
		     struct slice batch);

/* Kafka's request with one partition in it, lives in the arena. */
struct kafka_produce_request *produce_one(struct test *t, const struct topic *topic,
					  int32_t partition, struct slice batch);
struct kafka_fetch_request *fetch_one(struct test *t, const struct topic *topic, int32_t partition,
				      int64_t offset);

/* --- groups ------------------------------------------------------------------------------------
 */

/* A member of a group; JoinGroup waits for others, so each has its own connection. */
struct member {
	struct client *client;
	struct slice group;
	struct slice instance_id; /* null: none */
	struct slice member_id;
	int32_t generation;
	bool leads;
};

#define GROUP_PROTOCOL_TYPE SLICE("consumer")
#define GROUP_PROTOCOL SLICE("range")
#define MEMBER_METADATA SLICE("what I want")

/* A JoinGroup request as a consumer would send it. */
struct kafka_join_group_request *join_request(struct test *t, const struct member *m);

/* Join a group that is empty, alone; afterwards CompletingRebalance. */
struct member member_join(struct test *t, struct slice group, struct slice instance_id);

/* Join and sync: afterwards Stable. */
struct member member_stable(struct test *t, struct slice group, struct slice instance_id);

/* The leader's SyncGroup that gives itself `assignment`. */
struct kafka_sync_group_request *sync_request(struct test *t, const struct member *m,
					      struct slice assignment);

/* Wait until the member is told that it has to join again. */
void member_await_rebalance(struct test *t, const struct member *m);

/* Begin a rebalance that does not end: a second member asks to join and waits. */
struct member member_disturb(struct test *t, const struct member *first);

void member_leave(struct test *t, const struct member *m);

/* An offset, committed without being a member. */
void offset_store(struct test *t, struct slice group, const struct topic *topic, int32_t partition,
		  int64_t offset, int32_t leader_epoch, struct slice metadata);

#endif
