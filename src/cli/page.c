#include "cli/page.h"

#include "base/text.h"
#include "cli/output.h"

static const struct slice *name_of(const void *rows, size_t i, size_t row_bytes, size_t name_at)
{
	return (const struct slice *)(const void *)((const char *)rows + i * row_bytes + name_at);
}

enum command_status page_find(const struct command_line *l, const void *rows, size_t count,
			      size_t row_bytes, size_t name_at, struct page *ret)
{
	const char *after = command_line_value(l, FLAG_AFTER, NULL);
	const char *text = command_line_value(l, FLAG_LIMIT, NULL);
	uint64_t limit = count;

	if (text && (text_to_u64(slice_from(text), INT64_MAX, &limit) || limit == 0)) {
		say("--limit %s is not a number of rows", text);
		return COMMAND_MISUSED;
	}
	*ret = (struct page) { .end = count };
	while (after && ret->first < count &&
	       slice_compare(*name_of(rows, ret->first, row_bytes, name_at), slice_from(after)) <=
		       0)
		ret->first++;
	if (count - ret->first > limit) {
		ret->end = ret->first + (size_t)limit;
		ret->more_after = *name_of(rows, ret->end - 1, row_bytes, name_at);
	}
	return COMMAND_DONE;
}

void page_say_more(const struct page *page)
{
	if (page->more_after.data)
		say("there are more: --after %.*s", SLICE_ARG(page->more_after));
}
