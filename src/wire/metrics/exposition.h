/* Numbers as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.
 *
 *	# HELP hanse_kafka_requests_total Kafka requests that were answered.
 *	# TYPE hanse_kafka_requests_total counter
 *	hanse_kafka_requests_total{api="Produce"} 17
 *
 * A family is one row (name, kind, help), and all its samples follow it.  OpenMetrics calls the
 * family of a counter without the "_total" of its samples, and ends with "# EOF", which whoever
 * answers adds (exposition_end). */
#ifndef WIRE_METRICS_EXPOSITION_H
#define WIRE_METRICS_EXPOSITION_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/histogram.h"

enum {
	METRIC_NAME_BYTES_MAX = 100,
	METRIC_LABEL_BYTES_MAX = 256, /* of a value; what is longer is cut */
	METRIC_LABELS_MAX = 6,
	EXPOSITION_SAMPLES_MAX = 100000, /* of one page; those after it are left out and counted */
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* Counters are named ..._total, and every name ends with its base unit: seconds, bytes. */
struct metric_row {
	const char *name;
	enum metric_kind kind;
	const char *help;		     /* a sentence */
	const struct histogram_scale *scale; /* of a histogram */
};

enum exposition_format { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

struct metric_label {
	const char *name; /* NULL ends a list */
	struct slice value;
};

/* exposition_add(e, 1, LABELS({ "api", SLICE("Produce") })); NO_LABELS for none */
#define LABELS(...) ((const struct metric_label[]) { __VA_ARGS__, { NULL, { NULL, 0 } } })
#define NO_LABELS (&(const struct metric_label) { NULL, { NULL, 0 } })

struct exposition {
	struct buf *out; /* borrowed; grows */
	enum exposition_format format;
	struct metric_label common;   /* of all samples; none unless it is set after the init */
	const struct metric_row *row; /* private from here on */
	size_t samples;
	size_t left_out;
};

void exposition_init(struct exposition *e, enum exposition_format format, struct buf *out);

/* A family begins; each once. */
void exposition_family(struct exposition *e, const struct metric_row *row);

/* Samples of the family: no two with the same labels. */
void exposition_add(struct exposition *e, uint64_t value, const struct metric_label *labels);
void exposition_add_real(struct exposition *e, double value, const struct metric_label *labels);
void exposition_add_histogram(struct exposition *e, const struct histogram *h,
			      const struct metric_label *labels);

/* A family with one sample and no labels. */
void exposition_one(struct exposition *e, const struct metric_row *row, uint64_t value);

/* What a whole answer ends with. */
void exposition_end(enum exposition_format format, struct buf *out);

/* Can it be told as it is?  What is too long or no UTF-8 is told as something else, and two of such
 * might be told the same: whoever takes names of others as labels asks first. */
bool metric_label_is_exact(struct slice value);

/* What an Accept header asks for, "": nothing was said. */
enum exposition_format exposition_format_of(struct slice accept);
const char *exposition_content_type(enum exposition_format format);

#endif
