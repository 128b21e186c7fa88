#include "streams/coordinator/roll.h"

#include "base/hash.h"

static bool is_any_serving(const struct roll *roll)
{
	for (size_t i = 0; i < roll->count; i++)
		if (roll->entries[i].condition == AGENT_SERVES)
			return true;
	return false;
}

static const struct roll_entry *find(const struct roll *roll, int64_t incarnation)
{
	for (size_t i = roll->count; i > 0; i--)
		if (roll->entries[i - 1].incarnation == incarnation)
			return &roll->entries[i - 1];
	return NULL;
}

static bool should_be_live(const struct roll *roll, int64_t incarnation, bool is_live)
{
	const struct roll_entry *entry = find(roll, incarnation);

	if (!entry)
		return roll->keeps_others && is_live && incarnation != roll->gone;
	return entry->condition == AGENT_SERVES ||
	       (entry->condition == AGENT_SICK && !is_any_serving(roll));
}

static enum err set_live(struct cell *cell, int64_t incarnation, bool is_live)
{
	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE agent SET is_live = ?2 WHERE incarnation = ?1");

	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, is_live);
	return cell_execute(cell, st);
}

/* The first agent behind `after` whose row is not as it should be; false: there is none.  One at a
 * time: a table is not changed while it is read. */
static bool find_wrong(struct cell *cell, const struct roll *roll, int64_t *after,
		       int64_t *ret_incarnation, bool *ret_is_live)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT id, incarnation, is_live FROM agent"
						" WHERE id > ?1 ORDER BY id");
	bool is_found = false;

	cell_bind_int(st, 1, *after);
	while (!is_found && cell_next(cell, st)) {
		*after = sqlite3_column_int64(st, 0);
		*ret_incarnation = sqlite3_column_int64(st, 1);
		bool is_live = sqlite3_column_int(st, 2);
		*ret_is_live = should_be_live(roll, *ret_incarnation, is_live);
		is_found = *ret_is_live != is_live;
	}
	sqlite3_reset(st);
	return is_found;
}

enum err roll_write(struct cell *cell, const struct roll *roll)
{
	int64_t after = 0, incarnation;
	bool is_live;
	enum err err = OK;

	while (!err && find_wrong(cell, roll, &after, &incarnation, &is_live))
		err = set_live(cell, incarnation, is_live);
	return err;
}

enum err roll_count_others(struct cell *cell, int64_t incarnation, int32_t *ret)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT count(*) FROM agent WHERE is_live = 1"
						" AND incarnation <> ?1");

	cell_bind_int(st, 1, incarnation);
	bool is_found = cell_next(cell, st);
	if (is_found)
		*ret = sqlite3_column_int(st, 0);
	sqlite3_reset(st);
	return is_found ? OK : ERR_CORRUPT;
}

void roll_find_share(struct cell *cell, int64_t incarnation, struct roll_share *ret)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT incarnation FROM agent WHERE is_live = 1"
						" ORDER BY id");
	struct roll_share share = { 0 };
	bool is_found = false;

	while (cell_next(cell, st)) {
		if (sqlite3_column_int64(st, 0) == incarnation) {
			share.index = share.count;
			is_found = true;
		}
		share.count++;
	}
	sqlite3_reset(st);
	*ret = is_found ? share : (struct roll_share) { 0 };
}

bool roll_share_has(const struct roll_share *share, struct slice name)
{
	return share->count <= 1 || hash_content(name).low % share->count == share->index;
}
