/* Registrations that wait for a person.  They are in memory only: whoever leads next gives their
 * clients another link. */
#include <stdio.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "mesh/realm/names.h"
#include "mesh/realm/private.h"

static void make_id(char ret[REALM_PENDING_ID_BYTES])
{
	uint8_t bytes[REALM_PENDING_ID_BYTES / 2];

	random_bytes(bytes, sizeof(bytes));
	hex_encode(ret, (struct slice) { bytes, sizeof(bytes) });
}

void pending_free(struct realm *r, struct pending *p)
{
	LIST_EACH (&p->waiters, struct pending_waiter, link, w) {
		list_remove(&w->link);
		memory_free(w);
	}
	list_remove(&p->link);
	r->pending_count--;
	buf_done(&p->hostinfo);
	memory_free(p);
}

static struct pending *find_node(struct realm *r, const struct mesh_key *machine,
				 const struct mesh_key *node)
{
	LIST_EACH (&r->pending, struct pending, link, p)
		if (mesh_key_equal(&p->machine, machine) && mesh_key_equal(&p->node, node))
			return p;
	return NULL;
}

/* One machine has one. */
static void forget_older(struct realm *r, const struct mesh_key *machine)
{
	LIST_EACH (&r->pending, struct pending, link, p)
		if (mesh_key_equal(&p->machine, machine) && list_is_empty(&p->waiters))
			pending_free(r, p);
}

/* The oldest whose client has gone makes room, so that a flood of strangers keeps nobody out who
 * still waits. */
static bool make_room(struct realm *r)
{
	if (r->pending_count < REALM_PENDING_MAX)
		return true;
	LIST_EACH (&r->pending, struct pending, link, p)
		if (list_is_empty(&p->waiters)) {
			pending_free(r, p);
			return true;
		}
	return false;
}

struct pending *pending_for(struct realm *r, const struct mesh_key *machine,
			    const struct control_register_request *q, struct slice hostinfo,
			    uint32_t version)
{
	struct pending *p = find_node(r, machine, &q->node_key);

	if (p)
		return p;
	forget_older(r, machine);
	if (!make_room(r))
		return NULL;
	p = NEW(struct pending);
	make_id(p->id);
	p->machine = *machine;
	p->node = q->node_key;
	p->version = version;
	p->is_ephemeral = q->is_ephemeral;
	p->since_ms = loop_now_ms(r->loop);
	buf_init(&p->hostinfo);
	buf_add_slice(&p->hostinfo, hostinfo);
	name_sanitize(q->hostinfo.hostname, STORE_LABEL_BYTES_MAX, p->label);
	list_init(&p->waiters);
	list_add(&r->pending, &p->link);
	r->pending_count++;
	return p;
}

/* Its id, or the name of its machine if there is one such. */
struct pending *pending_find(struct realm *r, struct slice text)
{
	struct pending *found = NULL;

	LIST_EACH (&r->pending, struct pending, link, p) {
		if (slice_equal(text, slice_from(p->id)))
			return p;
		if (slice_equal(text, slice_from(p->label))) {
			if (found)
				return NULL;
			found = p;
		}
	}
	return found;
}

static void on_gone(struct request_owner *owner)
{
	struct pending_waiter *w = CONTAINER(owner, struct pending_waiter, owner);

	list_remove(&w->link);
	memory_free(w);
}

/* Requests that wait keep their connections open, so each registration has one of them: strangers
 * could take all that control has otherwise.  A client has forgotten the older one. */
void pending_wait(struct realm *r, struct pending *p, struct door_request *request)
{
	struct pending_waiter *w = NEW(struct pending_waiter);

	LIST_EACH (&p->waiters, struct pending_waiter, link, older) {
		struct door_request *forgotten = older->owner.request;

		forgotten->owner_state = NULL;
		door_answer(forgotten, 409, "text/plain", SLICE("another request waits for it\n"));
		list_remove(&older->link);
		memory_free(older);
	}
	w->owner = (struct request_owner) { request, on_gone };
	w->pending = p;
	w->realm = r;
	request->owner_state = &w->owner;
	list_add(&p->waiters, &w->link);
}

void pending_decided(struct realm *r, struct pending *p, const struct machine_row *row)
{
	LIST_EACH (&p->waiters, struct pending_waiter, link, w) {
		w->owner.request->owner_state = NULL;
		register_answer(r, w->owner.request, row, NULL);
	}
	pending_free(r, p);
}

void pending_joined(struct realm *r, const struct machine_row *row)
{
	LIST_EACH (&r->pending, struct pending, link, p) {
		if (!mesh_key_equal(&p->machine, &row->machine))
			continue;
		if (mesh_key_equal(&p->node, &row->node))
			pending_decided(r, p, row);
		else if (list_is_empty(&p->waiters))
			pending_free(r, p);
	}
}
