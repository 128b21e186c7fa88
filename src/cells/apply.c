/* Records to rows.  The hook keeps the hash while they are applied; the record says what it must be
 * at the end.  With an ordered journal any conflict means divergence, so nothing is resolved. */
#include <assert.h>

#include "cells/cell_private.h"

/* One record on its way in. */
struct apply {
	struct cell *cell;
	struct cell_reader reader;
	struct cell_table *tables[CELL_TABLES_MAX]; /* named so far, by number */
	unsigned table_count;
	char *why;
};

static sqlite3_stmt *prepare_text(struct cell *c, sqlite3_str *sql)
{
	char *text = sqlite3_str_finish(sql);
	sqlite3_stmt *statement = NULL;
	int code = text ? sqlite3_prepare_v3(c->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement,
					     NULL)
			: SQLITE_NOMEM;

	sqlite3_free(text);
	assert(code == SQLITE_OK); /* names come from the catalogue */
	return statement;
}

static sqlite3_stmt *insert_statement(struct cell *c, struct cell_table *t)
{
	if (!t->insert) {
		sqlite3_str *sql = sqlite3_str_new(c->db);
		sqlite3_str_appendf(sql, "INSERT INTO main.\"%w\"(_rowid_", t->name);
		for (unsigned i = 0; i < t->column_count; i++)
			sqlite3_str_appendf(sql, ",\"%w\"", t->column_names[i]);
		sqlite3_str_appendall(sql, ") VALUES (?1");
		for (unsigned i = 0; i < t->column_count; i++)
			sqlite3_str_appendf(sql, ",?%u", i + 2);
		sqlite3_str_appendall(sql, ")");
		t->insert = prepare_text(c, sql);
	}
	return t->insert;
}

static sqlite3_stmt *delete_statement(struct cell *c, struct cell_table *t)
{
	if (!t->delete) {
		sqlite3_str *sql = sqlite3_str_new(c->db);
		sqlite3_str_appendf(sql, "DELETE FROM main.\"%w\" WHERE _rowid_ = ?1", t->name);
		t->delete = prepare_text(c, sql);
	}
	return t->delete;
}

/* Only the columns that changed, so that only their indexes are touched.  Services update few sets
 * of columns, hence a table keeps a few statements. */
static sqlite3_stmt *update_statement(struct cell *c, struct cell_table *t, uint64_t columns,
				      bool is_move)
{
	for (unsigned i = 0; i < CELL_UPDATES_KEPT; i++)
		if (t->updates[i].statement && t->updates[i].columns == columns &&
		    t->updates[i].is_move == is_move)
			return t->updates[i].statement;

	sqlite3_str *sql = sqlite3_str_new(c->db);
	sqlite3_str_appendf(sql, "UPDATE main.\"%w\" SET", t->name);
	const char *comma = "";
	if (is_move) {
		sqlite3_str_appendall(sql, " _rowid_ = ?2");
		comma = ",";
	}
	int parameter = 3;
	for (unsigned i = 0; i < t->column_count; i++)
		if (columns >> i & 1) {
			sqlite3_str_appendf(sql, "%s \"%w\" = ?%d", comma, t->column_names[i],
					    parameter++);
			comma = ",";
		}
	sqlite3_str_appendall(sql, " WHERE _rowid_ = ?1");

	struct cell_update *u = &t->updates[t->next_update++ % CELL_UPDATES_KEPT];
	sqlite3_finalize(u->statement);
	u->columns = columns;
	u->is_move = is_move;
	u->statement = prepare_text(c, sql);
	return u->statement;
}

static enum err corrupt(struct apply *a, const struct cell_table *t, const struct cell_decoded *d,
			const char *what)
{
	cell_explain(a->why, "table %.40s, row %lld: %.60s", t->name, (long long)d->rowid, what);
	return ERR_CORRUPT;
}

/* Exactly one row must change, as the hook sees it. */
static enum err run_change(struct apply *a, sqlite3_stmt *statement, const struct cell_table *t,
			   const struct cell_decoded *d)
{
	struct cell *c = a->cell;

	if (a->reader.bad) {
		sqlite3_clear_bindings(statement);
		return corrupt(a, t, d, "the values are cut off");
	}
	uint64_t before = c->row_change_count;
	int code = sqlite3_step(statement);
	enum err err = OK;
	if (code != SQLITE_DONE)
		err = corrupt(a, t, d, sqlite3_errmsg(c->db));
	else if (c->row_change_count != before + 1)
		err = corrupt(a, t, d, "it is not there");
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return err;
}

static enum err apply_row(struct apply *a, const struct cell_decoded *d)
{
	if (d->table >= a->table_count) {
		cell_explain(a->why, "a change of table %u of %u", d->table, a->table_count);
		return ERR_CORRUPT;
	}

	struct cell_table *t = a->tables[d->table];
	sqlite3_stmt *statement;
	uint64_t all = t->column_count == 64 ? UINT64_MAX : ((uint64_t)1 << t->column_count) - 1;
	uint64_t columns = d->code == CHANGE_INSERT ? all : d->columns;
	if ((columns & ~all) != 0 || (d->code == CHANGE_UPDATE && columns == 0))
		return corrupt(a, t, d, "it has other columns than the table");

	int parameter = 2;
	if (d->code == CHANGE_INSERT) {
		statement = insert_statement(a->cell, t);
		cell_bind_int(statement, 1, d->rowid);
	} else if (d->code == CHANGE_DELETE) {
		statement = delete_statement(a->cell, t);
		cell_bind_int(statement, 1, d->rowid);
	} else {
		statement = update_statement(a->cell, t, columns, d->code == CHANGE_MOVE);
		cell_bind_int(statement, 1, d->old_rowid);
		cell_bind_int(statement, parameter++, d->rowid);
	}
	for (; columns; columns >>= 1)
		if (columns & 1)
			cell_value_bind(&a->reader, statement, parameter++);
	return run_change(a, statement, t, d);
}

static enum err apply_table(struct apply *a, const struct cell_decoded *d)
{
	struct cell_table *t = cell_catalogue_find(&a->cell->catalogue, d->name);

	if (!t || slice_equal(d->name, SLICE(CELL_SCHEMA_TABLE)) ||
	    t->column_count != d->column_count || a->table_count == CELL_TABLES_MAX) {
		cell_explain(a->why, "there is no table %.*s with %u columns",
			     d->name.size > 64 ? 64 : (int)d->name.size, (const char *)d->name.data,
			     d->column_count);
		return ERR_CORRUPT;
	}
	a->tables[a->table_count++] = t;
	return OK;
}

static enum err apply_schema(struct apply *a, const struct cell_decoded *d)
{
	a->table_count = 0;
	if (d->version > INT32_MAX) {
		cell_explain(a->why, "schema version %u", d->version);
		return ERR_CORRUPT;
	}
	enum err err = cell_schema_step(a->cell, d->name, (int)d->version, d->sql, a->why);
	return err ? ERR_CORRUPT : OK;
}

static enum err apply_change(struct apply *a, const struct cell_decoded *d)
{
	switch (d->code) {
	case CHANGE_TABLE:
		return apply_table(a, d);
	case CHANGE_SCHEMA:
		return apply_schema(a, d);
	case CHANGE_INSERT:
	case CHANGE_UPDATE:
	case CHANGE_MOVE:
	case CHANGE_DELETE:
		return apply_row(a, d);
	}
	return ERR_CORRUPT;
}

static enum err apply_all(struct cell *c, const struct cell_record_header *header, char *why)
{
	struct apply a = { .cell = c, .reader = { header->changes, false }, .why = why };
	struct cell_decoded d;

	while (cell_read_change(&a.reader, &d)) {
		enum err err = apply_change(&a, &d);
		if (err)
			return err;
	}
	if (a.reader.bad) {
		cell_explain(why, "the changes of record %llu are cut off",
			     (unsigned long long)header->after.sequence);
		return ERR_CORRUPT;
	}
	if (!hash128_equal(c->state.hash, header->after.hash)) {
		cell_explain(why, "the hash after record %llu is not what the leader had",
			     (unsigned long long)header->after.sequence);
		return ERR_CORRUPT;
	}
	return OK;
}

static enum err check_header(const struct cell *c, struct slice record,
			     const struct cell_record_header *h, char why[CELL_WHY_BYTES])
{
	if (h->record_bytes != record.size) {
		cell_explain(why, "%zu bytes after the record", record.size - h->record_bytes);
		return ERR_CORRUPT;
	}
	if (!slice_equal(h->cell_name, slice_from(c->name))) {
		cell_explain(why, "a record of cell %.*s, this is %.50s", (int)h->cell_name.size,
			     (const char *)h->cell_name.data, c->name);
		return ERR_INVALID;
	}
	if (h->after.sequence != c->state.sequence + 1) {
		cell_explain(why, "record %llu after %llu", (unsigned long long)h->after.sequence,
			     (unsigned long long)c->state.sequence);
		return ERR_CORRUPT;
	}
	if (h->after.now_ms < c->state.now_ms) {
		cell_explain(why, "the time of record %llu goes backwards",
			     (unsigned long long)h->after.sequence);
		return ERR_CORRUPT;
	}
	return OK;
}

/* --- watches ----------------------------------------------------------------------------------*/

void cell_watch_add(struct cell *c, struct cell_watch *w)
{
	w->next = c->watches;
	c->watches = w;
}

void cell_watch_remove(struct cell *c, struct cell_watch *w)
{
	struct cell_watch **link = &c->watches;

	while (*link && *link != w)
		link = &(*link)->next;
	if (*link)
		*link = w->next;
	w->next = NULL;
}

static void tell(struct cell *c, const struct cell_change *change)
{
	for (struct cell_watch *w = c->watches, *next; w; w = next) {
		next = w->next; /* it may remove itself */
		w->on_change(w, change);
	}
}

struct named_table {
	struct slice name;
	unsigned column_count;
};

/* The record is decoded a second time: it is known to be good, and nothing was allocated for those
 * who do not watch. */
static void tell_changes(struct cell *c, struct slice changes)
{
	struct named_table tables[CELL_TABLES_MAX];
	struct cell_reader r = { changes, false };
	struct cell_decoded d;
	unsigned count = 0;

	while (c->watches && cell_read_change(&r, &d)) {
		struct cell_change change = { .kind = CELL_UPDATE,
					      .rowid = d.rowid,
					      .old_rowid = d.old_rowid };
		if (d.code == CHANGE_TABLE) {
			tables[count++] = (struct named_table) { d.name, d.column_count };
			continue;
		}
		if (d.code == CHANGE_SCHEMA) {
			change.kind = CELL_SCHEMA;
			change.table = d.name;
			count = 0;
		} else {
			change.table = tables[d.table].name;
			int values = d.code == CHANGE_INSERT ? (int)tables[d.table].column_count
							     : __builtin_popcountll(d.columns);
			for (int i = 0; i < values; i++)
				cell_value_skip(&r);
		}
		if (d.code == CHANGE_INSERT)
			change.kind = CELL_INSERT;
		else if (d.code == CHANGE_DELETE)
			change.kind = CELL_DELETE;
		tell(c, &change);
	}
	assert(!r.bad);
}

enum err cell_apply(struct cell *c, struct slice record, char why[CELL_WHY_BYTES])
{
	struct cell_record_header header;
	struct hash128 hash = c->state.hash;

	assert(!cell_has_changes(c));
	enum err err = cell_record_read(record, &header, why);
	if (err == OK)
		err = check_header(c, record, &header, why);
	if (err == OK)
		err = cell_transaction_begin(c, CELL_APPLYING);
	if (err)
		return err;
	err = apply_all(c, &header, why);
	if (err == OK)
		err = cell_transaction_commit(c);
	if (err) {
		cell_transaction_rollback(c);
		c->state.hash = hash;
		return err;
	}
	c->state = header.after;
	tell_changes(c, header.changes);
	return OK;
}
