#include "wire/peer/frame.h"

#include <assert.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "peer_messages.h"

enum { LENGTH_BYTES = 4, CRC_BYTES = 4 };

_Static_assert(PEER_FRAME_EXTRA_BYTES == PEER_FRAME_FRONT_BYTES + CRC_BYTES, "see the drawing");
_Static_assert(PEER_BODY_BYTES_MAX ==
		       PEER_FRAME_BYTES_MAX - (PEER_FRAME_EXTRA_BYTES - LENGTH_BYTES),
	       "see the drawing");

enum err frame_decode(struct slice *in, struct frame *ret)
{
	if (in->size < LENGTH_BYTES)
		return ERR_NOT_FOUND;

	size_t length = get_u32(in->data);
	if (length > PEER_FRAME_BYTES_MAX)
		return ERR_TOO_BIG;
	if (length < PEER_FRAME_EXTRA_BYTES - LENGTH_BYTES)
		return ERR_CORRUPT;
	if (in->size - LENGTH_BYTES < length)
		return ERR_NOT_FOUND;

	struct slice checked = slice_part(*in, LENGTH_BYTES, length - CRC_BYTES);
	if (crc32c(checked) != get_u32(checked.data + checked.size))
		return ERR_CORRUPT;
	*ret = (struct frame) {
		.message = get_u16(checked.data),
		.version = get_u16(checked.data + 2),
		.correlation_id = get_u32(checked.data + 4),
		.body = slice_part(checked, PEER_FRAME_FRONT_BYTES - LENGTH_BYTES, checked.size),
	};
	*in = slice_part(*in, LENGTH_BYTES + length, in->size);
	return OK;
}

enum err frame_decode_body(struct arena *a, const struct frame *f, const struct schema *s,
			   void *ret)
{
	if (f->message != s->key)
		return ERR_INVALID;
	if (!schema_has_version(s, f->version))
		return ERR_UNSUPPORTED;
	return schema_decode_all(a, s, f->version, f->body, ret);
}

size_t frame_begin(struct buf *out, uint16_t message, int version, uint32_t correlation_id)
{
	size_t start = out->size;

	assert(version >= 0 && version <= UINT16_MAX);
	buf_add_u32(out, 0);
	buf_add_u16(out, message);
	buf_add_u16(out, (uint16_t)version);
	buf_add_u32(out, correlation_id);
	return start;
}

enum err frame_end(struct buf *out, size_t start)
{
	assert(out->size >= start + PEER_FRAME_FRONT_BYTES);

	size_t length = out->size - start - LENGTH_BYTES + CRC_BYTES;
	if (length > PEER_FRAME_BYTES_MAX) {
		out->size = start;
		return ERR_TOO_BIG;
	}
	struct slice checked = slice_part(buf_slice(out), start + LENGTH_BYTES, out->size);
	buf_add_u32(out, crc32c(checked));
	put_u32(out->data + start, (uint32_t)length);
	return OK;
}

enum err frame_encode(struct buf *out, const struct schema *s, int version, uint32_t correlation_id,
		      const void *value)
{
	size_t start = frame_begin(out, (uint16_t)s->key, version, correlation_id);

	schema_encode(s, version, value, out);
	return frame_end(out, start);
}

const struct schema *peer_schema_find(uint16_t message)
{
	for (size_t i = 0; i < peer_schemas_count; i++) {
		if (peer_schemas[i]->key == message)
			return peer_schemas[i];
	}
	return NULL;
}

enum err peer_error_decode(int16_t error)
{
	return error >= 0 && error < ERR_COUNT ? (enum err)error : ERR_UNKNOWN;
}
