/* What a directory bucket promises, with the power cut after every system call and with every
 * system call failing once, on a model of a file system (directory_model.h).
 *
 * A scenario is a few operations.  For every object it is written down what may be found: an
 * acknowledged put must be there with exactly its bytes, an acknowledged delete must be gone, and
 * whatever was under way when the power went may be there whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/directory.h"
#include "buckets/directory_known.h"
#include "buckets/directory_model.h"

enum {
	OBJECTS_MAX = 6,
	PIECES = 3,
	BODY_BYTES_USUAL = 4000,
	BODY_BYTES_MAX = 14000, /* past the page cache: some pages and a part of one */
	CALLS_MAX = 400,	/* of one scenario: more means it does not end */
	PENDING_ALL_MAX = 6,	/* up to here every subset of pending changes is tried */
	SUBSETS_DRAWN = 48,	/* beyond, so many */
	BYTES_KINDS = 4,
};

static bool goes_direct; /* all objects are large ones */

enum fate { FATE_ABSENT, FATE_PRESENT, FATE_EITHER };

struct object {
	const char *key;
	enum fate fate;
	uint8_t body[BODY_BYTES_MAX];
	struct slice pieces[PIECES];
	size_t size;
};

struct run {
	struct directory_model *model;
	struct directory directory;
	struct directory_known known;
	struct object objects[OBJECTS_MAX];
	size_t object_count;
	bool is_lost; /* an fsync failed: the bucket would refuse every later change */
	enum err worst;
};

/* --- a scenario's words --------------------------------------------------------------------- */
static struct object *object_named(struct run *r, const char *key)
{
	struct object *o;
	size_t from = 0;

	for (size_t i = 0; i < r->object_count; i++)
		if (strcmp(r->objects[i].key, key) == 0)
			return &r->objects[i];
	assert_true(r->object_count < OBJECTS_MAX);
	o = &r->objects[r->object_count++];
	o->key = key;
	o->size = (goes_direct ? BODY_BYTES_MAX : BODY_BYTES_USUAL) - 700 * r->object_count;
	for (size_t i = 0; i < o->size; i++)
		o->body[i] = (uint8_t)(i * 7 + r->object_count);
	for (size_t i = 0; i < PIECES; i++) {
		size_t size = i + 1 < PIECES ? o->size / 4 : o->size - from;

		o->pieces[i] = (struct slice) { o->body + from, size };
		from += size;
	}
	return o;
}

/* Errors that promise that nothing was done; after the others it may have been. */
static bool is_harmless(enum err err)
{
	return err == ERR_FULL || err == ERR_DENIED;
}

static enum err note(struct run *r, struct object *o, enum fate after, enum err err,
		     const struct directory_result *result)
{
	if (err && err != ERR_EXISTS && !r->worst)
		r->worst = err;
	r->is_lost |= result->lost_writes;
	assert_true(!result->lost_writes || err == ERR_IO);
	assert_true(err == OK || err == ERR_EXISTS || result->why[0]);
	assert_true(err != ERR_EXISTS || o->fate != FATE_ABSENT); /* nobody else writes here */
	if (err == OK)
		o->fate = after;
	else if (err == ERR_EXISTS)
		o->fate = FATE_PRESENT;
	else if (!is_harmless(err) && o->fate != after)
		o->fate = FATE_EITHER;
	return err;
}

static enum err put_with(struct run *r, const char *key, bool must_be_new)
{
	struct object *o = object_named(r, key);
	struct directory_result result = { 0 };
	size_t known = directory_known_size(&r->known, slice_from(key));
	enum err err;

	if (r->is_lost)
		return ERR_IO;
	err = must_be_new ? directory_put_new(&r->directory, key, o->pieces, PIECES, known, &result)
			  : directory_put(&r->directory, key, o->pieces, PIECES, known, &result);
	if (!err)
		directory_known_add(&r->known, slice_from(key));
	return note(r, o, FATE_PRESENT, err, &result);
}

static void put(struct run *r, const char *key)
{
	(void)put_with(r, key, false);
}

static void put_new(struct run *r, const char *key)
{
	(void)put_with(r, key, true);
}

static void delete (struct run *r, const char *key)
{
	struct directory_result result = { 0 };
	struct object *o = object_named(r, key);

	if (!r->is_lost)
		(void)note(r, o, FATE_ABSENT, directory_delete(&r->directory, key, &result),
			   &result);
}

/* The process ends and another one opens the bucket; the machine goes on. */
static void reopen(struct run *r)
{
	directory_known_done(&r->known);
	directory_known_init(&r->known);
	r->is_lost = false;
}

/* --- scenarios ------------------------------------------------------------------------------- */
static void scenario_put(struct run *r)
{
	put(r, "a");
}

static void scenario_put_new(struct run *r)
{
	put_new(r, "fence");
	put_new(r, "fence");
}

static void scenario_retry(struct run *r)
{
	put(r, "v1/a");
	put(r, "v1/a");
}

static void scenario_new_directories(struct run *r)
{
	put(r, "v1/d/3f/x");
	put(r, "v1/d/3f/y");
	put(r, "v1/d/40/z");
	put(r, "v1/cluster");
}

static void scenario_retry_by_another_process(struct run *r)
{
	put(r, "v1/j/x");
	reopen(r);
	put(r, "v1/j/x");
	put(r, "v1/j/y");
}

static void scenario_delete(struct run *r)
{
	put(r, "d/a");
	put(r, "d/b");
	delete (r, "d/a");
	reopen(r);
	delete (r, "d/a");
	delete (r, "d/never");
}

/* Somebody removed directories behind the bucket's back. */
static void scenario_known_and_vanished(struct run *r)
{
	directory_known_add(&r->known, SLICE("v1/d/3f/x"));
	put(r, "v1/d/3f/x");
}

static const struct scenario {
	const char *name;
	void (*run)(struct run *r);
	bool is_only_first; /* what it knows would be wrong after a killed process */
} scenarios[] = {
	{ "put", scenario_put, false },
	{ "put new", scenario_put_new, false },
	{ "retry", scenario_retry, false },
	{ "new directories", scenario_new_directories, false },
	{ "retry by another process", scenario_retry_by_another_process, false },
	{ "delete", scenario_delete, false },
	{ "known and vanished", scenario_known_and_vanished, true },
};
enum { SCENARIOS = sizeof(scenarios) / sizeof(*scenarios) };

/* --- running and looking ---------------------------------------------------------------------- */
static void run_init(struct run *r)
{
	*r = (struct run) { .model = directory_model_new() };
	r->directory = (struct directory) {
		.system = &directory_system_model,
		.context = r->model,
		.root = DIRECTORY_MODEL_ROOT,
		.direct_bytes_min = goes_direct,
	};
	directory_known_init(&r->known);
}

static void run_done(struct run *r)
{
	directory_known_done(&r->known);
	directory_model_free(r->model);
}

static void run_scenario(struct run *r, const struct scenario *s,
			 const struct directory_model_plan *plan)
{
	run_init(r);
	directory_model_set_plan(r->model, plan);
	s->run(r);
	assert_true(directory_model_calls(r->model) < CALLS_MAX);
	assert_int_equal(directory_model_open_handles(r->model), 0);
}

static bool holds(const struct directory *d, const struct object *o)
{
	struct directory_result result = { 0 };
	struct blob *body = NULL;
	uint64_t size = 0;
	enum err err = directory_get(d, o->key, 0, UINT64_MAX, &body, &size, &result);

	assert_true(err == OK || err == ERR_NOT_FOUND);
	if (err)
		return false;
	assert_int_equal(size, o->size);
	assert_int_equal(body->size, o->size);
	assert_memory_equal(body->data, o->body, o->size);
	blob_unref(&body);
	return true;
}

/* What is found agrees with what was written down, and list shows just that. */
static void look(const struct run *r, struct directory_model *model)
{
	static const struct directory_model_plan calm;
	struct directory d = r->directory;
	struct directory_names names = { 0 };
	struct directory_result result = { 0 };
	size_t found = 0;

	d.context = model;
	directory_model_set_plan(model, &calm);
	for (size_t i = 0; i < r->object_count; i++) {
		bool is_there = holds(&d, &r->objects[i]);

		found += is_there;
		assert_true(r->objects[i].fate != FATE_PRESENT || is_there);
		assert_true(r->objects[i].fate != FATE_ABSENT || !is_there);
	}
	assert_int_equal(directory_list(&d, SLICE(""), SLICE(""), &names, &result), OK);
	assert_int_equal(names.count, found);
	buf_done(&names.text);
	assert_int_equal(directory_model_open_handles(model), 0);
}

/* After a crash everything is put again, as a client would, and must then stay. */
static void put_again_and_look(const struct run *before, struct directory_model *model)
{
	struct run r = *before;
	struct directory_model *after;

	r.model = model;
	r.directory.context = model;
	r.is_lost = false;
	directory_known_init(&r.known);
	for (size_t i = 0; i < r.object_count; i++) {
		/* its pieces point into the object they were copied from, which has the same bytes
		 */
		assert_int_equal(put_with(&r, r.objects[i].key, false), OK);
	}
	after = directory_model_lose_power(model, 0, MODEL_BYTES_LOST, 1);
	look(&r, after);
	directory_model_free(after);
	directory_known_done(&r.known);
}

static uint64_t cuts;

static void lose_power_and_look(const struct run *r, uint64_t survivors,
				enum directory_model_bytes bytes, uint64_t seed)
{
	struct directory_model *after =
		directory_model_lose_power(r->model, survivors, bytes, seed);

	cuts++;
	look(r, after);
	put_again_and_look(r, after);
	directory_model_free(after);
}

/* Every subset of what is pending, or many, and every kind of damage to unsynced bytes. */
static void lose_power_in_all_ways(const struct run *r, struct prng *random)
{
	uint64_t pending = directory_model_pending(r->model);
	bool all = pending <= PENDING_ALL_MAX;
	uint64_t subsets = all ? (uint64_t)1 << pending : SUBSETS_DRAWN;

	for (uint64_t i = 0; i < subsets; i++) {
		uint64_t survivors = all ? i : prng_next(random);

		if (!all && i < 2)
			survivors = i ? UINT64_MAX : 0;
		for (int bytes = 0; bytes < BYTES_KINDS; bytes++)
			lose_power_and_look(r, survivors, (enum directory_model_bytes)bytes,
					    prng_next(random));
	}
}

static uint64_t calls_of(const struct scenario *s, bool no_unnamed)
{
	struct directory_model_plan plan = { .no_unnamed = no_unnamed };
	struct run *r = NEW(struct run);
	uint64_t calls;

	run_scenario(r, s, &plan);
	assert_int_equal(r->worst, OK);
	calls = directory_model_calls(r->model);
	run_done(r);
	memory_free(r);
	return calls;
}

/* --- tests ----------------------------------------------------------------------------------- */
static void cut_power_everywhere(bool no_unnamed)
{
	struct prng random = { 42 };
	struct run *r = NEW(struct run);

	cuts = 0;
	for (size_t s = 0; s < SCENARIOS; s++) {
		uint64_t calls = calls_of(&scenarios[s], no_unnamed);

		for (uint64_t k = 1; k <= calls; k++) {
			struct directory_model_plan plan = { .power_off_at = k,
							     .no_unnamed = no_unnamed };

			run_scenario(r, &scenarios[s], &plan);
			lose_power_in_all_ways(r, &random);
			run_done(r);
		}
	}
	print_message("    %llu power losses\n", (unsigned long long)cuts);
	memory_free(r);
}

/* F10 */
static void test_a_power_loss_after_any_call_keeps_what_was_acknowledged(void **state)
{
	(void)state;
	cut_power_everywhere(false);
}

static void test_the_same_where_files_must_have_names(void **state)
{
	(void)state;
	cut_power_everywhere(true);
}

/* The process is killed after call k, another one does everything again, then the power goes: what
 * the first one left unsynced is the second one's business. */
static void test_a_killed_process_leaves_nothing_that_is_wrongly_trusted(void **state)
{
	static const struct directory_model_plan calm;
	struct prng random = { 43 };
	struct run *r = NEW(struct run);

	(void)state;
	for (size_t s = 0; s < SCENARIOS; s++) {
		uint64_t calls = calls_of(&scenarios[s], false);

		for (uint64_t k = 1; k <= calls && !scenarios[s].is_only_first; k++) {
			struct directory_model_plan plan = { .power_off_at = k };

			run_scenario(r, &scenarios[s], &plan);
			look(r, r->model);
			reopen(r);
			directory_model_set_plan(r->model, &calm);
			r->worst = OK;
			scenarios[s].run(r);
			assert_int_equal(r->worst, OK);
			lose_power_in_all_ways(r, &random);
			run_done(r);
		}
	}
	memory_free(r);
}

/* Call n fails; what may it have come to?  The scenario goes on as its client would. */
static void fail_each_call(int code, bool late, bool short_write, enum err expected)
{
	struct prng random = { 44 };
	struct run *r = NEW(struct run);

	for (size_t s = 0; s < 2 * SCENARIOS; s++) {
		bool no_unnamed = s >= SCENARIOS;
		const struct scenario *scenario = &scenarios[s % SCENARIOS];
		uint64_t calls = calls_of(scenario, no_unnamed);

		for (uint64_t n = 1; n <= calls; n++) {
			struct directory_model_plan plan = {
				.fail_at = n,
				.fail_count = 1,
				.fail_with = code,
				.fail_late = late,
				.short_write = short_write,
				.no_unnamed = no_unnamed,
			};

			run_scenario(r, scenario, &plan);
			if (expected == OK)
				assert_int_equal(r->worst, OK);
			else
				assert_true(r->worst == expected || r->worst == ERR_IO ||
					    r->worst == OK);
			look(r, r->model);
			lose_power_and_look(r, 0, MODEL_BYTES_LOST, 1);
			lose_power_and_look(r, prng_next(&random), MODEL_BYTES_TORN, n);
			run_done(r);
		}
	}
	memory_free(r);
}

static void test_any_call_may_be_interrupted(void **state)
{
	(void)state;
	fail_each_call(EINTR, false, false, OK);
}

static void test_any_call_may_be_interrupted_after_its_effect(void **state)
{
	(void)state;
	fail_each_call(EINTR, true, false, OK);
}

static void test_any_write_or_read_may_be_short(void **state)
{
	(void)state;
	fail_each_call(0, false, true, OK);
}

static void test_any_call_may_fail_with_an_input_output_error(void **state)
{
	(void)state;
	fail_each_call(EIO, false, false, ERR_IO);
}

static void test_any_call_may_fail_with_an_error_after_its_effect(void **state)
{
	(void)state;
	fail_each_call(EIO, true, false, ERR_IO);
}

static void test_any_call_may_find_the_disk_full(void **state)
{
	(void)state;
	fail_each_call(ENOSPC, false, false, ERR_FULL);
	fail_each_call(EDQUOT, false, false, ERR_FULL);
}

static void test_any_call_may_find_the_file_system_read_only(void **state)
{
	(void)state;
	fail_each_call(EROFS, false, false, ERR_DENIED);
}

/* From call n on nothing can be written; then there is space again. */
static void test_a_full_disk_heals_without_reopening(void **state)
{
	static const struct directory_model_plan calm;
	struct run *r = NEW(struct run);
	uint64_t calls = calls_of(&scenarios[3], false);
	struct prng random = { 45 };

	(void)state;
	for (uint64_t n = 1; n <= calls; n++) {
		struct directory_model_plan plan = { .fail_at = n,
						     .fail_count = UINT64_MAX,
						     .fail_with = ENOSPC };

		run_scenario(r, &scenarios[3], &plan);
		assert_true(r->worst == ERR_FULL || r->is_lost);
		look(r, r->model);
		if (r->is_lost)
			reopen(r); /* the fsync of a directory was what failed */
		directory_model_set_plan(r->model, &calm);
		r->worst = OK;
		scenarios[3].run(r);
		assert_int_equal(r->worst, OK);
		lose_power_in_all_ways(r, &random);
		run_done(r);
	}
	memory_free(r);
}

/* The bytes an fsync failed to write are gone although they can still be read: no later fsync of
 * the same file may be believed. */
static void test_after_a_failed_fsync_a_put_starts_from_nothing(void **state)
{
	static const struct directory_model_plan calm;
	struct run *r = NEW(struct run);
	uint64_t failed = 0, calls = calls_of(&scenarios[0], false);

	(void)state;
	for (uint64_t n = 1; n <= calls; n++) {
		struct directory_model_plan plan = { .fail_at = n,
						     .fail_count = 1,
						     .fail_with = EIO };

		run_scenario(r, &scenarios[0], &plan);
		failed += r->is_lost;
		if (r->is_lost) {
			assert_int_equal(put_with(r, "a", false), ERR_IO); /* refused */
			reopen(r);
			directory_model_set_plan(r->model, &calm);
			assert_int_equal(put_with(r, "a", false), OK);
			lose_power_and_look(r, 0, MODEL_BYTES_LOST, 1);
		}
		run_done(r);
	}
	assert_int_equal(failed, 2); /* of the file and of its directory */
	memory_free(r);
}

/* The test itself: forget one fsync and it must notice. */
static int sync_nothing(void *context, int fd)
{
	(void)context;
	(void)fd;
	return 0;
}

static void test_the_model_notices_a_missing_fsync(void **state)
{
	struct directory_system careless = directory_system_model;
	struct run *r = NEW(struct run);
	struct directory_model *after;

	(void)state;
	careless.sync = sync_nothing;
	run_init(r);
	r->directory.system = &careless;
	put(r, "v1/a");
	assert_int_equal(r->objects[0].fate, FATE_PRESENT);
	after = directory_model_lose_power(r->model, 0, MODEL_BYTES_KEPT, 1);
	r->directory.context = after;
	assert_false(holds(&r->directory, &r->objects[0]));
	directory_model_free(after);
	run_done(r);
	memory_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_power_loss_after_any_call_keeps_what_was_acknowledged),
		cmocka_unit_test(test_the_same_where_files_must_have_names),
		cmocka_unit_test(test_a_killed_process_leaves_nothing_that_is_wrongly_trusted),
		cmocka_unit_test(test_any_call_may_be_interrupted),
		cmocka_unit_test(test_any_call_may_be_interrupted_after_its_effect),
		cmocka_unit_test(test_any_write_or_read_may_be_short),
		cmocka_unit_test(test_any_call_may_fail_with_an_input_output_error),
		cmocka_unit_test(test_any_call_may_fail_with_an_error_after_its_effect),
		cmocka_unit_test(test_any_call_may_find_the_disk_full),
		cmocka_unit_test(test_any_call_may_find_the_file_system_read_only),
		cmocka_unit_test(test_a_full_disk_heals_without_reopening),
		cmocka_unit_test(test_after_a_failed_fsync_a_put_starts_from_nothing),
		cmocka_unit_test(test_the_model_notices_a_missing_fsync),
	};
	const struct CMUnitTest direct[] = {
		cmocka_unit_test(test_a_power_loss_after_any_call_keeps_what_was_acknowledged),
		cmocka_unit_test(test_a_killed_process_leaves_nothing_that_is_wrongly_trusted),
		cmocka_unit_test(test_any_call_may_be_interrupted_after_its_effect),
		cmocka_unit_test(test_any_write_or_read_may_be_short),
		cmocka_unit_test(test_any_call_may_fail_with_an_input_output_error),
		cmocka_unit_test(test_any_call_may_fail_with_an_error_after_its_effect),
		cmocka_unit_test(test_any_call_may_find_the_disk_full),
	};

	int failed = cmocka_run_group_tests_name("through the page cache", tests, NULL, NULL);
	goes_direct = true;
	return failed + cmocka_run_group_tests_name("past it", direct, NULL, NULL);
}
