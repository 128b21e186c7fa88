#include "loop/http2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"

enum { EXCHANGES_MAX = 256, ROUNDS_MAX = 10000, OUTPUT_BYTES = 64 * 1024 };

/* One end of a connection, and what its owner was told. */
struct end {
	struct http2 *session;
	struct http2_exchange *requests[EXCHANGES_MAX]; /* server: in order of arrival */
	int request_count;
	int gone_count, drained_count, output_count;
	struct http2_exchange *gone;
	struct buf received; /* client: data of all answers */
	int answer_count, end_count, whole_count;
	int status;
	unsigned retry_after_s;
};

static struct http2_budget budget, unsent;
static struct end server, client;

static void on_output(void *context)
{
	struct end *end = context;

	end->output_count++;
}

static void on_request(void *context, struct http2_exchange *e)
{
	struct end *end = context;

	assert_true(end->request_count < EXCHANGES_MAX);
	end->requests[end->request_count++] = e;
}

static void on_gone(void *context, struct http2_exchange *e)
{
	struct end *end = context;

	end->gone_count++;
	end->gone = e;
}

static void on_drained(void *context, struct http2_exchange *e)
{
	struct end *end = context;

	(void)e;
	end->drained_count++;
}

static void on_answer(void *context, struct http2_exchange *e)
{
	struct end *end = context;

	end->answer_count++;
	end->status = e->status;
	end->retry_after_s = e->retry_after_s;
}

static void on_data(void *context, struct http2_exchange *e, struct slice bytes)
{
	struct end *end = context;

	(void)e;
	buf_add_slice(&end->received, bytes);
}

static void on_end(void *context, struct http2_exchange *e, enum err err)
{
	struct end *end = context;

	(void)e;
	end->end_count++;
	end->whole_count += err == OK;
}

static int set_up(void **state)
{
	const struct http2_config server_config = {
		.context = &server,
		.transport = &server,
		.on_output = on_output,
		.on_request = on_request,
		.on_gone = on_gone,
		.on_drained = on_drained,
		.budget = &budget,
		.unsent = &unsent,
	};
	const struct http2_config client_config = {
		.context = &client,
		.transport = &client,
		.on_output = on_output,
		.on_answer = on_answer,
		.on_data = on_data,
		.on_end = on_end,
	};

	(void)state;
	server = (struct end) { .session = http2_new_server(&server_config) };
	client = (struct end) { .session = http2_new_client(&client_config) };
	budget = (struct http2_budget) { .max = 64 * 1024 * 1024 };
	unsent = (struct http2_budget) { 0 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http2_free(client.session);
	http2_free(server.session);
	buf_done(&client.received);
	assert_int_equal(budget.used, 0);
	assert_int_equal(unsent.used, 0);
	return 0;
}

/* What `from` has to say, said to `to`; returns how much that was. */
static size_t carry(struct end *from, struct end *to, uint64_t now_ms)
{
	struct buf bytes;

	buf_init(&bytes);
	http2_output(from->session, &bytes, OUTPUT_BYTES);
	size_t size = bytes.size;
	if (size > 0)
		assert_int_equal(http2_feed(to->session, buf_slice(&bytes), now_ms), OK);
	buf_done(&bytes);
	return size;
}

static void pump_at(uint64_t now_ms)
{
	for (int round = 0; round < ROUNDS_MAX; round++)
		if (carry(&client, &server, now_ms) + carry(&server, &client, now_ms) == 0)
			return;
	fail_msg("they never stop talking");
}

static void pump(void)
{
	pump_at(0);
}

static struct http2_exchange *ask_with(const char *path, struct slice body)
{
	return http2_request(client.session, &(struct http2_request) {
						     .method = "POST",
						     .authority = "unused",
						     .path = path,
						     .content_type = "application/json",
						     .body = body,
					     });
}

static struct http2_exchange *ask(const char *path)
{
	return ask_with(path, SLICE("{}"));
}

static void test_a_request_gets_its_whole_answer(void **state)
{
	(void)state;
	assert_non_null(ask_with("/machine/register?x=1", SLICE("who am I")));
	pump();
	assert_int_equal(server.request_count, 1);
	struct http2_exchange *e = server.requests[0];
	assert_true(slice_equal(e->method, SLICE("POST")));
	assert_true(slice_equal(e->path, SLICE("/machine/register")));
	assert_true(slice_equal(e->query, SLICE("x=1")));
	assert_true(slice_equal(e->body, SLICE("who am I")));
	http2_answer(e, 200, "application/json", SLICE("nobody"));
	pump();
	assert_int_equal(client.status, 200);
	assert_true(slice_equal(buf_slice(&client.received), SLICE("nobody")));
	assert_int_equal(client.whole_count, 1);
	assert_int_equal(server.gone_count, 0);
	assert_int_equal(http2_exchange_count(server.session), 0);
	assert_int_equal(http2_exchange_count(client.session), 0);
}

static void test_a_request_without_a_body_is_whole_with_its_headers(void **state)
{
	(void)state;
	const struct http2_request get = { .method = "GET", .authority = "a", .path = "/x" };
	assert_non_null(http2_request(client.session, &get));
	pump();
	assert_int_equal(server.request_count, 1);
	http2_answer(server.requests[0], 204, NULL, SLICE(""));
	pump();
	assert_int_equal(client.status, 204);
	assert_int_equal(client.whole_count, 1);
}

static void test_an_answer_in_pieces_arrives_piece_by_piece(void **state)
{
	(void)state;
	assert_non_null(ask("/machine/map"));
	pump();
	struct http2_exchange *e = server.requests[0];
	http2_begin(e, 200, "application/json");
	pump();
	assert_int_equal(client.status, 200);
	assert_int_equal(client.received.size, 0);
	http2_write(e, blob_from(SLICE("one")));
	http2_write(e, blob_from(SLICE("two")));
	assert_int_equal(http2_pending_bytes(e), 6);
	pump();
	assert_true(slice_equal(buf_slice(&client.received), SLICE("onetwo")));
	assert_int_equal(http2_pending_bytes(e), 0);
	assert_int_equal(server.drained_count, 1);
	http2_write(e, blob_from(SLICE("three")));
	pump();
	assert_int_equal(server.drained_count, 2);
	assert_int_equal(client.end_count, 0);
	http2_end_body(e);
	pump();
	assert_true(slice_equal(buf_slice(&client.received), SLICE("onetwothree")));
	assert_int_equal(client.whole_count, 1);
}

static void test_one_blob_goes_to_many(void **state)
{
	struct blob *b = blob_from(SLICE("news"));

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_non_null(ask("/machine/map"));
	pump();
	for (int i = 0; i < 10; i++) {
		http2_begin(server.requests[i], 200, "application/json");
		http2_write(server.requests[i], blob_ref(b));
	}
	pump();
	assert_int_equal(client.received.size, 40);
	assert_int_equal(b->refs, 1);
	blob_unref(&b);
}

static void test_a_hundred_requests_wait_side_by_side(void **state)
{
	(void)state;
	for (int i = 0; i < HTTP2_EXCHANGES_MAX; i++)
		assert_non_null(ask("/wait"));
	assert_null(ask("/one too many"));
	pump();
	assert_int_equal(server.request_count, HTTP2_EXCHANGES_MAX);
	for (int i = HTTP2_EXCHANGES_MAX; i > 0; i--)
		http2_answer(server.requests[i - 1], 200, NULL, SLICE("x"));
	pump();
	assert_int_equal(client.whole_count, HTTP2_EXCHANGES_MAX);
	assert_int_equal(client.received.size, HTTP2_EXCHANGES_MAX);
}

static void test_a_body_over_the_limit_is_refused_and_the_others_go_on(void **state)
{
	struct blob *big = blob_new(HTTP2_REQUEST_BYTES_MAX + 1);

	(void)state;
	memset(big->data, 'x', big->capacity);
	assert_non_null(ask_with("/a", (struct slice) { big->data, HTTP2_REQUEST_BYTES_MAX }));
	pump();
	assert_int_equal(server.request_count, 1);
	assert_int_equal(server.requests[0]->body.size, HTTP2_REQUEST_BYTES_MAX);
	http2_answer(server.requests[0], 200, NULL, SLICE(""));
	assert_non_null(ask_with("/b", (struct slice) { big->data, HTTP2_REQUEST_BYTES_MAX + 1 }));
	pump();
	assert_int_equal(client.status, 413);
	assert_int_equal(server.request_count, 1);
	assert_non_null(ask("/c"));
	pump();
	assert_int_equal(server.request_count, 2);
	http2_answer(server.requests[1], 200, NULL, SLICE(""));
	pump();
	assert_int_equal(client.status, 200);
	blob_unref(&big);
}

static void test_a_client_cannot_have_more_held_than_its_window(void **state)
{
	struct blob *big = blob_new(HTTP2_REQUEST_BYTES_MAX);

	(void)state;
	memset(big->data, 'x', big->capacity);
	for (int i = 0; i < 8; i++)
		assert_non_null(ask_with("/", (struct slice) { big->data, big->capacity }));
	pump();
	assert_true(budget.used > 0 && budget.used <= HTTP2_HELD_BYTES_MAX);
	/* all are half there, and none can be finished: until they are refused for being slow */
	assert_int_equal(server.request_count, 0);
	for (int i = 0; i < 8; i++) {
		http2_drop_slow(server.session, 1);
		pump();
		assert_true(budget.used <= HTTP2_HELD_BYTES_MAX);
	}
	assert_int_equal(client.answer_count, 8);
	assert_int_equal(budget.used, 0);
	assert_non_null(ask("/"));
	pump();
	assert_int_equal(server.request_count, 1);
	blob_unref(&big);
}

static void test_a_long_poll_gives_its_window_back(void **state)
{
	struct blob *big = blob_new(HTTP2_REQUEST_BYTES_MAX);

	(void)state;
	memset(big->data, 'x', big->capacity);
	for (int i = 0; i < 8; i++) {
		assert_non_null(ask_with("/", (struct slice) { big->data, big->capacity }));
		pump();
		assert_int_equal(server.request_count, i + 1);
		http2_begin(server.requests[i], 200, NULL);
		assert_int_equal(server.requests[i]->body.size, 0);
	}
	assert_int_equal(budget.used, 0);
	blob_unref(&big);
}

static void test_over_the_budget_of_all_requests_are_refused(void **state)
{
	(void)state;
	budget.max = 10;
	assert_non_null(ask_with("/", SLICE("0123456789")));
	assert_non_null(ask_with("/", SLICE("x")));
	pump();
	assert_int_equal(server.request_count, 1);
	assert_int_equal(client.status, 503);
	http2_answer(server.requests[0], 200, NULL, SLICE(""));
	assert_non_null(ask_with("/", SLICE("x")));
	pump();
	assert_int_equal(server.request_count, 2);
}

static void test_what_the_client_does_not_read_stays_with_the_server(void **state)
{
	struct blob *big = blob_new(1024 * 1024);
	struct buf bytes;

	(void)state;
	big->size = big->capacity;
	memset(big->data, 'x', big->size);
	assert_non_null(ask("/machine/map"));
	pump();
	struct http2_exchange *e = server.requests[0];
	http2_begin(e, 200, NULL);
	for (int i = 0; i < 16; i++)
		http2_write(e, blob_ref(big));
	buf_init(&bytes);
	for (int i = 0; i < 1000; i++)
		http2_output(server.session, &bytes, OUTPUT_BYTES);
	assert_true(bytes.size < HTTP2_CLIENT_WINDOW_BYTES + 64 * 1024);
	assert_true(http2_pending_bytes(e) >= (16 << 20) - HTTP2_CLIENT_WINDOW_BYTES);
	assert_int_equal(http2_feed(client.session, buf_slice(&bytes), 0), OK);
	pump();
	assert_int_equal(client.received.size, 16 << 20);
	buf_done(&bytes);
	blob_unref(&big);
}

/* An answer of more than the client takes without being read, of which all that fits is sent. */
static struct http2_exchange *begin_long_answer(struct blob *big)
{
	struct buf bytes;

	assert_non_null(ask("/machine/map"));
	pump();
	struct http2_exchange *e = server.requests[server.request_count - 1];
	http2_begin(e, 200, NULL);
	for (int i = 0; i < 8; i++)
		http2_write(e, blob_ref(big));
	http2_write(e, blob_from(blob_slice(big)));
	buf_init(&bytes);
	for (int i = 0; i < 200; i++)
		http2_output(server.session, &bytes, OUTPUT_BYTES);
	assert_int_equal(http2_feed(client.session, buf_slice(&bytes), 0), OK);
	buf_done(&bytes);
	return e;
}

static void test_an_answer_that_nobody_reads_is_cut_off(void **state)
{
	enum { PATIENCE_MS = 60000 };
	struct blob *big = blob_new(1024 * 1024);

	(void)state;
	big->size = big->capacity;
	memset(big->data, 'x', big->size);
	for (int is_ended = 0; is_ended < 2; is_ended++) {
		struct http2_exchange *e = begin_long_answer(big);
		if (is_ended)
			http2_end_body(e);
		assert_true(big->refs > 1);
		assert_int_equal(unsent.used, big->size); /* the others are held here, too */
		http2_drop_unread(server.session, 1000, PATIENCE_MS);
		http2_drop_unread(server.session, 999 + PATIENCE_MS, PATIENCE_MS);
		assert_true(big->refs > 1 && server.gone_count == 0);
		http2_drop_unread(server.session, 1000 + PATIENCE_MS, PATIENCE_MS);
		assert_int_equal(big->refs, 1);
		assert_int_equal(unsent.used, 0);
		assert_int_equal(http2_all_pending_bytes(server.session), 0);
		assert_int_equal(server.gone_count, !is_ended); /* of an ended one nobody hears */
		server.gone_count = 0;
		pump();
		assert_int_equal(client.end_count, is_ended + 1);
		assert_int_equal(client.whole_count, 0);
		assert_int_equal(http2_exchange_count(server.session), 0);
	}
	blob_unref(&big);
}

static void test_a_slow_reader_gets_all(void **state)
{
	struct blob *big = blob_new(1024 * 1024);
	uint64_t now_ms = 1000;

	(void)state;
	big->size = big->capacity;
	memset(big->data, 'x', big->size);
	http2_end_body(begin_long_answer(big));
	for (; http2_all_pending_bytes(server.session) > 0; now_ms += 59000) {
		http2_drop_unread(server.session, now_ms, 60000);
		carry(&client, &server, now_ms);
		carry(&server, &client, now_ms);
	}
	pump();
	assert_true(now_ms > 200000);
	assert_int_equal(client.whole_count, 1);
	assert_int_equal(client.received.size, 9 << 20);
	blob_unref(&big);
}

static void test_a_client_is_told_when_to_come_again(void **state)
{
	(void)state;
	struct http2_exchange *e = ask("/machine/map");
	assert_non_null(e);
	pump();
	http2_answer_busy(server.requests[0], 503, 7, SLICE("later\n"));
	carry(&server, &client, 0);
	assert_int_equal(client.status, 503);
	assert_int_equal(client.retry_after_s, 7);
}

static void test_the_owner_hears_when_the_client_cancels(void **state)
{
	(void)state;
	struct http2_exchange *asked = ask("/machine/map");
	assert_non_null(ask("/other"));
	pump();
	http2_begin(server.requests[0], 200, NULL);
	http2_write(server.requests[0], blob_from(SLICE("x")));
	http2_cancel(asked);
	pump();
	assert_int_equal(server.gone_count, 1);
	assert_ptr_equal(server.gone, server.requests[0]);
	assert_int_equal(client.end_count, 0);
	http2_answer(server.requests[1], 200, NULL, SLICE("still here"));
	pump();
	assert_int_equal(client.whole_count, 1);
}

static void test_the_client_hears_when_its_answer_is_cut_off(void **state)
{
	(void)state;
	assert_non_null(ask("/machine/map"));
	pump();
	http2_begin(server.requests[0], 200, NULL);
	http2_write(server.requests[0], blob_from(SLICE("x")));
	pump();
	http2_reset(server.requests[0]);
	pump();
	assert_int_equal(client.end_count, 1);
	assert_int_equal(client.whole_count, 0);
	assert_int_equal(server.gone_count, 0);
}

static void test_all_exchanges_end_with_the_session(void **state)
{
	(void)state;
	assert_non_null(ask("/a"));
	assert_non_null(ask("/b"));
	pump();
	http2_begin(server.requests[0], 200, NULL);
	http2_end(server.session);
	assert_int_equal(server.gone_count, 2);
	http2_end(client.session);
	assert_int_equal(client.end_count, 2);
	assert_int_equal(client.whole_count, 0);
	assert_null(ask("/c"));
	assert_true(http2_is_over(server.session));
}

static void test_a_ping_comes_back(void **state)
{
	(void)state;
	pump();
	http2_ping(server.session);
	pump();
	assert_int_equal(http2_pong_count(server.session), 1);
	http2_ping(client.session);
	pump();
	assert_int_equal(http2_pong_count(client.session), 1);
}

static void test_a_server_that_goes_away_finishes_what_it_has(void **state)
{
	(void)state;
	assert_non_null(ask("/a"));
	pump();
	http2_go_away(server.session);
	pump();
	assert_null(ask("/b"));
	assert_false(http2_is_over(server.session));
	http2_answer(server.requests[0], 200, NULL, SLICE("done"));
	pump();
	assert_int_equal(client.whole_count, 1);
	assert_true(http2_is_over(server.session));
}

static void test_slow_requests_are_refused(void **state)
{
	struct blob *big = blob_new(1000 * 1000);

	(void)state;
	memset(big->data, 'x', big->capacity);
	pump();
	assert_non_null(ask_with("/slow", (struct slice) { big->data, big->capacity }));
	carry(&client, &server, 1000);
	assert_int_equal(server.request_count, 0);
	http2_drop_slow(server.session, 1000);
	carry(&server, &client, 1000);
	assert_int_equal(client.status, 0);
	http2_drop_slow(server.session, 1001);
	pump_at(1001);
	assert_int_equal(client.status, 408);
	assert_int_equal(server.request_count, 0);
	assert_non_null(ask("/fast"));
	pump_at(2000);
	http2_drop_slow(server.session, 100000);
	assert_int_equal(server.request_count, 1);
	http2_answer(server.requests[0], 200, NULL, SLICE(""));
	pump_at(2000);
	assert_int_equal(client.status, 200);
	blob_unref(&big);
}

static void test_what_is_not_http2_ends_the_session(void **state)
{
	(void)state;
	assert_int_equal(http2_feed(server.session, SLICE("GET / HTTP/1.1\r\n\r\n"), 0),
			 ERR_CORRUPT);
	assert_int_equal(http2_feed(server.session, SLICE("PRI"), 0), ERR_CORRUPT);
	assert_true(http2_is_over(server.session));
}

static void test_a_flood_of_pings_ends_the_session(void **state)
{
	static const uint8_t ping[] = { 0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	enum err err = OK;
	int count = 0;

	(void)state;
	pump();
	for (; !err && count < 100 * HTTP2_ACKNOWLEDGE_MAX; count++)
		err = http2_feed(server.session, (struct slice) { ping, sizeof(ping) }, 0);
	assert_int_equal(err, ERR_CORRUPT);
	assert_true(count <= 2 * HTTP2_ACKNOWLEDGE_MAX);
}

static void test_long_paths_are_refused(void **state)
{
	char path[HTTP2_PATH_BYTES_MAX + 2];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	assert_non_null(ask(path));
	pump();
	assert_int_equal(client.end_count, 1);
	assert_int_equal(client.whole_count, 0);
	path[sizeof(path) - 2] = 0;
	assert_non_null(ask(path));
	pump();
	assert_int_equal(server.request_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_request_gets_its_whole_answer),
		TEST(test_a_request_without_a_body_is_whole_with_its_headers),
		TEST(test_an_answer_in_pieces_arrives_piece_by_piece),
		TEST(test_one_blob_goes_to_many),
		TEST(test_a_hundred_requests_wait_side_by_side),
		TEST(test_a_body_over_the_limit_is_refused_and_the_others_go_on),
		TEST(test_a_client_cannot_have_more_held_than_its_window),
		TEST(test_a_long_poll_gives_its_window_back),
		TEST(test_over_the_budget_of_all_requests_are_refused),
		TEST(test_what_the_client_does_not_read_stays_with_the_server),
		TEST(test_an_answer_that_nobody_reads_is_cut_off),
		TEST(test_a_slow_reader_gets_all),
		TEST(test_a_client_is_told_when_to_come_again),
		TEST(test_the_owner_hears_when_the_client_cancels),
		TEST(test_the_client_hears_when_its_answer_is_cut_off),
		TEST(test_all_exchanges_end_with_the_session),
		TEST(test_a_ping_comes_back),
		TEST(test_a_server_that_goes_away_finishes_what_it_has),
		TEST(test_slow_requests_are_refused),
		TEST(test_what_is_not_http2_ends_the_session),
		TEST(test_a_flood_of_pings_ends_the_session),
		TEST(test_long_paths_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
