#include "cli/table.h"

#include <assert.h>
#include <inttypes.h>

#include "cli/output.h"

enum { GAP = 2, NAME_AND_VALUE = 2 };

struct table_cell {
	struct slice text;
	int width;
	bool is_number;
};

void table_init(struct table *t, struct arena *a, const char *const *headings)
{
	*t = (struct table) { .arena = a, .column_count = NAME_AND_VALUE };
	buf_init(&t->cells);
	for (int i = 0; headings && headings[i]; i++) {
		t->column_count = i + 1;
		table_add_text(t, slice_from(headings[i]));
	}
	assert(t->column_count <= TABLE_COLUMNS_MAX);
}

void table_done(struct table *t)
{
	buf_done(&t->cells);
}

/* Characters, not bytes: what continues a character has the bits 10. */
static int width_of(struct slice s)
{
	int width = 0;

	for (size_t i = 0; i < s.size; i++)
		width += (s.data[i] & 0xc0) != 0x80;
	return width;
}

void table_add_text(struct table *t, struct slice s)
{
	struct slice text = s.data ? output_printable(t->arena, s) : SLICE("-");
	struct table_cell cell = { .text = text, .width = width_of(text) };

	buf_add(&t->cells, &cell, sizeof(cell));
}

void table_add_number(struct table *t, int64_t number)
{
	struct slice text = SLICE("-");

	if (number >= 0)
		text = slice_from(arena_format(t->arena, "%" PRId64, number));
	struct table_cell cell = { .text = text, .width = width_of(text), .is_number = true };
	buf_add(&t->cells, &cell, sizeof(cell));
}

static void print_row(const struct table *t, const struct table_cell *cells, const int *widths,
		      const bool *is_right, FILE *out)
{
	for (int i = 0; i < t->column_count; i++) {
		int pad = widths[i] - cells[i].width;
		bool is_last = i + 1 == t->column_count;
		fprintf(out, "%*s%.*s%*s", is_right[i] ? pad : 0, "", SLICE_ARG(cells[i].text),
			is_last	      ? 0
			: is_right[i] ? GAP
				      : pad + GAP,
			"");
	}
	fputc('\n', out);
}

void table_print(const struct table *t, FILE *out)
{
	const struct table_cell *cells = (const void *)t->cells.data;
	size_t count = t->cells.size / sizeof(*cells), columns = (size_t)t->column_count;
	int widths[TABLE_COLUMNS_MAX] = { 0 };
	bool is_right[TABLE_COLUMNS_MAX] = { false };

	assert(count % columns == 0);
	for (size_t i = 0; i < count; i++) {
		if (cells[i].width > widths[i % columns])
			widths[i % columns] = cells[i].width;
		is_right[i % columns] |= cells[i].is_number;
	}
	for (size_t i = 0; i < count; i += columns)
		print_row(t, cells + i, widths, is_right, out);
}
