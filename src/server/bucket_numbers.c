#include "server/bucket_numbers.h"

#include <assert.h>

static const struct metric_row requests = { "hanse_bucket_requests_total", METRIC_COUNTER,
					    "Requests that left for a bucket, retries and parts of "
					    "large objects too, as stores bill them.",
					    NULL };
static const struct metric_row errors = {
	"hanse_bucket_request_errors_total", METRIC_COUNTER,
	"Requests of a bucket without an answer, or with one that says that it did not work.", NULL
};
static const struct metric_row seconds = { "hanse_bucket_request_duration_seconds",
					   METRIC_HISTOGRAM, "How long requests of a bucket took.",
					   &histogram_times };
static const struct metric_row sent = { "hanse_bucket_sent_bytes_total", METRIC_COUNTER,
					"Bytes of bodies that were sent to a bucket.", NULL };
static const struct metric_row received = { "hanse_bucket_received_bytes_total", METRIC_COUNTER,
					    "Bytes of bodies that came from a bucket.", NULL };

struct place {
	char name[METER_NAME_BYTES_MAX];
	const struct meter *meter;
	const struct meter_times *times;
};

#define PLACE_LABELS(role, place)                                                                  \
	{ "role", slice_from(role) },                                                              \
	{                                                                                          \
		"bucket", slice_from((place)->name)                                                \
	}
#define OPERATION(request)                                                                         \
	{                                                                                          \
		"operation", slice_from(meter_request_name(request))                               \
	}

static void write_operations(struct exposition *e, const char *role, const struct place *places,
			     int count)
{
	exposition_family(e, &requests);
	for (int i = 0; i < count; i++)
		for (enum meter_request k = 0; k < METER_REQUESTS; k++)
			exposition_add(e, places[i].meter->requests[k],
				       LABELS(PLACE_LABELS(role, &places[i]), OPERATION(k)));
	exposition_family(e, &errors);
	for (int i = 0; i < count; i++)
		for (enum meter_request k = 0; k < METER_REQUESTS; k++)
			exposition_add(e, places[i].times->errors[k],
				       LABELS(PLACE_LABELS(role, &places[i]), OPERATION(k)));
	exposition_family(e, &seconds);
	for (int i = 0; i < count; i++)
		for (enum meter_request k = 0; k < METER_REQUESTS; k++)
			if (histogram_count(&places[i].times->took[k]) > 0)
				exposition_add_histogram(e, &places[i].times->took[k],
							 LABELS(PLACE_LABELS(role, &places[i]),
								OPERATION(k)));
}

void bucket_numbers_write(struct exposition *e, const char *role, struct bucket *const *buckets,
			  int count)
{
	struct place places[BUCKET_NUMBERS_MAX];

	assert(count <= BUCKET_NUMBERS_MAX);
	for (int i = 0; i < count; i++) {
		bucket_meter_name(buckets[i], places[i].name);
		places[i].meter = bucket_meter(buckets[i]);
		places[i].times = bucket_meter_times(buckets[i]);
	}
	write_operations(e, role, places, count);
	exposition_family(e, &sent);
	for (int i = 0; i < count; i++)
		exposition_add(e, places[i].meter->sent_bytes,
			       LABELS(PLACE_LABELS(role, &places[i])));
	exposition_family(e, &received);
	for (int i = 0; i < count; i++)
		exposition_add(e, places[i].meter->received_bytes,
			       LABELS(PLACE_LABELS(role, &places[i])));
}
