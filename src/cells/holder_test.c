#include "cells/holder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/sealed.h"
#include "cells/cell_testing.h"
#include "cells/cluster_join.h"
#include "cells/journal_format.h"

struct rig {
	struct loop *loop;
	struct bucket *bucket;	   /* the first, or the only one */
	struct bucket *buckets[3]; /* all of them, where there are more */
	int bucket_count;
	struct task task;
	struct holder_find find;
	struct cluster_join join;
	const struct keyring *keys; /* to join with */
	bool joins, has_records;
};

static enum step rig_step(struct task *t)
{
	struct rig *r = CONTAINER(t, struct rig, task);
	struct uuid id = { .bytes = { 1, 2, 3 } };

	if (t->at == 1)
		return task_done(t, OK);
	if (r->joins)
		cluster_join(&r->join, t, r->bucket, id);
	r->join.keys = r->keys;
	r->join.has_records = r->has_records;
	if (!r->joins)
		holder_find(&r->find, t, r->buckets, r->bucket_count, "main");
	return task_wait(t, 1);
}

static const struct task_kind rig_kind = { .name = "rig", .step = rig_step };

static void rig_init_many(struct rig *r, int bucket_count)
{
	char why[TASK_WHY_BYTES];

	*r = (struct rig) { .loop = loop_new(0), .bucket_count = bucket_count };
	for (int k = 0; k < bucket_count; k++) {
		struct bucket *inner;

		assert_int_equal(bucket_open("memory:", &inner, why), OK);
		r->buckets[k] = fault_bucket_new(inner, 1);
	}
	r->bucket = r->buckets[0];
}

static void rig_init(struct rig *r)
{
	rig_init_many(r, 1);
}

static void rig_done(struct rig *r)
{
	for (int k = 0; k < r->bucket_count; k++)
		bucket_close(r->buckets[k]);
	loop_free(r->loop);
}

static void rig_run(struct rig *r)
{
	task_start_root(&r->task, &rig_kind, r->loop);
	loop_run(r->loop);
}

static void put_object_in(struct rig *r, struct bucket *bucket, enum journal_object_kind kind,
			  uint64_t counter, const char *address)
{
	char key[JOURNAL_KEY_BYTES];
	struct journal_object object = {
		.kind = kind,
		.epoch = { counter, 5 },
		.bucket_count = 1,
		.address = slice_from(address),
		.node = SLICE("node"),
	};

	if (kind == JOURNAL_OBJECT_MARK)
		journal_key_mark(key, "main", object.epoch, JOURNAL_RAW);
	else
		journal_key_start(key, "main", object.epoch);
	struct blob *body = journal_object_encode(&object);
	assert_int_equal(bucket_ask_put(r->loop, bucket, slice_from(key), blob_slice(body)), OK);
	blob_unref(&body);
}

static void put_object(struct rig *r, enum journal_object_kind kind, uint64_t counter,
		       const char *address)
{
	put_object_in(r, r->bucket, kind, counter, address);
}

/* As if this epoch had led on bucket `k`. */
static void put_leader(struct rig *r, int k, uint64_t counter, const char *address)
{
	put_object_in(r, r->buckets[k], JOURNAL_OBJECT_MARK, counter, address);
	put_object_in(r, r->buckets[k], JOURNAL_OBJECT_START, counter, address);
}

static void test_nobody_holds_a_journal_that_is_not_there(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	rig_run(&r);
	assert_int_equal(r.find.task.err, OK);
	assert_string_equal(r.find.address, "");
	rig_done(&r);
}

static void test_the_newest_start_record_names_the_holder(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	put_object(&r, JOURNAL_OBJECT_MARK, 1, "a:1");
	put_object(&r, JOURNAL_OBJECT_START, 1, "a:1");
	put_object(&r, JOURNAL_OBJECT_MARK, 2, "b:1");
	put_object(&r, JOURNAL_OBJECT_START, 2, "b:1");
	for (uint64_t counter = 3; counter < 9; counter++) /* candidates that never led */
		put_object(&r, JOURNAL_OBJECT_MARK, counter, "c:1");
	rig_run(&r);
	assert_int_equal(r.find.task.err, OK);
	assert_string_equal(r.find.address, "b:1");
	assert_string_equal(r.find.node, "node");
	assert_int_equal(r.find.epoch.counter, 2);
	rig_done(&r);
}

static void test_many_marks_are_listed_in_pages(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	for (uint64_t counter = 1; counter <= BUCKET_LIST_NAMES_MAX + 7; counter++)
		put_object(&r, JOURNAL_OBJECT_MARK, counter, "c:1");
	put_object(&r, JOURNAL_OBJECT_START, BUCKET_LIST_NAMES_MAX + 2, "z:1");
	rig_run(&r);
	assert_string_equal(r.find.address, "z:1");
	rig_done(&r);
}

static void test_the_highest_epoch_of_all_buckets_is_the_holder(void **state)
{
	(void)state;
	for (int away = 0; away < 3; away++) { /* while its bucket was away, others led */
		struct rig r;

		rig_init_many(&r, 3);
		for (int k = 0; k < 3; k++)
			put_leader(&r, k, 1, "old:1");
		for (int k = 0; k < 3; k++)
			if (k != away)
				put_leader(&r, k, 2, "new:1");
		rig_run(&r);
		assert_int_equal(r.find.task.err, OK);
		assert_string_equal(r.find.address, "new:1");
		assert_int_equal(r.find.epoch.counter, 2);
		rig_done(&r);
	}
}

static void test_a_bucket_that_cannot_be_read_is_done_without(void **state)
{
	(void)state;
	for (int bad = 0; bad < 3; bad++) {
		struct rig r;

		rig_init_many(&r, 3);
		for (int k = 0; k < 3; k++)
			put_leader(&r, k, 7, "a:1");
		fault_add(r.buckets[bad], &(struct fault) { .effect = FAULT_BEFORE });
		rig_run(&r);
		assert_int_equal(r.find.task.err, OK);
		assert_string_equal(r.find.address, "a:1");
		rig_done(&r);
	}
}

static void test_a_bucket_that_hangs_is_not_waited_for_long(void **state)
{
	struct rig r;

	(void)state;
	rig_init_many(&r, 3);
	for (int k = 0; k < 3; k++)
		put_leader(&r, k, 7, "a:1");
	fault_add(r.buckets[0], &(struct fault) { .effect = FAULT_HOLD });
	uint64_t begin_ms = clock_now_ms();
	rig_run(&r);
	assert_int_equal(r.find.task.err, OK);
	assert_string_equal(r.find.address, "a:1");
	assert_true(clock_now_ms() - begin_ms < HOLDER_MS / 2);
	rig_done(&r);
}

static void test_when_no_bucket_can_be_read_that_is_said(void **state)
{
	struct rig r;

	(void)state;
	rig_init_many(&r, 3);
	for (int k = 0; k < 3; k++)
		fault_add(r.buckets[k], &(struct fault) { .effect = FAULT_BEFORE, .err = ERR_IO });
	rig_run(&r);
	assert_int_equal(r.find.task.err, ERR_IO);
	rig_done(&r);
}

static void test_an_empty_bucket_is_not_that_of_a_cluster_with_records(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.joins = r.has_records = true;
	rig_run(&r);
	assert_int_equal(r.join.task.err, ERR_INVALID);
	assert_non_null(strstr(r.join.task.why, "is empty, and this cluster has records"));
	r.has_records = false;
	rig_run(&r);
	assert_int_equal(r.join.task.err, OK);
	r.has_records = true;
	rig_run(&r);
	assert_int_equal(r.join.task.err, OK);
	rig_done(&r);
}

static void test_an_empty_bucket_is_joined_and_known_again(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.joins = true;
	rig_run(&r);
	assert_int_equal(r.join.task.err, OK);
	rig_run(&r);
	assert_int_equal(r.join.task.err, OK);
	rig_done(&r);
}

static void test_who_joins_at_the_same_time_as_another_is_no_stranger(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.joins = true;
	rig_run(&r);
	assert_int_equal(r.join.task.err, OK);
	fault_add(r.bucket, &(struct fault) { .effect = FAULT_BEFORE, /* it was not there yet */
					      .err = ERR_NOT_FOUND,
					      .verbs = FAULT_VERB(BUCKET_GET),
					      .count = 1 });
	rig_run(&r);
	assert_int_equal(r.join.task.err, OK);
	assert_int_equal(fault_strike_count(r.bucket), 1);
	rig_done(&r);
}

static void test_a_bucket_of_somebody_else_is_refused(void **state)
{
	struct rig r;
	struct buf body;
	struct cluster other = { .id = { 9 } };

	(void)state;
	rig_init(&r);
	r.joins = true;
	assert_int_equal(bucket_ask_put(r.loop, r.bucket, SLICE("holiday.jpg"), SLICE("x")), OK);
	rig_run(&r);
	assert_int_equal(r.join.task.err, ERR_INVALID);

	buf_init(&body);
	cluster_encode(&other, &body);
	assert_int_equal(bucket_ask_put(r.loop, r.bucket, SLICE("v1/cluster"), buf_slice(&body)),
			 OK);
	buf_done(&body);
	rig_run(&r);
	assert_int_equal(r.join.task.err, ERR_INVALID);
	assert_non_null(strstr(r.join.task.why, "another cluster"));
	rig_done(&r);
}

static void test_a_sealed_bucket_is_joined_with_its_keys_only(void **state)
{
	static const uint8_t root[KEY_BYTES] = { 1 }, other_root[KEY_BYTES] = { 2 };
	struct keyring whole, part, others;
	struct blob *body = NULL;
	struct rig r;

	(void)state;
	keyring_from_root(&whole, root);
	keyring_from_root(&others, other_root);
	assert_int_equal(keyring_for_role(&whole, KEY_ROLE_STREAMS, &part), OK);
	rig_init(&r);
	r.joins = true;
	r.bucket = r.buckets[0] = sealed_bucket_new(r.bucket, keyring_get(&part, KEY_DATA));
	r.keys = &part;
	rig_run(&r); /* it was empty */
	assert_int_equal(r.join.task.err, OK);
	rig_run(&r);
	assert_int_equal(r.join.task.err, OK);
	assert_int_equal(bucket_ask_get(r.loop, sealed_inner(r.bucket), SLICE("v1/cluster"), &body),
			 OK);
	assert_memory_equal(body->data, "HANSECLU", 8); /* below the seal */
	blob_unref(&body);
	r.keys = &others;
	rig_run(&r);
	assert_int_equal(r.join.task.err, ERR_DENIED);
	r.keys = NULL;
	rig_run(&r);
	assert_int_equal(r.join.task.err, ERR_DENIED);
	assert_non_null(strstr(r.join.task.why, "--key-file"));
	rig_done(&r);
}

static enum err insert(struct cell *c, void *argument)
{
	(void)argument;
	return cell_execute(c, cell_statement(c, "INSERT INTO t (v) VALUES ('x')"));
}

static void test_a_follower_starts_from_an_image_and_takes_the_next_record(void **state)
{
	static const struct cell_schema schema = { "s", 1, "CREATE TABLE t (v TEXT)" };
	struct cell *leader = cell_new("c"), *follower = cell_new("c");
	struct follower_image image;
	struct buf record, bytes;
	char why[CELL_WHY_BYTES];

	(void)state;
	buf_init(&record);
	assert_int_equal(cell_change_schema(leader, &schema, why), OK);
	assert_int_equal(cell_run(leader, insert, NULL), OK);
	cell_seal(leader, 5, &record);
	follower_image_take(leader, NULL, &image);
	buf_init(&bytes);
	testing_gather(&image, &bytes);
	follower_image_done(&image);
	buf_clear(&record);
	assert_int_equal(cell_run(leader, insert, NULL), OK);
	cell_seal(leader, 6, &record);

	assert_int_equal(follower_image_load(follower, slice_part(buf_slice(&bytes), 0, 20), why),
			 ERR_CORRUPT);
	assert_int_equal(follower_image_load(follower, buf_slice(&bytes), why), OK);
	assert_int_equal(cell_apply(follower, buf_slice(&record), why), OK);
	assert_true(hash128_equal(cell_hash(leader), cell_hash(follower)));
	buf_done(&bytes);
	buf_done(&record);
	cell_free(leader);
	cell_free(follower);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_holds_a_journal_that_is_not_there),
		cmocka_unit_test(test_the_newest_start_record_names_the_holder),
		cmocka_unit_test(test_many_marks_are_listed_in_pages),
		cmocka_unit_test(test_the_highest_epoch_of_all_buckets_is_the_holder),
		cmocka_unit_test(test_a_bucket_that_cannot_be_read_is_done_without),
		cmocka_unit_test(test_a_bucket_that_hangs_is_not_waited_for_long),
		cmocka_unit_test(test_when_no_bucket_can_be_read_that_is_said),
		cmocka_unit_test(test_an_empty_bucket_is_not_that_of_a_cluster_with_records),
		cmocka_unit_test(test_an_empty_bucket_is_joined_and_known_again),
		cmocka_unit_test(test_a_sealed_bucket_is_joined_with_its_keys_only),
		cmocka_unit_test(test_who_joins_at_the_same_time_as_another_is_no_stranger),
		cmocka_unit_test(test_a_bucket_of_somebody_else_is_refused),
		cmocka_unit_test(test_a_follower_starts_from_an_image_and_takes_the_next_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
