#include "wire/crypto/blake2s.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char text[2 * BLAKE2S_BYTES + 1];

	hex_encode(text, (struct slice) { bytes, size });
	assert_string_equal(text, expected);
}

/* RFC 7693, appendix B. */
static void test_abc_has_the_hash_of_the_rfc(void **state)
{
	uint8_t hash[BLAKE2S_BYTES];

	(void)state;
	blake2s_hash(SLICE("a"), SLICE("bc"), hash);
	assert_hex(hash, sizeof(hash),
		   "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
}

/* RFC 7693, appendix E: a hash over hashes of all sizes, keyed and not. */
static void fill(uint8_t *ret, size_t size, uint32_t seed)
{
	uint32_t a = 0xdead4bad * seed, b = 1;

	for (size_t i = 0; i < size; i++) {
		uint32_t t = a + b;

		a = b;
		b = t;
		ret[i] = (uint8_t)(t >> 24);
	}
}

static void test_the_self_test_of_the_rfc_passes(void **state)
{
	static const size_t hash_sizes[] = { 16, 20, 28, 32 };
	static const size_t input_sizes[] = { 0, 3, 64, 65, 255, 1024 };
	uint8_t input[1024], key[32], hash[BLAKE2S_BYTES];
	struct blake2s all, one;

	(void)state;
	blake2s_init(&all, 32, SLICE(""));
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 6; j++) {
			struct slice bytes = { input, input_sizes[j] };

			fill(input, bytes.size, (uint32_t)bytes.size);
			blake2s_init(&one, hash_sizes[i], SLICE(""));
			blake2s_update(&one, bytes);
			blake2s_final(&one, hash);
			blake2s_update(&all, (struct slice) { hash, hash_sizes[i] });
			fill(key, hash_sizes[i], (uint32_t)hash_sizes[i]);
			blake2s_init(&one, hash_sizes[i], (struct slice) { key, hash_sizes[i] });
			blake2s_update(&one, bytes);
			blake2s_final(&one, hash);
			blake2s_update(&all, (struct slice) { hash, hash_sizes[i] });
		}
	blake2s_final(&all, hash);
	assert_hex(hash, sizeof(hash),
		   "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe");
}

static void test_bytes_may_come_in_any_pieces(void **state)
{
	uint8_t input[200], whole[BLAKE2S_BYTES], pieces[BLAKE2S_BYTES];
	struct blake2s h;

	(void)state;
	fill(input, sizeof(input), 7);
	blake2s_hash((struct slice) { input, sizeof(input) }, SLICE(""), whole);
	for (size_t step = 1; step < 130; step++) {
		blake2s_init(&h, BLAKE2S_BYTES, SLICE(""));
		for (size_t at = 0; at < sizeof(input); at += step) {
			size_t left = sizeof(input) - at;

			blake2s_update(&h,
				       (struct slice) { input + at, left < step ? left : step });
		}
		blake2s_final(&h, pieces);
		assert_memory_equal(whole, pieces, sizeof(whole));
	}
}

/* Checked with another implementation: Python's hmac over hashlib.blake2s. */
static void test_hmac_and_hkdf_are_those_of_others(void **state)
{
	uint8_t salt[32], out[3][BLAKE2S_BYTES], first[BLAKE2S_BYTES], mac[BLAKE2S_BYTES];

	(void)state;
	blake2s_hmac(SLICE("key"), SLICE("The quick brown fox"), mac);
	assert_hex(mac, sizeof(mac),
		   "8717096fc5e7ac53d11d990acd4380c9ddd7bd8da5d8b5bc29855e6c98a866a4");
	fill(salt, sizeof(salt), 3);
	blake2s_hmac((struct slice) { salt, 32 }, SLICE("x"), mac);
	assert_hex(mac, sizeof(mac),
		   "c85df6e09a1dd057b692bd641b156fb4e2eea00dae1170dd8f5f831578e11e7f");
	blake2s_hkdf(salt, SLICE("input"), out[0], out[1], out[2]);
	assert_hex(out[0], 32, "05fa81edfcbd8b1bbdc60c117709b81a42549919ebb1e89f0a1ff6c0bb8be9b0");
	assert_hex(out[1], 32, "e37b485d5f24164f67965d92c2c396bd43a9d5b3fc15b0aa78fabbdd7d219d89");
	assert_hex(out[2], 32, "7e1578783f2b66de35103ed6c7efdeeeaf721bd94e980ec0c60c7f1b478c7faf");
	blake2s_hkdf(salt, SLICE("input"), first, NULL, NULL);
	assert_memory_equal(first, out[0], 32);
	blake2s_hkdf(salt, SLICE("input"), salt, NULL, NULL);
	assert_memory_equal(salt, out[0], 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_abc_has_the_hash_of_the_rfc),
		cmocka_unit_test(test_the_self_test_of_the_rfc_passes),
		cmocka_unit_test(test_bytes_may_come_in_any_pieces),
		cmocka_unit_test(test_hmac_and_hkdf_are_those_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
