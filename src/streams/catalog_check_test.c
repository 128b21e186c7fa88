/* What `hanse fsck` finds in a catalog that contradicts itself: each flaw alone. */
#include "streams/catalog/check.h"

#include "streams/coordinator/books_testing.h"

static size_t flaw_count(struct books *b, const char *text)
{
	struct check_flaws flaws;
	size_t count = 0;

	assert_int_equal(check_catalog(&b->arena, b->cell, &flaws), OK);
	assert_int_equal(flaws.text_count, flaws.count);
	for (size_t i = 0; i < flaws.text_count; i++)
		count += strstr((const char *)flaws.texts[i].data, text) != NULL;
	return count;
}

#define MARKER                                                                                     \
	"INSERT INTO marker (partition, marker_offset, producer_id, epoch, is_commit,"             \
	" first_offset, stable_offset, written_ms) SELECT id, "

static void set_up(struct books *b)
{
	books_open(b);
	books_hello(b);
	struct uuid t = books_topic(b, "t", 2);
	for (int i = 0; i < 3; i++)
		(void)books_batch(b, (struct batch) { t, i % 2, .records = 5 });
}

static void test_a_sound_catalog_has_no_flaws(void **state)
{
	struct books b;

	(void)state;
	set_up(&b);
	assert_int_equal(flaw_count(&b, ""), 0);
	books_close(&b);
}

static void test_each_flaw_is_told(void **state)
{
	static const struct {
		const char *sql, *text;
	} cases[] = {
		{ "UPDATE file SET run_count = 2 WHERE sequence = 0", "another count of runs" },
		{ "UPDATE file SET dead_ms = 5 WHERE sequence = 0", "both dead and read" },
		{ "DELETE FROM file WHERE sequence = 0", "in a file that is not there" },
		{ "UPDATE file SET size = 10 WHERE sequence = 0", "behind the end of file" },
		{ "UPDATE run SET base_offset = last_offset + 1 WHERE id = 1", "before it begins" },
		{ "UPDATE run SET base_offset = 2 WHERE base_offset = 5", "two runs of t-0" },
		{ "UPDATE partition SET high_watermark = 9 WHERE number = 0", "high watermark" },
		{ "UPDATE partition SET log_start_offset = 11 WHERE number = 0", "the log start" },
		{ "UPDATE partition SET bytes = bytes + 1 WHERE number = 1", "other bytes" },
		{ "UPDATE topic SET partition_count = 3", "count of partitions" },
		{ "DELETE FROM partition WHERE number = 1", "a partition that is not there" },
		{ "UPDATE run SET file = (SELECT file FROM run WHERE base_offset = 0 AND partition "
		  "="
		  " (SELECT id FROM partition WHERE number = 0)) WHERE base_offset = 5",
		  "the same bytes of file" },
		{ MARKER "30, 9, 0, 1, 0, 0, 1 FROM partition WHERE number = 0", "at or behind" },
		{ MARKER "3, 9, 0, 1, 0, 0, 1 FROM partition WHERE number = 0",
		  "that is in none, 3" },
		{ "UPDATE counter SET next = 1 WHERE name = 'incarnation'", "file 1 is of an inc" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct books b;
		set_up(&b);
		books_do(&b, cases[i].sql);
		assert_int_equal(flaw_count(&b, cases[i].text), 1);
		books_close(&b);
	}
}

static void test_every_object_is_something(void **state)
{
	struct books b;

	(void)state;
	set_up(&b);
	int64_t life = b.incarnation;
	books_do(&b, "UPDATE file SET run_count = 0, dead_ms = 5 WHERE sequence = 1");
	assert_int_equal(check_object(b.cell, life, 0), CHECK_LIVE);
	assert_int_equal(check_object(b.cell, life, 1), CHECK_DEAD);
	assert_int_equal(check_object(b.cell, life, 77), CHECK_PENDING);
	assert_int_equal(check_object(b.cell, life + 1, 1), CHECK_NEWER);
	books_hello(&b);
	assert_int_equal(check_object(b.cell, life, 77), CHECK_ORPHAN);
	books_do(&b, "INSERT INTO unsure_life (first, last, since_ms) VALUES (1, 9, 1)");
	assert_int_equal(check_object(b.cell, life, 77), CHECK_UNSURE);
	assert_int_equal(check_object(b.cell, life, 0), CHECK_LIVE);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sound_catalog_has_no_flaws),
		cmocka_unit_test(test_each_flaw_is_told),
		cmocka_unit_test(test_every_object_is_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
