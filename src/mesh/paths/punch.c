/* Punching through a NAT that gives every destination another port, by the birthday paradox.
 *
 * We are behind it, the peer behind one that keeps its ports but lets in only those it sent to.  We
 * ping the peer from 256 sockets, which opens 256 ports of ours that we do not know, and have the
 * relay ask the peer to ping 1000 ports of our public address.  Some of them meet with 98 %.  The
 * peer needs to know nothing of this: it is an ordinary call with many addresses; afterwards
 * another one names what is left of them.
 *
 * The other side of it, the many pings of a long call, is a volley. */
#include <assert.h>

#include "base/memory.h"
#include "mesh/paths/private.h"

/* --- sockets --- */

bool socket_is_open(const struct paths *p, uint16_t socket)
{
	return p->socket_users[socket] > 0;
}

void socket_hold(struct paths *p, uint16_t socket)
{
	if (socket)
		p->socket_users[socket]++;
}

void socket_release(struct paths *p, uint16_t socket)
{
	if (!socket)
		return;
	assert(p->socket_users[socket]);
	if (--p->socket_users[socket] == 0)
		paths_push(p, PATHS_CLOSE_SOCKET)->socket = socket;
}

static void open_sockets(struct paths *p, struct punch *punch)
{
	punch->socket_count = 0;
	for (int i = 1; i < PATHS_SOCKETS_MAX && punch->socket_count < PUNCH_SOCKETS; i++) {
		if (p->socket_users[i])
			continue;
		socket_hold(p, (uint16_t)i);
		punch->sockets[punch->socket_count++] = (uint16_t)i;
		paths_push(p, PATHS_OPEN_SOCKET)->socket = (uint16_t)i;
	}
}

/* --- the hard side --- */

/* The first address of the peer that a datagram from outside may reach. */
static const struct candidate *find_target(struct paths_peer *peer)
{
	const struct endpoint *ours = &peer->paths->measure.public4;

	LIST_EACH (&peer->candidates, struct candidate, node, it) {
		const struct endpoint *a = &it->address;

		if (endpoint_is_ip4(a) && !endpoint_is_private(a) && !endpoint_is_shared(a) &&
		    !endpoint_is_link_local(a) && !endpoint_is_loopback(a) &&
		    !endpoint_same_ip(a, ours) && it->from & (FROM_NETMAP | FROM_CALL))
			return it;
	}
	return NULL;
}

/* With STUN at one address alone nobody knows whether our NAT is hard: then a search in vain is the
 * sign.  A peer that says nothing by the relay either is not there. */
static bool is_worth_a_punch(const struct paths_peer *peer, uint64_t now_us)
{
	const struct measure *m = &peer->paths->measure;

	return measure_varies(peer->paths) != PATHS_NO && !endpoint_is_none(&m->public4) &&
	       peer->reverse && now_us < peer->reverse_us + PEER_IS_THERE_US;
}

void punch_consider(struct paths_peer *peer, uint64_t now_us)
{
	struct paths *p = peer->paths;
	const struct candidate *target;

	if (p->config.is_punch_off || p->punch.state != PUNCH_NONE ||
	    !is_worth_a_punch(peer, now_us))
		return;
	if (!peer->searching_us || now_us < peer->searching_us + PUNCH_AFTER_US ||
	    now_us < peer->punch_after_us || !peer_region(peer, now_us))
		return;
	target = find_target(peer);
	if (!target || !peer_shared(peer))
		return;
	p->punch = (struct punch) {
		.state = PUNCH_PINGING,
		.peer = peer,
		.target = target->address,
		.next_us = now_us + PACE_US,
		.until_us = now_us + PUNCH_WAIT_US,
	};
	open_sockets(p, &p->punch);
}

/* A call with as many ports of our public address as a peer will ping. */
static void call_to_many_ports(struct paths *p, const struct punch *punch, uint64_t now_us)
{
	struct disco_message m = { .type = DISCO_CALL_ME_MAYBE };
	struct endpoint it = p->measure.public4;
	struct buf endpoints;

	buf_init(&endpoints);
	for (int i = 0; i < PUNCH_PORTS; i++) {
		it.port = (uint16_t)(1024 + paths_random_below(p, 65536 - 1024));
		endpoint_put(buf_add_zero(&endpoints, ENDPOINT_WIRE_BYTES), &it);
	}
	m.endpoints = buf_slice(&endpoints);
	message_to_region(punch->peer, peer_region(punch->peer, now_us), &m);
	buf_done(&endpoints);
}

static void punch_end(struct paths *p)
{
	struct punch *punch = &p->punch;

	punch->state = PUNCH_NONE;
	for (int i = 0; i < punch->socket_count; i++)
		socket_release(p, punch->sockets[i]);
	punch->peer = NULL;
}

static void punch_failed(struct paths *p, uint64_t now_us)
{
	struct paths_peer *peer = p->punch.peer;
	uint64_t pause_us = 2 * peer->punch_pause_us;

	if (pause_us && pause_us < PUNCH_PAUSE_US)
		pause_us = PUNCH_PAUSE_US;
	pause_us = pause_us ? pause_us : PUNCH_AGAIN_US;
	pause_us = pause_us > PUNCH_PAUSE_MAX_US ? PUNCH_PAUSE_MAX_US : pause_us;
	peer->punch_pause_us = pause_us;
	peer->punch_after_us = now_us + pause_us;
	punch_end(p);
	/* An official peer keeps pinging what the last call named. */
	peer_search(peer, now_us);
}

void punch_tick(struct paths *p, uint64_t now_us)
{
	struct punch *punch = &p->punch;

	if (punch->state == PUNCH_NONE || now_us < punch->next_us)
		return;
	if (punch->state == PUNCH_WAITING) {
		punch_failed(p, now_us);
		return;
	}
	for (int i = 0; i < BURST && punch->next < punch->socket_count; i++)
		ping_address(punch->peer, punch->sockets[punch->next++], 0, &punch->target, false,
			     now_us);
	punch->next_us = now_us + PACE_US;
	if (punch->next < punch->socket_count)
		return;
	call_to_many_ports(p, punch, now_us);
	punch->state = PUNCH_WAITING;
	punch->next_us = punch->until_us;
}

void punch_answered(struct paths_peer *peer, struct candidate *c, uint64_t now_us)
{
	struct paths *p = peer->paths;
	uint8_t winner[ENDPOINT_WIRE_BYTES];
	struct disco_message m = {
		.type = DISCO_CALL_ME_MAYBE,
		.endpoints = { winner, sizeof(winner) },
	};

	if (p->punch.state == PUNCH_NONE || p->punch.peer != peer)
		return;
	peer->punch_after_us = now_us + PUNCH_PAUSE_US;
	peer->punch_pause_us = 0;
	if (c->socket) {
		endpoint_put(winner, &c->seen);
		message_to_region(peer, peer_region(peer, now_us), &m);
	}
	punch_end(p);
}

void punch_forget_peer(struct paths_peer *peer)
{
	if (peer->paths->punch.state != PUNCH_NONE && peer->paths->punch.peer == peer)
		punch_end(peer->paths);
}

/* --- the other side --- */

/* All of them at one address of the internet, or it is no volley. */
static bool is_volley(const struct disco_message *m, struct endpoint *ret)
{
	struct endpoint first = disco_endpoint(m, 0), it;

	if (!endpoint_is_ip4(&first) || !endpoint_is_unicast(&first) ||
	    disco_endpoint_count(m) > DISCO_ENDPOINTS_MAX)
		return false;
	for (size_t i = 1; i < disco_endpoint_count(m); i++) {
		it = disco_endpoint(m, i);
		if (!endpoint_same_ip(&it, &first))
			return false;
	}
	*ret = first;
	return true;
}

bool volley_start(struct paths_peer *peer, const struct disco_message *m, uint64_t now_us)
{
	struct paths *p = peer->paths;
	struct volley *v = &peer->volley;
	struct endpoint address;

	if (!is_volley(m, &address))
		return false;
	if (v->ports || p->volley_count >= VOLLEYS_MAX ||
	    (peer->volley_us && now_us < peer->volley_us + VOLLEY_PAUSE_US))
		return true;
	p->volley_count++;
	peer->volley_us = peer->volley_at = now_us;
	v->address = address;
	v->count = disco_endpoint_count(m);
	v->next = 0;
	v->ports = memory_take_array(v->count, sizeof(*v->ports));
	for (size_t i = 0; i < v->count; i++)
		v->ports[i] = disco_endpoint(m, i).port;
	volley_tick(peer, now_us);
	peer_schedule(peer, now_us);
	return true;
}

void volley_tick(struct paths_peer *peer, uint64_t now_us)
{
	struct volley *v = &peer->volley;

	if (!v->ports || now_us < peer->volley_at)
		return;
	for (int i = 0; i < BURST && v->next < v->count; v->next++) {
		v->address.port = v->ports[v->next];
		if (!v->address.port)
			continue;
		ping_address(peer, 0, 0, &v->address, false, now_us);
		i++;
	}
	peer->volley_at = now_us + PACE_US;
	if (v->next == v->count || peer_is_direct(peer, now_us))
		volley_end(peer);
}

void volley_end(struct paths_peer *peer)
{
	if (!peer->volley.ports)
		return;
	memory_free(peer->volley.ports);
	peer->volley = (struct volley) { .ports = NULL };
	peer->volley_at = NEVER;
	peer->paths->volley_count--;
}
