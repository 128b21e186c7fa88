/* Messages of the control protocol are read or refused; what was read is written, read again and
 * written the same; maps take any response.  The first byte says which message it is taken for.
 * seeds: test/corpus/control */
#include <assert.h>

#include "wire/control/map_request.h"
#include "wire/control/netmap.h"
#include "wire/control/register.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_register(struct arena *a, struct slice json)
{
	struct control_register_request request;
	struct control_register_response response;
	struct buf b;

	buf_init(&b);
	if (!control_register_request_decode(a, json, &request)) {
		control_register_request_encode(&b, &request);
		assert(!control_register_request_decode(a, buf_slice(&b), &request));
	}
	buf_clear(&b);
	if (!control_register_response_decode(a, json, &response)) {
		control_register_response_encode(&b, &response);
		assert(!control_register_response_decode(a, buf_slice(&b), &response));
	}
	buf_done(&b);
}

static void try_map_request(struct arena *a, struct slice json)
{
	struct control_map_request request;
	struct buf b;

	buf_init(&b);
	if (!control_map_request_decode(a, json, &request)) {
		control_map_request_encode(&b, &request);
		assert(!control_map_request_decode(a, buf_slice(&b), &request));
	}
	buf_done(&b);
}

/* Twice, so that there are peers for the deltas; then the map is written and read. */
static void try_map(struct arena *a, struct slice json)
{
	struct control_map_response r;
	struct netmap_change change;
	struct netmap map, again;
	struct buf b;

	netmap_init(&map);
	netmap_init(&again);
	buf_init(&b);
	if (!control_map_response_decode(a, json, &r)) {
		for (int i = 0; i < 2; i++)
			if (netmap_apply(&map, a, &r, &change))
				assert(!map.self);
		for (size_t i = 1; i < map.peer_count; i++)
			assert(map.peers[i - 1]->id < map.peers[i]->id);
		if (map.self) {
			netmap_response(a, &map, &r);
			control_map_response_encode(&b, &r);
			assert(!control_map_response_decode(a, buf_slice(&b), &r));
			assert(!netmap_apply(&again, a, &r, &change));
			assert(again.peer_count == map.peer_count);
			assert(again.filter_count == map.filter_count);
		}
	}
	buf_done(&b);
	netmap_done(&map);
	netmap_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = { data, size }, json;
	struct arena a;

	if (size == 0)
		return 0;
	arena_init(&a);
	switch (data[0]) {
	case 'r':
		try_register(&a, slice_part(bytes, 1, size));
		break;
	case 'q':
		try_map_request(&a, slice_part(bytes, 1, size));
		break;
	case 'f':
		bytes = slice_part(bytes, 1, size);
		while (!control_frame_decode(&a, &bytes, &json))
			try_map(&a, json);
		break;
	case '{':
		try_register(&a, bytes);
		try_map_request(&a, bytes);
		try_map(&a, bytes);
		break;
	default:
		try_map(&a, slice_part(bytes, 1, size));
		break;
	}
	arena_done(&a);
	return 0;
}
