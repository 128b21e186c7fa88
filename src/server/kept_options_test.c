#include "server/kept_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char directory[64], why[OPTION_WHY_BYTES];
static struct state s;

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/hanse-kept-XXXXXX");
	return mkdtemp(directory) && !state_open(&s, directory, false, why) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[100];

	(void)state;
	state_close(&s);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* `hanse up` with these options, up to where its processes are started. */
static enum err start(struct options *o, const char *const *flags)
{
	char *argv[8] = { NULL };
	struct kept_options kept;

	memset(o, 0, sizeof(*o));
	o->command = OPTIONS_UP;
	for (int i = 0; flags[i]; i++)
		argv[i] = (char *)(uintptr_t)flags[i];
	assert_int_equal(options_from_flags(o, argv, why), OK);
	snprintf(o->values[OPTION_STATE], OPTION_VALUE_BYTES_MAX, "%s", directory);
	enum err err = kept_options_roles(o, &s, why);
	if (!err)
		err = kept_options_load(&kept, o, &s, why);
	if (!err)
		err = options_finish(o, why);
	if (!err)
		err = kept_options_save(&kept, &s, why);
	return err ? err : kept_options_begin(o, &s, why);
}

#define START(o, ...) start(o, (const char *const[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })

static void test_name_and_address_are_as_they_were_said_last(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(START(&o, "--name", "a", "--address", "192.0.2.7:99"), OK);
	assert_int_equal(START(&o), OK);
	assert_string_equal(o.values[OPTION_NAME], "a");
	assert_string_equal(o.address.host, "192.0.2.7");
	assert_int_equal(o.address.port, 99);
	assert_int_equal(START(&o, "--name", "b"), OK);
	assert_int_equal(START(&o), OK);
	assert_string_equal(o.values[OPTION_NAME], "b");
	assert_string_equal(o.address.host, "192.0.2.7");
	/* What is wrong is not kept. */
	assert_int_equal(START(&o, "--name", "No Name"), ERR_INVALID);
	assert_int_equal(START(&o), OK);
	assert_string_equal(o.values[OPTION_NAME], "b");
}

static void test_a_name_that_nobody_said_follows_the_host(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(START(&o), OK);
	assert_false(state_has(&s, "options"));
}

static void test_who_was_to_join_makes_no_mesh_of_its_own_unasked(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(START(&o, "--join", "key"), OK);
	assert_false(o.roles[ROLE_REALM]);
	assert_int_equal(START(&o), ERR_DENIED);
	assert_non_null(strstr(why, "--join KEY"));
	assert_non_null(strstr(why, "--roles realm"));
	assert_int_equal(START(&o, "--login-server", "http://192.0.2.7"), OK);
	/* It has joined. */
	assert_int_equal(state_write(&s, STATE_JOINED, SLICE("url http://192.0.2.7\n")), OK);
	assert_int_equal(START(&o), OK);
	assert_false(o.roles[ROLE_REALM]);
	/* And logged out. */
	state_remove(&s, STATE_JOINED);
	assert_int_equal(START(&o), ERR_DENIED);
	/* Who says so gets a mesh, and need not say it again. */
	assert_int_equal(START(&o, "--roles", "realm,mesh"), OK);
	assert_int_equal(START(&o), OK);
	assert_true(o.roles[ROLE_REALM]);
}

static void test_who_has_a_mesh_of_its_own_keeps_it_when_another_refuses_it(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(START(&o), OK);
	assert_true(o.roles[ROLE_REALM]);
	assert_int_equal(state_write(&s, STATE_NETMAP, SLICE("{}")), OK);
	assert_int_equal(START(&o, "--join", "key"), OK);
	assert_int_equal(START(&o), OK);
	assert_true(o.roles[ROLE_REALM]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_name_and_address_are_as_they_were_said_last),
		TEST(test_a_name_that_nobody_said_follows_the_host),
		TEST(test_who_was_to_join_makes_no_mesh_of_its_own_unasked),
		TEST(test_who_has_a_mesh_of_its_own_keeps_it_when_another_refuses_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
