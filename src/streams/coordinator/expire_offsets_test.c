/* Committed offsets that grow too old while their group goes on. */
#include "streams/coordinator/expire_offsets.h"

#include "streams/coordinator/groups_testing.h"
#include "wire/kafka/consumer_protocol.h"

static struct town town;

static void set_up(void)
{
	town_open(&town, 9);
	(void)town_topic(&town, "read", 2);
	(void)town_topic(&town, "left", 2);
}

static enum err make_old(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell, cell_statement(cell, "UPDATE group_offset SET commit_ms = 1"));
}

static enum err expire_step(struct cell *cell, void *argument)
{
	return expire_offsets(cell, argument);
}

/* Of all groups, until there is no more; how many steps that took. */
static int expire(void)
{
	struct offset_expiry e = { .groups = town.coordinator->groups, .since_ms = 2 };
	int steps = 0;

	do {
		assert_int_equal(town_run(&town, expire_step, &e), OK);
		steps++;
	} while (e.is_more);
	return steps;
}

static bool is_there(const char *group, const char *topic, int32_t partition)
{
	return fetch(&town, group, topic, partition).committed_offset >= 0;
}

static void commit_as(const char *group, struct slice member_id, int32_t generation)
{
	const char *topics[] = { "read", "left" };

	for (int i = 0; i < 4; i++)
		assert_int_equal(commit(&town, (struct commit) { .group = group,
								 .topic = topics[i / 2],
								 .partition = i % 2,
								 .offset = 5 + i,
								 .member_id = member_id,
								 .generation = generation }),
				 KAFKA_NONE);
	assert_int_equal(town_run(&town, make_old, NULL), OK);
}

/* One member of the classic protocol, alone and stable; says that it reads "read". */
static int32_t join_alone(struct slice protocol_type, struct slice metadata, uint8_t bytes[64],
			  struct slice *ret_member_id)
{
	struct kafka_join_group_request_protocol protocol = { SLICE("range"), metadata };
	const struct kafka_join_group_response *joined = ask(&town, KAFKA_API_JOIN_GROUP, 3,
							     &(struct kafka_join_group_request) {
								     .group_id = SLICE("g"),
								     .session_timeout_ms = 10000,
								     .rebalance_timeout_ms = 60000,
								     .member_id = *ret_member_id,
								     .protocol_type = protocol_type,
								     .protocols = &protocol,
								     .protocols_count = 1,
							     });

	assert_int_equal(joined->error_code, KAFKA_NONE);
	int32_t generation = joined->generation_id;
	*ret_member_id = keep(bytes, joined->member_id);
	struct kafka_sync_group_request_assignment assignment = { *ret_member_id, SLICE("A") };
	expect_assignment(sync_begin(&town, *ret_member_id, generation, &assignment, 1), "A");
	return generation;
}

static struct buf subscription_of(const char *topic)
{
	struct slice name = slice_from(topic);
	struct consumer_subscription s = { .topics = &name, .topic_count = 1, .generation = -1 };
	struct buf bytes;

	buf_init(&bytes);
	consumer_subscription_encode(&s, &bytes);
	return bytes;
}

static void test_offsets_of_topics_that_a_group_has_left_go(void **state)
{
	struct buf words = subscription_of("read");
	struct slice member_id = SLICE("");
	uint8_t bytes[64];

	(void)state;
	set_up();
	int32_t generation = join_alone(SLICE("consumer"), buf_slice(&words), bytes, &member_id);
	commit_as("g", member_id, generation);
	assert_int_equal(commit(&town, (struct commit) { .topic = "left",
							 .partition = 1,
							 .offset = 9,
							 .member_id = member_id,
							 .generation = generation }),
			 KAFKA_NONE); /* not old */
	(void)expire();
	assert_true(is_there("g", "read", 0) && is_there("g", "read", 1));
	assert_false(is_there("g", "left", 0));
	assert_true(is_there("g", "left", 1));

	assert_int_equal(town_run(&town, make_old, NULL), OK);
	(void)expire();
	assert_false(is_there("g", "left", 1));

	/* nobody reads anything: the group goes as a whole, and later */
	assert_int_equal(leave(&town, member_id), KAFKA_NONE);
	(void)expire();
	assert_true(is_there("g", "read", 0));
	town_close(&town);
	buf_done(&words);
}

static enum err add_pending(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell,
			    cell_statement(cell,
					   "INSERT INTO transaction_offset (transactional,"
					   " group_name, topic, partition, committed_offset,"
					   " leader_epoch, metadata) SELECT 7, 'simple', topic,"
					   " partition, 99, -1, '' FROM group_offset"
					   " WHERE partition = 1"));
}

static void test_offsets_of_groups_without_members_go_one_by_one(void **state)
{
	(void)state;
	set_up();
	commit_as("simple", SLICE(""), 0);
	assert_int_equal(town_run(&town, add_pending, NULL), OK);
	assert_int_equal(commit(&town, (struct commit) { .group = "simple", .topic = "read" }),
			 KAFKA_NONE);
	(void)expire();
	assert_true(is_there("simple", "read", 0));  /* committed again */
	assert_false(is_there("simple", "left", 0)); /* old */
	assert_true(is_there("simple", "left", 1));  /* a transaction has more to say */
	town_close(&town);
}

static void test_nothing_goes_of_who_does_not_say_what_it_reads(void **state)
{
	static const char *const types[] = { "consumer", "connect" };
	uint8_t bytes[64];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct slice member_id = SLICE("");
		set_up();
		int32_t generation =
			join_alone(slice_from(types[i]), SLICE("topics"), bytes, &member_id);
		commit_as("g", member_id, generation);
		(void)expire();
		assert_int_equal(town_number(&town, "SELECT count(*) FROM group_offset"), 4);
		town_close(&town);
	}
}

/* While its members join nobody knows what they will read. */
static void test_nothing_goes_while_a_group_is_not_settled(void **state)
{
	struct buf words = subscription_of("read");
	struct slice member_id = SLICE("");
	uint8_t bytes[64];

	(void)state;
	set_up();
	int32_t generation = join_alone(SLICE("consumer"), buf_slice(&words), bytes, &member_id);
	commit_as("g", member_id, generation);
	struct ask *other = join_begin(&town, (struct join) { .session_ms = 6000 });
	assert_true(ask_waits(other));
	(void)expire();
	assert_int_equal(town_number(&town, "SELECT count(*) FROM group_offset"), 4);
	assert_int_equal(leave(&town, member_id), KAFKA_NONE);
	(void)join_end(other);
	town_close(&town);
	buf_done(&words);
}

static void test_members_of_the_consumer_protocol_are_believed_at_once(void **state)
{
	struct slice topic = SLICE("read");
	struct kafka_consumer_group_heartbeat_request request = {
		.group_id = SLICE("g"),
		.member_id = SLICE("m"),
		.rebalance_timeout_ms = 60000,
		.subscribed_topic_names = &topic,
		.subscribed_topic_names_count = 1,
		.topic_partitions = &(
			struct kafka_consumer_group_heartbeat_request_topic) { .partitions = NULL },
	};

	(void)state;
	set_up();
	const struct kafka_consumer_group_heartbeat_response *joined =
		ask(&town, KAFKA_API_CONSUMER_GROUP_HEARTBEAT, 1, &request);
	assert_int_equal(joined->error_code, KAFKA_NONE);
	commit_as("g", SLICE("m"), joined->member_epoch);
	(void)expire();
	assert_true(is_there("g", "read", 0) && is_there("g", "read", 1));
	assert_false(is_there("g", "left", 0) || is_there("g", "left", 1));
	town_close(&town);
}

static enum err add_many(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(
		cell,
		cell_statement(cell, "INSERT INTO group_offset (consumer_group, topic,"
				     " partition, committed_offset, leader_epoch, metadata,"
				     " commit_ms) SELECT g.id, p.topic, p.number, 1, -1, '', 1"
				     " FROM consumer_group AS g, partition AS p"
				     " WHERE p.number > 1"));
}

static void test_many_go_in_bounded_steps(void **state)
{
	enum { GROUPS = 60, PARTITIONS = 22 };
	char name[16];

	(void)state;
	set_up();
	(void)town_topic(&town, "many", PARTITIONS);
	for (int i = 0; i < GROUPS; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		assert_int_equal(commit(&town, (struct commit) { .group = name, .topic = "read" }),
				 KAFKA_NONE);
	}
	assert_int_equal(town_run(&town, add_many, NULL), OK);
	assert_in_range(expire(), GROUPS * (PARTITIONS - 2) / EXPIRE_OFFSETS_ROWS_MAX, 5);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM group_offset"), GROUPS);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets_of_topics_that_a_group_has_left_go),
		cmocka_unit_test(test_offsets_of_groups_without_members_go_one_by_one),
		cmocka_unit_test(test_nothing_goes_of_who_does_not_say_what_it_reads),
		cmocka_unit_test(test_nothing_goes_while_a_group_is_not_settled),
		cmocka_unit_test(test_members_of_the_consumer_protocol_are_believed_at_once),
		cmocka_unit_test(test_many_go_in_bounded_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
