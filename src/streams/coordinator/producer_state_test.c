#include "streams/coordinator/producer_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "streams/catalog/producer.h"

/* P4 */
static void test_sequences_go_round(void **state)
{
	(void)state;
	assert_int_equal(producer_sequence_add(0, 1), 1);
	assert_int_equal(producer_sequence_add(INT32_MAX, 1), 0);
	assert_int_equal(producer_sequence_add(INT32_MAX - 1, INT32_MAX), INT32_MAX - 2);
}

static void test_what_is_remembered_can_be_stored(void **state)
{
	struct producer_state first = { .epoch = 3 }, second = { .epoch = 3 };
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	for (int32_t i = 0; i < 8; i++)
		producer_remember(&first, 3, 10 * i, 10, 1000 + i);
	producer_recent_encode(&first, &bytes);
	assert_int_equal(bytes.size, 5 * 16);
	second.last_sequence = first.last_sequence;
	assert_int_equal(producer_recent_decode(buf_slice(&bytes), &second), OK);
	assert_int_equal(second.recent_count, 5);
	assert_int_equal(second.recent[0].base_sequence, 30);
	assert_int_equal(second.recent[4].base_offset, 1007);

	int64_t offset = -1;
	assert_int_equal(producer_check(&second, 3, 40, 10, &offset), PRODUCER_DUPLICATE);
	assert_int_equal(offset, 1004);
	assert_int_equal(producer_check(&second, 3, 40, 5, &offset), PRODUCER_FORGOTTEN);
	assert_int_equal(producer_check(&second, 3, 80, 1, &offset), PRODUCER_ACCEPTED);

	bytes.size--;
	assert_int_equal(producer_recent_decode(buf_slice(&bytes), &second), ERR_CORRUPT);
	(void)buf_add_zero(&bytes, 17);
	assert_int_equal(producer_recent_decode(buf_slice(&bytes), &second), ERR_CORRUPT);
	buf_done(&bytes);
}

static void test_a_new_epoch_forgets_the_old_one(void **state)
{
	struct producer_state producer = { .epoch = 0 };
	int64_t offset = -1;

	(void)state;
	producer_remember(&producer, 0, 0, 5, 100);
	producer_remember(&producer, 1, 0, 2, 105);
	assert_int_equal(producer.recent_count, 1);
	assert_int_equal(producer_check(&producer, 1, 0, 2, &offset), PRODUCER_DUPLICATE);
	assert_int_equal(offset, 105);
	assert_int_equal(producer_check(&producer, 1, 2, 1, &offset), PRODUCER_ACCEPTED);
	assert_int_equal(producer_check(&producer, 0, 5, 1, &offset), PRODUCER_FENCED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequences_go_round),
		cmocka_unit_test(test_what_is_remembered_can_be_stored),
		cmocka_unit_test(test_a_new_epoch_forgets_the_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
