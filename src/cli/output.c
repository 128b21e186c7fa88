#include "cli/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES_MAX = 2000 };

static uint8_t printable(uint8_t byte)
{
	return byte < ' ' || byte == 0x7f ? '?' : byte;
}

static void write_message(const char *before, const char *format, va_list arguments)
{
	char text[MESSAGE_BYTES_MAX];

	vsnprintf(text, sizeof(text), format, arguments);
	for (char *p = text; *p; p++)
		if (*p != '\n')
			*p = (char)printable((uint8_t)*p);
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

	for (size_t i = 0; i < s.size; i++)
		copy[i] = printable(s.data[i]);
	return (struct slice) { copy, s.size };
}

enum command_status output_json(json_t *document)
{
	int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	json_decref(document);
	if (failed) {
		say("standard output cannot be written");
		return COMMAND_REFUSED;
	}
	putchar('\n');
	return COMMAND_DONE;
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
	for (size_t i = 0; i < s.size; i++)
		copy[i] = s.data[i] < 0x80 ? s.data[i] : '?';
	text = json_stringn((const char *)copy, s.size);
	arena_done(&a);
	return text;
}

json_t *output_json_offset(int64_t offset)
{
	return offset < 0 ? json_null() : json_integer(offset);
}
