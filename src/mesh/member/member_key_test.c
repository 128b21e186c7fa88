/* Which keys a member believes, and what becomes of its own: they are over, or given back. */
#include "mesh/member/member_testing.h"

static void test_a_server_with_another_key_is_not_believed(void **state)
{
	(void)state;
	rig.pinned.bytes[0] ^= 1;
	start();
	TURN_UNTIL(strstr(member_get_state(rig.member).why, "400"));
	assert_int_equal(place(), MEMBER_CONNECTING);
	assert_int_equal(rig.control[0].register_count, 0);
}

static void test_without_a_pinned_key_the_server_is_asked_for_it(void **state)
{
	(void)state;
	memset(&rig.pinned, 0, sizeof(rig.pinned));
	start();
	TURN_UNTIL(place() == MEMBER_UP);
}

static void test_a_key_that_is_not_pinned_may_be_another_one_later(void **state)
{
	(void)state;
	memset(&rig.pinned, 0, sizeof(rig.pinned));
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	close_control(&rig.control[0]);
	control_secret.bytes[1] = 1;
	open_control(&rig.control[0]);
	TURN_UNTIL(place() == MEMBER_CONNECTING);
	TURN_UNTIL(place() == MEMBER_UP);
}

static void test_an_expired_key_is_replaced_with_the_join_key(void **state)
{
	struct control *c = &rig.control[0];
	struct mesh_key public;

	(void)state;
	c->answers[0] = (struct control_register_response) { .login_name = SLICE("me"),
							     .is_key_expired = true };
	c->answers[1] = welcome;
	c->answer_count = 2;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	assert_int_equal(rig.key_count, 1);
	x25519_public(rig.node_secret.bytes, public.bytes);
	assert_true(mesh_key_equal(&c->node_key, &public));
	x25519_public(node_secret.bytes, public.bytes);
	assert_true(mesh_key_equal(&c->old_node_key, &public));
}

static void test_an_expired_key_without_a_join_key_is_told(void **state)
{
	struct control *c = &rig.control[0];
	struct control_node self = node_of(1, "me.net.");

	(void)state;
	rig.join_key = "";
	start();
	TURN_UNTIL(place() == MEMBER_UP && /* and idle: nothing else wakes it */
		   loop_now_ms(rig.loop) > member_get_state(rig.member).up_since_ms + 600);
	self.is_expired = true;
	self.key_expiry_s = 1;
	send_map(c, &(struct control_map_response) { .node = &self });
	TURN_UNTIL(place() == MEMBER_EXPIRED);
	assert_int_equal(rig.key_count, 0);
	member_register(rig.member, "", true);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_int_equal(rig.key_count, 1);
	assert_int_equal(c->register_count, 2);
}

static void test_a_machine_logs_out(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	member_log_out(rig.member, 5000);
	TURN_UNTIL(place() == MEMBER_LOGGED_OUT);
	assert_int_equal(c->expiry_s, CONTROL_LOGOUT_EXPIRY_S);
	assert_string_equal(c->auth_key, "");
	assert_string_equal(member_get_state(rig.member).why, "");
	member_register(rig.member, "secret", false);
	TURN_UNTIL(place() == MEMBER_UP);
}

static void test_a_log_out_without_control_ends_in_time(void **state)
{
	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	close_control(&rig.control[0]);
	TURN_UNTIL(place() == MEMBER_CONNECTING);
	member_log_out(rig.member, 100);
	TURN_UNTIL(place() == MEMBER_LOGGED_OUT);
}

static void test_a_machine_that_is_known_keeps_its_join_key_back(void **state)
{
	struct control_node self = node_of(1, "me.net.");
	struct control_map_response r = { .node = &self };
	struct control *c = &rig.control[0];
	struct buf json;

	(void)state;
	open_control(c);
	name_control(0);
	open_member();
	buf_init(&json);
	control_map_response_encode(&json, &r);
	assert_int_equal(member_load(rig.member, buf_slice(&json)), OK);
	buf_done(&json);
	member_start(rig.member);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_string_equal(c->auth_key, "");
	/* and a server that does not know it gets it after all */
	close_control(c);
	c->register_count = 0;
	c->map_status = 404;
	c->answers[0] = (struct control_register_response) { .auth_url = SLICE("http://c/r/1") };
	c->answers[1] = welcome;
	c->answer_count = 2;
	open_control(c);
	TURN_UNTIL(c->register_count == 2);
	c->map_status = 0;
	assert_string_equal(c->auth_key, "secret");
	TURN_UNTIL(place() == MEMBER_UP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_server_with_another_key_is_not_believed),
		TEST(test_without_a_pinned_key_the_server_is_asked_for_it),
		TEST(test_a_key_that_is_not_pinned_may_be_another_one_later),
		TEST(test_an_expired_key_is_replaced_with_the_join_key),
		TEST(test_an_expired_key_without_a_join_key_is_told),
		TEST(test_a_machine_logs_out),
		TEST(test_a_log_out_without_control_ends_in_time),
		TEST(test_a_machine_that_is_known_keeps_its_join_key_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
