#include "loop/tun_offload.h"

#include <assert.h>
#include <linux/virtio_net.h>

#include "base/endian.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

_Static_assert(sizeof(struct tun_offload_head) == TUN_OFFLOAD_HEAD_BYTES, "no padding");
_Static_assert(sizeof(struct virtio_net_hdr) == TUN_OFFLOAD_HEAD_BYTES, "the kernel's");

enum {
	TCP = 6,
	UDP = 17,
	IPV4_BYTES = 20,
	IPV6_BYTES = 40,
	TCP_BYTES = 20,
	TCP_BYTES_MAX = 60,
	UDP_BYTES = 8,
	TCP_SEQUENCE = 4,
	TCP_FLAGS = 13,
	TCP_CHECKSUM = 16,
	UDP_LENGTH = 4,
	UDP_CHECKSUM = 6,
	FLAG_FIN = 0x01,
	FLAG_PUSH = 0x08,
	FLAG_ACK = 0x10,
	FLAG_CWR = 0x80,
};

/* --- checksums ------------------------------------------------------------------------------- */
/* In the machine's order, which RFC 1071 allows; 64 bits at a time with the carry kept. */
uint64_t tun_checksum_add(uint64_t sum, const uint8_t *bytes, size_t size)
{
	uint64_t words[4], carry = 0;

	for (; size >= sizeof(words); bytes += sizeof(words), size -= sizeof(words)) {
		memcpy(words, bytes, sizeof(words));
		carry += __builtin_add_overflow(sum, words[0], &sum);
		carry += __builtin_add_overflow(sum, words[1], &sum);
		carry += __builtin_add_overflow(sum, words[2], &sum);
		carry += __builtin_add_overflow(sum, words[3], &sum);
	}
	for (; size > 0;) {
		size_t part = size < 8 ? size : 8;
		words[0] = 0;
		memcpy(words, bytes, part);
		carry += __builtin_add_overflow(sum, words[0], &sum);
		bytes += part;
		size -= part;
	}
	while (carry > 0)
		carry = __builtin_add_overflow(sum, carry, &sum);
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t tun_checksum_end(uint64_t sum)
{
	return (uint16_t)~fold(sum);
}

static void put_raw(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* --- headers --------------------------------------------------------------------------------- */
/* Where things are in a packet that is TCP or UDP over IP without anything in between. */
struct layers {
	bool is_v6;
	uint8_t protocol;
	size_t ip_bytes, head_bytes; /* the latter with TCP's or UDP's */
};

static bool find_layers(struct slice packet, struct layers *ret)
{
	const uint8_t *p = packet.data;
	struct layers l = { 0 };

	if (packet.size >= IPV4_BYTES && p[0] >> 4 == 4) {
		l.ip_bytes = (size_t)(p[0] & 15) * 4;
		l.protocol = p[9];
		if (l.ip_bytes < IPV4_BYTES || (get_u16(p + 6) & 0x3fff) != 0) /* a fragment */
			return false;
	} else if (packet.size >= IPV6_BYTES && p[0] >> 4 == 6) {
		l.is_v6 = true;
		l.ip_bytes = IPV6_BYTES;
		l.protocol = p[6];
	} else {
		return false;
	}
	size_t transport = l.protocol == TCP ? TCP_BYTES : UDP_BYTES;
	if ((l.protocol != TCP && l.protocol != UDP) || packet.size < l.ip_bytes + transport)
		return false;
	if (l.protocol == TCP)
		transport = (size_t)(p[l.ip_bytes + 12] >> 4) * 4;
	l.head_bytes = l.ip_bytes + transport;
	if ((l.protocol == TCP && transport < TCP_BYTES) || packet.size < l.head_bytes)
		return false;
	*ret = l;
	return true;
}

static size_t checksum_offset(const struct layers *l)
{
	return l->protocol == TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
}

static uint64_t pseudo_sum(const struct layers *l, const uint8_t *packet, size_t size)
{
	uint8_t rest[4] = { 0, l->protocol };

	put_u16(rest + 2, (uint16_t)(size - l->ip_bytes));
	uint64_t sum = l->is_v6 ? tun_checksum_add(0, packet + 8, 32)
				: tun_checksum_add(0, packet + 12, 8);
	return tun_checksum_add(sum, rest, sizeof(rest));
}

static void put_ip_size(const struct layers *l, uint8_t *packet, size_t size)
{
	if (l->is_v6) {
		put_u16(packet + 4, (uint16_t)(size - IPV6_BYTES));
		return;
	}
	put_u16(packet + 2, (uint16_t)size);
	put_u16(packet + 10, 0);
	put_raw(packet + 10, tun_checksum_end(tun_checksum_add(0, packet, l->ip_bytes)));
}

/* --- cutting --------------------------------------------------------------------------------- */
size_t tun_layout_bytes(const struct tun_layout *l, size_t size)
{
	size_t align = l->align_bytes > 0 ? l->align_bytes : 1;
	size_t padded = (size + align - 1) / align * align;

	if (padded > l->mtu)
		padded = size < l->mtu ? l->mtu : size;
	return l->head_bytes + padded + l->tail_bytes;
}

static void finish_checksum(uint8_t *packet, size_t size, size_t start, size_t offset)
{
	uint16_t sum = tun_checksum_end(tun_checksum_add(0, packet + start, size - start));

	put_raw(packet + start + offset, offset == UDP_CHECKSUM && sum == 0 ? 0xffff : sum);
}

static size_t copy_whole(const struct tun_layout *layout, const struct tun_offload_head *head,
			 struct slice packet, uint8_t *room, size_t room_bytes,
			 struct tun_packet *ret)
{
	size_t bytes = tun_layout_bytes(layout, packet.size);
	bool needs_checksum = head->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (bytes > room_bytes || packet.size == 0)
		return 0;
	if (needs_checksum &&
	    (size_t)head->checksum_start + head->checksum_offset + 2 > packet.size)
		return 0;
	*ret = (struct tun_packet) { room + layout->head_bytes, packet.size };
	memcpy(ret->data, packet.data, packet.size);
	if (needs_checksum)
		finish_checksum(ret->data, packet.size, head->checksum_start,
				head->checksum_offset);
	return bytes;
}

/* The i-th part of the whole, of which the first `l->head_bytes` are its headers. */
static void make_part(const struct layers *l, struct slice whole, size_t part_bytes, size_t i,
		      struct tun_packet *ret)
{
	size_t from = l->head_bytes + i * part_bytes, rest = whole.size - from;
	size_t bytes = rest < part_bytes ? rest : part_bytes;
	uint8_t *p = ret->data, *transport = p + l->ip_bytes;

	ret->size = l->head_bytes + bytes;
	memcpy(p, whole.data, l->head_bytes);
	memcpy(p + l->head_bytes, whole.data + from, bytes);
	if (!l->is_v6)
		put_u16(p + 4, (uint16_t)(get_u16(p + 4) + i));
	put_ip_size(l, p, ret->size);
	if (l->protocol == TCP) {
		put_u32(transport + TCP_SEQUENCE,
			get_u32(transport + TCP_SEQUENCE) + (uint32_t)(i * part_bytes));
		if (rest > bytes)
			transport[TCP_FLAGS] &= (uint8_t) ~(FLAG_FIN | FLAG_PUSH);
		if (i > 0)
			transport[TCP_FLAGS] &= (uint8_t)~FLAG_CWR;
	} else {
		put_u16(transport + UDP_LENGTH, (uint16_t)(ret->size - l->ip_bytes));
	}
	put_raw(transport + checksum_offset(l), fold(pseudo_sum(l, p, ret->size)));
	finish_checksum(p, ret->size, l->ip_bytes, checksum_offset(l));
}

static bool is_type_of(const struct layers *l, uint8_t gso_type)
{
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return l->protocol == TCP && !l->is_v6;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return l->protocol == TCP && l->is_v6;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return l->protocol == UDP;
	default:
		return false;
	}
}

size_t tun_split(const struct tun_layout *l, const struct tun_offload_head *head,
		 struct slice packet, uint8_t *room, size_t room_bytes, struct tun_packet *packets,
		 size_t packets_max, size_t *count)
{
	struct layers layers;

	if (head->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (*count >= packets_max)
			return 0;
		size_t bytes = copy_whole(l, head, packet, room, room_bytes, &packets[*count]);
		*count += bytes > 0;
		return bytes;
	}
	if (!find_layers(packet, &layers) || !is_type_of(&layers, head->gso_type) ||
	    head->gso_size == 0 || packet.size <= layers.head_bytes)
		return 0;
	size_t part_bytes = head->gso_size, data_bytes = packet.size - layers.head_bytes;
	size_t parts = (data_bytes + part_bytes - 1) / part_bytes;
	size_t step = tun_layout_bytes(l, layers.head_bytes + part_bytes);
	size_t last = tun_layout_bytes(l, packet.size - (parts - 1) * part_bytes);
	size_t bytes = (parts - 1) * step + last;
	if (bytes > room_bytes || parts > packets_max - *count)
		return 0;
	for (size_t i = 0; i < parts; i++) {
		packets[*count].data = room + i * step + l->head_bytes;
		make_part(&layers, packet, part_bytes, i, &packets[*count]);
		++*count;
	}
	return bytes;
}

/* --- putting together ------------------------------------------------------------------------ */
static bool is_checksum_good(const struct layers *l, const struct tun_packet *p)
{
	uint64_t sum = pseudo_sum(l, p->data, p->size);
	const uint8_t *transport = p->data + l->ip_bytes;

	if (l->protocol == UDP && get_u16(transport + UDP_CHECKSUM) == 0)
		return false; /* there is none, and one would be made */
	return tun_checksum_end(tun_checksum_add(sum, transport, p->size - l->ip_bytes)) == 0;
}

/* May it be followed by others, or follow? */
static bool is_candidate(const struct tun_packet *p, bool with_udp, struct layers *ret)
{
	struct slice packet = { p->data, p->size };

	if (!find_layers(packet, ret) || p->size == ret->head_bytes)
		return false;
	size_t said = ret->is_v6 ? IPV6_BYTES + (size_t)get_u16(p->data + 4) : get_u16(p->data + 2);
	if (said != p->size || (!ret->is_v6 && ret->ip_bytes != IPV4_BYTES))
		return false;
	const uint8_t *transport = p->data + ret->ip_bytes;
	if (ret->protocol == UDP)
		return with_udp && get_u16(transport + UDP_LENGTH) == p->size - ret->ip_bytes;
	return (transport[TCP_FLAGS] & ~FLAG_PUSH) == FLAG_ACK;
}

static bool is_same(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
	return memcmp(a + from, b + from, to - from) == 0;
}

/* Does `next` belong behind `first`, as far as IP knows?  The i-th identification must be the one
 * that cutting would give it again, or not matter (DF). */
static bool is_ip_alike(const struct layers *l, const uint8_t *first, const uint8_t *next, size_t i)
{
	if (l->is_v6)
		return is_same(first, next, 0, 4) && is_same(first, next, 6, IPV6_BYTES);
	bool is_id_good =
		(first[6] & 0x40) || get_u16(next + 4) == (uint16_t)(get_u16(first + 4) + i);
	return is_id_good && is_same(first, next, 0, 2) && is_same(first, next, 6, 10) &&
	       is_same(first, next, 12, IPV4_BYTES);
}

/* The same but for the sequence, the checksum, and who pushes. */
static bool is_transport_alike(const struct layers *l, const uint8_t *first, const uint8_t *next)
{
	if (l->protocol == UDP)
		return is_same(first, next, 0, 4);
	return is_same(first, next, 0, TCP_SEQUENCE) && is_same(first, next, 8, TCP_FLAGS) &&
	       is_same(first, next, TCP_FLAGS + 1, TCP_CHECKSUM) &&
	       is_same(first, next, TCP_CHECKSUM + 2, l->head_bytes - l->ip_bytes);
}

static bool is_next(const struct layers *l, const struct tun_packet *first,
		    const struct tun_packet *next, bool with_udp, size_t i, size_t part_bytes,
		    size_t data_bytes)
{
	const uint8_t *a = first->data + l->ip_bytes, *b = next->data + l->ip_bytes;
	struct layers other;

	if (!is_candidate(next, with_udp, &other) || other.is_v6 != l->is_v6 ||
	    other.protocol != l->protocol || other.head_bytes != l->head_bytes)
		return false;
	if (next->size - l->head_bytes > part_bytes ||
	    next->size - l->head_bytes + data_bytes + l->head_bytes > TUN_OFFLOAD_BYTES_MAX)
		return false;
	if (!is_ip_alike(l, first->data, next->data, i) || !is_transport_alike(l, a, b))
		return false;
	if (l->protocol == TCP &&
	    get_u32(b + TCP_SEQUENCE) != get_u32(a + TCP_SEQUENCE) + (uint32_t)data_bytes)
		return false;
	return is_checksum_good(l, next);
}

static void fill_head(const struct layers *l, struct tun_packet *first, size_t part_bytes,
		      size_t data_bytes, bool pushes, struct tun_offload_head *ret)
{
	uint8_t *transport = first->data + l->ip_bytes;
	size_t size = l->head_bytes + data_bytes;

	put_ip_size(l, first->data, size);
	if (l->protocol == UDP)
		put_u16(transport + UDP_LENGTH, (uint16_t)(size - l->ip_bytes));
	else if (pushes)
		transport[TCP_FLAGS] |= FLAG_PUSH;
	put_raw(transport + checksum_offset(l), fold(pseudo_sum(l, first->data, size)));
	*ret = (struct tun_offload_head) {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = l->protocol == UDP ? VIRTIO_NET_HDR_GSO_UDP_L4
			    : l->is_v6	       ? VIRTIO_NET_HDR_GSO_TCPV6
					       : VIRTIO_NET_HDR_GSO_TCPV4,
		.head_bytes = (uint16_t)l->head_bytes,
		.gso_size = (uint16_t)part_bytes,
		.checksum_start = (uint16_t)l->ip_bytes,
		.checksum_offset = (uint16_t)checksum_offset(l),
	};
}

size_t tun_gather(struct tun_packet *packets, size_t count, bool with_udp,
		  struct tun_offload_head *ret, size_t *ret_skip)
{
	struct layers l;
	size_t n = 1;

	*ret = (struct tun_offload_head) { 0 };
	*ret_skip = 0;
	if (count < 2 || !is_candidate(&packets[0], with_udp, &l))
		return 1;
	size_t part_bytes = packets[0].size - l.head_bytes, data_bytes = part_bytes;
	bool pushes = l.protocol == TCP && packets[0].data[l.ip_bytes + TCP_FLAGS] & FLAG_PUSH;
	bool is_over = pushes;
	for (; n < count && n < TUN_OFFLOAD_PARTS_MAX && !is_over; n++) {
		const struct tun_packet *next = &packets[n];

		if (!is_next(&l, &packets[0], next, with_udp, n, part_bytes, data_bytes))
			break;
		if (n == 1 && !is_checksum_good(&l, &packets[0]))
			return 1;
		data_bytes += next->size - l.head_bytes;
		pushes = l.protocol == TCP && next->data[l.ip_bytes + TCP_FLAGS] & FLAG_PUSH;
		is_over = pushes || next->size - l.head_bytes < part_bytes;
	}
	if (n > 1) {
		fill_head(&l, &packets[0], part_bytes, data_bytes, pushes, ret);
		*ret_skip = l.head_bytes;
	}
	return n;
}
