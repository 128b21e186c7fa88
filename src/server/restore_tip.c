#include "server/restore_tip.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIP_BEGIN, TIP_STARTED, TIP_LISTED, TIP_RECORD, TIP_COPY };

static enum step finish(struct restore_tip *r, enum err err, const char *why)
{
	arena_done(&r->arena);
	buf_done(&r->sequences);
	return err ? task_fail(&r->task, err, "%s", why) : task_done(&r->task, OK);
}

static enum step get(struct restore_tip *r, int at)
{
	bucket_get(&r->op, &r->task, r->buckets[r->bucket], slice_from(r->key), 0,
		   JOURNAL_OBJECT_BYTES_MAX);
	return task_wait(&r->task, at);
}

/* What was read is the object of that kind. */
static bool is_object(struct restore_tip *r, enum journal_object_kind kind, uint64_t sequence,
		      struct journal_object *ret)
{
	if (r->op.task.err)
		return false;
	enum err err = journal_object_decode(blob_slice(r->op.ret_body), kind, ret);
	return !err && epoch_compare(ret->epoch, r->epoch) == 0 && ret->sequence == sequence;
}

/* --- the start record --------------------------------------------------------------------------
 */

static enum step list(struct restore_tip *r)
{
	arena_reset(&r->arena);
	bucket_list(&r->op, &r->task, r->buckets[r->bucket], &r->arena, slice_from(r->prefix),
		    slice_from(r->after));
	return task_wait(&r->task, TIP_LISTED);
}

static enum step begin(struct restore_tip *r)
{
	journal_key_start(r->key, r->journal, r->epoch);
	journal_key_epoch(r->prefix, r->journal, r->epoch);
	return get(r, TIP_STARTED);
}

static enum step started(struct restore_tip *r)
{
	struct journal_object start;
	bool is_found = is_object(r, JOURNAL_OBJECT_START, 0, &start);

	if (is_found)
		r->base_index = start.base_index;
	blob_unref(&r->op.ret_body);
	if (!is_found && ++r->bucket < r->bucket_count)
		return begin(r);
	if (!is_found)
		return finish(r, ERR_CORRUPT, "the start record of the newest term is damaged");
	r->bucket = 0;
	return list(r);
}

/* --- the records -------------------------------------------------------------------------------
 */

static void take_names(struct restore_tip *r)
{
	for (size_t i = 0; i < r->op.ret_count; i++) {
		struct journal_name name;
		if (!journal_key_parse(r->op.ret_names[i], r->journal, &name))
			continue;
		if (name.kind == JOURNAL_OBJECT_FLOOR && name.sequence > r->floor)
			r->floor = name.sequence;
		if (name.kind == JOURNAL_OBJECT_RECORD)
			buf_add(&r->sequences, &name.sequence, sizeof(name.sequence));
	}
}

static int compare_sequences(const void *left, const void *right)
{
	uint64_t a, b;

	memcpy(&a, left, sizeof(a));
	memcpy(&b, right, sizeof(b));
	return (a > b) - (a < b);
}

static void find_last(struct restore_tip *r)
{
	size_t count = r->sequences.size / sizeof(uint64_t);
	bool is_first = true;

	if (count > 0)
		qsort(r->sequences.data, count, sizeof(uint64_t), compare_sequences);
	r->last = r->floor;
	for (size_t i = 0; i < count; i++) {
		uint64_t sequence;
		memcpy(&sequence, r->sequences.data + i * sizeof(sequence), sizeof(sequence));
		if (sequence <= r->last)
			continue;
		if (!is_first && sequence != r->last + 1)
			return;
		is_first = false;
		r->last = sequence;
	}
}

static enum step look_at_last(struct restore_tip *r)
{
	r->bucket = 0;
	if (r->last <= r->floor) {
		r->index = r->base_index + r->last;
		return finish(r, OK, "");
	}
	journal_key_record(r->key, r->journal, r->epoch, r->last);
	return get(r, TIP_RECORD);
}

static enum step listed(struct restore_tip *r)
{
	const struct bucket_op *op = &r->op;

	if (!op->task.err) {
		take_names(r);
		if (op->ret_more && op->ret_count > 0 &&
		    r->sequences.size / sizeof(uint64_t) < RESTORE_TIP_RECORDS_MAX) {
			snprintf(r->after, sizeof(r->after), "%.*s",
				 SLICE_ARG(op->ret_names[op->ret_count - 1]));
			return list(r);
		}
		r->answers++;
	}
	r->after[0] = '\0';
	if (++r->bucket < r->bucket_count)
		return list(r);
	if (2 * r->answers <= r->bucket_count)
		return finish(r, ERR_UNAVAILABLE, "most buckets of the journal cannot be listed");
	find_last(r);
	return look_at_last(r);
}

/* The name of a record may hold the seal of a candidate: then the log ends before. */
static enum step looked(struct restore_tip *r)
{
	struct journal_object record;
	bool is_record = is_object(r, JOURNAL_OBJECT_RECORD, r->last, &record);

	blob_unref(&r->op.ret_body);
	if (is_record) {
		r->index = r->base_index + r->last;
		return finish(r, OK, "");
	}
	if (++r->bucket < r->bucket_count)
		return get(r, r->task.at);
	r->bucket = 0;
	if (r->task.at == TIP_RECORD) {
		journal_key_copy(r->key, r->journal, r->epoch, r->last);
		return get(r, TIP_COPY);
	}
	if (++r->seals > RESTORE_TIP_SEALS_MAX)
		return finish(r, ERR_CORRUPT, "the newest records of the journal are damaged");
	r->last--;
	return look_at_last(r);
}

static enum step tip_step(struct task *t)
{
	struct restore_tip *r = CONTAINER(t, struct restore_tip, task);

	if (task_is_canceled(t)) {
		blob_unref(&r->op.ret_body);
		return finish(r, t->err, "");
	}
	switch (t->at) {
	case TIP_BEGIN:
		return begin(r);
	case TIP_STARTED:
		return started(r);
	case TIP_LISTED:
		return listed(r);
	case TIP_RECORD:
	case TIP_COPY:
		return looked(r);
	}
	abort();
}

static const char *const tip_places[] = { "begin", "start record", "list", "record", "copy" };
static const struct task_kind tip_kind = {
	.name = "restore_tip",
	.places = tip_places,
	.place_count = 5,
	.step = tip_step,
};

void restore_tip(struct restore_tip *r, struct task *parent, struct bucket *const *buckets,
		 int bucket_count, const char *journal, struct epoch epoch)
{
	*r = (struct restore_tip) {
		.buckets = buckets,
		.bucket_count = bucket_count,
		.journal = journal,
		.epoch = epoch,
	};
	arena_init(&r->arena);
	buf_init(&r->sequences);
	task_start(&r->task, &tip_kind, parent);
}
