/* IP addresses, address:port pairs and prefixes, as values: compared, parsed and written without a
 * socket. */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "base/err.h"
#include "base/slice.h"

enum {
	IP_TEXT_BYTES = 48,	   /* an address with its NUL */
	IP_PORT_TEXT_BYTES = 56,   /* "[v6]:port" */
	IP_PREFIX_TEXT_BYTES = 52, /* "v6/128" */
};

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

/* Bytes behind the address are zero, so that equal addresses are equal memory. */
struct ip {
	uint8_t family; /* enum ip_family */
	uint8_t bytes[16];
};

struct ip_port {
	struct ip ip;
	uint16_t port;
};

/* The bits behind `bits` are zero in what ip_prefix_parse() returns. */
struct ip_prefix {
	struct ip ip;
	uint8_t bits;
};

struct ip ip_v4(uint32_t address); /* host order: 0x64400001 is 100.64.0.1 */
struct ip ip_v6(const uint8_t bytes[16]);
uint32_t ip_v4_number(struct ip ip); /* only of IP_V4 */

static inline unsigned ip_bits(struct ip ip)
{
	return ip.family == IP_V4 ? 32 : ip.family == IP_V6 ? 128 : 0;
}

static inline bool ip_equal(struct ip a, struct ip b)
{
	return a.family == b.family && memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

/* Version 4 first, then by bytes; <0, 0, >0. */
int ip_compare(struct ip a, struct ip b);

static inline bool ip_port_equal(struct ip_port a, struct ip_port b)
{
	return a.port == b.port && ip_equal(a.ip, b.ip);
}

static inline bool ip_prefix_equal(struct ip_prefix a, struct ip_prefix b)
{
	return a.bits == b.bits && ip_equal(a.ip, b.ip);
}

bool ip_prefixes_equal(const struct ip_prefix *a, size_t a_count, const struct ip_prefix *b,
		       size_t b_count);

/* The whole of one address. */
struct ip_prefix ip_prefix_of(struct ip ip);
bool ip_prefix_has(struct ip_prefix prefix, struct ip ip);
bool ip_prefix_covers(struct ip_prefix outer, struct ip_prefix inner);
struct ip_prefix ip_prefix_masked(struct ip_prefix prefix);
struct ip ip_prefix_last(struct ip_prefix prefix); /* its highest address */

/* ::ffff:a.b.c.d is returned as version 6, as written; ip_unmapped() makes it 4.  Zones, spaces and
 * everything else are ERR_INVALID.  A prefix must be masked; "a.b.c.d" alone is one of all bits. */
MUST_CHECK enum err ip_parse(struct slice text, struct ip *ret);
MUST_CHECK enum err ip_port_parse(struct slice text, struct ip_port *ret);
MUST_CHECK enum err ip_prefix_parse(struct slice text, struct ip_prefix *ret);
struct ip ip_unmapped(struct ip ip);

void ip_text(struct ip ip, char ret[IP_TEXT_BYTES]); /* "" of IP_NONE */
void ip_port_text(struct ip_port p, char ret[IP_PORT_TEXT_BYTES]);
void ip_prefix_text(struct ip_prefix p, char ret[IP_PREFIX_TEXT_BYTES]);

#endif
