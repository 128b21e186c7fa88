/* DescribeCluster: the live agents.  Every one of them can do what a controller does. */
#include "kafka_messages.h"
#include "streams/agent/brokers.h"
#include "streams/agent/operations.h"
#include "wire/kafka/authorized.h"
#include "wire/kafka/errors.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

static enum step describe_cluster_step(struct request *r)
{
	struct kafka_describe_cluster_response response;
	struct catalog_agent *agents;
	size_t count;

	const struct kafka_describe_cluster_request *request = request_decode(r);
	if (!request)
		return request_refuse(r, "DescribeCluster cannot be decoded");
	schema_defaults(r->api->response, &response);
	response.cluster_id = brokers_cluster_id(&r->arena, r->agent);
	response.controller_id = r->agent->node_id;
	response.endpoint_type = request->endpoint_type;
	if (request->endpoint_type != ENDPOINT_BROKERS) {
		response.error_code = request->endpoint_type == ENDPOINT_CONTROLLERS
					      ? KAFKA_MISMATCHED_ENDPOINT_TYPE
					      : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
		response.error_message = SLICE("only brokers can be asked for");
		return request_answer(r, &response);
	}
	if (request->include_cluster_authorized_operations)
		response.cluster_authorized_operations = KAFKA_MAY_WITH_CLUSTER;
	if (brokers_live(&r->arena, r->agent, &agents, &count))
		return request_refuse(r, "the catalog of agents cannot be read");
	response.brokers = arena_take_array(&r->arena, count, sizeof(*response.brokers));
	response.brokers_count = count;
	for (size_t i = 0; i < count; i++)
		response.brokers[i] = (struct kafka_describe_cluster_response_broker) {
			.broker_id = agents[i].node_id,
			.host = agents[i].host,
			.port = agents[i].port,
			.rack = agents[i].site,
		};
	return request_answer(r, &response);
}

const struct operation describe_cluster_operation = {
	.api_key = KAFKA_API_DESCRIBE_CLUSTER,
	.step = describe_cluster_step,
};
