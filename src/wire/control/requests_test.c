#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/control/corpus_testing.h"
#include "wire/control/map_request.h"
#include "wire/control/register.h"
#include "wire/control/time_text.h"

static struct mesh_key key_of(uint8_t seed)
{
	struct mesh_key key;

	memset(key.bytes, seed, sizeof(key.bytes));
	return key;
}

static void assert_text(struct slice s, const char *text)
{
	assert_int_equal(s.size, strlen(text));
	assert_memory_equal(s.data, text, s.size);
}

/* --- register ----------------------------------------------------------------------------------
 */

static void test_the_official_register_request_is_read(void **state)
{
	struct buf text = control_corpus("register_request.1.json");
	struct control_register_request r;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(control_register_request_decode(&a, buf_slice(&text), &r), OK);
	assert_int_equal(r.version, 1);
	assert_int_equal(r.expiry_s, 0);
	assert_false(mesh_key_is_zero(&r.node_key));
	assert_true(mesh_key_is_zero(&r.old_node_key));
	assert_text(r.hostinfo.hostname, "node-a");
	assert_text(r.hostinfo.os, "linux");
	assert_int_equal(r.hostinfo.service_count, 1);
	assert_text(r.hostinfo.services[0].proto, "peerapi-dns-proxy");
	assert_true(r.hostinfo.json.size > 200);
	assert_int_equal(r.auth_key.size + r.followup.size, 0);
	arena_done(&a);
	buf_done(&text);
}

static void test_a_register_request_survives_the_wire(void **state)
{
	struct slice tags[] = { SLICE("tag:a"), SLICE("tag:\"b\\\n") };
	struct control_register_request sent = {
		.version = 142,
		.node_key = key_of(1),
		.old_node_key = key_of(2),
		.auth_key = SLICE("secret"),
		.followup = SLICE("http://control/register/1"),
		.expiry_s = CONTROL_LOGOUT_EXPIRY_S,
		.is_ephemeral = true,
		.hostinfo = { .hostname = SLICE("h"),
			      .request_tags = tags,
			      .request_tag_count = 2 },
	};
	struct control_register_request got;
	struct arena a;
	struct buf text;

	(void)state;
	arena_init(&a);
	buf_init(&text);
	control_register_request_encode(&text, &sent);
	assert_int_equal(control_register_request_decode(&a, buf_slice(&text), &got), OK);
	assert_int_equal(got.version, 142);
	assert_true(mesh_key_equal(&got.node_key, &sent.node_key));
	assert_true(mesh_key_equal(&got.old_node_key, &sent.old_node_key));
	assert_text(got.auth_key, "secret");
	assert_text(got.followup, "http://control/register/1");
	assert_int_equal(got.expiry_s, 123);
	assert_true(got.is_ephemeral);
	assert_int_equal(got.hostinfo.request_tag_count, 2);
	assert_text(got.hostinfo.request_tags[1], "tag:\"b\\\n");
	buf_done(&text);
	arena_done(&a);
}

static void test_the_answers_to_a_registration_survive_the_wire(void **state)
{
	struct buf text = control_corpus("register_response.1.json");
	struct control_register_response r;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(control_register_response_decode(&a, buf_slice(&text), &r), OK);
	assert_text(r.login_name, "user-1@fake-control.example.net");
	assert_true(r.is_authorized);
	assert_false(r.is_key_expired);
	buf_clear(&text);
	r.auth_url = SLICE("http://x/register/2");
	r.error = SLICE("no");
	control_register_response_encode(&text, &r);
	assert_int_equal(control_register_response_decode(&a, buf_slice(&text), &r), OK);
	assert_int_equal(r.user_id, 1);
	assert_text(r.display_name, "User 1");
	assert_text(r.auth_url, "http://x/register/2");
	assert_text(r.error, "no");
	buf_done(&text);
	arena_done(&a);
}

static void test_what_is_no_register_request_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{",
		"{\"NodeKey\":7}",
		"{\"NodeKey\":\"nodekey:12\"}",
		"{\"NodeKey\":\"mkey:"
		"0000000000000000000000000000000000000000000000000000000000000000\"}",
		"{\"Hostinfo\":[]}",
		"{\"Hostinfo\":{\"RoutableIPs\":[\"10.0.0.1/8\"]}}",
		"{\"Hostinfo\":{\"Services\":[{\"Port\":70000}]}}",
		"{\"Expiry\":\"yesterday\"}",
		"{\"Auth\":\"x\"}",
		"{\"Version\":-1}",
	};
	struct control_register_request r = { .version = 77 };
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(control_register_request_decode(&a, slice_from(wrong[i]), &r),
				 ERR_INVALID);
	assert_int_equal(r.version, 77);
	arena_done(&a);
}

/* --- map ---------------------------------------------------------------------------------------
 */

static void test_the_official_map_requests_are_read(void **state)
{
	struct control_map_request r;
	struct arena a;

	(void)state;
	arena_init(&a);
	struct buf poll = control_corpus("map_request.4.json");
	assert_int_equal(control_map_request_decode(&a, buf_slice(&poll), &r), OK);
	assert_true(r.is_stream && r.is_compressed && r.has_hostinfo);
	assert_false(r.omits_peers);
	assert_int_equal(r.version, 142);
	assert_int_equal(r.endpoint_count, 2);
	assert_int_equal(r.endpoints[1].port, 56298);
	assert_int_equal(r.endpoint_kinds[0], CONTROL_ENDPOINT_STUN);
	assert_int_equal(r.endpoint_kinds[1], CONTROL_ENDPOINT_LOCAL);
	assert_int_equal(r.hostinfo.home_relay, 1);
	assert_int_equal(r.hostinfo.service_count, 3);
	struct buf lite = control_corpus("map_request.3.json");
	assert_int_equal(control_map_request_decode(&a, buf_slice(&lite), &r), OK);
	assert_true(r.omits_peers);
	assert_false(r.is_stream);
	buf_done(&poll);
	buf_done(&lite);
	arena_done(&a);
}

static void test_a_map_request_survives_the_wire(void **state)
{
	struct endpoint endpoints[] = { endpoint_ip4(192, 0, 2, 1, 41641),
					endpoint_ip4(10, 0, 0, 1, 1) };
	uint8_t kinds[] = { CONTROL_ENDPOINT_STUN, CONTROL_ENDPOINT_PORTMAPPED };
	struct ip_prefix routes[] = { { ip_v4(0), 0 } };
	struct control_service service = { SLICE("peerapi4"), 80, SLICE("x") };
	struct control_map_request sent = {
		.version = 142,
		.node_key = key_of(3),
		.disco_key = key_of(4),
		.endpoints = endpoints,
		.endpoint_kinds = kinds,
		.endpoint_count = 2,
		.has_hostinfo = true,
		.is_stream = true,
		.is_compressed = true,
		.hostinfo = { .routes = routes,
			      .route_count = 1,
			      .services = &service,
			      .service_count = 1,
			      .home_relay = 900 },
	};
	struct control_map_request got;
	struct arena a;
	struct buf text;

	(void)state;
	arena_init(&a);
	buf_init(&text);
	control_map_request_encode(&text, &sent);
	assert_int_equal(control_map_request_decode(&a, buf_slice(&text), &got), OK);
	assert_true(mesh_key_equal(&got.disco_key, &sent.disco_key));
	assert_int_equal(got.endpoint_count, 2);
	assert_true(endpoint_equal(&got.endpoints[0], &endpoints[0]));
	assert_memory_equal(got.endpoint_kinds, kinds, 2);
	assert_int_equal(got.hostinfo.home_relay, 900);
	assert_int_equal(got.hostinfo.route_count, 1);
	assert_true(ip_prefix_equal(got.hostinfo.routes[0], routes[0]));
	assert_int_equal(got.hostinfo.services[0].port, 80);
	buf_done(&text);
	arena_done(&a);
}

static void test_more_than_the_limits_is_too_big(void **state)
{
	struct control_map_request r;
	struct arena a;
	struct buf text;

	(void)state;
	arena_init(&a);
	buf_init(&text);
	buf_add_text(&text, "{\"Endpoints\":[");
	for (int i = 0; i <= CONTROL_ENDPOINTS_MAX; i++)
		buf_add_format(&text, "%s\"192.0.2.1:%d\"", i ? "," : "", i + 1);
	buf_add_text(&text, "]}");
	assert_int_equal(control_map_request_decode(&a, buf_slice(&text), &r), ERR_TOO_BIG);
	buf_clear(&text);
	buf_add_text(&text, "{\"Hostinfo\":{\"X\":\"");
	for (int i = 0; i < CONTROL_HOSTINFO_BYTES_MAX; i++)
		buf_add_u8(&text, 'x');
	buf_add_text(&text, "\"}}");
	assert_int_equal(control_map_request_decode(&a, buf_slice(&text), &r), ERR_TOO_BIG);
	buf_done(&text);
	arena_done(&a);
}

/* --- moments -----------------------------------------------------------------------------------
 */

static int64_t time_of(const char *text)
{
	int64_t time_s = -1;

	assert_int_equal(time_parse(slice_from(text), &time_s), OK);
	return time_s;
}

static void test_moments_are_read_as_others_write_them(void **state)
{
	static const char *const wrong[] = { "",
					     "2026-11-21",
					     "2026-11-21T10:00:00",
					     "2026-13-21T10:00:00Z",
					     "2026-11-21T24:00:00Z",
					     "2026-11-21T10:00:00.Z",
					     "2026-11-21T10:00:00+1:00",
					     "2026-11-21T10:00:00ZZ" };
	char text[TIME_TEXT_BYTES];
	int64_t time_s;

	(void)state;
	assert_int_equal(time_of("0001-01-01T00:00:00Z"), 0);
	assert_int_equal(time_of("1970-01-01T00:02:03Z"), 123);
	assert_int_equal(time_of("1969-01-01T00:00:00Z"), 1);
	assert_int_equal(time_of("2000-02-29T12:34:56Z"), 951827696);
	assert_int_equal(time_of("2026-11-21T10:00:00.123456789+02:00"), 1795248000);
	assert_int_equal(time_of("2026-11-21T03:00:00-05:00"), 1795248000);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(time_parse(slice_from(wrong[i]), &time_s), ERR_INVALID);
	time_text(1795248000, text);
	assert_string_equal(text, "2026-11-21T08:00:00Z");
	time_text(0, text);
	assert_string_equal(text, "0001-01-01T00:00:00Z");
	time_text(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	for (int64_t t = 1; t < 7000000000; t += 86399 * 7) {
		time_text(t, text);
		assert_int_equal(time_of(text), t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_official_register_request_is_read),
		cmocka_unit_test(test_a_register_request_survives_the_wire),
		cmocka_unit_test(test_the_answers_to_a_registration_survive_the_wire),
		cmocka_unit_test(test_what_is_no_register_request_is_refused),
		cmocka_unit_test(test_the_official_map_requests_are_read),
		cmocka_unit_test(test_a_map_request_survives_the_wire),
		cmocka_unit_test(test_more_than_the_limits_is_too_big),
		cmocka_unit_test(test_moments_are_read_as_others_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
