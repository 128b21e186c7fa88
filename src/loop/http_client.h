/* One small HTTP/1.1 request on a Unix socket, as a child task: for the local APIs of this
 * machine's other processes (mesh.sock, realm.sock).  Not for bulk data. */
#ifndef LOOP_HTTP_CLIENT_H
#define LOOP_HTTP_CLIENT_H

#include "base/buf.h"
#include "loop/stream.h"

enum { HTTP_CALL_ANSWER_BYTES_MAX = 32 << 20 };

struct http_call {
	struct task task;
	int status;	 /* 200; valid when the task ended with OK */
	struct buf body; /* of the answer; the caller frees it, whatever the outcome */
	/* private */
	struct connect connect;
	struct stream *stream;
	struct http_parser *parser;
	struct buf request;
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

#endif
