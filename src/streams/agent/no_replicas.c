/* What is asked of brokers with replicas, where every agent serves every partition from the one
 * bucket: there is nothing to elect, to move or to reassign, and the answers say so. */
#include "kafka_messages.h"
#include "streams/agent/features.h"
#include "streams/agent/operations.h"
#include "streams/agent/synced.h"
#include "streams/catalog/catalog.h"
#include "wire/kafka/errors.h"

enum { REPLICA_TOPICS_MAX = 10000, REPLICA_PARTITIONS_MAX = 100000 };

static const char no_replicas[] =
	"there are no replicas to move: every broker serves every partition";

static bool partition_exists(struct request *r, struct slice name, int32_t number)
{
	struct cell *cell = replica_cell(r->agent->replica);
	struct catalog_partition partition;
	struct catalog_topic topic;

	return catalog_topic_by_name(&r->arena, cell, name, &topic) == OK &&
	       catalog_partition_find(cell, topic.id, number, &partition) == OK;
}

static enum step refuse_size(struct request *r)
{
	return request_refuse(r, "%s is about more than %d topics or %d partitions", r->api->name,
			      REPLICA_TOPICS_MAX, REPLICA_PARTITIONS_MAX);
}

static bool may_alter(struct request *r)
{
	return request_may(r, GRANT_ALTER, GRANT_CLUSTER, GRANT_CLUSTER_NAME);
}

#define SYNCED_OPERATION(name, key, function)                                                      \
	static enum step name##_step(struct request *r)                                            \
	{                                                                                          \
		return synced_step(r, function);                                                   \
	}                                                                                          \
	const struct operation name##_operation = {                                                \
		.api_key = (key),                                                                  \
		.may_overlap = true,                                                               \
		.state_bytes = sizeof(struct synced),                                              \
		.places = synced_places,                                                           \
		.place_count = SYNCED_PLACES,                                                      \
		.step = name##_step,                                                               \
	}

/* --- ElectLeaders: each partition is led by whom its client asks --------------------------------
 */

static int16_t elect(struct request *r, struct slice topic, int32_t partition, bool is_current)
{
	if (!may_alter(r))
		return KAFKA_CLUSTER_AUTHORIZATION_FAILED;
	if (!is_current)
		return KAFKA_REQUEST_TIMED_OUT;
	return partition_exists(r, topic, partition) ? KAFKA_ELECTION_NOT_NEEDED
						     : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static enum step elect_leaders_answer(struct request *r, const void *decoded, bool is_current)
{
	const struct kafka_elect_leaders_request *request = decoded;
	struct kafka_elect_leaders_response response;
	size_t count = request->topic_partitions_count, partitions = 0;

	for (size_t i = 0; i < count; i++)
		partitions += request->topic_partitions[i].partitions_count;
	if (count > REPLICA_TOPICS_MAX || partitions > REPLICA_PARTITIONS_MAX)
		return refuse_size(r);
	schema_defaults(r->api->response, &response);
	/* all partitions: those for which there was an election are told, which is none */
	response.replica_election_results =
		arena_take_array(&r->arena, count, sizeof(*response.replica_election_results));
	response.replica_election_results_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct kafka_elect_leaders_request_topic *asked =
			&request->topic_partitions[i];
		struct kafka_elect_leaders_response_topic *ret =
			&response.replica_election_results[i];
		ret->topic = asked->topic;
		ret->partition_results_count = asked->partitions_count;
		ret->partition_results = arena_take_array(&r->arena, asked->partitions_count,
							  sizeof(*ret->partition_results));
		for (size_t k = 0; k < asked->partitions_count; k++) {
			ret->partition_results[k].partition_id = asked->partitions[k];
			ret->partition_results[k].error_code =
				elect(r, asked->topic, asked->partitions[k], is_current);
			ret->partition_results[k].error_message =
				slice_from(kafka_error_name(ret->partition_results[k].error_code));
		}
	}
	return request_answer(r, &response);
}

SYNCED_OPERATION(elect_leaders, KAFKA_API_ELECT_LEADERS, elect_leaders_answer);

/* --- AlterReplicaLogDirs: the bucket is the only directory --------------------------------------
 */

static int16_t move_to(struct request *r, struct slice path, struct slice topic, int32_t partition,
		       bool is_current)
{
	if (!may_alter(r))
		return KAFKA_CLUSTER_AUTHORIZATION_FAILED;
	if (!is_current)
		return KAFKA_REQUEST_TIMED_OUT;
	if (!slice_equal(path, slice_from(r->agent->config.bucket->url)))
		return KAFKA_LOG_DIR_NOT_FOUND;
	return partition_exists(r, topic, partition) ? KAFKA_NONE : KAFKA_REPLICA_NOT_AVAILABLE;
}

static enum step alter_replica_log_dirs_answer(struct request *r, const void *decoded,
					       bool is_current)
{
	const struct kafka_alter_replica_log_dirs_request *request = decoded;
	struct kafka_alter_replica_log_dirs_response response;
	size_t count = 0, partitions = 0, at = 0;

	for (size_t i = 0; i < request->dirs_count; i++) {
		count += request->dirs[i].topics_count;
		for (size_t k = 0; k < request->dirs[i].topics_count; k++)
			partitions += request->dirs[i].topics[k].partitions_count;
	}
	if (count > REPLICA_TOPICS_MAX || partitions > REPLICA_PARTITIONS_MAX)
		return refuse_size(r);
	schema_defaults(r->api->response, &response);
	response.results = arena_take_array(&r->arena, count, sizeof(*response.results));
	response.results_count = count;
	for (size_t i = 0; i < request->dirs_count; i++) {
		for (size_t k = 0; k < request->dirs[i].topics_count; k++) {
			const struct kafka_alter_replica_log_dirs_request_topic *asked =
				&request->dirs[i].topics[k];
			struct kafka_alter_replica_log_dirs_response_topic *ret =
				&response.results[at++];
			ret->topic_name = asked->name;
			ret->partitions_count = asked->partitions_count;
			ret->partitions = arena_take_array(&r->arena, asked->partitions_count,
							   sizeof(*ret->partitions));
			for (size_t n = 0; n < asked->partitions_count; n++)
				ret->partitions[n] =
					(struct kafka_alter_replica_log_dirs_response_partition) {
						asked->partitions[n],
						move_to(r, request->dirs[i].path, asked->name,
							asked->partitions[n], is_current)
					};
		}
	}
	return request_answer(r, &response);
}

SYNCED_OPERATION(alter_replica_log_dirs, KAFKA_API_ALTER_REPLICA_LOG_DIRS,
		 alter_replica_log_dirs_answer);

/* --- AlterPartitionReassignments, ListPartitionReassignments ------------------------------------
 */

static void reassign(struct request *r, struct slice topic,
		     const struct kafka_alter_partition_reassignments_request_partition *asked,
		     bool is_current,
		     struct kafka_alter_partition_reassignments_response_partition *ret)
{
	ret->partition_index = asked->partition_index;
	if (!may_alter(r))
		ret->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
	else if (!is_current)
		ret->error_code = KAFKA_REQUEST_TIMED_OUT;
	else if (!partition_exists(r, topic, asked->partition_index))
		ret->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
	else if (!asked->replicas)
		ret->error_code = KAFKA_NO_REASSIGNMENT_IN_PROGRESS;
	else
		ret->error_code = KAFKA_INVALID_REPLICA_ASSIGNMENT;
	ret->error_message = ret->error_code == KAFKA_INVALID_REPLICA_ASSIGNMENT
				     ? slice_from(no_replicas)
				     : slice_from(kafka_error_name(ret->error_code));
}

static enum step alter_partition_reassignments_answer(struct request *r, const void *decoded,
						      bool is_current)
{
	const struct kafka_alter_partition_reassignments_request *request = decoded;
	struct kafka_alter_partition_reassignments_response response;
	size_t count = request->topics_count, partitions = 0;

	for (size_t i = 0; i < count; i++)
		partitions += request->topics[i].partitions_count;
	if (count > REPLICA_TOPICS_MAX || partitions > REPLICA_PARTITIONS_MAX)
		return refuse_size(r);
	schema_defaults(r->api->response, &response);
	response.allow_replication_factor_change = request->allow_replication_factor_change;
	response.responses = arena_take_array(&r->arena, count, sizeof(*response.responses));
	response.responses_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct kafka_alter_partition_reassignments_request_topic *asked =
			&request->topics[i];
		struct kafka_alter_partition_reassignments_response_topic *ret =
			&response.responses[i];
		ret->name = asked->name;
		ret->partitions_count = asked->partitions_count;
		ret->partitions = arena_take_array(&r->arena, asked->partitions_count,
						   sizeof(*ret->partitions));
		for (size_t k = 0; k < asked->partitions_count; k++)
			reassign(r, asked->name, &asked->partitions[k], is_current,
				 &ret->partitions[k]);
	}
	return request_answer(r, &response);
}

SYNCED_OPERATION(alter_partition_reassignments, KAFKA_API_ALTER_PARTITION_REASSIGNMENTS,
		 alter_partition_reassignments_answer);

/* None is ever under way. */
static enum step list_partition_reassignments_step(struct request *r)
{
	struct kafka_list_partition_reassignments_response response;

	if (!request_decode(r))
		return request_refuse(r, "ListPartitionReassignments cannot be decoded");
	schema_defaults(r->api->response, &response);
	if (!request_may(r, GRANT_DESCRIBE, GRANT_CLUSTER, GRANT_CLUSTER_NAME))
		response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
	return request_answer(r, &response);
}

const struct operation list_partition_reassignments_operation = {
	.api_key = KAFKA_API_LIST_PARTITION_REASSIGNMENTS,
	.may_overlap = true,
	.step = list_partition_reassignments_step,
};

/* --- UpdateFeatures: levels are those of the program --------------------------------------------
 */

enum { UPDATE_RESULTS_LAST = 1, FEATURE_UPDATES_MAX = 1000 };

/* Kafka's numbers of upgrade types. */
enum { UPDATE_UPGRADE = 1, UPDATE_UNSAFE_DOWNGRADE = 3 };

/* NULL: it is as asked for.  Tools that raise everything to the newest level ask for what is there
 * already. */
static const char *update_fault(const struct kafka_update_features_request_update *update)
{
	struct feature feature;

	if (update->upgrade_type < UPDATE_UPGRADE || update->upgrade_type > UPDATE_UNSAFE_DOWNGRADE)
		return "there is no such type of update";
	if (!feature_find(update->feature, &feature))
		return "there is no such feature";
	if (update->max_version_level < feature.first || update->max_version_level > feature.last)
		return "this program does not know that level of the feature";
	return update->max_version_level == feature.last
		       ? NULL
		       : "the levels of features are those of the program that runs";
}

static enum step update_features_step(struct request *r)
{
	const struct kafka_update_features_request *request = request_decode(r);
	struct kafka_update_features_response response;

	if (!request)
		return request_refuse(r, "UpdateFeatures cannot be decoded");
	size_t count = request->feature_updates_count;
	if (count > FEATURE_UPDATES_MAX)
		return request_refuse(r, "UpdateFeatures has %zu features", count);
	schema_defaults(r->api->response, &response);
	if (!may_alter(r)) {
		response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
		return request_answer(r, &response);
	}
	response.results = arena_take_array(&r->arena, count, sizeof(*response.results));
	response.results_count = count;
	for (size_t i = 0; i < count; i++) {
		const char *fault = update_fault(&request->feature_updates[i]);
		struct kafka_update_features_response_result *result = &response.results[i];
		result->feature = request->feature_updates[i].feature;
		if (!fault)
			continue;
		result->error_code = KAFKA_INVALID_UPDATE_VERSION;
		result->error_message = slice_from(fault);
		if (r->header.api_version > UPDATE_RESULTS_LAST && !response.error_code) {
			response.error_code = result->error_code;
			response.error_message = result->error_message;
		}
	}
	return request_answer(r, &response);
}

const struct operation update_features_operation = {
	.api_key = KAFKA_API_UPDATE_FEATURES,
	.may_overlap = true,
	.step = update_features_step,
};
