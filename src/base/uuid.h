/* A 128-bit identity; all zero means "none".  uuid_text() in base/text.h prints it. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct uuid {
	uint8_t bytes[16];
};

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static inline bool uuid_is_zero(struct uuid u)
{
	return uuid_equal(u, (struct uuid) { { 0 } });
}

#endif
