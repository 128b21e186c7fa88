#include "mesh/filter/rules.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/memory.h"
#include "mesh/filter/intervals.h"

struct rules {
	struct arena arena;
	size_t words;				      /* of a set of pairs */
	struct intervals sources[2], destinations[2]; /* by family: IPv6, IPv4 */
	struct intervals ports, protocols, local[2];
	uint64_t *all_ports; /* the pairs with ports 0-65535 */
	struct ip open_addresses[FILTER_OPEN_PORTS_MAX];
	size_t open_address_count;
	uint16_t open_ports[FILTER_OPEN_PORTS_MAX];
	size_t open_port_count;
	bool shields_up;
	struct hash128 hash;
};

/* The tables of a rules while they are filled. */
struct compiler {
	const struct filter_config *config;
	struct rules *rules;
	struct intervals_builder sources[2], destinations[2], ports, protocols, local[2];
	size_t ranges;
	char *why;
};

static const uint8_t usual_protocols[] = { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP,
					   PROTOCOL_ICMPV6 };

static enum err complain(struct compiler *c, enum err err, const char *what, struct slice text)
{
	snprintf(c->why, FILTER_WHY_BYTES, "%s: \"%.*s\"", what,
		 text.size > 60 ? 60 : (int)text.size, (const char *)text.data);
	return err;
}

static enum err add_range(struct compiler *c, struct intervals_builder tables[2],
			  const struct ip_range *r, size_t bit, size_t bit_count)
{
	if (++c->ranges > FILTER_RANGES_MAX)
		return complain(c, ERR_TOO_BIG, "too many sources and destinations", SLICE(""));
	intervals_add(&tables[r->first.family == IP_V4], r, bit, bit_count);
	return OK;
}

static enum err add_address(struct compiler *c, struct intervals_builder tables[2],
			    struct slice text, size_t bit, size_t bit_count)
{
	struct ip_range range = ip_range_all(IP_V4), all_6 = ip_range_all(IP_V6);
	enum err err;

	if (slice_equal(text, SLICE("*"))) {
		err = add_range(c, tables, &range, bit, bit_count);
		return err ? err : add_range(c, tables, &all_6, bit, bit_count);
	}
	if (ip_range_parse(text, &range))
		return complain(c, ERR_INVALID, "not an address or a range of them", text);
	return add_range(c, tables, &range, bit, bit_count);
}

static enum err add_source(struct compiler *c, struct slice text, size_t bit, size_t bit_count)
{
	const struct filter_config *config = c->config;
	struct slice capability;

	if (!slice_starts_with(text, SLICE("cap:")))
		return add_address(c, c->sources, text, bit, bit_count);
	capability = slice_part(text, strlen("cap:"), SIZE_MAX);
	for (size_t i = 0; i < config->holder_count; i++) {
		enum err err;

		if (!slice_equal(config->holders[i].capability, capability))
			continue;
		err = add_range(c, c->sources, &config->holders[i].address, bit, bit_count);
		if (err)
			return err;
	}
	return OK;
}

static void add_numbers(struct intervals_builder *b, uint16_t first, uint16_t last, size_t bit,
			size_t bit_count)
{
	struct ip_range r = { interval_number(first), interval_number(last) };

	intervals_add(b, &r, bit, bit_count);
}

static enum err add_destination(struct compiler *c, const struct filter_destination *d, size_t bit)
{
	if (d->first_port > d->last_port)
		return complain(c, ERR_INVALID, "the first port is behind the last", d->address);
	add_numbers(&c->ports, d->first_port, d->last_port, bit, 1);
	if (d->first_port == 0 && d->last_port == UINT16_MAX)
		c->rules->all_ports[bit / 64] |= (uint64_t)1 << (bit % 64);
	return add_address(c, c->destinations, d->address, bit, 1);
}

static enum err add_rule(struct compiler *c, const struct filter_rule *rule, size_t bit)
{
	const uint8_t *protocols = rule->protocol_count ? rule->protocols : usual_protocols;
	size_t protocol_count =
		rule->protocol_count ? rule->protocol_count : sizeof(usual_protocols);
	enum err err = OK;

	if (rule->destination_count == 0)
		return OK;
	for (size_t i = 0; i < protocol_count; i++)
		add_numbers(&c->protocols, protocols[i], protocols[i], bit,
			    rule->destination_count);
	for (size_t i = 0; !err && i < rule->source_count; i++)
		err = add_source(c, rule->sources[i], bit, rule->destination_count);
	for (size_t i = 0; !err && i < rule->destination_count; i++)
		err = add_destination(c, &rule->destinations[i], bit + i);
	return err;
}

static enum err check_limits(struct compiler *c, size_t *ret_pairs)
{
	const struct filter_config *config = c->config;
	size_t pairs = 0, protocols = 0;

	for (size_t i = 0; i < config->rule_count; i++) {
		if (pairs + config->rules[i].destination_count > FILTER_RULES_MAX ||
		    protocols + config->rules[i].protocol_count > FILTER_RANGES_MAX)
			return complain(c, ERR_TOO_BIG, "too many rules", SLICE(""));
		pairs += config->rules[i].destination_count;
		protocols += config->rules[i].protocol_count;
	}
	if (config->local_count > FILTER_LOCAL_MAX)
		return complain(c, ERR_TOO_BIG, "too many routes of our own", SLICE(""));
	if (config->open_port_count > FILTER_OPEN_PORTS_MAX ||
	    config->open_address_count > FILTER_OPEN_PORTS_MAX)
		return complain(c, ERR_TOO_BIG, "too many open ports", SLICE(""));
	*ret_pairs = pairs;
	return OK;
}

static enum err build_tables(struct compiler *c)
{
	struct rules *r = c->rules;
	struct arena *a = &r->arena;
	enum err err = intervals_build(a, &c->ports, r->words, &r->ports);

	if (!err)
		err = intervals_build(a, &c->protocols, r->words, &r->protocols);
	for (int family = 0; !err && family < 2; family++) {
		err = intervals_build(a, &c->sources[family], r->words, &r->sources[family]);
		if (!err)
			err = intervals_build(a, &c->destinations[family], r->words,
					      &r->destinations[family]);
		if (!err)
			err = intervals_build(a, &c->local[family], 1, &r->local[family]);
	}
	return err ? complain(c, err, "the rules are too many to compile", SLICE("")) : OK;
}

static enum err compile(struct compiler *c)
{
	const struct filter_config *config = c->config;
	struct rules *r = c->rules;
	size_t pairs, bit = 0;
	enum err err = check_limits(c, &pairs);

	if (err)
		return err;
	r->words = pairs / 64 + 1;
	r->all_ports = arena_take_array(&r->arena, r->words, sizeof(*r->all_ports));
	for (size_t i = 0; i < config->rule_count; i++) {
		err = add_rule(c, &config->rules[i], bit);
		if (err)
			return err;
		bit += config->rules[i].destination_count;
	}
	for (size_t i = 0; i < config->local_count; i++)
		intervals_add(&c->local[config->local[i].first.family == IP_V4], &config->local[i],
			      0, 1);
	for (size_t i = 0; i < config->open_address_count; i++)
		r->open_addresses[i] = config->open_addresses[i];
	for (size_t i = 0; i < config->open_port_count; i++)
		r->open_ports[i] = config->open_ports[i];
	r->open_address_count = config->open_address_count;
	r->open_port_count = config->open_port_count;
	r->shields_up = config->shields_up;
	return build_tables(c);
}

static void add_text(struct buf *b, struct slice text)
{
	buf_add_u32(b, (uint32_t)text.size);
	buf_add_slice(b, text);
}

static void add_ranges(struct buf *b, const struct ip_range *ranges, size_t count)
{
	buf_add_u32(b, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		buf_add(b, &ranges[i], sizeof(ranges[i]));
}

static struct hash128 hash_config(const struct filter_config *c)
{
	struct hash128 hash;
	struct buf b;

	buf_init(&b);
	buf_add_u32(&b, (uint32_t)c->rule_count);
	for (size_t i = 0; i < c->rule_count; i++) {
		const struct filter_rule *rule = &c->rules[i];

		buf_add_u32(&b, (uint32_t)rule->source_count);
		for (size_t j = 0; j < rule->source_count; j++)
			add_text(&b, rule->sources[j]);
		add_text(&b, (struct slice) { rule->protocols, rule->protocol_count });
		buf_add_u32(&b, (uint32_t)rule->destination_count);
		for (size_t j = 0; j < rule->destination_count; j++) {
			add_text(&b, rule->destinations[j].address);
			buf_add_u16(&b, rule->destinations[j].first_port);
			buf_add_u16(&b, rule->destinations[j].last_port);
		}
	}
	buf_add_u32(&b, (uint32_t)c->holder_count);
	for (size_t i = 0; i < c->holder_count; i++) {
		add_text(&b, c->holders[i].capability);
		add_ranges(&b, &c->holders[i].address, 1);
	}
	add_ranges(&b, c->local, c->local_count);
	buf_add_u32(&b, (uint32_t)c->open_address_count);
	for (size_t i = 0; i < c->open_address_count; i++)
		buf_add(&b, &c->open_addresses[i], sizeof(c->open_addresses[i]));
	for (size_t i = 0; i < c->open_port_count; i++)
		buf_add_u16(&b, c->open_ports[i]);
	buf_add_u8(&b, c->shields_up);
	hash = hash_content(buf_slice(&b));
	buf_done(&b);
	return hash;
}

bool rules_equal(const struct rules *r, const struct filter_config *config)
{
	return hash128_equal(r->hash, hash_config(config));
}

enum err rules_new(const struct filter_config *config, char ret_why[FILTER_WHY_BYTES],
		   struct rules **ret)
{
	struct rules *r = NEW(struct rules);
	struct compiler c = { .config = config, .rules = r, .why = ret_why };
	struct intervals_builder *builders[] = { &c.sources[0],	     &c.sources[1],
						 &c.destinations[0], &c.destinations[1],
						 &c.ports,	     &c.protocols,
						 &c.local[0],	     &c.local[1] };
	enum err err;

	arena_init(&r->arena);
	for (size_t i = 0; i < sizeof(builders) / sizeof(builders[0]); i++)
		intervals_builder_init(builders[i]);
	err = compile(&c);
	for (size_t i = 0; i < sizeof(builders) / sizeof(builders[0]); i++)
		intervals_builder_done(builders[i]);
	if (err) {
		rules_free(r);
		return err;
	}
	r->hash = hash_config(config);
	*ret = r;
	return OK;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	arena_done(&r->arena);
	memory_free(r);
}

static bool share_a_bit(size_t words, const uint64_t *const *sets, size_t set_count)
{
	for (size_t i = 0; i < set_count; i++)
		if (!sets[i])
			return false;
	for (size_t word = 0; word < words; word++) {
		uint64_t common = UINT64_MAX;

		for (size_t i = 0; i < set_count; i++)
			common &= sets[i][word];
		if (common)
			return true;
	}
	return false;
}

bool rules_know(const struct rules *r, const struct ip *source, const struct ip *destination)
{
	bool is_4 = source->family == IP_V4;
	const uint64_t *sets[] = { intervals_find(&r->sources[is_4], source),
				   intervals_find(&r->destinations[is_4], destination) };

	return !r->shields_up && share_a_bit(r->words, sets, 2);
}

bool rules_allow(const struct rules *r, const struct packet *p)
{
	struct ip port = interval_number(p->destination_port);
	struct ip protocol = interval_number(p->protocol);
	const uint64_t *sets[] = {
		intervals_find(&r->sources[p->is_4], &p->source),
		intervals_find(&r->destinations[p->is_4], &p->destination),
		intervals_find(&r->protocols, &protocol),
		p->kind == PACKET_PORTS ? intervals_find(&r->ports, &port) : r->all_ports,
	};

	if (r->shields_up)
		return false;
	return share_a_bit(r->words, sets, p->kind == PACKET_ECHO_REQUEST ? 2 : 4);
}

bool rules_is_local(const struct rules *r, const struct ip *a)
{
	return intervals_find(&r->local[a->family == IP_V4], a);
}

bool rules_is_open_port(const struct rules *r, const struct packet *p)
{
	bool is_open_address = false;

	if (p->protocol != PROTOCOL_TCP || p->kind != PACKET_PORTS)
		return false;
	for (size_t i = 0; i < r->open_address_count; i++)
		is_open_address |= ip_equal(r->open_addresses[i], p->destination);
	for (size_t i = 0; is_open_address && i < r->open_port_count; i++)
		if (r->open_ports[i] == p->destination_port)
			return true;
	return false;
}

bool rules_shields_up(const struct rules *r)
{
	return r->shields_up;
}
