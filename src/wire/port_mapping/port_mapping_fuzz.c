/* Any bytes as the answer of a router. */
#include <stdlib.h>

#include "wire/port_mapping/port_mapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct port_mapping_answer answer;

	if (port_mapping_read((struct slice) { data, size }, &answer) == OK && !answer.result &&
	    answer.kind == NATPMP_MAP && answer.outside.ip[0])
		abort();
	return 0;
}
