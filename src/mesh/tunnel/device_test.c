/* What wg(8) says and hears, line by line. */
#include "mesh/tunnel/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

#define SECRET "e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a"
#define PEER "b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33"
#define OTHER "58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define KEY_1 "1888111111111111111111111111111111111111111111111111111111111100"

static struct device device;
static uint16_t asked_port;
static uint32_t asked_mark;

static enum err on_listen(void *context, uint16_t port, uint16_t *ret)
{
	(void)context;
	if (port == 1)
		return ERR_BUSY;
	asked_port = port;
	*ret = port ? port : 5555;
	return OK;
}

static enum err on_mark(void *context, uint32_t mark)
{
	(void)context;
	asked_mark = mark;
	return OK;
}

static const struct device_host host = { on_listen, on_mark };

static int set_up(void **state)
{
	(void)state;
	struct tunnel_options o = { .mtu = 1420 };

	device = (struct device) { .tunnel = tunnel_new(&o), .host = &host };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	device_done(&device);
	tunnel_free(device.tunnel);
	return 0;
}

static void expect(const char *request, const char *answer)
{
	struct tunnel_now now = { 1000, 1700000000000 };
	struct buf b;

	buf_init(&b);
	assert_true(device_has_request(slice_from(request)));
	assert_int_equal(device_answer(&device, now, slice_from(request), &b), strlen(request));
	buf_add_u8(&b, 0);
	assert_string_equal((const char *)b.data, answer);
	buf_done(&b);
}

static void test_what_was_set_is_shown(void **state)
{
	(void)state;
	expect("get=1\n\n", "errno=0\n\n");
	expect("set=1\nprivate_key=" SECRET "\nlisten_port=12912\nfwmark=77\nreplace_peers=true\n"
	       "public_key=" PEER "\npreshared_key=" KEY_1 "\nreplace_allowed_ips=true\n"
	       "allowed_ip=192.168.4.4/32\nallowed_ip=fd00::5/64\nendpoint=[abcd:23::33]:51820\n"
	       "public_key=" OTHER "\nendpoint=182.122.22.19:3233\n"
	       "persistent_keepalive_interval=111\nallowed_ip=192.168.4.0/24\n\n",
	       "errno=0\n\n");
	assert_int_equal(asked_port, 12912);
	assert_int_equal(asked_mark, 77);
	expect("get=1\n\n",
	       "private_key=" SECRET "\n"
	       "listen_port=12912\nfwmark=77\n"
	       "public_key=" PEER "\npreshared_key=" KEY_1 "\nprotocol_version=1\n"
	       "endpoint=[abcd:23::33]:51820\nlast_handshake_time_sec=0\n"
	       "last_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
	       "persistent_keepalive_interval=0\nallowed_ip=192.168.4.4/32\nallowed_ip=fd00::/64\n"
	       "public_key=" OTHER "\npreshared_key=" ZEROS "\nprotocol_version=1\n"
	       "endpoint=182.122.22.19:3233\nlast_handshake_time_sec=0\n"
	       "last_handshake_time_nsec=0\ntx_bytes=148\nrx_bytes=0\n"
	       "persistent_keepalive_interval=111\nallowed_ip=192.168.4.0/24\n"
	       "errno=0\n\n");
}

static void test_peers_are_updated_replaced_and_removed(void **state)
{
	(void)state;
	expect("set=1\nprivate_key=" SECRET "\npublic_key=" PEER "\nallowed_ip=10.0.0.1/32\n\n",
	       "errno=0\n\n");
	expect("set=1\npublic_key=" PEER "\nallowed_ip=10.0.0.2/32\npublic_key=" OTHER
	       "\nupdate_only=true\nallowed_ip=10.0.0.3/32\n\n",
	       "errno=0\n\n");
	assert_int_equal(tunnel_peer_count(device.tunnel), 1);
	assert_non_null(tunnel_route(device.tunnel, ip_v4(0x0a000001)));
	assert_non_null(tunnel_route(device.tunnel, ip_v4(0x0a000002)));
	assert_null(tunnel_route(device.tunnel, ip_v4(0x0a000003)));
	expect("set=1\npublic_key=" PEER "\nallowed_ip=-10.0.0.1/32\n\n", "errno=0\n\n");
	assert_null(tunnel_route(device.tunnel, ip_v4(0x0a000001)));
	expect("set=1\npublic_key=" PEER "\nreplace_allowed_ips=true\nallowed_ip=10.0.0.9/32\n\n",
	       "errno=0\n\n");
	assert_null(tunnel_route(device.tunnel, ip_v4(0x0a000002)));
	expect("set=1\npublic_key=" PEER "\nremove=true\npublic_key=" OTHER "\nremove=true\n\n",
	       "errno=0\n\n");
	assert_int_equal(tunnel_peer_count(device.tunnel), 0);
	expect("set=1\npublic_key=" PEER "\npublic_key=" OTHER "\n\n", "errno=0\n\n");
	expect("set=1\nreplace_peers=true\n\n", "errno=0\n\n");
	assert_int_equal(tunnel_peer_count(device.tunnel), 0);
}

static void test_a_peer_that_is_ourselves_is_left_out(void **state)
{
	(void)state;
	char request[400], own[65];

	expect("set=1\nprivate_key=" SECRET "\n\n", "errno=0\n\n");
	hex_encode(own, (struct slice) { tunnel_public(device.tunnel), 32 });
	snprintf(request, sizeof(request), "set=1\npublic_key=%s\nallowed_ip=0.0.0.0/0\n\n", own);
	expect(request, "errno=0\n\n");
	assert_int_equal(tunnel_peer_count(device.tunnel), 0);
	expect("set=1\nprivate_key=" ZEROS "\n\n", "errno=0\n\n");
	expect(request, "errno=0\n\n");
	assert_int_equal(tunnel_peer_count(device.tunnel), 1);
	expect("set=1\nprivate_key=" SECRET "\n\n", "errno=0\n\n");
	assert_int_equal(tunnel_peer_count(device.tunnel), 0);
}

static void test_what_makes_no_sense_has_an_error_number(void **state)
{
	(void)state;
	static const struct {
		const char *request, *answer;
	} rows[] = {
		{ "get=2\n\n", "errno=22\n\n" },
		{ "\n\n", "errno=22\n\n" },
		{ "set=1\nprivate_key=00\n\n", "errno=22\n\n" },
		{ "set=1\nprivate_key\n\n", "errno=22\n\n" },
		{ "set=1\nlisten_port=65536\n\n", "errno=22\n\n" },
		{ "set=1\nlisten_port=1\n\n", "errno=98\n\n" },
		{ "set=1\nfwmark=-1\n\n", "errno=22\n\n" },
		{ "set=1\nreplace_peers=yes\n\n", "errno=22\n\n" },
		{ "set=1\nallowed_ip=10.0.0.0/8\n\n", "errno=22\n\n" },
		{ "set=1\nunknown=1\n\n", "errno=22\n\n" },
		{ "set=1\npublic_key=" ZEROS "\n\n", "errno=22\n\n" },
		{ "set=1\npublic_key=" PEER "\nprivate_key=" SECRET "\n\n", "errno=22\n\n" },
		{ "set=1\npublic_key=" PEER "\nallowed_ip=10.0.0.0/33\n\n", "errno=22\n\n" },
		{ "set=1\npublic_key=" PEER "\nallowed_ip=10.0.0.0\n\n", "errno=22\n\n" },
		{ "set=1\npublic_key=" PEER "\nendpoint=host:1\n\n", "errno=22\n\n" },
		{ "set=1\npublic_key=" PEER "\nprotocol_version=2\n\n", "errno=22\n\n" },
		{ "set=1\npublic_key=" PEER "\npersistent_keepalive_interval=65536\n\n",
		  "errno=22\n\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(rows[i].request, rows[i].answer);
	assert_false(device_has_request(SLICE("get=1\n")));
	assert_false(device_has_request(SLICE("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_was_set_is_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peers_are_updated_replaced_and_removed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_peer_that_is_ourselves_is_left_out, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_what_makes_no_sense_has_an_error_number,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
