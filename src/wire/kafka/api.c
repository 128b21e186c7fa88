#include "wire/kafka/api.h"

#include "base/endian.h"
#include "kafka_messages.h"

const struct kafka_api *kafka_api_find(int16_t key)
{
	for (size_t i = 0; i < kafka_apis_count; i++) {
		if (kafka_apis[i].key == key)
			return &kafka_apis[i];
	}
	return NULL;
}

static bool request_is_flexible(int16_t key, int16_t version)
{
	const struct kafka_api *api = kafka_api_find(key);

	return api && version >= api->flexible_first;
}

enum err kafka_request_header_decode(struct slice *in, struct kafka_request_header *ret)
{
	enum { FIXED_BYTES = 10 };

	if (in->size < FIXED_BYTES)
		return ERR_INVALID;
	struct kafka_request_header header = {
		.api_key = (int16_t)get_u16(in->data),
		.api_version = (int16_t)get_u16(in->data + 2),
		.correlation_id = (int32_t)get_u32(in->data + 4),
	};
	int length = (int16_t)get_u16(in->data + 8);
	struct slice rest = slice_part(*in, FIXED_BYTES, in->size);
	if (length < -1 || (length > 0 && (size_t)length > rest.size))
		return ERR_INVALID;
	if (length >= 0) {
		header.client_id = slice_part(rest, 0, (size_t)length);
		rest = slice_part(rest, (size_t)length, rest.size);
	}
	if (request_is_flexible(header.api_key, header.api_version)) {
		enum err err = schema_tags_skip(&rest);
		if (err)
			return err;
	}
	*in = rest;
	*ret = header;
	return OK;
}

enum err kafka_request_decode(struct arena *a, const struct kafka_api *api, int version,
			      struct slice body, void *ret)
{
	return schema_decode(a, api->request, version, &body, ret);
}

void kafka_request_header_encode(const struct kafka_request_header *header, struct buf *out)
{
	buf_add_u16(out, (uint16_t)header->api_key);
	buf_add_u16(out, (uint16_t)header->api_version);
	buf_add_u32(out, (uint32_t)header->correlation_id);
	buf_add_u16(out, header->client_id.data ? (uint16_t)header->client_id.size : UINT16_MAX);
	buf_add_slice(out, header->client_id);
	if (request_is_flexible(header->api_key, header->api_version))
		schema_varint_encode(out, 0);
}

void kafka_response_header_encode(const struct kafka_api *api, int version, int32_t correlation_id,
				  struct buf *out)
{
	buf_add_u32(out, (uint32_t)correlation_id);
	if (version >= api->flexible_first && api->key != KAFKA_API_API_VERSIONS)
		schema_varint_encode(out, 0);
}
