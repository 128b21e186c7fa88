/* The journal engine: events in, effects out (journal.h). */
#include "cells/journal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"

struct journal {
	struct journal_config config;
};

int epoch_compare(struct epoch a, struct epoch b)
{
	if (a.counter != b.counter)
		return a.counter < b.counter ? -1 : 1;
	return (a.nonce > b.nonce) - (a.nonce < b.nonce);
}

void epoch_text(char ret[EPOCH_TEXT_BYTES], struct epoch e)
{
	snprintf(ret, EPOCH_TEXT_BYTES, "%016" PRIx64 "%016" PRIx64, e.counter, e.nonce);
}

void journal_effects_init(struct journal_effects *fx)
{
	*fx = (struct journal_effects) { 0 };
}

void journal_effects_clear(struct journal_effects *fx)
{
	for (size_t i = 0; i < fx->count; i++)
		blob_unref(&fx->items[i].body);
	fx->count = 0;
}

void journal_effects_done(struct journal_effects *fx)
{
	journal_effects_clear(fx);
	memory_free(fx->items);
	journal_effects_init(fx);
}

struct journal *journal_new(const struct journal_config *config)
{
	struct journal *j = NEW(struct journal);

	assert(config->bucket_count % 2 == 1 && config->bucket_count <= JOURNAL_BUCKETS_MAX);
	j->config = *config;
	return j;
}

void journal_free(struct journal *j)
{
	memory_free(j);
}

enum err journal_step(struct journal *j, const struct journal_event *event,
		      struct journal_effects *fx)
{
	(void)j;
	(void)event;
	(void)fx;
	return ERR_UNSUPPORTED;
}

enum journal_role journal_role(const struct journal *j)
{
	(void)j;
	return JOURNAL_IDLE;
}

struct epoch journal_epoch(const struct journal *j)
{
	(void)j;
	return (struct epoch) { 0, 0 };
}

uint64_t journal_last_index(const struct journal *j)
{
	(void)j;
	return 0;
}

uint64_t journal_committed(const struct journal *j)
{
	(void)j;
	return 0;
}

size_t journal_in_flight(const struct journal *j)
{
	(void)j;
	return 0;
}

unsigned journal_counting(const struct journal *j)
{
	(void)j;
	return 0;
}

struct journal_snapshot journal_newest_snapshot(const struct journal *j)
{
	(void)j;
	return (struct journal_snapshot) { 0 };
}
