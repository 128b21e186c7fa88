/* Frames between processes and nodes.
 *
 *   +----------+-----------+-----------+------------------+--------+----------+
 *   | length   | message   | version   | correlation id   | body   | CRC-32C  |
 *   | u32      | u16       | u16       | u32              |        | u32      |
 *   +----------+-----------+-----------+------------------+--------+----------+
 *              |<--------------- checked by the CRC-32C ---------->|
 *              |<------------------- counted by the length ------------------>|
 *
 * Integers are big-endian; the body is a message of peer.schema.  doc/formats/peer.md has the
 * messages and the conversation. */
#ifndef WIRE_PEER_FRAME_H
#define WIRE_PEER_FRAME_H

#include "wire/kafka/schema.h"

enum {
	PEER_FRAME_BYTES_MAX = 16 << 20, /* what the length may say */
	PEER_FRAME_FRONT_BYTES = 12,	 /* up to the body */
	PEER_FRAME_EXTRA_BYTES = 16,	 /* a frame without its body */
	PEER_BODY_BYTES_MAX = PEER_FRAME_BYTES_MAX - 12,
	PEER_CORRELATION_PUSH = 0, /* of what nobody asked for */
};

struct frame {
	uint16_t message; /* enum peer_message, or one we do not know */
	uint16_t version;
	uint32_t correlation_id;
	struct slice body; /* points into the input */
};

/* Take one frame from the front of a byte stream.
 * ERR_NOT_FOUND: the rest of it has not arrived; give more bytes, `in` is untouched.
 * ERR_TOO_BIG, ERR_CORRUPT: this stream can no longer be understood; close it. */
MUST_CHECK enum err frame_decode(struct slice *in, struct frame *ret);

/* The body as a message of `s`.  ERR_INVALID: it is not one, or has bytes left over, or the frame
 * carries another message.  ERR_UNSUPPORTED: a version we do not have.  Slices point into the
 * input of frame_decode(). */
MUST_CHECK enum err frame_decode_body(struct arena *a, const struct frame *f,
				      const struct schema *s, void *ret);

/* Append a frame with this message as its body.  ERR_TOO_BIG: over the limit, nothing appended. */
MUST_CHECK enum err frame_encode(struct buf *out, const struct schema *s, int version,
				 uint32_t correlation_id, const void *value);

/* The same in pieces: frame_begin(), append the body, frame_end() with what frame_begin() gave. */
size_t frame_begin(struct buf *out, uint16_t message, int version, uint32_t correlation_id);
MUST_CHECK enum err frame_end(struct buf *out, size_t start);

/* The schema of a message number, or NULL. */
const struct schema *peer_schema_find(uint16_t message);

/* The `error` of a message as a word.  One that only a newer release knows becomes ERR_UNKNOWN:
 * something failed, and no more is known. */
enum err peer_error_decode(int16_t error);

#endif
