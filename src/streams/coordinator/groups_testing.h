/* What the tests of groups share: their requests, and a stable pair of members to begin with. */
#ifndef STREAMS_COORDINATOR_GROUPS_TESTING_H
#define STREAMS_COORDINATOR_GROUPS_TESTING_H

#include "streams/coordinator/coordinator_testing.h"
#include "streams/coordinator/group_call.h"

/* --- requests ----------------------------------------------------------------------------------
 */

struct join {
	const char *group; /* NULL: "g" */
	struct slice member_id;
	const char *instance_id;
	int16_t version; /* 0: 3, which joins in one step */
	int32_t session_ms;
	bool has_no_rebalance_timeout; /* says 0 */
};

static inline struct ask *join_begin(struct town *town, struct join j)
{
	struct kafka_join_group_request_protocol protocol = { SLICE("range"), SLICE("topics") };
	struct kafka_join_group_request request = {
		.group_id = slice_from(j.group ? j.group : "g"),
		.session_timeout_ms = j.session_ms ? j.session_ms : 10000,
		.rebalance_timeout_ms = j.has_no_rebalance_timeout ? 0 : 60000,
		.member_id = j.member_id.data ? j.member_id : SLICE(""),
		.protocol_type = SLICE("consumer"),
		.protocols = &protocol,
		.protocols_count = 1,
	};

	if (j.instance_id)
		request.group_instance_id = slice_from(j.instance_id);
	return ask_begin(town, KAFKA_API_JOIN_GROUP, j.version ? j.version : 3, &request);
}

static inline const struct kafka_join_group_response *join_end(struct ask *ask)
{
	return ask_end(ask);
}

static inline struct ask *sync_begin(struct town *town, struct slice member_id, int32_t generation,
				     struct kafka_sync_group_request_assignment *assignments,
				     size_t count)
{
	return ask_begin(town, KAFKA_API_SYNC_GROUP, 2,
			 &(struct kafka_sync_group_request) {
				 .group_id = SLICE("g"),
				 .generation_id = generation,
				 .member_id = member_id,
				 .assignments = assignments,
				 .assignments_count = count,
			 });
}

static inline void expect_assignment(struct ask *ask, const char *assignment)
{
	const struct kafka_sync_group_response *response = ask_end(ask);

	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_true(slice_equal(response->assignment, slice_from(assignment)));
}

static inline int16_t beat(struct town *town, struct slice member_id, int32_t generation)
{
	const struct kafka_heartbeat_response *response = ask(town, KAFKA_API_HEARTBEAT, 3,
							      &(struct kafka_heartbeat_request) {
								      .group_id = SLICE("g"),
								      .generation_id = generation,
								      .member_id = member_id,
							      });

	return response->error_code;
}

static inline int16_t leave(struct town *town, struct slice member_id)
{
	const struct kafka_leave_group_response *response =
		ask(town, KAFKA_API_LEAVE_GROUP, 2,
		    &(struct kafka_leave_group_request) {
			    .group_id = SLICE("g"),
			    .member_id = member_id,
		    });

	return response->error_code;
}

struct commit {
	const char *group; /* NULL: "g" */
	const char *topic; /* NULL: by id */
	struct uuid topic_id;
	int32_t partition;
	int64_t offset;
	int32_t epoch;
	const char *metadata;
	struct slice member_id;
	int32_t generation; /* 0: -1 */
	int16_t version;    /* 0: 9 */
};

static inline int16_t commit(struct town *town, struct commit m)
{
	struct kafka_offset_commit_request_partition partition = {
		.partition_index = m.partition,
		.committed_offset = m.offset,
		.committed_leader_epoch = m.epoch,
	};
	struct kafka_offset_commit_request_topic topic = {
		.name = slice_from(m.topic ? m.topic : ""),
		.topic_id = m.topic_id,
		.partitions = &partition,
		.partitions_count = 1,
	};

	if (m.metadata)
		partition.committed_metadata = slice_from(m.metadata);
	const struct kafka_offset_commit_response *response =
		ask(town, KAFKA_API_OFFSET_COMMIT, m.version ? m.version : 9,
		    &(struct kafka_offset_commit_request) {
			    .group_id = slice_from(m.group ? m.group : "g"),
			    .generation_id_or_member_epoch = m.generation ? m.generation : -1,
			    .member_id = m.member_id.data ? m.member_id : SLICE(""),
			    .topics = &topic,
			    .topics_count = 1,
		    });
	assert_int_equal(response->topics_count, 1);
	assert_int_equal(response->topics[0].partitions_count, 1);
	assert_int_equal(response->topics[0].partitions[0].partition_index, m.partition);
	return response->topics[0].partitions[0].error_code;
}

static inline struct kafka_offset_fetch_response_group_partition fetch(struct town *town,
								       const char *group,
								       const char *topic_name,
								       int32_t partition)
{
	struct kafka_offset_fetch_request_group_topic topic = {
		.name = slice_from(topic_name),
		.partition_indexes = &partition,
		.partition_indexes_count = 1,
	};
	struct kafka_offset_fetch_request_group one = {
		.group_id = slice_from(group),
		.member_epoch = -1,
		.topics = &topic,
		.topics_count = 1,
	};
	const struct kafka_offset_fetch_response *response =
		ask(town, KAFKA_API_OFFSET_FETCH, 9,
		    &(struct kafka_offset_fetch_request) { .groups = &one, .groups_count = 1 });

	assert_int_equal(response->groups_count, 1);
	assert_int_equal(response->groups[0].error_code, KAFKA_NONE);
	assert_int_equal(response->groups[0].topics_count, 1);
	assert_int_equal(response->groups[0].topics[0].partitions_count, 1);
	return response->groups[0].topics[0].partitions[0];
}

/* --- a group to begin with ---------------------------------------------------------------------
 */

struct pair {
	struct slice a, b; /* member ids; a leads */
	int32_t generation;
	uint8_t bytes[2][64];
};

static inline struct slice keep(uint8_t bytes[64], struct slice s)
{
	assert_in_range(s.size, 1, 64);
	memcpy(bytes, s.data, s.size);
	return (struct slice) { bytes, s.size };
}

/* Two members, stable, with the assignments "A" and "B". */
static inline void begin_pair(struct town *town, struct pair *pair)
{
	const struct kafka_join_group_response *a = join_end(join_begin(town, (struct join) { 0 }));

	assert_int_equal(a->error_code, KAFKA_NONE);
	pair->a = keep(pair->bytes[0], a->member_id);
	struct ask *b_joins = join_begin(town, (struct join) { 0 });
	assert_true(ask_waits(b_joins));
	a = join_end(join_begin(town, (struct join) { .member_id = pair->a }));
	const struct kafka_join_group_response *b = join_end(b_joins);
	pair->b = keep(pair->bytes[1], b->member_id);
	pair->generation = a->generation_id;
	assert_int_equal(b->generation_id, a->generation_id);
	assert_int_equal(a->members_count, 2);
	assert_int_equal(b->members_count, 0);
	assert_true(slice_equal(b->leader, pair->a));

	struct kafka_sync_group_request_assignment assignments[] = {
		{ pair->a, SLICE("A") },
		{ pair->b, SLICE("B") },
	};
	struct ask *b_syncs = sync_begin(town, pair->b, pair->generation, NULL, 0);
	assert_true(ask_waits(b_syncs));
	expect_assignment(sync_begin(town, pair->a, pair->generation, assignments, 2), "A");
	expect_assignment(b_syncs, "B");
}

#endif
