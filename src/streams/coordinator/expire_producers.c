#include "streams/coordinator/expire_producers.h"

#include "streams/catalog/config.h"

static int64_t idle_ms(struct cell *cell)
{
	return config_broker_number(cell, "producer.id.expiration.ms", EXPIRE_PRODUCERS_IDLE_MS);
}

bool expire_producers_look(struct producer_expiry *e, struct cell *cell, int64_t now_ms)
{
	int64_t idle = idle_ms(cell);
	int looked = 0;

	e->count = 0;
	if (now_ms < e->due_ms)
		return false;
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT p.id, p.last_ms < ?3 AND NOT EXISTS (SELECT 1 FROM"
			       " open_transaction AS o WHERE o.partition = p.partition"
			       " AND o.producer_id = p.producer_id) AND NOT EXISTS (SELECT 1 FROM"
			       " transactional AS t WHERE t.producer_id = p.producer_id)"
			       " FROM producer AS p WHERE p.id > ?1 ORDER BY p.id LIMIT ?2");
	cell_bind_int(st, 1, e->after);
	cell_bind_int(st, 2, EXPIRE_PRODUCERS_LOOK_MAX);
	cell_bind_int(st, 3, now_ms - idle);
	while (e->count < EXPIRE_PRODUCERS_ROWS_MAX && cell_next(cell, st)) {
		looked++;
		e->after = sqlite3_column_int64(st, 0);
		if (sqlite3_column_int(st, 1))
			e->rows[e->count++] = e->after;
	}
	sqlite3_reset(st);
	if (looked == EXPIRE_PRODUCERS_LOOK_MAX || e->count == EXPIRE_PRODUCERS_ROWS_MAX)
		return true;
	e->after = 0;
	e->due_ms = now_ms + (idle / 2 < EXPIRE_PRODUCERS_MS ? idle / 2 + 1 : EXPIRE_PRODUCERS_MS);
	return false;
}

enum err expire_producers(struct cell *cell, const struct producer_expiry *e, int64_t now_ms)
{
	int64_t since_ms = now_ms - idle_ms(cell);
	enum err err = OK;

	for (int i = 0; i < e->count && !err; i++)
		err = cell_execute_sql(
			cell,
			"DELETE FROM producer WHERE id = ?1 AND last_ms < ?2 AND NOT EXISTS"
			" (SELECT 1 FROM open_transaction AS o WHERE"
			" o.partition = producer.partition"
			" AND o.producer_id = producer.producer_id) AND NOT EXISTS (SELECT 1 FROM"
			" transactional AS t WHERE t.producer_id = producer.producer_id)",
			e->rows[i], since_ms);
	return err;
}
