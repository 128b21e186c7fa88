/* Listening sockets.  Accepting happens from the run queue, a bounded number a turn.  When the
 * process is out of descriptors a readable listener would spin, so it pauses for a moment. */
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/scope.h"
#include "loop/address.h"
#include "loop/first_byte.h"
#include "loop/handshake.h"
#include "loop/private.h"
#include "loop/stream.h"
#include "loop/timer.h"

enum {
	LISTENER_MAGIC = 0x4c697374,
	LISTENER_BACKLOG = 512,
	LISTENER_ACCEPTS_MAX = 64,  /* in one turn */
	LISTENER_PAUSE_MS = 100,    /* without descriptors */
	LISTENER_SILENT_MAX = 1024, /* who have not said a byte yet; the oldest makes room */
	UNIX_SOCKET_MODE = 0600,
	TLS_FIRST_BYTE = 0x16, /* of every client that speaks TLS: a handshake record */
};

struct listener {
	uint32_t magic;
	struct loop *loop;
	uv_poll_t poll; /* data: the listener */
	int fd;
	uint16_t port;
	char *path; /* of a Unix socket, with what was made there */
	struct stat made;
	struct deferred accept;
	struct timer pause;
	struct tls_identity *identity; /* NULL: in the clear */
	struct list handshakes;	       /* under way, the oldest first */
	size_t handshake_count;
	bool takes_both;    /* in the clear too: the first byte says which */
	struct list silent; /* have not said it, the oldest first */
	size_t silent_count;
	bool is_short; /* of descriptors, said so */
	bool is_closed;
	void (*on_accept)(void *context, struct stream *s);
	void (*on_refused)(void *context, const char *peer, const char *why); /* may be NULL */
	void *context;
};

static void start_poll(struct listener *l);

static void on_pause_over(struct timer *t)
{
	start_poll(CONTAINER(t, struct listener, pause));
}

static void pause_accepting(struct listener *l, int code)
{
	if (!l->is_short)
		log_warn("cannot accept connections: %s; raise the limit of open files",
			 strerror(code));
	l->is_short = true;
	uv_poll_stop(&l->poll);
	timer_set(&l->pause, l->loop, loop_now_ms(l->loop) + LISTENER_PAUSE_MS, on_pause_over);
}

static bool is_shortage(int code)
{
	return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

/* --- handshakes ------------------------------------------------------------------------------ */
/* One of a listener. */
struct greeting {
	struct handshake handshake;
	struct listener *listener;
	char name[ADDRESS_TEXT_BYTES]; /* of the peer, whose stream ends before it is told of */
};

static void remove_greeting(struct greeting *g)
{
	list_remove(&g->handshake.link);
	g->listener->handshake_count--;
	memory_free(g);
}

static void on_handshake(struct handshake *h, enum err err)
{
	struct greeting *g = CONTAINER(h, struct greeting, handshake);
	struct listener *l = g->listener;
	struct stream *s = h->stream;

	if (err && h->verdict && l->on_refused)
		l->on_refused(l->context, g->name, h->verdict);
	remove_greeting(g);
	if (err)
		log_debug("a handshake failed: %s", err_name(err));
	else
		l->on_accept(l->context, s);
}

static void cancel_oldest(struct listener *l)
{
	struct greeting *g = CONTAINER(l->handshakes.next, struct greeting, handshake.link);

	handshake_cancel(&g->handshake);
	remove_greeting(g);
}

/* Who came last may be somebody; who has not said who they are by now is more likely nobody. */
static void greet(struct listener *l, struct stream *s)
{
	struct greeting *g = NEW(struct greeting);

	if (l->handshake_count == TLS_HANDSHAKES_MAX)
		cancel_oldest(l);
	g->listener = l;
	snprintf(g->name, sizeof(g->name), "%s", stream_peer_name(s));
	handshake_start(&g->handshake, l->loop, s, l->identity, true, on_handshake);
	list_add(&l->handshakes, &g->handshake.link);
	l->handshake_count++;
}

/* --- both in one port ------------------------------------------------------------------------ */
/* Who has not sent a byte yet. */
struct newcomer {
	struct first_byte first;
	struct listener *listener;
	char name[ADDRESS_TEXT_BYTES];
};

static void free_newcomer(struct first_byte *f)
{
	memory_free(CONTAINER(f, struct newcomer, first));
}

static void remove_newcomer(struct newcomer *n)
{
	list_remove(&n->first.link);
	n->listener->silent_count--;
}

static void on_first_byte(struct first_byte *f, int byte)
{
	struct newcomer *n = CONTAINER(f, struct newcomer, first);
	struct listener *l = n->listener;

	remove_newcomer(n);
	if (byte < 0) {
		close(f->fd);
		return;
	}
	struct stream *s = stream_open_fd(l->loop, f->fd, n->name);
	if (byte == TLS_FIRST_BYTE)
		greet(l, s);
	else
		l->on_accept(l->context, s);
}

static void cancel_most_silent(struct listener *l)
{
	struct newcomer *n = CONTAINER(l->silent.next, struct newcomer, first.link);

	remove_newcomer(n);
	first_byte_cancel(&n->first);
}

static void listen_to(struct listener *l, int fd, const char *name)
{
	struct newcomer *n = NEW(struct newcomer);

	if (l->silent_count == LISTENER_SILENT_MAX)
		cancel_most_silent(l);
	n->listener = l;
	memcpy(n->name, name, sizeof(n->name));
	first_byte_start(&n->first, l->loop, fd, TLS_HANDSHAKE_MS, on_first_byte, free_newcomer);
	list_add(&l->silent, &n->first.link);
	l->silent_count++;
}

/* --- accepting ------------------------------------------------------------------------------- */
static void accept_ready(struct deferred *d)
{
	struct listener *l = CONTAINER(d, struct listener, accept);

	assert(l->magic == LISTENER_MAGIC);
	for (int i = 0; i < LISTENER_ACCEPTS_MAX && !l->is_closed; i++) {
		struct address peer = { .size = sizeof(peer.storage) };
		char name[ADDRESS_TEXT_BYTES];

		int fd = accept4(l->fd, (struct sockaddr *)&peer.storage, &peer.size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (fd < 0) {
			if (is_shortage(errno))
				pause_accepting(l, errno);
			return;
		}
		l->is_short = false;
		address_text(&peer, name);
		if (l->takes_both) {
			listen_to(l, fd, name);
			continue;
		}
		struct stream *s = stream_open_fd(l->loop, fd, name);
		if (l->identity)
			greet(l, s);
		else
			l->on_accept(l->context, s);
	}
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct listener *l = handle->data;

	(void)status;
	(void)events;
	deferred_set(&l->accept, l->loop, accept_ready);
}

static void start_poll(struct listener *l)
{
	int code = uv_poll_start(&l->poll, UV_READABLE, on_poll);
	assert(code == 0);
}

static struct listener *listener_new(struct loop *loop, int fd,
				     void (*on_accept)(void *context, struct stream *s),
				     void *context)
{
	struct listener *l = NEW(struct listener);

	assert(loop->magic == LOOP_MAGIC);
	assert(on_accept);
	l->magic = LISTENER_MAGIC;
	l->loop = loop;
	l->fd = fd;
	l->on_accept = on_accept;
	l->context = context;
	list_init(&l->handshakes);
	list_init(&l->silent);
	int code = uv_poll_init(&loop->uv, &l->poll, fd);
	assert(code == 0);
	l->poll.data = l;
	loop->open_count++;
	start_poll(l);
	return l;
}

static enum err refuse(char why[TASK_WHY_BYTES], int code, const char *what)
{
	if (code == EADDRINUSE) {
		snprintf(why, TASK_WHY_BYTES, "%s is in use by another program", what);
		return ERR_BUSY;
	}
	snprintf(why, TASK_WHY_BYTES, "cannot listen on %s: %s", what, strerror(code));
	return err_from_errno(code);
}

/* --- TCP -------------------------------------------------------------------------------------- */
/* IPv4 is preferred: a name like localhost gets one address here, and clients try them all. */
static enum err resolve_host(const char *host, uint16_t port, struct address *ret)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *found = NULL;
	struct address all[ADDRESS_COUNT_MAX];

	if (address_from_number(host, port, ret) == OK)
		return OK;
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return ERR_NOT_FOUND;
	int count = address_copy_all(found, port, all);
	freeaddrinfo(found);
	if (count == 0)
		return ERR_NOT_FOUND;
	*ret = all[0];
	for (int i = count - 1; i >= 0; i--)
		if (all[i].storage.ss_family == AF_INET)
			*ret = all[i];
	return OK;
}

enum err listener_open_tcp(struct loop *loop, const char *host, uint16_t port,
			   void (*on_accept)(void *context, struct stream *s), void *context,
			   struct listener **ret, char why[TASK_WHY_BYTES])
{
	struct address a;
	char name[ADDRESS_TEXT_BYTES];
	int on = 1, off = 0;

	enum err err = resolve_host(host, port, &a);
	if (err) {
		snprintf(why, TASK_WHY_BYTES, "no address of this machine has the name %.60s",
			 host);
		return err;
	}
	address_text(&a, name);
	int fd = address_socket(&a);
	if (fd < 0)
		return refuse(why, errno, name);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* "::" is every address of both families, whatever the system's default is. */
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (const struct sockaddr *)&a.storage, a.size) < 0 ||
	    listen(fd, LISTENER_BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a.storage, &a.size) < 0) {
		int code = errno;
		close(fd);
		return refuse(why, code, name);
	}
	*ret = listener_new(loop, fd, on_accept, context);
	(*ret)->port = address_port(&a);
	return OK;
}

enum err listener_open_tls(struct loop *loop, const char *host, uint16_t port,
			   struct tls_identity *identity,
			   void (*on_accept)(void *context, struct stream *s), void *context,
			   struct listener **ret, char why[TASK_WHY_BYTES])
{
	enum err err = listener_open_tcp(loop, host, port, on_accept, context, ret, why);

	if (!err)
		(*ret)->identity = identity;
	return err;
}

enum err listener_open_both(struct loop *loop, const char *host, uint16_t port,
			    struct tls_identity *identity,
			    void (*on_accept)(void *context, struct stream *s), void *context,
			    struct listener **ret, char why[TASK_WHY_BYTES])
{
	enum err err = listener_open_tls(loop, host, port, identity, on_accept, context, ret, why);

	if (!err)
		(*ret)->takes_both = true;
	return err;
}

/* --- Unix sockets ----------------------------------------------------------------------------- */
/* A socket file outlives its process.  It may go if nobody answers there. */
static enum err remove_stale(const char *path, const struct address *a, char why[TASK_WHY_BYTES])
{
	struct stat found;

	if (lstat(path, &found) < 0)
		return errno == ENOENT ? OK : refuse(why, errno, path);
	if (!S_ISSOCK(found.st_mode)) {
		snprintf(why, TASK_WHY_BYTES, "%s exists and is not a socket", path);
		return ERR_EXISTS;
	}
	AUTO_FD fd = address_socket(a);
	if (fd < 0)
		return refuse(why, errno, path);
	if (connect(fd, (const struct sockaddr *)&a->storage, a->size) == 0 || errno == EAGAIN)
		return refuse(why, EADDRINUSE, path);
	if (errno != ECONNREFUSED && errno != ENOENT)
		return refuse(why, errno, path);
	if (unlink(path) < 0 && errno != ENOENT)
		return refuse(why, errno, path);
	return OK;
}

/* A socket that is bound and not yet listened to refuses, and others take that for a stale one:
 * wg(8) removes it, and so does remove_stale(). So it gets its name when it listens already. Until
 * then it has one of the same length, because the kernel's limit is short. */
static enum err bind_unix(int fd, const char *path, const struct address *at,
			  char why[TASK_WHY_BYTES], struct stat *ret_made)
{
	struct address a = *at;
	char *early = ((struct sockaddr_un *)&a.storage)->sun_path;
	char *last = early + strlen(early) - 1;

	*last = *last == '~' ? '-' : '~';
	enum err err = remove_stale(path, at, why);
	if (!err)
		err = remove_stale(early, &a, why);
	if (err)
		return err;
	if (bind(fd, (const struct sockaddr *)&a.storage, a.size) < 0)
		return refuse(why, errno, path);
	/* link() does not replace what another process has put there, as rename() would */
	bool is_there = listen(fd, LISTENER_BACKLOG) == 0 && lstat(early, ret_made) == 0 &&
			link(early, path) == 0;
	if (!is_there)
		err = refuse(why, errno == EEXIST ? EADDRINUSE : errno, path);
	unlink(early);
	return err;
}

enum err listener_open_unix(struct loop *loop, const char *path,
			    void (*on_accept)(void *context, struct stream *s), void *context,
			    struct listener **ret, char why[TASK_WHY_BYTES])
{
	struct address a;
	struct stat made;

	if (path[0] == '\0' || address_from_path(path, &a) != OK) {
		snprintf(why, TASK_WHY_BYTES, "the path of a socket is empty or too long: %s",
			 path);
		return ERR_TOO_BIG;
	}
	int fd = address_socket(&a);
	if (fd < 0)
		return refuse(why, errno, path);
	/* On Linux the mode of the socket is that of the file bind() makes: it is never open to
	 * others, not even for a moment. */
	enum err err = fchmod(fd, UNIX_SOCKET_MODE) < 0 ? refuse(why, errno, path)
							: bind_unix(fd, path, &a, why, &made);
	if (err) {
		close(fd);
		return err;
	}
	*ret = listener_new(loop, fd, on_accept, context);
	(*ret)->path = memory_copy_text(path);
	(*ret)->made = made;
	return OK;
}

void listener_set_identity(struct listener *l, struct tls_identity *identity)
{
	assert(l->magic == LISTENER_MAGIC && l->identity && identity);
	l->identity = identity;
}

void listener_tell_refused(struct listener *l,
			   void (*on_refused)(void *context, const char *peer, const char *why))
{
	assert(l->magic == LISTENER_MAGIC && l->identity);
	l->on_refused = on_refused;
}

uint16_t listener_port(const struct listener *l)
{
	assert(l->magic == LISTENER_MAGIC);
	return l->port;
}

/* --- the end ---------------------------------------------------------------------------------- */
static void on_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	assert(l->magic == LISTENER_MAGIC && l->is_closed);
	l->loop->open_count--;
	l->magic = 0;
	memory_free(l->path);
	memory_free(l);
}

/* Another process may have made its own there since. */
static void remove_path(const struct listener *l)
{
	struct stat found;

	if (lstat(l->path, &found) == 0 && found.st_ino == l->made.st_ino &&
	    found.st_dev == l->made.st_dev)
		unlink(l->path);
}

void listener_close(struct listener *l)
{
	assert(l->magic == LISTENER_MAGIC && !l->is_closed);
	l->is_closed = true;
	while (l->handshake_count > 0)
		cancel_oldest(l);
	while (l->silent_count > 0)
		cancel_most_silent(l);
	deferred_clear(&l->accept);
	timer_clear(&l->pause);
	if (l->path)
		remove_path(l);
	uv_close((uv_handle_t *)&l->poll, on_closed);
	close(l->fd);
	l->fd = -1;
}
