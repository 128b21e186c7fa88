/* Retention against a model that knows nothing of tables: per partition a list of runs. */
#include "streams/coordinator/retention.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "streams/catalog/transactions.h"
#include "streams/coordinator/books_testing.h"
#include "streams/coordinator/configs.h"
#include "streams/coordinator/retention_watch.h"
#include "streams/coordinator/sweep.h"

#define DAY_MS INT64_C(86400000)
#define START_MS INT64_C(1795000000000)
#define NONE INT64_MIN

struct setting {
	const char *topic; /* NULL: of all brokers */
	const char *name;
	int64_t value;
};

static enum err run_setting(struct cell *cell, void *argument)
{
	const struct setting *s = argument;
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)s->value);
	return config_write(cell, s->topic ? CONFIG_TOPIC : CONFIG_BROKER,
			    s->topic ? slice_from(s->topic) : SLICE(""), slice_from(s->name),
			    slice_from(text));
}

static void set(struct books *b, const char *topic, const char *name, int64_t value)
{
	struct setting s = { topic, name, value };

	assert_int_equal(cell_run(b->cell, run_setting, &s), OK);
}

static void open_books(struct books *b)
{
	books_open(b);
	b->now_ms = START_MS;
	books_hello(b);
	set(b, NULL, "log.retention.check.interval.ms", 1);
}

struct application {
	int64_t partition, now_ms;
	int rows;
};

static enum err run_apply(struct cell *cell, void *argument)
{
	struct application *p = argument;

	return retention_apply(cell, p->partition, p->now_ms, &p->rows);
}

/* How many rows it looked at. */
static int apply(struct books *b, int64_t partition)
{
	struct application p = { partition, b->now_ms, RETENTION_ROWS_MAX };

	assert_int_equal(cell_run(b->cell, run_apply, &p), OK);
	return RETENTION_ROWS_MAX - p.rows;
}

static void sweep(struct books *b)
{
	struct sweep_step step = { .now_ms = b->now_ms };

	do
		assert_int_equal(cell_run(b->cell, sweep_run, &step), OK);
	while (step.is_more);
}

/* Everything that is due goes, as the task does it. */
static void settle(struct books *b, struct retention_watch *w)
{
	int64_t partition;
	bool is_more;

	do {
		is_more = retention_watch_look(w, b->cell, b->now_ms, 1);
		while ((partition = retention_watch_due(w, b->now_ms)) != 0) {
			apply(b, partition);
			retention_watch_note(w, b->cell, partition, b->now_ms);
			is_more = true;
		}
		if (books_number(b, "SELECT count(*) FROM trim") > 0) {
			sweep(b);
			retention_watch_runs_deleted(w, b->cell);
			retention_watch_again(w);
			is_more = true;
		}
	} while (is_more);
}

static int64_t log_start(struct books *b)
{
	return books_number(b, "SELECT log_start_offset FROM partition");
}

/* --- by hand -----------------------------------------------------------------------------------
 */

static void put(struct books *b, struct uuid topic, int64_t timestamp)
{
	(void)books_batch(b, (struct batch) { topic, 0, .records = 10, .timestamp = timestamp });
	arena_reset(&b->arena);
}

static void test_records_go_when_they_are_older_than_retention_ms(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	set(&b, "t", "retention.ms", 1000);
	put(&b, t, START_MS);
	put(&b, t, START_MS + 500);
	b.now_ms = START_MS + 1000;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 0);
	b.now_ms++;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 10);
	b.now_ms = START_MS + DAY_MS;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 20);
	assert_int_equal(books_number(&b, "SELECT high_watermark FROM partition"), 20);
	sweep(&b);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM run"), 0);
	assert_int_equal(books_number(&b, "SELECT bytes FROM partition"), 0);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM file WHERE dead_ms IS NULL"), 0);
	books_close(&b);
}

static void test_the_default_is_a_week(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	put(&b, books_topic(&b, "t", 1), START_MS);
	b.now_ms = START_MS + 7 * DAY_MS;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 0);
	b.now_ms++;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 10);
	books_close(&b);
}

static void test_without_times_the_file_says_how_old_it_is(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	set(&b, "t", "retention.ms", 1000);
	put(&b, t, -1);
	apply(&b, 1);
	assert_int_equal(log_start(&b), 0);
	b.now_ms += 1001;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 10);
	books_close(&b);
}

static void test_a_time_far_ahead_keeps_what_came_after_it_too(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	set(&b, "t", "retention.ms", 1000);
	put(&b, t, START_MS);
	put(&b, t, START_MS + 3 * DAY_MS);
	put(&b, t, START_MS);
	b.now_ms += DAY_MS;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 10);
	b.now_ms = START_MS + 3 * DAY_MS + 1001;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 30);
	books_close(&b);
}

static void test_old_records_that_come_now_stay_until_somebody_would_look(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	set(&b, NULL, "log.retention.check.interval.ms", 300000);
	struct uuid t = books_topic(&b, "t", 1);
	put(&b, t, 1234);
	apply(&b, 1);
	assert_int_equal(log_start(&b), 0);
	b.now_ms += 300000;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 10);
	books_close(&b);
}

static void test_of_a_compacted_topic_nothing_goes_by_age(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	set(&b, "t", "retention.ms", 1000);
	put(&b, t, START_MS);
	books_do(&b, "INSERT INTO config (kind, resource, name, value)"
		     " VALUES (2, 't', 'cleanup.policy', 'compact')");
	b.now_ms += DAY_MS;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 0);
	books_do(&b, "UPDATE config SET value = 'compact,delete' WHERE name = 'cleanup.policy'");
	apply(&b, 1);
	assert_int_equal(log_start(&b), 10);
	books_close(&b);
}

/* G3 */
static void test_nothing_of_an_open_transaction_goes(void **state)
{
	struct books b;
	struct retention_due due;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	set(&b, "t", "retention.ms", 1000);
	set(&b, "t", "retention.bytes", 0);
	put(&b, t, START_MS);
	put(&b, t, START_MS);
	books_do(&b, "INSERT INTO open_transaction (partition, producer_id, first_offset)"
		     " VALUES (1, 7, 15)");
	b.now_ms += DAY_MS;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 10);
	assert_int_equal(retention_look(b.cell, 1, b.now_ms, &due), OK);
	assert_int_equal(due.due_ms, b.now_ms + RETENTION_BLOCKED_MS);
	/* its end has an offset, and a time of its own */
	books_do(&b, "DELETE FROM open_transaction");
	books_do(&b, "INSERT INTO marker (partition, marker_offset, producer_id, epoch, is_commit,"
		     " first_offset, stable_offset, written_ms)"
		     " VALUES (1, 20, 7, 0, 0, 15, 21, 1795086400000)");
	books_do(&b, "UPDATE partition SET high_watermark = 21");
	apply(&b, 1);
	assert_int_equal(log_start(&b), 20);
	b.now_ms += 1001;
	apply(&b, 1);
	assert_int_equal(log_start(&b), 21);
	sweep(&b);
	assert_int_equal(books_number(&b, "SELECT count(*) FROM marker"), 0);
	books_close(&b);
}

static void test_a_partition_is_no_smaller_than_retention_bytes(void **state)
{
	struct books b;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	set(&b, "t", "retention.bytes", 250);
	for (int i = 0; i < 5; i++)
		put(&b, t, START_MS); /* 100 bytes each */
	apply(&b, 1);
	assert_int_equal(log_start(&b), 20);
	apply(&b, 1); /* what goes is still counted, and not twice */
	assert_int_equal(log_start(&b), 20);
	sweep(&b);
	apply(&b, 1);
	assert_int_equal(log_start(&b), 20);
	assert_int_equal(books_number(&b, "SELECT bytes FROM partition"), 300);
	books_close(&b);
}

static void test_a_step_is_bounded(void **state)
{
	struct books b;
	int steps = 0;

	(void)state;
	open_books(&b);
	struct uuid t = books_topic(&b, "t", 1);
	for (int i = 0; i < 1300; i++)
		put(&b, t, START_MS);
	b.now_ms += 8 * DAY_MS;
	while (log_start(&b) < 13000 && steps++ < 10)
		assert_in_range(apply(&b, 1), 1, RETENTION_ROWS_MAX);
	assert_in_range(steps, 3, 4);
	books_close(&b);
}

/* --- at random ---------------------------------------------------------------------------------
 */

enum { MODEL_PARTITIONS = 4, MODEL_RUNS_MAX = 400, MODEL_STEPS = 600 };

struct model_run {
	int64_t last_offset, size, time_ms, written_ms;
};

struct model_partition {
	struct model_run runs[MODEL_RUNS_MAX];
	int count;
	int64_t start, end;
};

struct model {
	struct books books;
	struct retention_watch watch;
	struct uuid topics[2];
	int64_t ms[2], bytes[2];
	struct model_partition partitions[MODEL_PARTITIONS];
	uint64_t random;
};

static int64_t roll(struct model *m, int64_t below)
{
	m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (int64_t)((m->random >> 33) % (uint64_t)below);
}

static void model_commit(struct model *m)
{
	int n = (int)roll(m, MODEL_PARTITIONS);
	struct model_partition *p = &m->partitions[n];
	int32_t records = 1 + (int32_t)roll(m, 5);
	struct batch batch = {
		.topic = m->topics[n / 2],
		.partition = n % 2,
		.records = records,
		.size = 50 + (int32_t)roll(m, 200),
		.timestamp =
			roll(m, 10) == 0 ? -1 : m->books.now_ms + roll(m, 4000) - roll(m, 3000),
	};

	if (p->count == MODEL_RUNS_MAX)
		return;
	(void)books_batch(&m->books, batch);
	arena_reset(&m->books.arena);
	p->end += records;
	p->runs[p->count++] =
		(struct model_run) { p->end - 1, batch.size, batch.timestamp, m->books.now_ms };
}

static void model_set(struct model *m)
{
	static const char *const topics[] = { "a", "b" };
	int n = (int)roll(m, 2);

	m->ms[n] = roll(m, 4) == 0 ? -1 : roll(m, 20000);
	m->bytes[n] = roll(m, 2) == 0 ? -1 : roll(m, 3000);
	set(&m->books, topics[n], "retention.ms", m->ms[n]);
	set(&m->books, topics[n], "retention.bytes", m->bytes[n]);
	retention_watch_again(&m->watch);
}

static void model_delete_records(struct model *m)
{
	int n = (int)roll(m, MODEL_PARTITIONS);
	struct model_partition *p = &m->partitions[n];
	char sql[160];

	p->start += roll(m, p->end - p->start + 1) / 2;
	snprintf(sql, sizeof(sql), "UPDATE partition SET log_start_offset = %lld WHERE id = %d",
		 (long long)p->start, n + 1);
	books_do(&m->books, sql);
	books_do(&m->books, "INSERT INTO trim (id) SELECT id FROM partition WHERE 1"
			    " ON CONFLICT (id) DO NOTHING");
	sweep(&m->books);
	retention_watch_runs_deleted(&m->watch, m->books.cell);
	retention_watch_again(&m->watch);
}

static bool model_is_old(const struct model *m, const struct model_run *run, int64_t ms)
{
	int64_t time_ms = run->time_ms >= 0 ? run->time_ms : run->written_ms;

	return ms >= 0 && m->books.now_ms - time_ms > ms && m->books.now_ms > run->written_ms;
}

static void model_expire(struct model *m, int n)
{
	struct model_partition *p = &m->partitions[n];
	int64_t kept = 0;

	for (int i = 0; i < p->count; i++)
		kept += p->runs[i].last_offset >= p->start ? p->runs[i].size : 0;
	for (int i = 0; i < p->count; i++) {
		const struct model_run *run = &p->runs[i];
		if (run->last_offset < p->start)
			continue;
		bool is_too_much = m->bytes[n / 2] >= 0 && kept - run->size >= m->bytes[n / 2];
		if (!is_too_much && !model_is_old(m, run, m->ms[n / 2]))
			break;
		kept -= run->size;
		p->start = run->last_offset + 1;
	}
}

static void model_compare(struct model *m, int n)
{
	const struct model_partition *p = &m->partitions[n];
	char sql[160];
	int64_t kept = 0;

	for (int i = 0; i < p->count; i++)
		kept += p->runs[i].last_offset >= p->start ? p->runs[i].size : 0;
	snprintf(sql, sizeof(sql), "SELECT log_start_offset FROM partition WHERE id = %d", n + 1);
	assert_int_equal(books_number(&m->books, sql), p->start);
	snprintf(sql, sizeof(sql), "SELECT bytes FROM partition WHERE id = %d", n + 1);
	assert_int_equal(books_number(&m->books, sql), kept);
	snprintf(sql, sizeof(sql), "SELECT high_watermark FROM partition WHERE id = %d", n + 1);
	assert_int_equal(books_number(&m->books, sql), p->end);
	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM run JOIN partition AS p ON p.id = partition"
		 " WHERE p.id = %d AND last_offset < log_start_offset",
		 n + 1);
	assert_int_equal(books_number(&m->books, sql), 0);
}

static void run_model(uint64_t seed)
{
	struct model *m = memory_take(sizeof(*m));

	*m = (struct model) { .ms = { 7 * DAY_MS, 7 * DAY_MS }, .bytes = { -1, -1 } };
	m->random = seed;
	open_books(&m->books);
	retention_watch_init(&m->watch);
	m->topics[0] = books_topic(&m->books, "a", 2);
	m->topics[1] = books_topic(&m->books, "b", 2);
	for (int i = 0; i < MODEL_STEPS; i++) {
		int64_t what = roll(m, 100);
		m->books.now_ms += roll(m, 500);
		if (what < 80)
			model_commit(m);
		else if (what < 85)
			model_set(m);
		else if (what < 90)
			model_delete_records(m);
		else
			m->books.now_ms += roll(m, 10000);
		settle(&m->books, &m->watch);
		for (int n = 0; n < MODEL_PARTITIONS; n++) {
			model_expire(m, n);
			model_compare(m, n);
		}
	}
	retention_watch_done(&m->watch);
	books_close(&m->books);
	memory_free(m);
}

static void test_what_goes_is_what_the_model_says(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++)
		run_model(seed);
}

/* --- what it costs -----------------------------------------------------------------------------
 */

static void fill_many(struct books *b, int64_t partitions, int64_t runs)
{
	char sql[400];

	books_do(b, "INSERT INTO file (id, incarnation, sequence, size, run_count, committed_ms)"
		    " VALUES (1, 1, 1, 1000, 1, 1795000000000)");
	for (int64_t from = 0; from < runs; from += 10000) {
		snprintf(sql, sizeof(sql),
			 "WITH RECURSIVE n (i) AS (SELECT %lld UNION ALL SELECT i + 1 FROM n"
			 " WHERE i + 1 < %lld) INSERT INTO run (partition, last_offset,"
			 " base_offset, file, position, size, max_timestamp) SELECT 1 + i %% %lld,"
			 " i / %lld, i / %lld, 1, 64, 100, 1795000000000 FROM n",
			 (long long)from, (long long)(from + 10000), (long long)partitions,
			 (long long)partitions, (long long)partitions);
		books_do(b, sql);
		struct buf record;
		buf_init(&record);
		cell_seal(b->cell, (uint64_t)b->now_ms, &record);
		buf_done(&record);
	}
	snprintf(sql, sizeof(sql), "UPDATE partition SET high_watermark = %lld, bytes = %lld",
		 (long long)(runs / partitions), (long long)(runs / partitions * 100));
	books_do(b, sql);
}

static void test_a_second_in_which_nothing_is_due_costs_nothing(void **state)
{
	bool is_large = getenv("HANSE_TEST_LARGE") != NULL;
	int64_t partitions = is_large ? 50000 : 500, runs = is_large ? 1000000 : 10000;
	int topics = (int)(partitions / 500), checks = 1000, looks = 0;
	struct retention_watch w;
	struct books b;

	(void)state;
	open_books(&b);
	for (int i = 0; i < topics; i++) {
		char name[16];
		snprintf(name, sizeof(name), "t%d", i);
		(void)books_topic(&b, name, 500);
	}
	fill_many(&b, partitions, runs);
	retention_watch_init(&w);
	uint64_t began_us = clock_now_us();
	while (retention_watch_look(&w, b.cell, b.now_ms, 1))
		looks++;
	uint64_t first_us = clock_now_us() - began_us;
	int steps = 0;
	began_us = clock_now_us();
	for (int i = 0; i < checks; i++) {
		assert_false(retention_watch_look(&w, b.cell, b.now_ms, 1));
		steps += retention_watch_due(&w, b.now_ms) != 0;
	}
	double check_us = (double)(clock_now_us() - began_us) / checks;
	assert_int_equal(steps, 0);
	assert_int_equal(looks, (partitions - 1) / RETENTION_WATCH_PARTITIONS_MAX + 1);
	print_message("catalog of %lld partitions and %lld runs, one check costs %.2f us; the first"
		      " look at all of them %.0f ms in %d steps\n",
		      (long long)partitions, (long long)runs, check_us, (double)first_us / 1000.0,
		      looks + 1);
	b.now_ms += 8 * DAY_MS;
	assert_int_not_equal(retention_watch_due(&w, b.now_ms), 0);
	retention_watch_done(&w);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_go_when_they_are_older_than_retention_ms),
		cmocka_unit_test(test_the_default_is_a_week),
		cmocka_unit_test(test_without_times_the_file_says_how_old_it_is),
		cmocka_unit_test(test_a_time_far_ahead_keeps_what_came_after_it_too),
		cmocka_unit_test(test_old_records_that_come_now_stay_until_somebody_would_look),
		cmocka_unit_test(test_of_a_compacted_topic_nothing_goes_by_age),
		cmocka_unit_test(test_nothing_of_an_open_transaction_goes),
		cmocka_unit_test(test_a_partition_is_no_smaller_than_retention_bytes),
		cmocka_unit_test(test_a_step_is_bounded),
		cmocka_unit_test(test_what_goes_is_what_the_model_says),
		cmocka_unit_test(test_a_second_in_which_nothing_is_due_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
