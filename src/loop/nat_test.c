/* In a network namespace of its own: skipped where there may be none, or no nft to look with. */
#include "loop/nat.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_there;

static int set_up(void **state)
{
	(void)state;
	is_there = unshare(CLONE_NEWNET) == 0 && system("nft list ruleset >/dev/null 2>&1") == 0;
	return 0;
}

static void list_rules(char ret[4096])
{
	FILE *nft = popen("nft list ruleset", "re");

	assert_non_null(nft);
	ret[fread(ret, 1, 4095, nft)] = '\0';
	assert_int_equal(pclose(nft), 0);
}

static void test_what_comes_from_the_mesh_is_translated(void **state)
{
	struct ip_prefix sources[2];
	char rules[4096];

	(void)state;
	if (!is_there)
		skip();
	assert_int_equal(ip_prefix_parse(SLICE("100.64.0.0/10"), &sources[0]), OK);
	assert_int_equal(ip_prefix_parse(SLICE("fd7a:115c:a1e0::/48"), &sources[1]), OK);
	assert_int_equal(nat_open("hanse0", sources, 2), OK);
	assert_int_equal(nat_open("hanse0", sources, 2), OK); /* and only once */
	list_rules(rules);
	char *first = strstr(rules, "ip saddr 100.64.0.0/10 oifname != \"hanse0\" masquerade");
	assert_non_null(first);
	assert_null(strstr(first + 1, "ip saddr 100.64.0.0/10"));
	assert_non_null(
		strstr(rules, "ip6 saddr fd7a:115c:a1e0::/48 oifname != \"hanse0\" masquerade"));
	assert_non_null(strstr(rules, "type nat hook postrouting priority srcnat"));
	nat_close();
	list_rules(rules);
	assert_string_equal(rules, "");
	nat_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_comes_from_the_mesh_is_translated),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
