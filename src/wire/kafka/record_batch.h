/* Kafka's record batch, message format 2: the unit that producers checksum and compress, that data
 * files hold byte for byte, and that consumers get back with only its offset and epoch replaced.
 * The layout is drawn in record_batch.c. */
#ifndef WIRE_KAFKA_RECORD_BATCH_H
#define WIRE_KAFKA_RECORD_BATCH_H

#include "base/err.h"
#include "base/slice.h"

enum {
	RECORD_BATCH_HEADER_BYTES = 61,	    /* up to the first record */
	RECORD_BATCH_BYTES_MAX = 100 << 20, /* no request is larger; topics have their own limit */
	RECORD_BATCH_RECORD_BYTES_MIN = 7,  /* the shortest record there is */
	RECORD_BATCH_MAGIC = 2,
};

enum {
	RECORD_BATCH_CODEC_MASK = 0x07,	     /* enum compression */
	RECORD_BATCH_LOG_APPEND_TIME = 0x08, /* max_timestamp is the time of every record */
	RECORD_BATCH_TRANSACTIONAL = 0x10,
	RECORD_BATCH_CONTROL = 0x20,
	RECORD_BATCH_DELETE_HORIZON = 0x40, /* base_timestamp is one; never from clients */
};

struct record_batch {
	int64_t base_offset;
	uint32_t batch_length; /* bytes after this field: bytes.size - 12 */
	int32_t leader_epoch;
	uint8_t magic;
	uint32_t crc; /* of everything from attributes on */
	uint16_t attributes;
	int32_t last_offset_delta;
	int64_t base_timestamp;
	int64_t max_timestamp; /* as told: some producers leave it -1 */
	int64_t producer_id;   /* -1: not idempotent */
	int16_t producer_epoch;
	int32_t base_sequence;
	int32_t record_count;
	struct slice bytes; /* the whole batch, header included */
};

enum record_batch_fault {
	RECORD_BATCH_FINE = 0,
	RECORD_BATCH_TRUNCATED,	  /* the bytes end before the batch does */
	RECORD_BATCH_NOT_MAGIC_2, /* message format 0 or 1, or not a batch at all */
	RECORD_BATCH_BAD_LENGTH,  /* batch_length cannot hold a header */
	RECORD_BATCH_TOO_BIG,	  /* over RECORD_BATCH_BYTES_MAX */
};

/* What stops record_batch_next at the front of `in`.  Looks at lengths and magic only. */
enum record_batch_fault record_batch_fault(struct slice in);

/* Take one batch off the front of a non-empty `in`; ret->bytes borrows from it.
 * Lengths and magic are right afterwards, nothing else is believed: see record_batch_check.
 * ERR_TOO_BIG, or ERR_INVALID for the other faults; then `in` has not moved. */
MUST_CHECK enum err record_batch_next(struct slice *in, struct record_batch *ret);

/* What a broker accepts.  All zero and a size is the rule for a plain producer. */
struct record_batch_rules {
	size_t size_max; /* max.message.bytes */
	bool transactional_allowed;
	bool control_allowed;	 /* also allows the broker's own bits; never for clients */
	bool zstd_refused;	 /* Produce before version 7 */
	bool timestamps_bounded; /* only then are the next three looked at */
	int64_t now_ms;
	int64_t timestamp_before_max_ms; /* message.timestamp.before.max.ms */
	int64_t timestamp_after_max_ms;	 /* message.timestamp.after.max.ms */
};

/* Everything a broker must see before it stores a batch, without decompressing: checksum, counts,
 * codec, flags, timestamps, size.  Returns a code of errors.h, KAFKA_NONE when the batch may be
 * stored. */
int16_t record_batch_check(const struct record_batch *b, const struct record_batch_rules *rules);

/* The records field of one partition of a Produce request: exactly one batch that passes the check.
 * Returns a code of errors.h; *ret is written when it is KAFKA_NONE. */
int16_t record_batch_from_produce(struct slice records, const struct record_batch_rules *rules,
				  struct record_batch *ret);

/* Does the stored CRC-32C match the bytes? */
bool record_batch_crc_matches(const struct record_batch *b);

/* Enum compression, or 5 to 7, which mean nothing. */
static inline unsigned record_batch_codec(const struct record_batch *b)
{
	return b->attributes & RECORD_BATCH_CODEC_MASK;
}

/* Write the place a batch has in its partition; the checksum does not cover it. */
void record_batch_patch(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);

/* Stamp a batch of `size` bytes with the broker's time, and its checksum again.
 * A struct record_batch read before is stale afterwards. */
void record_batch_set_log_append_time(uint8_t *batch, size_t size, int64_t now_ms);

/* For those who make or repair batches.  set_* write the checksum again. */
void record_batch_write_header(uint8_t *ret, const struct record_batch *b); /* 61 bytes */
void record_batch_set_crc(uint8_t *batch, size_t size);
void record_batch_set_max_timestamp(uint8_t *batch, size_t size, int64_t timestamp_ms);

#endif
