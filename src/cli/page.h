/* Long lists in parts: --limit N, and --after the last name that was seen. */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include "base/slice.h"
#include "cli/command.h"

struct page {
	size_t first, end;	 /* which rows are shown */
	struct slice more_after; /* null: there are no more */
};

/* Of rows that are ordered by the name at `name_at` of each.  COMMAND_MISUSED after saying why. */
MUST_CHECK enum command_status page_find(const struct command_line *l, const void *rows,
					 size_t count, size_t row_bytes, size_t name_at,
					 struct page *ret);

/* Tell a person how to go on, where there is more. */
void page_say_more(const struct page *page);

#endif
