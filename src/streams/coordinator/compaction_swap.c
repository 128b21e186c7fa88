/* Records could be lost here, so everything is looked at again: what the agent read was there when
 * the job was given out, and is replaced only if it is there still, byte for byte in the same place
 * (a file is never changed and its name never used again).  What retention, DeleteRecords or the
 * deletion of a topic took meanwhile is noticed because its rows are gone. */
#include "streams/coordinator/compaction_swap.h"

#include "base/memory.h"
#include "streams/coordinator/compaction.h"
#include "streams/coordinator/runs.h"
#include "wire/streams/data_file.h"

struct swapping {
	struct cell *cell;
	const struct compaction_swap *swap;
	int64_t file; /* row */
	int64_t run_count;
};

/* --- what the agent says -----------------------------------------------------------------------
 */

/* The outputs follow each other in offsets and in the file, and are the whole group. */
static bool group_is_sound(const struct peer_job_finish_request_group *told,
			   const struct compaction_group *group, int64_t *position,
			   int64_t file_size)
{
	int64_t next = group->base_offset;

	for (size_t i = 0; i < told->runs_count; i++) {
		const struct peer_job_finish_request_run *run = &told->runs[i];
		if (run->base_offset != next || run->last_offset < run->base_offset ||
		    run->last_offset > group->last_offset || run->position < *position ||
		    run->size <= 0 || run->size > file_size ||
		    run->position > file_size - run->size)
			return false;
		*position = run->position + run->size;
		next = run->last_offset + 1;
	}
	return told->runs_count > 0 && next == group->last_offset + 1;
}

/* Groups may lie in the file in any order, but none in another one. */
static bool request_is_sound(const struct compaction_swap *swap)
{
	const struct peer_job_finish_request *request = swap->request;
	int32_t before = -1;

	if (request->size <= 0 || request->size > DATA_FILE_BYTES_MAX ||
	    request->groups_count > swap->plan->group_count)
		return false;
	for (size_t i = 0; i < request->groups_count; i++) {
		const struct peer_job_finish_request_group *told = &request->groups[i];
		int64_t position = DATA_FILE_HEADER_BYTES;
		if (told->number <= before || (size_t)told->number >= swap->plan->group_count ||
		    !group_is_sound(told, &swap->plan->groups[told->number], &position,
				    request->size))
			return false;
		before = told->number;
	}
	return true;
}

/* --- what is there -----------------------------------------------------------------------------
 */

static bool input_is_there(struct cell *cell, const struct compaction_input *input)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT 1 FROM run JOIN file ON file.id = run.file WHERE run.id = ?1"
		      " AND run.partition = ?2 AND run.base_offset = ?3 AND run.last_offset = ?4"
		      " AND run.position = ?5 AND run.size = ?6 AND run.file = ?7"
		      " AND file.incarnation = ?8 AND file.sequence = ?9");

	cell_bind_int(st, 1, input->row);
	cell_bind_int(st, 2, input->partition);
	cell_bind_int(st, 3, input->base_offset);
	cell_bind_int(st, 4, input->last_offset);
	cell_bind_int(st, 5, input->position);
	cell_bind_int(st, 6, input->size);
	cell_bind_int(st, 7, input->file);
	cell_bind_int(st, 8, input->incarnation);
	cell_bind_int(st, 9, input->sequence);
	bool found = cell_next(cell, st);
	sqlite3_reset(st);
	return found;
}

static int64_t count_between(struct cell *cell, const char *sql,
			     const struct compaction_group *group)
{
	sqlite3_stmt *st = cell_statement(cell, sql);

	cell_bind_int(st, 1, group->partition);
	cell_bind_int(st, 2, group->base_offset);
	cell_bind_int(st, 3, group->last_offset);
	int64_t count = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : -1;
	sqlite3_reset(st);
	return count;
}

static bool marker_is_there(struct cell *cell, int64_t partition,
			    const struct catalog_marker *marker)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT 1 FROM marker WHERE partition = ?1 AND marker_offset = ?2"
		      " AND producer_id = ?3 AND epoch = ?4 AND is_commit = ?5 AND is_in_run = 0");

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, marker->offset);
	cell_bind_int(st, 3, marker->producer_id);
	cell_bind_int(st, 4, marker->epoch);
	cell_bind_int(st, 5, marker->is_commit);
	bool found = cell_next(cell, st);
	sqlite3_reset(st);
	return found;
}

static bool partition_is_same(struct cell *cell, const struct compaction_group *group)
{
	struct catalog_partition partition;
	struct catalog_topic topic;
	struct arena a;

	arena_init(&a);
	bool is_same = !catalog_partition_by_row(cell, group->partition, &partition) &&
		       !catalog_topic_by_row(&a, cell, partition.topic, &topic) &&
		       partition.partition == group->number &&
		       uuid_equal(topic.topic_id, group->topic_id) &&
		       catalog_last_stable_offset(cell, &partition) > group->last_offset;
	arena_done(&a);
	return is_same;
}

/* All of it, and nothing else. */
static bool group_is_there(struct cell *cell, const struct compaction_group *group)
{
	if (!partition_is_same(cell, group))
		return false;
	for (size_t i = 0; i < group->input_count; i++)
		if (!input_is_there(cell, &group->inputs[i]))
			return false;
	for (size_t i = 0; i < group->marker_count; i++)
		if (!marker_is_there(cell, group->partition, &group->markers[i]))
			return false;
	return count_between(cell,
			     "SELECT count(*) FROM run WHERE partition = ?1 AND last_offset >= ?2"
			     " AND base_offset <= ?3 AND last_offset <= ?3",
			     group) == (int64_t)group->input_count &&
	       count_between(cell,
			     "SELECT count(*) FROM marker WHERE partition = ?1"
			     " AND marker_offset BETWEEN ?2 AND ?3 AND is_in_run = 0",
			     group) == (int64_t)group->marker_count;
}

/* --- the change --------------------------------------------------------------------------------
 */

static int level_of(const struct swapping *s, const struct peer_job_finish_request_run *run)
{
	bool is_large = run->size >= COMPACTION_RUN_BYTES_LARGE;

	return is_large ? COMPACTION_LEVEL_LAST : s->swap->plan->level + 1;
}

/* A commit was written as a control batch; of an abort readers must know besides. */
static enum err take_markers(struct cell *cell, const struct compaction_group *group)
{
	static const char *const changes[] = {
		"DELETE FROM marker WHERE partition = ?1 AND marker_offset BETWEEN ?2 AND ?3"
		" AND is_in_run = 0 AND is_commit <> 0",
		"UPDATE marker SET is_in_run = 1 WHERE partition = ?1"
		" AND marker_offset BETWEEN ?2 AND ?3 AND is_in_run = 0",
	};
	enum err err = OK;

	for (size_t i = 0; i < 2 && group->marker_count > 0 && !err; i++) {
		sqlite3_stmt *st = cell_statement(cell, changes[i]);
		cell_bind_int(st, 1, group->partition);
		cell_bind_int(st, 2, group->base_offset);
		cell_bind_int(st, 3, group->last_offset);
		err = cell_execute(cell, st);
	}
	return err;
}

/* What the outputs say of their times is brought within what the inputs say, while these are there.
 */
static void new_runs(const struct swapping *s, const struct compaction_group *group,
		     const struct peer_job_finish_request_group *told, struct runs_new *ret)
{
	for (size_t i = 0; i < told->runs_count; i++) {
		const struct peer_job_finish_request_run *run = &told->runs[i];
		ret[i] = (struct runs_new) {
			.partition = group->partition,
			.base_offset = run->base_offset,
			.last_offset = run->last_offset,
			.file = s->file,
			.position = run->position,
			.size = run->size,
			.max_timestamp = run->max_timestamp,
			.level = level_of(s, run),
		};
		ret[i].max_timestamp =
			runs_bound_timestamp(s->cell, &ret[i], group->last_offset, true);
	}
}

static enum err swap_group(struct swapping *s, const struct compaction_group *group,
			   const struct peer_job_finish_request_group *told)
{
	struct runs_new *added = memory_take(told->runs_count * sizeof(*added));
	int64_t bytes = 0;
	enum err err = OK;

	new_runs(s, group, told, added);
	for (size_t i = 0; i < group->input_count && !err; i++) {
		bytes -= group->inputs[i].size;
		err = runs_delete(s->cell, group->inputs[i].row, group->inputs[i].file,
				  s->swap->now_ms);
	}
	for (size_t i = 0; i < told->runs_count && !err; i++) {
		bytes += added[i].size;
		err = runs_insert(s->cell, &added[i]);
	}
	memory_free(added);
	s->run_count += (int64_t)told->runs_count;
	if (!err)
		err = take_markers(s->cell, group);
	return err ? err
		   : cell_execute_sql(s->cell,
				      "UPDATE partition SET bytes = bytes + ?2 WHERE id = ?1",
				      group->partition, bytes);
}

static enum err insert_file(struct swapping *s)
{
	const struct peer_job_finish_request *request = s->swap->request;
	sqlite3_stmt *st = cell_statement(
		s->cell, "INSERT INTO file (incarnation, sequence, size, run_count, committed_ms,"
			 " level) VALUES (?1, ?2, ?3, 0, ?4, ?5)");

	cell_bind_int(st, 1, request->incarnation);
	cell_bind_int(st, 2, COMPACTION_SEQUENCE);
	cell_bind_int(st, 3, request->size);
	cell_bind_int(st, 4, s->swap->now_ms);
	cell_bind_int(st, 5, s->swap->plan->level + 1);
	enum err err = cell_execute(s->cell, st);
	if (!err)
		s->file = sqlite3_last_insert_rowid(cell_database(s->cell));
	return err;
}

static enum err count_runs(struct swapping *s)
{
	if (s->run_count == 0)
		return cell_execute_sql(s->cell, "UPDATE file SET dead_ms = ?2 WHERE id = ?1",
					s->file, s->swap->now_ms);
	return cell_execute_sql(s->cell, "UPDATE file SET run_count = ?2 WHERE id = ?1", s->file,
				s->run_count);
}

static bool was_swapped(struct cell *cell, const struct peer_job_finish_request *request)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT 1 FROM file WHERE incarnation = ?1 AND sequence = ?2"
				     " AND level > 0");

	cell_bind_int(st, 1, request->incarnation);
	cell_bind_int(st, 2, COMPACTION_SEQUENCE);
	bool found = cell_next(cell, st);
	sqlite3_reset(st);
	return found;
}

enum err compaction_swap_run(struct cell *cell, void *argument)
{
	struct compaction_swap *swap = argument;
	struct swapping s = { .cell = cell, .swap = swap };

	swap->swapped = 0;
	if (was_swapped(cell, swap->request))
		return OK;
	if (!swap->plan)
		return ERR_DENIED;
	if (!request_is_sound(swap))
		return ERR_INVALID;
	enum err err = insert_file(&s);
	for (size_t i = 0; i < swap->request->groups_count && !err; i++) {
		const struct peer_job_finish_request_group *told = &swap->request->groups[i];
		const struct compaction_group *group = &swap->plan->groups[told->number];
		if (!group_is_there(cell, group))
			continue;
		err = swap_group(&s, group, told);
		swap->swapped++;
	}
	return err ? err : count_runs(&s);
}
