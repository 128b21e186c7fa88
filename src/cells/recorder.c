/* The recorder: SQLite's pre-update hook turns every changed row into bytes of the next record and
 * keeps the content hash.
 *
 * The hash of a row is hash_content(hash of the table's name | rowid | encoded values); the cell's
 * hash is the sum of them modulo 2^128, so an insert adds, a delete subtracts, and any order of the
 * same changes gives the same sum.  A row with value NULL in a new column is another row, hence a
 * schema step computes the sum anew. */
#include <assert.h>

#include "base/endian.h"
#include "cells/cell_private.h"

enum { ROW_PREFIX_BYTES = 24 }; /* name hash and rowid, before the values */

void hash128_add(struct hash128 *sum, struct hash128 h)
{
	sum->low += h.low;
	sum->high += h.high + (sum->low < h.low);
}

void hash128_subtract(struct hash128 *sum, struct hash128 h)
{
	uint64_t borrow = sum->low < h.low;

	sum->low -= h.low;
	sum->high -= h.high + borrow;
}

static void row_begin(struct buf *row, const struct cell_table *t, int64_t rowid)
{
	buf_clear(row);
	buf_add_u64(row, t->name_hash.high);
	buf_add_u64(row, t->name_hash.low);
	buf_add_u64(row, (uint64_t)rowid);
}

static struct slice row_values(const struct buf *row)
{
	return slice_part(buf_slice(row), ROW_PREFIX_BYTES, row->size);
}

/* The row before or after the change that is just happening. */
static void read_row(struct cell *c, const struct cell_table *t, int64_t rowid,
		     int (*get)(sqlite3 *, int, sqlite3_value **), struct buf *row)
{
	row_begin(row, t, rowid);
	for (unsigned i = 0; i < t->column_count; i++) {
		sqlite3_value *value = NULL;
		int code = get(c->db, t->column_index[i], &value);
		assert(code == SQLITE_OK && value);
		cell_value_add(row, value);
	}
}

/* Which encoded values differ, as a bitmap. */
static uint64_t compare_rows(const struct cell_table *t, const struct buf *old,
			     const struct buf *new)
{
	struct cell_reader before = { row_values(old), false };
	struct cell_reader after = { row_values(new), false };
	uint64_t columns = 0;

	for (unsigned i = 0; i < t->column_count; i++) {
		struct slice a = before.rest, b = after.rest;
		cell_value_skip(&before);
		cell_value_skip(&after);
		a.size -= before.rest.size;
		b.size -= after.rest.size;
		if (!slice_equal(a, b))
			columns |= (uint64_t)1 << i;
	}
	assert(!before.bad && !after.bad);
	return columns;
}

static void add_values(struct buf *b, const struct buf *row, uint64_t columns)
{
	struct cell_reader r = { row_values(row), false };

	for (; columns; columns >>= 1) {
		struct slice value = r.rest;
		cell_value_skip(&r);
		value.size -= r.rest.size;
		if (columns & 1)
			buf_add_slice(b, value);
	}
}

static void add_table(struct cell *c, struct cell_table *t)
{
	if (t->record_number >= 0)
		return;
	t->record_number = c->record_tables++;
	buf_add_u8(&c->changes, CHANGE_TABLE);
	buf_add_u8(&c->changes, (uint8_t)t->column_count);
	buf_add_u8(&c->changes, (uint8_t)strlen(t->name));
	buf_add_text(&c->changes, t->name);
}

static void start_change(struct cell *c, struct cell_table *t, enum cell_change_code code)
{
	add_table(c, t);
	buf_add_u8(&c->changes, (uint8_t)code);
	buf_add_u16(&c->changes, (uint16_t)t->record_number);
}

static void record_update(struct cell *c, struct cell_table *t, int64_t old_rowid,
			  int64_t new_rowid)
{
	uint64_t columns = compare_rows(t, &c->old_row, &c->new_row);

	if (old_rowid == new_rowid && columns == 0)
		return;
	start_change(c, t, old_rowid == new_rowid ? CHANGE_UPDATE : CHANGE_MOVE);
	if (old_rowid != new_rowid)
		buf_add_u64(&c->changes, (uint64_t)old_rowid);
	buf_add_u64(&c->changes, (uint64_t)new_rowid);
	buf_add_u64(&c->changes, columns);
	add_values(&c->changes, &c->new_row, columns);
}

static void record_change(struct cell *c, struct cell_table *t, int operation, int64_t old_rowid,
			  int64_t new_rowid)
{
	if (c->changes.size > c->transaction_start + CELL_TRANSACTION_BYTES_MAX) {
		if (c->failed == OK)
			c->failed = ERR_TOO_BIG;
		return;
	}
	if (operation == SQLITE_INSERT) {
		start_change(c, t, CHANGE_INSERT);
		buf_add_u64(&c->changes, (uint64_t)new_rowid);
		buf_add_slice(&c->changes, row_values(&c->new_row));
	} else if (operation == SQLITE_DELETE) {
		start_change(c, t, CHANGE_DELETE);
		buf_add_u64(&c->changes, (uint64_t)old_rowid);
	} else {
		record_update(c, t, old_rowid, new_rowid);
	}
}

void recorder_on_change(void *cell, sqlite3 *db, int operation, const char *database,
			const char *table, sqlite3_int64 old_rowid, sqlite3_int64 new_rowid)
{
	struct cell *c = cell;

	(void)db;
	if (c->activity == CELL_TRUSTED)
		return;
	assert(c->activity != CELL_IDLE); /* a write outside cell_run() is a bug */
	if (c->activity == CELL_CHANGING) {
		c->rows_changed = true;
		return;
	}
	/* Neither triggers nor blob handles, the authorizer and the contract forbid them. */
	assert(strcmp(database, "main") == 0 && sqlite3_preupdate_depth(c->db) == 0);
	assert(sqlite3_preupdate_blobwrite(c->db) < 0);

	struct cell_table *t = cell_catalogue_find(&c->catalogue, slice_from(table));
	assert(t);
	c->row_change_count++;
	if (operation != SQLITE_INSERT) {
		read_row(c, t, old_rowid, sqlite3_preupdate_old, &c->old_row);
		hash128_subtract(&c->state.hash, hash_content(buf_slice(&c->old_row)));
	}
	if (operation != SQLITE_DELETE) {
		read_row(c, t, new_rowid, sqlite3_preupdate_new, &c->new_row);
		hash128_add(&c->state.hash, hash_content(buf_slice(&c->new_row)));
	}
	if (c->activity == CELL_RUNNING)
		record_change(c, t, operation, old_rowid, new_rowid);
}

static void forget_tables(struct cell *c, int tables)
{
	for (size_t i = 0; i < c->catalogue.count; i++)
		if (c->catalogue.tables[i].record_number >= tables)
			c->catalogue.tables[i].record_number = -1;
	c->record_tables = tables;
}

void recorder_rewind(struct cell *c, size_t bytes, int tables)
{
	assert(bytes <= c->changes.size && tables <= c->record_tables);
	c->changes.size = bytes;
	forget_tables(c, tables);
}

void recorder_add_schema(struct cell *c, const struct cell_schema *schema)
{
	size_t name_size = strlen(schema->name);
	size_t sql_size = strlen(schema->sql);

	assert(name_size <= CELL_NAME_BYTES_MAX && sql_size <= CELL_SQL_BYTES_MAX);
	buf_add_u8(&c->changes, CHANGE_SCHEMA);
	buf_add_u32(&c->changes, (uint32_t)schema->version);
	buf_add_u8(&c->changes, (uint8_t)name_size);
	buf_add(&c->changes, schema->name, name_size);
	buf_add_u32(&c->changes, (uint32_t)sql_size);
	buf_add(&c->changes, schema->sql, sql_size);
	forget_tables(c, 0);
}

bool cell_has_changes(const struct cell *c)
{
	return c->changes.size > 0;
}

size_t cell_change_bytes(const struct cell *c)
{
	return CELL_RECORD_HEADER_BYTES + strlen(c->name) + c->changes.size;
}

void cell_seal(struct cell *c, uint64_t now_ms, struct buf *ret)
{
	assert(c->activity == CELL_IDLE);
	c->state.sequence++;
	if (c->state.now_ms < now_ms)
		c->state.now_ms = now_ms;

	size_t start = cell_record_begin(ret, c->name, c->state);
	buf_add_slice(ret, buf_slice(&c->changes));
	cell_record_finish(ret, start);
	buf_clear(&c->changes);
	forget_tables(c, 0);
}

/* --- from scratch -----------------------------------------------------------------------------*/

/* NOT INDEXED: the rows themselves, not what a covering index says about them. */
static sqlite3_stmt *select_all(sqlite3 *db, const struct cell_table *t)
{
	sqlite3_str *sql = sqlite3_str_new(db);
	sqlite3_stmt *statement = NULL;

	sqlite3_str_appendall(sql, "SELECT _rowid_");
	for (unsigned i = 0; i < t->column_count; i++)
		sqlite3_str_appendf(sql, ",\"%w\"", t->column_names[i]);
	sqlite3_str_appendf(sql, " FROM main.\"%w\" NOT INDEXED", t->name);

	char *text = sqlite3_str_finish(sql);
	if (text)
		sqlite3_prepare_v2(db, text, -1, &statement, NULL);
	sqlite3_free(text);
	return statement;
}

static enum err add_table_hash(sqlite3 *db, const struct cell_table *t, struct buf *row,
			       struct hash128 *sum)
{
	sqlite3_stmt *statement = select_all(db, t);
	int code = SQLITE_CORRUPT;

	while (statement && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		row_begin(row, t, sqlite3_column_int64(statement, 0));
		for (unsigned i = 0; i < t->column_count; i++)
			cell_value_add(row, sqlite3_column_value(statement, (int)i + 1));
		hash128_add(sum, hash_content(buf_slice(row)));
	}
	sqlite3_finalize(statement);
	return err_from_sqlite(code);
}

enum err recorder_hash(sqlite3 *db, const struct cell_catalogue *k, struct hash128 *ret)
{
	struct hash128 sum = { 0, 0 };
	struct buf row;
	enum err err = OK;

	buf_init(&row);
	for (size_t i = 0; i < k->count && err == OK; i++)
		err = add_table_hash(db, &k->tables[i], &row, &sum);
	buf_done(&row);
	if (err == OK)
		*ret = sum;
	return err;
}
