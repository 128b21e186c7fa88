#include "cells/cell_envelope.h"

#include <assert.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "cells/cell_private.h"

enum { VERSION_AT = 4, ZERO_AT = 6, BYTES_AT = 8, CHECKSUM_AT = 12 };

static uint32_t checksum(struct slice all)
{
	uint32_t crc = crc32c(slice_part(all, 0, CHECKSUM_AT));

	return crc32c_add(crc, slice_part(all, CELL_ENVELOPE_BYTES, all.size));
}

size_t cell_envelope_begin(struct buf *b, const struct cell_envelope *e)
{
	size_t start = b->size;

	buf_add_u32(b, e->magic);
	buf_add_u16(b, e->version);
	buf_add_zero(b, CELL_ENVELOPE_BYTES - ZERO_AT);
	return start;
}

void cell_envelope_finish(struct buf *b, const struct cell_envelope *e, size_t start)
{
	struct slice all = slice_part(buf_slice(b), start, b->size);

	assert(all.size >= CELL_ENVELOPE_BYTES && all.size <= e->bytes_max);
	put_u32(b->data + start + BYTES_AT, (uint32_t)all.size);
	put_u32(b->data + start + CHECKSUM_AT, checksum(all));
}

enum err cell_envelope_read(struct slice bytes, const struct cell_envelope *e,
			    struct slice *ret_body, char why[CELL_WHY_BYTES])
{
	if (bytes.size < CELL_ENVELOPE_BYTES) {
		cell_explain(why, "%zu bytes are too few for %s", bytes.size, e->what);
		return ERR_CORRUPT;
	}
	if (get_u32(bytes.data) != e->magic) {
		cell_explain(why, "not %s: it starts with 0x%08x", e->what, get_u32(bytes.data));
		return ERR_CORRUPT;
	}

	size_t size = get_u32(bytes.data + BYTES_AT);
	if (size < CELL_ENVELOPE_BYTES || size > e->bytes_max || size > bytes.size) {
		cell_explain(why, "%s of %zu bytes in %zu", e->what, size, bytes.size);
		return ERR_CORRUPT;
	}

	struct slice all = slice_part(bytes, 0, size);
	if (get_u32(all.data + CHECKSUM_AT) != checksum(all)) {
		cell_explain(why, "%s of %zu bytes has a wrong checksum", e->what, size);
		return ERR_CORRUPT;
	}
	unsigned version = get_u16(all.data + VERSION_AT);
	if (version != e->version || get_u16(all.data + ZERO_AT) != 0) {
		cell_explain(why, "%s has format version %u, this program reads %u", e->what,
			     version, e->version);
		return ERR_UNSUPPORTED;
	}
	*ret_body = slice_part(all, CELL_ENVELOPE_BYTES, size);
	return OK;
}
