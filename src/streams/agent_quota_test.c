/* Clients that use more than their quota: they are answered, told how long to wait, and not read
 * from until then; testing_world.h has the stage. */
#include "streams/agent/throttle.h"
#include "streams/catalog/quota.h"
#include "streams/testing_stage.h"

static void set(const char *user, const char *client_id, const char *name, const char *value)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "INSERT INTO quota (user, client_id, name, value) VALUES ('%s', '%s', '%s', '%s')",
		 user, client_id, name, value);
	testing_control_sql(&w.control, sql);
	testing_run_ms(&w, 5);
}

static void ask_versions(void)
{
	struct kafka_api_versions_request versions = { 0 };

	testing_send(&c, KAFKA_API_API_VERSIONS, 0, &versions);
}

/* The next request of the connection is read when the time is over, not before. */
static void check_muted(uint64_t since_ms, int32_t throttle_ms)
{
	ask_versions();
	(void)testing_receive(&c, KAFKA_API_API_VERSIONS, 0);
	assert_true(clock_now_ms() - since_ms + 5 >= (uint64_t)throttle_ms);
}

static int32_t produce(const char *topic, size_t size, int64_t base_offset)
{
	struct slice batch = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "a", 0, 1, size);

	testing_send_produce(&c, topic, 0, batch, -1);
	const struct kafka_produce_response *response =
		testing_receive(&c, KAFKA_API_PRODUCE, TESTING_PRODUCE_VERSION);
	const struct kafka_produce_response_partition *answer =
		&response->responses[0].partition_responses[0];
	assert_int_equal(answer->error_code, KAFKA_NONE);
	assert_int_equal(answer->base_offset, base_offset);
	return response->throttle_time_ms;
}

/* W15 */
static void test_a_producer_over_its_quota_is_answered_and_then_muted(void **state)
{
	(void)state;
	set_up(0);
	set("", "=test", "producer_byte_rate", "10000");
	assert_int_equal(produce("alpha", 5000, 0), 0); /* a second's worth is there */
	uint64_t begin_ms = clock_now_ms();
	int32_t throttle_ms = produce("alpha", 8000, 1);
	assert_in_range(throttle_ms, 100, 500); /* 3000 bytes and two headers are owed */
	check_muted(begin_ms, throttle_ms);
	tear_down();
}

static void test_without_acks_the_connection_is_muted_all_the_same(void **state)
{
	(void)state;
	set_up(0);
	set("", "*", "producer_byte_rate", "10000");
	struct slice batch = testing_batch_of(&c.arena, &RECORD_BATCH_PLAIN, "a", 0, 1, 13000);
	uint64_t begin_ms = clock_now_ms();
	testing_send_produce(&c, "alpha", 0, batch, 0);
	c.answered_id++; /* there is none */
	WAIT_FOR(&w, w.agent->quotas.all.count > 0);
	check_muted(begin_ms, 250);
	tear_down();
}

static void test_a_consumer_pays_for_what_it_was_given(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(0);
	(void)produce("alpha", 15000, 0);
	set("*", "", "consumer_byte_rate", "10000");
	testing_client_open(&other, &w);
	other.client_id = SLICE("other");
	testing_send_fetch(&c, (struct testing_fetch) { .topic = "alpha" });
	uint64_t begin_ms = clock_now_ms();
	const struct kafka_fetch_response *response =
		testing_receive(&c, KAFKA_API_FETCH, TESTING_FETCH_VERSION);
	assert_true(response->responses[0].partitions[0].records.size > 15000);
	assert_in_range(response->throttle_time_ms, 300, 700);
	/* the quota is a user's, and nobody signed in: the other one shares it */
	testing_send_fetch(&other, (struct testing_fetch) { .topic = "alpha" });
	const struct kafka_fetch_response *second =
		testing_receive(&other, KAFKA_API_FETCH, TESTING_FETCH_VERSION);
	assert_true(second->throttle_time_ms > response->throttle_time_ms);
	check_muted(begin_ms, response->throttle_time_ms);
	testing_client_close(&other);
	tear_down();
}

static void test_time_of_the_thread_counts_too(void **state)
{
	(void)state;
	set_up(0);
	set("", "=test", "request_percentage", "0.000001");
	struct kafka_metadata_request all = { 0 };
	const struct kafka_metadata_response *response =
		testing_call(&c, KAFKA_API_METADATA, 9, &all);
	assert_true(response->throttle_time_ms > 0);
	assert_true(response->brokers_count > 0); /* only the time was written over */
	tear_down();
}

/* S4 */
static void test_a_muted_client_does_not_hold_up_others_or_the_stop(void **state)
{
	struct testing_client other;

	(void)state;
	set_up(0);
	set("", "=test", "producer_byte_rate", "10");
	assert_int_equal(produce("alpha", 9000, 0), QUOTA_THROTTLE_MS_MAX);
	ask_versions();
	testing_client_open(&other, &w);
	other.client_id = SLICE("other");
	testing_produce(&other, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 1);
	assert_false(testing_has_answer(&c));
	testing_client_close(&other);
	uint64_t begin_ms = clock_now_ms();
	tear_down();
	assert_in_range(clock_now_ms() - begin_ms, 0, 5000);
}

/* --- connections of an address ---------------------------------------------------------------- */

/* Is a client that comes now served?  If not its connection ends. */
static bool is_served(void)
{
	struct kafka_api_versions_request versions = { 0 };
	struct testing_client guest;

	testing_client_open(&guest, &w);
	testing_send(&guest, KAFKA_API_API_VERSIONS, 0, &versions);
	WAIT_FOR(&w, testing_has_answer(&guest) || guest.is_ended);
	bool is_served = testing_has_answer(&guest);
	testing_client_close(&guest);
	return is_served;
}

static void test_an_address_that_comes_too_often_is_kept_waiting_and_closed(void **state)
{
	int tries = 0;

	(void)state;
	set_up(0);
	set("@=192.0.2.1", "", "connection_creation_rate", "1"); /* somebody else */
	for (int i = 0; i < 20; i++)
		assert_true(is_served());
	set("@*", "", "connection_creation_rate", "100000");
	assert_true(is_served());
	set("@=127.0.0.1", "", "connection_creation_rate", "1");
	while (is_served())
		assert_in_range(++tries, 1, 1000);
	ask_versions(); /* who is there already is served */
	(void)testing_receive(&c, KAFKA_API_API_VERSIONS, 0);
	for (tries = 0; !is_served();) /* the wait is what it owed */
		assert_in_range(++tries, 0, 1000);
	tear_down();
}

static void test_connections_of_others_do_not_make_a_debt_forgotten(void **state)
{
	char host[20];

	(void)state;
	set_up(0);
	set("", "=test", "producer_byte_rate", "10");
	set("@*", "", "connection_creation_rate", "1");
	assert_int_equal(produce("alpha", 9000, 0), QUOTA_THROTTLE_MS_MAX);
	for (int i = 0; i <= QUOTA_CLIENTS_MAX; i++) {
		snprintf(host, sizeof(host), "2001:db8::%x", i);
		assert_int_equal(throttle_connection(w.agent, slice_from(host)), 0);
	}
	assert_int_equal(w.agent->quotas.all.count, 1);
	assert_int_equal(w.agent->connection_quotas.all.count, QUOTA_CLIENTS_MAX);
	tear_down();
}

static void test_whoever_is_kept_waiting_does_not_hold_up_the_stop(void **state)
{
	struct testing_client guests[5];

	(void)state;
	set_up(0);
	set("@=127.0.0.1", "", "connection_creation_rate", "1");
	for (int i = 0; i < 5; i++)
		testing_client_open(&guests[i], &w);
	tear_down();
	for (int i = 0; i < 5; i++)
		testing_client_close(&guests[i]);
}

/* --- describing ------------------------------------------------------------------------------ */

static const struct kafka_describe_client_quotas_response *describe(const char *type,
								    int8_t match_type,
								    const char *match, bool strict,
								    int16_t version)
{
	struct kafka_describe_client_quotas_request_component component = {
		slice_from(type), match_type, match ? slice_from(match) : (struct slice) { 0 }
	};
	struct kafka_describe_client_quotas_request request = { .components = &component,
								.components_count = type[0] != 0,
								.strict = strict };

	return testing_call(&c, KAFKA_API_DESCRIBE_CLIENT_QUOTAS, version, &request);
}

static void test_quotas_are_described_by_what_they_are_of(void **state)
{
	const struct kafka_describe_client_quotas_response *got;

	(void)state;
	set_up(0);
	set("=alice", "", "producer_byte_rate", "1.5");
	set("=alice", "", "consumer_byte_rate", "2");
	set("=alice", "=app", "consumer_byte_rate", "3");
	set("*", "", "request_percentage", "50");
	set("", "=app", "controller_mutation_rate", "4");
	for (int16_t version = 0; version <= 1; version++) {
		got = describe("", 0, NULL, false, version);
		assert_int_equal(got->entries_count, 4);
		got = describe("user", 0, "alice", true, version);
		assert_int_equal(got->entries_count, 1);
		assert_int_equal(got->entries[0].values_count, 2);
		assert_int_equal(got->entries[0].entity_count, 1);
		assert_true(slice_equal(got->entries[0].entity[0].entity_name, SLICE("alice")));
		assert_true(got->entries[0].values[1].value == 1.5);
	}
	assert_int_equal(describe("user", 0, "alice", false, 1)->entries_count, 2);
	assert_int_equal(describe("user", 2, NULL, false, 1)->entries_count, 3);
	got = describe("user", 1, NULL, true, 1);
	assert_int_equal(got->entries_count, 1);
	assert_null(got->entries[0].entity[0].entity_name.data);
	assert_int_equal(describe("client-id", 0, "app", true, 1)->entries_count, 1);
	assert_int_equal(describe("client-id", 0, "app", false, 1)->entries_count, 2);
	assert_int_equal(describe("ip", 2, NULL, false, 1)->entries_count, 0);
	set("@*", "", "connection_creation_rate", "10");
	set("@=192.0.2.1", "", "connection_creation_rate", "20");
	assert_int_equal(describe("ip", 2, NULL, true, 1)->entries_count, 2);
	assert_int_equal(describe("ip", 1, NULL, true, 1)->entries_count, 1);
	got = describe("ip", 0, "192.0.2.1", true, 1);
	assert_int_equal(got->entries_count, 1);
	assert_int_equal(got->entries[0].entity_count, 1);
	assert_true(slice_equal(got->entries[0].entity[0].entity_type, SLICE("ip")));
	assert_true(slice_equal(got->entries[0].entity[0].entity_name, SLICE("192.0.2.1")));
	assert_true(got->entries[0].values[0].value == 20);
	assert_int_equal(describe("user", 2, NULL, false, 1)->entries_count, 3);
	assert_int_equal(describe("group", 2, NULL, false, 1)->error_code,
			 KAFKA_UNSUPPORTED_VERSION);
	assert_int_equal(describe("user", 3, NULL, false, 1)->error_code, KAFKA_INVALID_REQUEST);
	assert_int_equal(describe("user", 0, NULL, false, 1)->error_code, KAFKA_INVALID_REQUEST);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_producer_over_its_quota_is_answered_and_then_muted),
		cmocka_unit_test(test_without_acks_the_connection_is_muted_all_the_same),
		cmocka_unit_test(test_a_consumer_pays_for_what_it_was_given),
		cmocka_unit_test(test_time_of_the_thread_counts_too),
		cmocka_unit_test(test_a_muted_client_does_not_hold_up_others_or_the_stop),
		cmocka_unit_test(test_an_address_that_comes_too_often_is_kept_waiting_and_closed),
		cmocka_unit_test(test_connections_of_others_do_not_make_a_debt_forgotten),
		cmocka_unit_test(test_whoever_is_kept_waiting_does_not_hold_up_the_stop),
		cmocka_unit_test(test_quotas_are_described_by_what_they_are_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
