#include "server/state.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/machine_keys.h"

static char directory[64], why[STATE_WHY_BYTES];

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/hanse-state-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static void test_keys_stay_the_same_and_are_the_owners(void **state)
{
	struct machine_keys first, second;
	struct state s;
	struct stat st;

	(void)state;
	assert_int_equal(state_open(&s, directory, false, why), OK);
	assert_int_equal(machine_keys_load(&s, &first, why), OK);
	assert_int_equal(machine_keys_load(&s, &second, why), OK);
	assert_memory_equal(&first, &second, sizeof(first));
	assert_false(mesh_key_equal(&first.machine, &first.node));
	assert_int_equal(fstatat(s.directory, "machine.key", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	second.node.bytes[5] ^= 1;
	assert_int_equal(machine_keys_save_node(&s, &second, why), OK);
	assert_int_equal(machine_keys_load(&s, &first, why), OK);
	assert_memory_equal(&first, &second, sizeof(first));
	state_close(&s);
}

static void test_a_broken_key_is_not_replaced(void **state)
{
	struct machine_keys keys;
	struct buf text;
	struct state s;

	(void)state;
	assert_int_equal(state_open(&s, directory, false, why), OK);
	assert_int_equal(state_write(&s, "machine.key", SLICE("privkey:12\n")), OK);
	assert_int_not_equal(machine_keys_load(&s, &keys, why), OK);
	assert_non_null(strstr(why, "machine.key holds no key"));
	buf_init(&text);
	assert_int_equal(state_read(&s, "machine.key", 100, &text), OK);
	assert_true(slice_equal(buf_slice(&text), SLICE("privkey:12\n")));
	buf_done(&text);
	state_close(&s);
}

static void test_what_others_can_read_is_refused(void **state)
{
	struct buf text;
	struct state s;

	(void)state;
	assert_int_equal(state_open(&s, directory, false, why), OK);
	assert_int_equal(state_write(&s, "netmap", SLICE("{}")), OK);
	assert_int_equal(fchmodat(s.directory, "netmap", 0640, 0), 0);
	buf_init(&text);
	assert_int_equal(state_read(&s, "netmap", 100, &text), ERR_DENIED);
	assert_int_equal(state_write(&s, "netmap", SLICE("{\"a\":1}")), OK);
	assert_int_equal(state_read(&s, "netmap", 3, &text), ERR_TOO_BIG);
	assert_int_equal(state_read(&s, "netmap", 100, &text), OK);
	assert_true(slice_equal(buf_slice(&text), SLICE("{\"a\":1}")));
	buf_done(&text);
	state_remove(&s, "netmap");
	assert_false(state_has(&s, "netmap"));
	state_close(&s);
}

static void test_a_second_holder_is_told_of_the_first(void **state)
{
	struct state s, other;

	(void)state;
	assert_int_equal(state_open(&s, directory, true, why), OK);
	assert_int_equal(state_open(&other, directory, true, why), ERR_BUSY);
	assert_non_null(strstr(why, "hanse down"));
	assert_int_equal(state_open(&other, directory, false, why), OK);
	state_close(&other);
	state_close(&s);
	assert_int_equal(state_open(&other, directory, true, why), OK);
	state_close(&other);
}

static void test_parents_are_made_and_open_directories_refused(void **state)
{
	char path[100];
	struct state s;

	(void)state;
	snprintf(path, sizeof(path), "%s/a/b", directory);
	assert_int_equal(state_open(&s, path, true, why), OK);
	state_close(&s);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(state_open(&s, path, true, why), ERR_DENIED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keys_stay_the_same_and_are_the_owners, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_broken_key_is_not_replaced, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_what_others_can_read_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_second_holder_is_told_of_the_first, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_parents_are_made_and_open_directories_refused,
						set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
