#include "wire/join_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Made by another implementation of doc/formats/join-key.md. */
static const char golden[] =
	"hanse-join-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8BFWh0dHA6Ly8xO"
	"TIuMC4yLjc6ODY0MQdoay0xMjM0mCXGOA";

static struct join_key example(void)
{
	struct join_key k = { .url_count = 1,
			      .urls = { "http://192.0.2.7:8641" },
			      .secret = "hk-1234" };

	for (size_t i = 0; i < MESH_KEY_BYTES; i++)
		k.server.bytes[i] = (uint8_t)i;
	return k;
}

static void test_a_key_comes_back_from_its_text(void **state)
{
	struct join_key k = example(), back;
	char text[JOIN_KEY_TEXT_BYTES];

	(void)state;
	snprintf(k.urls[1], sizeof(k.urls[1]), "https://mesh.example.org");
	k.url_count = 2;
	assert_int_equal(join_key_text(&k, text), OK);
	assert_int_equal(join_key_parse(slice_from(text), &back), OK);
	assert_true(mesh_key_equal(&k.server, &back.server));
	assert_int_equal(back.url_count, 2);
	assert_string_equal(back.urls[0], k.urls[0]);
	assert_string_equal(back.urls[1], k.urls[1]);
	assert_string_equal(back.secret, "hk-1234");
}

static void test_the_largest_key_fits(void **state)
{
	struct join_key k = { .url_count = JOIN_KEY_URLS_MAX }, back;
	char text[JOIN_KEY_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < k.url_count; i++)
		memset(k.urls[i], 'u', JOIN_KEY_URL_BYTES_MAX);
	memset(k.secret, 's', JOIN_KEY_SECRET_BYTES_MAX);
	assert_int_equal(join_key_text(&k, text), OK);
	assert_int_equal(join_key_parse(slice_from(text), &back), OK);
	assert_memory_equal(&k, &back, sizeof(k));
}

static void test_the_text_does_not_change_between_versions(void **state)
{
	struct join_key k = example();
	char text[JOIN_KEY_TEXT_BYTES];

	(void)state;
	assert_int_equal(join_key_text(&k, text), OK);
	assert_string_equal(text, golden);
}

static void test_every_mistyped_letter_is_seen(void **state)
{
	struct join_key k = example(), back;
	char text[JOIN_KEY_TEXT_BYTES];

	(void)state;
	assert_int_equal(join_key_text(&k, text), OK);
	size_t size = strlen(text);
	for (size_t i = strlen("hanse-join-1-"); i + 1 < size; i++) {
		char was = text[i];
		text[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(join_key_parse(slice_from(text), &back), ERR_CORRUPT);
		text[i] = was;
	}
	for (size_t i = strlen("hanse-join-1-"); i < size; i++)
		assert_int_equal(join_key_parse((struct slice) { (uint8_t *)text, i }, &back),
				 ERR_CORRUPT);
}

static void test_what_is_no_key_is_told_from_a_newer_one(void **state)
{
	struct join_key back;

	(void)state;
	assert_int_equal(join_key_parse(SLICE("hanse-join-2-AAAA"), &back), ERR_UNSUPPORTED);
	assert_int_equal(join_key_parse(SLICE("tskey-auth-1"), &back), ERR_INVALID);
	assert_int_equal(join_key_parse(SLICE(""), &back), ERR_INVALID);
	assert_int_equal(join_key_parse(SLICE("hanse-join-1-"), &back), ERR_CORRUPT);
}

static void test_a_url_with_a_space_is_not_written(void **state)
{
	struct join_key k = example();
	char text[JOIN_KEY_TEXT_BYTES] = "as before";

	(void)state;
	k.urls[0][2] = ' ';
	assert_int_equal(join_key_text(&k, text), ERR_INVALID);
	assert_string_equal(text, "as before");
	k = example();
	k.secret[0] = '\0';
	assert_int_equal(join_key_text(&k, text), ERR_INVALID);
	k = example();
	k.url_count = 0;
	assert_int_equal(join_key_text(&k, text), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_comes_back_from_its_text),
		cmocka_unit_test(test_the_largest_key_fits),
		cmocka_unit_test(test_the_text_does_not_change_between_versions),
		cmocka_unit_test(test_every_mistyped_letter_is_seen),
		cmocka_unit_test(test_what_is_no_key_is_told_from_a_newer_one),
		cmocka_unit_test(test_a_url_with_a_space_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
