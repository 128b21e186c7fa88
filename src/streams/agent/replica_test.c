/* Images are loaded on another thread, while records come, other images begin and clients read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cells/follower.h"
#include "streams/agent/replica.h"
#include "streams/catalog/catalog.h"

enum { PART_BYTES = 4096, PATIENCE_MS = 60000 };

/* A control process in a few lines: a cell, and what it says to the replica. */
struct stage {
	struct loop *loop;
	struct cell *cell;
	int64_t index;
	struct replica *replica;
	unsigned loaded, failed;
	char why[TASK_WHY_BYTES];
};

static struct stage s;

static void on_loaded(void *context, enum err err, const char *why)
{
	struct stage *stage = context;

	stage->loaded += err == OK;
	stage->failed += err != OK;
	snprintf(stage->why, sizeof(stage->why), "%s", why);
}

static enum err count_up(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell, cell_statement(cell, "INSERT INTO counter (name, next)"
						       " SELECT 'n' || count(*), 1 FROM counter"));
}

static void set_up(void)
{
	char why[CELL_WHY_BYTES];
	struct buf record;

	s = (struct stage) { .loop = loop_new(0), .cell = cell_new("streams") };
	buf_init(&record);
	assert_int_equal(cell_upgrade_schema(s.cell, catalog_schema, catalog_schema_count, why),
			 OK);
	cell_seal(s.cell, 1, &record);
	buf_done(&record);
	s.index = 1;
	s.replica = replica_new(s.loop, &(struct replica_owner) { on_loaded, NULL, &s });
}

static void tear_down(void)
{
	replica_free(s.replica);
	cell_free(s.cell);
	loop_free(s.loop);
}

/* A row more: its record is told when it `is_told`. */
static void change(bool is_told)
{
	char why[TASK_WHY_BYTES];
	struct buf record;

	buf_init(&record);
	assert_int_equal(cell_run(s.cell, count_up, NULL), OK);
	cell_seal(s.cell, 1, &record);
	s.index++;
	if (is_told)
		assert_int_equal(replica_apply(s.replica, s.index, buf_slice(&record), why), OK);
	buf_done(&record);
}

/* All of an image but for the last `kept_parts`. */
static void send_image(size_t kept_parts)
{
	struct follower_image image;
	char why[TASK_WHY_BYTES];

	follower_image_take(s.cell, NULL, &image);
	size_t total = follower_image_bytes(&image);
	for (size_t at = 0; at + kept_parts * PART_BYTES < total;) {
		struct slice part = follower_image_part(&image, at, PART_BYTES);
		assert_int_equal(replica_add_snapshot(s.replica, s.index, (int64_t)total,
						      (int64_t)at, part, why),
				 OK);
		at += part.size;
	}
	follower_image_done(&image);
}

static void wait_for_load(void)
{
	uint64_t end_ms = clock_now_ms() + PATIENCE_MS;

	while (replica_is_loading(s.replica)) { /* on a worker, which may have to wait for a core */
		assert_true(clock_now_ms() < end_ms);
		loop_turn(s.loop);
	}
}

static int64_t rows(void)
{
	struct cell *cell = replica_cell(s.replica);
	sqlite3_stmt *statement = cell_statement(cell, "SELECT count(*) FROM counter");

	assert_true(cell_next(cell, statement));
	return sqlite3_column_int64(statement, 0);
}

static void assert_current(void)
{
	assert_int_equal(replica_index(s.replica), s.index);
	assert_true(hash128_equal(cell_hash(replica_cell(s.replica)), cell_hash(s.cell)));
}

static void test_records_that_come_while_an_image_is_loaded_are_not_lost(void **state)
{
	(void)state;
	set_up();
	send_image(0);
	for (int i = 0; i < 50; i++)
		change(true);
	assert_null(replica_cell(s.replica)); /* the loop has not turned: it cannot be there */
	wait_for_load();
	assert_int_equal(s.loaded, 1);
	assert_current();
	change(true);
	assert_current();
	tear_down();
}

static void test_the_old_contents_answer_while_an_image_is_loaded(void **state)
{
	(void)state;
	set_up();
	send_image(0);
	wait_for_load();
	assert_int_equal(rows(), 0);
	change(false);
	send_image(0);
	assert_int_equal(rows(), 0);
	assert_int_equal(replica_index(s.replica), s.index - 1);
	wait_for_load();
	assert_int_equal(rows(), 1);
	assert_current();
	tear_down();
}

static void test_only_the_newest_image_comes_into_its_place(void **state)
{
	(void)state;
	set_up();
	send_image(0);
	change(true);
	loop_turn(s.loop);
	change(false);
	send_image(0); /* the first is being loaded, or was a moment ago */
	change(true);
	wait_for_load();
	assert_int_equal(rows(), 3);
	assert_current();
	tear_down();
}

static void test_an_image_that_was_given_up_is_not_loaded(void **state)
{
	(void)state;
	set_up();
	change(false);
	send_image(1);
	assert_false(replica_is_loading(s.replica));
	change(false);
	send_image(0);
	wait_for_load();
	assert_int_equal(s.loaded, 1);
	assert_current();
	tear_down();
}

/* K3 */
static void test_a_gap_in_the_records_after_an_image_is_noticed(void **state)
{
	char why[TASK_WHY_BYTES];

	(void)state;
	set_up();
	send_image(0);
	change(true);
	change(false);
	assert_int_equal(replica_apply(s.replica, s.index + 1, SLICE("x"), why), ERR_CORRUPT);
	assert_int_equal(replica_apply(s.replica, s.index, SLICE("no record"), why), OK);
	wait_for_load();
	assert_int_equal(s.loaded, 0);
	assert_int_equal(s.failed, 1);
	assert_true(s.why[0] != '\0');
	assert_null(replica_cell(s.replica));
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_that_come_while_an_image_is_loaded_are_not_lost),
		cmocka_unit_test(test_the_old_contents_answer_while_an_image_is_loaded),
		cmocka_unit_test(test_only_the_newest_image_comes_into_its_place),
		cmocka_unit_test(test_an_image_that_was_given_up_is_not_loaded),
		cmocka_unit_test(test_a_gap_in_the_records_after_an_image_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
