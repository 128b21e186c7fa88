/* A sorted set of partitions of topics: what members own, give back, and are to get.
 *
 * As bytes (doc/formats/group.md), for each topic in the order of ids: id (16), u32 count, count
 * times u32 partition, ascending. */
#ifndef STREAMS_COORDINATOR_PARTITION_SET_H
#define STREAMS_COORDINATOR_PARTITION_SET_H

#include "base/buf.h"
#include "base/uuid.h"

struct topic_partition {
	struct uuid topic_id;
	int32_t partition;
};

enum { PARTITION_SET_TOPIC_BYTES = 20, PARTITION_SET_PARTITION_BYTES = 4 };

/* Owned by whoever has the struct; all zero is the empty set. */
struct partition_set {
	struct topic_partition *items;
	size_t count, capacity;
};

int topic_partition_compare(const struct topic_partition *a, const struct topic_partition *b);

void partition_set_done(struct partition_set *s);
void partition_set_clear(struct partition_set *s);

/* Append; in any order, then partition_set_sort(), before anything else is asked. */
void partition_set_add(struct partition_set *s, const struct topic_partition *item);
void partition_set_sort(struct partition_set *s); /* what is there twice stays once */

void partition_set_copy(struct partition_set *s, const struct partition_set *from);
void partition_set_swap(struct partition_set *a, struct partition_set *b);

bool partition_set_has(const struct partition_set *s, const struct topic_partition *item);
bool partition_set_equal(const struct partition_set *a, const struct partition_set *b);
bool partition_set_overlaps(const struct partition_set *a, const struct partition_set *b);
bool partition_set_is_within(const struct partition_set *part, const struct partition_set *whole);

/* Of `a`: what is in `b` too, or what is not. */
void partition_set_keep(struct partition_set *a, const struct partition_set *b);
void partition_set_remove(struct partition_set *a, const struct partition_set *b);
void partition_set_unite(struct partition_set *a, const struct partition_set *b);

/* The items of one topic that begin at `at`: its end. */
size_t partition_set_topic_end(const struct partition_set *s, size_t at);

void partition_set_encode(const struct partition_set *s, struct buf *out);
MUST_CHECK enum err partition_set_decode(struct slice bytes, struct partition_set *s);

#endif
