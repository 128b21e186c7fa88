/* A stream is a non-blocking socket, an inbox, an outbox and a uv_poll.
 *
 * The poll only asks for what is useful, but changing what it asks for costs system calls, so it is
 * lazy: it stops when it brought an event nobody wants (inbox full, nothing to write) and starts
 * again when somebody does.  What is to be told to the owner is noted in `news` and told from the
 * run queue; what is to be written is gathered until the end of the turn (deferred_set_late).
 *
 * With TLS, what is read goes through tls.h on its way to the inbox, and what is written on its way
 * from the outbox.  Bytes that do not fit into the inbox stay in there: then nothing is read from
 * the socket, and what makes room has them decrypted from the run queue (is_stalled). */
#include "loop/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "loop/address.h"
#include "loop/inbox.h"
#include "loop/outbox.h"
#include "loop/private.h"
#include "loop/timer.h"
#include "loop/tls.h"

enum {
	STREAM_MAGIC = 0x53747265,
	STREAM_PARTS_MAX = 128,			   /* of one system call */
	STREAM_FLUSH_BYTES_MAX = 16 * 1024 * 1024, /* of one stream in one turn */
	STREAM_DISCARD_BYTES = 16 * 1024,
	STREAM_CIPHER_BYTES = 64 * 1024,       /* encrypted and not yet sent, about */
	STREAM_ANSWER_BYTES_MAX = 1024 * 1024, /* not yet sent: more of it are answers of TLS, to a
						* peer that takes none */
	KEEPALIVE_INTERVAL_S = 10,
	KEEPALIVE_INTERVAL_SHORT_S = 5,
	KEEPALIVE_PROBES = 6,
};

enum { NEWS_READABLE = 1, NEWS_DRAINED = 2, NEWS_END = 4, NEWS_SECURE = 8 };

struct stream {
	uint32_t magic;
	struct loop *loop;
	uv_poll_t poll; /* data: the stream */
	int fd;
	int poll_events; /* what the poll asks for now */
	struct inbox inbox;
	struct outbox outbox;
	const struct stream_owner *owner; /* NULL: nobody yet, or closing */
	void *context;
	unsigned news;
	struct deferred tell;
	struct deferred flush;
	struct tls *tls; /* NULL: in the clear */
	struct deferred decrypt;
	void (*on_secure)(void *context, struct stream *s); /* the handshake is over */
	struct stream_traffic traffic;
	struct timer close_timer;
	enum err err;	 /* how it failed */
	bool is_stalled; /* TLS holds bytes the inbox had no room for */
	bool is_paused;
	bool is_at_end;	 /* the peer will send no more */
	bool is_failed;	 /* nothing can be read or written any more */
	bool is_refused; /* failed by us, and the peer was sent why */
	bool is_counted; /* in the loop's refused_count */
	bool is_blocked; /* the socket takes no more for now */
	bool is_leaving; /* closes after the outbox is written */
	bool is_shut;	 /* leaving, and the peer was told */
	bool is_closed;
	char peer[ADDRESS_TEXT_BYTES];
};

static void on_poll(uv_poll_t *handle, int status, int events);
static void tell_owner(struct deferred *d);
static void flush_outbox(struct deferred *d);
static void decrypt_rest(struct deferred *d);

static void assert_open(const struct stream *s)
{
	assert(s->magic == STREAM_MAGIC);
	assert(!s->is_closed);
}

/* --- what the poll is asked for --------------------------------------------------------------- */
static bool wants_bytes(const struct stream *s)
{
	if (s->is_failed || s->is_at_end)
		return false;
	if (s->is_leaving)
		return s->is_shut;
	if (s->tls && tls_output(s->tls).size > STREAM_ANSWER_BYTES_MAX)
		return false;
	if (s->tls && !tls_is_secure(s->tls))
		return true;
	return s->owner && !s->is_paused && inbox_unread(&s->inbox).size < s->inbox.limit;
}

static void ask_poll(struct stream *s, int events)
{
	if (events == s->poll_events)
		return;
	s->poll_events = events;
	int code = events ? uv_poll_start(&s->poll, events, on_poll) : uv_poll_stop(&s->poll);
	assert(code == 0);
}

/* Ask for more, never for less. */
static void ask_poll_more(struct stream *s)
{
	if (s->is_stalled && wants_bytes(s)) /* TLS has them; the socket is next */
		deferred_set(&s->decrypt, s->loop, decrypt_rest);
	int events = (wants_bytes(s) ? UV_READABLE : 0) | (s->is_blocked ? UV_WRITABLE : 0);

	ask_poll(s, s->poll_events | events);
}

static void add_news(struct stream *s, unsigned news)
{
	s->news |= news;
	if (s->owner)
		deferred_set(&s->tell, s->loop, tell_owner);
}

static void fail_with(struct stream *s, enum err err)
{
	if (s->is_failed)
		return;
	s->is_failed = true;
	s->is_blocked = false;
	s->is_stalled = false;
	s->err = err;
	outbox_clear(&s->outbox);
	ask_poll(s, 0);
	add_news(s, NEWS_END);
}

static void fail(struct stream *s, int code)
{
	fail_with(s, err_from_uv(-code));
}

static size_t unsent_bytes(const struct stream *s)
{
	return s->outbox.bytes + (s->tls && !s->is_failed ? tls_output(s->tls).size : 0);
}

/* --- TLS -------------------------------------------------------------------------------------- */
/* Returns false when the socket takes no more for now, or failed. */
static bool send_cipher(struct stream *s)
{
	for (;;) {
		struct slice out = tls_output(s->tls);
		if (out.size == 0)
			return true;
		ssize_t n = send(s->fd, out.data, out.size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			fail(s, errno);
			return false;
		}
		if (n > 0) {
			s->traffic.sent_bytes += (size_t)n;
			tls_drop_output(s->tls, (size_t)n);
		}
		if (n < 0 || (size_t)n < out.size) {
			s->is_blocked = true;
			return false;
		}
	}
}

/* The peer may be told why in an alert; it fails whether that leaves or not. */
static void fail_tls(struct stream *s, enum err err)
{
	s->is_refused = send_cipher(s);
	fail_with(s, err);
}

/* As far as what was fed leads, and the inbox has room. */
static void decrypt(struct stream *s)
{
	enum err err = OK;

	if (!tls_is_secure(s->tls)) {
		err = tls_shake(s->tls);
		if (!err)
			add_news(s, NEWS_SECURE);
	}
	while (!err && wants_bytes(s)) {
		size_t size, got = 0;
		uint8_t *room = inbox_reserve(&s->inbox, &size);
		err = tls_read(s->tls, room, size, &got);
		inbox_add(&s->inbox, got);
		if (!err)
			add_news(s, NEWS_READABLE);
	}
	s->is_stalled = err == OK; /* there may be more */
	if (err == ERR_NOT_FOUND) {
		s->is_at_end = true;
		add_news(s, NEWS_END);
	} else if (err && err != ERR_BUSY) {
		fail_tls(s, err);
	}
	if (!s->is_failed && tls_output(s->tls).size > 0)
		deferred_set_late(&s->flush, s->loop, flush_outbox);
}

static void decrypt_rest(struct deferred *d)
{
	struct stream *s = CONTAINER(d, struct stream, decrypt);

	assert_open(s);
	if (s->is_stalled && wants_bytes(s))
		decrypt(s);
	ask_poll_more(s);
}

/* From the outbox to what is to be sent, about STREAM_CIPHER_BYTES of it; 0: it failed. */
static size_t encrypt_some(struct stream *s)
{
	struct iovec parts[STREAM_PARTS_MAX];
	size_t size, used = 0;
	size_t count = outbox_gather(&s->outbox, parts, STREAM_PARTS_MAX, &size);

	for (size_t i = 0; i < count && used < STREAM_CIPHER_BYTES; i++) {
		struct slice part = { parts[i].iov_base, parts[i].iov_len };
		if (part.size > STREAM_CIPHER_BYTES - used)
			part.size = STREAM_CIPHER_BYTES - used;
		enum err err = tls_write(s->tls, part);
		if (err) {
			fail_tls(s, err);
			return 0;
		}
		used += part.size;
	}
	outbox_drop(&s->outbox, used);
	return used;
}

static void write_cipher(struct stream *s)
{
	uint64_t before = s->traffic.sent_bytes;
	size_t written = 0;

	s->is_blocked = false;
	while (send_cipher(s)) {
		if (s->outbox.bytes == 0 || !tls_is_secure(s->tls)) {
			if (s->traffic.sent_bytes > before)
				add_news(s, NEWS_DRAINED);
			return;
		}
		if (written >= STREAM_FLUSH_BYTES_MAX) {
			deferred_set_late(&s->flush, s->loop, flush_outbox);
			return;
		}
		size_t size = encrypt_some(s);
		if (size == 0)
			return;
		written += size;
	}
}

/* --- reading ---------------------------------------------------------------------------------- */
static ssize_t receive(struct stream *s, uint8_t *room, size_t size)
{
	ssize_t n;

	do {
		n = recv(s->fd, room, size, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		s->traffic.received_bytes += (size_t)n;
	return n;
}

static ssize_t read_some(struct stream *s)
{
	uint8_t bytes[STREAM_DISCARD_BYTES];
	size_t size;

	if (s->is_leaving)
		return receive(s, bytes, sizeof(bytes));
	if (s->tls) {
		ssize_t n = receive(s, bytes, sizeof(bytes));
		if (n > 0)
			tls_feed(s->tls, (struct slice) { bytes, (size_t)n });
		return n;
	}
	uint8_t *room = inbox_reserve(&s->inbox, &size);
	assert(room);
	ssize_t n = receive(s, room, size);
	inbox_add(&s->inbox, n > 0 ? (size_t)n : 0);
	return n;
}

/* Returns false when there was nothing to read. */
static bool read_ready(struct stream *s)
{
	if (s->is_stalled) {
		decrypt(s);
		return true;
	}
	ssize_t n = read_some(s);

	if (n > 0) {
		if (s->tls && !s->is_leaving)
			decrypt(s);
		else if (!s->is_leaving)
			add_news(s, NEWS_READABLE);
		return true;
	}
	if (n == 0 && s->tls && !s->is_leaving) { /* cut off: its end would have been said */
		fail(s, ECONNRESET);
		return true;
	}
	if (n == 0) {
		s->is_at_end = true;
		add_news(s, NEWS_END);
		return true;
	}
	if (errno == EAGAIN)
		return false;
	fail(s, errno);
	return true;
}

/* --- writing ---------------------------------------------------------------------------------- */
/* Write until the socket is full, the outbox empty or the turn's share used up. */
static void write_ready(struct stream *s)
{
	struct iovec parts[STREAM_PARTS_MAX];
	size_t written = 0;

	if (s->tls) {
		write_cipher(s);
		return;
	}
	s->is_blocked = false;
	while (s->outbox.bytes > 0 && written < STREAM_FLUSH_BYTES_MAX) {
		struct msghdr message = { .msg_iov = parts };
		size_t size;
		message.msg_iovlen = outbox_gather(&s->outbox, parts, STREAM_PARTS_MAX, &size);
		ssize_t n = sendmsg(s->fd, &message, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			fail(s, errno);
			return;
		}
		if (n > 0) {
			s->traffic.sent_bytes += (size_t)n;
			outbox_drop(&s->outbox, (size_t)n);
			written += (size_t)n;
		}
		if (n < 0 || (size_t)n < size) {
			s->is_blocked = true;
			return;
		}
	}
	if (s->outbox.bytes > 0)
		deferred_set_late(&s->flush, s->loop, flush_outbox);
	else if (written > 0)
		add_news(s, NEWS_DRAINED);
}

/* Leaving: once all is written, say so and wait for the peer to go: closing a socket with unread
 * bytes would reset it and could take the last answer away from the peer. */
static void leave(struct stream *s)
{
	if (s->tls && s->outbox.bytes == 0 && !s->is_shut && !s->is_failed) {
		tls_end(s->tls);
		write_cipher(s);
	}
	if (unsent_bytes(s) == 0 && !s->is_shut && !s->is_failed) {
		s->is_shut = true;
		if (shutdown(s->fd, SHUT_WR) < 0)
			fail(s, errno);
	}
	if (s->is_failed || (s->is_shut && s->is_at_end))
		stream_close(s);
}

static void flush_outbox(struct deferred *d)
{
	struct stream *s = CONTAINER(d, struct stream, flush);

	assert_open(s);
	if (!s->is_failed && !s->is_blocked)
		write_ready(s);
	if (s->is_leaving)
		leave(s);
	if (!s->is_closed)
		ask_poll_more(s);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct stream *s = handle->data;
	int useless = 0;

	assert_open(s);
	if (status < 0) { /* an error waits in the socket; libuv has stopped the poll */
		s->poll_events = 0;
		events = UV_READABLE;
	}
	if (events & UV_READABLE) {
		bool is_read = wants_bytes(s) && read_ready(s);
		if (!is_read && status < 0) {
			int code = 0;
			socklen_t size = sizeof(code);
			getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &size);
			fail(s, code ? code : ECONNRESET);
		}
		if (!wants_bytes(s))
			useless |= is_read && !s->is_at_end ? 0 : UV_READABLE;
	}
	if ((events & UV_WRITABLE) && !s->is_failed) {
		if (unsent_bytes(s) == 0 || !s->is_blocked)
			useless |= UV_WRITABLE;
		else
			write_ready(s);
	}
	if (s->is_leaving)
		leave(s);
	if (s->is_closed)
		return;
	ask_poll(s, s->poll_events & ~useless);
	ask_poll_more(s);
}

/* --- the owner -------------------------------------------------------------------------------- */
static void tell_owner(struct deferred *d)
{
	struct stream *s = CONTAINER(d, struct stream, tell);

	assert_open(s);
	if (s->news & NEWS_SECURE) {
		s->news &= ~(unsigned)NEWS_SECURE;
		s->on_secure(s->context, s);
		if (s->owner && s->news) /* perhaps another one */
			deferred_set(&s->tell, s->loop, tell_owner);
		return;
	}
	if ((s->news & NEWS_READABLE) && !s->is_paused) {
		s->news &= ~(unsigned)NEWS_READABLE;
		if (inbox_unread(&s->inbox).size > 0)
			s->owner->on_readable(s->context, s);
		if (!s->owner)
			return;
	}
	if (s->news & NEWS_DRAINED) {
		s->news &= ~(unsigned)NEWS_DRAINED;
		if (s->owner->on_drained && unsent_bytes(s) == 0 && !s->is_failed)
			s->owner->on_drained(s->context, s);
		if (!s->owner)
			return;
	}
	if ((s->news & NEWS_END) && (!s->is_paused || s->is_failed)) {
		const struct stream_owner *owner = s->owner;
		s->news = 0;
		s->owner = NULL; /* nothing is called after it */
		owner->on_end(s->context, s, s->err);
	}
}

struct stream *stream_open_fd(struct loop *loop, int fd, const char *peer)
{
	struct stream *s = NEW(struct stream);
	int on = 1;
	int idle_s = STREAM_SILENT_S, interval_s = KEEPALIVE_INTERVAL_S, probes = KEEPALIVE_PROBES;

	assert(loop->magic == LOOP_MAGIC);
	s->magic = STREAM_MAGIC;
	s->loop = loop;
	s->fd = fd;
	inbox_init(&s->inbox, &loop->spares);
	outbox_init(&s->outbox);
	snprintf(s->peer, sizeof(s->peer), "%s", peer);
	/* These fail on Unix sockets, which is fine. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));

	int code = uv_poll_init(&loop->uv, &s->poll, fd);
	assert(code == 0);
	s->poll.data = s;
	loop->open_count++;
	return s;
}

void stream_set_patience(struct stream *s, unsigned unacknowledged_ms, unsigned silent_s)
{
	int idle_s = silent_s ? (int)silent_s : STREAM_SILENT_S;
	int interval_s = silent_s ? KEEPALIVE_INTERVAL_SHORT_S : KEEPALIVE_INTERVAL_S;

	assert_open(s);
	assert(silent_s <= STREAM_SILENT_S);
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(s->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
		   sizeof(unacknowledged_ms));
}

void stream_set_owner(struct stream *s, const struct stream_owner *owner, void *context)
{
	assert_open(s);
	assert(owner && owner->on_readable && owner->on_end);
	assert(!s->is_leaving);
	s->owner = owner;
	s->context = context;
	if (inbox_unread(&s->inbox).size > 0)
		s->news |= NEWS_READABLE;
	if (s->news)
		deferred_set(&s->tell, s->loop, tell_owner);
	ask_poll_more(s);
}

void stream_drop_owner(struct stream *s)
{
	assert_open(s);
	s->owner = NULL;
	deferred_clear(&s->tell);
}

struct slice stream_inbox(struct stream *s)
{
	assert_open(s);
	return inbox_unread(&s->inbox);
}

void stream_consume(struct stream *s, size_t size)
{
	assert_open(s);
	inbox_consume(&s->inbox, size);
	ask_poll_more(s);
}

struct blob *stream_take(struct stream *s, size_t size)
{
	assert_open(s);
	struct blob *b = inbox_take(&s->inbox, size);
	ask_poll_more(s);
	return b;
}

void stream_set_inbox_limit(struct stream *s, size_t bytes)
{
	assert_open(s);
	inbox_set_limit(&s->inbox, bytes);
	ask_poll_more(s);
}

void stream_pause(struct stream *s)
{
	assert_open(s);
	s->is_paused = true;
}

void stream_resume(struct stream *s)
{
	assert_open(s);
	if (!s->is_paused)
		return;
	s->is_paused = false;
	if (inbox_unread(&s->inbox).size > 0)
		s->news |= NEWS_READABLE;
	if (s->news && s->owner)
		deferred_set(&s->tell, s->loop, tell_owner);
	ask_poll_more(s);
}

static void flush_later(struct stream *s)
{
	if (s->is_failed)
		outbox_clear(&s->outbox);
	else if (!s->is_blocked)
		deferred_set_late(&s->flush, s->loop, flush_outbox);
}

void stream_write(struct stream *s, struct slice bytes)
{
	assert_open(s);
	assert(!s->is_leaving);
	outbox_add_copy(&s->outbox, bytes);
	flush_later(s);
}

void stream_write_part(struct stream *s, struct blob *b, size_t offset, size_t size)
{
	assert_open(s);
	assert(!s->is_leaving);
	outbox_add_part(&s->outbox, b, offset, size);
	flush_later(s);
}

void stream_write_blob(struct stream *s, struct blob *b)
{
	stream_write_part(s, b, 0, b->size);
}

void stream_write_buf(struct stream *s, struct buf *b)
{
	assert_open(s);
	assert(!s->is_leaving);
	outbox_add_buf(&s->outbox, b);
	flush_later(s);
}

size_t stream_pending_bytes(const struct stream *s)
{
	assert_open(s);
	return unsent_bytes(s);
}

void stream_start_tls(struct stream *s, struct tls_identity *identity, bool is_server,
		      void (*on_secure)(void *context, struct stream *s))
{
	assert_open(s);
	assert(!s->tls && !s->owner && s->outbox.bytes == 0);
	s->tls = tls_new(identity, is_server);
	s->on_secure = on_secure;
	if (!is_server)
		decrypt(s); /* it speaks first */
	ask_poll_more(s);
}

const uint8_t *stream_peer_key(const struct stream *s)
{
	assert(s->magic == STREAM_MAGIC);
	return s->tls ? tls_peer_key(s->tls) : NULL;
}

enum err stream_peer_notice(const struct stream *s, const char *prefix, char *ret, size_t size)
{
	assert_open(s);
	if (!s->tls || !tls_is_secure(s->tls))
		return ERR_NOT_FOUND;
	return tls_peer_notice(s->tls, prefix, ret, size);
}

bool stream_is_secure(const struct stream *s)
{
	assert(s->magic == STREAM_MAGIC);
	return s->tls && tls_is_secure(s->tls);
}

enum err stream_peer_subject(const struct stream *s, char *ret, size_t size)
{
	return stream_is_secure(s) ? tls_peer_subject(s->tls, ret, size) : ERR_NOT_FOUND;
}

int64_t stream_peer_uid(const struct stream *s)
{
	struct sockaddr_storage own;
	socklen_t own_size = sizeof(own);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	assert(s->magic == STREAM_MAGIC);
	if (getsockname(s->fd, (struct sockaddr *)&own, &own_size) < 0 ||
	    own.ss_family != AF_UNIX ||
	    getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -1;
	return (int64_t)peer.uid;
}

const char *stream_tls_verdict(const struct stream *s)
{
	return s->tls ? tls_verdict(s->tls) : NULL;
}

bool stream_peer_has_closed(const struct stream *s)
{
	struct pollfd fd = { .fd = s->fd, .events = POLLRDHUP };

	assert(s->magic == STREAM_MAGIC);
	return s->is_failed || s->is_at_end || poll(&fd, 1, 0) > 0;
}

struct stream_traffic stream_get_traffic(const struct stream *s)
{
	assert(s->magic == STREAM_MAGIC);
	return s->traffic;
}

void stream_acknowledge(struct stream *s)
{
	int on = 1;

	assert_open(s);
	setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on)); /* fails on Unix sockets */
}

void stream_limit_backlog(struct stream *s, size_t bytes)
{
	int limit = bytes > INT32_MAX ? INT32_MAX : (int)bytes;

	assert_open(s);
	setsockopt(s->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, sizeof(limit)); /* TCP only */
}

const char *stream_peer_name(const struct stream *s)
{
	assert(s->magic == STREAM_MAGIC);
	return s->peer;
}

/* --- the end ---------------------------------------------------------------------------------- */
static void on_closed(uv_handle_t *handle)
{
	struct stream *s = handle->data;

	assert(s->magic == STREAM_MAGIC && s->is_closed);
	s->loop->open_count--;
	s->magic = 0;
	memory_free(s);
}

/* Nothing is left to say or to hear: then the peer need not take it for cut off. */
static void close_tls(struct stream *s)
{
	if (!s->is_failed && tls_is_secure(s->tls) && unsent_bytes(s) == 0 &&
	    inbox_unread(&s->inbox).size == 0) {
		tls_end(s->tls);
		(void)send_cipher(s);
	}
	deferred_clear(&s->decrypt);
	tls_free(s->tls);
	s->tls = NULL;
	s->is_stalled = false;
}

void stream_close(struct stream *s)
{
	assert_open(s);
	if (s->tls)
		close_tls(s);
	if (s->is_counted)
		s->loop->refused_count--;
	s->is_closed = true;
	s->owner = NULL;
	deferred_clear(&s->tell);
	deferred_clear(&s->flush);
	timer_clear(&s->close_timer);
	inbox_done(&s->inbox);
	outbox_done(&s->outbox);
	uv_close((uv_handle_t *)&s->poll, on_closed);
	close(s->fd);
	s->fd = -1;
}

static void on_close_timer(struct timer *t)
{
	stream_close(CONTAINER(t, struct stream, close_timer));
}

void stream_close_gracefully(struct stream *s, uint64_t timeout_ms)
{
	assert_open(s);
	assert(!s->is_leaving && (!s->tls || tls_is_secure(s->tls)));
	s->owner = NULL;
	s->is_leaving = true;
	s->is_stalled = false;
	deferred_clear(&s->tell);
	deferred_clear(&s->decrypt);
	inbox_done(&s->inbox);
	timer_set(&s->close_timer, s->loop, loop_now_ms(s->loop) + timeout_ms, on_close_timer);
	deferred_set_late(&s->flush, s->loop, flush_outbox);
}

void stream_close_refused(struct stream *s, uint64_t timeout_ms)
{
	assert_open(s);
	if (!s->is_refused || s->loop->refused_count == STREAM_REFUSED_MAX) {
		stream_close(s);
		return;
	}
	s->loop->refused_count++;
	s->is_counted = true;
	tls_free(s->tls);
	s->tls = NULL;
	s->is_failed = false; /* the socket is sound */
	stream_close_gracefully(s, timeout_ms);
}
