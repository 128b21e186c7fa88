#include "streams/agent/connection.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/memory.h"
#include "kafka_messages.h"
#include "streams/agent/agent_numbers.h"
#include "streams/agent/audit.h"
#include "streams/agent/operations.h"
#include "streams/agent/share_release.h"
#include "streams/agent/shielded.h"
#include "streams/agent/throttle.h"

enum {
	FRAME_LENGTH_BYTES = 4,
	API_KEY_BYTES = 2, /* behind it */
	REASON_BYTES = 200,
	FULL_QUIET_MS = 5000,  /* between log lines about refused connections */
	PART_BYTES_MIN = 4096, /* fewer are copied rather than sent from their own place */
};

struct connection {
	struct task task;
	struct agent *agent;
	struct stream *stream; /* NULL once it ended */
	struct list link;      /* in the agent */
	struct list requests;  /* in order of arrival, until their answer has left */
	size_t request_count;
	size_t buffered_bytes;
	struct room_wait wait; /* for room to read a large request */
	size_t arriving_bytes; /* room it has for one */
	uint64_t arriving_since_ms;
	size_t unsent_bytes; /* of answers, until all have left; they count in agent->answers */
	uint64_t unsent_since_ms;
	uint64_t id;
	int64_t incarnation; /* of the agent, when it came */
	bool is_draining;
	bool is_ending; /* refused, or the peer is gone: answers are dropped */
	struct sign_in sign_in;
	struct timer sign_in_timer;
	uint64_t muted_until_ms; /* its client uses more than its quota: nothing is read before */
	struct timer mute_timer;
	bool is_unwanted; /* its address makes too many: nothing is read, then it is closed */
	char host[GUARD_HOST_BYTES];
};

static enum step request_step(struct task *t);
static void request_on_cancel(struct task *t);

static const char *const request_places[] = { "step 0", "step 1", "step 2", "step 3",
					      "step 4", "step 5", "step 6", "step 7" };
static const struct task_kind request_kind = {
	.name = "request",
	.places = request_places,
	.place_count = 8,
	.step = request_step,
	.on_cancel = request_on_cancel,
};

/* --- requests ----------------------------------------------------------------------------------
 */

/* Timers and watches of the operation wake its task: they go as soon as that has ended. */
static void release_state(struct request *r)
{
	if (r->operation && r->operation->release && r->state)
		r->operation->release(r);
	r->state = NULL;
}

static void free_request(struct request *r)
{
	struct connection *c = r->connection;

	release_state(r);
	list_remove(&r->link);
	c->request_count--;
	c->buffered_bytes -= r->bytes->size;
	room_give_back(&c->agent->requests, r->bytes->size);
	room_give_back(&c->agent->answers, r->answer_bytes);
	blob_unref(&r->bytes);
	buf_done(&r->response);
	for (size_t i = 0; i < r->part_count; i++)
		blob_unref(&r->parts[i].blob);
	arena_done(&r->arena);
	memory_free(r);
}

static enum step request_step(struct task *t)
{
	struct request *r = CONTAINER(t, struct request, task);

	if (task_is_canceled(t)) {
		r->is_over = true;
		buf_clear(&r->response);
		release_state(r);
		return task_done(t, t->err);
	}
	if (!r->has_begun) { /* now the next one may */
		r->has_begun = true;
		task_wake(&r->connection->task);
	}
	r->step_began_us = clock_now_us();
	enum step step = r->operation->step(r);
	r->busy_us += clock_now_us() - r->step_began_us;
	return step;
}

static void request_on_cancel(struct task *t)
{
	struct request *r = CONTAINER(t, struct request, task);

	if (r->operation->on_cancel)
		r->operation->on_cancel(r);
	else if (t->children == 0)
		task_wake(t);
}

int32_t request_throttle(struct request *r)
{
	if (r->is_counted)
		return (int32_t)r->throttle_ms;
	r->is_counted = true;
	r->busy_us += clock_now_us() - r->step_began_us;
	r->step_began_us = clock_now_us();
	r->throttle_ms = throttle_request(r);
	return (int32_t)r->throttle_ms;
}

/* Once the body is there. */
static void finish_body(struct request *r, size_t body_position)
{
	struct slice body = slice_part(buf_slice(&r->response), body_position, r->response.size);

	throttle_tell(r, r->response.data + body_position, body.size, r->throttle_ms);
	agent_numbers_answer(r, body);
}

static size_t begin_response(struct request *r)
{
	(void)request_throttle(r);
	buf_add_u32(&r->response, 0);
	kafka_response_header_encode(r->api, r->header.api_version, r->header.correlation_id,
				     &r->response);
	return r->response.size;
}

static enum step end_response(struct request *r)
{
	size_t size = r->response.size - FRAME_LENGTH_BYTES;

	for (size_t i = 0; i < r->part_count; i++)
		size += r->parts[i].blob->size;
	assert(size <= INT32_MAX);
	put_u32(r->response.data, (uint32_t)size);
	r->is_over = true;
	return task_done(&r->task, OK);
}

enum step request_answer(struct request *r, const void *response)
{
	size_t position = begin_response(r);
	schema_encode(r->api->response, r->header.api_version, response, &r->response);
	finish_body(r, position);
	return end_response(r);
}

enum step request_answer_blobs(struct request *r, const void *response, struct blob *const *blobs,
			       size_t blob_count)
{
	struct schema_gap *gaps = arena_take_array(&r->arena, blob_count, sizeof(*gaps));
	size_t next = 0;

	size_t position = begin_response(r);
	size_t gap_count = schema_encode_around(r->api->response, r->header.api_version, response,
						PART_BYTES_MIN, gaps, blob_count, &r->response);
	finish_body(r, position);
	r->parts = arena_take_array(&r->arena, gap_count, sizeof(*r->parts));
	for (; r->part_count < gap_count; r->part_count++) {
		const struct schema_gap *gap = &gaps[r->part_count];

		while (!blobs[next] || blobs[next]->data != gap->bytes.data) {
			next++;
			assert(next < blob_count);
		}
		assert(blobs[next]->size == gap->bytes.size);
		r->parts[r->part_count] =
			(struct request_part) { gap->position, blob_ref(blobs[next]) };
	}
	return end_response(r);
}

enum step request_answer_encoded(struct request *r, struct slice body)
{
	size_t position = begin_response(r);
	uint64_t told_ms = throttle_told(r, body);
	buf_add_slice(&r->response, body);
	if (told_ms > r->throttle_ms)
		r->throttle_ms = told_ms;
	finish_body(r, position);
	return end_response(r);
}

enum step request_answer_raw(struct request *r, struct slice bytes)
{
	buf_add_u32(&r->response, 0);
	buf_add_slice(&r->response, bytes);
	return end_response(r);
}

enum step request_drop(struct request *r, bool closes)
{
	agent_numbers_answer(r, (struct slice) { 0 });
	r->is_over = true;
	r->closes = closes;
	return task_done(&r->task, OK);
}

enum step request_refuse(struct request *r, const char *format, ...)
{
	char reason[REASON_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	log_warn("closing connection of %s: %s", r->connection->host, reason);
	return request_drop(r, true);
}

void *request_decode(struct request *r)
{
	void *decoded = arena_take(&r->arena, r->api->request->struct_bytes);

	if (kafka_request_decode(&r->arena, r->api, r->header.api_version, r->body, decoded))
		return NULL;
	return decoded;
}

void request_acknowledge(const struct request *r)
{
	if (r->connection->stream)
		stream_acknowledge(r->connection->stream);
}

const char *request_client_host(const struct request *r)
{
	return r->connection->host;
}

struct sign_in *connection_sign_in(struct connection *c)
{
	return &c->sign_in;
}

bool connection_is_private(const struct connection *c)
{
	return (c->stream && stream_is_secure(c->stream)) || address_is_shielded(c->host);
}

uint64_t connection_id(const struct connection *c)
{
	return c->id;
}

bool connection_is_current(const struct connection *c)
{
	return c->stream && c->incarnation == c->agent->incarnation &&
	       !stream_peer_has_closed(c->stream);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void refuse(struct connection *c, const char *why, int64_t detail)
{
	log_warn("closing connection of %s: %s (%lld)", c->host, why, (long long)detail);
	c->is_ending = true;
	task_wake(&c->task);
}

/* An unknown API, or a version that is not served.  ApiVersions has an answer for that; for the
 * rest the protocol knows none. */
static bool find_operation(struct connection *c, struct request *r)
{
	r->operation = operation_find(r->header.api_key);
	r->api = kafka_api_find(r->header.api_key);
	if (!r->operation || !r->api) {
		refuse(c, "unknown API key", r->header.api_key);
		return false;
	}
	if (r->header.api_key == OPERATION_API_VERSIONS)
		return true;
	if (r->header.api_version < r->api->version_first ||
	    r->header.api_version > r->api->version_last) {
		refuse(c, "version of the API is not served", r->header.api_version);
		return false;
	}
	return true;
}

static bool is_admitted(struct connection *c, const struct request *r)
{
	struct guard_caller caller;
	const char *why;

	if (sign_in_admits(c->agent, &c->sign_in, r->header.api_key, &why))
		return true;
	caller = request_caller(r);
	audit_refused_request(c->agent->audit, &caller, r->api->name, why);
	refuse(c, why, r->header.api_key);
	return false;
}

/* What was for a request that has arrived, or will not. */
static void give_up_room(struct connection *c)
{
	room_leave(&c->agent->requests, &c->wait);
	if (c->arriving_bytes)
		room_give_back(&c->agent->requests, c->arriving_bytes);
	c->arriving_bytes = 0;
}

/* Room for a request of this length; false while there is none. */
static bool take_room(struct connection *c, size_t length)
{
	struct agent *agent = c->agent;

	if (c->arriving_bytes)
		return true;
	c->arriving_bytes = room_take(&agent->requests, &c->wait, &c->task, length, length);
	c->arriving_since_ms = loop_now_ms(agent->loop);
	if (!c->arriving_bytes)
		agent_watch_slow(agent);
	return c->arriving_bytes > 0;
}

static void start_request(struct connection *c, struct blob *bytes)
{
	struct request *r = NEW(struct request);

	r->agent = c->agent;
	r->connection = c;
	r->bytes = bytes;
	r->arrived_ms = loop_now_ms(c->agent->loop);
	r->arrived_us = clock_now_us();
	c->agent->numbers->received_bytes += bytes->size + FRAME_LENGTH_BYTES;
	arena_init(&r->arena);
	buf_init(&r->response);
	list_add(&c->requests, &r->link);
	c->request_count++;
	c->buffered_bytes += bytes->size;
	room_add(&c->agent->requests, bytes->size);
	give_up_room(c);

	r->body = blob_slice(bytes);
	if (c->sign_in.is_raw) {
		r->operation = &sasl_raw_operation;
		r->state = arena_take(&r->arena, r->operation->state_bytes + 1);
		task_start(&r->task, &request_kind, &c->task);
		return;
	}
	enum err err = kafka_request_header_decode(&r->body, &r->header);
	if (err) {
		refuse(c, "request header cannot be read", (int64_t)bytes->size);
		free_request(r);
		return;
	}
	if (!find_operation(c, r) || !is_admitted(c, r)) {
		free_request(r);
		return;
	}
	r->state = arena_take(&r->arena, r->operation->state_bytes + 1);
	task_start(&r->task, &request_kind, &c->task);
}

/* May another request start now? */
static bool has_room(const struct connection *c)
{
	if (c->is_ending || c->is_draining || !c->stream)
		return false;
	if (loop_now_ms(c->agent->loop) < c->muted_until_ms)
		return false;
	if (stream_pending_bytes(c->stream) >= CONNECTION_BUFFERED_BYTES_MAX)
		return false; /* the client does not take its answers */
	if (c->unsent_bytes > 0 && c->agent->answers.used >= c->agent->answers.max)
		return false; /* nobody does */
	if (c->request_count == 0)
		return true;

	struct request *last = CONTAINER(c->requests.prev, struct request, link);
	return last->operation->may_overlap && last->has_begun &&
	       c->request_count < CONNECTION_REQUESTS_MAX &&
	       c->buffered_bytes < CONNECTION_BUFFERED_BYTES_MAX &&
	       c->agent->requests.used < c->agent->requests.max;
}

/* Only batches are large. */
static bool has_api_key(struct slice inbox)
{
	return inbox.size >= FRAME_LENGTH_BYTES + API_KEY_BYTES;
}

static size_t length_max(const struct connection *c, struct slice inbox)
{
	if (sign_in_is_needed(c->agent, &c->sign_in))
		return SIGN_IN_REQUEST_BYTES_MAX;
	if (has_api_key(inbox) && get_u16(inbox.data + FRAME_LENGTH_BYTES) == KAFKA_API_PRODUCE)
		return AGENT_REQUEST_BYTES_MAX;
	return AGENT_QUESTION_BYTES_MAX;
}

/* Take one frame off the inbox; false when it is not whole yet. */
static bool take_frame(struct connection *c)
{
	struct slice inbox = stream_inbox(c->stream);

	if (inbox.size < FRAME_LENGTH_BYTES)
		return false;
	uint32_t length = get_u32(inbox.data);
	if (length > AGENT_QUESTION_BYTES_MAX && length <= AGENT_REQUEST_BYTES_MAX &&
	    !has_api_key(inbox))
		return false;
	if (length > length_max(c, inbox)) {
		refuse(c, "the request is too large", length);
		return false;
	}
	if (inbox.size - FRAME_LENGTH_BYTES < length) {
		size_t whole = FRAME_LENGTH_BYTES + (size_t)length;
		if (whole > STREAM_INBOX_BYTES_DEFAULT && take_room(c, length))
			stream_set_inbox_limit(c->stream, whole);
		return false;
	}
	stream_consume(c->stream, FRAME_LENGTH_BYTES);
	struct blob *bytes = stream_take(c->stream, length);
	stream_set_inbox_limit(c->stream, STREAM_INBOX_BYTES_DEFAULT);
	start_request(c, bytes);
	return true;
}

static void read_frames(struct connection *c)
{
	while (has_room(c) && take_frame(c))
		;
	if (!c->stream || c->is_ending)
		return;
	if (has_room(c) && !list_is_linked(&c->wait.link))
		stream_resume(c->stream);
	else
		stream_pause(c->stream);
}

/* --- answering ---------------------------------------------------------------------------------
 */

static size_t response_bytes(const struct request *r)
{
	size_t size = r->response.size;

	for (size_t i = 0; i < r->part_count; i++)
		size += r->parts[i].blob->size;
	return size;
}

/* A part of a blob keeps all of it, so nothing is given back before all is sent. */
static void count_unsent(struct connection *c, size_t bytes)
{
	if (c->unsent_bytes == 0)
		c->unsent_since_ms = loop_now_ms(c->agent->loop);
	c->unsent_bytes += bytes;
	room_add(&c->agent->answers, bytes);
}

static void forget_sent(struct connection *c)
{
	if (c->unsent_bytes == 0 || (c->stream && stream_pending_bytes(c->stream) > 0))
		return;
	room_give_back(&c->agent->answers, c->unsent_bytes);
	c->unsent_bytes = 0;
}

static void send_response(struct stream *s, struct request *r)
{
	size_t sent = 0;

	for (size_t i = 0; i < r->part_count; i++) {
		struct request_part *part = &r->parts[i];

		stream_write(s, slice_part(buf_slice(&r->response), sent, part->position - sent));
		stream_write_blob(s, blob_ref(part->blob));
		sent = part->position;
	}
	if (sent == 0)
		stream_write_buf(s, &r->response);
	else
		stream_write(s, slice_part(buf_slice(&r->response), sent, r->response.size));
}

/* Answers leave in the order of the requests. */
static void on_mute_over(struct timer *t)
{
	struct connection *c = CONTAINER(t, struct connection, mute_timer);

	c->is_ending |= c->is_unwanted;
	task_wake(&c->task);
}

static void mute(struct connection *c, uint64_t throttle_ms)
{
	uint64_t until_ms = loop_now_ms(c->agent->loop) + throttle_ms;

	if (until_ms <= c->muted_until_ms)
		return;
	c->muted_until_ms = until_ms;
	timer_set(&c->mute_timer, c->agent->loop, until_ms, on_mute_over);
}

static void send_answers(struct connection *c)
{
	while (!list_is_empty(&c->requests)) {
		struct request *r = CONTAINER(c->requests.next, struct request, link);
		if (!r->is_over || task_is_running(&r->task))
			return;
		if (r->response.size && c->stream && !c->is_ending) {
			count_unsent(c, response_bytes(r));
			c->agent->numbers->sent_bytes += response_bytes(r);
			send_response(c->stream, r);
		}
		if (r->closes)
			c->is_ending = true;
		if (r->throttle_ms > 0)
			mute(c, r->throttle_ms);
		free_request(r);
	}
}

/* What is left in a stream that lingers is counted nowhere, so it must not be much; only when all
 * are stopping there are no others. */
static void close_stream(struct connection *c)
{
	bool is_stopping = c->agent->is_stopping;

	if (!c->stream)
		return;
	if (!is_stopping && stream_pending_bytes(c->stream) > CONNECTION_LAST_BYTES_MAX)
		stream_close(c->stream);
	else
		stream_close_gracefully(c->stream,
					is_stopping ? CONNECTION_STOP_MS : CONNECTION_CLOSE_MS);
	c->stream = NULL;
}

static void cancel_requests(struct connection *c)
{
	LIST_EACH (&c->requests, struct request, link, r)
		if (task_is_running(&r->task))
			task_cancel(&r->task);
}

enum { CONNECTION_OPEN, CONNECTION_ENDING };

static enum step connection_step(struct task *t)
{
	struct connection *c = CONTAINER(t, struct connection, task);

	forget_sent(c);
	send_answers(c);
	if (task_is_canceled(t))
		c->is_ending = true;
	if (c->is_draining && c->request_count == 0)
		c->is_ending = true;
	if (!c->is_ending) {
		read_frames(c);
		if (!c->is_ending)
			return task_wait(t, CONNECTION_OPEN);
	}
	close_stream(c);
	forget_sent(c);
	give_up_room(c);
	cancel_requests(c);
	if (t->children > 0)
		return task_wait(t, CONNECTION_ENDING);
	send_answers(c);
	assert(c->request_count == 0);
	return task_done(t, OK);
}

static void connection_on_end(struct task *t)
{
	struct connection *c = CONTAINER(t, struct connection, task);
	struct agent *agent = c->agent;

	list_remove(&c->link);
	agent->connection_count--;
	share_release_connection(agent->shares, c->id);
	timer_clear(&c->sign_in_timer);
	timer_clear(&c->mute_timer);
	sign_in_done(&c->sign_in);
	memory_free(c);
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const connection_places[] = { "open", "ending" };
static const struct task_kind connection_kind = {
	.name = "connection",
	.places = connection_places,
	.place_count = 2,
	.step = connection_step,
	.on_end = connection_on_end,
};

static void on_readable(void *context, struct stream *s)
{
	struct connection *c = context;

	(void)s;
	task_wake(&c->task);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct connection *c = context;

	(void)err;
	stream_close(s);
	c->stream = NULL;
	c->is_ending = true;
	task_wake(&c->task);
}

static const struct stream_owner stream_owner = {
	.on_readable = on_readable,
	.on_drained = on_readable,
	.on_end = on_end,
};

void connection_host(const char *peer, char ret[GUARD_HOST_BYTES])
{
	struct slice name = slice_from(peer);
	const char *colon = strrchr(peer, ':');

	if (colon)
		name.size = (size_t)(colon - peer);
	if (name.size > 1 && name.data[0] == '[')
		name = slice_part(name, 1, name.size - 2);
	if (slice_starts_with(name, SLICE("::ffff:")) && memchr(name.data, '.', name.size))
		name = slice_part(name, 7, name.size);
	if (name.size >= GUARD_HOST_BYTES)
		name.size = GUARD_HOST_BYTES - 1;
	memcpy(ret, name.data, name.size);
	ret[name.size] = '\0';
}

static void tell_full(struct agent *agent, const struct stream *s)
{
	uint64_t now_ms = loop_now_ms(agent->loop);

	if (now_ms < agent->full_quiet_until_ms)
		return;
	agent->full_quiet_until_ms = now_ms + FULL_QUIET_MS;
	log_warn("refusing connection of %s and maybe others: there are %zu already",
		 stream_peer_name(s), agent->connection_count);
}

/* Whoever shows a certificate has signed in with it. */
static void take_subject(struct connection *c)
{
	char *name = c->sign_in.principal;

	memcpy(name, "User:", 5);
	if (stream_peer_subject(c->stream, name + 5, sizeof(c->sign_in.principal) - 5))
		name[0] = '\0';
}

static void on_sign_in_late(struct timer *t)
{
	struct connection *c = CONTAINER(t, struct connection, sign_in_timer);

	if (sign_in_is_needed(c->agent, &c->sign_in))
		refuse(c, "it did not sign in in time", SIGN_IN_MS);
}

void connection_open(struct agent *agent, struct stream *s)
{
	agent->numbers->connections++;
	if (agent->connection_count >= agent->connection_count_max) {
		agent->numbers->refused++;
		tell_full(agent, s);
		stream_close(s);
		return;
	}
	struct connection *c = NEW(struct connection);
	c->agent = agent;
	c->stream = s;
	c->id = ++agent->next_connection_id;
	c->incarnation = agent->incarnation;
	list_init(&c->requests);
	list_add(&agent->connections, &c->link);
	agent->connection_count++;
	connection_host(stream_peer_name(s), c->host);
	sign_in_init(&c->sign_in);
	take_subject(c);
	timer_set(&c->sign_in_timer, agent->loop, loop_now_ms(agent->loop) + SIGN_IN_MS,
		  on_sign_in_late);
	stream_set_owner(s, &stream_owner, c);
	task_start_root(&c->task, &connection_kind, agent->loop);
	uint64_t wait_ms = throttle_connection(agent, slice_from(c->host));
	c->is_unwanted = wait_ms > 0;
	if (c->is_unwanted)
		mute(c, wait_ms);
	if (agent->config.kafka_identity && !connection_is_private(c))
		refuse(c, "from elsewhere only TLS is served", 0);
}

struct connection *connection_from_link(struct list *link)
{
	return CONTAINER(link, struct connection, link);
}

void connection_hurry(struct connection *c)
{
	LIST_EACH (&c->requests, struct request, link, r)
		if (task_is_running(&r->task) && r->operation->on_stop)
			r->operation->on_stop(r);
}

void connection_check(struct connection *c)
{
	if (!c->is_ending && !sign_in_still_holds(c->agent, &c->sign_in))
		refuse(c, "its user is gone, or it has to sign in now", (int64_t)c->id);
}

void connection_drain(struct connection *c)
{
	c->is_draining = true;
	connection_hurry(c);
	task_wake(&c->task);
}

void connection_end_if_slow(struct connection *c)
{
	uint64_t now_ms = loop_now_ms(c->agent->loop), slow_ms = c->agent->slow_ms;

	if (c->is_ending)
		return;
	if (c->arriving_bytes && now_ms - c->arriving_since_ms >= slow_ms)
		refuse(c, "others wait for the room of its request, which does not arrive",
		       (int64_t)c->arriving_bytes);
	else if (c->unsent_bytes && now_ms - c->unsent_since_ms >= slow_ms)
		refuse(c, "others wait for the room of its answers, which it does not take",
		       (int64_t)c->unsent_bytes);
}

void connection_abort(struct connection *c)
{
	c->is_ending = true;
	task_wake(&c->task);
}
