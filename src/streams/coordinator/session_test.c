/* Sessions over a socket pair: frames in, answers and the feed out. */
#include "streams/coordinator/visitor_testing.h"

/* --- conversations -----------------------------------------------------------------------------
 */

static void test_an_agent_is_greeted(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 1);
	visitor_open(&v, &town);
	const struct peer_hello_response *hello = say_hello(&v, "a", 0);
	assert_int_equal(hello->error, OK);
	assert_int_equal(hello->node_id, 1);
	assert_int_equal(hello->incarnation, 1);
	assert_int_equal(hello->default_partitions, 1);
	assert_true(hello->epoch_counter > 0);
	assert_int_equal(town_number(&town, "SELECT is_live FROM agent"), 1);
	visitor_close(&v);
	town_close(&town);
}

static bool is_live(struct town *town, int64_t want)
{
	bool never = false;

	for (int i = 0; i < 100; i++) {
		if (town_number(town, "SELECT is_live FROM agent") == want)
			return true;
		town_wait_ms(town, &never, 5);
	}
	return false;
}

static void test_an_agent_that_goes_away_is_not_live(void **state)
{
	struct town town;
	struct visitor v, again;

	(void)state;
	town_open(&town, 2);
	visitor_open(&v, &town);
	int64_t incarnation = say_hello(&v, "a", 0)->incarnation;
	/* it is back before the old connection's end is noticed */
	visitor_open(&again, &town);
	assert_int_equal(say_hello(&again, "a", incarnation)->incarnation, incarnation);
	visitor_close(&v);
	assert_false(is_live(&town, 0));
	visitor_close(&again);
	assert_true(is_live(&town, 0));
	town_close(&town);
}

static void test_a_follower_has_what_control_has(void **state)
{
	struct town town;
	struct visitor v, late;

	(void)state;
	town_open(&town, 3);
	struct uuid topic = town_topic(&town, "t", 2);
	visitor_open(&v, &town);
	(void)say_hello(&v, "a", 0);
	follow(&v);
	for (int64_t i = 0; i < 20; i++) {
		const struct peer_commit_file_response *response = say_commit(&v, topic, i);
		assert_int_equal(response->error, OK);
		assert_int_equal(response->runs[0].batches[0].base_offset, 5 * i);
		wait_for_index(&v, response->index);
	}
	town_topic(&town, "u", 3);
	visitor_open(&late, &town);
	follow(&late);
	for (int64_t i = 20; i < 25; i++)
		assert_int_equal(say_commit(&v, topic, i)->error, OK);
	int64_t index = say_sync(&v);
	wait_for_index(&v, index);
	wait_for_index(&late, index);
	struct hash128 hash = cell_hash(leader_cell(town.leader));
	assert_true(hash128_equal(cell_hash(v.replica), hash));
	assert_true(hash128_equal(cell_hash(late.replica), hash));
	assert_int_equal(cell_verify(v.replica), OK);
	visitor_close(&v);
	visitor_close(&late);
	town_close(&town);
}

static void test_records_before_a_sync_are_pushed_before_its_answer(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 4);
	visitor_open(&v, &town);
	follow(&v);
	for (int i = 0; i < 10; i++) {
		char name[16];
		snprintf(name, sizeof(name), "t%d", i);
		town_topic(&town, name, 1);
		assert_true(say_sync(&v) <= v.index);
	}
	visitor_close(&v);
	town_close(&town);
}

static void test_kafka_requests_are_passed_on(void **state)
{
	struct kafka_heartbeat_response beat;
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 6);
	visitor_open(&v, &town);
	uint32_t beats = say_kafka(&v, KAFKA_API_HEARTBEAT, 4,
				   &(struct kafka_heartbeat_request) { .group_id = SLICE("g"),
								       .member_id = SLICE("m") });
	uint32_t refused = say(&v, &peer_kafka_request_schema,
			       &(struct peer_kafka_request) { .api_key = KAFKA_API_HEARTBEAT,
							      .api_version = 99,
							      .client_host = SLICE(""),
							      .body = SLICE("") });
	const struct peer_kafka_response *response = hear(&v, beats, &peer_kafka_response_schema);
	assert_int_equal(response->error, OK);
	assert_int_equal(schema_decode_all(&v.arena, &kafka_heartbeat_response_schema, 4,
					   response->body, &beat),
			 OK);
	assert_int_equal(beat.error_code, KAFKA_UNKNOWN_MEMBER_ID);
	response = hear(&v, refused, &peer_kafka_response_schema);
	assert_int_equal(response->error, ERR_UNSUPPORTED);
	visitor_close(&v);
	town_close(&town);
}

static enum err forbid(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell, cell_statement(cell, "INSERT INTO access_grant (resource, name,"
						       " pattern, principal, host, operation,"
						       " permission) VALUES (3, 'g', 3, 'User:*',"
						       " '*', 3, 2)"));
}

static void test_an_answer_says_what_was_denied(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 6);
	visitor_open(&v, &town);
	assert_int_equal(town_run(&town, forbid, NULL), OK);
	coordinator_forget_guard(town.coordinator);
	uint32_t beats = say_kafka(&v, KAFKA_API_HEARTBEAT, 4,
				   &(struct kafka_heartbeat_request) { .group_id = SLICE("g"),
								       .member_id = SLICE("m") });
	const struct peer_kafka_response *response = hear(&v, beats, &peer_kafka_response_schema);
	assert_int_equal(response->error, OK);
	assert_int_equal(response->denials_count, 1);
	assert_int_equal(response->denials[0].operation, GRANT_READ);
	assert_int_equal(response->denials[0].resource, GRANT_GROUP);
	assert_true(slice_equal(response->denials[0].name, SLICE("g")));
	assert_true(slice_equal(response->denials[0].rule,
				SLICE("DENY READ of GROUP \"g\" (LITERAL) to User:* from *")));
	assert_int_equal(response->denials_dropped, 0);
	visitor_close(&v);
	town_close(&town);
}

static void test_an_agent_says_whether_it_is_to_be_told_of(void **state)
{
	struct town town;
	struct visitor v, other;

	(void)state;
	town_open(&town, 12);
	visitor_open(&v, &town);
	(void)say_hello(&v, "a", 0);
	assert_int_equal(say_condition(&v, AGENT_SICK)->error, OK);
	assert_int_equal(town_number(&town, "SELECT is_live FROM agent"), 1); /* alone */
	visitor_open(&other, &town);
	assert_int_equal(say_condition(&other, AGENT_SICK)->error, ERR_INVALID); /* who? */
	(void)say_hello(&other, "b", 0);
	const struct peer_condition_response *response = say_condition(&v, AGENT_LEAVES);
	assert_int_equal(response->error, OK);
	assert_int_equal(response->others, 1);
	assert_int_equal(town_number(&town, "SELECT is_live FROM agent WHERE node = 'a'"), 0);
	assert_true(response->index <= say_sync(&other));
	assert_int_equal(say_condition(&v, AGENT_SERVES)->error, OK);
	assert_int_equal(town_number(&town, "SELECT is_live FROM agent WHERE node = 'a'"), 1);
	assert_int_equal(say_condition(&v, AGENT_CONDITIONS)->error, ERR_INVALID);
	visitor_close(&v);
	visitor_close(&other);
	town_close(&town);
}

/* --- silence -----------------------------------------------------------------------------------
 */

enum { SILENCE_MS = 250 };

static void town_open_impatient(struct town *town)
{
	memset(town, 0, sizeof(*town));
	town->silence_ms = SILENCE_MS;
	town_begin(town, 13);
}

static void ping(struct visitor *v)
{
	uint32_t id = say(v, &peer_ping_request_schema, &(struct peer_ping_request) { 0 });

	assert_non_null(hear(v, id, &peer_ping_response_schema));
}

static void test_a_silent_agent_loses_its_session(void **state)
{
	struct town town;
	struct visitor silent, lively;

	(void)state;
	town_open_impatient(&town);
	visitor_open(&silent, &town);
	visitor_open(&lively, &town);
	(void)say_hello(&silent, "a", 0);
	(void)say_hello(&lively, "b", 0);
	uint64_t begin_ms = clock_now_ms();
	while (!silent.has_ended) {
		ping(&lively);
		town_wait_ms(&town, &silent.has_ended, SILENCE_MS / 20);
	}
	assert_in_range(clock_now_ms() - begin_ms, SILENCE_MS, 10 * SILENCE_MS);
	for (int i = 0; i < 10; i++) {
		ping(&lively);
		town_wait_ms(&town, &(bool) { false }, SILENCE_MS / 20);
	}
	assert_int_equal(town_number(&town, "SELECT is_live FROM agent WHERE node = 'a'"), 0);
	assert_int_equal(town_number(&town, "SELECT is_live FROM agent WHERE node = 'b'"), 1);

	/* it goes on: the same life, on another connection */
	int64_t incarnation = silent.incarnation;
	visitor_close(&silent);
	visitor_open(&silent, &town);
	assert_int_equal(say_hello(&silent, "a", incarnation)->incarnation, incarnation);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM agent WHERE is_live = 1"), 2);
	visitor_close(&silent);
	visitor_close(&lively);
	town_close(&town);
}

/* It heard nobody because it did not listen. */
static void test_a_control_that_stood_still_does_not_blame_agents(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open_impatient(&town);
	visitor_open(&v, &town);
	(void)say_hello(&v, "a", 0);
	for (int i = 0; i < 3; i++) {
		usleep(2 * SILENCE_MS * 1000);
		ping(&v);
	}
	assert_false(v.has_ended);
	visitor_close(&v);
	town_close(&town);
}

/* --- the scan for orphans ----------------------------------------------------------------------
 */

static int16_t bring_page(struct visitor *v, struct slice listed_to, bool is_page)
{
	struct peer_orphans_request_file file = { .incarnation = 1, .sequence = 5, .size = 9 };
	struct peer_orphans_request page = { .is_page = is_page,
					     .listed_to = listed_to,
					     .listed = 1,
					     .files = &file,
					     .files_count = 1 };
	const struct peer_orphans_response *response =
		hear(v, say(v, &peer_orphans_request_schema, &page), &peer_orphans_response_schema);

	assert_non_null(response);
	return response->error;
}

/* Of another life, which is over: it would be an orphan. */
static void test_who_has_no_turn_condemns_no_file(void **state)
{
	struct town town;
	struct visitor v, other;

	(void)state;
	town_open(&town, 9);
	visitor_open(&other, &town);
	(void)say_hello(&other, "a", 0);
	visitor_close(&other);
	visitor_open(&v, &town);
	(void)say_hello(&v, "a", 0);
	assert_int_equal(v.incarnation, 2);
	assert_int_equal(bring_page(&v, SLICE("v1/d/zz"), true), ERR_INVALID);
	assert_int_equal(bring_page(&v, SLICE(""), false), ERR_INVALID);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM file"), 0);
	town.coordinator->orphans.due_ms = 0; /* its turn */
	uint32_t id = say(&v, &peer_orphans_request_schema,
			  &(struct peer_orphans_request) { .listed_to = SLICE("") });
	const struct peer_orphans_response *response = hear(&v, id, &peer_orphans_response_schema);
	assert_int_equal(response->wait_ms, 0);
	assert_int_equal(bring_page(&v, SLICE("v1/d/zz"), true), OK);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM file WHERE dead_ms > 0"), 1);
	visitor_close(&v);
	town_close(&town);
}

/* --- ends --------------------------------------------------------------------------------------
 */

static void test_a_frame_that_is_none_ends_the_session(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 7);
	visitor_open(&v, &town);
	stream_write(v.stream, SLICE("GET / HTTP/1.1\r\nHost: control\r\n\r\n"));
	town_wait(&town, &v.has_ended, "the session");
	visitor_close(&v);

	visitor_open(&v, &town);
	(void)say(&v, &peer_hello_response_schema, &(struct peer_hello_response) { 0 });
	town_wait(&town, &v.has_ended, "the session");
	visitor_close(&v);

	visitor_open(&v, &town);
	follow(&v);
	(void)say(&v, &peer_follow_request_schema, &(struct peer_follow_request) { 0 });
	town_wait(&town, &v.has_ended, "the session");
	visitor_close(&v);
	assert_true(town_wait_ms(&town, &(bool) { town.coordinator->session_count == 0 }, 10));
	town_close(&town);
}

static void test_sessions_end_with_leading_and_wait_for_it(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 8);
	visitor_open(&v, &town);
	(void)say_hello(&v, "a", 0);
	coordinator_on_lost(town.coordinator, "test");
	town_wait(&town, &v.has_ended, "the session");
	visitor_close(&v);

	visitor_open(&v, &town);
	uint32_t id = say(&v, &peer_sync_request_schema, &(struct peer_sync_request) { 0 });
	assert_false(town_wait_ms(&town, &v.has_news, 30));
	coordinator_on_leading(town.coordinator);
	const struct peer_sync_response *response = hear(&v, id, &peer_sync_response_schema);
	assert_int_equal(response->error, OK);
	visitor_close(&v);
	town_close(&town);
}

static void test_calls_of_an_agent_that_died_are_canceled(void **state)
{
	struct kafka_join_group_request_protocol protocol = { SLICE("range"), SLICE("") };
	struct kafka_join_group_request join = { .group_id = SLICE("g"),
						 .session_timeout_ms = 10000,
						 .rebalance_timeout_ms = 60000,
						 .member_id = SLICE(""),
						 .protocol_type = SLICE("consumer"),
						 .protocols = &protocol,
						 .protocols_count = 1 };
	struct town town;
	struct visitor v, other;

	(void)state;
	town_open(&town, 9);
	visitor_open(&v, &town);
	visitor_open(&other, &town);
	uint32_t id = say_kafka(&v, KAFKA_API_JOIN_GROUP, 3, &join);
	assert_non_null(hear(&v, id, &peer_kafka_response_schema));
	(void)say_kafka(&other, KAFKA_API_JOIN_GROUP, 3, &join);
	assert_int_equal(say_sync(&other) > 0, true);
	assert_int_equal(town.coordinator->call_count, 1); /* waits for the first member */
	visitor_close(&other);
	bool never = false;
	for (int i = 0; i < 100 && town.coordinator->call_count > 0; i++)
		town_wait_ms(&town, &never, 5);
	assert_int_equal(town.coordinator->call_count, 0);
	assert_int_equal(town.coordinator->session_count, 1);
	visitor_close(&v);
	town_close(&town);
}

static void test_a_ping_is_answered_without_a_hello_and_without_the_cell(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 1);
	visitor_open(&v, &town);
	for (int i = 0; i < 3; i++) {
		uint32_t id = say(&v, &peer_ping_request_schema, &(struct peer_ping_request) { 0 });
		assert_non_null(hear(&v, id, &peer_ping_response_schema));
	}
	visitor_close(&v);
	town_close(&town);
}

/* NULL: the session ended. */
static const struct peer_hello_response *say_seen(struct visitor *v, struct uuid cluster_id,
						  const struct leader_position *seen)
{
	uint32_t id = say(v, &peer_hello_request_schema,
			  &(struct peer_hello_request) {
				  .node = SLICE("a"),
				  .kafka_host = SLICE("127.0.0.1"),
				  .kafka_port = 9092,
				  .site = SLICE("here"),
				  .seen_index = (int64_t)seen->index,
				  .seen_hash_high = (int64_t)seen->hash.high,
				  .seen_hash_low = (int64_t)seen->hash.low,
				  .cluster_id = cluster_id,
			  });

	return hear(v, id, &peer_hello_response_schema);
}

static struct leader_position end_of(const struct town *town)
{
	struct leader_status status;

	leader_get_status(town->leader, &status);
	return (struct leader_position) { status.committed_index, status.content_hash };
}

static void test_an_agent_that_saw_what_is_there_is_greeted(void **state)
{
	const struct uuid own = { { 0 } }, other = { { 1 } };
	struct leader_position seen;
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 11);
	town_topic(&town, "t", 1);
	seen = end_of(&town);
	town_topic(&town, "u", 1);
	town_restart(&town); /* and after a takeover */
	visitor_open(&v, &town);
	assert_int_equal(say_seen(&v, own, &seen)->error, OK);
	assert_int_equal(say_seen(&v, other, &seen)->error, ERR_INVALID);
	assert_int_equal(town.older_count, 0);
	visitor_close(&v);
	town_close(&town);
}

static void test_an_agent_that_saw_more_or_something_else_is_believed(void **state)
{
	const struct uuid own = { { 0 } };
	struct leader_position more, other;
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 12);
	town_topic(&town, "t", 1);
	more = other = end_of(&town);
	more.index++;
	other.hash.low ^= 1;
	visitor_open(&v, &town);
	assert_int_equal(say_seen(&v, own, &more)->error, ERR_CORRUPT);
	assert_int_equal(town.older_count, 1);
	assert_int_equal(say_seen(&v, own, &other)->error, ERR_CORRUPT);
	assert_int_equal(town.older_count, 2);
	visitor_close(&v);
	town_close(&town);
}

/* The agent followed its successor: it has seen more, and nothing is wrong. */
static void test_a_leader_that_was_replaced_blames_no_bucket(void **state)
{
	const struct uuid own = { { 0 } };
	struct leader_position seen;
	struct town town, next;
	struct visitor v;

	(void)state;
	town_open(&town, 13);
	visitor_open(&v, &town);
	town_open_beside(&next, &town);
	town_topic(&next, "t", 1);
	seen = end_of(&next);
	assert_true(seen.index > end_of(&town).index);
	assert_null(say_seen(&v, own, &seen));
	assert_int_equal(town.older_count, 0);
	visitor_close(&v);
	town_close_beside(&next);
	town_close(&town);
}

static void test_stopping_ends_sessions(void **state)
{
	struct town town;
	struct visitor v;

	(void)state;
	town_open(&town, 10);
	visitor_open(&v, &town);
	follow(&v);
	town_stop(&town);
	town_wait(&town, &v.has_ended, "the session");
	visitor_close(&v);
	town_lead(&town);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_agent_is_greeted),
		cmocka_unit_test(test_an_agent_that_goes_away_is_not_live),
		cmocka_unit_test(test_a_follower_has_what_control_has),
		cmocka_unit_test(test_records_before_a_sync_are_pushed_before_its_answer),
		cmocka_unit_test(test_kafka_requests_are_passed_on),
		cmocka_unit_test(test_an_answer_says_what_was_denied),
		cmocka_unit_test(test_who_has_no_turn_condemns_no_file),
		cmocka_unit_test(test_a_frame_that_is_none_ends_the_session),
		cmocka_unit_test(test_sessions_end_with_leading_and_wait_for_it),
		cmocka_unit_test(test_calls_of_an_agent_that_died_are_canceled),
		cmocka_unit_test(test_a_ping_is_answered_without_a_hello_and_without_the_cell),
		cmocka_unit_test(test_an_agent_that_saw_what_is_there_is_greeted),
		cmocka_unit_test(test_an_agent_that_saw_more_or_something_else_is_believed),
		cmocka_unit_test(test_a_leader_that_was_replaced_blames_no_bucket),
		cmocka_unit_test(test_stopping_ends_sessions),
		cmocka_unit_test(test_an_agent_says_whether_it_is_to_be_told_of),
		cmocka_unit_test(test_a_silent_agent_loses_its_session),
		cmocka_unit_test(test_a_control_that_stood_still_does_not_blame_agents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
