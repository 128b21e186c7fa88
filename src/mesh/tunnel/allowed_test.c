/* The table against a plain list that is searched from end to end. */
#include "mesh/tunnel/allowed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

enum { OWNERS = 7, PREFIXES_MAX = 400, ROUNDS = 4000 };

struct owner {
	struct list list;
};

static struct owner owners[OWNERS];

static struct {
	struct ip_prefix prefix;
	struct owner *owner;
} model[PREFIXES_MAX];

static size_t model_count;

static void *model_owner(struct ip address)
{
	struct owner *owner = NULL;
	int bits = -1;

	for (size_t i = 0; i < model_count; i++) {
		if (ip_prefix_has(model[i].prefix, address) && model[i].prefix.bits > bits) {
			bits = model[i].prefix.bits;
			owner = model[i].owner;
		}
	}
	return owner;
}

/* Addresses that are near each other, so that prefixes overlap. */
static struct ip draw(struct prng *prng, bool is_v6)
{
	uint8_t bytes[16] = { 0xfd };
	uint32_t near = (uint32_t)prng_next(prng) & 0x0f0f00ffu;

	if (!is_v6)
		return ip_v4(near);
	memcpy(bytes + 12, &near, 4);
	bytes[1] = (uint8_t)(prng_next(prng) & 3);
	return ip_v6(bytes);
}

static void model_put(struct ip_prefix prefix, struct owner *owner)
{
	size_t i = 0;

	while (i < model_count && !ip_prefix_equal(model[i].prefix, prefix))
		i++;
	model[i].prefix = prefix;
	model[i].owner = owner;
	model_count += i == model_count;
}

static void test_the_longest_prefix_counts_whatever_was_added_and_removed(void **state)
{
	(void)state;
	struct prng prng = { 5 };
	struct allowed_table t;

	allowed_init(&t);
	for (int i = 0; i < OWNERS; i++)
		list_init(&owners[i].list);
	for (int round = 0; round < ROUNDS; round++) {
		bool is_v6 = prng_below(&prng, 2), adds = prng_below(&prng, 3) > 0;
		struct ip_prefix prefix = { draw(&prng, is_v6),
					    (uint8_t)prng_below(&prng, is_v6 ? 129 : 33) };
		struct owner *owner = &owners[prng_below(&prng, OWNERS)];

		if (adds && model_count < PREFIXES_MAX) {
			assert_int_equal(allowed_add(&t, prefix, owner, &owner->list, PREFIXES_MAX),
					 OK);
			model_put(ip_prefix_masked(prefix), owner);
		} else if (model_count > 0) {
			size_t i = prng_below(&prng, model_count);
			allowed_remove(&t, allowed_find(&t, model[i].prefix));
			model[i] = model[--model_count];
		}
		for (int i = 0; i < 4; i++) {
			struct ip address = draw(&prng, i % 2);
			assert_ptr_equal(allowed_owner(&t, address), model_owner(address));
			assert_ptr_equal(allowed_owner(&t, address), model_owner(address));
		}
	}
	allowed_done(&t);
}

static void test_a_prefix_moves_to_who_is_given_it_last(void **state)
{
	(void)state;
	struct allowed_table t;
	struct ip_prefix all = { .ip = { .family = IP_V4 } };

	allowed_init(&t);
	list_init(&owners[0].list);
	list_init(&owners[1].list);
	assert_null(allowed_owner(&t, ip_v4(1)));
	assert_int_equal(allowed_add(&t, all, &owners[0], &owners[0].list, 1), OK);
	assert_ptr_equal(allowed_owner(&t, ip_v4(1)), &owners[0]);
	assert_int_equal(allowed_add(&t, all, &owners[1], &owners[1].list, 1), OK);
	assert_ptr_equal(allowed_owner(&t, ip_v4(1)), &owners[1]);
	assert_true(list_is_empty(&owners[0].list));
	struct ip_prefix one = ip_prefix_of(ip_v4(1));
	assert_int_equal(allowed_add(&t, one, &owners[0], &owners[0].list, 1), ERR_FULL);
	uint8_t zeros[16] = { 0 };
	assert_null(allowed_owner(&t, ip_v6(zeros)));
	assert_null(allowed_owner(&t, (struct ip) { 0 }));
	allowed_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_longest_prefix_counts_whatever_was_added_and_removed),
		cmocka_unit_test(test_a_prefix_moves_to_who_is_given_it_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
