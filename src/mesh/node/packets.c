/* The way of packets, in batches of one peer wherever they come so. */
#include "base/clock.h"
#include "base/log.h"
#include "mesh/filter/tsmp.h"
#include "mesh/node/private.h"

enum { PACKET_ROOM = TUNNEL_HEAD_BYTES + NODE_MTU + TUNNEL_TAIL_BYTES };

/* --- out -------------------------------------------------------------------------------------- */
static void on_sealed(void *context, struct tunnel_peer *to, struct tunnel_packet *packets,
		      size_t count)
{
	struct node_peer *peer = tunnel_peer_context(to);
	struct tunnel_run run;
	size_t at = 0;

	while (tunnel_next_run(packets, count, &at, &run))
		node_send_run(context, peer, &run);
}

/* A packet of the node itself, which the filter does not see. */
static void send_own(struct node *n, struct node_peer *peer, struct slice packet)
{
	uint8_t room[PACKET_ROOM];
	struct tunnel_packet one = { room + TUNNEL_HEAD_BYTES, packet.size };

	if (packet.size == 0 || packet.size > NODE_MTU)
		return;
	memcpy(one.data, packet.data, packet.size);
	if (tunnel_seal(n->tunnel, node_now(), peer->tunnel, &one, 1)) /* or it waits */
		on_sealed(n, peer->tunnel, &one, 1);
}

void node_on_tun(void *context, struct tun_packet *from, size_t count)
{
	struct node *n = context;
	struct tunnel_packet packets[TUN_PACKETS_MAX];
	uint64_t now_ms = clock_now_ms();
	struct tunnel_peer *to = NULL;
	size_t first = 0, used = 0;

	/* Those that may not leave are closed over, so that the rest stays a batch. */
	for (size_t i = 0; i < count; i++) {
		struct slice packet = { from[i].data, from[i].size };
		struct tunnel_peer *peer = tunnel_route_packet(n->tunnel, packet);

		if (!peer || filter_out(n->filter, packet, now_ms).verdict != FILTER_ACCEPT)
			continue;
		if (peer != to && used > first) {
			lanes_seal(n->lanes, node_now(), to, packets + first, used - first);
			first = used;
		}
		to = peer;
		packets[used++] = (struct tunnel_packet) { from[i].data, from[i].size };
	}
	if (used > first)
		lanes_seal(n->lanes, node_now(), to, packets + first, used - first);
	if (lanes_is_sealing(n->lanes))
		n->marks[tun_keep(n->tun)] = lanes_mark(n->lanes);
	node_run_effects(n);
}

void node_on_tun_return(void *context, unsigned room)
{
	struct node *n = context;

	lanes_finish_sealing(n->lanes, n->marks[room]);
	node_run_effects(n);
}

/* --- TSMP ------------------------------------------------------------------------------------- */
static void send_tsmp(struct node *n, struct node_peer *peer, const struct tsmp *message)
{
	uint8_t packet[TSMP_PACKET_BYTES_MAX];

	send_own(n, peer, (struct slice) { packet, tsmp_build(message, packet) });
}

static bool address_of(const struct node_peer *peer, uint8_t family, struct ip *ret)
{
	for (size_t i = 0; i < peer->allowed_count; i++) {
		const struct ip_prefix *p = &peer->allowed[i];
		if (p->ip.family != family || p->bits != ip_bits(p->ip))
			continue;
		*ret = p->ip;
		return true;
	}
	return false;
}

/* So that it finds ways to us even when control cannot tell it our key of this life. */
static void tell_disco_key(struct node *n, struct node_peer *peer)
{
	struct tsmp m = { .kind = TSMP_DISCO_KEY, .from = n->self4 };
	const struct mesh_key *key = paths_disco_public(n->paths);

	if (m.from.family == IP_NONE || !address_of(peer, IP_V4, &m.to)) {
		m.from = n->self6;
		if (m.from.family == IP_NONE || !address_of(peer, IP_V6, &m.to))
			return;
	}
	memcpy(m.disco_key, key->bytes, sizeof(m.disco_key));
	send_tsmp(n, peer, &m);
}

static uint16_t peerapi_port(const struct node *n, uint8_t family)
{
	const char *proto = family == IP_V6 ? "peerapi6" : "peerapi4";

	for (size_t i = 0; i < n->service_count; i++)
		if (strcmp(n->services[i].proto, proto) == 0)
			return n->services[i].port;
	return 0;
}

static void take_tsmp(struct node *n, struct node_peer *peer, struct slice packet)
{
	struct tsmp m;

	if (tsmp_parse(packet, &m))
		return;
	switch (m.kind) {
	case TSMP_PING: {
		struct tsmp answer = { .kind = TSMP_PONG,
				       .from = m.to,
				       .to = m.from,
				       .peerapi_port = peerapi_port(n, m.to.family) };
		memcpy(answer.cookie, m.cookie, sizeof(answer.cookie));
		send_tsmp(n, peer, &answer);
		return;
	}
	case TSMP_DISCO_KEY: {
		struct mesh_key key;
		memcpy(key.bytes, m.disco_key, sizeof(key.bytes));
		paths_peer_disco(n->paths, peer->paths, &key, clock_now_us());
		return;
	}
	case TSMP_REJECT:
		log_debug("a peer dropped a packet of protocol %u to port %u (%c)",
			  m.reject.protocol, m.reject.destination_port, m.reject.reason);
		return;
	case TSMP_PONG:
		return;
	}
}

/* --- in --------------------------------------------------------------------------------------- */
static void take_packet(struct node *n, struct tunnel_datagram *d, struct tun_packet *accepted,
			size_t *accepted_count)
{
	struct node_peer *peer = tunnel_peer_context(d->peer);
	struct filter_answer answer = filter_in(n->filter, d->packet, clock_now_ms());

	if (answer.verdict == FILTER_TSMP) {
		take_tsmp(n, peer, d->packet);
	} else if (answer.verdict == FILTER_ACCEPT) {
		accepted[(*accepted_count)++] = (struct tun_packet) {
			(uint8_t *)(uintptr_t)d->packet.data, d->packet.size /* in d->data */
		};
	} else if (answer.reject) {
		uint8_t reply[FILTER_REJECT_BYTES_MAX];
		send_own(n, peer,
			 (struct slice) { reply, filter_reject(n->filter, d->packet, reply) });
	}
}

static bool came_the_same_way(const struct paths_from *a, const struct paths_from *b)
{
	return a->region == b->region && a->vni == b->vni && a->socket == b->socket &&
	       endpoint_equal(&a->address, &b->address);
}

static void on_opened(void *context, struct lanes_incoming *batch)
{
	struct tun_packet accepted[LANES_DATAGRAMS_MAX];
	const struct tunnel_peer *told = NULL;
	const struct paths_from *from = batch->notes;
	size_t accepted_count = 0;
	struct node *n = context;

	/* First where they are, so that answers leave that way. */
	for (size_t i = 0; i < batch->count; i++) {
		struct tunnel_datagram *d = &batch->datagrams[i];
		if (!d->peer || (d->peer == told && came_the_same_way(&from[i], &from[i - 1])))
			continue;
		struct node_peer *peer = tunnel_peer_context(d->peer);
		paths_authenticated(n->paths, peer->paths, &from[i], clock_now_us());
		told = d->peer;
	}
	for (size_t i = 0; i < batch->count; i++) {
		struct tunnel_datagram *d = &batch->datagrams[i];
		if (d->verdict == TUNNEL_UNKNOWN)
			n->stranger_ms = clock_now_ms();
		if (d->verdict == TUNNEL_PACKET || d->verdict == TUNNEL_CONTROL)
			take_packet(n, d, accepted, &accepted_count);
	}
	if (accepted_count > 0)
		tun_write(n->tun, accepted, accepted_count);
}

void node_open_lanes(struct node *n)
{
	n->lanes = lanes_new(&(struct lanes_options) {
		.tunnel = n->tunnel,
		.threads = lanes_threads(),
		.note_bytes = sizeof(struct paths_from),
		.context = n,
		.on_sealed = on_sealed,
		.on_opened = on_opened,
	});
}

static void take_datagram(struct node_socket *s, const struct endpoint *from, struct slice datagram)
{
	struct node *n = s->node;
	struct lanes_incoming *batch = lanes_incoming(n->lanes);
	struct paths_from *notes = batch->notes;
	struct paths_peer *hint;

	if (paths_received(n->paths, s->number, from, &datagram, clock_now_us(),
			   &notes[batch->count], &hint) != PATHS_WIREGUARD)
		return;
	batch->datagrams[batch->count++] = (struct tunnel_datagram) {
		.data = (uint8_t *)(uintptr_t)datagram.data, .size = datagram.size, .from = *from
	};
	if (batch->count == LANES_DATAGRAMS_MAX)
		lanes_open(n->lanes, node_now());
}

void node_on_runs(void *context, struct datagram_run *runs, size_t count)
{
	struct node_socket *s = context;
	struct node *n = s->node;

	n->opening = (struct paths_from) { .socket = s->number };
	for (size_t i = 0; i < count; i++) {
		struct datagram_run *run = &runs[i];

		for (size_t at = 0; at < run->size; at += run->segment_size)
			take_datagram(s, &run->peer,
				      slice_part((struct slice) { run->data, run->size }, at,
						 run->segment_size));
	}
	lanes_finish_opening(n->lanes, node_now());
	node_run_effects(n);
}

void node_on_relay_packet(void *context, int region, const struct mesh_key *from,
			  struct slice packet)
{
	struct node *n = context;
	struct lanes_incoming *batch = lanes_incoming(n->lanes);
	struct paths_peer *hint;

	n->opening = (struct paths_from) { .region = (uint32_t)region };
	n->opening_key = *from;
	if (paths_relay_received(n->paths, (uint32_t)region, from, packet, clock_now_us(),
				 batch->notes, &hint) == PATHS_WIREGUARD) {
		batch->datagrams[0] =
			(struct tunnel_datagram) { .data = (uint8_t *)(uintptr_t)packet.data,
						   .size = packet.size };
		memcpy(batch->datagrams[0].from.ip, from->bytes,
		       sizeof(batch->datagrams[0].from.ip));
		batch->count = 1;
		lanes_finish_opening(n->lanes, node_now());
	}
	node_run_effects(n);
}

/* --- effects ---------------------------------------------------------------------------------- */
static void answer_cookie(struct node *n, const struct tunnel_effect *e)
{
	struct slice datagram = { e->data, e->size };

	if (n->opening.region)
		(void)derp_client_send(n->relays, (int)n->opening.region, &n->opening_key,
				       datagram);
	else if (n->sockets[n->opening.socket])
		(void)datagram_send_one(n->sockets[n->opening.socket]->datagram, &e->to, datagram);
}

static void take_tunnel_effect(struct node *n, const struct tunnel_effect *e)
{
	struct node_peer *peer = e->peer ? tunnel_peer_context(e->peer) : NULL;

	switch (e->kind) {
	case TUNNEL_SEND:
		node_send_run(n, peer, &(struct tunnel_run) { e->data, e->size, e->size, 1 });
		return;
	case TUNNEL_ANSWER:
		answer_cookie(n, e);
		return;
	case TUNNEL_READY:
		node_end_hello(peer);
		tell_disco_key(n, peer);
		return;
	case TUNNEL_SILENT:
		node_end_hello(peer);
		log_debug("peer %lld does not answer", (long long)peer->id);
		return;
	}
}

static void on_timer(struct timer *t)
{
	struct node *n = CONTAINER(t, struct node, timer);

	n->timer_at_ms = UINT64_MAX;
	tunnel_tick(n->tunnel, node_now());
	paths_tick(n->paths, clock_now_us());
	node_run_effects(n);
}

static void set_timer(struct node *n)
{
	uint64_t tunnel_ms = tunnel_deadline(n->tunnel), paths_us = paths_deadline_us(n->paths);
	uint64_t paths_ms = paths_us == UINT64_MAX ? UINT64_MAX : paths_us / 1000 + 1;
	uint64_t at_ms = tunnel_ms < paths_ms ? tunnel_ms : paths_ms, now_ms = clock_now_ms();

	if (at_ms == n->timer_at_ms)
		return;
	n->timer_at_ms = at_ms;
	if (at_ms == UINT64_MAX)
		timer_clear(&n->timer);
	else
		timer_set(&n->timer, n->loop,
			  loop_now_ms(n->loop) + (at_ms > now_ms ? at_ms - now_ms : 0), on_timer);
}

void node_run_effects(struct node *n)
{
	struct tunnel_effect t;
	struct paths_effect p;
	bool is_busy = true;

	while (is_busy) {
		is_busy = false;
		while (tunnel_next(n->tunnel, &t)) {
			take_tunnel_effect(n, &t);
			is_busy = true;
		}
		while (paths_next(n->paths, &p)) {
			node_take_path_effect(n, &p);
			is_busy = true;
		}
	}
	set_timer(n);
}
