#include "server/key_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/scope.h"

static char path[64];

static int set_up(void **state)
{
	static int number;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/hanse-key-%d-%d", getpid(), ++number);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void write_text(const char *text, mode_t mode)
{
	AUTO_FILE file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void assert_refused(enum err expected, const char *sentence)
{
	char why[KEY_FILE_WHY_BYTES] = "";
	struct keyring k;

	assert_int_equal(key_file_read(path, &k, why), expected);
	if (!strstr(why, sentence) || !strstr(why, path))
		fail_msg("\"%s\" does not say \"%s\"", why, sentence);
}

static void test_what_was_written_is_read_by_its_owner_only(void **state)
{
	char why[KEY_FILE_WHY_BYTES];
	struct keyring k, read;
	struct stat st;

	(void)state;
	key_draw(&k);
	assert_int_equal(key_file_create(path, &k, why), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(key_file_read(path, &read, why), OK);
	assert_memory_equal(&k, &read, sizeof(k));
	assert_int_equal(key_file_create(path, &k, why), ERR_EXISTS);
	assert_int_equal(key_file_read(path, &read, why), OK);
}

static void test_a_key_file_is_made_everywhere(void **state)
{
	static const char *const directories[] = { "/tmp", "/dev/shm", "/proc/self" };
	char why[KEY_FILE_WHY_BYTES], name[64];
	struct keyring k, read;

	(void)state;
	key_draw(&k);
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		snprintf(name, sizeof(name), "%s/hanse-key-everywhere-%d", directories[i],
			 getpid());
		enum err err = key_file_create(name, &k, why);
		if (i == 2) { /* nothing can be made there */
			assert_int_equal(err, ERR_DENIED);
			assert_non_null(strstr(why, "cannot be made"));
			continue;
		}
		assert_int_equal(err, OK);
		assert_int_equal(key_file_read(name, &read, why), OK);
		assert_memory_equal(&k, &read, sizeof(k));
		assert_int_equal(unlink(name), 0);
	}
}

static void test_a_new_key_is_no_clusters_until_one_has_it(void **state)
{
	char why[KEY_FILE_WHY_BYTES];
	struct keyring k, read;

	(void)state;
	key_draw(&k);
	assert_false(key_file_is_unused(path));
	assert_int_equal(key_file_create(path, &k, why), OK);
	assert_true(key_file_is_unused(path));
	key_file_set_used(path);
	assert_false(key_file_is_unused(path));
	key_file_set_used(path);
	assert_int_equal(key_file_read(path, &read, why), OK);
	assert_memory_equal(&k, &read, sizeof(k));
}

static void test_no_two_roots_are_the_same(void **state)
{
	struct keyring a, b;

	(void)state;
	key_draw(&a);
	key_draw(&b);
	assert_memory_not_equal(a.id, b.id, sizeof(a.id));
	assert_memory_not_equal(keyring_get(&a, KEY_ROOT), keyring_get(&b, KEY_ROOT), KEY_BYTES);
}

static void test_a_part_is_written_without_the_root(void **state)
{
	struct keyring whole, part;
	char recovery_key[RECOVERY_KEY_TEXT_BYTES];
	struct buf text;

	(void)state;
	key_draw(&whole);
	assert_int_equal(keyring_for_role(&whole, KEY_ROLE_STREAMS, &part), OK);
	buf_init(&text);
	key_file_text(&part, false, &text);
	buf_add_u8(&text, 0);
	recovery_key_encode(recovery_key, keyring_get(&whole, KEY_ROOT));
	assert_null(strstr((char *)text.data, recovery_key));
	assert_non_null(strstr((char *)text.data, "Keys for one role"));
	secret_buf_done(&text);
}

static void test_a_file_others_can_read_is_refused(void **state)
{
	static const mode_t modes[] = { 0644, 0640, 0604, 0620, 0601 };

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		write_text("hanse-key-1-", modes[i]);
		assert_refused(ERR_DENIED, "can be read by others");
		assert_refused(ERR_DENIED, "`chmod 600` it");
	}
}

static void test_what_is_no_key_file_is_refused(void **state)
{
	(void)state;
	assert_refused(ERR_NOT_FOUND, "No such file");
	write_text("", 0600);
	assert_refused(ERR_INVALID, "there is no key in it");
	write_text("password\n", 0600);
	assert_refused(ERR_INVALID, "begins with hanse-key-1-");
	AUTO_FILE file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < KEY_FILE_BYTES_MAX + 1; i++)
		fputc('x', file);
	fflush(file);
	assert_refused(ERR_TOO_BIG, "this is no key file");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_refused(ERR_INVALID, "is no key file");
	assert_int_equal(rmdir(path), 0);
}

static void test_a_role_without_supervisor_has_no_keys(void **state)
{
	char why[KEY_FILE_WHY_BYTES];
	struct keyring k;

	(void)state;
	assert_int_equal(role_take_keys(&k, why), ERR_NOT_FOUND);
}

static void test_a_role_takes_its_keys_from_its_pipe_once(void **state)
{
	char why[KEY_FILE_WHY_BYTES], number[16];
	struct keyring whole, part, taken;
	struct buf text;
	int fds[2];

	(void)state;
	key_draw(&whole);
	assert_int_equal(keyring_for_role(&whole, KEY_ROLE_CONTROL, &part), OK);
	buf_init(&text);
	keyring_encode(&part, &text);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text.data, text.size), text.size);
	close(fds[1]);
	snprintf(number, sizeof(number), "%d", fds[0]);
	assert_int_equal(setenv("HANSE_SECRET_FD", number, 1), 0);
	assert_int_equal(role_take_keys(&taken, why), OK);
	assert_memory_equal(&part, &taken, sizeof(part));
	assert_null(getenv("HANSE_SECRET_FD"));
	assert_int_equal(role_take_keys(&taken, why), ERR_NOT_FOUND);
	secret_buf_done(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_was_written_is_read_by_its_owner_only),
		TEST(test_a_key_file_is_made_everywhere),
		TEST(test_a_new_key_is_no_clusters_until_one_has_it),
		TEST(test_no_two_roots_are_the_same),
		TEST(test_a_part_is_written_without_the_root),
		TEST(test_a_file_others_can_read_is_refused),
		TEST(test_what_is_no_key_file_is_refused),
		TEST(test_a_role_without_supervisor_has_no_keys),
		TEST(test_a_role_takes_its_keys_from_its_pipe_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
