/* One name has one series, also when the topic was deleted and created again. */
#include "streams/agent/agent_numbers.h"
#include "streams/testing_world.h"

static size_t count(struct slice text, const char *what)
{
	size_t n = 0, size = strlen(what);

	for (size_t i = 0; i + size <= text.size; i++)
		n += memcmp(text.data + i, what, size) == 0;
	return n;
}

static void test_a_topic_that_was_created_again(void **state)
{
	struct uuid one = { { 1 } }, two = { { 2 } };
	struct testing_world w;
	struct exposition e;
	struct buf out;

	(void)state;
	testing_world_open(&w, 0);
	agent_numbers_topic(w.agent, &one, SLICE("again"))->produced_batches += 1;
	agent_numbers_topic(w.agent, &two, SLICE("again"))->produced_batches += 2;
	buf_init(&out);
	exposition_init(&e, EXPOSITION_TEXT, &out);
	agent_numbers_write(w.agent, &e);
	assert_int_equal(count(buf_slice(&out),
			       "hanse_topic_produced_batches_total{topic=\"again\"} "),
			 1);
	assert_int_equal(count(buf_slice(&out),
			       "hanse_topic_produced_batches_total{topic=\"again\"} 3\n"),
			 1);
	buf_done(&out);
	testing_world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_topic_that_was_created_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
