#include "streams/coordinator/runs.h"

enum err runs_insert(struct cell *cell, const struct runs_new *run)
{
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO run (partition, last_offset, base_offset, file, position, size,"
		      " max_timestamp, level) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");

	cell_bind_int(st, 1, run->partition);
	cell_bind_int(st, 2, run->last_offset);
	cell_bind_int(st, 3, run->base_offset);
	cell_bind_int(st, 4, run->file);
	cell_bind_int(st, 5, run->position);
	cell_bind_int(st, 6, run->size);
	cell_bind_int(st, 7, run->max_timestamp);
	cell_bind_int(st, 8, run->level);
	return cell_execute(cell, st);
}

enum err runs_delete(struct cell *cell, int64_t run, int64_t file, int64_t now_ms)
{
	enum err err = cell_execute_sql(cell, "DELETE FROM run WHERE id = ?1", run, 0);

	if (!err)
		err = cell_execute_sql(
			cell,
			"UPDATE file SET run_count = run_count - 1,"
			" dead_ms = CASE WHEN run_count = 1 THEN ?2 END WHERE id = ?1",
			file, now_ms);
	return err;
}

int64_t runs_bound_timestamp(struct cell *cell, const struct runs_new *run, int64_t until,
			     bool is_whole)
{
	int64_t told = run->max_timestamp, oldest = -1, newest = -1;
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT coalesce(max(CASE WHEN base_offset >= ?2 AND last_offset <= ?3"
		      " THEN max_timestamp END), -1), coalesce(max(max_timestamp), -1) FROM run"
		      " WHERE partition = ?1 AND last_offset BETWEEN ?2 AND ?4"
		      " AND base_offset <= ?3");

	cell_bind_int(st, 1, run->partition);
	cell_bind_int(st, 2, run->base_offset);
	cell_bind_int(st, 3, run->last_offset);
	cell_bind_int(st, 4, until);
	if (cell_next(cell, st)) {
		oldest = is_whole ? sqlite3_column_int64(st, 0) : -1;
		newest = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	if (told > newest)
		return newest;
	return told < oldest ? oldest : told;
}
