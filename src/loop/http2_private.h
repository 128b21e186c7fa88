/* What http2.c (a session) and http2_exchange.c share. */
#ifndef LOOP_HTTP2_PRIVATE_H
#define LOOP_HTTP2_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "loop/http2.h"

enum {
	HTTP2_MAGIC = 0x48747032,
};

struct exchange {
	struct http2_exchange public;
	uint32_t magic;
	struct http2 *session;
	struct list link;
	int32_t id;
	uint64_t begun_ms;
	struct buf method, path;
	struct buf body;
	size_t held_bytes;  /* of the session's window, not given back yet */
	struct list pieces; /* of http2_exchange.c: to be sent */
	size_t pending_bytes;
	uint64_t sent_bytes;
	uint64_t unread_ms,
		unread_at; /* since when nothing is read, behind so many bytes; 0: none */
	bool is_owned;	   /* somebody outside knows it */
	bool is_whole;	   /* the request is; client: the answer */
	bool is_answered;  /* an answer has begun */
	bool is_ended;	   /* no more pieces come */
	bool is_deferred;  /* nghttp2 waits for pieces */
	bool is_drained;   /* on_drained is due */
};

struct http2 {
	uint32_t magic;
	bool is_server;
	bool is_broken; /* nothing can be read or written any more */
	bool is_silent; /* the owner is gone */
	bool is_going_away;
	struct http2_config config;
	nghttp2_session *session;
	struct list exchanges;
	size_t exchange_count;
	size_t pending_bytes; /* of all exchanges */
	uint64_t pong_count;
	uint64_t now_ms; /* as of the last feed */
};

/* There may be something to send. */
void http2_want_output(struct http2 *h);

/* For results of calls that fail only when memory does, or when we break the rules. */
void http2_must_work(int code);

/* Of a session, which has a list of them. */
struct exchange *exchange_new(struct http2 *h, int32_t id);
void exchange_free(struct exchange *x);

/* The body of a request is not needed any more: another may come. */
void exchange_drop_body(struct exchange *x);
void exchange_drop_pieces(struct exchange *x);

/* The owner hears of it once, unless it let go before. */
void exchange_tell_end(struct exchange *x, enum err err);
void exchange_reset(struct exchange *x, uint32_t code);
void exchange_answer(struct exchange *x, int status, const char *content_type, struct slice body);

#endif
