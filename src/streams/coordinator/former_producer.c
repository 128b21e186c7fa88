#include "streams/coordinator/former_producer.h"

#include "streams/catalog/producer.h"

/* Its last deletion says more about a name than one before. */
static enum err copy(struct cell *cell, int64_t partition)
{
	return cell_execute_sql(
		cell,
		"INSERT INTO former_producer (topic_name, number, producer_id, epoch,"
		" last_sequence, deleted_ms)"
		" SELECT topic.name, partition.number, producer.producer_id, producer.epoch,"
		" producer.last_sequence, topic.deleted_ms FROM producer"
		" JOIN partition ON partition.id = producer.partition"
		" JOIN topic ON topic.id = partition.topic"
		" WHERE producer.partition = ?1 ORDER BY producer.producer_id LIMIT ?2"
		" ON CONFLICT (topic_name, number, producer_id) DO UPDATE SET"
		" epoch = excluded.epoch, last_sequence = excluded.last_sequence,"
		" deleted_ms = excluded.deleted_ms",
		partition, FORMER_PRODUCER_ROWS_MAX);
}

enum err former_producer_move(struct cell *cell, int64_t partition, bool is_kept, int *ret_count)
{
	enum err err = is_kept ? copy(cell, partition) : OK;

	if (!err)
		err = cell_execute_sql(cell,
				       "DELETE FROM producer WHERE id IN (SELECT id FROM producer"
				       " WHERE partition = ?1 ORDER BY producer_id LIMIT ?2)",
				       partition, FORMER_PRODUCER_ROWS_MAX);
	if (err)
		return err;
	*ret_count = sqlite3_changes(cell_database(cell));
	return cell_execute_sql(cell,
				"DELETE FROM former_producer WHERE id IN (SELECT id FROM"
				" former_producer ORDER BY deleted_ms DESC, id DESC"
				" LIMIT ?1 OFFSET ?2)",
				FORMER_PRODUCER_ROWS_MAX, FORMER_PRODUCERS_MAX);
}

enum err former_producer_forget(struct cell *cell, int64_t now_ms, int *ret_count)
{
	enum err err = cell_execute_sql(cell,
					"DELETE FROM former_producer WHERE id IN (SELECT id FROM"
					" former_producer WHERE deleted_ms < ?1 LIMIT ?2)",
					now_ms - FORMER_PRODUCER_MS, FORMER_PRODUCER_ROWS_MAX);

	*ret_count = sqlite3_changes(cell_database(cell));
	return err;
}

/* `sql` gives what it wrote last, if anything is known. */
static bool find_last(struct cell *cell, const char *sql, int64_t partition, int64_t producer_id,
		      int16_t *ret_epoch, int32_t *ret_last_sequence)
{
	sqlite3_stmt *st = cell_statement(cell, sql);

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, producer_id);
	bool is_there = cell_next(cell, st);
	if (is_there) {
		*ret_epoch = (int16_t)sqlite3_column_int(st, 0);
		*ret_last_sequence = sqlite3_column_int(st, 1);
	}
	sqlite3_reset(st);
	return is_there;
}

static const char in_topics[] =
	"SELECT producer.epoch, producer.last_sequence FROM partition AS here"
	" JOIN topic AS new ON new.id = here.topic"
	" JOIN topic AS old ON old.name = new.name AND old.deleted_ms IS NOT NULL"
	" JOIN partition AS there ON there.topic = old.id AND there.number = here.number"
	" JOIN producer ON producer.partition = there.id AND producer.producer_id = ?2"
	" WHERE here.id = ?1 ORDER BY old.id DESC LIMIT 1";

static const char in_former[] = "SELECT former.epoch, former.last_sequence FROM partition"
				" JOIN topic ON topic.id = partition.topic"
				" JOIN former_producer AS former ON former.topic_name = topic.name"
				" AND former.number = partition.number AND former.producer_id = ?2"
				" WHERE partition.id = ?1";

bool former_producer_continues(struct cell *cell, int64_t partition, int64_t producer_id,
			       int16_t epoch, int32_t base_sequence)
{
	int32_t last_sequence;
	int16_t last_epoch;

	/* The oldest topic is swept first: what has not been is newer. */
	if (!find_last(cell, in_topics, partition, producer_id, &last_epoch, &last_sequence) &&
	    !find_last(cell, in_former, partition, producer_id, &last_epoch, &last_sequence))
		return false;
	return epoch == last_epoch && base_sequence == producer_sequence_add(last_sequence, 1);
}
