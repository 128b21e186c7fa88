/* Credentials of a machine, from a service that is late, wrong or gone.  timeout: 120 s */
#include "buckets/s3_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "buckets/bucket_ask.h"
#include "buckets/s3_store_testing.h"

enum {
	URL_BYTES = 256,
	CROWD = 40,
	LIFE_MS = 8000,	   /* or up to a second less: they expire at whole ones */
	RENEWED_MS = 6100, /* three quarters of that are over, and not yet all of it */
};

struct place {
	struct store_process store;
	struct loop *loop;
	struct bucket *bucket;
	struct bucket_ask ask;
};

static void forget_environment(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN",
		"AWS_PROFILE",
		"AWS_EC2_METADATA_DISABLED",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
	assert_int_equal(setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/file", 1), 0);
}

static void set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

static void set_here(const char *name, int port, const char *path)
{
	char text[URL_BYTES];

	snprintf(text, sizeof(text), "http://127.0.0.1:%d%s", port, path);
	assert_int_equal(setenv(name, text, 1), 0);
}

static void open_bucket(struct place *p, const char *more)
{
	char url[URL_BYTES], why[TASK_WHY_BYTES] = "";

	snprintf(url, sizeof(url), "s3://bucket?endpoint=http://127.0.0.1:%d%s",
		 p->store.control->port, more);
	assert_int_equal(bucket_open(url, &p->bucket, why), OK);
}

static int set_up(void **state)
{
	struct place *p = NEW(struct place);

	store_start(&p->store);
	forget_environment();
	set_here("AWS_EC2_METADATA_SERVICE_ENDPOINT", p->store.control->port, "/");
	p->loop = loop_new(1);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	loop_free(p->loop);
	bucket_close(p->bucket);
	store_stop(&p->store);
	memory_free(p);
	return 0;
}

static enum err put(struct place *p)
{
	struct slice body = SLICE("body");

	return bucket_ask(&p->ask, p->loop, p->bucket,
			  &(struct bucket_op) { .verb = BUCKET_PUT,
						.key = SLICE("key"),
						.pieces = &body,
						.piece_count = 1 });
}

static void assert_why(struct place *p, const char *words)
{
	if (!strstr(p->ask.why, words))
		fail_msg("\"%s\" is not in \"%s\"", words, p->ask.why);
}

static void rename_key(struct place *p, const char *name)
{
	snprintf(p->store.control->access_key, sizeof(p->store.control->access_key), "%s", name);
}

static void test_an_instance_is_asked_once_and_not_before_the_first_operation(void **state)
{
	struct place *p = *state;

	open_bucket(p, "&timeout_ms=6000");
	assert_int_equal(p->store.control->connections, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(put(p), OK);
	assert_int_equal(p->store.control->fetches, 1);
	assert_int_equal(p->store.control->requests, 5);
	const struct meter *m = bucket_meter(p->bucket); /* who gives credentials sends no bill */
	assert_int_equal(m->requests[METER_PUT] + m->requests[METER_PUT_NEW], 5);
	assert_int_equal(m->requests[METER_GET], 0);
}

static void test_a_container_shows_its_token(void **state)
{
	char path[] = "/tmp/hanse-token-XXXXXX";
	struct place *p = *state;
	int fd = mkstemp(path);

	set_here("AWS_CONTAINER_CREDENTIALS_FULL_URI", p->store.control->port, "/container");
	open_bucket(p, "&timeout_ms=6000");
	assert_int_equal(put(p), ERR_DENIED); /* nothing was shown */
	assert_why(p, "it answers 401");
	assert_int_equal(write(fd, "shown\n", 6), 6);
	close(fd);
	set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path);
	usleep((S3_FETCH_PAUSE_MS + 50) * 1000);
	assert_int_equal(put(p), OK);
	unlink(path);
}

struct crowd {
	struct task task;
	struct bucket *bucket;
	struct bucket_op ops[CROWD];
};

static enum step crowd_step(struct task *t)
{
	struct crowd *c = CONTAINER(t, struct crowd, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	for (int i = 0; i < CROWD; i++)
		bucket_put(&c->ops[i], t, c->bucket, SLICE("key"), SLICE("body"));
	return task_wait(t, 1);
}

static const struct task_kind crowd_kind = { .name = "crowd", .step = crowd_step };

static void test_many_operations_wait_for_one_fetch(void **state)
{
	struct place *p = *state;
	struct crowd *c = NEW(struct crowd);

	open_bucket(p, "&timeout_ms=6000");
	c->bucket = p->bucket;
	task_start_root(&c->task, &crowd_kind, p->loop);
	loop_run(p->loop);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(c->ops[i].task.err, OK);
	assert_int_equal(p->store.control->fetches, 1);
	memory_free(c);
}

static void test_they_are_renewed_before_they_expire(void **state)
{
	struct place *p = *state;

	p->store.control->life_ms = 3000; /* of whole seconds, so more than 2 */
	open_bucket(p, "&timeout_ms=6000");
	/* A renewal ends with the last operation, so how many it takes is a matter of luck. */
	for (int i = 0; i < 400 && p->store.control->fetches < 3; i++) {
		assert_int_equal(put(p), OK);
		usleep(150 * 1000);
	}
	assert_int_equal(p->store.control->fetches, 3);
}

static void test_a_fetch_that_fails_leaves_them_as_long_as_they_are_good(void **state)
{
	struct place *p = *state;

	p->store.control->life_ms = LIFE_MS;
	open_bucket(p, "&timeout_ms=500");
	assert_int_equal(put(p), OK);
	p->store.control->metadata_status = 500;
	usleep(RENEWED_MS * 1000);
	assert_int_equal(put(p), OK);
	usleep((LIFE_MS - RENEWED_MS) * 1000);
	assert_int_equal(put(p), ERR_UNAVAILABLE);
	assert_why(p, "no new credentials from 127.0.0.1");
	p->store.control->metadata_status = 0;
	usleep((S3_FETCH_PAUSE_MS + 50) * 1000);
	assert_int_equal(put(p), OK);
}

static void test_a_renewal_that_hangs_holds_up_nobody(void **state)
{
	struct place *p = *state;

	p->store.control->life_ms = LIFE_MS;
	open_bucket(p, "&timeout_ms=6000");
	assert_int_equal(put(p), OK);
	p->store.control->metadata_status = -1;
	usleep(RENEWED_MS * 1000);
	uint64_t begin_ms = clock_now_ms();
	assert_int_equal(put(p), OK);
	assert_true(clock_now_ms() - begin_ms < S3_FETCH_MS / 2);
}

/* F11 */
static void test_the_store_says_they_have_expired_and_they_are_fetched_once_more(void **state)
{
	struct place *p = *state;

	rename_key(p, "old");
	open_bucket(p, "&timeout_ms=6000");
	assert_int_equal(put(p), OK);
	rename_key(p, "new");
	assert_int_equal(put(p), OK);
	assert_int_equal(p->store.control->fetches, 2);
	rename_key(p, "old");
	assert_int_equal(put(p), ERR_DENIED); /* "new" is wrong, not too old */
	assert_int_equal(p->store.control->fetches, 2);
}

static void test_where_nothing_is_found_it_says_where_it_looked(void **state)
{
	struct place *p = *state;
	char why[TASK_WHY_BYTES] = "";
	uint64_t begin_ms = clock_now_ms();

	p->store.control->metadata_status = 404;
	open_bucket(p, "&timeout_ms=6000");
	assert_int_equal(put(p), ERR_DENIED);
	assert_why(p, "AWS_ACCESS_KEY_ID, ~/.aws/credentials or at 127.0.0.1");
	assert_why(p, "404");
	bucket_close(p->bucket);
	set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
	open_bucket(p, "&timeout_ms=6000");
	assert_int_equal(put(p), ERR_DENIED);
	assert_why(p, "at 127.0.0.1:1: ");
	bucket_close(p->bucket);
	p->store.control->metadata_status = -1;
	set_here("AWS_EC2_METADATA_SERVICE_ENDPOINT", p->store.control->port, "");
	open_bucket(p, "&timeout_ms=6000");
	assert_int_equal(put(p), ERR_DENIED);
	assert_why(p, "no answer");
	assert_true(clock_now_ms() - begin_ms < 2 * S3_FETCH_MS);
	bucket_close(p->bucket);
	set("AWS_EC2_METADATA_DISABLED", "true");
	assert_int_equal(bucket_open("s3://bucket", &p->bucket, why), ERR_NOT_FOUND);
	assert_non_null(strstr(why, "set AWS_ACCESS_KEY_ID"));
	unsetenv("AWS_EC2_METADATA_DISABLED");
	open_bucket(p, "&timeout_ms=6000");
}

/* Gives up while the credentials are fetched. */
struct impatient {
	struct task task;
	struct bucket *bucket;
	struct bucket_op op;
};

static enum step impatient_step(struct task *t)
{
	struct impatient *i = CONTAINER(t, struct impatient, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	bucket_put(&i->op, t, i->bucket, SLICE("key"), SLICE("body"));
	task_set_deadline(&i->op.task, loop_now_ms(t->loop) + 50);
	return task_wait(t, 1);
}

static const struct task_kind impatient_kind = { .name = "impatient", .step = impatient_step };

static void test_who_gives_up_meanwhile_has_done_nothing(void **state)
{
	struct place *p = *state;
	struct impatient i = { 0 };

	p->store.control->metadata_status = -1;
	open_bucket(p, "&timeout_ms=6000");
	i.bucket = p->bucket;
	task_start_root(&i.task, &impatient_kind, p->loop);
	loop_run(p->loop);
	assert_int_equal(i.op.task.err, ERR_TIMEOUT);
	assert_int_equal(p->store.control->requests, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_instance_is_asked_once_and_not_before_the_first_operation),
		TEST(test_a_container_shows_its_token),
		TEST(test_many_operations_wait_for_one_fetch),
		TEST(test_they_are_renewed_before_they_expire),
		TEST(test_a_fetch_that_fails_leaves_them_as_long_as_they_are_good),
		TEST(test_a_renewal_that_hangs_holds_up_nobody),
		TEST(test_the_store_says_they_have_expired_and_they_are_fetched_once_more),
		TEST(test_where_nothing_is_found_it_says_where_it_looked),
		TEST(test_who_gives_up_meanwhile_has_done_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
