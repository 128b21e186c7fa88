#include "streams/agent/fetch_session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "wire/kafka/errors.h"

static struct loop *loop;
static struct replica *replica;
static struct fetch_sessions *sessions;
static struct arena arena;
static struct fetch_session_use used;

static void set_up(void)
{
	loop = loop_new(0);
	replica = replica_new(loop, &(struct replica_owner) { 0 });
	sessions = fetch_sessions_new(replica);
	arena_init(&arena);
}

static void tear_down(void)
{
	fetch_sessions_free(sessions);
	replica_free(replica);
	loop_free(loop);
	arena_done(&arena);
}

/* "a0 a1 b0" as a request; partitions before '/' are asked for, those behind it are forgotten. */
static struct kafka_fetch_request *request(int32_t id, int32_t epoch, const char *text)
{
	struct kafka_fetch_request *r = arena_take(&arena, sizeof(*r));
	size_t size = strlen(text) + 1;
	bool forgets = false;

	*r = (struct kafka_fetch_request) { .session_id = id, .session_epoch = epoch };
	r->topics = arena_take_array(&arena, size, sizeof(*r->topics));
	r->forgotten_topics_data =
		arena_take_array(&arena, size, sizeof(*r->forgotten_topics_data));
	for (const char *p = text; *p; p++) {
		if (*p == ' ')
			continue;
		if (*p == '/') {
			forgets = true;
			continue;
		}
		struct slice name = arena_copy(&arena, (struct slice) { (const uint8_t *)p, 1 });
		struct uuid topic_id = { { (uint8_t)*p++ } };
		int32_t number = *p - '0';
		if (forgets) {
			struct kafka_fetch_request_forgotten_topic *topic =
				&r->forgotten_topics_data[r->forgotten_topics_data_count++];
			int32_t *numbers = arena_take(&arena, sizeof(*numbers));
			*numbers = number;
			*topic = (struct kafka_fetch_request_forgotten_topic) { name, topic_id,
										numbers, 1 };
		} else {
			struct kafka_fetch_request_topic *topic = &r->topics[r->topics_count++];
			struct kafka_fetch_request_partition *partition =
				arena_take(&arena, sizeof(*partition));
			*partition =
				(struct kafka_fetch_request_partition) { .partition = number,
									 .fetch_offset = epoch };
			*topic =
				(struct kafka_fetch_request_topic) { name, topic_id, partition, 1 };
		}
	}
	return r;
}

static char told[200];
static struct slice principal; /* who asks */

/* Begin; what is asked for afterwards is in `told`, as "a0@1 b0@2": the offsets are epochs. */
static int16_t begin_at(uint64_t now_ms, bool by_id, int32_t id, int32_t epoch, const char *text)
{
	struct kafka_fetch_request *r = request(id, epoch, text);
	struct fetch_session_client client = { .by_id = by_id, .principal = principal };
	int16_t code = fetch_session_begin(sessions, &client, now_ms, r, &used);
	size_t size = 0;

	(void)fetch_session_ask(sessions, &used, &arena, false, r);
	told[0] = 0;
	for (size_t i = 0; i < r->topics_count && !code; i++)
		for (size_t k = 0; k < r->topics[i].partitions_count; k++)
			size += (size_t)snprintf(
				told + size, sizeof(told) - size, "%s%c%d@%lld", size ? " " : "",
				by_id ? r->topics[i].topic_id.bytes[0] : r->topics[i].topic.data[0],
				r->topics[i].partitions[k].partition,
				(long long)r->topics[i].partitions[k].fetch_offset);
	return code;
}

static int16_t begin(int32_t id, int32_t epoch, const char *text)
{
	return begin_at(0, false, id, epoch, text);
}

/* The partitions "a0 a1" are looked at: each letter and number has a row of its own. */
static void look(const char *text)
{
	struct kafka_fetch_request *r = request(0, 0, text);

	for (size_t i = 0; i < r->topics_count; i++) {
		int32_t number = r->topics[i].partitions[0].partition;
		fetch_session_note(sessions, &used, &r->topics[i], number,
				   r->topics[i].topic.data[0] * 10 + number);
	}
}

/* Answer "a0 a1" with these high watermarks; those in `with_records` have records.  What is told is
 * in `told`. */
static int32_t answer(const char *text, int64_t high_watermark, const char *with_records,
		      int16_t error)
{
	struct kafka_fetch_request *asked = request(0, 0, text);
	struct kafka_fetch_response response = { 0 };
	size_t size = 0;

	response.responses =
		arena_take_array(&arena, asked->topics_count, sizeof(*response.responses));
	response.responses_count = asked->topics_count;
	for (size_t i = 0; i < asked->topics_count; i++) {
		struct kafka_fetch_response_topic *topic = &response.responses[i];
		topic->topic = asked->topics[i].topic;
		topic->topic_id = asked->topics[i].topic_id;
		topic->partitions = arena_take(&arena, sizeof(*topic->partitions));
		topic->partitions_count = 1;
		topic->partitions[0] = (struct kafka_fetch_response_partition) {
			.partition_index = asked->topics[i].partitions[0].partition,
			.error_code = error,
			.high_watermark = high_watermark,
			.last_stable_offset = high_watermark,
			.preferred_read_replica = -1,
			.records = strchr(with_records, topic->topic.data[0]) ? SLICE("records")
									      : SLICE(""),
		};
	}
	fetch_session_end(sessions, &used, &response);
	told[0] = 0;
	for (size_t i = 0; i < response.responses_count; i++)
		for (size_t k = 0; k < response.responses[i].partitions_count; k++)
			size += (size_t)
				snprintf(told + size, sizeof(told) - size, "%s%c%d",
					 size ? " " : "", response.responses[i].topic.data[0],
					 response.responses[i].partitions[k].partition_index);
	return response.session_id;
}

/* W5 */
static void test_a_session_names_what_changes_and_is_told_what_changed(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(begin(0, 0, "a0 a1 b0"), KAFKA_NONE);
	assert_string_equal(told, "a0@0 a1@0 b0@0");
	int32_t id = answer("a0 a1 b0", 0, "", 0);
	assert_true(id > 0);
	assert_string_equal(told, "a0 a1 b0"); /* the first answer has all */
	assert_int_equal(begin(id, 1, ""), KAFKA_NONE);
	assert_string_equal(told, "a0@0 a1@0 b0@0");
	assert_int_equal(answer("a0 a1 b0", 0, "", 0), id);
	assert_string_equal(told, ""); /* nothing changed */
	assert_int_equal(begin(id, 2, "a1 c0/a0"), KAFKA_NONE);
	assert_string_equal(told, "a1@2 b0@0 c0@2");
	(void)answer("a1 b0 c0", 0, "b", 0);
	assert_string_equal(told, "b0 c0"); /* c0 is new */
	assert_int_equal(begin(id, 3, ""), KAFKA_NONE);
	(void)answer("a1 c0 b0", 5, "", 0);
	assert_string_equal(told, "a1 c0 b0"); /* the high watermark moved */
	tear_down();
}

static void test_partitions_that_gave_records_are_the_last_ones_next_time(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(begin(0, 0, "a0 b0 c0"), KAFKA_NONE);
	int32_t id = answer("a0 b0 c0", 1, "a", 0);
	assert_int_equal(begin(id, 1, ""), KAFKA_NONE);
	assert_string_equal(told, "b0@0 c0@0 a0@0");
	(void)answer("b0 c0 a0", 1, "bc", 0);
	assert_int_equal(begin(id, 2, "a0"), KAFKA_NONE); /* a new offset keeps its turn */
	assert_string_equal(told, "a0@2 b0@0 c0@0");
	tear_down();
}

static void test_an_error_is_told_until_it_is_over_and_then_that_it_is(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(begin(0, 0, "a0"), KAFKA_NONE);
	int32_t id = answer("a0", 1, "", 0);
	for (int32_t epoch = 1; epoch <= 3; epoch++) {
		assert_int_equal(begin(id, epoch, ""), KAFKA_NONE);
		(void)answer("a0", 1, "", epoch < 3 ? KAFKA_OFFSET_OUT_OF_RANGE : KAFKA_NONE);
		assert_string_equal(told, "a0");
	}
	assert_int_equal(begin(id, 4, ""), KAFKA_NONE);
	(void)answer("a0", 1, "", 0);
	assert_string_equal(told, "");
	tear_down();
}

/* A session whose partitions are read to their ends, at offset 0. */
static int32_t quiet_session(const char *text)
{
	assert_int_equal(begin(0, 0, text), KAFKA_NONE);
	look(text);
	int32_t id = answer(text, 0, "", 0);
	assert_int_equal(begin(id, 1, ""), KAFKA_NONE);
	assert_string_equal(told, "");
	assert_int_equal(answer("", 0, "", 0), id);
	return id;
}

static void test_what_is_quiet_is_not_looked_at_until_it_changes(void **state)
{
	(void)state;
	set_up();
	int32_t id = quiet_session("a0 a1");
	assert_int_equal(begin(id, 2, "a1"), KAFKA_NONE); /* asked for at 2, as in each one below */
	assert_string_equal(told, "a1@2");
	look("a1");
	replica_wake_all(replica); /* while the fetch reads */
	(void)answer("a1", 2, "", 0);
	assert_int_equal(begin(id, 3, ""), KAFKA_NONE);
	assert_string_equal(told, "a1@2 a0@0");
	look("a1 a0");
	(void)answer("a1 a0", 2, "", 0);
	assert_int_equal(begin(id, 4, ""), KAFKA_NONE);
	assert_string_equal(told, "a0@0"); /* it has not been read to its end */
	tear_down();
}

static void test_errors_and_what_has_no_row_are_never_quiet(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(begin(0, 0, "a0 b0"), KAFKA_NONE);
	look("a0");
	int32_t id = answer("a0 b0", 0, "", 0);
	assert_int_equal(begin(id, 1, ""), KAFKA_NONE);
	assert_string_equal(told, "b0@0");
	look("b0");
	(void)answer("b0", 0, "", KAFKA_OFFSET_OUT_OF_RANGE);
	assert_int_equal(begin(id, 2, ""), KAFKA_NONE);
	assert_string_equal(told, "b0@0");
	(void)answer("b0", 0, "", 0);
	assert_int_equal(begin(id, 3, ""), KAFKA_NONE);
	assert_string_equal(told, "");
	tear_down();
}

static void test_everything_is_looked_at_for_another_client_and_after_other_grants(void **state)
{
	(void)state;
	set_up();
	int32_t id = quiet_session("a0 b0");
	principal = SLICE("User:eve");
	assert_int_equal(begin(id, 2, ""), KAFKA_NONE);
	assert_string_equal(told, "a0@0 b0@0");
	look("a0 b0");
	(void)answer("a0 b0", 0, "", 0);
	fetch_sessions_look_again(sessions);
	assert_int_equal(begin(id, 3, ""), KAFKA_NONE);
	assert_string_equal(told, "a0@0 b0@0");
	look("a0 b0");
	(void)answer("a0 b0", 0, "", 0);
	struct kafka_fetch_request *committed = request(id, 4, "");
	committed->isolation_level = 1;
	struct fetch_session_client client = { .principal = principal };
	assert_int_equal(fetch_session_begin(sessions, &client, 0, committed, &used), KAFKA_NONE);
	assert_true(fetch_session_ask(sessions, &used, &arena, false, committed));
	assert_int_equal(committed->topics_count, 2);
	principal = SLICE("");
	tear_down();
}

/* W5 */
static void test_sessions_that_are_not_known_and_epochs_that_are_wrong(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(begin(77, 1, "a0"), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	assert_int_equal(begin(0, 5, "a0"), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	assert_int_equal(begin(0, 0, "a0"), KAFKA_NONE);
	int32_t id = used.id;
	assert_int_equal(begin(id, 2, ""), KAFKA_INVALID_FETCH_SESSION_EPOCH);
	assert_int_equal(begin_at(0, true, id, 1, ""), KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
	assert_int_equal(begin(id, 1, ""), KAFKA_NONE);
	assert_int_equal(begin(id, 1, ""), KAFKA_INVALID_FETCH_SESSION_EPOCH); /* sent again */
	assert_int_equal(begin(id, -1, "b0"), KAFKA_NONE);		       /* ends it */
	assert_string_equal(told, "b0@-1");
	assert_int_equal(answer("b0", 1, "", 0), 0);
	assert_string_equal(told, "b0");
	assert_int_equal(begin(id, 2, ""), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
	assert_int_equal(fetch_sessions_count(sessions), 0);
	assert_int_equal(fetch_sessions_partitions(sessions), 0);
	assert_int_equal(begin(0, -1, "a0"), KAFKA_NONE);
	assert_int_equal(used.id, 0);
	tear_down();
}

static void test_a_session_by_topic_ids(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(begin_at(0, true, 0, 0, "a0 b0"), KAFKA_NONE);
	int32_t id = answer("a0 b0", 1, "", 0);
	assert_int_equal(begin_at(0, true, id, 1, "/b0"), KAFKA_NONE);
	assert_string_equal(told, "a0@0");
	assert_int_equal(begin_at(0, true, id, 2, "/a0"), KAFKA_NONE); /* nothing is left */
	assert_int_equal(answer("", 1, "", 0), 0);
	assert_int_equal(fetch_sessions_count(sessions), 0);
	tear_down();
}

static void test_an_answer_that_comes_after_the_next_request_tells_all(void **state)
{
	(void)state;
	set_up();
	assert_int_equal(begin(0, 0, "a0"), KAFKA_NONE);
	int32_t id = answer("a0", 1, "", 0);
	assert_int_equal(begin(id, 1, ""), KAFKA_NONE);
	struct fetch_session_use slow = used;
	assert_int_equal(begin(id, 2, ""), KAFKA_NONE);
	used = slow;
	assert_int_equal(answer("a0", 1, "", 0), id);
	assert_string_equal(told, "a0");
	tear_down();
}

/* W5 */
static void test_sessions_are_bounded_and_unused_ones_make_room(void **state)
{
	(void)state;
	set_up();
	for (int i = 0; i < FETCH_SESSIONS_MAX; i++)
		assert_int_equal(begin_at(1000, false, 0, 0, "a0 b1"), KAFKA_NONE);
	int32_t last = used.id;
	assert_true(last > 0);
	assert_int_equal(fetch_sessions_partitions(sessions), 2 * FETCH_SESSIONS_MAX);
	assert_int_equal(begin_at(2000, false, 0, 0, "a0"), KAFKA_NONE);
	assert_int_equal(used.id, 0); /* all are in use */
	assert_string_equal(told, "a0@0");
	assert_int_equal(begin_at(900000, false, last, 1, ""), KAFKA_NONE);
	assert_int_equal(begin_at(900000, false, 0, 0, "a0"), KAFKA_NONE);
	assert_true(used.id > 0);
	assert_int_equal(fetch_sessions_count(sessions), FETCH_SESSIONS_MAX);
	assert_int_equal(begin_at(900000, false, last, 2, ""), KAFKA_NONE); /* was not the one */
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session_names_what_changes_and_is_told_what_changed),
		cmocka_unit_test(test_partitions_that_gave_records_are_the_last_ones_next_time),
		cmocka_unit_test(test_an_error_is_told_until_it_is_over_and_then_that_it_is),
		cmocka_unit_test(test_what_is_quiet_is_not_looked_at_until_it_changes),
		cmocka_unit_test(test_errors_and_what_has_no_row_are_never_quiet),
		cmocka_unit_test(
			test_everything_is_looked_at_for_another_client_and_after_other_grants),
		cmocka_unit_test(test_sessions_that_are_not_known_and_epochs_that_are_wrong),
		cmocka_unit_test(test_a_session_by_topic_ids),
		cmocka_unit_test(test_an_answer_that_comes_after_the_next_request_tells_all),
		cmocka_unit_test(test_sessions_are_bounded_and_unused_ones_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
