/* Admission as a machine sees it: whether it comes into a relay, with a realm that allows, refuses,
 * or is not there. */
#include "server/relay_admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "loop/http_server.h"
#include "loop/timer.h"
#include "mesh/relay/derp_link.h"
#include "wire/crypto/x25519.h"

enum { WAIT_MS = 60000, STRANGERS = 60, FIRST_STRANGERS = 8 };

static char directory[64], socket_path[96], why[STATE_WHY_BYTES];
static struct state state;
static struct loop *loop;
static struct relay_admissions *admissions;
static struct relay_port *port;
static struct http_server *realm;
static const char *realm_says; /* JSON */
static int questions;
static struct mesh_key secret, own; /* of the machine */
static int outcome;		    /* 1: in, -1: not */

/* --- the realm -------------------------------------------------------------------------------- */
static void on_request(void *context, struct http_exchange *e)
{
	(void)context;
	questions++;
	assert_string_equal(e->method, "POST");
	assert_true(slice_equal(e->path, SLICE("/verify")));
	assert_non_null(memmem(e->body.data, e->body.size, "\"Source\":\"127.0.0.1\"", 20));
	http_answer(e, realm_says ? 200 : 503, "application/json",
		    slice_from(realm_says ? realm_says : ""));
}

static void open_realm(void)
{
	struct http_server_config config = { .on_request = on_request };

	assert_int_equal(http_server_open_unix(loop, socket_path, &config, &realm, why), OK);
}

static void close_realm(void)
{
	http_server_close(realm);
	realm = NULL;
}

/* --- the relay -------------------------------------------------------------------------------- */
static void open_relay(void)
{
	struct relay_port_config config = { .host = "127.0.0.1", .name = "a" };

	admissions = relay_admissions_new(loop, &state, socket_path, NULL);
	memset(config.secret.bytes, 'S', 32);
	config.context = admissions;
	config.on_admission = relay_admissions_ask;
	config.on_admission_void = relay_admissions_void;
	assert_int_equal(relay_port_open(loop, &config, &port, why), OK);
}

static void close_relay(void)
{
	relay_port_close(port);
	relay_admissions_close(admissions);
}

/* --- the machine ------------------------------------------------------------------------------ */
static void on_open(void *context, struct derp_link *link)
{
	(void)context;
	(void)link;
	outcome = 1;
	loop_stop(loop);
}

static void on_frame(void *context, struct derp_link *link, uint8_t type, struct slice payload)
{
	(void)context;
	(void)link;
	(void)type;
	(void)payload;
}

static void on_end(void *context, struct derp_link *link, const char *reason)
{
	(void)context;
	(void)link;
	(void)reason;
	outcome = -1;
	loop_stop(loop);
}

static const struct derp_link_owner owner = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_end = on_end,
};

static void on_timeout(struct timer *t)
{
	(void)t;
	fail_msg("neither in nor out");
}

static bool comes_in(void)
{
	struct timer timeout = { 0 };
	struct derp_link_config config = {
		.address = "127.0.0.1",
		.port = relay_port_number(port),
		.host = "127.0.0.1",
		.dial_ms = 5000,
		.secret = secret,
		.own = own,
		.info = { .version = 2 },
		.owner = &owner,
	};

	outcome = 0;
	struct derp_link *link = derp_link_start(loop, &config);
	timer_set(&timeout, loop, loop_now_ms(loop) + WAIT_MS, on_timeout);
	loop_run(loop);
	timer_clear(&timeout);
	if (outcome > 0)
		derp_link_close(link);
	return outcome > 0;
}

static int set_up(void **unused)
{
	(void)unused;
	snprintf(directory, sizeof(directory), "/tmp/hanse-admission-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(socket_path, sizeof(socket_path), "%s/realm.sock", directory);
	assert_int_equal(state_open(&state, directory, false, why), OK);
	random_bytes(secret.bytes, sizeof(secret.bytes));
	x25519_clamp(secret.bytes);
	x25519_public(secret.bytes, own.bytes);
	loop = loop_new(1);
	realm_says = "{\"Allow\":true}";
	questions = 0;
	open_realm();
	open_relay();
	return 0;
}

static int tear_down(void **unused)
{
	(void)unused;
	close_relay();
	if (realm)
		close_realm();
	loop_run(loop);
	loop_free(loop);
	state_remove(&state, "relay-known");
	state_close(&state);
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */
static void test_who_the_realm_allows_comes_in(void **unused)
{
	(void)unused;
	assert_true(comes_in());
	assert_int_equal(questions, 1);
	assert_int_equal(relay_admissions_known(admissions), 1);
}

static void test_who_the_realm_refuses_stays_out_and_is_forgotten(void **unused)
{
	(void)unused;
	assert_true(comes_in());
	realm_says = "{\"Allow\":false}";
	assert_false(comes_in());
	assert_int_equal(relay_admissions_known(admissions), 0);
	close_realm();
	assert_false(comes_in());
}

static void test_known_keys_come_in_while_the_realm_is_away(void **unused)
{
	(void)unused;
	assert_true(comes_in());
	close_realm();
	assert_true(comes_in());
	/* After a restart of the relay too. */
	close_relay();
	open_relay();
	assert_true(comes_in());
}

static void test_unknown_keys_wait_for_a_realm_that_is_only_starting(void **unused)
{
	(void)unused;
	realm_says = NULL; /* 503 */
	assert_false(comes_in());
	assert_true(questions > 3);
	realm_says = "this is no JSON";
	assert_false(comes_in());
	assert_int_equal(relay_admissions_known(admissions), 0);
}

static struct derp_link *strangers[STRANGERS];

static void on_stranger(void *context, struct derp_link *link)
{
	(void)context;
	(void)link;
	fail_msg("a stranger is in");
}

static void on_stranger_end(void *context, struct derp_link *link, const char *reason)
{
	struct derp_link **place = context;

	(void)link;
	(void)reason;
	*place = NULL;
}

static const struct derp_link_owner stranger_owner = {
	.on_open = on_stranger,
	.on_frame = on_frame,
	.on_end = on_stranger_end,
};

static void send_strangers(void)
{
	for (size_t i = 0; i < STRANGERS; i++) {
		struct derp_link_config config = {
			.address = "127.0.0.1",
			.port = relay_port_number(port),
			.host = "127.0.0.1",
			.dial_ms = 5000,
			.info = { .version = 2 },
			.owner = &stranger_owner,
			.context = &strangers[i],
		};
		random_bytes(config.secret.bytes, sizeof(config.secret.bytes));
		x25519_clamp(config.secret.bytes);
		x25519_public(config.secret.bytes, config.own.bytes);
		strangers[i] = derp_link_start(loop, &config);
	}
}

static void test_strangers_keep_no_known_key_waiting_while_the_realm_is_away(void **unused)
{
	(void)unused;
	assert_true(comes_in());
	realm_says = NULL;
	questions = 0;
	send_strangers();
	while (questions < FIRST_STRANGERS)
		loop_turn(loop);
	uint64_t begin_ms = loop_now_ms(loop);
	assert_true(comes_in());
	assert_true(loop_now_ms(loop) - begin_ms < ADMISSION_UNKNOWN_MS / 2);
	for (size_t i = 0; i < STRANGERS; i++)
		if (strangers[i])
			derp_link_close(strangers[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_who_the_realm_allows_comes_in),
		TEST(test_who_the_realm_refuses_stays_out_and_is_forgotten),
		TEST(test_known_keys_come_in_while_the_realm_is_away),
		TEST(test_strangers_keep_no_known_key_waiting_while_the_realm_is_away),
		TEST(test_unknown_keys_wait_for_a_realm_that_is_only_starting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
