/* What machines say of themselves is told to all others, but not without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "mesh/realm/private.h"
#include "wire/control/map_response.h"

enum { TALKERS = 800, WORDS_BYTES = 60 * 1024 };

/* JSON that nothing compresses much. */
static struct slice words(struct arena *a, struct prng *r)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *text = arena_take(a, WORDS_BYTES + 16);
	size_t size = (size_t)snprintf(text, 16, "{\"X\":\"");

	for (size_t i = 0; i < WORDS_BYTES; i++)
		text[size++] = letters[prng_below(r, 64)];
	memcpy(text + size, "\"}", 2);
	return (struct slice) { (const uint8_t *)text, size + 2 };
}

static struct machine *talkers(struct arena *a, size_t words_of)
{
	struct machine *all = arena_take_array(a, TALKERS, sizeof(*all));
	struct prng r = { 1 };

	for (size_t i = 0; i < TALKERS; i++) {
		struct control_node *n = arena_take(a, sizeof(*n));
		n->id = (int64_t)i + 1;
		n->key.bytes[0] = 1;
		n->hostinfo.hostname = SLICE("talker");
		n->hostinfo.json = i < words_of ? words(a, &r) : (struct slice) { 0 };
		all[i].node = n;
		buf_init(&all[i].json);
	}
	return all;
}

static size_t tell(struct arena *a, struct machine *all)
{
	struct machine *list[TALKERS];
	const struct control_map_response response = { .time_s = 1 };
	struct control_map_response found;
	struct slice frames, json;

	for (size_t i = 0; i < TALKERS; i++)
		list[i] = &all[i];
	struct blob *message = round_message(&response, list, TALKERS);
	assert_true(message->size <= DOOR_PENDING_BYTES_MAX);
	frames = blob_slice(message);
	assert_int_equal(control_frame_decode(a, &frames, &json), OK);
	assert_int_equal(control_map_response_decode(a, json, &found), OK);
	blob_unref(&message);
	return found.changed_count;
}

static void test_machines_that_say_too_much_are_told_of_in_short(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	struct machine *all = talkers(&a, TALKERS);
	assert_int_equal(tell(&a, all), TALKERS);
	for (size_t i = 0; i < TALKERS; i++) {
		assert_true(machine_json(&all[i]).size <= REALM_MACHINE_JSON_BYTES_MAX);
		buf_done(&all[i].json);
	}
	arena_done(&a);
}

static void test_machines_that_do_not_fit_are_left_out(void **state)
{
	struct arena a;
	struct prng r = { 2 };

	(void)state;
	arena_init(&a);
	struct machine *all = talkers(&a, 0);
	for (size_t i = 0; i < TALKERS; i++) {
		struct ip_prefix *routes =
			arena_take_array(&a, CONTROL_ROUTES_MAX, sizeof(*routes));
		uint8_t bytes[16];

		for (size_t j = 0; j < CONTROL_ROUTES_MAX; j++) {
			for (size_t k = 0; k < sizeof(bytes); k++)
				bytes[k] = (uint8_t)prng_below(&r, 256);
			routes[j] = ip_prefix_of(ip_v6(bytes));
		}
		all[i].node->allowed = routes;
		all[i].node->allowed_count = CONTROL_ROUTES_MAX;
	}
	size_t count = tell(&a, all);
	assert_true(count > 100 && count < TALKERS);
	for (size_t i = 0; i < TALKERS; i++)
		buf_done(&all[i].json);
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machines_that_say_too_much_are_told_of_in_short),
		cmocka_unit_test(test_machines_that_do_not_fit_are_left_out),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
