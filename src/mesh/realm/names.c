#include "mesh/realm/names.h"

#include <assert.h>
#include <stdio.h>

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

void name_sanitize(struct slice host, size_t max, char ret[NAME_LABEL_BYTES])
{
	struct slice label = slice_cut(&host, '.');
	size_t used = 0;

	assert(max < NAME_LABEL_BYTES);
	for (size_t i = 0; i < label.size && used < max; i++) {
		uint8_t c = label.data[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c - 'A' + 'a');
		if (c == '\'')
			continue; /* "bob's laptop" */
		if (is_plain(c))
			ret[used++] = (char)c;
		else if (used > 0 && ret[used - 1] != '-')
			ret[used++] = '-';
	}
	while (used > 0 && ret[used - 1] == '-')
		used--;
	ret[used] = '\0';
	if (used == 0)
		snprintf(ret, NAME_LABEL_BYTES, "node");
}

bool name_is_label(struct slice name)
{
	if (name.size == 0 || name.size >= NAME_LABEL_BYTES || name.data[0] == '-' ||
	    name.data[name.size - 1] == '-')
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (!is_plain(name.data[i]) && name.data[i] != '-')
			return false;
	return true;
}
