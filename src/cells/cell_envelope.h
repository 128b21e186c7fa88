/* The first 16 bytes of everything a cell persists, in all versions of all its formats:
 *
 *	magic u32 | version u16 | 0 u16 | bytes u32, all of them | CRC-32C u32 of all others */
#ifndef CELLS_CELL_ENVELOPE_H
#define CELLS_CELL_ENVELOPE_H

#include "cells/cell.h"

enum { CELL_ENVELOPE_BYTES = 16 };

struct cell_envelope {
	const char *what; /* "a cell record", for messages */
	uint32_t magic;
	uint16_t version;
	size_t bytes_max;
};

/* Append one: begin, the body, finish with what begin returned. */
size_t cell_envelope_begin(struct buf *b, const struct cell_envelope *e);
void cell_envelope_finish(struct buf *b, const struct cell_envelope *e, size_t start);

/* The body, after all checks; `bytes` may go on after it.  The version is looked at last, so that a
 * damaged one is ERR_CORRUPT and only a real one ERR_UNSUPPORTED. */
MUST_CHECK enum err cell_envelope_read(struct slice bytes, const struct cell_envelope *e,
				       struct slice *ret_body, char why[CELL_WHY_BYTES]);

#endif
