#include "streams/coordinator/commit_file.h"

#include "base/buf.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/former_producer.h"
#include "streams/coordinator/producer_state.h"
#include "streams/coordinator/transaction.h"
#include "wire/kafka/errors.h"
#include "wire/kafka/record_batch.h"
#include "wire/peer/transaction_support.h"
#include "wire/streams/data_file.h"

/* One partition of the file on its way through. */
struct progress {
	struct commit_file *commit;
	struct cell *cell;
	int64_t file; /* row */
	int64_t run_count;
	struct catalog_partition partition;
	/* the stretch of accepted batches that is open */
	int64_t run_base_offset;
	int64_t run_position;
	int64_t run_size; /* 0: none is open */
	int64_t run_max_timestamp;
	bool run_has_transaction;
};

/* --- the file ----------------------------------------------------------------------------------
 */

static enum err check_incarnation(struct cell *cell, int64_t incarnation)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM agent WHERE incarnation = ?1");

	cell_bind_int(st, 1, incarnation);
	return cell_next(cell, st) ? OK : ERR_DENIED;
}

enum err commit_file_repeat(struct cell *cell, struct commit_file *commit)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT reply FROM file WHERE incarnation = ?1 AND sequence = ?2");

	cell_bind_int(st, 1, commit->request->incarnation);
	cell_bind_int(st, 2, commit->request->sequence);
	if (!cell_next(cell, st))
		return ERR_NOT_FOUND;
	struct slice reply = arena_copy(commit->arena, cell_column_blob(st, 0));
	if (reply.size == 0) /* the agent said that it had seen it */
		return ERR_INVALID;
	return schema_decode_all(commit->arena, &peer_commit_file_response_schema, 0, reply,
				 commit->response);
}

/* Below it, what has no row has none any more: its object may be gone.  A commit of it was sent
 * long ago, by an agent that stood still or on a connection it has left. */
static enum err check_not_forgotten(struct cell *cell,
				    const struct peer_commit_file_request *request)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM agent WHERE incarnation = ?1"
						" AND low_sequence > ?2");

	cell_bind_int(st, 1, request->incarnation);
	cell_bind_int(st, 2, request->sequence);
	return cell_next(cell, st) ? ERR_DENIED : OK;
}

/* Files of an agent that depend on each other are committed in their order: the one before may have
 * been refused for now. */
enum err commit_file_check_turn(struct cell *cell, const struct peer_commit_file_request *request)
{
	if (request->after_sequence == 0)
		return OK;
	if (request->after_sequence < request->low_sequence ||
	    request->after_sequence >= request->sequence)
		return ERR_INVALID;
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT 1 FROM file WHERE incarnation = ?1 AND sequence = ?2");
	cell_bind_int(st, 1, request->incarnation);
	cell_bind_int(st, 2, request->after_sequence);
	return cell_next(cell, st) ? OK : ERR_BUSY;
}

enum err commit_file_forget_replies(struct cell *cell, int64_t incarnation, int64_t low_sequence)
{
	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE file SET reply = NULL WHERE incarnation = ?1"
				     " AND sequence < ?2 AND reply IS NOT NULL");

	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, low_sequence);
	return cell_execute(cell, st);
}

static enum err insert_file(struct cell *cell, const struct commit_file *commit, int64_t *ret_row)
{
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO file (incarnation, sequence, size, run_count, committed_ms)"
		      " VALUES (?1, ?2, ?3, 0, ?4)");

	cell_bind_int(st, 1, commit->request->incarnation);
	cell_bind_int(st, 2, commit->request->sequence);
	cell_bind_int(st, 3, commit->request->size);
	cell_bind_int(st, 4, commit->now_ms);
	enum err err = cell_execute(cell, st);
	if (!err)
		*ret_row = sqlite3_last_insert_rowid(cell_database(cell));
	return err;
}

static enum err finish_file(struct progress *p)
{
	struct buf reply;
	sqlite3_stmt *st = cell_statement(
		p->cell, "UPDATE file SET run_count = ?2, reply = ?3, dead_ms = ?4 WHERE id = ?1");

	buf_init(&reply);
	schema_encode(&peer_commit_file_response_schema, 0, p->commit->response, &reply);
	cell_bind_int(st, 1, p->file);
	cell_bind_int(st, 2, p->run_count);
	cell_bind_blob(st, 3, buf_slice(&reply));
	if (p->run_count == 0)
		cell_bind_int(st, 4, p->commit->now_ms);
	enum err err = cell_execute(p->cell, st);
	buf_done(&reply);
	return err;
}

/* --- runs --------------------------------------------------------------------------------------
 */

static bool is_transactional(const struct peer_commit_file_request_batch *batch)
{
	return batch->attributes & RECORD_BATCH_TRANSACTIONAL;
}

/* For readers, before it is durable (decision 0047). */
static void note_placed(struct progress *p)
{
	struct commit_file *commit = p->commit;

	if (!commit->placed || p->run_has_transaction)
		return;
	commit->placed[commit->placed_count++] = (struct peer_early_push_run) {
		.partition = p->partition.id,
		.base_offset = p->run_base_offset,
		.last_offset = p->partition.high_watermark - 1,
		.position = p->run_position,
		.size = p->run_size,
		.max_timestamp = p->run_max_timestamp,
	};
}

static enum err close_run(struct progress *p)
{
	if (p->run_size == 0)
		return OK;

	sqlite3_stmt *st = cell_statement(
		p->cell,
		"INSERT INTO run (partition, last_offset, base_offset, file, position, size,"
		" max_timestamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
	cell_bind_int(st, 1, p->partition.id);
	cell_bind_int(st, 2, p->partition.high_watermark - 1);
	cell_bind_int(st, 3, p->run_base_offset);
	cell_bind_int(st, 4, p->file);
	cell_bind_int(st, 5, p->run_position);
	cell_bind_int(st, 6, p->run_size);
	cell_bind_int(st, 7, p->run_max_timestamp);
	note_placed(p);
	p->run_size = 0;
	p->run_count++;
	return cell_execute(p->cell, st);
}

static int64_t append_batch(struct progress *p, const struct peer_commit_file_request_batch *batch,
			    int64_t position)
{
	int64_t base_offset = p->partition.high_watermark;

	if (p->run_size == 0) {
		p->run_base_offset = base_offset;
		p->run_position = position;
		p->run_max_timestamp = batch->max_timestamp;
		p->run_has_transaction = false;
	}
	p->run_has_transaction |= is_transactional(batch);
	if (batch->max_timestamp > p->run_max_timestamp)
		p->run_max_timestamp = batch->max_timestamp;
	p->run_size += batch->size;
	p->partition.bytes += batch->size;
	p->partition.high_watermark += (int64_t)batch->last_offset_delta + 1;
	return base_offset;
}

/* --- producers ---------------------------------------------------------------------------------
 */

static enum err find_producer(struct progress *p, int64_t producer_id, struct producer_state *ret)
{
	sqlite3_stmt *st =
		cell_statement(p->cell, "SELECT epoch, last_sequence, recent FROM producer"
					" WHERE partition = ?1 AND producer_id = ?2");

	cell_bind_int(st, 1, p->partition.id);
	cell_bind_int(st, 2, producer_id);
	if (!cell_next(p->cell, st))
		return ERR_NOT_FOUND;
	ret->epoch = (int16_t)sqlite3_column_int(st, 0);
	ret->last_sequence = sqlite3_column_int(st, 1);
	return producer_recent_decode(cell_column_blob(st, 2), ret);
}

static enum err save_producer(struct progress *p, int64_t producer_id,
			      const struct producer_state *state, bool is_new)
{
	struct buf recent;
	sqlite3_stmt *st = cell_statement(
		p->cell,
		is_new ? "INSERT INTO producer (partition, producer_id, epoch, last_sequence,"
			 " last_ms, recent) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
		       : "UPDATE producer SET epoch = ?3, last_sequence = ?4, last_ms = ?5,"
			 " recent = ?6 WHERE partition = ?1 AND producer_id = ?2");

	buf_init(&recent);
	producer_recent_encode(state, &recent);
	cell_bind_int(st, 1, p->partition.id);
	cell_bind_int(st, 2, producer_id);
	cell_bind_int(st, 3, state->epoch);
	cell_bind_int(st, 4, state->last_sequence);
	cell_bind_int(st, 5, p->commit->now_ms);
	cell_bind_blob(st, 6, buf_slice(&recent));
	enum err err = cell_execute(p->cell, st);
	buf_done(&recent);
	return err;
}

static int16_t verdict_error(enum producer_verdict verdict)
{
	switch (verdict) {
	case PRODUCER_ACCEPTED:
	case PRODUCER_DUPLICATE:
		return KAFKA_NONE;
	case PRODUCER_FORGOTTEN:
		return KAFKA_DUPLICATE_SEQUENCE_NUMBER;
	case PRODUCER_OUT_OF_ORDER:
		return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
	case PRODUCER_UNKNOWN: /* with it clients begin a new epoch */
		return KAFKA_UNKNOWN_PRODUCER_ID;
	case PRODUCER_FENCED:
		return KAFKA_INVALID_PRODUCER_EPOCH;
	}
	return KAFKA_UNKNOWN_SERVER_ERROR;
}

/* --- transactions ------------------------------------------------------------------------------
 */

/* Is the partition part of the transaction, or becomes so by being written to? */
static enum err join_transaction(struct progress *p,
				 const struct peer_commit_file_request_batch *batch,
				 struct transaction *t, int16_t *ret_error)
{
	int64_t count = t->partition_count;
	bool begins = t->state != TRANSACTION_ONGOING;

	if (batch->transaction_support != TRANSACTION_SUPPORT_SECOND) {
		if (begins || !transaction_has_partition(p->cell, t, p->partition.id))
			*ret_error = batch->transaction_support == TRANSACTION_SUPPORT_FIRST
					     ? KAFKA_INVALID_TXN_STATE
					     : KAFKA_TRANSACTION_ABORTABLE;
		return OK;
	}
	if (begins)
		transaction_begin(t, p->commit->now_ms);
	enum err err = transaction_add_partition(p->cell, t, p->partition.id);
	if (err == ERR_FULL) {
		*ret_error = KAFKA_TRANSACTION_ABORTABLE;
		return OK;
	}
	return err || (!begins && t->partition_count == count) ? err : transaction_save(p->cell, t);
}

/* May this batch, whose sequence gives *ret_error, be written as part of a transaction?  Then it
 * is. */
static enum err enter_transaction(struct progress *p,
				  const struct peer_commit_file_request_batch *batch,
				  int16_t *ret_error)
{
	int16_t sequence_error = *ret_error;
	struct transaction t;

	enum err err = transaction_find(p->commit->arena, p->cell, batch->transactional_id, &t);
	if (err == ERR_NOT_FOUND) {
		*ret_error = KAFKA_INVALID_PRODUCER_ID_MAPPING;
		return OK;
	}
	if (err)
		return err;
	*ret_error = transaction_check_producer(&t, batch->producer_id, batch->producer_epoch);
	if (*ret_error == KAFKA_PRODUCER_FENCED)
		*ret_error = KAFKA_INVALID_PRODUCER_EPOCH;
	if (!*ret_error)
		*ret_error = sequence_error;
	return *ret_error ? OK : join_transaction(p, batch, &t, ret_error);
}

static enum err check_transaction(struct progress *p,
				  const struct peer_commit_file_request_batch *batch,
				  int16_t *ret_error)
{
	if (is_transactional(batch))
		return enter_transaction(p, batch, ret_error);
	/* what is in a transaction is in it as a whole */
	if (transaction_is_open(p->cell, p->partition.id, batch->producer_id))
		*ret_error = KAFKA_INVALID_TXN_STATE;
	return OK;
}

/* --- batches -----------------------------------------------------------------------------------
 */

static void begin_answer(const struct progress *p, struct peer_commit_file_response_batch *ret)
{
	*ret = (struct peer_commit_file_response_batch) {
		.base_offset = -1,
		.log_append_time = -1,
		.log_start_offset = p->partition.log_start_offset,
	};
}

/* Its bytes are in the way of the next batch. */
static enum err pass_over(struct progress *p, int16_t error,
			  struct peer_commit_file_response_batch *ret)
{
	ret->error = error;
	return close_run(p);
}

/* Sequences that were written before, but not in the transaction that is open.  Whoever ends a
 * transaction has all its answers, so this is no repeat that somebody waits for.  It may be other
 * records: librdkafka (seen with 2.0) gives the sequences of what it purges at an abort again, and
 * what it had sent of it without an answer is here.  Taken for a repeat, records of a transaction
 * that commits would be lost.  The error aborts it and begins a new epoch. */
static bool is_of_another_transaction(struct progress *p,
				      const struct peer_commit_file_request_batch *batch,
				      enum producer_verdict verdict, int64_t base_offset)
{
	if (!is_transactional(batch))
		return false;
	return verdict == PRODUCER_FORGOTTEN ||
	       (verdict == PRODUCER_DUPLICATE &&
		!transaction_wrote(p->cell, p->partition.id, batch->producer_id, base_offset));
}

static enum err commit_idempotent(struct progress *p,
				  const struct peer_commit_file_request_batch *batch,
				  int64_t position, struct peer_commit_file_response_batch *ret)
{
	struct producer_state state = { 0 };
	enum err found = find_producer(p, batch->producer_id, &state);

	if (found && found != ERR_NOT_FOUND)
		return found;
	enum producer_verdict verdict =
		producer_check(found ? NULL : &state, batch->producer_epoch, batch->base_sequence,
			       batch->record_count, &ret->base_offset);
	if (verdict == PRODUCER_UNKNOWN && !is_transactional(batch) &&
	    former_producer_continues(p->cell, p->partition.id, batch->producer_id,
				      batch->producer_epoch, batch->base_sequence))
		verdict = PRODUCER_ACCEPTED;
	if (is_of_another_transaction(p, batch, verdict, ret->base_offset)) {
		ret->base_offset = -1;
		return pass_over(p, KAFKA_UNKNOWN_PRODUCER_ID, ret);
	}
	if (verdict == PRODUCER_DUPLICATE)
		return pass_over(p, KAFKA_NONE, ret);
	int16_t error = verdict_error(verdict);
	enum err err = check_transaction(p, batch, &error);
	if (err)
		return err;
	if (error)
		return pass_over(p, error, ret);

	ret->base_offset = append_batch(p, batch, position);
	if (found == ERR_NOT_FOUND)
		state.epoch = batch->producer_epoch;
	producer_remember(&state, batch->producer_epoch, batch->base_sequence, batch->record_count,
			  ret->base_offset);
	err = save_producer(p, batch->producer_id, &state, found == ERR_NOT_FOUND);
	if (!err && is_transactional(batch))
		err = transaction_open(p->cell, p->partition.id, batch->producer_id,
				       ret->base_offset);
	return err;
}

static enum err commit_batch(struct progress *p, const struct peer_commit_file_request_batch *batch,
			     int64_t position, struct peer_commit_file_response_batch *ret)
{
	begin_answer(p, ret);
	if (batch->producer_id >= 0)
		return commit_idempotent(p, batch, position, ret);
	ret->base_offset = append_batch(p, batch, position);
	return OK;
}

static enum err save_partition(struct progress *p)
{
	sqlite3_stmt *st = cell_statement(
		p->cell, "UPDATE partition SET high_watermark = ?2, bytes = ?3 WHERE id = ?1");

	cell_bind_int(st, 1, p->partition.id);
	cell_bind_int(st, 2, p->partition.high_watermark);
	cell_bind_int(st, 3, p->partition.bytes);
	return cell_execute(p->cell, st);
}

static enum err find_partition(struct progress *p, const struct peer_commit_file_request_run *run)
{
	struct catalog_topic topic;
	enum err err = catalog_topic_by_id(p->commit->arena, p->cell, &run->topic_id, &topic);

	if (!err)
		err = catalog_partition_find(p->cell, topic.id, run->partition, &p->partition);
	return err;
}

static bool run_is_sound(const struct peer_commit_file_request *request,
			 const struct peer_commit_file_request_run *run)
{
	int64_t end = run->file_offset;

	if (run->file_offset < 0 || run->file_offset > request->size || run->batches_count == 0)
		return false;
	for (size_t i = 0; i < run->batches_count; i++) {
		const struct peer_commit_file_request_batch *batch = &run->batches[i];
		if (batch->size <= 0 || batch->record_count <= 0 || batch->last_offset_delta < 0)
			return false;
		if (batch->producer_id >= 0 &&
		    (batch->producer_epoch < 0 || batch->base_sequence < 0))
			return false;
		if (is_transactional(batch) &&
		    (batch->producer_id < 0 || batch->transaction_support < 0 ||
		     batch->transaction_support >= TRANSACTION_SUPPORTS))
			return false;
		end += batch->size;
	}
	return end <= request->size;
}

static enum err commit_run(struct progress *p, const struct peer_commit_file_request_run *run,
			   struct peer_commit_file_response_run *ret)
{
	int64_t position = run->file_offset;
	enum err err = OK;

	if (!run_is_sound(p->commit->request, run))
		return ERR_INVALID;
	ret->batches_count = run->batches_count;
	ret->batches =
		arena_take_array(p->commit->arena, run->batches_count, sizeof(*ret->batches));

	enum err found = find_partition(p, run);
	if (found && found != ERR_NOT_FOUND)
		return found;
	int64_t before = found ? 0 : p->partition.high_watermark;
	for (size_t i = 0; i < run->batches_count && !err; i++) {
		if (found)
			ret->batches[i] = (struct peer_commit_file_response_batch) {
				.error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
				.base_offset = -1,
				.log_append_time = -1,
				.log_start_offset = -1,
			};
		else
			err = commit_batch(p, &run->batches[i], position, &ret->batches[i]);
		position += run->batches[i].size;
	}
	if (!err)
		err = close_run(p);
	if (!err && !found && p->partition.high_watermark != before)
		err = save_partition(p);
	return err;
}

static bool key_is_right(const struct peer_commit_file_request *request)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	data_file_key(key, (uint64_t)request->incarnation, (uint64_t)request->sequence);
	return slice_equal(request->key, slice_from(key));
}

static enum err check_request(struct cell *cell, const struct peer_commit_file_request *request)
{
	if (request->size <= 0 || request->size > DATA_FILE_BYTES_MAX || !key_is_right(request) ||
	    request->sequence < request->low_sequence)
		return ERR_INVALID;
	return check_not_forgotten(cell, request);
}

enum err commit_file_check(struct cell *cell, const struct peer_commit_file_request *request)
{
	enum err err = check_incarnation(cell, request->incarnation);

	if (!err)
		err = check_request(cell, request);
	for (size_t i = 0; i < request->runs_count && !err; i++)
		err = run_is_sound(request, &request->runs[i]) ? OK : ERR_INVALID;
	return err;
}

enum err commit_file_apply(struct cell *cell, struct commit_file *commit)
{
	const struct peer_commit_file_request *request = commit->request;
	struct progress p = { .commit = commit, .cell = cell };

	commit->response->runs_count = request->runs_count;
	commit->response->runs = arena_take_array(commit->arena, request->runs_count,
						  sizeof(*commit->response->runs));
	enum err err =
		commit_file_forget_replies(cell, request->incarnation, request->low_sequence);
	if (!err)
		err = insert_file(cell, commit, &p.file);
	for (size_t i = 0; i < request->runs_count && !err; i++)
		err = commit_run(&p, &request->runs[i], &commit->response->runs[i]);
	return err ? err : finish_file(&p);
}

enum err commit_file_run(struct cell *cell, void *argument)
{
	struct commit_file *commit = argument;
	const struct peer_commit_file_request *request = commit->request;

	enum err err = check_incarnation(cell, request->incarnation);
	if (err)
		return err;
	err = commit_file_repeat(cell, commit);
	if (err != ERR_NOT_FOUND)
		return err;
	err = check_request(cell, request);
	if (!err)
		err = commit_file_check_turn(cell, request);
	return err ? err : commit_file_apply(cell, commit);
}

/* --- files that are announced first ------------------------------------------------------------
 */

enum err commit_file_bury(struct cell *cell, int64_t incarnation, int64_t sequence, int64_t size,
			  int64_t now_ms, int64_t dead_ms)
{
	const struct peer_commit_file_response response = { .error = ERR_NOT_FOUND };
	struct buf reply;
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO file (incarnation, sequence, size, run_count, committed_ms,"
		      " dead_ms, reply) VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6)");

	buf_init(&reply);
	schema_encode(&peer_commit_file_response_schema, 0, &response, &reply);
	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, sequence);
	cell_bind_int(st, 3, size);
	cell_bind_int(st, 4, now_ms);
	cell_bind_int(st, 5, dead_ms);
	cell_bind_blob(st, 6, buf_slice(&reply));
	enum err err = cell_execute(cell, st);
	buf_done(&reply);
	return err;
}

bool commit_file_has_errors(const struct peer_commit_file_response *response)
{
	for (size_t i = 0; i < response->runs_count; i++)
		for (size_t k = 0; k < response->runs[i].batches_count; k++)
			if (response->runs[i].batches[k].error)
				return true;
	return response->error != OK;
}
