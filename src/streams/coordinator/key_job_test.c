#include "streams/coordinator/key_job.h"

#include "streams/catalog/config.h"
#include "streams/coordinator/coordinator_testing.h"
#include "streams/coordinator/expiry.h"
#include "streams/coordinator/key_compaction.h"
#include "streams/coordinator/runs.h"
#include "wire/peer/compaction.h"
#include "wire/streams/data_file.h"

enum { AGENT = 7, OTHER_AGENT = 8, RUNS = 4, RUN_RECORDS = 10, RUN_BYTES = 100 };

static struct town town;

static enum err run_sql(struct cell *cell, void *sql)
{
	return cell_execute(cell, cell_statement(cell, sql));
}

static void town_sql(const char *format, ...) PRINTF_LIKE(1, 2);
static void town_sql(const char *format, ...)
{
	char sql[400];
	va_list words;

	va_start(words, format);
	vsnprintf(sql, sizeof(sql), format, words);
	va_end(words);
	assert_int_equal(town_run(&town, run_sql, sql), OK);
}

static void set(const char *name, const char *value)
{
	town_sql("INSERT INTO config (kind, resource, name, value) VALUES (2, 't', '%s', '%s')"
		 " ON CONFLICT DO UPDATE SET value = '%s'",
		 name, value, value);
}

/* A run of ten records in a file of its own; the partition is row 1. */
static void add_run(int64_t number, int64_t timestamp_ms)
{
	town_sql("INSERT INTO file (incarnation, sequence, size, run_count, committed_ms)"
		 " VALUES (1000, %d, 500, 1, 1)",
		 (int)number + 1);
	town_sql("INSERT INTO run (partition, base_offset, last_offset, file, position, size,"
		 " max_timestamp) SELECT 1, %d, %d, id, 64, %d, %lld FROM file"
		 " WHERE sequence = %d",
		 (int)number * RUN_RECORDS, (int)(number + 1) * RUN_RECORDS - 1, RUN_BYTES,
		 (long long)timestamp_ms, (int)number + 1);
	town_sql("UPDATE partition SET high_watermark = %d, bytes = bytes + %d WHERE id = 1",
		 (int)(number + 1) * RUN_RECORDS, RUN_BYTES);
}

static void open_town(uint64_t seed)
{
	town_open(&town, seed);
	town_topic(&town, "t", 1);
	set("cleanup.policy", "compact");
	for (int64_t i = 0; i < RUNS; i++)
		add_run(i, 1000 * (i + 1));
	setenv("HANSE_TEST_KEY_BACKOFF_MS", "0", 1);
	while (expiry_now_ms(town.coordinator) == 0)
		town_sql("UPDATE partition SET bytes = bytes"); /* lets the loop run */
}

/* --- when a pass is due ------------------------------------------------------------------------
 */

static int64_t due_end(int64_t now_ms)
{
	struct key_compaction_place place = { 0 };
	struct key_compaction found, checked;
	struct cell *cell = leader_cell(town.leader);
	enum err err = key_compaction_find(cell, now_ms, &place, &found);

	if (err == ERR_NOT_FOUND) {
		assert_int_equal(place.topic, 0);
		assert_int_equal(key_compaction_check(cell, 1, now_ms, &checked), ERR_NOT_FOUND);
		return -1;
	}
	assert_int_equal(err, OK);
	assert_int_equal(key_compaction_check(cell, 1, now_ms, &checked), OK);
	assert_memory_equal(&checked, &found, sizeof(found));
	assert_int_equal(found.partition, 1);
	return found.end;
}

static enum err finish_at(struct cell *cell, void *argument)
{
	return key_compaction_finish(cell, 1, *(int64_t *)argument);
}

static void clean_to(int64_t offset)
{
	assert_int_equal(town_run(&town, finish_at, &offset), OK);
}

static void test_a_pass_is_due_by_what_is_dirty_and_how_old_it_is(void **state)
{
	(void)state;
	open_town(1);
	assert_int_equal(due_end(5000), 40);
	clean_to(20);
	assert_int_equal(due_end(5000), -1); /* a half is not more than a half */
	set("min.cleanable.dirty.ratio", "0.4");
	assert_int_equal(due_end(5000), 40);
	set("min.cleanable.dirty.ratio", "0.9");
	set("max.compaction.lag.ms", "1500");
	assert_int_equal(due_end(4500), -1);
	assert_int_equal(due_end(4501), 40); /* the oldest dirty run is of 3000 */
	set("min.compaction.lag.ms", "1000");
	assert_int_equal(due_end(4999), 30); /* the run of 4000 is too young */
	assert_int_equal(due_end(5000), 40);
	clean_to(10); /* never back */
	clean_to(40);
	assert_int_equal(due_end(INT64_MAX), -1);
	town_close(&town);
}

/* L3 */
static void test_a_pass_ends_before_what_is_not_decided(void **state)
{
	(void)state;
	open_town(2);
	town_sql("INSERT INTO open_transaction (partition, producer_id, first_offset)"
		 " VALUES (1, 9, 25)");
	assert_int_equal(due_end(5000), 20);
	town_sql("UPDATE open_transaction SET first_offset = 3");
	assert_int_equal(due_end(5000), -1);
	town_close(&town);
}

static void test_only_topics_that_say_so_are_compacted(void **state)
{
	(void)state;
	open_town(3);
	set("cleanup.policy", "delete");
	assert_int_equal(due_end(5000), -1);
	set("cleanup.policy", "compact,delete");
	assert_int_equal(due_end(5000), 40);
	town_sql("DELETE FROM config");
	assert_int_equal(due_end(5000), -1);
	town_sql("INSERT INTO config (kind, resource, name, value)"
		 " VALUES (4, '', 'log.cleanup.policy', 'compact')");
	assert_int_equal(due_end(5000), 40);
	town_close(&town);
}

/* --- jobs --------------------------------------------------------------------------------------
 */

static enum err take(int64_t agent, struct peer_key_job_response *ret)
{
	struct key_job_call call = {
		.coordinator = town.coordinator,
		.jobs = town.coordinator->key_jobs,
		.agent = agent,
		.response = ret,
	};
	enum err err = key_job_look(&call);

	if (!err)
		err = town_run(&town, key_job_run, &call);
	return !err && !key_job_granted(&call) ? ERR_NOT_FOUND : err;
}

static enum err swap_as(int64_t agent, const struct peer_key_swap_request *request)
{
	struct key_swap swap = { town.coordinator, town.coordinator->key_jobs, agent, request };

	return town_run(&town, key_swap_run, &swap);
}

/* From `base` to `last` there are two runs now. */
static struct peer_key_swap_request *swap_request(int64_t job, int64_t base, int64_t last,
						  struct peer_key_swap_request_run runs[static 2])
{
	static struct peer_key_swap_request request;

	runs[0] = (struct peer_key_swap_request_run) { base, base + 4, DATA_FILE_HEADER_BYTES, 30,
						       5 };
	runs[1] = (struct peer_key_swap_request_run) { base + 5, last, DATA_FILE_HEADER_BYTES + 30,
						       20, 6 };
	request = (struct peer_key_swap_request) {
		.job = job,
		.sequence = COMPACTION_SEQUENCE + 1,
		.size = 200,
		.base_offset = base,
		.last_offset = last,
		.runs = runs,
		.runs_count = 2,
	};
	return &request;
}

static size_t count_jobs(uint64_t later_ms)
{
	struct coordinator *c = town.coordinator;

	return key_jobs_count(c->key_jobs, loop_now_ms(c->loop) + later_ms);
}

/* L4: another agent, or another control, has the job. */
static void test_a_partition_has_one_job_and_an_agent_too(void **state)
{
	struct peer_key_job_response job, again;

	(void)state;
	open_town(4);
	assert_int_equal(count_jobs(0), 0);
	assert_int_equal(take(AGENT, &job), OK);
	assert_int_equal(count_jobs(0), 1);
	assert_int_equal(count_jobs(KEY_JOB_LEASE_MS + 1000), 0);
	assert_int_equal(job.partition, 1);
	assert_int_equal(job.clean, 0);
	assert_int_equal(job.end, 40);
	assert_int_equal(job.delete_retention_ms, CONFIG_DELETE_RETENTION_MS);
	assert_true(key_jobs_has(town.coordinator->key_jobs, job.job));
	assert_int_equal(take(OTHER_AGENT, &again), ERR_NOT_FOUND);
	assert_true(again.wait_ms > 0);
	assert_int_equal(take(AGENT, &again), OK); /* it has forgotten the first one */
	assert_true(again.job > job.job);
	assert_false(key_jobs_has(town.coordinator->key_jobs, job.job));
	key_jobs_forget(town.coordinator->key_jobs);
	struct peer_key_swap_request_run runs[2];
	assert_int_equal(swap_as(AGENT, swap_request(again.job, 0, 19, runs)), ERR_DENIED);
	town_close(&town);
}

static void test_runs_and_markers_of_a_stretch_are_replaced(void **state)
{
	struct peer_key_swap_request_run runs[2];
	struct peer_key_job_response job;

	(void)state;
	open_town(5);
	for (int offset = 12; offset <= 19; offset += 7)
		town_sql("INSERT INTO marker (partition, marker_offset, producer_id, epoch,"
			 " is_commit, first_offset, stable_offset, written_ms)"
			 " VALUES (1, %d, 9, 0, 0, 1, 40, 1)",
			 offset);
	assert_int_equal(take(AGENT, &job), OK);
	struct peer_key_swap_request *request = swap_request(job.job, 0, 19, runs);
	request->markers_end = 19;
	runs[1].max_timestamp = INT64_MAX; /* more than any record there has */
	assert_int_equal(swap_as(OTHER_AGENT, request), ERR_DENIED);
	assert_int_equal(swap_as(AGENT, request), OK);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM run WHERE last_offset <= 19"
					    " AND level = 4"),
			 2);
	assert_int_equal(town_number(&town, "SELECT max_timestamp FROM run WHERE last_offset = 4"),
			 5);
	assert_int_equal(town_number(&town, "SELECT max_timestamp FROM run WHERE last_offset = 19"),
			 2000);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM run"), 4);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM file WHERE dead_ms > 0"), 2);
	assert_int_equal(town_number(&town, "SELECT run_count FROM file WHERE level = 4"), 2);
	assert_int_equal(town_number(&town, "SELECT bytes FROM partition"), 250);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM marker"), 1);
	assert_int_equal(town_number(&town, "SELECT is_in_run FROM marker"), 1);
	assert_int_equal(due_end(5000), 40); /* the pass goes on */
	assert_int_equal(swap_as(AGENT,
				 &(struct peer_key_swap_request) { .job = job.job, .clean = 40 }),
			 OK);
	assert_int_equal(due_end(5000), -1);
	town_close(&town);
}

/* L5: records were deleted, or files compacted, meanwhile. */
static void test_a_stretch_whose_runs_have_changed_stays_as_it_is(void **state)
{
	struct peer_key_swap_request_run runs[2];
	struct peer_key_job_response job;

	(void)state;
	open_town(6);
	assert_int_equal(take(AGENT, &job), OK);
	assert_int_equal(swap_as(AGENT, swap_request(job.job, 0, 25, runs)), ERR_CONFLICT);
	assert_int_equal(swap_as(AGENT, swap_request(job.job, 5, 19, runs)), ERR_CONFLICT);
	struct peer_key_swap_request *request = swap_request(job.job, 0, 19, runs);
	runs[1].base_offset++; /* one is in no run */
	assert_int_equal(swap_as(AGENT, request), ERR_INVALID);
	request = swap_request(job.job, 0, 19, runs);
	request->size = 100;
	assert_int_equal(swap_as(AGENT, request), ERR_INVALID);
	request = swap_request(job.job, 0, 19, runs);
	request->markers_end = 30;
	assert_int_equal(swap_as(AGENT, request), ERR_INVALID);
	request = swap_request(job.job, 0, 19, runs);
	runs[0].last_offset = INT64_MAX;
	runs[1].base_offset = INT64_MIN;
	assert_int_equal(swap_as(AGENT, request), ERR_INVALID);
	request = swap_request(job.job, 30, 49, runs); /* behind the end of the pass */
	assert_int_equal(swap_as(AGENT, request), ERR_INVALID);
	town_sql("UPDATE partition SET log_start_offset = 20");
	assert_int_equal(swap_as(AGENT, swap_request(job.job, 0, 19, runs)), ERR_CONFLICT);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM run WHERE level = 0"), RUNS);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM file"), RUNS);
	town_close(&town);
}

/* L5: the topic was deleted, and another one has its rows. */
static void test_a_row_that_is_used_again_is_another_partition(void **state)
{
	struct peer_key_swap_request_run runs[2];
	struct peer_key_job_response job;

	(void)state;
	open_town(7);
	assert_int_equal(take(AGENT, &job), OK);
	town_sql("UPDATE topic SET topic_id = x'00112233445566778899aabbccddeeff'");
	assert_int_equal(swap_as(AGENT, swap_request(job.job, 0, 19, runs)), ERR_NOT_FOUND);
	assert_int_equal(swap_as(AGENT,
				 &(struct peer_key_swap_request) { .job = job.job, .clean = 40 }),
			 ERR_NOT_FOUND);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM run WHERE level = 0"), RUNS);
	assert_int_equal(town_number(&town, "SELECT count(*) FROM key_clean"), 0);
	town_close(&town);
}

/* Runs of ten records, the newest of 1000, 2000, 3000, 4000. */
static void test_a_run_is_as_old_as_those_it_replaces(void **state)
{
	static const struct {
		int64_t base, last, told;
		bool is_whole;
		int64_t bound;
	} cases[] = {
		{ 0, 9, INT64_MAX, true, 1000 }, { 0, 9, 7, true, 1000 },
		{ 0, 9, 7, false, 7 },		 { 0, 9, INT64_MIN, false, -1 },
		{ 0, 19, 0, true, 2000 },	 { 0, 19, 5000, true, 2000 },
		{ 5, 19, 1500, true, 2000 },	 { 5, 14, 1500, true, 1500 },
		{ 5, 14, 2500, true, 2000 },	 { 5, 14, INT64_MIN, true, -1 },
		{ 12, 25, 3500, false, 3000 },	 { 0, 39, 1, true, 4000 },
		{ 40, 49, INT64_MAX, true, -1 },
	};

	(void)state;
	open_town(8);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct runs_new run = { .partition = 1,
					.base_offset = cases[i].base,
					.last_offset = cases[i].last,
					.max_timestamp = cases[i].told };
		assert_int_equal(runs_bound_timestamp(leader_cell(town.leader), &run, 39,
						      cases[i].is_whole),
				 cases[i].bound);
	}
	town_close(&town);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pass_is_due_by_what_is_dirty_and_how_old_it_is),
		cmocka_unit_test(test_a_pass_ends_before_what_is_not_decided),
		cmocka_unit_test(test_only_topics_that_say_so_are_compacted),
		cmocka_unit_test(test_a_partition_has_one_job_and_an_agent_too),
		cmocka_unit_test(test_runs_and_markers_of_a_stretch_are_replaced),
		cmocka_unit_test(test_a_stretch_whose_runs_have_changed_stays_as_it_is),
		cmocka_unit_test(test_a_run_is_as_old_as_those_it_replaces),
		cmocka_unit_test(test_a_row_that_is_used_again_is_another_partition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
