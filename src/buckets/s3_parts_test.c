/* Large objects in parts, on a store that misbehaves.  timeout: 120 s */
#include "buckets/s3_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "buckets/bucket_ask.h"
#include "buckets/s3_store_testing.h"

enum { BODY_BYTES = 1000, PART_BYTES = 300, PARTS = 4, REQUESTS = PARTS + 2 };

struct place {
	struct store_process store;
	struct loop *loop;
	struct bucket *bucket;
	struct bucket_ask ask;
	uint8_t body[BODY_BYTES];
	struct slice pieces[3]; /* cut elsewhere than the parts are */
};

static int set_up(void **state, const char *more)
{
	struct place *p = NEW(struct place);
	char url[256], why[TASK_WHY_BYTES] = "";
	struct s3_config *c;

	store_start(&p->store);
	p->loop = loop_new(1);
	snprintf(url, sizeof(url), "s3://bucket?endpoint=http://127.0.0.1:%d%s",
		 p->store.control->port, more);
	assert_int_equal(bucket_open(url, &p->bucket, why), OK);
	c = &CONTAINER(p->bucket, struct s3_bucket, bucket)->config;
	c->whole_bytes_max = BODY_BYTES - 1;
	c->part_bytes = PART_BYTES;
	for (size_t i = 0; i < BODY_BYTES; i++)
		p->body[i] = (uint8_t)(i * 7 + i / 256);
	p->pieces[0] = (struct slice) { p->body, 350 };
	p->pieces[1] = (struct slice) { p->body + 350, 0 };
	p->pieces[2] = (struct slice) { p->body + 350, BODY_BYTES - 350 };
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
	return set_up(state, "&timeout_ms=400");
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

static void order(struct place *p, const char *method, enum store_fault fault, int status,
		  const char *code)
{
	struct store_control *c = p->store.control;
	struct store_order *o = &c->orders[c->order_count];

	assert_true(c->order_count < STORE_ORDERS_MAX);
	*o = (struct store_order) { .fault = fault, .status = status };
	snprintf(o->code, sizeof(o->code), "%s", code);
	snprintf(o->method, sizeof(o->method), "%s", method);
	c->order_count++;
}

static enum err put_as(struct place *p, enum bucket_verb verb, const char *key)
{
	return bucket_ask(&p->ask, p->loop, p->bucket,
			  &(struct bucket_op) { .verb = verb,
						.key = slice_from(key),
						.pieces = p->pieces,
						.piece_count = 3 });
}

static enum err put(struct place *p)
{
	return put_as(p, BUCKET_PUT, "key");
}

static void assert_stored(struct place *p)
{
	struct blob *body = NULL;

	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("key"), &body), OK);
	assert_true(slice_equal(blob_slice(body), (struct slice) { p->body, BODY_BYTES }));
	blob_unref(&body);
}

static void assert_nothing_stored(struct place *p)
{
	uint64_t size;

	assert_int_equal(bucket_ask_head(p->loop, p->bucket, SLICE("key"), &size), ERR_NOT_FOUND);
}

static void delete (struct place *p)
{
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, SLICE("key")), OK);
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

static void test_a_large_object_goes_in_parts_and_a_small_one_whole(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p), OK);
	assert_int_equal(requests(p), REQUESTS);
	assert_stored(p);
	assert_int_equal(p->store.control->open_uploads, 0);
	requests(p);
	p->pieces[2].size--;
	assert_int_equal(put_as(p, BUCKET_PUT, "small"), OK);
	assert_int_equal(requests(p), 1);
}

static void test_an_identical_retry_is_harmless(void **state)
{
	struct place *p = *state;

	assert_int_equal(put(p), OK);
	assert_int_equal(put(p), OK);
	assert_stored(p);
	assert_int_equal(p->store.control->open_uploads, 0);
}

static void test_other_bytes_under_the_name_are_refused_where_it_is_cas(void **state)
{
	struct place *p = *state;

	assert_int_equal(bucket_ask_put(p->loop, p->bucket, SLICE("key"), SLICE("other")), OK);
	assert_int_equal(put(p), ERR_CONFLICT);
	assert_int_equal(p->store.control->open_uploads, 0);
}

static void test_a_put_new_is_one_request_whatever_its_size(void **state)
{
	struct place *p = *state;

	assert_int_equal(put_as(p, BUCKET_PUT_NEW, "key"), OK);
	assert_int_equal(requests(p), 1);
	assert_stored(p);
}

static void test_every_request_is_asked_again_when_the_store_is_busy(void **state)
{
	struct place *p = *state;

	order(p, "POST", STORE_REFUSES, 503, "ServiceUnavailable");
	order(p, "PUT", STORE_REFUSES, 500, "InternalError");
	order(p, "PUT", STORE_CLOSES, 0, "");
	order(p, "PUT", STORE_CLOSES_AFTER, 0, "");
	order(p, "POST", STORE_REFUSES, 503, "ServiceUnavailable");
	assert_int_equal(put(p), OK);
	assert_int_equal(requests(p), REQUESTS + 5);
	assert_stored(p);
	assert_int_equal(p->store.control->open_uploads, 0);
}

/* The first POST is the beginning: an order that does nothing lets it pass. */
static void order_end(struct place *p, enum store_fault fault, int status, const char *code)
{
	order(p, "POST", STORE_NO_FAULT, 0, "");
	order(p, "POST", fault, status, code);
}

static void test_a_lost_answer_at_the_end_is_found_out(void **state)
{
	struct place *p = *state;

	order_end(p, STORE_CLOSES_AFTER, 0, "");
	assert_int_equal(put(p), OK);
	assert_int_equal(requests(p), REQUESTS + 2); /* the end again, and what is there */
	assert_stored(p);
	delete (p);
	order_end(p, STORE_LIES, 500, "InternalError");
	assert_int_equal(put(p), OK);
	assert_stored(p);
	assert_int_equal(p->store.control->open_uploads, 0);
}

static void test_an_error_after_200_is_an_error(void **state)
{
	struct place *p = *state;

	order_end(p, STORE_REFUSES, 200, "InternalError");
	assert_int_equal(put(p), OK);
	assert_int_equal(requests(p), REQUESTS + 1);
	assert_stored(p);
	delete (p);
	order_end(p, STORE_LIES, 200, "InternalError"); /* and it was done all the same */
	assert_int_equal(put(p), OK);
	assert_stored(p);
	delete (p);
	order_end(p, STORE_REFUSES, 200, "NoSuchUpload");
	assert_int_equal(put(p), OK);
	assert_stored(p);
}

static void test_parts_that_the_store_lost_are_sent_again(void **state)
{
	struct place *p = *state;

	order(p, "PUT", STORE_NO_FAULT, 0, "");
	order(p, "PUT", STORE_REFUSES, 404, "NoSuchUpload");
	assert_int_equal(put(p), OK);
	assert_int_equal(requests(p), REQUESTS + 3);
	assert_stored(p);
}

static void test_what_fails_for_good_leaves_no_parts(void **state)
{
	struct place *p = *state;

	order(p, "PUT", STORE_NO_FAULT, 0, "");
	order(p, "PUT", STORE_REFUSES, 403, "AccessDenied");
	assert_int_equal(put(p), ERR_DENIED);
	assert_why(p, "s3:PutObject");
	assert_int_equal(p->store.control->open_uploads, 0);
	order_end(p, STORE_REFUSES, 400, "InvalidPart");
	assert_int_equal(put(p), ERR_UNSUPPORTED);
	assert_int_equal(p->store.control->open_uploads, 0);
	assert_nothing_stored(p);
}

static void test_a_store_that_hangs_is_given_up_and_its_parts_are_aborted(void **state)
{
	struct place *p = *state;

	order(p, "PUT", STORE_NO_FAULT, 0, "");
	order(p, "PUT", STORE_HANGS, 0, "");
	assert_int_equal(put(p), ERR_TIMEOUT);
	assert_int_equal(p->store.control->open_uploads, 0);
	order_end(p, STORE_HANGS_AFTER, 0, "");
	assert_int_equal(put(p), ERR_UNKNOWN);
	assert_stored(p);
}

static void test_a_whole_that_is_something_else_is_an_error(void **state)
{
	struct place *p = *state;

	p->store.control->lies_about_whole = 1;
	assert_int_equal(put(p), ERR_IO);
	assert_why(p, "have become something else");
}

/* Gives up after a while. */
struct impatient {
	struct task task;
	struct place *place;
	struct bucket_op op;
};

static enum step impatient_step(struct task *t)
{
	struct impatient *i = CONTAINER(t, struct impatient, task);

	if (t->at == 1)
		return t->children > 0 ? task_wait(t, 1) : task_done(t, OK);
	bucket_put_pieces(&i->op, t, i->place->bucket, SLICE("key"), i->place->pieces, 3);
	task_set_deadline(&i->op.task, loop_now_ms(t->loop) + 100);
	return task_wait(t, 1);
}

static const struct task_kind impatient_kind = { .name = "impatient", .step = impatient_step };

static void test_who_gives_up_leaves_no_parts(void **state)
{
	struct place *p = *state;
	struct impatient i = { .place = p };

	order(p, "PUT", STORE_NO_FAULT, 0, "");
	order(p, "PUT", STORE_HANGS, 0, "");
	task_start_root(&i.task, &impatient_kind, p->loop);
	loop_run(p->loop);
	assert_int_equal(i.op.task.err, ERR_TIMEOUT);
	assert_int_equal(p->store.control->open_uploads, 0);
	assert_nothing_stored(p);
}

static void test_the_limits_are_those_of_stores(void **state)
{
	struct bucket_op op = { .verb = BUCKET_PUT };
	struct s3_config c = { .whole_bytes_max = S3_WHOLE_BYTES_MAX, .part_bytes = S3_PART_BYTES };
	struct slice piece = { NULL, S3_WHOLE_BYTES_MAX };
	struct s3_parts *parts;

	(void)state;
	op.pieces = &piece;
	op.piece_count = 1;
	assert_null(s3_parts_new(&op, &c));
	piece.size++;
	parts = s3_parts_new(&op, &c);
	assert_int_equal(parts->count, 5);
	s3_parts_free(parts);
	piece.size = BUCKET_OBJECT_BYTES_MAX;
	parts = s3_parts_new(&op, &c);
	assert_int_equal(parts->count, S3_PARTS_MAX);
	assert_int_equal(parts->part_size, S3_PART_BYTES);
	s3_parts_free(parts);
	op.part_bytes = 1; /* fewer and larger ones */
	parts = s3_parts_new(&op, &c);
	assert_int_equal(parts->count, S3_PARTS_MAX);
	s3_parts_free(parts);
}

#define RAW(test) cmocka_unit_test_setup_teardown(test, set_up_raw, tear_down)
#define CAS(test) cmocka_unit_test_setup_teardown(test, set_up_cas, tear_down)
#define HURRIED(test) cmocka_unit_test_setup_teardown(test, set_up_hurried, tear_down)

/* --- what crashes left ------------------------------------------------------------------------ */
enum { DAY_MS = 24 * 3600 * 1000 };

/* Like a process that dies after it began. */
static void leave_upload(struct place *p, const char *key, int64_t ago_ms)
{
	int open_uploads = p->store.control->open_uploads;

	p->store.control->begun_ago_ms = ago_ms;
	order(p, "PUT", STORE_REFUSES, 403, "AccessDenied");
	order(p, "DELETE", STORE_REFUSES, 403, "AccessDenied");
	assert_int_equal(put_as(p, BUCKET_PUT, key), ERR_DENIED);
	assert_int_equal(p->store.control->open_uploads, open_uploads + 1);
}

static enum err abort_uploads(struct place *p)
{
	return bucket_ask(&p->ask, p->loop, p->bucket,
			  &(struct bucket_op) { .verb = BUCKET_ABORT_UPLOADS,
						.key = SLICE("v1/"),
						.age_ms = DAY_MS });
}

static void test_f5_uploads_that_a_crash_left_are_aborted(void **state)
{
	struct place *p = *state;
	char key[64];

	leave_upload(p, "v2/of-others", 9 * (int64_t)DAY_MS);
	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "v1/d/%02x/old", i);
		leave_upload(p, key, (i + 1) * (int64_t)DAY_MS);
	}
	leave_upload(p, "v1/d/77/young", DAY_MS - 60 * 1000);
	leave_upload(p, "v1/d/77/ahead", -DAY_MS);
	p->store.control->page_keys_max = 2; /* five pages */
	(void)requests(p);
	assert_int_equal(abort_uploads(p), OK);
	assert_int_equal(p->ask.op.ret_count, 5);
	assert_false(p->ask.op.ret_more);
	assert_int_equal(p->store.control->open_uploads, 3);
	assert_in_range(requests(p), 5 + 4, 5 + 5);
	assert_int_equal(abort_uploads(p), OK);
	assert_int_equal(p->ask.op.ret_count, 0);
	assert_int_equal(p->store.control->open_uploads, 3);
	assert_int_equal(put(p), OK);
}

static void test_f5_what_cannot_be_aborted_is_said(void **state)
{
	struct place *p = *state;

	leave_upload(p, "v1/d/00/old", 2 * (int64_t)DAY_MS);
	order(p, "DELETE", STORE_REFUSES, 500, "InternalError"); /* once more */
	order(p, "DELETE", STORE_REFUSES, 403, "AccessDenied");
	assert_int_equal(abort_uploads(p), ERR_DENIED);
	assert_why(p, "s3:AbortMultipartUpload");
	assert_int_equal(p->store.control->open_uploads, 1);
	order(p, "GET", STORE_REFUSES, 501, "NotImplemented");
	assert_int_equal(abort_uploads(p), ERR_UNSUPPORTED);
	order(p, "DELETE", STORE_CLOSES_AFTER, 0, ""); /* then there is none */
	assert_int_equal(abort_uploads(p), OK);
	assert_int_equal(p->store.control->open_uploads, 0);
}

/* By the clock of the store, which said when they were begun. */
static void test_f5_ages_are_those_of_the_store(void **state)
{
	struct place *p = *state;

	p->store.control->clock_ahead_ms = -2 * (int64_t)DAY_MS;
	leave_upload(p, "v1/d/00/young", 3600 * 1000);
	assert_int_equal(abort_uploads(p), OK);
	assert_int_equal(p->ask.op.ret_count, 0);
	assert_int_equal(p->store.control->open_uploads, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW(test_a_large_object_goes_in_parts_and_a_small_one_whole),
		RAW(test_an_identical_retry_is_harmless),
		CAS(test_an_identical_retry_is_harmless),
		CAS(test_other_bytes_under_the_name_are_refused_where_it_is_cas),
		CAS(test_a_put_new_is_one_request_whatever_its_size),
		RAW(test_every_request_is_asked_again_when_the_store_is_busy),
		RAW(test_a_lost_answer_at_the_end_is_found_out),
		CAS(test_a_lost_answer_at_the_end_is_found_out),
		RAW(test_an_error_after_200_is_an_error),
		CAS(test_an_error_after_200_is_an_error),
		RAW(test_parts_that_the_store_lost_are_sent_again),
		RAW(test_what_fails_for_good_leaves_no_parts),
		HURRIED(test_a_store_that_hangs_is_given_up_and_its_parts_are_aborted),
		RAW(test_a_whole_that_is_something_else_is_an_error),
		RAW(test_who_gives_up_leaves_no_parts),
		cmocka_unit_test(test_the_limits_are_those_of_stores),
		cmocka_unit_test_setup_teardown(test_f5_uploads_that_a_crash_left_are_aborted,
						set_up_raw, tear_down),
		cmocka_unit_test_setup_teardown(test_f5_what_cannot_be_aborted_is_said, set_up_raw,
						tear_down),
		cmocka_unit_test_setup_teardown(test_f5_ages_are_those_of_the_store, set_up_raw,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
