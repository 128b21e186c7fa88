/* A message: type (u16), bytes of attributes (u16), cookie (u32), id (12 bytes), attributes; an
 * attribute: type (u16), size (u16), value, padded to 4 bytes.
 *
 * The mapped address is hidden by XOR with the cookie (and the id), because routers were seen to
 * rewrite addresses they found in payloads.  FINGERPRINT is the CRC-32 of all that stands before
 * it, so that STUN is told from what else comes to the same port. */
#include "wire/stun/stun.h"

#include <zlib.h>

#include "base/endian.h"

enum {
	HEAD_BYTES = 20,
	ATTRIBUTE_HEAD_BYTES = 4,
	BINDING_REQUEST = 0x0001,
	BINDING_ANSWER = 0x0101,
	ATTRIBUTE_MAPPED_ADDRESS = 0x0001,
	ATTRIBUTE_MUST_KNOW_MAX = 0x7fff, /* the ones above may be ignored */
	ATTRIBUTE_XOR_MAPPED_ADDRESS = 0x0020,
	ATTRIBUTE_XOR_MAPPED_ADDRESS_OLD = 0x8020,
	ATTRIBUTE_SOFTWARE = 0x8022,
	ATTRIBUTE_FINGERPRINT = 0x8028,
	FAMILY_IPV4 = 1,
	FAMILY_IPV6 = 2,
	FINGERPRINT_BYTES = 4,
};

static const uint32_t cookie = 0x2112a442;
static const uint32_t fingerprint_mask = 0x5354554e;
static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
static const char software[] = "tailnode"; /* what the official relay insists on */

/* --- both ------------------------------------------------------------------------------------- */
bool stun_is_message(struct slice packet)
{
	return packet.size >= HEAD_BYTES && (packet.data[0] & 0xc0) == 0 &&
	       get_u32(packet.data + 4) == cookie &&
	       get_u16(packet.data + 2) == packet.size - HEAD_BYTES;
}

static uint32_t fingerprint(struct slice before)
{
	return (uint32_t)crc32(0, before.data, (uInt)before.size) ^ fingerprint_mask;
}

struct attribute {
	uint16_t type;
	struct slice value;
	size_t at; /* where it begins in the message */
};

/* ERR_NOT_FOUND: there is no more. */
static enum err next_attribute(struct slice packet, size_t *at, struct attribute *ret)
{
	struct slice rest = slice_part(packet, *at, packet.size);

	if (rest.size == 0)
		return ERR_NOT_FOUND;
	if (rest.size < ATTRIBUTE_HEAD_BYTES)
		return ERR_INVALID;
	size_t size = get_u16(rest.data + 2);
	size_t padded = (size + 3) & ~(size_t)3;
	if (padded > rest.size - ATTRIBUTE_HEAD_BYTES)
		return ERR_INVALID;
	ret->type = get_u16(rest.data);
	ret->value = slice_part(rest, ATTRIBUTE_HEAD_BYTES, size);
	ret->at = *at;
	*at += ATTRIBUTE_HEAD_BYTES + padded;
	return OK;
}

static bool is_whole(struct slice packet, const struct attribute *last)
{
	struct slice before = slice_part(packet, 0, last->at);

	return last->at + ATTRIBUTE_HEAD_BYTES + FINGERPRINT_BYTES == packet.size &&
	       last->value.size == FINGERPRINT_BYTES &&
	       get_u32(last->value.data) == fingerprint(before);
}

static void put_head(uint8_t *ret, uint16_t type, size_t size, const uint8_t id[STUN_ID_BYTES])
{
	put_u16(ret, type);
	put_u16(ret + 2, (uint16_t)(size - HEAD_BYTES));
	put_u32(ret + 4, cookie);
	memcpy(ret + 8, id, STUN_ID_BYTES);
}

/* --- requests --------------------------------------------------------------------------------- */
void stun_make_request(const uint8_t id[STUN_ID_BYTES], uint8_t ret[STUN_REQUEST_BYTES])
{
	uint8_t *p = ret + HEAD_BYTES;

	put_head(ret, BINDING_REQUEST, STUN_REQUEST_BYTES, id);
	put_u16(p, ATTRIBUTE_SOFTWARE);
	put_u16(p + 2, sizeof(software) - 1);
	memcpy(p + 4, software, sizeof(software) - 1);
	p += ATTRIBUTE_HEAD_BYTES + sizeof(software) - 1;
	put_u16(p, ATTRIBUTE_FINGERPRINT);
	put_u16(p + 2, FINGERPRINT_BYTES);
	put_u32(p + 4, fingerprint((struct slice) { ret, (size_t)(p - ret) }));
}

enum err stun_read_request(struct slice packet, uint8_t ret_id[STUN_ID_BYTES])
{
	struct attribute attribute;
	size_t at = HEAD_BYTES;
	enum err err;

	if (packet.size > STUN_MESSAGE_BYTES_MAX || !stun_is_message(packet) ||
	    get_u16(packet.data) != BINDING_REQUEST)
		return ERR_INVALID;
	while ((err = next_attribute(packet, &at, &attribute)) == OK) {
		if (attribute.type <= ATTRIBUTE_MUST_KNOW_MAX)
			return ERR_UNSUPPORTED;
		if (attribute.type == ATTRIBUTE_FINGERPRINT && !is_whole(packet, &attribute))
			return ERR_INVALID;
	}
	if (err != ERR_NOT_FOUND)
		return err;
	memcpy(ret_id, packet.data + 8, STUN_ID_BYTES);
	return OK;
}

/* --- answers ---------------------------------------------------------------------------------- */
/* Cookie and id stand behind each other in the head of the message. */
static void hide(uint8_t *ip, size_t size, const uint8_t *mask)
{
	for (size_t i = 0; i < size; i++)
		ip[i] ^= mask[i];
}

size_t stun_make_answer(const uint8_t id[STUN_ID_BYTES], const struct endpoint *seen,
			uint8_t ret[STUN_ANSWER_BYTES_MAX])
{
	bool is_ipv4 = endpoint_is_ip4(seen);
	size_t ip_bytes = is_ipv4 ? 4 : 16;
	size_t size = HEAD_BYTES + ATTRIBUTE_HEAD_BYTES + 4 + ip_bytes;
	uint8_t *p = ret + HEAD_BYTES;

	put_head(ret, BINDING_ANSWER, size, id);
	put_u16(p, ATTRIBUTE_XOR_MAPPED_ADDRESS);
	put_u16(p + 2, (uint16_t)(4 + ip_bytes));
	p[4] = 0;
	p[5] = is_ipv4 ? FAMILY_IPV4 : FAMILY_IPV6;
	put_u16(p + 6, (uint16_t)(seen->port ^ (cookie >> 16)));
	memcpy(p + 8, seen->ip + (16 - ip_bytes), ip_bytes);
	hide(p + 8, ip_bytes, ret + 4);
	return size;
}

static enum err read_address(struct slice packet, struct slice value, bool is_hidden,
			     struct endpoint *ret)
{
	struct endpoint seen = { 0 };

	if (value.size < 4)
		return ERR_INVALID;
	size_t ip_bytes = value.data[1] == FAMILY_IPV4 ? 4 : value.data[1] == FAMILY_IPV6 ? 16 : 0;
	if (ip_bytes == 0 || value.size != 4 + ip_bytes)
		return ERR_INVALID;
	memcpy(seen.ip, mapped_prefix, sizeof(mapped_prefix));
	memcpy(seen.ip + (16 - ip_bytes), value.data + 4, ip_bytes);
	seen.port = get_u16(value.data + 2);
	if (is_hidden) {
		hide(seen.ip + (16 - ip_bytes), ip_bytes, packet.data + 4);
		seen.port ^= (uint16_t)(cookie >> 16);
	}
	*ret = seen;
	return OK;
}

enum err stun_read_answer(struct slice packet, uint8_t ret_id[STUN_ID_BYTES],
			  struct endpoint *ret_seen)
{
	struct attribute attribute;
	struct endpoint plain, hidden;
	bool has_plain = false, has_hidden = false;
	size_t at = HEAD_BYTES;
	enum err err;

	if (packet.size > STUN_MESSAGE_BYTES_MAX || !stun_is_message(packet) ||
	    get_u16(packet.data) != BINDING_ANSWER)
		return ERR_INVALID;
	while ((err = next_attribute(packet, &at, &attribute)) == OK) {
		if (attribute.type == ATTRIBUTE_FINGERPRINT && !is_whole(packet, &attribute))
			return ERR_INVALID;
		if (attribute.type == ATTRIBUTE_XOR_MAPPED_ADDRESS ||
		    attribute.type == ATTRIBUTE_XOR_MAPPED_ADDRESS_OLD)
			has_hidden |= !read_address(packet, attribute.value, true, &hidden);
		if (attribute.type == ATTRIBUTE_MAPPED_ADDRESS)
			has_plain |= !read_address(packet, attribute.value, false, &plain);
	}
	if (err != ERR_NOT_FOUND || (!has_hidden && !has_plain))
		return ERR_INVALID;
	memcpy(ret_id, packet.data + 8, STUN_ID_BYTES);
	*ret_seen = has_hidden ? hidden : plain;
	return OK;
}
