/* hanse topic describe: Metadata of one topic, and where its partitions begin and end. */
#include "cli/offsets.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/topic.h"
#include "wire/kafka/errors.h"

struct description {
	struct kafka_metadata_response_topic topic;
	struct offset_question *first, *next; /* one a partition */
};

static enum command_status ask(struct broker *b, const char *name, struct description *ret)
{
	enum command_status status = topic_ask(b, name, &ret->topic);
	if (status)
		return status;

	size_t count = ret->topic.partitions_count;
	ret->first = arena_take_array(&b->arena, count, sizeof(*ret->first));
	ret->next = arena_take_array(&b->arena, count, sizeof(*ret->next));
	for (size_t i = 0; i < count; i++) {
		ret->first[i] = ret->next[i] = (struct offset_question) {
			.topic = ret->topic.name,
			.partition = ret->topic.partitions[i].partition_index,
		};
	}
	status = offsets_ask(b, OFFSETS_FIRST, false, ret->first, count);
	return status ? status : offsets_ask(b, OFFSETS_NEXT, false, ret->next, count);
}

static enum command_status print_json(const struct description *d)
{
	json_t *partitions = json_array();
	char id[TOPIC_ID_BYTES];

	for (size_t i = 0; i < d->topic.partitions_count; i++) {
		const struct kafka_metadata_response_partition *partition = &d->topic.partitions[i];
		json_t *error = partition->error_code
					? json_string(kafka_error_name(partition->error_code))
					: json_null();
		json_array_append_new(
			partitions,
			json_pack("{s:i, s:o, s:o, s:o, s:o, s:o}", "partition",
				  (int)partition->partition_index, "leader",
				  output_json_offset(partition->leader_id), "leader_epoch",
				  output_json_offset(partition->leader_epoch), "first_offset",
				  output_json_offset(d->first[i].offset), "next_offset",
				  output_json_offset(d->next[i].offset), "error", error));
	}
	return output_json(
		json_pack("{s:o, s:o, s:b, s:o}", "name", output_json_text(d->topic.name), "id",
			  output_json_text(topic_id_text(id, d->topic.topic_id)), "internal",
			  (int)d->topic.is_internal, "partitions", partitions));
}

static void print_head(struct broker *b, const struct description *d)
{
	char id[TOPIC_ID_BYTES];
	struct table t;

	table_init(&t, &b->arena, NULL);
	table_add_text(&t, SLICE("topic"));
	table_add_text(&t, d->topic.name);
	table_add_text(&t, SLICE("id"));
	table_add_text(&t, topic_id_text(id, d->topic.topic_id));
	table_add_text(&t, SLICE("partitions"));
	table_add_text(&t, slice_from(arena_format(&b->arena, "%zu", d->topic.partitions_count)));
	table_print(&t, stdout);
	table_done(&t);
}

static enum command_status print_text(struct broker *b, const struct description *d)
{
	const char *const headings[] = { "PARTITION", "FIRST", "NEXT", "LEADER", "EPOCH", NULL };
	struct table t;

	print_head(b, d);
	putchar('\n');
	table_init(&t, &b->arena, headings);
	for (size_t i = 0; i < d->topic.partitions_count; i++) {
		table_add_number(&t, d->topic.partitions[i].partition_index);
		table_add_number(&t, d->first[i].offset);
		table_add_number(&t, d->next[i].offset);
		table_add_number(&t, d->topic.partitions[i].leader_id);
		table_add_number(&t, d->topic.partitions[i].leader_epoch);
	}
	table_print(&t, stdout);
	table_done(&t);
	return COMMAND_DONE;
}

enum command_status topic_describe_run(const struct command_line *l)
{
	struct description d;
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = ask(&b, l->arguments[0], &d);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_json(&d) : print_text(&b, &d);
	broker_close(&b);
	return status;
}
