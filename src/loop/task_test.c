#include "loop/task.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "loop/timer.h"

enum { SEEDS = 200, CHILDREN_MAX = 4, DEPTH_MAX = 4 };

/* --- a task of one wait, driven from outside ------------------------------------------------- */
struct probe {
	struct task task;
	int steps;
	int ends;
	bool finishes_when_woken;
};

enum { PROBE_START, PROBE_WAITING };
static const char *const probe_places[] = { "start", "waiting" };

static enum step probe_step(struct task *t)
{
	struct probe *p = CONTAINER(t, struct probe, task);

	p->steps++;
	if (task_is_canceled(t))
		return task_done(t, ERR_CANCELED);
	if (t->at == PROBE_WAITING && p->finishes_when_woken)
		return task_fail(t, ERR_BUSY, "woken %d times", p->steps - 1);
	return task_wait(t, PROBE_WAITING);
}

static void probe_end(struct task *t)
{
	CONTAINER(t, struct probe, task)->ends++;
}

static const struct task_kind probe_kind = {
	.name = "probe",
	.places = probe_places,
	.place_count = 2,
	.step = probe_step,
	.on_end = probe_end,
};

static const struct task_kind probe_child_kind = {
	.name = "probe child",
	.places = probe_places,
	.place_count = 2,
	.step = probe_step,
};

static void test_a_step_never_runs_inside_the_call_that_woke_it(void **state)
{
	struct loop *loop = loop_new(0);
	struct probe p = { .finishes_when_woken = true };

	(void)state;
	task_start_root(&p.task, &probe_kind, loop);
	assert_int_equal(p.steps, 0);
	loop_run(loop);
	assert_int_equal(p.steps, 1);
	assert_true(task_is_running(&p.task));
	task_wake(&p.task);
	task_wake(&p.task);
	assert_int_equal(p.steps, 1);
	loop_run(loop);
	assert_int_equal(p.steps, 2);
	assert_int_equal(p.ends, 1);
	assert_int_equal(p.task.err, ERR_BUSY);
	assert_string_equal(p.task.why, "woken 1 times");
	loop_free(loop);
}

static void test_cancel_is_harmless_twice_and_after_the_end(void **state)
{
	struct loop *loop = loop_new(0);
	struct probe p = { 0 };

	(void)state;
	task_start_root(&p.task, &probe_kind, loop);
	loop_run(loop);
	task_cancel(&p.task);
	task_cancel(&p.task);
	assert_true(task_is_running(&p.task));
	loop_run(loop);
	assert_int_equal(p.ends, 1);
	assert_int_equal(p.task.err, ERR_CANCELED);
	task_cancel(&p.task);
	loop_run(loop);
	assert_int_equal(p.ends, 1);

	task_start_root(&p.task, &probe_kind, loop); /* a done one starts again */
	task_cancel(&p.task);			     /* before its first step */
	loop_run(loop);
	assert_int_equal(p.ends, 2);
	assert_int_equal(p.task.err, ERR_CANCELED);
	loop_free(loop);
}

static void test_a_deadline_ends_a_task_with_timeout(void **state)
{
	struct loop *loop = loop_new(0);
	struct probe late = { 0 }, never = { 0 };

	(void)state;
	task_start_root(&late.task, &probe_kind, loop);
	task_start_root(&never.task, &probe_kind, loop);
	task_set_deadline(&late.task, loop_now_ms(loop) + 20);
	task_set_deadline(&never.task, loop_now_ms(loop) + 10);
	task_set_deadline(&never.task, 0);
	uint64_t begin_ms = loop_now_ms(loop);
	loop_run(loop);
	assert_in_range(loop_now_ms(loop) - begin_ms, 15, 2000);
	assert_int_equal(late.task.err, ERR_TIMEOUT);
	assert_true(task_is_running(&never.task));
	task_set_deadline(&never.task, 1); /* long ago */
	loop_run(loop);
	assert_int_equal(never.task.err, ERR_TIMEOUT);
	loop_free(loop);
}

/* --- a parent of several children ------------------------------------------------------------ */
struct family {
	struct task task;
	struct probe children[3];
	int canceled_steps;
};

enum { FAMILY_START, FAMILY_GATHER };
static const char *const family_places[] = { "start", "gather" };

static enum step family_step(struct task *t)
{
	struct family *f = CONTAINER(t, struct family, task);

	if (task_is_canceled(t)) {
		assert_int_equal(t->children, 0);
		f->canceled_steps++;
		return task_done(t, f->children[0].task.err);
	}
	if (t->at == FAMILY_START)
		for (int i = 0; i < 3; i++)
			task_start(&f->children[i].task, &probe_child_kind, t);
	return task_wait(t, FAMILY_GATHER);
}

static const struct task_kind family_kind = {
	.name = "family",
	.places = family_places,
	.place_count = 2,
	.step = family_step,
};

static void test_a_canceled_parent_steps_once_after_its_last_child(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct loop *loop = loop_new(seed);
		struct family f = { 0 };

		task_start_root(&f.task, &family_kind, loop);
		loop_run(loop);
		task_wake(&f.task);
		task_set_deadline(&f.task, loop_now_ms(loop));
		loop_run(loop);
		assert_int_equal(f.canceled_steps, 1);
		assert_int_equal(f.task.err, ERR_TIMEOUT);
		for (int i = 0; i < 3; i++)
			assert_int_equal(f.children[i].task.err, ERR_CANCELED);
		loop_free(loop);
	}
}

static void test_the_dump_shows_places_and_parents(void **state)
{
	struct loop *loop = loop_new(0);
	struct family f = { 0 };
	char *text = NULL;
	size_t size = 0;

	(void)state;
	task_start_root(&f.task, &family_kind, loop);
	loop_run(loop);
	FILE *out = open_memstream(&text, &size);
	task_dump(loop, out);
	fclose(out);
	assert_non_null(strstr(text, "\n  family at gather for "));
	assert_non_null(strstr(text, "3 children"));
	assert_non_null(strstr(text, "\n    probe child at waiting for "));
	memory_free(text);
	task_cancel(&f.task);
	loop_run(loop);
	loop_free(loop);
}

static void test_an_abort_dumps_every_task(void **state)
{
	char text[2048] = "";
	size_t used = 0;
	ssize_t n;
	int fds[2], status;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid_t child = fork();
	if (child == 0) {
		struct loop *loop = loop_new(0);
		struct family f = { 0 };

		dup2(fds[1], STDERR_FILENO);
		task_start_root(&f.task, &family_kind, loop);
		loop_run(loop);
		abort();
	}
	close(fds[1]);
	while ((n = read(fds[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(text, "family at gather for "));
	assert_non_null(strstr(text, "probe child at waiting for "));
}

/* --- order and fairness ---------------------------------------------------------------------- */
struct order {
	struct deferred deferred[5];
	char text[6];
	size_t used;
};

static struct order *order_under_test;

static void note_order(struct deferred *d)
{
	struct order *o = order_under_test;

	o->text[o->used++] = (char)('a' + (d - o->deferred));
}

static void test_the_run_queue_is_in_order_unless_shuffled(void **state)
{
	bool seen_other = false;

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct loop *loop = loop_new(seed);
		struct order o = { 0 };
		order_under_test = &o;

		for (int i = 0; i < 5; i++)
			deferred_set(&o.deferred[i], loop, note_order);
		deferred_set(&o.deferred[0], loop, note_order);
		deferred_clear(&o.deferred[3]);
		deferred_clear(&o.deferred[3]);
		loop_run(loop);
		assert_int_equal(o.used, 4);
		if (seed == 0)
			assert_string_equal(o.text, "abce");
		seen_other |= strcmp(o.text, "abce") != 0;
		loop_free(loop);
	}
	assert_true(seen_other);
}

struct greedy {
	struct deferred deferred;
	struct timer timer;
	size_t runs;
	bool is_over;
};

static void run_again(struct deferred *d)
{
	struct greedy *g = CONTAINER(d, struct greedy, deferred);

	g->runs++;
	if (!g->is_over)
		deferred_set(d, g->deferred.loop, run_again);
}

static void stop_greed(struct timer *t)
{
	CONTAINER(t, struct greedy, timer)->is_over = true;
}

static void test_a_task_that_is_always_ready_does_not_starve_the_timers(void **state)
{
	struct loop *loop = loop_new(0);
	struct greedy g = { 0 };

	(void)state;
	deferred_set(&g.deferred, loop, run_again);
	timer_set(&g.timer, loop, loop_now_ms(loop) + 5, stop_greed);
	loop_run(loop);
	assert_true(g.is_over);
	assert_true(g.runs > 1);
	loop_free(loop);
}

/* --- a random tree --------------------------------------------------------------------------- */
struct node {
	struct task task;
	struct forest *forest;
	struct sleep sleep;
	struct node *children[CHILDREN_MAX];
	int depth;
	int rounds;
	bool stepping;
};

struct forest {
	struct prng prng;
	size_t started, done;
	int cancel_after; /* steps until some node is canceled; a loop over n */
	struct node *root;
	bool root_ended;
};

enum { NODE_START, NODE_CHILDREN, NODE_SLEEP, NODE_PLACES };
static const char *const node_places[] = { "start", "children", "sleep" };

static const struct task_kind node_kind;

static void node_free(struct node *n)
{
	for (int i = 0; i < CHILDREN_MAX; i++)
		if (n->children[i])
			node_free(n->children[i]);
	memory_free(n);
}

static struct node *random_node(struct forest *f)
{
	struct node *n = f->root;

	while (prng_below(&f->prng, 3) > 0) {
		struct node *child = n->children[prng_below(&f->prng, CHILDREN_MAX)];
		if (!child)
			break;
		n = child;
	}
	return n;
}

static enum step node_done(struct node *n, enum err err)
{
	n->forest->done++;
	n->stepping = false;
	for (int i = 0; i < CHILDREN_MAX; i++)
		assert_true(!n->children[i] || !task_is_running(&n->children[i]->task));
	return task_done(&n->task, err);
}

static enum step node_wait(struct node *n, int at)
{
	n->stepping = false;
	return task_wait(&n->task, at);
}

static void start_children(struct node *n)
{
	struct forest *f = n->forest;

	for (int i = 0; i < CHILDREN_MAX && n->depth < DEPTH_MAX; i++) {
		if (prng_below(&f->prng, 2))
			continue;
		struct node *child = n->children[i];
		if (!child)
			child = n->children[i] = NEW(struct node);
		child->forest = f;
		child->depth = n->depth + 1;
		child->rounds = 0;
		f->started++;
		task_start(&child->task, &node_kind, &n->task);
		if (prng_below(&f->prng, 8) == 0)
			task_set_deadline(&child->task, loop_now_ms(n->task.loop) + 1);
	}
}

static enum step node_step(struct task *t)
{
	struct node *n = CONTAINER(t, struct node, task);
	struct forest *f = n->forest;

	assert_false(n->stepping);
	n->stepping = true;
	bool was_canceled = task_is_canceled(t);
	if (--f->cancel_after == 0)
		task_cancel(&random_node(f)->task); /* perhaps itself, its parent, a child */
	if (was_canceled) {
		assert_int_equal(t->children, 0);
		return node_done(n, ERR_CANCELED);
	}
	switch (t->at) {
	case NODE_START:
		start_children(n);
		if (t->children == 0) /* nobody would wake it */
			task_wake(t);
		return node_wait(n, NODE_CHILDREN);

	case NODE_CHILDREN:
		if (t->children > 0)
			return node_wait(n, NODE_CHILDREN);
		sleep_start(&n->sleep, t, loop_now_ms(t->loop) + (uint64_t)prng_below(&f->prng, 2));
		return node_wait(n, NODE_SLEEP);

	case NODE_SLEEP:
		if (t->children > 0)
			return node_wait(n, NODE_SLEEP);
		if (++n->rounds < 2 && n->depth > 1)
			return task_wake(t), node_wait(n, NODE_START);
		return node_done(n, OK);
	}
	abort();
}

static void node_end(struct task *t)
{
	CONTAINER(t, struct node, task)->forest->root_ended = true;
}

static const struct task_kind node_kind = {
	.name = "node",
	.places = node_places,
	.place_count = NODE_PLACES,
	.step = node_step,
};

static const struct task_kind root_kind = {
	.name = "root",
	.places = node_places,
	.place_count = NODE_PLACES,
	.step = node_step,
	.on_end = node_end,
};

/* Returns whether the tree ended before the cancel came. */
static bool run_forest(uint64_t seed, int cancel_after)
{
	struct loop *loop = loop_new(seed);
	struct forest f = { .prng = { seed }, .cancel_after = cancel_after };

	f.root = NEW(struct node);
	f.root->forest = &f;
	f.started++;
	task_start_root(&f.root->task, &root_kind, loop);
	loop_run(loop);
	assert_true(f.root_ended);
	assert_int_equal(f.started, f.done);
	node_free(f.root);
	loop_free(loop);
	return f.cancel_after > 0;
}

static void test_random_trees_keep_the_rules_under_200_orders(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run_forest(seed, (int)(seed * 7 % 101));
}

static void test_a_tree_may_be_canceled_at_each_of_its_steps(void **state)
{
	(void)state;
	for (int n = 1; n < 1000; n++)
		if (run_forest(11, n))
			return;
	fail_msg("the tree never ended by itself");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_step_never_runs_inside_the_call_that_woke_it),
		cmocka_unit_test(test_cancel_is_harmless_twice_and_after_the_end),
		cmocka_unit_test(test_a_deadline_ends_a_task_with_timeout),
		cmocka_unit_test(test_a_canceled_parent_steps_once_after_its_last_child),
		cmocka_unit_test(test_the_dump_shows_places_and_parents),
		cmocka_unit_test(test_an_abort_dumps_every_task),
		cmocka_unit_test(test_the_run_queue_is_in_order_unless_shuffled),
		cmocka_unit_test(test_a_task_that_is_always_ready_does_not_starve_the_timers),
		cmocka_unit_test(test_random_trees_keep_the_rules_under_200_orders),
		cmocka_unit_test(test_a_tree_may_be_canceled_at_each_of_its_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
