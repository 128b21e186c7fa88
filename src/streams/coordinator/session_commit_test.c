/* Commits of data files through sessions: whose they are, and what is durable.  Names begin with
 * the case of doc/cases.md that they are. */
#include "streams/coordinator/visitor_testing.h"

/* Z1, Z5: an agent that stood still while another one of its name began. */
static void test_a_life_that_is_over_cannot_commit(void **state)
{
	struct town town;
	struct visitor v, again;

	(void)state;
	town_open(&town, 5);
	struct uuid topic = town_topic(&town, "t", 1);
	visitor_open(&v, &town);
	visitor_open(&again, &town);
	(void)say_hello(&v, "a", 0);
	assert_int_equal(say_commit(&v, topic, 0)->error, OK);
	(void)say_hello(&again, "a", 0);
	assert_int_equal(say_commit(&v, topic, 1)->error, ERR_DENIED);
	assert_int_equal(say_commit(&again, topic, 0)->runs[0].batches[0].base_offset, 5);
	visitor_close(&v);
	visitor_close(&again);
	town_close(&town);
}

/* S5: an agent that somebody took over knows the lives of the others from its replica. */
static void test_s5_an_agent_commits_only_files_of_its_own_life(void **state)
{
	struct town town;
	struct visitor v, thief, stranger;

	(void)state;
	town_open(&town, 14);
	struct uuid topic = town_topic(&town, "t", 1);
	visitor_open(&v, &town);
	visitor_open(&thief, &town);
	visitor_open(&stranger, &town);
	(void)say_hello(&v, "a", 0);
	assert_int_equal(say_commit(&v, topic, 0)->error, OK);
	int64_t own = say_hello(&thief, "b", 0)->incarnation;
	thief.incarnation = v.incarnation;
	assert_int_equal(say_commit(&thief, topic, 1)->error, ERR_DENIED);
	assert_int_equal(say_commit(&thief, topic, 0)->error, ERR_DENIED); /* nor is it answered */
	stranger.incarnation = v.incarnation;				   /* without a hello */
	assert_int_equal(say_commit(&stranger, topic, 1)->error, ERR_DENIED);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM file"), 1);

	assert_int_equal(say_commit(&v, topic, 1)->runs[0].batches[0].base_offset, 5);
	thief.incarnation = own;
	assert_int_equal(say_commit(&thief, topic, 0)->runs[0].batches[0].base_offset, 10);
	visitor_close(&v);
	visitor_close(&thief);
	visitor_close(&stranger);
	town_close(&town);
}

/* C3: the first one is under way, and nothing of it is durable, when the second one comes. */
static void test_c3_the_same_commit_twice_at_once_is_one_file(void **state)
{
	struct town town;
	struct visitor v, again;

	(void)state;
	town_open(&town, 15);
	struct uuid topic = town_topic(&town, "t", 1);
	visitor_open(&v, &town);
	visitor_open(&again, &town);
	int64_t incarnation = say_hello(&v, "a", 0)->incarnation;
	(void)say_hello(&again, "a", incarnation); /* its other connection */
	fault_add(town.bucket,
		  &(struct fault) { .effect = FAULT_HOLD,
				    .verbs = FAULT_VERB(BUCKET_PUT) | FAULT_VERB(BUCKET_PUT_NEW),
				    .prefix = "v1/j/" });
	uint32_t first = ask_commit(&v, topic, 0);
	uint32_t twice = ask_commit(&v, topic, 0);
	uint32_t elsewhere = ask_commit(&again, topic, 0);
	for (int i = 0; i < 20; i++) {
		town_wait_ms(&town, &(bool) { false }, 5);
		assert_null(find_answer(&v, first)); /* nor may a repeat be told what may not be */
		assert_null(find_answer(&v, twice));
		assert_null(find_answer(&again, elsewhere));
	}
	assert_true(fault_held_count(town.bucket) > 0);
	fault_clear(town.bucket);
	fault_release(town.bucket, "");
	const uint32_t ids[] = { first, twice, elsewhere };
	for (size_t i = 0; i < 3; i++) {
		const struct peer_commit_file_response *response =
			hear(i < 2 ? &v : &again, ids[i], &peer_commit_file_response_schema);
		assert_int_equal(response->error, OK);
		assert_int_equal(response->runs[0].batches[0].base_offset, 0);
	}
	assert_int_equal(town_number(&town, "SELECT count(*) FROM file"), 1);
	assert_int_equal(town_number(&town, "SELECT high_watermark FROM partition"), 5);
	visitor_close(&v);
	visitor_close(&again);
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_life_that_is_over_cannot_commit),
		cmocka_unit_test(test_s5_an_agent_commits_only_files_of_its_own_life),
		cmocka_unit_test(test_c3_the_same_commit_twice_at_once_is_one_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
