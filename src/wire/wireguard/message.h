/* The four messages of WireGuard (its paper, section 5.4), and the macs of the first two.  All
 * integers are little-endian; three zero bytes follow the type.
 *
 *     initiation  148  type 4 | sender 4 | ephemeral 32 | static 48 | timestamp 28 | mac1 | mac2
 *     response     92  type 4 | sender 4 | receiver 4 | ephemeral 32 | nothing 16 | mac1 | mac2
 *     cookie       64  type 4 | receiver 4 | nonce 24 | cookie 32
 *     transport   32+  type 4 | receiver 4 | counter 8 | packet, padded | tag 16
 */
#ifndef WIRE_WIREGUARD_MESSAGE_H
#define WIRE_WIREGUARD_MESSAGE_H

#include "base/slice.h"

enum {
	WIREGUARD_KEY_BYTES = 32,
	WIREGUARD_TAG_BYTES = 16,
	WIREGUARD_MAC_BYTES = 16,
	WIREGUARD_COOKIE_NONCE_BYTES = 24,
	WIREGUARD_TIMESTAMP_BYTES = 12,
	WIREGUARD_INITIATION_BYTES = 148,
	WIREGUARD_RESPONSE_BYTES = 92,
	WIREGUARD_COOKIE_BYTES = 64,
	WIREGUARD_TRANSPORT_HEAD_BYTES = 16,
	WIREGUARD_TRANSPORT_BYTES_MIN = 32, /* of a keepalive */
};

enum wireguard_kind {
	WIREGUARD_NONE, /* no message of WireGuard's */
	WIREGUARD_INITIATION,
	WIREGUARD_RESPONSE,
	WIREGUARD_COOKIE,
	WIREGUARD_TRANSPORT,
};

/* By type and size: what follows here may be asked of it without looking at the size again. */
enum wireguard_kind wireguard_kind(struct slice message);

static inline uint32_t wireguard_get_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t wireguard_get_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The sender of an initiation or response; the receiver of the other three kinds. */
uint32_t wireguard_sender(const uint8_t *message);
uint32_t wireguard_receiver(enum wireguard_kind kind, const uint8_t *message);

static inline uint64_t wireguard_counter(const uint8_t *transport)
{
	return wireguard_get_u64(transport + 8);
}

void wireguard_put_transport(uint8_t ret[WIREGUARD_TRANSPORT_HEAD_BYTES], uint32_t receiver,
			     uint64_t counter);

/* TAI64N, of which only the order matters; in steps of 16.8 ms, so that it tells little of what a
 * machine does. */
void wireguard_timestamp(int64_t wall_ms, uint8_t ret[WIREGUARD_TIMESTAMP_BYTES]);

/* --- macs and cookies ------------------------------------------------------------------------ */
/* The keys of what is said to the owner of `public`: of mac1, and of the cookies it sends. */
void wireguard_mac_key(const uint8_t public[WIREGUARD_KEY_BYTES], uint8_t ret[WIREGUARD_KEY_BYTES]);
void wireguard_cookie_key(const uint8_t public[WIREGUARD_KEY_BYTES],
			  uint8_t ret[WIREGUARD_KEY_BYTES]);

/* Write both macs at the end of an initiation or response; without a cookie (NULL) mac2 is zero.
 * ret_mac1 is what an answer with a cookie must know. */
void wireguard_put_macs(uint8_t *message, size_t size, const uint8_t mac_key[WIREGUARD_KEY_BYTES],
			const uint8_t *cookie, uint8_t ret_mac1[WIREGUARD_MAC_BYTES]);
bool wireguard_has_mac1(struct slice message, const uint8_t mac_key[WIREGUARD_KEY_BYTES]);
bool wireguard_has_mac2(struct slice message, const uint8_t cookie[WIREGUARD_MAC_BYTES]);

/* A cookie for whoever sent `message`, an initiation or response with a good mac1. */
void wireguard_put_cookie(uint8_t ret[WIREGUARD_COOKIE_BYTES], struct slice message,
			  const uint8_t cookie_key[WIREGUARD_KEY_BYTES],
			  const uint8_t nonce[WIREGUARD_COOKIE_NONCE_BYTES],
			  const uint8_t cookie[WIREGUARD_MAC_BYTES]);
/* False: it does not answer the message with that mac1. */
bool wireguard_open_cookie(const uint8_t message[WIREGUARD_COOKIE_BYTES],
			   const uint8_t cookie_key[WIREGUARD_KEY_BYTES],
			   const uint8_t mac1[WIREGUARD_MAC_BYTES],
			   uint8_t ret[WIREGUARD_MAC_BYTES]);

#endif
