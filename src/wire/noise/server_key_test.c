#include "wire/noise/server_key.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_the_key_of_a_server_is_written_and_read(void **state)
{
	struct mesh_key key = { { 1, 2, 3 } }, got;
	struct buf json;

	(void)state;
	buf_init(&json);
	server_key_encode(&json, &key);
	assert_int_equal(server_key_decode(buf_slice(&json), &got), OK);
	assert_true(mesh_key_equal(&key, &got));
	buf_done(&json);
}

static void test_a_server_without_a_key_is_none(void **state)
{
	struct mesh_key got;

	(void)state;
	assert_int_equal(server_key_decode(SLICE("<html>"), &got), ERR_INVALID);
	assert_int_equal(server_key_decode(SLICE("[]"), &got), ERR_INVALID);
	assert_int_equal(server_key_decode(SLICE("{\"publicKey\":1}"), &got), ERR_INVALID);
	assert_int_equal(server_key_decode(SLICE("{\"publicKey\":\"nodekey:00\"}"), &got),
			 ERR_INVALID);
	assert_int_equal(server_key_decode(SLICE("{\"publicKey\":\"mkey:00000000000000000000000000"
						 "00000000000000000000000000000000000000\"}"),
					   &got),
			 ERR_INVALID);
	assert_int_equal(server_key_decode((struct slice) { 0 }, &got), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_key_of_a_server_is_written_and_read),
		cmocka_unit_test(test_a_server_without_a_key_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
