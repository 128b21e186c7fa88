/* From data files to a catalog: real footers, a real cell, and check_catalog() at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "streams/catalog/catalog.h"
#include "streams/catalog/check.h"
#include "streams/catalog/config.h"
#include "streams/catalog/epoch.h"
#include "streams/catalog/survey.h"
#include "streams/rebuild/write.h"
#include "wire/kafka/record_batch.h"

enum { NOW_MS = 1800000000, RECORDS = 10, BATCH_BYTES = 100, STEPS_MAX = 100 };

struct bench {
	struct plan *plan;
	struct cell *cell;
	struct arena arena;
};

static void begin(struct bench *b)
{
	char why[CELL_WHY_BYTES];

	b->plan = plan_new();
	assert_non_null(b->plan);
	b->cell = cell_new("streams");
	arena_init(&b->arena);
	assert_int_equal(cell_upgrade_schema(b->cell, catalog_schema, catalog_schema_count, why),
			 OK);
}

static void end(struct bench *b)
{
	plan_free(b->plan);
	cell_free(b->cell);
	arena_done(&b->arena);
}

static struct data_file_entry entry(uint8_t topic, uint32_t partition, int64_t base_offset)
{
	struct data_file_entry e = {
		.partition = partition,
		.size = BATCH_BYTES,
		.record_count = RECORDS,
		.last_offset_delta = RECORDS - 1,
		.max_timestamp = NOW_MS - 1000,
		.producer_id = -1,
		.base_sequence = -1,
		.base_offset = base_offset,
	};

	memset(e.topic_id, topic, sizeof(e.topic_id));
	return e;
}

static struct data_file_topic topic(uint8_t id, const char *name, uint32_t partitions)
{
	struct data_file_topic t = { .partition_count = partitions, .name = slice_from(name) };

	memset(t.topic_id, id, sizeof(t.topic_id));
	return t;
}

struct content {
	struct data_file_entry entries[8];
	size_t entry_count;
	struct data_file_topic topics[4];
	size_t topic_count;
	bool is_final;
	bool is_damaged[8];
	uint8_t controls[8];
};

/* Batches lie one after the other, each with a checksum of its own. */
static void add_file(struct bench *b, int64_t incarnation, int64_t sequence, struct content *c)
{
	struct data_file_footer footer = { c->entries, c->entry_count, c->topics, c->topic_count };
	struct plan_file file;

	for (size_t i = 0; i < c->entry_count; i++) {
		c->entries[i].offset = 64 + BATCH_BYTES * i;
		if (c->entries[i].crc == 0)
			c->entries[i].crc =
				(uint32_t)(incarnation * 10000 + sequence * 100 + (int64_t)i);
	}
	assert_int_equal(plan_list(b->plan, incarnation, sequence, 4096), OK);
	assert_true(plan_next_file(b->plan, 0, &file));
	assert_int_equal(file.sequence, sequence);
	assert_int_equal(plan_read(b->plan, &file,
				   &(struct plan_content) { .footer = &footer,
							    .is_final = c->is_final,
							    .size = 4096,
							    .is_damaged = c->is_damaged,
							    .controls = c->controls }),
			 OK);
}

static void write_all(struct bench *b)
{
	struct write w = { .plan = b->plan, .now_ms = NOW_MS };
	int steps = 0;

	assert_int_equal(cell_run(b->cell, write_begin_run, NULL), OK);
	do {
		assert_true(write_is_unfinished(b->cell));
		assert_int_equal(cell_run(b->cell, write_step_run, &w), OK);
		assert_true(++steps < STEPS_MAX);
	} while (write_advance(&w));
	assert_false(write_is_unfinished(b->cell));
}

static void check(struct bench *b, struct survey *ret)
{
	struct check_flaws flaws;
	struct buf record;

	buf_init(&record);
	cell_seal(b->cell, NOW_MS, &record);
	buf_done(&record);
	assert_int_equal(check_catalog(&b->arena, b->cell, &flaws), OK);
	if (flaws.count)
		print_message("%.*s\n", SLICE_ARG(flaws.texts[0]));
	assert_int_equal(flaws.count, 0);
	assert_int_equal(survey_take(&b->arena, b->cell, ret), OK);
}

static struct catalog_partition partition_of(struct bench *b, const char *name, int32_t number)
{
	struct catalog_topic t;
	struct catalog_partition p;

	assert_int_equal(catalog_topic_by_name(&b->arena, b->cell, slice_from(name), &t), OK);
	assert_int_equal(catalog_partition_find(b->cell, t.id, number, &p), OK);
	return p;
}

static int64_t number(struct bench *b, const char *sql)
{
	sqlite3_stmt *st = cell_statement(b->cell, sql);
	int64_t n = cell_next(b->cell, st) ? sqlite3_column_int64(st, 0) : -1;

	sqlite3_reset(st);
	return n;
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_topics_runs_and_numbers_come_back(void **state)
{
	struct bench b;
	struct survey found;

	(void)state;
	begin(&b);
	add_file(&b, 40, 1,
		 &(struct content) { .entries = { entry(1, 0, 0), entry(1, 2, 0) },
				     .entry_count = 2,
				     .topics = { topic(1, "orders", 4) },
				     .topic_count = 1,
				     .is_final = true });
	struct content second = { .entries = { entry(1, 0, 10), entry(1, 0, 10) },
				  .entry_count = 2,
				  .topics = { topic(1, "orders", 5) },
				  .topic_count = 1 };
	second.entries[1].producer_id = 5000;
	second.entries[1].base_sequence = 70;
	second.entries[1].producer_epoch = 3;
	add_file(&b, 41, 2, &second);
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	write_all(&b);
	check(&b, &found);
	assert_int_equal(found.topic_count, 1);
	assert_int_equal(found.partition_count, 5);
	assert_int_equal(found.gap_count, 0);
	assert_int_equal(found.file_count, 2);
	struct catalog_partition p = partition_of(&b, "orders", 0);
	assert_int_equal(p.high_watermark, 30);
	assert_int_equal(p.leader_epoch, NOW_MS / 60000);
	assert_int_equal(catalog_epoch_offset(b.cell, p.id), 30);
	assert_int_equal(partition_of(&b, "orders", 2).high_watermark, 10);
	assert_int_equal(partition_of(&b, "orders", 4).high_watermark, 0);
	assert_true(found.next_incarnation > 41);
	assert_true(number(&b, "SELECT next FROM counter WHERE name = 'producer_id'") > 5000);
	assert_int_equal(number(&b, "SELECT last_sequence FROM producer"), 79);
	assert_int_equal(number(&b, "SELECT count(*) FROM run WHERE level > 0"), 2);
	assert_int_equal(number(&b, "SELECT count(*) FROM run WHERE level = 0"), 1);
	assert_int_equal(check_object(b.cell, 39, 7), CHECK_UNSURE);
	assert_int_equal(config_broker_number(b.cell, "log.retention.ms", 7), -1);
	end(&b);
}

static void test_a_rebuild_that_was_cut_off_begins_anew(void **state)
{
	struct write w = { .now_ms = NOW_MS };
	struct survey found;
	struct bench b;

	(void)state;
	begin(&b);
	add_file(&b, 40, 1,
		 &(struct content) { .entries = { entry(1, 0, 0) },
				     .entry_count = 1,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1 });
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	w.plan = b.plan;
	assert_int_equal(cell_run(b.cell, write_begin_run, NULL), OK);
	do
		assert_int_equal(cell_run(b.cell, write_step_run, &w), OK);
	while (write_advance(&w) && number(&b, "SELECT count(*) FROM run") == 0);
	assert_true(write_is_unfinished(b.cell));
	write_all(&b);
	check(&b, &found);
	assert_int_equal(found.topic_count, 1);
	assert_int_equal(found.file_count, 1);
	assert_int_equal(cell_run(b.cell, write_begin_run, NULL), ERR_EXISTS);
	end(&b);
}

/* Compaction of the deleted one has the newest incarnation, and time is what the other has. */
static void test_who_wrote_last_has_the_name_and_nobody_is_left_out(void **state)
{
	struct plan_report report;
	struct survey found;
	struct bench b;

	(void)state;
	begin(&b);
	struct content newer = { .entries = { entry(2, 0, 0) },
				 .entry_count = 1,
				 .topics = { topic(2, "orders", 1) },
				 .topic_count = 1 };
	newer.entries[0].max_timestamp += 500;
	add_file(&b, 10, 900, &newer);
	add_file(&b, 500, 1,
		 &(struct content) { .entries = { entry(1, 0, 0), entry(3, 0, 0) },
				     .entry_count = 2,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1,
				     .is_final = true });
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
	assert_int_equal(report.topic_count, 3);
	assert_true(slice_equal(report.topics[0].name, SLICE("orders")));
	assert_false(report.topics[0].is_renamed);
	assert_int_equal(report.topics[0].topic_id.bytes[0], 2);
	assert_true(slice_starts_with(report.topics[1].name, SLICE("orders-")));
	assert_true(report.topics[1].is_renamed);
	assert_int_equal(report.topics[1].records[PLACE_CERTAIN], RECORDS);
	assert_true(report.topics[2].is_unnamed);
	write_all(&b);
	check(&b, &found);
	assert_int_equal(found.topic_count, 3);
	end(&b);
}

static void test_readers_come_to_the_end_behind_a_damaged_file(void **state)
{
	struct survey found;
	struct bench b;

	(void)state;
	begin(&b);
	add_file(&b, 40, 1,
		 &(struct content) { .entries = { entry(1, 0, 0) },
				     .entry_count = 1,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1 });
	add_file(&b, 40, 2,
		 &(struct content) { .entries = { entry(1, 0, 10) },
				     .entry_count = 1,
				     .is_damaged = { true } });
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	write_all(&b);
	check(&b, &found);
	assert_int_equal(partition_of(&b, "orders", 0).high_watermark, 20);
	assert_int_equal(number(&b, "SELECT marker_offset FROM marker WHERE is_commit = 1"), 19);
	assert_int_equal(found.gap_count, 1);
	assert_int_equal(found.gaps[0].first_offset, 10);
	assert_int_equal(found.gaps[0].last_offset, 18);
	end(&b);
}

static struct data_file_entry transactional(struct data_file_entry e, int64_t producer_id)
{
	e.producer_id = producer_id;
	e.base_sequence = 0;
	e.attributes = RECORD_BATCH_TRANSACTIONAL;
	return e;
}

static struct data_file_entry ending(struct data_file_entry e, int64_t producer_id)
{
	e.producer_id = producer_id;
	e.attributes = RECORD_BATCH_TRANSACTIONAL | RECORD_BATCH_CONTROL;
	e.record_count = 1;
	e.last_offset_delta = 0;
	return e;
}

/* Offsets 0 to 9 of 7, aborted at 10; 11 to 20 of 8, committed at 21; 22 to 31 of 9, open. */
static void add_transactions(struct bench *b)
{
	add_file(b, 40, 1,
		 &(struct content) { .entries = { transactional(entry(1, 0, 0), 7),
						  ending(entry(1, 0, 10), 7),
						  transactional(entry(1, 0, 11), 8),
						  ending(entry(1, 0, 21), 8) },
				     .entry_count = 4,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1,
				     .is_final = true,
				     .controls = { 0, PLACE_ABORT, 0, PLACE_COMMIT } });
	add_file(b, 41, 2,
		 &(struct content) { .entries = { transactional(entry(1, 0, 22), 9) },
				     .entry_count = 1 });
}

static void test_transactions_end_as_files_say_or_as_it_is_chosen(void **state)
{
	struct survey found;
	struct bench b;

	(void)state;
	for (int is_abort = 0; is_abort < 2; is_abort++) {
		begin(&b);
		add_transactions(&b);
		assert_int_equal(plan_place(b.plan,
					    is_abort ? PLAN_UNDECIDED_ABORT : PLAN_UNDECIDED_COMMIT,
					    NOW_MS),
				 OK);
		write_all(&b);
		check(&b, &found);
		assert_int_equal(found.gap_count, 0);
		assert_int_equal(partition_of(&b, "orders", 0).high_watermark, 33);
		assert_int_equal(number(&b, "SELECT count(*) FROM marker"), 2);
		assert_int_equal(number(&b, "SELECT first_offset FROM marker WHERE"
					    " is_in_run = 1 AND is_commit = 0 AND producer_id = 7"
					    " AND marker_offset = 10 AND stable_offset = 11"),
				 0);
		assert_int_equal(number(&b, is_abort ? "SELECT first_offset FROM marker WHERE"
						       " marker_offset = 32 AND is_commit = 0"
						     : "SELECT first_offset FROM marker WHERE"
						       " marker_offset = 32 AND is_commit = 1"),
				 22);
		end(&b);
	}
}

static void test_a_producer_does_not_get_its_old_epoch_again(void **state)
{
	struct survey found;
	struct bench b;

	(void)state;
	begin(&b);
	struct content c = { .entries = { entry(1, 0, 0), entry(1, 0, 10) },
			     .entry_count = 2,
			     .topics = { topic(1, "orders", 1) },
			     .topic_count = 1 };
	for (int i = 0; i < 2; i++) {
		c.entries[i].producer_id = 7;
		c.entries[i].base_sequence = 50 * i;
		c.entries[i].producer_epoch = (int16_t)(4 - i);
	}
	add_file(&b, 40, 1, &c);
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	write_all(&b);
	check(&b, &found);
	assert_int_equal(number(&b, "SELECT epoch FROM producer"), 4);
	assert_int_equal(number(&b, "SELECT last_sequence FROM producer"), RECORDS - 1);
	end(&b);
}

static void test_files_of_which_records_are_left_out_are_named(void **state)
{
	struct plan_report report;
	struct bench b;

	(void)state;
	begin(&b);
	add_file(&b, 10, 3,
		 &(struct content) { .entries = { entry(1, 0, 0) },
				     .entry_count = 1,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1 });
	add_file(&b, 40, 2,
		 &(struct content) { .entries = { entry(1, 0, 0), entry(1, 0, 50) },
				     .entry_count = 2,
				     .is_final = true });
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
	assert_int_equal(report.topics[0].records[PLACE_LEFT], RECORDS);
	assert_int_equal(report.bad_count, 1);
	assert_int_equal(report.bad_files[0].incarnation, 10);
	assert_int_equal(report.bad_files[0].sequence, 3);
	assert_true(slice_starts_with(report.bad_files[0].why, SLICE("10 of its records")));
	end(&b);
}

static void test_a_damaged_end_decides_nothing(void **state)
{
	struct plan_report report;
	struct bench b;

	(void)state;
	for (int has_later = 0; has_later < 2; has_later++) {
		begin(&b);
		struct content c = { .entries = { transactional(entry(1, 0, 0), 7),
						  ending(entry(1, 0, 10), 7),
						  transactional(entry(1, 0, 11), 7),
						  ending(entry(1, 0, 21), 7) },
				     .entry_count = has_later ? 4 : 2,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1,
				     .is_final = true,
				     .is_damaged = { false, true },
				     .controls = { 0, 0, 0, PLACE_COMMIT } };
		c.entries[2].base_sequence = RECORDS;
		add_file(&b, 40, 1, &c);
		assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
		assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
		assert_int_equal(report.topics[0].undecided_records, RECORDS);
		end(&b);
	}
}

/* Offsets 0 to 9 are of a transaction whose end at 10 was a row; 11 to 20 of one of the same
 * producer, which ends at 21. */
static void add_two_transactions(struct bench *b, enum place_control how)
{
	struct content c = { .entries = { transactional(entry(1, 0, 11), 7),
					  ending(entry(1, 0, 21), 7) },
			     .entry_count = 2,
			     .is_final = true,
			     .controls = { 0, (uint8_t)how } };

	c.entries[0].base_sequence = RECORDS;
	add_file(b, 40, 1,
		 &(struct content) { .entries = { transactional(entry(1, 0, 0), 7) },
				     .entry_count = 1,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1 });
	add_file(b, 41, 1, &c);
}

static void test_an_end_does_not_decide_the_transaction_before(void **state)
{
	static const struct {
		enum place_control end;
		enum plan_undecided undecided;
		int64_t aborted_first, aborted_at; /* -1: nothing */
	} cases[] = {
		{ PLACE_ABORT, PLAN_UNDECIDED_COMMIT, 11, 21 },
		{ PLACE_ABORT, PLAN_UNDECIDED_ABORT, 0, 21 },
		{ PLACE_COMMIT, PLAN_UNDECIDED_COMMIT, -1, -1 },
		{ PLACE_COMMIT, PLAN_UNDECIDED_ABORT, 0, 10 },
	};
	struct plan_report report;
	struct survey found;
	struct bench b;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&b);
		add_two_transactions(&b, cases[i].end);
		assert_int_equal(plan_place(b.plan, cases[i].undecided, NOW_MS), OK);
		assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
		assert_int_equal(report.topics[0].undecided_records, RECORDS);
		write_all(&b);
		check(&b, &found);
		assert_int_equal(number(&b, "SELECT first_offset FROM marker WHERE is_commit = 0"),
				 cases[i].aborted_first);
		assert_int_equal(number(&b, "SELECT marker_offset FROM marker WHERE is_commit = 0"),
				 cases[i].aborted_at);
		assert_int_equal(partition_of(&b, "orders", 0).high_watermark, 22);
		end(&b);
	}
}

static void test_compaction_by_key_has_left_what_was_committed(void **state)
{
	struct plan_report report;
	struct bench b;

	(void)state;
	begin(&b);
	add_file(&b, 40, 2,
		 &(struct content) { .entries = { transactional(entry(1, 0, 0), 7) },
				     .entry_count = 1,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1,
				     .is_final = true });
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
	assert_int_equal(report.topics[0].undecided_records, 0);
	end(&b);
}

static void test_records_of_open_transactions_are_counted(void **state)
{
	struct plan_report report;
	struct bench b;

	(void)state;
	begin(&b);
	add_transactions(&b);
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
	assert_int_equal(report.topics[0].undecided_records, RECORDS);
	end(&b);
}

/* Three batches with holes between them, in a file or in three. */
static void check_holes(int64_t sequence, bool is_one_file, int64_t missing, int64_t doubtful)
{
	struct plan_report report;
	struct survey found;
	struct bench b;

	begin(&b);
	for (int64_t i = 0; i < (is_one_file ? 1 : 3); i++) {
		struct content c = { .entries = { entry(1, 0, 50 * i) },
				     .entry_count = 1,
				     .topics = { topic(1, "orders", 1) },
				     .topic_count = 1,
				     .is_final = true };
		for (; is_one_file && c.entry_count < 3; c.entry_count++)
			c.entries[c.entry_count] = entry(1, 0, 50 * (int64_t)c.entry_count);
		add_file(&b, 40, sequence + i, &c);
	}
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
	assert_int_equal(report.topics[0].hole_offsets, missing);
	assert_int_equal(report.topics[0].doubtful_offsets, doubtful);
	write_all(&b);
	check(&b, &found);
	assert_int_equal(found.gap_count, missing > 0 ? 2 : 0);
	assert_int_equal(partition_of(&b, "orders", 0).high_watermark, 110);
	end(&b);
}

static void test_only_compaction_by_key_leaves_out_what_is_not_missing(void **state)
{
	(void)state;
	check_holes(1, true, 80, 0);
	check_holes(2, true, 0, 0);
	check_holes(2, false, 0, 80);
}

static void test_a_file_that_says_what_cannot_be_is_left_out(void **state)
{
	struct plan_report report;
	struct bench b;

	(void)state;
	begin(&b);
	add_file(&b, 40, 1,
		 &(struct content) { .entries = { entry(1, 0, INT64_MAX - 20) },
				     .entry_count = 1 });
	add_file(&b, 40, 2,
		 &(struct content) { .entries = { entry(1, CATALOG_PARTITIONS_MAX, 0) },
				     .entry_count = 1 });
	assert_int_equal(plan_place(b.plan, PLAN_UNDECIDED_UNSAID, NOW_MS), OK);
	assert_int_equal(plan_report(&b.arena, b.plan, &report), OK);
	assert_int_equal(report.bad_count, 2);
	assert_int_equal(report.topic_count, 0);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topics_runs_and_numbers_come_back),
		cmocka_unit_test(test_a_rebuild_that_was_cut_off_begins_anew),
		cmocka_unit_test(test_who_wrote_last_has_the_name_and_nobody_is_left_out),
		cmocka_unit_test(test_readers_come_to_the_end_behind_a_damaged_file),
		cmocka_unit_test(test_transactions_end_as_files_say_or_as_it_is_chosen),
		cmocka_unit_test(test_a_producer_does_not_get_its_old_epoch_again),
		cmocka_unit_test(test_files_of_which_records_are_left_out_are_named),
		cmocka_unit_test(test_a_damaged_end_decides_nothing),
		cmocka_unit_test(test_an_end_does_not_decide_the_transaction_before),
		cmocka_unit_test(test_compaction_by_key_has_left_what_was_committed),
		cmocka_unit_test(test_records_of_open_transactions_are_counted),
		cmocka_unit_test(test_only_compaction_by_key_leaves_out_what_is_not_missing),
		cmocka_unit_test(test_a_file_that_says_what_cannot_be_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
