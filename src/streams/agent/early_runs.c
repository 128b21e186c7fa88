#include "streams/agent/early_runs.h"

#include <assert.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "wire/streams/data_file.h"

struct early_run {
	struct list link;
	struct catalog_run run;
};

struct early_partition {
	struct early_runs *all;
	int64_t row;
	struct list runs; /* struct early_run, by offset; they do not overlap */
	size_t count;
	struct replica_watch watch;
	struct list changed; /* linked: its row has changed since it was looked at */
};

struct early_runs {
	struct replica *replica;
	bool is_open;
	struct map partitions; /* struct early_partition by row; each has runs */
	struct list changed;
	struct early_runs_numbers numbers;
};

struct early_runs *early_runs_new(struct replica *replica)
{
	struct early_runs *e = NEW(struct early_runs);

	e->replica = replica;
	map_init(&e->partitions);
	list_init(&e->changed);
	return e;
}

void early_runs_free(struct early_runs *e)
{
	early_runs_close(e);
	map_done(&e->partitions);
	memory_free(e);
}

struct early_runs_numbers early_runs_get_numbers(const struct early_runs *e)
{
	return e->numbers;
}

/* --- partitions --------------------------------------------------------------------------------
 */

static struct slice key_of(const int64_t *row)
{
	return (struct slice) { (const uint8_t *)row, sizeof(*row) };
}

static struct early_partition *find_partition(const struct early_runs *e, int64_t row)
{
	return map_get(&e->partitions, key_of(&row));
}

/* In the middle of a change: only a note. */
static void on_change(struct replica_watch *watch)
{
	struct early_partition *p = CONTAINER(watch, struct early_partition, watch);

	if (!list_is_linked(&p->changed))
		list_add(&p->all->changed, &p->changed);
}

static struct early_partition *add_partition(struct early_runs *e, int64_t row)
{
	struct early_partition *p = NEW(struct early_partition);

	p->all = e;
	p->row = row;
	list_init(&p->runs);
	map_put(&e->partitions, key_of(&p->row), p);
	replica_watch_add_note(e->replica, &p->watch, row, on_change);
	return p;
}

static void drop_run(struct early_partition *p, struct early_run *r)
{
	list_remove(&r->link);
	memory_free(r);
	p->count--;
	p->all->numbers.count--;
}

/* Those that do not begin at `offset` or behind it. */
static void drop_runs_before(struct early_partition *p, int64_t offset)
{
	LIST_EACH (&p->runs, struct early_run, link, r) {
		if (r->run.base_offset >= offset)
			break;
		drop_run(p, r);
	}
}

static void free_partition(struct early_partition *p)
{
	drop_runs_before(p, INT64_MAX);
	list_remove(&p->changed);
	replica_watch_remove(&p->watch);
	map_remove(&p->all->partitions, key_of(&p->row));
	memory_free(p);
}

/* Where what goes on from `offset` without a gap ends. */
static int64_t find_end(const struct early_partition *p, int64_t offset)
{
	LIST_EACH (&p->runs, struct early_run, link, r) {
		if (r->run.base_offset > offset)
			break;
		if (r->run.base_offset == offset)
			offset = r->run.last_offset + 1;
	}
	return offset;
}

/* --- what comes and goes -----------------------------------------------------------------------
 */

void early_runs_open(struct early_runs *e)
{
	assert(e->partitions.count == 0);
	e->is_open = true;
}

void early_runs_close(struct early_runs *e)
{
	struct early_partition *p;
	size_t cursor = 0;

	e->is_open = false;
	while ((p = map_next(&e->partitions, &cursor)) != NULL)
		free_partition(p);
}

void early_runs_catch_up(struct early_runs *e)
{
	LIST_EACH (&e->changed, struct early_partition, changed, p) {
		struct catalog_partition found;
		list_remove(&p->changed);
		if (catalog_partition_by_row(replica_cell(e->replica), p->row, &found))
			found.high_watermark = INT64_MAX; /* it is gone */
		drop_runs_before(p, found.high_watermark);
		if (p->count == 0)
			free_partition(p);
	}
}

static bool is_sound(const struct peer_early_push *push, const struct peer_early_push_run *run)
{
	return push->incarnation > 0 && push->sequence >= 0 && run->base_offset >= 0 &&
	       run->last_offset >= run->base_offset && run->last_offset < INT64_MAX &&
	       run->position >= 0 && run->position < DATA_FILE_BYTES_MAX && run->size > 0 &&
	       run->size <= DATA_FILE_BYTES_MAX - run->position;
}

/* In its place, which mostly is the last one; false: there is something. */
static bool insert_run(struct early_partition *p, const struct catalog_run *run)
{
	struct list *after = p->runs.prev;

	while (after != &p->runs &&
	       CONTAINER(after, struct early_run, link)->run.base_offset > run->last_offset)
		after = after->prev;
	if (after != &p->runs &&
	    CONTAINER(after, struct early_run, link)->run.last_offset >= run->base_offset)
		return false;
	struct early_run *r = NEW(struct early_run);
	r->run = *run;
	list_add_front(after, &r->link);
	p->count++;
	p->all->numbers.count++;
	return true;
}

static bool take_run(struct early_runs *e, const struct peer_early_push *push,
		     const struct peer_early_push_run *told)
{
	const struct catalog_run run = {
		.base_offset = told->base_offset,
		.last_offset = told->last_offset,
		.incarnation = push->incarnation,
		.sequence = push->sequence,
		.position = told->position,
		.size = told->size,
		.max_timestamp = told->max_timestamp,
	};
	struct catalog_partition found;

	if (!is_sound(push, told) || e->numbers.count >= EARLY_RUNS_MAX)
		return false;
	if (catalog_partition_by_row(replica_cell(e->replica), told->partition, &found) ||
	    run.base_offset < found.high_watermark)
		return false;
	struct early_partition *p = find_partition(e, told->partition);
	if (!p)
		p = add_partition(e, told->partition);
	int64_t before = find_end(p, found.high_watermark);
	if (p->count >= EARLY_RUNS_OF_ONE_MAX || !insert_run(p, &run))
		return false;
	if (find_end(p, found.high_watermark) > before)
		replica_wake(e->replica, p->row);
	return true;
}

void early_runs_take(struct early_runs *e, const struct peer_early_push *push)
{
	for (size_t i = 0; i < push->runs_count; i++) {
		bool is_taken = e->is_open && take_run(e, push, &push->runs[i]);
		e->numbers.taken += is_taken;
		e->numbers.dropped += !is_taken;
	}
}

/* --- reading -----------------------------------------------------------------------------------
 */

void early_runs_extend(struct early_runs *e, struct catalog_partition *partition)
{
	const struct early_partition *p = find_partition(e, partition->id);

	if (p)
		partition->high_watermark = find_end(p, partition->high_watermark);
}

/* The runs from `offset` on that lie before `end`, which the caller knows to be without a gap. */
static size_t copy_runs(const struct early_partition *p, int64_t offset, int64_t end,
			int64_t size_max, struct catalog_run *ret, size_t count_max)
{
	int64_t size = 0;
	size_t count = 0;

	LIST_EACH (&p->runs, struct early_run, link, r) {
		if (r->run.last_offset < offset)
			continue;
		if (r->run.base_offset >= end || count == count_max || (count && size >= size_max))
			break;
		ret[count++] = r->run;
		size += r->run.size;
	}
	return count;
}

static void add_runs(const struct early_partition *p, struct arena *a, int64_t offset, int64_t end,
		     int64_t size_max, struct catalog_run **runs, size_t *count)
{
	int64_t size = 0;

	for (size_t i = 0; i < *count; i++)
		size += (*runs)[i].size;
	if (*count >= CATALOG_RUNS_PER_READ_MAX || (*count && size >= size_max))
		return;
	if (*count)
		offset = (*runs)[*count - 1].last_offset + 1;
	size_t room = CATALOG_RUNS_PER_READ_MAX - *count;
	struct catalog_run *all = arena_take_array(a, CATALOG_RUNS_PER_READ_MAX, sizeof(*all));
	if (*count)
		memcpy(all, *runs, *count * sizeof(*all));
	*count +=
		copy_runs(p, offset, end, *count ? size_max - size : size_max, all + *count, room);
	*runs = all;
}

enum err early_runs_find(struct early_runs *e, struct arena *a, int64_t partition, int64_t offset,
			 int64_t end, int64_t size_max, struct catalog_run **ret, size_t *ret_count)
{
	const struct early_partition *p = find_partition(e, partition);
	struct catalog_run *runs;
	size_t count;

	enum err err = catalog_runs(a, replica_cell(e->replica), partition, offset, size_max, &runs,
				    &count);
	if (err)
		return err;
	if (p)
		add_runs(p, a, offset, end, size_max, &runs, &count);
	*ret = runs;
	*ret_count = count;
	return OK;
}
