/* Packets of any form, in both directions, through a filter with a few rules; the first byte of
 * each says its direction and how much time passes, the second its size.  What came in without
 * having been let in by the rules needs something that went out before. */
#include <assert.h>
#include <stdio.h>

#include "mesh/filter/filter.h"
#include "mesh/filter/packet.h"
#include "mesh/filter/tsmp.h"

static void use_rules(struct filter *f)
{
	static const uint8_t gre = 47;
	const struct slice sources[] = { SLICE("100.64.0.0/24"), SLICE("fd7a::/64") };
	const struct filter_destination destinations[] = { { SLICE("*"), 22, 80 },
							   { SLICE("100.64.0.1"), 0, 65535 } };
	struct ip_range local[2] = { ip_range_all(IP_V4), ip_range_all(IP_V6) };
	const struct filter_rule rules[] = {
		{ sources, 2, NULL, 0, destinations, 1 },
		{ sources, 1, &gre, 1, destinations, 2 },
	};
	struct filter_config config = {
		.rules = rules, .rule_count = 2, .local = local, .local_count = 2
	};
	char why[FILTER_WHY_BYTES];
	enum err err = filter_configure(f, &config, why);

	assert(!err);
}

static void judge(struct filter *f, bool is_out, struct slice packet, uint64_t now_ms,
		  uint64_t *sent)
{
	struct filter_answer a =
		is_out ? filter_out(f, packet, now_ms) : filter_in(f, packet, now_ms);
	uint8_t reject[FILTER_REJECT_BYTES_MAX];
	struct tsmp message;
	struct packet p;

	assert((a.verdict == FILTER_DROP) == (a.reason >= FILTER_NO_RULE));
	assert(a.reason == FILTER_MALFORMED || packet_parse(packet, &p));
	if (is_out)
		*sent += a.verdict == FILTER_ACCEPT;
	else if (a.reason == FILTER_BY_FLOW && !*sent)
		assert(filter_counters(f)->in[FILTER_BY_RULE] > 0);
	if (a.reject) {
		size_t size = filter_reject(f, packet, reject);
		enum err err = tsmp_parse((struct slice) { reject, size }, &message);

		assert(!err && message.kind == TSMP_REJECT);
	}
	(void)tsmp_parse(packet, &message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct filter *f = filter_new(0);
	uint64_t now_ms = 0, sent = 0;

	use_rules(f);
	while (size >= 2) {
		size_t packet = data[1] < size - 2 ? data[1] : size - 2;

		now_ms += (uint64_t)(data[0] >> 1) * 700;
		judge(f, data[0] & 1, (struct slice) { data + 2, packet }, now_ms, &sent);
		data += 2 + packet;
		size -= 2 + packet;
	}
	filter_free(f);
	return 0;
}
