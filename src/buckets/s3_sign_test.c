/* The examples that Amazon publishes with the specification of the signature. */
#include "buckets/s3_sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct s3_credentials example = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};

static void assert_signature(const struct s3_signing *s, const char *names, const char *signature)
{
	char expected[512];
	struct buf b;

	snprintf(expected, sizeof(expected),
		 "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, "
		 "SignedHeaders=%s, Signature=%s",
		 s->credentials->access_key, s->date, s->service, names, signature);
	buf_init(&b);
	s3_sign(&b, s);
	buf_add_u8(&b, 0);
	assert_string_equal((char *)b.data, expected);
	buf_done(&b);
}

static void assert_example(const char *method, const char *path, const struct s3_pair *query,
			   size_t query_count, const char *signature)
{
	const struct s3_pair headers[] = {
		{ "host", SLICE("examplebucket.s3.amazonaws.com") },
		{ "x-amz-content-sha256", SLICE(EMPTY) },
		{ "x-amz-date", SLICE("20130524T000000Z") },
	};

	assert_signature(&(struct s3_signing) { .credentials = &example,
						.region = "us-east-1",
						.service = "s3",
						.method = method,
						.path = slice_from(path),
						.query = query,
						.query_count = query_count,
						.headers = headers,
						.header_count = 3,
						.body_sha256 = EMPTY,
						.date = "20130524T000000Z" },
			 "host;x-amz-content-sha256;x-amz-date", signature);
}

static void test_a_request_with_a_query_is_signed_as_amazon_says(void **state)
{
	(void)state;
	const struct s3_pair lifecycle[] = { { "lifecycle", SLICE("") } };
	const struct s3_pair list[] = { { "max-keys", SLICE("2") }, { "prefix", SLICE("J") } };

	assert_example("GET", "/", lifecycle, 1,
		       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	assert_example("GET", "/", list, 2,
		       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void test_a_get_of_a_range_is_signed_as_amazon_says(void **state)
{
	(void)state;
	const struct s3_pair headers[] = {
		{ "host", SLICE("examplebucket.s3.amazonaws.com") },
		{ "range", SLICE("bytes=0-9") },
		{ "x-amz-content-sha256", SLICE(EMPTY) },
		{ "x-amz-date", SLICE("20130524T000000Z") },
	};

	assert_signature(&(struct s3_signing) { .credentials = &example,
						.region = "us-east-1",
						.service = "s3",
						.method = "GET",
						.path = SLICE("/test.txt"),
						.headers = headers,
						.header_count = 4,
						.body_sha256 = EMPTY,
						.date = "20130524T000000Z" },
			 "host;range;x-amz-content-sha256;x-amz-date",
			 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_a_put_is_signed_as_amazon_says(void **state)
{
	(void)state;
	const struct slice body[] = { SLICE("Welcome "), SLICE("to Amazon S3.") };
	char hash[S3_SHA256_HEX_BYTES];
	struct buf path;

	s3_sha256(hash, body, 2);
	assert_string_equal(hash,
			    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
	buf_init(&path);
	s3_encode(&path, SLICE("/test$file.text"), true);
	const struct s3_pair headers[] = {
		{ "date", SLICE("Fri, 24 May 2013 00:00:00 GMT") },
		{ "host", SLICE("examplebucket.s3.amazonaws.com") },
		{ "x-amz-content-sha256", slice_from(hash) },
		{ "x-amz-date", SLICE("20130524T000000Z") },
		{ "x-amz-storage-class", SLICE("REDUCED_REDUNDANCY") },
	};

	assert_signature(&(struct s3_signing) { .credentials = &example,
						.region = "us-east-1",
						.service = "s3",
						.method = "PUT",
						.path = buf_slice(&path),
						.headers = headers,
						.header_count = 5,
						.body_sha256 = hash,
						.date = "20130524T000000Z" },
			 "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
			 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
	buf_done(&path);
}

static void assert_suite(const char *method, const struct s3_pair *headers, size_t header_count,
			 const char *names, const char *signature)
{
	static const struct s3_credentials suite = {
		.access_key = "AKIDEXAMPLE",
		.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	};

	assert_signature(&(struct s3_signing) { .credentials = &suite,
						.region = "us-east-1",
						.service = "service",
						.method = method,
						.path = SLICE("/"),
						.headers = headers,
						.header_count = header_count,
						.body_sha256 = EMPTY,
						.date = "20150830T123600Z" },
			 names, signature);
}

static void test_the_requests_of_the_general_suite_are_signed_as_amazon_says(void **state)
{
	(void)state;
	const struct s3_pair plain[] = {
		{ "host", SLICE("example.amazonaws.com") },
		{ "x-amz-date", SLICE("20150830T123600Z") },
	};
	const struct s3_pair spaces[] = {
		{ "host", SLICE("example.amazonaws.com") },
		{ "my-header1", SLICE(" value1") },
		{ "my-header2", SLICE(" \"a   b   c\"") },
		{ "x-amz-date", SLICE("20150830T123600Z") },
	};

	assert_suite("GET", plain, 2, "host;x-amz-date",
		     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
	assert_suite("POST", plain, 2, "host;x-amz-date",
		     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
	assert_suite("GET", spaces, 4, "host;my-header1;my-header2;x-amz-date",
		     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
}

static void test_everything_but_unreserved_characters_is_encoded(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b);
	s3_encode(&b, SLICE("aZ09-._~/ +\xc3\xa4"), false);
	s3_encode(&b, SLICE("/a/b="), true);
	buf_add_u8(&b, 0);
	assert_string_equal((char *)b.data, "aZ09-._~%2F%20%2B%C3%A4/a/b%3D");
	buf_done(&b);
}

static void test_a_date_is_in_the_basic_format(void **state)
{
	(void)state;
	char date[S3_DATE_BYTES];

	s3_date(date, 1369353600000);
	assert_string_equal(date, "20130524T000000Z");
	s3_date(date, 1369353600000 + 86399999);
	assert_string_equal(date, "20130524T235959Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_with_a_query_is_signed_as_amazon_says),
		cmocka_unit_test(test_a_get_of_a_range_is_signed_as_amazon_says),
		cmocka_unit_test(test_a_put_is_signed_as_amazon_says),
		cmocka_unit_test(test_the_requests_of_the_general_suite_are_signed_as_amazon_says),
		cmocka_unit_test(test_everything_but_unreserved_characters_is_encoded),
		cmocka_unit_test(test_a_date_is_in_the_basic_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
