/* Life of a cell, its statements, its transactions. */
#include "cells/cell.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "cells/cell_private.h"

enum err err_from_sqlite(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return OK;
	case SQLITE_CONSTRAINT:
		return ERR_CONFLICT;
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_TOOBIG:
		return ERR_TOO_BIG;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_AUTH:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return ERR_DENIED;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return ERR_CORRUPT;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return ERR_IO;
	case SQLITE_INTERRUPT:
	case SQLITE_ABORT:
		return ERR_CANCELED;
	case SQLITE_NOMEM:
		log_error("out of memory in SQLite");
		abort();
	default:
		return ERR_INVALID;
	}
}

void cell_explain(char why[CELL_WHY_BYTES], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, CELL_WHY_BYTES, format, args);
	va_end(args);
}

void cell_expect(struct cell *c, int code)
{
	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
		return;
	log_error("cell %s: %s", c->name, sqlite3_errmsg(c->db));
	abort();
}

enum cell_activity cell_enter(struct cell *c, enum cell_activity activity)
{
	enum cell_activity last = c->activity;

	c->activity = activity;
	return last;
}

/* --- life -------------------------------------------------------------------------------------*/

static void set_limits(struct cell *c)
{
	sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, CELL_VALUE_BYTES_MAX);
	sqlite3_limit(c->db, SQLITE_LIMIT_SQL_LENGTH, CELL_SQL_BYTES_MAX);
	sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
}

static sqlite3_stmt *prepare(struct cell *c, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);

	if (code != SQLITE_OK || !statement) {
		log_error("cell %s: %s in: %s", c->name, sqlite3_errmsg(c->db), sql);
		abort();
	}
	return statement;
}

struct cell *cell_new(const char *name)
{
	struct cell *c = NEW(struct cell);
	char why[CELL_WHY_BYTES];

	assert(strlen(name) > 0 && strlen(name) <= CELL_NAME_BYTES_MAX);
	memcpy(c->name, name, strlen(name));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY |
		    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	_Static_assert(CELL_PAGES_MAX == 262144, "as in the pragma below");
	cell_expect(c, sqlite3_open_v2(":memory:", &c->db, flags, NULL));
	set_limits(c);
	c->activity = CELL_TRUSTED;
	cell_expect(c, sqlite3_exec(c->db,
				    "PRAGMA page_size = 4096; PRAGMA secure_delete = 0;"
				    "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;"
				    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY;"
				    "PRAGMA max_page_count = 262144;"
				    "CREATE TABLE " CELL_SCHEMA_TABLE "(name TEXT NOT NULL,"
				    " version INTEGER NOT NULL, sql TEXT NOT NULL)",
				    NULL, NULL, NULL));
	sqlite3_set_authorizer(c->db, cell_authorize, c);
	sqlite3_preupdate_hook(c->db, recorder_on_change, c);
	c->begin = prepare(c, "BEGIN");
	c->commit = prepare(c, "COMMIT");
	c->rollback = prepare(c, "ROLLBACK");
	c->page_count = prepare(c, "PRAGMA page_count");
	c->run_pages_max = CELL_RUN_PAGES_MAX;
	enum err err = cell_catalogue_read(c->db, &c->catalogue, why);
	assert(err == OK);
	c->activity = CELL_IDLE;
	return c;
}

void cell_free(struct cell *c)
{
	if (!c)
		return;
	assert(!c->watches && c->activity == CELL_IDLE);

	size_t cursor = 0;
	for (struct cell_cached *s; (s = map_next(&c->statements, &cursor));) {
		sqlite3_finalize(s->statement);
		memory_free(s->sql);
		memory_free(s);
	}
	map_done(&c->statements);
	sqlite3_finalize(c->begin);
	sqlite3_finalize(c->commit);
	sqlite3_finalize(c->rollback);
	sqlite3_finalize(c->page_count);
	cell_catalogue_done(&c->catalogue);
	int code = sqlite3_close(c->db);
	assert(code == SQLITE_OK); /* busy: somebody's own statement outlives the cell */
	buf_done(&c->changes);
	buf_done(&c->old_row);
	buf_done(&c->new_row);
	memory_free(c);
}

const char *cell_name(const struct cell *c)
{
	return c->name;
}

sqlite3 *cell_database(struct cell *c)
{
	return c->db;
}

struct cell_state cell_state(const struct cell *c)
{
	return c->state;
}

struct hash128 cell_hash(const struct cell *c)
{
	return c->state.hash;
}

enum err cell_verify(struct cell *c)
{
	struct hash128 hash;
	enum cell_activity last = cell_enter(c, CELL_TRUSTED);
	enum err err = recorder_hash(c->db, &c->catalogue, &hash);

	cell_enter(c, last);
	if (err == OK && !hash128_equal(hash, c->state.hash))
		err = ERR_CORRUPT;
	return err;
}

/* --- statements -------------------------------------------------------------------------------*/

static void keep_failure(struct cell *c, int code)
{
	enum err err = err_from_sqlite(code);

	if (err == OK)
		return;
	log_debug("cell %s: %s", c->name, sqlite3_errmsg(c->db));
	if (c->failed == OK)
		c->failed = err;
}

static struct cell_cached *add_statement(struct cell *c, const char *sql)
{
	assert(c->statements.count < CELL_STATEMENTS_MAX);

	struct cell_cached *s = NEW(struct cell_cached);
	s->sql = memory_copy_text(sql);
	s->statement = prepare(c, sql);
	map_put(&c->statements, slice_from(s->sql), s);
	return s;
}

sqlite3_stmt *cell_statement(struct cell *c, const char *sql)
{
	struct cell_cached *s = map_get(&c->statements, slice_from(sql));

	if (!s) {
		s = add_statement(c, sql);
	} else {
		/* Reset reports what the last step did, also to those who did not look. */
		keep_failure(c, sqlite3_reset(s->statement));
		sqlite3_clear_bindings(s->statement);
	}
	if (!s->is_out) {
		s->is_out = true;
		s->next_out = c->out;
		c->out = s;
	}
	return s->statement;
}

void cell_sweep(struct cell *c)
{
	while (c->out) {
		struct cell_cached *s = c->out;
		c->out = s->next_out;
		s->is_out = false;
		keep_failure(c, sqlite3_reset(s->statement));
		sqlite3_clear_bindings(s->statement);
	}
}

bool cell_next(struct cell *c, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return true;
	if (c->activity == CELL_RUNNING)
		keep_failure(c, code);
	else
		cell_expect(c, code);
	return false;
}

enum err cell_execute(struct cell *c, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	while (code == SQLITE_ROW)
		code = sqlite3_step(statement);
	keep_failure(c, code);
	return err_from_sqlite(code);
}

enum err cell_execute_sql(struct cell *c, const char *sql, int64_t first, int64_t second)
{
	sqlite3_stmt *st = cell_statement(c, sql);

	cell_bind_int(st, 1, first);
	if (sqlite3_bind_parameter_count(st) > 1)
		cell_bind_int(st, 2, second);
	return cell_execute(c, st);
}

void cell_bind_int(sqlite3_stmt *statement, int parameter, int64_t value)
{
	int code = sqlite3_bind_int64(statement, parameter, value);

	assert(code == SQLITE_OK);
}

void cell_bind_text(sqlite3_stmt *statement, int parameter, struct slice text)
{
	assert(text.size <= CELL_VALUE_BYTES_MAX);
	int code = sqlite3_bind_text(statement, parameter, text.size ? (const char *)text.data : "",
				     (int)text.size, SQLITE_STATIC);

	assert(code == SQLITE_OK);
}

void cell_bind_blob(sqlite3_stmt *statement, int parameter, struct slice bytes)
{
	assert(bytes.size <= CELL_VALUE_BYTES_MAX);
	int code =
		sqlite3_bind_blob(statement, parameter, bytes.size ? (const void *)bytes.data : "",
				  (int)bytes.size, SQLITE_STATIC);

	assert(code == SQLITE_OK);
}

struct slice cell_column_text(sqlite3_stmt *statement, int column)
{
	const uint8_t *text = sqlite3_column_text(statement, column);

	return (struct slice) { text, text ? (size_t)sqlite3_column_bytes(statement, column) : 0 };
}

struct slice cell_column_blob(sqlite3_stmt *statement, int column)
{
	const uint8_t *blob = sqlite3_column_blob(statement, column);

	return (struct slice) { blob, blob ? (size_t)sqlite3_column_bytes(statement, column) : 0 };
}

/* --- transactions -----------------------------------------------------------------------------*/

static int step_once(sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	sqlite3_reset(statement);
	return code;
}

enum err cell_transaction_begin(struct cell *c, enum cell_activity activity)
{
	assert(c->activity == CELL_IDLE); /* cell_run() does not nest; watches do not write */
	cell_sweep(c);
	c->failed = OK;
	c->rows_changed = c->schema_changed = false;
	c->transaction_start = c->changes.size;
	c->activity = CELL_TRUSTED;
	int code = step_once(c->begin);
	c->activity = code == SQLITE_DONE ? activity : CELL_IDLE;
	return err_from_sqlite(code);
}

enum err cell_transaction_commit(struct cell *c)
{
	cell_sweep(c);
	c->activity = CELL_TRUSTED;
	int code = step_once(c->commit);
	if (code != SQLITE_DONE)
		return err_from_sqlite(code);
	cell_catalogue_done(&c->old_catalogue);
	c->activity = CELL_IDLE;
	return OK;
}

void cell_transaction_rollback(struct cell *c)
{
	cell_sweep(c);
	c->activity = CELL_TRUSTED;
	/* Some failures (disk full, OR ROLLBACK) have rolled back already. */
	if (!sqlite3_get_autocommit(c->db))
		cell_expect(c, step_once(c->rollback));
	if (c->schema_changed) {
		cell_catalogue_done(&c->catalogue);
		c->catalogue = c->old_catalogue;
		c->old_catalogue = (struct cell_catalogue) { 0 };
	}
	c->activity = CELL_IDLE;
}

int64_t cell_count_pages(struct cell *c)
{
	enum cell_activity last = cell_enter(c, CELL_TRUSTED);
	int64_t pages = sqlite3_step(c->page_count) == SQLITE_ROW
				? sqlite3_column_int64(c->page_count, 0)
				: 0;

	sqlite3_reset(c->page_count);
	cell_enter(c, last);
	return pages;
}

bool cell_take_full(struct cell *c)
{
	bool ret = c->was_full;

	c->was_full = false;
	return ret;
}

void cell_let_free(struct cell *c)
{
	c->is_freeing = true;
}

static int64_t run_pages_max(const struct cell *c)
{
	return c->run_pages_max + (c->is_freeing ? CELL_FREEING_BYTES / CELL_PAGE_BYTES : 0);
}

enum err cell_run(struct cell *c, enum err (*run)(struct cell *c, void *argument), void *argument)
{
	struct hash128 hash = c->state.hash;
	size_t bytes = c->changes.size;
	int tables = c->record_tables;

	enum err err = cell_transaction_begin(c, CELL_RUNNING);
	if (err)
		return err;
	int64_t pages = cell_count_pages(c);
	c->is_freeing = false;
	err = run(c, argument);
	cell_sweep(c);
	if (err == OK)
		err = c->failed;
	if (err == OK && sqlite3_get_autocommit(c->db))
		err = ERR_CONFLICT;
	/* A follower may need more pages for the same rows, hence the distance to the hard limit.
	 */
	if (err == OK &&
	    cell_count_pages(c) > (pages > run_pages_max(c) ? pages : run_pages_max(c)))
		err = c->failed = ERR_FULL;
	c->was_full |= c->failed == ERR_FULL;
	if (err == OK && cell_change_bytes(c) > CELL_RECORD_BYTES_MAX)
		err = ERR_BUSY;
	if (err == OK)
		err = cell_transaction_commit(c);
	if (err) {
		cell_transaction_rollback(c);
		c->state.hash = hash;
		recorder_rewind(c, bytes, tables);
	}
	return err;
}
