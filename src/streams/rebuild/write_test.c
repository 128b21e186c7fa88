/* Numbers that a rebuilt catalog goes on from, whatever stands in files and their names. */
#include "streams/rebuild/write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "streams/coordinator/counter.h"
#include "streams/coordinator/unsure.h"

/* A file of one batch. */
static void add_file(struct plan *p, int64_t incarnation, int64_t producer_id)
{
	struct data_file_entry entry = {
		.topic_id = { 1 },
		.offset = DATA_FILE_HEADER_BYTES,
		.size = 100,
		.record_count = 1,
		.producer_id = producer_id,
		.base_offset = -1,
	};
	struct data_file_footer footer = { &entry, 1, NULL, 0 };
	struct plan_file file;

	assert_int_equal(plan_list(p, incarnation, 1, 4096), OK);
	assert_true(plan_next_file(p, 0, &file));
	assert_int_equal(plan_read(p, &file,
				   &(struct plan_content) { .footer = &footer, .size = 4096 }),
			 OK);
}

static void test_numbers_go_on_above_those_of_the_files(void **state)
{
	struct plan *p = plan_new();

	(void)state;
	assert_int_equal(write_next_incarnation(p), INCARNATION_FIRST + INCARNATION_SKIP);
	assert_int_equal(write_next_producer_id(p), PRODUCER_ID_FIRST + WRITE_PRODUCER_IDS_SKIP);
	add_file(p, 7, -1);
	add_file(p, 9, 5000);
	assert_int_equal(write_next_incarnation(p), 9 + INCARNATION_SKIP);
	assert_int_equal(write_next_producer_id(p), 5000 + WRITE_PRODUCER_IDS_SKIP);
	plan_free(p);
}

/* Clients choose what stands in their batches. */
static void test_a_producer_id_that_was_never_given_does_not_count(void **state)
{
	const int64_t ids[] = { INT64_MAX, INT64_MAX - WRITE_PRODUCER_IDS_SKIP, PLAN_OFFSET_MAX + 1,
				INT64_MIN };

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct plan *p = plan_new();
		add_file(p, 7, 5000);
		add_file(p, 8, ids[i]);
		assert_int_equal(write_next_producer_id(p), 5000 + WRITE_PRODUCER_IDS_SKIP);
		assert_int_equal(plan_place(p, PLAN_UNDECIDED_UNSAID, 0), OK);
		plan_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_go_on_above_those_of_the_files),
		cmocka_unit_test(test_a_producer_id_that_was_never_given_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
