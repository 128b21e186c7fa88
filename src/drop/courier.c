#include "drop/courier.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "loop/timer.h"

/* One receiver. */
struct receiver {
	struct list link;
	char *name;
	uint64_t next_ms; /* not before */
	uint64_t rest_ms;
	bool is_busy, was_online;
	char why[TASK_WHY_BYTES];
};

/* A file that is being sent. */
struct slot {
	struct task task;
	struct courier *courier;
	struct store_item *item; /* NULL: free */
	struct receiver *receiver;
	struct push_target target;
	struct push push;
	int fd;
	bool is_removed; /* canceled by a person */
};

struct courier {
	struct loop *loop;
	struct courier_config config;
	struct list receivers;
	struct slot slots[COURIER_SLOTS];
	struct timer timer;
	struct deferred poke;
	bool is_closing;
	void (*on_end)(void *context);
};

/* --- receivers -------------------------------------------------------------------------------- */

static struct receiver *find_receiver(struct courier *c, const char *name)
{
	LIST_EACH (&c->receivers, struct receiver, link, r)
		if (strcmp(r->name, name) == 0)
			return r;
	return NULL;
}

static struct receiver *get_receiver(struct courier *c, const char *name)
{
	struct receiver *r = find_receiver(c, name);

	if (r)
		return r;
	r = NEW(struct receiver);
	r->name = memory_copy_text(name);
	r->rest_ms = COURIER_REST_MS_MIN;
	list_add(&c->receivers, &r->link);
	return r;
}

static bool has_files(struct courier *c, const struct receiver *r)
{
	LIST_EACH (store_items(c->config.queue), struct store_item, link, i)
		if (strcmp(i->item.sender, r->name) == 0)
			return true;
	return false;
}

static void receiver_free(struct receiver *r)
{
	list_remove(&r->link);
	memory_free(r->name);
	memory_free(r);
}

static const struct mesh_view_machine *find_machine(const struct courier *c, const char *name)
{
	const struct mesh_view *v = c->config.view(c->config.context);

	return v ? mesh_view_find_name(v, slice_from(name)) : NULL;
}

/* --- sending ---------------------------------------------------------------------------------- */

static void schedule(struct courier *c);

static enum step slot_step(struct task *t)
{
	struct slot *s = CONTAINER(t, struct slot, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	if (t->at == 0 && !task_is_canceled(t)) {
		push_start(&s->push, t, &s->target, slice_from(s->item->item.name),
			   s->item->item.id, s->fd, s->item->item.size);
		return task_wait(t, 1);
	}
	if (t->at == 0)
		return task_done(t, ERR_CANCELED);
	snprintf(t->why, TASK_WHY_BYTES, "%s", s->push.task.why);
	return task_done(t, s->push.task.err);
}

static void rest(struct slot *s, enum err err)
{
	struct receiver *r = s->receiver;
	bool is_refused = err == ERR_DENIED || err == ERR_INVALID || err == ERR_FULL;

	snprintf(r->why, sizeof(r->why), "%s", s->task.why[0] ? s->task.why : err_name(err));
	r->next_ms = loop_now_ms(s->courier->loop) +
		     (is_refused ? (uint64_t)COURIER_REFUSED_MS : r->rest_ms);
	r->rest_ms = 2 * r->rest_ms < COURIER_REST_MS_MAX ? 2 * r->rest_ms : COURIER_REST_MS_MAX;
}

static void end_if_over(struct courier *c)
{
	for (size_t i = 0; i < COURIER_SLOTS; i++)
		if (c->slots[i].item)
			return;
	void (*on_end)(void *context) = c->on_end;
	void *context = c->config.context;
	LIST_EACH (&c->receivers, struct receiver, link, r)
		receiver_free(r);
	memory_free(c);
	on_end(context);
}

static void on_slot_end(struct task *t)
{
	struct slot *s = CONTAINER(t, struct slot, task);
	struct courier *c = s->courier;
	struct store_item *i = s->item;

	close(s->fd);
	s->item = NULL;
	i->readers--;
	s->receiver->is_busy = false;
	if (t->err == OK) {
		log_info("%s is with %s", i->item.name, s->receiver->name);
		s->receiver->rest_ms = COURIER_REST_MS_MIN;
		s->receiver->why[0] = '\0';
	} else if (t->err != ERR_CANCELED) {
		rest(s, t->err);
		log_info("%s waits for %s: %s", i->item.name, s->receiver->name, s->receiver->why);
	}
	if (t->err != ERR_CANCELED)
		c->config.on_outcome(c->config.context, i, t->err, s->receiver->why);
	if ((t->err == OK || s->is_removed) && store_remove(c->config.queue, i))
		log_warn("a file that was sent cannot be removed from the queue");
	if (c->is_closing)
		end_if_over(c);
	else
		schedule(c);
}

static const char *const slot_places[] = { "start", "sent" };
static const struct task_kind slot_kind = {
	.name = "courier",
	.places = slot_places,
	.place_count = 2,
	.step = slot_step,
	.on_end = on_slot_end,
};

static bool start_sending(struct courier *c, struct slot *s, struct receiver *r,
			  struct store_item *i)
{
	const struct mesh_view_machine *m = find_machine(c, r->name);
	struct push_target target;

	if (!m || push_find_target(m, &target)) {
		snprintf(r->why, sizeof(r->why),
			 m ? "it does not say where it takes files"
			   : "no machine has this name now");
		r->next_ms = loop_now_ms(c->loop) + COURIER_REST_MS_MAX;
		return false;
	}
	s->is_removed = false;
	if (store_open_data(c->config.queue, i, &s->fd))
		return false;
	s->target = target;
	s->courier = c;
	s->receiver = r;
	s->item = i;
	i->readers++;
	r->is_busy = true;
	s->task = (struct task) { 0 };
	task_start_root(&s->task, &slot_kind, c->loop);
	return true;
}

static struct slot *free_slot(struct courier *c)
{
	for (size_t i = 0; i < COURIER_SLOTS; i++)
		if (!c->slots[i].item)
			return &c->slots[i];
	return NULL;
}

/* Whoever has come back need not wait. */
static void note_who_is_there(struct courier *c)
{
	LIST_EACH (&c->receivers, struct receiver, link, r) {
		const struct mesh_view_machine *m = find_machine(c, r->name);
		struct push_target target;
		bool is_online = m && m->is_online && push_find_target(m, &target) == OK;

		if (is_online && !r->was_online)
			r->next_ms = 0;
		r->was_online = is_online;
	}
}

static void on_timer(struct timer *t)
{
	schedule(CONTAINER(t, struct courier, timer));
}

static void schedule(struct courier *c)
{
	uint64_t now_ms = loop_now_ms(c->loop), first_ms = UINT64_MAX;

	LIST_EACH (store_items(c->config.queue), struct store_item, link, i)
		get_receiver(c, i->item.sender);
	note_who_is_there(c);
	LIST_EACH (store_items(c->config.queue), struct store_item, link, i) {
		struct receiver *r = get_receiver(c, i->item.sender);
		struct slot *s = free_slot(c);
		if (s && !r->is_busy && r->next_ms <= now_ms)
			start_sending(c, s, r, i);
	}
	LIST_EACH (&c->receivers, struct receiver, link, r) {
		if (!r->is_busy && !has_files(c, r))
			receiver_free(r);
		else if (!r->is_busy && r->next_ms < first_ms)
			first_ms = r->next_ms;
	}
	timer_clear(&c->timer);
	if (first_ms != UINT64_MAX && free_slot(c))
		timer_set(&c->timer, c->loop, first_ms > now_ms ? first_ms : now_ms + 1000,
			  on_timer);
}

/* --- life ------------------------------------------------------------------------------------- */

static void on_poke(struct deferred *d)
{
	schedule(CONTAINER(d, struct courier, poke));
}

void courier_poke(struct courier *c)
{
	if (!c->is_closing)
		deferred_set(&c->poke, c->loop, on_poke);
}

struct courier *courier_new(struct loop *loop, const struct courier_config *config)
{
	struct courier *c = NEW(struct courier);

	c->loop = loop;
	c->config = *config;
	list_init(&c->receivers);
	courier_poke(c);
	return c;
}

void courier_close(struct courier *c, void (*on_end)(void *context))
{
	c->is_closing = true;
	c->on_end = on_end;
	timer_clear(&c->timer);
	deferred_clear(&c->poke);
	for (size_t i = 0; i < COURIER_SLOTS; i++)
		if (c->slots[i].item)
			task_cancel(&c->slots[i].task);
	end_if_over(c);
}

/* As the mesh is now: what a try of an hour ago met says less. */
static const char *why_it_waits(const struct courier *c, const struct receiver *r, const char *name)
{
	const struct mesh_view_machine *m = find_machine(c, name);

	if (!m && c->config.view(c->config.context))
		return "no machine of the mesh has this name";
	if (m && !m->is_online)
		return "it is offline";
	return !r ? "" : r->is_busy ? "others go before it" : r->why;
}

struct courier_state courier_state(const struct courier *c, const struct store_item *i)
{
	for (size_t j = 0; j < COURIER_SLOTS; j++)
		if (c->slots[j].item == i)
			return (struct courier_state) { c->slots[j].push.sent, true, "" };
	const char *name = i->item.sender;
	const struct receiver *r = find_receiver((struct courier *)(uintptr_t)c, name);
	return (struct courier_state) { 0, false, why_it_waits(c, r, name) };
}

enum err courier_cancel(struct courier *c, struct store_item *i)
{
	for (size_t j = 0; j < COURIER_SLOTS; j++) {
		if (c->slots[j].item != i)
			continue;
		c->slots[j].is_removed = true;
		task_cancel(&c->slots[j].task);
		return OK;
	}
	return store_remove(c->config.queue, i);
}
