/* What a new policy changes, machine by machine: the ports that one filter lets in, less those that
 * the other does. */
#include "access/compile.h"
#include "access/explain.h"
#include "access/policy_read.h"
#include "base/memory.h"

/* Ports of one protocol at some addresses. */
struct box {
	struct ip_range range;
	uint16_t first_port, last_port;
	uint8_t protocol;
};

struct boxes {
	struct buf bytes;
};

static struct box *all_of(struct boxes *b, size_t *ret_count)
{
	*ret_count = b->bytes.size / sizeof(struct box);
	return (struct box *)(void *)b->bytes.data;
}

static void add_box(struct boxes *b, const struct box *box)
{
	buf_add(&b->bytes, box, sizeof(*box));
}

static bool has_source(const struct compiled_rule *rule, struct ip from)
{
	for (size_t i = 0; i < rule->source_count; i++)
		if (ip_range_contains(&rule->sources[i], from))
			return true;
	return false;
}

/* Everything that this source reaches; of one family of addresses, lest all is said twice. */
static void collect(const struct compiled_filter *f, const struct access_machine *from,
		    const struct access_machine *to, struct boxes *ret)
{
	static const uint8_t usual[] = { 1, 6, 17 };

	buf_clear(&ret->bytes);
	for (size_t i = 0; i < f->rule_count; i++) {
		const struct compiled_rule *rule = &f->rules[i];
		const uint8_t *protocols = rule->protocol_count ? rule->protocols : usual;
		size_t count = rule->protocol_count ? rule->protocol_count : sizeof(usual);

		for (size_t j = 0; j < rule->destination_count; j++) {
			const struct compiled_ports *d = &rule->destinations[j];
			bool is_second =
				to->address_count > 1 && ip_equal(d->range.first, to->addresses[1]);
			bool is_source = false;

			for (size_t k = 0; k < from->address_count; k++)
				is_source |= from->addresses[k].family == d->range.first.family &&
					     has_source(rule, from->addresses[k]);
			for (size_t k = 0; is_source && !is_second && k < count; k++)
				if (protocols[k] != 58)
					add_box(ret, &(struct box) { d->range, d->first_port,
								     d->last_port, protocols[k] });
		}
	}
}

/* What of `box` is outside `hole`: at most two boxes beside it and two of its ports. */
static void cut(const struct box *box, const struct box *hole, struct boxes *ret)
{
	struct box rest = *box, part;

	if (box->protocol != hole->protocol || !ip_range_overlaps(&box->range, &hole->range) ||
	    box->last_port < hole->first_port || hole->last_port < box->first_port) {
		add_box(ret, box);
		return;
	}
	if (ip_compare(rest.range.first, hole->range.first) < 0) {
		part = rest;
		(void)ip_previous(hole->range.first, &part.range.last);
		add_box(ret, &part);
		rest.range.first = hole->range.first;
	}
	if (ip_compare(hole->range.last, rest.range.last) < 0) {
		part = rest;
		(void)ip_next(hole->range.last, &part.range.first);
		add_box(ret, &part);
		rest.range.last = hole->range.last;
	}
	if (rest.first_port < hole->first_port) {
		part = rest;
		part.last_port = (uint16_t)(hole->first_port - 1);
		add_box(ret, &part);
	}
	if (hole->last_port < rest.last_port) {
		part = rest;
		part.first_port = (uint16_t)(hole->last_port + 1);
		add_box(ret, &part);
	}
}

/* Takes from `boxes` what is in `holes`; `spare` is used on the way. */
static void subtract(struct boxes *boxes, struct boxes *holes, struct boxes *spare)
{
	size_t hole_count;
	struct box *hole = all_of(holes, &hole_count);

	for (size_t i = 0; i < hole_count; i++) {
		struct boxes swap = *boxes;
		size_t count;
		struct box *all = all_of(boxes, &count);

		buf_clear(&spare->bytes);
		for (size_t j = 0; j < count; j++)
			cut(&all[j], &hole[i], spare);
		*boxes = *spare;
		*spare = swap;
	}
}

struct comparison {
	struct buf *ret;
	size_t lines;
};

static void print(struct comparison *c, char sign, const struct access_machine *from,
		  const struct access_machine *to, struct boxes *boxes)
{
	size_t count;
	struct box *all = all_of(boxes, &count);

	for (size_t i = 0; i < count; i++) {
		char protocol[POLICY_PROTOCOL_TEXT_BYTES], range[IP_RANGE_TEXT_BYTES];

		if (++c->lines > EXPLAIN_LINES_MAX)
			continue;
		policy_protocol_text(all[i].protocol, protocol);
		buf_add_format(c->ret, "%c %.*s -> %.*s ", sign, TEXT_ARG(from->name),
			       TEXT_ARG(to->name));
		if (to->address_count == 0 || !ip_equal(all[i].range.first, to->addresses[0])) {
			ip_range_text(&all[i].range, range);
			buf_add_format(c->ret, "%s ", range);
		}
		buf_add_text(c->ret, protocol);
		if (!policy_protocol_has_ports(all[i].protocol))
			buf_add_text(c->ret, "\n");
		else if (all[i].first_port == 0 && all[i].last_port == UINT16_MAX)
			buf_add_text(c->ret, " all ports\n");
		else if (all[i].first_port == all[i].last_port)
			buf_add_format(c->ret, " %u\n", all[i].first_port);
		else
			buf_add_format(c->ret, " %u-%u\n", all[i].first_port, all[i].last_port);
	}
}

static void compare_pair(struct comparison *c, const struct compiled_filter filters[2],
			 const struct access_machine *from, const struct access_machine *to,
			 struct boxes boxes[3])
{
	for (int gained = 0; gained < 2; gained++) {
		collect(&filters[gained], from, to, &boxes[0]);
		collect(&filters[!gained], from, to, &boxes[1]);
		subtract(&boxes[0], &boxes[1], &boxes[2]);
		print(c, gained ? '+' : '-', from, to, &boxes[0]);
	}
}

static void compare_all(struct comparison *c, struct compiler *compilers[2],
			const struct access_world *world)
{
	struct boxes boxes[3];

	for (int i = 0; i < 3; i++)
		buf_init(&boxes[i].bytes);
	for (size_t to = 0; to < world->machine_count; to++) {
		struct compiled_filter filters[2];
		struct arena a;

		arena_init(&a);
		compiler_filter(compilers[0], &a, to, &filters[0]);
		compiler_filter(compilers[1], &a, to, &filters[1]);
		for (size_t from = 0; from < world->machine_count; from++)
			if (from != to)
				compare_pair(c, filters, &world->machines[from],
					     &world->machines[to], boxes);
		arena_done(&a);
	}
	for (int i = 0; i < 3; i++)
		buf_done(&boxes[i].bytes);
}

/* Without a policy everybody reaches everything. */
static const struct policy *open_policy(struct arena *a)
{
	const struct policy *open = NULL;
	struct policy_problems *problems = NEW(struct policy_problems);
	enum err err = policy_parse(a, SLICE("{\"allow\":[{\"src\":[\"*\"],\"dst\":[\"*:*\"]}]}"),
				    &open, problems);

	memory_free(problems);
	return err ? NULL : open;
}

size_t explain_difference(const struct explain *before, const struct policy *after, struct buf *ret)
{
	struct compiler *compilers[2] = { NULL, NULL };
	struct comparison c = { .ret = ret };
	struct arena a;
	enum err err;

	arena_init(&a);
	err = compiler_new(before->policy ? before->policy : open_policy(&a), before->world,
			   &compilers[0]);
	if (!err)
		err = compiler_new(after ? after : open_policy(&a), before->world, &compilers[1]);
	if (!err)
		compare_all(&c, compilers, before->world);
	else
		buf_add_text(ret, "the policy is too large to compare\n");
	if (c.lines > EXPLAIN_LINES_MAX)
		buf_add_format(ret, "and %zu more\n", c.lines - EXPLAIN_LINES_MAX);
	compiler_free(compilers[0]);
	compiler_free(compilers[1]);
	arena_done(&a);
	return c.lines;
}
