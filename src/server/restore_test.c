#include "server/restore.h"

#include "buckets/bucket_ask.h"
#include "cells/cluster.h"
#include "cells/leader_testing.h"
#include "server/control_role.h"
#include "wire/kafka/record_batch_build.h"
#include "wire/streams/data_file.h"

enum { RECORDS = 10 }; /* a batch */

/* A leader that once was, a journal and data files in one bucket in memory. */
struct rig {
	struct world world;
	struct node node;
	struct bucket *bucket; /* a handle of its own */
	struct arena arena;
	struct cluster cluster;
	struct restore_config config;
	struct restore_report report;
	char why[RESTORE_WHY_BYTES];
};

static const struct uuid orders = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

/* --- what the former leader did ----------------------------------------------------------------
 */

struct fill {
	struct task task;
	struct leader_call call;
	struct rig *rig;
	const char *const *statements;
	bool is_done;
};

static enum err fill_run(struct cell *c, void *argument)
{
	const struct fill *f = argument;
	enum err err = OK;

	for (const char *const *sql = f->statements; *sql && !err; sql++)
		err = cell_execute(c, cell_statement(c, *sql));
	return err;
}

static enum step fill_step(struct task *t)
{
	struct fill *f = CONTAINER(t, struct fill, task);

	if (t->at == 0) {
		leader_run(&f->call, t, f->rig->node.leader, fill_run, f);
		return task_wait(t, 1);
	}
	f->is_done = true;
	world_changed(&f->rig->world);
	return task_done(t, f->call.task.err);
}

static const struct task_kind fill_kind = { .name = "fill", .step = fill_step };

static enum err fill(struct rig *r, const char *const *statements)
{
	struct fill f = { .rig = r, .statements = statements };

	task_start_root(&f.task, &fill_kind, r->world.loop);
	assert_true(wait_for(&r->world, &f.is_done, TESTING_PATIENCE_MS));
	return f.task.err;
}

/* One batch of RECORDS, for partition 0 of `orders`. */
static void put_file(struct rig *r, uint64_t incarnation, uint64_t sequence, uint64_t named)
{
	struct record records[RECORDS] = { 0 };
	char key[DATA_FILE_KEY_BYTES + 1];
	struct data_file_writer w;
	struct record_batch batch;
	struct buf bytes;

	for (int i = 0; i < RECORDS; i++)
		records[i].value = SLICE("value");
	buf_init(&bytes);
	record_batch_build(&bytes, &RECORD_BATCH_PLAIN, records, RECORDS);
	struct blob *holder = blob_from(buf_slice(&bytes));
	struct slice rest = blob_slice(holder);
	assert_int_equal(record_batch_next(&rest, &batch), OK);
	data_file_writer_init(&w);
	assert_int_equal(data_file_writer_add(&w, orders.bytes, 0, &batch, holder), OK);
	struct data_file_header header = { .incarnation = incarnation, .sequence = sequence };
	memcpy(header.cluster_id, r->cluster.id, sizeof(header.cluster_id));
	data_file_writer_finish(&w, &header);
	buf_clear(&bytes);
	for (size_t i = 0; i < w.slice_count; i++)
		buf_add_slice(&bytes, w.slices[i]);
	data_file_key(key, incarnation, named);
	assert_int_equal(bucket_ask_put(r->world.loop, r->bucket, slice_from(key),
					buf_slice(&bytes)),
			 OK);
	data_file_writer_done(&w);
	blob_unref(&holder);
	buf_done(&bytes);
}

static int64_t file_size(struct rig *r, uint64_t sequence)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	uint64_t size = 0;

	data_file_key(key, 1, sequence);
	assert_int_equal(bucket_ask_head(r->world.loop, r->bucket, slice_from(key), &size), OK);
	return (int64_t)size;
}

/* A topic of one partition with two files of RECORDS each, and a group that has read the first. */
static void fill_catalog(struct rig *r)
{
	char file[300], run[300];
	int64_t size, body;

	put_file(r, 1, 1, 1);
	put_file(r, 1, 2, 2);
	size = file_size(r, 1);
	body = size - DATA_FILE_HEADER_BYTES - DATA_FILE_ENTRY_BYTES - 4 - DATA_FILE_TRAILER_BYTES;
	snprintf(file, sizeof(file),
		 "INSERT INTO file (id, incarnation, sequence, size, run_count, committed_ms)"
		 " VALUES (1, 1, 1, %lld, 1, 5), (2, 1, 2, %lld, 1, 6)",
		 (long long)size, (long long)size);
	snprintf(run, sizeof(run),
		 "INSERT INTO run (partition, last_offset, base_offset, file, position, size,"
		 " max_timestamp) VALUES (1, 9, 0, 1, 64, %lld, 5), (1, 19, 10, 2, 64, %lld, 6)",
		 (long long)body, (long long)body);
	const char *const statements[] = {
		"INSERT INTO counter (name, next) VALUES ('incarnation', 2)",
		"INSERT INTO topic (id, topic_id, name, partition_count, created_ms)"
		" VALUES (1, x'0102030405060708090a0b0c0d0e0f10', 'orders', 1, 5)",
		"INSERT INTO partition (id, topic, number, log_start_offset, high_watermark,"
		" leader_epoch, bytes) VALUES (1, 1, 0, 0, 20, 0, 100)",
		"INSERT INTO consumer_group (id, name, state, generation, protocol_type,"
		" updated_ms) VALUES (1, 'readers', 0, 0, '', 5)",
		"INSERT INTO group_offset (consumer_group, topic, partition, committed_offset,"
		" leader_epoch, metadata, commit_ms) VALUES (1, 1, 0, 10, 0, '', 5)",
		file,
		run,
		NULL,
	};
	assert_int_equal(fill(r, statements), OK);
}

static void rig_lead(struct rig *r)
{
	node_open(&r->node, &r->world, "a");
	r->node.config.cell_name = CONTROL_CELL;
	r->node.config.schema = catalog_schema;
	r->node.config.schema_count = catalog_schema_count;
	node_campaign(&r->node);
	assert_true(wait_for(&r->world, &r->node.is_decided, TESTING_PATIENCE_MS));
	assert_true(r->node.is_leading);
}

static void rig_open_class(struct rig *r, const char *class)
{
	char url[64], why[TASK_WHY_BYTES];
	struct buf body;

	memset(r, 0, sizeof(*r));
	arena_init(&r->arena);
	world_open(&r->world, 1, class, 1);
	snprintf(url, sizeof(url), "memory:leader%d-0?class=%s", r->world.number, class);
	assert_int_equal(bucket_open(url, &r->bucket, why), OK);
	memset(r->cluster.id, 7, sizeof(r->cluster.id));
	buf_init(&body);
	cluster_encode(&r->cluster, &body);
	assert_int_equal(bucket_ask_put(r->world.loop, r->bucket, SLICE(CLUSTER_KEY),
					buf_slice(&body)),
			 OK);
	buf_done(&body);
	rig_lead(r);
	fill_catalog(r);
	r->config = (struct restore_config) {
		.journals = &r->bucket,
		.journal_count = 1,
		.bucket = r->bucket,
		.host = "new",
	};
}

static void rig_open(struct rig *r)
{
	rig_open_class(r, "cas");
}

static void rig_close(struct rig *r)
{
	bucket_close(r->bucket);
	world_close(&r->world);
	arena_done(&r->arena);
}

static enum err restore(struct rig *r)
{
	enum err err = restore_run(&r->arena, &r->config, &r->report, r->why);

	if (err)
		assert_string_not_equal(r->why, "");
	return err;
}

static void data_key(uint64_t sequence, char ret[DATA_FILE_KEY_BYTES + 1])
{
	data_file_key(ret, 1, sequence);
}

static void delete_file(struct rig *r, uint64_t sequence)
{
	char key[DATA_FILE_KEY_BYTES + 1];

	data_key(sequence, key);
	assert_int_equal(bucket_ask_delete(r->world.loop, r->bucket, slice_from(key)), OK);
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void check_is_whole(const struct rig *r)
{
	const struct survey *s = &r->report.survey;

	assert_int_equal(r->report.loss_count, 0);
	assert_int_equal(r->report.bad_count, 0);
	assert_int_equal(s->topic_count, 1);
	assert_true(slice_equal(s->topics[0].name, SLICE("orders")));
	assert_int_equal(s->record_count, 2 * RECORDS);
	assert_int_equal(s->partition_count, 1);
	assert_int_equal(s->file_count, 2);
	assert_int_equal(s->group_count, 1);
	assert_int_equal(s->groups[0].offset_count, 1);
	assert_int_equal(s->groups[0].offsets[0].committed_offset, RECORDS);
	assert_int_equal(s->groups[0].offsets[0].next_offset, 2 * RECORDS);
	assert_memory_equal(r->report.cluster_id.bytes, r->cluster.id, sizeof(r->cluster.id));
}

static void test_everything_comes_back_after_a_crash(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	node_crash(&r.node);
	assert_int_equal(restore(&r), OK);
	check_is_whole(&r);
	r.config.is_deep = true;
	assert_int_equal(restore(&r), OK);
	check_is_whole(&r);
	rig_close(&r);
}

static void test_a_leader_that_still_runs_is_fenced_for_good(void **state)
{
	const char *const statements[] = { "UPDATE partition SET bytes = 101", NULL };
	static const char *const classes[] = { "cas", "raw" };

	(void)state;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		struct rig r;
		rig_open_class(&r, classes[i]);
		assert_int_equal(restore(&r), OK);
		check_is_whole(&r);
		assert_int_not_equal(fill(&r, statements), OK);
		assert_true(r.node.is_lost);
		node_stop(&r.node);
		rig_close(&r);
	}
}

static void test_a_dry_run_reads_the_same_and_writes_nothing(void **state)
{
	static const char *const classes[] = { "cas", "raw" };

	(void)state;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		struct slice *before, *after;
		size_t before_count, after_count;
		bool more;
		struct rig r;

		rig_open_class(&r, classes[i]);
		node_crash(&r.node);
		struct loop *loop = r.world.loop;
		assert_int_equal(bucket_ask_list(loop, r.bucket, &r.arena, SLICE(""), SLICE(""),
						 &before, &before_count, &more),
				 OK);
		r.config.is_dry = true;
		assert_int_equal(restore(&r), OK);
		check_is_whole(&r);
		uint64_t index = r.report.index;
		assert_int_equal(bucket_ask_list(loop, r.bucket, &r.arena, SLICE(""), SLICE(""),
						 &after, &after_count, &more),
				 OK);
		assert_int_equal(before_count, after_count);
		for (size_t k = 0; k < before_count; k++)
			assert_true(slice_equal(before[k], after[k]));
		r.config.is_dry = false;
		assert_int_equal(restore(&r), OK);
		assert_int_equal(r.report.index, index);
		r.config.is_dry = true; /* now there is an epoch without records, and a seal */
		assert_int_equal(restore(&r), OK);
		assert_int_equal(r.report.index, index);
		rig_close(&r);
	}
}

static void test_a_missing_file_is_told_as_offsets(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	node_crash(&r.node);
	delete_file(&r, 2);
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.loss_count, 1);
	assert_int_equal(r.report.lost_records, RECORDS);
	assert_int_equal(r.report.bad_count, 1);
	assert_true(slice_equal(r.report.losses[0].topic, SLICE("orders")));
	assert_int_equal(r.report.losses[0].first_offset, 10);
	assert_int_equal(r.report.losses[0].last_offset, 19);
	assert_string_equal(r.report.losses[0].what, "is not in the bucket");
	rig_close(&r);
}

static void test_a_file_of_another_size_is_told(void **state)
{
	char key[DATA_FILE_KEY_BYTES + 1];
	struct rig r;

	(void)state;
	rig_open(&r);
	node_crash(&r.node);
	delete_file(&r, 1);
	data_key(1, key);
	assert_int_equal(bucket_ask_put(r.world.loop, r.bucket, slice_from(key), SLICE("short")),
			 OK);
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.loss_count, 1);
	assert_int_equal(r.report.losses[0].first_offset, 0);
	rig_close(&r);
}

/* Their sizes and checksums are right; only a deep look sees it. */
static void test_files_that_were_swapped_are_seen_by_a_deep_look(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	node_crash(&r.node);
	delete_file(&r, 1);
	delete_file(&r, 2);
	put_file(&r, 1, 1, 2);
	put_file(&r, 1, 2, 1);
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.loss_count, 0);
	r.config.is_deep = true;
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.loss_count, 2);
	assert_string_equal(r.report.losses[0].what, "is damaged");
	rig_close(&r);
}

static void test_a_journal_older_than_the_records_is_told(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	node_crash(&r.node);
	put_file(&r, 1, 3, 3); /* was on its way */
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.stray_count, 1);
	assert_int_equal(r.report.newer_count, 0);
	put_file(&r, 2, 1, 1); /* of an agent that the journal never admitted */
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.stray_count, 2);
	assert_int_equal(r.report.newer_count, 1);
	rig_close(&r);
}

static void test_offsets_that_no_file_holds_are_told(void **state)
{
	const char *const statements[] = { "DELETE FROM run WHERE base_offset = 0",
					   "UPDATE file SET run_count = 0 WHERE id = 1", NULL };
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(fill(&r, statements), OK);
	node_crash(&r.node);
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.loss_count, 1);
	assert_int_equal(r.report.losses[0].first_offset, 0);
	assert_int_equal(r.report.losses[0].last_offset, 9);
	assert_null(r.report.losses[0].key);
	rig_close(&r);
}

static void test_a_deleted_topic_is_not_missed(void **state)
{
	const char *const statements[] = { "UPDATE topic SET deleted_ms = 5", NULL };
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_int_equal(fill(&r, statements), OK);
	node_crash(&r.node);
	delete_file(&r, 1);
	assert_int_equal(restore(&r), OK);
	assert_int_equal(r.report.loss_count, 0);
	assert_int_equal(r.report.bad_count, 0);
	assert_int_equal(r.report.survey.topic_count, 0);
	rig_close(&r);
}

static void test_an_empty_bucket_is_refused_and_stays_empty(void **state)
{
	struct bucket *empty;
	struct slice *names;
	char why[TASK_WHY_BYTES];
	size_t count;
	bool more;
	struct rig r;

	(void)state;
	rig_open(&r);
	node_crash(&r.node);
	assert_int_equal(bucket_open("memory:", &empty, why), OK);
	r.config.journals = &empty;
	assert_int_equal(restore(&r), ERR_NOT_FOUND);
	assert_int_equal(bucket_ask_list(r.world.loop, empty, &r.arena, SLICE(""), SLICE(""),
					 &names, &count, &more),
			 OK);
	assert_int_equal(count, 0);
	r.config.journals = &r.bucket; /* the journal is there, the records are elsewhere */
	r.config.bucket = empty;
	assert_int_equal(restore(&r), ERR_INVALID);
	bucket_close(empty);
	rig_close(&r);
}

static void test_a_gap_in_the_journal_is_no_beginning(void **state)
{
	struct slice *names;
	size_t count;
	bool more;
	struct rig r;

	(void)state;
	rig_open(&r);
	node_crash(&r.node);
	assert_int_equal(bucket_ask_list(r.world.loop, r.bucket, &r.arena, SLICE("v1/j/main/e/"),
					 SLICE(""), &names, &count, &more),
			 OK);
	for (size_t i = 0; i < count; i++) /* the first record; the second one stays */
		if (slice_starts_with(slice_part(names[i], names[i].size - 4, 4), SLICE("/001")))
			assert_int_equal(bucket_ask_delete(r.world.loop, r.bucket, names[i]), OK);
	assert_int_not_equal(restore(&r), OK);
	rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_comes_back_after_a_crash),
		cmocka_unit_test(test_a_leader_that_still_runs_is_fenced_for_good),
		cmocka_unit_test(test_a_dry_run_reads_the_same_and_writes_nothing),
		cmocka_unit_test(test_a_missing_file_is_told_as_offsets),
		cmocka_unit_test(test_a_file_of_another_size_is_told),
		cmocka_unit_test(test_files_that_were_swapped_are_seen_by_a_deep_look),
		cmocka_unit_test(test_a_journal_older_than_the_records_is_told),
		cmocka_unit_test(test_offsets_that_no_file_holds_are_told),
		cmocka_unit_test(test_a_deleted_topic_is_not_missed),
		cmocka_unit_test(test_an_empty_bucket_is_refused_and_stays_empty),
		cmocka_unit_test(test_a_gap_in_the_journal_is_no_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
