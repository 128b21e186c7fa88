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
	struct brokers b;

	const struct kafka_describe_cluster_request *request = request_decode(r);
	if (!request)
		return request_refuse(r, "DescribeCluster cannot be decoded");
	schema_defaults(r->api->response, &response);
	response.cluster_id = brokers_cluster_id(&r->arena, r->agent);
	response.endpoint_type = request->endpoint_type;
	if (request->endpoint_type != ENDPOINT_BROKERS) {
		response.error_code = request->endpoint_type == ENDPOINT_CONTROLLERS
					      ? KAFKA_MISMATCHED_ENDPOINT_TYPE
					      : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
		response.error_message = SLICE("only brokers can be asked for");
		return request_answer(r, &response);
	}
	if (request->include_cluster_authorized_operations)
		response.cluster_authorized_operations =
			request_operations(r, KAFKA_MAY_WITH_CLUSTER, GRANT_CLUSTER,
					   GRANT_CLUSTER_NAME);
	if (brokers_find(r, &b))
		return request_refuse(r, "the catalog of agents cannot be read");
	response.controller_id = b.chosen->node_id;
	response.brokers = arena_take_array(&r->arena, b.count, sizeof(*response.brokers));
	response.brokers_count = b.count;
	for (size_t i = 0; i < b.count; i++)
		response.brokers[i] = (struct kafka_describe_cluster_response_broker) {
			.broker_id = b.agents[i].node_id,
			.host = b.agents[i].host,
			.port = b.agents[i].port,
			.rack = b.agents[i].site,
		};
	return request_answer(r, &response);
}

const struct operation describe_cluster_operation = {
	.api_key = KAFKA_API_DESCRIBE_CLUSTER,
	.step = describe_cluster_step,
};
