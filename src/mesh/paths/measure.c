/* What we know of our own network, by asking STUN servers how we look from outside.
 *
 * A round asks servers three times at most, 100 ms apart: every region at first and every five
 * minutes, otherwise home and the fastest three.  Two servers at different addresses that see
 * different ports mean a NAT that gives every destination another one.  Rounds follow each other
 * only while somebody is talked to. */
#include <assert.h>

#include "mesh/paths/private.h"

enum { FASTEST_REGIONS = 3 };

/* --- which servers --- */

static bool has_family(const struct paths *p, bool is_ip4)
{
	for (int i = 0; i < p->local.count; i++)
		if (endpoint_is_ip4(&p->local.addresses[i]) == is_ip4)
			return true;
	return false;
}

static void add_region(struct paths *p, const struct region *r)
{
	struct measure *m = &p->measure;

	for (int i = 0; i < r->facts.stun_count; i++) {
		const struct endpoint *server = &r->facts.stun[i];
		struct probe *probe = &m->probes[m->probe_count];

		if (!endpoint_is_unicast(server) || !has_family(p, endpoint_is_ip4(server)))
			continue;
		*probe = (struct probe) { .server = *server, .region = r->facts.id };
		paths_random(p, probe->transaction, sizeof(probe->transaction));
		m->probe_count++;
	}
}

/* Is it among the fastest, so that it may become home. */
static bool is_fast(const struct paths *p, const struct region *r, uint64_t now_us)
{
	uint64_t latency_us = region_latency_us(r, now_us);
	int faster = 0;

	if (!latency_us)
		return false;
	for (int i = 0; i < p->region_count; i++) {
		uint64_t other = region_latency_us(&p->regions[i], now_us);

		faster += other && other < latency_us;
	}
	return faster < FASTEST_REGIONS;
}

static void choose_servers(struct paths *p, bool all, uint64_t now_us)
{
	p->measure.probe_count = 0;
	for (int i = 0; i < p->region_count; i++) {
		struct region *r = &p->regions[i];

		r->round_us = 0;
		if (all || r->facts.id == p->home || is_fast(p, r, now_us))
			add_region(p, r);
	}
}

/* --- asking --- */

static void ask(struct paths *p, uint64_t now_us)
{
	struct measure *m = &p->measure;
	uint8_t request[STUN_REQUEST_BYTES];

	for (int i = 0; i < m->probe_count; i++) {
		struct probe *probe = &m->probes[i];
		struct paths_effect *effect;

		if (probe->is_answered || probe->tries == STUN_TRIES)
			continue;
		probe->transaction[STUN_ID_BYTES - 1] = (uint8_t)probe->tries;
		probe->sent_us[probe->tries++] = now_us;
		stun_make_request(probe->transaction, request);
		effect = paths_push(p, PATHS_SEND);
		effect->address = probe->server;
		paths_push_bytes(p, effect, (struct slice) { request, sizeof(request) });
	}
	m->step_us = now_us + STUN_RETRY_US;
}

void measure_start(struct paths *p, bool all, uint64_t now_us)
{
	struct measure *m = &p->measure;

	if (!p->has_local)
		return;
	if (m->is_running) {
		m->is_asked_again |= all;
		return;
	}
	if (!m->all_us || now_us >= m->all_us + MEASURE_ALL_US || m->has_udp != PATHS_YES)
		all = true;
	choose_servers(p, all, now_us);
	m->is_running = true;
	m->is_early = m->is_asked_again = false;
	m->begun_us = now_us;
	m->next_us = NEVER;
	if (all)
		m->all_us = now_us;
	ask(p, now_us);
}

bool measure_is_fresh(const struct paths *p, uint64_t now_us)
{
	const struct measure *m = &p->measure;

	if (!p->has_local || !p->region_count)
		return true; /* nobody to ask */
	return m->done_us && now_us < m->done_us + FRESH_US && !m->is_running;
}

/* --- what the answers say --- */

/* Pairs of answers by IPv4 from servers at different addresses. */
static void compare_answers(struct measure *m)
{
	const struct probe *first = NULL;

	for (int i = 0; i < m->probe_count; i++) {
		const struct probe *it = &m->probes[i];

		if (!it->is_answered || !endpoint_is_ip4(&it->server))
			continue;
		if (!first) {
			first = it;
			m->public4 = it->seen;
		} else if (!endpoint_equal(&it->seen, &first->seen)) {
			m->varies = PATHS_YES;
			return;
		} else if (!endpoint_same_ip(&it->server, &first->server)) {
			m->varies = PATHS_NO;
		}
	}
}

enum paths_answer measure_varies(const struct paths *p)
{
	const struct measure *m = &p->measure;

	return m->varies != PATHS_UNKNOWN ? m->varies : m->varies_for_peers;
}

enum paths_answer measure_has_udp(const struct paths *p)
{
	if (p->measure.has_udp != PATHS_NO)
		return p->measure.has_udp;
	for (int i = 0; i < p->region_count; i++)
		if (p->regions[i].is_relay_up)
			return PATHS_NO;
	return PATHS_UNKNOWN;
}

static bool is_server(const struct measure *m, const struct endpoint *address)
{
	for (int i = 0; i < m->probe_count; i++)
		if (endpoint_same_ip(&m->probes[i].server, address))
			return true;
	return false;
}

/* One STUN server says a port; whether others are shown the same, only somebody at another address
 * can say.  A peer may lie, so it does not change what we tell others of ourselves. */
void measure_seen(struct paths *p, const struct endpoint *by, const struct endpoint *seen)
{
	struct measure *m = &p->measure;
	enum paths_answer before = m->varies_for_peers;

	if (m->varies != PATHS_UNKNOWN || endpoint_is_none(&m->public4) ||
	    !endpoint_same_ip(seen, &m->public4) || endpoint_same_ip(by, &m->public4))
		return;
	if (seen->port != m->public4.port)
		m->varies_for_peers = PATHS_YES;
	else if (!is_server(m, by))
		m->varies_for_peers = PATHS_NO;
	if (m->varies_for_peers != before)
		paths_push(p, PATHS_NETINFO_CHANGED);
}

static void conclude(struct paths *p)
{
	struct measure *m = &p->measure;
	bool has_answer = false, has_answer6 = false, asked6 = false;

	for (int i = 0; i < m->probe_count; i++) {
		const struct probe *it = &m->probes[i];
		bool is6 = !endpoint_is_ip4(&it->server);

		has_answer |= it->is_answered;
		asked6 |= is6;
		if (is6 && it->is_answered) {
			has_answer6 = true;
			m->public6 = it->seen;
		}
	}
	if (m->probe_count)
		m->has_udp = has_answer ? PATHS_YES : PATHS_NO;
	if (!has_answer)
		m->public4 = m->public6 = (struct endpoint) { 0 };
	m->has_ipv6 = has_answer6 ? PATHS_YES : asked6 ? PATHS_NO : m->has_ipv6;
	compare_answers(m);
	endpoints_update(p);
}

static void remember_latencies(struct paths *p, uint64_t now_us)
{
	for (int i = 0; i < p->region_count; i++) {
		struct region *r = &p->regions[i];

		if (!r->round_us)
			continue;
		r->samples[r->next_sample] = (struct sample) { r->round_us, now_us };
		r->next_sample = (r->next_sample + 1) % SAMPLES;
	}
}

static void finish(struct paths *p, uint64_t now_us)
{
	struct measure *m = &p->measure;
	struct measure before = *m;
	uint32_t home = p->home;

	m->is_running = false;
	m->done_us = now_us;
	remember_latencies(p, now_us);
	conclude(p);
	home_choose(p, now_us);
	peers_call(p, now_us);
	if (home != p->home || before.has_udp != m->has_udp || before.has_ipv6 != m->has_ipv6 ||
	    before.varies != m->varies || !before.done_us)
		paths_push(p, PATHS_NETINFO_CHANGED);
	m->next_us = paths_is_active(p, now_us)
			     ? now_us + REMEASURE_US + paths_random_below(p, REMEASURE_JITTER_US)
			     : NEVER;
	if (m->is_asked_again)
		measure_start(p, true, now_us);
}

/* --- events --- */

void measure_wanted(struct paths *p, uint64_t now_us)
{
	struct measure *m = &p->measure;

	if (m->is_running || !p->has_local || m->next_us != NEVER)
		return;
	if (!m->done_us || now_us >= m->done_us + REMEASURE_US)
		measure_start(p, false, now_us);
	else
		m->next_us = m->done_us + REMEASURE_US + paths_random_below(p, REMEASURE_JITTER_US);
}

static struct probe *find_probe(struct measure *m, const struct endpoint *from, const uint8_t *id)
{
	for (int i = 0; i < m->probe_count; i++) {
		struct probe *it = &m->probes[i];

		if (memcmp(it->transaction, id, STUN_ID_BYTES - 1) == 0 &&
		    id[STUN_ID_BYTES - 1] < it->tries && endpoint_equal(&it->server, from))
			return it;
	}
	return NULL;
}

void measure_received(struct paths *p, const struct endpoint *from, struct slice packet,
		      uint64_t now_us)
{
	struct measure *m = &p->measure;
	uint8_t id[STUN_ID_BYTES];
	struct endpoint seen;
	struct region *r;
	struct probe *probe;
	uint64_t sent_us;
	bool is_all = true;

	if (!m->is_running || stun_read_answer(packet, id, &seen))
		return;
	probe = find_probe(m, from, id);
	if (!probe || probe->is_answered || !endpoint_is_unicast(&seen))
		return;
	probe->is_answered = true;
	probe->seen = seen;
	r = region_find(p, probe->region);
	sent_us = probe->sent_us[id[STUN_ID_BYTES - 1]];
	if (r && (!r->round_us || now_us - sent_us < r->round_us))
		r->round_us = now_us > sent_us ? now_us - sent_us : 1;
	for (int i = 0; i < m->probe_count; i++)
		is_all &= m->probes[i].is_answered;
	if (is_all)
		finish(p, now_us);
}

static bool has_any_answer(const struct measure *m)
{
	for (int i = 0; i < m->probe_count; i++)
		if (m->probes[i].is_answered)
			return true;
	return false;
}

uint64_t measure_deadline_us(const struct paths *p)
{
	return p->measure.is_running ? p->measure.step_us : p->measure.next_us;
}

void measure_tick(struct paths *p, uint64_t now_us)
{
	struct measure *m = &p->measure;

	if (!m->is_running && m->next_us <= now_us) {
		m->next_us = NEVER;
		if (paths_is_active(p, now_us))
			measure_start(p, false, now_us);
		return;
	}
	if (!m->is_running || now_us < m->step_us)
		return;
	if (!m->probe_count || now_us >= m->begun_us + MEASURE_TIMEOUT_US ||
	    (now_us >= m->begun_us + MEASURE_TIMEOUT_US / 2 && has_any_answer(m))) {
		finish(p, now_us);
		return;
	}
	if (!m->is_early && now_us >= m->begun_us + MEASURE_ENOUGH_US) {
		m->is_early = true;
		if (has_any_answer(m))
			conclude(p);
		peers_call(p, now_us);
	}
	ask(p, now_us);
}
