#include "cli/top_node.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "cli/output.h"
#include "wire/metrics/samples.h"

enum { LIMITS_MAX = 32, LEVEL_LAST = 4 };

/* A sample counts if it has the name and, where `label` is given, that value of it. */
struct pick {
	const char *name, *label, *value;
};

static bool is_picked(const struct pick *p, const struct metric_sample *s)
{
	struct slice value;

	return slice_equal(s->name, slice_from(p->name)) &&
	       (!p->label || (metric_sample_label(s, p->label, &value) &&
			      slice_equal(value, slice_from(p->value))));
}

/* NaN: there is no such sample. */
static double sum(const struct top_page *page, const struct pick *p)
{
	struct slice rest = buf_slice(&page->text);
	struct metric_sample s;
	double ret = (double)NAN;

	while (metric_sample_next(&rest, &s))
		if (is_picked(p, &s))
			ret = isnan(ret) ? s.value : ret + s.value;
	return ret;
}

struct top {
	const struct top_page *now, *before;
	double passed_s; /* 0: there are no rates */
};

static double now_of(const struct top *t, const char *name, const char *label, const char *value)
{
	return sum(t->now, &(struct pick) { name, label, value });
}

/* A counter that is lower than it was began anew. */
static double rate_of(const struct top *t, const char *name, const char *label, const char *value)
{
	struct pick p = { name, label, value };
	double now = sum(t->now, &p), before = t->passed_s > 0 ? sum(t->before, &p) : (double)NAN;

	if (isnan(now) || isnan(before))
		return (double)NAN;
	return (now < before ? now : now - before) / t->passed_s;
}

/* Since the time that a number tells; clocks may differ. */
static double age_of(const struct top *t, const char *name, const char *label, const char *value)
{
	double at_s = now_of(t, name, label, value);

	return at_s > t->now->wall_s ? 0 : t->now->wall_s - at_s;
}

static void add(json_t *object, const char *name, double value)
{
	if (isnan(value) || isinf(value))
		json_object_set_new(object, name, json_null());
	else if (value == floor(value) && fabs(value) < 1e15)
		json_object_set_new(object, name, json_integer((json_int_t)value));
	else
		json_object_set_new(object, name, json_real(value));
}

static void add_now(json_t *object, const struct top *t, const char *as, const char *name)
{
	add(object, as, now_of(t, name, NULL, NULL));
}

static void add_rate(json_t *object, const struct top *t, const char *as, const char *name)
{
	add(object, as, rate_of(t, name, NULL, NULL));
}

/* --- histograms ------------------------------------------------------------------------------- */
struct limits {
	double limit[LIMITS_MAX], count[LIMITS_MAX];
	size_t n;
};

static void read_limits(const struct top_page *page, const struct pick *p, struct limits *ret)
{
	struct slice rest = buf_slice(&page->text), le;
	struct metric_sample s;

	ret->n = 0;
	while (metric_sample_next(&rest, &s)) {
		size_t i = 0;

		if (!is_picked(p, &s) || !metric_sample_label(&s, "le", &le))
			continue;
		double limit =
			le.data[0] == '+' ? (double)INFINITY : strtod((const char *)le.data, NULL);
		while (i < ret->n && ret->limit[i] < limit)
			i++;
		if (i == ret->n) {
			if (ret->n == LIMITS_MAX)
				return;
			ret->limit[ret->n] = limit;
			ret->count[ret->n++] = 0;
		}
		ret->count[i] += s.value;
	}
}

/* Of what came since the page before, or of all where nothing did; NaN: of nothing. */
static double quantile(const struct top *t, const struct pick *p, double q)
{
	struct limits now, before = { .n = 0 };
	double below = 0;

	read_limits(t->now, p, &now);
	if (t->passed_s > 0)
		read_limits(t->before, p, &before);
	if (before.n == now.n && now.n > 0 && now.count[now.n - 1] > before.count[now.n - 1])
		for (size_t i = 0; i < now.n; i++)
			now.count[i] -= before.count[i];
	if (now.n < 2 || now.count[now.n - 1] <= 0)
		return (double)NAN;
	double wanted = q * now.count[now.n - 1];
	for (size_t i = 0; i < now.n; i++) {
		double lower = i ? now.limit[i - 1] : 0;

		if (now.count[i] < wanted) {
			below = now.count[i];
			continue;
		}
		if (isinf(now.limit[i]))
			return lower;
		double part = now.count[i] > below ? (wanted - below) / (now.count[i] - below) : 1;
		return lower + part * (now.limit[i] - lower);
	}
	return (double)NAN;
}

static void add_times(json_t *object, const struct top *t, const char *name, const char *label,
		      const char *value)
{
	struct pick p = { name, label, value };

	add(object, "p50_seconds", quantile(t, &p, 0.5));
	add(object, "p99_seconds", quantile(t, &p, 0.99));
}

/* --- parts ------------------------------------------------------------------------------------ */
static json_t *role_json(const struct top *t, const char *role, bool is_up)
{
	json_t *ret = json_object();
	double cpu = rate_of(t, "process_cpu_seconds_total", "role", role);

	json_object_set_new(ret, "role", json_string(role));
	json_object_set_new(ret, "up", json_boolean(is_up));
	add(ret, "cpu_percent", cpu * 100);
	add(ret, "memory_bytes", now_of(t, "process_resident_memory_bytes", "role", role));
	add(ret, "files", now_of(t, "process_open_fds", "role", role));
	return ret;
}

static json_t *roles_json(const struct top *t)
{
	struct slice rest = buf_slice(&t->now->text), role;
	json_t *ret = json_array();
	struct metric_sample s;
	char name[16];

	while (metric_sample_next(&rest, &s)) {
		if (!slice_equal(s.name, SLICE("hanse_role_up")) ||
		    !metric_sample_label(&s, "role", &role) || role.size >= sizeof(name))
			continue;
		memcpy(name, role.data, role.size);
		name[role.size] = '\0';
		json_array_append_new(ret, role_json(t, name, s.value > 0));
	}
	json_array_append_new(ret, role_json(t, "metrics", true));
	return ret;
}

static json_t *kafka_json(const struct top *t)
{
	json_t *ret = json_object();

	add_now(ret, t, "connections", "hanse_kafka_connections");
	add_rate(ret, t, "requests_per_second", "hanse_kafka_requests_total");
	add_rate(ret, t, "errors_per_second", "hanse_kafka_errors_total");
	add_rate(ret, t, "received_bytes_per_second", "hanse_kafka_received_bytes_total");
	add_rate(ret, t, "sent_bytes_per_second", "hanse_kafka_sent_bytes_total");
	add_rate(ret, t, "throttled_per_second", "hanse_kafka_throttled_requests_total");
	return ret;
}

static json_t *api_json(const struct top *t, const char *api)
{
	json_t *ret = json_object();

	add(ret, "requests_per_second", rate_of(t, "hanse_kafka_requests_total", "api", api));
	if (strcmp(api, "Produce") == 0) {
		add_rate(ret, t, "records_per_second", "hanse_topic_produced_records_total");
		add_rate(ret, t, "bytes_per_second", "hanse_topic_produced_bytes_total");
	} else {
		add_rate(ret, t, "bytes_per_second", "hanse_topic_fetched_bytes_total");
	}
	add_times(ret, t, "hanse_kafka_request_duration_seconds_bucket", "api", api);
	return ret;
}

static json_t *files_json(const struct top *t)
{
	json_t *ret = json_object();

	add_rate(ret, t, "puts_per_second", "hanse_file_put_duration_seconds_count");
	add_times(ret, t, "hanse_file_put_duration_seconds_bucket", NULL, NULL);
	add_now(ret, t, "in_flight", "hanse_file_in_flight");
	add_now(ret, t, "buffered_bytes", "hanse_file_buffered_bytes");
	add_now(ret, t, "budget_puts", "hanse_put_budget_requests");
	return ret;
}

static json_t *cache_json(const struct top *t)
{
	double hits = rate_of(t, "hanse_block_cache_hits_total", NULL, NULL);
	double misses = rate_of(t, "hanse_block_cache_misses_total", NULL, NULL);
	double misses_per_s = misses;
	json_t *ret = json_object();

	if (!(hits + misses > 0)) { /* nothing was read since: of all */
		hits = now_of(t, "hanse_block_cache_hits_total", NULL, NULL);
		misses = now_of(t, "hanse_block_cache_misses_total", NULL, NULL);
	}
	add(ret, "hits_percent", 100 * hits / (hits + misses));
	add(ret, "misses_per_second", misses_per_s);
	add_now(ret, t, "memory_bytes", "hanse_block_cache_bytes");
	add_now(ret, t, "limit_bytes", "hanse_block_cache_limit_bytes");
	return ret;
}

static json_t *buckets_json(const struct top *t)
{
	static const char *const operations[] = { "put",  "put_new", "part",  "get",
						  "head", "list",    "delete" };
	json_t *ret = json_object();
	char name[32];

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		snprintf(name, sizeof(name), "%s_per_second", operations[i]);
		add(ret, name,
		    rate_of(t, "hanse_bucket_requests_total", "operation", operations[i]));
	}
	add_rate(ret, t, "errors_per_second", "hanse_bucket_request_errors_total");
	add_times(ret, t, "hanse_bucket_request_duration_seconds_bucket", NULL, NULL);
	return ret;
}

static json_t *journal_json(const struct top *t)
{
	json_t *ret = json_object();

	add_now(ret, t, "leads", "hanse_journal_leading");
	add_now(ret, t, "record", "hanse_journal_committed_index");
	add_rate(ret, t, "commits_per_second", "hanse_journal_commit_duration_seconds_count");
	add_rate(ret, t, "commands_per_second", "hanse_journal_commands_total");
	add_times(ret, t, "hanse_journal_commit_duration_seconds_bucket", NULL, NULL);
	add_now(ret, t, "takeovers", "hanse_journal_takeovers_total");
	add(ret, "snapshot_age_seconds",
	    age_of(t, "hanse_journal_snapshot_timestamp_seconds", NULL, NULL));
	add_now(ret, t, "since_snapshot_bytes", "hanse_journal_since_snapshot_bytes");
	return ret;
}

static json_t *catalog_json(const struct top *t)
{
	static const char *const tables[] = { "topics", "partitions", "files", "runs", "groups" };
	json_t *ret = json_object();

	add_now(ret, t, "memory_bytes", "hanse_catalog_bytes");
	add_now(ret, t, "limit_bytes", "hanse_catalog_limit_bytes");
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		add(ret, tables[i], now_of(t, "hanse_catalog_rows", "table", tables[i]));
	for (char level[] = "0"; level[0] <= '0' + LEVEL_LAST; level[0]++) {
		char name[] = "level_0_files";
		name[6] = level[0];
		add(ret, name, now_of(t, "hanse_files", "level", level));
	}
	add_now(ret, t, "dead_files", "hanse_files_dead");
	add_now(ret, t, "dead_bytes", "hanse_files_dead_bytes");
	return ret;
}

/* Of who leads what is to be done, of agents what they did. */
static json_t *compaction_json(const struct top *t)
{
	json_t *ret = json_object();

	add_now(ret, t, "running_jobs", "hanse_compaction_running_jobs");
	for (char level[] = "0"; level[0] < '0' + LEVEL_LAST; level[0]++) {
		char name[] = "level_0_waiting_runs";
		name[6] = level[0];
		add(ret, name, now_of(t, "hanse_compaction_waiting_runs", "level", level));
	}
	add_rate(ret, t, "read_bytes_per_second", "hanse_compaction_read_bytes_total");
	add_rate(ret, t, "written_bytes_per_second", "hanse_compaction_written_bytes_total");
	add(ret, "merges", now_of(t, "hanse_compaction_jobs_total", "kind", "merge"));
	add(ret, "key_passes", now_of(t, "hanse_compaction_jobs_total", "kind", "keys"));
	add_now(ret, t, "failures", "hanse_compaction_failures_total");
	return ret;
}

/* --- money ------------------------------------------------------------------------------------ */
static const char *item_of(struct slice operation)
{
	if (slice_equal(operation, SLICE("list")) || slice_equal(operation, SLICE("delete")))
		return slice_equal(operation, SLICE("list")) ? "list" : "delete";
	return slice_equal(operation, SLICE("get")) || slice_equal(operation, SLICE("head"))
		       ? "get"
		       : "put";
}

/* Dollars of the requests of one sample; NaN: nobody knows what that store costs. */
static double dollars_of(const struct metric_sample *s, const struct prices *prices)
{
	struct slice bucket, operation;
	char url[512];

	if (!metric_sample_label(s, "bucket", &bucket) ||
	    !metric_sample_label(s, "operation", &operation) || bucket.size >= sizeof(url))
		return (double)NAN;
	memcpy(url, bucket.data, bucket.size);
	url[bucket.size] = '\0';
	if (strncmp(url, "file:", 5) == 0 || strncmp(url, "memory:", 7) == 0)
		return 0;
	const char *store = prices_store_of(url);
	const struct price *price = store ? prices_find(prices, store, item_of(operation)) : NULL;
	return price ? s->value * price_each(price) : (double)NAN;
}

static json_t *month_json(const struct top *t, const struct prices *prices)
{
	struct slice rest = buf_slice(&t->now->text);
	struct metric_sample s;
	json_t *ret = json_object();
	double requests = (double)NAN, dollars = 0;

	while (metric_sample_next(&rest, &s)) {
		if (!slice_equal(s.name, SLICE("hanse_month_bucket_requests")))
			continue;
		requests = isnan(requests) ? s.value : requests + s.value;
		if (s.value > 0)
			dollars += dollars_of(&s, prices);
	}
	add(ret, "requests", requests);
	add(ret, "so_far_dollars", isnan(requests) ? requests : dollars);
	return ret;
}

/* --- the busiest ------------------------------------------------------------------------------ */
struct named {
	struct slice first, second;
	double value;
};

static int by_value(const void *a, const void *b)
{
	double x = ((const struct named *)a)->value, y = ((const struct named *)b)->value;

	return (x < y) - (x > y);
}

static double value_before(const struct top *t, const struct metric_sample *now)
{
	struct slice rest = buf_slice(&t->before->text);
	struct metric_sample s;

	while (metric_sample_next(&rest, &s))
		if (slice_equal(s.name, now->name) && slice_equal(s.labels, now->labels))
			return s.value;
	return 0;
}

/* The greatest of a family with these labels; of a rate, those that were greater than nothing. */
static json_t *busiest_json(const struct top *t, const char *name, const char *first,
			    const char *second, const char *as, bool is_rate)
{
	struct named *all = memory_take_array(TOP_NAMES_MAX, sizeof(*all));
	struct slice rest = buf_slice(&t->now->text);
	json_t *ret = json_array();
	struct metric_sample s;
	size_t n = 0;

	while (n < TOP_NAMES_MAX && metric_sample_next(&rest, &s)) {
		if (!slice_equal(s.name, slice_from(name)) ||
		    !metric_sample_label(&s, first, &all[n].first) ||
		    (second && !metric_sample_label(&s, second, &all[n].second)))
			continue;
		all[n].value = s.value;
		if (is_rate && t->passed_s > 0)
			all[n].value = (s.value - value_before(t, &s)) / t->passed_s;
		else if (is_rate)
			continue;
		n += all[n].value > 0;
	}
	qsort(all, n, sizeof(*all), by_value);
	for (size_t i = 0; i < n && i < TOP_SHOWN_MAX; i++) {
		json_t *row = json_object();
		json_object_set_new(row, first, output_json_text(all[i].first));
		if (second)
			json_object_set_new(row, second, output_json_text(all[i].second));
		add(row, as, all[i].value);
		json_array_append_new(ret, row);
	}
	memory_free(all);
	return ret;
}

/* --- all of it -------------------------------------------------------------------------------- */
static bool has_family(const struct top *t, const char *name)
{
	return !isnan(now_of(t, name, NULL, NULL));
}

static void add_streams(json_t *ret, const struct top *t)
{
	json_object_set_new(ret, "kafka", kafka_json(t));
	json_object_set_new(ret, "produce", api_json(t, "Produce"));
	json_object_set_new(ret, "fetch", api_json(t, "Fetch"));
	json_object_set_new(ret, "files", files_json(t));
	json_object_set_new(ret, "cache", cache_json(t));
}

static void add_control(json_t *ret, const struct top *t, const struct prices *prices)
{
	json_object_set_new(ret, "catalog", catalog_json(t));
	json_object_set_new(ret, "month", month_json(t, prices));
}

json_t *top_node_json(const struct top_page *now, const struct top_page *before,
		      const struct prices *prices)
{
	struct top t = { now, before, before->text.size ? now->at_s - before->at_s : 0 };
	json_t *ret = json_object();

	json_object_set_new(ret, "roles", roles_json(&t));
	if (has_family(&t, "hanse_kafka_connections"))
		add_streams(ret, &t);
	if (has_family(&t, "hanse_bucket_sent_bytes_total"))
		json_object_set_new(ret, "buckets", buckets_json(&t));
	if (has_family(&t, "hanse_journal_leading"))
		json_object_set_new(ret, "journal", journal_json(&t));
	if (has_family(&t, "hanse_catalog_bytes"))
		add_control(ret, &t, prices);
	if (has_family(&t, "hanse_compaction_jobs_total") || has_family(&t, "hanse_catalog_bytes"))
		json_object_set_new(ret, "compaction", compaction_json(&t));
	json_object_set_new(ret, "topics",
			    busiest_json(&t, "hanse_topic_produced_records_total", "topic", NULL,
					 "records_per_second", true));
	json_object_set_new(ret, "groups",
			    busiest_json(&t, "hanse_consumer_group_lag_records", "group", "topic",
					 "lag_records", false));
	return ret;
}
