/* The recovery key: the root and a checksum as letters that people can read out and type.
 *
 *	hanse-key-1-XXXX-XXXX- ... -XXXX
 *	            280 bits in 56 symbols of Crockford's base32, the highest bit first:
 *	            root (32 bytes) | SHA-256("hanse recovery key 1" | root), the first 3 bytes
 *
 * The letters of the prefix are symbols too, so one rule reads all of it: case, hyphens and spaces
 * do not matter, O is 0, I and L are 1.  A mistyped key passes once in 16 million. */
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "wire/keys/hkdf.h"
#include "wire/keys/keyring.h"

#define PREFIX "HANSEKEY1"
enum {
	PREFIX_SYMBOLS = sizeof(PREFIX) - 1,
	CHECK_BYTES = 3,
	CODE_BYTES = KEY_BYTES + CHECK_BYTES,
	CODE_SYMBOLS = CODE_BYTES * 8 / 5,
	SYMBOLS = PREFIX_SYMBOLS + CODE_SYMBOLS,
	GROUP_SYMBOLS = 4,
	NO_SYMBOL = 255,
};
_Static_assert(CODE_BYTES * 8 == CODE_SYMBOLS * 5, "no bits are left over");

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint8_t symbol_of(uint8_t c)
{
	const char *at;

	if (c >= 'a' && c <= 'z')
		c = (uint8_t)(c - 'a' + 'A');
	if (c == 'O')
		c = '0';
	if (c == 'I' || c == 'L')
		c = '1';
	at = c ? (const char *)memchr(alphabet, c, sizeof(alphabet) - 1) : NULL;
	return at ? (uint8_t)(at - alphabet) : NO_SYMBOL;
}

static void checksum(const uint8_t root[KEY_BYTES], uint8_t ret[CHECK_BYTES])
{
	static const char label[] = "hanse recovery key 1";
	uint8_t text[sizeof(label) - 1 + KEY_BYTES], hash[SHA256_BYTES];
	unsigned size = 0;
	int ok;

	memcpy(text, label, sizeof(label) - 1);
	memcpy(text + sizeof(label) - 1, root, KEY_BYTES);
	ok = EVP_Digest(text, sizeof(text), hash, &size, EVP_sha256(), NULL);
	assert(ok && size == sizeof(hash));
	memcpy(ret, hash, CHECK_BYTES);
	OPENSSL_cleanse(text, sizeof(text));
}

void recovery_key_encode(char ret[RECOVERY_KEY_TEXT_BYTES], const uint8_t root[KEY_BYTES])
{
	uint8_t code[CODE_BYTES];
	char *out = ret;

	memcpy(code, root, KEY_BYTES);
	checksum(root, code + KEY_BYTES);
	out += snprintf(out, RECOVERY_KEY_TEXT_BYTES, "hanse-key-1");
	for (size_t i = 0; i < CODE_SYMBOLS; i++) {
		unsigned symbol = 0;

		for (size_t bit = 5 * i; bit < 5 * i + 5; bit++)
			symbol = symbol << 1 | ((code[bit / 8] >> (7 - bit % 8)) & 1);
		if (i % GROUP_SYMBOLS == 0)
			*out++ = '-';
		*out++ = alphabet[symbol];
	}
	*out++ = 0;
	assert(out == ret + RECOVERY_KEY_TEXT_BYTES);
	OPENSSL_cleanse(code, sizeof(code));
}

/* How many symbols there are, the first ones in `symbols`. */
static enum err read_symbols(struct slice text, uint8_t symbols[SYMBOLS], size_t *ret_count,
			     char why[KEYRING_WHY_BYTES])
{
	size_t count = 0;

	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i], symbol = symbol_of(c);

		if (c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (symbol == NO_SYMBOL) {
			snprintf(why, KEYRING_WHY_BYTES,
				 "recovery keys have no such letter as the one at place %zu "
				 "(there is no U in them)",
				 i + 1);
			return ERR_INVALID;
		}
		if (count < SYMBOLS)
			symbols[count] = symbol;
		count++;
	}
	*ret_count = count;
	return OK;
}

static enum err check_prefix(const uint8_t *symbols, size_t count, char why[KEYRING_WHY_BYTES])
{
	size_t same = 0;

	while (same < PREFIX_SYMBOLS && same < count &&
	       symbols[same] == symbol_of((uint8_t)PREFIX[same]))
		same++;
	if (same == PREFIX_SYMBOLS - 1 && same < count) {
		snprintf(why, KEYRING_WHY_BYTES,
			 "a recovery key of version %c: this program knows version 1",
			 alphabet[symbols[same]]);
		return ERR_UNSUPPORTED;
	}
	if (same < PREFIX_SYMBOLS) {
		snprintf(why, KEYRING_WHY_BYTES, "no key: a recovery key begins with hanse-key-1-");
		return ERR_INVALID;
	}
	if (count != SYMBOLS) {
		snprintf(
			why, KEYRING_WHY_BYTES,
			"a recovery key has %d letters and digits after hanse-key-1-, here are %zu",
			CODE_SYMBOLS, count - PREFIX_SYMBOLS);
		return ERR_INVALID;
	}
	return OK;
}

enum err recovery_key_parse(struct slice text, uint8_t ret[KEY_BYTES], char why[KEYRING_WHY_BYTES])
{
	uint8_t symbols[SYMBOLS] = { 0 }, code[CODE_BYTES] = { 0 }, check[CHECK_BYTES];
	size_t count = 0;
	enum err err = read_symbols(text, symbols, &count, why);

	if (!err)
		err = check_prefix(symbols, count, why);
	if (err)
		goto out;
	for (size_t bit = 0; bit < CODE_BYTES * 8; bit++) {
		unsigned value = (symbols[PREFIX_SYMBOLS + bit / 5] >> (4 - bit % 5)) & 1;

		code[bit / 8] = (uint8_t)(code[bit / 8] | value << (7 - bit % 8));
	}
	checksum(code, check);
	if (memcmp(check, code + KEY_BYTES, CHECK_BYTES) != 0) {
		snprintf(
			why, KEYRING_WHY_BYTES,
			"there is a typing mistake in the recovery key: its checksum does not fit");
		err = ERR_INVALID;
		goto out;
	}
	memcpy(ret, code, KEY_BYTES);
out:
	OPENSSL_cleanse(symbols, sizeof(symbols));
	OPENSSL_cleanse(code, sizeof(code));
	return err;
}
