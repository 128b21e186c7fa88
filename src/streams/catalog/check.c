#include "streams/catalog/check.h"

#include "base/buf.h"

/* Each gives a row for what is wrong: a text to begin with, and a number. */
static const char *const flaws[] = {
	"SELECT 'file ' || id || ' has another count of runs than', run_count FROM file"
	" WHERE run_count <> (SELECT count(*) FROM run WHERE run.file = file.id)",

	"SELECT 'file ' || id || ' is both dead and read, or neither; its runs:', run_count"
	" FROM file WHERE (run_count = 0) <> (dead_ms IS NOT NULL)",

	"SELECT 'run ' || id || ' is in a file that is not there:', file FROM run"
	" WHERE file NOT IN (SELECT id FROM file)",

	"SELECT 'run ' || run.id || ' ends behind the end of file', file.id FROM run"
	" JOIN file ON file.id = run.file WHERE run.position < 0 OR run.size <= 0"
	" OR run.position + run.size > file.size",

	"SELECT 'run ' || id || ' ends before it begins, at', base_offset FROM run"
	" WHERE last_offset < base_offset",

	"SELECT 'run ' || id || ' is of a partition that is not there:', partition FROM run"
	" WHERE partition NOT IN (SELECT id FROM partition)",

	"SELECT 'two runs of ' || topic.name || '-' || partition.number || ' hold offset',"
	" held.base_offset FROM (SELECT partition, base_offset, lag(last_offset) OVER"
	" (PARTITION BY partition ORDER BY last_offset) AS before FROM run) AS held"
	" JOIN partition ON partition.id = held.partition JOIN topic ON topic.id ="
	" partition.topic WHERE held.before >= held.base_offset",

	"SELECT 'a run of ' || topic.name || '-' || partition.number || ' goes on behind its"
	" high watermark,', partition.high_watermark FROM partition JOIN topic"
	" ON topic.id = partition.topic WHERE (SELECT max(last_offset) FROM run"
	" WHERE run.partition = partition.id) >= partition.high_watermark",

	"SELECT 'the log start of ' || topic.name || '-' || partition.number || ' lies behind its"
	" high watermark,', partition.high_watermark FROM partition JOIN topic"
	" ON topic.id = partition.topic"
	" WHERE partition.log_start_offset > partition.high_watermark",

	"SELECT topic.name || '-' || partition.number || ' has other bytes than its runs:',"
	" partition.bytes FROM partition JOIN topic ON topic.id = partition.topic"
	" WHERE topic.deleted_ms IS NULL AND partition.bytes <> (SELECT coalesce(sum(size), 0)"
	" FROM run WHERE run.partition = partition.id)",

	"SELECT topic.name || ' has another count of partitions than', topic.partition_count"
	" FROM topic WHERE topic.deleted_ms IS NULL AND topic.partition_count <>"
	" (SELECT count(*) FROM partition WHERE partition.topic = topic.id)",

	/* batches of producers do not say which offsets they have, so their files do not either */
	"SELECT 'two runs have the same bytes of file', held.file FROM (SELECT file, position,"
	" lag(position + size) OVER (PARTITION BY file ORDER BY position, size) AS before FROM run)"
	" AS held WHERE held.before > held.position",

	"SELECT 'the end of a transaction in ' || topic.name || '-' || partition.number || ' is at"
	" or behind its high watermark, at', marker.marker_offset FROM marker JOIN partition ON"
	" partition.id = marker.partition JOIN topic ON topic.id = partition.topic"
	" WHERE marker.marker_offset >= partition.high_watermark",

	"SELECT 'a run of ' || topic.name || '-' || partition.number || ' holds the offset of the"
	" end of a transaction that is in none,', marker.marker_offset FROM marker JOIN partition "
	"ON"
	" partition.id = marker.partition JOIN topic ON topic.id = partition.topic"
	" WHERE marker.is_in_run = 0 AND (SELECT base_offset FROM run WHERE run.partition ="
	" marker.partition AND run.last_offset >= marker.marker_offset ORDER BY run.last_offset"
	" LIMIT 1) <= marker.marker_offset",

	/* it would be given to another agent, which would use the name again */
	"SELECT 'file ' || id || ' is of an incarnation that was not granted yet:', incarnation"
	" FROM file WHERE incarnation >= (SELECT coalesce(max(next), 0) FROM counter WHERE name ="
	" 'incarnation')",

	"SELECT 'two agents have incarnation', incarnation FROM agent GROUP BY incarnation"
	" HAVING count(*) > 1",
};

static void add_flaw(struct arena *a, struct check_flaws *ret, struct slice text, int64_t number)
{
	if (ret->count++ >= CHECK_FLAWS_MAX)
		return;
	char *sentence = arena_format(a, "%.*s %lld", SLICE_ARG(text), (long long)number);
	ret->texts[ret->text_count++] = slice_from(sentence);
}

enum err check_catalog(struct arena *a, struct cell *c, struct check_flaws *ret)
{
	*ret = (struct check_flaws) {
		.texts = arena_take_array(a, CHECK_FLAWS_MAX, sizeof(*ret->texts)),
	};
	if (cell_verify(c))
		add_flaw(a, ret, SLICE("the catalog is not what its content hash says, of record"),
			 (int64_t)cell_state(c).sequence);
	for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
		sqlite3_stmt *st = cell_statement(c, flaws[i]);
		while (cell_next(c, st))
			add_flaw(a, ret, cell_column_text(st, 0), sqlite3_column_int64(st, 1));
		sqlite3_reset(st);
	}
	return OK;
}

/* --- objects -----------------------------------------------------------------------------------
 */

static bool has_row(struct cell *c, const char *sql, int64_t first)
{
	sqlite3_stmt *st = cell_statement(c, sql);

	cell_bind_int(st, 1, first);
	bool found = cell_next(c, st);
	sqlite3_reset(st);
	return found;
}

/* Nobody knows whether agents of this incarnation wrote more than this journal has. */
static bool life_is_unsure(struct cell *c, int64_t incarnation)
{
	return cell_schema_version(c, "streams") >= CHECK_UNSURE_VERSION &&
	       has_row(c, "SELECT 1 FROM unsure_life WHERE first <= ?1 AND last >= ?1",
		       incarnation);
}

static bool is_announced(struct cell *c, int64_t incarnation, int64_t sequence)
{
	if (cell_schema_version(c, "streams") < CHECK_ANNOUNCED_VERSION)
		return false;
	sqlite3_stmt *st =
		cell_statement(c,
			       "SELECT 1 FROM announced WHERE incarnation = ?1 AND sequence = ?2");
	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, sequence);
	bool found = cell_next(c, st);
	sqlite3_reset(st);
	return found;
}

enum check_object check_object(struct cell *c, int64_t incarnation, int64_t sequence)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT run_count FROM file WHERE incarnation = ?1"
					     " AND sequence = ?2");

	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, sequence);
	bool is_known = cell_next(c, st);
	int64_t run_count = is_known ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	if (is_known)
		return run_count > 0 ? CHECK_LIVE : CHECK_DEAD;
	if (is_announced(c, incarnation, sequence))
		return CHECK_PENDING;
	if (incarnation <= 0 ||
	    !has_row(c, "SELECT 1 FROM counter WHERE name = 'incarnation' AND next > ?1",
		     incarnation))
		return CHECK_NEWER;
	if (life_is_unsure(c, incarnation))
		return CHECK_UNSURE;
	if (has_row(c, "SELECT 1 FROM agent WHERE incarnation = ?1", incarnation))
		return CHECK_PENDING;
	return CHECK_ORPHAN;
}
