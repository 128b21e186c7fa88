#include "streams/agent/answer_room.h"

bool answer_room_take(struct answer_room *a, struct request *r, size_t wanted, struct timer *timer,
		      void (*on_timer)(struct timer *))
{
	uint64_t now_ms = loop_now_ms(r->agent->loop);
	size_t least = AGENT_BATCH_BYTES_USUAL;

	if (least < a->large_bytes)
		least = a->large_bytes;
	if (wanted < least)
		wanted = least;
	a->free_bytes = room_take(&r->agent->answers, &a->wait, &r->task, least, wanted);
	if (a->free_bytes) {
		a->waits_since_ms = 0;
		return true;
	}
	agent_watch_slow(r->agent);
	if (!a->waits_since_ms)
		a->waits_since_ms = now_ms;
	timer_set(timer, r->agent->loop, a->waits_since_ms + ANSWER_ROOM_WAIT_MS, on_timer);
	return r->agent->is_stopping || now_ms - a->waits_since_ms >= ANSWER_ROOM_WAIT_MS;
}

void answer_room_hold(struct answer_room *a, struct request *r, size_t bytes)
{
	a->held_bytes += bytes;
	room_add(&r->agent->answers, bytes);
}

/* For a first batch of this size, as blocks and in the answer.  Many may find theirs at the same
 * time: who gets no room for it now lets go of everything, and waits in the queue. */
static bool take_large(struct answer_room *a, struct request *r, size_t size)
{
	struct room *room = &r->agent->answers;
	size_t needed = 2 * size < room->max ? 2 * size : room->max;

	if (a->free_bytes >= needed)
		return true;
	a->large_bytes = needed;
	if (room->used >= room->max || room->max - room->used < needed - a->free_bytes)
		return false;
	room_add(room, needed - a->free_bytes);
	a->free_bytes = needed;
	return true;
}

enum answer_room_found answer_room_extend(struct answer_room *a, struct request *r,
					  struct partition_read *read)
{
	size_t before = read->held_bytes, size = partition_read_short_bytes(read);

	if (size == 0)
		return ANSWER_ROOM_READY;
	if (!take_large(a, r, size))
		return ANSWER_ROOM_IS_SHORT;
	bool is_read = partition_read_extend(read, &r->task);
	size_t after = read->held_bytes;
	size_t moved = after > before ? after - before : 0;
	if (moved > a->free_bytes)
		moved = a->free_bytes;
	room_add(&r->agent->answers, after);
	room_give_back(&r->agent->answers, before + moved);
	a->held_bytes = a->held_bytes - before + after;
	a->free_bytes -= moved;
	return is_read ? ANSWER_ROOM_READS : ANSWER_ROOM_READY;
}

void answer_room_fail(struct answer_room *a, struct partition_read *read)
{
	a->held_bytes -= read->held_bytes;
	a->free_bytes += read->held_bytes;
	read->held_bytes = 0;
}

void answer_room_give_back(struct answer_room *a, struct request *r)
{
	room_leave(&r->agent->answers, &a->wait);
	room_give_back(&r->agent->answers, a->free_bytes + a->held_bytes);
	a->free_bytes = a->held_bytes = 0;
}

void answer_room_stand_back(struct answer_room *a, struct request *r)
{
	answer_room_give_back(a, r);
	a->large_bytes = 0;
	a->waits_since_ms = 0;
}

void answer_room_keep(struct answer_room *a, struct request *r, const struct blob *records)
{
	answer_room_give_back(a, r);
	if (!records)
		return;
	r->answer_bytes += records->capacity;
	room_add(&r->agent->answers, records->capacity);
}
