/* GetTelemetrySubscriptions and PushTelemetry (KIP-714): metrics of clients are not collected.  The
 * subscription is an empty one, to be asked for again in five minutes, and what is pushed all the
 * same is checked and let go. */
#include "base/random.h"
#include "kafka_messages.h"
#include "streams/agent/operations.h"
#include "wire/kafka/compression.h"
#include "wire/kafka/errors.h"

enum {
	TELEMETRY_SUBSCRIPTION = 1, /* the id of the only one */
	/* Kafka's.  librdkafka (2.15) has its microseconds in an int32: more than 35 minutes are
	 * none for it, and it asks thousands of times a second. */
	TELEMETRY_INTERVAL_MS = 5 * 60 * 1000,
	TELEMETRY_BYTES_MAX = 1 << 20,
};

static enum step get_telemetry_subscriptions_step(struct request *r)
{
	const struct kafka_get_telemetry_subscriptions_request *request = request_decode(r);
	static int8_t codecs[] = { COMPRESSION_ZSTD, COMPRESSION_LZ4, COMPRESSION_GZIP,
				   COMPRESSION_SNAPPY };
	struct kafka_get_telemetry_subscriptions_response response;

	if (!request)
		return request_refuse(r, "GetTelemetrySubscriptions cannot be decoded");
	schema_defaults(r->api->response, &response);
	response.client_instance_id = request->client_instance_id;
	if (uuid_is_zero(response.client_instance_id))
		random_bytes(response.client_instance_id.bytes,
			     sizeof(response.client_instance_id.bytes));
	response.subscription_id = TELEMETRY_SUBSCRIPTION;
	response.accepted_compression_types = codecs;
	response.accepted_compression_types_count = sizeof(codecs) / sizeof(codecs[0]);
	response.push_interval_ms = TELEMETRY_INTERVAL_MS;
	response.telemetry_max_bytes = TELEMETRY_BYTES_MAX;
	response.delta_temporality = true;
	return request_answer(r, &response);
}

const struct operation get_telemetry_subscriptions_operation = {
	.api_key = KAFKA_API_GET_TELEMETRY_SUBSCRIPTIONS,
	.may_overlap = true,
	.step = get_telemetry_subscriptions_step,
};

static int16_t check_push(const struct kafka_push_telemetry_request *request)
{
	if (uuid_is_zero(request->client_instance_id))
		return KAFKA_INVALID_REQUEST;
	if (request->subscription_id != TELEMETRY_SUBSCRIPTION)
		return KAFKA_UNKNOWN_SUBSCRIPTION_ID;
	if (request->compression_type < COMPRESSION_NONE ||
	    request->compression_type >= COMPRESSION_COUNT)
		return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
	if (request->metrics.size > TELEMETRY_BYTES_MAX)
		return KAFKA_TELEMETRY_TOO_LARGE;
	return KAFKA_NONE;
}

static enum step push_telemetry_step(struct request *r)
{
	const struct kafka_push_telemetry_request *request = request_decode(r);
	struct kafka_push_telemetry_response response;

	if (!request)
		return request_refuse(r, "PushTelemetry cannot be decoded");
	schema_defaults(r->api->response, &response);
	response.error_code = check_push(request);
	return request_answer(r, &response);
}

const struct operation push_telemetry_operation = {
	.api_key = KAFKA_API_PUSH_TELEMETRY,
	.may_overlap = true,
	.step = push_telemetry_step,
};
