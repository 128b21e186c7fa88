#include "buckets/probe.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "buckets/probe_work.h"

static const struct {
	const char *name, *meaning;
} rows[PROBE_CHECKS] = {
	[PROBE_CREATE] = { "create",
			   "create-if-absent does not work: the journal has to look again after "
			   "each commit, as class raw does" },
	[PROBE_RACE] = { "race",
			 "create-if-absent can be won twice: two leaders would both believe that "
			 "they committed" },
	[PROBE_SLOW_RACE] = { "slow race", "the store looks before the body has come, and not "
					   "again: two leaders "
					   "would both believe that they committed" },
	[PROBE_MISSING] = { "missing", "\"not there\" is remembered: a leader would not see that "
				       "it was fenced, "
				       "and records would seem lost" },
	[PROBE_LIST] = { "list",
			 "lists do not show what is there: a new leader would not find what the "
			 "last one wrote" },
	[PROBE_CLOCK] = { "clock",
			  "one of the clocks is wrong: requests are signed with the store's time, "
			  "set this machine's if it is the wrong one" },
	[PROBE_RANGE] = { "range", "parts of objects cannot be read, which consumers need" },
};

const char *probe_check_name(enum probe_check check)
{
	return rows[check].name;
}

const char *probe_check_meaning(enum probe_check check)
{
	return rows[check].meaning;
}

/* --- one check after the other --------------------------------------------------------------- */
enum { CHECKS_START, CHECKS_OPENED, CHECKS_READ, CHECKS_ONE };
static const char *const checks_places[] = { "start", "written", "read", "one check" };

static enum step fail_like(struct task *t, const struct task *child)
{
	return task_fail(t, child->err, "%s", child->why);
}

static enum step start_check(struct probe *p)
{
	struct probe_work *w = p->work;

	memset(w->ops, 0, sizeof(w->ops));
	arena_reset(&w->arena);
	w->probe = p;
	w->round = 0;
	w->name = p->name_count;
	task_start(&w->task, &probe_check_kinds[p->check], &p->checks);
	return task_wait(&p->checks, CHECKS_ONE);
}

/* Without this nothing else would say much. */
static enum step take_first(struct probe *p)
{
	struct bucket_op *op = &p->work->ops[0];
	bool is_same;

	if (op->task.err)
		return fail_like(&p->checks, &op->task);
	is_same = slice_equal(blob_slice(op->ret_body), slice_from(p->prefix));
	blob_unref(&op->ret_body);
	if (!is_same)
		return task_fail(&p->checks, ERR_IO, "what was written is not what is read");
	return start_check(p);
}

static enum step checks_step(struct task *t)
{
	struct probe *p = CONTAINER(t, struct probe, checks);
	struct bucket_op *op = &p->work->ops[0];

	if (t->children > 0)
		return task_wait(t, t->at);
	if (task_is_canceled(t)) {
		if (t->at == CHECKS_READ)
			blob_unref(&op->ret_body);
		return task_done(t, ERR_CANCELED);
	}
	switch (t->at) {
	case CHECKS_START:
		p->is_written[0] = true;
		bucket_put(op, t, p->bucket, slice_from(p->names[0]), slice_from(p->prefix));
		return task_wait(t, CHECKS_OPENED);

	case CHECKS_OPENED:
		if (op->task.err)
			return fail_like(t, &op->task);
		bucket_get(op, t, p->bucket, slice_from(p->names[0]), 0, BUCKET_OBJECT_BYTES_MAX);
		return task_wait(t, CHECKS_READ);

	case CHECKS_READ:
		return take_first(p);

	case CHECKS_ONE:
		if (p->on_finding)
			p->on_finding(p, p->check);
		if (++p->check == PROBE_CHECKS)
			return task_done(t, OK);
		return start_check(p);
	}
	abort();
}

static const struct task_kind checks_kind = {
	.name = "bucket checks",
	.places = checks_places,
	.place_count = 4,
	.step = checks_step,
};

/* --- the probe ------------------------------------------------------------------------------- */
enum { PROBE_START, PROBE_CHECKED, PROBE_REMOVED };
static const char *const probe_places[] = { "start", "checked", "removed" };

static bool has_passed(const struct probe *p, enum probe_check check)
{
	return p->findings[check].outcome == PROBE_PASSED;
}

static void decide(struct probe *p)
{
	p->is_usable = has_passed(p, PROBE_MISSING) && has_passed(p, PROBE_LIST) &&
		       has_passed(p, PROBE_RANGE);
	p->class = BUCKET_RAW;
	if (has_passed(p, PROBE_CREATE) && has_passed(p, PROBE_RACE) &&
	    p->findings[PROBE_SLOW_RACE].outcome != PROBE_REFUTED)
		p->class = BUCKET_CAS;
}

static enum step remove_all(struct probe *p)
{
	bucket_set_class(p->bucket, BUCKET_RAW);
	for (size_t i = 0; i < p->name_count; i++)
		if (p->is_written[i])
			bucket_delete(&p->removals[i], &p->task, p->bucket,
				      slice_from(p->names[i]));
	return task_wait(&p->task, PROBE_REMOVED);
}

static enum step end(struct probe *p)
{
	for (size_t i = 0; i < p->name_count; i++)
		p->left_count += p->is_written[i] && p->removals[i].task.err;
	bucket_set_class(p->bucket, p->class_before);
	blob_unref(&p->work->parts);
	arena_done(&p->work->arena);
	memory_free(p->work);
	p->work = NULL;
	if (p->checks.err)
		return fail_like(&p->task, &p->checks);
	decide(p);
	return task_done(&p->task, OK);
}

static enum step probe_step(struct task *t)
{
	struct probe *p = CONTAINER(t, struct probe, task);

	if (t->children > 0)
		return task_wait(t, t->at);
	switch (t->at) {
	case PROBE_START:
		if (p->is_stopped || task_is_canceled(t))
			return task_done(t, ERR_CANCELED);
		p->work = NEW(struct probe_work);
		arena_init(&p->work->arena);
		bucket_set_class(p->bucket, BUCKET_RAW);
		task_start(&p->checks, &checks_kind, t);
		return task_wait(t, PROBE_CHECKED);

	case PROBE_CHECKED:
		return remove_all(p);

	case PROBE_REMOVED:
		return end(p);
	}
	abort();
}

static const struct task_kind probe_kind = {
	.name = "bucket probe",
	.places = probe_places,
	.place_count = 3,
	.step = probe_step,
};

/* --- from outside ---------------------------------------------------------------------------- */
void probe_init(struct probe *p, struct bucket *b)
{
	memset(p, 0, sizeof(*p));
	p->bucket = b;
	p->class_before = b->class;
	snprintf(p->prefix, sizeof(p->prefix), "v1/probe/%016llx/",
		 (unsigned long long)random_u64());
	snprintf(p->names[0], sizeof(p->names[0]), "%sfirst", p->prefix);
	p->name_count = 1;
}

void probe_start(struct probe *p, struct task *parent)
{
	task_start(&p->task, &probe_kind, parent);
}

void probe_start_root(struct probe *p, struct loop *loop)
{
	task_start_root(&p->task, &probe_kind, loop);
}

void probe_stop(struct probe *p)
{
	p->is_stopped = true;
	if (task_is_running(&p->checks))
		task_cancel(&p->checks);
}

void probe_url(const struct probe *p, const char *url, char ret[BUCKET_KEY_BYTES_MAX + 16])
{
	size_t size = strcspn(url, "?"), room = BUCKET_KEY_BYTES_MAX + 16;
	size_t used = (size_t)snprintf(ret, room, "%.*s", (int)size, url);
	struct slice rest = slice_from(url + size);
	char separator = '?';

	if (p->class == p->class_before) {
		snprintf(ret, room, "%s", url);
		return;
	}
	rest = slice_part(rest, 1, rest.size);
	while (rest.size > 0) {
		struct slice one = slice_cut(&rest, '&');

		if (slice_starts_with(one, SLICE("class=")))
			continue;
		used += (size_t)snprintf(ret + used, room - used, "%c%.*s", separator,
					 SLICE_ARG(one));
		separator = '&';
	}
	snprintf(ret + used, room - used, "%cclass=%s", separator,
		 p->class == BUCKET_CAS ? "cas" : "raw");
}
