#include "access/grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct grant grant_of(enum grant_permission permission, const char *principal,
			     enum grant_operation operation, enum grant_resource resource,
			     enum grant_pattern pattern, const char *name)
{
	return (struct grant) {
		.resource = resource,
		.pattern = pattern,
		.name = slice_from(name),
		.principal = slice_from(principal),
		.host = GRANT_ANY_NAME,
		.operation = operation,
		.permission = permission,
	};
}

#define ALLOW(principal, operation, pattern, name)                                                 \
	grant_of(GRANT_ALLOW, principal, operation, GRANT_TOPIC, pattern, name)
#define FORBID(principal, operation, pattern, name)                                                \
	grant_of(GRANT_FORBID, principal, operation, GRANT_TOPIC, pattern, name)

static bool may(const struct grants *g, const char *principal, enum grant_operation operation,
		const char *topic)
{
	return grants_decide(g,
			     &(struct grant_question) {
				     .principal = slice_from(principal),
				     .host = SLICE("192.0.2.1"),
				     .operation = operation,
				     .resource = GRANT_TOPIC,
				     .name = slice_from(topic),
			     })
		.is_allowed;
}

static void test_what_no_grant_allows_is_denied(void **state)
{
	struct grants *g = grants_new(NULL, 0);

	(void)state;
	assert_false(may(g, "User:a", GRANT_READ, "orders"));
	grants_free(g);
}

static void test_literal_prefixed_and_every_name(void **state)
{
	struct grant all[] = {
		ALLOW("User:a", GRANT_READ, GRANT_LITERAL, "orders"),
		ALLOW("User:b", GRANT_READ, GRANT_PREFIXED, "ord"),
		ALLOW("User:c", GRANT_READ, GRANT_LITERAL, "*"),
		ALLOW("User:*", GRANT_WRITE, GRANT_LITERAL, "inbox"),
	};
	struct grants *g = grants_new(all, 4);

	(void)state;
	assert_true(may(g, "User:a", GRANT_READ, "orders"));
	assert_false(may(g, "User:a", GRANT_READ, "orders2"));
	assert_false(may(g, "User:a", GRANT_WRITE, "orders"));
	assert_true(may(g, "User:b", GRANT_READ, "orders2"));
	assert_true(may(g, "User:b", GRANT_READ, "ord"));
	assert_false(may(g, "User:b", GRANT_READ, "or"));
	assert_true(may(g, "User:c", GRANT_READ, "anything"));
	assert_true(may(g, "User:whoever", GRANT_WRITE, "inbox"));
	assert_int_equal(grants_count(g), 4);
	grants_free(g);
}

static void test_what_is_forbidden_stays_so_whatever_allows_it(void **state)
{
	struct grant all[] = {
		ALLOW("User:a", GRANT_ALL, GRANT_LITERAL, "orders"),
		ALLOW("User:*", GRANT_ALL, GRANT_LITERAL, "*"),
		FORBID("User:a", GRANT_WRITE, GRANT_PREFIXED, "ord"),
		FORBID("User:b", GRANT_ALL, GRANT_LITERAL, "*"),
	};
	struct grants *g = grants_new(all, 4);

	(void)state;
	assert_true(may(g, "User:a", GRANT_READ, "orders"));
	assert_false(may(g, "User:a", GRANT_WRITE, "orders"));
	assert_true(may(g, "User:a", GRANT_WRITE, "other"));
	assert_true(may(g, "User:a", GRANT_DESCRIBE, "orders"));
	assert_false(may(g, "User:b", GRANT_DESCRIBE, "orders"));
	grants_free(g);
}

static void test_some_operations_imply_describing(void **state)
{
	static const enum grant_operation describing[] = { GRANT_READ, GRANT_WRITE, GRANT_DELETE,
							   GRANT_ALTER };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct grant one = ALLOW("User:a", describing[i], GRANT_LITERAL, "t");
		struct grants *g = grants_new(&one, 1);
		assert_true(may(g, "User:a", GRANT_DESCRIBE, "t"));
		assert_false(may(g, "User:a", GRANT_DESCRIBE_CONFIGS, "t"));
		grants_free(g);
	}
	struct grant configs = ALLOW("User:a", GRANT_ALTER_CONFIGS, GRANT_LITERAL, "t");
	struct grants *g = grants_new(&configs, 1);
	assert_true(may(g, "User:a", GRANT_DESCRIBE_CONFIGS, "t"));
	assert_false(may(g, "User:a", GRANT_DESCRIBE, "t"));
	grants_free(g);
}

static void test_forbidding_reading_does_not_forbid_describing(void **state)
{
	struct grant all[] = { ALLOW("User:a", GRANT_DESCRIBE, GRANT_LITERAL, "t"),
			       FORBID("User:a", GRANT_READ, GRANT_LITERAL, "t") };
	struct grants *g = grants_new(all, 2);

	(void)state;
	assert_true(may(g, "User:a", GRANT_DESCRIBE, "t"));
	assert_false(may(g, "User:a", GRANT_READ, "t"));
	grants_free(g);
}

static void test_a_host_counts(void **state)
{
	struct grant one = ALLOW("User:a", GRANT_READ, GRANT_LITERAL, "t");
	one.host = SLICE("192.0.2.2");
	struct grants *g = grants_new(&one, 1);

	(void)state;
	assert_false(may(g, "User:a", GRANT_READ, "t"));
	grants_free(g);
	one.host = SLICE("192.0.2.1");
	g = grants_new(&one, 1);
	assert_true(may(g, "User:a", GRANT_READ, "t"));
	grants_free(g);
}

static bool may_write_any(const struct grant *all, size_t count, const char *principal)
{
	struct grants *g = grants_new(all, count);
	bool ret = grants_allow_any(g, &(struct grant_question) {
					       .principal = slice_from(principal),
					       .host = SLICE("192.0.2.1"),
					       .operation = GRANT_WRITE,
					       .resource = GRANT_TOPIC,
				       });
	grants_free(g);
	return ret;
}

static void test_some_name_may_be_written(void **state)
{
	struct grant all[] = {
		ALLOW("User:a", GRANT_WRITE, GRANT_LITERAL, "t"),
		FORBID("User:a", GRANT_WRITE, GRANT_LITERAL, "t"),
		ALLOW("User:b", GRANT_WRITE, GRANT_PREFIXED, "team-"),
		FORBID("User:b", GRANT_WRITE, GRANT_LITERAL, "team-secret"),
		ALLOW("User:c", GRANT_WRITE, GRANT_LITERAL, "x-1"),
		FORBID("User:*", GRANT_WRITE, GRANT_PREFIXED, "x-"),
	};

	(void)state;
	assert_false(may_write_any(all, 6, "User:a"));
	assert_true(may_write_any(all, 6, "User:b"));
	assert_false(may_write_any(all, 6, "User:c"));
	assert_false(may_write_any(all, 6, "User:d"));
	assert_true(may_write_any(all, 1, "User:a"));
}

static void test_names_that_grants_speak_of(void **state)
{
	struct grant all[] = { FORBID("User:a", GRANT_WRITE, GRANT_LITERAL, "t"),
			       ALLOW("User:b", GRANT_WRITE, GRANT_PREFIXED, "team-") };
	struct grants *g = grants_new(all, 2);

	(void)state;
	assert_true(grants_speak_of(g, GRANT_TOPIC, SLICE("t")));
	assert_true(grants_speak_of(g, GRANT_TOPIC, SLICE("team-x")));
	assert_false(grants_speak_of(g, GRANT_TOPIC, SLICE("other")));
	assert_false(grants_speak_of(g, GRANT_GROUP, SLICE("t")));
	grants_free(g);
}

static void test_filters_find_what_they_say(void **state)
{
	struct grant literal = ALLOW("User:a", GRANT_READ, GRANT_LITERAL, "orders");
	struct grant prefixed = ALLOW("User:a", GRANT_READ, GRANT_PREFIXED, "ord");
	struct grant every = ALLOW("User:b", GRANT_WRITE, GRANT_LITERAL, "*");
	struct grant filter = {
		.resource = GRANT_RESOURCE_ANY,
		.pattern = GRANT_PATTERN_ANY,
		.operation = GRANT_OPERATION_ANY,
		.permission = GRANT_PERMISSION_ANY,
	};

	(void)state;
	assert_true(grant_fits(&literal, &filter) && grant_fits(&prefixed, &filter) &&
		    grant_fits(&every, &filter));
	filter.name = SLICE("orders");
	assert_true(grant_fits(&literal, &filter));
	assert_false(grant_fits(&prefixed, &filter) || grant_fits(&every, &filter));
	filter.pattern = GRANT_PATTERN_MATCH;
	assert_true(grant_fits(&literal, &filter) && grant_fits(&prefixed, &filter) &&
		    grant_fits(&every, &filter));
	filter.pattern = GRANT_PREFIXED;
	filter.name = SLICE("ord");
	assert_true(grant_fits(&prefixed, &filter));
	assert_false(grant_fits(&literal, &filter));
	filter = literal;
	assert_true(grant_fits(&literal, &filter));
	filter.principal = SLICE("User:b");
	assert_false(grant_fits(&literal, &filter));
	filter = literal;
	filter.permission = GRANT_FORBID;
	assert_false(grant_fits(&literal, &filter));
}

static void test_grants_that_cannot_be_are_refused(void **state)
{
	struct grant good = ALLOW("User:a", GRANT_READ, GRANT_LITERAL, "t"), bad;

	(void)state;
	assert_int_equal(grant_check(&good), OK);
	bad = good;
	bad.principal = SLICE("a");
	assert_int_equal(grant_check(&bad), ERR_INVALID);
	bad = good;
	bad.name = SLICE("");
	assert_int_equal(grant_check(&bad), ERR_INVALID);
	bad = good;
	bad.pattern = GRANT_PATTERN_MATCH;
	assert_int_equal(grant_check(&bad), ERR_INVALID);
	bad = good;
	bad.operation = GRANT_CLUSTER_ACTION; /* topics know no such thing */
	assert_int_equal(grant_check(&bad), ERR_INVALID);
	bad = good;
	bad.operation = (enum grant_operation)99;
	assert_int_equal(grant_check(&bad), ERR_INVALID);
	bad = good;
	bad.resource = GRANT_CLUSTER;
	assert_int_equal(grant_check(&bad), ERR_INVALID);
	bad.name = GRANT_CLUSTER_NAME;
	bad.operation = GRANT_ALTER;
	assert_int_equal(grant_check(&bad), OK);
	bad.permission = GRANT_PERMISSION_ANY;
	assert_int_equal(grant_check(&bad), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_no_grant_allows_is_denied),
		cmocka_unit_test(test_literal_prefixed_and_every_name),
		cmocka_unit_test(test_what_is_forbidden_stays_so_whatever_allows_it),
		cmocka_unit_test(test_some_operations_imply_describing),
		cmocka_unit_test(test_forbidding_reading_does_not_forbid_describing),
		cmocka_unit_test(test_a_host_counts),
		cmocka_unit_test(test_some_name_may_be_written),
		cmocka_unit_test(test_names_that_grants_speak_of),
		cmocka_unit_test(test_filters_find_what_they_say),
		cmocka_unit_test(test_grants_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
