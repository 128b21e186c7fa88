#include "mesh/filter/packet.h"

#include "base/endian.h"

enum {
	IP4_BYTES = 20,
	IP6_BYTES = 40,
	TCP_BYTES = 20,
	UDP_BYTES = 8,
	ICMP_BYTES = 8,

	EXTENSION_HOPS = 0,
	EXTENSION_ROUTING = 43,
	EXTENSION_FRAGMENT = 44,
	EXTENSION_AUTHENTICATION = 51,
	EXTENSION_OPTIONS = 60,
	EXTENSION_MOBILITY = 135,
};

static void parse_ports(struct packet *p)
{
	p->kind = PACKET_PORTS;
	p->source_port = get_u16(p->payload.data);
	p->destination_port = get_u16(p->payload.data + 2);
}

static bool parse_icmp(struct packet *p, uint8_t request, uint8_t reply, uint64_t errors)
{
	uint8_t type;

	if (p->payload.size < ICMP_BYTES)
		return false;
	type = p->payload.data[0];
	if (type == request || type == reply) {
		p->kind = type == request ? PACKET_ECHO_REQUEST : PACKET_ECHO_REPLY;
		p->source_port = p->destination_port = get_u16(p->payload.data + 4);
	} else if (type < 64 && (errors >> type & 1)) {
		p->kind = PACKET_ERROR;
		p->quoted = slice_part(p->payload, ICMP_BYTES, SIZE_MAX);
	}
	return true;
}

/* Redirects and what routers and neighbours say to each other have no place in a tunnel. */
static bool icmp_is_of_the_link(const struct packet *p)
{
	uint8_t type = p->payload.data[0];

	return p->is_4 ? type == 5 || type == 9 || type == 10 : type >= 130 && type <= 137;
}

static bool parse_protocol(struct packet *p)
{
	p->kind = PACKET_OTHER;
	switch (p->protocol) {
	case PROTOCOL_TCP:
		if (p->payload.size < TCP_BYTES)
			return false;
		parse_ports(p);
		p->tcp_flags = p->payload.data[13];
		return true;
	case PROTOCOL_UDP:
	case PROTOCOL_SCTP:
		if (p->payload.size < UDP_BYTES)
			return false;
		parse_ports(p);
		return true;
	case PROTOCOL_ICMP: /* unreachable, source quench, time exceeded, parameter problem */
		if (!p->is_4)
			return true;
		return parse_icmp(p, 8, 0, 1u << 3 | 1u << 4 | 1u << 11 | 1u << 12) &&
		       !icmp_is_of_the_link(p);
	case PROTOCOL_ICMPV6: /* unreachable, too big, time exceeded, parameter problem */
		if (p->is_4)
			return true;
		return parse_icmp(p, 128, 129, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4) &&
		       !icmp_is_of_the_link(p);
	default:
		return true;
	}
}

static bool parse_fragment(struct packet *p, unsigned offset, bool more)
{
	if (offset == 0) {
		p->is_first_fragment = more;
		return parse_protocol(p);
	}
	p->kind = PACKET_LATER_FRAGMENT;
	return offset >= PACKET_FRAGMENT_OFFSET_MIN;
}

static bool has_source_route(struct slice options)
{
	while (options.size > 0) {
		uint8_t kind = options.data[0];
		size_t size = kind == 1 ? 1 : options.size < 2 ? 0 : options.data[1];

		if (kind == 0)
			return false;
		if (kind == 131 || kind == 137 || size == 0 || (kind != 1 && size < 2) ||
		    size > options.size)
			return true;
		options = slice_part(options, size, SIZE_MAX);
	}
	return false;
}

static bool parse_4(struct slice bytes, struct packet *p)
{
	size_t header, total;
	unsigned offset;

	if (bytes.size < IP4_BYTES)
		return false;
	header = (bytes.data[0] & 15u) * 4;
	total = get_u16(bytes.data + 2);
	if (header < IP4_BYTES || total < header || total > bytes.size)
		return false;
	if (has_source_route(slice_part(bytes, IP4_BYTES, header - IP4_BYTES)))
		return false;
	p->is_4 = true;
	p->source = ip_v4(get_u32(bytes.data + 12));
	p->destination = ip_v4(get_u32(bytes.data + 16));
	p->protocol = bytes.data[9];
	p->payload = slice_part(bytes, header, total - header);
	p->fragment_id = get_u16(bytes.data + 4);
	offset = get_u16(bytes.data + 6);
	return parse_fragment(p, (offset & 0x1fff) * 8, offset & 0x2000);
}

/* The size of an extension header; 0: it is none. */
static size_t extension_bytes(uint8_t protocol, const uint8_t *header)
{
	switch (protocol) {
	case EXTENSION_HOPS:
	case EXTENSION_ROUTING:
	case EXTENSION_OPTIONS:
	case EXTENSION_MOBILITY:
		return 8 + (size_t)header[1] * 8;
	case EXTENSION_AUTHENTICATION:
		return 8 + (size_t)header[1] * 4;
	case EXTENSION_FRAGMENT:
		return 8;
	default:
		return 0;
	}
}

static bool is_extension(uint8_t protocol)
{
	static const uint8_t zeros[2];

	return extension_bytes(protocol, zeros) > 0;
}

static bool parse_extensions(struct packet *p)
{
	for (int i = 0; is_extension(p->protocol); i++) {
		const uint8_t *header = p->payload.data;
		uint8_t protocol = p->protocol;
		size_t size;

		if (i == PACKET_EXTENSIONS_MAX || p->payload.size < 8)
			return false;
		size = extension_bytes(protocol, header);
		if (size > p->payload.size || (protocol == EXTENSION_ROUTING && header[2] == 0))
			return false;
		p->protocol = header[0];
		p->payload = slice_part(p->payload, size, SIZE_MAX);
		if (protocol == EXTENSION_FRAGMENT) {
			unsigned offset = get_u16(header + 2);

			p->fragment_id = get_u32(header + 4);
			p->is_first_fragment = offset & 1;
			if (offset & 0xfff8)
				return parse_fragment(p, offset & 0xfff8, offset & 1);
		}
	}
	return parse_protocol(p);
}

static bool parse_6(struct slice bytes, struct packet *p)
{
	size_t payload;

	if (bytes.size < IP6_BYTES)
		return false;
	payload = get_u16(bytes.data + 4);
	if (payload > bytes.size - IP6_BYTES)
		return false;
	p->source = ip_v6(bytes.data + 8);
	p->destination = ip_v6(bytes.data + 24);
	if (ip_unmapped(p->source).family == IP_V4 || ip_unmapped(p->destination).family == IP_V4)
		return false;
	p->protocol = bytes.data[6];
	p->payload = slice_part(bytes, IP6_BYTES, payload);
	return parse_extensions(p);
}

bool packet_parse(struct slice bytes, struct packet *ret)
{
	struct packet p = { 0 };

	if (bytes.size == 0)
		return false;
	if (!(bytes.data[0] >> 4 == 4 ? parse_4(bytes, &p)
				      : bytes.data[0] >> 4 == 6 && parse_6(bytes, &p)))
		return false;
	*ret = p;
	return true;
}

static bool quoted_ports(struct packet *p)
{
	bool is_icmp = p->protocol == (p->is_4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6);

	p->kind = PACKET_OTHER;
	if (p->payload.size < ICMP_BYTES)
		return false;
	if (p->protocol == PROTOCOL_TCP || p->protocol == PROTOCOL_UDP ||
	    p->protocol == PROTOCOL_SCTP)
		parse_ports(p);
	else if (is_icmp && p->payload.data[0] == (p->is_4 ? 8 : 128))
		return parse_icmp(p, p->payload.data[0], p->payload.data[0], 0);
	return true;
}

bool packet_parse_quoted(struct slice bytes, struct packet *ret)
{
	struct packet p = { 0 };
	size_t header;

	if (bytes.size >= IP4_BYTES && bytes.data[0] >> 4 == 4) {
		header = (bytes.data[0] & 15u) * 4;
		if (header < IP4_BYTES || (get_u16(bytes.data + 6) & 0x1fff))
			return false;
		p.is_4 = true;
		p.source = ip_v4(get_u32(bytes.data + 12));
		p.destination = ip_v4(get_u32(bytes.data + 16));
		p.protocol = bytes.data[9];
	} else if (bytes.size >= IP6_BYTES && bytes.data[0] >> 4 == 6) {
		header = IP6_BYTES;
		p.source = ip_v6(bytes.data + 8);
		p.destination = ip_v6(bytes.data + 24);
		p.protocol = bytes.data[6];
	} else {
		return false;
	}
	p.payload = slice_part(bytes, header, SIZE_MAX);
	if (!quoted_ports(&p))
		return false;
	*ret = p;
	return true;
}

bool packet_is_local_only(const struct ip *a)
{
	const uint8_t *b = a->bytes;

	if (a->family == IP_V4)
		return b[0] >= 224 || b[0] == 127 || b[0] == 0 || (b[0] == 169 && b[1] == 254);
	if (b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80))
		return true;
	for (int i = 0; i < 15; i++)
		if (b[i])
			return false;
	return b[15] <= 1;
}
