/* Whatever a store does to an object: it opens as what was sealed, or not at all.  The input is a
 * size and changes: kind (1 byte), place (3), value (3). */
#include "buckets/sealed_object.h"

#include <stdlib.h>

#include "base/memory.h"

enum { CHANGE_BYTES = 7, BODY_BYTES_MAX = 3 * SEALED_CHUNK_BYTES + 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t number(const uint8_t *p)
{
	return (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
}

static size_t change(uint8_t *bytes, size_t size, size_t room, const uint8_t *p)
{
	size_t at = size ? number(p + 1) % size : 0, value = number(p + 4);
	size_t chunks = size / SEALED_STORED_BYTES;

	switch (p[0] % 4) {
	case 0:
		if (size > 0)
			bytes[at] ^= (uint8_t)value;
		return size;
	case 1: /* another length; what is behind the end is what was there */
		return value % (room + 1);
	case 2: /* a chunk in the place of another */
		if (chunks > 0)
			memmove(bytes + at % chunks * SEALED_STORED_BYTES,
				bytes + value % chunks * SEALED_STORED_BYTES, SEALED_STORED_BYTES);
		return size;
	default: /* any bytes */
		memmove(bytes + at, bytes + value % (size + 1),
			size - (at > value % (size + 1) ? at : value % (size + 1)));
		return size;
	}
}

static void try_open(const struct sealed_key *k, struct slice stored, struct slice body)
{
	uint8_t *out = memory_take(stored.size + 1);
	char why[SEALED_WHY_BYTES] = "";
	uint64_t plain = 0;
	bool is_whole = sealed_plain_size(stored.size, &plain);
	enum err err = sealed_open(k, SLICE("v1/d/x"), stored, 0, stored.size, out, why);

	if (err && !why[0])
		abort();
	if (!err && (!is_whole || !slice_equal((struct slice) { out, plain }, body)))
		abort();
	/* from the second chunk on */
	if (stored.size > SEALED_STORED_BYTES) {
		struct slice rest = slice_part(stored, SEALED_STORED_BYTES, stored.size);

		err = sealed_open(k, SLICE("v1/d/x"), rest, 1, stored.size, out, why);
		if (!err && memcmp(out, body.data + SEALED_CHUNK_BYTES,
				   body.size - SEALED_CHUNK_BYTES) != 0)
			abort();
	}
	memory_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[SEALED_KEY_BYTES] = { 9 };
	static uint8_t text[BODY_BYTES_MAX];
	struct sealed_key k;

	if (size < 3)
		return 0;
	for (size_t i = 0; i < sizeof(text) && !text[1]; i++)
		text[i] = (uint8_t)(i * 31 + i / 251);
	struct slice body = { text, number(data) % (BODY_BYTES_MAX + 1) };
	size_t room = sealed_size(body.size) + SEALED_STORED_BYTES,
	       used = room - SEALED_STORED_BYTES;
	uint8_t *stored = memory_take(room);

	sealed_key_init(&k, key);
	sealed_seal(&k, SLICE("v1/d/x"), &body, 1, stored);
	for (size_t i = 3; i + CHANGE_BYTES <= size; i += CHANGE_BYTES)
		used = change(stored, used, room, data + i);
	try_open(&k, (struct slice) { stored, used }, body);
	try_open(&k, (struct slice) { data, size }, body);
	sealed_key_done(&k);
	memory_free(stored);
	return 0;
}
