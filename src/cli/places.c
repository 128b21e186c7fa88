#include "cli/places.h"

#include <inttypes.h>

#include "base/text.h"
#include "cli/offsets.h"
#include "cli/output.h"

enum command_status places_choose(struct broker *b, const struct command_line *l,
				  const struct kafka_metadata_response_topic *topic, int32_t **ret,
				  size_t *ret_count)
{
	const char *only = command_line_value(l, FLAG_PARTITION, NULL);
	uint64_t number = 0;

	if (only && text_to_u64(slice_from(only), INT32_MAX, &number)) {
		say("--partition %s is not the number of a partition", only);
		return COMMAND_MISUSED;
	}
	*ret = arena_take_array(&b->arena, topic->partitions_count, sizeof(**ret));
	*ret_count = 0;
	for (size_t i = 0; i < topic->partitions_count; i++)
		if (!only || topic->partitions[i].partition_index == (int32_t)number)
			(*ret)[(*ret_count)++] = topic->partitions[i].partition_index;
	if (only && *ret_count == 0) {
		say("topic %.*s has no partition %s", SLICE_ARG(topic->name), only);
		return COMMAND_NOT_FOUND;
	}
	return COMMAND_DONE;
}

static enum command_status ask(struct broker *b, int64_t time_ms, bool is_committed_only,
			       const struct place *places, size_t count,
			       struct offset_question **ret)
{
	*ret = arena_take_array(&b->arena, count, sizeof(**ret));
	for (size_t i = 0; i < count; i++) {
		(*ret)[i].topic = places[i].topic;
		(*ret)[i].partition = places[i].partition;
	}
	return offsets_ask(b, time_ms, is_committed_only, *ret, count);
}

/* `at_time`: the first record of that time or later; -1: none. */
static int64_t offset_of(const struct place *p, const struct where *where, int64_t at_time)
{
	int64_t from = p->from < 0 ? p->end : p->from, sum;

	switch (where->kind) {
	case WHERE_EARLIEST:
		return p->first;
	case WHERE_LATEST:
		return p->end;
	case WHERE_OFFSET:
		return where->number;
	case WHERE_RELATIVE:
		if (__builtin_add_overflow(from, where->number, &sum))
			return where->number < 0 ? p->first : p->end;
		return sum;
	case WHERE_TIME:
		return at_time < 0 ? p->end : at_time;
	}
	return p->first;
}

enum command_status places_find(struct broker *b, const struct where *where, bool is_committed_only,
				struct place *places, size_t count)
{
	struct offset_question *first, *end, *found = NULL;

	enum command_status status =
		ask(b, OFFSETS_FIRST, is_committed_only, places, count, &first);
	if (!status)
		status = ask(b, OFFSETS_NEXT, is_committed_only, places, count, &end);
	if (!status && where->kind == WHERE_TIME)
		status = ask(b, where->number, is_committed_only, places, count, &found);
	for (size_t i = 0; !status && i < count; i++) {
		struct place *p = &places[i];
		p->first = first[i].offset;
		p->end = end[i].offset;
		p->offset = -1;
		if (p->first < 0 || p->end < 0)
			continue;
		p->offset = offset_of(p, where, found ? found[i].offset : -1);
		if (p->offset < p->first)
			p->offset = p->first;
		if (p->offset > p->end)
			p->offset = p->end;
	}
	return status;
}

bool places_say_unknown(const struct place *places, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (places[i].offset >= 0)
			continue;
		say("partition %" PRId32 " does not say where it begins and ends",
		    places[i].partition);
		return true;
	}
	return false;
}
