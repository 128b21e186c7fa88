/* Connecting: resolve, then try one address after the other.
 *
 *	start --(number or path)--------------> connecting --> done
 *	  \--(name)--> resolving --> ... ----->    |  ^  \
 *	                                           \--/   \--(TLS)--> securing --> done
 *	                          refused: the next address
 *
 * What libuv may still touch after a cancel lives in `struct connecting`, apart from the task. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "loop/address.h"
#include "loop/handshake.h"
#include "loop/private.h"
#include "loop/stream.h"
#include "loop/tls.h"

enum { CONNECT_START, CONNECT_RESOLVING, CONNECT_CONNECTING, CONNECT_SECURING, CONNECT_PLACES };
static const char *const connect_places[] = { "start", "resolving", "connecting", "securing" };

/* One address being tried. */
struct attempt {
	uv_poll_t poll; /* data: the attempt */
	int fd;
	bool is_over;
	struct connecting *owner; /* NULL: given up */
};

struct connecting {
	uv_getaddrinfo_t resolver; /* data: this */
	struct task *task;	   /* NULL: canceled while the resolver works; it frees this */
	bool is_resolving;
	int resolver_code;
	char host[ADDRESS_HOST_BYTES_MAX];
	uint16_t port;
	struct address addresses[ADDRESS_COUNT_MAX];
	int address_count, next_address;
	struct attempt *attempt;
	enum err err;		       /* of the last address that failed */
	struct tls_identity *identity; /* NULL: in the clear */
	struct handshake handshake;
	bool is_securing;
};

/* --- one attempt ------------------------------------------------------------------------------ */
static void on_attempt_closed(uv_handle_t *handle)
{
	memory_free(handle->data);
}

/* Returns the socket if `keep`, else -1. */
static int close_attempt(struct connecting *c, bool keep)
{
	struct attempt *a = c->attempt;
	int fd = a->fd;

	c->attempt = NULL;
	a->owner = NULL;
	uv_close((uv_handle_t *)&a->poll, on_attempt_closed);
	if (keep)
		return fd;
	close(fd);
	return -1;
}

static void on_attempt(uv_poll_t *handle, int status, int events)
{
	struct attempt *a = handle->data;

	(void)status;
	(void)events;
	uv_poll_stop(handle);
	a->is_over = true;
	task_wake(a->owner->task);
}

static enum err note_failure(struct connecting *c, const struct address *to, int code)
{
	char name[ADDRESS_TEXT_BYTES];

	address_text(to, name);
	snprintf(c->task->why, TASK_WHY_BYTES, "cannot connect to %.60s: %.30s",
		 to->storage.ss_family == AF_UNIX ? c->host : name, strerror(code));
	/* A missing socket file or a full backlog: nobody serves there now. */
	bool is_absent = code == ENOENT || code == EAGAIN;
	c->err = is_absent ? ERR_UNAVAILABLE : err_from_errno(code);
	return c->err;
}

/* Try addresses until one does not fail at once. */
static enum err start_attempt(struct connecting *c)
{
	while (c->next_address < c->address_count) {
		const struct address *to = &c->addresses[c->next_address++];
		int fd = address_socket(to);
		if (fd < 0) {
			note_failure(c, to, errno);
			continue;
		}
		if (connect(fd, (const struct sockaddr *)&to->storage, to->size) < 0 &&
		    errno != EINPROGRESS) {
			note_failure(c, to, errno);
			close(fd);
			continue;
		}
		struct attempt *a = NEW(struct attempt);
		a->fd = fd;
		a->owner = c;
		a->poll.data = a;
		int code = uv_poll_init(&c->task->loop->uv, &a->poll, fd);
		assert(code == 0);
		code = uv_poll_start(&a->poll, UV_WRITABLE, on_attempt);
		assert(code == 0);
		c->attempt = a;
		return OK;
	}
	return c->err;
}

/* --- the task --------------------------------------------------------------------------------- */
static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
	struct connecting *c = request->data;

	c->is_resolving = false;
	c->resolver_code = status;
	if (status == 0)
		c->address_count = address_copy_all(found, c->port, c->addresses);
	uv_freeaddrinfo(found);
	if (c->task)
		task_wake(c->task);
	else
		memory_free(c);
}

static void release(struct connect *connect)
{
	struct connecting *c = connect->handle;

	connect->handle = NULL;
	if (c->attempt)
		close_attempt(c, false);
	if (c->is_securing)
		handshake_cancel(&c->handshake);
	c->task = NULL;
	if (c->is_resolving)
		uv_cancel((uv_req_t *)&c->resolver);
	else
		memory_free(c);
}

static enum step fail(struct connect *connect, enum err err)
{
	release(connect);
	return task_done(&connect->task, err);
}

static enum step start_next(struct connect *connect)
{
	enum err err = start_attempt(connect->handle);

	return err ? fail(connect, err) : task_wait(&connect->task, CONNECT_CONNECTING);
}

static enum step step_start(struct connect *connect)
{
	struct connecting *c = connect->handle;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };

	if (c->err)
		return fail(connect, c->err);
	if (c->address_count > 0)
		return start_next(connect);
	c->is_resolving = true;
	c->resolver.data = c;
	int code = uv_getaddrinfo(&connect->task.loop->uv, &c->resolver, on_resolved, c->host, NULL,
				  &hints);
	if (code == 0)
		return task_wait(&connect->task, CONNECT_RESOLVING);
	c->is_resolving = false;
	snprintf(connect->task.why, TASK_WHY_BYTES, "cannot resolve %.60s: %s", c->host,
		 uv_strerror(code));
	return fail(connect, err_from_uv(code));
}

static enum step step_resolved(struct connect *connect)
{
	struct connecting *c = connect->handle;

	if (c->is_resolving)
		return task_wait(&connect->task, CONNECT_RESOLVING);
	if (c->resolver_code == 0 && c->address_count > 0)
		return start_next(connect);
	snprintf(connect->task.why, TASK_WHY_BYTES, "cannot resolve %.60s: %s", c->host,
		 c->resolver_code ? uv_strerror(c->resolver_code) : "no address");
	return fail(connect, c->resolver_code ? err_from_uv(c->resolver_code) : ERR_UNAVAILABLE);
}

static void on_handshake(struct handshake *h, enum err err)
{
	struct connecting *c = CONTAINER(h, struct connecting, handshake);

	c->is_securing = false;
	c->err = err;
	task_wake(c->task);
}

static const char *explain(const struct connecting *c)
{
	bool has_peers = tls_identity_has_peers(c->identity);
	enum err err = c->err;

	if (err == ERR_DENIED && !has_peers)
		return "its certificate is not one that is believed";
	if (err == ERR_CORRUPT && !has_peers)
		return "what answers there does not speak TLS 1.3";
	if (err == ERR_DENIED)
		return "whoever answers has other keys than those of this cluster";
	if (err == ERR_CORRUPT)
		return "what answers there is no peer port with keys";
	if (err == ERR_TIMEOUT)
		return "the handshake took too long";
	return "the connection was closed during the handshake";
}

static enum step step_connected(struct connect *connect)
{
	struct connecting *c = connect->handle;
	char name[ADDRESS_TEXT_BYTES];
	int code = 0;
	socklen_t size = sizeof(code);

	if (!c->attempt->is_over)
		return task_wait(&connect->task, CONNECT_CONNECTING);
	const struct address *to = &c->addresses[c->next_address - 1];
	if (getsockopt(c->attempt->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	if (code) {
		note_failure(c, to, code);
		close_attempt(c, false);
		return start_next(connect);
	}
	address_text(to, name);
	int fd = close_attempt(c, true);
	struct stream *s = stream_open_fd(connect->task.loop, fd, name);
	connect->task.why[0] = 0;
	if (c->identity) {
		c->is_securing = true;
		handshake_start(&c->handshake, c->task->loop, s, c->identity, false, on_handshake);
		return task_wait(&connect->task, CONNECT_SECURING);
	}
	release(connect);
	connect->ret = s;
	return task_done(&connect->task, OK);
}

static enum step step_secured(struct connect *connect)
{
	struct connecting *c = connect->handle;
	struct stream *s = c->handshake.stream;

	if (c->is_securing)
		return task_wait(&connect->task, CONNECT_SECURING);
	if (c->err) {
		snprintf(connect->task.why, TASK_WHY_BYTES, "%.40s port %u: %s", c->host, c->port,
			 explain(c));
		return fail(connect, c->err);
	}
	release(connect);
	connect->ret = s;
	return task_done(&connect->task, OK);
}

static enum step connect_step(struct task *t)
{
	struct connect *connect = CONTAINER(t, struct connect, task);
	struct connecting *c = connect->handle;

	if (task_is_canceled(t)) {
		if (t->at == CONNECT_SECURING && !c->is_securing && !c->err)
			stream_close(c->handshake.stream); /* it came too late */
		return fail(connect, ERR_CANCELED);
	}
	switch (t->at) {
	case CONNECT_START:
		return step_start(connect);
	case CONNECT_RESOLVING:
		return step_resolved(connect);
	case CONNECT_CONNECTING:
		return step_connected(connect);
	case CONNECT_SECURING:
		return step_secured(connect);
	}
	abort();
}

static const struct task_kind connect_kind = {
	.name = "connect",
	.places = connect_places,
	.place_count = CONNECT_PLACES,
	.step = connect_step,
};

static struct connecting *start(struct connect *connect, struct task *parent, const char *host)
{
	struct connecting *c = NEW(struct connecting);

	connect->ret = NULL;
	connect->handle = c;
	c->task = &connect->task;
	task_start(&connect->task, &connect_kind, parent);
	if (strlen(host) >= sizeof(c->host)) {
		c->err = ERR_TOO_BIG;
		snprintf(connect->task.why, TASK_WHY_BYTES, "too long for an address: %.60s", host);
		return c;
	}
	memcpy(c->host, host, strlen(host) + 1);
	return c;
}

void connect_tcp(struct connect *connect, struct task *parent, const char *host, uint16_t port)
{
	struct connecting *c = start(connect, parent, host);

	c->port = port;
	if (address_from_number(host, port, &c->addresses[0]) == OK)
		c->address_count = 1;
}

void connect_tls(struct connect *connect, struct task *parent, const char *host, uint16_t port,
		 struct tls_identity *identity)
{
	struct connecting *c;

	connect_tcp(connect, parent, host, port);
	c = connect->handle;
	c->identity = identity;
}

void connect_unix(struct connect *connect, struct task *parent, const char *path)
{
	struct connecting *c = start(connect, parent, path);

	c->address_count = 1;
	if (address_from_path(path, &c->addresses[0]) != OK) {
		c->err = ERR_TOO_BIG;
		snprintf(connect->task.why, TASK_WHY_BYTES, "too long for a socket: %.60s", path);
	}
}
