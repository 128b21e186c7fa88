#include "cells/cell_testing.h"
#include "cells/snapshot.h"

#include <string.h>

#include "base/memory.h"
#include "base/random.h"

/* Buckets of this test: objects by name. */
enum { OBJECTS_MAX = 256 };

struct shelf {
	struct object {
		char name[SNAPSHOT_CHUNK_NAME_BYTES];
		struct slice bytes;
	} objects[OBJECTS_MAX];
	size_t count;
};

static struct object *shelf_find(struct shelf *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->objects[i].name, name) == 0)
			return &s->objects[i];
	return NULL;
}

/* PUT the new chunks; returns how many. */
static size_t shelf_take(struct shelf *s, struct arena *a, const struct snapshot_manifest *m,
			 struct slice pages)
{
	size_t count = 0;

	for (size_t i = 0; i < m->chunk_count; i++) {
		if (!snapshot_is_new(m, i))
			continue;
		struct object *o = &s->objects[s->count++];
		assert_true(s->count <= OBJECTS_MAX);
		snapshot_chunk_name("main", &m->chunks[i], o->name);
		o->bytes = arena_copy(a, snapshot_chunk_bytes(pages, i));
		count++;
	}
	return count;
}

/* With hashes as another thread would have made them. */
static void plan(struct arena *a, struct snapshot_id id, uint64_t index, const struct cell *c,
		 const struct cell_image *image, const struct snapshot_manifest *previous,
		 struct snapshot_manifest *ret)
{
	size_t count = snapshot_chunk_count(image->pages.size);
	struct hash128 *hashes = arena_take_array(a, count, sizeof(*hashes));

	snapshot_hash(image->pages, hashes);
	snapshot_plan(a, id, index, c, image, hashes, previous, ret);
}

static enum err shelf_load(struct shelf *s, const struct snapshot_manifest *m, struct cell *c,
			   char why[CELL_WHY_BYTES])
{
	uint8_t *image = memory_take(m->image_bytes);
	char name[SNAPSHOT_CHUNK_NAME_BYTES];
	enum err err = OK;

	for (size_t i = 0; i < m->chunk_count && err == OK; i++) {
		snapshot_chunk_name("main", &m->chunks[i], name);
		struct object *o = shelf_find(s, name);
		assert_non_null(o);
		err = snapshot_place(m, i, o->bytes, image, why);
	}
	if (err == OK)
		err = snapshot_load(m, (struct slice) { image, m->image_bytes }, c, why);
	memory_free(image);
	return err;
}

static struct cell *new_big_cell(void)
{
	struct cell *c = cell_new("test");
	struct buf record;

	buf_init(&record);
	testing_schema(c, 1,
		       "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b BLOB);"
		       "CREATE INDEX t_a ON t(a)");
	testing_do(c, "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n LIMIT 2000)"
		      " INSERT INTO t SELECT i, i * 7, randomblob(1000) FROM n");
	cell_seal(c, 5, &record);
	buf_done(&record);
	return c;
}

static struct snapshot_id id_of(uint8_t number)
{
	struct snapshot_id id = { { number, 0xab } };

	return id;
}

static void change_and_seal(struct cell *c, const char *sql)
{
	struct buf record;

	buf_init(&record);
	testing_do(c, sql);
	cell_seal(c, 6, &record);
	buf_done(&record);
}

static void test_a_second_snapshot_writes_only_what_changed(void **state)
{
	struct cell *c = new_big_cell(), *restored = cell_new("test");
	struct snapshot_manifest first, second, decoded;
	static struct shelf shelf;
	struct snapshot_chunk *unused;
	char why[CELL_WHY_BYTES] = "";
	struct arena a;
	struct buf manifest;

	(void)state;
	arena_init(&a);
	buf_init(&manifest);
	struct cell_image image = cell_image(c, NULL);
	plan(&a, id_of(1), 17, c, &image, NULL, &first);
	assert_int_equal(shelf_take(&shelf, &a, &first, image.pages), first.chunk_count);
	assert_true(first.chunk_count > 20);
	cell_image_done(&image);

	change_and_seal(c, "UPDATE t SET b = x'01' || substr(b, 2) WHERE id = 1000");
	image = cell_image(c, NULL);
	plan(&a, id_of(2), 18, c, &image, &first, &second);
	size_t written = shelf_take(&shelf, &a, &second, image.pages);
	assert_true(written >= 1 && written <= 3);
	cell_image_done(&image);
	assert_int_equal(snapshot_unused(&a, &first, &second, &unused), written);
	assert_int_equal(snapshot_unused(&a, &second, &second, &unused), 0);

	snapshot_encode(&second, &manifest);
	assert_int_equal(snapshot_decode(&a, buf_slice(&manifest), &decoded, why), OK);
	assert_int_equal(decoded.journal_index, 18);
	assert_int_equal(decoded.state.sequence, 2);
	assert_int_equal(shelf_load(&shelf, &decoded, restored, why), OK);
	assert_true(hash128_equal(cell_hash(c), cell_hash(restored)));
	assert_int_equal(cell_state(restored).now_ms, 6);
	testing_same(cell_database(c), cell_database(restored), "SELECT * FROM t");

	/* The first one can be read as long as its chunks are there. */
	assert_int_equal(shelf_load(&shelf, &first, restored, why), OK);
	assert_false(hash128_equal(cell_hash(c), cell_hash(restored)));
	arena_done(&a);
	buf_done(&manifest);
	cell_free(c);
	cell_free(restored);
}

static void test_wrong_chunks_and_wrong_cells_are_refused(void **state)
{
	struct cell *c = new_big_cell(), *restored = cell_new("test"), *other = cell_new("other");
	struct snapshot_manifest m;
	static struct shelf shelf;
	char why[CELL_WHY_BYTES] = "";
	struct arena a;

	(void)state;
	arena_init(&a);
	struct cell_image image = cell_image(c, NULL);
	plan(&a, id_of(1), 17, c, &image, NULL, &m);
	shelf_take(&shelf, &a, &m, image.pages);
	cell_image_done(&image);

	assert_int_equal(shelf_load(&shelf, &m, other, why), ERR_INVALID);
	struct slice good = shelf.objects[3].bytes;
	shelf.objects[3].bytes = shelf.objects[4].bytes;
	assert_int_equal(shelf_load(&shelf, &m, restored, why), ERR_CORRUPT);
	shelf.objects[3].bytes = slice_part(good, 0, good.size - 1);
	assert_int_equal(shelf_load(&shelf, &m, restored, why), ERR_CORRUPT);
	shelf.objects[3].bytes = good;

	/* A page that was wrong before it was hashed: only the rows can tell. */
	uint8_t *page = (uint8_t *)(uintptr_t)good.data;
	page[good.size / 2] ^= 1;
	m.chunks[3].hash = hash_content(good);
	assert_int_equal(shelf_load(&shelf, &m, restored, why), ERR_CORRUPT);
	assert_int_equal(cell_state(restored).sequence, 0);
	arena_done(&a);
	cell_free(c);
	cell_free(restored);
	cell_free(other);
}

static void test_a_damaged_manifest_is_noticed(void **state)
{
	struct cell *c = new_big_cell();
	struct snapshot_manifest m, untouched = { .journal_index = 99 };
	char why[CELL_WHY_BYTES] = "";
	struct arena a;
	struct buf manifest;

	(void)state;
	arena_init(&a);
	buf_init(&manifest);
	struct cell_image image = cell_image(c, NULL);
	plan(&a, id_of(1), 17, c, &image, NULL, &m);
	cell_image_done(&image);
	snapshot_encode(&m, &manifest);
	for (size_t i = 0; i < manifest.size; i++) {
		manifest.data[i] ^= 0x41;
		assert_int_equal(snapshot_decode(&a, buf_slice(&manifest), &untouched, why),
				 ERR_CORRUPT);
		manifest.data[i] ^= 0x41;
		struct slice part = slice_part(buf_slice(&manifest), 0, i);
		assert_int_equal(snapshot_decode(&a, part, &untouched, why), ERR_CORRUPT);
	}
	assert_int_equal(untouched.journal_index, 99);
	buf_add_u8(&manifest, 0);
	assert_int_equal(snapshot_decode(&a, buf_slice(&manifest), &untouched, why), ERR_CORRUPT);
	arena_done(&a);
	buf_done(&manifest);
	cell_free(c);
}

static void test_chunk_names_say_who_wrote_them(void **state)
{
	struct snapshot_chunk chunk = { .written_by = { { 1, 2, 0xff } }, .number = 26 };
	char name[SNAPSHOT_CHUNK_NAME_BYTES];

	(void)state;
	snapshot_chunk_name("main", &chunk, name);
	assert_string_equal(name, "v1/j/main/chunk/0102ff00000000000000000000000000-0000001a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_second_snapshot_writes_only_what_changed),
		cmocka_unit_test(test_wrong_chunks_and_wrong_cells_are_refused),
		cmocka_unit_test(test_a_damaged_manifest_is_noticed),
		cmocka_unit_test(test_chunk_names_say_who_wrote_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
