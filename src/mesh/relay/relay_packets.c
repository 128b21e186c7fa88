/* Frames of clients, and the way of a packet:
 *
 *	room on the receiver's connection --> written at once
 *	none                              --> its queue; the oldest there makes room
 *	all written (relay_drained)       --> from the queues, disco first
 *
 * A packet that is late is worth less than one that is new: what is inside has its own ways to
 * notice and repeat, and a long queue would only hide that there is too much. */
#include <assert.h>

#include "mesh/relay/relay_private.h"
#include "wire/crypto/wipe.h"

/* One that waits: a whole frame. */
struct waiting {
	struct list link;
	size_t size;
	uint8_t frame[];
};

enum {
	RECEIVE_HEAD_BYTES = DERP_HEAD_BYTES + DERP_KEY_BYTES,
	FORWARD_HEAD_BYTES = DERP_HEAD_BYTES + 2 * DERP_KEY_BYTES,
	SHORT_FRAME_BYTES_MAX = 64,
};

/* --- queues ----------------------------------------------------------------------------------- */
void relay_queues_init(struct relay_client *c)
{
	for (size_t i = 0; i < LANE_COUNT; i++)
		list_init(&c->lanes[i].packets);
}

static void drop_oldest(struct relay_queue *q)
{
	struct waiting *w = CONTAINER(list_pop(&q->packets), struct waiting, link);

	q->count--;
	q->bytes -= w->size;
	memory_free(w);
}

void relay_queues_done(struct relay_client *c)
{
	for (size_t i = 0; i < LANE_COUNT; i++)
		while (c->lanes[i].count > 0)
			drop_oldest(&c->lanes[i]);
}

/* 32 packets are little, unless all of them are as long as can be. */
static size_t queue_max(const struct relay *relay)
{
	return relay->counts.unsent_bytes > RELAY_UNSENT_BYTES_TOTAL_MAX ? RELAY_QUEUE_BYTES_MIN
									 : SIZE_MAX;
}

static void put_in_queue(struct relay_client *c, struct relay_queue *q, struct slice head,
			 struct slice packet)
{
	size_t size = head.size + packet.size;

	while (q->count == RELAY_QUEUE_PACKETS_MAX ||
	       (q->count > 0 && q->bytes + size > queue_max(c->relay))) {
		drop_oldest(q);
		c->relay->counts.dropped_full++;
	}
	struct waiting *w = (struct waiting *)memory_take(sizeof(*w) + size);
	w->size = size;
	memcpy(w->frame, head.data, head.size);
	if (packet.size > 0)
		memcpy(w->frame + head.size, packet.data, packet.size);
	list_add(&q->packets, &w->link);
	q->count++;
	q->bytes += size;
}

/* --- delivery --------------------------------------------------------------------------------- */
static size_t unsent_max(const struct relay *relay)
{
	return relay->counts.unsent_bytes > RELAY_UNSENT_BYTES_TOTAL_MAX ? RELAY_UNSENT_BYTES_MIN
									 : RELAY_UNSENT_BYTES_MAX;
}

static void write_frame(struct relay_client *c, struct slice first, struct slice second)
{
	struct relay *relay = c->relay;

	relay->config.host.write(c->connection, first, second);
	relay->counts.packets_out++;
	relay->counts.bytes_out += first.size + second.size;
}

static void deliver(struct relay_client *to, const struct mesh_key *from, struct slice packet)
{
	struct relay_queue *q = &to->lanes[derp_is_disco(packet) ? LANE_DISCO : LANE_DATA];
	struct relay *relay = to->relay;
	uint8_t bytes[RECEIVE_HEAD_BYTES];
	struct slice head = { bytes, sizeof(bytes) };

	if (to->is_ending)
		return;
	derp_put_head(bytes, DERP_RECEIVE_PACKET, DERP_KEY_BYTES + packet.size);
	memcpy(bytes + DERP_HEAD_BYTES, from->bytes, DERP_KEY_BYTES);
	if (q->count == 0 && relay->config.host.unsent(to->connection) < unsent_max(relay))
		write_frame(to, head, packet);
	else
		put_in_queue(to, q, head, packet);
	relay_note_unsent(to);
}

void relay_drained(struct relay_client *c)
{
	struct relay *relay = c->relay;

	assert(c->magic == RELAY_CLIENT_MAGIC);
	for (size_t i = 0; i < LANE_COUNT && !c->is_ending; i++) {
		struct relay_queue *q = &c->lanes[i];
		while (q->count > 0 &&
		       relay->config.host.unsent(c->connection) < unsent_max(relay)) {
			struct waiting *w = CONTAINER(q->packets.next, struct waiting, link);
			write_frame(c, (struct slice) { w->frame, w->size }, (struct slice) { 0 });
			drop_oldest(q);
		}
	}
	relay_note_unsent(c);
}

/* The receiver is nowhere in the region.  Only who looks for a path is told, and not often: others
 * would be told once for each packet of a flood. */
static void say_not_here(struct relay_client *c, const struct mesh_key *to, struct slice packet)
{
	struct relay *relay = c->relay;
	struct buf note;

	relay->counts.dropped_unknown++;
	if (!derp_is_disco(packet) || !rate_allows(&c->gone, 1, relay->now_ms))
		return;
	buf_init(&note);
	derp_add_peer_gone(&note, to, DERP_GONE_NOT_HERE);
	relay_say(c, buf_slice(&note));
	buf_done(&note);
	relay->counts.gone_notes++;
}

static void forward(struct relay_client *c, const struct relay_peer *to, struct slice packet)
{
	struct relay *relay = c->relay;
	const struct relay_host *host = &relay->config.host;
	void *forwarder = CONTAINER(to->forwarders.next, struct forwarding, of_peer)->forwarder;
	uint8_t bytes[FORWARD_HEAD_BYTES];

	if (host->unsent(forwarder) >= RELAY_UNSENT_BYTES_MESH_MAX) {
		relay->counts.dropped_mesh++;
		return;
	}
	derp_put_head(bytes, DERP_FORWARD_PACKET, 2 * DERP_KEY_BYTES + packet.size);
	memcpy(bytes + DERP_HEAD_BYTES, c->peer->key.bytes, DERP_KEY_BYTES);
	memcpy(bytes + DERP_HEAD_BYTES + DERP_KEY_BYTES, to->key.bytes, DERP_KEY_BYTES);
	host->write(forwarder, (struct slice) { bytes, sizeof(bytes) }, packet);
	relay->counts.forwarded_out++;
}

/* Of several clients with one key the one that talks is where packets go. */
static void make_active(struct relay_client *c)
{
	if (c->peer->clients.next == &c->of_peer)
		return;
	list_remove(&c->of_peer);
	list_add_front(&c->peer->clients, &c->of_peer);
}

static struct relay_client *active_client(const struct relay_peer *peer)
{
	if (!peer || list_is_empty(&peer->clients))
		return NULL;
	return CONTAINER(peer->clients.next, struct relay_client, of_peer);
}

/* --- frames ----------------------------------------------------------------------------------- */
static enum err on_send(struct relay_client *c, struct slice payload)
{
	struct mesh_key to;
	struct slice packet;

	enum err err = derp_read_packet(payload, &to, &packet);
	if (err)
		return err;
	make_active(c);
	struct relay_peer *peer = relay_find(c->relay, &to);
	struct relay_client *receiver = active_client(peer);
	if (receiver) {
		relay_note_contact(receiver, c->peer);
		deliver(receiver, &c->peer->key, packet);
	} else if (peer) {
		forward(c, peer, packet);
	} else {
		say_not_here(c, &to, packet);
	}
	return OK;
}

static enum err on_forward(struct relay_client *c, struct slice payload)
{
	struct mesh_key from, to;
	struct slice packet;

	if (!c->is_mesh)
		return ERR_DENIED;
	enum err err = derp_read_forward(payload, &from, &to, &packet);
	if (err)
		return err;
	c->relay->counts.forwarded_in++;
	struct relay_client *receiver = active_client(relay_find(c->relay, &to));
	struct relay_peer *sender = relay_find(c->relay, &from);
	if (receiver && sender)
		relay_note_contact(receiver, sender);
	if (receiver)
		deliver(receiver, &from, packet);
	else
		say_not_here(c, &to, packet);
	return OK;
}

static enum err on_ping(struct relay_client *c, struct slice payload)
{
	struct buf pong;

	if (payload.size < DERP_PING_BYTES)
		return ERR_INVALID;
	buf_init(&pong);
	derp_add_frame(&pong, DERP_PONG, slice_part(payload, 0, DERP_PING_BYTES));
	relay_say(c, buf_slice(&pong));
	buf_done(&pong);
	return OK;
}

static enum err on_close_peer(struct relay_client *c, struct slice payload)
{
	struct mesh_key key;

	if (!c->is_mesh)
		return ERR_DENIED;
	if (payload.size < DERP_KEY_BYTES)
		return ERR_INVALID;
	memcpy(key.bytes, payload.data, DERP_KEY_BYTES);
	relay_close_key(c->relay, &key, "another relay of the region asked for it");
	return OK;
}

size_t relay_frame_bytes_max(const struct relay_client *c, uint8_t type)
{
	switch (type) {
	case DERP_SEND_PACKET:
		return DERP_KEY_BYTES + DERP_PACKET_BYTES_MAX;
	case DERP_FORWARD_PACKET:
		return c->is_mesh ? 2 * DERP_KEY_BYTES + DERP_PACKET_BYTES_MAX : 0;
	case DERP_PING:
	case DERP_PONG:
		return DERP_PING_BYTES_MAX;
	case DERP_NOTE_PREFERRED:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
		return SHORT_FRAME_BYTES_MAX;
	default:
		return DERP_PACKET_BYTES_MAX; /* of a newer version: passed over */
	}
}

static enum err handle(struct relay_client *c, uint8_t type, struct slice payload)
{
	switch (type) {
	case DERP_SEND_PACKET:
		return on_send(c, payload);
	case DERP_FORWARD_PACKET:
		return on_forward(c, payload);
	case DERP_PING:
		return on_ping(c, payload);
	case DERP_NOTE_PREFERRED:
		if (payload.size < 1)
			return ERR_INVALID;
		c->is_home = payload.data[0] != 0;
		return OK;
	case DERP_WATCH_CONNS:
		if (!c->is_mesh)
			return ERR_DENIED;
		relay_watch(c);
		return OK;
	case DERP_CLOSE_PEER:
		return on_close_peer(c, payload);
	default:
		return OK;
	}
}

enum err relay_frame(struct relay_client *c, uint8_t type, struct slice payload, uint64_t now_ms,
		     uint64_t *ret_wait_ms)
{
	struct relay *relay = c->relay;

	assert(c->magic == RELAY_CLIENT_MAGIC);
	*ret_wait_ms = 0;
	if (c->is_ending)
		return OK;
	relay->now_ms = now_ms;
	if (payload.size > relay_frame_bytes_max(c, type))
		return ERR_TOO_BIG;
	relay->counts.packets_in++;
	relay->counts.bytes_in += DERP_HEAD_BYTES + payload.size;
	enum err err = handle(c, type, payload);
	if (!err && !c->is_mesh)
		*ret_wait_ms = rate_charge(&c->received, DERP_HEAD_BYTES + payload.size, now_ms);
	return err;
}
