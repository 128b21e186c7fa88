/* Any bytes as the description of a file; what is read is written the same. */
#include "drop/item.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct item item, again;
	struct buf text, text_again;

	item_init(&item);
	item_init(&again);
	buf_init(&text);
	buf_init(&text_again);
	if (item_parse((struct slice) { data, size }, &item) == OK) {
		item_encode(&item, &text);
		if (item_parse(buf_slice(&text), &again))
			abort();
		item_encode(&again, &text_again);
		if (!slice_equal(buf_slice(&text), buf_slice(&text_again)))
			abort();
	}
	item_done(&item);
	item_done(&again);
	buf_done(&text);
	buf_done(&text_again);
	return 0;
}
