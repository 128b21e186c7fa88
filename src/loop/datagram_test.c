/* Two sockets on loopback: what goes in comes out, whatever the kernel does on the way. */
#include "loop/datagram.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { WAIT_MS = 60000, SEEN_BYTES_MAX = 1 << 20, SEGMENT = 1000 };

struct seen {
	struct loop *loop;
	struct datagram *datagram;
	uint8_t bytes[SEEN_BYTES_MAX];
	size_t size, datagrams, runs;
	struct endpoint from;
	uint8_t local[DATAGRAM_IP_BYTES];
	bool closes;
};

static struct seen left, right;

static void on_runs(void *context, struct datagram_run *runs, size_t count)
{
	struct seen *s = context;

	for (size_t i = 0; i < count; i++) {
		s->runs++;
		for (size_t at = 0; at < runs[i].size; at += runs[i].segment_size)
			s->datagrams++;
		assert_true(s->size + runs[i].size <= SEEN_BYTES_MAX);
		memcpy(s->bytes + s->size, runs[i].data, runs[i].size);
		s->size += runs[i].size;
		s->from = runs[i].peer;
		memcpy(s->local, runs[i].local, DATAGRAM_IP_BYTES);
		memset(runs[i].data, 0, runs[i].size); /* the receiver may */
	}
	if (s->closes) {
		datagram_close(s->datagram);
		s->datagram = NULL;
	}
}

static void open_one(struct seen *s, struct loop *loop, struct datagram_options o)
{
	memset(s, 0, sizeof(*s));
	s->loop = loop;
	o.on_runs = on_runs;
	o.context = s;
	assert_int_equal(datagram_open(loop, &o, &s->datagram), OK);
}

static struct endpoint at(const struct seen *s, const char *ip)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse_ip(slice_from(ip), datagram_port(s->datagram), &e), OK);
	return e;
}

static void wait_for(struct seen *s, size_t size)
{
	uint64_t end = clock_now_ms() + WAIT_MS;

	while (s->size < size && clock_now_ms() < end)
		loop_turn(s->loop);
	assert_int_equal(s->size, size);
}

static void close_both(struct loop *loop)
{
	datagram_close(left.datagram);
	datagram_close(right.datagram);
	loop_free(loop);
}

static void send_a_run(const char *ip, struct datagram_options o)
{
	static uint8_t data[70 * SEGMENT + 300];
	struct loop *loop = loop_new(1);

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + i / 255);
	open_one(&left, loop, o);
	open_one(&right, loop, o);
	struct endpoint to = at(&right, ip);
	struct datagram_run run = {
		.peer = to, .data = data, .size = sizeof(data), .segment_size = SEGMENT
	};
	memcpy(run.local, to.ip, DATAGRAM_IP_BYTES);

	assert_int_equal(datagram_send(left.datagram, &run, 1), 1);
	assert_int_equal(run.err, OK);
	wait_for(&right, sizeof(data));
	assert_memory_equal(right.bytes, data, sizeof(data));
	assert_int_equal(right.datagrams, 71);
	assert_memory_equal(right.local, to.ip, DATAGRAM_IP_BYTES);
	assert_memory_equal(right.from.ip, to.ip, DATAGRAM_IP_BYTES);
	assert_int_equal(right.from.port, datagram_port(left.datagram));

	assert_int_equal(datagram_send_one(right.datagram, &right.from, SLICE("back")), OK);
	wait_for(&left, 4);
	assert_memory_equal(left.bytes, "back", 4);
	close_both(loop);
}

static void test_a_run_arrives_as_the_datagrams_it_is_made_of(void **state)
{
	(void)state;
	send_a_run("127.0.0.1", (struct datagram_options) { 0 });
	send_a_run("127.0.0.1", (struct datagram_options) { .is_v4_only = true });
	send_a_run("127.0.0.1", (struct datagram_options) { .without_segmentation = true });
}

static void test_the_same_socket_speaks_ipv6(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);
	open_one(&left, loop, (struct datagram_options) { 0 });
	struct endpoint to = at(&left, "::1");
	bool has_v6 = datagram_has_v6(left.datagram) &&
		      datagram_send_one(left.datagram, &to, SLICE("x")) == OK;
	datagram_close(left.datagram);
	loop_free(loop);
	if (!has_v6)
		skip(); /* no IPv6 on this machine */
	send_a_run("::1", (struct datagram_options) { 0 });
}

static void test_one_without_a_way_does_not_hold_up_the_others(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);
	uint8_t data[8] = "AAAABBBB";

	open_one(&left, loop, (struct datagram_options) { .is_v4_only = true });
	open_one(&right, loop, (struct datagram_options) { 0 });
	struct datagram_run runs[3] = {
		{ .peer = at(&right, "127.0.0.1"), .data = data, .size = 4, .segment_size = 4 },
		{ .peer = at(&right, "127.0.0.1"), .data = data, .size = 4, .segment_size = 2 },
		{ .peer = at(&right, "127.0.0.1"), .data = data + 4, .size = 4, .segment_size = 4 },
	};
	runs[1].interface = 0x7ffffff0; /* there is none */
	assert_int_equal(datagram_send(left.datagram, runs, 3), 3);
	assert_int_equal(runs[0].err, OK);
	assert_int_not_equal(runs[1].err, OK);
	assert_int_equal(runs[2].err, OK);
	wait_for(&right, 8);
	assert_memory_equal(right.bytes, "AAAABBBB", 8);
	close_both(loop);
}

static void test_datagrams_larger_than_the_path_are_sent_one_by_one(void **state)
{
	(void)state;
	static uint8_t data[2 * 40000];
	struct loop *loop = loop_new(1);

	open_one(&left, loop, (struct datagram_options) { 0 });
	open_one(&right, loop, (struct datagram_options) { 0 });
	struct datagram_run run = { .peer = at(&right, "127.0.0.1"),
				    .data = data,
				    .size = sizeof(data),
				    .segment_size = sizeof(data) / 2 };
	assert_int_equal(datagram_send(left.datagram, &run, 1), 1);
	assert_int_equal(run.err, OK);
	wait_for(&right, sizeof(data));
	assert_int_equal(right.datagrams, 2);
	close_both(loop);
}

static void test_a_socket_may_be_closed_in_its_own_callback(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);

	open_one(&left, loop, (struct datagram_options) { 0 });
	open_one(&right, loop, (struct datagram_options) { 0 });
	right.closes = true;
	struct endpoint to = at(&right, "127.0.0.1");
	for (int i = 0; i < 40; i++)
		assert_int_equal(datagram_send_one(left.datagram, &to, SLICE("x")), OK);
	uint64_t end = clock_now_ms() + WAIT_MS;
	while (right.datagram && clock_now_ms() < end)
		loop_turn(loop);
	assert_null(right.datagram);
	close_both(loop);
}

/* How many routers may pass a datagram on that arrives at the bare socket `fd`. */
static int hops_left(int fd)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec part = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int hops = 0;

	assert_int_equal(recvmsg(fd, &m, 0), 1);
	assert_non_null(CMSG_FIRSTHDR(&m));
	memcpy(&hops, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(hops));
	return hops;
}

static void test_a_datagram_may_be_meant_for_the_neighbourhood(void **state)
{
	struct loop *loop = loop_new(1);
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
	socklen_t size = sizeof(here);
	struct endpoint to;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&here, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &size), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof(on)), 0);
	to = endpoint_ip4(127, 0, 0, 1, ntohs(here.sin_port));
	open_one(&left, loop, (struct datagram_options) { 0 });
	assert_int_equal(datagram_send_near(left.datagram, &to, SLICE("x"), 3), OK);
	assert_int_equal(datagram_send_one(left.datagram, &to, SLICE("x")), OK);
	assert_int_equal(hops_left(fd), 3);
	assert_true(hops_left(fd) > 30);
	close(fd);
	datagram_close(left.datagram);
	loop_free(loop);
}

static void test_a_port_that_is_taken_is_busy(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);
	struct datagram *none = NULL;

	open_one(&left, loop, (struct datagram_options) { 0 });
	struct datagram_options o = { .port = datagram_port(left.datagram), .on_runs = on_runs };
	assert_int_equal(datagram_open(loop, &o, &none), ERR_BUSY);
	assert_null(none);
	datagram_close(left.datagram);
	loop_free(loop);
}

static void test_an_address_of_ours_that_is_gone_does_not_matter(void **state)
{
	(void)state;
	struct loop *loop = loop_new(1);
	uint8_t data[4] = "gone";
	struct endpoint elsewhere = endpoint_ip4(192, 0, 2, 200, 0);

	open_one(&left, loop, (struct datagram_options) { 0 });
	open_one(&right, loop, (struct datagram_options) { 0 });
	struct datagram_run run = {
		.peer = at(&right, "127.0.0.1"), .data = data, .size = 4, .segment_size = 4
	};
	memcpy(run.local, elsewhere.ip, sizeof(run.local));
	assert_int_equal(datagram_send(left.datagram, &run, 1), 1);
	assert_int_equal(run.err, OK);
	memset(elsewhere.ip, 0, sizeof(elsewhere.ip));
	assert_memory_equal(run.local, elsewhere.ip, sizeof(run.local));
	wait_for(&right, 4);
	close_both(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_run_arrives_as_the_datagrams_it_is_made_of),
		cmocka_unit_test(test_the_same_socket_speaks_ipv6),
		cmocka_unit_test(test_one_without_a_way_does_not_hold_up_the_others),
		cmocka_unit_test(test_datagrams_larger_than_the_path_are_sent_one_by_one),
		cmocka_unit_test(test_an_address_of_ours_that_is_gone_does_not_matter),
		cmocka_unit_test(test_a_socket_may_be_closed_in_its_own_callback),
		cmocka_unit_test(test_a_datagram_may_be_meant_for_the_neighbourhood),
		cmocka_unit_test(test_a_port_that_is_taken_is_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
