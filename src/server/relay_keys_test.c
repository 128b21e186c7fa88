#include "server/relay_keys.h"

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

static struct state state;
static char directory[64];
static char why[STATE_WHY_BYTES];

static int set_up(void **unused)
{
	(void)unused;
	snprintf(directory, sizeof(directory), "/tmp/hanse-relay-keys-XXXXXX");
	assert_non_null(mkdtemp(directory));
	assert_int_equal(state_open(&state, directory, false, why), OK);
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	state_remove(&state, "relay-key");
	state_remove(&state, "relay-certificate");
	state_remove(&state, "relay-certificate-key");
	state_close(&state);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

static struct relay_keys load(const char *host)
{
	struct relay_keys keys;

	assert_int_equal(relay_keys_load(&state, host, "", "", &keys, why), OK);
	assert_true(keys.is_own);
	return keys;
}

static void path_of(const char *name, char ret[128])
{
	snprintf(ret, 128, "%s/%s", directory, name);
}

static void test_what_was_made_once_is_found_again(void **unused)
{
	struct relay_keys first = load("192.0.2.7"), again = load("192.0.2.7");
	struct stat st;
	char path[128];

	(void)unused;
	assert_true(mesh_key_equal(&first.secret, &again.secret));
	assert_memory_equal(first.fingerprint, again.fingerprint, TLS_FINGERPRINT_BYTES);
	path_of("relay-certificate-key", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	relay_keys_done(&first);
	relay_keys_done(&again);
}

static void test_another_name_gets_another_certificate_but_no_other_key(void **unused)
{
	struct relay_keys first = load("192.0.2.7"), renamed = load("relay.example");

	(void)unused;
	assert_true(mesh_key_equal(&first.secret, &renamed.secret));
	assert_memory_not_equal(first.fingerprint, renamed.fingerprint, TLS_FINGERPRINT_BYTES);
	assert_true(tls_identity_fits(renamed.identity, "relay.example"));
	relay_keys_done(&first);
	relay_keys_done(&renamed);
}

static void test_a_key_that_cannot_be_read_is_not_replaced(void **unused)
{
	struct relay_keys keys = load("192.0.2.7");
	char path[128];

	(void)unused;
	relay_keys_done(&keys);
	path_of("relay-key", path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(relay_keys_load(&state, "192.0.2.7", "", "", &keys, why), ERR_DENIED);
	assert_non_null(strstr(why, "relay-key"));
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(state_write(&state, "relay-key", SLICE("privkey:12\n")), OK);
	assert_int_equal(relay_keys_load(&state, "192.0.2.7", "", "", &keys, why), ERR_INVALID);
	assert_int_equal(state_write(&state, "relay-key", SLICE("")), OK);
	assert_int_equal(relay_keys_load(&state, "192.0.2.7", "", "", &keys, why), ERR_INVALID);
}

static void test_the_owners_certificate_is_used(void **unused)
{
	struct relay_keys own = load("192.0.2.7"), given;
	char certificate[128], key[128];

	(void)unused;
	path_of("relay-certificate", certificate);
	path_of("relay-certificate-key", key);
	assert_int_equal(relay_keys_load(&state, "relay.example", certificate, key, &given, why),
			 OK);
	assert_false(given.is_own); /* of no concern what name is in it */
	assert_memory_equal(own.fingerprint, given.fingerprint, TLS_FINGERPRINT_BYTES);
	relay_keys_done(&given);
	assert_int_equal(chmod(key, 0640), 0);
	assert_int_equal(relay_keys_load(&state, "relay.example", certificate, key, &given, why),
			 ERR_DENIED);
	assert_non_null(strstr(why, "chmod 600"));
	assert_int_equal(relay_keys_load(&state, "relay.example", "/nowhere/x", key, &given, why),
			 ERR_INVALID);
	relay_keys_done(&own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_what_was_made_once_is_found_again),
		TEST(test_another_name_gets_another_certificate_but_no_other_key),
		TEST(test_a_key_that_cannot_be_read_is_not_replaced),
		TEST(test_the_owners_certificate_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
