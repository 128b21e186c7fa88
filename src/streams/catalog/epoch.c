#include "streams/catalog/epoch.h"

enum { EPOCH_VERSION = 15 }; /* of the schema, which has it */

int64_t catalog_epoch_offset(struct cell *c, int64_t partition)
{
	if (cell_schema_version(c, "streams") < EPOCH_VERSION)
		return 0;
	sqlite3_stmt *st = cell_statement(c, "SELECT epoch_offset FROM partition WHERE id = ?1");
	cell_bind_int(st, 1, partition);
	int64_t offset = cell_next(c, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return offset;
}
