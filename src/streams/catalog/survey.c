#include "streams/catalog/survey.h"

#include "base/buf.h"

/* Rows gather in a buffer until it is known how many there are. */
static void *keep(struct arena *a, struct buf *rows, size_t row_bytes, size_t *ret_count)
{
	size_t count = rows->size / row_bytes;
	void *kept = arena_take_array(a, count + 1, row_bytes);

	if (count)
		memcpy(kept, rows->data, rows->size);
	*ret_count = count;
	buf_done(rows);
	return kept;
}

static void take_topics(struct arena *a, struct cell *c, struct survey *ret)
{
	sqlite3_stmt *st = cell_statement(
		c, "SELECT topic.name, topic.partition_count,"
		   " sum(partition.high_watermark - partition.log_start_offset),"
		   " sum(partition.bytes) FROM topic JOIN partition ON partition.topic = topic.id"
		   " WHERE topic.deleted_ms IS NULL GROUP BY topic.id ORDER BY topic.name");
	struct buf rows;

	buf_init(&rows);
	while (cell_next(c, st)) {
		struct survey_topic topic = {
			.name = arena_copy(a, cell_column_text(st, 0)),
			.partition_count = sqlite3_column_int(st, 1),
			.record_count = sqlite3_column_int64(st, 2),
			.bytes = sqlite3_column_int64(st, 3),
		};
		buf_add(&rows, &topic, sizeof(topic));
		ret->partition_count += topic.partition_count;
		ret->record_count += topic.record_count;
	}
	sqlite3_reset(st);
	ret->topics = keep(a, &rows, sizeof(struct survey_topic), &ret->topic_count);
}

static void take_offsets(struct arena *a, struct cell *c, int64_t row, struct survey_group *group)
{
	sqlite3_stmt *st = cell_statement(
		c, "SELECT topic.name, group_offset.partition, group_offset.committed_offset,"
		   " partition.high_watermark FROM group_offset"
		   " JOIN topic ON topic.id = group_offset.topic"
		   " JOIN partition ON partition.topic = topic.id"
		   " AND partition.number = group_offset.partition"
		   " WHERE group_offset.consumer_group = ?1 AND topic.deleted_ms IS NULL"
		   " ORDER BY topic.name, group_offset.partition");
	struct buf rows;

	buf_init(&rows);
	cell_bind_int(st, 1, row);
	while (cell_next(c, st)) {
		struct survey_offset offset = {
			.topic = arena_copy(a, cell_column_text(st, 0)),
			.partition = sqlite3_column_int(st, 1),
			.committed_offset = sqlite3_column_int64(st, 2),
			.next_offset = sqlite3_column_int64(st, 3),
		};
		buf_add(&rows, &offset, sizeof(offset));
	}
	sqlite3_reset(st);
	group->offsets = keep(a, &rows, sizeof(struct survey_offset), &group->offset_count);
}

static void take_groups(struct arena *a, struct cell *c, struct survey *ret)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT id, name FROM consumer_group"
					     " WHERE deleted_ms IS NULL ORDER BY name");
	struct buf rows;

	buf_init(&rows);
	while (cell_next(c, st)) {
		int64_t row = sqlite3_column_int64(st, 0);
		struct survey_group group = { .name = arena_copy(a, cell_column_text(st, 1)) };
		take_offsets(a, c, row, &group);
		buf_add(&rows, &group, sizeof(group));
	}
	sqlite3_reset(st);
	ret->groups = keep(a, &rows, sizeof(struct survey_group), &ret->group_count);
}

static void take_files(struct arena *a, struct cell *c, struct survey *ret)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT id, incarnation, sequence, size FROM file"
					     " WHERE run_count > 0 ORDER BY id");
	struct buf rows;

	buf_init(&rows);
	while (cell_next(c, st)) {
		struct survey_file file = {
			.row = sqlite3_column_int64(st, 0),
			.incarnation = sqlite3_column_int64(st, 1),
			.sequence = sqlite3_column_int64(st, 2),
			.size = sqlite3_column_int64(st, 3),
		};
		buf_add(&rows, &file, sizeof(file));
		ret->file_bytes += file.size;
	}
	sqlite3_reset(st);
	ret->files = keep(a, &rows, sizeof(struct survey_file), &ret->file_count);
}

/* The partition whose runs are being looked at, and how far they reach. */
struct walk {
	int64_t row, high_watermark;
	int64_t next; /* the first offset that no run was seen to hold */
	struct survey_gap gap;
};

static void add_gap(struct walk *w, int64_t end, struct buf *gaps)
{
	if (w->next >= end)
		return;
	w->gap.first_offset = w->next;
	w->gap.last_offset = end - 1;
	buf_add(gaps, &w->gap, sizeof(w->gap));
}

/* A marker holds its offset without a data file, until compaction has written it into one. */
#define HELD                                                                                       \
	"(SELECT partition, base_offset, last_offset FROM run"                                     \
	" UNION ALL SELECT partition, marker_offset, marker_offset FROM marker WHERE is_in_run = " \
	"0)"

static void take_gaps(struct arena *a, struct cell *c, struct survey *ret)
{
	sqlite3_stmt *st = cell_statement(
		c, "SELECT partition.id, topic.name, partition.number,"
		   " partition.log_start_offset, partition.high_watermark, held.base_offset,"
		   " held.last_offset FROM partition JOIN topic ON topic.id = partition.topic"
		   " LEFT JOIN " HELD " AS held ON held.partition = partition.id"
		   " WHERE topic.deleted_ms IS NULL ORDER BY partition.id, held.last_offset");
	struct walk w = { 0 };
	struct buf gaps;

	buf_init(&gaps);
	while (cell_next(c, st)) {
		if (sqlite3_column_int64(st, 0) != w.row) {
			add_gap(&w, w.high_watermark, &gaps);
			w = (struct walk) {
				.row = sqlite3_column_int64(st, 0),
				.next = sqlite3_column_int64(st, 3),
				.high_watermark = sqlite3_column_int64(st, 4),
				.gap = { .topic = arena_copy(a, cell_column_text(st, 1)),
					 .partition = sqlite3_column_int(st, 2) },
			};
		}
		if (sqlite3_column_type(st, 5) == SQLITE_NULL)
			continue;
		add_gap(&w, sqlite3_column_int64(st, 5), &gaps);
		w.next = sqlite3_column_int64(st, 6) + 1;
	}
	add_gap(&w, w.high_watermark, &gaps);
	sqlite3_reset(st);
	ret->gaps = keep(a, &gaps, sizeof(struct survey_gap), &ret->gap_count);
}

static void take_incarnation(struct cell *c, struct survey *ret)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT next FROM counter WHERE name = 'incarnation'");

	if (cell_next(c, st))
		ret->next_incarnation = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
}

enum err survey_take(struct arena *a, struct cell *c, struct survey *ret)
{
	int version = cell_schema_version(c, catalog_schema[0].name);

	*ret = (struct survey) { 0 };
	if (version > catalog_schema[catalog_schema_count - 1].version)
		return ERR_UNSUPPORTED;
	if (version < catalog_schema[0].version)
		return ERR_NOT_FOUND;
	take_topics(a, c, ret);
	take_groups(a, c, ret);
	take_files(a, c, ret);
	take_gaps(a, c, ret);
	take_incarnation(c, ret);
	return OK;
}

enum err survey_runs(struct arena *a, struct cell *c, int64_t file_row, struct survey_run **ret,
		     size_t *ret_count)
{
	sqlite3_stmt *st = cell_statement(
		c, "SELECT topic.name, topic.topic_id, partition.number, run.base_offset,"
		   " run.last_offset, run.position, run.size FROM run"
		   " JOIN partition ON partition.id = run.partition"
		   " JOIN topic ON topic.id = partition.topic"
		   " WHERE run.file = ?1 AND topic.deleted_ms IS NULL ORDER BY run.position");
	struct buf rows;
	enum err err = OK;

	buf_init(&rows);
	cell_bind_int(st, 1, file_row);
	while (!err && cell_next(c, st)) {
		struct slice topic_id = cell_column_blob(st, 1);
		struct survey_run run = {
			.topic = arena_copy(a, cell_column_text(st, 0)),
			.partition = sqlite3_column_int(st, 2),
			.base_offset = sqlite3_column_int64(st, 3),
			.last_offset = sqlite3_column_int64(st, 4),
			.position = sqlite3_column_int64(st, 5),
			.size = sqlite3_column_int64(st, 6),
		};
		if (topic_id.size != sizeof(run.topic_id.bytes))
			err = ERR_CORRUPT;
		else
			memcpy(run.topic_id.bytes, topic_id.data, topic_id.size);
		buf_add(&rows, &run, sizeof(run));
	}
	sqlite3_reset(st);
	*ret = keep(a, &rows, sizeof(**ret), ret_count);
	return err;
}
