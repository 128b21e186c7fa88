#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/command.h"

static char help_text[8192];

static void assert_begins_with_examples(void)
{
	assert_memory_equal(help_text, "Examples:\n  hanse ", 18);
	memset(help_text, 0, sizeof(help_text));
}

static void test_every_help_begins_with_examples(void **state)
{
	FILE *out = fmemopen(help_text, sizeof(help_text), "w");

	(void)state;
	help_print(out);
	rewind(out);
	assert_begins_with_examples();
	assert_true(help_print_group(out, "topic"));
	rewind(out);
	assert_begins_with_examples();
	for (size_t i = 0; i < commands_count; i++) {
		help_print_command(out, &commands[i]);
		rewind(out);
		assert_begins_with_examples();
	}
	fclose(out);
}

static void test_examples_are_about_their_command(void **state)
{
	(void)state;
	for (size_t i = 0; i < commands_count; i++) {
		char beginning[64];
		snprintf(beginning, sizeof(beginning), "  hanse %s", commands[i].words);
		assert_memory_equal(commands[i].examples, beginning, strlen(beginning));
	}
}

static void test_only_whole_words_are_commands(void **state)
{
	const char *const create[] = { "topic", "create", "x" };
	const char *const shortened[] = { "topic", "cre", "x" };
	const char *const shorter[] = { "topi", "create" };
	const char *const status[] = { "status" };

	(void)state;
	assert_string_equal(command_find(create, 3)->words, "topic create");
	assert_string_equal(command_find(status, 1)->words, "status");
	assert_null(command_find(create, 1));
	assert_null(command_find(shortened, 3));
	assert_null(command_find(shorter, 2));
	assert_null(command_find(NULL, 0));
}

static int command(char **argv)
{
	return command_main(argv);
}

#define COMMAND(...) command((char *[]) { __VA_ARGS__, NULL })

static void test_a_wrong_command_line_exits_with_2(void **state)
{
	(void)state;
	assert_int_equal(COMMAND("topik"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "lst"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("help", "topic", "lst"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "list", "extra"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "describe"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "describe", ""), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "list", "--partitions", "3"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "list", "--version"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "list", "--kafka", "nowhere"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "create", "x", "--partitions", "0"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("topic", "create", "x", "--partitions", "4x"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("--kafka", "a:1", "serve"), COMMAND_MISUSED);
	assert_int_equal(COMMAND("--json"), COMMAND_MISUSED);
}

/* What command_main() says on standard error. */
static const char *said(char **argv)
{
	static char text[1024];
	int kept = dup(STDERR_FILENO);
	FILE *file = tmpfile();

	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	assert_int_equal(command_main(argv), COMMAND_MISUSED);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	rewind(file);
	memset(text, 0, sizeof(text));
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	return text;
}

#define SAYS(text, ...)                                                                            \
	assert_string_equal(said((char *[]) { __VA_ARGS__, NULL }),                                \
			    "hanse: unknown option " text "\n")

static void test_of_the_options_of_the_command_the_nearest_is_offered(void **state)
{
	(void)state;
	SAYS("\"--partitons\": did you mean \"--partitions\"?", "topic", "create", "--partitons=3");
	SAYS("\"--partitons\": did you mean \"--partition\"?", "topic", "tail", "--partitons", "3");
	SAYS("\"--lst\": did you mean \"--list\"?", "send", "--lst");
	SAYS("\"--partitons\": `hanse ping --help` lists what there is", "ping", "--partitons");
	SAYS("\"--jso\": did you mean \"--json\"?", "--jso", "status");
	SAYS("\"--fromm\": `hanse group --help` lists what there is", "group", "--fromm");
	SAYS("\"-x\": `hanse --help` lists what there is", "-x");
}

static void test_no_server_exits_with_4(void **state)
{
	(void)state;
	assert_int_equal(COMMAND("topic", "list", "--kafka=127.0.0.1:1"), COMMAND_UNREACHABLE);
	assert_int_equal(COMMAND("--kafka", "127.0.0.1:1", "topic", "delete", "--", "--x"),
			 COMMAND_UNREACHABLE);
	assert_int_equal(COMMAND("status", "--run-dir", "/nonexistent"), COMMAND_UNREACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_help_begins_with_examples),
		cmocka_unit_test(test_examples_are_about_their_command),
		cmocka_unit_test(test_only_whole_words_are_commands),
		cmocka_unit_test(test_a_wrong_command_line_exits_with_2),
		cmocka_unit_test(test_of_the_options_of_the_command_the_nearest_is_offered),
		cmocka_unit_test(test_no_server_exits_with_4),
	};
	unsetenv("HANSE_KAFKA");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
