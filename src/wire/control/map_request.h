/* POST /machine/map: three requests in one shape.
 *
 *	stream, peers		the long poll, answered by a stream of map responses
 *	no stream, omit peers	"lite update": only tells; answered by nothing
 *	no stream, peers	one whole map response */
#ifndef WIRE_CONTROL_MAP_REQUEST_H
#define WIRE_CONTROL_MAP_REQUEST_H

#include "wire/control/node.h"

enum control_endpoint_kind {
	CONTROL_ENDPOINT_UNKNOWN = 0,
	CONTROL_ENDPOINT_LOCAL = 1,
	CONTROL_ENDPOINT_STUN = 2,
	CONTROL_ENDPOINT_PORTMAPPED = 3,
	CONTROL_ENDPOINT_STUN4_LOCAL_PORT = 4,
	CONTROL_ENDPOINT_EXPLICIT = 5,
};

struct control_map_request {
	uint32_t version;
	struct mesh_key node_key;
	struct mesh_key disco_key;
	const struct endpoint *endpoints;
	const uint8_t *endpoint_kinds; /* enum control_endpoint_kind; as many, or NULL */
	size_t endpoint_count;
	struct control_hostinfo hostinfo;
	bool is_compressed; /* "Compress":"zstd" */
	bool is_stream;
	bool omits_peers;
	bool has_hostinfo;
	bool is_read_only;
};

void control_map_request_encode(struct buf *b, const struct control_map_request *r);
MUST_CHECK enum err control_map_request_decode(struct arena *a, struct slice json,
					       struct control_map_request *ret);

#endif
