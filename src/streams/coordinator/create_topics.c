/* CreateTopics.  A replication factor means nothing here, the bucket decides durability: any
 * positive one is accepted.  Settings are those of catalog/config.h. */
#include "base/random.h"
#include "kafka_messages.h"
#include "streams/coordinator/configs.h"
#include "streams/coordinator/operations.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/topic.h"
#include "wire/kafka/errors.h"

enum {
	REPLICATION_FACTOR_SHOWN = 1,
	QUOTA_ERROR_FIRST =
		6, /* the version from which on clients know THROTTLING_QUOTA_EXCEEDED */
};

struct creation {
	struct cell *cell;
	struct operation_call *call;
	const struct kafka_create_topics_request_topic *topic;
	struct kafka_create_topics_response_topic *result;
};

static int16_t refuse(struct creation *n, int16_t error, const char *message)
{
	n->result->error_code = error;
	n->result->error_message = slice_from(message);
	return error;
}

/* Partitions given one by one must be 0, 1, 2, ... in any order. */
static int16_t check_assignments(struct creation *n)
{
	size_t count = n->topic->assignments_count;
	const char *fault;

	if (n->topic->num_partitions != -1 || n->topic->replication_factor != -1)
		return refuse(n, KAFKA_INVALID_REQUEST,
			      "give either assignments or counts, not both");
	if (count > CATALOG_PARTITIONS_MAX)
		return refuse(n, KAFKA_INVALID_PARTITIONS, "too many partitions");
	bool *seen = arena_take_array(n->call->arena, count, sizeof(bool));
	for (size_t i = 0; i < count; i++) {
		const struct kafka_create_topics_request_assignment *it = &n->topic->assignments[i];
		int32_t index = it->partition_index;
		if (index < 0 || (size_t)index >= count || seen[index])
			return refuse(n, KAFKA_INVALID_REPLICA_ASSIGNMENT,
				      "partitions must be 0, 1, 2 ... each once");
		fault = topic_brokers_fault(n->cell, it->broker_ids, it->broker_ids_count);
		if (fault)
			return refuse(n, KAFKA_INVALID_REPLICA_ASSIGNMENT, fault);
		seen[index] = true;
	}
	n->result->num_partitions = (int32_t)count;
	return KAFKA_NONE;
}

static int16_t check_counts(struct creation *n)
{
	int32_t partitions = n->topic->num_partitions;

	if (n->topic->assignments_count > 0)
		return check_assignments(n);
	if (partitions == -1)
		partitions = n->call->coordinator->config.default_partitions;
	if (partitions <= 0 || partitions > CATALOG_PARTITIONS_MAX)
		return refuse(n, KAFKA_INVALID_PARTITIONS,
			      "the number of partitions must be 1 to 10000");
	if (n->topic->replication_factor == 0 || n->topic->replication_factor < -1)
		return refuse(n, KAFKA_INVALID_REPLICATION_FACTOR,
			      "the replication factor must be positive, or -1 for the default");
	n->result->num_partitions = partitions;
	return KAFKA_NONE;
}

static int16_t check_configs(struct creation *n)
{
	struct config_change *changes =
		arena_take_array(n->call->arena, n->topic->configs_count, sizeof(*changes));
	const char *message;

	if (n->topic->configs_count > config_count(CONFIG_TOPIC))
		return refuse(n, KAFKA_INVALID_CONFIG, "there are more settings than a topic has");
	for (size_t i = 0; i < n->topic->configs_count; i++)
		changes[i] = (struct config_change) {
			.name = n->topic->configs[i].name,
			.value = n->topic->configs[i].value,
			.operation = CONFIG_SET,
		};
	int16_t error = config_check_topic(n->call->arena, n->cell, changes,
					   n->topic->configs_count, &message);
	return error ? refuse(n, error, message) : error;
}

static enum err insert_configs(struct creation *n)
{
	enum err err = OK;

	for (size_t i = 0; i < n->topic->configs_count && !err; i++)
		err = config_write(n->cell, CONFIG_TOPIC, n->topic->name, n->topic->configs[i].name,
				   n->topic->configs[i].value);
	return err;
}

/* What the topic will have, for clients that ask no more. */
static void tell_configs(struct creation *n)
{
	size_t count = config_count(CONFIG_TOPIC);
	struct config_value *shared;
	size_t shared_count;

	if (config_stored(n->call->arena, n->cell, CONFIG_BROKER, SLICE(""), &shared,
			  &shared_count))
		return;
	n->result->configs = arena_take_array(n->call->arena, count, sizeof(*n->result->configs));
	n->result->configs_count = count;
	for (size_t i = 0; i < count; i++) {
		struct config_row row = config_row_at(CONFIG_TOPIC, i);
		struct kafka_create_topics_response_config *told = &n->result->configs[i];
		const struct config_value *found = NULL;

		*told = (struct kafka_create_topics_response_config) {
			.name = slice_from(row.name),
			.value = slice_from(row.value),
			.config_source = CONFIG_FROM_DEFAULT,
		};
		if (row.broker_name)
			found = config_value_find(shared, shared_count,
						  slice_from(row.broker_name));
		if (found) {
			told->value = found->value;
			told->config_source = CONFIG_FROM_ALL_BROKERS;
		}
		for (size_t k = 0; k < n->topic->configs_count; k++)
			if (slice_equal(n->topic->configs[k].name, told->name)) {
				told->value = n->topic->configs[k].value;
				told->config_source = CONFIG_FROM_TOPIC;
			}
	}
}

static bool may_create(const struct creation *n)
{
	return operation_sees(n->call, GRANT_CREATE, GRANT_CLUSTER, GRANT_CLUSTER_NAME) ||
	       operation_may(n->call, GRANT_CREATE, GRANT_TOPIC, n->topic->name);
}

static int16_t check_topic(struct creation *n)
{
	struct catalog_topic existing;

	if (!may_create(n))
		return refuse(n, KAFKA_TOPIC_AUTHORIZATION_FAILED, "it needs CREATE");
	if (!catalog_topic_name_is_valid(n->topic->name))
		return refuse(n, KAFKA_INVALID_TOPIC_EXCEPTION,
			      "a topic name is 1 to 249 of [a-zA-Z0-9._-], not . or ..");
	enum err err = catalog_topic_by_name(n->call->arena, n->cell, n->topic->name, &existing);
	if (!err)
		return refuse(n, KAFKA_TOPIC_ALREADY_EXISTS, "the topic exists already");
	if (topic_name_collides(n->cell, n->topic->name))
		return refuse(n, KAFKA_INVALID_TOPIC_EXCEPTION,
			      "the name differs from an existing one only in . and _");
	if (topic_count(n->cell) >= COORDINATOR_TOPICS_MAX)
		return refuse(n, KAFKA_POLICY_VIOLATION, "there are too many topics");
	int16_t error = check_configs(n);
	return error ? error : check_counts(n);
}

static enum err insert_topic(struct creation *n)
{
	random_bytes(n->result->topic_id.bytes, sizeof(n->result->topic_id.bytes));

	sqlite3_stmt *st =
		cell_statement(n->cell,
			       "INSERT INTO topic (topic_id, name, partition_count, created_ms)"
			       " VALUES (?1, ?2, ?3, ?4)");
	cell_bind_blob(st, 1, (struct slice) { n->result->topic_id.bytes, 16 });
	cell_bind_text(st, 2, n->topic->name);
	cell_bind_int(st, 3, n->result->num_partitions);
	cell_bind_int(st, 4, n->call->now_ms);
	enum err err = cell_execute(n->cell, st);
	if (!err)
		err = topic_add_partitions(n->cell,
					   sqlite3_last_insert_rowid(cell_database(n->cell)), 0,
					   n->result->num_partitions);
	return err ? err : insert_configs(n);
}

static bool is_repeated(const struct kafka_create_topics_request *request, size_t i)
{
	for (size_t k = 0; k < request->topics_count; k++)
		if (k != i && slice_equal(request->topics[k].name, request->topics[i].name))
			return true;
	return false;
}

/* The configurations are an empty list: Java's admin client does not expect null. */
static void begin_result(struct creation *n)
{
	*n->result = (struct kafka_create_topics_response_topic) {
		.name = n->topic->name,
		.num_partitions = -1,
		.replication_factor = -1,
		.configs = arena_take(n->call->arena, sizeof(*n->result->configs)),
	};
}

static int16_t check_quota(struct creation *n)
{
	int16_t error =
		operation_mutate(n->cell, n->call, QUOTA_ERROR_FIRST, n->result->num_partitions);

	n->result->num_partitions = error ? -1 : n->result->num_partitions;
	return error ? refuse(n, error, "the client has changed too many partitions for now")
		     : error;
}

static enum err create_topics(struct cell *cell, struct operation_call *call)
{
	const struct kafka_create_topics_request *request = call->request;
	struct kafka_create_topics_response *response = call->response;
	enum err err = OK;

	if (request->topics_count > OPERATION_ITEMS_MAX)
		return ERR_TOO_BIG;
	response->topics_count = request->topics_count;
	response->topics =
		arena_take_array(call->arena, request->topics_count, sizeof(*response->topics));
	for (size_t i = 0; i < request->topics_count && !err; i++) {
		struct creation n = { cell, call, &request->topics[i], &response->topics[i] };
		begin_result(&n);
		if (is_repeated(request, i)) {
			refuse(&n, KAFKA_INVALID_REQUEST, "the request names this topic twice");
			continue;
		}
		if (check_topic(&n) || (!request->validate_only && check_quota(&n)))
			continue;
		n.result->replication_factor = REPLICATION_FACTOR_SHOWN;
		tell_configs(&n);
		if (!request->validate_only)
			err = insert_topic(&n);
	}
	response->throttle_time_ms = (int32_t)call->throttle_ms;
	return err;
}

static void create_topics_fail(struct operation_call *call, int16_t error)
{
	const struct kafka_create_topics_request *request = call->request;
	struct kafka_create_topics_response *response = call->response;

	response->topics_count = request->topics_count;
	response->topics =
		arena_take_array(call->arena, request->topics_count, sizeof(*response->topics));
	for (size_t i = 0; i < request->topics_count; i++) {
		struct creation n = { NULL, call, &request->topics[i], &response->topics[i] };
		begin_result(&n);
		n.result->error_code = error;
	}
}

const struct coordinator_operation create_topics_operation = {
	.api_key = 19,
	.changes_topics = true,
	.is_controllers = true,
	.run = create_topics,
	.fail = create_topics_fail,
};
