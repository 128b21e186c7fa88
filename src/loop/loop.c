/* One turn of the loop: timers, poll (reads, connects, workers), then the run queue is drained,
 * then what gathered during the drain is flushed ("late").  While something is ready an idle handle
 * keeps the poll from blocking, so a busy run queue and the sockets take turns. */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>

#include "base/memory.h"
#include "loop/private.h"

static struct list all_loops; /* for the abort handler only */

static void dump_on_abort(int number)
{
	(void)number;
	LIST_EACH (&all_loops, struct loop, link, loop)
		task_dump(loop, stderr);
}

static void watch_process(void)
{
	struct sigaction on_abort = { .sa_handler = dump_on_abort, .sa_flags = (int)SA_RESETHAND };

	if (all_loops.next)
		return;
	list_init(&all_loops);
	sigaction(SIGABRT, &on_abort, NULL);
	signal(SIGPIPE, SIG_IGN);
}

enum err err_from_uv(int code)
{
	switch (code) {
	case UV_EADDRINUSE:
		return ERR_BUSY;
	case UV_EOF:
	case UV_ECONNABORTED:
	case UV_ENETDOWN:
	case UV_EAI_AGAIN:
	case UV_EAI_FAIL:
	case UV_EAI_NODATA:
	case UV_EAI_NONAME:
		return ERR_UNAVAILABLE;
	case UV_EAI_CANCELED:
		return ERR_CANCELED;
	default:
		return err_from_errno(-code);
	}
}

/* --- the run queue -------------------------------------------------------------------------- */
static void on_idle(uv_idle_t *handle)
{
	(void)handle; /* its being active is what matters */
}

static void add_deferred(struct deferred *d, struct loop *loop, struct list *queue,
			 void (*run)(struct deferred *d))
{
	assert(loop->magic == LOOP_MAGIC);
	assert(run);
	if (list_is_linked(&d->link))
		return;
	d->loop = loop;
	d->run = run;
	list_add(queue, &d->link);
	loop->ready_count++;
	uv_idle_start(&loop->idle, on_idle);
}

void deferred_set(struct deferred *d, struct loop *loop, void (*run)(struct deferred *d))
{
	add_deferred(d, loop, &loop->ready, run);
}

void deferred_set_late(struct deferred *d, struct loop *loop, void (*run)(struct deferred *d))
{
	add_deferred(d, loop, &loop->late, run);
}

void deferred_clear(struct deferred *d)
{
	if (!list_is_linked(&d->link))
		return;
	assert(d->loop->ready_count > 0);
	list_remove(&d->link);
	d->loop->ready_count--;
}

static struct deferred *pick_ready(struct loop *loop)
{
	struct list *node = loop->ready.next;

	if (loop->is_shuffled) {
		uint64_t skip = prng_below(&loop->prng, LOOP_SHUFFLE_WINDOW);
		for (; skip > 0; skip--)
			node = node->next == &loop->ready ? loop->ready.next : node->next;
	}
	return CONTAINER(node, struct deferred, link);
}

static void run_deferred(struct deferred *d)
{
	deferred_clear(d);
	d->run(d); /* may free d */
}

static void on_check(uv_check_t *handle)
{
	struct loop *loop = handle->data;
	size_t budget = loop->ready_count + LOOP_FRESH_RUNS_MAX;

	for (; budget > 0 && !list_is_empty(&loop->ready); budget--)
		run_deferred(pick_ready(loop));

	/* What late callbacks set late again belongs to the next turn. */
	struct deferred end = { 0 };
	list_add(&loop->late, &end.link);
	while (loop->late.next != &end.link)
		run_deferred(CONTAINER(loop->late.next, struct deferred, link));
	list_remove(&end.link);

	if (loop->ready_count == 0)
		uv_idle_stop(&loop->idle);
}

/* --- signals -------------------------------------------------------------------------------- */
static void on_uv_signal(uv_signal_t *handle, int number)
{
	struct loop_signal *s = CONTAINER(handle, struct loop_signal, handle);

	s->on_signal(s->context, number);
}

void loop_on_signal(struct loop *loop, int number, void (*on_signal)(void *context, int number),
		    void *context)
{
	struct loop_signal *s = loop->signals;

	assert(loop->magic == LOOP_MAGIC);
	assert(number > 0 && on_signal);
	while (s->number != 0 && s->number != number) {
		s++;
		assert(s < loop->signals + LOOP_SIGNALS_MAX);
	}
	s->on_signal = on_signal;
	s->context = context;
	if (s->number == number)
		return;
	s->number = number;
	int code = uv_signal_init(&loop->uv, &s->handle);
	assert(code == 0);
	code = uv_signal_start(&s->handle, on_uv_signal, number);
	assert(code == 0);
	uv_unref((uv_handle_t *)&s->handle);
}

static void dump_on_signal(void *context, int number)
{
	(void)number;
	task_dump(context, stderr);
}

/* --- life ----------------------------------------------------------------------------------- */
struct loop *loop_new(uint64_t shuffle_seed)
{
	struct loop *loop = NEW(struct loop);

	watch_process();
	loop->magic = LOOP_MAGIC;
	loop->is_shuffled = shuffle_seed != 0;
	loop->prng.state = shuffle_seed;
	loop->timer_at_ms = UINT64_MAX;
	list_init(&loop->ready);
	list_init(&loop->late);
	list_init(&loop->tasks);
	heap_init(&loop->deadlines);
	heap_init(&loop->timers);
	list_add(&all_loops, &loop->link);

	int code = uv_loop_init(&loop->uv);
	assert(code == 0);
	uv_check_init(&loop->uv, &loop->check);
	uv_idle_init(&loop->uv, &loop->idle);
	uv_timer_init(&loop->uv, &loop->timer);
	loop->check.data = loop;
	loop->timer.data = loop;
	uv_check_start(&loop->check, on_check);
	uv_unref((uv_handle_t *)&loop->check);
	loop_on_signal(loop, SIGUSR1, dump_on_signal, loop);
	return loop;
}

/* Streams that leave gracefully have a timer each, at which they are closed. */
static void let_streams_leave(struct loop *loop)
{
	uint64_t end_ms = loop_now_ms(loop) + LOOP_LEAVE_MS_MAX;

	while (loop->open_count > 0 && heap_first(&loop->timers) && loop_now_ms(loop) < end_ms)
		uv_run(&loop->uv, UV_RUN_ONCE);
}

void loop_free(struct loop *loop)
{
	assert(loop->magic == LOOP_MAGIC);
	assert(list_is_empty(&loop->tasks));
	let_streams_leave(loop);
	assert(!heap_first(&loop->timers) && !heap_first(&loop->deadlines));
	assert(loop->ready_count == 0);

	uv_close((uv_handle_t *)&loop->check, NULL);
	uv_close((uv_handle_t *)&loop->idle, NULL);
	uv_close((uv_handle_t *)&loop->timer, NULL);
	for (size_t i = 0; i < LOOP_SIGNALS_MAX && loop->signals[i].number; i++)
		uv_close((uv_handle_t *)&loop->signals[i].handle, NULL);
	uv_run(&loop->uv, UV_RUN_NOWAIT); /* what was closed before ends now, too */
	assert(loop->open_count == 0);
	uv_run(&loop->uv, UV_RUN_DEFAULT); /* a canceled resolver may still be at work */
	int code = uv_loop_close(&loop->uv);
	assert(code == 0);

	heap_done(&loop->deadlines);
	heap_done(&loop->timers);
	inbox_spares_done(&loop->spares);
	list_remove(&loop->link);
	loop->magic = 0;
	memory_free(loop);
}

void loop_run(struct loop *loop)
{
	assert(loop->magic == LOOP_MAGIC);
	assert(!loop->stepping);
	uv_update_time(&loop->uv);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_turn(struct loop *loop)
{
	assert(loop->magic == LOOP_MAGIC);
	assert(!loop->stepping);
	uv_run(&loop->uv, UV_RUN_NOWAIT);
}

void loop_stop(struct loop *loop)
{
	assert(loop->magic == LOOP_MAGIC);
	uv_stop(&loop->uv);
}

uint64_t loop_now_ms(const struct loop *loop)
{
	assert(loop->magic == LOOP_MAGIC);
	return uv_now(&loop->uv);
}
