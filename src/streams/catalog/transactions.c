#include "streams/catalog/transactions.h"

#include <string.h>

#include "base/buf.h"

int64_t catalog_last_stable_offset(struct cell *c, const struct catalog_partition *partition)
{
	sqlite3_stmt *st =
		cell_statement(c, "SELECT first_offset FROM open_transaction WHERE partition = ?1"
				  " ORDER BY first_offset LIMIT 1");
	int64_t offset = partition->high_watermark;

	cell_bind_int(st, 1, partition->id);
	if (cell_next(c, st))
		offset = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return offset > partition->log_start_offset ? offset : partition->log_start_offset;
}

#define MARKER_COLUMNS                                                                             \
	"SELECT marker_offset, producer_id, epoch, is_commit, first_offset, written_ms,"           \
	" stable_offset FROM marker "

static struct catalog_marker read_marker(sqlite3_stmt *st)
{
	return (struct catalog_marker) {
		.offset = sqlite3_column_int64(st, 0),
		.producer_id = sqlite3_column_int64(st, 1),
		.epoch = (int16_t)sqlite3_column_int(st, 2),
		.is_commit = sqlite3_column_int(st, 3) != 0,
		.first_offset = sqlite3_column_int64(st, 4),
		.written_ms = sqlite3_column_int64(st, 5),
	};
}

/* Rows gather in a buffer until it is known how many there are. */
static struct catalog_marker *keep(struct arena *a, struct buf *rows, size_t *ret_count)
{
	size_t count = rows->size / sizeof(struct catalog_marker);
	struct catalog_marker *kept = arena_take_array(a, count + 1, sizeof(*kept));

	if (count)
		memcpy(kept, rows->data, rows->size);
	buf_done(rows);
	*ret_count = count;
	return kept;
}

enum err catalog_markers(struct arena *a, struct cell *c, int64_t partition, int64_t offset,
			 size_t count_max, struct catalog_marker **ret, size_t *ret_count)
{
	sqlite3_stmt *st =
		cell_statement(c, MARKER_COLUMNS "WHERE partition = ?1 AND marker_offset >= ?2"
						 " AND is_in_run = 0 ORDER BY marker_offset");
	struct buf rows;

	buf_init(&rows);
	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, offset);
	for (size_t i = 0; i < count_max && cell_next(c, st); i++) {
		struct catalog_marker marker = read_marker(st);
		buf_add(&rows, &marker, sizeof(marker));
	}
	sqlite3_reset(st);
	*ret = keep(a, &rows, ret_count);
	return OK;
}

/* A transaction whose marker comes after one at which everything before `end` was decided has
 * nothing before `end`. */
enum err catalog_aborted(struct arena *a, struct cell *c, int64_t partition, int64_t offset,
			 int64_t end, struct catalog_marker **ret, size_t *ret_count)
{
	sqlite3_stmt *st =
		cell_statement(c, MARKER_COLUMNS "WHERE partition = ?1 AND marker_offset >= ?2 AND"
						 " is_commit = 0 ORDER BY marker_offset");
	bool is_decided = false;
	struct buf rows;

	buf_init(&rows);
	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, offset);
	while (!is_decided && cell_next(c, st)) {
		struct catalog_marker marker = read_marker(st);
		is_decided = sqlite3_column_int64(st, 6) >= end;
		if (marker.first_offset < end)
			buf_add(&rows, &marker, sizeof(marker));
		if (rows.size > CATALOG_ABORTED_PER_READ_MAX * sizeof(marker)) {
			sqlite3_reset(st);
			buf_done(&rows);
			return ERR_FULL;
		}
	}
	sqlite3_reset(st);
	*ret = keep(a, &rows, ret_count);
	return OK;
}
