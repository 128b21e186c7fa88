#include "streams/coordinator/forget_files.h"

#include "streams/catalog/catalog.h"

/* With its row goes what refuses a commit of the same name, which would bring the file back to life
 * without an object: an agent that stood still may have sent it. */
static enum err close_name(struct cell *cell, const struct peer_forget_files_request_file *file)
{
	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE agent SET low_sequence = ?2 WHERE incarnation = ?1"
				     " AND low_sequence < ?2");

	cell_bind_int(st, 1, file->incarnation);
	cell_bind_int(st, 2, file->sequence + 1);
	return cell_execute(cell, st);
}

/* A file that is read, or is dead for not long enough, stays, whatever an agent says. */
static bool is_due(struct cell *cell, const struct peer_forget_files_request_file *file,
		   int64_t due_ms, bool *ret_is_early)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT dead_ms FROM file WHERE incarnation = ?1"
						" AND sequence = ?2 AND run_count = 0"
						" AND dead_ms IS NOT NULL");

	cell_bind_int(st, 1, file->incarnation);
	cell_bind_int(st, 2, file->sequence);
	bool is_dead = cell_next(cell, st);
	*ret_is_early = is_dead && sqlite3_column_int64(st, 0) > due_ms;
	sqlite3_reset(st);
	return is_dead && !*ret_is_early;
}

static enum err forget(struct cell *cell, const struct peer_forget_files_request_file *file)
{
	sqlite3_stmt *st = cell_statement(cell, "DELETE FROM file WHERE incarnation = ?1"
						" AND sequence = ?2");

	cell_bind_int(st, 1, file->incarnation);
	cell_bind_int(st, 2, file->sequence);
	enum err err = cell_execute(cell, st);
	return err ? err : close_name(cell, file);
}

enum err forget_files_run(struct cell *cell, void *argument)
{
	struct forget_files *f = argument;
	int64_t grace_ms = catalog_grace_ms();
	int64_t due_ms = f->now_ms - grace_ms + grace_ms / FORGET_EARLY_SHARE;
	enum err err = OK;

	f->too_early = 0;
	if (f->request.files_count > FORGET_FILES_MAX)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < f->request.files_count && !err; i++) {
		const struct peer_forget_files_request_file *file = &f->request.files[i];
		bool is_early = false;
		if (file->sequence < INT64_MAX && is_due(cell, file, due_ms, &is_early))
			err = forget(cell, file);
		f->too_early += is_early;
	}
	return err;
}
