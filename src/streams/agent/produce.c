/* Produce: check every batch, hand it to the file writer, answer when the file's commit is durable.
 *
 * All batches of a request join the files in one step, so requests of one connection, which may
 * overlap, keep their order.  An answer is never better than the truth: what may or may not have
 * been stored is REQUEST_TIMED_OUT, what certainly was not is an error that producers repeat. */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kafka_messages.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/brokers.h"
#include "streams/agent/connection.h"
#include "streams/agent/file_writer.h"
#include "streams/agent/held_batch.h"
#include "streams/agent/operations.h"
#include "streams/agent/sync.h"
#include "streams/catalog/config.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/records.h"

enum {
	PRODUCE_PARTITIONS_MAX = 10000,
	PRODUCE_TIMEOUT_MS_MIN = 1000, /* a shorter wish would only make producers repeat */
	PRODUCE_ACKS_ALL = -1,
	PRODUCE_TOPIC_IDS_FIRST = 13, /* from this version on topics are named by id */
	PRODUCE_ZSTD_FIRST = 7,
	PRODUCE_RECORD_ERRORS_MAX = 10000, /* told of all batches of a request */
	PRODUCE_ABORTABLE_FIRST = 11,	   /* producers know TRANSACTION_ABORTABLE */
	PRODUCE_ADDS_PARTITIONS_FIRST = 12,
};

/* One batch that is on its way into a file. */
struct produce_batch {
	struct file_write write;
	struct held_batch *held; /* NULL: it was in order */
	struct uuid topic_id;
	const struct kafka_produce_request_partition *asked;
	struct kafka_produce_response_partition *answer;
	size_t bytes;
	int32_t record_count;
	struct topic_numbers *numbers; /* of its topic */
	int64_t append_time_ms;	       /* that we gave its records, or -1 */
};

struct produce {
	const struct kafka_produce_request *request;
	struct kafka_produce_response response;
	struct produce_batch *batches;
	size_t batch_count;
	struct timer timer;
	struct sync sync;
	bool has_synced;
	bool is_late;						   /* its time is over */
	struct kafka_produce_response_record_error *record_errors; /* of all batches */
	size_t record_error_count;
};

/* --- answers -----------------------------------------------------------------------------------
 */

static void refuse_partition(struct kafka_produce_response_partition *answer, int16_t code,
			     const char *message)
{
	answer->error_code = code;
	answer->base_offset = -1;
	answer->log_start_offset = -1;
	answer->error_message = slice_from(message);
}

/* Why a batch was not stored, in words that producers know how to act on. */
static int16_t code_of(enum err err)
{
	switch (err) {
	case ERR_FULL:
	case ERR_IO:
	case ERR_DENIED:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_UNSUPPORTED:
		return KAFKA_KAFKA_STORAGE_ERROR;
	case ERR_BUSY:
	case ERR_UNAVAILABLE:
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	case ERR_UNKNOWN:
	case ERR_TIMEOUT:
	case ERR_CANCELED: /* our own deadline */
		return KAFKA_REQUEST_TIMED_OUT;
	case OK:
	case ERR_EXISTS:
	case ERR_INVALID:
	case ERR_TOO_BIG:
	case ERR_CORRUPT:
	case ERR_COUNT:
		break;
	}
	return KAFKA_UNKNOWN_SERVER_ERROR;
}

static const char *message_of(enum err err)
{
	switch (code_of(err)) {
	case KAFKA_KAFKA_STORAGE_ERROR:
		return err == ERR_FULL ? "the bucket is full" : "the bucket refused the data";
	case KAFKA_NOT_LEADER_OR_FOLLOWER:
		return "not stored; try again";
	case KAFKA_REQUEST_TIMED_OUT:
		return "not known in time whether the batch was stored";
	default:
		return "the broker failed";
	}
}

static void take_answer(const struct file_write *write,
			struct kafka_produce_response_partition *answer)
{
	if (write->task.err) {
		refuse_partition(answer, code_of(write->task.err), message_of(write->task.err));
		return;
	}
	answer->error_code = write->ret_error;
	answer->base_offset = write->ret_base_offset;
	answer->log_append_time_ms = write->ret_log_append_time;
	answer->log_start_offset = write->ret_log_start_offset;
	if (write->ret_error)
		answer->error_message = slice_from(
			write->ret_why ? write->ret_why : kafka_error_name(write->ret_error));
}

static bool has_error(const struct kafka_produce_response *response)
{
	for (size_t i = 0; i < response->responses_count; i++)
		for (size_t k = 0; k < response->responses[i].partition_responses_count; k++)
			if (response->responses[i].partition_responses[k].error_code)
				return true;
	return false;
}

/* Who is told to go elsewhere is told where (KIP-951). */
static void tell_leader(struct request *r, struct kafka_produce_response *response)
{
	const struct catalog_agent *leader = r->agent->has_left ? brokers_elsewhere(r) : NULL;
	bool is_told = false;

	for (size_t i = 0; i < response->responses_count && leader; i++)
		for (size_t k = 0; k < response->responses[i].partition_responses_count; k++) {
			struct kafka_produce_response_partition *answer =
				&response->responses[i].partition_responses[k];
			if (answer->error_code != KAFKA_NOT_LEADER_OR_FOLLOWER)
				continue;
			answer->current_leader.leader_id = leader->node_id;
			answer->current_leader.leader_epoch = 0; /* the only one there is */
			is_told = true;
		}
	if (!is_told)
		return;
	response->node_endpoints = arena_take(&r->arena, sizeof(*response->node_endpoints));
	response->node_endpoints_count = 1;
	response->node_endpoints[0] =
		(struct kafka_produce_response_node_endpoint) { leader->node_id, leader->host,
								leader->port, leader->site };
}

static void count_batch(struct agent *agent, const struct produce_batch *batch)
{
	reporter_add_produced(agent, batch->bytes);
	batch->numbers->produced_batches++;
	batch->numbers->produced_records += (uint64_t)batch->record_count;
	batch->numbers->produced_bytes += batch->bytes;
}

static void count_errors(struct request *r, const struct kafka_produce_response *response)
{
	for (size_t i = 0; i < response->responses_count; i++)
		for (size_t k = 0; k < response->responses[i].partition_responses_count; k++)
			agent_numbers_error(
				r->agent, KAFKA_API_PRODUCE,
				response->responses[i].partition_responses[k].error_code);
}

/* What this batch is followed by is not to be held back. */
static void remember_refused(struct request *r, struct uuid topic_id,
			     const struct kafka_produce_request_partition *asked)
{
	struct held_place place = { connection_id(r->connection), topic_id, asked->index };
	struct slice records = asked->records;
	struct record_batch batch;

	if (records.size > 0 && record_batch_next(&records, &batch) == OK)
		held_batches_refused(r->agent->held, &place, &batch);
}

/* Is it certain that the batch was not stored? */
static bool is_refused(int16_t code)
{
	return code && code != KAFKA_REQUEST_TIMED_OUT && code != KAFKA_DUPLICATE_SEQUENCE_NUMBER;
}

static enum step produce_answer(struct request *r, struct produce *p)
{
	timer_clear(&p->timer);
	for (size_t i = 0; i < p->batch_count; i++) {
		struct produce_batch *batch = &p->batches[i];
		take_answer(batch->held ? &batch->held->write : &batch->write, batch->answer);
		if (is_refused(batch->answer->error_code))
			remember_refused(r, batch->topic_id, batch->asked);
		if (batch->answer->error_code)
			continue;
		batch->answer->log_append_time_ms = batch->append_time_ms;
		count_batch(r->agent, batch);
		r->used_bytes += batch->bytes;
	}
	count_errors(r, &p->response);
	p->response.throttle_time_ms = request_throttle(r);
	if (p->request->acks == 0)
		return request_drop(r, has_error(&p->response));
	tell_leader(r, &p->response);
	return request_answer(r, &p->response);
}

/* --- checks ------------------------------------------------------------------------------------
 */

static int16_t find_topic(struct request *r, const struct kafka_produce_request_topic *asked,
			  struct catalog_topic *ret)
{
	struct cell *cell = replica_cell(r->agent->replica);
	bool by_id = r->header.api_version >= PRODUCE_TOPIC_IDS_FIRST;
	enum err err = ERR_UNAVAILABLE;

	if (!by_id && !request_may(r, GRANT_WRITE, GRANT_TOPIC, asked->name))
		return KAFKA_TOPIC_AUTHORIZATION_FAILED;
	if (cell)
		err = by_id ? catalog_topic_by_id(&r->arena, cell, &asked->topic_id, ret)
			    : catalog_topic_by_name(&r->arena, cell, asked->name, ret);
	if (!err && by_id && !request_may(r, GRANT_WRITE, GRANT_TOPIC, ret->name))
		return KAFKA_TOPIC_AUTHORIZATION_FAILED;
	if (!err)
		return KAFKA_NONE;
	if (err != ERR_NOT_FOUND)
		return KAFKA_UNKNOWN_SERVER_ERROR;
	return by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* What concerns every partition of the request. */
static int16_t check_request(const struct agent *agent, const struct kafka_produce_request *request,
			     const char **ret_message)
{
	if (agent->has_left && request->acks != 0) { /* without an answer nobody would be told */
		*ret_message = "this agent is leaving; ask for the leader again";
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	}
	if (request->acks < PRODUCE_ACKS_ALL || request->acks > 1) {
		*ret_message = "acks is -1, 0 or 1";
		return KAFKA_INVALID_REQUIRED_ACKS;
	}
	return KAFKA_NONE;
}

/* The bytes of a batch where they can be written. */
static uint8_t *writable_bytes(struct request *r, const struct record_batch *batch)
{
	return r->bytes->data + (batch->bytes.data - r->bytes->data);
}

/* Older producers leave the greatest time out; lookups by time believe it. */
static int16_t repair_timestamp(struct request *r, struct record_batch *batch)
{
	if (!records_max_timestamp_is_missing(batch))
		return KAFKA_NONE;

	struct slice bytes = batch->bytes;
	uint8_t *writable = writable_bytes(r, batch);
	if (records_repair_max_timestamp(writable, bytes.size) || record_batch_next(&bytes, batch))
		return KAFKA_INVALID_RECORD;
	return KAFKA_NONE;
}

/* Records of compacted topics have keys; those that have none are told one by one. */
static int16_t check_keys(struct request *r, const struct record_batch *batch,
			  struct kafka_produce_response_partition *answer)
{
	struct produce *p = r->state;
	size_t room = PRODUCE_RECORD_ERRORS_MAX - p->record_error_count;
	struct records records;
	struct record record;
	struct arena decompressed;
	size_t count = 0;

	arena_init(&decompressed);
	enum err err = records_init(&decompressed, batch, &records);
	for (int32_t i = 0; !err; i++) {
		err = records_next(&records, &record);
		if (err || record.key.data)
			continue;
		if (!p->record_errors)
			p->record_errors = arena_take_array(&r->arena, PRODUCE_RECORD_ERRORS_MAX,
							    sizeof(*p->record_errors));
		if (count == 0)
			answer->record_errors = p->record_errors + p->record_error_count;
		if (count++ < room)
			answer->record_errors[answer->record_errors_count++] =
				(struct kafka_produce_response_record_error) {
					i, SLICE("a record of a compacted topic has a key")
				};
	}
	arena_done(&decompressed);
	p->record_error_count += answer->record_errors_count;
	return err != ERR_NOT_FOUND || count > 0 ? KAFKA_INVALID_RECORD : KAFKA_NONE;
}

static bool may_transact(struct request *r)
{
	const struct produce *p = r->state;
	struct slice name = p->request->transactional_id;

	return name.data && request_may(r, GRANT_WRITE, GRANT_TRANSACTIONAL_ID, name);
}

static int16_t check_batch(struct request *r, const struct config_topic_rules *topic,
			   struct slice records, struct kafka_produce_response_partition *answer,
			   struct record_batch *ret)
{
	struct record_batch_rules rules = {
		.transactional_allowed = true,
		.size_max = (size_t)topic->message_bytes_max,
		.zstd_refused = r->header.api_version < PRODUCE_ZSTD_FIRST,
		.timestamps_bounded = !topic->is_log_append_time,
		.now_ms = clock_wall_ms(),
		.timestamp_before_max_ms = topic->timestamp_before_max_ms,
		.timestamp_after_max_ms = topic->timestamp_after_max_ms,
	};
	int16_t code = record_batch_from_produce(records, &rules, ret);

	if (!code && (ret->attributes & RECORD_BATCH_TRANSACTIONAL) && !may_transact(r))
		code = KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
	if (!code)
		code = repair_timestamp(r, ret);
	if (!code && topic->is_compacted)
		code = check_keys(r, ret, answer);
	return code;
}

/* Give the records our time if the topic is so; returns it, or -1. */
static int64_t stamp_batch(struct request *r, const struct config_topic_rules *topic,
			   struct record_batch *batch)
{
	struct slice bytes = batch->bytes;
	int64_t now_ms = clock_wall_ms();

	if (!topic->is_log_append_time)
		return -1;
	record_batch_set_log_append_time(writable_bytes(r, batch), bytes.size, now_ms);
	enum err err = record_batch_next(&bytes, batch);
	assert(!err);
	return now_ms;
}

/* Batches that are not in a transaction may be among those that are. */
static struct file_transaction transaction_of(const struct request *r, const struct produce *p,
					      const struct record_batch *batch)
{
	struct file_transaction transaction = { .support = TRANSACTION_SUPPORT_FIRST };

	if (!(batch->attributes & RECORD_BATCH_TRANSACTIONAL))
		return transaction;
	transaction.transactional_id = p->request->transactional_id;
	if (r->header.api_version >= PRODUCE_ADDS_PARTITIONS_FIRST)
		transaction.support = TRANSACTION_SUPPORT_SECOND;
	else if (r->header.api_version >= PRODUCE_ABORTABLE_FIRST)
		transaction.support = TRANSACTION_SUPPORT_ABORTABLE;
	return transaction;
}

/* A topic that is not in the replica may have been created at another agent a moment ago. */
static bool is_ahead_of_replica(struct request *r, const struct produce *p)
{
	struct catalog_topic topic;

	for (size_t i = 0; i < p->request->topic_data_count; i++) {
		int16_t code = find_topic(r, &p->request->topic_data[i], &topic);
		if (code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_UNKNOWN_TOPIC_ID)
			return true;
	}
	return false;
}

/* --- the request -------------------------------------------------------------------------------
 */

static void start_partition(struct request *r, struct produce *p, const struct catalog_topic *topic,
			    const struct config_topic_rules *rules,
			    const struct kafka_produce_request_partition *asked,
			    struct kafka_produce_response_partition *answer)
{
	struct record_batch batch;

	if (asked->index < 0 || asked->index >= topic->partition_count) {
		refuse_partition(answer, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				 "the topic has no such partition");
		return;
	}
	int16_t code = check_batch(r, rules, asked->records, answer, &batch);
	if (code) {
		refuse_partition(answer, code, kafka_error_name(code));
		remember_refused(r, topic->topic_id, asked);
		return;
	}
	struct produce_batch *added = &p->batches[p->batch_count++];
	added->topic_id = topic->topic_id;
	added->asked = asked;
	added->answer = answer;
	added->bytes = batch.bytes.size;
	added->record_count = batch.record_count;
	added->numbers = agent_numbers_topic(r->agent, &topic->topic_id, topic->name);
	added->append_time_ms = stamp_batch(r, rules, &batch);
	struct file_transaction transaction = transaction_of(r, p, &batch);
	file_write(&added->write, &r->task, r->agent->writer, connection_id(r->connection),
		   topic->topic_id, asked->index, &batch, &transaction, r->bytes);
}

static void start_topic(struct request *r, struct produce *p, size_t i, int16_t code,
			const char *message)
{
	const struct kafka_produce_request_topic *asked = &p->request->topic_data[i];
	struct kafka_produce_response_topic *answer = &p->response.responses[i];
	struct config_topic_rules rules;
	struct catalog_topic topic;

	answer->name = asked->name;
	answer->topic_id = asked->topic_id;
	answer->partition_responses_count = asked->partition_data_count;
	answer->partition_responses = arena_take_array(&r->arena, asked->partition_data_count,
						       sizeof(*answer->partition_responses));
	if (!code) {
		code = find_topic(r, asked, &topic);
		message = "there is no such topic";
		if (code == KAFKA_TOPIC_AUTHORIZATION_FAILED)
			message = "it needs WRITE";
		else if (code && p->has_synced && p->sync.task.err) {
			code = KAFKA_NOT_LEADER_OR_FOLLOWER;
			message = "not known in time whether there is such a topic";
		}
	}
	if (!code)
		config_topic_rules(replica_cell(r->agent->replica), topic.name, &rules);
	for (size_t k = 0; k < asked->partition_data_count; k++) {
		struct kafka_produce_response_partition *partition =
			&answer->partition_responses[k];
		partition->index = asked->partition_data[k].index;
		partition->log_append_time_ms = -1;
		partition->current_leader.leader_id = -1;
		partition->current_leader.leader_epoch = -1;
		if (code)
			refuse_partition(partition, code, message);
		else
			start_partition(r, p, &topic, &rules, &asked->partition_data[k], partition);
	}
}

static size_t count_partitions(const struct kafka_produce_request *request)
{
	size_t count = 0;

	for (size_t i = 0; i < request->topic_data_count; i++)
		count += request->topic_data[i].partition_data_count;
	return count;
}

/* Too late: what is not decided is given up; the batches go their way. */
static void on_timeout(struct timer *timer)
{
	struct produce *p = CONTAINER(timer, struct produce, timer);

	p->is_late = true;
	for (size_t i = 0; i < p->batch_count; i++) {
		task_cancel(&p->batches[i].write.task);
		if (p->batches[i].held)
			task_cancel(&p->batches[i].held->task);
	}
}

static void set_timeout(struct request *r, struct produce *p)
{
	int32_t timeout_ms = p->request->timeout_ms;

	if (timeout_ms < PRODUCE_TIMEOUT_MS_MIN)
		timeout_ms = PRODUCE_TIMEOUT_MS_MIN;
	timer_set(&p->timer, r->agent->loop, r->arrived_ms + (uint64_t)timeout_ms, on_timeout);
}

static void start_batches(struct request *r, struct produce *p)
{
	const char *message = "";
	int16_t code = check_request(r->agent, p->request, &message);
	size_t count = p->request->topic_data_count;

	schema_defaults(r->api->response, &p->response);
	p->batches = arena_take_array(&r->arena, count_partitions(p->request), sizeof(*p->batches));
	p->response.responses_count = count;
	p->response.responses = arena_take_array(&r->arena, count, sizeof(*p->response.responses));
	for (size_t i = 0; i < count; i++)
		start_topic(r, p, i, code, message);
}

enum { PRODUCE_START, PRODUCE_SYNCED, PRODUCE_DECIDED };

static enum step produce_start(struct request *r, struct produce *p)
{
	start_batches(r, p);
	if (r->task.children == 0)
		return produce_answer(r, p);
	if (bucket_is_far(r->agent->config.bucket))
		request_acknowledge(r);
	set_timeout(r, p);
	return task_wait(&r->task, PRODUCE_DECIDED);
}

/* The batches that came before the one before them wait for it; true: there are such. */
static bool hold_back(struct request *r, struct produce *p)
{
	bool holds = false;

	for (size_t i = 0; i < p->batch_count && !p->is_late; i++) {
		struct produce_batch *it = &p->batches[i];
		struct held_place place = { connection_id(r->connection), it->topic_id,
					    it->asked->index };
		struct slice records = it->asked->records;
		struct record_batch batch;

		if (it->held || it->write.task.err || !it->write.ret_error ||
		    record_batch_next(&records, &batch))
			continue;
		struct file_transaction transaction = transaction_of(r, p, &batch);
		it->held =
			held_batch_start(&r->arena, &r->task, r->agent->held, it->write.ret_error,
					 &place, &batch, &transaction, r->bytes);
		holds |= it->held != NULL;
	}
	return holds;
}

static enum step produce_check(struct request *r, struct produce *p)
{
	p->request = request_decode(r);
	if (!p->request)
		return request_refuse(r, "Produce cannot be decoded");
	if (count_partitions(p->request) > PRODUCE_PARTITIONS_MAX)
		return request_refuse(r, "Produce has %zu partitions, the limit is %d",
				      count_partitions(p->request), PRODUCE_PARTITIONS_MAX);
	if (!is_ahead_of_replica(r, p))
		return produce_start(r, p);
	sync_start(&p->sync, &r->task, r->agent);
	r->has_begun = false; /* the next one waits: batches keep their order */
	return task_wait(&r->task, PRODUCE_SYNCED);
}

static enum step produce_step(struct request *r)
{
	struct produce *p = r->state;

	switch (r->task.at) {
	case PRODUCE_START:
		return produce_check(r, p);

	case PRODUCE_SYNCED:
		if (r->task.children > 0) {
			r->has_begun = false;
			return task_wait(&r->task, PRODUCE_SYNCED);
		}
		p->has_synced = true;
		return produce_start(r, p);

	case PRODUCE_DECIDED:
		if (r->task.children > 0 || hold_back(r, p))
			return task_wait(&r->task, PRODUCE_DECIDED);
		return produce_answer(r, p);
	}
	abort();
}

static void produce_on_stop(struct request *r)
{
	struct produce *p = r->state;

	for (size_t i = 0; i < p->batch_count; i++)
		if (p->batches[i].held)
			held_batch_hurry(p->batches[i].held);
}

static void produce_release(struct request *r)
{
	struct produce *p = r->state;

	timer_clear(&p->timer);
}

static const char *const produce_places[] = { "start", "synced", "decided" };
const struct operation produce_operation = {
	.api_key = KAFKA_API_PRODUCE,
	.may_overlap = true,
	.state_bytes = sizeof(struct produce),
	.places = produce_places,
	.place_count = 3,
	.step = produce_step,
	.on_stop = produce_on_stop,
	.release = produce_release,
};
