#include "wire/metrics/samples.h"

#include <stdlib.h>

enum { VALUE_BYTES = 64 };

/* Where the braces end: a brace inside of quotes is none. */
static bool find_end(struct slice s, size_t *ret)
{
	bool is_quoted = false;

	for (size_t i = 0; i < s.size; i++) {
		if (is_quoted && s.data[i] == '\\')
			i++;
		else if (s.data[i] == '"')
			is_quoted = !is_quoted;
		else if (!is_quoted && s.data[i] == '}') {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool read_value(struct slice text, double *ret)
{
	char copy[VALUE_BYTES], *end;

	if (text.size == 0 || text.size >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	*ret = strtod(copy, &end);
	return *end == '\0' && end != copy;
}

static bool read_line(struct slice line, struct metric_sample *ret)
{
	size_t size = 0, end;

	while (size < line.size && line.data[size] != '{' && line.data[size] != ' ')
		size++;
	if (size == 0 || size == line.size || line.data[0] == '#')
		return false;
	ret->name = slice_part(line, 0, size);
	ret->labels = (struct slice) { line.data, 0 };
	line = slice_part(line, size + 1, line.size);
	if (ret->name.data[size] == '{') {
		if (!find_end(line, &end))
			return false;
		ret->labels = slice_part(line, 0, end);
		line = slice_part(line, end + 1, line.size);
	}
	return read_value(slice_trim(line, " "), &ret->value);
}

bool metric_sample_next(struct slice *rest, struct metric_sample *ret)
{
	struct metric_sample sample;

	while (rest->size > 0) {
		if (!read_line(slice_cut(rest, '\n'), &sample))
			continue;
		*ret = sample;
		return true;
	}
	return false;
}

/* One of them, name="value"; false: there is no more. */
static bool next_label(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
	size_t size = 0;

	*ret_name = slice_cut(rest, '=');
	if (rest->size == 0 || rest->data[0] != '"')
		return false;
	*rest = slice_part(*rest, 1, rest->size);
	while (size < rest->size && rest->data[size] != '"')
		size += rest->data[size] == '\\' ? 2 : 1;
	if (size >= rest->size)
		return false;
	*ret_value = slice_part(*rest, 0, size);
	*rest = slice_part(*rest, size + 1, rest->size);
	if (rest->size > 0 && rest->data[0] == ',')
		*rest = slice_part(*rest, 1, rest->size);
	return true;
}

bool metric_sample_label(const struct metric_sample *s, const char *name, struct slice *ret)
{
	struct slice rest = s->labels, own, value;

	while (rest.size > 0 && next_label(&rest, &own, &value)) {
		if (!slice_equal(own, slice_from(name)))
			continue;
		*ret = value;
		return true;
	}
	return false;
}
