/* At which addresses we may be reached, the most promising first. */
#include "mesh/paths/private.h"

struct list_of_ours {
	struct paths_endpoint at[PATHS_ENDPOINTS_MAX];
	int count;
};

static void add(struct list_of_ours *l, const struct endpoint *address,
		enum paths_endpoint_kind kind)
{
	if (!endpoint_is_unicast(address) || l->count == PATHS_ENDPOINTS_MAX)
		return;
	for (int i = 0; i < l->count; i++)
		if (endpoint_equal(&l->at[i].address, address))
			return;
	l->at[l->count++] = (struct paths_endpoint) { *address, kind };
}

static uint16_t port4(const struct paths *p)
{
	for (int i = 0; i < p->local.count; i++)
		if (endpoint_is_ip4(&p->local.addresses[i]))
			return p->local.addresses[i].port;
	return 0;
}

static void add_seen(const struct paths *p, struct list_of_ours *l)
{
	const struct measure *m = &p->measure;
	struct endpoint guess = m->public4;

	/* Of a hard NAT its port was for the server alone; somebody may have forwarded ours by
	 * hand. */
	guess.port = port4(p);
	if (m->varies != PATHS_YES)
		add(l, &m->public4, PATHS_ENDPOINT_STUN);
	if (m->varies != PATHS_NO)
		add(l, &guess, PATHS_ENDPOINT_STUN_LOCAL_PORT);
	add(l, &m->public6, PATHS_ENDPOINT_STUN);
}

static void add_local(const struct paths *p, struct list_of_ours *l)
{
	int before = l->count;

	for (int i = 0; i < p->local.count; i++)
		if (!endpoint_is_loopback(&p->local.addresses[i]) &&
		    !endpoint_is_link_local(&p->local.addresses[i]))
			add(l, &p->local.addresses[i], PATHS_ENDPOINT_LOCAL);
	if (l->count > before)
		return;
	for (int i = 0; i < p->local.count; i++)
		add(l, &p->local.addresses[i], PATHS_ENDPOINT_LOCAL);
}

void endpoints_update(struct paths *p)
{
	struct list_of_ours l = { .count = 0 };
	bool is_same;

	if (p->mapping.step == MAPPING_HELD)
		add(&l, &p->mapping.outside, PATHS_ENDPOINT_MAPPED);
	add_seen(p, &l);
	add_local(p, &l);
	is_same = l.count == p->endpoint_count;
	for (int i = 0; is_same && i < l.count; i++)
		is_same = endpoint_equal(&l.at[i].address, &p->endpoints[i].address) &&
			  l.at[i].kind == p->endpoints[i].kind;
	if (is_same)
		return;
	memcpy(p->endpoints, l.at, sizeof(l.at));
	p->endpoint_count = l.count;
	paths_push(p, PATHS_ENDPOINTS_CHANGED);
}

int paths_endpoints(const struct paths *p, struct paths_endpoint ret[PATHS_ENDPOINTS_MAX])
{
	memcpy(ret, p->endpoints, (size_t)p->endpoint_count * sizeof(*ret));
	return p->endpoint_count;
}
