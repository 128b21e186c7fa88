#include "streams/coordinator/compaction_jobs.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "streams/coordinator/compaction.h"

enum {
	LEVELS = COMPACTION_LEVEL_LAST,
	TURNS = 4, /* one in so many looks at the levels above first */
	AGE_MS_MAX = 24 * 3600 * 1000,
	SHRINK_MAX = 4,
};

struct lease {
	struct list link;
	struct arena arena;
	struct compaction_plan plan;
	uint64_t number;
	int64_t agent;	     /* its incarnation */
	int64_t incarnation; /* of the job; 0: not yet */
	uint64_t deadline_ms;
};

/* Where the search of a level goes on. */
struct search {
	int64_t cursor;
	int64_t began;	 /* the cursor at the beginning of this pass */
	bool is_pending; /* something may have come since a whole pass found nothing */
};

struct compaction {
	struct list leases;
	uint64_t last_number;
	struct search searches[LEVELS];
	uint64_t rescanned_ms; /* level 0, from its first file on */
	int64_t age_ms;
	int turn;
	int shrink; /* jobs are smaller by so many halves, since others failed */
};

struct compaction *compaction_new(void)
{
	struct compaction *c = NEW(struct compaction);
	const char *age = getenv("HANSE_TEST_COMPACTION_AGE_MS");
	uint64_t age_ms = COMPACTION_AGE_MS;

	if (age && text_to_u64(slice_from(age), AGE_MS_MAX, &age_ms))
		age_ms = COMPACTION_AGE_MS;
	c->age_ms = (int64_t)age_ms;
	list_init(&c->leases);
	for (int i = 1; i < LEVELS; i++)
		c->searches[i].is_pending = true;
	return c;
}

static void end_lease(struct lease *lease)
{
	list_remove(&lease->link);
	arena_done(&lease->arena);
	memory_free(lease);
}

void compaction_free(struct compaction *c)
{
	struct list *link;

	while ((link = list_pop(&c->leases)))
		end_lease(CONTAINER(link, struct lease, link));
	memory_free(c);
}

/* Something of it cannot be read, or is more than one file can have: it would be given out again
 * and again, before all others. */
static void note_failed(struct compaction *c, const struct compaction_plan *plan)
{
	int64_t *cursor = &c->searches[0].cursor;

	if (c->shrink < SHRINK_MAX) {
		c->shrink++;
		return;
	}
	for (size_t i = 0; i < plan->group_count && plan->level == 0; i++)
		for (size_t k = 0; k < plan->groups[i].input_count; k++)
			if (plan->groups[i].inputs[k].file > *cursor)
				*cursor = plan->groups[i].inputs[k].file;
}

/* Who asks for a job has none any more. */
static void end_leases(struct compaction *c, int64_t agent, uint64_t loop_ms)
{
	LIST_EACH (&c->leases, struct lease, link, lease)
		if (lease->deadline_ms <= loop_ms || lease->agent == agent) {
			if (lease->incarnation)
				note_failed(c, &lease->plan);
			end_lease(lease);
		}
}

/* --- what others have --------------------------------------------------------------------------
 */

struct taken {
	struct map files;
	struct map partitions[LEVELS];
};

static struct slice row_key(const int64_t *row)
{
	return (struct slice) { (const uint8_t *)row, sizeof(*row) };
}

static bool has_file(const void *context, int64_t file)
{
	const struct taken *taken = context;

	return map_get(&taken->files, row_key(&file));
}

static bool has_partition(const void *context, int level, int64_t partition)
{
	const struct taken *taken = context;

	return map_get(&taken->partitions[level], row_key(&partition));
}

static void taken_add(struct taken *taken, const struct compaction_plan *plan)
{
	for (size_t i = 0; i < plan->group_count; i++) {
		struct compaction_group *group = &plan->groups[i];
		map_put(&taken->partitions[plan->level], row_key(&group->partition), group);
		for (size_t k = 0; k < group->input_count && plan->level == 0; k++)
			map_put(&taken->files, row_key(&group->inputs[k].file), group);
	}
}

static void taken_init(struct taken *taken, const struct compaction *c)
{
	map_init(&taken->files);
	for (int i = 0; i < LEVELS; i++)
		map_init(&taken->partitions[i]);
	LIST_EACH (&c->leases, struct lease, link, lease)
		taken_add(taken, &lease->plan);
}

static void taken_done(struct taken *taken)
{
	map_done(&taken->files);
	for (int i = 0; i < LEVELS; i++)
		map_done(&taken->partitions[i]);
}

/* --- finding -----------------------------------------------------------------------------------
 */

static enum err find_runs(struct compaction *c, struct cell *cell,
			  const struct compaction_taken *taken, struct lease *lease)
{
	enum err err = ERR_NOT_FOUND;

	for (int level = 1; level < LEVELS && err; level++) {
		struct search *search = &c->searches[level];
		if (!search->is_pending)
			continue;
		err = compaction_plan_runs(&lease->arena, cell, level, taken, &search->cursor,
					   &lease->plan);
		if (search->cursor != 0)
			continue;
		search->is_pending = !err || search->began != 0;
		search->began = 0;
	}
	return err;
}

static enum err find_files(struct compaction *c, struct cell *cell,
			   const struct compaction_taken *taken, int64_t until_ms, uint64_t loop_ms,
			   struct lease *lease)
{
	if (loop_ms - c->rescanned_ms >= COMPACTION_RESCAN_MS) {
		c->rescanned_ms = loop_ms;
		c->searches[0].cursor = 0;
	}
	return compaction_plan_files(&lease->arena, cell, until_ms, taken, &c->searches[0].cursor,
				     &lease->plan);
}

uint64_t compaction_find_job(struct compaction *c, struct cell *cell, int64_t agent, int64_t now_ms,
			     uint64_t loop_ms)
{
	struct lease *lease = NEW(struct lease);
	struct taken taken;
	struct compaction_taken others = { has_file, has_partition, &taken, 0 };
	bool is_turn_of_runs = c->turn++ % TURNS == TURNS - 1;
	enum err err = ERR_NOT_FOUND;

	end_leases(c, agent, loop_ms);
	others.bytes_max = COMPACTION_JOB_BYTES_MAX >> c->shrink;
	taken_init(&taken, c);
	arena_init(&lease->arena);
	if (is_turn_of_runs)
		err = find_runs(c, cell, &others, lease);
	if (err)
		err = find_files(c, cell, &others, now_ms - c->age_ms, loop_ms, lease);
	if (err && !is_turn_of_runs)
		err = find_runs(c, cell, &others, lease);
	taken_done(&taken);
	list_init(&lease->link);
	if (err) {
		end_lease(lease);
		return 0;
	}
	lease->agent = agent;
	lease->number = ++c->last_number;
	lease->deadline_ms = loop_ms + COMPACTION_LEASE_MS;
	list_add(&c->leases, &lease->link);
	return lease->number;
}

/* --- leases ------------------------------------------------------------------------------------
 */

const struct compaction_plan *compaction_give_job(struct compaction *c, uint64_t number,
						  int64_t incarnation)
{
	LIST_EACH (&c->leases, struct lease, link, lease) {
		if (lease->number != number)
			continue;
		lease->incarnation = incarnation;
		if (incarnation)
			return &lease->plan;
		end_lease(lease);
		return NULL;
	}
	return NULL;
}

static struct lease *find_lease(const struct compaction *c, int64_t incarnation, uint64_t loop_ms)
{
	LIST_EACH (&c->leases, struct lease, link, lease)
		if (incarnation && lease->incarnation == incarnation &&
		    lease->deadline_ms > loop_ms)
			return lease;
	return NULL;
}

const struct compaction_plan *compaction_job(struct compaction *c, int64_t incarnation,
					     int64_t agent, uint64_t loop_ms, bool extends)
{
	struct lease *lease = find_lease(c, incarnation, loop_ms);

	if (!lease || lease->agent != agent)
		return NULL;
	if (extends)
		lease->deadline_ms = loop_ms + COMPACTION_LEASE_MS;
	return &lease->plan;
}

void compaction_end_job(struct compaction *c, int64_t incarnation)
{
	struct lease *lease = find_lease(c, incarnation, 0);

	if (!lease)
		return;
	c->shrink -= c->shrink > 0;
	if (lease->plan.level + 1 < LEVELS)
		c->searches[lease->plan.level + 1].is_pending = true;
	end_lease(lease);
}

bool compaction_has_job(const struct compaction *c, int64_t incarnation, uint64_t loop_ms)
{
	return find_lease(c, incarnation, loop_ms) != NULL;
}

size_t compaction_job_count(const struct compaction *c, uint64_t loop_ms)
{
	size_t ret = 0;

	LIST_EACH (&c->leases, struct lease, link, lease)
		ret += lease->incarnation && lease->deadline_ms > loop_ms;
	return ret;
}
