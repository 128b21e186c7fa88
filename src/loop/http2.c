/* A session has one nghttp2_session.  An exchange is made when the headers of a request begin, or
 * by http2_request(), and goes when nghttp2 closes its stream; its owner lets go of it earlier.
 *
 * Bodies of requests are held until the answer begins.  So much of the session's window is only
 * given back then, that a client cannot have more than HTTP2_HELD_BYTES_MAX held. */
#include "loop/http2.h"

#include <assert.h>

#include "base/memory.h"
#include "base/text.h"
#include "loop/http2_private.h"

void http2_want_output(struct http2 *h)
{
	if (!h->is_broken)
		h->config.on_output(h->config.transport);
}

void http2_must_work(int code)
{
	assert(code == 0);
	(void)code;
}

/* --- what nghttp2 tells ----------------------------------------------------------------------- */
static struct exchange *find_exchange(struct http2 *h, int32_t id)
{
	struct exchange *x = nghttp2_session_get_stream_user_data(h->session, id);

	assert(!x || x->magic == HTTP2_MAGIC);
	return x;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2 *h = context;

	if (!h->is_server || frame->hd.type != NGHTTP2_HEADERS ||
	    frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (h->exchange_count >= HTTP2_EXCHANGES_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	struct exchange *x = exchange_new(h, frame->hd.stream_id);
	http2_must_work(nghttp2_session_set_stream_user_data(session, x->id, x));
	return 0;
}

/* False: the value is too long. */
static bool keep_header(struct exchange *x, struct slice name, struct slice value)
{
	uint64_t status, seconds;

	if (slice_equal(name, SLICE(":method"))) {
		buf_add_slice(&x->method, value);
		return value.size <= HTTP2_METHOD_BYTES_MAX;
	}
	if (slice_equal(name, SLICE(":path"))) {
		buf_add_slice(&x->path, value);
		return value.size <= HTTP2_PATH_BYTES_MAX;
	}
	if (slice_equal(name, SLICE(":status")) && !x->session->is_server) {
		if (text_to_u64(value, 999, &status))
			return false;
		x->public.status = (int)status;
	}
	if (slice_equal(name, SLICE("retry-after")) && !x->session->is_server &&
	    !text_to_u64(value, HTTP2_RETRY_AFTER_S_MAX, &seconds))
		x->public.retry_after_s = (unsigned)seconds;
	return true;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
		     void *context)
{
	struct http2 *h = context;
	struct exchange *x = find_exchange(h, frame->hd.stream_id);

	(void)session;
	(void)flags;
	/* trailers have no such names: nghttp2 sees to that */
	if (x && !keep_header(x, (struct slice) { name, name_size },
			      (struct slice) { value, value_size }))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return 0;
}

/* An answer of ours, instead of one of the owner, who does not hear of it. */
static void refuse(struct exchange *x, int status, const char *text)
{
	if (x->is_answered)
		return;
	exchange_answer(x, status, "text/plain", slice_from(text));
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
			 size_t size, void *context)
{
	struct http2 *h = context;
	struct exchange *x = find_exchange(h, id);
	struct http2_budget *budget = h->config.budget;

	(void)flags;
	if (h->is_silent)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!h->is_server) {
		if (x && x->is_owned)
			h->config.on_data(h->config.context, &x->public,
					  (struct slice) { data, size });
		return 0; /* the windows are nghttp2's */
	}
	if (!x || x->is_answered) {
		http2_must_work(nghttp2_session_consume_connection(session, size));
		return 0;
	}
	x->held_bytes += size;
	if (size > HTTP2_REQUEST_BYTES_MAX - x->body.size) {
		refuse(x, 413, "the request is too long\n");
	} else if (budget && size > budget->max - budget->used) {
		refuse(x, 503, "too many requests at once\n");
	} else {
		buf_add(&x->body, data, size);
		if (budget)
			budget->used += size;
	}
	return 0;
}

static void hand_request_over(struct exchange *x)
{
	struct http2 *h = x->session;
	struct slice rest = buf_slice(&x->path);

	x->is_whole = true;
	if (x->is_answered || h->is_silent)
		return;
	x->public.path = slice_cut(&rest, '?');
	x->public.query = rest;
	x->public.method = buf_slice(&x->method);
	x->public.body = buf_slice(&x->body);
	x->is_owned = true;
	h->config.on_request(h->config.context, &x->public);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2 *h = context;
	bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)session;
	if (h->is_silent)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
		h->pong_count++;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		h->is_going_away = true;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	struct exchange *x = find_exchange(h, frame->hd.stream_id);
	if (!x)
		return 0;
	if (h->is_server) {
		if (is_last)
			hand_request_over(x);
		return 0;
	}
	if (frame->hd.type == NGHTTP2_HEADERS && x->is_owned && h->config.on_answer &&
	    frame->headers.cat == NGHTTP2_HCAT_RESPONSE && x->public.status >= 200)
		h->config.on_answer(h->config.context, &x->public);
	if (is_last)
		x->is_whole = true;
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
	struct http2 *h = context;
	struct exchange *x = find_exchange(h, id);

	(void)session;
	if (!x)
		return 0;
	exchange_tell_end(x, x->is_whole && code == NGHTTP2_NO_ERROR ? OK : ERR_UNAVAILABLE);
	exchange_free(x);
	return 0;
}

/* --- the session ------------------------------------------------------------------------------ */
static nghttp2_session_callbacks *new_callbacks(void)
{
	nghttp2_session_callbacks *callbacks;

	http2_must_work(nghttp2_session_callbacks_new(&callbacks));
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	return callbacks;
}

static struct http2 *session_new(const struct http2_config *config, bool is_server)
{
	struct http2 *h = NEW(struct http2);
	nghttp2_session_callbacks *callbacks = new_callbacks();
	nghttp2_option *option;

	h->magic = HTTP2_MAGIC;
	h->config = *config;
	h->is_server = is_server;
	list_init(&h->exchanges);
	http2_must_work(nghttp2_option_new(&option));
	nghttp2_option_set_max_outbound_ack(option, HTTP2_ACKNOWLEDGE_MAX);
	nghttp2_option_set_no_closed_streams(option, 1);
	if (is_server) {
		nghttp2_option_set_no_auto_window_update(option, 1);
		http2_must_work(nghttp2_session_server_new2(&h->session, callbacks, h, option));
	} else {
		http2_must_work(nghttp2_session_client_new2(&h->session, callbacks, h, option));
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(callbacks);
	return h;
}

static void submit_settings(struct http2 *h, const nghttp2_settings_entry *settings, size_t count,
			    int32_t window)
{
	http2_must_work(nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings, count));
	http2_must_work(
		nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, window));
}

struct http2 *http2_new_server(const struct http2_config *config)
{
	struct http2 *h = session_new(config, true);
	/* a byte more than a body may have, to see that it has more */
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_EXCHANGES_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_REQUEST_BYTES_MAX + 1 },
	};

	assert(config->on_output && config->on_request && config->on_gone);
	submit_settings(h, settings, 2, HTTP2_HELD_BYTES_MAX);
	return h;
}

struct http2 *http2_new_client(const struct http2_config *config)
{
	struct http2 *h = session_new(config, false);
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_CLIENT_WINDOW_BYTES },
	};

	assert(config->on_output && config->on_data && config->on_end);
	submit_settings(h, settings, 2, HTTP2_CLIENT_WINDOW_BYTES);
	return h;
}

void http2_free(struct http2 *h)
{
	assert(h->magic == HTTP2_MAGIC);
	h->is_broken = true;
	LIST_EACH (&h->exchanges, struct exchange, link, x)
		exchange_free(x);
	nghttp2_session_del(h->session);
	h->magic = 0;
	memory_free(h);
}

enum err http2_feed(struct http2 *h, struct slice bytes, uint64_t now_ms)
{
	assert(h->magic == HTTP2_MAGIC);
	if (h->is_broken)
		return ERR_CORRUPT;
	h->now_ms = now_ms;
	ssize_t used = nghttp2_session_mem_recv(h->session, bytes.data, bytes.size);
	if (used < 0 || (size_t)used != bytes.size) {
		h->is_broken = true;
		return ERR_CORRUPT;
	}
	if (nghttp2_session_want_write(h->session))
		http2_want_output(h);
	return OK;
}

static void tell_drained(struct http2 *h)
{
	LIST_EACH (&h->exchanges, struct exchange, link, x) {
		if (!x->is_drained)
			continue;
		x->is_drained = false;
		if (x->is_owned && h->config.on_drained)
			h->config.on_drained(h->config.context, &x->public);
	}
}

void http2_output(struct http2 *h, struct buf *ret, size_t size_max)
{
	size_t before = ret->size;

	assert(h->magic == HTTP2_MAGIC);
	while (!h->is_broken && ret->size - before < size_max) {
		const uint8_t *data;
		ssize_t size = nghttp2_session_mem_send(h->session, &data);
		if (size < 0)
			h->is_broken = true;
		if (size <= 0)
			break;
		buf_add(ret, data, (size_t)size);
	}
	if (h->is_server)
		tell_drained(h);
}

void http2_end(struct http2 *h)
{
	assert(h->magic == HTTP2_MAGIC);
	h->is_broken = true;
	LIST_EACH (&h->exchanges, struct exchange, link, x)
		exchange_tell_end(x, ERR_UNAVAILABLE);
}

void http2_silence(struct http2 *h)
{
	assert(h->magic == HTTP2_MAGIC);
	h->is_broken = h->is_silent = true;
	LIST_EACH (&h->exchanges, struct exchange, link, x) {
		x->is_owned = false;
		exchange_drop_body(x);
		exchange_drop_pieces(x);
	}
	h->config.budget = h->config.unsent = NULL; /* they may go with the owner */
}

bool http2_is_over(const struct http2 *h)
{
	return h->is_broken ||
	       (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session));
}

void http2_go_away(struct http2 *h)
{
	if (h->is_broken)
		return;
	http2_must_work(nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
					      nghttp2_session_get_last_proc_stream_id(h->session),
					      NGHTTP2_NO_ERROR, NULL, 0));
	http2_want_output(h);
}

void http2_ping(struct http2 *h)
{
	if (h->is_broken)
		return;
	http2_must_work(nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL));
	http2_want_output(h);
}

uint64_t http2_pong_count(const struct http2 *h)
{
	return h->pong_count;
}

void http2_drop_slow(struct http2 *h, uint64_t before_ms)
{
	assert(h->is_server);
	LIST_EACH (&h->exchanges, struct exchange, link, x)
		if (!x->is_whole && !x->is_answered && x->begun_ms < before_ms)
			refuse(x, 408, "the request did not come in time\n");
}

/* Whoever does not read it has forgotten it, or means harm. */
static void cut_off(struct exchange *x)
{
	exchange_drop_pieces(x);
	x->is_ended = false; /* else it would look whole */
	x->unread_ms = 0;
	exchange_tell_end(x, ERR_UNAVAILABLE);
	exchange_reset(x, NGHTTP2_CANCEL);
}

void http2_drop_unread(struct http2 *h, uint64_t now_ms, uint64_t patience_ms)
{
	assert(h->is_server);
	if (h->is_broken)
		return;
	LIST_EACH (&h->exchanges, struct exchange, link, x) {
		if (x->pending_bytes == 0) {
			x->unread_ms = 0;
		} else if (x->unread_ms == 0 || x->unread_at != x->sent_bytes) {
			x->unread_ms = now_ms;
			x->unread_at = x->sent_bytes;
		} else if (now_ms - x->unread_ms >= patience_ms) {
			cut_off(x);
		}
	}
}

void http2_discard(struct http2 *h)
{
	assert(h->magic == HTTP2_MAGIC && h->is_server);
	h->is_broken = true;
	LIST_EACH (&h->exchanges, struct exchange, link, x)
		exchange_drop_pieces(x);
}

size_t http2_exchange_count(const struct http2 *h)
{
	return h->exchange_count;
}
