#include "streams/coordinator/counter.h"

enum err counter_next(struct cell *cell, const char *name, int64_t first, int64_t *ret)
{
	int64_t next = first;
	sqlite3_stmt *st = cell_statement(cell, "SELECT next FROM counter WHERE name = ?1");

	cell_bind_text(st, 1, slice_from(name));
	bool is_known = cell_next(cell, st);
	if (is_known)
		next = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);

	st = cell_statement(cell, is_known ? "UPDATE counter SET next = ?2 WHERE name = ?1"
					   : "INSERT INTO counter (name, next) VALUES (?1, ?2)");
	cell_bind_text(st, 1, slice_from(name));
	cell_bind_int(st, 2, next + 1);
	enum err err = cell_execute(cell, st);
	if (!err)
		*ret = next;
	return err;
}

enum err counter_next_incarnation(struct cell *cell, int64_t *ret)
{
	return counter_next(cell, "incarnation", INCARNATION_FIRST, ret);
}

enum err counter_next_producer_id(struct cell *cell, int64_t *ret)
{
	return counter_next(cell, "producer_id", PRODUCER_ID_FIRST, ret);
}
