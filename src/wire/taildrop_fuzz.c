/* Any bytes as a path, a header and blocks. */
#include "wire/taildrop.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void try_name(struct slice path)
{
	struct arena a;
	struct slice name, again;
	const char *why;
	struct buf encoded;

	arena_init(&a);
	buf_init(&encoded);
	if (drop_name_decode(&a, path, &name, &why) == OK) {
		check(!memmem(name.data, name.size, "..", 2) || name.size > 2);
		check(!memchr(name.data, '\0', name.size) && name.data[0] != '/');
		drop_name_encode(name, path.size % 2, &encoded);
		check(drop_name_decode(&a, buf_slice(&encoded), &again, &why) == OK);
		check(slice_equal(name, again));
	}
	buf_done(&encoded);
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = { data, size }, rest = input;
	struct drop_range range;
	struct drop_block block;
	enum err err;
	struct buf text;

	try_name(input);
	if (drop_content_range_parse(input, &range) == OK)
		check(range.end > range.offset && (!range.total || range.total >= range.end));
	(void)!drop_range_parse(input, &range);
	while (drop_block_take(&rest, &block, &err))
		check(block.size > 0);
	buf_init(&text);
	drop_json_text(input, &text);
	check(text.size >= 2);
	buf_done(&text);
	return 0;
}
