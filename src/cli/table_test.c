#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/output.h"
#include "cli/table.h"

static void assert_printed(const struct table *t, const char *expected)
{
	char text[1000] = { 0 };

	FILE *out = fmemopen(text, sizeof(text), "w");
	table_print(t, out);
	fclose(out);
	assert_string_equal(text, expected);
}

static void test_numbers_stand_right_and_text_left(void **state)
{
	const char *const headings[] = { "NAME", "N", "STATE", NULL };
	struct arena a;
	struct table t;

	(void)state;
	arena_init(&a);
	table_init(&t, &a, headings);
	table_add_text(&t, SLICE("a"));
	table_add_number(&t, 12345);
	table_add_text(&t, SLICE("Empty"));
	table_add_text(&t, SLICE("longer"));
	table_add_number(&t, -1);
	table_add_text(&t, (struct slice) { 0 });
	assert_printed(&t, "NAME        N  STATE\n"
			   "a       12345  Empty\n"
			   "longer      -  -\n");
	table_done(&t);
	arena_done(&a);
}

static void test_a_table_has_as_many_columns_as_it_may(void **state)
{
	const char *const headings[] = { "A", "B", "C", "D", "E", "F", "G",
					 "H", "I", "J", "K", "L", NULL };
	struct arena a;
	struct table t;

	_Static_assert(sizeof(headings) / sizeof(headings[0]) == TABLE_COLUMNS_MAX + 1, "all");
	(void)state;
	arena_init(&a);
	table_init(&t, &a, headings);
	for (int i = 0; i < TABLE_COLUMNS_MAX; i++)
		table_add_number(&t, i % 10);
	assert_printed(&t, "A  B  C  D  E  F  G  H  I  J  K  L\n"
			   "0  1  2  3  4  5  6  7  8  9  0  1\n");
	table_done(&t);
	arena_done(&a);
}

static void test_characters_count_and_not_bytes(void **state)
{
	struct arena a;
	struct table t;

	(void)state;
	arena_init(&a);
	table_init(&t, &a, NULL);
	table_add_text(&t, SLICE("größe"));
	table_add_text(&t, SLICE("1"));
	table_add_text(&t, SLICE("states"));
	table_add_text(&t, SLICE("2"));
	assert_printed(&t, "größe   1\n"
			   "states  2\n");
	table_done(&t);
	arena_done(&a);
}

static void test_names_of_others_cannot_steer_the_terminal(void **state)
{
	struct arena a;
	struct table t;

	(void)state;
	arena_init(&a);
	table_init(&t, &a, NULL);
	table_add_text(&t, SLICE("a\033[2Jb"));
	table_add_text(&t, SLICE("c\nd\177"));
	table_add_text(&t, SLICE("e\302\2332Jf")); /* CSI in one character */
	table_add_text(&t, SLICE("g\2332Jh"));	   /* and in one byte */
	assert_printed(&t, "a?[2Jb  c?d?\n"
			   "e??2Jf  g?2Jh\n");
	table_done(&t);
	arena_done(&a);
}

static void test_bytes_that_are_no_text_are_replaced(void **state)
{
	const char *const bad[] = {
		"a\377b",
		"a\303",
		"a\300\200b",
		"a\340\200\200b",
		"a\355\240\200b",
		"a\364\220\200\200b",
		"a\360\200\200\200b",
		"\200\303\266",
	};
	const char *const good[] = {
		"a?b", "a?", "a??b", "a???b", "a???b", "a????b", "a????b", "?\303\266",
	};
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice text = output_printable(&a, slice_from(bad[i]));
		assert_true(slice_equal(text, slice_from(good[i])));
	}
	const char *kept = "a\302\240\303\266\342\202\254\360\237\230\200\355\237\277";
	assert_true(slice_equal(output_printable(&a, slice_from(kept)), slice_from(kept)));
	arena_done(&a);
}

static void assert_json(json_t *value, const char *expected)
{
	char text[100];
	size_t size = json_dumpb(value, text, sizeof(text) - 1, JSON_ENCODE_ANY);

	text[size] = '\0';
	assert_string_equal(text, expected);
	json_decref(value);
}

static void test_any_bytes_become_json(void **state)
{
	(void)state;
	assert_json(output_json_text(SLICE("gr\303\266\303\237e")), "\"gr\303\266\303\237e\"");
	assert_json(output_json_text(SLICE("a\377\"b")), "\"a?\\\"b\"");
	assert_json(output_json_text(SLICE("\303\266\377")), "\"\303\266?\"");
	assert_json(output_json_text(SLICE("")), "\"\"");
	assert_json(output_json_text((struct slice) { 0 }), "null");
	assert_json(output_json_offset(0), "0");
	assert_json(output_json_offset(-1), "null");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_stand_right_and_text_left),
		cmocka_unit_test(test_a_table_has_as_many_columns_as_it_may),
		cmocka_unit_test(test_characters_count_and_not_bytes),
		cmocka_unit_test(test_names_of_others_cannot_steer_the_terminal),
		cmocka_unit_test(test_bytes_that_are_no_text_are_replaced),
		cmocka_unit_test(test_any_bytes_become_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
