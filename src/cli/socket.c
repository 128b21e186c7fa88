#include "cli/socket.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

static enum err fail(int code, char why[SOCKET_WHY_BYTES])
{
	snprintf(why, SOCKET_WHY_BYTES, "%s", strerror(code));
	return err_from_errno(code);
}

static enum err wait_for(int fd, short events, uint64_t deadline_ms, char why[SOCKET_WHY_BYTES])
{
	for (;;) {
		uint64_t now_ms = clock_now_ms();
		struct pollfd p = { .fd = fd, .events = events };
		uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;

		int count = poll(&p, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
		if (count > 0)
			return OK;
		if (count == 0) {
			snprintf(why, SOCKET_WHY_BYTES, "no answer in time");
			return ERR_TIMEOUT;
		}
		if (errno != EINTR)
			return fail(errno, why);
	}
}

static enum err finish_connect(int fd, uint64_t deadline_ms, char why[SOCKET_WHY_BYTES])
{
	int code = 0;
	socklen_t size = sizeof(code);

	enum err err = wait_for(fd, POLLOUT, deadline_ms, why);
	if (err)
		return err;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	return code ? fail(code, why) : OK;
}

static enum err connect_to(const struct sockaddr *address, socklen_t size, uint64_t deadline_ms,
			   int *ret_fd, char why[SOCKET_WHY_BYTES])
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enum err err = OK;

	if (fd < 0)
		return fail(errno, why);
	if (connect(fd, address, size) < 0)
		err = errno == EINPROGRESS ? finish_connect(fd, deadline_ms, why)
					   : fail(errno, why);
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

enum err socket_connect_tcp(const char *host, uint16_t port, uint64_t deadline_ms, int *ret_fd,
			    char why[SOCKET_WHY_BYTES])
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char service[8];
	enum err err = ERR_NOT_FOUND;

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	int code = getaddrinfo(host, service, &hints, &found);
	if (code) {
		snprintf(why, SOCKET_WHY_BYTES, "%s", gai_strerror(code));
		return ERR_NOT_FOUND;
	}
	for (struct addrinfo *it = found; it; it = it->ai_next) {
		err = connect_to(it->ai_addr, it->ai_addrlen, deadline_ms, ret_fd, why);
		if (!err)
			break;
	}
	freeaddrinfo(found);
	return err;
}

enum err socket_connect_unix(const char *path, uint64_t deadline_ms, int *ret_fd,
			     char why[SOCKET_WHY_BYTES])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(why, SOCKET_WHY_BYTES, "the path of a socket has at most %zu bytes",
			 sizeof(address.sun_path) - 1);
		return ERR_TOO_BIG;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	return connect_to((const struct sockaddr *)&address, sizeof(address), deadline_ms, ret_fd,
			  why);
}

enum err socket_send(int fd, struct slice s, uint64_t deadline_ms, char why[SOCKET_WHY_BYTES])
{
	while (s.size > 0) {
		ssize_t sent = send(fd, s.data, s.size, MSG_NOSIGNAL);
		if (sent >= 0) {
			s = slice_part(s, (size_t)sent, s.size);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return fail(errno, why);
		enum err err = wait_for(fd, POLLOUT, deadline_ms, why);
		if (err)
			return err;
	}
	return OK;
}

enum err socket_receive(int fd, void *data, size_t size_max, uint64_t deadline_ms, size_t *ret_size,
			char why[SOCKET_WHY_BYTES])
{
	for (;;) {
		enum err err = wait_for(fd, POLLIN, deadline_ms, why);
		if (err)
			return err;
		ssize_t size = recv(fd, data, size_max, 0);
		if (size >= 0) {
			*ret_size = (size_t)size;
			return OK;
		}
		if (errno != EINTR && errno != EAGAIN)
			return fail(errno, why);
	}
}
