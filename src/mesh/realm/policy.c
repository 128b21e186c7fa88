#include "mesh/realm/policy.h"

#include "access/check.h"
#include "access/explain.h"
#include "base/log.h"
#include "base/memory.h"
#include "mesh/filter/filter.h"

enum { POLICY_STEPS_MAX = 1 << 30 /* for all machines together, about 1 s */ };

struct realm_policy *realm_policy_new(void)
{
	struct realm_policy *p = NEW(struct realm_policy);

	arena_init(&p->arena);
	arena_init(&p->compiled_arena);
	p->serial = 1;
	p->is_stale = true;
	return p;
}

static void forget_compiled(struct realm_policy *p)
{
	compiler_free(p->compiler);
	p->compiler = NULL;
	p->world = (struct access_world) { 0 };
	arena_done(&p->compiled_arena);
	arena_init(&p->compiled_arena);
}

void realm_policy_free(struct realm_policy *p)
{
	forget_compiled(p);
	arena_done(&p->compiled_arena);
	arena_done(&p->arena);
	memory_free(p);
}

/* --- the machines as a policy sees them --------------------------------------------------------
 */

static void describe(struct arena *a, const struct realm *r, const struct machine *m,
		     struct access_machine *ret)
{
	const struct control_node *n = m->node;
	struct ip *addresses = arena_take_array(a, n->address_count + 1, sizeof(*addresses));
	struct slice *tags = arena_take_array(a, n->tag_count + 1, sizeof(*tags));
	struct ip_prefix *routes = arena_take_array(a, m->approved_count + 1, sizeof(*routes));

	for (size_t i = 0; i < n->address_count; i++)
		addresses[i] = n->addresses[i].ip;
	for (size_t i = 0; i < n->tag_count; i++)
		tags[i] = arena_copy(a, n->tags[i]);
	for (size_t i = 0; i < m->approved_count; i++)
		routes[i] = m->approved[i];
	*ret = (struct access_machine) {
		.id = (uint64_t)m->id,
		.name = arena_copy(a, control_node_label(n)),
		.user = arena_copy(a, realm_user(r, n->user).login),
		.tags = tags,
		.tag_count = n->tag_count,
		.addresses = addresses,
		.address_count = n->address_count,
		.routes = routes,
		.route_count = m->approved_count,
	};
}

static void add_text(struct buf *b, struct slice text)
{
	buf_add_u32(b, (uint32_t)text.size);
	buf_add_slice(b, text);
}

static struct hash128 hash_world(const struct access_world *world)
{
	struct hash128 hash;
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i < world->machine_count; i++) {
		const struct access_machine *m = &world->machines[i];

		buf_add_u64(&b, m->id);
		add_text(&b, m->name);
		add_text(&b, m->user);
		buf_add_u32(&b, (uint32_t)m->tag_count);
		for (size_t j = 0; j < m->tag_count; j++)
			add_text(&b, m->tags[j]);
		buf_add_u32(&b, (uint32_t)m->address_count);
		buf_add(&b, m->addresses, m->address_count * sizeof(*m->addresses));
		buf_add_u32(&b, (uint32_t)m->route_count);
		buf_add(&b, m->routes, m->route_count * sizeof(*m->routes));
	}
	hash = hash_content(buf_slice(&b));
	buf_done(&b);
	return hash;
}

/* Most changes of machines are none to a policy: the description is compared, not the machines. */
static bool describe_all(struct realm *r)
{
	struct realm_policy *p = r->policy;
	struct access_machine *machines;
	struct hash128 hash;
	struct arena fresh;
	size_t count = 0;

	arena_init(&fresh);
	machines = arena_take_array(&fresh, r->machine_count + 1, sizeof(*machines));
	for (size_t i = 0; i < r->machine_count; i++)
		if (r->machines[i]->is_shown)
			describe(&fresh, r, r->machines[i], &machines[count++]);
	hash = hash_world(&(struct access_world) { machines, count });
	if (p->world.machines && hash128_equal(hash, p->world_hash)) {
		arena_done(&fresh);
		return false;
	}
	forget_compiled(p);
	p->compiled_arena = fresh;
	p->world = (struct access_world) { machines, count };
	p->world_hash = hash;
	return true;
}

static void compile(struct realm *r)
{
	struct realm_policy *p = r->policy;

	if (!p->is_stale)
		return;
	p->is_stale = false;
	if (!describe_all(r))
		return;
	p->serial++;
	if (!p->read)
		return;
	enum err err = compiler_new(p->read, &p->world, &p->compiler);
	if (err) {
		log_error("the policy cannot be used for %zu machines, so everything is denied: %s",
			  p->world.machine_count, err_name(err));
		p->compiler = NULL;
	}
}

const struct access_world *realm_policy_world(struct realm *r)
{
	compile(r);
	return &r->policy->world;
}

/* SIZE_MAX: it is not among them. */
static size_t index_of(const struct access_world *world, const struct machine *m)
{
	size_t low = 0, high = world->machine_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (world->machines[middle].id < (uint64_t)m->id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < world->machine_count && world->machines[low].id == (uint64_t)m->id ? low
											: SIZE_MAX;
}

struct machine **realm_policy_visible(struct arena *a, struct realm *r, const struct machine *m,
				      size_t *ret_count)
{
	const struct access_world *world = realm_policy_world(r);
	struct machine **list = arena_take_array(a, world->machine_count + 1, sizeof(*list));
	size_t index = index_of(world, m), count = 0, other = 0;

	/* The world has the machines that are shown, in the same order. */
	for (size_t i = 0; i < r->machine_count && index != SIZE_MAX && r->policy->compiler; i++) {
		if (!r->machines[i]->is_shown)
			continue;
		if (other != index && compiler_sees(r->policy->compiler, index, other))
			list[count++] = r->machines[i];
		other++;
	}
	*ret_count = count;
	return list;
}

/* --- as rules of control -----------------------------------------------------------------------
 */

static const struct control_ip_set *sources_of(struct arena *a, const struct ip_range *ranges,
					       size_t count)
{
	struct control_ip_set *sets = arena_take_array(a, count + 1, sizeof(*sets));

	for (size_t i = 0; i < count; i++)
		sets[i] = (struct control_ip_set) { .kind = CONTROL_IPS_RANGE,
						    .first = ranges[i].first,
						    .last = ranges[i].last };
	return sets;
}

static void convert_rule(struct arena *a, const struct compiled_rule *from,
			 struct control_rule *ret)
{
	struct control_ports *to = arena_take_array(a, from->destination_count + 1, sizeof(*to));

	for (size_t i = 0; i < from->destination_count; i++) {
		const struct compiled_ports *d = &from->destinations[i];

		to[i] = (struct control_ports) { .ips = { .kind = CONTROL_IPS_RANGE,
							  .first = d->range.first,
							  .last = d->range.last },
						 .first = d->first_port,
						 .last = d->last_port };
	}
	*ret = (struct control_rule) {
		.sources = sources_of(a, from->sources, from->source_count),
		.source_count = from->source_count,
		.protocols = from->protocols,
		.protocol_count = from->protocol_count,
		.destinations = to,
		.destination_count = from->destination_count,
	};
}

static void convert_grant(struct arena *a, const struct machine *m,
			  const struct compiled_grant *from, struct control_rule *ret)
{
	struct control_grant *grant = arena_take(a, sizeof(*grant));
	struct control_cap *cap = arena_take(a, sizeof(*cap));

	*cap = (struct control_cap) { arena_copy(a, from->capability->name),
				      arena_copy(a, from->capability->values) };
	*grant = (struct control_grant) { .destinations = m->node->addresses,
					  .destination_count = m->node->address_count,
					  .caps = cap,
					  .cap_count = 1 };
	*ret = (struct control_rule) {
		.sources = sources_of(a, from->sources, from->source_count),
		.source_count = from->source_count,
		.grants = grant,
		.grant_count = 1,
	};
}

/* Who may use others as peer relays has to know which.  A client looks for that among its own
 * rules, so those machines get a capability towards it. */
static void add_relays(struct arena *a, struct realm *r, const struct machine *m, size_t index,
		       struct control_rule *rules, size_t *n)
{
	const struct access_world *world = &r->policy->world;
	const uint64_t *granted =
		compiler_granted(r->policy->compiler, a, index, SLICE("tailscale.com/cap/relay"));
	struct control_grant *grant = arena_take(a, sizeof(*grant));
	struct control_cap *target = arena_take(a, sizeof(*target));
	struct control_ip_set *sources;
	size_t count = 0;

	for (size_t i = 0; granted && i < world->machine_count; i++)
		if (granted[i / 64] >> (i % 64) & 1)
			count += world->machines[i].address_count;
	if (!count)
		return;
	sources = arena_take_array(a, count, sizeof(*sources));
	count = 0;
	for (size_t i = 0; i < world->machine_count; i++)
		for (size_t j = 0;
		     granted[i / 64] >> (i % 64) & 1 && j < world->machines[i].address_count; j++)
			sources[count++] =
				(struct control_ip_set) { .kind = CONTROL_IPS_RANGE,
							  .first = world->machines[i].addresses[j],
							  .last = world->machines[i].addresses[j] };
	target->name = SLICE("tailscale.com/cap/relay-target");
	target->values = SLICE("[]");
	*grant = (struct control_grant) { .destinations = m->node->addresses,
					  .destination_count = m->node->address_count,
					  .caps = target,
					  .cap_count = 1 };
	rules[(*n)++] = (struct control_rule) {
		.sources = sources, .source_count = count, .grants = grant, .grant_count = 1
	};
}

struct control_filter realm_policy_filter(struct arena *a, struct realm *r, const struct machine *m)
{
	const struct access_world *world = realm_policy_world(r);
	struct control_filter ret = { .name = SLICE("base") };
	size_t index = index_of(world, m), n = 0;
	struct compiled_filter filter;
	struct control_rule *rules;

	if (!r->policy->compiler || index == SIZE_MAX)
		return ret;
	compiler_filter(r->policy->compiler, a, index, &filter);
	rules = arena_take_array(a, filter.rule_count + filter.grant_count + 2, sizeof(*rules));
	for (size_t i = 0; i < filter.rule_count; i++)
		convert_rule(a, &filter.rules[i], &rules[n++]);
	for (size_t i = 0; i < filter.grant_count; i++)
		convert_grant(a, m, &filter.grants[i], &rules[n++]);
	add_relays(a, r, m, index, rules, &n);
	ret.rules = rules;
	ret.rule_count = n;
	return ret;
}

/* --- changes -----------------------------------------------------------------------------------
 */

void realm_policy_stale(struct realm *r)
{
	r->policy->is_stale = true;
	if (r->policy->read)
		fanout_set(r);
}

void realm_policy_take(struct realm *r, const struct policy_row *row)
{
	struct realm_policy *p = r->policy;
	bool had_one = p->read;
	struct policy_problems *problems;

	forget_compiled(p);
	arena_done(&p->arena);
	arena_init(&p->arena);
	p->version = row->version;
	p->text = arena_copy(&p->arena, row->text);
	p->read = NULL;
	p->is_stale = true;
	problems = NEW(struct policy_problems);
	if (p->text.size && policy_parse(&p->arena, p->text, &p->read, problems)) {
		log_error("policy %lld is not understood, so everything is denied: line %u: %s",
			  (long long)p->version, problems->items[0].line, problems->items[0].text);
		p->read = arena_take(&p->arena, sizeof(struct policy));
	}
	memory_free(problems);
	/* Without one nobody notes who was told of whom. */
	LIST_EACH (&r->sessions, struct map_stream, link, s)
		if (!had_one || !p->read)
			s->needs_whole = true;
	fanout_set(r);
}

/* --- registration ------------------------------------------------------------------------------
 */

bool realm_policy_owns_tag(const struct realm *r, struct slice user, struct slice tag)
{
	struct subject s = { .user = user };

	return r->policy->read && policy_owns_tag(r->policy->read, tag, &s);
}

struct slice realm_policy_approve(struct arena *a, const struct realm *r, struct slice user,
				  struct slice tags, struct slice approved,
				  const struct ip_prefix *offered, size_t offered_count)
{
	size_t tag_count, count;
	struct slice *list = store_lines(a, tags, &tag_count);
	struct subject s = { .user = tag_count ? SLICE("") : user,
			     .tags = list,
			     .tag_count = tag_count };
	struct slice *old = store_lines(a, approved, &count);
	struct slice *lines = arena_take_array(a, count + offered_count + 1, sizeof(*lines));

	if (!r->policy->read)
		return approved;
	for (size_t i = 0; i < count; i++)
		lines[i] = old[i];
	for (size_t i = 0; i < offered_count && count < CONTROL_ROUTES_MAX; i++) {
		char text[IP_PREFIX_TEXT_BYTES];

		ip_prefix_text(offered[i], text);
		if (!store_has_line(approved, slice_from(text)) &&
		    policy_approves_route(r->policy->read, offered[i], &s))
			lines[count++] = slice_from(arena_format(a, "%s", text));
	}
	return store_join(a, lines, count);
}

/* --- what administrators do --------------------------------------------------------------------
 */

/* Can every machine take its filter, and all be made before anybody waits? */
static enum err try_all(struct compiler *c, const struct access_world *world)
{
	bool is_exceeded = false;

	for (size_t i = 0; i < world->machine_count; i++) {
		struct compiled_filter filter;
		size_t pairs = 0;
		struct arena a;

		arena_init(&a);
		compiler_filter(c, &a, i, &filter);
		for (size_t j = 0; j < filter.rule_count; j++)
			pairs += filter.rules[j].destination_count;
		arena_done(&a);
		if (pairs > FILTER_RULES_MAX ||
		    compiler_steps(c, &is_exceeded) > POLICY_STEPS_MAX || is_exceeded)
			return ERR_TOO_BIG;
	}
	return OK;
}

/* Of a text: may it be used?  The problems as lines go into *ret. */
static enum err examine(struct arena *a, const struct access_world *world, struct slice text,
			struct buf *ret, const struct policy **ret_policy)
{
	struct policy_problems *problems = NEW(struct policy_problems);
	const struct policy *policy = NULL;
	struct compiler *c = NULL;
	enum err err = policy_parse(a, text, &policy, problems);

	if (!err) {
		policy_check(policy, world, problems);
		err = problems->error_count ? ERR_INVALID : OK;
	}
	if (!err) {
		err = compiler_new(policy, world, &c);
		if (!err)
			err = try_all(c, world);
		if (err)
			policy_complain(problems, false, 1, 1,
					"too many sources, rules and ports for %zu machines; name "
					"groups, networks and ranges instead of single ones",
					world->machine_count);
		compiler_free(c);
	}
	explain_problems(problems, ret);
	memory_free(problems);
	*ret_policy = policy;
	return err;
}

enum err realm_policy_examine(struct realm *r, struct slice text, struct buf *ret)
{
	const struct policy *policy;
	struct arena a;

	arena_init(&a);
	enum err err = examine(&a, realm_policy_world(r), text, ret, &policy);
	arena_done(&a);
	return err;
}

static enum err edit_run(struct cell *cell, struct operation *o)
{
	struct policy_edit *e = CONTAINER(o, struct policy_edit, operation);
	struct policy_row row = { .text = e->text, .note = e->note, .created_s = o->now_s };
	const struct policy *policy;
	enum err err = OK;

	if (e->is_rollback && e->version > 0) {
		err = store_policy(&o->arena, cell, e->version, &row);
		if (err == ERR_NOT_FOUND)
			return operation_fail(o, err,
					      "there is no policy %lld: `hanse policy "
					      "history` shows which there are",
					      (long long)e->version);
	}
	if (!err && row.text.size > STORE_POLICY_BYTES_MAX)
		return operation_fail(o, ERR_TOO_BIG, "a policy has %d bytes at most",
				      STORE_POLICY_BYTES_MAX);
	if (!err && row.text.size) {
		struct buf problems;

		buf_init(&problems);
		err = examine(&o->arena, realm_policy_world(o->realm), row.text, &problems,
			      &policy);
		e->problems = arena_copy(&o->arena, buf_slice(&problems));
		buf_done(&problems);
		if (err)
			return operation_fail(o, ERR_INVALID, "the policy is refused");
	}
	if (err)
		return err;
	if (e->is_rollback)
		row.note =
			slice_from(arena_format(&o->arena, "back to %lld", (long long)e->version));
	row.created_s = o->now_s;
	err = store_policy_add(cell, &row);
	e->version = row.version;
	o->has_policy = true;
	return err;
}

void policy_edit_start(struct policy_edit *e, void (*done)(struct operation *, enum err),
		       void *context)
{
	operation_start(&e->operation, edit_run, done, context);
}

int64_t realm_policy_get(const struct realm *r, struct slice *ret_text)
{
	*ret_text = r->policy->text;
	return r->policy->version;
}

void realm_policy_history(struct arena *a, struct realm *r, struct policy_row **ret,
			  size_t *ret_count)
{
	struct cell *cell = leader_cell(r->config.leader);

	*ret = NULL;
	*ret_count = 0;
	if (cell && r->door)
		store_policies(a, cell, ret, ret_count);
}

enum err realm_policy_text(struct arena *a, struct realm *r, int64_t version, struct slice *ret)
{
	struct cell *cell = leader_cell(r->config.leader);
	struct policy_row row;

	if (!cell || !r->door)
		return ERR_UNAVAILABLE;
	enum err err = store_policy(a, cell, version, &row);
	if (!err)
		*ret = row.text;
	return err;
}

enum err realm_policy_explain(struct realm *r, struct slice from, struct slice to,
			      struct slice protocol, struct buf *ret, bool *ret_allowed,
			      char ret_why[REALM_WHY_BYTES])
{
	struct explain e = { r->policy->read, realm_policy_world(r) };

	_Static_assert((int)EXPLAIN_WHY_BYTES <= (int)REALM_WHY_BYTES, "one buffer for both");
	return explain_pair(&e, from, to, protocol, ret, ret_allowed, ret_why);
}

enum err realm_policy_who(struct realm *r, struct slice to, struct slice protocol, struct buf *ret,
			  char ret_why[REALM_WHY_BYTES])
{
	struct explain e = { r->policy->read, realm_policy_world(r) };

	return explain_who(&e, to, protocol, ret, ret_why);
}

enum err realm_policy_difference(struct realm *r, struct slice text, struct buf *ret,
				 size_t *ret_lines)
{
	struct explain before = { r->policy->read, realm_policy_world(r) };
	const struct policy *policy = NULL;
	enum err err = OK;
	struct arena a;

	arena_init(&a);
	if (text.size)
		err = examine(&a, before.world, text, ret, &policy);
	if (!err) {
		buf_clear(ret);
		*ret_lines = explain_difference(&before, policy, ret);
	}
	arena_done(&a);
	return err;
}
