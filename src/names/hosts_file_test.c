#include "names/hosts_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/scope.h"

#define TITLE "# names of the mesh, here while it is up\t# kept by hanse\n"
#define LAPTOP "100.64.0.1\tlaptop.home.example laptop\t# kept by hanse\n"

static void fill_block(struct buf *block)
{
	hosts_block_begin(block);
	hosts_block_add(block, ip_v4(0x64400001), "laptop.home.example laptop");
}

static void expect_replaced(const char *file, struct slice block, const char *expected)
{
	struct buf out;

	buf_init(&out);
	hosts_file_replace(slice_from(file), block, &out);
	buf_add(&out, "", 1);
	assert_string_equal((char *)out.data, expected);
	buf_done(&out);
}

static void test_our_lines_come_and_go_and_others_stay(void **state)
{
	static const char *const files[] = { "",
					     "\n",
					     "127.0.0.1 localhost\n",
					     "127.0.0.1 localhost",
					     "a\n\n\nb",
					     "\xff\x80 bytes\r\n# kept by hanse\n" };
	struct buf block, out, back;

	(void)state;
	buf_init(&block);
	fill_block(&block);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		buf_init(&out);
		buf_init(&back);
		hosts_file_replace(slice_from(files[i]), buf_slice(&block), &out);
		assert_non_null(memmem(out.data, out.size, LAPTOP, sizeof(LAPTOP) - 1));
		hosts_file_replace(buf_slice(&out), buf_slice(&block), &back); /* again */
		assert_true(slice_equal(buf_slice(&back), buf_slice(&out)));
		buf_clear(&back);
		hosts_file_replace(buf_slice(&out), (struct slice) { 0 }, &back);
		assert_true(slice_equal(buf_slice(&back), slice_from(files[i])));
		buf_done(&out);
		buf_done(&back);
	}
	buf_done(&block);
}

static void test_lines_a_person_put_between_ours_stay(void **state)
{
	struct buf block;

	(void)state;
	buf_init(&block);
	fill_block(&block);
	expect_replaced("a\n" TITLE "mine\n" LAPTOP "b", (struct slice) { 0 }, "a\nmine\nb");
	expect_replaced("a\n" TITLE LAPTOP "b\n", buf_slice(&block), "a\nb\n" TITLE LAPTOP);
	expect_replaced("a\n# names of the mesh, here while it is up"
			"\t# after a line without its end\t# kept by hanse\n" LAPTOP "b\n",
			(struct slice) { 0 }, "a\nb\n");
	buf_done(&block);
}

static void write_file(const char *path, const char *text)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect_file(const char *path, const char *text)
{
	char found[4096];
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	ssize_t size = read(fd, found, sizeof(found) - 1);
	assert_true(size >= 0);
	found[size] = '\0';
	assert_string_equal(found, text);
}

static void test_the_file_keeps_mode_and_link_and_no_other_is_left(void **state)
{
	char directory[] = "/tmp/hosts-test-XXXXXX", path[64], target[64], why[200];
	struct buf block;
	struct stat st;

	(void)state;
	buf_init(&block);
	fill_block(&block);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/hosts", directory);
	snprintf(target, sizeof(target), "%s/target", directory);
	write_file(target, "one\n");
	assert_int_equal(chmod(target, 0640), 0);
	assert_int_equal(symlink("target", path), 0);
	assert_int_equal(hosts_file_set(path, buf_slice(&block), why), OK);
	expect_file(path, "one\n" TITLE LAPTOP);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	ino_t inode = st.st_ino;
	assert_int_equal(hosts_file_set(path, buf_slice(&block), why), OK); /* nothing to do */
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_ino, inode);
	assert_int_equal(hosts_file_set(path, (struct slice) { 0 }, why), OK);
	expect_file(target, "one\n");
	unlink(path);
	unlink(target);
	assert_int_equal(rmdir(directory), 0); /* nothing else was left there */
	buf_done(&block);
}

static void test_a_file_with_two_names_is_written_in_place(void **state)
{
	char directory[] = "/tmp/hosts-test-XXXXXX", path[64], other[64], why[200];
	struct buf block;

	(void)state;
	buf_init(&block);
	fill_block(&block);
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/hosts", directory);
	snprintf(other, sizeof(other), "%s/other", directory);
	write_file(path, "one");
	assert_int_equal(link(path, other), 0);
	assert_int_equal(hosts_file_set(path, buf_slice(&block), why), OK);
	assert_int_equal(hosts_file_set(path, (struct slice) { 0 }, why), OK);
	expect_file(other, "one");
	unlink(path);
	unlink(other);
	assert_int_equal(rmdir(directory), 0);
	buf_done(&block);
}

static void test_what_cannot_be_done_is_said(void **state)
{
	char why[200] = "";

	(void)state;
	assert_int_equal(hosts_file_set("/tmp/no-such-hosts", SLICE("x\n"), why), ERR_NOT_FOUND);
	assert_true(why[0]);
	assert_int_equal(hosts_file_set("/tmp/no-such-hosts", (struct slice) { 0 }, why), OK);
	assert_int_equal(hosts_file_set("/dev", SLICE("x\n"), why), ERR_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_our_lines_come_and_go_and_others_stay),
		cmocka_unit_test(test_lines_a_person_put_between_ours_stay),
		cmocka_unit_test(test_the_file_keeps_mode_and_link_and_no_other_is_left),
		cmocka_unit_test(test_a_file_with_two_names_is_written_in_place),
		cmocka_unit_test(test_what_cannot_be_done_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
