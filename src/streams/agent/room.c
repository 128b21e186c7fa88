#include "streams/agent/room.h"

#include <assert.h>

enum { ROOM_SHARE = 4 }; /* of what is left, for one who could do with less */

void room_init(struct room *r, size_t max)
{
	*r = (struct room) { .max = max };
	list_init(&r->queue);
}

bool room_is_wanted(const struct room *r)
{
	return !list_is_empty(&r->queue);
}

static size_t left_in(const struct room *r)
{
	return r->max > r->used ? r->max - r->used : 0;
}

static void wake_first(struct room *r)
{
	struct room_wait *w = CONTAINER(r->queue.next, struct room_wait, link);

	if (room_is_wanted(r) && left_in(r) >= w->least)
		task_wake(w->task);
}

static bool is_first(const struct room *r, const struct room_wait *w)
{
	return !room_is_wanted(r) || r->queue.next == &w->link;
}

size_t room_take(struct room *r, struct room_wait *w, struct task *task, size_t least, size_t most)
{
	size_t left = left_in(r);

	assert(least > 0 && least <= most && least <= r->max);
	w->task = task;
	w->least = least;
	if (left < least || !is_first(r, w)) {
		if (!list_is_linked(&w->link))
			list_add(&r->queue, &w->link);
		return 0;
	}
	size_t given = left / ROOM_SHARE > least ? left / ROOM_SHARE : least;
	if (given > most)
		given = most;
	r->used += given;
	room_leave(r, w);
	return given;
}

void room_add(struct room *r, size_t bytes)
{
	r->used += bytes;
}

void room_give_back(struct room *r, size_t bytes)
{
	assert(bytes <= r->used);
	r->used -= bytes;
	wake_first(r);
}

void room_leave(struct room *r, struct room_wait *w)
{
	if (!list_is_linked(&w->link))
		return;
	list_remove(&w->link);
	wake_first(r);
}

void room_wake_all(struct room *r)
{
	LIST_EACH (&r->queue, struct room_wait, link, w)
		task_wake(w->task);
}
