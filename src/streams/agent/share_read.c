#include "base/clock.h"
#include "streams/agent/share_fetch.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/record_batch.h"

/* --- looking -----------------------------------------------------------------------------------
 */

static int16_t look_at(struct request *r, struct share_fetch *f, int64_t group,
		       struct share_reading *it)
{
	struct cell *cell = replica_cell(r->agent->replica);
	int64_t last;

	it->end = it->from = 0;
	if (r->agent->has_left)
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	if (catalog_topic_by_id(&f->looked, cell, &it->place.topic_id, &it->topic))
		return KAFKA_UNKNOWN_TOPIC_ID;
	if (!request_may(r, GRANT_READ, GRANT_TOPIC, it->topic.name))
		return KAFKA_TOPIC_AUTHORIZATION_FAILED;
	if (catalog_partition_find(cell, it->topic.id, it->place.partition, &it->found))
		return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	enum err err = catalog_share_partition(&f->looked, cell, group, it->topic.id,
					       it->place.partition, &it->state);
	if (err) /* taken away while the request waits */
		return err == ERR_NOT_FOUND ? KAFKA_NOT_LEADER_OR_FOLLOWER
					    : KAFKA_UNKNOWN_SERVER_ERROR;
	(void)share_partition_move_start(&it->state, it->found.log_start_offset);
	if (!share_partition_next(&it->state, clock_wall_ms(), &it->from, &last))
		return KAFKA_NONE;
	it->end = f->rules.is_committed ? catalog_last_stable_offset(cell, &it->found)
					: it->found.high_watermark;
	if (last < it->end)
		it->end = last + 1;
	if (it->from < it->end && it->end - it->from > f->request->max_records)
		it->end = it->from + f->request->max_records;
	return KAFKA_NONE;
}

void share_look(struct request *r, struct share_fetch *f)
{
	struct cell *cell = replica_cell(r->agent->replica);
	int64_t group = 0;

	arena_reset(&f->looked);
	bool is_known = catalog_share_group(cell, f->request->group_id, &group) == OK;
	catalog_share_rules(cell, f->request->group_id, &f->rules);
	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = &f->readings[i];
		if (it->is_read && !it->code)
			it->code = is_known ? look_at(r, f, group, it)
					    : (int16_t)KAFKA_GROUP_ID_NOT_FOUND;
	}
}

bool share_has_records(const struct share_reading *it)
{
	return it->is_read && !it->code && it->from < it->end;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static size_t bytes_max(const struct share_fetch *f)
{
	int32_t asked = f->request->max_bytes;

	return asked > 0 && asked < SHARE_FETCH_BYTES_MAX ? (size_t)asked : SHARE_FETCH_BYTES_MAX;
}

bool share_take_room(struct request *r, struct share_fetch *f, void (*on_timer)(struct timer *))
{
	return answer_room_take(&f->room, r, bytes_max(f), &f->timer, on_timer);
}

void share_let_go(struct request *r, struct share_fetch *f)
{
	slow_lane_leave(&r->agent->slow_lane, &f->turn);
	answer_room_give_back(&f->room, r);
	for (size_t i = 0; i < f->count; i++) {
		partition_read_done(&f->readings[i].read);
		f->readings[i].read = (struct partition_read) { 0 };
	}
}

/* Another partition comes first each time. */
static struct share_reading *in_turn(const struct share_fetch *f, size_t i)
{
	size_t first = (uint32_t)f->owner->header.correlation_id % f->count;

	return &f->readings[(first + i) % f->count];
}

void share_plan(struct request *r, struct share_fetch *f)
{
	size_t left = bytes_max(f) < f->room.free_bytes ? bytes_max(f) : f->room.free_bytes;
	int64_t records = f->request->max_records;

	f->gathered = 0;
	f->has_records = false;
	for (size_t i = 0; i < f->count && left > 0 && records > 0 && f->room.free_bytes; i++) {
		struct share_reading *it = in_turn(f, i);
		if (!share_has_records(it))
			continue;
		if (partition_read_plan(&it->read, &r->arena, &r->task, r->agent, &it->found,
					it->from, it->end, left)) {
			it->code = KAFKA_UNKNOWN_SERVER_ERROR;
			continue;
		}
		answer_room_hold(&f->room, r, it->read.held_bytes);
		left -= it->read.planned_bytes < left ? it->read.planned_bytes : left;
		records -= it->end - it->from;
	}
}

/* A file that has gone was compacted, and the replica will know: members ask again. */
static int16_t read_error(enum err err)
{
	if (err == ERR_NOT_FOUND)
		return KAFKA_NOT_LEADER_OR_FOLLOWER;
	return err == ERR_CORRUPT ? KAFKA_CORRUPT_MESSAGE : KAFKA_KAFKA_STORAGE_ERROR;
}

/* The records of one partition, after the children have ended. */
static enum share_gathering gather_one(struct request *r, struct share_fetch *f,
				       struct share_reading *it)
{
	if (it->read.planned_bytes > SLOW_LANE_PIECE_BYTES &&
	    !slow_lane_take(&r->agent->slow_lane, &f->turn, &r->task))
		return SHARE_GATHER_WAITS;
	enum answer_room_found found =
		f->has_records ? ANSWER_ROOM_READY : answer_room_extend(&f->room, r, &it->read);
	if (found != ANSWER_ROOM_READY)
		return found == ANSWER_ROOM_READS ? SHARE_GATHER_WAITS : SHARE_GATHER_NEEDS_ROOM;
	enum err err = partition_read_gather(&it->read, !f->has_records, false);
	if (err) {
		it->code = read_error(err);
		answer_room_fail(&f->room, &it->read);
	}
	f->has_records |= !err && it->read.records && it->read.records->size > 0;
	return SHARE_GATHERED;
}

enum share_gathering share_gather(struct request *r, struct share_fetch *f)
{
	for (; f->gathered < f->count; f->gathered++) {
		struct share_reading *it = in_turn(f, f->gathered);
		if (!share_has_records(it))
			continue;
		enum share_gathering gathering = gather_one(r, f, it);
		if (gathering != SHARE_GATHERED)
			return gathering;
	}
	slow_lane_leave(&r->agent->slow_lane, &f->turn);
	answer_room_give_back(&f->room, r);
	for (size_t i = 0; i < f->count; i++) /* until control says what is the member's */
		if (f->readings[i].read.records)
			answer_room_hold(&f->room, r, f->readings[i].read.records->capacity);
	return SHARE_GATHERED;
}

/* --- acquiring ---------------------------------------------------------------------------------
 */

static bool is_aborted(const struct record_batch *b, const struct catalog_marker *aborted,
		       size_t count)
{
	if (!(b->attributes & RECORD_BATCH_TRANSACTIONAL) || b->attributes & RECORD_BATCH_CONTROL)
		return false;
	for (size_t i = 0; i < count; i++)
		if (aborted[i].producer_id == b->producer_id &&
		    b->base_offset >= aborted[i].first_offset && b->base_offset < aborted[i].offset)
			return true;
	return false;
}

/* Nothing was read: compaction by key left nothing of what the member could have. */
static bool is_hole(const struct share_reading *it)
{
	return !it->code && it->read.records && it->read.records->size == 0 &&
	       it->read.hole_end > it->from;
}

/* What compaction by key left nothing of is done, like what was aborted: a partition is told of
 * offsets without holes.  Returns the next offset. */
static int64_t list_hole(struct peer_share_request_partition *ret, int64_t first, int64_t end)
{
	if (first >= end)
		return first;
	ret->batches[ret->batches_count++] = (struct peer_share_request_batch) {
		.first = first,
		.last = end - 1,
		.is_aborted = true,
	};
	return end;
}

static enum err list_batches(struct request *r, const struct share_fetch *f,
			     struct share_reading *it, struct peer_share_request_partition *ret)
{
	struct slice rest = blob_slice(it->read.records);
	int64_t next = it->from;
	struct catalog_marker *aborted = NULL;
	struct record_batch batch;
	size_t aborted_count = 0;

	if (f->rules.is_committed &&
	    catalog_aborted(&r->arena, replica_cell(r->agent->replica), it->found.id, it->from,
			    it->end, &aborted, &aborted_count))
		return ERR_CORRUPT;
	ret->batches = arena_take_array(&r->arena, 2 * (rest.size / RECORD_BATCH_HEADER_BYTES + 1),
					sizeof(*ret->batches));
	if (rest.size == 0)
		(void)list_hole(ret, next, it->read.hole_end);
	while (rest.size > 0) {
		if (record_batch_next(&rest, &batch))
			return ERR_CORRUPT;
		(void)list_hole(ret, next, batch.base_offset);
		next = batch.base_offset + batch.last_offset_delta + 1;
		ret->batches[ret->batches_count++] = (struct peer_share_request_batch) {
			.first = batch.base_offset,
			.last = batch.base_offset + batch.last_offset_delta,
			.is_aborted = is_aborted(&batch, aborted, aborted_count),
		};
	}
	return OK;
}

/* False: there is nothing to acquire. */
bool share_ask_for_records(struct request *r, struct share_fetch *f)
{
	share_begin_question(r, f);
	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = in_turn(f, i);
		if (!share_has_records(it) || !it->read.records ||
		    (it->read.records->size == 0 && !is_hole(it)))
			continue;
		if (list_batches(r, f, it, share_add_question(f, it)))
			it->code = KAFKA_CORRUPT_MESSAGE;
	}
	return f->question->partitions_count > 0;
}

/* Only the batches with something that was acquired stay. */
static void cut_records(struct share_reading *it)
{
	struct blob *records = it->read.records; /* nobody else's */
	struct slice rest = blob_slice(records);
	int64_t first = it->acquired[0].first;
	int64_t last = it->acquired[it->acquired_count - 1].last;
	size_t begin = 0, end = 0;
	struct record_batch batch;

	while (rest.size > 0 && !record_batch_next(&rest, &batch)) {
		if (batch.base_offset > last)
			break;
		end = records->size - rest.size;
		if (batch.base_offset + batch.last_offset_delta < first)
			begin = end;
	}
	if (begin > 0)
		memmove(records->data, records->data + begin, end - begin);
	records->size = end - begin;
}

static void hold(struct share_session *session, const struct share_reading *it)
{
	for (size_t i = 0; session && i < it->acquired_count; i++)
		share_session_hold(session, &(struct share_held) {
						    .place = it->place,
						    .first = it->acquired[i].first,
						    .last = it->acquired[i].last,
						    .deliveries = it->acquired[i].deliveries,
					    });
}

bool share_take_records(struct request *r, struct share_fetch *f)
{
	struct share_session *session =
		share_session_find(&r->agent->shares->sessions, f->request->group_id,
				   f->request->member_id);
	bool has_news = false;

	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = &f->readings[i];
		if (it->is_asked) {
			const struct peer_share_response_partition *got =
				&f->call.ret.partitions[it->question];
			it->code = got->error;
			it->acquired = got->acquired;
			it->acquired_count = it->read.records ? got->acquired_count : 0;
			hold(session, it);
		}
		if (it->acquired_count > 0)
			cut_records(it);
		else
			partition_read_done(&it->read);
		has_news |= it->code || it->acquired_count > 0;
		answer_room_keep(&f->room, r, it->read.records);
	}
	return has_news;
}
