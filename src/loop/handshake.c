#include "loop/handshake.h"

#include "loop/private.h"

static void on_deadline(struct timer *t)
{
	struct handshake *h = CONTAINER(t, struct handshake, deadline);

	handshake_cancel(h);
	h->on_end(h, ERR_TIMEOUT);
}

static void on_secure(void *context, struct stream *s)
{
	struct handshake *h = context;

	timer_clear(&h->deadline);
	stream_drop_owner(s);
	h->on_end(h, OK);
}

static void on_readable(void *context, struct stream *s)
{
	(void)context;
	(void)s; /* not before it is secure; then it is for the next owner */
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct handshake *h = context;

	timer_clear(&h->deadline);
	h->verdict = err == ERR_DENIED ? stream_tls_verdict(s) : NULL;
	stream_close_refused(s, TLS_REFUSED_MS);
	h->stream = NULL;
	h->on_end(h, err ? err : ERR_UNAVAILABLE);
}

static const struct stream_owner owner = {
	.on_readable = on_readable,
	.on_end = on_end,
};

void handshake_start(struct handshake *h, struct loop *loop, struct stream *s,
		     struct tls_identity *identity, bool is_server,
		     void (*ended)(struct handshake *h, enum err err))
{
	*h = (struct handshake) { .stream = s, .on_end = ended };
	stream_start_tls(s, identity, is_server, on_secure);
	stream_set_owner(s, &owner, h);
	timer_set(&h->deadline, loop, loop_now_ms(loop) + TLS_HANDSHAKE_MS, on_deadline);
}

void handshake_cancel(struct handshake *h)
{
	timer_clear(&h->deadline);
	stream_close(h->stream);
	h->stream = NULL;
}
