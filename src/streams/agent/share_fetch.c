/* ShareFetch: answers to records that a member of a share group has, and new ones for it.
 *
 *	session -> (look up by time where partitions begin that nobody has begun)
 *	     -> (say: answers, those partitions) -> replica has that -> look
 *	     -> wait for a change, the end of a lock or max_wait -> look
 *	     -> read -> acquire what was read, one command -> answer
 *	                     '- somebody else was faster -> look
 *
 * Where a partition is to be read comes from the replica, which may be behind: what may be told is
 * decided by control when the batches that were read are acquired. */
#include "streams/agent/share_fetch.h"

#include <stdlib.h>

#include "base/clock.h"
#include "streams/agent/brokers.h"
#include "streams/agent/connection.h"
#include "streams/agent/operations.h"
#include "wire/kafka/errors.h"

/* --- is there something to tell? ---------------------------------------------------------------
 */

static int64_t available_bytes(struct request *r, struct share_fetch *f,
			       const struct share_reading *it, int64_t wanted)
{
	struct catalog_run *runs;
	size_t count;

	if (wanted <= 1 || catalog_runs(&f->looked, replica_cell(r->agent->replica), it->found.id,
					it->from, wanted, &runs, &count))
		return 1;
	while (count > 0 && runs[count - 1].base_offset >= it->end)
		count--;
	return partition_runs_bytes(runs, count, it->from) + 1;
}

static bool should_answer(struct request *r, struct share_fetch *f)
{
	int64_t wanted = f->request->min_bytes;
	bool is_read = false;

	if (r->agent->is_stopping || loop_now_ms(r->agent->loop) >= f->deadline_ms)
		return true;
	for (size_t i = 0; i < f->count; i++) {
		const struct share_reading *it = &f->readings[i];
		if (it->code || it->answer_code)
			return true;
		is_read |= it->is_read;
		if (share_has_records(it))
			wanted -= available_bytes(r, f, it, wanted);
	}
	return !is_read || wanted <= 0;
}

static bool has_any(const struct share_fetch *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (share_has_records(&f->readings[i]))
			return true;
	return false;
}

/* --- waiting -----------------------------------------------------------------------------------
 */

static void on_timer(struct timer *timer)
{
	struct share_fetch *f = CONTAINER(timer, struct share_fetch, timer);

	task_wake(&f->owner->task);
}

static void unwatch(struct share_fetch *f)
{
	for (size_t i = 0; i < f->count; i++) {
		replica_watch_remove(&f->readings[i].grows);
		replica_watch_remove(&f->readings[i].changes);
	}
	timer_clear(&f->timer);
}

static void watch(struct request *r, struct share_fetch *f)
{
	uint64_t now_ms = loop_now_ms(r->agent->loop), at_ms = f->deadline_ms;
	int64_t wall_ms = clock_wall_ms();

	unwatch(f);
	for (size_t i = 0; i < f->count; i++) {
		struct share_reading *it = &f->readings[i];
		if (!it->is_read)
			continue;
		replica_watch_add(r->agent->replica, &it->grows, it->found.id, &r->task);
		replica_watch_add(r->agent->replica, &it->changes, -it->state.row, &r->task);
		int64_t until_ms = share_partition_deadline_ms(&it->state);
		if (until_ms == INT64_MAX)
			continue;
		uint64_t left_ms = until_ms > wall_ms ? (uint64_t)(until_ms - wall_ms) : 0;
		if (left_ms < SHARE_FETCH_PAUSE_MS)
			left_ms = SHARE_FETCH_PAUSE_MS;
		if (now_ms + left_ms < at_ms)
			at_ms = now_ms + left_ms;
	}
	timer_set(&f->timer, r->agent->loop, at_ms, on_timer);
}

/* --- answering ---------------------------------------------------------------------------------
 */

static void fill_partition(struct request *r, const struct share_reading *it,
			   struct kafka_share_fetch_response_partition *ret)
{
	*ret = (struct kafka_share_fetch_response_partition) {
		.partition_index = it->place.partition,
		.error_code = it->code,
		.acknowledge_error_code = it->answer_code,
		.current_leader = { -1, -1 },
		.records = it->acquired_count > 0 ? blob_slice(it->read.records) : SLICE(""),
		.acquired_records = arena_take_array(&r->arena, it->acquired_count + 1,
						     sizeof(*ret->acquired_records)),
		.acquired_records_count = it->acquired_count,
	};
	if (it->code)
		ret->error_message = slice_from(kafka_error_name(it->code));
	if (it->answer_code)
		ret->acknowledge_error_message = slice_from(kafka_error_name(it->answer_code));
	for (size_t i = 0; i < it->acquired_count; i++)
		ret->acquired_records[i] = (struct kafka_share_fetch_response_acquired) {
			it->acquired[i].first,
			it->acquired[i].last,
			it->acquired[i].deliveries,
		};
}

static bool is_sent_away(const struct share_fetch *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->readings[i].code == KAFKA_NOT_LEADER_OR_FOLLOWER)
			return true;
	return false;
}

static void tell_leader(struct request *r, struct share_fetch *f)
{
	struct share_session *session =
		share_session_find(&r->agent->shares->sessions, f->request->group_id,
				   f->request->member_id);
	const struct catalog_agent *leader = r->agent->has_left ? brokers_elsewhere(r) : NULL;

	for (size_t i = 0; leader && i < f->response.responses_count; i++)
		for (size_t k = 0; k < f->response.responses[i].partitions_count; k++)
			if (f->response.responses[i].partitions[k].error_code ==
			    KAFKA_NOT_LEADER_OR_FOLLOWER)
				f->response.responses[i].partitions[k].current_leader =
					(struct kafka_share_fetch_response_leader) {
						leader->node_id, 0
					};
	if (!leader)
		return;
	if (session && is_sent_away(f))
		session->is_told = true;
	f->response.node_endpoints = arena_take(&r->arena, sizeof(*f->response.node_endpoints));
	f->response.node_endpoints_count = 1;
	f->response.node_endpoints[0] =
		(struct kafka_share_fetch_response_node_endpoint) { leader->node_id, leader->host,
								    leader->port, leader->site };
}

/* Readings of the topic of this one, from it on. */
static size_t count_of_topic(const struct share_fetch *f, size_t first)
{
	size_t i = first;

	while (i < f->count &&
	       uuid_equal(f->readings[i].place.topic_id, f->readings[first].place.topic_id))
		i++;
	return i - first;
}

static enum step share_fetch_answer(struct request *r, struct share_fetch *f)
{
	struct blob **blobs = arena_take_array(&r->arena, f->count + 1, sizeof(struct blob *));
	struct kafka_share_fetch_response_topic *topic = NULL;
	size_t bytes = 0;

	f->response.acquisition_lock_timeout_ms = (int32_t)f->rules.lock_ms;
	f->response.responses =
		arena_take_array(&r->arena, f->count + 1, sizeof(*f->response.responses));
	for (size_t i = 0; i < f->count; i++) {
		const struct share_reading *it = &f->readings[i];
		if (!f->is_first && !it->has_answer && !it->code && it->acquired_count == 0)
			continue;
		if (!topic || !uuid_equal(topic->topic_id, it->place.topic_id)) {
			topic = &f->response.responses[f->response.responses_count++];
			topic->topic_id = it->place.topic_id;
			topic->partitions = arena_take_array(&r->arena, count_of_topic(f, i),
							     sizeof(*topic->partitions));
		}
		fill_partition(r, it, &topic->partitions[topic->partitions_count++]);
		blobs[i] = it->acquired_count > 0 ? it->read.records : NULL;
		bytes += blobs[i] ? blobs[i]->size : 0;
	}
	tell_leader(r, f);
	r->used_bytes += bytes;
	reporter_add_fetched(r->agent, bytes);
	return request_answer_blobs(r, &f->response, blobs, f->count);
}

static enum step share_fetch_error(struct request *r, struct share_fetch *f, int16_t code,
				   const char *why)
{
	f->response.error_code = code;
	if (why)
		f->response.error_message = slice_from(why);
	return request_answer(r, &f->response);
}

/* --- the steps ---------------------------------------------------------------------------------
 */

enum {
	SHARE_FETCH_START,
	SHARE_FETCH_LOOKED_UP,
	SHARE_FETCH_SAID,
	SHARE_FETCH_CAUGHT_UP,
	SHARE_FETCH_WAITING,
	SHARE_FETCH_READ,
	SHARE_FETCH_ACQUIRED
};

static enum step share_fetch_look(struct request *r, struct share_fetch *f);

static enum step share_fetch_acquire(struct request *r, struct share_fetch *f)
{
	if (r->task.children > 0)
		return task_wait(&r->task, SHARE_FETCH_READ);
	switch (share_gather(r, f)) {
	case SHARE_GATHERED:
		break;
	case SHARE_GATHER_WAITS:
		return task_wait(&r->task, SHARE_FETCH_READ);
	case SHARE_GATHER_NEEDS_ROOM: /* comes back with more of it */
		share_let_go(r, f);
		return share_fetch_look(r, f);
	}
	if (!share_ask_for_records(r, f))
		return share_fetch_answer(r, f);
	share_call_start(&f->call, &r->task, r->agent, &r->arena, f->question);
	return task_wait(&r->task, SHARE_FETCH_ACQUIRED);
}

static enum step share_fetch_look(struct request *r, struct share_fetch *f)
{
	uint64_t now_ms = loop_now_ms(r->agent->loop);

	unwatch(f);
	if (now_ms < f->pause_until_ms && now_ms < f->deadline_ms && !r->agent->is_stopping) {
		timer_set(&f->timer, r->agent->loop,
			  f->pause_until_ms < f->deadline_ms ? f->pause_until_ms : f->deadline_ms,
			  on_timer);
		return task_wait(&r->task, SHARE_FETCH_WAITING);
	}
	share_look(r, f);
	if (!should_answer(r, f)) {
		answer_room_stand_back(&f->room, r);
		watch(r, f);
		return task_wait(&r->task, SHARE_FETCH_WAITING);
	}
	if (!has_any(f))
		return share_fetch_answer(r, f);
	if (!share_take_room(r, f, on_timer))
		return task_wait(&r->task, SHARE_FETCH_WAITING);
	timer_clear(&f->timer);
	share_plan(r, f);
	return share_fetch_acquire(r, f);
}

/* Not before the replica has what control decided for this agent last. */
static enum step catch_up(struct request *r, struct share_fetch *f)
{
	if (replica_index(r->agent->replica) >= r->agent->shares->index)
		return share_fetch_look(r, f);
	replica_wait(&f->wait, &r->task, r->agent->replica, r->agent->shares->index);
	task_set_deadline(&f->wait.task, loop_now_ms(r->agent->loop) + SHARE_FETCH_CATCH_UP_MS);
	return task_wait(&r->task, SHARE_FETCH_CAUGHT_UP);
}

/* Nobody knows whether it was done: the client sends it again on another connection, or the lock
 * ends with its time. */
static enum step give_up(struct request *r, const struct share_fetch *f)
{
	return request_refuse(r, "ShareFetch got no answer from control: %s",
			      err_name(f->call.task.err));
}

static enum step share_fetch_said(struct request *r, struct share_fetch *f)
{
	if (f->call.task.err)
		return give_up(r, f);
	share_take_first(f);
	if (f->is_last || f->request->is_renew_ack) {
		catalog_share_rules(replica_cell(r->agent->replica), f->request->group_id,
				    &f->rules);
		return share_fetch_answer(r, f);
	}
	return catch_up(r, f);
}

static bool is_enough(const struct request *r, struct share_fetch *f)
{
	f->rounds++;
	return f->rounds == SHARE_FETCH_ROUNDS_MAX ||
	       (f->rounds >= SHARE_FETCH_ROUNDS_LATE &&
		loop_now_ms(r->agent->loop) >= f->deadline_ms);
}

/* The first time others were faster, or the replica was behind.  Then it may be the clock of this
 * machine, which is ahead of control's and has every lock end early: that is looked at seldom. */
static void pause_after(const struct request *r, struct share_fetch *f)
{
	uint64_t pause_ms = SHARE_FETCH_VAIN_MS;

	for (int i = 2; i < f->rounds && pause_ms < SHARE_FETCH_VAIN_MS_MAX; i++)
		pause_ms *= 2;
	if (pause_ms > SHARE_FETCH_VAIN_MS_MAX)
		pause_ms = SHARE_FETCH_VAIN_MS_MAX;
	f->pause_until_ms = loop_now_ms(r->agent->loop) + pause_ms;
}

static enum step share_fetch_acquired(struct request *r, struct share_fetch *f)
{
	if (f->call.task.err)
		return give_up(r, f);
	if (share_take_records(r, f) || is_enough(r, f))
		return share_fetch_answer(r, f);
	share_let_go(r, f); /* others were faster */
	f->room.large_bytes = 0;
	if (f->rounds > 1)
		pause_after(r, f);
	return catch_up(r, f);
}

static bool is_too_much(const struct request *r, const struct kafka_share_fetch_request *q)
{
	size_t count = 0;

	for (size_t i = 0; i < q->topics_count; i++)
		count += q->topics[i].partitions_count;
	for (size_t i = 0; i < q->forgotten_topics_data_count; i++)
		count += q->forgotten_topics_data[i].partitions_count;
	return count > SHARE_CALL_PARTITIONS_MAX || r->body.size > SHARE_CALL_BODY_BYTES_MAX;
}

static const char *fault_of(const struct kafka_share_fetch_request *q)
{
	bool has_answers = false;

	for (size_t i = 0; i < q->topics_count; i++)
		for (size_t k = 0; k < q->topics[i].partitions_count; k++)
			has_answers |= q->topics[i].partitions[k].acknowledgement_batches_count > 0;
	if (!q->group_id.data || q->group_id.size == 0)
		return "Invalid group id in the request.";
	if (q->member_id.size == 0 || q->member_id.size > SHARE_MEMBER_ID_BYTES_MAX)
		return "Invalid member id in the request.";
	if (q->share_session_epoch == SHARE_EPOCH_OPEN && has_answers)
		return "There is nothing to acknowledge in a new session.";
	if (q->is_renew_ack &&
	    (q->max_records != 0 || q->max_bytes != 0 || q->min_bytes != 0 || q->max_wait_ms != 0))
		return "A request that renews does not fetch.";
	return NULL;
}

static enum step share_fetch_look_up(struct request *r, struct share_fetch *f)
{
	if (share_look_up(r, f))
		return task_wait(&r->task, SHARE_FETCH_LOOKED_UP);
	share_ask_first(r, f);
	if (f->question->partitions_count == 0)
		return catch_up(r, f);
	share_call_start(&f->call, &r->task, r->agent, &r->arena, f->question);
	return task_wait(&r->task, SHARE_FETCH_SAID);
}

static enum step share_fetch_begin(struct request *r, struct share_fetch *f)
{
	const struct kafka_share_fetch_request *q = f->request;
	struct share_sessions *sessions = &r->agent->shares->sessions;
	int16_t code =
		share_session_begin(sessions, q->group_id, q->member_id, q->share_session_epoch,
				    connection_id(r->connection), &f->session);

	if (code)
		return share_fetch_error(r, f, code, NULL);
	f->is_first = q->share_session_epoch == SHARE_EPOCH_OPEN;
	f->is_last = q->share_session_epoch == SHARE_EPOCH_END;
	share_gather_readings(r, f);
	if (f->is_last) {
		share_session_take(sessions, f->session);
		share_session_free(f->session);
	}
	f->session = NULL;
	share_examine(r, f);
	return share_fetch_look_up(r, f);
}

static enum step share_fetch_start(struct request *r, struct share_fetch *f)
{
	struct kafka_share_fetch_request *request = request_decode(r);

	f->owner = r;
	f->request = request;
	schema_defaults(r->api->response, &f->response);
	if (!request)
		return request_refuse(r, "ShareFetch cannot be decoded");
	if (!replica_cell(r->agent->replica))
		return request_refuse(r, "ShareFetch before the catalog is known");
	if (is_too_much(r, request))
		return request_refuse(r, "ShareFetch about more than %d partitions or %d bytes",
				      SHARE_CALL_PARTITIONS_MAX, SHARE_CALL_BODY_BYTES_MAX);
	const char *fault = fault_of(request);
	if (request->group_id.data && !request_may(r, GRANT_READ, GRANT_GROUP, request->group_id))
		return share_fetch_error(r, f, KAFKA_GROUP_AUTHORIZATION_FAILED, NULL);
	if (fault)
		return share_fetch_error(r, f, KAFKA_INVALID_REQUEST, fault);
	if (request->max_records > SHARE_FETCH_RECORDS_MAX)
		request->max_records = SHARE_FETCH_RECORDS_MAX;
	uint64_t wait_ms = request->max_wait_ms > 0 ? (uint64_t)request->max_wait_ms : 0;
	f->deadline_ms = r->arrived_ms +
			 (wait_ms < SHARE_FETCH_WAIT_MS_MAX ? wait_ms : SHARE_FETCH_WAIT_MS_MAX);
	return share_fetch_begin(r, f);
}

static enum step share_fetch_step(struct request *r)
{
	struct share_fetch *f = r->state;

	if (r->task.children > 0)
		return task_wait(&r->task, r->task.at);
	switch (r->task.at) {
	case SHARE_FETCH_START:
		return share_fetch_start(r, f);
	case SHARE_FETCH_LOOKED_UP:
		return share_fetch_look_up(r, f);
	case SHARE_FETCH_SAID:
		return share_fetch_said(r, f);
	case SHARE_FETCH_CAUGHT_UP:
	case SHARE_FETCH_WAITING:
		return share_fetch_look(r, f);
	case SHARE_FETCH_READ:
		return share_fetch_acquire(r, f);
	case SHARE_FETCH_ACQUIRED:
		return share_fetch_acquired(r, f);
	}
	abort();
}

static void share_fetch_release(struct request *r)
{
	struct share_fetch *f = r->state;

	unwatch(f);
	share_let_go(r, f);
	share_call_done(&f->call);
	arena_done(&f->looked);
}

static const char *const share_fetch_places[] = { "start",   "looked up", "said",    "caught up",
						  "waiting", "read",	  "acquired" };
const struct operation share_fetch_operation = {
	.api_key = KAFKA_API_SHARE_FETCH,
	.state_bytes = sizeof(struct share_fetch),
	.places = share_fetch_places,
	.place_count = 7,
	.step = share_fetch_step,
	.release = share_fetch_release,
};
