#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cli/group.h"
#include "cli/server_testing.h"

#define ORDERS_0_AND_1 SLICE("\0\0\0\0\0\1\0\6orders\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0")

static void test_what_is_about_one_partition_becomes_one(void **state)
{
	struct group_partition partitions[] = {
		{ .topic = SLICE("b"), .partition = 0, .committed = 5 },
		{ .topic = SLICE("a"), .partition = 10, .committed = 1 },
		{ .topic = SLICE("a"), .partition = 2, .committed = -1, .member_id = SLICE("m") },
		{ .topic = SLICE("b"), .partition = 0, .committed = -1, .member_id = SLICE("n") },
	};

	(void)state;
	assert_int_equal(group_merge(partitions, 4), 3);
	assert_int_equal(partitions[0].partition, 2);
	assert_int_equal(partitions[1].partition, 10);
	assert_int_equal(partitions[2].committed, 5);
	assert_true(slice_equal(partitions[2].member_id, SLICE("n")));
	assert_int_equal(group_merge(NULL, 0), 0);
}

static void test_lag_is_known_only_with_both_ends(void **state)
{
	struct group_partition partitions[] = {
		{ .committed = 3, .next = 10 },	 { .committed = 10, .next = 10 },
		{ .committed = 11, .next = 10 }, /* the topic was made anew */
		{ .committed = -1, .next = 10 }, { .committed = 3, .next = -1 },
	};
	struct group group = { .partitions = partitions, .partitions_count = 5 };

	(void)state;
	assert_int_equal(group_partition_lag(&partitions[0]), 7);
	assert_int_equal(group_partition_lag(&partitions[1]), 0);
	assert_int_equal(group_partition_lag(&partitions[2]), 0);
	assert_int_equal(group_partition_lag(&partitions[3]), -1);
	assert_int_equal(group_partition_lag(&partitions[4]), -1);
	assert_int_equal(group_lag(&group), 7);
	group.partitions_count = 0;
	assert_int_equal(group_lag(&group), -1);
	group.partitions_count = 5;
	partitions[0] = partitions[1] = (struct group_partition) { .next = INT64_MAX };
	assert_int_equal(group_lag(&group), INT64_MAX);
}

/* --- against a broker --------------------------------------------------------------------------
 */

struct conversation {
	struct kafka_api_versions_response_api apis[5];
	struct kafka_describe_groups_response_member member;
	struct kafka_describe_groups_response_group described;
	struct kafka_describe_groups_response describe;
	struct kafka_offset_fetch_response_partition old_offsets[2];
	struct kafka_offset_fetch_response_topic old_topic;
	struct kafka_offset_fetch_response_group_partition offsets[2];
	struct kafka_offset_fetch_response_group_topic topic;
	struct kafka_offset_fetch_response_group group;
	struct kafka_offset_fetch_response fetch;
	struct kafka_list_offsets_response_partition ends[2];
	struct kafka_list_offsets_response_topic end_topic;
	struct kafka_list_offsets_response list;
	int32_t consumer_partitions[2];
	struct kafka_consumer_group_describe_response_assigned consumer_places;
	struct kafka_consumer_group_describe_response_member consumer;
	struct kafka_consumer_group_describe_response_group consumers;
	struct kafka_consumer_group_describe_response describe_consumers;
	struct kafka_share_group_describe_response_assigned share_places;
	struct kafka_share_group_describe_response_member share_member;
	struct kafka_share_group_describe_response_group share;
	struct kafka_share_group_describe_response describe_shares;
	struct kafka_describe_share_group_offsets_response_partition share_offset;
	struct kafka_describe_share_group_offsets_response_topic share_topic;
	struct kafka_describe_share_group_offsets_response_group share_offsets;
	struct kafka_describe_share_group_offsets_response tell_shares;
	struct test_answer answers[4];
	struct test_broker broker;
};

/* One member reads orders 0 and 1; offsets are committed for 1 and 2. */
static void fill(struct conversation *c, int16_t version_max)
{
	*c = (struct conversation) {
		.apis = { { KAFKA_API_DESCRIBE_GROUPS, 0, version_max },
			  { KAFKA_API_OFFSET_FETCH, 1, version_max },
			  { KAFKA_API_LIST_OFFSETS, 1, version_max } },
		.member = { .member_id = SLICE("m-1"),
			    .client_id = SLICE("client"),
			    .client_host = SLICE("/127.0.0.1"),
			    .member_metadata = SLICE(""),
			    .member_assignment = ORDERS_0_AND_1 },
		.described = { .group_id = SLICE("readers"),
			       .group_state = SLICE("Stable"),
			       .protocol_type = SLICE("consumer"),
			       .protocol_data = SLICE("range"),
			       .members = &c->member,
			       .members_count = 1 },
		.describe = { .groups = &c->described, .groups_count = 1 },
		.old_offsets = { { .partition_index = 2, .committed_offset = 20 },
				 { .partition_index = 1, .committed_offset = 10 } },
		.old_topic = { SLICE("orders"), c->old_offsets, 2 },
		.offsets = { { .partition_index = 2, .committed_offset = 20 },
			     { .partition_index = 1, .committed_offset = 10 } },
		.topic = { .name = SLICE("orders"),
			   .partitions = c->offsets,
			   .partitions_count = 2 },
		.group = { .group_id = SLICE("readers"), .topics = &c->topic, .topics_count = 1 },
		.fetch = { .topics = &c->old_topic,
			   .topics_count = 1,
			   .groups = &c->group,
			   .groups_count = 1 },
		.ends = { { .partition_index = 1, .offset = 15 },
			  { .partition_index = 2, .error_code = 3, .offset = 99 } },
		.end_topic = { SLICE("orders"), c->ends, 2 },
		.list = { .topics = &c->end_topic, .topics_count = 1 },
		.answers = { { KAFKA_API_DESCRIBE_GROUPS, &c->describe },
			     { KAFKA_API_OFFSET_FETCH, &c->fetch },
			     { KAFKA_API_LIST_OFFSETS, &c->list } },
		.broker = { { .api_keys = c->apis, .api_keys_count = 3 }, c->answers, 3 },
	};
}

/* Ask a broker that plays the conversation; the group lives until broker_close(). */
static enum command_status converse(struct conversation *c, struct broker *b, struct group *ret)
{
	struct test_server server;
	char address[32];

	test_server_start(&server, test_broker_serve, &c->broker);
	snprintf(address, sizeof(address), "127.0.0.1:%u", server.port);
	struct command_line l = { .values[FLAG_KAFKA] = address };
	enum command_status status = broker_open(b, &l);
	if (!status)
		status = group_ask(b, "readers", ret);
	test_server_stop(&server);
	return status;
}

static void assert_partition(const struct group_partition *p, int index, int64_t committed,
			     int64_t next, bool is_read)
{
	assert_true(slice_equal(p->topic, SLICE("orders")));
	assert_int_equal(p->partition, index);
	assert_int_equal(p->committed, committed);
	assert_int_equal(p->next, next);
	assert_true(slice_equal(p->member_id, is_read ? SLICE("m-1") : SLICE("")));
}

static void test_a_group_is_gathered_in_every_version(void **state)
{
	(void)state;
	for (int16_t version = 1; version <= 11; version++) {
		struct conversation c;
		struct broker b;
		struct group g;
		fill(&c, version);
		assert_int_equal(converse(&c, &b, &g), COMMAND_DONE);
		assert_int_equal(g.partitions_count, 3);
		assert_partition(&g.partitions[0], 0, -1, -1, true);
		assert_partition(&g.partitions[1], 1, 10, 15, true);
		assert_partition(&g.partitions[2], 2, 20, -1, false);
		assert_int_equal(group_lag(&g), 5);
		broker_close(&b);
	}
}

static void test_a_group_nobody_knows_is_not_found(void **state)
{
	struct conversation c;
	struct broker b;
	struct group g;

	(void)state;
	fill(&c, 5);
	c.described.group_state = SLICE("Dead");
	assert_int_equal(converse(&c, &b, &g), COMMAND_NOT_FOUND);
	broker_close(&b);
	fill(&c, 6);
	c.described.error_code = 69;
	assert_int_equal(converse(&c, &b, &g), COMMAND_NOT_FOUND);
	broker_close(&b);
}

/* DescribeGroups does not find it, ConsumerGroupDescribe does. */
static void test_a_group_of_the_consumer_protocol_is_gathered_too(void **state)
{
	struct conversation c;
	struct broker b;
	struct group g;

	(void)state;
	fill(&c, 6);
	c.described = (struct kafka_describe_groups_response_group) {
		.group_id = SLICE("readers"), .error_code = 69, .group_state = SLICE("Dead")
	};
	c.consumer_partitions[1] = 1;
	c.consumer_places.topic_name = SLICE("orders");
	c.consumer_places.partitions = c.consumer_partitions;
	c.consumer_places.partitions_count = 2;
	c.consumer.member_id = SLICE("m-1");
	c.consumer.client_id = SLICE("client");
	c.consumer.client_host = SLICE("/127.0.0.1");
	c.consumer.assignment.topic_partitions = &c.consumer_places;
	c.consumer.assignment.topic_partitions_count = 1;
	c.consumers.group_id = SLICE("readers");
	c.consumers.group_state = SLICE("Stable");
	c.consumers.assignor_name = SLICE("uniform");
	c.consumers.members = &c.consumer;
	c.consumers.members_count = 1;
	c.describe_consumers.groups = &c.consumers;
	c.describe_consumers.groups_count = 1;
	c.apis[3] = (struct kafka_api_versions_response_api) { KAFKA_API_CONSUMER_GROUP_DESCRIBE, 0,
							       1 };
	c.answers[3] = c.answers[2]; /* in the order of the requests */
	c.answers[2] = c.answers[1];
	c.answers[1] =
		(struct test_answer) { KAFKA_API_CONSUMER_GROUP_DESCRIBE, &c.describe_consumers };
	c.broker.versions.api_keys_count = c.broker.answers_count = 4;
	assert_int_equal(converse(&c, &b, &g), COMMAND_DONE);
	assert_int_equal(g.partitions_count, 3);
	assert_partition(&g.partitions[0], 0, -1, -1, true);
	assert_partition(&g.partitions[1], 1, 10, 15, true);
	assert_true(slice_equal(g.described.protocol_data, SLICE("uniform")));
	broker_close(&b);
	c.consumers.error_code = 69;
	assert_int_equal(converse(&c, &b, &g), COMMAND_NOT_FOUND);
	broker_close(&b);
}

static void test_share_groups_are_described_with_the_lag_that_is_told(void **state)
{
	struct conversation c;
	struct broker b;
	struct group g;

	(void)state;
	fill(&c, 6);
	c.described = (struct kafka_describe_groups_response_group) {
		.group_id = SLICE("readers"), .error_code = 69, .group_state = SLICE("Dead")
	};
	c.consumer_partitions[0] = 1;
	c.share_places.topic_name = SLICE("orders");
	c.share_places.partitions = c.consumer_partitions;
	c.share_places.partitions_count = 1;
	c.share_member.member_id = SLICE("m-1");
	c.share_member.client_id = SLICE("client");
	c.share_member.client_host = SLICE("/127.0.0.1");
	c.share_member.assignment.topic_partitions = &c.share_places;
	c.share_member.assignment.topic_partitions_count = 1;
	c.share.group_id = SLICE("readers");
	c.share.group_state = SLICE("Stable");
	c.share.assignor_name = SLICE("simple");
	c.share.members = &c.share_member;
	c.share.members_count = 1;
	c.describe_shares.groups = &c.share;
	c.describe_shares.groups_count = 1;
	c.share_offset.partition_index = 1;
	c.share_offset.start_offset = 10;
	c.share_offset.lag = 3;
	c.share_topic.topic_name = SLICE("orders");
	c.share_topic.partitions = &c.share_offset;
	c.share_topic.partitions_count = 1;
	c.share_offsets.group_id = SLICE("readers");
	c.share_offsets.topics = &c.share_topic;
	c.share_offsets.topics_count = 1;
	c.tell_shares.groups = &c.share_offsets;
	c.tell_shares.groups_count = 1;
	c.apis[3] =
		(struct kafka_api_versions_response_api) { KAFKA_API_SHARE_GROUP_DESCRIBE, 1, 1 };
	c.apis[4] =
		(struct kafka_api_versions_response_api) { KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS,
							   0, 1 };
	c.answers[1] = (struct test_answer) { KAFKA_API_SHARE_GROUP_DESCRIBE, &c.describe_shares };
	c.answers[3] = c.answers[2];
	c.answers[2] =
		(struct test_answer) { KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS, &c.tell_shares };
	c.broker.versions.api_keys_count = 5;
	c.broker.answers_count = 4;
	assert_int_equal(converse(&c, &b, &g), COMMAND_DONE);
	assert_true(g.is_share);
	assert_int_equal(g.partitions_count, 1);
	assert_int_equal(g.partitions[0].committed, 10);
	assert_int_equal(group_partition_lag(&g.partitions[0]), 3);
	assert_true(slice_equal(g.partitions[0].member_id, SLICE("m-1")));
	broker_close(&b);
}

static void test_a_broker_that_cannot_now_is_unreachable(void **state)
{
	struct conversation c;
	struct broker b;
	struct group g;

	(void)state;
	fill(&c, 6);
	c.group.error_code = 15;
	c.fetch.error_code = 15;
	assert_int_equal(converse(&c, &b, &g), COMMAND_UNREACHABLE);
	broker_close(&b);
	fill(&c, 6);
	c.broker.answers_count = 2;
	assert_int_equal(converse(&c, &b, &g), COMMAND_UNREACHABLE);
	broker_close(&b);
}

static void test_a_broker_without_the_api_is_refused(void **state)
{
	struct conversation c;
	struct broker b;
	struct group g;

	(void)state;
	fill(&c, 6);
	c.broker.versions.api_keys_count = 1;
	assert_int_equal(converse(&c, &b, &g), COMMAND_REFUSED);
	broker_close(&b);
}

static void test_an_assignment_of_another_kind_is_no_failure(void **state)
{
	struct conversation c;
	struct broker b;
	struct group g;

	(void)state;
	fill(&c, 6);
	c.described.protocol_type = SLICE("connect");
	assert_int_equal(converse(&c, &b, &g), COMMAND_DONE);
	assert_int_equal(g.partitions_count, 2);
	broker_close(&b);
	fill(&c, 6);
	c.member.member_assignment = SLICE("junk");
	assert_int_equal(converse(&c, &b, &g), COMMAND_DONE);
	assert_int_equal(g.partitions_count, 2);
	broker_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_about_one_partition_becomes_one),
		cmocka_unit_test(test_lag_is_known_only_with_both_ends),
		cmocka_unit_test(test_a_group_is_gathered_in_every_version),
		cmocka_unit_test(test_a_group_nobody_knows_is_not_found),
		cmocka_unit_test(test_a_group_of_the_consumer_protocol_is_gathered_too),
		cmocka_unit_test(test_share_groups_are_described_with_the_lag_that_is_told),
		cmocka_unit_test(test_a_broker_that_cannot_now_is_unreachable),
		cmocka_unit_test(test_a_broker_without_the_api_is_refused),
		cmocka_unit_test(test_an_assignment_of_another_kind_is_no_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
