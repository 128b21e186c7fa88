#include "loop/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "loop/mark.h"

void address_text(const struct address *a, char ret[ADDRESS_TEXT_BYTES])
{
	char host[INET6_ADDRSTRLEN] = "";

	if (a->storage.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&a->storage;
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(ret, ADDRESS_TEXT_BYTES, "%s:%u", host, ntohs(in->sin_port));
	} else if (a->storage.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)&a->storage;
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(ret, ADDRESS_TEXT_BYTES, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		snprintf(ret, ADDRESS_TEXT_BYTES, "unix");
	}
}

uint16_t address_port(const struct address *a)
{
	if (a->storage.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)(const void *)&a->storage)->sin_port);
	if (a->storage.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)(const void *)&a->storage)->sin6_port);
	return 0;
}

static void set_port(struct address *a, uint16_t port)
{
	if (a->storage.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&a->storage)->sin_port = htons(port);
	else if (a->storage.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&a->storage)->sin6_port = htons(port);
}

enum err address_from_number(const char *host, uint16_t port, struct address *ret)
{
	struct address a = { 0 };
	struct sockaddr_in *in = (void *)&a.storage;
	struct sockaddr_in6 *in6 = (void *)&a.storage;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		a.storage.ss_family = AF_INET;
		a.size = sizeof(*in);
	} else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		a.storage.ss_family = AF_INET6;
		a.size = sizeof(*in6);
	} else {
		return ERR_INVALID;
	}
	set_port(&a, port);
	*ret = a;
	return OK;
}

enum err address_from_path(const char *path, struct address *ret)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t size = strlen(path);

	if (size >= sizeof(un.sun_path))
		return ERR_TOO_BIG;
	memcpy(un.sun_path, path, size + 1);
	*ret = (struct address) { .size = sizeof(un) };
	memcpy(&ret->storage, &un, sizeof(un));
	return OK;
}

int address_copy_all(const struct addrinfo *first, uint16_t port, struct address *ret)
{
	int count = 0;

	for (const struct addrinfo *i = first; i && count < ADDRESS_COUNT_MAX; i = i->ai_next) {
		if (i->ai_addrlen > sizeof(ret->storage))
			continue;
		ret[count] = (struct address) { .size = i->ai_addrlen };
		memcpy(&ret[count].storage, i->ai_addr, i->ai_addrlen);
		set_port(&ret[count], port);
		count++;
	}
	return count;
}

static uint32_t stream_mark;

void loop_mark_streams(uint32_t mark)
{
	stream_mark = mark;
}

int address_socket(const struct address *a)
{
	int fd = socket(a->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Without the right to mark, packets go where those of others go. */
	if (fd >= 0 && stream_mark && a->storage.ss_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_MARK, &stream_mark, sizeof(stream_mark));
	return fd;
}
