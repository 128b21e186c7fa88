/* What agents are told of a commit that was answered before its record is durable. */
#include "streams/coordinator/announced_testing.h"

struct stage {
	struct town town;
	struct visitor writer, reader, stranger;
	struct uuid topic;
};

/* The stranger says hello, and does not follow. */
static void stage_open(struct stage *s, uint64_t seed)
{
	town_open(&s->town, seed);
	s->topic = town_topic(&s->town, "t", 2);
	visitor_open(&s->writer, &s->town);
	(void)say_hello(&s->writer, "writer", 0);
	visitor_open(&s->reader, &s->town);
	(void)say_hello(&s->reader, "reader", 0);
	visitor_open(&s->stranger, &s->town);
	(void)say_hello(&s->stranger, "stranger", 0);
	follow(&s->reader);
}

static void stage_close(struct stage *s)
{
	visitor_close(&s->writer);
	visitor_close(&s->reader);
	visitor_close(&s->stranger);
	town_close(&s->town);
}

static size_t early_count(const struct visitor *v)
{
	size_t count = 0;

	for (size_t i = 0; i < v->answer_count; i++)
		count += v->answers[i].message == PEER_EARLY_PUSH;
	return count;
}

/* The one after `seen` of them. */
static struct peer_early_push hear_early(struct visitor *v, size_t seen)
{
	struct peer_early_push push = { 0 };

	while (early_count(v) <= seen) {
		v->has_news = false;
		town_wait(v->town, &v->has_news, "an early push");
	}
	for (size_t i = 0; i < v->answer_count; i++)
		if (v->answers[i].message == PEER_EARLY_PUSH && seen-- == 0)
			assert_int_equal(frame_decode_body(&v->arena, &v->answers[i],
							   &peer_early_push_schema, &push),
					 OK);
	return push;
}

static int64_t partition_row(struct stage *s, int32_t number)
{
	return town_number(&s->town, number ? "SELECT id FROM partition WHERE number = 1"
					    : "SELECT id FROM partition WHERE number = 0");
}

static void test_who_follows_hears_of_a_commit_that_was_answered_early(void **state)
{
	struct stage s;

	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		stage_open(&s, seed);
		const struct batch_spec specs[] = { plain_batch(s.topic, 1),
						    plain_batch(s.topic, 0) };
		assert_int_equal(announce(&s.writer, s.topic, 1), OK);
		assert_int_equal(
			hear_file(&s.writer, send_file(&s.writer, 2, specs, 2, true))->error, OK);
		wait_for_index(&s.reader, say_sync(&s.writer));
		hold_journal(&s.town);
		int64_t durable = s.reader.index;
		assert_int_equal(confirm(&s.writer, 1)->error, OK);
		struct peer_early_push push = hear_early(&s.reader, 0);
		assert_int_equal(push.incarnation, s.writer.incarnation);
		assert_int_equal(push.sequence, 1);
		assert_int_equal(push.runs_count, 1);
		assert_int_equal(push.runs[0].partition, partition_row(&s, 0));
		assert_int_equal(push.runs[0].base_offset, 0);
		assert_int_equal(push.runs[0].last_offset, 4);
		assert_int_equal(push.runs[0].position, 64);
		assert_int_equal(push.runs[0].size, 100);

		assert_int_equal(confirm(&s.writer, 2)->error, OK);
		push = hear_early(&s.reader, 1);
		assert_int_equal(push.sequence, 2);
		assert_int_equal(push.runs_count, 2);
		assert_int_equal(push.runs[0].partition, partition_row(&s, 1));
		assert_int_equal(push.runs[0].base_offset, 0);
		assert_int_equal(push.runs[1].partition, partition_row(&s, 0));
		assert_int_equal(push.runs[1].base_offset, 5);
		assert_int_equal(push.runs[1].last_offset, 9);
		assert_int_equal(push.runs[1].position, 164);
		assert_int_equal(s.reader.index, durable);
		assert_int_equal(early_count(&s.stranger), 0);
		assert_int_equal(early_count(&s.writer), 0); /* it does not follow either */
		release_journal(&s.town);
		wait_for_index(&s.reader, say_sync(&s.writer));
		assert_int_equal(early_count(&s.reader), 2);
		stage_close(&s);
	}
}

/* What has to wait until it is durable is told by its record alone, and a repeat tells nothing. */
static void test_what_was_not_answered_early_is_not_pushed(void **state)
{
	struct stage s;
	struct uuid nowhere = { { 9 } };

	(void)state;
	stage_open(&s, 4);
	const struct batch_spec partly[] = { plain_batch(s.topic, 0), plain_batch(nowhere, 0) };
	assert_int_equal(say_commit(&s.writer, s.topic, 1)->error, OK);
	assert_int_equal(hear_file(&s.writer, send_file(&s.writer, 2, partly, 2, true))->error, OK);
	assert_int_equal(announce(&s.writer, s.topic, 3), OK);
	assert_int_equal(confirm(&s.writer, 2)->error, OK);
	wait_for_index(&s.reader, say_sync(&s.writer));
	assert_int_equal(early_count(&s.reader), 0);
	assert_int_equal(confirm(&s.writer, 3)->error, OK);
	assert_int_equal(hear_early(&s.reader, 0).sequence, 3);
	assert_int_equal(confirm(&s.writer, 3)->error, OK);
	wait_for_index(&s.reader, say_sync(&s.writer));
	assert_int_equal(early_count(&s.reader), 1);
	stage_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_follows_hears_of_a_commit_that_was_answered_early),
		cmocka_unit_test(test_what_was_not_answered_early_is_not_pushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
