#include "loop/tun.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/scope.h"
#include "loop/tun_offload.h"
#include "loop/watch.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum {
	TUN_MAGIC = 0x54756e20,
	READ_BYTES = TUN_OFFLOAD_HEAD_BYTES + TUN_OFFLOAD_BYTES_MAX,
	PARTS_MAX = 1536,	/* of one packet: TCP's segments have 48 bytes and more */
	ROOM_BYTES = 288 << 10, /* for what became of one packet, whatever its parts */
	FULL_BYTES = 60 << 10,	/* gathered from several packets before they are given away */
	FULL_PACKETS = 64,
	MTU_ASKED_MS = 1000,
	MTU_DEFAULT = 1420,
};

/* Packets that were read, as they are given away. */
struct room {
	struct tun_packet packets[PARTS_MAX];
	bool is_kept;
	uint8_t bytes[ROOM_BYTES];
};

struct tun {
	uint32_t magic;
	int fd, control_fd;
	bool has_head, has_udp, is_closed, is_reading, is_paused, is_gone;
	char name[TUN_NAME_BYTES];
	uint32_t index;
	uint64_t mtu_asked_ms; /* 0: never */
	struct loop *loop;
	struct watch *watch;
	struct tun_options options;
	struct tun_layout layout;
	uint8_t *read_bytes;
	struct room *rooms[TUN_ROOMS_MAX]; /* NULL: not needed yet */
	unsigned room;			   /* that is being filled: */
	size_t used, count;
};

/* --- reading --------------------------------------------------------------------------------- */
static struct room *room_to_fill(struct tun *t)
{
	struct room **room = &t->rooms[t->room];

	if (!*room)
		*room = NEW(struct room);
	return *room;
}

static void return_room(struct tun *t, unsigned number)
{
	struct room *room = t->rooms[number];

	if (!room || !room->is_kept || t->is_closed)
		return;
	room->is_kept = false;
	t->options.on_return(t->options.context, number);
}

static void give_away(struct tun *t)
{
	size_t count = t->count;
	struct room *room = room_to_fill(t);

	t->count = t->used = 0;
	for (size_t at = 0; at < count && !t->is_closed; at += TUN_PACKETS_MAX)
		t->options.on_packets(t->options.context, room->packets + at,
				      count - at < TUN_PACKETS_MAX ? count - at : TUN_PACKETS_MAX);
	if (!room->is_kept)
		return;
	t->room = (t->room + 1) % TUN_ROOMS_MAX;
	return_room(t, t->room);
}

static void return_all(struct tun *t)
{
	for (unsigned i = 0; i < TUN_ROOMS_MAX; i++)
		return_room(t, (t->room + i) % TUN_ROOMS_MAX);
}

unsigned tun_keep(struct tun *t)
{
	assert(t->is_reading && t->options.on_return);
	t->rooms[t->room]->is_kept = true;
	return t->room;
}

/* Put what was read into the room, cut where it must be. */
static void take(struct tun *t, size_t size)
{
	struct tun_offload_head head = { 0 };
	struct slice packet = { t->read_bytes, size };

	if (t->has_head) {
		if (size < sizeof(head))
			return;
		memcpy(&head, t->read_bytes, sizeof(head));
		packet = slice_part(packet, sizeof(head), size);
	}
	for (int i = 0; i < 2; i++) { /* the second time there is all the room */
		struct room *room = room_to_fill(t);
		size_t bytes = tun_split(&t->layout, &head, packet, room->bytes + t->used,
					 ROOM_BYTES - t->used, room->packets, PARTS_MAX, &t->count);
		t->used += bytes;
		if (bytes > 0 || t->count == 0)
			return;
		give_away(t);
		if (t->is_closed)
			return;
	}
}

static void end(struct tun *t)
{
	watch_set(t->watch, false, false);
	t->is_gone = true;
	if (t->options.on_gone)
		t->options.on_gone(t->options.context);
}

/* False: there is nothing more for now. */
static bool read_one(struct tun *t)
{
	ssize_t n = read(t->fd, t->read_bytes, READ_BYTES);

	if (n > 0) {
		take(t, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EBADFD)
		end(t);
	return false;
}

static void release(struct tun *t)
{
	t->magic = 0;
	memory_free(t->read_bytes);
	for (unsigned i = 0; i < TUN_ROOMS_MAX; i++)
		memory_free(t->rooms[i]);
	memory_free(t);
}

static void on_ready(void *context, int fd, bool is_readable, bool is_writable)
{
	struct tun *t = context;
	bool is_more = is_readable;

	(void)fd;
	(void)is_writable;
	t->is_reading = true;
	t->layout.mtu = tun_mtu(t);
	for (int i = 0; is_more && i < TUN_READS_MAX && !t->is_closed && !t->is_paused; i++) {
		is_more = read_one(t);
		if (t->used >= FULL_BYTES || t->count >= FULL_PACKETS)
			give_away(t);
	}
	if (!t->is_closed)
		give_away(t);
	return_all(t);
	t->is_reading = false;
	if (t->is_closed)
		release(t);
}

/* --- writing --------------------------------------------------------------------------------- */
/* A device that is down, or whose queue is full, takes nothing: as a network would. */
static void write_parts(struct tun *t, struct iovec *parts, int count)
{
	while (writev(t->fd, parts, count) < 0 && errno == EINTR)
		;
}

void tun_write(struct tun *t, struct tun_packet *packets, size_t count)
{
	struct iovec parts[1 + TUN_OFFLOAD_PARTS_MAX];
	struct tun_offload_head head;
	size_t skip;

	assert(t->magic == TUN_MAGIC);
	if (t->is_gone)
		return;
	if (!t->has_head) {
		for (size_t i = 0; i < count; i++) {
			parts[0] = (struct iovec) { packets[i].data, packets[i].size };
			write_parts(t, parts, 1);
		}
		return;
	}
	parts[0] = (struct iovec) { &head, sizeof(head) };
	for (size_t i = 0; i < count;) {
		size_t n = tun_gather(packets + i, count - i, t->has_udp, &head, &skip);
		for (size_t k = 0; k < n; k++) {
			size_t behind = k > 0 ? skip : 0;
			parts[1 + k] = (struct iovec) { packets[i + k].data + behind,
							packets[i + k].size - behind };
		}
		write_parts(t, parts, 1 + (int)n);
		i += n;
	}
}

/* --- life ------------------------------------------------------------------------------------ */
static bool set_interface(int fd, const char *name, int flags, char ret[TUN_NAME_BYTES])
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TUN | IFF_NO_PI | flags) };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return false;
	snprintf(ret, TUN_NAME_BYTES, "%.15s", request.ifr_name);
	return true;
}

static bool set_offloads(struct tun *t)
{
	unsigned long tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	unsigned long udp = tcp | TUN_F_USO4 | TUN_F_USO6;

	t->has_udp = ioctl(t->fd, TUNSETOFFLOAD, udp) == 0;
	return t->has_udp || ioctl(t->fd, TUNSETOFFLOAD, tcp) == 0;
}

static enum err open_device(struct tun *t)
{
	bool with_head = !t->options.without_offloads;

	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return err_from_errno(errno);
	t->has_head = with_head && set_interface(t->fd, t->options.name, IFF_VNET_HDR, t->name);
	if (!t->has_head && with_head && errno != EINVAL)
		return err_from_errno(errno);
	if (!t->has_head && !set_interface(t->fd, t->options.name, 0, t->name))
		return err_from_errno(errno);
	if (t->has_head && !set_offloads(t))
		(void)ioctl(t->fd, TUNSETOFFLOAD, 0ul); /* heads that say nothing */
	t->control_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->control_fd < 0)
		return err_from_errno(errno);
	t->index = if_nametoindex(t->name);
	t->watch = watch_open(t->loop, t->fd, on_ready, t);
	return t->watch ? OK : ERR_IO;
}

static void close_files(struct tun *t)
{
	scope_close_fd(&t->fd);
	scope_close_fd(&t->control_fd);
}

enum err tun_open(struct loop *loop, const struct tun_options *o, struct tun **ret)
{
	size_t name_bytes = strlen(o->name);
	struct tun *t = NEW(struct tun);
	enum err err = ERR_INVALID;

	assert(o->on_packets);
	t->magic = TUN_MAGIC;
	t->loop = loop;
	t->options = *o;
	t->fd = t->control_fd = -1;
	if (name_bytes > 0 && name_bytes < TUN_NAME_BYTES && !strchr(o->name, '/'))
		err = open_device(t);
	t->options.name = NULL; /* the caller's */
	if (err) {
		close_files(t);
		release(t);
		return err;
	}
	t->layout =
		(struct tun_layout) { o->head_bytes, o->align_bytes, o->tail_bytes, MTU_DEFAULT };
	t->read_bytes = memory_take(READ_BYTES);
	watch_set(t->watch, true, false);
	*ret = t;
	return OK;
}

void tun_close(struct tun *t)
{
	if (!t)
		return;
	assert(t->magic == TUN_MAGIC && !t->is_closed);
	watch_close(t->watch);
	close_files(t);
	t->is_closed = true;
	if (!t->is_reading)
		release(t);
}

void tun_pause(struct tun *t)
{
	t->is_paused = true;
	watch_set(t->watch, false, false);
}

void tun_resume(struct tun *t)
{
	t->is_paused = false;
	if (!t->is_gone)
		watch_set(t->watch, true, false);
}

const char *tun_name(const struct tun *t)
{
	return t->name;
}

uint32_t tun_index(const struct tun *t)
{
	return t->index;
}

uint32_t tun_mtu(struct tun *t)
{
	uint64_t now = loop_now_ms(t->loop);
	struct ifreq request = { 0 };

	if (t->mtu_asked_ms > 0 && now - t->mtu_asked_ms < MTU_ASKED_MS)
		return (uint32_t)t->layout.mtu;
	t->mtu_asked_ms = now ? now : 1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", t->name);
	if (ioctl(t->control_fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0 &&
	    request.ifr_mtu <= TUN_OFFLOAD_BYTES_MAX)
		t->layout.mtu = (size_t)request.ifr_mtu;
	return (uint32_t)t->layout.mtu;
}

bool tun_has_offloads(const struct tun *t)
{
	return t->has_head;
}
