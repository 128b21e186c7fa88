#include "wire/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "base/text.h"

enum { PREFIX_BYTES = 12 };

static const uint8_t mapped_prefix[PREFIX_BYTES] = { [10] = 0xff, [11] = 0xff };

struct endpoint endpoint_ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
	return (struct endpoint) {
		.ip = { [10] = 0xff, [11] = 0xff, [12] = a, [13] = b, [14] = c, [15] = d },
		.port = port,
	};
}

bool endpoint_is_ip4(const struct endpoint *e)
{
	return memcmp(e->ip, mapped_prefix, PREFIX_BYTES) == 0;
}

static bool is_all_zero(const uint8_t *bytes, size_t size)
{
	uint8_t any = 0;

	for (size_t i = 0; i < size; i++)
		any |= bytes[i];
	return !any;
}

bool endpoint_is_none(const struct endpoint *e)
{
	return !e->port && is_all_zero(e->ip, sizeof(e->ip));
}

bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && endpoint_same_ip(a, b);
}

bool endpoint_is_link_local(const struct endpoint *e)
{
	if (endpoint_is_ip4(e))
		return e->ip[12] == 169 && e->ip[13] == 254;
	return e->ip[0] == 0xfe && (e->ip[1] & 0xc0) == 0x80;
}

bool endpoint_is_loopback(const struct endpoint *e)
{
	if (endpoint_is_ip4(e))
		return e->ip[12] == 127;
	return is_all_zero(e->ip, 15) && e->ip[15] == 1;
}

bool endpoint_is_private(const struct endpoint *e)
{
	const uint8_t *ip4 = e->ip + PREFIX_BYTES;

	if (!endpoint_is_ip4(e))
		return (e->ip[0] & 0xfe) == 0xfc;
	return ip4[0] == 10 || (ip4[0] == 172 && (ip4[1] & 0xf0) == 16) ||
	       (ip4[0] == 192 && ip4[1] == 168);
}

bool endpoint_is_shared(const struct endpoint *e)
{
	return endpoint_is_ip4(e) && e->ip[12] == 100 && (e->ip[13] & 0xc0) == 64;
}

bool endpoint_is_unicast(const struct endpoint *e)
{
	if (!e->port)
		return false;
	if (endpoint_is_ip4(e)) /* 0.0.0.0/8; 224.0.0.0/4 and everything above it */
		return e->ip[12] != 0 && e->ip[12] < 224;
	return e->ip[0] != 0xff && !is_all_zero(e->ip, PREFIX_BYTES + 3);
}

void endpoint_put(uint8_t ret[ENDPOINT_WIRE_BYTES], const struct endpoint *e)
{
	memcpy(ret, e->ip, sizeof(e->ip));
	put_u16(ret + sizeof(e->ip), e->port);
}

struct endpoint endpoint_get(const uint8_t bytes[ENDPOINT_WIRE_BYTES])
{
	struct endpoint e = { .port = get_u16(bytes + sizeof(e.ip)) };

	memcpy(e.ip, bytes, sizeof(e.ip));
	return e;
}

void endpoint_ip_text(const struct endpoint *e, char ret[ENDPOINT_TEXT_BYTES])
{
	if (endpoint_is_ip4(e))
		inet_ntop(AF_INET, e->ip + PREFIX_BYTES, ret, ENDPOINT_TEXT_BYTES);
	else
		inet_ntop(AF_INET6, e->ip, ret, ENDPOINT_TEXT_BYTES);
}

void endpoint_text(const struct endpoint *e, char ret[ENDPOINT_TEXT_BYTES])
{
	char ip[ENDPOINT_TEXT_BYTES];
	unsigned port = e->port;

	endpoint_ip_text(e, ip);
	snprintf(ret, ENDPOINT_TEXT_BYTES, endpoint_is_ip4(e) ? "%.45s:%u" : "[%.45s]:%u", ip,
		 port);
}

enum err endpoint_parse_ip(struct slice text, uint16_t port, struct endpoint *ret)
{
	char number[INET6_ADDRSTRLEN];
	struct endpoint e = endpoint_ip4(0, 0, 0, 0, port);

	if (!text.size || text.size >= sizeof(number) || memchr(text.data, 0, text.size))
		return ERR_INVALID;
	memcpy(number, text.data, text.size);
	number[text.size] = 0;
	if (inet_pton(AF_INET, number, e.ip + PREFIX_BYTES) != 1 &&
	    inet_pton(AF_INET6, number, e.ip) != 1)
		return ERR_INVALID;
	*ret = e;
	return OK;
}

enum err endpoint_parse(struct slice text, struct endpoint *ret)
{
	const uint8_t *colon = text.size ? memrchr(text.data, ':', text.size) : NULL;
	struct slice ip, digits;
	uint64_t port;

	if (!colon)
		return ERR_INVALID;
	ip = slice_part(text, 0, (size_t)(colon - text.data));
	digits = slice_part(text, ip.size + 1, text.size);
	if (!digits.size || text_to_u64(digits, UINT16_MAX, &port))
		return ERR_INVALID;
	if (ip.size && ip.data[0] == '[') {
		if (ip.size < 2 || ip.data[ip.size - 1] != ']')
			return ERR_INVALID;
		ip = slice_part(ip, 1, ip.size - 2);
	} else if (memchr(ip.data, ':', ip.size)) {
		return ERR_INVALID;
	}
	return endpoint_parse_ip(ip, (uint16_t)port, ret);
}
