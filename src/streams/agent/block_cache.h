/* Blocks of data files in memory, least recently used ones out first.
 *
 * The writer puts a file's blocks here once it is durable, so tail reads need no GET; a block that
 * is not here is read from the bucket once, however many wait for it. */
#ifndef STREAMS_AGENT_BLOCK_CACHE_H
#define STREAMS_AGENT_BLOCK_CACHE_H

#include "base/blob.h"
#include "buckets/bucket.h"
#include "loop/task.h"

enum {
	BLOCK_CACHE_BLOCK_BYTES = 1 << 20,
	BLOCK_CACHE_READS_MAX = 16, /* GETs at the same time; the rest wait */
};

struct block_cache;

struct block_cache *block_cache_new(struct loop *loop, struct bucket *bucket, size_t bytes_max);
void block_cache_free(struct block_cache *cache);
bool block_cache_is_busy(const struct block_cache *cache);

/* A whole file that was just written, in pieces that follow each other; copied. */
void block_cache_add_file(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			  const struct slice *pieces, size_t piece_count);

/* Read a range as a child task; `ret` has one reference for the caller when OK: exactly `size`
 * bytes.  ERR_NOT_FOUND, ERR_CORRUPT (the file is shorter), or what the bucket says. */
struct block_read {
	struct task task;
	struct block_cache *cache;
	int64_t incarnation, sequence, position;
	size_t size;
	struct blob *ret;
	void *state; /* private */
};
void block_read(struct block_read *read, struct task *parent, struct block_cache *cache,
		int64_t incarnation, int64_t sequence, int64_t position, size_t size);

/* The range, if every block is in memory: a blob with one reference for the caller; else NULL. */
struct blob *block_cache_peek(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			      int64_t position, size_t size);

#endif
