/* What the tests of the coordinator share: one that leads a journal on a bucket in memory, and
 * Kafka requests given to it as an agent would pass them on. */
#ifndef STREAMS_COORDINATOR_COORDINATOR_TESTING_H
#define STREAMS_COORDINATOR_COORDINATOR_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "buckets/fault.h"
#include "buckets/memory.h"
#include "kafka_messages.h"
#include "loop/timer.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/groups.h"
#include "streams/coordinator/private.h"
#include "wire/kafka/errors.h"

enum { TESTING_PATIENCE_MS = 60000, TESTING_ASKS_MAX = 2000 };

struct town {
	struct loop *loop;
	int number;	       /* in the name of its bucket */
	struct bucket *bucket; /* a fault wrapper */
	struct leader *leader;
	struct coordinator *coordinator;
	bool is_leading, is_decided, has_stopped;
	uint64_t rebalance_delay_ms;
	size_t feed_bytes_max;
	uint64_t silence_ms;
	struct task stopper;
	struct coordinator_stop coordinator_stop;
	struct leader_stop leader_stop;
	struct ask *asks[TESTING_ASKS_MAX];
	size_t ask_count;
	struct slice principal; /* of whoever asks */
	int older_count;	/* times an agent had seen more than the journal has */
};

/* --- waiting -----------------------------------------------------------------------------------
 */

static inline void on_patience(struct timer *t)
{
	loop_stop(t->loop);
}

static inline bool town_wait_ms(struct town *town, const bool *flag, uint64_t patience_ms)
{
	uint64_t end_ms = clock_now_ms() + patience_ms;
	struct timer timer = { 0 };

	while (!*flag && clock_now_ms() < end_ms) {
		timer_set(&timer, town->loop, end_ms, on_patience);
		loop_run(town->loop);
		timer_clear(&timer);
	}
	return *flag;
}

static inline void town_wait(struct town *town, const bool *flag, const char *what)
{
	if (town_wait_ms(town, flag, TESTING_PATIENCE_MS))
		return;
	task_dump(town->loop, stderr);
	fail_msg("%s does not end", what);
}

/* --- requests ----------------------------------------------------------------------------------
 */

struct ask {
	struct task task;
	struct town *town;
	struct kafka_call kafka;
	struct arena arena;
	bool is_done;
	enum err err;
	void *response; /* decoded; NULL when there is none */
};

static inline enum step ask_step(struct task *t)
{
	struct ask *ask = CONTAINER(t, struct ask, task);
	struct kafka_call *kafka = &ask->kafka;

	if (t->at == 0) {
		kafka_call_start(kafka, t);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	ask->is_done = true;
	ask->err = kafka->task.err;
	if (!ask->err) {
		ask->response = arena_take(&ask->arena, kafka->api->response->struct_bytes);
		assert_int_equal(schema_decode_all(&ask->arena, kafka->api->response,
						   kafka->version, buf_slice(&kafka->response),
						   ask->response),
				 OK);
	}
	loop_stop(t->loop);
	return task_done(t, OK);
}

static const struct task_kind ask_kind = { .name = "ask", .step = ask_step };

/* Begin a request; its answer is there when is_done. */
static inline struct ask *ask_begin(struct town *town, int16_t api_key, int16_t version,
				    const void *request)
{
	struct ask *ask = NEW(struct ask);
	const struct kafka_api *api = kafka_api_find(api_key);
	struct buf body;

	assert_true(schema_has_version(api->request, version));
	assert_true(town->ask_count < TESTING_ASKS_MAX);
	town->asks[town->ask_count++] = ask;
	ask->town = town;
	arena_init(&ask->arena);
	buf_init(&body);
	schema_encode(api->request, version, request, &body);
	ask->kafka = (struct kafka_call) {
		.coordinator = town->coordinator,
		.api = api,
		.version = version,
		.client_id = SLICE("client"),
		.client_host = SLICE("/127.0.0.1"),
		.principal = town->principal,
		.body = arena_copy(&ask->arena, buf_slice(&body)),
		.arena = &ask->arena,
	};
	buf_done(&body);
	task_start_root(&ask->task, &ask_kind, town->loop);
	return ask;
}

static inline const void *ask_end(struct ask *ask)
{
	town_wait(ask->town, &ask->is_done, ask->kafka.api->name);
	assert_int_equal(ask->err, OK);
	return ask->response;
}

/* The decoded response. */
static inline const void *ask(struct town *town, int16_t api_key, int16_t version,
			      const void *request)
{
	return ask_end(ask_begin(town, api_key, version, request));
}

/* Is it still unanswered after everything has run? */
static inline bool ask_waits(struct ask *ask)
{
	return !town_wait_ms(ask->town, &ask->is_done, 30);
}

/* --- commands ----------------------------------------------------------------------------------
 */

struct command {
	struct task task;
	struct town *town;
	struct leader_call call;
	enum err (*run)(struct cell *cell, void *argument);
	void *argument;
	bool is_done;
};

static inline enum step command_step(struct task *t)
{
	struct command *m = CONTAINER(t, struct command, task);

	if (t->at == 0) {
		leader_run(&m->call, t, m->town->leader, m->run, m->argument);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	m->is_done = true;
	loop_stop(t->loop);
	return task_done(t, OK);
}

static const struct task_kind command_kind = { .name = "command", .step = command_step };

static inline enum err town_run(struct town *town,
				enum err (*run)(struct cell *cell, void *argument), void *argument)
{
	struct command m = { .town = town, .run = run, .argument = argument };

	task_start_root(&m.task, &command_kind, town->loop);
	town_wait(town, &m.is_done, "a command");
	return m.call.task.err;
}

static inline int64_t town_number(struct town *town, const char *sql)
{
	struct cell *cell = leader_cell(town->leader);
	sqlite3_stmt *st = cell_statement(cell, sql);

	assert_true(cell_next(cell, st));
	int64_t number = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return number;
}

/* --- leading -----------------------------------------------------------------------------------
 */

static inline void town_on_leading(void *context)
{
	struct town *town = context;

	town->is_leading = town->is_decided = true;
	coordinator_on_leading(town->coordinator);
	loop_stop(town->loop);
}

static inline void town_on_lost(void *context, const char *why, const char *holder)
{
	struct town *town = context;

	(void)holder;
	town->is_leading = false;
	town->is_decided = true;
	coordinator_on_lost(town->coordinator, why);
	loop_stop(town->loop);
}

static inline void town_on_committed(void *context, uint64_t index, struct slice record)
{
	struct town *town = context;

	coordinator_on_committed(town->coordinator, index, record);
}

static inline void town_on_older(void *context, const struct leader_position *seen,
				 struct slice node)
{
	struct town *town = context;

	assert_true(seen->index > 0 && node.size > 0);
	town->older_count++;
}

static const struct leader_watcher town_watcher = { town_on_leading, town_on_lost,
						    town_on_committed };

static inline void town_lead(struct town *town)
{
	static uint64_t seed;
	char url[64], why[TASK_WHY_BYTES];
	struct bucket *inner;

	snprintf(url, sizeof(url), "memory:town%d?class=cas", town->number);
	assert_int_equal(bucket_open(url, &inner, why), OK);
	town->bucket = fault_bucket_new(inner, ++seed);
	struct leader_config config = {
		.buckets = &town->bucket,
		.bucket_count = 1,
		.journal = "main",
		.node = "n",
		.address = "127.0.0.1:1",
		.cell_name = "streams",
		.schema = catalog_schema,
		.schema_count = catalog_schema_count,
		.watcher = &town_watcher,
		.context = town,
	};
	town->leader = leader_new(town->loop, &config);
	struct coordinator_config coordinator = {
		.leader = town->leader,
		.default_partitions = 1,
		.rebalance_delay_ms = town->rebalance_delay_ms,
		.feed_bytes_max = town->feed_bytes_max,
		.journal_buckets = &town->bucket,
		.journal_bucket_count = 1,
		.silence_ms = town->silence_ms,
		.on_older = town_on_older,
		.context = town,
	};
	town->coordinator = coordinator_new(town->loop, &coordinator);
	town->is_decided = town->has_stopped = false;
	leader_campaign(town->leader);
	town_wait(town, &town->is_decided, "the campaign");
	assert_true(town->is_leading);
}

static inline enum step town_stop_step(struct task *t)
{
	struct town *town = CONTAINER(t, struct town, stopper);

	if (t->at == 0) {
		coordinator_stop(&town->coordinator_stop, t, town->coordinator);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, t->at);
	if (t->at == 1) {
		leader_stop(&town->leader_stop, t, town->leader);
		return task_wait(t, 2);
	}
	town->has_stopped = true;
	loop_stop(t->loop);
	return task_done(t, OK);
}

static const struct task_kind town_stop_kind = { .name = "stopper", .step = town_stop_step };

/* Stop leading; what is durable stays in the bucket. */
static inline void town_stop(struct town *town)
{
	task_start_root(&town->stopper, &town_stop_kind, town->loop);
	town_wait(town, &town->has_stopped, "stopping");
	for (size_t i = 0; i < town->ask_count; i++) {
		struct ask *ask = town->asks[i];
		town_wait(town, &ask->is_done, ask->kafka.api->name);
		buf_done(&ask->kafka.response);
		arena_done(&ask->arena);
		memory_free(ask);
	}
	town->ask_count = 0;
	coordinator_free(town->coordinator);
	leader_free(town->leader);
	bucket_close(town->bucket);
}

static inline void town_restart(struct town *town)
{
	town_stop(town);
	town_lead(town);
}

/* With settings made in `town`, which is zero otherwise. */
static inline void town_begin(struct town *town, uint64_t seed)
{
	static int number;

	town->number = ++number;
	town->loop = loop_new(seed);
	log_set_level(getenv("HANSE_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	town_lead(town);
}

static inline void town_open(struct town *town, uint64_t seed)
{
	memset(town, 0, sizeof(*town));
	town_begin(town, seed);
}

/* Another node on the same bucket, which takes over. */
static inline void town_open_beside(struct town *town, const struct town *first)
{
	memset(town, 0, sizeof(*town));
	town->number = first->number;
	town->loop = loop_new(0);
	town_lead(town);
}

static inline void town_close_beside(struct town *town)
{
	town_stop(town);
	loop_free(town->loop);
}

static inline void town_close(struct town *town)
{
	char name[32];

	town_stop(town);
	snprintf(name, sizeof(name), "town%d", town->number);
	memory_bucket_forget(name);
	loop_free(town->loop);
}

/* --- what most tests begin with ----------------------------------------------------------------
 */

static inline struct uuid town_topic(struct town *town, const char *name, int32_t partitions)
{
	struct kafka_create_topics_request_topic topic = {
		.name = slice_from(name),
		.num_partitions = partitions,
		.replication_factor = -1,
	};
	const struct kafka_create_topics_response *response =
		ask(town, KAFKA_API_CREATE_TOPICS, 7,
		    &(struct kafka_create_topics_request) { .topics = &topic, .topics_count = 1 });

	assert_int_equal(response->topics_count, 1);
	assert_int_equal(response->topics[0].error_code, KAFKA_NONE);
	return response->topics[0].topic_id;
}

#endif
