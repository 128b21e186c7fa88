/* What is known to have been committed, and what this journal says of it.
 *
 * A store may give back an older state of itself: a bucket that was copied back from a backup, or
 * one that hides its newest objects.  It is whole, and nothing in it shows that it is too short;
 * but others remember.  Every record says what the cell is after it, so an index and a content hash
 * are proof: agents and standbys are told of committed records only, and those a journal keeps.
 *
 *	leader_know()     "that was committed": a journal without it is refused, by the engine
 *	                  before anything is adopted when it ends before, here when it has another
 *	leader_compare()  "was that committed?", while it leads
 *
 * The hashes of the newest records are kept in a ring, of this term only: what an earlier campaign
 * adopted may never have been committed. */
#include <inttypes.h>
#include <stdlib.h>

#include "cells/leader_private.h"

static struct leader_position *slot_of(const struct leader *l, uint64_t index)
{
	return &l->history[index % LEADER_HISTORY];
}

void leader_history_clear(struct leader *l)
{
	memset(l->history, 0, LEADER_HISTORY * sizeof(*l->history));
}

bool leader_history_note(struct leader *l, uint64_t index, struct hash128 hash)
{
	*slot_of(l, index) = (struct leader_position) { index, hash };
	if (index != l->known.index || hash128_equal(hash, l->known.hash))
		return true;
	l->is_refused = true;
	leader_give_up(l, ERR_CORRUPT,
		       "record %" PRIu64 " was committed, and the buckets have another one there",
		       index);
	return false;
}

void leader_history_committed(struct leader *l, uint64_t index)
{
	const struct leader_position *p = slot_of(l, index);

	if (p->index == index)
		leader_know(l, p);
}

void leader_know(struct leader *l, const struct leader_position *p)
{
	if (p->index > l->known.index)
		l->known = *p;
}

enum err leader_compare(const struct leader *l, const struct leader_position *p)
{
	const struct leader_position *own = slot_of(l, p->index);

	if (p->index > l->committed_index)
		return ERR_NOT_FOUND;
	if (own->index != p->index || hash128_equal(own->hash, p->hash))
		return OK;
	return ERR_CONFLICT;
}

void leader_refuse(struct leader *l, const char *why)
{
	if (l->state != LEADER_IDLE)
		leader_give_up(l, ERR_CORRUPT, "%s", why);
}
