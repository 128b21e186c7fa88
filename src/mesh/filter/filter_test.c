#include "mesh/filter/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "mesh/filter/packet_testing.h"
#include "mesh/filter/tsmp.h"

/* This machine is 100.64.0.1 and fd7a::1, and offers 10.1.0.0/16.  A rule in short: who may reach
 * which ports where. */
struct short_rule {
	const char *source, *destination;
	uint16_t first_port, last_port;
	uint8_t protocol; /* 0: the usual ones */
};

struct world {
	struct filter *filter;
	uint64_t now_ms;
	bool shields_up;
	const uint16_t *open_ports;
	size_t open_port_count;
};

static enum err try_rules(struct world *w, const struct short_rule *rules, size_t count,
			  char why[FILTER_WHY_BYTES])
{
	struct filter_rule *full = memory_take_array(count + 1, sizeof(*full));
	struct filter_destination *to = memory_take_array(count + 1, sizeof(*to));
	struct slice *from = memory_take_array(count + 1, sizeof(*from));
	struct ip_range local[3];
	struct ip open_addresses[] = { ip_of("100.64.0.1"), ip_of("fd7a::1") };
	struct filter_holder holder = { .capability = SLICE("server") };
	enum err err;

	for (size_t i = 0; i < count; i++) {
		from[i] = slice_from(rules[i].source);
		to[i] = (struct filter_destination) { slice_from(rules[i].destination),
						      rules[i].first_port, rules[i].last_port };
		full[i] = (struct filter_rule) { .sources = &from[i],
						 .source_count = 1,
						 .protocols = &rules[i].protocol,
						 .protocol_count = rules[i].protocol ? 1 : 0,
						 .destinations = &to[i],
						 .destination_count = 1 };
	}
	assert_int_equal(ip_range_parse(SLICE("100.64.0.1"), &local[0]), OK);
	assert_int_equal(ip_range_parse(SLICE("fd7a::1"), &local[1]), OK);
	assert_int_equal(ip_range_parse(SLICE("10.1.0.0/16"), &local[2]), OK);
	assert_int_equal(ip_range_parse(SLICE("100.64.0.9"), &holder.address), OK);
	err = filter_configure(w->filter,
			       &(struct filter_config) { .rules = full,
							 .rule_count = count,
							 .holders = &holder,
							 .holder_count = 1,
							 .local = local,
							 .local_count = 3,
							 .open_addresses = open_addresses,
							 .open_address_count = 2,
							 .open_ports = w->open_ports,
							 .open_port_count = w->open_port_count,
							 .shields_up = w->shields_up },
			       why);
	memory_free(full);
	memory_free(to);
	memory_free(from);
	return err;
}

static void use_rules(struct world *w, const struct short_rule *rules, size_t count)
{
	char why[FILTER_WHY_BYTES];

	assert_int_equal(try_rules(w, rules, count, why), OK);
}

static int open_world(void **state)
{
	struct world *w = NEW(struct world);

	w->now_ms = 1000000;
	w->filter = filter_new(w->now_ms);
	w->now_ms += 100000; /* a machine that has been up for a while */
	use_rules(w, NULL, 0);
	*state = w;
	return 0;
}

static int close_world(void **state)
{
	struct world *w = *state;

	filter_free(w->filter);
	memory_free(w);
	return 0;
}

static enum filter_reason in(struct world *w, struct made_packet m)
{
	return filter_in(w->filter, made(&m), w->now_ms).reason;
}

static enum filter_reason out(struct world *w, struct made_packet m)
{
	return filter_out(w->filter, made(&m), w->now_ms).reason;
}

static struct made_packet udp(const char *from, uint16_t source_port, const char *to, uint16_t port)
{
	return make_packet(from, source_port, to, port, PROTOCOL_UDP, 0);
}

static struct made_packet tcp(const char *from, uint16_t source_port, const char *to, uint16_t port,
			      uint8_t flags)
{
	return make_packet(from, source_port, to, port, PROTOCOL_TCP, flags);
}

enum { SYN = PACKET_TCP_SYN, ACK = PACKET_TCP_ACK, FIN = PACKET_TCP_FIN, RST = PACKET_TCP_RST };

static void test_without_rules_only_answers_come_in(void **state)
{
	struct world *w = *state;

	assert_int_equal(in(w, tcp("100.64.0.2", 1000, "100.64.0.1", 22, SYN)), FILTER_NO_RULE);
	assert_int_equal(in(w, tcp("100.64.0.2", 1000, "100.64.0.1", 22, ACK)), FILTER_NO_RULE);
	assert_int_equal(in(w, udp("100.64.0.2", 53, "100.64.0.1", 1000)), FILTER_NO_RULE);
	assert_int_equal(out(w, udp("100.64.0.1", 1000, "100.64.0.2", 53)), FILTER_BY_FLOW);
	assert_int_equal(in(w, udp("100.64.0.2", 53, "100.64.0.1", 1000)), FILTER_BY_FLOW);
	assert_int_equal(in(w, udp("100.64.0.2", 54, "100.64.0.1", 1000)), FILTER_NO_RULE);
	assert_int_equal(in(w, udp("100.64.0.3", 53, "100.64.0.1", 1000)), FILTER_NO_RULE);
	assert_int_equal(out(w, tcp("fd7a::1", 1000, "fd7a::2", 22, SYN)), FILTER_BY_FLOW);
	assert_int_equal(in(w, tcp("fd7a::2", 22, "fd7a::1", 1000, SYN | ACK)), FILTER_BY_FLOW);
	/* The other way round it is a beginning, although the ports are the same. */
	assert_int_equal(in(w, tcp("fd7a::2", 22, "fd7a::1", 1000, SYN)), FILTER_NO_RULE);
}

static void test_a_rule_lets_in_what_it_names_and_nothing_else(void **state)
{
	static const struct short_rule rules[] = {
		{ "100.64.0.2", "100.64.0.1", 22, 22, PROTOCOL_TCP },
		{ "100.64.0.4-100.64.0.6", "100.64.0.1", 1000, 1999, 0 },
		{ "*", "10.1.2.0/24", 80, 80, 0 },
		{ "cap:server", "*", 0, 65535, PROTOCOL_SCTP },
	};
	struct world *w = *state;

	use_rules(w, rules, 4);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 22, SYN)), FILTER_BY_RULE);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "100.64.0.1", 22)), FILTER_NO_RULE);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 23, SYN)), FILTER_NO_RULE);
	assert_int_equal(in(w, tcp("100.64.0.3", 9, "100.64.0.1", 22, SYN)), FILTER_NO_RULE);
	assert_int_equal(in(w, udp("100.64.0.3", 9, "100.64.0.1", 1500)), FILTER_NO_RULE);
	assert_int_equal(in(w, udp("100.64.0.4", 9, "100.64.0.1", 1000)), FILTER_BY_RULE);
	assert_int_equal(in(w, udp("100.64.0.6", 9, "100.64.0.1", 1999)), FILTER_BY_RULE);
	assert_int_equal(in(w, udp("100.64.0.6", 9, "100.64.0.1", 2000)), FILTER_NO_RULE);
	assert_int_equal(in(w, udp("100.64.0.7", 9, "10.1.2.255", 80)), FILTER_BY_RULE);
	assert_int_equal(in(w, udp("100.64.0.7", 9, "10.1.3.0", 80)), FILTER_NO_RULE);
	assert_int_equal(in(w, make_packet("100.64.0.9", 1, "100.64.0.1", 7, PROTOCOL_SCTP, 0)),
			 FILTER_BY_RULE);
	assert_int_equal(in(w, make_packet("100.64.0.8", 1, "100.64.0.1", 7, PROTOCOL_SCTP, 0)),
			 FILTER_NO_RULE);
}

static void test_only_our_addresses_and_routes_are_reached(void **state)
{
	static const struct short_rule rules[] = { { "*", "*", 0, 65535, 0 } };
	struct world *w = *state;

	use_rules(w, rules, 1);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "10.1.9.9", 1)), FILTER_BY_RULE);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "10.2.0.1", 1)), FILTER_NOT_OURS);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "100.64.0.2", 1)), FILTER_NOT_OURS);
	assert_int_equal(in(w, udp("fd7a::2", 9, "fd7a::3", 1)), FILTER_NOT_OURS);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "224.0.0.251", 5353)), FILTER_MULTICAST);
	assert_int_equal(in(w, udp("169.254.0.2", 9, "100.64.0.1", 1)), FILTER_MULTICAST);
	assert_int_equal(in(w, udp("fd7a::2", 9, "ff02::1", 1)), FILTER_MULTICAST);
	assert_int_equal(out(w, udp("fe80::1", 9, "fd7a::2", 1)), FILTER_MULTICAST);
}

static void test_flows_of_peers_stop_when_rules_no_longer_allow_them(void **state)
{
	static const struct short_rule rules[] = { { "100.64.0.2", "100.64.0.1", 1, 100, 0 } };
	struct world *w = *state;

	use_rules(w, rules, 1);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "100.64.0.1", 53)), FILTER_BY_RULE);
	assert_int_equal(out(w, udp("100.64.0.1", 53, "100.64.0.2", 9)), FILTER_BY_FLOW);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 22, SYN)), FILTER_BY_RULE);
	assert_int_equal(out(w, tcp("100.64.0.1", 22, "100.64.0.2", 9, SYN | ACK)), FILTER_BY_FLOW);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 22, ACK)), FILTER_BY_FLOW);
	assert_int_equal(out(w, udp("100.64.0.1", 77, "100.64.0.2", 78)), FILTER_BY_FLOW);

	use_rules(w, NULL, 0);
	/* What this machine goes on sending does not open the door again, however long. */
	for (int i = 0; i < 100; i++) {
		w->now_ms += 10000;
		assert_int_equal(out(w, udp("100.64.0.1", 53, "100.64.0.2", 9)), FILTER_REVOKED);
		assert_int_equal(in(w, udp("100.64.0.2", 9, "100.64.0.1", 53)), FILTER_NO_RULE);
		assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 22, ACK)),
				 FILTER_NO_RULE);
		assert_int_equal(out(w, tcp("100.64.0.1", 22, "100.64.0.2", 9, ACK)),
				 FILTER_REVOKED);
		assert_int_equal(in(w, udp("100.64.0.2", 78, "100.64.0.1", 77)), FILTER_BY_FLOW);
	}
	use_rules(w, rules, 1);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "100.64.0.1", 53)), FILTER_BY_FLOW);
	assert_int_equal(out(w, udp("100.64.0.1", 53, "100.64.0.2", 9)), FILTER_BY_FLOW);
}

static void test_an_answer_is_waited_for_only_so_long(void **state)
{
	struct world *w = *state;

	assert_int_equal(out(w, udp("100.64.0.1", 1000, "100.64.0.2", 53)), FILTER_BY_FLOW);
	w->now_ms += 59000;
	assert_int_equal(in(w, udp("100.64.0.2", 53, "100.64.0.1", 1000)), FILTER_BY_FLOW);
	w->now_ms += 179000;
	assert_int_equal(in(w, udp("100.64.0.2", 53, "100.64.0.1", 1000)), FILTER_BY_FLOW);
	w->now_ms += 182000;
	assert_int_equal(in(w, udp("100.64.0.2", 53, "100.64.0.1", 1000)), FILTER_NO_RULE);

	assert_int_equal(out(w, tcp("100.64.0.1", 1, "100.64.0.2", 2, SYN)), FILTER_BY_FLOW);
	assert_int_equal(in(w, tcp("100.64.0.2", 2, "100.64.0.1", 1, SYN | ACK)), FILTER_BY_FLOW);
	w->now_ms += 3600 * 1000;
	assert_int_equal(in(w, tcp("100.64.0.2", 2, "100.64.0.1", 1, FIN | ACK)), FILTER_BY_FLOW);
	assert_int_equal(out(w, tcp("100.64.0.1", 1, "100.64.0.2", 2, FIN | ACK)), FILTER_BY_FLOW);
	w->now_ms += 62 * 1000;
	assert_int_equal(in(w, tcp("100.64.0.2", 2, "100.64.0.1", 1, ACK)), FILTER_NO_RULE);
}

static void test_pings_pass_where_anything_is_allowed(void **state)
{
	static const struct short_rule rules[] = {
		{ "100.64.0.2", "100.64.0.1", 22, 22, PROTOCOL_TCP },
		{ "fd7a::2", "fd7a::1", 22, 22, PROTOCOL_TCP },
	};
	struct world *w = *state;

	use_rules(w, rules, 2);
	assert_int_equal(in(w, make_echo("100.64.0.2", "100.64.0.1", 7, false)), FILTER_BY_RULE);
	assert_int_equal(in(w, make_echo("fd7a::2", "fd7a::1", 7, false)), FILTER_BY_RULE);
	assert_int_equal(in(w, make_echo("100.64.0.3", "100.64.0.1", 7, false)), FILTER_NO_RULE);
	assert_int_equal(in(w, make_echo("100.64.0.3", "100.64.0.1", 7, true)), FILTER_NO_RULE);
	assert_int_equal(out(w, make_echo("100.64.0.1", "100.64.0.3", 7, false)), FILTER_BY_FLOW);
	assert_int_equal(in(w, make_echo("100.64.0.3", "100.64.0.1", 7, true)), FILTER_BY_FLOW);
	assert_int_equal(in(w, make_echo("100.64.0.3", "100.64.0.1", 8, true)), FILTER_NO_RULE);
	assert_int_equal(in(w, make_echo("100.64.0.3", "100.64.0.1", 7, false)), FILTER_NO_RULE);
}

static void test_errors_come_in_about_what_was_sent(void **state)
{
	static const char *const ours[] = { "100.64.0.1", "fd7a::1" };
	static const char *const theirs[] = { "100.64.0.2", "fd7a::2" };
	static const char *const router[] = { "100.64.0.3", "fd7a::3" };
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		struct made_packet sent = udp(ours[i], 1000, theirs[i], 53);
		struct made_packet other = udp(ours[i], 1001, theirs[i], 53);
		struct made_packet syn = tcp(ours[i], 5, theirs[i], 6, SYN);
		struct made_packet ping = make_echo(ours[i], theirs[i], 9, false);

		out(w, sent);
		out(w, syn);
		out(w, ping);
		assert_int_equal(in(w, make_error(router[i], ours[i], &sent)), FILTER_BY_FLOW);
		assert_int_equal(in(w, make_error(theirs[i], ours[i], &syn)), FILTER_BY_FLOW);
		assert_int_equal(in(w, make_error(theirs[i], ours[i], &ping)), FILTER_BY_FLOW);
		assert_int_equal(in(w, make_error(router[i], ours[i], &other)), FILTER_NO_RULE);
	}
}

static void test_what_routers_say_to_neighbours_never_passes(void **state)
{
	static const struct short_rule rules[] = { { "*", "*", 0, 65535, 0 } };
	struct world *w = *state;
	struct made_packet redirect = make_echo("100.64.0.2", "100.64.0.1", 7, false);
	struct made_packet advertisement = make_echo("fd7a::2", "fd7a::1", 7, false);

	use_rules(w, rules, 1);
	redirect.bytes[20] = 5;
	advertisement.bytes[40] = 134;
	assert_int_equal(in(w, redirect), FILTER_MALFORMED);
	assert_int_equal(in(w, advertisement), FILTER_MALFORMED);
}

static void test_protocols_without_ports_need_a_rule_for_all_ports(void **state)
{
	static const struct short_rule rules[] = {
		{ "100.64.0.2", "100.64.0.1", 0, 65535, 47 },
		{ "100.64.0.3", "100.64.0.1", 0, 65534, 47 },
		{ "100.64.0.4", "100.64.0.1", 0, 65535, 0 },
	};
	struct world *w = *state;

	use_rules(w, rules, 3);
	assert_int_equal(in(w, make_packet("100.64.0.2", 0, "100.64.0.1", 0, 47, 0)),
			 FILTER_BY_RULE);
	assert_int_equal(in(w, make_packet("100.64.0.3", 0, "100.64.0.1", 0, 47, 0)),
			 FILTER_NO_RULE);
	assert_int_equal(in(w, make_packet("100.64.0.4", 0, "100.64.0.1", 0, 47, 0)),
			 FILTER_NO_RULE);
	assert_int_equal(out(w, make_packet("100.64.0.1", 0, "100.64.0.4", 0, 47, 0)),
			 FILTER_BY_FLOW);
	assert_int_equal(in(w, make_packet("100.64.0.4", 0, "100.64.0.1", 0, 47, 0)),
			 FILTER_BY_FLOW);
}

static struct made_packet fragment_4(struct made_packet m, uint16_t id, unsigned offset, bool more)
{
	put_u16(m.bytes + 4, id);
	put_u16(m.bytes + 6, (uint16_t)(offset / 8 | (more ? 0x2000 : 0)));
	return m;
}

/* The same behind a hop-by-hop header and a fragment header. */
static struct made_packet fragment_6(struct made_packet m, uint32_t id, unsigned offset, bool more)
{
	uint8_t protocol = m.bytes[6];

	memmove(m.bytes + 40 + 16, m.bytes + 40, m.size - 40);
	memset(m.bytes + 40, 0, 16);
	m.bytes[6] = 0;
	m.bytes[40] = 44;
	m.bytes[48] = protocol;
	put_u16(m.bytes + 50, (uint16_t)(offset | more));
	put_u32(m.bytes + 52, id);
	m.size += 16;
	put_u16(m.bytes + 4, (uint16_t)(m.size - 40));
	return m;
}

static void test_fragments_follow_their_first(void **state)
{
	static const struct short_rule rules[] = { { "fd7a::2", "fd7a::1", 53, 53, 0 } };
	struct world *w = *state;
	struct made_packet answer = udp("100.64.0.2", 53, "100.64.0.1", 1000);
	struct made_packet question = udp("fd7a::2", 1000, "fd7a::1", 53);
	struct made_packet stranger = udp("fd7a::3", 1000, "fd7a::1", 53);

	use_rules(w, rules, 1);
	assert_int_equal(in(w, fragment_4(answer, 9, 1280, false)), FILTER_NO_RULE);
	out(w, udp("100.64.0.1", 1000, "100.64.0.2", 53));
	assert_int_equal(in(w, fragment_4(answer, 9, 0, true)), FILTER_BY_FLOW);
	assert_int_equal(in(w, fragment_4(answer, 9, 1280, true)), FILTER_BY_FRAGMENT);
	assert_int_equal(in(w, fragment_4(answer, 9, 2560, false)), FILTER_BY_FRAGMENT);
	assert_int_equal(in(w, fragment_4(answer, 10, 2560, false)), FILTER_NO_RULE);
	assert_int_equal(in(w, fragment_4(answer, 9, 8, false)), FILTER_MALFORMED);
	w->now_ms += 40000;
	assert_int_equal(in(w, fragment_4(answer, 9, 2560, false)), FILTER_NO_RULE);

	assert_int_equal(in(w, fragment_6(question, 9, 0, true)), FILTER_BY_RULE);
	assert_int_equal(in(w, fragment_6(question, 9, 1280, false)), FILTER_BY_FRAGMENT);
	/* Fragments overtake each other; who may begin something may also be early. */
	assert_int_equal(in(w, fragment_6(question, 10, 1280, false)), FILTER_BY_FRAGMENT);
	assert_int_equal(in(w, fragment_6(stranger, 9, 0, true)), FILTER_NO_RULE);
	assert_int_equal(in(w, fragment_6(stranger, 9, 1280, false)), FILTER_NO_RULE);
	assert_int_equal(in(w, fragment_6(question, 11, 16, false)), FILTER_MALFORMED);
}

static void test_extension_headers_hide_nothing(void **state)
{
	static const struct short_rule rules[] = { { "fd7a::2", "fd7a::1", 53, 53, PROTOCOL_UDP } };
	struct world *w = *state;
	struct made_packet question = udp("fd7a::2", 1000, "fd7a::1", 53);
	struct made_packet whole = fragment_6(question, 0, 0, false);
	struct made_packet many = question;

	use_rules(w, rules, 1);
	assert_int_equal(in(w, whole), FILTER_BY_RULE);
	whole.bytes[58] = 0;
	whole.bytes[59] = 54;
	assert_int_equal(in(w, whole), FILTER_NO_RULE);
	whole.bytes[40] = 43; /* a source route in place of the fragment header */
	whole.bytes[48] = PROTOCOL_UDP;
	assert_int_equal(in(w, whole), FILTER_MALFORMED);
	for (int i = 0; i < 4; i++)
		many = fragment_6(many, 0, 0, false);
	assert_int_equal(in(w, many), FILTER_BY_FLOW); /* 8 headers */
	many = fragment_6(many, 0, 0, false);
	assert_int_equal(in(w, many), FILTER_MALFORMED);
}

static void test_cut_off_packets_are_malformed(void **state)
{
	static const struct short_rule rules[] = { { "*", "*", 0, 65535, 0 } };
	struct world *w = *state;
	struct made_packet packets[] = {
		tcp("100.64.0.2", 1, "100.64.0.1", 2, SYN),
		tcp("fd7a::2", 1, "fd7a::1", 2, SYN),
		fragment_6(udp("fd7a::2", 1, "fd7a::1", 2), 1, 0, true),
		make_echo("100.64.0.2", "100.64.0.1", 7, false),
	};

	use_rules(w, rules, 1);
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		for (size_t size = 0; size < packets[i].size; size++) {
			struct slice cut = { packets[i].bytes, size };

			assert_int_equal(filter_in(w->filter, cut, w->now_ms).reason,
					 FILTER_MALFORMED);
		}
	packets[0].bytes[0] = 0x75;
	assert_int_equal(in(w, packets[0]), FILTER_MALFORMED);
}

static void test_shields_up_lets_only_answers_in(void **state)
{
	static const struct short_rule rules[] = { { "*", "*", 0, 65535, 0 } };
	static const uint16_t open_ports[] = { 80 };
	struct world *w = *state;
	struct made_packet syn = tcp("100.64.0.2", 9, "100.64.0.1", 22, SYN);
	struct filter_answer answer;

	w->open_ports = open_ports;
	w->open_port_count = 1;
	use_rules(w, rules, 1);
	assert_int_equal(in(w, syn), FILTER_BY_RULE);
	w->shields_up = true;
	use_rules(w, rules, 1);
	answer = filter_in(w->filter, made(&syn), w->now_ms);
	assert_int_equal(answer.reason, FILTER_SHIELDS_UP);
	assert_true(answer.reject);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 22, ACK)), FILTER_SHIELDS_UP);
	assert_int_equal(in(w, make_echo("100.64.0.2", "100.64.0.1", 7, false)), FILTER_SHIELDS_UP);
	out(w, udp("100.64.0.1", 1000, "100.64.0.2", 53));
	assert_int_equal(in(w, udp("100.64.0.2", 53, "100.64.0.1", 1000)), FILTER_BY_FLOW);
}

static void test_open_ports_are_reached_by_everybody(void **state)
{
	static const uint16_t open_ports[] = { 80, 40000 };
	struct world *w = *state;

	w->open_ports = open_ports;
	w->open_port_count = 2;
	use_rules(w, NULL, 0);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 80, SYN)), FILTER_BY_OPEN_PORT);
	assert_int_equal(out(w, tcp("100.64.0.1", 80, "100.64.0.2", 9, SYN | ACK)), FILTER_BY_FLOW);
	assert_int_equal(in(w, tcp("fd7a::2", 9, "fd7a::1", 40000, SYN)), FILTER_BY_OPEN_PORT);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 81, SYN)), FILTER_NO_RULE);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "100.64.0.1", 80)), FILTER_NO_RULE);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "10.1.0.1", 80, SYN)), FILTER_NO_RULE);
}

static void test_a_refused_connection_is_told_why(void **state)
{
	struct world *w = *state;
	struct made_packet syn = tcp("fd7a::2", 999, "fd7a::1", 22, SYN);
	uint8_t reject[FILTER_REJECT_BYTES_MAX];
	struct ip peer = ip_of("fd7a::2");
	struct tsmp message;
	size_t size, told = 0;

	assert_true(filter_in(w->filter, made(&syn), w->now_ms).reject);
	size = filter_reject(w->filter, made(&syn), reject);
	assert_int_equal(tsmp_parse((struct slice) { reject, size }, &message), OK);
	assert_int_equal(message.kind, TSMP_REJECT);
	assert_true(ip_equal(message.to, peer));
	assert_int_equal(message.reject.protocol, PROTOCOL_TCP);
	assert_int_equal(message.reject.reason, TSMP_BY_POLICY);
	assert_int_equal(message.reject.source_port, 999);
	assert_int_equal(message.reject.destination_port, 22);
	/* Nobody makes this machine send more than so many of them. */
	for (int i = 0; i < 1000; i++)
		told += filter_in(w->filter, made(&syn), w->now_ms).reject;
	assert_int_equal(told, FILTER_REJECTS_PER_SECOND_MAX - 1);
	w->now_ms += 1000;
	assert_true(filter_in(w->filter, made(&syn), w->now_ms).reject);
	syn = udp("fd7a::2", 999, "fd7a::1", 22);
	assert_false(filter_in(w->filter, made(&syn), w->now_ms).reject);
}

static void test_messages_of_the_mesh_are_for_the_node(void **state)
{
	struct world *w = *state;
	struct tsmp ping = { .kind = TSMP_PING, .cookie = "12345678" };
	struct made_packet m;

	ping.from = ip_of("100.64.0.2");
	ping.to = ip_of("100.64.0.1");
	m.size = tsmp_build(&ping, m.bytes);
	assert_int_equal(filter_in(w->filter, made(&m), w->now_ms).verdict, FILTER_TSMP);
	w->shields_up = true;
	use_rules(w, NULL, 0);
	assert_int_equal(filter_in(w->filter, made(&m), w->now_ms).verdict, FILTER_TSMP);
	ping.to = ip_of("100.64.0.7");
	m.size = tsmp_build(&ping, m.bytes);
	assert_int_equal(filter_in(w->filter, made(&m), w->now_ms).verdict, FILTER_DROP);
}

static void test_connections_outlive_a_restart_of_the_node(void **state)
{
	static const struct short_rule rules[] = { { "100.64.0.2", "100.64.0.1", 22, 22, 0 } };
	struct world *w = *state;
	struct made_packet data = tcp("100.64.0.1", 1000, "100.64.0.2", 443, ACK);
	struct made_packet answer = tcp("100.64.0.2", 443, "100.64.0.1", 1000, ACK);

	/* Long after the start nothing is guessed. */
	assert_int_equal(out(w, data), FILTER_BY_RULE);
	assert_int_equal(in(w, answer), FILTER_NO_RULE);
	filter_free(w->filter);
	w->filter = filter_new(w->now_ms);
	use_rules(w, rules, 1);
	assert_int_equal(in(w, answer), FILTER_NO_RULE);
	assert_int_equal(out(w, data), FILTER_BY_FLOW);
	assert_int_equal(in(w, answer), FILTER_BY_FLOW);
	/* A connection of a peer's stays one, and new rules end what was guessed. */
	assert_int_equal(out(w, tcp("100.64.0.1", 22, "100.64.0.2", 9, ACK)), FILTER_BY_RULE);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 22, ACK)), FILTER_BY_RULE);
	use_rules(w, NULL, 0);
	assert_int_equal(in(w, answer), FILTER_NO_RULE);
	assert_int_equal(in(w, tcp("100.64.0.2", 9, "100.64.0.1", 22, ACK)), FILTER_NO_RULE);
}

static void test_a_peer_cannot_push_out_flows_of_ours(void **state)
{
	static const struct short_rule rules[] = { { "*", "*", 0, 65535, 0 } };
	struct world *w = *state;
	struct prng random = { 7 };

	for (uint16_t port = 1; port <= 500; port++)
		out(w, udp("100.64.0.1", port, "100.64.0.2", 53));
	use_rules(w, rules, 1);
	for (int i = 0; i < 150000; i++) {
		uint64_t ports = prng_next(&random);

		assert_int_not_equal(in(w, udp("100.64.0.3", (uint16_t)ports, "100.64.0.1",
					       (uint16_t)(ports >> 16))),
				     FILTER_NO_RULE);
	}
	assert_true(filter_counters(w->filter)->flows <= FILTER_FLOWS_MAX);
	assert_true(filter_counters(w->filter)->flows_evicted > 0);
	use_rules(w, NULL, 0);
	for (uint16_t port = 1; port <= 500; port++)
		assert_int_equal(in(w, udp("100.64.0.2", 53, "100.64.0.1", port)), FILTER_BY_FLOW);
}

static void test_bad_rules_leave_the_old_ones_in_force(void **state)
{
	static const struct short_rule good[] = { { "100.64.0.2", "*", 1, 1, 0 } };
	static const struct short_rule bad[] = { { "100.64.0.0/33", "*", 1, 1, 0 } };
	static const struct short_rule turned[] = { { "*", "*", 2, 1, 0 } };
	struct world *w = *state;
	char why[FILTER_WHY_BYTES];

	use_rules(w, good, 1);
	assert_int_equal(try_rules(w, bad, 1, why), ERR_INVALID);
	assert_string_equal(why, "not an address or a range of them: \"100.64.0.0/33\"");
	assert_int_equal(try_rules(w, turned, 1, why), ERR_INVALID);
	assert_int_equal(in(w, udp("100.64.0.2", 9, "100.64.0.1", 1)), FILTER_BY_RULE);
}

static void test_compiled_rules_agree_with_a_slow_look_at_each(void **state)
{
	static const char *const sources[] = {
		"100.64.0.2",	 "100.64.0.0/30",  "*",
		"fd7a::2",	 "fd7a::/126",	   "100.64.0.3-100.64.0.5",
		"100.64.0.4/31", "fd7a::3-fd7a::9"
	};
	static const char *const targets[] = { "100.64.0.1",   "10.1.0.0/24", "*",
					       "fd7a::1",      "10.1.0.9",    "10.1.0.0/16",
					       "100.64.0.0/24" };
	static const char *const from[2][4] = {
		{ "100.64.0.2", "100.64.0.3", "100.64.0.5", "8.8.8.8" },
		{ "fd7a::2", "fd7a::3", "fd7a::4", "2001:db8::1" }
	};
	static const char *const to[2][4] = { { "100.64.0.1", "10.1.0.9", "10.1.0.10", "10.1.1.9" },
					      { "fd7a::1", "fd7a::1", "fd7a::1", "fd7a::1" } };
	static const uint8_t protocols[] = { 0, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_SCTP };
	struct world *w = *state;
	struct prng random = { 20261122 };
	struct short_rule rules[80];
	int allowed = 0, refused = 0;

	for (int round = 0; round < 60; round++) {
		size_t count = 1 + prng_below(&random, round % 2 ? 80 : 6);

		for (size_t i = 0; i < count; i++) {
			uint16_t first = (uint16_t)prng_below(&random, 12);

			rules[i] = (struct short_rule) {
				sources[prng_below(&random, 8)], targets[prng_below(&random, 7)],
				first, (uint16_t)(first + prng_below(&random, round % 2 ? 2 : 5)),
				protocols[prng_below(&random, 4)]
			};
		}
		use_rules(w, rules, count);
		for (int i = 0; i < 300; i++) {
			int family = (int)prng_below(&random, 2);
			struct ip a = ip_of(from[family][prng_below(&random, 4)]);
			struct ip b = ip_of(to[family][prng_below(&random, 4)]);
			uint16_t port = (uint16_t)prng_below(&random, 16);
			uint8_t protocol = protocols[1 + prng_below(&random, 3)];
			bool expected = false;

			for (size_t j = 0; j < count; j++) {
				struct ip_range source, target;
				bool any_source =
					ip_range_parse(slice_from(rules[j].source), &source);
				bool any_target =
					ip_range_parse(slice_from(rules[j].destination), &target);

				expected |= (any_source || ip_range_contains(&source, a)) &&
					    (any_target || ip_range_contains(&target, b)) &&
					    rules[j].first_port <= port &&
					    port <= rules[j].last_port &&
					    (rules[j].protocol == protocol ||
					     (!rules[j].protocol && protocol != PROTOCOL_SCTP));
			}
			assert_int_equal(filter_allows(w->filter, &a, &b, protocol, port),
					 expected);
			allowed += expected;
			refused += !expected;
		}
	}
	assert_true(allowed > 1000 && refused > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_rules_only_answers_come_in),
		TEST(test_a_rule_lets_in_what_it_names_and_nothing_else),
		TEST(test_only_our_addresses_and_routes_are_reached),
		TEST(test_flows_of_peers_stop_when_rules_no_longer_allow_them),
		TEST(test_an_answer_is_waited_for_only_so_long),
		TEST(test_pings_pass_where_anything_is_allowed),
		TEST(test_errors_come_in_about_what_was_sent),
		TEST(test_what_routers_say_to_neighbours_never_passes),
		TEST(test_protocols_without_ports_need_a_rule_for_all_ports),
		TEST(test_fragments_follow_their_first),
		TEST(test_extension_headers_hide_nothing),
		TEST(test_cut_off_packets_are_malformed),
		TEST(test_shields_up_lets_only_answers_in),
		TEST(test_open_ports_are_reached_by_everybody),
		TEST(test_a_refused_connection_is_told_why),
		TEST(test_messages_of_the_mesh_are_for_the_node),
		TEST(test_connections_outlive_a_restart_of_the_node),
		TEST(test_a_peer_cannot_push_out_flows_of_ours),
		TEST(test_bad_rules_leave_the_old_ones_in_force),
		TEST(test_compiled_rules_agree_with_a_slow_look_at_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
