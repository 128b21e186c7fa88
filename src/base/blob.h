/* A counted block of payload, shared by a socket, a file being built and a bucket, never copied.
 * The count is not atomic: a blob belongs to one loop; workers only read bytes while the loop holds
 * a reference for them. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "base/slice.h"

struct blob {
	size_t size;	 /* bytes in use */
	size_t capacity; /* bytes there are */
	unsigned refs;
	uint8_t data[];
};

/* One reference, size 0, contents undefined. */
struct blob *blob_new(size_t capacity);
struct blob *blob_from(struct slice s);
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob **b); /* sets *b to NULL; NULL inside is fine */

static inline struct slice blob_slice(const struct blob *b)
{
	return (struct slice) { b->data, b->size };
}

#endif
