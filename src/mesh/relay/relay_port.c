#include "mesh/relay/relay_port.h"

#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "base/text.h"
#include "loop/http_server.h"
#include "loop/timer.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

enum {
	PORT_MAGIC = 0x52506f72,
	CONNECTION_MAGIC = 0x52436f6e,
	GREETING_INBOX_BYTES = 32 * 1024, /* ClientInfo, and what a client sends right after it */
	BACKLOG_BYTES = 512 * 1024, /* unsent in the system, where packets would wait too long */
	CHALLENGE_BYTES_MAX = 64,
	WHY_BYTES = 64,
};

enum place { PLACE_GREETING, PLACE_ADMITTING, PLACE_SERVING };

struct relay_port {
	uint32_t magic;
	struct loop *loop;
	struct relay_port_config config;
	char name[RELAY_NAME_BYTES];
	struct mesh_key own;
	struct relay *relay;
	struct listener *listener;
	struct http_server *http;
	struct list greetings; /* struct connection.link, the oldest first */
	struct list connections;
	size_t greeting_count;
	struct timer tick;
	bool is_closing;
};

struct connection {
	struct relay_pipe pipe; /* first */
	uint32_t magic;
	struct relay_port *port;
	struct list link;
	enum place at;
	struct timer timer; /* greeting: its deadline; serving: too fast, until then */
	struct deferred closing;
	char why[WHY_BYTES];
	struct relay_joining joining;
	struct relay_admission admission;
	struct relay_client *client;
	bool is_resting; /* too fast */
};

/* --- what the relay does to connections ------------------------------------------------------- */
static void host_write(void *connection, struct slice first, struct slice second)
{
	struct relay_pipe *pipe = connection;

	if (!pipe->stream)
		return;
	stream_write(pipe->stream, first);
	if (second.size > 0)
		stream_write(pipe->stream, second);
}

static size_t host_unsent(void *connection)
{
	struct relay_pipe *pipe = connection;

	return pipe->stream ? stream_pending_bytes(pipe->stream) : 0;
}

static uint64_t host_sent(void *connection)
{
	struct relay_pipe *pipe = connection;

	return pipe->stream ? stream_get_traffic(pipe->stream).sent_bytes : 0;
}

static void host_close(void *connection, const char *why)
{
	struct relay_pipe *pipe = connection;

	pipe->on_close(pipe, why);
}

/* --- the end of a connection ------------------------------------------------------------------ */
static void remove_greeting(struct connection *c)
{
	assert(c->at == PLACE_GREETING);
	list_remove(&c->link);
	c->port->greeting_count--;
}

/* Its stream is gone. */
static void connection_free(struct connection *c)
{
	struct relay_port *port = c->port;

	assert(c->magic == CONNECTION_MAGIC && !c->pipe.stream);
	timer_clear(&c->timer);
	deferred_clear(&c->closing);
	if (c->at == PLACE_GREETING)
		port->greeting_count--;
	list_remove(&c->link);
	if (c->at == PLACE_ADMITTING)
		port->config.on_admission_void(port->config.context, &c->admission);
	if (c->client)
		relay_leave(c->client, loop_now_ms(port->loop));
	c->magic = 0;
	memory_free(c);
}

static void cut(struct connection *c, const char *why)
{
	log_debug("%s: %s", stream_peer_name(c->pipe.stream), why);
	stream_close(c->pipe.stream);
	c->pipe.stream = NULL;
	connection_free(c);
}

static void on_closing(struct deferred *d)
{
	struct connection *c = CONTAINER(d, struct connection, closing);

	cut(c, c->why);
}

/* Not at once: whoever wants it may be in the middle of something. */
static void close_soon(struct relay_pipe *pipe, const char *why)
{
	struct connection *c = CONTAINER(pipe, struct connection, pipe);

	snprintf(c->why, sizeof(c->why), "%s", why);
	deferred_set(&c->closing, c->port->loop, on_closing);
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct connection *c = context;

	log_debug("%s left: %s", stream_peer_name(s), err_name(err));
	stream_close(s);
	c->pipe.stream = NULL;
	connection_free(c);
}

/* --- frames ----------------------------------------------------------------------------------- */
static void read_frames(struct connection *c);

static void on_rested(struct timer *t)
{
	struct connection *c = CONTAINER(t, struct connection, timer);

	c->is_resting = false;
	stream_resume(c->pipe.stream);
}

static void rest(struct connection *c, uint64_t wait_ms)
{
	c->is_resting = true;
	stream_pause(c->pipe.stream);
	timer_set(&c->timer, c->port->loop, loop_now_ms(c->port->loop) + wait_ms, on_rested);
}

static const char *explain(enum err err)
{
	if (err == ERR_DENIED)
		return "it wants what only relays of the region may";
	return err == ERR_TOO_BIG ? "a frame is too long" : "a frame makes no sense";
}

/* All whole frames are handled where they lie, and consumed together. */
static void read_frames(struct connection *c)
{
	struct slice inbox = stream_inbox(c->pipe.stream);
	uint64_t now_ms = loop_now_ms(c->port->loop), wait_ms = 0;
	size_t at = 0;
	enum err err = OK;

	while (!err && wait_ms == 0 && !list_is_linked(&c->closing.link)) {
		struct slice left = slice_part(inbox, at, inbox.size);
		struct derp_head head;
		if (derp_read_head(left, &head) != OK)
			break;
		if (head.size > relay_frame_bytes_max(c->client, head.type)) {
			err = ERR_TOO_BIG;
			break;
		}
		if (left.size - DERP_HEAD_BYTES < head.size)
			break;
		err = relay_frame(c->client, head.type,
				  slice_part(left, DERP_HEAD_BYTES, head.size), now_ms, &wait_ms);
		at += DERP_HEAD_BYTES + head.size;
	}
	if (err) {
		cut(c, explain(err));
		return;
	}
	stream_consume(c->pipe.stream, at);
	if (wait_ms > 0)
		rest(c, wait_ms);
}

/* --- opening ---------------------------------------------------------------------------------- */
static void serve(struct connection *c)
{
	struct relay_port *port = c->port;

	c->at = PLACE_SERVING;
	list_remove(&c->link);
	list_add(&port->connections, &c->link);
	c->client = relay_join(port->relay, &c->pipe, &c->joining, loop_now_ms(port->loop));
	crypto_wipe(&c->joining.info, sizeof(c->joining.info));
	if (!c->client) {
		close_soon(&c->pipe, "the relay is full");
		return;
	}
	stream_set_inbox_limit(c->pipe.stream, STREAM_INBOX_BYTES_DEFAULT);
	stream_resume(c->pipe.stream); /* what came meanwhile */
}

void relay_port_admit(struct relay_admission *a, bool is_admitted)
{
	struct connection *c = CONTAINER(a, struct connection, admission);

	assert(c->magic == CONNECTION_MAGIC && c->at == PLACE_ADMITTING);
	if (is_admitted) {
		serve(c);
		return;
	}
	c->at = PLACE_SERVING; /* nobody is asked any more */
	close_soon(&c->pipe, "its key is not known here");
}

static void read_client_info(struct connection *c)
{
	struct relay_port *port = c->port;
	struct slice inbox = stream_inbox(c->pipe.stream);
	struct derp_head head;

	if (derp_read_head(inbox, &head) != OK)
		return;
	if (head.type != DERP_CLIENT_INFO || head.size > DERP_CLIENT_INFO_BYTES_MAX) {
		cut(c, "it does not say who it is");
		return;
	}
	if (inbox.size - DERP_HEAD_BYTES < head.size)
		return;
	struct slice payload = slice_part(inbox, DERP_HEAD_BYTES, head.size);
	enum err err = derp_read_client_info(payload, &port->config.secret, &c->joining.key,
					     &c->joining.info);
	if (err) {
		cut(c, "it is not who it says it is");
		return;
	}
	stream_consume(c->pipe.stream, DERP_HEAD_BYTES + head.size);
	timer_clear(&c->timer);
	stream_pause(c->pipe.stream);
	remove_greeting(c);
	list_add(&port->connections, &c->link);
	if (!port->config.on_admission || relay_is_mesh_peer(port->relay, &c->joining.info)) {
		serve(c);
		return;
	}
	c->at = PLACE_ADMITTING;
	c->admission.key = c->joining.key;
	c->admission.from = c->joining.from;
	port->config.on_admission(port->config.context, &c->admission);
}

static void on_greeting_late(struct timer *t)
{
	cut(CONTAINER(t, struct connection, timer), "it did not say who it is");
}

static void on_readable(void *context, struct stream *s)
{
	struct connection *c = context;

	(void)s;
	if (c->at == PLACE_GREETING)
		read_client_info(c);
	else if (c->at == PLACE_SERVING && c->client && !c->is_resting)
		read_frames(c);
}

static void on_drained(void *context, struct stream *s)
{
	struct connection *c = context;

	(void)s;
	if (c->client)
		relay_drained(c->client);
}

static const struct stream_owner connection_owner = {
	.on_readable = on_readable,
	.on_drained = on_drained,
	.on_end = on_end,
};

static void greet(struct relay_port *port, struct stream *s, bool is_not_ideal)
{
	struct connection *c = NEW(struct connection);
	struct buf frame;

	if (port->greeting_count == RELAY_GREETINGS_MAX)
		cut(CONTAINER(port->greetings.next, struct connection, link),
		    "others want to come in");
	c->magic = CONNECTION_MAGIC;
	c->port = port;
	c->pipe = (struct relay_pipe) { s, close_soon };
	c->joining.is_not_ideal = is_not_ideal;
	if (endpoint_parse(slice_from(stream_peer_name(s)), &c->joining.from))
		c->joining.from = (struct endpoint) { 0 };
	list_add(&port->greetings, &c->link);
	port->greeting_count++;
	buf_init(&frame);
	derp_add_server_key(&frame, &port->own);
	stream_write(s, buf_slice(&frame));
	buf_done(&frame);
	stream_set_inbox_limit(s, GREETING_INBOX_BYTES);
	stream_limit_backlog(s, BACKLOG_BYTES);
	timer_set(&c->timer, port->loop, loop_now_ms(port->loop) + RELAY_GREETING_MS,
		  on_greeting_late);
	stream_set_owner(s, &connection_owner, c);
}

/* --- HTTP ------------------------------------------------------------------------------------- */
static bool is_word(struct slice s, const char *word)
{
	return s.size == strlen(word) && strncasecmp((const char *)s.data, word, s.size) == 0;
}

static void upgrade(struct relay_port *port, struct http_exchange *e)
{
	char headers[160], key[2 * MESH_KEY_BYTES + 1];
	struct slice ideal = http_header(e, "Ideal-Node");
	bool is_not_ideal = ideal.size > 0 && !slice_equal(ideal, slice_from(port->name));
	bool is_fast = slice_equal(http_header(e, "Derp-Fast-Start"), SLICE("1"));

	if (!is_word(e->upgrade, "derp")) {
		http_answer(e, 426, "text/plain", SLICE("DERP requires connection upgrade\n"));
		return;
	}
	hex_encode(key, (struct slice) { port->own.bytes, MESH_KEY_BYTES });
	snprintf(headers, sizeof(headers), "Derp-Version: %d\r\nDerp-Public-Key: %s\r\n",
		 DERP_VERSION, key);
	struct stream *s = http_upgrade(e, is_fast ? NULL : "DERP", headers);
	if (!s)
		return;
	if (port->is_closing)
		stream_close(s);
	else
		greet(port, s, is_not_ideal);
}

/* Portals that catch HTTP do not know the answer to a challenge. */
static bool is_challenge(struct slice s)
{
	if (s.size == 0 || s.size > CHALLENGE_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.size; i++) {
		uint8_t c = s.data[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '-' || c == '_' || c == ':'))
			return false;
	}
	return true;
}

static void answer_generate_204(struct http_exchange *e)
{
	static const char fresh[] = "Cache-Control: no-cache, no-store\r\n";
	struct slice challenge = http_header(e, "X-Tailscale-Challenge");
	char headers[192];

	if (!is_challenge(challenge)) {
		http_answer_with(e, 204, "", fresh, SLICE(""));
		return;
	}
	snprintf(headers, sizeof(headers), "%sX-Tailscale-Response: response %.*s\r\n", fresh,
		 SLICE_ARG(challenge));
	http_answer_with(e, 204, "", headers, SLICE(""));
}

static void on_request(void *context, struct http_exchange *e)
{
	static const char any_page[] = "Access-Control-Allow-Origin: *\r\n";
	struct relay_port *port = context;
	struct slice path = e->path;
	bool reads = strcmp(e->method, "GET") == 0 || strcmp(e->method, "HEAD") == 0;

	if (!reads)
		http_answer(e, 405, "text/plain", SLICE("GET and HEAD only\n"));
	else if (slice_equal(path, SLICE("/derp")))
		upgrade(port, e);
	else if (slice_equal(path, SLICE("/derp/probe")) ||
		 slice_equal(path, SLICE("/derp/latency-check")))
		http_answer_with(e, 200, "text/plain", any_page, SLICE("ok\n"));
	else if (slice_equal(path, SLICE("/generate_204")))
		answer_generate_204(e);
	else if (slice_equal(path, SLICE("/")))
		http_answer(e, 200, "text/plain", SLICE("A relay of Hanse.\n"));
	else
		http_answer(e, 404, "text/plain", SLICE("not found\n"));
}

static void on_accept(void *context, struct stream *s)
{
	struct relay_port *port = context;

	http_server_accept(port->http, s);
}

/* --- the port --------------------------------------------------------------------------------- */
static void on_tick(struct timer *t)
{
	struct relay_port *port = CONTAINER(t, struct relay_port, tick);
	uint64_t now_ms = loop_now_ms(port->loop);

	relay_tick(port->relay, now_ms);
	timer_set(&port->tick, port->loop, now_ms + RELAY_TICK_MS, on_tick);
}

static struct relay *new_relay(const struct relay_port *port)
{
	const struct relay_port_config *from = &port->config;
	struct relay_config config = {
		.host = { host_write, host_unsent, host_sent, host_close },
		.secret = from->secret,
		.own = port->own,
		.has_mesh_key = from->has_mesh_key,
		.mesh_key = from->mesh_key,
		.bytes_per_second = from->bytes_per_second,
		.bytes_burst = from->bytes_burst,
		.seed = random_u64(),
	};
	struct relay *relay = relay_new(&config);

	crypto_wipe(&config, sizeof(config));
	return relay;
}

enum err relay_port_open(struct loop *loop, const struct relay_port_config *config,
			 struct relay_port **ret, char why[TASK_WHY_BYTES])
{
	struct relay_port *port = NEW(struct relay_port);
	const struct http_server_config http = { .on_request = on_request,
						 .context = port,
						 .allows_upgrade = true };

	assert(!config->on_admission == !config->on_admission_void);
	enum err err = config->identity ? listener_open_tls(loop, config->host, config->port,
							    config->identity, on_accept, port,
							    &port->listener, why)
					: listener_open_tcp(loop, config->host, config->port,
							    on_accept, port, &port->listener, why);
	if (err) {
		memory_free(port);
		return err;
	}
	port->magic = PORT_MAGIC;
	port->loop = loop;
	port->config = *config;
	snprintf(port->name, sizeof(port->name), "%s", config->name);
	x25519_public(config->secret.bytes, port->own.bytes);
	list_init(&port->greetings);
	list_init(&port->connections);
	port->relay = new_relay(port);
	port->http = http_server_new(loop, &http);
	timer_set(&port->tick, loop, loop_now_ms(loop) + RELAY_TICK_MS, on_tick);
	*ret = port;
	return OK;
}

static void leave_politely(struct connection *c)
{
	stream_close_gracefully(c->pipe.stream, RELAY_LEAVE_MS);
	c->pipe.stream = NULL;
	connection_free(c);
}

void relay_port_close(struct relay_port *port)
{
	assert(port->magic == PORT_MAGIC && !port->is_closing);
	port->is_closing = true;
	listener_close(port->listener);
	http_server_close(port->http);
	timer_clear(&port->tick);
	relay_announce_restart(port->relay, RELAY_AGAIN_IN_MS, RELAY_AGAIN_FOR_MS);
	LIST_EACH (&port->greetings, struct connection, link, c)
		leave_politely(c);
	/* Who is there until the end need not hear of those who go before. */
	LIST_EACH (&port->connections, struct connection, link, c)
		leave_politely(c);
	relay_free(port->relay);
	crypto_wipe(&port->config, sizeof(port->config));
	port->magic = 0;
	memory_free(port);
}

uint16_t relay_port_number(const struct relay_port *port)
{
	assert(port->magic == PORT_MAGIC);
	return listener_port(port->listener);
}

struct relay_counts relay_port_count(const struct relay_port *port)
{
	assert(port->magic == PORT_MAGIC);
	return relay_count(port->relay);
}

struct relay *relay_port_relay(struct relay_port *port)
{
	assert(port->magic == PORT_MAGIC);
	return port->relay;
}
