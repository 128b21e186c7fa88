#include "streams/coordinator/partition_set.h"

#include <stdlib.h>

#include "base/endian.h"
#include "base/memory.h"

int topic_partition_compare(const struct topic_partition *a, const struct topic_partition *b)
{
	int order = memcmp(a->topic_id.bytes, b->topic_id.bytes, sizeof(a->topic_id.bytes));

	return order ? order : (a->partition > b->partition) - (a->partition < b->partition);
}

static int compare(const void *a, const void *b)
{
	return topic_partition_compare(a, b);
}

/* --- filling -----------------------------------------------------------------------------------
 */

void partition_set_done(struct partition_set *s)
{
	memory_free(s->items);
	*s = (struct partition_set) { 0 };
}

void partition_set_clear(struct partition_set *s)
{
	s->count = 0;
}

static void reserve(struct partition_set *s, size_t count)
{
	if (count <= s->capacity)
		return;
	size_t capacity = s->capacity * 2 > count ? s->capacity * 2 : count;
	s->items = memory_grow(s->items, capacity * sizeof(*s->items));
	s->capacity = capacity;
}

void partition_set_add(struct partition_set *s, const struct topic_partition *item)
{
	reserve(s, s->count + 1);
	s->items[s->count++] = *item;
}

void partition_set_sort(struct partition_set *s)
{
	size_t kept = 0;

	if (s->count > 1)
		qsort(s->items, s->count, sizeof(*s->items), compare);
	for (size_t i = 0; i < s->count; i++)
		if (kept == 0 || compare(&s->items[kept - 1], &s->items[i]) != 0)
			s->items[kept++] = s->items[i];
	s->count = kept;
}

void partition_set_copy(struct partition_set *s, const struct partition_set *from)
{
	reserve(s, from->count);
	if (from->count > 0)
		memcpy(s->items, from->items, from->count * sizeof(*s->items));
	s->count = from->count;
}

void partition_set_swap(struct partition_set *a, struct partition_set *b)
{
	struct partition_set old = *a;

	*a = *b;
	*b = old;
}

/* --- comparing ---------------------------------------------------------------------------------
 */

bool partition_set_has(const struct partition_set *s, const struct topic_partition *item)
{
	return s->count > 0 && bsearch(item, s->items, s->count, sizeof(*item), compare);
}

bool partition_set_equal(const struct partition_set *a, const struct partition_set *b)
{
	return a->count == b->count && partition_set_is_within(a, b);
}

bool partition_set_overlaps(const struct partition_set *a, const struct partition_set *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (partition_set_has(b, &a->items[i]))
			return true;
	return false;
}

bool partition_set_is_within(const struct partition_set *part, const struct partition_set *whole)
{
	for (size_t i = 0; i < part->count; i++)
		if (!partition_set_has(whole, &part->items[i]))
			return false;
	return true;
}

static void filter(struct partition_set *a, const struct partition_set *b, bool keeps)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->count; i++)
		if (partition_set_has(b, &a->items[i]) == keeps)
			a->items[kept++] = a->items[i];
	a->count = kept;
}

void partition_set_keep(struct partition_set *a, const struct partition_set *b)
{
	filter(a, b, true);
}

void partition_set_remove(struct partition_set *a, const struct partition_set *b)
{
	filter(a, b, false);
}

void partition_set_unite(struct partition_set *a, const struct partition_set *b)
{
	for (size_t i = 0; i < b->count; i++)
		partition_set_add(a, &b->items[i]);
	partition_set_sort(a);
}

size_t partition_set_topic_end(const struct partition_set *s, size_t at)
{
	size_t end = at;

	while (end < s->count && uuid_equal(s->items[end].topic_id, s->items[at].topic_id))
		end++;
	return end;
}

/* --- bytes -------------------------------------------------------------------------------------
 */

void partition_set_encode(const struct partition_set *s, struct buf *out)
{
	for (size_t at = 0, end; at < s->count; at = end) {
		end = partition_set_topic_end(s, at);
		buf_add(out, s->items[at].topic_id.bytes, sizeof(s->items[at].topic_id.bytes));
		buf_add_u32(out, (uint32_t)(end - at));
		for (size_t i = at; i < end; i++)
			buf_add_u32(out, (uint32_t)s->items[i].partition);
	}
}

static bool is_ascending(const struct partition_set *s)
{
	for (size_t i = 1; i < s->count; i++)
		if (compare(&s->items[i - 1], &s->items[i]) >= 0)
			return false;
	return true;
}

enum err partition_set_decode(struct slice bytes, struct partition_set *s)
{
	struct topic_partition item;

	partition_set_clear(s);
	while (bytes.size >= PARTITION_SET_TOPIC_BYTES) {
		memcpy(item.topic_id.bytes, bytes.data, sizeof(item.topic_id.bytes));
		size_t count = get_u32(bytes.data + 16);
		bytes = slice_part(bytes, PARTITION_SET_TOPIC_BYTES, bytes.size);
		if (count == 0 || count > bytes.size / 4)
			return ERR_CORRUPT;
		for (size_t i = 0; i < count; i++) {
			uint32_t partition = get_u32(bytes.data + 4 * i);
			if (partition > INT32_MAX)
				return ERR_CORRUPT;
			item.partition = (int32_t)partition;
			partition_set_add(s, &item);
		}
		bytes = slice_part(bytes, 4 * count, bytes.size);
	}
	return bytes.size == 0 && is_ascending(s) ? OK : ERR_CORRUPT;
}
