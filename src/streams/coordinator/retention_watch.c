#include "streams/coordinator/retention_watch.h"

#include "base/err.h"
#include "base/memory.h"
#include "streams/coordinator/retention.h"

struct entry {
	struct heap_node node; /* key: when it is due */
	int64_t partition;     /* row */
	int64_t room_bytes;
	uint32_t pass; /* over all partitions, in which it was seen, or began */
};

static struct slice key_of(const int64_t *partition)
{
	return (struct slice) { (const uint8_t *)partition, sizeof(*partition) };
}

void retention_watch_init(struct retention_watch *w)
{
	*w = (struct retention_watch) { 0 };
	heap_init(&w->due);
	map_init(&w->entries);
}

void retention_watch_done(struct retention_watch *w)
{
	struct entry *entry;
	size_t cursor = 0;

	while ((entry = map_next(&w->entries, &cursor)) != NULL)
		memory_free(entry);
	heap_done(&w->due);
	map_done(&w->entries);
}

void retention_watch_again(struct retention_watch *w)
{
	w->last_partition = 0;
	w->pass++;
}

/* --- entries -----------------------------------------------------------------------------------
 */

static void set_due(struct retention_watch *w, struct entry *entry, int64_t due_ms)
{
	heap_remove(&w->due, &entry->node);
	heap_add(&w->due, &entry->node, (uint64_t)(due_ms > 0 ? due_ms : 0));
}

static void drop(struct retention_watch *w, struct entry *entry)
{
	heap_remove(&w->due, &entry->node);
	map_remove(&w->entries, key_of(&entry->partition));
	memory_free(entry);
}

void retention_watch_note(struct retention_watch *w, struct cell *cell, int64_t partition,
			  int64_t now_ms)
{
	struct entry *entry = map_get(&w->entries, key_of(&partition));
	struct retention_due due;
	enum err err = retention_look(cell, partition, now_ms, &due);

	if (err || due.is_empty) {
		if (entry)
			drop(w, entry);
		return;
	}
	if (!entry) {
		entry = NEW(struct entry);
		entry->partition = partition;
		map_put(&w->entries, key_of(&entry->partition), entry);
	}
	entry->pass = w->pass;
	entry->room_bytes = due.room_bytes;
	set_due(w, entry, due.due_ms);
}

int64_t retention_watch_due(const struct retention_watch *w, int64_t now_ms)
{
	const struct heap_node *first = heap_first(&w->due);

	if (!first || first->key > (uint64_t)now_ms)
		return 0;
	return CONTAINER(first, struct entry, node)->partition;
}

/* --- looking -----------------------------------------------------------------------------------
 */

struct new_run {
	int64_t partition;
	int64_t size;
};

static size_t read_new_runs(struct retention_watch *w, struct cell *cell, struct new_run *ret)
{
	size_t count = 0;
	sqlite3_stmt *st = cell_statement(cell, "SELECT id, partition, size FROM run WHERE id > ?1"
						" ORDER BY id LIMIT ?2");

	cell_bind_int(st, 1, w->last_run);
	cell_bind_int(st, 2, RETENTION_WATCH_RUNS_MAX);
	while (cell_next(cell, st)) {
		w->last_run = sqlite3_column_int64(st, 0);
		ret[count++] = (struct new_run) { sqlite3_column_int64(st, 1),
						  sqlite3_column_int64(st, 2) };
	}
	sqlite3_reset(st);
	return count;
}

static void take_run(struct retention_watch *w, struct cell *cell, const struct new_run *run,
		     int64_t now_ms)
{
	struct entry *entry = map_get(&w->entries, key_of(&run->partition));

	if (!entry) {
		retention_watch_note(w, cell, run->partition, now_ms);
		return;
	}
	if (entry->room_bytes == INT64_MAX)
		return;
	entry->room_bytes -= run->size;
	if (entry->room_bytes <= 0)
		set_due(w, entry, 0);
}

static bool look_at_runs(struct retention_watch *w, struct cell *cell, int64_t now_ms)
{
	struct new_run runs[RETENTION_WATCH_RUNS_MAX];
	size_t count = read_new_runs(w, cell, runs);

	for (size_t i = 0; i < count; i++)
		take_run(w, cell, &runs[i], now_ms);
	return count == RETENTION_WATCH_RUNS_MAX;
}

static int64_t newest_run(struct cell *cell)
{
	sqlite3_stmt *st = cell_statement(cell, "SELECT max(id) FROM run");
	int64_t id = cell_next(cell, st) ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return id;
}

void retention_watch_runs_deleted(struct retention_watch *w, struct cell *cell)
{
	int64_t newest = newest_run(cell);

	if (newest < w->last_run)
		w->last_run = newest;
}

/* What no pass sees has no partition any more, and may never be due. */
static void drop_unseen(struct retention_watch *w)
{
	struct entry *entry;
	size_t cursor = 0;

	while ((entry = map_next(&w->entries, &cursor)) != NULL)
		if (entry->pass != w->pass)
			drop(w, entry);
}

static bool look_at_partitions(struct retention_watch *w, struct cell *cell, int64_t now_ms)
{
	int64_t partitions[RETENTION_WATCH_PARTITIONS_MAX];
	size_t count = 0;
	sqlite3_stmt *st =
		cell_statement(cell, "SELECT id FROM partition WHERE id > ?1 ORDER BY id LIMIT ?2");

	cell_bind_int(st, 1, w->last_partition);
	cell_bind_int(st, 2, RETENTION_WATCH_PARTITIONS_MAX);
	while (cell_next(cell, st))
		partitions[count++] = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	for (size_t i = 0; i < count; i++)
		retention_watch_note(w, cell, partitions[i], now_ms);
	w->last_partition =
		count == RETENTION_WATCH_PARTITIONS_MAX ? partitions[count - 1] : INT64_MAX;
	if (w->last_partition == INT64_MAX)
		drop_unseen(w);
	return w->last_partition != INT64_MAX;
}

bool retention_watch_look(struct retention_watch *w, struct cell *cell, int64_t now_ms,
			  uint64_t loop_ms)
{
	if (w->all_due_ms == 0)
		w->last_run = newest_run(cell); /* all partitions come anyway */
	if (loop_ms >= w->all_due_ms) {
		w->all_due_ms = loop_ms + RETENTION_WATCH_ALL_MS;
		retention_watch_again(w);
	}
	bool is_more = look_at_runs(w, cell, now_ms);
	if (w->last_partition != INT64_MAX)
		is_more |= look_at_partitions(w, cell, now_ms);
	return is_more;
}
