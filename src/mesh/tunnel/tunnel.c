#include "mesh/tunnel/private.h"

#include "base/endian.h"
#include "base/random.h"

/* --- life ------------------------------------------------------------------------------------ */
struct tunnel *tunnel_new(const struct tunnel_options *o)
{
	struct tunnel *t = NEW(struct tunnel);

	t->magic = TUNNEL_MAGIC;
	t->options = *o;
	map_init(&t->peers);
	map_init(&t->indexes);
	list_init(&t->peer_list);
	list_init(&t->effects);
	list_init(&t->dropped);
	allowed_init(&t->allowed);
	t->bulk = aead_bulk_new();
	heap_init(&t->timers);
	tunnel_set_mtu(t, o->mtu);
	return t;
}

void tunnel_free(struct tunnel *t)
{
	assert(t->magic == TUNNEL_MAGIC && t->begun == 0);
	LIST_EACH (&t->peer_list, struct tunnel_peer, link, p)
		tunnel_remove_peer(t, p);
	for (struct list *l; (l = list_pop(&t->effects));)
		memory_free(CONTAINER(l, struct parcel, link));
	memory_free(t->given);
	map_done(&t->peers);
	map_done(&t->indexes);
	heap_done(&t->timers);
	allowed_done(&t->allowed);
	flood_done(&t->flood);
	aead_bulk_free(t->bulk);
	crypto_wipe(t, sizeof(*t));
	memory_free(t);
}

void tunnel_set_mtu(struct tunnel *t, uint32_t mtu)
{
	assert(mtu <= TUNNEL_MTU_MAX);
	t->options.mtu = mtu;
}

void tunnel_random(struct tunnel *t, void *ret, size_t size)
{
	if (t->options.random)
		t->options.random(t->options.context, ret, size);
	else
		random_bytes(ret, size);
}

bool tunnel_has_secret(const struct tunnel *t)
{
	return t->has_secret;
}

const uint8_t *tunnel_secret(const struct tunnel *t)
{
	return t->own.secret;
}

const uint8_t *tunnel_public(const struct tunnel *t)
{
	return t->own.public;
}

void tunnel_public_of(const uint8_t secret[TUNNEL_KEY_BYTES], uint8_t ret[TUNNEL_KEY_BYTES])
{
	struct wireguard_identity identity;

	wireguard_identity_init(&identity, secret);
	memcpy(ret, identity.public, TUNNEL_KEY_BYTES);
	crypto_wipe(&identity, sizeof(identity));
}

static void end_session(struct tunnel_peer *p)
{
	peer_forget_keys(p);
	peer_drop_queue(p);
	peer_clear_timer(p, TIMER_RETRY);
	peer_clear_timer(p, TIMER_KEEPALIVE);
	peer_clear_timer(p, TIMER_UNANSWERED);
	peer_clear_timer(p, TIMER_FORGET);
	p->initiated_ms = 0;
	p->has_cookie = p->has_mac1 = false;
}

void tunnel_set_secret(struct tunnel *t, const uint8_t secret[TUNNEL_KEY_BYTES])
{
	static const uint8_t none[TUNNEL_KEY_BYTES];

	assert(t->magic == TUNNEL_MAGIC);
	t->has_secret = !crypto_equal(secret, none, sizeof(none));
	if (t->has_secret)
		wireguard_identity_init(&t->own, secret);
	else
		crypto_wipe(&t->own, sizeof(t->own));
	LIST_EACH (&t->peer_list, struct tunnel_peer, link, p) {
		end_session(p);
		if (!t->has_secret)
			continue;
		if (memcmp(p->remote.public, t->own.public, TUNNEL_KEY_BYTES) == 0 ||
		    !wireguard_remote_init(&p->remote, &t->own, p->remote.public))
			tunnel_remove_peer(t, p);
	}
}

/* --- peers ----------------------------------------------------------------------------------- */
static struct slice key_slice(const uint8_t key[TUNNEL_KEY_BYTES])
{
	return (struct slice) { key, TUNNEL_KEY_BYTES };
}

struct tunnel_peer *tunnel_find_peer(const struct tunnel *t, const uint8_t public[TUNNEL_KEY_BYTES])
{
	return map_get(&t->peers, key_slice(public));
}

/* Before there is a secret any will do to find out what is no key. */
static bool is_key(const struct tunnel *t, const uint8_t public[TUNNEL_KEY_BYTES],
		   struct wireguard_remote *ret)
{
	static const struct wireguard_identity nobody = { .secret = { 8, [31] = 64 } };

	if (t->has_secret && memcmp(public, t->own.public, TUNNEL_KEY_BYTES) == 0)
		return false;
	return wireguard_remote_init(ret, t->has_secret ? &t->own : &nobody, public);
}

enum err tunnel_add_peer(struct tunnel *t, const uint8_t public[TUNNEL_KEY_BYTES], void *context,
			 struct tunnel_peer **ret)
{
	struct tunnel_peer *there = tunnel_find_peer(t, public);
	struct wireguard_remote remote = { 0 };

	assert(t->magic == TUNNEL_MAGIC);
	if (there) {
		*ret = there;
		return ERR_EXISTS;
	}
	if (t->peers.count >= TUNNEL_PEERS_MAX)
		return ERR_FULL;
	if (!is_key(t, public, &remote))
		return ERR_INVALID;
	struct tunnel_peer *p = NEW(struct tunnel_peer);
	p->tunnel = t;
	p->context = context;
	p->remote = remote;
	p->handshake_index.peer = p;
	list_init(&p->queue);
	list_init(&p->allowed);
	for (int i = 0; i < TIMERS; i++)
		p->timers[i] = NEVER;
	map_put(&t->peers, key_slice(p->remote.public), p);
	list_add(&t->peer_list, &p->link);
	crypto_wipe(&remote, sizeof(remote));
	*ret = p;
	return OK;
}

void tunnel_remove_peer(struct tunnel *t, struct tunnel_peer *p)
{
	assert(t->magic == TUNNEL_MAGIC && p->tunnel == t);
	peer_forget_keys(p);
	peer_drop_queue(p);
	peer_clear_timers(p);
	tunnel_disallow_all(t, p);
	LIST_EACH (&t->effects, struct parcel, link, parcel) {
		if (parcel->effect.peer == p) {
			list_remove(&parcel->link);
			memory_free(parcel);
		}
	}
	map_remove(&t->peers, key_slice(p->remote.public));
	list_remove(&p->link);
	crypto_wipe(p, sizeof(*p));
	memory_free(p);
}

struct tunnel_peer *tunnel_next_peer(const struct tunnel *t, const struct tunnel_peer *p)
{
	const struct list *next = p ? p->link.next : t->peer_list.next;

	return next == &t->peer_list ? NULL : CONTAINER(next, struct tunnel_peer, link);
}

size_t tunnel_peer_count(const struct tunnel *t)
{
	return t->peers.count;
}

void *tunnel_peer_context(const struct tunnel_peer *p)
{
	return p->context;
}

const uint8_t *tunnel_peer_public(const struct tunnel_peer *p)
{
	return p->remote.public;
}

void tunnel_set_preshared(struct tunnel_peer *p, const uint8_t key[TUNNEL_KEY_BYTES])
{
	memcpy(p->remote.preshared, key, TUNNEL_KEY_BYTES);
}

const uint8_t *tunnel_preshared(const struct tunnel_peer *p)
{
	return p->remote.preshared;
}

uint16_t tunnel_keepalive(const struct tunnel_peer *p)
{
	return p->keepalive_s;
}

struct tunnel_peer_state tunnel_peer_state(const struct tunnel_peer *p, struct tunnel_now now)
{
	struct tunnel_peer_state state = p->state;

	state.has_session = keypair_is_usable(p->current, now.ms);
	return state;
}

/* --- allowed addresses ----------------------------------------------------------------------- */
enum err tunnel_allow(struct tunnel *t, struct tunnel_peer *p, struct ip_prefix prefix)
{
	assert(t->magic == TUNNEL_MAGIC && p->tunnel == t);
	return allowed_add(&t->allowed, prefix, p, &p->allowed, TUNNEL_ALLOWED_MAX);
}

void tunnel_disallow(struct tunnel *t, struct tunnel_peer *p, struct ip_prefix prefix)
{
	struct allowed *a = allowed_find(&t->allowed, prefix);

	if (a && a->owner == p)
		allowed_remove(&t->allowed, a);
}

void tunnel_disallow_all(struct tunnel *t, struct tunnel_peer *p)
{
	LIST_EACH (&p->allowed, struct allowed, link, a)
		allowed_remove(&t->allowed, a);
}

bool tunnel_next_allowed(const struct tunnel_peer *p, const void **cursor, struct ip_prefix *ret)
{
	const struct list *last = *cursor ? *cursor : &p->allowed, *next = last->next;

	if (next == &p->allowed)
		return false;
	*cursor = next;
	*ret = CONTAINER(next, struct allowed, link)->prefix;
	return true;
}

/* What it remembers of the last question is nobody else's business. */
struct tunnel_peer *tunnel_route(const struct tunnel *t, struct ip address)
{
	return allowed_owner((struct allowed_table *)(uintptr_t)&t->allowed, address);
}

struct tunnel_peer *tunnel_route_packet(const struct tunnel *t, struct slice packet)
{
	if (packet.size >= 20 && packet.data[0] >> 4 == 4)
		return tunnel_route(t, ip_v4(get_u32(packet.data + 16)));
	if (packet.size >= 40 && packet.data[0] >> 4 == 6)
		return tunnel_route(t, ip_v6(packet.data + 24));
	return NULL;
}

/* --- numbers in messages --------------------------------------------------------------------- */
static struct slice number_slice(const uint32_t *number)
{
	return (struct slice) { (const uint8_t *)number, sizeof(*number) };
}

struct tunnel_index *tunnel_find_index(struct tunnel *t, uint32_t number)
{
	if (t->last_index && t->last_index->number == number)
		return t->last_index;
	struct tunnel_index *index = map_get(&t->indexes, number_slice(&number));
	t->last_index = index;
	return index;
}

void tunnel_draw_index(struct tunnel *t, struct tunnel_index *index)
{
	do
		tunnel_random(t, &index->number, sizeof(index->number));
	while (map_get(&t->indexes, number_slice(&index->number)));
}

void tunnel_keep_index(struct tunnel *t, struct tunnel_index *index)
{
	void *before = map_put(&t->indexes, number_slice(&index->number), index);
	assert(!before);
}

void tunnel_drop_index(struct tunnel *t, struct tunnel_index *index)
{
	void *dropped = map_remove(&t->indexes, number_slice(&index->number));

	assert(dropped == index);
	if (t->last_index == index)
		t->last_index = NULL;
}

/* --- effects --------------------------------------------------------------------------------- */
struct parcel *parcel_new(size_t size)
{
	size_t bytes = sizeof(struct parcel) + TUNNEL_HEAD_BYTES + size + TUNNEL_TAIL_BYTES;
	struct parcel *parcel = memory_take(bytes);

	parcel->bytes = bytes;
	parcel->effect.data = parcel->room + TUNNEL_HEAD_BYTES;
	parcel->effect.size = size;
	return parcel;
}

void tunnel_add_effect(struct tunnel *t, struct parcel *parcel, enum tunnel_effect_kind kind,
		       struct tunnel_peer *p)
{
	parcel->effect.kind = kind;
	parcel->effect.peer = p;
	list_add(&t->effects, &parcel->link);
}

bool tunnel_next(struct tunnel *t, struct tunnel_effect *ret)
{
	struct list *first = list_pop(&t->effects);

	assert(t->magic == TUNNEL_MAGIC);
	memory_free(t->given);
	t->given = first ? CONTAINER(first, struct parcel, link) : NULL;
	if (first)
		*ret = t->given->effect;
	return first != NULL;
}

/* --- datagrams ------------------------------------------------------------------------------- */
static const char *const verdict_names[TUNNEL_VERDICTS] = {
	[TUNNEL_PACKET] = "packet",	  [TUNNEL_CONTROL] = "control",
	[TUNNEL_KEEPALIVE] = "keepalive", [TUNNEL_HANDSHAKE] = "handshake",
	[TUNNEL_COOKIE] = "cookie",	  [TUNNEL_DROPPED] = "dropped",
	[TUNNEL_UNKNOWN] = "unknown",	  [TUNNEL_FORGED] = "forged",
	[TUNNEL_REPLAYED] = "replayed",	  [TUNNEL_LIMITED] = "limited",
};

const char *tunnel_verdict_name(enum tunnel_verdict v)
{
	assert((unsigned)v < TUNNEL_VERDICTS);
	return verdict_names[v];
}

uint64_t tunnel_count(const struct tunnel *t, enum tunnel_verdict v)
{
	assert((unsigned)v < TUNNEL_VERDICTS);
	return t->counts[v];
}

static void take_one(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *d)
{
	enum wireguard_kind kind = wireguard_kind((struct slice) { d->data, d->size });

	d->peer = NULL;
	d->packet = (struct slice) { NULL, 0 };
	d->verdict = TUNNEL_UNKNOWN;
	if (!t->has_secret)
		return;
	switch (kind) {
	case WIREGUARD_TRANSPORT:
		tunnel_take_transport(t, now, d);
		return;
	case WIREGUARD_INITIATION:
	case WIREGUARD_RESPONSE:
	case WIREGUARD_COOKIE:
		tunnel_open_handshake(t, now, kind, d);
		return;
	case WIREGUARD_NONE:
		d->verdict = TUNNEL_FORGED;
		return;
	}
}

void tunnel_open_end(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *datagrams,
		     size_t count)
{
	assert(t->magic == TUNNEL_MAGIC);
	for (size_t i = 0; i < count; i++) {
		take_one(t, now, &datagrams[i]);
		datagrams[i].pair = NULL;
		t->counts[datagrams[i].verdict]++;
	}
	tunnel_end_batch(t);
}

void tunnel_open(struct tunnel *t, struct tunnel_now now, struct tunnel_datagram *datagrams,
		 size_t count)
{
	tunnel_open_begin(t, datagrams, count);
	tunnel_open_work(t->bulk, datagrams, count);
	tunnel_open_end(t, now, datagrams, count);
}
