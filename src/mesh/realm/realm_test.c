/* What machines and administrators ask of a realm, what they are told, and when. */
#include "mesh/realm/private.h"
#include "mesh/realm/realm_testing.h"

/* --- who is let in -----------------------------------------------------------------------------
 */

static void test_a_key_lets_in_as_many_as_it_says(void **state)
{
	struct machine_client a, b;

	(void)state;
	client_open(&a, "one");
	client_open(&b, "two");
	register_with(&a, "guess");
	assert_text(a.registered.error, "the join key is not one of this realm");
	const char *key = new_key(1, 0, "");
	register_with(&a, key);
	assert_joined(&a);
	register_with(&b, key);
	assert_text(b.registered.error, "the join key has been used already");
	client_close(&a);
	client_close(&b);
}

static void test_a_key_that_is_over_lets_nobody_in(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	const char *key = new_key(0, 0, "");
	struct key_revoke *k = NEW(struct key_revoke);
	operation_init(&k->operation, rig.realm);
	k->id = rig.key_id;
	rig.is_done = false;
	key_revoke_start(k, on_done, NULL);
	WAIT_UNTIL(rig.is_done);
	register_with(&a, key);
	assert_text(a.registered.error, "the join key was revoked");
	key = new_key(0, 1, "");
	for (int i = 0; i < 2500000 / TURN_US; i++)
		turn();
	register_with(&a, key);
	assert_text(a.registered.error, "the join key has expired");
	client_close(&a);
}

static void test_who_is_known_stays_who_it_is(void **state)
{
	struct machine_client a, thief;
	struct machine_row first;

	(void)state;
	client_open(&a, "one");
	client_open(&thief, "thief");
	register_with(&a, new_key(1, 0, ""));
	assert_joined(&a);
	register_with(&a, ""); /* it was started again */
	assert_joined(&a);
	thief.node = a.node;
	register_with(&thief, "");
	assert_text(thief.registered.error, "the node key belongs to another machine");
	assert_int_equal(edit(MACHINE_RENAME, "one", "uno", 0), OK);
	first = rig.row;
	a.old_node = a.node;
	a.node.bytes[0] ^= 1;
	register_with(&a, ""); /* another node key, proven by the machine key */
	assert_joined(&a);
	assert_int_equal(edit(MACHINE_EXPIRE, "uno", "", 0), OK);
	assert_int_equal(rig.row.id, first.id);
	assert_int_equal(rig.row.v4, first.v4);
	register_with(&a, "");
	assert_true(a.registered.is_key_expired);
	a.old_node = a.node;
	a.node.bytes[0] ^= 2;
	register_with(&a, ""); /* that does not renew what has expired */
	assert_true(a.registered.auth_url.size > 0);
	register_with(&a, new_key(1, 0, ""));
	assert_joined(&a);
	assert_int_equal(edit(MACHINE_RENAME, "uno", "one", 0), OK);
	assert_int_equal(rig.row.id, first.id);
	client_close(&a);
	client_close(&thief);
}

static void test_tags_come_with_the_key(void **state)
{
	struct machine_client a, b;

	(void)state;
	client_open(&a, "one");
	client_open(&b, "two");
	b.tag = "tag:db";
	const char *key = new_key(0, 0, "tag:web\ntag:prod");
	register_with(&a, key);
	assert_joined(&a);
	assert_text(a.registered.login_name, "tagged-devices");
	register_with(&b, key);
	assert_text(b.registered.error,
		    "neither the join key gives the tags that are asked for nor "
		    "the policy to its user");
	begin_stream(&a);
	assert_int_equal(a.map.self->tag_count, 2);
	client_close(&a);
	client_close(&b);
}

/* The node key stays, the user is another one. */
static void test_a_machine_can_come_back_as_somebody_elses(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	register_with(&a, new_key(1, 0, ""));
	assert_joined(&a);
	assert_int_equal(edit(MACHINE_EXPIRE, "one", "", 0), OK);
	int64_t id = rig.row.id;
	register_with(&a, new_key(1, 0, "tag:web"));
	assert_joined(&a);
	assert_text(a.registered.login_name, "tagged-devices");
	assert_int_equal(edit(MACHINE_EXPIRE, "one", "", 0), OK);
	assert_int_equal(rig.row.id, id);
	a.old_node = a.node;
	a.node.bytes[0] ^= 1;
	register_with(&a, new_key(1, 0, "")); /* beside the first */
	assert_joined(&a);
	assert_int_equal(edit(MACHINE_EXPIRE, "one-1", "", 0), OK);
	register_with(&a, new_key(1, 0, "tag:web")); /* and in its place */
	assert_joined(&a);
	assert_int_equal(edit(MACHINE_RENAME, "one-1", "", 0), ERR_NOT_FOUND);
	assert_int_equal(edit(MACHINE_RENAME, "one", "", 0), OK);
	assert_int_equal(rig.row.id, id);
	client_close(&a);
}

static void test_without_a_key_a_person_approves(void **state)
{
	struct machine_client a;
	char url[200];

	(void)state;
	client_open(&a, "one");
	register_with(&a, "");
	assert_true(a.registered.auth_url.size > 0);
	snprintf(url, sizeof(url), "%.*s", SLICE_ARG(a.registered.auth_url));
	begin_register(&a, "", "http://127.0.0.1:1/register/000000000000000000000000", 0);
	end_register(&a);
	assert_text(a.registered.auth_url, url); /* a link that is over gets the one that is not */
	begin_register(&a, "", url, 0);
	for (int i = 0; i < 500; i++)
		turn();
	assert_false(a.has_answer);
	begin_register(&a, "", url, 0);
	WAIT_UNTIL(a.has_answer); /* the older one: only one of them may wait */
	buf_clear(&a.answer);
	a.has_answer = false;
	assert_int_equal(edit(MACHINE_APPROVE, "two", "", 0), ERR_NOT_FOUND);
	assert_int_equal(edit(MACHINE_APPROVE, "one", "", 0), OK);
	end_register(&a);
	assert_joined(&a);
	begin_stream(&a);
	assert_text(a.map.self->name, "one.test.example.");
	client_close(&a);
}

static void test_who_joins_by_a_key_after_all_waits_no_more(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	register_with(&a, "");
	assert_true(a.registered.auth_url.size > 0);
	assert_int_equal(rig.realm->pending_count, 1);
	register_with(&a, new_key(0, 0, ""));
	assert_joined(&a);
	assert_int_equal(rig.realm->pending_count, 0);
	client_close(&a);
}

static void test_strangers_make_room_for_each_other(void **state)
{
	struct control_register_request q = { .hostinfo.hostname = SLICE("stranger") };
	struct mesh_key machine = { { 0 } };
	struct pending *p = NULL;
	char oldest[REALM_PENDING_ID_BYTES] = "";

	(void)state;
	for (uint32_t i = 0; i <= REALM_PENDING_MAX; i++) {
		memcpy(machine.bytes, &i, sizeof(i));
		q.node_key = machine;
		p = pending_for(rig.realm, &machine, &q, SLICE("{}"), 142);
		assert_non_null(p);
		if (i == 0)
			snprintf(oldest, sizeof(oldest), "%s", p->id);
	}
	assert_int_equal(rig.realm->pending_count, REALM_PENDING_MAX);
	assert_null(pending_find(rig.realm, slice_from(oldest)));
	assert_ptr_equal(pending_find(rig.realm, slice_from(p->id)), p);
}

static void test_logging_out_ends_the_key(void **state)
{
	struct machine_client a, b;

	(void)state;
	client_open(&a, "one");
	client_open(&b, "two");
	const char *key = new_key(0, 0, "");
	register_with(&a, key);
	register_with(&b, key);
	begin_stream(&a);
	begin_stream(&b);
	WAIT_UNTIL(peer_of(&b, &a));
	begin_register(&a, "", "", CONTROL_LOGOUT_EXPIRY_S);
	end_register(&a);
	assert_true(a.registered.is_key_expired);
	WAIT_UNTIL(!peer_of(&b, &a));
	WAIT_UNTIL(a.map.self->is_expired);
	register_with(&a, key);
	assert_joined(&a);
	WAIT_UNTIL(peer_of(&b, &a));
	client_close(&a);
	client_close(&b);
}

/* --- what is told ------------------------------------------------------------------------------
 */

static void test_changes_reach_all_others(void **state)
{
	struct machine_client a, b;

	(void)state;
	client_open(&a, "box");
	client_open(&b, "box");
	const char *key = new_key(0, 0, "");
	register_with(&a, key);
	begin_stream(&a);
	assert_int_equal(a.map.peer_count, 0);
	assert_int_equal(a.map.filter_count, 1);
	assert_string_equal(a.map.domain, "test.example");
	assert_text(a.map.self->name, "box.test.example.");
	register_with(&b, key);
	begin_stream(&b);
	WAIT_UNTIL(peer_of(&a, &b) && peer_of(&a, &b)->endpoint_count == 1);
	assert_text(peer_of(&a, &b)->name, "box-1.test.example.");
	assert_int_equal(peer_of(&a, &b)->online, CONTROL_YES);
	assert_int_equal(peer_of(&a, &b)->home_relay, 900);
	b.port = 2000;
	send_map(&b, false);
	WAIT_UNTIL(peer_of(&a, &b)->endpoints[0].port == 2000);
	assert_int_equal(a.change.peers[0].what, NETMAP_PEER_ENDPOINTS);
	assert_int_equal(edit(MACHINE_RENAME, "box-1", "crate", 0), OK);
	WAIT_UNTIL(slice_equal(control_node_label(peer_of(&a, &b)), SLICE("crate")));
	WAIT_UNTIL(slice_equal(control_node_label(b.map.self), SLICE("crate")));
	assert_int_equal(edit(MACHINE_RENAME, "box", "crate", 0), ERR_EXISTS);
	assert_int_equal(edit(MACHINE_RENAME, "box", "Not A Name", 0), ERR_INVALID);
	assert_null(peer_of(&a, &a));
	assert_null(peer_of(&b, &b));
	assert_int_equal(edit(MACHINE_REMOVE, "crate", "", 0), OK);
	WAIT_UNTIL(!peer_of(&a, &b));
	WAIT_UNTIL(b.is_ended && b.map.self->is_expired);
	client_close(&a);
	client_close(&b);
}

static void load_row(int i, const char *prefix, bool is_shown)
{
	char name[32];
	struct machine_row row = { .id = 1000 + i,
				   .user = STORE_USER_OWNER,
				   .v4 = (uint32_t)(0x64410000 + i),
				   .hostinfo = SLICE("{}"),
				   .is_authorized = is_shown };

	snprintf(name, sizeof(name), "%s-%d", prefix, i);
	row.name = slice_from(name);
	row.node.bytes[0] = (uint8_t)i;
	row.node.bytes[1] = 1;
	machine_load(rig.realm, &row);
}

/* What comes in blocks is what came in one piece. */
static void assert_peers(const struct machine_client *m, size_t count, int changed, int hidden,
			 int removed)
{
	char name[64];

	assert_int_equal(m->map.peer_count, count);
	for (int i = 0; i < 200; i++) {
		const struct control_node *n = netmap_peer(&m->map, 1000 + i);

		if (i == hidden || i == removed) {
			assert_null(n);
			continue;
		}
		snprintf(name, sizeof(name), "%s-%d.test.example.", i == changed ? "other" : "m",
			 i);
		assert_text(n->name, name);
	}
}

static void test_many_machines_are_told_of_in_blocks(void **state)
{
	struct machine_client clients[4];
	const char *key = new_key(0, 0, "");

	(void)state;
	for (int i = 0; i < 200; i++)
		load_row(i, "m", true);
	for (int i = 0; i < 4; i++) {
		client_open(&clients[i], "one");
		register_with(&clients[i], key);
	}
	begin_stream(&clients[0]);
	assert_peers(&clients[0], 203, -1, -1, -1);
	load_row(130, "other", true);
	begin_stream(&clients[1]);
	assert_peers(&clients[1], 203, 130, -1, -1);
	load_row(70, "m", false);
	begin_stream(&clients[2]);
	assert_peers(&clients[2], 202, 130, 70, -1);
	machine_unload(rig.realm, 1005);
	begin_stream(&clients[3]);
	assert_peers(&clients[3], 201, 130, 70, 5);
	WAIT_UNTIL(clients[0].map.peer_count == 201);
	assert_peers(&clients[0], 201, 130, 70, 5);
	for (int i = 0; i < 4; i++)
		client_close(&clients[i]);
}

static void test_a_newer_stream_takes_the_place_of_the_older(void **state)
{
	struct machine_client a, b;

	(void)state;
	client_open(&a, "one");
	client_open(&b, "two");
	const char *key = new_key(0, 0, "");
	register_with(&a, key);
	register_with(&b, key);
	begin_stream(&a);
	begin_stream(&b);
	WAIT_UNTIL(peer_of(&b, &a));
	struct channel *old = a.dial.channel;
	connect_client(&a); /* it has forgotten the old one */
	begin_stream(&a);
	for (int i = 0; i < 1000; i++)
		turn();
	assert_int_equal(peer_of(&b, &a)->online, CONTROL_YES);
	struct realm_status status;
	realm_get_status(rig.realm, &status);
	assert_int_equal(status.sessions, 2);
	channel_close(old, 0);
	client_close(&a);
	client_close(&b);
}

static void test_of_two_that_carry_a_network_one_does(void **state)
{
	struct machine_client a, b, c;

	(void)state;
	client_open(&a, "one");
	client_open(&b, "two");
	client_open(&c, "three");
	assert_int_equal(ip_prefix_parse(SLICE("10.1.0.0/16"), &a.route), OK);
	b.route = a.route;
	a.has_route = b.has_route = true;
	const char *key = new_key(0, 0, "");
	register_with(&a, key);
	register_with(&b, key);
	register_with(&c, key);
	begin_stream(&a);
	begin_stream(&b);
	begin_stream(&c);
	WAIT_UNTIL(peer_of(&c, &a) && peer_of(&c, &b));
	assert_int_equal(peer_of(&c, &a)->allowed_count, 2); /* nobody has approved it */
	assert_int_equal(edit(MACHINE_ROUTES, "two", "10.1.0.0/16\n10.9.0.0/16", 0), OK);
	assert_int_equal(edit(MACHINE_ROUTES, "one", "10.1.0.0/16", 0), OK);
	assert_int_equal(edit(MACHINE_ROUTES, "one", "10.1.0.0/99", 0), ERR_INVALID);
	WAIT_UNTIL(peer_of(&c, &b)->allowed_count == 3);
	assert_int_equal(peer_of(&c, &a)->allowed_count, 2);
	assert_int_equal(b.map.self->primary_route_count, 1);
	channel_close(b.dial.channel, 0);
	WAIT_UNTIL(peer_of(&c, &a)->allowed_count == 3);
	assert_int_equal(peer_of(&c, &b)->allowed_count, 2);
	assert_int_equal(peer_of(&c, &b)->online, CONTROL_NO);
	connect_client(&b);
	begin_stream(&b);
	WAIT_UNTIL(peer_of(&c, &b)->online == CONTROL_YES);
	assert_int_equal(peer_of(&c, &a)->allowed_count, 3); /* it keeps what it has */
	client_close(&a);
	client_close(&b);
	client_close(&c);
}

/* As the relay says it (`is_said`), or a person. */
static enum err put_relay(const char *name, int32_t region, bool is_said)
{
	struct relay_edit *e = NEW(struct relay_edit);

	operation_init(&e->operation, rig.realm);
	e->is_said = is_said;
	e->relay = (struct relay_row) { .name = slice_from(name),
					.region = region,
					.host = SLICE("192.0.2.1"),
					.cert_name = SLICE("sha256-raw:00"),
					.relay_port = 443,
					.stun_port = 3478,
					.second_stun_port = 3479 };
	rig.is_done = false;
	relay_edit_start(e, on_done, NULL);
	WAIT_UNTIL(rig.is_done);
	return rig.done_err;
}

static enum err change_relay(const char *name, bool is_back)
{
	struct relay_edit *e = NEW(struct relay_edit);

	operation_init(&e->operation, rig.realm);
	e->relay.name = slice_from(name);
	e->is_back = is_back;
	e->is_removed = !is_back;
	rig.is_done = false;
	relay_edit_start(e, on_done, NULL);
	WAIT_UNTIL(rig.is_done);
	return rig.done_err;
}

static bool has_regions(const struct machine_client *c, int32_t first, int32_t second)
{
	const struct control_relay_map *map = c->map.relays;

	return map && map->region_count == 2 && map->regions[0].id == first &&
	       map->regions[1].id == second;
}

static void test_the_only_relay_is_there_twice_for_who_compares(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	register_with(&a, new_key(1, 0, ""));
	begin_stream(&a);
	assert_int_equal(put_relay("first", 900, true), OK);
	WAIT_UNTIL(has_regions(&a, 900, 1900));
	assert_true(a.map.relays->regions[1].is_avoided);
	assert_int_equal(a.map.relays->regions[1].relays[0].stun_port, 3479);
	assert_int_equal(a.map.relays->regions[1].relays[0].relay_port, 443);
	assert_int_equal(put_relay("second", 901, true), OK);
	WAIT_UNTIL(has_regions(&a, 900, 901));
	assert_false(a.map.relays->regions[1].is_avoided);
	assert_int_equal(change_relay("first", false), OK);
	WAIT_UNTIL(has_regions(&a, 901, 1901));
	client_close(&a);
}

static void assert_knows_relay(const struct machine_client *c, const char *cert_name)
{
	const struct control_relay *relay = &c->map.relays->regions[0].relays[0];

	assert_text(relay->cert_name, cert_name);
	assert_int_equal(relay->is_insecure, !*cert_name);
}

static void test_who_knows_no_hashes_of_certificates_is_told_to_look_at_none(void **state)
{
	struct machine_client a, old;

	(void)state;
	client_open(&a, "new");
	client_open_as(&old, "old", 113);
	register_with(&a, new_key(0, 0, ""));
	register_with(&old, new_key(0, 0, ""));
	begin_stream(&a);
	begin_stream(&old);
	assert_int_equal(put_relay("first", 900, true), OK);
	WAIT_UNTIL(has_regions(&a, 900, 1900));
	assert_knows_relay(&a, "sha256-raw:00");
	WAIT_UNTIL(old.map.relays && old.map.relays->region_count == 1);
	assert_knows_relay(&old, "");
	/* And so from the first message on. */
	client_close(&old);
	client_open_as(&old, "older", 114);
	register_with(&old, new_key(0, 0, ""));
	begin_stream(&old);
	WAIT_UNTIL(old.map.relays && old.map.relays->region_count == 1);
	assert_knows_relay(&old, "");
	client_close(&a);
	client_close(&old);
}

static void test_a_relay_that_was_removed_cannot_say_that_it_is_there(void **state)
{
	(void)state;
	assert_int_equal(put_relay("first", 900, true), OK);
	assert_int_equal(change_relay("first", false), OK);
	assert_int_equal(change_relay("first", false), ERR_NOT_FOUND);
	assert_int_equal(put_relay("first", 900, true), ERR_DENIED);
	assert_int_equal(realm_relays(rig.realm)->region_count, 0);
	/* Its region has another relay when it is brought back. */
	assert_int_equal(put_relay("second", 900, true), OK);
	assert_int_equal(change_relay("first", true), OK);
	assert_int_equal(change_relay("first", true), ERR_NOT_FOUND);
	assert_int_equal(realm_relays(rig.realm)->region_count, 2);
	assert_int_equal(realm_relays(rig.realm)->regions[1].id, 901);
	assert_int_equal(change_relay("first", false), OK);
	assert_int_equal(put_relay("first", 905, false), OK); /* a person */
	assert_int_equal(put_relay("first", 905, true), OK);
}

static void test_nonsense_is_answered_and_forgotten(void **state)
{
	static const char *const bodies[] = { "", "{", "[]", "{\"NodeKey\":1}", "null" };
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		static const char *const paths[] = { "/machine/register", "/machine/map", "/x" };

		for (size_t k = 0; k < 3; k++) {
			struct buf json;

			buf_init(&json);
			buf_add_text(&json, bodies[i]);
			a.has_answer = false;
			a.asking = post(&a, paths[k], &json);
			WAIT_UNTIL(a.has_answer);
		}
	}
	send_map(&a, false); /* of a node that nobody knows */
	register_with(&a, new_key(1, 0, ""));
	assert_joined(&a);
	client_close(&a);
}

/* --- what survives -----------------------------------------------------------------------------
 */

static void test_nobody_is_let_in_before_it_is_durable(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	const char *key = new_key(1, 0, "");
	fault_add(rig.node.buckets[0],
		  &(struct fault) { .verbs = FAULT_WRITES, .effect = FAULT_HOLD });
	begin_register(&a, key, "", 0);
	for (int i = 0; i < 2000; i++)
		turn();
	assert_false(a.has_answer);
	fault_clear(rig.node.buckets[0]);
	fault_release(rig.node.buckets[0], "");
	end_register(&a);
	assert_joined(&a);
	client_close(&a);
}

static int64_t seen_in_cell(int64_t id)
{
	struct machine_row row;
	struct arena a;

	arena_init(&a);
	assert_int_equal(store_machine(&a, leader_cell(rig.node.leader), id, &row), OK);
	arena_done(&a);
	return row.seen_s;
}

static void let_a_second_go_by(void)
{
	int64_t now_s = realm_now_s(rig.realm);

	WAIT_UNTIL(realm_now_s(rig.realm) > now_s);
}

/* Whoever leads after a crash knows what is in the cell, and no more. */
static void test_when_a_machine_was_seen_is_durable_while_it_is_there(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	register_with(&a, new_key(0, 0, ""));
	let_a_second_go_by();
	begin_stream(&a);
	int64_t id = a.map.self->id, registered_s = seen_in_cell(id);
	rig.realm->seen_ms -= REALM_SEEN_MS; /* it has come */
	WAIT_UNTIL(seen_in_cell(id) > registered_s);
	int64_t come_s = seen_in_cell(id);
	let_a_second_go_by();
	rig.realm->online_ms -= REALM_ONLINE_MS; /* it is still there */
	rig.realm->seen_ms -= REALM_SEEN_MS;
	WAIT_UNTIL(seen_in_cell(id) > come_s);
	client_close(&a);
}

static void test_who_was_away_before_a_takeover_was_not_seen_since(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	register_with(&a, new_key(0, 0, ""));
	begin_stream(&a);
	int64_t id = a.map.self->id;
	client_close(&a);
	stop_leading();
	lead("second");
	int64_t seen_s = seen_in_cell(id);
	let_a_second_go_by();
	for (int i = 0; i < 3; i++) { /* all that a sweep would write down, it did */
		uint64_t before_ms = rig.realm->seen_ms -= REALM_SEEN_MS;

		machine_find(rig.realm, id)->gone_ms = 1;
		WAIT_UNTIL(rig.realm->seen_ms != before_ms && rig.realm->operation_count == 0);
	}
	assert_int_equal(seen_in_cell(id), seen_s);
}

static void test_the_next_leader_knows_all(void **state)
{
	struct machine_client a;

	(void)state;
	client_open(&a, "one");
	register_with(&a, new_key(0, 0, ""));
	char key[64];
	snprintf(key, sizeof(key), "%s", rig.secret);
	begin_stream(&a);
	struct mesh_key server = realm_public_key(rig.realm);
	int64_t id = a.map.self->id;
	stop_leading();
	WAIT_UNTIL(a.is_channel_over);
	channel_close(a.dial.channel, 0);
	lead("second");
	assert_false(rig.is_new);
	struct mesh_key now = realm_public_key(rig.realm);
	assert_true(mesh_key_equal(&server, &now));
	connect_client(&a);
	register_with(&a, "");
	assert_joined(&a);
	begin_stream(&a);
	assert_int_equal(a.map.self->id, id);
	assert_int_equal(a.map.control_url_count, 1);
	struct machine_client b;
	client_open(&b, "two");
	register_with(&b, key);
	assert_joined(&b);
	client_close(&a);
	client_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_key_lets_in_as_many_as_it_says, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_key_that_is_over_lets_nobody_in, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_who_is_known_stays_who_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tags_come_with_the_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_machine_can_come_back_as_somebody_elses,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_joins_by_a_key_after_all_waits_no_more,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_strangers_make_room_for_each_other, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_without_a_key_a_person_approves, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_logging_out_ends_the_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_machines_are_told_of_in_blocks, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_changes_reach_all_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_newer_stream_takes_the_place_of_the_older,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_two_that_carry_a_network_one_does, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_only_relay_is_there_twice_for_who_compares,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_who_knows_no_hashes_of_certificates_is_told_to_look_at_none, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_a_relay_that_was_removed_cannot_say_that_it_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense_is_answered_and_forgotten, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_nobody_is_let_in_before_it_is_durable, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_when_a_machine_was_seen_is_durable_while_it_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_who_was_away_before_a_takeover_was_not_seen_since, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_next_leader_knows_all, setup, teardown),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
