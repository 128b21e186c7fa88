#include "wire/kafka/consumer_protocol.h"

#include "base/endian.h"

/* --- reading -----------------------------------------------------------------------------------
 */

struct reader {
	struct arena *arena;
	struct slice in;
	size_t partitions; /* so far */
	enum err err;
};

static struct slice take(struct reader *r, size_t size)
{
	struct slice s = slice_part(r->in, 0, size);

	if (r->err || r->in.size < size) {
		r->err = r->err ? r->err : ERR_INVALID;
		return (struct slice) { 0 };
	}
	r->in = slice_part(r->in, size, r->in.size);
	return s;
}

static int16_t take_i16(struct reader *r)
{
	struct slice s = take(r, 2);

	return s.data ? (int16_t)get_u16(s.data) : 0;
}

static int32_t take_i32(struct reader *r)
{
	struct slice s = take(r, 4);

	return s.data ? (int32_t)get_u32(s.data) : 0;
}

/* Null, of size -1, has no data. */
static struct slice take_sized(struct reader *r, int32_t size)
{
	if (size < -1)
		r->err = r->err ? r->err : ERR_INVALID;
	if (r->err || size < 0)
		return (struct slice) { 0 };
	return take(r, (size_t)size);
}

static struct slice take_string(struct reader *r)
{
	return take_sized(r, take_i16(r));
}

/* How many elements of at least `bytes_min` each follow. */
static size_t take_count(struct reader *r, size_t bytes_min, size_t max)
{
	int32_t count = take_i32(r);

	if (!r->err && count > 0 && (size_t)count > r->in.size / bytes_min)
		r->err = ERR_INVALID;
	if (!r->err && count > 0 && (size_t)count > max)
		r->err = ERR_TOO_BIG;
	return r->err || count < 0 ? 0 : (size_t)count;
}

static struct consumer_topic *take_topics(struct reader *r, size_t *ret_count)
{
	size_t count = take_count(r, 6, CONSUMER_PROTOCOL_TOPICS_MAX);
	struct consumer_topic *topics = arena_take_array(r->arena, count, sizeof(*topics));

	for (size_t i = 0; i < count; i++) {
		struct consumer_topic *topic = &topics[i];
		topic->name = take_string(r);
		size_t n = take_count(r, 4, CONSUMER_PROTOCOL_PARTITIONS_MAX - r->partitions);
		r->partitions += n;
		topic->partitions = arena_take_array(r->arena, n, sizeof(*topic->partitions));
		for (topic->partition_count = 0; topic->partition_count < n;
		     topic->partition_count++)
			topic->partitions[topic->partition_count] = take_i32(r);
	}
	*ret_count = count;
	return topics;
}

enum err consumer_subscription_decode(struct arena *a, struct slice bytes,
				      struct consumer_subscription *ret)
{
	struct reader r = { .arena = a, .in = bytes };
	struct consumer_subscription s = { .version = take_i16(&r), .generation = -1 };

	if (s.version < 0)
		return ERR_INVALID;
	s.topic_count = take_count(&r, 2, CONSUMER_PROTOCOL_TOPICS_MAX);
	s.topics = arena_take_array(a, s.topic_count, sizeof(*s.topics));
	for (size_t i = 0; i < s.topic_count; i++)
		s.topics[i] = take_string(&r);
	(void)take_sized(&r, take_i32(&r));
	s.has_owned = s.version >= 1;
	if (s.has_owned)
		s.owned = take_topics(&r, &s.owned_count);
	if (s.version >= 2)
		s.generation = take_i32(&r);
	if (s.version >= 3)
		s.rack = take_string(&r);
	if (r.err)
		return r.err;
	*ret = s;
	return OK;
}

enum err consumer_assignment_decode(struct arena *a, struct slice bytes,
				    struct consumer_assignment *ret)
{
	struct reader r = { .arena = a, .in = bytes };
	struct consumer_assignment assignment = { 0 };

	if (take_i16(&r) < 0)
		return ERR_INVALID;
	assignment.topics = take_topics(&r, &assignment.topic_count);
	if (r.err)
		return r.err;
	*ret = assignment;
	return OK;
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void add_string(struct buf *out, struct slice s)
{
	buf_add_u16(out, s.data ? (uint16_t)s.size : UINT16_MAX);
	buf_add_slice(out, s);
}

static void add_topics(struct buf *out, const struct consumer_topic *topics, size_t count)
{
	buf_add_u32(out, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		add_string(out, topics[i].name);
		buf_add_u32(out, (uint32_t)topics[i].partition_count);
		for (size_t k = 0; k < topics[i].partition_count; k++)
			buf_add_u32(out, (uint32_t)topics[i].partitions[k]);
	}
}

void consumer_assignment_encode(int16_t version, const struct consumer_assignment *assignment,
				struct buf *out)
{
	if (version > CONSUMER_PROTOCOL_VERSION_LAST)
		version = CONSUMER_PROTOCOL_VERSION_LAST;
	buf_add_u16(out, (uint16_t)version);
	add_topics(out, assignment->topics, assignment->topic_count);
	buf_add_u32(out, UINT32_MAX);
}

void consumer_subscription_encode(const struct consumer_subscription *s, struct buf *out)
{
	buf_add_u16(out, (uint16_t)s->version);
	buf_add_u32(out, (uint32_t)s->topic_count);
	for (size_t i = 0; i < s->topic_count; i++)
		add_string(out, s->topics[i]);
	buf_add_u32(out, UINT32_MAX);
	if (s->version >= 1)
		add_topics(out, s->owned, s->owned_count);
	if (s->version >= 2)
		buf_add_u32(out, (uint32_t)s->generation);
	if (s->version >= 3)
		add_string(out, s->rack);
}
