/* AlterConfigs and IncrementalAlterConfigs: settings of topics, groups and brokers (config.h).
 *
 * A resource is changed as a whole or not at all.  AlterConfigs says all that is to be set, what it
 * does not name goes back to its default; IncrementalAlterConfigs says what to change.  A setting
 * that topics fall back to can be set for all brokers only: any of them serves any topic. */
#include "base/text.h"
#include "kafka_messages.h"
#include "streams/coordinator/configs.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/operations.h"
#include "wire/kafka/errors.h"

enum {
	CHANGES_MAX = 200,	/* of one resource: more settings than there are */
	NAME_SHOWN_BYTES = 100, /* in a message, of one that is not known */
};

/* One resource on its way through, the same for both requests. */
struct alteration {
	const struct operation_call *call;
	struct cell *cell;
	struct arena *arena;
	enum config_kind kind;
	struct slice resource;
	const struct config_change *changes;
	size_t change_count;
	bool replaces; /* what is not named goes */
	bool only_checks;
	int16_t error;
	const char *message;
};

static int16_t refuse(struct alteration *n, int16_t error, const char *message)
{
	n->error = error;
	n->message = message;
	return error;
}

/* --- the resource ------------------------------------------------------------------------------
 */

static int16_t check_broker(struct alteration *n)
{
	uint64_t id;
	sqlite3_stmt *st = cell_statement(n->cell, "SELECT 1 FROM agent WHERE id = ?1");

	if (n->resource.size == 0)
		return KAFKA_NONE;
	if (text_to_u64(n->resource, INT32_MAX, &id))
		return refuse(n, KAFKA_INVALID_REQUEST, "a broker is named by its number");
	cell_bind_int(st, 1, (int64_t)id);
	bool is_there = cell_next(n->cell, st);
	sqlite3_reset(st);
	return is_there ? (int16_t)KAFKA_NONE
			: refuse(n, KAFKA_INVALID_REQUEST, "there is no such broker");
}

static int16_t check_access(struct alteration *n)
{
	static const char why[] = "it needs ALTER_CONFIGS";

	if (n->kind == CONFIG_TOPIC &&
	    !operation_may(n->call, GRANT_ALTER_CONFIGS, GRANT_TOPIC, n->resource))
		return refuse(n, KAFKA_TOPIC_AUTHORIZATION_FAILED, why);
	if (n->kind == CONFIG_GROUP &&
	    !operation_may(n->call, GRANT_ALTER_CONFIGS, GRANT_GROUP, n->resource))
		return refuse(n, KAFKA_GROUP_AUTHORIZATION_FAILED, why);
	if (n->kind != CONFIG_TOPIC && n->kind != CONFIG_GROUP &&
	    !operation_may(n->call, GRANT_ALTER_CONFIGS, GRANT_CLUSTER, GRANT_CLUSTER_NAME))
		return refuse(n, KAFKA_CLUSTER_AUTHORIZATION_FAILED, why);
	return KAFKA_NONE;
}

static int16_t check_resource(struct alteration *n)
{
	struct catalog_topic topic;
	int16_t denied = check_access(n);

	if (denied)
		return denied;
	if (n->resource.size > CONFIG_RESOURCE_BYTES_MAX)
		return refuse(n, KAFKA_INVALID_REQUEST, "the name is too long");
	switch (n->kind) {
	case CONFIG_TOPIC:
		if (!catalog_topic_name_is_valid(n->resource))
			return refuse(n, KAFKA_INVALID_TOPIC_EXCEPTION,
				      "this is no name of a topic");
		if (catalog_topic_by_name(n->arena, n->cell, n->resource, &topic))
			return refuse(n, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				      "there is no such topic");
		return KAFKA_NONE;
	case CONFIG_BROKER:
		return check_broker(n);
	case CONFIG_GROUP:
		if (n->resource.size == 0)
			return refuse(n, KAFKA_INVALID_REQUEST, "a group has a name");
		return KAFKA_NONE;
	case CONFIG_BROKER_LOGGER:
		return refuse(n, KAFKA_INVALID_REQUEST, "brokers have no loggers to set");
	case CONFIG_CLIENT_METRICS:
		return refuse(n, KAFKA_INVALID_REQUEST, "metrics of clients are not collected");
	}
	return refuse(n, KAFKA_INVALID_REQUEST, "there is no such type of resource");
}

/* --- its settings ------------------------------------------------------------------------------
 */

static bool is_repeated(const struct alteration *n, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (slice_equal(n->changes[k].name, n->changes[i].name))
			return true;
	return false;
}

static bool is_shared(const struct alteration *n, const struct config_row *row)
{
	return n->kind == CONFIG_BROKER && row->broker_name;
}

/* The elements of `list` that are not in `without`, and then those of `added` that are not in
 * `list`. */
static struct slice change_list(struct arena *a, struct slice list, struct slice without,
				struct slice added)
{
	uint8_t *text = arena_take(a, list.size + added.size + 2);
	struct slice rest = list, item;
	size_t size = 0;

	while (config_list_next(&rest, &item)) {
		if (config_list_has(without, item))
			continue;
		if (size)
			text[size++] = ',';
		memcpy(text + size, item.data, item.size);
		size += item.size;
	}
	while (config_list_next(&added, &item)) {
		if (config_list_has(list, item))
			continue;
		if (size)
			text[size++] = ',';
		memcpy(text + size, item.data, item.size);
		size += item.size;
	}
	return (struct slice) { text, size };
}

/* The value of a list before the change. */
static struct slice find_list(struct alteration *n, const struct config_row *row)
{
	struct config_value *values;
	size_t count;

	if (config_stored(n->arena, n->cell, n->kind, n->resource, &values, &count))
		return slice_from(row->value);
	const struct config_value *found = config_value_find(values, count, slice_from(row->name));
	return found ? found->value : slice_from(row->value);
}

/* The value after the change; data NULL: the default. */
static int16_t find_value(struct alteration *n, const struct config_change *change,
			  const struct config_row *row, struct slice *ret)
{
	bool is_list_change =
		change->operation == CONFIG_APPEND || change->operation == CONFIG_SUBTRACT;

	*ret = (struct slice) { 0 };
	if (change->operation == CONFIG_DELETE)
		return KAFKA_NONE;
	if (change->operation != CONFIG_SET && !is_list_change)
		return refuse(n, KAFKA_INVALID_REQUEST, "there is no such operation");
	if (!change->value.data)
		return refuse(n, n->replaces ? KAFKA_INVALID_CONFIG : KAFKA_INVALID_REQUEST,
			      arena_format(n->arena, "%s has no value", row->name));
	*ret = change->value;
	if (!is_list_change)
		return KAFKA_NONE;
	if (row->type != CONFIG_LIST)
		return refuse(n, KAFKA_INVALID_CONFIG,
			      arena_format(n->arena, "%s is no list", row->name));
	*ret = change->operation == CONFIG_APPEND
		       ? change_list(n->arena, find_list(n, row), SLICE(""), change->value)
		       : change_list(n->arena, find_list(n, row), change->value, SLICE(""));
	return KAFKA_NONE;
}

static int16_t check_change(struct alteration *n, size_t i, struct slice *ret_value)
{
	const struct config_change *change = &n->changes[i];
	struct config_row row;

	if (is_repeated(n, i))
		return refuse(n, KAFKA_INVALID_REQUEST, "a setting is named twice");
	if (!config_find(n->kind, change->name, &row))
		return refuse(n, KAFKA_INVALID_CONFIG,
			      arena_format(n->arena, "there is no setting %.*s",
					   (int)slice_part(change->name, 0, NAME_SHOWN_BYTES).size,
					   change->name.data));
	if (row.is_read_only)
		return refuse(n, KAFKA_INVALID_REQUEST,
			      arena_format(n->arena, "%s cannot be changed while a broker runs",
					   row.name));
	if (is_shared(n, &row) && n->resource.size > 0)
		return refuse(n, KAFKA_INVALID_REQUEST,
			      arena_format(n->arena,
					   "%s is set for all brokers at once: any of them"
					   " serves any topic and group",
					   row.name));
	int16_t error = find_value(n, change, &row, ret_value);
	if (error || !ret_value->data)
		return error;
	const char *fault = config_value_fault(n->arena, &row, *ret_value);
	if (fault)
		return refuse(n, KAFKA_INVALID_CONFIG,
			      arena_format(n->arena, "%s cannot have this value: %s", row.name,
					   fault));
	return KAFKA_NONE;
}

enum err config_write(struct cell *cell, enum config_kind kind, struct slice resource,
		      struct slice name, struct slice value)
{
	sqlite3_stmt *st = cell_statement(
		cell, value.data ? "INSERT INTO config (kind, resource, name, value)"
				   " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (kind, resource, name)"
				   " DO UPDATE SET value = ?4 WHERE value <> ?4"
				 : "DELETE FROM config WHERE kind = ?1 AND resource = ?2"
				   " AND name = ?3");

	cell_bind_int(st, 1, kind);
	cell_bind_text(st, 2, resource);
	cell_bind_text(st, 3, name);
	if (value.data)
		cell_bind_text(st, 4, value);
	return cell_execute(cell, st);
}

enum err config_forget(struct cell *cell, enum config_kind kind, struct slice resource)
{
	sqlite3_stmt *st =
		cell_statement(cell, "DELETE FROM config WHERE kind = ?1 AND resource = ?2");

	cell_bind_int(st, 1, kind);
	cell_bind_text(st, 2, resource);
	return cell_execute(cell, st);
}

/* The number that will hold for the topic. */
static int64_t find_number(struct alteration *n, const struct slice *values, const char *name)
{
	struct config_row row;
	struct config_value *stored;
	size_t count = 0;
	int64_t number;

	if (!config_find(CONFIG_TOPIC, slice_from(name), &row))
		return 0;
	const char *fallback = row.value;
	for (size_t i = 0; i < n->change_count; i++)
		if (slice_equal(n->changes[i].name, slice_from(name)) && values[i].data)
			return config_number(values[i], 0);
	number = config_broker_number(n->cell, row.broker_name,
				      config_number(slice_from(fallback), 0));
	for (size_t i = 0; i < n->change_count; i++)
		if (slice_equal(n->changes[i].name, slice_from(name)))
			return number;
	if (n->replaces || config_stored(n->arena, n->cell, n->kind, n->resource, &stored, &count))
		return number;
	const struct config_value *found = config_value_find(stored, count, slice_from(name));
	return found ? config_number(found->value, number) : number;
}

/* What two settings of a topic say together. */
static int16_t check_together(struct alteration *n, const struct slice *values)
{
	if (n->kind != CONFIG_TOPIC)
		return KAFKA_NONE;
	int64_t min_ms = find_number(n, values, "min.compaction.lag.ms");
	int64_t max_ms = find_number(n, values, "max.compaction.lag.ms");
	if (min_ms <= max_ms)
		return KAFKA_NONE;
	return refuse(n, KAFKA_INVALID_CONFIG,
		      arena_format(n->arena,
				   "min.compaction.lag.ms (%lld) is more than"
				   " max.compaction.lag.ms (%lld)",
				   (long long)min_ms, (long long)max_ms));
}

int16_t config_check_topic(struct arena *a, struct cell *cell, const struct config_change *changes,
			   size_t count, const char **ret_message)
{
	struct alteration n = {
		.cell = cell,
		.arena = a,
		.kind = CONFIG_TOPIC,
		.changes = changes,
		.change_count = count,
		.replaces = true,
	};
	struct slice *values = arena_take_array(a, count + 1, sizeof(*values));

	for (size_t i = 0; i < count && !n.error; i++)
		check_change(&n, i, &values[i]);
	if (!n.error)
		check_together(&n, values);
	*ret_message = n.message;
	return n.error;
}

static enum err alter(struct alteration *n)
{
	struct slice *values;
	enum err err = OK;

	if (n->error || check_resource(n))
		return OK;
	if (n->change_count > CHANGES_MAX) {
		refuse(n, KAFKA_INVALID_REQUEST, "too many settings");
		return OK;
	}
	values = arena_take_array(n->arena, n->change_count, sizeof(*values));
	for (size_t i = 0; i < n->change_count; i++)
		if (check_change(n, i, &values[i]))
			return OK;
	if (check_together(n, values))
		return OK;
	if (n->only_checks)
		return OK;
	if (n->replaces)
		err = config_forget(n->cell, n->kind, n->resource);
	for (size_t i = 0; i < n->change_count && !err; i++)
		err = config_write(n->cell, n->kind, n->resource, n->changes[i].name, values[i]);
	if (n->kind == CONFIG_TOPIC || n->kind == CONFIG_BROKER)
		expiry_changed(n->call->coordinator);
	return err;
}

/* --- IncrementalAlterConfigs -------------------------------------------------------------------
 */

static void fill_result(const struct alteration *n, int8_t kind,
			struct kafka_incremental_alter_configs_response_resource *ret)
{
	*ret = (struct kafka_incremental_alter_configs_response_resource) {
		.error_code = n->error,
		.error_message = n->message ? slice_from(n->message) : (struct slice) { 0 },
		.resource_type = kind,
		.resource_name = n->resource,
	};
}

/* `replaces`: as AlterConfigs does. */
static enum err alter_resources(struct cell *cell, struct operation_call *call,
				const struct kafka_incremental_alter_configs_request *request,
				bool replaces,
				struct kafka_incremental_alter_configs_response *response)
{
	enum err err = OK;

	if (request->resources_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	response->responses_count = request->resources_count;
	response->responses = arena_take_array(call->arena, request->resources_count,
					       sizeof(*response->responses));
	for (size_t i = 0; i < request->resources_count && !err; i++) {
		const struct kafka_incremental_alter_configs_request_resource *asked =
			&request->resources[i];
		struct config_change *changes =
			arena_take_array(call->arena, asked->configs_count, sizeof(*changes));
		struct alteration n = {
			.call = call,
			.cell = cell,
			.arena = call->arena,
			.kind = (enum config_kind)asked->resource_type,
			.resource = asked->resource_name,
			.changes = changes,
			.change_count = asked->configs_count,
			.replaces = replaces,
			.only_checks = request->validate_only,
		};
		for (size_t k = 0; k < asked->configs_count; k++)
			changes[k] = (struct config_change) { asked->configs[k].name,
							      asked->configs[k].value,
							      asked->configs[k].config_operation };
		for (size_t k = 0; k < request->resources_count; k++)
			if (k != i && asked->resource_type == request->resources[k].resource_type &&
			    slice_equal(asked->resource_name, request->resources[k].resource_name))
				refuse(&n, KAFKA_INVALID_REQUEST, "a resource is named twice");
		err = alter(&n);
		fill_result(&n, asked->resource_type, &response->responses[i]);
	}
	return err;
}

static enum err alter_incrementally(struct cell *cell, struct operation_call *call)
{
	return alter_resources(cell, call, call->request, false, call->response);
}

static void alter_incrementally_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_incremental_alter_configs_request *request = call->request;
	struct kafka_incremental_alter_configs_response *response = call->response;

	response->responses_count = request->resources_count;
	response->responses = arena_take_array(call->arena, request->resources_count,
					       sizeof(*response->responses));
	for (size_t i = 0; i < request->resources_count; i++)
		response->responses[i] =
			(struct kafka_incremental_alter_configs_response_resource) {
				.error_code = error,
				.resource_type = request->resources[i].resource_type,
				.resource_name = request->resources[i].resource_name,
			};
}

const struct coordinator_operation incremental_alter_configs_operation = {
	.api_key = 44,
	.is_controllers = true,
	.run = alter_incrementally,
	.fail = alter_incrementally_fail,
};

/* --- AlterConfigs ------------------------------------------------------------------------------
 */

/* The same changes in the words of the other request. */
static void as_incremental(struct arena *a, const struct kafka_alter_configs_request *request,
			   struct kafka_incremental_alter_configs_request *ret)
{
	*ret = (struct kafka_incremental_alter_configs_request) {
		.resources = arena_take_array(a, request->resources_count, sizeof(*ret->resources)),
		.resources_count = request->resources_count,
		.validate_only = request->validate_only,
	};
	for (size_t i = 0; i < request->resources_count; i++) {
		const struct kafka_alter_configs_request_resource *from = &request->resources[i];
		struct kafka_incremental_alter_configs_request_resource *to = &ret->resources[i];
		to->resource_type = from->resource_type;
		to->resource_name = from->resource_name;
		to->configs_count = from->configs_count;
		to->configs = arena_take_array(a, from->configs_count, sizeof(*to->configs));
		for (size_t k = 0; k < from->configs_count; k++)
			to->configs[k] = (struct kafka_incremental_alter_configs_request_config) {
				.name = from->configs[k].name,
				.config_operation = CONFIG_SET,
				.value = from->configs[k].value,
			};
	}
}

static enum err alter_all(struct cell *cell, struct operation_call *call)
{
	struct kafka_alter_configs_response *response = call->response;
	struct kafka_incremental_alter_configs_request request;
	struct kafka_incremental_alter_configs_response answer = { 0 };

	as_incremental(call->arena, call->request, &request);
	enum err err = alter_resources(cell, call, &request, true, &answer);
	response->responses_count = answer.responses_count;
	response->responses =
		arena_take_array(call->arena, answer.responses_count, sizeof(*response->responses));
	for (size_t i = 0; i < answer.responses_count; i++)
		response->responses[i] = (struct kafka_alter_configs_response_resource) {
			.error_code = answer.responses[i].error_code,
			.error_message = answer.responses[i].error_message,
			.resource_type = answer.responses[i].resource_type,
			.resource_name = answer.responses[i].resource_name,
		};
	return err;
}

static void alter_all_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_alter_configs_request *request = call->request;
	struct kafka_alter_configs_response *response = call->response;

	response->responses_count = request->resources_count;
	response->responses = arena_take_array(call->arena, request->resources_count,
					       sizeof(*response->responses));
	for (size_t i = 0; i < request->resources_count; i++)
		response->responses[i] = (struct kafka_alter_configs_response_resource) {
			.error_code = error,
			.resource_type = request->resources[i].resource_type,
			.resource_name = request->resources[i].resource_name,
		};
}

const struct coordinator_operation alter_configs_operation = {
	.api_key = 33,
	.is_controllers = true,
	.run = alter_all,
	.fail = alter_all_fail,
};
