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
	static const char *const names[] = { "AWS_ACCESS_KEY_ID",
					     "AWS_SECRET_ACCESS_KEY",
					     "AWS_SESSION_TOKEN",
					     "AWS_PROFILE",
					     "AWS_SHARED_CREDENTIALS_FILE",
					     "AWS_EC2_METADATA_SERVICE_ENDPOINT",
					     "AWS_EC2_METADATA_DISABLED",
					     "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
					     "AWS_CONTAINER_CREDENTIALS_FULL_URI",
					     "AWS_CONTAINER_AUTHORIZATION_TOKEN",
					     "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" };

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
	assert_int_equal(s3_credentials_load(&c, "", why), ERR_INVALID);
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
	assert_int_equal(s3_credentials_load(&c, "none", why), ERR_INVALID);
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
	assert_int_equal(s3_credentials_load(&c, "mine", why), ERR_INVALID);
	assert_non_null(strstr(why, "[mine]: there is no file /nonexistent/file"));
}

/* --- of a machine ---------------------------------------------------------------------------- */
static enum err parse_json(const char *text, struct s3_credentials *c, int64_t *expires_ms)
{
	char why[TASK_WHY_BYTES];

	return s3_credentials_parse_json(c, expires_ms, slice_from(text), why);
}

static void test_what_a_machine_answers_is_read(void **state)
{
	struct s3_credentials c = { 0 };
	int64_t expires_ms = 0;

	(void)state;
	assert_int_equal(
		parse_json("{\"Code\":\"Success\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":"
			   "\"S\",\"Token\":\"T\",\"Expiration\":\"2026-11-22T08:00:01Z\"}",
			   &c, &expires_ms),
		OK);
	assert_string_equal(c.access_key, "A");
	assert_string_equal(c.secret, "S");
	assert_string_equal(c.token, "T");
	assert_int_equal(expires_ms, 1795334401000);
	assert_int_equal(parse_json("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}", &c,
				    &expires_ms),
			 OK);
	assert_int_equal(expires_ms, INT64_MAX);
}

static void test_what_are_no_credentials_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"[]",
		"{",
		"null",
		"{\"AccessKeyId\":\"A\"}",
		"{\"AccessKeyId\":7,\"SecretAccessKey\":\"S\"}",
		"{\"AccessKeyId\":\"A B\",\"SecretAccessKey\":\"S\"}",
		"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"a\\nb\"}",
		"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Expiration\":\"soon\"}",
		"{\"Code\":\"Failed\",\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\"}",
	};
	struct s3_credentials c = { .access_key = "before" };
	int64_t expires_ms = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(parse_json(rows[i], &c, &expires_ms), ERR_INVALID);
	assert_string_equal(c.access_key, "before");
	assert_int_equal(expires_ms, 7);
}

static void test_the_machine_is_where_the_environment_says(void **state)
{
	static const struct {
		const char *name, *value, *url; /* url NULL: refused */
	} rows[] = {
		{ "AWS_REGION", "x", "http://169.254.169.254" },
		{ "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://[fd00:ec2::254]/",
		  "http://[fd00:ec2::254]" },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "https://example.org/x",
		  "https://example.org/x" },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost:80/x",
		  "http://localhost:80/x" },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.1.2.3/", "http://127.1.2.3/" },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://[::1]:80/", "http://[::1]:80/" },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials",
		  "http://169.254.170.23/v1/credentials" },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/x", NULL },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1.example.org/x", NULL },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1@example.org/x", NULL },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:80@example.org/", NULL },
		{ "AWS_CONTAINER_CREDENTIALS_FULL_URI", "file:///etc/passwd", NULL },
		{ "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x", "http://169.254.170.2/v2/x" },
		{ "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.org/x",
		  "http://169.254.170.2/@example.org/x" },
	};
	char why[TASK_WHY_BYTES];
	struct s3_place place;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		forget_environment(state);
		assert_int_equal(setenv(rows[i].name, rows[i].value, 1), 0);
		assert_int_equal(s3_place_find(&place, why), rows[i].url ? OK : ERR_INVALID);
		if (rows[i].url)
			assert_string_equal(place.url, rows[i].url);
	}
	forget_environment(state);
	assert_int_equal(setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1), 0);
	assert_int_equal(s3_place_find(&place, why), ERR_NOT_FOUND);
}

static void test_a_token_of_a_container_cannot_break_a_header(void **state)
{
	char token[S3_PLACE_TOKEN_BYTES], why[TASK_WHY_BYTES];

	(void)state;
	assert_int_equal(s3_place_token(token, why), OK);
	assert_string_equal(token, "");
	assert_int_equal(setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1), 0);
	assert_int_equal(s3_place_token(token, why), OK);
	assert_string_equal(token, "Basic abc");
	assert_int_equal(setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nb: c", 1), 0);
	assert_int_equal(s3_place_token(token, why), ERR_INVALID);
	assert_int_equal(setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent", 1), 0);
	assert_int_equal(s3_place_token(token, why), ERR_INVALID);
	assert_non_null(strstr(why, "/nonexistent"));
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
		cmocka_unit_test_setup(test_what_a_machine_answers_is_read, forget_environment),
		cmocka_unit_test_setup(test_what_are_no_credentials_is_refused, forget_environment),
		cmocka_unit_test_setup(test_the_machine_is_where_the_environment_says,
				       forget_environment),
		cmocka_unit_test_setup(test_a_token_of_a_container_cannot_break_a_header,
				       forget_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
