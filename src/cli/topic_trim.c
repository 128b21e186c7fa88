/* hanse topic trim: the oldest records of a topic go.  Shown first, done with --execute:
 * ListOffsets, then DeleteRecords. */
#include <inttypes.h>

#include "base/clock.h"
#include "cli/output.h"
#include "cli/places.h"
#include "cli/table.h"
#include "wire/kafka/errors.h"

struct trim {
	struct broker *broker;
	struct kafka_metadata_response_topic topic;
	struct place *places; /* one a partition: the first record to stay */
	size_t count;
};

static enum command_status find_places(struct trim *t, const struct command_line *l,
				       const struct where *before)
{
	int32_t *numbers;

	enum command_status status = topic_ask(t->broker, l->arguments[0], &t->topic);
	if (!status)
		status = places_choose(t->broker, l, &t->topic, &numbers, &t->count);
	if (status)
		return status;
	t->places = arena_take_array(&t->broker->arena, t->count, sizeof(*t->places));
	for (size_t i = 0; i < t->count; i++)
		t->places[i] = (struct place) { t->topic.name, numbers[i], .from = -1 };
	status = places_find(t->broker, before, false, t->places, t->count);
	if (!status && places_say_unknown(t->places, t->count))
		status = COMMAND_UNREACHABLE;
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
			.partition_index = t->places[i].partition,
			.offset = t->places[i].offset,
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
						(int)t->places[i].partition, "first_offset",
						(json_int_t)t->places[i].first, "new_first_offset",
						(json_int_t)t->places[i].offset, "next_offset",
						(json_int_t)t->places[i].end));
	return output_json(json_pack("{s:o, s:b, s:o}", "name", output_json_text(t->topic.name),
				     "executed", (int)is_done, "partitions", partitions));
}

static void print_text(struct trim *t)
{
	const char *const headings[] = { "PARTITION", "FIRST", "NEW FIRST", "NEXT", "GONE", NULL };
	struct table table;

	table_init(&table, &t->broker->arena, headings);
	for (size_t i = 0; i < t->count; i++) {
		table_add_number(&table, t->places[i].partition);
		table_add_number(&table, t->places[i].first);
		table_add_number(&table, t->places[i].offset);
		table_add_number(&table, t->places[i].end);
		table_add_number(&table, t->places[i].offset - t->places[i].first);
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
		status = find_places(t, l, &before);
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
	struct broker b = { .client.socket.fd = -1 };
	struct trim t = { .broker = &b };

	arena_init(&b.arena);
	enum command_status status = trim(&t, l);
	broker_close(&b);
	return status;
}
