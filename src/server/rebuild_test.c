/* A rebuild begins a journal only where nothing is left of one. */
#include "server/rebuild.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "buckets/bucket_ask.h"
#include "cells/cluster.h"
#include "cells/journal_format.h"

#define EPOCH "00000000000000030000000000000abc"

enum { NOW_MS = 1800000000, MARKS = 1200 }; /* more than a page of a list */

struct rig {
	struct loop *loop;
	struct bucket *bucket, *journal;
	struct rebuild_config config;
	struct rebuild_report report;
	struct arena arena;
	char why[REBUILD_WHY_BYTES];
};

static void put(struct rig *r, struct bucket *b, const char *key, struct slice body)
{
	assert_int_equal(bucket_ask_put(r->loop, b, slice_from(key), body), OK);
}

static void rig_open(struct rig *r)
{
	struct cluster cluster = { .id = { 7 } };
	char why[TASK_WHY_BYTES];
	struct buf body;

	memset(r, 0, sizeof(*r));
	arena_init(&r->arena);
	r->loop = loop_new(0);
	assert_int_equal(bucket_open("memory:", &r->bucket, why), OK);
	assert_int_equal(bucket_open("memory:", &r->journal, why), OK);
	buf_init(&body);
	cluster_encode(&cluster, &body);
	put(r, r->bucket, CLUSTER_KEY, buf_slice(&body));
	put(r, r->journal, CLUSTER_KEY, buf_slice(&body));
	buf_done(&body);
	r->config = (struct rebuild_config) {
		.journals = &r->journal,
		.journal_count = 1,
		.bucket = r->bucket,
		.now_ms = NOW_MS,
	};
}

static void rig_close(struct rig *r)
{
	bucket_close(r->bucket);
	bucket_close(r->journal);
	loop_free(r->loop);
	arena_done(&r->arena);
}

static enum err rebuild(struct rig *r)
{
	return rebuild_run(&r->arena, &r->config, &r->report, r->why);
}

static size_t object_count(struct rig *r)
{
	struct slice *names;
	size_t count;
	bool more;

	assert_int_equal(bucket_ask_list(r->loop, r->journal, &r->arena, SLICE(""), SLICE(""),
					 &names, &count, &more),
			 OK);
	return count;
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_what_is_left_of_a_journal_is_never_written_beside(void **state)
{
	const char *const left[] = {
		"v1/j/main/snap/0000000000000009-00112233445566778899aabbccddeeff",
		"v1/j/main/chunk/00112233445566778899aabbccddeeff-00000000",
		"v1/j/main/e/" EPOCH "/s",
		"v1/j/main/e/" EPOCH "/000000000/001",
		"v1/j/main/e/" EPOCH "/c/000000000/001",
		"v1/j/main/e/" EPOCH "/at/000000000001",
		"v1/j/main/something-newer",
	};
	struct rig r;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(left) / sizeof(left[0]); i++) {
		rig_open(&r);
		r.config.is_dry = i % 2;
		put(&r, r.journal, left[i / 2], SLICE("x"));
		assert_int_equal(rebuild(&r), ERR_EXISTS);
		assert_non_null(strstr(r.why, left[i / 2]));
		assert_int_equal(object_count(&r), 2);
		rig_close(&r);
	}
}

static void test_it_is_found_behind_the_first_page_of_a_list(void **state)
{
	char key[128];
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < MARKS; i++) {
		snprintf(key, sizeof(key), "v1/j/main/e/%032x/fence", i + 1);
		put(&r, r.journal, key, SLICE("x"));
	}
	put(&r, r.journal, "v1/j/main/snap/0000000000000009-00112233445566778899aabbccddeeff",
	    SLICE("x"));
	assert_int_equal(rebuild(&r), ERR_EXISTS);
	rig_close(&r);
}

static void put_journal_object(struct rig *r, enum journal_object_kind kind, struct epoch epoch,
			       const char *key)
{
	struct journal_object object = { .kind = kind, .epoch = epoch };
	struct blob *body = journal_object_encode(&object);

	journal_object_seal(body);
	put(r, r->journal, key, blob_slice(body));
	blob_unref(&body);
}

/* Of who ran for a journal, and never led it; another journal is not this one. */
static void test_marks_and_fences_may_stay(void **state)
{
	const struct epoch first = { 3, 0xabc }, second = { 4, 0xdef };
	char key[JOURNAL_KEY_BYTES];
	struct rig r;

	(void)state;
	rig_open(&r);
	journal_key_mark(key, "main", first, JOURNAL_RAW);
	put_journal_object(&r, JOURNAL_OBJECT_MARK, first, key);
	journal_key_mark(key, "main", second, JOURNAL_CAS);
	put_journal_object(&r, JOURNAL_OBJECT_MARK, second, key);
	journal_key_fence(key, "main", first);
	put_journal_object(&r, JOURNAL_OBJECT_FENCE, first, key);
	put(&r, r.journal, "v1/j/realm/chunk/00112233445566778899aabbccddeeff-00000000",
	    SLICE("x"));
	assert_int_equal(rebuild(&r), OK);
	assert_true(r.report.is_written);
	rig_close(&r);
}

static void test_an_empty_journal_is_begun_once(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(rebuild(&r), OK);
	assert_true(r.report.is_written);
	assert_int_equal(rebuild(&r), ERR_EXISTS);
	rig_close(&r);
}

/* Also v1/cluster went, and the bucket is one that cannot create if absent, as S3 stores are by
 * default. */
static void test_an_empty_bucket_of_either_class_is_begun(void **state)
{
	static const char *const urls[] = { "memory:?class=raw", "memory:?class=cas" };
	char why[TASK_WHY_BYTES];
	struct rig r;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		rig_open(&r);
		bucket_close(r.journal);
		assert_int_equal(bucket_open(urls[i], &r.journal, why), OK);
		assert_int_equal(rebuild(&r), OK);
		assert_true(r.report.is_written);
		assert_int_equal(rebuild(&r), ERR_EXISTS);
		rig_close(&r);
	}
}

/* Whatever it is: names that are given afterwards have to be above it, and yet be names. */
static void test_a_name_that_was_never_given_stops_it(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	struct rig r;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		rig_open(&r);
		data_file_key(key, REBUILD_INCARNATION_MAX >> i, 1);
		put(&r, r.bucket, key, SLICE("no data file"));
		assert_int_equal(rebuild(&r), i ? OK : ERR_INVALID);
		if (i == 0)
			assert_non_null(strstr(r.why, "0800000000000000"));
		rig_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_left_of_a_journal_is_never_written_beside),
		cmocka_unit_test(test_it_is_found_behind_the_first_page_of_a_list),
		cmocka_unit_test(test_marks_and_fences_may_stay),
		cmocka_unit_test(test_an_empty_journal_is_begun_once),
		cmocka_unit_test(test_an_empty_bucket_of_either_class_is_begun),
		cmocka_unit_test(test_a_name_that_was_never_given_stops_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
