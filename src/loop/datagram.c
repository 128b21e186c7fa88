/* A run becomes one message with UDP_SEGMENT where the kernel does that, or as many messages as it
 * has datagrams.  A device that cannot (EIO) ends it for this socket; a run whose datagrams do not
 * fit the path (EINVAL) is sent one by one, so that the kernel can fragment them. */
#include "loop/datagram.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/scope.h"
#include "loop/watch.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	DATAGRAM_MAGIC = 0x44617467,
	CONTROL_BYTES = 128,
	MESSAGES_MAX = 64,	/* in one sendmmsg */
	PAYLOAD_MAX = 65487,	/* of UDP over IPv6, with room for what IPv4 counts */
	PLAIN_BYTES_MAX = 4096, /* received without UDP_GRO: no tunnel sends more */
};

struct datagram {
	uint32_t magic;
	int fd;
	bool is_v6, has_segmentation, has_gro, is_closed, is_receiving;
	uint16_t port;
	size_t slot_bytes; /* of one received run */
	uint8_t *slots;
	struct watch *watch;
	struct datagram_options options;
};

/* --- addresses ------------------------------------------------------------------------------- */
union socket_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t fill_address(bool is_v6, const struct endpoint *e, union socket_address *ret)
{
	*ret = (union socket_address) { 0 };
	if (is_v6) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons(e->port);
		memcpy(&ret->v6.sin6_addr, e->ip, DATAGRAM_IP_BYTES);
		return sizeof(ret->v6);
	}
	ret->v4.sin_family = AF_INET;
	ret->v4.sin_port = htons(e->port);
	memcpy(&ret->v4.sin_addr, e->ip + 12, 4);
	return sizeof(ret->v4);
}

static void map_v4(const struct in_addr *v4, uint8_t ret[DATAGRAM_IP_BYTES])
{
	const uint8_t *b = (const uint8_t *)v4;
	struct endpoint e = endpoint_ip4(b[0], b[1], b[2], b[3], 0);

	memcpy(ret, e.ip, DATAGRAM_IP_BYTES);
}

static bool is_v4(const uint8_t ip[DATAGRAM_IP_BYTES])
{
	struct endpoint e = { 0 };

	memcpy(e.ip, ip, DATAGRAM_IP_BYTES);
	return endpoint_is_ip4(&e);
}

static void read_address(const union socket_address *a, struct endpoint *ret)
{
	if (a->any.sa_family == AF_INET6) {
		memcpy(ret->ip, &a->v6.sin6_addr, DATAGRAM_IP_BYTES);
		ret->port = ntohs(a->v6.sin6_port);
		return;
	}
	map_v4(&a->v4.sin_addr, ret->ip);
	ret->port = ntohs(a->v4.sin_port);
}

/* --- receiving ------------------------------------------------------------------------------- */
union control {
	struct cmsghdr align;
	uint8_t bytes[CONTROL_BYTES];
};

static void read_control(struct msghdr *message, struct datagram_run *run)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memcpy(run->local, &info.ipi6_addr, DATAGRAM_IP_BYTES);
			run->interface = info.ipi6_ifindex;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			map_v4(&info.ipi_addr, run->local);
			run->interface = (uint32_t)info.ipi_ifindex;
		} else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			int size;
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			if (size > 0 && (size_t)size < run->segment_size)
				run->segment_size = (size_t)size;
		}
	}
}

/* True: there may be more. */
static bool receive(struct datagram *d)
{
	union socket_address from[DATAGRAM_RUNS_MAX];
	union control control[DATAGRAM_RUNS_MAX];
	struct mmsghdr messages[DATAGRAM_RUNS_MAX];
	struct iovec parts[DATAGRAM_RUNS_MAX];
	struct datagram_run runs[DATAGRAM_RUNS_MAX];
	size_t count = 0;

	for (int i = 0; i < DATAGRAM_RUNS_MAX; i++) {
		parts[i] = (struct iovec) { d->slots + (size_t)i * d->slot_bytes, d->slot_bytes };
		messages[i] = (struct mmsghdr) { .msg_hdr = { .msg_name = &from[i],
							      .msg_namelen = sizeof(from[i]),
							      .msg_iov = &parts[i],
							      .msg_iovlen = 1,
							      .msg_control = control[i].bytes,
							      .msg_controllen = CONTROL_BYTES } };
	}
	int n = recvmmsg(d->fd, messages, DATAGRAM_RUNS_MAX, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct datagram_run *run = &runs[count];

		if (messages[i].msg_len == 0 || messages[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		*run = (struct datagram_run) { .data = parts[i].iov_base,
					       .size = messages[i].msg_len,
					       .segment_size = messages[i].msg_len };
		read_address(&from[i], &run->peer);
		read_control(&messages[i].msg_hdr, run);
		count++;
	}
	if (count > 0)
		d->options.on_runs(d->options.context, runs, count);
	return n == DATAGRAM_RUNS_MAX;
}

static void release(struct datagram *d)
{
	d->magic = 0;
	memory_free(d->slots);
	memory_free(d);
}

static void on_ready(void *context, int fd, bool is_readable, bool is_writable)
{
	struct datagram *d = context;

	(void)fd;
	d->is_receiving = true;
	if (is_writable && d->options.on_writable) {
		watch_set(d->watch, true, false);
		d->options.on_writable(d->options.context);
	}
	bool is_more = is_readable;
	for (int i = 0; is_more && i < DATAGRAM_ROUNDS_MAX && !d->is_closed; i++)
		is_more = receive(d);
	d->is_receiving = false;
	if (d->is_closed)
		release(d);
}

/* --- sending --------------------------------------------------------------------------------- */
/* A message of the vector that is being sent, and where in the runs it stands. */
struct outgoing {
	struct mmsghdr messages[MESSAGES_MAX];
	struct iovec parts[MESSAGES_MAX];
	union socket_address to[MESSAGES_MAX];
	union control control[MESSAGES_MAX];
	size_t run[MESSAGES_MAX];
	size_t count;
};

static void *add_control(struct msghdr *message, int level, int type, size_t size)
{
	struct cmsghdr *c = (void *)((uint8_t *)message->msg_control + message->msg_controllen);

	assert(message->msg_controllen + CMSG_SPACE(size) <= CONTROL_BYTES);
	memset(c, 0, CMSG_SPACE(size));
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	message->msg_controllen += CMSG_SPACE(size);
	return CMSG_DATA(c);
}

static bool has_local(const struct datagram_run *run)
{
	static const uint8_t any[DATAGRAM_IP_BYTES];

	return run->interface != 0 || memcmp(run->local, any, sizeof(any)) != 0;
}

static void add_local(struct datagram *d, struct msghdr *message, const struct datagram_run *run)
{
	if (d->is_v6) {
		struct in6_pktinfo info = { .ipi6_ifindex = run->interface };
		memcpy(&info.ipi6_addr, run->local, DATAGRAM_IP_BYTES);
		memcpy(add_control(message, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info)), &info,
		       sizeof(info));
	} else {
		struct in_pktinfo info = { .ipi_ifindex = (int)run->interface };
		memcpy(&info.ipi_spec_dst, run->local + 12, 4);
		memcpy(add_control(message, IPPROTO_IP, IP_PKTINFO, sizeof(info)), &info,
		       sizeof(info));
	}
}

static void add_message(struct datagram *d, struct outgoing *out, const struct datagram_run *run,
			size_t index, size_t offset, size_t size)
{
	size_t i = out->count++;
	struct msghdr *message = &out->messages[i].msg_hdr;

	out->run[i] = index;
	out->parts[i] = (struct iovec) { run->data + offset, size };
	*message = (struct msghdr) { .msg_name = &out->to[i],
				     .msg_namelen = fill_address(d->is_v6, &run->peer, &out->to[i]),
				     .msg_iov = &out->parts[i],
				     .msg_iovlen = 1,
				     .msg_control = out->control[i].bytes };
	if (has_local(run))
		add_local(d, message, run);
	if (size > run->segment_size) {
		uint16_t segment = (uint16_t)run->segment_size;
		memcpy(add_control(message, SOL_UDP, UDP_SEGMENT, sizeof(segment)), &segment,
		       sizeof(segment));
	}
	if (message->msg_controllen == 0)
		message->msg_control = NULL;
}

static size_t message_bytes(const struct datagram *d, const struct datagram_run *run)
{
	size_t segments = d->has_segmentation ? PAYLOAD_MAX / run->segment_size : 1;

	if (segments > DATAGRAM_SEGMENTS_MAX)
		segments = DATAGRAM_SEGMENTS_MAX;
	return segments < 1 ? run->segment_size : segments * run->segment_size;
}

/* As many messages as there is room for, from `first` on. */
static void gather(struct datagram *d, struct outgoing *out, struct datagram_run *runs,
		   size_t first, size_t count)
{
	out->count = 0;
	for (size_t i = first; i < count; i++) {
		struct datagram_run *run = &runs[i];
		assert(run->segment_size > 0 && run->segment_size <= run->size);
		size_t step = message_bytes(d, run);

		for (size_t at = 0; at < run->size; at += step) {
			if (out->count == MESSAGES_MAX)
				return;
			size_t size = run->size - at < step ? run->size - at : step;
			add_message(d, out, run, i, at, size);
		}
	}
}

/* The first `sent` messages are gone: the runs forget them.  Returns the first run with a rest. */
static size_t forget(const struct outgoing *out, struct datagram_run *runs, size_t first,
		     size_t sent)
{
	for (size_t i = 0; i < sent; i++) {
		struct datagram_run *run = &runs[out->run[i]];

		run->data += out->parts[i].iov_len;
		run->size -= out->parts[i].iov_len;
		first = run->size == 0 ? out->run[i] + 1 : out->run[i];
	}
	return first;
}

/* One by one what did not go as a whole; what fails is lost, as a datagram may be. */
static void send_separately(struct datagram *d, struct datagram_run *run, size_t size)
{
	struct outgoing out;
	enum err err = OK;

	for (size_t at = 0; at < size; at += run->segment_size) {
		out.count = 0;
		add_message(d, &out, run, 0, at,
			    size - at < run->segment_size ? size - at : run->segment_size);
		if (sendmsg(d->fd, &out.messages[0].msg_hdr, MSG_DONTWAIT) < 0)
			err = err_from_errno(errno);
	}
	run->err = err;
	run->data += size;
	run->size -= size;
}

/* The first message of `out` failed.  False: the socket is full. */
static bool settle_failure(struct datagram *d, struct outgoing *out, struct datagram_run *runs)
{
	struct datagram_run *run = &runs[out->run[0]];
	size_t size = out->parts[0].iov_len;
	int code = errno;

	if (code == EAGAIN || code == ENOBUFS)
		return false;
	if (run->interface == 0 && has_local(run)) { /* it may be gone: once more without it */
		memset(run->local, 0, sizeof(run->local));
		return true;
	}
	if (size > run->segment_size && (code == EIO || code == EINVAL || code == EMSGSIZE)) {
		if (code == EIO)
			d->has_segmentation = false;
		send_separately(d, run, size);
		return true;
	}
	run->err = err_from_errno(code);
	run->data += run->size;
	run->size = 0;
	return true;
}

size_t datagram_send(struct datagram *d, struct datagram_run *runs, size_t count)
{
	struct outgoing out;
	size_t first = 0;

	assert(d->magic == DATAGRAM_MAGIC && !d->is_closed);
	for (size_t i = 0; i < count; i++)
		runs[i].err = OK;
	while (first < count) {
		gather(d, &out, runs, first, count);
		int n = sendmmsg(d->fd, out.messages, (unsigned)out.count, MSG_DONTWAIT);
		if (n > 0) {
			first = forget(&out, runs, first, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		first = out.run[0];
		if (!settle_failure(d, &out, runs)) {
			watch_set(d->watch, true, d->options.on_writable != NULL);
			return first;
		}
		first += runs[first].size == 0;
	}
	return count;
}

enum err datagram_send_one(struct datagram *d, const struct endpoint *to, struct slice bytes)
{
	struct datagram_run run = { .peer = *to,
				    .data = (uint8_t *)(uintptr_t)bytes.data,
				    .size = bytes.size,
				    .segment_size = bytes.size };

	return datagram_send(d, &run, 1) == 1 ? run.err : ERR_BUSY;
}

enum err datagram_send_near(struct datagram *d, const struct endpoint *to, struct slice bytes,
			    int hops)
{
	int usual = -1;
	enum err err;

	assert(hops > 0 && hops < 256);
	if (setsockopt(d->fd, IPPROTO_IP, IP_TTL, &hops, sizeof(hops)) < 0)
		return err_from_errno(errno);
	err = datagram_send_one(d, to, bytes);
	if (setsockopt(d->fd, IPPROTO_IP, IP_TTL, &usual, sizeof(usual)) < 0)
		return err_from_errno(errno);
	return err;
}

/* --- life ------------------------------------------------------------------------------------ */
static bool turn_on(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

/* As much as the system allows: only the privileged may pass net.core.rmem_max. */
static void grow_buffers(int fd)
{
	int size = DATAGRAM_BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static int open_socket(bool is_v6)
{
	int off = 0;
	AUTO_FD fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			    IPPROTO_UDP);

	if (fd < 0)
		return -1;
	if (is_v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -1;
	bool has_info = is_v6 ? turn_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO)
			      : turn_on(fd, IPPROTO_IP, IP_PKTINFO);
	if (!has_info)
		return -1;
	int ret = fd;
	fd = -1;
	return ret;
}

static enum err bind_socket(int fd, bool is_v6, const struct datagram_options *o, uint16_t *port)
{
	struct endpoint local = { .port = o->port };
	union socket_address address;

	if (o->local)
		memcpy(local.ip, o->local, DATAGRAM_IP_BYTES);
	socklen_t size = fill_address(is_v6, &local, &address);
	if (o->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &o->mark, sizeof(o->mark)) < 0)
		return err_from_errno(errno);
	if (bind(fd, &address.any, size) < 0 || getsockname(fd, &address.any, &size) < 0)
		return err_from_errno(errno);
	read_address(&address, &local);
	*port = local.port;
	return OK;
}

enum err datagram_open(struct loop *loop, const struct datagram_options *o, struct datagram **ret)
{
	bool is_v6 = !o->is_v4_only && !(o->local && is_v4(o->local));
	AUTO_FD fd = open_socket(is_v6);
	uint16_t port = 0;

	assert(o->on_runs);
	if (fd < 0 && is_v6 && !o->local) { /* a kernel without IPv6 */
		is_v6 = false;
		fd = open_socket(is_v6);
	}
	if (fd < 0)
		return err_from_errno(errno);
	enum err err = bind_socket(fd, is_v6, o, &port);
	if (err)
		return err;
	grow_buffers(fd);

	struct datagram *d = NEW(struct datagram);
	d->magic = DATAGRAM_MAGIC;
	d->fd = fd;
	d->is_v6 = is_v6;
	d->port = port;
	d->options = *o;
	d->options.local = NULL; /* the caller's */
	d->has_gro = !o->without_segmentation && turn_on(fd, SOL_UDP, UDP_GRO);
	int segment = 0;
	d->has_segmentation = !o->without_segmentation &&
			      setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0;
	d->slot_bytes = d->has_gro ? DATAGRAM_BYTES_MAX + 1 : PLAIN_BYTES_MAX;
	d->slots = memory_take_array(DATAGRAM_RUNS_MAX, d->slot_bytes);
	d->watch = watch_open(loop, fd, on_ready, d);
	if (!d->watch) {
		release(d);
		return ERR_IO;
	}
	watch_set(d->watch, true, false);
	fd = -1;
	*ret = d;
	return OK;
}

void datagram_close(struct datagram *d)
{
	if (!d)
		return;
	assert(d->magic == DATAGRAM_MAGIC && !d->is_closed);
	watch_close(d->watch);
	close(d->fd);
	d->is_closed = true;
	if (!d->is_receiving)
		release(d);
}

uint16_t datagram_port(const struct datagram *d)
{
	return d->port;
}

bool datagram_has_v6(const struct datagram *d)
{
	return d->is_v6;
}

bool datagram_has_segmentation(const struct datagram *d)
{
	return d->has_segmentation;
}

enum err datagram_set_mark(struct datagram *d, uint32_t mark)
{
	if (setsockopt(d->fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return err_from_errno(errno);
	return OK;
}

int datagram_fd(const struct datagram *d)
{
	return d->fd;
}
