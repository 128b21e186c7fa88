/* HTTP/2 over any bytes, client and server: an engine, bytes in and bytes out, without a socket or
 * a clock.  nghttp2 does the protocol; what is here bounds it and makes exchanges of it.
 *
 *	transport -> http2_feed() -> on_request, on_answer, on_data, on_end, on_gone
 *	transport <- http2_output() <- http2_begin(), http2_write(), http2_request(), ...
 *
 * Whoever owns the transport takes output only while it can send it, and stops feeding while it
 * cannot: then neither side of a session grows.  Callbacks come from inside http2_feed(),
 * http2_output(), http2_drop_unread() and http2_end() and may call anything here but these and
 * http2_free(). */
#ifndef LOOP_HTTP2_H
#define LOOP_HTTP2_H

#include "base/blob.h"
#include "base/buf.h"

enum {
	HTTP2_EXCHANGES_MAX = 128, /* of one session at the same time */
	HTTP2_METHOD_BYTES_MAX = 16,
	HTTP2_PATH_BYTES_MAX = 4096,		/* with its query */
	HTTP2_REQUEST_BYTES_MAX = 1024 * 1024,	/* body of a request; more is 413 */
	HTTP2_HELD_BYTES_MAX = 2 * 1024 * 1024, /* bodies of one session in all */
	HTTP2_ACKNOWLEDGE_MAX = 256,		/* pings and settings not yet answered */
	HTTP2_RETRY_AFTER_S_MAX = 24 * 60 * 60,
	HTTP2_CLIENT_WINDOW_BYTES = 4 * 1024 * 1024, /* of answers on their way to a client */
};

struct http2;

/* What many sessions share.  Request bodies: over it a request is 503.  Unsent answers: only
 * counted, and only blobs that nobody else holds; the limit is the owner's to keep. */
struct http2_budget {
	size_t used, max;
};

/* One request and its answer.  Server: from on_request until http2_answer() or http2_end_body() is
 * called, or on_gone.  Client: from http2_request() until on_end or http2_cancel(). */
struct http2_exchange {
	struct slice method;
	struct slice path; /* without the query */
	struct slice query;
	struct slice body;	/* server: of the request, until the answer begins */
	int status;		/* client: of the answer, 0 before */
	unsigned retry_after_s; /* client: says the answer; 0: nothing, or a date */
	void *owner_state;
};

struct http2_config {
	/* The transport: there is output where there was none, maybe. */
	void (*on_output)(void *transport);
	void *transport;
	/* The owner, of all that follows. */
	void *context;
	/* Server. */
	void (*on_request)(void *context, struct http2_exchange *e);
	void (*on_gone)(void *context, struct http2_exchange *e);    /* its answer was not whole */
	void (*on_drained)(void *context, struct http2_exchange *e); /* all written is on its way;
								      * may be NULL */
	struct http2_budget *budget;				     /* may be NULL */
	struct http2_budget *unsent;				     /* may be NULL */
	/* Client. */
	void (*on_answer)(void *context, struct http2_exchange *e); /* status; may be NULL */
	void (*on_data)(void *context, struct http2_exchange *e, struct slice bytes);
	/* OK: the answer is whole; ERR_UNAVAILABLE: it was cut off, or never began. */
	void (*on_end)(void *context, struct http2_exchange *e, enum err err);
};

struct http2 *http2_new_server(const struct http2_config *config);
struct http2 *http2_new_client(const struct http2_config *config);
void http2_free(struct http2 *h); /* calls nothing */

/* The session is over and no callback comes any more, not even for what is being fed; for owners
 * that go away inside of one, where http2_free() is not possible yet. */
void http2_silence(struct http2 *h);

/* Bytes of the peer.  ERR_CORRUPT: it does not speak HTTP/2, or floods us; the session is over. */
MUST_CHECK enum err http2_feed(struct http2 *h, struct slice bytes, uint64_t now_ms);

/* Append about `size_max` bytes (a frame more at most) for the peer to `ret`. */
void http2_output(struct http2 *h, struct buf *ret, size_t size_max);

/* Every exchange ends: on_gone, or on_end with ERR_UNAVAILABLE. */
void http2_end(struct http2 *h);

/* Nothing more comes or goes: the transport can be closed. */
bool http2_is_over(const struct http2 *h);

/* Take no new requests; those under way go on. */
void http2_go_away(struct http2 *h);

/* Ask the peer for a sign of life; http2_pong_count() grows when it comes. */
void http2_ping(struct http2 *h);
uint64_t http2_pong_count(const struct http2 *h);

/* Server: requests that began before `before_ms` and are not whole yet are refused. */
void http2_drop_slow(struct http2 *h, uint64_t before_ms);

/* Server, now and then: an answer of which the client has read nothing for `patience_ms`, though
 * there is something, is reset and its bytes are freed; on_gone if it had not ended. */
void http2_drop_unread(struct http2 *h, uint64_t now_ms, uint64_t patience_ms);

/* Server: the bytes of all answers are freed and nothing is sent any more; http2_end() tells. */
void http2_discard(struct http2 *h);
size_t http2_exchange_count(const struct http2 *h);

/* --- server ----------------------------------------------------------------------------------- */
/* The whole answer; `body` is copied, `content_type` is a constant. */
void http2_answer(struct http2_exchange *e, int status, const char *content_type,
		  struct slice body);

/* Not now, but maybe in so many seconds (Retry-After). */
void http2_answer_busy(struct http2_exchange *e, int status, unsigned retry_after_s,
		       struct slice body);

/* Or in pieces; http2_write takes over one reference. */
void http2_begin(struct http2_exchange *e, int status, const char *content_type);
void http2_write(struct http2_exchange *e, struct blob *b);
void http2_end_body(struct http2_exchange *e);
size_t http2_pending_bytes(const struct http2_exchange *e); /* written and not yet output */

size_t http2_all_pending_bytes(const struct http2 *h); /* of all its answers */

/* Give up on the answer: the client sees that it was cut off. */
void http2_reset(struct http2_exchange *e);

/* --- client ----------------------------------------------------------------------------------- */
struct http2_request {
	const char *method;
	const char *authority;
	const char *path;	  /* with query */
	const char *content_type; /* NULL: no body */
	struct slice body;	  /* copied */
};

/* NULL: too many are under way, or the server takes no more. */
struct http2_exchange *http2_request(struct http2 *h, const struct http2_request *request);

/* Not interested any more; on_end is not called. */
void http2_cancel(struct http2_exchange *e);

#endif
