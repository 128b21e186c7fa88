/* DescribeConfigs: how topics and this broker really behave, in Kafka's words.  Nothing of it can
 * be changed through the protocol yet. */
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "streams/catalog/catalog.h"
#include "wire/kafka/errors.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { CONFIG_RESOURCES_MAX = 10000 };
enum { SOURCE_STATIC_BROKER = 4, SOURCE_DEFAULT = 5 };
enum {
	TYPE_BOOLEAN = 1,
	TYPE_STRING = 2,
	TYPE_INT = 3,
	TYPE_LONG = 5,
	TYPE_LIST = 7,
};

struct config_row {
	const char *name;
	const char *value; /* NULL: see broker_value() */
	int8_t type;
	int8_t source;
	const char *documentation;
};

/* AGENT_MESSAGE_BYTES_MAX, in text. */
#define MESSAGE_BYTES_MAX "1048588"
_Static_assert(AGENT_MESSAGE_BYTES_MAX == 1048588, "MESSAGE_BYTES_MAX says otherwise");

static const struct config_row topic_rows[] = {
	{ "cleanup.policy", "delete", TYPE_LIST, SOURCE_DEFAULT,
	  "What becomes of old records: they are deleted." },
	{ "compression.type", "producer", TYPE_STRING, SOURCE_DEFAULT,
	  "Batches stay compressed as the producer sent them." },
	{ "delete.retention.ms", "86400000", TYPE_LONG, SOURCE_DEFAULT,
	  "How long tombstones of compacted topics are kept." },
	{ "max.message.bytes", MESSAGE_BYTES_MAX, TYPE_INT, SOURCE_DEFAULT,
	  "The largest batch that is accepted." },
	{ "message.format.version", "3.0-IV1", TYPE_STRING, SOURCE_DEFAULT,
	  "The format of batches: message format 2." },
	{ "message.timestamp.type", "CreateTime", TYPE_STRING, SOURCE_DEFAULT,
	  "Records have the time their producer gave them." },
	{ "min.insync.replicas", "1", TYPE_INT, SOURCE_DEFAULT,
	  "An acknowledged batch is durable in the bucket; there are no replicas to wait for." },
	{ "retention.bytes", "-1", TYPE_LONG, SOURCE_DEFAULT,
	  "How large a partition may become; -1: no limit." },
	{ "retention.ms", "-1", TYPE_LONG, SOURCE_DEFAULT,
	  "How long records are kept; -1: no limit." },
	{ "unclean.leader.election.enable", "false", TYPE_BOOLEAN, SOURCE_DEFAULT,
	  "No acknowledged record is given up for availability." },
};

static const struct config_row broker_rows[] = {
	{ "advertised.listeners", NULL, TYPE_STRING, SOURCE_STATIC_BROKER,
	  "What clients are told to connect to." },
	{ "auto.create.topics.enable", "true", TYPE_BOOLEAN, SOURCE_DEFAULT,
	  "Topics are created when a client that allows it asks for them." },
	{ "broker.id", NULL, TYPE_INT, SOURCE_STATIC_BROKER, "The number of this node." },
	{ "broker.rack", NULL, TYPE_STRING, SOURCE_STATIC_BROKER, "The site of this node." },
	{ "compression.type", "producer", TYPE_STRING, SOURCE_DEFAULT,
	  "Batches stay compressed as the producer sent them." },
	{ "default.replication.factor", "1", TYPE_INT, SOURCE_DEFAULT,
	  "Durability is the bucket's business." },
	{ "delete.topic.enable", "true", TYPE_BOOLEAN, SOURCE_DEFAULT, "Topics can be deleted." },
	{ "log.cleanup.policy", "delete", TYPE_LIST, SOURCE_DEFAULT,
	  "What becomes of old records: they are deleted." },
	{ "log.message.timestamp.type", "CreateTime", TYPE_STRING, SOURCE_DEFAULT,
	  "Records have the time their producer gave them." },
	{ "log.retention.bytes", "-1", TYPE_LONG, SOURCE_DEFAULT,
	  "How large a partition may become; -1: no limit." },
	{ "log.retention.ms", "-1", TYPE_LONG, SOURCE_DEFAULT,
	  "How long records are kept; -1: no limit." },
	{ "message.max.bytes", MESSAGE_BYTES_MAX, TYPE_INT, SOURCE_DEFAULT,
	  "The largest batch that is accepted." },
	{ "min.insync.replicas", "1", TYPE_INT, SOURCE_DEFAULT,
	  "An acknowledged batch is durable in the bucket; there are no replicas to wait for." },
	{ "num.partitions", NULL, TYPE_INT, SOURCE_STATIC_BROKER,
	  "Partitions of a topic that is created without saying how many." },
	{ "socket.request.max.bytes", "104857600", TYPE_INT, SOURCE_DEFAULT,
	  "The largest request that is read." },
};
_Static_assert(AGENT_REQUEST_BYTES_MAX == 104857600, "broker_rows says otherwise");

enum {
	TOPIC_ROWS = sizeof(topic_rows) / sizeof(topic_rows[0]),
	BROKER_ROWS = sizeof(broker_rows) / sizeof(broker_rows[0]),
};

static struct slice number_text(struct request *r, int64_t value)
{
	return slice_from(arena_format(&r->arena, "%lld", (long long)value));
}

static struct slice broker_value(struct request *r, struct slice name)
{
	const struct agent_config *config = &r->agent->config;

	if (slice_equal(name, SLICE("broker.id")))
		return number_text(r, r->agent->node_id);
	if (slice_equal(name, SLICE("broker.rack")))
		return slice_from(config->site);
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

static void fill_rows(struct request *r, const struct kafka_describe_configs_request *request,
		      const struct kafka_describe_configs_request_resource *asked,
		      const struct config_row *rows, size_t count,
		      struct kafka_describe_configs_response_result *ret)
{
	ret->configs = arena_take_array(&r->arena, count, sizeof(*ret->configs));
	for (size_t i = 0; i < count; i++) {
		struct slice name = slice_from(rows[i].name);
		if (!is_wanted(asked, name))
			continue;
		ret->configs[ret->configs_count++] =
			(struct kafka_describe_configs_response_config) {
				.name = name,
				.value = rows[i].value ? slice_from(rows[i].value)
						       : broker_value(r, name),
				.read_only = true,
				.config_source = rows[i].source,
				.config_type = rows[i].type,
				.documentation = request->include_documentation
							 ? slice_from(rows[i].documentation)
							 : (struct slice) { 0 },
			};
	}
}

static void refuse(struct kafka_describe_configs_response_result *ret, int16_t code,
		   const char *message)
{
	ret->error_code = code;
	ret->error_message = slice_from(message);
}

static void fill_topic(struct request *r, const struct kafka_describe_configs_request *request,
		       const struct kafka_describe_configs_request_resource *asked,
		       struct kafka_describe_configs_response_result *ret)
{
	struct catalog_topic topic;

	if (!catalog_topic_name_is_valid(asked->resource_name))
		refuse(ret, KAFKA_INVALID_TOPIC_EXCEPTION, "this is no name of a topic");
	else if (catalog_topic_by_name(&r->arena, replica_cell(r->agent->replica),
				       asked->resource_name, &topic))
		refuse(ret, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
	else
		fill_rows(r, request, asked, topic_rows, TOPIC_ROWS, ret);
}

/* An empty name means what all brokers have in common, which cannot be set. */
static void fill_broker(struct request *r, const struct kafka_describe_configs_request *request,
			const struct kafka_describe_configs_request_resource *asked,
			struct kafka_describe_configs_response_result *ret)
{
	struct slice own = number_text(r, r->agent->node_id);

	if (slice_equal(asked->resource_name, own))
		fill_rows(r, request, asked, broker_rows, BROKER_ROWS, ret);
	else if (asked->resource_name.size > 0)
		refuse(ret, KAFKA_INVALID_REQUEST, "ask that broker itself");
}

static enum step describe_configs_step(struct request *r)
{
	const struct kafka_describe_configs_request *request = request_decode(r);
	struct kafka_describe_configs_response response;

	if (!request)
		return request_refuse(r, "DescribeConfigs cannot be decoded");
	if (request->resources_count > CONFIG_RESOURCES_MAX)
		return request_refuse(r, "DescribeConfigs asks for %zu resources, the limit is %d",
				      request->resources_count, CONFIG_RESOURCES_MAX);
	schema_defaults(r->api->response, &response);
	response.results_count = request->resources_count;
	response.results =
		arena_take_array(&r->arena, request->resources_count, sizeof(*response.results));
	for (size_t i = 0; i < request->resources_count; i++) {
		const struct kafka_describe_configs_request_resource *asked =
			&request->resources[i];
		struct kafka_describe_configs_response_result *result = &response.results[i];
		result->resource_type = asked->resource_type;
		result->resource_name = asked->resource_name;
		if (asked->resource_type == RESOURCE_TOPIC)
			fill_topic(r, request, asked, result);
		else if (asked->resource_type == RESOURCE_BROKER)
			fill_broker(r, request, asked, result);
		else
			refuse(result, KAFKA_INVALID_REQUEST,
			       "only topics and brokers have configurations");
	}
	return request_answer(r, &response);
}

const struct operation describe_configs_operation = {
	.api_key = KAFKA_API_DESCRIBE_CONFIGS,
	.may_overlap = true,
	.step = describe_configs_step,
};
