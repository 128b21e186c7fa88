#include "base/blob.h"

#include <assert.h>

#include "base/memory.h"

struct blob *blob_new(size_t capacity)
{
	assert(capacity <= SIZE_MAX / 4);

	struct blob *b = memory_grow(NULL, sizeof(*b) + capacity);
	b->size = 0;
	b->capacity = capacity;
	b->refs = 1;
	return b;
}

struct blob *blob_from(struct slice s)
{
	struct blob *b = blob_new(s.size);

	if (s.size)
		memcpy(b->data, s.data, s.size);
	b->size = s.size;
	return b;
}

struct blob *blob_ref(struct blob *b)
{
	assert(b->refs > 0);
	b->refs++;
	return b;
}

void blob_unref(struct blob **b)
{
	if (!*b)
		return;
	assert((*b)->refs > 0);
	if (--(*b)->refs == 0)
		memory_free(*b);
	*b = NULL;
}
