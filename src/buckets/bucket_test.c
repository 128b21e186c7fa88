/* The contract of bucket.h, checked with every kind of bucket. */
#include "buckets/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/hedge.h"
#include "buckets/memory.h"
#include "buckets/s3_store_testing.h"
#include "buckets/sealed.h"

enum { PATH_BYTES = 64, URL_BYTES = 128, OPS_AT_ONCE = 64 };

struct place {
	struct loop *loop;
	struct bucket *bucket;
	struct arena arena;
	char directory[PATH_BYTES];
	const char *kind;
	struct store_process store; /* of an S3 bucket */
};

static void open_place(struct place *p, const char *scheme, const char *query)
{
	char url[URL_BYTES], why[TASK_WHY_BYTES] = "";

	snprintf(url, sizeof(url), "%s%s%s", scheme, p->directory, query);
	assert_int_equal(bucket_open(url, &p->bucket, why), OK);
	assert_string_equal(why, "");
}

static int set_up(void **state, const char *kind, bool on_disk, const char *query)
{
	static int number;
	struct place *p = NEW(struct place);

	if (on_disk) {
		snprintf(p->directory, sizeof(p->directory), "/tmp/hanse-bucket-%d-%d", getpid(),
			 ++number);
		assert_int_equal(mkdir(p->directory, 0700), 0);
	}
	p->kind = kind;
	p->loop = loop_new(1);
	arena_init(&p->arena);
	open_place(p, kind, query);
	*state = p;
	return 0;
}

static int set_up_directory(void **state)
{
	return set_up(state, "file:", true, "?class=cas");
}

static int set_up_memory(void **state)
{
	return set_up(state, "memory:", false, "");
}

static int set_up_slow_memory(void **state)
{
	return set_up(state, "memory:", false, "?latency_ms=1");
}

static int set_up_fault(void **state)
{
	int result;

	assert_int_equal(setenv("HANSE_TEST_FAULTS", "1", 1), 0);
	result = set_up(state, "fault:memory:", false, "?fault_delay_ms=1");
	assert_int_equal(unsetenv("HANSE_TEST_FAULTS"), 0);
	return result;
}

static void seal(void **state)
{
	static const uint8_t key[SEALED_KEY_BYTES] = { 1, 2, 3 };
	struct place *p = *state;

	p->bucket = sealed_bucket_new(p->bucket, key);
}

static int set_up_sealed_memory(void **state)
{
	set_up_slow_memory(state);
	seal(state);
	return 0;
}

static int set_up_sealed_directory(void **state)
{
	set_up_directory(state);
	seal(state);
	return 0;
}

/* Some requests are late, and are overtaken. */
static int set_up_hedged_memory(void **state)
{
	set_up_memory(state);
	struct place *p = *state;

	p->bucket = fault_bucket_new(p->bucket, 1);
	fault_set_store(p->bucket, &(struct fault_store) {
					   .put = { 1, 3 }, .slow_ppm = 100000, .slow_ms = 100 });
	p->bucket = hedge_bucket_if_far(p->bucket);
	return 0;
}

/* Class cas: only there can an S3 store refuse other bytes under a used name. */
static int set_up_s3(void **state)
{
	struct place *p = NEW(struct place);
	char query[URL_BYTES];

	store_start(&p->store);
	p->kind = "s3://bucket/some/prefix";
	p->loop = loop_new(1);
	arena_init(&p->arena);
	snprintf(query, sizeof(query), "?class=cas&endpoint=http://127.0.0.1:%d",
		 p->store.control->port);
	open_place(p, p->kind, query);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[URL_BYTES];

	hedge_finish(p->bucket, p->loop);
	bucket_close(p->bucket);
	loop_free(p->loop);
	arena_done(&p->arena);
	snprintf(command, sizeof(command), "rm -rf %s", p->directory);
	if (p->directory[0])
		assert_int_equal(system(command), 0);
	if (p->store.pid)
		store_stop(&p->store);
	memory_free(p);
	return 0;
}

static void put_text(struct place *p, const char *key, const char *body)
{
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, slice_from(key), slice_from(body)), OK);
}

static void assert_holds(struct place *p, const char *key, const char *body)
{
	struct blob *got = NULL;

	assert_int_equal(bucket_ask_get(p->loop, p->bucket, slice_from(key), &got), OK);
	assert_int_equal(got->size, strlen(body));
	assert_memory_equal(got->data, body, got->size);
	blob_unref(&got);
}

static void assert_lists(struct place *p, const char *prefix, const char *after,
			 const char *expected)
{
	char text[1024] = "";
	size_t used = 0, count = 0;
	struct slice *names = NULL;
	bool more = true;

	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &p->arena, slice_from(prefix),
					 slice_from(after), &names, &count, &more),
			 OK);
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.*s", i ? " " : "",
					 SLICE_ARG(names[i]));
	assert_string_equal(text, expected);
	assert_false(more);
}

/* --- put, get, head ------------------------------------------------------------------------- */
static void test_what_was_put_is_read_back(void **state)
{
	struct place *p = *state;
	uint64_t size = 0;

	put_text(p, "v1/cluster", "hello");
	put_text(p, "empty", "");
	assert_holds(p, "v1/cluster", "hello");
	assert_holds(p, "empty", "");
	assert_int_equal(bucket_ask_head(p->loop, p->bucket, SLICE("v1/cluster"), &size), OK);
	assert_int_equal(size, 5);
}

static void test_a_put_gathers_its_pieces_in_order(void **state)
{
	struct place *p = *state;
	enum { PIECES = 3000, BYTES = 997 };
	struct slice *pieces = memory_take_array(PIECES, sizeof(*pieces));
	uint8_t *body = memory_take(PIECES * BYTES);
	struct prng random = { 7 };
	struct bucket_ask ask;
	struct blob *got = NULL;
	size_t size = 0;

	for (size_t i = 0; i < PIECES * BYTES; i++)
		body[i] = (uint8_t)prng_next(&random);
	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = (struct slice) { body + size, prng_below(&random, BYTES) };
		size += pieces[i].size;
	}
	struct bucket_op op = {
		.verb = BUCKET_PUT, .key = SLICE("p"), .pieces = pieces, .piece_count = PIECES
	};
	assert_int_equal(bucket_ask(&ask, p->loop, p->bucket, &op), OK);
	assert_int_equal(bucket_ask(&ask, p->loop, p->bucket, &op), OK); /* and compares so */
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("p"), &got), OK);
	assert_int_equal(got->size, size);
	assert_memory_equal(got->data, body, size);
	blob_unref(&got);
	memory_free(pieces);
	memory_free(body);
}

static void test_a_get_gives_the_part_asked_for(void **state)
{
	struct place *p = *state;
	static const struct {
		uint64_t offset, size_max;
		const char *expected;
	} rows[] = {
		{ 0, 4, "0123" },      { 3, 4, "3456" },
		{ 8, 4, "89" },	       { 10, 4, "" },
		{ 11, 1, "" },	       { 0, 0, "" },
		{ UINT64_MAX, 1, "" }, { 1, UINT64_MAX, "123456789" },
	};

	put_text(p, "digits", "0123456789");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct bucket_op op = { .verb = BUCKET_GET,
					.key = SLICE("digits"),
					.offset = rows[i].offset,
					.size_max = rows[i].size_max };
		struct bucket_ask ask;

		assert_int_equal(bucket_ask(&ask, p->loop, p->bucket, &op), OK);
		assert_int_equal(ask.op.ret_size, 10);
		assert_int_equal(ask.op.ret_body->size, strlen(rows[i].expected));
		assert_memory_equal(ask.op.ret_body->data, rows[i].expected, ask.op.ret_body->size);
		blob_unref(&ask.op.ret_body);
	}
}

static void test_what_is_not_there_is_not_found(void **state)
{
	struct place *p = *state;
	struct blob *got = NULL;
	uint64_t size = 0;

	put_text(p, "a/b/c", "x");
	static const char *const absent[] = { "nothing", "a", "a/b", "a/b/c/d", "a/x/c", "x/y/z" };
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		struct slice key = slice_from(absent[i]);

		assert_int_equal(bucket_ask_get(p->loop, p->bucket, key, &got), ERR_NOT_FOUND);
		assert_int_equal(bucket_ask_head(p->loop, p->bucket, key, &size), ERR_NOT_FOUND);
		assert_int_equal(bucket_ask_delete(p->loop, p->bucket, key), OK);
	}
	assert_null(got);
	assert_holds(p, "a/b/c", "x");
}

/* --- names are used once --------------------------------------------------------------------- */
static void test_an_identical_retry_is_harmless_and_another_body_is_refused(void **state)
{
	struct place *p = *state;

	put_text(p, "d/once", "first");
	put_text(p, "d/once", "first");
	struct slice key = SLICE("d/once");
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, key, SLICE("other")), ERR_CONFLICT);
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, key, SLICE("firs")), ERR_CONFLICT);
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, key, SLICE("")), ERR_CONFLICT);
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, key, SLICE("first!")), ERR_CONFLICT);
	assert_holds(p, "d/once", "first");
}

static void test_put_new_is_won_by_the_first(void **state)
{
	struct place *p = *state;
	struct slice key = SLICE("v1/j/fence");

	assert_int_equal(bucket_ask_put_new(p->loop, p->bucket, key, SLICE("a")), OK);
	assert_int_equal(bucket_ask_put_new(p->loop, p->bucket, key, SLICE("b")), ERR_EXISTS);
	assert_int_equal(bucket_ask_put_new(p->loop, p->bucket, key, SLICE("a")), ERR_EXISTS);
	assert_holds(p, "v1/j/fence", "a");
}

static void test_a_key_cannot_be_the_directory_of_another(void **state)
{
	struct place *p = *state;

	put_text(p, "one/two", "x");
	put_text(p, "file", "x");
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, SLICE("one"), SLICE("x")),
			 ERR_CONFLICT);
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, SLICE("file/x"), SLICE("x")),
			 ERR_CONFLICT);
}

static void test_a_deleted_object_is_gone_and_deleting_again_is_fine(void **state)
{
	struct place *p = *state;
	uint64_t size;

	put_text(p, "gone/soon", "x");
	put_text(p, "gone/later", "x");
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, SLICE("gone/soon")), OK);
	assert_int_equal(bucket_ask_head(p->loop, p->bucket, SLICE("gone/soon"), &size),
			 ERR_NOT_FOUND);
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, SLICE("gone/soon")), OK);
	assert_lists(p, "", "", "gone/later");
}

/* --- list ------------------------------------------------------------------------------------ */
static void test_names_come_sorted_by_their_bytes(void **state)
{
	struct place *p = *state;
	static const char *const keys[] = { "ab",	 "a/b",	   "a.b",    "a-b/c", "a0/x",
					    "v1/d/2f/y", "v1/d/2", "v1/d.x", "v2",    "Z" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		put_text(p, keys[i], "x");
	assert_lists(p, "", "", "Z a-b/c a.b a/b a0/x ab v1/d.x v1/d/2 v1/d/2f/y v2");
	assert_lists(p, "a", "", "a-b/c a.b a/b a0/x ab");
	assert_lists(p, "a/", "", "a/b");
	assert_lists(p, "v1/d", "", "v1/d.x v1/d/2 v1/d/2f/y");
	assert_lists(p, "v1/d/", "", "v1/d/2 v1/d/2f/y");
	assert_lists(p, "v1/d/2", "", "v1/d/2 v1/d/2f/y");
	assert_lists(p, "v1/d/2f/y", "", "v1/d/2f/y");
	assert_lists(p, "v1/d/2f/y/z", "", "");
	assert_lists(p, "no/such/place", "", "");
	assert_lists(p, "", "a.b", "a/b a0/x ab v1/d.x v1/d/2 v1/d/2f/y v2");
	assert_lists(p, "", "a/a", "a/b a0/x ab v1/d.x v1/d/2 v1/d/2f/y v2");
	assert_lists(p, "a", "a/", "a/b a0/x ab");
	assert_lists(p, "a", "a0/x", "ab");
	assert_lists(p, "a", "ab", "");
	assert_lists(p, "v", "v1/d/2f", "v1/d/2f/y v2");
	assert_lists(p, "v", "\xff", "");
}

static void test_a_list_tells_the_sizes_of_objects_or_none(void **state)
{
	struct place *p = *state;
	struct bucket_ask ask;
	struct arena a;

	arena_init(&a);
	put_text(p, "sizes/0", "");
	put_text(p, "sizes/1", "x");
	put_text(p, "sizes/12", "twelve bytes");
	struct bucket_op like = { .verb = BUCKET_LIST, .key = SLICE("sizes/"), .arena = &a };
	assert_int_equal(bucket_ask(&ask, p->loop, p->bucket, &like), OK);
	assert_int_equal(ask.op.ret_count, 3);
	for (size_t i = 0; ask.op.ret_sizes && i < 3; i++) {
		uint64_t size = 0;
		assert_int_equal(bucket_ask_head(p->loop, p->bucket, ask.op.ret_names[i], &size),
				 OK);
		assert_int_equal(ask.op.ret_sizes[i], size);
	}
	assert_true(ask.op.ret_sizes || strcmp(p->kind, "file:") == 0);
	arena_done(&a);
}

static void test_long_lists_come_in_pages_without_gaps(void **state)
{
	struct place *p = *state;
	enum { NAMES = 2 * BUCKET_LIST_NAMES_MAX + 50 };
	char last[32] = "", key[32];
	size_t total = 0, pages = 0;
	bool more = true;

	if (strcmp(p->kind, "file:") == 0) { /* as put would, without the fsyncs */
		char path[URL_BYTES];

		snprintf(path, sizeof(path), "%s/l", p->directory);
		assert_int_equal(mkdir(path, 0700), 0);
		for (int i = 0; i < NAMES; i++) {
			snprintf(path, sizeof(path), "%s/l/%06d", p->directory, i * 7);
			FILE *file = fopen(path, "w");
			assert_non_null(file);
			fclose(file);
		}
	}
	for (int i = 0; i < NAMES && strcmp(p->kind, "file:") != 0; i++) {
		snprintf(key, sizeof(key), "l/%06d", i * 7);
		put_text(p, key, "");
	}
	for (; more; pages++) {
		struct slice *names = NULL;
		size_t count = 0;

		assert_int_equal(bucket_ask_list(p->loop, p->bucket, &p->arena, SLICE("l/"),
						 slice_from(last), &names, &count, &more),
				 OK);
		assert_true(count == BUCKET_LIST_NAMES_MAX || !more);
		for (size_t i = 0; i < count; i++, total++) {
			snprintf(last, sizeof(last), "l/%06d", (int)total * 7);
			assert_int_equal(names[i].size, strlen(last));
			assert_memory_equal(names[i].data, last, names[i].size);
		}
	}
	assert_int_equal(total, NAMES);
	assert_int_equal(pages, 3);
}

/* --- what is refused ------------------------------------------------------------------------- */
static void test_bad_keys_are_invalid(void **state)
{
	struct place *p = *state;
	char part[BUCKET_PART_BYTES_MAX + 2], key[BUCKET_KEY_BYTES_MAX + 2];
	static const char *const bad[] = { "",	  "/",	      "/a",   "a/",   "a//b", ".",
					   "..",  "a/.",      "./a",  "a/..", "../a", "a b",
					   "a~b", "\xc3\xa4", "a\nb", "a\\b", "a:b",  "a/../b" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(bucket_ask_put(p->loop, p->bucket, slice_from(bad[i]), SLICE("x")),
				 ERR_INVALID);
	assert_int_equal(bucket_check_key((struct slice) { (const uint8_t *)"a\0b", 3 }),
			 ERR_INVALID);
	memset(part, 'p', sizeof(part));
	struct slice longest_part = { (const uint8_t *)part, BUCKET_PART_BYTES_MAX };
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, longest_part, SLICE("x")), OK);
	longest_part.size++;
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, longest_part, SLICE("x")), ERR_INVALID);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = i % 2 ? '/' : 'k';
	struct slice longest = { (const uint8_t *)key, BUCKET_KEY_BYTES_MAX - 1 };
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, longest, SLICE("x")), OK);
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, longest), OK);
	longest.size += 2;
	assert_int_equal(bucket_ask_put(p->loop, p->bucket, longest, SLICE("x")), ERR_INVALID);
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, longest), ERR_INVALID);
}

static void test_a_body_over_the_limit_is_too_big(void **state)
{
	struct place *p = *state;
	struct slice pieces[2] = { { (const uint8_t *)"x", BUCKET_OBJECT_BYTES_MAX },
				   { (const uint8_t *)"x", 1 } };
	struct bucket_op op = {
		.verb = BUCKET_PUT, .key = SLICE("big"), .pieces = pieces, .piece_count = 2
	};
	struct bucket_ask ask;

	assert_int_equal(bucket_ask(&ask, p->loop, p->bucket, &op), ERR_TOO_BIG);
	op.piece_count = BUCKET_PIECES_MAX + 1;
	assert_int_equal(bucket_ask(&ask, p->loop, p->bucket, &op), ERR_TOO_BIG);
}

/* --- many at once, canceled ------------------------------------------------------------------ */
struct crowd {
	struct task task;
	struct place *place;
	struct bucket_op ops[OPS_AT_ONCE];
	char keys[OPS_AT_ONCE][32];
	bool same_key, put_new, cancel;
};

static enum step crowd_step(struct task *t)
{
	struct crowd *c = CONTAINER(t, struct crowd, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	for (int i = 0; i < OPS_AT_ONCE; i++) {
		struct slice body = slice_from(c->keys[i]);

		snprintf(c->keys[i], sizeof(c->keys[i]), "crowd/%d/%d", i % 4, i);
		body.size = strlen(c->keys[i]);
		if (c->put_new)
			bucket_put_new(&c->ops[i], t, c->place->bucket, SLICE("crowd/same"), body);
		else
			bucket_put(&c->ops[i], t, c->place->bucket, slice_from(c->keys[i]), body);
		assert_true(task_is_running(&c->ops[i].task)); /* nothing happens inside the call */
		if (c->cancel && i % 2)
			task_cancel(&c->ops[i].task);
	}
	return task_wait(t, 1);
}

static const struct task_kind crowd_kind = { .name = "crowd", .step = crowd_step };

static void run_crowd(struct crowd *c, struct place *p)
{
	c->place = p;
	task_start_root(&c->task, &crowd_kind, p->loop);
	loop_run(p->loop);
	assert_false(task_is_running(&c->task));
}

static void test_many_puts_at_once_are_all_stored(void **state)
{
	struct place *p = *state;
	struct crowd *c = NEW(struct crowd);

	run_crowd(c, p);
	for (int i = 0; i < OPS_AT_ONCE; i++) {
		assert_int_equal(c->ops[i].task.err, OK);
		assert_holds(p, c->keys[i], c->keys[i]);
	}
	memory_free(c);
}

static void test_of_many_put_new_exactly_one_wins(void **state)
{
	struct place *p = *state;
	struct crowd *c = NEW(struct crowd);
	int won = 0;

	c->put_new = true;
	run_crowd(c, p);
	for (int i = 0; i < OPS_AT_ONCE; i++) {
		if (c->ops[i].task.err == OK) {
			won++;
			assert_holds(p, "crowd/same", c->keys[i]);
		} else {
			assert_int_equal(c->ops[i].task.err, ERR_EXISTS);
		}
	}
	assert_int_equal(won, 1);
	memory_free(c);
}

static void test_a_put_canceled_before_it_began_leaves_nothing(void **state)
{
	struct place *p = *state;
	struct crowd *c = NEW(struct crowd);
	uint64_t size;

	c->cancel = true;
	run_crowd(c, p);
	for (int i = 0; i < OPS_AT_ONCE; i++) {
		assert_int_equal(c->ops[i].task.err, i % 2 ? ERR_CANCELED : OK);
		assert_int_equal(bucket_ask_head(p->loop, p->bucket, slice_from(c->keys[i]), &size),
				 i % 2 ? ERR_NOT_FOUND : OK);
	}
	memory_free(c);
}

/* Canceled at any moment, an operation ends with the truth about what it did. */
struct late {
	struct task task;
	struct place *place;
	struct bucket_op op;
	int steps_left;
	char key[32];
};

static enum step late_step(struct task *t)
{
	struct late *l = CONTAINER(t, struct late, task);

	if (t->at == 0)
		bucket_put(&l->op, t, l->place->bucket, slice_from(l->key), slice_from(l->key));
	else if (t->children == 0)
		return task_done(t, OK);
	if (l->steps_left-- == 0)
		task_cancel(&l->op.task);
	if (l->steps_left >= 0)
		task_wake(t);
	return task_wait(t, 1);
}

static const struct task_kind late_kind = { .name = "late cancel", .step = late_step };

static void test_a_canceled_put_tells_what_became_of_it(void **state)
{
	struct place *p = *state;
	uint64_t size;

	for (int i = 0; i < 60; i++) {
		struct late l = { .place = p, .steps_left = i * i / 4 };
		enum err there;

		snprintf(l.key, sizeof(l.key), "late/%d", i);
		task_start_root(&l.task, &late_kind, p->loop);
		loop_run(p->loop);
		there = bucket_ask_head(p->loop, p->bucket, slice_from(l.key), &size);
		assert_true(l.op.task.err == OK || l.op.task.err == ERR_CANCELED);
		assert_int_equal(there, l.op.task.err == OK ? OK : ERR_NOT_FOUND);
	}
}

#define CONTRACT(set_up)                                                                           \
	cmocka_unit_test_setup_teardown(test_what_was_put_is_read_back, set_up, tear_down),        \
		cmocka_unit_test_setup_teardown(test_a_put_gathers_its_pieces_in_order, set_up,    \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(test_a_get_gives_the_part_asked_for, set_up,       \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(test_what_is_not_there_is_not_found, set_up,       \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(                                                   \
			test_an_identical_retry_is_harmless_and_another_body_is_refused, set_up,   \
			tear_down),                                                                \
		cmocka_unit_test_setup_teardown(test_put_new_is_won_by_the_first, set_up,          \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(                                                   \
			test_a_deleted_object_is_gone_and_deleting_again_is_fine, set_up,          \
			tear_down),                                                                \
		cmocka_unit_test_setup_teardown(test_a_list_tells_the_sizes_of_objects_or_none,    \
						set_up, tear_down),                                \
		cmocka_unit_test_setup_teardown(test_names_come_sorted_by_their_bytes, set_up,     \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(test_long_lists_come_in_pages_without_gaps,        \
						set_up, tear_down),                                \
		cmocka_unit_test_setup_teardown(test_bad_keys_are_invalid, set_up, tear_down),     \
		cmocka_unit_test_setup_teardown(test_a_body_over_the_limit_is_too_big, set_up,     \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(test_many_puts_at_once_are_all_stored, set_up,     \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(test_of_many_put_new_exactly_one_wins, set_up,     \
						tear_down),                                        \
		cmocka_unit_test_setup_teardown(                                                   \
			test_a_put_canceled_before_it_began_leaves_nothing, set_up, tear_down),    \
		cmocka_unit_test_setup_teardown(test_a_canceled_put_tells_what_became_of_it,       \
						set_up, tear_down)

/* What object stores cannot tell. */
#define OF_TREES(set_up)                                                                           \
	cmocka_unit_test_setup_teardown(test_a_key_cannot_be_the_directory_of_another, set_up,     \
					tear_down)

int main(void)
{
	const struct CMUnitTest directory[] = { CONTRACT(set_up_directory),
						OF_TREES(set_up_directory) };
	const struct CMUnitTest memory[] = { CONTRACT(set_up_memory), OF_TREES(set_up_memory) };
	const struct CMUnitTest slow_memory[] = { CONTRACT(set_up_slow_memory),
						  OF_TREES(set_up_slow_memory) };
	const struct CMUnitTest fault[] = { CONTRACT(set_up_fault), OF_TREES(set_up_fault) };
	const struct CMUnitTest s3[] = { CONTRACT(set_up_s3) };
	const struct CMUnitTest hedged_memory[] = { CONTRACT(set_up_hedged_memory),
						    OF_TREES(set_up_hedged_memory) };
	const struct CMUnitTest sealed_memory[] = { CONTRACT(set_up_sealed_memory),
						    OF_TREES(set_up_sealed_memory) };
	const struct CMUnitTest sealed_directory[] = { CONTRACT(set_up_sealed_directory),
						       OF_TREES(set_up_sealed_directory) };

	return cmocka_run_group_tests(directory, NULL, NULL) +
	       cmocka_run_group_tests(memory, NULL, NULL) +
	       cmocka_run_group_tests(slow_memory, NULL, NULL) +
	       cmocka_run_group_tests(fault, NULL, NULL) + cmocka_run_group_tests(s3, NULL, NULL) +
	       cmocka_run_group_tests(hedged_memory, NULL, NULL) +
	       cmocka_run_group_tests(sealed_memory, NULL, NULL) +
	       cmocka_run_group_tests(sealed_directory, NULL, NULL);
}
