/* A resolver on loopback, asked as programs ask, and others that it forwards to. */
#include "names/server.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/endian.h"
#include "loop/timer.h"
#include "names/forward.h"

enum { WAIT_MS = 60000 };

static const char netmap[] = "{\"sequence\":7,\"domain\":\"h.x\",\"self\":{\"name\":\"a\","
			     "\"addresses\":[\"100.64.0.1\"]}}";

struct rig {
	struct loop *loop;
	struct zone *zone;
	struct names_server *server;
	struct forward *forward;
	struct names_server *upstream; /* another resolver, which knows other names */
	struct zone *upstream_zone;
	int udp, tcp;
	struct buf query;
	uint8_t answer[70000];
	size_t size;
};

static const struct zone *get_zone(void *context)
{
	return ((struct rig *)context)->zone;
}

static const struct zone *get_upstream_zone(void *context)
{
	return ((struct rig *)context)->upstream_zone;
}

static struct zone *make_zone(const char *json)
{
	struct mesh_view view;
	struct arena a;

	arena_init(&a);
	assert_int_equal(mesh_view_parse(&a, slice_from(json), &view), OK);
	struct zone *z = zone_new(&view);
	arena_done(&a);
	return z;
}

static struct names_server *open_server(struct rig *r, const struct zone *(*zone)(void *context),
					struct forward *forward)
{
	struct names_server_config config = { .address = { ip_v4(INADDR_LOOPBACK), 0 },
					      .zone = zone,
					      .forward = forward,
					      .context = r };
	struct names_server *s;
	char why[TASK_WHY_BYTES];
	enum err err = ERR_BUSY;

	/* A port that is free for UDP may be somebody's for TCP. */
	for (int i = 0; i < 20 && err == ERR_BUSY; i++)
		err = names_server_open(r->loop, &config, &s, why);
	assert_int_equal(err, OK);
	return s;
}

static int open_client(uint16_t port, int type)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void open_rig(struct rig *r, bool forwards)
{
	memset(r, 0, sizeof(*r));
	r->loop = loop_new(0);
	r->zone = make_zone(netmap);
	buf_init(&r->query);
	if (forwards) {
		struct buf json;
		buf_init(&json);
		buf_add_text(&json, "{\"sequence\":1,\"domain\":\"up.x\",\"self\":{\"name\":\"b\","
				    "\"addresses\":[\"10.0.0.1\"]},\"records\":[");
		for (int i = 0; i < 60; i++)
			buf_add_format(&json,
				       "%s{\"name\":\"big.up.x\",\"type\":\"AAAA\",\"value\":"
				       "\"2001:db8::%d\"}",
				       i ? "," : "", i + 1);
		buf_add(&json, "]}", 3);
		r->upstream_zone = make_zone((char *)json.data);
		buf_done(&json);
		r->upstream = open_server(r, get_upstream_zone, NULL);
		struct ip_port resolvers[] = {
			{ ip_v4(INADDR_LOOPBACK), 9 }, /* nobody */
			{ ip_v4(INADDR_LOOPBACK), names_server_port(r->upstream) },
		};
		r->forward = forward_new(r->loop, resolvers, 2);
	}
	r->server = open_server(r, get_zone, r->forward);
	r->udp = open_client(names_server_port(r->server), SOCK_DGRAM);
	r->tcp = open_client(names_server_port(r->server), SOCK_STREAM);
}

static void close_rig(struct rig *r)
{
	if (r->forward)
		forward_close(r->forward);
	names_server_close(r->server);
	if (r->upstream)
		names_server_close(r->upstream);
	loop_run(r->loop);
	loop_free(r->loop);
	zone_free(r->zone);
	zone_free(r->upstream_zone);
	buf_done(&r->query);
	close(r->udp);
	close(r->tcp);
}

static void on_tick(struct timer *t)
{
	timer_set(t, t->loop, loop_now_ms(t->loop) + 1, on_tick);
}

/* Until `fd` has something to read. */
static void receive(struct rig *r, int fd, size_t size_max)
{
	struct timer tick = { 0 };
	uint64_t end_ms = clock_now_ms() + WAIT_MS;

	timer_set(&tick, r->loop, loop_now_ms(r->loop) + 1, on_tick);
	for (;;) {
		ssize_t got = recv(fd, r->answer, size_max, MSG_DONTWAIT | MSG_PEEK);
		if (got > 0 && (fd == r->udp || (size_t)got == size_max ||
				(got > 2 && get_u16(r->answer) == (size_t)got - 2)))
			break;
		assert_true(clock_now_ms() < end_ms);
		loop_turn(r->loop);
	}
	timer_clear(&tick);
	r->size = (size_t)recv(fd, r->answer, size_max, 0);
}

static struct dns_header ask(struct rig *r, int fd, const char *text, uint16_t type)
{
	struct dns_name name;
	struct dns_header header;
	uint8_t length[2];

	buf_clear(&r->query);
	assert_int_equal(dns_name_from_text(slice_from(text), &name), OK);
	dns_query_write(&r->query, 77, &name, type);
	put_u16(length, (uint16_t)r->query.size);
	if (fd == r->tcp)
		assert_int_equal(write(fd, length, 2), 2);
	assert_int_equal(write(fd, r->query.data, r->query.size), r->query.size);
	receive(r, fd, sizeof(r->answer));
	struct dns_reader reader = { .message = { r->answer, r->size },
				     .at = fd == r->tcp ? 2 : 0 };
	assert_int_equal(dns_read_header(&reader, &header), OK);
	assert_int_equal(header.id, 77);
	return header;
}

static void test_programs_are_answered_over_udp_and_tcp(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, false);
	assert_int_equal(ask(&r, r.udp, "a.h.x", DNS_A).answers, 1);
	assert_int_equal(ask(&r, r.tcp, "a.h.x", DNS_A).answers, 1);
	assert_int_equal(ask(&r, r.tcp, "b.h.x", DNS_A).flags & DNS_RCODE, DNS_NXDOMAIN);
	assert_int_equal(ask(&r, r.udp, "b.other", DNS_A).flags & DNS_RCODE, DNS_REFUSED);
	assert_int_equal(names_server_counters(r.server).queries, 4);
	close_rig(&r);
}

static void test_before_the_first_netmap_nobody_learns_that_there_is_nothing(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, false);
	zone_free(r.zone);
	r.zone = NULL;
	assert_int_equal(ask(&r, r.udp, "a.h.x", DNS_A).flags & DNS_RCODE, DNS_SERVFAIL);
	close_rig(&r);
}

static void test_other_names_are_asked_of_others_and_the_dead_one_is_overtaken(void **state)
{
	struct rig r;
	struct dns_header header;

	(void)state;
	open_rig(&r, true);
	uint64_t began_ms = clock_now_ms();
	assert_int_equal(ask(&r, r.udp, "b.up.x", DNS_A).answers, 1);
	assert_true(clock_now_ms() - began_ms < FORWARD_AGAIN_MS);
	header = ask(&r, r.udp, "big.up.x", DNS_AAAA);
	assert_true(header.flags & DNS_TRUNCATED);
	header = ask(&r, r.tcp, "big.up.x", DNS_AAAA);
	assert_false(header.flags & DNS_TRUNCATED);
	assert_int_equal(header.answers, 60);
	header = ask(&r, r.udp, "no.where", DNS_A);
	assert_int_equal(header.flags & DNS_RCODE, DNS_REFUSED);
	close_rig(&r);
}

static void test_a_connection_that_sends_garbage_harms_nobody(void **state)
{
	struct rig r;

	(void)state;
	open_rig(&r, false);
	assert_int_equal(write(r.tcp, "\0\3abc\0\0", 7), 7);
	assert_int_equal(write(r.udp, "x", 1), 1);
	assert_int_equal(ask(&r, r.udp, "a.h.x", DNS_A).answers, 1);
	assert_int_equal(ask(&r, r.tcp, "a.h.x", DNS_A).answers, 1);
	close_rig(&r);
}

static void test_many_connections_push_the_oldest_out(void **state)
{
	int fds[NAMES_CONNECTIONS_MAX + 20];
	struct rig r;

	(void)state;
	open_rig(&r, false);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		fds[i] = open_client(names_server_port(r.server), SOCK_STREAM);
		loop_turn(r.loop);
	}
	close(r.tcp);
	r.tcp = fds[NAMES_CONNECTIONS_MAX + 19];
	assert_int_equal(ask(&r, r.tcp, "a.h.x", DNS_A).answers, 1);
	for (size_t i = 0; i < NAMES_CONNECTIONS_MAX + 19; i++)
		close(fds[i]);
	close_rig(&r);
}

static void test_queries_under_way_are_answered_at_the_end(void **state)
{
	struct rig r;
	struct dns_name name;

	(void)state;
	open_rig(&r, true);
	assert_int_equal(dns_name_from_text(SLICE("b.up.x"), &name), OK);
	dns_query_write(&r.query, 77, &name, DNS_A);
	assert_int_equal(write(r.udp, r.query.data, r.query.size), r.query.size);
	for (int i = 0; i < 3; i++)
		loop_turn(r.loop);
	forward_close(r.forward);
	r.forward = NULL;
	receive(&r, r.udp, sizeof(r.answer));
	assert_int_equal(get_u16(r.answer + 2) & DNS_RCODE, DNS_SERVFAIL);
	close_rig(&r);
}

static void test_the_machines_resolvers_are_read_but_our_own(void **state)
{
	static const char text[] =
		"# comment\nnameserver 192.0.2.1\nnameserver\t2001:db8::1\r\n"
		"nameserver 100.100.100.100\nsearch x\nnameserver fd7a:115c:a1e0::53"
		"\nnameserver no\nnameserver 127.0.0.53";
	struct ip_port found[4];

	(void)state;
	assert_int_equal(forward_read_resolvers(slice_from(text), found, 4), 3);
	assert_int_equal(found[0].port, 53);
	assert_int_equal(found[2].ip.bytes[3], 53);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs_are_answered_over_udp_and_tcp),
		cmocka_unit_test(test_before_the_first_netmap_nobody_learns_that_there_is_nothing),
		cmocka_unit_test(
			test_other_names_are_asked_of_others_and_the_dead_one_is_overtaken),
		cmocka_unit_test(test_a_connection_that_sends_garbage_harms_nobody),
		cmocka_unit_test(test_many_connections_push_the_oldest_out),
		cmocka_unit_test(test_queries_under_way_are_answered_at_the_end),
		cmocka_unit_test(test_the_machines_resolvers_are_read_but_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
