#include "streams/catalog/denials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;
static struct guard guard;
static struct denials denials;

static const struct grant all[] = {
	{ GRANT_TOPIC,
	  GRANT_PREFIXED,
	  { (const uint8_t *)"ord", 3 },
	  { (const uint8_t *)"User:bob", 8 },
	  { (const uint8_t *)"*", 1 },
	  GRANT_WRITE,
	  GRANT_FORBID },
	{ GRANT_TOPIC,
	  GRANT_LITERAL,
	  { (const uint8_t *)"orders", 6 },
	  { (const uint8_t *)"User:bob", 8 },
	  { (const uint8_t *)"*", 1 },
	  GRANT_READ,
	  GRANT_ALLOW },
};

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	guard_init(&guard);
	guard.grants = grants_new(all, sizeof(all) / sizeof(all[0]));
	guard.is_stale = false;
	denials = (struct denials) { 0 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_done(&guard);
	arena_done(&arena);
	return 0;
}

static bool ask(enum grant_operation operation, const char *name, const struct denial **ret)
{
	const struct guard_caller bob = { SLICE("User:bob"), SLICE("192.0.2.1") };

	return denials_ask(&denials, &arena, &guard, &bob, operation, GRANT_TOPIC, slice_from(name),
			   ret);
}

static void test_what_is_allowed_is_not_noted(void **state)
{
	const struct denial *noted;

	(void)state;
	assert_true(ask(GRANT_READ, "orders", &noted));
	assert_null(noted);
	assert_int_equal(denials.count, 0);
}

static void test_a_denial_says_which_rule_decided(void **state)
{
	const struct denial *noted;

	(void)state;
	assert_false(ask(GRANT_WRITE, "orders", &noted));
	assert_true(
		slice_equal(noted->rule,
			    SLICE("DENY WRITE of TOPIC \"ord\" (PREFIXED) to User:bob from *")));
	assert_true(slice_equal(noted->name, SLICE("orders")));
	assert_false(ask(GRANT_DELETE, "orders", &noted));
	assert_true(slice_equal(noted->rule, GUARD_NO_RULE));
	assert_int_equal(noted->operation, GRANT_DELETE);
	assert_int_equal(noted->resource, GRANT_TOPIC);
	assert_int_equal(denials.count, 2);
}

static void test_the_same_is_noted_once(void **state)
{
	const struct denial *noted;

	(void)state;
	assert_false(ask(GRANT_WRITE, "orders", &noted));
	assert_non_null(noted);
	assert_false(ask(GRANT_WRITE, "orders", &noted));
	assert_null(noted);
	assert_false(ask(GRANT_WRITE, "others", &noted));
	assert_non_null(noted);
	assert_int_equal(denials.count, 2);
	assert_int_equal(denials.dropped, 0);
}

static void test_what_is_too_much_is_counted(void **state)
{
	char name[32];

	(void)state;
	for (int i = 0; i < DENIALS_MAX + 3; i++) {
		snprintf(name, sizeof(name), "topic-%d", i);
		assert_false(ask(GRANT_READ, name, NULL));
	}
	assert_int_equal(denials.count, DENIALS_MAX);
	assert_int_equal(denials.dropped, 3);
}

static void test_what_is_not_noted_takes_no_memory(void **state)
{
	(void)state;
	assert_false(ask(GRANT_WRITE, "orders", NULL));
	size_t used = arena.used;
	for (int i = 0; i < 1000; i++)
		assert_false(ask(GRANT_WRITE, "orders", NULL));
	denials.count = DENIALS_MAX;
	assert_false(ask(GRANT_WRITE, "order-lines", NULL));
	assert_int_equal(denials.dropped, 1);
	assert_int_equal(arena.used, used);
}

static void test_names_and_rules_of_others_are_cut(void **state)
{
	static uint8_t long_text[3000];
	const struct denial it = {
		.operation = GRANT_READ,
		.resource = GRANT_GROUP,
		.name = { long_text, sizeof(long_text) },
		.rule = { long_text, sizeof(long_text) },
	};

	(void)state;
	const struct denial *noted = denials_note(&denials, &arena, &it);
	assert_int_equal(noted->name.size, DENIAL_NAME_BYTES_MAX);
	assert_int_equal(noted->rule.size, DENIAL_RULE_BYTES_MAX);
	assert_null(denials_note(&denials, &arena, &it));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_allowed_is_not_noted),
		TEST(test_a_denial_says_which_rule_decided),
		TEST(test_the_same_is_noted_once),
		TEST(test_what_is_too_much_is_counted),
		TEST(test_what_is_not_noted_takes_no_memory),
		TEST(test_names_and_rules_of_others_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
