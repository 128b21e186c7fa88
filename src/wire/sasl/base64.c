#include "wire/sasl/base64.h"

static const char ordinary[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char of_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64_add(struct buf *out, struct slice bytes)
{
	for (size_t i = 0; i < bytes.size; i += 3) {
		size_t left = bytes.size - i;
		uint32_t bits = (uint32_t)bytes.data[i] << 16;

		if (left > 1)
			bits |= (uint32_t)bytes.data[i + 1] << 8;
		if (left > 2)
			bits |= bytes.data[i + 2];
		buf_add_u8(out, (uint8_t)ordinary[bits >> 18]);
		buf_add_u8(out, (uint8_t)ordinary[bits >> 12 & 63]);
		buf_add_u8(out, left > 1 ? (uint8_t)ordinary[bits >> 6 & 63] : '=');
		buf_add_u8(out, left > 2 ? (uint8_t)ordinary[bits & 63] : '=');
	}
}

static int value_of(const char *alphabet, uint8_t c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

/* Without padding. */
static enum err decode(struct arena *a, const char *alphabet, struct slice text, struct slice *ret)
{
	uint8_t *bytes = arena_take(a, text.size / 4 * 3 + 3);
	size_t size = 0;
	uint32_t bits = 0;
	unsigned count = 0;

	if (text.size % 4 == 1)
		return ERR_INVALID;
	for (size_t i = 0; i < text.size; i++) {
		int value = value_of(alphabet, text.data[i]);
		if (value < 0)
			return ERR_INVALID;
		bits = bits << 6 | (uint32_t)value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			bytes[size++] = (uint8_t)(bits >> count);
			bits &= (1u << count) - 1;
		}
	}
	if (bits)
		return ERR_INVALID; /* bits that belong to no byte */
	*ret = (struct slice) { bytes, size };
	return OK;
}

enum err base64_decode(struct arena *a, struct slice text, struct slice *ret)
{
	if (text.size % 4 != 0)
		return ERR_INVALID;
	for (int i = 0; i < 2 && text.size && text.data[text.size - 1] == '='; i++)
		text.size--;
	return decode(a, ordinary, text, ret);
}

enum err base64url_decode(struct arena *a, struct slice text, struct slice *ret)
{
	return decode(a, of_urls, text, ret);
}
