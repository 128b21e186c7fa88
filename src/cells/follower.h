/* What a new follower starts from: an image of a cell in one block of bytes, with the state that
 * the next record builds on.  It travels between processes of one version and is never stored:
 * u64 sequence, u64 now_ms, u64 hash high, u64 hash low, then the pages. */
#ifndef CELLS_FOLLOWER_H
#define CELLS_FOLLOWER_H

#include "base/blob.h"
#include "cells/cell.h"

enum { FOLLOWER_IMAGE_HEADER_BYTES = 32 };

/* One reference for the caller.  Must not be called with unsealed changes. */
struct blob *follower_image(struct cell *c);

/* Replace the contents of `c`; ERR_CORRUPT, and the cell as before, when the image is not whole. */
MUST_CHECK enum err follower_image_load(struct cell *c, struct slice image,
					char why[CELL_WHY_BYTES]);

#endif
