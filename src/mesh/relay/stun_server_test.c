#include "mesh/relay/stun_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t id[STUN_ID_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

struct world {
	struct loop *loop;
	struct stun_server *server;
	int fd;
	struct sockaddr_in own;
};

static void open_world(struct world *w)
{
	socklen_t size = sizeof(w->own);

	w->loop = loop_new(1);
	assert_int_equal(stun_server_open(w->loop, 0, NULL, &w->server), OK);
	w->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	w->own = (struct sockaddr_in) { .sin_family = AF_INET,
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(w->fd, (struct sockaddr *)&w->own, sizeof(w->own)), 0);
	assert_int_equal(getsockname(w->fd, (struct sockaddr *)&w->own, &size), 0);
}

static void close_world(struct world *w)
{
	close(w->fd);
	stun_server_close(w->server);
	loop_run(w->loop);
	loop_free(w->loop);
}

static void ask(struct world *w, const char *address, const void *bytes, size_t size)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(stun_server_port(w->server)) };

	inet_pton(AF_INET, address, &to.sin_addr);
	assert_int_equal(sendto(w->fd, bytes, size, 0, (struct sockaddr *)&to, sizeof(to)), size);
}

/* Returns the size of what was answered, 0: nothing. */
static size_t hear(struct world *w, uint8_t room[128], struct sockaddr_in *ret_from)
{
	socklen_t size = sizeof(*ret_from);
	ssize_t n = -1;

	for (int i = 0; i < 100 && n < 0; i++) {
		loop_turn(w->loop);
		n = recvfrom(w->fd, room, 128, 0, (struct sockaddr *)ret_from, &size);
	}
	return n > 0 ? (size_t)n : 0;
}

static void test_the_answer_comes_from_the_address_that_was_asked(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "127.0.0.2" };
	uint8_t request[STUN_REQUEST_BYTES], room[128], found[STUN_ID_BYTES];
	struct sockaddr_in from;
	struct endpoint seen;
	char text[ENDPOINT_TEXT_BYTES];
	struct world w;

	(void)state;
	open_world(&w);
	stun_make_request(id, request);
	for (int i = 0; i < 2; i++) {
		ask(&w, addresses[i], request, sizeof(request));
		size_t size = hear(&w, room, &from);
		assert_string_equal(inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text)),
				    addresses[i]);
		assert_int_equal(stun_read_answer((struct slice) { room, size }, found, &seen), OK);
		assert_memory_equal(found, id, sizeof(id));
		assert_true(endpoint_is_ip4(&seen) && seen.ip[12] == 127);
		assert_int_equal(seen.port, ntohs(w.own.sin_port));
	}
	close_world(&w);
}

static void test_garbage_is_not_answered(void **state)
{
	uint8_t request[STUN_REQUEST_BYTES], room[128];
	struct sockaddr_in from;
	struct world w;

	(void)state;
	open_world(&w);
	stun_make_request(id, request);
	for (size_t i = 1; i < sizeof(request); i++)
		ask(&w, "127.0.0.1", request, i);
	request[STUN_REQUEST_BYTES - 1] ^= 1;
	ask(&w, "127.0.0.1", request, sizeof(request));
	assert_int_equal(hear(&w, room, &from), 0);
	assert_int_equal(stun_server_count(w.server).garbage, STUN_REQUEST_BYTES);
	close_world(&w);
}

static void test_one_source_gets_so_many_answers_and_no_more(void **state)
{
	uint8_t request[STUN_REQUEST_BYTES], room[128];
	struct sockaddr_in from;
	size_t answers = 0;
	struct world w;

	(void)state;
	open_world(&w);
	stun_make_request(id, request);
	for (int i = 0; i < STUN_ANSWERS_BURST + 100; i++) {
		ask(&w, "127.0.0.1", request, sizeof(request));
		answers += hear(&w, room, &from) > 0;
	}
	assert_in_range(answers, STUN_ANSWERS_BURST, STUN_ANSWERS_BURST + 90);
	assert_true(stun_server_count(w.server).limited > 0);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_answer_comes_from_the_address_that_was_asked),
		cmocka_unit_test(test_garbage_is_not_answered),
		cmocka_unit_test(test_one_source_gets_so_many_answers_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
