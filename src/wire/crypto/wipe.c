#include "wire/crypto/wipe.h"

#include <sodium.h>

void crypto_wipe(void *p, size_t size)
{
	sodium_memzero(p, size);
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
	return sodium_memcmp(a, b, size) == 0;
}
