/* ListOffsets: the ends of partitions, and offsets by time.  Linearizable: it begins with a sync,
 * so that a client which learned of a record by other ways finds it.  By time: time_lookup.h. */
#include <stdlib.h>

#include "kafka_messages.h"
#include "streams/agent/early_runs.h"
#include "streams/agent/operations.h"
#include "streams/agent/time_lookup.h"
#include "streams/catalog/transactions.h"
#include "wire/kafka/errors.h"

enum {
	LIST_OFFSETS_PARTITIONS_MAX = 10000,
	LIST_OFFSETS_READ_COMMITTED = 1,
};

enum {
	OFFSETS_LATEST = -1,
	OFFSETS_EARLIEST = -2,
	OFFSETS_MAX_TIMESTAMP = TIME_LOOKUP_MAX_TIMESTAMP,
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
	struct time_lookup lookup;
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
	early_runs_extend(r->agent->early, &l->found);
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

/* True when a lookup has to be waited for. */
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
		time_lookup_start(&l->lookup, &r->task, r->agent, &l->found, timestamp, l->end);
		return true;
	}
}

/* --- the request -------------------------------------------------------------------------------
 */

enum { LIST_OFFSETS_START, LIST_OFFSETS_SYNCED, LIST_OFFSETS_LOOKED_UP };

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
			return task_wait(&r->task, LIST_OFFSETS_LOOKED_UP);
	return request_answer(r, &l->response);
}

static int16_t lookup_error(enum err err)
{
	if (err == ERR_NOT_FOUND)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (err == ERR_UNAVAILABLE)
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	return err == ERR_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_KAFKA_STORAGE_ERROR;
}

static enum step after_lookup(struct request *r, struct list_offsets *l)
{
	struct kafka_list_offsets_response_partition *answer = answer_now(l);

	if (l->lookup.task.err) {
		answer->error_code = lookup_error(l->lookup.task.err);
	} else if (l->lookup.ret_offset >= 0) {
		answer->offset = l->lookup.ret_offset;
		answer->timestamp = l->lookup.ret_timestamp;
		answer->leader_epoch = l->lookup.found.leader_epoch;
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
	case LIST_OFFSETS_LOOKED_UP:
		return after_lookup(r, l);
	}
	abort();
}

static const char *const list_offsets_places[] = { "start", "synced", "looked up" };
const struct operation list_offsets_operation = {
	.api_key = KAFKA_API_LIST_OFFSETS,
	.may_overlap = true,
	.state_bytes = sizeof(struct list_offsets),
	.places = list_offsets_places,
	.place_count = 3,
	.step = list_offsets_step,
};
