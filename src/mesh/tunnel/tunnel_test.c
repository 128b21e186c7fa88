/* Two engines and a network; the trace is the test. */
#include "mesh/tunnel/testing.h"

static const uint8_t address_a[4] = { 10, 0, 0, 1 }, address_b[4] = { 10, 0, 0, 2 };

/* --- handshakes ------------------------------------------------------------------------------ */
static void test_the_first_packet_waits_for_a_handshake_and_arrives(void **state)
{
	(void)state;
	world_say_to(0, 100, 7);
	world_expect("1.000 a waits\n"
		     "1.000 a>b initiation\n"
		     "1.000 b handshake\n"
		     "1.000 b>a response\n"
		     "1.000 a handshake\n"
		     "1.000 a ready\n"
		     "1.000 a>b data\n"
		     "1.000 b packet\n"
		     "1.000 b ready\n");
	assert_int_equal(world.sides[1].last_size, 100);
	assert_int_equal(world.sides[1].last[99], 7);
	world_say_to(1, 60, 8);
	world_expect("1.000 b>a data\n"
		     "1.000 a packet\n");
	assert_int_equal(world.sides[0].last_size, 60);
}

static void test_an_initiator_with_nothing_to_say_confirms_its_key(void **state)
{
	(void)state;
	tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
	world_drain(0);
	world_expect("1.000 a>b initiation\n"
		     "1.000 b handshake\n"
		     "1.000 b>a response\n"
		     "1.000 a handshake\n"
		     "1.000 a ready\n"
		     "1.000 a>b keepalive\n"
		     "1.000 b keepalive\n"
		     "1.000 b ready\n");
}

static void test_a_peer_in_another_life_is_greeted_whenever_the_last_time_was(void **state)
{
	(void)state;
	world.loses = true;
	tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
	tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
	world_drain(0);
	world_expect("1.000 a>b initiation lost\n");
	tunnel_greet_anew(world.sides[0].tunnel, world.now, world.sides[0].peer);
	world_drain(0);
	world_expect("1.000 a>b initiation lost\n");
}

static void test_a_responder_does_not_send_before_its_key_is_confirmed(void **state)
{
	(void)state;
	world.loses = true;
	tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
	world_drain(0);
	world_deliver(1, world_kept(0)->data, world_kept(0)->size);
	world_say_to(1, 40, 1); /* the response was lost */
	world_expect("1.000 a>b initiation lost\n"
		     "1.000 b handshake\n"
		     "1.000 b>a response lost\n"
		     "1.000 b waits\n"
		     "1.000 b>a initiation lost\n");
}

static void test_both_may_begin_at_once(void **state)
{
	(void)state;
	struct kept from_a, from_b;

	world.loses = true;
	world_say_to(0, 40, 1);
	from_a = *world_kept(0);
	world_say_to(1, 40, 2);
	from_b = *world_kept(0);
	world.loses = false;
	buf_clear(&world.trace);
	world_deliver(1, from_a.data, from_a.size);
	world_deliver(0, from_b.data, from_b.size);
	world_expect("1.000 b handshake\n"
		     "1.000 b>a response\n"
		     "1.000 a handshake\n"
		     "1.000 a ready\n"
		     "1.000 a>b data\n"
		     "1.000 b packet\n"
		     "1.000 b ready\n"
		     "1.000 b>a data\n"
		     "1.000 a packet\n"
		     "1.000 a handshake\n"
		     "1.000 a>b response\n"
		     "1.000 b handshake\n"
		     "1.000 b ready\n"
		     "1.000 b>a keepalive\n"
		     "1.000 a keepalive\n"
		     "1.000 a ready\n");
	world_say_to(0, 40, 3);
	world_say_to(1, 40, 4);
	world_expect("1.000 a>b data\n"
		     "1.000 b packet\n"
		     "1.000 b>a data\n"
		     "1.000 a packet\n");
}

static void test_a_lost_initiation_is_sent_again_every_five_seconds_for_ninety(void **state)
{
	(void)state;
	int initiations = 0;

	world.loses = true;
	world_say_to(0, 40, 1);
	world_run(12000);
	world_expect("1.000 a waits\n"
		     "1.000 a>b initiation lost\n"
		     "6.152 a>b initiation lost\n"
		     "11.299 a>b initiation lost\n");
	world_run(120000);
	buf_add_u8(&world.trace, 0);
	for (const char *p = (const char *)world.trace.data; (p = strstr(p, "initiation")); p++)
		initiations++;
	assert_int_equal(initiations + 3, 1 + 18);
	assert_non_null(strstr((const char *)world.trace.data, "a silent\n"));
	assert_null(strstr(strstr((const char *)world.trace.data, "silent"), "initiation"));
	buf_clear(&world.trace);

	world.loses = false; /* what waited is gone; the next packet begins again */
	world_say_to(0, 40, 9);
	assert_int_equal(world.sides[1].last[39], 9);
	assert_int_equal(tunnel_count(world.sides[1].tunnel, TUNNEL_PACKET), 1);
}

static void test_a_replayed_initiation_is_not_answered(void **state)
{
	(void)state;
	world_connect();
	struct kept *initiation = &world.kept[0];

	world.now.ms += 1000;
	world_deliver(1, initiation->data, initiation->size);
	world_expect("2.000 b replayed\n");
}

static void test_initiations_of_a_peer_are_looked_at_every_20_ms_only(void **state)
{
	(void)state;
	static const uint64_t pauses[] = { 0, 19, 20 };
	static const enum tunnel_verdict expected[] = { TUNNEL_REPLAYED, TUNNEL_REPLAYED,
							TUNNEL_HANDSHAKE };

	for (int i = 0; i < 3; i++) {
		world_tear_down(NULL);
		world_set_up(NULL);
		world.loses = true;
		tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
		world_drain(0);
		world_deliver(1, world_kept(0)->data, world_kept(0)->size);
		world.now.ms += 5000;
		world.now.wall_ms += 5000;
		tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
		world_drain(0);
		world.now.ms -= 5000 - pauses[i]; /* it comes sooner than it was sent */
		buf_clear(&world.trace);
		world.is_quiet = true;
		assert_int_equal(world_deliver(1, world_kept(0)->data, world_kept(0)->size),
				 expected[i]);
		world.is_quiet = false;
	}
}

static void test_a_clock_that_goes_back_does_not_stop_handshakes(void **state)
{
	(void)state;
	world_connect();
	world.now.wall_ms -= 3600 * 1000;
	world.is_quiet = true;
	world_run(200000);
	world.is_quiet = false;
	world_say_to(0, 40, 2);
	assert_int_equal(world.sides[1].last[39], 2);
}

static void test_strangers_and_damage_are_told_apart_and_change_nothing(void **state)
{
	(void)state;
	world.loses = true;
	world_say_to(0, 40, 1);
	struct kept initiation = *world_kept(0);
	buf_clear(&world.trace);

	world_deliver(0, initiation.data, initiation.size); /* not for a: mac1 is b's */
	initiation.data[20] ^= 1;
	world_deliver(1, initiation.data, initiation.size);
	initiation.data[20] ^= 1;
	world_deliver(1, initiation.data, initiation.size - 1);
	world_deliver(1, (const uint8_t *)"", 0);
	tunnel_remove_peer(world.sides[1].tunnel, world.sides[1].peer);
	world_deliver(1, initiation.data, initiation.size);
	world_expect("1.000 a forged\n"
		     "1.000 b forged\n"
		     "1.000 b forged\n"
		     "1.000 b forged\n"
		     "1.000 b unknown\n");
	assert_int_equal(tunnel_count(world.sides[1].tunnel, TUNNEL_FORGED), 3);
}

static void test_preshared_keys_must_agree(void **state)
{
	(void)state;
	uint8_t key[TUNNEL_KEY_BYTES] = { 1, 2, 3 };

	tunnel_set_preshared(world.sides[0].peer, key);
	world_say_to(0, 40, 1);
	world_expect("1.000 a waits\n"
		     "1.000 a>b initiation\n"
		     "1.000 b handshake\n"
		     "1.000 b>a response\n"
		     "1.000 a forged\n");
	tunnel_set_preshared(world.sides[1].peer, key);
	world_run(6000);
	world_expect("6.152 a>b initiation\n"
		     "6.152 b handshake\n"
		     "6.152 b>a response\n"
		     "6.152 a handshake\n"
		     "6.152 a ready\n"
		     "6.152 a>b data\n"
		     "6.152 b packet\n"
		     "6.152 b ready\n");
}

static void test_another_key_of_ours_ends_sessions_and_begins_anew(void **state)
{
	(void)state;
	world_connect();
	world_set_secret(0, 0x77);
	assert_false(tunnel_peer_state(world.sides[0].peer, world.now).has_session);
	world.now.ms += 100;
	world.now.wall_ms += 100;
	world_say_to(0, 40, 1);
	world_expect("1.100 a waits\n"
		     "1.100 a>b initiation\n"
		     "1.100 b unknown\n");
	tunnel_remove_peer(world.sides[1].tunnel, world.sides[1].peer);
	assert_int_equal(tunnel_add_peer(world.sides[1].tunnel,
					 tunnel_public(world.sides[0].tunnel), NULL,
					 &world.sides[1].peer),
			 OK);
	assert_int_equal(tunnel_allow(world.sides[1].tunnel, world.sides[1].peer,
				      world_prefix("10.0.0.1/32")),
			 OK);
	world.is_quiet = true;
	world_run(6000);
	assert_int_equal(world.sides[1].last[39], 1);
}

/* --- the life of keys ------------------------------------------------------------------------ */
static void test_the_initiator_renews_its_key_after_120_s_of_use(void **state)
{
	(void)state;
	world_connect();
	world.is_quiet = true;
	world_run(119000);
	world.is_quiet = false;
	world_say_to(1, 40, 1);
	world_say_to(0, 40, 2);
	world.now.ms += 1000;
	world.now.wall_ms += 1000;
	world_say_to(1, 40, 3); /* the responder does not */
	world_say_to(0, 40, 4);
	world_say_to(0, 40, 5);
	world_expect("120.000 b>a data\n"
		     "120.000 a packet\n"
		     "120.000 a>b data\n"
		     "120.000 b packet\n"
		     "121.000 b>a data\n"
		     "121.000 a packet\n"
		     "121.000 a>b data\n"
		     "121.000 b packet\n"
		     "121.000 a>b initiation\n"
		     "121.000 b handshake\n"
		     "121.000 b>a response\n"
		     "121.000 a handshake\n"
		     "121.000 a ready\n"
		     "121.000 a>b keepalive\n"
		     "121.000 b keepalive\n"
		     "121.000 b ready\n"
		     "121.000 a>b data\n"
		     "121.000 b packet\n");
}

static void test_an_initiator_that_only_hears_renews_its_key_after_165_s(void **state)
{
	(void)state;
	world_connect();
	world.is_quiet = true;
	world_run(164999);
	world.is_quiet = false;
	world_say_to(1, 40, 1);
	world.now.ms += 1;
	world_say_to(1, 40, 1);
	world_expect("165.999 b>a data\n"
		     "165.999 a packet\n"
		     "166.000 b>a data\n"
		     "166.000 a packet\n"
		     "166.000 a>b initiation\n"
		     "166.000 b handshake\n"
		     "166.000 b>a response\n"
		     "166.000 a handshake\n"
		     "166.000 a ready\n"
		     "166.000 a>b keepalive\n"
		     "166.000 b keepalive\n"
		     "166.000 b ready\n");
}

static void test_nobody_uses_a_key_after_180_s(void **state)
{
	(void)state;
	world_connect();
	world.is_quiet = true;
	world_run(100000);
	world.loses = true;
	world_say_to(0, 40, 1);
	struct kept late = *world_kept(0);
	world.now.ms += 80000;
	world.is_quiet = false;
	assert_false(tunnel_peer_state(world.sides[0].peer, world.now).has_session);
	world_deliver(1, late.data, late.size);
	world_say_to(1, 40, 1);
	world_expect("181.000 b unknown\n"
		     "181.000 b waits\n"
		     "181.000 b>a initiation lost\n");
}

static void test_keys_are_forgotten_after_540_s_and_then_nothing_is_due(void **state)
{
	(void)state;
	world_connect();
	world.is_quiet = true;
	world_run(539999);
	assert_true(tunnel_deadline(world.sides[0].tunnel) != UINT64_MAX);
	world_run(2);
	for (int i = 0; i < SIDES; i++)
		assert_true(tunnel_deadline(world.sides[i].tunnel) == UINT64_MAX);
}

static void test_a_packet_of_the_previous_key_is_still_taken(void **state)
{
	(void)state;
	world_connect();
	world.is_quiet = true;
	world.loses = true;
	world_say_to(1, 40, 5);
	struct kept under_way = *world_kept(0);
	world.loses = false;
	world_run(6000);
	tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
	world_drain(0);
	assert_int_equal(world_deliver(0, under_way.data, under_way.size), TUNNEL_PACKET);
	world_run(6000);
	tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
	world_drain(0);
	assert_int_equal(world_deliver(0, under_way.data, under_way.size), TUNNEL_UNKNOWN);
}

/* --- keepalives ------------------------------------------------------------------------------ */
static void test_who_heard_and_says_nothing_sends_a_keepalive_after_10_s(void **state)
{
	(void)state;
	world_connect();
	world_run(9999);
	world_expect("");
	world_run(20000);
	world_expect("11.000 b>a keepalive\n"
		     "11.000 a keepalive\n");
}

static void test_who_goes_on_hearing_goes_on_with_keepalives(void **state)
{
	(void)state;
	world_connect();
	world.is_quiet = true;
	for (int i = 0; i < 25; i++) {
		world_run(1000);
		world_say_to(0, 40, 1);
	}
	world.is_quiet = false;
	assert_int_equal(tunnel_count(world.sides[0].tunnel, TUNNEL_KEEPALIVE), 2);
	world_run(60000);
	assert_int_equal(tunnel_count(world.sides[0].tunnel, TUNNEL_KEEPALIVE), 4);
	assert_int_equal(tunnel_count(world.sides[1].tunnel, TUNNEL_KEEPALIVE), 0);
}

static void test_who_said_something_and_hears_nothing_for_15_s_begins_a_handshake(void **state)
{
	(void)state;
	world_connect();
	world.is_quiet = true;
	world_run(30000);
	world.is_quiet = false;
	world.loses = true;
	world_say_to(0, 40, 1);
	world_run(16000);
	world_expect("31.000 a>b data lost\n"
		     "46.262 a>b initiation lost\n");
}

static void test_a_persistent_keepalive_counts_from_the_last_datagram(void **state)
{
	(void)state;
	tunnel_set_keepalive(world.sides[0].tunnel, world.now, world.sides[0].peer, 25);
	world.is_quiet = true;
	world_drain(0); /* it begins the handshake */
	world_run(30000);
	world.is_quiet = false;
	world_say_to(1, 40, 1);
	world_run(9000);
	world_say_to(0, 40, 1); /* and instead of b's keepalive there is this */
	world_run(36000);
	world_expect("31.000 b>a data\n"
		     "31.000 a packet\n"
		     "40.000 a>b data\n"
		     "40.000 b packet\n"
		     "50.000 b>a keepalive\n"
		     "50.000 a keepalive\n"
		     "75.000 a>b keepalive\n"
		     "75.000 b keepalive\n");
	tunnel_set_keepalive(world.sides[0].tunnel, world.now, world.sides[0].peer, 0);
	world_run(60000);
	world_expect("");
}

/* --- packets --------------------------------------------------------------------------------- */
static void test_a_replayed_packet_is_not_delivered_again(void **state)
{
	(void)state;
	world_connect();
	world_say_to(0, 40, 1);
	struct kept again = *world_kept(0);
	again.data[40] ^= 1;
	world_deliver(1, again.data, again.size);
	again.data[40] ^= 1;
	world_deliver(1, again.data, again.size);
	world_expect("1.000 a>b data\n"
		     "1.000 b packet\n"
		     "1.000 b forged\n"
		     "1.000 b replayed\n");
}

/* Were it taken before authentication, anybody could move the window past everything to come. */
static void test_a_forged_counter_does_not_move_the_window(void **state)
{
	(void)state;
	world_connect();
	world.loses = true;
	world_say_to(0, 40, 1);
	struct kept good = *world_kept(0), forged = good;
	uint64_t far = 1ull << 40;

	memcpy(forged.data + 8, &far, sizeof(far));
	buf_clear(&world.trace);
	world_deliver(1, forged.data, forged.size);
	world_deliver(1, good.data, good.size);
	world_expect("1.000 b forged\n"
		     "1.000 b packet\n");
}

static void test_packets_out_of_order_are_delivered_within_the_window(void **state)
{
	(void)state;
	struct kept first, second;

	world_connect();
	world.is_quiet = true;
	world.loses = true;
	world_say_to(0, 40, 1);
	first = *world_kept(0);
	world_say_to(0, 40, 2);
	second = *world_kept(0);
	for (int i = 0; i < 8128 - 2; i++)
		world_say_to(0, 40, 3);
	world_deliver(1, world_kept(0)->data, world_kept(0)->size);
	world.loses = false;
	assert_int_equal(world_deliver(1, second.data, second.size), TUNNEL_PACKET);
	assert_int_equal(world.sides[1].last[39], 2);
	assert_int_equal(world_deliver(1, first.data, first.size), TUNNEL_PACKET);
	world_say_to(0, 40, 4);
	assert_int_equal(world_deliver(1, first.data, first.size), TUNNEL_REPLAYED);
}

static void test_a_packet_from_an_address_that_is_not_the_peers_is_dropped(void **state)
{
	(void)state;
	static const uint8_t other[4] = { 10, 0, 0, 3 };
	uint8_t room[TUNNEL_HEAD_BYTES + 64 + TUNNEL_TAIL_BYTES];
	struct side *a = &world.sides[0];

	world_connect();
	for (int i = 0; i < 4; i++) {
		struct tunnel_packet p = { room + TUNNEL_HEAD_BYTES, 64 };

		world_packet(p.data, p.size, i == 0 ? other : address_a, address_b, 1);
		if (i == 1)
			p.data[0] = 0x55; /* no IP */
		if (i == 2)
			p.data[3] = 200; /* longer than it is */
		if (i == 3)
			p.data[3] = 19; /* shorter than its head */
		assert_true(tunnel_seal(a->tunnel, world.now, a->peer, &p, 1));
		world_send(0, p.data, p.size);
	}
	world_expect("1.000 a>b data\n1.000 b dropped\n"
		     "1.000 a>b data\n1.000 b dropped\n"
		     "1.000 a>b data\n1.000 b dropped\n"
		     "1.000 a>b data\n1.000 b dropped\n");
}

static void test_padding_is_to_16_bytes_and_not_beyond_the_mtu(void **state)
{
	(void)state;
	struct tunnel *t = world.sides[0].tunnel;

	world_connect();
	for (size_t size = 21; size <= TEST_MTU; size++) {
		size_t padded = (size + 15) / 16 * 16;
		if (padded > TEST_MTU)
			padded = TEST_MTU;
		assert_int_equal(tunnel_sealed_bytes(t, size), 32 + padded);
		world_say_to(0, size, (uint8_t)size);
		assert_int_equal(world_kept(0)->size, 32 + padded);
		assert_int_equal(world.sides[1].last_size, size);
		assert_int_equal(world.sides[1].last[size - 1], (uint8_t)size);
	}
	assert_int_equal(tunnel_sealed_bytes(t, TEST_MTU + 5), 32 + TEST_MTU + 5);
}

static void test_ipv6_goes_the_same_way(void **state)
{
	(void)state;
	uint8_t room[TUNNEL_HEAD_BYTES + 60 + TUNNEL_TAIL_BYTES] = { 0 };
	struct side *a = &world.sides[0];
	struct tunnel_packet p = { room + TUNNEL_HEAD_BYTES, 57 };

	world_connect();
	p.data[0] = 0x60;
	p.data[5] = 17;
	p.data[6] = 59;
	p.data[8] = p.data[24] = 0xfd;
	p.data[23] = 1;
	p.data[39] = 2;
	p.data[56] = 0x99;
	assert_ptr_equal(tunnel_route_packet(a->tunnel, (struct slice) { p.data, p.size }),
			 a->peer);
	assert_true(tunnel_seal(a->tunnel, world.now, a->peer, &p, 1));
	world_send(0, p.data, p.size);
	assert_int_equal(world.sides[1].last_size, 57);
	assert_int_equal(world.sides[1].last[56], 0x99);
}

static void test_protocol_99_is_control_where_it_was_asked_for(void **state)
{
	(void)state;
	for (int with_control = 0; with_control < 2; with_control++) {
		struct tunnel_options o = { .mtu = TEST_MTU, .has_control = with_control };
		struct side *b = &world.sides[1];
		uint8_t room[TUNNEL_HEAD_BYTES + 29 + TUNNEL_TAIL_BYTES];
		struct tunnel_packet p = { room + TUNNEL_HEAD_BYTES, 29 };

		tunnel_free(b->tunnel);
		b->tunnel = tunnel_new(&o);
		world_set_secret(1, 0x52);
		assert_int_equal(tunnel_add_peer(b->tunnel, tunnel_public(world.sides[0].tunnel),
						 NULL, &b->peer),
				 OK);
		assert_int_equal(tunnel_allow(b->tunnel, b->peer, world_prefix("10.0.0.1/32")), OK);
		world.is_quiet = true;
		world_run(6000);
		tunnel_greet(world.sides[0].tunnel, world.now, world.sides[0].peer);
		world_drain(0);
		world_packet(p.data, p.size, address_a, address_b, 'p');
		p.data[9] = 99;
		assert_true(
			tunnel_seal(world.sides[0].tunnel, world.now, world.sides[0].peer, &p, 1));
		assert_int_equal(world_deliver(1, p.data, p.size),
				 with_control ? TUNNEL_CONTROL : TUNNEL_PACKET);
	}
}

static void test_a_batch_that_was_laid_out_for_it_becomes_runs(void **state)
{
	(void)state;
	static uint8_t room[64 << 10];
	static const size_t sizes[] = { 1400, 1400, 1400, 1399, 100, 100, 40, 100 };
	struct tunnel_packet packets[8];
	struct side *a = &world.sides[0];
	struct tunnel_run run;
	size_t place = 0, at = 0;

	world_connect();
	for (int i = 0; i < 8; i++) {
		packets[i] = (struct tunnel_packet) { room + place + TUNNEL_HEAD_BYTES, sizes[i] };
		world_packet(packets[i].data, sizes[i], address_a, address_b, (uint8_t)i);
		place += tunnel_sealed_bytes(a->tunnel, sizes[i]);
	}
	assert_true(tunnel_seal(a->tunnel, world.now, a->peer, packets, 8));
	static const size_t counts[] = { 5, 2, 1 }, segments[] = { 1440, 144, 144 };
	for (int i = 0; i < 3; i++) {
		assert_true(tunnel_next_run(packets, 8, &at, &run));
		assert_int_equal(run.count, counts[i]);
		assert_int_equal(run.segment_size, segments[i]);
		for (size_t offset = 0; offset < run.size; offset += run.segment_size) {
			size_t size = run.size - offset;
			if (size > run.segment_size)
				size = run.segment_size;
			world_send(0, run.data + offset, size);
		}
	}
	assert_false(tunnel_next_run(packets, 8, &at, &run));
	assert_int_equal(tunnel_count(world.sides[1].tunnel, TUNNEL_PACKET), 1 + 8);
}

static void test_of_packets_without_a_key_the_newest_64_wait(void **state)
{
	(void)state;
	world.loses = true;
	for (int i = 0; i < TUNNEL_QUEUED_PACKETS_MAX + 10; i++)
		world_say_to(0, 40, (uint8_t)i);
	world.loses = false;
	world.is_quiet = true;
	world_run(6000);
	assert_int_equal(tunnel_count(world.sides[1].tunnel, TUNNEL_PACKET),
			 TUNNEL_QUEUED_PACKETS_MAX);
	assert_int_equal(world.sides[1].last[39], TUNNEL_QUEUED_PACKETS_MAX + 9);
}

/* --- peers and what is theirs ---------------------------------------------------------------- */
static void test_peers_that_cannot_be_are_refused(void **state)
{
	(void)state;
	static const uint8_t zeros[TUNNEL_KEY_BYTES];
	struct tunnel *t = world.sides[0].tunnel;
	struct tunnel_peer *p = NULL;

	assert_int_equal(tunnel_add_peer(t, zeros, NULL, &p), ERR_INVALID);
	assert_int_equal(tunnel_add_peer(t, tunnel_public(t), NULL, &p), ERR_INVALID);
	assert_int_equal(tunnel_add_peer(t, tunnel_public(world.sides[1].tunnel), NULL, &p),
			 ERR_EXISTS);
	assert_ptr_equal(p, world.sides[0].peer);
	world_set_secret(0, 0x52); /* the peer's own */
	assert_int_equal(tunnel_peer_count(t), 0);
}

static void test_nothing_is_said_or_heard_without_a_secret(void **state)
{
	(void)state;
	static const uint8_t zeros[TUNNEL_KEY_BYTES];

	tunnel_set_secret(world.sides[1].tunnel, zeros);
	assert_false(tunnel_has_secret(world.sides[1].tunnel));
	world_say_to(1, 40, 1);
	world_say_to(0, 40, 1);
	world_expect("1.000 b waits\n"
		     "1.000 a waits\n"
		     "1.000 a>b initiation\n"
		     "1.000 b unknown\n");
}

static void test_a_removed_peer_leaves_nothing_behind(void **state)
{
	(void)state;
	struct tunnel *t = world.sides[0].tunnel;
	struct tunnel_effect e;

	world.loses = true;
	tunnel_greet(t, world.now, world.sides[0].peer);
	tunnel_remove_peer(t, world.sides[0].peer);
	assert_false(tunnel_next(t, &e));
	assert_true(tunnel_deadline(t) == UINT64_MAX);
	assert_null(tunnel_route(t, ip_v4(0x0a000002)));
	assert_null(tunnel_next_peer(t, NULL));
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)
	const struct CMUnitTest tests[] = {
		WORLD(test_the_first_packet_waits_for_a_handshake_and_arrives),
		WORLD(test_an_initiator_with_nothing_to_say_confirms_its_key),
		WORLD(test_a_peer_in_another_life_is_greeted_whenever_the_last_time_was),
		WORLD(test_a_responder_does_not_send_before_its_key_is_confirmed),
		WORLD(test_both_may_begin_at_once),
		WORLD(test_a_lost_initiation_is_sent_again_every_five_seconds_for_ninety),
		WORLD(test_a_replayed_initiation_is_not_answered),
		WORLD(test_initiations_of_a_peer_are_looked_at_every_20_ms_only),
		WORLD(test_a_clock_that_goes_back_does_not_stop_handshakes),
		WORLD(test_strangers_and_damage_are_told_apart_and_change_nothing),
		WORLD(test_preshared_keys_must_agree),
		WORLD(test_another_key_of_ours_ends_sessions_and_begins_anew),
		WORLD(test_the_initiator_renews_its_key_after_120_s_of_use),
		WORLD(test_an_initiator_that_only_hears_renews_its_key_after_165_s),
		WORLD(test_nobody_uses_a_key_after_180_s),
		WORLD(test_keys_are_forgotten_after_540_s_and_then_nothing_is_due),
		WORLD(test_a_packet_of_the_previous_key_is_still_taken),
		WORLD(test_who_heard_and_says_nothing_sends_a_keepalive_after_10_s),
		WORLD(test_who_goes_on_hearing_goes_on_with_keepalives),
		WORLD(test_who_said_something_and_hears_nothing_for_15_s_begins_a_handshake),
		WORLD(test_a_persistent_keepalive_counts_from_the_last_datagram),
		WORLD(test_a_replayed_packet_is_not_delivered_again),
		WORLD(test_a_forged_counter_does_not_move_the_window),
		WORLD(test_packets_out_of_order_are_delivered_within_the_window),
		WORLD(test_a_packet_from_an_address_that_is_not_the_peers_is_dropped),
		WORLD(test_padding_is_to_16_bytes_and_not_beyond_the_mtu),
		WORLD(test_ipv6_goes_the_same_way),
		WORLD(test_protocol_99_is_control_where_it_was_asked_for),
		WORLD(test_a_batch_that_was_laid_out_for_it_becomes_runs),
		WORLD(test_of_packets_without_a_key_the_newest_64_wait),
		WORLD(test_peers_that_cannot_be_are_refused),
		WORLD(test_nothing_is_said_or_heard_without_a_secret),
		WORLD(test_a_removed_peer_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
