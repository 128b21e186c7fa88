/* hanse group list: ListGroups. */
#include <stdlib.h>

#include "cli/group.h"
#include "cli/output.h"
#include "cli/page.h"
#include "cli/table.h"

static int by_name(const void *a, const void *b)
{
	const struct kafka_list_groups_response_group *left = a, *right = b;

	return slice_compare(left->group_id, right->group_id);
}

enum command_status group_ask_all(struct broker *b, struct kafka_list_groups_response *ret)
{
	struct kafka_list_groups_request request = { 0 };
	struct broker_answers all;
	size_t count = 0;

	*ret = (struct kafka_list_groups_response) { 0 };
	enum command_status status =
		broker_ask_all(b, KAFKA_API_LIST_GROUPS, &request, sizeof(*ret), &all);
	if (status)
		return status;
	for (size_t i = 0; i < all.count; i++) {
		const struct kafka_list_groups_response *answer = all.answers[i];
		if (answer->error_code)
			return broker_refused("the groups are not told", answer->error_code,
					      (struct slice) { 0 });
		count += answer->groups_count;
	}
	ret->groups = arena_take_array(&b->arena, count, sizeof(*ret->groups));
	for (size_t i = 0; i < all.count; i++) {
		const struct kafka_list_groups_response *answer = all.answers[i];
		for (size_t j = 0; j < answer->groups_count; j++)
			ret->groups[ret->groups_count++] = answer->groups[j];
	}
	if (count > 1)
		qsort(ret->groups, count, sizeof(*ret->groups), by_name);
	/* While an agent comes or goes two may speak for one group. */
	ret->groups_count = 0;
	for (size_t i = 0; i < count; i++)
		if (i == 0 || by_name(&ret->groups[ret->groups_count - 1], &ret->groups[i]) != 0)
			ret->groups[ret->groups_count++] = ret->groups[i];
	return COMMAND_DONE;
}

/* Old brokers do not tell the state. */
static struct slice known(struct slice s)
{
	return s.size ? s : (struct slice) { 0 };
}

static enum command_status print_json(const struct kafka_list_groups_response *response,
				      const struct page *page)
{
	json_t *groups = json_array();

	for (size_t i = page->first; i < page->end; i++) {
		const struct kafka_list_groups_response_group *group = &response->groups[i];
		json_array_append_new(groups, json_pack("{s:o, s:o, s:o}", "name",
							output_json_text(group->group_id), "state",
							output_json_text(known(group->group_state)),
							"protocol_type",
							output_json_text(group->protocol_type)));
	}
	json_t *document = json_pack("{s:o}", "groups", groups);
	if (page->more_after.data)
		json_object_set_new(document, "more_after", output_json_text(page->more_after));
	return output_json(document);
}

static enum command_status print_text(struct broker *b,
				      const struct kafka_list_groups_response *response,
				      const struct page *page)
{
	const char *const headings[] = { "GROUP", "STATE", NULL };
	struct table t;

	if (response->groups_count == 0) {
		say("there are no groups: a consumer makes one when it joins or commits");
		return COMMAND_DONE;
	}
	table_init(&t, &b->arena, headings);
	for (size_t i = page->first; i < page->end; i++) {
		table_add_text(&t, response->groups[i].group_id);
		table_add_text(&t, known(response->groups[i].group_state));
	}
	table_print(&t, stdout);
	table_done(&t);
	page_say_more(page);
	return COMMAND_DONE;
}

enum command_status group_list_run(const struct command_line *l)
{
	struct kafka_list_groups_response response;
	struct page page = { 0 };
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = group_ask_all(&b, &response);
	if (!status)
		status = page_find(l, response.groups, response.groups_count,
				   sizeof(*response.groups),
				   offsetof(struct kafka_list_groups_response_group, group_id),
				   &page);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_json(&response, &page)
							: print_text(&b, &response, &page);
	broker_close(&b);
	return status;
}
