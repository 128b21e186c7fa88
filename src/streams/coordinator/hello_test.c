#include "streams/coordinator/hello.h"

#include "streams/coordinator/books_testing.h"

static void test_a_node_keeps_its_id_and_each_life_is_new(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	struct hello first = books_hello_as(&b, "a", 0);
	struct hello other = books_hello_as(&b, "b", 0);
	struct hello second = books_hello_as(&b, "a", 0);
	assert_int_equal(first.node_id, second.node_id);
	assert_int_not_equal(first.node_id, other.node_id);
	assert_true(other.incarnation > first.incarnation);
	assert_true(second.incarnation > other.incarnation);
	books_close(&b);
}

static void test_a_life_goes_on_after_a_lost_connection(void **state)
{
	struct books b;

	(void)state;
	books_open(&b);
	struct hello first = books_hello_as(&b, "a", 0);
	assert_int_equal(books_hello_as(&b, "a", first.incarnation).incarnation, first.incarnation);
	struct hello second = books_hello_as(&b, "a", 0);
	/* the same agent id started twice: the first life is over */
	struct hello late = books_hello_as(&b, "a", first.incarnation);
	assert_true(late.incarnation > second.incarnation);
	/* somebody else's */
	assert_true(books_hello_as(&b, "b", late.incarnation).incarnation > late.incarnation);
	books_close(&b);
}

static enum err try_hello(struct books *b, struct slice node, struct slice host, int32_t port)
{
	struct peer_hello_request request = {
		.node = node, .kafka_host = host, .kafka_port = port, .site = SLICE("")
	};
	struct hello hello = { .request = &request };

	return cell_run(b->cell, hello_run, &hello);
}

static void test_names_that_make_no_sense_are_refused(void **state)
{
	static uint8_t long_name[256];
	struct slice too_long = { long_name, sizeof(long_name) };
	struct books b;

	(void)state;
	books_open(&b);
	assert_int_equal(try_hello(&b, SLICE(""), SLICE("h"), 1), ERR_INVALID);
	assert_int_equal(try_hello(&b, SLICE("n"), SLICE(""), 1), ERR_INVALID);
	assert_int_equal(try_hello(&b, too_long, SLICE("h"), 1), ERR_INVALID);
	assert_int_equal(try_hello(&b, SLICE("n"), too_long, 1), ERR_INVALID);
	assert_int_equal(try_hello(&b, SLICE("n"), SLICE("h"), 0), ERR_INVALID);
	assert_int_equal(try_hello(&b, SLICE("n"), SLICE("h"), 65536), ERR_INVALID);
	assert_int_equal(try_hello(&b, SLICE("n"), SLICE("h"), 65535), OK);
	books_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_node_keeps_its_id_and_each_life_is_new),
		cmocka_unit_test(test_a_life_goes_on_after_a_lost_connection),
		cmocka_unit_test(test_names_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
