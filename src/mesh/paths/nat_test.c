/* Two engines behind simulated routers of all eight kinds: which pairs find a direct path, and how
 * the others are helped. */
#include "mesh/paths/world_testing.h"

/* D: both find a direct path; R: they stay with the relay. */
static const char *const table[NATS] = {
	/* open fw eif adf apdf adm sym sympm */
	[NAT_OPEN] = "DDDDDDDD", [NAT_FW] = "DDDDDRRD",	   [NAT_EIF] = "DDDDDDDD",
	[NAT_ADF] = "DDDDDDDD",	 [NAT_APDF] = "DDDDDRRD",  [NAT_ADM] = "DRDDRRRD",
	[NAT_SYM] = "DRDDRRRD",	 [NAT_SYMPM] = "DDDDDDDD",
};

static const uint64_t seed = 20261122;

static char letter(const struct world *w)
{
	enum paths_kind first = kind_of(&w->hosts[0]), second = kind_of(&w->hosts[1]);

	if (first == PATHS_DIRECT && second == PATHS_DIRECT)
		return 'D';
	return first == PATHS_RELAY && second == PATHS_RELAY ? 'R' : '?';
}

static void test_sixty_four_pairs_find_what_can_be_found(void **state)
{
	const struct paths_config plain = { .is_punch_off = true };

	(void)state;
	for (enum nat_kind a = NAT_OPEN; a < NATS; a++) {
		char row[NATS + 1] = "";

		for (enum nat_kind b = NAT_OPEN; b < NATS; b++) {
			struct world *w = world_new(seed, a, b, &plain);

			talk(w, 8);
			row[b] = letter(w);
			assert_true(w->hosts[0].heard_udp + w->hosts[0].heard_relay >= 7);
			assert_true(w->hosts[1].heard_udp + w->hosts[1].heard_relay >= 7);
			world_free(w);
		}
		print_message("%6s %s\n", nat_names[a], row);
		assert_string_equal(row, table[a]);
	}
}

/* One side sends, the other only answers: as most connections begin. */
static void test_it_does_not_matter_who_begins(void **state)
{
	const struct paths_config plain = { .is_punch_off = true };

	(void)state;
	for (enum nat_kind a = NAT_OPEN; a < NATS; a++) {
		for (enum nat_kind b = NAT_OPEN; b < NATS; b++) {
			struct world *w = world_new(seed + 1, a, b, &plain);

			for (int i = 0; i < 8; i++) {
				send_data(&w->hosts[0]);
				run_until(w, w->now_us + SECOND);
			}
			assert_int_equal(kind_of(&w->hosts[0]) == PATHS_DIRECT, table[a][b] == 'D');
			world_free(w);
		}
	}
}

static void test_what_can_be_found_is_found_when_a_third_is_lost(void **state)
{
	const struct paths_config plain = { .is_punch_off = true };
	int direct = 0, wanted = 0;

	(void)state;
	for (enum nat_kind a = NAT_OPEN; a < NATS; a++) {
		for (enum nat_kind b = NAT_OPEN; b < NATS; b++) {
			struct world *w = world_new(seed + 2, a, b, &plain);
			int heard;

			w->loss_percent = 33;
			for (int i = 0; i < 12 && letter(w) != 'D'; i++)
				talk(w, 5);
			wanted += table[a][b] == 'D';
			direct += letter(w) == 'D';
			/* Packets are lost, but not for long: the relay steps in. */
			heard = w->hosts[0].heard_udp + w->hosts[0].heard_relay;
			talk(w, 60);
			heard = w->hosts[0].heard_udp + w->hosts[0].heard_relay - heard;
			assert_true(heard > 30);
			world_free(w);
		}
	}
	assert_int_equal(direct, wanted);
}

/* A birthday with 256 sockets and 1000 ports fails once in fifty, and is tried again soon. */
static void check_punch(enum nat_kind a, enum nat_kind b)
{
	const struct paths_config with_punch = { .is_punch_off = false };
	int direct = 0, opened, closed;

	for (int i = 0; i < 10; i++) {
		struct world *w = world_new(seed + (uint64_t)i, a, b, &with_punch);

		talk(w, 14);
		direct += letter(w) == 'D';
		talk(w, 25);
		assert_int_equal(letter(w), 'D');
		opened = w->hosts[0].opened + w->hosts[1].opened;
		closed = w->hosts[0].closed + w->hosts[1].closed;
		assert_true(opened >= PUNCH_SOCKETS);
		assert_true(closed >= opened - 2);
		world_free(w);
	}
	print_message("%s to %s: %d of 10 at once\n", nat_names[a], nat_names[b], direct);
	assert_true(direct >= 8);
}

static void test_hard_nats_are_punched(void **state)
{
	(void)state;
	check_punch(NAT_APDF, NAT_SYM);
	check_punch(NAT_SYM, NAT_APDF);
	check_punch(NAT_FW, NAT_SYM);
	check_punch(NAT_ADM, NAT_FW);
	check_punch(NAT_APDF, NAT_ADM);
}

static void test_with_one_stun_server_a_search_in_vain_is_sign_enough(void **state)
{
	const struct paths_config with_punch = { .is_punch_off = false };
	static const enum nat_kind pairs[][2] = {
		{ NAT_APDF, NAT_SYM },
		{ NAT_ADM, NAT_APDF },
		{ NAT_FW, NAT_SYM },
		{ NAT_SYM, NAT_SYMPM },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct world *w =
			world_new_with_stun(1, seed, pairs[i][0], pairs[i][1], &with_punch);

		talk(w, 20);
		assert_int_equal(letter(w), 'D');
		world_free(w);
	}
}

static void test_a_peer_that_is_not_there_is_not_punched(void **state)
{
	const struct paths_config with_punch = { .is_punch_off = false };
	struct world *w = world_new(seed, NAT_SYM, NAT_APDF, &with_punch);

	(void)state;
	w->hosts[1].is_away = true;
	talk(w, 30);
	assert_int_equal(w->hosts[0].opened, 0);
	w->hosts[1].is_away = false;
	talk(w, 40);
	assert_int_equal(letter(w), 'D');
	world_free(w);
}

static void test_a_punched_path_lasts_while_it_is_used_and_goes_with_its_socket(void **state)
{
	const struct paths_config with_punch = { .is_punch_off = false };
	struct world *w = world_new(seed, NAT_SYM, NAT_APDF, &with_punch);
	int heard;

	(void)state;
	talk(w, 20);
	assert_int_equal(letter(w), 'D');
	heard = w->hosts[0].heard_relay + w->hosts[1].heard_relay;
	talk(w, 120);
	assert_int_equal(letter(w), 'D');
	assert_int_equal(w->hosts[0].heard_relay + w->hosts[1].heard_relay, heard);
	assert_true(w->hosts[0].opened > w->hosts[0].closed);
	run_until(w, w->now_us + 200 * SECOND);
	assert_int_equal(w->hosts[0].opened, w->hosts[0].closed);
	world_free(w);
}

static void test_two_hard_nats_stay_with_the_relay_and_try_ever_less(void **state)
{
	const struct paths_config with_punch = { .is_punch_off = false };
	struct world *w = world_new(seed, NAT_SYM, NAT_SYM, &with_punch);
	int opened;

	(void)state;
	talk(w, 60);
	assert_int_equal(letter(w), 'R');
	opened = w->hosts[0].opened;
	assert_int_equal(opened, 2 * PUNCH_SOCKETS);
	talk(w, 300);
	assert_int_equal(letter(w), 'R');
	assert_true(w->hosts[0].opened <= 5 * PUNCH_SOCKETS);
	assert_int_equal(w->hosts[0].opened, w->hosts[0].closed);
	world_free(w);
}

static void test_the_same_seed_gives_the_same_run(void **state)
{
	const struct paths_config with_punch = { .is_punch_off = false };
	uint64_t ends[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world *w = world_new(seed, NAT_SYM, NAT_APDF, &with_punch);

		talk(w, 30);
		ends[i] = w->prng.state;
		world_free(w);
	}
	assert_true(ends[0] == ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sixty_four_pairs_find_what_can_be_found),
		cmocka_unit_test(test_it_does_not_matter_who_begins),
		cmocka_unit_test(test_what_can_be_found_is_found_when_a_third_is_lost),
		cmocka_unit_test(test_hard_nats_are_punched),
		cmocka_unit_test(test_with_one_stun_server_a_search_in_vain_is_sign_enough),
		cmocka_unit_test(test_a_peer_that_is_not_there_is_not_punched),
		cmocka_unit_test(
			test_a_punched_path_lasts_while_it_is_used_and_goes_with_its_socket),
		cmocka_unit_test(test_two_hard_nats_stay_with_the_relay_and_try_ever_less),
		cmocka_unit_test(test_the_same_seed_gives_the_same_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
