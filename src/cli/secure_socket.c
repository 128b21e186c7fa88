#include "cli/secure_socket.h"

#include <stdio.h>

#include "base/scope.h"
#include "loop/tls.h"

static enum err fail(enum err err, const char *text, char why[SECURE_SOCKET_WHY_BYTES])
{
	snprintf(why, SECURE_SOCKET_WHY_BYTES, "%s", text);
	return err;
}

/* --- TLS over the socket ----------------------------------------------------------------------
 */

static enum err flush(struct secure_socket *c, uint64_t deadline_ms,
		      char why[SECURE_SOCKET_WHY_BYTES])
{
	struct slice out = tls_output(c->tls);
	enum err err = out.size > 0 ? socket_send(c->fd, out, deadline_ms, why) : OK;

	tls_drop_output(c->tls, out.size);
	return err;
}

static enum err feed(struct secure_socket *c, uint64_t deadline_ms,
		     char why[SECURE_SOCKET_WHY_BYTES])
{
	uint8_t bytes[TLS_RECORD_BYTES];
	size_t size;

	enum err err = socket_receive(c->fd, bytes, sizeof(bytes), deadline_ms, &size, why);
	if (!err && size == 0)
		return fail(ERR_IO, "the connection was closed", why);
	if (!err)
		tls_feed(c->tls, (struct slice) { bytes, size });
	return err;
}

static enum err say_why(const struct secure_socket *c, enum err err,
			char why[SECURE_SOCKET_WHY_BYTES])
{
	const char *verdict = tls_verdict(c->tls);

	if (err == ERR_DENIED && verdict) {
		snprintf(why, SECURE_SOCKET_WHY_BYTES, "its certificate is not believed: %s",
			 verdict);
		return err;
	}
	if (err == ERR_DENIED)
		return fail(err, "it does not let in who shows no certificate it believes", why);
	if (err == ERR_NOT_FOUND)
		return fail(ERR_IO, "the connection was closed", why);
	return fail(ERR_INVALID, "it does not speak TLS 1.3", why);
}

static enum err shake(struct secure_socket *c, uint64_t deadline_ms,
		      char why[SECURE_SOCKET_WHY_BYTES])
{
	for (;;) {
		enum err shaken = tls_shake(c->tls);
		enum err err = flush(c, deadline_ms, why); /* also what refuses the server */
		if (shaken && shaken != ERR_BUSY)
			return say_why(c, shaken, why);
		if (err || !shaken)
			return err;
		err = feed(c, deadline_ms, why);
		if (err)
			return err;
	}
}

/* --- for callers ------------------------------------------------------------------------------
 */

enum err secure_socket_open(struct secure_socket *c, const char *host, uint16_t port,
			    struct tls_identity *identity, uint64_t deadline_ms,
			    char why[SECURE_SOCKET_WHY_BYTES])
{
	*c = (struct secure_socket) { .fd = -1 };
	enum err err = socket_connect_tcp(host, port, deadline_ms, &c->fd, why);
	if (err || !identity)
		return err;
	c->tls = tls_new(identity, false);
	return shake(c, deadline_ms, why);
}

void secure_socket_close(struct secure_socket *c)
{
	if (c->tls)
		tls_free(c->tls);
	scope_close_fd(&c->fd);
	*c = (struct secure_socket) { .fd = -1 };
}

enum err secure_socket_send(struct secure_socket *c, struct slice s, uint64_t deadline_ms,
			    char why[SECURE_SOCKET_WHY_BYTES])
{
	if (!c->tls)
		return socket_send(c->fd, s, deadline_ms, why);
	while (s.size > 0) {
		struct slice part = slice_part(s, 0, TLS_RECORD_BYTES);
		if (tls_write(c->tls, part))
			return fail(ERR_IO, "TLS broke", why);
		enum err err = flush(c, deadline_ms, why);
		if (err)
			return err;
		s = slice_part(s, part.size, s.size);
	}
	return OK;
}

/* Some bytes, at least one. */
static enum err receive_some(struct secure_socket *c, uint8_t *data, size_t size,
			     uint64_t deadline_ms, size_t *ret, char why[SECURE_SOCKET_WHY_BYTES])
{
	if (!c->tls) {
		enum err err = socket_receive(c->fd, data, size, deadline_ms, ret, why);
		if (!err && *ret == 0)
			return fail(ERR_IO, "the connection was closed", why);
		return err;
	}
	for (;;) {
		enum err err = tls_read(c->tls, data, size, ret);
		if (!err)
			return OK;
		if (err != ERR_BUSY)
			return say_why(c, err, why);
		err = flush(c, deadline_ms, why); /* an answer about keys */
		if (!err)
			err = feed(c, deadline_ms, why);
		if (err)
			return err;
	}
}

enum err secure_socket_receive(struct secure_socket *c, uint8_t *data, size_t size,
			       uint64_t deadline_ms, char why[SECURE_SOCKET_WHY_BYTES])
{
	while (size > 0) {
		size_t got = 0;
		enum err err = receive_some(c, data, size, deadline_ms, &got, why);
		if (err)
			return err;
		data += got;
		size -= got;
	}
	return OK;
}
