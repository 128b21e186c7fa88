/* hanse topic trim: the oldest records of a topic go.  Shown first, done with --execute:
 * ListOffsets, then DeleteRecords. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/offsets.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/topic.h"
#include "cli/where.h"
#include "wire/kafka/errors.h"

struct trim {
	struct broker *broker;
	struct kafka_metadata_response_topic topic;
	struct offset_question *first, *end; /* one a partition */
	int64_t *places;		     /* the first record to stay */
	size_t count;
};

static enum command_status choose(struct trim *t, const struct command_line *l)
{
	const char *only = command_line_value(l, FLAG_PARTITION, NULL);
	uint64_t number = 0;
	struct arena *a = &t->broker->arena;

	if (only && text_to_u64(slice_from(only), INT32_MAX, &number)) {
		say("--partition %s is not the number of a partition", only);
		return COMMAND_MISUSED;
	}
	enum command_status status = topic_ask(t->broker, l->arguments[0], &t->topic);
	if (status)
		return status;
	t->first = arena_take_array(a, t->topic.partitions_count, sizeof(*t->first));
	t->end = arena_take_array(a, t->topic.partitions_count, sizeof(*t->end));
	t->places = arena_take_array(a, t->topic.partitions_count, sizeof(*t->places));
	for (size_t i = 0; i < t->topic.partitions_count; i++) {
		int32_t index = t->topic.partitions[i].partition_index;
		if (only && index != (int32_t)number)
			continue;
		t->first[t->count].topic = t->end[t->count].topic = t->topic.name;
		t->first[t->count].partition = t->end[t->count].partition = index;
		t->count++;
	}
	if (t->count == 0) {
		say("topic %s has no partition %s", l->arguments[0], only);
		return COMMAND_NOT_FOUND;
	}
	return COMMAND_DONE;
}

static enum command_status find_places(struct trim *t, const struct where *before)
{
	struct offset_question *found = NULL;

	enum command_status status =
		offsets_ask(t->broker, OFFSETS_FIRST, false, t->first, t->count);
	if (!status)
		status = offsets_ask(t->broker, OFFSETS_NEXT, false, t->end, t->count);
	if (!status && before->kind == WHERE_TIME) {
		found = arena_take_array(&t->broker->arena, t->count, sizeof(*found));
		for (size_t i = 0; i < t->count; i++)
			found[i] = t->first[i];
		status = offsets_ask(t->broker, before->number, false, found, t->count);
	}
	for (size_t i = 0; !status && i < t->count; i++) {
		int64_t first = t->first[i].offset, end = t->end[i].offset, place = end;
		if (first < 0 || end < 0) {
			say("partition %" PRId32 " does not say where it begins and ends",
			    t->first[i].partition);
			return COMMAND_UNREACHABLE;
		}
		if (before->kind == WHERE_OFFSET)
			place = before->number;
		else if (before->kind == WHERE_RELATIVE)
			place = end - first < -before->number ? first : end + before->number;
		else if (found && found[i].offset >= 0)
			place = found[i].offset;
		t->places[i] = place < first ? first : place > end ? end : place;
	}
	return status;
}

static enum command_status delete_records(struct trim *t)
{
	struct arena *a = &t->broker->arena;
	struct kafka_delete_records_request_topic topic = {
		.name = t->topic.name,
		.partitions = arena_take_array(a, t->count, sizeof(*topic.partitions)),
		.partitions_count = t->count,
	};
	struct kafka_delete_records_request request = {
		.topics = &topic,
		.topics_count = 1,
		.timeout_ms = BROKER_REQUEST_TIMEOUT_MS,
	};
	struct kafka_delete_records_response response;

	for (size_t i = 0; i < t->count; i++)
		topic.partitions[i] = (struct kafka_delete_records_request_partition) {
			.partition_index = t->first[i].partition,
			.offset = t->places[i],
		};
	enum command_status status =
		broker_ask(t->broker, KAFKA_API_DELETE_RECORDS, INT16_MAX, &request, &response);
	if (status == COMMAND_UNREACHABLE)
		say_more("It may have been done nevertheless: `hanse topic describe %.*s` shows "
			 "it.",
			 SLICE_ARG(t->topic.name));
	for (size_t i = 0; !status && i < response.topics_count; i++) {
		for (size_t j = 0; !status && j < response.topics[i].partitions_count; j++) {
			const struct kafka_delete_records_response_partition *p =
				&response.topics[i].partitions[j];
			if (p->error_code)
				status = broker_refused(arena_format(a, "partition %" PRId32,
								     p->partition_index),
							p->error_code, (struct slice) { 0 });
		}
	}
	return status;
}

static enum command_status print_json(const struct trim *t, bool is_done)
{
	json_t *partitions = json_array();

	for (size_t i = 0; i < t->count; i++)
		json_array_append_new(partitions,
				      json_pack("{s:i, s:I, s:I, s:I}", "partition",
						(int)t->first[i].partition, "first_offset",
						(json_int_t)t->first[i].offset, "new_first_offset",
						(json_int_t)t->places[i], "next_offset",
						(json_int_t)t->end[i].offset));
	return output_json(json_pack("{s:o, s:b, s:o}", "name", output_json_text(t->topic.name),
				     "executed", (int)is_done, "partitions", partitions));
}

static void print_text(struct trim *t)
{
	const char *const headings[] = { "PARTITION", "FIRST", "NEW FIRST", "NEXT", "GONE", NULL };
	struct table table;

	table_init(&table, &t->broker->arena, headings);
	for (size_t i = 0; i < t->count; i++) {
		table_add_number(&table, t->first[i].partition);
		table_add_number(&table, t->first[i].offset);
		table_add_number(&table, t->places[i]);
		table_add_number(&table, t->end[i].offset);
		table_add_number(&table, t->places[i] - t->first[i].offset);
	}
	table_print(&table, stdout);
	table_done(&table);
}

static enum command_status trim(struct trim *t, const struct command_line *l)
{
	bool is_done = command_line_has(l, FLAG_EXECUTE);
	const char *text = command_line_value(l, FLAG_BEFORE, NULL);
	struct where before;

	if (!text || where_parse(text, (uint64_t)clock_wall_ms(), &before) ||
	    before.kind == WHERE_EARLIEST || (before.kind == WHERE_RELATIVE && before.number > 0)) {
		say("--before %s: latest, an offset, -N from the end, a time as in "
		    "2026-11-22T14:00Z, or 7d ago",
		    text ? text : "is missing");
		return COMMAND_MISUSED;
	}
	enum command_status status = broker_open(t->broker, l);
	if (!status)
		status = choose(t, l);
	if (!status)
		status = find_places(t, &before);
	if (!status && is_done)
		status = delete_records(t);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return print_json(t, is_done);
	print_text(t);
	if (!is_done)
		say("nothing was deleted: --execute does it, for good");
	return COMMAND_DONE;
}

enum command_status topic_trim_run(const struct command_line *l)
{
	struct broker b = { .client.fd = -1 };
	struct trim t = { .broker = &b };

	arena_init(&b.arena);
	enum command_status status = trim(&t, l);
	broker_close(&b);
	return status;
}
