/* Exchanges of a session: what is sent in them, and what their owners do. */
#include <assert.h>
#include <stdio.h>

#include "base/memory.h"
#include "loop/http2_private.h"

struct piece {
	struct list link;
	struct blob *blob;
	size_t offset;
	size_t counted; /* in the budget of what is unsent */
};

static struct exchange *exchange_of(const struct http2_exchange *e)
{
	struct exchange *x = CONTAINER(e, struct exchange, public);

	assert(x->magic == HTTP2_MAGIC);
	return x;
}

/* --- exchanges -------------------------------------------------------------------------------- */
struct exchange *exchange_new(struct http2 *h, int32_t id)
{
	struct exchange *x = NEW(struct exchange);

	x->magic = HTTP2_MAGIC;
	x->session = h;
	x->id = id;
	x->begun_ms = h->now_ms;
	list_init(&x->pieces);
	list_add(&h->exchanges, &x->link);
	h->exchange_count++;
	return x;
}

/* The body of a request is not needed any more: another may come. */
void exchange_drop_body(struct exchange *x)
{
	struct http2 *h = x->session;

	if (h->config.budget)
		h->config.budget->used -= x->body.size;
	buf_done(&x->body);
	x->public.body = (struct slice) { 0 };
	if (x->held_bytes > 0 && !h->is_broken)
		http2_must_work(nghttp2_session_consume_connection(h->session, x->held_bytes));
	x->held_bytes = 0;
}

static void piece_free(struct exchange *x, struct piece *piece)
{
	if (piece->counted)
		x->session->config.unsent->used -= piece->counted;
	list_remove(&piece->link);
	blob_unref(&piece->blob);
	memory_free(piece);
}

void exchange_drop_pieces(struct exchange *x)
{
	LIST_EACH (&x->pieces, struct piece, link, piece)
		piece_free(x, piece);
	x->session->pending_bytes -= x->pending_bytes;
	x->pending_bytes = 0;
}

void exchange_free(struct exchange *x)
{
	struct http2 *h = x->session;

	exchange_drop_body(x);
	exchange_drop_pieces(x);
	buf_done(&x->method);
	buf_done(&x->path);
	list_remove(&x->link);
	h->exchange_count--;
	x->magic = 0;
	memory_free(x);
}

/* The owner hears of it once, unless it let go before. */
void exchange_tell_end(struct exchange *x, enum err err)
{
	struct http2 *h = x->session;

	if (!x->is_owned)
		return;
	x->is_owned = false;
	if (h->is_server)
		h->config.on_gone(h->config.context, &x->public);
	else
		h->config.on_end(h->config.context, &x->public, err);
}

void exchange_reset(struct exchange *x, uint32_t code)
{
	struct http2 *h = x->session;

	if (h->is_broken)
		return;
	http2_must_work(nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, x->id, code));
	http2_want_output(h);
}

/* --- what is sent ----------------------------------------------------------------------------- */
static size_t copy_pieces(struct exchange *x, uint8_t *room, size_t size)
{
	size_t copied = 0;

	while (copied < size && !list_is_empty(&x->pieces)) {
		struct piece *piece = CONTAINER(x->pieces.next, struct piece, link);
		struct slice part =
			slice_part(blob_slice(piece->blob), piece->offset, size - copied);
		memcpy(room + copied, part.data, part.size);
		copied += part.size;
		piece->offset += part.size;
		if (piece->offset < piece->blob->size)
			break;
		piece_free(x, piece);
	}
	x->pending_bytes -= copied;
	x->session->pending_bytes -= copied;
	x->sent_bytes += copied;
	return copied;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
			 uint32_t *flags, nghttp2_data_source *source, void *context)
{
	struct exchange *x = source->ptr;

	(void)session;
	(void)id;
	(void)context;
	size_t copied = copy_pieces(x, room, size);
	if (list_is_empty(&x->pieces)) {
		if (x->is_ended)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
		else if (copied > 0)
			x->is_drained = true;
	}
	if (copied == 0 && !x->is_ended) {
		x->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)copied;
}

static void add_piece(struct exchange *x, struct blob *b)
{
	struct http2 *h = x->session;

	if (b->size == 0) {
		blob_unref(&b);
		return;
	}
	struct piece *piece = NEW(struct piece);
	piece->blob = b;
	if (h->config.unsent && b->refs == 1) {
		piece->counted = b->size;
		h->config.unsent->used += b->size;
	}
	list_add(&x->pieces, &piece->link);
	x->pending_bytes += b->size;
	h->pending_bytes += b->size;
}

static void resume(struct exchange *x)
{
	struct http2 *h = x->session;

	if (x->is_deferred && !h->is_broken) {
		x->is_deferred = false;
		/* fails for a stream that is about to close, which needs nothing then */
		(void)nghttp2_session_resume_data(h->session, x->id);
	}
	http2_want_output(h);
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv) {
		.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
	};
}

static void submit_answer(struct exchange *x, int status, const char *content_type)
{
	struct http2 *h = x->session;
	nghttp2_data_provider provider = { .source.ptr = x, .read_callback = read_body };
	char status_text[16], retry_text[16];
	nghttp2_nv headers[3];
	size_t count = 0;

	assert(h->is_server && !x->is_answered);
	assert(status >= 200 && status <= 599);
	x->is_answered = true;
	exchange_drop_body(x);
	if (h->is_broken)
		return;
	snprintf(status_text, sizeof(status_text), "%d", status);
	headers[count++] = header(":status", status_text);
	if (content_type)
		headers[count++] = header("content-type", content_type);
	if (x->public.retry_after_s) {
		snprintf(retry_text, sizeof(retry_text), "%u", x->public.retry_after_s);
		headers[count++] = header("retry-after", retry_text);
	}
	http2_must_work(nghttp2_submit_response(h->session, x->id, headers, count, &provider));
	http2_want_output(h);
}

/* --- what the owner of an exchange does ------------------------------------------------------- */
void http2_begin(struct http2_exchange *e, int status, const char *content_type)
{
	struct exchange *x = exchange_of(e);

	assert(x->is_owned);
	submit_answer(x, status, content_type);
}

void http2_write(struct http2_exchange *e, struct blob *b)
{
	struct exchange *x = exchange_of(e);

	assert(x->is_owned && x->is_answered && !x->is_ended);
	add_piece(x, b);
	resume(x);
}

void http2_end_body(struct http2_exchange *e)
{
	struct exchange *x = exchange_of(e);

	assert(x->is_owned && x->is_answered && !x->is_ended);
	x->is_ended = true;
	x->is_owned = false;
	resume(x);
}

void exchange_answer(struct exchange *x, int status, const char *content_type, struct slice body)
{
	if (body.size > 0)
		add_piece(x, blob_from(body));
	x->is_ended = true;
	x->is_owned = false;
	submit_answer(x, status, content_type);
}

void http2_answer(struct http2_exchange *e, int status, const char *content_type, struct slice body)
{
	struct exchange *x = exchange_of(e);

	assert(x->is_owned && !x->is_answered);
	exchange_answer(x, status, content_type, body);
}

void http2_answer_busy(struct http2_exchange *e, int status, unsigned retry_after_s,
		       struct slice body)
{
	e->retry_after_s = retry_after_s;
	http2_answer(e, status, "text/plain", body);
}

size_t http2_pending_bytes(const struct http2_exchange *e)
{
	return exchange_of(e)->pending_bytes;
}

size_t http2_all_pending_bytes(const struct http2 *h)
{
	return h->pending_bytes;
}

void http2_reset(struct http2_exchange *e)
{
	struct exchange *x = exchange_of(e);

	assert(x->is_owned);
	x->is_owned = false;
	exchange_drop_pieces(x);
	exchange_drop_body(x);
	exchange_reset(x, NGHTTP2_INTERNAL_ERROR);
}

void http2_cancel(struct http2_exchange *e)
{
	struct exchange *x = exchange_of(e);

	assert(x->is_owned);
	x->is_owned = false;
	exchange_drop_pieces(x);
	exchange_reset(x, NGHTTP2_CANCEL);
}

static struct slice set_text(struct buf *b, const char *text)
{
	buf_add_text(b, text);
	return buf_slice(b);
}

struct http2_exchange *http2_request(struct http2 *h, const struct http2_request *request)
{
	nghttp2_data_provider provider = { .read_callback = read_body };
	char length[24];
	nghttp2_nv headers[6] = {
		header(":method", request->method),
		header(":scheme", "https"),
		header(":authority", request->authority),
		header(":path", request->path),
	};
	size_t count = 4;

	assert(h->magic == HTTP2_MAGIC && !h->is_server);
	if (h->is_broken || h->is_going_away || h->exchange_count >= HTTP2_EXCHANGES_MAX ||
	    !nghttp2_session_check_request_allowed(h->session))
		return NULL;
	if (request->content_type) {
		snprintf(length, sizeof(length), "%zu", request->body.size);
		headers[count++] = header("content-type", request->content_type);
		headers[count++] = header("content-length", length);
	}
	struct exchange *x = exchange_new(h, 0);
	provider.source.ptr = x;
	x->is_owned = true;
	x->is_ended = true;
	if (request->content_type)
		add_piece(x, blob_from(request->body));
	x->public.method = set_text(&x->method, request->method);
	x->public.path = set_text(&x->path, request->path);
	x->id = nghttp2_submit_request(h->session, NULL, headers, count,
				       request->content_type ? &provider : NULL, x);
	assert(x->id > 0);
	http2_want_output(h);
	return &x->public;
}
