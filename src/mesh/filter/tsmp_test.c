#include "mesh/filter/tsmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mesh/filter/packet_testing.h"

static void assert_goes_round(struct tsmp message, size_t body)
{
	static const char *const from[] = { "100.64.0.2", "fd7a::2" };
	static const char *const to[] = { "100.64.0.1", "fd7a::1" };

	for (int i = 0; i < 2; i++) {
		uint8_t bytes[TSMP_PACKET_BYTES_MAX];
		struct tsmp back;
		size_t size;

		message.from = ip_of(from[i]);
		message.to = ip_of(to[i]);
		size = tsmp_build(&message, bytes);
		assert_int_equal(size, body + (i ? 40 : 20));
		assert_int_equal(tsmp_parse((struct slice) { bytes, size }, &back), OK);
		assert_memory_equal(&back, &message, sizeof(message));
		for (size_t cut = 0; cut < size; cut++)
			assert_int_not_equal(tsmp_parse((struct slice) { bytes, cut }, &back), OK);
	}
}

static void test_messages_go_there_and_back(void **state)
{
	struct tsmp ping = { .kind = TSMP_PING, .cookie = "abcdefg" };
	struct tsmp pong = { .kind = TSMP_PONG, .cookie = "abcdefg", .peerapi_port = 40001 };
	struct tsmp disco = { .kind = TSMP_DISCO_KEY };
	struct tsmp reject = { .kind = TSMP_REJECT,
			       .reject = { 6, TSMP_BY_POLICY, 1000, 22, false } };

	(void)state;
	memset(disco.disco_key, 0x5a, sizeof(disco.disco_key));
	assert_goes_round(ping, 9);
	assert_goes_round(pong, 11);
	assert_goes_round(disco, 33);
	assert_goes_round(reject, 7);
	reject.reject.maybe_broken = true;
	assert_goes_round(reject, 8);
}

static void test_the_ipv4_checksum_is_right(void **state)
{
	struct tsmp ping = { .kind = TSMP_PING };
	uint8_t bytes[TSMP_PACKET_BYTES_MAX];
	uint32_t sum = 0;

	(void)state;
	ping.from = ip_of("100.64.0.2");
	ping.to = ip_of("100.127.255.254");
	tsmp_build(&ping, bytes);
	for (int i = 0; i < 20; i += 2)
		sum += get_u16(bytes + i);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
}

static void test_other_messages_are_told_apart_from_broken_ones(void **state)
{
	struct made_packet m = make_packet("100.64.0.2", 0, "100.64.0.1", 0, TSMP_PROTOCOL, 0);
	struct tsmp message;

	(void)state;
	m.bytes[20] = 'x';
	assert_int_equal(tsmp_parse(made(&m), &message), ERR_UNSUPPORTED);
	m.bytes[9] = 17;
	assert_int_equal(tsmp_parse(made(&m), &message), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_go_there_and_back),
		cmocka_unit_test(test_the_ipv4_checksum_is_right),
		cmocka_unit_test(test_other_messages_are_told_apart_from_broken_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
