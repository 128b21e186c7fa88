/* Each region of the map is on its own:
 *
 *	              wanted                    ServerInfo
 *	resting ----------------> dialing -------------------> up
 *	   ^   <-- back-off ------'  | next relay, next address |
 *	   '------------------------------- idle, lost ---------'
 *
 * One timer of a region does what is due: a retry, the end of idleness, an answer that is late. */
#include "mesh/relay/derp_client.h"

#include <assert.h>
#include <stdio.h>

#include "base/list.h"
#include "base/random.h"
#include "loop/timer.h"
#include "mesh/relay/derp_link.h"
#include "wire/crypto/wipe.h"

enum {
	CLIENT_MAGIC = 0x44436c69,
	BACKOFF_MS_FIRST = 250,
	ANSWER_MS = 5000,	  /* to a ping */
	DOUBTED_ANSWER_MS = 1500, /* after a change: nobody reaches us meanwhile */
	PORT_DEFAULT = 443,
	TARGETS_MAX = 2 * DERP_NODES_MAX,
};

/* One that waits for the connection. */
struct early_packet {
	struct list link;
	struct mesh_key to;
	size_t size;
	uint8_t bytes[];
};

struct region {
	struct derp_client *client;
	struct derp_region map;
	struct derp_link *link; /* NULL: resting */
	bool is_up;
	size_t target; /* which relay and address is tried */
	uint64_t backoff_ms, retry_ms;
	uint64_t used_ms;
	struct list early;
	size_t early_count;
	bool is_measured;   /* somebody waits for the latency */
	bool is_doubted;    /* the network changed: it has to answer */
	uint64_t answer_ms; /* by when; 0: no ping is under way */
	struct timer timer;
};

struct derp_client {
	uint32_t magic;
	struct loop *loop;
	struct derp_client_config config;
	struct region *regions[DERP_CLIENT_REGIONS_MAX];
	size_t region_count;
	int home;
	struct prng prng;
};

static void look(struct region *r);

static struct region *find(const struct derp_client *client, int id)
{
	assert(client->magic == CLIENT_MAGIC);
	for (size_t i = 0; i < client->region_count; i++)
		if (client->regions[i]->map.id == id)
			return client->regions[i];
	return NULL;
}

static bool is_home(const struct region *r)
{
	return r->client->home == r->map.id;
}

static uint64_t now_of(const struct region *r)
{
	return loop_now_ms(r->client->loop);
}

/* --- packets that came early ------------------------------------------------------------------ */
static void drop_early(struct region *r)
{
	struct list *node;

	while ((node = list_pop(&r->early)) != NULL)
		memory_free(CONTAINER(node, struct early_packet, link));
	r->early_count = 0;
}

static void keep_early(struct region *r, const struct mesh_key *to, struct slice packet)
{
	struct early_packet *p =
		(struct early_packet *)memory_take(sizeof(struct early_packet) + packet.size);

	if (r->early_count == DERP_CLIENT_EARLY_PACKETS_MAX)
		memory_free(CONTAINER(list_pop(&r->early), struct early_packet, link));
	else
		r->early_count++;
	p->to = *to;
	p->size = packet.size;
	if (packet.size > 0)
		memcpy(p->bytes, packet.data, packet.size);
	list_add(&r->early, &p->link);
}

static bool write_packet(struct region *r, const struct mesh_key *to, struct slice packet)
{
	uint8_t head[DERP_HEAD_BYTES + DERP_KEY_BYTES];

	if (derp_link_unsent(r->link) + packet.size > DERP_CLIENT_QUEUE_BYTES_MAX)
		return false;
	derp_put_head(head, DERP_SEND_PACKET, DERP_KEY_BYTES + packet.size);
	memcpy(head + DERP_HEAD_BYTES, to->bytes, DERP_KEY_BYTES);
	derp_link_write(r->link, (struct slice) { head, sizeof(head) }, packet);
	return true;
}

static void write_early(struct region *r)
{
	LIST_EACH (&r->early, struct early_packet, link, p)
		(void)write_packet(r, &p->to, (struct slice) { p->bytes, p->size });
	drop_early(r);
}

/* --- latency ---------------------------------------------------------------------------------- */
static void ping(struct region *r)
{
	derp_link_ping(r->link);
	r->answer_ms = now_of(r) + (r->is_doubted ? DOUBTED_ANSWER_MS : ANSWER_MS);
}

static void tell_latency(struct region *r, uint64_t latency_us)
{
	if (!r->is_measured)
		return;
	r->is_measured = false;
	r->client->config.on_latency(r->client->config.context, r->map.id, latency_us);
}

static void on_pong(void *context, struct derp_link *link, uint64_t latency_us)
{
	struct region *r = context;

	(void)link;
	r->answer_ms = 0;
	r->is_doubted = false;
	tell_latency(r, latency_us ? latency_us : 1);
}

/* --- a connection ends ------------------------------------------------------------------------ */
/* The link is gone. */
static void note_end(struct region *r, const char *why)
{
	struct derp_client *client = r->client;
	bool was_up = r->is_up;

	r->link = NULL;
	r->is_up = false;
	r->is_doubted = false;
	r->answer_ms = 0;
	if (was_up)
		client->config.on_disconnected(client->config.context, r->map.id, why);
}

static void hang_up(struct region *r, const char *why)
{
	derp_link_close(r->link);
	note_end(r, why);
}

/* Every relay and address was tried. */
static void back_off(struct region *r, const char *why)
{
	struct derp_client *client = r->client;
	uint64_t max = DERP_CLIENT_BACKOFF_MS_MAX;

	r->target = 0;
	r->backoff_ms = r->backoff_ms ? 2 * r->backoff_ms : BACKOFF_MS_FIRST;
	if (r->backoff_ms > max)
		r->backoff_ms = max;
	/* Between half of it and all. */
	r->retry_ms =
		now_of(r) + r->backoff_ms / 2 + prng_below(&client->prng, r->backoff_ms / 2 + 1);
	drop_early(r);
	tell_latency(r, 0);
	client->config.on_disconnected(client->config.context, r->map.id, why);
}

/* --- connecting ------------------------------------------------------------------------------- */
struct target {
	const struct derp_node *node;
	const char *address;
};

static bool is_address(const char *text)
{
	return text[0] && strcmp(text, "none") != 0;
}

/* The relays in the order of the map, by IPv4 first. */
static size_t list_targets(const struct region *r, struct target ret[TARGETS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < r->map.node_count; i++) {
		const struct derp_node *node = &r->map.nodes[i];
		if (node->is_stun_only)
			continue;
		if (is_address(node->ipv4))
			ret[count++] = (struct target) { node, node->ipv4 };
		if (is_address(node->ipv6))
			ret[count++] = (struct target) { node, node->ipv6 };
		if (!is_address(node->ipv4) && !is_address(node->ipv6))
			ret[count++] = (struct target) { node, node->host };
	}
	return count;
}

static void on_open(void *context, struct derp_link *link);
static void on_frame(void *context, struct derp_link *link, uint8_t type, struct slice payload);
static void on_end(void *context, struct derp_link *link, const char *why);

static const struct derp_link_owner link_owner = {
	.on_open = on_open,
	.on_frame = on_frame,
	.on_pong = on_pong,
	.on_end = on_end,
};

static void dial(struct region *r)
{
	struct target targets[TARGETS_MAX];
	struct derp_client *client = r->client;
	size_t count = list_targets(r, targets);

	for (; r->target < count; r->target++) {
		const struct target *to = &targets[r->target];
		struct derp_link_config config = {
			.address = to->address,
			.port = to->node->derp_port ? to->node->derp_port : PORT_DEFAULT,
			.host = to->node->host,
			.ideal_node = to->node == targets[0].node ? NULL : targets[0].node->name,
			.dial_ms = DERP_CLIENT_DIAL_MS,
			.secret = client->config.secret,
			.own = client->config.own,
			.info = { .version = DERP_VERSION, .can_ack_pings = true },
			.owner = &link_owner,
			.context = r,
		};
		if (derp_link_identity(to->node, &config.identity))
			continue; /* the map asks for what cannot be */
		r->link = derp_link_start(client->loop, &config);
		crypto_wipe(&config.secret, sizeof(config.secret));
		return;
	}
	back_off(r, count ? "no relay of the region can be reached" : "the region has no relay");
}

static void on_end(void *context, struct derp_link *link, const char *why)
{
	struct region *r = context;
	struct target targets[TARGETS_MAX];

	(void)link;
	bool was_up = r->is_up;
	note_end(r, why);
	if (was_up) {
		r->target = 0;
		if (r->retry_ms < now_of(r))
			r->retry_ms = now_of(r) + prng_below(&r->client->prng, BACKOFF_MS_FIRST);
	} else if (++r->target >= list_targets(r, targets)) {
		back_off(r, why);
	}
	look(r);
}

static void say_whether_home(struct region *r)
{
	const uint8_t frame[DERP_HEAD_BYTES + 1] = { DERP_NOTE_PREFERRED, 0, 0, 0, 1, is_home(r) };

	derp_link_write(r->link, (struct slice) { frame, sizeof(frame) }, (struct slice) { 0 });
}

static void on_open(void *context, struct derp_link *link)
{
	struct region *r = context;
	struct derp_client *client = r->client;

	(void)link;
	r->is_up = true;
	r->backoff_ms = 0;
	r->target = 0;
	r->used_ms = now_of(r);
	if (is_home(r))
		say_whether_home(r);
	write_early(r);
	if (r->is_measured)
		ping(r);
	look(r);
	client->config.on_connected(client->config.context, r->map.id);
}

/* --- what the relay says ---------------------------------------------------------------------- */
static void on_restarting(struct region *r, struct slice payload)
{
	uint32_t in_ms, for_ms;

	if (derp_read_restarting(payload, &in_ms, &for_ms))
		return;
	if (in_ms > DERP_CLIENT_BACKOFF_MS_MAX)
		in_ms = DERP_CLIENT_BACKOFF_MS_MAX;
	/* Not all clients at once. */
	r->retry_ms = now_of(r) + in_ms + prng_below(&r->client->prng, in_ms + 1);
}

static void on_frame(void *context, struct derp_link *link, uint8_t type, struct slice payload)
{
	struct region *r = context;
	const struct derp_client_config *config = &r->client->config;
	char text[DERP_CLIENT_WHY_BYTES];
	struct mesh_key key;
	struct slice packet;
	uint8_t reason;

	(void)link;
	switch (type) {
	case DERP_RECEIVE_PACKET:
		r->used_ms = now_of(r);
		if (derp_read_packet(payload, &key, &packet) == OK)
			config->on_packet(config->context, r->map.id, &key, packet);
		break;
	case DERP_PEER_GONE:
		if (derp_read_peer_gone(payload, &key, &reason) == OK)
			config->on_peer_gone(config->context, r->map.id, &key, reason);
		break;
	case DERP_HEALTH:
		snprintf(text, sizeof(text), "%.*s", SLICE_ARG(payload));
		if (config->on_health)
			config->on_health(config->context, r->map.id, text);
		break;
	case DERP_RESTARTING:
		on_restarting(r, payload);
		break;
	default: /* keepalives, and what is newer than we are */
		break;
	}
}

/* --- what is due ------------------------------------------------------------------------------ */
static bool is_wanted(const struct region *r)
{
	return is_home(r) || r->early_count > 0 || r->is_measured;
}

static void on_timer(struct timer *t)
{
	look(CONTAINER(t, struct region, timer));
}

static void wake_at(struct region *r, uint64_t at_ms)
{
	timer_set(&r->timer, r->client->loop, at_ms, on_timer);
}

static void look_up(struct region *r)
{
	uint64_t now = now_of(r), idle_ms = r->used_ms + DERP_CLIENT_IDLE_MS;

	if (r->answer_ms && now >= r->answer_ms) {
		r->answer_ms = 0;
		tell_latency(r, 0);
		if (r->is_doubted) {
			hang_up(r, "the relay did not answer after a change of the network");
			look(r);
			return;
		}
	}
	if (!is_home(r) && now >= idle_ms && !r->answer_ms) {
		hang_up(r, "");
		timer_clear(&r->timer);
		return;
	}
	uint64_t next = is_home(r) ? UINT64_MAX : idle_ms > now ? idle_ms : now + ANSWER_MS;
	if (r->answer_ms && r->answer_ms < next)
		next = r->answer_ms;
	if (next == UINT64_MAX)
		timer_clear(&r->timer);
	else
		wake_at(r, next);
}

static void look(struct region *r)
{
	if (r->is_up) {
		look_up(r);
		return;
	}
	timer_clear(&r->timer);
	if (r->link || !is_wanted(r))
		return;
	if (now_of(r) < r->retry_ms) {
		wake_at(r, r->retry_ms);
		return;
	}
	dial(r);
	if (!r->link && is_wanted(r))
		wake_at(r, r->retry_ms);
}

/* --- what the owner asks for ------------------------------------------------------------------ */
/* From a timer: no callback comes from inside a call. */
static void look_soon(struct region *r)
{
	wake_at(r, now_of(r));
}

bool derp_client_send(struct derp_client *client, int region, const struct mesh_key *to,
		      struct slice packet)
{
	struct region *r = find(client, region);

	if (!r || packet.size > DERP_PACKET_BYTES_MAX)
		return false;
	r->used_ms = now_of(r);
	if (r->is_up)
		return write_packet(r, to, packet);
	keep_early(r, to, packet);
	if (!r->link)
		look_soon(r);
	return true;
}

bool derp_client_is_connected(const struct derp_client *client, int region)
{
	const struct region *r = find(client, region);

	return r && r->is_up;
}

uint64_t derp_client_heard_ms(const struct derp_client *client, int region)
{
	const struct region *r = find(client, region);

	return r && r->is_up ? derp_link_heard_ms(r->link) : 0;
}

void derp_client_measure(struct derp_client *client, int region)
{
	struct region *r = find(client, region);

	if (!r || r->is_measured)
		return;
	r->is_measured = true;
	if (r->is_up && !r->answer_ms)
		ping(r);
	look_soon(r);
}

void derp_client_network_changed(struct derp_client *client)
{
	for (size_t i = 0; i < client->region_count; i++) {
		struct region *r = client->regions[i];
		r->retry_ms = r->backoff_ms = 0;
		if (r->is_up) {
			r->is_doubted = true;
			ping(r);
		} else if (r->link) { /* over what is no more */
			hang_up(r, "");
		}
		look_soon(r);
	}
}

void derp_client_set_home(struct derp_client *client, int region)
{
	struct region *old = find(client, client->home), *new = find(client, region);

	client->home = region;
	if (old == new)
		return;
	if (old) {
		old->used_ms = now_of(old);
		if (old->is_up)
			say_whether_home(old);
		look_soon(old);
	}
	if (new) {
		if (new->is_up)
			say_whether_home(new);
		look_soon(new);
	}
}

/* --- the map ---------------------------------------------------------------------------------- */
static void region_free(struct region *r)
{
	if (r->link)
		derp_link_close(r->link);
	timer_clear(&r->timer);
	drop_early(r);
	memory_free(r);
}

static struct region *region_new(struct derp_client *client, const struct derp_region *map)
{
	struct region *r = NEW(struct region);

	r->client = client;
	r->map = *map;
	list_init(&r->early);
	return r;
}

static bool is_same_node(const struct derp_node *a, const struct derp_node *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->certificate, b->certificate) == 0 && strcmp(a->ipv4, b->ipv4) == 0 &&
	       strcmp(a->ipv6, b->ipv6) == 0 && a->derp_port == b->derp_port &&
	       a->is_stun_only == b->is_stun_only &&
	       a->is_insecure_for_tests == b->is_insecure_for_tests;
}

static bool is_same(const struct derp_region *a, const struct derp_region *b)
{
	if (a->node_count != b->node_count)
		return false;
	for (size_t i = 0; i < a->node_count; i++)
		if (!is_same_node(&a->nodes[i], &b->nodes[i]))
			return false;
	return true;
}

static bool is_in(const struct derp_map *map, const struct region *r)
{
	const struct derp_region *found = derp_map_find(map, r->map.id);

	return found && is_same(found, &r->map);
}

/* The relays of the region changed, or it is no more: told now, because the owner asked for it. */
static void remove_region(struct derp_client *client, size_t i)
{
	struct region *r = client->regions[i];

	client->regions[i] = client->regions[--client->region_count];
	region_free(r);
}

void derp_client_set_map(struct derp_client *client, const struct derp_map *map)
{
	assert(client->magic == CLIENT_MAGIC);
	for (size_t i = client->region_count; i-- > 0;)
		if (!is_in(map, client->regions[i]))
			remove_region(client, i);
	for (size_t i = 0; i < map->region_count; i++) {
		const struct derp_region *region = &map->regions[i];
		if (find(client, region->id) || region->node_count > DERP_NODES_MAX ||
		    client->region_count == DERP_CLIENT_REGIONS_MAX)
			continue;
		struct region *r = region_new(client, region);
		client->regions[client->region_count++] = r;
		look_soon(r);
	}
}

/* --- life ------------------------------------------------------------------------------------- */
struct derp_client *derp_client_new(struct loop *loop, const struct derp_client_config *config)
{
	struct derp_client *client = NEW(struct derp_client);

	assert(config->on_packet && config->on_peer_gone && config->on_connected &&
	       config->on_disconnected && config->on_latency);
	client->magic = CLIENT_MAGIC;
	client->loop = loop;
	client->config = *config;
	client->prng = (struct prng) { random_u64() };
	return client;
}

void derp_client_free(struct derp_client *client)
{
	assert(client->magic == CLIENT_MAGIC);
	while (client->region_count > 0)
		region_free(client->regions[--client->region_count]);
	crypto_wipe(&client->config, sizeof(client->config));
	client->magic = 0;
	memory_free(client);
}
