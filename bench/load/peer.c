#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/endian.h"
#include "load.h"

enum {
	EVENTS_MAX = 256,
	READ_BYTES = 16384,
	ANSWER_BYTES_MAX = 256 << 20,
	LENGTH_BYTES = 4,
	HEADER_BYTES = 5, /* correlation id and an empty section of tags */
};

void peers_open(struct peers *all)
{
	arena_init(&all->arena);
	all->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (all->epoll < 0)
		load_die("epoll", strerror(errno));
}

/* "HOST:PORT,HOST:PORT...": one after the other, and again from the first. */
static void next_address(struct load *l, char *ret_host, size_t size, uint16_t *ret_port)
{
	const char *at = l->next_broker && *l->next_broker ? l->next_broker : l->options.broker;
	size_t length = strcspn(at, ":,");

	if (at[length] != ':' || length >= size)
		load_die(l->options.broker, "not HOST:PORT,...");
	snprintf(ret_host, size, "%.*s", (int)length, at);
	*ret_port = (uint16_t)strtoul(at + length + 1, NULL, 10);
	l->next_broker = at + strcspn(at, ",");
	l->next_broker += *l->next_broker == ',';
}

void peer_open(struct peer *p, struct load *l)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char host[64];
	uint16_t port;
	int on = 1;

	next_address(l, host, sizeof(host), &port);
	address.sin_port = htons(port);
	*p = (struct peer) { .load = l };
	buf_init(&p->out);
	buf_init(&p->in);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
	    connect(p->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		load_die(l->options.broker, strerror(errno));
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* --- out ----------------------------------------------------------------------------------------
 */
static void watch_for(struct peer *p, bool for_room)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };

	if (for_room == p->is_full)
		return;
	p->is_full = for_room;
	if (for_room)
		e.events |= EPOLLOUT;
	epoll_ctl(p->load->peers.epoll, EPOLL_CTL_MOD, p->fd, &e);
}

static void push(struct peer *p)
{
	while (p->sent < p->out.size) {
		ssize_t n = send(p->fd, p->out.data + p->sent, p->out.size - p->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			load_die("send", strerror(errno));
		p->sent += (size_t)n;
	}
	if (p->sent == p->out.size) {
		buf_clear(&p->out);
		p->sent = 0;
	}
	if (p->on_answer)
		watch_for(p, p->out.size > 0);
}

void peer_send(struct peer *p, const struct schema *s, int version, const void *request)
{
	size_t began = p->out.size;

	buf_add_u32(&p->out, 0);
	buf_add_u16(&p->out, (uint16_t)s->key);
	buf_add_u16(&p->out, (uint16_t)version);
	buf_add_u32(&p->out, (uint32_t)p->correlation++);
	buf_add_u16(&p->out, 0); /* client id: empty */
	buf_add_u8(&p->out, 0);	 /* no tags: every version here is a flexible one */
	schema_encode(s, version, request, &p->out);
	put_u32(p->out.data + began, (uint32_t)(p->out.size - began - LENGTH_BYTES));
	push(p);
}

/* --- in -----------------------------------------------------------------------------------------
 */
/* How much of the next answer is not there. */
static size_t missing_bytes(const struct peer *p)
{
	if (p->in.size < LENGTH_BYTES)
		return LENGTH_BYTES - p->in.size;
	size_t size = get_u32(p->in.data);
	if (size < HEADER_BYTES || size > ANSWER_BYTES_MAX)
		load_die("answer", "it has an impossible length");
	size += LENGTH_BYTES;
	return size > p->in.size ? size - p->in.size : 0;
}

/* False: nothing is there. */
static bool pull(struct peer *p)
{
	size_t missing = missing_bytes(p), room = missing > READ_BYTES ? missing : READ_BYTES;
	ssize_t n = recv(p->fd, buf_reserve(&p->in, room), room, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		load_die("receive", n < 0 ? strerror(errno) : "the broker hung up");
	p->in.size += (size_t)n;
	return true;
}

/* Every request here has an answer with tags in its header. */
static struct slice front_body(const struct peer *p)
{
	return slice_part(buf_slice(&p->in), LENGTH_BYTES + HEADER_BYTES,
			  get_u32(p->in.data) - HEADER_BYTES);
}

static void drop_front(struct peer *p)
{
	size_t size = get_u32(p->in.data) + LENGTH_BYTES;

	if (size == p->in.size)
		buf_clear(&p->in);
	else
		buf_drop_front(&p->in, size);
}

void peer_decode(struct peer *p, const struct schema *s, int version, struct slice body, void *ret)
{
	arena_reset(&p->load->peers.arena);
	if (schema_decode_all(&p->load->peers.arena, s, version, body, ret))
		load_die(s->name, "the answer is of another form");
}

void peer_receive(struct peer *p, const struct schema *s, int version, void *ret)
{
	if (p->in.size > 0)
		drop_front(p);
	while (p->in.size < LENGTH_BYTES || missing_bytes(p) > 0)
		(void)pull(p);
	peer_decode(p, s, version, front_body(p), ret);
}

void peer_watch(struct peer *p, peer_on_answer *on_answer)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };

	buf_clear(&p->in); /* peer_receive() left its last one */
	p->on_answer = on_answer;
	if (fcntl(p->fd, F_SETFL, O_NONBLOCK) < 0 ||
	    epoll_ctl(p->load->peers.epoll, EPOLL_CTL_ADD, p->fd, &e) < 0)
		load_die("epoll", strerror(errno));
}

static void take_answers(struct peer *p)
{
	if (!pull(p))
		return;
	while (p->in.size >= LENGTH_BYTES && missing_bytes(p) == 0) {
		p->on_answer(p, front_body(p));
		drop_front(p);
	}
}

void peers_wait(struct load *l, uint64_t until_us)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t now_us = clock_now_us(), wait_us = until_us > now_us ? until_us - now_us : 0;
	struct timespec wait = { .tv_sec = (time_t)(wait_us / LOAD_US_PER_S),
				 .tv_nsec = (long)(wait_us % LOAD_US_PER_S) * 1000 };
	int n = epoll_pwait2(l->peers.epoll, events, EVENTS_MAX, &wait, NULL);

	for (int i = 0; i < n; i++) {
		struct peer *p = events[i].data.ptr;
		l->now_us = clock_now_us();
		if (events[i].events & EPOLLOUT)
			push(p);
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			take_answers(p);
	}
	l->now_us = clock_now_us();
}
