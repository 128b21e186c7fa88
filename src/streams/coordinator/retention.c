#include "streams/coordinator/retention.h"

#include "streams/catalog/config.h"
#include "streams/catalog/transactions.h"

/* A partition, and what holds for it. */
struct view {
	struct cell *cell;
	struct catalog_partition partition;
	int64_t ms, bytes;   /* of the settings; negative: no limit */
	int64_t interval_ms; /* that a run stays at least */
	int64_t end;	     /* the last stable offset */
	int64_t kept_bytes;  /* of what is not before the log start */
	int64_t now_ms;
	bool is_trimmed; /* kept_bytes is not known: rows before the log start are still there */
};

/* --- a partition -------------------------------------------------------------------------------
 */

/* As the sweep leaves them, or finds them; there is none before the log start but while a trim is
 * under way. */
static bool has_trim(struct cell *cell, int64_t partition)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM trim WHERE id = ?1");

	cell_bind_int(st, 1, partition);
	bool ret = cell_next(cell, st);
	sqlite3_reset(st);
	return ret;
}

static enum err open_view(struct arena *a, struct cell *cell, int64_t partition, int64_t now_ms,
			  struct view *ret)
{
	struct config_topic_rules rules;
	struct catalog_topic topic;

	*ret = (struct view) { .cell = cell, .now_ms = now_ms };
	enum err err = catalog_partition_by_row(cell, partition, &ret->partition);
	if (!err)
		err = catalog_topic_by_row(a, cell, ret->partition.topic, &topic);
	if (err)
		return err;
	config_topic_rules(cell, topic.name, &rules);
	ret->ms = rules.is_deleted ? rules.retention_ms : -1;
	ret->bytes = rules.is_deleted ? rules.retention_bytes : -1;
	ret->interval_ms = config_broker_number(cell, "log.retention.check.interval.ms",
						CONFIG_RETENTION_INTERVAL_MS);
	ret->end = catalog_last_stable_offset(cell, &ret->partition);
	ret->is_trimmed = ret->bytes >= 0 && has_trim(cell, partition);
	ret->kept_bytes = ret->partition.bytes;
	return OK;
}

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Kafka deletes what is older than retention.ms, not what is as old. */
static int64_t due_of(const struct view *v, int64_t time_ms, int64_t written_ms)
{
	if (v->ms < 0)
		return INT64_MAX;
	int64_t due_ms = add(add(time_ms >= 0 ? time_ms : written_ms, v->ms), 1);
	int64_t looked_ms = add(written_ms, v->interval_ms);

	/* who has a journal of the future does not keep everything for it */
	return written_ms <= v->now_ms && looked_ms > due_ms ? looked_ms : due_ms;
}

/* --- what lies first ---------------------------------------------------------------------------
 */

#define RUNS_FROM                                                                                  \
	"SELECT run.last_offset, run.size, run.max_timestamp, file.committed_ms FROM run"          \
	" JOIN file ON file.id = run.file WHERE run.partition = ?1 AND run.last_offset >= ?2"      \
	" ORDER BY run.last_offset LIMIT ?3"

static sqlite3_stmt *runs_from(const struct view *v, int64_t count_max)
{
	sqlite3_stmt *st = cell_statement(v->cell, RUNS_FROM);

	cell_bind_int(st, 1, v->partition.id);
	cell_bind_int(st, 2, v->partition.log_start_offset);
	cell_bind_int(st, 3, count_max);
	return st;
}

static sqlite3_stmt *markers_from(const struct view *v, int64_t offset, int64_t count_max)
{
	sqlite3_stmt *st = cell_statement(v->cell, "SELECT marker_offset, written_ms FROM marker"
						   " WHERE partition = ?1 AND marker_offset >= ?2"
						   " AND is_in_run = 0"
						   " ORDER BY marker_offset LIMIT ?3");

	cell_bind_int(st, 1, v->partition.id);
	cell_bind_int(st, 2, offset);
	cell_bind_int(st, 3, count_max);
	return st;
}

static void look_at_run(const struct view *v, sqlite3_stmt *st, struct retention_due *ret)
{
	bool is_blocked = sqlite3_column_int64(st, 0) >= v->end;
	int64_t again_ms = v->now_ms + RETENTION_BLOCKED_MS;

	ret->due_ms = due_of(v, sqlite3_column_int64(st, 2), sqlite3_column_int64(st, 3));
	if (v->bytes >= 0) {
		/* it goes when without it there are still `bytes` */
		ret->room_bytes = add(v->bytes, sqlite3_column_int64(st, 1)) - v->kept_bytes;
		if (v->is_trimmed || (is_blocked && ret->room_bytes <= 0)) {
			ret->room_bytes = INT64_MAX;
			ret->due_ms = ret->due_ms < again_ms ? ret->due_ms : again_ms;
		} else if (ret->room_bytes <= 0) {
			ret->due_ms = 0;
		}
	}
	if (is_blocked && ret->due_ms <= v->now_ms)
		ret->due_ms = again_ms;
}

enum err retention_look(struct cell *cell, int64_t partition, int64_t now_ms,
			struct retention_due *ret)
{
	struct view v;
	struct arena a;

	*ret = (struct retention_due) { INT64_MAX, INT64_MAX, false };
	arena_init(&a);
	enum err err = open_view(&a, cell, partition, now_ms, &v);
	arena_done(&a);
	if (err || (v.ms < 0 && v.bytes < 0))
		return err;
	sqlite3_stmt *st = runs_from(&v, 1);
	if (cell_next(cell, st)) {
		look_at_run(&v, st, ret);
		sqlite3_reset(st);
		return OK;
	}
	sqlite3_reset(st);
	st = markers_from(&v, v.partition.log_start_offset, 1);
	ret->is_empty = !cell_next(cell, st);
	if (!ret->is_empty && sqlite3_column_int64(st, 0) < v.end)
		ret->due_ms = due_of(&v, -1, sqlite3_column_int64(st, 1));
	sqlite3_reset(st);
	if (!ret->is_empty && v.bytes >= 0)
		ret->room_bytes = 0; /* the next run is looked at */
	return OK;
}

/* --- what goes ---------------------------------------------------------------------------------
 */

static bool may_go(struct view *v, sqlite3_stmt *st)
{
	int64_t size = sqlite3_column_int64(st, 1);

	if (sqlite3_column_int64(st, 0) >= v->end)
		return false;
	bool is_old =
		due_of(v, sqlite3_column_int64(st, 2), sqlite3_column_int64(st, 3)) <= v->now_ms;
	bool is_too_much = v->bytes >= 0 && !v->is_trimmed && v->kept_bytes - size >= v->bytes;
	v->kept_bytes -= size;
	return is_old || is_too_much;
}

/* The new log start; `ret_is_last`: no run is left behind it. */
static int64_t pass_runs(struct view *v, int *rows, bool *ret_is_last)
{
	int64_t start = v->partition.log_start_offset;
	sqlite3_stmt *st = runs_from(v, *rows);
	bool goes_on;

	*ret_is_last = false;
	do {
		goes_on = *rows > 0 && cell_next(v->cell, st);
		if (*rows > 0 && !goes_on)
			*ret_is_last = true;
		if (goes_on) {
			(*rows)--;
			goes_on = may_go(v, st);
		}
		if (goes_on)
			start = sqlite3_column_int64(st, 0) + 1;
	} while (goes_on);
	sqlite3_reset(st);
	return start;
}

/* Ends of transactions that are old too, where nothing but them is in the way. */
static int64_t pass_markers(const struct view *v, int64_t start, bool is_last, int *rows)
{
	sqlite3_stmt *st = markers_from(v, start, *rows);

	while (*rows > 0 && cell_next(v->cell, st)) {
		int64_t offset = sqlite3_column_int64(st, 0);
		(*rows)--;
		if ((offset != start && !is_last) || offset >= v->end ||
		    due_of(v, -1, sqlite3_column_int64(st, 1)) > v->now_ms)
			break;
		start = offset + 1;
	}
	sqlite3_reset(st);
	return start;
}

enum err retention_move_log_start(struct cell *cell, int64_t partition, int64_t offset)
{
	cell_let_free(cell);
	enum err err =
		cell_execute_sql(cell, "UPDATE partition SET log_start_offset = ?2 WHERE id = ?1",
				 partition, offset);

	return err ? err
		   : cell_execute_sql(cell,
				      "INSERT INTO trim (id) VALUES (?1)"
				      " ON CONFLICT (id) DO NOTHING",
				      partition, 0);
}

enum err retention_apply(struct cell *cell, int64_t partition, int64_t now_ms, int *rows)
{
	struct view v;
	struct arena a;
	bool is_last;

	arena_init(&a);
	enum err err = open_view(&a, cell, partition, now_ms, &v);
	arena_done(&a);
	(*rows)--;
	if (err || (v.ms < 0 && v.bytes < 0))
		return err == ERR_NOT_FOUND ? OK : err;
	int64_t start = pass_runs(&v, rows, &is_last);
	start = pass_markers(&v, start, is_last, rows);
	if (start <= v.partition.log_start_offset)
		return OK;
	return retention_move_log_start(cell, v.partition.id, start);
}
