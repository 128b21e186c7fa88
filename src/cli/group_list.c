/* hanse group list: ListGroups. */
#include <stdlib.h>

#include "cli/broker.h"
#include "cli/output.h"
#include "cli/table.h"

static int by_name(const void *a, const void *b)
{
	const struct kafka_list_groups_response_group *left = a, *right = b;

	return slice_compare(left->group_id, right->group_id);
}

static enum command_status ask(struct broker *b, struct kafka_list_groups_response *ret)
{
	struct kafka_list_groups_request request = { 0 };

	enum command_status status = broker_ask(b, KAFKA_API_LIST_GROUPS, INT16_MAX, &request, ret);
	if (status)
		return status;
	if (ret->error_code)
		return broker_refused("the groups are not told", ret->error_code,
				      (struct slice) { 0 });
	if (ret->groups_count > 1)
		qsort(ret->groups, ret->groups_count, sizeof(ret->groups[0]), by_name);
	return COMMAND_DONE;
}

/* Old brokers do not tell the state. */
static struct slice known(struct slice s)
{
	return s.size ? s : (struct slice) { 0 };
}

static enum command_status print_json(const struct kafka_list_groups_response *response)
{
	json_t *groups = json_array();

	for (size_t i = 0; i < response->groups_count; i++) {
		const struct kafka_list_groups_response_group *group = &response->groups[i];
		json_array_append_new(groups, json_pack("{s:o, s:o, s:o}", "name",
							output_json_text(group->group_id), "state",
							output_json_text(known(group->group_state)),
							"protocol_type",
							output_json_text(group->protocol_type)));
	}
	return output_json(json_pack("{s:o}", "groups", groups));
}

static enum command_status print_text(struct broker *b,
				      const struct kafka_list_groups_response *response)
{
	const char *const headings[] = { "GROUP", "STATE", NULL };
	struct table t;

	if (response->groups_count == 0) {
		say("there are no groups: a consumer makes one when it joins or commits");
		return COMMAND_DONE;
	}
	table_init(&t, &b->arena, headings);
	for (size_t i = 0; i < response->groups_count; i++) {
		table_add_text(&t, response->groups[i].group_id);
		table_add_text(&t, known(response->groups[i].group_state));
	}
	table_print(&t, stdout);
	table_done(&t);
	return COMMAND_DONE;
}

enum command_status group_list_run(const struct command_line *l)
{
	struct kafka_list_groups_response response;
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = ask(&b, &response);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_json(&response)
							: print_text(&b, &response);
	broker_close(&b);
	return status;
}
