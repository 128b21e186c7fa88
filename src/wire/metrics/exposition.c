#include "wire/metrics/exposition.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const char total[] = "_total";
static const char *const kind_names[] = { "counter", "gauge", "histogram" };

/* --- text that others chose ------------------------------------------------------------------- */

bool metric_label_is_exact(struct slice value)
{
	if (value.size > METRIC_LABEL_BYTES_MAX)
		return false;
	while (value.size > 0) {
		size_t size = utf8_size(value);
		if (size == 0)
			return false;
		value = slice_part(value, size, value.size);
	}
	return true;
}

static void add_character(struct buf *out, struct slice character)
{
	switch (character.data[0]) {
	case '\n':
		buf_add_text(out, "\\n");
		break;
	case '"':
		buf_add_text(out, "\\\"");
		break;
	case '\\':
		buf_add_text(out, "\\\\");
		break;
	default:
		buf_add_slice(out, character);
	}
}

static void add_value(struct buf *out, struct slice value)
{
	static const char unknown[] = "\xef\xbf\xbd"; /* U+FFFD */
	size_t left = METRIC_LABEL_BYTES_MAX;

	while (value.size > 0) {
		size_t size = utf8_size(value);
		if (size > left)
			return;
		if (size == 0)
			buf_add_text(out, unknown);
		else
			add_character(out, slice_part(value, 0, size));
		size += size == 0;
		value = slice_part(value, size, value.size);
		left -= size < left ? size : left;
	}
}

/* --- samples ---------------------------------------------------------------------------------- */

/* The name, its labels and the common one; `extra` is one more, of which the value needs no
 * care. */
static void add_name(struct exposition *e, const char *suffix, const struct metric_label *labels,
		     const char *extra, const char *extra_value)
{
	char separator = '{';

	buf_add_format(e->out, "%s%s", e->row->name, suffix);
	for (size_t i = 0; labels[i].name; i++) {
		assert(i < METRIC_LABELS_MAX);
		buf_add_format(e->out, "%c%s=\"", separator, labels[i].name);
		add_value(e->out, labels[i].value);
		buf_add_text(e->out, "\"");
		separator = ',';
	}
	if (e->common.name) {
		buf_add_format(e->out, "%c%s=\"", separator, e->common.name);
		add_value(e->out, e->common.value);
		buf_add_text(e->out, "\"");
		separator = ',';
	}
	if (extra) {
		buf_add_format(e->out, "%c%s=\"%s\"", separator, extra, extra_value);
		separator = ',';
	}
	buf_add_text(e->out, separator == ',' ? "} " : " ");
}

static bool has_room(struct exposition *e, size_t samples)
{
	assert(e->row);
	if (e->samples + samples > EXPOSITION_SAMPLES_MAX) {
		e->left_out += samples;
		return false;
	}
	e->samples += samples;
	return true;
}

static void add_whole(struct exposition *e, uint64_t value)
{
	buf_add_format(e->out, "%llu\n", (unsigned long long)value);
}

static void add_real(struct exposition *e, double value)
{
	if (isnan(value))
		buf_add_text(e->out, "NaN\n");
	else if (isinf(value))
		buf_add_text(e->out, value > 0 ? "+Inf\n" : "-Inf\n");
	else
		buf_add_format(e->out, "%.15g\n", value);
}

void exposition_init(struct exposition *e, enum exposition_format format, struct buf *out)
{
	*e = (struct exposition) { .out = out, .format = format };
}

void exposition_family(struct exposition *e, const struct metric_row *row)
{
	size_t size = strlen(row->name);

	assert(size < METRIC_NAME_BYTES_MAX);
	assert((row->kind == METRIC_HISTOGRAM) == (row->scale != NULL));
	if (row->kind == METRIC_COUNTER) {
		assert(size > sizeof(total) && strcmp(row->name + size - 6, total) == 0);
		if (e->format == EXPOSITION_OPENMETRICS)
			size -= sizeof(total) - 1;
	}
	e->row = row;
	buf_add_format(e->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)size, row->name, row->help,
		       (int)size, row->name, kind_names[row->kind]);
}

void exposition_add(struct exposition *e, uint64_t value, const struct metric_label *labels)
{
	if (!has_room(e, 1))
		return;
	add_name(e, "", labels, NULL, NULL);
	add_whole(e, value);
}

void exposition_add_real(struct exposition *e, double value, const struct metric_label *labels)
{
	if (!has_room(e, 1))
		return;
	add_name(e, "", labels, NULL, NULL);
	add_real(e, value);
}

/* OpenMetrics wants a point in it. */
static void limit_text(const struct exposition *e, double limit, char ret[32])
{
	int used = snprintf(ret, 32, "%.10g", limit);

	if (e->format == EXPOSITION_OPENMETRICS && !strpbrk(ret, ".e"))
		snprintf(ret + used, 32 - (size_t)used, ".0");
}

void exposition_add_histogram(struct exposition *e, const struct histogram *h,
			      const struct metric_label *labels)
{
	const struct histogram_scale *scale = e->row->scale;
	uint64_t count = 0;
	char limit[32];

	if (!has_room(e, scale->count + 3))
		return;
	for (size_t i = 0; i < scale->count; i++) {
		count += h->counts[i];
		limit_text(e, (double)scale->limits[i] * scale->unit, limit);
		add_name(e, "_bucket", labels, "le", limit);
		add_whole(e, count);
	}
	count += h->counts[scale->count];
	add_name(e, "_bucket", labels, "le", "+Inf");
	add_whole(e, count);
	add_name(e, "_sum", labels, NULL, NULL);
	add_real(e, (double)h->sum * scale->unit);
	add_name(e, "_count", labels, NULL, NULL);
	add_whole(e, count);
}

void exposition_one(struct exposition *e, const struct metric_row *row, uint64_t value)
{
	exposition_family(e, row);
	exposition_add(e, value, NO_LABELS);
}

void exposition_end(enum exposition_format format, struct buf *out)
{
	if (format == EXPOSITION_OPENMETRICS)
		buf_add_text(out, "# EOF\n");
}

/* --- which ------------------------------------------------------------------------------------ */

static bool is_refused(struct slice parameters)
{
	while (parameters.size > 0) {
		struct slice parameter = slice_trim(slice_cut(&parameters, ';'), " \t");

		if (slice_equal(parameter, SLICE("q=0")) || slice_equal(parameter, SLICE("q=0.0")))
			return true;
	}
	return false;
}

/* Whoever can read OpenMetrics names it; weights between two that can be read do not matter. */
enum exposition_format exposition_format_of(struct slice accept)
{
	while (accept.size > 0) {
		struct slice kind = slice_cut(&accept, ',');
		struct slice name = slice_trim(slice_cut(&kind, ';'), " \t");

		if (slice_equal(name, SLICE("application/openmetrics-text")) && !is_refused(kind))
			return EXPOSITION_OPENMETRICS;
	}
	return EXPOSITION_TEXT;
}

const char *exposition_content_type(enum exposition_format format)
{
	return format == EXPOSITION_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}
