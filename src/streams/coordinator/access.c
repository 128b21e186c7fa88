#include "streams/coordinator/access.h"

#include "base/random.h"

bool access_user_name_is_valid(struct slice name)
{
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] < 0x20 || name.data[i] == 0x7f)
			return false;
	return name.size > 0 && name.size <= GUARD_USER_BYTES_MAX &&
	       !slice_equal(name, SLICE("*")) && !slice_equal(name, SLICE("ANONYMOUS"));
}

static size_t count_of(struct cell *cell, const char *sql, int64_t number)
{
	sqlite3_stmt *st = cell_statement(cell, sql);

	if (number)
		cell_bind_int(st, 1, number);
	size_t count = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return count;
}

enum err access_secret_keep(struct cell *cell)
{
	uint8_t secret[GUARD_SECRET_BYTES];

	if (count_of(cell, "SELECT count(*) FROM access_secret", 0) > 0)
		return OK;
	random_bytes(secret, sizeof(secret));
	sqlite3_stmt *st = cell_statement(cell, "INSERT INTO access_secret (secret) VALUES (?1)");
	cell_bind_blob(st, 1, (struct slice) { secret, sizeof(secret) });
	return cell_execute(cell, st);
}

/* --- users ------------------------------------------------------------------------------------
 */

static bool find_row(struct cell *cell, struct slice name, int64_t *ret)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT id FROM access_user WHERE name = ?1");

	cell_bind_text(st, 1, name);
	bool is_found = cell_next(cell, st);
	if (is_found)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return is_found;
}

enum err access_user_insert(struct cell *cell, struct slice name, bool is_admin, int64_t now_ms,
			    int64_t *ret)
{
	if (find_row(cell, name, ret))
		return OK;
	if (count_of(cell, "SELECT count(*) FROM access_user", 0) >= GUARD_USERS_MAX)
		return ERR_FULL;
	enum err err = access_secret_keep(cell);
	if (err)
		return err;
	/* Random rows: who was removed and comes back is somebody else. */
	*ret = (int64_t)(random_u64() >> 2 | 1);
	sqlite3_stmt *st =
		cell_statement(cell, "INSERT INTO access_user (id, name, is_admin, created_ms)"
				     " VALUES (?1, ?2, ?3, ?4)");
	cell_bind_int(st, 1, *ret);
	cell_bind_text(st, 2, name);
	cell_bind_int(st, 3, is_admin);
	cell_bind_int(st, 4, now_ms);
	return cell_execute(cell, st);
}

enum err access_user_set_admin(struct cell *cell, int64_t user, bool is_admin)
{
	return cell_execute_sql(cell, "UPDATE access_user SET is_admin = ?2 WHERE id = ?1", user,
				is_admin);
}

enum err access_user_remove(struct cell *cell, int64_t user)
{
	enum err err =
		cell_execute_sql(cell, "DELETE FROM access_verifier WHERE user = ?1", user, 0);

	return err ? err : cell_execute_sql(cell, "DELETE FROM access_user WHERE id = ?1", user, 0);
}

/* --- verifiers --------------------------------------------------------------------------------
 */

enum err access_verifier_set(struct cell *cell, int64_t user, const struct guard_verifier *v)
{
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO access_verifier (user, kind, iterations, salt, stored_key,"
		      " server_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (user, kind)"
		      " DO UPDATE SET iterations = ?3, salt = ?4, stored_key = ?5,"
		      " server_key = ?6");

	cell_bind_int(st, 1, user);
	cell_bind_int(st, 2, v->kind);
	cell_bind_int(st, 3, v->iterations);
	cell_bind_blob(st, 4, v->salt);
	cell_bind_blob(st, 5, v->stored_key);
	cell_bind_blob(st, 6, v->server_key);
	return cell_execute(cell, st);
}

enum err access_verifier_remove(struct cell *cell, int64_t user, enum scram_kind kind)
{
	sqlite3_stmt *st =
		cell_statement(cell, "DELETE FROM access_verifier WHERE user = ?1 AND kind = ?2");

	cell_bind_int(st, 1, user);
	cell_bind_int(st, 2, kind);
	enum err err = cell_execute(cell, st);
	if (err)
		return err;
	return sqlite3_changes(cell_database(cell)) > 0 ? OK : ERR_NOT_FOUND;
}

size_t access_verifier_count(struct cell *cell, int64_t user)
{
	return count_of(cell, "SELECT count(*) FROM access_verifier WHERE user = ?1", user);
}

/* --- grants -----------------------------------------------------------------------------------
 */

static void bind_grant(sqlite3_stmt *st, const struct grant *g)
{
	cell_bind_int(st, 1, g->resource);
	cell_bind_text(st, 2, g->name);
	cell_bind_int(st, 3, g->pattern);
	cell_bind_text(st, 4, g->principal);
	cell_bind_text(st, 5, g->host);
	cell_bind_int(st, 6, g->operation);
	cell_bind_int(st, 7, g->permission);
}

enum err access_grant_insert(struct cell *cell, const struct grant *g)
{
	if (count_of(cell, "SELECT count(*) FROM access_grant", 0) >= GRANTS_MAX)
		return ERR_FULL;
	sqlite3_stmt *st =
		cell_statement(cell,
			       "INSERT INTO access_grant (resource, name, pattern, principal, host,"
			       " operation, permission) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
			       " ON CONFLICT DO NOTHING");
	bind_grant(st, g);
	return cell_execute(cell, st);
}

enum err access_grant_remove(struct cell *cell, const struct grant *g)
{
	sqlite3_stmt *st = cell_statement(
		cell, "DELETE FROM access_grant WHERE resource = ?1 AND name = ?2 AND"
		      " pattern = ?3 AND principal = ?4 AND host = ?5 AND operation = ?6 AND"
		      " permission = ?7");

	bind_grant(st, g);
	return cell_execute(cell, st);
}
