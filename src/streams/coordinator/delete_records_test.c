/* DeleteRecords, as agents pass it on; sweep_test.c has what becomes of the runs. */
#include "streams/coordinator/coordinator_testing.h"

static struct town town;

static const struct kafka_delete_records_response_partition *delete_before(const char *topic,
									   int32_t partition,
									   int64_t offset,
									   int16_t version)
{
	struct kafka_delete_records_request_partition asked = { partition, offset };
	struct kafka_delete_records_request_topic asked_topic = { slice_from(topic), &asked, 1 };
	const struct kafka_delete_records_response *response =
		ask(&town, KAFKA_API_DELETE_RECORDS, version,
		    &(struct kafka_delete_records_request) { .topics = &asked_topic,
							     .topics_count = 1 });

	assert_int_equal(response->topics_count, 1);
	assert_true(slice_equal(response->topics[0].name, asked_topic.name));
	assert_int_equal(response->topics[0].partitions_count, 1);
	assert_int_equal(response->topics[0].partitions[0].partition_index, partition);
	return &response->topics[0].partitions[0];
}

static enum err run_sql(struct cell *cell, void *sql)
{
	return cell_execute(cell, cell_statement(cell, sql));
}

static void town_sql(const char *sql)
{
	assert_int_equal(town_run(&town, run_sql, (void *)(uintptr_t)sql), OK);
}

static void check(const char *topic, int32_t partition, int64_t offset, int16_t error, int64_t low)
{
	const struct kafka_delete_records_response_partition *got =
		delete_before(topic, partition, offset, 2);

	assert_int_equal(got->error_code, error);
	assert_int_equal(got->low_watermark, low);
}

static void test_the_log_start_moves_up_and_never_down(void **state)
{
	(void)state;
	town_open(&town, 1);
	town_topic(&town, "t", 2);
	town_sql("UPDATE partition SET high_watermark = 10 WHERE number = 1");
	for (int16_t version = 0; version <= 2; version++) {
		const struct kafka_delete_records_response_partition *got =
			delete_before("t", 1, 2 + version, version);
		assert_int_equal(got->error_code, KAFKA_NONE);
		assert_int_equal(got->low_watermark, 2 + version);
	}
	check("t", 1, 3, KAFKA_NONE, 4); /* it is there already */
	check("t", 1, 0, KAFKA_NONE, 4);
	check("t", 1, 11, KAFKA_OFFSET_OUT_OF_RANGE, -1);
	check("t", 1, -2, KAFKA_OFFSET_OUT_OF_RANGE, -1);
	check("t", 1, -1, KAFKA_NONE, 10); /* the high watermark */
	check("t", 0, -1, KAFKA_NONE, 0);
	check("t", 2, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
	check("u", 0, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
	check("a b", 0, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
	town_restart(&town);
	assert_int_equal(town_number(&town, "SELECT log_start_offset FROM partition"
					    " WHERE number = 1"),
			 10);
	town_close(&town);
}

static void test_records_of_a_compacted_topic_are_not_deleted_by_hand(void **state)
{
	(void)state;
	town_open(&town, 2);
	town_topic(&town, "t", 1);
	town_sql("UPDATE partition SET high_watermark = 10");
	town_sql("INSERT INTO config (kind, resource, name, value)"
		 " VALUES (2, 't', 'cleanup.policy', 'compact')");
	check("t", 0, 5, KAFKA_POLICY_VIOLATION, -1);
	town_sql("UPDATE config SET value = 'compact,delete'");
	check("t", 0, 5, KAFKA_NONE, 5);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_log_start_moves_up_and_never_down),
		cmocka_unit_test(test_records_of_a_compacted_topic_are_not_deleted_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
