#include "streams/coordinator/key_compaction.h"

#include "streams/catalog/config.h"
#include "streams/catalog/transactions.h"

/* --- one partition -----------------------------------------------------------------------------
 */

static int64_t find_clean(struct cell *cell, const struct catalog_partition *partition)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT clean_offset FROM key_clean WHERE id = ?1");

	cell_bind_int(st, 1, partition->id);
	int64_t clean = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return clean > partition->log_start_offset ? clean : partition->log_start_offset;
}

/* Is a record of this time too young?  `lag_ms` may be as long as time is. */
static bool is_within(int64_t timestamp_ms, int64_t lag_ms, int64_t now_ms)
{
	int64_t since_ms;

	return lag_ms > 0 && !__builtin_sub_overflow(now_ms, lag_ms, &since_ms) &&
	       timestamp_ms > since_ms;
}

/* From `ret->clean` on; `ret_first_ms` is the time of the first dirty run. */
static void add_dirty_runs(struct cell *cell, const struct catalog_partition *partition,
			   const struct config_topic_rules *rules, int64_t now_ms,
			   struct key_compaction *ret, int64_t *ret_first_ms, int64_t *rows)
{
	int64_t stable = catalog_last_stable_offset(cell, partition);
	sqlite3_stmt *st = cell_statement(cell, "SELECT last_offset, size, max_timestamp FROM run"
						" WHERE partition = ?1 AND last_offset >= ?2"
						" ORDER BY last_offset LIMIT ?3");

	cell_bind_int(st, 1, partition->id);
	cell_bind_int(st, 2, ret->clean);
	cell_bind_int(st, 3, KEY_COMPACTION_RUNS_MAX);
	while (cell_next(cell, st)) {
		int64_t last = sqlite3_column_int64(st, 0);
		int64_t timestamp_ms = sqlite3_column_int64(st, 2);
		++*rows;
		if (last >= stable || is_within(timestamp_ms, rules->min_compaction_lag_ms, now_ms))
			break;
		if (ret->dirty_bytes == 0)
			*ret_first_ms = timestamp_ms;
		ret->dirty_bytes += sqlite3_column_int64(st, 1);
		ret->end = last + 1;
	}
	sqlite3_reset(st);
}

static int64_t count_clean_bytes(struct cell *cell, int64_t partition, int64_t start, int64_t clean,
				 int64_t *rows)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT sum(size), count(*) FROM run WHERE partition = ?1"
				     " AND last_offset >= ?2 AND last_offset < ?3");

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, start);
	cell_bind_int(st, 3, clean);
	int64_t bytes = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	*rows += sqlite3_column_int64(st, 1);
	sqlite3_reset(st);
	return bytes;
}

static bool is_due(const struct key_compaction *k, const struct config_topic_rules *rules,
		   int64_t first_ms, int64_t now_ms)
{
	double all = (double)k->dirty_bytes + (double)k->clean_bytes;
	int64_t age_ms;

	if (k->dirty_bytes == 0)
		return false;
	if ((double)k->dirty_bytes / all > rules->min_cleanable_ratio)
		return true;
	return !__builtin_sub_overflow(now_ms, first_ms, &age_ms) &&
	       age_ms > rules->max_compaction_lag_ms;
}

static bool check(struct cell *cell, const struct catalog_partition *partition,
		  const struct config_topic_rules *rules, int64_t now_ms,
		  struct key_compaction *ret, int64_t *rows)
{
	struct key_compaction k = {
		.partition = partition->id,
		.start = partition->log_start_offset,
		.delete_retention_ms = rules->delete_retention_ms,
	};
	int64_t first_ms = 0;

	*rows += KEY_COMPACTION_LOOK_ROWS;
	if (!rules->is_compacted)
		return false;
	k.clean = k.end = find_clean(cell, partition);
	if (k.clean >= partition->high_watermark)
		return false;
	add_dirty_runs(cell, partition, rules, now_ms, &k, &first_ms, rows);
	if (k.dirty_bytes == 0)
		return false;
	k.clean_bytes = count_clean_bytes(cell, partition->id, k.start, k.clean, rows);
	if (!is_due(&k, rules, first_ms, now_ms))
		return false;
	*ret = k;
	return true;
}

enum err key_compaction_check(struct cell *cell, int64_t row, int64_t now_ms,
			      struct key_compaction *ret)
{
	struct catalog_partition partition;
	struct config_topic_rules rules;
	struct catalog_topic topic;
	int64_t rows = 0;
	struct arena a;

	arena_init(&a);
	enum err err = catalog_partition_by_row(cell, row, &partition);
	if (!err)
		err = catalog_topic_by_row(&a, cell, partition.topic, &topic);
	if (!err) {
		config_topic_rules(cell, topic.name, &rules);
		err = check(cell, &partition, &rules, now_ms, ret, &rows) ? OK : ERR_NOT_FOUND;
	}
	arena_done(&a);
	return err;
}

/* --- all of them -------------------------------------------------------------------------------
 */

/* Of the topics behind `row` the first one that may be compacted: any, where brokers say so, else
 * those that have a policy of their own. */
static enum err next_topic(struct arena *a, struct cell *cell, bool is_any, int64_t row,
			   struct catalog_topic *ret)
{
	sqlite3_stmt *st = cell_statement(
		cell,
		is_any ? "SELECT id FROM topic WHERE id > ?1 AND deleted_ms IS NULL"
			 " ORDER BY id LIMIT 1"
		       : "SELECT t.id FROM config c JOIN topic t ON t.name = c.resource"
			 " AND t.deleted_ms IS NULL WHERE c.kind = 2"
			 " AND c.name = 'cleanup.policy' AND t.id > ?1 ORDER BY t.id LIMIT 1");

	cell_bind_int(st, 1, row);
	int64_t topic = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return topic ? catalog_topic_by_row(a, cell, topic, ret) : ERR_NOT_FOUND;
}

/* The first due one from `number` on, as long as there are rows to look at. */
static bool check_topic(struct cell *cell, const struct catalog_topic *topic, int32_t *number,
			int64_t now_ms, struct key_compaction *ret, int64_t *rows)
{
	struct catalog_partition partition;
	struct config_topic_rules rules;

	config_topic_rules(cell, topic->name, &rules);
	if (!rules.is_compacted)
		return false;
	for (; *number < topic->partition_count && *rows < KEY_COMPACTION_ROWS_MAX; (*number)++)
		if (!catalog_partition_find(cell, topic->id, *number, &partition) &&
		    check(cell, &partition, &rules, now_ms, ret, rows)) {
			(*number)++;
			return true;
		}
	return false;
}

enum err key_compaction_find(struct cell *cell, int64_t now_ms, struct key_compaction_place *place,
			     struct key_compaction *ret)
{
	struct config_topic_rules brokers;
	struct catalog_topic topic;
	enum err err = OK;
	int64_t rows = 0;
	struct arena a;

	config_topic_rules(cell, SLICE(""), &brokers);
	arena_init(&a);
	for (int i = 0; i < KEY_COMPACTION_TOPICS_MAX; i++) {
		/* partitions of the topic before are left: it is the one behind the one before */
		err = next_topic(&a, cell, brokers.is_compacted,
				 place->partition > 0 ? place->topic - 1 : place->topic, &topic);
		if (err)
			break;
		if (topic.id != place->topic)
			*place = (struct key_compaction_place) { .topic = topic.id };
		if (check_topic(cell, &topic, &place->partition, now_ms, ret, &rows)) {
			arena_done(&a);
			return OK;
		}
		if (rows >= KEY_COMPACTION_ROWS_MAX) /* goes on with the next partition of it */
			break;
		place->partition = 0;
	}
	if (err)
		*place = (struct key_compaction_place) { 0 };
	arena_done(&a);
	return err ? err : ERR_NOT_FOUND;
}

enum err key_compaction_finish(struct cell *cell, int64_t partition, int64_t clean)
{
	return cell_execute_sql(cell,
				"INSERT INTO key_clean (id, clean_offset) VALUES (?1, ?2)"
				" ON CONFLICT (id) DO UPDATE SET clean_offset = ?2"
				" WHERE clean_offset < ?2",
				partition, clean);
}
