/* What the tests of sessions share: an agent as far as control can see it, over a socket pair. */
#ifndef STREAMS_COORDINATOR_VISITOR_TESTING_H
#define STREAMS_COORDINATOR_VISITOR_TESTING_H

#include <sys/socket.h>
#include <unistd.h>

#include "cells/follower.h"
#include "peer_messages.h"
#include "streams/coordinator/coordinator_testing.h"
#include "wire/peer/frame.h"
#include "wire/streams/data_file.h"

enum { ANSWERS_MAX = 100 };

/* An agent as far as control can see. */
struct visitor {
	struct town *town;
	struct stream *stream; /* NULL: control closed it */
	bool has_ended, has_news;
	struct arena arena;
	struct frame answers[ANSWERS_MAX]; /* bodies in the arena */
	size_t answer_count;
	struct buf image;
	struct cell *replica;
	struct buf *records; /* if it is not NULL: what follow() brought, u32 size, bytes */
	int64_t index;	     /* of the replica */
	uint32_t next_correlation;
	int64_t incarnation;
};

/* --- what control says -------------------------------------------------------------------------
 */

static inline void take_snapshot(struct visitor *v, const struct frame *frame)
{
	struct peer_snapshot_push push;
	char why[CELL_WHY_BYTES];

	assert_int_equal(frame_decode_body(&v->arena, frame, &peer_snapshot_push_schema, &push),
			 OK);
	assert_int_equal(push.offset, v->image.size);
	buf_add_slice(&v->image, push.bytes);
	if ((int64_t)v->image.size < push.total_bytes)
		return;
	v->replica = cell_new("streams");
	assert_int_equal(follower_image_load(v->replica, buf_slice(&v->image), why), OK);
	v->index = push.index;
}

static inline void take_record(struct visitor *v, const struct frame *frame)
{
	struct peer_record_push push;
	char why[CELL_WHY_BYTES];

	assert_int_equal(frame_decode_body(&v->arena, frame, &peer_record_push_schema, &push), OK);
	assert_non_null(v->replica);
	assert_int_equal(push.index, v->index + 1);
	if (v->records) {
		buf_add_u32(v->records, (uint32_t)push.bytes.size);
		buf_add_slice(v->records, push.bytes);
	}
	assert_int_equal(cell_apply(v->replica, push.bytes, why), OK);
	v->index = push.index;
}

static inline void on_visitor_readable(void *context, struct stream *stream)
{
	struct visitor *v = context;
	struct frame frame;

	for (;;) {
		struct slice in = stream_inbox(stream);
		size_t before = in.size;
		enum err err = frame_decode(&in, &frame);
		if (err == ERR_NOT_FOUND)
			break;
		assert_int_equal(err, OK);
		if (frame.message == PEER_SNAPSHOT_PUSH) {
			take_snapshot(v, &frame);
		} else if (frame.message == PEER_RECORD_PUSH) {
			take_record(v, &frame);
		} else {
			assert_in_range(v->answer_count, 0, ANSWERS_MAX - 1);
			frame.body = arena_copy(&v->arena, frame.body);
			v->answers[v->answer_count++] = frame;
		}
		stream_consume(stream, before - in.size);
	}
	v->has_news = true;
	loop_stop(v->town->loop);
}

static inline void on_visitor_end(void *context, struct stream *stream, enum err err)
{
	struct visitor *v = context;

	(void)err;
	stream_close(stream);
	v->stream = NULL;
	v->has_ended = v->has_news = true;
	loop_stop(v->town->loop);
}

static const struct stream_owner visitor_owner = { .on_readable = on_visitor_readable,
						   .on_end = on_visitor_end };

/* --- what the visitor says ---------------------------------------------------------------------
 */

static inline void visitor_open(struct visitor *v, struct town *town)
{
	int fds[2];

	*v = (struct visitor) { .town = town };
	arena_init(&v->arena);
	buf_init(&v->image);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	v->stream = stream_open_fd(town->loop, fds[0], "control");
	stream_set_owner(v->stream, &visitor_owner, v);
	stream_set_inbox_limit(v->stream, PEER_FRAME_BYTES_MAX + PEER_FRAME_EXTRA_BYTES);
	coordinator_accept(town->coordinator, stream_open_fd(town->loop, fds[1], "agent"));
}

/* What it leaves behind is for town_stop(). */
static inline void visitor_close(struct visitor *v)
{
	if (v->stream)
		stream_close(v->stream);
	cell_free(v->replica);
	buf_done(&v->image);
	arena_done(&v->arena);
}

static inline uint32_t say(struct visitor *v, const struct schema *schema, const void *value)
{
	uint32_t correlation_id = ++v->next_correlation;
	struct buf frame;

	buf_init(&frame);
	assert_int_equal(frame_encode(&frame, schema, 0, correlation_id, value), OK);
	stream_write_buf(v->stream, &frame);
	buf_done(&frame);
	return correlation_id;
}

static inline const struct frame *find_answer(const struct visitor *v, uint32_t correlation_id)
{
	for (size_t i = 0; i < v->answer_count; i++)
		if (v->answers[i].correlation_id == correlation_id)
			return &v->answers[i];
	return NULL;
}

/* The decoded answer; NULL: the connection ended. */
static inline void *hear(struct visitor *v, uint32_t correlation_id, const struct schema *schema)
{
	void *value = arena_take(&v->arena, schema->struct_bytes);
	const struct frame *frame;

	while (!(frame = find_answer(v, correlation_id)) && !v->has_ended) {
		v->has_news = false;
		town_wait(v->town, &v->has_news, schema->name);
	}
	if (!frame)
		return NULL;
	assert_int_equal(frame_decode_body(&v->arena, frame, schema, value), OK);
	return value;
}

static inline const struct peer_hello_response *say_hello(struct visitor *v, const char *node,
							  int64_t incarnation)
{
	uint32_t id = say(v, &peer_hello_request_schema,
			  &(struct peer_hello_request) { .node = slice_from(node),
							 .kafka_host = SLICE("127.0.0.1"),
							 .kafka_port = 9092,
							 .site = SLICE("here"),
							 .incarnation = incarnation });
	const struct peer_hello_response *response = hear(v, id, &peer_hello_response_schema);

	assert_non_null(response);
	v->incarnation = response->incarnation;
	return response;
}

static inline const struct peer_condition_response *say_condition(struct visitor *v,
								  enum agent_condition condition)
{
	uint32_t id = say(v, &peer_condition_request_schema,
			  &(struct peer_condition_request) { .condition = (int8_t)condition });
	const struct peer_condition_response *response =
		hear(v, id, &peer_condition_response_schema);

	assert_non_null(response);
	return response;
}

/* After everything that was committed so far. */
static inline int64_t say_sync(struct visitor *v)
{
	uint32_t id = say(v, &peer_sync_request_schema, &(struct peer_sync_request) { 0 });
	const struct peer_sync_response *response = hear(v, id, &peer_sync_response_schema);

	assert_non_null(response);
	assert_int_equal(response->error, OK);
	return response->index;
}

static inline uint32_t ask_commit(struct visitor *v, struct uuid topic, int64_t sequence)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	struct peer_commit_file_request_batch batch = {
		.size = 100,
		.record_count = 5,
		.last_offset_delta = 4,
		.producer_id = -1,
		.producer_epoch = -1,
		.base_sequence = -1,
	};
	struct peer_commit_file_request_run run = {
		.topic_id = topic, .file_offset = 64, .batches = &batch, .batches_count = 1
	};

	data_file_key(key, (uint64_t)v->incarnation, (uint64_t)sequence);
	return say(v, &peer_commit_file_request_schema,
		   &(struct peer_commit_file_request) { .incarnation = v->incarnation,
							.sequence = sequence,
							.key = slice_from(key),
							.size = 200,
							.runs = &run,
							.runs_count = 1 });
}

static inline const struct peer_commit_file_response *say_commit(struct visitor *v,
								 struct uuid topic,
								 int64_t sequence)
{
	return hear(v, ask_commit(v, topic, sequence), &peer_commit_file_response_schema);
}

static inline uint32_t say_kafka(struct visitor *v, int16_t api_key, int16_t version,
				 const void *request)
{
	const struct kafka_api *api = kafka_api_find(api_key);
	struct buf body;

	buf_init(&body);
	schema_encode(api->request, version, request, &body);
	uint32_t id = say(v, &peer_kafka_request_schema,
			  &(struct peer_kafka_request) { .api_key = api_key,
							 .api_version = version,
							 .client_id = SLICE("client"),
							 .client_host = SLICE("/127.0.0.1"),
							 .body = buf_slice(&body) });
	buf_done(&body);
	return id;
}

static inline void follow(struct visitor *v)
{
	(void)say(v, &peer_follow_request_schema, &(struct peer_follow_request) { 0 });
	while (!v->replica) {
		v->has_news = false;
		town_wait(v->town, &v->has_news, "the snapshot");
	}
}

static inline void wait_for_index(struct visitor *v, int64_t index)
{
	while (v->index < index) {
		v->has_news = false;
		town_wait(v->town, &v->has_news, "a record");
	}
}

#endif
