/* What the tests of the consumer protocol share: topics, heartbeats, and what came of them. */
#ifndef STREAMS_COORDINATOR_GROUP_CONSUMER_TESTING_H
#define STREAMS_COORDINATOR_GROUP_CONSUMER_TESTING_H

#include <stdio.h>

#include "streams/coordinator/group_consumer.h"
#include "streams/coordinator/group_testing.h"
#include "wire/kafka/consumer_protocol.h"

enum { SHELF_TOPICS_MAX = 8 };

/* Topics with one-letter names; the letter is the first byte of the id. */
struct shelf {
	struct group_topics topics;
	struct group_topic items[SHELF_TOPICS_MAX];
	size_t count;
	uint8_t born; /* so that a topic that comes again has another id */
};

static inline bool shelf_by_name(struct group_topics *topics, struct arena *a, struct slice name,
				 struct group_topic *ret)
{
	struct shelf *shelf = CONTAINER(topics, struct shelf, topics);

	(void)a;
	for (size_t i = 0; i < shelf->count; i++)
		if (slice_equal(shelf->items[i].name, name)) {
			*ret = shelf->items[i];
			return true;
		}
	return false;
}

static inline bool shelf_by_id(struct group_topics *topics, struct arena *a, const struct uuid *id,
			       struct group_topic *ret)
{
	struct shelf *shelf = CONTAINER(topics, struct shelf, topics);

	(void)a;
	for (size_t i = 0; i < shelf->count; i++)
		if (uuid_equal(shelf->items[i].topic_id, *id)) {
			*ret = shelf->items[i];
			return true;
		}
	return false;
}

static inline size_t shelf_all(struct group_topics *topics, struct arena *a,
			       struct group_topic **ret)
{
	struct shelf *shelf = CONTAINER(topics, struct shelf, topics);

	(void)a;
	*ret = shelf->items;
	return shelf->count;
}

static inline void shelf_put(struct shelf *shelf, const char *name, int32_t partitions)
{
	struct group_topic found;

	shelf->topics.version++;
	if (shelf_by_name(&shelf->topics, NULL, slice_from(name), &found)) {
		for (size_t i = 0; i < shelf->count; i++)
			if (uuid_equal(shelf->items[i].topic_id, found.topic_id))
				shelf->items[i].partition_count = partitions;
		return;
	}
	assert_in_range(shelf->count, 0, SHELF_TOPICS_MAX - 1);
	shelf->items[shelf->count++] = (struct group_topic) {
		.topic_id = { { (uint8_t)name[0], ++shelf->born } },
		.name = slice_from(name),
		.partition_count = partitions,
	};
}

static inline void shelf_drop(struct shelf *shelf, const char *name)
{
	shelf->topics.version++;
	for (size_t i = 0; i < shelf->count; i++)
		if (slice_equal(shelf->items[i].name, slice_from(name))) {
			shelf->items[i] = shelf->items[--shelf->count];
			return;
		}
	fail_msg("there is no topic %s", name);
}

static inline void shelf_open(struct shelf *shelf)
{
	*shelf = (struct shelf) { .topics = { .version = 1,
					      .by_name = shelf_by_name,
					      .by_id = shelf_by_id,
					      .all = shelf_all } };
}

/* "t0 t1 u0" */
static inline void set_text(const struct partition_set *s, char ret[256])
{
	size_t at = 0;

	ret[0] = 0;
	for (size_t i = 0; i < s->count && at < 240; i++)
		at += (size_t)snprintf(ret + at, 256 - at, "%s%c%d", i ? " " : "",
				       s->items[i].topic_id.bytes[0], s->items[i].partition);
}

/* --- heartbeats --------------------------------------------------------------------------------
 */

struct beat {
	const char *member_id;
	const char *instance_id; /* NULL: dynamic */
	int32_t epoch;
	const char *topics;  /* one letter each; NULL: as before */
	const char *pattern; /* NULL: as before */
	const char *assignor;
	const struct partition_set *owned; /* NULL: as before, but of who joins: nothing */
	int32_t rebalance_ms;		   /* 0: 60000 for who joins */
};

/* The text of what is assigned, "-" when nothing is said of it; the caller's buffer. */
static inline int16_t lab_consumer_beat(struct lab *lab, struct beat b, int32_t *ret_epoch,
					struct partition_set *ret_assigned, bool *ret_has)
{
	struct partition_set nothing = { 0 };
	struct slice names[SHELF_TOPICS_MAX];
	size_t count = b.topics ? strlen(b.topics) : 0;
	struct buf words;

	buf_init(&words);
	for (size_t i = 0; i < count; i++)
		names[i] = (struct slice) { (const uint8_t *)b.topics + i, 1 };
	group_sort_words(names, count, &words);
	struct group_beat beat = {
		.client_id = SLICE("client"),
		.client_host = SLICE("/127.0.0.1"),
		.pattern = null_or(b.pattern),
		.assignor = null_or(b.assignor),
		.session_timeout_ms = 45000,
		.rebalance_timeout_ms = b.rebalance_ms ? b.rebalance_ms
					: b.epoch == 0 ? 60000
						       : -1,
		.owned = b.owned	? b.owned
			 : b.epoch == 0 ? &nothing
					: NULL,
	};
	if (b.topics)
		beat.topics = count ? buf_slice(&words) : SLICE("");
	struct group_event event = {
		.kind = GROUP_BEAT,
		.member_id = slice_from(b.member_id),
		.instance_id = null_or(b.instance_id),
		.generation = b.epoch,
		.beat = &beat,
	};
	int16_t error = lab_step(lab, &event);
	if (ret_epoch)
		*ret_epoch = beat.member_epoch;
	if (ret_has)
		*ret_has = !error && beat.has_assignment;
	if (ret_assigned && !error && beat.has_assignment)
		partition_set_swap(ret_assigned, &beat.assignment);
	partition_set_done(&beat.assignment);
	buf_done(&words);
	return error;
}

/* One heartbeat that goes well: "epoch: places" or "epoch: -". */
static inline void expect_beat(struct lab *lab, struct beat b, const char *want)
{
	struct partition_set assigned = { 0 };
	char places[256] = "-", got[300];
	int32_t epoch = -9;
	bool has = false;
	int16_t error = lab_consumer_beat(lab, b, &epoch, &assigned, &has);

	if (has)
		set_text(&assigned, places);
	if (error)
		snprintf(got, sizeof(got), "%s", kafka_error_name(error));
	else
		snprintf(got, sizeof(got), "%d: %s", epoch, places);
	partition_set_done(&assigned);
	assert_string_equal(got, want);
}

/* --- members of the classic protocol -----------------------------------------------------------
 */

/* What a consumer sends: topics of one letter each, and what it owns. */
static inline void encode_subscription(const struct shelf *shelf, const char *topics,
				       const struct partition_set *owned, struct buf *out)
{
	struct consumer_topic list[SHELF_TOPICS_MAX];
	int32_t partitions[SHELF_TOPICS_MAX][64];
	struct slice names[SHELF_TOPICS_MAX];
	struct consumer_subscription s = { .version = 1, .topics = names, .owned = list };

	for (; topics[s.topic_count]; s.topic_count++)
		names[s.topic_count] =
			(struct slice) { (const uint8_t *)topics + s.topic_count, 1 };
	for (size_t t = 0; owned && t < shelf->count; t++) {
		struct consumer_topic *topic = &list[s.owned_count];
		*topic = (struct consumer_topic) { .name = shelf->items[t].name,
						   .partitions = partitions[s.owned_count] };
		for (size_t i = 0; i < owned->count; i++)
			if (uuid_equal(owned->items[i].topic_id, shelf->items[t].topic_id))
				topic->partitions[topic->partition_count++] =
					owned->items[i].partition;
		s.owned_count += topic->partition_count > 0;
	}
	consumer_subscription_encode(&s, out);
}

static inline void decode_places(struct shelf *shelf, struct slice assignment,
				 struct partition_set *ret)
{
	struct consumer_assignment decoded;
	struct group_topic topic;
	struct arena a;

	partition_set_clear(ret);
	if (assignment.size == 0)
		return;
	arena_init(&a);
	assert_int_equal(consumer_assignment_decode(&a, assignment, &decoded), OK);
	for (size_t i = 0; i < decoded.topic_count; i++)
		for (size_t k = 0; k < decoded.topics[i].partition_count; k++)
			if (shelf_by_name(&shelf->topics, &a, decoded.topics[i].name, &topic))
				partition_set_add(ret, &(struct topic_partition) {
							       topic.topic_id,
							       decoded.topics[i].partitions[k] });
	partition_set_sort(ret);
	arena_done(&a);
}

#endif
