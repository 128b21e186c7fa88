#include "wire/taildrop.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/text.h"

static void expect_name(const char *path, const char *name)
{
	struct arena a;
	struct slice found;
	const char *why;

	arena_init(&a);
	assert_int_equal(drop_name_decode(&a, slice_from(path), &found, &why), OK);
	assert_true(slice_equal(found, slice_from(name)));
	arena_done(&a);
}

static void test_names_of_all_languages_and_folders_are_taken(void **state)
{
	(void)state;
	expect_name("/report.pdf", "report.pdf");
	expect_name("report%20of%20may.pdf", "report of may.pdf");
	expect_name("/photos/2026/a.jpg", "photos/2026/a.jpg");
	expect_name("/photos%2fa.jpg", "photos/a.jpg");
	expect_name("/%EC%84%9C%EC%9A%B8.txt", "\xec\x84\x9c\xec\x9a\xb8.txt");
	expect_name("/100%25.txt", "100%.txt");
	expect_name("/a\\b:c*?.txt", "a\\b:c*?.txt");
}

static void test_hostile_names_are_refused_with_a_reason(void **state)
{
	static const char *const paths[] = {
		"/",	       "",	   "//etc/passwd", "/../x",	  "/a/../b",
		"/a/./b",      "/a//b",	   "/a/",	   "/%2e%2e/x",	  "/a%00b",
		"/a%0ab",      "/a%7fb",   "/%ff",	   "/%c0%af",	  "/%ed%a0%80",
		"/x.partial",  "/%",	   "/%4",	   "/%zz",	  "/ a",
		"/a%20",       "/a/%20/b", "/x.deleted",   "/%e2%80%ae3", "/%c2%80",
		"/%2e%2e%2fx",
	};
	char long_path[3000];
	struct arena a;
	struct slice found;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const char *why = NULL;
		assert_int_equal(drop_name_decode(&a, slice_from(paths[i]), &found, &why),
				 ERR_INVALID);
		assert_non_null(why);
	}
	memset(long_path, 'a', sizeof(long_path));
	const char *why;
	assert_int_equal(drop_name_decode(&a, (struct slice) { (uint8_t *)long_path, 256 }, &found,
					  &why),
			 ERR_TOO_BIG);
	assert_int_equal(drop_name_decode(&a, (struct slice) { (uint8_t *)long_path, 255 }, &found,
					  &why),
			 OK);
	for (size_t i = 1; i < sizeof(long_path); i += 2)
		long_path[i] = '/';
	assert_int_equal(drop_name_decode(&a, (struct slice) { (uint8_t *)long_path, 201 }, &found,
					  &why),
			 ERR_TOO_BIG);
	arena_done(&a);
}

static void test_names_are_encoded_and_numbered(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	drop_name_encode(SLICE("a b/c%.txt"), true, &b);
	drop_name_encode(SLICE("|x/y"), false, &b);
	assert_true(slice_equal(buf_slice(&b), SLICE("a%20b/c%25.txt%7Cx%2Fy")));
	buf_clear(&b);
	drop_name_numbered(SLICE("dir.d/report.tar.gz"), 1, &b);
	drop_name_numbered(SLICE("|dir.d/file"), 2, &b);
	drop_name_numbered(SLICE(".rc"), 3, &b);
	assert_true(
		slice_equal(buf_slice(&b), SLICE("dir.d/report.tar (1).gz|dir.d/file (2).rc (3)")));
	buf_clear(&b);
	drop_name_for_disk(SLICE(".ssh/.x/a.b"), false, &b);
	drop_name_for_disk(SLICE("|.ssh/.x"), true, &b);
	assert_true(slice_equal(buf_slice(&b), SLICE("_ssh/_x/a.b|.ssh/.x")));
	buf_done(&b);
}

static void test_ranges_of_both_kinds_are_read(void **state)
{
	static const char *const bad[] = {
		"",	     "bytes=",	    "bytes=-",
		"bytes=1",   "bytes=1-2",   "byte=1-",
		"bytes=-1-", "bytes=1-,2-", "bytes=99999999999999999999-"
	};
	static const char *const bad_content[] = { "bytes */5", "bytes 3-2/9", "bytes 0-4/4",
						   "bytes 0-4", "bytes=0-4/5", "bytes 0-4/x" };
	struct drop_range r;

	(void)state;
	assert_int_equal(drop_range_parse(SLICE("bytes=65536-"), &r), OK);
	assert_int_equal(r.offset, 65536);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(drop_range_parse(slice_from(bad[i]), &r), ERR_INVALID);
	assert_int_equal(drop_content_range_parse(SLICE("bytes 5-9/10"), &r), OK);
	assert_true(r.offset == 5 && r.end == 10 && r.total == 10);
	assert_int_equal(drop_content_range_parse(SLICE("bytes 0-4/*"), &r), OK);
	assert_true(r.end == 5 && r.total == 0);
	for (size_t i = 0; i < sizeof(bad_content) / sizeof(bad_content[0]); i++)
		assert_int_equal(drop_content_range_parse(slice_from(bad_content[i]), &r),
				 ERR_INVALID);
}

static void test_blocks_are_written_and_read_one_by_one(void **state)
{
	struct drop_block block = { .size = 65536 }, found;
	struct buf text;
	enum err err;

	(void)state;
	buf_init(&text);
	sha256(SLICE("abc"), block.sha256);
	drop_block_encode(&block, &text);
	assert_true(slice_starts_with(
		buf_slice(&text),
		SLICE("{\"checksum\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"
		      "15ad\",\"algo\":\"sha256\",\"size\":65536}\n")));
	drop_block_encode(&block, &text);
	for (size_t size = 0; size < text.size / 2 - 1; size++) {
		struct slice part = slice_part(buf_slice(&text), 0, size);
		assert_false(drop_block_take(&part, &found, &err));
		assert_int_equal(err, OK);
	}
	struct slice all = buf_slice(&text);
	assert_true(drop_block_take(&all, &found, &err));
	assert_true(drop_block_take(&all, &found, &err));
	assert_memory_equal(found.sha256, block.sha256, SHA256_BYTES);
	assert_false(drop_block_take(&all, &found, &err));
	all = SLICE("{\"checksum\":\"00\",\"algo\":\"sha256\",\"size\":1}");
	assert_false(drop_block_take(&all, &found, &err));
	assert_int_equal(err, ERR_INVALID);
	buf_done(&text);
}

static void test_json_texts_are_safe(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	drop_json_text(SLICE("a\"\\\n\xff\xc3\xa9"), &b);
	assert_true(slice_equal(buf_slice(&b), SLICE("\"a\\\"\\\\\\u000a\xef\xbf\xbd\xc3\xa9\"")));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_all_languages_and_folders_are_taken),
		cmocka_unit_test(test_hostile_names_are_refused_with_a_reason),
		cmocka_unit_test(test_names_are_encoded_and_numbered),
		cmocka_unit_test(test_ranges_of_both_kinds_are_read),
		cmocka_unit_test(test_blocks_are_written_and_read_one_by_one),
		cmocka_unit_test(test_json_texts_are_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
