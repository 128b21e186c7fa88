/* hanse topic config: DescribeConfigs; with KEY=VALUE or --unset, IncrementalAlterConfigs. */
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/table.h"
#include "cli/topic.h"
#include "wire/kafka/errors.h"

enum { RESOURCE_TOPIC = 2, OPERATION_SET = 0, OPERATION_DELETE = 1 };
enum { SOURCE_TOPIC = 1, SOURCE_DEFAULT = 5 };

/* --- change ------------------------------------------------------------------------------------
 */

/* "a=b" becomes one change; the value may be empty and may have more of '='. */
static enum command_status read_change(const char *word,
				       struct kafka_incremental_alter_configs_request_config *ret)
{
	const char *equals = strchr(word, '=');

	if (!equals || equals == word) {
		say("\"%s\" is not KEY=VALUE, as in retention.ms=86400000", word);
		return COMMAND_MISUSED;
	}
	ret->name = (struct slice) { (const uint8_t *)word, (size_t)(equals - word) };
	ret->value = slice_from(equals + 1);
	ret->config_operation = OPERATION_SET;
	return COMMAND_DONE;
}

/* Each of "a,b,c". */
static size_t read_unset(const char *list,
			 struct kafka_incremental_alter_configs_request_config *ret)
{
	size_t count = 0;

	for (const char *p = list; *p;) {
		size_t size = strcspn(p, ",");
		if (size > 0)
			ret[count++] = (struct kafka_incremental_alter_configs_request_config) {
				.name = { (const uint8_t *)p, size },
				.config_operation = OPERATION_DELETE,
			};
		p += size + (p[size] != '\0');
	}
	return count;
}

static enum command_status read_changes(
	struct arena *a, const struct command_line *l,
	struct kafka_incremental_alter_configs_request_resource *ret)
{
	const char *unset = command_line_value(l, FLAG_UNSET, "");
	size_t words = (size_t)l->argument_count - 1;

	*ret = (struct kafka_incremental_alter_configs_request_resource) {
		.resource_type = RESOURCE_TOPIC,
		.resource_name = slice_from(l->arguments[0]),
		.configs = arena_take_array(a, words + strlen(unset), sizeof(*ret->configs)),
	};
	for (size_t i = 0; i < words; i++) {
		enum command_status status =
			read_change(l->arguments[i + 1], &ret->configs[ret->configs_count++]);
		if (status)
			return status;
	}
	ret->configs_count += read_unset(unset, ret->configs + ret->configs_count);
	return COMMAND_DONE;
}

static enum command_status change(struct broker *b,
				  struct kafka_incremental_alter_configs_request_resource *resource)
{
	struct kafka_incremental_alter_configs_request request = { .resources = resource,
								   .resources_count = 1 };
	struct kafka_incremental_alter_configs_response response;
	const char *what = arena_format(&b->arena, "topic %.*s is as it was",
					SLICE_ARG(resource->resource_name));

	enum command_status status =
		broker_ask(b, KAFKA_API_INCREMENTAL_ALTER_CONFIGS, INT16_MAX, &request, &response);
	if (status == COMMAND_UNREACHABLE)
		say_more("It may have been changed nevertheless: `hanse topic config %.*s` shows "
			 "it.",
			 SLICE_ARG(resource->resource_name));
	if (status)
		return status;
	if (response.responses_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	if (response.responses[0].error_code)
		return broker_refused(what, response.responses[0].error_code,
				      response.responses[0].error_message);
	return COMMAND_DONE;
}

/* --- show --------------------------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b)
{
	const struct kafka_describe_configs_response_config *left = a, *right = b;

	return slice_compare(left->name, right->name);
}

static enum command_status ask(struct broker *b, const char *name,
			       struct kafka_describe_configs_response_result *ret)
{
	struct kafka_describe_configs_request_resource resource = {
		.resource_type = RESOURCE_TOPIC,
		.resource_name = slice_from(name),
	};
	struct kafka_describe_configs_request request = { .resources = &resource,
							  .resources_count = 1 };
	struct kafka_describe_configs_response response;
	const char *what = arena_format(&b->arena, "topic %s", name);

	enum command_status status =
		broker_ask(b, KAFKA_API_DESCRIBE_CONFIGS, INT16_MAX, &request, &response);
	if (status)
		return status;
	if (response.results_count != 1)
		return broker_refused(what, KAFKA_UNKNOWN_SERVER_ERROR,
				      SLICE("the answer is about something else"));
	*ret = response.results[0];
	if (ret->error_code)
		return broker_refused(what, ret->error_code, ret->error_message);
	if (ret->configs_count > 1)
		qsort(ret->configs, ret->configs_count, sizeof(ret->configs[0]), by_name);
	return COMMAND_DONE;
}

static const char *source_text(int8_t source)
{
	return source == SOURCE_TOPIC ? "topic" : source == SOURCE_DEFAULT ? "default" : "server";
}

static enum command_status print_json(const char *name,
				      const struct kafka_describe_configs_response_result *result)
{
	json_t *configs = json_array();

	for (size_t i = 0; i < result->configs_count; i++) {
		const struct kafka_describe_configs_response_config *config = &result->configs[i];
		json_array_append_new(configs, json_pack("{s:o, s:o, s:s}", "key",
							 output_json_text(config->name), "value",
							 output_json_text(config->value), "from",
							 source_text(config->config_source)));
	}
	return output_json(json_pack("{s:s, s:o}", "name", name, "configs", configs));
}

static enum command_status print_text(struct broker *b,
				      const struct kafka_describe_configs_response_result *result)
{
	const char *const headings[] = { "KEY", "FROM", "VALUE", NULL };
	struct table t;

	table_init(&t, &b->arena, headings);
	for (size_t i = 0; i < result->configs_count; i++) {
		table_add_text(&t, result->configs[i].name);
		table_add_text(&t, slice_from(source_text(result->configs[i].config_source)));
		table_add_text(&t, result->configs[i].value);
	}
	table_print(&t, stdout);
	table_done(&t);
	return COMMAND_DONE;
}

enum command_status topic_config_run(const struct command_line *l)
{
	struct kafka_incremental_alter_configs_request_resource changes;
	struct kafka_describe_configs_response_result result = { 0 };
	struct broker b = { .client.socket.fd = -1 };
	struct arena a;

	arena_init(&a);
	arena_init(&b.arena);
	enum command_status status = read_changes(&a, l, &changes);
	if (!status)
		status = broker_open(&b, l);
	if (!status && changes.configs_count > 0)
		status = change(&b, &changes);
	if (!status)
		status = ask(&b, l->arguments[0], &result);
	if (!status)
		status = command_line_has(l, FLAG_JSON) ? print_json(l->arguments[0], &result)
							: print_text(&b, &result);
	broker_close(&b);
	arena_done(&a);
	return status;
}
