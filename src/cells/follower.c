#include "cells/follower.h"

#include <stdio.h>

#include "base/endian.h"

struct blob *follower_image(struct cell *c)
{
	struct cell_image image = cell_image(c);
	struct blob *b = blob_new(FOLLOWER_IMAGE_HEADER_BYTES + image.pages.size);

	put_u64(b->data, image.state.sequence);
	put_u64(b->data + 8, image.state.now_ms);
	put_u64(b->data + 16, image.state.hash.high);
	put_u64(b->data + 24, image.state.hash.low);
	memcpy(b->data + FOLLOWER_IMAGE_HEADER_BYTES, image.pages.data, image.pages.size);
	b->size = FOLLOWER_IMAGE_HEADER_BYTES + image.pages.size;
	cell_image_done(&image);
	return b;
}

enum err follower_image_load(struct cell *c, struct slice image, char why[CELL_WHY_BYTES])
{
	if (image.size <= FOLLOWER_IMAGE_HEADER_BYTES) {
		snprintf(why, CELL_WHY_BYTES, "image of %zu bytes has no pages", image.size);
		return ERR_CORRUPT;
	}
	struct cell_state state = {
		.sequence = get_u64(image.data),
		.now_ms = get_u64(image.data + 8),
		.hash = { get_u64(image.data + 16), get_u64(image.data + 24) },
	};
	struct slice pages = slice_part(image, FOLLOWER_IMAGE_HEADER_BYTES, image.size);

	return cell_load(c, pages, state, why);
}
