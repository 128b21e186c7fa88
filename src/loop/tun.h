/* A TUN device: IP packets from this machine and to it, many at once.
 *
 * Where the kernel allows it, it hands over up to 64 KiB of one flow as one packet, which is cut
 * here as a network card would, and takes such a packet back, which is put together here from those
 * that follow each other (loop/tun_offload.h).  Where it does not, the same interface has single
 * packets.  Opening needs CAP_NET_ADMIN, or a device that was made for this user before. */
#ifndef LOOP_TUN_H
#define LOOP_TUN_H

#include "loop/loop.h"

enum {
	TUN_NAME_BYTES = 16,   /* with its NUL */
	TUN_PACKETS_MAX = 256, /* in one callback */
	TUN_READS_MAX = 64,    /* system calls before others have their turn */
	TUN_ROOMS_MAX = 4,     /* for packets that are kept */
};

struct tun;

/* As struct tunnel_packet of mesh/tunnel. */
struct tun_packet {
	uint8_t *data;
	size_t size;
};

struct tun_options {
	const char *name; /* "hanse0"; one that is there is used, or made */
	bool without_offloads;

	/* Each packet stands in memory with `head_bytes` before it and, behind it, padding to a
	 * multiple of `align_bytes` (but to no more than the MTU) and `tail_bytes`; the next one
	 * follows at once.  For a tunnel TUNNEL_HEAD_BYTES, _ALIGN_BYTES and _TAG_BYTES: what it
	 * makes of equal packets are runs then.  The receiver may write there. */
	size_t head_bytes, align_bytes, tail_bytes;

	/* From the loop, never from inside a call.  Whole IP packets with good checksums, in their
	 * order, gone when it returns unless tun_keep() was called in it.  So may be tun_close(),
	 * after which nothing is called any more, and what was kept is gone. */
	void (*on_packets)(void *context, struct tun_packet *packets, size_t count);

	/* The packets of a room that was kept are gone when it returns.  It comes for each such
	 * room, the oldest first: when there is another one to fill, and for all of them when there
	 * is nothing more to read for now.  May be NULL when nothing is kept. */
	void (*on_return)(void *context, unsigned room);

	/* The device is gone (`ip link del`), and tun_close() is left to do.  May be NULL. */
	void (*on_gone)(void *context);
	void *context;
};

/* ERR_BUSY: another process has it; ERR_DENIED; ERR_INVALID: no name of a device. */
MUST_CHECK enum err tun_open(struct loop *loop, const struct tun_options *o, struct tun **ret);
void tun_close(
	struct tun *t); /* NULL is harmless; the device goes, with its addresses and routes */

/* In on_packets(): the packets of this callback stay as they are until on_return() of this room,
 * which is below TUN_ROOMS_MAX. */
unsigned tun_keep(struct tun *t);

/* Give packets to the machine, in their order.  What it does not take now is lost, as on a network;
 * headers of packets may be changed.  What follows each other in `packets` is put together. */
void tun_write(struct tun *t, struct tun_packet *packets, size_t count);

/* Stop and go on reading: while what was read cannot be sent. */
void tun_pause(struct tun *t);
void tun_resume(struct tun *t);

const char *tun_name(const struct tun *t); /* as the kernel has it */
uint32_t tun_index(const struct tun *t);   /* of the interface, for netlink */
uint32_t tun_mtu(struct tun *t);	   /* as it is now, asked once a second at most */
bool tun_has_offloads(const struct tun *t);

#endif
