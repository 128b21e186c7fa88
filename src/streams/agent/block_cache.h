/* Blocks of data files in memory, least recently used ones out first.
 *
 * The writer puts a file's blocks here once it is durable, so tail reads need no GET; a block that
 * is not here is asked of other agents of the site (site.h) or read from the bucket once, however
 * many wait for it.  Readers get references to blocks, not copies.
 *
 * Blocks are read ahead for who reads a partition from one end to the other out of a bucket that is
 * far.  They have a share of their own; a reader that has stopped leaves some behind, which go when
 * others want the room and nobody has come for them for a while. */
#ifndef STREAMS_AGENT_BLOCK_CACHE_H
#define STREAMS_AGENT_BLOCK_CACHE_H

#include "base/blob.h"
#include "buckets/bucket.h"
#include "loop/task.h"

enum {
	BLOCK_CACHE_BLOCK_BYTES = 1 << 20,
	BLOCK_CACHE_READS_MAX = 16,	/* GETs at the same time; the rest wait */
	BLOCK_CACHE_ASKS_MAX = 64,	/* questions to the site at the same time */
	BLOCK_CACHE_READS_NEAR_MAX = 2, /* of a directory: they and producers' puts share the four
					 * threads of libuv, and a put must find one */
	BLOCK_CACHE_GETS_MAX = 3,	/* tries, of one block */
	BLOCK_CACHE_RETRY_MS = 50,
	BLOCK_CACHE_COLD_SHARE = 4, /* one in so many bytes is safe for blocks from the bucket */
	BLOCK_CACHE_PASSING_BYTES = 8 << 20, /* of blocks that only who passes by has read */
	BLOCK_CACHE_AHEAD_SHARE = 5, /* one in so many bytes is for blocks nobody has wanted yet */
	BLOCK_CACHE_AHEAD_LOADS_MAX = 12, /* of all loads: who waits finds a place */
	BLOCK_CACHE_AHEAD_MS = 2000,	  /* so long they are kept from who wants the room */
	BLOCK_CACHE_DOUBTS = 16, /* blocks that the bucket is asked for, whoever has them */
};

/* Who passes by reads a partition from its beginning to its end, and soon no block again: what it
 * reads drives out nothing that anybody else uses. */
enum block_use { BLOCK_USED, BLOCK_PASSED };

struct block_cache;
struct health;
struct site;

struct block_cache *block_cache_new(struct loop *loop, struct bucket *bucket, size_t bytes_max);
void block_cache_free(struct block_cache *cache);
bool block_cache_is_busy(const struct block_cache *cache);

/* `task` is woken whenever the cache stops being busy; NULL: nobody. */
void block_cache_set_idle(struct block_cache *cache, struct task *task);

/* Tell it of every operation of the bucket. */
void block_cache_set_health(struct block_cache *cache, struct health *health);

/* Ask it before the bucket; NULL: do not. */
void block_cache_set_site(struct block_cache *cache, struct site *site);

/* A whole file that was just written, in pieces that follow each other; copied. */
void block_cache_add_file(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			  const struct slice *pieces, size_t piece_count);

/* Bytes [position, position + size) of a file, held in memory until block_range_done(). */
struct block_range {
	int64_t position;
	size_t size;
	struct blob **blocks; /* the first one holds `position` */
	size_t block_count;
	bool is_cold; /* some of it was not written here: believe checksums only */
};

/* Copy a part, named by its place in the file. */
void block_range_copy(const struct block_range *range, int64_t position, size_t size, void *ret);

/* The bytes from `position` on that lie next to each other, at most `size`. */
struct slice block_range_part(const struct block_range *range, int64_t position, size_t size);

/* Zeroed ones are harmless. */
void block_range_done(struct block_range *range);

/* The range, if every block of it is in memory. */
bool block_cache_peek(struct block_cache *cache, int64_t incarnation, int64_t sequence,
		      int64_t position, size_t size, enum block_use use, struct block_range *ret);

/* Read a range as a child task; on OK the caller owns `ret`.  ERR_NOT_FOUND (no such file),
 * ERR_CORRUPT (the file is shorter), or what the bucket says. */
struct block_read {
	struct task task;
	struct block_cache *cache;
	struct block_wait *waits; /* one a block */
	enum block_use use;
	bool is_here; /* nobody else is asked */
	struct block_range ret;
};
void block_read(struct block_read *read, struct task *parent, struct block_cache *cache,
		int64_t incarnation, int64_t sequence, int64_t position, size_t size,
		enum block_use use);

/* The same for another agent of the site: from memory here or the bucket. */
void block_read_here(struct block_read *read, struct task *parent, struct block_cache *cache,
		     int64_t incarnation, int64_t sequence, int64_t position, size_t size);

/* The range will be wanted soon: its blocks are read if there is room for them among those that
 * nobody has wanted yet.  False: there is none, or the bucket is near; what is left of the
 * range is not read. */
bool block_cache_ahead(struct block_cache *cache, int64_t incarnation, int64_t sequence,
		       int64_t position, size_t size);

/* One block, if it is in memory: a reference for the caller; else NULL. */
struct blob *block_cache_find(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			      int64_t number);

/* For /metrics. */
struct block_cache_status {
	uint64_t hits, misses;	/* blocks wanted, since the process began */
	uint64_t aheads;	/* blocks ordered ahead of their reader, */
	uint64_t aheads_unused; /* and those that went before one came */
	size_t warm_bytes, cold_bytes, ahead_bytes, bytes_max;
	size_t loads; /* under way, and questions */
};
void block_cache_get_status(const struct block_cache *cache, struct block_cache_status *ret);

/* What the bucket or another agent gave for this range was wrong: the next read asks the bucket. */
void block_cache_forget(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			int64_t position, size_t size);

#endif
