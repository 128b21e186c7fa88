#include "access/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "access/policy_random_testing.h"

static const struct policy *parse(struct arena *a, const char *text)
{
	struct policy_problems problems;
	const struct policy *policy = NULL;

	if (policy_parse(a, slice_from(text), &policy, &problems))
		fail_msg("%u:%u: %s", problems.items[0].line, problems.items[0].column,
			 problems.items[0].text);
	return policy;
}

static void test_compiled_filters_agree_with_a_slow_look_at_each_rule(void **state)
{
	struct testing_company company;
	struct prng random = { 15 };
	size_t allowed_count = 0, count = 0;
	struct buf text;

	(void)state;
	testing_company_init(&company);
	buf_init(&text);
	for (int round = 0; round < 400; round++) {
		const struct policy *policy;
		struct compiler *c;
		struct arena a;

		arena_init(&a);
		random_policy(&random, &text);
		policy = parse(&a, arena_text(&a, buf_slice(&text)));
		assert_int_equal(compiler_new(policy, &company.world, &c), OK);
		for (size_t machine = 0; machine < 7; machine++) {
			struct compiled_filter filter;

			compiler_filter(c, &a, machine, &filter);
			for (int i = 0; i < 60; i++) {
				bool allowed;

				if (!random_question_agrees(&random, policy, &company, &filter,
							    machine, &allowed))
					fail_msg("machine %zu: %.*s", machine,
						 SLICE_ARG(buf_slice(&text)));
				allowed_count += allowed;
				count++;
			}
		}
		compiler_free(c);
		arena_done(&a);
	}
	buf_done(&text);
	assert_true(allowed_count > count / 20 && allowed_count < count / 2);
}

static void test_who_may_not_talk_does_not_see_each_other(void **state)
{
	static const bool expected[7][7] = {
		/* laptop, phone, desk, web, db, office, exit */
		[0] = { [1] = true, [3] = true },
		[1] = { [0] = true, [3] = true },
		[2] = { [5] = true },
		[3] = { [0] = true, [1] = true, [4] = true },
		[4] = { [3] = true },
		[5] = { [2] = true },
	};
	struct testing_company company;
	struct compiler *c;
	struct arena a;

	(void)state;
	testing_company_init(&company);
	arena_init(&a);
	assert_int_equal(
		compiler_new(
			parse(&a,
			      "{\"tagOwners\": {\"tag:web\": [], \"tag:db\": []}, \"allow\": ["
			      "{\"src\": [\"alice@example.com\"], \"dst\": [\"tag:web:443\"]},"
			      "{\"src\": [\"tag:web\"], \"dst\": [\"tag:db\"], \"app\": "
			      "{\"example.com/cap/read\": [{\"table\": 1}]}},"
			      "{\"src\": [\"10.1.0.0/24\"], \"dst\": [\"desk:9\"]},"
			      "{\"src\": [\"autogroup:member\"], \"dst\": [\"autogroup:self:*\"]}],"
			      "\"forbid\": [{\"src\": [\"*\"], \"dst\": [\"exit:*\"]},"
			      "{\"src\": [\"exit\"], \"dst\": [\"*:*\"]}]}"),
			&company.world, &c),
		OK);
	for (size_t i = 0; i < 7; i++)
		for (size_t j = 0; j < 7; j++)
			if (i != j && compiler_sees(c, i, j) != expected[i][j])
				fail_msg("%zu and %zu", i, j);
	compiler_free(c);
	arena_done(&a);
}

static void test_equal_parts_become_one_rule(void **state)
{
	struct testing_company company;
	struct compiled_filter filter;
	struct compiler *c;
	struct arena a;

	(void)state;
	testing_company_init(&company);
	arena_init(&a);
	assert_int_equal(
		compiler_new(parse(&a,
				   "{\"allow\": [{\"src\": [\"laptop\", \"phone\"], \"dst\": "
				   "[\"desk:*\"]}, {\"src\": [\"desk\"], \"dst\": [\"web:22\"]}]}"),
			     &company.world, &c),
		OK);
	compiler_filter(c, &a, 2, &filter);
	assert_int_equal(filter.rule_count, 1);
	assert_int_equal(filter.rules[0].protocol_count, 0);
	assert_int_equal(filter.rules[0].source_count, 2); /* 100.64.0.1-2 and the same of IPv6 */
	assert_int_equal(filter.rules[0].destination_count, 2);
	compiler_filter(c, &a, 3, &filter);
	assert_int_equal(filter.rule_count, 1);
	assert_int_equal(filter.rules[0].protocol_count, 2); /* TCP and UDP */
	compiler_filter(c, &a, 4, &filter);
	assert_int_equal(filter.rule_count, 0);
	compiler_free(c);
	arena_done(&a);
}

static void test_capabilities_are_granted_and_forbidden(void **state)
{
	struct testing_company company;
	struct compiled_filter filter;
	struct compiler *c;
	struct arena a;
	char text[IP_RANGE_TEXT_BYTES];

	(void)state;
	testing_company_init(&company);
	arena_init(&a);
	assert_int_equal(
		compiler_new(
			parse(&a,
			      "{\"allow\": [{\"src\": [\"autogroup:member\"], \"dst\": [\"db\"], "
			      "\"app\": {\"example.com/cap/read\": [{\"table\": \"a\", }]}}],"
			      "\"forbid\": [{\"src\": [\"alice@example.com\", "
			      "\"carol@example.com\"], "
			      "\"dst\": [\"*\"], \"app\": {\"example.com/cap/read\": []}}]}"),
			&company.world, &c),
		OK);
	compiler_filter(c, &a, 4, &filter);
	assert_int_equal(filter.rule_count, 0);
	assert_int_equal(filter.grant_count, 1);
	assert_int_equal(filter.grants[0].source_count, 2);
	ip_range_text(&filter.grants[0].sources[0], text);
	assert_string_equal(text, "100.64.0.3");
	assert_true(slice_equal(filter.grants[0].capability->values, SLICE("[{\"table\":\"a\"}]")));
	compiler_free(c);
	arena_done(&a);
}

static void test_a_machine_is_told_where_it_has_a_capability(void **state)
{
	static const char text[] =
		"{\"allow\": [{\"src\": [\"autogroup:member\"], \"dst\": [\"db\", \"web\"], "
		"\"app\": {\"example.com/cap/read\": []}},"
		"{\"src\": [\"*\"], \"dst\": [\"desk\"], \"app\": {\"example.com/cap/other\": "
		"[]}}],"
		"\"forbid\": [{\"src\": [\"bob@example.com\"], "
		"\"dst\": [\"web\"], \"app\": {\"example.com/cap/read\": []}}]}";
	struct slice read = SLICE("example.com/cap/read");
	struct testing_company company;
	const uint64_t *granted;
	struct compiler *c;
	struct arena a;

	(void)state;
	testing_company_init(&company);
	arena_init(&a);
	assert_int_equal(compiler_new(parse(&a, text), &company.world, &c), OK);
	for (int i = 0; i < 2; i++) { /* the second time from what is remembered */
		granted = compiler_granted(c, &a, 0, read);
		assert_non_null(granted);
		assert_int_equal(granted[0], 1 << 3 | 1 << 4);
		assert_int_equal(compiler_granted(c, &a, 2, read)[0], 1 << 4);
	}
	/* Tagged machines are no members. */
	assert_null(compiler_granted(c, &a, 3, read));
	compiler_free(c);
	arena_done(&a);
}

/* Nobody waits for a policy that is made to take for ever; what was not looked at is denied. */
static void test_a_policy_that_takes_too_long_is_denied(void **state)
{
	struct testing_company company;
	struct compiled_filter filter;
	bool is_exceeded = false;
	struct compiler *c;
	struct buf text;
	struct arena a;

	(void)state;
	testing_company_init(&company);
	arena_init(&a);
	buf_init(&text);
	buf_add_text(&text, "{\"allow\":[");
	for (int i = 0; i < POLICY_RULES_MAX; i++) {
		buf_add_format(&text, "%s{\"src\":[\"*\"],\"dst\":[\"db:%d", i ? "," : "", i + 1);
		for (int j = 0; j < 30; j++)
			buf_add_format(&text, ",%d", 2000 + i * 31 + j * 2);
		buf_add_text(&text, "\"]}");
	}
	buf_add_text(&text, "]}");
	assert_int_equal(compiler_new(parse(&a, arena_text(&a, buf_slice(&text))), &company.world,
				      &c),
			 OK);
	compiler_filter(c, &a, 4, &filter);
	assert_true(compiler_steps(c, &is_exceeded) > COMPILE_STEPS_MAX);
	assert_true(is_exceeded);
	assert_false(compiled_allows(&filter, testing_ip("100.64.0.1"), testing_ip("100.64.0.5"),
				     17, 33000));
	compiler_free(c);
	buf_done(&text);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compiled_filters_agree_with_a_slow_look_at_each_rule),
		cmocka_unit_test(test_who_may_not_talk_does_not_see_each_other),
		cmocka_unit_test(test_equal_parts_become_one_rule),
		cmocka_unit_test(test_capabilities_are_granted_and_forbidden),
		cmocka_unit_test(test_a_machine_is_told_where_it_has_a_capability),
		cmocka_unit_test(test_a_policy_that_takes_too_long_is_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
