#include "base/ip_range.h"

#include <assert.h>
#include <stdio.h>

bool ip_next(struct ip a, struct ip *ret)
{
	for (unsigned i = ip_bits(a) / 8; i-- > 0;)
		if (++a.bytes[i] != 0) {
			*ret = a;
			return true;
		}
	return false;
}

bool ip_previous(struct ip a, struct ip *ret)
{
	for (unsigned i = ip_bits(a) / 8; i-- > 0;)
		if (a.bytes[i]-- != 0) {
			*ret = a;
			return true;
		}
	return false;
}

struct ip_range ip_range_of(struct ip_prefix prefix)
{
	prefix = ip_prefix_masked(prefix);
	return (struct ip_range) { prefix.ip, ip_prefix_last(prefix) };
}

struct ip_range ip_range_one(struct ip a)
{
	return (struct ip_range) { a, a };
}

struct ip_range ip_range_all(enum ip_family family)
{
	return ip_range_of((struct ip_prefix) { .ip.family = (uint8_t)family });
}

bool ip_range_contains(const struct ip_range *r, struct ip a)
{
	return r->first.family == a.family && ip_compare(r->first, a) <= 0 &&
	       ip_compare(a, r->last) <= 0;
}

bool ip_range_covers(const struct ip_range *outer, const struct ip_range *inner)
{
	return ip_range_contains(outer, inner->first) && ip_range_contains(outer, inner->last);
}

bool ip_range_overlaps(const struct ip_range *a, const struct ip_range *b)
{
	return a->first.family == b->first.family && ip_compare(a->first, b->last) <= 0 &&
	       ip_compare(b->first, a->last) <= 0;
}

bool ip_range_is_prefix(const struct ip_range *r, struct ip_prefix *ret)
{
	unsigned bits = 0;
	struct ip_prefix prefix;

	while (bits < ip_bits(r->first) &&
	       !((r->first.bytes[bits / 8] ^ r->last.bytes[bits / 8]) & (0x80 >> (bits % 8))))
		bits++;
	prefix = (struct ip_prefix) { r->first, (uint8_t)bits };
	if (!ip_prefix_equal(prefix, ip_prefix_masked(prefix)) ||
	    !ip_equal(ip_prefix_last(prefix), r->last))
		return false;
	*ret = prefix;
	return true;
}

void ip_range_text(const struct ip_range *r, char ret[IP_RANGE_TEXT_BYTES])
{
	char first[IP_TEXT_BYTES], last[IP_TEXT_BYTES];
	struct ip_prefix prefix;

	ip_text(r->first, first);
	ip_text(r->last, last);
	if (ip_equal(r->first, r->last))
		snprintf(ret, IP_RANGE_TEXT_BYTES, "%s", first);
	else if (ip_range_is_prefix(r, &prefix))
		snprintf(ret, IP_RANGE_TEXT_BYTES, "%s/%u", first, prefix.bits);
	else
		snprintf(ret, IP_RANGE_TEXT_BYTES, "%s-%s", first, last);
}

static bool is_mapped(struct ip a)
{
	return !ip_equal(a, ip_unmapped(a));
}

enum err ip_range_parse(struct slice text, struct ip_range *ret)
{
	struct slice rest = text, first;
	struct ip_prefix prefix;
	struct ip_range r;
	enum err err;

	if (text.size == 0)
		return ERR_INVALID;
	if (!memchr(text.data, '-', text.size)) {
		err = ip_prefix_parse(text, &prefix);
		if (err)
			return err;
		r = ip_range_of(prefix);
	} else {
		first = slice_cut(&rest, '-');
		err = ip_parse(first, &r.first);
		if (!err)
			err = ip_parse(rest, &r.last);
		if (err)
			return err;
	}
	if (r.first.family != r.last.family || ip_compare(r.first, r.last) > 0 ||
	    (is_mapped(r.first) && is_mapped(r.last)))
		return ERR_INVALID;
	*ret = r;
	return OK;
}
