/* What is counted, with every kind of bucket.  timeout: 120 s */
#include "buckets/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "buckets/bucket_ask.h"
#include "buckets/fault.h"
#include "buckets/s3_store_testing.h"

enum { URL_BYTES = 256 };

/* --- pure ------------------------------------------------------------------------------------ */
static void test_a_request_is_what_the_store_takes_it_for(void **state)
{
	static const struct {
		const char *method, *url;
		bool is_conditional;
		enum meter_request request;
	} rows[] = {
		{ "PUT", "http://h/b/key", false, METER_PUT },
		{ "PUT", "http://h/b/key", true, METER_PUT_NEW },
		{ "PUT", "http://h/b/key?partNumber=1&uploadId=x", false, METER_PART },
		{ "POST", "http://h/b/key?uploads", false, METER_PART },
		{ "POST", "http://h/b/key?uploadId=x", true, METER_PART },
		{ "GET", "http://h/b/list-type=2", false, METER_GET },
		{ "GET", "http://h/b/?encoding-type=url&list-type=2", false, METER_LIST },
		{ "GET", "http://h/b/?uploads=", false, METER_LIST },
		{ "HEAD", "http://h/b/key", false, METER_HEAD },
		{ "DELETE", "http://h/b/key?uploadId=x", false, METER_DELETE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(meter_request_of(rows[i].method, rows[i].url,
						  rows[i].is_conditional),
				 rows[i].request);
}

static void test_a_name_tells_buckets_apart_and_tells_no_secret(void **state)
{
	static const char *const rows[][2] = {
		{ "file:./var/bucket", "file:./var/bucket" },
		{ "file:/srv/b?class=raw", "file:/srv/b" },
		{ "s3://name/prefix?region=eu-west-1&class=cas&timeout_ms=400",
		  "s3://name/prefix?region=eu-west-1" },
		{ "s3://name?endpoint=https://user:word@h:9000&region=r",
		  "s3://name?endpoint=https://h:9000&region=r" },
		{ "s3://name?endpoint=http://h&secret=word", "s3://name?endpoint=http://h" },
		{ "s3://name?endpoint=", "s3://name?endpoint=" },
		{ "memory:?", "memory:" },
	};
	char name[METER_NAME_BYTES_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		meter_name_of_url(rows[i][0], name);
		assert_string_equal(name, rows[i][1]);
	}
}

static void test_what_came_since_is_a_difference(void **state)
{
	struct meter before = { .requests = { 1, 2, 3, 4, 5, 6, 7 }, 1, 100, 200 };
	struct meter now = before, more = { .requests = { [METER_LIST] = 3 }, 1, 5, 6 };

	(void)state;
	assert_true(meter_is_zero(&(struct meter) { 0 }));
	assert_false(meter_is_zero(&more));
	meter_add(&now, &more);
	assert_int_equal(now.requests[METER_LIST], 9);
	struct meter since = meter_since(&now, &before);
	assert_memory_equal(&since, &more, sizeof(more));
}

/* --- buckets --------------------------------------------------------------------------------- */
struct place {
	struct loop *loop;
	struct bucket *bucket;
	struct arena arena;
};

static void open_bucket(struct place *p, const char *url)
{
	char why[TASK_WHY_BYTES] = "";

	p->loop = loop_new(1);
	arena_init(&p->arena);
	assert_int_equal(bucket_open(url, &p->bucket, why), OK);
	assert_string_equal(why, "");
}

static void close_bucket(struct place *p)
{
	loop_free(p->loop);
	bucket_close(p->bucket);
	arena_done(&p->arena);
}

static void assert_counts(const struct place *p, const uint64_t requests[METER_REQUESTS])
{
	assert_memory_equal(bucket_meter(p->bucket)->requests, requests,
			    METER_REQUESTS * sizeof(*requests));
}

/* Each verb once, with some that find nothing. */
static void use(struct place *p)
{
	struct slice *names;
	struct blob *body;
	uint64_t size;
	size_t count;
	bool more;

	assert_int_equal(bucket_ask_put(p->loop, p->bucket, SLICE("a"), SLICE("0123456789")), OK);
	assert_int_equal(bucket_ask_put_new(p->loop, p->bucket, SLICE("b"), SLICE("xyz")), OK);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("a"), &body), OK);
	blob_unref(&body);
	assert_int_equal(bucket_ask_get(p->loop, p->bucket, SLICE("none"), &body), ERR_NOT_FOUND);
	assert_int_equal(bucket_ask_head(p->loop, p->bucket, SLICE("b"), &size), OK);
	assert_int_equal(bucket_ask_list(p->loop, p->bucket, &p->arena, SLICE(""), SLICE(""),
					 &names, &count, &more),
			 OK);
	assert_int_equal(bucket_ask_delete(p->loop, p->bucket, SLICE("b")), OK);
}

static const uint64_t used[METER_REQUESTS] = {
	[METER_PUT] = 1,  [METER_PUT_NEW] = 1, [METER_GET] = 2,
	[METER_HEAD] = 1, [METER_LIST] = 1,    [METER_DELETE] = 1,
};

static void check(const char *url)
{
	struct place p;

	open_bucket(&p, url);
	use(&p);
	assert_counts(&p, used);
	assert_int_equal(bucket_meter(p.bucket)->errors, 0);
	assert_int_equal(bucket_meter(p.bucket)->sent_bytes, 13);
	assert_int_equal(bucket_meter(p.bucket)->received_bytes, 10);
	close_bucket(&p);
}

static void test_memory_counts_one_request_an_operation(void **state)
{
	(void)state;
	check("memory:");
	check("memory:?latency_ms=1");
}

static void test_a_directory_counts_one_request_an_operation(void **state)
{
	char path[] = "/tmp/hanse-meter-XXXXXX", url[64], command[64];

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(url, sizeof(url), "file:%s?class=cas", path);
	check(url);
	snprintf(command, sizeof(command), "rm -r %s", path);
	assert_int_equal(system(command), 0);
}

static void test_what_is_refused_before_it_is_sent_is_not_counted(void **state)
{
	struct place p;

	(void)state;
	open_bucket(&p, "memory:?class=raw");
	assert_int_equal(bucket_ask_put_new(p.loop, p.bucket, SLICE("a"), SLICE("b")),
			 ERR_UNSUPPORTED);
	assert_int_equal(bucket_ask_put(p.loop, p.bucket, SLICE("a//b"), SLICE("b")), ERR_INVALID);
	assert_true(meter_is_zero(bucket_meter(p.bucket)));
	close_bucket(&p);
}

static void test_a_wrapper_has_the_meter_and_the_name_of_what_it_wraps(void **state)
{
	char why[TASK_WHY_BYTES], name[METER_NAME_BYTES_MAX];
	struct bucket *inner;
	struct place p;

	(void)state;
	open_bucket(&p, "memory:");
	inner = p.bucket;
	p.bucket = fault_bucket_new(inner, 1);
	fault_add_nth(p.bucket, 1, FAULT_BEFORE, ERR_IO);
	assert_int_equal(bucket_ask_put(p.loop, p.bucket, SLICE("a"), SLICE("b")), ERR_IO);
	assert_true(meter_is_zero(bucket_meter(p.bucket)));
	use(&p);
	assert_counts(&p, used);
	assert_ptr_equal(bucket_meter(p.bucket), bucket_meter(inner));
	close_bucket(&p);

	setenv("HANSE_TEST_FAULTS", "1", 1);
	assert_int_equal(bucket_open("fault:memory:?class=raw", &inner, why), OK);
	bucket_meter_name(inner, name);
	assert_string_equal(name, "memory:");
	bucket_close(inner);
}

/* --- stores ---------------------------------------------------------------------------------- */
static void order(struct store_process *store, const char *method, enum store_fault fault,
		  int status)
{
	struct store_control *c = store->control;
	struct store_order *o = &c->orders[c->order_count];

	*o = (struct store_order) { .fault = fault, .status = status };
	snprintf(o->method, sizeof(o->method), "%s", method);
	c->order_count++;
}

static uint64_t count_all(const struct meter *m)
{
	uint64_t count = 0;

	for (int i = 0; i < METER_REQUESTS; i++)
		count += m->requests[i];
	return count;
}

static void test_a_store_is_asked_as_often_as_is_counted(void **state)
{
	struct store_process store;
	char url[URL_BYTES];
	struct blob *body;
	struct place p;

	(void)state;
	store_start(&store);
	snprintf(url, sizeof(url), "s3://bucket?endpoint=http://127.0.0.1:%d&class=cas",
		 store.control->port);
	open_bucket(&p, url);
	const struct meter *m = bucket_meter(p.bucket);
	assert_int_equal(bucket_ask_put(p.loop, p.bucket, SLICE("a"), SLICE("0123456789")), OK);
	assert_int_equal(m->requests[METER_PUT_NEW], 1);
	assert_int_equal(m->sent_bytes, 10);
	assert_int_equal(m->errors, 0);

	order(&store, "PUT", STORE_REFUSES, 503);
	order(&store, "PUT", STORE_CLOSES, 0);
	assert_int_equal(bucket_ask_put(p.loop, p.bucket, SLICE("c"), SLICE("0123456789")), OK);
	assert_int_equal(m->requests[METER_PUT_NEW], 4);
	assert_int_equal(m->sent_bytes, 40);
	assert_int_equal(m->errors, 2);

	order(&store, "GET", STORE_SENDS_HALF, 0);
	assert_int_equal(bucket_ask_get(p.loop, p.bucket, SLICE("a"), &body), OK);
	blob_unref(&body);
	assert_int_equal(m->requests[METER_GET], 2);
	assert_int_equal(m->received_bytes, 15);
	assert_int_equal(m->errors, 3);

	use(&p);
	assert_int_equal(count_all(m), store.control->requests);
	close_bucket(&p);
	store_stop(&store);
}

static void test_a_request_that_was_cut_off_is_counted(void **state)
{
	struct store_process store;
	char url[URL_BYTES];
	struct blob *body;
	struct place p;

	(void)state;
	store_start(&store);
	snprintf(url, sizeof(url), "s3://bucket?endpoint=http://127.0.0.1:%d&timeout_ms=300",
		 store.control->port);
	open_bucket(&p, url);
	order(&store, "GET", STORE_HANGS, 0);
	assert_int_equal(bucket_ask_get(p.loop, p.bucket, SLICE("a"), &body), ERR_TIMEOUT);
	assert_int_equal(bucket_meter(p.bucket)->requests[METER_GET], 1);
	assert_int_equal(bucket_meter(p.bucket)->errors, 1);
	close_bucket(&p);
	store_stop(&store);

	open_bucket(&p, url); /* nobody is there: nothing was sent */
	assert_int_not_equal(bucket_ask_get(p.loop, p.bucket, SLICE("a"), &body), OK);
	assert_true(meter_is_zero(bucket_meter(p.bucket)));
	close_bucket(&p);
}

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_is_what_the_store_takes_it_for),
		cmocka_unit_test(test_a_name_tells_buckets_apart_and_tells_no_secret),
		cmocka_unit_test(test_what_came_since_is_a_difference),
		cmocka_unit_test(test_memory_counts_one_request_an_operation),
		cmocka_unit_test(test_a_directory_counts_one_request_an_operation),
		cmocka_unit_test(test_what_is_refused_before_it_is_sent_is_not_counted),
		cmocka_unit_test(test_a_wrapper_has_the_meter_and_the_name_of_what_it_wraps),
		cmocka_unit_test(test_a_store_is_asked_as_often_as_is_counted),
		cmocka_unit_test(test_a_request_that_was_cut_off_is_counted),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
