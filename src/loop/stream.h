/* Byte streams: TCP, Unix sockets, and TLS 1.3 over either, behind the same functions.
 *
 * Reading: the owner reads when it wants to: bytes gather in an inbox of bounded size; a full inbox
 * stops reading from the socket (back-pressure).  Writing: blobs are queued; the owner asks
 * stream_pending_bytes() and stops producing above its own limit.  All callbacks come from the run
 * queue, never from inside a call to stream_*. */
#ifndef LOOP_STREAM_H
#define LOOP_STREAM_H

#include "base/blob.h"
#include "base/buf.h"
#include "loop/task.h"
#include "loop/tls_identity.h"

struct stream;

struct stream_owner {
	/* Bytes arrived: stream_inbox() grew.  */
	void (*on_readable)(void *context, struct stream *s);
	/* The queue of writes became empty; may be NULL. */
	void (*on_drained)(void *context, struct stream *s);
	/* The peer closed (OK), or the stream failed: called once, nothing is called after it; the
	 * owner still has to call stream_close() or, when the peer only closed its half and answers
	 * are queued, stream_close_gracefully().  Bytes that arrived before are told first; a close
	 * is not told while the stream is paused, a failure is.  Over TLS a connection that was
	 * cut off is no close but ERR_UNAVAILABLE, bytes that the peer did not send are
	 * ERR_CORRUPT, and who is not believed gets ERR_DENIED. */
	void (*on_end)(void *context, struct stream *s, enum err err);
};

/* Nothing is read before there is an owner.  A new owner is told of what the inbox holds. */
void stream_set_owner(struct stream *s, const struct stream_owner *owner, void *context);

/* A stream over a connected stream socket, which it takes over; `peer` is its name for people. */
struct stream *stream_open_fd(struct loop *loop, int fd, const char *peer);

/* What has arrived and was not consumed.  Valid until the next turn of the loop or a consume. */
struct slice stream_inbox(struct stream *s);
void stream_consume(struct stream *s, size_t size);

/* Take the first `size` bytes of the inbox as a blob without copying where possible (large requests
 * are parsed and stored from it).  `size` <= stream_inbox().size. */
struct blob *stream_take(struct stream *s, size_t size);

/* The inbox holds at least this much before reading stops (default STREAM_INBOX_BYTES_DEFAULT).
 * Raise it to the size of a request once its length is known, with the request at the front: room
 * is made once and the rest is read in place, no byte further, and stream_take() of it hands the
 * memory over.  Set it back to the default after that. */
enum { STREAM_INBOX_BYTES_DEFAULT = 256 * 1024 };
void stream_set_inbox_limit(struct stream *s, size_t bytes);

/* Stop and go on reading whatever the inbox holds (pipelining limits).  on_readable comes again
 * after stream_resume() when the inbox is not empty. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Queue bytes; the stream takes over one reference of `b`, and copies of `bytes`.  What is queued
 * in one turn of the loop leaves in as few system calls as possible.  A failed stream drops it.
 * stream_write_part writes data[offset .. offset+size) of a blob it takes one reference of. */
void stream_write(struct stream *s, struct slice bytes);
void stream_write_blob(struct stream *s, struct blob *b);
void stream_write_part(struct stream *s, struct blob *b, size_t offset, size_t size);

/* Queue everything in `b` without copying; `b` is empty afterwards and can be used again. */
void stream_write_buf(struct stream *s, struct buf *b);
size_t stream_pending_bytes(const struct stream *s);

/* Of what was written the system holds no more than about `bytes` that it has not sent: for those
 * to whom late bytes are worth little, and who decide what to drop by stream_pending_bytes(). */
void stream_limit_backlog(struct stream *s, size_t bytes);

/* Close now, dropping what is queued; frees the stream later, from the loop; the owner hears
 * nothing more. */
void stream_close(struct stream *s);

/* Close after the queue is written and the peer closed too, or `timeout_ms` passed; the owner hears
 * nothing more and may not touch the stream again. */
void stream_close_gracefully(struct stream *s, uint64_t timeout_ms);

/* Tell the peer now that what it sent has arrived, instead of together with the next answer, up
 * to 40 ms later: one that gathers small writes (Nagle's algorithm) sends nothing before it knows.
 * For when that answer will take long. */
void stream_acknowledge(struct stream *s);

/* A TCP peer that has not acknowledged what was sent for so long is gone; otherwise that takes a
 * quarter of an hour.  One to whom nothing is sent is asked for a sign of life when it was silent
 * for `silent_s` (0: STREAM_SILENT_S), by the system, which wakes no process at either end; its
 * silence may be no longer in all than `unacknowledged_ms` either. */
enum { STREAM_SILENT_S = 60 };
void stream_set_patience(struct stream *s, unsigned unacknowledged_ms, unsigned silent_s);

/* TLS_KEY_BYTES, one of the identity's `peers`; NULL: no TLS, not yet, or it has no peers. */
const uint8_t *stream_peer_key(const struct stream *s);

/* The name that begins with `prefix` in a certificate the server showed (tls_identity_add_notice).
 * ERR_NOT_FOUND: none, or none that fits into `ret`, or no TLS. */
MUST_CHECK enum err stream_peer_notice(const struct stream *s, const char *prefix, char *ret,
				       size_t size);

/* Whom its certificate names, as tls_identity_ask_clients() asked: "CN=alice,O=example".
 * ERR_NOT_FOUND: it showed none, or no TLS; ERR_TOO_BIG. */
MUST_CHECK enum err stream_peer_subject(const struct stream *s, char *ret, size_t size);

/* The user who runs the process at the other end of a Unix socket, as it was when that connected;
 * -1: no Unix socket. */
int64_t stream_peer_uid(const struct stream *s);

/* Is it TLS, and the handshake over? */
bool stream_is_secure(const struct stream *s);

/* Has the peer closed, or shut down its half, even where bytes from before wait to be read?  Asks
 * the system: who was stopped finds requests together with the news that nobody waits for them. */
bool stream_peer_has_closed(const struct stream *s);

/* Bytes that went over the socket so far, with all that TLS adds. */
struct stream_traffic {
	uint64_t received_bytes, sent_bytes;
};
struct stream_traffic stream_get_traffic(const struct stream *s);

/* "192.0.2.1:1234" or "unix"; lives as long as the stream. */
const char *stream_peer_name(const struct stream *s);

/* Connect as a child task; on OK *ret is the stream, owned by the caller. */
struct connect {
	struct task task;
	struct stream *ret;
	void *handle; /* private */
};

void connect_tcp(struct connect *connect, struct task *parent, const char *host, uint16_t port);
void connect_unix(struct connect *connect, struct task *parent, const char *path);

/* OK: the server is one that `identity` believes; whether it believes us it tells a moment later,
 * by ending the stream.  ERR_DENIED: it is another; ERR_TIMEOUT: not within TLS_HANDSHAKE_MS. */
void connect_tls(struct connect *connect, struct task *parent, const char *host, uint16_t port,
		 struct tls_identity *identity);

/* Listeners: on_accept gets a stream to own.  ERR_BUSY: the address is in use.  "::" is every
 * address of both families; IPv4 peers have names like "[::ffff:192.0.2.1]:1234" then. */
struct listener;

MUST_CHECK enum err listener_open_tcp(struct loop *loop, const char *host, uint16_t port,
				      void (*on_accept)(void *context, struct stream *s),
				      void *context, struct listener **ret,
				      char why[TASK_WHY_BYTES]);
MUST_CHECK enum err listener_open_unix(struct loop *loop, const char *path,
				       void (*on_accept)(void *context, struct stream *s),
				       void *context, struct listener **ret,
				       char why[TASK_WHY_BYTES]);
/* Only streams of peers that `identity` believes are handed out; one with an ordinary certificate
 * believes everybody.  Up to TLS_HANDSHAKES_MAX others
 * wait for TLS_HANDSHAKE_MS at most. */
MUST_CHECK enum err listener_open_tls(struct loop *loop, const char *host, uint16_t port,
				      struct tls_identity *identity,
				      void (*on_accept)(void *context, struct stream *s),
				      void *context, struct listener **ret,
				      char why[TASK_WHY_BYTES]);
/* In the clear and over TLS at one port: what a client sends first says which it speaks.  Who says
 * nothing for TLS_HANDSHAKE_MS is closed. */
MUST_CHECK enum err listener_open_both(struct loop *loop, const char *host, uint16_t port,
				       struct tls_identity *identity,
				       void (*on_accept)(void *context, struct stream *s),
				       void *context, struct listener **ret,
				       char why[TASK_WHY_BYTES]);
/* Handshakes from now on are with another server's identity; the one before is not needed any more,
 * not even by those under way. */
void listener_set_identity(struct listener *l, struct tls_identity *identity);
/* Who is not let in because the certificate it showed is not believed is told of from now on, with
 * the context of on_accept: "192.0.2.1:1234", and why, which lives for ever.  Of a listener with an
 * identity; the listener may not be closed from there. */
void listener_tell_refused(struct listener *l,
			   void (*on_refused)(void *context, const char *peer, const char *why));
uint16_t listener_port(const struct listener *l); /* the real one where 0 was asked for */
void listener_close(struct listener *l);

#endif
