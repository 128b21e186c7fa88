/* A small HTTP/1.1 server: whole requests in, whole answers out, keep-alive, one request of a
 * connection at a time.  For the admin API on a Unix socket and the like, not for bulk data. */
#ifndef LOOP_HTTP_SERVER_H
#define LOOP_HTTP_SERVER_H

#include "base/slice.h"
#include "loop/task.h"

enum {
	HTTP_HEADER_BYTES_MAX = 16 * 1024, /* request line and headers; more is 431 */
	HTTP_BODY_BYTES_MAX = 1024 * 1024, /* more is 413 */
	HTTP_CONNECTIONS_MAX = 256,	   /* more are closed at once */
	HTTP_IDLE_MS = 60 * 1000,	   /* for a request to arrive in full */
};

/* One request that waits for its answer.  Valid until http_answer(), which has to come, now or
 * later; also when the peer has gone meanwhile. */
struct http_exchange {
	const char *method;  /* "GET" */
	struct slice path;   /* as sent, not decoded: "/v1/buckets" */
	struct slice query;  /* without "?" */
	struct slice body;   /* empty when there is none */
	const char *peer;    /* for people */
	void *handler_state; /* for the handler */
};

/* `content_type` is a constant; `body` is copied. */
void http_answer(struct http_exchange *e, int status, const char *content_type, struct slice body);

struct http_server;

struct http_server_config {
	void (*on_request)(void *context, struct http_exchange *e);
	void *context;
};

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
