#include "names/zone.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

#include "base/endian.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"

/* All names are text in lower case without a full stop at the end, "" is the root. */
struct record {
	struct record *next;
	uint16_t type;
	struct slice data;   /* as sent, without compression */
	struct slice target; /* of a CNAME: where to look on */
};

struct name {
	struct slice text;
	struct record *records; /* NULL: it exists because something below it does */
};

struct host {
	struct ip ip;
	const char *names;
};

struct zone {
	struct arena arena;
	uint64_t sequence;
	struct slice domain;
	struct map names;
	struct host *hosts;
	size_t host_count, host_capacity;
	struct mesh_view_route *routes;
	size_t route_count;
};

/* What lies below these is about addresses of the mesh and nobody else's: 100.64.0.0/10, whose 64
 * zones are matched by their number, and fd7a:115c:a1e0::/48. */
#define REVERSE_V4 ".100.in-addr.arpa"
#define REVERSE_V6 "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa"
enum { REVERSE_V4_FIRST = 64, REVERSE_V4_LAST = 127 };

/* --- making ----------------------------------------------------------------------------------- */

bool zone_is_below(struct slice name, struct slice suffix)
{
	if (suffix.size == 0)
		return true;
	if (name.size < suffix.size)
		return false;
	size_t rest = name.size - suffix.size;
	return slice_equal(slice_part(name, rest, suffix.size), suffix) &&
	       (rest == 0 || name.data[rest - 1] == '.');
}

static struct slice parent_of(struct slice name)
{
	slice_cut(&name, '.');
	return name;
}

static struct name *add_name(struct zone *z, struct slice text)
{
	struct name *name = map_get(&z->names, text);

	if (!name) {
		name = arena_take(&z->arena, sizeof(*name));
		name->text = arena_copy(&z->arena, text);
		map_put(&z->names, name->text, name);
	}
	return name;
}

/* Names between this one and the domain exist too, or their NXDOMAIN would deny this one. */
static void add_parents(struct zone *z, struct slice text)
{
	for (struct slice up = parent_of(text);
	     up.size > z->domain.size && zone_is_below(up, z->domain); up = parent_of(up))
		add_name(z, up);
}

/* Each record once; a name has one CNAME or other things, and what came first counts. */
static void add_record(struct zone *z, struct slice text, uint16_t type, struct slice data,
		       struct slice target)
{
	struct name *name = add_name(z, text);
	struct record **end = &name->records;
	size_t count = 0;

	for (; *end; end = &(*end)->next, count++) {
		if ((*end)->type == DNS_CNAME || type == DNS_CNAME ||
		    ((*end)->type == type && slice_equal((*end)->data, data)))
			return;
	}
	if (count == ZONE_RECORDS_PER_NAME_MAX)
		return;
	*end = arena_take(&z->arena, sizeof(**end));
	**end = (struct record) { .type = type,
				  .data = arena_copy(&z->arena, data),
				  .target = arena_copy(&z->arena, target) };
	add_parents(z, text);
}

static void add_address(struct zone *z, struct slice name, struct ip ip)
{
	bool is_v4 = ip.family == IP_V4;

	add_record(z, name, is_v4 ? DNS_A : DNS_AAAA, (struct slice) { ip.bytes, is_v4 ? 4 : 16 },
		   (struct slice) { 0 });
}

static void add_name_record(struct zone *z, struct slice name, uint16_t type, struct slice target)
{
	struct dns_name wire;

	if (dns_name_from_text(target, &wire) == OK)
		add_record(z, name, type, (struct slice) { wire.bytes, wire.size }, target);
}

static void add_text(struct zone *z, struct slice name, struct slice text)
{
	uint8_t data[1 + ZONE_TEXT_BYTES_MAX];

	if (text.size > ZONE_TEXT_BYTES_MAX)
		return;
	data[0] = (uint8_t)text.size;
	memcpy(data + 1, text.data, text.size);
	add_record(z, name, DNS_TXT, (struct slice) { data, text.size + 1 }, (struct slice) { 0 });
}

static struct slice reverse_name(struct arena *a, struct ip ip)
{
	char text[80];
	size_t used = 0;

	if (ip.family == IP_V4)
		return slice_from(arena_format(a, "%u.%u.%u.%u.in-addr.arpa", ip.bytes[3],
					       ip.bytes[2], ip.bytes[1], ip.bytes[0]));
	for (size_t i = 16; i-- > 0;)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%x.%x.",
					 ip.bytes[i] & 15u, ip.bytes[i] >> 4);
	return slice_from(arena_format(a, "%sip6.arpa", text));
}

/* What may stand in a file of hosts and in nobody's way. */
static bool is_plain(struct slice label)
{
	if (label.size == 0 || label.size > DNS_LABEL_BYTES_MAX || label.data[0] == '-' ||
	    slice_equal(label, SLICE("localhost")))
		return false;
	for (size_t i = 0; i < label.size; i++) {
		int c = label.data[i];
		if (!islower(c) && !isdigit(c) && c != '-' && c != '_')
			return false;
	}
	return true;
}

static bool is_plain_name(struct slice name)
{
	while (name.size > 0)
		if (!is_plain(slice_cut(&name, '.')))
			return false;
	return true;
}

static void add_host(struct zone *z, struct ip ip, const char *names)
{
	if (z->host_count == z->host_capacity) {
		z->host_capacity = z->host_capacity ? 2 * z->host_capacity : 64;
		z->hosts = memory_grow(z->hosts, z->host_capacity * sizeof(z->hosts[0]));
	}
	z->hosts[z->host_count++] = (struct host) { ip, names };
}

static void add_machine(struct zone *z, const struct mesh_view_machine *m)
{
	struct arena *a = &z->arena;
	bool has_domain = z->domain.size > 0;
	struct slice full = has_domain ? slice_from(arena_format(a, "%.*s.%.*s", SLICE_ARG(m->name),
								 SLICE_ARG(z->domain)))
				       : arena_copy(a, m->name);
	const char *names =
		has_domain ? arena_format(a, "%.*s %.*s", SLICE_ARG(full), SLICE_ARG(m->name))
			   : arena_text(a, full);

	for (size_t i = 0; i < m->address_count; i++) {
		add_address(z, full, m->addresses[i]);
		add_address(z, m->name, m->addresses[i]);
		add_name_record(z, reverse_name(a, m->addresses[i]), DNS_PTR, full);
		if (is_plain_name(full))
			add_host(z, m->addresses[i], names);
	}
}

static void add_view_record(struct zone *z, const struct mesh_view_record *r)
{
	struct dns_name name;
	struct ip ip;

	if (dns_name_from_text(r->name, &name))
		return;
	if (slice_equal(r->type, SLICE("CNAME"))) {
		add_name_record(z, r->name, DNS_CNAME, r->value);
	} else if (slice_equal(r->type, SLICE("TXT"))) {
		add_text(z, r->name, r->value);
	} else if ((r->type.size == 0 || slice_equal(r->type, SLICE("A")) ||
		    slice_equal(r->type, SLICE("AAAA"))) &&
		   ip_parse(r->value, &ip) == OK) {
		add_address(z, r->name, ip);
		if (z->domain.size && zone_is_below(r->name, z->domain) && is_plain_name(r->name))
			add_host(z, ip, arena_text(&z->arena, r->name));
	}
}

/* Several records of one name come one after the other in any order, so a machine's names are
 * looked for before the first of them is added. */
static void add_view_records(struct zone *z, const struct mesh_view *view)
{
	bool *is_free = memory_take_array(view->record_count + 1, sizeof(*is_free));

	for (size_t i = 0; i < view->record_count; i++)
		is_free[i] = !map_get(&z->names, view->records[i].name) ||
			     slice_equal(view->records[i].name, z->domain);
	for (size_t i = 0; i < view->record_count; i++)
		if (is_free[i])
			add_view_record(z, &view->records[i]);
	memory_free(is_free);
}

static void add_soa(struct zone *z)
{
	struct dns_name name;
	struct buf data;
	static const uint32_t times_s[] = { 3600, 600, 86400, ZONE_NEGATIVE_TTL_S };

	if (dns_name_from_text(z->domain, &name))
		return;
	buf_init(&data);
	buf_add(&data, name.bytes, name.size); /* the server: who is asked is authoritative */
	buf_add(&data, name.bytes, name.size);
	buf_add_u32(&data, (uint32_t)z->sequence);
	for (size_t i = 0; i < 4; i++)
		buf_add_u32(&data, times_s[i]);
	add_record(z, z->domain, DNS_SOA, buf_slice(&data), (struct slice) { 0 });
	add_record(z, z->domain, DNS_NS, (struct slice) { name.bytes, name.size },
		   (struct slice) { 0 });
	buf_done(&data);
}

bool zone_is_domain(struct slice domain)
{
	return is_plain(slice_cut(&domain, '.')) && domain.size > 0 && is_plain_name(domain);
}

struct zone *zone_new(const struct mesh_view *view)
{
	struct dns_name name;

	if (view->machine_count == 0 || dns_name_from_text(view->domain, &name))
		return NULL;
	struct zone *z = NEW(struct zone);
	arena_init(&z->arena);
	map_init(&z->names);
	z->sequence = view->sequence;
	if (zone_is_domain(view->domain))
		z->domain = arena_copy(&z->arena, view->domain);
	add_soa(z);
	for (size_t i = 0; i < view->machine_count; i++)
		add_machine(z, &view->machines[i]);
	add_view_records(z, view);
	if (z->domain.size > 0)
		add_text(z,
			 slice_from(arena_format(&z->arena, "_netmap.%.*s", SLICE_ARG(z->domain))),
			 slice_from(
				 arena_format(&z->arena, "%llu", (unsigned long long)z->sequence)));
	z->routes = arena_take_array(&z->arena, view->route_count + 1, sizeof(z->routes[0]));
	z->route_count = view->route_count;
	for (size_t i = 0; i < z->route_count; i++) {
		z->routes[i] = view->routes[i];
		z->routes[i].suffix = arena_copy(&z->arena, view->routes[i].suffix);
	}
	return z;
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	map_done(&z->names);
	memory_free(z->hosts);
	arena_done(&z->arena);
	memory_free(z);
}

struct slice zone_domain(const struct zone *z)
{
	return z->domain;
}

uint64_t zone_sequence(const struct zone *z)
{
	return z->sequence;
}

bool zone_suffix(const struct zone *z, size_t i, struct slice *ret)
{
	for (size_t j = 0; j < z->route_count; j++) {
		*ret = z->routes[j].suffix;
		if (ret->size > 0 && !slice_equal(*ret, z->domain) && i-- == 0)
			return true;
	}
	return false;
}

void zone_each_host(const struct zone *z,
		    void (*on_host)(void *context, struct ip ip, const char *names), void *context)
{
	for (size_t i = 0; i < z->host_count; i++)
		on_host(context, z->hosts[i].ip, z->hosts[i].names);
}

/* --- answering -------------------------------------------------------------------------------- */

/* The domain of the mesh, or one that a route says is answered here, or a reverse zone. */
static bool find_own_suffix(const struct zone *z, struct slice name, struct slice *ret)
{
	static const struct slice v6 = { (const uint8_t *)REVERSE_V6, sizeof(REVERSE_V6) - 1 };
	struct slice v4 = slice_from(REVERSE_V4);
	uint64_t number;

	if (z->domain.size > 0 && zone_is_below(name, z->domain)) {
		*ret = z->domain;
		return true;
	}
	if (zone_is_below(name, v6)) {
		*ret = v6;
		return true;
	}
	if (name.size <= v4.size ||
	    !slice_equal(slice_part(name, name.size - v4.size, v4.size), v4))
		return false;
	size_t begin = name.size - v4.size, end = begin;
	while (begin > 0 && name.data[begin - 1] != '.')
		begin--;
	if (text_to_u64(slice_part(name, begin, end - begin), REVERSE_V4_LAST, &number) ||
	    number < REVERSE_V4_FIRST)
		return false;
	*ret = slice_part(name, begin, name.size);
	return true;
}

/* The one with the longest suffix, or NULL. */
static const struct mesh_view_route *find_route(const struct zone *z, struct slice name)
{
	const struct mesh_view_route *best = NULL;

	for (size_t i = 0; i < z->route_count; i++) {
		const struct mesh_view_route *route = &z->routes[i];
		if (zone_is_below(name, route->suffix) &&
		    (!best || route->suffix.size > best->suffix.size))
			best = route;
	}
	return best;
}

static bool is_wanted(const struct record *r, uint16_t type)
{
	return r->type == type || r->type == DNS_CNAME ||
	       (type == DNS_ANY && (r->type == DNS_A || r->type == DNS_AAAA));
}

/* Returns whether anything was added.  What stands outside of the zone behind a CNAME the asker
 * looks for itself. */
static bool add_answers(const struct zone *z, struct dns_writer *w, const struct name *name,
			uint16_t type)
{
	bool is_any = false;

	for (int i = 0; name && i < ZONE_CHAIN_MAX; i++) {
		const struct name *next = NULL;
		struct dns_name owner;

		if (dns_name_from_text(name->text, &owner))
			break;
		for (const struct record *r = name->records; r; r = r->next) {
			if (!is_wanted(r, type))
				continue;
			dns_answer_add(w, DNS_ANSWER, &owner, r->type, ZONE_TTL_S, r->data);
			is_any = true;
			if (r->type == DNS_CNAME && type != DNS_CNAME)
				next = map_get(&z->names, r->target);
			if (type == DNS_ANY)
				break; /* one is enough (RFC 8482) */
		}
		name = next;
	}
	return is_any;
}

/* Says for how long there is nothing. */
static void add_authority(const struct zone *z, struct dns_writer *w, struct slice suffix)
{
	const struct name *apex = map_get(&z->names, z->domain);
	struct dns_name owner;

	if (dns_name_from_text(suffix, &owner))
		return;
	for (const struct record *r = apex ? apex->records : NULL; r; r = r->next)
		if (r->type == DNS_SOA)
			dns_answer_add(w, DNS_AUTHORITY, &owner, DNS_SOA, ZONE_NEGATIVE_TTL_S,
				       r->data);
}

/* As far as the asker and the way back can take it. */
static size_t size_max_of(const struct dns_query *q, bool is_udp)
{
	if (!is_udp)
		return DNS_MESSAGE_BYTES_MAX;
	return q->udp_bytes < DNS_UDP_BYTES_MAX ? q->udp_bytes : DNS_UDP_BYTES_MAX;
}

void zone_refuse(const struct dns_query *query, struct slice message, enum dns_rcode rcode,
		 struct buf *out)
{
	struct dns_writer w;

	dns_answer_begin(&w, out, query, message, DNS_UDP_BYTES_MIN);
	dns_answer_end(&w, rcode, 0);
}

static enum zone_outcome answer_own(const struct zone *z, const struct dns_query *q,
				    struct slice message, bool is_udp, struct slice text,
				    struct slice suffix, struct buf *out)
{
	const struct name *name = map_get(&z->names, text);
	struct dns_writer w;

	dns_answer_begin(&w, out, q, message, size_max_of(q, is_udp));
	if (!add_answers(z, &w, name, q->question.type))
		add_authority(z, &w, suffix);
	dns_answer_end(&w, name ? DNS_NOERROR : DNS_NXDOMAIN, DNS_AUTHORITATIVE);
	return ZONE_ANSWERED;
}

/* OK, or why it is refused. */
static enum dns_rcode check_query(const struct dns_query *q, enum err err)
{
	if (err)
		return err == ERR_UNSUPPORTED ? DNS_NOTIMP : DNS_FORMERR;
	if (q->has_edns && q->edns_version > 0)
		return DNS_BADVERS;
	if (q->question.type == DNS_AXFR || q->question.type == DNS_IXFR)
		return DNS_REFUSED;
	if (q->question.class != DNS_CLASS_IN && q->question.class != DNS_CLASS_ANY)
		return DNS_REFUSED;
	return DNS_NOERROR;
}

enum zone_outcome zone_answer(const struct zone *z, struct slice message, bool is_udp,
			      struct buf *out, struct dns_query *ret_query,
			      struct zone_route *ret_route)
{
	char text[DNS_NAME_TEXT_BYTES];
	enum err err = dns_read_query(message, ret_query);
	struct slice suffix = { 0 };

	if (!ret_query->has_header)
		return ZONE_NOTHING;
	enum dns_rcode refusal = check_query(ret_query, err);
	if (refusal) {
		zone_refuse(ret_query, message, refusal, out);
		return ZONE_ANSWERED;
	}
	*ret_route = (struct zone_route) { NULL, 0 };
	dns_name_text(&ret_query->question.name, text);
	struct slice name = slice_from(text);
	if (find_own_suffix(z, name, &suffix) || map_get(&z->names, name) ||
	    zone_is_below(name, SLICE("onion")))
		return answer_own(z, ret_query, message, is_udp, name, suffix, out);
	const struct mesh_view_route *route = find_route(z, name);
	if (route && route->resolver_count == 0)
		return answer_own(z, ret_query, message, is_udp, name, route->suffix, out);
	if (route)
		*ret_route = (struct zone_route) { route->resolvers, route->resolver_count };
	return ZONE_FORWARD;
}
