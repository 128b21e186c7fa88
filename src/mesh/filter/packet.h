/* What a filter looks at in an IP packet: addresses, protocol, ports, and how it is fragmented.
 *
 * IPv6 extension headers are walked, PACKET_EXTENSIONS_MAX at most.  What cannot be judged is
 * malformed: cut-off headers, a first fragment that does not hold the whole header of its protocol,
 * a later one that would overwrite it, source routes. */
#ifndef MESH_FILTER_PACKET_H
#define MESH_FILTER_PACKET_H

#include "base/ip_range.h"
#include "base/slice.h"

enum {
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_SCTP = 132,

	PACKET_TCP_FIN = 0x01,
	PACKET_TCP_SYN = 0x02,
	PACKET_TCP_RST = 0x04,
	PACKET_TCP_ACK = 0x10,

	PACKET_EXTENSIONS_MAX = 8,
	/* A later fragment begins behind the longest headers that a verdict depends on. */
	PACKET_FRAGMENT_OFFSET_MIN = 80,
};

enum packet_kind {
	PACKET_PORTS, /* TCP, UDP, SCTP */
	PACKET_ECHO_REQUEST,
	PACKET_ECHO_REPLY,
	PACKET_ERROR, /* ICMP: about a packet, which it quotes */
	PACKET_OTHER,
	PACKET_LATER_FRAGMENT, /* has no header of its protocol */
};

struct packet {
	struct ip source, destination;
	uint16_t source_port, destination_port; /* of an echo: its identifier, in both */
	uint8_t protocol;
	uint8_t tcp_flags;
	bool is_4;
	bool is_first_fragment; /* others follow */
	enum packet_kind kind;
	uint32_t fragment_id;
	struct slice payload; /* behind the IP headers */
	struct slice quoted;  /* PACKET_ERROR: the beginning of the packet it is about */
};

/* False: malformed.  *ret borrows from `bytes`, which may have padding behind the packet. */
bool packet_parse(struct slice bytes, struct packet *ret);

/* The same for what an ICMP error quotes, of which everything behind the first 8 bytes of the
 * payload may be missing: addresses, protocol and ports alone. */
bool packet_parse_quoted(struct slice bytes, struct packet *ret);

/* Addresses that never cross a mesh: multicast, broadcast, link-local, unspecified, loopback. */
bool packet_is_local_only(const struct ip *a);

#endif
