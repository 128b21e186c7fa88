#include "names/forward.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "loop/watch.h"

enum { DNS_PORT = 53, LENGTH_BYTES = 2, DATAGRAMS_MAX = 16 };

struct forward {
	struct loop *loop;
	struct ip_port resolvers[FORWARD_RESOLVERS_MAX];
	size_t resolver_count;
	struct list queries;
	size_t query_count;
	bool is_closing;
};

struct query;

/* One resolver that is asked. */
struct attempt {
	struct query *query;
	struct ip_port resolver;
	int fd; /* -1: not asked yet, or failed */
	struct watch *watch;
};

struct query {
	struct list link;
	struct forward *forward;
	struct deferred end;
	struct timer timer;
	uint64_t began_ms;
	struct dns_query seen; /* with our id */
	uint16_t asker_id;
	bool is_udp, was_repeated;
	struct buf message; /* with our id */
	struct attempt attempts[FORWARD_RESOLVERS_MAX];
	size_t attempt_count, asked;
	struct attempt tcp;    /* its watch: until it is connected */
	struct stream *stream; /* then */
	struct buf kept;       /* the best answer so far */
	bool is_over;
	forward_on_answer *on_answer;
	void *context;
};

/* --- the end of a query ----------------------------------------------------------------------- */

static void attempt_close(struct attempt *a)
{
	if (a->watch)
		watch_close(a->watch);
	if (a->fd >= 0)
		close(a->fd);
	a->watch = NULL;
	a->fd = -1;
}

static void query_end(struct deferred *d)
{
	struct query *q = CONTAINER(d, struct query, end);
	struct forward *f = q->forward;

	list_remove(&q->link);
	f->query_count--;
	if (q->kept.size == 0) {
		q->seen.header.id = q->asker_id;
		zone_refuse(&q->seen, buf_slice(&q->message),
			    q->attempt_count ? DNS_SERVFAIL : DNS_REFUSED, &q->kept);
	}
	put_u16(q->kept.data, q->asker_id);
	q->on_answer(q->context, buf_slice(&q->kept));
	buf_done(&q->kept);
	buf_done(&q->message);
	memory_free(q);
}

/* Nothing of the network is left; the answer is told from the loop. */
static void finish(struct query *q)
{
	if (q->is_over)
		return;
	q->is_over = true;
	timer_clear(&q->timer);
	for (size_t i = 0; i < q->attempt_count; i++)
		attempt_close(&q->attempts[i]);
	attempt_close(&q->tcp);
	if (q->stream)
		stream_close(q->stream);
	q->stream = NULL;
	deferred_set(&q->end, q->forward->loop, query_end);
}

static bool is_final(struct slice answer)
{
	unsigned rcode = get_u16(answer.data + 2) & DNS_RCODE;

	return rcode != DNS_SERVFAIL && rcode != DNS_REFUSED;
}

static void keep(struct query *q, struct slice answer)
{
	if (q->kept.size > 0 && !is_final(answer))
		return;
	buf_clear(&q->kept);
	buf_add_slice(&q->kept, answer);
	if (is_final(answer))
		finish(q);
}

/* --- TCP, after an answer that was cut off ---------------------------------------------------- */

static void on_readable(void *context, struct stream *s)
{
	struct query *q = context;
	struct slice bytes = stream_inbox(s);

	if (q->is_over || bytes.size < LENGTH_BYTES ||
	    get_u16(bytes.data) > bytes.size - LENGTH_BYTES)
		return;
	struct slice answer = slice_part(bytes, LENGTH_BYTES, get_u16(bytes.data));
	if (dns_is_response_to(answer, &q->seen)) {
		buf_clear(&q->kept);
		buf_add_slice(&q->kept, answer);
	}
	finish(q); /* with the short answer, if that was no better */
}

static void on_end(void *context, struct stream *s, enum err err)
{
	struct query *q = context;

	(void)s;
	(void)err;
	finish(q);
}

static const struct stream_owner tcp_owner = { .on_readable = on_readable, .on_end = on_end };

static void on_connected(void *context, int fd, bool is_readable, bool is_writable)
{
	struct attempt *a = context;
	struct query *q = a->query;
	uint8_t length[LENGTH_BYTES];
	int code = 0;
	socklen_t size = sizeof(code);

	(void)is_readable;
	(void)is_writable;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 || code) {
		finish(q);
		return;
	}
	watch_close(a->watch);
	a->watch = NULL;
	a->fd = -1;
	q->stream = stream_open_fd(q->forward->loop, fd, "a resolver");
	stream_set_owner(q->stream, &tcp_owner, q);
	put_u16(length, (uint16_t)q->message.size);
	stream_write(q->stream, (struct slice) { length, sizeof(length) });
	stream_write(q->stream, buf_slice(&q->message));
}

/* --- UDP -------------------------------------------------------------------------------------- */

/* A socket that only this resolver can send to, or -1. */
static int connect_to(struct ip_port to, int type)
{
	struct sockaddr_storage storage = { .ss_family = AF_INET };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
	socklen_t size = sizeof(*v4);

	if (to.ip.family == IP_V4) {
		v4->sin_port = htons(to.port);
		memcpy(&v4->sin_addr, to.ip.bytes, 4);
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(to.port);
		memcpy(&v6->sin6_addr, to.ip.bytes, 16);
		size = sizeof(*v6);
	}
	int fd = socket(storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&storage, size) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool attempt_open(struct attempt *a, int type,
			 void (*on_ready)(void *context, int fd, bool is_readable,
					  bool is_writable))
{
	a->fd = connect_to(a->resolver, type);
	if (a->fd < 0)
		return false;
	a->watch = watch_open(a->query->forward->loop, a->fd, on_ready, a);
	assert(a->watch);
	watch_set(a->watch, type == SOCK_DGRAM, type == SOCK_STREAM);
	return true;
}

static void on_datagram(void *context, int fd, bool is_readable, bool is_writable)
{
	struct attempt *a = context;
	struct query *q = a->query;
	uint8_t bytes[DNS_UDP_BYTES_MAX * 4];

	(void)is_readable;
	(void)is_writable;
	for (int i = 0; i < DATAGRAMS_MAX && !q->is_over; i++) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		struct slice answer = { bytes, got < 0 ? 0 : (size_t)got };
		if (got < 0)
			return; /* nobody is there perhaps: the others go on */
		if (!dns_is_response_to(answer, &q->seen))
			continue;
		bool is_cut_off = get_u16(bytes + 2) & DNS_TRUNCATED;
		if (is_cut_off && !q->is_udp && q->tcp.fd < 0 && !q->stream) {
			q->tcp.resolver = a->resolver;
			buf_clear(&q->kept);
			buf_add_slice(&q->kept, answer);
			if (attempt_open(&q->tcp, SOCK_STREAM, on_connected))
				return;
		}
		keep(q, answer);
	}
}

static void ask(struct attempt *a)
{
	if (a->fd < 0 && !attempt_open(a, SOCK_DGRAM, on_datagram))
		return;
	(void)!send(a->fd, a->query->message.data, a->query->message.size, MSG_DONTWAIT);
}

/* --- the race --------------------------------------------------------------------------------- */

static void on_timer(struct timer *t);

static void plan(struct query *q)
{
	uint64_t after_ms = q->asked < q->attempt_count ? q->asked * FORWARD_NEXT_MS
			    : !q->was_repeated		? (uint64_t)FORWARD_AGAIN_MS
							: (uint64_t)FORWARD_TIMEOUT_MS;

	timer_set(&q->timer, q->forward->loop, q->began_ms + after_ms, on_timer);
}

static void on_timer(struct timer *t)
{
	struct query *q = CONTAINER(t, struct query, timer);

	if (q->asked < q->attempt_count) {
		ask(&q->attempts[q->asked++]);
	} else if (!q->was_repeated) {
		q->was_repeated = true;
		for (size_t i = 0; i < q->attempt_count; i++)
			ask(&q->attempts[i]);
	} else {
		finish(q);
		return;
	}
	plan(q);
}

static void add_attempt(struct query *q, struct ip_port resolver)
{
	if (q->attempt_count < FORWARD_RESOLVERS_MAX)
		q->attempts[q->attempt_count++] =
			(struct attempt) { .query = q, .resolver = resolver, .fd = -1 };
}

void forward_query(struct forward *f, const struct dns_query *query, struct slice message,
		   bool is_udp, const struct zone_route *route, forward_on_answer *on_answer,
		   void *context)
{
	struct query *q = NEW(struct query);

	q->forward = f;
	q->began_ms = loop_now_ms(f->loop);
	q->seen = *query;
	q->asker_id = query->header.id;
	q->is_udp = is_udp;
	q->tcp = (struct attempt) { .query = q, .fd = -1 };
	q->on_answer = on_answer;
	q->context = context;
	buf_init(&q->message);
	buf_init(&q->kept);
	buf_add_slice(&q->message, message);
	random_bytes(&q->seen.header.id, sizeof(q->seen.header.id));
	put_u16(q->message.data, q->seen.header.id);
	list_add(&f->queries, &q->link);
	f->query_count++;
	for (size_t i = 0; i < route->count; i++)
		add_attempt(q, (struct ip_port) { route->resolvers[i], DNS_PORT });
	for (size_t i = 0; route->count == 0 && i < f->resolver_count; i++)
		add_attempt(q, f->resolvers[i]);
	if (f->is_closing || f->query_count > FORWARD_QUERIES_MAX || q->attempt_count == 0)
		finish(q);
	else
		plan(q);
}

/* --- life ------------------------------------------------------------------------------------- */

struct forward *forward_new(struct loop *loop, const struct ip_port *resolvers, size_t count)
{
	struct forward *f = NEW(struct forward);

	f->loop = loop;
	list_init(&f->queries);
	f->resolver_count = count < FORWARD_RESOLVERS_MAX ? count : FORWARD_RESOLVERS_MAX;
	memcpy(f->resolvers, resolvers, f->resolver_count * sizeof(resolvers[0]));
	return f;
}

void forward_close(struct forward *f)
{
	f->is_closing = true;
	LIST_EACH (&f->queries, struct query, link, q) {
		finish(q);
		deferred_clear(&q->end);
		query_end(&q->end);
	}
	memory_free(f);
}

/* --- the machine's own resolvers -------------------------------------------------------------- */

static bool is_ours(struct ip ip)
{
	static const char *const ranges[] = { "100.64.0.0/10", "fd7a:115c:a1e0::/48" };

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct ip_prefix range;
		if (ip_prefix_parse(slice_from(ranges[i]), &range) == OK &&
		    ip_prefix_has(range, ip))
			return true;
	}
	return false;
}

static struct slice take_word(struct slice *line)
{
	size_t begin = 0, end;

	while (begin < line->size && strchr(" \t\r", line->data[begin]))
		begin++;
	for (end = begin; end < line->size && !strchr(" \t\r", line->data[end]);)
		end++;
	struct slice word = slice_part(*line, begin, end - begin);
	*line = slice_part(*line, end, line->size);
	return word;
}

size_t forward_read_resolvers(struct slice text, struct ip_port *ret, size_t max)
{
	size_t count = 0;

	while (text.size > 0 && count < max) {
		struct slice line = slice_cut(&text, '\n');
		struct ip ip;

		if (slice_equal(take_word(&line), SLICE("nameserver")) &&
		    ip_parse(take_word(&line), &ip) == OK && !is_ours(ip))
			ret[count++] = (struct ip_port) { ip, DNS_PORT };
	}
	return count;
}
