/* Any bytes as a data file, as a tombstone and as a name.  The checksums are put right on a copy,
 * so that what they guard is reached too; entries that are believed must lie inside the body.
 * seeds: test/corpus/streams */
#include <assert.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/memory.h"
#include "wire/corpus_fuzz.h"
#include "wire/streams/data_file.h"
#include "wire/streams/tombstone.h"

static void write_again(const struct data_file *f, struct slice file)
{
	struct blob *holder = blob_from(file);
	struct data_file_writer w;

	data_file_writer_init(&w);
	for (size_t i = 0; i < f->entry_count; i++) {
		struct slice bytes =
			slice_part(blob_slice(holder), f->entries[i].offset, f->entries[i].size);
		struct record_batch batch;
		assert(record_batch_next(&bytes, &batch) == OK);
		assert(data_file_writer_add(&w, f->entries[i].topic_id, f->entries[i].partition,
					    &batch, holder) == OK);
	}
	data_file_writer_arrange(&w);
	for (size_t i = 0; i < f->entry_count; i++)
		w.entries[i].base_offset = f->entries[i].base_offset;
	for (size_t i = 0; i < f->topic_count; i++)
		assert(data_file_writer_name(&w, &f->topics[i]) == OK);
	data_file_writer_finish(&w, &f->header);
	size_t at = 0;
	for (size_t i = 0; i < w.slice_count; i++) {
		assert(slice_equal(slice_part(file, at, w.slices[i].size), w.slices[i]));
		at += w.slices[i].size;
	}
	assert(at == file.size);
	data_file_writer_done(&w);
	blob_unref(&holder);
}

static void read_tombstone(struct slice object)
{
	uint8_t again[TOMBSTONE_BYTES];
	struct tombstone t;

	if (tombstone_decode(object, &t) != OK)
		return;
	tombstone_encode(&t, again);
	assert(slice_equal(object, (struct slice) { again, sizeof(again) }));
}

static void read_file(struct slice file)
{
	struct data_file f;
	struct arena a;
	struct data_file_header header;
	struct data_file_trailer trailer;

	arena_init(&a);
	read_tombstone(file);
	(void)!data_file_decode_header(file, &header);
	(void)!data_file_decode_trailer(file, file.size, &trailer);
	if (data_file_decode(&a, file, &f) == OK) {
		for (size_t i = 0; i < f.entry_count; i++) {
			struct data_file_entry *e = &f.entries[i];
			assert(e->offset <= file.size && e->size <= file.size - e->offset);
		}
		if (data_file_check_body(&f, file) == OK && f.header.version == DATA_FILE_VERSION)
			write_again(&f, file);
	}
	arena_done(&a);
}

static void seal(uint8_t *file, size_t size)
{
	if (size == TOMBSTONE_BYTES)
		put_u32(file + 60, crc32c((struct slice) { file, 60 }));
	if (size < DATA_FILE_HEADER_BYTES + DATA_FILE_TRAILER_BYTES)
		return;
	put_u32(file + 60, crc32c((struct slice) { file, 60 }));
	uint8_t *trailer = file + size - DATA_FILE_TRAILER_BYTES;
	uint64_t footer_at = get_u64(trailer);
	if (footer_at > size - DATA_FILE_TRAILER_BYTES)
		return;
	struct slice covered = { file + footer_at, size - footer_at - 12 };
	put_u32(trailer + 20, crc32c(covered));
}

static void read_name(struct slice in)
{
	uint64_t incarnation, sequence;
	char key[DATA_FILE_KEY_BYTES + 1];

	if (data_file_key_parse(in, &incarnation, &sequence) != OK)
		return;
	data_file_key(key, incarnation, sequence);
	assert(slice_equal(in, slice_from(key)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = memory_take(size + 1);

	read_name((struct slice) { data, size });
	if (size)
		memcpy(copy, data, size);
	(void)corpus_fuzz_decode(copy, size, &size);
	read_file((struct slice) { copy, size });
	seal(copy, size);
	read_file((struct slice) { copy, size });
	memory_free(copy);
	return 0;
}
