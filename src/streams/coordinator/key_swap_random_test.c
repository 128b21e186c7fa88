/* Random histories of passes by key beside all else that changes runs: producers, compaction of
 * files, DeleteRecords or retention, topics that are deleted and made again; by agents that ask for
 * another job, or send what they read long ago, to a control that forgot them.  After each step
 * every run must have the offsets of the bytes it points to, each partition be whole from its log
 * start to its end, and the catalog agree with itself (catalog/check.h). */
#include "base/random.h"
#include "streams/catalog/check.h"
#include "streams/coordinator/coordinator_testing.h"
#include "streams/coordinator/counter.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/key_job.h"
#include "streams/coordinator/retention.h"
#include "streams/coordinator/runs.h"
#include "wire/peer/compaction.h"
#include "wire/streams/data_file.h"

enum {
	SEEDS = 12,
	STEPS = 400,
	AGENTS = 2,
	PIECES_MAX = 4000,
	RUNS_MAX = 400,
	NOW_MS = 1000,
	RUN_BYTES = 100,
};

/* What lies in a file. */
struct piece {
	int64_t incarnation, sequence, position, base, last;
};

struct agent {
	struct peer_key_job_response job; /* job 0: none */
	int64_t sequence;
	struct peer_key_swap_request request; /* what it read and will send; no runs: nothing */
	struct peer_key_swap_request_run runs[2];
};

static struct town town;
static struct prng prng;
static struct piece pieces[PIECES_MAX];
static size_t piece_count;
static struct agent agents[AGENTS];
static int64_t own, next_sequence; /* the life of producers' agent and of who merges */
static int topic_number;
static int counts[ERR_COUNT];

static int64_t below(uint64_t n)
{
	return (int64_t)prng_below(&prng, n);
}

static int64_t of_partition(const char *column)
{
	char sql[200];

	snprintf(sql, sizeof(sql),
		 "SELECT partition.%s FROM partition JOIN topic ON topic.id = partition.topic"
		 " WHERE topic.deleted_ms IS NULL AND topic.name = 't%d'",
		 column, topic_number);
	return town_number(&town, sql);
}

static void add_piece(int64_t incarnation, int64_t sequence, int64_t position, int64_t base,
		      int64_t last)
{
	assert_true(piece_count < PIECES_MAX);
	pieces[piece_count++] = (struct piece) { incarnation, sequence, position, base, last };
}

/* --- the oracle ----------------------------------------------------------------------------------
 */

static bool is_piece(sqlite3_stmt *st)
{
	for (size_t i = piece_count; i-- > 0;)
		if (pieces[i].incarnation == sqlite3_column_int64(st, 2) &&
		    pieces[i].sequence == sqlite3_column_int64(st, 3) &&
		    pieces[i].position == sqlite3_column_int64(st, 4))
			return pieces[i].base == sqlite3_column_int64(st, 0) &&
			       pieces[i].last == sqlite3_column_int64(st, 1);
	return false;
}

static void check(void)
{
	struct cell *cell = leader_cell(town.leader);
	int64_t row = of_partition("id"), next = of_partition("log_start_offset");
	int64_t end = of_partition("high_watermark");
	struct check_flaws flaws;
	struct arena a;
	sqlite3_stmt *st = cell_statement(
		cell, "SELECT base_offset, last_offset, incarnation, sequence, position FROM run"
		      " JOIN file ON file.id = run.file WHERE partition = ?1 ORDER BY last_offset");

	cell_bind_int(st, 1, row);
	while (cell_next(cell, st)) {
		assert_true(is_piece(st));
		if (sqlite3_column_int64(st, 1) < next)
			continue;
		assert_true(sqlite3_column_int64(st, 0) <= next);
		next = sqlite3_column_int64(st, 1) + 1;
	}
	sqlite3_reset(st);
	assert_int_equal(next, end);
	arena_init(&a);
	assert_int_equal(check_catalog(&a, cell, &flaws), OK);
	for (size_t i = 0; i < flaws.text_count; i++)
		print_error("%.*s\n", SLICE_ARG(flaws.texts[i]));
	assert_int_equal(flaws.count, 0);
	arena_done(&a);
}

/* --- what others do ------------------------------------------------------------------------------
 */

struct change {
	int64_t partition, base, last; /* of the run that comes */
	int64_t old[2], files[2];      /* runs that go */
	size_t old_count;
	int64_t log_start;
};

/* The runs of the partition: base, last, row, row of the file. */
static size_t list_runs(int64_t ret[RUNS_MAX][4])
{
	struct cell *cell = leader_cell(town.leader);
	int64_t row = of_partition("id");
	sqlite3_stmt *st = cell_statement(cell, "SELECT base_offset, last_offset, id, file FROM run"
						" WHERE partition = ?1 ORDER BY last_offset");
	size_t count = 0;

	cell_bind_int(st, 1, row);
	while (cell_next(cell, st) && count < RUNS_MAX) {
		for (int i = 0; i < 4; i++)
			ret[count][i] = sqlite3_column_int64(st, i);
		count++;
	}
	sqlite3_reset(st);
	return count;
}

/* Inside the command: the sweep goes on between commands. */
static bool choose_neighbours(struct change *c)
{
	static int64_t runs[RUNS_MAX][4];
	size_t count = list_runs(runs);

	if (count < 2)
		return false;
	size_t at = (size_t)below(count - 1);
	c->base = runs[at][0];
	c->last = runs[at + 1][1];
	for (size_t i = 0; i < 2; i++) {
		c->old[i] = runs[at + i][2];
		c->files[i] = runs[at + i][3];
	}
	return true;
}

static enum err run_merge(struct cell *cell, void *argument)
{
	struct change *c = argument;
	int64_t size = RUN_BYTES;
	sqlite3_stmt *st;
	enum err err = OK;

	if (c->old_count > 0 && !choose_neighbours(c))
		return ERR_NOT_FOUND;

	for (size_t i = 0; i < c->old_count && !err; i++) {
		st = cell_statement(cell, "SELECT size FROM run WHERE id = ?1");
		cell_bind_int(st, 1, c->old[i]);
		assert_true(cell_next(cell, st));
		size = (i ? size : 0) + sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
		err = runs_delete(cell, c->old[i], c->files[i], NOW_MS);
	}
	st = cell_statement(cell, "INSERT INTO file (incarnation, sequence, size, run_count,"
				  " committed_ms) VALUES (?1, ?2, ?3, 1, 1)");
	cell_bind_int(st, 1, own);
	cell_bind_int(st, 2, next_sequence);
	cell_bind_int(st, 3, size + 200);
	if (!err)
		err = cell_execute(cell, st);
	struct runs_new run = {
		.partition = c->partition,
		.base_offset = c->base,
		.last_offset = c->last,
		.file = sqlite3_last_insert_rowid(cell_database(cell)),
		.position = DATA_FILE_HEADER_BYTES,
		.size = size,
		.max_timestamp = 1,
		.level = c->old_count > 0,
	};
	if (!err)
		err = runs_insert(cell, &run);
	if (err || c->old_count > 0)
		return err;
	err = cell_execute_sql(cell, "UPDATE partition SET bytes = bytes + ?2 WHERE id = ?1",
			       c->partition, size);
	return err ? err
		   : cell_execute_sql(cell,
				      "UPDATE partition SET high_watermark = ?2 WHERE id = ?1",
				      c->partition, c->last + 1);
}

static void replace(struct change *c)
{
	enum err err = town_run(&town, run_merge, c);

	assert_true(err == OK || (err == ERR_NOT_FOUND && c->old_count > 0));
	if (!err)
		add_piece(own, next_sequence++, DATA_FILE_HEADER_BYTES, c->base, c->last);
}

static void produce(void)
{
	int64_t base = of_partition("high_watermark");
	struct change c = { of_partition("id"), base, base + below(9), .old_count = 0 };

	replace(&c);
}

static void merge(void)
{
	struct change c = { .partition = of_partition("id"), .old_count = 2 };

	replace(&c);
}

static enum err run_move(struct cell *cell, void *argument)
{
	const struct change *c = argument;

	return retention_move_log_start(cell, c->partition, c->log_start);
}

static void delete_records(void)
{
	int64_t start = of_partition("log_start_offset");
	struct change c = { .partition = of_partition("id"), .log_start = start };

	c.log_start += below((uint64_t)(of_partition("high_watermark") - start) / 2 + 1);
	assert_int_equal(town_run(&town, run_move, &c), OK);
}

static enum err run_sql(struct cell *cell, void *sql)
{
	return cell_execute(cell, cell_statement(cell, sql));
}

static void do_sql(const char *format, int number)
{
	char sql[300];

	snprintf(sql, sizeof(sql), "%s%d'%s", format, number, strchr(format, '(') ? ")" : "");
	assert_int_equal(town_run(&town, run_sql, sql), OK);
}

static void make_topic(void)
{
	char name[16];

	snprintf(name, sizeof(name), "t%d", ++topic_number);
	(void)town_topic(&town, name, 1);
	do_sql("INSERT INTO config (kind, name, value, resource) VALUES (2, 'cleanup.policy',"
	       " 'compact', 't",
	       topic_number);
	do_sql("INSERT INTO config (kind, name, value, resource) VALUES (2,"
	       " 'min.cleanable.dirty.ratio', '0', 't",
	       topic_number);
}

static void delete_topic(void)
{
	do_sql("UPDATE topic SET deleted_ms = 5 WHERE name = 't", topic_number);
	make_topic();
}

/* --- passes --------------------------------------------------------------------------------------
 */

static void take_job(struct agent *a)
{
	struct key_job_call call = {
		.coordinator = town.coordinator,
		.jobs = town.coordinator->key_jobs,
		.agent = 1 + (a - agents),
		.response = &a->job,
	};
	enum err err = key_job_look(&call);

	if (!err)
		err = town_run(&town, key_job_run, &call);
	if (err || !key_job_granted(&call))
		a->job.job = 0;
	a->sequence = COMPACTION_SEQUENCE;
}

/* It reads some neighbouring runs, as they are now. */
static void read_stretch(struct agent *a)
{
	static int64_t runs[RUNS_MAX][4];
	size_t count = list_runs(runs), from, to;

	while (count > 0 && runs[count - 1][1] >= a->job.end && below(20) > 0)
		count--;
	a->request.runs_count = 0;
	if (!a->job.job || count == 0)
		return;
	from = (size_t)below(count);
	to = from + (size_t)below(count - from < 4 ? count - from : 4);
	int64_t base = runs[from][0], last = runs[to][1];
	int64_t middle = base + below((uint64_t)(last - base) + 1);
	a->request = (struct peer_key_swap_request) {
		.job = a->job.job,
		.sequence = ++a->sequence,
		.size = 400,
		.base_offset = base,
		.last_offset = last,
		.runs = a->runs,
		.runs_count = middle < last ? 2 : 1,
	};
	a->runs[0] =
		(struct peer_key_swap_request_run) { base, middle, DATA_FILE_HEADER_BYTES, 30, 5 };
	a->runs[1] = (struct peer_key_swap_request_run) { middle + 1, last,
							  DATA_FILE_HEADER_BYTES + 30, 20, 6 };
	for (size_t i = 0; i < a->request.runs_count; i++)
		add_piece(a->job.job, a->sequence, a->runs[i].position, a->runs[i].base_offset,
			  a->runs[i].last_offset);
}

/* Sometimes more than once. */
static void send_stretch(struct agent *a)
{
	struct key_swap swap = { town.coordinator, town.coordinator->key_jobs, 1 + (a - agents),
				 &a->request };

	if (a->request.runs_count == 0)
		return;
	enum err err = town_run(&town, key_swap_run, &swap);
	counts[err]++;
	if ((err == ERR_DENIED || err == ERR_NOT_FOUND) && below(2))
		a->job.job = 0; /* it hears that it has none */
	if (below(3))
		a->request.runs_count = 0;
}

static void end_pass(struct agent *a)
{
	struct peer_key_swap_request request = { .job = a->job.job, .clean = a->job.end };
	struct key_swap swap = { town.coordinator, town.coordinator->key_jobs, 1 + (a - agents),
				 &request };

	if (a->job.job)
		(void)town_run(&town, key_swap_run, &swap);
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static void step(void)
{
	struct agent *a = &agents[below(AGENTS)];
	int64_t what = below(100);

	if (what < 22)
		produce();
	else if (what < 30)
		merge();
	else if (what < 36)
		delete_records();
	else if (what < 48 && (!a->job.job || below(6) == 0))
		take_job(a);
	else if (what < 68)
		read_stretch(a);
	else if (what < 94)
		send_stretch(a);
	else if (what < 97)
		end_pass(a);
	else if (what < 98)
		key_jobs_forget(town.coordinator->key_jobs);
	else if (below(3) == 0)
		delete_topic();
}

static enum err grant(struct cell *cell, void *incarnation)
{
	return counter_next_incarnation(cell, incarnation);
}

/* L5 */
static void test_a_pass_replaces_nothing_but_what_it_read_whatever_happens(void **state)
{
	(void)state;
	memset(counts, 0, sizeof(counts));
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		prng = (struct prng) { seed };
		piece_count = 0;
		memset(agents, 0, sizeof(agents));
		topic_number = 0;
		next_sequence = 1;
		town_open(&town, seed);
		assert_int_equal(town_run(&town, grant, &own), OK);
		make_topic();
		produce();
		while (expiry_now_ms(town.coordinator) == 0)
			do_sql("UPDATE partition SET bytes = bytes WHERE id > '",
			       0); /* lets the loop run */
		for (int i = 0; i < STEPS; i++) {
			step();
			check();
		}
		town_close(&town);
	}
	print_message("%d swapped, %d conflicts, %d denied, %d no more, %d invalid\n", counts[OK],
		      counts[ERR_CONFLICT], counts[ERR_DENIED], counts[ERR_NOT_FOUND],
		      counts[ERR_INVALID]);
	assert_true(counts[OK] > 30 && counts[ERR_CONFLICT] > 20 && counts[ERR_DENIED] > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pass_replaces_nothing_but_what_it_read_whatever_happens),
	};

	setenv("HANSE_TEST_KEY_BACKOFF_MS", "0", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
