/* Metadata: topics, partitions and who serves them.  Any agent serves any partition; which one a
 * client is given for all of them is decided in brokers.h.
 * Topics that do not exist are created here when the client allows it and this agent may
 * (auto.create.topics.enable). */
#include <stdlib.h>

#include "kafka_messages.h"
#include "streams/agent/brokers.h"
#include "streams/agent/forward.h"
#include "streams/agent/operations.h"
#include "streams/agent/sync.h"
#include "wire/kafka/authorized.h"
#include "wire/kafka/errors.h"

enum {
	METADATA_TOPICS_MAX = 10000,
	METADATA_PARTITIONS_MAX = 1000000, /* of one answer */
	METADATA_IDS_FIRST = 12,	   /* 10 and 11 have the field, but nobody may use it */
	CREATE_TOPICS_VERSION = 7,
};

enum { METADATA_DECODE, METADATA_SYNCED, METADATA_CREATED };

struct metadata {
	const struct kafka_metadata_request *request;
	struct sync sync;
	bool has_synced;
	bool is_doubtful; /* nobody knows whether this node leads */
	struct brokers brokers;
	struct forward forward;
	struct buf create;
	struct kafka_create_topics_response created;
	struct kafka_metadata_response_partition *partitions; /* of every topic */
	size_t partition_count;
	size_t answered_count; /* partitions in the answer */
};

/* A topic that is not in the replica may have been created at another agent a moment ago. */
static bool is_missing(struct request *r, const struct kafka_metadata_request_topic *asked)
{
	struct cell *cell = replica_cell(r->agent->replica);
	struct catalog_topic topic;

	if (!uuid_is_zero(asked->topic_id))
		return catalog_topic_by_id(&r->arena, cell, &asked->topic_id, &topic) ==
		       ERR_NOT_FOUND;
	return asked->name.data && catalog_topic_name_is_valid(asked->name) &&
	       catalog_topic_by_name(&r->arena, cell, asked->name, &topic) == ERR_NOT_FOUND;
}

static bool is_any_missing(struct request *r, const struct metadata *m)
{
	for (size_t i = 0; i < m->request->topics_count; i++)
		if (is_missing(r, &m->request->topics[i]))
			return true;
	return false;
}

/* --- creating ----------------------------------------------------------------------------------
 */

static bool should_create(struct request *r, const struct kafka_metadata_request_topic *asked,
			  const struct kafka_create_topics_request *create)
{
	for (size_t i = 0; i < create->topics_count; i++)
		if (slice_equal(create->topics[i].name, asked->name))
			return false;
	return uuid_is_zero(asked->topic_id) && is_missing(r, asked) &&
	       request_may(r, GRANT_DESCRIBE, GRANT_TOPIC, asked->name);
}

/* True when topics were asked for that have to be created first. */
static bool start_creation(struct request *r, struct metadata *m)
{
	struct kafka_create_topics_request create;
	const struct kafka_api *api = kafka_api_find(KAFKA_API_CREATE_TOPICS);

	schema_defaults(api->request, &create);
	create.timeout_ms = FORWARD_PATIENCE_MS;
	create.topics =
		arena_take_array(&r->arena, m->request->topics_count, sizeof(*create.topics));
	for (size_t i = 0; i < m->request->topics_count; i++) {
		if (!should_create(r, &m->request->topics[i], &create))
			continue;
		struct kafka_create_topics_request_topic *topic =
			&create.topics[create.topics_count++];
		topic->name = m->request->topics[i].name;
		topic->num_partitions = -1;
		topic->replication_factor = -1;
	}
	if (create.topics_count == 0)
		return false;
	schema_encode(api->request, CREATE_TOPICS_VERSION, &create, &m->create);
	forward_start(&m->forward, &r->task, r, api, CREATE_TOPICS_VERSION, buf_slice(&m->create));
	return true;
}

static void finish_creation(struct request *r, struct metadata *m)
{
	const struct kafka_api *api = kafka_api_find(KAFKA_API_CREATE_TOPICS);

	if (!m->forward.task.err &&
	    schema_decode_all(&r->arena, api->response, CREATE_TOPICS_VERSION,
			      arena_copy(&r->arena, m->forward.ret_body), &m->created))
		m->created.topics_count = 0;
}

/* Why a topic is still not there. */
static int16_t missing_error(const struct metadata *m, struct slice name)
{
	for (size_t i = 0; i < m->created.topics_count; i++) {
		const struct kafka_create_topics_response_topic *topic = &m->created.topics[i];
		if (slice_equal(topic->name, name) &&
		    (topic->error_code == KAFKA_INVALID_TOPIC_EXCEPTION ||
		     topic->error_code == KAFKA_TOPIC_AUTHORIZATION_FAILED))
			return topic->error_code;
	}
	if (m->forward.task.err)
		return KAFKA_LEADER_NOT_AVAILABLE;
	return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* --- describing --------------------------------------------------------------------------------
 */

static struct kafka_metadata_response_partition partition_of(const struct brokers *b, size_t number,
							     const struct catalog_agent *leader,
							     int32_t *replicas)
{
	return (struct kafka_metadata_response_partition) {
		.partition_index = (int32_t)number,
		.leader_id = leader->node_id,
		.replica_nodes = replicas,
		.replica_nodes_count = b->replica_count,
		.isr_nodes = replicas,
		.isr_nodes_count = b->replica_count,
		.offline_replicas = replicas,
	};
}

/* For all topics, where partitions differ in nothing but their numbers. */
static void make_partitions(struct request *r, struct metadata *m, size_t count)
{
	int32_t *replicas = brokers_replicas(r, &m->brokers, m->brokers.chosen);

	m->partitions = arena_take_array(&r->arena, count, sizeof(*m->partitions));
	m->partition_count = count;
	for (size_t i = 0; i < count; i++)
		m->partitions[i] = partition_of(&m->brokers, i, m->brokers.chosen, replicas);
}

/* For one topic, where the client's node has several agents. */
static void make_own_partitions(struct request *r, struct metadata *m,
				const struct catalog_topic *topic,
				struct kafka_metadata_response_topic *ret)
{
	ret->partitions =
		arena_take_array(&r->arena, ret->partitions_count, sizeof(*ret->partitions));
	for (size_t i = 0; i < ret->partitions_count; i++) {
		const struct catalog_agent *leader =
			brokers_leader(&m->brokers, &topic->topic_id, (int32_t)i);
		ret->partitions[i] = partition_of(&m->brokers, i, leader,
						  brokers_replicas(r, &m->brokers, leader));
	}
}

static void fill_partitions(struct request *r, struct metadata *m,
			    const struct catalog_topic *topic,
			    struct kafka_metadata_response_topic *ret)
{
	size_t count = (size_t)topic->partition_count;

	ret->partitions_count = count;
	m->answered_count += count;
	/* what is too much is refused, and needs no memory */
	if (!brokers_are_alike(&m->brokers) && m->answered_count <= METADATA_PARTITIONS_MAX) {
		make_own_partitions(r, m, topic, ret);
		return;
	}
	if (count > m->partition_count)
		make_partitions(r, m, 2 * count);
	ret->partitions = m->partitions;
}

static void fill_topic(struct request *r, const struct catalog_topic *topic,
		       struct kafka_metadata_response_topic *ret)
{
	struct metadata *m = r->state;

	ret->name = topic->name;
	ret->topic_id = topic->topic_id;
	ret->topic_authorized_operations = INT32_MIN;
	if (m->request->include_topic_authorized_operations)
		ret->topic_authorized_operations =
			request_operations(r, KAFKA_MAY_WITH_TOPIC, GRANT_TOPIC, topic->name);
	fill_partitions(r, m, topic, ret);
}

static void fill_asked(struct request *r, struct metadata *m,
		       const struct kafka_metadata_request_topic *asked,
		       struct kafka_metadata_response_topic *ret)
{
	struct cell *cell = replica_cell(r->agent->replica);
	bool by_id = !uuid_is_zero(asked->topic_id);
	bool is_too_early =
		r->header.api_version < METADATA_IDS_FIRST && (by_id || !asked->name.data);
	struct catalog_topic topic;
	enum err err;

	if (is_too_early)
		err = ERR_INVALID;
	else if (by_id)
		err = catalog_topic_by_id(&r->arena, cell, &asked->topic_id, &topic);
	else
		err = catalog_topic_by_name(&r->arena, cell, asked->name, &topic);
	bool is_denied =
		!is_too_early && (!by_id || !err) &&
		!request_may(r, GRANT_DESCRIBE, GRANT_TOPIC, by_id ? topic.name : asked->name);
	if (!err && !is_denied) {
		fill_topic(r, &topic, ret);
		return;
	}
	ret->name = asked->name;
	ret->topic_id = asked->topic_id;
	ret->topic_authorized_operations = INT32_MIN;
	if (is_denied)
		ret->error_code = KAFKA_TOPIC_AUTHORIZATION_FAILED;
	else if (is_too_early)
		ret->error_code = KAFKA_INVALID_REQUEST;
	else if (by_id)
		ret->error_code = KAFKA_UNKNOWN_TOPIC_ID;
	else if (!catalog_topic_name_is_valid(asked->name))
		ret->error_code = KAFKA_INVALID_TOPIC_EXCEPTION;
	else
		ret->error_code = missing_error(m, asked->name);
}

static enum err fill_all(struct request *r, struct kafka_metadata_response *response)
{
	struct catalog_topic *topics;
	size_t count;

	enum err err = catalog_topics(&r->arena, replica_cell(r->agent->replica), &topics, &count);
	if (err)
		return err;
	response->topics = arena_take_array(&r->arena, count, sizeof(*response->topics));
	for (size_t i = 0; i < count; i++)
		if (request_sees(r, GRANT_TOPIC, topics[i].name))
			fill_topic(r, &topics[i], &response->topics[response->topics_count++]);
	return OK;
}

static void fill_brokers(struct request *r, const struct brokers *b,
			 struct kafka_metadata_response *response)
{
	response->controller_id = b->chosen->node_id;
	response->brokers = arena_take_array(&r->arena, b->count, sizeof(*response->brokers));
	response->brokers_count = b->count;
	for (size_t i = 0; i < b->count; i++)
		response->brokers[i] = (struct kafka_metadata_response_broker) {
			.node_id = b->agents[i].node_id,
			.host = b->agents[i].host,
			.port = b->agents[i].port,
			.rack = b->agents[i].site,
		};
}

/* All topics: null, or in version 0 an empty list. */
static bool wants_all(const struct request *r, const struct kafka_metadata_request *request)
{
	return !request->topics || (r->header.api_version == 0 && request->topics_count == 0);
}

/* A node that was stopped, or whose control was, may have lost the lead: while it is not known,
 * clients had better ask another one than be sent to and fro. */
static void name_no_leader(struct kafka_metadata_response *response)
{
	response->controller_id = -1;
	for (size_t i = 0; i < response->topics_count; i++) {
		struct kafka_metadata_response_topic *topic = &response->topics[i];
		if (topic->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
		    topic->error_code == KAFKA_UNKNOWN_TOPIC_ID)
			topic->error_code = KAFKA_LEADER_NOT_AVAILABLE;
		for (size_t k = 0; k < topic->partitions_count; k++) {
			topic->partitions[k].error_code = KAFKA_LEADER_NOT_AVAILABLE;
			topic->partitions[k].leader_id = -1;
		}
	}
}

static enum step answer(struct request *r, struct metadata *m)
{
	const struct kafka_metadata_request *request = m->request;
	struct kafka_metadata_response response;
	enum err err = brokers_find(r, &m->brokers);

	if (err)
		return request_refuse(r, "the catalog cannot be read: %s", err_name(err));
	schema_defaults(r->api->response, &response);
	response.cluster_id = brokers_cluster_id(&r->arena, r->agent);
	fill_brokers(r, &m->brokers, &response);
	if (request->include_cluster_authorized_operations)
		response.cluster_authorized_operations =
			request_operations(r, KAFKA_MAY_WITH_CLUSTER, GRANT_CLUSTER,
					   GRANT_CLUSTER_NAME);
	if (wants_all(r, request)) {
		err = fill_all(r, &response);
	} else {
		response.topics_count = request->topics_count;
		response.topics = arena_take_array(&r->arena, request->topics_count,
						   sizeof(*response.topics));
		for (size_t i = 0; i < request->topics_count; i++)
			fill_asked(r, m, &request->topics[i], &response.topics[i]);
	}
	if (err)
		return request_refuse(r, "the catalog cannot be read: %s", err_name(err));
	if (m->answered_count > METADATA_PARTITIONS_MAX)
		return request_refuse(r, "Metadata asks for %zu partitions, the limit is %d",
				      m->answered_count, METADATA_PARTITIONS_MAX);
	if (m->is_doubtful)
		name_no_leader(&response);
	return request_answer(r, &response);
}

static enum step look(struct request *r, struct metadata *m)
{
	bool may_create = !r->agent->config.no_auto_create &&
			  (r->header.api_version < 4 || m->request->allow_auto_topic_creation);

	if (!m->has_synced && is_any_missing(r, m)) {
		sync_start(&m->sync, &r->task, r->agent);
		return task_wait(&r->task, METADATA_SYNCED);
	}
	if (!m->is_doubtful && may_create && start_creation(r, m))
		return task_wait(&r->task, METADATA_CREATED);
	return answer(r, m);
}

static enum step metadata_step(struct request *r)
{
	struct metadata *m = r->state;

	switch (r->task.at) {
	case METADATA_DECODE:
		m->request = request_decode(r);
		if (!m->request)
			return request_refuse(r, "Metadata cannot be decoded");
		if (m->request->topics_count > METADATA_TOPICS_MAX)
			return request_refuse(r, "Metadata asks for %zu topics, the limit is %d",
					      m->request->topics_count, METADATA_TOPICS_MAX);
		if (sync_in_doubt(&m->sync, &r->task, r->agent))
			return task_wait(&r->task, METADATA_SYNCED);
		return look(r, m);

	case METADATA_SYNCED:
		m->has_synced = true;
		m->is_doubtful = m->sync.task.err != OK;
		return look(r, m);

	case METADATA_CREATED:
		finish_creation(r, m);
		return answer(r, m);
	}
	abort();
}

static void metadata_release(struct request *r)
{
	struct metadata *m = r->state;

	forward_done(&m->forward);
	buf_done(&m->create);
}

static const char *const metadata_places[] = { "decode", "synced", "created" };
const struct operation metadata_operation = {
	.api_key = KAFKA_API_METADATA,
	.state_bytes = sizeof(struct metadata),
	.places = metadata_places,
	.place_count = 3,
	.step = metadata_step,
	.release = metadata_release,
};
