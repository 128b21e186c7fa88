/* For tests: a realm on a journal in memory, and machines that are the client's side of the
 * protocol, over loopback. */
#ifndef MESH_REALM_REALM_TESTING_H
#define MESH_REALM_REALM_TESTING_H

#include "mesh/realm/realm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "cells/leader_testing.h"
#include "mesh/member/dial.h"
#include "mesh/realm/addresses.h"
#include "wire/control/map_request.h"
#include "wire/control/netmap.h"
#include "wire/control/register.h"
#include "wire/crypto/x25519.h"

enum { TURNS_MAX = 60000, TURN_US = 200, PEERS_MAX = 8, VERSION = 142 };

/* --- the realm ---------------------------------------------------------------------------------
 */

static struct {
	struct world world;
	struct node node;
	struct realm *realm;
	struct listener *listener;
	struct dial_target target;
	bool is_ready, is_new, is_done;
	enum err done_err;
	char why[REALM_WHY_BYTES], secret[64];
	int64_t key_id;
	struct machine_row row;
	struct task stopper;
	struct realm_stop stop;
} rig;

static void turn(void)
{
	loop_turn(rig.world.loop);
	usleep(TURN_US);
}

#define WAIT_UNTIL(condition)                                                                      \
	do {                                                                                       \
		int turns = 0;                                                                     \
		while (!(condition) && turns++ < TURNS_MAX)                                        \
			turn();                                                                    \
		assert_true(condition);                                                            \
	} while (0)

static void on_leading(void *context)
{
	(void)context;
	rig.node.is_leading = true;
	realm_on_leading(rig.realm);
}

static void on_lost(void *context, const char *why, const char *holder)
{
	(void)context;
	(void)why;
	(void)holder;
	rig.node.is_lost = true;
	rig.node.is_leading = false;
	realm_on_lost(rig.realm);
}

static void on_committed(void *context, uint64_t index, struct slice record)
{
	(void)context;
	(void)index;
	(void)record;
}

static const struct leader_watcher realm_watcher = { on_leading, on_lost, on_committed };

static void on_ready(void *context, bool is_new)
{
	(void)context;
	rig.is_ready = true;
	rig.is_new = is_new;
}

static void on_server(void *context, struct http_exchange *e)
{
	(void)context;
	http_answer(e, 404, "text/plain", SLICE("no\n"));
}

static void on_accept(void *context, struct stream *s)
{
	(void)context;
	realm_accept(rig.realm, s);
}

static void lead(const char *name)
{
	rig.is_ready = false;
	node_open(&rig.node, &rig.world, name);
	rig.node.config.watcher = &realm_watcher;
	rig.node.config.schema = realm_schema;
	rig.node.config.schema_count = realm_schema_count;
	rig.node.config.cell_name = REALM_CELL;
	rig.node.leader = leader_new(rig.world.loop, &rig.node.config);
	rig.realm = realm_new(rig.world.loop, &(struct realm_config) {
						      .leader = rig.node.leader,
						      .address = name,
						      .url = "http://127.0.0.1:1",
						      .domain = "test.example",
						      .on_server = on_server,
						      .on_ready = on_ready,
					      });
	leader_campaign(rig.node.leader);
	WAIT_UNTIL(rig.is_ready);
}

static enum step realm_stopper_step(struct task *t)
{
	if (t->at == 0) {
		realm_stop(&rig.stop, t, rig.realm);
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	rig.is_done = true;
	return task_done(t, OK);
}

static void stop_leading(void)
{
	static const struct task_kind kind = { .name = "test stop", .step = realm_stopper_step };

	rig.is_done = false;
	memset(&rig.stop, 0, sizeof(rig.stop));
	task_start_root(&rig.stopper, &kind, rig.world.loop);
	WAIT_UNTIL(rig.is_done);
	realm_free(rig.realm);
	node_stop(&rig.node);
}

static int setup(void **state)
{
	struct control_url url;
	char text[64], why[TASK_WHY_BYTES];

	(void)state;
	memset(&rig, 0, sizeof(rig));
	world_open(&rig.world, 1, "raw", 0);
	lead("first");
	assert_true(rig.is_new);
	assert_int_equal(listener_open_tcp(rig.world.loop, "127.0.0.1", 0, on_accept, NULL,
					   &rig.listener, why),
			 OK);
	snprintf(text, sizeof(text), "http://127.0.0.1:%u", listener_port(rig.listener));
	assert_int_equal(control_url_parse(slice_from(text), &url), OK);
	dial_target_init(&rig.target, &url);
	return 0;
}

/* --- machines ----------------------------------------------------------------------------------
 */

struct machine_client {
	struct task task;
	struct dial dial;
	struct mesh_key secret, node, old_node;
	const char *name, *tag;
	struct ip_prefix route;
	uint32_t version; /* 0: VERSION */
	bool has_route, is_dialed, has_answer, is_ended, is_channel_over;
	struct http2_exchange *asking, *stream;
	struct buf answer, frames;
	struct arena a;
	struct control_register_response registered;
	struct netmap map;
	struct netmap_change change;
	int message_count, status, answer_count;
	unsigned retry_after_s;
	uint16_t port;
};

static void read_frames(struct machine_client *m)
{
	struct control_map_response response;
	struct slice rest = buf_slice(&m->frames), json;

	while (!control_frame_decode(&m->a, &rest, &json)) {
		assert_int_equal(control_map_response_decode(&m->a, json, &response), OK);
		assert_int_equal(netmap_apply(&m->map, &m->a, &response, &m->change), OK);
		m->message_count++;
	}
	buf_drop_front(&m->frames, m->frames.size - rest.size);
}

static void on_data(void *context, struct http2_exchange *e, struct slice bytes)
{
	struct machine_client *m = context;

	buf_add_slice(e == m->stream ? &m->frames : &m->answer, bytes);
	if (e == m->stream)
		read_frames(m);
}

static void on_end(void *context, struct http2_exchange *e, enum err err)
{
	struct machine_client *m = context;

	(void)err;
	m->status = e->status;
	m->retry_after_s = e->retry_after_s;
	m->answer_count++;
	if (e == m->stream) {
		m->is_ended = true;
		m->stream = NULL;
	} else {
		m->has_answer = true;
		m->asking = NULL;
	}
}

static void on_channel_end(void *context, enum err err, const char *why)
{
	struct machine_client *m = context;

	(void)err;
	(void)why;
	m->is_channel_over = true;
}

static uint32_t version_of(const struct machine_client *m)
{
	return m->version ? m->version : VERSION;
}

static enum step dial_step(struct task *t)
{
	struct machine_client *m = CONTAINER(t, struct machine_client, task);

	if (t->at == 0) {
		dial_start(&m->dial, t,
			   &(struct dial_config) {
				   .target = &rig.target,
				   .machine_secret = m->secret,
				   .version = version_of(m),
				   .http2 = { .context = m, .on_data = on_data, .on_end = on_end },
				   .channel_config = { .context = m, .on_end = on_channel_end },
			   });
		return task_wait(t, 1);
	}
	if (t->children > 0)
		return task_wait(t, 1);
	m->is_dialed = true;
	return task_done(t, m->dial.task.err);
}

static void connect_client(struct machine_client *m)
{
	static const struct task_kind kind = { .name = "test client", .step = dial_step };

	m->is_dialed = m->is_channel_over = m->is_ended = false;
	task_start_root(&m->task, &kind, rig.world.loop);
	WAIT_UNTIL(m->is_dialed);
	assert_int_equal(m->dial.task.err, OK);
}

static void client_open_as(struct machine_client *m, const char *name, uint32_t version)
{
	memset(m, 0, sizeof(*m));
	m->name = name;
	m->version = version;
	random_bytes(m->secret.bytes, sizeof(m->secret.bytes));
	x25519_clamp(m->secret.bytes);
	random_bytes(m->node.bytes, sizeof(m->node.bytes));
	buf_init(&m->answer);
	buf_init(&m->frames);
	arena_init(&m->a);
	netmap_init(&m->map);
	m->port = 1000;
	connect_client(m);
}

static void client_open(struct machine_client *m, const char *name)
{
	client_open_as(m, name, 0);
}

static void client_close(struct machine_client *m)
{
	channel_close(m->dial.channel, 0);
	buf_done(&m->answer);
	buf_done(&m->frames);
	netmap_done(&m->map);
	arena_done(&m->a);
}

static int teardown(void **state)
{
	(void)state;
	stop_leading();
	listener_close(rig.listener);
	dial_target_done(&rig.target);
	loop_run(rig.world.loop); /* streams linger */
	world_close(&rig.world);
	return 0;
}

static struct http2_exchange *post(struct machine_client *m, const char *path, struct buf *json)
{
	struct http2_exchange *e = http2_request(channel_http2(m->dial.channel),
						 &(struct http2_request) {
							 .method = "POST",
							 .authority = "unused",
							 .path = path,
							 .content_type = "application/json",
							 .body = buf_slice(json),
						 });
	buf_done(json);
	assert_non_null(e);
	return e;
}

static void fill_about(struct control_hostinfo *h, struct slice *tag,
		       const struct machine_client *m)
{
	*h = (struct control_hostinfo) { .hostname = slice_from(m->name), .home_relay = 900 };
	if (m->tag) {
		*tag = slice_from(m->tag);
		h->request_tags = tag;
		h->request_tag_count = 1;
	}
	if (m->has_route) {
		h->routes = &m->route;
		h->route_count = 1;
	}
}

static void begin_register(struct machine_client *m, const char *key, const char *followup,
			   int64_t expiry_s)
{
	struct slice tag;
	struct control_register_request q = {
		.version = 1,
		.node_key = m->node,
		.old_node_key = m->old_node,
		.auth_key = slice_from(key),
		.followup = slice_from(followup),
		.expiry_s = expiry_s,
	};
	struct buf json;

	fill_about(&q.hostinfo, &tag, m);
	buf_init(&json);
	control_register_request_encode(&json, &q);
	m->has_answer = false;
	buf_clear(&m->answer);
	m->asking = post(m, "/machine/register", &json);
}

static void end_register(struct machine_client *m)
{
	WAIT_UNTIL(m->has_answer);
	assert_int_equal(control_register_response_decode(&m->a, buf_slice(&m->answer),
							  &m->registered),
			 OK);
}

static void register_with(struct machine_client *m, const char *key)
{
	begin_register(m, key, "", 0);
	end_register(m);
}

static void assert_text(struct slice s, const char *text)
{
	if (s.size != strlen(text) || (s.size && memcmp(s.data, text, s.size) != 0))
		fail_msg("%.*s is not %s", SLICE_ARG(s), text);
}

static void assert_joined(const struct machine_client *m)
{
	assert_text(m->registered.error, "");
	assert_text(m->registered.auth_url, "");
	assert_true(m->registered.is_authorized && !m->registered.is_key_expired);
	assert_true(m->registered.login_name.size > 0);
}

static void send_map(struct machine_client *m, bool is_stream)
{
	struct endpoint endpoint = endpoint_ip4(192, 0, 2, 1, m->port);
	struct slice tag;
	struct control_map_request q = {
		.version = version_of(m),
		.node_key = m->node,
		.disco_key = m->node,
		.endpoints = &endpoint,
		.endpoint_count = 1,
		.has_hostinfo = true,
		.is_compressed = true,
		.is_stream = is_stream,
		.omits_peers = !is_stream,
	};
	struct buf json;

	fill_about(&q.hostinfo, &tag, m);
	buf_init(&json);
	control_map_request_encode(&json, &q);
	if (is_stream) {
		m->stream = post(m, "/machine/map", &json);
		return;
	}
	m->has_answer = false;
	m->asking = post(m, "/machine/map", &json);
	WAIT_UNTIL(m->has_answer);
}

static void begin_stream(struct machine_client *m)
{
	int before = m->message_count;

	send_map(m, true);
	WAIT_UNTIL(m->message_count > before);
}

static const struct control_node *peer_of(const struct machine_client *m,
					  const struct machine_client *other)
{
	return netmap_peer_by_key(&m->map, &other->node);
}

/* --- administrators ----------------------------------------------------------------------------
 */

static void on_done(struct operation *o, enum err err)
{
	rig.is_done = true;
	rig.done_err = err;
	snprintf(rig.why, sizeof(rig.why), "%s", o->why);
}

static void on_key(struct operation *o, enum err err)
{
	struct key_create *k = CONTAINER(o, struct key_create, operation);

	snprintf(rig.secret, sizeof(rig.secret), "%s", k->secret);
	rig.key_id = k->key.id;
	on_done(o, err);
}

static const char *new_key(int64_t uses, int64_t lifetime_s, const char *tags)
{
	struct key_create *k = NEW(struct key_create);

	operation_init(&k->operation, rig.realm);
	k->uses_max = uses;
	k->lifetime_s = lifetime_s;
	k->tags = slice_from(tags);
	rig.is_done = false;
	key_create_start(k, on_key, NULL);
	WAIT_UNTIL(rig.is_done);
	assert_int_equal(rig.done_err, OK);
	return rig.secret;
}

static void on_edited(struct operation *o, enum err err)
{
	rig.row = CONTAINER(o, struct machine_edit, operation)->row;
	on_done(o, err);
}

static enum err edit(enum machine_edit_kind kind, const char *name, const char *text,
		     int64_t number)
{
	struct machine_edit *m = NEW(struct machine_edit);

	operation_init(&m->operation, rig.realm);
	m->kind = kind;
	m->machine = arena_copy(&m->operation.arena, slice_from(name));
	m->text = arena_copy(&m->operation.arena, slice_from(text));
	m->number = number;
	rig.is_done = false;
	machine_edit_start(m, on_edited, NULL);
	WAIT_UNTIL(rig.is_done);
	return rig.done_err;
}

#endif
