/* hanse topic list: Metadata of all topics. */
#include "cli/output.h"
#include "cli/page.h"
#include "cli/table.h"
#include "cli/topic.h"

static enum command_status print_json(const struct kafka_metadata_response *response,
				      const struct page *page)
{
	json_t *topics = json_array();

	for (size_t i = page->first; i < page->end; i++) {
		const struct kafka_metadata_response_topic *topic = &response->topics[i];
		char id[TOPIC_ID_BYTES];
		json_array_append_new(
			topics,
			json_pack("{s:o, s:o, s:I, s:b}", "name", output_json_text(topic->name),
				  "id", output_json_text(topic_id_text(id, topic->topic_id)),
				  "partitions", (json_int_t)topic->partitions_count, "internal",
				  (int)topic->is_internal));
	}
	json_t *document = json_pack("{s:o}", "topics", topics);
	if (page->more_after.data)
		json_object_set_new(document, "more_after", output_json_text(page->more_after));
	return output_json(document);
}

static enum command_status print_text(struct broker *b,
				      const struct kafka_metadata_response *response,
				      const struct page *page)
{
	const char *const headings[] = { "TOPIC", "PARTITIONS", NULL };
	struct table t;

	if (response->topics_count == 0) {
		say("there are no topics yet: `hanse topic create NAME` makes one");
		return COMMAND_DONE;
	}
	table_init(&t, &b->arena, headings);
	for (size_t i = page->first; i < page->end; i++) {
		table_add_text(&t, response->topics[i].name);
		table_add_number(&t, (int64_t)response->topics[i].partitions_count);
	}
	table_print(&t, stdout);
	table_done(&t);
	page_say_more(page);
	return COMMAND_DONE;
}

enum command_status topic_list_run(const struct command_line *l)
{
	struct kafka_metadata_response response;
	struct page page = { 0 };
	struct broker b;

	enum command_status status = broker_open(&b, l);
	if (!status)
		status = topic_ask_all(&b, &response);
	if (!status)
		status = page_find(l, response.topics, response.topics_count,
				   sizeof(*response.topics),
				   offsetof(struct kafka_metadata_response_topic, name), &page);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_json(&response, &page)
							: print_text(&b, &response, &page);
	broker_close(&b);
	return status;
}
