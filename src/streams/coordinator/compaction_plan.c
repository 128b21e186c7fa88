/* Level 0 goes by files, so that whole files die: the oldest ones, as many as make a job.  The
 * levels above go by partitions, which then have fewer and larger runs. */
#include "streams/coordinator/compaction_plan.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/map.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/compaction.h"

/* What is known of a partition while one plan is made. */
struct place {
	int64_t row;
	struct catalog_partition partition;
	struct uuid topic_id;
	int64_t stable_offset;
	bool is_there; /* its topic is not being deleted, nor compacted by key */
};

struct planner {
	struct arena *a;
	struct cell *cell;
	const struct compaction_taken *taken;
	struct map places; /* by row */
	struct buf inputs; /* struct compaction_input */
	struct buf groups; /* struct compaction_group */
	int64_t bytes, bytes_max;
};

static void planner_init(struct planner *p, struct arena *a, struct cell *cell,
			 const struct compaction_taken *taken)
{
	*p = (struct planner) { .a = a, .cell = cell, .taken = taken };
	p->bytes_max = taken->bytes_max ? taken->bytes_max : COMPACTION_JOB_BYTES_MAX;
	map_init(&p->places);
	buf_init(&p->inputs);
	buf_init(&p->groups);
}

static void planner_done(struct planner *p)
{
	map_done(&p->places);
	buf_done(&p->inputs);
	buf_done(&p->groups);
}

static size_t input_count(const struct planner *p)
{
	return p->inputs.size / sizeof(struct compaction_input);
}

static enum err look_at(struct planner *p, struct place *place)
{
	struct config_topic_rules rules;
	struct catalog_topic topic;
	enum err err = catalog_partition_by_row(p->cell, place->row, &place->partition);

	if (!err)
		err = catalog_topic_by_row(p->a, p->cell, place->partition.topic, &topic);
	if (err)
		return err == ERR_NOT_FOUND ? OK : err;
	place->topic_id = topic.topic_id;
	place->stable_offset = catalog_last_stable_offset(p->cell, &place->partition);
	config_topic_rules(p->cell, topic.name, &rules);
	place->is_there = !rules.is_compacted; /* else key_job.h has it */
	return OK;
}

static enum err find_place(struct planner *p, int64_t row, const struct place **ret)
{
	struct place *place = map_get(&p->places, (struct slice) { (uint8_t *)&row, sizeof(row) });
	enum err err = OK;

	if (!place) {
		place = arena_take(p->a, sizeof(*place));
		*place = (struct place) { .row = row };
		err = look_at(p, place);
		map_put(&p->places, (struct slice) { (uint8_t *)&place->row, sizeof(place->row) },
			place);
	}
	*ret = place;
	return err;
}

/* --- groups ------------------------------------------------------------------------------------
 */

#define INPUT_COLUMNS                                                                              \
	"SELECT run.id, run.file, run.partition, file.incarnation, file.sequence,"                 \
	" run.base_offset, run.last_offset, run.position, run.size, file.level FROM run"

static struct compaction_input read_input(sqlite3_stmt *st)
{
	return (struct compaction_input) {
		.row = sqlite3_column_int64(st, 0),
		.file = sqlite3_column_int64(st, 1),
		.partition = sqlite3_column_int64(st, 2),
		.incarnation = sqlite3_column_int64(st, 3),
		.sequence = sqlite3_column_int64(st, 4),
		.base_offset = sqlite3_column_int64(st, 5),
		.last_offset = sqlite3_column_int64(st, 6),
		.position = sqlite3_column_int64(st, 7),
		.size = sqlite3_column_int64(st, 8),
		.is_compacted = sqlite3_column_int64(st, 9) > 0,
	};
}

/* The markers at `offset` and right behind it, as far as they are decided. */
static int64_t pass_markers(const struct place *place, const struct catalog_marker *markers,
			    size_t count, size_t *at, int64_t offset)
{
	while (*at < count && markers[*at].offset < offset)
		++*at;
	while (*at < count && markers[*at].offset == offset && offset < place->stable_offset) {
		++*at;
		offset++;
	}
	return offset;
}

/* Cut the inputs of one partition, by offset, into groups without gaps, of `least` runs. */
static enum err add_groups(struct planner *p, const struct place *place,
			   const struct compaction_input *inputs, size_t count, size_t least)
{
	struct catalog_marker *markers;
	size_t marker_count, marker = 0, i = 0;
	enum err err = catalog_markers(p->a, p->cell, place->row, inputs[0].base_offset,
				       2 * COMPACTION_JOB_RUNS_MAX, &markers, &marker_count);

	while (i < count && !err) {
		size_t first = i, first_marker;
		struct compaction_group group = {
			.partition = place->row,
			.topic_id = place->topic_id,
			.number = place->partition.partition,
			.leader_epoch = place->partition.leader_epoch,
			.base_offset = inputs[i].base_offset,
			.inputs = &inputs[i],
		};
		(void)pass_markers(place, markers, marker_count, &marker, group.base_offset);
		first_marker = marker;
		int64_t next = group.base_offset;
		while (i < count && inputs[i].base_offset == next) {
			next = inputs[i++].last_offset + 1;
			next = pass_markers(place, markers, marker_count, &marker, next);
		}
		group.last_offset = next - 1;
		group.input_count = i - first;
		group.markers = &markers[first_marker];
		group.marker_count = marker - first_marker;
		if (group.input_count >= least)
			buf_add(&p->groups, &group, sizeof(group));
	}
	return err;
}

static struct compaction_input *keep_inputs(struct planner *p)
{
	struct compaction_input *kept = arena_take_array(p->a, input_count(p) + 1, sizeof(*kept));

	if (p->inputs.size)
		memcpy(kept, p->inputs.data, p->inputs.size);
	return kept;
}

static void take_groups(struct planner *p, int level, struct compaction_plan *ret)
{
	size_t count = p->groups.size / sizeof(struct compaction_group);

	*ret = (struct compaction_plan) {
		.level = level,
		.groups = arena_take_array(p->a, count + 1, sizeof(*ret->groups)),
		.group_count = count,
	};
	if (count)
		memcpy(ret->groups, p->groups.data, p->groups.size);
	for (size_t i = 0; i < count; i++) {
		ret->input_count += ret->groups[i].input_count;
		for (size_t k = 0; k < ret->groups[i].input_count; k++)
			ret->bytes += ret->groups[i].inputs[k].size;
	}
}

/* --- level 0 -----------------------------------------------------------------------------------
 */

struct fresh_file {
	int64_t row, size, run_count;
};

static size_t find_files(struct cell *cell, int64_t after, int64_t until_ms,
			 struct fresh_file files[COMPACTION_LOOK_MAX])
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT id, size, run_count FROM file INDEXED BY file_fresh"
		      " WHERE level = 0 AND dead_ms IS NULL AND id > ?1 AND committed_ms <= ?2"
		      " ORDER BY id LIMIT ?3");
	size_t count = 0;

	cell_bind_int(st, 1, after);
	cell_bind_int(st, 2, until_ms);
	cell_bind_int(st, 3, COMPACTION_LOOK_MAX);
	while (count < COMPACTION_LOOK_MAX && cell_next(cell, st))
		files[count++] = (struct fresh_file) { sqlite3_column_int64(st, 0),
						       sqlite3_column_int64(st, 1),
						       sqlite3_column_int64(st, 2) };
	sqlite3_reset(st);
	return count;
}

/* Not worth it, or more than one job can have. */
static bool is_large(const struct fresh_file *file)
{
	return file->run_count <= 0 || file->run_count > COMPACTION_JOB_RUNS_MAX ||
	       file->size > COMPACTION_JOB_BYTES_MAX / 2 ||
	       file->size / file->run_count >= COMPACTION_RUN_BYTES_LARGE;
}

/* The decided runs of a file; none: nothing was added. */
static enum err add_file(struct planner *p, const struct fresh_file *file, size_t *ret_count)
{
	sqlite3_stmt *st = cell_statement(p->cell, INPUT_COLUMNS " JOIN file ON file.id = run.file"
								 " WHERE run.file = ?1");
	struct buf found;
	enum err err = OK;

	*ret_count = 0;
	buf_init(&found);
	cell_bind_int(st, 1, file->row);
	while (cell_next(p->cell, st)) {
		struct compaction_input input = read_input(st);
		buf_add(&found, &input, sizeof(input));
	}
	sqlite3_reset(st);
	const struct compaction_input *inputs = (const void *)found.data;
	for (size_t i = 0; i < found.size / sizeof(*inputs) && !err; i++) {
		const struct place *place;
		err = find_place(p, inputs[i].partition, &place);
		if (err || !place->is_there || inputs[i].last_offset >= place->stable_offset)
			continue;
		buf_add(&p->inputs, &inputs[i], sizeof(inputs[i]));
		p->bytes += inputs[i].size;
		++*ret_count;
	}
	buf_done(&found);
	return err;
}

/* By partition and offset; groups are put in the order of topics later, by the agent's writer. */
static int compare_inputs(const void *left, const void *right)
{
	const struct compaction_input *a = left, *b = right;

	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	return (a->base_offset > b->base_offset) - (a->base_offset < b->base_offset);
}

static enum err group_files(struct planner *p)
{
	struct compaction_input *inputs = keep_inputs(p);
	size_t count = input_count(p), first = 0;
	const struct place *place;
	enum err err = OK;

	qsort(inputs, count, sizeof(*inputs), compare_inputs);
	for (size_t i = 1; i <= count && !err; i++) {
		if (i < count && inputs[i].partition == inputs[first].partition)
			continue;
		err = find_place(p, inputs[first].partition, &place);
		if (!err)
			err = add_groups(p, place, &inputs[first], i - first, 1);
		first = i;
	}
	return err;
}

enum err compaction_plan_files(struct arena *a, struct cell *cell, int64_t until_ms,
			       const struct compaction_taken *taken, int64_t *cursor,
			       struct compaction_plan *ret)
{
	struct fresh_file files[COMPACTION_LOOK_MAX];
	size_t count = find_files(cell, *cursor, until_ms, files), file_count = 0, added;
	struct planner p;
	bool is_full = false, is_prefix = true;
	int64_t rows = 0;
	enum err err = OK;

	planner_init(&p, a, cell, taken);
	for (size_t i = 0; i < count && !err && !is_full; i++) {
		bool is_taken = taken->has_file(taken->context, files[i].row);
		if (is_taken || is_large(&files[i])) {
			is_prefix &= !is_taken;
			if (is_prefix)
				*cursor = files[i].row;
			continue;
		}
		is_full = p.bytes + files[i].size > COMPACTION_JOB_BYTES_MAX ||
			  (file_count >= 2 && p.bytes + files[i].size > p.bytes_max) ||
			  input_count(&p) + (size_t)files[i].run_count > COMPACTION_JOB_RUNS_MAX ||
			  file_count == COMPACTION_JOB_FILES_MAX;
		if (is_full)
			break;
		err = add_file(&p, &files[i], &added);
		file_count += added > 0;
		is_prefix &= added == 0;
		/* most of it has to wait: what there is makes a job, or is passed */
		rows += files[i].run_count;
		is_full = rows > COMPACTION_LOOK_RUNS_MAX;
		if (is_prefix || (is_full && file_count < 2))
			*cursor = files[i].row;
	}
	if (!err && file_count < 2)
		err = ERR_NOT_FOUND;
	if (!err && file_count < COMPACTION_FILES_MIN && !is_full)
		err = ERR_NOT_FOUND;
	if (!err)
		err = group_files(&p);
	if (!err)
		take_groups(&p, 0, ret);
	planner_done(&p);
	return err;
}

/* --- levels above ------------------------------------------------------------------------------
 */

static int64_t next_partition(struct cell *cell, int level, int64_t after)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT partition FROM run INDEXED BY run_level"
						" WHERE level > 0 AND level < 4 AND level = ?1"
						" AND partition > ?2 ORDER BY partition LIMIT 1");

	cell_bind_int(st, 1, level);
	cell_bind_int(st, 2, after);
	int64_t row = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return row;
}

static enum err add_partition(struct planner *p, int level, int64_t row)
{
	sqlite3_stmt *st =
		cell_statement(p->cell, INPUT_COLUMNS
			       " INDEXED BY run_level JOIN file ON file.id = run.file"
			       " WHERE run.level > 0 AND run.level < 4 AND run.level = ?1"
			       " AND run.partition = ?2 ORDER BY run.last_offset LIMIT ?3");
	const struct place *place;
	size_t before = p->groups.size;
	int64_t bytes = 0;

	cell_bind_int(st, 1, level);
	cell_bind_int(st, 2, row);
	cell_bind_int(st, 3, COMPACTION_JOB_RUNS_MAX / 2);
	buf_clear(&p->inputs);
	while (cell_next(p->cell, st)) {
		struct compaction_input input = read_input(st);
		bytes += input.size;
		if (p->bytes + bytes > p->bytes_max)
			break;
		buf_add(&p->inputs, &input, sizeof(input));
	}
	sqlite3_reset(st);
	enum err err = find_place(p, row, &place);
	if (err || !place->is_there || input_count(p) < COMPACTION_FAN_IN)
		return err;
	err = add_groups(p, place, keep_inputs(p), input_count(p), COMPACTION_FAN_IN);
	for (size_t at = before; at < p->groups.size; at += sizeof(struct compaction_group)) {
		const struct compaction_group *group = (const void *)(p->groups.data + at);
		for (size_t i = 0; i < group->input_count; i++)
			p->bytes += group->inputs[i].size;
	}
	return err;
}

enum err compaction_plan_runs(struct arena *a, struct cell *cell, int level,
			      const struct compaction_taken *taken, int64_t *cursor,
			      struct compaction_plan *ret)
{
	struct compaction_plan plan = { 0 };
	struct planner p;
	enum err err = OK;

	planner_init(&p, a, cell, taken);
	for (int i = 0; i < COMPACTION_LOOK_MAX && !err; i++) {
		*cursor = next_partition(cell, level, *cursor);
		if (*cursor == 0)
			break;
		if (taken->has_partition(taken->context, level, *cursor))
			continue;
		err = add_partition(&p, level, *cursor);
		take_groups(&p, level, &plan);
		if (p.bytes > COMPACTION_JOB_BYTES_MAX / 2 ||
		    plan.input_count > COMPACTION_JOB_RUNS_MAX / 2)
			break;
	}
	if (!err && plan.input_count < COMPACTION_RUNS_MIN)
		err = ERR_NOT_FOUND;
	if (!err)
		*ret = plan;
	planner_done(&p);
	return err;
}

/* --- for the agent -----------------------------------------------------------------------------
 */

void compaction_plan_tell(struct arena *a, const struct compaction_plan *plan,
			  struct peer_job_take_response *ret)
{
	struct peer_job_take_response_group *groups =
		arena_take_array(a, plan->group_count, sizeof(*groups));

	for (size_t i = 0; i < plan->group_count; i++) {
		const struct compaction_group *group = &plan->groups[i];
		groups[i] = (struct peer_job_take_response_group) {
			.topic_id = group->topic_id,
			.partition = group->number,
			.leader_epoch = group->leader_epoch,
			.base_offset = group->base_offset,
			.last_offset = group->last_offset,
			.runs = arena_take_array(a, group->input_count, sizeof(*groups[i].runs)),
			.runs_count = group->input_count,
			.markers = arena_take_array(a, group->marker_count,
						    sizeof(*groups[i].markers)),
			.markers_count = group->marker_count,
		};
		for (size_t k = 0; k < group->input_count; k++)
			groups[i].runs[k] = (struct peer_job_take_response_run) {
				.incarnation = group->inputs[k].incarnation,
				.sequence = group->inputs[k].sequence,
				.base_offset = group->inputs[k].base_offset,
				.last_offset = group->inputs[k].last_offset,
				.position = group->inputs[k].position,
				.size = group->inputs[k].size,
				.is_compacted = group->inputs[k].is_compacted,
			};
		for (size_t k = 0; k < group->marker_count; k++)
			groups[i].markers[k] = (struct peer_job_take_response_marker) {
				.marker_offset = group->markers[k].offset,
				.producer_id = group->markers[k].producer_id,
				.producer_epoch = group->markers[k].epoch,
				.is_commit = group->markers[k].is_commit,
				.written_ms = group->markers[k].written_ms,
			};
	}
	ret->level = (int8_t)plan->level;
	ret->groups = groups;
	ret->groups_count = plan->group_count;
}
