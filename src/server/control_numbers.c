#include "server/control_numbers.h"

#include <sqlite3.h>

#include "base/clock.h"
#include "server/bucket_numbers.h"
#include "server/control_role.h"
#include "streams/catalog/usage.h"
#include "streams/coordinator/compaction.h"

/* --- the journal ------------------------------------------------------------------------------ */

static const struct metric_row leading = { "hanse_journal_leading", METRIC_GAUGE,
					   "Whether this node leads the journal (1) or not (0).",
					   NULL };
static const struct metric_row terms = { "hanse_journal_takeovers_total", METRIC_COUNTER,
					 "How often this process came to lead the journal.", NULL };
static const struct metric_row epoch = {
	"hanse_journal_epoch", METRIC_GAUGE,
	"The counter of the epoch that this node leads or led last.", NULL
};
static const struct metric_row committed = {
	"hanse_journal_committed_index", METRIC_GAUGE,
	"The last record that is known to be durable; of a standby the last one it has applied.",
	NULL
};
static const struct metric_row in_flight = { "hanse_journal_in_flight_records", METRIC_GAUGE,
					     "Records that are sealed and not yet durable.", NULL };
static const struct metric_row snapshot_index = { "hanse_journal_snapshot_index", METRIC_GAUGE,
						  "The last record the newest snapshot covers.",
						  NULL };
static const struct metric_row snapshot_time = {
	"hanse_journal_snapshot_timestamp_seconds", METRIC_GAUGE,
	"When the last record that the newest snapshot covers was written, while this node leads.",
	NULL
};
static const struct metric_row since_snapshot = { "hanse_journal_since_snapshot_bytes",
						  METRIC_GAUGE,
						  "Bytes of records after the newest snapshot.",
						  NULL };
static const struct metric_row commands = { "hanse_journal_commands_total", METRIC_COUNTER,
					    "Commands that ran on the cell.", NULL };
static const struct metric_row commit_seconds = {
	"hanse_journal_commit_duration_seconds", METRIC_HISTOGRAM,
	"From sealing a record of the journal until it is durable.", &histogram_times
};
static const struct metric_row seal_seconds = {
	"hanse_journal_seal_wait_seconds", METRIC_HISTOGRAM,
	"From the first command of a record of the journal until it is sealed.", &histogram_times
};
static const struct metric_row record_bytes = { "hanse_journal_record_size_bytes", METRIC_HISTOGRAM,
						"Sizes of the journal's records.",
						&histogram_bytes };
static const struct metric_row commands_each = {
	"hanse_journal_record_commands", METRIC_HISTOGRAM,
	"Commands whose changes share one record of the journal (group commit).", &histogram_counts
};

static void write_histogram(struct exposition *e, const struct metric_row *row,
			    const struct histogram *h, const struct metric_label *labels)
{
	exposition_family(e, row);
	exposition_add_histogram(e, h, labels);
}

static void write_one(struct exposition *e, const struct metric_row *row, uint64_t value,
		      const struct metric_label *labels)
{
	exposition_family(e, row);
	exposition_add(e, value, labels);
}

void leadership_numbers_write(struct exposition *e, const char *role, const struct leadership *l)
{
	const struct metric_label *labels = LABELS({ "role", slice_from(role) });
	const struct leader_numbers *n;
	struct leader_status status;
	struct standby_status standby;

	if (!l->leader)
		return;
	n = leader_get_numbers(l->leader);
	leader_get_status(l->leader, &status);
	standby_get_status(l->standby, &standby);
	bool is_leading = status.state == LEADER_LEADING;
	write_one(e, &leading, is_leading, labels);
	write_one(e, &terms, n->terms, labels);
	write_one(e, &epoch, status.epoch.counter, labels);
	write_one(e, &committed, is_leading ? status.committed_index : standby.index, labels);
	write_one(e, &in_flight, status.in_flight, labels);
	write_one(e, &snapshot_index, status.snapshot_index, labels);
	exposition_family(e, &snapshot_time);
	if (is_leading && status.snapshot_ms > 0)
		exposition_add_real(e, (double)status.snapshot_ms / 1000, labels);
	write_one(e, &since_snapshot, status.record_bytes, labels);
	write_one(e, &commands, n->commands, labels);
	write_histogram(e, &seal_seconds, &n->seal_waited, labels);
	write_histogram(e, &commit_seconds, &n->commit_took, labels);
	write_histogram(e, &record_bytes, &n->record_bytes, labels);
	write_histogram(e, &commands_each, &n->commands_each, labels);
}

/* --- the catalog, of who leads ---------------------------------------------------------------- */

static const struct metric_row catalog_bytes = { "hanse_catalog_bytes", METRIC_GAUGE,
						 "Size of the catalog.", NULL };
static const struct metric_row catalog_limit = {
	"hanse_catalog_limit_bytes", METRIC_GAUGE,
	"Above this size the catalog takes nothing more: producers are refused.", NULL
};
static const struct metric_row rows = { "hanse_catalog_rows", METRIC_GAUGE,
					"Rows of the catalog, by table.", NULL };
static const struct metric_row limits = { "hanse_catalog_limit_rows", METRIC_GAUGE,
					  "How many there may be, where there is a limit.", NULL };
static const struct metric_row files_dead = {
	"hanse_files_dead", METRIC_GAUGE,
	"Data files that nothing needs any more, until their grace is over and they are deleted.",
	NULL
};
static const struct metric_row files_dead_bytes = { "hanse_files_dead_bytes", METRIC_GAUGE,
						    "Their sizes.", NULL };
static const struct metric_row files = { "hanse_files", METRIC_GAUGE,
					 "Data files that are needed, by level: 0 as producers "
					 "wrote them, above as compaction did.",
					 NULL };
static const struct metric_row files_bytes = { "hanse_files_bytes", METRIC_GAUGE,
					       "Sizes of data files that are needed, by level.",
					       NULL };
static const struct metric_row waiting_runs = {
	"hanse_compaction_waiting_runs", METRIC_GAUGE,
	"Runs that are merged with their neighbours when there are enough of them, by level.", NULL
};
static const struct metric_row month = {
	"hanse_month_bucket_requests", METRIC_GAUGE,
	"Requests of all nodes that this month's bill will have, as far as they were reported.",
	NULL
};
static const struct metric_row month_bytes = {
	"hanse_month_traffic_bytes", METRIC_GAUGE,
	"Bytes of bodies of this month, of all nodes, as far as they were reported.", NULL
};

static uint64_t count(struct cell *cell, const char *sql)
{
	sqlite3_stmt *st = cell_statement(cell, sql);
	uint64_t ret = cell_next(cell, st) ? (uint64_t)sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return ret;
}

/* count(*) without a condition reads pages, not rows. */
static void write_rows(struct exposition *e, struct cell *cell)
{
	static const struct {
		const char *name, *sql;
	} tables[] = {
		{ "topics", "SELECT count(*) FROM topic" },
		{ "partitions", "SELECT count(*) FROM partition" },
		{ "files", "SELECT count(*) FROM file" },
		{ "runs", "SELECT count(*) FROM run" },
		{ "groups", "SELECT count(*) FROM consumer_group" },
		{ "offsets", "SELECT count(*) FROM group_offset" },
		{ "producers", "SELECT count(*) FROM producer" },
		{ "transactional_ids", "SELECT count(*) FROM transactional" },
	};

	exposition_family(e, &rows);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		exposition_add(e, count(cell, tables[i].sql),
			       LABELS({ "table", slice_from(tables[i].name) }));
	exposition_family(e, &limits);
	exposition_add(e, COORDINATOR_TOPICS_MAX, LABELS({ "table", SLICE("topics") }));
	exposition_add(e, COORDINATOR_GROUPS_MAX, LABELS({ "table", SLICE("groups") }));
	exposition_one(e, &files_dead,
		       count(cell, "SELECT count(*) FROM file WHERE dead_ms IS NOT NULL"));
	exposition_one(e, &files_dead_bytes,
		       count(cell, "SELECT sum(size) FROM file WHERE dead_ms IS NOT NULL"));
}

struct level {
	char name[16];
	uint64_t files, bytes;
};

/* Reads every row, 0.1 s for a million. */
static void write_levels(struct exposition *e, struct cell *cell)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT level, count(*), sum(size) FROM file WHERE dead_ms IS NULL"
			       " GROUP BY level ORDER BY level");
	struct level levels[CATALOG_LEVELS_MAX];
	size_t n = 0;

	for (; n < CATALOG_LEVELS_MAX && cell_next(cell, st); n++) {
		snprintf(levels[n].name, sizeof(levels[n].name), "%d", sqlite3_column_int(st, 0));
		levels[n].files = (uint64_t)sqlite3_column_int64(st, 1);
		levels[n].bytes = (uint64_t)sqlite3_column_int64(st, 2);
	}
	sqlite3_reset(st);
	exposition_family(e, &files);
	for (size_t i = 0; i < n; i++)
		exposition_add(e, levels[i].files, LABELS({ "level", slice_from(levels[i].name) }));
	exposition_family(e, &files_bytes);
	for (size_t i = 0; i < n; i++)
		exposition_add(e, levels[i].bytes, LABELS({ "level", slice_from(levels[i].name) }));
}

/* Of level 0 by files, since a file is taken as a whole, but for files of large runs, which stay;
 * of levels above by the index of what is still to be merged. */
static void write_waiting(struct exposition *e, struct cell *cell)
{
	sqlite3_stmt *fresh = cell_statement(
		cell, "SELECT sum(run_count) FROM file INDEXED BY file_fresh WHERE level = 0"
		      " AND dead_ms IS NULL AND run_count > 0 AND size / run_count < ?1");
	sqlite3_stmt *above = cell_statement(
		cell, "SELECT count(*) FROM run INDEXED BY run_level WHERE level > 0 AND level < 4"
		      " AND level = ?1");

	exposition_family(e, &waiting_runs);
	for (int level = 0; level < COMPACTION_LEVEL_LAST; level++) {
		const char name[] = { (char)('0' + level), '\0' };
		sqlite3_stmt *st = level == 0 ? fresh : above;

		cell_bind_int(st, 1, level == 0 ? COMPACTION_RUN_BYTES_LARGE : level);
		uint64_t runs = cell_next(cell, st) ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
		sqlite3_reset(st);
		exposition_add(e, runs, LABELS({ "level", slice_from(name) }));
	}
}

#define SUM_LABELS(sum)                                                                            \
	{ "bucket", (sum)->bucket },                                                               \
	{                                                                                          \
		"purpose", (sum)->purpose                                                          \
	}

static void write_month(struct exposition *e, struct cell *cell)
{
	struct usage_sum *sums;
	struct arena a;
	size_t n;

	arena_init(&a);
	usage_sums(&a, cell, usage_month(clock_wall_ms()), &sums, &n);
	if (n > CATALOG_BUCKETS_MAX)
		n = CATALOG_BUCKETS_MAX;
	exposition_family(e, &month);
	for (size_t i = 0; i < n; i++)
		for (enum meter_request k = 0; k < METER_REQUESTS; k++)
			exposition_add(e, sums[i].meter.requests[k],
				       LABELS(SUM_LABELS(&sums[i]),
					      { "operation", slice_from(meter_request_name(k)) }));
	exposition_family(e, &month_bytes);
	for (size_t i = 0; i < n; i++) {
		exposition_add(e, sums[i].meter.sent_bytes,
			       LABELS(SUM_LABELS(&sums[i]), { "direction", SLICE("sent") }));
		exposition_add(e, sums[i].meter.received_bytes,
			       LABELS(SUM_LABELS(&sums[i]), { "direction", SLICE("received") }));
	}
	arena_done(&a);
}

/* Counted anew when enough time has passed since it was counted, for what that took. */
static void write_catalog(struct control *c, struct exposition *e)
{
	struct cell *cell = leader_cell(c->leadership.leader);
	uint64_t now_us = clock_now_us();
	struct exposition kept;

	if (!cell)
		return;
	exposition_one(e, &catalog_bytes, cell_image_bytes(cell));
	exposition_one(e, &catalog_limit, CELL_RUN_BYTES_MAX);
	if (now_us >= c->numbers_again_us) { /* gauges: the same in both formats */
		buf_clear(&c->numbers);
		exposition_init(&kept, e->format, &c->numbers);
		write_rows(&kept, cell);
		write_levels(&kept, cell);
		write_waiting(&kept, cell);
		write_month(&kept, cell);
		c->numbers_again_us = now_us + CATALOG_NUMBERS_SHARE * (clock_now_us() - now_us);
	}
	buf_add_slice(e->out, buf_slice(&c->numbers));
}

/* --- the coordinator -------------------------------------------------------------------------- */

static const struct metric_row agents = { "hanse_control_agents", METRIC_GAUGE,
					  "Agents that have a session with this control.", NULL };
static const struct metric_row groups = { "hanse_control_groups", METRIC_GAUGE,
					  "Groups with members, in memory.", NULL };
static const struct metric_row calls = { "hanse_control_calls", METRIC_GAUGE,
					 "Calls of agents that wait for an answer.", NULL };

static const struct metric_row compactions = {
	"hanse_compaction_running_jobs", METRIC_GAUGE,
	"Compactions that agents are at: of neighbouring runs (merge), passes of one partition "
	"(keys).",
	NULL
};
static const struct metric_row orphans_ended = {
	"hanse_orphan_scan_last_timestamp_seconds", METRIC_GAUGE,
	"When the last scan for orphans came to its end, while this control leads.", NULL
};
static const struct metric_row orphans_listed = { "hanse_orphan_scan_listed_objects", METRIC_GAUGE,
						  "Objects that it listed.", NULL };
static const struct metric_row orphans_found = { "hanse_orphan_scan_found_objects", METRIC_GAUGE,
						 "Objects among these that the catalog did not "
						 "have: orphans, which are deleted, what may be "
						 "committed yet, and what nobody can tell of.",
						 NULL };

static void write_orphans(const struct orphan_pass *pass, struct exposition *e, uint64_t loop_ms)
{
	if (pass->ended_ms == 0)
		return;
	exposition_one(e, &orphans_ended,
		       ((uint64_t)clock_wall_ms() - (loop_ms - pass->ended_ms)) / 1000);
	exposition_one(e, &orphans_listed, (uint64_t)pass->listed);
	exposition_family(e, &orphans_found);
	exposition_add(e, (uint64_t)pass->counts[ORPHAN_FOR_GOOD],
		       LABELS({ "verdict", SLICE("orphan") }));
	exposition_add(e, (uint64_t)pass->counts[ORPHAN_PENDING],
		       LABELS({ "verdict", SLICE("pending") }));
	exposition_add(e, (uint64_t)pass->counts[ORPHAN_UNSURE],
		       LABELS({ "verdict", SLICE("unsure") }));
}

static const struct metric_row announced_files = {
	"hanse_announced_files", METRIC_GAUGE,
	"Data files that are announced: their PUT is under way.", NULL
};
static const struct metric_row early = {
	"hanse_early_commits_total", METRIC_COUNTER,
	"Commits of data files that were answered before their record was durable.", NULL
};
static const struct metric_row held = {
	"hanse_held_commits_total", METRIC_COUNTER,
	"Commits that waited for older files of the same partitions.", NULL
};
static const struct metric_row late = {
	"hanse_late_commits_total", METRIC_COUNTER,
	"Commits of announced files for which that took too long: they were answered when durable.",
	NULL
};
static const struct metric_row settled = {
	"hanse_settled_files_total", METRIC_COUNTER,
	"Announced data files of which an agent had to find out what became of them.", NULL
};

static void write_announced(struct control *c, const struct announced_numbers *n,
			    struct exposition *e)
{
	struct cell *cell = leader_cell(c->leadership.leader);

	if (cell)
		exposition_one(e, &announced_files, announced_count(cell));
	exposition_one(e, &early, leader_get_numbers(c->leadership.leader)->early);
	exposition_one(e, &held, n->held);
	exposition_one(e, &late, n->late);
	exposition_family(e, &settled);
	exposition_add(e, n->there, LABELS({ "found", SLICE("there") }));
	exposition_add(e, n->burnt, LABELS({ "found", SLICE("burnt") }));
}

void control_numbers_write(struct control *c, struct exposition *e)
{
	struct coordinator_status status;

	bucket_numbers_write(e, "control", c->buckets.list, c->buckets.count);
	leadership_numbers_write(e, "control", &c->leadership);
	if (!c->coordinator || !c->leadership.leader)
		return;
	coordinator_get_status(c->coordinator, &status);
	exposition_one(e, &agents, status.sessions);
	exposition_one(e, &groups, status.groups);
	exposition_one(e, &calls, status.calls);
	exposition_family(e, &compactions);
	exposition_add(e, status.merge_jobs, LABELS({ "kind", SLICE("merge") }));
	exposition_add(e, status.key_jobs, LABELS({ "kind", SLICE("keys") }));
	write_orphans(&status.orphans, e, loop_now_ms(c->loop));
	write_announced(c, &status.announced, e);
	write_catalog(c, e);
}
