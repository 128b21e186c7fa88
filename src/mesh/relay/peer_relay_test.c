/* Two ends that speak to the engine as machines would, each with its own copy of the codec. */
#include "mesh/relay/peer_relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "wire/crypto/x25519.h"

#define SECOND UINT64_C(1000000)

struct end {
	struct mesh_key secret, disco;
	uint8_t shared[BOX_KEY_BYTES]; /* with the relay */
	struct endpoint address;
};

struct world {
	struct prng prng;
	uint64_t now_us;
	struct peer_relay *relay;
	struct end a, b;
	struct disco_relay session;
	/* what the relay sent last */
	struct endpoint to;
	struct slice sent;
};

static void seeded(void *context, void *ret, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)ret)[i] = (uint8_t)prng_next(context);
}

static void end_make(struct end *e, uint8_t number)
{
	*e = (struct end) { .address = endpoint_ip4(192, 0, 2, number, 41641) };
	memset(e->secret.bytes, number, sizeof(e->secret.bytes));
	x25519_public(e->secret.bytes, e->disco.bytes);
}

static struct disco_relay allocate(struct world *w, const struct end *asker, const struct end *one,
				   const struct end *other)
{
	struct mesh_key clients[] = { one->disco, other->disco };
	struct disco_relay ret;

	assert_int_equal(peer_relay_allocate(w->relay, &asker->disco, clients, w->now_us, &ret),
			 OK);
	return ret;
}

static void world_open(struct world *w)
{
	struct peer_relay_config config = {
		.disco_secret = { { 77 } },
		.random = seeded,
		.random_context = &w->prng,
	};

	*w = (struct world) { .prng = { 5 }, .now_us = 1000 * SECOND };
	w->relay = peer_relay_new(&config);
	end_make(&w->a, 1);
	end_make(&w->b, 2);
	w->session = allocate(w, &w->a, &w->a, &w->b);
	assert_true(box_shared(w->a.secret.bytes, w->session.server.bytes, w->a.shared));
	assert_true(box_shared(w->b.secret.bytes, w->session.server.bytes, w->b.shared));
}

static void world_close(struct world *w)
{
	peer_relay_free(w->relay);
}

static bool receive(struct world *w, const struct endpoint *from, struct slice packet)
{
	w->sent = (struct slice) { NULL, 0 };
	return peer_relay_received(w->relay, from, packet, w->now_us, &w->to, &w->sent);
}

static bool say(struct world *w, const struct end *e, const struct disco_message *m)
{
	uint8_t nonce[BOX_NONCE_BYTES] = { 1 }, header[GENEVE_BYTES];
	struct buf packet;
	bool ret;

	geneve_put(header, &(struct geneve) { GENEVE_DISCO, w->session.vni, true });
	buf_init(&packet);
	buf_add(&packet, header, sizeof(header));
	disco_seal(&packet, e->shared, &e->disco, nonce, m);
	ret = receive(w, &e->address, buf_slice(&packet));
	buf_done(&packet);
	return ret;
}

static struct disco_message bind_message(const struct world *w, const struct end *e,
					 uint32_t generation)
{
	return (struct disco_message) {
		.type = DISCO_BIND,
		.vni = w->session.vni,
		.generation = generation,
		.other = e == &w->a ? w->b.disco : w->a.disco,
	};
}

/* Asks for a challenge, and returns the answer to it. */
static struct disco_message ask(struct world *w, const struct end *e, uint32_t generation)
{
	struct disco_message bind = bind_message(w, e, generation), m;
	uint8_t room[512];
	struct geneve header;

	assert_true(say(w, e, &bind));
	assert_true(endpoint_equal(&w->to, &e->address));
	assert_int_equal(geneve_get(w->sent, &header), OK);
	assert_true(header.is_control && header.protocol == GENEVE_DISCO);
	assert_int_equal(header.vni, w->session.vni);
	assert_int_equal(disco_open(e->shared, slice_part(w->sent, GENEVE_BYTES, w->sent.size),
				    room, &m),
			 OK);
	assert_int_equal(m.type, DISCO_BIND_CHALLENGE);
	assert_int_equal(m.generation, generation);
	assert_true(mesh_key_equal(&m.other, &bind.other));
	m.type = DISCO_BIND_ANSWER;
	return m;
}

static void bind_end(struct world *w, const struct end *e, uint32_t generation)
{
	struct disco_message answer = ask(w, e, generation);

	assert_false(say(w, e, &answer));
}

static bool passes(struct world *w, const struct end *from, const struct end *to)
{
	uint8_t packet[GENEVE_BYTES + 40] = { 0 };
	struct slice bytes = { packet, sizeof(packet) };

	geneve_put(packet, &(struct geneve) { GENEVE_WIREGUARD, w->session.vni, false });
	memset(packet + GENEVE_BYTES, 'x', 40);
	if (!receive(w, &from->address, bytes))
		return false;
	assert_true(endpoint_equal(&w->to, &to->address));
	assert_ptr_equal(w->sent.data, packet);
	assert_int_equal(w->sent.size, sizeof(packet));
	return true;
}

static void test_packets_pass_both_ways_once_both_ends_are_bound(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_false(passes(&w, &w.a, &w.b));
	bind_end(&w, &w.a, 1);
	assert_false(passes(&w, &w.a, &w.b));
	bind_end(&w, &w.b, 9);
	assert_true(passes(&w, &w.a, &w.b));
	assert_true(passes(&w, &w.b, &w.a));
	assert_int_equal(peer_relay_count(w.relay).forwarded_packets, 2);
	world_close(&w);
}

static void test_a_stranger_passes_nothing_though_it_knows_the_number(void **state)
{
	struct world w;
	struct end stranger;

	(void)state;
	world_open(&w);
	bind_end(&w, &w.a, 1);
	bind_end(&w, &w.b, 1);
	end_make(&stranger, 3);
	assert_true(box_shared(stranger.secret.bytes, w.session.server.bytes, stranger.shared));
	assert_false(passes(&w, &stranger, &w.b));
	struct disco_message bind = bind_message(&w, &w.a, 2);
	assert_false(say(&w, &stranger, &bind));
	/* It claims to be an end, but cannot seal as one. */
	stranger.disco = w.a.disco;
	assert_false(say(&w, &stranger, &bind));
	world_close(&w);
}

static void test_an_answer_counts_only_from_where_the_challenge_went(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	bind_end(&w, &w.b, 1);
	struct disco_message answer = ask(&w, &w.a, 1);
	struct end moved = w.a;
	moved.address.port++;
	assert_false(say(&w, &moved, &answer));
	assert_false(passes(&w, &moved, &w.b));
	assert_false(say(&w, &w.a, &answer));
	assert_true(passes(&w, &w.a, &w.b));
	world_close(&w);
}

static void test_a_changed_or_repeated_answer_binds_nothing(void **state)
{
	struct world w;
	struct disco_message answer, changed;

	(void)state;
	world_open(&w);
	answer = ask(&w, &w.a, 4);
	changed = answer;
	changed.challenge[31] ^= 1;
	say(&w, &w.a, &changed);
	changed = answer;
	changed.generation = 5;
	say(&w, &w.a, &changed);
	changed = answer;
	changed.vni ^= 1;
	say(&w, &w.a, &changed);
	changed = answer;
	changed.other = w.a.disco;
	say(&w, &w.a, &changed);
	assert_int_equal(peer_relay_count(w.relay).bound, 0);
	say(&w, &w.a, &answer);
	assert_int_equal(peer_relay_count(w.relay).bound, 1);
	say(&w, &w.a, &answer);
	assert_int_equal(peer_relay_count(w.relay).bound, 1);
	struct disco_message none = bind_message(&w, &w.a, 0);
	assert_false(say(&w, &w.a, &none));
	world_close(&w);
}

static void test_a_challenge_is_no_longer_than_what_asked_for_it(void **state)
{
	struct world w;
	struct disco_message bind;

	(void)state;
	world_open(&w);
	bind = bind_message(&w, &w.a, 1);
	assert_true(say(&w, &w.a, &bind));
	struct buf packet;
	uint8_t nonce[BOX_NONCE_BYTES] = { 0 };
	buf_init(&packet);
	disco_seal(&packet, w.a.shared, &w.a.disco, nonce, &bind);
	assert_int_equal(w.sent.size, GENEVE_BYTES + packet.size);
	buf_done(&packet);
	world_close(&w);
}

static void test_a_challenge_outlives_one_change_of_the_secret_and_no_more(void **state)
{
	struct world w;
	struct disco_message answer;

	(void)state;
	world_open(&w);
	bind_end(&w, &w.a, 1);
	bind_end(&w, &w.b, 1);
	answer = ask(&w, &w.a, 2);
	w.now_us += PEER_RELAY_SECRET_S * SECOND;
	passes(&w, &w.a, &w.b);
	passes(&w, &w.b, &w.a);
	say(&w, &w.a, &answer);
	assert_int_equal(peer_relay_count(w.relay).bound, 3);
	answer = ask(&w, &w.a, 3);
	w.now_us += PEER_RELAY_SECRET_S * SECOND;
	passes(&w, &w.a, &w.b);
	passes(&w, &w.b, &w.a);
	ask(&w, &w.b, 4); /* the secret changes */
	w.now_us += PEER_RELAY_SECRET_S * SECOND;
	say(&w, &w.a, &answer);
	assert_int_equal(peer_relay_count(w.relay).bound, 3);
	world_close(&w);
}

static void test_an_end_that_moved_binds_again(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	bind_end(&w, &w.a, 1);
	bind_end(&w, &w.b, 1);
	struct endpoint before = w.a.address;
	w.a.address = endpoint_ip4(198, 51, 100, 7, 999);
	assert_false(passes(&w, &w.a, &w.b));
	bind_end(&w, &w.a, 2);
	assert_true(passes(&w, &w.a, &w.b));
	assert_true(passes(&w, &w.b, &w.a));
	w.a.address = before;
	assert_false(passes(&w, &w.a, &w.b));
	world_close(&w);
}

static void test_a_session_that_is_not_bound_in_time_ends(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	bind_end(&w, &w.a, 1);
	assert_int_equal(peer_relay_deadline_us(w.relay), w.now_us + PEER_RELAY_BIND_S * SECOND);
	w.now_us += PEER_RELAY_BIND_S * SECOND;
	struct disco_message bind = bind_message(&w, &w.b, 1);
	assert_false(say(&w, &w.b, &bind));
	peer_relay_tick(w.relay, w.now_us);
	assert_int_equal(peer_relay_sessions(w.relay), 0);
	assert_int_equal(peer_relay_deadline_us(w.relay), UINT64_MAX);
	world_close(&w);
}

static void test_a_session_lives_while_both_ends_are_heard(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	bind_end(&w, &w.a, 1);
	bind_end(&w, &w.b, 1);
	for (int i = 0; i < 20; i++) {
		w.now_us += (PEER_RELAY_STEADY_S - 1) * SECOND;
		peer_relay_tick(w.relay, w.now_us);
		assert_true(peer_relay_deadline_us(w.relay) > w.now_us);
		assert_true(passes(&w, &w.a, &w.b));
		assert_true(passes(&w, &w.b, &w.a));
	}
	/* One end alone does not keep it. */
	w.now_us += (PEER_RELAY_STEADY_S - 1) * SECOND;
	assert_true(passes(&w, &w.a, &w.b));
	w.now_us += SECOND;
	assert_false(passes(&w, &w.a, &w.b));
	peer_relay_tick(w.relay, w.now_us);
	assert_int_equal(peer_relay_sessions(w.relay), 0);
	world_close(&w);
}

static void test_the_same_two_get_the_same_session_whoever_asks(void **state)
{
	struct world w;
	struct disco_relay again, later;

	(void)state;
	world_open(&w);
	again = allocate(&w, &w.b, &w.b, &w.a);
	assert_int_equal(again.vni, w.session.vni);
	assert_int_equal(again.lamport, w.session.lamport);
	assert_true(memcmp(again.clients[0].bytes, again.clients[1].bytes, MESH_KEY_BYTES) < 0);
	assert_int_equal(again.bind_ns, PEER_RELAY_BIND_S * UINT64_C(1000000000));
	assert_int_equal(peer_relay_sessions(w.relay), 1);
	w.now_us += PEER_RELAY_BIND_S * SECOND;
	later = allocate(&w, &w.a, &w.a, &w.b);
	assert_true(later.lamport > again.lamport);
	assert_int_equal(peer_relay_sessions(w.relay), 1);
	world_close(&w);
}

static void test_keys_that_can_be_no_ends_are_refused(void **state)
{
	struct world w;
	struct disco_relay ret = { .vni = 0 };

	(void)state;
	world_open(&w);
	struct mesh_key same[] = { w.a.disco, w.a.disco }, zero[] = { w.a.disco, { { 0 } } },
			ours[] = { w.session.server, w.a.disco }, bad[] = { w.a.disco, { { 1 } } };
	const struct mesh_key *all[] = { same, zero, ours, bad };
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		assert_int_equal(peer_relay_allocate(w.relay, &w.a.disco, all[i], w.now_us, &ret),
				 ERR_INVALID);
	assert_int_equal(ret.vni, 0);
	assert_int_equal(peer_relay_sessions(w.relay), 1);
	world_close(&w);
}

static struct mesh_key made_up(uint32_t number)
{
	struct mesh_key key = { { 9 } };

	memcpy(key.bytes + 1, &number, sizeof(number));
	return key;
}

static void test_one_machine_and_all_together_have_so_many_sessions(void **state)
{
	struct world w;
	struct disco_relay ret;
	uint32_t number = 0;

	(void)state;
	world_open(&w);
	while (peer_relay_sessions(w.relay) < PEER_RELAY_SESSIONS_OF_ONE_MAX) {
		struct mesh_key clients[] = { w.a.disco, made_up(number++) };
		assert_int_equal(peer_relay_allocate(w.relay, &w.a.disco, clients, w.now_us, &ret),
				 OK);
	}
	struct mesh_key more[] = { w.a.disco, made_up(number++) };
	assert_int_equal(peer_relay_allocate(w.relay, &w.a.disco, more, w.now_us, &ret), ERR_BUSY);
	/* What it has is still told. */
	allocate(&w, &w.a, &w.a, &w.b);
	while (peer_relay_sessions(w.relay) < PEER_RELAY_SESSIONS_MAX) {
		struct mesh_key asker = made_up(number / 100), clients[] = { asker, more[1] };
		clients[1] = made_up(1u << 20 | number++);
		assert_int_equal(peer_relay_allocate(w.relay, &asker, clients, w.now_us, &ret), OK);
	}
	assert_int_equal(peer_relay_allocate(w.relay, &w.b.disco, more, w.now_us, &ret), ERR_BUSY);
	w.now_us += PEER_RELAY_BIND_S * SECOND;
	assert_int_equal(peer_relay_allocate(w.relay, &w.b.disco, more, w.now_us, &ret), OK);
	assert_int_equal(peer_relay_sessions(w.relay), 1);
	world_close(&w);
}

static void test_who_may_no_longer_loses_its_sessions(void **state)
{
	struct world w;
	struct end c;

	(void)state;
	world_open(&w);
	end_make(&c, 3);
	allocate(&w, &w.a, &c, &w.b);
	allocate(&w, &c, &c, &w.a);
	peer_relay_forget(w.relay, &w.b.disco);
	assert_int_equal(peer_relay_sessions(w.relay), 1);
	peer_relay_forget(w.relay, &w.b.disco);
	assert_int_equal(peer_relay_sessions(w.relay), 1);
	peer_relay_forget(w.relay, &w.a.disco);
	assert_int_equal(peer_relay_sessions(w.relay), 0);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_pass_both_ways_once_both_ends_are_bound),
		cmocka_unit_test(test_a_stranger_passes_nothing_though_it_knows_the_number),
		cmocka_unit_test(test_an_answer_counts_only_from_where_the_challenge_went),
		cmocka_unit_test(test_a_changed_or_repeated_answer_binds_nothing),
		cmocka_unit_test(test_a_challenge_is_no_longer_than_what_asked_for_it),
		cmocka_unit_test(test_a_challenge_outlives_one_change_of_the_secret_and_no_more),
		cmocka_unit_test(test_an_end_that_moved_binds_again),
		cmocka_unit_test(test_a_session_that_is_not_bound_in_time_ends),
		cmocka_unit_test(test_a_session_lives_while_both_ends_are_heard),
		cmocka_unit_test(test_the_same_two_get_the_same_session_whoever_asks),
		cmocka_unit_test(test_keys_that_can_be_no_ends_are_refused),
		cmocka_unit_test(test_one_machine_and_all_together_have_so_many_sessions),
		cmocka_unit_test(test_who_may_no_longer_loses_its_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
