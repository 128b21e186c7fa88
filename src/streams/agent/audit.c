#include "streams/agent/audit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "kafka_messages.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"
#include "streams/agent/file_writer.h"
#include "streams/catalog/catalog.h"
#include "wire/kafka/record_batch_build.h"

enum {
	AUDIT_CREATE_VERSION = 7,
	AUDIT_CREATE_MS = 10000,
	AUDIT_LOOKS = 50,
	AUDIT_LOOK_MS = 100,
	AUDIT_RECORDS_MAX = AUDIT_EVENTS_MAX + AUDIT_ADMIN_MAX + 1, /* the last: what was dropped */
};

enum kind { KIND_DENIED, KIND_STRANGER, KIND_ADMIN };

struct event {
	const char *text; /* JSON without its end: what makes it the same as another */
	int64_t time_ms;
	uint64_t count;
};

struct audit {
	struct task task; /* runs while there is something to write */
	struct agent *agent;
	struct arena arena; /* of the events */
	struct event events[AUDIT_RECORDS_MAX - 1];
	size_t count;
	uint64_t dropped;	/* denials that are in no event and no batch */
	uint64_t strangers_ms;	/* of the loop: until then the records of strangers are used up */
	struct timer tell;	/* of what was dropped, when nothing else is told */
	uint64_t batch_denials; /* in the batch that is being written */
	struct sleep sleep;
	struct control_call call;
	int looks; /* that are left for the topic that was created; 0: it was not */
	struct blob *batch;
	struct file_write write;
	bool is_stopping;
};

static void run(struct audit *a);
static void tell_soon(struct audit *a);

/* --- what happened ----------------------------------------------------------------------------
 */

/* Whatever the bytes are, it stays JSON: those that are no UTF-8 become U+0080 to U+00FF. */
static void add_text(struct buf *out, const char *name, struct slice text)
{
	text = slice_part(text, 0, AUDIT_TEXT_BYTES_MAX);
	buf_add_format(out, ",\"%s\":\"", name);
	for (size_t size; text.size > 0; text = slice_part(text, size, text.size)) {
		uint8_t c = text.data[0];
		size = utf8_size(text);
		if (size == 0 || c == '"' || c == '\\' || c < 0x20 || c == 0x7f)
			buf_add_format(out, "\\u%04x", c);
		else
			buf_add_slice(out, slice_part(text, 0, size));
		if (size == 0)
			size = 1;
	}
	buf_add_text(out, "\"");
}

static void on_tell(struct timer *t)
{
	struct audit *a = CONTAINER(t, struct audit, tell);

	if (audit_is_busy(a))
		tell_soon(a);
	else if (a->dropped && !a->is_stopping)
		run(a);
}

static void tell_soon(struct audit *a)
{
	timer_set(&a->tell, a->agent->loop, loop_now_ms(a->agent->loop) + AUDIT_STRANGER_MS,
		  on_tell);
}

/* Each record uses up its time, of which there is so much. */
static bool has_room_for_stranger(struct audit *a)
{
	uint64_t now_ms = loop_now_ms(a->agent->loop);
	uint64_t from_ms = a->strangers_ms > now_ms ? a->strangers_ms : now_ms;

	if (from_ms + AUDIT_STRANGER_MS > now_ms + AUDIT_STRANGERS_MAX * AUDIT_STRANGER_MS) {
		tell_soon(a);
		return false;
	}
	a->strangers_ms = from_ms + AUDIT_STRANGER_MS;
	return true;
}

static bool has_room(struct audit *a, enum kind kind)
{
	if (kind == KIND_ADMIN)
		return a->count < AUDIT_EVENTS_MAX + AUDIT_ADMIN_MAX;
	return a->count < AUDIT_EVENTS_MAX && (kind != KIND_STRANGER || has_room_for_stranger(a));
}

static void note(struct audit *a, struct buf *text, enum kind kind)
{
	if (a->is_stopping)
		return;
	for (size_t i = 0; i < a->count; i++)
		if (slice_equal(slice_from(a->events[i].text), buf_slice(text))) {
			a->events[i].count++;
			return;
		}
	if (!has_room(a, kind)) {
		a->dropped++;
		return;
	}
	a->events[a->count++] = (struct event) {
		.text = arena_text(&a->arena, buf_slice(text)),
		.time_ms = clock_wall_ms(),
		.count = 1,
	};
	run(a);
}

static void add_caller(struct buf *out, const struct guard_caller *who)
{
	add_text(out, "principal", who->principal.data ? who->principal : GUARD_ANONYMOUS);
	add_text(out, "host", who->host);
}

void audit_denied(struct audit *a, const struct guard_caller *who, const char *api,
		  const struct denial *denial)
{
	struct buf text;

	buf_init(&text);
	buf_add_format(&text, ",\"event\":\"denied\",\"operation\":\"%s\",\"resource\":\"%s\"",
		       grant_operation_name(denial->operation),
		       grant_resource_name(denial->resource));
	add_text(&text, "name", denial->name);
	add_caller(&text, who);
	add_text(&text, "rule", denial->rule);
	add_text(&text, "api", slice_from(api));
	note(a, &text, who->principal.data ? KIND_DENIED : KIND_STRANGER);
	buf_done(&text);
}

void audit_refused_request(struct audit *a, const struct guard_caller *who, const char *api,
			   const char *why)
{
	struct buf text;

	buf_init(&text);
	buf_add_text(&text, ",\"event\":\"not_signed_in\"");
	add_caller(&text, who);
	add_text(&text, "why", slice_from(why));
	add_text(&text, "api", slice_from(api));
	note(a, &text, who->principal.data ? KIND_DENIED : KIND_STRANGER);
	buf_done(&text);
}

void audit_dropped(struct audit *a, uint64_t count)
{
	a->dropped += count;
}

void audit_refused_sign_in(struct audit *a, struct slice host, const char *mechanism)
{
	struct buf text;

	buf_init(&text);
	buf_add_format(&text, ",\"event\":\"sign_in_refused\",\"mechanism\":\"%s\"", mechanism);
	add_text(&text, "host", host);
	note(a, &text, KIND_STRANGER);
	buf_done(&text);
}

void audit_refused_certificate(struct audit *a, struct slice host, const char *why)
{
	struct buf text;

	buf_init(&text);
	buf_add_text(&text, ",\"event\":\"certificate_refused\"");
	add_text(&text, "why", slice_from(why));
	add_text(&text, "host", host);
	note(a, &text, KIND_STRANGER);
	buf_done(&text);
}

void audit_admin(struct audit *a, const struct peer_audit_push *what)
{
	struct buf text;

	buf_init(&text);
	buf_add_text(&text, ",\"event\":\"admin\"");
	add_text(&text, "action", what->action);
	add_text(&text, "name", what->name);
	buf_add_format(&text, ",\"uid\":%lld", (long long)what->uid);
	add_text(&text, "node", what->node);
	note(a, &text, KIND_ADMIN);
	buf_done(&text);
}

/* --- the batch --------------------------------------------------------------------------------
 */

static struct record record_of(struct arena *a, const struct event *e)
{
	char *value = arena_format(a, "{\"time_ms\":%lld,\"count\":%llu%s}", (long long)e->time_ms,
				   (unsigned long long)e->count, e->text);

	return (struct record) { .timestamp_ms = e->time_ms, .value = slice_from(value) };
}

static uint64_t denials_of(const struct audit *a)
{
	uint64_t total = 0;

	for (size_t i = 0; i < a->count; i++)
		total += a->events[i].count;
	return total;
}

static void make_batch(struct audit *a)
{
	struct record *records = arena_take_array(&a->arena, AUDIT_RECORDS_MAX, sizeof(*records));
	size_t count = 0;
	struct buf out;

	for (size_t i = 0; i < a->count; i++)
		records[count++] = record_of(&a->arena, &a->events[i]);
	if (a->dropped)
		records[count++] =
			record_of(&a->arena, &(struct event) { .text = ",\"event\":\"dropped\"",
							       .time_ms = clock_wall_ms(),
							       .count = a->dropped });
	buf_init(&out);
	record_batch_build(&out, &RECORD_BATCH_PLAIN, records, count);
	a->batch = blob_from(buf_slice(&out));
	buf_done(&out);
	a->batch_denials = denials_of(a) + a->dropped;
	a->dropped = 0;
	arena_reset(&a->arena);
	a->count = 0;
}

/* --- the topic --------------------------------------------------------------------------------
 */

static bool find_topic(struct audit *a, struct uuid *ret)
{
	struct cell *cell = replica_cell(a->agent->replica);
	struct catalog_topic topic;
	struct arena arena;

	arena_init(&arena);
	bool is_there = cell && catalog_topic_by_name(&arena, cell, AUDIT_TOPIC, &topic) == OK;
	if (is_there)
		*ret = topic.topic_id;
	arena_done(&arena);
	return is_there;
}

static void create_topic(struct audit *a)
{
	struct kafka_create_topics_request_topic topic = {
		.name = AUDIT_TOPIC,
		.num_partitions = 1,
		.replication_factor = -1,
	};
	struct kafka_create_topics_request request = {
		.topics = &topic,
		.topics_count = 1,
		.timeout_ms = AUDIT_CREATE_MS,
	};
	struct buf body;

	buf_init(&body);
	schema_encode(kafka_api_find(KAFKA_API_CREATE_TOPICS)->request, AUDIT_CREATE_VERSION,
		      &request, &body);
	struct peer_kafka_request message = {
		.api_key = KAFKA_API_CREATE_TOPICS,
		.api_version = AUDIT_CREATE_VERSION,
		.client_id = SLICE("hanse"),
		.client_host = SLICE(""),
		.body = buf_slice(&body),
		.principal = GUARD_AGENT,
	};
	control_call(&a->call, &a->task, a->agent->link, &peer_kafka_request_schema, &message);
	buf_done(&body);
}

/* --- the task ---------------------------------------------------------------------------------
 */

enum { AUDIT_BEGIN, AUDIT_GATHERED, AUDIT_CREATED, AUDIT_LOOKED, AUDIT_WRITTEN };

static enum step rest(struct audit *a, uint64_t pause_ms, int at)
{
	sleep_start(&a->sleep, &a->task, loop_now_ms(a->agent->loop) + pause_ms);
	return task_wait(&a->task, at);
}

/* They are counted, and the next batch says how many. */
static enum step give_up(struct audit *a, const char *why)
{
	uint64_t denials = denials_of(a);

	log_warn("%llu denials are not in the audit topic: %s", (unsigned long long)denials, why);
	a->dropped += denials;
	arena_reset(&a->arena);
	a->count = 0;
	return task_done(&a->task, ERR_UNAVAILABLE);
}

static enum step write_events(struct audit *a, struct uuid topic)
{
	struct record_batch batch;

	make_batch(a);
	struct slice bytes = blob_slice(a->batch);
	if (record_batch_next(&bytes, &batch))
		abort(); /* it is our own */
	file_write(&a->write, &a->task, a->agent->writer, 0, topic, 0, &batch,
		   &(struct file_transaction) { 0 }, a->batch);
	return task_wait(&a->task, AUDIT_WRITTEN);
}

static enum step look(struct audit *a)
{
	struct uuid topic;

	if (find_topic(a, &topic))
		return write_events(a, topic);
	if (a->looks == 0) {
		create_topic(a);
		return task_wait(&a->task, AUDIT_CREATED);
	}
	if (--a->looks == 0)
		return give_up(a, "the topic is not there");
	return rest(a, AUDIT_LOOK_MS, AUDIT_LOOKED);
}

static enum step audit_step(struct task *t)
{
	struct audit *a = CONTAINER(t, struct audit, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (a->is_stopping && t->at != AUDIT_WRITTEN) {
		blob_unref(&a->call.ret_bytes);
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case AUDIT_BEGIN:
		a->looks = 0;
		return rest(a, AUDIT_PAUSE_MS, AUDIT_GATHERED);
	case AUDIT_GATHERED:
	case AUDIT_LOOKED:
		return look(a);
	case AUDIT_CREATED:
		blob_unref(&a->call.ret_bytes);
		if (a->call.task.err)
			return give_up(a, err_name(a->call.task.err));
		a->looks = AUDIT_LOOKS;
		return look(a);
	case AUDIT_WRITTEN:
		blob_unref(&a->batch);
		if (a->write.task.err || a->write.ret_error) {
			a->dropped += a->batch_denials;
			log_warn("%llu denials are not in the audit topic: %s",
				 (unsigned long long)a->batch_denials,
				 a->write.task.err ? err_name(a->write.task.err) : "refused");
		}
		if (a->count == 0 || a->is_stopping)
			return task_done(t, OK);
		a->looks = 0;
		return rest(a, AUDIT_PAUSE_MS, AUDIT_GATHERED);
	}
	abort();
}

static void audit_on_end(struct task *t)
{
	struct audit *a = CONTAINER(t, struct audit, task);

	if (a->agent->stop)
		task_wake(a->agent->stop);
}

static const char *const audit_places[] = { "begin", "gathered", "created", "looked", "written" };
static const struct task_kind audit_kind = {
	.name = "audit",
	.places = audit_places,
	.place_count = 5,
	.step = audit_step,
	.on_end = audit_on_end,
};

static void run(struct audit *a)
{
	if (task_is_running(&a->task))
		return;
	task_start_root(&a->task, &audit_kind, a->agent->loop);
}

struct audit *audit_new(struct agent *agent)
{
	struct audit *a = NEW(struct audit);

	a->agent = agent;
	arena_init(&a->arena);
	return a;
}

void audit_free(struct audit *a)
{
	timer_clear(&a->tell);
	arena_done(&a->arena);
	memory_free(a);
}

bool audit_is_busy(const struct audit *a)
{
	return task_is_running(&a->task);
}

void audit_stop(struct audit *a)
{
	a->is_stopping = true;
	timer_clear(&a->tell);
	if (task_is_running(&a->sleep.task))
		task_cancel(&a->sleep.task);
	else if (task_is_running(&a->call.task))
		task_cancel(&a->call.task);
	else if (audit_is_busy(a))
		task_wake(&a->task);
}
