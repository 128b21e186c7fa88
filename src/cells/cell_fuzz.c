/* Arbitrary bytes as a record, as the changes of an otherwise right record, as a manifest, and as
 * an image.  Whatever is refused leaves the cell as it was.
 * seeds: test/corpus/cells */
#include <assert.h>

#include "base/arena.h"
#include "base/endian.h"
#include "cells/cell.h"
#include "cells/cell_record.h"
#include "cells/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cell_schema schema = {
	"fuzz", 1,
	"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b);CREATE TABLE u(x, y, z)"
};

static enum err add_rows(struct cell *c, void *unused)
{
	(void)unused;
	enum err err = cell_execute(c, cell_statement(c, "INSERT INTO t VALUES (1, 'a', 2),"
							 " (2, 'b', NULL), (-7, 'c', x'00')"));
	if (err)
		return err;
	return cell_execute(c, cell_statement(c, "INSERT INTO u VALUES (1, 2, 3), (4, 5, 6)"));
}

static struct cell *new_cell(void)
{
	struct cell *c = cell_new("fuzz");
	char why[CELL_WHY_BYTES];
	struct buf record;

	buf_init(&record);
	enum err err = cell_change_schema(c, &schema, why);
	assert(err == OK);
	err = cell_run(c, add_rows, NULL);
	assert(err == OK);
	cell_seal(c, 1, &record);
	buf_done(&record);
	return c;
}

/* Returns whether the cell is still what it was. */
static bool apply(struct cell *c, struct slice record)
{
	char why[CELL_WHY_BYTES] = "";
	struct cell_state before = cell_state(c);

	enum err err = cell_apply(c, record, why);
	struct cell_state after = cell_state(c);
	assert(cell_verify(c) == OK);
	if (err == OK)
		return false;
	assert(why[0] && before.sequence == after.sequence && before.now_ms == after.now_ms);
	assert(hash128_equal(before.hash, after.hash));
	return true;
}

/* The hash after is the hash before: only changes that cancel out are accepted. */
static bool apply_changes(struct cell *c, struct slice changes)
{
	struct cell_state state = cell_state(c);
	struct buf record;

	if (changes.size > CELL_RECORD_BYTES_MAX / 2)
		return true;
	state.sequence++;
	buf_init(&record);
	size_t start = cell_record_begin(&record, "fuzz", state);
	buf_add_slice(&record, changes);
	cell_record_finish(&record, start);
	bool same = apply(c, buf_slice(&record));
	buf_done(&record);
	return same;
}

static void decode_manifest(struct slice bytes)
{
	struct snapshot_manifest m;
	char why[CELL_WHY_BYTES] = "";
	struct arena a;
	struct buf again;

	arena_init(&a);
	buf_init(&again);
	if (snapshot_decode(&a, bytes, &m, why) == OK) {
		snapshot_encode(&m, &again);
		assert(slice_equal(buf_slice(&again), bytes));
	}
	buf_done(&again);
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cell *c;
	char why[CELL_WHY_BYTES];
	struct slice bytes = { data, size };
	bool same = true;

	if (size == 0)
		return 0;
	if (!c)
		c = new_cell();
	bytes = slice_part(bytes, 1, size);
	switch (data[0] % 4) {
	case 0:
		same = apply(c, bytes);
		break;
	case 1:
		same = apply_changes(c, bytes);
		break;
	case 2:
		decode_manifest(bytes);
		break;
	default:
		/* Any 128-bit sum but this one is wrong. */
		same = cell_load(c, bytes, cell_state(c), why) != OK;
	}
	if (!same) {
		cell_free(c);
		c = NULL;
	}
	return 0;
}
