/* TLS 1.3 between a socket and a stream: bytes in, bytes out, no I/O.  Private to loop/, and to
 * commands that have no loop (cli/secure_socket.h).
 *
 *	socket -> tls_feed() -> tls_read() -> inbox
 *	socket <- tls_output() <- tls_write() <- outbox
 *
 * What peers can make grow is bounded: feed only what tls_read() or tls_shake() asked for with
 * ERR_BUSY, and write only while tls_output() is short. */
#ifndef LOOP_TLS_H
#define LOOP_TLS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"
#include "loop/tls_identity.h"

enum { TLS_RECORD_BYTES = 16 * 1024 }; /* of content, at most */

struct tls;

struct tls *tls_new(struct tls_identity *identity, bool is_server);
void tls_free(struct tls *t);

/* Bytes from the socket. */
void tls_feed(struct tls *t, struct slice bytes);

/* The handshake, as far as it goes with what was fed.  OK: it is over; ERR_BUSY: feed more;
 * ERR_DENIED: the peer, or we to it, are not known; ERR_CORRUPT: that is no TLS 1.3;
 * ERR_TOO_BIG: TLS_HANDSHAKE_BYTES_MAX. */
MUST_CHECK enum err tls_shake(struct tls *t);
bool tls_is_secure(const struct tls *t); /* the handshake is over */

/* Why the certificate of the peer is not believed, in the words of OpenSSL; NULL: it is, or there
 * is none. */
const char *tls_verdict(const struct tls *t);

/* What was fed, decrypted.  ERR_BUSY: feed more; ERR_NOT_FOUND: the peer said that it is done;
 * ERR_DENIED: it does not know us; ERR_CORRUPT: not what the peer sent. */
MUST_CHECK enum err tls_read(struct tls *t, uint8_t *room, size_t size, size_t *ret_size);

/* Encrypt all of it.  ERR_CORRUPT: nothing can be sent while the peer is in the middle of a message
 * about keys, which none of ours splits. */
MUST_CHECK enum err tls_write(struct tls *t, struct slice bytes);

/* Say that nothing more comes; once the handshake is over. */
void tls_end(struct tls *t);

/* What is to be sent, until the next call; and that so much of it was. */
struct slice tls_output(const struct tls *t);
void tls_drop_output(struct tls *t, size_t size);

/* The public key the peer proved to have, once the handshake is over; NULL where the identity has
 * no peers. */
const uint8_t *tls_peer_key(const struct tls *t);

/* The name that begins with `prefix` in a certificate the peer showed, its own or another; once the
 * handshake is over.  ERR_NOT_FOUND: none, or none that fits into `ret`. */
MUST_CHECK enum err tls_peer_notice(const struct tls *t, const char *prefix, char *ret,
				    size_t size);

/* Whom the certificate names that the client proved to have, as RFC 2253 writes it:
 * "CN=alice,O=example"; once the handshake is over.  ERR_NOT_FOUND: it showed none, or nobody asked
 * for one; ERR_TOO_BIG: more than `ret` holds. */
MUST_CHECK enum err tls_peer_subject(const struct tls *t, char *ret, size_t size);

/* Is this identity of one who knows its peers by their keys? */
bool tls_identity_has_peers(const struct tls_identity *identity);

#endif
