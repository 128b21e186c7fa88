#include "streams/coordinator/unsure.h"

int64_t unsure_next_incarnation(struct cell *cell)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT next FROM counter WHERE name = 'incarnation'");
	int64_t next = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return next;
}

/* The row that ends before `first`, if it is to take it in: it does, or there are too many. */
static int64_t find_neighbour(struct cell *cell, int64_t first)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT id, last, (SELECT count(*) FROM unsure_life) FROM unsure_life"
		      " WHERE last > first ORDER BY last DESC LIMIT 1");
	int64_t row = 0;

	if (cell_next(cell, st) && (sqlite3_column_int64(st, 1) == first - 1 ||
				    sqlite3_column_int64(st, 2) >= UNSURE_ROWS_MAX))
		row = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return row;
}

static enum err note_granted_next(struct cell *cell, int64_t next, int64_t now_ms)
{
	int64_t row = find_neighbour(cell, next);

	if (row)
		return cell_execute_sql(cell, "UPDATE unsure_life SET last = ?2 WHERE id = ?1", row,
					next + INCARNATION_SKIP - 1);
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO unsure_life (first, last, since_ms) VALUES (?1, ?2, ?3)");
	/* those of jobs are in no table: what they wrote may have replaced what is gone by now */
	cell_bind_int(st, 1, next > INCARNATION_JOBS ? next - INCARNATION_JOBS : 1);
	cell_bind_int(st, 2, next + INCARNATION_SKIP - 1);
	cell_bind_int(st, 3, now_ms);
	return cell_execute(cell, st);
}

enum err unsure_begin(struct cell *cell, int64_t now_ms)
{
	int64_t next = unsure_next_incarnation(cell);

	if (next == 0) /* no agent was ever here */
		return OK;
	enum err err = cell_execute_sql(
		cell,
		"INSERT INTO unsure_life (first, last, since_ms)"
		" SELECT incarnation, incarnation, ?1 FROM agent WHERE NOT EXISTS (SELECT 1"
		" FROM unsure_life WHERE first <= incarnation AND last >= incarnation)",
		now_ms, 0);
	if (!err)
		err = note_granted_next(cell, next, now_ms);
	return err ? err
		   : cell_execute_sql(cell,
				      "UPDATE counter SET next = ?1 WHERE name = 'incarnation'",
				      next + INCARNATION_SKIP, 0);
}

/* It may be one of a range: what comes before and after it stays. */
enum err unsure_return(struct cell *cell, int64_t incarnation)
{
	static const char *const changes[] = {
		("INSERT INTO unsure_life (first, last, since_ms) SELECT ?1 + 1, last, since_ms"
		 " FROM unsure_life WHERE first <= ?1 AND last > ?1"),
		"UPDATE unsure_life SET last = ?1 - 1 WHERE first < ?1 AND last >= ?1",
		"DELETE FROM unsure_life WHERE first = ?1",
	};
	enum err err = OK;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]) && !err; i++)
		err = cell_execute_sql(cell, changes[i], incarnation, 0);
	return err;
}

bool unsure_has(struct cell *cell, int64_t incarnation)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT 1 FROM unsure_life WHERE first <= ?1 AND last >= ?1 LIMIT 1");

	cell_bind_int(st, 1, incarnation);
	bool found = cell_next(cell, st);
	sqlite3_reset(st);
	return found;
}

enum err unsure_settle_run(struct cell *cell, void *argument)
{
	(void)argument;
	return cell_execute(cell, cell_statement(cell, "DELETE FROM unsure_life"));
}
