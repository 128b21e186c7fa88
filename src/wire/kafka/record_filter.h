/* A record batch without some of its records: what compaction by key makes of it.
 *
 * Offsets never change: the batch keeps its base offset and its last offset, the records that stay
 * keep their offset deltas, and so does the sequence of its producer.  The codec stays, the times
 * and the checksum are those of what is left.
 *
 * A tombstone (a key with a null value) that stays gives its batch a time from which on it goes,
 * the delete horizon, as KIP-534 has it: a flag among the attributes, and the time in place of the
 * first record's.  Control batches are not filtered. */
#ifndef WIRE_KAFKA_RECORD_FILTER_H
#define WIRE_KAFKA_RECORD_FILTER_H

#include "base/buf.h"
#include "wire/kafka/records.h"

/* Is this record to stay?  Asked once for each record, in order; `offset` is its final one. */
typedef bool record_filter_keeps(void *context, int64_t offset, const struct record *record);

struct record_filter {
	record_filter_keeps *keeps; /* tombstones whose time has come go whatever it says */
	void *context;
	int64_t now_ms;
	int64_t delete_retention_ms; /* from now to the horizon of a batch that gets one */
};

struct record_filter_result {
	int32_t kept, dropped;	   /* records */
	int32_t tombstones;	   /* among those kept */
	int64_t delete_horizon_ms; /* of the batch with them; -1: it has none */
	int64_t max_timestamp;	   /* of what was kept */
};

/* Append what is left of a batch, with its `base_offset` and `leader_epoch`; nothing if nothing is.
 * Where every record stays, and no horizon is to be set, the bytes stay too.
 *
 * One batch is decompressed at a time: memory is a small multiple of RECORDS_BYTES_MAX.
 * ERR_TOO_BIG (for that or for a batch), ERR_INVALID (no records, times too far apart, or
 * offsets beyond those of a log): nothing is appended, and the batch is better left as it is.
 * `b` is no control batch. */
MUST_CHECK enum err record_filter_batch(const struct record_filter *f, const struct record_batch *b,
					struct buf *out, struct record_filter_result *ret);

/* Append the batch without any record: readers learn from it that the log goes on to its last
 * offset. */
void record_filter_empty(const struct record_batch *b, struct buf *out);

/* The delete horizon of a batch, or -1. */
static inline int64_t record_batch_delete_horizon(const struct record_batch *b)
{
	return b->attributes & RECORD_BATCH_DELETE_HORIZON ? b->base_timestamp : -1;
}

#endif
