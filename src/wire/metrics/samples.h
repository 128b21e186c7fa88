/* Reads what exposition.h writes as text, sample by sample, for who shows it to people.  What is no
 * sample is passed over. */
#ifndef WIRE_METRICS_SAMPLES_H
#define WIRE_METRICS_SAMPLES_H

#include <stdbool.h>

#include "base/slice.h"

struct metric_sample {
	struct slice name;
	struct slice labels; /* between the braces, as written */
	double value;
};

/* The next one of *rest; false: there is none. */
bool metric_sample_next(struct slice *rest, struct metric_sample *ret);

/* The value of a label, as written: quotes, backslashes and ends of lines are escaped. */
bool metric_sample_label(const struct metric_sample *s, const char *name, struct slice *ret);

#endif
