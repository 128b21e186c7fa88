/* A whole agent in a test: control, a bucket that can fail, and clients that speak Kafka over TCP,
 * all on one loop.  More agents may join it. */
#ifndef STREAMS_TESTING_WORLD_H
#define STREAMS_TESTING_WORLD_H

#include "base/clock.h"
#include "base/endian.h"
#include "base/log.h"
#include "buckets/fault.h"
#include "kafka_messages.h"
#include "streams/agent/agent.h"
#include "streams/testing_control.h"
#include "wire/kafka/api.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/record_batch_build.h"

enum { TESTING_PATIENCE_MS = 60000 };

struct testing_world {
	struct loop *loop;
	struct testing_control control;
	struct bucket *bucket; /* of faults, around one in memory */
	bool has_own_bucket;   /* of one that joined: closed with its agent */
	struct agent *agent;
	struct timer tick;
	char path[64];
	struct control_place places[3];
	size_t place_count;		       /* 0: of control alone */
	struct tls_identity *identity, *mates; /* for control; for agents of the site */
	uint16_t port;			       /* of Kafka */
	uint16_t advertise_port;
	uint16_t blocks_port; /* 0: any */
	const char *site;
	uint64_t control_silence_ms;
	int closed_count; /* times Kafka was closed */
	bool is_serving;
	struct task stop;
	struct agent_stop stopping;
};

/* --- waiting --------------------------------------------------------------------------------- */

static inline void testing_on_tick(struct timer *t)
{
	loop_stop(t->loop);
}

/* A bit of the loop's time. */
static inline void testing_turn(struct testing_world *w)
{
	timer_set(&w->tick, w->loop, loop_now_ms(w->loop) + 1, testing_on_tick);
	loop_run(w->loop);
}

static inline void testing_run_ms(struct testing_world *w, uint64_t ms)
{
	uint64_t until_ms = clock_now_ms() + ms;

	while (clock_now_ms() < until_ms)
		testing_turn(w);
}

#define WAIT_FOR(w, condition)                                                                     \
	do {                                                                                       \
		uint64_t until_ms_ = clock_now_ms() + TESTING_PATIENCE_MS;                         \
		while (!(condition)) {                                                             \
			if (clock_now_ms() > until_ms_) {                                          \
				task_dump((w)->loop, stderr);                                      \
				fail_msg("never came true: %s", #condition);                       \
			}                                                                          \
			testing_turn(w);                                                           \
		}                                                                                  \
	} while (0)

/* --- life ------------------------------------------------------------------------------------ */

static inline void testing_on_serving(void *context, bool is_serving, const char *why)
{
	struct testing_world *w = context;

	(void)why;
	w->is_serving = is_serving;
	w->closed_count += !is_serving;
	if (is_serving)
		w->port = listener_port(w->agent->listener);
}

static inline void testing_on_fatal(void *context, enum err err, const char *why)
{
	(void)context;
	fail_msg("the agent cannot go on: %s (%s)", why, err_name(err));
}

static inline void testing_begin_agent(struct testing_world *w)
{
	if (w->place_count == 0)
		w->places[w->place_count++] = (struct control_place) { .path = w->path };
	w->agent = agent_new(w->loop, &(struct agent_config) {
					      .kafka_host = "127.0.0.1",
					      .kafka_port = 0,
					      .advertise_host = "127.0.0.1",
					      .advertise_port = w->advertise_port,
					      .site = w->site,
					      .controls = w->places,
					      .control_count = w->place_count,
					      .identity = w->identity,
					      .site_identity = w->mates,
					      .blocks_host = w->mates ? "127.0.0.1" : NULL,
					      .blocks_advertise = "127.0.0.1",
					      .blocks_port = w->blocks_port,
					      .control_silence_ms = w->control_silence_ms,
					      .bucket = w->bucket,
					      .default_partitions = 3,
					      .on_serving = testing_on_serving,
					      .on_fatal = testing_on_fatal,
					      .context = w,
				      });
}

static inline void testing_open_agent(struct testing_world *w)
{
	testing_begin_agent(w);
	WAIT_FOR(w, w->is_serving);
}

/* Another agent in the same world, to be closed with testing_close_agent(). */
static inline void testing_join_world(struct testing_world *other, const struct testing_world *w,
				      uint16_t advertise_port, const char *site)
{
	*other = (struct testing_world) {
		.loop = w->loop,
		.bucket = w->bucket,
		.mates = w->mates,
		.advertise_port = advertise_port,
		.site = site,
	};
	memcpy(other->path, w->path, sizeof(other->path));
	testing_open_agent(other);
}

/* The same with a bucket that fails alone. */
static inline void testing_join_world_apart(struct testing_world *other,
					    const struct testing_world *w, uint16_t advertise_port,
					    const char *site)
{
	char why[TASK_WHY_BYTES] = "";
	struct bucket *memory;

	*other = (struct testing_world) {
		.loop = w->loop,
		.has_own_bucket = true,
		.advertise_port = advertise_port,
		.site = site,
	};
	assert_int_equal(bucket_open("memory:", &memory, why), OK);
	other->bucket = fault_bucket_new(memory, 1);
	memcpy(other->path, w->path, sizeof(other->path));
	testing_open_agent(other);
}

static inline void testing_world_open(struct testing_world *w, uint64_t seed)
{
	char why[TASK_WHY_BYTES] = "";
	struct bucket *memory;

	log_set_level(getenv("HANSE_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	*w = (struct testing_world) { .advertise_port = 9092, .site = "here" };
	w->loop = loop_new(seed);
	snprintf(w->path, sizeof(w->path), "/tmp/hanse-test-%d.sock", (int)getpid());
	unlink(w->path);
	assert_int_equal(bucket_open("memory:", &memory, why), OK);
	w->bucket = fault_bucket_new(memory, seed + 1);
	testing_control_open(&w->control, w->loop, w->path);
	testing_create_topic(&w->control, "alpha", 0xa1, 3);
	testing_create_topic(&w->control, "beta", 0xb2, 1);
	testing_open_agent(w);
}

static inline enum step testing_stop_step(struct task *t)
{
	struct testing_world *w = CONTAINER(t, struct testing_world, stop);

	if (t->at == 0) {
		agent_stop(&w->stopping, t, w->agent);
		return task_wait(t, 1);
	}
	return task_done(t, w->stopping.task.err);
}

/* Begin to stop; testing_close_agent() waits for it. */
static inline void testing_stop_agent(struct testing_world *w)
{
	static const struct task_kind kind = { .name = "test", .step = testing_stop_step };

	task_start_root(&w->stop, &kind, w->loop);
}

static inline void testing_close_agent(struct testing_world *w)
{
	if (!task_is_running(&w->stop))
		testing_stop_agent(w);
	WAIT_FOR(w, !task_is_running(&w->stop));
	agent_free(w->agent);
	if (w->has_own_bucket)
		bucket_close(w->bucket);
	w->agent = NULL;
	w->is_serving = false;
}

static inline void testing_world_close(struct testing_world *w)
{
	testing_close_agent(w);
	testing_control_close(&w->control);
	timer_clear(&w->tick);
	loop_run(w->loop);
	bucket_close(w->bucket);
	loop_free(w->loop);
	unlink(w->path);
}

/* --- clients --------------------------------------------------------------------------------- */

struct testing_client {
	struct testing_world *world;
	struct slice client_id;
	struct task task;
	struct connect connect;
	struct stream *stream;
	struct buf in;
	struct arena arena;	/* what answers point into */
	int32_t correlation_id; /* of the last request */
	int32_t answered_id;	/* of the last answer taken */
	bool is_ended;
};

static inline enum step testing_connect_step(struct task *t)
{
	struct testing_client *c = CONTAINER(t, struct testing_client, task);

	if (t->at == 0) {
		connect_tcp(&c->connect, t, "127.0.0.1", c->world->port);
		return task_wait(t, 1);
	}
	return task_done(t, c->connect.task.err);
}

static inline void testing_client_readable(void *context, struct stream *s)
{
	struct testing_client *c = context;
	struct slice in = stream_inbox(s);

	buf_add_slice(&c->in, in);
	stream_consume(s, in.size);
}

static inline void testing_client_end(void *context, struct stream *s, enum err err)
{
	struct testing_client *c = context;

	(void)err;
	stream_close(s);
	c->stream = NULL;
	c->is_ended = true;
}

static inline void testing_client_open(struct testing_client *c, struct testing_world *w)
{
	static const struct task_kind kind = { .name = "client", .step = testing_connect_step };
	static const struct stream_owner owner = {
		.on_readable = testing_client_readable,
		.on_end = testing_client_end,
	};

	*c = (struct testing_client) { .world = w, .client_id = SLICE("test") };
	buf_init(&c->in);
	arena_init(&c->arena);
	task_start_root(&c->task, &kind, w->loop);
	WAIT_FOR(w, !task_is_running(&c->task));
	assert_int_equal(c->connect.task.err, OK);
	c->stream = c->connect.ret;
	stream_set_owner(c->stream, &owner, c);
}

static inline void testing_client_close(struct testing_client *c)
{
	if (c->stream)
		stream_close(c->stream);
	buf_done(&c->in);
	arena_done(&c->arena);
}

/* A new agent, which has nothing in memory, and the client of it. */
static inline void testing_restart_agent(struct testing_world *w, struct testing_client *c)
{
	testing_client_close(c);
	testing_close_agent(w);
	testing_open_agent(w);
	testing_client_open(c, w);
}

/* How often the bucket was asked for a part of an object. */
static inline uint64_t testing_get_count(struct testing_world *w)
{
	return fault_op_count(w->bucket, FAULT_VERB(BUCKET_GET));
}

/* Send without waiting; answers come in order. */
static inline void testing_send(struct testing_client *c, int16_t key, int16_t version,
				const void *request)
{
	const struct kafka_api *api = kafka_api_find(key);
	struct kafka_request_header header = {
		.api_key = key,
		.api_version = version,
		.correlation_id = ++c->correlation_id,
		.client_id = c->client_id,
	};
	struct buf out;

	buf_init(&out);
	buf_add_u32(&out, 0);
	kafka_request_header_encode(&header, &out);
	schema_encode(api->request, version, request, &out);
	put_u32(out.data, (uint32_t)out.size - 4);
	if (c->stream)
		stream_write(c->stream, buf_slice(&out));
	buf_done(&out);
}

static inline bool testing_has_answer(const struct testing_client *c)
{
	return c->in.size >= 4 && c->in.size - 4 >= get_u32(c->in.data);
}

/* The next answer, which has to be one of `key`; lives as long as the client. */
static inline void *testing_receive(struct testing_client *c, int16_t key, int16_t version)
{
	const struct kafka_api *api = kafka_api_find(key);

	WAIT_FOR(c->world, testing_has_answer(c) || c->is_ended);
	assert_true(testing_has_answer(c));
	size_t size = get_u32(c->in.data);
	struct slice body = arena_copy(&c->arena, (struct slice) { c->in.data + 4, size });
	buf_drop_front(&c->in, 4 + size);
	assert_int_equal(get_u32(body.data), ++c->answered_id);
	body = slice_part(body, 4, size);
	if (version >= api->flexible_first && key != KAFKA_API_API_VERSIONS)
		assert_int_equal(schema_tags_skip(&body), OK);
	void *response = arena_take(&c->arena, api->response->struct_bytes);
	assert_int_equal(schema_decode_all(&c->arena, api->response, version, body, response), OK);
	return response;
}

static inline void *testing_call(struct testing_client *c, int16_t key, int16_t version,
				 const void *request)
{
	testing_send(c, key, version, request);
	return testing_receive(c, key, version);
}

/* --- batches --------------------------------------------------------------------------------- */

enum { TESTING_TIME_MS = 1700000000 };

/* `count` records whose values are `text` and a number, `size` bytes each; times rise from
 * TESTING_TIME_MS + `first` on. */
static inline struct slice testing_batch_of(struct arena *a, const struct record_batch_plan *plan,
					    const char *text, int first, size_t count, size_t size)
{
	struct record *records = arena_take_array(a, count, sizeof(*records));
	struct buf out;

	for (size_t i = 0; i < count; i++) {
		uint8_t *value = arena_take(a, size + 64);
		int length = snprintf((char *)value, size + 64, "%s-%d", text, first + (int)i);
		records[i].value.data = value;
		records[i].value.size = size > (size_t)length ? size : (size_t)length;
		records[i].timestamp_ms = TESTING_TIME_MS + first + (int64_t)i;
	}
	buf_init(&out);
	record_batch_build(&out, plan, records, count);
	struct slice batch = arena_copy(a, buf_slice(&out));
	buf_done(&out);
	return batch;
}

static inline struct slice testing_batch(struct arena *a, const char *text, int first, size_t count)
{
	return testing_batch_of(a, &RECORD_BATCH_PLAIN, text, first, count, 0);
}

#define TESTING_PRODUCE_VERSION 9
#define TESTING_FETCH_VERSION 12

static inline void testing_send_produce_version(struct testing_client *c, int16_t version,
						const char *topic, struct uuid topic_id,
						int32_t partition, struct slice records,
						int16_t acks)
{
	struct kafka_produce_request_partition asked = { .index = partition, .records = records };
	struct kafka_produce_request_topic asked_topic = {
		.name = slice_from(topic),
		.topic_id = topic_id,
		.partition_data = &asked,
		.partition_data_count = 1,
	};
	struct kafka_produce_request request = {
		.acks = acks,
		.timeout_ms = 15000,
		.topic_data = &asked_topic,
		.topic_data_count = 1,
	};

	testing_send(c, KAFKA_API_PRODUCE, version, &request);
}

static inline void testing_send_produce(struct testing_client *c, const char *topic,
					int32_t partition, struct slice records, int16_t acks)
{
	testing_send_produce_version(c, TESTING_PRODUCE_VERSION, topic, (struct uuid) { 0 },
				     partition, records, acks);
}

static inline struct kafka_produce_response_partition *testing_receive_produce_version(
	struct testing_client *c, int16_t version)
{
	struct kafka_produce_response *response = testing_receive(c, KAFKA_API_PRODUCE, version);

	assert_int_equal(response->responses_count, 1);
	assert_int_equal(response->responses[0].partition_responses_count, 1);
	return &response->responses[0].partition_responses[0];
}

static inline struct kafka_produce_response_partition *testing_receive_produce(
	struct testing_client *c)
{
	return testing_receive_produce_version(c, TESTING_PRODUCE_VERSION);
}

/* Produce one batch and expect it to get this offset. */
static inline void testing_produce(struct testing_client *c, const char *topic, int32_t partition,
				   struct slice records, int64_t base_offset)
{
	testing_send_produce(c, topic, partition, records, -1);
	struct kafka_produce_response_partition *answer = testing_receive_produce(c);
	assert_int_equal(answer->error_code, KAFKA_NONE);
	assert_int_equal(answer->base_offset, base_offset);
}

struct testing_fetch {
	const char *topic, *rack;
	int32_t partition;
	int64_t offset;
	int32_t max_wait_ms, min_bytes, max_bytes, partition_max_bytes;
	int32_t current_leader_epoch;
};

static inline void testing_send_fetch(struct testing_client *c, struct testing_fetch f)
{
	struct kafka_fetch_request_partition asked = {
		.partition = f.partition,
		.current_leader_epoch = f.current_leader_epoch,
		.fetch_offset = f.offset,
		.last_fetched_epoch = -1,
		.log_start_offset = -1,
		.partition_max_bytes = f.partition_max_bytes ? f.partition_max_bytes : 1 << 20,
	};
	struct kafka_fetch_request_topic asked_topic = {
		.topic = slice_from(f.topic),
		.partitions = &asked,
		.partitions_count = 1,
	};
	struct kafka_fetch_request request;

	schema_defaults(kafka_api_find(KAFKA_API_FETCH)->request, &request);
	request.max_wait_ms = f.max_wait_ms;
	request.min_bytes = f.min_bytes;
	request.max_bytes = f.max_bytes ? f.max_bytes : 50 << 20;
	request.session_epoch = -1;
	request.topics = &asked_topic;
	request.topics_count = 1;
	request.rack_id = slice_from(f.rack ? f.rack : "");
	testing_send(c, KAFKA_API_FETCH, TESTING_FETCH_VERSION, &request);
}

static inline struct kafka_fetch_response_partition *testing_receive_fetch(struct testing_client *c)
{
	struct kafka_fetch_response *response =
		testing_receive(c, KAFKA_API_FETCH, TESTING_FETCH_VERSION);

	assert_int_equal(response->error_code, KAFKA_NONE);
	assert_int_equal(response->responses_count, 1);
	assert_int_equal(response->responses[0].partitions_count, 1);
	return &response->responses[0].partitions[0];
}

static inline struct kafka_fetch_response_partition *testing_fetch(struct testing_client *c,
								   struct testing_fetch f)
{
	testing_send_fetch(c, f);
	return testing_receive_fetch(c);
}

/* The fetched batch is the produced one, but for its offset and epoch. */
static inline void testing_same_batch(struct slice *fetched, struct slice produced,
				      int64_t base_offset)
{
	struct record_batch batch;

	assert_int_equal(record_batch_next(fetched, &batch), OK);
	assert_int_equal(batch.base_offset, base_offset);
	assert_int_equal(batch.leader_epoch, 0);
	assert_int_equal(batch.bytes.size, produced.size);
	assert_memory_equal(batch.bytes.data + 16, produced.data + 16, produced.size - 16);
	assert_true(record_batch_crc_matches(&batch));
}

#endif
