/* Any packet is refused or read; what is read can be said again. */
#include "wire/stun/stun.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice packet = { data, size };
	struct endpoint seen, again;
	uint8_t id[STUN_ID_BYTES], found[STUN_ID_BYTES], answer[STUN_ANSWER_BYTES_MAX];

	if (stun_read_request(packet, id) == OK)
		assert(stun_is_message(packet));
	if (stun_read_answer(packet, id, &seen) == OK) {
		size_t written = stun_make_answer(id, &seen, answer);
		enum err err = stun_read_answer((struct slice) { answer, written }, found, &again);
		assert(err == OK && again.port == seen.port);
		assert(memcmp(again.ip, seen.ip, sizeof(seen.ip)) == 0);
		assert(memcmp(found, id, STUN_ID_BYTES) == 0);
	}
	return 0;
}
