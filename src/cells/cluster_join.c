#include "cells/cluster_join.h"

#include <stdio.h>
#include <stdlib.h>

#include "buckets/sealed.h"

/* Several agents may join at once: all write the same bytes, and each puts other objects only when
 * these are there.  So what is found beside no cluster object calls for a second look at that.
 *
 * Agents of two clusters may, too, by mistake: both would give their files the same names.  So what
 * was stored is read again, in a raw bucket after a moment, and the last one who wrote has it. */
enum { JOIN_GET, JOIN_GOT, JOIN_LISTED, JOIN_STORED, JOIN_SETTLED };

static enum step finish(struct cluster_join *j, enum err err, const char *why)
{
	arena_done(&j->arena);
	buf_done(&j->body);
	return err ? task_fail(&j->task, err, "%s", why) : task_done(&j->task, OK);
}

static enum step compare(struct cluster_join *j)
{
	struct cluster found;
	char why[TASK_WHY_BYTES] = "";
	enum err err = cluster_decode(blob_slice(j->op.ret_body), &found, why);

	blob_unref(&j->op.ret_body);
	if (!err && memcmp(found.id, j->cluster.id, sizeof(found.id)) != 0) {
		err = ERR_INVALID;
		snprintf(why, sizeof(why),
			 "%.60s belongs to another cluster: give another --bucket", j->bucket->url);
	}
	if (!err)
		err = cluster_check(&found, j->keys, j->bucket->url, why);
	return finish(j, err, why);
}

static enum step get(struct cluster_join *j)
{
	bucket_get(&j->op, &j->task, sealed_inner(j->bucket), slice_from(CLUSTER_KEY), 0,
		   CLUSTER_OBJECT_BYTES_MAX);
	return task_wait(&j->task, JOIN_GOT);
}

static enum step list(struct cluster_join *j)
{
	char why[TASK_WHY_BYTES];

	if (j->is_listed) {
		snprintf(why, sizeof(why),
			 "%.60s is not empty and no bucket of Hanse: give another", j->bucket->url);
		return finish(j, ERR_INVALID, why);
	}
	bucket_list(&j->op, &j->task, sealed_inner(j->bucket), &j->arena, SLICE(""), SLICE(""));
	return task_wait(&j->task, JOIN_LISTED);
}

static enum step refuse_empty(struct cluster_join *j)
{
	char why[TASK_WHY_BYTES];

	snprintf(why, sizeof(why),
		 "%.40s is empty, and this cluster has records: is it the right "
		 "--bucket?",
		 j->bucket->url);
	return finish(j, ERR_INVALID, why);
}

static enum step store(struct cluster_join *j)
{
	if (j->op.ret_count > 0) {
		j->is_listed = true;
		return get(j);
	}
	if (j->has_records)
		return refuse_empty(j);
	if (j->keys)
		cluster_seal(&j->cluster, j->keys);
	cluster_encode(&j->cluster, &j->body);
	struct bucket *b = sealed_inner(j->bucket);
	if (b->class == BUCKET_CAS)
		bucket_put_new(&j->op, &j->task, b, slice_from(CLUSTER_KEY), buf_slice(&j->body));
	else
		bucket_put(&j->op, &j->task, b, slice_from(CLUSTER_KEY), buf_slice(&j->body));
	return task_wait(&j->task, JOIN_STORED);
}

static enum step stored(struct cluster_join *j)
{
	enum err err = j->op.task.err;

	if (err && err != ERR_EXISTS && err != ERR_CONFLICT)
		return finish(j, err, j->op.task.why);
	j->is_listed = true;
	if (j->bucket->class == BUCKET_CAS)
		return get(j);
	sleep_start(&j->sleep, &j->task, loop_now_ms(j->task.loop) + CLUSTER_JOIN_SETTLE_MS);
	return task_wait(&j->task, JOIN_SETTLED);
}

static enum step join_step(struct task *t)
{
	struct cluster_join *j = CONTAINER(t, struct cluster_join, task);
	enum err err = j->op.task.err;

	if (task_is_canceled(t)) {
		if (t->at == JOIN_GOT && !err)
			blob_unref(&j->op.ret_body);
		return finish(j, t->err, "");
	}
	switch (t->at) {
	case JOIN_GET:
		return get(j);
	case JOIN_GOT:
		if (!err)
			return compare(j);
		if (err != ERR_NOT_FOUND)
			return finish(j, err, j->op.task.why);
		return list(j);
	case JOIN_LISTED:
		return err ? finish(j, err, j->op.task.why) : store(j);
	case JOIN_STORED:
		return stored(j);
	case JOIN_SETTLED:
		return get(j);
	}
	abort();
}

static const char *const join_places[] = { "get", "got", "listed", "stored", "settled" };
static const struct task_kind join_kind = {
	.name = "cluster_join",
	.places = join_places,
	.place_count = 5,
	.step = join_step,
};

void cluster_join(struct cluster_join *j, struct task *parent, struct bucket *bucket,
		  struct uuid cluster_id)
{
	*j = (struct cluster_join) { .bucket = bucket };
	memcpy(j->cluster.id, cluster_id.bytes, sizeof(j->cluster.id));
	arena_init(&j->arena);
	buf_init(&j->body);
	task_start(&j->task, &join_kind, parent);
}
