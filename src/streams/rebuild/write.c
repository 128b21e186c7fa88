#include "streams/rebuild/write.h"

#include "streams/coordinator/configs.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/unsure.h"
#include "streams/rebuild/plan_private.h"

/* Parameters of `select`: the row to go on behind, the time, the leader epoch, how many rows. */
struct write_table {
	const char *clear; /* a part of what an earlier rebuild left */
	const char *select, *insert;
};

static const struct write_table tables[] = {
	{ "DELETE FROM file WHERE id IN (SELECT id FROM file LIMIT ?1)",
	  "SELECT id, incarnation, sequence, size, (SELECT count(*) FROM out_run"
	  " WHERE out_run.file = file.id), ?2, is_final FROM file WHERE id > ?1 AND EXISTS"
	  " (SELECT 1 FROM out_run WHERE out_run.file = file.id) ORDER BY id LIMIT ?4",
	  "INSERT INTO file (id, incarnation, sequence, size, run_count, committed_ms, level)"
	  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)" },
	{ "DELETE FROM topic WHERE id IN (SELECT id FROM topic LIMIT ?1)",
	  "SELECT id, topic_id, name, partition_count, ?2 FROM topic WHERE id > ?1"
	  " ORDER BY id LIMIT ?4",
	  "INSERT INTO topic (id, topic_id, name, partition_count, created_ms)"
	  " VALUES (?1, ?2, ?3, ?4, ?5)" },
	{ "DELETE FROM partition WHERE id IN (SELECT id FROM partition LIMIT ?1)",
	  "SELECT id, topic, number, log_start, high_watermark, ?3, bytes, high_watermark"
	  " FROM out_partition WHERE id > ?1 ORDER BY id LIMIT ?4",
	  "INSERT INTO partition (id, topic, number, log_start_offset, high_watermark,"
	  " leader_epoch, bytes, epoch_offset) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)" },
	{ "DELETE FROM run WHERE id IN (SELECT id FROM run LIMIT ?1)",
	  "SELECT id, partition, last_offset, base_offset, file, position, size, max_timestamp,"
	  " level FROM out_run WHERE id > ?1 ORDER BY id LIMIT ?4",
	  "INSERT INTO run (id, partition, last_offset, base_offset, file, position, size,"
	  " max_timestamp, level) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)" },
	{ "DELETE FROM producer WHERE id IN (SELECT id FROM producer LIMIT ?1)",
	  "SELECT id, partition, producer_id, epoch, last_sequence, last_ms, recent"
	  " FROM out_producer WHERE id > ?1 ORDER BY id LIMIT ?4",
	  "INSERT INTO producer (id, partition, producer_id, epoch, last_sequence, last_ms,"
	  " recent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)" },
	{ "DELETE FROM marker WHERE id IN (SELECT id FROM marker LIMIT ?1)",
	  "SELECT id, partition, marker_offset, producer_id, epoch, is_commit, first_offset,"
	  " stable_offset, written_ms, is_in_run FROM out_marker WHERE id > ?1 ORDER BY id"
	  " LIMIT ?4",
	  "INSERT INTO marker (id, partition, marker_offset, producer_id, epoch, is_commit,"
	  " first_offset, stable_offset, written_ms, is_in_run)"
	  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)" },
};

/* First each table is emptied, then each is filled. */
enum {
	WRITE_TABLES = sizeof(tables) / sizeof(tables[0]),
	WRITE_LAST = 2 * WRITE_TABLES,
	WRITE_OVER,
	MS_PER_MINUTE = 60 * 1000,
};

/* --- the mark ----------------------------------------------------------------------------------
 */

bool write_is_unfinished(struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM counter WHERE name = 'rebuild'");
	bool is_there = cell_next(cell, st);

	sqlite3_reset(st);
	return is_there;
}

static bool has_rows(struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT EXISTS (SELECT 1 FROM counter) OR EXISTS (SELECT 1 FROM agent)"
		      " OR EXISTS (SELECT 1 FROM topic) OR EXISTS (SELECT 1 FROM file)"
		      " OR EXISTS (SELECT 1 FROM consumer_group) OR EXISTS (SELECT 1 FROM config)"
		      " OR EXISTS (SELECT 1 FROM access_user) OR EXISTS (SELECT 1 FROM"
		      " access_grant) OR EXISTS (SELECT 1 FROM transactional)");
	bool has = cell_next(cell, st) && sqlite3_column_int(st, 0);

	sqlite3_reset(st);
	return has;
}

enum err write_begin_run(struct cell *cell, void *argument)
{
	int64_t attempt;

	(void)argument;
	if (!write_is_unfinished(cell) && has_rows(cell))
		return ERR_EXISTS;
	return counter_next(cell, "rebuild", 1, &attempt);
}

/* --- steps -------------------------------------------------------------------------------------
 */

static enum err clear_table(struct cell *cell, struct write *w)
{
	enum err err = cell_execute_sql(cell, tables[w->stage].clear, WRITE_ROWS_MAX, 0);

	w->next_stage = w->stage;
	if (!err && sqlite3_changes(cell_database(cell)) < WRITE_ROWS_MAX)
		w->next_stage++;
	return err;
}

static enum err copy_row(struct cell *cell, const char *insert, sqlite3_stmt *from)
{
	sqlite3_stmt *st = cell_statement(cell, insert);

	for (int i = 0; i < sqlite3_column_count(from); i++) {
		if (sqlite3_column_type(from, i) == SQLITE_TEXT)
			cell_bind_text(st, i + 1, cell_column_text(from, i));
		else if (sqlite3_column_type(from, i) == SQLITE_BLOB)
			cell_bind_blob(st, i + 1, cell_column_blob(from, i));
		else
			cell_bind_int(st, i + 1, sqlite3_column_int64(from, i));
	}
	return cell_execute(cell, st);
}

/* The minute of a rebuild is above every leader epoch before it, be it of another rebuild. */
static enum err fill_table(struct cell *cell, struct write *w)
{
	const struct write_table *table = &tables[w->stage - WRITE_TABLES];
	sqlite3_stmt *from = plan_statement(w->plan, table->select);
	enum err err = OK;
	int64_t rows = 0;

	cell_bind_int(from, 1, w->after);
	cell_bind_int(from, 2, w->now_ms);
	cell_bind_int(from, 3, w->now_ms / MS_PER_MINUTE);
	cell_bind_int(from, 4, WRITE_ROWS_MAX);
	for (; !err && plan_next(w->plan, from); rows++) {
		err = copy_row(cell, table->insert, from);
		w->next_after = sqlite3_column_int64(from, 0);
	}
	sqlite3_reset(from);
	w->next_stage = w->stage;
	w->next_rows = w->rows + rows;
	if (rows < WRITE_ROWS_MAX) {
		w->next_stage++;
		w->next_after = 0;
	}
	return err ? err : w->plan->err;
}

/* Nothing goes by age before somebody says again how old it may become: settings are lost.  Objects
 * that were left out stay until somebody says that they may go (0036). */
static enum err finish(struct cell *cell, struct write *w)
{
	static const char *const sql[] = {
		"INSERT INTO counter (name, next) VALUES ('incarnation', ?1)",
		"INSERT INTO counter (name, next) VALUES ('producer_id', ?2 + 1)",
		"INSERT INTO unsure_life (first, last, since_ms) VALUES (1, ?1 - 1, 0)",
	};
	enum err err =
		cell_execute(cell,
			     cell_statement(cell, "DELETE FROM counter WHERE name = 'rebuild'"));

	for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]) && !err; i++)
		err = cell_execute_sql(cell, sql[i], write_next_incarnation(w->plan),
				       write_next_producer_id(w->plan));
	w->next_stage = WRITE_OVER;
	return err ? err
		   : config_write(cell, CONFIG_BROKER, SLICE(""), SLICE("log.retention.ms"),
				  SLICE("-1"));
}

enum err write_step_run(struct cell *cell, void *argument)
{
	struct write *w = argument;

	w->next_after = w->after;
	w->next_rows = w->rows;
	if (w->stage < WRITE_TABLES)
		return clear_table(cell, w);
	if (w->stage < WRITE_LAST)
		return fill_table(cell, w);
	return finish(cell, w);
}

bool write_advance(struct write *w)
{
	w->stage = w->next_stage;
	w->after = w->next_after;
	w->rows = w->next_rows;
	return w->stage < WRITE_OVER;
}

/* --- numbers -----------------------------------------------------------------------------------
 */

int64_t write_next_incarnation(struct plan *p)
{
	int64_t last = plan_number(p, "SELECT coalesce(max(incarnation), 0) FROM file");

	return (last > INCARNATION_FIRST ? last : INCARNATION_FIRST) + INCARNATION_SKIP;
}

/* Clients can put any id into their batches: one that is never reached by giving them is theirs. */
int64_t write_next_producer_id(struct plan *p)
{
	sqlite3_stmt *st = plan_statement(p, "SELECT coalesce(max(producer_id), 0) FROM batch"
					     " WHERE producer_id <= ?1");

	cell_bind_int(st, 1, PLAN_OFFSET_MAX);
	int64_t last = plan_next(p, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);

	return (last > PRODUCER_ID_FIRST ? last : PRODUCER_ID_FIRST) + WRITE_PRODUCER_IDS_SKIP;
}
