/* Packets for tests and the fuzzer, built field by field. */
#ifndef MESH_FILTER_PACKET_TESTING_H
#define MESH_FILTER_PACKET_TESTING_H

#include "base/endian.h"
#include "mesh/filter/packet.h"

struct made_packet {
	uint8_t bytes[256];
	size_t size;
};

static inline struct slice made(const struct made_packet *m)
{
	return (struct slice) { m->bytes, m->size };
}

static inline struct ip ip_of(const char *text)
{
	struct ip a = { 0 };
	enum err err = ip_parse(slice_from(text), &a);

	return err ? (struct ip) { 0 } : a;
}

static inline size_t make_ip(struct made_packet *m, const struct ip *from, const struct ip *to,
			     uint8_t protocol, size_t payload)
{
	memset(m, 0, sizeof(*m));
	if (to->family == IP_V4) {
		m->bytes[0] = 0x45;
		put_u16(m->bytes + 2, (uint16_t)(20 + payload));
		m->bytes[8] = 64;
		m->bytes[9] = protocol;
		memcpy(m->bytes + 12, from->bytes, 4);
		memcpy(m->bytes + 16, to->bytes, 4);
		m->size = 20 + payload;
		return 20;
	}
	m->bytes[0] = 0x60;
	put_u16(m->bytes + 4, (uint16_t)payload);
	m->bytes[6] = protocol;
	m->bytes[7] = 64;
	memcpy(m->bytes + 8, from->bytes, 16);
	memcpy(m->bytes + 24, to->bytes, 16);
	m->size = 40 + payload;
	return 40;
}

/* TCP with these flags, UDP, SCTP, or anything without ports. */
static inline struct made_packet make_packet(const char *from, uint16_t source_port, const char *to,
					     uint16_t destination_port, uint8_t protocol,
					     uint8_t tcp_flags)
{
	struct ip source = ip_of(from), destination = ip_of(to);
	struct made_packet m;
	size_t at =
		make_ip(&m, &source, &destination, protocol, protocol == PROTOCOL_TCP ? 20 : 12);

	put_u16(m.bytes + at, source_port);
	put_u16(m.bytes + at + 2, destination_port);
	if (protocol == PROTOCOL_TCP) {
		m.bytes[at + 12] = 0x50;
		m.bytes[at + 13] = tcp_flags;
	}
	return m;
}

static inline struct made_packet make_echo(const char *from, const char *to, uint16_t id,
					   bool is_reply)
{
	struct ip source = ip_of(from), destination = ip_of(to);
	bool is_4 = source.family == IP_V4;
	struct made_packet m;
	size_t at = make_ip(&m, &source, &destination, is_4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6, 16);

	m.bytes[at] = (uint8_t)(is_4 ? (is_reply ? 0 : 8) : (is_reply ? 129 : 128));
	put_u16(m.bytes + at + 4, id);
	return m;
}

/* "Port unreachable" about `about`, of which the first 8 bytes behind its header are quoted. */
static inline struct made_packet make_error(const char *from, const char *to,
					    const struct made_packet *about)
{
	struct ip source = ip_of(from), destination = ip_of(to);
	bool is_4 = source.family == IP_V4;
	size_t quoted = is_4 ? 28 : 48;
	struct made_packet m;
	size_t at = make_ip(&m, &source, &destination, is_4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6,
			    8 + quoted);

	m.bytes[at] = is_4 ? 3 : 1;
	memcpy(m.bytes + at + 8, about->bytes, quoted);
	return m;
}

#endif
