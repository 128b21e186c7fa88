/* Any bytes as numbers. */
#include "wire/metrics/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { data, size }, value;
	struct metric_sample s;

	while (metric_sample_next(&rest, &s))
		(void)metric_sample_label(&s, "a", &value);
	return 0;
}
