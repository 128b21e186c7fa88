#include "wire/kafka/client_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void check(const char *client_id, const char *site)
{
	struct slice found = client_id_site(slice_from(client_id));

	if (!slice_equal(found, slice_from(site)))
		fail_msg("%s: site \"%.*s\", not \"%s\"", client_id, SLICE_ARG(found), site);
}

static void test_every_spelling_is_understood(void **state)
{
	(void)state;
	check("ws_az=a", "a");
	check("warpstream_az=us-east-1a", "us-east-1a");
	check("diskless_az=a", "a");
	check("automq_az=a", "a");
	check("zone=a", "a");
	check("az=a", "a");
	check("hanse_site=north", "north");
}

static void test_other_words_are_only_a_name(void **state)
{
	(void)state;
	check("", "");
	check("rdkafka", "");
	check("zone", "");
	check("north", "");
	check("ws_host_override=10.0.0.1", "");
	check("my_zone=a", "");
	check("ZONE=a", "");
	check("az-1=a,azure=b", "");
}

static void test_the_site_may_stand_anywhere(void **state)
{
	(void)state;
	check("orders-7,hanse_site=north", "north");
	check("hanse_site=north,orders-7", "north");
	check("ws_host_override=h,warpstream_proxy_target=produce,ws_az=b", "b");
	check(" orders , zone = a b , x", "a b");
	check(",,,az=a,,", "a");
}

static void test_the_first_site_counts(void **state)
{
	(void)state;
	check("zone=a,az=b", "a");
	check("zone=,az=b", "b");
	check("zone= ,az=b", "b");
	check("zone==a", "=a");
	check("zone=a=b", "a=b");
}

static void test_a_site_that_no_agent_can_have_is_none(void **state)
{
	char text[CLIENT_ID_SITE_BYTES_MAX + 8] = "az=";

	(void)state;
	memset(text + 3, 'x', CLIENT_ID_SITE_BYTES_MAX);
	assert_int_equal(client_id_site(slice_from(text)).size, CLIENT_ID_SITE_BYTES_MAX);
	text[3 + CLIENT_ID_SITE_BYTES_MAX] = 'x';
	check(text, "");
}

static void test_no_client_id_has_no_site(void **state)
{
	(void)state;
	assert_int_equal(client_id_site((struct slice) { 0 }).size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_spelling_is_understood),
		cmocka_unit_test(test_other_words_are_only_a_name),
		cmocka_unit_test(test_the_site_may_stand_anywhere),
		cmocka_unit_test(test_the_first_site_counts),
		cmocka_unit_test(test_a_site_that_no_agent_can_have_is_none),
		cmocka_unit_test(test_no_client_id_has_no_site),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
