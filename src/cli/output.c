#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "wire/sasl/base64.h"

enum { MESSAGE_BYTES_MAX = 2000, REAL_DIGITS = 15 };

/* Also those of ISO 8859, which terminals obey in UTF-8. */
static bool is_control(const uint8_t *p)
{
	return p[0] < ' ' || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

/* Bytes that are no text become '?', and so do control characters unless they may stay. */
static void make_text(uint8_t *p, size_t size, bool controls_stay)
{
	for (size_t i = 0; i < size;) {
		size_t n = utf8_size((struct slice) { p + i, size - i });
		bool stays = n > 0 && (controls_stay || !is_control(p + i));

		if (!stays)
			memset(p + i, '?', n > 0 ? n : 1);
		i += n > 0 ? n : 1;
	}
}

static void write_message(const char *before, const char *format, va_list arguments)
{
	char text[MESSAGE_BYTES_MAX];

	vsnprintf(text, sizeof(text), format, arguments);
	for (char *line = text, *end; *line; line = end + (*end != '\0')) {
		end = strchrnul(line, '\n');
		make_text((uint8_t *)line, (size_t)(end - line), false);
	}
	fflush(stdout);
	fprintf(stderr, "%s%s\n", before, text);
}

void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_message("hanse: ", format, arguments);
	va_end(arguments);
}

void say_more(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_message("", format, arguments);
	va_end(arguments);
}

struct slice output_printable(struct arena *a, struct slice s)
{
	uint8_t *copy = arena_take(a, s.size + 1);

	if (s.size > 0)
		memcpy(copy, s.data, s.size);
	make_text(copy, s.size, false);
	return (struct slice) { copy, s.size };
}

void output_make_printable(uint8_t *p, size_t size)
{
	make_text(p, size, false);
}

enum command_status output_json(json_t *document)
{
	int failed =
		json_dumpf(document, stdout,
			   JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(REAL_DIGITS));

	json_decref(document);
	if (failed)
		return output_flush();
	putchar('\n');
	return COMMAND_DONE;
}

enum command_status output_flush(void)
{
	static bool is_told;

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return COMMAND_DONE;
	if (!is_told) /* of an earlier failure the reason may be gone */
		say("standard output cannot be written%s%s", errno ? ": " : "",
		    errno ? strerror(errno) : "");
	is_told = true;
	return COMMAND_REFUSED;
}

json_t *output_json_text(struct slice s)
{
	if (!s.data)
		return json_null();
	json_t *text = json_stringn((const char *)s.data, s.size);
	if (text)
		return text;

	struct arena a;
	arena_init(&a);
	uint8_t *copy = arena_take(&a, s.size + 1);
	memcpy(copy, s.data, s.size);
	make_text(copy, s.size, true);
	text = json_stringn((const char *)copy, s.size);
	arena_done(&a);
	return text;
}

void output_json_bytes(json_t *object, const char *name, struct slice bytes)
{
	json_t *exact = bytes.data ? json_stringn((const char *)bytes.data, bytes.size) : NULL;

	json_object_set_new(object, name, exact ? exact : output_json_text(bytes));
	if (exact || !bytes.data)
		return;

	struct arena a;
	struct buf encoded;
	arena_init(&a);
	buf_init(&encoded);
	base64_add(&encoded, bytes);
	json_object_set_new(object, arena_format(&a, "%s_base64", name),
			    json_stringn((const char *)encoded.data, encoded.size));
	buf_done(&encoded);
	arena_done(&a);
}

json_t *output_json_offset(int64_t offset)
{
	return offset < 0 ? json_null() : json_integer(offset);
}
