/* Peers that lie about their keys. */
#include "mesh/paths/world_testing.h"

static const struct paths_config plain = { .is_punch_off = true, .is_port_mapping_off = true };

static struct paths_peer *claim(struct host *at, const struct host *victim)
{
	struct paths_peer_facts facts = {
		.node = { { 9 } },
		.disco = *paths_disco_public(victim->paths),
		.home = WORLD_REGION,
	};

	return paths_put_peer(at->paths, &facts, at->world->now_us);
}

static void test_who_claims_the_disco_key_of_another_takes_nothing_from_it(void **state)
{
	struct world *w = world_new(7, NAT_APDF, NAT_APDF, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];

	(void)state;
	assert_non_null(claim(a, b));
	assert_non_null(claim(b, a));
	talk(w, 5);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	world_free(w);
}

static void test_a_disco_key_is_still_known_when_one_that_claimed_it_is_gone(void **state)
{
	struct world *w = world_new(7, NAT_APDF, NAT_APDF, &plain);
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	struct paths_peer *thief = claim(a, b);

	(void)state;
	paths_peer_disco(a->paths, thief, &(struct mesh_key) { { 5 } }, w->now_us);
	thief = claim(a, b);
	paths_remove_peer(a->paths, paths_peer_node(thief));
	talk(w, 5);
	assert_int_equal(kind_of(a), PATHS_DIRECT);
	assert_int_equal(kind_of(b), PATHS_DIRECT);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_claims_the_disco_key_of_another_takes_nothing_from_it),
		cmocka_unit_test(test_a_disco_key_is_still_known_when_one_that_claimed_it_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
