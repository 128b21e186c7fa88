/* What is denied gets into the topic __hanse_audit, however much it is and whatever fails:
 * testing_world.h has the stage. */
#include "streams/agent/audit.h"
#include "streams/testing_world.h"

static struct testing_world w;
static struct testing_client c;

static const struct guard_caller bob = {
	{ (const uint8_t *)"User:bob", 8 },
	{ (const uint8_t *)"192.0.2.1", 9 },
};

static void set_up(bool has_topic)
{
	testing_world_open(&w, 1);
	if (has_topic) {
		testing_create_topic(&w.control, "__hanse_audit", 0xad, 1);
		testing_seal(&w.control);
	}
	testing_client_open(&c, &w);
}

static void tear_down(void)
{
	testing_client_close(&c);
	testing_world_close(&w);
}

static void deny(const char *name)
{
	const struct denial denial = {
		.operation = GRANT_READ,
		.resource = GRANT_TOPIC,
		.name = slice_from(name),
		.rule = GUARD_NO_RULE,
	};

	audit_denied(w.agent->audit, &bob, "Fetch", &denial);
}

static void settle(void)
{
	WAIT_FOR(&w, !audit_is_busy(w.agent->audit));
}

/* All batches of the topic, which are not compressed, as they are. */
static char *read_all(int64_t *ret_count)
{
	struct kafka_fetch_response_partition *got =
		testing_fetch(&c, (struct testing_fetch) { .topic = "__hanse_audit",
							   .partition_max_bytes = 8 << 20,
							   .max_bytes = 8 << 20 });

	assert_int_equal(got->error_code, KAFKA_NONE);
	*ret_count = got->high_watermark;
	char *text = arena_text(&c.arena, got->records);
	for (size_t i = 0; i < got->records.size; i++)
		if (!text[i])
			text[i] = ' ';
	return text;
}

static void test_a_record_says_who_what_from_where_and_by_which_rule(void **state)
{
	int64_t count;

	(void)state;
	set_up(true);
	deny("orders");
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, 1);
	assert_non_null(strstr(text, "{\"time_ms\":"));
	assert_non_null(strstr(text, ",\"count\":1,\"event\":\"denied\",\"operation\":\"READ\","
				     "\"resource\":\"TOPIC\",\"name\":\"orders\","
				     "\"principal\":\"User:bob\",\"host\":\"192.0.2.1\","
				     "\"rule\":\"no rule\",\"api\":\"Fetch\"}"));
	tear_down();
}

static void test_nobody_is_anonymous(void **state)
{
	const struct guard_caller nobody = { { 0 }, SLICE("::1") };
	int64_t count;

	(void)state;
	set_up(true);
	audit_refused_request(w.agent->audit, &nobody, "Metadata", "it has to sign in first");
	audit_refused_sign_in(w.agent->audit, SLICE("::1"), "PLAIN");
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, 2);
	assert_non_null(strstr(text, "\"event\":\"not_signed_in\",\"principal\":\"User:ANONYMOUS\","
				     "\"host\":\"::1\",\"why\":\"it has to sign in first\","
				     "\"api\":\"Metadata\"}"));
	assert_non_null(strstr(text, "\"event\":\"sign_in_refused\",\"mechanism\":\"PLAIN\","
				     "\"host\":\"::1\"}"));
	tear_down();
}

static void test_whatever_a_name_has_it_stays_json(void **state)
{
	int64_t count;

	(void)state;
	set_up(true);
	deny("\"},{\"\\\n\xff\xc3\xbcn");
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, 1);
	assert_non_null(
		strstr(text, "\"name\":\"\\u0022},{\\u0022\\u005c\\u000a\\u00ff\xc3\xbcn\""));
	tear_down();
}

static void test_the_same_is_one_record_with_a_count(void **state)
{
	int64_t count;

	(void)state;
	set_up(true);
	for (int i = 0; i < 1000; i++)
		deny("orders");
	deny("others");
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, 2);
	assert_non_null(strstr(text, "\"count\":1000,"));
	tear_down();
}

static void deny_many(int from, int count)
{
	char name[32];

	for (int i = from; i < from + count; i++) {
		snprintf(name, sizeof(name), "topic-%d", i);
		deny(name);
	}
}

static void test_what_is_too_much_is_counted(void **state)
{
	int64_t count;

	(void)state;
	set_up(true);
	deny_many(0, AUDIT_EVENTS_MAX + 7);
	deny("topic-3"); /* one that is kept counts there */
	audit_dropped(w.agent->audit, 5);
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, AUDIT_EVENTS_MAX + 1);
	assert_non_null(strstr(text, "\"count\":12,\"event\":\"dropped\"}"));
	assert_non_null(strstr(text, "\"count\":2,\"event\":\"denied\""));
	/* there is room again */
	deny_many(0, 3);
	settle();
	(void)read_all(&count);
	assert_int_equal(count, AUDIT_EVENTS_MAX + 4);
	tear_down();
}

static void refuse_strangers(int from, int count)
{
	char host[32];

	for (int i = from; i < from + count; i++) {
		snprintf(host, sizeof(host), "192.0.2.%d", i);
		if (i % 2)
			audit_refused_sign_in(w.agent->audit, slice_from(host), "PLAIN");
		else
			audit_refused_certificate(w.agent->audit, slice_from(host), "expired");
	}
}

static void test_strangers_cannot_fill_the_topic(void **state)
{
	int64_t count;

	(void)state;
	set_up(true);
	refuse_strangers(0, AUDIT_STRANGERS_MAX + 100);
	refuse_strangers(3, 1); /* one that is kept counts there */
	deny("orders");		/* who is known is told of all the same */
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, AUDIT_STRANGERS_MAX + 2);
	assert_non_null(strstr(text, "\"count\":100,\"event\":\"dropped\"}"));
	assert_non_null(strstr(text, "\"count\":1,\"event\":\"certificate_refused\","
				     "\"why\":\"expired\",\"host\":\"192.0.2.0\"}"));
	assert_non_null(strstr(text, "\"count\":2,\"event\":\"sign_in_refused\""));
	/* what is left out is told of also when nothing else happens, and no sooner than that */
	refuse_strangers(AUDIT_STRANGERS_MAX + 100, 7);
	WAIT_FOR(&w, audit_is_busy(w.agent->audit));
	settle();
	text = read_all(&count);
	assert_in_range(count, AUDIT_STRANGERS_MAX + 3, AUDIT_STRANGERS_MAX + 4);
	assert_non_null(strstr(text, count == AUDIT_STRANGERS_MAX + 3
					     ? "\"count\":7,\"event\":\"dropped\"}"
					     : "\"count\":6,\"event\":\"dropped\"}"));
	tear_down();
}

static void test_denials_take_no_room_from_what_administrators_did(void **state)
{
	struct peer_audit_push what = {
		.action = SLICE("topic purge"),
		.uid = 1000,
		.node = SLICE("harbour:9192"),
	};
	char name[32];
	int64_t count;

	(void)state;
	set_up(true);
	deny_many(0, AUDIT_EVENTS_MAX + 3);
	for (int i = 0; i < AUDIT_ADMIN_MAX + 4; i++) {
		snprintf(name, sizeof(name), "orders-%d", i);
		what.name = slice_from(name);
		audit_admin(w.agent->audit, &what);
	}
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, AUDIT_EVENTS_MAX + AUDIT_ADMIN_MAX + 1);
	assert_non_null(strstr(text, "\"event\":\"admin\",\"action\":\"topic purge\",\"name\":"
				     "\"orders-0\",\"uid\":1000,\"node\":\"harbour:9192\"}"));
	assert_non_null(strstr(text, "\"count\":7,\"event\":\"dropped\"}"));
	tear_down();
}

static void test_what_cannot_be_stored_is_counted_in_the_next_batch(void **state)
{
	int64_t count;

	(void)state;
	set_up(true);
	w.control.commit_error = ERR_FULL;
	deny_many(0, 10);
	deny("topic-0");
	settle();
	deny("later");
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, 2);
	assert_non_null(strstr(text, "\"name\":\"later\""));
	assert_non_null(strstr(text, "\"count\":11,\"event\":\"dropped\"}"));
	tear_down();
}

static void test_without_the_topic_clients_are_served_and_denials_counted(void **state)
{
	int64_t count;

	(void)state;
	set_up(false);
	w.control.kafka_error = ERR_UNAVAILABLE; /* it cannot be created */
	deny_many(0, 4);
	testing_produce(&c, "alpha", 0, testing_batch(&c.arena, "one", 0, 1), 0);
	settle();
	assert_true(w.control.kafka_count > 0);
	testing_create_topic(&w.control, "__hanse_audit", 0xad, 1);
	testing_seal(&w.control);
	deny("later");
	settle();
	const char *text = read_all(&count);
	assert_int_equal(count, 2);
	assert_non_null(strstr(text, "\"count\":4,\"event\":\"dropped\"}"));
	tear_down();
}

static void test_a_hung_commit_holds_nobody_up_and_ends_with_the_agent(void **state)
{
	(void)state;
	set_up(true);
	w.control.is_mute = true;
	deny("orders");
	WAIT_FOR(&w, w.control.commit_count > 0);
	deny_many(0, 2 * AUDIT_EVENTS_MAX); /* memory is bounded meanwhile */
	struct kafka_api_versions_request versions = { 0 };
	(void)testing_call(&c, KAFKA_API_API_VERSIONS, 0, &versions);
	assert_true(audit_is_busy(w.agent->audit));
	w.control.is_mute = false;
	testing_lose_agent(&w.control); /* it asks again and is answered */
	settle();
	tear_down();
}

static void test_a_stop_does_not_wait_for_what_is_gathered(void **state)
{
	(void)state;
	set_up(true);
	deny("orders");
	assert_true(audit_is_busy(w.agent->audit));
	tear_down(); /* ends */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_says_who_what_from_where_and_by_which_rule),
		cmocka_unit_test(test_nobody_is_anonymous),
		cmocka_unit_test(test_whatever_a_name_has_it_stays_json),
		cmocka_unit_test(test_the_same_is_one_record_with_a_count),
		cmocka_unit_test(test_what_is_too_much_is_counted),
		cmocka_unit_test(test_strangers_cannot_fill_the_topic),
		cmocka_unit_test(test_denials_take_no_room_from_what_administrators_did),
		cmocka_unit_test(test_what_cannot_be_stored_is_counted_in_the_next_batch),
		cmocka_unit_test(test_without_the_topic_clients_are_served_and_denials_counted),
		cmocka_unit_test(test_a_hung_commit_holds_nobody_up_and_ends_with_the_agent),
		cmocka_unit_test(test_a_stop_does_not_wait_for_what_is_gathered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
