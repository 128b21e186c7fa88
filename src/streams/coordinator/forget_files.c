#include "streams/coordinator/forget_files.h"

#include "peer_messages.h"

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

static enum err forget(struct cell *cell, const struct peer_forget_files_request_file *file)
{
	sqlite3_stmt *st = cell_statement(cell, "DELETE FROM file WHERE incarnation = ?1"
						" AND sequence = ?2 AND run_count = 0"
						" AND dead_ms IS NOT NULL");

	cell_bind_int(st, 1, file->incarnation);
	cell_bind_int(st, 2, file->sequence);
	enum err err = cell_execute(cell, st);
	if (err || sqlite3_changes(cell_database(cell)) == 0)
		return err;
	return close_name(cell, file);
}

enum err forget_files_run(struct cell *cell, void *argument)
{
	const struct peer_forget_files_request *request = argument;
	enum err err = OK;

	if (request->files_count > FORGET_FILES_MAX)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < request->files_count && !err; i++)
		if (request->files[i].sequence < INT64_MAX)
			err = forget(cell, &request->files[i]);
	return err;
}
