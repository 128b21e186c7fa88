/* What a new follower starts from: an image of a cell as a stream of bytes, with the state that the
 * next record builds on.  It travels between processes of one version and is never stored:
 * u64 sequence, u64 now_ms, u64 hash high, u64 hash low, then the pages. */
#ifndef CELLS_FOLLOWER_H
#define CELLS_FOLLOWER_H

#include "cells/cell.h"

enum { FOLLOWER_IMAGE_HEADER_BYTES = 32 };

struct follower_image {
	uint8_t header[FOLLOWER_IMAGE_HEADER_BYTES];
	struct cell_image cell;
};

/* cell_image(), and what goes before it. */
void follower_image_take(struct cell *c, struct cell_room *room, struct follower_image *ret);
void follower_image_done(struct follower_image *image);

size_t follower_image_bytes(const struct follower_image *image);

/* What stands at `at`, at least one byte and at most `max`; borrowed from the image. */
struct slice follower_image_part(const struct follower_image *image, size_t at, size_t max);

/* Replace the contents of `c`; ERR_CORRUPT, and the cell as before, when the image is not whole. */
MUST_CHECK enum err follower_image_load(struct cell *c, struct slice image,
					char why[CELL_WHY_BYTES]);

#endif
