/* A port that our router keeps open for us, so that everybody reaches us: asked for by PCP, and
 * by NAT-PMP when that is not answered, from the socket whose port it is, and renewed at half of
 * its time.  Not by both at once: a router that knows both takes the second for another owner, who
 * replaces the first and lets nobody renew it or give it back (seen with miniupnpd).
 *
 * A router that answers neither is searched for by UPnP, which most know that have no better; only
 * the gateway itself is believed, and the rest, by HTTP, is for whoever has sockets. */
#include "mesh/paths/private.h"
#include "wire/port_mapping/port_mapping.h"

#define ANSWER_US (250 * MS)
#define REST_US (600 * SECOND)	/* a router that did not answer is asked again */
#define FOUND_US SECOND		/* for the answer to a search */
#define OPENED_US (20 * SECOND) /* for UPnP's conversation */

enum {
	TRIES = 3,
	SEARCHES = 2,
	LEASE_SECONDS = 7200,
	LEASE_SECONDS_MIN = 60,
	LEASE_SECONDS_MAX = 86400
};

static struct endpoint server(const struct paths *p)
{
	struct endpoint e = p->local.gateway;

	e.port = PORT_MAPPING_PORT;
	return e;
}

/* Our address and port as the router sees them. */
static struct endpoint ours(const struct paths *p)
{
	struct endpoint e = p->local.to_gateway;

	e.port = 0;
	for (int i = 0; i < p->local.count; i++)
		if (endpoint_same_ip(&p->local.addresses[i], &e))
			e.port = p->local.addresses[i].port;
	return e;
}

static void send_bytes(struct paths *p, const uint8_t *bytes, size_t size)
{
	struct paths_effect *effect = paths_push(p, PATHS_SEND);

	effect->address = server(p);
	paths_push_bytes(p, effect, (struct slice) { bytes, size });
}

/* 0 seconds: give it back. */
static void ask(struct paths *p, bool by_pcp, uint32_t seconds)
{
	uint8_t address[NATPMP_ADDRESS_BYTES], map[NATPMP_MAP_BYTES], pcp_map[PCP_MAP_BYTES];
	struct endpoint local = ours(p);
	uint16_t suggested = p->mapping.outside_port ? p->mapping.outside_port : local.port;

	if (by_pcp) {
		pcp_ask_map(p->mapping.nonce, &local, seconds ? suggested : 0, seconds, pcp_map);
		send_bytes(p, pcp_map, sizeof(pcp_map));
		return;
	}
	if (seconds) {
		natpmp_ask_address(address);
		send_bytes(p, address, sizeof(address));
	}
	natpmp_ask_map(local.port, seconds ? suggested : 0, seconds, map);
	send_bytes(p, map, sizeof(map));
}

void mapping_start(struct paths *p, uint64_t now_us)
{
	struct mapping *m = &p->mapping;
	struct endpoint gateway = server(p), local = ours(p);

	if (p->config.is_port_mapping_off || !endpoint_is_ip4(&gateway) || !local.port ||
	    !endpoint_is_unicast(&gateway))
		return;
	if (!m->outside_port)
		paths_random(p, m->nonce, sizeof(m->nonce));
	m->step = MAPPING_ASKING;
	m->tries = 1;
	m->next_us = now_us + ANSWER_US;
	ask(p, true, LEASE_SECONDS);
}

/* Routers answer a search from whichever port they like. */
bool mapping_is_answer(const struct paths *p, const struct endpoint *from, struct slice packet)
{
	struct endpoint gateway = server(p);

	if (p->mapping.step == MAPPING_SEARCHING && endpoint_same_ip(from, &gateway) &&
	    slice_starts_with(packet, SLICE("HTTP/1.")))
		return true;
	return p->mapping.step != MAPPING_OFF && endpoint_equal(from, &gateway);
}

/* --- UPnP --- */

/* To the router alone, and to all, since some answer only one of both. */
static void search(struct paths *p, uint64_t now_us)
{
	struct endpoint to[] = { server(p), endpoint_ip4(239, 255, 255, 250, UPNP_PORT) };

	to[0].port = UPNP_PORT;
	for (int i = 0; i < 2; i++) {
		struct paths_effect *effect = paths_push(p, PATHS_SEND);

		effect->address = to[i];
		paths_push_bytes(p, effect, upnp_search());
	}
	p->mapping.next_us = now_us + FOUND_US;
}

static void push_upnp(struct paths *p, enum paths_effect_kind kind)
{
	struct mapping *m = &p->mapping;
	struct paths_effect *effect = paths_push(p, kind);

	effect->address = m->place.address;
	effect->local = ours(p);
	effect->outside_port = m->outside_port ? m->outside_port : effect->local.port;
	paths_push_bytes(p, effect, slice_from(m->place.path));
}

static void found(struct paths *p, const struct endpoint *from, struct slice packet,
		  uint64_t now_us)
{
	struct mapping *m = &p->mapping;
	struct upnp_place place;

	if (upnp_read_found(packet, &place) || !endpoint_same_ip(&place.address, from))
		return;
	m->place = place;
	m->step = MAPPING_OPENING;
	m->next_us = now_us + OPENED_US;
	push_upnp(p, PATHS_MAP_PORT);
}

/* --- what is held --- */

static void hold(struct paths *p, const struct endpoint *outside, uint32_t seconds,
		 enum mapping_way way, uint64_t now_us)
{
	struct mapping *m = &p->mapping;

	if (!endpoint_is_unicast(outside))
		return;
	seconds = seconds < LEASE_SECONDS_MIN ? LEASE_SECONDS_MIN : seconds;
	seconds = seconds > LEASE_SECONDS_MAX ? LEASE_SECONDS_MAX : seconds;
	if (m->step != MAPPING_HELD)
		paths_push(p, PATHS_NETINFO_CHANGED);
	m->step = MAPPING_HELD;
	m->way = way;
	m->outside = *outside;
	m->outside_port = outside->port;
	m->until_us = now_us + seconds * SECOND;
	m->next_us = now_us + seconds * SECOND / 2;
	m->tries = 0;
	endpoints_update(p);
}

/* NAT-PMP says address and port in two answers. */
static void natpmp_received(struct paths *p, const struct port_mapping_answer *a, uint64_t now_us)
{
	struct mapping *m = &p->mapping;
	struct endpoint outside;

	if (a->kind == NATPMP_ADDRESS) {
		m->public_address = a->outside;
	} else if (a->port == ours(p).port && a->seconds) {
		m->natpmp_port = a->outside.port;
		m->natpmp_seconds = a->seconds;
	}
	if (!m->natpmp_port || endpoint_is_none(&m->public_address))
		return;
	outside = m->public_address;
	outside.port = m->natpmp_port;
	m->natpmp_port = 0;
	hold(p, &outside, m->natpmp_seconds, MAPPING_BY_NATPMP, now_us);
}

void mapping_received(struct paths *p, const struct endpoint *from, struct slice packet,
		      uint64_t now_us)
{
	struct mapping *m = &p->mapping;
	struct port_mapping_answer a;

	if (m->step == MAPPING_SEARCHING && from->port != PORT_MAPPING_PORT) {
		found(p, from, packet, now_us);
		return;
	}
	/* Else nothing was asked.  A late answer is better than UPnP. */
	if (m->step != MAPPING_ASKING && m->step != MAPPING_SEARCHING &&
	    !(m->step == MAPPING_HELD && m->tries && m->way != MAPPING_BY_UPNP))
		return;
	if (port_mapping_read(packet, &a) || a.result)
		return;
	if (a.kind != PCP_MAP)
		natpmp_received(p, &a, now_us);
	else if (memcmp(a.nonce, m->nonce, sizeof(a.nonce)) == 0 && a.seconds &&
		 a.port == ours(p).port)
		hold(p, &a.outside, a.seconds, MAPPING_BY_PCP, now_us);
}

static void give_up(struct paths *p, uint64_t now_us)
{
	struct mapping *m = &p->mapping;

	m->tries = 0;
	if (m->step == MAPPING_HELD && now_us < m->until_us) {
		m->next_us = now_us + (m->until_us - now_us) / 2 + SECOND;
		return;
	}
	if (m->step == MAPPING_HELD)
		paths_push(p, PATHS_NETINFO_CHANGED);
	m->step = MAPPING_RESTING;
	m->until_us = now_us + REST_US;
	m->next_us = NEVER; /* until somebody is talked to */
	endpoints_update(p);
}

static void tick_upnp(struct paths *p, uint64_t now_us)
{
	struct mapping *m = &p->mapping;

	if (m->step == MAPPING_SEARCHING && m->tries < SEARCHES) {
		m->tries++;
		search(p, now_us);
	} else if (m->step == MAPPING_HELD && m->tries == 0) {
		m->tries = 1;
		m->next_us = now_us + OPENED_US;
		push_upnp(p, PATHS_MAP_PORT);
	} else {
		give_up(p, now_us);
	}
}

void mapping_tick(struct paths *p, uint64_t now_us)
{
	struct mapping *m = &p->mapping;

	if (now_us < m->next_us || m->step == MAPPING_OFF || m->step == MAPPING_RESTING)
		return;
	if (m->step == MAPPING_SEARCHING || m->step == MAPPING_OPENING ||
	    (m->step == MAPPING_HELD && m->way == MAPPING_BY_UPNP)) {
		tick_upnp(p, now_us);
		return;
	}
	if (m->tries >= TRIES && m->step == MAPPING_ASKING) {
		m->step = MAPPING_SEARCHING;
		m->tries = 1;
		search(p, now_us);
		return;
	}
	if (m->tries >= TRIES) {
		give_up(p, now_us);
		return;
	}
	m->tries++;
	m->next_us = now_us + ANSWER_US;
	ask(p, m->step == MAPPING_HELD && m->way == MAPPING_BY_PCP, LEASE_SECONDS);
}

void paths_mapped(struct paths *p, const struct endpoint *local, const struct endpoint *outside,
		  uint32_t seconds, uint64_t now_us)
{
	struct mapping *m = &p->mapping;
	struct endpoint here = ours(p);
	bool is_wanted = m->step == MAPPING_OPENING ||
			 (m->step == MAPPING_HELD && m->tries && m->way == MAPPING_BY_UPNP);

	if (!is_wanted || !endpoint_equal(local, &here))
		return; /* the network changed meanwhile */
	if (outside && endpoint_is_unicast(outside))
		hold(p, outside, seconds, MAPPING_BY_UPNP, now_us);
	else
		give_up(p, now_us);
}

void mapping_wanted(struct paths *p, uint64_t now_us)
{
	if (p->mapping.step == MAPPING_RESTING && now_us >= p->mapping.until_us)
		mapping_start(p, now_us);
}

void paths_give_back(struct paths *p)
{
	struct mapping *m = &p->mapping;

	if (m->step != MAPPING_HELD)
		return;
	if (m->way == MAPPING_BY_UPNP)
		push_upnp(p, PATHS_UNMAP_PORT);
	else
		ask(p, m->way == MAPPING_BY_PCP, 0);
	*m = (struct mapping) { .next_us = NEVER };
}
