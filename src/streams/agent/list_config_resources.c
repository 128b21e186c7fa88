/* ListConfigResources: topics and brokers, which all have settings, and groups for which something
 * is set.  Version 0 asks for subscriptions of client metrics, of which there are none. */
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "streams/agent/synced.h"
#include "streams/catalog/config.h"
#include "wire/kafka/errors.h"

enum { RESOURCE_TYPES_FIRST = 1, RESOURCE_TYPES_MAX = 100 };

struct listing {
	struct request *r;
	struct kafka_list_config_resources_response response;
	size_t capacity;
};

static bool is_known(int8_t type)
{
	return type == CONFIG_TOPIC || type == CONFIG_BROKER || type == CONFIG_BROKER_LOGGER ||
	       type == CONFIG_CLIENT_METRICS || type == CONFIG_GROUP;
}

static bool is_wanted(const struct kafka_list_config_resources_request *request, int8_t type)
{
	if (request->resource_types_count == 0)
		return true;
	for (size_t i = 0; i < request->resource_types_count; i++)
		if (request->resource_types[i] == type)
			return true;
	return false;
}

static void make_room(struct listing *l, size_t count)
{
	struct kafka_list_config_resources_response_resource *all =
		arena_take_array(&l->r->arena, l->response.config_resources_count + count,
				 sizeof(*all));

	if (l->response.config_resources_count)
		memcpy(all, l->response.config_resources,
		       l->response.config_resources_count * sizeof(*all));
	l->response.config_resources = all;
}

static void add(struct listing *l, int8_t type, struct slice name)
{
	l->response.config_resources[l->response.config_resources_count++] =
		(struct kafka_list_config_resources_response_resource) { name, type };
}

static enum err add_topics(struct listing *l)
{
	struct catalog_topic *topics;
	size_t count;
	enum err err =
		catalog_topics(&l->r->arena, replica_cell(l->r->agent->replica), &topics, &count);

	if (err)
		return err;
	make_room(l, count);
	for (size_t i = 0; i < count; i++)
		add(l, CONFIG_TOPIC, topics[i].name);
	return OK;
}

static enum err add_brokers(struct listing *l)
{
	struct catalog_agent *agents;
	size_t count;
	enum err err =
		catalog_agents(&l->r->arena, replica_cell(l->r->agent->replica), &agents, &count);

	if (err)
		return err;
	make_room(l, count);
	for (size_t i = 0; i < count; i++)
		if (agents[i].is_live)
			add(l, CONFIG_BROKER,
			    slice_from(arena_format(&l->r->arena, "%d", agents[i].node_id)));
	return OK;
}

static enum err add_groups(struct listing *l)
{
	struct slice *groups;
	size_t count;
	enum err err = config_resources(&l->r->arena, replica_cell(l->r->agent->replica),
					CONFIG_GROUP, &groups, &count);

	if (err)
		return err;
	make_room(l, count);
	for (size_t i = 0; i < count; i++)
		add(l, CONFIG_GROUP, groups[i]);
	return OK;
}

static enum step list_config_resources_answer(struct request *r, const void *decoded,
					      bool is_current)
{
	const struct kafka_list_config_resources_request *request = decoded;
	struct listing l = { .r = r };
	enum err err = OK;

	if (request->resource_types_count > RESOURCE_TYPES_MAX)
		return request_refuse(r, "ListConfigResources asks for %zu types",
				      request->resource_types_count);
	schema_defaults(r->api->response, &l.response);
	if (!request_may(r, GRANT_DESCRIBE_CONFIGS, GRANT_CLUSTER, GRANT_CLUSTER_NAME))
		l.response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
	else if (!is_current)
		l.response.error_code = KAFKA_REQUEST_TIMED_OUT;
	for (size_t i = 0; i < request->resource_types_count; i++)
		if (!is_known(request->resource_types[i]))
			l.response.error_code = KAFKA_UNSUPPORTED_VERSION;
	if (l.response.error_code || r->header.api_version < RESOURCE_TYPES_FIRST)
		return request_answer(r, &l.response);
	if (is_wanted(request, CONFIG_TOPIC))
		err = add_topics(&l);
	if (!err && is_wanted(request, CONFIG_BROKER))
		err = add_brokers(&l);
	if (!err && is_wanted(request, CONFIG_GROUP))
		err = add_groups(&l);
	if (err) {
		l.response.config_resources_count = 0;
		l.response.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
	}
	return request_answer(r, &l.response);
}

static enum step list_config_resources_step(struct request *r)
{
	return synced_step(r, list_config_resources_answer);
}

const struct operation list_config_resources_operation = {
	.api_key = KAFKA_API_LIST_CONFIG_RESOURCES,
	.may_overlap = true,
	.state_bytes = sizeof(struct synced),
	.places = synced_places,
	.place_count = SYNCED_PLACES,
	.step = list_config_resources_step,
};
