/* What is read as a range is printed in a form that is read as the same range. */
#include <assert.h>

#include "base/ip_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[IP_RANGE_TEXT_BYTES];
	struct ip_range r, again;
	enum err err;

	if (ip_range_parse((struct slice) { data, size }, &r))
		return 0;
	assert(ip_compare(r.first, r.last) <= 0);
	ip_range_text(&r, text);
	err = ip_range_parse(slice_from(text), &again);
	assert(!err && memcmp(&r, &again, sizeof(r)) == 0);
	return 0;
}
