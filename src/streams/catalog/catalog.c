#include "streams/catalog/catalog.h"

#include <stdlib.h>

#include "base/text.h"

static enum err step_row(struct cell *c, sqlite3_stmt *st)
{
	return cell_next(c, st) ? OK : ERR_NOT_FOUND;
}

/* --- topics ----------------------------------------------------------------------------------- */

#define TOPIC_COLUMNS "SELECT id, topic_id, name, partition_count, created_ms FROM topic "

static enum err read_topic(struct arena *a, sqlite3_stmt *st, struct catalog_topic *ret)
{
	struct slice topic_id = cell_column_blob(st, 1);

	if (topic_id.size != sizeof(ret->topic_id.bytes))
		return ERR_CORRUPT;

	ret->id = sqlite3_column_int64(st, 0);
	memcpy(ret->topic_id.bytes, topic_id.data, topic_id.size);
	ret->name = arena_copy(a, cell_column_text(st, 2));
	ret->partition_count = sqlite3_column_int(st, 3);
	ret->created_ms = sqlite3_column_int64(st, 4);
	return OK;
}

static enum err one_topic(struct arena *a, struct cell *c, sqlite3_stmt *st,
			  struct catalog_topic *ret)
{
	enum err err = step_row(c, st);

	if (!err)
		err = read_topic(a, st, ret);
	sqlite3_reset(st);
	return err;
}

enum err catalog_topic_by_name(struct arena *a, struct cell *c, struct slice name,
			       struct catalog_topic *ret)
{
	sqlite3_stmt *st =
		cell_statement(c, TOPIC_COLUMNS "WHERE name = ?1 AND deleted_ms IS NULL");

	if (!catalog_topic_name_is_valid(name))
		return ERR_NOT_FOUND;
	cell_bind_text(st, 1, name);
	return one_topic(a, c, st, ret);
}

enum err catalog_topic_by_id(struct arena *a, struct cell *c, const struct uuid *id,
			     struct catalog_topic *ret)
{
	sqlite3_stmt *st =
		cell_statement(c, TOPIC_COLUMNS "WHERE topic_id = ?1 AND deleted_ms IS NULL");

	cell_bind_blob(st, 1, (struct slice) { id->bytes, sizeof(id->bytes) });
	return one_topic(a, c, st, ret);
}

enum err catalog_topic_by_row(struct arena *a, struct cell *c, int64_t row,
			      struct catalog_topic *ret)
{
	sqlite3_stmt *st = cell_statement(c, TOPIC_COLUMNS "WHERE id = ?1 AND deleted_ms IS NULL");

	cell_bind_int(st, 1, row);
	return one_topic(a, c, st, ret);
}

static enum err count_rows(struct cell *c, const char *sql, size_t *ret)
{
	sqlite3_stmt *st = cell_statement(c, sql);
	enum err err = step_row(c, st);

	if (!err)
		*ret = (size_t)sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return err;
}

enum err catalog_topics(struct arena *a, struct cell *c, struct catalog_topic **ret,
			size_t *ret_count)
{
	size_t count = 0;
	enum err err = count_rows(c, "SELECT count(*) FROM topic WHERE deleted_ms IS NULL", &count);

	if (err)
		return err;
	struct catalog_topic *topics = arena_take_array(a, count + 1, sizeof(*topics));
	sqlite3_stmt *st =
		cell_statement(c, TOPIC_COLUMNS "WHERE deleted_ms IS NULL ORDER BY name");
	for (size_t i = 0; i < count && !err; i++) {
		err = step_row(c, st);
		if (!err)
			err = read_topic(a, st, &topics[i]);
	}
	sqlite3_reset(st);
	if (err)
		return ERR_CORRUPT;
	*ret = topics;
	*ret_count = count;
	return OK;
}

/* --- partitions ------------------------------------------------------------------------------- */

#define PARTITION_COLUMNS                                                                          \
	"SELECT id, topic, number, log_start_offset, high_watermark, leader_epoch, bytes"          \
	" FROM partition "

static enum err one_partition(struct cell *c, sqlite3_stmt *st, struct catalog_partition *ret)
{
	enum err err = step_row(c, st);

	if (!err)
		*ret = (struct catalog_partition) {
			.id = sqlite3_column_int64(st, 0),
			.topic = sqlite3_column_int64(st, 1),
			.partition = sqlite3_column_int(st, 2),
			.log_start_offset = sqlite3_column_int64(st, 3),
			.high_watermark = sqlite3_column_int64(st, 4),
			.leader_epoch = sqlite3_column_int(st, 5),
			.bytes = sqlite3_column_int64(st, 6),
		};
	sqlite3_reset(st);
	return err;
}

enum err catalog_partition_find(struct cell *c, int64_t topic, int32_t partition,
				struct catalog_partition *ret)
{
	sqlite3_stmt *st = cell_statement(c, PARTITION_COLUMNS "WHERE topic = ?1 AND number = ?2");

	cell_bind_int(st, 1, topic);
	cell_bind_int(st, 2, partition);
	return one_partition(c, st, ret);
}

enum err catalog_partition_by_row(struct cell *c, int64_t row, struct catalog_partition *ret)
{
	sqlite3_stmt *st = cell_statement(c, PARTITION_COLUMNS "WHERE id = ?1");

	cell_bind_int(st, 1, row);
	return one_partition(c, st, ret);
}

/* --- runs ------------------------------------------------------------------------------------- */

#define RUN_COLUMNS                                                                                \
	"SELECT run.base_offset, run.last_offset, file.incarnation, file.sequence, run.position,"  \
	" run.size, file.size, run.max_timestamp, file.level FROM run"                             \
	" JOIN file ON file.id = run.file "

static void read_run(sqlite3_stmt *st, struct catalog_run *ret)
{
	*ret = (struct catalog_run) {
		.base_offset = sqlite3_column_int64(st, 0),
		.last_offset = sqlite3_column_int64(st, 1),
		.incarnation = sqlite3_column_int64(st, 2),
		.sequence = sqlite3_column_int64(st, 3),
		.position = sqlite3_column_int64(st, 4),
		.size = sqlite3_column_int64(st, 5),
		.file_size = sqlite3_column_int64(st, 6),
		.max_timestamp = sqlite3_column_int64(st, 7),
		.is_compacted = sqlite3_column_int64(st, 8) > 0,
	};
}

enum err catalog_runs(struct arena *a, struct cell *c, int64_t partition, int64_t offset,
		      int64_t size_max, struct catalog_run **ret, size_t *ret_count)
{
	struct catalog_run found[CATALOG_RUNS_PER_READ_MAX];
	size_t count = 0;
	int64_t size = 0;
	enum err err = OK;

	sqlite3_stmt *st =
		cell_statement(c, RUN_COLUMNS "WHERE run.partition = ?1 AND run.last_offset >= ?2"
					      " ORDER BY run.last_offset");
	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, offset);
	while (count < CATALOG_RUNS_PER_READ_MAX && (count == 0 || size < size_max)) {
		err = step_row(c, st);
		if (err)
			break;
		read_run(st, &found[count]);
		size += found[count++].size;
	}
	sqlite3_reset(st);
	if (err && err != ERR_NOT_FOUND)
		return err;
	struct catalog_run *runs = arena_take_array(a, count + 1, sizeof(*runs));
	memcpy(runs, found, count * sizeof(*runs));
	*ret = runs;
	*ret_count = count;
	return OK;
}

static enum err one_run(struct cell *c, sqlite3_stmt *st, struct catalog_run *ret)
{
	enum err err = step_row(c, st);

	if (!err)
		read_run(st, ret);
	sqlite3_reset(st);
	return err;
}

enum err catalog_run_by_timestamp(struct cell *c, int64_t partition, int64_t timestamp,
				  int64_t from_offset, struct catalog_run *ret)
{
	sqlite3_stmt *st =
		cell_statement(c, RUN_COLUMNS
			       "WHERE run.partition = ?1 AND run.last_offset >= ?2"
			       " AND run.max_timestamp >= ?3 ORDER BY run.last_offset LIMIT 1");

	cell_bind_int(st, 1, partition);
	cell_bind_int(st, 2, from_offset);
	cell_bind_int(st, 3, timestamp);
	return one_run(c, st, ret);
}

enum err catalog_run_of_max_timestamp(struct cell *c, int64_t partition, struct catalog_run *ret)
{
	sqlite3_stmt *st =
		cell_statement(c, RUN_COLUMNS
			       "WHERE run.partition = ?1"
			       " ORDER BY run.max_timestamp DESC, run.last_offset LIMIT 1");

	cell_bind_int(st, 1, partition);
	return one_run(c, st, ret);
}

/* --- files ------------------------------------------------------------------------------------ */

int64_t catalog_grace_ms(void)
{
	const char *text = getenv("HANSE_TEST_DATA_GRACE_MS");
	uint64_t ms;

	if (text && !text_to_u64(slice_from(text), CATALOG_GRACE_MS, &ms))
		return (int64_t)ms;
	return CATALOG_GRACE_MS;
}

enum err catalog_dead_files(struct arena *a, struct cell *c, int64_t after_ms, int64_t after_row,
			    int64_t dead_before_ms, size_t count_max, struct catalog_file **ret,
			    size_t *ret_count)
{
	struct catalog_file *files = arena_take_array(a, count_max, sizeof(*files));
	size_t count = 0;

	sqlite3_stmt *st = cell_statement(
		c, "SELECT id, incarnation, sequence, dead_ms FROM file WHERE dead_ms IS NOT NULL"
		   " AND dead_ms >= ?1 AND dead_ms < ?2 AND (dead_ms > ?1 OR id > ?3)"
		   " AND run_count = 0 ORDER BY dead_ms, id");
	cell_bind_int(st, 1, after_ms);
	cell_bind_int(st, 2, dead_before_ms);
	cell_bind_int(st, 3, after_row);
	while (count < count_max && cell_next(c, st))
		files[count++] = (struct catalog_file) {
			sqlite3_column_int64(st, 0),
			sqlite3_column_int64(st, 1),
			sqlite3_column_int64(st, 2),
			sqlite3_column_int64(st, 3),
		};
	sqlite3_reset(st);
	*ret = files;
	*ret_count = count;
	return OK;
}

bool catalog_has_file(struct cell *c, int64_t incarnation, int64_t sequence)
{
	sqlite3_stmt *st =
		cell_statement(c, "SELECT 1 FROM file WHERE incarnation = ?1 AND sequence = ?2");

	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, sequence);
	bool found = cell_next(c, st);
	sqlite3_reset(st);
	return found;
}

bool catalog_has_files(struct cell *c)
{
	sqlite3_stmt *st = cell_statement(c, "SELECT 1 FROM file WHERE run_count > 0 LIMIT 1");
	bool found = cell_next(c, st);

	sqlite3_reset(st);
	return found;
}

/* --- agents ----------------------------------------------------------------------------------- */

enum err catalog_agents(struct arena *a, struct cell *c, struct catalog_agent **ret,
			size_t *ret_count)
{
	size_t count = 0;
	enum err err = count_rows(c, "SELECT count(*) FROM agent", &count);

	if (err)
		return err;
	struct catalog_agent *agents = arena_take_array(a, count + 1, sizeof(*agents));
	sqlite3_stmt *st = cell_statement(
		c,
		"SELECT id, host, port, site, is_live, incarnation, node FROM agent ORDER BY id");
	for (size_t i = 0; i < count && !err; i++) {
		err = step_row(c, st);
		if (!err)
			agents[i] = (struct catalog_agent) {
				.node_id = sqlite3_column_int(st, 0),
				.host = arena_copy(a, cell_column_text(st, 1)),
				.port = sqlite3_column_int(st, 2),
				.site = arena_copy(a, cell_column_text(st, 3)),
				.is_live = sqlite3_column_int(st, 4),
				.incarnation = sqlite3_column_int64(st, 5),
				.node = arena_copy(a, cell_column_text(st, 6)),
			};
	}
	sqlite3_reset(st);
	if (err)
		return ERR_CORRUPT;
	*ret = agents;
	*ret_count = count;
	return OK;
}

enum err catalog_block_agents(struct arena *a, struct cell *c, struct slice site,
			      struct catalog_block_agent **ret, size_t *ret_count)
{
	struct catalog_block_agent *agents =
		arena_take_array(a, CATALOG_BLOCK_AGENTS_MAX, sizeof(*agents));
	size_t count = 0;

	*ret = agents;
	*ret_count = 0;
	if (cell_schema_version(c, catalog_schema[0].name) < CATALOG_BLOCKS_VERSION)
		return OK;
	sqlite3_stmt *st =
		cell_statement(c, "SELECT id, incarnation, blocks FROM agent WHERE is_live = 1"
				  " AND site = ?1 AND blocks <> '' ORDER BY id LIMIT ?2");
	cell_bind_text(st, 1, site);
	cell_bind_int(st, 2, CATALOG_BLOCK_AGENTS_MAX);
	while (count < CATALOG_BLOCK_AGENTS_MAX && cell_next(c, st))
		agents[count++] = (struct catalog_block_agent) {
			.node_id = sqlite3_column_int(st, 0),
			.incarnation = sqlite3_column_int64(st, 1),
			.blocks = arena_copy(a, cell_column_text(st, 2)),
		};
	sqlite3_reset(st);
	*ret_count = count;
	return OK;
}

bool catalog_topic_name_is_valid(struct slice name)
{
	if (name.size == 0 || name.size > CATALOG_TOPIC_NAME_BYTES_MAX)
		return false;
	if (slice_equal(name, SLICE(".")) || slice_equal(name, SLICE("..")))
		return false;
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!is_letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}
