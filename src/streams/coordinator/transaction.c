#include "streams/coordinator/transaction.h"

#include <assert.h>

#include "streams/catalog/transactions.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/group_store.h"
#include "wire/kafka/errors.h"

/* --- the row -----------------------------------------------------------------------------------
 */

#define TRANSACTION_COLUMNS                                                                        \
	"SELECT id, name, producer_id, epoch, previous_producer_id, previous_epoch, state,"        \
	" timeout_ms, started_ms, updated_ms, partition_count, offset_bytes, sessions,"            \
	" offset_sessions FROM transactional "

static enum err read_row(struct arena *a, struct cell *cell, sqlite3_stmt *st,
			 struct transaction *ret)
{
	enum err err = ERR_NOT_FOUND;

	if (cell_next(cell, st)) {
		int state = sqlite3_column_int(st, 6);
		*ret = (struct transaction) {
			.id = sqlite3_column_int64(st, 0),
			.name = arena_copy(a, cell_column_text(st, 1)),
			.producer_id = sqlite3_column_int64(st, 2),
			.epoch = (int16_t)sqlite3_column_int(st, 3),
			.previous_producer_id = sqlite3_column_int64(st, 4),
			.previous_epoch = (int16_t)sqlite3_column_int(st, 5),
			.state = (enum transaction_state)state,
			.timeout_ms = sqlite3_column_int(st, 7),
			.started_ms = sqlite3_column_int64(st, 8),
			.updated_ms = sqlite3_column_int64(st, 9),
			.partition_count = sqlite3_column_int64(st, 10),
			.offset_bytes = sqlite3_column_int64(st, 11),
			.sessions = arena_copy(a, cell_column_blob(st, 12)),
			.offset_sessions = arena_copy(a, cell_column_blob(st, 13)),
		};
		err = state >= 0 && state < TRANSACTION_STATES ? OK : ERR_CORRUPT;
	}
	sqlite3_reset(st);
	return err;
}

enum err transaction_find(struct arena *a, struct cell *cell, struct slice name,
			  struct transaction *ret)
{
	sqlite3_stmt *st = cell_statement(cell, TRANSACTION_COLUMNS "WHERE name = ?1");

	cell_bind_text(st, 1, name);
	return read_row(a, cell, st, ret);
}

enum err transaction_find_producer(struct arena *a, struct cell *cell, int64_t producer_id,
				   struct transaction *ret)
{
	sqlite3_stmt *st = cell_statement(cell, TRANSACTION_COLUMNS "WHERE producer_id = ?1");

	cell_bind_int(st, 1, producer_id);
	return read_row(a, cell, st, ret);
}

static enum err count_rows(struct cell *cell, size_t *ret)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT count(*) FROM transactional");

	*ret = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return *ret < TRANSACTIONAL_IDS_MAX ? OK : ERR_FULL;
}

static enum err insert(struct cell *cell, struct transaction *t)
{
	size_t count;
	enum err err = count_rows(cell, &count);

	if (err)
		return err;
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO transactional (name, producer_id, epoch, previous_producer_id,"
		      " previous_epoch, state, timeout_ms, started_ms, updated_ms, partition_count,"
		      " offset_bytes, sessions, offset_sessions)"
		      " VALUES (?1, ?2, 0, -1, -1, 0, 0, 0, 0, 0, 0, X'', X'')");
	cell_bind_text(st, 1, t->name);
	cell_bind_int(st, 2, t->producer_id);
	err = cell_execute(cell, st);
	if (!err)
		t->id = sqlite3_last_insert_rowid(cell_database(cell));
	return err;
}

enum err transaction_save(struct cell *cell, struct transaction *t)
{
	enum err err = t->id ? OK : insert(cell, t);

	if (err)
		return err;
	sqlite3_stmt *st = cell_statement(
		cell, "UPDATE transactional SET producer_id = ?2, epoch = ?3,"
		      " previous_producer_id = ?4, previous_epoch = ?5, state = ?6,"
		      " timeout_ms = ?7, started_ms = ?8, updated_ms = ?9, partition_count = ?10,"
		      " offset_bytes = ?11, sessions = ?12, offset_sessions = ?13 WHERE id = ?1");
	cell_bind_int(st, 1, t->id);
	cell_bind_int(st, 2, t->producer_id);
	cell_bind_int(st, 3, t->epoch);
	cell_bind_int(st, 4, t->previous_producer_id);
	cell_bind_int(st, 5, t->previous_epoch);
	cell_bind_int(st, 6, t->state);
	cell_bind_int(st, 7, t->timeout_ms);
	cell_bind_int(st, 8, t->started_ms);
	cell_bind_int(st, 9, t->updated_ms);
	cell_bind_int(st, 10, t->partition_count);
	cell_bind_int(st, 11, t->offset_bytes);
	cell_bind_blob(st, 12, t->sessions.data ? t->sessions : SLICE(""));
	cell_bind_blob(st, 13, t->offset_sessions.data ? t->offset_sessions : SLICE(""));
	return cell_execute(cell, st);
}

int16_t transaction_check_producer(const struct transaction *t, int64_t producer_id, int16_t epoch)
{
	if (t->producer_id != producer_id)
		return KAFKA_INVALID_PRODUCER_ID_MAPPING;
	return t->epoch == epoch ? KAFKA_NONE : KAFKA_PRODUCER_FENCED;
}

const char *transaction_state_name(enum transaction_state state)
{
	static const char *const names[TRANSACTION_STATES] = { "Empty", "Ongoing", "CompleteCommit",
							       "CompleteAbort" };

	return names[state];
}

/* --- what it touches ---------------------------------------------------------------------------
 */

void transaction_begin(struct transaction *t, int64_t now_ms)
{
	assert(t->state != TRANSACTION_ONGOING);
	t->state = TRANSACTION_ONGOING;
	t->started_ms = t->updated_ms = now_ms;
	t->partition_count = t->offset_bytes = 0;
}

static bool has_row(struct cell *cell, sqlite3_stmt *st)
{
	bool has = cell_next(cell, st);

	sqlite3_reset(st);
	return has;
}

bool transaction_has_partition(struct cell *cell, const struct transaction *t, int64_t partition)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM transaction_partition"
						" WHERE transactional = ?1 AND partition = ?2");

	cell_bind_int(st, 1, t->id);
	cell_bind_int(st, 2, partition);
	return has_row(cell, st);
}

enum err transaction_add_partition(struct cell *cell, struct transaction *t, int64_t partition)
{
	if (transaction_has_partition(cell, t, partition))
		return OK;
	if (t->partition_count >= TRANSACTION_PARTITIONS_MAX)
		return ERR_FULL;
	sqlite3_stmt *st =
		cell_statement(cell, "INSERT INTO transaction_partition (transactional, partition)"
				     " VALUES (?1, ?2)");
	cell_bind_int(st, 1, t->id);
	cell_bind_int(st, 2, partition);
	t->partition_count++;
	return cell_execute(cell, st);
}

bool transaction_has_group(struct cell *cell, const struct transaction *t, struct slice group)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT 1 FROM transaction_group"
						" WHERE transactional = ?1 AND group_name = ?2");

	cell_bind_int(st, 1, t->id);
	cell_bind_text(st, 2, group);
	return has_row(cell, st);
}

static int64_t count_groups(struct cell *cell, const struct transaction *t)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT count(*) FROM transaction_group WHERE transactional = ?1");

	cell_bind_int(st, 1, t->id);
	int64_t count = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return count;
}

enum err transaction_add_group(struct cell *cell, const struct transaction *t, struct slice group)
{
	if (transaction_has_group(cell, t, group))
		return OK;
	if (count_groups(cell, t) >= TRANSACTION_GROUPS_MAX)
		return ERR_FULL;
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO transaction_group (transactional, group_name) VALUES (?1, ?2)");
	cell_bind_int(st, 1, t->id);
	cell_bind_text(st, 2, group);
	return cell_execute(cell, st);
}

static int64_t offset_bytes(const struct transaction_offset *offset, size_t metadata_bytes)
{
	return TRANSACTION_OFFSET_BYTES + (int64_t)(offset->group.size + metadata_bytes);
}

/* Of the same transaction, for the same partition. */
static int64_t earlier_offset_bytes(struct cell *cell, const struct transaction *t,
				    const struct transaction_offset *offset)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT metadata FROM transaction_offset WHERE group_name = ?1 AND topic = ?2"
		      " AND partition = ?3 AND transactional = ?4");
	int64_t bytes = 0;

	cell_bind_text(st, 1, offset->group);
	cell_bind_int(st, 2, offset->topic);
	cell_bind_int(st, 3, offset->partition);
	cell_bind_int(st, 4, t->id);
	if (cell_next(cell, st))
		bytes = offset_bytes(offset, cell_column_text(st, 0).size);
	sqlite3_reset(st);
	return bytes;
}

enum err transaction_add_offset(struct cell *cell, struct transaction *t,
				const struct transaction_offset *offset)
{
	t->offset_bytes +=
		offset_bytes(offset, offset->metadata.size) - earlier_offset_bytes(cell, t, offset);
	if (t->offset_bytes > TRANSACTION_OFFSET_BYTES_MAX)
		return ERR_FULL;
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO transaction_offset (transactional, group_name, topic, partition,"
		      " committed_offset, leader_epoch, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
		      " ?7) ON CONFLICT (group_name, topic, partition, transactional) DO UPDATE SET"
		      " committed_offset = ?5, leader_epoch = ?6, metadata = ?7");
	cell_bind_int(st, 1, t->id);
	cell_bind_text(st, 2, offset->group);
	cell_bind_int(st, 3, offset->topic);
	cell_bind_int(st, 4, offset->partition);
	cell_bind_int(st, 5, offset->committed_offset);
	cell_bind_int(st, 6, offset->leader_epoch);
	cell_bind_text(st, 7, offset->metadata);
	return cell_execute(cell, st);
}

bool transaction_has_offset(struct cell *cell, struct slice group, int64_t topic, int32_t partition)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT 1 FROM transaction_offset WHERE group_name = ?1 AND topic = ?2"
		      " AND partition = ?3 LIMIT 1");

	cell_bind_text(st, 1, group);
	cell_bind_int(st, 2, topic);
	cell_bind_int(st, 3, partition);
	return has_row(cell, st);
}

static enum err find_open(struct cell *cell, int64_t partition, int64_t producer_id,
			  int64_t *ret_row, int64_t *ret_first_offset)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT id, first_offset FROM open_transaction"
						" WHERE partition = ?1 AND producer_id = ?2");
	enum err err = ERR_NOT_FOUND;

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, producer_id);
	if (cell_next(cell, st)) {
		*ret_row = sqlite3_column_int64(st, 0);
		*ret_first_offset = sqlite3_column_int64(st, 1);
		err = OK;
	}
	sqlite3_reset(st);
	return err;
}

bool transaction_is_open(struct cell *cell, int64_t partition, int64_t producer_id)
{
	return transaction_wrote(cell, partition, producer_id, INT64_MAX);
}

bool transaction_wrote(struct cell *cell, int64_t partition, int64_t producer_id, int64_t offset)
{
	int64_t row, first_offset;

	return find_open(cell, partition, producer_id, &row, &first_offset) == OK &&
	       first_offset <= offset;
}

enum err transaction_open(struct cell *cell, int64_t partition, int64_t producer_id, int64_t offset)
{
	if (transaction_is_open(cell, partition, producer_id))
		return OK;
	sqlite3_stmt *st =
		cell_statement(cell,
			       "INSERT INTO open_transaction (partition, producer_id, first_offset)"
			       " VALUES (?1, ?2, ?3)");
	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, producer_id);
	cell_bind_int(st, 3, offset);
	return cell_execute(cell, st);
}

/* --- epochs ------------------------------------------------------------------------------------
 */

enum err transaction_bump(struct cell *cell, struct transaction *t, bool keeps_previous)
{
	t->previous_producer_id = keeps_previous ? t->producer_id : -1;
	t->previous_epoch = keeps_previous ? t->epoch : -1;
	if (t->epoch < TRANSACTION_EPOCH_LAST) {
		t->epoch++;
		return OK;
	}
	t->epoch = 0;
	return counter_next_producer_id(cell, &t->producer_id);
}

/* --- the end -----------------------------------------------------------------------------------
 */

static enum err insert_marker(struct cell *cell, const struct catalog_partition *p,
			      const struct catalog_marker *marker)
{
	struct catalog_partition after = *p;

	after.high_watermark = marker->offset + 1;
	int64_t stable_offset = catalog_last_stable_offset(cell, &after);
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO marker (partition, marker_offset, producer_id, epoch, is_commit,"
		      " first_offset, stable_offset, written_ms)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
	cell_bind_int(st, 1, p->id);
	cell_bind_int(st, 2, marker->offset);
	cell_bind_int(st, 3, marker->producer_id);
	cell_bind_int(st, 4, marker->epoch);
	cell_bind_int(st, 5, marker->is_commit);
	cell_bind_int(st, 6, marker->first_offset);
	cell_bind_int(st, 7, stable_offset);
	cell_bind_int(st, 8, marker->written_ms);
	return cell_execute(cell, st);
}

enum err transaction_mark(struct cell *cell, int64_t partition, int64_t producer_id,
			  int16_t marker_epoch, bool is_commit, int64_t now_ms)
{
	struct catalog_partition p;
	int64_t row, first_offset;

	if (find_open(cell, partition, producer_id, &row, &first_offset))
		return OK;
	enum err err = cell_execute_sql(cell, "DELETE FROM open_transaction WHERE id = ?1", row, 0);
	if (!err)
		err = catalog_partition_by_row(cell, partition, &p);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	struct catalog_marker marker = {
		.offset = p.high_watermark,
		.producer_id = producer_id,
		.epoch = marker_epoch,
		.is_commit = is_commit,
		.first_offset = first_offset,
		.written_ms = now_ms,
	};
	err = insert_marker(cell, &p, &marker);
	return err ? err
		   : cell_execute_sql(cell,
				      "UPDATE partition SET high_watermark = ?2 WHERE id = ?1",
				      p.id, p.high_watermark + 1);
}

static enum err mark_partitions(struct arena *a, struct cell *cell, const struct transaction *t,
				bool is_commit, int16_t marker_epoch, int64_t now_ms)
{
	size_t count = 0, count_max = (size_t)t->partition_count;
	int64_t *partitions = arena_take_array(a, count_max, sizeof(*partitions));
	enum err err = OK;

	sqlite3_stmt *st = cell_statement(cell, "SELECT partition FROM transaction_partition"
						" WHERE transactional = ?1 ORDER BY partition");
	cell_bind_int(st, 1, t->id);
	while (count < count_max && cell_next(cell, st))
		partitions[count++] = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	for (size_t i = 0; i < count && !err; i++)
		err = transaction_mark(cell, partitions[i], t->producer_id, marker_epoch, is_commit,
				       now_ms);
	return err ? err
		   : cell_execute_sql(cell,
				      "DELETE FROM transaction_partition WHERE transactional = ?1",
				      t->id, 0);
}

static size_t read_offsets(struct arena *a, struct cell *cell, const struct transaction *t,
			   struct transaction_offset **ret)
{
	size_t count = 0, count_max = (size_t)t->offset_bytes / TRANSACTION_OFFSET_BYTES;
	struct transaction_offset *offsets = arena_take_array(a, count_max, sizeof(*offsets));

	sqlite3_stmt *st = cell_statement(
		cell, "SELECT group_name, topic, partition, committed_offset, leader_epoch,"
		      " metadata FROM transaction_offset WHERE transactional = ?1"
		      " ORDER BY group_name, topic, partition");
	cell_bind_int(st, 1, t->id);
	while (count < count_max && cell_next(cell, st))
		offsets[count++] = (struct transaction_offset) {
			.group = arena_copy(a, cell_column_text(st, 0)),
			.topic = sqlite3_column_int64(st, 1),
			.partition = sqlite3_column_int(st, 2),
			.committed_offset = sqlite3_column_int64(st, 3),
			.leader_epoch = sqlite3_column_int(st, 4),
			.metadata = arena_copy(a, cell_column_text(st, 5)),
		};
	sqlite3_reset(st);
	*ret = offsets;
	return count;
}

/* The group may be gone meanwhile: committing makes it again, as it does without a transaction. */
static enum err commit_offset(struct arena *a, struct cell *cell,
			      const struct transaction_offset *offset, int64_t now_ms)
{
	struct catalog_topic topic;
	struct group_row row;
	enum err err = catalog_topic_by_row(a, cell, offset->topic, &topic);

	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	err = group_row_find(a, cell, offset->group, &row);
	if (err == ERR_NOT_FOUND)
		err = group_row_insert(cell, offset->group, now_ms, &row.id);
	if (err)
		return err;
	return group_row_write_offset(cell, row.id,
				      &(struct group_offset) {
					      .topic = offset->topic,
					      .partition = offset->partition,
					      .committed_offset = offset->committed_offset,
					      .leader_epoch = offset->leader_epoch,
					      .metadata = offset->metadata,
					      .commit_ms = now_ms,
				      });
}

static enum err end_offsets(struct arena *a, struct cell *cell, const struct transaction *t,
			    bool is_commit, int64_t now_ms)
{
	struct transaction_offset *offsets;
	size_t count = is_commit && t->offset_bytes ? read_offsets(a, cell, t, &offsets) : 0;
	enum err err = OK;

	for (size_t i = 0; i < count && !err; i++)
		err = commit_offset(a, cell, &offsets[i], now_ms);
	if (!err && t->offset_bytes)
		err = cell_execute_sql(cell,
				       "DELETE FROM transaction_offset WHERE transactional = ?1",
				       t->id, 0);
	return err ? err
		   : cell_execute_sql(cell,
				      "DELETE FROM transaction_group WHERE transactional = ?1",
				      t->id, 0);
}

enum err transaction_end(struct arena *a, struct cell *cell, struct transaction *t, bool is_commit,
			 int16_t marker_epoch, int64_t now_ms)
{
	assert(t->state == TRANSACTION_ONGOING);
	enum err err = mark_partitions(a, cell, t, is_commit, marker_epoch, now_ms);
	if (!err)
		err = end_offsets(a, cell, t, is_commit, now_ms);
	if (err)
		return err;
	t->state = is_commit ? TRANSACTION_COMMITTED : TRANSACTION_ABORTED;
	t->updated_ms = now_ms;
	t->partition_count = t->offset_bytes = 0;
	return transaction_save(cell, t);
}

enum err transaction_fence(struct arena *a, struct cell *cell, struct transaction *t,
			   bool may_go_on, int64_t now_ms)
{
	int64_t producer_id = t->producer_id;
	struct transaction fenced = *t;
	int16_t marker_epoch = (int16_t)(t->epoch + 1);

	enum err err = transaction_bump(cell, &fenced, may_go_on);
	if (err)
		return err;
	/* the markers are those of the producer that wrote */
	err = transaction_end(a, cell, t, false, marker_epoch, now_ms);
	assert(t->producer_id == producer_id);
	if (err)
		return err;
	t->producer_id = fenced.producer_id;
	t->epoch = fenced.epoch;
	t->previous_producer_id = fenced.previous_producer_id;
	t->previous_epoch = fenced.previous_epoch;
	return transaction_save(cell, t);
}
