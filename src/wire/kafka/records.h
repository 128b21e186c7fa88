/* The records inside a batch.  Only lookups by time, compacted topics and tools look there: produce
 * and fetch move batches whole. */
#ifndef WIRE_KAFKA_RECORDS_H
#define WIRE_KAFKA_RECORDS_H

#include "base/arena.h"
#include "wire/kafka/compression.h"
#include "wire/kafka/record_batch.h"

/* Null is a slice whose data is NULL; an empty key or value has data. */
struct record_header {
	struct slice key; /* never null */
	struct slice value;
};

struct record {
	int32_t offset_delta;
	int64_t timestamp_ms; /* absolute, and the broker's time if the batch says so */
	struct slice key;
	struct slice value;
	uint32_t header_count;
	struct slice headers; /* as encoded, already validated: record_header_next */
};

/* A place in the records of one batch. */
struct records {
	struct slice rest;
	int32_t left; /* records not read yet */
	int32_t last_offset_delta;
	int32_t previous_offset_delta;
	int64_t base_timestamp;
	int64_t log_append_time; /* used when is_log_append_time */
	bool is_log_append_time;
};

/* Start at the first record.  Compressed records are decompressed into the arena, so records read
 * later borrow from there or from the batch.  ERR_INVALID, ERR_TOO_BIG (over RECORDS_BYTES_MAX). */
MUST_CHECK enum err records_init(struct arena *a, const struct record_batch *b,
				 struct records *ret);

/* The next record; ERR_NOT_FOUND after the last.  ERR_INVALID when the bytes do not hold exactly
 * the promised number of records, with rising offsets up to the batch's last. */
MUST_CHECK enum err records_next(struct records *r, struct record *ret);

/* Walk `headers` of a record until ERR_NOT_FOUND. */
MUST_CHECK enum err record_header_next(struct slice *headers, struct record_header *ret);

/* Encode headers for a struct record that is to be built. */
struct slice record_headers_encode(struct arena *a, const struct record_header *headers,
				   size_t count);

struct records_match {
	int32_t offset_delta;
	int64_t timestamp_ms;
};

/* The first record whose time is at least `timestamp_ms` (ListOffsets with a time);
 * ERR_NOT_FOUND when the batch has none.  Records before `first_delta` do not count: they may be
 * deleted. */
MUST_CHECK enum err records_find_timestamp(const struct record_batch *b, int32_t first_delta,
					   int64_t timestamp_ms, struct records_match *ret);

/* The first of the records with the greatest time (ListOffsets -3). */
MUST_CHECK enum err records_find_max_timestamp(const struct record_batch *b, int32_t first_delta,
					       struct records_match *ret);

/* Some producers (older sarama) leave max_timestamp -1, and lookups by time and retention
 * believe it.  A broker repairs such a batch before it stores it: the records are walked, the
 * greatest time and a new checksum are written.  A struct record_batch read before is stale. */
static inline bool records_max_timestamp_is_missing(const struct record_batch *b)
{
	return b->max_timestamp < b->base_timestamp;
}

MUST_CHECK enum err records_repair_max_timestamp(uint8_t *batch, size_t size);

#endif
