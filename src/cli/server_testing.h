/* For tests: a server in a process of its own that serves one connection and ends. */
#ifndef CLI_SERVER_TESTING_H
#define CLI_SERVER_TESTING_H

#include <arpa/inet.h>
#include <assert.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/endian.h"
#include "kafka_messages.h"

struct test_server {
	pid_t process;
	uint16_t port;
};

/* `serve` runs in the child with the accepted connection. */
typedef void (*test_serve)(int fd, const void *context);

static inline void test_server_start_on(struct test_server *s, int listener, test_serve serve,
					const void *context)
{
	s->process = fork();
	assert(s->process >= 0);
	if (s->process == 0) {
		alarm(20);
		int fd = accept(listener, NULL, NULL);
		serve(fd, context);
		_exit(0);
	}
	close(listener);
}

static inline void test_server_start(struct test_server *s, test_serve serve, const void *context)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	assert(listen(listener, 1) == 0);
	assert(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
	s->port = ntohs(address.sin_port);
	test_server_start_on(s, listener, serve, context);
}

static inline void test_server_stop(struct test_server *s)
{
	kill(s->process, SIGKILL);
	waitpid(s->process, NULL, 0);
}

/* --- a broker ----------------------------------------------------------------------------------
 */

/* What is answered to a request; `message` is the struct of the API's response. */
struct test_answer {
	enum kafka_api_key key;
	const void *message;
};

struct test_broker {
	struct kafka_api_versions_response versions;
	const struct test_answer *answers; /* in the order of the requests, without ApiVersions */
	size_t answers_count;
};

static inline bool test_read_all(int fd, uint8_t *data, size_t size)
{
	while (size > 0) {
		ssize_t got = read(fd, data, size);
		if (got <= 0)
			return false;
		data += got;
		size -= (size_t)got;
	}
	return true;
}

static inline void test_answer_write(int fd, const struct kafka_request_header *header,
				     const void *message)
{
	const struct kafka_api *api = kafka_api_find(header->api_key);
	struct buf out;

	buf_init(&out);
	buf_add_zero(&out, 4);
	kafka_response_header_encode(api, header->api_version, header->correlation_id, &out);
	schema_encode(api->response, header->api_version, message, &out);
	put_u32(out.data, (uint32_t)(out.size - 4));
	assert(write(fd, out.data, out.size) == (ssize_t)out.size);
	buf_done(&out);
}

/* A test_serve that plays a struct test_broker; anything unexpected closes the connection. */
static inline void test_broker_serve(int fd, const void *context)
{
	const struct test_broker *broker = context;
	uint8_t request[65536], head[4];
	size_t answered = 0;

	while (test_read_all(fd, head, sizeof(head))) {
		struct slice in = { request, get_u32(head) };
		struct kafka_request_header header;
		if (in.size > sizeof(request) || !test_read_all(fd, request, in.size) ||
		    kafka_request_header_decode(&in, &header))
			return;
		if (header.api_key == KAFKA_API_API_VERSIONS) {
			test_answer_write(fd, &header, &broker->versions);
			continue;
		}
		if (answered == broker->answers_count ||
		    (int)broker->answers[answered].key != header.api_key)
			return;
		test_answer_write(fd, &header, broker->answers[answered++].message);
	}
}

#endif
