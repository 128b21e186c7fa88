#include "mesh/relay/relay.h"

#include <assert.h>

#include "mesh/relay/relay_private.h"
#include "wire/crypto/wipe.h"

static const char duplicate_text[] =
	"another connection uses the key of this machine: was it copied with its state?";

static void check(const struct relay *relay)
{
	assert(relay->magic == RELAY_MAGIC);
}

/* --- keys ------------------------------------------------------------------------------------- */
static struct slice key_slice(const struct mesh_key *key)
{
	return (struct slice) { key->bytes, sizeof(key->bytes) };
}

struct relay_peer *relay_find(const struct relay *relay, const struct mesh_key *key)
{
	return map_get(&relay->peers, key_slice(key));
}

static struct relay_peer *find_or_add(struct relay *relay, const struct mesh_key *key)
{
	struct relay_peer *peer = relay_find(relay, key);

	if (peer)
		return peer;
	peer = NEW(struct relay_peer);
	peer->key = *key;
	list_init(&peer->clients);
	list_init(&peer->forwarders);
	list_init(&peer->contacts);
	map_put(&relay->peers, key_slice(&peer->key), peer);
	return peer;
}

/* Nobody has the key any more. */
static void remove_if_unused(struct relay *relay, struct relay_peer *peer)
{
	if (peer->client_count > 0 || peer->forwarder_count > 0)
		return;
	relay_tell_gone(relay, peer);
	map_remove(&relay->peers, key_slice(&peer->key));
	memory_free(peer);
}

bool relay_has_key(const struct relay *relay, const struct mesh_key *key)
{
	const struct relay_peer *peer = relay_find(relay, key);

	return peer && peer->client_count > 0;
}

/* --- what leaves ------------------------------------------------------------------------------ */
size_t relay_note_unsent(struct relay_client *c)
{
	struct relay *relay = c->relay;
	size_t unsent = relay->config.host.unsent(c->connection);
	size_t now = unsent + c->lanes[LANE_DISCO].bytes + c->lanes[LANE_DATA].bytes;

	relay->counts.unsent_bytes += now - c->unsent_known; /* wraps and comes back */
	c->unsent_known = now;
	if (unsent > 0 && !list_is_linked(&c->writing)) {
		c->sent_seen = relay->config.host.sent(c->connection);
		c->seen_ms = relay->now_ms;
		list_add(&relay->writing, &c->writing);
	} else if (unsent == 0) {
		list_remove(&c->writing);
	}
	return unsent;
}

void relay_end(struct relay_client *c, const char *why)
{
	if (c->is_ending)
		return;
	c->is_ending = true;
	c->relay->config.host.close(c->connection, why);
}

void relay_say(struct relay_client *c, struct slice frame)
{
	bool is_watcher = list_is_linked(&c->watching);
	size_t max = is_watcher ? RELAY_NOTES_BYTES_MAX : RELAY_UNSENT_BYTES_MAX;

	if (c->is_ending)
		return;
	if (c->relay->config.host.unsent(c->connection) > max) {
		if (is_watcher) /* it would believe what is not so */
			relay_end(c, "it does not read what it watches");
		return;
	}
	c->relay->config.host.write(c->connection, frame, (struct slice) { 0 });
	relay_note_unsent(c);
}

/* --- watchers --------------------------------------------------------------------------------- */
static void add_present(struct buf *b, const struct relay_client *c)
{
	struct derp_peer_present present = { .key = c->peer->key,
					     .port = c->from.port,
					     .flags = c->flags };

	memcpy(present.ip, c->from.ip, sizeof(present.ip));
	derp_add_peer_present(b, &present);
}

static void tell_watchers(struct relay *relay, struct slice note)
{
	LIST_EACH (&relay->watchers, struct relay_client, watching, watcher)
		relay_say(watcher, note);
}

void relay_watch(struct relay_client *c)
{
	struct relay *relay = c->relay;
	struct buf all;

	if (list_is_linked(&c->watching))
		return;
	list_add(&relay->watchers, &c->watching);
	relay->counts.watchers++;
	buf_init(&all);
	LIST_EACH (&relay->clients, struct relay_client, all, it)
		add_present(&all, it);
	relay_say(c, buf_slice(&all)); /* as long as it is: the first thing a watcher hears */
	buf_done(&all);
}

/* --- clients come and go ---------------------------------------------------------------------- */
void relay_set_health(struct relay_client *c, const char *text)
{
	struct buf frame;

	if (c->is_told_unwell == (text[0] != 0))
		return;
	c->is_told_unwell = text[0] != 0;
	buf_init(&frame);
	derp_add_frame(&frame, DERP_HEALTH, slice_from(text));
	relay_say(c, buf_slice(&frame));
	buf_done(&frame);
}

static void tell_duplicates(struct relay_peer *peer)
{
	LIST_EACH (&peer->clients, struct relay_client, of_peer, c)
		relay_set_health(c, peer->client_count > 1 ? duplicate_text : "");
}

static uint64_t next_keep_alive(struct relay *relay, uint64_t now_ms)
{
	return now_ms + RELAY_KEEP_ALIVE_MS + prng_below(&relay->prng, RELAY_JITTER_MS);
}

bool relay_is_mesh_peer(const struct relay *relay, const struct derp_client_info *info)
{
	return relay->config.has_mesh_key && info->has_mesh_key &&
	       crypto_equal(relay->config.mesh_key.bytes, info->mesh_key.bytes, MESH_KEY_BYTES);
}

static void say_server_info(struct relay_client *c)
{
	struct relay *relay = c->relay;
	struct derp_server_info info = { .version = DERP_VERSION };
	struct buf frame;

	if (!c->is_mesh) {
		info.bytes_per_second = relay->config.bytes_per_second;
		info.bytes_burst = relay->config.bytes_burst;
	}
	buf_init(&frame);
	bool is_sealed = derp_add_server_info(&frame, &info, &relay->config.secret, &c->peer->key);
	assert(is_sealed); /* its client info was opened with the same keys */
	relay_say(c, buf_slice(&frame));
	buf_done(&frame);
}

static uint8_t flags_of(const struct relay_client *c, const struct relay_joining *joining)
{
	if (c->is_mesh)
		return DERP_PRESENT_REGULAR | DERP_PRESENT_MESH;
	return (uint8_t)(DERP_PRESENT_REGULAR |
			 (joining->info.is_prober ? DERP_PRESENT_PROBER : 0) |
			 (joining->is_not_ideal ? DERP_PRESENT_NOT_IDEAL : 0));
}

static void announce(struct relay_client *c)
{
	struct buf note;

	buf_init(&note);
	add_present(&note, c);
	tell_watchers(c->relay, buf_slice(&note));
	buf_done(&note);
}

/* The one that has been silent longest; those that are about to leave still count. */
static void end_one(struct relay_peer *peer)
{
	struct list *it = peer->clients.prev;

	while (it != &peer->clients && CONTAINER(it, struct relay_client, of_peer)->is_ending)
		it = it->prev;
	if (it != &peer->clients)
		relay_end(CONTAINER(it, struct relay_client, of_peer),
			  "too many connections with its key");
}

struct relay_client *relay_join(struct relay *relay, void *connection,
				const struct relay_joining *joining, uint64_t now_ms)
{
	check(relay);
	if (relay->counts.clients == RELAY_CLIENTS_MAX)
		return NULL;
	struct relay_client *c = NEW(struct relay_client);
	c->magic = RELAY_CLIENT_MAGIC;
	c->relay = relay;
	c->connection = connection;
	c->from = joining->from;
	c->is_mesh = relay_is_mesh_peer(relay, &joining->info);
	c->flags = flags_of(c, joining);
	list_init(&c->contacts);
	relay_queues_init(c);
	rate_init(&c->received, relay->config.bytes_per_second, relay->config.bytes_burst, now_ms);
	rate_init(&c->gone, RELAY_GONE_PER_SECOND, RELAY_GONE_BURST, now_ms);
	relay->now_ms = now_ms;
	c->peer = find_or_add(relay, &joining->key);
	if (c->peer->client_count >= RELAY_CLIENTS_PER_KEY_MAX)
		end_one(c->peer);
	list_add_front(&c->peer->clients, &c->of_peer);
	c->peer->client_count++;
	list_add(&relay->clients, &c->all);
	relay->counts.clients++;
	heap_add(&relay->keep_alives, &c->keep_alive, next_keep_alive(relay, now_ms));
	say_server_info(c);
	announce(c);
	tell_duplicates(c->peer);
	return c;
}

static void say_gone_to_watchers(struct relay *relay, const struct mesh_key *key)
{
	struct buf note;

	buf_init(&note);
	derp_add_peer_gone(&note, key, DERP_GONE_DISCONNECTED);
	tell_watchers(relay, buf_slice(&note));
	buf_done(&note);
}

void relay_leave(struct relay_client *c, uint64_t now_ms)
{
	struct relay *relay = c->relay;
	struct relay_peer *peer = c->peer;

	check(relay);
	assert(c->magic == RELAY_CLIENT_MAGIC);
	relay->now_ms = now_ms;
	c->is_ending = true;
	if (list_is_linked(&c->watching))
		relay->counts.watchers--;
	list_remove(&c->watching);
	list_remove(&c->writing);
	list_remove(&c->all);
	list_remove(&c->of_peer);
	heap_remove(&relay->keep_alives, &c->keep_alive);
	relay_queues_done(c);
	relay->counts.unsent_bytes -= c->unsent_known;
	relay->counts.clients--;
	relay_forget_receiver(c);
	c->magic = 0;
	memory_free(c);
	if (--peer->client_count > 0) {
		tell_duplicates(peer);
	} else {
		say_gone_to_watchers(relay, &peer->key);
		remove_if_unused(relay, peer);
	}
}

bool relay_close_key(struct relay *relay, const struct mesh_key *key, const char *why)
{
	struct relay_peer *peer = relay_find(relay, key);

	if (!peer || peer->client_count == 0)
		return false;
	LIST_EACH (&peer->clients, struct relay_client, of_peer, c)
		relay_end(c, why);
	return true;
}

/* --- time ------------------------------------------------------------------------------------- */
static void keep_alive(struct relay *relay)
{
	static const uint8_t frame[DERP_HEAD_BYTES] = { DERP_KEEP_ALIVE };

	for (;;) {
		struct heap_node *first = heap_first(&relay->keep_alives);
		if (!first || first->key > relay->now_ms)
			return;
		struct relay_client *c = CONTAINER(first, struct relay_client, keep_alive);
		heap_remove(&relay->keep_alives, first);
		heap_add(&relay->keep_alives, first, next_keep_alive(relay, relay->now_ms));
		relay_say(c, (struct slice) { frame, sizeof(frame) });
	}
}

static void end_stuck(struct relay *relay)
{
	LIST_EACH (&relay->writing, struct relay_client, writing, c) {
		uint64_t max_ms = c->is_mesh ? RELAY_WRITE_MS_MESH : RELAY_WRITE_MS;
		uint64_t sent = relay->config.host.sent(c->connection);
		if (sent != c->sent_seen) {
			c->sent_seen = sent;
			c->seen_ms = relay->now_ms;
		} else if (relay->now_ms - c->seen_ms > max_ms) {
			relay_end(c, "it takes nothing");
		}
	}
}

void relay_tick(struct relay *relay, uint64_t now_ms)
{
	check(relay);
	relay->now_ms = now_ms;
	keep_alive(relay);
	end_stuck(relay);
}

void relay_announce_restart(struct relay *relay, uint32_t reconnect_in_ms, uint32_t try_for_ms)
{
	struct buf note;

	check(relay);
	buf_init(&note);
	derp_add_restarting(&note, reconnect_in_ms, try_for_ms);
	LIST_EACH (&relay->clients, struct relay_client, all, c)
		relay_say(c, buf_slice(&note));
	buf_done(&note);
}

/* --- other relays ----------------------------------------------------------------------------- */
static struct forwarding *find_forwarding(const struct relay_peer *peer, const void *forwarder)
{
	LIST_EACH (&peer->forwarders, struct forwarding, of_peer, it)
		if (it->forwarder == forwarder)
			return it;
	return NULL;
}

void relay_add_forwarder(struct relay *relay, const struct mesh_key *key, void *forwarder)
{
	check(relay);
	if (relay->counts.forwarded_keys == RELAY_FORWARDED_MAX)
		return;
	struct relay_peer *peer = find_or_add(relay, key);

	if (peer->forwarder_count == RELAY_FORWARDERS_PER_KEY_MAX ||
	    find_forwarding(peer, forwarder))
		return;
	struct forwarding *f = NEW(struct forwarding);
	f->peer = peer;
	f->forwarder = forwarder;
	list_add(&peer->forwarders, &f->of_peer);
	peer->forwarder_count++;
	list_add(&relay->forwardings, &f->all);
	relay->counts.forwarded_keys++;
}

static void remove_forwarding(struct relay *relay, struct forwarding *f)
{
	struct relay_peer *peer = f->peer;

	list_remove(&f->of_peer);
	list_remove(&f->all);
	memory_free(f);
	peer->forwarder_count--;
	relay->counts.forwarded_keys--;
	remove_if_unused(relay, peer);
}

void relay_remove_forwarder(struct relay *relay, const struct mesh_key *key, void *forwarder)
{
	check(relay);
	struct relay_peer *peer = relay_find(relay, key);
	struct forwarding *f = peer ? find_forwarding(peer, forwarder) : NULL;

	if (f)
		remove_forwarding(relay, f);
}

void relay_drop_forwarder(struct relay *relay, void *forwarder)
{
	check(relay);
	LIST_EACH (&relay->forwardings, struct forwarding, all, f)
		if (f->forwarder == forwarder)
			remove_forwarding(relay, f);
}

/* --- life ------------------------------------------------------------------------------------- */
struct relay *relay_new(const struct relay_config *config)
{
	struct relay *relay = NEW(struct relay);

	relay->magic = RELAY_MAGIC;
	relay->config = *config;
	relay->prng = (struct prng) { config->seed };
	map_init(&relay->peers);
	map_init(&relay->contacts);
	list_init(&relay->clients);
	list_init(&relay->watchers);
	list_init(&relay->writing);
	list_init(&relay->forwardings);
	heap_init(&relay->keep_alives);
	return relay;
}

void relay_free(struct relay *relay)
{
	check(relay);
	assert(relay->counts.clients == 0 && list_is_empty(&relay->clients));
	LIST_EACH (&relay->forwardings, struct forwarding, all, f)
		remove_forwarding(relay, f);
	map_done(&relay->peers);
	map_done(&relay->contacts);
	heap_done(&relay->keep_alives);
	crypto_wipe(&relay->config, sizeof(relay->config));
	relay->magic = 0;
	memory_free(relay);
}

struct relay_counts relay_count(const struct relay *relay)
{
	struct relay_counts counts = relay->counts;

	check(relay);
	counts.keys = relay->peers.count;
	return counts;
}
