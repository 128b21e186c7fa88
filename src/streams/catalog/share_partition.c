#include "streams/catalog/share_partition.h"

#include <assert.h>

#include "base/endian.h"
#include "wire/kafka/errors.h"

enum { SHARE_FORMAT = 1, RANGES_FIRST = 16 };

/* --- ranges ------------------------------------------------------------------------------------
 */

void share_partition_init(struct share_partition *p, struct arena *a, int64_t start)
{
	*p = (struct share_partition) { .arena = a, .start = start };
}

static int64_t length(const struct share_range *r)
{
	return r->last - r->first + 1;
}

int64_t share_partition_end(const struct share_partition *p)
{
	return p->count ? p->ranges[p->count - 1].last + 1 : p->start;
}

static struct share_range *grow(struct arena *a, struct share_range *ranges, size_t count,
				size_t *capacity)
{
	if (count < *capacity)
		return ranges;
	*capacity = *capacity ? 2 * *capacity : RANGES_FIRST;
	struct share_range *ret = arena_take_array(a, *capacity, sizeof(*ret));
	if (count)
		memcpy(ret, ranges, count * sizeof(*ret));
	return ret;
}

static void insert(struct share_partition *p, size_t at, const struct share_range *r)
{
	p->ranges = grow(p->arena, p->ranges, p->count, &p->capacity);
	memmove(&p->ranges[at + 1], &p->ranges[at], (p->count - at) * sizeof(*r));
	p->ranges[at] = *r;
	p->count++;
}

/* The range that begins at `offset`, which lies in the window or is its end. */
static size_t cut(struct share_partition *p, int64_t offset)
{
	size_t low = 0, high = p->count;

	while (low < high) { /* the first range that does not end before it */
		size_t middle = low + (high - low) / 2;
		if (p->ranges[middle].last < offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == p->count || p->ranges[low].first == offset)
		return low;
	struct share_range front = p->ranges[low];
	front.last = offset - 1;
	insert(p, low, &front);
	p->ranges[low + 1].first = offset;
	return low + 1;
}

static bool is_same(const struct share_range *a, const struct share_range *b)
{
	if (a->state != b->state || a->deliveries != b->deliveries)
		return false;
	return a->state != SHARE_ACQUIRED ||
	       (a->until_ms == b->until_ms && slice_equal(a->holder, b->holder));
}

/* Neighbours that are the same become one, and what is done at the start goes. */
static void settle(struct share_partition *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		if (kept > 0 && is_same(&p->ranges[kept - 1], &p->ranges[i]))
			p->ranges[kept - 1].last = p->ranges[i].last;
		else
			p->ranges[kept++] = p->ranges[i];
	}
	p->count = kept;
	if (p->count > 0 && p->ranges[0].state == SHARE_DONE) {
		p->start = p->ranges[0].last + 1;
		p->count--;
		memmove(p->ranges, p->ranges + 1, p->count * sizeof(*p->ranges));
	}
	assert(p->count <= SHARE_RANGES_MAX);
}

static void finish(struct share_range *r)
{
	*r = (struct share_range) { .first = r->first, .last = r->last, .state = SHARE_DONE };
}

static void give_back(struct share_range *r)
{
	if (r->deliveries >= SHARE_DELIVERIES_MAX) {
		finish(r);
		return;
	}
	r->state = SHARE_AVAILABLE;
	r->holder = (struct slice) { 0 };
	r->until_ms = 0;
}

/* --- looking -----------------------------------------------------------------------------------
 */

static int64_t in_flight(const struct share_partition *p)
{
	int64_t count = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->ranges[i].state != SHARE_DONE)
			count += length(&p->ranges[i]);
	return count;
}

int64_t share_partition_done_count(const struct share_partition *p)
{
	int64_t count = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->ranges[i].state == SHARE_DONE)
			count += length(&p->ranges[i]);
	return count;
}

static bool is_free(const struct share_range *r, int64_t now_ms)
{
	return r->state == SHARE_AVAILABLE || (r->state == SHARE_ACQUIRED && r->until_ms <= now_ms);
}

bool share_partition_next(const struct share_partition *p, int64_t now_ms, int64_t *ret_first,
			  int64_t *ret_last)
{
	bool has_room = in_flight(p) < SHARE_RECORDS_IN_FLIGHT_MAX;

	*ret_first = share_partition_end(p);
	*ret_last = INT64_MAX;
	for (size_t i = 0; i < p->count; i++) {
		if (!is_free(&p->ranges[i], now_ms))
			continue;
		*ret_first = p->ranges[i].first;
		if (i + 1 < p->count || !has_room)
			*ret_last = p->ranges[i].last;
		return true;
	}
	return has_room;
}

int64_t share_partition_deadline_ms(const struct share_partition *p)
{
	int64_t ret = INT64_MAX;

	for (size_t i = 0; i < p->count; i++)
		if (p->ranges[i].state == SHARE_ACQUIRED && p->ranges[i].until_ms < ret)
			ret = p->ranges[i].until_ms;
	return ret;
}

/* --- time, and other things that happen ----------------------------------------------------------
 */

bool share_partition_expire(struct share_partition *p, int64_t now_ms)
{
	bool has_changed = false;

	for (size_t i = 0; i < p->count; i++) {
		if (p->ranges[i].state != SHARE_ACQUIRED || p->ranges[i].until_ms > now_ms)
			continue;
		give_back(&p->ranges[i]);
		has_changed = true;
	}
	if (has_changed)
		settle(p);
	return has_changed;
}

bool share_partition_release(struct share_partition *p, struct slice member)
{
	bool has_changed = false;

	for (size_t i = 0; i < p->count; i++) {
		if (p->ranges[i].state != SHARE_ACQUIRED ||
		    !slice_equal(p->ranges[i].holder, member))
			continue;
		p->ranges[i].deliveries--; /* nobody has seen them */
		give_back(&p->ranges[i]);
		has_changed = true;
	}
	if (has_changed)
		settle(p);
	return has_changed;
}

static bool give_back_range(struct share_partition *p, struct slice member,
			    const struct share_range *range)
{
	int64_t first = range->first > p->start ? range->first : p->start;
	int64_t end = share_partition_end(p);
	bool has_changed = false;

	if (range->last < first || first >= end)
		return false;
	if (range->last < end)
		end = range->last + 1;
	size_t at = cut(p, first);
	(void)cut(p, end);
	for (; at < p->count && p->ranges[at].last < end; at++) {
		struct share_range *it = &p->ranges[at];
		if (it->state != SHARE_ACQUIRED || it->deliveries != range->deliveries ||
		    !slice_equal(it->holder, member))
			continue;
		it->deliveries--; /* as with all of them */
		give_back(it);
		has_changed = true;
	}
	return has_changed;
}

bool share_partition_give_back(struct share_partition *p, struct slice member,
			       const struct share_range *ranges, size_t count)
{
	bool has_changed = false;

	for (size_t i = 0; i < count; i++)
		has_changed |= give_back_range(p, member, &ranges[i]);
	settle(p);
	return has_changed;
}

bool share_partition_move_start(struct share_partition *p, int64_t start)
{
	if (start <= p->start)
		return false;
	if (start >= share_partition_end(p)) {
		p->count = 0;
	} else {
		size_t at = cut(p, start);
		p->count -= at;
		memmove(p->ranges, p->ranges + at, p->count * sizeof(*p->ranges));
	}
	p->start = start;
	settle(p);
	return true;
}

/* --- acquiring ---------------------------------------------------------------------------------
 */

static void give(struct share_partition *p, struct share_acquire *acquire, struct share_range *r,
		 struct share_acquired *ret)
{
	r->state = SHARE_ACQUIRED;
	r->deliveries++;
	r->holder = acquire->member;
	r->until_ms = acquire->now_ms + acquire->lock_ms;
	acquire->wanted -= length(r);
	ret->ranges = grow(p->arena, ret->ranges, ret->count, &ret->capacity);
	ret->ranges[ret->count++] = *r;
}

/* What some member has had and gave back. */
static void acquire_again(struct share_partition *p, struct share_acquire *acquire, int64_t first,
			  int64_t last, struct share_acquired *ret)
{
	size_t at = cut(p, first);

	cut(p, last + 1);
	for (; at < p->count && p->ranges[at].last <= last; at++) {
		if (p->ranges[at].state != SHARE_AVAILABLE)
			continue;
		if (acquire->is_exact && acquire->wanted <= 0)
			return;
		if (acquire->is_exact && length(&p->ranges[at]) > acquire->wanted)
			cut(p, p->ranges[at].first + acquire->wanted);
		give(p, acquire, &p->ranges[at], ret);
	}
}

static void acquire_new(struct share_partition *p, struct share_acquire *acquire, int64_t last,
			struct share_acquired *ret)
{
	struct share_range new = { .first = share_partition_end(p), .last = last };
	int64_t room = SHARE_RECORDS_IN_FLIGHT_MAX - in_flight(p);

	if (acquire->is_exact && acquire->wanted < room)
		room = acquire->wanted;
	if (room <= 0)
		return;
	if (length(&new) > room)
		new.last = new.first + room - 1;
	give(p, acquire, &new, ret);
	insert(p, p->count, &new);
}

void share_partition_acquire(struct share_partition *p, struct share_acquire *acquire,
			     int64_t first, int64_t last, struct share_acquired *ret)
{
	int64_t end = share_partition_end(p);

	if (first < p->start)
		first = p->start;
	if (last < first || first > end || acquire->wanted <= 0)
		return;
	if (first < end)
		acquire_again(p, acquire, first, last < end ? last : end - 1, ret);
	if (last >= end)
		acquire_new(p, acquire, last, ret);
	settle(p);
}

void share_partition_pass_over(struct share_partition *p, int64_t first, int64_t last)
{
	int64_t end = share_partition_end(p);

	if (first < p->start)
		first = p->start;
	if (last < first || first > end)
		return;
	if (first < end) {
		size_t at = cut(p, first);
		cut(p, last < end ? last + 1 : end);
		for (; at < p->count && p->ranges[at].last <= last; at++)
			if (p->ranges[at].state == SHARE_AVAILABLE)
				finish(&p->ranges[at]);
	}
	if (last >= end)
		insert(p, p->count,
		       &(struct share_range) { .first = end, .last = last, .state = SHARE_DONE });
	settle(p);
}

/* --- acknowledging -----------------------------------------------------------------------------
 */

static int16_t check(const struct share_partition *p, struct slice member, int64_t now_ms,
		     int64_t first, int64_t last)
{
	if (last >= share_partition_end(p))
		return KAFKA_INVALID_REQUEST;
	for (size_t i = 0; i < p->count; i++) {
		const struct share_range *r = &p->ranges[i];
		if (r->last < first || r->first > last)
			continue;
		if (r->state != SHARE_ACQUIRED || is_free(r, now_ms) ||
		    !slice_equal(r->holder, member))
			return KAFKA_INVALID_RECORD_STATE;
	}
	return KAFKA_NONE;
}

static void answer(struct share_range *r, enum share_answer answer, int64_t until_ms)
{
	switch (answer) {
	case SHARE_RELEASE:
		give_back(r);
		return;
	case SHARE_RENEW:
		r->until_ms = until_ms;
		return;
	case SHARE_GAP:
	case SHARE_ACCEPT:
	case SHARE_REJECT:
		finish(r);
		return;
	}
}

int16_t share_partition_acknowledge(struct share_partition *p, struct slice member, int64_t now_ms,
				    int64_t lock_ms, int64_t first, int64_t last,
				    const int8_t *answers, size_t count)
{
	if (last < first || first < 0 || count == 0 ||
	    (count > 1 && (uint64_t)(last - first) != count - 1))
		return KAFKA_INVALID_REQUEST;
	for (size_t i = 0; i < count; i++)
		if (answers[i] < SHARE_GAP || answers[i] > SHARE_RENEW)
			return KAFKA_INVALID_REQUEST;
	if (last < p->start) /* done, or deleted */
		return KAFKA_NONE;
	int64_t from = first < p->start ? p->start : first;
	int16_t code = check(p, member, now_ms, from, last);
	if (code)
		return code;

	for (size_t i = 0; i < count; i++) {
		int64_t begin = count > 1 ? first + (int64_t)i : from;
		int64_t end = count > 1 ? begin : last;
		while (i + 1 < count && answers[i + 1] == answers[i]) {
			end++;
			i++;
		}
		if (end < from)
			continue;
		size_t at = cut(p, begin < from ? from : begin);
		cut(p, end + 1);
		for (; at < p->count && p->ranges[at].last <= end; at++)
			answer(&p->ranges[at], (enum share_answer)answers[i], now_ms + lock_ms);
	}
	settle(p);
	return KAFKA_NONE;
}

/* --- bytes -------------------------------------------------------------------------------------
 */

static size_t holder_place(const struct slice *holders, size_t count, struct slice holder)
{
	size_t i = 0;

	while (i < count && !slice_equal(holders[i], holder))
		i++;
	return i;
}

void share_partition_encode(const struct share_partition *p, struct buf *out)
{
	struct slice *holders = arena_take_array(p->arena, p->count + 1, sizeof(*holders));
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->ranges[i].state == SHARE_ACQUIRED &&
		    holder_place(holders, count, p->ranges[i].holder) == count)
			holders[count++] = p->ranges[i].holder;
	buf_add_u8(out, SHARE_FORMAT);
	buf_add_u64(out, (uint64_t)p->start);
	buf_add_u16(out, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_add_u16(out, (uint16_t)holders[i].size);
		buf_add_slice(out, holders[i]);
	}
	buf_add_u16(out, (uint16_t)p->count);
	for (size_t i = 0; i < p->count; i++) {
		const struct share_range *r = &p->ranges[i];
		buf_add_u64(out, (uint64_t)length(r));
		buf_add_u8(out, (uint8_t)r->state);
		buf_add_u8(out, (uint8_t)r->deliveries);
		if (r->state != SHARE_ACQUIRED)
			continue;
		buf_add_u16(out, (uint16_t)holder_place(holders, count, r->holder));
		buf_add_u64(out, (uint64_t)r->until_ms);
	}
}

static bool take(struct slice *rest, size_t size, const uint8_t **ret)
{
	if (rest->size < size)
		return false;
	*ret = rest->data;
	*rest = slice_part(*rest, size, rest->size);
	return true;
}

static bool take_holders(struct arena *a, struct slice *rest, struct slice **ret, size_t *ret_count)
{
	const uint8_t *bytes;

	if (!take(rest, 2, &bytes))
		return false;
	*ret_count = get_u16(bytes);
	if (*ret_count > rest->size / 2)
		return false;
	*ret = arena_take_array(a, *ret_count + 1, sizeof(**ret));
	for (size_t i = 0; i < *ret_count; i++) {
		if (!take(rest, 2, &bytes))
			return false;
		size_t size = get_u16(bytes);
		if (size > SHARE_MEMBER_ID_BYTES_MAX || !take(rest, size, &bytes))
			return false;
		(*ret)[i] = (struct slice) { bytes, size };
	}
	return true;
}

static bool take_range(struct slice *rest, const struct slice *holders, size_t holder_count,
		       struct share_range *ret)
{
	const uint8_t *bytes;

	if (!take(rest, 10, &bytes))
		return false;
	uint64_t size = get_u64(bytes);
	if (size == 0 || size > (uint64_t)(INT64_MAX - ret->first) ||
	    bytes[8] >= SHARE_STATE_COUNT || bytes[9] > SHARE_DELIVERIES_MAX)
		return false;
	ret->last = ret->first + (int64_t)size - 1;
	ret->state = (enum share_state)bytes[8];
	ret->deliveries = bytes[9];
	if (ret->state != SHARE_ACQUIRED)
		return ret->state != SHARE_DONE || ret->deliveries == 0;
	if (!take(rest, 10, &bytes) || get_u16(bytes) >= holder_count)
		return false;
	ret->holder = holders[get_u16(bytes)];
	ret->until_ms = (int64_t)get_u64(bytes + 2);
	return true;
}

enum err share_partition_decode(struct arena *a, struct slice bytes, struct share_partition *ret)
{
	struct share_partition p = { .arena = a };
	struct slice *holders = NULL;
	size_t holder_count = 0;
	const uint8_t *head;

	if (!take(&bytes, 9, &head) || head[0] != SHARE_FORMAT || get_u64(head + 1) > INT64_MAX)
		return ERR_CORRUPT;
	p.start = (int64_t)get_u64(head + 1);
	if (!take_holders(a, &bytes, &holders, &holder_count) || !take(&bytes, 2, &head) ||
	    get_u16(head) > SHARE_RANGES_MAX)
		return ERR_CORRUPT;
	p.count = p.capacity = get_u16(head);
	p.ranges = arena_take_array(a, p.count + 1, sizeof(*p.ranges));
	for (size_t i = 0; i < p.count; i++) {
		p.ranges[i].first = i ? p.ranges[i - 1].last + 1 : p.start;
		if (!take_range(&bytes, holders, holder_count, &p.ranges[i]))
			return ERR_CORRUPT;
	}
	if (bytes.size > 0 || in_flight(&p) > SHARE_RECORDS_IN_FLIGHT_MAX)
		return ERR_CORRUPT;
	*ret = p;
	return OK;
}
