/* An operation: a function in a transaction of the cell, what it changed applied to memory once it
 * is durable, then whoever asked for it is answered. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "mesh/realm/private.h"

/* --- what it changed ---------------------------------------------------------------------------
 */

static struct machine_row copy_row(struct arena *a, const struct machine_row *row)
{
	struct machine_row copy = *row;

	copy.name = arena_copy(a, row->name);
	copy.tags = arena_copy(a, row->tags);
	copy.hostinfo = arena_copy(a, row->hostinfo);
	copy.routes = arena_copy(a, row->routes);
	return copy;
}

static struct operation_change *add_change(struct operation *o)
{
	struct operation_change *change = arena_take(&o->arena, sizeof(*change));
	struct operation_change **end = &o->changes;

	while (*end)
		end = &(*end)->next;
	*end = change;
	return change;
}

void operation_changed(struct operation *o, const struct machine_row *row)
{
	add_change(o)->row = copy_row(&o->arena, row);
}

void operation_removed(struct operation *o, int64_t id)
{
	struct operation_change *change = add_change(o);

	change->row.id = id;
	change->is_removed = true;
}

enum err operation_fail(struct operation *o, enum err err, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(o->why, sizeof(o->why), format, arguments);
	va_end(arguments);
	return err;
}

/* --- applying ----------------------------------------------------------------------------------
 */

static void apply_machines(struct operation *o)
{
	bool has_routes = false;

	for (struct operation_change *c = o->changes; c; c = c->next) {
		if (c->is_removed)
			machine_unload(o->realm, c->row.id);
		else
			machine_load(o->realm, &c->row);
		has_routes = true;
	}
	if (has_routes)
		routes_update(o->realm);
}

/* --- the task ----------------------------------------------------------------------------------
 */

enum { OPERATION_RUN, OPERATION_DURABLE };

static enum err run_in_cell(struct cell *cell, void *argument)
{
	struct operation *o = argument;

	o->now_s = (int64_t)(leader_now_ms(o->realm->config.leader) / 1000);
	enum err err = o->run(cell, o);
	if (!err)
		realm_read(o, cell);
	return err;
}

static enum step operation_step(struct task *t)
{
	struct operation *o = CONTAINER(t, struct operation, task);
	struct realm *r = o->realm;

	switch (t->at) {
	case OPERATION_RUN:
		leader_run(&o->call, t, r->config.leader, run_in_cell, o);
		return task_wait(t, OPERATION_DURABLE);
	case OPERATION_DURABLE: {
		enum err err = o->call.task.err;

		if (!err && (r->door || o->is_first)) {
			realm_apply(o);
			apply_machines(o);
		}
		if (err && o->why[0] == '\0')
			snprintf(o->why, sizeof(o->why), "control cannot write now: %s",
				 err_name(err));
		o->done(o, err);
		return task_done(t, err);
	}
	}
	abort();
}

static void on_operation_end(struct task *t)
{
	struct operation *o = CONTAINER(t, struct operation, task);
	struct realm *r = o->realm;

	list_remove(&o->link);
	r->operation_count--;
	if (r->waiting)
		task_wake(r->waiting);
	arena_done(&o->arena);
	memory_free(o);
}

static const char *const places[] = { "run", "durable" };
static const struct task_kind operation_kind = {
	.name = "realm operation",
	.places = places,
	.place_count = 2,
	.step = operation_step,
	.on_end = on_operation_end,
};

bool operation_has_room(struct realm *r, struct door_request *request, size_t max)
{
	size_t own = 0;

	if (r->operation_count < max)
		LIST_EACH (&r->operations, struct operation, link, o)
			own += mesh_key_equal(&o->machine, &request->machine);
	if (r->operation_count < max && own < REALM_MACHINE_OPERATIONS_MAX)
		return true;
	door_answer_busy(request, 503, SLICE("control has too much to write\n"));
	return false;
}

void operation_init(struct operation *o, struct realm *r)
{
	o->realm = r;
	arena_init(&o->arena);
}

void operation_start(struct operation *o, enum err (*run)(struct cell *, struct operation *),
		     void (*done)(struct operation *o, enum err err), void *context)
{
	o->run = run;
	o->done = done;
	o->context = context;
	list_add(&o->realm->operations, &o->link);
	o->realm->operation_count++;
	task_start_root(&o->task, &operation_kind, o->realm->loop);
}
