#include "streams/coordinator/topic_pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"

static bool matches(const char *expression, const char *name)
{
	struct topic_pattern *p = NULL;

	assert_int_equal(topic_pattern_new(slice_from(expression), &p), OK);
	bool it = topic_pattern_matches(p, slice_from(name));
	topic_pattern_free(p);
	return it;
}

static void test_the_whole_name_must_match(void **state)
{
	(void)state;
	assert_true(matches("topic.*", "topic-1"));
	assert_true(matches("^topic.*", "topic-1"));
	assert_true(matches("topic-1$", "topic-1"));
	assert_false(matches("topic", "topic-1"));
	assert_false(matches("^topic*", "topic-1"));
	assert_false(matches("opic-1", "topic-1"));
	assert_true(matches("a|ab", "ab"));
	assert_true(matches("(a)|(b.*)", "bcd"));
	assert_false(matches("a|b", "ab"));
	assert_true(matches("", ""));
	assert_false(matches("", "a"));
}

/* W11 */
static void test_what_re2_knows_is_known(void **state)
{
	(void)state;
	assert_true(matches("[a-c]{2,3}\\d+", "abc7"));
	assert_true(matches("(?i)ABC", "abc"));
	assert_true(matches("(?P<word>\\w+)\\.x", "one.x"));
	assert_true(matches("(?:ab)+?", "abab"));
	assert_true(matches("[[:alpha:]]+", "abc"));
	assert_true(matches("[^]]+", "abc"));
	assert_true(matches("\\Qa.b\\E", "a.b"));
	assert_true(matches("a+-\\x62", "aa-b"));
}

static void test_what_re2_does_not_know_is_refused(void **state)
{
	static const char *const others[] = { "(a)\\1",	 "(?=a)a",  "(?!a)b",  "(?<=a)b", "(?<!a)b",
					      "(?>a+)b", "a*+b",    "a++",     "a?+",	  "a{2}+",
					      "(?#no)a", "(?R)",    "(?1)",    "\\Ka",	  "a\\C",
					      "\\Ga",	 "(*FAIL)", "(?(1)a)", "(?P=a)",  "(?P>a)",
					      "\\ga",	 "\\ka",    "(",       "[a",	  "a**",
					      "x{2,1}",	 "\\" };
	struct topic_pattern *p = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		enum err err = topic_pattern_new(slice_from(others[i]), &p);
		if (!err)
			fail_msg("%s is taken", others[i]);
	}
}

static void test_work_and_size_are_limited(void **state)
{
	char long_text[TOPIC_PATTERN_BYTES_MAX + 2];
	struct topic_pattern *p = NULL;
	char name[250];

	(void)state;
	memset(long_text, 'a', sizeof(long_text));
	assert_int_equal(topic_pattern_new((struct slice) { (uint8_t *)long_text,
							    TOPIC_PATTERN_BYTES_MAX + 1 },
					   &p),
			 ERR_INVALID);
	memset(long_text, '(', sizeof(long_text));
	assert_int_equal(topic_pattern_new((struct slice) { (uint8_t *)long_text, 1000 }, &p),
			 ERR_INVALID);
	assert_int_equal(topic_pattern_new(SLICE("((((a{1,250}){1,250}){1,250}){1,250})"), &p),
			 ERR_INVALID);

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	uint64_t begin_ms = clock_now_ms();
	assert_false(matches("(a*)*(a*)*(a*)*b", name));
	assert_true(clock_now_ms() - begin_ms < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_whole_name_must_match),
		cmocka_unit_test(test_what_re2_knows_is_known),
		cmocka_unit_test(test_what_re2_does_not_know_is_refused),
		cmocka_unit_test(test_work_and_size_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
