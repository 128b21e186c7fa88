/* What the tests of this directory share: running SQL in a cell, and contents as text. */
#ifndef CELLS_CELL_TESTING_H
#define CELLS_CELL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "cells/follower.h"

static inline enum err testing_run_sql(struct cell *c, void *sql)
{
	return cell_execute(c, cell_statement(c, sql));
}

/* One statement as one transaction. */
static inline enum err testing_try(struct cell *c, const char *sql)
{
	return cell_run(c, testing_run_sql, (void *)(uintptr_t)sql);
}

static inline void testing_do(struct cell *c, const char *sql)
{
	assert_int_equal(testing_try(c, sql), OK);
}

static inline void testing_schema(struct cell *c, int version, const char *sql)
{
	char why[CELL_WHY_BYTES] = "";
	struct cell_schema schema = { "test", version, sql };
	enum err err = cell_change_schema(c, &schema, why);

	if (err)
		fail_msg("%s: %s", err_name(err), why);
}

static inline void testing_apply(struct cell *c, struct slice record)
{
	char why[CELL_WHY_BYTES] = "";
	enum err err = cell_apply(c, record, why);

	if (err)
		fail_msg("%s: %s", err_name(err), why);
}

/* The image as a follower got it, in parts of odd sizes. */
static inline void testing_gather(const struct follower_image *image, struct buf *ret)
{
	while (ret->size < follower_image_bytes(image))
		buf_add_slice(ret, follower_image_part(image, ret->size, 7777));
}

static inline void testing_load(struct cell *c, const struct follower_image *image)
{
	char why[CELL_WHY_BYTES] = "";
	struct buf bytes;

	buf_init(&bytes);
	testing_gather(image, &bytes);
	if (follower_image_load(c, buf_slice(&bytes), why))
		fail_msg("%s", why);
	buf_done(&bytes);
}

/* Append the rows of a query as SQL literals, one line a row. */
static inline void testing_dump(sqlite3 *db, const char *sql, struct buf *ret)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while (sqlite3_step(statement) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(statement); i++) {
			buf_add_u8(ret, (uint8_t)sqlite3_column_type(statement, i));
			buf_add(ret, sqlite3_column_blob(statement, i),
				(size_t)sqlite3_column_bytes(statement, i));
			buf_add_text(ret, "|");
		}
		buf_add_text(ret, "\n");
	}
	assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

/* Both databases answer the query alike. */
static inline void testing_same(sqlite3 *a, sqlite3 *b, const char *sql)
{
	struct buf one, two;

	buf_init(&one);
	buf_init(&two);
	testing_dump(a, sql, &one);
	testing_dump(b, sql, &two);
	bool same = slice_equal(buf_slice(&one), buf_slice(&two));
	buf_done(&one);
	buf_done(&two);
	if (!same)
		fail_msg("different: %s", sql);
}

static inline int64_t testing_number(struct cell *c, const char *sql)
{
	sqlite3_stmt *statement = cell_statement(c, sql);

	assert_true(cell_next(c, statement));
	return sqlite3_column_int64(statement, 0);
}

#endif
