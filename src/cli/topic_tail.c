/* hanse topic tail: the records of a topic, one a line.  Fetch, from a place in each partition to
 * where it ended when we began, or on and on. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/places.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/records.h"

enum {
	FETCH_VERSION_MAX = 12, /* later ones name topics by id */
	FETCH_WAIT_MS = 1000,
	FETCH_BYTES = 4 << 20,
	FETCH_PARTITION_BYTES = 1 << 20,
	TAIL_RECORDS = 10,     /* of each partition, unless told otherwise */
	CONTROL_KEY_BYTES = 4, /* version and type of a marker */
	CONTROL_ABORT = 0,
};

struct tail_partition {
	int32_t number;
	int64_t next;	    /* to be read */
	int64_t end;	    /* when we began */
	struct buf aborted; /* of int64_t: producers whose records are of an aborted transaction */
};

struct tail {
	struct broker *broker;
	struct kafka_metadata_response_topic topic;
	struct tail_partition *partitions;
	size_t count;
	struct arena arena; /* of one answer */
	bool is_json, is_endless, is_committed_only;
	uint64_t left; /* records to print */
};

/* --- one record --------------------------------------------------------------------------------
 */

static void print_text_part(struct tail *t, struct slice s)
{
	struct slice text = output_printable(&t->arena, s);

	if (s.data)
		fwrite(text.data, 1, text.size, stdout);
	else
		putchar('-');
}

static void print_text(struct tail *t, const struct tail_partition *p, int64_t offset,
		       const struct record *record)
{
	char when[WHERE_TIME_TEXT_BYTES];
	struct slice headers = record->headers;
	struct record_header header;
	const char *before = "\t";

	where_time_text(record->timestamp_ms, when);
	printf("%" PRId32 "\t%" PRId64 "\t%s\t", p->number, offset, when);
	print_text_part(t, record->key);
	putchar('\t');
	print_text_part(t, record->value);
	while (record_header_next(&headers, &header) == OK) {
		fputs(before, stdout);
		print_text_part(t, header.key);
		putchar('=');
		print_text_part(t, header.value);
		before = " ";
	}
	putchar('\n');
}

static json_t *headers_json(const struct record *record)
{
	json_t *ret = json_array();
	struct slice headers = record->headers;
	struct record_header header;

	while (record_header_next(&headers, &header) == OK) {
		json_t *one = json_object();
		output_json_bytes(one, "key", header.key);
		output_json_bytes(one, "value", header.value);
		json_array_append_new(ret, one);
	}
	return ret;
}

static void print_json(struct tail *t, const struct tail_partition *p, int64_t offset,
		       const struct record *record)
{
	char when[WHERE_TIME_TEXT_BYTES];

	where_time_text(record->timestamp_ms, when);
	json_t *line =
		json_pack("{s:o, s:i, s:I, s:s, s:I}", "topic", output_json_text(t->topic.name),
			  "partition", (int)p->number, "offset", (json_int_t)offset, "time", when,
			  "timestamp_ms", (json_int_t)record->timestamp_ms);
	output_json_bytes(line, "key", record->key);
	output_json_bytes(line, "value", record->value);
	json_object_set_new(line, "headers", headers_json(record));
	json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(line);
}

/* --- transactions ------------------------------------------------------------------------------
 */

static int64_t *aborted_find(struct tail_partition *p, int64_t producer_id)
{
	int64_t *ids = (int64_t *)(void *)p->aborted.data;

	for (size_t i = 0; i < p->aborted.size / sizeof(*ids); i++)
		if (ids[i] == producer_id)
			return &ids[i];
	return NULL;
}

/* Transactions that begin up to the batch and were aborted. */
static void aborted_begin(struct tail_partition *p,
			  const struct kafka_fetch_response_partition *answer, int64_t offset)
{
	for (size_t i = 0; i < answer->aborted_transactions_count; i++) {
		int64_t id = answer->aborted_transactions[i].producer_id;
		if (answer->aborted_transactions[i].first_offset <= offset && !aborted_find(p, id))
			buf_add(&p->aborted, &id, sizeof(id));
	}
}

/* A marker that aborts ends what aborted_begin() began. */
static void aborted_end(struct tail *t, struct tail_partition *p, const struct record_batch *batch)
{
	int64_t *found = aborted_find(p, batch->producer_id);
	struct records records;
	struct record record;

	if (!found || records_init(&t->arena, batch, &records) || records_next(&records, &record) ||
	    record.key.size < CONTROL_KEY_BYTES || get_u16(record.key.data + 2) != CONTROL_ABORT)
		return;
	int64_t *last = (int64_t *)(void *)(p->aborted.data + p->aborted.size) - 1;
	*found = *last;
	p->aborted.size -= sizeof(*last);
}

/* --- an answer ---------------------------------------------------------------------------------
 */

static enum err print_records(struct tail *t, struct tail_partition *p,
			      const struct record_batch *batch)
{
	struct records records;
	struct record record;

	enum err err = records_init(&t->arena, batch, &records);
	while (!err && t->left > 0 && !(err = records_next(&records, &record))) {
		int64_t offset = batch->base_offset + record.offset_delta;
		if (offset < p->next || (!t->is_endless && offset >= p->end))
			continue;
		if (t->is_json)
			print_json(t, p, offset, &record);
		else
			print_text(t, p, offset, &record);
		t->left--;
	}
	return err == ERR_NOT_FOUND ? OK : err;
}

static enum command_status print_batches(struct tail *t, struct tail_partition *p,
					 const struct kafka_fetch_response_partition *answer)
{
	struct slice rest = answer->records;
	struct record_batch batch;

	while (rest.size > 0 && t->left > 0 && !record_batch_next(&rest, &batch)) {
		int64_t after = batch.base_offset + batch.last_offset_delta + 1;
		bool is_control = batch.attributes & RECORD_BATCH_CONTROL;
		enum err err = OK;
		aborted_begin(p, answer, batch.base_offset);
		if (is_control)
			aborted_end(t, p, &batch);
		else if (!(batch.attributes & RECORD_BATCH_TRANSACTIONAL) ||
			 !aborted_find(p, batch.producer_id))
			err = record_batch_crc_matches(&batch) ? print_records(t, p, &batch)
							       : ERR_INVALID;
		if (err) {
			say("partition %" PRId32 ": the batch at offset %" PRId64
			    " cannot be read: %s",
			    p->number, batch.base_offset, err_name(err));
			return COMMAND_REFUSED;
		}
		if (after > p->next)
			p->next = after;
	}
	return COMMAND_DONE;
}

static enum command_status take_answer(struct tail *t, const struct kafka_fetch_response *response)
{
	if (response->error_code)
		return broker_refused("the records are not told", response->error_code,
				      (struct slice) { 0 });
	for (size_t i = 0; i < response->responses_count; i++) {
		const struct kafka_fetch_response_topic *topic = &response->responses[i];
		for (size_t j = 0; j < topic->partitions_count; j++) {
			const struct kafka_fetch_response_partition *answer = &topic->partitions[j];
			size_t k = 0;
			while (k < t->count && t->partitions[k].number != answer->partition_index)
				k++;
			if (k == t->count)
				continue;
			if (answer->error_code)
				return broker_refused(arena_format(&t->arena, "partition %" PRId32,
								   answer->partition_index),
						      answer->error_code, (struct slice) { 0 });
			enum command_status status = print_batches(t, &t->partitions[k], answer);
			if (status)
				return status;
		}
	}
	return COMMAND_DONE;
}

/* --- fetching ----------------------------------------------------------------------------------
 */

static bool is_over(const struct tail *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->partitions[i].next < t->partitions[i].end)
			return false;
	return !t->is_endless;
}

/* What is not at its end, or all of them. */
static void fill_fetch(struct tail *t, struct kafka_fetch_request_topic *topic,
		       struct kafka_fetch_request *ret)
{
	topic->topic = t->topic.name;
	topic->partitions = arena_take_array(&t->arena, t->count, sizeof(*topic->partitions));
	for (size_t i = 0; i < t->count; i++) {
		const struct tail_partition *p = &t->partitions[i];
		if (!t->is_endless && p->next >= p->end)
			continue;
		topic->partitions[topic->partitions_count++] =
			(struct kafka_fetch_request_partition) {
				.partition = p->number,
				.current_leader_epoch = -1,
				.last_fetched_epoch = -1,
				.fetch_offset = p->next,
				.log_start_offset = -1,
				.partition_max_bytes = FETCH_PARTITION_BYTES,
			};
	}
	*ret = (struct kafka_fetch_request) {
		.replica_id = -1,
		.max_wait_ms = FETCH_WAIT_MS,
		.min_bytes = 1,
		.max_bytes = FETCH_BYTES,
		.isolation_level = t->is_committed_only,
		.session_epoch = -1,
		.topics = topic,
		.topics_count = 1,
	};
}

static enum command_status fetch_once(struct tail *t)
{
	struct broker *b = t->broker;
	struct kafka_fetch_request_topic topic = { 0 };
	struct kafka_fetch_request request;
	struct kafka_fetch_response response;

	arena_reset(&t->arena);
	fill_fetch(t, &topic, &request);
	int version = kafka_client_version(&b->client, KAFKA_API_FETCH, FETCH_VERSION_MAX);
	if (version < 0) {
		say("%s speaks no version of Fetch that this program knows", b->address.text);
		return COMMAND_REFUSED;
	}
	enum command_status status = broker_stay_signed_in(b);
	if (status)
		return status;
	if (kafka_client_call(&t->arena, &b->client, KAFKA_API_FETCH, version, &request,
			      &response)) {
		say("%s did not answer Fetch: %s", b->address.text, b->client.why);
		return COMMAND_UNREACHABLE;
	}
	status = take_answer(t, &response);
	enum command_status printed = output_flush();
	return status ? status : printed;
}

/* --- where it begins ---------------------------------------------------------------------------
 */

/* Without --from; of one partition alone the last --limit are meant. */
static struct where last_records(const struct tail *t, size_t partitions)
{
	bool has_limit = partitions == 1 && t->left <= INT64_MAX;

	return (struct where) { WHERE_RELATIVE, has_limit ? -(int64_t)t->left : -TAIL_RECORDS };
}

static enum command_status find_places(struct tail *t, const struct command_line *l,
				       const struct where *from)
{
	struct arena *a = &t->broker->arena;
	int32_t *numbers;
	size_t count;

	enum command_status status = places_choose(t->broker, l, &t->topic, &numbers, &count);
	if (status)
		return status;
	struct place *places = arena_take_array(a, count, sizeof(*places));
	for (size_t i = 0; i < count; i++)
		places[i] = (struct place) { t->topic.name, numbers[i], .from = -1 };
	struct where last = last_records(t, count);
	status = places_find(t->broker, from ? from : &last, t->is_committed_only, places, count);
	if (!status && places_say_unknown(places, count))
		status = COMMAND_UNREACHABLE;
	if (status)
		return status;
	t->partitions = arena_take_array(a, count, sizeof(*t->partitions));
	for (; t->count < count; t->count++) {
		t->partitions[t->count] = (struct tail_partition) {
			.number = numbers[t->count],
			.next = places[t->count].offset,
			.end = places[t->count].end,
		};
		buf_init(&t->partitions[t->count].aborted);
	}
	return COMMAND_DONE;
}

static enum command_status read_options(struct tail *t, const struct command_line *l,
					struct where *ret_from)
{
	const char *from = command_line_value(l, FLAG_FROM, NULL);
	const char *limit = command_line_value(l, FLAG_LIMIT, NULL);

	*ret_from = (struct where) { 0 };
	if ((from && where_parse(from, (uint64_t)clock_wall_ms(), ret_from)) ||
	    (ret_from->kind == WHERE_RELATIVE && ret_from->number > 0)) {
		say("--from %s: earliest, latest, an offset, -N from the end, a time as in "
		    "2026-11-22T14:00Z, or 30m ago",
		    from);
		return COMMAND_MISUSED;
	}
	t->left = UINT64_MAX;
	if (limit && (text_to_u64(slice_from(limit), INT64_MAX, &t->left) || t->left == 0)) {
		say("--limit %s is not a number of records", limit);
		return COMMAND_MISUSED;
	}
	t->is_json = command_line_has(l, FLAG_JSON);
	t->is_endless = command_line_has(l, FLAG_FOLLOW);
	t->is_committed_only = command_line_has(l, FLAG_COMMITTED);
	return COMMAND_DONE;
}

static enum command_status tail(struct tail *t, const struct command_line *l)
{
	struct where from;

	enum command_status status = read_options(t, l, &from);
	if (status)
		return status;
	status = broker_open(t->broker, l);
	if (!status)
		status = topic_ask(t->broker, l->arguments[0], &t->topic);
	if (!status)
		status = find_places(t, l, command_line_has(l, FLAG_FROM) ? &from : NULL);
	while (!status && t->left > 0 && !is_over(t))
		status = fetch_once(t);
	return status;
}

enum command_status topic_tail_run(const struct command_line *l)
{
	struct broker b = { .client.socket.fd = -1 };
	struct tail t = { .broker = &b };

	arena_init(&b.arena);
	arena_init(&t.arena);
	enum command_status status = tail(&t, l);
	for (size_t i = 0; i < t.count; i++)
		buf_done(&t.partitions[i].aborted);
	arena_done(&t.arena);
	broker_close(&b);
	return status;
}
