#include "base/ip.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>

#include "base/text.h"

struct ip ip_v4(uint32_t address)
{
	struct ip ip = { .family = IP_V4 };

	for (int i = 0; i < 4; i++)
		ip.bytes[i] = (uint8_t)(address >> (24 - 8 * i));
	return ip;
}

struct ip ip_v6(const uint8_t bytes[16])
{
	struct ip ip = { .family = IP_V6 };

	memcpy(ip.bytes, bytes, sizeof(ip.bytes));
	return ip;
}

uint32_t ip_v4_number(struct ip ip)
{
	assert(ip.family == IP_V4);
	return (uint32_t)ip.bytes[0] << 24 | (uint32_t)ip.bytes[1] << 16 |
	       (uint32_t)ip.bytes[2] << 8 | ip.bytes[3];
}

int ip_compare(struct ip a, struct ip b)
{
	if (a.family != b.family)
		return a.family < b.family ? -1 : 1;
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes));
}

/* --- prefixes ----------------------------------------------------------------------------------
 */

bool ip_prefixes_equal(const struct ip_prefix *a, size_t a_count, const struct ip_prefix *b,
		       size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!ip_prefix_equal(a[i], b[i]))
			return false;
	return true;
}

struct ip_prefix ip_prefix_of(struct ip ip)
{
	return (struct ip_prefix) { ip, (uint8_t)ip_bits(ip) };
}

/* The bits of byte `i` that belong to a prefix of this length. */
static uint8_t byte_mask(unsigned bits, unsigned i)
{
	if (bits >= 8 * (i + 1))
		return 0xff;
	if (bits <= 8 * i)
		return 0;
	return (uint8_t)(0xff00 >> (bits - 8 * i));
}

bool ip_prefix_has(struct ip_prefix prefix, struct ip ip)
{
	if (prefix.ip.family != ip.family || ip.family == IP_NONE)
		return false;
	for (unsigned i = 0; i < 16 && 8 * i < prefix.bits; i++)
		if ((prefix.ip.bytes[i] ^ ip.bytes[i]) & byte_mask(prefix.bits, i))
			return false;
	return true;
}

bool ip_prefix_covers(struct ip_prefix outer, struct ip_prefix inner)
{
	return outer.bits <= inner.bits && ip_prefix_has(outer, inner.ip);
}

struct ip_prefix ip_prefix_masked(struct ip_prefix prefix)
{
	for (unsigned i = 0; i < 16; i++)
		prefix.ip.bytes[i] &= byte_mask(prefix.bits, i);
	return prefix;
}

struct ip ip_prefix_last(struct ip_prefix prefix)
{
	for (unsigned i = 0; i < ip_bits(prefix.ip) / 8; i++)
		prefix.ip.bytes[i] |= (uint8_t)~byte_mask(prefix.bits, i);
	return prefix.ip;
}

/* --- text --------------------------------------------------------------------------------------
 */

enum err ip_parse(struct slice text, struct ip *ret)
{
	char copy[INET6_ADDRSTRLEN + 1];
	struct ip ip = { 0 };

	if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.data, 0, text.size))
		return ERR_INVALID;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	ip.family = strchr(copy, ':') ? IP_V6 : IP_V4;
	if (inet_pton(ip.family == IP_V6 ? AF_INET6 : AF_INET, copy, ip.bytes) != 1)
		return ERR_INVALID;
	*ret = ip;
	return OK;
}

enum err ip_port_parse(struct slice text, struct ip_port *ret)
{
	size_t colon = text.size;
	struct ip_port p = { 0 };
	uint64_t port;

	while (colon > 0 && text.data[colon - 1] != ':')
		colon--;
	if (colon < 2)
		return ERR_INVALID;
	struct slice host = slice_part(text, 0, colon - 1);
	bool is_bracketed = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
	if (is_bracketed)
		host = slice_part(host, 1, host.size - 2);
	enum err err = ip_parse(host, &p.ip);
	if (err)
		return err;
	if (is_bracketed != (p.ip.family == IP_V6))
		return ERR_INVALID;
	err = text_to_u64(slice_part(text, colon, text.size), UINT16_MAX, &port);
	if (err)
		return ERR_INVALID;
	p.port = (uint16_t)port;
	*ret = p;
	return OK;
}

enum err ip_prefix_parse(struct slice text, struct ip_prefix *ret)
{
	struct slice bits_text = text;
	struct slice address = slice_cut(&bits_text, '/');
	struct ip_prefix p = { 0 };
	uint64_t bits;

	enum err err = ip_parse(address, &p.ip);
	if (err)
		return err;
	bits = ip_bits(p.ip);
	if (address.size < text.size &&
	    (bits_text.size > 3 || text_to_u64(bits_text, ip_bits(p.ip), &bits)))
		return ERR_INVALID;
	p.bits = (uint8_t)bits;
	if (!ip_prefix_equal(p, ip_prefix_masked(p)))
		return ERR_INVALID;
	*ret = p;
	return OK;
}

struct ip ip_unmapped(struct ip ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct ip v4 = { .family = IP_V4 };

	if (ip.family != IP_V6 || memcmp(ip.bytes, mapped, sizeof(mapped)) != 0)
		return ip;
	memcpy(v4.bytes, ip.bytes + sizeof(mapped), 4);
	return v4;
}

void ip_text(struct ip ip, char ret[IP_TEXT_BYTES])
{
	ret[0] = '\0';
	if (ip.family != IP_NONE &&
	    !inet_ntop(ip.family == IP_V6 ? AF_INET6 : AF_INET, ip.bytes, ret, IP_TEXT_BYTES))
		assert(false); /* every address has a text */
}

void ip_port_text(struct ip_port p, char ret[IP_PORT_TEXT_BYTES])
{
	char address[IP_TEXT_BYTES];

	ip_text(p.ip, address);
	snprintf(ret, IP_PORT_TEXT_BYTES, p.ip.family == IP_V6 ? "[%s]:%u" : "%s:%u", address,
		 p.port);
}

void ip_prefix_text(struct ip_prefix p, char ret[IP_PREFIX_TEXT_BYTES])
{
	char address[IP_TEXT_BYTES];

	ip_text(p.ip, address);
	snprintf(ret, IP_PREFIX_TEXT_BYTES, "%s/%u", address, p.bits);
}
