#include "wire/taildrop.h"

#include <ctype.h>
#include <jansson.h>
#include <openssl/sha.h>

#include "base/text.h"

enum { BLOCK_TEXT_BYTES_MAX = 1024 };

/* --- UTF-8 ------------------------------------------------------------------------------------ */

/* The bytes of the first character, or 0: it is none. */
static size_t character_bytes(struct slice s)
{
	uint32_t value;
	size_t size = s.data[0] < 0x80	  ? 1
		      : s.data[0] >= 0xf0 ? 4
		      : s.data[0] >= 0xe0 ? 3
		      : s.data[0] >= 0xc2 ? 2
					  : 0;

	if (size <= 1)
		return size;
	if (size > s.size || s.data[0] > 0xf4)
		return 0;
	value = s.data[0] & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if ((s.data[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s.data[i] & 0x3fu);
	}
	bool is_short = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
	bool is_surrogate = value >= 0xd800 && value < 0xe000;
	return is_short || is_surrogate || value > 0x10ffff ? 0 : size;
}

/* Control characters, and those that turn the direction of what follows. */
static bool is_invisible(struct slice character)
{
	const uint8_t *p = character.data;

	if (character.size == 1)
		return *p < 0x20 || *p == 0x7f;
	if (character.size == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	return character.size == 3 && p[0] == 0xe2 &&
	       ((p[1] == 0x80 && (p[2] >= 0xa8 && p[2] <= 0xae)) ||
		(p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* --- names ------------------------------------------------------------------------------------ */

static int hex_value(uint8_t c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static bool ends_with(struct slice s, struct slice end)
{
	return s.size >= end.size && slice_equal(slice_part(s, s.size - end.size, end.size), end);
}

static const char *part_fault(struct slice part)
{
	if (part.size == 0)
		return "has an empty part";
	if (slice_equal(part, SLICE(".")) || slice_equal(part, SLICE("..")))
		return "leads somewhere else";
	if (part.data[0] == ' ' || part.data[part.size - 1] == ' ')
		return "begins or ends with a space";
	for (size_t i = 0, size; i < part.size; i += size) {
		struct slice rest = slice_part(part, i, part.size);
		size = character_bytes(rest);
		if (size == 0)
			return "is not UTF-8";
		if (is_invisible(slice_part(rest, 0, size)))
			return "has control characters";
	}
	return NULL;
}

enum err drop_name_check(struct slice name, const char **ret_why)
{
	size_t depth = 0;

	*ret_why = "is too long";
	if (name.size > DROP_NAME_BYTES_MAX)
		return ERR_TOO_BIG;
	*ret_why = "ends like a file that is not complete";
	if (ends_with(name, SLICE(".partial")) || ends_with(name, SLICE(".deleted")))
		return ERR_INVALID;
	*ret_why = "has an empty part";
	if (name.size == 0 || name.data[name.size - 1] == '/')
		return ERR_INVALID;
	while (name.size > 0) {
		struct slice part = slice_cut(&name, '/');
		const char *fault = part_fault(part);
		*ret_why = fault ? fault : "is too long";
		if (fault)
			return ERR_INVALID;
		if (part.size > DROP_PART_BYTES_MAX || ++depth > DROP_DEPTH_MAX)
			return ERR_TOO_BIG;
	}
	return OK;
}

enum err drop_name_decode(struct arena *a, struct slice path, struct slice *ret,
			  const char **ret_why)
{
	struct slice name;
	size_t used = 0;

	*ret_why = "is too long";
	if (path.size > 3 * DROP_NAME_BYTES_MAX)
		return ERR_TOO_BIG;
	if (path.size && path.data[0] == '/')
		path = slice_part(path, 1, path.size);
	uint8_t *p = arena_take(a, path.size + 1);
	for (size_t i = 0; i < path.size; i++) {
		uint8_t c = path.data[i];
		if (c == '%') {
			int high = i + 2 < path.size ? hex_value(path.data[i + 1]) : -1;
			int low = i + 2 < path.size ? hex_value(path.data[i + 2]) : -1;
			*ret_why = "has a % that is not followed by two digits";
			if (high < 0 || low < 0)
				return ERR_INVALID;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		p[used++] = c;
	}
	name = (struct slice) { p, used };
	enum err err = drop_name_check(name, ret_why);
	if (!err)
		*ret = name;
	return err;
}

void drop_name_encode(struct slice name, bool keeps_slashes, struct buf *ret)
{
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];
		if (isalnum(c) || strchr("-._~", c) || (c == '/' && keeps_slashes))
			buf_add_u8(ret, c);
		else
			buf_add_format(ret, "%%%02X", c);
	}
}

void drop_name_for_disk(struct slice name, bool keeps_dots, struct buf *ret)
{
	bool is_begin = true;

	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];
		buf_add_u8(ret, is_begin && c == '.' && !keeps_dots ? '_' : c);
		is_begin = c == '/';
	}
}

void drop_name_numbered(struct slice name, unsigned number, struct buf *ret)
{
	size_t begin = name.size, dot = name.size;

	while (begin > 0 && name.data[begin - 1] != '/')
		begin--;
	for (size_t i = begin + 1; i < name.size; i++)
		if (name.data[i] == '.')
			dot = i;
	buf_add_slice(ret, slice_part(name, 0, dot));
	buf_add_format(ret, " (%u)", number);
	buf_add_slice(ret, slice_part(name, dot, name.size));
}

/* --- ranges ----------------------------------------------------------------------------------- */

static bool take_prefix(struct slice *s, struct slice prefix)
{
	if (!slice_starts_with(*s, prefix))
		return false;
	*s = slice_part(*s, prefix.size, s->size);
	return true;
}

static bool take_number(struct slice *s, char end, uint64_t *ret)
{
	struct slice number = slice_cut(s, end);

	return text_to_u64(number, INT64_MAX, ret) == OK;
}

enum err drop_range_parse(struct slice header, struct drop_range *ret)
{
	struct drop_range range = { 0 };

	if (!take_prefix(&header, SLICE("bytes=")) || header.size < 2 ||
	    header.data[header.size - 1] != '-' || !take_number(&header, '-', &range.offset) ||
	    header.size > 0)
		return ERR_INVALID;
	*ret = range;
	return OK;
}

enum err drop_content_range_parse(struct slice header, struct drop_range *ret)
{
	struct drop_range range = { 0 };
	uint64_t last;

	if (!take_prefix(&header, SLICE("bytes ")) || !take_number(&header, '-', &range.offset) ||
	    !take_number(&header, '/', &last) || last < range.offset)
		return ERR_INVALID;
	range.end = last + 1;
	if (!slice_equal(header, SLICE("*")) &&
	    (text_to_u64(header, INT64_MAX, &range.total) || range.total < range.end))
		return ERR_INVALID;
	*ret = range;
	return OK;
}

/* --- blocks ----------------------------------------------------------------------------------- */

void sha256(struct slice bytes, uint8_t ret[SHA256_BYTES])
{
	SHA256(bytes.data ? bytes.data : (const uint8_t *)"", bytes.size, ret);
}

void drop_block_encode(const struct drop_block *block, struct buf *ret)
{
	char hex[2 * SHA256_BYTES + 1];

	hex_encode(hex, (struct slice) { block->sha256, SHA256_BYTES });
	buf_add_format(ret, "{\"checksum\":\"%s\",\"algo\":\"sha256\",\"size\":%llu}\n", hex,
		       (unsigned long long)block->size);
}

static bool read_block(const json_t *o, struct drop_block *ret)
{
	const char *hex = json_string_value(json_object_get(o, "checksum"));
	const char *algo = json_string_value(json_object_get(o, "algo"));
	json_int_t size = json_integer_value(json_object_get(o, "size"));

	if (!hex || !algo || strcmp(algo, "sha256") != 0 || size <= 0 || size > INT32_MAX ||
	    hex_decode(slice_from(hex), ret->sha256, SHA256_BYTES))
		return false;
	ret->size = (uint64_t)size;
	return true;
}

bool drop_block_take(struct slice *text, struct drop_block *ret, enum err *ret_err)
{
	const uint8_t *end = text->size ? memchr(text->data, '}', text->size) : NULL;
	struct drop_block block;

	*ret_err = OK;
	if (!end) {
		if (text->size > BLOCK_TEXT_BYTES_MAX)
			*ret_err = ERR_INVALID;
		return false;
	}
	size_t size = (size_t)(end - text->data) + 1;
	json_t *o = json_loadb((const char *)text->data, size, 0, NULL);
	bool is_good = size <= BLOCK_TEXT_BYTES_MAX && read_block(o, &block);
	json_decref(o);
	if (!is_good) {
		*ret_err = ERR_INVALID;
		return false;
	}
	*ret = block;
	*text = slice_part(*text, size, text->size);
	return true;
}

void drop_json_text(struct slice s, struct buf *ret)
{
	buf_add_u8(ret, '"');
	while (s.size > 0) {
		size_t size = character_bytes(s);
		uint8_t c = s.data[0];

		if (size == 0)
			buf_add_text(ret, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			buf_add_format(ret, "\\%c", c);
		else if (c < 0x20)
			buf_add_format(ret, "\\u%04x", c);
		else
			buf_add(ret, s.data, size);
		s = slice_part(s, size ? size : 1, s.size);
	}
	buf_add_u8(ret, '"');
}
