/* An S3 bucket on a store that misbehaves.  timeout: 240 s */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "buckets/bucket_ask.h"
#include "buckets/s3_store_testing.h"
#include "loop/timer.h"

enum { URL_BYTES = 256, SHORT_MS = 400, PATIENCE_MS = 60000 };

struct place {
	struct store_process store;
	struct loop *loop;
	struct bucket *bucket;
	struct arena arena;
	struct bucket_ask ask; /* the last one */
};

static struct bucket *open_bucket(struct place *p, const char *path, const char *more)
{
	char url[URL_BYTES], why[TASK_WHY_BYTES] = "";
	struct bucket *b = NULL;

	snprintf(url, sizeof(url), "s3://bucket%s?endpoint=http://127.0.0.1:%d%s", path,
		 p->store.control->port, more);
	assert_int_equal(bucket_open(url, &b, why), OK);
	return b;
}

static int set_up(void **state, const char *more)
{
	struct place *p = NEW(struct place);

	store_start(&p->store);
	p->loop = loop_new(1);
	p->bucket = open_bucket(p, "", more);
	arena_init(&p->arena);
	*state = p;
	return 0;
}

static int set_up_raw(void **state)
{
	return set_up(state, "");
}

static int set_up_cas(void **state)
{
	return set_up(state, "&class=cas");
}

static int set_up_hurried(void **state)
{
	return set_up(state, "&class=cas&timeout_ms=400");
}

static int tear_down(void **state)
{
	struct place *p = *state;

	loop_free(p->loop); /* as processes end: the loop first */
	bucket_close(p->bucket);
	store_stop(&p->store);
	arena_done(&p->arena);
	memory_free(p);
	return 0;
}

static void order(struct place *p, const char *method, enum store_fault fault, int status,
		  const char *code)
{
	struct store_control *c = p->store.control;
	struct store_order *o = &c->orders[c->order_count];

	assert_true(c->order_count < STORE_ORDERS_MAX);
	o->fault = fault;
	o->status = status;
	snprintf(o->code, sizeof(o->code), "%s", code);
	snprintf(o->method, sizeof(o->method), "%s", method);
	c->order_count++;
}

static enum err ask(struct place *p, const struct bucket_op *like)
{
	return bucket_ask(&p->ask, p->loop, p->bucket, like);
}

static enum err put_as(struct place *p, enum bucket_verb verb, const char *key, const char *body)
{
	struct slice piece = slice_from(body);

	return ask(p, &(struct bucket_op) { .verb = verb,
					    .key = slice_from(key),
					    .pieces = &piece,
					    .piece_count = 1 });
}

static enum err put(struct place *p, const char *key, const char *body)
{
	return put_as(p, BUCKET_PUT, key, body);
}

static enum err put_new(struct place *p, const char *key, const char *body)
{
	return put_as(p, BUCKET_PUT_NEW, key, body);
}

static enum err get(struct place *p, const char *key, uint64_t offset, uint64_t size_max,
		    const char *expected)
{
	enum err err = ask(p, &(struct bucket_op) { .verb = BUCKET_GET,
						    .key = slice_from(key),
						    .offset = offset,
						    .size_max = size_max });

	if (err)
		return err;
	assert_true(slice_equal(blob_slice(p->ask.op.ret_body), slice_from(expected)));
	blob_unref(&p->ask.op.ret_body);
	return OK;
}

static enum err get_all(struct place *p, const char *key, const char *expected)
{
	return get(p, key, 0, BUCKET_OBJECT_BYTES_MAX, expected);
}

static void assert_why(struct place *p, const char *words)
{
	if (!strstr(p->ask.why, words))
		fail_msg("\"%s\" is not in \"%s\"", words, p->ask.why);
}

static int requests(struct place *p)
{
	int count = p->store.control->requests;

	p->store.control->requests = 0;
	return count;
}

/* --- asking again ----------------------------------------------------------------------------- */
static void test_a_busy_store_is_asked_again(void **state)
{
	struct place *p = *state;
	static const struct {
		int status;
		const char *code;
	} rows[] = {
		{ 503, "SlowDown" }, { 500, "InternalError" },	{ 502, "" }, { 504, "" },
		{ 429, "" },	     { 400, "RequestTimeout" }, { 408, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		order(p, "PUT", STORE_REFUSES, rows[i].status, rows[i].code);
		assert_int_equal(put(p, "key", "body"), OK);
		assert_int_equal(requests(p), 2);
		order(p, "GET", STORE_REFUSES, rows[i].status, rows[i].code);
		assert_int_equal(get_all(p, "key", "body"), OK);
		assert_int_equal(requests(p), 2);
	}
	assert_int_equal(p->store.control->order_count, 0);
}

/* F2 */
static void test_a_put_whose_answer_was_lost_is_done_again(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, "other", "x"), OK); /* so that the connection is an old one */
	requests(p);
	order(p, "PUT", STORE_CLOSES_AFTER, 0, "");
	order(p, "PUT", STORE_CLOSES, 0, "");
	order(p, "PUT", STORE_LIES, 500, "InternalError");
	assert_int_equal(put(p, "key", "body"), OK);
	assert_true(requests(p) >= 4); /* one more to compare where the class is cas */
	assert_int_equal(get_all(p, "key", "body"), OK);
}

static void test_a_delete_whose_answer_was_lost_is_done_again(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, "key", "body"), OK);
	order(p, "DELETE", STORE_CLOSES_AFTER, 0, "");
	assert_int_equal(ask(p, &(struct bucket_op) { .verb = BUCKET_DELETE, .key = SLICE("key") }),
			 OK);
	assert_int_equal(get_all(p, "key", ""), ERR_NOT_FOUND);
}

static void test_a_body_that_is_cut_off_or_damaged_is_read_again(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, "key", "0123456789"), OK);
	order(p, "GET", STORE_SENDS_HALF, 0, "");
	order(p, "GET", STORE_FLIPS_A_BIT, 0, "");
	assert_int_equal(get_all(p, "key", "0123456789"), OK);
	order(p, "GET", STORE_SENDS_HALF, 0, "");
	assert_int_equal(get(p, "key", 2, 4, "2345"), OK);
	assert_int_equal(p->store.control->order_count, 0);
}

static void test_what_is_always_damaged_is_an_error(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, "key", "0123456789"), OK);
	for (int i = 0; i < STORE_ORDERS_MAX; i++)
		order(p, "GET", STORE_FLIPS_A_BIT, 0, "");
	assert_int_equal(get_all(p, "key", ""), ERR_IO);
	assert_why(p, "checksum");
}

/* --- create if absent ------------------------------------------------------------------------- */
static void test_a_lost_answer_to_put_new_leaves_the_outcome_unknown(void **state)
{
	struct place *p = *state;

	order(p, "PUT", STORE_CLOSES_AFTER, 0, "");
	assert_int_equal(put_new(p, "one", "mine"), ERR_UNKNOWN);
	order(p, "PUT", STORE_LIES, 500, "InternalError");
	assert_int_equal(put_new(p, "two", "mine"), ERR_UNKNOWN);
	assert_int_equal(put_new(p, "two", "mine"), ERR_EXISTS);
	assert_int_equal(get_all(p, "one", "mine"), OK);
	order(p, "PUT", STORE_CLOSES, 0, "");
	assert_int_equal(put_new(p, "three", "mine"), OK); /* nothing was there the second time */
}

static void test_a_conflict_of_conditional_requests_is_no_exists(void **state)
{
	struct place *p = *state;

	order(p, "PUT", STORE_REFUSES, 409, "ConditionalRequestConflict");
	assert_int_equal(put_new(p, "key", "mine"), OK);
	assert_int_equal(requests(p), 2);
	order(p, "PUT", STORE_REFUSES, 412, "PreconditionFailed");
	assert_int_equal(put_new(p, "new", "mine"), ERR_EXISTS);
	assert_int_equal(requests(p), 1);
}

static void test_a_storm_of_conflicts_ends_at_the_deadline_and_is_no_exists(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < STORE_ORDERS_MAX; i++)
		order(p, "PUT", STORE_REFUSES, 409, "ConditionalRequestConflict");
	assert_int_equal(put_new(p, "key", "mine"), ERR_UNAVAILABLE);
	assert_why(p, "409 ConditionalRequestConflict");
	p->store.control->order_count = 0;
	assert_int_equal(put_new(p, "key", "mine"), OK);
}

static void test_a_busy_store_has_done_nothing_that_could_exist(void **state)
{
	struct place *p = *state;

	assert_int_equal(put_new(p, "key", "theirs"), OK);
	order(p, "PUT", STORE_REFUSES, 503, "SlowDown");
	assert_int_equal(put_new(p, "key", "mine"), ERR_EXISTS);
}

static void test_a_store_without_conditions_is_not_used_as_cas(void **state)
{
	struct place *p = *state;

	order(p, "PUT", STORE_REFUSES, 501, "NotImplemented");
	assert_int_equal(put_new(p, "key", "mine"), ERR_UNSUPPORTED);
	assert_why(p, "class=raw");
}

/* --- late or never ---------------------------------------------------------------------------- */
static void test_a_store_that_never_answers_is_a_timeout_or_an_unknown_outcome(void **state)
{
	struct place *p = *state;
	uint64_t begin_ms = clock_now_ms();

	order(p, "GET", STORE_HANGS, 0, "");
	assert_int_equal(get_all(p, "key", ""), ERR_TIMEOUT);
	assert_why(p, "no answer from 127.0.0.1");
	order(p, "PUT", STORE_HANGS, 0, "");
	assert_int_equal(put(p, "key", "body"), ERR_UNKNOWN);
	order(p, "DELETE", STORE_HANGS, 0, "");
	assert_int_equal(ask(p, &(struct bucket_op) { .verb = BUCKET_DELETE, .key = SLICE("key") }),
			 ERR_UNKNOWN);
	assert_true(clock_now_ms() - begin_ms >= 3 * SHORT_MS - 10);
	assert_true(clock_now_ms() - begin_ms < PATIENCE_MS);
	assert_int_equal(put(p, "key", "body"), OK); /* and it goes on afterwards */
}

static void test_a_store_that_stays_busy_is_unavailable_at_the_deadline(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < STORE_ORDERS_MAX; i++)
		order(p, "", STORE_REFUSES, 503, "SlowDown");
	assert_int_equal(put(p, "key", "body"), ERR_UNAVAILABLE);
	assert_why(p, "503 SlowDown");
	assert_int_equal(get_all(p, "key", ""), ERR_UNAVAILABLE);
}

static void test_without_a_store_nothing_was_done(void **state)
{
	struct place *p = *state;
	struct bucket *here = p->bucket;
	char url[URL_BYTES], why[TASK_WHY_BYTES] = "";

	snprintf(url, sizeof(url), "s3://bucket?endpoint=http://127.0.0.1:1&timeout_ms=%d",
		 SHORT_MS);
	assert_int_equal(bucket_open(url, &p->bucket, why), OK);
	assert_int_equal(put(p, "key", "body"), ERR_UNAVAILABLE);
	assert_why(p, "no connection to 127.0.0.1:1");
	bucket_close(p->bucket);
	p->bucket = here;
}

/* A parent that gives up after a while. */
struct impatient {
	struct task task;
	struct bucket_op op;
	struct place *place;
	struct slice body;
	bool is_put;
};

static enum step impatient_step(struct task *t)
{
	struct impatient *i = CONTAINER(t, struct impatient, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	if (i->is_put)
		bucket_put(&i->op, t, i->place->bucket, SLICE("key"), i->body);
	else
		bucket_get(&i->op, t, i->place->bucket, SLICE("key"), 0, 100);
	task_set_deadline(&i->op.task, loop_now_ms(t->loop) + 50);
	return task_wait(t, 1);
}

static const struct task_kind impatient_kind = { .name = "impatient", .step = impatient_step };

static enum err give_up_soon(struct place *p, bool is_put)
{
	struct impatient i = { .place = p, .is_put = is_put, .body = SLICE("body") };

	task_start_root(&i.task, &impatient_kind, p->loop);
	loop_run(p->loop);
	assert_false(task_is_running(&i.task));
	return i.op.task.err;
}

static void test_who_gives_up_hears_what_became_of_it(void **state)
{
	struct place *p = *state;

	order(p, "GET", STORE_HANGS, 0, "");
	assert_int_equal(give_up_soon(p, false), ERR_TIMEOUT);
	for (int i = 0; i < STORE_ORDERS_MAX; i++) /* given up in a pause: nothing was done */
		order(p, "PUT", STORE_REFUSES, 503, "ServiceUnavailable");
	assert_int_equal(give_up_soon(p, true), ERR_TIMEOUT);
	p->store.control->order_count = 0;
	assert_int_equal(get_all(p, "key", ""), ERR_NOT_FOUND);
	order(p, "PUT", STORE_HANGS_AFTER, 0, "");
	assert_int_equal(give_up_soon(p, true), ERR_UNKNOWN);
	assert_int_equal(get_all(p, "key", "body"), OK);
}

/* --- refusals --------------------------------------------------------------------------------- */
static void test_a_refusal_says_what_to_do(void **state)
{
	struct place *p = *state;
	static const struct {
		int status;
		const char *code;
		enum err err;
		const char *why;
	} rows[] = {
		{ 403, "AccessDenied", ERR_DENIED, "s3:PutObject" },
		{ 403, "InvalidAccessKeyId", ERR_DENIED, "check AWS_ACCESS_KEY_ID" },
		{ 403, "SignatureDoesNotMatch", ERR_DENIED, "check secret key" },
		{ 401, "", ERR_DENIED, "s3:PutObject" },
		{ 404, "NoSuchBucket", ERR_UNAVAILABLE, "no bucket \"bucket\": create it" },
		{ 301, "PermanentRedirect", ERR_INVALID, "write region=eu-test-1" },
		{ 400, "AuthorizationHeaderMalformed", ERR_INVALID, "write region=eu-test-1" },
		{ 302, "", ERR_INVALID, "check endpoint" },
		{ 501, "NotImplemented", ERR_UNSUPPORTED, "checksum=none" },
		{ 507, "", ERR_FULL, "full" },
		{ 403, "QuotaExceeded", ERR_FULL, "full" },
		{ 400, "EntityTooLarge", ERR_TOO_BIG, "size" },
		{ 409, "ObjectParentIsFile", ERR_CONFLICT, "ObjectParentIsFile" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		order(p, "PUT", STORE_REFUSES, rows[i].status, rows[i].code);
		assert_int_equal(put(p, "key", "body"), rows[i].err);
		assert_why(p, rows[i].why);
		assert_int_equal(requests(p), 1);
	}
}

static void test_only_what_says_so_is_an_object_that_is_not_there(void **state)
{
	struct place *p = *state;
	static const struct {
		const char *code;
		enum err get, delete;
	} rows[] = {
		{ "NoSuchKey", ERR_NOT_FOUND, OK },
		{ "", ERR_NOT_FOUND, OK },
		{ "NoSuchBucket", ERR_UNAVAILABLE, ERR_UNAVAILABLE },
		{ "XAdminUserNotFound", ERR_DENIED, ERR_DENIED },
		{ "SomethingElse", ERR_UNAVAILABLE, ERR_UNAVAILABLE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		order(p, "GET", STORE_REFUSES, 404, rows[i].code);
		assert_int_equal(get_all(p, "key", ""), rows[i].get);
		order(p, "DELETE", STORE_REFUSES, 404, rows[i].code);
		assert_int_equal(ask(p, &(struct bucket_op) { .verb = BUCKET_DELETE,
							      .key = SLICE("key") }),
				 rows[i].delete);
	}
}

static void test_an_expired_token_is_replaced_by_what_the_environment_has_now(void **state)
{
	struct place *p = *state;

	order(p, "PUT", STORE_REFUSES, 400, "ExpiredToken");
	assert_int_equal(put(p, "key", "body"), OK);
	order(p, "PUT", STORE_REFUSES, 400, "ExpiredToken");
	order(p, "PUT", STORE_REFUSES, 400, "ExpiredToken");
	assert_int_equal(put(p, "key", "body"), ERR_DENIED);
	assert_why(p, "expired");
}

/* F12 */
static void test_the_clock_of_the_store_is_used_when_ours_is_wrong(void **state)
{
	struct place *p = *state;
	uint64_t size;

	p->store.control->clock_ahead_ms = 3 * 3600 * 1000;
	assert_int_equal(put(p, "key", "body"), OK);
	assert_int_equal(requests(p), 2);
	assert_int_equal(get_all(p, "key", "body"), OK);
	assert_int_equal(requests(p), 1);
	p->store.control->clock_ahead_ms = -3 * 3600 * 1000;
	assert_int_equal(bucket_ask_head(p->loop, p->bucket, SLICE("key"), &size), OK);
	assert_int_equal(requests(p), 2); /* of a HEAD there is only the date */
}

/* --- get, list, addresses ----------------------------------------------------------------------
 */
static void test_a_store_that_ignores_ranges_gives_no_wrong_bytes(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, "key", "0123456789"), OK);
	order(p, "GET", STORE_IGNORES_RANGE, 0, "");
	assert_int_equal(get(p, "key", 2, 100, "23456789"), OK);
	order(p, "GET", STORE_IGNORES_RANGE, 0, "");
	assert_int_equal(get(p, "key", 2, 4, ""), ERR_UNSUPPORTED);
}

static void test_another_part_than_was_asked_for_is_not_taken(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p, "key", "0123456789"), OK);
	requests(p);
	order(p, "GET", STORE_SHIFTS_RANGE, 0, "");
	assert_int_equal(get(p, "key", 2, 4, "2345"), OK);
	assert_int_equal(requests(p), 2);
}

static void test_a_list_is_read_to_its_end_whatever_its_pages_hold(void **state)
{
	struct place *p = *state;
	struct slice *names = NULL;
	size_t count = 0;
	bool more = true;
	char key[32];

	for (int i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "l/%02d", i);
		assert_int_equal(put(p, key, ""), OK);
	}
	p->store.control->page_keys_max = 3;
	requests(p);
	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &p->arena, SLICE("l/"), SLICE("l/04"),
					 &names, &count, &more),
			 OK);
	assert_int_equal(count, 15);
	assert_false(more);
	assert_int_equal(requests(p), 5);
	for (int i = 0; i < 15; i++) {
		snprintf(key, sizeof(key), "l/%02d", i + 5);
		assert_true(slice_equal(names[i], slice_from(key)));
	}
}

static void test_a_list_out_of_order_makes_the_store_unusable(void **state)
{
	struct place *p = *state;
	struct slice *names = NULL;
	size_t count = 0;
	bool more = true;

	assert_int_equal(put(p, "l/1", ""), OK);
	assert_int_equal(put(p, "l/2", ""), OK);
	p->store.control->lists_backwards = 1;
	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &p->arena, SLICE("l/"), SLICE(""),
					 &names, &count, &more),
			 ERR_UNSUPPORTED);
}

static void test_prefixes_keep_buckets_apart(void **state)
{
	struct place *p = *state;
	struct bucket *whole = p->bucket;
	struct slice *names = NULL;
	size_t count = 0;
	bool more = true;

	assert_int_equal(put(p, "ab/other", "x"), OK);
	assert_int_equal(put(p, "a", "x"), OK);
	p->bucket = open_bucket(p, "/a", "");
	assert_int_equal(put(p, "mine", "y"), OK);
	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &p->arena, SLICE(""), SLICE(""),
					 &names, &count, &more),
			 OK);
	assert_int_equal(count, 1);
	assert_true(slice_equal(names[0], SLICE("mine")));
	assert_int_equal(get_all(p, "other", ""), ERR_NOT_FOUND);
	bucket_close(p->bucket);
	p->bucket = whole;
	assert_int_equal(get_all(p, "a/mine", "y"), OK);
}

static void test_the_bucket_is_a_part_of_the_host_where_that_is_wanted(void **state)
{
	struct place *p = *state;
	struct bucket *whole = p->bucket;
	char url[URL_BYTES], host[URL_BYTES], why[TASK_WHY_BYTES] = "";

	snprintf(url, sizeof(url), "s3://name/a?addressing=host&endpoint=http://localhost:%d",
		 p->store.control->port);
	assert_int_equal(bucket_open(url, &p->bucket, why), OK);
	assert_int_equal(put(p, "key", "body"), OK);
	snprintf(host, sizeof(host), "name.localhost:%d", p->store.control->port);
	assert_string_equal(p->store.control->last_host, host);
	assert_string_equal(p->store.control->last_target, "/a/key");
	assert_int_equal(get_all(p, "key", "body"), OK);
	bucket_close(p->bucket);
	p->bucket = whole;
	assert_int_equal(put(p, "key", "body"), OK);
	assert_string_equal(p->store.control->last_target, "/bucket/key");
}

static void test_no_proxy_leads_to_a_store_on_this_machine(void **state)
{
	struct place *p = *state;

	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:9", 1), 0);
	assert_int_equal(put(p, "key", "body"), OK);
	assert_int_equal(unsetenv("http_proxy"), 0);
	assert_int_equal(requests(p), 1);
}

/* --- connections ------------------------------------------------------------------------------ */
enum { CROWD = 4 * S3_CONNECTIONS_MAX };

struct crowd {
	struct task task;
	struct place *place;
	struct bucket_op ops[CROWD];
	char keys[CROWD][24];
};

static enum step crowd_step(struct task *t)
{
	struct crowd *c = CONTAINER(t, struct crowd, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	for (int i = 0; i < CROWD; i++) {
		snprintf(c->keys[i], sizeof(c->keys[i]), "crowd/%d", i);
		bucket_put(&c->ops[i], t, c->place->bucket, slice_from(c->keys[i]),
			   slice_from(c->keys[i]));
	}
	return task_wait(t, 1);
}

static const struct task_kind crowd_kind = { .name = "crowd", .step = crowd_step };

static void test_connections_are_kept_and_limited(void **state)
{
	struct place *p = *state;
	struct crowd *c = NEW(struct crowd);

	for (int i = 0; i < 20; i++)
		assert_int_equal(put(p, "key", "body"), OK);
	assert_int_equal(p->store.control->connections, 1);
	c->place = p;
	task_start_root(&c->task, &crowd_kind, p->loop);
	loop_run(p->loop);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(c->ops[i].task.err, OK);
	assert_true(p->store.control->connections > 1);
	assert_true(p->store.control->connections <= S3_CONNECTIONS_MAX);
	memory_free(c);
}

/* Without one pace for all each of them would be told several times. */
/* F3 */
static void test_a_store_that_wants_less_gets_less_and_everything_is_done(void **state)
{
	struct place *p = *state;
	struct crowd *c = NEW(struct crowd);

	p->store.control->requests_per_s_max = CROWD / 2;
	c->place = p;
	task_start_root(&c->task, &crowd_kind, p->loop);
	loop_run(p->loop);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(c->ops[i].task.err, OK);
	assert_in_range(p->store.control->slow_downs, 1, 3 * CROWD / 2);
	memory_free(c);
}

#define RAW(test) cmocka_unit_test_setup_teardown(test, set_up_raw, tear_down)
#define CAS(test) cmocka_unit_test_setup_teardown(test, set_up_cas, tear_down)
#define HURRIED(test) cmocka_unit_test_setup_teardown(test, set_up_hurried, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW(test_a_busy_store_is_asked_again),
		RAW(test_a_put_whose_answer_was_lost_is_done_again),
		CAS(test_a_put_whose_answer_was_lost_is_done_again),
		RAW(test_a_delete_whose_answer_was_lost_is_done_again),
		RAW(test_a_body_that_is_cut_off_or_damaged_is_read_again),
		HURRIED(test_what_is_always_damaged_is_an_error),
		CAS(test_a_lost_answer_to_put_new_leaves_the_outcome_unknown),
		CAS(test_a_conflict_of_conditional_requests_is_no_exists),
		HURRIED(test_a_storm_of_conflicts_ends_at_the_deadline_and_is_no_exists),
		CAS(test_a_busy_store_has_done_nothing_that_could_exist),
		CAS(test_a_store_without_conditions_is_not_used_as_cas),
		HURRIED(test_a_store_that_never_answers_is_a_timeout_or_an_unknown_outcome),
		HURRIED(test_a_store_that_stays_busy_is_unavailable_at_the_deadline),
		RAW(test_without_a_store_nothing_was_done),
		RAW(test_who_gives_up_hears_what_became_of_it),
		RAW(test_a_refusal_says_what_to_do),
		RAW(test_only_what_says_so_is_an_object_that_is_not_there),
		RAW(test_an_expired_token_is_replaced_by_what_the_environment_has_now),
		RAW(test_the_clock_of_the_store_is_used_when_ours_is_wrong),
		RAW(test_a_store_that_ignores_ranges_gives_no_wrong_bytes),
		RAW(test_another_part_than_was_asked_for_is_not_taken),
		RAW(test_a_list_is_read_to_its_end_whatever_its_pages_hold),
		RAW(test_a_list_out_of_order_makes_the_store_unusable),
		RAW(test_prefixes_keep_buckets_apart),
		RAW(test_the_bucket_is_a_part_of_the_host_where_that_is_wanted),
		RAW(test_no_proxy_leads_to_a_store_on_this_machine),
		RAW(test_connections_are_kept_and_limited),
		RAW(test_a_store_that_wants_less_gets_less_and_everything_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
