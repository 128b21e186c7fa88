#include "streams/agent/control_link.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "loop/timer.h"
#include "peer_messages.h"
#include "wire/peer/frame.h"

struct control_link {
	struct task task; /* connects, and again */
	struct loop *loop;
	struct control_link_config config;
	size_t place; /* of config.places: where it is, or tries next */
	/* Where that one said that another leads: goes before the place. */
	char leader_host[256];
	uint16_t leader_port;	  /* 0: it did not */
	int redirect_count;	  /* in a row */
	uint64_t missed_since_ms; /* while it is not ready */
	uint64_t quiet_until_ms;  /* no log line about refused connections before */
	char node[256], host[256], site[256];
	struct connect connect;
	struct sleep sleep;
	struct stream *stream;	   /* NULL: not connected */
	struct list calls;	   /* struct control_call, sent and not answered */
	struct map by_correlation; /* of them */
	size_t call_count;
	uint32_t next_correlation;
	uint32_t hello_correlation;
	int64_t incarnation;
	uint64_t retry_ms;
	uint64_t heard_ms; /* when the last frame came that is no answer to a ping */
	struct timer tick; /* before it is ready: waits for the hello */
	uint64_t bytes;	   /* of streams that are over, both ways */
	uint64_t usage_ms; /* as the last hello said */
	int silent_ticks;
	bool is_heard;					/* any frame came since the last tick */
	bool has_spoken;				/* any frame left since then */
	enum agent_condition condition, said_condition; /* for the next hello; in the last */
	bool is_ready;
	bool wants_announcements; /* as the last hello said */
	bool is_closing;
};

/* --- out ---------------------------------------------------------------------------------------
 */

static void write_frame(struct control_link *link, const struct schema *schema,
			uint32_t correlation_id, const void *value)
{
	struct buf frame;

	buf_init(&frame);
	enum err err = frame_encode(&frame, schema, 0, correlation_id, value);
	assert(!err); /* what an agent says has limits far below a frame's */
	link->has_spoken = true;
	stream_write_buf(link->stream, &frame);
	buf_done(&frame);
}

static uint32_t next_correlation(struct control_link *link)
{
	if (++link->next_correlation == PEER_CORRELATION_PUSH)
		link->next_correlation = 1;
	return link->next_correlation;
}

static void say_hello(struct control_link *link)
{
	struct peer_hello_request hello = {
		.node = slice_from(link->node),
		.kafka_host = slice_from(link->host),
		.kafka_port = link->config.kafka_port,
		.site = slice_from(link->site),
		.blocks = slice_from(link->config.blocks ? link->config.blocks : ""),
		.incarnation = link->incarnation,
		.condition = (int8_t)link->condition,
		.follows = link->config.identity != NULL,
	};

	link->said_condition = link->condition;
	if (link->config.owner->position) {
		struct control_link_position seen =
			link->config.owner->position(link->config.context);
		hello.seen_index = seen.index;
		hello.seen_hash_high = (int64_t)seen.hash.high;
		hello.seen_hash_low = (int64_t)seen.hash.low;
		hello.cluster_id = seen.cluster_id;
	}
	link->hello_correlation = next_correlation(link);
	write_frame(link, &peer_hello_request_schema, link->hello_correlation, &hello);
}

static uint64_t stream_bytes(const struct stream *s)
{
	if (!s)
		return 0;
	struct stream_traffic traffic = stream_get_traffic(s);
	return traffic.received_bytes + traffic.sent_bytes;
}

static void close_stream(struct control_link *link)
{
	link->bytes += stream_bytes(link->stream);
	if (link->stream)
		stream_close(link->stream);
	link->stream = NULL;
}

/* --- losing the connection ---------------------------------------------------------------------
 */

static struct slice key_of(const uint32_t *correlation_id)
{
	return (struct slice) { (const uint8_t *)correlation_id, sizeof(*correlation_id) };
}

static void end_call(struct control_call *call, enum err err)
{
	list_remove(&call->waiting);
	map_remove(&call->link->by_correlation, key_of(&call->correlation_id));
	call->link->call_count--;
	call->link = NULL;
	call->task.err = err;
	task_wake(&call->task);
}

/* Who was said to lead does not answer: perhaps another place knows better. */
static void try_elsewhere(struct control_link *link)
{
	link->place = (link->place + 1) % link->config.place_count;
	link->leader_port = 0;
}

static void lose(struct control_link *link, enum err err, const char *why)
{
	bool was_ready = link->is_ready;

	close_stream(link);
	link->is_ready = false;
	if (was_ready)
		link->missed_since_ms = loop_now_ms(link->loop);
	if (was_ready && err != ERR_TIMEOUT)
		link->leader_port = 0;
	else
		try_elsewhere(link); /* who was silent will not answer a hello either */
	timer_clear(&link->tick);
	LIST_EACH (&link->calls, struct control_call, waiting, call)
		end_call(call, ERR_UNKNOWN);
	if (was_ready || err != ERR_UNAVAILABLE)
		link->config.owner->on_lost(link->config.context, err, why);
	task_wake(&link->task);
}

/* A person has to do something about it. */
static void warn_now_and_then(struct control_link *link, const char *why)
{
	uint64_t now_ms = loop_now_ms(link->loop);

	if (now_ms < link->quiet_until_ms)
		return;
	link->quiet_until_ms = now_ms + CONTROL_LINK_QUIET_MS;
	log_warn("control cannot be used: %s", why);
}

/* --- silence -----------------------------------------------------------------------------------
 */

static void on_no_hello(struct timer *t)
{
	lose(CONTAINER(t, struct control_link, tick), ERR_UNAVAILABLE, "no answer to the hello");
}

/* The only control there is may take its time: it is about to lead, or is loading. */
static void await_hello(struct control_link *link)
{
	if (link->config.place_count > 1 || link->leader_port)
		timer_set(&link->tick, link->loop, loop_now_ms(link->loop) + CONTROL_LINK_HELLO_MS,
			  on_no_hello);
}

static void on_tick(struct timer *t);

static void set_tick(struct control_link *link)
{
	timer_set(&link->tick, link->loop,
		  loop_now_ms(link->loop) + link->config.silence_ms / CONTROL_LINK_SILENT_TICKS_MAX,
		  on_tick);
}

static void on_tick(struct timer *t)
{
	struct control_link *link = CONTAINER(t, struct control_link, tick);
	struct peer_ping_request ping = { 0 };

	link->silent_ticks = link->is_heard ? 0 : link->silent_ticks + 1;
	link->is_heard = false;
	if (link->silent_ticks > CONTROL_LINK_SILENT_TICKS_MAX) {
		lose(link, ERR_TIMEOUT, "the control process does not answer");
		return;
	}
	if (link->silent_ticks > 0 || !link->has_spoken)
		write_frame(link, &peer_ping_request_schema, next_correlation(link), &ping);
	link->has_spoken = false;
	set_tick(link);
}

/* --- in ----------------------------------------------------------------------------------------
 */

/* It does not lead, another does.  Nothing was lost: this connection was never of use. */
static void follow_leader(struct control_link *link, struct slice address)
{
	char text[300], host[sizeof(link->leader_host)];
	uint16_t port = 0;

	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(address));
	if (!link->config.identity || link->redirect_count >= CONTROL_LINK_REDIRECTS_MAX ||
	    text_host_port(text, host, sizeof(host), &port) || port == 0) {
		link->redirect_count = 0;
		lose(link, ERR_UNAVAILABLE, "it does not lead");
		return;
	}
	link->redirect_count++;
	close_stream(link);
	timer_clear(&link->tick);
	memcpy(link->leader_host, host, sizeof(host));
	link->leader_port = port;
	task_wake(&link->task);
}

static void take_hello(struct control_link *link, struct arena *a, const struct frame *frame)
{
	struct peer_hello_response hello;
	struct peer_follow_request follow = { 0 };
	char why[TASK_WHY_BYTES];

	if (frame_decode_body(a, frame, &peer_hello_response_schema, &hello)) {
		lose(link, ERR_CORRUPT, "control's hello cannot be decoded");
		return;
	}
	if (hello.error && hello.leader.size > 0) {
		follow_leader(link, hello.leader);
		return;
	}
	if (hello.error) {
		snprintf(why, sizeof(why), "control refused the hello: %.*s",
			 SLICE_ARG(hello.message));
		lose(link, peer_error_decode(hello.error), why);
		return;
	}
	link->incarnation = hello.incarnation;
	link->usage_ms = hello.usage_ms > 0 ? (uint64_t)hello.usage_ms : 0;
	link->wants_announcements = hello.wants_announcements;
	link->is_ready = true;
	link->redirect_count = 0;
	link->retry_ms = CONTROL_LINK_RETRY_MS_MIN;
	link->silent_ticks = 0;
	set_tick(link);
	write_frame(link, &peer_follow_request_schema, next_correlation(link), &follow);
	link->config.owner->on_hello(link->config.context,
				     &(struct control_link_hello) {
					     .cluster_id = hello.cluster_id,
					     .node_id = hello.node_id,
					     .incarnation = hello.incarnation,
					     .default_partitions = hello.default_partitions,
					     .condition = link->said_condition,
				     });
}

static enum err take_push(struct control_link *link, struct arena *a, const struct frame *frame)
{
	const struct control_link_owner *owner = link->config.owner;
	struct peer_snapshot_push part;
	struct peer_record_push record;
	struct peer_early_push early;
	struct peer_audit_push audit;
	struct peer_settle_push settle;
	enum err err;

	switch (frame->message) {
	case PEER_SNAPSHOT_PUSH:
		err = frame_decode_body(a, frame, &peer_snapshot_push_schema, &part);
		if (!err)
			owner->on_snapshot(link->config.context, part.index, part.total_bytes,
					   part.offset, part.bytes);
		return err;
	case PEER_RECORD_PUSH:
		err = frame_decode_body(a, frame, &peer_record_push_schema, &record);
		if (!err)
			owner->on_record(link->config.context, record.index, record.bytes);
		return err;
	case PEER_EARLY_PUSH:
		err = frame_decode_body(a, frame, &peer_early_push_schema, &early);
		if (!err && owner->on_early)
			owner->on_early(link->config.context, &early);
		return err;
	case PEER_AUDIT_PUSH:
		err = frame_decode_body(a, frame, &peer_audit_push_schema, &audit);
		if (!err && owner->on_audit)
			owner->on_audit(link->config.context, &audit);
		return err;
	case PEER_SETTLE_PUSH:
		err = frame_decode_body(a, frame, &peer_settle_push_schema, &settle);
		if (!err && owner->on_settle)
			owner->on_settle(link->config.context, &settle);
		return err;
	default:
		return OK; /* a newer control says more than we know */
	}
}

static void take_answer(struct control_link *link, const struct frame *frame)
{
	struct control_call *call = map_get(&link->by_correlation, key_of(&frame->correlation_id));

	if (!call)
		return;
	call->ret_bytes = blob_from(frame->body);
	call->ret_body = blob_slice(call->ret_bytes);
	call->ret_version = frame->version;
	end_call(call, OK);
}

static void take_frame(struct control_link *link, const struct frame *frame)
{
	struct arena a;
	enum err err = OK;

	link->is_heard = true;
	if (frame->message == PEER_PING_RESPONSE)
		return;
	if (frame->message != PEER_KEY_JOB_RESPONSE) /* nor does this need the journal */
		link->heard_ms = loop_now_ms(link->loop);
	arena_init(&a);
	if (frame->correlation_id == PEER_CORRELATION_PUSH)
		err = take_push(link, &a, frame);
	else if (frame->correlation_id == link->hello_correlation)
		take_hello(link, &a, frame);
	else
		take_answer(link, frame);
	arena_done(&a);
	if (err)
		lose(link, ERR_CORRUPT, "control's message cannot be decoded");
}

static void on_readable(void *context, struct stream *s)
{
	struct control_link *link = context;

	while (link->stream == s) {
		struct slice in = stream_inbox(s);
		size_t before = in.size;
		struct frame frame;
		enum err err = frame_decode(&in, &frame);
		if (err == ERR_NOT_FOUND)
			return;
		if (err) {
			lose(link, err, "control's frame does not check out");
			return;
		}
		take_frame(link, &frame);
		if (link->stream == s)
			stream_consume(s, before - in.size);
	}
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct control_link *link = context;

	(void)s;
	if (err == ERR_DENIED)
		warn_now_and_then(link, "it does not know the keys of this agent");
	lose(link, ERR_UNAVAILABLE,
	     err == ERR_CORRUPT ? "what it said was changed on the way"
				: "control closed the connection");
}

static const struct stream_owner stream_owner = { .on_readable = on_readable, .on_end = on_end };

/* --- connecting --------------------------------------------------------------------------------
 */

enum { LINK_CONNECT, LINK_CONNECTED, LINK_UP };

static void connect_next(struct control_link *link)
{
	const struct control_place *place = &link->config.places[link->place];

	if (link->leader_port)
		connect_tls(&link->connect, &link->task, link->leader_host, link->leader_port,
			    link->config.identity);
	else if (place->path)
		connect_unix(&link->connect, &link->task, place->path);
	else
		connect_tls(&link->connect, &link->task, place->host, place->port,
			    link->config.identity);
}

/* Control that has just ended is back soon, or another one leads: no word about that. */
static void note_refusal(struct control_link *link)
{
	const struct task *t = &link->connect.task;
	uint64_t missed_ms = loop_now_ms(link->loop) - link->missed_since_ms;
	char why[TASK_WHY_BYTES + 100];

	if (t->err != ERR_DENIED && t->err != ERR_CORRUPT && missed_ms < CONTROL_LINK_MISSED_MS)
		return;
	snprintf(why, sizeof(why), "%s%s", t->why,
		 link->leader_port ? ", which is said to lead: is its --peer one that leads there "
				     "from here?"
				   : "");
	warn_now_and_then(link, why);
}

static enum step wait_a_while(struct control_link *link)
{
	sleep_start(&link->sleep, &link->task, loop_now_ms(link->loop) + link->retry_ms);
	link->retry_ms += 1 + link->retry_ms / 4; /* both start together: be there early */
	if (link->retry_ms > CONTROL_LINK_RETRY_MS_MAX)
		link->retry_ms = CONTROL_LINK_RETRY_MS_MAX;
	return task_wait(&link->task, LINK_CONNECT);
}

static enum step link_step(struct task *t)
{
	struct control_link *link = CONTAINER(t, struct control_link, task);

	if (task_is_canceled(t)) {
		if (t->at == LINK_CONNECTED && !link->connect.task.err && link->connect.ret)
			stream_close(link->connect.ret); /* it came too late */
		return task_done(t, t->err);
	}
	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case LINK_CONNECT:
		connect_next(link);
		return task_wait(t, LINK_CONNECTED);

	case LINK_CONNECTED:
		if (link->connect.task.err) {
			note_refusal(link);
			try_elsewhere(link);
			return wait_a_while(link);
		}
		link->stream = link->connect.ret;
		stream_set_inbox_limit(link->stream, PEER_FRAME_BYTES_MAX + PEER_FRAME_EXTRA_BYTES);
		stream_set_owner(link->stream, &stream_owner, link);
		say_hello(link);
		await_hello(link);
		return task_wait(t, LINK_UP);

	case LINK_UP:
		if (link->stream)
			return task_wait(t, LINK_UP);
		if (!link->leader_port)
			return wait_a_while(link);
		connect_next(link); /* where it was sent */
		return task_wait(t, LINK_CONNECTED);
	}
	abort();
}

static void link_on_end(struct task *t)
{
	struct control_link *link = CONTAINER(t, struct control_link, task);

	assert(link->call_count == 0);
	map_done(&link->by_correlation);
	memory_free(link);
}

static const char *const link_places[] = { "connect", "connected", "up" };
static const struct task_kind link_kind = {
	.name = "control_link",
	.places = link_places,
	.place_count = 3,
	.step = link_step,
	.on_end = link_on_end,
};

struct control_link *control_link_new(struct loop *loop, const struct control_link_config *config)
{
	struct control_link *link = NEW(struct control_link);

	assert(config->place_count > 0 && config->place_count <= CONTROL_LINK_PLACES_MAX);
	link->loop = loop;
	link->config = *config;
	snprintf(link->node, sizeof(link->node), "%s", config->node);
	snprintf(link->host, sizeof(link->host), "%s", config->kafka_host);
	snprintf(link->site, sizeof(link->site), "%s", config->site);
	link->retry_ms = CONTROL_LINK_RETRY_MS_MIN;
	link->missed_since_ms = loop_now_ms(loop);
	link->condition = AGENT_OPENS;
	if (!link->config.silence_ms)
		link->config.silence_ms = CONTROL_LINK_SILENCE_MS;
	list_init(&link->calls);
	map_init(&link->by_correlation);
	task_start_root(&link->task, &link_kind, loop);
	return link;
}

void control_link_set_incarnation(struct control_link *link, int64_t incarnation)
{
	link->incarnation = incarnation;
}

void control_link_set_condition(struct control_link *link, enum agent_condition condition)
{
	link->condition = condition;
}

bool control_link_is_ready(const struct control_link *link)
{
	return link->is_ready;
}

bool control_link_wants_announcements(const struct control_link *link)
{
	return link->is_ready && link->wants_announcements;
}

uint64_t control_link_usage_ms(const struct control_link *link)
{
	return link->usage_ms;
}

uint64_t control_link_bytes(const struct control_link *link)
{
	return link->bytes + stream_bytes(link->stream);
}

bool control_link_was_heard(const struct control_link *link, uint64_t within_ms)
{
	return link->is_ready && loop_now_ms(link->loop) - link->heard_ms <= within_ms;
}

void control_link_restart(struct control_link *link, enum err err, const char *why)
{
	lose(link, err, why);
}

void control_link_free(struct control_link *link)
{
	link->is_closing = true;
	close_stream(link);
	link->is_ready = false;
	timer_clear(&link->tick);
	LIST_EACH (&link->calls, struct control_call, waiting, call)
		end_call(call, ERR_CANCELED);
	task_cancel(&link->task);
}

/* --- calls -------------------------------------------------------------------------------------
 */

enum { CALL_SENT, CALL_ANSWERED };

static enum step call_step(struct task *t)
{
	struct control_call *call = CONTAINER(t, struct control_call, task);

	if (task_is_canceled(t)) {
		if (call->link)
			end_call(call, t->err);
		blob_unref(&call->ret_bytes);
		return task_done(t, t->err);
	}
	if (call->link)
		return task_wait(t, CALL_ANSWERED);
	return task_done(t, t->err);
}

static const char *const call_places[] = { "sent", "answered" };
static const struct task_kind call_kind = {
	.name = "control_call",
	.places = call_places,
	.place_count = 2,
	.step = call_step,
};

void control_call(struct control_call *call, struct task *parent, struct control_link *link,
		  const struct schema *schema, const void *value)
{
	*call = (struct control_call) { 0 };
	task_start(&call->task, &call_kind, parent);
	if (!link->is_ready || link->call_count >= CONTROL_LINK_CALLS_MAX) {
		call->task.err = ERR_UNAVAILABLE;
		return;
	}
	call->link = link;
	call->correlation_id = next_correlation(link);
	list_add(&link->calls, &call->waiting);
	map_put(&link->by_correlation, key_of(&call->correlation_id), call);
	link->call_count++;
	write_frame(link, schema, call->correlation_id, value);
}
