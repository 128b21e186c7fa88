/* What the tests of transactions share: the requests of transactional producers, run on books. */
#ifndef STREAMS_COORDINATOR_TRANSACTIONS_TESTING_H
#define STREAMS_COORDINATOR_TRANSACTIONS_TESTING_H

#include "kafka_messages.h"
#include "streams/catalog/transactions.h"
#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/operation.h"
#include "streams/coordinator/private.h"
#include "streams/coordinator/transaction.h"

/* A client: a producer of one transactional id, on one connection of one agent. */
struct writer {
	struct books *books;
	const char *name;
	bool is_second; /* of the second protocol */
	int64_t producer_id;
	int16_t epoch;
	int32_t sequence[8]; /* the next one, by partition */
	int64_t connection;
	bool was_outdated; /* the last request was not served */
};

struct books_run {
	const struct coordinator_operation *operation;
	struct operation_call *call;
};

static inline enum err books_run_operation(struct cell *cell, void *argument)
{
	struct books_run *run = argument;

	return run->operation->run(cell, run->call);
}

/* The response of an operation that runs to its end. */
static inline const void *books_ask(struct books *b, int16_t api_key, int16_t version,
				    const void *request, struct transaction_session session,
				    bool *ret_outdated)
{
	const struct kafka_api *api = kafka_api_find(api_key);
	struct coordinator coordinator = { 0 };
	struct denials denials = { 0 };
	struct operation_call call = {
		.denials = &denials,
		.coordinator = &coordinator,
		.arena = &b->arena,
		.version = version,
		.now_ms = b->now_ms,
		.request = request,
		.response = arena_take(&b->arena, api->response->struct_bytes),
		.session = session,
	};
	struct books_run run = { coordinator_operation_find(api_key), &call };

	schema_defaults(api->response, call.response);
	assert_non_null(run.operation);
	guard_init(&coordinator.guard);
	guard_read(&coordinator.guard, b->cell);
	assert_int_equal(cell_run(b->cell, books_run_operation, &run), OK);
	guard_done(&coordinator.guard);
	if (ret_outdated)
		*ret_outdated = call.is_outdated;
	return call.response;
}

static inline const void *writer_ask(struct writer *w, int16_t api_key, int16_t version,
				     const void *request)
{
	struct transaction_session session = { w->connection ? 7 : 0, w->connection };

	return books_ask(w->books, api_key, version, request, session, &w->was_outdated);
}

/* InitProducerId; `goes_on` names what the writer has. */
static inline int16_t writer_init_as(struct writer *w, bool goes_on, int32_t timeout_ms)
{
	struct kafka_init_producer_id_request request = {
		.transactional_id = slice_from(w->name),
		.transaction_timeout_ms = timeout_ms,
		.producer_id = goes_on ? w->producer_id : -1,
		.producer_epoch = goes_on ? w->epoch : -1,
	};
	const struct kafka_init_producer_id_response *r =
		writer_ask(w, KAFKA_API_INIT_PRODUCER_ID, 5, &request);

	if (r->error_code || w->was_outdated)
		return r->error_code;
	w->producer_id = r->producer_id;
	w->epoch = r->producer_epoch;
	memset(w->sequence, 0, sizeof(w->sequence));
	return KAFKA_NONE;
}

static inline void writer_init(struct writer *w)
{
	assert_int_equal(writer_init_as(w, false, 60000), KAFKA_NONE);
}

static inline int16_t writer_add(struct writer *w, const char *topic, int32_t partition)
{
	struct kafka_add_partitions_to_txn_request_old_topic one = {
		.name = slice_from(topic),
		.partitions = &partition,
		.partitions_count = 1,
	};
	const struct kafka_add_partitions_to_txn_response *r =
		writer_ask(w, KAFKA_API_ADD_PARTITIONS_TO_TXN, 3,
			   &(struct kafka_add_partitions_to_txn_request) {
				   .v3_and_below_transactional_id = slice_from(w->name),
				   .v3_and_below_producer_id = w->producer_id,
				   .v3_and_below_producer_epoch = w->epoch,
				   .v3_and_below_topics = &one,
				   .v3_and_below_topics_count = 1,
			   });

	return r->results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
}

static inline struct batch writer_batch(const struct writer *w, struct uuid topic,
					int32_t partition, int32_t records)
{
	return (struct batch) {
		.topic = topic,
		.partition = partition,
		.records = records,
		.producer_id = w->producer_id,
		.epoch = w->epoch,
		.sequence = w->sequence[partition],
		.transactional_id = w->name,
		.support = w->is_second ? TRANSACTION_SUPPORT_SECOND : TRANSACTION_SUPPORT_FIRST,
	};
}

/* A batch; writers of the first protocol have added the partition. */
static inline struct peer_commit_file_response_batch writer_write(struct writer *w,
								  struct uuid topic,
								  int32_t partition,
								  int32_t records)
{
	struct peer_commit_file_response_batch answer =
		books_batch(w->books, writer_batch(w, topic, partition, records));

	if (!answer.error)
		w->sequence[partition] += records;
	return answer;
}

static inline int16_t writer_end_as(struct writer *w, bool commits, int16_t version)
{
	const struct kafka_end_txn_response *r =
		writer_ask(w, KAFKA_API_END_TXN, version,
			   &(struct kafka_end_txn_request) {
				   .transactional_id = slice_from(w->name),
				   .producer_id = w->producer_id,
				   .producer_epoch = w->epoch,
				   .committed = commits,
			   });

	if (version >= 5 && !r->error_code) {
		w->producer_id = r->producer_id;
		w->epoch = r->producer_epoch;
		memset(w->sequence, 0, sizeof(w->sequence));
	}
	return r->error_code;
}

static inline int16_t writer_end(struct writer *w, bool commits)
{
	return writer_end_as(w, commits, w->is_second ? 5 : 4);
}

/* Writes to a partition as its protocol says, adding it first if that is needed. */
static inline int64_t writer_put(struct writer *w, struct uuid topic, const char *topic_name,
				 int32_t partition, int32_t records)
{
	if (!w->is_second)
		assert_int_equal(writer_add(w, topic_name, partition), KAFKA_NONE);
	struct peer_commit_file_response_batch answer = writer_write(w, topic, partition, records);
	assert_int_equal(answer.error, KAFKA_NONE);
	return answer.base_offset;
}

/* --- what readers see --------------------------------------------------------------------------
 */

static inline struct catalog_partition books_partition(struct books *b, struct uuid topic,
						       int32_t number)
{
	struct catalog_topic found;
	struct catalog_partition partition;

	assert_int_equal(catalog_topic_by_id(&b->arena, b->cell, &topic, &found), OK);
	assert_int_equal(catalog_partition_find(b->cell, found.id, number, &partition), OK);
	return partition;
}

static inline int64_t books_end(struct books *b, struct uuid topic, int32_t number)
{
	return books_partition(b, topic, number).high_watermark;
}

static inline int64_t books_stable(struct books *b, struct uuid topic, int32_t number)
{
	struct catalog_partition partition = books_partition(b, topic, number);

	return catalog_last_stable_offset(b->cell, &partition);
}

/* The marker at this offset; there must be one. */
static inline struct catalog_marker books_marker(struct books *b, struct uuid topic, int32_t number,
						 int64_t offset)
{
	struct catalog_marker *markers;
	size_t count;

	assert_int_equal(catalog_markers(&b->arena, b->cell, books_partition(b, topic, number).id,
					 offset, 1, &markers, &count),
			 OK);
	assert_int_equal(count, 1);
	assert_int_equal(markers[0].offset, offset);
	return markers[0];
}

/* --- what most tests begin with ----------------------------------------------------------------
 */

static inline void open_books(struct books *b, struct uuid *topic)
{
	books_open(b);
	books_hello(b);
	*topic = books_topic(b, "t", 4);
}

static inline struct writer first(struct books *b, const char *name)
{
	return (struct writer) { .books = b, .name = name };
}

static inline struct writer second(struct books *b, const char *name)
{
	return (struct writer) { .books = b, .name = name, .is_second = true };
}

#endif
