#include "base/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_last_reference_frees(void **state)
{
	struct blob *b = blob_new(10);
	struct blob *second = blob_ref(b);

	(void)state;
	assert_int_equal(b->size, 0);
	assert_int_equal(b->capacity, 10);
	assert_ptr_equal(second, b);
	blob_unref(&b);
	assert_null(b);
	assert_int_equal(second->refs, 1);
	blob_unref(&second); /* the leak checker sees whether this freed it */
	assert_null(second);
	blob_unref(&second);
}

static void test_a_copy_has_the_same_bytes(void **state)
{
	struct blob *b = blob_from(SLICE("payload"));
	struct blob *empty = blob_from((struct slice) { NULL, 0 });

	(void)state;
	assert_true(slice_equal(blob_slice(b), SLICE("payload")));
	assert_int_equal(blob_slice(empty).size, 0);
	blob_unref(&b);
	blob_unref(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_reference_frees),
		cmocka_unit_test(test_a_copy_has_the_same_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
