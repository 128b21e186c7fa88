#include "cli/duration.h"

#include <stdio.h>

#include "base/text.h"

static const struct {
	char unit;
	int64_t seconds;
} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

enum { UNITS = sizeof(units) / sizeof(units[0]) };

enum err duration_parse(struct slice text, int64_t *ret_s)
{
	const int64_t max_s = (int64_t)DURATION_DAYS_MAX * units[0].seconds;
	uint64_t number;

	if (text.size < 2 ||
	    text_to_u64(slice_part(text, 0, text.size - 1), (uint64_t)max_s, &number))
		return ERR_INVALID;
	for (int i = 0; i < UNITS; i++) {
		if (text.data[text.size - 1] != units[i].unit)
			continue;
		if (number == 0 || (int64_t)number > max_s / units[i].seconds)
			return ERR_INVALID;
		*ret_s = (int64_t)number * units[i].seconds;
		return OK;
	}
	return ERR_INVALID;
}

void duration_text(int64_t seconds, char ret[DURATION_TEXT_BYTES])
{
	int i = 0;

	while (i < UNITS - 1 && seconds < units[i].seconds)
		i++;
	snprintf(ret, DURATION_TEXT_BYTES, "%lld %c", (long long)(seconds / units[i].seconds),
		 units[i].unit);
}
