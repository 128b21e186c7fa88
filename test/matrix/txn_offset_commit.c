/* TxnOffsetCommit. */
#include "transactions.h"

enum { GROUPS_FIRST = 3, ABORTABLE_FIRST = 4, ADDS_FIRST = 5 };

struct asked {
	const struct writer *writer;
	struct slice group;
	struct topic topic;
	int32_t partition;
	int64_t offset;
	struct slice metadata;
	struct slice member_id; /* empty: none */
	struct slice instance_id;
	int32_t generation;
};

static int16_t ask(struct test *t, struct asked asked)
{
	struct kafka_txn_offset_commit_request_partition partition = {
		.partition_index = asked.partition,
		.committed_offset = asked.offset,
		.committed_leader_epoch = -1,
		.committed_metadata = asked.metadata,
	};
	struct kafka_txn_offset_commit_request_topic one = { asked.topic.name, &partition, 1 };
	const struct kafka_txn_offset_commit_request request = {
		.transactional_id = asked.writer->name,
		.group_id = asked.group,
		.producer_id = asked.writer->producer_id,
		.producer_epoch = asked.writer->epoch,
		.generation_id = asked.generation ? asked.generation : -1,
		.member_id = asked.member_id.data ? asked.member_id : SLICE(""),
		.group_instance_id = asked.instance_id,
		.topics = &one,
		.topics_count = 1,
	};
	const struct kafka_txn_offset_commit_response *response =
		test_call(t, KAFKA_API_TXN_OFFSET_COMMIT, t->version, &request);

	CHECK_INT(t, response->throttle_time_ms, 0);
	CHECK_INT(t, response->topics_count, 1);
	CHECK_SLICE(t, response->topics[0].name, asked.topic.name);
	CHECK_INT(t, response->topics[0].partitions_count, 1);
	CHECK_INT(t, response->topics[0].partitions[0].partition_index, asked.partition);
	return response->topics[0].partitions[0].error_code;
}

static int16_t add_group(struct test *t, const struct writer *w, struct slice group)
{
	const struct kafka_add_offsets_to_txn_request request = {
		.transactional_id = w->name,
		.producer_id = w->producer_id,
		.producer_epoch = w->epoch,
		.group_id = group,
	};
	const struct kafka_add_offsets_to_txn_response *response =
		test_call(t, KAFKA_API_ADD_OFFSETS_TO_TXN, 4, &request);

	return response->error_code;
}

/* A writer whose transaction has the group. */
static struct writer begin(struct test *t, struct slice group)
{
	struct writer w = writer_make(t, "w");

	if (t->version < ADDS_FIRST)
		CHECK_ERROR(t, add_group(t, &w, group), KAFKA_NONE);
	return w;
}

static void check_offset(struct test *t, struct slice group, const struct topic *topic,
			 bool require_stable, int16_t error, int64_t offset)
{
	int32_t zero = 0;
	struct kafka_offset_fetch_request_topic one = { .name = topic->name,
							.partition_indexes = &zero,
							.partition_indexes_count = 1 };
	const struct kafka_offset_fetch_request request = {
		.group_id = group,
		.topics = &one,
		.topics_count = 1,
		.require_stable = require_stable,
	};
	const struct kafka_offset_fetch_response *response =
		test_call(t, KAFKA_API_OFFSET_FETCH, 7, &request);

	CHECK_ERROR(t, response->topics[0].partitions[0].error_code, error);
	CHECK_INT(t, response->topics[0].partitions[0].committed_offset, offset);
}

static void commits_with_the_transaction(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct topic topic = topic_make(t, 1);
	struct writer w = begin(t, group);

	offset_store(t, group, &topic, 0, 3, -1, SLICE(""));
	CHECK_ERROR(t, ask(t, (struct asked) { &w, group, topic, .offset = 5 }), KAFKA_NONE);
	check_offset(t, group, &topic, false, KAFKA_NONE, 3);
	check_offset(t, group, &topic, true, KAFKA_UNSTABLE_OFFSET_COMMIT, -1);
	CHECK_ERROR(t, writer_end(t, &w, false), KAFKA_NONE);
	check_offset(t, group, &topic, true, KAFKA_NONE, 3);

	if (t->version < ADDS_FIRST)
		CHECK_ERROR(t, add_group(t, &w, group), KAFKA_NONE);
	CHECK_ERROR(t, ask(t, (struct asked) { &w, group, topic, .offset = 7 }), KAFKA_NONE);
	CHECK_ERROR(t, writer_end(t, &w, true), KAFKA_NONE);
	check_offset(t, group, &topic, true, KAFKA_NONE, 7);
}

static void group_was_not_added(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct topic topic = topic_make(t, 1);
	struct writer w = writer_make(t, "w");

	CHECK_ERROR(t, ask(t, (struct asked) { &w, group, topic, .offset = 5 }),
		    t->version >= ABORTABLE_FIRST ? KAFKA_TRANSACTION_ABORTABLE
						  : KAFKA_INVALID_TXN_STATE);
}

static void unknown_partition(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct topic topic = topic_make(t, 1);
	struct writer w = begin(t, group);

	CHECK_ERROR(t, ask(t, (struct asked) { &w, group, topic, .partition = 1 }),
		    KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
	CHECK_ERROR(t, ask(t, (struct asked) { &w, group, topic_missing(t), .offset = 0 }),
		    KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
}

static void long_metadata(struct test *t)
{
	static uint8_t note[4097];
	struct slice group = test_name(t, "group");
	struct topic topic = topic_make(t, 1);
	struct writer w = begin(t, group);

	memset(note, 'n', sizeof(note));
	CHECK_ERROR(t,
		    ask(t, (struct asked) { &w, group, topic, .metadata = { note, sizeof(note) } }),
		    KAFKA_OFFSET_METADATA_TOO_LARGE);
}

static void other_producer(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct writer w = begin(t, group);

	w.producer_id++;
	CHECK_ERROR(t, ask(t, (struct asked) { &w, group, topic_make(t, 1), .offset = 0 }),
		    KAFKA_INVALID_PRODUCER_ID_MAPPING);
}

static void zombie(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct writer w = begin(t, group);

	(void)writer_again(t, &w);
	CHECK_ERROR(t, ask(t, (struct asked) { &w, group, topic_make(t, 1), .offset = 0 }),
		    KAFKA_INVALID_PRODUCER_EPOCH);
}

static void no_group(struct test *t)
{
	struct writer w = writer_make(t, "w");

	CHECK_ERROR(t, ask(t, (struct asked) { &w, SLICE(""), topic_make(t, 1), .offset = 0 }),
		    KAFKA_INVALID_GROUP_ID);
}

static void other_generation(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct topic topic = topic_make(t, 1);
	struct member m = member_stable(t, group, (struct slice) { 0 });
	struct writer w = begin(t, group);
	struct asked asked = { &w, group, topic, .member_id = m.member_id };

	asked.generation = m.generation + 1;
	CHECK_ERROR(t, ask(t, asked), KAFKA_ILLEGAL_GENERATION);
	asked.generation = m.generation;
	CHECK_ERROR(t, ask(t, asked), KAFKA_NONE);
	member_leave(t, &m);
}

static void other_member(struct test *t)
{
	struct slice group = test_name(t, "group");
	struct topic topic = topic_make(t, 1);
	struct member m = member_stable(t, group, (struct slice) { 0 });
	struct writer w = begin(t, group);
	struct asked asked = { &w, group, topic, .member_id = SLICE("somebody") };

	asked.generation = m.generation;
	CHECK_ERROR(t, ask(t, asked), KAFKA_UNKNOWN_MEMBER_ID);
	member_leave(t, &m);
}

static void other_instance(struct test *t)
{
	struct slice group = test_name(t, "group"), instance = SLICE("instance");
	struct topic topic = topic_make(t, 1);
	struct member m = member_stable(t, group, instance);
	struct writer w = begin(t, group);
	struct asked asked = { &w, group, topic, .member_id = SLICE("before"),
			       .instance_id = instance };

	asked.generation = m.generation;
	CHECK_ERROR(t, ask(t, asked), KAFKA_FENCED_INSTANCE_ID);
}

static const struct matrix_row rows[] = {
	{ OUTCOME_SUCCESS, 0, 5, "offsets are the group's when the transaction commits",
	  commits_with_the_transaction },
	{ KAFKA_UNKNOWN_TOPIC_OR_PARTITION, 0, 5,
	  "an unknown partition gives UNKNOWN_TOPIC_OR_PARTITION", unknown_partition },
	{ KAFKA_OFFSET_METADATA_TOO_LARGE, 0, 5,
	  "a note of more than 4096 bytes gives OFFSET_METADATA_TOO_LARGE", long_metadata },
	{ KAFKA_INVALID_GROUP_ID, 0, 5, "a group without a name gives INVALID_GROUP_ID", no_group },
	{ KAFKA_INVALID_PRODUCER_ID_MAPPING, 0, 5,
	  "another producer id gives INVALID_PRODUCER_ID_MAPPING", other_producer },
	{ KAFKA_INVALID_PRODUCER_EPOCH, 0, 5, "a zombie gets INVALID_PRODUCER_EPOCH", zombie },
	{ KAFKA_INVALID_TXN_STATE, 0, 3, "a group that was not added gives INVALID_TXN_STATE",
	  group_was_not_added },
	{ KAFKA_TRANSACTION_ABORTABLE, 4, 4,
	  "a group that was not added gives TRANSACTION_ABORTABLE", group_was_not_added },
	{ KAFKA_ILLEGAL_GENERATION, 3, 5, "another generation gives ILLEGAL_GENERATION",
	  other_generation },
	{ KAFKA_UNKNOWN_MEMBER_ID, 3, 5, "somebody else gives UNKNOWN_MEMBER_ID", other_member },
	{ KAFKA_FENCED_INSTANCE_ID, 3, 5, "a static member that was replaced is fenced",
	  other_instance },
};

static const int16_t documented[] = {
	KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
	KAFKA_OFFSET_METADATA_TOO_LARGE,
	KAFKA_COORDINATOR_LOAD_IN_PROGRESS,
	KAFKA_COORDINATOR_NOT_AVAILABLE,
	KAFKA_NOT_COORDINATOR,
	KAFKA_ILLEGAL_GENERATION,
	KAFKA_UNKNOWN_MEMBER_ID,
	KAFKA_FENCED_INSTANCE_ID,
	KAFKA_INVALID_GROUP_ID,
	KAFKA_INVALID_PRODUCER_ID_MAPPING,
	KAFKA_INVALID_PRODUCER_EPOCH,
	KAFKA_INVALID_TXN_STATE,
	KAFKA_TOPIC_AUTHORIZATION_FAILED,
	KAFKA_GROUP_AUTHORIZATION_FAILED,
	KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
	KAFKA_CONCURRENT_TRANSACTIONS,
	KAFKA_TRANSACTION_ABORTABLE,
};

static const struct matrix_absent absent[] = {
	TRANSACTIONS_ABSENT,
	{ KAFKA_TOPIC_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_GROUP_AUTHORIZATION_FAILED, ALL_VERSIONS, NO_ACCESS_LISTS, NULL },
	{ KAFKA_ILLEGAL_GENERATION, 0, 2, "the request has no generation", NULL },
	{ KAFKA_UNKNOWN_MEMBER_ID, 0, 2, "the request has no member id", NULL },
	{ KAFKA_FENCED_INSTANCE_ID, 0, 2, "the request has no instance id", NULL },
	{ KAFKA_INVALID_TXN_STATE, 4, 4, "TRANSACTION_ABORTABLE says it", NULL },
	{ KAFKA_INVALID_TXN_STATE, 5, 5, "the request itself adds the group", NULL },
	{ KAFKA_TRANSACTION_ABORTABLE, 0, 3, "old clients get INVALID_TXN_STATE instead", NULL },
	{ KAFKA_TRANSACTION_ABORTABLE, 5, 5, "the request itself adds the group", NULL },
};

const struct matrix_api matrix_txn_offset_commit = MATRIX_API(KAFKA_API_TXN_OFFSET_COMMIT, 0, 5);
