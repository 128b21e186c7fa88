/* For tests: a member against a control server of a few lines, over loopback: the server is the
 * door of a realm with answers that each test prepares. */
#ifndef MESH_MEMBER_MEMBER_TESTING_H
#define MESH_MEMBER_MEMBER_TESTING_H

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

static inline void send_json(struct control *c, const char *json)
{
	struct buf frame;

	buf_init(&frame);
	control_frame_encode(&frame, slice_from(json));
	door_write(c->map, blob_from(buf_slice(&frame)));
	buf_done(&frame);
}

static inline void send_map(struct control *c, const struct control_map_response *r)
{
	struct buf json;

	buf_init(&json);
	control_map_response_encode(&json, r);
	buf_add_u8(&json, 0);
	send_json(c, (const char *)json.data);
	buf_done(&json);
}

static inline struct control_node node_of(int64_t id, const char *name)
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

static inline void send_first_map(struct control *c)
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

static inline void take_register(struct control *c, struct door_request *r)
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

static inline void take_map(struct control *c, struct door_request *r)
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

static inline void on_request(void *context, struct door_request *r)
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

static inline void on_gone(void *context, struct door_request *r)
{
	struct control *c = context;

	c->gone_count++;
	if (r == c->map)
		c->map = NULL;
	if (r == c->held)
		c->held = NULL;
}

static inline void on_accept(void *context, struct stream *s)
{
	((struct control *)context)->last = s;
	door_accept(((struct control *)context)->door, s);
}

static inline void open_control(struct control *c)
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

static inline void close_control(struct control *c)
{
	if (!c->door)
		return;
	listener_close(c->listener);
	door_close(c->door);
	c->door = NULL;
	c->map = c->held = NULL;
}

/* --- the rig ---------------------------------------------------------------------------------- */
static inline void on_state(void *context, const struct member_state *state)
{
	rig.state_count += context == NULL && state->url != NULL;
}

static inline void on_change(void *context, const struct netmap *m,
			     const struct netmap_change *change)
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

static inline void on_node_secret(void *context, const struct mesh_key *secret)
{
	(void)context;
	rig.node_secret = *secret;
	rig.key_count++;
}

static inline void on_ping(void *context, const struct control_ping *ping)
{
	(void)context;
	rig.ping_count++;
	snprintf(rig.ping_url, sizeof(rig.ping_url), "%.*s", SLICE_ARG(ping->url));
}

static inline void open_member(void)
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

static inline void name_control(int i)
{
	snprintf(rig.urls[i], sizeof(rig.urls[i]), "http://127.0.0.1:%u", rig.control[i].port);
	rig.url_count = (size_t)i + 1;
}

static inline int set_up(void **state)
{
	(void)state;
	control_secret = server_secret;
	memset(&rig, 0, sizeof(rig));
	rig.loop = loop_new(42);
	rig.join_key = "secret";
	x25519_public(server_secret.bytes, rig.pinned.bytes);
	return 0;
}

static inline int tear_down(void **state)
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

static inline void start(void)
{
	open_control(&rig.control[0]);
	name_control(0);
	open_member();
	member_start(rig.member);
}

static inline enum member_place place(void)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
