/* T2: what clients asked about a transaction before they went elsewhere. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "streams/testing_world.h"

static struct testing_world w;
static struct testing_client c;

static void set_up(void)
{
	testing_world_open(&w, 0);
	w.control.kafka_error = ERR_DENIED;
	testing_client_open(&c, &w);
}

static void tear_down(void)
{
	testing_client_close(&c);
	testing_world_close(&w);
}

static struct kafka_end_txn_request end_txn(void)
{
	return (struct kafka_end_txn_request) { .transactional_id = SLICE("late"),
						.producer_id = 7 };
}

/* All that a client sends before it closes its connection, while the agent stands still. */
static void send_and_go(int16_t key, int16_t version, const void *request)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(w.port) };
	struct buf out;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	buf_init(&out);
	buf_add_u32(&out, 0);
	kafka_request_header_encode(&(struct kafka_request_header) { .api_key = key,
								     .api_version = version,
								     .client_id = SLICE("late") },
				    &out);
	schema_encode(kafka_api_find(key)->request, version, request, &out);
	put_u32(out.data, (uint32_t)out.size - 4);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(fd, out.data, out.size), (ssize_t)out.size);
	assert_int_equal(close(fd), 0);
	buf_done(&out);
}

/* T2 */
static void test_a_transaction_is_not_ended_for_who_has_gone(void **state)
{
	struct kafka_end_txn_request late = end_txn();
	struct kafka_leave_group_request leave = { .group_id = SLICE("group"),
						   .member_id = SLICE("member") };

	(void)state;
	set_up();
	send_and_go(KAFKA_API_END_TXN, 1, &late);
	testing_run_ms(&w, 200);
	assert_int_equal(w.control.kafka_count, 0);
	/* Others are passed on: a member that says goodbye does not wait. */
	send_and_go(KAFKA_API_LEAVE_GROUP, 0, &leave);
	WAIT_FOR(&w, w.control.kafka_count == 1);
	tear_down();
}

static void test_a_transaction_is_ended_for_who_waits(void **state)
{
	struct kafka_end_txn_request now = end_txn();

	(void)state;
	set_up();
	testing_send(&c, KAFKA_API_END_TXN, 1, &now);
	WAIT_FOR(&w, w.control.kafka_count == 1);
	tear_down();
}

/* The agent was away for so long that control gave it up.  Who had come before may have gone on
 * elsewhere, and is told by the end of the connection to come again. */
static void test_a_transaction_is_not_ended_for_who_came_in_an_earlier_life(void **state)
{
	struct kafka_end_txn_request late = end_txn();

	(void)state;
	set_up();
	w.control.is_away = true;
	testing_lose_agent(&w.control);
	testing_send(&c, KAFKA_API_END_TXN, 1, &late);
	testing_run_ms(&w, 100);
	assert_false(c.is_ended);
	testing_control_sql(&w.control, "UPDATE agent SET incarnation = 100");
	testing_control_sql(&w.control, "UPDATE counter SET next = 101"
					" WHERE name = 'incarnation'");
	w.control.is_away = false;
	WAIT_FOR(&w, c.is_ended);
	assert_int_equal(w.control.kafka_count, 0);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_transaction_is_not_ended_for_who_has_gone),
		cmocka_unit_test(test_a_transaction_is_ended_for_who_waits),
		cmocka_unit_test(test_a_transaction_is_not_ended_for_who_came_in_an_earlier_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
