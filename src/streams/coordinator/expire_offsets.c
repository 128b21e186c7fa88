#include "streams/coordinator/expire_offsets.h"

#include "base/arena.h"
#include "streams/coordinator/group_call.h"

struct expired_topic {
	int64_t id;
	struct slice name;
};

/* A group of consumers with members, or one that never had any. */
struct expired_group {
	int64_t id;
	struct slice name;
	bool is_simple;
};

static bool next_group(struct arena *a, struct cell *cell, int64_t after, struct expired_group *ret)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT id, name, state FROM consumer_group WHERE id > ?1"
		      " AND deleted_ms IS NULL AND ((state = ?2 AND protocol_type = 'consumer')"
		      " OR (state = 0 AND protocol_type = '')) ORDER BY id LIMIT 1");

	cell_bind_int(st, 1, after);
	cell_bind_int(st, 2, GROUP_STABLE);
	bool is_found = cell_next(cell, st);
	if (is_found) {
		ret->id = sqlite3_column_int64(st, 0);
		ret->name = arena_copy(a, cell_column_text(st, 1));
		ret->is_simple = sqlite3_column_int(st, 2) == GROUP_EMPTY;
	}
	sqlite3_reset(st);
	return is_found;
}

/* Topics after `after` with old offsets, at most EXPIRE_OFFSETS_ROWS_MAX. */
static size_t old_topics(struct arena *a, struct cell *cell, int64_t group, int64_t since_ms,
			 int64_t after, struct expired_topic **ret)
{
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT t.id, t.name FROM topic AS t WHERE t.deleted_ms IS "
				     "NULL AND t.id > ?3 AND t.id IN"
				     " (SELECT topic FROM group_offset WHERE consumer_group = ?1"
				     " AND commit_ms < ?2) ORDER BY t.id");
	struct expired_topic *topics =
		arena_take_array(a, EXPIRE_OFFSETS_ROWS_MAX, sizeof(*topics));
	size_t count = 0;

	cell_bind_int(st, 1, group);
	cell_bind_int(st, 2, since_ms);
	cell_bind_int(st, 3, after);
	while (count < EXPIRE_OFFSETS_ROWS_MAX && cell_next(cell, st)) {
		topics[count].id = sqlite3_column_int64(st, 0);
		topics[count++].name = arena_copy(a, cell_column_text(st, 1));
	}
	sqlite3_reset(st);
	*ret = topics;
	return count;
}

static bool is_kept(const struct expired_group *group, const struct group_entry *entry,
		    struct slice topic)
{
	if (!entry)
		return !group->is_simple;
	return entry->group.state != GROUP_STABLE || !group_says_what_it_reads(&entry->group) ||
	       group_subscribes(&entry->group, topic);
}

static enum err delete_old(struct cell *cell, const struct expired_group *group, int64_t topic,
			   int64_t since_ms, int *count)
{
	sqlite3_stmt *st = cell_statement(
		cell,
		"DELETE FROM group_offset WHERE id IN (SELECT o.id FROM group_offset AS o"
		" WHERE o.consumer_group = ?1 AND o.topic = ?2 AND o.commit_ms < ?3"
		" AND NOT EXISTS (SELECT 1 FROM transaction_offset AS x WHERE x.group_name = ?4"
		" AND x.topic = o.topic AND x.partition = o.partition) LIMIT ?5)");

	cell_bind_int(st, 1, group->id);
	cell_bind_int(st, 2, topic);
	cell_bind_int(st, 3, since_ms);
	cell_bind_text(st, 4, group->name);
	cell_bind_int(st, 5, EXPIRE_OFFSETS_ROWS_MAX - *count);
	enum err err = cell_execute(cell, st);
	*count += sqlite3_changes(cell_database(cell));
	return err;
}

static enum err expire_group(struct arena *a, struct cell *cell, const struct offset_expiry *e,
			     const struct expired_group *group, int *count)
{
	const struct group_entry *entry = e->groups ? groups_find(e->groups, group->name) : NULL;
	struct expired_topic *topics;
	int64_t after = 0;
	enum err err = OK;
	size_t topic_count;

	do {
		topic_count = old_topics(a, cell, group->id, e->since_ms, after, &topics);
		for (size_t i = 0; i < topic_count; i++) {
			after = topics[i].id;
			if (err || *count == EXPIRE_OFFSETS_ROWS_MAX ||
			    is_kept(group, entry, topics[i].name))
				continue;
			err = delete_old(cell, group, topics[i].id, e->since_ms, count);
		}
	} while (!err && topic_count == EXPIRE_OFFSETS_ROWS_MAX &&
		 *count < EXPIRE_OFFSETS_ROWS_MAX);
	return err;
}

enum err expire_offsets(struct cell *cell, struct offset_expiry *e)
{
	struct expired_group group;
	enum err err = OK;
	struct arena a;
	int count = 0;

	e->is_more = true;
	arena_init(&a);
	for (int i = 0; i < EXPIRE_OFFSETS_GROUPS_MAX && !err && e->is_more; i++) {
		arena_reset(&a);
		e->is_more = next_group(&a, cell, e->group, &group);
		if (e->is_more)
			err = expire_group(&a, cell, e, &group, &count);
		if (count == EXPIRE_OFFSETS_ROWS_MAX)
			break; /* the same group may have more */
		if (e->is_more)
			e->group = group.id;
	}
	arena_done(&a);
	return err;
}
