#include "streams/coordinator/group_store.h"

#include "streams/coordinator/coordinator.h"
#include "streams/coordinator/group_consumer.h"

#define GROUP_COLUMNS                                                                              \
	"SELECT g.id, g.name, g.state, g.generation, g.protocol_type, g.protocol, g.leader,"       \
	" c.assignment_epoch, coalesce(c.topics_hash, s.topics_hash), s.id"                        \
	" FROM consumer_group AS g LEFT JOIN consumer_protocol AS c ON c.consumer_group = g.id"    \
	" LEFT JOIN share_group AS s ON s.consumer_group = g.id "

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
	ret->type = is_null(st, 7) ? GROUP_CLASSIC : GROUP_CONSUMER;
	if (!is_null(st, 9))
		ret->type = GROUP_SHARE;
	ret->assignment_epoch = sqlite3_column_int(st, 7);
	ret->topics_hash = (uint64_t)sqlite3_column_int64(st, 8);
	return OK;
}

enum err group_row_find(struct arena *a, struct cell *cell, struct slice name,
			struct group_row *ret)
{
	sqlite3_stmt *st =
		cell_statement(cell, GROUP_COLUMNS "WHERE g.name = ?1 AND g.deleted_ms IS NULL");

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
					     "WHERE g.deleted_ms IS NULL AND g.id IN"
					     " (SELECT consumer_group FROM member) ORDER BY g.name"
						       : GROUP_COLUMNS
					     "WHERE g.deleted_ms IS NULL ORDER BY g.name");
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

/* Empty, where it is not null. */
static struct slice some(struct slice s)
{
	return s.data ? s : SLICE("");
}

static struct group_member *read_member(sqlite3_stmt *st)
{
	struct slice instance_id = is_null(st, 1) ? (struct slice) { 0 } : cell_column_text(st, 1);
	struct group_member *m = group_member_new(cell_column_text(st, 0), instance_id);

	group_own(&m->client_id, cell_column_text(st, 2));
	group_own(&m->client_host, cell_column_text(st, 3));
	m->session_timeout_ms = sqlite3_column_int(st, 4);
	m->rebalance_timeout_ms = sqlite3_column_int(st, 5);
	group_own(&m->protocols, some(cell_column_blob(st, 6)));
	group_own(&m->assignment, some(cell_column_blob(st, 7)));
	return m;
}

/* --- reading what belongs to the consumer protocol -----------------------------------------------
 */

static enum err read_consumer_member(sqlite3_stmt *st, struct group_member *m)
{
	int state = sqlite3_column_int(st, 2);

	if (state < 0 || state >= GROUP_MEMBER_STATE_COUNT)
		return ERR_CORRUPT;
	m->member_epoch = sqlite3_column_int(st, 0);
	m->previous_epoch = sqlite3_column_int(st, 1);
	m->member_state = (enum group_member_state)state;
	if (!is_null(st, 3))
		group_own(&m->rack_id, some(cell_column_text(st, 3)));
	group_own(&m->topics, some(cell_column_blob(st, 4)));
	group_own(&m->pattern, some(cell_column_text(st, 5)));
	if (!is_null(st, 6))
		group_own(&m->assignor, some(cell_column_text(st, 6)));
	if (!group_words_are_sound(m->topics))
		return ERR_CORRUPT;
	enum err err = partition_set_decode(cell_column_blob(st, 7), &m->assigned);
	if (!err)
		err = partition_set_decode(cell_column_blob(st, 8), &m->revoking);
	return err ? err : partition_set_decode(cell_column_blob(st, 9), &m->target);
}

static enum err load_consumer(struct cell *cell, const struct group_row *row, struct group *g)
{
	enum err err = OK;

	g->assignment_epoch = row->assignment_epoch;
	g->topics_hash = row->topics_hash;
	LIST_EACH (&g->members, struct group_member, link, m) {
		sqlite3_stmt *st = cell_statement(
			cell,
			"SELECT member_epoch, previous_epoch, state, rack_id, topics, pattern,"
			" assignor, assigned, revoking, target FROM consumer_member"
			" WHERE consumer_group = ?1 AND member_id = ?2");
		if (err)
			continue;
		cell_bind_int(st, 1, row->id);
		cell_bind_text(st, 2, m->member_id);
		err = cell_next(cell, st) ? read_consumer_member(st, m) : ERR_CORRUPT;
		sqlite3_reset(st);
	}
	return err;
}

enum err group_row_load(struct cell *cell, const struct group_row *row, uint64_t now_ms,
			struct group *g)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT member_id, instance_id, client_id, client_host, session_timeout_ms,"
		      " rebalance_timeout_ms, protocols, assignment FROM member"
		      " WHERE consumer_group = ?1 ORDER BY id");
	enum err err = OK;

	g->type = row->type;
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
	if (!err && g->type == GROUP_CONSUMER)
		err = load_consumer(cell, row, g);
	if (err)
		return err;
	return g->type == GROUP_CONSUMER ? group_consumer_restored(g, now_ms)
					 : group_restored(g, row->leader, now_ms);
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

/* --- writing what belongs to the consumer protocol -----------------------------------------------
 */

static enum err delete_by(struct cell *cell, const char *sql, int64_t id)
{
	sqlite3_stmt *st = cell_statement(cell, sql);

	cell_bind_int(st, 1, id);
	return cell_execute(cell, st);
}

/* A group of the consumer protocol has this row, one of the classic protocol has none. */
static enum err write_protocol(struct cell *cell, int64_t id, const struct group *g)
{
	if (g->type == GROUP_CLASSIC) {
		enum err err =
			delete_by(cell, "DELETE FROM consumer_protocol WHERE consumer_group = ?1",
				  id);
		return err ? err
			   : delete_by(cell,
				       "DELETE FROM consumer_member WHERE consumer_group = ?1", id);
	}
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO consumer_protocol (consumer_group, assignment_epoch,"
		      " topics_hash) VALUES (?1, ?2, ?3) ON CONFLICT (consumer_group) DO UPDATE SET"
		      " assignment_epoch = ?2, topics_hash = ?3");
	cell_bind_int(st, 1, id);
	cell_bind_int(st, 2, g->assignment_epoch);
	cell_bind_int(st, 3, (int64_t)g->topics_hash);
	return cell_execute(cell, st);
}

static void bind_set(sqlite3_stmt *st, int column, const struct partition_set *set,
		     struct buf *bytes)
{
	partition_set_encode(set, bytes);
	cell_bind_blob(st, column, some(buf_slice(bytes)));
}

static enum err write_consumer_member(struct cell *cell, int64_t group,
				      const struct group_member *m)
{
	struct buf bytes[3] = { { 0 } };
	sqlite3_stmt *st = cell_statement(
		cell,
		"INSERT INTO consumer_member (consumer_group, member_id, member_epoch,"
		" previous_epoch, state, rack_id, topics, pattern, assignor, assigned,"
		" revoking, target) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
		" ON CONFLICT (consumer_group, member_id) DO UPDATE SET"
		" member_epoch = ?3, previous_epoch = ?4, state = ?5, rack_id = ?6,"
		" topics = ?7, pattern = ?8, assignor = ?9, assigned = ?10,"
		" revoking = ?11, target = ?12");

	cell_bind_int(st, 1, group);
	cell_bind_text(st, 2, m->member_id);
	cell_bind_int(st, 3, m->member_epoch);
	cell_bind_int(st, 4, m->previous_epoch);
	cell_bind_int(st, 5, (int)m->member_state);
	if (m->rack_id.data)
		cell_bind_text(st, 6, m->rack_id);
	cell_bind_blob(st, 7, some(m->topics));
	cell_bind_text(st, 8, some(m->pattern));
	if (m->assignor.data)
		cell_bind_text(st, 9, m->assignor);
	bind_set(st, 10, &m->assigned, &bytes[0]);
	bind_set(st, 11, &m->revoking, &bytes[1]);
	bind_set(st, 12, &m->target, &bytes[2]);
	enum err err = cell_execute(cell, st);
	for (size_t i = 0; i < 3; i++)
		buf_done(&bytes[i]);
	return err;
}

/* --- writing what has changed ------------------------------------------------------------------
 */

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
		err = delete_by(cell,
				"DELETE FROM consumer_member WHERE (consumer_group, member_id) ="
				" (SELECT consumer_group, member_id FROM member WHERE id = ?1)",
				gone[i]);
		if (!err)
			err = delete_by(cell, "DELETE FROM member WHERE id = ?1", gone[i]);
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
	if (!err)
		err = write_protocol(cell, id, g);
	if (!err && g->removed_version > stored_version)
		err = delete_members(cell, id, g);
	LIST_EACH (&g->members, struct group_member, link, m)
		if (!err && !m->is_new && m->version > stored_version) {
			err = write_member(cell, id, m);
			if (!err && g->type == GROUP_CONSUMER)
				err = write_consumer_member(cell, id, m);
		}
	return err;
}

enum err group_row_write_offset(struct cell *cell, int64_t id, const struct group_offset *offset)
{
	sqlite3_stmt *st = cell_statement(
		cell,
		"INSERT INTO group_offset (consumer_group, topic, partition, committed_offset,"
		" leader_epoch, metadata, commit_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
		" ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET"
		" committed_offset = ?4, leader_epoch = ?5, metadata = ?6, commit_ms = ?7");

	cell_bind_int(st, 1, id);
	cell_bind_int(st, 2, offset->topic);
	cell_bind_int(st, 3, offset->partition);
	cell_bind_int(st, 4, offset->committed_offset);
	cell_bind_int(st, 5, offset->leader_epoch);
	cell_bind_text(st, 6, offset->metadata);
	cell_bind_int(st, 7, offset->commit_ms);
	return cell_execute(cell, st);
}

enum err group_row_delete(struct cell *cell, int64_t id, int64_t now_ms)
{
	return cell_execute_sql(cell, "UPDATE consumer_group SET deleted_ms = ?2 WHERE id = ?1", id,
				now_ms);
}
