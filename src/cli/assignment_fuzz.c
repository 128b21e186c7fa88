/* Whatever a member called its assignment is read or refused. */
#include <assert.h>

#include "cli/assignment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct assignment assignment;
	struct arena a;

	arena_init(&a);
	if (!assignment_decode(&a, (struct slice) { data, size }, &assignment)) {
		size_t sum = 0;
		for (size_t i = 0; i < assignment.topics_count; i++)
			sum += assignment.topics[i].partitions_count;
		assert(sum == assignment.partitions_count);
		assert(sum * sizeof(int32_t) <= size);
	}
	arena_done(&a);
	return 0;
}
