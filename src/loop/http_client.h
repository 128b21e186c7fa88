/* One small HTTP/1.1 request as a child task: on a Unix socket, for the local APIs of other
 * processes here (mesh.sock, realm.sock), or to a server elsewhere.  Not for bulk data. */
#ifndef LOOP_HTTP_CLIENT_H
#define LOOP_HTTP_CLIENT_H

#include "base/buf.h"
#include "loop/stream.h"

enum { HTTP_CALL_ANSWER_BYTES_MAX = 32 << 20, HTTP_HOST_BYTES = 254 };

struct http_call {
	struct task task;
	int status;	 /* 200; valid when the task ended with OK */
	struct buf body; /* of the answer; the caller frees it, whatever the outcome */
	/* private */
	struct connect connect;
	struct stream *stream;
	struct tls_identity *identity; /* of https, or NULL */
	struct http_parser *parser;
	struct buf request;
	size_t answer_bytes_max;
	enum err end; /* how the stream ended */
	bool is_complete, is_ended;
};

/* `method` "GET", `target` "/v1/netmap?after=7", `body` JSON or empty; all but `call` are copied.
 * OK means an answer, whatever its status.  The caller sets a deadline with task_set_deadline().
 * ERR_UNAVAILABLE: nobody is there; ERR_INVALID: that was not HTTP; ERR_TOO_BIG. */
void http_call_start(struct http_call *call, struct task *parent, const char *socket_path,
		     const char *method, const char *target, struct slice body);

/* The same over TCP, in the clear. */
void http_call_start_tcp(struct http_call *call, struct task *parent, const char *host,
			 uint16_t port, const char *method, const char *target, struct slice body);

/* The same, to a server that is no friend. */
struct http_ask {
	const char *host; /* an address */
	uint16_t port;
	const char *method, *target;
	const char *content_type; /* NULL: there is no body */
	const char *header;	  /* one more line, with its CRLF; may be NULL */
	struct slice body;
	size_t answer_bytes_max;
};
void http_call_start_asking(struct http_call *call, struct task *parent,
			    const struct http_ask *ask);

/* Where a server is: "http://HOST[:PORT]" or "https://HOST[:PORT]". */
struct http_place {
	bool is_tls; /* authorities of the system have to vouch for the host */
	uint16_t port;
	char host[HTTP_HOST_BYTES];
};
MUST_CHECK enum err http_place_parse(const char *url, struct http_place *ret);

/* The same to a server elsewhere. */
void http_call_start_at(struct http_call *call, struct task *parent, const struct http_place *place,
			const char *method, const char *target, struct slice body);

#endif
