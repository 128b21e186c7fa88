/* A TLS handshake with its deadline: the first owner of a stream, until it can be handed out.
 * Private to loop/. */
#ifndef LOOP_HANDSHAKE_H
#define LOOP_HANDSHAKE_H

#include "loop/stream.h"
#include "loop/timer.h"

struct handshake {
	struct list link; /* for whoever has several */
	struct stream *stream;
	struct timer deadline;
	const char *verdict; /* of on_end: why the peer's certificate is not believed; or NULL */
	/* OK: the stream is nobody's, take it.  Otherwise it is closed; ERR_TIMEOUT and what
	 * on_end of a stream says.  The struct is not touched any more. */
	void (*on_end)(struct handshake *h, enum err err);
};

void handshake_start(struct handshake *h, struct loop *loop, struct stream *s,
		     struct tls_identity *identity, bool is_server,
		     void (*on_end)(struct handshake *h, enum err err));

/* Closes the stream; on_end is not called. */
void handshake_cancel(struct handshake *h);

#endif
