/* One stream of the crc32 instruction waits 3 cycles per 8 bytes; three independent streams keep
 * it busy.  Their results are joined by multiplying with x^(8 n) mod P, done with small tables of
 * the linear map "append n zero bytes". */
#include "base/crc32c.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

enum { STRIPE_BYTES = 1024 };

static uint32_t byte_table[256];
static uint32_t shift_table[4][256]; /* append STRIPE_BYTES zero bytes */
static bool has_hardware;

static uint32_t add_bytes(uint32_t crc, const uint8_t *p, size_t size)
{
	while (size--)
		crc = (crc >> 8) ^ byte_table[(crc ^ *p++) & 0xff];
	return crc;
}

__attribute__((constructor)) static void crc32c_prepare(void)
{
	static const uint8_t zeros[STRIPE_BYTES];

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0);
		byte_table[i] = crc;
	}
	/* the map is linear: 32 images of single bits give all 4 x 256 entries */
	uint32_t image[32];
	for (int bit = 0; bit < 32; bit++)
		image[bit] = add_bytes(1u << bit, zeros, STRIPE_BYTES);
	for (int lane = 0; lane < 4; lane++)
		for (uint32_t i = 0; i < 256; i++)
			for (int bit = 0; bit < 8; bit++)
				if (i & (1u << bit))
					shift_table[lane][i] ^= image[lane * 8 + bit];
#if defined(__x86_64__)
	has_hardware = __builtin_cpu_supports("sse4.2");
#endif
}

#if defined(__x86_64__)
static inline uint64_t load_u64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t append_zeros(uint32_t crc)
{
	return shift_table[0][crc & 0xff] ^ shift_table[1][(crc >> 8) & 0xff] ^
	       shift_table[2][(crc >> 16) & 0xff] ^ shift_table[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t add_hardware(uint32_t start, const uint8_t *p,
							       size_t size)
{
	uint64_t crc = start;

	while (size >= 3 * STRIPE_BYTES) {
		uint64_t second = 0, third = 0;
		for (size_t i = 0; i < STRIPE_BYTES; i += 8) {
			crc = _mm_crc32_u64(crc, load_u64(p + i));
			second = _mm_crc32_u64(second, load_u64(p + STRIPE_BYTES + i));
			third = _mm_crc32_u64(third, load_u64(p + 2 * STRIPE_BYTES + i));
		}
		crc = append_zeros((uint32_t)crc) ^ (uint32_t)second;
		crc = append_zeros((uint32_t)crc) ^ (uint32_t)third;
		p += 3 * STRIPE_BYTES;
		size -= 3 * STRIPE_BYTES;
	}
	for (; size >= 8; p += 8, size -= 8)
		crc = _mm_crc32_u64(crc, load_u64(p));
	while (size--)
		crc = _mm_crc32_u8((uint32_t)crc, *p++);
	return (uint32_t)crc;
}
#endif

uint32_t crc32c_add_portable(uint32_t crc, struct slice s)
{
	return ~add_bytes(~crc, s.data, s.size);
}

uint32_t crc32c_add(uint32_t crc, struct slice s)
{
#if defined(__x86_64__)
	if (has_hardware)
		return ~add_hardware(~crc, s.data, s.size);
#endif
	return crc32c_add_portable(crc, s);
}

uint32_t crc32c(struct slice s)
{
	return crc32c_add(0, s);
}
