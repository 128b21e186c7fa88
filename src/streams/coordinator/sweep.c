/* Per step at most SWEEP_ROWS_MAX rows.  Of a topic in this order: runs (each takes its file's
 * count down; at 0 the file is dead), producers (what they wrote last is kept for a while, see
 * former_producer.h), what is there for transactions, partitions, committed offsets, and last the
 * topic's row.  Of a partition whose log start moved: runs and markers that end before it.  Of a
 * consumer group: its offsets, members that may be left, then its row.  A group that was empty and
 * unused for SWEEP_GROUP_IDLE_MS is deleted first, and so is a transactional id without a
 * transaction.  With nothing of that to do, now and then all groups are looked at for offsets that
 * are too old (expire_offsets.h). */
#include "streams/coordinator/sweep.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "streams/catalog/catalog.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/expire_offsets.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/former_producer.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/runs.h"
#include "streams/coordinator/share_group.h"

#define MINUTE_MS (60 * INT64_C(1000))

/* --- one step ----------------------------------------------------------------------------------
 */

static int64_t find_deleted_topic(struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT id FROM topic WHERE deleted_ms > 0"
						" ORDER BY deleted_ms, id LIMIT 1");
	int64_t topic = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return topic;
}

static int64_t find_partition(struct cell *cell, int64_t topic)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT id FROM partition WHERE topic = ?1 ORDER BY number LIMIT 1");

	cell_bind_int(st, 1, topic);
	int64_t partition = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return partition;
}

/* Runs that end before `offset`; `ret_bytes` is how many bytes they had. */
static enum err delete_runs(struct cell *cell, int64_t partition, int64_t offset, int64_t now_ms,
			    int *ret_count, int64_t *ret_bytes)
{
	int64_t runs[SWEEP_ROWS_MAX], files[SWEEP_ROWS_MAX], bytes = 0;
	enum err err = OK;
	int count = 0;

	sqlite3_stmt *st =
		cell_statement(cell, "SELECT id, file, size FROM run WHERE partition = ?1"
				     " AND last_offset < ?2 ORDER BY last_offset");
	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, offset);
	while (count < SWEEP_ROWS_MAX && cell_next(cell, st)) {
		runs[count] = sqlite3_column_int64(st, 0);
		files[count++] = sqlite3_column_int64(st, 1);
		bytes += sqlite3_column_int64(st, 2);
	}
	sqlite3_reset(st);
	for (int i = 0; i < count && !err; i++)
		err = runs_delete(cell, runs[i], files[i], now_ms);
	*ret_count = count;
	*ret_bytes = bytes;
	return err;
}

static enum err delete_some(struct cell *cell, const char *sql, int64_t owner, int *ret_count)
{
	enum err err = cell_execute_sql(cell, sql, owner, SWEEP_ROWS_MAX);

	*ret_count = sqlite3_changes(cell_database(cell));
	return err;
}

static const char *const of_partition[] = {
	"DELETE FROM marker WHERE id IN (SELECT id FROM marker WHERE partition = ?1 LIMIT ?2)",
	"DELETE FROM open_transaction WHERE id IN (SELECT id FROM open_transaction"
	" WHERE partition = ?1 LIMIT ?2)",
	"DELETE FROM transaction_partition WHERE id IN (SELECT id FROM transaction_partition"
	" WHERE partition = ?1 LIMIT ?2)",
	"DELETE FROM key_clean WHERE id = ?1 AND ?2 > 0",
};

static enum err sweep_partition(struct cell *cell, int64_t partition, const struct sweep_step *step)
{
	int64_t bytes;
	int count = 0;

	enum err err = delete_runs(cell, partition, INT64_MAX, step->now_ms, &count, &bytes);
	if (err || count > 0)
		return err;
	err = former_producer_move(cell, partition, !step->is_full, &count);
	if (err || count > 0)
		return err;
	for (size_t i = 0; i < sizeof(of_partition) / sizeof(of_partition[0]); i++) {
		err = delete_some(cell, of_partition[i], partition, &count);
		if (err || count > 0)
			return err;
	}
	return cell_execute_sql(cell, "DELETE FROM partition WHERE id = ?1", partition, 0);
}

static enum err sweep_topic(struct cell *cell, int64_t topic, const struct sweep_step *step)
{
	int64_t partition = find_partition(cell, topic);
	int count = 0;

	if (partition)
		return sweep_partition(cell, partition, step);
	enum err err = delete_some(cell,
				   "DELETE FROM group_offset WHERE id IN (SELECT id FROM"
				   " group_offset WHERE topic = ?1 LIMIT ?2)",
				   topic, &count);
	if (err || count > 0)
		return err;
	err = delete_some(cell,
			  "DELETE FROM transaction_offset WHERE id IN (SELECT id FROM"
			  " transaction_offset WHERE topic = ?1 LIMIT ?2)",
			  topic, &count);
	if (err || count > 0)
		return err;
	err = delete_some(cell,
			  "DELETE FROM share_partition WHERE id IN (SELECT id FROM"
			  " share_partition WHERE topic = ?1 LIMIT ?2)",
			  topic, &count);
	if (err || count > 0)
		return err;
	return cell_execute_sql(cell, "DELETE FROM topic WHERE id = ?1", topic, 0);
}

static int64_t find_trim(struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT id FROM trim LIMIT 1");
	int64_t partition = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return partition;
}

static enum err trim_markers(struct cell *cell, int64_t partition, int64_t log_start_offset,
			     int *ret_count)
{
	sqlite3_stmt *st = cell_statement(
		cell, "DELETE FROM marker WHERE id IN (SELECT id FROM marker WHERE partition = ?1"
		      " AND marker_offset < ?2 ORDER BY marker_offset LIMIT ?3)");

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, log_start_offset);
	cell_bind_int(st, 3, SWEEP_ROWS_MAX);
	enum err err = cell_execute(cell, st);
	*ret_count = sqlite3_changes(cell_database(cell));
	return err;
}

/* Of a partition whose log start has moved: what lies before it. */
static enum err trim_partition(struct cell *cell, int64_t row, int64_t now_ms)
{
	struct catalog_partition partition = { .log_start_offset = INT64_MAX };
	int64_t bytes = 0;
	int count = 0;
	enum err err = catalog_partition_by_row(cell, row, &partition);

	if (err && err != ERR_NOT_FOUND)
		return err;
	if (!err)
		err = delete_runs(cell, row, partition.log_start_offset, now_ms, &count, &bytes);
	else
		err = OK; /* its topic was deleted */
	if (!err && bytes > 0)
		err = cell_execute_sql(cell,
				       "UPDATE partition SET bytes = bytes - ?2 WHERE id = ?1", row,
				       bytes);
	if (!err && count < SWEEP_ROWS_MAX)
		err = trim_markers(cell, row, partition.log_start_offset, &count);
	if (err || count == SWEEP_ROWS_MAX)
		return err;
	return cell_execute_sql(cell, "DELETE FROM trim WHERE id = ?1", row, 0);
}

static int64_t find_deleted_group(struct cell *cell)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT id FROM consumer_group WHERE deleted_ms IS NOT NULL"
				     " ORDER BY deleted_ms LIMIT 1");
	int64_t group = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return group;
}

static const char *const of_group[] = {
	"DELETE FROM group_offset WHERE id IN (SELECT id FROM group_offset"
	" WHERE consumer_group = ?1 LIMIT ?2)",
	"DELETE FROM member WHERE id IN (SELECT id FROM member WHERE consumer_group = ?1 LIMIT ?2)",
	"DELETE FROM consumer_member WHERE id IN (SELECT id FROM consumer_member"
	" WHERE consumer_group = ?1 LIMIT ?2)",
	"DELETE FROM consumer_protocol WHERE id IN (SELECT id FROM consumer_protocol"
	" WHERE consumer_group = ?1 LIMIT ?2)",
	"DELETE FROM share_member WHERE id IN (SELECT id FROM share_member"
	" WHERE consumer_group = ?1 LIMIT ?2)",
	"DELETE FROM share_partition WHERE id IN (SELECT id FROM share_partition"
	" WHERE consumer_group = ?1 LIMIT ?2)",
	"DELETE FROM share_group WHERE id IN (SELECT id FROM share_group"
	" WHERE consumer_group = ?1 LIMIT ?2)",
};

static enum err sweep_group(struct cell *cell, int64_t group)
{
	int count = 0;

	for (size_t i = 0; i < sizeof(of_group) / sizeof(of_group[0]); i++) {
		enum err err = delete_some(cell, of_group[i], group, &count);
		if (err || count > 0)
			return err;
	}
	return cell_execute_sql(cell, "DELETE FROM consumer_group WHERE id = ?1", group, 0);
}

/* The empty group that was looked at or changed the longest time ago, if that is too long.  A share
 * group is kept, as in Kafka. */
static int64_t find_idle_group(struct cell *cell, int64_t idle_since_ms)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT id FROM consumer_group WHERE state = 0"
				     " AND deleted_ms IS NULL AND updated_ms < ?1"
				     " AND protocol_type <> 'share' ORDER BY updated_ms LIMIT 1");

	cell_bind_int(st, 1, idle_since_ms);
	int64_t group = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return group;
}

static int64_t find_last_commit(struct cell *cell, int64_t group)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT max(commit_ms) FROM group_offset WHERE consumer_group = ?1");

	cell_bind_int(st, 1, group);
	int64_t commit_ms = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return commit_ms;
}

/* Consumers without membership only commit: that counts as use, noted when it matters. */
static enum err retire_group(struct cell *cell, int64_t group, const struct sweep_step *step)
{
	int64_t commit_ms = find_last_commit(cell, group);

	if (commit_ms >= step->idle_since_ms)
		return cell_execute_sql(cell,
					"UPDATE consumer_group SET updated_ms = ?2 WHERE id = ?1",
					group, commit_ms);
	return cell_execute_sql(cell, "UPDATE consumer_group SET deleted_ms = ?2 WHERE id = ?1",
				group, step->now_ms);
}

/* Kafka's transactional.id.expiration.ms; what is left of its producer ids stays with the topics.
 */
static enum err retire_transactional(struct cell *cell, struct sweep_step *step)
{
	int count = 0;
	enum err err = delete_some(cell,
				   "DELETE FROM transactional WHERE id IN (SELECT id FROM"
				   " transactional WHERE state <> 1 AND updated_ms < ?1 LIMIT ?2)",
				   step->transactional_idle_since_ms, &count);

	step->is_more = count > 0;
	return err;
}

enum err sweep_run(struct cell *cell, void *argument)
{
	struct sweep_step *step = argument;
	int64_t topic = find_deleted_topic(cell);
	int64_t trim = topic ? 0 : find_trim(cell);
	int64_t deleted = topic || trim ? 0 : find_deleted_group(cell);
	int64_t idle = topic || trim || deleted ? 0 : find_idle_group(cell, step->idle_since_ms);

	step->is_more = topic || trim || deleted || idle;
	if (topic)
		return sweep_topic(cell, topic, step);
	if (trim)
		return trim_partition(cell, trim, step->now_ms);
	if (deleted)
		return sweep_group(cell, deleted);
	if (idle)
		return retire_group(cell, idle, step);
	int count = 0;
	enum err err = former_producer_forget(cell, step->now_ms, &count);
	if (err || count > 0) {
		step->is_more = true;
		return err;
	}
	err = share_group_sweep(cell, step->now_ms, &step->is_more);
	return err || step->is_more ? err : retire_transactional(cell, step);
}

void sweep_step_ended(struct sweep_step *step, enum err err)
{
	if (err == ERR_FULL)
		step->is_full = true;
	else if (!err && !step->is_more)
		step->is_full = false;
	if (err)
		step->is_more = false;
}

/* --- when groups are forgotten -----------------------------------------------------------------
 */

bool sweep_clock_is_steady(struct sweep_clock *c, int64_t wall_ms, uint64_t loop_ms)
{
	int64_t ahead_ms = wall_ms - (int64_t)loop_ms;

	if (!c->is_known || llabs(ahead_ms - c->ahead_ms) >= SWEEP_CLOCK_JUMP_MS)
		c->steady_since_ms = loop_ms;
	c->ahead_ms = ahead_ms;
	c->is_known = true;
	return loop_ms - c->steady_since_ms >= SWEEP_CLOCK_STEADY_MS;
}

/* --- the task ----------------------------------------------------------------------------------
 */

struct sweep {
	struct task task;
	struct coordinator *coordinator;
	struct sweep_clock clock;
	struct sweep_step step;
	struct offset_expiry offsets;
	uint64_t offsets_due_ms; /* when it begins again */
	struct leader_call call;
	struct sleep sleep;
};

enum { SWEEP_RUN, SWEEP_DURABLE };

/* With nothing else to do: all groups, now and then. */
static enum err run_offsets(struct cell *cell, struct sweep *sweep)
{
	uint64_t now_ms = loop_now_ms(sweep->coordinator->loop);

	if (now_ms < sweep->offsets_due_ms)
		return OK;
	sweep->offsets.groups = sweep->coordinator->groups;
	sweep->offsets.since_ms = sweep->step.idle_since_ms;
	enum err err = expire_offsets(cell, &sweep->offsets);
	if (err)
		return err;
	sweep->step.is_more = sweep->offsets.is_more;
	if (!sweep->offsets.is_more) {
		sweep->offsets.group = 0;
		sweep->offsets_due_ms = now_ms + SWEEP_OFFSETS_MS;
	}
	return OK;
}

static enum err run_step(struct cell *cell, void *argument)
{
	struct sweep *sweep = argument;

	/* The leader's time never decreases: it would keep a jump for ever. */
	int64_t wall_ms = clock_wall_ms();
	bool is_steady = sweep_clock_is_steady(&sweep->clock, wall_ms,
					       loop_now_ms(sweep->coordinator->loop));

	int64_t group_idle_ms = MINUTE_MS * config_broker_number(cell, "offsets.retention.minutes",
								 SWEEP_GROUP_IDLE_MS / MINUTE_MS);
	int64_t transactional_idle_ms = config_broker_number(cell, "transactional.id.expiration.ms",
							     SWEEP_TRANSACTIONAL_IDLE_MS);
	sweep->step.idle_since_ms = is_steady ? wall_ms - group_idle_ms : 0;
	sweep->step.transactional_idle_since_ms = is_steady ? wall_ms - transactional_idle_ms : 0;
	sweep->step.now_ms = (int64_t)leader_now_ms(sweep->coordinator->config.leader);
	enum err err = sweep_run(cell, &sweep->step);
	expiry_runs_deleted(sweep->coordinator, cell);
	return err || sweep->step.is_more || !is_steady ? err : run_offsets(cell, sweep);
}

static enum step sweep_step(struct task *t)
{
	struct sweep *sweep = CONTAINER(t, struct sweep, task);
	uint64_t now_ms = loop_now_ms(t->loop);

	if (task_is_canceled(t))
		return task_done(t, t->err);
	switch (t->at) {
	case SWEEP_RUN:
		leader_run(&sweep->call, t, sweep->coordinator->config.leader, run_step, sweep);
		return task_wait(t, SWEEP_DURABLE);
	case SWEEP_DURABLE:
		sweep_step_ended(&sweep->step, sweep->call.task.err);
		sleep_start(&sweep->sleep, t,
			    now_ms + (sweep->step.is_more ? SWEEP_PAUSE_MS : SWEEP_IDLE_MS));
		return task_wait(t, SWEEP_RUN);
	}
	abort();
}

static void sweep_on_end(struct task *t)
{
	struct sweep *sweep = CONTAINER(t, struct sweep, task);
	struct coordinator *c = sweep->coordinator;

	if (c->sweep == sweep)
		c->sweep = NULL;
	c->errand_count--;
	memory_free(sweep);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const sweep_places[] = { "run", "durable" };
static const struct task_kind sweep_kind = {
	.name = "sweep",
	.places = sweep_places,
	.place_count = 2,
	.step = sweep_step,
	.on_end = sweep_on_end,
};

void sweep_start(struct coordinator *c)
{
	struct sweep *sweep = NEW(struct sweep);

	sweep->coordinator = c;
	c->sweep = sweep;
	c->errand_count++;
	task_start_root(&sweep->task, &sweep_kind, c->loop);
}

void sweep_cancel(struct coordinator *c)
{
	if (c->sweep)
		task_cancel(&c->sweep->task);
	c->sweep = NULL;
}
