/* What the packet filter of the mesh costs for each packet: of a flow it knows, of one that begins,
 * of one that is refused, with few and many rules and flows; and what it costs to compile rules. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "mesh/filter/filter.h"
#include "mesh/filter/packet_testing.h"

enum { ROUNDS = 5, PACKETS = 200000, NAME_WIDTH = 52 };

struct load {
	struct filter *filter;
	struct made_packet *packets;
	size_t count;
	bool is_out;
	uint64_t accepted; /* used, so that nothing is optimised away */
};

static double best_ns(struct load *l)
{
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = clock_now_us();

		for (size_t i = 0; i < PACKETS; i++) {
			struct slice packet = made(&l->packets[i % l->count]);

			l->accepted += (l->is_out ? filter_out(l->filter, packet, 1000)
						  : filter_in(l->filter, packet, 1000))
					       .verdict == FILTER_ACCEPT;
		}
		double ns = (double)(clock_now_us() - start) * 1000 / PACKETS;
		if (ns < best)
			best = ns;
	}
	return best;
}

static void print(const char *what, double number, const char *unit)
{
	printf("%-*s %10.1f %s\n", NAME_WIDTH, what, number, unit);
}

/* Rule i: 100.64.x.y may reach port 1000 + i of this machine. */
static double use_rules(struct filter *f, size_t count)
{
	struct filter_rule *rules = memory_take_array(count, sizeof(*rules));
	struct filter_destination *to = memory_take_array(count, sizeof(*to));
	struct slice *from = memory_take_array(count, sizeof(*from));
	struct ip_range local = { ip_of("100.64.0.1"), ip_of("100.64.0.1") };
	struct filter_config config = { rules, count, .local = &local, .local_count = 1 };
	char(*texts)[32] = memory_take_array(count, sizeof(*texts));
	char why[FILTER_WHY_BYTES];
	uint64_t start;

	for (size_t i = 0; i < count; i++) {
		snprintf(texts[i], sizeof(texts[i]), "100.65.%d.%d", (int)(i / 256),
			 (int)(i % 256));
		from[i] = slice_from(texts[i]);
		to[i] = (struct filter_destination) { SLICE("100.64.0.1"), (uint16_t)(1000 + i),
						      (uint16_t)(1000 + i) };
		rules[i] = (struct filter_rule) { .sources = &from[i],
						  .source_count = 1,
						  .destinations = &to[i],
						  .destination_count = 1 };
	}
	start = clock_now_us();
	if (filter_configure(f, &config, why))
		abort();
	start = clock_now_us() - start;
	memory_free(rules);
	memory_free(to);
	memory_free(from);
	memory_free(texts);
	return (double)start / 1000;
}

static void fill(struct load *l, uint8_t protocol, uint8_t flags, uint16_t port)
{
	for (size_t i = 0; i < l->count; i++) {
		uint16_t other = (uint16_t)(1 + i);

		l->packets[i] = l->is_out ? make_packet("100.64.0.1", other, "100.65.0.9", port,
							protocol, flags)
					  : make_packet("100.65.0.9", port, "100.64.0.1", other,
							protocol, flags);
	}
}

static void measure_flows(size_t rules, size_t flows)
{
	struct load l = { .filter = filter_new(0), .count = flows };
	char what[NAME_WIDTH + 1];
	double ms = use_rules(l.filter, rules);

	l.packets = memory_take_array(flows, sizeof(*l.packets));
	snprintf(what, sizeof(what), "compile %zu rules", rules);
	print(what, ms, "ms");
	l.is_out = true;
	fill(&l, PROTOCOL_UDP, 0, 53);
	snprintf(what, sizeof(what), "out, %zu rules, %zu flows", rules, flows);
	print(what, best_ns(&l), "ns");
	l.is_out = false;
	fill(&l, PROTOCOL_UDP, 0, 53);
	snprintf(what, sizeof(what), "in, answer, %zu rules, %zu flows", rules, flows);
	print(what, best_ns(&l), "ns");
	fill(&l, PROTOCOL_TCP, PACKET_TCP_SYN, 99);
	for (size_t i = 0; i < l.count; i++)
		put_u16(l.packets[i].bytes + 22, 1009);
	snprintf(what, sizeof(what), "in, beginning, allowed, %zu rules", rules);
	print(what, best_ns(&l), "ns");
	for (size_t i = 0; i < l.count; i++)
		put_u16(l.packets[i].bytes + 22, 1008);
	snprintf(what, sizeof(what), "in, beginning, refused, %zu rules", rules);
	print(what, best_ns(&l), "ns");
	if (!l.accepted)
		abort();
	memory_free(l.packets);
	filter_free(l.filter);
}

int main(void)
{
	measure_flows(10, 10);
	measure_flows(1000, 1000);
	measure_flows(4000, 40000);
	return 0;
}
