#include "streams/coordinator/group_store.h"

#include "streams/coordinator/coordinator.h"

#define GROUP_COLUMNS                                                                              \
	"SELECT id, name, state, generation, protocol_type, protocol, leader FROM consumer_group "

/* --- reading -----------------------------------------------------------------------------------
 */

static bool is_null(sqlite3_stmt *st, int column)
{
	return sqlite3_column_type(st, column) == SQLITE_NULL;
}

static struct slice text_or_null(struct arena *a, sqlite3_stmt *st, int column)
{
	if (is_null(st, column))
		return (struct slice) { 0 };
	struct slice text = arena_copy(a, cell_column_text(st, column));
	return text.data ? text : SLICE("");
}

static enum err read_row(struct arena *a, sqlite3_stmt *st, struct group_row *ret)
{
	int state = sqlite3_column_int(st, 2);

	if (state < 0 || state >= GROUP_STATE_COUNT)
		return ERR_CORRUPT;
	ret->id = sqlite3_column_int64(st, 0);
	ret->name = text_or_null(a, st, 1);
	ret->state = (enum group_state)state;
	ret->generation = sqlite3_column_int(st, 3);
	ret->protocol_type = text_or_null(a, st, 4);
	ret->protocol = text_or_null(a, st, 5);
	ret->leader = text_or_null(a, st, 6);
	return OK;
}

enum err group_row_find(struct arena *a, struct cell *cell, struct slice name,
			struct group_row *ret)
{
	sqlite3_stmt *st =
		cell_statement(cell, GROUP_COLUMNS "WHERE name = ?1 AND deleted_ms IS NULL");

	cell_bind_text(st, 1, name);
	enum err err = cell_next(cell, st) ? read_row(a, st, ret) : ERR_NOT_FOUND;
	sqlite3_reset(st);
	return err;
}

static size_t count_groups(struct cell *cell)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT count(*) FROM consumer_group WHERE deleted_ms IS NULL");
	size_t count = cell_next(cell, st) ? (size_t)sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return count;
}

enum err group_rows(struct arena *a, struct cell *cell, bool with_members_only,
		    struct group_row **ret, size_t *ret_count)
{
	struct group_row *rows = arena_take_array(a, count_groups(cell) + 1, sizeof(*rows));
	sqlite3_stmt *st =
		cell_statement(cell, with_members_only ? GROUP_COLUMNS
					     "WHERE deleted_ms IS NULL AND id IN"
					     " (SELECT consumer_group FROM member) ORDER BY name"
						       : GROUP_COLUMNS
					     "WHERE deleted_ms IS NULL ORDER BY name");
	size_t count = 0;
	enum err err = OK;

	while (!err && cell_next(cell, st))
		err = read_row(a, st, &rows[count++]);
	sqlite3_reset(st);
	if (err)
		return err;
	*ret = rows;
	*ret_count = count;
	return OK;
}

static struct group_member *read_member(sqlite3_stmt *st)
{
	struct slice instance_id = is_null(st, 1) ? (struct slice) { 0 } : cell_column_text(st, 1);
	struct group_member *m = group_member_new(cell_column_text(st, 0), instance_id);
	struct slice assignment = cell_column_blob(st, 7);

	group_own(&m->client_id, cell_column_text(st, 2));
	group_own(&m->client_host, cell_column_text(st, 3));
	m->session_timeout_ms = sqlite3_column_int(st, 4);
	m->rebalance_timeout_ms = sqlite3_column_int(st, 5);
	group_own(&m->protocols, cell_column_blob(st, 6));
	group_own(&m->assignment, assignment.data ? assignment : SLICE(""));
	return m;
}

enum err group_row_load(struct cell *cell, const struct group_row *row, uint64_t now_ms,
			struct group *g)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT member_id, instance_id, client_id, client_host, session_timeout_ms,"
		      " rebalance_timeout_ms, protocols, assignment FROM member"
		      " WHERE consumer_group = ?1 ORDER BY id");
	enum err err = OK;

	g->state = row->state;
	g->generation = row->generation;
	group_own(&g->protocol_type, row->protocol_type);
	group_own(&g->protocol, row->protocol);
	cell_bind_int(st, 1, row->id);
	while (!err && cell_next(cell, st)) {
		struct group_member *m = read_member(st);
		if (m->session_timeout_ms < 0 || m->rebalance_timeout_ms < 0 ||
		    !group_protocols_are_sound(m->protocols))
			err = ERR_CORRUPT;
		group_restore_member(g, m);
	}
	sqlite3_reset(st);
	return err ? err : group_restored(g, row->leader, now_ms);
}

/* --- writing -----------------------------------------------------------------------------------
 */

enum err group_row_insert(struct cell *cell, struct slice name, int64_t now_ms, int64_t *ret_id)
{
	if (count_groups(cell) >= COORDINATOR_GROUPS_MAX)
		return ERR_FULL;

	sqlite3_stmt *st =
		cell_statement(cell,
			       "INSERT INTO consumer_group (name, state, generation, protocol_type,"
			       " updated_ms) VALUES (?1, 0, 0, '', ?2)");
	cell_bind_text(st, 1, name);
	cell_bind_int(st, 2, now_ms);
	enum err err = cell_execute(cell, st);
	if (!err)
		*ret_id = sqlite3_last_insert_rowid(cell_database(cell));
	return err;
}

static enum err find_or_insert(struct cell *cell, struct slice name, int64_t now_ms,
			       int64_t *ret_id)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT id FROM consumer_group WHERE name = ?1 AND deleted_ms IS NULL");

	cell_bind_text(st, 1, name);
	bool is_known = cell_next(cell, st);
	if (is_known)
		*ret_id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return is_known ? OK : group_row_insert(cell, name, now_ms, ret_id);
}

static bool has_stored_members(const struct group *g)
{
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!m->is_new)
			return true;
	return false;
}

static enum err write_group(struct cell *cell, int64_t id, const struct group *g, int64_t now_ms)
{
	sqlite3_stmt *st = cell_statement(
		cell, "UPDATE consumer_group SET state = ?2, generation = ?3, protocol_type = ?4,"
		      " protocol = ?5, leader = ?6, updated_ms = ?7 WHERE id = ?1");

	cell_bind_int(st, 1, id);
	cell_bind_int(st, 2, has_stored_members(g) ? (int)g->state : (int)GROUP_EMPTY);
	cell_bind_int(st, 3, g->generation);
	cell_bind_text(st, 4, g->protocol_type);
	if (g->protocol.data)
		cell_bind_text(st, 5, g->protocol);
	if (g->leader)
		cell_bind_text(st, 6, g->leader->member_id);
	cell_bind_int(st, 7, now_ms);
	return cell_execute(cell, st);
}

static enum err write_member(struct cell *cell, int64_t group, const struct group_member *m)
{
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO member (consumer_group, member_id, instance_id, client_id,"
		      " client_host, session_timeout_ms, rebalance_timeout_ms, protocols,"
		      " assignment) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
		      " ON CONFLICT (consumer_group, member_id) DO UPDATE SET"
		      " client_id = ?4, client_host = ?5, session_timeout_ms = ?6,"
		      " rebalance_timeout_ms = ?7, protocols = ?8, assignment = ?9");

	cell_bind_int(st, 1, group);
	cell_bind_text(st, 2, m->member_id);
	if (m->instance_id.data)
		cell_bind_text(st, 3, m->instance_id);
	cell_bind_text(st, 4, m->client_id);
	cell_bind_text(st, 5, m->client_host);
	cell_bind_int(st, 6, m->session_timeout_ms);
	cell_bind_int(st, 7, m->rebalance_timeout_ms);
	cell_bind_blob(st, 8, m->protocols);
	cell_bind_blob(st, 9, m->assignment);
	return cell_execute(cell, st);
}

/* The rows of members that are gone; new members have none yet. */
static enum err delete_members(struct cell *cell, int64_t group, const struct group *g)
{
	int64_t gone[2 * GROUP_MEMBERS_MAX];
	enum err err = OK;
	size_t count = 0;

	sqlite3_stmt *st = cell_statement(
		cell, "SELECT id, member_id FROM member WHERE consumer_group = ?1 ORDER BY id");
	cell_bind_int(st, 1, group);
	while (count < 2 * GROUP_MEMBERS_MAX && cell_next(cell, st)) {
		const struct group_member *m = group_find(g, cell_column_text(st, 1));
		if (!m || m->is_new)
			gone[count++] = sqlite3_column_int64(st, 0);
	}
	sqlite3_reset(st);
	for (size_t i = 0; i < count && !err; i++) {
		st = cell_statement(cell, "DELETE FROM member WHERE id = ?1");
		cell_bind_int(st, 1, gone[i]);
		err = cell_execute(cell, st);
	}
	return err;
}

enum err group_row_write(struct cell *cell, const struct group *g, uint64_t stored_version,
			 int64_t now_ms)
{
	int64_t id = 0;
	enum err err = find_or_insert(cell, g->name, now_ms, &id);

	if (!err)
		err = write_group(cell, id, g, now_ms);
	if (!err && g->removed_version > stored_version)
		err = delete_members(cell, id, g);
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!err && !m->is_new && m->version > stored_version)
			err = write_member(cell, id, m);
	return err;
}

enum err group_row_delete(struct cell *cell, int64_t id, int64_t now_ms)
{
	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE consumer_group SET deleted_ms = ?2 WHERE id = ?1");

	cell_bind_int(st, 1, id);
	cell_bind_int(st, 2, now_ms);
	return cell_execute(cell, st);
}
