#include "buckets/s3_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/scope.h"

static int forget_environment(void **state)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
					     "AWS_SESSION_TOKEN", "AWS_PROFILE",
					     "AWS_REGION",	  "AWS_DEFAULT_REGION",
					     "AWS_CA_BUNDLE",	  "AWS_SHARED_CREDENTIALS_FILE" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	return 0;
}

static enum err parse(struct s3_config *c, const char *url, char why[TASK_WHY_BYTES])
{
	struct bucket_url u;

	why[0] = '\0';
	assert_int_equal(bucket_url_parse(&u, url, strlen("s3:"), why), OK);
	return s3_config_parse(c, &u, why);
}

static void test_a_plain_url_is_a_bucket_at_amazon(void **state)
{
	char why[TASK_WHY_BYTES];
	struct s3_config c;

	(void)state;
	assert_int_equal(parse(&c, "s3://name", why), OK);
	assert_string_equal(c.name, "name");
	assert_string_equal(c.prefix, "");
	assert_string_equal(c.region, "us-east-1");
	assert_string_equal(c.scheme, "https://");
	assert_string_equal(c.host, "name.s3.us-east-1.amazonaws.com");
	assert_false(c.is_in_path);
	assert_true(c.has_checksums);
	assert_int_equal(c.class, BUCKET_RAW);
	assert_int_equal(c.timeout_ms, S3_TIMEOUT_MS_DEFAULT);
}

static void test_a_name_with_dots_is_in_the_path_where_no_certificate_covers_it(void **state)
{
	char why[TASK_WHY_BYTES];
	struct s3_config c;

	(void)state;
	assert_int_equal(parse(&c, "s3://my.name?region=eu-central-1", why), OK);
	assert_string_equal(c.host, "s3.eu-central-1.amazonaws.com");
	assert_true(c.is_in_path);
}

static void test_every_parameter_does_what_it_says(void **state)
{
	char why[TASK_WHY_BYTES];
	struct s3_config c;

	(void)state;
	assert_int_equal(parse(&c,
			       "s3://name/a/b/?endpoint=http://h:9000/&region=r-1&addressing=host"
			       "&class=cas&checksum=none&timeout_ms=100",
			       why),
			 OK);
	assert_string_equal(c.prefix, "a/b/");
	assert_string_equal(c.region, "r-1");
	assert_string_equal(c.scheme, "http://");
	assert_string_equal(c.host, "name.h:9000");
	assert_int_equal(c.class, BUCKET_CAS);
	assert_false(c.has_checksums);
	assert_int_equal(c.timeout_ms, 100);
	assert_int_equal(parse(&c, "s3://name?endpoint=http://h:80", why), OK);
	assert_string_equal(c.host, "h"); /* as the header Host has it */
	assert_true(c.is_in_path);
	assert_int_equal(parse(&c, "s3://name?endpoint=https://[::1]:443", why), OK);
	assert_string_equal(c.host, "[::1]");
	assert_true(c.is_here);
	assert_int_equal(parse(&c, "s3://name?endpoint=http://localhost:9000", why), OK);
	assert_true(c.is_here);
	assert_int_equal(parse(&c, "s3://name?endpoint=http://localhost.example.org", why), OK);
	assert_false(c.is_here);
	assert_int_equal(setenv("AWS_REGION", "eu-from-env", 1), 0);
	assert_int_equal(parse(&c, "s3://name", why), OK);
	assert_string_equal(c.region, "eu-from-env");
}

static void test_what_is_wrong_with_a_url_is_a_sentence(void **state)
{
	static const struct {
		const char *url, *why;
	} rows[] = {
		{ "s3:name", "write s3://NAME" },
		{ "s3://", "no name of an S3 bucket" },
		{ "s3://ab", "no name of an S3 bucket" },
		{ "s3://na me", "no name of an S3 bucket" },
		{ "s3://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  "no name of an S3 bucket" },
		{ "s3://name/a//b", "cannot be a prefix" },
		{ "s3://name/../b", "cannot be a prefix" },
		{ "s3://name?region=", "is no region" },
		{ "s3://name?region=a/b", "is no region" },
		{ "s3://name?endpoint=h:9000", "write http://HOST:PORT" },
		{ "s3://name?endpoint=http://", "no HOST" },
		{ "s3://name?endpoint=http://h/path", "no HOST" },
		{ "s3://name?endpoint=http://user@h", "no HOST" },
		{ "s3://name?addressing=vhost", "path and host" },
		{ "s3://name?checksum=md5", "crc32c and none" },
		{ "s3://name?class=best", "raw and cas" },
		{ "s3://name?timeout_ms=1", "less than" },
		{ "s3://name?timeout_ms=x", "not a number" },
		{ "s3://name?endpiont=http://h", "did you mean \"endpoint\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char why[TASK_WHY_BYTES];
		struct s3_config c;

		assert_int_equal(parse(&c, rows[i].url, why), ERR_INVALID);
		if (!strstr(why, rows[i].why))
			fail_msg("%s: \"%s\" is not in \"%s\"", rows[i].url, rows[i].why, why);
	}
}

/* --- credentials ----------------------------------------------------------------------------- */
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
	assert_int_equal(s3_credentials_load(&c, why), OK);
	assert_string_equal(c.access_key, "KEY1");
	assert_int_equal(setenv("AWS_PROFILE", "other", 1), 0);
	assert_int_equal(s3_credentials_load(&c, why), OK);
	assert_string_equal(c.token, "TOKEN2");
	assert_int_equal(setenv("AWS_PROFILE", "none", 1), 0);
	assert_int_equal(s3_credentials_load(&c, why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "[none]"));

	assert_int_equal(setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1), 0);
	assert_int_equal(s3_credentials_load(&c, why), ERR_INVALID);
	assert_string_equal(why, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "ENVSECRET", 1), 0);
	assert_int_equal(s3_credentials_load(&c, why), OK);
	assert_string_equal(c.access_key, "ENVKEY");
	assert_string_equal(c.secret, "ENVSECRET");
	assert_string_equal(c.token, "");
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "a\nHeader: b", 1), 0);
	assert_int_equal(s3_credentials_load(&c, why), ERR_INVALID);
	assert_null(strstr(why, "Header"));
	unlink(path);
}

static void test_without_credentials_it_says_where_to_put_them(void **state)
{
	char why[TASK_WHY_BYTES] = "";
	struct s3_credentials c;

	(void)state;
	assert_int_equal(setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file", 1), 0);
	assert_int_equal(s3_credentials_load(&c, why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_plain_url_is_a_bucket_at_amazon, forget_environment),
		cmocka_unit_test_setup(
			test_a_name_with_dots_is_in_the_path_where_no_certificate_covers_it,
			forget_environment),
		cmocka_unit_test_setup(test_every_parameter_does_what_it_says, forget_environment),
		cmocka_unit_test_setup(test_what_is_wrong_with_a_url_is_a_sentence,
				       forget_environment),
		cmocka_unit_test_setup(test_a_credentials_file_is_read_by_profile,
				       forget_environment),
		cmocka_unit_test_setup(test_the_environment_comes_before_the_file,
				       forget_environment),
		cmocka_unit_test_setup(test_without_credentials_it_says_where_to_put_them,
				       forget_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
