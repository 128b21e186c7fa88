/* Any bytes as a stored share-partition: what can be read is written as it was, and can be used. */
#include "streams/catalog/share_partition.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct share_partition p;
	struct arena a;
	struct buf again;
	int64_t first, last;

	arena_init(&a);
	buf_init(&again);
	if (share_partition_decode(&a, (struct slice) { data, size }, &p) == OK) {
		share_partition_encode(&p, &again);
		if (again.size > size) /* who holds nothing is not written */
			abort();
		(void)share_partition_expire(&p, 1000);
		if (share_partition_next(&p, 1000, &first, &last) && first < p.start)
			abort();
		(void)share_partition_move_start(&p, share_partition_end(&p));
	}
	buf_done(&again);
	arena_done(&a);
	return 0;
}
