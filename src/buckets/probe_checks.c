/* The seven checks: each a task of its own, whose places are the numbers of its questions. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "buckets/probe_work.h"

/* --- findings -------------------------------------------------------------------------------- */
static enum step find(struct probe_work *w, enum probe_outcome outcome, const char *format, ...)
	PRINTF_LIKE(3, 4);

static void drop_bodies(struct probe_work *w)
{
	for (size_t i = 0; i < PROBE_OPS; i++)
		if (w->ops[i].verb == BUCKET_GET)
			blob_unref(&w->ops[i].ret_body);
}

static enum step find(struct probe_work *w, enum probe_outcome outcome, const char *format, ...)
{
	struct probe_finding *f = &w->probe->findings[w->probe->check];
	va_list list;

	f->outcome = outcome;
	va_start(list, format);
	vsnprintf(f->why, sizeof(f->why), format, list);
	va_end(list);
	drop_bodies(w);
	bucket_set_class(w->probe->bucket, BUCKET_RAW);
	return task_done(&w->task, OK);
}

/* An operation ended as none of the answers that say something about the bucket. */
static enum step cannot_tell(struct probe_work *w, const struct bucket_op *op)
{
	return find(w, PROBE_SKIPPED, "could not be tried: %.80s",
		    op->task.why[0] ? op->task.why : err_name(op->task.err));
}

/* NULL when all of them ended well. */
static const struct bucket_op *first_failed(const struct probe_work *w, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (w->ops[i].task.err)
			return &w->ops[i];
	return NULL;
}

/* --- objects --------------------------------------------------------------------------------- */
/* The n-th name of this check. */
static struct slice name_of(struct probe_work *w, size_t n)
{
	struct probe *p = w->probe;

	n += w->name;
	if (n >= PROBE_NAMES_MAX)
		abort();
	if (n >= p->name_count)
		p->name_count = n + 1;
	snprintf(p->names[n], sizeof(p->names[n]), "%s%03zu", p->prefix, n);
	return slice_from(p->names[n]);
}

static struct slice body_of(struct probe_work *w, size_t writer)
{
	snprintf(w->bodies[writer], PROBE_BODY_BYTES, "writer %zu of round %d in %s", writer,
		 w->round, w->probe->prefix);
	return slice_from(w->bodies[writer]);
}

static void put(struct probe_work *w, size_t op, size_t name)
{
	struct slice key = name_of(w, name);

	w->probe->is_written[w->name + name] = true;
	bucket_put(&w->ops[op], &w->task, w->probe->bucket, key, body_of(w, op));
}

static void put_new(struct probe_work *w, size_t op, size_t name, struct slice body)
{
	struct slice key = name_of(w, name);

	w->probe->is_written[w->name + name] = true;
	bucket_set_class(w->probe->bucket, BUCKET_CAS);
	bucket_put_new(&w->ops[op], &w->task, w->probe->bucket, key, body);
}

static void get(struct probe_work *w, size_t op, size_t name)
{
	bucket_get(&w->ops[op], &w->task, w->probe->bucket, name_of(w, name), 0,
		   BUCKET_OBJECT_BYTES_MAX);
}

/* Is that what a get found?  Lets go of it. */
static bool has_got(struct bucket_op *op, struct slice body)
{
	bool is_equal = op->task.err == OK && slice_equal(blob_slice(op->ret_body), body);

	if (op->task.err == OK)
		blob_unref(&op->ret_body);
	return is_equal;
}

/* The beginning of each step: true when there is nothing to do yet, or any more. */
static bool waits(struct probe_work *w, enum step *ret)
{
	struct task *t = &w->task;

	if (t->children == 0 && !task_is_canceled(t))
		return false;
	if (t->children > 0) {
		*ret = task_wait(t, t->at);
		return true;
	}
	drop_bodies(w);
	*ret = task_done(t, ERR_CANCELED);
	return true;
}

static struct probe_work *work_of(struct task *t)
{
	return CONTAINER(t, struct probe_work, task);
}

/* --- 1: create twice ------------------------------------------------------------------------- */
static enum step create_step(struct task *t)
{
	struct probe_work *w = work_of(t);
	const struct bucket_op *op = &w->ops[t->at == 2 ? 1 : 0];
	enum step step;

	if (waits(w, &step))
		return step;
	switch (t->at) {
	case 0:
		put_new(w, 0, 0, body_of(w, 0));
		return task_wait(t, 1);
	case 1:
		if (op->task.err == ERR_UNSUPPORTED)
			return find(w, PROBE_REFUTED, "refused: %.100s", op->task.why);
		if (op->task.err)
			return cannot_tell(w, op);
		put_new(w, 1, 0, body_of(w, 1));
		return task_wait(t, 2);
	case 2:
		if (op->task.err == OK)
			return find(w, PROBE_REFUTED,
				    "ignored: the second create replaced the first");
		if (op->task.err != ERR_EXISTS)
			return cannot_tell(w, op);
		get(w, 2, 0);
		return task_wait(t, 3);
	case 3:
		if (w->ops[2].task.err)
			return cannot_tell(w, &w->ops[2]);
		if (!has_got(&w->ops[2], slice_from(w->bodies[0])))
			return find(w, PROBE_REFUTED, "the create that was refused left its bytes");
		return find(w, PROBE_PASSED, "the second create was told that there is something");
	}
	abort();
}

/* --- 2 and 3: races -------------------------------------------------------------------------- */
/* Exactly one of the first `count` puts won, and nobody else's bytes are in the get after them.
 * False: this round is over, and so is the check. */
static bool is_race_fair(struct probe_work *w, size_t count,
			 struct slice (*body)(struct probe_work *, size_t), enum step *ret)
{
	size_t winners = 0, unknown = 0, winner = 0;

	for (size_t i = 0; i < count; i++) {
		enum err err = w->ops[i].task.err;

		winners += err == OK;
		winner = err == OK ? i : winner;
		unknown += err == ERR_UNKNOWN;
		if (err == OK || err == ERR_EXISTS || err == ERR_UNKNOWN)
			continue;
		*ret = cannot_tell(w, &w->ops[i]);
		return false;
	}
	if (winners > 1)
		*ret = find(w, PROBE_REFUTED, "%zu of %zu creators won in round %d", winners, count,
			    w->round + 1);
	else if (winners == 0 && unknown == 0)
		*ret = find(w, PROBE_REFUTED, "none of %zu creators won in round %d", count,
			    w->round + 1);
	else if (winners == 1 && !slice_equal(blob_slice(w->ops[count].ret_body), body(w, winner)))
		*ret = find(w, PROBE_REFUTED, "a loser's bytes are stored, in round %d",
			    w->round + 1);
	else
		return true;
	return false;
}

static enum step race_step(struct task *t)
{
	struct probe_work *w = work_of(t);
	struct bucket_op *read = &w->ops[PROBE_CREATORS];
	enum step step;
	bool is_fair;

	if (waits(w, &step))
		return step;
	switch (t->at) {
	case 0:
		if (w->probe->findings[PROBE_CREATE].outcome != PROBE_PASSED)
			return find(w, PROBE_SKIPPED, "the check \"create\" has not passed");
		for (size_t i = 0; i < PROBE_CREATORS; i++)
			put_new(w, i, (size_t)w->round, body_of(w, i));
		return task_wait(t, 1);
	case 1:
		get(w, PROBE_CREATORS, (size_t)w->round);
		return task_wait(t, 2);
	case 2:
		if (read->task.err)
			return cannot_tell(w, read);
		is_fair = is_race_fair(w, PROBE_CREATORS, body_of, &step);
		blob_unref(&read->ret_body);
		if (!is_fair)
			return step;
		if (++w->round == PROBE_ROUNDS)
			return find(w, PROBE_PASSED, "%d rounds of %d creators, one winner each",
				    PROBE_ROUNDS, PROBE_CREATORS);
		for (size_t i = 0; i < PROBE_CREATORS; i++)
			put_new(w, i, (size_t)w->round, body_of(w, i));
		return task_wait(t, 1);
	}
	abort();
}

static struct slice slow_body(struct probe_work *w, size_t writer)
{
	memset(w->long_bodies[writer & 1], 'a' + (int)writer, PROBE_SLOW_BODY_BYTES);
	return (struct slice) { w->long_bodies[writer & 1], PROBE_SLOW_BODY_BYTES };
}

/* Two bodies on their way at once; then one that is overtaken by a quick one. */
static enum step slow_race_step(struct task *t)
{
	struct probe_work *w = work_of(t);
	struct bucket_facts facts;
	enum step step;
	bool is_fair;

	if (waits(w, &step))
		return step;
	switch (t->at) {
	case 0:
		bucket_look(w->probe->bucket, &facts);
		if (!facts.can_hold)
			return find(w, PROBE_SKIPPED, "only stores across a network are tried so");
		if (w->probe->findings[PROBE_CREATE].outcome != PROBE_PASSED)
			return find(w, PROBE_SKIPPED, "the check \"create\" has not passed");
		for (size_t i = 0; i < 2; i++) {
			put_new(w, i, (size_t)w->round, slow_body(w, i));
			w->ops[i].hold_ms = PROBE_HOLD_MS;
		}
		if (w->round == 1)
			w->ops[1].hold_ms = PROBE_HOLD_MS / 2;
		return task_wait(t, 1);
	case 1:
		get(w, 2, (size_t)w->round);
		return task_wait(t, 2);
	case 2:
		if (w->ops[2].task.err)
			return cannot_tell(w, &w->ops[2]);
		is_fair = is_race_fair(w, 2, slow_body, &step);
		blob_unref(&w->ops[2].ret_body);
		if (!is_fair)
			return step;
		if (++w->round == 2)
			return find(w, PROBE_PASSED, "bodies held back for %d s, one winner",
				    PROBE_HOLD_MS / 1000);
		task_wake(t);
		return task_wait(t, 0);
	}
	abort();
}

/* --- 4: look, write, look -------------------------------------------------------------------- */
static enum step missing_step(struct task *t)
{
	struct probe_work *w = work_of(t);
	enum step step;

	if (waits(w, &step))
		return step;
	switch (t->at) {
	case 0:
		for (size_t i = 0; i < PROBE_MISSING_NAMES; i++) {
			get(w, i, i);
			bucket_head(&w->ops[PROBE_MISSING_NAMES + i], t, w->probe->bucket,
				    name_of(w, i));
		}
		return task_wait(t, 1);
	case 1:
		for (size_t i = 0; i < 2 * PROBE_MISSING_NAMES; i++)
			if (w->ops[i].task.err != ERR_NOT_FOUND)
				return cannot_tell(w, &w->ops[i]);
		for (size_t i = 0; i < PROBE_MISSING_NAMES; i++)
			put(w, i, i);
		return task_wait(t, 2);
	case 2:
		if (first_failed(w, PROBE_MISSING_NAMES))
			return cannot_tell(w, first_failed(w, PROBE_MISSING_NAMES));
		for (size_t i = 0; i < PROBE_MISSING_NAMES; i++)
			get(w, i, i);
		return task_wait(t, 3);
	case 3:
		for (size_t i = 0; i < PROBE_MISSING_NAMES; i++) {
			enum err err = w->ops[i].task.err;

			if (err == ERR_NOT_FOUND)
				return find(w, PROBE_REFUTED,
					    "written and not found: it was looked for before");
			if (err)
				return cannot_tell(w, &w->ops[i]);
		}
		for (size_t i = 0; i < PROBE_MISSING_NAMES; i++)
			if (!has_got(&w->ops[i], slice_from(w->bodies[i])))
				return find(w, PROBE_REFUTED, "other bytes than were written");
		return find(w, PROBE_PASSED, "found at once, looked for before or not");
	}
	abort();
}

/* --- 5: lists -------------------------------------------------------------------------------- */
static void list(struct probe_work *w, size_t op, size_t after)
{
	bucket_list(&w->ops[op], &w->task, w->probe->bucket, &w->arena,
		    slice_from(w->probe->prefix), after ? name_of(w, after - 1) : SLICE(""));
}

/* Does the list hold our names from `from` on, in order?  Others may stand between them. */
static bool lists_names(struct probe_work *w, const struct bucket_op *op, size_t from, size_t count)
{
	size_t next = from;

	for (size_t i = 0; i < op->ret_count && next < from + count; i++)
		next += slice_equal(op->ret_names[i], name_of(w, next));
	return next == from + count;
}

static bool lists_any(struct probe_work *w, const struct bucket_op *op)
{
	for (size_t i = 0; i < op->ret_count; i++)
		for (size_t k = 0; k < PROBE_LIST_NAMES; k++)
			if (slice_equal(op->ret_names[i], name_of(w, k)))
				return true;
	return false;
}

static enum step judge_lists(struct probe_work *w)
{
	const struct bucket_op *failed = first_failed(w, 2);

	if (failed && failed->task.err == ERR_UNSUPPORTED)
		return find(w, PROBE_REFUTED, "%.110s", failed->task.why);
	if (failed)
		return cannot_tell(w, failed);
	if (!lists_names(w, &w->ops[0], 0, PROBE_LIST_NAMES))
		return find(w, PROBE_REFUTED, "written and not listed");
	if (!lists_names(w, &w->ops[1], PROBE_LIST_NAMES / 2, PROBE_LIST_NAMES / 2) ||
	    slice_compare(w->ops[1].ret_names[0], name_of(w, PROBE_LIST_NAMES / 2 - 1)) <= 0)
		return find(w, PROBE_REFUTED, "a list that begins after a name begins elsewhere");
	for (size_t i = 0; i < PROBE_LIST_NAMES; i++)
		bucket_delete(&w->ops[i], &w->task, w->probe->bucket, name_of(w, i));
	return task_wait(&w->task, 3);
}

static enum step list_step(struct task *t)
{
	struct probe_work *w = work_of(t);
	enum step step;

	if (waits(w, &step))
		return step;
	switch (t->at) {
	case 0:
		for (size_t i = 0; i < PROBE_LIST_NAMES; i++)
			put(w, i, i);
		return task_wait(t, 1);
	case 1:
		if (first_failed(w, PROBE_LIST_NAMES))
			return cannot_tell(w, first_failed(w, PROBE_LIST_NAMES));
		list(w, 0, 0);
		list(w, 1, PROBE_LIST_NAMES / 2);
		return task_wait(t, 2);
	case 2:
		return judge_lists(w);
	case 3:
		if (first_failed(w, PROBE_LIST_NAMES))
			return cannot_tell(w, first_failed(w, PROBE_LIST_NAMES));
		list(w, 0, 0);
		get(w, 1, 0);
		return task_wait(t, 4);
	case 4:
		if (w->ops[1].task.err == OK)
			return find(w, PROBE_REFUTED, "deleted and still found");
		if (w->ops[0].task.err)
			return cannot_tell(w, &w->ops[0]);
		if (lists_any(w, &w->ops[0]))
			return find(w, PROBE_REFUTED, "deleted and still listed");
		return find(w, PROBE_PASSED, "what is there, in order, and nothing else");
	}
	abort();
}

/* --- 6: clock -------------------------------------------------------------------------------- */
static enum step clock_step(struct task *t)
{
	struct probe_work *w = work_of(t);
	struct bucket_facts facts;
	enum step step;

	if (waits(w, &step))
		return step;
	bucket_look(w->probe->bucket, &facts);
	if (!facts.has_clock)
		return find(w, PROBE_SKIPPED, "%s",
			    facts.can_hold ? "its answers have no date" : "it is this machine's");
	return find(w,
		    llabs(facts.clock_ahead_ms) > PROBE_SKEW_MS_MAX ? PROBE_REFUTED : PROBE_PASSED,
		    "the store's is %lld s %s ours", llabs(facts.clock_ahead_ms) / 1000,
		    facts.clock_ahead_ms < 0 ? "behind" : "ahead of");
}

/* --- 7: ranges and checksums ----------------------------------------------------------------- */
static const struct {
	uint64_t offset, size;
} ranges[] = { { 0, BUCKET_OBJECT_BYTES_MAX },
	       { 0, 1 },
	       { 499, 100 },
	       { PROBE_RANGE_BODY_BYTES - 10, 100 },
	       { PROBE_RANGE_BODY_BYTES, 10 } };

enum { RANGES = sizeof(ranges) / sizeof(*ranges) };

static enum step put_parts(struct probe_work *w);

static enum step judge_ranges(struct probe_work *w, struct slice body)
{
	const struct bucket_op *failed = first_failed(w, RANGES);
	struct bucket_facts facts;
	bool is_right = true;

	if (failed && failed->task.err == ERR_UNSUPPORTED)
		return find(w, PROBE_REFUTED, "%.110s", failed->task.why);
	for (size_t i = 0; i < RANGES && !failed; i++)
		is_right &= slice_equal(blob_slice(w->ops[i].ret_body),
					slice_part(body, ranges[i].offset, ranges[i].size));
	if (failed)
		return cannot_tell(w, failed);
	if (!is_right)
		return find(w, PROBE_REFUTED, "other bytes than were asked for");
	bucket_look(w->probe->bucket, &facts);
	if (facts.can_hold)
		return put_parts(w);
	return find(w, PROBE_PASSED, "the bytes that were asked for");
}

/* A large object in two parts, which the store puts together. */
static enum step put_parts(struct probe_work *w)
{
	drop_bodies(w);
	w->parts = blob_new(PROBE_PARTS_BODY_BYTES);
	w->parts->size = PROBE_PARTS_BODY_BYTES;
	random_bytes(w->parts->data, w->parts->size);
	w->probe->is_written[w->name + 1] = true;
	bucket_put(&w->ops[0], &w->task, w->probe->bucket, name_of(w, 1), blob_slice(w->parts));
	w->ops[0].part_bytes = PROBE_PART_BYTES;
	return task_wait(&w->task, 3);
}

/* Nothing that Hanse writes is so large today, so the class does not depend on it. */
static enum step judge_parts(struct probe_work *w)
{
	struct bucket_op *op = &w->ops[0];
	struct bucket_facts facts;

	if (op->task.err)
		return find(w, PROBE_PASSED, "but large objects in parts failed: %.80s",
			    op->task.why[0] ? op->task.why : err_name(op->task.err));
	if (!has_got(op, slice_part(blob_slice(w->parts), PROBE_PART_BYTES - 10, 100)))
		return find(w, PROBE_REFUTED, "an object in parts has become something else");
	bucket_look(w->probe->bucket, &facts);
	if (!facts.sends_checksum)
		return find(w, PROBE_PASSED, "the bytes that were asked for, in parts too");
	return find(w, PROBE_PASSED, "the bytes that were asked for, in parts too; checksums %s",
		    facts.has_checksum ? "come back" : "are taken, and do not come back");
}

static enum step range_step(struct task *t)
{
	struct probe_work *w = work_of(t);
	struct slice body = { w->long_bodies[0], PROBE_RANGE_BODY_BYTES };
	enum step step;

	if (waits(w, &step))
		return step;
	switch (t->at) {
	case 0:
		random_bytes(w->long_bodies[0], PROBE_RANGE_BODY_BYTES);
		name_of(w, 0);
		w->probe->is_written[w->name] = true;
		bucket_put(&w->ops[0], t, w->probe->bucket, name_of(w, 0), body);
		return task_wait(t, 1);
	case 1:
		if (w->ops[0].task.err)
			return cannot_tell(w, &w->ops[0]);
		for (size_t i = 0; i < RANGES; i++)
			bucket_get(&w->ops[i], t, w->probe->bucket, name_of(w, 0), ranges[i].offset,
				   ranges[i].size);
		return task_wait(t, 2);
	case 2:
		return judge_ranges(w, body);
	case 3:
		if (w->ops[0].task.err)
			return judge_parts(w);
		bucket_get(&w->ops[0], t, w->probe->bucket, name_of(w, 1), PROBE_PART_BYTES - 10,
			   100);
		return task_wait(t, 4);
	case 4:
		return judge_parts(w);
	}
	abort();
}

const struct task_kind probe_check_kinds[PROBE_CHECKS] = {
	[PROBE_CREATE] = { .name = "check: create", .step = create_step },
	[PROBE_RACE] = { .name = "check: race", .step = race_step },
	[PROBE_SLOW_RACE] = { .name = "check: slow race", .step = slow_race_step },
	[PROBE_MISSING] = { .name = "check: missing", .step = missing_step },
	[PROBE_LIST] = { .name = "check: list", .step = list_step },
	[PROBE_CLOCK] = { .name = "check: clock", .step = clock_step },
	[PROBE_RANGE] = { .name = "check: range", .step = range_step },
};
