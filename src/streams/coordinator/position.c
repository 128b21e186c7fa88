#include "streams/coordinator/position.h"

struct leader_position position_of(const struct peer_hello_request *request)
{
	return (struct leader_position) {
		.index = request->seen_index > 0 ? (uint64_t)request->seen_index : 0,
		.hash = { .high = (uint64_t)request->seen_hash_high,
			  .low = (uint64_t)request->seen_hash_low },
	};
}

enum err position_check(const struct leader *l, struct uuid cluster_id,
			const struct peer_hello_request *request)
{
	struct leader_position seen = position_of(request);

	if (seen.index == 0) /* it has seen nothing yet */
		return OK;
	if (!uuid_equal(request->cluster_id, cluster_id))
		return ERR_INVALID;
	return leader_compare(l, &seen) ? ERR_CORRUPT : OK;
}
