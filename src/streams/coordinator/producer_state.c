#include "streams/coordinator/producer_state.h"

#include <assert.h>
#include <string.h>

#include "base/endian.h"
#include "streams/catalog/producer.h"

enum { RECENT_ENTRY_BYTES = 16 };

enum producer_verdict producer_check(const struct producer_state *state, int16_t epoch,
				     int32_t base_sequence, int32_t record_count,
				     int64_t *ret_offset)
{
	assert(record_count > 0);
	if (!state)
		return base_sequence == 0 ? PRODUCER_ACCEPTED : PRODUCER_UNKNOWN;
	if (epoch < state->epoch)
		return PRODUCER_FENCED;
	if (epoch > state->epoch)
		return base_sequence == 0 ? PRODUCER_ACCEPTED : PRODUCER_OUT_OF_ORDER;

	int32_t last = producer_sequence_add(base_sequence, record_count - 1);
	for (int i = 0; i < state->recent_count; i++) {
		const struct producer_batch *batch = &state->recent[i];
		if (batch->base_sequence == base_sequence && batch->last_sequence == last) {
			*ret_offset = batch->base_offset;
			return PRODUCER_DUPLICATE;
		}
	}
	if (base_sequence == producer_sequence_add(state->last_sequence, 1))
		return PRODUCER_ACCEPTED;
	return producer_sequence_is_behind(last, state->last_sequence) ? PRODUCER_FORGOTTEN
								       : PRODUCER_OUT_OF_ORDER;
}

void producer_remember(struct producer_state *state, int16_t epoch, int32_t base_sequence,
		       int32_t record_count, int64_t base_offset)
{
	if (epoch != state->epoch)
		*state = (struct producer_state) { .epoch = epoch };
	if (state->recent_count == PRODUCER_RECENT_MAX) {
		memmove(state->recent, state->recent + 1,
			(PRODUCER_RECENT_MAX - 1) * sizeof(state->recent[0]));
		state->recent_count--;
	}
	state->last_sequence = producer_sequence_add(base_sequence, record_count - 1);
	state->recent[state->recent_count++] = (struct producer_batch) {
		.base_sequence = base_sequence,
		.last_sequence = state->last_sequence,
		.base_offset = base_offset,
	};
}

void producer_recent_encode(const struct producer_state *state, struct buf *out)
{
	for (int i = 0; i < state->recent_count; i++) {
		buf_add_u32(out, (uint32_t)state->recent[i].base_sequence);
		buf_add_u32(out, (uint32_t)state->recent[i].last_sequence);
		buf_add_u64(out, (uint64_t)state->recent[i].base_offset);
	}
}

enum err producer_recent_decode(struct slice bytes, struct producer_state *ret)
{
	if (bytes.size % RECENT_ENTRY_BYTES ||
	    bytes.size > PRODUCER_RECENT_MAX * RECENT_ENTRY_BYTES)
		return ERR_CORRUPT;
	ret->recent_count = (int)(bytes.size / RECENT_ENTRY_BYTES);
	for (int i = 0; i < ret->recent_count; i++) {
		const uint8_t *p = bytes.data + i * RECENT_ENTRY_BYTES;
		ret->recent[i] = (struct producer_batch) {
			.base_sequence = (int32_t)get_u32(p),
			.last_sequence = (int32_t)get_u32(p + 4),
			.base_offset = (int64_t)get_u64(p + 8),
		};
	}
	return OK;
}
