#include "wire/control/filter.h"

#include "wire/control/filter_read.h"
#include "wire/control/json_writer.h"

/* --- writing -----------------------------------------------------------------------------------
 */

/* The number of bits if a range is a prefix, -1 if not. */
static int prefix_bits(const struct control_ip_set *s)
{
	for (unsigned bits = 0; bits <= ip_bits(s->first); bits++) {
		struct ip_prefix p = { s->first, (uint8_t)bits };

		if (ip_equal(ip_prefix_masked(p).ip, s->first) &&
		    ip_equal(ip_prefix_last(p), s->last))
			return (int)bits;
	}
	return -1;
}

static void put_ips(struct json_writer *w, const struct control_ip_set *s)
{
	char text[2 * IP_PREFIX_TEXT_BYTES], first[IP_TEXT_BYTES], last[IP_TEXT_BYTES];
	struct buf cap;

	switch (s->kind) {
	case CONTROL_IPS_ANY:
		json_text(w, SLICE("*"));
		return;
	case CONTROL_IPS_CAP:
		buf_init(&cap);
		buf_add_text(&cap, "cap:");
		buf_add_slice(&cap, s->cap);
		json_text(w, buf_slice(&cap));
		buf_done(&cap);
		return;
	case CONTROL_IPS_RANGE:
		break;
	}
	int bits = prefix_bits(s);
	ip_text(s->first, first);
	ip_text(s->last, last);
	if (bits == (int)ip_bits(s->first))
		snprintf(text, sizeof(text), "%s", first);
	else if (bits >= 0)
		snprintf(text, sizeof(text), "%s/%d", first, bits);
	else
		snprintf(text, sizeof(text), "%s-%s", first, last);
	json_text(w, slice_from(text));
}

static void put_destinations(struct json_writer *w, const struct control_rule *rule)
{
	json_name(w, "DstPorts");
	json_begin(w, '[');
	for (size_t i = 0; i < rule->destination_count; i++) {
		json_begin(w, '{');
		json_name(w, "IP");
		put_ips(w, &rule->destinations[i].ips);
		json_name(w, "Ports");
		json_begin(w, '{');
		json_put_int(w, "First", rule->destinations[i].first);
		json_put_int(w, "Last", rule->destinations[i].last);
		json_end(w, '}');
		json_end(w, '}');
	}
	json_end(w, ']');
}

static void put_grants(struct json_writer *w, const struct control_rule *rule)
{
	json_name(w, "CapGrant");
	json_begin(w, '[');
	for (size_t i = 0; i < rule->grant_count; i++) {
		const struct control_grant *grant = &rule->grants[i];

		json_begin(w, '{');
		json_put_prefixes(w, "Dsts", grant->destinations, grant->destination_count);
		json_put_caps(w, "CapMap", grant->caps, grant->cap_count);
		json_end(w, '}');
	}
	json_end(w, ']');
}

void control_rules_encode(struct buf *b, const struct control_rule *rules, size_t count)
{
	struct json_writer w = { .b = b };

	json_begin(&w, '[');
	for (size_t i = 0; i < count; i++) {
		json_begin(&w, '{');
		json_name(&w, "SrcIPs");
		json_begin(&w, '[');
		for (size_t k = 0; k < rules[i].source_count; k++)
			put_ips(&w, &rules[i].sources[k]);
		json_end(&w, ']');
		if (rules[i].protocol_count) {
			json_name(&w, "IPProto");
			json_begin(&w, '[');
			for (size_t k = 0; k < rules[i].protocol_count; k++)
				json_int(&w, rules[i].protocols[k]);
			json_end(&w, ']');
		}
		if (rules[i].destination_count)
			put_destinations(&w, &rules[i]);
		if (rules[i].grant_count)
			put_grants(&w, &rules[i]);
		json_end(&w, '}');
	}
	json_end(&w, ']');
}

/* --- reading -----------------------------------------------------------------------------------
 */

static struct control_ip_set read_ips(struct json_reader *r, const json_t *value)
{
	struct slice text = json_text_value(r, value, CONTROL_NAME_BYTES_MAX);
	struct control_ip_set s = { .kind = CONTROL_IPS_RANGE };
	struct slice last = text;
	struct ip_prefix prefix;

	if (slice_equal(text, SLICE("*"))) {
		s.kind = CONTROL_IPS_ANY;
		return s;
	}
	if (slice_starts_with(text, SLICE("cap:"))) {
		s.kind = CONTROL_IPS_CAP;
		s.cap = slice_part(text, 4, text.size);
		return s;
	}
	if (!ip_prefix_parse(text, &prefix)) {
		s.first = prefix.ip;
		s.last = ip_prefix_last(prefix);
		return s;
	}
	struct slice first = slice_cut(&last, '-');
	if (ip_parse(first, &s.first) || ip_parse(last, &s.last) ||
	    s.first.family != s.last.family || ip_compare(s.first, s.last) > 0)
		json_reader_fail(r, ERR_INVALID);
	return s;
}

static void read_destinations(struct json_reader *r, const json_t *object, struct control_rule *ret)
{
	const json_t *array = json_get_array(r, object, "DstPorts", CONTROL_RULE_ITEMS_MAX);
	size_t count = json_array_size(array);
	struct control_ports *ports = count ? arena_take_array(r->a, count, sizeof(*ports)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);
		const json_t *range = json_get_object(r, it, "Ports", CONTROL_MEMBERS_MAX);

		ports[i].ips = read_ips(r, json_object_get(it, "IP"));
		ports[i].first = (uint16_t)json_get_int(r, range, "First", 0, UINT16_MAX);
		ports[i].last = (uint16_t)json_get_int(r, range, "Last", 0, UINT16_MAX);
		if (ports[i].ips.kind == CONTROL_IPS_CAP || !range ||
		    ports[i].first > ports[i].last)
			json_reader_fail(r, ERR_INVALID);
	}
	ret->destinations = ports;
	ret->destination_count = count;
}

static void read_protocols(struct json_reader *r, const json_t *object, struct control_rule *ret)
{
	const json_t *array = json_get_array(r, object, "IPProto", UINT8_MAX);
	size_t count = json_array_size(array);
	uint8_t *protocols = count ? arena_take(r->a, count) : NULL;

	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);

		if (!json_is_integer(it) || json_integer_value(it) < 0 ||
		    json_integer_value(it) > UINT8_MAX)
			json_reader_fail(r, ERR_INVALID);
		protocols[i] = (uint8_t)json_integer_value(it);
	}
	ret->protocols = protocols;
	ret->protocol_count = count;
}

/* The old list of names beside the map. */
static void add_cap_names(struct json_reader *r, const json_t *object, struct control_grant *grant)
{
	size_t count;
	struct slice *names = json_get_texts(r, object, "Caps", CONTROL_CAPS_MAX, &count);

	if (count == 0)
		return;
	struct control_cap *caps = arena_take_array(r->a, grant->cap_count + count, sizeof(*caps));
	for (size_t i = 0; i < grant->cap_count; i++)
		caps[i] = grant->caps[i];
	for (size_t i = 0; i < count; i++)
		caps[grant->cap_count + i] = (struct control_cap) { names[i], SLICE("[]") };
	grant->caps = caps;
	grant->cap_count += count;
}

static void read_grants(struct json_reader *r, const json_t *object, struct control_rule *ret)
{
	const json_t *array = json_get_array(r, object, "CapGrant", CONTROL_CAPS_MAX);
	size_t count = json_array_size(array);
	struct control_grant *grants =
		count ? arena_take_array(r->a, count, sizeof(*grants)) : NULL;

	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);

		grants[i].destinations = json_get_prefixes(r, it, "Dsts", CONTROL_RULE_ITEMS_MAX,
							   &grants[i].destination_count);
		grants[i].caps = json_get_caps(r, it, "CapMap", &grants[i].cap_count);
		add_cap_names(r, it, &grants[i]);
	}
	ret->grants = grants;
	ret->grant_count = count;
}

struct control_rule *rules_read(struct json_reader *r, const json_t *array, size_t *ret_count)
{
	size_t count = json_array_size(array);

	if (count > CONTROL_RULES_MAX) {
		json_reader_fail(r, ERR_TOO_BIG);
		count = 0;
	}
	struct control_rule *rules = count ? arena_take_array(r->a, count, sizeof(*rules)) : NULL;
	for (size_t i = 0; i < count; i++) {
		const json_t *it = json_array_get(array, i);
		const json_t *sources = json_get_array(r, it, "SrcIPs", CONTROL_RULE_ITEMS_MAX);
		struct control_ip_set *ips = NULL;

		if (!json_is_object(it))
			json_reader_fail(r, ERR_INVALID);
		rules[i].source_count = json_array_size(sources);
		if (rules[i].source_count)
			ips = arena_take_array(r->a, rules[i].source_count, sizeof(*ips));
		for (size_t k = 0; k < rules[i].source_count; k++)
			ips[k] = read_ips(r, json_array_get(sources, k));
		rules[i].sources = ips;
		read_protocols(r, it, &rules[i]);
		read_destinations(r, it, &rules[i]);
		read_grants(r, it, &rules[i]);
	}
	*ret_count = count;
	return rules;
}
