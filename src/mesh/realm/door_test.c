#include "mesh/realm/door.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "loop/timer.h"
#include "mesh/channel/channel.h"
#include "wire/crypto/x25519.h"

enum { TURNS_MAX = 20000, REQUESTS_MAX = 300 };

static struct loop *loop;
static struct door *door;
static const struct mesh_key server_secret = { { 7 } };

/* What the owner of the door was told. */
static struct door_request *requests[REQUESTS_MAX];
static size_t request_count, gone_count, drained_count;
static struct door_request *gone;
static bool closes_door;

static void on_request(void *context, struct door_request *r)
{
	(void)context;
	assert_true(request_count < REQUESTS_MAX);
	requests[request_count++] = r;
	if (closes_door) {
		door_close(door);
		door = NULL;
	}
}

static void on_gone(void *context, struct door_request *r)
{
	(void)context;
	gone = r;
	gone_count++;
}

static void on_drained(void *context, struct door_request *r)
{
	(void)context;
	(void)r;
	drained_count++;
}

static void on_plain(void *context, struct http_exchange *e)
{
	(void)context;
	http_answer(e, 200, "text/plain", e->path);
}

static void open_door(size_t pending_max)
{
	const struct door_config config = {
		.pending_max = pending_max,
		.secret = server_secret,
		.version_min = 113,
		.on_request = on_request,
		.on_gone = on_gone,
		.on_drained = on_drained,
		.on_plain = on_plain,
	};

	door = door_new(loop, &config);
}

static int set_up(void **state)
{
	(void)state;
	loop = loop_new(42);
	open_door(0);
	request_count = gone_count = drained_count = 0;
	gone = NULL;
	closes_door = false;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (door)
		door_close(door);
	loop_run(loop);
	loop_free(loop);
	return 0;
}

/* A client: its end of the connection, by hand until the handshake is over. */
struct client {
	int fd;
	struct channel *channel;
	struct buf received;
	int status, end_count, whole_count;
	bool is_over;
	enum err err;
	char why[CHANNEL_WHY_BYTES];
};

static void on_answer(void *context, struct http2_exchange *e)
{
	struct client *c = context;

	c->status = e->status;
}

static void on_data(void *context, struct http2_exchange *e, struct slice bytes)
{
	struct client *c = context;

	(void)e;
	buf_add_slice(&c->received, bytes);
}

static void on_end(void *context, struct http2_exchange *e, enum err err)
{
	struct client *c = context;

	(void)e;
	c->end_count++;
	c->whole_count += err == OK;
}

static void on_channel_end(void *context, enum err err, const char *why)
{
	struct client *c = context;

	c->is_over = true;
	c->err = err;
	snprintf(c->why, sizeof(c->why), "%s", why);
	channel_close(c->channel, 0);
	c->channel = NULL;
}

static void turn(int turns)
{
	for (int i = 0; i < turns; i++)
		loop_turn(loop);
}

#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		int turns = 0;                                                                     \
		while (!(condition)) {                                                             \
			assert_true(turns++ < TURNS_MAX);                                          \
			loop_turn(loop);                                                           \
			usleep(20);                                                                \
		}                                                                                  \
	} while (0)

static int connect_to_door(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	door_accept(door, stream_open_fd(loop, fds[0], "somebody"));
	return fds[1];
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn(20);
}

static size_t hear(int fd, char text[2048])
{
	ssize_t size = recv(fd, text, 2047, MSG_DONTWAIT);

	if (size < 0)
		size = 0;
	text[size] = 0;
	return (size_t)size;
}

/* The upgrade of a client with this machine secret; how its handshake ends. */
static enum err shake(int fd, const struct mesh_key *secret, unsigned version,
		      const struct mesh_key *server, struct noise_channel *ret)
{
	struct mesh_key ephemeral;
	struct noise_handshake h;
	uint8_t initiation[NOISE_INITIATION_BYTES];
	char text[NOISE_INITIATION_TEXT_BYTES + 1], message[512], answer[2048];

	random_bytes(&ephemeral, sizeof(ephemeral));
	assert_int_equal(noise_initiate(&h, version, secret, server, &ephemeral, initiation), OK);
	noise_initiation_text(initiation, text);
	snprintf(message, sizeof(message),
		 "POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\n"
		 "Connection: upgrade\r\nX-Tailscale-Handshake: %s\r\nContent-Length: 0\r\n\r\n",
		 text);
	say(fd, message);
	/* the server's first record may stand behind it already: that is not ours to read */
	ssize_t size = recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_PEEK);
	assert_true(size > 0);
	answer[size] = 0;
	char *end = strstr(answer, "\r\n\r\n");
	assert_non_null(end);
	if (!strstr(answer, "101 Switching Protocols"))
		return ERR_INVALID;
	assert_non_null(strstr(answer, "\r\nUpgrade: tailscale-control-protocol\r\n"));
	end += 4;
	size = end - answer + NOISE_RESPONSE_BYTES;
	assert_int_equal(recv(fd, answer, (size_t)size, MSG_DONTWAIT), size);
	return noise_finish(&h, (struct slice) { (uint8_t *)end, NOISE_RESPONSE_BYTES }, ret);
}

static struct mesh_key server_key(void)
{
	struct mesh_key key;

	x25519_public(server_secret.bytes, key.bytes);
	return key;
}

static void open_client(struct client *c, uint8_t name)
{
	const struct http2_config http2 = {
		.context = c,
		.on_answer = on_answer,
		.on_data = on_data,
		.on_end = on_end,
	};
	const struct channel_config config = { .context = c, .on_end = on_channel_end };
	struct mesh_key secret = { { name, 9 } }, server = server_key();
	struct noise_channel keys;

	*c = (struct client) { .fd = connect_to_door() };
	assert_int_equal(shake(c->fd, &secret, 142, &server, &keys), OK);
	c->channel = channel_new(loop, stream_open_fd(loop, c->fd, "door"), &keys, false, &http2,
				 &config);
}

static void close_client(struct client *c)
{
	if (c->channel)
		channel_close(c->channel, 0);
	buf_done(&c->received);
	turn(20);
}

static struct http2_exchange *ask(struct client *c, const char *path, struct slice body)
{
	return http2_request(channel_http2(c->channel), &(struct http2_request) {
								.method = "POST",
								.authority = "unused",
								.path = path,
								.content_type = "application/json",
								.body = body,
							});
}

static void test_the_key_of_the_server_is_shown(void **state)
{
	char text[2048];
	int fd = connect_to_door();
	struct mesh_key key = server_key(), got;

	(void)state;
	say(fd, "GET /key?v=142 HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(fd, text);
	char *at = strstr(text, "\"publicKey\":\"");
	assert_non_null(at);
	assert_int_equal(mesh_key_parse(MESH_KEY_MACHINE,
					(struct slice) { (uint8_t *)at + 13, 5 + 64 }, &got),
			 OK);
	assert_true(mesh_key_equal(&got, &key));
	close(fd);
}

static void test_other_plain_paths_are_the_owners(void **state)
{
	char text[2048];
	int fd = connect_to_door();

	(void)state;
	say(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(fd, text);
	assert_non_null(strstr(text, "\r\n\r\n/health"));
	close(fd);
}

static void test_a_request_comes_with_the_machine_key_of_its_client(void **state)
{
	struct mesh_key secret = { { 1, 9 } }, machine;
	struct client c;

	(void)state;
	x25519_public(secret.bytes, machine.bytes);
	open_client(&c, 1);
	assert_non_null(ask(&c, "/machine/register?a=b", SLICE("{}")));
	TURN_UNTIL(request_count == 1);
	assert_true(mesh_key_equal(&requests[0]->machine, &machine));
	assert_int_equal(requests[0]->version, 142);
	assert_true(slice_equal(requests[0]->path, SLICE("/machine/register")));
	assert_true(slice_equal(requests[0]->query, SLICE("a=b")));
	assert_true(slice_equal(requests[0]->method, SLICE("POST")));
	assert_true(slice_equal(requests[0]->body, SLICE("{}")));
	assert_int_equal(door_client_count(door), 1);
	door_answer(requests[0], 200, "application/json", SLICE("{\"a\":1}"));
	TURN_UNTIL(c.end_count == 1);
	assert_int_equal(c.status, 200);
	assert_int_equal(c.whole_count, 1);
	assert_true(slice_equal(buf_slice(&c.received), SLICE("{\"a\":1}")));
	close_client(&c);
	TURN_UNTIL(door_client_count(door) == 0);
	assert_int_equal(gone_count, 0);
}

static void test_a_map_goes_to_many_clients_in_pieces(void **state)
{
	struct client clients[3];
	struct blob *news = blob_from(SLICE("news"));

	(void)state;
	for (uint8_t i = 0; i < 3; i++) {
		open_client(&clients[i], i);
		assert_non_null(ask(&clients[i], "/machine/map", SLICE("{}")));
	}
	TURN_UNTIL(request_count == 3);
	for (int round = 1; round < 4; round++) {
		for (int i = 0; i < 3; i++) {
			if (round == 1)
				door_begin(requests[i], 200, "application/json");
			door_write(requests[i], blob_ref(news));
		}
		for (int i = 0; i < 3; i++)
			TURN_UNTIL(clients[i].received.size == (size_t)round * 4);
	}
	assert_int_equal(drained_count, 9);
	door_end(requests[0]);
	TURN_UNTIL(clients[0].whole_count == 1);
	assert_int_equal(gone_count, 0);
	close_client(&clients[1]);
	TURN_UNTIL(gone_count == 1);
	assert_ptr_equal(gone, requests[1]);
	for (int i = 0; i < 3; i += 2)
		close_client(&clients[i]);
	TURN_UNTIL(gone_count == 2);
	blob_unref(&news);
}

static void test_a_client_that_does_not_read_is_dropped(void **state)
{
	struct client c;
	struct blob *piece = blob_new(1024 * 1024);
	struct mesh_key secret = { { 5 } }, server = server_key();
	struct noise_channel keys;

	(void)state;
	piece->size = piece->capacity;
	memset(piece->data, 'x', piece->size);
	open_client(&c, 1);
	assert_non_null(ask(&c, "/machine/map", SLICE("{}")));
	TURN_UNTIL(request_count == 1);
	door_begin(requests[0], 200, NULL);
	/* within one turn nobody can have read anything */
	for (int i = 0; i < (DOOR_PENDING_BYTES_MAX >> 20) + 3; i++)
		door_write(requests[0], blob_ref(piece));
	assert_int_equal(gone_count, 0);
	TURN_UNTIL(gone_count == 1);
	assert_int_equal(piece->refs, 1);
	TURN_UNTIL(c.is_over);
	assert_int_equal(door_client_count(door), 0);
	/* the others are served on */
	int fd = connect_to_door();
	assert_int_equal(shake(fd, &secret, 142, &server, &keys), OK);
	close(fd);
	close_client(&c);
	blob_unref(&piece);
}

static struct blob *megabytes(size_t count)
{
	struct blob *b = blob_new(count << 20);

	b->size = b->capacity;
	memset(b->data, 'x', b->size);
	return b;
}

static void test_whole_answers_that_a_client_does_not_read_are_bounded(void **state)
{
	struct blob *piece = megabytes(1);
	struct client c;
	size_t count = (DOOR_CLIENT_PENDING_BYTES_MAX >> 20) + 1;

	(void)state;
	open_client(&c, 1);
	for (size_t i = 0; i < count; i++)
		assert_non_null(ask(&c, "/machine/map", SLICE("{}")));
	TURN_UNTIL(request_count == count);
	for (size_t i = 0; i < count; i++)
		door_answer(requests[i], 200, NULL, blob_slice(piece));
	TURN_UNTIL(c.is_over);
	assert_int_equal(door_client_count(door), 0);
	assert_int_equal(gone_count, 0); /* they were answered */
	close_client(&c);
	blob_unref(&piece);
}

static void test_a_forgotten_answer_frees_its_bytes(void **state)
{
	struct blob *piece = megabytes(8);
	struct client c;

	(void)state;
	open_client(&c, 1);
	for (size_t i = 0; i < 2; i++)
		assert_non_null(ask(&c, "/machine/map", SLICE("{}")));
	TURN_UNTIL(request_count == 2);
	for (size_t i = 0; i < 2; i++)
		door_begin(requests[i], 200, NULL);
	door_write(requests[0], blob_ref(piece));
	door_cut(requests[0]);
	assert_int_equal(piece->refs, 1);
	door_cut(requests[1]); /* nothing is lost of this one */
	TURN_UNTIL(c.end_count == 2);
	assert_int_equal(c.whole_count, 1);
	assert_int_equal(gone_count, 0);
	close_client(&c);
	blob_unref(&piece);
}

static void test_a_machine_has_only_so_many_connections(void **state)
{
	struct client clients[DOOR_MACHINE_CLIENTS_MAX + 1], other;

	(void)state;
	open_client(&other, 8); /* a multiple of 8: less makes no other key */
	assert_non_null(ask(&other, "/a", SLICE("{}")));
	TURN_UNTIL(request_count == 1);
	for (size_t i = 0; i <= DOOR_MACHINE_CLIENTS_MAX; i++) {
		open_client(&clients[i], 16);
		assert_non_null(ask(&clients[i], "/a", SLICE("{}")));
		TURN_UNTIL(request_count == i + 2);
	}
	TURN_UNTIL(clients[0].is_over);
	assert_int_equal(door_client_count(door), DOOR_MACHINE_CLIENTS_MAX + 1);
	assert_true(!other.is_over && !clients[1].is_over);
	for (size_t i = 0; i <= DOOR_MACHINE_CLIENTS_MAX; i++)
		close_client(&clients[i]);
	close_client(&other);
}

/* Each holds some of what the door has room for, and one holds most of it. */
static void test_whoever_holds_most_makes_room(void **state)
{
	struct client clients[3];
	static const size_t held[3] = { 4, 9, 5 };

	(void)state;
	door_close(door);
	open_door(16 << 20);
	for (size_t i = 0; i < 3; i++) {
		open_client(&clients[i], (uint8_t)i);
		assert_non_null(ask(&clients[i], "/machine/map", SLICE("{}")));
		TURN_UNTIL(request_count == i + 1);
		door_begin(requests[i], 200, NULL);
	}
	assert_false(door_is_busy(door));
	for (size_t i = 0; i < 3; i++) /* in one turn, in which nobody reads */
		door_write(requests[i], megabytes(held[i]));
	assert_int_equal(door_pending_bytes(requests[1]), 0);
	assert_int_equal(door_pending_bytes(requests[2]), 5 << 20);
	assert_true(door_is_busy(door));
	TURN_UNTIL(clients[1].is_over);
	assert_int_equal(gone_count, 1);
	TURN_UNTIL(clients[0].received.size == 4 << 20 && clients[2].received.size == 5 << 20);
	assert_false(door_is_busy(door));
	for (size_t i = 0; i < 3; i++)
		close_client(&clients[i]);
}

static void test_who_is_not_at_the_right_door_is_refused(void **state)
{
	struct mesh_key secret = { { 5 } }, other = { { 9 } };
	struct noise_channel keys;
	char text[2048];
	int fd = connect_to_door();

	(void)state;
	assert_int_equal(shake(fd, &secret, 142, &other, &keys), ERR_INVALID);
	close(fd);
	fd = connect_to_door();
	say(fd, "POST /ts2021 HTTP/1.1\r\nUpgrade: tailscale-control-protocol\r\n"
		"Connection: upgrade\r\nX-Tailscale-Handshake: AAAA\r\n\r\n");
	hear(fd, text);
	assert_non_null(strstr(text, "400 Bad Request"));
	close(fd);
	fd = connect_to_door();
	say(fd, "GET /ts2021 HTTP/1.1\r\n\r\n");
	hear(fd, text);
	assert_non_null(strstr(text, "400 Bad Request"));
	close(fd);
}

static void test_a_client_that_is_too_old_is_told_so(void **state)
{
	struct mesh_key secret = { { 5 } }, server = server_key();
	struct noise_handshake h;
	uint8_t initiation[NOISE_INITIATION_BYTES];
	char text[NOISE_INITIATION_TEXT_BYTES + 1], message[512], answer[2048];
	struct noise_frame frame;
	int fd = connect_to_door();

	(void)state;
	assert_int_equal(noise_initiate(&h, 112, &secret, &server, &secret, initiation), OK);
	noise_initiation_text(initiation, text);
	snprintf(message, sizeof(message),
		 "POST /ts2021 HTTP/1.1\r\nUpgrade: tailscale-control-protocol\r\n"
		 "Connection: upgrade\r\nX-Tailscale-Handshake: %s\r\n\r\n",
		 text);
	say(fd, message);
	size_t size = hear(fd, answer);
	uint8_t *at = (uint8_t *)strstr(answer, "\r\n\r\n") + 4;
	assert_int_equal(noise_frame_read((struct slice) { at, size - (size_t)(at -
									       (uint8_t *)answer) },
					  &frame),
			 OK);
	assert_int_equal(frame.kind, NOISE_ERROR);
	assert_non_null(memmem(frame.body.data, frame.body.size, "too old", 7));
	close(fd);
}

static void test_a_repeated_handshake_is_no_client(void **state)
{
	struct mesh_key secret = { { 5 } }, server = server_key();
	struct noise_channel keys;
	int fd = connect_to_door();

	(void)state;
	assert_int_equal(shake(fd, &secret, 142, &server, &keys), OK);
	keys.send_key.bytes[0] ^= 1; /* as one who did not make the handshake */
	struct buf record;
	buf_init(&record);
	noise_seal(&keys, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), &record);
	assert_int_equal(send(fd, record.data, record.size, MSG_NOSIGNAL), record.size);
	turn(50);
	assert_int_equal(door_client_count(door), 0);
	char text[2048];
	while (hear(fd, text) > 0) {
	}
	assert_int_equal(recv(fd, text, 1, MSG_DONTWAIT), 0); /* closed */
	buf_done(&record);
	close(fd);
}

static void test_the_oldest_unfinished_handshake_makes_room(void **state)
{
	struct mesh_key secret = { { 5 } }, server = server_key();
	struct noise_channel keys;
	int fds[DOOR_HANDSHAKES_MAX + 1];
	char text[2048];
	struct rlimit files = { 4096, 4096 };

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		skip();
	for (int i = 0; i <= DOOR_HANDSHAKES_MAX; i++) {
		fds[i] = connect_to_door();
		assert_int_equal(shake(fds[i], &secret, 142, &server, &keys), OK);
	}
	turn(50);
	while (hear(fds[0], text) > 0) {
	}
	assert_int_equal(recv(fds[0], text, 1, MSG_DONTWAIT), 0);
	while (hear(fds[1], text) > 0) {
	}
	assert_int_equal(recv(fds[1], text, 1, MSG_DONTWAIT), -1);
	for (int i = 0; i <= DOOR_HANDSHAKES_MAX; i++)
		close(fds[i]);
}

static void test_the_door_may_close_while_a_request_is_handed_over(void **state)
{
	struct client c;

	(void)state;
	open_client(&c, 1);
	closes_door = true;
	for (int i = 0; i < 3; i++)
		assert_non_null(ask(&c, "/machine/map", SLICE("{}")));
	TURN_UNTIL(c.is_over);
	assert_int_equal(request_count, 1);
	assert_int_equal(gone_count, 0);
	assert_int_equal(c.end_count, 3);
	close_client(&c);
}

static void test_a_client_with_bad_manners_ends_alone(void **state)
{
	static const char *const garbage[] = { "\4\0\1x", "\1\0\0", "\4\xff\xff",
					       "GET / HTTP/1.1" };
	struct mesh_key secret = { { 5 } }, server = server_key();
	struct noise_channel keys;
	struct client c;

	(void)state;
	open_client(&c, 1);
	assert_non_null(ask(&c, "/machine/map", SLICE("{}")));
	TURN_UNTIL(request_count == 1);
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		char text[2048];
		int fd = connect_to_door();
		assert_int_equal(shake(fd, &secret, 142, &server, &keys), OK);
		assert_true(send(fd, garbage[i], i == 1 ? 3 : 4, MSG_NOSIGNAL) > 0);
		turn(50);
		while (hear(fd, text) > 0) {
		}
		assert_int_equal(recv(fd, text, 1, MSG_DONTWAIT), 0);
		close(fd);
	}
	door_answer(requests[0], 200, NULL, SLICE("fine"));
	TURN_UNTIL(c.whole_count == 1);
	close_client(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_key_of_the_server_is_shown),
		TEST(test_other_plain_paths_are_the_owners),
		TEST(test_a_request_comes_with_the_machine_key_of_its_client),
		TEST(test_a_map_goes_to_many_clients_in_pieces),
		TEST(test_a_client_that_does_not_read_is_dropped),
		TEST(test_whole_answers_that_a_client_does_not_read_are_bounded),
		TEST(test_a_forgotten_answer_frees_its_bytes),
		TEST(test_a_machine_has_only_so_many_connections),
		TEST(test_whoever_holds_most_makes_room),
		TEST(test_who_is_not_at_the_right_door_is_refused),
		TEST(test_a_client_that_is_too_old_is_told_so),
		TEST(test_a_repeated_handshake_is_no_client),
		TEST(test_the_oldest_unfinished_handshake_makes_room),
		TEST(test_the_door_may_close_while_a_request_is_handed_over),
		TEST(test_a_client_with_bad_manners_ends_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
