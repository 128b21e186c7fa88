#include "streams/coordinator/share_group.h"

#include "base/hash.h"
#include "streams/catalog/catalog.h"
#include "streams/coordinator/share_assignor.h"

/* --- reading -----------------------------------------------------------------------------------
 */

static struct slice copy_text(struct arena *a, sqlite3_stmt *st, int column)
{
	if (sqlite3_column_type(st, column) == SQLITE_NULL)
		return (struct slice) { 0 };
	struct slice text = arena_copy(a, cell_column_text(st, column));
	return text.data ? text : SLICE("");
}

static enum err read_member(struct arena *a, sqlite3_stmt *st, struct share_member *ret)
{
	*ret = (struct share_member) {
		.id = sqlite3_column_int64(st, 0),
		.member_id = copy_text(a, st, 1),
		.epoch = sqlite3_column_int(st, 2),
		.previous_epoch = sqlite3_column_int(st, 3),
		.rack_id = copy_text(a, st, 4),
		.client_id = copy_text(a, st, 5),
		.client_host = copy_text(a, st, 6),
		.topics = arena_copy(a, cell_column_blob(st, 7)),
		.deadline_ms = sqlite3_column_int64(st, 8),
	};
	return group_words_are_sound(ret->topics) ? OK : ERR_CORRUPT;
}

static enum err read_members(struct cell *cell, int64_t now_ms, struct share_group *g)
{
	enum err err = OK;

	g->members = arena_take_array(g->arena, SHARE_GROUP_MEMBERS_MAX + 1, sizeof(*g->members));
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT id, member_id, member_epoch, previous_epoch, rack_id, client_id,"
		      " client_host, topics, deadline_ms FROM share_member"
		      " WHERE consumer_group = ?1 AND deadline_ms > ?2 ORDER BY id");
	cell_bind_int(st, 1, g->id);
	cell_bind_int(st, 2, now_ms);
	while (!err && g->member_count < SHARE_GROUP_MEMBERS_MAX && cell_next(cell, st))
		err = read_member(g->arena, st, &g->members[g->member_count++]);
	sqlite3_reset(st);
	return err;
}

enum err share_group_load(struct arena *a, struct cell *cell, struct slice name, int64_t now_ms,
			  struct share_group *ret)
{
	struct group_row row;
	enum err err = group_row_find(a, cell, name, &row);

	if (err)
		return err;
	if (row.type != GROUP_SHARE)
		return ERR_EXISTS;
	*ret = (struct share_group) {
		.arena = a,
		.id = row.id,
		.name = row.name,
		.epoch = row.generation,
		.topics_hash = row.topics_hash,
	};
	return read_members(cell, now_ms, ret);
}

void share_group_done(struct share_group *g)
{
	for (size_t i = 0; i < g->member_count; i++)
		partition_set_done(&g->members[i].assigned);
}

struct share_member *share_group_find(const struct share_group *g, struct slice member_id)
{
	for (size_t i = 0; i < g->member_count; i++)
		if (slice_equal(g->members[i].member_id, member_id))
			return &g->members[i];
	return NULL;
}

/* --- writing -----------------------------------------------------------------------------------
 */

enum err share_group_create(struct arena *a, struct cell *cell, struct slice name, int64_t now_ms,
			    struct share_group *ret)
{
	int64_t id = 0;
	enum err err = group_row_insert(cell, name, now_ms, &id);

	if (!err)
		err = cell_execute_sql(cell,
				       "UPDATE consumer_group SET protocol_type = 'share'"
				       " WHERE id = ?1",
				       id, 0);
	if (!err)
		err = cell_execute_sql(cell,
				       "INSERT INTO share_group (consumer_group, topics_hash)"
				       " VALUES (?1, ?2)",
				       id, 0);
	if (err)
		return err;
	*ret = (struct share_group) { .arena = a, .id = id, .name = name };
	return read_members(cell, now_ms, ret);
}

enum err share_group_write(struct cell *cell, const struct share_group *g, int64_t now_ms)
{
	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE consumer_group SET state = ?2, generation = ?3,"
				     " updated_ms = ?4 WHERE id = ?1");

	cell_bind_int(st, 1, g->id);
	cell_bind_int(st, 2, g->member_count > 0 ? GROUP_STABLE : GROUP_EMPTY);
	cell_bind_int(st, 3, g->epoch);
	cell_bind_int(st, 4, now_ms);
	enum err err = cell_execute(cell, st);
	return err ? err
		   : cell_execute_sql(cell,
				      "UPDATE share_group SET topics_hash = ?2"
				      " WHERE consumer_group = ?1",
				      g->id, (int64_t)g->topics_hash);
}

enum err share_group_write_member(struct cell *cell, const struct share_group *g,
				  const struct share_member *m)
{
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO share_member (consumer_group, member_id, member_epoch,"
		      " previous_epoch, rack_id, client_id, client_host, topics, deadline_ms)"
		      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
		      " ON CONFLICT (consumer_group, member_id) DO UPDATE SET member_epoch = ?3,"
		      " previous_epoch = ?4, rack_id = ?5, client_id = ?6, client_host = ?7,"
		      " topics = ?8, deadline_ms = ?9");

	cell_bind_int(st, 1, g->id);
	cell_bind_text(st, 2, m->member_id);
	cell_bind_int(st, 3, m->epoch);
	cell_bind_int(st, 4, m->previous_epoch);
	if (m->rack_id.data)
		cell_bind_text(st, 5, m->rack_id);
	cell_bind_text(st, 6, m->client_id.data ? m->client_id : SLICE(""));
	cell_bind_text(st, 7, m->client_host.data ? m->client_host : SLICE(""));
	cell_bind_blob(st, 8, m->topics.data ? m->topics : SLICE(""));
	cell_bind_int(st, 9, m->deadline_ms);
	return cell_execute(cell, st);
}

enum err share_group_remove(struct cell *cell, struct share_group *g, struct share_member *m)
{
	sqlite3_stmt *st = cell_statement(cell, "DELETE FROM share_member WHERE"
						" consumer_group = ?1 AND member_id = ?2");

	cell_bind_int(st, 1, g->id);
	cell_bind_text(st, 2, m->member_id);
	enum err err = cell_execute(cell, st);
	partition_set_done(&m->assigned);
	g->member_count--;
	for (struct share_member *end = g->members + g->member_count; m < end; m++)
		*m = m[1];
	return err;
}

enum err share_group_expire(struct cell *cell, struct share_group *g, int64_t now_ms)
{
	enum err err = cell_execute_sql(cell,
					"DELETE FROM share_member WHERE consumer_group = ?1"
					" AND deadline_ms <= ?2",
					g->id, now_ms);

	if (err || sqlite3_changes(cell_database(cell)) == 0)
		return err;
	g->epoch++;
	return share_group_write(cell, g, now_ms);
}

enum err share_group_sweep(struct cell *cell, int64_t now_ms, bool *ret_is_more)
{
	struct share_group g = { 0 };
	struct arena a;
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT g.name FROM share_member AS m JOIN consumer_group AS g"
				     " ON g.id = m.consumer_group WHERE m.deadline_ms <= ?1 AND"
				     " g.deleted_ms IS NULL ORDER BY m.deadline_ms LIMIT 1");

	arena_init(&a);
	cell_bind_int(st, 1, now_ms);
	*ret_is_more = cell_next(cell, st);
	struct slice name = *ret_is_more ? copy_text(&a, st, 0) : SLICE("");
	sqlite3_reset(st);
	enum err err = *ret_is_more ? share_group_load(&a, cell, name, now_ms, &g) : OK;
	if (!err && *ret_is_more)
		err = share_group_expire(cell, &g, now_ms);
	share_group_done(&g);
	arena_done(&a);
	return err;
}

/* --- topics ------------------------------------------------------------------------------------
 */

struct topics {
	struct slice names[SHARE_GROUP_TOPICS_MAX]; /* sorted, each once */
	struct catalog_topic found[SHARE_GROUP_TOPICS_MAX];
	bool exists[SHARE_GROUP_TOPICS_MAX];
	uint32_t positions[SHARE_GROUP_TOPICS_MAX]; /* among those that exist */
	size_t count;
};

static size_t find_place(const struct topics *t, struct slice name)
{
	size_t low = 0, high = t->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (slice_compare(t->names[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_name(const struct topics *t, struct slice name, size_t *ret_at)
{
	*ret_at = find_place(t, name);
	return *ret_at < t->count && slice_equal(t->names[*ret_at], name);
}

/* What is beyond the limit nobody gets. */
static struct topics *read_topics(const struct share_group *g, struct cell *cell)
{
	struct topics *t = arena_take(g->arena, sizeof(*t));
	struct slice name;
	size_t at;

	for (size_t i = 0; i < g->member_count; i++) {
		struct slice rest = g->members[i].topics;
		while (group_word_next(&rest, &name)) {
			if (has_name(t, name, &at) || t->count == SHARE_GROUP_TOPICS_MAX)
				continue;
			memmove(&t->names[at + 1], &t->names[at],
				(t->count - at) * sizeof(*t->names));
			t->names[at] = name;
			t->count++;
		}
	}
	for (size_t i = 0; i < t->count; i++)
		t->exists[i] =
			catalog_topic_by_name(g->arena, cell, t->names[i], &t->found[i]) == OK;
	return t;
}

uint64_t share_group_hash_topics(const struct share_group *g, struct cell *cell)
{
	const struct topics *t = read_topics(g, cell);
	struct buf bytes;

	buf_init(&bytes);
	for (size_t i = 0; i < t->count; i++) {
		if (!t->exists[i])
			continue;
		buf_add(&bytes, t->found[i].topic_id.bytes, sizeof(t->found[i].topic_id.bytes));
		buf_add_u32(&bytes, (uint32_t)t->found[i].partition_count);
	}
	uint64_t hash = hash_content(buf_slice(&bytes)).low;
	buf_done(&bytes);
	return hash;
}

static void fill_subscriptions(const struct share_group *g, const struct topics *t,
			       struct assignor_member *members)
{
	struct slice name;
	size_t at;

	for (size_t i = 0; i < g->member_count; i++) {
		struct slice rest = g->members[i].topics;
		uint32_t *topics = arena_take_array(g->arena, t->count + 1, sizeof(*topics));
		members[i] = (struct assignor_member) {
			.order = g->members[i].member_id,
			.topics = topics,
			.ret = &g->members[i].assigned,
		};
		partition_set_clear(&g->members[i].assigned);
		while (group_word_next(&rest, &name))
			if (has_name(t, name, &at) && t->exists[at])
				topics[members[i].topic_count++] = t->positions[at];
	}
}

void share_group_assign(const struct share_group *g, struct cell *cell)
{
	struct topics *t = read_topics(g, cell);
	struct assignor_topic *topics = arena_take_array(g->arena, t->count + 1, sizeof(*topics));
	struct assignor_member *members =
		arena_take_array(g->arena, g->member_count + 1, sizeof(*members));
	struct assignor_input input = { .topics = topics, .members = members };

	for (size_t i = 0; i < t->count; i++) {
		if (!t->exists[i])
			continue;
		t->positions[i] = (uint32_t)input.topic_count;
		topics[input.topic_count++] = (struct assignor_topic) {
			t->found[i].topic_id,
			t->found[i].partition_count,
		};
	}
	fill_subscriptions(g, t, members);
	input.member_count = g->member_count;
	share_assign(g->arena, &input);
}
