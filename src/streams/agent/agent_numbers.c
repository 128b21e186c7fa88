#include "streams/agent/agent_numbers.h"

#include "base/clock.h"
#include "base/endian.h"
#include "base/memory.h"
#include "streams/agent/block_cache.h"
#include "streams/agent/early_runs.h"
#include "streams/agent/file_writer.h"
#include "streams/agent/group_lag.h"
#include "streams/agent/held_batch.h"
#include "streams/agent/orphan_scan.h"
#include "streams/agent/site.h"
#include "wire/kafka/errors.h"

struct agent_numbers *agent_numbers_new(void)
{
	struct agent_numbers *n = NEW(struct agent_numbers);

	map_init(&n->topics_by_name);
	buf_init(&n->lag);
	return n;
}

void agent_numbers_free(struct agent_numbers *n)
{
	map_done(&n->topics_by_name);
	buf_done(&n->lag);
	memory_free(n);
}

/* --- counting --------------------------------------------------------------------------------- */

void agent_numbers_error(struct agent *agent, int16_t api_key, int16_t code)
{
	struct agent_numbers *n = agent->numbers;

	if (code == KAFKA_NONE)
		return;
	for (size_t i = 0; i < n->error_count; i++) {
		if (n->errors[i].api == api_key && n->errors[i].code == code) {
			n->errors[i].count++;
			return;
		}
	}
	if (n->error_count == NUMBERS_ERRORS_MAX) {
		n->errors_other++;
		return;
	}
	n->errors[n->error_count].api = api_key;
	n->errors[n->error_count].code = code;
	n->errors[n->error_count++].count = 1;
}

/* The error of a whole answer, where it stands at the front, at most behind the time to wait. */
static int16_t error_of(const struct request *r, struct slice body)
{
	const struct schema *s = r->api->response;
	int version = r->header.api_version;
	size_t position = 0;

	for (size_t i = 0; i < s->field_count; i++) {
		const struct schema_field *f = &s->fields[i];

		if (f->tag != SCHEMA_TAG_NONE || version < f->version_first ||
		    version > f->version_last)
			continue;
		if (f->kind == SCHEMA_INT16 && strcmp(f->name, "error_code") == 0)
			return body.size >= position + sizeof(uint16_t)
				       ? (int16_t)get_u16(body.data + position)
				       : KAFKA_NONE;
		if (f->kind != SCHEMA_INT32 || position > 0)
			break;
		position += sizeof(uint32_t);
	}
	return KAFKA_NONE;
}

void agent_numbers_answer(const struct request *r, struct slice body)
{
	struct agent_numbers *n = r->agent->numbers;
	int16_t key = r->header.api_key;

	if (key < 0 || key >= NUMBERS_APIS_MAX)
		return;
	n->apis[key].requests++;
	histogram_add(&n->apis[key].took, &histogram_times, clock_now_us() - r->arrived_us);
	if (r->throttle_ms > 0) {
		n->throttled++;
		n->throttled_ms += r->throttle_ms;
	}
	if (r->api)
		agent_numbers_error(r->agent, key, error_of(r, body));
}

/* --- topics ----------------------------------------------------------------------------------- */

static bool is_gone(struct agent *agent, const struct topic_numbers *t, uint64_t now_ms)
{
	struct cell *cell = replica_cell(agent->replica);
	struct catalog_topic topic;
	struct arena a;

	if (!cell || now_ms - t->last_ms < NUMBERS_TOPIC_IDLE_MS)
		return false;
	arena_init(&a);
	bool ret = catalog_topic_by_id(&a, cell, &t->topic_id, &topic) == ERR_NOT_FOUND;
	arena_done(&a);
	return ret;
}

/* The place of a topic that is not counted yet. */
static struct topic_numbers *new_topic(struct agent *agent, uint64_t now_ms)
{
	struct agent_numbers *n = agent->numbers;

	if (n->topic_count < NUMBERS_TOPICS_MAX)
		return &n->topics[n->topic_count++];
	if (now_ms < n->other_topics.last_ms + NUMBERS_TOPIC_IDLE_MS)
		return NULL; /* looked for not long ago */
	n->other_topics.last_ms = now_ms;
	for (size_t i = 0; i < NUMBERS_TOPICS_MAX; i++)
		if (is_gone(agent, &n->topics[i], now_ms)) {
			map_remove(&n->topics_by_name, slice_from(n->topics[i].name));
			return &n->topics[i];
		}
	return NULL;
}

struct topic_numbers *agent_numbers_topic(struct agent *agent, const struct uuid *topic_id,
					  struct slice name)
{
	struct agent_numbers *n = agent->numbers;
	uint64_t now_ms = loop_now_ms(agent->loop);
	struct topic_numbers *t = map_get(&n->topics_by_name, name);

	if (!t) {
		t = name.size < NUMBERS_TOPIC_NAME_BYTES ? new_topic(agent, now_ms) : NULL;
		if (!t)
			return &n->other_topics;
		*t = (struct topic_numbers) { .last_ms = now_ms };
		memcpy(t->name, name.data, name.size);
		map_put(&n->topics_by_name, slice_from(t->name), t);
	}
	t->topic_id = *topic_id; /* created again, it counts on: no page has a series twice */
	t->last_ms = now_ms;
	return t;
}

/* --- writing ---------------------------------------------------------------------------------- */

static const struct metric_row requests = { "hanse_kafka_requests_total", METRIC_COUNTER,
					    "Kafka requests that were answered.", NULL };
static const struct metric_row request_seconds = {
	"hanse_kafka_request_duration_seconds", METRIC_HISTOGRAM,
	"From the arrival of a Kafka request to its answer, waiting for records included.",
	&histogram_times
};
static const struct metric_row errors = {
	"hanse_kafka_errors_total", METRIC_COUNTER,
	"Errors that Kafka clients were told, of requests and of partitions in them.", NULL
};

static struct slice api_name(int16_t key)
{
	const struct kafka_api *api = kafka_api_find(key);

	return slice_from(api ? api->name : "other");
}

static void write_requests(const struct agent_numbers *n, struct exposition *e)
{
	exposition_family(e, &requests);
	for (int16_t key = 0; key < NUMBERS_APIS_MAX; key++)
		if (n->apis[key].requests > 0)
			exposition_add(e, n->apis[key].requests, LABELS({ "api", api_name(key) }));
	exposition_family(e, &request_seconds);
	for (int16_t key = 0; key < NUMBERS_APIS_MAX; key++)
		if (n->apis[key].requests > 0)
			exposition_add_histogram(e, &n->apis[key].took,
						 LABELS({ "api", api_name(key) }));
	exposition_family(e, &errors);
	for (size_t i = 0; i < n->error_count; i++)
		exposition_add(e, n->errors[i].count,
			       LABELS({ "api", api_name(n->errors[i].api) },
				      { "error",
					slice_from(kafka_error_name(n->errors[i].code)) }));
	exposition_add(e, n->errors_other,
		       LABELS({ "api", SLICE("other") }, { "error", SLICE("other") }));
}

static const struct metric_row connections = { "hanse_kafka_connections", METRIC_GAUGE,
					       "Connections of Kafka clients.", NULL };
static const struct metric_row connections_total = { "hanse_kafka_connections_total",
						     METRIC_COUNTER,
						     "Connections that Kafka clients made.", NULL };
static const struct metric_row refused = {
	"hanse_kafka_connections_refused_total", METRIC_COUNTER,
	"Connections that were refused because there were too many.", NULL
};
static const struct metric_row received = { "hanse_kafka_received_bytes_total", METRIC_COUNTER,
					    "Bytes of Kafka requests.", NULL };
static const struct metric_row sent = { "hanse_kafka_sent_bytes_total", METRIC_COUNTER,
					"Bytes of answers to Kafka clients.", NULL };
static const struct metric_row throttled = {
	"hanse_kafka_throttled_requests_total", METRIC_COUNTER,
	"Requests whose client was told to wait because of a quota.", NULL
};
static const struct metric_row throttled_seconds = {
	"hanse_kafka_throttled_seconds_total", METRIC_COUNTER,
	"How long clients were told to wait because of quotas.", NULL
};

static void write_connections(struct agent *agent, struct exposition *e)
{
	const struct agent_numbers *n = agent->numbers;

	exposition_one(e, &connections, agent->connection_count);
	exposition_one(e, &connections_total, n->connections);
	exposition_one(e, &refused, n->refused);
	exposition_one(e, &received, n->received_bytes);
	exposition_one(e, &sent, n->sent_bytes);
	exposition_one(e, &throttled, n->throttled);
	exposition_family(e, &throttled_seconds);
	exposition_add_real(e, (double)n->throttled_ms / 1000, NO_LABELS);
}

static const struct metric_row topic_batches = { "hanse_topic_produced_batches_total",
						 METRIC_COUNTER,
						 "Record batches that were written to a topic "
						 "through this node; topic \"\": to those without "
						 "numbers of their own.",
						 NULL };
static const struct metric_row topic_records = {
	"hanse_topic_produced_records_total", METRIC_COUNTER,
	"Records that were written to a topic through this node.", NULL
};
static const struct metric_row topic_bytes = {
	"hanse_topic_produced_bytes_total", METRIC_COUNTER,
	"Bytes that were written to a topic through this node, as producers sent them.", NULL
};
static const struct metric_row topic_fetched = {
	"hanse_topic_fetched_bytes_total", METRIC_COUNTER,
	"Bytes that were read from a topic through this node.", NULL
};

static void write_topic_row(const struct agent_numbers *n, struct exposition *e,
			    const struct metric_row *row, size_t offset)
{
	exposition_family(e, row);
	for (size_t i = 0; i <= n->topic_count; i++) {
		const struct topic_numbers *t =
			i < n->topic_count ? &n->topics[i] : &n->other_topics;
		const char *at = (const char *)t + offset;
		uint64_t value;

		memcpy(&value, at, sizeof(value));
		exposition_add(e, value, LABELS({ "topic", slice_from(t->name) }));
	}
}

static void write_topics(const struct agent_numbers *n, struct exposition *e)
{
	write_topic_row(n, e, &topic_batches, offsetof(struct topic_numbers, produced_batches));
	write_topic_row(n, e, &topic_records, offsetof(struct topic_numbers, produced_records));
	write_topic_row(n, e, &topic_bytes, offsetof(struct topic_numbers, produced_bytes));
	write_topic_row(n, e, &topic_fetched, offsetof(struct topic_numbers, fetched_bytes));
}

static const struct metric_row file_bytes = { "hanse_file_size_bytes", METRIC_HISTOGRAM,
					      "Sizes of data files that were put.",
					      &histogram_bytes };
static const struct metric_row open_seconds = { "hanse_file_open_duration_seconds",
						METRIC_HISTOGRAM,
						"From the first batch of a data file until it is "
						"closed: waiting for the budget and company.",
						&histogram_times };
static const struct metric_row turn_seconds = {
	"hanse_file_turn_duration_seconds", METRIC_HISTOGRAM,
	"From the bucket having a data file until its commit is sent: waiting for those before it.",
	&histogram_times
};
static const struct metric_row put_seconds = { "hanse_file_put_duration_seconds", METRIC_HISTOGRAM,
					       "From closing a data file until the bucket has it.",
					       &histogram_times };
static const struct metric_row commit_seconds = {
	"hanse_file_commit_duration_seconds", METRIC_HISTOGRAM,
	"From sending the commit of a data file to control until its answer.", &histogram_times
};
static const struct metric_row announcement_seconds = {
	"hanse_file_announcement_duration_seconds", METRIC_HISTOGRAM,
	"From announcing a data file to control, as its put begins, until that is durable.",
	&histogram_times
};
static const struct metric_row announcements_refused = {
	"hanse_file_announcement_failures_total", METRIC_COUNTER,
	"Data files that control did not take an announcement of.", NULL
};
static const struct metric_row flushes = { "hanse_file_flushes_total", METRIC_COUNTER,
					   "Data files that were closed, by why.", NULL };
static const struct metric_row puts_failed = { "hanse_file_put_failures_total", METRIC_COUNTER,
					       "Data files that the bucket did not take.", NULL };
static const struct metric_row commits_refused = {
	"hanse_file_commit_failures_total", METRIC_COUNTER,
	"Data files that control did not accept, or not in time.", NULL
};
static const struct metric_row in_flight = {
	"hanse_file_in_flight", METRIC_GAUGE,
	"Data files between closing and the end of their commit.", NULL
};
static const struct metric_row buffered = { "hanse_file_buffered_bytes", METRIC_GAUGE,
					    "Batches that are not yet committed.", NULL };
static const struct metric_row budget = {
	"hanse_put_budget_requests", METRIC_GAUGE,
	"Puts of data files that may be sent at once before the next one has to wait.", NULL
};

static void write_files(struct agent *agent, struct exposition *e)
{
	static const char *const reasons[FLUSH_REASONS] = { "full", "idle", "budget" };
	const struct agent_numbers *n = agent->numbers;
	struct file_writer_status status;

	file_writer_get_status(agent->writer, &status);
	exposition_family(e, &file_bytes);
	exposition_add_histogram(e, &n->file_bytes, NO_LABELS);
	exposition_family(e, &open_seconds);
	exposition_add_histogram(e, &n->open_took, NO_LABELS);
	exposition_family(e, &put_seconds);
	exposition_add_histogram(e, &n->put_took, NO_LABELS);
	exposition_family(e, &turn_seconds);
	exposition_add_histogram(e, &n->turn_took, NO_LABELS);
	exposition_family(e, &commit_seconds);
	exposition_add_histogram(e, &n->commit_took, NO_LABELS);
	exposition_family(e, &announcement_seconds);
	exposition_add_histogram(e, &n->announcement_took, NO_LABELS);
	exposition_one(e, &announcements_refused, n->announcements_refused);
	exposition_family(e, &flushes);
	for (int i = 0; i < FLUSH_REASONS; i++)
		exposition_add(e, n->flushes[i], LABELS({ "reason", slice_from(reasons[i]) }));
	exposition_one(e, &puts_failed, n->puts_failed);
	exposition_one(e, &commits_refused, n->commits_refused);
	exposition_one(e, &in_flight, status.files);
	exposition_one(e, &buffered, status.buffered_bytes);
	exposition_family(e, &budget);
	if (status.has_budget)
		exposition_add_real(e, status.puts_left, NO_LABELS);
}

static const struct metric_row cache_hits = { "hanse_block_cache_hits_total", METRIC_COUNTER,
					      "Blocks of data files that were in memory.", NULL };
static const struct metric_row cache_misses = {
	"hanse_block_cache_misses_total", METRIC_COUNTER,
	"Blocks of data files that were not: another agent of the site gave them, or the bucket.",
	NULL
};
static const struct metric_row cache_bytes = { "hanse_block_cache_bytes", METRIC_GAUGE,
					       "Memory of blocks: warm are those that were just "
					       "written, cold those from elsewhere, ahead "
					       "those of them that nobody has wanted yet.",
					       NULL };
static const struct metric_row cache_max = { "hanse_block_cache_limit_bytes", METRIC_GAUGE,
					     "How much memory blocks may take.", NULL };
static const struct metric_row cache_aheads = { "hanse_block_cache_ahead_total", METRIC_COUNTER,
						"Blocks read ahead of their readers.", NULL };
static const struct metric_row cache_aheads_unused = {
	"hanse_block_cache_ahead_unused_total", METRIC_COUNTER,
	"Blocks read ahead that went before anybody came for them.", NULL
};
static const struct metric_row cache_loads = { "hanse_block_cache_loads", METRIC_GAUGE,
					       "Blocks that are being read or asked for.", NULL };

static void write_cache(struct agent *agent, struct exposition *e)
{
	struct block_cache_status s;

	block_cache_get_status(agent->cache, &s);
	exposition_one(e, &cache_hits, s.hits);
	exposition_one(e, &cache_misses, s.misses);
	exposition_family(e, &cache_bytes);
	exposition_add(e, s.warm_bytes, LABELS({ "kind", SLICE("warm") }));
	exposition_add(e, s.cold_bytes, LABELS({ "kind", SLICE("cold") }));
	exposition_add(e, s.ahead_bytes, LABELS({ "kind", SLICE("ahead") }));
	exposition_one(e, &cache_aheads, s.aheads);
	exposition_one(e, &cache_aheads_unused, s.aheads_unused);
	exposition_one(e, &cache_max, s.bytes_max);
	exposition_one(e, &cache_loads, s.loads);
}

static const struct metric_row site_blocks = {
	"hanse_site_blocks_total", METRIC_COUNTER,
	"Blocks of data files that other agents of the site gave: from their memory, or read from "
	"the bucket for all of the site.",
	NULL
};
static const struct metric_row site_fallbacks = {
	"hanse_site_fallbacks_total", METRIC_COUNTER,
	"Blocks that other agents of the site were asked for in vain, and the bucket then.", NULL
};
static const struct metric_row site_asked = {
	"hanse_site_asked_total", METRIC_COUNTER,
	"What other agents of the site asked of this one, and what they got: a block from memory, "
	"one read from the bucket, none, or that there is too much to do.",
	NULL
};

static void write_site(struct agent *agent, struct exposition *e)
{
	const struct site_numbers *n = site_get_numbers(agent->site);

	exposition_family(e, &site_blocks);
	exposition_add(e, n->from_memory, LABELS({ "from", SLICE("memory") }));
	exposition_add(e, n->from_bucket, LABELS({ "from", SLICE("bucket") }));
	exposition_one(e, &site_fallbacks, n->fallbacks);
	exposition_family(e, &site_asked);
	exposition_add(e, n->gave_memory, LABELS({ "got", SLICE("memory") }));
	exposition_add(e, n->gave_bucket, LABELS({ "got", SLICE("bucket") }));
	exposition_add(e, n->gave_none, LABELS({ "got", SLICE("none") }));
	exposition_add(e, n->gave_busy, LABELS({ "got", SLICE("busy") }));
}

/* --- what is done beside requests -----------------------------------------------------------
 */

static const struct metric_row compaction_jobs = { "hanse_compaction_jobs_total", METRIC_COUNTER,
						   "Compactions that ended well: of neighbouring "
						   "runs (merge), passes of one partition (keys).",
						   NULL };
static const struct metric_row compaction_failures = {
	"hanse_compaction_failures_total", METRIC_COUNTER,
	"Compactions that were given up; they are tried again.", NULL
};
static const struct metric_row compaction_read = { "hanse_compaction_read_bytes_total",
						   METRIC_COUNTER, "Records read for compaction.",
						   NULL };
static const struct metric_row compaction_written = {
	"hanse_compaction_written_bytes_total", METRIC_COUNTER,
	"Data files that compaction put in the place of others.", NULL
};
static const struct metric_row key_records = {
	"hanse_key_compaction_records_total", METRIC_COUNTER,
	"Records that passes of compaction by key looked at, by what became of them.", NULL
};
static const struct metric_row files_deleted = { "hanse_files_deleted_total", METRIC_COUNTER,
						 "Dead data files whose objects are gone.", NULL };
static const struct metric_row deletes_failed = {
	"hanse_file_delete_failures_total", METRIC_COUNTER,
	"Deletions of data files that the bucket did not confirm; they are repeated.", NULL
};
static const struct metric_row uploads_aborted = {
	"hanse_uploads_aborted_total", METRIC_COUNTER,
	"Uploads that somebody left in the store, aborted when they were a day old.", NULL
};
static const struct metric_row foreign = {
	"hanse_orphan_scan_foreign_objects", METRIC_GAUGE,
	"Objects among the data files that are not Hanse's, as this agent saw in its last scan.",
	NULL
};

static void write_compactions(const struct work_numbers *w, struct exposition *e)
{
	static const char *const kinds[] = { [NUMBERS_MERGE] = "merge", [NUMBERS_KEYS] = "keys" };

	exposition_family(e, &compaction_jobs);
	for (int i = 0; i < NUMBERS_COMPACTIONS; i++)
		exposition_add(e, w->compactions[i].jobs, LABELS({ "kind", slice_from(kinds[i]) }));
	exposition_family(e, &compaction_failures);
	for (int i = 0; i < NUMBERS_COMPACTIONS; i++)
		exposition_add(e, w->compactions[i].failures,
			       LABELS({ "kind", slice_from(kinds[i]) }));
	exposition_family(e, &compaction_read);
	for (int i = 0; i < NUMBERS_COMPACTIONS; i++)
		exposition_add(e, w->compactions[i].read_bytes,
			       LABELS({ "kind", slice_from(kinds[i]) }));
	exposition_family(e, &compaction_written);
	for (int i = 0; i < NUMBERS_COMPACTIONS; i++)
		exposition_add(e, w->compactions[i].written_bytes,
			       LABELS({ "kind", slice_from(kinds[i]) }));
	exposition_family(e, &key_records);
	exposition_add(e, w->key_records_kept, LABELS({ "outcome", SLICE("kept") }));
	exposition_add(e, w->key_records_dropped, LABELS({ "outcome", SLICE("dropped") }));
}

static void write_work(struct agent *agent, struct exposition *e)
{
	const struct work_numbers *w = &agent->numbers->work;

	write_compactions(w, e);
	exposition_one(e, &files_deleted, w->files_deleted);
	exposition_one(e, &deletes_failed, w->deletes_failed);
	if (!agent->orphan_scan)
		return;
	exposition_one(e, &uploads_aborted, orphan_scan_uploads(agent->orphan_scan));
	exposition_one(e, &foreign, orphan_scan_foreign(agent->orphan_scan));
}

/* --- all of it ------------------------------------------------------------------------------
 */

static const struct metric_row room_bytes = {
	"hanse_kafka_buffered_bytes", METRIC_GAUGE,
	"Memory of requests that were not yet answered, and of answers not yet taken.", NULL
};
static const struct metric_row early_row = { "hanse_early_runs_total", METRIC_COUNTER,
					     "Stretches of partitions that could be read before "
					     "their record was durable (taken), or not "
					     "even so (dropped).",
					     NULL };
static const struct metric_row held_row = {
	"hanse_kafka_held_batches", METRIC_GAUGE,
	"Batches that came before the one before them, and wait here for their turn.", NULL
};
static const struct metric_row replica_row = {
	"hanse_replica_index", METRIC_GAUGE,
	"The last record of the journal that this node's replica of the catalog has.", NULL
};

void agent_numbers_write(struct agent *agent, struct exposition *e)
{
	write_requests(agent->numbers, e);
	write_connections(agent, e);
	exposition_family(e, &room_bytes);
	exposition_add(e, agent->requests.used, LABELS({ "kind", SLICE("requests") }));
	exposition_add(e, agent->answers.used, LABELS({ "kind", SLICE("answers") }));
	exposition_one(e, &held_row, held_batches_count(agent->held));
	write_topics(agent->numbers, e);
	write_files(agent, e);
	write_cache(agent, e);
	write_site(agent, e);
	write_work(agent, e);
	struct early_runs_numbers early = early_runs_get_numbers(agent->early);
	exposition_family(e, &early_row);
	exposition_add(e, early.taken, LABELS({ "outcome", SLICE("taken") }));
	exposition_add(e, early.dropped, LABELS({ "outcome", SLICE("dropped") }));
	exposition_one(e, &replica_row, (uint64_t)replica_index(agent->replica));
	if (!agent->config.no_group_lag)
		group_lag_write(agent, e);
}
