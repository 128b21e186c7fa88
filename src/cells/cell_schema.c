/* Which tables a cell has and may have, and the steps that change them.
 *
 * Everything that could make the row images of the recorder incomplete or ambiguous is refused:
 * triggers and foreign keys (rows change behind the statement), WITHOUT ROWID (no row number),
 * AUTOINCREMENT (hidden state), REAL columns (the hook shows an integral value as INTEGER before
 * and as REAL after it is stored), generated columns, virtual tables.  What cannot be seen in the
 * finished schema is refused while it is prepared, by the authorizer. */
#include <assert.h>
#include <ctype.h>

#include "base/memory.h"
#include "cells/cell_private.h"

/* --- the authorizer ---------------------------------------------------------------------------*/

static bool is_own(const char *name)
{
	return name && sqlite3_stricmp(name, CELL_SCHEMA_TABLE) == 0;
}

static bool is_internal(const char *name)
{
	return name && sqlite3_strnicmp(name, "sqlite_", 7) == 0;
}

static int authorize_step(struct cell *c, int action, const char *first, const char *second)
{
	if (is_own(first) || is_own(second))
		return SQLITE_DENY;
	switch (action) {
	case SQLITE_ALTER_TABLE:
		c->table_altered = true;
		return SQLITE_OK;
	case SQLITE_CREATE_INDEX:
	case SQLITE_CREATE_TABLE:
	case SQLITE_DROP_INDEX:
	case SQLITE_DROP_TABLE:
	case SQLITE_REINDEX:
	case SQLITE_INSERT:
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
		return SQLITE_OK; /* of rows, the hook sees what is not SQLite's own */
	case SQLITE_PRAGMA:	  /* ADD COLUMN with a CHECK looks at the rows with it */
		return first && sqlite3_stricmp(first, "quick_check") == 0 ? SQLITE_OK
									   : SQLITE_DENY;
	default:
		return SQLITE_DENY;
	}
}

int cell_authorize(void *cell, int action, const char *first, const char *second,
		   const char *database, const char *trigger)
{
	struct cell *c = cell;

	(void)trigger;
	if (c->activity == CELL_TRUSTED)
		return SQLITE_OK;
	if (action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_FUNCTION)
		return SQLITE_OK;
	/* ALTER also looks into the temporary schema, which stays empty. */
	if (database && sqlite3_stricmp(database, "temp") == 0 && !is_internal(first))
		return SQLITE_DENY;
	if (c->activity == CELL_CHANGING)
		return authorize_step(c, action, first, second);
	if (action == SQLITE_RECURSIVE)
		return SQLITE_OK;
	if (action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE)
		return is_own(first) || is_internal(first) ? SQLITE_DENY : SQLITE_OK;
	return SQLITE_DENY;
}

/* --- the catalogue ----------------------------------------------------------------------------*/

static void table_done(struct cell_table *t)
{
	for (unsigned i = 0; i < t->column_count; i++)
		memory_free(t->column_names[i]);
	for (unsigned i = 0; i < CELL_UPDATES_KEPT; i++)
		sqlite3_finalize(t->updates[i].statement);
	sqlite3_finalize(t->insert);
	sqlite3_finalize(t->delete);
	memory_free(t->name);
}

void cell_catalogue_done(struct cell_catalogue *k)
{
	for (size_t i = 0; i < k->count; i++)
		table_done(&k->tables[i]);
	memory_free(k->tables);
	map_done(&k->by_name);
	*k = (struct cell_catalogue) { 0 };
}

struct cell_table *cell_catalogue_find(const struct cell_catalogue *k, struct slice name)
{
	return map_get(&k->by_name, name);
}

/* A statement about `table`, as its only parameter; NULL when the database is corrupt. */
static sqlite3_stmt *ask(sqlite3 *db, const char *sql, const char *table)
{
	sqlite3_stmt *statement = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	if (table)
		sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
	return statement;
}

/* The first column of the first row of a question, 0 when there is none, -1 on failure. */
static int64_t ask_number(sqlite3 *db, const char *sql, const char *table)
{
	sqlite3_stmt *statement = ask(db, sql, table);
	int code = statement ? sqlite3_step(statement) : SQLITE_CORRUPT;
	int64_t number = 0;

	if (code == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	else if (code != SQLITE_DONE)
		number = -1;
	sqlite3_finalize(statement);
	return number;
}

/* SQLite's rule 4 of column affinity; its rules 1 to 3 come first. */
static bool has_real_affinity(const char *type)
{
	static const char *const other[] = { "*INT*", "*CHAR*", "*CLOB*", "*TEXT*", "*BLOB*" };
	static const char *const real[] = { "*REAL*", "*FLOA*", "*DOUB*" };
	char upper[64] = "";

	for (size_t i = 0; type[i] && i + 1 < sizeof(upper); i++)
		upper[i] = (char)toupper((unsigned char)type[i]);
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		if (sqlite3_strglob(other[i], upper) == 0)
			return false;
	for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++)
		if (sqlite3_strglob(real[i], upper) == 0)
			return true;
	return false;
}

/* Columns: number, name, type, position in the primary key, hidden. */
static const char columns_sql[] =
	"SELECT cid, name, type, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid";

/* A primary key without an index of its own is the rowid under another name. */
static const char key_index_sql[] =
	"SELECT count(*) FROM pragma_index_list(?1) WHERE origin = 'pk'";

static enum err read_column(struct cell_table *t, sqlite3_stmt *column, bool key_has_index,
			    char why[CELL_WHY_BYTES])
{
	int index = sqlite3_column_int(column, 0);
	const char *name = (const char *)sqlite3_column_text(column, 1);
	const char *type = (const char *)sqlite3_column_text(column, 2);

	if (!name || !type || index < 0 || index >= CELL_COLUMNS_MAX) {
		cell_explain(why, "table %.40s: more than %d columns", t->name, CELL_COLUMNS_MAX);
		return ERR_UNSUPPORTED;
	}
	if (sqlite3_column_int(column, 4) != 0 || sqlite3_stricmp(name, "_rowid_") == 0) {
		cell_explain(why, "table %.40s, column %.30s: hidden, generated or named _rowid_",
			     t->name, name);
		return ERR_UNSUPPORTED;
	}
	if (has_real_affinity(type)) {
		cell_explain(why, "table %.40s, column %.30s: type REAL", t->name, name);
		return ERR_UNSUPPORTED;
	}
	if (sqlite3_column_int(column, 3) > 0 && !key_has_index)
		return OK;
	t->column_index[t->column_count] = (uint8_t)index;
	t->column_names[t->column_count++] = memory_copy_text(name);
	return OK;
}

static enum err read_columns(sqlite3 *db, struct cell_table *t, char why[CELL_WHY_BYTES])
{
	int64_t key_indexes = ask_number(db, key_index_sql, t->name);
	sqlite3_stmt *columns = ask(db, columns_sql, t->name);
	int code = columns && key_indexes >= 0 ? SQLITE_OK : SQLITE_CORRUPT;
	enum err err = OK;

	while (code != SQLITE_CORRUPT && err == OK && (code = sqlite3_step(columns)) == SQLITE_ROW)
		err = read_column(t, columns, key_indexes > 0, why);
	sqlite3_finalize(columns);
	if (err == OK && code != SQLITE_DONE) {
		cell_explain(why, "table %.40s: %.60s", t->name, sqlite3_errmsg(db));
		err = ERR_CORRUPT;
	}
	return err;
}

static enum err read_table(sqlite3 *db, sqlite3_stmt *listed, struct cell_table *t,
			   char why[CELL_WHY_BYTES])
{
	const char *name = (const char *)sqlite3_column_text(listed, 0);
	const char *type = (const char *)sqlite3_column_text(listed, 1);

	if (!name || !type || strlen(name) > CELL_NAME_BYTES_MAX) {
		cell_explain(why, "the name of a table is longer than %d", CELL_NAME_BYTES_MAX);
		return ERR_UNSUPPORTED;
	}
	if (strcmp(type, "table") != 0 || sqlite3_column_int(listed, 2) != 0) {
		cell_explain(why, "%.64s is a %.20s without rowids", name, type);
		return ERR_UNSUPPORTED;
	}
	t->name = memory_copy_text(name);
	t->name_hash = hash_content(slice_from(name));
	t->record_number = -1;
	if (ask_number(db, "SELECT count(*) FROM pragma_foreign_key_list(?1)", name) != 0) {
		cell_explain(why, "table %.64s has a foreign key", name);
		return ERR_UNSUPPORTED;
	}
	return read_columns(db, t, why);
}

static const char tables_sql[] = "SELECT name, type, wr FROM pragma_table_list"
				 " WHERE schema = 'main' AND name <> 'sqlite_schema'"
				 " ORDER BY name";

static enum err read_tables(sqlite3 *db, struct cell_catalogue *k, char why[CELL_WHY_BYTES])
{
	sqlite3_stmt *list = ask(db, tables_sql, NULL);
	int code = list ? SQLITE_OK : SQLITE_CORRUPT;
	enum err err = OK;

	while (list && err == OK && (code = sqlite3_step(list)) == SQLITE_ROW) {
		if (k->count == CELL_TABLES_MAX) {
			cell_explain(why, "more than %d tables", CELL_TABLES_MAX);
			err = ERR_UNSUPPORTED;
		} else {
			err = read_table(db, list, &k->tables[k->count++], why);
		}
	}
	sqlite3_finalize(list);
	if (err == OK && code != SQLITE_DONE) {
		cell_explain(why, "reading the schema: %.60s", sqlite3_errmsg(db));
		err = ERR_CORRUPT;
	}
	return err;
}

enum err cell_catalogue_read(sqlite3 *db, struct cell_catalogue *ret, char why[CELL_WHY_BYTES])
{
	struct cell_catalogue k = { .tables = memory_take_array(CELL_TABLES_MAX,
								sizeof(struct cell_table)) };
	enum err err = read_tables(db, &k, why);

	for (size_t i = 0; i < k.count && err == OK; i++)
		map_put(&k.by_name, slice_from(k.tables[i].name), &k.tables[i]);
	if (err == OK && !cell_catalogue_find(&k, SLICE(CELL_SCHEMA_TABLE))) {
		cell_explain(why, "there is no table " CELL_SCHEMA_TABLE);
		err = ERR_CORRUPT;
	}
	/* SQLite's own tables (sqlite_sequence of AUTOINCREMENT) came as tables of the list. */
	for (size_t i = 0; i < k.count && err == OK; i++)
		if (is_internal(k.tables[i].name)) {
			cell_explain(why, "%.40s: AUTOINCREMENT or ANALYZE", k.tables[i].name);
			err = ERR_UNSUPPORTED;
		}
	if (err == OK && ask_number(db,
				    "SELECT count(*) FROM sqlite_schema"
				    " WHERE type NOT IN ('table', 'index')",
				    NULL) != 0) {
		cell_explain(why, "there is a trigger or a view");
		err = ERR_UNSUPPORTED;
	}
	if (err)
		cell_catalogue_done(&k);
	else
		*ret = k;
	return err;
}

/* --- steps ------------------------------------------------------------------------------------*/

static const char version_sql[] = "SELECT max(version) FROM " CELL_SCHEMA_TABLE " WHERE name = ?1";

int cell_schema_version(struct cell *c, const char *name)
{
	return (int)ask_number(c->db, version_sql, name);
}

/* One statement of a step, and where the next one starts. */
static int run_statement(struct cell *c, const char *at, const char *end, const char **ret_next)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(c->db, at, (int)(end - at), &statement, ret_next);

	if (code != SQLITE_OK)
		return code;
	if (!statement) /* a comment */
		return SQLITE_DONE;
	code = SQLITE_AUTH;
	if (!sqlite3_stmt_readonly(statement))
		do
			code = sqlite3_step(statement);
		while (code == SQLITE_ROW);
	sqlite3_finalize(statement);
	return code;
}

/* The statements of a step are DDL, or the authorizer or the hook objects. */
static enum err run_sql(struct cell *c, struct slice sql, char why[CELL_WHY_BYTES])
{
	const char *at = (const char *)sql.data, *end = at + sql.size;

	while (at < end) {
		const char *next = end;
		int code = run_statement(c, at, end, &next);
		if (code != SQLITE_DONE) {
			cell_explain(why, "schema step: %.100s",
				     code == SQLITE_AUTH ? "not allowed there"
							 : sqlite3_errmsg(c->db));
			return ERR_INVALID;
		}
		if (next == at)
			break;
		at = next;
	}
	if (c->rows_changed) {
		cell_explain(why, "a schema step changes rows");
		return ERR_INVALID;
	}
	return OK;
}

/* A row stored before ADD COLUMN ... DEFAULT lacks the column and the hook would show NULL for it;
 * after this all rows are complete. */
static enum err rewrite_rows(struct cell *c)
{
	int code = SQLITE_OK;

	for (size_t i = 0; i < c->catalogue.count && code == SQLITE_OK; i++) {
		const struct cell_table *t = &c->catalogue.tables[i];
		if (t->column_count == 0)
			continue;
		char *sql = sqlite3_mprintf("UPDATE main.\"%w\" SET \"%w\" = \"%w\"", t->name,
					    t->column_names[0], t->column_names[0]);
		code = sql ? sqlite3_exec(c->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
		sqlite3_free(sql);
	}
	return err_from_sqlite(code);
}

static enum err note_step(struct cell *c, struct slice name, int version, struct slice sql)
{
	sqlite3_stmt *statement =
		ask(c->db, "INSERT INTO " CELL_SCHEMA_TABLE " VALUES (?1, ?2, ?3)", NULL);

	if (!statement)
		return ERR_CORRUPT;
	cell_bind_text(statement, 1, name);
	cell_bind_int(statement, 2, version);
	cell_bind_text(statement, 3, sql);
	int code = sqlite3_step(statement);
	sqlite3_finalize(statement);
	return err_from_sqlite(code);
}

static enum err check_version(struct cell *c, struct slice name, int version,
			      char why[CELL_WHY_BYTES])
{
	char text[CELL_NAME_BYTES_MAX + 1] = "";

	if (name.size == 0 || name.size > CELL_NAME_BYTES_MAX || memchr(name.data, 0, name.size)) {
		cell_explain(why, "a schema name of %zu bytes", name.size);
		return ERR_INVALID;
	}
	memcpy(text, name.data, name.size);
	int current = cell_schema_version(c, text);
	if (version != current + 1) {
		cell_explain(why, "schema %s has version %d, the step is %d", text, current,
			     version);
		return ERR_CONFLICT;
	}
	return OK;
}

enum err cell_schema_step(struct cell *c, struct slice name, int version, struct slice sql,
			  char why[CELL_WHY_BYTES])
{
	struct cell_catalogue catalogue;
	enum err err = check_version(c, name, version, why);

	if (err == OK && (sql.size > CELL_SQL_BYTES_MAX || memchr(sql.data, 0, sql.size))) {
		cell_explain(why, "a schema step of %zu bytes", sql.size);
		err = ERR_INVALID;
	}
	if (err)
		return err;

	enum cell_activity last = cell_enter(c, CELL_CHANGING);
	c->rows_changed = c->table_altered = false;
	err = run_sql(c, sql, why);
	cell_enter(c, CELL_TRUSTED);
	if (err == OK)
		err = cell_catalogue_read(c->db, &catalogue, why);
	if (err == OK) {
		if (c->schema_changed)
			cell_catalogue_done(&c->catalogue);
		else
			c->old_catalogue = c->catalogue;
		c->catalogue = catalogue;
		c->schema_changed = true;
		err = note_step(c, name, version, sql);
		if (err == OK && c->table_altered)
			err = rewrite_rows(c);
		if (err == OK)
			err = recorder_hash(c->db, &c->catalogue, &c->state.hash);
		if (err)
			cell_explain(why, "schema step: %.100s", sqlite3_errmsg(c->db));
	}
	cell_enter(c, last);
	return err;
}

enum err cell_change_schema(struct cell *c, const struct cell_schema *schema,
			    char why[CELL_WHY_BYTES])
{
	struct hash128 hash = c->state.hash;
	enum err err = cell_transaction_begin(c, CELL_CHANGING);

	if (err)
		return err;
	err = cell_schema_step(c, slice_from(schema->name), schema->version,
			       slice_from(schema->sql), why);
	if (err == OK && cell_change_bytes(c) + 2 * CELL_SQL_BYTES_MAX > CELL_RECORD_BYTES_MAX)
		err = ERR_BUSY;
	if (err == OK)
		err = cell_transaction_commit(c);
	if (err) {
		cell_transaction_rollback(c);
		c->state.hash = hash;
		return err;
	}
	recorder_add_schema(c, schema);
	return OK;
}

enum err cell_upgrade_schema(struct cell *c, const struct cell_schema *steps, size_t count,
			     char why[CELL_WHY_BYTES])
{
	assert(count > 0);

	int current = cell_schema_version(c, steps[0].name);
	if (current > steps[count - 1].version) {
		cell_explain(why, "schema %.64s has version %d, this program knows %d",
			     steps[0].name, current, steps[count - 1].version);
		return ERR_UNSUPPORTED;
	}
	for (size_t i = 0; i < count; i++) {
		assert(steps[i].version == (int)i + 1 && strcmp(steps[i].name, steps[0].name) == 0);
		if (steps[i].version <= current)
			continue;
		enum err err = cell_change_schema(c, &steps[i], why);
		if (err)
			return err;
	}
	return OK;
}
