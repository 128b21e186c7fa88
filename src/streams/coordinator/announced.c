#include "streams/coordinator/announced.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "loop/task.h"
#include "streams/catalog/catalog.h"
#include "wire/kafka/record_batch.h"

/* --- memory ------------------------------------------------------------------------------------
 */

void announced_init(struct announced *a)
{
	*a = (struct announced) { 0 };
	map_init(&a->entries);
	list_init(&a->held);
	a->hold_ms = ANNOUNCED_HOLD_MS;
}

static void free_file(struct announced_file *file)
{
	memory_free(file->keys);
	memory_free(file);
}

void announced_clear(struct announced *a)
{
	struct announced_file *file;
	size_t cursor = 0;

	while ((file = map_next(&a->entries, &cursor)) != NULL)
		free_file(file);
	map_done(&a->entries);
	map_init(&a->entries);
	a->is_all_left = false;
}

void announced_done(struct announced *a)
{
	announced_clear(a);
	map_done(&a->entries);
}

static struct slice name_slice(const int64_t name[2])
{
	return (struct slice) { (const uint8_t *)name, 2 * sizeof(name[0]) };
}

static struct announced_file *look_up(const struct announced *a, int64_t incarnation,
				      int64_t sequence)
{
	const int64_t name[2] = { incarnation, sequence };

	return map_get(&a->entries, name_slice(name));
}

static void forget(struct announced *a, int64_t incarnation, int64_t sequence)
{
	const int64_t name[2] = { incarnation, sequence };
	struct announced_file *file = map_remove(&a->entries, name_slice(name));

	if (file)
		free_file(file);
	LIST_EACH (&a->held, struct announced_hold, link, hold)
		task_wake(hold->task);
}

void announced_hold(struct announced *a, struct announced_hold *hold, struct task *task)
{
	hold->task = task;
	list_add(&a->held, &hold->link);
	a->numbers.held++;
}

void announced_let_go(struct announced_hold *hold)
{
	list_remove(&hold->link);
}

/* --- what files share --------------------------------------------------------------------------
 * Hashes: two that are equal by accident only make a commit wait. */

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t partition_key(const struct peer_commit_file_request_run *run)
{
	struct {
		struct uuid topic;
		int32_t partition;
	} key = { run->topic_id, run->partition };

	return hash_content((struct slice) { (const uint8_t *)&key, sizeof(key) }).low;
}

static void find_keys(const struct peer_commit_file_request *request, struct announced_file *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < request->runs_count; i++)
		count += 1 + request->runs[i].batches_count;
	ret->keys = memory_take_array(count + 1, sizeof(*ret->keys));
	ret->key_count = 0;
	for (size_t i = 0; i < request->runs_count; i++) {
		const struct peer_commit_file_request_run *run = &request->runs[i];
		ret->keys[ret->key_count++] = partition_key(run);
		for (size_t k = 0; k < run->batches_count; k++)
			if (run->batches[k].attributes & RECORD_BATCH_TRANSACTIONAL)
				ret->keys[ret->key_count++] =
					hash_content(run->batches[k].transactional_id).high;
	}
	qsort(ret->keys, ret->key_count, sizeof(*ret->keys), compare_keys);
}

static bool files_share(const struct announced_file *a, const struct announced_file *b)
{
	size_t i = 0, k = 0;

	while (i < a->key_count && k < b->key_count) {
		if (a->keys[i] == b->keys[k])
			return true;
		if (a->keys[i] < b->keys[k])
			i++;
		else
			k++;
	}
	return false;
}

static struct announced_file *remember(struct announced *a,
				       const struct peer_commit_file_request *request)
{
	struct announced_file *file = NEW(struct announced_file);

	file->name[0] = request->incarnation;
	file->name[1] = request->sequence;
	find_keys(request, file);
	struct announced_file *before = map_put(&a->entries, name_slice(file->name), file);
	if (before)
		free_file(before);
	return file;
}

/* --- rows --------------------------------------------------------------------------------------
 */

/* The row; 0: there is none. */
static int64_t find_row(struct cell *cell, int64_t incarnation, int64_t sequence)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT id FROM announced WHERE incarnation = ?1 AND sequence = ?2");

	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, sequence);
	int64_t row = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return row;
}

bool announced_has(struct cell *cell, int64_t incarnation, int64_t sequence)
{
	return find_row(cell, incarnation, sequence) != 0;
}

size_t announced_count(struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT count(*) FROM announced");
	size_t count = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return count;
}

static enum err read_request(struct arena *arena, struct cell *cell, int64_t row,
			     struct peer_commit_file_request *ret)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT request FROM announced WHERE id = ?1");

	cell_bind_int(st, 1, row);
	if (!cell_next(cell, st))
		return ERR_CORRUPT;
	struct slice body = arena_copy(arena, cell_column_blob(st, 0));
	sqlite3_reset(st);
	return schema_decode_all(arena, &peer_commit_file_request_schema, 0, body, ret)
		       ? ERR_CORRUPT
		       : OK;
}

static enum err delete_row(struct cell *cell, int64_t row)
{
	sqlite3_stmt *st = cell_statement(cell, "DELETE FROM announced WHERE id = ?1");

	cell_bind_int(st, 1, row);
	return cell_execute(cell, st);
}

size_t announced_rows(struct arena *a, struct cell *cell, struct announced_row **ret)
{
	struct announced_row *rows = arena_take_array(a, ANNOUNCED_FILES_MAX, sizeof(*rows));
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT incarnation, sequence, size FROM announced ORDER BY id");
	size_t count = 0;

	while (count < ANNOUNCED_FILES_MAX && cell_next(cell, st))
		rows[count++] = (struct announced_row) {
			.incarnation = sqlite3_column_int64(st, 0),
			.sequence = sqlite3_column_int64(st, 1),
			.size = sqlite3_column_int64(st, 2),
		};
	sqlite3_reset(st);
	*ret = rows;
	return count;
}

struct announced_file *announced_find(struct announced *a, struct cell *cell, int64_t incarnation,
				      int64_t sequence)
{
	struct peer_commit_file_request request;
	struct announced_file *file = NULL;
	struct arena arena;

	int64_t row = find_row(cell, incarnation, sequence);
	if (!row)
		return NULL;
	file = look_up(a, incarnation, sequence);
	if (file)
		return file;
	arena_init(&arena);
	if (!read_request(&arena, cell, row, &request))
		file = remember(a, &request);
	arena_done(&arena);
	return file;
}

static bool is_left(const struct announced *a, const struct announced_file *file)
{
	return a->is_all_left || file->is_left;
}

bool announced_is_blocked(struct announced *a, struct cell *cell, int64_t incarnation,
			  int64_t sequence, bool only_left)
{
	const struct announced_file *file = announced_find(a, cell, incarnation, sequence);
	sqlite3_stmt *st = cell_statement(cell, "SELECT incarnation, sequence FROM announced"
						" WHERE id < ?1 ORDER BY id");
	bool is_blocked = false;

	if (!file)
		return false;
	cell_bind_int(st, 1, find_row(cell, incarnation, sequence));
	while (!is_blocked && cell_next(cell, st)) {
		int64_t incarnation_of = sqlite3_column_int64(st, 0);
		int64_t sequence_of = sqlite3_column_int64(st, 1);
		const struct announced_file *older = look_up(a, incarnation_of, sequence_of);
		if (!older)
			older = announced_find(a, cell, incarnation_of, sequence_of);
		is_blocked = older && (!only_left || is_left(a, older)) && files_share(file, older);
	}
	sqlite3_reset(st);
	return is_blocked;
}

/* --- announcing --------------------------------------------------------------------------------
 */

/* What it comes after has to be decided first, here and by whoever leads next. */
static enum err check_before(struct cell *cell, const struct peer_commit_file_request *request)
{
	int64_t before = request->after_sequence;

	if (before == 0)
		return OK;
	if (before < request->low_sequence || before >= request->sequence)
		return ERR_INVALID;
	return catalog_has_file(cell, request->incarnation, before) ||
			       announced_has(cell, request->incarnation, before)
		       ? OK
		       : ERR_BUSY;
}

static enum err check_room(struct cell *cell, size_t bytes)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT count(*), coalesce(sum(length(request)), 0) FROM announced");
	bool is_full = !cell_next(cell, st) || sqlite3_column_int64(st, 0) >= ANNOUNCED_FILES_MAX ||
		       sqlite3_column_int64(st, 1) + (int64_t)bytes > ANNOUNCED_BYTES_MAX;

	sqlite3_reset(st);
	return is_full ? ERR_FULL : OK;
}

static enum err insert_row(struct cell *cell, const struct announced_command *m)
{
	sqlite3_stmt *st =
		cell_statement(cell, "INSERT INTO announced (incarnation, sequence, size, request)"
				     " VALUES (?1, ?2, ?3, ?4)");

	cell_bind_int(st, 1, m->incarnation);
	cell_bind_int(st, 2, m->sequence);
	cell_bind_int(st, 3, m->request->size);
	cell_bind_blob(st, 4, m->body);
	return cell_execute(cell, st);
}

static enum err repeat(struct cell *cell, const struct announced_command *m)
{
	const struct peer_commit_file_request request = { .incarnation = m->incarnation,
							  .sequence = m->sequence };
	struct commit_file commit = { .arena = m->arena,
				      .request = &request,
				      .response = m->response };

	return commit_file_repeat(cell, &commit);
}

enum err announced_announce_run(struct cell *cell, void *argument)
{
	struct announced_command *m = argument;
	enum err err = repeat(cell, m);

	if (err != ERR_NOT_FOUND)
		return err;
	if (announced_has(cell, m->incarnation, m->sequence))
		return OK;
	if (m->announced->is_all_left)
		return ERR_BUSY;
	if (m->body.size > ANNOUNCED_REQUEST_BYTES_MAX)
		return ERR_TOO_BIG;
	err = commit_file_check(cell, m->request);
	if (!err)
		err = check_before(cell, m->request);
	if (!err)
		err = check_room(cell, m->body.size);
	if (!err)
		err = insert_row(cell, m);
	if (err)
		return err;
	struct announced_file *file = remember(m->announced, m->request);
	file->index = leader_next_index(m->leader->leader);
	file->came_ms = clock_boot_ms();
	file->came_wall_ms = clock_wall_ms();
	return OK;
}

void announced_check(struct announced *a, struct cell *cell, int64_t incarnation, int64_t sequence)
{
	if (!cell || !announced_has(cell, incarnation, sequence))
		forget(a, incarnation, sequence);
}

/* --- confirming --------------------------------------------------------------------------------
 */

/* By two clocks: one of them may stand still while the machine does, and the other be set. */
static bool is_old(const struct announced_file *file)
{
	int64_t wall_ms = clock_wall_ms() - file->came_wall_ms;

	return clock_boot_ms() > file->came_ms + ANNOUNCED_EARLY_MS || wall_ms < 0 ||
	       wall_ms > ANNOUNCED_EARLY_MS;
}

/* May the answer leave before it is durable?  The object is there, which has just been said: a
 * leader that stood still since the announcement, and was replaced, could be wrong about what that
 * means. */
static void choose_kind(struct cell *cell, struct announced_command *m)
{
	const struct announced_file *file =
		announced_find(m->announced, cell, m->incarnation, m->sequence);

	if (!file)
		return;
	if (announced_is_blocked(m->announced, cell, m->incarnation, m->sequence, false)) {
		m->announced->numbers.late++;
		return;
	}
	m->leader->kind = LEADER_REPEATABLE;
	m->leader->after_index = file->index;
	m->leader->waits = file->index == 0 || is_old(file);
}

static size_t batch_count(const struct peer_commit_file_request *request)
{
	size_t count = 0;

	for (size_t i = 0; i < request->runs_count; i++)
		count += request->runs[i].batches_count;
	return count;
}

static enum err commit_row(struct cell *cell, struct announced_command *m, int64_t row,
			   const struct peer_commit_file_request *request)
{
	struct commit_file commit = {
		.arena = m->arena,
		.request = request,
		.now_ms = m->now_ms,
		.response = m->response,
		.placed = arena_take_array(m->arena, batch_count(request) + 1,
					   sizeof(*commit.placed)),
	};
	enum err err = commit_file_apply(cell, &commit);

	m->placed = commit.placed;
	m->placed_count = commit.placed_count;
	return err ? err : delete_row(cell, row);
}

enum err announced_confirm_run(struct cell *cell, void *argument)
{
	struct announced_command *m = argument;
	struct peer_commit_file_request request;
	enum err err = repeat(cell, m);

	if (err != ERR_NOT_FOUND)
		return err;
	int64_t row = find_row(cell, m->incarnation, m->sequence);
	if (!row)
		return ERR_NOT_FOUND;
	if (m->low_sequence > m->sequence)
		return ERR_INVALID;
	err = read_request(m->arena, cell, row, &request);
	if (err)
		return err;
	if (request.after_sequence && announced_has(cell, m->incarnation, request.after_sequence))
		return ERR_BUSY;
	m->leader->is_remade = true;
	choose_kind(cell, m);
	err = commit_row(cell, m, row, &request);
	if (!err && m->low_sequence > request.low_sequence)
		err = commit_file_forget_replies(cell, m->incarnation, m->low_sequence);
	if (err)
		return err;
	if (commit_file_has_errors(m->response))
		m->leader->waits = true;
	forget(m->announced, m->incarnation, m->sequence);
	return OK;
}

/* --- withdrawing -------------------------------------------------------------------------------
 */

static enum err bury_row(struct cell *cell, int64_t row, const struct announced_row *file,
			 int64_t now_ms, int64_t dead_ms)
{
	enum err err = commit_file_bury(cell, file->incarnation, file->sequence, file->size, now_ms,
					dead_ms);

	return err || !row ? err : delete_row(cell, row);
}

static int64_t row_size(struct cell *cell, int64_t row)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT size FROM announced WHERE id = ?1");

	cell_bind_int(st, 1, row);
	int64_t size = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return size;
}

/* Also one that is not announced gets its dead row: an announcement may be on its way, on a
 * connection that the agent has left.  A full catalog is what many are withdrawn for. */
enum err announced_withdraw_run(struct cell *cell, void *argument)
{
	struct announced_command *m = argument;
	struct announced_row file = { m->incarnation, m->sequence, 0 };

	cell_let_free(cell);
	if (m->sequence < 0 || m->sequence == INT64_MAX)
		return ERR_INVALID;
	if (catalog_has_file(cell, m->incarnation, m->sequence))
		return !repeat(cell, m) && m->response->error == ERR_NOT_FOUND ? OK : ERR_EXISTS;
	int64_t row = find_row(cell, m->incarnation, m->sequence);
	if (row)
		file.size = row_size(cell, row);
	enum err err = bury_row(cell, row, &file, m->now_ms, m->now_ms);
	if (!err)
		forget(m->announced, m->incarnation, m->sequence);
	return err;
}

/* --- settling ----------------------------------------------------------------------------------
 */

static bool can_settle(struct announced *a, struct cell *cell, const struct announced_row *row)
{
	const struct announced_file *file =
		announced_find(a, cell, row->incarnation, row->sequence);

	return file && is_left(a, file) && file->has_verdict &&
	       !announced_is_blocked(a, cell, row->incarnation, row->sequence, true);
}

static enum err settle_there(struct cell *cell, const struct announced_settle *s,
			     const struct announced_row *file, int64_t row)
{
	struct peer_commit_file_response response = { 0 };
	struct peer_commit_file_request request;
	struct arena arena;

	arena_init(&arena);
	struct announced_command command = {
		.arena = &arena,
		.incarnation = file->incarnation,
		.sequence = file->sequence,
		.now_ms = s->now_ms,
		.response = &response,
	};
	enum err err = read_request(&arena, cell, row, &request);
	if (!err)
		err = commit_row(cell, &command, row, &request);
	arena_done(&arena);
	return err;
}

static enum err settle_one(struct cell *cell, struct announced_settle *s,
			   const struct announced_row *file)
{
	int64_t row = find_row(cell, file->incarnation, file->sequence);
	bool is_there = look_up(s->announced, file->incarnation, file->sequence)->is_there;
	enum err err =
		is_there ? settle_there(cell, s, file, row)
			 : bury_row(cell, row, file, s->now_ms, s->now_ms + ANNOUNCED_BURNT_MS);

	s->incarnation = file->incarnation;
	s->sequence = file->sequence;
	if (err)
		return err;
	s->there += is_there;
	s->burnt += !is_there;
	forget(s->announced, file->incarnation, file->sequence);
	return OK;
}

/* In their order.  What was answered early fitted into the database, so the limit is no reason. */
enum err announced_settle_run(struct cell *cell, void *argument)
{
	struct announced_settle *s = argument;
	struct announced_row *rows;
	struct arena arena;
	enum err err = OK;

	arena_init(&arena);
	cell_let_free(cell);
	s->there = s->burnt = 0;
	size_t count = announced_rows(&arena, cell, &rows);
	for (size_t i = 0; i < count && !err; i++) {
		bool is_first = s->there + s->burnt == 0;
		if (!is_first &&
		    (s->is_single || cell_change_bytes(cell) > CELL_TRANSACTION_BYTES_MAX / 4))
			break;
		if (can_settle(s->announced, cell, &rows[i]))
			err = settle_one(cell, s, &rows[i]);
	}
	arena_done(&arena);
	return err;
}

bool announced_can_settle(struct announced *a, struct cell *cell)
{
	struct announced_row *rows;
	struct arena arena;
	bool can = false;

	arena_init(&arena);
	size_t count = announced_rows(&arena, cell, &rows);
	for (size_t i = 0; i < count && !can; i++)
		can = can_settle(a, cell, &rows[i]);
	arena_done(&arena);
	return can;
}
