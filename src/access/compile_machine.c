/* The filter of one machine: cells of destination, protocol and ports, each with its sources. */
#include <assert.h>
#include <stdlib.h>

#include "access/compile_parts.h"
#include "base/memory.h"

/* A rule that means something on the part of the machine that is looked at. */
struct active {
	const struct policy_rule *rule;
	const struct policy_target *target;
	const uint64_t *sources;
	bool is_self; /* only from machines of the same user */
};

struct cell {
	const uint64_t *sources; /* equal sets are the same pointer */
	size_t part;
	uint64_t protocols; /* bits of compiler->protocols */
	uint16_t first_port, last_port;
};

struct work {
	struct compiler *c;
	struct arena *a; /* of the result */
	struct arena scratch;
	const struct access_machine *machine;
	bool is_exit;
	struct ip_range *parts; /* of what the machine is and offers */
	size_t part_count;
	struct active *active;
	size_t active_count, active_max;
	uint64_t *own_user; /* intervals that are machines of the same user; NULL: none may be */
	struct buf cells;
	struct map sets;
	uint64_t *reach;
	uint64_t steps;
};

/* --- parts of the machine ------------------------------------------------------------------- */

static bool is_of_machine(const struct access_machine *m, struct ip ip)
{
	for (size_t i = 0; i < m->address_count; i++)
		if (ip_equal(m->addresses[i], ip))
			return true;
	for (size_t i = 0; i < m->route_count; i++)
		if (ip_prefix_has(m->routes[i], ip))
			return true;
	return false;
}

static void collect_parts(struct work *w, struct buf *edges)
{
	const struct policy *p = w->c->policy;
	const struct access_machine *m = w->machine;
	struct ip_range internet[INTERNET_RANGES_MAX];
	size_t internet_count = w->is_exit ? access_internet(internet) : 0;

	for (size_t i = 0; i < m->address_count; i++) {
		struct ip_range one = ip_range_one(m->addresses[i]);
		edges_add(edges, &one);
	}
	for (size_t i = 0; i < m->route_count; i++) {
		struct ip_range route = ip_range_of(m->routes[i]);
		edges_add(edges, &route);
	}
	for (size_t i = 0; i < internet_count; i++)
		edges_add(edges, &internet[i]);
	for (size_t i = 0; i < p->rule_count; i++)
		for (size_t j = 0; j < p->rules[i].target_count; j++) {
			const struct principal *who = &p->rules[i].targets[j].who;

			if (who->kind == PRINCIPAL_RANGE)
				edges_add(edges, &who->range);
		}
}

static void cut_into_parts(struct work *w)
{
	struct buf edges;
	size_t count;
	const struct ip *all;

	buf_init(&edges);
	collect_parts(w, &edges);
	count = edges_sort(&edges);
	all = (const struct ip *)(const void *)edges.data;
	w->parts = arena_take_array(&w->scratch, count + 1, sizeof(*w->parts));
	for (size_t i = 0; i < count; i++) {
		struct ip_range part = { all[i], ip_range_all((enum ip_family)all[i].family).last };

		if (i + 1 < count && all[i + 1].family == all[i].family)
			(void)ip_previous(all[i + 1], &part.last);
		if (is_of_machine(w->machine, all[i]))
			w->parts[w->part_count++] = part;
	}
	buf_done(&edges);
}

/* --- cells ---------------------------------------------------------------------------------- */

static void add_active(struct work *w, const struct policy_rule *rule,
		       const struct policy_target *target, const uint64_t *sources)
{
	if (w->active_count == w->active_max) {
		w->active_max = w->active_max ? w->active_max * 2 : 32;
		w->active = memory_grow(w->active, w->active_max * sizeof(*w->active));
	}
	w->active[w->active_count++] =
		(struct active) { rule, target, sources, target->who.kind == PRINCIPAL_SELF };
}

/* Is the target on this part, whoever asks? */
static bool is_on_part(const struct work *w, const struct principal *who, const struct subject *to)
{
	struct subject anybody = { 0 };

	if (who->kind == PRINCIPAL_SELF)
		return w->own_user && to->is_own_ip;
	return principal_is_target(who, &anybody, to, w->is_exit);
}

static void find_active(struct work *w, size_t part)
{
	const struct policy *p = w->c->policy;
	struct subject to = subject_of(w->machine, w->parts[part].first);

	w->active_count = 0;
	for (size_t i = 0; i < p->rule_count; i++)
		for (size_t j = 0; j < p->rules[i].target_count; j++)
			if (p->rules[i].targets[j].service_count > 0 &&
			    is_on_part(w, &p->rules[i].targets[j].who, &to))
				add_active(w, &p->rules[i], &p->rules[i].targets[j],
					   w->c->rule_sets[i]);
}

static bool has_service(const struct active *it, uint8_t protocol, uint16_t port)
{
	for (size_t i = 0; i < it->target->service_count; i++)
		if (policy_service_means(&it->target->services[i], it->rule->is_forbid, protocol,
					 port))
			return true;
	return false;
}

/* Equal sets are kept once; NULL: nobody. */
static const uint64_t *keep_set(struct work *w, const uint64_t *set)
{
	size_t size = w->c->words * sizeof(*set);
	struct slice content = { (const uint8_t *)set, size };
	uint64_t any = 0, *kept;

	for (size_t i = 0; i < w->c->words; i++)
		any |= set[i];
	if (!any)
		return NULL;
	kept = map_get(&w->sets, content);
	if (!kept) {
		kept = arena_take_array(&w->scratch, w->c->words, sizeof(*set));
		memcpy(kept, set, size);
		map_put(&w->sets, (struct slice) { (const uint8_t *)kept, size }, kept);
	}
	return kept;
}

/* Who may reach these ports: all that is allowed less all that is forbidden. */
static const uint64_t *sources_of(struct work *w, uint64_t *set, uint8_t protocol, uint16_t port)
{
	size_t words = w->c->words;

	w->steps += w->active_count + words;
	if (w->steps > COMPILE_STEPS_MAX)
		return NULL;
	memset(set, 0, words * sizeof(*set));
	for (int forbids = 0; forbids < 2; forbids++)
		for (size_t i = 0; i < w->active_count; i++) {
			const struct active *it = &w->active[i];

			w->steps += it->target->service_count;
			if (it->rule->is_forbid != forbids || !has_service(it, protocol, port))
				continue;
			w->steps += words;
			for (size_t word = 0; word < words; word++) {
				uint64_t of = it->sources[word];

				if (it->is_self)
					of &= w->own_user[word];
				set[word] = forbids ? set[word] & ~of : set[word] | of;
			}
		}
	for (size_t word = 0; word < words; word++)
		w->reach[word] |= set[word];
	return keep_set(w, set);
}

static int compare_ports(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* The ports at which any rule begins or ceases to mean something; returns how many. */
static size_t cut_ports(struct work *w, uint8_t protocol, struct buf *ports)
{
	uint16_t *all, zero = 0;
	size_t count, n = 0;

	buf_clear(ports);
	buf_add(ports, &zero, sizeof(zero));
	for (size_t i = 0; policy_protocol_has_ports(protocol) && i < w->active_count; i++)
		for (size_t j = 0; j < w->active[i].target->service_count; j++) {
			const struct policy_service *s = &w->active[i].target->services[j];
			uint16_t behind = (uint16_t)(s->last_port + 1);

			buf_add(ports, &s->first_port, sizeof(s->first_port));
			if (s->last_port < UINT16_MAX)
				buf_add(ports, &behind, sizeof(behind));
		}
	all = (uint16_t *)(void *)ports->data;
	count = ports->size / sizeof(*all);
	qsort(all, count, sizeof(*all), compare_ports);
	for (size_t i = 0; i < count; i++)
		if (n == 0 || all[n - 1] != all[i])
			all[n++] = all[i];
	return n;
}

static void add_cell(struct work *w, const struct cell *cell, size_t first_of_protocol)
{
	struct cell *all = (struct cell *)(void *)w->cells.data;
	size_t count = w->cells.size / sizeof(*all);

	if (count > first_of_protocol && all[count - 1].sources == cell->sources &&
	    all[count - 1].last_port + 1 == cell->first_port)
		all[count - 1].last_port = cell->last_port;
	else
		buf_add(&w->cells, cell, sizeof(*cell));
}

static void fill_cells(struct work *w, size_t part)
{
	uint64_t *set = arena_take_array(&w->scratch, w->c->words, sizeof(*set));
	struct buf ports;

	buf_init(&ports);
	find_active(w, part);
	for (size_t i = 0; i < w->c->protocol_count; i++) {
		size_t count = cut_ports(w, w->c->protocols[i], &ports);
		const uint16_t *starts = (const uint16_t *)(const void *)ports.data;
		size_t first_of_protocol = w->cells.size / sizeof(struct cell);

		for (size_t j = 0; j < count; j++) {
			struct cell cell = { .part = part,
					     .protocols = (uint64_t)1 << i,
					     .first_port = starts[j],
					     .last_port = j + 1 < count
								  ? (uint16_t)(starts[j + 1] - 1)
								  : UINT16_MAX };

			cell.sources = sources_of(w, set, w->c->protocols[i], starts[j]);
			if (cell.sources)
				add_cell(w, &cell, first_of_protocol);
		}
	}
	buf_done(&ports);
}

/* --- rules made of cells -------------------------------------------------------------------- */

static int compare_by_place(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->sources != y->sources)
		return x->sources < y->sources ? -1 : 1;
	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	if (x->first_port != y->first_port)
		return x->first_port - y->first_port;
	return x->last_port - y->last_port;
}

static int compare_by_rule(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->sources != y->sources)
		return x->sources < y->sources ? -1 : 1;
	if (x->protocols != y->protocols)
		return x->protocols < y->protocols ? -1 : 1;
	return compare_by_place(a, b);
}

/* Cells that differ in their protocol alone become one. */
static size_t join_protocols(struct cell *cells, size_t count)
{
	size_t n = 0;

	if (count > 0)
		qsort(cells, count, sizeof(*cells), compare_by_place);
	for (size_t i = 0; i < count; i++)
		if (n > 0 && compare_by_place(&cells[n - 1], &cells[i]) == 0)
			cells[n - 1].protocols |= cells[i].protocols;
		else
			cells[n++] = cells[i];
	return n;
}

static const struct ip_range *ranges_of(struct work *w, const uint64_t *set, size_t *ret_count)
{
	const struct compiler *c = w->c;
	struct ip_range *ranges;
	size_t count = 0, bits = 0;

	for (size_t i = 0; i < c->words; i++)
		bits += (size_t)__builtin_popcountll(set[i]);
	ranges = arena_take_array(w->a, bits + 1, sizeof(*ranges));
	for (size_t i = 0; i < c->interval_count; i++) {
		struct ip_range r = { c->starts[i],
				      ip_range_all((enum ip_family)c->starts[i].family).last };

		if (!set_has(set, i))
			continue;
		if (i + 1 < c->interval_count && c->starts[i + 1].family == r.first.family)
			(void)ip_previous(c->starts[i + 1], &r.last);
		if (count > 0 && i > 0 && set_has(set, i - 1) &&
		    ranges[count - 1].first.family == r.first.family)
			ranges[count - 1].last = r.last;
		else
			ranges[count++] = r;
	}
	*ret_count = count;
	return ranges;
}

static void name_protocols(struct work *w, uint64_t bits, struct compiled_rule *rule)
{
	const struct compiler *c = w->c;
	uint8_t *protocols = arena_take(w->a, COMPILE_PROTOCOLS_MAX + 1);
	size_t n = 0;

	/* The first three of every compiler are TCP, UDP and ICMP. */
	rule->protocols = protocols;
	if (bits == 7)
		return;
	for (size_t i = 0; i < c->protocol_count; i++) {
		if (!(bits >> i & 1))
			continue;
		protocols[n++] = c->protocols[i];
		if (c->protocols[i] == COMPILE_ICMP)
			protocols[n++] = COMPILE_ICMPV6;
	}
	rule->protocol_count = n;
}

static void make_rules(struct work *w, struct compiled_filter *ret)
{
	struct cell *cells = (struct cell *)(void *)w->cells.data;
	size_t count = join_protocols(cells, w->cells.size / sizeof(*cells));
	struct compiled_rule *rules = arena_take_array(w->a, count + 1, sizeof(*rules));
	size_t n = 0;

	if (count > 0)
		qsort(cells, count, sizeof(*cells), compare_by_rule);
	for (size_t i = 0; i < count;) {
		struct compiled_rule *rule = &rules[n++];
		struct compiled_ports *to;
		size_t end = i;

		while (end < count && cells[end].sources == cells[i].sources &&
		       cells[end].protocols == cells[i].protocols)
			end++;
		to = arena_take_array(w->a, end - i, sizeof(*to));
		rule->destinations = to;
		rule->sources = ranges_of(w, cells[i].sources, &rule->source_count);
		name_protocols(w, cells[i].protocols, rule);
		for (; i < end; i++)
			to[rule->destination_count++] =
				(struct compiled_ports) { w->parts[cells[i].part],
							  cells[i].first_port, cells[i].last_port };
	}
	ret->rules = rules;
	ret->rule_count = n;
}

/* --- capabilities --------------------------------------------------------------------------- */

/* Who the rule means towards the machine's own addresses. */
static void add_sources(struct work *w, const struct policy_rule *rule, const uint64_t *sources,
			bool is_forbid, uint64_t *set)
{
	for (size_t i = 0; i < rule->target_count && w->machine->address_count > 0; i++) {
		const struct principal *who = &rule->targets[i].who;
		struct subject to = subject_of(w->machine, w->machine->addresses[0]);

		if (!is_on_part(w, who, &to))
			continue;
		for (size_t word = 0; word < w->c->words; word++) {
			uint64_t of = sources[word];

			if (who->kind == PRINCIPAL_SELF)
				of &= w->own_user[word];
			set[word] = is_forbid ? set[word] & ~of : set[word] | of;
		}
	}
}

static bool has_capability(const struct policy_rule *rule, struct slice name)
{
	for (size_t i = 0; i < rule->capability_count; i++)
		if (slice_equal(rule->capabilities[i].name, name))
			return true;
	return false;
}

static void subtract_forbidden(struct work *w, struct slice capability, uint64_t *set)
{
	const struct policy *p = w->c->policy;

	for (size_t i = 0; i < p->rule_count; i++)
		if (p->rules[i].is_forbid && has_capability(&p->rules[i], capability))
			add_sources(w, &p->rules[i], w->c->rule_sets[i], true, set);
}

static void make_grant(struct work *w, size_t rule, const struct policy_capability *capability,
		       struct compiled_grant *ret)
{
	const struct compiler *c = w->c;
	const struct policy *p = c->policy;
	uint64_t *set = arena_take_array(&w->scratch, c->words, sizeof(*set));

	add_sources(w, &p->rules[rule], c->rule_sets[rule], false, set);
	subtract_forbidden(w, capability->name, set);
	for (size_t word = 0; word < c->words; word++)
		w->reach[word] |= set[word];
	ret->capability = capability;
	ret->sources = ranges_of(w, set, &ret->source_count);
}

static void make_grants(struct work *w, struct compiled_filter *ret)
{
	const struct policy *p = w->c->policy;
	struct compiled_grant *grants;
	size_t max = 0, n = 0;

	for (size_t i = 0; i < p->rule_count; i++)
		max += p->rules[i].is_forbid ? 0 : p->rules[i].capability_count;
	grants = arena_take_array(w->a, max + 1, sizeof(*grants));
	for (size_t i = 0; i < p->rule_count; i++)
		for (size_t j = 0; !p->rules[i].is_forbid && j < p->rules[i].capability_count;
		     j++) {
			make_grant(w, i, &p->rules[i].capabilities[j], &grants[n]);
			n += grants[n].source_count > 0;
		}
	ret->grants = grants;
	ret->grant_count = n;
}

/* ------------------------------------------------------------------------------------------ */

static uint64_t *find_own_user(struct work *w)
{
	const struct compiler *c = w->c;
	uint64_t *set;

	if (w->machine->tag_count > 0 || w->machine->user.size == 0)
		return NULL;
	set = arena_take_array(&w->scratch, c->words, sizeof(*set));
	for (size_t i = 0; i < c->interval_count; i++)
		if (c->subjects[i].tag_count == 0 && c->subjects[i].user.size > 0 &&
		    slice_equal(c->subjects[i].user, w->machine->user))
			set[i / 64] |= (uint64_t)1 << (i % 64);
	return set;
}

void compiler_filter(struct compiler *c, struct arena *a, size_t index, struct compiled_filter *ret)
{
	struct work w = { .c = c, .a = a, .machine = &c->world->machines[index] };

	assert(index < c->world->machine_count);
	arena_init(&w.scratch);
	buf_init(&w.cells);
	map_init(&w.sets);
	w.is_exit = access_is_exit(w.machine);
	w.reach = c->reach[index];
	if (!w.reach)
		w.reach = arena_take_array(&c->arena, c->words, sizeof(*w.reach));
	w.own_user = find_own_user(&w);
	cut_into_parts(&w);
	for (size_t i = 0; i < w.part_count; i++)
		fill_cells(&w, i);
	make_rules(&w, ret);
	make_grants(&w, ret);
	c->reach[index] = w.reach;
	c->steps += w.steps;
	c->is_exceeded |= w.steps > COMPILE_STEPS_MAX;
	memory_free(w.active);
	map_done(&w.sets);
	buf_done(&w.cells);
	arena_done(&w.scratch);
}

/* --- the other way round -------------------------------------------------------------------- */

static bool is_granted_at_all(const struct compiler *c, size_t index, struct slice capability)
{
	const struct policy *p = c->policy;
	const struct interval_list *list = &c->machines[index];

	for (size_t i = 0; i < p->rule_count; i++)
		for (size_t j = 0; j < list->count; j++)
			if (!p->rules[i].is_forbid && has_capability(&p->rules[i], capability) &&
			    set_has(c->rule_sets[i], list->items[j]))
				return true;
	return false;
}

/* Who has the capability on the machine. */
static const uint64_t *granted_set(struct compiler *c, size_t index)
{
	struct work w = { .c = c, .machine = &c->world->machines[index] };
	const struct policy *p = c->policy;
	uint64_t *set;

	if (c->granted_sets[index])
		return c->granted_sets[index];
	arena_init(&w.scratch);
	w.is_exit = access_is_exit(w.machine);
	w.own_user = find_own_user(&w);
	set = arena_take_array(&c->arena, c->words, sizeof(*set));
	for (size_t i = 0; i < p->rule_count; i++)
		if (!p->rules[i].is_forbid && has_capability(&p->rules[i], c->granted))
			add_sources(&w, &p->rules[i], c->rule_sets[i], false, set);
	subtract_forbidden(&w, c->granted, set);
	arena_done(&w.scratch);
	c->granted_sets[index] = set;
	return set;
}

const uint64_t *compiler_granted(struct compiler *c, struct arena *a, size_t index,
				 struct slice capability)
{
	const struct interval_list *list = &c->machines[index];
	size_t count = c->world->machine_count;
	uint64_t *ret;

	assert(index < count);
	if (!is_granted_at_all(c, index, capability))
		return NULL;
	if (!c->granted_sets) {
		c->granted_sets = arena_take_array(&c->arena, count, sizeof(*c->granted_sets));
		c->granted = arena_copy(&c->arena, capability);
	}
	assert(slice_equal(c->granted, capability));
	ret = arena_take_array(a, count / 64 + 1, sizeof(*ret));
	for (size_t i = 0; i < count; i++) {
		const uint64_t *set = i == index ? NULL : granted_set(c, i);

		for (size_t j = 0; set && j < list->count; j++)
			if (set_has(set, list->items[j]))
				ret[i / 64] |= (uint64_t)1 << (i % 64);
	}
	return ret;
}
