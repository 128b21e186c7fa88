/* hanse-join-1- and unpadded base64url of:
 *
 *	| server key 32 | urls 1 | (size 1, URL) ... | size 1, secret | CRC-32C 4 |
 *
 * The checksum is of all that stands before it: a key that was cut off or mistyped is told from one
 * that control refuses. */
#include "wire/join_key.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "wire/crypto/wipe.h"

enum {
	BYTES_MAX = MESH_KEY_BYTES + 1 + JOIN_KEY_URLS_MAX * (1 + JOIN_KEY_URL_BYTES_MAX) + 1 +
		    JOIN_KEY_SECRET_BYTES_MAX + 4,
};

static const char prefix[] = "hanse-join-1-";
static const char any_version[] = "hanse-join-";
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

_Static_assert(sizeof(prefix) + (BYTES_MAX * 4 + 2) / 3 <= JOIN_KEY_TEXT_BYTES, "it fits");

/* --- base64url -------------------------------------------------------------------------------- */
static size_t put_base64(const uint8_t *bytes, size_t size, char *ret)
{
	size_t used = 0;

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t group = (uint32_t)bytes[i] << 16;

		if (left > 1)
			group |= (uint32_t)bytes[i + 1] << 8;
		if (left > 2)
			group |= bytes[i + 2];
		for (size_t j = 0; j < (left > 2 ? 4 : left + 1); j++)
			ret[used++] = alphabet[group >> (18 - 6 * j) & 63];
	}
	ret[used] = '\0';
	return used;
}

static enum err get_base64(struct slice text, uint8_t ret[BYTES_MAX], size_t *ret_size)
{
	uint32_t group = 0;
	unsigned bits = 0;
	size_t size = 0;

	for (size_t i = 0; i < text.size; i++) {
		const char *at = text.data[i] ? strchr(alphabet, text.data[i]) : NULL;

		if (!at || size == BYTES_MAX)
			return ERR_CORRUPT;
		group = (group << 6 | (uint32_t)(at - alphabet)) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			ret[size++] = (uint8_t)(group >> bits);
		}
	}
	*ret_size = size;
	return OK;
}

/* --- writing ---------------------------------------------------------------------------------- */
static bool is_text(const char *text, size_t max)
{
	size_t size = strnlen(text, max + 1);

	for (size_t i = 0; i < size; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return size > 0 && size <= max;
}

static size_t put_text(uint8_t *at, const char *text)
{
	size_t size = strlen(text);

	at[0] = (uint8_t)size;
	memcpy(at + 1, text, size);
	return size + 1;
}

enum err join_key_text(const struct join_key *k, char ret[JOIN_KEY_TEXT_BYTES])
{
	uint8_t bytes[BYTES_MAX];
	size_t size = MESH_KEY_BYTES;

	if (k->url_count == 0 || k->url_count > JOIN_KEY_URLS_MAX ||
	    !is_text(k->secret, JOIN_KEY_SECRET_BYTES_MAX))
		return ERR_INVALID;
	for (size_t i = 0; i < k->url_count; i++)
		if (!is_text(k->urls[i], JOIN_KEY_URL_BYTES_MAX))
			return ERR_INVALID;
	memcpy(bytes, k->server.bytes, MESH_KEY_BYTES);
	bytes[size++] = (uint8_t)k->url_count;
	for (size_t i = 0; i < k->url_count; i++)
		size += put_text(bytes + size, k->urls[i]);
	size += put_text(bytes + size, k->secret);
	put_u32(bytes + size, crc32c((struct slice) { bytes, size }));
	size += 4;
	memcpy(ret, prefix, sizeof(prefix) - 1);
	put_base64(bytes, size, ret + sizeof(prefix) - 1);
	crypto_wipe(bytes, sizeof(bytes));
	return OK;
}

/* --- reading ---------------------------------------------------------------------------------- */
static bool take_text(struct slice *rest, size_t max, char *ret)
{
	if (rest->size == 0 || rest->data[0] > max || rest->data[0] >= rest->size)
		return false;
	size_t size = rest->data[0];
	memcpy(ret, rest->data + 1, size);
	ret[size] = '\0';
	*rest = slice_part(*rest, size + 1, rest->size);
	return strlen(ret) == size && is_text(ret, max);
}

static enum err read_fields(struct slice rest, struct join_key *ret)
{
	struct join_key k = { .url_count = 0 };

	if (rest.size < MESH_KEY_BYTES + 1)
		return ERR_CORRUPT;
	memcpy(k.server.bytes, rest.data, MESH_KEY_BYTES);
	k.url_count = rest.data[MESH_KEY_BYTES];
	rest = slice_part(rest, MESH_KEY_BYTES + 1, rest.size);
	if (k.url_count == 0 || k.url_count > JOIN_KEY_URLS_MAX)
		return ERR_CORRUPT;
	for (size_t i = 0; i < k.url_count; i++)
		if (!take_text(&rest, JOIN_KEY_URL_BYTES_MAX, k.urls[i]))
			return ERR_CORRUPT;
	if (!take_text(&rest, JOIN_KEY_SECRET_BYTES_MAX, k.secret) || rest.size != 0)
		return ERR_CORRUPT;
	*ret = k;
	crypto_wipe(&k, sizeof(k));
	return OK;
}

enum err join_key_parse(struct slice text, struct join_key *ret)
{
	uint8_t bytes[BYTES_MAX];
	size_t size;

	if (!slice_starts_with(text, slice_from(prefix)))
		return slice_starts_with(text, slice_from(any_version)) ? ERR_UNSUPPORTED
									: ERR_INVALID;
	enum err err = get_base64(slice_part(text, sizeof(prefix) - 1, text.size), bytes, &size);
	if (!err &&
	    (size < 4 || crc32c((struct slice) { bytes, size - 4 }) != get_u32(bytes + size - 4)))
		err = ERR_CORRUPT;
	if (!err)
		err = read_fields((struct slice) { bytes, size - 4 }, ret);
	crypto_wipe(bytes, sizeof(bytes));
	return err;
}
