#include "wire/wireguard/message.h"

#include <assert.h>

#include "base/endian.h"
#include "wire/crypto/aead.h"
#include "wire/crypto/blake2s.h"
#include "wire/crypto/wipe.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "integers are copied as they stand");

enum { MACS_BYTES = 2 * WIREGUARD_MAC_BYTES, COOKIE_NONCE = 8, COOKIE_SEALED = 32 };

enum wireguard_kind wireguard_kind(struct slice message)
{
	if (message.size < 4)
		return WIREGUARD_NONE;
	switch (wireguard_get_u32(message.data)) {
	case WIREGUARD_INITIATION:
		return message.size == WIREGUARD_INITIATION_BYTES ? WIREGUARD_INITIATION
								  : WIREGUARD_NONE;
	case WIREGUARD_RESPONSE:
		return message.size == WIREGUARD_RESPONSE_BYTES ? WIREGUARD_RESPONSE
								: WIREGUARD_NONE;
	case WIREGUARD_COOKIE:
		return message.size == WIREGUARD_COOKIE_BYTES ? WIREGUARD_COOKIE : WIREGUARD_NONE;
	case WIREGUARD_TRANSPORT:
		return message.size >= WIREGUARD_TRANSPORT_BYTES_MIN ? WIREGUARD_TRANSPORT
								     : WIREGUARD_NONE;
	default:
		return WIREGUARD_NONE;
	}
}

uint32_t wireguard_sender(const uint8_t *message)
{
	return wireguard_get_u32(message + 4);
}

uint32_t wireguard_receiver(enum wireguard_kind kind, const uint8_t *message)
{
	assert(kind != WIREGUARD_NONE && kind != WIREGUARD_INITIATION);
	return wireguard_get_u32(message + (kind == WIREGUARD_RESPONSE ? 8 : 4));
}

void wireguard_put_transport(uint8_t ret[WIREGUARD_TRANSPORT_HEAD_BYTES], uint32_t receiver,
			     uint64_t counter)
{
	uint32_t kind = WIREGUARD_TRANSPORT;

	memcpy(ret, &kind, 4);
	memcpy(ret + 4, &receiver, 4);
	memcpy(ret + 8, &counter, 8);
}

/* TAI64 labels count from 2^62, and TAI was 10 s ahead when Unix time began. */
void wireguard_timestamp(int64_t wall_ms, uint8_t ret[WIREGUARD_TIMESTAMP_BYTES])
{
	uint64_t ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
	uint32_t nanoseconds = (uint32_t)(ms % 1000) * 1000000;

	put_u64(ret, 0x400000000000000au + ms / 1000);
	put_u32(ret + 8, nanoseconds & 0xff000000u);
}

/* --- macs and cookies ------------------------------------------------------------------------ */
static struct slice key_slice(const uint8_t *key)
{
	return (struct slice) { key, WIREGUARD_KEY_BYTES };
}

void wireguard_mac_key(const uint8_t public[WIREGUARD_KEY_BYTES], uint8_t ret[WIREGUARD_KEY_BYTES])
{
	blake2s_hash(SLICE("mac1----"), key_slice(public), ret);
}

void wireguard_cookie_key(const uint8_t public[WIREGUARD_KEY_BYTES],
			  uint8_t ret[WIREGUARD_KEY_BYTES])
{
	blake2s_hash(SLICE("cookie--"), key_slice(public), ret);
}

void wireguard_put_macs(uint8_t *message, size_t size, const uint8_t mac_key[WIREGUARD_KEY_BYTES],
			const uint8_t *cookie, uint8_t ret_mac1[WIREGUARD_MAC_BYTES])
{
	uint8_t *mac1 = message + size - MACS_BYTES, *mac2 = mac1 + WIREGUARD_MAC_BYTES;

	assert(size > MACS_BYTES);
	blake2s_mac(key_slice(mac_key), (struct slice) { message, size - MACS_BYTES }, mac1);
	memcpy(ret_mac1, mac1, WIREGUARD_MAC_BYTES);
	if (cookie)
		blake2s_mac((struct slice) { cookie, WIREGUARD_MAC_BYTES },
			    (struct slice) { message, size - WIREGUARD_MAC_BYTES }, mac2);
	else
		memset(mac2, 0, WIREGUARD_MAC_BYTES);
}

/* Is the mac that ends `from_end` bytes before the end the one of all before it? */
static bool has_mac(struct slice message, size_t from_end, struct slice key)
{
	uint8_t wanted[WIREGUARD_MAC_BYTES];
	size_t before = message.size - from_end - WIREGUARD_MAC_BYTES;

	assert(message.size > MACS_BYTES);
	blake2s_mac(key, slice_part(message, 0, before), wanted);
	return crypto_equal(wanted, message.data + before, sizeof(wanted));
}

bool wireguard_has_mac1(struct slice message, const uint8_t mac_key[WIREGUARD_KEY_BYTES])
{
	return has_mac(message, WIREGUARD_MAC_BYTES, key_slice(mac_key));
}

bool wireguard_has_mac2(struct slice message, const uint8_t cookie[WIREGUARD_MAC_BYTES])
{
	return has_mac(message, 0, (struct slice) { cookie, WIREGUARD_MAC_BYTES });
}

void wireguard_put_cookie(uint8_t ret[WIREGUARD_COOKIE_BYTES], struct slice message,
			  const uint8_t cookie_key[WIREGUARD_KEY_BYTES],
			  const uint8_t nonce[WIREGUARD_COOKIE_NONCE_BYTES],
			  const uint8_t cookie[WIREGUARD_MAC_BYTES])
{
	struct slice mac1 = slice_part(message, message.size - MACS_BYTES, WIREGUARD_MAC_BYTES);
	uint32_t kind = WIREGUARD_COOKIE, receiver = wireguard_sender(message.data);

	memcpy(ret, &kind, 4);
	memcpy(ret + 4, &receiver, 4);
	memcpy(ret + COOKIE_NONCE, nonce, WIREGUARD_COOKIE_NONCE_BYTES);
	xaead_seal(cookie_key, nonce, mac1, (struct slice) { cookie, WIREGUARD_MAC_BYTES },
		   ret + COOKIE_SEALED);
}

bool wireguard_open_cookie(const uint8_t message[WIREGUARD_COOKIE_BYTES],
			   const uint8_t cookie_key[WIREGUARD_KEY_BYTES],
			   const uint8_t mac1[WIREGUARD_MAC_BYTES],
			   uint8_t ret[WIREGUARD_MAC_BYTES])
{
	struct slice sealed = { message + COOKIE_SEALED,
				WIREGUARD_MAC_BYTES + WIREGUARD_TAG_BYTES };
	uint8_t cookie[WIREGUARD_MAC_BYTES];

	if (!xaead_open(cookie_key, message + COOKIE_NONCE,
			(struct slice) { mac1, WIREGUARD_MAC_BYTES }, sealed, cookie))
		return false;
	memcpy(ret, cookie, sizeof(cookie));
	return true;
}
