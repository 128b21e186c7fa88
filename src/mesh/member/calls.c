/* The requests of a member: register, the map stream, updates, answers to pings. */
#include <assert.h>

#include "base/log.h"
#include "base/memory.h"
#include "mesh/member/private.h"
#include "wire/control/register.h"
#include "wire/crypto/x25519.h"

static const char json_type[] = "application/json";

/* --- answers ---------------------------------------------------------------------------------- */
static struct member_call *call_of(struct member *m, const struct http2_exchange *e)
{
	if (e == m->registering.exchange)
		return &m->registering;
	if (e == m->update.exchange)
		return &m->update;
	return NULL; /* the map, or the answer to a ping */
}

static void on_answer(void *context, struct http2_exchange *e)
{
	struct member *m = context;

	if (e != m->map)
		return;
	if (e->status == 200) {
		m->heard_ms = loop_now_ms(m->loop);
		return;
	}
	m->is_map_lost = true;
	/* 429 is "not now", every other one of these "not you", in the words of some server */
	m->is_map_refused = e->status >= 400 && e->status < 500 && e->status != 429;
	member_set_why(m, "control refuses the map (status %d)", e->status);
	member_wake(m);
}

static void on_data(void *context, struct http2_exchange *e, struct slice bytes)
{
	struct member *m = context;
	struct member_call *call = call_of(m, e);

	if (e == m->map) {
		if (!m->is_map_lost)
			member_map_bytes(m, bytes);
		return;
	}
	if (!call)
		return;
	if (bytes.size > CONTROL_REGISTER_BYTES_MAX - call->answer.size) {
		call->err = ERR_TOO_BIG;
		call->is_done = true;
		member_wake(m);
		return;
	}
	buf_add_slice(&call->answer, bytes);
}

static void on_call_end(void *context, struct http2_exchange *e, enum err err)
{
	struct member *m = context;
	struct member_call *call = call_of(m, e);

	if (e == m->map) {
		m->map = NULL;
		if (!m->is_map_lost)
			member_set_why(m, "control ended the map stream");
		m->is_map_lost = true;
	} else if (call) {
		call->exchange = NULL;
		call->status = e->status;
		call->err = call->err ? call->err : err;
		call->is_done = true;
	} else {
		m->answer_count--;
	}
	member_wake(m);
}

static void on_channel_end(void *context, enum err err, const char *why)
{
	struct member *m = context;

	(void)err;
	member_set_why(m, "%s", why);
	m->is_channel_ended = true;
	member_wake(m);
}

void member_channel_callbacks(struct member *m, struct dial_config *config)
{
	config->http2 = (struct http2_config) {
		.context = m,
		.on_answer = on_answer,
		.on_data = on_data,
		.on_end = on_call_end,
	};
	config->channel_config = (struct channel_config) {
		.context = m,
		.on_end = on_channel_end,
	};
}

/* --- requests --------------------------------------------------------------------------------- */
static struct http2_exchange *post(struct member *m, const char *path, const char *content_type,
				   struct slice body)
{
	return http2_request(channel_http2(m->channel), &(struct http2_request) {
								.method = "POST",
								.authority = "unused",
								.path = path,
								.content_type = content_type,
								.body = body,
							});
}

static bool start_call(struct member *m, struct member_call *call, const char *path,
		       struct slice body)
{
	assert(!call->exchange);
	buf_clear(&call->answer);
	call->is_done = false;
	call->err = OK;
	call->status = 0;
	call->exchange = post(m, path, json_type, body);
	return call->exchange != NULL;
}

static struct mesh_key public_of(const struct mesh_key *secret)
{
	struct mesh_key key = { 0 };

	if (!mesh_key_is_zero(secret))
		x25519_public(secret->bytes, key.bytes);
	return key;
}

bool member_call_register(struct member *m, bool is_log_out)
{
	struct control_register_request request = {
		.version = MEMBER_VERSION,
		.node_key = public_of(&m->node_secret),
		.old_node_key = public_of(&m->old_node_secret),
		.auth_key = slice_from(is_log_out || m->holds_join_key_back ? "" : m->join_key),
		.followup = slice_from(m->auth_url),
		.hostinfo = m->facts.about.hostinfo,
		.expiry_s = is_log_out ? CONTROL_LOGOUT_EXPIRY_S : 0,
		.is_ephemeral = m->config.is_ephemeral,
	};
	struct buf json;

	buf_init(&json);
	control_register_request_encode(&json, &request);
	bool is_sent = start_call(m, &m->registering, "/machine/register", buf_slice(&json));
	buf_done(&json);
	return is_sent;
}

static void encode_map_request(struct member *m, bool is_stream, struct buf *json)
{
	const struct member_about *about = &m->facts.about;
	struct control_map_request request = {
		.version = MEMBER_VERSION,
		.node_key = public_of(&m->node_secret),
		.disco_key = about->disco_key,
		.endpoints = about->endpoints,
		.endpoint_kinds = about->endpoint_kinds,
		.endpoint_count = about->endpoint_count,
		.hostinfo = about->hostinfo,
		.has_hostinfo = true,
		.is_compressed = true,
		.is_stream = is_stream,
		.omits_peers = !is_stream,
	};

	control_map_request_encode(json, &request);
}

bool member_call_map(struct member *m)
{
	struct buf json;

	buf_init(&json);
	encode_map_request(m, true, &json);
	m->map = post(m, "/machine/map", json_type, buf_slice(&json));
	buf_done(&json);
	buf_clear(&m->frames);
	return m->map != NULL;
}

void member_call_update(struct member *m)
{
	struct buf json;
	uint64_t now = loop_now_ms(m->loop);

	if (m->update.exchange || now < m->update_at_ms)
		return;
	buf_init(&json);
	encode_map_request(m, false, &json);
	if (!slice_equal(buf_slice(&json), buf_slice(&m->told)) &&
	    start_call(m, &m->update, "/machine/map", buf_slice(&json))) {
		buf_clear(&m->told);
		buf_add_slice(&m->told, buf_slice(&json));
		m->update_at_ms = now + MEMBER_UPDATE_MS;
	}
	buf_done(&json);
}

static void drop_call(struct member_call *call)
{
	if (call->exchange)
		http2_cancel(call->exchange);
	call->exchange = NULL;
	call->is_done = false;
}

void member_drop_calls(struct member *m)
{
	drop_call(&m->registering);
	drop_call(&m->update);
	if (m->map)
		http2_cancel(m->map);
	m->map = NULL;
	buf_clear(&m->frames);
	buf_clear(&m->told); /* a new server knows nothing of it */
}

/* --- pings ------------------------------------------------------------------------------------ */
/* `content_type` NULL: HEAD, without a body. */
static void call_back(struct member *m, struct slice url, const char *content_type,
		      struct slice body)
{
	struct slice path = control_url_path(url);
	char text[HTTP2_PATH_BYTES_MAX + 1];

	if (!m->channel || m->is_channel_ended || path.size == 0 ||
	    path.size > HTTP2_PATH_BYTES_MAX || m->answer_count >= MEMBER_PENDING_ANSWERS_MAX)
		return;
	memcpy(text, path.data, path.size);
	text[path.size] = 0;
	const struct http2_request request = {
		.method = content_type ? "POST" : "HEAD",
		.authority = "unused",
		.path = text,
		.content_type = content_type,
		.body = body,
	};
	if (http2_request(channel_http2(m->channel), &request))
		m->answer_count++;
}

void member_answer_ping(struct member *m, struct slice url, struct slice json)
{
	call_back(m, url, json_type, json);
}

/* Control asks something of this machine through HTTP: whether it is there is all it may know. */
static void answer_request(struct member *m, const struct control_ping *ping)
{
	struct slice rest = ping->payload;
	struct slice line = slice_cut(&rest, '\n');
	bool is_echo = slice_starts_with(line, SLICE("GET /echo ")) ||
		       slice_starts_with(line, SLICE("POST /echo "));
	const uint8_t *end = rest.size ? memmem(rest.data, rest.size, "\r\n\r\n", 4) : NULL;
	struct slice body = { 0 };
	struct buf answer;

	if (is_echo && end)
		body = slice_part(ping->payload, (size_t)(end - ping->payload.data) + 4,
				  ping->payload.size);
	buf_init(&answer);
	buf_add_format(&answer, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
		       is_echo ? "200 OK" : "404 Not Found", body.size);
	buf_add_slice(&answer, body);
	call_back(m, ping->url, "application/octet-stream", buf_slice(&answer));
	buf_done(&answer);
}

void member_take_ping(struct member *m, const struct control_ping *ping)
{
	if (ping->url.size == 0 || ping->url.size >= sizeof(m->last_ping) ||
	    slice_equal(ping->url, slice_from(m->last_ping)))
		return;
	memcpy(m->last_ping, ping->url.data, ping->url.size);
	m->last_ping[ping->url.size] = 0;
	if (slice_equal(ping->types, SLICE("c2n"))) {
		answer_request(m, ping);
	} else if (ping->types.size > 0) {
		if (m->config.on_ping)
			m->config.on_ping(m->config.context, ping);
	} else if (ping->is_noise) {
		call_back(m, ping->url, NULL, (struct slice) { 0 });
	} else {
		log_debug("control wants a sign of life at %.*s, where we do not call",
			  SLICE_ARG(ping->url));
	}
}
