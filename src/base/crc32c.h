/* CRC-32C (Castagnoli, reflected 0x82f63b78), the checksum of Kafka batches and of our formats. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/slice.h"

uint32_t crc32c(struct slice s);

/* Continue: crc32c_add(crc32c(a), b) is the checksum of a followed by b; start from 0. */
uint32_t crc32c_add(uint32_t crc, struct slice s);

/* The table version, the oracle of the hardware one. */
uint32_t crc32c_add_portable(uint32_t crc, struct slice s);

#endif
