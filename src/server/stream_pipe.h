/* Clients of a node that stands by, passed on to the node that leads: bytes both ways, as they
 * come, until one side ends. */
#ifndef SERVER_STREAM_PIPE_H
#define SERVER_STREAM_PIPE_H

#include "loop/stream.h"

enum {
	STREAM_PIPES_MAX = 4096,	    /* more are closed at once */
	STREAM_PIPE_BYTES_MAX = 256 * 1024, /* waiting for one side; then the other is not read */
	STREAM_PIPE_CONNECT_MS = 5000,
	STREAM_PIPE_PATIENCE_MS = 60 * 1000, /* with a client that acknowledges nothing */
};

/* Zeroed, then stream_pipes_init(). */
struct stream_pipes {
	struct loop *loop;
	struct list all;
	size_t count;
};

void stream_pipes_init(struct stream_pipes *p, struct loop *loop);

/* Takes over the stream. */
void stream_pipe_start(struct stream_pipes *p, struct stream *client, const char *host,
		       uint16_t port);

/* Ends all of them; what was being connected ends by itself a moment later. */
void stream_pipes_close(struct stream_pipes *p);

#endif
