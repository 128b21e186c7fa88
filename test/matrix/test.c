#include "test.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endian.h"
#include "base/random.h"
#include "base/text.h"

enum { FRAME_LENGTH_BYTES = 4, RESPONSE_BYTES_MAX = 128 << 20, SHOWN_BYTES_MAX = 60 };

const char *test_host;
uint16_t test_port;

/* --- checks ------------------------------------------------------------------------------------
 */

void test_fail(struct test *t, const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	va_list args;

	int size = snprintf(t->why, sizeof(t->why), "%s:%d: ", base ? base + 1 : file, line);
	va_start(args, format);
	vsnprintf(t->why + size, sizeof(t->why) - (size_t)size, format, args);
	va_end(args);
	longjmp(t->end, 1);
}

void test_skip(struct test *t, const char *why)
{
	snprintf(t->why, sizeof(t->why), "%s", why);
	t->is_skipped = true;
	longjmp(t->end, 1);
}

void check_int(struct test *t, const char *file, int line, const char *what, int64_t got,
	       int64_t want)
{
	if (got != want)
		test_fail(t, file, line, "%s is %lld, not %lld", what, (long long)got,
			  (long long)want);
}

void check_error(struct test *t, const char *file, int line, const char *what, int16_t got,
		 int16_t want)
{
	if (got != want)
		test_fail(t, file, line, "%s is %s, not %s", what, kafka_error_name(got),
			  kafka_error_name(want));
}

static const char *shown(struct test *t, struct slice s)
{
	char hex[2 * SHOWN_BYTES_MAX + 1];

	if (!s.data)
		return "null";
	for (size_t i = 0; i < s.size; i++) {
		if (s.data[i] >= ' ' && s.data[i] < 127)
			continue;
		hex_encode(hex, slice_part(s, 0, SHOWN_BYTES_MAX));
		return arena_format(&t->arena, "%zu bytes %s", s.size, hex);
	}
	return arena_format(&t->arena, "\"%.*s\"", SLICE_ARG(slice_part(s, 0, SHOWN_BYTES_MAX)));
}

void check_slice(struct test *t, const char *file, int line, const char *what, struct slice got,
		 struct slice want)
{
	if (!got.data != !want.data || !slice_equal(got, want))
		test_fail(t, file, line, "%s is %s, not %s", what, shown(t, got), shown(t, want));
}

void check_null(struct test *t, const char *file, int line, const char *what, struct slice got)
{
	if (got.data)
		test_fail(t, file, line, "%s is %s, not null", what, shown(t, got));
}

void check_uuid(struct test *t, const char *file, int line, const char *what, struct uuid got,
		struct uuid want)
{
	char got_text[23], want_text[23];

	if (uuid_equal(got, want))
		return;
	uuid_text(got_text, got.bytes);
	uuid_text(want_text, want.bytes);
	test_fail(t, file, line, "%s is %s, not %s", what, got_text, want_text);
}

/* --- connections -------------------------------------------------------------------------------
 */

static int connect_once(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(test_port) };
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int on = 1;

	if (getaddrinfo(test_host, NULL, &hints, &found))
		return -1;
	memcpy(&address.sin_addr, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr,
	       sizeof(address.sin_addr));
	freeaddrinfo(found);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool client_may_connect(void)
{
	int fd = connect_once();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

struct client *client_open(struct test *t)
{
	CHECK(t, t->client_count < TEST_CLIENTS_MAX);
	int fd = connect_once();
	if (fd < 0)
		FAIL(t, "no connection to %s:%u: %s", test_host, test_port, strerror(errno));
	struct client *c = &t->clients[t->client_count++];
	*c = (struct client) { .fd = fd };
	return c;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void await(struct test *t, const struct client *c, short events, uint64_t deadline_ms)
{
	struct pollfd poll_fd = { .fd = c->fd, .events = events };
	uint64_t now_ms = clock_now_ms();

	if (now_ms >= deadline_ms || poll(&poll_fd, 1, (int)(deadline_ms - now_ms)) == 0)
		FAIL(t, "no %s within %d ms", events == POLLIN ? "answer" : "room for a request",
		     TEST_PATIENCE_MS);
}

void client_send_bytes(struct test *t, struct client *c, struct slice bytes)
{
	uint64_t deadline_ms = clock_now_ms() + TEST_PATIENCE_MS;

	while (bytes.size) {
		await(t, c, POLLOUT, deadline_ms);
		ssize_t sent = send(c->fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			FAIL(t, "a request could not be sent: %s", strerror(errno));
		if (sent > 0)
			bytes = slice_part(bytes, (size_t)sent, bytes.size);
	}
}

/* Fill `ret`; false at the end of the stream before the first byte. */
static bool receive_exactly(struct test *t, struct client *c, uint8_t *ret, size_t size)
{
	uint64_t deadline_ms = clock_now_ms() + TEST_PATIENCE_MS;
	size_t have = 0;

	while (have < size) {
		await(t, c, POLLIN, deadline_ms);
		ssize_t got = recv(c->fd, ret + have, size - have, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0 && have == 0)
			return false;
		if (got <= 0)
			FAIL(t, "the connection ended within an answer");
		have += (size_t)got;
	}
	return true;
}

struct slice client_receive_bytes(struct test *t, struct client *c)
{
	uint8_t length_bytes[FRAME_LENGTH_BYTES];

	if (!receive_exactly(t, c, length_bytes, sizeof(length_bytes)))
		FAIL(t, "the connection was closed instead of an answer");
	size_t length = get_u32(length_bytes);
	if (length > RESPONSE_BYTES_MAX)
		FAIL(t, "an answer of %zu bytes", length);
	uint8_t *bytes = arena_take(&t->arena, length + 1);
	if (length && !receive_exactly(t, c, bytes, length))
		FAIL(t, "the connection ended within an answer");
	return (struct slice) { bytes, length };
}

void client_expect_close(struct test *t, struct client *c)
{
	uint8_t byte;

	if (receive_exactly(t, c, &byte, 1))
		FAIL(t, "there was an answer, the connection should have been closed");
}

void client_expect_silence(struct test *t, struct client *c, int ms)
{
	struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };

	if (poll(&poll_fd, 1, ms) != 0)
		FAIL(t, "something came within %d ms, there should have been silence", ms);
}

/* --- requests and answers ----------------------------------------------------------------------
 */

int32_t client_send(struct test *t, struct client *c, int16_t key, int16_t version,
		    const void *request)
{
	const struct kafka_api *api = kafka_api_find(key);
	const struct kafka_request_header header = {
		.api_key = key,
		.api_version = version,
		.correlation_id = c->correlation_id + 0x01020304, /* every byte matters */
		.client_id = SLICE(TEST_CLIENT_ID),
	};
	struct buf out;

	c->correlation_id = header.correlation_id;
	buf_init(&out);
	buf_add_u32(&out, 0);
	kafka_request_header_encode(&header, &out);
	schema_encode(api->request, version, request, &out);
	put_u32(out.data, (uint32_t)(out.size - FRAME_LENGTH_BYTES));
	struct slice bytes = arena_copy(&t->arena, buf_slice(&out));
	buf_done(&out);
	client_send_bytes(t, c, bytes);
	return header.correlation_id;
}

/* What was decoded and is encoded again must be what came: no byte was passed over. */
static void check_canonical(struct test *t, const struct kafka_api *api, int16_t version,
			    const void *response, struct slice body)
{
	struct buf out;

	buf_init(&out);
	schema_encode(api->response, version, response, &out);
	bool is_equal = slice_equal(buf_slice(&out), body);
	buf_done(&out);
	if (!is_equal)
		FAIL(t, "the answer to %s v%d is not in its canonical form", api->name, version);
}

void *client_decode(struct test *t, int16_t key, int16_t version, int32_t correlation_id,
		    struct slice bytes)
{
	const struct kafka_api *api = kafka_api_find(key);

	if (bytes.size < sizeof(int32_t))
		FAIL(t, "an answer of %zu bytes", bytes.size);
	CHECK_INT(t, (int32_t)get_u32(bytes.data), correlation_id);
	bytes = slice_part(bytes, sizeof(int32_t), bytes.size);
	if (version >= api->flexible_first && key != KAFKA_API_API_VERSIONS) {
		if (bytes.size < 1 || bytes.data[0] != 0)
			FAIL(t, "the header of %s v%d has no empty section of tags", api->name,
			     version);
		bytes = slice_part(bytes, 1, bytes.size);
	}
	void *response = arena_take(&t->arena, api->response->struct_bytes);
	enum err err = schema_decode_all(&t->arena, api->response, version, bytes, response);
	if (err)
		FAIL(t, "the answer to %s v%d cannot be decoded: %s: %s", api->name, version,
		     err_name(err), shown(t, bytes));
	check_canonical(t, api, version, response, bytes);
	return response;
}

void *client_receive(struct test *t, struct client *c, int16_t key, int16_t version,
		     int32_t correlation_id)
{
	return client_decode(t, key, version, correlation_id, client_receive_bytes(t, c));
}

void *client_call(struct test *t, struct client *c, int16_t key, int16_t version,
		  const void *request)
{
	int32_t correlation_id = client_send(t, c, key, version, request);

	return client_receive(t, c, key, version, correlation_id);
}

void *test_call(struct test *t, int16_t key, int16_t version, const void *request)
{
	struct client *c = t->client_count ? &t->clients[0] : client_open(t);

	return client_call(t, c, key, version, request);
}

/* --- small things ------------------------------------------------------------------------------
 */

struct slice test_format(struct test *t, const char *format, ...)
{
	char text[TEST_WHY_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return arena_copy(&t->arena, slice_from(text));
}

/* Different in every run, so that a server may be tested again and again. */
static unsigned run_number(void)
{
	static unsigned number;

	if (!number)
		number = (unsigned)(random_u64() & 0xffffff) | 1;
	return number;
}

struct slice test_name(struct test *t, const char *word)
{
	static unsigned count;

	return test_format(t, "m%x-%s-v%d-%u", run_number(), word, t->version, ++count);
}

bool test_run(struct test *t, int16_t key, int16_t version, void (*run)(struct test *t))
{
	arena_init(&t->arena);
	t->key = key;
	t->version = version;
	t->client_count = 0;
	t->is_skipped = false;
	t->why[0] = '\0';
	bool passed = setjmp(t->end) == 0;
	if (passed)
		run(t);
	for (size_t i = 0; i < t->client_count; i++)
		client_close(&t->clients[i]);
	arena_done(&t->arena);
	return t->is_skipped || t->why[0] == '\0';
}
