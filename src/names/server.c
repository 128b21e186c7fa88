#include "names/server.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/memory.h"
#include "base/scope.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "names/forward.h"

enum { LENGTH_BYTES = 2, BACKLOG = 64, ACCEPTS_MAX = 32, CLOSE_MS = 2000 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Datagrams that are read in one call. */
struct batch {
	struct mmsghdr messages[NAMES_DATAGRAMS_MAX];
	struct iovec parts[NAMES_DATAGRAMS_MAX];
	union address from[NAMES_DATAGRAMS_MAX];
	uint8_t bytes[NAMES_DATAGRAMS_MAX][NAMES_DATAGRAM_BYTES_MAX];
};

struct names_server {
	struct loop *loop;
	struct names_server_config config;
	uint16_t port;
	int udp, tcp;
	struct watch *udp_watch, *tcp_watch;
	struct list connections; /* the one heard last is the last one */
	size_t connection_count;
	struct names_counters counters;
	struct buf answer;
	struct batch *batch;
};

/* Of a program that asks over TCP. */
struct connection {
	struct list link;
	struct names_server *server;
	struct stream *stream; /* NULL: closed, and waits for what was forwarded */
	struct timer idle;
	size_t forwarded; /* under way */
};

/* A query that somebody else answers: where the answer goes. */
struct pending {
	struct names_server *server;
	struct connection *connection; /* NULL: UDP */
	union address from;
	socklen_t from_size;
};

static socklen_t address_of(struct ip_port p, union address *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (p.ip.family == IP_V4) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons(p.port);
		memcpy(&ret->v4.sin_addr, p.ip.bytes, 4);
		return sizeof(ret->v4);
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons(p.port);
	memcpy(&ret->v6.sin6_addr, p.ip.bytes, 16);
	return sizeof(ret->v6);
}

/* Only an address of this machine can be bound to.  The system takes no packet from elsewhere that
 * claims to come from one.  (A socket bound to the loopback device would not hear programs of this
 * machine: for the system they come from the device that has the address they ask.) */
static bool is_local(const struct names_server *s, const union address *from)
{
	union address a = *from;
	bool is_v4 = a.any.sa_family == AF_INET;

	if (is_v4 ? memcmp(&a.v4.sin_addr, s->config.address.ip.bytes, 4) == 0
		  : memcmp(&a.v6.sin6_addr, s->config.address.ip.bytes, 16) == 0)
		return true;
	if (is_v4)
		a.v4.sin_port = 0;
	else
		a.v6.sin6_port = 0;
	AUTO_FD fd = socket(a.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && bind(fd, &a.any, is_v4 ? sizeof(a.v4) : sizeof(a.v6)) == 0;
}

/* --- queries ---------------------------------------------------------------------------------- */

/* The answer is added to s->answer; false: nothing goes back, or not now. */
static bool answer(struct names_server *s, struct slice message, bool is_udp,
		   struct dns_query *query, struct zone_route *route, bool *ret_is_forwarded)
{
	const struct zone *z = s->config.zone(s->config.context);

	*ret_is_forwarded = false;
	s->counters.queries++;
	if (!z) {
		(void)!dns_read_query(message, query);
		if (query->has_header)
			zone_refuse(query, message, DNS_SERVFAIL, &s->answer);
		return query->has_header;
	}
	enum zone_outcome outcome = zone_answer(z, message, is_udp, &s->answer, query, route);
	if (outcome != ZONE_FORWARD)
		return outcome == ZONE_ANSWERED;
	*ret_is_forwarded = s->config.forward != NULL;
	s->counters.forwarded += *ret_is_forwarded;
	s->counters.refused += !*ret_is_forwarded;
	if (!*ret_is_forwarded)
		zone_refuse(query, message, DNS_REFUSED, &s->answer);
	return !*ret_is_forwarded;
}

/* --- UDP -------------------------------------------------------------------------------------- */

static void on_udp_answer(void *context, struct slice bytes)
{
	struct pending *p = context;

	/* One that cannot be sent is asked for again. */
	(void)!sendto(p->server->udp, bytes.data, bytes.size, MSG_DONTWAIT, &p->from.any,
		      p->from_size);
	memory_free(p);
}

/* One datagram of a batch; returns whether its answer was added to s->answer. */
static bool handle_datagram(struct names_server *s, struct slice message, const union address *from,
			    socklen_t from_size)
{
	struct dns_query query;
	struct zone_route route;
	bool is_forwarded;

	if (!is_local(s, from)) {
		s->counters.strangers++;
		return false;
	}
	if (answer(s, message, true, &query, &route, &is_forwarded))
		return true;
	if (!is_forwarded)
		return false;
	struct pending *p = NEW(struct pending);
	*p = (struct pending) { .server = s, .from = *from, .from_size = from_size };
	forward_query(s->config.forward, &query, message, true, &route, on_udp_answer, p);
	return false;
}

/* What goes back, by the number of the datagram it answers. */
static void send_answers(struct names_server *s, const size_t *ends, const unsigned *numbers,
			 unsigned count)
{
	struct batch *b = s->batch;
	struct mmsghdr messages[NAMES_DATAGRAMS_MAX];
	struct iovec parts[NAMES_DATAGRAMS_MAX];

	for (unsigned i = 0; i < count; i++) {
		size_t begin = i ? ends[i - 1] : 0;
		parts[i] = (struct iovec) { s->answer.data + begin, ends[i] - begin };
		messages[i] =
			(struct mmsghdr) { .msg_hdr = {
						   .msg_name = &b->from[numbers[i]],
						   .msg_namelen = b->messages[numbers[i]]
									  .msg_hdr.msg_namelen,
						   .msg_iov = &parts[i],
						   .msg_iovlen = 1,
					   } };
	}
	/* What cannot be sent is asked for again. */
	for (unsigned done = 0; done < count;) {
		int sent = sendmmsg(s->udp, messages + done, count - done, MSG_DONTWAIT);
		done += sent > 0 ? (unsigned)sent : 1;
	}
}

static void on_udp(void *context, int fd, bool is_readable, bool is_writable)
{
	struct names_server *s = context;
	struct batch *b = s->batch;
	size_t ends[NAMES_DATAGRAMS_MAX];
	unsigned numbers[NAMES_DATAGRAMS_MAX], count = 0;

	(void)is_readable;
	(void)is_writable;
	for (unsigned i = 0; i < NAMES_DATAGRAMS_MAX; i++) {
		b->parts[i] = (struct iovec) { b->bytes[i], NAMES_DATAGRAM_BYTES_MAX };
		b->messages[i] = (struct mmsghdr) { .msg_hdr = { .msg_name = &b->from[i],
								 .msg_namelen = sizeof(b->from[i]),
								 .msg_iov = &b->parts[i],
								 .msg_iovlen = 1 } };
	}
	int got = recvmmsg(fd, b->messages, NAMES_DATAGRAMS_MAX, MSG_DONTWAIT, NULL);
	buf_clear(&s->answer);
	for (unsigned i = 0; got > 0 && i < (unsigned)got; i++) {
		struct slice message = { b->bytes[i], b->messages[i].msg_len };
		if (!handle_datagram(s, message, &b->from[i], b->messages[i].msg_hdr.msg_namelen))
			continue;
		ends[count] = s->answer.size;
		numbers[count++] = i;
	}
	send_answers(s, ends, numbers, count);
}

/* --- TCP -------------------------------------------------------------------------------------- */

static void connection_free_if_over(struct connection *c)
{
	if (!c->stream && c->forwarded == 0)
		memory_free(c);
}

/* The stream is closed or leaving. */
static void connection_end(struct connection *c)
{
	c->stream = NULL;
	timer_clear(&c->idle);
	list_remove(&c->link);
	c->server->connection_count--;
	connection_free_if_over(c);
}

static void write_answer(struct connection *c, struct slice bytes)
{
	uint8_t length[LENGTH_BYTES];

	assert(bytes.size <= DNS_MESSAGE_BYTES_MAX);
	put_u16(length, (uint16_t)bytes.size);
	stream_write(c->stream, (struct slice) { length, sizeof(length) });
	stream_write(c->stream, bytes);
}

static void on_tcp_answer(void *context, struct slice bytes)
{
	struct pending *p = context;
	struct connection *c = p->connection;

	c->forwarded--;
	if (c->stream)
		write_answer(c, bytes);
	connection_free_if_over(c);
	memory_free(p);
}

static void handle_message(struct connection *c, struct slice message)
{
	struct names_server *s = c->server;
	struct dns_query query;
	struct zone_route route;
	bool is_forwarded;

	buf_clear(&s->answer);
	if (answer(s, message, false, &query, &route, &is_forwarded))
		write_answer(c, buf_slice(&s->answer));
	if (!is_forwarded)
		return;
	struct pending *p = NEW(struct pending);
	*p = (struct pending) { .server = s, .connection = c };
	c->forwarded++;
	forward_query(s->config.forward, &query, message, false, &route, on_tcp_answer, p);
}

static void on_idle(struct timer *t)
{
	struct connection *c = CONTAINER(t, struct connection, idle);

	stream_close(c->stream);
	connection_end(c);
}

static void on_readable(void *context, struct stream *stream)
{
	struct connection *c = context;
	struct slice bytes = stream_inbox(stream);
	size_t used = 0;

	while (bytes.size - used >= LENGTH_BYTES &&
	       stream_pending_bytes(stream) <= NAMES_PENDING_BYTES_MAX) {
		size_t size = get_u16(bytes.data + used);
		if (size > bytes.size - used - LENGTH_BYTES)
			break;
		handle_message(c, slice_part(bytes, used + LENGTH_BYTES, size));
		used += LENGTH_BYTES + size;
	}
	if (used == 0)
		return;
	stream_consume(stream, used);
	list_remove(&c->link);
	list_add(&c->server->connections, &c->link);
	timer_set(&c->idle, c->server->loop, loop_now_ms(c->server->loop) + NAMES_IDLE_MS, on_idle);
}

static void on_end(void *context, struct stream *stream, enum err err)
{
	struct connection *c = context;

	(void)err;
	if (stream_pending_bytes(stream) > 0)
		stream_close_gracefully(stream, CLOSE_MS);
	else
		stream_close(stream);
	connection_end(c);
}

static const struct stream_owner connection_owner = {
	.on_readable = on_readable,
	.on_drained = on_readable,
	.on_end = on_end,
};

static void add_connection(struct names_server *s, int fd)
{
	if (s->connection_count == NAMES_CONNECTIONS_MAX) {
		struct connection *oldest = CONTAINER(s->connections.next, struct connection, link);
		stream_close(oldest->stream);
		connection_end(oldest);
	}
	struct connection *c = NEW(struct connection);
	c->server = s;
	c->stream = stream_open_fd(s->loop, fd, "a program");
	list_add(&s->connections, &c->link);
	s->connection_count++;
	timer_set(&c->idle, s->loop, loop_now_ms(s->loop) + NAMES_IDLE_MS, on_idle);
	stream_set_owner(c->stream, &connection_owner, c);
}

static void on_tcp(void *context, int listener, bool is_readable, bool is_writable)
{
	struct names_server *s = context;

	(void)is_readable;
	(void)is_writable;
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		union address from;
		socklen_t size = sizeof(from);
		int fd = accept4(listener, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (is_local(s, &from)) {
			add_connection(s, fd);
		} else {
			s->counters.strangers++;
			close(fd);
		}
	}
}

/* --- life ------------------------------------------------------------------------------------- */

static int open_socket(const struct names_server_config *config, int type, uint16_t port)
{
	int on = 1;
	union address a;
	struct ip_port at = { config->address.ip, port };
	bool is_v6 = at.ip.family == IP_V6;
	socklen_t size = address_of(at, &a);
	int fd = socket(a.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, type == SOCK_STREAM ? sizeof(on) : 0);
	setsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_FREEBIND : IP_FREEBIND, &on,
		   sizeof(on));
	if (bind(fd, &a.any, size) < 0 || (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)) {
		int code = errno;
		close(fd);
		errno = code;
		return -1;
	}
	return fd;
}

static uint16_t bound_port(int fd)
{
	union address a;
	socklen_t size = sizeof(a);

	if (getsockname(fd, &a.any, &size) < 0)
		return 0;
	return ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
}

enum err names_server_open(struct loop *loop, const struct names_server_config *config,
			   struct names_server **ret, char why[TASK_WHY_BYTES])
{
	char text[IP_PORT_TEXT_BYTES];
	int udp = open_socket(config, SOCK_DGRAM, config->address.port);
	uint16_t port = udp < 0 ? 0 : bound_port(udp);
	int tcp = udp < 0 ? -1 : open_socket(config, SOCK_STREAM, port);

	if (tcp < 0) {
		int code = errno;
		if (udp >= 0)
			close(udp);
		ip_port_text(config->address, text);
		snprintf(why, TASK_WHY_BYTES, "cannot answer at %s: %s", text, strerror(code));
		return code == EADDRINUSE ? ERR_BUSY : err_from_errno(code);
	}
	struct names_server *s = NEW(struct names_server);
	s->loop = loop;
	s->config = *config;
	s->port = port;
	s->udp = udp;
	s->tcp = tcp;
	list_init(&s->connections);
	buf_init(&s->answer);
	s->batch = NEW(struct batch);
	s->udp_watch = watch_open(loop, udp, on_udp, s);
	s->tcp_watch = watch_open(loop, tcp, on_tcp, s);
	assert(s->udp_watch && s->tcp_watch);
	watch_set(s->udp_watch, true, false);
	watch_set(s->tcp_watch, true, false);
	*ret = s;
	return OK;
}

uint16_t names_server_port(const struct names_server *s)
{
	return s->port;
}

struct names_counters names_server_counters(const struct names_server *s)
{
	return s->counters;
}

void names_server_close(struct names_server *s)
{
	while (s->connection_count > 0) {
		struct connection *c = CONTAINER(s->connections.next, struct connection, link);
		assert(c->forwarded == 0);
		stream_close(c->stream);
		connection_end(c);
	}
	watch_close(s->udp_watch);
	watch_close(s->tcp_watch);
	close(s->udp);
	close(s->tcp);
	buf_done(&s->answer);
	memory_free(s->batch);
	memory_free(s);
}
