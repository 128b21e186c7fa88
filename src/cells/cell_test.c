#include "cells/cell_testing.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"
#include "base/random.h"
#include "cells/cell_private.h"

static const char items_sql[] = "CREATE TABLE item(key TEXT NOT NULL, value, n INTEGER DEFAULT 0);"
				"CREATE UNIQUE INDEX item_key ON item(key);";

static struct cell *new_leader(void)
{
	struct cell *c = cell_new("test");

	testing_schema(c, 1, items_sql);
	return c;
}

/* A follower that has applied everything `leader` did so far. */
static struct cell *new_follower(struct cell *leader)
{
	struct cell *c = cell_new("test");
	struct buf record;

	buf_init(&record);
	cell_seal(leader, 1000, &record);
	testing_apply(c, buf_slice(&record));
	buf_done(&record);
	return c;
}

static struct slice seal(struct cell *c, struct buf *record)
{
	buf_clear(record);
	cell_seal(c, 2000, record);
	return buf_slice(record);
}

static void test_a_follower_has_what_the_leader_has(void **state)
{
	struct cell *leader = new_leader(), *follower = new_follower(leader);
	struct buf record;

	(void)state;
	buf_init(&record);
	testing_do(leader,
		   "INSERT INTO item VALUES ('a', 1, 2), ('b', x'00ff', 3), ('c', NULL, 4)");
	testing_do(leader, "UPDATE item SET n = n + 1 WHERE key <> 'b'");
	testing_do(leader, "DELETE FROM item WHERE key = 'c'");
	testing_do(leader, "UPDATE item SET rowid = -5 WHERE key = 'a'");
	assert_true(cell_has_changes(leader));
	testing_apply(follower, seal(leader, &record));
	assert_false(cell_has_changes(leader));

	testing_same(cell_database(leader), cell_database(follower),
		     "SELECT rowid, * FROM item ORDER BY rowid");
	assert_true(hash128_equal(cell_hash(leader), cell_hash(follower)));
	assert_int_equal(cell_verify(follower), OK);
	assert_int_equal(cell_state(follower).sequence, 2);
	assert_int_equal(cell_state(follower).now_ms, 2000);

	/* It may take over at any time. */
	testing_do(follower, "INSERT INTO item VALUES ('d', 1, 2)");
	testing_apply(leader, seal(follower, &record));
	assert_int_equal(testing_number(leader, "SELECT count(*) FROM item"), 3);
	buf_done(&record);
	cell_free(leader);
	cell_free(follower);
}

static void test_equal_contents_have_equal_hashes_whatever_the_way(void **state)
{
	struct cell *a = new_leader(), *b = new_leader();

	(void)state;
	testing_do(a, "INSERT INTO item(rowid, key) VALUES (1, 'x'), (2, 'y'), (3, 'z')");
	testing_do(a, "DELETE FROM item WHERE rowid = 2");
	testing_do(b, "INSERT INTO item(rowid, key) VALUES (3, 'z')");
	assert_false(hash128_equal(cell_hash(a), cell_hash(b)));
	testing_do(b, "INSERT INTO item(rowid, key) VALUES (1, 'w')");
	testing_do(b, "UPDATE item SET key = 'x' WHERE rowid = 1");
	assert_true(hash128_equal(cell_hash(a), cell_hash(b)));
	cell_free(a);
	cell_free(b);
}

static enum err insert_and_fail(struct cell *c, void *argument)
{
	enum err *ret = argument;
	enum err err = cell_execute(c, cell_statement(c, "INSERT INTO item VALUES ('q', 1, 1)"));

	assert_int_equal(err, OK);
	return *ret;
}

static enum err ignore_a_failure(struct cell *c, void *argument)
{
	(void)argument;
	/* The second row of the first statement fails after the hook saw the first row. */
	sqlite3_step(cell_statement(c, "INSERT INTO item(key) VALUES ('new'), ('a')"));
	return cell_execute(c, cell_statement(c, "INSERT INTO item(key) VALUES ('other')"));
}

static void test_what_failed_leaves_no_trace(void **state)
{
	struct cell *leader = new_leader(), *follower = new_follower(leader);
	struct buf record;
	enum err reason = ERR_DENIED;

	(void)state;
	buf_init(&record);
	testing_do(leader, "INSERT INTO item(key) VALUES ('a')");
	size_t bytes = cell_change_bytes(leader);
	struct hash128 hash = cell_hash(leader);

	assert_int_equal(cell_run(leader, insert_and_fail, &reason), ERR_DENIED);
	assert_int_equal(cell_run(leader, ignore_a_failure, NULL), ERR_CONFLICT);
	assert_int_equal(testing_try(leader, "INSERT INTO item(key) VALUES ('b'), ('a')"),
			 ERR_CONFLICT);
	assert_int_equal(testing_try(leader,
				     "INSERT OR ROLLBACK INTO item(key) VALUES ('b'), ('a')"),
			 ERR_CONFLICT);
	assert_int_equal(testing_try(leader, "INSERT OR FAIL INTO item(key) VALUES ('b'), ('a')"),
			 ERR_CONFLICT);
	assert_int_equal(cell_change_bytes(leader), bytes);
	assert_true(hash128_equal(cell_hash(leader), hash));
	assert_int_equal(cell_verify(leader), OK);

	testing_do(leader, "INSERT INTO item(key) VALUES ('b')");
	testing_apply(follower, seal(leader, &record));
	assert_int_equal(testing_number(follower, "SELECT count(*) FROM item"), 2);
	buf_done(&record);
	cell_free(leader);
	cell_free(follower);
}

static enum err insert_many(struct cell *c, void *argument)
{
	uint64_t *next = argument;
	char key[32];
	static const uint8_t zeros[100 * 1024];

	for (int i = 0; i < 10; i++) {
		sqlite3_stmt *s = cell_statement(c, "INSERT INTO item(key, value) VALUES (?1, ?2)");
		snprintf(key, sizeof(key), "%llu", (unsigned long long)(*next)++);
		cell_bind_text(s, 1, slice_from(key));
		cell_bind_blob(s, 2, (struct slice) { zeros, sizeof(zeros) });
		enum err err = cell_execute(c, s);
		if (err)
			return err;
	}
	return OK;
}

static enum err insert_too_many(struct cell *c, void *argument)
{
	enum err err = OK;

	for (int i = 0; i < 6 && err == OK; i++)
		err = insert_many(c, argument);
	return err;
}

static void test_transactions_and_records_have_limits(void **state)
{
	struct cell *leader = new_leader(), *follower = new_follower(leader);
	struct buf record;
	uint64_t next = 0;
	enum err err = OK;
	int runs = 0;

	(void)state;
	buf_init(&record);
	assert_int_equal(cell_run(leader, insert_too_many, &next), ERR_TOO_BIG);
	assert_false(cell_has_changes(leader));
	while ((err = cell_run(leader, insert_many, &next)) == OK)
		runs++;
	assert_int_equal(err, ERR_BUSY);
	assert_int_equal(runs, 8);
	testing_apply(follower, seal(leader, &record));
	assert_true(record.size <= CELL_RECORD_BYTES_MAX);
	assert_int_equal(cell_run(leader, insert_many, &next), OK);
	testing_apply(follower, seal(leader, &record));
	assert_int_equal(testing_number(follower, "SELECT count(*) FROM item"), 90);
	assert_int_equal(testing_try(leader,
				     "INSERT INTO item VALUES ('big', zeroblob(1100000), 0)"),
			 ERR_TOO_BIG);
	buf_done(&record);
	cell_free(leader);
	cell_free(follower);
}

static void test_a_full_cell_only_shrinks(void **state)
{
	struct cell *c = new_leader();
	uint64_t next = 0;

	(void)state;
	assert_int_equal(cell_run(c, insert_many, &next), OK);
	c->run_pages_max = 300;
	assert_int_equal(cell_run(c, insert_many, &next), ERR_FULL);
	testing_do(c, "DELETE FROM item WHERE key = '3'");
	testing_do(c, "INSERT INTO item(key) VALUES ('small')");
	assert_int_equal(testing_number(c, "SELECT count(*) FROM item"), 10);
	assert_int_equal(cell_verify(c), OK);
	cell_free(c);
}

static void test_schemas_that_cannot_be_recorded_are_refused(void **state)
{
	static const char *const refused[] = {
		"CREATE TABLE t(a INTEGER PRIMARY KEY, b) WITHOUT ROWID",
		"CREATE TABLE t(a INTEGER PRIMARY KEY AUTOINCREMENT)",
		"CREATE TABLE t(a REFERENCES item(key))",
		"CREATE TABLE t(a, b AS (a + 1))",
		"CREATE TABLE t(a, b AS (a + 1) STORED)",
		"CREATE TABLE t(a DOUBLE PRECISION)",
		"CREATE TABLE t(_rowid_ TEXT)",
		"CREATE TEMP TABLE t(a)",
		"CREATE TABLE temp.t(a)",
		"CREATE VIRTUAL TABLE t USING fts5(a)",
		"CREATE VIEW t AS SELECT * FROM item",
		"CREATE TRIGGER t AFTER INSERT ON item BEGIN DELETE FROM item; END",
		"CREATE TABLE t(a); INSERT INTO item(key) VALUES ('a')",
		"DELETE FROM item WHERE key = 'there'",
		"DROP TABLE cell_schema",
		"ALTER TABLE cell_schema ADD COLUMN a",
		"UPDATE sqlite_schema SET sql = ''",
		"SELECT 1",
		"PRAGMA user_version = 3",
		"PRAGMA writable_schema = 1",
		"ATTACH ':memory:' AS other",
		"VACUUM",
		"ANALYZE",
		"SAVEPOINT a",
		"COMMIT",
		"WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n) SELECT * FROM n",
		"CREATE TABLE t AS WITH n(i) AS (VALUES(1) UNION SELECT i FROM n) SELECT * FROM n",
		"this is no SQL",
	};
	struct cell *c = new_leader();

	(void)state;
	testing_do(c, "INSERT INTO item(key) VALUES ('there')");
	size_t bytes = cell_change_bytes(c);
	struct hash128 hash = cell_hash(c);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char why[CELL_WHY_BYTES] = "";
		struct cell_schema schema = { "bad", 1, refused[i] };
		enum err err = cell_change_schema(c, &schema, why);
		if (err != ERR_UNSUPPORTED && err != ERR_INVALID)
			fail_msg("%s: %s (%s)", refused[i], err_name(err), why);
		assert_true(why[0]);
		assert_int_equal(cell_change_bytes(c), bytes);
		assert_true(hash128_equal(cell_hash(c), hash));
	}
	assert_int_equal(cell_schema_version(c, "bad"), 0);
	assert_int_equal(testing_number(c, "SELECT count(*) FROM sqlite_schema"), 3);
	assert_int_equal(testing_number(c, "SELECT count(*) FROM item"), 1);
	assert_int_equal(cell_verify(c), OK);
	cell_free(c);
}

static void test_schema_steps_reach_the_follower(void **state)
{
	static const struct cell_schema steps[] = {
		{ "test", 1, items_sql },
		{ "test", 2,
		  "ALTER TABLE item ADD COLUMN d INTEGER NOT NULL DEFAULT 7;"
		  "CREATE TABLE extra(id INTEGER PRIMARY KEY, t);" },
		{ "test", 3,
		  "-- nothing but a comment\n"
		  "ALTER TABLE item ADD COLUMN e DEFAULT 'x' CHECK (e <> 'y')" },
		{ "test", 4,
		  "ALTER TABLE item DROP COLUMN n; ALTER TABLE item RENAME d TO f;"
		  "ALTER TABLE extra RENAME TO other" },
	};
	struct cell *leader = new_leader(), *follower = cell_new("test");
	struct buf record;
	char why[CELL_WHY_BYTES];

	(void)state;
	buf_init(&record);
	testing_do(leader, "INSERT INTO item VALUES ('a', 1, 2), ('b', 3, 4)");
	/* A step that fails must not disturb how tables are named in the open record. */
	struct cell_schema bad = { "bad", 1, "CREATE TABLE t(a REAL)" };
	assert_int_equal(cell_change_schema(leader, &bad, why), ERR_UNSUPPORTED);
	testing_do(leader, "UPDATE item SET n = 5 WHERE key = 'a'");
	assert_int_equal(cell_upgrade_schema(leader, steps, 2, why), OK);
	testing_do(leader, "UPDATE item SET n = 6 WHERE key = 'a'");
	testing_do(leader, "INSERT INTO extra(t) VALUES ('x'), ('y')");
	testing_apply(follower, seal(leader, &record));
	enum err err = cell_upgrade_schema(leader, steps, 4, why);
	if (err)
		fail_msg("%s: %s", err_name(err), why);
	testing_do(leader, "DELETE FROM item WHERE f = 7 AND e = 'x' AND key = 'b'");
	testing_do(leader, "UPDATE other SET t = 'z', id = id + 10");
	testing_apply(follower, seal(leader, &record));

	assert_int_equal(cell_schema_version(follower, "test"), 4);
	testing_same(cell_database(leader), cell_database(follower), "SELECT rowid, * FROM item");
	testing_same(cell_database(leader), cell_database(follower), "SELECT * FROM other");
	testing_same(cell_database(leader), cell_database(follower), "SELECT * FROM sqlite_schema");
	assert_int_equal(cell_verify(leader), OK);
	assert_int_equal(cell_verify(follower), OK);

	assert_int_equal(cell_upgrade_schema(leader, steps, 4, why), OK);
	assert_false(cell_has_changes(leader));
	assert_int_equal(cell_upgrade_schema(leader, steps, 3, why), ERR_UNSUPPORTED);
	assert_int_equal(cell_change_schema(leader, &steps[2], why), ERR_CONFLICT);
	buf_done(&record);
	cell_free(leader);
	cell_free(follower);
}

static void expect_refused(struct cell *c, struct slice record, enum err first, enum err second)
{
	char why[CELL_WHY_BYTES] = "";
	struct cell_state before = cell_state(c);
	enum err err = cell_apply(c, record, why);

	if (err != first && err != second)
		fail_msg("%s: %s", err_name(err), why);
	assert_true(why[0] && why[CELL_WHY_BYTES - 1] == 0);
	assert_true(hash128_equal(cell_hash(c), before.hash));
	assert_int_equal(cell_state(c).sequence, before.sequence);
}

static void test_records_of_other_places_are_refused(void **state)
{
	struct cell *leader = new_leader(), *follower = new_follower(leader);
	struct cell *stranger = cell_new("stranger");
	struct buf first, second, twice;

	(void)state;
	buf_init(&first);
	buf_init(&second);
	buf_init(&twice);
	testing_do(leader, "INSERT INTO item(key) VALUES ('a')");
	seal(leader, &first);
	testing_do(leader, "INSERT INTO item(key) VALUES ('b')");
	seal(leader, &second);
	buf_add_slice(&twice, buf_slice(&first));
	buf_add_slice(&twice, buf_slice(&second));

	expect_refused(stranger, buf_slice(&first), ERR_INVALID, ERR_INVALID);
	expect_refused(follower, buf_slice(&second), ERR_CORRUPT, ERR_CORRUPT);
	expect_refused(follower, buf_slice(&twice), ERR_CORRUPT, ERR_CORRUPT);
	testing_apply(follower, buf_slice(&first));
	expect_refused(follower, buf_slice(&first), ERR_CORRUPT, ERR_CORRUPT);

	/* A follower that went its own way notices at the next record. */
	testing_do(follower, "INSERT INTO item(key) VALUES ('own')");
	buf_clear(&first);
	cell_seal(follower, 0, &first);
	assert_int_equal(cell_state(follower).now_ms, 2000);
	testing_do(leader, "INSERT INTO item(key) VALUES ('c')");
	expect_refused(follower, seal(leader, &second), ERR_CORRUPT, ERR_CORRUPT);
	assert_int_equal(cell_verify(follower), OK);
	buf_done(&first);
	buf_done(&second);
	buf_done(&twice);
	cell_free(leader);
	cell_free(follower);
	cell_free(stranger);
}

/* Rows for rich_record() to change. */
static struct cell *new_rich_leader(void)
{
	struct cell *c = new_leader();

	testing_do(c, "INSERT INTO item(key) VALUES ('a'), ('b'), ('c')");
	return c;
}

/* Every kind of change, none of which is undone by a later one. */
static struct slice rich_record(struct cell *leader, struct buf *record)
{
	testing_do(leader, "INSERT INTO item VALUES ('k', 'text', 70000),"
			   " ('l', x'abcd', -1), ('m', 1.5, NULL), ('n', printf('%300c', 'x'), 9)");
	testing_do(leader, "UPDATE item SET n = 12345678901 WHERE key = 'a'");
	testing_do(leader, "UPDATE item SET rowid = 77, value = 'w' WHERE key = 'b'");
	testing_do(leader, "DELETE FROM item WHERE key = 'c'");
	testing_schema(leader, 2, "CREATE TABLE more(a, b)");
	testing_do(leader, "INSERT INTO more VALUES (1, 2)");
	return seal(leader, record);
}

/* Wrong with the old checksum, and wrong behind a right one. */
static void test_every_damaged_byte_is_noticed(void **state)
{
	struct cell *leader = new_rich_leader(), *follower = new_follower(leader);
	struct prng prng = { 3 };
	struct buf record, repaired;

	(void)state;
	buf_init(&record);
	buf_init(&repaired);
	struct slice good = rich_record(leader, &record);
	for (size_t i = 0; i < good.size; i++) {
		uint8_t flip = (uint8_t)(1 + prng_below(&prng, 255));
		record.data[i] ^= flip;
		expect_refused(follower, good, ERR_CORRUPT, ERR_CORRUPT);
		record.data[i] ^= flip;
		expect_refused(follower, slice_part(good, 0, i), ERR_CORRUPT, ERR_CORRUPT);
	}

	struct cell_record_header header;
	char why[CELL_WHY_BYTES];
	assert_int_equal(cell_record_read(good, &header, why), OK);
	size_t changes_at = good.size - header.changes.size;
	for (size_t i = changes_at; i < good.size; i++) {
		buf_clear(&repaired);
		buf_add_slice(&repaired, good);
		repaired.data[i] ^= (uint8_t)(1 + prng_below(&prng, 255));
		uint32_t crc = crc32c(slice_part(buf_slice(&repaired), 0, 12));
		crc = crc32c_add(crc, slice_part(buf_slice(&repaired), 16, repaired.size));
		put_u32(repaired.data + 12, crc);
		expect_refused(follower, buf_slice(&repaired), ERR_CORRUPT, ERR_CORRUPT);
	}
	assert_int_equal(cell_verify(follower), OK);
	testing_apply(follower, good);
	assert_int_equal(cell_verify(follower), OK);
	buf_done(&record);
	buf_done(&repaired);
	cell_free(leader);
	cell_free(follower);
}

static void test_a_newer_format_is_named_as_such(void **state)
{
	struct cell *leader = new_leader(), *follower = new_follower(leader);
	struct buf record;

	(void)state;
	buf_init(&record);
	struct slice all = seal(leader, &record);
	put_u16(record.data + 4, 2);
	uint32_t crc = crc32c(slice_part(all, 0, 12));
	put_u32(record.data + 12, crc32c_add(crc, slice_part(all, 16, all.size)));
	expect_refused(follower, all, ERR_UNSUPPORTED, ERR_UNSUPPORTED);
	buf_done(&record);
	cell_free(leader);
	cell_free(follower);
}

struct diary {
	struct cell_watch watch;
	struct cell *cell;
	char text[512];
};

static void on_change(struct cell_watch *w, const struct cell_change *change)
{
	struct diary *d = CONTAINER(w, struct diary, watch);
	static const char letters[] = "iudS";
	size_t used = strlen(d->text);

	/* The whole record is there already. */
	assert_int_equal(testing_number(d->cell, "SELECT count(*) FROM item"), 6);
	snprintf(d->text + used, sizeof(d->text) - used, "%c %.*s %lld %lld\n",
		 letters[change->kind], SLICE_ARG(change->table), (long long)change->old_rowid,
		 (long long)change->rowid);
}

static void test_watches_hear_of_applied_changes(void **state)
{
	struct cell *leader = new_rich_leader(), *follower = new_follower(leader);
	struct diary diary = { .watch.on_change = on_change, .cell = follower };
	struct buf record;

	(void)state;
	buf_init(&record);
	cell_watch_add(follower, &diary.watch);
	rich_record(leader, &record);
	testing_apply(follower, buf_slice(&record));
	assert_string_equal(diary.text, "i item 4 4\ni item 5 5\ni item 6 6\ni item 7 7\n"
					"u item 1 1\nu item 2 77\nd item 3 3\n"
					"S test 0 0\ni more 1 1\n");
	cell_watch_remove(follower, &diary.watch);
	testing_do(leader, "DELETE FROM item");
	testing_apply(follower, seal(leader, &record));
	buf_done(&record);
	cell_free(leader);
	cell_free(follower);
}

static void test_an_image_replaces_everything(void **state)
{
	struct cell *a = new_leader(), *b = new_leader();
	struct buf record;
	char why[CELL_WHY_BYTES] = "";

	(void)state;
	buf_init(&record);
	testing_do(a, "INSERT INTO item VALUES ('a', randomblob(9000), 1), ('b', 2, 2)");
	testing_schema(a, 2, "CREATE TABLE more(a, b)");
	seal(a, &record);
	struct cell_image image = cell_image(a, NULL);

	testing_do(b, "INSERT INTO item VALUES ('z', 1, 1)");
	assert_int_equal(testing_number(b, "SELECT n FROM item"), 1);
	struct cell_state wrong = image.state;
	wrong.hash.low++;
	assert_int_equal(cell_load(b, image.pages, wrong, why), ERR_CORRUPT);
	assert_int_equal(cell_load(b, slice_part(image.pages, 0, 4096), image.state, why),
			 ERR_CORRUPT);
	assert_int_equal(cell_load(b, SLICE("short"), image.state, why), ERR_CORRUPT);
	assert_int_equal(testing_number(b, "SELECT count(*) FROM item WHERE key = 'z'"), 1);

	assert_int_equal(cell_load(b, image.pages, image.state, why), OK);
	cell_image_done(&image);
	assert_int_equal(cell_verify(b), OK);
	testing_same(cell_database(a), cell_database(b), "SELECT rowid, * FROM item");

	/* Statements, records and schema go on from there. */
	assert_int_equal(testing_number(b, "SELECT n FROM item WHERE key = 'b'"), 2);
	testing_do(a, "INSERT INTO more VALUES (1, 1)");
	testing_apply(b, seal(a, &record));
	testing_do(b, "DELETE FROM item WHERE key = 'a'");
	testing_apply(a, seal(b, &record));
	assert_int_equal(testing_number(a, "SELECT count(*) FROM item"), 1);
	buf_done(&record);
	cell_free(a);
	cell_free(b);
}

static void test_an_image_is_copied_into_the_room_made_for_it(void **state)
{
	struct cell *a = new_leader(), *b = cell_new("test");
	struct cell_room room, small;
	struct buf record;
	char why[CELL_WHY_BYTES] = "";

	(void)state;
	buf_init(&record);
	testing_do(a, "INSERT INTO item VALUES ('a', randomblob(900000), 1)");
	seal(a, &record);
	cell_room_make(&room, cell_room_bytes(a));
	cell_room_make(&small, cell_image_bytes(a) - 1);
	const void *memory = room.memory;
	assert_non_null(memory);

	struct cell_image image = cell_image(a, &small);
	assert_int_equal(image.pages.size, cell_image_bytes(a));
	assert_non_null(small.memory);
	cell_image_done(&image);
	image = cell_image(a, &room);
	assert_ptr_equal(image.pages.data, memory);
	assert_null(room.memory);
	assert_int_equal(cell_load(b, image.pages, image.state, why), OK);
	assert_true(hash128_equal(cell_hash(a), cell_hash(b)));

	cell_image_done(&image);
	cell_room_done(&room);
	cell_room_done(&small);
	buf_done(&record);
	cell_free(a);
	cell_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_follower_has_what_the_leader_has),
		cmocka_unit_test(test_equal_contents_have_equal_hashes_whatever_the_way),
		cmocka_unit_test(test_what_failed_leaves_no_trace),
		cmocka_unit_test(test_transactions_and_records_have_limits),
		cmocka_unit_test(test_a_full_cell_only_shrinks),
		cmocka_unit_test(test_schemas_that_cannot_be_recorded_are_refused),
		cmocka_unit_test(test_schema_steps_reach_the_follower),
		cmocka_unit_test(test_records_of_other_places_are_refused),
		cmocka_unit_test(test_every_damaged_byte_is_noticed),
		cmocka_unit_test(test_a_newer_format_is_named_as_such),
		cmocka_unit_test(test_watches_hear_of_applied_changes),
		cmocka_unit_test(test_an_image_replaces_everything),
		cmocka_unit_test(test_an_image_is_copied_into_the_room_made_for_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
