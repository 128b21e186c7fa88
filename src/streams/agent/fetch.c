/* Fetch: records from the replica's plan and the block cache, or a wait for partitions to grow.
 *
 *	look -> (sync: an offset or a topic is ahead of the replica) -> look
 *	     -> wait for a change or max_wait -> look
 *	     -> wait for room for the answer -> look
 *	     -> plan, read -> (the first batch is large: wait for room for it) -> look
 *	                   -> (a data file has gone: compacted meanwhile) -> sync -> look
 *	     -> for each large piece: wait for a turn in the slow lane
 *	     -> answer
 *
 * What a session adds to the request is put in before, and what it need not be told is taken out of
 * the answer (fetch_session.h). */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "kafka_messages.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/answer_room.h"
#include "streams/agent/brokers.h"
#include "streams/agent/doubt.h"
#include "streams/agent/early_runs.h"
#include "streams/agent/fetch_session.h"
#include "streams/agent/operations.h"
#include "streams/agent/partition_read.h"
#include "streams/agent/sync.h"
#include "wire/kafka/errors.h"

enum {
	FETCH_PARTITIONS_MAX = 10000,
	FETCH_BYTES_MAX = 55 << 20, /* of one answer, about; as Kafka's fetch.max.bytes */
	FETCH_HELD_BYTES_MAX = 2 * FETCH_BYTES_MAX, /* of blocks: partitions beyond get their turn
						     * in another answer */
	FETCH_WAIT_MS_MAX = 300000,
	FETCH_REPLANS_MAX = 3,	    /* after files that have gone */
	FETCH_QUIET_MS = 5000,	    /* between log lines about unreadable files */
	FETCH_TOPIC_IDS_FIRST = 13, /* from this version on topics are named by id */
	FETCH_ZSTD_FIRST = 10,
	FETCH_RACK_FIRST = 11,
	FETCH_READ_COMMITTED = 1,
};

struct fetch_topic {
	const struct kafka_fetch_request_topic *asked;
	struct catalog_topic found;
	int16_t code;
};

struct fetch_partition {
	const struct fetch_topic *topic;
	const struct kafka_fetch_request_partition *asked;
	struct kafka_fetch_response_partition *answer;
	struct catalog_partition found;
	int64_t stable_offset;
	int64_t end; /* of what this client may read: that, or the high watermark */
	struct catalog_marker *aborted;
	size_t aborted_count;
	int16_t code;
	struct replica_watch watch;
	struct partition_read read;
};

struct fetch {
	struct request *owner;
	struct kafka_fetch_request *request;
	struct kafka_fetch_response response;
	struct fetch_session_use session;
	bool is_in_session; /* as it was when it began */
	struct fetch_topic *topics;
	struct fetch_partition *partitions;
	size_t partition_count;
	struct arena looked; /* what the last look was at, and found */
	uint64_t deadline_ms;
	struct timer timer;
	struct sync sync;
	bool has_synced;
	int32_t preferred; /* of the client's own site, or -1: the client had better read there */
	struct slow_turn turn;
	struct answer_room room;
	size_t gathered; /* partitions in their turn */
	int replans;
	size_t left;	  /* bytes of the answer */
	bool has_records; /* the answer */
};

/* --- looking -----------------------------------------------------------------------------------
 */

static int16_t find_topic(struct request *r, struct arena *a, struct fetch_topic *topic)
{
	struct cell *cell = replica_cell(r->agent->replica);
	bool by_id = r->header.api_version >= FETCH_TOPIC_IDS_FIRST;
	enum err err = by_id ? catalog_topic_by_id(a, cell, &topic->asked->topic_id, &topic->found)
			     : catalog_topic_by_name(a, cell, topic->asked->topic, &topic->found);

	struct slice name = err ? topic->asked->topic : topic->found.name;
	if ((!by_id || !err) && !request_may(r, GRANT_READ, GRANT_TOPIC, name))
		return KAFKA_TOPIC_AUTHORIZATION_FAILED;
	if (err == ERR_NOT_FOUND)
		return by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	return err ? KAFKA_UNKNOWN_SERVER_ERROR : KAFKA_NONE;
}

static int16_t check_epoch(const struct fetch_partition *p)
{
	int32_t current = p->asked->current_leader_epoch;

	if (current < 0 || current == p->found.leader_epoch)
		return KAFKA_NONE;
	return current < p->found.leader_epoch ? KAFKA_FENCED_LEADER_EPOCH
					       : KAFKA_UNKNOWN_LEADER_EPOCH;
}

/* An offset ahead of the replica may be right: some other agent told it. */
static int16_t check_offset(const struct fetch *f, const struct fetch_partition *p)
{
	int64_t offset = p->asked->fetch_offset;

	if (offset > p->found.high_watermark && f->has_synced && f->sync.task.err)
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	if (offset > p->found.high_watermark || offset < p->found.log_start_offset)
		return KAFKA_OFFSET_OUT_OF_RANGE;
	return KAFKA_NONE;
}

static int16_t look_at(struct request *r, struct fetch *f, struct fetch_partition *p)
{
	struct cell *cell = replica_cell(r->agent->replica);

	p->found = (struct catalog_partition) {
		.high_watermark = -1,
		.log_start_offset = -1,
	};
	p->stable_offset = p->end = -1;
	if (r->agent->has_left)
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	if (p->topic->code)
		return p->topic->code;
	enum err err =
		catalog_partition_find(cell, p->topic->found.id, p->asked->partition, &p->found);
	if (err == ERR_NOT_FOUND)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (err)
		return KAFKA_UNKNOWN_SERVER_ERROR;
	early_runs_extend(r->agent->early, &p->found);
	p->stable_offset = catalog_last_stable_offset(cell, &p->found);
	p->end = f->request->isolation_level == FETCH_READ_COMMITTED ? p->stable_offset
								     : p->found.high_watermark;
	int16_t code = check_epoch(p);
	return code ? code : check_offset(f, p);
}

static bool is_unknown(int16_t code)
{
	return code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_UNKNOWN_TOPIC_ID;
}

static void look_at_all(struct request *r, struct fetch *f)
{
	for (size_t i = 0; i < f->request->topics_count; i++)
		f->topics[i].code = find_topic(r, &f->looked, &f->topics[i]);
	for (size_t i = 0; i < f->partition_count; i++) {
		struct fetch_partition *p = &f->partitions[i];
		p->code = look_at(r, f, p);
		fetch_session_note(r->agent->fetch_sessions, &f->session, p->topic->asked,
				   p->asked->partition, p->found.id);
	}
	for (size_t i = 0; i < f->partition_count && f->has_synced && f->sync.task.err; i++)
		if (is_unknown(f->partitions[i].code)) /* here, and who knows where else */
			f->partitions[i].code = KAFKA_NOT_LEADER_OR_FOLLOWER;
}

static bool is_ahead_of_replica(const struct fetch *f)
{
	for (size_t i = 0; i < f->partition_count; i++) {
		const struct fetch_partition *p = &f->partitions[i];
		if (is_unknown(p->code) || (p->code == KAFKA_OFFSET_OUT_OF_RANGE &&
					    p->asked->fetch_offset > p->found.high_watermark))
			return true;
	}
	return false;
}

static int64_t available_bytes(struct request *r, struct fetch *f, const struct fetch_partition *p,
			       int64_t size_max)
{
	struct cell *cell = replica_cell(r->agent->replica);
	int64_t offset = p->asked->fetch_offset, bytes;
	struct catalog_marker *markers;
	struct catalog_run *runs;
	size_t count;

	if (offset >= p->end)
		return 0;
	if (size_max <= 1)
		return 1;
	if (early_runs_find(r->agent->early, &f->looked, p->found.id, offset, p->end, size_max,
			    &runs, &count))
		return 0;
	while (count > 0 && runs[count - 1].base_offset >= p->end)
		count--;
	bytes = partition_runs_bytes(runs, count, offset);
	if (catalog_markers(&f->looked, cell, p->found.id, offset, CATALOG_MARKERS_PER_READ_MAX,
			    &markers, &count))
		return bytes;
	return bytes + (int64_t)count * PARTITION_MARKER_BYTES;
}

/* Something to tell: an error, enough bytes, or that the time is over. */
static bool should_answer(struct request *r, struct fetch *f)
{
	int64_t wanted = f->request->min_bytes;

	if (wanted <= 0 || f->preferred >= 0 || r->agent->is_stopping ||
	    loop_now_ms(r->agent->loop) >= f->deadline_ms)
		return true;
	if (!f->is_in_session && (f->session.id || f->partition_count == 0))
		return true;
	if (wanted > FETCH_BYTES_MAX)
		wanted = FETCH_BYTES_MAX;
	for (size_t i = 0; i < f->partition_count; i++) {
		if (f->partitions[i].code)
			return true;
		wanted -= available_bytes(r, f, &f->partitions[i], wanted);
		if (wanted <= 0)
			return true;
	}
	return false;
}

/* --- waiting -----------------------------------------------------------------------------------
 */

static void on_timer(struct timer *timer)
{
	struct fetch *f = CONTAINER(timer, struct fetch, timer);

	task_wake(&f->owner->task);
}

/* A session takes notes of all its partitions anyway. */
static void watch(struct request *r, struct fetch *f)
{
	timer_set(&f->timer, r->agent->loop, f->deadline_ms, on_timer);
	if (fetch_session_wait(r->agent->fetch_sessions, &f->session, &r->task))
		return;
	for (size_t i = 0; i < f->partition_count; i++) {
		struct fetch_partition *p = &f->partitions[i];
		replica_watch_remove(&p->watch);
		replica_watch_add(r->agent->replica, &p->watch, p->found.id, &r->task);
	}
}

static void unwatch(struct request *r, struct fetch *f)
{
	(void)fetch_session_wait(r->agent->fetch_sessions, &f->session, NULL);
	for (size_t i = 0; i < f->partition_count; i++)
		replica_watch_remove(&f->partitions[i].watch);
	timer_clear(&f->timer);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static size_t positive(int32_t value)
{
	return value > 0 ? (size_t)value : 0;
}

static size_t asked_bytes(const struct fetch *f)
{
	size_t limit = positive(f->request->max_bytes);

	return limit < FETCH_BYTES_MAX ? limit : FETCH_BYTES_MAX;
}

static size_t answer_limit(const struct fetch *f)
{
	size_t limit = asked_bytes(f);

	return limit < f->room.free_bytes ? limit : f->room.free_bytes;
}

/* The partition that gets the first helping is another one each time; a session has its own order.
 */
static struct fetch_partition *in_turn(const struct fetch *f, size_t i)
{
	size_t first =
		f->session.id ? 0 : (uint32_t)f->owner->header.correlation_id % f->partition_count;

	return &f->partitions[(first + i) % f->partition_count];
}

static bool has_records(const struct fetch_partition *p)
{
	return !p->code && p->asked->fetch_offset < p->end;
}

/* What the partitions may give together. */
static size_t readable_bytes(const struct fetch *f)
{
	size_t limit = asked_bytes(f), wanted = 0;

	for (size_t i = 0; i < f->partition_count && wanted < limit; i++)
		if (has_records(&f->partitions[i]))
			wanted += positive(f->partitions[i].asked->partition_max_bytes) + 1;
	return wanted < limit ? wanted : limit;
}

/* False: wait. */
static bool take_room(struct request *r, struct fetch *f)
{
	bool has_any = false;

	for (size_t i = 0; i < f->partition_count && !has_any; i++)
		has_any = has_records(&f->partitions[i]);
	return !has_any || f->preferred >= 0 ||
	       answer_room_take(&f->room, r, readable_bytes(f), &f->timer, on_timer);
}

/* From now on as a part of the answer. */
static void keep_room(struct request *r, struct fetch *f)
{
	for (size_t i = 0; i < f->partition_count; i++) {
		const struct blob *records = f->partitions[i].read.records;
		answer_room_keep(&f->room, r, records);
		if (!records)
			continue;
		reporter_add_fetched(r->agent, records->size);
		r->used_bytes += records->size;
		agent_numbers_topic(r->agent, &f->partitions[i].topic->found.topic_id,
				    f->partitions[i].topic->found.name)
			->fetched_bytes += records->size;
	}
}

/* What was aborted is told as of now: nothing before the end changes any more, but the topic may be
 * gone when the records are there. */
static enum err plan_partition(struct request *r, struct fetch *f, struct fetch_partition *p,
			       size_t limit)
{
	int64_t offset = p->asked->fetch_offset;
	enum err err = partition_read_plan(&p->read, &r->arena, &r->task, r->agent, &p->found,
					   offset, p->end, limit);

	if (err || f->request->isolation_level != FETCH_READ_COMMITTED)
		return err;
	return catalog_aborted(&r->arena, replica_cell(r->agent->replica), p->found.id, offset,
			       p->read.end, &p->aborted, &p->aborted_count);
}

static void plan(struct request *r, struct fetch *f)
{
	size_t left = answer_limit(f);
	bool is_first = true;

	if (!f->room.free_bytes)
		return;
	for (size_t i = 0; i < f->partition_count && (left > 0 || is_first) &&
			   f->room.held_bytes < FETCH_HELD_BYTES_MAX;
	     i++) {
		struct fetch_partition *p = in_turn(f, i);
		size_t limit = positive(p->asked->partition_max_bytes);
		if (!has_records(p))
			continue;
		if (limit > left)
			limit = left;
		if (plan_partition(r, f, p, limit ? limit : 1)) {
			p->code = KAFKA_UNKNOWN_SERVER_ERROR;
			continue;
		}
		is_first = false;
		answer_room_hold(&f->room, r, p->read.held_bytes);
		left -= p->read.planned_bytes < left ? p->read.planned_bytes : left;
	}
	f->left = answer_limit(f);
}

/* Topics may have been deleted while their files were read. */
static int16_t read_error(struct request *r, const struct fetch *f, const struct fetch_partition *p,
			  enum err err)
{
	struct catalog_topic topic;
	uint64_t now_ms = loop_now_ms(r->agent->loop);

	if (catalog_topic_by_row(&r->arena, replica_cell(r->agent->replica), p->topic->found.id,
				 &topic) == ERR_NOT_FOUND)
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	if (err == ERR_UNSUPPORTED)
		return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
	if (err == ERR_NOT_FOUND && f->replans > 0 && f->sync.task.err)
		return KAFKA_NOT_LEADER_OR_FOLLOWER; /* another agent knows better where it is */
	if (now_ms >= r->agent->quiet_until_ms) {
		r->agent->quiet_until_ms = now_ms + FETCH_QUIET_MS;
		log_error("partition %d of topic %.*s cannot be read at offset %lld: data file %s "
			  "in %s: %s%s%s",
			  p->asked->partition, SLICE_ARG(p->topic->found.name),
			  (long long)p->asked->fetch_offset, p->read.key,
			  r->agent->config.bucket->url, err_name(err), p->read.why[0] ? ": " : "",
			  p->read.why);
	}
	return err == ERR_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_KAFKA_STORAGE_ERROR;
}

/* --- answering ---------------------------------------------------------------------------------
 */

enum gathering { GATHERED, GATHER_READS, GATHER_NEEDS_ROOM, GATHER_NEEDS_TURN, GATHER_PLANS_AGAIN };

/* A file has gone because another has its records now, which the replica may not know yet. */
static enum gathering gather_partition(struct request *r, struct fetch *f,
				       struct fetch_partition *p)
{
	enum err err = partition_read_gather(&p->read, !f->has_records,
					     r->header.api_version < FETCH_ZSTD_FIRST);

	if (err == ERR_NOT_FOUND && f->replans < FETCH_REPLANS_MAX)
		return GATHER_PLANS_AGAIN;
	if (err) {
		p->code = read_error(r, f, p, err);
		answer_room_fail(&f->room, &p->read);
		return GATHERED;
	}
	size_t size = p->read.records ? p->read.records->size : 0;
	f->has_records |= size > 0;
	f->left -= size < f->left ? size : f->left;
	return GATHERED;
}

/* The first batch of an answer comes whole, however large. */
static enum gathering extend_first(struct request *r, struct fetch *f, struct fetch_partition *p)
{
	switch (answer_room_extend(&f->room, r, &p->read)) {
	case ANSWER_ROOM_READY:
		break;
	case ANSWER_ROOM_READS:
		return GATHER_READS;
	case ANSWER_ROOM_IS_SHORT:
		return GATHER_NEEDS_ROOM;
	}
	return GATHERED;
}

static enum gathering gather(struct request *r, struct fetch *f)
{
	enum gathering gathering;

	for (; f->gathered < f->partition_count; f->gathered++) {
		struct fetch_partition *p = in_turn(f, f->gathered);
		if (p->read.limit > f->left)
			p->read.limit = f->left;
		if (p->code || (f->left == 0 && f->has_records))
			continue;
		if (p->read.planned_bytes > SLOW_LANE_PIECE_BYTES &&
		    !slow_lane_take(&r->agent->slow_lane, &f->turn, &r->task))
			return GATHER_NEEDS_TURN;
		gathering = f->has_records ? GATHERED : extend_first(r, f, p);
		if (gathering == GATHERED)
			gathering = gather_partition(r, f, p);
		if (gathering != GATHERED)
			return gathering;
	}
	slow_lane_leave(&r->agent->slow_lane, &f->turn);
	keep_room(r, f);
	return GATHERED;
}

/* What was planned, to plan again. */
static void let_go(struct request *r, struct fetch *f)
{
	slow_lane_leave(&r->agent->slow_lane, &f->turn);
	answer_room_give_back(&f->room, r);
	for (size_t i = 0; i < f->partition_count; i++) {
		partition_read_done(&f->partitions[i].read);
		f->partitions[i].read = (struct partition_read) { 0 };
	}
	f->gathered = 0;
	f->has_records = false;
}

/* Who is told to go elsewhere is told where (KIP-951). */
static void tell_leader(struct request *r, struct fetch *f)
{
	const struct catalog_agent *leader = NULL;

	for (size_t i = 0; i < f->partition_count && r->agent->has_left; i++) {
		if (f->partitions[i].code != KAFKA_NOT_LEADER_OR_FOLLOWER)
			continue;
		if (!leader)
			leader = brokers_elsewhere(r);
		if (!leader)
			return;
		f->partitions[i].answer->current_leader = (struct kafka_fetch_response_leader) {
			leader->node_id, f->partitions[i].found.leader_epoch
		};
	}
	if (!leader)
		return;
	f->response.node_endpoints = arena_take(&r->arena, sizeof(*f->response.node_endpoints));
	f->response.node_endpoints_count = 1;
	f->response.node_endpoints[0] =
		(struct kafka_fetch_response_node_endpoint) { leader->node_id, leader->host,
							      leader->port, leader->site };
}

/* An empty list, not null, for who reads committed records. */
static void tell_aborted(struct request *r, const struct fetch_partition *p)
{
	struct kafka_fetch_response_partition *answer = p->answer;
	size_t count = answer->records.size ? p->aborted_count : 0;

	answer->aborted_transactions =
		arena_take_array(&r->arena, count + 1, sizeof(*answer->aborted_transactions));
	answer->aborted_transactions_count = count;
	for (size_t i = 0; i < count; i++) {
		answer->aborted_transactions[i].producer_id = p->aborted[i].producer_id;
		answer->aborted_transactions[i].first_offset = p->aborted[i].first_offset;
	}
}

static enum step fetch_answer(struct request *r, struct fetch *f)
{
	bool is_committed = f->request->isolation_level == FETCH_READ_COMMITTED;
	struct blob **blobs = arena_take_array(&r->arena, f->partition_count, sizeof(*blobs));
	bool is_empty = true;

	for (size_t i = 0; i < f->partition_count; i++) {
		struct fetch_partition *p = &f->partitions[i];
		struct kafka_fetch_response_partition *answer = p->answer;
		answer->partition_index = p->asked->partition;
		answer->error_code = p->code;
		agent_numbers_error(r->agent, KAFKA_API_FETCH, p->code);
		answer->high_watermark = p->found.high_watermark;
		answer->last_stable_offset = p->stable_offset;
		answer->log_start_offset = p->found.log_start_offset;
		answer->preferred_read_replica = p->code ? -1 : f->preferred;
		blobs[i] = p->code ? NULL : p->read.records;
		answer->records = blobs[i] ? blob_slice(blobs[i]) : SLICE("");
		if (is_committed)
			tell_aborted(r, p);
		is_empty &= !p->code && answer->records.size == 0;
	}
	if (is_empty && f->preferred < 0)
		doubt(r->agent);
	tell_leader(r, f);
	fetch_session_end(r->agent->fetch_sessions, &f->session, &f->response);
	return request_answer_blobs(r, &f->response, blobs, f->partition_count);
}

static enum step fetch_error(struct request *r, struct fetch *f, int16_t code)
{
	f->response.responses_count = 0;
	f->response.error_code = code;
	return request_answer(r, &f->response);
}

/* --- the request -------------------------------------------------------------------------------
 */

enum { FETCH_START, FETCH_SYNCED, FETCH_WAITING, FETCH_ROOM, FETCH_READ };

static int32_t find_preferred(struct request *r, const struct fetch *f)
{
	return r->header.api_version < FETCH_RACK_FIRST ? -1
							: brokers_preferred(r, f->request->rack_id);
}

static enum step fetch_look(struct request *r, struct fetch *f);

static enum step fetch_gather(struct request *r, struct fetch *f)
{
	if (r->task.children > 0)
		return task_wait(&r->task, FETCH_READ);
	switch (gather(r, f)) {
	case GATHERED:
		return fetch_answer(r, f);
	case GATHER_READS:
	case GATHER_NEEDS_TURN:
		return task_wait(&r->task, FETCH_READ);
	case GATHER_NEEDS_ROOM: /* comes back with more of it each time */
		let_go(r, f);
		return fetch_look(r, f);
	case GATHER_PLANS_AGAIN:
		let_go(r, f);
		f->replans++;
		sync_start(&f->sync, &r->task, r->agent);
		return task_wait(&r->task, FETCH_SYNCED);
	}
	abort();
}

static void set_partition_defaults(struct kafka_fetch_response_partition *answer)
{
	answer->diverging_epoch.epoch = -1;
	answer->diverging_epoch.end_offset = -1;
	answer->current_leader.leader_id = -1;
	answer->current_leader.leader_epoch = -1;
	answer->snapshot_id.end_offset = -1;
	answer->snapshot_id.epoch = -1;
	answer->preferred_read_replica = -1;
}

/* Places for everything that is asked for. */
static void prepare(struct fetch *f)
{
	const struct kafka_fetch_request *request = f->request;
	size_t count = request->topics_count;
	struct arena *a = &f->looked;
	struct fetch_partition *p;

	f->partition_count = 0;
	for (size_t i = 0; i < count; i++)
		f->partition_count += request->topics[i].partitions_count;
	f->topics = arena_take_array(a, count, sizeof(*f->topics));
	f->partitions = arena_take_array(a, f->partition_count, sizeof(*f->partitions));
	f->response.responses = arena_take_array(a, count, sizeof(*f->response.responses));
	f->response.responses_count = count;
	p = f->partitions;
	for (size_t i = 0; i < count; i++) {
		const struct kafka_fetch_request_topic *asked = &request->topics[i];
		struct kafka_fetch_response_topic *answer = &f->response.responses[i];
		f->topics[i].asked = asked;
		answer->topic = asked->topic;
		answer->topic_id = asked->topic_id;
		answer->partitions_count = asked->partitions_count;
		answer->partitions =
			arena_take_array(a, asked->partitions_count, sizeof(*answer->partitions));
		for (size_t k = 0; k < asked->partitions_count; k++, p++) {
			p->topic = &f->topics[i];
			p->asked = &asked->partitions[k];
			p->answer = &answer->partitions[k];
			set_partition_defaults(p->answer);
		}
	}
}

/* Nothing is held, nothing is read: what the last look was at is forgotten. */
static void look(struct request *r, struct fetch *f)
{
	arena_reset(&f->looked);
	f->preferred = find_preferred(r, f);
	f->is_in_session = fetch_session_ask(r->agent->fetch_sessions, &f->session, &f->looked,
					     f->preferred >= 0 || r->agent->has_left, f->request);
	prepare(f);
	look_at_all(r, f);
}

static enum step fetch_look(struct request *r, struct fetch *f)
{
	unwatch(r, f);
	look(r, f);
	if (!f->has_synced && is_ahead_of_replica(f)) {
		sync_start(&f->sync, &r->task, r->agent);
		return task_wait(&r->task, FETCH_SYNCED);
	}
	if (!should_answer(r, f)) {
		answer_room_stand_back(&f->room, r);
		watch(r, f);
		return task_wait(&r->task, FETCH_WAITING);
	}
	if (!take_room(r, f))
		return task_wait(&r->task, FETCH_ROOM);
	timer_clear(&f->timer);
	plan(r, f);
	return fetch_gather(r, f);
}

static enum step fetch_start(struct request *r, struct fetch *f)
{
	struct kafka_fetch_request *request = request_decode(r);
	struct guard_caller caller = request_caller(r);
	struct fetch_session_client client = {
		.by_id = r->header.api_version >= FETCH_TOPIC_IDS_FIRST,
		.principal = caller.principal,
		.host = caller.host,
	};
	size_t count = 0;
	uint64_t wait_ms;

	f->owner = r;
	f->request = request;
	if (!f->request)
		return request_refuse(r, "Fetch cannot be decoded");
	for (size_t i = 0; i < request->topics_count; i++)
		count += request->topics[i].partitions_count;
	if (count > FETCH_PARTITIONS_MAX)
		return request_refuse(r, "Fetch asks for %zu partitions, the limit is %d", count,
				      FETCH_PARTITIONS_MAX);
	int16_t code = fetch_session_begin(r->agent->fetch_sessions, &client, r->arrived_ms,
					   request, &f->session);
	if (!replica_cell(r->agent->replica))
		return request_refuse(r, "Fetch before the catalog is known");

	schema_defaults(r->api->response, &f->response);
	if (code)
		return fetch_error(r, f, code);
	wait_ms = positive(f->request->max_wait_ms);
	if (wait_ms > FETCH_WAIT_MS_MAX)
		wait_ms = FETCH_WAIT_MS_MAX;
	f->deadline_ms = r->arrived_ms + wait_ms;
	return fetch_look(r, f);
}

static enum step fetch_step(struct request *r)
{
	struct fetch *f = r->state;

	if (r->task.children > 0)
		return task_wait(&r->task, r->task.at);
	switch (r->task.at) {
	case FETCH_START:
		return fetch_start(r, f);
	case FETCH_SYNCED:
		f->has_synced = true;
		return fetch_look(r, f);
	case FETCH_WAITING:
	case FETCH_ROOM:
		return fetch_look(r, f);
	case FETCH_READ:
		return fetch_gather(r, f);
	}
	abort();
}

static void fetch_release(struct request *r)
{
	struct fetch *f = r->state;

	unwatch(r, f);
	slow_lane_leave(&r->agent->slow_lane, &f->turn);
	answer_room_give_back(&f->room, r);
	for (size_t i = 0; i < f->partition_count && f->partitions; i++)
		partition_read_done(&f->partitions[i].read);
	arena_done(&f->looked);
}

static const char *const fetch_places[] = { "start", "synced", "waiting", "room", "read" };
const struct operation fetch_operation = {
	.api_key = KAFKA_API_FETCH,
	.state_bytes = sizeof(struct fetch),
	.places = fetch_places,
	.place_count = 5,
	.step = fetch_step,
	.release = fetch_release,
};
