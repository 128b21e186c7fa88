/* The frames of the long poll:
 *
 *	+-----------------+------------------------------------------------+
 *	| size, u32       | zstd frames, one after the other: together the  |
 *	| little-endian   | JSON of one map response                        |
 *	+-----------------+------------------------------------------------+
 *
 * Several zstd frames instead of one let a server compress what many clients get only once. */
#include <assert.h>
#include <zstd.h>

#include "wire/control/map_response.h"

enum { FRAME_HEADER_BYTES = 4, FRAME_LEVEL = 1 };

void control_chunk_encode(struct buf *b, struct slice json)
{
	size_t room = ZSTD_compressBound(json.size);
	size_t size = ZSTD_compress(buf_reserve(b, room), room, json.data, json.size, FRAME_LEVEL);

	assert(!ZSTD_isError(size)); /* the room is enough */
	b->size += size;
}

void control_frame_begin(struct buf *b)
{
	(void)buf_add_zero(b, FRAME_HEADER_BYTES);
}

void control_frame_end(struct buf *b, size_t start)
{
	size_t size = b->size - start - FRAME_HEADER_BYTES;

	assert(size <= CONTROL_FRAME_BYTES_MAX);
	for (int i = 0; i < FRAME_HEADER_BYTES; i++)
		b->data[start + (size_t)i] = (uint8_t)(size >> (8 * i));
}

void control_frame_encode(struct buf *b, struct slice json)
{
	size_t start = b->size;

	control_frame_begin(b);
	control_chunk_encode(b, json);
	control_frame_end(b, start);
}

/* How many bytes the zstd frames say they hold together. */
static enum err content_size(struct slice frames, size_t *ret)
{
	size_t total = 0;

	while (frames.size) {
		size_t size = ZSTD_findFrameCompressedSize(frames.data, frames.size);
		unsigned long long content = ZSTD_getFrameContentSize(frames.data, frames.size);

		if (ZSTD_isError(size) || size == 0 || content == ZSTD_CONTENTSIZE_ERROR ||
		    content == ZSTD_CONTENTSIZE_UNKNOWN)
			return ERR_INVALID;
		if (content > CONTROL_RESPONSE_BYTES_MAX - total)
			return ERR_TOO_BIG;
		total += (size_t)content;
		frames = slice_part(frames, size, frames.size);
	}
	*ret = total;
	return OK;
}

enum err control_frame_decode(struct arena *a, struct slice *frames, struct slice *json)
{
	size_t size = 0, content;

	if (frames->size < FRAME_HEADER_BYTES)
		return ERR_BUSY;
	for (int i = 0; i < FRAME_HEADER_BYTES; i++)
		size |= (size_t)frames->data[i] << (8 * i);
	if (size > CONTROL_FRAME_BYTES_MAX)
		return ERR_TOO_BIG;
	if (frames->size - FRAME_HEADER_BYTES < size)
		return ERR_BUSY;
	struct slice body = slice_part(*frames, FRAME_HEADER_BYTES, size);
	enum err err = content_size(body, &content);
	if (err)
		return err;
	uint8_t *text = arena_take(a, content + 1);
	size_t got = ZSTD_decompress(text, content, body.data, body.size);
	if (ZSTD_isError(got) || got != content)
		return ERR_INVALID;
	*json = (struct slice) { text, content };
	*frames = slice_part(*frames, FRAME_HEADER_BYTES + size, frames->size);
	return OK;
}
