#include "streams/coordinator/deleted_topic.h"

#include "base/text.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/coordinator.h"
#include "streams/coordinator/topic.h"

static int64_t keep_ms(struct cell *cell)
{
	return config_broker_number(cell, "hanse.topic.undelete.ms", DELETED_TOPIC_MS);
}

static int64_t until(int64_t deleted_ms, int64_t ms)
{
	int64_t ret;

	return __builtin_add_overflow(deleted_ms, ms, &ret) ? INT64_MAX : ret;
}

/* --- reading -----------------------------------------------------------------------------------
 */

#define DELETED_COLUMNS                                                                            \
	"SELECT topic.id, topic.topic_id, topic.name, topic.partition_count, d.deleted_ms,"        \
	" (SELECT sum(bytes) FROM partition WHERE topic = topic.id) FROM deleted_topic AS d"       \
	" JOIN topic ON topic.id = d.id "

static struct deleted_topic read_topic(struct arena *a, sqlite3_stmt *st, int64_t ms)
{
	struct slice topic_id = cell_column_blob(st, 1);
	struct deleted_topic ret = {
		.id = sqlite3_column_int64(st, 0),
		.name = arena_copy(a, cell_column_text(st, 2)),
		.partition_count = sqlite3_column_int(st, 3),
		.deleted_ms = sqlite3_column_int64(st, 4),
		.until_ms = until(sqlite3_column_int64(st, 4), ms),
		.bytes = sqlite3_column_int64(st, 5),
	};

	if (topic_id.size == sizeof(ret.topic_id.bytes))
		memcpy(ret.topic_id.bytes, topic_id.data, topic_id.size);
	return ret;
}

enum err deleted_topics(struct arena *a, struct cell *cell, struct deleted_topic **ret,
			size_t *ret_count)
{
	struct deleted_topic *topics = arena_take_array(a, DELETED_TOPICS_MAX + 1, sizeof(*topics));
	int64_t ms = keep_ms(cell);
	size_t count = 0;

	sqlite3_stmt *st =
		cell_statement(cell, DELETED_COLUMNS "ORDER BY d.deleted_ms DESC, d.id DESC");
	while (count <= DELETED_TOPICS_MAX && cell_next(cell, st))
		topics[count++] = read_topic(a, st, ms);
	sqlite3_reset(st);
	*ret = topics;
	*ret_count = count;
	return OK;
}

enum err deleted_topic_find(struct arena *a, struct cell *cell, struct slice name_or_id,
			    struct deleted_topic *ret)
{
	struct deleted_topic *topics;
	char id[DELETED_TOPIC_ID_BYTES];
	size_t count;

	enum err err = deleted_topics(a, cell, &topics, &count);
	for (size_t i = 0; i < count && !err; i++) {
		uuid_text(id, topics[i].topic_id.bytes);
		if (!slice_equal(slice_from(id), name_or_id) &&
		    !slice_equal(topics[i].name, name_or_id))
			continue;
		*ret = topics[i];
		return OK;
	}
	return err ? err : ERR_NOT_FOUND;
}

bool deleted_topics_due(struct cell *cell, int64_t now_ms)
{
	sqlite3_stmt *st =
		cell_statement(cell,
			       "SELECT deleted_ms FROM deleted_topic ORDER BY deleted_ms LIMIT 1");
	bool is_there = cell_next(cell, st);
	int64_t deleted_ms = is_there ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return is_there && until(deleted_ms, keep_ms(cell)) <= now_ms;
}

/* --- what is set -------------------------------------------------------------------------------
 */

/* Settings are found by the topic's name, which is free again. */
static enum err hide_settings(struct cell *cell, int64_t topic)
{
	sqlite3_stmt *st = cell_statement(
		cell, "UPDATE config SET kind = ?2, resource = CAST(?1 AS TEXT) WHERE kind = ?3"
		      " AND resource = (SELECT name FROM topic WHERE id = ?1)");

	cell_bind_int(st, 1, topic);
	cell_bind_int(st, 2, DELETED_TOPIC_CONFIGS);
	cell_bind_int(st, 3, CONFIG_TOPIC);
	return cell_execute(cell, st);
}

static enum err show_settings(struct cell *cell, int64_t topic, struct slice name)
{
	sqlite3_stmt *st = cell_statement(cell, "UPDATE config SET kind = ?3, resource = ?4"
						" WHERE kind = ?2 AND resource = CAST(?1 AS TEXT)");

	cell_bind_int(st, 1, topic);
	cell_bind_int(st, 2, DELETED_TOPIC_CONFIGS);
	cell_bind_int(st, 3, CONFIG_TOPIC);
	cell_bind_text(st, 4, name);
	return cell_execute(cell, st);
}

static enum err forget_settings(struct cell *cell, int64_t topic)
{
	return cell_execute_sql(
		cell, "DELETE FROM config WHERE kind = ?2 AND resource = CAST(?1 AS TEXT)", topic,
		DELETED_TOPIC_CONFIGS);
}

/* --- changing ----------------------------------------------------------------------------------
 */

enum err deleted_topic_purge(struct cell *cell, int64_t topic)
{
	enum err err = forget_settings(cell, topic);

	cell_let_free(cell);
	if (!err) /* as old as it is: what its producers wrote last is not kept longer for this */
		err = cell_execute_sql(cell,
				       "UPDATE topic SET deleted_ms = (SELECT max(deleted_ms, 1)"
				       " FROM deleted_topic WHERE id = ?1) WHERE id = ?1"
				       " AND deleted_ms = 0",
				       topic, 0);
	return err ? err
		   : cell_execute_sql(cell, "DELETE FROM deleted_topic WHERE id = ?1", topic, 0);
}

/* Of whoever has most of what there are too many of. */
#define OLDEST_OF_MOST(what)                                                                       \
	"SELECT id, deleted_ms FROM deleted_topic WHERE deleted_by ="                              \
	" (SELECT deleted_by FROM deleted_topic GROUP BY deleted_by"                               \
	" ORDER BY " what " DESC, max(deleted_ms) DESC, deleted_by LIMIT 1)"                       \
	" ORDER BY deleted_ms, id LIMIT 1"

struct victim {
	int64_t id, deleted_ms;
};

static bool find_victim(struct cell *cell, const char *sql, struct victim *ret)
{
	sqlite3_stmt *st = cell_statement(cell, sql);
	bool is_there = cell_next(cell, st);

	if (is_there) {
		ret->id = sqlite3_column_int64(st, 0);
		ret->deleted_ms = sqlite3_column_int64(st, 1);
	}
	sqlite3_reset(st);
	return is_there;
}

static bool find_oldest(struct cell *cell, struct victim *ret)
{
	return find_victim(
		cell, "SELECT id, deleted_ms FROM deleted_topic ORDER BY deleted_ms, id LIMIT 1",
		ret);
}

/* False: there are not too many. */
static bool find_one_too_many(struct cell *cell, struct victim *ret)
{
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT count(*), coalesce(sum(partition_count), 0) FROM deleted_topic");
	bool is_there = cell_next(cell, st);
	int64_t topics = is_there ? sqlite3_column_int64(st, 0) : 0;
	int64_t partitions = is_there ? sqlite3_column_int64(st, 1) : 0;

	sqlite3_reset(st);
	if (topics > DELETED_TOPICS_MAX)
		return find_victim(cell, OLDEST_OF_MOST("count(*)"), ret);
	return partitions > DELETED_TOPIC_PARTITIONS_MAX &&
	       find_victim(cell, OLDEST_OF_MOST("sum(partition_count)"), ret);
}

enum err deleted_topics_expire(struct cell *cell, int64_t now_ms, bool all, int *ret_count)
{
	struct victim victim = { 0 };
	int64_t ms = keep_ms(cell);
	enum err err = OK;

	*ret_count = 0;
	while (!err && *ret_count < DELETED_TOPIC_PURGE_MAX && find_oldest(cell, &victim)) {
		bool is_due = all || until(victim.deleted_ms, ms) <= now_ms;
		if (!is_due && !find_one_too_many(cell, &victim))
			break;
		err = deleted_topic_purge(cell, victim.id);
		(*ret_count)++;
	}
	return err;
}

static enum err insert(struct cell *cell, int64_t topic, struct slice by, int64_t now_ms)
{
	sqlite3_stmt *st = cell_statement(
		cell, "INSERT INTO deleted_topic (id, deleted_ms, partition_count, deleted_by)"
		      " SELECT id, ?2, partition_count, ?3 FROM topic WHERE id = ?1");

	cell_bind_int(st, 1, topic);
	cell_bind_int(st, 2, now_ms);
	cell_bind_text(st, 3, by.data ? by : SLICE(""));
	return cell_execute(cell, st);
}

enum err deleted_topic_add(struct cell *cell, int64_t topic, struct slice by, int64_t now_ms)
{
	int count;
	bool is_kept = keep_ms(cell) > 0;
	enum err err = hide_settings(cell, topic);

	if (!err)
		err = cell_execute_sql(cell, "UPDATE topic SET deleted_ms = 0 WHERE id = ?1", topic,
				       0);
	if (!err)
		err = insert(cell, topic, by, now_ms);
	if (err)
		return err;
	return is_kept ? deleted_topics_expire(cell, INT64_MIN, false, &count)
		       : deleted_topic_purge(cell, topic);
}

enum err deleted_topic_restore(struct cell *cell, const struct deleted_topic *topic,
			       struct slice name)
{
	struct catalog_topic found;
	struct arena a;

	if (!catalog_topic_name_is_valid(name))
		return ERR_INVALID;
	arena_init(&a);
	enum err err = catalog_topic_by_name(&a, cell, name, &found);
	arena_done(&a);
	if (err != ERR_NOT_FOUND)
		return err ? err : ERR_EXISTS;
	if (topic_name_collides(cell, name))
		return ERR_EXISTS;
	if (topic_count(cell) >= COORDINATOR_TOPICS_MAX)
		return ERR_FULL;

	sqlite3_stmt *st =
		cell_statement(cell, "UPDATE topic SET deleted_ms = NULL, name = ?2 WHERE id = ?1");
	cell_bind_int(st, 1, topic->id);
	cell_bind_text(st, 2, name);
	err = cell_execute(cell, st);
	if (!err)
		err = show_settings(cell, topic->id, name);
	return err ? err
		   : cell_execute_sql(cell, "DELETE FROM deleted_topic WHERE id = ?1", topic->id,
				      0);
}
