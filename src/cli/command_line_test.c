#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/command_line.h"

static struct command_line read_line(char **argv)
{
	char why[COMMAND_WHY_BYTES];
	struct command_line l;

	assert_int_equal(command_line_read(&l, argv, why), OK);
	return l;
}

#define LINE(...) read_line((char *[]) { __VA_ARGS__, NULL })

static void refuse_line(char **argv, const char *reason)
{
	char why[COMMAND_WHY_BYTES];
	struct command_line l;

	assert_int_equal(command_line_read(&l, argv, why), ERR_INVALID);
	assert_string_equal(why, reason);
}

#define REFUSE(reason, ...) refuse_line((char *[]) { __VA_ARGS__, NULL }, reason)

static void test_flags_and_words_come_in_any_order(void **state)
{
	(void)state;
	struct command_line l = LINE("--kafka", "a:1", "topic", "--json", "list");
	assert_int_equal(l.word_count, 2);
	assert_string_equal(l.words[0], "topic");
	assert_string_equal(l.words[1], "list");
	assert_string_equal(l.values[FLAG_KAFKA], "a:1");
	assert_true(command_line_has(&l, FLAG_JSON));
	assert_false(command_line_has(&l, FLAG_HELP));

	l = LINE("topic", "create", "x", "--partitions=4");
	assert_int_equal(l.word_count, 3);
	assert_string_equal(l.values[FLAG_PARTITIONS], "4");
}

static void test_after_two_dashes_everything_is_a_word(void **state)
{
	(void)state;
	struct command_line l = LINE("topic", "delete", "--", "--json", "--");
	assert_int_equal(l.word_count, 4);
	assert_string_equal(l.words[2], "--json");
	assert_string_equal(l.words[3], "--");
	assert_false(command_line_has(&l, FLAG_JSON));
}

static void test_a_single_dash_is_a_word(void **state)
{
	(void)state;
	struct command_line l = LINE("-");
	assert_int_equal(l.word_count, 1);
}

static void test_h_is_help_and_help_may_be_repeated(void **state)
{
	(void)state;
	struct command_line l = LINE("-h", "--help");
	assert_true(command_line_has(&l, FLAG_HELP));
}

/* A shell makes thousands of a star. */
static void test_there_may_be_many_words_but_not_any_number(void **state)
{
	static char *words[COMMAND_WORDS_MAX + 2];
	static struct command_line l;
	char why[COMMAND_WHY_BYTES];

	(void)state;
	for (size_t i = 0; i < COMMAND_WORDS_MAX; i++)
		words[i] = "1";
	assert_int_equal(command_line_read(&l, words, why), OK);
	assert_int_equal(l.word_count, COMMAND_WORDS_MAX);
	words[COMMAND_WORDS_MAX] = "last";
	assert_int_equal(command_line_read(&l, words, why), ERR_INVALID);
	assert_string_equal(why, "\"last\" is one word too many");
}

static void test_mistakes_are_named(void **state)
{
	(void)state;
	REFUSE("--json is given twice", "--json", "--json");
	REFUSE("--kafka is given twice", "--kafka=a:1", "--kafka", "a:1");
	REFUSE("--json takes no value", "--json=yes");
	REFUSE("--kafka needs a value: HOST:PORT", "--kafka");
	REFUSE("--kafka needs a value: HOST:PORT", "--kafka=", "x");
	REFUSE("--run-dir needs a value: DIR", "--run-dir", "");
}

/* What may have been meant depends on the command, which dispatch.c knows. */
static void test_an_unknown_flag_is_handed_back_with_the_words_before_it(void **state)
{
	char *argv[] = { "topic", "--json", "create", "--partitons=3", "x", NULL };
	char why[COMMAND_WHY_BYTES];
	struct command_line l;

	(void)state;
	assert_int_equal(command_line_read(&l, argv, why), ERR_NOT_FOUND);
	assert_string_equal(l.unknown, "--partitons=3");
	assert_int_equal(l.word_count, 2);
	assert_string_equal(l.words[1], "create");
}

static void test_a_flag_wins_over_the_environment(void **state)
{
	(void)state;
	setenv("HANSE_RUN_DIR", "from-environment", 1);
	struct command_line l = LINE("status");
	assert_string_equal(command_line_value(&l, FLAG_RUN_DIR, "x"), "from-environment");
	l = LINE("status", "--run-dir", "given");
	assert_string_equal(command_line_value(&l, FLAG_RUN_DIR, "x"), "given");
	setenv("HANSE_RUN_DIR", "", 1);
	l = LINE("status");
	assert_string_equal(command_line_value(&l, FLAG_RUN_DIR, "x"), "x");
	unsetenv("HANSE_RUN_DIR");
}

static void test_the_address_of_kafka_is_taken_apart(void **state)
{
	char why[COMMAND_WHY_BYTES];
	struct kafka_address address;

	(void)state;
	unsetenv("HANSE_KAFKA");
	struct command_line l = LINE("status");
	assert_int_equal(command_line_kafka(&l, &address, why), OK);
	assert_string_equal(address.host, "127.0.0.1");
	assert_int_equal(address.port, 9092);
	l = LINE("--kafka", "[::1]:19092");
	assert_int_equal(command_line_kafka(&l, &address, why), OK);
	assert_string_equal(address.host, "::1");
	assert_int_equal(address.port, 19092);
	l = LINE("--kafka", "localhost");
	assert_int_equal(command_line_kafka(&l, &address, why), ERR_INVALID);
	assert_string_equal(why, "--kafka localhost is not HOST:PORT, as in 127.0.0.1:9092");
	setenv("HANSE_KAFKA", "x:0", 1);
	l = LINE("status");
	assert_int_equal(command_line_kafka(&l, &address, why), ERR_INVALID);
	assert_string_equal(why, "HANSE_KAFKA x:0 is not HOST:PORT, as in 127.0.0.1:9092");
	unsetenv("HANSE_KAFKA");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags_and_words_come_in_any_order),
		cmocka_unit_test(test_after_two_dashes_everything_is_a_word),
		cmocka_unit_test(test_a_single_dash_is_a_word),
		cmocka_unit_test(test_h_is_help_and_help_may_be_repeated),
		cmocka_unit_test(test_there_may_be_many_words_but_not_any_number),
		cmocka_unit_test(test_mistakes_are_named),
		cmocka_unit_test(test_an_unknown_flag_is_handed_back_with_the_words_before_it),
		cmocka_unit_test(test_a_flag_wins_over_the_environment),
		cmocka_unit_test(test_the_address_of_kafka_is_taken_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
