/* Opening v1/cluster, and creating it exactly once.
 *
 *	READ all -> every bucket has the same one: done
 *	     | some have none: LIST all; objects of others -> refuse
 *	     v
 *	[raw: PROPOSE -> LIST proposals -> READ again]  -> CREATE in the first bucket -> COPY to the
 *	others -> remove the proposal -> READ all again, which is the only way to succeed
 *	unless there are objects and no journal among them
 *
 * Two processes may do this at once.  The first bucket decides.  In a `cas` bucket the create
 * decides.  In a `raw` one each puts a proposal under a name of its own before it lists them:
 * of two, at least one sees both, and whoever sees another's takes its own back and gives up
 * (ERR_CONFLICT, try again).  Whoever saw only its own looks for v1/cluster once more, since the
 * other may have finished and cleaned up, and then writes it.  A proposal left by a crash is
 * found before one's own is written: its bytes are adopted, so that a creator who was only slow
 * writes the same bytes. */
#include "cells/cluster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "buckets/sealed.h"

enum {
	CLUSTER_BYTES = 44,
	CLUSTER_SEALED_BYTES = 92,
	CLUSTER_FIXED_BYTES = 16,
	CLUSTER_SEALED = 1, /* a flag */
};

static const char cluster_magic[8] = { 'H', 'A', 'N', 'S', 'E', 'C', 'L', 'U' };
static const char cluster_key[] = CLUSTER_KEY;
static const char proposal_prefix[] = "v1/cluster-new/";

/* --- the object ----------------------------------------------------------------------------- */

void cluster_encode(const struct cluster *c, struct buf *ret)
{
	size_t start = ret->size;
	uint32_t size = c->is_sealed ? CLUSTER_SEALED_BYTES : CLUSTER_BYTES;

	buf_add(ret, cluster_magic, sizeof(cluster_magic));
	buf_add_u16(ret, c->is_sealed ? CLUSTER_FORMAT_SEALED : CLUSTER_FORMAT);
	buf_add_u16(ret, c->is_sealed ? CLUSTER_SEALED : 0);
	buf_add_u32(ret, size);
	buf_add(ret, c->id, sizeof(c->id));
	buf_add_u64(ret, c->created_ms);
	if (c->is_sealed) {
		buf_add(ret, c->key_id, sizeof(c->key_id));
		buf_add(ret, c->mac, sizeof(c->mac));
	}
	buf_add_u32(ret, crc32c(slice_part(buf_slice(ret), start, size - 4)));
}

static enum err damaged(const char *what, char why[TASK_WHY_BYTES])
{
	snprintf(why, TASK_WHY_BYTES, "%s: %s", cluster_key, what);
	return ERR_CORRUPT;
}

enum err cluster_decode(struct slice bytes, struct cluster *ret, char why[TASK_WHY_BYTES])
{
	if (bytes.size < CLUSTER_FIXED_BYTES + 4 || bytes.size > CLUSTER_OBJECT_BYTES_MAX)
		return damaged("too short or too long", why);
	if (memcmp(bytes.data, cluster_magic, sizeof(cluster_magic)) != 0)
		return damaged("not an object of this program", why);
	if (get_u32(bytes.data + 12) != bytes.size)
		return damaged("cut off", why);
	if (crc32c(slice_part(bytes, 0, bytes.size - 4)) != get_u32(bytes.data + bytes.size - 4))
		return damaged("wrong checksum", why);

	unsigned format = get_u16(bytes.data + 8);
	if (format > CLUSTER_FORMAT_SEALED) {
		snprintf(why, TASK_WHY_BYTES,
			 "the bucket has format %u, this program knows %d: use a newer one", format,
			 CLUSTER_FORMAT_SEALED);
		return ERR_UNSUPPORTED;
	}
	bool is_sealed = format == CLUSTER_FORMAT_SEALED;
	if (format == 0 || bytes.size != (is_sealed ? CLUSTER_SEALED_BYTES : CLUSTER_BYTES) ||
	    (is_sealed && get_u16(bytes.data + 10) != CLUSTER_SEALED))
		return damaged("not a format that ever was", why);
	*ret = (struct cluster) { .created_ms = get_u64(bytes.data + 32), .is_sealed = is_sealed };
	memcpy(ret->id, bytes.data + CLUSTER_FIXED_BYTES, sizeof(ret->id));
	if (is_sealed) {
		memcpy(ret->key_id, bytes.data + 40, sizeof(ret->key_id));
		memcpy(ret->mac, bytes.data + 56, sizeof(ret->mac));
	}
	return OK;
}

/* --- reading -------------------------------------------------------------------------------- */

enum {
	BEGIN,
	READ,
	LISTED,
	PROPOSED,
	PROPOSALS,
	RECHECK,
	CREATED,
	COPIED,
	REMOVED,
	JOURNALS,
	OTHERS
};

static const char *const places[] = { "begin",		 "read",	  "list",    "propose",
				      "list proposals",	 "read again",	  "create",  "copy",
				      "remove proposal", "list journals", "list all" };

/* What is looked at here must be readable without a key. */
static struct bucket *below(const struct cluster_open *o, int k)
{
	return sealed_inner(o->buckets[k]);
}

static enum step read_all(struct cluster_open *o)
{
	for (int k = 0; k < o->bucket_count; k++)
		bucket_get(&o->ops[k], &o->task, below(o, k), slice_from(cluster_key), 0,
			   CLUSTER_OBJECT_BYTES_MAX);
	return task_wait(&o->task, READ);
}

static enum step read_again(struct cluster_open *o)
{
	if (++o->round >= CLUSTER_ROUNDS_MAX)
		return task_fail(&o->task, ERR_CONFLICT,
				 "%s keeps changing: is another process starting? try again",
				 cluster_key);
	return read_all(o);
}

static enum step list_all(struct cluster_open *o)
{
	for (int k = 0; k < o->bucket_count; k++)
		bucket_list(&o->ops[k], &o->task, below(o, k), &o->arenas[k],
			    (struct slice) { NULL, 0 }, (struct slice) { NULL, 0 });
	return task_wait(&o->task, LISTED);
}

/* Why bucket k did not do what it was asked.  The reason comes first, for it says what to do; which
 * bucket it is may be cut. */
static void explain(const struct cluster_open *o, int k, const char *before,
		    char why[TASK_WHY_BYTES])
{
	const struct task *t = &o->ops[k].task;
	int size = snprintf(why, TASK_WHY_BYTES, "%s%s", before,
			    t->why[0] ? t->why : err_name(t->err));

	if (size + 4 < TASK_WHY_BYTES)
		snprintf(why + size, (size_t)(TASK_WHY_BYTES - size), " (%.*s)",
			 TASK_WHY_BYTES - size - 4, o->buckets[k]->url);
}

/* The object of bucket k: OK with o->has_object[k] set or not; else the reason to give up. */
static enum err take_object(struct cluster_open *o, int k, struct cluster *ret,
			    char why[TASK_WHY_BYTES])
{
	struct bucket_op *op = &o->ops[k];
	char inner[TASK_WHY_BYTES] = "";

	o->has_object[k] = false;
	if (op->task.err == ERR_NOT_FOUND)
		return OK;
	if (op->task.err) {
		explain(o, k, "", why);
		return ERR_UNAVAILABLE;
	}
	enum err err = cluster_decode(blob_slice(op->ret_body), ret, inner);
	if (err)
		snprintf(why, TASK_WHY_BYTES, "%.40s: %.75s", o->buckets[k]->url, inner);
	else
		err = cluster_check(ret, o->keys, o->buckets[k]->url, why);
	o->has_object[k] = err == OK;
	return err;
}

static enum step finish(struct cluster_open *o, enum err err, const char *why)
{
	return err ? task_fail(&o->task, err, "%s", why) : task_done(&o->task, OK);
}

/* ERR_NOT_FOUND when all names are ours; else *ret is one of somebody else. */
static enum err find_stranger(const struct bucket_op *op, struct slice *ret)
{
	for (size_t i = 0; i < op->ret_count; i++) {
		struct slice name = op->ret_names[i];

		if (slice_equal(name, slice_from(cluster_key)) ||
		    slice_starts_with(name, slice_from(proposal_prefix)) ||
		    slice_starts_with(name, SLICE("v1/probe/"))) /* an interrupted probe's */
			continue;
		*ret = name;
		return OK;
	}
	return ERR_NOT_FOUND;
}

/* A cluster that is used has a journal: an empty one would be a new beginning, which loses all. */
static enum step list_journals(struct cluster_open *o)
{
	for (int k = 0; k < o->bucket_count; k++)
		bucket_list(&o->ops[k], &o->task, below(o, k), &o->arenas[k], SLICE("v1/j/"),
			    (struct slice) { NULL, 0 });
	return task_wait(&o->task, JOURNALS);
}

static enum step judge_journals(struct cluster_open *o)
{
	for (int k = 0; k < o->bucket_count; k++)
		if (!o->ops[k].task.err && o->ops[k].ret_count > 0)
			return finish(o, OK, "");
	for (int k = 0; k < o->bucket_count; k++)
		bucket_list(&o->ops[k], &o->task, below(o, k), &o->arenas[k],
			    (struct slice) { NULL, 0 }, (struct slice) { NULL, 0 });
	return task_wait(&o->task, OTHERS);
}

/* The first bucket that has objects of others, or more of ours than a new one; -1: none. */
static int find_used(const struct cluster_open *o)
{
	struct slice name;

	for (int k = 0; k < o->bucket_count; k++)
		if (!o->ops[k].task.err && find_stranger(&o->ops[k], &name) == OK)
			return k;
	return -1;
}

static enum step judge_others(struct cluster_open *o)
{
	int used = find_used(o);

	if (used < 0)
		return finish(o, OK, "");
	if (!o->is_second_look) { /* another node may have begun between the two lists */
		o->is_second_look = true;
		return list_journals(o);
	}
	return task_fail(&o->task, ERR_INVALID,
			 "%.40s is in use, but its journal, v1/j, is gone: put it back, or begin "
			 "anew in an empty bucket",
			 o->buckets[used]->url);
}

static enum step judge(struct cluster_open *o)
{
	char why[TASK_WHY_BYTES], unavailable_why[TASK_WHY_BYTES] = "";
	struct cluster found;
	int count = 0, unavailable = 0;

	for (int k = 0; k < o->bucket_count; k++) {
		enum err err = take_object(o, k, &found, why);

		blob_unref(&o->ops[k].ret_body);
		if (err && err != ERR_UNAVAILABLE)
			return finish(o, err, why);
		if (err) {
			unavailable++;
			memcpy(unavailable_why, why, sizeof(why));
			continue;
		}
		if (!o->has_object[k])
			continue;
		if (count > 0 && memcmp(found.id, o->cluster.id, sizeof(found.id)) != 0)
			return task_fail(&o->task, ERR_INVALID,
					 "%.60s belongs to another cluster than the first bucket",
					 o->buckets[k]->url);
		o->cluster = found;
		count++;
	}
	if (count + unavailable == o->bucket_count && 2 * count > o->bucket_count)
		return list_journals(o);
	if (unavailable > 0)
		return finish(o, ERR_UNAVAILABLE, unavailable_why);
	if (count == 0 && o->must_exist)
		return task_fail(&o->task, ERR_NOT_FOUND,
				 "%.60s has no cluster in it: is that the right bucket?",
				 o->buckets[0]->url);
	o->found_count = count;
	return list_all(o);
}

/* --- creating ------------------------------------------------------------------------------- */

static enum step create(struct cluster_open *o)
{
	struct slice key = slice_from(cluster_key), body = buf_slice(&o->body);

	if (o->buckets[0]->class == BUCKET_CAS)
		bucket_put_new(&o->ops[0], &o->task, below(o, 0), key, body);
	else
		bucket_put(&o->ops[0], &o->task, below(o, 0), key, body);
	return task_wait(&o->task, CREATED);
}

static enum step copy(struct cluster_open *o)
{
	for (int k = 0; k < o->bucket_count; k++)
		if (!o->has_object[k])
			bucket_put(&o->ops[k], &o->task, below(o, k), slice_from(cluster_key),
				   buf_slice(&o->body));
	task_wake(&o->task); /* there may be nothing to copy */
	return task_wait(&o->task, COPIED);
}

static void draw(struct cluster_open *o)
{
	char hex[2 * sizeof(o->cluster.id) + 1];

	random_bytes(o->cluster.id, sizeof(o->cluster.id));
	o->cluster.id[6] = (uint8_t)((o->cluster.id[6] & 0x0f) | 0x40); /* a random UUID */
	o->cluster.id[8] = (uint8_t)((o->cluster.id[8] & 0x3f) | 0x80);
	o->cluster.created_ms = (uint64_t)clock_wall_ms();
	if (o->keys)
		cluster_seal(&o->cluster, o->keys);
	hex_encode(hex, (struct slice) { o->cluster.id, sizeof(o->cluster.id) });
	snprintf(o->proposal, sizeof(o->proposal), "%s%s", proposal_prefix, hex);
	buf_clear(&o->body);
	cluster_encode(&o->cluster, &o->body);
}

static bool lists_object(const struct bucket_op *op)
{
	for (size_t i = 0; i < op->ret_count; i++)
		if (slice_equal(op->ret_names[i], slice_from(cluster_key)))
			return true;
	return false;
}

/* Refuse whatever is not empty: OK, or ERR_CONFLICT when an object has appeared since. */
static enum err check_empty(struct cluster_open *o, char why[TASK_WHY_BYTES])
{
	struct slice name;

	for (int k = 0; k < o->bucket_count; k++) {
		if (o->ops[k].task.err) {
			explain(o, k, "a first start needs every bucket: ", why);
			return ERR_UNAVAILABLE;
		}
		if (!o->has_object[k] && lists_object(&o->ops[k]))
			return ERR_CONFLICT;
	}
	for (int k = 0; k < o->bucket_count; k++) {
		if (find_stranger(&o->ops[k], &name) != OK)
			continue;
		if (o->found_count == 0)
			snprintf(why, TASK_WHY_BYTES,
				 "%.40s has %.*s but no %s: not ours; use an empty bucket",
				 o->buckets[k]->url, name.size > 24 ? 24 : (int)name.size,
				 (const char *)name.data, cluster_key);
		else
			snprintf(why, TASK_WHY_BYTES,
				 "%d of %d buckets have no %s, and the cluster is in use: "
				 "emptied or wrong bucket",
				 o->bucket_count - o->found_count, o->bucket_count, cluster_key);
		return ERR_INVALID;
	}
	return OK;
}

static enum step begin_creating(struct cluster_open *o)
{
	char why[TASK_WHY_BYTES] = "";
	struct bucket_op *first = &o->ops[0];
	enum err err = check_empty(o, why);

	if (err == ERR_CONFLICT)
		return read_again(o);
	if (err)
		return finish(o, err, why);
	buf_clear(&o->body);
	if (o->found_count > 0) { /* a creation that was cut off */
		cluster_encode(&o->cluster, &o->body);
		return copy(o);
	}
	/* A proposal that was left: adopt it.  Its name is before those of a probe. */
	if (first->ret_count > 0 &&
	    slice_starts_with(first->ret_names[0], slice_from(proposal_prefix))) {
		snprintf(o->proposal, sizeof(o->proposal), "%.*s", SLICE_ARG(first->ret_names[0]));
		bucket_get(first, &o->task, below(o, 0), slice_from(o->proposal), 0,
			   CLUSTER_OBJECT_BYTES_MAX);
		return task_wait(&o->task, RECHECK);
	}
	draw(o);
	o->is_new = true;
	if (o->buckets[0]->class == BUCKET_CAS)
		return create(o);
	bucket_put(first, &o->task, below(o, 0), slice_from(o->proposal), buf_slice(&o->body));
	return task_wait(&o->task, PROPOSED);
}

static enum step remove_proposal(struct cluster_open *o, enum err outcome, const char *why)
{
	o->outcome = outcome;
	snprintf(o->outcome_why, sizeof(o->outcome_why), "%s", why);
	bucket_delete(&o->ops[0], &o->task, below(o, 0), slice_from(o->proposal));
	return task_wait(&o->task, REMOVED);
}

static enum step judge_proposals(struct cluster_open *o)
{
	struct bucket_op *op = &o->ops[0];

	if (op->task.err)
		return remove_proposal(o, ERR_UNAVAILABLE, op->task.why);
	if (op->ret_count == 0) /* ours was adopted and removed */
		return read_again(o);
	if (op->ret_count > 1 || !slice_equal(op->ret_names[0], slice_from(o->proposal)))
		return remove_proposal(o, ERR_CONFLICT,
				       "another process creates the cluster just now: try again");
	bucket_get(op, &o->task, below(o, 0), slice_from(cluster_key), 0, CLUSTER_OBJECT_BYTES_MAX);
	return task_wait(&o->task, RECHECK);
}

/* What was read is v1/cluster after the proposals were listed, or a proposal to adopt. */
static enum step recheck(struct cluster_open *o)
{
	struct bucket_op *op = &o->ops[0];
	char why[TASK_WHY_BYTES] = "";

	if (!o->is_new && op->task.err == ERR_NOT_FOUND)
		return read_again(o);
	if (op->task.err == ERR_NOT_FOUND)
		return create(o);
	if (op->task.err)
		return finish(o, ERR_UNAVAILABLE, op->task.why);

	enum err err = cluster_decode(blob_slice(op->ret_body), &o->cluster, why);
	blob_unref(&op->ret_body);
	if (!err)
		err = cluster_check(&o->cluster, o->keys, o->buckets[0]->url, why);
	if (err)
		return finish(o, err, why);
	if (o->is_new) { /* the other one has finished */
		o->is_new = false;
		return remove_proposal(o, ERR_CONFLICT, "");
	}
	o->is_new = true;
	cluster_encode(&o->cluster, &o->body);
	return create(o);
}

static enum step created(struct cluster_open *o)
{
	enum err err = o->ops[0].task.err;

	if (err == ERR_EXISTS || err == ERR_CONFLICT) {
		o->is_new = false;
		return read_again(o);
	}
	if (err == ERR_DENIED) /* by the store: it says nothing of keys */
		return finish(o, ERR_INVALID, o->ops[0].task.why);
	if (err)
		return finish(o, err == ERR_UNKNOWN ? ERR_UNAVAILABLE : err, o->ops[0].task.why);
	o->has_object[0] = true;
	return copy(o);
}

static enum step copied(struct cluster_open *o)
{
	for (int k = 0; k < o->bucket_count; k++)
		if (o->ops[k].task.err && o->ops[k].task.err != ERR_CONFLICT)
			return finish(o, ERR_UNAVAILABLE, o->ops[k].task.why);
	if (o->proposal[0])
		return remove_proposal(o, OK, "");
	return read_again(o);
}

/* A proposal that stays is adopted or ignored later. */
static enum step removed(struct cluster_open *o)
{
	o->proposal[0] = '\0';
	if (o->outcome && o->outcome_why[0])
		return finish(o, o->outcome, o->outcome_why);
	return read_again(o);
}

/* --- the task ------------------------------------------------------------------------------- */

static enum step step_at(struct cluster_open *o)
{
	switch (o->task.at) {
	case BEGIN:
		return read_all(o);
	case READ:
		return judge(o);
	case LISTED:
		return begin_creating(o);
	case PROPOSED:
		if (o->ops[0].task.err)
			return remove_proposal(o, ERR_UNAVAILABLE, "no proposal could be written");
		bucket_list(&o->ops[0], &o->task, below(o, 0), &o->arenas[0],
			    slice_from(proposal_prefix), (struct slice) { NULL, 0 });
		return task_wait(&o->task, PROPOSALS);
	case PROPOSALS:
		return judge_proposals(o);
	case RECHECK:
		return recheck(o);
	case CREATED:
		return created(o);
	case COPIED:
		return copied(o);
	case REMOVED:
		return removed(o);
	case JOURNALS:
		return judge_journals(o);
	case OTHERS:
		return judge_others(o);
	}
	abort();
}

/* A bucket that is away answers late or never: what most say is enough for a cluster that is there,
 * and one journal is one. */
static bool is_enough(const struct cluster_open *o)
{
	int good = 0;

	for (int k = 0; k < o->bucket_count; k++) {
		const struct bucket_op *op = &o->ops[k];
		bool is_good = !task_is_running(&op->task) && !op->task.err;

		if (is_good && o->task.at == JOURNALS && op->ret_count > 0)
			return true;
		good += is_good;
	}
	return o->task.at == READ && 2 * good > o->bucket_count;
}

static void hurry(struct cluster_open *o)
{
	uint64_t at_ms = loop_now_ms(o->task.loop) + CLUSTER_REST_MS;

	o->is_hurried = true;
	for (int k = 0; k < o->bucket_count; k++)
		if (task_is_running(&o->ops[k].task))
			task_set_deadline(&o->ops[k].task, at_ms);
}

static enum step open_step(struct task *t)
{
	struct cluster_open *o = CONTAINER(t, struct cluster_open, task);
	enum step outcome;

	if (t->children > 0) {
		if (!o->is_hurried && is_enough(o))
			hurry(o);
		return task_wait(t, t->at);
	}
	o->is_hurried = false;
	outcome = task_is_canceled(t) ? task_done(t, ERR_CANCELED) : step_at(o);
	if (outcome != STEP_DONE)
		return outcome;
	for (int k = 0; k < o->bucket_count; k++) {
		blob_unref(&o->ops[k].ret_body);
		arena_done(&o->arenas[k]);
	}
	buf_done(&o->body);
	return outcome;
}

static const struct task_kind open_kind = {
	.name = "cluster open",
	.places = places,
	.place_count = 11,
	.step = open_step,
};

void cluster_open(struct cluster_open *o, struct task *parent, struct bucket *const *buckets,
		  int bucket_count)
{
	assert(bucket_count > 0 && bucket_count <= CLUSTER_BUCKETS_MAX);
	*o = (struct cluster_open) { .buckets = buckets, .bucket_count = bucket_count };
	for (int k = 0; k < bucket_count; k++)
		arena_init(&o->arenas[k]);
	buf_init(&o->body);
	task_start(&o->task, &open_kind, parent);
}
