/* What administrators do: join keys, machines, relays. */
#include <stdio.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "mesh/realm/names.h"
#include "mesh/realm/private.h"
#include "wire/crypto/blake2s.h"
#include "wire/crypto/wipe.h"

enum { SECRET_BYTES = 20, HINT_BYTES = 6, TAG_BYTES_MAX = 100 };

/* --- join keys ---------------------------------------------------------------------------------
 */

/* "tag:" and letters, digits, hyphens. */
static bool is_tag(struct slice tag)
{
	if (!slice_starts_with(tag, SLICE("tag:")) || tag.size < 5 || tag.size > TAG_BYTES_MAX)
		return false;
	for (size_t i = 4; i < tag.size; i++) {
		uint8_t c = tag.data[i];
		bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

		if (!is_letter && !(i > 4 && ((c >= '0' && c <= '9') || c == '-')))
			return false;
	}
	return true;
}

static enum err check_tags(struct operation *o, struct slice tags)
{
	size_t count;
	struct slice *lines = store_lines(&o->arena, tags, &count);

	if (count > CONTROL_TAGS_MAX)
		return operation_fail(o, ERR_TOO_BIG, "more than %d tags", CONTROL_TAGS_MAX);
	for (size_t i = 0; i < count; i++)
		if (!is_tag(lines[i]))
			return operation_fail(o, ERR_INVALID,
					      "%.*s is no tag: they look like tag:server",
					      lines[i].size > 60 ? 60 : (int)lines[i].size,
					      (const char *)lines[i].data);
	return OK;
}

/* The owner unless somebody is named; made when it is the first time. */
static enum err user_of(struct cell *cell, struct operation *o, struct slice login, int64_t *ret)
{
	*ret = STORE_USER_OWNER;
	if (login.size == 0)
		return OK;
	if (login.size > CONTROL_NAME_BYTES_MAX)
		return operation_fail(o, ERR_TOO_BIG, "the name of the user is too long");
	enum err err = store_user_of(cell, login, o->now_s, ret);
	if (!err && *ret == STORE_USER_TAGGED)
		return operation_fail(o, ERR_INVALID, "that user stands for machines with tags");
	o->has_users = true;
	return err;
}

static enum err key_create_run(struct cell *cell, struct operation *o)
{
	struct key_create *k = CONTAINER(o, struct key_create, operation);
	struct slice secret = slice_from(k->secret);

	enum err err = check_tags(o, k->tags);
	if (!err && k->description.size > CONTROL_NAME_BYTES_MAX)
		err = operation_fail(o, ERR_TOO_BIG, "the description is too long");
	k->key = (struct key_row) {
		.hint = slice_part(secret, 0, HINT_BYTES),
		.description = k->description,
		.tags = k->tags,
		.uses_max = k->uses_max,
		.created_s = o->now_s,
		.expiry_s = k->lifetime_s ? o->now_s + k->lifetime_s : 0,
		.is_ephemeral = k->is_ephemeral,
		.is_preapproved = !k->needs_approval,
	};
	store_key_hash(secret, k->key.hash);
	if (!err)
		err = user_of(cell, o, k->user, &k->key.user);
	if (!err && k->tags.size)
		k->key.user = STORE_USER_TAGGED;
	return err ? err : store_key_put(cell, &k->key, o->now_s);
}

void key_create_start(struct key_create *k, void (*done)(struct operation *, enum err),
		      void *context)
{
	uint8_t bytes[SECRET_BYTES];

	random_bytes(bytes, sizeof(bytes));
	hex_encode(k->secret, (struct slice) { bytes, sizeof(bytes) });
	operation_start(&k->operation, key_create_run, done, context);
}

static enum err key_revoke_run(struct cell *cell, struct operation *o)
{
	struct key_revoke *k = CONTAINER(o, struct key_revoke, operation);
	struct key_row key;

	enum err err = store_key(&o->arena, cell, k->id, &key);
	if (err == ERR_NOT_FOUND)
		return operation_fail(o, err, "there is no join key %lld", (long long)k->id);
	if (err || key.revoked_s)
		return err;
	key.revoked_s = o->now_s;
	return store_key_put(cell, &key, o->now_s);
}

void key_revoke_start(struct key_revoke *k, void (*done)(struct operation *, enum err),
		      void *context)
{
	operation_start(&k->operation, key_revoke_run, done, context);
}

/* --- machines ----------------------------------------------------------------------------------
 */

static enum err rename_machine(struct cell *cell, struct operation *o, struct machine_edit *m)
{
	struct control_hostinfo hostinfo = { 0 };
	struct machine_row other;

	m->row.is_named = m->text.size > 0;
	if (m->text.size == 0) {
		if (control_hostinfo_decode(&o->arena, m->row.hostinfo, &hostinfo))
			hostinfo.hostname = SLICE("node");
		return store_machine_name(&o->arena, cell, hostinfo.hostname, m->row.id,
					  &m->row.name);
	}
	if (!name_is_label(m->text))
		return operation_fail(
			o, ERR_INVALID,
			"a name has 1 to 63 of a-z, 0-9 and -, as in laptop or web-1");
	enum err err = store_machine_by_text(&o->arena, cell, m->text, &other);
	if (!err && other.id != m->row.id && slice_equal(other.name, m->text))
		return operation_fail(o, ERR_EXISTS, "n%lld is called %.*s already",
				      (long long)other.id, SLICE_ARG(m->text));
	m->row.name = m->text;
	return err == ERR_NOT_FOUND ? OK : err;
}

static enum err approve_routes(struct operation *o, struct machine_edit *m)
{
	size_t count;
	struct slice *lines = store_lines(&o->arena, m->text, &count);
	struct ip_prefix prefix;

	if (count > CONTROL_ROUTES_MAX)
		return operation_fail(o, ERR_TOO_BIG, "more than %d routes", CONTROL_ROUTES_MAX);
	for (size_t i = 0; i < count; i++)
		if (ip_prefix_parse(lines[i], &prefix))
			return operation_fail(o, ERR_INVALID,
					      "%.*s is no network, as 10.1.0.0/16 is one",
					      lines[i].size > 60 ? 60 : (int)lines[i].size,
					      (const char *)lines[i].data);
	m->row.routes = m->text;
	return OK;
}

static enum err tag_machine(struct cell *cell, struct operation *o, struct machine_edit *m)
{
	struct machine_row other;
	int64_t user = m->text.size ? STORE_USER_TAGGED : STORE_USER_OWNER;

	enum err err = check_tags(o, m->text);
	if (err)
		return err;
	err = store_machine_by_machine(&o->arena, cell, &m->row.machine, user, &other);
	if (!err && other.id != m->row.id)
		return operation_fail(o, ERR_EXISTS, "the same machine is there as n%lld",
				      (long long)other.id);
	m->row.tags = m->text;
	if (m->text.size || m->row.user == STORE_USER_TAGGED)
		m->row.user = user;
	if (m->text.size)
		m->row.expiry_s = 0;
	return err == ERR_NOT_FOUND ? OK : err;
}

static enum err change(struct cell *cell, struct operation *o, struct machine_edit *m)
{
	switch (m->kind) {
	case MACHINE_RENAME:
		return rename_machine(cell, o, m);
	case MACHINE_TAG:
		return tag_machine(cell, o, m);
	case MACHINE_EXPIRE:
		m->row.expiry_s = m->number < 0 ? 0 : o->now_s + m->number;
		return OK;
	case MACHINE_APPROVE:
		m->row.is_authorized = true;
		return OK;
	case MACHINE_ROUTES:
		return approve_routes(o, m);
	case MACHINE_REMOVE:
		return OK;
	}
	return ERR_UNSUPPORTED;
}

/* A registration that waited becomes a machine: a new one, or the one it was before. */
static enum err take_pending(struct cell *cell, struct operation *o, struct machine_edit *m)
{
	struct pending *p = pending_find(o->realm, slice_from(m->pending));
	struct control_hostinfo hostinfo = { 0 };

	if (!p)
		return operation_fail(o, ERR_NOT_FOUND, "nobody waits with that link any more");
	enum err err =
		store_machine_by_machine(&o->arena, cell, &p->machine, STORE_USER_OWNER, &m->row);
	if (err == ERR_NOT_FOUND) {
		m->row = (struct machine_row) { .user = STORE_USER_OWNER,
						.machine = p->machine,
						.created_s = o->now_s,
						.seen_s = o->now_s };
		err = store_machine_begin(cell, &m->row);
	}
	if (err)
		return err;
	m->row.node = p->node;
	m->row.version = p->version;
	m->row.is_ephemeral = p->is_ephemeral;
	m->row.is_authorized = true;
	m->row.expiry_s = 0;
	m->row.hostinfo = arena_copy(&o->arena, buf_slice(&p->hostinfo));
	if (control_hostinfo_decode(&o->arena, m->row.hostinfo, &hostinfo))
		hostinfo.hostname = slice_from(p->label);
	if (m->row.is_named)
		return OK;
	return store_machine_name(&o->arena, cell, hostinfo.hostname, m->row.id, &m->row.name);
}

static enum err edit_run(struct cell *cell, struct operation *o)
{
	struct machine_edit *m = CONTAINER(o, struct machine_edit, operation);
	enum err err;

	if (m->pending[0]) {
		err = take_pending(cell, o, m);
	} else {
		err = store_machine_by_text(&o->arena, cell, m->machine, &m->row);
		if (err == ERR_NOT_FOUND)
			return operation_fail(o, err, "there is no machine %.*s",
					      m->machine.size > 60 ? 60 : (int)m->machine.size,
					      (const char *)m->machine.data);
		if (!err)
			err = change(cell, o, m);
	}
	if (err)
		return err;
	if (m->kind == MACHINE_REMOVE) {
		err = store_machine_remove(cell, m->row.id);
		if (!err)
			operation_removed(o, m->row.id);
		return err;
	}
	err = store_machine_put(cell, &m->row);
	if (!err)
		operation_changed(o, &m->row);
	return err;
}

/* Set beside the caller's, who is called last. */
static void edit_done(struct operation *o, enum err err)
{
	struct machine_edit *m = CONTAINER(o, struct machine_edit, operation);
	struct pending *p = m->pending[0] ? pending_find(o->realm, slice_from(m->pending)) : NULL;

	if (!err && p)
		pending_decided(o->realm, p, &m->row);
	m->then(o, err);
}

void machine_edit_start(struct machine_edit *m, void (*done)(struct operation *, enum err),
			void *context)
{
	struct pending *p = pending_find(m->operation.realm, m->machine);

	if (p && m->kind == MACHINE_APPROVE)
		memcpy(m->pending, p->id, sizeof(p->id));
	m->then = done;
	operation_start(&m->operation, edit_run, edit_done, context);
}

/* --- relays ------------------------------------------------------------------------------------
 */

static enum err check_relay(struct operation *o, const struct relay_row *relay)
{
	const struct slice texts[] = { relay->name, relay->code, relay->title,	  relay->host,
				       relay->ipv4, relay->ipv6, relay->cert_name };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].size > CONTROL_NAME_BYTES_MAX)
			return operation_fail(o, ERR_TOO_BIG, "a text of the relay is too long");
	if (relay->name.size == 0 || relay->host.size == 0)
		return operation_fail(o, ERR_INVALID, "a relay has a name and a host");
	if (relay->region < 1 || relay->region > UINT16_MAX)
		return operation_fail(o, ERR_INVALID, "a region is 1 to %d", UINT16_MAX);
	if (relay->relay_port < 0 || relay->relay_port > UINT16_MAX || relay->stun_port < -1 ||
	    relay->stun_port > UINT16_MAX || relay->second_stun_port < 0 ||
	    relay->second_stun_port > UINT16_MAX)
		return operation_fail(o, ERR_INVALID, "a port is 1 to %d", UINT16_MAX);
	return OK;
}

static bool same_relay(const struct relay_row *a, const struct relay_row *b)
{
	return a->region == b->region && slice_equal(a->code, b->code) &&
	       slice_equal(a->title, b->title) && slice_equal(a->host, b->host) &&
	       slice_equal(a->ipv4, b->ipv4) && slice_equal(a->ipv6, b->ipv6) &&
	       slice_equal(a->cert_name, b->cert_name) && a->relay_port == b->relay_port &&
	       a->stun_port == b->stun_port && a->second_stun_port == b->second_stun_port &&
	       a->is_insecure == b->is_insecure;
}

static bool has_region(const struct relay_row *rows, size_t count, const struct relay_row *except,
		       int32_t region)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].region == region && !slice_equal(rows[i].name, except->name))
			return true;
	return false;
}

/* Where it was, unless another relay is there by now. */
static enum err bring_back(struct cell *cell, struct operation *o, struct slice name)
{
	struct relay_row relay, *rows;
	size_t count;

	if (store_removed_relay(&o->arena, cell, name, &relay))
		return operation_fail(o, ERR_NOT_FOUND, "no relay with this name was removed");
	store_relays(&o->arena, cell, &rows, &count);
	if (has_region(rows, count, &relay, relay.region))
		for (relay.region = REALM_REGION_MIN; relay.region < REALM_REGION_MAX;
		     relay.region++)
			if (!has_region(rows, count, &relay, relay.region))
				break;
	o->has_relays = true;
	return store_relay_put(cell, &relay);
}

/* Relays say again and again that they are there. */
static enum err relay_run(struct cell *cell, struct operation *o)
{
	struct relay_edit *e = CONTAINER(o, struct relay_edit, operation);
	struct relay_row *rows, removed;
	size_t count;

	if (e->is_back)
		return bring_back(cell, o, e->relay.name);
	if (e->is_removed) {
		o->has_relays = true;
		enum err err = store_relay_remove(cell, e->relay.name);
		return err == ERR_NOT_FOUND ? operation_fail(o, err, "there is no such relay")
					    : err;
	}
	enum err err = check_relay(o, &e->relay);
	if (err)
		return err;
	if (e->is_said && !store_removed_relay(&o->arena, cell, e->relay.name, &removed))
		return operation_fail(o, ERR_DENIED, "this relay was removed");
	store_relays(&o->arena, cell, &rows, &count);
	for (size_t i = 0; i < count; i++) {
		bool is_same_name = slice_equal(rows[i].name, e->relay.name);

		if (is_same_name && same_relay(&rows[i], &e->relay))
			return OK;
		if (!is_same_name && rows[i].region == e->relay.region && !e->is_shared)
			return operation_fail(o, ERR_EXISTS, "region %d has another relay",
					      rows[i].region);
	}
	o->has_relays = true;
	return store_relay_put(cell, &e->relay);
}

void relay_edit_start(struct relay_edit *e, void (*done)(struct operation *, enum err),
		      void *context)
{
	operation_start(&e->operation, relay_run, done, context);
}

/* --- nodes of the realm ------------------------------------------------------------------------
 */

static enum err server_run(struct cell *cell, struct operation *o)
{
	struct server_edit *e = CONTAINER(o, struct server_edit, operation);
	struct server_row *rows;
	size_t count;

	if (e->server.address.size == 0 || e->server.address.size > CONTROL_NAME_BYTES_MAX ||
	    e->server.url.size > REALM_URL_BYTES_MAX)
		return operation_fail(o, ERR_INVALID, "a node has an address and a URL");
	store_servers(&o->arena, cell, &rows, &count);
	for (size_t i = 0; i < count && !e->is_removed; i++)
		if (slice_equal(rows[i].address, e->server.address) &&
		    slice_equal(rows[i].url, e->server.url))
			return OK;
	o->has_servers = true;
	return e->is_removed ? store_server_remove(cell, e->server.address)
			     : store_server_put(cell, &e->server);
}

void server_edit_start(struct server_edit *e, void (*done)(struct operation *, enum err),
		       void *context)
{
	operation_start(&e->operation, server_run, done, context);
}

bool realm_server_key(struct cell *cell, uint8_t ret[REALM_SERVER_KEY_BYTES])
{
	_Static_assert((int)REALM_SERVER_KEY_BYTES == (int)BLAKE2S_BYTES, "a hash is the key");
	struct slice secret;
	struct arena a;

	arena_init(&a);
	bool is_there = store_get(&a, cell, "noise_secret", &secret) == OK;
	if (is_there) {
		blake2s_hash(SLICE("hanse realm servers 1\n"), secret, ret);
		crypto_wipe((uint8_t *)(uintptr_t)secret.data, secret.size);
	}
	arena_done(&a);
	return is_there;
}
