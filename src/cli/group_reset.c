/* hanse group reset: where a group goes on reading.  Shown first, done with --execute:
 * OffsetFetch and ListOffsets, then OffsetCommit as nobody's member. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/group.h"
#include "cli/output.h"
#include "cli/places.h"
#include "cli/table.h"
#include "wire/kafka/errors.h"

enum { OFFSET_COMMIT_VERSION_MAX = 9 }; /* later ones name topics by id */

struct reset {
	struct broker *broker;
	const char *group;
	struct group_partition *partitions; /* ordered by topic and partition */
	size_t count;
	struct place *places; /* one a partition; offset -1: not known, it stays as it is */
};

/* --- which partitions --------------------------------------------------------------------------
 */

static enum command_status group_exists(struct broker *b, const char *name, bool *ret)
{
	struct kafka_list_groups_response response;

	enum command_status status = group_ask_all(b, &response);
	if (status)
		return status;
	*ret = false;
	for (size_t i = 0; i < response.groups_count; i++)
		if (slice_equal(response.groups[i].group_id, slice_from(name)))
			*ret = true;
	return COMMAND_DONE;
}

/* What the group committed. */
static enum command_status take_group(struct reset *r)
{
	struct group group;

	enum command_status status = group_ask(r->broker, r->group, &group);
	if (status)
		return status;
	if (group.is_share) {
		say("%s is a share group: it commits no offsets", r->group);
		return COMMAND_REFUSED;
	}
	if (group.described.members_count > 0) {
		say("group %s has %zu members: stop them first, or they go on where they are",
		    r->group, group.described.members_count);
		return COMMAND_REFUSED;
	}
	r->partitions = group.partitions;
	r->count = group.partitions_count;
	return COMMAND_DONE;
}

/* All partitions of one topic, with what the group committed there. */
static enum command_status take_topic(struct reset *r, const char *name)
{
	struct kafka_metadata_response_topic topic;

	enum command_status status = topic_ask(r->broker, name, &topic);
	if (status)
		return status;
	size_t count = topic.partitions_count + r->count, used = 0;
	struct group_partition *all = arena_take_array(&r->broker->arena, count, sizeof(*all));
	for (size_t i = 0; i < topic.partitions_count; i++)
		all[used++] = (struct group_partition) {
			.topic = topic.name,
			.partition = topic.partitions[i].partition_index,
			.committed = -1,
		};
	for (size_t i = 0; i < r->count; i++)
		if (slice_equal(r->partitions[i].topic, topic.name))
			all[used++] = r->partitions[i];
	r->partitions = all;
	r->count = group_merge(all, used);
	return COMMAND_DONE;
}

/* Of the topic only one partition. */
static enum command_status keep_partition(struct reset *r, const char *text)
{
	uint64_t number = 0;
	size_t kept = 0;

	if (text_to_u64(slice_from(text), INT32_MAX, &number)) {
		say("--partition %s is not the number of a partition", text);
		return COMMAND_MISUSED;
	}
	for (size_t i = 0; i < r->count; i++)
		if (r->partitions[i].partition == (int32_t)number)
			r->partitions[kept++] = r->partitions[i];
	r->count = kept;
	if (kept > 0)
		return COMMAND_DONE;
	say("the topic has no partition %s", text);
	return COMMAND_NOT_FOUND;
}

static enum command_status choose(struct reset *r, const struct command_line *l)
{
	const char *topic = command_line_value(l, FLAG_TOPIC, NULL);
	const char *partition = command_line_value(l, FLAG_PARTITION, NULL);
	bool exists = true;

	if (partition && !topic) {
		say("--partition %s needs --topic NAME", partition);
		return COMMAND_MISUSED;
	}

	enum command_status status =
		topic ? group_exists(r->broker, r->group, &exists) : COMMAND_DONE;
	if (!status && exists)
		status = take_group(r);
	if (!status && topic)
		status = take_topic(r, topic);
	if (!status && partition)
		status = keep_partition(r, partition);
	if (!status && r->count == 0) {
		say("group %s has committed nothing: --topic NAME says where it is to begin",
		    r->group);
		return COMMAND_NOT_FOUND;
	}
	return status;
}

/* --- where to ----------------------------------------------------------------------------------
 */

static enum command_status find_places(struct reset *r, const struct where *to)
{
	r->places = arena_take_array(&r->broker->arena, r->count, sizeof(*r->places));
	for (size_t i = 0; i < r->count; i++)
		r->places[i] = (struct place) {
			.topic = r->partitions[i].topic,
			.partition = r->partitions[i].partition,
			.from = r->partitions[i].committed,
		};
	enum command_status status = places_find(r->broker, to, false, r->places, r->count);
	for (size_t i = 0; !status && i < r->count; i++)
		if (to->kind == WHERE_RELATIVE && r->partitions[i].committed < 0)
			r->places[i].offset = -1; /* there is nothing to count from */
	return status;
}

/* --- doing it ----------------------------------------------------------------------------------
 */

static void fill_commit(struct reset *r, struct kafka_offset_commit_request *ret)
{
	struct arena *a = &r->broker->arena;
	struct kafka_offset_commit_request_partition *partitions =
		arena_take_array(a, r->count, sizeof(*partitions));
	struct kafka_offset_commit_request_topic *topic = NULL;
	size_t used = 0;

	*ret = (struct kafka_offset_commit_request) {
		.group_id = slice_from(r->group),
		.generation_id_or_member_epoch = -1,
		.member_id = SLICE(""),
		.retention_time_ms = -1,
		.topics = arena_take_array(a, r->count, sizeof(*ret->topics)),
	};
	for (size_t i = 0; i < r->count; i++) {
		if (r->places[i].offset < 0)
			continue;
		if (!topic || !slice_equal(topic->name, r->partitions[i].topic)) {
			topic = &ret->topics[ret->topics_count++];
			topic->name = r->partitions[i].topic;
			topic->partitions = &partitions[used];
		}
		topic->partitions_count++;
		partitions[used++] = (struct kafka_offset_commit_request_partition) {
			.partition_index = r->partitions[i].partition,
			.committed_offset = r->places[i].offset,
			.committed_leader_epoch = -1,
			.committed_metadata = SLICE(""),
		};
	}
}

static enum command_status commit(struct reset *r)
{
	struct kafka_offset_commit_request request;
	struct kafka_offset_commit_response response;
	struct arena *a = &r->broker->arena;

	fill_commit(r, &request);
	if (request.topics_count == 0)
		return COMMAND_DONE;
	enum command_status status = broker_ask(r->broker, KAFKA_API_OFFSET_COMMIT,
						OFFSET_COMMIT_VERSION_MAX, &request, &response);
	if (status == COMMAND_UNREACHABLE)
		say_more("It may have been done nevertheless: `hanse group describe %s` shows it.",
			 r->group);
	for (size_t i = 0; !status && i < response.topics_count; i++) {
		const struct kafka_offset_commit_response_topic *topic = &response.topics[i];
		for (size_t j = 0; j < topic->partitions_count; j++)
			if (topic->partitions[j].error_code)
				status = broker_refused(
					arena_format(a, "%.*s, partition %" PRId32,
						     SLICE_ARG(topic->name),
						     topic->partitions[j].partition_index),
					topic->partitions[j].error_code, (struct slice) { 0 });
	}
	return status;
}

static enum command_status print_json(const struct reset *r, bool is_done)
{
	json_t *partitions = json_array();

	for (size_t i = 0; i < r->count; i++)
		json_array_append_new(partitions,
				      json_pack("{s:o, s:i, s:o, s:o}", "topic",
						output_json_text(r->partitions[i].topic),
						"partition", (int)r->partitions[i].partition,
						"committed_offset",
						output_json_offset(r->partitions[i].committed),
						"new_offset",
						output_json_offset(r->places[i].offset)));
	return output_json(json_pack("{s:s, s:b, s:o}", "group", r->group, "executed", (int)is_done,
				     "partitions", partitions));
}

static void print_text(struct reset *r)
{
	const char *const headings[] = { "TOPIC", "PARTITION", "COMMITTED", "NEW", NULL };
	struct table t;

	table_init(&t, &r->broker->arena, headings);
	for (size_t i = 0; i < r->count; i++) {
		table_add_text(&t, r->partitions[i].topic);
		table_add_number(&t, r->partitions[i].partition);
		table_add_number(&t, r->partitions[i].committed);
		table_add_number(&t, r->places[i].offset);
	}
	table_print(&t, stdout);
	table_done(&t);
}

static enum command_status reset(struct reset *r, const struct command_line *l)
{
	bool is_done = command_line_has(l, FLAG_EXECUTE);
	const char *text = command_line_value(l, FLAG_TO, NULL);
	struct where to;

	if (!text || where_parse(text, (uint64_t)clock_wall_ms(), &to)) {
		say("--to %s: earliest, latest, an offset, -N or +N from what is committed, a time "
		    "as in 2026-11-22T14:00Z, or 30m ago",
		    text ? text : "is missing");
		return COMMAND_MISUSED;
	}
	enum command_status status = broker_open(r->broker, l);
	if (!status)
		status = choose(r, l);
	if (!status)
		status = find_places(r, &to);
	if (!status && is_done)
		status = commit(r);
	if (status)
		return status;
	if (command_line_has(l, FLAG_JSON))
		return print_json(r, is_done);
	print_text(r);
	if (!is_done)
		say("nothing was changed: --execute does it");
	return COMMAND_DONE;
}

enum command_status group_reset_run(const struct command_line *l)
{
	struct broker b = { .client.socket.fd = -1 };
	struct reset r = { .broker = &b, .group = l->arguments[0] };

	arena_init(&b.arena);
	enum command_status status = reset(&r, l);
	broker_close(&b);
	return status;
}
