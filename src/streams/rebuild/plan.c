#include "streams/rebuild/plan_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "streams/catalog/catalog.h"
#include "streams/rebuild/write.h"

enum { FILE_LISTED, FILE_READ, FILE_BAD };

/* Rows of out_* become rows of the catalog under the same number, and so do those of topic and
 * file. */
static const char scratch_schema[] =
	"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
	"CREATE TABLE file (id INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL,"
	" sequence INTEGER NOT NULL, size INTEGER NOT NULL, is_final INTEGER NOT NULL DEFAULT 0,"
	" state INTEGER NOT NULL DEFAULT 0, created_ms INTEGER NOT NULL DEFAULT 0, why TEXT,"
	" UNIQUE (incarnation, sequence));"
	"CREATE TABLE topic (id INTEGER PRIMARY KEY, topic_id BLOB NOT NULL UNIQUE, name TEXT,"
	" partition_count INTEGER NOT NULL, incarnation INTEGER NOT NULL,"
	" sequence INTEGER NOT NULL, is_unnamed INTEGER NOT NULL DEFAULT 0,"
	" is_renamed INTEGER NOT NULL DEFAULT 0, newest_ms INTEGER NOT NULL DEFAULT 0, r0 INTEGER "
	"NOT NULL DEFAULT 0,"
	" r1 INTEGER NOT NULL DEFAULT 0, r2 INTEGER NOT NULL DEFAULT 0,"
	" r3 INTEGER NOT NULL DEFAULT 0, r4 INTEGER NOT NULL DEFAULT 0,"
	" r5 INTEGER NOT NULL DEFAULT 0, r6 INTEGER NOT NULL DEFAULT 0,"
	" bytes INTEGER NOT NULL DEFAULT 0, undecided INTEGER NOT NULL DEFAULT 0,"
	" holes INTEGER NOT NULL DEFAULT 0, doubts INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX topic_name ON topic (name);"
	"CREATE TABLE batch (topic INTEGER NOT NULL, number INTEGER NOT NULL,"
	" file INTEGER NOT NULL, position INTEGER NOT NULL, size INTEGER NOT NULL,"
	" record_count INTEGER NOT NULL, last_delta INTEGER NOT NULL,"
	" base_timestamp INTEGER NOT NULL, max_timestamp INTEGER NOT NULL,"
	" producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL, base_sequence INTEGER NOT NULL,"
	" attributes INTEGER NOT NULL, crc INTEGER NOT NULL, base_offset INTEGER NOT NULL,"
	" is_damaged INTEGER NOT NULL, control INTEGER NOT NULL);"
	"CREATE TABLE out_partition (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL,"
	" number INTEGER NOT NULL, log_start INTEGER NOT NULL, high_watermark INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL, UNIQUE (topic, number));"
	"CREATE TABLE out_run (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
	" last_offset INTEGER NOT NULL, base_offset INTEGER NOT NULL, file INTEGER NOT NULL,"
	" position INTEGER NOT NULL, size INTEGER NOT NULL, max_timestamp INTEGER NOT NULL,"
	" level INTEGER NOT NULL);"
	"CREATE TABLE out_producer (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
	" producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL, last_sequence INTEGER NOT NULL,"
	" last_ms INTEGER NOT NULL, recent BLOB NOT NULL);"
	"CREATE TABLE out_left (file INTEGER PRIMARY KEY, records INTEGER NOT NULL);"
	"CREATE TABLE out_marker (id INTEGER PRIMARY KEY, partition INTEGER NOT NULL,"
	" marker_offset INTEGER NOT NULL, producer_id INTEGER NOT NULL, epoch INTEGER NOT NULL,"
	" is_commit INTEGER NOT NULL, first_offset INTEGER NOT NULL,"
	" stable_offset INTEGER NOT NULL, written_ms INTEGER NOT NULL,"
	" is_in_run INTEGER NOT NULL);"
	"BEGIN;";

/* --- the scratch database ----------------------------------------------------------------------
 */

struct plan *plan_new(void)
{
	struct plan *p = NEW(struct plan);

	/* an empty name is a file that nobody else sees, and goes with its connection */
	if (sqlite3_open("", &p->db) == SQLITE_OK &&
	    sqlite3_exec(p->db, scratch_schema, NULL, NULL, NULL) == SQLITE_OK)
		return p;
	plan_free(p);
	return NULL;
}

void plan_free(struct plan *p)
{
	for (size_t i = 0; p && i < PLAN_STATEMENTS_MAX; i++)
		sqlite3_finalize(p->statements[i].statement);
	if (p)
		sqlite3_close(p->db);
	memory_free(p);
}

sqlite3_stmt *plan_statement(struct plan *p, const char *sql)
{
	struct plan_statement *s = p->statements, *end = s + PLAN_STATEMENTS_MAX;

	while (s < end && s->sql && s->sql != sql)
		s++;
	assert(s < end);
	if (!s->sql) {
		int code = sqlite3_prepare_v2(p->db, sql, -1, &s->statement, NULL);
		assert(code == SQLITE_OK);
		s->sql = sql;
	}
	sqlite3_reset(s->statement);
	sqlite3_clear_bindings(s->statement);
	return s->statement;
}

bool plan_next(struct plan *p, sqlite3_stmt *st)
{
	int code = sqlite3_step(st);

	if (code != SQLITE_ROW && code != SQLITE_DONE && !p->err)
		p->err = err_from_sqlite(code);
	return code == SQLITE_ROW;
}

void plan_execute(struct plan *p, sqlite3_stmt *st)
{
	while (plan_next(p, st))
		;
	sqlite3_reset(st);
}

int64_t plan_number(struct plan *p, const char *sql)
{
	sqlite3_stmt *st = plan_statement(p, sql);
	int64_t number = plan_next(p, st) ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return number;
}

/* --- what is there -----------------------------------------------------------------------------
 */

enum err plan_list(struct plan *p, int64_t incarnation, int64_t sequence, int64_t size)
{
	sqlite3_stmt *st = plan_statement(
		p, "INSERT OR IGNORE INTO file (incarnation, sequence, size) VALUES (?1, ?2, ?3)");

	cell_bind_int(st, 1, incarnation);
	cell_bind_int(st, 2, sequence);
	cell_bind_int(st, 3, size);
	plan_execute(p, st);
	return p->err;
}

bool plan_next_file(struct plan *p, int64_t after, struct plan_file *ret)
{
	sqlite3_stmt *st = plan_statement(p, "SELECT id, incarnation, sequence, size FROM file"
					     " WHERE id > ?1 AND state = 0 ORDER BY id LIMIT 1");

	cell_bind_int(st, 1, after);
	bool found = plan_next(p, st);
	if (found)
		*ret = (struct plan_file) {
			.row = sqlite3_column_int64(st, 0),
			.incarnation = sqlite3_column_int64(st, 1),
			.sequence = sqlite3_column_int64(st, 2),
			.size = sqlite3_column_int64(st, 3),
		};
	sqlite3_reset(st);
	return found;
}

enum err plan_cannot_read(struct plan *p, const struct plan_file *file, const char *why)
{
	sqlite3_stmt *st = plan_statement(p, "UPDATE file SET state = 2, why = ?2 WHERE id = ?1");

	cell_bind_int(st, 1, file->row);
	cell_bind_text(st, 2, slice_from(why));
	plan_execute(p, st);
	return p->err;
}

static int64_t find_topic(struct plan *p, const uint8_t id[16])
{
	sqlite3_stmt *st = plan_statement(p, "SELECT id FROM topic WHERE topic_id = ?1");
	struct slice topic_id = { id, 16 };

	cell_bind_blob(st, 1, topic_id);
	int64_t row = plan_next(p, st) ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	if (row)
		return row;
	st = plan_statement(p, "INSERT INTO topic (topic_id, partition_count, incarnation,"
			       " sequence) VALUES (?1, 0, -1, -1)");
	cell_bind_blob(st, 1, topic_id);
	plan_execute(p, st);
	return sqlite3_last_insert_rowid(p->db);
}

/* The newest file knows best how a topic is called; it may only have grown. */
static void name_topic(struct plan *p, const struct plan_file *file,
		       const struct data_file_topic *topic)
{
	sqlite3_stmt *st = plan_statement(
		p, "UPDATE topic SET partition_count = max(partition_count, ?2), name = CASE WHEN"
		   " (incarnation, sequence) < (?4, ?5) THEN ?3 ELSE name END,"
		   " (incarnation, sequence) = (SELECT max(incarnation, ?4), CASE"
		   " WHEN incarnation > ?4 THEN sequence WHEN incarnation < ?4 THEN ?5"
		   " ELSE max(sequence, ?5) END) WHERE id = ?1");

	if (topic->partition_count > CATALOG_PARTITIONS_MAX ||
	    !catalog_topic_name_is_valid(topic->name))
		return;
	cell_bind_int(st, 1, find_topic(p, topic->topic_id));
	cell_bind_int(st, 2, topic->partition_count);
	cell_bind_text(st, 3, topic->name);
	cell_bind_int(st, 4, file->incarnation);
	cell_bind_int(st, 5, file->sequence);
	plan_execute(p, st);
}

static void add_batch(struct plan *p, int64_t topic, int64_t file, const struct data_file_entry *e,
		      bool is_damaged, uint8_t control)
{
	const int64_t values[] = {
		topic,
		e->partition,
		file,
		(int64_t)e->offset,
		e->size,
		e->record_count,
		e->last_offset_delta,
		e->base_timestamp,
		e->max_timestamp,
		e->producer_id,
		e->producer_epoch,
		e->base_sequence,
		e->attributes,
		e->crc,
		e->base_offset,
		is_damaged,
		control,
	};
	sqlite3_stmt *st = plan_statement(
		p, "INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
		   " ?13, ?14, ?15, ?16, ?17)");

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		cell_bind_int(st, (int)i + 1, values[i]);
	plan_execute(p, st);
}

static bool is_sound(const struct data_file_footer *footer)
{
	for (size_t i = 0; i < footer->entry_count; i++)
		if (footer->entries[i].partition >= CATALOG_PARTITIONS_MAX ||
		    footer->entries[i].base_offset > PLAN_OFFSET_MAX)
			return false;
	return true;
}

enum err plan_read(struct plan *p, const struct plan_file *file, const struct plan_content *content)
{
	const struct data_file_footer *footer = content->footer;
	int64_t topic = 0;

	if (!is_sound(footer))
		return plan_cannot_read(p, file, "says what cannot be");
	for (size_t i = 0; i < footer->topic_count; i++)
		name_topic(p, file, &footer->topics[i]);
	for (size_t i = 0; i < footer->entry_count; i++) {
		const struct data_file_entry *e = &footer->entries[i];
		if (i == 0 || memcmp(e->topic_id, e[-1].topic_id, sizeof(e->topic_id)) != 0)
			topic = find_topic(p, e->topic_id);
		add_batch(p, topic, file->row, e, content->is_damaged && content->is_damaged[i],
			  content->controls ? content->controls[i] : PLACE_RECORDS);
	}
	sqlite3_stmt *st = plan_statement(p, "UPDATE file SET state = 1, size = ?2, is_final = ?3,"
					     " created_ms = max(?4, 0) WHERE id = ?1");
	cell_bind_int(st, 1, file->row);
	cell_bind_int(st, 2, content->size);
	cell_bind_int(st, 3, content->is_final);
	cell_bind_int(st, 4, content->created_ms);
	plan_execute(p, st);
	return p->err;
}

/* --- topics ------------------------------------------------------------------------------------
 */

static void name_unnamed(struct plan *p, int64_t row, struct slice topic_id)
{
	char name[64], id[23];
	sqlite3_stmt *st =
		plan_statement(p, "UPDATE topic SET name = ?2, is_unnamed = 1 WHERE id = ?1");

	uuid_text(id, topic_id.data);
	snprintf(name, sizeof(name), "unnamed-%s", id);
	cell_bind_int(st, 1, row);
	cell_bind_text(st, 2, slice_from(name));
	plan_execute(p, st);
}

static bool has_name(struct plan *p, struct slice name)
{
	sqlite3_stmt *st = plan_statement(p, "SELECT 1 FROM topic WHERE name = ?1");

	cell_bind_text(st, 1, name);
	bool has = plan_next(p, st);
	sqlite3_reset(st);
	return has;
}

/* NAME-ID; somebody may have called a topic so. */
static void rename_topic(struct plan *p, int64_t row, const char *name, const uint8_t topic_id[16])
{
	char text[CATALOG_TOPIC_NAME_BYTES_MAX + 1], id[23];
	sqlite3_stmt *st = plan_statement(p, "UPDATE topic SET name = ?2 WHERE id = ?1");
	int copy = 0;

	uuid_text(id, topic_id);
	snprintf(text, sizeof(text), "%.*s-%s", CATALOG_TOPIC_NAME_BYTES_MAX - 40, name, id);
	while (has_name(p, slice_from(text)))
		snprintf(text, sizeof(text), "%.*s-%s-%d", CATALOG_TOPIC_NAME_BYTES_MAX - 40, name,
			 id, ++copy);
	cell_bind_int(st, 1, row);
	cell_bind_text(st, 2, slice_from(text));
	plan_execute(p, st);
}

/* Of those of one name, who wrote last keeps it: the numbers of files do not tell, an agent has one
 * incarnation for its life, and compaction always a newer one.  Times that lie ahead are no times.
 * The others come back too: which one had been deleted is not known. */
static void rename_older(struct plan *p, int64_t now_ms)
{
	sqlite3_stmt *st = plan_statement(
		p, "UPDATE topic SET newest_ms = coalesce((SELECT min(max(max_timestamp), ?1)"
		   " FROM batch WHERE batch.topic = topic.id), 0)");
	int64_t row = 0;

	cell_bind_int(st, 1, now_ms);
	plan_execute(p, st);
	plan_execute(p, plan_statement(p, "UPDATE topic SET is_renamed = 1 WHERE EXISTS (SELECT 1"
					  " FROM topic AS other WHERE other.name = topic.name AND"
					  " (other.newest_ms, other.incarnation, other.sequence,"
					  " other.id) > (topic.newest_ms, topic.incarnation,"
					  " topic.sequence, topic.id))"));
	for (;;) {
		char name[CATALOG_TOPIC_NAME_BYTES_MAX + 1];
		uint8_t id[16];
		st = plan_statement(p, "SELECT id, name, topic_id FROM topic WHERE is_renamed = 1"
				       " AND id > ?1 ORDER BY id LIMIT 1");
		cell_bind_int(st, 1, row);
		if (p->err || !plan_next(p, st))
			break;
		row = sqlite3_column_int64(st, 0);
		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(cell_column_text(st, 1)));
		memcpy(id, cell_column_blob(st, 2).data, sizeof(id));
		sqlite3_reset(st);
		rename_topic(p, row, name, id);
	}
	sqlite3_reset(st);
}

static void settle_topics(struct plan *p, int64_t now_ms)
{
	sqlite3_stmt *st =
		plan_statement(p, "SELECT id, topic_id FROM topic WHERE name IS NULL LIMIT 1");

	while (!p->err && plan_next(p, st)) {
		uint8_t id[16];
		int64_t row = sqlite3_column_int64(st, 0);
		memcpy(id, cell_column_blob(st, 1).data, sizeof(id));
		sqlite3_reset(st);
		name_unnamed(p, row, (struct slice) { id, sizeof(id) });
	}
	sqlite3_reset(st);
	plan_execute(p, plan_statement(p, "UPDATE topic SET partition_count = max(partition_count,"
					  " 1 + coalesce((SELECT max(number) FROM batch"
					  " WHERE batch.topic = topic.id), 0))"));
	rename_older(p, now_ms);
}

/* --- partitions --------------------------------------------------------------------------------
 */

static const char partition_batches[] =
	"SELECT batch.file, file.incarnation, file.sequence, position, batch.size, record_count,"
	" last_delta, base_timestamp, max_timestamp, producer_id, epoch, base_sequence,"
	" attributes, crc, base_offset, is_final, is_damaged, control,"
	" CASE created_ms WHEN 0 THEN max_timestamp ELSE created_ms END FROM batch"
	" JOIN file ON file.id = batch.file WHERE topic = ?1 AND number = ?2";

static struct place_batch read_batch(sqlite3_stmt *st)
{
	return (struct place_batch) {
		.file = sqlite3_column_int64(st, 0),
		.incarnation = sqlite3_column_int64(st, 1),
		.sequence = sqlite3_column_int64(st, 2),
		.position = sqlite3_column_int64(st, 3),
		.size = (uint32_t)sqlite3_column_int64(st, 4),
		.record_count = sqlite3_column_int(st, 5),
		.last_offset_delta = sqlite3_column_int(st, 6),
		.base_timestamp = sqlite3_column_int64(st, 7),
		.max_timestamp = sqlite3_column_int64(st, 8),
		.producer_id = sqlite3_column_int64(st, 9),
		.producer_epoch = (int16_t)sqlite3_column_int(st, 10),
		.base_sequence = sqlite3_column_int(st, 11),
		.attributes = (uint16_t)sqlite3_column_int(st, 12),
		.crc = (uint32_t)sqlite3_column_int64(st, 13),
		.base_offset = sqlite3_column_int64(st, 14),
		.is_final = sqlite3_column_int(st, 15) != 0,
		.is_damaged = sqlite3_column_int(st, 16) != 0,
		.control = (enum place_control)sqlite3_column_int(st, 17),
		.written_ms = sqlite3_column_int64(st, 18),
	};
}

static enum err load(struct plan *p, int64_t topic, int32_t number, struct buf *ret)
{
	sqlite3_stmt *st = plan_statement(p, partition_batches);
	size_t count = 0;

	cell_bind_int(st, 1, topic);
	cell_bind_int(st, 2, number);
	for (; count <= PLAN_PARTITION_BATCHES_MAX && plan_next(p, st); count++) {
		struct place_batch b = read_batch(st);
		buf_add(ret, &b, sizeof(b));
	}
	sqlite3_reset(st);
	if (count > PLAN_PARTITION_BATCHES_MAX && !p->err)
		p->err = ERR_TOO_BIG;
	return p->err;
}

static int64_t insert_partition(struct plan *p, int64_t topic, int32_t number)
{
	sqlite3_stmt *st = plan_statement(
		p, "INSERT INTO out_partition (topic, number, log_start, high_watermark, bytes)"
		   " VALUES (?1, ?2, 0, 0, 0)");

	cell_bind_int(st, 1, topic);
	cell_bind_int(st, 2, number);
	plan_execute(p, st);
	return sqlite3_last_insert_rowid(p->db);
}

static void save_partition(struct plan *p, int64_t row, int64_t log_start, int64_t high_watermark,
			   int64_t bytes)
{
	sqlite3_stmt *st = plan_statement(p, "UPDATE out_partition SET log_start = ?2,"
					     " high_watermark = ?3, bytes = ?4 WHERE id = ?1");

	cell_bind_int(st, 1, row);
	cell_bind_int(st, 2, log_start);
	cell_bind_int(st, 3, high_watermark);
	cell_bind_int(st, 4, bytes);
	plan_execute(p, st);
}

static void place_partition(struct plan_walk *w, int64_t topic, int32_t number,
			    struct plan_sum *sum)
{
	int64_t high_watermark, bytes;
	struct buf batches;

	buf_init(&batches);
	w->partition = insert_partition(w->plan, topic, number);
	if (!load(w->plan, topic, number, &batches) && batches.size > 0) {
		struct place_batch *all = (struct place_batch *)(void *)batches.data;
		w->batches = all;
		w->count = batches.size / sizeof(*all);
		place_batches(all, w->count, &w->end);
		plan_walk(w, &high_watermark, &bytes, sum);
		save_partition(w->plan, w->partition, w->end.log_start, high_watermark, bytes);
	}
	buf_done(&batches);
}

static void save_sum(struct plan *p, int64_t topic, const struct plan_sum *sum)
{
	sqlite3_stmt *st = plan_statement(
		p, "UPDATE topic SET r0 = ?2, r1 = ?3, r2 = ?4, r3 = ?5, r4 = ?6, r5 = ?7, r6 = ?8,"
		   " bytes = ?9, undecided = ?10, holes = ?11, doubts = ?12 WHERE id = ?1");

	cell_bind_int(st, 1, topic);
	for (int i = 0; i < PLACE_OUTCOMES; i++)
		cell_bind_int(st, i + 2, sum->records[i]);
	cell_bind_int(st, 9, sum->bytes);
	cell_bind_int(st, 10, sum->undecided_records);
	cell_bind_int(st, 11, sum->hole_offsets);
	cell_bind_int(st, 12, sum->doubtful_offsets);
	plan_execute(p, st);
}

/* The next one that counts; false: none. */
static bool next_topic(struct plan *p, int64_t *row, int32_t *ret_partition_count)
{
	sqlite3_stmt *st = plan_statement(p, "SELECT id, partition_count FROM topic WHERE id > ?1"
					     " ORDER BY id LIMIT 1");

	cell_bind_int(st, 1, *row);
	bool found = plan_next(p, st);
	if (found) {
		*row = sqlite3_column_int64(st, 0);
		*ret_partition_count = sqlite3_column_int(st, 1);
	}
	sqlite3_reset(st);
	return found;
}

/* Files have the time of who wrote them, and batches one that clients made up.  A time that lies
 * ahead is no time to forget producers by. */
static int64_t producers_since(struct plan *p, int64_t now_ms)
{
	int64_t newest = plan_number(p, "SELECT coalesce(max(created_ms), 0) FROM file");

	if (newest == 0)
		newest = plan_number(p, "SELECT coalesce(max(max_timestamp), 0) FROM batch");
	return (newest < now_ms ? newest : now_ms) - PLAN_PRODUCER_MS;
}

enum err plan_place(struct plan *p, enum plan_undecided undecided, int64_t now_ms)
{
	struct plan_walk w = { .plan = p, .undecided = undecided, .now_ms = now_ms };
	int32_t partition_count;
	int64_t topic = 0;

	plan_execute(p, plan_statement(p, "CREATE INDEX batch_of ON batch (topic, number)"));
	settle_topics(p, now_ms);
	w.filler_producer_id = write_next_producer_id(p);
	w.producers_since_ms = producers_since(p, now_ms);
	while (!p->err && next_topic(p, &topic, &partition_count)) {
		struct plan_sum sum = { 0 };
		for (int32_t i = 0; i < partition_count && !p->err; i++)
			place_partition(&w, topic, i, &sum);
		save_sum(p, topic, &sum);
	}
	plan_execute(p, plan_statement(p, "CREATE INDEX out_run_file ON out_run (file)"));
	return p->err;
}
