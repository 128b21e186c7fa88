#include "buckets/s3_credentials.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int forget_environment(void **state)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
					     "AWS_SESSION_TOKEN", "AWS_PROFILE",
					     "AWS_SHARED_CREDENTIALS_FILE" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	return 0;
}

#define FILE_TEXT                                                                                  \
	"# mine\n[default]\naws_access_key_id = KEY1\r\naws_secret_access_key=SECRET1\n"           \
	"region = x\n\n[ other ]\n; its own\naws_access_key_id=KEY2\n"                             \
	"aws_secret_access_key = SEC=RET2\naws_session_token = TOKEN2\n[half]\n"                   \
	"aws_access_key_id = KEY3\n[odd]\naws_access_key_id = K E\naws_secret_access_key = x"

static void test_a_credentials_file_is_read_by_profile(void **state)
{
	struct s3_credentials c = { 0 };
	struct slice text = SLICE(FILE_TEXT);

	(void)state;
	assert_int_equal(s3_credentials_parse(&c, text, SLICE("default")), OK);
	assert_string_equal(c.access_key, "KEY1");
	assert_string_equal(c.secret, "SECRET1");
	assert_string_equal(c.token, "");
	assert_int_equal(s3_credentials_parse(&c, text, SLICE("other")), OK);
	assert_string_equal(c.access_key, "KEY2");
	assert_string_equal(c.secret, "SEC=RET2");
	assert_string_equal(c.token, "TOKEN2");
	assert_int_equal(s3_credentials_parse(&c, text, SLICE("half")), ERR_NOT_FOUND);
	assert_int_equal(s3_credentials_parse(&c, text, SLICE("none")), ERR_NOT_FOUND);
	assert_int_equal(s3_credentials_parse(&c, text, SLICE("odd")), ERR_INVALID);
	assert_string_equal(c.access_key, "KEY2"); /* untouched */
}

static void test_the_environment_comes_before_the_file(void **state)
{
	char path[] = "/tmp/hanse-credentials-XXXXXX", why[TASK_WHY_BYTES] = "";
	struct s3_credentials c;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, FILE_TEXT, sizeof(FILE_TEXT) - 1), sizeof(FILE_TEXT) - 1);
	close(fd);
	assert_int_equal(setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1), 0);
	assert_int_equal(s3_credentials_load(&c, "", why), OK);
	assert_string_equal(c.access_key, "KEY1");
	assert_int_equal(setenv("AWS_PROFILE", "other", 1), 0);
	assert_int_equal(s3_credentials_load(&c, "", why), OK);
	assert_string_equal(c.token, "TOKEN2");
	assert_int_equal(setenv("AWS_PROFILE", "none", 1), 0);
	assert_int_equal(s3_credentials_load(&c, "", why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "[none]"));

	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1), 0);
	assert_int_equal(s3_credentials_load(&c, "", why), ERR_INVALID);
	assert_string_equal(why, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "ENVSECRET", 1), 0);
	assert_int_equal(s3_credentials_load(&c, "", why), OK);
	assert_string_equal(c.access_key, "ENVKEY");
	assert_string_equal(c.secret, "ENVSECRET");
	assert_string_equal(c.token, "");
	assert_int_equal(s3_credentials_load(&c, "other", why), OK); /* named: that one */
	assert_string_equal(c.access_key, "KEY2");
	assert_int_equal(s3_credentials_load(&c, "none", why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "[none]"));
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "a\nHeader: b", 1), 0);
	assert_int_equal(s3_credentials_load(&c, "", why), ERR_INVALID);
	assert_null(strstr(why, "Header"));
	unlink(path);
}

static void test_without_credentials_it_says_where_to_put_them(void **state)
{
	char why[TASK_WHY_BYTES] = "";
	struct s3_credentials c;

	(void)state;
	assert_int_equal(setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file", 1), 0);
	assert_int_equal(s3_credentials_load(&c, "", why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
	assert_int_equal(s3_credentials_load(&c, "mine", why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "[mine]: there is no file /nonexistent/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_credentials_file_is_read_by_profile,
				       forget_environment),
		cmocka_unit_test_setup(test_the_environment_comes_before_the_file,
				       forget_environment),
		cmocka_unit_test_setup(test_without_credentials_it_says_where_to_put_them,
				       forget_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
