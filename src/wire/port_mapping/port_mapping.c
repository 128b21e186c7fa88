#include "wire/port_mapping/port_mapping.h"

#include "base/endian.h"

enum {
	NATPMP = 0,
	PCP = 2,
	ANSWER = 0x80,
	OP_ADDRESS = 0,
	OP_MAP_UDP = 1,
	OP_MAP = 1,
	UDP = 17,
	NATPMP_ANSWER_BYTES = 12,
	NATPMP_MAP_ANSWER_BYTES = 16,
	PCP_HEADER_BYTES = 24,
};

void natpmp_ask_address(uint8_t ret[NATPMP_ADDRESS_BYTES])
{
	ret[0] = NATPMP;
	ret[1] = OP_ADDRESS;
}

void natpmp_ask_map(uint16_t port, uint16_t suggested, uint32_t seconds,
		    uint8_t ret[NATPMP_MAP_BYTES])
{
	ret[0] = NATPMP;
	ret[1] = OP_MAP_UDP;
	put_u16(ret + 2, 0);
	put_u16(ret + 4, port);
	put_u16(ret + 6, suggested);
	put_u32(ret + 8, seconds);
}

void pcp_ask_map(const uint8_t nonce[PORT_MAPPING_NONCE_BYTES], const struct endpoint *ours,
		 uint16_t suggested, uint32_t seconds, uint8_t ret[PCP_MAP_BYTES])
{
	struct endpoint any = endpoint_ip4(0, 0, 0, 0, 0);
	uint8_t *map = ret + PCP_HEADER_BYTES;

	memset(ret, 0, PCP_MAP_BYTES);
	ret[0] = PCP;
	ret[1] = OP_MAP;
	put_u32(ret + 4, seconds);
	memcpy(ret + 8, ours->ip, sizeof(ours->ip));
	memcpy(map, nonce, PORT_MAPPING_NONCE_BYTES);
	map[12] = UDP;
	put_u16(map + 16, ours->port);
	put_u16(map + 18, suggested);
	memcpy(map + 20, any.ip, sizeof(any.ip));
}

static enum err read_natpmp(struct slice packet, struct port_mapping_answer *ret)
{
	struct port_mapping_answer a = { 0 };
	const uint8_t *p = packet.data;

	if (packet.size < 4)
		return ERR_INVALID;
	a.result = get_u16(p + 2);
	if (p[1] == (ANSWER | OP_ADDRESS))
		a.kind = NATPMP_ADDRESS;
	else if (p[1] == (ANSWER | OP_MAP_UDP))
		a.kind = NATPMP_MAP;
	else
		return ERR_INVALID;
	if (!a.result && a.kind == NATPMP_ADDRESS) {
		if (packet.size < NATPMP_ANSWER_BYTES)
			return ERR_INVALID;
		a.outside = endpoint_ip4(p[8], p[9], p[10], p[11], 0);
	} else if (!a.result) {
		if (packet.size < NATPMP_MAP_ANSWER_BYTES)
			return ERR_INVALID;
		a.port = get_u16(p + 8);
		a.outside.port = get_u16(p + 10);
		a.seconds = get_u32(p + 12);
	}
	*ret = a;
	return OK;
}

static enum err read_pcp(struct slice packet, struct port_mapping_answer *ret)
{
	struct port_mapping_answer a = { .kind = PCP_MAP };
	const uint8_t *p = packet.data, *map = p + PCP_HEADER_BYTES;

	if (packet.size < PCP_HEADER_BYTES || p[1] != (ANSWER | OP_MAP))
		return ERR_INVALID;
	a.result = p[3];
	a.seconds = get_u32(p + 4);
	if (!a.result) {
		if (packet.size < PCP_MAP_BYTES || map[12] != UDP)
			return ERR_INVALID;
		memcpy(a.nonce, map, sizeof(a.nonce));
		a.port = get_u16(map + 16);
		a.outside.port = get_u16(map + 18);
		memcpy(a.outside.ip, map + 20, sizeof(a.outside.ip));
	}
	*ret = a;
	return OK;
}

enum err port_mapping_read(struct slice packet, struct port_mapping_answer *ret)
{
	if (packet.size < 2)
		return ERR_INVALID;
	if (packet.data[0] == NATPMP)
		return read_natpmp(packet, ret);
	if (packet.data[0] == PCP)
		return read_pcp(packet, ret);
	return ERR_INVALID;
}
