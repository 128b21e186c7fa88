/* What is cut has good headers and checksums, by a plain sum of 16-bit words, and becomes what it
 * was when it is put together; what does not belong together stays apart. */
#include "loop/tun_offload.h"

#include <linux/virtio_net.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/random.h"

enum {
	GSO_UDP_L4 = 5,
	ROOM = 288 << 10,
	PACKETS = 1536,
	PAYLOAD_MAX = 65000,
	TCP_HEAD = 32,
	MTU = 1420
};

static const struct tun_layout layout = { 16, 16, 16, MTU };
static uint8_t room[ROOM], whole[65535];
static struct tun_packet packets[PACKETS];

struct flow {
	bool is_v6, is_udp;
	uint8_t flags;
};

static size_t ip_bytes(struct flow f)
{
	return f.is_v6 ? 40 : 20;
}

static size_t head_bytes(struct flow f)
{
	return ip_bytes(f) + (f.is_udp ? 8 : TCP_HEAD);
}

/* A packet as the kernel hands it over: the checksum is that of the pseudo header. */
static struct tun_offload_head make(struct flow f, size_t payload, size_t gso_size)
{
	size_t size = head_bytes(f) + payload;
	uint8_t *p = whole, *transport = whole + ip_bytes(f);

	memset(p, 0, head_bytes(f));
	for (size_t i = head_bytes(f); i < size; i++)
		p[i] = (uint8_t)(i * 7 + i / 251);
	if (f.is_v6) {
		p[0] = 0x60;
		put_u16(p + 4, (uint16_t)(size - 40));
		p[6] = f.is_udp ? 17 : 6;
		p[7] = 64;
		memset(p + 8, 0x21, 16);
		memset(p + 24, 0x42, 16);
	} else {
		p[0] = 0x45;
		put_u16(p + 2, (uint16_t)size);
		put_u16(p + 4, 0xfffe);
		p[8] = 64;
		p[9] = f.is_udp ? 17 : 6;
		put_u32(p + 12, 0x0a000001);
		put_u32(p + 16, 0x0a000002);
	}
	put_u16(transport, 5001);
	put_u16(transport + 2, 443);
	if (f.is_udp) {
		put_u16(transport + 4, (uint16_t)(8 + payload));
	} else {
		put_u32(transport + 4, 0xffffff00); /* the sequence wraps */
		transport[12] = TCP_HEAD / 4 << 4;
		transport[13] = f.flags;
	}
	uint8_t type = f.is_udp	 ? GSO_UDP_L4
		       : f.is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6
				 : VIRTIO_NET_HDR_GSO_TCPV4;
	return (struct tun_offload_head) {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = gso_size > 0 ? type : VIRTIO_NET_HDR_GSO_NONE,
		.gso_size = (uint16_t)gso_size,
		.checksum_start = (uint16_t)ip_bytes(f),
		.checksum_offset = f.is_udp ? 6 : 16,
	};
}

static uint32_t plain_sum(uint32_t sum, const uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < size ? p[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void assert_good(struct flow f, const struct tun_packet *p)
{
	const uint8_t *data = p->data;
	size_t transport_bytes = p->size - ip_bytes(f);
	uint32_t sum = (uint32_t)transport_bytes + (f.is_udp ? 17 : 6);

	if (f.is_v6) {
		assert_int_equal(get_u16(data + 4), p->size - 40);
		sum = plain_sum(sum, data + 8, 32);
	} else {
		assert_int_equal(get_u16(data + 2), p->size);
		assert_int_equal(plain_sum(0, data, 20), 0xffff);
		sum = plain_sum(sum, data + 12, 8);
	}
	assert_int_equal(plain_sum(sum, data + ip_bytes(f), transport_bytes), 0xffff);
	if (f.is_udp)
		assert_int_equal(get_u16(data + ip_bytes(f) + 4), transport_bytes);
}

static size_t split(const struct tun_offload_head *head, size_t size)
{
	size_t count = 0;
	size_t bytes = tun_split(&layout, head, (struct slice) { whole, size }, room, ROOM, packets,
				 PACKETS, &count);

	assert_true((bytes > 0) == (count > 0));
	return count;
}

static void there_and_back(struct flow f, size_t payload, size_t gso_size)
{
	static uint8_t again[65535];
	struct tun_offload_head head = make(f, payload, gso_size), back;
	size_t size = head_bytes(f) + payload, skip;
	size_t count = split(&head, size), wanted = (payload + gso_size - 1) / gso_size;

	assert_int_equal(count, wanted);
	for (size_t i = 0; i < count; i++) {
		assert_good(f, &packets[i]);
		if (i > 0) /* they stand so that what is made of them has no gaps */
			assert_ptr_equal(packets[i].data,
					 packets[i - 1].data +
						 tun_layout_bytes(&layout, packets[i - 1].size));
	}
	size_t gathered = tun_gather(packets, count, true, &back, &skip);
	size_t most = count < TUN_OFFLOAD_PARTS_MAX ? count : TUN_OFFLOAD_PARTS_MAX;
	assert_int_equal(gathered, most);
	if (gathered < 2 || gathered < count)
		return;
	assert_int_equal(skip, head_bytes(f));
	size_t used = 0;
	for (size_t i = 0; i < gathered; i++) {
		size_t behind = i > 0 ? skip : 0;
		memcpy(again + used, packets[i].data + behind, packets[i].size - behind);
		used += packets[i].size - behind;
	}
	assert_int_equal(used, size);
	assert_int_equal(back.gso_type, head.gso_type);
	assert_int_equal(back.gso_size, gso_size);
	assert_int_equal(back.checksum_start, ip_bytes(f));
	/* Cut once more it is the same; that covers what the headers say. */
	memcpy(whole, again, size);
	assert_int_equal(split(&back, size), count);
	for (size_t i = 0; i < count; i++)
		assert_good(f, &packets[i]);
}

static void test_what_is_cut_is_good_and_can_be_put_together_again(void **state)
{
	(void)state;
	static const size_t payloads[] = { 1, 2, 1000, 1001, 1360, 13600, 13601, 64000 };

	for (int kind = 0; kind < 4; kind++) {
		struct flow f = { .is_v6 = kind & 1, .is_udp = kind & 2, .flags = 0x10 };
		for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
			for (size_t gso = 536; gso <= 1360; gso += 103)
				there_and_back(f, payloads[i], gso);
	}
}

static void test_only_the_last_part_ends_and_pushes(void **state)
{
	(void)state;
	struct flow f = { .flags = 0x80 | 0x10 | 0x08 | 0x01 };
	struct tun_offload_head head = make(f, 3000, 1000);

	assert_int_equal(split(&head, head_bytes(f) + 3000), 3);
	assert_int_equal(packets[0].data[33], 0x90);
	assert_int_equal(packets[1].data[33], 0x10);
	assert_int_equal(packets[2].data[33], 0x19);
	assert_int_equal(get_u32(packets[1].data + 24), 0xffffff00u + 1000);
	assert_int_equal(get_u16(packets[2].data + 4), 0); /* 0xfffe + 2 */
}

static void test_a_single_packet_gets_its_checksum(void **state)
{
	(void)state;
	struct flow f = { .is_v6 = true, .is_udp = true };
	struct tun_offload_head head = make(f, 333, 0);
	struct tun_packet good = { whole, head_bytes(f) + 333 };
	uint32_t sum = plain_sum(17 + 8 + 333, whole + 8, 32);

	put_u16(whole + 40 + 6, (uint16_t)sum);
	assert_int_equal(split(&head, good.size), 1);
	assert_good(f, &packets[0]);
	head.flags = 0; /* nothing to do: nothing is touched */
	assert_int_equal(split(&head, good.size), 1);
	assert_memory_equal(packets[0].data, whole, good.size);
}

static void test_heads_that_cannot_be_are_refused(void **state)
{
	(void)state;
	struct flow f = { .flags = 0x10 };
	struct tun_offload_head good = make(f, 3000, 1000), bad;
	size_t size = head_bytes(f) + 3000, count = 0;

	bad = good;
	bad.gso_size = 0;
	assert_int_equal(split(&bad, size), 0);
	bad = good;
	bad.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	assert_int_equal(split(&bad, size), 0);
	bad.gso_type = 77;
	assert_int_equal(split(&bad, size), 0);
	assert_int_equal(split(&good, head_bytes(f)), 0);
	assert_int_equal(split(&good, 10), 0);
	assert_int_equal(split(&good, 0), 0);
	bad = good;
	bad.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	bad.checksum_start = (uint16_t)(size - 17);
	assert_int_equal(split(&bad, size), 0);
	assert_int_equal(tun_split(&layout, &good, (struct slice) { whole, size }, room, ROOM,
				   packets, 2, &count),
			 0);
	assert_int_equal(tun_split(&layout, &good, (struct slice) { whole, size }, room, 3000,
				   packets, PACKETS, &count),
			 0);
	assert_int_equal(count, 0);
	whole[32] = 0x10; /* a TCP header of 4 bytes */
	assert_int_equal(split(&good, size), 0);
}

/* One thing about the second of three parts is changed: the first stays alone. */
static size_t gathered_after(struct flow f, size_t at, uint8_t bits, bool fixes_checksum)
{
	struct tun_offload_head head = make(f, 3000, 1000), back;
	size_t skip;

	assert_int_equal(split(&head, head_bytes(f) + 3000), 3);
	struct tun_packet *p = &packets[1];
	uint8_t before = p->data[at];
	p->data[at] ^= bits;
	if (fixes_checksum) { /* RFC 1624, and at an even or odd place */
		uint8_t *sum = p->data + ip_bytes(f) + (f.is_udp ? 6 : 16);
		int shift = at % 2 ? 0 : 8;
		uint32_t s = (uint16_t)~get_u16(sum);
		s += (uint32_t)(uint16_t) ~(before << shift) + ((uint32_t)p->data[at] << shift);
		s = (s & 0xffff) + (s >> 16);
		s = (s & 0xffff) + (s >> 16);
		put_u16(sum, (uint16_t)~s);
	}
	return tun_gather(packets, 3, true, &back, &skip);
}

static void test_what_does_not_follow_stays_apart(void **state)
{
	(void)state;
	struct flow tcp = { .flags = 0x10 }, tcp6 = { .is_v6 = true, .flags = 0x10 };
	struct flow udp = { .is_udp = true };

	assert_int_equal(gathered_after(tcp, 60, 0, true), 3);
	assert_int_equal(gathered_after(tcp, 1, 1, false), 1);	/* another class of traffic */
	assert_int_equal(gathered_after(tcp, 8, 1, false), 1);	/* time to live */
	assert_int_equal(gathered_after(tcp, 5, 1, false), 1);	/* identification */
	assert_int_equal(gathered_after(tcp, 15, 1, true), 1);	/* source */
	assert_int_equal(gathered_after(tcp, 19, 1, true), 1);	/* destination */
	assert_int_equal(gathered_after(tcp, 20, 1, true), 1);	/* port */
	assert_int_equal(gathered_after(tcp, 27, 1, true), 1);	/* sequence */
	assert_int_equal(gathered_after(tcp, 31, 1, true), 1);	/* acknowledgment */
	assert_int_equal(gathered_after(tcp, 33, 1, true), 1);	/* FIN */
	assert_int_equal(gathered_after(tcp, 33, 2, true), 1);	/* SYN */
	assert_int_equal(gathered_after(tcp, 35, 1, true), 1);	/* window */
	assert_int_equal(gathered_after(tcp, 45, 1, true), 1);	/* an option */
	assert_int_equal(gathered_after(tcp, 33, 8, true), 2);	/* PSH ends it, itself included */
	assert_int_equal(gathered_after(tcp, 99, 1, false), 1); /* its checksum is wrong */
	assert_int_equal(gathered_after(tcp6, 3, 1, false), 1); /* flow label */
	assert_int_equal(gathered_after(tcp6, 7, 1, false), 1); /* hop limit */
	assert_int_equal(gathered_after(tcp6, 99, 1, false), 1);
	assert_int_equal(gathered_after(udp, 22, 1, true), 1);
	assert_int_equal(gathered_after(udp, 99, 1, false), 1);
	assert_int_equal(gathered_after(udp, 99, 1, true), 3);
}

static void test_a_shorter_part_is_the_last_and_udp_is_left_where_it_must_be(void **state)
{
	(void)state;
	struct flow f = { .flags = 0x10 }, udp = { .is_udp = true };
	struct tun_offload_head head = make(f, 2500, 1000), back;
	size_t skip;

	assert_int_equal(split(&head, head_bytes(f) + 2500), 3);
	struct tun_packet short_first[] = { packets[2], packets[0] };
	assert_int_equal(tun_gather(short_first, 2, true, &back, &skip), 1);
	struct tun_packet with_more[] = { packets[0], packets[1], packets[2], packets[0] };
	assert_int_equal(tun_gather(with_more, 4, true, &back, &skip), 3);
	head = make(udp, 2500, 1000);
	assert_int_equal(split(&head, head_bytes(udp) + 2500), 3);
	assert_int_equal(tun_gather(packets, 3, false, &back, &skip), 1);
	assert_int_equal(back.flags, 0);
}

static void test_sums_of_any_length_agree_with_the_plain_one(void **state)
{
	(void)state;
	struct prng prng = { 3 };
	uint8_t bytes[200] = { 0 };

	for (size_t size = 0; size < sizeof(bytes); size++) {
		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)(size % 3 ? prng_next(&prng) : 0xff);
		uint8_t sum[2];
		uint16_t raw = tun_checksum_end(tun_checksum_add(0, bytes, size));
		memcpy(sum, &raw, 2);
		assert_int_equal(get_u16(sum), (uint16_t)~plain_sum(0, bytes, size));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_cut_is_good_and_can_be_put_together_again),
		cmocka_unit_test(test_only_the_last_part_ends_and_pushes),
		cmocka_unit_test(test_a_single_packet_gets_its_checksum),
		cmocka_unit_test(test_heads_that_cannot_be_are_refused),
		cmocka_unit_test(test_what_does_not_follow_stays_apart),
		cmocka_unit_test(test_a_shorter_part_is_the_last_and_udp_is_left_where_it_must_be),
		cmocka_unit_test(test_sums_of_any_length_agree_with_the_plain_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
