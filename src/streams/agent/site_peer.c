#include "streams/agent/site_peer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "peer_messages.h"
#include "streams/agent/block_cache.h"
#include "wire/peer/frame.h"

enum {
	SITE_ANSWER_BYTES_MAX = BLOCK_CACHE_BLOCK_BYTES + 1024, /* a block, and the frame */
};

struct site_peer {
	struct task task; /* connects */
	struct loop *loop;
	struct site_place place;
	struct tls_identity *identity;
	struct connect connect;
	struct stream *stream; /* NULL: not connected */
	struct list calls;     /* without an answer */
	size_t call_count;
	uint32_t last_correlation;
	uint64_t avoid_until_ms;
	uint64_t wrong_since_ms; /* the first of wrong_count */
	int wrong_count;
	bool is_late; /* connecting takes long */
	bool is_closing;
};

static void free_now(struct site_peer *p)
{
	assert(p->call_count == 0 && !p->stream);
	memory_free(p);
}

/* --- calls -------------------------------------------------------------------------------------
 */

static void await_sign(struct site_call *call);

static void end_call(struct site_call *call, enum err err)
{
	timer_clear(&call->silence);
	list_remove(&call->link);
	call->peer->call_count--;
	call->peer = NULL;
	call->task.err = err;
	task_wake(&call->task);
}

/* Whoever asks goes on at the bucket. */
static void lose(struct site_peer *p, enum err err)
{
	if (p->stream)
		stream_close(p->stream);
	p->stream = NULL;
	task_cancel(&p->task);
	LIST_EACH (&p->calls, struct site_call, link, call)
		end_call(call, err);
}

static void avoid_for(struct site_peer *p, uint64_t ms)
{
	uint64_t until_ms = loop_now_ms(p->loop) + ms;

	log_debug("agent %d of this site is not asked for blocks for a while", p->place.node_id);
	if (p->avoid_until_ms < until_ms)
		p->avoid_until_ms = until_ms;
	lose(p, ERR_UNAVAILABLE);
}

static void avoid(struct site_peer *p)
{
	avoid_for(p, SITE_AVOID_MS);
}

bool site_peer_note_wrong(struct site_peer *p)
{
	uint64_t now_ms = loop_now_ms(p->loop);

	if (p->wrong_count == 0 || now_ms - p->wrong_since_ms > SITE_WRONG_MS) {
		p->wrong_since_ms = now_ms;
		p->wrong_count = 0;
	}
	if (++p->wrong_count < SITE_WRONG_MAX)
		return false;
	log_warn("agent %d of this site gave %d blocks with wrong bytes: it is not asked for %d s",
		 p->place.node_id, p->wrong_count, SITE_WRONG_MS / 1000);
	p->wrong_count = 0;
	avoid_for(p, SITE_WRONG_MS);
	return true;
}

static uint64_t heard_bytes(const struct site_peer *p)
{
	return p->stream ? stream_get_traffic(p->stream).received_bytes : 0;
}

/* A block takes longer than SITE_SILENCE_MS where the network is slow. */
static void on_silence(struct timer *t)
{
	struct site_call *call = CONTAINER(t, struct site_call, silence);

	if (heard_bytes(call->peer) > call->heard_bytes) {
		await_sign(call);
		return;
	}
	if (call->peer->stream) {
		avoid(call->peer);
		return;
	}
	call->peer->is_late = true;
	end_call(call, ERR_TIMEOUT);
}

static void await_sign(struct site_call *call)
{
	call->heard_bytes = heard_bytes(call->peer);
	timer_set(&call->silence, call->task.loop, loop_now_ms(call->task.loop) + SITE_SILENCE_MS,
		  on_silence);
}

static void write_call(const struct site_call *call)
{
	struct peer_block_request request = {
		.to = call->peer->place.incarnation,
		.incarnation = call->block.incarnation,
		.sequence = call->block.sequence,
		.number = (int32_t)call->block.number,
		.reads = call->reads,
	};
	struct buf frame;

	buf_init(&frame);
	enum err err =
		frame_encode(&frame, &peer_block_request_schema, 0, call->correlation_id, &request);
	assert(!err);
	stream_write_buf(call->peer->stream, &frame);
	buf_done(&frame);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static struct site_call *find_call(struct site_peer *p, uint32_t correlation_id)
{
	LIST_EACH (&p->calls, struct site_call, link, call)
		if (call->correlation_id == correlation_id)
			return call;
	return NULL;
}

/* ERR_DENIED: it is another one than it is taken for.  ERR_CORRUPT: no agent says that. */
static enum err take_answer(struct site_call *call, const struct peer_block_response *answer)
{
	if (answer->error) {
		enum err err = peer_error_decode(answer->error);
		if (err == ERR_DENIED)
			return err;
		end_call(call, err == ERR_NOT_FOUND || err == ERR_BUSY ? err : ERR_UNAVAILABLE);
		return OK;
	}
	if (answer->is_reading) {
		call->is_promised = true;
		await_sign(call);
		return call->reads && answer->bytes.size == 0 ? OK : ERR_CORRUPT;
	}
	if (answer->bytes.size == 0 || answer->bytes.size > BLOCK_CACHE_BLOCK_BYTES)
		return ERR_CORRUPT;
	call->ret_block = blob_from(answer->bytes);
	end_call(call, OK);
	return OK;
}

/* ERR_NOT_FOUND: it has not all arrived. */
static enum err take_frame(struct site_peer *p, struct slice *in)
{
	struct peer_block_response answer;
	struct frame frame;
	struct arena a;
	enum err err = frame_decode(in, &frame);

	if (err)
		return err == ERR_NOT_FOUND && in->size >= SITE_ANSWER_BYTES_MAX ? ERR_TOO_BIG
										 : err;
	arena_init(&a);
	err = frame_decode_body(&a, &frame, &peer_block_response_schema, &answer);
	if (err == ERR_NOT_FOUND)
		err = ERR_CORRUPT;
	struct site_call *call = err ? NULL : find_call(p, frame.correlation_id);
	if (call)
		err = take_answer(call, &answer);
	arena_done(&a);
	return err;
}

static void on_readable(void *context, struct stream *s)
{
	struct site_peer *p = context;
	enum err err;

	do {
		struct slice in = stream_inbox(s);
		size_t before = in.size;
		err = take_frame(p, &in);
		if (!err)
			stream_consume(s, before - in.size);
	} while (!err);
	if (err == ERR_DENIED)
		log_warn("who answers at the --blocks of agent %d of this site is another one",
			 p->place.node_id);
	else if (err != ERR_NOT_FOUND)
		log_warn("agent %d of this site says what makes no sense: %s", p->place.node_id,
			 err_name(err));
	if (err != ERR_NOT_FOUND)
		avoid(p);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct site_peer *p = context;

	(void)s;
	(void)err;
	if (p->call_count > 0)
		avoid(p);
	else
		lose(p, ERR_UNAVAILABLE);
}

static const struct stream_owner stream_owner = { .on_readable = on_readable, .on_end = on_end };

/* --- connecting --------------------------------------------------------------------------------
 */

static void be_connected(struct site_peer *p)
{
	p->stream = p->connect.ret;
	stream_set_inbox_limit(p->stream, SITE_ANSWER_BYTES_MAX);
	stream_set_patience(p->stream, SITE_PATIENCE_MS, 0);
	stream_set_owner(p->stream, &stream_owner, p);
	LIST_EACH (&p->calls, struct site_call, link, call)
		write_call(call);
}

enum { PEER_CONNECT, PEER_CONNECTED };

static enum step peer_step(struct task *t)
{
	struct site_peer *p = CONTAINER(t, struct site_peer, task);

	if (t->at == PEER_CONNECT && !task_is_canceled(t)) {
		connect_tls(&p->connect, t, p->place.host, p->place.port, p->identity);
		return task_wait(t, PEER_CONNECTED);
	}
	if (t->children > 0)
		return task_wait(t, PEER_CONNECTED);
	if (task_is_canceled(t)) {
		if (t->at == PEER_CONNECTED && !p->connect.task.err)
			stream_close(p->connect.ret); /* it came too late */
		return task_done(t, t->err);
	}
	if (p->connect.task.err)
		avoid(p);
	else
		be_connected(p);
	return task_done(t, OK);
}

static void peer_on_end(struct task *t)
{
	struct site_peer *p = CONTAINER(t, struct site_peer, task);

	if (p->is_closing)
		free_now(p);
}

static const char *const peer_places[] = { "connect", "connected" };
static const struct task_kind peer_kind = {
	.name = "site_peer",
	.places = peer_places,
	.place_count = 2,
	.step = peer_step,
	.on_end = peer_on_end,
};

static void start_connecting(struct site_peer *p)
{
	p->is_late = false;
	task_start_root(&p->task, &peer_kind, p->loop);
}

/* --- asking ------------------------------------------------------------------------------------
 */

enum { CALL_SENT, CALL_ANSWERED };

static enum step call_step(struct task *t)
{
	struct site_call *call = CONTAINER(t, struct site_call, task);

	if (task_is_canceled(t)) {
		if (call->peer)
			end_call(call, t->err);
		blob_unref(&call->ret_block);
		return task_done(t, t->err);
	}
	return call->peer ? task_wait(t, CALL_ANSWERED) : task_done(t, t->err);
}

static const char *const call_places[] = { "sent", "answered" };
static const struct task_kind call_kind = {
	.name = "site_call",
	.places = call_places,
	.place_count = 2,
	.step = call_step,
};

void site_call(struct site_call *call, struct task *parent, struct site_peer *p,
	       const struct site_block *block, bool reads, uint64_t until_ms)
{
	bool is_connecting = task_is_running(&p->task);
	bool is_useless = is_connecting && (p->is_late || task_is_canceled(&p->task));

	*call = (struct site_call) { .block = *block, .reads = reads };
	task_start(&call->task, &call_kind, parent);
	if (p->call_count >= SITE_CALLS_MAX || is_useless || site_peer_is_avoided(p)) {
		call->task.err = ERR_BUSY;
		return;
	}
	call->peer = p;
	call->correlation_id = ++p->last_correlation;
	list_add(&p->calls, &call->link);
	p->call_count++;
	await_sign(call);
	task_set_deadline(&call->task, until_ms);
	if (p->stream)
		write_call(call);
	else if (!is_connecting)
		start_connecting(p);
}

/* --- life --------------------------------------------------------------------------------------
 */

struct site_peer *site_peer_new(struct loop *loop, const struct site_place *place,
				struct tls_identity *identity)
{
	struct site_peer *p = NEW(struct site_peer);

	p->loop = loop;
	p->place = *place;
	p->identity = identity;
	list_init(&p->calls);
	return p;
}

void site_peer_free(struct site_peer *p)
{
	lose(p, ERR_CANCELED);
	p->is_closing = true;
	if (!task_is_running(&p->task))
		free_now(p);
}

const struct site_place *site_peer_place(const struct site_peer *p)
{
	return &p->place;
}

bool site_peer_is_avoided(const struct site_peer *p)
{
	return loop_now_ms(p->loop) < p->avoid_until_ms;
}
