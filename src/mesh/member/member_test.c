/* A member joins, and goes on with whatever control says and does; of keys member_key_test.c. */
#include "mesh/member/member_testing.h"

static void test_a_machine_joins_by_key_and_sees_the_network(void **state)
{
	struct control *c = &rig.control[0];
	struct mesh_key node;

	(void)state;
	start();
	assert_int_equal(place(), MEMBER_CONNECTING);
	TURN_UNTIL(place() == MEMBER_UP);
	x25519_public(node_secret.bytes, node.bytes);
	assert_true(mesh_key_equal(&c->node_key, &node));
	assert_string_equal(c->auth_key, "secret");
	assert_int_equal(c->register_count, 1);
	assert_int_equal(member_netmap(rig.member)->peer_count, 1);
	assert_int_equal(rig.change_count, 1);
	assert_true(rig.changed & NETMAP_SELF && rig.changed & NETMAP_PEERS);
	assert_true(member_get_state(rig.member).is_authorized);
	assert_true(member_get_state(rig.member).up_since_ms > 0);
	TURN_UNTIL(rig.state_count >= 2);
}

static void test_changes_arrive_one_by_one(void **state)
{
	struct control *c = &rig.control[0];
	struct control_node more = node_of(3, "third.net.");
	const struct control_node *changed[] = { &more };
	const int64_t removed[] = { 2 };

	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	send_json(c, "{\"KeepAlive\":true}");
	send_map(c, &(struct control_map_response) { .changed = changed, .changed_count = 1 });
	TURN_UNTIL(member_netmap(rig.member)->peer_count == 2);
	send_map(c, &(struct control_map_response) { .removed = removed, .removed_count = 1 });
	TURN_UNTIL(member_netmap(rig.member)->peer_count == 1);
	assert_non_null(netmap_peer(member_netmap(rig.member), 3));
	assert_int_equal(rig.change_count, 3);
}

static void test_control_is_told_of_the_machine_and_of_changes(void **state)
{
	struct control *c = &rig.control[0];
	struct endpoint endpoints[] = { endpoint_ip4(192, 0, 2, 1, 41641),
					endpoint_ip4(192, 0, 2, 2, 41641) };
	uint8_t kinds[] = { CONTROL_ENDPOINT_LOCAL, CONTROL_ENDPOINT_STUN };
	struct member_about about = {
		.disco_key = { { 5 } },
		.endpoints = endpoints,
		.endpoint_kinds = kinds,
		.endpoint_count = 1,
		.hostinfo = { .hostname = SLICE("box"), .os = SLICE("linux") },
	};

	(void)state;
	open_control(c);
	name_control(0);
	open_member();
	member_update(rig.member, &about);
	member_start(rig.member);
	TURN_UNTIL(c->update_count == 1);
	assert_string_equal(c->update, "box 1");
	member_update(rig.member, &about); /* nothing new */
	about.endpoint_count = 2;
	member_update(rig.member, &about);
	about.hostinfo.hostname = SLICE("other");
	member_update(rig.member, &about);
	TURN_UNTIL(c->update_count == 2);
	assert_string_equal(c->update, "other 2"); /* the newest wins */
	/* and again, to a server that may have forgotten it */
	close_control(c);
	open_control(c);
	TURN_UNTIL(c->update_count == 3);
}

static void test_a_person_approves_the_machine(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	rig.join_key = "";
	c->answers[0] = (struct control_register_response) { .auth_url = SLICE("http://c/r/1") };
	c->answers[1] = welcome;
	c->answer_count = 2;
	c->holds_registration = true;
	start();
	TURN_UNTIL(c->held);
	assert_int_equal(place(), MEMBER_WAITING);
	assert_string_equal(member_get_state(rig.member).auth_url, "http://c/r/1");
	assert_string_equal(c->followup, "http://c/r/1");
	/* the server is another one meanwhile */
	close_control(c);
	c->register_count = 0;
	open_control(c);
	TURN_UNTIL(c->held);
	struct buf json;
	buf_init(&json);
	control_register_response_encode(&json, &c->answers[1]);
	door_answer(c->held, 200, "application/json", buf_slice(&json));
	buf_done(&json);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_string_equal(member_get_state(rig.member).auth_url, "");
}

static void test_a_refused_machine_waits_until_it_is_told_to_try_again(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	c->answers[0] = (struct control_register_response) { .error = SLICE("no\x1b[31m key\n") };
	c->answers[1] = welcome;
	c->answer_count = 2;
	start();
	TURN_UNTIL(place() == MEMBER_REFUSED);
	assert_string_equal(member_get_state(rig.member).why, "no?[31m key?"); /* of no colour */
	for (int i = 0; i < 500; i++)
		loop_turn(rig.loop);
	assert_int_equal(c->register_count, 1);
	member_register(rig.member, "better", false);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_string_equal(c->auth_key, "better");
}

static void test_after_a_loss_of_control_the_network_stays_and_the_map_goes_on(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	close_control(c);
	TURN_UNTIL(place() == MEMBER_CONNECTING);
	assert_int_equal(member_netmap(rig.member)->peer_count, 1);
	open_control(c);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_int_equal(c->register_count, 1);
	assert_int_equal(c->map_count, 2);
	assert_int_equal(member_netmap(rig.member)->peer_count, 1);
}

static void test_a_server_that_forgot_the_machine_is_registered_with_again(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	close_control(c);
	c->map_status = 404;
	open_control(c);
	TURN_UNTIL(c->map_count == 2);
	c->map_status = 0;
	TURN_UNTIL(place() == MEMBER_UP);
	assert_int_equal(c->register_count, 2);
}

static void test_the_next_server_is_tried_when_one_is_gone(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		open_control(&rig.control[i]);
		name_control(i);
	}
	close_control(&rig.control[0]);
	open_member();
	member_start(rig.member);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_string_equal(member_get_state(rig.member).url, rig.urls[1]);
	close_control(&rig.control[1]);
	open_control(&rig.control[0]);
	TURN_UNTIL(place() == MEMBER_CONNECTING);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_string_equal(member_get_state(rig.member).url, rig.urls[0]);
}

static void test_pings_are_answered(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	struct control_ping ping = { .url = SLICE("https://unused/sign/1?a=b"), .is_noise = true };
	send_map(c, &(struct control_map_response) { .is_keepalive = true, .ping = &ping });
	TURN_UNTIL(c->other_count == 1);
	assert_string_equal(c->other, "HEAD /sign/1?a=b ");
	send_map(c, &(struct control_map_response) { .is_keepalive = true, .ping = &ping });
	send_json(c, "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://unused/c2n/2\","
		     "\"URLIsNoise\":true,\"Types\":\"c2n\",\"Payload\":"
		     "\"UE9TVCAvZWNobyBIVFRQLzEuMQ0KQ29udGVudC1MZW5ndGg6IDUNCg0KaGVsbG8=\"}}");
	TURN_UNTIL(c->other_count == 2); /* the same ping again is none */
	assert_string_equal(c->other, "POST /c2n/2? HTTP/1.1 200 OK\r\n"
				      "Content-Length: 5\r\n\r\nhello");
	send_json(c, "{\"PingRequest\":{\"URL\":\"https://unused/c2n/3\",\"Types\":\"c2n\","
		     "\"Payload\":\"R0VUIC9kZWJ1Zy9wcmVmcyBIVFRQLzEuMQ0KDQo=\"}}");
	TURN_UNTIL(c->other_count == 3);
	assert_non_null(strstr(c->other, "404"));
	ping = (struct control_ping) { .url = SLICE("https://unused/p/4"),
				       .types = SLICE("disco") };
	send_map(c, &(struct control_map_response) { .ping = &ping });
	TURN_UNTIL(rig.ping_count == 1);
	member_answer_ping(rig.member, slice_from(rig.ping_url), SLICE("{\"Err\":\"\"}"));
	TURN_UNTIL(c->other_count == 4);
	assert_string_equal(c->other, "POST /p/4? {\"Err\":\"\"}");
}

static void test_a_silent_map_is_asked_for_again(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	rig.silence_ms = 100;
	start();
	TURN_UNTIL(c->map_count == 2);
	TURN_UNTIL(c->gone_count == 1);
	assert_int_equal(c->register_count, 1);
}

static void test_after_a_change_of_the_network_a_dead_connection_is_found(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	uint64_t before = member_get_state(rig.member).up_since_ms;
	member_hurry(rig.member);
	for (int i = 0; i < 2 * MEMBER_PROBE_MS; i++) { /* it leads there */
		loop_turn(rig.loop);
		usleep(1000);
	}
	assert_int_equal(member_get_state(rig.member).up_since_ms, before);
	stream_pause(c->last); /* nothing arrives any more */
	member_hurry(rig.member);
	TURN_UNTIL(place() == MEMBER_CONNECTING);
	assert_non_null(strstr(member_get_state(rig.member).why, "network changed"));
	TURN_UNTIL(place() == MEMBER_UP);
	assert_int_equal(c->map_count, 2);
}

static void test_a_map_that_breaks_the_rules_ends_the_connection_only(void **state)
{
	struct control *c = &rig.control[0];

	(void)state;
	start();
	TURN_UNTIL(place() == MEMBER_UP);
	send_json(c, "[]");
	TURN_UNTIL(c->map_count == 2);
	TURN_UNTIL(place() == MEMBER_UP);
	door_write(c->map, blob_from(SLICE("\xff\xff\xff\xff")));
	TURN_UNTIL(c->map_count == 3);
	TURN_UNTIL(place() == MEMBER_UP);
	assert_int_equal(member_netmap(rig.member)->peer_count, 1);
}

static void test_a_kept_map_is_there_without_control(void **state)
{
	struct control_node self = node_of(1, "me.net."), peer = node_of(2, "you.net.");
	const struct control_node *peers[] = { &peer };
	struct control_map_response r = { .node = &self, .peers = peers, .peer_count = 1 };
	struct buf json;

	(void)state;
	snprintf(rig.urls[0], sizeof(rig.urls[0]), "http://127.0.0.1:1");
	rig.url_count = 1;
	open_member();
	buf_init(&json);
	control_map_response_encode(&json, &r);
	assert_int_equal(member_load(rig.member, SLICE("{}")), ERR_INVALID);
	assert_int_equal(member_load(rig.member, buf_slice(&json)), OK);
	buf_done(&json);
	member_start(rig.member);
	TURN_UNTIL(member_get_state(rig.member).why[0]);
	assert_int_equal(member_netmap(rig.member)->peer_count, 1);
	assert_int_equal(place(), MEMBER_CONNECTING);
}

static void test_a_member_can_go_at_any_time(void **state)
{
	(void)state;
	open_control(&rig.control[0]);
	name_control(0);
	for (int turns = 0; turns < 60; turns++) {
		open_member();
		member_start(rig.member);
		for (int i = 0; i < turns; i++)
			loop_turn(rig.loop);
		member_free(rig.member);
	}
	rig.frees_member = true;
	open_member();
	member_start(rig.member);
	TURN_UNTIL(!rig.member);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_machine_joins_by_key_and_sees_the_network),
		TEST(test_changes_arrive_one_by_one),
		TEST(test_control_is_told_of_the_machine_and_of_changes),
		TEST(test_a_person_approves_the_machine),
		TEST(test_a_refused_machine_waits_until_it_is_told_to_try_again),
		TEST(test_after_a_loss_of_control_the_network_stays_and_the_map_goes_on),
		TEST(test_a_server_that_forgot_the_machine_is_registered_with_again),
		TEST(test_the_next_server_is_tried_when_one_is_gone),
		TEST(test_pings_are_answered),
		TEST(test_a_silent_map_is_asked_for_again),
		TEST(test_after_a_change_of_the_network_a_dead_connection_is_found),
		TEST(test_a_map_that_breaks_the_rules_ends_the_connection_only),
		TEST(test_a_kept_map_is_there_without_control),
		TEST(test_a_member_can_go_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
