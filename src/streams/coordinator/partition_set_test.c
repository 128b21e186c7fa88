#include "streams/coordinator/partition_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct topic_partition at(uint8_t topic, int32_t partition)
{
	return (struct topic_partition) { { { topic } }, partition };
}

/* "a0a1b2": a letter and a digit each. */
static struct partition_set set_of(const char *text)
{
	struct partition_set s = { 0 };

	for (; *text; text += 2) {
		struct topic_partition item = at((uint8_t)text[0], text[1] - '0');
		partition_set_add(&s, &item);
	}
	partition_set_sort(&s);
	return s;
}

static void expect_set(const struct partition_set *s, const char *text)
{
	struct partition_set want = set_of(text);

	assert_true(partition_set_equal(s, &want));
	assert_int_equal(s->count, strlen(text) / 2);
	partition_set_done(&want);
}

static void test_a_set_is_sorted_and_has_everything_once(void **state)
{
	struct partition_set s = set_of("b1a2a0b1a2");
	struct topic_partition there = at('a', 2), absent = at('a', 1);

	(void)state;
	assert_int_equal(s.count, 3);
	assert_int_equal(s.items[0].partition, 0);
	assert_int_equal(s.items[2].topic_id.bytes[0], 'b');
	assert_true(partition_set_has(&s, &there));
	assert_false(partition_set_has(&s, &absent));
	assert_int_equal(partition_set_topic_end(&s, 0), 2);
	partition_set_done(&s);
}

static void test_sets_are_kept_removed_and_united(void **state)
{
	struct partition_set a = set_of("a0a1b0"), b = set_of("a1b0c0"), none = { 0 };

	(void)state;
	assert_true(partition_set_overlaps(&a, &b));
	assert_false(partition_set_overlaps(&a, &none));
	assert_true(partition_set_is_within(&none, &a));
	partition_set_keep(&a, &b);
	expect_set(&a, "a1b0");
	assert_true(partition_set_is_within(&a, &b));
	partition_set_remove(&b, &a);
	expect_set(&b, "c0");
	partition_set_unite(&a, &b);
	expect_set(&a, "a1b0c0");
	partition_set_unite(&a, &none);
	partition_set_swap(&a, &none);
	assert_int_equal(a.count, 0);
	partition_set_done(&a);
	partition_set_done(&b);
	partition_set_done(&none);
}

static void test_bytes_are_read_as_they_were_written(void **state)
{
	struct partition_set s = set_of("a0a1b7"), again = { 0 };
	struct buf bytes;

	(void)state;
	buf_init(&bytes);
	partition_set_encode(&s, &bytes);
	assert_int_equal(bytes.size, 2 * 20 + 3 * 4);
	assert_int_equal(partition_set_decode(buf_slice(&bytes), &again), OK);
	expect_set(&again, "a0a1b7");
	for (size_t size = 1; size < bytes.size; size++)
		if (size != 20 + 2 * 4)
			assert_int_equal(partition_set_decode(slice_part(buf_slice(&bytes), 0,
									 size),
							      &again),
					 ERR_CORRUPT);
	bytes.data[23] = 9; /* the first partition is behind the second */
	assert_int_equal(partition_set_decode(buf_slice(&bytes), &again), ERR_CORRUPT);
	assert_int_equal(partition_set_decode(SLICE(""), &again), OK);
	assert_int_equal(again.count, 0);
	partition_set_done(&s);
	partition_set_done(&again);
	buf_done(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_set_is_sorted_and_has_everything_once),
		cmocka_unit_test(test_sets_are_kept_removed_and_united),
		cmocka_unit_test(test_bytes_are_read_as_they_were_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
