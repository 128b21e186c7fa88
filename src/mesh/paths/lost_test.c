/* Control and every relay are dead, and a peer has begun another life: its disco key is one that
 * nobody could tell. */
#include "mesh/paths/world_testing.h"

static const struct paths_config plain = { .is_punch_off = true, .is_port_mapping_off = true };
static uint8_t hello[148] = { 1 };

static void lose_relay(struct host *h)
{
	for (int i = 0; i < LOST_FAILURES; i++)
		paths_relay_down(h->paths, WORLD_REGION, h->world->now_us);
	drain(h);
}

/* With the map of its life before. */
static void begin_again(struct host *h, struct host *other)
{
	struct paths_config config = plain;

	paths_free(h->paths);
	config.node_public = h->node;
	world_random(&h->world->prng, config.disco_secret.bytes, MESH_KEY_BYTES);
	config.random = world_random;
	config.random_context = &h->world->prng;
	h->paths = paths_new(&config, h->world->now_us);
	host_join(h);
	introduce(h, other);
	lose_relay(h);
}

/* The handshake's first message, and how many addresses got it besides that of the route. */
static int greet(struct host *h, struct paths_route *ret)
{
	struct slice message = { hello, sizeof(hello) };
	struct paths_effect e;
	int count = 0;

	paths_route(h->paths, h->other, h->world->now_us, ret);
	drain(h);
	paths_hello(h->paths, h->other, message, h->world->now_us);
	while (paths_next(h->paths, &e)) {
		count += e.kind == PATHS_SEND && slice_equal(e.bytes, message);
		send_udp(h, e.socket, &e.address, e.ttl, e.bytes);
	}
	return count;
}

static void test_a_handshake_finds_who_hears_no_disco_and_is_answered_there(void **state)
{
	struct world *w = world_new(7, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	struct paths_route r;

	(void)state;
	begin_again(b, a);
	lose_relay(a);
	talk(w, 10);
	assert_int_not_equal(kind_of(a), PATHS_DIRECT);
	assert_true(paths_is_lost(a->other, w->now_us) && paths_is_lost(b->other, w->now_us));
	a->heard_udp = 0;
	assert_true(greet(b, &r) > 0 && !r.has_udp);
	run_until(w, w->now_us + SECOND);
	assert_int_equal(a->heard_udp, 1);
	/* What answers it leaves for where it came from, and so does what answers that. */
	b->heard_udp = 0;
	send_data(a);
	run_until(w, w->now_us + 100 * MS);
	assert_int_equal(b->heard_udp, 1);
	assert_int_equal(greet(b, &r), 0);
	assert_true(r.has_udp && endpoint_same_ip(&r.address, &a->public));
	/* The tunnel then tells the key. */
	paths_ping(a->paths, a->other, w->now_us);
	drain(a);
	paths_peer_disco(a->paths, a->other, paths_disco_public(b->paths), w->now_us);
	drain(a);
	talk(w, 2);
	assert_int_equal(a->ping_answer.kind, PATHS_PING_ANSWERED);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	world_free(w);
}

static void test_who_was_elsewhere_before_is_answered_where_it_is_now(void **state)
{
	struct world *w = world_new(7, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	struct endpoint now = endpoint_ip4(203, 0, 113, 11, 5555);
	struct paths_from from = { .address = now };
	struct paths_route r;

	(void)state;
	talk(w, 3);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	b->is_udp_blocked = true;
	talk(w, 8);
	lose_relay(a);
	paths_authenticated(a->paths, a->other, &from, w->now_us);
	paths_route(a->paths, a->other, w->now_us, &r);
	assert_true(r.has_udp && endpoint_equal(&r.address, &now));
	world_free(w);
}

static void test_nothing_is_sent_around_a_relay_that_carries_it(void **state)
{
	struct world *w = world_new(7, NAT_OPEN, NAT_OPEN, &plain);
	struct host *a = &w->hosts[0];
	struct paths_route r;

	(void)state;
	assert_int_equal(greet(a, &r), 0); /* it is being connected */
	lose_relay(a);
	paths_relay_up(a->paths, WORLD_REGION, MS, w->now_us);
	drain(a);
	assert_false(paths_is_lost(a->other, w->now_us));
	assert_int_equal(greet(a, &r), 0);
	talk(w, 3);
	lose_relay(a);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	assert_int_equal(greet(a, &r), 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_handshake_finds_who_hears_no_disco_and_is_answered_there),
		cmocka_unit_test(test_who_was_elsewhere_before_is_answered_where_it_is_now),
		cmocka_unit_test(test_nothing_is_sent_around_a_relay_that_carries_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
