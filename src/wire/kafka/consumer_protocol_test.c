#include "wire/kafka/consumer_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_subscriptions_are_read_in_every_version(void **state)
{
	int32_t partitions[] = { 3, 1 };
	struct consumer_topic owned = { SLICE("b"), partitions, 2 };
	struct slice topics[] = { SLICE("a"), SLICE("b") };

	(void)state;
	for (int16_t version = 0; version <= CONSUMER_PROTOCOL_VERSION_LAST + 2; version++) {
		struct consumer_subscription s = { .version = version,
						   .topics = topics,
						   .topic_count = 2,
						   .owned = &owned,
						   .owned_count = 1,
						   .generation = 7,
						   .rack = SLICE("r1") };
		struct consumer_subscription got;
		struct arena a;
		struct buf bytes;
		arena_init(&a);
		buf_init(&bytes);
		consumer_subscription_encode(&s, &bytes);
		if (version > CONSUMER_PROTOCOL_VERSION_LAST) /* what nobody knows yet */
			buf_add_u32(&bytes, 99);
		assert_int_equal(consumer_subscription_decode(&a, buf_slice(&bytes), &got), OK);
		assert_int_equal(got.version, version);
		assert_int_equal(got.topic_count, 2);
		assert_true(slice_equal(got.topics[1], SLICE("b")));
		assert_int_equal(got.has_owned, version >= 1);
		assert_int_equal(got.owned_count, version >= 1);
		if (version >= 1)
			assert_int_equal(got.owned[0].partitions[0], 3);
		assert_int_equal(got.generation, version >= 2 ? 7 : -1);
		assert_int_equal(got.rack.size, version >= 3 ? 2 : 0);
		buf_done(&bytes);
		arena_done(&a);
	}
}

static void test_an_assignment_is_what_every_consumer_reads(void **state)
{
	static const uint8_t bytes[] = { 0, 1, 0, 0, 0, 1, 0, 1, 't',  0,    0,	   0,	2,
					 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff };
	int32_t partitions[] = { 0, 5 };
	struct consumer_topic topic = { SLICE("t"), partitions, 2 };
	struct consumer_assignment got, given = { &topic, 1 };
	struct slice in = { bytes, sizeof(bytes) };
	struct arena a;
	struct buf out;

	(void)state;
	arena_init(&a);
	buf_init(&out);
	consumer_assignment_encode(1, &given, &out);
	assert_true(slice_equal(buf_slice(&out), in));
	assert_int_equal(consumer_assignment_decode(&a, in, &got), OK);
	assert_int_equal(got.topic_count, 1);
	assert_int_equal(got.topics[0].partition_count, 2);
	assert_int_equal(got.topics[0].partitions[1], 5);
	buf_done(&out);
	arena_done(&a);
}

static void test_lengths_that_lie_are_refused(void **state)
{
	static const uint8_t many[] = { 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, 'a' };
	static const uint8_t cut[] = { 0, 1, 0, 0, 0, 1, 0, 9, 'a' };
	static const uint8_t older[] = { 0xff, 0xff, 0, 0, 0, 0 };
	struct consumer_subscription s;
	struct consumer_assignment assignment;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(consumer_subscription_decode(&a, (struct slice) { many, sizeof(many) },
						      &s),
			 ERR_INVALID);
	assert_int_equal(consumer_assignment_decode(&a, (struct slice) { cut, sizeof(cut) },
						    &assignment),
			 ERR_INVALID);
	assert_int_equal(consumer_subscription_decode(&a, (struct slice) { older, sizeof(older) },
						      &s),
			 ERR_INVALID);
	assert_int_equal(consumer_subscription_decode(&a, SLICE(""), &s), ERR_INVALID);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subscriptions_are_read_in_every_version),
		cmocka_unit_test(test_an_assignment_is_what_every_consumer_reads),
		cmocka_unit_test(test_lengths_that_lie_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
