#include "cli/prices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static struct prices prices;

#define GOOD "aws-s3 put 0.005 1000-requests 2026-11-21 read https://example.org\n"

static void test_what_is_compiled_in_can_be_read(void **state)
{
	static const char *const stores[] = { "aws-s3", "aws-s3-express", "r2", "b2", "own" };
	static const char *const items[] = { "storage", "put", "get", "list", "delete", "egress" };

	(void)state;
	prices_default(&prices);
	for (size_t i = 0; i < sizeof(stores) / sizeof(*stores); i++)
		for (size_t k = 0; k < sizeof(items) / sizeof(*items); k++)
			assert_non_null(prices_find(&prices, stores[i], items[k]));
	assert_false(prices_has(&prices, "wasabi"));
	assert_false(prices_has(&prices, "hetzner"));
	assert_false(prices_has(&prices, "machine"));
}

static void test_a_price_is_for_one_of_its_unit(void **state)
{
	(void)state;
	prices_default(&prices);
	assert_true(price_each(prices_find(&prices, "aws-s3", "put")) == 0.005 / 1000);
	assert_true(price_each(prices_find(&prices, "r2", "get")) == 0.36 / 1000000);
	assert_true(price_each(prices_find(&prices, "zones", "moved")) == 0.02);
	assert_int_equal(prices_find(&prices, "r2", "get")->state, PRICE_UNCONFIRMED);
	assert_string_equal(prices_find(&prices, "aws-s3", "put")->read_on, "2026-11-21");
	assert_int_equal(prices_find(&prices, "aws-s3", "put")->read_day, 1795219200 / 86400);
}

static void test_rows_of_a_person_take_the_place_of_ours(void **state)
{
	char why[PRICES_WHY_BYTES];

	(void)state;
	prices_default(&prices);
	size_t before = prices.count;
	assert_int_equal(prices_add(&prices,
				    SLICE("# mine\n\n aws-s3\tput 1. GB 2024-02-29 yours -\r\n"
					  "new thing 7 hour 2026-12-31 yours -"),
				    why),
			 OK);
	assert_int_equal(prices.count, before + 1);
	assert_true(price_each(prices_find(&prices, "aws-s3", "put")) == 1);
	assert_true(price_each(prices_find(&prices, "new", "thing")) == 7);
	assert_int_equal(prices_find(&prices, "aws-s3", "put")->read_day, 19782);
}

static void test_a_mistake_is_named_and_changes_nothing(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ GOOD "a b 1 GB 2026-11-21 read", "line 2: a row has seven columns" },
		{ "a b 1 GB 2026-11-21 read x y", "has more" },
		{ "a b -1 GB 2026-11-21 read x", "the price is a number" },
		{ "a b 1e3 GB 2026-11-21 read x", "the price is a number" },
		{ "a b . GB 2026-11-21 read x", "the price is a number" },
		{ "a b 1.2.3 GB 2026-11-21 read x", "the price is a number" },
		{ "a b 1234567890123456 GB 2026-11-21 read x", "the price is a number" },
		{ "a b 1 TB 2026-11-21 read x", "the unit is" },
		{ "a b 1 GB 21-11-2026 read x", "the day" },
		{ "a b 1 GB 2026-02-29 read x", "the day" },
		{ "a b 1 GB 2026-13-01 read x", "the day" },
		{ "a b 1 GB 2026-00-01 read x", "the day" },
		{ "a b 1 GB 1999-01-01 read x", "the day" },
		{ "a b 1 GB 2026-11-21 heard x", "the state is" },
		{ "0123456789012345678901234567890123456789 b 1 GB 2026-11-21 read x",
		  "at most 31 letters" },
	};

	(void)state;
	prices_default(&prices);
	size_t before = prices.count;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char why[PRICES_WHY_BYTES] = "";
		assert_int_equal(prices_add(&prices, slice_from(rows[i].text), why), ERR_INVALID);
		if (!strstr(why, rows[i].why))
			fail_msg("\"%s\" is not in \"%s\"", rows[i].why, why);
		assert_int_equal(prices.count, before);
	}
}

static void test_there_may_not_be_too_many(void **state)
{
	char why[PRICES_WHY_BYTES];
	struct buf text;

	(void)state;
	buf_init(&text);
	for (int i = 0; i < PRICES_MAX + 1; i++)
		buf_add_format(&text, "a b%d 1 GB 2026-11-21 read x\n", i);
	prices.count = 0;
	assert_int_equal(prices_add(&prices, buf_slice(&text), why), ERR_TOO_BIG);
	assert_int_equal(prices.count, 0);
	buf_done(&text);
}

static void test_a_store_is_known_by_its_url(void **state)
{
	static const struct {
		const char *url, *store;
	} rows[] = {
		{ "file:/srv/b", "own" },
		{ "s3://b", "aws-s3" },
		{ "s3://b?region=eu-west-1", "aws-s3" },
		{ "s3://b?endpoint=https://s3.eu-west-1.amazonaws.com&region=eu-west-1", "aws-s3" },
		{ "s3://b--use1-az4--x-s3?region=us-east-1", "aws-s3-express" },
		{ "s3://b?endpoint=https://x.r2.cloudflarestorage.com", "r2" },
		{ "s3://b?endpoint=https://s3.us-west-004.backblazeb2.com", "b2" },
		{ "s3://b?endpoint=http://127.0.0.1:9000", "own" },
		{ "s3://b?endpoint=https://10.1.2.3", "own" },
		{ "s3://b?endpoint=https://s3.wasabisys.com", NULL },
		{ "s3://amazonaws.com?endpoint=https://s3.example.org", NULL },
		{ "gs://b", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *store = prices_store_of(rows[i].url);
		if (rows[i].store)
			assert_string_equal(store, rows[i].store);
		else
			assert_null(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_compiled_in_can_be_read),
		cmocka_unit_test(test_a_price_is_for_one_of_its_unit),
		cmocka_unit_test(test_rows_of_a_person_take_the_place_of_ours),
		cmocka_unit_test(test_a_mistake_is_named_and_changes_nothing),
		cmocka_unit_test(test_there_may_not_be_too_many),
		cmocka_unit_test(test_a_store_is_known_by_its_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
