#include "buckets/s3_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int forget_environment(void **state)
{
	static const char *const names[] = { "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE" };

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
			       "&class=cas&checksum=none&timeout_ms=100&profile=a-b",
			       why),
			 OK);
	assert_string_equal(c.prefix, "a/b/");
	assert_string_equal(c.region, "r-1");
	assert_string_equal(c.scheme, "http://");
	assert_string_equal(c.host, "name.h:9000");
	assert_int_equal(c.class, BUCKET_CAS);
	assert_false(c.has_checksums);
	assert_int_equal(c.timeout_ms, 100);
	assert_string_equal(c.profile, "a-b");
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
		{ "s3://name?profile=", "at most 63 bytes" },
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
