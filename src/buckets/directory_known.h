/* Which directories are known to be durable, with every entry up to the root, so that a put into
 * one of them costs no extra fsync.  Forgetting is always safe. */
#ifndef BUCKETS_DIRECTORY_KNOWN_H
#define BUCKETS_DIRECTORY_KNOWN_H

#include "base/map.h"

enum { DIRECTORY_KNOWN_MAX = 16384 };

struct directory_known {
	struct map map; /* path without a slash at its end -> struct known_path */
};

void directory_known_init(struct directory_known *k);
void directory_known_done(struct directory_known *k);

/* The length of the longest known directory above `key`; 0 when only the root is known. */
size_t directory_known_size(const struct directory_known *k, struct slice key);

/* A put of `key` was acknowledged. */
void directory_known_add(struct directory_known *k, struct slice key);

#endif
