/* For tests: the golden vectors in test/corpus, bytes that other implementations wrote
 * (Kafka's Java client, librdkafka through kcat, kafkajs).  Tests run from the project's root. */
#ifndef WIRE_CORPUS_TEST_H
#define WIRE_CORPUS_TEST_H

#include <stdio.h>

#include "base/buf.h"
#include "base/scope.h"

/* What producers sent: all but the markers and the stamped batch, which only brokers write. */
__attribute__((unused)) static const char *const corpus_producer_batches[] = {
	"kafka/batch_java_gzip.hex",
	"kafka/batch_java_idempotent.hex",
	"kafka/batch_java_lz4.hex",
	"kafka/batch_java_none.hex",
	"kafka/batch_java_snappy.hex",
	"kafka/batch_java_snappy_blocks.hex",
	"kafka/batch_java_zstd.hex",
	"kafka/batch_java_transactional.hex",
	"kafka/batch_kafkajs_none.hex",
	"kafka/batch_kcat_gzip.hex",
	"kafka/batch_kcat_idempotent.hex",
	"kafka/batch_kcat_lz4.hex",
	"kafka/batch_kcat_none.hex",
	"kafka/batch_kcat_null.hex",
	"kafka/batch_kcat_snappy.hex",
	"kafka/batch_kcat_zstd.hex",
	NULL,
};

/* The bytes behind the hexadecimal text of one file; the caller ends the buffer. */
static inline struct buf corpus_read(const char *name)
{
	struct buf path, bytes;
	unsigned value;

	buf_init(&path);
	buf_init(&bytes);
	buf_add_format(&path, "test/corpus/%s", name);
	buf_add_u8(&path, 0);
	AUTO_FILE file = fopen((const char *)path.data, "r");
	assert_non_null(file);
	while (fscanf(file, " %2x", &value) == 1)
		buf_add_u8(&bytes, (uint8_t)value);
	assert_true(feof(file) && bytes.size > 0);
	buf_done(&path);
	return bytes;
}

#endif
