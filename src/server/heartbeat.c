#include "server/heartbeat.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"
#include "peer_messages.h"
#include "wire/peer/frame.h"

enum { HEARTBEAT_FRAME_BYTES_MAX = 4096 };

static void write_frame(struct stream *s, const struct schema *schema, uint32_t correlation_id,
			const void *value)
{
	struct buf frame;

	buf_init(&frame);
	if (!frame_encode(&frame, schema, 0, correlation_id, value))
		stream_write_buf(s, &frame);
	buf_done(&frame);
}

/* The next message of `schema`.  ERR_NOT_FOUND: not there yet. */
static enum err read_message(struct stream *s, struct arena *a, const struct schema *schema,
			     struct frame *ret_frame, void *ret)
{
	struct slice in = stream_inbox(s);
	size_t before = in.size;

	enum err err = frame_decode(&in, ret_frame);
	if (err == ERR_NOT_FOUND && before > HEARTBEAT_FRAME_BYTES_MAX)
		return ERR_TOO_BIG;
	if (err)
		return err;
	ret_frame->body = arena_copy(a, ret_frame->body);
	err = frame_decode_body(a, ret_frame, schema, ret);
	stream_consume(s, before - in.size);
	return err == ERR_NOT_FOUND ? ERR_INVALID : err;
}

/* --- asking ------------------------------------------------------------------------------------
 */

enum { HEARTBEAT_CONNECTING, HEARTBEAT_ASKING };

static void take_reached(struct heartbeat *h, const struct peer_heartbeat_response *answer)
{
	h->is_reached = true;
	h->has_led |= answer->leading;
	if (h->on_committed && answer->committed_index >= 0)
		h->on_committed(h->context, (uint64_t)answer->committed_index);
}

/* Its start record is there, so it has won: whoever fences it now begins the same work anew. */
static bool is_patient(const struct heartbeat *h, const struct peer_heartbeat_response *answer)
{
	return answer->leading ||
	       (answer->starting && h->heard_ms - h->begun_ms < HEARTBEAT_STARTING_MS);
}

static void on_answer(void *context, struct stream *s)
{
	struct heartbeat *h = context;
	struct peer_heartbeat_response answer;
	struct frame frame;
	struct arena a;

	arena_init(&a);
	enum err err;
	while (!(err = read_message(s, &a, &peer_heartbeat_response_schema, &frame, &answer))) {
		struct epoch epoch = { (uint64_t)answer.epoch_counter,
				       (uint64_t)answer.epoch_nonce };
		h->heard_ms = loop_now_ms(h->task.loop);
		if (epoch_compare(epoch, h->epoch) == 0 && is_patient(h, &answer))
			take_reached(h, &answer);
		else
			h->outcome = ERR_CONFLICT;
	}
	arena_done(&a);
	if (err != ERR_NOT_FOUND)
		h->outcome = ERR_UNAVAILABLE;
	if (h->outcome)
		task_wake(&h->task);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct heartbeat *h = context;

	(void)s;
	(void)err;
	h->outcome = ERR_UNAVAILABLE;
	task_wake(&h->task);
}

static const struct stream_owner asker = { .on_readable = on_answer, .on_end = on_end };

static enum step end_asking(struct heartbeat *h, enum err err)
{
	if (task_is_running(&h->sleep.task)) {
		h->outcome = err;
		task_cancel(&h->sleep.task);
		return task_wait(&h->task, HEARTBEAT_ASKING);
	}
	if (h->stream)
		stream_close(h->stream);
	h->stream = NULL;
	return task_done(&h->task, err);
}

/* We came late to listen; an answer may have been read in this turn all the same. */
static void excuse(struct heartbeat *h, uint64_t now_ms, uint64_t late_ms)
{
	h->heard_ms = now_ms - h->heard_ms > late_ms ? h->heard_ms + late_ms : now_ms;
}

static enum step ask(struct heartbeat *h)
{
	struct task *t = &h->task;
	uint64_t now_ms = loop_now_ms(t->loop);

	if (task_is_canceled(t))
		return end_asking(h, t->err);
	if (h->outcome)
		return end_asking(h, h->outcome);
	if (task_is_running(&h->sleep.task))
		return task_wait(t, HEARTBEAT_ASKING);
	if (h->sleep.at_ms && now_ms > h->sleep.at_ms)
		excuse(h, now_ms, now_ms - h->sleep.at_ms);
	if (now_ms - h->heard_ms >= HEARTBEAT_SILENCE_MS)
		return end_asking(h, ERR_TIMEOUT);
	if (now_ms - h->asked_ms >= HEARTBEAT_MS) {
		struct peer_heartbeat_request request = {
			.node = slice_from(h->node),
			.epoch_counter = (int64_t)h->epoch.counter,
			.epoch_nonce = (int64_t)h->epoch.nonce,
		};
		write_frame(h->stream, &peer_heartbeat_request_schema, 1, &request);
		h->asked_ms = now_ms;
	}
	sleep_start(&h->sleep, t, now_ms + HEARTBEAT_MS);
	return task_wait(t, HEARTBEAT_ASKING);
}

static enum step heartbeat_step(struct task *t)
{
	struct heartbeat *h = CONTAINER(t, struct heartbeat, task);

	switch (t->at) {
	case HEARTBEAT_CONNECTING:
		if (task_is_running(&h->connect.task))
			return task_wait(t, HEARTBEAT_CONNECTING);
		if (h->connect.task.err)
			return task_fail(t,
					 h->connect.task.err == ERR_CANCELED ? t->err
									     : h->connect.task.err,
					 "%s", h->connect.task.why);
		h->stream = h->connect.ret;
		stream_set_owner(h->stream, &asker, h);
		h->begun_ms = h->heard_ms = loop_now_ms(t->loop);
		return ask(h);
	case HEARTBEAT_ASKING:
		return ask(h);
	}
	abort();
}

static const char *const heartbeat_places[] = { "connecting", "asking" };
static const struct task_kind heartbeat_kind = {
	.name = "heartbeat",
	.places = heartbeat_places,
	.place_count = 2,
	.step = heartbeat_step,
};

void heartbeat_start(struct heartbeat *h, struct task *parent, const char *host, uint16_t port,
		     struct tls_identity *identity, const char *node, struct epoch epoch)
{
	*h = (struct heartbeat) { .node = node, .epoch = epoch };
	task_start(&h->task, &heartbeat_kind, parent);
	if (identity)
		connect_tls(&h->connect, &h->task, host, port, identity);
	else
		connect_tcp(&h->connect, &h->task, host, port);
	task_set_deadline(&h->connect.task, loop_now_ms(h->task.loop) + HEARTBEAT_SILENCE_MS);
}

/* --- answering ---------------------------------------------------------------------------------
 */

struct heartbeat_server {
	struct list peers; /* who said something last is the last */
	size_t peer_count;
	const char *node;
	struct heartbeat_answer (*ask)(void *context);
	void *context;
};

struct heartbeat_peer {
	struct heartbeat_server *server;
	struct stream *stream;
	struct list link;
};

static void forget_peer(struct heartbeat_peer *peer)
{
	list_remove(&peer->link);
	peer->server->peer_count--;
	memory_free(peer);
}

static void close_peer(struct heartbeat_peer *peer)
{
	stream_close(peer->stream);
	forget_peer(peer);
}

/* What it would say and hear is not for everybody, and neither is being an agent. */
static void refuse_agent(struct stream *s, uint32_t correlation_id)
{
	struct peer_hello_response response = {
		.error = ERR_DENIED,
		.message = SLICE("this control has no keys, and no agent comes to it over the "
				 "network: start it with --key-file"),
	};

	write_frame(s, &peer_hello_response_schema, correlation_id, &response);
	stream_close_gracefully(s, HEARTBEAT_SILENCE_MS);
}

static void on_request(void *context, struct stream *s)
{
	struct heartbeat_peer *peer = context;
	struct peer_heartbeat_request request;
	struct frame frame;
	struct arena a;

	arena_init(&a);
	enum err err;
	while (!(err = read_message(s, &a, &peer_heartbeat_request_schema, &frame, &request))) {
		struct heartbeat_answer answer = peer->server->ask(peer->server->context);
		list_remove(&peer->link);
		list_add(&peer->server->peers, &peer->link);
		struct peer_heartbeat_response response = {
			.node = slice_from(peer->server->node),
			.leading = answer.is_leading,
			.starting = answer.is_starting,
			.epoch_counter = (int64_t)answer.epoch.counter,
			.epoch_nonce = (int64_t)answer.epoch.nonce,
			.committed_index = answer.is_leading ? (int64_t)answer.committed_index : -1,
		};
		write_frame(s, &peer_heartbeat_response_schema, frame.correlation_id, &response);
	}
	arena_done(&a);
	if (err == ERR_NOT_FOUND)
		return;
	if (err == ERR_INVALID && frame.message == PEER_HELLO_REQUEST && !stream_peer_key(s))
		refuse_agent(s, frame.correlation_id);
	else
		stream_close(s);
	forget_peer(peer);
}

static void on_peer_end(void *context, struct stream *s, enum err err)
{
	(void)s;
	(void)err;
	close_peer(context);
}

static const struct stream_owner answerer = { .on_readable = on_request, .on_end = on_peer_end };

void heartbeat_server_accept(struct heartbeat_server *server, struct stream *s)
{
	/* Whoever keeps connections and says nothing must not keep standbys away: those would take
	 * this node for dead. */
	if (server->peer_count >= HEARTBEAT_PEERS_MAX)
		close_peer(CONTAINER(server->peers.next, struct heartbeat_peer, link));
	struct heartbeat_peer *peer = NEW(struct heartbeat_peer);
	peer->server = server;
	peer->stream = s;
	list_add(&server->peers, &peer->link);
	server->peer_count++;
	stream_set_inbox_limit(s, HEARTBEAT_FRAME_BYTES_MAX);
	stream_set_owner(s, &answerer, peer);
}

struct heartbeat_server *heartbeat_server_new(const char *node,
					      struct heartbeat_answer (*ask_leader)(void *context),
					      void *context)
{
	struct heartbeat_server *s = NEW(struct heartbeat_server);

	s->node = node;
	s->ask = ask_leader;
	s->context = context;
	list_init(&s->peers);
	return s;
}

void heartbeat_server_free(struct heartbeat_server *s)
{
	LIST_EACH (&s->peers, struct heartbeat_peer, link, peer)
		close_peer(peer);
	memory_free(s);
}
