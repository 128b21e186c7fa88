/* What time does to machines: those that went away are offline, ephemeral ones are removed, keys
 * expire, links are over. */
#include "base/memory.h"
#include "mesh/realm/private.h"

/* --- when machines were seen, and which are gone for good, in one transaction ------------------
 */

struct sweep_write {
	struct operation operation;
	int64_t *seen, *seen_s;
	size_t seen_count;
	int64_t *gone;
	size_t gone_count;
};

static enum err sweep_run(struct cell *cell, struct operation *o)
{
	struct sweep_write *w = CONTAINER(o, struct sweep_write, operation);
	struct machine_row row;
	enum err err = OK;

	for (size_t i = 0; i < w->seen_count && !err; i++) {
		sqlite3_stmt *s =
			cell_statement(cell, "UPDATE machine SET seen_s = ? WHERE id = ?");
		cell_bind_int(s, 1, w->seen_s[i]);
		cell_bind_int(s, 2, w->seen[i]);
		err = cell_execute(cell, s);
	}
	for (size_t i = 0; i < w->gone_count && !err; i++) {
		if (store_machine(&o->arena, cell, w->gone[i], &row) || !row.is_ephemeral)
			continue;
		err = store_machine_remove(cell, w->gone[i]);
		if (!err)
			operation_removed(o, w->gone[i]);
	}
	return err;
}

static void sweep_done(struct operation *o, enum err err)
{
	struct realm *r = o->realm;
	struct sweep_write *w = CONTAINER(o, struct sweep_write, operation);

	for (size_t i = 0; err && i < w->seen_count; i++) {
		struct machine *m = machine_find(r, w->seen[i]);

		if (m)
			m->has_unsaved_seen = true;
	}
}

static bool is_gone_for_good(const struct realm *r, const struct machine *m)
{
	return m->is_ephemeral && m->gone_ms &&
	       loop_now_ms(r->loop) - m->gone_ms > REALM_EPHEMERAL_MS;
}

/* Who comes or goes was seen; and who is there, now and then: if control is killed, the next one
 * has nothing else to say of a machine that does not come back. */
static void note_who_is_there(struct realm *r)
{
	uint64_t now_ms = loop_now_ms(r->loop);

	if (now_ms - r->online_ms < REALM_ONLINE_MS)
		return;
	r->online_ms = now_ms;
	for (size_t i = 0; i < r->machine_count; i++)
		r->machines[i]->has_unsaved_seen |= r->machines[i]->node->online == CONTROL_YES;
}

static void write_down(struct realm *r)
{
	uint64_t now_ms = loop_now_ms(r->loop);
	bool saves_seen = now_ms - r->seen_ms >= REALM_SEEN_MS;
	size_t seen = 0, gone = 0;

	note_who_is_there(r);
	for (size_t i = 0; i < r->machine_count; i++) {
		seen += saves_seen && r->machines[i]->has_unsaved_seen;
		gone += is_gone_for_good(r, r->machines[i]);
	}
	if (saves_seen)
		r->seen_ms = now_ms;
	if (seen + gone == 0)
		return;
	struct sweep_write *w = NEW(struct sweep_write);
	operation_init(&w->operation, r);
	w->seen = arena_take_array(&w->operation.arena, seen + 1, sizeof(*w->seen));
	w->seen_s = arena_take_array(&w->operation.arena, seen + 1, sizeof(*w->seen_s));
	w->gone = arena_take_array(&w->operation.arena, gone + 1, sizeof(*w->gone));
	for (size_t i = 0; i < r->machine_count; i++) {
		struct machine *m = r->machines[i];

		if (is_gone_for_good(r, m))
			w->gone[w->gone_count++] = m->id;
		if (!saves_seen || !m->has_unsaved_seen)
			continue;
		m->has_unsaved_seen = false;
		bool is_online = m->node->online == CONTROL_YES;
		w->seen_s[w->seen_count] = is_online ? realm_now_s(r) : m->node->last_seen_s;
		w->seen[w->seen_count++] = m->id;
	}
	operation_start(&w->operation, sweep_run, sweep_done, NULL);
}

/* --- the clock ---------------------------------------------------------------------------------
 */

static void on_sweep(struct timer *t)
{
	struct realm *r = CONTAINER(t, struct realm, sweep);
	uint64_t now_ms = loop_now_ms(r->loop);

	for (size_t i = 0; i < r->machine_count; i++) {
		struct machine *m = r->machines[i];

		if (m->gone_ms && now_ms - m->gone_ms > REALM_OFFLINE_MS)
			machine_set_online(r, m, false);
		if (m->is_shown && machine_is_expired(r, m)) {
			machine_check_shown(r, m);
			routes_update(r);
		}
	}
	LIST_EACH (&r->pending, struct pending, link, p)
		if (list_is_empty(&p->waiters) && now_ms - p->since_ms > REALM_PENDING_MS)
			pending_free(r, p);
	write_down(r);
	timer_set(&r->sweep, r->loop, now_ms + REALM_SWEEP_MS, on_sweep);
}

void realm_sweep_start(struct realm *r)
{
	r->seen_ms = r->online_ms = loop_now_ms(r->loop);
	timer_set(&r->sweep, r->loop, loop_now_ms(r->loop) + REALM_SWEEP_MS, on_sweep);
}
