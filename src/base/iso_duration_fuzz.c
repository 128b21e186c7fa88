/* Whatever is read as a duration is not less than nothing, and minus that much is not read. */
#include <assert.h>

#include "base/iso_duration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t negated[64] = { '-' };
	int64_t ms, ignored;

	if (iso_duration_parse((struct slice) { data, size }, &ms))
		return 0;
	assert(ms >= 0);
	if (ms == 0 || size >= sizeof(negated) || (data[0] != 'P' && data[0] != 'p'))
		return 0;
	memcpy(negated + 1, data, size);
	assert(iso_duration_parse((struct slice) { negated, size + 1 }, &ignored) == ERR_INVALID);
	return 0;
}
