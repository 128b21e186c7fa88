#include "base/text.h"

#include <stdio.h>

enum { WORD_BYTES_MAX = 63, NEAR_EDITS_MAX = 3 };

enum err text_to_u64(struct slice s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (s.size == 0)
		return ERR_INVALID;
	for (size_t i = 0; i < s.size; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return ERR_INVALID;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.data[i] - '0'), &value) ||
		    value > max)
			return ERR_TOO_BIG;
	}
	*ret = value;
	return OK;
}

void hex_encode(char *ret, struct slice s)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.size; i++) {
		ret[2 * i] = digits[s.data[i] >> 4];
		ret[2 * i + 1] = digits[s.data[i] & 15];
	}
	ret[2 * s.size] = '\0';
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

enum err hex_decode(struct slice hex, uint8_t *ret, size_t size)
{
	if (hex.size != 2 * size)
		return ERR_INVALID;
	for (size_t i = 0; i < hex.size; i++)
		if (hex_digit(hex.data[i]) < 0)
			return ERR_INVALID;
	for (size_t i = 0; i < size; i++)
		ret[i] =
			(uint8_t)(hex_digit(hex.data[2 * i]) * 16 + hex_digit(hex.data[2 * i + 1]));
	return OK;
}

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t row[WORD_BYTES_MAX + 1];

	for (size_t j = 0; j <= b_size; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			size_t above = row[j];
			row[j] = least(row[j] + 1, row[j - 1] + 1,
				       diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_size];
}

const char *text_nearest(const char *given, const char *const *words)
{
	size_t given_size = strlen(given), best_edits = NEAR_EDITS_MAX + 1;
	const char *best = NULL;

	if (given_size > WORD_BYTES_MAX)
		return NULL;
	for (; *words; words++) {
		size_t size = strlen(*words);
		if (size > WORD_BYTES_MAX)
			continue;
		size_t edits = edit_distance(given, given_size, *words, size);
		if (edits < best_edits && edits < size) {
			best = *words;
			best_edits = edits;
		}
	}
	return best;
}

static bool has_byte_of(struct slice s, const char *bytes)
{
	for (size_t i = 0; i < s.size; i++)
		if (s.data[i] && strchr(bytes, s.data[i]))
			return true;
	return false;
}

enum err text_host_port(const char *text, char *host, size_t host_size, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	uint64_t number;

	if (!colon || colon == text)
		return ERR_INVALID;
	enum err err = text_to_u64(slice_from(colon + 1), UINT16_MAX, &number);
	if (err)
		return err;
	struct slice name = { (const uint8_t *)text, (size_t)(colon - text) };
	bool is_bracketed =
		name.size >= 2 && name.data[0] == '[' && name.data[name.size - 1] == ']';
	if (is_bracketed)
		name = slice_part(name, 1, name.size - 2);
	if (name.size == 0 || has_byte_of(name, is_bracketed ? "[]" : "[]:"))
		return ERR_INVALID;
	if (name.size >= host_size)
		return ERR_TOO_BIG;
	memcpy(host, name.data, name.size);
	host[name.size] = '\0';
	*port = (uint16_t)number;
	return OK;
}

void uuid_text(char ret[23], const uint8_t uuid[16])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (int i = 0; i < 22; i++) {
		int bit = i * 6, byte = bit / 8, shift = bit % 8;
		unsigned pair = (unsigned)uuid[byte] << 8 | (byte < 15 ? uuid[byte + 1] : 0u);
		ret[i] = digits[(pair >> (10 - shift)) & 63];
	}
	ret[22] = '\0';
}

size_t utf8_size(struct slice s)
{
	uint8_t first = s.data[0];
	size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (first > 0xf4 || size == 0 || s.size < size)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((s.data[i] & 0xc0) != 0x80)
			return 0;
	if ((first == 0xe0 && s.data[1] < 0xa0) || (first == 0xed && s.data[1] > 0x9f) ||
	    (first == 0xf0 && s.data[1] < 0x90) || (first == 0xf4 && s.data[1] > 0x8f))
		return 0;
	return size;
}
