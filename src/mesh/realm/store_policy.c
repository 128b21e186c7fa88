/* Policies: each that was ever in force is a row; the newest one is.  Text of no bytes: none. */
#include "mesh/realm/store.h"

static void read_row(struct arena *a, sqlite3_stmt *s, struct policy_row *ret)
{
	*ret = (struct policy_row) {
		.version = sqlite3_column_int64(s, 0),
		.text = arena_copy(a, cell_column_blob(s, 1)),
		.created_s = sqlite3_column_int64(s, 2),
		.note = arena_copy(a, cell_column_text(s, 3)),
		.bytes = (size_t)sqlite3_column_int64(s, 4),
	};
}

static enum err read_one(struct arena *a, struct cell *cell, sqlite3_stmt *s,
			 struct policy_row *ret)
{
	if (!cell_next(cell, s))
		return ERR_NOT_FOUND;
	read_row(a, s, ret);
	return OK;
}

enum err store_policy(struct arena *a, struct cell *cell, int64_t version, struct policy_row *ret)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT id, text, created_s, note, length(text)"
					       " FROM policy WHERE id = ?");

	cell_bind_int(s, 1, version);
	return read_one(a, cell, s, ret);
}

enum err store_policy_newest(struct arena *a, struct cell *cell, struct policy_row *ret)
{
	return read_one(a, cell,
			cell_statement(cell, "SELECT id, text, created_s, note, length(text)"
					     " FROM policy ORDER BY id DESC LIMIT 1"),
			ret);
}

void store_policies(struct arena *a, struct cell *cell, struct policy_row **ret, size_t *ret_count)
{
	sqlite3_stmt *s = cell_statement(cell, "SELECT id, x'', created_s, note, length(text)"
					       " FROM policy ORDER BY id DESC");
	struct policy_row *rows = arena_take_array(a, STORE_POLICIES_MAX + 1, sizeof(*rows));
	size_t count = 0;

	while (count < STORE_POLICIES_MAX && cell_next(cell, s))
		read_row(a, s, &rows[count++]);
	*ret = rows;
	*ret_count = count;
}

enum err store_policy_add(struct cell *cell, struct policy_row *row)
{
	sqlite3_stmt *s;
	enum err err = store_count(cell, "policy", &row->version);

	if (err)
		return err;
	s = cell_statement(cell, "INSERT INTO policy (id, text, created_s, note)"
				 " VALUES (?, ?, ?, ?)");
	cell_bind_int(s, 1, row->version);
	cell_bind_blob(s, 2, row->text);
	cell_bind_int(s, 3, row->created_s);
	cell_bind_text(s, 4, row->note);
	err = cell_execute(cell, s);
	if (err)
		return err;
	s = cell_statement(cell, "DELETE FROM policy WHERE id <= ?");
	cell_bind_int(s, 1, row->version - STORE_POLICIES_MAX);
	return cell_execute(cell, s);
}
