/* AlterClientQuotas, which quota holds for whom, and the one that control counts itself. */
#include "streams/catalog/quota.h"
#include "streams/coordinator/coordinator_testing.h"

static struct town town;

/* NULL: not part of the entity; "": the default. */
static int16_t alter_with(const char *user, const char *client_id, const char *name, double value,
			  bool removes, bool validate_only, int16_t version)
{
	struct kafka_alter_client_quotas_request_entity parts[2];
	struct kafka_alter_client_quotas_request_op op = { slice_from(name), value, removes };
	struct kafka_alter_client_quotas_request_entry entry = { .entity = parts,
								 .ops = &op,
								 .ops_count = 1 };

	if (user)
		parts[entry.entity_count++] = (struct kafka_alter_client_quotas_request_entity) {
			SLICE("user"), user[0] ? slice_from(user) : (struct slice) { 0 }
		};
	if (client_id)
		parts[entry.entity_count++] = (struct kafka_alter_client_quotas_request_entity) {
			SLICE("client-id"),
			client_id[0] ? slice_from(client_id) : (struct slice) { 0 }
		};
	const struct kafka_alter_client_quotas_response *response =
		ask(&town, KAFKA_API_ALTER_CLIENT_QUOTAS, version,
		    &(struct kafka_alter_client_quotas_request) {
			    .entries = &entry,
			    .entries_count = 1,
			    .validate_only = validate_only,
		    });
	assert_int_equal(response->entries_count, 1);
	assert_int_equal(response->entries[0].entity_count, entry.entity_count);
	return response->entries[0].error_code;
}

static void alter(const char *user, const char *client_id, const char *name, double value)
{
	assert_int_equal(alter_with(user, client_id, name, value, false, false, 1), KAFKA_NONE);
}

static double limit_of(const char *user, const char *client_id, enum quota_kind kind)
{
	struct quota_limit limit;

	return quota_find(leader_cell(town.leader), slice_from(user), slice_from(client_id), kind,
			  &limit)
		       ? limit.per_second
		       : 0;
}

static void test_the_most_particular_quota_holds(void **state)
{
	(void)state;
	town_open(&town, 1);
	assert_false(quota_is_any(leader_cell(town.leader)));
	alter(NULL, "", "producer_byte_rate", 8);
	assert_true(limit_of("u", "c", QUOTA_PRODUCER_BYTES) == 8);
	assert_true(limit_of("u", "c", QUOTA_CONSUMER_BYTES) == 0);
	alter(NULL, "c", "producer_byte_rate", 7);
	assert_true(limit_of("u", "c", QUOTA_PRODUCER_BYTES) == 7);
	assert_true(limit_of("u", "d", QUOTA_PRODUCER_BYTES) == 8);
	alter("", NULL, "producer_byte_rate", 6);
	alter("", "", "producer_byte_rate", 5);
	alter("", "c", "producer_byte_rate", 4);
	assert_true(limit_of("v", "c", QUOTA_PRODUCER_BYTES) == 4);
	assert_true(limit_of("v", "d", QUOTA_PRODUCER_BYTES) == 5);
	alter("u", NULL, "producer_byte_rate", 3);
	assert_true(limit_of("u", "c", QUOTA_PRODUCER_BYTES) == 3);
	alter("u", "", "producer_byte_rate", 2);
	assert_true(limit_of("u", "c", QUOTA_PRODUCER_BYTES) == 2);
	alter("u", "c", "producer_byte_rate", 1.5);
	town_restart(&town);
	assert_true(limit_of("u", "c", QUOTA_PRODUCER_BYTES) == 1.5);
	assert_int_equal(alter_with("u", "c", "producer_byte_rate", 0, true, false, 0), KAFKA_NONE);
	assert_true(limit_of("u", "c", QUOTA_PRODUCER_BYTES) == 2);
	town_close(&town);
}

static void test_quotas_that_make_no_sense_are_refused(void **state)
{
	struct kafka_alter_client_quotas_request_entity twice[] = {
		{ SLICE("user"), SLICE("a") },
		{ SLICE("user"), SLICE("b") },
		{ SLICE("ip"), SLICE("::1") }, /* it has no bytes of producers */
		{ SLICE("user"), SLICE("") },
	};
	struct kafka_alter_client_quotas_request_op op = { SLICE("producer_byte_rate"), 1, false };
	struct kafka_alter_client_quotas_request_entry entries[] = {
		{ twice, 2, &op, 1 },
		{ &twice[2], 1, &op, 1 },
		{ &twice[3], 1, &op, 1 },
		{ NULL, 0, &op, 1 },
	};

	(void)state;
	town_open(&town, 2);
	assert_int_equal(alter_with("u", NULL, "nothing", 1, false, false, 1),
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_with("u", NULL, "producer_byte_rate", 0, false, false, 1),
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_with("u", NULL, "producer_byte_rate", -1, false, false, 1),
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_with("u", NULL, "producer_byte_rate", 0.0 / 0.0, false, false, 1),
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_with("u", NULL, "producer_byte_rate", 1, false, true, 1),
			 KAFKA_NONE);
	const struct kafka_alter_client_quotas_response *response =
		ask(&town, KAFKA_API_ALTER_CLIENT_QUOTAS, 1,
		    &(struct kafka_alter_client_quotas_request) { .entries = entries,
								  .entries_count = 4 });
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(response->entries[i].error_code, KAFKA_INVALID_REQUEST);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM quota"), 0);
	town_close(&town);
}

static int16_t alter_named(struct slice host, const char *name, double value, bool with_user)
{
	struct kafka_alter_client_quotas_request_entity parts[] = {
		{ SLICE("ip"), host },
		{ SLICE("user"), SLICE("u") },
	};
	struct kafka_alter_client_quotas_request_op op = { slice_from(name), value, value == 0 };
	struct kafka_alter_client_quotas_request_entry entry = { parts, 1 + with_user, &op, 1 };
	const struct kafka_alter_client_quotas_response *response =
		ask(&town, KAFKA_API_ALTER_CLIENT_QUOTAS, 1,
		    &(struct kafka_alter_client_quotas_request) { .entries = &entry,
								  .entries_count = 1 });

	return response->entries[0].error_code;
}

static int16_t alter_address(const char *host, const char *name, double value, bool with_user)
{
	return alter_named(host ? slice_from(host) : (struct slice) { 0 }, name, value, with_user);
}

static double connections_of(const char *host)
{
	struct quota_limit limit;

	return quota_find_address(leader_cell(town.leader), slice_from(host), &limit)
		       ? limit.per_second
		       : 0;
}

static void test_addresses_have_quotas_of_connections_only(void **state)
{
	const char *const rate = "connection_creation_rate";

	(void)state;
	town_open(&town, 4);
	assert_int_equal(alter_address("192.0.2.1", "producer_byte_rate", 1, false),
			 KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_with("u", NULL, rate, 1, false, false, 1), KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_address("192.0.2.1", rate, 1, true), KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_address("192.0.2.1", rate, 1.5, false), KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_address("192.0.2.256", rate, 1, false), KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_address("example", rate, 1, false), KAFKA_INVALID_REQUEST);
	assert_int_equal(alter_named(SLICE("192.0.2.1\0x"), rate, 1, false), KAFKA_INVALID_REQUEST);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM quota"), 0);

	assert_int_equal(alter_address(NULL, rate, 10, false), KAFKA_NONE);
	assert_int_equal(alter_address("192.0.2.1", rate, 20, false), KAFKA_NONE);
	assert_int_equal(alter_address("2001:DB8:0::1", rate, 30, false), KAFKA_NONE);
	assert_true(connections_of("192.0.2.1") == 20);
	assert_true(connections_of("2001:db8::1") == 30);
	assert_true(connections_of("192.0.2.2") == 10);
	assert_int_equal(alter_address("::ffff:192.0.2.3", rate, 40, false), KAFKA_NONE);
	assert_true(connections_of("192.0.2.3") == 40); /* as agents know it */
	assert_true(limit_of("192.0.2.1", "c", QUOTA_PRODUCER_BYTES) == 0);
	town_restart(&town);
	assert_int_equal(alter_address("192.0.2.1", rate, 0, false), KAFKA_NONE); /* removes */
	assert_true(connections_of("192.0.2.1") == 10);
	town_close(&town);
}

static const struct kafka_create_topics_response *create(const char *name, int32_t partitions,
							 int16_t version, bool validate_only)
{
	struct kafka_create_topics_request_topic topic = { .name = slice_from(name),
							   .num_partitions = partitions,
							   .replication_factor = 1 };

	return ask(&town, KAFKA_API_CREATE_TOPICS, version,
		   &(struct kafka_create_topics_request) {
			   .topics = &topic, .topics_count = 1, .validate_only = validate_only });
}

static void test_changes_of_topics_are_counted_in_partitions(void **state)
{
	struct slice name = SLICE("a");
	const struct kafka_create_topics_response *created;

	(void)state;
	town_open(&town, 3);
	alter(NULL, "client", "controller_mutation_rate", 0.01);
	created = create("look", 9000, 7, true);
	assert_int_equal(created->throttle_time_ms, 0); /* only a look */
	created = create("a", 1, 7, false);
	assert_int_equal(created->topics[0].error_code, KAFKA_NONE);
	assert_true(created->throttle_time_ms > 1000);
	created = create("b", 1, 7, false);
	assert_int_equal(created->topics[0].error_code, KAFKA_THROTTLING_QUOTA_EXCEEDED);
	assert_true(created->throttle_time_ms > 1000);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM topic"), 1);
	created = create("b", 1, 5, false); /* clients that do not know the word are served */
	assert_int_equal(created->topics[0].error_code, KAFKA_NONE);
	assert_true(created->throttle_time_ms > 1000);
	struct kafka_create_partitions_request_topic grown = { .name = SLICE("b"), .count = 2 };
	const struct kafka_create_partitions_response *more =
		ask(&town, KAFKA_API_CREATE_PARTITIONS, 3,
		    &(struct kafka_create_partitions_request) { .topics = &grown,
								.topics_count = 1 });
	assert_int_equal(more->results[0].error_code, KAFKA_THROTTLING_QUOTA_EXCEEDED);
	const struct kafka_delete_topics_response *deleted =
		ask(&town, KAFKA_API_DELETE_TOPICS, 5,
		    &(struct kafka_delete_topics_request) { .topic_names = &name,
							    .topic_names_count = 1 });
	assert_int_equal(deleted->responses[0].error_code, KAFKA_THROTTLING_QUOTA_EXCEEDED);
	deleted = ask(&town, KAFKA_API_DELETE_TOPICS, 4,
		      &(struct kafka_delete_topics_request) { .topic_names = &name,
							      .topic_names_count = 1 });
	assert_int_equal(deleted->responses[0].error_code, KAFKA_NONE);
	town_close(&town);
}

static void test_a_bucket_fills_at_the_rate_of_its_quota(void **state)
{
	const struct quota_limit limit = { .per_second = 1000, .by_user = true };
	const struct slice a = SLICE("a"), b = SLICE("b"), c = SLICE("c");
	struct quotas q;

	(void)state;
	quotas_init(&q);
	assert_int_equal(quotas_take(&q, &limit, QUOTA_PRODUCER_BYTES, a, c, 1000, 50), 0);
	assert_in_range(quotas_take(&q, &limit, QUOTA_PRODUCER_BYTES, a, c, 500, 50), 500, 502);
	assert_in_range(quotas_wait(&q, &limit, QUOTA_PRODUCER_BYTES, a, c, 250), 300, 302);
	assert_int_equal(quotas_wait(&q, &limit, QUOTA_PRODUCER_BYTES, a, c, 600), 0);
	assert_in_range(quotas_take(&q, &limit, QUOTA_PRODUCER_BYTES, a, b, 600, 600), 550, 552);
	assert_int_equal(quotas_wait(&q, &limit, QUOTA_PRODUCER_BYTES, b, c, 600), 0);
	assert_int_equal(quotas_wait(&q, &limit, QUOTA_CONSUMER_BYTES, a, c, 600), 0);
	assert_int_equal(quotas_take(&q, &limit, QUOTA_PRODUCER_BYTES, b, c, 1e9, 600),
			 QUOTA_THROTTLE_MS_MAX);
	assert_int_equal(quotas_take(&q, &limit, QUOTA_CONSUMER_BYTES, b, c, 1001, 99999), 2);
	quotas_done(&q);
}

static void test_who_did_nothing_for_longest_is_forgotten(void **state)
{
	const struct quota_limit limit = { .per_second = 1, .by_client = true };
	struct quotas q;
	char name[20];

	(void)state;
	quotas_init(&q);
	for (int i = 0; i < QUOTA_CLIENTS_MAX + 100; i++) {
		snprintf(name, sizeof(name), "%d", i);
		(void)quotas_take(&q, &limit, QUOTA_MUTATIONS, SLICE("u"), slice_from(name), 5, 1);
	}
	assert_int_equal(q.all.count, QUOTA_CLIENTS_MAX);
	assert_int_equal(quotas_wait(&q, &limit, QUOTA_MUTATIONS, SLICE("u"), SLICE("0"), 1), 0);
	assert_true(quotas_wait(&q, &limit, QUOTA_MUTATIONS, SLICE("u"), slice_from(name), 1) > 0);
	quotas_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_most_particular_quota_holds),
		cmocka_unit_test(test_quotas_that_make_no_sense_are_refused),
		cmocka_unit_test(test_addresses_have_quotas_of_connections_only),
		cmocka_unit_test(test_changes_of_topics_are_counted_in_partitions),
		cmocka_unit_test(test_a_bucket_fills_at_the_rate_of_its_quota),
		cmocka_unit_test(test_who_did_nothing_for_longest_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
