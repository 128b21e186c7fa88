/* What a cell costs: transactions, records and replay, in rows a second.
 *
 *	cell_bench [ROWS]
 *
 * A row has a 23-byte key with a unique index and three values of together about 100 bytes, as in
 * the measurements that led to the recorder. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/endian.h"
#include "cells/cell.h"

static const struct cell_schema schema = { "bench", 1,
					   "CREATE TABLE t(key BLOB NOT NULL, a INTEGER, b INTEGER,"
					   " c BLOB); CREATE UNIQUE INDEX t_key ON t(key)" };

struct batch {
	uint64_t first, count;
	bool is_update;
};

static enum err write_batch(struct cell *c, void *argument)
{
	const struct batch *b = argument;
	uint8_t key[23] = "partition-key--", value[90] = "value";

	for (uint64_t i = b->first; i < b->first + b->count; i++) {
		const char *sql = b->is_update ? "UPDATE t SET b = ?3, c = ?4 WHERE key = ?1"
					       : "INSERT INTO t VALUES (?1, ?2, ?3, ?4)";
		sqlite3_stmt *s = cell_statement(c, sql);
		put_u64(key + 15, i * 0x9e3779b97f4a7c15u);
		put_u64(value + 20, i + b->is_update);
		cell_bind_blob(s, 1, (struct slice) { key, sizeof(key) });
		if (!b->is_update)
			cell_bind_int(s, 2, (int64_t)i);
		cell_bind_int(s, 3, (int64_t)(i + b->is_update));
		cell_bind_blob(s, 4, (struct slice) { value, sizeof(value) });
		enum err err = cell_execute(c, s);
		if (err)
			return err;
	}
	return OK;
}

static void report(const char *what, uint64_t per, uint64_t rows, uint64_t us, size_t bytes)
{
	printf("%-8s %6llu rows at once %9.0f rows/s %6.0f bytes/row\n", what,
	       (unsigned long long)per, (double)rows * 1e6 / (double)us,
	       (double)bytes / (double)rows);
}

/* One transaction and one record for each `per` rows; then the follower replays them. */
static void measure(uint64_t rows, uint64_t per)
{
	struct cell *leader = cell_new("bench"), *follower = cell_new("bench");
	char why[CELL_WHY_BYTES];
	struct buf records;

	buf_init(&records);
	enum err err = cell_change_schema(leader, &schema, why);
	assert(err == OK);
	for (int round = 0; round < 2; round++) {
		uint64_t start = clock_now_us();
		size_t bytes = records.size;
		for (uint64_t i = 0; i < rows; i += per) {
			struct batch b = { i, per, round == 1 };
			err = cell_run(leader, write_batch, &b);
			assert(err == OK);
			cell_seal(leader, i, &records);
		}
		report(round ? "update" : "insert", per, rows, clock_now_us() - start,
		       records.size - bytes);
	}

	uint64_t start = clock_now_us();
	for (struct slice rest = buf_slice(&records); rest.size > 0;) {
		struct cell_record_header header;
		err = cell_record_read(rest, &header, why);
		assert(err == OK);
		err = cell_apply(follower, slice_part(rest, 0, header.record_bytes), why);
		assert(err == OK);
		rest = slice_part(rest, header.record_bytes, rest.size);
	}
	report("apply", per, 2 * rows, clock_now_us() - start, records.size);

	start = clock_now_us();
	err = cell_verify(leader);
	assert(err == OK);
	uint64_t verified = clock_now_us();
	struct cell_image image = cell_image(leader, NULL);
	uint64_t imaged = clock_now_us();
	err = cell_load(follower, image.pages, image.state, why);
	assert(err == OK);
	printf("%zu MB: verify %llu ms, image %llu ms, load %llu ms\n", image.pages.size >> 20,
	       (unsigned long long)(verified - start) / 1000,
	       (unsigned long long)(imaged - verified) / 1000,
	       (unsigned long long)(clock_now_us() - imaged) / 1000);
	cell_image_done(&image);
	buf_done(&records);
	cell_free(leader);
	cell_free(follower);
}

int main(int count, char **words)
{
	uint64_t rows = count > 1 ? strtoull(words[1], NULL, 10) : 100000;

	for (uint64_t per = 1; per <= 10000 && per <= rows; per *= 100)
		measure(rows - rows % per, per);
	return 0;
}
