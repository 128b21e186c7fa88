/* A member against a control server of a few lines, over loopback: the server is the door of a
 * realm with answers that each test prepares. */
#include "mesh/member/member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "loop/timer.h"
#include "mesh/realm/door.h"
#include "wire/control/register.h"
#include "wire/crypto/x25519.h"

enum { TURNS_MAX = 20000, TURN_US = 200, TEXT_BYTES = 4096 };

static const struct mesh_key server_secret = { { 7 } };
static struct mesh_key control_secret; /* of the servers that are opened */
static const struct mesh_key machine_secret = { { 8 } };
static const struct mesh_key node_secret = { { 9 } };

static const struct control_register_response welcome = {
	.user_id = 1, .login_name = { (const uint8_t *)"me", 2 }, .is_authorized = true
};

/* --- a control server ------------------------------------------------------------------------- */
struct control {
	struct door *door;
	struct listener *listener;
	uint16_t port;
	int register_count, map_count, update_count, gone_count, other_count;
	struct control_register_response answers[4]; /* the last one again and again */
	int answer_count;
	int map_status;		 /* 0: 200 and a map */
	bool holds_registration; /* it is answered later */
	struct door_request *map, *held;
	struct stream *last; /* that was accepted */
	struct mesh_key node_key, old_node_key;
	char auth_key[64], followup[128], update[TEXT_BYTES];
	int64_t expiry_s;
	char other[TEXT_BYTES]; /* the last other request: "POST /path body" */
};

/* --- a member and what it told ---------------------------------------------------------------- */
static struct {
	struct loop *loop;
	struct control control[2];
	struct member *member;
	struct mesh_key pinned;
	const char *join_key;
	char urls[2][64];
	size_t url_count;
	uint64_t silence_ms;
	int state_count, change_count, ping_count, key_count;
	unsigned changed;
	struct mesh_key node_secret;
	char ping_url[128];
	bool frees_member;
} rig;

static void send_json(struct control *c, const char *json)
{
	struct buf frame;

	buf_init(&frame);
	control_frame_encode(&frame, slice_from(json));
	door_write(c->map, blob_from(buf_slice(&frame)));
	buf_done(&frame);
}

static void send_map(struct control *c, const struct control_map_response *r)
{
	struct buf json;

	buf_init(&json);
	control_map_response_encode(&json, r);
	buf_add_u8(&json, 0);
	send_json(c, (const char *)json.data);
	buf_done(&json);
}

static struct control_node node_of(int64_t id, const char *name)
{
	static const struct ip_prefix addresses[] = { { { IP_V4, { 100, 64, 0, 1 } }, 32 } };

	return (struct control_node) {
		.id = id,
		.stable_id = SLICE("n1"),
		.name = slice_from(name),
		.user = 1,
		.key = { { (uint8_t)id } },
		.addresses = addresses,
		.address_count = 1,
		.allowed = addresses,
		.allowed_count = 1,
		.is_authorized = true,
		.version = 142,
	};
}

static void send_first_map(struct control *c)
{
	struct control_node self = node_of(1, "me.net."), peer = node_of(2, "you.net.");
	const struct control_node *peers[] = { &peer };

	send_map(c, &(struct control_map_response) {
			    .node = &self,
			    .domain = SLICE("net"),
			    .peers = peers,
			    .peer_count = 1,
		    });
}

static void take_register(struct control *c, struct door_request *r)
{
	struct control_register_request request;
	struct arena a;
	struct buf json;
	int last = c->answer_count - 1;
	int which = c->register_count < last ? c->register_count : last;

	arena_init(&a);
	assert_int_equal(control_register_request_decode(&a, r->body, &request), OK);
	c->register_count++;
	c->node_key = request.node_key;
	c->old_node_key = request.old_node_key;
	c->expiry_s = request.expiry_s;
	snprintf(c->auth_key, sizeof(c->auth_key), "%.*s", SLICE_ARG(request.auth_key));
	snprintf(c->followup, sizeof(c->followup), "%.*s", SLICE_ARG(request.followup));
	arena_done(&a);
	if (c->holds_registration && c->register_count > 1) {
		c->held = r;
		return;
	}
	buf_init(&json);
	control_register_response_encode(&json, &c->answers[which]);
	door_answer(r, 200, "application/json", buf_slice(&json));
	buf_done(&json);
}

static void take_map(struct control *c, struct door_request *r)
{
	struct control_map_request request;
	struct arena a;

	arena_init(&a);
	assert_int_equal(control_map_request_decode(&a, r->body, &request), OK);
	assert_int_equal(request.version, MEMBER_VERSION);
	assert_true(request.is_compressed);
	if (!request.is_stream) {
		assert_true(request.omits_peers);
		c->update_count++;
		snprintf(c->update, sizeof(c->update), "%.*s %zu",
			 SLICE_ARG(request.hostinfo.hostname), request.endpoint_count);
		door_answer(r, 200, NULL, SLICE(""));
	} else if (c->map_status) {
		c->map_count++;
		door_answer(r, c->map_status, "text/plain", SLICE("no"));
	} else {
		c->map_count++;
		c->map = r;
		door_begin(r, 200, "application/json");
		send_first_map(c);
	}
	arena_done(&a);
}

static void on_request(void *context, struct door_request *r)
{
	struct control *c = context;
	struct mesh_key machine;

	x25519_public(machine_secret.bytes, machine.bytes);
	assert_true(mesh_key_equal(&r->machine, &machine));
	if (slice_equal(r->path, SLICE("/machine/register"))) {
		take_register(c, r);
	} else if (slice_equal(r->path, SLICE("/machine/map"))) {
		take_map(c, r);
	} else {
		c->other_count++;
		snprintf(c->other, sizeof(c->other), "%.*s %.*s?%.*s %.*s", SLICE_ARG(r->method),
			 SLICE_ARG(r->path), SLICE_ARG(r->query), SLICE_ARG(r->body));
		door_answer(r, 200, NULL, SLICE(""));
	}
}

static void on_gone(void *context, struct door_request *r)
{
	struct control *c = context;

	c->gone_count++;
	if (r == c->map)
		c->map = NULL;
	if (r == c->held)
		c->held = NULL;
}

static void on_accept(void *context, struct stream *s)
{
	((struct control *)context)->last = s;
	door_accept(((struct control *)context)->door, s);
}

static void open_control(struct control *c)
{
	const struct door_config config = {
		.secret = control_secret,
		.context = c,
		.on_request = on_request,
		.on_gone = on_gone,
	};
	char why[TASK_WHY_BYTES];

	if (c->answer_count == 0) {
		c->answers[0] = welcome;
		c->answer_count = 1;
	}
	c->door = door_new(rig.loop, &config);
	assert_int_equal(listener_open_tcp(rig.loop, "127.0.0.1", c->port, on_accept, c,
					   &c->listener, why),
			 OK);
	c->port = listener_port(c->listener);
}

static void close_control(struct control *c)
{
	if (!c->door)
		return;
	listener_close(c->listener);
	door_close(c->door);
	c->door = NULL;
	c->map = c->held = NULL;
}

/* --- the rig ---------------------------------------------------------------------------------- */
static void on_state(void *context, const struct member_state *state)
{
	rig.state_count += context == NULL && state->url != NULL;
}

static void on_change(void *context, const struct netmap *m, const struct netmap_change *change)
{
	(void)context;
	assert_ptr_equal(m, member_netmap(rig.member));
	rig.change_count++;
	rig.changed |= change->what;
	if (rig.frees_member) {
		member_free(rig.member);
		rig.member = NULL;
	}
}

static void on_node_secret(void *context, const struct mesh_key *secret)
{
	(void)context;
	rig.node_secret = *secret;
	rig.key_count++;
}

static void on_ping(void *context, const struct control_ping *ping)
{
	(void)context;
	rig.ping_count++;
	snprintf(rig.ping_url, sizeof(rig.ping_url), "%.*s", SLICE_ARG(ping->url));
}

static void open_member(void)
{
	const char *urls[] = { rig.urls[0], rig.urls[1] };

	rig.member = member_new(rig.loop, &(struct member_config) {
						  .urls = urls,
						  .url_count = rig.url_count,
						  .server_key = rig.pinned,
						  .machine_secret = machine_secret,
						  .node_secret = node_secret,
						  .join_key = rig.join_key,
						  .silence_ms = rig.silence_ms,
						  .on_state = on_state,
						  .on_change = on_change,
						  .on_node_secret = on_node_secret,
						  .on_ping = on_ping,
					  });
}

static void name_control(int i)
{
	snprintf(rig.urls[i], sizeof(rig.urls[i]), "http://127.0.0.1:%u", rig.control[i].port);
	rig.url_count = (size_t)i + 1;
}

static int set_up(void **state)
{
	(void)state;
	control_secret = server_secret;
	memset(&rig, 0, sizeof(rig));
	rig.loop = loop_new(42);
	rig.join_key = "secret";
	x25519_public(server_secret.bytes, rig.pinned.bytes);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (rig.member)
		member_free(rig.member);
	for (int i = 0; i < 2; i++)
		close_control(&rig.control[i]);
	loop_run(rig.loop);
	loop_free(rig.loop);
	return 0;
}

static void start(void)
{
	open_control(&rig.control[0]);
	name_control(0);
	open_member();
	member_start(rig.member);
}

static enum member_place place(void)
{
	return member_get_state(rig.member).place;
}

#define TURN_UNTIL(condition)                                                                      \
	do {                                                                                       \
		int turns = 0;                                                                     \
		while (!(condition)) {                                                             \
			if (turns++ > TURNS_MAX)                                                   \
				fail_msg("never: %s; %s", #condition,                              \
					 rig.member ? member_get_state(rig.member).why : "");      \
			loop_turn(rig.loop);                                                       \
			usleep(TURN_US);                                                           \
		}                                                                                  \
	} while (0)

/* --- tests ------------------------------------------------------------------------------------ */
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(test_a_server_with_another_key_is_not_believed),
		TEST(test_without_a_pinned_key_the_server_is_asked_for_it),
		TEST(test_a_key_that_is_not_pinned_may_be_another_one_later),
		TEST(test_an_expired_key_is_replaced_with_the_join_key),
		TEST(test_an_expired_key_without_a_join_key_is_told),
		TEST(test_a_machine_logs_out),
		TEST(test_a_log_out_without_control_ends_in_time),
		TEST(test_pings_are_answered),
		TEST(test_a_silent_map_is_asked_for_again),
		TEST(test_after_a_change_of_the_network_a_dead_connection_is_found),
		TEST(test_a_map_that_breaks_the_rules_ends_the_connection_only),
		TEST(test_a_kept_map_is_there_without_control),
		TEST(test_a_machine_that_is_known_keeps_its_join_key_back),
		TEST(test_a_member_can_go_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
