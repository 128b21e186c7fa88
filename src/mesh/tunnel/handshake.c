#include "mesh/tunnel/private.h"

/* --- ours ------------------------------------------------------------------------------------ */
static void add_macs(struct tunnel_peer *p, uint8_t *message, size_t size, uint64_t now_ms)
{
	bool has_cookie = p->has_cookie && now_ms - p->cookie_ms < COOKIE_FRESH_MS;

	wireguard_put_macs(message, size, p->remote.mac_key, has_cookie ? p->cookie : NULL,
			   p->mac1);
	p->has_mac1 = true;
}

void peer_end_initiation(struct tunnel_peer *p)
{
	if (p->is_initiating)
		tunnel_drop_index(p->tunnel, &p->handshake_index);
	p->is_initiating = false;
	crypto_wipe(&p->handshake, sizeof(p->handshake));
}

/* What it says of the time must grow, whatever the clock does meanwhile. */
static void next_timestamp(struct tunnel_peer *p, int64_t wall_ms,
			   uint8_t ret[WIREGUARD_TIMESTAMP_BYTES])
{
	if (wall_ms < p->initiated_wall_ms + TIMESTAMP_STEP_MS)
		wall_ms = p->initiated_wall_ms + TIMESTAMP_STEP_MS;
	p->initiated_wall_ms = wall_ms;
	wireguard_timestamp(wall_ms, ret);
}

void peer_initiate(struct tunnel_peer *p, struct tunnel_now now, bool is_retry)
{
	uint8_t ephemeral[WIREGUARD_KEY_BYTES], timestamp[WIREGUARD_TIMESTAMP_BYTES];
	struct tunnel *t = p->tunnel;

	if (!is_retry)
		p->attempts = 0;
	if (!t->has_secret || (p->initiated_ms > 0 && now.ms - p->initiated_ms < REKEY_TIMEOUT_MS))
		return;
	struct parcel *parcel = parcel_new(WIREGUARD_INITIATION_BYTES);
	peer_end_initiation(p);
	tunnel_draw_index(t, &p->handshake_index);
	next_timestamp(p, now.wall_ms, timestamp);
	tunnel_random(t, ephemeral, sizeof(ephemeral));
	p->is_initiating =
		wireguard_initiate(&t->own, &p->remote, ephemeral, timestamp,
				   p->handshake_index.number, &p->handshake, parcel->effect.data);
	crypto_wipe(ephemeral, sizeof(ephemeral));
	assert(p->is_initiating); /* a key of small order is no peer's */
	tunnel_keep_index(t, &p->handshake_index);
	add_macs(p, parcel->effect.data, WIREGUARD_INITIATION_BYTES, now.ms);
	p->initiated_ms = now.ms ? now.ms : 1;
	peer_sent(p, now.ms, WIREGUARD_INITIATION_BYTES, false);
	peer_has_initiated(p, now.ms);
	tunnel_add_effect(t, parcel, TUNNEL_SEND, p);
}

void tunnel_greet(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p)
{
	assert(t->magic == TUNNEL_MAGIC && p->tunnel == t);
	peer_initiate(p, now, false);
}

void tunnel_greet_anew(struct tunnel *t, struct tunnel_now now, struct tunnel_peer *p)
{
	p->initiated_ms = 0;
	tunnel_greet(t, now, p);
}

/* --- theirs ---------------------------------------------------------------------------------- */
/* Not older than one that was seen, which would be a replay, and not too soon after it. */
static bool is_fresh(const struct tunnel_peer *p, uint64_t now_ms,
		     const uint8_t timestamp[WIREGUARD_TIMESTAMP_BYTES])
{
	return memcmp(timestamp, p->timestamp, sizeof(p->timestamp)) > 0 &&
	       (p->initiation_ms == 0 || now_ms - p->initiation_ms >= INITIATIONS_APART_MS);
}

static void respond(struct tunnel_peer *p, struct tunnel_now now, struct wireguard_handshake *h)
{
	struct parcel *parcel = parcel_new(WIREGUARD_RESPONSE_BYTES);
	uint8_t ephemeral[WIREGUARD_KEY_BYTES];
	struct tunnel *t = p->tunnel;
	struct tunnel_index index = { .peer = p };

	tunnel_random(t, ephemeral, sizeof(ephemeral));
	tunnel_draw_index(t, &index);
	bool is_good =
		wireguard_respond(&p->remote, ephemeral, index.number, h, parcel->effect.data);
	crypto_wipe(ephemeral, sizeof(ephemeral));
	if (!is_good) { /* an ephemeral key of small order: nothing is lost */
		memory_free(parcel);
		crypto_wipe(h, sizeof(*h));
		return;
	}
	add_macs(p, parcel->effect.data, WIREGUARD_RESPONSE_BYTES, now.ms);
	struct keypair *k = keypair_new(p, h, false, now.ms);
	k->index.number = index.number;
	tunnel_keep_index(t, &k->index);
	peer_add_keypair(p, k);
	peer_has_keys(p, now.ms);
	peer_sent(p, now.ms, WIREGUARD_RESPONSE_BYTES, false);
	tunnel_add_effect(t, parcel, TUNNEL_SEND, p);
}

static void open_initiation(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *d)
{
	uint8_t public[WIREGUARD_KEY_BYTES], timestamp[WIREGUARD_TIMESTAMP_BYTES];
	struct wireguard_handshake h;

	d->verdict = TUNNEL_FORGED;
	if (!wireguard_open_static(&t->own, d->data, &h, public))
		return;
	struct tunnel_peer *p = tunnel_find_peer(t, public);
	if (!p) {
		d->verdict = TUNNEL_UNKNOWN;
	} else if (wireguard_open_timestamp(&p->remote, d->data, &h, timestamp)) {
		d->verdict = TUNNEL_REPLAYED;
		if (is_fresh(p, now.ms, timestamp)) {
			memcpy(p->timestamp, timestamp, sizeof(timestamp));
			p->initiation_ms = now.ms ? now.ms : 1;
			d->verdict = TUNNEL_HANDSHAKE;
			d->peer = p;
			peer_heard(p, now.ms, d->size, false);
			respond(p, now, &h);
		}
	}
	crypto_wipe(&h, sizeof(h));
}

static void open_response(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *d)
{
	struct tunnel_index *index =
		tunnel_find_index(t, wireguard_receiver(WIREGUARD_RESPONSE, d->data));

	d->verdict = TUNNEL_UNKNOWN;
	if (!index || index->pair)
		return;
	struct tunnel_peer *p = index->peer;
	d->verdict = TUNNEL_FORGED;
	if (!wireguard_open_response(&t->own, &p->remote, d->data, &p->handshake))
		return;
	struct keypair *k = keypair_new(p, &p->handshake, true, now.ms);
	k->index.number = index->number;
	peer_end_initiation(p);
	tunnel_keep_index(t, &k->index);
	peer_add_keypair(p, k);
	d->verdict = TUNNEL_HANDSHAKE;
	d->peer = p;
	peer_heard(p, now.ms, d->size, false);
	peer_has_keys(p, now.ms);
	peer_is_ready(p, now);
	/* Something must be said for the other side to know that we have the key. */
	if (p->queue_count == 0)
		peer_send_keepalive(p, now);
	peer_send_queue(p, now);
}

/* The index is ours and the cookie is sealed for what we said last: nobody else knew both. */
static void open_cookie(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *d)
{
	struct tunnel_index *index =
		tunnel_find_index(t, wireguard_receiver(WIREGUARD_COOKIE, d->data));

	d->verdict = TUNNEL_UNKNOWN;
	if (!index)
		return;
	struct tunnel_peer *p = index->peer;
	d->verdict = TUNNEL_FORGED;
	if (!p->has_mac1 ||
	    !wireguard_open_cookie(d->data, p->remote.cookie_key, p->mac1, p->cookie))
		return;
	p->has_cookie = true;
	p->has_mac1 = false;
	p->cookie_ms = now.ms;
	d->verdict = TUNNEL_COOKIE;
}

/* --- under load ------------------------------------------------------------------------------ */
static void ask_for_cookie(struct tunnel *t, const struct tunnel_datagram *d,
			   const uint8_t cookie[WIREGUARD_MAC_BYTES])
{
	struct parcel *parcel = parcel_new(WIREGUARD_COOKIE_BYTES);
	uint8_t nonce[WIREGUARD_COOKIE_NONCE_BYTES];

	tunnel_random(t, nonce, sizeof(nonce));
	wireguard_put_cookie(parcel->effect.data, (struct slice) { d->data, d->size },
			     t->own.cookie_key, nonce, cookie);
	parcel->effect.to = d->from;
	tunnel_add_effect(t, parcel, TUNNEL_ANSWER, NULL);
}

static bool is_admitted(struct tunnel *t, struct tunnel_now now, const struct tunnel_datagram *d)
{
	uint8_t secret[WIREGUARD_KEY_BYTES], cookie[WIREGUARD_MAC_BYTES];

	if (!flood_is_loaded(&t->flood, now.ms))
		return true;
	if (flood_needs_secret(&t->flood, now.ms)) {
		tunnel_random(t, secret, sizeof(secret));
		flood_set_secret(&t->flood, now.ms, secret);
		crypto_wipe(secret, sizeof(secret));
	}
	flood_cookie(&t->flood, &d->from, cookie);
	if (wireguard_has_mac2((struct slice) { d->data, d->size }, cookie))
		return flood_admit(&t->flood, now.ms, &d->from);
	ask_for_cookie(t, d, cookie);
	return false;
}

void tunnel_open_handshake(struct tunnel *t, struct tunnel_now now, enum wireguard_kind kind,
			   struct tunnel_datagram *d)
{
	if (kind == WIREGUARD_COOKIE) {
		open_cookie(t, now, d);
		return;
	}
	d->verdict = TUNNEL_FORGED;
	if (!wireguard_has_mac1((struct slice) { d->data, d->size }, t->own.mac_key))
		return;
	d->verdict = TUNNEL_LIMITED;
	if (!is_admitted(t, now, d))
		return;
	if (kind == WIREGUARD_INITIATION)
		open_initiation(t, now, d);
	else
		open_response(t, now, d);
}
