/* What clients ask of a realm is bounded: who asks too much is told to come again. */
#include "mesh/realm/private.h"
#include "mesh/realm/realm_testing.h"

static void assert_told_to_wait(const struct machine_client *m, int status)
{
	assert_int_equal(m->status, status);
	assert_int_equal(m->retry_after_s, DOOR_RETRY_AFTER_S);
}

static void wait_for_tokens(uint64_t ms)
{
	uint64_t until_ms = loop_now_ms(rig.world.loop) + ms;

	while (loop_now_ms(rig.world.loop) < until_ms)
		turn();
}

static void test_a_machine_gets_only_so_many_netmaps(void **state)
{
	struct machine_client a, b;
	int refused = 0;

	(void)state;
	client_open(&a, "one");
	client_open(&b, "two");
	const char *key = new_key(0, 0, "");
	register_with(&a, key);
	register_with(&b, key);
	for (int i = 0; i < 2 * REALM_WHOLES_BURST && !refused; i++) {
		int before = a.message_count, ends = a.answer_count;

		send_map(&a, true);
		struct http2_exchange *newest = a.stream;
		WAIT_UNTIL(a.message_count > before || a.stream != newest);
		assert_true(a.answer_count >= ends);
		refused += a.stream != newest;
	}
	assert_int_equal(refused, 1);
	assert_told_to_wait(&a, 429);
	buf_clear(&a.frames); /* the sentence is none */
	begin_stream(&b);     /* others are served */
	assert_non_null(peer_of(&b, &a));
	wait_for_tokens(1000);
	begin_stream(&a);
	client_close(&a);
	client_close(&b);
}

static void test_what_a_machine_says_of_itself_is_written_now_and_then(void **state)
{
	struct machine_client a;
	char name[32] = "one";
	int written = 0;

	(void)state;
	client_open(&a, name);
	register_with(&a, new_key(0, 0, ""));
	for (; written < 2 * REALM_UPDATES_BURST; written++) {
		snprintf(name, sizeof(name), "name%d", written);
		send_map(&a, false);
		if (a.status != 200)
			break;
	}
	assert_told_to_wait(&a, 429);
	assert_true(written >= REALM_UPDATES_BURST && written <= REALM_UPDATES_BURST + 3);
	snprintf(name, sizeof(name), "name%d", written - 1);
	send_map(&a, false); /* nothing new: nothing is written */
	assert_int_equal(a.status, 200);
	client_close(&a);
}

static void test_operations_of_one_machine_are_bounded(void **state)
{
	struct machine_client a, b;

	(void)state;
	client_open(&a, "one");
	client_open(&b, "two");
	char key[64];
	snprintf(key, sizeof(key), "%s", new_key(0, 0, ""));
	fault_add(rig.node.buckets[0],
		  &(struct fault) { .verbs = FAULT_WRITES, .effect = FAULT_HOLD });
	size_t others = rig.realm->operation_count;
	for (int i = 0; i < REALM_MACHINE_OPERATIONS_MAX + 2; i++)
		begin_register(&a, key, "", 0);
	WAIT_UNTIL(a.answer_count == 2);
	assert_told_to_wait(&a, 503);
	begin_register(&b, key, "", 0);
	WAIT_UNTIL(rig.realm->operation_count == others + REALM_MACHINE_OPERATIONS_MAX + 1);
	assert_int_equal(b.answer_count, 0);
	fault_clear(rig.node.buckets[0]);
	fault_release(rig.node.buckets[0], "");
	WAIT_UNTIL(a.answer_count == REALM_MACHINE_OPERATIONS_MAX + 2 && b.answer_count == 1);
	client_close(&a);
	client_close(&b);
}

/* Whoever wants to join is refused before those who are there. */
static void test_operations_of_all_are_bounded(void **state)
{
	struct machine_client a, stranger;

	(void)state;
	client_open(&a, "one");
	client_open(&stranger, "two");
	register_with(&a, new_key(0, 0, ""));
	assert_joined(&a);
	rig.realm->operation_count += REALM_OPERATIONS_MAX / 2;
	begin_register(&stranger, "", "", 0);
	WAIT_UNTIL(stranger.has_answer);
	assert_told_to_wait(&stranger, 503);
	a.name = "uno";
	send_map(&a, false);
	assert_int_equal(a.status, 200);
	rig.realm->operation_count += REALM_OPERATIONS_MAX / 2;
	a.name = "eins";
	send_map(&a, false);
	assert_told_to_wait(&a, 503);
	assert_int_equal(edit(MACHINE_RENAME, "uno", "uno", 0), OK); /* for administrators */
	rig.realm->operation_count -= REALM_OPERATIONS_MAX;
	send_map(&a, false);
	assert_int_equal(a.status, 200);
	client_close(&a);
	client_close(&stranger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_machine_gets_only_so_many_netmaps, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_what_a_machine_says_of_itself_is_written_now_and_then, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_operations_of_one_machine_are_bounded, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_operations_of_all_are_bounded, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
