/* A link is a task as long as it connects, and lives from what its stream tells after that:
 *
 *	connecting --> [upgrading --> greeting] --> opening --> open
 *
 * Where the relay's certificate tells its key, the request, and who we are, leave together
 * (opening); otherwise the answer to the upgrade comes first, then ServerKey. */
#include "mesh/relay/derp_link.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "loop/timer.h"
#include "loop/tls_certificate.h"
#include "wire/crypto/wipe.h"

enum { LINK_MAGIC = 0x444c6e6b };

enum place { LINK_CONNECTING, LINK_UPGRADING, LINK_GREETING, LINK_OPENING, LINK_OPEN };

static const char certificate_prefix[] = "sha256-raw:";

struct derp_link {
	struct relay_pipe pipe; /* first */
	uint32_t magic;
	struct loop *loop;
	struct derp_link_config config;
	char address[DERP_HOST_BYTES], host[DERP_HOST_BYTES], ideal_node[DERP_NAME_BYTES];
	struct task task;
	struct connect connect;
	enum place at;
	bool is_over;	 /* nothing is told any more */
	bool is_reading; /* its owner hears of frames: not freed before that is over */
	struct mesh_key server;
	struct timer timer;
	struct deferred closing;
	char why[DERP_LINK_WHY_BYTES];
	uint64_t heard_ms;
	uint8_t ping[DERP_PING_BYTES];
	uint64_t ping_us; /* 0: no answer is awaited */
};

/* --- the end ---------------------------------------------------------------------------------- */
static void link_free(struct derp_link *link)
{
	assert(link->magic == LINK_MAGIC);
	timer_clear(&link->timer);
	deferred_clear(&link->closing);
	if (link->pipe.stream)
		stream_close(link->pipe.stream);
	if (link->config.identity)
		tls_identity_free(link->config.identity);
	crypto_wipe(&link->config, sizeof(link->config));
	link->magic = 0;
	memory_free(link);
}

/* While its task runs, or frames are read, somebody else frees it. */
static void drop(struct derp_link *link)
{
	link->is_over = true;
	if (task_is_running(&link->task))
		task_cancel(&link->task);
	else if (!link->is_reading)
		link_free(link);
}

void derp_link_close(struct derp_link *link)
{
	assert(link->magic == LINK_MAGIC && !link->is_over);
	drop(link);
}

static void fail(struct derp_link *link, const char *why)
{
	assert(!link->is_over);
	link->is_over = true;
	link->config.owner->on_end(link->config.context, link, why);
	drop(link);
}

static void on_closing(struct deferred *d)
{
	struct derp_link *link = CONTAINER(d, struct derp_link, closing);

	fail(link, link->why);
}

static void close_soon(struct relay_pipe *pipe, const char *why)
{
	struct derp_link *link = CONTAINER(pipe, struct derp_link, pipe);

	snprintf(link->why, sizeof(link->why), "%s", why);
	deferred_set(&link->closing, link->loop, on_closing);
}

static void on_silent(struct timer *t)
{
	struct derp_link *link = CONTAINER(t, struct derp_link, timer);
	uint64_t now_ms = loop_now_ms(link->loop);

	if (link->at != LINK_OPEN)
		fail(link, "the relay does not finish its greeting");
	else if (now_ms - link->heard_ms >= DERP_LINK_SILENCE_MS)
		fail(link, "the relay has become silent");
	else
		timer_set(t, link->loop, link->heard_ms + DERP_LINK_SILENCE_MS, on_silent);
}

/* --- opening ---------------------------------------------------------------------------------- */
static bool say_who_we_are(struct derp_link *link)
{
	struct buf b;

	buf_init(&b);
	bool is_key = derp_add_client_info(&b, &link->config.info, &link->config.secret,
					   &link->config.own, &link->server);
	if (is_key)
		stream_write(link->pipe.stream, buf_slice(&b));
	buf_done(&b);
	if (is_key)
		link->at = LINK_OPENING;
	return is_key;
}

static void ask(struct derp_link *link)
{
	char name[DERP_KEY_NAME_BYTES];
	struct buf b;

	bool is_fast = stream_peer_notice(link->pipe.stream, "derpkey", name, sizeof(name)) == OK &&
		       derp_key_from_name(name, &link->server) == OK;
	buf_init(&b);
	buf_add_format(&b,
		       "GET /derp HTTP/1.1\r\nHost: %s\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n",
		       link->host);
	if (link->ideal_node[0])
		buf_add_format(&b, "Ideal-Node: %s\r\n", link->ideal_node);
	buf_add_text(&b, is_fast ? "Derp-Fast-Start: 1\r\n\r\n" : "\r\n");
	stream_write(link->pipe.stream, buf_slice(&b));
	buf_done(&b);
	link->at = LINK_UPGRADING;
	if (is_fast && !say_who_we_are(link)) /* its certificate made no sense */
		close_soon(&link->pipe, "the relay's key is none");
}

/* Returns false when there is nothing more to do now. */
static bool read_answer(struct derp_link *link)
{
	struct slice inbox = stream_inbox(link->pipe.stream);
	const uint8_t *end = inbox.size ? memmem(inbox.data, inbox.size, "\r\n\r\n", 4) : NULL;

	if (!end && inbox.size > DERP_LINK_HEAD_BYTES_MAX) {
		fail(link, "what answers there is no relay");
		return false;
	}
	if (!end)
		return false;
	if (!slice_starts_with(inbox, SLICE("HTTP/1.1 101 "))) {
		fail(link, "the relay does not let us speak DERP");
		return false;
	}
	stream_consume(link->pipe.stream, (size_t)(end - inbox.data) + 4);
	link->at = LINK_GREETING;
	return true;
}

/* --- frames ----------------------------------------------------------------------------------- */
static void on_pong(struct derp_link *link, struct slice payload)
{
	if (!link->ping_us || payload.size < sizeof(link->ping) ||
	    memcmp(payload.data, link->ping, sizeof(link->ping)) != 0)
		return;
	uint64_t latency_us = clock_now_us() - link->ping_us;
	link->ping_us = 0;
	if (link->config.owner->on_pong)
		link->config.owner->on_pong(link->config.context, link, latency_us);
}

static const char *greet(struct derp_link *link, uint8_t type, struct slice payload)
{
	struct derp_server_info info;

	if (link->at == LINK_GREETING) {
		if (type != DERP_SERVER_KEY || derp_read_server_key(payload, &link->server) ||
		    !say_who_we_are(link))
			return "the relay does not say who it is";
		return NULL;
	}
	if (type != DERP_SERVER_INFO)
		return NULL; /* ServerKey after a fast start, or something new */
	if (derp_read_server_info(payload, &link->config.secret, &link->server, &info))
		return "the relay is not who it says it is";
	link->at = LINK_OPEN;
	timer_set(&link->timer, link->loop, link->heard_ms + DERP_LINK_SILENCE_MS, on_silent);
	link->config.owner->on_open(link->config.context, link);
	return NULL;
}

static void handle(struct derp_link *link, uint8_t type, struct slice payload)
{
	if (link->at != LINK_OPEN) {
		const char *why = greet(link, type, payload);
		if (why)
			close_soon(&link->pipe, why);
		return;
	}
	if (type == DERP_PING) {
		struct buf b;
		buf_init(&b);
		derp_add_frame(&b, DERP_PONG, slice_part(payload, 0, DERP_PING_BYTES));
		if (payload.size >= DERP_PING_BYTES && derp_link_unsent(link) == 0)
			stream_write(link->pipe.stream, buf_slice(&b));
		buf_done(&b);
	} else if (type == DERP_PONG) {
		on_pong(link, payload);
	} else {
		link->config.owner->on_frame(link->config.context, link, type, payload);
	}
}

/* Returns how much of the inbox was read. */
static size_t read_frames(struct derp_link *link)
{
	struct slice inbox = stream_inbox(link->pipe.stream);
	size_t at = 0;

	while (!link->is_over && !list_is_linked(&link->closing.link)) {
		struct slice left = slice_part(inbox, at, inbox.size);
		struct derp_head head;
		if (derp_read_head(left, &head) != OK)
			break;
		if (head.size > DERP_PACKET_BYTES_MAX + 2 * DERP_KEY_BYTES) {
			close_soon(&link->pipe, "the relay sent a frame that is too long");
			break;
		}
		if (left.size - DERP_HEAD_BYTES < head.size)
			break;
		at += DERP_HEAD_BYTES + head.size;
		handle(link, head.type, slice_part(left, DERP_HEAD_BYTES, head.size));
	}
	return at;
}

static void on_readable(void *context, struct stream *s)
{
	struct derp_link *link = context;

	(void)s;
	link->heard_ms = loop_now_ms(link->loop);
	if (link->at == LINK_UPGRADING && !read_answer(link))
		return;
	link->is_reading = true;
	size_t size = read_frames(link);
	link->is_reading = false;
	if (link->is_over)
		link_free(link);
	else
		stream_consume(link->pipe.stream, size);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct derp_link *link = context;
	char why[DERP_LINK_WHY_BYTES];

	(void)s;
	deferred_clear(&link->closing);
	snprintf(why, sizeof(why), "the relay closed the connection%s%s",
		 err			 ? ": "
		 : link->at == LINK_OPEN ? ""
					 : " before it let us in",
		 err ? err_name(err) : "");
	fail(link, why);
}

static const struct stream_owner link_owner = { .on_readable = on_readable, .on_end = on_end };

/* --- connecting ------------------------------------------------------------------------------- */
enum { LINK_TASK_START, LINK_TASK_CONNECTED, LINK_TASK_PLACES };
static const char *const link_places[] = { "start", "connecting" };

static enum step link_step(struct task *t)
{
	struct derp_link *link = CONTAINER(t, struct derp_link, task);

	if (t->at == LINK_TASK_START && !task_is_canceled(t)) {
		if (link->config.identity)
			connect_tls(&link->connect, t, link->address, link->config.port,
				    link->config.identity);
		else
			connect_tcp(&link->connect, t, link->address, link->config.port);
		return task_wait(t, LINK_TASK_CONNECTED);
	}
	if (t->children > 0)
		return task_wait(t, LINK_TASK_CONNECTED);
	if (t->at == LINK_TASK_START || link->connect.task.err)
		return task_fail(t, task_is_canceled(t) ? ERR_CANCELED : link->connect.task.err,
				 "%s", link->connect.task.why);
	link->pipe.stream = link->connect.ret;
	return task_done(t, task_is_canceled(t) ? ERR_CANCELED : OK);
}

static void on_connected(struct task *t)
{
	struct derp_link *link = CONTAINER(t, struct derp_link, task);

	if (link->is_over) {
		link_free(link);
		return;
	}
	if (t->err) {
		fail(link, t->err == ERR_TIMEOUT ? "no connection in time" : t->why);
		return;
	}
	link->heard_ms = loop_now_ms(link->loop);
	timer_set(&link->timer, link->loop, link->heard_ms + DERP_LINK_OPEN_MS, on_silent);
	ask(link);
	stream_set_owner(link->pipe.stream, &link_owner, link);
}

static const struct task_kind link_kind = {
	.name = "derp link",
	.places = link_places,
	.place_count = LINK_TASK_PLACES,
	.step = link_step,
	.on_end = on_connected,
};

struct derp_link *derp_link_start(struct loop *loop, const struct derp_link_config *config)
{
	struct derp_link *link = NEW(struct derp_link);

	assert(config->owner->on_open && config->owner->on_frame && config->owner->on_end);
	link->magic = LINK_MAGIC;
	link->loop = loop;
	link->config = *config;
	link->pipe.on_close = close_soon;
	snprintf(link->address, sizeof(link->address), "%s", config->address);
	snprintf(link->host, sizeof(link->host), "%s", config->host);
	if (config->ideal_node)
		snprintf(link->ideal_node, sizeof(link->ideal_node), "%s", config->ideal_node);
	task_start_root(&link->task, &link_kind, loop);
	task_set_deadline(&link->task, loop_now_ms(loop) + config->dial_ms);
	return link;
}

/* --- use -------------------------------------------------------------------------------------- */
bool derp_link_is_open(const struct derp_link *link)
{
	return link->at == LINK_OPEN;
}

void derp_link_write(struct derp_link *link, struct slice first, struct slice second)
{
	assert(link->at == LINK_OPEN);
	stream_write(link->pipe.stream, first);
	if (second.size > 0)
		stream_write(link->pipe.stream, second);
}

size_t derp_link_unsent(const struct derp_link *link)
{
	return link->pipe.stream ? stream_pending_bytes(link->pipe.stream) : 0;
}

void derp_link_ping(struct derp_link *link)
{
	struct buf b;

	assert(link->at == LINK_OPEN);
	random_bytes(link->ping, sizeof(link->ping));
	link->ping_us = clock_now_us();
	buf_init(&b);
	derp_add_frame(&b, DERP_PING, (struct slice) { link->ping, sizeof(link->ping) });
	stream_write(link->pipe.stream, buf_slice(&b));
	buf_done(&b);
}

uint64_t derp_link_heard_ms(const struct derp_link *link)
{
	return link->heard_ms;
}

struct relay_pipe *derp_link_pipe(struct derp_link *link)
{
	return &link->pipe;
}

enum err derp_link_identity(const struct derp_node *node, struct tls_identity **ret)
{
	struct slice wanted = slice_from(node->certificate);
	struct slice hex = slice_part(wanted, sizeof(certificate_prefix) - 1, wanted.size);
	const char *name = node->certificate[0] ? node->certificate : node->host;
	uint8_t fingerprint[TLS_FINGERPRINT_BYTES];

	if (!node->host[0] || strlen(node->host) > TLS_HOST_BYTES_MAX)
		return ERR_INVALID;
	if (slice_starts_with(wanted, slice_from(certificate_prefix))) {
		if (hex.size != (size_t)2 * TLS_FINGERPRINT_BYTES ||
		    hex_decode(hex, fingerprint, sizeof(fingerprint)))
			return ERR_INVALID;
		*ret = tls_identity_new_client(TLS_TRUST_FINGERPRINT, node->host, fingerprint);
	} else if (node->is_insecure_for_tests) {
		*ret = tls_identity_new_client(TLS_TRUST_ANYBODY, node->host, NULL);
	} else if (strlen(name) <= TLS_HOST_BYTES_MAX) {
		*ret = tls_identity_new_client(TLS_TRUST_AUTHORITIES, name, NULL);
	} else {
		return ERR_INVALID;
	}
	return OK;
}
