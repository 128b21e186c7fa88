/* HTTP/2 in Noise over a stream: one connection of the control protocol past its handshake.
 *
 *	stream -> records -> noise_open -> (early payload) -> http2_feed
 *	stream <- records <- noise_seal <- http2_output
 *
 * All callbacks, those of the exchanges too, come from the run queue. */
#ifndef MESH_CHANNEL_CHANNEL_H
#define MESH_CHANNEL_CHANNEL_H

#include "loop/http2.h"
#include "loop/stream.h"
#include "wire/noise/noise.h"

enum {
	CHANNEL_UNSENT_BYTES_MAX = 256 * 1024, /* of sealed records; more waits in HTTP/2 */
	CHANNEL_EARLY_BYTES_MAX = 64 * 1024,   /* what a server may say before HTTP/2 */
	CHANNEL_WHY_BYTES = 200,
};

struct channel;

struct channel_config {
	void *context;
	/* The peer sent its first record, so it has the key it claims; may be NULL. */
	void (*on_proven)(void *context);
	/* The channel is over, and so are its exchanges, which have been told before; `why` is for
	 * people.  ERR_DENIED: the peer refused, in its own words.  Close it then. */
	void (*on_end)(void *context, enum err err, const char *why);
};

/* Takes the stream, and a copy of `keys` to wipe.  `http2` without its transport. */
struct channel *channel_new(struct loop *loop, struct stream *s, const struct noise_channel *keys,
			    bool is_server, const struct http2_config *http2,
			    const struct channel_config *config);

/* At once; nothing is called any more.  What has been said already is sent, for as long as
 * `linger_ms`; 0: nothing is. */
void channel_close(struct channel *c, uint64_t linger_ms);

/* To make and answer requests with; lives until channel_close(). */
struct http2 *channel_http2(struct channel *c);

/* As stream_set_patience(). */
void channel_set_patience(struct channel *c, unsigned unacknowledged_ms, unsigned silent_s);

const char *channel_peer_name(const struct channel *c);

#endif
