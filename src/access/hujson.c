#include "access/hujson.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/map.h"
#include "base/text.h"

struct reader {
	struct arena *a;
	const uint8_t *p, *end;
	const uint8_t *line_start;
	unsigned line;
	size_t values;
	unsigned depth;
	struct hujson_error *error;
};

static unsigned column_of(const struct reader *r)
{
	return (unsigned)(r->p - r->line_start) + 1;
}

static PRINTF_LIKE(2, 3) enum err fail(struct reader *r, const char *format, ...)
{
	va_list arguments;

	r->error->line = r->line;
	r->error->column = column_of(r);
	va_start(arguments, format);
	vsnprintf(r->error->why, sizeof(r->error->why), format, arguments);
	va_end(arguments);
	return ERR_INVALID;
}

static bool at_end(const struct reader *r)
{
	return r->p == r->end;
}

static bool starts(const struct reader *r, const char *text)
{
	size_t size = strlen(text);

	return (size_t)(r->end - r->p) >= size && memcmp(r->p, text, size) == 0;
}

static void step(struct reader *r)
{
	if (*r->p++ == '\n') {
		r->line++;
		r->line_start = r->p;
	}
}

/* --- between values ------------------------------------------------------------------------- */

static enum err skip_block_comment(struct reader *r)
{
	struct reader begin = *r;

	r->p += 2;
	while (!at_end(r) && !starts(r, "*/"))
		step(r);
	if (at_end(r)) {
		*r = begin;
		return fail(r, "this comment is not closed; end it with */");
	}
	r->p += 2;
	return OK;
}

static enum err skip(struct reader *r)
{
	for (;;) {
		while (!at_end(r) &&
		       (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n'))
			step(r);
		if (starts(r, "//")) {
			while (!at_end(r) && *r->p != '\n')
				r->p++;
		} else if (starts(r, "/*")) {
			enum err err = skip_block_comment(r);
			if (err)
				return err;
		} else {
			return OK;
		}
	}
}

/* --- text ----------------------------------------------------------------------------------- */

static enum err read_hex4(struct reader *r, uint32_t *ret)
{
	uint32_t code = 0;

	if (r->end - r->p < 4)
		return fail(r, "\\u needs four hexadecimal digits");
	for (int i = 0; i < 4; i++) {
		uint8_t c = r->p[i];
		uint32_t digit = c >= '0' && c <= '9'	? c - (uint32_t)'0'
				 : c >= 'a' && c <= 'f' ? c - (uint32_t)'a' + 10
				 : c >= 'A' && c <= 'F' ? c - (uint32_t)'A' + 10
							: 16;
		if (digit > 15)
			return fail(r, "\\u needs four hexadecimal digits");
		code = code << 4 | digit;
	}
	r->p += 4;
	*ret = code;
	return OK;
}

static size_t put_utf8(uint8_t *ret, uint32_t code)
{
	if (code < 0x80) {
		ret[0] = (uint8_t)code;
		return 1;
	}
	if (code < 0x800) {
		ret[0] = (uint8_t)(0xc0 | code >> 6);
		ret[1] = (uint8_t)(0x80 | (code & 63));
		return 2;
	}
	if (code < 0x10000) {
		ret[0] = (uint8_t)(0xe0 | code >> 12);
		ret[1] = (uint8_t)(0x80 | (code >> 6 & 63));
		ret[2] = (uint8_t)(0x80 | (code & 63));
		return 3;
	}
	ret[0] = (uint8_t)(0xf0 | code >> 18);
	ret[1] = (uint8_t)(0x80 | (code >> 12 & 63));
	ret[2] = (uint8_t)(0x80 | (code >> 6 & 63));
	ret[3] = (uint8_t)(0x80 | (code & 63));
	return 4;
}

/* Behind "\u". */
static enum err read_unicode(struct reader *r, uint8_t *ret, size_t *ret_size)
{
	uint32_t code, low;
	enum err err = read_hex4(r, &code);

	if (err)
		return err;
	if (code >= 0xd800 && code < 0xdc00) {
		if (!starts(r, "\\u"))
			return fail(r, "half of a character: \\u of the other half is missing");
		r->p += 2;
		err = read_hex4(r, &low);
		if (err)
			return err;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(r, "half of a character: \\u of the other half is missing");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	} else if (code >= 0xdc00 && code < 0xe000) {
		return fail(r, "half of a character: \\u of the first half is missing");
	}
	if (code == 0)
		return fail(r, "a zero character is not allowed");
	*ret_size = put_utf8(ret, code);
	return OK;
}

static enum err read_escape(struct reader *r, uint8_t *ret, size_t *ret_size)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;

	r->p++;
	at = at_end(r) || !*r->p ? NULL : strchr(from, *r->p);
	if (at) {
		r->p++;
		*ret = (uint8_t)to[at - from];
		*ret_size = 1;
		return OK;
	}
	if (!at_end(r) && *r->p == 'u') {
		r->p++;
		return read_unicode(r, ret, ret_size);
	}
	return fail(r, "unknown escape behind \\; a backslash itself is \\\\");
}

static enum err read_text(struct reader *r, struct slice *ret)
{
	struct reader begin = *r;
	uint8_t *text;
	size_t size = 0, raw = 1;

	while (r->p + raw < r->end && r->p[raw] != '"')
		raw += r->p[raw] == '\\' ? 2 : 1;
	text = arena_take(r->a, raw + 4);
	r->p++;
	while (!at_end(r) && *r->p != '"') {
		size_t part = utf8_size((struct slice) { r->p, (size_t)(r->end - r->p) });

		if (*r->p == '\\') {
			enum err err = read_escape(r, text + size, &part);
			if (err)
				return err;
			size += part;
			continue;
		}
		if (*r->p == '\n' || *r->p == '\r') {
			*r = begin;
			return fail(r, "this text is not closed; a \" is missing before the end of "
				       "the line");
		}
		if (part == 0 || *r->p < 0x20)
			return fail(r, "not UTF-8, or a control character; write it as \\u");
		memcpy(text + size, r->p, part);
		size += part;
		r->p += part;
	}
	if (at_end(r)) {
		*r = begin;
		return fail(r, "this text is not closed; a \" is missing");
	}
	r->p++;
	*ret = (struct slice) { text, size };
	return OK;
}

/* --- values --------------------------------------------------------------------------------- */

static enum err read_value(struct reader *r, struct hujson **ret);

static bool is_word_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '+' || c == '-' || c == '.';
}

static size_t digits(const uint8_t *p, const uint8_t *end)
{
	size_t n = 0;

	while (p + n < end && p[n] >= '0' && p[n] <= '9')
		n++;
	return n;
}

static bool is_number(struct slice s)
{
	const uint8_t *p = s.data, *end = s.data + s.size;
	size_t n;

	p += p < end && *p == '-';
	n = digits(p, end);
	if (n == 0 || (n > 1 && *p == '0'))
		return false;
	p += n;
	if (p < end && *p == '.') {
		n = digits(++p, end);
		if (n == 0)
			return false;
		p += n;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		n = digits(p, end);
		if (n == 0)
			return false;
		p += n;
	}
	return p == end;
}

static enum err read_word(struct reader *r, struct hujson *v)
{
	struct slice word = { r->p, 0 };

	while (r->p + word.size < r->end && is_word_byte(r->p[word.size]))
		word.size++;
	if (slice_equal(word, SLICE("null")))
		v->kind = HUJSON_NULL;
	else if (slice_equal(word, SLICE("true")))
		v->kind = HUJSON_TRUE;
	else if (slice_equal(word, SLICE("false")))
		v->kind = HUJSON_FALSE;
	else if (is_number(word))
		v->kind = HUJSON_NUMBER;
	else if (word.size == 0)
		return fail(r, "a value is missing here");
	else
		return fail(r, "\"%.*s\" needs quotes", word.size > 40 ? 40 : (int)word.size,
			    (const char *)word.data);
	v->text = arena_copy(r->a, word);
	r->p += word.size;
	return OK;
}

static enum err read_name(struct reader *r, struct hujson *named)
{
	enum err err;

	named->name_line = r->line;
	named->name_column = column_of(r);
	if (at_end(r) || *r->p != '"')
		return fail(r, "a name in quotes is missing here");
	err = read_text(r, &named->name);
	if (!err)
		err = skip(r);
	if (err)
		return err;
	if (at_end(r) || *r->p != ':')
		return fail(r, "a : is missing behind the name");
	r->p++;
	return skip(r);
}

static enum err note_name(struct reader *r, struct map *names, const struct hujson *item)
{
	if (!map_put(names, item->name, (void *)(uintptr_t)item))
		return OK;
	r->error->line = item->name_line;
	r->error->column = item->name_column;
	snprintf(r->error->why, sizeof(r->error->why), "\"%.*s\" occurs twice; join the two",
		 item->name.size > 40 ? 40 : (int)item->name.size, (const char *)item->name.data);
	return ERR_INVALID;
}

/* What stands between the brackets, the first of which is behind us. */
static enum err read_items(struct reader *r, struct hujson *v, char close, struct map *names)
{
	const struct hujson **tail = &v->first;

	for (;;) {
		struct hujson named = { 0 }, *item;
		enum err err = skip(r);

		if (err)
			return err;
		if (!at_end(r) && *r->p == (uint8_t)close) {
			r->p++;
			return OK;
		}
		if (v->kind == HUJSON_OBJECT)
			err = read_name(r, &named);
		if (!err)
			err = read_value(r, &item);
		if (err)
			return err;
		item->name = named.name;
		item->name_line = named.name_line;
		item->name_column = named.name_column;
		if (v->kind == HUJSON_OBJECT)
			err = note_name(r, names, item);
		*tail = item;
		tail = &item->next;
		v->count++;
		if (!err)
			err = skip(r);
		if (err)
			return err;
		if (!at_end(r) && *r->p == ',')
			r->p++;
		else if (at_end(r) || *r->p != (uint8_t)close)
			return fail(r, "a , or %c is missing here", close);
	}
}

static enum err read_bracket(struct reader *r, struct hujson *v)
{
	char close = *r->p == '{' ? '}' : ']';
	struct map names;
	enum err err;

	v->kind = close == '}' ? HUJSON_OBJECT : HUJSON_ARRAY;
	if (++r->depth > HUJSON_DEPTH_MAX)
		return fail(r, "brackets in brackets, more than %d deep", HUJSON_DEPTH_MAX);
	r->p++;
	map_init(&names);
	err = read_items(r, v, close, &names);
	map_done(&names);
	r->depth--;
	return err;
}

static enum err read_value(struct reader *r, struct hujson **ret)
{
	struct hujson *v;
	enum err err;

	if (++r->values > HUJSON_VALUES_MAX)
		return fail(r, "more than %d values", HUJSON_VALUES_MAX);
	v = arena_take(r->a, sizeof(*v));
	v->line = r->line;
	v->column = column_of(r);
	if (at_end(r))
		return fail(r, "the text ends where a value should stand");
	if (*r->p == '"') {
		v->kind = HUJSON_TEXT;
		err = read_text(r, &v->text);
	} else if (*r->p == '{' || *r->p == '[') {
		err = read_bracket(r, v);
	} else {
		err = read_word(r, v);
	}
	if (!err)
		*ret = v;
	return err;
}

enum err hujson_parse(struct arena *a, struct slice text, const struct hujson **ret,
		      struct hujson_error *ret_error)
{
	struct reader r = { .a = a,
			    .p = text.data,
			    .end = text.data + text.size,
			    .line_start = text.data,
			    .line = 1,
			    .error = ret_error };
	struct hujson *root;
	enum err err;

	if (text.size > HUJSON_BYTES_MAX) {
		r.end = r.p;
		(void)fail(&r, "the text is longer than %d bytes", HUJSON_BYTES_MAX);
		return ERR_TOO_BIG;
	}
	if (text.size == 0)
		return fail(&r, "there is nothing; an empty policy is {}");
	if (starts(&r, "\xef\xbb\xbf"))
		r.p += 3;
	err = skip(&r);
	if (!err)
		err = read_value(&r, &root);
	if (!err)
		err = skip(&r);
	if (err)
		return err;
	if (!at_end(&r))
		return fail(&r, "something stands behind the end");
	*ret = root;
	return OK;
}

const struct hujson *hujson_member(const struct hujson *object, const char *name)
{
	for (const struct hujson *it = object->first; it; it = it->next)
		if (slice_equal(it->name, slice_from(name)))
			return it;
	return NULL;
}

const char *hujson_kind_name(enum hujson_kind kind)
{
	static const char *const names[] = {
		[HUJSON_NULL] = "null",	    [HUJSON_FALSE] = "false", [HUJSON_TRUE] = "true",
		[HUJSON_NUMBER] = "number", [HUJSON_TEXT] = "text",   [HUJSON_ARRAY] = "list",
		[HUJSON_OBJECT] = "object",
	};

	return names[kind];
}

void hujson_write_text(struct buf *b, struct slice text)
{
	buf_add_u8(b, '"');
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if (c == '"' || c == '\\') {
			buf_add_u8(b, '\\');
			buf_add_u8(b, c);
		} else if (c < 0x20) {
			buf_add_format(b, "\\u%04x", c);
		} else {
			buf_add_u8(b, c);
		}
	}
	buf_add_u8(b, '"');
}

void hujson_write(struct buf *b, const struct hujson *value)
{
	bool is_object = value->kind == HUJSON_OBJECT;

	if (value->kind == HUJSON_TEXT) {
		hujson_write_text(b, value->text);
		return;
	}
	if (!is_object && value->kind != HUJSON_ARRAY) {
		buf_add_slice(b, value->text);
		return;
	}
	buf_add_u8(b, is_object ? '{' : '[');
	for (const struct hujson *it = value->first; it; it = it->next) {
		if (it != value->first)
			buf_add_u8(b, ',');
		if (is_object) {
			hujson_write_text(b, it->name);
			buf_add_u8(b, ':');
		}
		hujson_write(b, it);
	}
	buf_add_u8(b, is_object ? '}' : ']');
}
