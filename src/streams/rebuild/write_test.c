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
static void add_file_at(struct plan *p, int64_t incarnation, int64_t producer_id,
			int64_t created_ms, int64_t timestamp)
{
	struct data_file_entry entry = {
		.topic_id = { 1 },
		.offset = DATA_FILE_HEADER_BYTES,
		.size = 100,
		.record_count = 1,
		.max_timestamp = timestamp,
		.producer_id = producer_id,
		.base_offset = -1,
	};
	struct data_file_footer footer = { &entry, 1, NULL, 0 };
	struct plan_file file;

	assert_int_equal(plan_list(p, incarnation, 1, 4096), OK);
	assert_true(plan_next_file(p, 0, &file));
	assert_int_equal(plan_read(p, &file,
				   &(struct plan_content) { .footer = &footer,
							    .size = 4096,
							    .created_ms = created_ms }),
			 OK);
}

static void add_file(struct plan *p, int64_t incarnation, int64_t producer_id)
{
	add_file_at(p, incarnation, producer_id, 0, 0);
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

/* Timestamps of records are the clients' own: a copy of an old topic has old ones. */
static void test_who_wrote_lately_is_remembered_whatever_time_it_says(void **state)
{
	const int64_t now_ms = INT64_C(1800000000000), day_ms = PLAN_PRODUCER_MS;
	struct plan *p = plan_new();
	struct plan_report report;
	struct arena a;

	(void)state;
	arena_init(&a);
	add_file_at(p, 1, 5000, now_ms - 2 * day_ms, now_ms + day_ms); /* no */
	add_file_at(p, 2, 5001, now_ms - 1000, 7);
	add_file_at(p, 3, 5002, 0, now_ms - 1000);
	add_file_at(p, 4, 5003, INT64_MIN, 7); /* no */
	add_file_at(p, 5, 5004, now_ms, -1);
	assert_int_equal(plan_place(p, PLAN_UNDECIDED_UNSAID, now_ms), OK);
	assert_int_equal(plan_report(&a, p, &report), OK);
	assert_int_equal(report.producer_count, 3);
	plan_free(p);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_go_on_above_those_of_the_files),
		cmocka_unit_test(test_a_producer_id_that_was_never_given_does_not_count),
		cmocka_unit_test(test_who_wrote_lately_is_remembered_whatever_time_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
