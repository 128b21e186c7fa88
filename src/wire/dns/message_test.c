#include "wire/dns/message.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/endian.h"

static struct dns_name name_of(const char *text)
{
	struct dns_name name;

	assert_int_equal(dns_name_from_text(slice_from(text), &name), OK);
	return name;
}

static void expect_text(const struct dns_name *name, const char *text)
{
	char found[DNS_NAME_TEXT_BYTES];

	dns_name_text(name, found);
	assert_string_equal(found, text);
}

static void test_names_go_from_text_to_bytes_and_back(void **state)
{
	struct dns_name name = name_of("Laptop.home.example.");

	(void)state;
	assert_int_equal(name.size, 21);
	assert_memory_equal(name.bytes, "\6Laptop\4home\7example", 21);
	expect_text(&name, "laptop.home.example");
	name = name_of("");
	assert_int_equal(name.size, 1);
	expect_text(&name, "");
}

static void test_names_that_are_none_are_refused(void **state)
{
	char label[65], long_name[300];
	struct dns_name name;

	(void)state;
	memset(label, 'a', 64);
	label[64] = '\0';
	memset(long_name, 'a', sizeof(long_name));
	for (size_t i = 50; i < sizeof(long_name); i += 50)
		long_name[i] = '.';
	assert_int_equal(dns_name_from_text(SLICE("a..b"), &name), ERR_INVALID);
	assert_int_equal(dns_name_from_text(SLICE("."), &name), ERR_INVALID);
	assert_int_equal(dns_name_from_text(slice_from(label), &name), ERR_TOO_BIG);
	assert_int_equal(dns_name_from_text((struct slice) { (uint8_t *)long_name, 254 }, &name),
			 ERR_TOO_BIG);
	assert_int_equal(dns_name_from_text((struct slice) { (uint8_t *)long_name, 253 }, &name),
			 OK);
	assert_int_equal(name.size, DNS_NAME_BYTES_MAX);
}

static void test_bytes_that_do_not_print_are_numbers_in_text(void **state)
{
	struct dns_name name = { .size = 6, .bytes = "\4a.\0\\" };

	(void)state;
	expect_text(&name, "a\\046\\000\\092");
}

static void test_a_pointer_is_followed_to_the_front_only(void **state)
{
	static const uint8_t good[] = "\1b\1c\0\1a\xc0\0";
	static const uint8_t itself[] = "\1a\xc0\0";
	static const uint8_t ahead[] = "\xc0\2\1a\0";
	static const uint8_t cut_off[] = "\1a\xc0";
	struct dns_reader r = { .message = { good, sizeof(good) - 1 }, .at = 5 };
	struct dns_name name;

	(void)state;
	assert_int_equal(dns_read_name(&r, &name), OK);
	expect_text(&name, "a.b.c");
	assert_int_equal(r.at, 9);
	r = (struct dns_reader) { .message = { itself, sizeof(itself) - 1 } };
	assert_int_equal(dns_read_name(&r, &name), ERR_INVALID);
	r = (struct dns_reader) { .message = { ahead, sizeof(ahead) - 1 } };
	assert_int_equal(dns_read_name(&r, &name), ERR_INVALID);
	r = (struct dns_reader) { .message = { cut_off, sizeof(cut_off) - 1 } };
	assert_int_equal(dns_read_name(&r, &name), ERR_INVALID);
}

/* Each pointer points to the one before it, so that a reader without a limit walks for long. */
static void test_a_name_made_of_pointers_is_bounded(void **state)
{
	static uint8_t bytes[16384];
	struct dns_name name;
	size_t size = 1;

	(void)state;
	while (size < sizeof(bytes) - 4) {
		bytes[size] = 1;
		bytes[size + 1] = 'a';
		put_u16(bytes + size + 2, (uint16_t)(0xc000 | (size < 4 ? 0 : size - 4)));
		size += 4;
	}
	struct dns_reader r = { .message = { bytes, size }, .at = size - 4 };
	assert_int_equal(dns_read_name(&r, &name), ERR_INVALID);
	r.at = 401;
	assert_int_equal(dns_read_name(&r, &name), OK);
	assert_int_equal(name.size, 203);
}

static void test_a_query_is_read_with_its_edns(void **state)
{
	struct dns_name name = name_of("laptop");
	struct dns_query query;
	struct buf out;

	(void)state;
	buf_init(&out);
	dns_query_write(&out, 7, &name, DNS_AAAA);
	assert_int_equal(dns_read_query(buf_slice(&out), &query), OK);
	assert_int_equal(query.header.id, 7);
	assert_int_equal(query.question.type, DNS_AAAA);
	assert_true(query.has_edns && !query.wants_dnssec);
	assert_int_equal(query.udp_bytes, DNS_UDP_BYTES_MAX);
	for (size_t size = 0; size < out.size; size++)
		assert_int_equal(dns_read_query(slice_part(buf_slice(&out), 0, size), &query),
				 ERR_INVALID);
	buf_done(&out);
}

/* The fuzzer found that the answer had another question. */
static void test_a_question_that_points_into_the_header_is_refused(void **state)
{
	static const uint8_t bytes[] = "\0\0\0\0\0\1\0\0\0\0\0\0\xc0\0\0\1\0\1";
	struct dns_query query;

	(void)state;
	assert_int_equal(dns_read_query((struct slice) { bytes, 18 }, &query), ERR_INVALID);
	assert_int_equal(query.question_bytes, 0);
}

static void test_a_response_is_no_query_and_gets_no_answer(void **state)
{
	static const uint8_t response[] = "\0\1\x80\0\0\0\0\0\0\0\0\0";
	static const uint8_t notify[] = "\0\1\x20\0\0\0\0\0\0\0\0\0";
	struct dns_query query;

	(void)state;
	assert_int_equal(dns_read_query((struct slice) { response, 12 }, &query), ERR_INVALID);
	assert_false(query.has_header);
	assert_int_equal(dns_read_query((struct slice) { notify, 12 }, &query), ERR_UNSUPPORTED);
	assert_true(query.has_header);
}

static void test_an_answer_repeats_the_question_and_points_to_it(void **state)
{
	struct dns_name name = name_of("LapTop"), lower = name_of("laptop");
	static const uint8_t address[] = { 100, 64, 0, 1 };
	struct dns_query query;
	struct dns_writer w;
	struct dns_record record;
	struct buf question, out;

	(void)state;
	buf_init(&question);
	buf_init(&out);
	dns_query_write(&question, 7, &name, DNS_A);
	assert_int_equal(dns_read_query(buf_slice(&question), &query), OK);
	dns_answer_begin(&w, &out, &query, buf_slice(&question), 512);
	dns_answer_add(&w, DNS_ANSWER, &lower, DNS_A, 5, (struct slice) { address, 4 });
	dns_answer_end(&w, DNS_NOERROR, DNS_AUTHORITATIVE);
	assert_true(dns_is_response_to(buf_slice(&out), &query));
	assert_int_equal(get_u16(out.data + 2), 0x8500);
	struct dns_reader r = { .message = buf_slice(&out), .at = query.question_bytes };
	assert_int_equal(dns_read_record(&r, &record), OK);
	assert_memory_equal(record.name.bytes, "\6LapTop", 8);
	assert_int_equal(record.ttl_s, 5);
	assert_int_equal(record.data.size, 4);
	query.header.id = 8;
	assert_false(dns_is_response_to(buf_slice(&out), &query));
	buf_done(&question);
	buf_done(&out);
}

static void test_what_does_not_fit_is_left_out_and_said(void **state)
{
	struct dns_name name = name_of("laptop"), other = name_of("other.example");
	static const uint8_t address[16];
	struct dns_query query;
	struct dns_writer w;
	struct buf question, out;

	(void)state;
	buf_init(&question);
	buf_init(&out);
	dns_query_write(&question, 7, &name, DNS_AAAA);
	assert_int_equal(dns_read_query(buf_slice(&question), &query), OK);
	dns_answer_begin(&w, &out, &query, buf_slice(&question), 512);
	for (int i = 0; i < 50; i++)
		dns_answer_add(&w, DNS_ANSWER, &other, DNS_AAAA, 5, (struct slice) { address, 16 });
	dns_answer_end(&w, DNS_NOERROR, 0);
	assert_in_range(out.size, 400, 512);
	assert_true(get_u16(out.data + 2) & DNS_TRUNCATED);
	assert_true(dns_is_response_to(buf_slice(&out), &query));
	buf_done(&question);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_go_from_text_to_bytes_and_back),
		cmocka_unit_test(test_names_that_are_none_are_refused),
		cmocka_unit_test(test_bytes_that_do_not_print_are_numbers_in_text),
		cmocka_unit_test(test_a_pointer_is_followed_to_the_front_only),
		cmocka_unit_test(test_a_name_made_of_pointers_is_bounded),
		cmocka_unit_test(test_a_query_is_read_with_its_edns),
		cmocka_unit_test(test_a_question_that_points_into_the_header_is_refused),
		cmocka_unit_test(test_a_response_is_no_query_and_gets_no_answer),
		cmocka_unit_test(test_an_answer_repeats_the_question_and_points_to_it),
		cmocka_unit_test(test_what_does_not_fit_is_left_out_and_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
