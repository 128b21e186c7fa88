/* A stream is a non-blocking socket, an inbox, an outbox and a uv_poll.
 *
 * The poll only asks for what is useful, but changing what it asks for costs system calls, so it is
 * lazy: it stops when it brought an event nobody wants (inbox full, nothing to write) and starts
 * again when somebody does.  What is to be told to the owner is noted in `news` and told from the
 * run queue; what is to be written is gathered until the end of the turn (deferred_set_late). */
#include "loop/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "loop/address.h"
#include "loop/inbox.h"
#include "loop/outbox.h"
#include "loop/private.h"
#include "loop/timer.h"

enum {
	STREAM_MAGIC = 0x53747265,
	STREAM_PARTS_MAX = 128,			   /* of one system call */
	STREAM_FLUSH_BYTES_MAX = 16 * 1024 * 1024, /* of one stream in one turn */
	STREAM_DISCARD_BYTES = 16 * 1024,
	KEEPALIVE_IDLE_S = 60,
	KEEPALIVE_INTERVAL_S = 10,
	KEEPALIVE_PROBES = 6,
};

enum { NEWS_READABLE = 1, NEWS_DRAINED = 2, NEWS_END = 4 };

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
	struct timer close_timer;
	enum err err; /* how it failed */
	bool is_paused;
	bool is_at_end;	 /* the peer will send no more */
	bool is_failed;	 /* nothing can be read or written any more */
	bool is_blocked; /* the socket takes no more for now */
	bool is_leaving; /* closes after the outbox is written */
	bool is_shut;	 /* leaving, and the peer was told */
	bool is_closed;
	char peer[ADDRESS_TEXT_BYTES];
};

static void on_poll(uv_poll_t *handle, int status, int events);
static void tell_owner(struct deferred *d);
static void flush_outbox(struct deferred *d);

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
	int events = (wants_bytes(s) ? UV_READABLE : 0) | (s->is_blocked ? UV_WRITABLE : 0);

	ask_poll(s, s->poll_events | events);
}

static void add_news(struct stream *s, unsigned news)
{
	s->news |= news;
	if (s->owner)
		deferred_set(&s->tell, s->loop, tell_owner);
}

static void fail(struct stream *s, int code)
{
	if (s->is_failed)
		return;
	s->is_failed = true;
	s->is_blocked = false;
	s->err = err_from_uv(-code);
	outbox_clear(&s->outbox);
	ask_poll(s, 0);
	add_news(s, NEWS_END);
}

/* --- reading ---------------------------------------------------------------------------------- */
static ssize_t read_some(struct stream *s)
{
	uint8_t discarded[STREAM_DISCARD_BYTES];
	uint8_t *room = discarded;
	size_t size = sizeof(discarded);

	if (!s->is_leaving)
		room = inbox_reserve(&s->inbox, &size);
	assert(room);
	ssize_t n;
	do {
		n = recv(s->fd, room, size, 0);
	} while (n < 0 && errno == EINTR);
	if (!s->is_leaving)
		inbox_add(&s->inbox, n > 0 ? (size_t)n : 0);
	return n;
}

/* Returns false when there was nothing to read. */
static bool read_ready(struct stream *s)
{
	ssize_t n = read_some(s);

	if (n > 0) {
		if (!s->is_leaving)
			add_news(s, NEWS_READABLE);
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
	if (s->outbox.bytes == 0 && !s->is_shut && !s->is_failed) {
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
		if (s->outbox.bytes == 0 || !s->is_blocked)
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
	if ((s->news & NEWS_READABLE) && !s->is_paused) {
		s->news &= ~(unsigned)NEWS_READABLE;
		if (inbox_unread(&s->inbox).size > 0)
			s->owner->on_readable(s->context, s);
		if (!s->owner)
			return;
	}
	if (s->news & NEWS_DRAINED) {
		s->news &= ~(unsigned)NEWS_DRAINED;
		if (s->owner->on_drained && s->outbox.bytes == 0 && !s->is_failed)
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
	int idle_s = KEEPALIVE_IDLE_S, interval_s = KEEPALIVE_INTERVAL_S, probes = KEEPALIVE_PROBES;

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
	return s->outbox.bytes;
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

void stream_close(struct stream *s)
{
	assert_open(s);
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
	assert(!s->is_leaving);
	s->owner = NULL;
	s->is_leaving = true;
	deferred_clear(&s->tell);
	inbox_done(&s->inbox);
	timer_set(&s->close_timer, s->loop, loop_now_ms(s->loop) + timeout_ms, on_close_timer);
	deferred_set_late(&s->flush, s->loop, flush_outbox);
}
