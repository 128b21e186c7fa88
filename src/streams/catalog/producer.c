#include "streams/catalog/producer.h"

#define SEQUENCES ((int64_t)INT32_MAX + 1) /* 0 to 2147483647 */

enum err catalog_producer_find(struct cell *c, int64_t partition, int64_t producer_id,
			       struct catalog_producer *ret)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT epoch, last_sequence FROM producer"
					     " WHERE partition = ?1 AND producer_id = ?2");

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, producer_id);
	if (!cell_next(c, st))
		return ERR_NOT_FOUND;
	ret->epoch = (int16_t)sqlite3_column_int(st, 0);
	ret->last_sequence = sqlite3_column_int(st, 1);
	return OK;
}

int32_t producer_sequence_add(int32_t sequence, int32_t count)
{
	return (int32_t)(((int64_t)sequence + count) % SEQUENCES);
}

bool producer_sequence_is_behind(int32_t sequence, int32_t last)
{
	int64_t distance = ((int64_t)last - sequence + SEQUENCES) % SEQUENCES;

	return distance < SEQUENCES / 2;
}
