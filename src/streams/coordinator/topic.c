#include "streams/coordinator/topic.h"

#include "streams/catalog/config.h"
#include "streams/coordinator/deleted_topic.h"

enum err topic_add_partitions(struct cell *cell, int64_t topic, int32_t from, int32_t to)
{
	enum err err = OK;

	for (int32_t number = from; number < to && !err; number++) {
		sqlite3_stmt *st = cell_statement(
			cell, "INSERT INTO partition (topic, number, log_start_offset,"
			      " high_watermark, leader_epoch, bytes) VALUES (?1, ?2, 0, 0, 0, 0)");
		cell_bind_int(st, 1, topic);
		cell_bind_int(st, 2, number);
		err = cell_execute(cell, st);
	}
	return err;
}

bool topic_name_collides(struct cell *cell, struct slice name)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT 1 FROM topic WHERE deleted_ms IS NULL"
				     " AND replace(name, '.', '_') = replace(?1, '.', '_')");

	if (!memchr(name.data, '.', name.size) && !memchr(name.data, '_', name.size))
		return false;
	cell_bind_text(st, 1, name);
	bool collides = cell_next(cell, st);
	sqlite3_reset(st);
	return collides;
}

size_t topic_count(struct cell *cell)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT count(*) FROM topic WHERE deleted_ms IS NULL");
	size_t count = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return count;
}

static bool has_broker(struct cell *cell, int32_t id)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM agent WHERE id = ?1");

	cell_bind_int(st, 1, id);
	bool has = cell_next(cell, st);
	sqlite3_reset(st);
	return has;
}

/* However long the list is, it is wrong after one more than there are brokers. */
const char *topic_brokers_fault(struct cell *cell, const int32_t *ids, size_t count)
{
	if (count == 0)
		return "the assignment has a partition without a broker";
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < i; k++)
			if (ids[k] == ids[i])
				return "the assignment names a broker twice";
		if (!has_broker(cell, ids[i]))
			return "the assignment names a broker that there is not";
	}
	return NULL;
}

/* Its settings go at once: they are found by its name, which is free again.  This needs no room. */
static enum err delete_for_good(struct cell *cell, int64_t topic, int64_t now_ms)
{
	sqlite3_stmt *st = cell_statement(cell, "DELETE FROM config WHERE kind = ?2 AND resource ="
						" (SELECT name FROM topic WHERE id = ?1)");

	cell_bind_int(st, 1, topic);
	cell_bind_int(st, 2, CONFIG_TOPIC);
	cell_let_free(cell);
	enum err err = cell_execute(cell, st);
	return err ? err
		   : cell_execute_sql(cell, "UPDATE topic SET deleted_ms = ?2 WHERE id = ?1", topic,
				      now_ms);
}

enum err topic_mark_deleted(struct cell *cell, int64_t topic, struct slice by, int64_t now_ms,
			    bool is_full)
{
	return is_full ? delete_for_good(cell, topic, now_ms)
		       : deleted_topic_add(cell, topic, by, now_ms);
}
