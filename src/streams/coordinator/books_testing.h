/* What the tests of commands share: a cell with the tables of streams and nothing around it. */
#ifndef STREAMS_COORDINATOR_BOOKS_TESTING_H
#define STREAMS_COORDINATOR_BOOKS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "streams/catalog/catalog.h"
#include "streams/coordinator/commit_file.h"
#include "streams/coordinator/hello.h"
#include "streams/coordinator/topic.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/record_batch.h"
#include "wire/peer/transaction_support.h"
#include "wire/streams/data_file.h"

enum { BOOKS_BATCHES_MAX = 400 };

struct books {
	struct cell *cell;
	struct arena arena;
	int64_t now_ms;
	int64_t incarnation; /* of the agent that commits */
	int64_t sequence;    /* of the next file */
};

static inline void books_open(struct books *b)
{
	char why[CELL_WHY_BYTES];

	*b = (struct books) { .now_ms = 1000 };
	b->cell = cell_new("streams");
	arena_init(&b->arena);
	assert_int_equal(cell_upgrade_schema(b->cell, catalog_schema, catalog_schema_count, why),
			 OK);
}

static inline void books_close(struct books *b)
{
	assert_int_equal(cell_verify(b->cell), OK);
	arena_done(&b->arena);
	cell_free(b->cell);
}

static inline int64_t books_number(struct books *b, const char *sql)
{
	sqlite3_stmt *st = cell_statement(b->cell, sql);

	assert_true(cell_next(b->cell, st));
	int64_t number = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return number;
}

static inline enum err run_sql(struct cell *cell, void *sql)
{
	return cell_execute(cell, cell_statement(cell, sql));
}

static inline void books_do(struct books *b, const char *sql)
{
	assert_int_equal(cell_run(b->cell, run_sql, (void *)(uintptr_t)sql), OK);
}

/* --- agents ------------------------------------------------------------------------------------
 */

/* A new life of the agent of this name; b->incarnation is its. */
static inline struct hello books_hello_as(struct books *b, const char *node, int64_t incarnation)
{
	struct peer_hello_request request = {
		.node = slice_from(node),
		.kafka_host = SLICE("127.0.0.1"),
		.kafka_port = 9092,
		.site = SLICE("here"),
		.incarnation = incarnation,
	};
	struct hello hello = { .request = &request };

	assert_int_equal(cell_run(b->cell, hello_run, &hello), OK);
	b->incarnation = hello.incarnation;
	return hello;
}

static inline void books_hello(struct books *b)
{
	(void)books_hello_as(b, "n", 0);
}

/* --- topics ------------------------------------------------------------------------------------
 */

struct new_topic {
	const char *name;
	int32_t partitions;
	struct uuid id;
};

static inline enum err insert_topic(struct cell *cell, void *argument)
{
	const struct new_topic *topic = argument;
	sqlite3_stmt *st =
		cell_statement(cell, "INSERT INTO topic (topic_id, name, partition_count,"
				     " created_ms) VALUES (?1, ?2, ?3, 1)");

	cell_bind_blob(st, 1, (struct slice) { topic->id.bytes, 16 });
	cell_bind_text(st, 2, slice_from(topic->name));
	cell_bind_int(st, 3, topic->partitions);
	enum err err = cell_execute(cell, st);
	return err ? err
		   : topic_add_partitions(cell, sqlite3_last_insert_rowid(cell_database(cell)), 0,
					  topic->partitions);
}

/* Its id begins with the name. */
static inline struct uuid books_topic(struct books *b, const char *name, int32_t partitions)
{
	struct new_topic topic = { name, partitions, { { 0 } } };

	assert_in_range(strlen(name), 1, 16);
	memcpy(topic.id.bytes, name, strlen(name));
	assert_int_equal(cell_run(b->cell, insert_topic, &topic), OK);
	return topic.id;
}

/* --- files -------------------------------------------------------------------------------------
 */

/* A batch in a file, of the partition that comes next or of the same one. */
struct batch {
	struct uuid topic;
	int32_t partition;
	int32_t records;
	int32_t size;	     /* 0: 100 */
	int64_t producer_id; /* 0: not idempotent */
	int16_t epoch;
	int32_t sequence;
	int64_t timestamp;
	const char *transactional_id; /* NULL: not in a transaction */
	enum transaction_support support;
};

/* Neighbours of one partition become a run of the request. */
static inline struct peer_commit_file_request *books_request(struct books *b,
							     const struct batch *batches,
							     size_t count)
{
	struct peer_commit_file_request *r = arena_take(&b->arena, sizeof(*r));
	char *key = arena_take(&b->arena, DATA_FILE_KEY_BYTES + 1);
	int64_t position = 64; /* the header of the file */

	assert_in_range(count, 0, BOOKS_BATCHES_MAX);
	r->incarnation = b->incarnation;
	r->sequence = b->sequence++;
	data_file_key(key, (uint64_t)r->incarnation, (uint64_t)r->sequence);
	r->key = slice_from(key);
	r->runs = arena_take_array(&b->arena, count, sizeof(*r->runs));
	for (size_t i = 0; i < count; i++) {
		const struct batch *m = &batches[i];
		bool goes_on = i > 0 && uuid_equal(m->topic, m[-1].topic) &&
			       m->partition == m[-1].partition;
		if (!goes_on)
			r->runs[r->runs_count++] = (struct peer_commit_file_request_run) {
				.topic_id = m->topic,
				.partition = m->partition,
				.file_offset = position,
				.batches = arena_take_array(
					&b->arena, count,
					sizeof(struct peer_commit_file_request_batch)),
			};
		struct peer_commit_file_request_run *run = &r->runs[r->runs_count - 1];
		run->batches[run->batches_count++] = (struct peer_commit_file_request_batch) {
			.size = m->size ? m->size : 100,
			.record_count = m->records,
			.last_offset_delta = m->records - 1,
			.base_timestamp = m->timestamp,
			.max_timestamp = m->timestamp,
			.producer_id = m->producer_id ? m->producer_id : -1,
			.producer_epoch = m->producer_id ? m->epoch : -1,
			.base_sequence = m->producer_id ? m->sequence : -1,
			.attributes = m->transactional_id ? RECORD_BATCH_TRANSACTIONAL : 0,
			.transactional_id = m->transactional_id ? slice_from(m->transactional_id)
								: (struct slice) { 0 },
			.transaction_support = (int8_t)m->support,
		};
		position += m->size ? m->size : 100;
	}
	r->size = position + 64;
	return r;
}

static inline enum err books_commit(struct books *b, const struct peer_commit_file_request *request,
				    struct peer_commit_file_response *ret)
{
	struct commit_file commit = {
		.arena = &b->arena,
		.request = request,
		.now_ms = b->now_ms,
		.response = ret,
	};

	*ret = (struct peer_commit_file_response) { 0 };
	return cell_run(b->cell, commit_file_run, &commit);
}

/* Commit a new file with these batches; their answers in order, `count` of them. */
static inline struct peer_commit_file_response_batch *books_file(struct books *b,
								 const struct batch *batches,
								 size_t count)
{
	struct peer_commit_file_response_batch *answers =
		arena_take_array(&b->arena, count, sizeof(*answers));
	struct peer_commit_file_response response;
	size_t n = 0;

	assert_int_equal(books_commit(b, books_request(b, batches, count), &response), OK);
	for (size_t i = 0; i < response.runs_count; i++)
		for (size_t k = 0; k < response.runs[i].batches_count; k++)
			answers[n++] = response.runs[i].batches[k];
	assert_int_equal(n, count);
	return answers;
}

/* One batch alone. */
static inline struct peer_commit_file_response_batch books_batch(struct books *b,
								 struct batch batch)
{
	return books_file(b, &batch, 1)[0];
}

#endif
