/* A disk that fails under a directory bucket, up to what clients were told (doc/cases.md, F10): the
 * power goes after any system call, and any call fails, on a model of a file system
 * (directory_model.h).  What was acknowledged is there afterwards, byte for byte, and nothing else
 * is.  test/scenario/storage_faults.py has a real disk that is full and read-only. */
#include <errno.h>

#include "base/random.h"
#include "buckets/directory_bucket.h"
#include "buckets/directory_model.h"
#include "streams/testing_stage.h"

enum {
	COUNT = 4,
	CALLS_MAX = 400, /* of one life: more means that it does not end */
	REFUSALS_MAX = 3,
	EVERY = 6,
};

static struct directory_model *model;
static struct arena kept;

static void put_on(struct directory_model *m)
{
	struct directory directory = {
		.system = &directory_system_model,
		.context = m,
		.root = DIRECTORY_MODEL_ROOT,
	};

	w.bucket = fault_bucket_new(directory_bucket_new(&directory, BUCKET_CAS), 1);
	model = m;
	testing_open_agent(&w);
	testing_client_open(&c, &w);
}

static void stop(void)
{
	testing_client_close(&c);
	testing_close_agent(&w);
	bucket_close(w.bucket);
}

static void begin(void)
{
	set_up(0);
	arena_init(&kept);
	stop();
	put_on(directory_model_new());
}

static void end(void)
{
	tear_down();
	directory_model_free(model);
	arena_done(&kept);
}

static struct slice numbered(int32_t sequence)
{
	struct record_batch_plan plan = RECORD_BATCH_PLAIN;

	plan.producer_id = 7;
	plan.producer_epoch = 0;
	plan.base_sequence = sequence;
	return testing_batch_of(&kept, &plan, "record", sequence, 1, 3000);
}

static bool write_once(int32_t sequence)
{
	testing_send_produce(&c, "beta", 0, numbered(sequence), -1);
	struct kafka_produce_response_partition *answer = testing_receive_produce(&c);

	if (answer->error_code == KAFKA_NONE) {
		assert_int_equal(answer->base_offset, sequence);
		return true;
	}
	assert_true(answer->error_code == KAFKA_KAFKA_STORAGE_ERROR ||
		    answer->error_code == KAFKA_REQUEST_TIMED_OUT ||
		    answer->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER);
	return false;
}

static void check_told(int64_t count)
{
	for (int64_t offset = 0; offset < count; offset++) {
		struct kafka_fetch_response_partition *got =
			testing_fetch(&c, (struct testing_fetch) { .topic = "beta",
								   .offset = offset,
								   .partition_max_bytes = 1 });
		assert_int_equal(got->error_code, KAFKA_NONE);
		assert_int_equal(got->high_watermark, count);
		testing_same_batch(&got->records, numbered((int32_t)offset), offset);
	}
}

/* What a machine finds that starts again after its power went. */
static void lose_power(struct prng *prng)
{
	struct directory_model *before = model;

	stop();
	put_on(directory_model_lose_power(before, prng_next(prng),
					  (enum directory_model_bytes)prng_below(prng, 4),
					  prng_next(prng)));
	directory_model_free(before);
}

static void test_f10_a_loss_of_power_after_any_call_takes_nothing_acknowledged(void **state)
{
	struct prng prng = { 1 };
	uint64_t at = 1, calls;

	(void)state;
	do {
		int acknowledged = 0;

		begin();
		directory_model_set_plan(model,
					 &(struct directory_model_plan) { .power_off_at = at });
		while (acknowledged < COUNT && write_once(acknowledged))
			acknowledged++;
		calls = directory_model_calls(model);
		lose_power(&prng);
		check_told(acknowledged);
		for (int i = acknowledged; i < COUNT; i++)
			assert_true(write_once(i));
		lose_power(&prng);
		check_told(COUNT);
		end();
	} while (calls >= at++ && at < CALLS_MAX);
	print_message("%llu calls\n", (unsigned long long)calls);
	assert_in_range(at, 5 * COUNT, CALLS_MAX - 1);
}

/* Also when the bucket takes no more changes because an fsync failed: the node is started again. */
static void write_all(void)
{
	for (int i = 0; i < COUNT; i++)
		for (int refusals = 0; !write_once(i);) {
			check_told(i); /* reading goes on */
			if (++refusals < REFUSALS_MAX)
				continue;
			struct directory_model *same = model;
			stop();
			directory_model_set_plan(same, &(struct directory_model_plan) { 0 });
			put_on(same);
			refusals = 0;
		}
}

static void test_f10_any_call_may_fail_and_nothing_acknowledged_is_lost(void **state)
{
	static const int errors[] = { ENOSPC, EIO, EROFS };
	struct prng prng = { 2 };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		uint64_t at = 1 + i % EVERY, calls; /* not each in each way: they are alike */

		do {
			begin();
			directory_model_set_plan(model, &(struct directory_model_plan) {
								.fail_at = at,
								.fail_count = 1,
								.fail_with = errors[i / 2],
								.fail_late = i % 2,
							});
			write_all();
			calls = directory_model_calls(model);
			directory_model_set_plan(model, &(struct directory_model_plan) { 0 });
			check_told(COUNT);
			lose_power(&prng);
			check_told(COUNT);
			end();
			at += EVERY;
		} while (calls >= at && at < CALLS_MAX);
		assert_in_range(at, 5 * COUNT, CALLS_MAX - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_f10_a_loss_of_power_after_any_call_takes_nothing_acknowledged),
		cmocka_unit_test(test_f10_any_call_may_fail_and_nothing_acknowledged_is_lost),
	};

	setenv("UV_THREADPOOL_SIZE", "1", 1); /* the model is not made for several threads */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
