/* The expected values come from another implementation, plain Python made for that alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "wire/crypto/aead.h"
#include "wire/crypto/box.h"
#include "wire/crypto/x25519.h"
#include "wire/mesh_key.h"

static const struct slice message = { (const uint8_t *)"a message", 9 };

static void count_up(uint8_t *ret, size_t size, uint8_t from)
{
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(from + i);
}

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char text[256];

	hex_encode(text, (struct slice) { bytes, size });
	assert_string_equal(text, expected);
}

static void test_both_sides_share_one_key(void **state)
{
	uint8_t a[32], b[32], a_public[32], b_public[32], ret[32];

	(void)state;
	count_up(a, 32, 0);
	count_up(b, 32, 100);
	x25519_public(a, a_public);
	x25519_public(b, b_public);
	assert_hex(a_public, 32,
		   "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f");
	assert_hex(b_public, 32,
		   "7d9c24316539825c1896e57f28197746793ce60cbee3ad47da9d07b85fa55e2a");
	assert_true(x25519(a, b_public, ret));
	assert_hex(ret, 32, "3ae143fb898911b4591769dc17ca01775cc4cad4d05b8f33a39c79e30fa63a72");
	assert_true(x25519(b, a_public, ret));
	assert_hex(ret, 32, "3ae143fb898911b4591769dc17ca01775cc4cad4d05b8f33a39c79e30fa63a72");
	x25519_clamp(a);
	x25519_public(a, ret);
	assert_memory_equal(ret, a_public, 32);
}

static void test_a_key_of_small_order_is_refused(void **state)
{
	uint8_t a[32], zero[32] = { 0 }, one[32] = { 1 }, ret[32];

	(void)state;
	count_up(a, 32, 0);
	assert_false(x25519(a, zero, ret));
	assert_false(x25519(a, one, ret));
	assert_false(box_shared(a, zero, ret));
}

static void test_what_was_sealed_opens_and_nothing_else(void **state)
{
	uint8_t key[32], nonce[24], sealed[64], opened[64];
	size_t size = message.size + AEAD_TAG_BYTES;

	(void)state;
	count_up(key, 32, 0);
	count_up(nonce, 24, 0);
	aead_seal(key, nonce, SLICE("with this"), message, sealed);
	assert_hex(sealed, size, "e8db65655a64c427d2f20453ea047f7d3fcb5390d9f3272577");
	assert_true(
		aead_open(key, nonce, SLICE("with this"), (struct slice) { sealed, size }, opened));
	assert_memory_equal(opened, message.data, message.size);
	assert_false(
		aead_open(key, nonce, SLICE("with that"), (struct slice) { sealed, size }, opened));
	assert_false(
		aead_open(key, nonce, SLICE("with this"), (struct slice) { sealed, 15 }, opened));
	sealed[size - 1] ^= 1;
	assert_false(
		aead_open(key, nonce, SLICE("with this"), (struct slice) { sealed, size }, opened));
}

/* libsodium's is another implementation; sizes on both sides of every block and of what OpenSSL
 * makes at once. */
static void test_bulk_is_what_libsodium_makes(void **state)
{
	enum { SIZE_MAX_TRIED = 2200 };
	static uint8_t plain[AEAD_BULK_BYTES_MAX], bulk[AEAD_BULK_BYTES_MAX + AEAD_TAG_BYTES];
	static uint8_t other[AEAD_BULK_BYTES_MAX + AEAD_TAG_BYTES];
	struct aead_bulk *b = aead_bulk_new();
	uint8_t key[32], nonce[12] = { 0 };

	(void)state;
	count_up(plain, sizeof(plain), 3);
	for (size_t i = 0; i <= SIZE_MAX_TRIED + 1; i++) {
		size_t size = i <= SIZE_MAX_TRIED ? i : AEAD_BULK_BYTES_MAX;
		uint64_t counter = i * 0x0123456789abcdefull;

		count_up(key, 32, (uint8_t)i);
		memcpy(nonce + 4, &counter, sizeof(counter));
		memcpy(bulk, plain, size);
		aead_bulk_seal(b, key, counter, bulk, size);
		aead_seal(key, nonce, (struct slice) { 0 }, (struct slice) { plain, size }, other);
		assert_memory_equal(bulk, other, size + AEAD_TAG_BYTES);
		assert_true(aead_bulk_open(b, key, counter, bulk, size + AEAD_TAG_BYTES));
		assert_memory_equal(bulk, plain, size);
	}
	assert_false(aead_bulk_open(b, key, 0, bulk, sizeof(bulk) + 1));
	aead_bulk_free(b);
}

static void test_forged_bulk_stays_as_it_is(void **state)
{
	struct aead_bulk *b = aead_bulk_new();
	uint8_t key[32], sealed[116], tried[116];

	(void)state;
	count_up(key, 32, 0);
	count_up(sealed, 100, 9);
	aead_bulk_seal(b, key, 5, sealed, 100);
	for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memcpy(tried, sealed, sizeof(sealed));
		assert_false(aead_bulk_open(b, key, 5, tried, sizeof(tried)));
		assert_memory_equal(tried, sealed, sizeof(sealed));
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < sizeof(sealed); size++)
		assert_false(aead_bulk_open(b, key, 5, sealed, size));
	assert_false(aead_bulk_open(b, key, 6, sealed, sizeof(sealed)));
	key[31] ^= 1;
	assert_false(aead_bulk_open(b, key, 5, sealed, sizeof(sealed)));
	key[31] ^= 1;
	assert_true(aead_bulk_open(b, key, 5, sealed, sizeof(sealed)));
	aead_bulk_free(b);
}

static void test_the_long_nonce_counts_whole(void **state)
{
	uint8_t key[32], nonce[24], sealed[64], opened[64];
	size_t size = message.size + AEAD_TAG_BYTES;

	(void)state;
	count_up(key, 32, 0);
	count_up(nonce, 24, 0);
	xaead_seal(key, nonce, SLICE("with this"), message, sealed);
	assert_hex(sealed, size, "ffe2621ae3a1ecc956facc8fafd209e7f185435e4295df8bca");
	assert_true(xaead_open(key, nonce, SLICE("with this"), (struct slice) { sealed, size },
			       opened));
	assert_memory_equal(opened, message.data, message.size);
	nonce[23] ^= 1;
	assert_false(xaead_open(key, nonce, SLICE("with this"), (struct slice) { sealed, size },
				opened));
}

static void test_a_box_opens_on_the_other_side(void **state)
{
	uint8_t a[32], b[32], a_public[32], b_public[32], shared[32], nonce[24];
	uint8_t sealed[64], opened[64];
	size_t size = message.size + BOX_TAG_BYTES;

	(void)state;
	count_up(a, 32, 0);
	count_up(b, 32, 100);
	count_up(nonce, 24, 0);
	x25519_public(a, a_public);
	x25519_public(b, b_public);
	assert_true(box_shared(a, b_public, shared));
	assert_hex(shared, 32, "20c410df7f451bbb8784e165024d5b80c4095d74a33c9fa41bacf4a54a43d5f1");
	box_seal(shared, nonce, message, sealed);
	assert_hex(sealed, size, "829eefeb30fb05b0d11f7ea53ba5d7d22f2a9a5cd26ac08426");
	assert_true(box_shared(b, a_public, shared));
	assert_true(box_open(shared, nonce, (struct slice) { sealed, size }, opened));
	assert_memory_equal(opened, message.data, message.size);
	assert_false(box_open(shared, nonce, (struct slice) { sealed, 15 }, opened));
	sealed[0] ^= 1;
	assert_false(box_open(shared, nonce, (struct slice) { sealed, size }, opened));
}

static void test_keys_have_one_text_for_each_kind(void **state)
{
	struct mesh_key key, parsed;
	char text[MESH_KEY_TEXT_BYTES];

	(void)state;
	count_up(key.bytes, 32, 0xa0);
	for (enum mesh_key_kind kind = MESH_KEY_MACHINE; kind <= MESH_KEY_PRIVATE; kind++) {
		enum mesh_key_kind other = kind ? MESH_KEY_MACHINE : MESH_KEY_NODE;

		mesh_key_text(kind, &key, text);
		assert_int_equal(mesh_key_parse(kind, slice_from(text), &parsed), OK);
		assert_true(mesh_key_equal(&key, &parsed));
		assert_int_equal(mesh_key_parse(other, slice_from(text), &parsed), ERR_INVALID);
		text[strlen(text) - 1] = 'g';
		assert_int_equal(mesh_key_parse(kind, slice_from(text), &parsed), ERR_INVALID);
		text[strlen(text) - 1] = '\0';
		assert_int_equal(mesh_key_parse(kind, slice_from(text), &parsed), ERR_INVALID);
	}
}

static void test_hex_of_either_case_is_read_and_zeros_are_a_key(void **state)
{
	static const char text[] =
		"mkey:00000000000000000000000000000000000000000000000000000000000000aF";
	struct mesh_key parsed;

	(void)state;
	assert_int_equal(mesh_key_parse(MESH_KEY_MACHINE, slice_from(text), &parsed), OK);
	assert_int_equal(parsed.bytes[31], 0xaf);
	assert_false(mesh_key_is_zero(&parsed));
	parsed.bytes[31] = 0;
	assert_true(mesh_key_is_zero(&parsed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides_share_one_key),
		cmocka_unit_test(test_a_key_of_small_order_is_refused),
		cmocka_unit_test(test_what_was_sealed_opens_and_nothing_else),
		cmocka_unit_test(test_bulk_is_what_libsodium_makes),
		cmocka_unit_test(test_forged_bulk_stays_as_it_is),
		cmocka_unit_test(test_the_long_nonce_counts_whole),
		cmocka_unit_test(test_a_box_opens_on_the_other_side),
		cmocka_unit_test(test_keys_have_one_text_for_each_kind),
		cmocka_unit_test(test_hex_of_either_case_is_read_and_zeros_are_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
