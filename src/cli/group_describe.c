/* hanse group describe: members, assignments, committed offsets and lag. */
#include <inttypes.h>

#include "cli/group.h"
#include "cli/output.h"
#include "cli/table.h"

/* Empty is "none". */
static struct slice known(struct slice s)
{
	return s.size ? s : (struct slice) { 0 };
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static json_t *assignment_json(const struct assignment *assignment)
{
	json_t *topics = json_array();

	for (size_t i = 0; i < assignment->topics_count; i++) {
		const struct assignment_topic *topic = &assignment->topics[i];
		json_t *partitions = json_array();
		for (size_t j = 0; j < topic->partitions_count; j++)
			json_array_append_new(partitions, json_integer(topic->partitions[j]));
		json_array_append_new(topics, json_pack("{s:o, s:o}", "topic",
							output_json_text(topic->name), "partitions",
							partitions));
	}
	return topics;
}

static json_t *members_json(const struct group *g)
{
	json_t *members = json_array();

	for (size_t i = 0; i < g->described.members_count; i++) {
		const struct kafka_describe_groups_response_member *member =
			&g->described.members[i];
		json_array_append_new(members,
				      json_pack("{s:o, s:o, s:o, s:o, s:o}", "id",
						output_json_text(member->member_id), "instance",
						output_json_text(member->group_instance_id),
						"client", output_json_text(member->client_id),
						"host", output_json_text(member->client_host),
						"assignments",
						assignment_json(&g->assignments[i])));
	}
	return members;
}

static json_t *partitions_json(const struct group *g)
{
	json_t *partitions = json_array();

	for (size_t i = 0; i < g->partitions_count; i++) {
		const struct group_partition *p = &g->partitions[i];
		json_array_append_new(partitions,
				      json_pack("{s:o, s:i, s:o, s:o, s:o, s:o}", "topic",
						output_json_text(p->topic), "partition",
						(int)p->partition, "committed_offset",
						output_json_offset(p->committed), "next_offset",
						output_json_offset(p->next), "lag",
						output_json_offset(group_partition_lag(p)),
						"member", output_json_text(p->member_id)));
	}
	return partitions;
}

static enum command_status print_json(const struct group *g)
{
	return output_json(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
				     output_json_text(g->described.group_id), "state",
				     output_json_text(g->described.group_state), "protocol_type",
				     output_json_text(g->described.protocol_type), "protocol",
				     output_json_text(known(g->described.protocol_data)), "lag",
				     output_json_offset(group_lag(g)), "members", members_json(g),
				     "partitions", partitions_json(g)));
}

/* --- text --------------------------------------------------------------------------------------
 */

static void print_head(struct broker *b, const struct group *g)
{
	int64_t lag = group_lag(g);
	struct table t;

	table_init(&t, &b->arena, NULL);
	table_add_text(&t, SLICE("group"));
	table_add_text(&t, g->described.group_id);
	table_add_text(&t, SLICE("state"));
	table_add_text(&t, g->described.group_state);
	table_add_text(&t, SLICE("protocol"));
	table_add_text(&t, known(g->described.protocol_data));
	table_add_text(&t, SLICE("lag"));
	table_add_text(&t, lag < 0 ? (struct slice) { 0 }
				   : slice_from(arena_format(&b->arena, "%" PRId64, lag)));
	table_print(&t, stdout);
	table_done(&t);
}

static void print_partitions(struct broker *b, const struct group *g)
{
	const char *const headings[] = { "TOPIC", "PARTITION", "COMMITTED", "NEXT",
					 "LAG",	  "MEMBER",    NULL };
	struct table t;

	table_init(&t, &b->arena, headings);
	for (size_t i = 0; i < g->partitions_count; i++) {
		const struct group_partition *p = &g->partitions[i];
		table_add_text(&t, p->topic);
		table_add_number(&t, p->partition);
		table_add_number(&t, p->committed);
		table_add_number(&t, p->next);
		table_add_number(&t, group_partition_lag(p));
		table_add_text(&t, p->member_id);
	}
	table_print(&t, stdout);
	table_done(&t);
}

static void print_members(struct broker *b, const struct group *g)
{
	const char *const headings[] = { "MEMBER", "CLIENT", "HOST", "PARTITIONS", NULL };
	struct table t;

	table_init(&t, &b->arena, headings);
	for (size_t i = 0; i < g->described.members_count; i++) {
		const struct kafka_describe_groups_response_member *member =
			&g->described.members[i];
		table_add_text(&t, member->member_id);
		table_add_text(&t, known(member->client_id));
		table_add_text(&t, known(member->client_host));
		table_add_number(&t, (int64_t)g->assignments[i].partitions_count);
	}
	table_print(&t, stdout);
	table_done(&t);
}

static enum command_status print_text(struct broker *b, const struct group *g)
{
	print_head(b, g);
	if (g->partitions_count > 0) {
		putchar('\n');
		print_partitions(b, g);
	}
	if (g->described.members_count > 0) {
		putchar('\n');
		print_members(b, g);
	}
	return COMMAND_DONE;
}

enum command_status group_describe_run(const struct command_line *l)
{
	struct group group;
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = group_ask(&b, l->arguments[0], &group);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_json(&group)
							: print_text(&b, &group);
	broker_close(&b);
	return status;
}
