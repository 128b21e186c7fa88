/* The bytes up to the first line feed are an expression, the others a name. */
#include "streams/coordinator/topic_pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice name = { data, size };
	struct slice expression = slice_cut(&name, '\n');
	struct topic_pattern *p;

	if (topic_pattern_new(expression, &p))
		return 0;
	(void)topic_pattern_matches(p, name);
	topic_pattern_free(p);
	return 0;
}
