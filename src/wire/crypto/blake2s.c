#include "wire/crypto/blake2s.h"

#include <assert.h>

#include "base/endian.h"
#include "wire/crypto/wipe.h"

enum { ROUNDS = 10 };

/* RFC 7693, section 2.6 and 2.7. */
static const uint32_t initial[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint8_t order[ROUNDS][16] = {
	{ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	{ 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
	{ 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
	{ 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
	{ 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
	{ 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
	{ 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
	{ 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
	{ 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
	{ 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static uint32_t rotate(uint32_t value, unsigned bits)
{
	return value >> bits | value << (32 - bits);
}

static void mix(uint32_t v[16], unsigned a, unsigned b, unsigned c, unsigned d, uint32_t x,
		uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = rotate(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotate(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = rotate(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = rotate(v[b] ^ v[c], 7);
}

static uint32_t word(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static void compress(struct blake2s *h, const uint8_t *block, bool is_last)
{
	uint32_t v[16], m[16];

	for (unsigned i = 0; i < 16; i++)
		m[i] = word(block + 4 * i);
	for (unsigned i = 0; i < 8; i++) {
		v[i] = h->state[i];
		v[i + 8] = initial[i];
	}
	v[12] ^= (uint32_t)h->count;
	v[13] ^= (uint32_t)(h->count >> 32);
	if (is_last)
		v[14] = ~v[14];
	for (unsigned round = 0; round < ROUNDS; round++) {
		const uint8_t *o = order[round];

		mix(v, 0, 4, 8, 12, m[o[0]], m[o[1]]);
		mix(v, 1, 5, 9, 13, m[o[2]], m[o[3]]);
		mix(v, 2, 6, 10, 14, m[o[4]], m[o[5]]);
		mix(v, 3, 7, 11, 15, m[o[6]], m[o[7]]);
		mix(v, 0, 5, 10, 15, m[o[8]], m[o[9]]);
		mix(v, 1, 6, 11, 12, m[o[10]], m[o[11]]);
		mix(v, 2, 7, 8, 13, m[o[12]], m[o[13]]);
		mix(v, 3, 4, 9, 14, m[o[14]], m[o[15]]);
	}
	for (unsigned i = 0; i < 8; i++)
		h->state[i] ^= v[i] ^ v[i + 8];
}

void blake2s_init(struct blake2s *h, size_t hash_bytes, struct slice key)
{
	assert(hash_bytes > 0 && hash_bytes <= BLAKE2S_BYTES && key.size <= BLAKE2S_BYTES);
	*h = (struct blake2s) { .hash_bytes = hash_bytes };
	memcpy(h->state, initial, sizeof(initial));
	h->state[0] ^= 0x01010000 ^ (uint32_t)key.size << 8 ^ (uint32_t)hash_bytes;
	if (key.size == 0)
		return;
	memcpy(h->block, key.data, key.size);
	h->block_size = sizeof(h->block);
}

void blake2s_update(struct blake2s *h, struct slice bytes)
{
	while (bytes.size > 0) {
		if (h->block_size == sizeof(h->block)) {
			h->count += sizeof(h->block);
			compress(h, h->block, false);
			h->block_size = 0;
		}
		size_t size = sizeof(h->block) - h->block_size;
		if (size > bytes.size)
			size = bytes.size;
		memcpy(h->block + h->block_size, bytes.data, size);
		h->block_size += size;
		bytes.data += size;
		bytes.size -= size;
	}
}

void blake2s_final(struct blake2s *h, uint8_t *ret)
{
	h->count += h->block_size;
	memset(h->block + h->block_size, 0, sizeof(h->block) - h->block_size);
	compress(h, h->block, true);
	for (size_t i = 0; i < h->hash_bytes; i++)
		ret[i] = (uint8_t)(h->state[i / 4] >> i % 4 * 8);
	crypto_wipe(h, sizeof(*h));
}

void blake2s_hash(struct slice first, struct slice second, uint8_t ret[BLAKE2S_BYTES])
{
	struct blake2s h;

	blake2s_init(&h, BLAKE2S_BYTES, SLICE(""));
	blake2s_update(&h, first);
	blake2s_update(&h, second);
	blake2s_final(&h, ret);
}

void blake2s_mac(struct slice key, struct slice bytes, uint8_t ret[BLAKE2S_MAC_BYTES])
{
	struct blake2s h;

	blake2s_init(&h, BLAKE2S_MAC_BYTES, key);
	blake2s_update(&h, bytes);
	blake2s_final(&h, ret);
}

static void hmac(struct slice key, struct slice first, struct slice second, uint8_t *ret)
{
	uint8_t pad[BLAKE2S_BLOCK_BYTES] = { 0 }, inner[BLAKE2S_BYTES];
	struct blake2s h;

	if (key.size > sizeof(pad))
		blake2s_hash(key, SLICE(""), pad);
	else if (key.size > 0)
		memcpy(pad, key.data, key.size);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36;
	blake2s_init(&h, BLAKE2S_BYTES, SLICE(""));
	blake2s_update(&h, (struct slice) { pad, sizeof(pad) });
	blake2s_update(&h, first);
	blake2s_update(&h, second);
	blake2s_final(&h, inner);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	blake2s_init(&h, BLAKE2S_BYTES, SLICE(""));
	blake2s_update(&h, (struct slice) { pad, sizeof(pad) });
	blake2s_update(&h, (struct slice) { inner, sizeof(inner) });
	blake2s_final(&h, ret);
	crypto_wipe(pad, sizeof(pad));
	crypto_wipe(inner, sizeof(inner));
}

void blake2s_hmac(struct slice key, struct slice bytes, uint8_t ret[BLAKE2S_BYTES])
{
	hmac(key, bytes, SLICE(""), ret);
}

void blake2s_hkdf(const uint8_t salt[BLAKE2S_BYTES], struct slice input, uint8_t *ret1,
		  uint8_t *ret2, uint8_t *ret3)
{
	uint8_t secret[BLAKE2S_BYTES], last[BLAKE2S_BYTES];
	uint8_t *const rets[] = { ret1, ret2, ret3 };
	struct slice key = { secret, sizeof(secret) }, before = SLICE("");

	assert(ret1 && (ret2 || !ret3));
	hmac((struct slice) { salt, BLAKE2S_BYTES }, input, SLICE(""), secret);
	for (uint8_t i = 0; i < 3 && rets[i]; i++) {
		uint8_t number = (uint8_t)(i + 1);

		hmac(key, before, (struct slice) { &number, 1 }, last);
		before = (struct slice) { last, sizeof(last) };
		memcpy(rets[i], last, sizeof(last));
	}
	crypto_wipe(secret, sizeof(secret));
	crypto_wipe(last, sizeof(last));
}
