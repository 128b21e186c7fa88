/* hanse producer list: DescribeProducers, for all partitions of a topic or for one. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/output.h"
#include "cli/places.h"
#include "cli/table.h"
#include "wire/kafka/errors.h"

static enum command_status choose(struct broker *b, const struct command_line *l,
				  struct kafka_describe_producers_request_topic *ret)
{
	struct kafka_metadata_response_topic topic;

	enum command_status status = topic_ask(b, l->arguments[0], &topic);
	if (status)
		return status;
	ret->name = topic.name;
	return places_choose(b, l, &topic, &ret->partition_indexes, &ret->partition_indexes_count);
}

static int by_partition(const void *a, const void *b)
{
	const struct kafka_describe_producers_response_partition *left = a, *right = b;

	return (left->partition_index > right->partition_index) -
	       (left->partition_index < right->partition_index);
}

static enum command_status ask(struct broker *b,
			       struct kafka_describe_producers_request_topic *topic,
			       struct kafka_describe_producers_response_topic *ret)
{
	struct kafka_describe_producers_request request = { .topics = topic, .topics_count = 1 };
	struct kafka_describe_producers_response response;

	enum command_status status =
		broker_ask(b, KAFKA_API_DESCRIBE_PRODUCERS, INT16_MAX, &request, &response);
	if (status)
		return status;
	if (response.topics_count != 1)
		return broker_refused("the producers", KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	*ret = response.topics[0];
	for (size_t i = 0; i < ret->partitions_count; i++)
		if (ret->partitions[i].error_code)
			return broker_refused(arena_format(&b->arena, "partition %" PRId32,
							   ret->partitions[i].partition_index),
					      ret->partitions[i].error_code,
					      ret->partitions[i].error_message);
	if (ret->partitions_count > 1)
		qsort(ret->partitions, ret->partitions_count, sizeof(ret->partitions[0]),
		      by_partition);
	return COMMAND_DONE;
}

static enum command_status print_json(const struct kafka_describe_producers_response_topic *topic)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < topic->partitions_count; i++) {
		const struct kafka_describe_producers_response_partition *partition =
			&topic->partitions[i];
		for (size_t j = 0; j < partition->active_producers_count; j++) {
			const struct kafka_describe_producers_response_producer *producer =
				&partition->active_producers[j];
			json_array_append_new(
				rows,
				json_pack("{s:i, s:I, s:i, s:o, s:o, s:o}", "partition",
					  (int)partition->partition_index, "producer_id",
					  (json_int_t)producer->producer_id, "producer_epoch",
					  (int)producer->producer_epoch, "last_sequence",
					  output_json_offset(producer->last_sequence),
					  "last_timestamp_ms",
					  output_json_offset(producer->last_timestamp),
					  "transaction_first_offset",
					  output_json_offset(producer->current_txn_start_offset)));
		}
	}
	return output_json(
		json_pack("{s:o, s:o}", "topic", output_json_text(topic->name), "producers", rows));
}

static enum command_status print_text(struct broker *b,
				      const struct kafka_describe_producers_response_topic *topic)
{
	const char *const headings[] = { "PARTITION", "PRODUCER",  "EPOCH", "LAST SEQUENCE",
					 "OPEN FROM", "LAST TIME", NULL };
	char when[WHERE_TIME_TEXT_BYTES];
	size_t count = 0;
	struct table t;

	table_init(&t, &b->arena, headings);
	for (size_t i = 0; i < topic->partitions_count; i++) {
		const struct kafka_describe_producers_response_partition *partition =
			&topic->partitions[i];
		for (size_t j = 0; j < partition->active_producers_count; j++, count++) {
			const struct kafka_describe_producers_response_producer *producer =
				&partition->active_producers[j];
			where_time_text(producer->last_timestamp, when);
			table_add_number(&t, partition->partition_index);
			table_add_number(&t, producer->producer_id);
			table_add_number(&t, producer->producer_epoch);
			table_add_number(&t, producer->last_sequence);
			table_add_number(&t, producer->current_txn_start_offset);
			table_add_text(&t, slice_from(when));
		}
	}
	if (count == 0)
		say("nobody is known to write there with a producer id");
	else
		table_print(&t, stdout);
	table_done(&t);
	return COMMAND_DONE;
}

enum command_status producer_list_run(const struct command_line *l)
{
	struct kafka_describe_producers_request_topic topic = { 0 };
	struct kafka_describe_producers_response_topic answer = { 0 };
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = choose(&b, l, &topic);
	if (!status)
		status = ask(&b, &topic, &answer);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_json(&answer)
							: print_text(&b, &answer);
	broker_close(&b);
	return status;
}
