/* The four codecs of Kafka: gzip, snappy (plain blocks and the framing of xerial, which Java uses),
 * lz4 frames, zstd.  Other people's formats, so their libraries do the work; this file adds the
 * limits. */
#ifndef WIRE_KAFKA_COMPRESSION_H
#define WIRE_KAFKA_COMPRESSION_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/* The numbers are those of a batch's attributes. */
enum compression {
	COMPRESSION_NONE = 0,
	COMPRESSION_GZIP = 1,
	COMPRESSION_SNAPPY = 2,
	COMPRESSION_LZ4 = 3,
	COMPRESSION_ZSTD = 4,
	COMPRESSION_COUNT
};

enum { RECORDS_BYTES_MAX = 128 << 20 }; /* of one batch, decompressed */

/* "none", "gzip", ... as in compression.type. */
const char *compression_name(enum compression codec);

/* Memory grows with the output, so that a bomb costs a small multiple of `size_max` (at most
 * RECORDS_BYTES_MAX) before it is refused as ERR_TOO_BIG.  ERR_INVALID: not in this codec's format
 * or cut off.  COMPRESSION_NONE gives back `in` itself. */
MUST_CHECK enum err compression_decompress(struct arena *a, enum compression codec, struct slice in,
					   size_t size_max, struct slice *ret);

/* Append `in` (at most RECORDS_BYTES_MAX) compressed; snappy as plain block.  For tests and tools:
 * a broker keeps what the producer sent. */
void compression_compress(struct buf *out, enum compression codec, struct slice in);

/* Snappy the way Java does it, in blocks of `block_bytes`. */
void compression_compress_xerial(struct buf *out, struct slice in, size_t block_bytes);

#endif
