/* What others may see of a realm, and what they ask it in the clear. */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "mesh/realm/private.h"

void realm_machines(struct arena *a, struct realm *r, struct realm_machine **ret, size_t *ret_count)
{
	size_t max = r->machine_count + r->pending_count, count = 0;
	struct realm_machine *list = arena_take_array(a, max + 1, sizeof(*list));

	for (size_t i = 0; i < r->machine_count; i++) {
		struct machine *m = r->machines[i];

		list[count++] = (struct realm_machine) {
			.node = m->node,
			.user = realm_user(r, m->node->user).login,
			.approved = m->approved,
			.approved_count = m->approved_count,
			.is_online = m->node->online == CONTROL_YES,
			.is_ephemeral = m->is_ephemeral,
			.is_named = m->is_named,
		};
	}
	LIST_EACH (&r->pending, struct pending, link, p) {
		struct control_node *n = arena_take(a, sizeof(*n));

		n->name = slice_from(p->label);
		n->machine = p->machine;
		n->key = p->node;
		n->version = p->version;
		if (control_hostinfo_decode(a, buf_slice(&p->hostinfo), &n->hostinfo))
			n->hostinfo = (struct control_hostinfo) { 0 };
		list[count++] = (struct realm_machine) {
			.node = n,
			.id = slice_from(p->id),
			.is_ephemeral = p->is_ephemeral,
			.is_waiting = true,
		};
	}
	*ret = list;
	*ret_count = count;
}

void realm_keys(struct arena *a, struct realm *r, struct key_row **ret, size_t *ret_count)
{
	struct cell *cell = leader_cell(r->config.leader);

	*ret = NULL;
	*ret_count = 0;
	if (cell && r->door)
		store_keys(a, cell, ret, ret_count);
}

const struct control_relay_map *realm_relays(const struct realm *r)
{
	return r->relays;
}

const char *realm_domain(const struct realm *r)
{
	return r->domain;
}

struct mesh_key realm_public_key(const struct realm *r)
{
	return r->door ? door_public_key(r->door) : (struct mesh_key) { { 0 } };
}

const char *const *realm_urls(const struct realm *r, size_t *ret_count)
{
	*ret_count = r->url_count;
	return r->urls;
}

bool realm_has_node(const struct realm *r, const struct mesh_key *node)
{
	const struct machine *m = machine_find_node(r, node);

	return m && m->is_shown;
}

void realm_get_status(const struct realm *r, struct realm_status *ret)
{
	*ret = r->status;
	ret->machines = r->machine_count;
	ret->sessions = r->session_count;
	ret->pending = r->pending_count;
	ret->clients = r->door ? door_client_count(r->door) : 0;
	ret->online = 0;
	for (size_t i = 0; i < r->machine_count; i++)
		ret->online += r->machines[i]->node->online == CONTROL_YES;
}

/* --- in the clear ------------------------------------------------------------------------------
 */

static const char html[] = "text/html; charset=utf-8";

/* What is behind a link: the command that lets the machine in.  The link itself lets nobody in. */
static void show_link(struct realm *r, struct http_exchange *e)
{
	struct pending *p = pending_find(r, slice_part(e->path, 10, e->path.size));
	struct buf page;

	if (!p || !slice_equal(slice_part(e->path, 10, e->path.size), slice_from(p->id))) {
		http_answer(e, 404, html,
			    SLICE("<!doctype html><title>Hanse</title><p>Nobody waits with this "
				  "link any more.\n"));
		return;
	}
	buf_init(&page);
	buf_add_format(&page,
		       "<!doctype html><title>Hanse</title>\n"
		       "<p>The machine <b>%s</b> asks to join the network <b>%s</b>.\n"
		       "<p>To let it in, run this on a machine with control:\n"
		       "<pre>hanse machine approve %s</pre>\n",
		       p->label, r->domain, p->id);
	http_answer(e, 200, html, buf_slice(&page));
	buf_done(&page);
}

void realm_verify(struct realm *r, struct http_exchange *e)
{
	struct mesh_key node;

	if (control_verify_request_decode(e->body, &node))
		http_answer(e, 400, "text/plain", SLICE("no request\n"));
	else
		http_answer(e, 200, "application/json",
			    realm_has_node(r, &node) ? SLICE("{\"Allow\":true}\n")
						     : SLICE("{\"Allow\":false}\n"));
}

bool realm_verify_known(struct cell *cell, struct http_exchange *e)
{
	struct machine_row row;
	struct mesh_key node;
	struct arena a;

	if (control_verify_request_decode(e->body, &node))
		return false;
	arena_init(&a);
	bool is_allowed = store_machine_by_node(&a, cell, &node, &row) == OK && row.is_authorized &&
			  (row.expiry_s == 0 || row.expiry_s > clock_wall_ms() / 1000);
	arena_done(&a);
	if (is_allowed)
		http_answer(e, 200, "application/json", SLICE("{\"Allow\":true}\n"));
	return is_allowed;
}

void plain_request(void *context, struct http_exchange *e)
{
	struct realm *r = context;

	if (slice_starts_with(e->path, SLICE("/register/")))
		show_link(r, e);
	else if (slice_equal(e->path, SLICE("/hanse/admin")) && strcmp(e->method, "POST") == 0)
		r->config.on_server(r->config.context, e);
	else if (slice_equal(e->path, SLICE("/verify")))
		realm_verify(r, e);
	else if (slice_equal(e->path, SLICE("/generate_204")))
		http_answer(e, 204, "text/plain", (struct slice) { 0 });
	else
		http_answer(e, 404, "text/plain", SLICE("not here\n"));
}
