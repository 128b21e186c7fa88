/* Any bytes as a subscription and as an assignment: what was read is read again as it was. */
#include "wire/kafka/consumer_protocol.h"

#include <stdlib.h>

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct consumer_subscription s, s_again;
	struct consumer_assignment assignment, assignment_again;
	struct slice in = { data, size };
	struct arena a;
	struct buf out;

	arena_init(&a);
	buf_init(&out);
	if (consumer_subscription_decode(&a, in, &s) == OK) {
		consumer_subscription_encode(&s, &out);
		require(consumer_subscription_decode(&a, buf_slice(&out), &s_again) == OK);
		require(s.topic_count == s_again.topic_count &&
			s.owned_count == s_again.owned_count);
	}
	buf_clear(&out);
	if (consumer_assignment_decode(&a, in, &assignment) == OK) {
		consumer_assignment_encode(1, &assignment, &out);
		require(consumer_assignment_decode(&a, buf_slice(&out), &assignment_again) == OK);
		require(assignment.topic_count == assignment_again.topic_count);
	}
	buf_done(&out);
	arena_done(&a);
	return 0;
}
