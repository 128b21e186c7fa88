#include "mesh/filter/tsmp.h"

#include <assert.h>
#include <stdlib.h>

#include "base/endian.h"
#include "mesh/filter/packet.h"

enum {
	REJECT_BYTES = 7,
	REJECT_MAYBE_BROKEN = 0x01, /* of the optional flags behind it */
};

static enum err parse_message(struct slice body, struct tsmp *ret)
{
	const uint8_t *p = body.data;

	switch (p[0]) {
	case TSMP_PING:
	case TSMP_PONG:
		if (body.size < 1 + TSMP_COOKIE_BYTES)
			return ERR_INVALID;
		memcpy(ret->cookie, p + 1, TSMP_COOKIE_BYTES);
		if (p[0] == TSMP_PONG && body.size >= 1 + TSMP_COOKIE_BYTES + 2)
			ret->peerapi_port = get_u16(p + 1 + TSMP_COOKIE_BYTES);
		return OK;
	case TSMP_DISCO_KEY:
		if (body.size < 1 + TSMP_DISCO_KEY_BYTES)
			return ERR_INVALID;
		memcpy(ret->disco_key, p + 1, TSMP_DISCO_KEY_BYTES);
		return OK;
	case TSMP_REJECT:
		if (body.size < REJECT_BYTES)
			return ERR_INVALID;
		ret->reject.protocol = p[1];
		ret->reject.reason = p[2];
		ret->reject.source_port = get_u16(p + 3);
		ret->reject.destination_port = get_u16(p + 5);
		ret->reject.maybe_broken =
			body.size > REJECT_BYTES && (p[REJECT_BYTES] & REJECT_MAYBE_BROKEN);
		return OK;
	default:
		return ERR_UNSUPPORTED;
	}
}

enum err tsmp_parse(struct slice packet, struct tsmp *ret)
{
	struct packet outer;
	struct tsmp parsed = { 0 };
	enum err err;

	if (!packet_parse(packet, &outer) || outer.protocol != TSMP_PROTOCOL ||
	    outer.kind != PACKET_OTHER || outer.is_first_fragment || outer.payload.size == 0)
		return ERR_INVALID;
	parsed.kind = (enum tsmp_kind)outer.payload.data[0];
	parsed.from = outer.source;
	parsed.to = outer.destination;
	err = parse_message(outer.payload, &parsed);
	if (!err)
		*ret = parsed;
	return err;
}

static size_t build_message(const struct tsmp *m, uint8_t *p)
{
	p[0] = (uint8_t)m->kind;
	switch (m->kind) {
	case TSMP_PING:
	case TSMP_PONG:
		memcpy(p + 1, m->cookie, TSMP_COOKIE_BYTES);
		if (m->kind == TSMP_PING)
			return 1 + TSMP_COOKIE_BYTES;
		put_u16(p + 1 + TSMP_COOKIE_BYTES, m->peerapi_port);
		return 1 + TSMP_COOKIE_BYTES + 2;
	case TSMP_DISCO_KEY:
		memcpy(p + 1, m->disco_key, TSMP_DISCO_KEY_BYTES);
		return 1 + TSMP_DISCO_KEY_BYTES;
	case TSMP_REJECT:
		p[1] = m->reject.protocol;
		p[2] = m->reject.reason;
		put_u16(p + 3, m->reject.source_port);
		put_u16(p + 5, m->reject.destination_port);
		if (!m->reject.maybe_broken)
			return REJECT_BYTES;
		p[REJECT_BYTES] = REJECT_MAYBE_BROKEN;
		return REJECT_BYTES + 1;
	}
	abort();
}

static void put_checksum_4(uint8_t *header)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += get_u16(header + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put_u16(header + 10, (uint16_t)~sum);
}

size_t tsmp_build(const struct tsmp *message, uint8_t ret[TSMP_PACKET_BYTES_MAX])
{
	bool is_4 = message->to.family == IP_V4;
	size_t header = is_4 ? 20 : 40, body;

	assert(message->from.family == message->to.family);
	memset(ret, 0, header);
	body = build_message(message, ret + header);
	assert(header + body <= TSMP_PACKET_BYTES_MAX);
	ret[0] = is_4 ? 0x45 : 0x60;
	if (is_4) {
		put_u16(ret + 2, (uint16_t)(header + body));
		ret[8] = 64;
		ret[9] = TSMP_PROTOCOL;
		memcpy(ret + 12, message->from.bytes, 4);
		memcpy(ret + 16, message->to.bytes, 4);
		put_checksum_4(ret);
	} else {
		put_u16(ret + 4, (uint16_t)body);
		ret[6] = TSMP_PROTOCOL;
		ret[7] = 64;
		memcpy(ret + 8, message->from.bytes, 16);
		memcpy(ret + 24, message->to.bytes, 16);
	}
	return header + body;
}
