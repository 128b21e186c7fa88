#include "streams/agent/site_door.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "peer_messages.h"
#include "streams/agent/agent.h"
#include "streams/agent/block_cache.h"
#include "wire/peer/frame.h"
#include "wire/streams/data_file.h"

struct site_door {
	struct agent *agent;
	struct site_numbers *numbers;
	struct listener *listener; /* NULL: not open, or stopped */
	char place[SITE_HOST_BYTES + 16];
	struct timer retry;
	uint64_t retry_until_ms;
	struct list visitors; /* who came first is the first */
	size_t visitor_count;
	struct list reads; /* struct door_read */
};

/* Another agent. */
struct visitor {
	struct site_door *door;
	struct stream *stream;
	struct list link;
	size_t read_count;
};

/* One block that is read for somebody. */
struct door_read {
	struct task task;
	struct list link;
	struct site_door *door;
	struct visitor *visitor; /* NULL: it has gone */
	struct site_block block;
	uint32_t correlation_id;
	struct block_read read;
	struct timer sign;
};

/* --- answers -----------------------------------------------------------------------------------
 */

static void answer(struct visitor *v, uint32_t correlation_id,
		   const struct peer_block_response *response)
{
	struct buf frame;

	buf_init(&frame);
	enum err err =
		frame_encode(&frame, &peer_block_response_schema, 0, correlation_id, response);
	assert(!err); /* a block is far below a frame's limit */
	stream_write_buf(v->stream, &frame);
	buf_done(&frame);
}

static void refuse(struct visitor *v, uint32_t correlation_id, enum err err)
{
	struct site_numbers *n = v->door->numbers;

	n->gave_busy += err == ERR_BUSY;
	n->gave_none += err != ERR_BUSY;
	answer(v, correlation_id, &(struct peer_block_response) { .error = (int16_t)err });
}

/* Have they room for one more block? */
static bool has_room(const struct visitor *v)
{
	size_t pending = 0;

	LIST_EACH (&v->door->visitors, struct visitor, link, one)
		pending += stream_pending_bytes(one->stream);
	return stream_pending_bytes(v->stream) < SITE_PENDING_BYTES_MAX &&
	       pending < SITE_DOOR_PENDING_BYTES_MAX;
}

static void give(struct visitor *v, uint32_t correlation_id, const struct blob *block,
		 uint64_t *count)
{
	if (!has_room(v)) {
		refuse(v, correlation_id, ERR_BUSY);
		return;
	}
	++*count;
	answer(v, correlation_id, &(struct peer_block_response) { .bytes = blob_slice(block) });
}

/* --- reading for others ------------------------------------------------------------------------
 */

static void on_sign(struct timer *t);

/* It lives, and works at it. */
static void give_sign(struct door_read *r)
{
	answer(r->visitor, r->correlation_id, &(struct peer_block_response) { .is_reading = true });
	timer_set(&r->sign, r->task.loop, loop_now_ms(r->task.loop) + SITE_SIGN_MS, on_sign);
}

static void on_sign(struct timer *t)
{
	give_sign(CONTAINER(t, struct door_read, sign));
}

enum { DOOR_READ, DOOR_GIVE };

static enum step door_read_step(struct task *t)
{
	struct door_read *r = CONTAINER(t, struct door_read, task);
	int64_t position = r->block.number * BLOCK_CACHE_BLOCK_BYTES;

	if (t->children > 0)
		return task_wait(t, DOOR_GIVE);
	if (task_is_canceled(t)) {
		if (t->at == DOOR_GIVE)
			block_range_done(&r->read.ret);
		return task_done(t, t->err);
	}
	if (t->at == DOOR_READ) {
		block_read_here(&r->read, t, r->door->agent->cache, r->block.incarnation,
				r->block.sequence, position, 1);
		return task_wait(t, DOOR_GIVE);
	}
	timer_clear(&r->sign);
	enum err err = r->read.task.err;
	if (r->visitor && err) {
		refuse(r->visitor, r->correlation_id, err == ERR_BUSY ? err : ERR_NOT_FOUND);
	} else if (r->visitor) {
		give(r->visitor, r->correlation_id, r->read.ret.blocks[0],
		     &r->door->numbers->gave_bucket);
	}
	if (!err)
		block_range_done(&r->read.ret);
	return task_done(t, OK);
}

static void door_read_on_end(struct task *t)
{
	struct door_read *r = CONTAINER(t, struct door_read, task);
	struct agent *agent = r->door->agent;

	timer_clear(&r->sign);
	if (r->visitor)
		r->visitor->read_count--;
	list_remove(&r->link);
	memory_free(r);
	if (agent->stop)
		task_wake(agent->stop);
}

static const char *const door_read_places[] = { "read", "give" };
static const struct task_kind door_read_kind = {
	.name = "door_read",
	.places = door_read_places,
	.place_count = 2,
	.step = door_read_step,
	.on_end = door_read_on_end,
};

static void start_read(struct visitor *v, const struct site_block *block, uint32_t correlation_id)
{
	struct door_read *r = NEW(struct door_read);

	r->door = v->door;
	r->visitor = v;
	r->block = *block;
	r->correlation_id = correlation_id;
	v->read_count++;
	list_add(&v->door->reads, &r->link);
	task_start_root(&r->task, &door_read_kind, v->door->agent->loop);
	task_set_deadline(&r->task, loop_now_ms(r->task.loop) + SITE_ANSWER_MS); /* as who asks */
	give_sign(r);
}

/* --- questions ---------------------------------------------------------------------------------
 */

/* It is not waited for what it asked. */
static void close_visitor(struct visitor *v)
{
	LIST_EACH (&v->door->reads, struct door_read, link, r) {
		if (r->visitor != v)
			continue;
		r->visitor = NULL;
		timer_clear(&r->sign);
		task_cancel(&r->task);
	}
	stream_close(v->stream);
	list_remove(&v->link);
	v->door->visitor_count--;
	memory_free(v);
}

static bool block_is_sound(const struct site_block *block)
{
	return block->incarnation > 0 && block->sequence >= 0 && block->number >= 0 &&
	       block->number < DATA_FILE_BYTES_MAX / BLOCK_CACHE_BLOCK_BYTES;
}

static void serve(struct visitor *v, const struct site_block *block, bool reads,
		  uint32_t correlation_id)
{
	struct blob *bytes;

	if (!has_room(v)) {
		refuse(v, correlation_id, ERR_BUSY);
		return;
	}
	bytes = block_cache_find(v->door->agent->cache, block->incarnation, block->sequence,
				 block->number);
	if (bytes) {
		give(v, correlation_id, bytes, &v->door->numbers->gave_memory);
		blob_unref(&bytes);
	} else if (!reads) {
		refuse(v, correlation_id, ERR_NOT_FOUND);
	} else if (v->read_count >= SITE_READS_MAX) {
		refuse(v, correlation_id, ERR_BUSY);
	} else {
		start_read(v, block, correlation_id);
	}
}

/* ERR_NOT_FOUND: it has not all arrived. */
static enum err take_question(struct visitor *v, struct slice *in)
{
	struct peer_block_request request;
	struct frame frame;
	struct arena a;
	enum err err = frame_decode(in, &frame);

	if (err)
		return err == ERR_NOT_FOUND && in->size >= SITE_QUESTION_BYTES_MAX ? ERR_TOO_BIG
										   : err;
	arena_init(&a);
	err = frame_decode_body(&a, &frame, &peer_block_request_schema, &request);
	arena_done(&a);
	if (err)
		return err == ERR_NOT_FOUND ? ERR_INVALID : err;
	struct site_block block = { request.incarnation, request.sequence, request.number };
	if (!block_is_sound(&block))
		return ERR_INVALID;
	if (request.to == v->door->agent->incarnation)
		serve(v, &block, request.reads, frame.correlation_id);
	else
		refuse(v, frame.correlation_id, ERR_DENIED); /* another agent is meant */
	return OK;
}

static void on_readable(void *context, struct stream *s)
{
	struct visitor *v = context;
	enum err err;

	do {
		struct slice in = stream_inbox(s);
		size_t before = in.size;
		err = take_question(v, &in);
		if (!err)
			stream_consume(s, before - in.size);
	} while (!err);
	if (err != ERR_NOT_FOUND) {
		log_warn("%s asks for blocks in a way that makes no sense: %s", stream_peer_name(s),
			 err_name(err));
		close_visitor(v);
	}
}

static void on_end(void *context, struct stream *s, enum err err)
{
	(void)s;
	(void)err;
	close_visitor(context);
}

static const struct stream_owner stream_owner = { .on_readable = on_readable, .on_end = on_end };

static void on_accept(void *context, struct stream *s)
{
	struct site_door *door = context;
	struct visitor *v;

	if (door->visitor_count >= SITE_VISITORS_MAX)
		close_visitor(CONTAINER(door->visitors.next, struct visitor, link));
	v = NEW(struct visitor);
	v->door = door;
	v->stream = s;
	list_add(&door->visitors, &v->link);
	door->visitor_count++;
	stream_set_inbox_limit(s, SITE_QUESTION_BYTES_MAX);
	stream_set_patience(s, SITE_PATIENCE_MS, 0);
	stream_set_owner(s, &stream_owner, v);
}

/* --- life --------------------------------------------------------------------------------------
 */

static void on_retry(struct timer *t);

static void write_place(struct site_door *door)
{
	const char *host = door->agent->config.blocks_advertise;

	snprintf(door->place, sizeof(door->place), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
		 listener_port(door->listener));
}

static void listen_for_agents(struct site_door *door)
{
	struct loop *loop = door->agent->loop;
	const struct agent_config *c = &door->agent->config;
	char why[TASK_WHY_BYTES];

	enum err err = listener_open_tls(loop, c->blocks_host, c->blocks_port, c->site_identity,
					 on_accept, door, &door->listener, why);
	if (!err) {
		write_place(door);
		return;
	}
	uint64_t next_ms = loop_now_ms(loop) + SITE_DOOR_RETRY_MS;
	if (err == ERR_BUSY && next_ms < door->retry_until_ms)
		timer_set(&door->retry, loop, next_ms, on_retry);
	else
		log_warn("other agents of this site get no blocks here: %s", why);
}

static void on_retry(struct timer *t)
{
	listen_for_agents(CONTAINER(t, struct site_door, retry));
}

struct site_door *site_door_open(struct agent *agent, struct site_numbers *numbers)
{
	struct site_door *door = NEW(struct site_door);

	door->agent = agent;
	door->numbers = numbers;
	list_init(&door->visitors);
	list_init(&door->reads);
	door->retry_until_ms = loop_now_ms(agent->loop) + SITE_DOOR_PATIENCE_MS;
	listen_for_agents(door);
	return door;
}

const char *site_door_place(const struct site_door *door)
{
	return door->place;
}

void site_door_stop(struct site_door *door)
{
	timer_clear(&door->retry);
	if (door->listener)
		listener_close(door->listener);
	door->listener = NULL;
	door->place[0] = '\0';
	LIST_EACH (&door->visitors, struct visitor, link, v)
		close_visitor(v);
}

bool site_door_is_busy(const struct site_door *door)
{
	return !list_is_empty(&door->reads);
}

void site_door_free(struct site_door *door)
{
	assert(!site_door_is_busy(door));
	site_door_stop(door);
	memory_free(door);
}
