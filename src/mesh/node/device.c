/* The TUN, read in batches with the room that sealing needs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "loop/watch.h"
#include "mesh/node/private.h"

enum { SLOT = 1504 + TUNNEL_HEAD_BYTES + TUNNEL_TAIL_BYTES + 1 };

struct tun {
	int fd;
	struct watch *watch;
	uint8_t room[NODE_BATCH * SLOT];
};

static void on_ready(void *context, int fd, bool is_readable, bool is_writable)
{
	struct node *n = context;
	struct tunnel_packet packets[NODE_BATCH];
	size_t count = 0;

	(void)is_writable;
	while (is_readable && count < NODE_BATCH) {
		uint8_t *at = n->tun->room + count * SLOT + TUNNEL_HEAD_BYTES;
		ssize_t got = read(fd, at, 1504);
		if (got <= 0)
			break;
		packets[count++] = (struct tunnel_packet) { at, (size_t)got };
	}
	if (count)
		node_on_tun(n, packets, count);
}

enum err node_open_tun(struct node *n, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_from_errno(errno);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		int code = errno;
		close(fd);
		return err_from_errno(code);
	}
	n->tun = NEW(struct tun);
	n->tun->fd = fd;
	n->tun->watch = watch_open(n->loop, fd, on_ready, n);
	watch_set(n->tun->watch, true, false);
	return OK;
}

void node_close_tun(struct node *n)
{
	if (!n->tun)
		return;
	watch_close(n->tun->watch);
	close(n->tun->fd);
	memory_free(n->tun);
	n->tun = NULL;
}

void node_to_tun(struct node *n, const struct slice *packets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ssize_t written = write(n->tun->fd, packets[i].data, packets[i].size);
		(void)written;
	}
}
