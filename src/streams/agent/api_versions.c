/* ApiVersions: what is served.  A version that is not known is answered in version 0 with an error
 * and this API's own range, so that the client can ask again (KIP-511). */
#include "kafka_messages.h"
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
	return request_answer(r, &response);
}

const struct operation api_versions_operation = {
	.api_key = KAFKA_API_API_VERSIONS,
	.step = api_versions_step,
};
