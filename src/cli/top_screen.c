#include "cli/top_screen.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "cli/output.h"

enum { VALUE_BYTES = 64, NAME_COLUMNS = 10 };

/* --- values ----------------------------------------------------------------------------------- */
static bool ends_with(const char *name, const char *end)
{
	size_t size = strlen(name), end_size = strlen(end);

	return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

static void bytes_text(double value, char *ret, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	while (value >= 1000 && i + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		i++;
	}
	snprintf(ret, size, i && value < 100 ? "%.1f %s" : "%.0f %s", value, units[i]);
}

static void seconds_text(double value, char *ret, size_t size)
{
	if (value < 1e-3)
		snprintf(ret, size, "%.0f us", value * 1e6);
	else if (value < 1)
		snprintf(ret, size, value < 0.01 ? "%.1f ms" : "%.0f ms", value * 1e3);
	else if (value < 120)
		snprintf(ret, size, "%.1f s", value);
	else if (value < 2 * 3600)
		snprintf(ret, size, "%.0f min", value / 60);
	else if (value < 48 * 3600)
		snprintf(ret, size, "%.0f h", value / 3600);
	else
		snprintf(ret, size, "%.0f d", value / (24 * 3600));
}

void top_value_text(const char *name, const json_t *value, char *ret, size_t size)
{
	double number = json_number_value(value);

	if (json_is_string(value))
		snprintf(ret, size, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		snprintf(ret, size, "%s", json_is_true(value) ? "yes" : "no");
	else if (!json_is_number(value))
		snprintf(ret, size, "-");
	else if (ends_with(name, "bytes_per_second") || ends_with(name, "_bytes"))
		bytes_text(number, ret, size);
	else if (ends_with(name, "_seconds"))
		seconds_text(number, ret, size);
	else if (ends_with(name, "_percent"))
		snprintf(ret, size, "%.1f %%", number);
	else if (ends_with(name, "_dollars"))
		snprintf(ret, size, "$%.2f", number);
	else
		snprintf(ret, size, number < 100 && number > floor(number) ? "%.1f" : "%.0f",
			 number);
	size_t used = strlen(ret);
	if (json_is_number(value) && ends_with(name, "_per_second") && used + 2 < size)
		memcpy(ret + used, "/s", 3);
}

/* "sent_bytes_per_second" is "sent", "p50_seconds" "p50". */
static void name_text(const char *name, char ret[VALUE_BYTES])
{
	static const char *const units[] = { "_per_second", "_bytes", "_seconds", "_percent",
					     "_dollars" };

	snprintf(ret, VALUE_BYTES, "%s", name);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (ends_with(ret, units[i]))
			ret[strlen(ret) - strlen(units[i])] = '\0';
	for (char *p = ret; *p; p++)
		if (*p == '_')
			*p = ' ';
}

/* --- lines ------------------------------------------------------------------------------------ */
struct drawing {
	FILE *out;
	const struct top_screen *screen;
	unsigned drawn; /* lines */
	struct buf line;
};

/* Names of topics are UTF-8: cut at a character, each taken for one column. */
static size_t fitting(struct slice s, unsigned columns)
{
	size_t i = 0;

	for (unsigned column = 0; i < s.size && column < columns; column++)
		do
			i++;
		while (i < s.size && (s.data[i] & 0xc0) == 0x80);
	return i;
}

static void end_line(struct drawing *d, bool is_title)
{
	const struct top_screen *s = d->screen;
	struct slice line = buf_slice(&d->line);

	if (s->lines == 0 || d->drawn + 1 < s->lines) {
		output_make_printable(d->line.data, line.size); /* nothing steers the terminal */
		if (s->columns > 0)
			line.size = fitting(line, s->columns);
		if (is_title && s->is_live && s->has_color)
			fputs("\033[7m", d->out);
		fwrite(line.data, 1, line.size, d->out);
		if (is_title && s->is_live && s->has_color)
			fputs("\033[0m", d->out);
		fputs(s->is_live ? "\033[K\r\n" : "\n", d->out);
		d->drawn++;
	}
	buf_clear(&d->line);
}

static void add_padded(struct buf *line, const char *text, int columns)
{
	buf_add_format(line, "%-*s ", columns, text);
}

static void draw_values(struct drawing *d, const char *part, const json_t *values)
{
	char name[VALUE_BYTES], text[512];
	const char *key;
	json_t *value;

	add_padded(&d->line, part, NAME_COLUMNS);
	json_object_foreach((json_t *)(uintptr_t)values, key, value)
	{
		if (json_is_null(value))
			continue;
		name_text(key, name);
		top_value_text(key, value, text, sizeof(text));
		buf_add_format(&d->line, " %s %s ", name, text);
	}
	end_line(d, false);
}

static void draw_node(struct drawing *d, const json_t *node)
{
	const char *why = json_string_value(json_object_get(node, "why")), *part;
	json_t *value;

	buf_add_format(&d->line, "%s%s%s", json_string_value(json_object_get(node, "node")),
		       why ? " does not answer: " : "", why ? why : "");
	end_line(d, true);
	json_object_foreach((json_t *)(uintptr_t)node, part, value)
	{
		if (json_is_object(value))
			draw_values(d, part, value);
		for (size_t i = 0; i < json_array_size(value); i++)
			draw_values(d, i ? "" : part, json_array_get(value, i));
	}
}

static void draw_help(struct drawing *d)
{
	static const char *const lines[] = {
		"q, Ctrl-C   quit",
		"h, ?        this, or no more",
		"",
		"Rates are of the last second.  p50, p99 and hits are of what happened in it, or "
		"of",
		"all since the process began where nothing did.  month is what this month's "
		"requests",
		"of all buckets cost at list prices, so far; `hanse cost` says all of it.",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		buf_add_text(&d->line, lines[i]);
		end_line(d, false);
	}
}

void top_screen_print(FILE *out, const json_t *all, const struct top_screen *screen)
{
	struct drawing d = { .out = out, .screen = screen };
	const json_t *nodes = json_object_get(all, "nodes");

	buf_init(&d.line);
	if (screen->is_live) {
		fputs("\033[H", out);
		buf_add_format(&d.line, "hanse top: %zu node%s%s    q quits, h helps",
			       json_array_size(nodes), json_array_size(nodes) == 1 ? "" : "s",
			       screen->has_nobody ? ", none of which answers now" : "");
		end_line(&d, false);
	}
	if (screen->shows_help)
		draw_help(&d);
	for (size_t i = 0; i < json_array_size(nodes) && !screen->shows_help; i++)
		draw_node(&d, json_array_get(nodes, i));
	if (screen->is_live)
		fputs("\033[J", out);
	buf_done(&d.line);
}
