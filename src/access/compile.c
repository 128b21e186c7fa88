#include "access/compile.h"

#include <assert.h>
#include <stdlib.h>

#include "access/compile_parts.h"
#include "base/map.h"
#include "base/memory.h"

/* --- sources: intervals and sets ------------------------------------------------------------ */

static int compare_ips(const void *a, const void *b)
{
	return ip_compare(*(const struct ip *)a, *(const struct ip *)b);
}

void edges_add(struct buf *edges, const struct ip_range *r)
{
	struct ip behind;

	buf_add(edges, &r->first, sizeof(r->first));
	if (ip_next(r->last, &behind))
		buf_add(edges, &behind, sizeof(behind));
}

size_t edges_sort(struct buf *edges)
{
	struct ip *all = (struct ip *)(void *)edges->data;
	size_t count = edges->size / sizeof(*all), n = 0;

	if (count == 0)
		return 0;
	qsort(all, count, sizeof(*all), compare_ips);
	for (size_t i = 0; i < count; i++)
		if (n == 0 || !ip_equal(all[n - 1], all[i]))
			all[n++] = all[i];
	edges->size = n * sizeof(*all);
	return n;
}

static void collect_sources(struct compiler *c, struct buf *edges)
{
	const struct ip_family_list {
		enum ip_family items[2];
	} families = { { IP_V4, IP_V6 } };

	for (int i = 0; i < 2; i++) {
		struct ip_range all = ip_range_all(families.items[i]);
		struct ip_range mesh = access_mesh_addresses(families.items[i]);

		edges_add(edges, &all);
		edges_add(edges, &mesh);
	}
	for (size_t i = 0; i < c->world->machine_count; i++) {
		const struct access_machine *m = &c->world->machines[i];

		for (size_t j = 0; j < m->address_count; j++) {
			struct ip_range one = ip_range_one(m->addresses[j]);
			edges_add(edges, &one);
		}
		for (size_t j = 0; j < m->route_count; j++) {
			struct ip_range route = ip_range_of(m->routes[j]);
			if (m->routes[j].bits > 0)
				edges_add(edges, &route);
		}
	}
	for (size_t i = 0; i < c->policy->rule_count; i++)
		for (size_t j = 0; j < c->policy->rules[i].source_count; j++)
			if (c->policy->rules[i].sources[j].kind == PRINCIPAL_RANGE)
				edges_add(edges, &c->policy->rules[i].sources[j].range);
}

/* Each interval stands for its first address; that of a machine's own is alone in its interval. */
static void describe_intervals(struct compiler *c)
{
	c->subjects = arena_take_array(&c->arena, c->interval_count, sizeof(*c->subjects));
	for (size_t i = 0; i < c->interval_count; i++)
		c->subjects[i] = (struct subject) { .has_ip = true, .ip = c->starts[i] };
	for (size_t i = 0; i < c->world->machine_count; i++) {
		const struct access_machine *m = &c->world->machines[i];

		for (size_t j = 0; j < m->address_count; j++) {
			size_t at = compiler_interval(c, m->addresses[j]);

			c->subjects[at] = subject_of(m, m->addresses[j]);
		}
	}
}

/* The intervals of its addresses, and of the networks behind it. */
static void list_intervals(struct compiler *c, const struct access_machine *m, struct buf *ret)
{
	for (size_t i = 0; i < m->address_count; i++) {
		uint32_t at = (uint32_t)compiler_interval(c, m->addresses[i]);
		buf_add(ret, &at, sizeof(at));
	}
	for (size_t i = 0; i < m->route_count; i++) {
		struct ip_range route = ip_range_of(m->routes[i]);
		uint32_t at = (uint32_t)compiler_interval(c, route.first);

		for (; m->routes[i].bits > 0 && at < c->interval_count &&
		       ip_range_contains(&route, c->starts[at]);
		     at++)
			buf_add(ret, &at, sizeof(at));
	}
}

static void describe_machines(struct compiler *c)
{
	struct buf list;

	c->machines =
		arena_take_array(&c->arena, c->world->machine_count + 1, sizeof(*c->machines));
	buf_init(&list);
	for (size_t i = 0; i < c->world->machine_count; i++) {
		buf_clear(&list);
		list_intervals(c, &c->world->machines[i], &list);
		c->machines[i] = (struct interval_list) {
			(const uint32_t *)(const void *)arena_copy(&c->arena, buf_slice(&list))
				.data,
			list.size / sizeof(uint32_t)
		};
	}
	buf_done(&list);
}

size_t compiler_interval(const struct compiler *c, struct ip ip)
{
	size_t low = 0, high = c->interval_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ip_compare(c->starts[middle], ip) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	assert(low > 0);
	return low - 1;
}

static uint64_t *new_set(struct compiler *c)
{
	c->set_bytes += c->words * sizeof(uint64_t);
	return arena_take_array(&c->arena, c->words, sizeof(uint64_t));
}

/* All intervals that an entry means; the same entry of several rules is looked at once. */
static const uint64_t *principal_set(struct compiler *c, const struct principal *p)
{
	uint64_t *set = map_get(&c->principal_sets, p->text);

	if (set)
		return set;
	set = new_set(c);
	for (size_t i = 0; i < c->interval_count; i++)
		if (principal_is_source(p, c->world, &c->subjects[i]))
			set[i / 64] |= (uint64_t)1 << (i % 64);
	map_put(&c->principal_sets, p->text, set);
	return set;
}

static enum err describe_rules(struct compiler *c)
{
	const struct policy *p = c->policy;

	c->rule_sets = arena_take_array(&c->arena, p->rule_count + 1, sizeof(*c->rule_sets));
	for (size_t i = 0; i < p->rule_count; i++) {
		uint64_t *set = new_set(c);

		for (size_t j = 0; j < p->rules[i].source_count; j++) {
			const uint64_t *of = principal_set(c, &p->rules[i].sources[j]);

			for (size_t word = 0; word < c->words; word++)
				set[word] |= of[word];
			if (c->set_bytes > COMPILE_SETS_BYTES_MAX)
				return ERR_TOO_BIG;
		}
		c->rule_sets[i] = set;
	}
	return OK;
}

/* --- protocols ------------------------------------------------------------------------------ */

static bool add_protocol(struct compiler *c, int protocol)
{
	if (protocol == POLICY_USUAL_PROTOCOLS)
		return true;
	for (size_t i = 0; i < c->protocol_count; i++)
		if (c->protocols[i] == protocol)
			return true;
	if (c->protocol_count == COMPILE_PROTOCOLS_MAX)
		return false;
	c->protocols[c->protocol_count++] = (uint8_t)protocol;
	return true;
}

static enum err collect_protocols(struct compiler *c)
{
	const struct policy *p = c->policy;

	add_protocol(c, COMPILE_TCP);
	add_protocol(c, COMPILE_UDP);
	add_protocol(c, COMPILE_ICMP);
	for (size_t i = 0; i < p->rule_count; i++)
		for (size_t j = 0; j < p->rules[i].target_count; j++)
			for (size_t k = 0; k < p->rules[i].targets[j].service_count; k++)
				if (!add_protocol(c, p->rules[i].targets[j].services[k].protocol))
					return ERR_TOO_BIG;
	return OK;
}

/* --- the whole ------------------------------------------------------------------------------ */

enum err compiler_new(const struct policy *policy, const struct access_world *world,
		      struct compiler **ret)
{
	struct compiler *c = NEW(struct compiler);
	struct buf edges;
	enum err err;

	c->policy = policy;
	c->world = world;
	arena_init(&c->arena);
	map_init(&c->principal_sets);
	buf_init(&edges);
	collect_sources(c, &edges);
	c->interval_count = edges_sort(&edges);
	c->starts = (const struct ip *)(const void *)arena_copy(&c->arena, buf_slice(&edges)).data;
	c->words = c->interval_count / 64 + 1;
	buf_done(&edges);
	describe_intervals(c);
	describe_machines(c);
	err = collect_protocols(c);
	if (!err)
		err = describe_rules(c);
	if (!err && c->set_bytes + world->machine_count * c->words * 8 > COMPILE_SETS_BYTES_MAX)
		err = ERR_TOO_BIG;
	if (err) {
		compiler_free(c);
		return err;
	}
	c->reach = arena_take_array(&c->arena, world->machine_count + 1, sizeof(*c->reach));
	*ret = c;
	return OK;
}

void compiler_free(struct compiler *c)
{
	if (!c)
		return;
	map_done(&c->principal_sets);
	arena_done(&c->arena);
	memory_free(c);
}

const uint64_t *compiler_reach(struct compiler *c, size_t index)
{
	struct compiled_filter filter;
	struct arena a;

	if (!c->reach[index]) {
		arena_init(&a);
		compiler_filter(c, &a, index, &filter);
		arena_done(&a);
	}
	return c->reach[index];
}

uint64_t compiler_steps(const struct compiler *c, bool *ret_is_exceeded)
{
	*ret_is_exceeded = c->is_exceeded;
	return c->steps;
}

static bool reaches(struct compiler *c, size_t from, size_t to)
{
	const struct interval_list *list = &c->machines[from];
	const uint64_t *set = compiler_reach(c, to);

	for (size_t i = 0; i < list->count; i++)
		if (set_has(set, list->items[i]))
			return true;
	return false;
}

bool compiler_sees(struct compiler *c, size_t index, size_t other)
{
	return reaches(c, index, other) || reaches(c, other, index);
}

static bool has_protocol(const struct compiled_rule *rule, uint8_t protocol)
{
	for (size_t i = 0; i < rule->protocol_count; i++)
		if (rule->protocols[i] == protocol)
			return true;
	return rule->protocol_count == 0 &&
	       (protocol == COMPILE_TCP || protocol == COMPILE_UDP || protocol == COMPILE_ICMP ||
		protocol == COMPILE_ICMPV6);
}

static bool has_source(const struct compiled_rule *rule, struct ip from)
{
	for (size_t i = 0; i < rule->source_count; i++)
		if (ip_range_contains(&rule->sources[i], from))
			return true;
	return false;
}

bool compiled_allows(const struct compiled_filter *f, struct ip from, struct ip to,
		     uint8_t protocol, uint16_t port)
{
	if (!policy_protocol_has_ports(protocol))
		port = 0;
	for (size_t i = 0; i < f->rule_count; i++) {
		const struct compiled_rule *rule = &f->rules[i];

		if (!has_protocol(rule, protocol) || !has_source(rule, from))
			continue;
		for (size_t j = 0; j < rule->destination_count; j++) {
			const struct compiled_ports *d = &rule->destinations[j];

			if (!ip_range_contains(&d->range, to))
				continue;
			if (policy_protocol_has_ports(protocol)
				    ? d->first_port <= port && port <= d->last_port
				    : d->first_port == 0 && d->last_port == UINT16_MAX)
				return true;
		}
	}
	return false;
}
