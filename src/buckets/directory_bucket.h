/* The kind "file:DIR" around any directory_system: for tests of what a failing disk does to it.
 * Everybody else calls bucket_open(). */
#ifndef BUCKETS_DIRECTORY_BUCKET_H
#define BUCKETS_DIRECTORY_BUCKET_H

#include "buckets/directory.h"

/* Takes d->root over. */
struct bucket *directory_bucket_new(const struct directory *d, enum bucket_class class);

/* What a directory on a file system of this type (statfs(2)) is trusted with. */
enum bucket_class directory_class_of(unsigned long file_system);

#endif
