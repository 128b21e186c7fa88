#include "wire/control/map_request.h"

#include "wire/control/json_writer.h"
#include "wire/control/node_read.h"

void control_map_request_encode(struct buf *b, const struct control_map_request *r)
{
	struct json_writer w = { .b = b };

	json_begin(&w, '{');
	json_put_int(&w, "Version", r->version);
	if (r->is_compressed)
		json_put_text(&w, "Compress", SLICE("zstd"));
	json_put_bool(&w, "KeepAlive", true);
	json_put_key(&w, "NodeKey", MESH_KEY_NODE, &r->node_key);
	json_put_key(&w, "DiscoKey", MESH_KEY_DISCO, &r->disco_key);
	if (r->is_stream)
		json_put_bool(&w, "Stream", true);
	if (r->has_hostinfo) {
		json_name(&w, "Hostinfo");
		control_hostinfo_encode(b, &r->hostinfo);
		w.needs_comma = true;
	}
	if (r->endpoint_count) {
		json_put_endpoints(&w, "Endpoints", r->endpoints, r->endpoint_count);
		json_name(&w, "EndpointTypes");
		json_begin(&w, '[');
		for (size_t i = 0; i < r->endpoint_count; i++)
			json_int(&w, r->endpoint_kinds ? r->endpoint_kinds[i] : 0);
		json_end(&w, ']');
	}
	if (r->is_read_only)
		json_put_bool(&w, "ReadOnly", true);
	if (r->omits_peers)
		json_put_bool(&w, "OmitPeers", true);
	json_end(&w, '}');
}

/* As many as there are endpoints, or none. */
static uint8_t *read_kinds(struct json_reader *r, size_t count)
{
	const json_t *array = json_get_array(r, r->root, "EndpointTypes", CONTROL_ENDPOINTS_MAX);

	if (count == 0 || json_array_size(array) != count)
		return NULL;
	uint8_t *kinds = arena_take(r->a, count);
	for (size_t i = 0; i < count; i++) {
		json_int_t kind = json_integer_value(json_array_get(array, i));

		kinds[i] = kind > 0 && kind <= UINT8_MAX ? (uint8_t)kind : CONTROL_ENDPOINT_UNKNOWN;
	}
	return kinds;
}

enum err control_map_request_decode(struct arena *a, struct slice json,
				    struct control_map_request *ret)
{
	struct control_map_request request;
	struct json_reader r;

	if (json.size > CONTROL_REQUEST_BYTES_MAX)
		return ERR_TOO_BIG;
	json_reader_init(&r, a, json);
	const json_t *hostinfo = json_get_object(&r, r.root, "Hostinfo", CONTROL_MEMBERS_MAX);
	struct slice compress = json_get_text(&r, r.root, "Compress", CONTROL_NAME_BYTES_MAX);
	request = (struct control_map_request) {
		.version = (uint32_t)json_get_int(&r, r.root, "Version", 0, UINT16_MAX),
		.node_key = json_get_key(&r, r.root, "NodeKey", MESH_KEY_NODE),
		.disco_key = json_get_key(&r, r.root, "DiscoKey", MESH_KEY_DISCO),
		.is_compressed = slice_equal(compress, SLICE("zstd")),
		.is_stream = json_get_bool(&r, r.root, "Stream"),
		.omits_peers = json_get_bool(&r, r.root, "OmitPeers"),
		.is_read_only = json_get_bool(&r, r.root, "ReadOnly"),
		.has_hostinfo = hostinfo != NULL,
	};
	request.endpoints = json_get_endpoints(&r, r.root, "Endpoints", &request.endpoint_count);
	request.endpoint_kinds = read_kinds(&r, request.endpoint_count);
	hostinfo_read(&r, hostinfo, true, &request.hostinfo);
	json_reader_done(&r);
	if (!r.err)
		*ret = request;
	return r.err;
}
