/* POST /machine/register: who may become or stay a machine of the realm.
 *
 *	known node key		its state; or log it out, or let it expire sooner
 *	join key		a new machine, or the one this machine key was before
 *	old node key, valid	the same machine goes on with a new node key
 *	none of it		a person approves: a link, and a request that waits
 *
 * The machine key is the one that the peer has proven in its handshake. */
#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "mesh/realm/policy.h"
#include "mesh/realm/private.h"
#include "wire/join_key.h"

enum outcome { REGISTER_KNOWN, REGISTER_REFUSED, REGISTER_LOGGED_OUT, REGISTER_WAITS };

struct registration {
	struct operation operation;
	struct request_owner owner;
	struct mesh_key machine;
	struct control_register_request request; /* in the arena of the operation */
	struct slice hostinfo;			 /* as it is kept */
	uint32_t version;
	enum outcome outcome;
	struct machine_row row; /* REGISTER_KNOWN */
};

static struct registration *registration_of(struct operation *o)
{
	return CONTAINER(o, struct registration, operation);
}

static enum err refuse(struct registration *g, const char *why)
{
	g->outcome = REGISTER_REFUSED;
	snprintf(g->operation.why, sizeof(g->operation.why), "%s", why);
	return OK;
}

static bool is_expired(const struct machine_row *row, int64_t now_s)
{
	return row->expiry_s && row->expiry_s <= now_s;
}

static enum err keep(struct cell *cell, struct registration *g, const struct machine_row *row)
{
	enum err err = store_machine_put(cell, row);

	if (!err)
		operation_changed(&g->operation, row);
	g->outcome = REGISTER_KNOWN;
	g->row = *row;
	return err;
}

/* --- join keys ---------------------------------------------------------------------------------
 */

/* People may give the whole join key where a client wants only its secret. */
static struct slice secret_of(struct arena *a, struct slice text)
{
	struct join_key key;

	return join_key_parse(text, &key) ? text : slice_from(arena_format(a, "%s", key.secret));
}

/* NULL: it lets nobody in any more, or never did; `why` says so. */
static const char *key_refuses(const struct key_row *key, int64_t now_s)
{
	if (key->revoked_s)
		return "the join key was revoked";
	if (key->expiry_s && key->expiry_s <= now_s)
		return "the join key has expired";
	if (key->uses_max && key->uses >= key->uses_max)
		return "the join key has been used already";
	return NULL;
}

/* The tags of the key, and those asked for that its user owns.  False: others are asked for. */
static bool give_tags(struct registration *g, const struct key_row *key, struct slice *ret)
{
	struct arena *a = &g->operation.arena;
	const struct realm *r = g->operation.realm;
	const struct control_hostinfo *h = &g->request.hostinfo;
	struct slice user = realm_user(r, key->user).login;
	size_t count;
	struct slice *given = store_lines(a, key->tags, &count);
	struct slice *tags = arena_take_array(a, count + h->request_tag_count + 1, sizeof(*tags));

	for (size_t i = 0; i < count; i++)
		tags[i] = given[i];
	for (size_t i = 0; i < h->request_tag_count; i++) {
		if (store_has_line(key->tags, h->request_tags[i]))
			continue;
		if (!realm_policy_owns_tag(r, user, h->request_tags[i]))
			return false;
		tags[count++] = h->request_tags[i];
	}
	*ret = store_join(a, tags, count);
	return true;
}

static enum err begin_row(struct cell *cell, struct registration *g, int64_t user,
			  struct machine_row *row)
{
	struct operation *o = &g->operation;

	*row = (struct machine_row) {
		.user = user,
		.machine = g->machine,
		.created_s = o->now_s,
		.seen_s = o->now_s,
		.is_authorized = true,
	};
	return store_machine_begin(cell, row);
}

/* What every registration that is let in brings up to date. */
static enum err renew_row(struct cell *cell, struct registration *g, struct machine_row *row)
{
	struct operation *o = &g->operation;
	const struct control_register_request *q = &g->request;

	row->node = q->node_key;
	row->version = g->version;
	row->hostinfo = g->hostinfo;
	row->routes =
		realm_policy_approve(&o->arena, o->realm, realm_user(o->realm, row->user).login,
				     row->tags, row->routes, q->hostinfo.routes,
				     q->hostinfo.route_count);
	if (q->expiry_s > o->now_s && (row->expiry_s == 0 || q->expiry_s < row->expiry_s))
		row->expiry_s = q->expiry_s;
	if (row->is_named)
		return OK;
	return store_machine_name(&o->arena, cell, q->hostinfo.hostname, row->id, &row->name);
}

/* The row that joins: the machine's own with this user; else the one that has its node key, which
 * goes over to the user; else a new one. */
static enum err find_row(struct cell *cell, struct registration *g, int64_t user,
			 struct machine_row *row)
{
	struct operation *o = &g->operation;
	struct machine_row same_key;

	enum err err = store_machine_by_machine(&o->arena, cell, &g->machine, user, row);
	enum err key_err = store_machine_by_node(&o->arena, cell, &g->request.node_key, &same_key);
	if (key_err && key_err != ERR_NOT_FOUND)
		return key_err;
	if (err == ERR_NOT_FOUND && !key_err) {
		*row = same_key;
		row->user = user;
		return OK;
	}
	if (!err && !key_err && same_key.id != row->id) {
		err = store_machine_remove(cell, same_key.id);
		if (!err)
			operation_removed(o, same_key.id);
	}
	return err == ERR_NOT_FOUND ? begin_row(cell, g, user, row) : err;
}

static enum err join(struct cell *cell, struct registration *g)
{
	struct operation *o = &g->operation;
	struct slice secret = secret_of(&o->arena, g->request.auth_key);
	struct machine_row row;
	struct key_row key;
	struct slice tags;

	enum err err = store_key_by_secret(&o->arena, cell, secret, &key);
	if (err == ERR_NOT_FOUND)
		return refuse(g, "the join key is not one of this realm");
	if (err)
		return err;
	const char *why = key_refuses(&key, o->now_s);
	if (why)
		return refuse(g, why);
	if (!give_tags(g, &key, &tags))
		return refuse(g, "neither the join key gives the tags that are asked for nor the "
				 "policy to its user");
	err = find_row(cell, g, key.user, &row);
	if (err == ERR_FULL)
		return refuse(g, "the realm is full");
	if (err)
		return err;
	row.expiry_s = 0;
	row.tags = tags;
	row.is_ephemeral = key.is_ephemeral || g->request.is_ephemeral;
	row.is_authorized |= key.is_preapproved;
	if (!key.is_preapproved && row.created_s == o->now_s)
		row.is_authorized = false;
	err = renew_row(cell, g, &row);
	key.uses++;
	if (!err)
		err = store_key_put(cell, &key, o->now_s);
	return err ? err : keep(cell, g, &row);
}

/* --- a machine that is known -------------------------------------------------------------------
 */

static enum err log_out(struct cell *cell, struct registration *g, struct machine_row *row)
{
	struct operation *o = &g->operation;

	g->outcome = REGISTER_LOGGED_OUT;
	g->row = *row;
	if (row->is_ephemeral) {
		enum err err = store_machine_remove(cell, row->id);
		if (!err)
			operation_removed(o, row->id);
		return err;
	}
	if (!is_expired(row, o->now_s))
		row->expiry_s = o->now_s;
	enum err err = keep(cell, g, row);
	g->outcome = REGISTER_LOGGED_OUT;
	return err;
}

static bool asks_to_log_out(const struct registration *g)
{
	return g->request.expiry_s > 0 && g->request.expiry_s <= g->operation.now_s;
}

static enum err known(struct cell *cell, struct registration *g, struct machine_row *row)
{
	struct operation *o = &g->operation;
	int64_t expiry_s = g->request.expiry_s;

	if (!mesh_key_equal(&row->machine, &g->machine))
		return refuse(g, "the node key belongs to another machine");
	if (asks_to_log_out(g))
		return log_out(cell, g, row);
	if (is_expired(row, o->now_s) && g->request.auth_key.size)
		return join(cell, g);
	g->outcome = REGISTER_KNOWN;
	g->row = *row;
	if (expiry_s == 0 || (row->expiry_s && row->expiry_s <= expiry_s))
		return OK;
	row->expiry_s = expiry_s;
	return keep(cell, g, row);
}

static enum err register_run(struct cell *cell, struct operation *o)
{
	struct registration *g = registration_of(o);
	struct machine_row row;

	if (mesh_key_is_zero(&g->request.node_key))
		return refuse(g, "a registration needs a node key");
	enum err err = store_machine_by_node(&o->arena, cell, &g->request.node_key, &row);
	if (!err)
		return known(cell, g, &row);
	if (err != ERR_NOT_FOUND)
		return err;
	if (asks_to_log_out(g)) {
		g->outcome = REGISTER_LOGGED_OUT;
		return OK;
	}
	if (g->request.auth_key.size)
		return join(cell, g);
	err = store_machine_by_node(&o->arena, cell, &g->request.old_node_key, &row);
	if (!err && mesh_key_equal(&row.machine, &g->machine) && !is_expired(&row, o->now_s)) {
		err = renew_row(cell, g, &row);
		return err ? err : keep(cell, g, &row);
	}
	g->outcome = REGISTER_WAITS;
	return err == ERR_NOT_FOUND ? OK : err;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void write_answer(struct door_request *request,
			 const struct control_register_response *response)
{
	struct buf json;

	buf_init(&json);
	control_register_response_encode(&json, response);
	door_answer(request, 200, "application/json", buf_slice(&json));
	buf_done(&json);
}

void register_answer(struct realm *r, struct door_request *request, const struct machine_row *row,
		     const char *error)
{
	struct control_register_response response = { .provider = SLICE("hanse") };
	struct user_row user = realm_user(r, row->tags.size ? STORE_USER_TAGGED : row->user);

	if (error) {
		response.error = slice_from(error);
		write_answer(request, &response);
		return;
	}
	response.user_id = user.id;
	response.login_name = user.login;
	response.display_name = user.display;
	response.is_authorized = row->is_authorized;
	response.is_key_expired = is_expired(row, realm_now_s(r));
	write_answer(request, &response);
}

static void answer_logged_out(struct door_request *request)
{
	write_answer(request, &(struct control_register_response) {
				      .login_name = SLICE("logged-out"),
				      .provider = SLICE("hanse"),
				      .is_key_expired = true,
			      });
}

/* The link of a registration that waits; a client that was given it before holds its request open
 * until a person has decided. */
static void answer_waits(struct registration *g)
{
	struct realm *r = g->operation.realm;
	struct door_request *request = g->owner.request;
	struct slice followup = g->request.followup;
	char url[REALM_URL_BYTES_MAX + REALM_PENDING_ID_BYTES + 16];

	struct pending *p = pending_for(r, &g->machine, &g->request, g->hostinfo, g->version);
	if (!p) {
		register_answer(r, request, &(struct machine_row) { 0 },
				"too many machines wait for approval: try again later");
		return;
	}
	snprintf(url, sizeof(url), "%s/register/%s", r->config.url, p->id);
	if (followup.size && slice_equal(followup, slice_from(url))) {
		pending_wait(r, p, request);
		return;
	}
	write_answer(request, &(struct control_register_response) {
				      .auth_url = slice_from(url),
				      .provider = SLICE("hanse"),
			      });
}

static void register_done(struct operation *o, enum err err)
{
	struct registration *g = registration_of(o);
	struct door_request *request = g->owner.request;

	if (!request)
		return;
	request->owner_state = NULL;
	if (err) {
		door_answer(request, 503, "text/plain", SLICE("control cannot write now\n"));
		return;
	}
	switch (g->outcome) {
	case REGISTER_KNOWN:
		pending_joined(o->realm, &g->row);
		register_answer(o->realm, request, &g->row, NULL);
		break;
	case REGISTER_REFUSED:
		log_info("a registration of %s is refused: %s", request->peer, o->why);
		register_answer(o->realm, request, &g->row, o->why);
		break;
	case REGISTER_LOGGED_OUT:
		answer_logged_out(request);
		break;
	case REGISTER_WAITS:
		answer_waits(g);
		break;
	}
}

/* --- the request -------------------------------------------------------------------------------
 */

static void on_gone(struct request_owner *owner)
{
	owner->request = NULL;
}

static void on_void(struct operation *o)
{
	registration_of(o)->owner.request = NULL;
}

void register_request(struct realm *r, struct door_request *request)
{
	struct registration *g;
	struct buf hostinfo;

	if (!operation_has_room(r, request, REALM_OPERATIONS_MAX / 2))
		return;
	g = NEW(struct registration);
	struct arena *a = &g->operation.arena;
	operation_init(&g->operation, r);
	if (control_register_request_decode(a, request->body, &g->request)) {
		door_answer(request, 400, "text/plain", SLICE("no register request\n"));
		arena_done(a);
		memory_free(g);
		return;
	}
	buf_init(&hostinfo);
	hostinfo_keep(&hostinfo, g->request.hostinfo.json);
	g->hostinfo = arena_copy(a, buf_slice(&hostinfo));
	buf_done(&hostinfo);
	g->machine = request->machine;
	g->version = request->version;
	g->owner = (struct request_owner) { request, on_gone };
	g->operation.on_void = on_void;
	g->operation.machine = request->machine;
	request->owner_state = &g->owner;
	operation_start(&g->operation, register_run, register_done, NULL);
}
