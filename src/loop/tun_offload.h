/* What a network card does for the kernel, done here: large packets are cut into those of a network
 * (TSO, USO), small ones that follow each other are put together (GRO).  No I/O.
 *
 * Between the kernel and us a packet has a head (struct virtio_net_hdr) that says how large the
 * parts are and whether the checksum is still to be made. */
#ifndef LOOP_TUN_OFFLOAD_H
#define LOOP_TUN_OFFLOAD_H

#include "base/err.h"
#include "base/slice.h"
#include "loop/tun.h"

enum {
	TUN_OFFLOAD_HEAD_BYTES = 10,
	TUN_OFFLOAD_PARTS_MAX = 64, /* put together */
	TUN_OFFLOAD_BYTES_MAX = 65535,
};

/* As linux/virtio_net.h has it; integers of the machine. */
struct tun_offload_head {
	uint8_t flags, gso_type;
	uint16_t head_bytes, gso_size, checksum_start, checksum_offset;
};

/* How packets are laid out in memory: as struct tun_options says. */
struct tun_layout {
	size_t head_bytes, align_bytes, tail_bytes;
	size_t mtu;
};

/* The space a packet of `size` takes. */
size_t tun_layout_bytes(const struct tun_layout *l, size_t size);

/* Cut `packet` as `head` says and finish the checksums.  Writes into `room`, and appends to
 * packets[*count]; returns the bytes of `room` that were used.  0: what is said of it cannot be, or
 * there is no room for all of it; nothing is appended then. */
size_t tun_split(const struct tun_layout *l, const struct tun_offload_head *head,
		 struct slice packet, uint8_t *room, size_t room_bytes, struct tun_packet *packets,
		 size_t packets_max, size_t *count);

/* How many of packets[0 .. count) become one, at least 1, and what it is made of: all of the first
 * one, and of the others what is behind *ret_skip bytes.  The first one's header is changed to fit
 * when there are several. */
size_t tun_gather(struct tun_packet *packets, size_t count, bool with_udp,
		  struct tun_offload_head *ret, size_t *ret_skip);

/* The Internet checksum: `sum` of what was before, and the end of it.  Parts but the last have an
 * even number of bytes. */
uint64_t tun_checksum_add(uint64_t sum, const uint8_t *bytes, size_t size);
uint16_t tun_checksum_end(uint64_t sum); /* as it stands in a packet */

#endif
