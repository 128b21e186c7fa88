#include "buckets/s3_parts.h"

#include <assert.h>
#include <inttypes.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"

enum { CRC_BYTES = 4 };

static size_t size_of(const struct bucket_op *op)
{
	size_t size = 0;

	for (size_t i = 0; i < op->piece_count; i++)
		size += op->pieces[i].size;
	return size;
}

struct s3_parts *s3_parts_new(const struct bucket_op *op, const struct s3_config *c)
{
	size_t size = size_of(op), part_size = op->part_bytes ? op->part_bytes : c->part_bytes;
	struct s3_parts *p;

	if (op->verb != BUCKET_PUT || (size <= c->whole_bytes_max && !op->part_bytes) || size == 0)
		return NULL;
	if ((size + part_size - 1) / part_size > S3_PARTS_MAX)
		part_size = (size + S3_PARTS_MAX - 1) / S3_PARTS_MAX;
	p = NEW(struct s3_parts);
	p->size = size;
	p->part_size = part_size;
	p->count = (size + part_size - 1) / part_size;
	p->pieces = memory_take_array(op->piece_count, sizeof(*p->pieces));
	return p;
}

void s3_parts_free(struct s3_parts *p)
{
	if (p)
		memory_free(p->pieces);
	memory_free(p);
}

void s3_parts_restart(struct s3_parts *p)
{
	p->done = 0;
	p->upload_id[0] = '\0';
}

/* The pieces between two places of the whole body. */
static size_t cut(const struct bucket_op *op, size_t from, size_t size, struct slice *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < op->piece_count && size > 0; i++) {
		struct slice piece = op->pieces[i];

		if (from >= piece.size) {
			from -= piece.size;
			continue;
		}
		ret[count] = slice_part(piece, from, size);
		size -= ret[count++].size;
		from = 0;
	}
	return count;
}

static size_t part_bytes(const struct s3_parts *p)
{
	size_t left = p->size - p->done * p->part_size;

	return left < p->part_size ? left : p->part_size;
}

void s3_parts_hash(struct s3_op *o)
{
	struct s3_parts *p = o->parts;
	uint32_t crc = 0;

	if (p->done == 0)
		p->crc = 0;
	p->piece_count = cut(o->op, p->done * p->part_size, part_bytes(p), p->pieces);
	s3_sha256(o->body_sha256, p->pieces, p->piece_count);
	for (size_t i = 0; i < p->piece_count; i++) {
		crc = crc32c_add(crc, p->pieces[i]);
		p->crc = crc32c_add(p->crc, p->pieces[i]);
	}
	p->crcs[p->done] = crc;
	s3_crc32c_text(o->body_crc32c, crc);
}

/* Tags come from the store: what is not plain is written so that it stays text. */
static void add_text(struct buf *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '<' || *text == '>' || *text == '&')
			buf_add_format(b, "&#%d;", *text);
		else
			buf_add_slice(b, (struct slice) { (const uint8_t *)text, 1 });
	}
}

void s3_parts_list(struct s3_op *o)
{
	struct s3_parts *p = o->parts;
	char crc[S3_CRC32C_BYTES];
	struct buf b;

	assert(p->done == p->count);
	buf_init(&b);
	buf_add_text(&b, "<CompleteMultipartUpload>");
	for (size_t i = 0; i < p->count; i++) {
		buf_add_format(&b, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
		add_text(&b, p->tags[i]);
		buf_add_text(&b, "</ETag>");
		s3_crc32c_text(crc, p->crcs[i]);
		if (o->bucket->config.has_checksums)
			buf_add_format(&b, "<ChecksumCRC32C>%s</ChecksumCRC32C>", crc);
		buf_add_text(&b, "</Part>");
	}
	buf_add_text(&b, "</CompleteMultipartUpload>");
	p->end = arena_copy(&o->arena, buf_slice(&b));
	buf_done(&b);
	s3_sha256(p->end_sha256, &p->end, 1);
}

bool s3_parts_has_checksum(const struct s3_parts *p, const char *text)
{
	uint8_t crcs[S3_PARTS_MAX * CRC_BYTES];
	char whole[S3_CRC32C_BYTES], composed[S3_CRC32C_BYTES];
	struct slice given = slice_from(text);

	for (size_t i = 0; i < p->count; i++)
		put_u32(crcs + i * CRC_BYTES, p->crcs[i]);
	s3_crc32c_text(whole, p->crc);
	s3_crc32c_text(composed, crc32c((struct slice) { crcs, p->count * CRC_BYTES }));
	given = slice_cut(&given, '-'); /* "AAAAAA==-3": of three parts */
	return slice_equal(given, slice_from(whole)) || slice_equal(given, slice_from(composed));
}
