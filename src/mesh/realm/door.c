/* A connection is HTTP's until it asks for the upgrade, then a visitor: first one that still has to
 * prove that it holds the key it claims (anybody can repeat a handshake once heard, nobody can
 * send a record after it), then a client.  Requests of a visitor are not handed on before. */
#include "mesh/realm/door.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "loop/timer.h"
#include "mesh/channel/channel.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"
#include "wire/noise/noise.h"
#include "wire/noise/server_key.h"

enum {
	DOOR_MAGIC = 0x446f6f72,
	DOOR_BODIES_BYTES_MAX = 64 * 1024 * 1024, /* of requests of all clients */
	DOOR_REQUEST_MS = 30 * 1000,		  /* for a request to come in full */
	DOOR_SWEEP_MS = 5 * 1000,
	DOOR_LINGER_MS = 1000,
};

static const char protocol[] = "tailscale-control-protocol";

_Static_assert((int)DOOR_REQUESTS_MAX == (int)HTTP2_EXCHANGES_MAX &&
		       (int)DOOR_BODY_BYTES_MAX == (int)HTTP2_REQUEST_BYTES_MAX,
	       "what the header of the door promises is what HTTP/2 does");

struct visitor {
	uint32_t magic;
	struct door *door;
	struct list link; /* in door.unproven or door.clients */
	struct channel *channel;
	struct noise_peer peer;
	uint64_t since_ms;
	bool is_proven;
	struct list requests; /* struct request.link */
	struct deferred drop; /* it goes for the sake of the others */
};

struct request {
	struct door_request public;
	uint32_t magic;
	struct visitor *visitor;
	struct list link;
	struct http2_exchange *exchange;
};

struct door {
	uint32_t magic;
	struct loop *loop;
	struct door_config config;
	struct mesh_key public;
	struct http_server *http;
	struct http2_budget budget, unsent;
	struct list unproven; /* oldest first */
	size_t unproven_count;
	struct list clients;
	size_t client_count;
	struct timer sweep;
};

static struct request *request_of(const struct door_request *r)
{
	struct request *it = CONTAINER(r, struct request, public);

	assert(it->magic == DOOR_MAGIC);
	return it;
}

/* --- requests --------------------------------------------------------------------------------- */
static void request_free(struct request *r)
{
	list_remove(&r->link);
	r->magic = 0;
	memory_free(r);
}

static void on_request(void *context, struct http2_exchange *e)
{
	struct visitor *v = context;
	struct request *r = NEW(struct request);

	assert(v->magic == DOOR_MAGIC && v->is_proven);
	r->magic = DOOR_MAGIC;
	r->visitor = v;
	r->exchange = e;
	r->public = (struct door_request) {
		.machine = v->peer.machine,
		.version = v->peer.version,
		.method = e->method,
		.path = e->path,
		.query = e->query,
		.body = e->body,
		.peer = channel_peer_name(v->channel),
	};
	e->owner_state = r;
	list_add(&v->requests, &r->link);
	v->door->config.on_request(v->door->config.context, &r->public);
}

static void on_gone(void *context, struct http2_exchange *e)
{
	struct visitor *v = context;
	struct request *r = e->owner_state;

	v->door->config.on_gone(v->door->config.context, &r->public);
	request_free(r);
}

static void on_drained(void *context, struct http2_exchange *e)
{
	struct visitor *v = context;
	struct request *r = e->owner_state;

	if (v->door->config.on_drained)
		v->door->config.on_drained(v->door->config.context, &r->public);
}

static void drop_visitor(struct deferred *d);

static void drop_later(struct visitor *v)
{
	deferred_set(&v->drop, v->door->loop, drop_visitor);
}

static size_t pending_of(const struct visitor *v)
{
	return http2_all_pending_bytes(channel_http2(v->channel));
}

/* Too much waits for too many: whoever holds most goes first, and its bytes at once. */
static void keep_unsent(struct door *d)
{
	while (d->unsent.used > d->unsent.max) {
		struct visitor *most = NULL;

		LIST_EACH (&d->clients, struct visitor, link, v)
			if (pending_of(v) > 0 && (!most || pending_of(v) > pending_of(most)))
				most = v;
		if (!most)
			return;
		http2_discard(channel_http2(most->channel));
		drop_later(most);
	}
}

void door_answer(struct door_request *r, int status, const char *content_type, struct slice body)
{
	struct request *it = request_of(r);
	struct visitor *v = it->visitor;

	if (pending_of(v) + body.size <= DOOR_CLIENT_PENDING_BYTES_MAX) {
		http2_answer(it->exchange, status, content_type, body);
	} else {
		http2_reset(it->exchange);
		drop_later(v);
	}
	request_free(it);
	keep_unsent(v->door);
}

void door_answer_busy(struct door_request *r, int status, struct slice text)
{
	struct request *it = request_of(r);

	http2_answer_busy(it->exchange, status, DOOR_RETRY_AFTER_S, text);
	request_free(it);
}

void door_set_patience(struct door_request *r, unsigned unacknowledged_ms, unsigned silent_s)
{
	channel_set_patience(request_of(r)->visitor->channel, unacknowledged_ms, silent_s);
}

void door_begin(struct door_request *r, int status, const char *content_type)
{
	http2_begin(request_of(r)->exchange, status, content_type);
	r->body = (struct slice) { 0 };
}

void door_write(struct door_request *r, struct blob *b)
{
	struct request *it = request_of(r);
	struct visitor *v = it->visitor;

	if (http2_pending_bytes(it->exchange) + b->size <= DOOR_PENDING_BYTES_MAX &&
	    pending_of(v) + b->size <= DOOR_CLIENT_PENDING_BYTES_MAX &&
	    !list_is_linked(&v->drop.link)) {
		http2_write(it->exchange, b);
		keep_unsent(v->door);
		return;
	}
	blob_unref(&b);
	drop_later(v);
}

void door_end(struct door_request *r)
{
	struct request *it = request_of(r);

	http2_end_body(it->exchange);
	request_free(it);
}

void door_cut(struct door_request *r)
{
	struct request *it = request_of(r);

	if (http2_pending_bytes(it->exchange) == 0)
		http2_end_body(it->exchange);
	else
		http2_reset(it->exchange);
	request_free(it);
}

size_t door_pending_bytes(const struct door_request *r)
{
	return http2_pending_bytes(request_of(r)->exchange);
}

/* --- visitors --------------------------------------------------------------------------------- */
/* Its requests have been told of their end, or nobody wants to hear it. */
static void visitor_free(struct visitor *v, uint64_t linger_ms)
{
	struct door *d = v->door;

	LIST_EACH (&v->requests, struct request, link, r)
		request_free(r);
	channel_close(v->channel, linger_ms);
	deferred_clear(&v->drop);
	list_remove(&v->link);
	if (v->is_proven)
		d->client_count--;
	else
		d->unproven_count--;
	v->magic = 0;
	memory_free(v);
}

static void on_channel_end(void *context, enum err err, const char *why)
{
	struct visitor *v = context;

	assert(v->magic == DOOR_MAGIC);
	log_debug("control: %s left: %s (%s)", channel_peer_name(v->channel), why, err_name(err));
	visitor_free(v, 0);
}

static void drop_visitor(struct deferred *deferred)
{
	struct visitor *v = CONTAINER(deferred, struct visitor, drop);

	log_warn(
		"control: %s is dropped: it does not read what it asked for, or there are too many",
		channel_peer_name(v->channel));
	http2_end(channel_http2(v->channel));
	visitor_free(v, 0);
}

/* A client that asks for nothing makes room; where there is none, the new one goes. */
static void keep_limit(struct door *d, struct visitor *newest)
{
	if (d->client_count <= DOOR_CLIENTS_MAX)
		return;
	LIST_EACH (&d->clients, struct visitor, link, v) {
		if (list_is_empty(&v->requests) && !list_is_linked(&v->drop.link)) {
			drop_later(v);
			return;
		}
	}
	drop_later(newest);
}

/* A machine that comes again has forgotten its older connections, or has lost them. */
static void keep_machine_limit(struct door *d, const struct visitor *newest)
{
	struct visitor *oldest = NULL;
	size_t count = 0;

	LIST_EACH (&d->clients, struct visitor, link, v) {
		if (list_is_linked(&v->drop.link) ||
		    !mesh_key_equal(&v->peer.machine, &newest->peer.machine))
			continue;
		if (count++ == 0)
			oldest = v;
	}
	if (count > DOOR_MACHINE_CLIENTS_MAX)
		drop_later(oldest);
}

static void on_proven(void *context)
{
	struct visitor *v = context;
	struct door *d = v->door;

	d->unproven_count--;
	list_remove(&v->link);
	v->is_proven = true;
	list_add(&d->clients, &v->link);
	d->client_count++;
	keep_machine_limit(d, v);
	keep_limit(d, v);
}

static void add_visitor(struct door *d, struct stream *s, const struct noise_channel *keys,
			const struct noise_peer *peer)
{
	struct visitor *v = NEW(struct visitor);
	const struct http2_config http2 = {
		.context = v,
		.on_request = on_request,
		.on_gone = on_gone,
		.on_drained = on_drained,
		.budget = &d->budget,
		.unsent = &d->unsent,
	};
	const struct channel_config config = {
		.context = v,
		.on_proven = on_proven,
		.on_end = on_channel_end,
	};

	if (d->unproven_count >= DOOR_HANDSHAKES_MAX)
		visitor_free(CONTAINER(d->unproven.next, struct visitor, link), 0);
	v->magic = DOOR_MAGIC;
	v->door = d;
	v->peer = *peer;
	v->since_ms = loop_now_ms(d->loop);
	list_init(&v->requests);
	list_add(&d->unproven, &v->link);
	d->unproven_count++;
	v->channel = channel_new(d->loop, s, keys, true, &http2, &config);
}

static void on_sweep(struct timer *t)
{
	struct door *d = CONTAINER(t, struct door, sweep);
	uint64_t now = loop_now_ms(d->loop);

	LIST_EACH (&d->unproven, struct visitor, link, v) {
		if (v->since_ms + DOOR_HANDSHAKE_MS > now)
			break;
		visitor_free(v, 0);
	}
	LIST_EACH (&d->clients, struct visitor, link, v) {
		if (now > DOOR_REQUEST_MS)
			http2_drop_slow(channel_http2(v->channel), now - DOOR_REQUEST_MS);
		http2_drop_unread(channel_http2(v->channel), now, DOOR_UNREAD_MS);
	}
	timer_set(&d->sweep, d->loop, now + DOOR_SWEEP_MS, on_sweep);
}

/* --- the upgrade ------------------------------------------------------------------------------ */
static void refuse_version(struct door *d, struct http_exchange *e, unsigned version)
{
	struct stream *s = http_upgrade(e, protocol, "");
	struct buf frame;
	char text[120];

	if (!s)
		return;
	snprintf(text, sizeof(text),
		 "this client is too old: its capability version is %u, at least %u is needed",
		 version, d->config.version_min);
	buf_init(&frame);
	noise_add_error(slice_from(text), &frame);
	stream_write(s, buf_slice(&frame));
	buf_done(&frame);
	stream_close_gracefully(s, DOOR_LINGER_MS);
}

static void upgrade(struct door *d, struct http_exchange *e)
{
	struct slice text = http_header(e, "x-tailscale-handshake");
	uint8_t initiation[NOISE_INITIATION_BYTES], response[NOISE_RESPONSE_BYTES];
	struct mesh_key ephemeral;
	struct noise_channel keys;
	struct noise_peer peer;
	unsigned version;

	if (strcmp(e->method, "POST") != 0 || !slice_equal(e->upgrade, slice_from(protocol)) ||
	    noise_initiation_parse(text, initiation) ||
	    noise_initiation_version((struct slice) { initiation, sizeof(initiation) }, &version)) {
		http_answer(e, 400, "text/plain", SLICE("here a ts2021 handshake is expected\n"));
		return;
	}
	if (version < d->config.version_min) {
		refuse_version(d, e, version);
		return;
	}
	random_bytes(ephemeral.bytes, sizeof(ephemeral.bytes));
	enum err err =
		noise_answer(&d->config.secret, (struct slice) { initiation, sizeof(initiation) },
			     &ephemeral, &peer, response, &keys);
	crypto_wipe(&ephemeral, sizeof(ephemeral));
	if (err) {
		http_answer(e, 400, "text/plain",
			    SLICE("the handshake is not for the key of this server\n"));
		return;
	}
	struct stream *s = http_upgrade(e, protocol, "");
	if (s) {
		stream_write(s, (struct slice) { response, sizeof(response) });
		add_visitor(d, s, &keys, &peer);
	}
	noise_channel_wipe(&keys);
}

/* --- plain HTTP ------------------------------------------------------------------------------- */
static void answer_key(struct door *d, struct http_exchange *e)
{
	struct buf json;

	buf_init(&json);
	server_key_encode(&json, &d->public);
	http_answer(e, 200, "application/json", buf_slice(&json));
	buf_done(&json);
}

static void on_plain(void *context, struct http_exchange *e)
{
	struct door *d = context;

	if (slice_equal(e->path, SLICE("/ts2021")))
		upgrade(d, e);
	else if (slice_equal(e->path, SLICE("/key")) && strcmp(e->method, "GET") == 0)
		answer_key(d, e);
	else if (d->config.on_plain)
		d->config.on_plain(d->config.context, e);
	else
		http_answer(e, 404, "text/plain", SLICE("not found\n"));
}

/* --- life ------------------------------------------------------------------------------------- */
struct door *door_new(struct loop *loop, const struct door_config *config)
{
	struct door *d = NEW(struct door);
	struct http_server_config http = {
		.on_request = on_plain,
		.context = d,
		.allows_upgrade = true,
		.connections_max = DOOR_HANDSHAKES_MAX,
	};

	assert(config->on_request && config->on_gone);
	d->magic = DOOR_MAGIC;
	d->loop = loop;
	d->config = *config;
	d->budget.max = DOOR_BODIES_BYTES_MAX;
	d->unsent.max = config->pending_max ? config->pending_max : DOOR_ALL_PENDING_BYTES_MAX;
	x25519_public(config->secret.bytes, d->public.bytes);
	list_init(&d->unproven);
	list_init(&d->clients);
	d->http = http_server_new(loop, &http);
	timer_set(&d->sweep, loop, loop_now_ms(loop) + DOOR_SWEEP_MS, on_sweep);
	return d;
}

void door_accept(struct door *d, struct stream *s)
{
	assert(d->magic == DOOR_MAGIC);
	http_server_accept(d->http, s);
}

void door_close(struct door *d)
{
	assert(d->magic == DOOR_MAGIC);
	LIST_EACH (&d->unproven, struct visitor, link, v)
		visitor_free(v, 0);
	LIST_EACH (&d->clients, struct visitor, link, v)
		visitor_free(v, DOOR_LINGER_MS);
	timer_clear(&d->sweep);
	http_server_close(d->http);
	crypto_wipe(&d->config.secret, sizeof(d->config.secret));
	d->magic = 0;
	memory_free(d);
}

bool door_is_busy(const struct door *d)
{
	return d->unsent.used > d->unsent.max / 2;
}

size_t door_client_count(const struct door *d)
{
	return d->client_count;
}

struct mesh_key door_public_key(const struct door *d)
{
	return d->public;
}
