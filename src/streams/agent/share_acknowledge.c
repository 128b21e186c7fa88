/* ShareAcknowledge: what a member of a share group says of the records it has, without fetching. */
#include <stdlib.h>

#include "kafka_messages.h"
#include "streams/agent/connection.h"
#include "streams/agent/operations.h"
#include "streams/agent/share_release.h"
#include "streams/catalog/share.h"
#include "wire/kafka/errors.h"

enum { SHARE_ACKNOWLEDGE_START, SHARE_ACKNOWLEDGE_SAID };

struct share_acknowledge {
	const struct kafka_share_acknowledge_request *request;
	struct kafka_share_acknowledge_response response;
	struct peer_share_request *question;
	struct share_call call;
};

/* --- the question ------------------------------------------------------------------------------
 */

static struct peer_share_request_answer *list_answers(
	struct arena *a, const struct kafka_share_acknowledge_request_partition *asked)
{
	size_t count = asked->acknowledgement_batches_count;
	struct peer_share_request_answer *ret = arena_take_array(a, count + 1, sizeof(*ret));

	for (size_t i = 0; i < count; i++) {
		const struct kafka_share_acknowledge_request_batch *batch =
			&asked->acknowledgement_batches[i];
		ret[i] = (struct peer_share_request_answer) {
			.first = batch->first_offset,
			.last = batch->last_offset,
			.said = batch->acknowledge_types,
			.said_count = batch->acknowledge_types_count,
		};
	}
	return ret;
}

static bool is_ahead(int16_t version, const struct kafka_share_acknowledge_request_partition *asked)
{
	for (size_t i = 0; i < asked->acknowledgement_batches_count; i++)
		if (share_call_is_ahead(version,
					asked->acknowledgement_batches[i].acknowledge_types,
					asked->acknowledgement_batches[i].acknowledge_types_count))
			return true;
	return false;
}

/* Each partition has its place in the answer before anybody is asked: `error_code` says already
 * what the client may not do. */
static void begin_topic(struct request *r, struct share_acknowledge *s,
			const struct kafka_share_acknowledge_request_topic *asked,
			struct kafka_share_acknowledge_response_topic *ret)
{
	struct cell *cell = replica_cell(r->agent->replica);
	struct catalog_topic topic;
	bool is_denied = !catalog_topic_by_id(&r->arena, cell, &asked->topic_id, &topic) &&
			 !request_may(r, GRANT_READ, GRANT_TOPIC, topic.name);

	ret->topic_id = asked->topic_id;
	ret->partitions_count = asked->partitions_count;
	ret->partitions =
		arena_take_array(&r->arena, asked->partitions_count + 1, sizeof(*ret->partitions));
	for (size_t i = 0; i < asked->partitions_count; i++) {
		const struct kafka_share_acknowledge_request_partition *partition =
			&asked->partitions[i];
		ret->partitions[i] = (struct kafka_share_acknowledge_response_partition) {
			.partition_index = partition->partition_index,
			.error_code = is_denied ? KAFKA_TOPIC_AUTHORIZATION_FAILED : KAFKA_NONE,
			.current_leader = { -1, -1 },
		};
		if (!is_denied && is_ahead(r->header.api_version, partition))
			ret->partitions[i].error_code = KAFKA_INVALID_REQUEST;
		if (!ret->partitions[i].error_code)
			s->question->partitions[s->question->partitions_count++] =
				(struct peer_share_request_partition) {
					.topic_id = asked->topic_id,
					.partition = partition->partition_index,
					.answers = list_answers(&r->arena, partition),
					.answers_count = partition->acknowledgement_batches_count,
				};
	}
}

static size_t count_partitions(const struct kafka_share_acknowledge_request *q)
{
	size_t count = 0;

	for (size_t i = 0; i < q->topics_count; i++)
		count += q->topics[i].partitions_count;
	return count;
}

static void begin(struct request *r, struct share_acknowledge *s)
{
	size_t count = count_partitions(s->request);

	s->question = arena_take(&r->arena, sizeof(*s->question));
	*s->question = (struct peer_share_request) {
		.group = s->request->group_id,
		.member_id = s->request->member_id,
		.partitions =
			arena_take_array(&r->arena, count + 1, sizeof(*s->question->partitions)),
	};
	s->response.responses = arena_take_array(&r->arena, s->request->topics_count + 1,
						 sizeof(*s->response.responses));
	s->response.responses_count = s->request->topics_count;
	for (size_t i = 0; i < s->request->topics_count; i++)
		begin_topic(r, s, &s->request->topics[i], &s->response.responses[i]);
}

/* With the session goes what the member has in its partitions, after what it says of it. */
static void add_release(struct request *r, struct share_acknowledge *s,
			const struct share_session *session)
{
	const struct peer_share_request *back = share_release_request(&r->arena, session);
	struct peer_share_request_partition *all =
		arena_take_array(&r->arena,
				 s->question->partitions_count + back->partitions_count + 1,
				 sizeof(*all));
	size_t count = s->question->partitions_count;

	if (count)
		memcpy(all, s->question->partitions, count * sizeof(*all));
	if (back->partitions_count)
		memcpy(all + count, back->partitions, back->partitions_count * sizeof(*all));
	s->question->partitions = all;
	s->question->partitions_count += back->partitions_count;
}

/* --- the answer --------------------------------------------------------------------------------
 */

static void take_errors(struct share_acknowledge *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->response.responses_count; i++)
		for (size_t k = 0; k < s->response.responses[i].partitions_count; k++) {
			struct kafka_share_acknowledge_response_partition *it =
				&s->response.responses[i].partitions[k];
			if (!it->error_code)
				it->error_code = s->call.ret.partitions[n++].answer_error;
			if (it->error_code)
				it->error_message = slice_from(kafka_error_name(it->error_code));
		}
}

static enum step answer_error(struct request *r, struct share_acknowledge *s, int16_t code,
			      const char *why)
{
	s->response.error_code = code;
	if (why)
		s->response.error_message = slice_from(why);
	return request_answer(r, &s->response);
}

static enum step acknowledge_answer(struct request *r, struct share_acknowledge *s)
{
	if (s->call.task.err) /* nobody knows whether it was done */
		return request_refuse(r, "ShareAcknowledge got no answer from control: %s",
				      err_name(s->call.task.err));
	take_errors(s);
	s->response.acquisition_lock_timeout_ms = s->call.ret.lock_ms;
	return request_answer(r, &s->response);
}

/* --- the steps ---------------------------------------------------------------------------------
 */

static enum step acknowledge_start(struct request *r, struct share_acknowledge *s)
{
	const struct kafka_share_acknowledge_request *q = request_decode(r);
	struct share_sessions *sessions = &r->agent->shares->sessions;
	struct share_session *session;

	s->request = q;
	schema_defaults(r->api->response, &s->response);
	if (!q)
		return request_refuse(r, "ShareAcknowledge cannot be decoded");
	if (!replica_cell(r->agent->replica))
		return request_refuse(r, "ShareAcknowledge before the catalog is known");
	if (count_partitions(q) > SHARE_CALL_PARTITIONS_MAX ||
	    r->body.size > SHARE_CALL_BODY_BYTES_MAX)
		return request_refuse(r,
				      "ShareAcknowledge about more than %d partitions or %d bytes",
				      SHARE_CALL_PARTITIONS_MAX, SHARE_CALL_BODY_BYTES_MAX);
	if (q->group_id.data && !request_may(r, GRANT_READ, GRANT_GROUP, q->group_id))
		return answer_error(r, s, KAFKA_GROUP_AUTHORIZATION_FAILED, NULL);
	if (q->group_id.size == 0)
		return answer_error(r, s, KAFKA_INVALID_REQUEST,
				    "Invalid group id in the request.");
	if (q->member_id.size == 0 || q->member_id.size > SHARE_MEMBER_ID_BYTES_MAX)
		return answer_error(r, s, KAFKA_INVALID_REQUEST,
				    "Invalid member id in the request.");
	if (q->share_session_epoch == SHARE_EPOCH_OPEN)
		return answer_error(r, s, KAFKA_INVALID_SHARE_SESSION_EPOCH, NULL);
	int16_t code =
		share_session_begin(sessions, q->group_id, q->member_id, q->share_session_epoch,
				    connection_id(r->connection), &session);
	if (code)
		return answer_error(r, s, code, NULL);
	begin(r, s);
	if (q->share_session_epoch == SHARE_EPOCH_END) {
		add_release(r, s, session);
		share_session_take(sessions, session);
		share_session_free(session);
	}
	share_call_start(&s->call, &r->task, r->agent, &r->arena, s->question);
	return task_wait(&r->task, SHARE_ACKNOWLEDGE_SAID);
}

static enum step share_acknowledge_step(struct request *r)
{
	struct share_acknowledge *s = r->state;

	if (r->task.children > 0)
		return task_wait(&r->task, r->task.at);
	switch (r->task.at) {
	case SHARE_ACKNOWLEDGE_START:
		return acknowledge_start(r, s);
	case SHARE_ACKNOWLEDGE_SAID:
		return acknowledge_answer(r, s);
	}
	abort();
}

static void share_acknowledge_release(struct request *r)
{
	struct share_acknowledge *s = r->state;

	share_call_done(&s->call);
}

static const char *const share_acknowledge_places[] = { "start", "said" };
const struct operation share_acknowledge_operation = {
	.api_key = KAFKA_API_SHARE_ACKNOWLEDGE,
	.state_bytes = sizeof(struct share_acknowledge),
	.places = share_acknowledge_places,
	.place_count = 2,
	.step = share_acknowledge_step,
	.release = share_acknowledge_release,
};
