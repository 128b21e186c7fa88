#include "streams/catalog/usage.h"

#include <assert.h>
#include <time.h>

#include "base/buf.h"

enum { FIRST_REQUEST_COLUMN = 4, FIRST_BYTES_COLUMN = FIRST_REQUEST_COLUMN + METER_REQUESTS };

int64_t usage_month(int64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm date;

	if (!gmtime_r(&seconds, &date))
		return 0;
	return (date.tm_year + INT64_C(1900)) * 100 + date.tm_mon + 1;
}

static uint64_t number(sqlite3_stmt *st, int column)
{
	int64_t value = sqlite3_column_int64(st, column);

	return value > 0 ? (uint64_t)value : 0;
}

static void take(struct arena *a, sqlite3_stmt *st, struct usage_sum *ret)
{
	*ret = (struct usage_sum) {
		.bucket = arena_copy(a, cell_column_text(st, 0)),
		.purpose = arena_copy(a, cell_column_text(st, 1)),
		.since_ms = sqlite3_column_int64(st, 2),
		.updated_ms = sqlite3_column_int64(st, 3),
		.meter.errors = number(st, FIRST_BYTES_COLUMN),
		.meter.sent_bytes = number(st, FIRST_BYTES_COLUMN + 1),
		.meter.received_bytes = number(st, FIRST_BYTES_COLUMN + 2),
		.traffic.produced_bytes = number(st, FIRST_BYTES_COLUMN + 3),
		.traffic.fetched_bytes = number(st, FIRST_BYTES_COLUMN + 4),
		.traffic.control_bytes = number(st, FIRST_BYTES_COLUMN + 5),
	};
	for (int i = 0; i < METER_REQUESTS; i++)
		ret->meter.requests[i] = number(st, FIRST_REQUEST_COLUMN + i);
}

void usage_sums(struct arena *a, struct cell *c, int64_t month, struct usage_sum **ret,
		size_t *ret_count)
{
	/* total() cannot overflow, and is exact up to USAGE_NUMBER_MAX. */
	sqlite3_stmt *st = cell_statement(
		c, "SELECT bucket, purpose, min(since_ms), max(updated_ms),"
		   " total(put), total(put_new), total(part), total(\"get\"), total(head),"
		   " total(list), total(\"delete\"), total(errors), total(sent_bytes),"
		   " total(received_bytes), total(produced_bytes), total(fetched_bytes),"
		   " total(control_bytes) FROM usage WHERE ?1 IN (0, month)"
		   " GROUP BY bucket, purpose ORDER BY bucket, purpose");
	struct buf sums;

	buf_init(&sums);
	cell_bind_int(st, 1, month);
	while (cell_next(c, st)) {
		struct usage_sum sum;
		take(a, st, &sum);
		buf_add(&sums, &sum, sizeof(sum));
	}
	*ret_count = sums.size / sizeof(**ret);
	*ret = arena_take_array(a, *ret_count, sizeof(**ret));
	if (sums.size)
		memcpy(*ret, sums.data, sums.size);
	buf_done(&sums);
}

void usage_stored(struct cell *c, struct usage_stored *ret)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT count(*), total(size) FROM file");
	bool is_there = cell_next(c, st);

	assert(is_there);
	*ret = (struct usage_stored) {
		.files = sqlite3_column_int64(st, 0),
		.bytes = sqlite3_column_int64(st, 1),
	};
	sqlite3_reset(st);
	st = cell_statement(c, "SELECT count(*) FROM partition");
	is_there = cell_next(c, st);
	assert(is_there);
	ret->partitions = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
}
