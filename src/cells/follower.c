#include "cells/follower.h"

#include <assert.h>
#include <stdio.h>

#include "base/endian.h"

void follower_image_take(struct cell *c, struct cell_room *room, struct follower_image *ret)
{
	struct cell_image image = cell_image(c, room);

	put_u64(ret->header, image.state.sequence);
	put_u64(ret->header + 8, image.state.now_ms);
	put_u64(ret->header + 16, image.state.hash.high);
	put_u64(ret->header + 24, image.state.hash.low);
	ret->cell = image;
}

void follower_image_done(struct follower_image *image)
{
	cell_image_done(&image->cell);
	*image = (struct follower_image) { 0 };
}

size_t follower_image_bytes(const struct follower_image *image)
{
	return image->cell.pages.size ? sizeof(image->header) + image->cell.pages.size : 0;
}

struct slice follower_image_part(const struct follower_image *image, size_t at, size_t max)
{
	struct slice header = { image->header, sizeof(image->header) };

	assert(max > 0 && at < follower_image_bytes(image));
	if (at < header.size)
		return slice_part(header, at, max);
	return slice_part(image->cell.pages, at - header.size, max);
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
