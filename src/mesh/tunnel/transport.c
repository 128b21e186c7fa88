#include "mesh/tunnel/private.h"

#include "base/endian.h"

enum { CONTROL_PROTOCOL = 99, IPV4_HEAD_BYTES = 20, IPV6_HEAD_BYTES = 40 };

/* --- sealing --------------------------------------------------------------------------------- */
static size_t padded(const struct tunnel *t, size_t size)
{
	size_t whole = (size + TUNNEL_ALIGN_BYTES - 1) / TUNNEL_ALIGN_BYTES * TUNNEL_ALIGN_BYTES;

	if (whole <= t->options.mtu)
		return whole;
	return size < t->options.mtu ? t->options.mtu : size;
}

size_t tunnel_sealed_bytes(const struct tunnel *t, size_t size)
{
	return TUNNEL_HEAD_BYTES + padded(t, size) + TUNNEL_TAG_BYTES;
}

/* The only place that counts: no two packets of a key have the same number. */
static void begin_seal(struct tunnel_peer *p, struct keypair *k, uint64_t now_ms,
		       struct tunnel_packet *packet)
{
	size_t size = padded(p->tunnel, packet->size);
	bool is_data = packet->size > 0;

	memset(packet->data + packet->size, 0, size - packet->size);
	packet->data -= TUNNEL_HEAD_BYTES;
	packet->size = TUNNEL_HEAD_BYTES + size + TUNNEL_TAG_BYTES;
	wireguard_put_transport(packet->data, k->remote_index, k->counter++);
	peer_sent(p, now_ms, packet->size, is_data);
}

void tunnel_seal_work(const struct keypair *pair, struct aead_bulk *bulk,
		      const struct tunnel_packet *packets, size_t count)
{
	assert(pair->index.pair == pair); /* it was not wiped */
	for (size_t i = 0; i < count; i++)
		aead_bulk_seal(bulk, pair->seal, wireguard_counter(packets[i].data),
			       packets[i].data + TUNNEL_HEAD_BYTES,
			       packets[i].size - TUNNEL_HEAD_BYTES - TUNNEL_TAG_BYTES);
}

/* The side that made the pair renews it while it sends. */
static void renew(struct tunnel_peer *p, struct tunnel_now now)
{
	const struct keypair *k = p->current;

	if (k->counter > REKEY_AFTER_MESSAGES ||
	    (k->is_initiator && now.ms - k->made_ms >= REKEY_AFTER_MS))
		peer_initiate(p, now, false);
}

static void drop_oldest(struct tunnel_peer *p)
{
	struct parcel *oldest = CONTAINER(list_pop(&p->queue), struct parcel, link);

	p->queue_count--;
	p->tunnel->queued_bytes -= oldest->bytes;
	memory_free(oldest);
}

void peer_drop_queue(struct tunnel_peer *p)
{
	while (p->queue_count > 0)
		drop_oldest(p);
}

static void keep(struct tunnel_peer *p, const struct tunnel_packet *packet)
{
	struct tunnel *t = p->tunnel;

	if (p->queue_count == TUNNEL_QUEUED_PACKETS_MAX)
		drop_oldest(p);
	struct parcel *parcel = parcel_new(packet->size);
	if (t->queued_bytes + parcel->bytes > TUNNEL_QUEUED_BYTES_MAX) {
		memory_free(parcel);
		return;
	}
	memcpy(parcel->effect.data, packet->data, packet->size);
	t->queued_bytes += parcel->bytes;
	p->queue_count++;
	list_add(&p->queue, &parcel->link);
}

bool tunnel_seal_begin(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p,
		       struct tunnel_packet *packets, size_t count, const struct keypair **ret_pair)
{
	struct keypair *k = p->current;

	assert(t->magic == TUNNEL_MAGIC && p->tunnel == t);
	if (!t->has_secret || count == 0)
		return false;
	if (!keypair_is_usable(k, now.ms) || REJECT_AFTER_MESSAGES - k->counter < count) {
		for (size_t i = 0; i < count; i++)
			keep(p, &packets[i]);
		peer_initiate(p, now, false);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		assert(packets[i].size <= TUNNEL_MTU_MAX);
		begin_seal(p, k, now.ms, &packets[i]);
	}
	tunnel_begin_batch(t);
	renew(p, now);
	*ret_pair = k;
	return true;
}

bool tunnel_seal(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p,
		 struct tunnel_packet *packets, size_t count)
{
	const struct keypair *pair;

	if (!tunnel_seal_begin(t, now, p, packets, count, &pair))
		return false;
	tunnel_seal_work(pair, t->bulk, packets, count);
	tunnel_end_batch(t);
	return true;
}

void peer_send_queue(struct tunnel_peer *p, struct tunnel_now now)
{
	if (p->queue_count == 0)
		return;
	if (!keypair_is_usable(p->current, now.ms)) {
		peer_initiate(p, now, false);
		return;
	}
	while (p->queue_count > 0) {
		struct parcel *parcel = CONTAINER(list_pop(&p->queue), struct parcel, link);
		struct tunnel_packet packet = { parcel->effect.data, parcel->effect.size };

		p->queue_count--;
		p->tunnel->queued_bytes -= parcel->bytes;
		begin_seal(p, p->current, now.ms, &packet);
		tunnel_seal_work(p->current, p->tunnel->bulk, &packet, 1);
		parcel->effect.data = packet.data;
		parcel->effect.size = packet.size;
		tunnel_add_effect(p->tunnel, parcel, TUNNEL_SEND, p);
	}
	renew(p, now);
}

void peer_send_keepalive(struct tunnel_peer *p, struct tunnel_now now)
{
	uint8_t no_bytes[1];
	struct tunnel_packet nothing = { no_bytes, 0 };

	if (!p->tunnel->has_secret)
		return;
	if (p->queue_count == 0)
		keep(p, &nothing);
	peer_send_queue(p, now);
}

/* Where a run of datagrams ends: at another size, or at a gap. */
bool tunnel_next_run(const struct tunnel_packet *datagrams, size_t count, size_t *at,
		     struct tunnel_run *ret)
{
	if (*at >= count)
		return false;
	const struct tunnel_packet *first = &datagrams[*at];
	*ret = (struct tunnel_run) { first->data, first->size, first->size, 1 };
	for (++*at; *at < count; ++*at) {
		const struct tunnel_packet *next = &datagrams[*at];
		bool is_whole = ret->size == ret->count * ret->segment_size;
		if (!is_whole || next->data != ret->data + ret->size ||
		    next->size > ret->segment_size)
			break;
		ret->size += next->size;
		ret->count++;
	}
	return true;
}

/* --- opening --------------------------------------------------------------------------------- */
/* The packet without its padding, and where it comes from; false: it is no IP packet. */
static bool trim(struct slice *packet, struct ip *ret_from, uint8_t *ret_protocol)
{
	const uint8_t *p = packet->data;

	if (packet->size >= IPV4_HEAD_BYTES && p[0] >> 4 == 4) {
		size_t size = get_u16(p + 2);
		if (size < IPV4_HEAD_BYTES || size > packet->size)
			return false;
		*ret_from = ip_v4(get_u32(p + 12));
		*ret_protocol = p[9];
		packet->size = size;
		return true;
	}
	if (packet->size >= IPV6_HEAD_BYTES && p[0] >> 4 == 6) {
		size_t size = IPV6_HEAD_BYTES + (size_t)get_u16(p + 4);
		if (size > packet->size)
			return false;
		*ret_from = ip_v6(p + 8);
		*ret_protocol = p[6];
		packet->size = size;
		return true;
	}
	return false;
}

static void deliver(struct tunnel *t, struct tunnel_datagram *d, struct slice packet)
{
	uint8_t protocol = 0;
	struct ip from;

	if (packet.size == 0) {
		d->verdict = TUNNEL_KEEPALIVE;
		return;
	}
	d->verdict = TUNNEL_DROPPED;
	if (!trim(&packet, &from, &protocol) || allowed_owner(&t->allowed, from) != d->peer)
		return;
	d->packet = packet;
	d->verdict = t->options.has_control && protocol == CONTROL_PROTOCOL ? TUNNEL_CONTROL
									    : TUNNEL_PACKET;
}

/* The initiator renews a pair that only the other side sends with, shortly before its end. */
static void renew_late(struct tunnel_peer *p, struct tunnel_now now)
{
	const struct keypair *k = p->current;

	if (p->is_rekeyed_late || !k || !k->is_initiator || now.ms - k->made_ms < LATE_REKEY_MS)
		return;
	p->is_rekeyed_late = true;
	peer_initiate(p, now, false);
}

/* Heads only: whether the message is whole is seen here, whether it is true by who opens it. */
void tunnel_open_begin(struct tunnel *t, struct tunnel_datagram *datagrams, size_t count)
{
	assert(t->magic == TUNNEL_MAGIC);
	for (size_t i = 0; i < count; i++) {
		struct tunnel_datagram *d = &datagrams[i];
		struct slice datagram = { d->data, d->size };

		d->pair = NULL;
		d->is_authentic = false;
		if (!t->has_secret || wireguard_kind(datagram) != WIREGUARD_TRANSPORT)
			continue;
		struct tunnel_index *index =
			tunnel_find_index(t, wireguard_receiver(WIREGUARD_TRANSPORT, d->data));
		if (index && wireguard_counter(d->data) < REJECT_AFTER_MESSAGES)
			d->pair = index->pair;
	}
	tunnel_begin_batch(t);
}

static void open_one(struct aead_bulk *bulk, struct tunnel_datagram *d)
{
	assert(d->pair->index.pair == d->pair);
	d->is_authentic = aead_bulk_open(bulk, d->pair->open, wireguard_counter(d->data),
					 d->data + TUNNEL_HEAD_BYTES, d->size - TUNNEL_HEAD_BYTES);
}

void tunnel_open_work(struct aead_bulk *bulk, struct tunnel_datagram *datagrams, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (datagrams[i].pair)
			open_one(bulk, &datagrams[i]);
}

void tunnel_take_transport(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *d)
{
	struct tunnel_index *index =
		tunnel_find_index(t, wireguard_receiver(WIREGUARD_TRANSPORT, d->data));
	uint64_t counter = wireguard_counter(d->data);
	size_t sealed = d->size - TUNNEL_HEAD_BYTES;

	d->verdict = TUNNEL_UNKNOWN;
	if (!index || !index->pair)
		return;
	struct keypair *k = index->pair;
	struct tunnel_peer *p = index->peer;
	if (now.ms - k->made_ms >= REJECT_AFTER_MS || counter >= REJECT_AFTER_MESSAGES)
		return;
	if (!d->pair) { /* the pair was made by what came before it in the batch */
		d->pair = k;
		open_one(t->bulk, d);
	}
	if (d->pair != k)
		return;
	d->verdict = TUNNEL_FORGED;
	if (!d->is_authentic)
		return;
	d->verdict = TUNNEL_REPLAYED;
	if (!replay_take(&k->replay, counter))
		return;
	struct slice packet = { d->data + TUNNEL_HEAD_BYTES, sealed - TUNNEL_TAG_BYTES };
	d->peer = p;
	peer_heard(p, now.ms, d->size, packet.size > 0);
	if (k == p->next) {
		peer_confirm_next(p);
		peer_is_ready(p, now);
		peer_send_queue(p, now);
	}
	renew_late(p, now);
	deliver(t, d, packet);
}
