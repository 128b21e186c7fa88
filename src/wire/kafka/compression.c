/* Decompression writes into a `struct sink`: a buffer that grows step by step up to the caller's
 * limit.  One more byte than the limit ends in ERR_TOO_BIG, so what a header claims about its
 * content is never believed.
 *
 * Snappy as Java writes it ("xerial"), integers big-endian:
 *	82 'S' 'N' 'A' 'P' 'P' 'Y' 00 | version i32 = 1 | oldest reader i32 = 1
 *	{ size u32 | one plain snappy block }...
 * Everything else that uses snappy sends one plain block. */
#define ZLIB_CONST /* next_in points to const bytes */

#include "wire/kafka/compression.h"

#include <assert.h>

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "base/endian.h"

enum {
	SINK_STEP_BYTES = 64 << 10,
	GZIP_WINDOW_BITS = 15 + 16, /* the largest window; a gzip header, not a zlib one */
	GZIP_MEMORY_LEVEL = 8,
	SNAPPY_RATIO_MAX = 22,	  /* 3 bytes copy at most 64 */
	ZSTD_WINDOW_LOG_MAX = 27, /* what level 22 asks for; reserved, touched as output grows */
	XERIAL_HEADER_BYTES = 16,
};

static const uint8_t xerial_header[XERIAL_HEADER_BYTES] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
							    0,	  0,   0,   1,	 0,   0,   0,	1 };
enum { XERIAL_MAGIC_BYTES = 8 };

static const char *const names[COMPRESSION_COUNT] = {
	[COMPRESSION_NONE] = "none", [COMPRESSION_GZIP] = "gzip", [COMPRESSION_SNAPPY] = "snappy",
	[COMPRESSION_LZ4] = "lz4",   [COMPRESSION_ZSTD] = "zstd",
};

const char *compression_name(enum compression codec)
{
	return (unsigned)codec < COMPRESSION_COUNT ? names[codec] : "unknown";
}

/* --- decompress ------------------------------------------------------------------------------ */

struct sink {
	struct buf out;
	size_t size_max;
};

/* Room for the next step, one byte beyond the limit at most so that passing it shows. */
static uint8_t *sink_reserve(struct sink *sink, size_t *ret_room)
{
	size_t room = sink->size_max + 1 - sink->out.size;

	*ret_room = room < SINK_STEP_BYTES ? room : SINK_STEP_BYTES;
	return buf_reserve(&sink->out, *ret_room);
}

MUST_CHECK static enum err sink_wrote(struct sink *sink, size_t size)
{
	sink->out.size += size;
	return sink->out.size <= sink->size_max ? OK : ERR_TOO_BIG;
}

/* One step of a streaming codec: consume from *in, report what was written into `room` bytes at
 * `out`, and whether a frame just ended. */
struct codec_step {
	size_t consumed, produced;
	bool frame_ended;
};
typedef enum err step_function(void *codec, struct slice in, uint8_t *out, size_t room,
			       struct codec_step *ret);

/* Concatenated frames are one text, as every reader of gzip, lz4 and zstd has it. */
MUST_CHECK static enum err run_codec(struct sink *sink, struct slice in, step_function *step,
				     void *codec)
{
	bool frame_ended = false;

	while (in.size || !frame_ended) {
		struct codec_step done = { 0 };
		size_t room;
		uint8_t *out = sink_reserve(sink, &room);
		enum err err = step(codec, in, out, room, &done);
		if (err != OK)
			return err;
		assert(done.consumed <= in.size && done.produced <= room);
		if (done.consumed == 0 && done.produced == 0 && !done.frame_ended)
			return ERR_INVALID; /* cut off */
		err = sink_wrote(sink, done.produced);
		if (err != OK)
			return err;
		in = slice_part(in, done.consumed, in.size);
		frame_ended = done.frame_ended;
	}
	return OK;
}

static enum err gzip_step(void *codec, struct slice in, uint8_t *out, size_t room,
			  struct codec_step *ret)
{
	z_stream *z = codec;

	z->next_in = in.data;
	z->avail_in = (uInt)in.size;
	z->next_out = out;
	z->avail_out = (uInt)room;
	int code = inflate(z, Z_NO_FLUSH);
	if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
		return ERR_INVALID;
	ret->consumed = in.size - z->avail_in;
	ret->produced = room - z->avail_out;
	ret->frame_ended = code == Z_STREAM_END;
	if (ret->frame_ended && inflateReset(z) != Z_OK)
		return ERR_INVALID;
	return OK;
}

MUST_CHECK static enum err gzip_decompress(struct sink *sink, struct slice in)
{
	z_stream z = { 0 };

	if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
		return ERR_INVALID;
	enum err err = run_codec(sink, in, gzip_step, &z);
	inflateEnd(&z);
	return err;
}

static enum err lz4_step(void *codec, struct slice in, uint8_t *out, size_t room,
			 struct codec_step *ret)
{
	size_t consumed = in.size, produced = room;
	size_t hint = LZ4F_decompress(codec, out, &produced, in.data, &consumed, NULL);

	if (LZ4F_isError(hint))
		return ERR_INVALID;
	/* a frame ends in a step that moved: before the first byte of one, 0 means nothing */
	*ret = (struct codec_step) { consumed, produced, hint == 0 && consumed > 0 };
	return OK;
}

MUST_CHECK static enum err lz4_decompress(struct sink *sink, struct slice in)
{
	LZ4F_dctx *lz4;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)))
		return ERR_INVALID;
	enum err err = run_codec(sink, in, lz4_step, lz4);
	LZ4F_freeDecompressionContext(lz4);
	return err;
}

static enum err zstd_step(void *codec, struct slice in, uint8_t *out, size_t room,
			  struct codec_step *ret)
{
	ZSTD_inBuffer input = { in.data, in.size, 0 };
	ZSTD_outBuffer output = { out, room, 0 };
	size_t hint = ZSTD_decompressStream(codec, &output, &input);

	if (ZSTD_isError(hint))
		return ERR_INVALID;
	*ret = (struct codec_step) { input.pos, output.pos,
				     hint == 0 && (input.pos > 0 || output.pos > 0) };
	return OK;
}

MUST_CHECK static enum err zstd_decompress(struct sink *sink, struct slice in)
{
	ZSTD_DCtx *zstd = ZSTD_createDCtx();
	enum err err = ERR_INVALID;

	if (zstd &&
	    !ZSTD_isError(ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
		err = run_codec(sink, in, zstd_step, zstd);
	ZSTD_freeDCtx(zstd);
	return err;
}

MUST_CHECK static enum err snappy_decompress_block(struct sink *sink, struct slice block)
{
	const char *data = (const char *)block.data;
	size_t size;

	if (snappy_uncompressed_length(data, block.size, &size) != SNAPPY_OK)
		return ERR_INVALID;
	if (size > sink->size_max - sink->out.size)
		return ERR_TOO_BIG;
	if (size / SNAPPY_RATIO_MAX > block.size)
		return ERR_INVALID; /* a claim that no block of this size can keep */

	char *out = (char *)buf_reserve(&sink->out, size);
	if (snappy_uncompress(data, block.size, out, &size) != SNAPPY_OK)
		return ERR_INVALID;
	return sink_wrote(sink, size);
}

MUST_CHECK static enum err snappy_decompress(struct sink *sink, struct slice in)
{
	if (!slice_starts_with(in, (struct slice) { xerial_header, XERIAL_MAGIC_BYTES }))
		return snappy_decompress_block(sink, in);
	if (in.size < XERIAL_HEADER_BYTES)
		return ERR_INVALID;
	in = slice_part(in, XERIAL_HEADER_BYTES, in.size);
	while (in.size) {
		if (in.size < 4 || get_u32(in.data) > in.size - 4)
			return ERR_INVALID;
		struct slice block = slice_part(in, 4, get_u32(in.data));
		enum err err = snappy_decompress_block(sink, block);
		if (err != OK)
			return err;
		in = slice_part(in, 4 + block.size, in.size);
	}
	return OK;
}

MUST_CHECK static enum err decompress_into(struct sink *sink, enum compression codec,
					   struct slice in)
{
	switch (codec) {
	case COMPRESSION_GZIP:
		return gzip_decompress(sink, in);
	case COMPRESSION_SNAPPY:
		return snappy_decompress(sink, in);
	case COMPRESSION_LZ4:
		return lz4_decompress(sink, in);
	case COMPRESSION_ZSTD:
		return zstd_decompress(sink, in);
	case COMPRESSION_NONE:
	case COMPRESSION_COUNT:
		break;
	}
	return ERR_INVALID;
}

enum err compression_decompress(struct arena *a, enum compression codec, struct slice in,
				size_t size_max, struct slice *ret)
{
	assert(size_max <= RECORDS_BYTES_MAX);
	if (codec == COMPRESSION_NONE) {
		if (in.size > size_max)
			return ERR_TOO_BIG;
		*ret = in;
		return OK;
	}
	if (in.size == 0)
		return ERR_INVALID;
	if (in.size > RECORDS_BYTES_MAX)
		return ERR_TOO_BIG;

	struct sink sink = { .size_max = size_max };
	buf_init(&sink.out);
	enum err err = decompress_into(&sink, codec, in);
	if (err == OK)
		*ret = arena_copy(a, buf_slice(&sink.out));
	buf_done(&sink.out);
	return err;
}

/* --- compress: input and output are our own, so failure is a bug --------------------------------
 */

static void gzip_compress(struct buf *out, struct slice in)
{
	z_stream z = { 0 };
	int code = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW_BITS,
				GZIP_MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
	assert(code == Z_OK);

	size_t bound = deflateBound(&z, in.size);
	z.next_in = in.data;
	z.avail_in = (uInt)in.size;
	z.next_out = buf_reserve(out, bound);
	z.avail_out = (uInt)bound;
	code = deflate(&z, Z_FINISH);
	assert(code == Z_STREAM_END);
	out->size += bound - z.avail_out;
	deflateEnd(&z);
}

static void snappy_compress_block(struct buf *out, struct slice in)
{
	size_t size = snappy_max_compressed_length(in.size);
	char *start = (char *)buf_reserve(out, size);
	snappy_status status = snappy_compress((const char *)in.data, in.size, start, &size);

	assert(status == SNAPPY_OK);
	out->size += size;
}

static void lz4_compress(struct buf *out, struct slice in)
{
	size_t bound = LZ4F_compressFrameBound(in.size, NULL);
	uint8_t *start = buf_reserve(out, bound);
	size_t size = LZ4F_compressFrame(start, bound, in.data, in.size, NULL);

	assert(!LZ4F_isError(size));
	out->size += size;
}

static void zstd_compress(struct buf *out, struct slice in)
{
	size_t bound = ZSTD_compressBound(in.size);
	uint8_t *start = buf_reserve(out, bound);
	size_t size = ZSTD_compress(start, bound, in.data, in.size, ZSTD_CLEVEL_DEFAULT);

	assert(!ZSTD_isError(size));
	out->size += size;
}

void compression_compress(struct buf *out, enum compression codec, struct slice in)
{
	assert(in.size <= RECORDS_BYTES_MAX && (unsigned)codec < COMPRESSION_COUNT);
	switch (codec) {
	case COMPRESSION_NONE:
		buf_add_slice(out, in);
		return;
	case COMPRESSION_GZIP:
		gzip_compress(out, in);
		return;
	case COMPRESSION_SNAPPY:
		snappy_compress_block(out, in);
		return;
	case COMPRESSION_LZ4:
		lz4_compress(out, in);
		return;
	case COMPRESSION_ZSTD:
		zstd_compress(out, in);
		return;
	case COMPRESSION_COUNT:
		break;
	}
}

void compression_compress_xerial(struct buf *out, struct slice in, size_t block_bytes)
{
	assert(block_bytes > 0 && in.size <= RECORDS_BYTES_MAX);
	buf_add(out, xerial_header, sizeof(xerial_header));
	while (in.size) {
		size_t size_at = out->size;
		buf_add_u32(out, 0);
		snappy_compress_block(out, slice_part(in, 0, block_bytes));
		put_u32(out->data + size_at, (uint32_t)(out->size - size_at - 4));
		in = slice_part(in, block_bytes, in.size);
	}
}
