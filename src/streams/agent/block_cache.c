#include "streams/agent/block_cache.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "loop/timer.h"
#include "streams/agent/health.h"
#include "streams/agent/site.h"
#include "wire/streams/data_file.h"

/* Without padding: it is a key of the map. */
struct block_key {
	int64_t incarnation, sequence, number;
};

struct block {
	struct block_key key;
	struct block_cache *cache;
	struct blob *bytes; /* NULL while it is being read */
	struct list link;   /* with bytes: in its row; without: in a queue or none */
	struct list waits;  /* struct block_wait, while it is being read */
	bool is_cold;	    /* from the bucket, or another agent, */
	int64_t giver;	    /* which gave it, its incarnation; 0: none did */
	bool is_passed;	    /* read only by who passes by */
	bool is_here;	    /* while it is being read: from the bucket */
	bool is_ahead;	    /* nobody has wanted it yet; */
	uint64_t since_ms;  /* it has its bytes, then */
};

/* One block that a read waits for. */
struct block_wait {
	struct list link;
	struct block_read *read;
	size_t index; /* in read->ret.blocks */
};

/* One question to the site, or one GET, which belongs to the cache: its reader may go, others may
 * come. */
struct block_load {
	struct task task;
	struct block_cache *cache;
	struct block *block;
	bool asks;
	struct site_ask ask;
	struct bucket_op get;
	struct sleep sleep;
	char key[DATA_FILE_KEY_BYTES + 1];
	int tries;
};

/* Blocks with bytes, least recently used first. */
struct row {
	struct list blocks;
	size_t bytes;
};

struct block_cache {
	struct loop *loop;
	struct bucket *bucket;
	struct health *health; /* NULL: nobody is told */
	struct site *site;     /* NULL: nobody is asked */
	struct map blocks;
	struct row warm, cold; /* what the writer left, and what came from the bucket */
	struct row passed;     /* for those who pass by */
	struct row ahead;      /* and for those who have not come yet */
	struct list unasked;   /* blocks that the site is to be asked for */
	struct list queued;    /* blocks that wait for one of get_count_max places */
	struct list to_come;   /* blocks to be read ahead */
	size_t bytes_max;
	size_t ahead_count; /* without bytes: of to_come, or under way */
	bool is_far;	    /* the bucket */
	size_t ask_count;
	size_t get_count, get_count_max;
	uint64_t hits, misses, aheads, aheads_unused;
	struct block_key doubts[BLOCK_CACHE_DOUBTS]; /* a ring */
	size_t doubt_count;			     /* that were ever put there */
	struct task *idle;
};

struct block_cache *block_cache_new(struct loop *loop, struct bucket *bucket, size_t bytes_max)
{
	struct block_cache *cache = NEW(struct block_cache);

	cache->loop = loop;
	cache->bucket = bucket;
	cache->bytes_max = bytes_max;
	cache->is_far = bucket_is_far(bucket);
	cache->get_count_max = cache->is_far ? BLOCK_CACHE_READS_MAX : BLOCK_CACHE_READS_NEAR_MAX;
	map_init(&cache->blocks);
	list_init(&cache->warm.blocks);
	list_init(&cache->cold.blocks);
	list_init(&cache->passed.blocks);
	list_init(&cache->ahead.blocks);
	list_init(&cache->unasked);
	list_init(&cache->queued);
	list_init(&cache->to_come);
	return cache;
}

static struct slice key_slice(const struct block_key *key)
{
	return (struct slice) { (const uint8_t *)key, sizeof(*key) };
}

static size_t block_cost(const struct block *b)
{
	return sizeof(*b) + (b->bytes ? sizeof(*b->bytes) + b->bytes->capacity : 0);
}

static struct row *row_of(const struct block *b)
{
	if (b->is_ahead || b->is_passed)
		return b->is_ahead ? &b->cache->ahead : &b->cache->passed;
	return b->is_cold ? &b->cache->cold : &b->cache->warm;
}

static void drop_block(struct block *b)
{
	map_remove(&b->cache->blocks, key_slice(&b->key));
	list_remove(&b->link);
	if (b->bytes)
		row_of(b)->bytes -= block_cost(b);
	else if (b->is_ahead)
		b->cache->ahead_count--;
	b->cache->aheads_unused += b->is_ahead;
	blob_unref(&b->bytes);
	memory_free(b);
}

void block_cache_free(struct block_cache *cache)
{
	size_t cursor = 0;
	struct block *b;

	assert(!block_cache_is_busy(cache));
	while ((b = map_next(&cache->blocks, &cursor)))
		drop_block(b);
	map_done(&cache->blocks);
	memory_free(cache);
}

bool block_cache_is_busy(const struct block_cache *cache)
{
	return cache->ask_count + cache->get_count > 0;
}

void block_cache_set_health(struct block_cache *cache, struct health *health)
{
	cache->health = health;
}

void block_cache_set_site(struct block_cache *cache, struct site *site)
{
	cache->site = site;
}

void block_cache_set_idle(struct block_cache *cache, struct task *task)
{
	cache->idle = task;
}

/* --- blocks ------------------------------------------------------------------------------------
 */

static struct block *find_block(const struct block_cache *cache, const struct block_key *key)
{
	return map_get(&cache->blocks, key_slice(key));
}

static struct block *new_block(struct block_cache *cache, const struct block_key *key)
{
	struct block *b = NEW(struct block);

	b->cache = cache;
	b->key = *key;
	list_init(&b->waits);
	map_put(&cache->blocks, key_slice(&b->key), b);
	return b;
}

/* To the end of its row, which is another one for a block that is used from now on; who passes by
 * leaves those of others where they are. */
static void touch(struct block *b, enum block_use use)
{
	if (use == BLOCK_PASSED && !b->is_passed)
		return;
	row_of(b)->bytes -= block_cost(b);
	b->is_passed = use == BLOCK_PASSED;
	b->is_ahead = false;
	row_of(b)->bytes += block_cost(b);
	list_remove(&b->link);
	list_add(&row_of(b)->blocks, &b->link);
}

/* Readers of old records must not drive out the newest ones, which everybody else reads: above
 * their share, cold blocks make room first.  Those read ahead never have more than theirs. */
static struct row *row_to_shorten(struct block_cache *cache)
{
	if (!list_is_empty(&cache->passed.blocks))
		return &cache->passed;
	bool is_cold = cache->cold.bytes > cache->bytes_max / BLOCK_CACHE_COLD_SHARE ||
		       list_is_empty(&cache->warm.blocks);

	if (is_cold && list_is_empty(&cache->cold.blocks))
		return &cache->ahead;
	return is_cold ? &cache->cold : &cache->warm;
}

/* But not this one: one that is too large is kept all the same. */
static bool drop_oldest(struct row *row, const struct block *spared)
{
	struct list *oldest = row->blocks.next;

	if (oldest == &row->blocks || oldest == &spared->link)
		return false;
	drop_block(CONTAINER(oldest, struct block, link));
	return true;
}

/* The block has its bytes now (takes the reference); old ones make room. */
static void fill_block(struct block *b, struct blob *bytes, bool is_cold)
{
	struct block_cache *cache = b->cache;

	cache->ahead_count -= b->is_ahead;
	b->bytes = bytes;
	b->is_cold = is_cold;
	b->since_ms = loop_now_ms(cache->loop);
	row_of(b)->bytes += block_cost(b);
	list_remove(&b->link);
	list_add(&row_of(b)->blocks, &b->link);
	while (cache->passed.bytes > BLOCK_CACHE_PASSING_BYTES && drop_oldest(&cache->passed, b))
		;
	while (cache->warm.bytes + cache->cold.bytes + cache->passed.bytes + cache->ahead.bytes >
		       cache->bytes_max &&
	       drop_oldest(row_to_shorten(cache), b))
		;
}

static void add_block(struct block_cache *cache, int64_t incarnation, int64_t sequence,
		      int64_t number, struct blob *bytes)
{
	struct block_key key = { incarnation, sequence, number };

	if (find_block(cache, &key))
		blob_unref(&bytes);
	else
		fill_block(new_block(cache, &key), bytes, false);
}

void block_cache_add_file(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			  const struct slice *pieces, size_t piece_count)
{
	struct blob *bytes = NULL;
	size_t size = 0;
	int64_t number = 0;

	for (size_t i = 0; i < piece_count; i++)
		size += pieces[i].size;
	for (size_t i = 0; i < piece_count; i++) {
		for (struct slice rest = pieces[i]; rest.size > 0;) {
			if (!bytes)
				bytes = blob_new(size < BLOCK_CACHE_BLOCK_BYTES
							 ? size
							 : (size_t)BLOCK_CACHE_BLOCK_BYTES);
			struct slice part = slice_part(rest, 0, bytes->capacity - bytes->size);
			memcpy(bytes->data + bytes->size, part.data, part.size);
			bytes->size += part.size;
			rest = slice_part(rest, part.size, rest.size);
			if (bytes->size < bytes->capacity)
				continue;
			size -= bytes->size;
			add_block(cache, incarnation, sequence, number++, bytes);
			bytes = NULL;
		}
	}
	assert(!bytes && size == 0);
}

/* --- ranges ------------------------------------------------------------------------------------
 */

static int64_t number_of(int64_t position)
{
	return position / BLOCK_CACHE_BLOCK_BYTES;
}

static void range_init(struct block_range *range, int64_t position, size_t size)
{
	assert(position >= 0 && size > 0 && size <= DATA_FILE_BYTES_MAX &&
	       position <= DATA_FILE_BYTES_MAX);

	int64_t last = number_of(position + (int64_t)size - 1);
	*range = (struct block_range) { .position = position, .size = size };
	range->block_count = (size_t)(last - number_of(position) + 1);
	range->blocks = memory_take_array(range->block_count, sizeof(*range->blocks));
}

void block_range_done(struct block_range *range)
{
	for (size_t i = 0; i < range->block_count; i++)
		blob_unref(&range->blocks[i]);
	memory_free(range->blocks);
	*range = (struct block_range) { 0 };
}

struct slice block_range_part(const struct block_range *range, int64_t position, size_t size)
{
	assert(position >= range->position && position - range->position <= (int64_t)range->size);

	size_t left = range->size - (size_t)(position - range->position);
	const struct blob *block = range->blocks[number_of(position) - number_of(range->position)];
	return slice_part(blob_slice(block), (size_t)(position % BLOCK_CACHE_BLOCK_BYTES),
			  size < left ? size : left);
}

void block_range_copy(const struct block_range *range, int64_t position, size_t size, void *ret)
{
	uint8_t *to = ret;

	while (size > 0) {
		struct slice part = block_range_part(range, position, size);
		assert(part.size > 0); /* range_is_whole() */
		memcpy(to, part.data, part.size);
		to += part.size;
		position += (int64_t)part.size;
		size -= part.size;
	}
}

/* Every block reaches as far as the range says: only a file's last block is short. */
static bool range_is_whole(const struct block_range *range)
{
	int64_t end = range->position + (int64_t)range->size;
	int64_t start = number_of(range->position) * BLOCK_CACHE_BLOCK_BYTES;

	for (size_t i = 0; i < range->block_count; i++) {
		int64_t needed = end - start;
		if (needed > BLOCK_CACHE_BLOCK_BYTES)
			needed = BLOCK_CACHE_BLOCK_BYTES;
		if ((int64_t)range->blocks[i]->size < needed)
			return false;
		start += BLOCK_CACHE_BLOCK_BYTES;
	}
	return true;
}

static void put_into_range(struct block_range *range, size_t index, struct block *b)
{
	range->blocks[index] = blob_ref(b->bytes);
	range->is_cold |= b->is_cold;
}

bool block_cache_peek(struct block_cache *cache, int64_t incarnation, int64_t sequence,
		      int64_t position, size_t size, enum block_use use, struct block_range *ret)
{
	struct block_range range;
	struct block_key key = { incarnation, sequence, number_of(position) };

	range_init(&range, position, size);
	for (size_t i = 0; i < range.block_count; i++, key.number++) {
		struct block *b = find_block(cache, &key);
		if (!b || !b->bytes) {
			block_range_done(&range);
			return false;
		}
		touch(b, use);
		put_into_range(&range, i, b);
	}
	if (!range_is_whole(&range)) {
		block_range_done(&range);
		return false;
	}
	cache->hits += range.block_count;
	*ret = range;
	return true;
}

/* --- loading -----------------------------------------------------------------------------------
 */

static void tell_waiting(struct block *b, enum err err, const char *why)
{
	LIST_EACH (&b->waits, struct block_wait, link, wait) {
		if (err)
			snprintf(wait->read->task.why, TASK_WHY_BYTES, "%s", why);
		if (err)
			wait->read->task.err = err;
		else
			put_into_range(&wait->read->ret, wait->index, b);
		list_remove(&wait->link);
		task_wake(&wait->read->task);
	}
}

static bool load_may_be_repeated(const struct block_load *load)
{
	enum err err = load->get.task.err;

	return load->tries < BLOCK_CACHE_GETS_MAX &&
	       (err == ERR_UNAVAILABLE || err == ERR_BUSY || err == ERR_TIMEOUT || err == ERR_IO);
}

static bool is_doubted(const struct block_cache *cache, const struct block_key *key)
{
	for (size_t i = 0; i < BLOCK_CACHE_DOUBTS && i < cache->doubt_count; i++)
		if (memcmp(&cache->doubts[i], key, sizeof(*key)) == 0)
			return true;
	return false;
}

static bool may_ask_site(const struct block *b)
{
	const struct block_cache *cache = b->cache;

	return cache->site && site_is_open(cache->site) && !b->is_here &&
	       !is_doubted(cache, &b->key);
}

/* A question holds no place of a GET: two agents that ask each other would wait for each other. */
static void queue_block(struct block *b)
{
	struct list *asked = may_ask_site(b) ? &b->cache->unasked : &b->cache->queued;

	list_add(b->is_ahead ? &b->cache->to_come : asked, &b->link);
}

enum { LOAD_BEGIN, LOAD_ASKED, LOAD_GET, LOAD_GOT };

static enum step load_get(struct block_load *load)
{
	load->tries++;
	if (load->cache->health)
		health_begin(load->cache->health, HEALTH_GET);
	bucket_get(&load->get, &load->task, load->cache->bucket, slice_from(load->key),
		   (uint64_t)load->block->key.number * BLOCK_CACHE_BLOCK_BYTES,
		   BLOCK_CACHE_BLOCK_BYTES);
	return task_wait(&load->task, LOAD_GOT);
}

static enum step load_begin(struct block_load *load)
{
	const struct block_key *key = &load->block->key;

	if (!load->asks)
		return load_get(load);
	site_ask(&load->ask, &load->task, load->cache->site,
		 &(struct site_block) { key->incarnation, key->sequence, key->number });
	return task_wait(&load->task, LOAD_ASKED);
}

static enum step load_asked(struct block_load *load)
{
	if (load->ask.task.err) {
		load->block->is_here = true;
		queue_block(load->block);
		return task_done(&load->task, OK);
	}
	load->block->giver = load->ask.ret_giver;
	fill_block(load->block, load->ask.ret_block, true);
	tell_waiting(load->block, OK, "");
	return task_done(&load->task, OK);
}

static enum step load_got(struct block_load *load)
{
	struct block *b = load->block;
	enum err err = load->get.task.err;

	if (load->cache->health)
		health_end(load->cache->health, HEALTH_GET, err);
	if (err && load_may_be_repeated(load)) {
		sleep_start(&load->sleep, &load->task,
			    loop_now_ms(load->cache->loop) + BLOCK_CACHE_RETRY_MS);
		return task_wait(&load->task, LOAD_GET);
	}
	if (!err)
		fill_block(b, load->get.ret_body, true);
	tell_waiting(b, err, load->get.task.why);
	if (err)
		drop_block(b);
	return task_done(&load->task, err);
}

static enum step load_step(struct task *t)
{
	struct block_load *load = CONTAINER(t, struct block_load, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case LOAD_BEGIN:
		return load_begin(load);
	case LOAD_ASKED:
		return load_asked(load);
	case LOAD_GET:
		return load_get(load);
	case LOAD_GOT:
		return load_got(load);
	}
	abort();
}

static void start_loads(struct block_cache *cache);

static void load_on_end(struct task *t)
{
	struct block_load *load = CONTAINER(t, struct block_load, task);
	struct block_cache *cache = load->cache;

	if (load->asks)
		cache->ask_count--;
	else
		cache->get_count--;
	memory_free(load);
	start_loads(cache);
	if (!block_cache_is_busy(cache) && cache->idle)
		task_wake(cache->idle);
}

static const char *const load_places[] = { "begin", "asked", "get", "got" };
static const struct task_kind load_kind = {
	.name = "block_load",
	.places = load_places,
	.place_count = 4,
	.step = load_step,
	.on_end = load_on_end,
};

/* The next one that is still waited for; NULL: none. */
static struct block *take_queued(struct list *queue)
{
	struct list *link;

	while ((link = list_pop(queue))) {
		struct block *b = CONTAINER(link, struct block, link);
		if (!list_is_empty(&b->waits))
			return b;
		drop_block(b);
	}
	return NULL;
}

static void start_load(struct block *b, bool asks)
{
	struct block_cache *cache = b->cache;
	struct block_load *load = NEW(struct block_load);

	load->cache = cache;
	load->block = b;
	load->asks = asks;
	data_file_key(load->key, (uint64_t)b->key.incarnation, (uint64_t)b->key.sequence);
	if (asks)
		cache->ask_count++;
	else
		cache->get_count++;
	task_start_root(&load->task, &load_kind, cache->loop);
}

/* Those that somebody waits for come first; who stops begins nothing that nobody waits for. */
static void start_loads(struct block_cache *cache)
{
	struct block *b;
	struct list *link;

	while (cache->ask_count < BLOCK_CACHE_ASKS_MAX && (b = take_queued(&cache->unasked)))
		start_load(b, true);
	while (cache->get_count < cache->get_count_max && (b = take_queued(&cache->queued)))
		start_load(b, false);
	while (!cache->idle && cache->ask_count + cache->get_count < BLOCK_CACHE_AHEAD_LOADS_MAX &&
	       (link = list_pop(&cache->to_come))) {
		b = CONTAINER(link, struct block, link);
		start_load(b, may_ask_site(b));
	}
}

/* --- reading ahead -----------------------------------------------------------------------------
 */

/* For one more block; the oldest that nobody came for make it. */
static bool make_room_ahead(struct block_cache *cache)
{
	size_t max = cache->bytes_max / BLOCK_CACHE_AHEAD_SHARE;
	size_t one = sizeof(struct block) + sizeof(struct blob) + BLOCK_CACHE_BLOCK_BYTES;

	while (cache->ahead.bytes + (cache->ahead_count + 1) * one > max) {
		if (list_is_empty(&cache->ahead.blocks))
			return false;
		struct block *oldest = CONTAINER(cache->ahead.blocks.next, struct block, link);
		if (loop_now_ms(cache->loop) - oldest->since_ms < BLOCK_CACHE_AHEAD_MS)
			return false;
		drop_block(oldest);
	}
	return true;
}

bool block_cache_ahead(struct block_cache *cache, int64_t incarnation, int64_t sequence,
		       int64_t position, size_t size)
{
	struct block_key key = { incarnation, sequence, number_of(position) };
	int64_t last = number_of(position + (int64_t)size - 1);

	assert(position >= 0 && size > 0 && size <= DATA_FILE_BYTES_MAX &&
	       position <= DATA_FILE_BYTES_MAX);
	if (!cache->is_far)
		return false;
	for (; key.number <= last; key.number++) {
		if (find_block(cache, &key))
			continue;
		if (!make_room_ahead(cache))
			break;
		struct block *b = new_block(cache, &key);
		b->is_ahead = true;
		cache->ahead_count++;
		cache->aheads++;
		queue_block(b);
	}
	start_loads(cache);
	return key.number > last;
}

/* A block without bytes is wanted now, wherever it is on its way. */
static void hurry_block(struct block *b, bool is_here)
{
	if (!b->is_ahead)
		return;
	b->is_ahead = false;
	b->cache->ahead_count--;
	if (!list_is_linked(&b->link))
		return; /* under way */
	b->is_here |= is_here;
	list_remove(&b->link);
	queue_block(b);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void stop_waiting(struct block_read *read)
{
	if (!read->waits)
		return;
	for (size_t i = 0; i < read->ret.block_count; i++)
		list_remove(&read->waits[i].link);
	memory_free(read->waits);
	read->waits = NULL;
}

static bool is_waiting(const struct block_read *read)
{
	for (size_t i = 0; i < read->ret.block_count; i++)
		if (!read->ret.blocks[i])
			return true;
	return false;
}

enum { READ_START, READ_GATHERED };

static enum step read_step(struct task *t)
{
	struct block_read *read = CONTAINER(t, struct block_read, task);
	enum err err = t->err;

	if (!err && is_waiting(read))
		return task_wait(t, READ_GATHERED);
	stop_waiting(read);
	if (!err && !range_is_whole(&read->ret))
		err = ERR_CORRUPT;
	if (err)
		block_range_done(&read->ret);
	return task_done(t, err);
}

static const char *const read_places[] = { "start", "gathered" };
static const struct task_kind read_kind = {
	.name = "block_read",
	.places = read_places,
	.place_count = 2,
	.step = read_step,
};

static void want_block(struct block_read *read, size_t index, const struct block_key *key)
{
	struct block_cache *cache = read->cache;
	struct block *b = find_block(cache, key);

	if (b && b->bytes) {
		touch(b, read->use);
		put_into_range(&read->ret, index, b);
		cache->hits++;
		return;
	}
	cache->misses++;
	if (!b) {
		b = new_block(cache, key);
		b->is_passed = true;
		b->is_here = read->is_here;
		queue_block(b);
	}
	b->is_passed &= read->use == BLOCK_PASSED;
	hurry_block(b, read->is_here);
	read->waits[index] = (struct block_wait) { .read = read, .index = index };
	list_add(&b->waits, &read->waits[index].link);
}

static void start_read(struct block_read *read, struct task *parent, struct block_key key,
		       int64_t position, size_t size)
{
	struct block_cache *cache = read->cache;

	range_init(&read->ret, position, size);
	read->waits = memory_take_array(read->ret.block_count, sizeof(*read->waits));
	task_start(&read->task, &read_kind, parent);
	for (size_t i = 0; i < read->ret.block_count; i++, key.number++)
		want_block(read, i, &key);
	start_loads(cache);
}

void block_read(struct block_read *read, struct task *parent, struct block_cache *cache,
		int64_t incarnation, int64_t sequence, int64_t position, size_t size,
		enum block_use use)
{
	struct block_key key = { incarnation, sequence, number_of(position) };

	/* What is of use here only for a moment need not be kept by its owner. */
	*read = (struct block_read) {
		.cache = cache,
		.use = use,
		.is_here = use == BLOCK_PASSED,
	};
	start_read(read, parent, key, position, size);
}

void block_read_here(struct block_read *read, struct task *parent, struct block_cache *cache,
		     int64_t incarnation, int64_t sequence, int64_t position, size_t size)
{
	struct block_key key = { incarnation, sequence, number_of(position) };

	*read = (struct block_read) { .cache = cache, .is_here = true };
	start_read(read, parent, key, position, size);
}

struct blob *block_cache_find(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			      int64_t number)
{
	struct block_key key = { incarnation, sequence, number };
	struct block *b = find_block(cache, &key);

	if (!b || !b->bytes)
		return NULL;
	touch(b, BLOCK_USED);
	return blob_ref(b->bytes);
}

static void drop_given_by(struct block_cache *cache, int64_t giver)
{
	struct row *rows[] = { &cache->cold, &cache->passed, &cache->ahead };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		LIST_EACH (&rows[i]->blocks, struct block, link, b)
			if (b->giver == giver)
				drop_block(b);
}

void block_cache_forget(struct block_cache *cache, int64_t incarnation, int64_t sequence,
			int64_t position, size_t size)
{
	struct block_key key = { incarnation, sequence, number_of(position) };
	int64_t last = number_of(position + (int64_t)size - 1);

	for (; key.number <= last; key.number++) {
		struct block *b = find_block(cache, &key);
		if (!b || !b->bytes || !b->is_cold)
			continue;
		int64_t giver = b->giver;
		drop_block(b);
		if (giver)
			cache->doubts[cache->doubt_count++ % BLOCK_CACHE_DOUBTS] = key;
		if (giver && site_note_wrong(cache->site, giver))
			drop_given_by(cache, giver);
	}
}

void block_cache_get_status(const struct block_cache *cache, struct block_cache_status *ret)
{
	*ret = (struct block_cache_status) {
		.hits = cache->hits,
		.misses = cache->misses,
		.aheads = cache->aheads,
		.aheads_unused = cache->aheads_unused,
		.ahead_bytes = cache->ahead.bytes,
		.warm_bytes = cache->warm.bytes,
		.cold_bytes = cache->cold.bytes + cache->passed.bytes,
		.bytes_max = cache->bytes_max,
		.loads = cache->ask_count + cache->get_count,
	};
}
