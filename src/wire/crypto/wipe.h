/* Secrets in memory: overwritten so that no compiler takes it away, and compared in a time that
 * does not tell where they differ. */
#ifndef WIRE_CRYPTO_WIPE_H
#define WIRE_CRYPTO_WIPE_H

#include <stdbool.h>
#include <stddef.h>

void crypto_wipe(void *p, size_t size);
bool crypto_equal(const void *a, const void *b, size_t size);

#endif
