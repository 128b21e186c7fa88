#include "streams/catalog/share.h"

#include "streams/catalog/config.h"

enum err catalog_share_group(struct cell *c, struct slice name, int64_t *ret_row)
{
	sqlite3_stmt *st = cell_statement(
		c, "SELECT g.id FROM consumer_group AS g JOIN share_group AS s"
		   " ON s.consumer_group = g.id WHERE g.name = ?1 AND g.deleted_ms IS NULL");

	cell_bind_text(st, 1, name);
	bool is_known = cell_next(c, st);
	if (is_known)
		*ret_row = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return is_known ? OK : ERR_NOT_FOUND;
}

enum err catalog_share_partition(struct arena *a, struct cell *c, int64_t group, int64_t topic,
				 int32_t partition, struct share_partition *ret)
{
	sqlite3_stmt *st =
		cell_statement(c, "SELECT state, id FROM share_partition WHERE consumer_group = ?1"
				  " AND topic = ?2 AND partition = ?3");
	enum err err = ERR_NOT_FOUND;

	cell_bind_int(st, 1, group);
	cell_bind_int(st, 2, topic);
	cell_bind_int(st, 3, partition);
	if (cell_next(c, st)) {
		err = share_partition_decode(a, arena_copy(a, cell_column_blob(st, 0)), ret);
		ret->row = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	return err;
}

void catalog_share_rules(struct cell *c, struct slice group, struct share_rules *ret)
{
	struct arena a;

	arena_init(&a);
	struct slice level = config_group_text(&a, c, group, "share.isolation.level");
	struct slice begin = config_group_text(&a, c, group, "share.auto.offset.reset");
	*ret = (struct share_rules) {
		.lock_ms = config_group_number(c, group, "share.record.lock.duration.ms"),
		.is_committed = slice_equal(level, SLICE("read_committed")),
	};
	if (slice_equal(begin, SLICE("earliest")))
		ret->begin = SHARE_BEGIN_EARLIEST;
	else if (config_duration(begin, SLICE("by_duration"), &ret->age_ms))
		ret->begin = SHARE_BEGIN_BY_AGE;
	arena_done(&a);
}
