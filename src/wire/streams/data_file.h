/* The data file: the one kind of object an agent writes.  It holds the record batches of many
 * requests, sorted by partition, byte for byte as producers sent them, and says of itself what is
 * inside, so that metadata could be rebuilt from the bucket.
 * Every byte is in doc/formats/data-file.md. */
#ifndef WIRE_STREAMS_DATA_FILE_H
#define WIRE_STREAMS_DATA_FILE_H

#include "base/arena.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/kafka/record_batch.h"

enum {
	DATA_FILE_VERSION = 2, /* what is written; 1 is read */
	DATA_FILE_HEADER_BYTES = 64,
	DATA_FILE_ENTRY_BYTES = 84,
	DATA_FILE_TOPIC_BYTES = 22, /* and the name */
	DATA_FILE_TRAILER_BYTES = 32,
	DATA_FILE_BYTES_MAX = 128 << 20, /* the largest batch besides a file's usual size */
	DATA_FILE_ENTRIES_MAX = 1 << 17,
	DATA_FILE_TOPICS_MAX = 4096, /* with a name in the file */
	DATA_FILE_TOPIC_NAME_BYTES_MAX = 249,
	DATA_FILE_KEY_BYTES = 4 + 1 + 2 + 1 + 16 + 1 + 16, /* without the NUL */
};

/* Flags of a file. */
enum {
	/* Written by compaction: the batches carry their base offset and leader epoch, and the
	 * entries of a partition are in the order of their offsets. */
	DATA_FILE_FINAL_OFFSETS = 1 << 0,
	DATA_FILE_FLAGS = DATA_FILE_FINAL_OFFSETS, /* all there are */
};

struct data_file_header {
	uint16_t version; /* reader only */
	uint16_t flags;
	uint8_t cluster_id[16];
	uint64_t incarnation; /* of the agent or its job, granted by control */
	uint64_t sequence;    /* of the file within the incarnation */
	int64_t created_ms;
};

/* One batch of the file.  The fields after `size` repeat the batch's own header. */
struct data_file_entry {
	uint8_t topic_id[16];
	uint32_t partition;
	uint64_t offset; /* of the batch's first byte in the file */
	uint32_t size;
	int32_t record_count;
	int32_t last_offset_delta;
	int64_t base_timestamp;
	int64_t max_timestamp;
	int64_t producer_id;
	int16_t producer_epoch;
	int32_t base_sequence;
	uint16_t attributes;
	uint32_t crc;
	/* With DATA_FILE_FINAL_OFFSETS that of the batch.  Without: the high watermark of the
	 * partition that the writer knew, so the least the batch can have got; -1: unknown. */
	int64_t base_offset;
	uint32_t arrival; /* writer only: the how-manieth batch added, from 0 */
};

/* What a topic was called when the file was written, for who has nothing but files. */
struct data_file_topic {
	uint8_t topic_id[16];
	uint32_t partition_count;
	struct slice name;
};

/* --- writing -------------------------------------------------------------------------------- */

struct data_file_batch;

/* Collects batches in order of arrival; data_file_writer_finish puts them in order of place.
 * Batch bytes are never copied: the writer holds the blobs they are in. */
struct data_file_writer {
	struct data_file_batch *batches; /* by arrival */
	size_t batch_count, batch_capacity;
	size_t body_size;

	/* after data_file_writer_arrange: */
	struct data_file_entry *entries; /* by place */
	struct buf topics;		 /* encoded */
	uint32_t topic_count;
	uint8_t last_topic_id[16];

	/* after data_file_writer_finish: */
	bool is_finished;
	struct slice *slices; /* the whole file: header, batches, footer */
	size_t slice_count;
	uint8_t header[DATA_FILE_HEADER_BYTES];
	struct buf footer; /* and trailer */
};

void data_file_writer_init(struct data_file_writer *w);
void data_file_writer_done(struct data_file_writer *w);

/* Bytes of the file if it were finished now. */
size_t data_file_writer_size(const struct data_file_writer *w);

/* Add a batch that passed record_batch_check; its bytes lie inside `holder` (a reference is taken)
 * and do not change any more.  Batches of one partition stay in the order they were added in.
 * ERR_FULL: DATA_FILE_BYTES_MAX or DATA_FILE_ENTRIES_MAX would be passed; nothing was added. */
MUST_CHECK enum err data_file_writer_add(struct data_file_writer *w, const uint8_t topic_id[16],
					 uint32_t partition, const struct record_batch *batch,
					 struct blob *holder);

/* Sort and place; at least one batch was added, and none is added afterwards.  w->entries
 * [0..batch_count) are in their order then, each with base_offset -1, which the caller may set. */
void data_file_writer_arrange(struct data_file_writer *w);

/* Once arranged: name a topic of the file, in the order of their ids.  ERR_FULL: as many have a
 * name as may have one. */
MUST_CHECK enum err data_file_writer_name(struct data_file_writer *w,
					  const struct data_file_topic *topic);

/* Describe what was arranged (or arrange it, too).  Afterwards w->slices is the file, to be written
 * in that order (neighbours in memory are one slice), and w->entries[0..batch_count) is what to
 * commit; both live until data_file_writer_done. */
void data_file_writer_finish(struct data_file_writer *w, const struct data_file_header *header);

/* --- reading: ERR_CORRUPT, ERR_TOO_BIG, ERR_UNSUPPORTED (a newer version) -----------------------
 */

struct data_file {
	struct data_file_header header;
	struct data_file_entry *entries; /* by place: sorted, without gaps */
	size_t entry_count;
	struct data_file_topic *topics; /* by id, not all of them; names lie in the file's bytes */
	size_t topic_count;
	size_t size;
};

/* Header, trailer and footer of a whole file.  The entries point inside the body and cover it;
 * the batches themselves are not looked at. */
MUST_CHECK enum err data_file_decode(struct arena *a, struct slice file, struct data_file *ret);

/* Does every batch in the body say what its entry says, and is its checksum right?
 * For rebuilding, scrubbing and tests. */
MUST_CHECK enum err data_file_check_body(const struct data_file *f, struct slice file);

/* In parts, for ranged reads: the first DATA_FILE_HEADER_BYTES; the last DATA_FILE_TRAILER_BYTES of
 * a file of `file_size`, which say where the footer is; the footer with the trailer after it. */
struct data_file_trailer {
	uint16_t version;
	uint16_t flags; /* as in the header */
	uint64_t footer_offset;
	uint32_t footer_size;
	uint32_t entry_count;
};

struct data_file_footer {
	struct data_file_entry *entries;
	size_t entry_count;
	struct data_file_topic *topics; /* names lie in the bytes that were decoded */
	size_t topic_count;
};

MUST_CHECK enum err data_file_decode_header(struct slice bytes, struct data_file_header *ret);
MUST_CHECK enum err data_file_decode_trailer(struct slice bytes, uint64_t file_size,
					     struct data_file_trailer *ret);
MUST_CHECK enum err data_file_decode_footer(struct arena *a, struct slice footer_and_trailer,
					    uint64_t file_size, struct data_file_footer *ret);

/* --- names ---------------------------------------------------------------------------------- */

#define DATA_FILE_PREFIX "v1/d/"

/* "v1/d/<2 hex of a hash>/<incarnation>-<sequence>", each 16 hex digits.  The hash spreads writers
 * over a store's key space. */
void data_file_key(char ret[DATA_FILE_KEY_BYTES + 1], uint64_t incarnation, uint64_t sequence);

/* The inverse, for the orphan scan; ERR_INVALID for anything data_file_key does not write. */
MUST_CHECK enum err data_file_key_parse(struct slice key, uint64_t *ret_incarnation,
					uint64_t *ret_sequence);

#endif
