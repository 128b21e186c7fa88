#include "buckets/s3_xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"

static void assert_list(const char *text, const char *keys, bool is_truncated, const char *token)
{
	struct s3_list list = { 0 };
	char got[512] = "";
	size_t used = 0;
	struct arena a;

	arena_init(&a);
	assert_int_equal(s3_xml_list(&a, slice_from(text), &list), OK);
	for (size_t i = 0; i < list.key_count; i++)
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%.*s", i ? "|" : "",
					 SLICE_ARG(list.keys[i]));
	assert_string_equal(got, keys);
	assert_int_equal(list.is_truncated, is_truncated);
	assert_true(slice_equal(list.next_token, slice_from(token)));
	arena_done(&a);
}

static void assert_no_list(const char *text, enum err err)
{
	struct s3_list list = { .key_count = 7 };
	struct arena a;

	arena_init(&a);
	assert_int_equal(s3_xml_list(&a, slice_from(text), &list), err);
	assert_int_equal(list.key_count, 7); /* untouched */
	arena_done(&a);
}

static void test_a_list_gives_its_keys_and_how_to_go_on(void **state)
{
	(void)state;
	assert_list("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		    "<Name>b</Name><Prefix>v1/</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys>"
		    "<IsTruncated>true</IsTruncated><NextContinuationToken>1ueG/=&amp;</"
		    "NextContinuationToken><Contents><Key>v1/a&amp;b</Key><Size>3</Size><Owner>"
		    "<ID>x</ID></Owner></Contents>\n<Contents><Key>v1/%2F+</Key></Contents>"
		    "</ListBucketResult>",
		    "v1/a&b|v1/%2F+", true, "1ueG/=&");
	assert_list("<ListBucketResult></ListBucketResult>", "", false, "");
	assert_list("<ListBucketResult/>", "", false, "");
}

static void test_encoded_keys_are_decoded_where_the_answer_says_so(void **state)
{
	(void)state;
	assert_list("<ListBucketResult><Contents><Key>a%2Fb+c%e4%01</Key></Contents>"
		    "<EncodingType>url</EncodingType></ListBucketResult>",
		    "a/b c\xe4\x01", false, "");
	assert_no_list("<ListBucketResult><Contents><Key>a%2</Key></Contents>"
		       "<EncodingType>url</EncodingType></ListBucketResult>",
		       ERR_INVALID);
	assert_no_list("<ListBucketResult><Contents><Key>a%zz</Key></Contents>"
		       "<EncodingType>url</EncodingType></ListBucketResult>",
		       ERR_INVALID);
}

static void test_elements_count_only_where_they_belong(void **state)
{
	(void)state;
	assert_list("<ListBucketResult><Other><Key>no</Key><Contents><Key>no</Key></Contents>"
		    "</Other><Key>no</Key><Contents><Key>yes</Key><Sub><Key>no</Key></Sub>"
		    "</Contents></ListBucketResult>",
		    "yes", false, "");
}

static void test_what_is_no_list_is_refused(void **state)
{
	(void)state;
	assert_no_list("", ERR_INVALID);
	assert_no_list("<html></html>", ERR_INVALID);
	assert_no_list("<Error><Code>SlowDown</Code></Error>", ERR_INVALID);
	assert_no_list("<ListBucketResult><Contents><Key>half", ERR_INVALID);
	assert_no_list("<ListBucketResult></ListBucketResult><more/>", ERR_INVALID);
}

static void test_document_types_and_their_entities_are_refused(void **state)
{
	(void)state;
	assert_no_list("<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>"
		       "<ListBucketResult><Contents><Key>&b;</Key></Contents></ListBucketResult>",
		       ERR_INVALID);
}

static void test_more_than_an_answer_may_say_is_too_big(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b);
	buf_add_text(&b, "<ListBucketResult>");
	for (int i = 0; i <= S3_LIST_KEYS_MAX; i++)
		buf_add_format(&b, "<Contents><Key>%d</Key></Contents>", i);
	buf_add_text(&b, "</ListBucketResult>");
	buf_add_u8(&b, 0);
	assert_no_list((char *)b.data, ERR_TOO_BIG);

	buf_clear(&b);
	buf_add_text(&b, "<ListBucketResult><Contents><Key>");
	memset(buf_add_zero(&b, S3_XML_TEXT_BYTES_MAX + 1), 'k', S3_XML_TEXT_BYTES_MAX + 1);
	buf_add_text(&b, "</Key></Contents></ListBucketResult>");
	buf_add_u8(&b, 0);
	assert_no_list((char *)b.data, ERR_TOO_BIG);

	buf_clear(&b);
	buf_add_text(&b, "<ListBucketResult>");
	for (int i = 0; i < S3_XML_DEPTH_MAX; i++)
		buf_add_text(&b, "<a>");
	buf_add_u8(&b, 0);
	assert_no_list((char *)b.data, ERR_TOO_BIG);
	buf_done(&b);
}

static void test_an_error_gives_its_code_message_and_region(void **state)
{
	(void)state;
	struct s3_error e;

	s3_xml_error(SLICE("<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Please "
			   "reduce\nyour rate</Message><Region>eu-x-1</Region></Error>"),
		     &e);
	assert_string_equal(e.code, "SlowDown");
	assert_string_equal(e.message, "Please reduce?your rate"); /* fit for a log line */
	assert_string_equal(e.region, "eu-x-1");
}

static void test_an_error_that_cannot_be_understood_is_empty(void **state)
{
	(void)state;
	static const char *const texts[] = { "", "Bad Gateway", "<Error><Code>x", "<a/>" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct s3_error e = { .code = "before" };

		s3_xml_error(slice_from(texts[i]), &e);
		assert_string_equal(e.code, "");
	}
}

static void test_long_texts_of_an_error_are_cut(void **state)
{
	(void)state;
	struct s3_error e;
	struct buf b;

	buf_init(&b);
	buf_add_text(&b, "<Error><Code>");
	memset(buf_add_zero(&b, 1000), 'c', 1000);
	buf_add_text(&b, "</Code></Error>");
	s3_xml_error(buf_slice(&b), &e);
	assert_int_equal(strlen(e.code), S3_CODE_BYTES - 1);
	buf_done(&b);
}

static enum err parse_upload(const char *text, struct s3_upload *u)
{
	return s3_xml_upload(slice_from(text), u);
}

static void test_the_beginning_and_the_end_of_parts_are_read(void **state)
{
	struct s3_upload u = { 0 };

	(void)state;
	assert_int_equal(parse_upload("<?xml version=\"1.0\"?><InitiateMultipartUploadResult>"
				      "<Bucket>b</Bucket><UploadId>a/b+c</UploadId>"
				      "</InitiateMultipartUploadResult>",
				      &u),
			 OK);
	assert_string_equal(u.id, "a/b+c");
	assert_int_equal(
		parse_upload(" \r\n\t<?xml version=\"1.0\"?><CompleteMultipartUploadResult>"
			     "<ChecksumCRC32C>AAAAAA==-3</ChecksumCRC32C>"
			     "</CompleteMultipartUploadResult>",
			     &u),
		OK);
	assert_string_equal(u.id, "");
	assert_string_equal(u.checksum, "AAAAAA==-3");
}

static void test_an_error_is_neither_the_beginning_nor_the_end(void **state)
{
	static const char *const rows[] = { "", " ", "<Error><Code>InternalError</Code></Error>",
					    "<InitiateMultipartUploadResult/>",
					    "<CompleteMultipartUploadResult>" };
	struct s3_upload u = { .id = "before" };
	char long_id[S3_UPLOAD_ID_BYTES + 128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(parse_upload(rows[i], &u), ERR_INVALID);
	snprintf(long_id, sizeof(long_id),
		 "<InitiateMultipartUploadResult><UploadId>%0*d</UploadId>"
		 "</InitiateMultipartUploadResult>",
		 S3_UPLOAD_ID_BYTES, 0);
	assert_int_equal(parse_upload(long_id, &u), ERR_TOO_BIG);
	assert_string_equal(u.id, "before");
}

static void test_sizes_belong_to_their_keys(void **state)
{
	struct s3_list list;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(s3_xml_list(&a,
				     SLICE("<ListBucketResult>"
					   "<Contents><Key>a</Key><Size>7</Size></Contents>"
					   "<Contents><Size>0</Size><Key>b</Key></Contents>"
					   "<Contents><Key>c</Key></Contents>"
					   "<Contents><Key>d</Key><Size>-1</Size></Contents>"
					   "<Contents><Size>9</Size></Contents>"
					   "<Contents><Key>e</Key></Contents>"
					   "</ListBucketResult>"),
				     &list),
			 OK);
	assert_int_equal(list.key_count, 5);
	assert_int_equal(list.sizes[0], 7);
	assert_int_equal(list.sizes[1], 0);
	for (size_t i = 2; i < 5; i++)
		assert_true(list.sizes[i] == UINT64_MAX);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_gives_its_keys_and_how_to_go_on),
		cmocka_unit_test(test_encoded_keys_are_decoded_where_the_answer_says_so),
		cmocka_unit_test(test_elements_count_only_where_they_belong),
		cmocka_unit_test(test_what_is_no_list_is_refused),
		cmocka_unit_test(test_document_types_and_their_entities_are_refused),
		cmocka_unit_test(test_more_than_an_answer_may_say_is_too_big),
		cmocka_unit_test(test_an_error_gives_its_code_message_and_region),
		cmocka_unit_test(test_an_error_that_cannot_be_understood_is_empty),
		cmocka_unit_test(test_long_texts_of_an_error_are_cut),
		cmocka_unit_test(test_the_beginning_and_the_end_of_parts_are_read),
		cmocka_unit_test(test_an_error_is_neither_the_beginning_nor_the_end),
		cmocka_unit_test(test_sizes_belong_to_their_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
