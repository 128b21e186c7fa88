#include "streams/rebuild/plan_private.h"

#include <string.h>

#include "base/buf.h"
#include "cells/cell.h"
#include "streams/rebuild/write.h"

/* Rows gather in a buffer until it is known how many there are. */
static void *keep(struct arena *a, struct buf *rows, size_t size, size_t *ret_count)
{
	size_t count = rows->size / size;
	void *kept = arena_take_array(a, count + 1, size);

	if (count)
		memcpy(kept, rows->data, rows->size);
	buf_done(rows);
	*ret_count = count;
	return kept;
}

static void report_topics(struct arena *a, struct plan *p, struct plan_report *ret)
{
	sqlite3_stmt *st = plan_statement(
		p, "SELECT name, topic_id, partition_count, bytes, undecided, holes, is_unnamed,"
		   " is_renamed, doubts, r0, r1, r2, r3, r4, r5, r6 FROM topic ORDER BY name, "
		   "id");
	struct buf rows;

	buf_init(&rows);
	while (plan_next(p, st)) {
		struct plan_topic topic = {
			.name = arena_copy(a, cell_column_text(st, 0)),
			.partition_count = sqlite3_column_int(st, 2),
			.bytes = sqlite3_column_int64(st, 3),
			.undecided_records = sqlite3_column_int64(st, 4),
			.hole_offsets = sqlite3_column_int64(st, 5),
			.is_unnamed = sqlite3_column_int(st, 6) != 0,
			.is_renamed = sqlite3_column_int(st, 7) != 0,
			.doubtful_offsets = sqlite3_column_int64(st, 8),
		};
		memcpy(topic.topic_id.bytes, cell_column_blob(st, 1).data,
		       sizeof(topic.topic_id.bytes));
		for (int i = 0; i < PLACE_OUTCOMES; i++)
			topic.records[i] = sqlite3_column_int64(st, 9 + i);
		buf_add(&rows, &topic, sizeof(topic));
	}
	sqlite3_reset(st);
	ret->topics = keep(a, &rows, sizeof(struct plan_topic), &ret->topic_count);
}

static void report_bad_files(struct arena *a, struct plan *p, struct plan_report *ret)
{
	sqlite3_stmt *st = plan_statement(
		p, "SELECT incarnation, sequence, why FROM file WHERE state = 2 UNION ALL"
		   " SELECT incarnation, sequence, (SELECT count(*) || ' of its ' || (SELECT"
		   " count(*) FROM batch WHERE file = file.id) || ' batches are damaged' FROM batch"
		   " WHERE file = file.id AND is_damaged = 1) FROM file WHERE state <> 2 AND id IN"
		   " (SELECT file FROM batch WHERE is_damaged = 1) UNION ALL"
		   " SELECT incarnation, sequence, records || ' of its records were left out:"
		   " compaction by key may have left them out before' FROM out_left JOIN file"
		   " ON file.id = out_left.file ORDER BY 1, 2");
	struct buf rows;

	buf_init(&rows);
	while (plan_next(p, st)) {
		struct plan_bad_file file = {
			.incarnation = sqlite3_column_int64(st, 0),
			.sequence = sqlite3_column_int64(st, 1),
			.why = arena_copy(a, cell_column_text(st, 2)),
		};
		buf_add(&rows, &file, sizeof(file));
	}
	sqlite3_reset(st);
	ret->bad_files = keep(a, &rows, sizeof(struct plan_bad_file), &ret->bad_count);
}

enum err plan_report(struct arena *a, struct plan *p, struct plan_report *ret)
{
	*ret = (struct plan_report) {
		.file_count = plan_number(p, "SELECT count(*) FROM file"),
		.used_count = plan_number(p, "SELECT count(DISTINCT file) FROM out_run"),
		.partition_count = plan_number(p, "SELECT count(*) FROM out_partition"),
		.run_count = plan_number(p, "SELECT count(*) FROM out_run"),
		.producer_count = plan_number(p, "SELECT count(*) FROM out_producer"),
		.transaction_count =
			plan_number(p, "SELECT count(*) FROM out_marker WHERE is_in_run = 0"),
		.next_incarnation = write_next_incarnation(p),
		.next_producer_id = write_next_producer_id(p),
	};
	report_topics(a, p, ret);
	report_bad_files(a, p, ret);
	return p->err;
}
