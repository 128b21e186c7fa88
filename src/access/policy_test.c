#include "access/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "access/decide.h"
#include "access/explain.h"
#include "access/policy_testing.h"

struct desk {
	struct arena a;
	struct testing_company company;
	struct policy_problems problems;
	const struct policy *policy;
};

static int open_desk(void **state)
{
	struct desk *d = NEW(struct desk);

	arena_init(&d->a);
	testing_company_init(&d->company);
	*state = d;
	return 0;
}

static int close_desk(void **state)
{
	struct desk *d = *state;

	arena_done(&d->a);
	memory_free(d);
	return 0;
}

/* Reads and checks; the problems as text, or "" */
static const char *problems_of(struct desk *d, const char *text)
{
	struct buf out;
	const char *ret;

	buf_init(&out);
	d->policy = NULL;
	if (policy_parse(&d->a, slice_from(text), &d->policy, &d->problems) == OK)
		policy_check(d->policy, &d->company.world, &d->problems);
	explain_problems(&d->problems, &out);
	ret = arena_text(&d->a, buf_slice(&out));
	buf_done(&out);
	return ret;
}

static void use(struct desk *d, const char *text)
{
	assert_string_equal(problems_of(d, text), "");
}

static bool may(struct desk *d, const char *from, const char *to, const char *protocol,
		const char **ret_text)
{
	struct explain e = { d->policy, &d->company.world };
	char why[EXPLAIN_WHY_BYTES] = "";
	bool allowed = false;
	struct buf out;

	buf_init(&out);
	if (explain_pair(&e, slice_from(from), slice_from(to), slice_from(protocol), &out, &allowed,
			 why))
		fail_msg("%s -> %s: %s", from, to, why);
	if (ret_text)
		*ret_text = arena_text(&d->a, buf_slice(&out));
	buf_done(&out);
	return allowed;
}

#define ASSERT_MAY(d, from, to) assert_true(may(d, from, to, "tcp", NULL))
#define ASSERT_MAY_NOT(d, from, to) assert_false(may(d, from, to, "tcp", NULL))

static void test_without_a_policy_everybody_reaches_everything(void **state)
{
	struct desk *d = *state;

	ASSERT_MAY(d, "desk", "db:5432");
	ASSERT_MAY(d, "desk", "10.1.2.3:22");
}

static void test_an_empty_policy_denies_everything(void **state)
{
	struct desk *d = *state;
	const char *text;

	use(d, "{}");
	ASSERT_MAY_NOT(d, "desk", "db:5432");
	may(d, "laptop", "phone:22", "tcp", &text);
	assert_string_equal(text, "laptop may not reach phone tcp port 22\n"
				  "  no rule allows it, and what no rule allows is denied\n");
}

static void test_users_groups_tags_machines_and_networks_are_meant(void **state)
{
	struct desk *d = *state;

	use(d, "{\n"
	       "  // HuJSON: comments, and commas at the end\n"
	       "  \"groups\": {\"group:dev\": [\"alice@example.com\", \"bob@example.com\",],},\n"
	       "  \"hosts\": {\"lan\": \"10.1.0.0/24\"},\n"
	       "  \"tagOwners\": {\"tag:web\": [\"group:dev\"], \"tag:db\": []},\n"
	       "  \"acls\": [\n"
	       "    {\"action\": \"accept\", \"src\": [\"group:dev\"], \"dst\": "
	       "[\"tag:web:80,443\"]},\n"
	       "    {\"action\": \"accept\", \"src\": [\"tag:web\"], \"proto\": \"tcp\",\n"
	       "     \"dst\": [\"tag:db:5432\"]}, /* one more */\n"
	       "    {\"action\": \"accept\", \"src\": [\"desk\"], \"dst\": [\"lan:*\"]},\n"
	       "    {\"action\": \"accept\", \"src\": [\"100.64.0.1\"], \"dst\": "
	       "[\"100.64.0.5:22\"]},\n"
	       "    {\"action\": \"accept\", \"src\": [\"autogroup:member\"], \"dst\": "
	       "[\"autogroup:self:*\", \"autogroup:internet:443\"]},\n"
	       "  ],\n"
	       "}\n");
	ASSERT_MAY(d, "laptop", "web:443");
	ASSERT_MAY(d, "desk", "web:80");
	ASSERT_MAY_NOT(d, "office", "web:80");
	ASSERT_MAY_NOT(d, "laptop", "web:81");
	ASSERT_MAY(d, "web", "db:5432");
	assert_false(may(d, "web", "db:5432", "udp", NULL));
	ASSERT_MAY_NOT(d, "db", "web:80");
	ASSERT_MAY(d, "desk", "10.1.0.200:9");
	ASSERT_MAY_NOT(d, "desk", "10.1.1.0:9");
	ASSERT_MAY(d, "laptop", "db:22");
	ASSERT_MAY_NOT(d, "phone", "db:22");
	ASSERT_MAY(d, "laptop", "phone:1");
	ASSERT_MAY_NOT(d, "laptop", "desk:1");
	ASSERT_MAY_NOT(d, "laptop", "web:1"); /* tagged: no longer hers */
	ASSERT_MAY(d, "laptop", "1.1.1.1:443");
	ASSERT_MAY_NOT(d, "web", "1.1.1.1:443");
	ASSERT_MAY_NOT(d, "laptop", "192.168.1.1:443");
}

static void test_forbid_beats_allow_wherever_it_stands(void **state)
{
	struct desk *d = *state;
	const char *text;

	use(d,
	    "{\"forbid\": [{\"name\": \"no phones\", \"src\": [\"phone\"], \"dst\": "
	    "[\"web:22\"]}],\n"
	    " \"allow\": [\n"
	    "  {\"src\": [\"alice@example.com\"], \"dst\": [\"web\"], \"ip\": [\"tcp:22-80\"]}]}");
	ASSERT_MAY(d, "laptop", "web:22");
	ASSERT_MAY_NOT(d, "phone", "web:22");
	ASSERT_MAY(d, "phone", "web:23");
	may(d, "phone", "web:22", "tcp", &text);
	assert_string_equal(text, "phone may not reach web tcp port 22\n"
				  "  forbidden by line 1 (no phones): phone -> web\n"
				  "  which beats line 3: alice@example.com -> web\n");
	may(d, "phone", "web", "", &text);
	assert_string_equal(
		text, "phone -> web\n"
		      "  forbids tcp, udp, icmp port 22, by line 1 (no phones): phone -> web\n"
		      "  allows tcp ports 22-80, by line 3: alice@example.com -> web\n"
		      "may reach: tcp ports 23-80\n");
	may(d, "laptop", "web:22", "tcp", &text);
	assert_string_equal(text, "laptop may reach web tcp port 22\n"
				  "  allowed by line 3: alice@example.com -> web\n");
}

static void test_mistakes_are_told_with_their_place(void **state)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
		{ "", "1:1: error: there is nothing; an empty policy is {}\n" },
		{ "{\n  \"acls\": [\n    {\"src\": x}\n", "3:13: error: \"x\" needs quotes\n" },
		{ "{\"acls\": []", "1:12: error: a , or } is missing here\n" },
		{ "{/* x", "1:2: error: this comment is not closed; end it with */\n" },
		{ "{\"a\": \"b\n\"}", "1:7: error: this text is not closed; a \" is missing before "
				      "the end of the line\n" },
		{ "{\"hosts\": {}, \"hosts\": {}}",
		  "1:15: error: \"hosts\" occurs twice; join the two\n" },
		{ "[]", "1:1: error: a policy is a list, and must be a object\n" },
		{ "{\"grups\": {}}",
		  "1:2: error: \"grups\" is unknown; did you mean \"groups\"?\n" },
		{ "{\"acls\": [{\"src\": [\"*\"]}]}", "1:11: error: this rule has no \"dst\"\n" },
		{ "{\"acls\": [{\"action\": \"drop\", \"src\": [\"*\"], \"dst\": [\"*:*\"]}]}",
		  "1:22: error: \"action\" is \"accept\" or \"forbid\"\n" },
		{ "{\"acls\": [{\"src\": [\"*\"], \"dst\": [\"web\"]}]}",
		  "1:34: error: \"web\" has no ports; write \"web:22\" or \"web:*\"\n" },
		{ "{\"acls\": [{\"src\": [\"*\"], \"dst\": [\"web:99999\"]}]}",
		  "1:34: error: \"99999\" is not a port from 0 to 65535, a range like 80-90, or "
		  "*\n" },
		{ "{\"groups\": {\"group:dev\": []}, \"acls\": [{\"src\": [\"group:dve\"], "
		  "\"dst\": [\"*:*\"]}]}",
		  "1:49: error: there is no group \"group:dve\"; did you mean \"group:dev\"?\n" },
		{ "{\"groups\": {\"group:a\": [\"group:b\"]}}",
		  "1:25: error: \"group:b\" cannot be in a group: groups hold users; name it in "
		  "the rule beside the group\n" },
		{ "{\"hosts\": {\"a\": \"10.0.0.1/8\"}}",
		  "1:17: error: \"10.0.0.1/8\" is not an address or a network; a network has no "
		  "bits set behind its /\n" },
		{ "{\"allow\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": [\"icmp:7\"]}]}",
		  "1:48: error: this protocol has no ports; write *\n" },
		{ "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": [\"*\"], "
		  "\"srcPosture\": [\"posture:x\"]}]}",
		  "1:55: error: \"srcPosture\" is not served here; without it the rule would "
		  "allow more, so remove the rule or write it without\n" },
		{ "{\"acls\": [{\"src\": [\"autogroup:self\"], \"dst\": [\"*:*\"]}]}",
		  "1:20: error: autogroup:self cannot stand here: it is a destination\n" },
		{ "{\"acls\": [{\"src\": [\"Alice\"], \"dst\": [\"*:*\"]}]}",
		  "1:20: error: \"Alice\" names nobody: write a user (with @, or user:NAME), "
		  "group:NAME, tag:NAME, an address, a name of \"hosts\", or a machine in small "
		  "letters\n" },
		{ "{\"tests\": [{\"src\": \"a@b\", \"deny\": [\"web:*\"]}]}",
		  "1:36: error: a test asks for one port, as in \"tag:web:443\"\n" },
	};
	struct desk *d = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(problems_of(d, cases[i].text), cases[i].problem);
}

static void test_tests_in_the_file_must_pass(void **state)
{
	struct desk *d = *state;

	use(d, "{\"tagOwners\": {\"tag:web\": []},\n"
	       " \"acls\": [{\"action\": \"accept\", \"src\": [\"alice@example.com\"], "
	       "\"dst\": [\"tag:web:443\", \"10.1.0.0/17:22\"]}],\n"
	       " \"tests\": [{\"src\": \"alice@example.com\", \"accept\": [\"tag:web:443\", "
	       "\"10.1.0.0/24:22\"], \"deny\": [\"tag:web:22\", \"10.2.0.0/16:22\"]},\n"
	       "  {\"src\": \"bob@example.com\", \"deny\": [\"tag:web:443\"]}]}");
	assert_string_equal(
		problems_of(d, "{\"tagOwners\": {\"tag:web\": []},\n"
			       " \"acls\": [{\"src\": [\"alice@example.com\"], "
			       "\"dst\": [\"tag:web:443\", \"10.1.0.0/17:22\"]}],\n"
			       " \"tests\": [\n"
			       "  {\"src\": \"alice@example.com\",\n"
			       "   \"accept\": [\"tag:web:22\", \"10.1.0.0/16:22\"],\n"
			       "   \"deny\": [\"tag:web:443\", \"10.0.0.0/8:22\"]}]}"),
		"5:15: error: this test fails: alice@example.com must reach tag:web port 22, but "
		"no rule allows it\n"
		"5:29: error: this test fails: alice@example.com must reach 10.1.0.0/16 port 22, "
		"but no rule allows it\n"
		"6:13: error: this test fails: alice@example.com must not reach tag:web port 443, "
		"but line 2 allows it\n"
		"6:28: error: this test fails: alice@example.com must not reach 10.0.0.0/8 port "
		"22, "
		"but line 2 allows it\n");
}

static void test_what_does_nothing_is_told(void **state)
{
	struct desk *d = *state;

	assert_string_equal(
		problems_of(d,
			    "{\"groups\": {\"group:a\": [\"alice@example.com\"], "
			    "\"group:b\": []},\n"
			    " \"hosts\": {\"lan\": \"10.0.0.0/8\"}, \"ssh\": [],\n"
			    " \"allow\": [\n"
			    "  {\"src\": [\"group:a\"], \"dst\": [\"web:*\"]},\n"
			    "  {\"src\": [\"alice@example.com\"], \"dst\": [\"web:22\"]},\n"
			    "  {\"src\": [\"desk\"], \"dst\": [\"db:22\"], \"proto\": \"tcp\"},\n"
			    "  {\"src\": [\"nobody\"], \"dst\": [\"web:1\"]},\n"
			    "  {\"src\": [], \"dst\": [\"web:1\"]}],\n"
			    " \"forbid\": [{\"src\": [\"*\"], \"dst\": [\"db:*\"]}]}"),
		"2:34: warning: \"ssh\" is not served here and does nothing\n"
		"1:47: warning: nothing names group:b\n"
		"2:12: warning: nothing names the host lan\n"
		"7:12: warning: there is no machine \"nobody\" now; users are written with @ or as "
		"user:NAME\n"
		"8:3: warning: this rule does nothing: its \"src\" is empty\n"
		"5:3: warning: this rule is superfluous: line 4 allows all of it already\n"
		"6:3: warning: this rule never takes effect: line 9 forbids all of it\n");
	assert_int_equal(d->problems.error_count, 0);
}

static void test_owners_and_approvers_are_asked(void **state)
{
	struct desk *d = *state;
	struct subject alice = { .user = SLICE("alice@example.com") };
	struct subject bob = { .user = SLICE("bob@example.com") };
	struct subject web = { .tags = d->company.tags, .tag_count = 1 };
	struct ip_prefix route = { testing_ip("10.1.2.0"), 24 };
	struct ip_prefix other = { testing_ip("10.2.0.0"), 16 };
	struct ip_prefix everywhere = { testing_ip("0.0.0.0"), 0 };

	use(d, "{\"groups\": {\"group:dev\": [\"alice@example.com\"]},\n"
	       " \"tagOwners\": {\"tag:web\": [\"group:dev\"], \"tag:db\": [\"tag:web\"]},\n"
	       " \"autoApprovers\": {\"routes\": {\"10.1.0.0/16\": [\"tag:web\"]}, "
	       "\"exitNode\": [\"bob@example.com\"]}}");
	assert_true(policy_owns_tag(d->policy, SLICE("tag:web"), &alice));
	assert_false(policy_owns_tag(d->policy, SLICE("tag:web"), &bob));
	assert_true(policy_owns_tag(d->policy, SLICE("tag:db"), &web));
	assert_false(policy_owns_tag(d->policy, SLICE("tag:none"), &alice));
	assert_true(policy_approves_route(d->policy, route, &web));
	assert_false(policy_approves_route(d->policy, route, &bob));
	assert_false(policy_approves_route(d->policy, other, &web));
	assert_true(policy_approves_route(d->policy, everywhere, &bob));
	assert_false(policy_approves_route(d->policy, everywhere, &web));
}

static void test_who_can_names_machines_and_rules(void **state)
{
	struct desk *d = *state;
	struct explain e;
	char why[EXPLAIN_WHY_BYTES];
	struct buf out;

	use(d, "{\"allow\": [\n{\"src\": [\"alice@example.com\"], \"dst\": [\"db:5432\"]},\n"
	       "{\"src\": [\"web\"], \"dst\": [\"db\"], \"ip\": [\"tcp:22\"]}]}");
	e = (struct explain) { d->policy, &d->company.world };
	buf_init(&out);
	assert_int_equal(explain_who(&e, SLICE("db:5432"), SLICE(""), &out, why), OK);
	assert_string_equal(arena_text(&d->a, buf_slice(&out)),
			    "laptop (alice@example.com) by line 2: alice@example.com -> db\n"
			    "phone (alice@example.com) by line 2: alice@example.com -> db\n");
	buf_clear(&out);
	assert_int_equal(explain_who(&e, SLICE("db"), SLICE(""), &out, why), OK);
	assert_string_equal(arena_text(&d->a, buf_slice(&out)),
			    "laptop (alice@example.com) tcp port 5432; udp port 5432\n"
			    "phone (alice@example.com) tcp port 5432; udp port 5432\n"
			    "web (tag:web) tcp port 22\n");
	buf_done(&out);
	assert_int_equal(explain_who(&e, SLICE("nothing:1"), SLICE(""), &out, why), ERR_NOT_FOUND);
	assert_string_equal(why, "there is no machine \"nothing\"; see hanse machine list");
}

static void test_a_difference_says_who_gains_and_who_loses(void **state)
{
	struct desk *d = *state;
	struct explain before;
	const struct policy *old;
	struct buf out;

	use(d, "{\"allow\": [{\"src\": [\"desk\"], \"dst\": [\"db\"], \"ip\": [\"tcp:20-30\"]},"
	       "{\"src\": [\"laptop\"], \"dst\": [\"10.1.0.0/24:22\"], \"proto\": \"tcp\"}]}");
	old = d->policy;
	use(d, "{\"allow\": [{\"src\": [\"desk\"], \"dst\": [\"db\"], \"ip\": [\"tcp:25-40\"]},"
	       "{\"src\": [\"laptop\"], \"dst\": [\"10.1.0.0/25:22\"], \"proto\": \"tcp\"}]}");
	before = (struct explain) { old, &d->company.world };
	buf_init(&out);
	assert_int_equal(explain_difference(&before, d->policy, &out), 4);
	assert_string_equal(arena_text(&d->a, buf_slice(&out)),
			    "- desk -> db tcp 20-24\n"
			    "+ desk -> db tcp 31-40\n"
			    "- laptop -> office 10.1.0.128/25 tcp 22\n"
			    "- laptop -> exit 10.1.0.128/25 tcp 22\n");
	buf_clear(&out);
	assert_int_equal(explain_difference(&before, old, &out), 0);
	before.policy = NULL;
	assert_true(explain_difference(&before, old, &out) > 30);
	buf_done(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_desk, close_desk)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_a_policy_everybody_reaches_everything),
		TEST(test_an_empty_policy_denies_everything),
		TEST(test_users_groups_tags_machines_and_networks_are_meant),
		TEST(test_forbid_beats_allow_wherever_it_stands),
		TEST(test_mistakes_are_told_with_their_place),
		TEST(test_tests_in_the_file_must_pass),
		TEST(test_what_does_nothing_is_told),
		TEST(test_owners_and_approvers_are_asked),
		TEST(test_who_can_names_machines_and_rules),
		TEST(test_a_difference_says_who_gains_and_who_loses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
