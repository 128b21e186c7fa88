#include "streams/agent/racks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct hash128 client(uint64_t number)
{
	return (struct hash128) { number * 7, number };
}

static void check(const struct racks *racks, uint64_t number, const char *rack)
{
	assert_true(slice_equal(racks_find(racks, client(number)), slice_from(rack)));
}

static void test_the_last_rack_of_a_client_is_known(void **state)
{
	struct racks *racks = racks_new();

	(void)state;
	check(racks, 1, "");
	racks_remember(racks, client(1), SLICE("north"));
	racks_remember(racks, client(2), SLICE("south"));
	check(racks, 1, "north");
	racks_remember(racks, client(1), SLICE("east"));
	check(racks, 1, "east");
	check(racks, 2, "south");
	check(racks, 3, "");
	racks_free(racks);
}

static void test_the_first_of_too_many_clients_is_forgotten(void **state)
{
	struct racks *racks = racks_new();

	(void)state;
	for (uint64_t i = 0; i < RACKS_MAX; i++)
		racks_remember(racks, client(i), SLICE("here"));
	check(racks, 0, "here");
	racks_remember(racks, client(RACKS_MAX), SLICE("here"));
	check(racks, 0, "");
	check(racks, 1, "here");
	check(racks, RACKS_MAX, "here");
	racks_free(racks);
}

static void test_a_rack_that_can_be_no_site_is_none(void **state)
{
	static uint8_t text[RACK_BYTES_MAX + 1];
	struct racks *racks = racks_new();

	(void)state;
	racks_remember(racks, client(1), (struct slice) { text, sizeof(text) });
	check(racks, 1, "");
	racks_remember(racks, client(1), (struct slice) { text, sizeof(text) - 1 });
	assert_int_equal(racks_find(racks, client(1)).size, RACK_BYTES_MAX);
	racks_remember(racks, client(1), SLICE(""));
	assert_int_equal(racks_find(racks, client(1)).size, RACK_BYTES_MAX);
	racks_free(racks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_rack_of_a_client_is_known),
		cmocka_unit_test(test_the_first_of_too_many_clients_is_forgotten),
		cmocka_unit_test(test_a_rack_that_can_be_no_site_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
