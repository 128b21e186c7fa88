/* Bytes from a bucket: decode as each kind; what decodes encodes to the same bytes.  The first byte
 * says whether the checksum is made right first, so that what is behind it is reached.
 * seeds: test/corpus/journal */
#include <assert.h>

#include "cells/journal_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_kind(struct slice bytes, enum journal_object_kind kind)
{
	struct journal_object object;

	if (journal_object_decode(bytes, kind, &object) != OK)
		return;
	struct blob *again = journal_object_encode(&object);
	assert(slice_equal(blob_slice(again), bytes));
	blob_unref(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = { data + 1, size - 1 };
	struct journal_name name;

	if (size == 0)
		return 0;
	struct blob *body = blob_from(bytes);
	if (data[0] & 1 && body->size >= JOURNAL_HEADER_BYTES)
		journal_object_seal(body);
	for (int kind = JOURNAL_OBJECT_RECORD; kind <= JOURNAL_OBJECT_SEAL; kind++)
		try_kind(blob_slice(body), (enum journal_object_kind)kind);
	if (journal_key_parse(bytes, "main", &name)) {
		char key[JOURNAL_KEY_BYTES];
		if (name.kind == JOURNAL_OBJECT_MARK)
			journal_key_mark(key, "main", name.epoch, name.class);
		else if (name.kind == JOURNAL_OBJECT_FENCE)
			journal_key_fence(key, "main", name.epoch);
		else if (name.kind == JOURNAL_OBJECT_START)
			journal_key_start(key, "main", name.epoch);
		else if (name.kind == JOURNAL_OBJECT_FLOOR)
			journal_key_floor(key, "main", name.epoch, name.sequence);
		else if (name.is_copy)
			journal_key_copy(key, "main", name.epoch, name.sequence);
		else
			journal_key_record(key, "main", name.epoch, name.sequence);
		assert(slice_equal(slice_from(key), bytes));
	}
	blob_unref(&body);
	return 0;
}
