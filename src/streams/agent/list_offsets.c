/* ListOffsets: the ends of partitions, and offsets by time.  Linearizable: it begins with a sync,
 * so that a client which learned of a record by other ways finds it.
 *
 * By time: the catalog names the run, the run's batches say how late they go, and the records of
 * one batch decide. */
#include <stdlib.h>

#include "base/memory.h"
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "streams/agent/run_walk.h"
#include "streams/agent/sync.h"
#include "streams/catalog/transactions.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/records.h"

enum {
	LIST_OFFSETS_PARTITIONS_MAX = 10000,
	LIST_OFFSETS_READ_COMMITTED = 1,
	LIST_OFFSETS_REPLANS_MAX = 3, /* after files that have gone */
};

enum {
	OFFSETS_LATEST = -1,
	OFFSETS_EARLIEST = -2,
	OFFSETS_MAX_TIMESTAMP = -3,
	OFFSETS_EARLIEST_LOCAL = -4,
	OFFSETS_LATEST_TIERED = -5,
	OFFSETS_EARLIEST_PENDING_UPLOAD = -6,
};

struct list_offsets {
	const struct kafka_list_offsets_request *request;
	struct kafka_list_offsets_response response;
	size_t topic, partition; /* the one in work */
	struct catalog_partition found;
	int64_t end; /* of what this client may read */
	struct sync sync;
	/* a lookup by time */
	struct catalog_run run;
	struct block_read read;
	struct block_range range;
	int replans;
	struct room_wait wait; /* for room, which the blocks of large runs are counted in */
	size_t room_bytes;
};

static const struct kafka_list_offsets_request_partition *asked_now(const struct list_offsets *l)
{
	return &l->request->topics[l->topic].partitions[l->partition];
}

static struct kafka_list_offsets_response_partition *answer_now(const struct list_offsets *l)
{
	return &l->response.topics[l->topic].partitions[l->partition];
}

/* The version from which on clients may use a special time; INT16_MAX: it means nothing. */
static int16_t first_version_of(int64_t timestamp)
{
	switch (timestamp) {
	case OFFSETS_LATEST:
	case OFFSETS_EARLIEST:
		return 0;
	case OFFSETS_MAX_TIMESTAMP:
		return 7;
	case OFFSETS_EARLIEST_LOCAL:
		return 8;
	case OFFSETS_LATEST_TIERED:
		return 9;
	case OFFSETS_EARLIEST_PENDING_UPLOAD:
		return 11;
	default:
		return timestamp >= 0 ? 0 : INT16_MAX;
	}
}

/* --- lookups by time ---------------------------------------------------------------------------
 */

static enum err find_run(struct request *r, struct list_offsets *l, int64_t from_offset)
{
	struct cell *cell = replica_cell(r->agent->replica);
	int64_t timestamp = asked_now(l)->timestamp;

	if (timestamp == OFFSETS_MAX_TIMESTAMP)
		return catalog_run_of_max_timestamp(cell, l->found.id, &l->run);
	return catalog_run_by_timestamp(cell, l->found.id, timestamp, from_offset, &l->run);
}

/* Copy one batch out of its blocks and ask its records. */
static enum err ask_records(const struct list_offsets *l, const struct run_batch *found,
			    struct records_match *ret)
{
	int64_t timestamp = asked_now(l)->timestamp, deleted = l->found.log_start_offset;
	int32_t first_delta =
		deleted > found->base_offset ? (int32_t)(deleted - found->base_offset) : 0;
	struct blob *copy = blob_new(found->size);
	struct record_batch batch;

	block_range_copy(&l->range, found->position, found->size, copy->data);
	copy->size = found->size;
	struct slice bytes = blob_slice(copy);
	enum err err = record_batch_next(&bytes, &batch);
	if (!err && !record_batch_crc_matches(&batch))
		err = ERR_CORRUPT;
	if (!err)
		err = timestamp == OFFSETS_MAX_TIMESTAMP
			      ? records_find_max_timestamp(&batch, first_delta, ret)
			      : records_find_timestamp(&batch, first_delta, timestamp, ret);
	blob_unref(&copy);
	return err == ERR_INVALID ? ERR_CORRUPT : err;
}

/* Does this batch have to be looked into? */
static bool is_candidate(const struct list_offsets *l, const struct run_batch *batch)
{
	if (batch->last_offset < l->found.log_start_offset || batch->is_control)
		return false;
	if (asked_now(l)->timestamp == OFFSETS_MAX_TIMESTAMP)
		return batch->max_timestamp >= l->run.max_timestamp;
	return batch->max_timestamp >= asked_now(l)->timestamp;
}

/* ERR_NOT_FOUND: this run has no such record after all. */
static enum err search_run(struct list_offsets *l)
{
	struct run_walk walk;
	struct run_batch batch;
	struct records_match match;
	enum err err;

	run_walk_start(&walk, &l->run, &l->range, l->run.position, l->run.base_offset);
	for (;;) {
		err = run_walk_next(&walk, &batch);
		if (err)
			return err;
		if (!is_candidate(l, &batch))
			continue;
		err = ask_records(l, &batch, &match);
		if (err != ERR_NOT_FOUND)
			break;
	}
	if (!err && batch.base_offset + match.offset_delta < l->end) {
		answer_now(l)->offset = batch.base_offset + match.offset_delta;
		answer_now(l)->timestamp = match.timestamp_ms;
		answer_now(l)->leader_epoch = l->found.leader_epoch;
	}
	return err;
}

static void fail_lookup(struct list_offsets *l, enum err err)
{
	answer_now(l)->error_code =
		err == ERR_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_KAFKA_STORAGE_ERROR;
}

static void let_go(struct request *r, struct list_offsets *l)
{
	block_range_done(&l->range);
	block_range_done(&l->read.ret);
	room_leave(&r->agent->answers, &l->wait);
	room_give_back(&r->agent->answers, l->room_bytes);
	l->room_bytes = 0;
}

/* Hold the blocks of the run; false when they, or room for them, have to be waited for. */
static bool hold_run(struct request *r, struct list_offsets *l)
{
	const struct catalog_run *run = &l->run;
	size_t size = (size_t)run->size;

	if (block_cache_peek(r->agent->cache, run->incarnation, run->sequence, run->position, size,
			     &l->range))
		return true;
	if (!r->agent->is_stopping) {
		l->room_bytes = room_take(&r->agent->answers, &l->wait, &r->task, size, size);
		if (!l->room_bytes) {
			l->read = (struct block_read) { 0 }; /* of the partition before */
			agent_watch_slow(r->agent);
			return false;
		}
	}
	block_read(&l->read, &r->task, r->agent->cache, run->incarnation, run->sequence,
		   run->position, size);
	return false;
}

/* Search one run after the other, first the one that is held; true when a read, or room for one,
 * has to be waited for. */
static bool look_by_time(struct request *r, struct list_offsets *l, int64_t from_offset)
{
	enum err err = OK;

	while (!err) {
		if (!l->range.blocks) {
			err = find_run(r, l, from_offset);
			if (err)
				break;
			if (!hold_run(r, l))
				return true;
		}
		err = search_run(l);
		let_go(r, l);
		if (err == ERR_CORRUPT) /* the bucket may do better next time */
			block_cache_forget(r->agent->cache, l->run.incarnation, l->run.sequence,
					   l->run.position, (size_t)l->run.size);
		if (!err)
			return false;
		if (err == ERR_NOT_FOUND && asked_now(l)->timestamp >= 0) {
			from_offset = l->run.last_offset + 1;
			err = OK;
		}
	}
	if (err != ERR_NOT_FOUND) /* no such record: offset -1 */
		fail_lookup(l, err);
	return false;
}

/* --- one partition -----------------------------------------------------------------------------
 */

static int16_t find_partition(struct request *r, struct list_offsets *l)
{
	struct cell *cell = replica_cell(r->agent->replica);
	const struct kafka_list_offsets_request_partition *asked = asked_now(l);
	struct catalog_topic topic;

	if (!request_may(r, GRANT_DESCRIBE, GRANT_TOPIC, l->request->topics[l->topic].name))
		return KAFKA_TOPIC_AUTHORIZATION_FAILED;
	enum err err =
		catalog_topic_by_name(&r->arena, cell, l->request->topics[l->topic].name, &topic);
	if (!err)
		err = catalog_partition_find(cell, topic.id, asked->partition_index, &l->found);
	if (err == ERR_NOT_FOUND)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (err)
		return KAFKA_UNKNOWN_SERVER_ERROR;
	if (l->sync.task.err)
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	l->end = l->request->isolation_level == LIST_OFFSETS_READ_COMMITTED
			 ? catalog_last_stable_offset(cell, &l->found)
			 : l->found.high_watermark;
	if (asked->current_leader_epoch >= 0 && asked->current_leader_epoch < l->found.leader_epoch)
		return KAFKA_FENCED_LEADER_EPOCH;
	if (asked->current_leader_epoch > l->found.leader_epoch)
		return KAFKA_UNKNOWN_LEADER_EPOCH;
	if (r->header.api_version < first_version_of(asked->timestamp))
		return KAFKA_UNSUPPORTED_VERSION;
	return KAFKA_NONE;
}

static void tell_end(struct list_offsets *l, int64_t offset)
{
	answer_now(l)->offset = offset;
	answer_now(l)->leader_epoch = l->found.leader_epoch;
}

/* True when a read has to be waited for. */
static bool look_at_partition(struct request *r, struct list_offsets *l)
{
	struct kafka_list_offsets_response_partition *answer = answer_now(l);
	int64_t timestamp = asked_now(l)->timestamp;
	bool is_repeated = answer->error_code == KAFKA_INVALID_REQUEST; /* mark_repeated() */

	*answer = (struct kafka_list_offsets_response_partition) {
		.partition_index = asked_now(l)->partition_index,
		.timestamp = -1,
		.offset = -1,
		.leader_epoch = -1,
	};
	answer->error_code = is_repeated ? (int16_t)KAFKA_INVALID_REQUEST : find_partition(r, l);
	if (answer->error_code)
		return false;
	switch (timestamp) {
	case OFFSETS_LATEST:
		tell_end(l, l->end);
		return false;
	case OFFSETS_EARLIEST:
	case OFFSETS_EARLIEST_LOCAL:
		tell_end(l, l->found.log_start_offset);
		return false;
	case OFFSETS_LATEST_TIERED:
	case OFFSETS_EARLIEST_PENDING_UPLOAD:
		return false; /* nothing is tiered */
	default:
		return look_by_time(r, l, l->found.log_start_offset);
	}
}

/* --- the request -------------------------------------------------------------------------------
 */

enum { LIST_OFFSETS_START, LIST_OFFSETS_SYNCED, LIST_OFFSETS_READ };

/* A read was begun, or its room is waited for. */
static enum step wait_for_run(struct request *r)
{
	return task_wait(&r->task, LIST_OFFSETS_READ);
}

struct asked_partition {
	struct slice topic;
	int32_t partition;
	struct kafka_list_offsets_response_partition *answer;
};

static int compare_asked(const void *a, const void *b)
{
	const struct asked_partition *left = a, *right = b;
	int order = slice_compare(left->topic, right->topic);

	return order ? order
		     : (left->partition > right->partition) - (left->partition < right->partition);
}

/* Whoever asks for a partition twice cannot tell the answers apart. */
static void mark_repeated(struct request *r, struct list_offsets *l, size_t count)
{
	struct asked_partition *all = arena_take_array(&r->arena, count, sizeof(*all));
	size_t at = 0;

	for (size_t i = 0; i < l->request->topics_count; i++)
		for (size_t k = 0; k < l->request->topics[i].partitions_count; k++)
			all[at++] = (struct asked_partition) {
				.topic = l->request->topics[i].name,
				.partition = l->request->topics[i].partitions[k].partition_index,
				.answer = &l->response.topics[i].partitions[k],
			};
	qsort(all, count, sizeof(*all), compare_asked);
	for (size_t i = 1; i < count; i++) {
		if (compare_asked(&all[i - 1], &all[i]) != 0)
			continue;
		all[i - 1].answer->error_code = KAFKA_INVALID_REQUEST;
		all[i].answer->error_code = KAFKA_INVALID_REQUEST;
	}
}

static bool is_at_end(const struct list_offsets *l)
{
	return l->topic == l->request->topics_count;
}

static void skip_empty_topics(struct list_offsets *l)
{
	while (!is_at_end(l) && l->partition == l->request->topics[l->topic].partitions_count) {
		l->topic++;
		l->partition = 0;
	}
}

static enum step look_on(struct request *r, struct list_offsets *l)
{
	for (skip_empty_topics(l); !is_at_end(l); l->partition++, skip_empty_topics(l))
		if (look_at_partition(r, l))
			return wait_for_run(r);
	return request_answer(r, &l->response);
}

static enum step after_read(struct request *r, struct list_offsets *l)
{
	if (l->read.task.err == ERR_NOT_FOUND && l->replans++ < LIST_OFFSETS_REPLANS_MAX) {
		let_go(r, l); /* compacted meanwhile: look for it where it is now */
		sync_start(&l->sync, &r->task, r->agent);
		return task_wait(&r->task, LIST_OFFSETS_SYNCED);
	}
	if (l->read.task.err) {
		fail_lookup(l, l->read.task.err);
		let_go(r, l);
	} else {
		l->range = l->read.ret;
		l->read.ret = (struct block_range) { 0 };
		if (look_by_time(r, l, l->run.base_offset))
			return wait_for_run(r);
	}
	l->partition++;
	return look_on(r, l);
}

static enum step list_offsets_start(struct request *r, struct list_offsets *l)
{
	size_t partition_count = 0;

	l->request = request_decode(r);
	if (!l->request)
		return request_refuse(r, "ListOffsets cannot be decoded");
	size_t count = l->request->topics_count;
	schema_defaults(r->api->response, &l->response);
	l->response.topics = arena_take_array(&r->arena, count, sizeof(*l->response.topics));
	l->response.topics_count = count;
	for (size_t i = 0; i < count; i++) {
		struct kafka_list_offsets_response_topic *topic = &l->response.topics[i];
		topic->name = l->request->topics[i].name;
		topic->partitions_count = l->request->topics[i].partitions_count;
		topic->partitions = arena_take_array(&r->arena, topic->partitions_count,
						     sizeof(*topic->partitions));
		partition_count += topic->partitions_count;
	}
	if (partition_count > LIST_OFFSETS_PARTITIONS_MAX)
		return request_refuse(r, "ListOffsets asks for %zu partitions, the limit is %d",
				      partition_count, LIST_OFFSETS_PARTITIONS_MAX);
	mark_repeated(r, l, partition_count);
	sync_start(&l->sync, &r->task, r->agent);
	return task_wait(&r->task, LIST_OFFSETS_SYNCED);
}

static enum step list_offsets_step(struct request *r)
{
	struct list_offsets *l = r->state;

	if (r->task.children > 0)
		return task_wait(&r->task, r->task.at);
	switch (r->task.at) {
	case LIST_OFFSETS_START:
		return list_offsets_start(r, l);
	case LIST_OFFSETS_SYNCED:
		return look_on(r, l);
	case LIST_OFFSETS_READ:
		return after_read(r, l);
	}
	abort();
}

static void list_offsets_release(struct request *r)
{
	struct list_offsets *l = r->state;

	let_go(r, l);
}

static const char *const list_offsets_places[] = { "start", "synced", "read" };
const struct operation list_offsets_operation = {
	.api_key = KAFKA_API_LIST_OFFSETS,
	.may_overlap = true,
	.state_bytes = sizeof(struct list_offsets),
	.places = list_offsets_places,
	.place_count = 3,
	.step = list_offsets_step,
	.release = list_offsets_release,
};
