/* A small HTTP/1.1 server: whole requests in, whole answers out, keep-alive, one request of a
 * connection at a time.  For the admin API on a Unix socket and the like, not for bulk data. */
#ifndef LOOP_HTTP_SERVER_H
#define LOOP_HTTP_SERVER_H

#include "base/slice.h"
#include "loop/stream.h"

enum {
	HTTP_HEADER_BYTES_MAX = 16 * 1024, /* request line and headers; more is 431 */
	HTTP_BODY_BYTES_MAX = 1024 * 1024, /* more is 413 */
	HTTP_CONNECTIONS_MAX = 256,	   /* who waits longest for its request makes room */
	HTTP_IDLE_MS = 60 * 1000,	   /* for a request to arrive in full */
};

/* One request that waits for its answer.  Valid until http_answer(), which has to come, now or
 * later; also when the peer has gone meanwhile. */
struct http_exchange {
	const char *method;   /* "GET" */
	struct slice path;    /* as sent, not decoded: "/v1/buckets" */
	struct slice query;   /* without "?" */
	struct slice body;    /* empty when there is none */
	struct slice upgrade; /* the protocol the peer asks for; empty: none, or none is allowed */
	const char *peer;     /* for people */
	int64_t uid;	      /* who asked through a Unix socket; -1: it came another way */
	void *handler_state;  /* for the handler */
};

/* The value of a header of the request, or nothing; where it comes several times, the first. */
struct slice http_header(const struct http_exchange *e, const char *name);

/* `content_type` is a constant; `body` is copied. */
void http_answer(struct http_exchange *e, int status, const char *content_type, struct slice body);

/* The same with more headers: whole lines, each with its end. */
void http_answer_with(struct http_exchange *e, int status, const char *content_type,
		      const char *headers, struct slice body);

/* Instead of an answer: 101, with `headers` (whole lines, each with its end) after what is usual.
 * Without a `protocol` nothing is sent: the peer did not wait for an answer.
 * The stream is the caller's from here on, and the exchange is over.  NULL: the peer is gone, and
 * so is the exchange. */
struct stream *http_upgrade(struct http_exchange *e, const char *protocol, const char *headers);

struct http_server;

struct http_server_config {
	void (*on_request)(void *context, struct http_exchange *e);
	void *context;
	bool allows_upgrade; /* without: requests for one are 501 */
	int connections_max; /* 0: HTTP_CONNECTIONS_MAX */
	uint64_t leave_ms;   /* for a peer to read what it was sent last; 0: 5 s */
};

/* Without a listener of its own: it serves what it is given. */
struct http_server *http_server_new(struct loop *loop, const struct http_server_config *config);
/* Takes a fresh stream, with whatever it has received. */
void http_server_accept(struct http_server *server, struct stream *s);

/* As listener_open_unix and listener_open_tcp. */
MUST_CHECK enum err http_server_open_unix(struct loop *loop, const char *path,
					  const struct http_server_config *config,
					  struct http_server **ret, char why[TASK_WHY_BYTES]);
MUST_CHECK enum err http_server_open_tcp(struct loop *loop, const char *host, uint16_t port,
					 const struct http_server_config *config,
					 struct http_server **ret, char why[TASK_WHY_BYTES]);
uint16_t http_server_port(const struct http_server *server);

/* No more requests; those being handled may still be answered, even after this. */
void http_server_close(struct http_server *server);

#endif
