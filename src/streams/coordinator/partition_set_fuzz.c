/* Any bytes as a stored set: what can be read is written as it was. */
#include "streams/coordinator/partition_set.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct partition_set s = { 0 };
	struct buf again;

	buf_init(&again);
	if (partition_set_decode((struct slice) { data, size }, &s) == OK) {
		partition_set_encode(&s, &again);
		/* a topic may stand there in two parts */
		if (again.size > size)
			abort();
	}
	partition_set_done(&s);
	buf_done(&again);
	return 0;
}
