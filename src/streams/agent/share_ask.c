#include <stdlib.h>

#include "base/clock.h"
#include "streams/agent/share_fetch.h"
#include "wire/kafka/errors.h"

/* --- the request -------------------------------------------------------------------------------
 */

static int compare_readings(const void *left, const void *right)
{
	const struct share_reading *a = left, *b = right;
	int order = memcmp(a->place.topic_id.bytes, b->place.topic_id.bytes,
			   sizeof(a->place.topic_id.bytes));

	return order ? order
		     : (a->place.partition > b->place.partition) -
			       (a->place.partition < b->place.partition);
}

static struct share_reading *find_reading(struct share_fetch *f, const struct share_place *place)
{
	struct share_reading wanted = { .place = *place };

	return f->count ? bsearch(&wanted, f->readings, f->count, sizeof(wanted), compare_readings)
			: NULL;
}

static void each_asked(struct share_fetch *f,
		       void (*visit)(struct share_fetch *f, const struct share_place *place,
				     const struct kafka_share_fetch_request_partition *asked))
{
	for (size_t i = 0; i < f->request->topics_count; i++) {
		const struct kafka_share_fetch_request_topic *topic = &f->request->topics[i];
		for (size_t k = 0; k < topic->partitions_count; k++) {
			struct share_place place = { topic->topic_id,
						     topic->partitions[k].partition_index };
			visit(f, &place, &topic->partitions[k]);
		}
	}
}

static void add_to_session(struct share_fetch *f, const struct share_place *place,
			   const struct kafka_share_fetch_request_partition *asked)
{
	(void)asked;
	if (!f->is_last && !share_session_add(f->session, place))
		f->is_session_full = true;
}

static void add_reading(struct share_fetch *f, const struct share_place *place,
			const struct kafka_share_fetch_request_partition *asked)
{
	f->readings[f->count++] = (struct share_reading) {
		.place = *place,
		.asked = asked,
		.has_answer = asked && asked->acknowledgement_batches_count > 0,
	};
}

static void forget(struct share_fetch *f)
{
	for (size_t i = 0; i < f->request->forgotten_topics_data_count; i++) {
		const struct kafka_share_fetch_request_forgotten *topic =
			&f->request->forgotten_topics_data[i];
		for (size_t k = 0; k < topic->partitions_count; k++)
			share_session_remove(f->session,
					     &(struct share_place) { topic->topic_id,
								     topic->partitions[k] });
	}
}

/* All that is read or spoken of, each once, in order. */
void share_gather_readings(struct request *r, struct share_fetch *f)
{
	size_t asked = 0, kept = 0;

	for (size_t i = 0; i < f->request->topics_count; i++)
		asked += f->request->topics[i].partitions_count;
	each_asked(f, add_to_session);
	forget(f);
	f->readings =
		arena_take_array(&r->arena, asked + f->session->count + 1, sizeof(*f->readings));
	each_asked(f, add_reading);
	for (size_t i = 0; i < f->session->count; i++)
		add_reading(f, &f->session->places[i], NULL);
	qsort(f->readings, f->count, sizeof(*f->readings), compare_readings);
	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = &f->readings[i];
		if (kept > 0 && compare_readings(&f->readings[kept - 1], it) == 0) {
			if (it->asked) {
				f->readings[kept - 1].asked = it->asked;
				f->readings[kept - 1].has_answer |= it->has_answer;
			}
			continue;
		}
		f->readings[kept++] = *it;
	}
	f->count = kept;
	for (size_t i = 0; i < f->session->count; i++) {
		struct share_reading *it = find_reading(f, &f->session->places[i]);
		if (it)
			it->is_read = !f->is_last && !f->request->is_renew_ack &&
				      f->request->max_records > 0 && f->request->max_bytes > 0;
	}
	for (size_t i = 0; i < f->count && f->is_session_full && f->request->max_records > 0; i++)
		if (!f->readings[i].is_read && !f->readings[i].has_answer)
			f->readings[i].code = KAFKA_INVALID_REQUEST; /* it would never be read */
}

/* --- asking control ----------------------------------------------------------------------------
 */

struct peer_share_request_partition *share_add_question(struct share_fetch *f,
							struct share_reading *it)
{
	struct peer_share_request_partition *ret =
		&f->question->partitions[f->question->partitions_count];

	it->is_asked = true;
	it->question = f->question->partitions_count++;
	ret->topic_id = it->place.topic_id;
	ret->partition = it->place.partition;
	ret->has_begin = it->has_begin;
	ret->begin = it->begin;
	return ret;
}

void share_begin_question(struct request *r, struct share_fetch *f)
{
	for (size_t i = 0; i < f->count; i++)
		f->readings[i].is_asked = false;
	f->question = arena_take(&r->arena, sizeof(*f->question));
	*f->question = (struct peer_share_request) {
		.group = f->request->group_id,
		.member_id = f->request->member_id,
		.is_exact = f->request->share_acquire_mode == 1,
		.wanted = f->request->max_records,
		.partitions =
			arena_take_array(&r->arena, f->count + 1, sizeof(*f->question->partitions)),
	};
}

static void add_answers(struct request *r, const struct share_reading *it,
			struct peer_share_request_partition *ret)
{
	size_t count = it->asked->acknowledgement_batches_count;

	ret->answers = arena_take_array(&r->arena, count + 1, sizeof(*ret->answers));
	ret->answers_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct kafka_share_fetch_request_batch *batch =
			&it->asked->acknowledgement_batches[i];
		ret->answers[i] = (struct peer_share_request_answer) {
			.first = batch->first_offset,
			.last = batch->last_offset,
			.said = batch->acknowledge_types,
			.said_count = batch->acknowledge_types_count,
		};
	}
}

/* Has anybody of the group begun it?  What the replica does not know yet counts as new. */
static bool is_begun(struct request *r, const struct share_fetch *f,
		     const struct share_place *place)
{
	struct cell *cell = replica_cell(r->agent->replica);
	struct share_partition state;
	struct catalog_topic topic;
	struct arena a;
	int64_t group;

	arena_init(&a);
	bool ret = !catalog_share_group(cell, f->request->group_id, &group) &&
		   !catalog_topic_by_id(&a, cell, &place->topic_id, &topic) &&
		   !catalog_share_partition(&a, cell, group, topic.id, place->partition, &state);
	arena_done(&a);
	return ret;
}

/* May the client read the topic?  What is not there is not denied. */
static bool may_read(struct request *r, const struct share_place *place)
{
	struct catalog_topic topic;

	return catalog_topic_by_id(&r->arena, replica_cell(r->agent->replica), &place->topic_id,
				   &topic) ||
	       request_may(r, GRANT_READ, GRANT_TOPIC, topic.name);
}

static bool is_ahead(const struct request *r, const struct share_reading *it)
{
	for (size_t i = 0; it->has_answer && i < it->asked->acknowledgement_batches_count; i++) {
		const struct kafka_share_fetch_request_batch *batch =
			&it->asked->acknowledgement_batches[i];
		if (share_call_is_ahead(r->header.api_version, batch->acknowledge_types,
					batch->acknowledge_types_count))
			return true;
	}
	return false;
}

void share_examine(struct request *r, struct share_fetch *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = &f->readings[i];
		if (!may_read(r, &it->place)) {
			it->code = KAFKA_TOPIC_AUTHORIZATION_FAILED;
			it->answer_code = it->has_answer ? it->code : KAFKA_NONE;
			continue;
		}
		it->is_new = it->is_read && !is_begun(r, f, &it->place);
	}
	catalog_share_rules(replica_cell(r->agent->replica), f->request->group_id, &f->rules);
}

/* --- where it begins by age --------------------------------------------------------------------
 */

static void take_lookups(struct share_fetch *f)
{
	for (size_t i = 0; i < f->lookups_count; i++) {
		const struct time_lookup *lookup = &f->lookups[i].lookup;
		struct share_reading *it = f->lookups[i].reading;
		it->has_begin = lookup->task.err == OK;
		it->begin = lookup->ret_offset >= 0 ? lookup->ret_offset : lookup->end;
		if (lookup->task.err == ERR_CORRUPT)
			it->code = KAFKA_CORRUPT_MESSAGE;
		else if (lookup->task.err)
			it->code = KAFKA_NOT_LEADER_OR_FOLLOWER;
	}
	f->lookups_count = 0;
}

static void start_lookup(struct request *r, struct share_fetch *f, struct share_reading *it)
{
	struct cell *cell = replica_cell(r->agent->replica);
	int64_t now_ms = clock_wall_ms(), at_ms = 0;
	struct catalog_partition found;
	struct catalog_topic topic;

	if (catalog_topic_by_id(&r->arena, cell, &it->place.topic_id, &topic) ||
	    catalog_partition_find(cell, topic.id, it->place.partition, &found))
		return; /* control will say so */
	if (f->rules.age_ms < now_ms)
		at_ms = now_ms - f->rules.age_ms;
	if (!f->lookups)
		f->lookups =
			arena_take_array(&r->arena, SHARE_FETCH_LOOKUPS_MAX, sizeof(*f->lookups));
	struct share_lookup *lookup = &f->lookups[f->lookups_count++];
	lookup->reading = it;
	time_lookup_start(&lookup->lookup, &r->task, r->agent, &found, at_ms, found.high_watermark);
}

bool share_look_up(struct request *r, struct share_fetch *f)
{
	take_lookups(f);
	if (f->rules.begin != SHARE_BEGIN_BY_AGE || f->is_last)
		return false;
	for (; f->looked_up < f->count && f->lookups_count < SHARE_FETCH_LOOKUPS_MAX;
	     f->looked_up++)
		if (f->readings[f->looked_up].is_new)
			start_lookup(r, f, &f->readings[f->looked_up]);
	return f->lookups_count > 0;
}

/* --- the question ------------------------------------------------------------------------------
 */

/* What the client said, what nobody has begun, and at the end what goes back. */
void share_ask_first(struct request *r, struct share_fetch *f)
{
	share_begin_question(r, f);
	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = &f->readings[i];
		bool speaks = it->has_answer;
		if (it->code == KAFKA_TOPIC_AUTHORIZATION_FAILED)
			continue;
		if (is_ahead(r, it)) {
			it->answer_code = KAFKA_INVALID_REQUEST;
			speaks = false;
		}
		if (!speaks && !(it->is_new && !it->code) && !f->is_last)
			continue;
		struct peer_share_request_partition *question = share_add_question(f, it);
		question->releases = f->is_last;
		if (speaks)
			add_answers(r, it, question);
	}
}

void share_take_first(struct share_fetch *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = &f->readings[i];
		if (!it->is_asked)
			continue;
		it->code = f->call.ret.partitions[it->question].error;
		if (it->has_answer && !it->answer_code)
			it->answer_code = f->call.ret.partitions[it->question].answer_error;
	}
}
