#include "streams/coordinator/forget_files.h"

#include "peer_messages.h"

enum err forget_files_run(struct cell *cell, void *argument)
{
	const struct peer_forget_files_request *request = argument;
	enum err err = OK;

	if (request->files_count > FORGET_FILES_MAX)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < request->files_count && !err; i++) {
		sqlite3_stmt *st = cell_statement(cell, "DELETE FROM file WHERE incarnation = ?1"
							" AND sequence = ?2 AND run_count = 0"
							" AND dead_ms IS NOT NULL");
		cell_bind_int(st, 1, request->files[i].incarnation);
		cell_bind_int(st, 2, request->files[i].sequence);
		err = cell_execute(cell, st);
	}
	return err;
}
