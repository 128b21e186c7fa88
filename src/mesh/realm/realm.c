#include "mesh/realm/realm.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "mesh/realm/policy.h"
#include "mesh/realm/private.h"
#include "wire/crypto/wipe.h"
#include "wire/crypto/x25519.h"

int64_t realm_now_s(const struct realm *r)
{
	return (int64_t)(leader_now_ms(r->config.leader) / 1000);
}

struct user_row realm_user(const struct realm *r, int64_t id)
{
	for (size_t i = 0; i < r->user_count; i++)
		if (r->users[i].id == id)
			return r->users[i];
	return (struct user_row) { id, SLICE("unknown"), SLICE("unknown") };
}

/* --- what an operation read again --------------------------------------------------------------
 */

/* Copies of what it changed besides machines, from inside its transaction. */
void realm_read(struct operation *o, struct cell *cell)
{
	struct operation_parts *parts = arena_take(&o->arena, sizeof(*parts));

	if (o->has_users)
		store_users(&o->arena, cell, &parts->users, &parts->user_count);
	if (o->has_servers)
		store_servers(&o->arena, cell, &parts->servers, &parts->server_count);
	if (o->has_relays)
		store_relays(&o->arena, cell, &parts->relays, &parts->relay_count);
	/* What is not there is the policy of a new realm: none. */
	if (o->has_policy && store_policy_newest(&o->arena, cell, &parts->policy))
		parts->policy = (struct policy_row) { 0 };
	o->parts = parts;
}

/* Users and URLs live in one arena, which is made anew. */
static void take_shared(struct realm *r, const struct operation *o)
{
	const struct operation_parts *p = o->parts;
	size_t user_count = o->has_users ? p->user_count : r->user_count;
	const struct user_row *users = o->has_users ? p->users : r->users;
	struct arena fresh;

	arena_init(&fresh);
	struct user_row *rows = arena_take_array(&fresh, user_count + 1, sizeof(*rows));
	for (size_t i = 0; i < user_count; i++)
		rows[i] = (struct user_row) { users[i].id, arena_copy(&fresh, users[i].login),
					      arena_copy(&fresh, users[i].display) };
	size_t count = 0, old_count = o->has_servers ? p->server_count : r->url_count;
	const char **urls = arena_take_array(&fresh, old_count + 2, sizeof(char *));
	urls[count++] = arena_text(&fresh, slice_from(r->config.url));
	for (size_t i = 0; i < old_count; i++) {
		struct slice url = o->has_servers ? p->servers[i].url : slice_from(r->urls[i]);

		if (!slice_equal(url, slice_from(r->config.url)))
			urls[count++] = arena_text(&fresh, url);
	}
	arena_done(&r->shared);
	r->shared = fresh;
	r->users = rows;
	r->user_count = user_count;
	r->urls = urls;
	r->url_count = count;
	r->users_changed |= o->has_users;
	r->urls_changed |= o->has_servers;
}

/* Where there is one region only: the same relay once more, as a region that has its second STUN
 * port, or the port of another relay of the region.  The official client asks one server a region,
 * and what two of them say tells it whether its NAT gives every destination another port.  It is a
 * real relay, since a client that hears from nothing else makes it its home. */
static bool mirror_region(const struct control_region *region, const struct relay_row *rows,
			  struct control_region *ret, struct control_relay *ret_relay)
{
	size_t last = region->relay_count - 1;

	*ret = *region;
	*ret_relay = region->relays[last];
	if (last == 0 && (rows[0].second_stun_port == 0 || ret_relay->stun_port < 0))
		return false;
	if (last == 0)
		ret_relay->stun_port = rows[0].second_stun_port;
	ret->id = ret_relay->region = region->id + REALM_REGION_MIRROR;
	ret->is_avoided = true;
	ret->relays = ret_relay;
	ret->relay_count = 1;
	return ret->id <= UINT16_MAX;
}

/* A client that cannot look for the hash of a certificate that nobody vouches for would use no such
 * relay at all.  It is told to look at none: what it sends is sealed, and who stands between it and
 * the relay learns what a relay learns.  Nor does it know that it shall not live in the mirror. */
static struct control_relay_map *for_old_clients(struct control_region *regions, size_t count,
						 struct control_relay *relays)
{
	size_t relay_count = 0;

	while (count && regions[count - 1].is_avoided)
		count--;
	for (size_t i = 0; i < count; i++)
		relay_count += regions[i].relay_count;
	for (size_t i = 0; i < relay_count; i++)
		if (slice_starts_with(relays[i].cert_name, SLICE("sha256-raw:"))) {
			relays[i].cert_name = SLICE("");
			relays[i].is_insecure = true;
		}
	return control_relay_map_copy(&(struct control_relay_map) { regions, count });
}

const struct control_relay_map *relays_for(const struct realm *r, const struct machine *m)
{
	return m->node->version && m->node->version < REALM_VERSION_HASHES ? r->old_relays
									   : r->relays;
}

/* Rows come sorted by region. */
static void take_relays(struct realm *r, struct operation *o)
{
	const struct operation_parts *p = o->parts;
	struct control_relay *relays =
		arena_take_array(&o->arena, p->relay_count + 1, sizeof(*relays));
	struct control_region *regions =
		arena_take_array(&o->arena, p->relay_count + 2, sizeof(*regions));
	size_t count = 0;

	for (size_t i = 0; i < p->relay_count; i++) {
		const struct relay_row *row = &p->relays[i];

		relays[i] = (struct control_relay) {
			.name = row->name,
			.region = row->region,
			.host = row->host,
			.cert_name = row->cert_name,
			.ipv4 = row->ipv4,
			.ipv6 = row->ipv6,
			.stun_port = row->stun_port,
			.relay_port = row->relay_port,
			.is_insecure = row->is_insecure,
		};
		if (count == 0 || regions[count - 1].id != row->region)
			regions[count++] = (struct control_region) {
				.id = row->region,
				.code = row->code,
				.title = row->title,
				.relays = &relays[i],
			};
		regions[count - 1].relay_count++;
	}
	if (count == 1)
		count +=
			mirror_region(&regions[0], p->relays, &regions[1], &relays[p->relay_count]);
	if (count == 2 && regions[1].is_avoided)
		relays[p->relay_count].name =
			slice_from(arena_format(&o->arena, "%.*s.again",
						SLICE_ARG(relays[p->relay_count].name)));
	memory_free(r->relays);
	r->relays = control_relay_map_copy(&(struct control_relay_map) { regions, count });
	memory_free(r->old_relays);
	r->old_relays = for_old_clients(regions, count, relays);
	r->relays_changed = true;
}

void realm_apply(struct operation *o)
{
	if (o->has_users || o->has_servers)
		take_shared(o->realm, o);
	if (o->has_relays)
		take_relays(o->realm, o);
	if (o->has_policy)
		realm_policy_take(o->realm, &o->parts->policy);
	if (o->has_users)
		realm_policy_stale(o->realm);
	if (o->has_users || o->has_servers || o->has_relays)
		fanout_set(o->realm);
}

/* --- beginning to lead -------------------------------------------------------------------------
 */

struct begin {
	struct operation operation;
	struct slice secret, domain;
	bool is_new;
};

static enum err insert_user(struct cell *cell, struct slice login, int64_t id, int64_t now_s)
{
	int64_t got;

	enum err err = store_user_of(cell, login, now_s, &got);
	if (!err)
		assert(got == id);
	return err;
}

/* The first time ever: keys that outlive every node, and the users that are always there. */
static enum err make_new(struct cell *cell, struct operation *o)
{
	struct begin *b = CONTAINER(o, struct begin, operation);
	struct realm *r = o->realm;
	struct mesh_key secret;
	char owner[CONTROL_NAME_BYTES_MAX + 8];

	random_bytes(secret.bytes, sizeof(secret.bytes));
	x25519_clamp(secret.bytes);
	snprintf(owner, sizeof(owner), "owner@%s", r->config.domain);
	enum err err = store_set(cell, "noise_secret",
				 (struct slice) { secret.bytes, sizeof(secret.bytes) });
	if (!err)
		err = store_set(cell, "domain", slice_from(r->config.domain));
	if (!err)
		err = insert_user(cell, slice_from(owner), STORE_USER_OWNER, o->now_s);
	if (!err)
		err = insert_user(cell, SLICE("tagged-devices"), STORE_USER_TAGGED, o->now_s);
	crypto_wipe(&secret, sizeof(secret));
	b->is_new = true;
	return err;
}

static enum err begin_run(struct cell *cell, struct operation *o)
{
	struct begin *b = CONTAINER(o, struct begin, operation);
	const struct realm_config *config = &o->realm->config;
	struct server_row server = { slice_from(config->address), slice_from(config->url) };
	struct machine_row *rows;
	struct slice secret;
	size_t count;
	enum err err = OK;

	if (store_get(&o->arena, cell, "noise_secret", &secret))
		err = make_new(cell, o);
	if (!err)
		err = store_server_put(cell, &server);
	if (!err)
		err = store_get(&o->arena, cell, "noise_secret", &b->secret);
	if (!err)
		err = store_get(&o->arena, cell, "domain", &b->domain);
	if (err)
		return err;
	store_machines(&o->arena, cell, &rows, &count);
	for (size_t i = count; i-- > 0;) { /* in front, so that it costs nothing */
		struct operation_change *change = arena_take(&o->arena, sizeof(*change));

		change->row = rows[i];
		change->next = o->changes;
		o->changes = change;
	}
	struct realm *r = o->realm;
	snprintf(r->domain, sizeof(r->domain), "%.*s", SLICE_ARG(b->domain));
	return OK;
}

static void on_request(void *context, struct door_request *request)
{
	struct realm *r = context;

	request->owner_state = NULL;
	if (slice_equal(request->path, SLICE("/machine/register")))
		register_request(r, request);
	else if (slice_equal(request->path, SLICE("/machine/map")))
		map_request(r, request);
	else if (slice_equal(request->path, SLICE("/machine/update-health")))
		door_answer(request, 204, "text/plain", (struct slice) { 0 });
	else
		door_answer(request, 501, "text/plain", SLICE("not served here\n"));
}

static void on_gone(void *context, struct door_request *request)
{
	struct request_owner *owner = request->owner_state;

	(void)context;
	if (owner)
		owner->on_gone(owner);
}

static void begin_done(struct operation *o, enum err err)
{
	struct begin *b = CONTAINER(o, struct begin, operation);
	struct realm *r = o->realm;

	if (r->is_stopping)
		return;
	if (err) {
		log_error("the realm cannot begin: %s", o->why);
		return;
	}
	if (b->secret.size != sizeof(r->secret.bytes)) {
		log_error("the realm's own key is damaged");
		return;
	}
	memcpy(r->secret.bytes, b->secret.data, sizeof(r->secret.bytes));
	crypto_wipe((uint8_t *)(uintptr_t)b->secret.data, b->secret.size);
	r->door = door_new(r->loop, &(struct door_config) {
					    .secret = r->secret,
					    .version_min = REALM_VERSION_MIN,
					    .context = r,
					    .on_request = on_request,
					    .on_gone = on_gone,
					    .on_plain = plain_request,
				    });
	r->relays_changed = r->users_changed = r->urls_changed = false;
	realm_sweep_start(r);
	log_info("the realm %s has %zu machines", r->domain, r->machine_count);
	r->config.on_ready(r->config.context, b->is_new);
}

void realm_on_leading(struct realm *r)
{
	struct begin *b = NEW(struct begin);

	operation_init(&b->operation, r);
	b->operation.has_users = b->operation.has_relays = b->operation.has_servers = true;
	b->operation.has_policy = true;
	b->operation.is_first = true;
	operation_start(&b->operation, begin_run, begin_done, NULL);
}

static void forget(struct realm *r)
{
	LIST_EACH (&r->pending, struct pending, link, p)
		pending_free(r, p);
	map_streams_void(r);
	if (r->door)
		door_close(r->door);
	r->door = NULL;
	timer_clear(&r->fanout);
	r->has_fanout = false;
	timer_clear(&r->sweep);
	machines_unload_all(r);
	crypto_wipe(&r->secret, sizeof(r->secret));
}

/* Clients come again, to whoever leads. */
void realm_on_lost(struct realm *r)
{
	LIST_EACH (&r->operations, struct operation, link, o)
		if (o->on_void)
			o->on_void(o);
	forget(r);
}

/* --- life --------------------------------------------------------------------------------------
 */

struct realm *realm_new(struct loop *loop, const struct realm_config *config)
{
	struct realm *r = NEW(struct realm);

	r->loop = loop;
	r->config = *config;
	arena_init(&r->shared);
	map_init(&r->by_node);
	list_init(&r->sessions);
	list_init(&r->dirty);
	list_init(&r->pending);
	list_init(&r->operations);
	r->relays = control_relay_map_copy(&(struct control_relay_map) { 0 });
	r->old_relays = control_relay_map_copy(&(struct control_relay_map) { 0 });
	r->policy = realm_policy_new();
	return r;
}

void realm_free(struct realm *r)
{
	assert(r->operation_count == 0);
	forget(r);
	map_done(&r->by_node);
	arena_done(&r->shared);
	memory_free(r->relays);
	memory_free(r->old_relays);
	blob_unref(&r->keepalive);
	realm_policy_free(r->policy);
	memory_free(r);
}

void realm_accept(struct realm *r, struct stream *s)
{
	stream_set_patience(s, REALM_PATIENCE_MS, 0);
	if (r->door)
		door_accept(r->door, s);
	else
		stream_close(s);
}

bool realm_is_serving(const struct realm *r)
{
	return r->door;
}

static enum step stop_step(struct task *t)
{
	struct realm *r = CONTAINER(t, struct realm_stop, task)->realm;

	if (r->operation_count > 0)
		return task_wait(t, 0);
	r->waiting = NULL;
	return task_done(t, OK);
}

void realm_stop(struct realm_stop *stop, struct task *parent, struct realm *r)
{
	static const struct task_kind kind = { .name = "realm stop", .step = stop_step };

	stop->realm = r;
	realm_on_lost(r);
	r->is_stopping = true;
	r->waiting = &stop->task;
	task_start(&stop->task, &kind, parent);
}
