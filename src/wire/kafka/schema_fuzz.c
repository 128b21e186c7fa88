/* Any bytes as any message in any version: what is accepted encodes, and decodes to the same. */
#include <stdlib.h>

#include "kafka_messages.h"
#include "peer_messages.h"

enum { STRUCT_BYTES = 1024, SELECTOR_BYTES = 2 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check(const struct schema *s, int version, struct slice in)
{
	static uint64_t value[STRUCT_BYTES / 8], again[STRUCT_BYTES / 8];
	struct arena arena;
	struct buf first, second;

	require(s->struct_bytes <= sizeof(value));
	arena_init(&arena);
	buf_init(&first);
	buf_init(&second);
	if (schema_decode(&arena, s, version, &in, value) == OK) {
		schema_encode(s, version, value, &first);
		require(schema_decode_all(&arena, s, version, buf_slice(&first), again) == OK);
		schema_encode(s, version, again, &second);
		require(slice_equal(buf_slice(&first), buf_slice(&second)));
	}
	require(arena.used <= 2 * (size_t)SCHEMA_ARENA_BYTES_MAX + sizeof(value) * 4);
	buf_done(&second);
	buf_done(&first);
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < SELECTOR_BYTES)
		return 0;
	size_t number = data[0] % (kafka_schemas_count + peer_schemas_count);
	const struct schema *s = number < kafka_schemas_count
					 ? kafka_schemas[number]
					 : peer_schemas[number - kafka_schemas_count];
	int version = s->version_first + data[1] % (s->version_last - s->version_first + 1);
	check(s, version, (struct slice) { data + SELECTOR_BYTES, size - SELECTOR_BYTES });
	return 0;
}
