#include "wire/derp/derp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/random.h"
#include "wire/crypto/x25519.h"
#include "wire/derp/derp_map.h"

struct person {
	struct mesh_key secret, own;
};

static struct person make_person(void)
{
	struct person p;

	random_bytes(p.secret.bytes, sizeof(p.secret.bytes));
	x25519_clamp(p.secret.bytes);
	x25519_public(p.secret.bytes, p.own.bytes);
	return p;
}

/* The payload of the one frame in `b`. */
static struct slice payload_of(const struct buf *b, uint8_t type)
{
	struct derp_head head;

	assert_int_equal(derp_read_head(buf_slice(b), &head), OK);
	assert_int_equal(head.type, type);
	assert_int_equal(head.size, b->size - DERP_HEAD_BYTES);
	return slice_part(buf_slice(b), DERP_HEAD_BYTES, head.size);
}

static void test_the_key_of_a_server_is_said_first(void **state)
{
	static const uint8_t wanted[] = { 0x01, 0,   0,	   0,	 40,   'D', 'E',
					  'R',	'P', 0xf0, 0x9f, 0x94, 0x91 };
	struct person server = make_person();
	struct mesh_key found;
	struct buf b = { 0 };

	(void)state;
	derp_add_server_key(&b, &server.own);
	assert_memory_equal(b.data, wanted, sizeof(wanted));
	assert_int_equal(derp_read_server_key(payload_of(&b, DERP_SERVER_KEY), &found), OK);
	assert_true(mesh_key_equal(&found, &server.own));
	b.data[DERP_HEAD_BYTES] ^= 1;
	assert_int_equal(derp_read_server_key(payload_of(&b, DERP_SERVER_KEY), &found),
			 ERR_INVALID);
	buf_done(&b);
}

static void test_a_client_says_who_it_is_to_one_server_only(void **state)
{
	struct person server = make_person(), client = make_person(), other = make_person();
	struct derp_client_info info = { .version = 2,
					 .has_mesh_key = true,
					 .mesh_key = other.secret,
					 .can_ack_pings = true,
					 .is_prober = true,
					 .app_name = "\"app\"" };
	struct derp_client_info found;
	struct mesh_key key;
	struct buf b = { 0 };

	(void)state;
	assert_true(derp_add_client_info(&b, &info, &client.secret, &client.own, &server.own));
	struct slice payload = payload_of(&b, DERP_CLIENT_INFO);
	assert_int_equal(derp_read_client_info(payload, &server.secret, &key, &found), OK);
	assert_true(mesh_key_equal(&key, &client.own));
	assert_int_equal(found.version, 2);
	assert_true(found.has_mesh_key && mesh_key_equal(&found.mesh_key, &other.secret));
	assert_true(found.can_ack_pings && found.is_prober);
	assert_string_equal(found.app_name, "\"app\"");

	assert_int_equal(derp_read_client_info(payload, &other.secret, &key, &found), ERR_DENIED);
	b.data[DERP_HEAD_BYTES] ^= 1; /* somebody else's name */
	assert_int_equal(derp_read_client_info(payload, &server.secret, &key, &found), ERR_DENIED);
	for (size_t i = 0; i < payload.size; i += 7)
		assert_int_not_equal(derp_read_client_info(slice_part(payload, 0, i),
							   &server.secret, &key, &found),
				     OK);
	buf_done(&b);
}

static void test_a_server_tells_its_limits_to_one_client_only(void **state)
{
	struct person server = make_person(), client = make_person();
	struct derp_server_info info = { 2, 1000000, 70000 }, found;
	struct mesh_key zero = { { 0 } };
	struct buf b = { 0 };

	(void)state;
	assert_true(derp_add_server_info(&b, &info, &server.secret, &client.own));
	struct slice payload = payload_of(&b, DERP_SERVER_INFO);
	assert_int_equal(derp_read_server_info(payload, &client.secret, &server.own, &found), OK);
	assert_int_equal(found.bytes_per_second, 1000000);
	assert_int_equal(found.bytes_burst, 70000);
	assert_int_equal(derp_read_server_info(payload, &client.secret, &client.own, &found),
			 ERR_DENIED);
	buf_clear(&b);
	assert_false(derp_add_server_info(&b, &info, &server.secret, &zero));
	assert_int_equal(b.size, 0);
	buf_done(&b);
}

static void test_packets_carry_one_key_or_two(void **state)
{
	uint8_t payload[100];
	struct mesh_key from, to;
	struct slice packet;

	(void)state;
	memset(payload, 1, 32);
	memset(payload + 32, 2, 32);
	memset(payload + 64, 3, 36);
	struct slice all = { payload, sizeof(payload) };
	assert_int_equal(derp_read_packet(all, &from, &packet), OK);
	assert_int_equal(packet.size, 68);
	assert_int_equal(from.bytes[31], 1);
	assert_int_equal(derp_read_forward(all, &from, &to, &packet), OK);
	assert_int_equal(packet.size, 36);
	assert_int_equal(to.bytes[0], 2);
	assert_int_equal(derp_read_packet(slice_part(all, 0, 31), &from, &packet), ERR_INVALID);
	assert_int_equal(derp_read_forward(slice_part(all, 0, 63), &from, &to, &packet),
			 ERR_INVALID);
	assert_int_equal(derp_read_packet(slice_part(all, 0, 32), &from, &packet), OK);
	assert_int_equal(packet.size, 0);
	struct slice huge = { payload, DERP_PACKET_BYTES_MAX + 33 }; /* not looked at */
	assert_int_equal(derp_read_packet(huge, &from, &packet), ERR_TOO_BIG);
}

static void test_who_comes_and_goes_is_told(void **state)
{
	struct person p = make_person();
	struct derp_peer_present present = { p.own, { [10] = 0xff, 0xff, 192, 0, 2, 1 }, 4711, 5 };
	struct derp_peer_present found;
	struct mesh_key key;
	uint32_t in_ms, for_ms;
	uint8_t reason;
	struct buf b = { 0 };

	(void)state;
	derp_add_peer_present(&b, &present);
	struct slice payload = payload_of(&b, DERP_PEER_PRESENT);
	assert_int_equal(derp_read_peer_present(payload, &found), OK);
	assert_true(mesh_key_equal(&found.key, &p.own));
	assert_memory_equal(found.ip, present.ip, 16);
	assert_int_equal(found.port, 4711);
	assert_int_equal(found.flags, 5);
	assert_int_equal(derp_read_peer_present(slice_part(payload, 0, 32), &found), OK);
	assert_int_equal(found.port, 0);
	assert_int_equal(derp_read_peer_present(slice_part(payload, 0, 31), &found), ERR_INVALID);

	buf_clear(&b);
	derp_add_peer_gone(&b, &p.own, DERP_GONE_NOT_HERE);
	payload = payload_of(&b, DERP_PEER_GONE);
	assert_int_equal(derp_read_peer_gone(payload, &key, &reason), OK);
	assert_int_equal(reason, DERP_GONE_NOT_HERE);
	assert_int_equal(derp_read_peer_gone(slice_part(payload, 0, 32), &key, &reason), OK);
	assert_int_equal(reason, DERP_GONE_DISCONNECTED);

	buf_clear(&b);
	derp_add_restarting(&b, 100, 60000);
	payload = payload_of(&b, DERP_RESTARTING);
	assert_int_equal(derp_read_restarting(payload, &in_ms, &for_ms), OK);
	assert_int_equal(in_ms, 100);
	assert_int_equal(for_ms, 60000);
	buf_done(&b);
}

static void test_the_key_in_a_certificates_name_is_found(void **state)
{
	struct person p = make_person();
	char name[DERP_KEY_NAME_BYTES];
	struct mesh_key found;

	(void)state;
	derp_key_name(&p.own, name);
	assert_int_equal(strlen(name), 71);
	assert_int_equal(derp_key_from_name(name, &found), OK);
	assert_true(mesh_key_equal(&found, &p.own));
	name[70] = 'g';
	assert_int_equal(derp_key_from_name(name, &found), ERR_INVALID);
	name[70] = 0;
	assert_int_equal(derp_key_from_name(name, &found), ERR_INVALID);
	assert_int_equal(derp_key_from_name("hanse", &found), ERR_INVALID);
}

static void test_disco_is_told_by_its_magic(void **state)
{
	uint8_t packet[100] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };

	(void)state;
	assert_true(derp_is_disco((struct slice) { packet, 62 }));
	assert_false(derp_is_disco((struct slice) { packet, 61 }));
	packet[5] = 0;
	assert_false(derp_is_disco((struct slice) { packet, 100 }));
}

static void test_regions_are_found_by_number(void **state)
{
	struct derp_region regions[2] = { { .id = 900 }, { .id = 901 } };
	struct derp_map map = { 2, regions };

	(void)state;
	assert_ptr_equal(derp_map_find(&map, 901), &regions[1]);
	assert_null(derp_map_find(&map, 902));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_key_of_a_server_is_said_first),
		cmocka_unit_test(test_a_client_says_who_it_is_to_one_server_only),
		cmocka_unit_test(test_a_server_tells_its_limits_to_one_client_only),
		cmocka_unit_test(test_packets_carry_one_key_or_two),
		cmocka_unit_test(test_who_comes_and_goes_is_told),
		cmocka_unit_test(test_the_key_in_a_certificates_name_is_found),
		cmocka_unit_test(test_disco_is_told_by_its_magic),
		cmocka_unit_test(test_regions_are_found_by_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
