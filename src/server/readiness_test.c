#include "server/readiness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct readiness node;

static void fill(bool is_kafka_served)
{
	memset(&node, 0, sizeof(node));
	readiness_add(&node, "control", "", true, "");
	readiness_add(&node, "streams", "", true, "");
	readiness_add(&node, "streams", "kafka", is_kafka_served, "control is\nsilent");
}

static enum err ask(const char *only, const char *query, bool *ret_is_ready, const char **ret_text)
{
	static struct buf text;
	struct readiness_question q = { "readyz", slice_from(only), slice_from(query) };

	buf_done(&text);
	buf_init(&text);
	enum err err = readiness_answer(&node, &q, &text, ret_is_ready);
	buf_add_u8(&text, 0);
	*ret_text = (const char *)text.data;
	return err;
}

static void test_ready_is_one_word(void **state)
{
	const char *text;
	bool is_ready = false;

	(void)state;
	fill(true);
	assert_int_equal(ask("", "", &is_ready, &text), OK);
	assert_true(is_ready);
	assert_string_equal(text, "ok");
	assert_int_equal(ask("", "a=1&verbose", &is_ready, &text), OK);
	assert_string_equal(text, "[+]control ok\n[+]streams ok\n[+]streams/kafka ok\n"
				  "readyz check passed\n");
}

static void test_what_is_missing_is_told_without_being_asked(void **state)
{
	const char *text;
	bool is_ready = true;

	(void)state;
	fill(false);
	assert_int_equal(ask("", "", &is_ready, &text), OK);
	assert_false(is_ready);
	assert_string_equal(text, "[+]control ok\n[+]streams ok\n"
				  "[-]streams/kafka failed: control is?silent\n"
				  "readyz check failed\n");
}

static void test_checks_can_be_excluded_or_asked_for_alone(void **state)
{
	const char *text;
	bool is_ready = false;

	(void)state;
	fill(false);
	assert_int_equal(ask("", "exclude=streams", &is_ready, &text), OK);
	assert_true(is_ready);
	is_ready = false;
	assert_int_equal(ask("", "exclude=control&exclude=streams/kafka&verbose", &is_ready, &text),
			 OK);
	assert_true(is_ready);
	assert_non_null(strstr(text, "[+]streams/kafka excluded: ok\n"));
	assert_int_equal(ask("", "exclude=stream", &is_ready, &text), OK);
	assert_false(is_ready);
	assert_int_equal(ask("control", "", &is_ready, &text), OK);
	assert_true(is_ready);
	assert_int_equal(ask("streams", "", &is_ready, &text), OK);
	assert_false(is_ready);
	assert_int_equal(ask("stream", "", &is_ready, &text), ERR_NOT_FOUND);
	assert_string_equal(text, "");
}

static void test_it_is_the_same_in_another_process(void **state)
{
	struct readiness other = { 0 };
	struct buf text;

	(void)state;
	fill(false);
	buf_init(&text);
	readiness_write(&node, &text);
	assert_int_equal(readiness_read(&other, buf_slice(&text)), OK);
	assert_int_equal(other.count, node.count);
	for (size_t i = 0; i < node.count; i++) {
		assert_string_equal(other.checks[i].name, node.checks[i].name);
		assert_string_equal(other.checks[i].why, node.checks[i].why);
		assert_int_equal(other.checks[i].is_ready, node.checks[i].is_ready);
	}
	buf_done(&text);
}

static void test_nonsense_of_another_process_is_refused(void **state)
{
	static const char *const wrong[] = { "streams\n", "?streams\n",	  "+\n",
					     "\n",	  "+Streams x\n", "+streams x\n-a<b y\n" };
	struct readiness r = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(readiness_read(&r, slice_from(wrong[i])), ERR_CORRUPT);
		assert_int_equal(r.count, 0);
	}
}

static void test_too_many_checks_are_not_ready(void **state)
{
	const char *text;
	bool is_ready = true;

	(void)state;
	memset(&node, 0, sizeof(node));
	for (int i = 0; i <= READINESS_CHECKS_MAX; i++)
		readiness_add(&node, "role", "part", true, "");
	assert_int_equal(node.count, READINESS_CHECKS_MAX);
	assert_int_equal(ask("", "", &is_ready, &text), OK);
	assert_false(is_ready);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready_is_one_word),
		cmocka_unit_test(test_what_is_missing_is_told_without_being_asked),
		cmocka_unit_test(test_checks_can_be_excluded_or_asked_for_alone),
		cmocka_unit_test(test_it_is_the_same_in_another_process),
		cmocka_unit_test(test_nonsense_of_another_process_is_refused),
		cmocka_unit_test(test_too_many_checks_are_not_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
