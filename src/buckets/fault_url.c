/* "fault:URL": what a bucket is wished to do wrong, as parameters beside those of the inner one. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "buckets/fault.h"
#include "buckets/kinds.h"

#define FAULT_PARAMETER "fault_"

enum { LOST_MS_DEFAULT = 20 * 1000, SLOW_MS_DEFAULT = 1000, MB_PER_S_MAX = 1000 * 1000 };

/* The inner URL: everything that is not ours, in the order given. */
static void inner_url(const struct bucket_url *u, char ret[BUCKET_KEY_BYTES_MAX])
{
	int size = BUCKET_KEY_BYTES_MAX;
	int used = snprintf(ret, (size_t)size, "%.*s", SLICE_ARG(u->path));
	char separator = '?';

	for (size_t i = 0; i < u->parameter_count; i++) {
		const struct bucket_parameter *p = &u->parameters[i];

		if (slice_starts_with(p->name, SLICE(FAULT_PARAMETER)))
			continue;
		assert(used < size); /* it is a part of a URL that fits */
		used += snprintf(ret + used, (size_t)(size - used), "%c%.*s=%.*s", separator,
				 SLICE_ARG(p->name), SLICE_ARG(p->value));
		separator = '&';
	}
}

struct wishes {
	uint64_t seed, before_ppm, after_ppm, lost_ppm, lost_ms, slow_down_ppm, slow_down_ms;
	uint64_t stale_ms, corrupt_ppm, truncate_ppm, delay_ms;
	struct fault_store store;
	char prefix[BUCKET_KEY_BYTES_MAX];
	char report[BUCKET_KEY_BYTES_MAX];
};

static const char *const known[] = {
	"fault_seed",	     "fault_before_ppm",    "fault_after_ppm",	  "fault_lost_ppm",
	"fault_lost_ms",     "fault_slow_down_ppm", "fault_slow_down_ms", "fault_stale_ms",
	"fault_corrupt_ppm", "fault_truncate_ppm",  "fault_delay_ms",	  "fault_mb_per_s",
	"fault_slow_ppm",    "fault_slow_ms",	    "fault_put_ms",	  "fault_get_ms",
	"fault_other_ms",    "fault_prefix",	    "fault_report",	  NULL
};

static enum err take_numbers(struct bucket_url *u, struct wishes *w, char why[TASK_WHY_BYTES])
{
	const struct {
		uint64_t max, *ret;
	} numbers[] = {
		{ UINT64_MAX, &w->seed },
		{ FAULT_PPM_ALWAYS, &w->before_ppm },
		{ FAULT_PPM_ALWAYS, &w->after_ppm },
		{ FAULT_PPM_ALWAYS, &w->lost_ppm },
		{ FAULT_FOR_MS_MAX, &w->lost_ms },
		{ FAULT_PPM_ALWAYS, &w->slow_down_ppm },
		{ FAULT_FOR_MS_MAX, &w->slow_down_ms },
		{ FAULT_FOR_MS_MAX, &w->stale_ms },
		{ FAULT_PPM_ALWAYS, &w->corrupt_ppm },
		{ FAULT_PPM_ALWAYS, &w->truncate_ppm },
		{ FAULT_FOR_MS_MAX, &w->delay_ms },
		{ MB_PER_S_MAX, &w->store.megabytes_per_s },
		{ FAULT_PPM_ALWAYS, &w->store.slow_ppm },
		{ FAULT_FOR_MS_MAX, &w->store.slow_ms },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		enum err err =
			bucket_url_take_u64(u, known[i], numbers[i].max, numbers[i].ret, why);

		if (err)
			return err;
	}
	return OK;
}

static enum err take_latency(struct bucket_url *u, const char *name, struct fault_latency *ret,
			     char why[TASK_WHY_BYTES])
{
	struct slice value;

	if (!bucket_url_take(u, name, &value) || fault_latency_parse(value, ret) == OK)
		return OK;
	snprintf(why, TASK_WHY_BYTES, "%s: write the median and the 99th percentile, as in 100-195",
		 name);
	return ERR_INVALID;
}

static void take_text(struct bucket_url *u, const char *name, char ret[BUCKET_KEY_BYTES_MAX])
{
	struct slice value = { NULL, 0 };

	if (bucket_url_take(u, name, &value))
		snprintf(ret, BUCKET_KEY_BYTES_MAX, "%.*s", SLICE_ARG(value));
}

static enum err take_wishes(struct bucket_url *u, struct wishes *w, char why[TASK_WHY_BYTES])
{
	enum err err = take_numbers(u, w, why);

	if (!err)
		err = take_latency(u, "fault_put_ms", &w->store.put, why);
	if (!err)
		err = take_latency(u, "fault_get_ms", &w->store.get, why);
	if (!err)
		err = take_latency(u, "fault_other_ms", &w->store.other, why);
	if (err)
		return err;
	take_text(u, "fault_prefix", w->prefix);
	take_text(u, "fault_report", w->report);
	for (size_t i = 0; i < u->parameter_count; i++) /* the rest is checked by the inner kind */
		if (!slice_starts_with(u->parameters[i].name, SLICE(FAULT_PARAMETER)))
			u->parameters[i].is_used = true;
	return bucket_url_finish(u, known, why);
}

static void add_wishes(struct bucket *b, const struct wishes *w)
{
	const struct fault faults[] = {
		{ .effect = FAULT_SLOW_DOWN, .ppm = w->slow_down_ppm, .for_ms = w->slow_down_ms },
		{ .effect = FAULT_BEFORE, .ppm = w->before_ppm },
		{ .effect = FAULT_AFTER, .ppm = w->after_ppm, .verbs = FAULT_WRITES },
		{ .effect = FAULT_LOST, .ppm = w->lost_ppm, .for_ms = w->lost_ms },
		{ .effect = FAULT_CORRUPT, .ppm = w->corrupt_ppm, .verbs = FAULT_VERB(BUCKET_GET) },
		{ .effect = FAULT_TRUNCATE,
		  .ppm = w->truncate_ppm,
		  .verbs = FAULT_VERB(BUCKET_GET) },
		{ .effect = FAULT_STALE,
		  .ppm = w->stale_ms ? FAULT_PPM_ALWAYS : 0,
		  .verbs = FAULT_VERB(BUCKET_LIST),
		  .for_ms = w->stale_ms },
		{ .effect = FAULT_NONE, .ppm = w->delay_ms ? FAULT_PPM_ALWAYS : 0 },
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct fault f = faults[i];

		f.prefix = w->prefix;
		f.delay_ms_max = w->delay_ms;
		if (f.ppm)
			fault_add(b, &f);
	}
	if (w->store.put.p50_ms || w->store.get.p50_ms || w->store.other.p50_ms ||
	    w->store.slow_ppm || w->store.megabytes_per_s)
		fault_set_store(b, &w->store);
	if (w->report[0])
		fault_set_report(b, w->report);
}

enum err fault_bucket_open(struct bucket_url *u, struct bucket **ret, char why[TASK_WHY_BYTES])
{
	const char *allowed = getenv("HANSE_TEST_FAULTS");
	char url[BUCKET_KEY_BYTES_MAX];
	struct wishes wishes = { .lost_ms = LOST_MS_DEFAULT,
				 .slow_down_ms = SLOW_MS_DEFAULT,
				 .store.slow_ms = SLOW_MS_DEFAULT };
	struct bucket *inner = NULL;
	enum err err;

	if (!allowed || strcmp(allowed, "1") != 0) {
		snprintf(why, TASK_WHY_BYTES,
			 "fault: buckets lose data on purpose; set HANSE_TEST_FAULTS=1 to test");
		return ERR_DENIED;
	}
	err = take_wishes(u, &wishes, why);
	if (err)
		return err;
	inner_url(u, url);
	err = bucket_open(url, &inner, why);
	if (err)
		return err;
	*ret = fault_bucket_new(inner, wishes.seed);
	add_wishes(*ret, &wishes);
	return OK;
}
