/* An HTTP/1.1 server for bodies of any size: what the peer sends is handed on as it comes, and an
 * answer may be as long as it likes.  One request of a connection at a time, keep-alive.  For small
 * requests and answers http_server.h is simpler.
 *
 *	on_head --> (accept_body) --> on_body ... --> on_end --> answer
 *	      \--> answer                        \--> on_lost
 */
#ifndef LOOP_HTTP_STREAM_H
#define LOOP_HTTP_STREAM_H

#include "base/slice.h"
#include "loop/task.h"

enum {
	HTTP_STREAM_HEAD_BYTES_MAX = 16 * 1024, /* request line and headers; more is 431 */
	HTTP_STREAM_CONNECTIONS_MAX = 256,	/* the one that idles longest makes room */
	HTTP_STREAM_IDLE_MS = 60 * 1000,	/* without a byte either way */
	HTTP_STREAM_SKIP_BYTES_MAX = 64 * 1024, /* of a body that is not wanted, to keep the
						   connection; more closes it */
};

/* A request and its connection.  It is the handler's until it was answered in full, or on_lost. */
struct http_request {
	const char *method;  /* "PUT" */
	struct slice path;   /* as sent, not decoded */
	struct slice query;  /* without "?" */
	uint64_t body_bytes; /* HTTP_BODY_UNKNOWN: chunked */
	bool has_body;
	const char *peer;    /* "192.0.2.1:1234" */
	void *handler_state; /* for the handler */
};

#define HTTP_BODY_UNKNOWN UINT64_MAX

struct http_stream_handler {
	void (*on_head)(void *context, struct http_request *r);
	/* Part of the body, after http_request_accept_body(). */
	void (*on_body)(void *context, struct http_request *r, struct slice part);
	void (*on_end)(void *context, struct http_request *r); /* of the body */
	/* The peer is gone before the answer was complete; `r` is not used any more. */
	void (*on_lost)(void *context, struct http_request *r);
	/* What was written of an answer has left; may be NULL. */
	void (*on_drained)(void *context, struct http_request *r);
};

/* The value of a header, or nothing (data NULL); where it comes several times, the first. */
struct slice http_request_header(const struct http_request *r, const char *name);

/* The body is wanted: tells a peer that asked first to go on.  on_body and on_end follow. */
void http_request_accept_body(struct http_request *r);
/* No part of the body comes until it is resumed. */
void http_request_pause(struct http_request *r);
void http_request_resume(struct http_request *r);

/* A whole answer; `headers` are whole lines with their ends, or "".  What is left of a body is
 * skipped or, where that is much, the connection is closed. */
void http_request_answer(struct http_request *r, int status, const char *headers,
			 struct slice body);

/* An answer in parts: `body_bytes` or HTTP_BODY_UNKNOWN, which is sent in chunks. */
void http_request_begin(struct http_request *r, int status, const char *headers,
			uint64_t body_bytes);
void http_request_write(struct http_request *r, struct slice part);
size_t http_request_pending_bytes(const struct http_request *r);
void http_request_finish(struct http_request *r);
/* The answer cannot be completed: the peer sees that it was cut off. */
void http_request_abort(struct http_request *r);

struct http_stream_server;

/* `context` goes to the handler.  As listener_open_tcp and listener_open_unix. */
MUST_CHECK enum err http_stream_open_tcp(struct loop *loop, const char *host, uint16_t port,
					 const struct http_stream_handler *handler, void *context,
					 struct http_stream_server **ret, char why[TASK_WHY_BYTES]);
MUST_CHECK enum err http_stream_open_unix(struct loop *loop, const char *path,
					  const struct http_stream_handler *handler, void *context,
					  struct http_stream_server **ret,
					  char why[TASK_WHY_BYTES]);
uint16_t http_stream_port(const struct http_stream_server *server);

/* Ends everything at once; on_lost comes from inside for requests that were not answered. */
void http_stream_close(struct http_stream_server *server);

#endif
