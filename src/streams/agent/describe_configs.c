/* DescribeConfigs: how topics, groups and this broker behave, in Kafka's words.  Linearizable: who
 * has changed something sees it. */
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "streams/agent/synced.h"
#include "streams/catalog/config.h"
#include "wire/kafka/errors.h"

enum { CONFIG_RESOURCES_MAX = 10000 };

_Static_assert(AGENT_REQUEST_BYTES_MAX == 104857600, "config_rows.c says otherwise");

/* One resource that is described. */
struct description {
	struct request *r;
	const struct kafka_describe_configs_request *request;
	const struct kafka_describe_configs_request_resource *asked;
	enum config_kind kind;
	struct config_value *own; /* set for this resource */
	size_t own_count;
	struct config_value *shared; /* set for all brokers */
	size_t shared_count;
	struct kafka_describe_configs_response_result *ret;
};

static struct slice number_text(struct request *r, int64_t value)
{
	return slice_from(arena_format(&r->arena, "%lld", (long long)value));
}

static struct slice broker_value(struct request *r, struct slice name)
{
	const struct agent_config *config = &r->agent->config;

	if (slice_equal(name, SLICE("auto.create.topics.enable")))
		return config->no_auto_create ? SLICE("false") : SLICE("true");
	if (slice_equal(name, SLICE("broker.id")))
		return number_text(r, r->agent->node_id);
	if (slice_equal(name, SLICE("broker.rack")))
		return slice_from(config->site);
	if (slice_equal(name, SLICE("connections.max.reauth.ms")))
		return number_text(r, (int64_t)config->session_ms);
	if (slice_equal(name, SLICE("num.partitions")))
		return number_text(r, config->default_partitions);
	return slice_from(arena_format(&r->arena, "PLAINTEXT://%s:%u", config->advertise_host,
				       config->advertise_port));
}

static bool is_wanted(const struct kafka_describe_configs_request_resource *asked,
		      struct slice name)
{
	if (!asked->configuration_keys || asked->configuration_keys_count == 0)
		return true;
	for (size_t i = 0; i < asked->configuration_keys_count; i++)
		if (slice_equal(asked->configuration_keys[i], name))
			return true;
	return false;
}

static enum config_source source_of(enum config_kind kind)
{
	switch (kind) {
	case CONFIG_TOPIC:
		return CONFIG_FROM_TOPIC;
	case CONFIG_GROUP:
		return CONFIG_FROM_GROUP;
	case CONFIG_BROKER:
	case CONFIG_BROKER_LOGGER:
	case CONFIG_CLIENT_METRICS:
		break;
	}
	return CONFIG_FROM_BROKER;
}

enum { SYNONYMS_MAX = 3 };

/* All values a setting has, the one that holds first. */
static size_t find_values(const struct description *d, const struct config_row *row,
			  struct kafka_describe_configs_response_synonym values[SYNONYMS_MAX])
{
	struct slice name = slice_from(row->name);
	struct slice shared_name = slice_from(row->broker_name ? row->broker_name : row->name);
	const struct config_value *own = config_value_find(d->own, d->own_count, name);
	const struct config_value *shared =
		config_value_find(d->shared, d->shared_count, shared_name);
	size_t count = 0;

	if (d->kind != CONFIG_BROKER && !row->broker_name)
		shared = NULL;
	if (own)
		values[count++] = (struct kafka_describe_configs_response_synonym) {
			name, own->value, (int8_t)source_of(d->kind)
		};
	if (shared)
		values[count++] = (struct kafka_describe_configs_response_synonym) {
			shared_name, shared->value, CONFIG_FROM_ALL_BROKERS
		};
	values[count++] = (struct kafka_describe_configs_response_synonym) {
		shared_name, row->value ? slice_from(row->value) : broker_value(d->r, name),
		row->value ? CONFIG_FROM_DEFAULT : CONFIG_FROM_START
	};
	return count;
}

static void fill_row(struct description *d, const struct config_row *row)
{
	struct kafka_describe_configs_response_synonym values[SYNONYMS_MAX];
	size_t count = find_values(d, row, values);
	struct kafka_describe_configs_response_config *told =
		&d->ret->configs[d->ret->configs_count++];

	*told = (struct kafka_describe_configs_response_config) {
		.name = slice_from(row->name),
		.value = values[0].value,
		.read_only = row->is_read_only,
		.config_source = values[0].source,
		.config_type = (int8_t)row->type,
	};
	if (d->request->include_documentation)
		told->documentation = slice_from(row->documentation);
	if (!d->request->include_synonyms)
		return;
	told->synonyms = arena_take_array(&d->r->arena, count, sizeof(*told->synonyms));
	told->synonyms_count = count;
	memcpy(told->synonyms, values, count * sizeof(*values));
}

static void refuse(struct kafka_describe_configs_response_result *ret, int16_t code,
		   const char *message)
{
	ret->error_code = code;
	ret->error_message = slice_from(message);
}

static void fill_rows(struct description *d)
{
	struct cell *cell = replica_cell(d->r->agent->replica);
	struct arena *a = &d->r->arena;
	size_t count = config_count(d->kind);

	if (config_stored(a, cell, d->kind, d->asked->resource_name, &d->own, &d->own_count) ||
	    config_stored(a, cell, CONFIG_BROKER, SLICE(""), &d->shared, &d->shared_count)) {
		refuse(d->ret, KAFKA_UNKNOWN_SERVER_ERROR, "the catalog cannot be read");
		return;
	}
	d->ret->configs = arena_take_array(a, count, sizeof(*d->ret->configs));
	for (size_t i = 0; i < count; i++) {
		struct config_row row = config_row_at(d->kind, i);
		if (is_wanted(d->asked, slice_from(row.name)))
			fill_row(d, &row);
	}
}

static void fill_topic(struct description *d)
{
	struct catalog_topic topic;

	if (!request_may(d->r, GRANT_DESCRIBE_CONFIGS, GRANT_TOPIC, d->asked->resource_name))
		refuse(d->ret, KAFKA_TOPIC_AUTHORIZATION_FAILED, "it needs DESCRIBE_CONFIGS");
	else if (!catalog_topic_name_is_valid(d->asked->resource_name))
		refuse(d->ret, KAFKA_INVALID_TOPIC_EXCEPTION, "this is no name of a topic");
	else if (catalog_topic_by_name(&d->r->arena, replica_cell(d->r->agent->replica),
				       d->asked->resource_name, &topic))
		refuse(d->ret, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
	else
		fill_rows(d);
}

/* What was set for all brokers; they have nothing else in common. */
static void fill_all_brokers(struct description *d)
{
	struct arena *a = &d->r->arena;
	struct config_row row;

	if (config_stored(a, replica_cell(d->r->agent->replica), CONFIG_BROKER, SLICE(""),
			  &d->shared, &d->shared_count))
		return;
	d->ret->configs = arena_take_array(a, d->shared_count, sizeof(*d->ret->configs));
	for (size_t i = 0; i < d->shared_count; i++)
		if (is_wanted(d->asked, d->shared[i].name) &&
		    config_find(CONFIG_BROKER, d->shared[i].name, &row))
			fill_row(d, &row);
}

static void fill_broker(struct description *d)
{
	struct slice own = number_text(d->r, d->r->agent->node_id);

	if (!request_may(d->r, GRANT_DESCRIBE_CONFIGS, GRANT_CLUSTER, GRANT_CLUSTER_NAME))
		refuse(d->ret, KAFKA_CLUSTER_AUTHORIZATION_FAILED, "it needs DESCRIBE_CONFIGS");
	else if (slice_equal(d->asked->resource_name, own))
		fill_rows(d);
	else if (d->asked->resource_name.size > 0)
		refuse(d->ret, KAFKA_INVALID_REQUEST, "ask that broker itself");
	else
		fill_all_brokers(d);
}

static void fill_resource(struct description *d)
{
	if (d->asked->resource_name.size > CONFIG_RESOURCE_BYTES_MAX) {
		refuse(d->ret, KAFKA_INVALID_REQUEST, "the name is too long");
		return;
	}
	switch (d->kind) {
	case CONFIG_TOPIC:
		fill_topic(d);
		return;
	case CONFIG_BROKER:
		fill_broker(d);
		return;
	case CONFIG_GROUP:
		if (d->asked->resource_name.size == 0)
			refuse(d->ret, KAFKA_INVALID_REQUEST, "a group has a name");
		else if (!request_may(d->r, GRANT_DESCRIBE_CONFIGS, GRANT_GROUP,
				      d->asked->resource_name))
			refuse(d->ret, KAFKA_GROUP_AUTHORIZATION_FAILED,
			       "it needs DESCRIBE_CONFIGS");
		else
			fill_rows(d);
		return;
	case CONFIG_BROKER_LOGGER:
	case CONFIG_CLIENT_METRICS:
		break;
	}
	refuse(d->ret, KAFKA_INVALID_REQUEST, "topics, brokers and groups have settings");
}

static enum step describe_configs_answer(struct request *r, const void *decoded, bool is_current)
{
	const struct kafka_describe_configs_request *request = decoded;
	struct kafka_describe_configs_response response;

	if (request->resources_count > CONFIG_RESOURCES_MAX)
		return request_refuse(r, "DescribeConfigs asks for %zu resources, the limit is %d",
				      request->resources_count, CONFIG_RESOURCES_MAX);
	schema_defaults(r->api->response, &response);
	response.results_count = request->resources_count;
	response.results =
		arena_take_array(&r->arena, request->resources_count, sizeof(*response.results));
	for (size_t i = 0; i < request->resources_count; i++) {
		struct description d = {
			.r = r,
			.request = request,
			.asked = &request->resources[i],
			.kind = (enum config_kind)request->resources[i].resource_type,
			.ret = &response.results[i],
		};
		d.ret->resource_type = d.asked->resource_type;
		d.ret->resource_name = d.asked->resource_name;
		if (is_current)
			fill_resource(&d);
		else
			refuse(d.ret, KAFKA_REQUEST_TIMED_OUT, SYNCED_TOO_LATE);
	}
	return request_answer(r, &response);
}

static enum step describe_configs_step(struct request *r)
{
	return synced_step(r, describe_configs_answer);
}

const struct operation describe_configs_operation = {
	.api_key = KAFKA_API_DESCRIBE_CONFIGS,
	.may_overlap = true,
	.state_bytes = sizeof(struct synced),
	.places = synced_places,
	.place_count = SYNCED_PLACES,
	.step = describe_configs_step,
};
