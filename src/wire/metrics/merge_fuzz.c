/* Any bytes as two pages: what passes the check is a page again once it is merged. */
#include <stdlib.h>

#include "wire/metrics/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = { data, size };
	struct slice pages[] = { slice_part(all, 0, size / 2), slice_part(all, size / 2, size) };
	struct buf out;

	(void)exposition_format_of(all);
	buf_init(&out);
	if (metrics_check(pages[0]) == OK && metrics_check(pages[1]) == OK) {
		metrics_merge(pages, 2, &out);
		if (metrics_check(buf_slice(&out)))
			abort();
	}
	buf_clear(&out);
	if (metrics_check(all) == OK) {
		metrics_merge(&all, 1, &out);
		if (metrics_check(buf_slice(&out)) || out.size > size)
			abort();
	}
	buf_done(&out);
	return 0;
}
