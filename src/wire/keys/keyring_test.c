/* What the expected keys are was computed with hashlib and hmac of Python and with its integers
 * (doc/formats/keys.md). */
#include "wire/keys/keyring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/scope.h"
#include "base/text.h"
#include "wire/keys/hkdf.h"

#define ID "f2a0a52a6529c626cbe714a30a495b7e"
#define RECOVERY_KEY                                                                               \
	"hanse-key-1-000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFN-PSEP"

static struct keyring example(void)
{
	uint8_t root[KEY_BYTES];
	struct keyring k;

	for (size_t i = 0; i < sizeof(root); i++)
		root[i] = (uint8_t)i;
	keyring_from_root(&k, root);
	return k;
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char hex[256];

	hex_encode(hex, (struct slice) { bytes, size });
	assert_string_equal(hex, expected);
}

static struct buf read_file(const char *name)
{
	char path[64], bytes[KEY_FILE_BYTES_MAX];
	struct buf b;

	snprintf(path, sizeof(path), "test/corpus/keys/%s", name);
	AUTO_FILE file = fopen(path, "r");
	assert_non_null(file);
	buf_init(&b);
	buf_add(&b, bytes, fread(bytes, 1, sizeof(bytes), file));
	return b;
}

static struct keyring parse_file(const char *name)
{
	char why[KEYRING_WHY_BYTES];
	struct buf text = read_file(name);
	struct keyring k;

	assert_int_equal(keyring_parse(buf_slice(&text), &k, why), OK);
	buf_done(&text);
	return k;
}

/* --- derivation ------------------------------------------------------------------------------ */
static void test_hkdf_is_that_of_the_rfc(void **state)
{
	(void)state;
	static const uint8_t key[22] = { [0 ... 21] = 0x0b };
	static const uint8_t salt[13] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	static const uint8_t info[10] = {
		0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9
	};
	uint8_t out[42];

	hkdf_sha256(out, sizeof(out), (struct slice) { key, 22 }, (struct slice) { salt, 13 },
		    (struct slice) { info, 10 });
	assert_hex(out, sizeof(out),
		   "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
		   "34007208d5b887185865");
	hkdf_sha256(out, sizeof(out), (struct slice) { key, 22 }, SLICE(""), SLICE(""));
	assert_hex(out, sizeof(out),
		   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
		   "9d201395faa4b61a96c8");
}

static void test_everything_follows_from_the_root(void **state)
{
	(void)state;
	static const struct {
		enum key_part part;
		const char *expected;
	} parts[] = {
		{ KEY_ROOT, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" },
		{ KEY_CLUSTER, "7809564a0a281c65f22cd6939af3c3abb7425e1efcb895bdb76ca5aad56288c0" },
		{ KEY_JOURNAL, "0c8967021e34582acb8b9375983a02037ef46ce859870acd1e37ea8c04bf82c7" },
		{ KEY_DATA, "acddefad56a79acd561333fe33369c2623d29e5007e80972f470954136dfd559" },
		{ KEY_CONTROL_SEED,
		  "376747ffe8d5f07ca21d7445357a1de603c30a88f3cc71d11c1c86d8893f37d6" },
		{ KEY_CONTROL_PUBLIC,
		  "c1b414a64f77148b8ce796e6cca7e4858209b943676f79d42b805935aa8edeee" },
		{ KEY_AGENTS_SEED,
		  "2151ab275ba3ea8ec9bd31237cf45f07b9fae68b12bba1a9f0f1122451b6506a" },
		{ KEY_AGENTS_PUBLIC,
		  "338d03cac6704d0bcb66755b444717b41598d2627f72caa9c229ca7d1db51b86" },
	};
	struct keyring k = example();
	char id[KEY_ID_TEXT_BYTES];

	_Static_assert(sizeof(parts) / sizeof(*parts) == KEY_PART_COUNT, "every part is tested");
	for (size_t i = 0; i < KEY_PART_COUNT; i++)
		assert_hex(keyring_get(&k, parts[i].part), KEY_BYTES, parts[i].expected);
	keyring_id_text(&k, id);
	assert_string_equal(id, ID);
}

static void test_nothing_is_left_of_a_keyring_that_is_done(void **state)
{
	(void)state;
	static const struct keyring nothing;
	struct keyring k = example();

	keyring_done(&k);
	assert_memory_equal(&k, &nothing, sizeof(k));
}

/* --- roles ----------------------------------------------------------------------------------- */
static void assert_parts(const struct keyring *k, const enum key_part *expected, size_t count)
{
	unsigned parts = 0;

	for (size_t i = 0; i < count; i++) {
		assert_true(keyring_has(k, expected[i]));
		parts |= 1u << expected[i];
	}
	assert_int_equal(k->parts, parts);
	for (unsigned i = 0; i < KEY_PART_COUNT; i++)
		if (!keyring_has(k, i))
			for (size_t j = 0; j < KEY_BYTES; j++)
				assert_int_equal(k->keys[i][j], 0);
}

static void test_a_role_has_its_part_and_nothing_else(void **state)
{
	(void)state;
	static const enum key_part control[] = { KEY_CLUSTER, KEY_JOURNAL, KEY_CONTROL_SEED,
						 KEY_CONTROL_PUBLIC, KEY_AGENTS_PUBLIC };
	static const enum key_part streams[] = { KEY_CLUSTER, KEY_DATA, KEY_AGENTS_SEED,
						 KEY_AGENTS_PUBLIC, KEY_CONTROL_PUBLIC };
	struct keyring whole = example(), part, again;

	assert_int_equal(keyring_for_role(&whole, KEY_ROLE_CONTROL, &part), OK);
	assert_parts(&part, control, 5);
	assert_int_equal(keyring_for_role(&part, KEY_ROLE_STREAMS, &again), ERR_DENIED);
	assert_int_equal(keyring_for_role(&part, KEY_ROLE_CONTROL, &again), OK);
	assert_memory_equal(&part, &again, sizeof(part));

	assert_int_equal(keyring_for_role(&whole, KEY_ROLE_STREAMS, &part), OK);
	assert_parts(&part, streams, 5);
	assert_memory_equal(part.id, whole.id, KEY_ID_BYTES);
	for (size_t i = 0; i < 5; i++)
		assert_memory_equal(keyring_get(&part, streams[i]), keyring_get(&whole, streams[i]),
				    KEY_BYTES);
	assert_int_equal(keyring_for_role(&part, KEY_ROLE_CONTROL, &again), ERR_DENIED);
}

/* --- texts ----------------------------------------------------------------------------------- */
static void assert_written_as(const struct keyring *k, const char *name)
{
	struct buf expected = read_file(name), written;

	buf_init(&written);
	keyring_encode(k, &written);
	assert_int_equal(written.size, expected.size);
	assert_memory_equal(written.data, expected.data, written.size);
	buf_done(&written);
	buf_done(&expected);
}

static void test_key_files_are_read_and_written(void **state)
{
	(void)state;
	struct keyring whole = example(), part, read;

	read = parse_file("whole"); /* it has a comment */
	assert_memory_equal(&read, &whole, sizeof(read));

	assert_int_equal(keyring_for_role(&whole, KEY_ROLE_CONTROL, &part), OK);
	assert_written_as(&part, "control");
	read = parse_file("control");
	assert_memory_equal(&read, &part, sizeof(read));

	assert_int_equal(keyring_for_role(&whole, KEY_ROLE_STREAMS, &part), OK);
	assert_written_as(&part, "streams");
	read = parse_file("streams");
	assert_memory_equal(&read, &part, sizeof(read));
}

static void test_the_recovery_key_is_written_as_documented(void **state)
{
	(void)state;
	char text[RECOVERY_KEY_TEXT_BYTES];
	struct keyring k = example();

	recovery_key_encode(text, keyring_get(&k, KEY_ROOT));
	assert_string_equal(text, RECOVERY_KEY);
}

static void test_people_may_type_the_recovery_key_as_they_like(void **state)
{
	(void)state;
	static const char *const texts[] = {
		RECOVERY_KEY,
		"HANSE-KEY-1-000G-40R4-0M30-E209-185G-R38E-1W81-24GK-2GAH-C5RR-34D1-P70X-3RFN-PSEP",
		"hanse key 1 000g40r40m30e209185gr38e1w8124gk2gahc5rr34d1p70x3rfnpsep",
		"hansekeyloOog4or4om3oe2o9l85gr38elw8l24gk2gahc5rr34dip7ox3rfnpsep",
		"hanse-key-1-\n  000G-40R4-0M30-E209-185G-R38E-1W81\r\n# the second half\n"
		"  24GK-2GAH-C5RR-34D1-P70X-3RFN-PSEP\n\n",
	};
	char why[KEYRING_WHY_BYTES];
	struct keyring whole = example(), k;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(keyring_parse(slice_from(texts[i]), &k, why), OK);
		assert_memory_equal(&k, &whole, sizeof(k));
	}
}

static void assert_refused(const char *text, enum err expected, const char *sentence)
{
	char why[KEYRING_WHY_BYTES] = "";
	struct keyring k, before;

	memset(&k, 0x5a, sizeof(k));
	before = k;
	assert_int_equal(keyring_parse(slice_from(text), &k, why), expected);
	if (!strstr(why, sentence))
		fail_msg("\"%s\" does not say \"%s\"", why, sentence);
	assert_memory_equal(&k, &before, sizeof(k));
}

static void test_a_wrong_recovery_key_is_refused_with_a_sentence(void **state)
{
	(void)state;
	assert_refused("", ERR_INVALID, "there is no key in it");
	assert_refused("# nothing\n\n", ERR_INVALID, "there is no key in it");
	assert_refused("secret", ERR_INVALID, "begins with hanse-key-1-");
	assert_refused("hanse-key-1-000G-40R4", ERR_INVALID,
		       "has 56 letters and digits after "
		       "hanse-key-1-, here are 8");
	assert_refused("hanse-key-1-U00G", ERR_INVALID, "at place 13 (there is no U in them)");
	assert_refused("hanse-key-2-000G", ERR_UNSUPPORTED, "version 2");
}

/* One wrong symbol, or two neighbours the other way round: what people do. */
static void test_every_typing_mistake_is_told(void **state)
{
	(void)state;
	static const char symbols[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	char text[] = RECOVERY_KEY;

	for (size_t i = strlen("hanse-key-1-"); text[i]; i++) {
		char right = text[i], next = text[i + 1];

		if (right == '-')
			continue;
		for (size_t j = 0; symbols[j]; j++) {
			text[i] = symbols[j];
			if (symbols[j] != right)
				assert_refused(text, ERR_INVALID, "typing mistake");
		}
		text[i] = right;
		if (next && next != '-' && next != right) {
			text[i] = next;
			text[i + 1] = right;
			assert_refused(text, ERR_INVALID, "typing mistake");
			text[i] = right;
			text[i + 1] = next;
		}
	}
}

static void test_a_changed_part_is_refused(void **state)
{
	(void)state;
	struct buf text = read_file("streams");
	char why[KEYRING_WHY_BYTES];
	struct keyring k;

	for (size_t i = 0; i < text.size; i++) {
		uint8_t was = text.data[i];

		if (was == '\n' || was == ' ')
			continue;
		text.data[i] = was == '7' ? '8' : '7';
		assert_int_not_equal(keyring_parse(buf_slice(&text), &k, why), OK);
		text.data[i] = was;
		if (i + 1 < text.size) /* cut off */
			assert_int_not_equal(keyring_parse(slice_part(buf_slice(&text), 0, i), &k,
							   why),
					     OK);
	}
	assert_int_equal(keyring_parse(buf_slice(&text), &k, why), OK);
	buf_done(&text);
	assert_refused("hanse-part-1 console\n", ERR_INVALID, "\"hanse key derive\"");
	assert_refused("hanse-part-2 control\n", ERR_UNSUPPORTED, "newer form");
}

static void test_a_file_that_is_no_key_file_is_too_big(void **state)
{
	(void)state;
	static uint8_t bytes[KEY_FILE_BYTES_MAX + 1];
	char why[KEYRING_WHY_BYTES];
	struct keyring k;

	assert_int_equal(keyring_parse((struct slice) { bytes, sizeof(bytes) }, &k, why),
			 ERR_TOO_BIG);
	assert_int_equal(keyring_parse((struct slice) { bytes, sizeof(bytes) - 1 }, &k, why),
			 ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hkdf_is_that_of_the_rfc),
		cmocka_unit_test(test_everything_follows_from_the_root),
		cmocka_unit_test(test_nothing_is_left_of_a_keyring_that_is_done),
		cmocka_unit_test(test_a_role_has_its_part_and_nothing_else),
		cmocka_unit_test(test_key_files_are_read_and_written),
		cmocka_unit_test(test_the_recovery_key_is_written_as_documented),
		cmocka_unit_test(test_people_may_type_the_recovery_key_as_they_like),
		cmocka_unit_test(test_a_wrong_recovery_key_is_refused_with_a_sentence),
		cmocka_unit_test(test_every_typing_mistake_is_told),
		cmocka_unit_test(test_a_changed_part_is_refused),
		cmocka_unit_test(test_a_file_that_is_no_key_file_is_too_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
