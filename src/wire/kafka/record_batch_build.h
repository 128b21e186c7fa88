/* Make record batches, as a producer would: for tests, tools, benchmarks, and for the control
 * batches a broker writes itself. */
#ifndef WIRE_KAFKA_RECORD_BATCH_BUILD_H
#define WIRE_KAFKA_RECORD_BATCH_BUILD_H

#include "base/buf.h"
#include "wire/kafka/records.h"

struct record_batch_plan {
	int64_t base_offset;
	int32_t leader_epoch;
	enum compression codec;
	uint16_t flags; /* RECORD_BATCH_TRANSACTIONAL, RECORD_BATCH_CONTROL */
	int64_t producer_id;
	int16_t producer_epoch;
	int32_t base_sequence;
};

/* What a producer without idempotence sends. */
#define RECORD_BATCH_PLAIN                                                                         \
	((struct record_batch_plan) { .leader_epoch = -1,                                          \
				      .producer_id = -1,                                           \
				      .producer_epoch = -1,                                        \
				      .base_sequence = -1 })

/* Append one batch of `count` (at least one) records with offsets 0, 1, 2...; their offset_delta
 * is ignored.  The sizes are the caller's own and below RECORDS_BYTES_MAX. */
void record_batch_build(struct buf *out, const struct record_batch_plan *plan,
			const struct record *records, size_t count);

/* Append one record as it stands in a batch before compression.  `scratch` is for what is needed on
 * the way.  The difference of the times fits 64 bits. */
void record_batch_add_record(struct buf *out, struct buf *scratch, const struct record *record,
			     int32_t offset_delta, int64_t base_timestamp);

/* The control batch that ends a transaction in a partition: one record that says commit or abort.
 */
void record_batch_build_end_marker(struct buf *out, int64_t producer_id, int16_t producer_epoch,
				   bool is_commit, int32_t coordinator_epoch, int64_t timestamp_ms);

#endif
