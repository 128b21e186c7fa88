/* The host of the group engine: which groups are in memory, the timer, storing, and the calls that
 * wait for an answer to become durable. */
#include "streams/coordinator/groups.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "streams/catalog/config.h"
#include "streams/coordinator/group_call.h"
#include "streams/coordinator/group_store.h"

uint64_t groups_now_ms(const struct groups *g)
{
	return loop_now_ms(g->coordinator->loop);
}

/* --- the table ---------------------------------------------------------------------------------
 */

struct group_entry *groups_find(const struct groups *g, struct slice name)
{
	return map_get(&g->by_name, name);
}

/* Of the group while it is in memory. */
static uint64_t initial_delay_ms(const struct coordinator *c)
{
	struct cell *cell = leader_cell(c->config.leader);
	int64_t usual_ms = (int64_t)c->config.rebalance_delay_ms;

	return (uint64_t)(cell ? config_broker_number(cell, "group.initial.rebalance.delay.ms",
						      usual_ms)
			       : usual_ms);
}

static struct group_entry *add_entry(struct groups *g, struct slice name)
{
	struct group_entry *entry = NEW(struct group_entry);
	struct group_config config = {
		.initial_delay_ms = initial_delay_ms(g->coordinator),
		.members_max = GROUP_MEMBERS_MAX,
		.topics = &g->topics,
	};

	group_init(&entry->group, name, &config);
	list_init(&entry->fresh);
	list_init(&entry->answered);
	map_put(&g->by_name, entry->group.name, entry);
	return entry;
}

static void free_entry(struct groups *g, struct group_entry *entry)
{
	map_remove(&g->by_name, entry->group.name);
	heap_remove(&g->deadlines, &entry->deadline);
	list_remove(&entry->dirty_link);
	group_done(&entry->group);
	memory_free(entry);
}

struct group_entry *groups_create(struct groups *g, struct slice name)
{
	struct cell *cell = leader_cell(g->coordinator->config.leader);
	struct group_row row;
	struct arena a;

	if (g->by_name.count >= COORDINATOR_GROUPS_MAX)
		return NULL;
	struct group_entry *entry = add_entry(g, name);
	arena_init(&a);
	if (cell && group_row_find(&a, cell, name, &row) == OK) {
		entry->group.type = row.type;
		entry->group.generation = row.generation;
		entry->group.assignment_epoch = row.assignment_epoch;
		entry->group.topics_hash = row.topics_hash;
		group_own(&entry->group.protocol_type, row.protocol_type);
	}
	arena_done(&a);
	return entry;
}

bool groups_is_share(const struct groups *g, struct slice name)
{
	struct cell *cell = leader_cell(g->coordinator->config.leader);
	struct group_row row;
	struct arena a;

	arena_init(&a);
	bool is_share =
		cell && group_row_find(&a, cell, name, &row) == OK && row.type == GROUP_SHARE;
	arena_done(&a);
	return is_share;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void wake_call(struct group_call *call)
{
	if (call->is_parked)
		task_wake(&call->kafka->task);
}

static void take_out(struct group_call *call)
{
	list_remove(&call->kafka->waiting);
	call->entry = NULL;
}

static void release(struct group_call *call)
{
	take_out(call);
	call->is_ready = true;
	wake_call(call);
}

static void add_call(struct list *list, struct group_call *call)
{
	list_remove(&call->kafka->waiting);
	list_add(list, &call->kafka->waiting);
}

static struct group_call *call_from_link(struct list *link)
{
	return CONTAINER(link, struct kafka_call, waiting)->state;
}

static void release_stored(struct group_entry *entry)
{
	LIST_EACH (&entry->answered, struct kafka_call, waiting, kafka) {
		struct group_call *call = kafka->state;
		if (call->version <= entry->stored_version)
			release(call);
	}
}

/* What was answered in this step depends on everything that was done in it. */
static void gather_answers(struct group_entry *entry)
{
	struct list *link;

	while ((link = list_pop(&entry->fresh))) {
		struct group_call *call = call_from_link(link);
		call->version = entry->group.version;
		list_add(&entry->answered, &call->kafka->waiting);
	}
	release_stored(entry);
}

bool groups_settle(struct groups *g, struct group_call *call, struct slice name)
{
	struct group_entry *entry = groups_find(g, name);

	if (!entry || entry->stored_version == entry->group.version)
		return false;
	call->entry = entry;
	call->version = entry->group.version;
	call->is_ready = false;
	add_call(&entry->answered, call);
	return true;
}

/* --- time --------------------------------------------------------------------------------------
 */

static void on_timer(struct timer *timer);

static void set_timer(struct groups *g)
{
	const struct heap_node *first = heap_first(&g->deadlines);
	uint64_t at_ms;

	if (!first) {
		timer_clear(&g->timer);
		g->timer_at_ms = 0;
		return;
	}
	/* It also ticks in between, to notice when this process stood still. */
	at_ms = groups_now_ms(g) + GROUPS_TICK_MS;
	if (first->key < at_ms)
		at_ms = first->key;
	if (g->timer_at_ms && g->timer_at_ms <= at_ms)
		return;
	g->timer_at_ms = at_ms;
	timer_set(&g->timer, g->coordinator->loop, at_ms, on_timer);
}

static void set_deadline(struct groups *g, struct group_entry *entry)
{
	uint64_t at_ms = group_deadline_ms(&entry->group);

	heap_remove(&g->deadlines, &entry->deadline);
	if (at_ms != UINT64_MAX)
		heap_add(&g->deadlines, &entry->deadline, at_ms);
	set_timer(g);
}

static void postpone_all(struct groups *g, uint64_t late_ms)
{
	struct group_entry *entry;
	size_t cursor = 0;

	log_info("groups: stood still for %llu ms, members get that time back",
		 (unsigned long long)late_ms);
	while ((entry = map_next(&g->by_name, &cursor))) {
		group_postpone(&entry->group, late_ms);
		set_deadline(g, entry);
	}
}

static void on_timer(struct timer *timer)
{
	struct groups *g = CONTAINER(timer, struct groups, timer);
	uint64_t now_ms = groups_now_ms(g);
	uint64_t late_ms = now_ms - g->timer_at_ms;
	struct heap_node *node;

	g->timer_at_ms = 0;
	if (late_ms > GROUPS_LATE_MS)
		postpone_all(g, late_ms);
	/* A step moves its group behind `now`, or takes it out. */
	for (size_t n = g->deadlines.count; n > 0; n--) {
		node = heap_first(&g->deadlines);
		if (!node || node->key > now_ms)
			break;
		struct group_event event = { .kind = GROUP_TICK };
		groups_step(g, CONTAINER(node, struct group_entry, deadline), &event, NULL);
	}
	set_timer(g);
}

/* --- storing -----------------------------------------------------------------------------------
 */

struct group_writer {
	struct task task;
	struct coordinator *coordinator;
	struct groups *groups; /* NULL: gone */
	struct leader_call call;
	struct sleep sleep;
};

/* The cell may ask for it twice, so nothing here is done for good. */
static enum err write_groups(struct cell *cell, void *argument)
{
	struct group_writer *w = argument;
	size_t before = cell_change_bytes(cell);
	enum err err = OK;

	if (!w->groups)
		return ERR_CANCELED;
	int64_t now_ms = (int64_t)leader_now_ms(w->coordinator->config.leader);
	LIST_EACH (&w->groups->dirty, struct group_entry, dirty_link, entry) {
		entry->writing_version = 0;
		if (err || cell_change_bytes(cell) - before > GROUPS_WRITE_BYTES)
			continue;
		entry->writing_version = entry->group.version;
		err = group_row_write(cell, &entry->group, entry->stored_version, now_ms);
	}
	return err;
}

static void free_if_idle(struct groups *g, struct group_entry *entry)
{
	if (group_is_idle(&entry->group) && entry->stored_version == entry->group.version &&
	    list_is_empty(&entry->answered))
		free_entry(g, entry);
}

static void groups_stored(struct groups *g)
{
	LIST_EACH (&g->dirty, struct group_entry, dirty_link, entry) {
		if (!entry->writing_version)
			continue;
		entry->stored_version = entry->writing_version;
		entry->writing_version = 0;
		release_stored(entry);
		if (entry->stored_version != entry->group.version)
			continue;
		list_remove(&entry->dirty_link);
		free_if_idle(g, entry);
	}
}

enum { WRITER_WRITE, WRITER_DURABLE };

static enum step writer_step(struct task *t)
{
	struct group_writer *w = CONTAINER(t, struct group_writer, task);
	enum err err = w->call.task.err;

	if (!w->groups)
		return t->children ? task_wait(t, t->at) : task_done(t, ERR_CANCELED);

	switch (t->at) {
	case WRITER_WRITE:
		if (list_is_empty(&w->groups->dirty))
			return task_done(t, OK);
		leader_run_kind(&w->call, t, w->coordinator->config.leader, LEADER_NEUTRAL,
				write_groups, w);
		return task_wait(t, WRITER_DURABLE);

	case WRITER_DURABLE:
		if (!err)
			groups_stored(w->groups);
		else /* if this node does not lead any more, the groups are about to go */
			log_debug("groups are not stored yet: %s", err_name(err));
		sleep_start(&w->sleep, t, loop_now_ms(t->loop) + (err ? GROUPS_WRITE_RETRY_MS : 0));
		return task_wait(t, WRITER_WRITE);
	}
	abort();
}

static void writer_on_end(struct task *t)
{
	struct group_writer *w = CONTAINER(t, struct group_writer, task);
	struct coordinator *c = w->coordinator;

	if (w->groups)
		w->groups->writer = NULL;
	c->errand_count--;
	memory_free(w);
	if (c->stop)
		task_wake(c->stop);
}

static const char *const writer_places[] = { "write", "durable" };
static const struct task_kind writer_kind = {
	.name = "group_writer",
	.places = writer_places,
	.place_count = 2,
	.step = writer_step,
	.on_end = writer_on_end,
};

static void mark_dirty(struct groups *g, struct group_entry *entry)
{
	if (!list_is_linked(&entry->dirty_link))
		list_add(&g->dirty, &entry->dirty_link);
	if (g->writer)
		return;

	struct group_writer *w = NEW(struct group_writer);
	w->coordinator = g->coordinator;
	w->groups = g;
	g->writer = w;
	g->coordinator->errand_count++;
	task_start_root(&w->task, &writer_kind, g->coordinator->loop);
}

/* --- steps -------------------------------------------------------------------------------------
 */

struct step_effects {
	struct group_effects effects;
	struct group_entry *entry;
};

static void on_answer(struct group_effects *effects, const struct group *group,
		      const struct group_answer *answer)
{
	struct step_effects *step = CONTAINER(effects, struct step_effects, effects);
	struct group_call *call = answer->call;

	add_call(&step->entry->fresh, call);
	group_request_answer(effects, group, answer);
}

void groups_step(struct groups *g, struct group_entry *entry, struct group_event *event,
		 struct group_call *call)
{
	struct step_effects step = { .effects = { .answer = on_answer }, .entry = entry };

	event->now_ms = groups_now_ms(g);
	event->call = call;
	if (call) {
		call->entry = entry;
		add_call(event->kind == GROUP_JOIN || event->kind == GROUP_SYNC ? &g->parked
										: &entry->fresh,
			 call);
	}
	g->asking = call;
	group_step(&entry->group, event, &step.effects);
	g->asking = NULL;
	gather_answers(entry);
	set_deadline(g, entry);
	if (entry->stored_version != entry->group.version)
		mark_dirty(g, entry);
	else
		free_if_idle(g, entry);
}

void groups_forget(struct group_call *call)
{
	struct groups *g = call->kafka->coordinator->groups;
	struct group_entry *entry = call->entry;

	if (!entry)
		return;
	take_out(call);
	struct group_event event = { .kind = GROUP_FORGET, .call = call };
	struct group_effects effects = { .answer = NULL };
	event.now_ms = groups_now_ms(g);
	group_step(&entry->group, &event, &effects);
	set_deadline(g, entry);
}

/* --- life --------------------------------------------------------------------------------------
 */

static void load_group(struct groups *g, struct cell *cell, const struct group_row *row)
{
	struct group_entry *entry = add_entry(g, row->name);
	enum err err = group_row_load(cell, row, groups_now_ms(g), &entry->group);

	if (err) {
		log_error("group %.*s is unreadable, its members begin anew", SLICE_ARG(row->name));
		free_entry(g, entry);
		return;
	}
	set_deadline(g, entry);
}

struct groups *groups_new(struct coordinator *c)
{
	struct groups *g = NEW(struct groups);
	struct cell *cell = leader_cell(c->config.leader);
	struct group_row *rows;
	struct arena a;
	size_t count = 0;

	g->coordinator = c;
	map_init(&g->by_name);
	heap_init(&g->deadlines);
	list_init(&g->dirty);
	list_init(&g->parked);
	groups_topics_init(&g->topics);
	arena_init(&a);
	if (cell && group_rows(&a, cell, true, &rows, &count))
		log_error("the groups cannot be read");
	for (size_t i = 0; i < count; i++)
		load_group(g, cell, &rows[i]);
	arena_done(&a);
	return g;
}

static void abandon(struct list *calls)
{
	LIST_EACH (calls, struct kafka_call, waiting, kafka) {
		struct group_call *call = kafka->state;
		take_out(call);
		call->is_abandoned = true;
		wake_call(call);
	}
}

void groups_free(struct groups *g)
{
	struct group_entry *entry;
	size_t cursor = 0;

	timer_clear(&g->timer);
	if (g->writer)
		g->writer->groups = NULL;
	abandon(&g->parked);
	while ((entry = map_next(&g->by_name, &cursor))) {
		abandon(&entry->answered);
		free_entry(g, entry);
	}
	map_done(&g->by_name);
	heap_done(&g->deadlines);
	memory_free(g);
}

size_t groups_count(const struct groups *g)
{
	return g->by_name.count;
}
