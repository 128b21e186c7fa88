#include "streams/catalog/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena arena;
static struct guard guard;

#define TEXT(literal)                                                                              \
	{                                                                                          \
		(const uint8_t *)(literal), sizeof(literal) - 1                                    \
	}

static const struct grant all[] = {
	{ GRANT_TOPIC, GRANT_PREFIXED, TEXT("ord"), TEXT("User:bob"), TEXT("*"), GRANT_WRITE,
	  GRANT_ALLOW },
	{ GRANT_TOPIC, GRANT_LITERAL, TEXT("orders"), TEXT("User:*"), TEXT("192.0.2.9"),
	  GRANT_WRITE, GRANT_FORBID },
	{ GRANT_CLUSTER, GRANT_LITERAL, TEXT("kafka-cluster"), TEXT("User:eve"), TEXT("*"),
	  GRANT_CREATE, GRANT_ALLOW },
};

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	guard_init(&guard);
	guard.grants = grants_new(all, sizeof(all) / sizeof(all[0]));
	guard.is_stale = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_done(&guard);
	arena_done(&arena);
	return 0;
}

static struct guard_reason ask(const char *principal, const char *host,
			       enum grant_operation operation, enum grant_resource resource,
			       const char *name)
{
	const struct guard_caller who = { slice_from(principal), slice_from(host) };

	return guard_reason(&arena, &guard, &who, operation, resource, slice_from(name));
}

static void expect(struct guard_reason r, bool is_allowed, const char *text)
{
	assert_int_equal(r.is_allowed, is_allowed);
	assert_string_equal(r.text, text);
}

static void test_the_access_list_that_decides_is_named(void **state)
{
	(void)state;
	struct guard_reason r = ask("User:bob", "192.0.2.1", GRANT_WRITE, GRANT_TOPIC, "orders");
	expect(r, true,
	       "User:bob may WRITE TOPIC orders: ALLOW WRITE of TOPIC \"ord\" (PREFIXED) to "
	       "User:bob from *");
	assert_string_equal(r.rule, "ALLOW WRITE of TOPIC \"ord\" (PREFIXED) to User:bob from *");
	expect(ask("User:bob", "192.0.2.9", GRANT_WRITE, GRANT_TOPIC, "orders"), false,
	       "User:bob may not WRITE TOPIC orders: DENY WRITE of TOPIC \"orders\" (LITERAL) "
	       "to User:* from 192.0.2.9");
}

static void test_where_there_are_users_no_rule_is_a_denial(void **state)
{
	(void)state;
	struct guard_reason r = ask("User:bob", "192.0.2.1", GRANT_READ, GRANT_GROUP, "g");
	expect(r, false,
	       "User:bob may not READ GROUP g: no rule; no access list allows it, which takes one "
	       "where there are users");
	assert_null(r.rule);
	expect(ask("User:ANONYMOUS", "::1", GRANT_READ, GRANT_TOPIC, "x"), false,
	       "User:ANONYMOUS may not READ TOPIC x: who does not sign in is not served where "
	       "there are users");
}

static void test_without_users_it_depends_on_whether_a_list_is_about_it(void **state)
{
	(void)state;
	guard.has_users = false;
	assert_true(ask("User:ANONYMOUS", "::1", GRANT_READ, GRANT_TOPIC, "x").is_allowed);
	expect(ask("User:eve", "::1", GRANT_READ, GRANT_TOPIC, "orders"), false,
	       "User:eve may not READ TOPIC orders: no rule; there are no users, but access lists "
	       "are about it, and none of them allows this");
}

static void test_what_requests_ask_besides_counts(void **state)
{
	(void)state;
	expect(ask("User:eve", "::1", GRANT_CREATE, GRANT_TOPIC, "new"), true,
	       "User:eve may CREATE TOPIC new: as who may CREATE the cluster: ALLOW CREATE of "
	       "CLUSTER \"kafka-cluster\" (LITERAL) to User:eve from *");
	expect(ask("User:bob", "::1", GRANT_IDEMPOTENT_WRITE, GRANT_CLUSTER, "kafka-cluster"), true,
	       "User:bob may IDEMPOTENT_WRITE CLUSTER kafka-cluster: as who may WRITE some topic");
	assert_false(ask("User:eve", "::1", GRANT_IDEMPOTENT_WRITE, GRANT_CLUSTER, "kafka-cluster")
			     .is_allowed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_access_list_that_decides_is_named),
		TEST(test_where_there_are_users_no_rule_is_a_denial),
		TEST(test_without_users_it_depends_on_whether_a_list_is_about_it),
		TEST(test_what_requests_ask_besides_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
