/* ApiVersions: what is served.  A version that is not known is answered in version 0 with an error
 * and this API's own range, so that the client can ask again (KIP-511). */
#include "kafka_messages.h"
#include "streams/agent/features.h"
#include "streams/agent/operations.h"
#include "wire/kafka/errors.h"

static void fill_api(struct kafka_api_versions_response_api *ret, const struct operation *operation)
{
	*ret = (struct kafka_api_versions_response_api) {
		.api_key = operation->api_key,
		.min_version = operation_version_first(operation),
		.max_version = operation_version_last(operation),
	};
}

static bool is_letter_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Letters and digits, with '-' and '.' inside. */
static bool software_word_is_valid(struct slice word)
{
	if (word.size == 0 || !is_letter_or_digit(word.data[0]) ||
	    !is_letter_or_digit(word.data[word.size - 1]))
		return false;
	for (size_t i = 0; i < word.size; i++)
		if (!is_letter_or_digit(word.data[i]) && word.data[i] != '-' && word.data[i] != '.')
			return false;
	return true;
}

/* What the whole cluster can do; clients look at transaction.version before they speak the second
 * protocol of transactions.  The epoch grows when a release raises one of them. */
enum { FEATURES_EPOCH = 2, FEATURES_ZERO_FIRST = 4 };

static const struct feature features[] = {
	{ "metadata.version", 7, 25 }, /* 3.3-IV3, and 4.0-IV3, which tools look at */
	{ "transaction.version", 0, 2 },
	{ "group.version", 0, 1 },
	{ "share.version", 0, 1 },
};

enum { FEATURES = sizeof(features) / sizeof(features[0]) };

bool feature_find(struct slice name, struct feature *ret)
{
	for (size_t i = 0; i < FEATURES; i++) {
		if (!slice_equal(slice_from(features[i].name), name))
			continue;
		*ret = features[i];
		return true;
	}
	return false;
}

/* Clients of version 3 do not take a feature that begins with 0 (KAFKA-17011). */
static void fill_features(struct request *r, struct kafka_api_versions_response *ret)
{
	bool takes_zero = r->header.api_version >= FEATURES_ZERO_FIRST;

	ret->supported_features =
		arena_take_array(&r->arena, FEATURES, sizeof(*ret->supported_features));
	ret->finalized_features =
		arena_take_array(&r->arena, FEATURES, sizeof(*ret->finalized_features));
	ret->finalized_features_count = FEATURES;
	ret->finalized_features_epoch = FEATURES_EPOCH;
	for (size_t i = 0; i < FEATURES; i++) {
		const struct feature *f = &features[i];
		struct slice name = slice_from(f->name);
		if (f->first > 0 || takes_zero)
			ret->supported_features[ret->supported_features_count++] =
				(struct kafka_api_versions_response_supported_feature) {
					.name = name,
					.min_version = f->first,
					.max_version = f->last,
				};
		ret->finalized_features[i] =
			(struct kafka_api_versions_response_finalized_feature) {
				.name = name,
				.max_version_level = f->last,
				.min_version_level = f->last,
			};
	}
}

static enum step api_versions_step(struct request *r)
{
	struct kafka_api_versions_response response;
	struct kafka_api_versions_response_api own;

	schema_defaults(r->api->response, &response);
	if (!schema_has_version(r->api->request, r->header.api_version)) {
		fill_api(&own, &api_versions_operation);
		response.error_code = KAFKA_UNSUPPORTED_VERSION;
		response.api_keys = &own;
		response.api_keys_count = 1;
		r->header.api_version = 0;
		return request_answer(r, &response);
	}
	const struct kafka_api_versions_request *request = request_decode(r);
	if (!request)
		return request_refuse(r, "ApiVersions cannot be decoded");
	if (r->header.api_version >= 3 &&
	    (!software_word_is_valid(request->client_software_name) ||
	     !software_word_is_valid(request->client_software_version)))
		response.error_code = KAFKA_INVALID_REQUEST;

	response.api_keys = arena_take_array(&r->arena, operations_count, sizeof(own));
	response.api_keys_count = operations_count;
	for (size_t i = 0; i < operations_count; i++)
		fill_api(&response.api_keys[i], operations[i]);
	fill_features(r, &response);
	return request_answer(r, &response);
}

const struct operation api_versions_operation = {
	.api_key = KAFKA_API_API_VERSIONS,
	.step = api_versions_step,
};
