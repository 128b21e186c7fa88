#include "loop/timer.h"

#include <assert.h>
#include <stdlib.h>

#include "loop/private.h"

/* A timer or deadline set from inside the callback of another waits for the next turn: each heap
 * gives at most what it held at the start. */
static void on_uv_timer(uv_timer_t *handle)
{
	struct loop *loop = handle->data;
	uint64_t now_ms = loop_now_ms(loop);
	struct heap_node *node;

	loop->timer_at_ms = UINT64_MAX;
	for (size_t n = loop->deadlines.count; n > 0; n--) {
		node = heap_first(&loop->deadlines);
		if (!node || node->key > now_ms)
			break;
		task_pass_deadline(CONTAINER(node, struct task, deadline));
	}
	for (size_t n = loop->timers.count; n > 0; n--) {
		node = heap_first(&loop->timers);
		if (!node || node->key > now_ms)
			break;
		heap_remove(&loop->timers, node);
		struct timer *t = CONTAINER(node, struct timer, node);
		t->on_timer(t); /* may free t */
	}
	loop_arm_timer(loop);
}

void loop_arm_timer(struct loop *loop)
{
	struct heap_node *deadline = heap_first(&loop->deadlines);
	struct heap_node *timer = heap_first(&loop->timers);
	uint64_t at_ms = UINT64_MAX;

	if (deadline)
		at_ms = deadline->key;
	if (timer && timer->key < at_ms)
		at_ms = timer->key;
	if (at_ms == loop->timer_at_ms)
		return;

	loop->timer_at_ms = at_ms;
	if (at_ms == UINT64_MAX) {
		uv_timer_stop(&loop->timer);
		return;
	}
	uint64_t now_ms = loop_now_ms(loop);
	uv_timer_start(&loop->timer, on_uv_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

void timer_set(struct timer *t, struct loop *loop, uint64_t at_ms, void (*on_timer)(struct timer *))
{
	assert(loop->magic == LOOP_MAGIC);
	assert(on_timer);
	t->loop = loop;
	t->on_timer = on_timer;
	heap_remove(&loop->timers, &t->node);
	heap_add(&loop->timers, &t->node, at_ms);
	loop_arm_timer(loop);
}

void timer_clear(struct timer *t)
{
	if (t->node.index == 0)
		return;
	heap_remove(&t->loop->timers, &t->node);
	loop_arm_timer(t->loop);
}

/* --- sleep ---------------------------------------------------------------------------------- */
enum { SLEEP_START, SLEEP_OVER };
static const char *const sleep_places[] = { "start", "over" };

static void wake_sleeper(struct timer *t)
{
	task_wake(&CONTAINER(t, struct sleep, timer)->task);
}

static enum step sleep_step(struct task *t)
{
	struct sleep *s = CONTAINER(t, struct sleep, task);

	if (task_is_canceled(t)) {
		timer_clear(&s->timer);
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case SLEEP_START:
		timer_set(&s->timer, t->loop, s->at_ms, wake_sleeper);
		return task_wait(t, SLEEP_OVER);

	case SLEEP_OVER:
		if (s->timer.node.index != 0)
			return task_wait(t, SLEEP_OVER);
		return task_done(t, OK);
	}
	abort();
}

static const struct task_kind sleep_kind = {
	.name = "sleep",
	.places = sleep_places,
	.place_count = 2,
	.step = sleep_step,
};

void sleep_start(struct sleep *s, struct task *parent, uint64_t at_ms)
{
	s->at_ms = at_ms;
	s->timer = (struct timer) { 0 };
	task_start(&s->task, &sleep_kind, parent);
}
